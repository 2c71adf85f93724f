//! Protobuf to domain and back.

use scim::patch::{Op, Operation};
use serde_json::Value;
use store::Instant;
use uuid::Uuid;
use wire::{
    Reason, Refusal, common,
    identity::{self as proto, SortOrder},
    to_timestamp,
};

use crate::{
    domain::{
        GroupId, OrgId, Precondition, UserId,
        actor::{Actor, ActorKind},
        group::{Member, MemberType, group_not_found},
        idempotency::IdempotencyKey,
        list::ListQuery,
        parse_id,
        plan::Standing,
        user::{GroupOfUser, user_not_found},
    },
    error::from_scim,
    operations::{AddedSchema, Scope, ShownGroup, ShownOrganization, ShownUser, organization_not_found},
};

pub(super) fn scope(organization_id: &str, caller: Option<common::Caller>) -> Result<Scope, Refusal> {
    Ok(Scope { actor: actor(caller)?, org: org_id(organization_id)? })
}

pub(super) fn actor(caller: Option<common::Caller>) -> Result<Actor, Refusal> {
    use common::caller::Kind;
    let missing = || invalid("caller is missing: say who asks, it decides what is allowed and is recorded.");
    let caller = caller.ok_or_else(missing)?;
    let kind = match caller.kind.ok_or_else(missing)? {
        Kind::ScimClient(client) => {
            ActorKind::ScimClient { token_id: client.token_id, entry_id: client.entry_id.chars().take(36).collect() }
        }
        Kind::Administrator(administrator) => ActorKind::Administrator { name: administrator.name },
        Kind::InternalService(service) => ActorKind::InternalService { name: service.name },
    };
    Ok(Actor { kind, request_id: caller.request_id })
}

pub(super) fn org_id(text: &str) -> Result<OrgId, Refusal> {
    parse_id(text).ok_or_else(organization_not_found)
}

/// An id that is none is one that no user has.
pub(super) fn user_id(text: &str) -> Option<UserId> {
    parse_id(text)
}

pub(super) fn group_id(text: &str) -> Option<GroupId> {
    parse_id(text)
}

pub(super) fn known_user(id: Option<UserId>) -> Result<UserId, Refusal> {
    id.ok_or_else(user_not_found)
}

pub(super) fn known_group(id: Option<GroupId>) -> Result<GroupId, Refusal> {
    id.ok_or_else(group_not_found)
}

pub(super) fn precondition(this: Option<proto::Precondition>) -> Option<Precondition> {
    this.map(|this| Precondition(this.versions))
}

pub(super) fn idempotency_key(text: Option<String>) -> Result<Option<IdempotencyKey>, Refusal> {
    text.map(IdempotencyKey::parse).transpose()
}

pub(super) fn with_groups(mask: Option<proto::UserMask>) -> bool {
    !mask.is_some_and(|mask| mask.omit_groups)
}

pub(super) fn members_shown(mask: Option<proto::GroupMask>) -> u32 {
    mask.map_or(0, |mask| mask.members).min(crate::domain::list::LARGEST_PAGE)
}

pub(super) fn list_query(query: Option<proto::ListQuery>) -> ListQuery {
    let query = query.unwrap_or_default();
    let descending = query.sort_order() == SortOrder::Descending;
    let (cursor, base_url) = (query.cursor, base_url(query.base_url));
    ListQuery {
        cursor,
        base_url,
        ..ListQuery::new(query.filter, query.sort_by, descending, query.start_index, query.count)
    }
}

pub(super) fn base_url(given: String) -> Option<String> {
    (!given.is_empty()).then_some(given)
}

pub(super) fn member_ids(ids: &proto::MemberIds) -> Result<Vec<Uuid>, Refusal> {
    wire::ids::unpack(&ids.ids).ok_or_else(|| invalid("member ids must be 16 bytes each."))
}

pub(super) fn operation(this: proto::PatchOperation) -> Result<Operation, Refusal> {
    let op = match this.op() {
        proto::PatchOp::Add => Op::Add,
        proto::PatchOp::Remove => Op::Remove,
        proto::PatchOp::Replace => Op::Replace,
        proto::PatchOp::Unspecified => return Err(invalid("op must be add, remove or replace.")),
    };
    let value = (!this.value_json.is_empty()).then(|| value(&this.value_json)).transpose()?;
    Ok(Operation { op, path: (!this.path.is_empty()).then_some(this.path), value })
}

/// One JSON value under the rules for bodies, which are told of objects.
fn value(json: &[u8]) -> Result<Value, Refusal> {
    const NAME: &str = "value";
    let body = [b"{\"value\":".as_slice(), json, b"}"].concat();
    let mut body = scim::json::parse_object(&body).map_err(from_scim)?;
    match (body.remove(NAME), body.is_empty()) {
        (Some(value), true) => Ok(value),
        _ => Err(invalid("value_json must be one JSON value.")),
    }
}

pub(super) fn user(shown: ShownUser) -> proto::User {
    let ShownUser { user, groups, changed, notes } = shown;
    proto::User {
        id: user.id.to_string(),
        user_name: user.user_name,
        external_id: user.external_id,
        active: user.active,
        display_name: user.display_name.unwrap_or_default(),
        primary_email: user.primary_email.unwrap_or_default(),
        version: user.version,
        created_at: Some(instant(user.created)),
        modified_at: Some(instant(user.modified)),
        resource_json: user.resource.into_bytes().into(),
        groups: groups.into_iter().map(group_reference).collect(),
        changed,
        ignored: notes.ignored,
        coerced: notes.coerced.into_iter().map(str::to_owned).collect(),
    }
}

pub(super) fn group_reference(this: GroupOfUser) -> proto::GroupReference {
    proto::GroupReference { id: this.id.to_string(), display_name: this.display_name, direct: this.direct }
}

pub(super) fn group(shown: ShownGroup) -> proto::Group {
    let ShownGroup { group, members, changed, notes } = shown;
    proto::Group {
        id: group.id.to_string(),
        display_name: group.display_name,
        external_id: group.external_id,
        version: group.version,
        created_at: Some(instant(group.created)),
        modified_at: Some(instant(group.modified)),
        resource_json: group.resource.into_bytes().into(),
        next_member_page_token: next_page(&members.members, members.more),
        members: members.members.into_iter().map(member).collect(),
        changed,
        ignored: notes.ignored,
        coerced: notes.coerced.into_iter().map(str::to_owned).collect(),
    }
}

pub(super) fn member(this: Member) -> proto::Member {
    let r#type = match this.r#type {
        MemberType::User => proto::MemberType::User,
        MemberType::Group => proto::MemberType::Group,
    };
    proto::Member { id: this.id.0.as_bytes().to_vec().into(), r#type: r#type.into() }
}

/// A page of members continues after the last one.
pub(super) fn next_page(members: &[Member], more: bool) -> String {
    members.last().filter(|_| more).map(|last| last.id.to_string()).unwrap_or_default()
}

pub(super) fn organization(shown: ShownOrganization) -> proto::Organization {
    let ShownOrganization { organization: this, now, users } = shown;
    let terms = this.terms;
    let count = |n: i64| u64::try_from(n).unwrap_or(0);
    proto::Organization {
        id: this.id.to_string(),
        scim_entitled: this.gate().entitled(now),
        slug: this.slug,
        name: this.name,
        plan: this.plan,
        plan_expires_at: terms.expires_at.map(instant),
        plan_grace_ends_at: terms.grace_ends_at().map(instant),
        max_users: terms.max_users.map(count),
        oauth_entitled: terms.oauth && terms.standing(now) != Standing::Ended,
        users: users.map(count),
        scim_enabled: this.scim_enabled,
        requests_per_second: this.requests_per_second,
        deletion_grace_days: this.deletion_grace_days,
        hold_percent: this.hold_percent,
        requests_watched_until: this.requests_watched_until.filter(|until| *until > now).map(instant),
        created_at: Some(instant(this.created)),
        modified_at: Some(instant(this.modified)),
    }
}

pub(super) fn schema(this: AddedSchema) -> proto::SchemaExtension {
    proto::SchemaExtension {
        id: this.extension.schema.id.clone(),
        resource_type: this.extension.extends.as_str().to_owned(),
        document_json: this.extension.document().to_string().into_bytes().into(),
        created_at: Some(instant(this.created)),
    }
}

pub(super) fn instant(this: Instant) -> prost_types::Timestamp {
    to_timestamp(this.as_micros())
}

pub(super) fn invalid(message: &str) -> Refusal {
    Refusal::new(Reason::InvalidArgument, message)
}
