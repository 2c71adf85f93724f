//! Users and groups as one list, RFC 7644 section 3.4.2.1: all users before all groups, each in the order asked for.

use scim::{schema::Types, search::Share};
use store::{AnyConnection, Backend};
use wire::Refusal;

use super::list::{Listing, Rows};
use crate::{
    domain::{
        OrgId,
        group::Group,
        list::{Edge, Ends, ListDigest, ListQuery, Start, Target},
        user::User,
    },
    error::{Refused, from_scim},
};

/// A request for both, to be read from wherever a page starts. A part is absent where the filter leaves nothing of it.
#[derive(Clone, Debug)]
pub(crate) struct Joint {
    users: Option<Listing>,
    groups: Option<Listing>,
    limit: usize,
    digest: ListDigest,
}

/// A page as it was read.
#[derive(Clone, Debug)]
pub(crate) struct JointRows {
    pub(crate) users: Vec<User>,
    pub(crate) groups: Vec<Group>,
    pub(crate) total: i64,
    pub(crate) ends: Ends,
}

impl Joint {
    /// # Errors
    /// [`wire::Reason::InvalidFilter`] and [`wire::Reason::InvalidValue`], before anything is read.
    pub(crate) fn new(backend: Backend, org: OrgId, types: &Types, query: &ListQuery) -> Result<Self, Refusal> {
        let (user, group) = (&types.user, &types.group);
        let [of_users, of_groups] = match &query.filter {
            Some(filter) => scim::search::shares([user, group], filter).map_err(from_scim)?,
            None => [Share::All, Share::All],
        };
        // Resources of a type without the attribute to sort by are in the order of their ids, unless no type has it.
        let has = |rt| query.sort_by.as_deref().is_some_and(|path| scim::attr::resolve(rt, path).is_some());
        let sort_by = |rt, other| if !has(rt) && has(other) { None } else { query.sort_by.clone() };
        let part = |target, share, sort_by| {
            let filter = match share {
                Share::None => return Ok(None),
                Share::All => None,
                Share::Filter(filter) => Some(filter),
            };
            Listing::new(backend, org, types, target, &ListQuery { filter, sort_by, ..query.clone() }).map(Some)
        };
        let users = part(Target::User, of_users, sort_by(user, group))?;
        let groups = part(Target::Group, of_groups, sort_by(group, user))?;
        let digest = ListDigest::of_parts(org, [&users, &groups].map(|part| part.as_ref().map(Listing::digest)));
        Ok(Self { users, groups, limit: query.limit as usize, digest })
    }

    pub(crate) fn digest(&self) -> &ListDigest {
        &self.digest
    }

    pub(crate) fn rows(&self, conn: &mut AnyConnection, start: &Start) -> Result<JointRows, Refused> {
        let mut page =
            Reading { start, limit: self.limit, left: self.limit, reached: false, total: 0, ends: Vec::new() };
        let (users, groups);
        if page.backwards() {
            groups = page.part(conn, Target::Group, self.groups.as_ref(), Listing::groups)?;
            users = page.part(conn, Target::User, self.users.as_ref(), Listing::users)?;
            page.ends.reverse();
        } else {
            users = page.part(conn, Target::User, self.users.as_ref(), Listing::users)?;
            groups = page.part(conn, Target::Group, self.groups.as_ref(), Listing::groups)?;
        }
        let ends = Ends {
            first: page.ends.iter().find_map(|ends| ends.first.clone()),
            last: page.ends.iter().rev().find_map(|ends| ends.last.clone()),
            before: page.ends.iter().any(|ends| ends.before),
            after: page.ends.iter().any(|ends| ends.after),
        };
        Ok(JointRows { users, groups, total: page.total, ends })
    }
}

/// A page under way: one part after another, in the direction of the page.
struct Reading<'s> {
    start: &'s Start,
    limit: usize,
    /// What the page still has room for.
    left: usize,
    /// The page has begun.
    reached: bool,
    /// Of the parts so far.
    total: i64,
    ends: Vec<Ends>,
}

impl Reading<'_> {
    fn backwards(&self) -> bool {
        matches!(self.start, Start::Cursor(Edge { backwards: true, .. }))
    }

    fn part<T>(
        &mut self,
        conn: &mut AnyConnection,
        target: Target,
        listing: Option<&Listing>,
        read: impl Fn(&Listing, &mut AnyConnection, &Start) -> Result<Rows<T>, Refused>,
    ) -> Result<Vec<T>, Refused> {
        let begins = match self.start {
            Start::Rank(_) | Start::Cursor(Edge { from: None, .. }) => true,
            Start::Continued { after: from, .. } | Start::Cursor(Edge { from: Some(from), .. }) => {
                from.target == target
            }
        };
        let passed = !begins && !self.reached;
        let start = match self.start {
            Start::Rank(offset) => Start::Rank(offset.saturating_sub(self.total).max(0)),
            Start::Continued { .. } | Start::Cursor(_) if begins => self.start.clone(),
            // Those before a page by index are in its offset.
            Start::Continued { .. } if passed => return Ok(Vec::new()),
            Start::Continued { .. } => Start::Rank(0),
            Start::Cursor(edge) => Start::Cursor(Edge { from: None, backwards: edge.backwards }),
        };
        self.reached |= begins;
        let Some(listing) = listing else { return Ok(Vec::new()) };
        let room = if passed { 0 } else { self.left };
        let rows = read(&listing.limited(room), conn, &start)?;
        let mut ends = rows.ends;
        if room == 0 && rows.total > 0 && self.limit > 0 {
            // Beyond an end of the page, as a whole.
            if passed == self.backwards() { ends.after = true } else { ends.before = true }
        }
        self.total = self.total.saturating_add(rows.total);
        self.left -= rows.items.len();
        self.ends.push(ends);
        Ok(rows.items)
    }
}
