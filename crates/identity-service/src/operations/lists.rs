//! Pages of users and groups: by rank, after the page before (`walks`), or after a cursor.

use std::collections::HashMap;

use ::store::{AnyConnection, Backend, Instant};
use uuid::Uuid;
use wire::Refusal;

use super::{Core, Scope, ShownGroup, ShownUser, users::show_all};
use crate::{
    domain::{
        GroupId,
        cursor::{Cursor, CursorKey},
        group::{Group, MemberPage},
        list::{Cursors, Edge, Ends, ListDigest, ListQuery, Page, Start, Target},
        user::Notes,
    },
    error::{Refused, internal},
    store::{cursor_key, joint::Joint, list::Listing, member, user::Nesting},
    walks::Place,
};

/// What the pages around a page are made possible with.
struct Seal {
    digest: ListDigest,
    /// Of the organization, where the page is by cursor; the newest first.
    keys: Vec<CursorKey>,
}

impl Core {
    pub(crate) async fn user_list(
        &self,
        scope: Scope,
        query: &ListQuery,
        groups: bool,
    ) -> Result<Page<ShownUser>, Refusal> {
        if let Some(page) = self.users_matched(&scope, query, groups).await? {
            return Ok(page);
        }
        let now = self.clock.now();
        let types = self.types(scope.org).await?;
        let listing = Listing::new(self.db.backend(), scope.org, &types, Target::User, query);
        let listing = self.checked(&scope, listing).await?;
        let (start, seal) = self.start(&scope, listing.digest(), query, now).await?;
        let entered = scope.clone();
        let read = move |conn: &mut AnyConnection| {
            let nesting = groups.then_some(Nesting::of(&entered.enter_to_read(conn, now)?));
            listing.users(conn, &start)?.with(|users| show_all(conn, &entered, users, nesting))
        };
        let rows =
            if self.snapshots() { self.snapshot(scope.org, read).await? } else { self.read(scope.org, read).await? };
        let cursors = self.around(&scope, query, seal, rows.ends, rows.items.len(), now).await?;
        Ok(Page { items: rows.items, total: rows.total, cursors })
    }

    pub(crate) async fn group_list(
        &self,
        scope: Scope,
        query: &ListQuery,
        show_members: u32,
    ) -> Result<Page<ShownGroup>, Refusal> {
        let now = self.clock.now();
        let types = self.types(scope.org).await?;
        let listing = Listing::new(self.db.backend(), scope.org, &types, Target::Group, query);
        let listing = self.checked(&scope, listing).await?;
        let (start, seal) = self.start(&scope, listing.digest(), query, now).await?;
        let entered = scope.clone();
        let read = move |conn: &mut AnyConnection| {
            entered.enter(conn, now)?;
            listing.groups(conn, &start)?.with(|groups| show_groups(conn, &entered, groups, show_members))
        };
        let rows = if show_members > 0 || self.snapshots() {
            self.snapshot(scope.org, read).await?
        } else {
            self.read(scope.org, read).await?
        };
        let cursors = self.around(&scope, query, seal, rows.ends, rows.items.len(), now).await?;
        Ok(Page { items: rows.items, total: rows.total, cursors })
    }

    /// Users and groups as one list.
    pub(crate) async fn resource_list(
        &self,
        scope: Scope,
        query: &ListQuery,
        groups: bool,
        show_members: u32,
    ) -> Result<JointPage, Refusal> {
        let now = self.clock.now();
        let types = self.types(scope.org).await?;
        let joint = self.checked(&scope, Joint::new(self.db.backend(), scope.org, &types, query)).await?;
        let (start, seal) = self.start(&scope, joint.digest(), query, now).await?;
        let entered = scope.clone();
        let (users, groups, total, ends) = self
            .snapshot(scope.org, move |conn| {
                let nesting = groups.then_some(Nesting::of(&entered.enter_to_read(conn, now)?));
                let rows = joint.rows(conn, &start)?;
                let users = show_all(conn, &entered, rows.users, nesting)?;
                let groups = show_groups(conn, &entered, rows.groups, show_members)?;
                Ok((users, groups, rows.total, rows.ends))
            })
            .await?;
        let cursors = self.around(&scope, query, seal, ends, users.len() + groups.len(), now).await?;
        Ok(JointPage { users, groups, total, cursors })
    }

    /// Whether one costs nothing: then a page and its total are of one moment.
    fn snapshots(&self) -> bool {
        self.db.backend() == Backend::Sqlite
    }

    async fn start(
        &self,
        scope: &Scope,
        digest: &ListDigest,
        query: &ListQuery,
        now: Instant,
    ) -> Result<(Start, Seal), Refusal> {
        let digest = *digest;
        let Some(cursor) = &query.cursor else {
            return Ok((self.start_by_index(scope, &digest, query, now), Seal { digest, keys: Vec::new() }));
        };
        let entered = scope.clone();
        let keys = self
            .seek(scope.org, move |conn| {
                entered.enter(conn, now)?;
                Ok(cursor_key::cursor_keys(conn, entered.org)?)
            })
            .await?;
        let edge = match cursor.as_str() {
            "" => Edge::default(),
            cursor => Cursor::open(cursor, &keys, &digest, query.limit, now)?,
        };
        Ok((Start::Cursor(edge), Seal { digest, keys }))
    }

    fn start_by_index(&self, scope: &Scope, digest: &ListDigest, query: &ListQuery, now: Instant) -> Start {
        let offset = query.offset;
        if offset == 0 || query.limit == 0 {
            return Start::Rank(offset);
        }
        match self.walks.recall(&Place::new(digest, &scope.actor, offset), now) {
            Some(after) => Start::Continued { offset, after },
            None => Start::Rank(offset),
        }
    }

    /// Makes the pages around one possible: by cursor those before and after it, by index the next.
    async fn around(
        &self,
        scope: &Scope,
        query: &ListQuery,
        seal: Seal,
        ends: Ends,
        items: usize,
        now: Instant,
    ) -> Result<Cursors, Refusal> {
        let Seal { digest, keys } = seal;
        if query.cursor.is_none() {
            if let Some(last) = ends.last {
                let end = query.offset.saturating_add(i64::try_from(items).unwrap_or(i64::MAX));
                self.walks.remember(Place::new(&digest, &scope.actor, end), last, now);
            }
            return Ok(Cursors::default());
        }
        let (previous, next) = (ends.previous(), ends.next());
        if previous.is_none() && next.is_none() {
            return Ok(Cursors::default());
        }
        let key = self.sealing_key(scope, keys, now).await?;
        let sealed = |edge: Option<Edge>| {
            let cursor = edge.map(|edge| Cursor { issued: now, count: query.limit, edge });
            cursor.map(|cursor| cursor.seal(&key, self.random.bytes(), &digest)).transpose()
        };
        Ok(Cursors { previous: sealed(previous)?, next: sealed(next)? })
    }

    /// The newest key; the first one is made here, and what another process made meanwhile counts.
    async fn sealing_key(&self, scope: &Scope, known: Vec<CursorKey>, now: Instant) -> Result<CursorKey, Refusal> {
        if let Some(newest) = known.into_iter().next() {
            return Ok(newest);
        }
        let (org, first) = (scope.org, CursorKey { generation: 1, secret: self.random.bytes() });
        let keys = self
            .write(org, move |conn| {
                cursor_key::cursor_key_insert(conn, org, &first, now)?;
                Ok(cursor_key::cursor_keys(conn, org)?)
            })
            .await?;
        keys.into_iter().next().ok_or_else(|| internal(&"a cursor key was not kept"))
    }
}

/// A page of users and groups.
pub(crate) struct JointPage {
    pub(crate) users: Vec<ShownUser>,
    pub(crate) groups: Vec<ShownGroup>,
    pub(crate) total: i64,
    pub(crate) cursors: Cursors,
}

fn show_groups(
    conn: &mut AnyConnection,
    scope: &Scope,
    groups: Vec<Group>,
    show_members: u32,
) -> Result<Vec<ShownGroup>, Refused> {
    let ids: Vec<Uuid> = groups.iter().map(|group| group.id.0).collect();
    let mut pages: HashMap<GroupId, MemberPage> =
        member::member_pages(conn, scope.org, &ids, show_members)?.into_iter().collect();
    let shown = groups.into_iter().map(|group| {
        let members = pages.remove(&group.id).unwrap_or_default();
        ShownGroup { group, members, changed: false, notes: Notes::default() }
    });
    Ok(shown.collect())
}
