//! Groups into a response body while their members are still being fetched: no group is ever held whole.

use std::{io, time::Duration};

use axum::body::{Body, Bytes};
use futures::stream;
use scim::{
    list::ListParams,
    project::Projection,
    render::{self, Head, MemberKind},
};
use tracing::{Instrument as _, Span};
use uuid::Uuid;
use wire::identity::{Group, ListGroupsResponse, ListMembersRequest, Member, MemberType};

use crate::{
    error::{Failure, Result},
    extract,
    gateway::Session,
    reply,
};

/// Bytes handed over at a time.
const CHUNK: usize = 64 * 1024;
/// The time for one page of members, once the answer is under way.
const PAGE: Duration = Duration::from_secs(15);

/// What remains to be written.
pub(super) struct Pages {
    session: Session,
    projection: Projection,
    members: bool,
    groups: std::vec::IntoIter<Group>,
    /// The group whose members are not all written.
    open: Option<Open>,
    /// A ListResponse around the groups.
    list: bool,
    begun: bool,
    done: bool,
    out: Vec<u8>,
    span: Span,
}

struct Open {
    group: String,
    page_token: String,
    first: bool,
}

impl Pages {
    pub(super) fn one(session: Session, group: Group, projection: Projection) -> Self {
        Self::new(session, vec![group], projection, false, Vec::new())
    }

    pub(super) fn list(
        session: Session,
        page: ListGroupsResponse,
        params: &ListParams,
        projection: Projection,
    ) -> Self {
        let mut out = Vec::with_capacity(CHUNK);
        let whole = extract::Whole {
            total: page.total_results,
            previous_cursor: &page.previous_cursor,
            next_cursor: &page.next_cursor,
        };
        extract::list_open(params, &whole, page.groups.len(), &mut out);
        Self::new(session, page.groups, projection, true, out)
    }

    /// The end of a list whose beginning, `items` resources of other types included, stands in `out`.
    pub(super) fn rest(
        session: Session,
        groups: Vec<Group>,
        projection: Projection,
        items: usize,
        out: Vec<u8>,
    ) -> Self {
        Self { begun: items > 0, ..Self::new(session, groups, projection, true, out) }
    }

    fn new(session: Session, groups: Vec<Group>, projection: Projection, list: bool, out: Vec<u8>) -> Self {
        Self {
            members: projection.shows("members"),
            session,
            projection,
            groups: groups.into_iter(),
            open: None,
            list,
            begun: false,
            done: false,
            out,
            span: Span::current(),
        }
    }

    /// The first chunk is made now, so that what fails early is still an error of its own status. What is complete by
    /// then is sent in one piece; a failure later on breaks the connection off, lest half an answer looks whole.
    pub(super) async fn body(mut self) -> Result<Body> {
        self.fill().await?;
        let first = Bytes::from(std::mem::take(&mut self.out));
        if self.done {
            return Ok(Body::from(first));
        }
        let rest = stream::try_unfold((Some(first), self), |(first, mut pages)| async move {
            if let Some(first) = first {
                return Ok(Some((first, (None, pages))));
            }
            if pages.done {
                return Ok(None);
            }
            let span = pages.span.clone();
            match pages.resume().instrument(span).await {
                Ok(()) => {
                    let chunk = Bytes::from(std::mem::take(&mut pages.out));
                    Ok(Some((chunk, (None, pages))))
                }
                Err(failure) => {
                    pages.span.in_scope(|| tracing::warn!(kind = ?failure.kind(), "an answer broke off"));
                    Err(io::Error::other("the answer could not be completed"))
                }
            }
        });
        Ok(Body::from_stream(rest))
    }

    /// The request's place was given back when its answer began: a client that reads slowly holds none.
    async fn resume(&mut self) -> Result<()> {
        let _place = self.session.resume(PAGE).await?;
        self.fill().await
    }

    /// Writes until a chunk is full or all is written.
    async fn fill(&mut self) -> Result<()> {
        while !self.done && self.out.len() < CHUNK {
            if let Some(open) = self.open.take() {
                self.next_members(open).await?;
            } else if let Some(group) = self.groups.next() {
                self.next_group(group)?;
            } else {
                if self.list {
                    self.out.extend_from_slice(b"]}");
                }
                self.done = true;
            }
        }
        Ok(())
    }

    fn next_group(&mut self, group: Group) -> Result<()> {
        if self.begun {
            self.out.push(b',');
        }
        self.begun = true;
        let etag = scim::etag::group(group.version);
        let head = Head {
            id: Uuid::try_parse(&group.id).map_err(|_| reply::not_ours("an id that is no UUID"))?,
            created: reply::instant(group.created_at.as_ref())?,
            last_modified: reply::instant(group.modified_at.as_ref())?,
            version: &etag,
            base_url: self.session.base_url(),
        };
        render::group_open(
            &self.session.types.group,
            &group.resource_json,
            &head,
            self.members,
            &self.projection,
            &mut self.out,
        )
        .map_err(|_| reply::not_ours("a stored group that cannot be read"))?;
        let open = Open { group: group.id, page_token: group.next_member_page_token, first: true };
        self.append(open, &group.members)
    }

    async fn next_members(&mut self, open: Open) -> Result<()> {
        let message = ListMembersRequest {
            organization_id: self.session.organization_id(),
            caller: self.session.caller(),
            group_id: open.group.clone(),
            page_size: 1000,
            page_token: open.page_token.clone(),
        };
        let request = self.session.call_within(message, PAGE);
        let mut identity = self.session.gateway.clients.identity.clone();
        let page = tokio::time::timeout(PAGE, identity.list_members(request)).await;
        let late = |_| Failure::from(tonic::Status::deadline_exceeded("a page of members"));
        let page = page.map_err(late)??.into_inner();
        self.append(Open { page_token: page.next_page_token, ..open }, &page.members)
    }

    /// Appends a page of members, and closes the group after the last one.
    fn append(&mut self, mut open: Open, members: &[Member]) -> Result<()> {
        if self.members {
            for member in members {
                let id = Uuid::from_slice(&member.id).map_err(|_| reply::not_ours("a member id that is no UUID"))?;
                let kind = match member.r#type() {
                    MemberType::User => MemberKind::User,
                    MemberType::Group => MemberKind::Group,
                    MemberType::Unspecified => return Err(reply::not_ours("a member of no type")),
                };
                render::member(id, kind, self.session.base_url(), open.first, &self.projection, &mut self.out);
                open.first = false;
            }
            if !open.page_token.is_empty() {
                self.open = Some(open);
                return Ok(());
            }
        }
        render::group_close(self.members, &mut self.out);
        Ok(())
    }
}
