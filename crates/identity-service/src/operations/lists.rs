//! Pages of users and groups: by rank, after the page before (`walks`), or after a cursor.

use std::collections::HashMap;

use ::store::Instant;
use uuid::Uuid;
use wire::Refusal;

use super::{Core, Scope, ShownGroup, ShownUser, users::show_all};
use crate::{
    domain::{
        GroupId,
        cursor::{Cursor, CursorKey},
        group::MemberPage,
        list::{ListQuery, Page, Start},
    },
    error::internal,
    store::{
        cursor_key,
        filter_sql::Target,
        list::{Listing, Rows},
        member,
    },
    walks::Place,
};

/// A page that is about to be read.
struct Opening {
    listing: Listing,
    start: Start,
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
        let now = self.clock.now();
        let opening = self.opening(&scope, Target::User, query, now).await?;
        let (entered, listing, start) = (scope.clone(), opening.listing.clone(), opening.start.clone());
        let rows = self
            .read(move |conn| {
                entered.enter(conn, now)?;
                listing.users(conn, &start)?.with(|users| show_all(conn, &entered, users, groups))
            })
            .await?;
        self.page(&scope, query, opening, rows, now).await
    }

    pub(crate) async fn group_list(
        &self,
        scope: Scope,
        query: &ListQuery,
        show_members: u32,
    ) -> Result<Page<ShownGroup>, Refusal> {
        let now = self.clock.now();
        let opening = self.opening(&scope, Target::Group, query, now).await?;
        let (entered, listing, start) = (scope.clone(), opening.listing.clone(), opening.start.clone());
        let rows = self
            .read(move |conn| {
                entered.enter(conn, now)?;
                listing.groups(conn, &start)?.with(|groups| {
                    let ids: Vec<Uuid> = groups.iter().map(|group| group.id.0).collect();
                    let mut pages: HashMap<GroupId, MemberPage> =
                        member::member_pages(conn, entered.org, &ids, show_members)?.into_iter().collect();
                    let shown = groups.into_iter().map(|group| {
                        let members = pages.remove(&group.id).unwrap_or_default();
                        ShownGroup { group, members, changed: false }
                    });
                    Ok(shown.collect())
                })
            })
            .await?;
        self.page(&scope, query, opening, rows, now).await
    }

    async fn opening(
        &self,
        scope: &Scope,
        target: Target,
        query: &ListQuery,
        now: Instant,
    ) -> Result<Opening, Refusal> {
        let types = self.types(scope.org).await?;
        let listing = Listing::new(self.db.backend(), scope.org, &types, target, query);
        let listing = self.checked(scope, listing).await?;
        let Some(cursor) = &query.cursor else {
            let start = self.start_by_index(scope, &listing, query, now);
            return Ok(Opening { listing, start, keys: Vec::new() });
        };
        let entered = scope.clone();
        let keys = self
            .seek(move |conn| {
                entered.enter(conn, now)?;
                Ok(cursor_key::cursor_keys(conn, entered.org)?)
            })
            .await?;
        let after = match cursor.as_str() {
            "" => None,
            cursor => Some(Cursor::open(cursor, &keys, listing.digest(), query.limit, now)?),
        };
        Ok(Opening { listing, start: Start::Cursor(after), keys })
    }

    fn start_by_index(&self, scope: &Scope, listing: &Listing, query: &ListQuery, now: Instant) -> Start {
        let offset = query.offset;
        if offset == 0 || query.limit == 0 {
            return Start::Rank(offset);
        }
        match self.walks.recall(&Place::new(listing.digest(), &scope.actor, offset), now) {
            Some(after) => Start::Continued { offset, after },
            None => Start::Rank(offset),
        }
    }

    /// Makes the next page possible.
    async fn page<T>(
        &self,
        scope: &Scope,
        query: &ListQuery,
        opening: Opening,
        rows: Rows<T>,
        now: Instant,
    ) -> Result<Page<T>, Refusal> {
        let Rows { items, total, last, more } = rows;
        let digest = opening.listing.digest();
        let mut next_cursor = None;
        match (query.cursor.is_some(), last) {
            (true, Some(after)) if more => {
                let key = self.sealing_key(scope, opening.keys, now).await?;
                let cursor = Cursor { issued: now, count: query.limit, after };
                next_cursor = Some(cursor.seal(&key, self.random.bytes(), digest)?);
            }
            (false, Some(last)) => {
                let end = query.offset.saturating_add(i64::try_from(items.len()).unwrap_or(i64::MAX));
                self.walks.remember(Place::new(digest, &scope.actor, end), last, now);
            }
            _ => {}
        }
        Ok(Page { items, total, next_cursor })
    }

    /// The newest key; the first one is made here, and what another process made meanwhile counts.
    async fn sealing_key(&self, scope: &Scope, known: Vec<CursorKey>, now: Instant) -> Result<CursorKey, Refusal> {
        if let Some(newest) = known.into_iter().next() {
            return Ok(newest);
        }
        let (org, first) = (scope.org, CursorKey { generation: 1, secret: self.random.bytes() });
        let keys = self
            .write(move |conn| {
                cursor_key::cursor_key_insert(conn, org, &first, now)?;
                Ok(cursor_key::cursor_keys(conn, org)?)
            })
            .await?;
        keys.into_iter().next().ok_or_else(|| internal(&"a cursor key was not kept"))
    }
}
