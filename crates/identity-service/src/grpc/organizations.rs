//! Organizations.

use store::Instant;
use tonic::Request;
use wire::{
    Refusal, from_timestamp,
    identity::{self as proto, get_organization_request::Key, organization_service_server::OrganizationService},
    received,
};

use super::{
    Reply,
    convert::{actor, invalid, org_id, organization, schema, scope},
    reply,
};
use crate::{
    domain::{
        list::{DEFAULT_PAGE, page_size},
        organization::check_slug,
        plan::{DEFAULT_GRACE_DAYS, Plan, Terms},
    },
    operations::{Core, NewOrganization, ShownOrganization},
};

/// `rollcall.identity.v1.OrganizationService`.
pub(crate) struct Organizations(pub(crate) Core);

#[tonic::async_trait]
impl OrganizationService for Organizations {
    async fn create_organization(
        &self,
        request: Request<proto::CreateOrganizationRequest>,
    ) -> Reply<proto::Organization> {
        reply(create(&self.0, received(request)?).await)
    }

    async fn get_organization(&self, request: Request<proto::GetOrganizationRequest>) -> Reply<proto::Organization> {
        reply(get(&self.0, request.into_inner()).await)
    }

    async fn list_organizations(
        &self,
        request: Request<proto::ListOrganizationsRequest>,
    ) -> Reply<proto::ListOrganizationsResponse> {
        reply(list(&self.0, request.into_inner()).await)
    }

    async fn set_scim_enabled(&self, request: Request<proto::SetScimEnabledRequest>) -> Reply<proto::Organization> {
        reply(set_scim_enabled(&self.0, received(request)?).await)
    }

    async fn set_request_limit(&self, request: Request<proto::SetRequestLimitRequest>) -> Reply<proto::Organization> {
        reply(set_request_limit(&self.0, received(request)?).await)
    }

    async fn set_plan(&self, request: Request<proto::SetPlanRequest>) -> Reply<proto::Organization> {
        reply(set_plan(&self.0, received(request)?).await)
    }

    async fn set_deletion_policy(
        &self,
        request: Request<proto::SetDeletionPolicyRequest>,
    ) -> Reply<proto::Organization> {
        reply(set_deletion_policy(&self.0, received(request)?).await)
    }

    async fn add_schema(&self, request: Request<proto::AddSchemaRequest>) -> Reply<proto::SchemaExtension> {
        reply(add_schema(&self.0, received(request)?).await)
    }

    async fn list_schemas(&self, request: Request<proto::ListSchemasRequest>) -> Reply<proto::ListSchemasResponse> {
        reply(list_schemas(&self.0, request.into_inner()).await)
    }
}

async fn create(core: &Core, request: proto::CreateOrganizationRequest) -> Result<proto::Organization, Refusal> {
    let actor = actor(request.caller)?;
    let plan = Plan::parse(&request.plan)?;
    let new = NewOrganization { slug: request.slug, name: request.name, plan };
    core.organization_create(actor, new).await.map(organization)
}

async fn get(core: &Core, request: proto::GetOrganizationRequest) -> Result<proto::Organization, Refusal> {
    let found = match request.key {
        Some(Key::Id(id)) => core.organization_get(org_id(&id)?).await,
        Some(Key::Slug(slug)) => core.organization_by_slug(slug).await,
        None => Err(invalid("key is missing: give id or slug.")),
    };
    found.map(organization)
}

async fn list(
    core: &Core,
    request: proto::ListOrganizationsRequest,
) -> Result<proto::ListOrganizationsResponse, Refusal> {
    let limit = page_size(request.page_size, DEFAULT_PAGE);
    if !request.page_token.is_empty() {
        check_slug(&request.page_token).map_err(|_| invalid("page_token is not one that was given out."))?;
    }
    let (mut page, now) = core.organization_page(request.page_token, limit + 1).await?;
    let more = page.len() > limit as usize;
    page.truncate(limit as usize);
    let next_page_token = page.last().filter(|_| more).map(|last| last.slug.clone()).unwrap_or_default();
    let organizations = page.into_iter().map(|this| organization(ShownOrganization::new(this, now))).collect();
    Ok(proto::ListOrganizationsResponse { organizations, next_page_token })
}

async fn set_scim_enabled(core: &Core, request: proto::SetScimEnabledRequest) -> Result<proto::Organization, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    core.scim_enabled_set(scope, request.enabled).await.map(organization)
}

async fn set_request_limit(
    core: &Core,
    request: proto::SetRequestLimitRequest,
) -> Result<proto::Organization, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    core.request_limit_set(scope, request.requests_per_second).await.map(organization)
}

async fn set_plan(core: &Core, request: proto::SetPlanRequest) -> Result<proto::Organization, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    if request.plan.is_empty() {
        return Err(invalid("plan is missing. Use free or enterprise."));
    }
    let plan = Plan::parse(&request.plan)?;
    let included = plan.terms();
    let terms = Terms {
        expires_at: request.expires_at.map(|end| Instant::from_micros(from_timestamp(&end))),
        grace_days: request.grace_days.unwrap_or(DEFAULT_GRACE_DAYS),
        max_users: request.max_users.map(|most| i64::try_from(most).unwrap_or(i64::MAX)),
        oauth: request.oauth.unwrap_or(included.oauth),
        ..included
    };
    core.plan_set(scope, plan, terms).await.map(organization)
}

async fn set_deletion_policy(
    core: &Core,
    request: proto::SetDeletionPolicyRequest,
) -> Result<proto::Organization, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    core.deletion_policy_set(scope, request.grace_days, request.hold_percent).await.map(organization)
}

async fn add_schema(core: &Core, request: proto::AddSchemaRequest) -> Result<proto::SchemaExtension, Refusal> {
    let scope = scope(&request.organization_id, request.caller)?;
    core.schema_add(scope, &request.document_json).await.map(schema)
}

async fn list_schemas(core: &Core, request: proto::ListSchemasRequest) -> Result<proto::ListSchemasResponse, Refusal> {
    let schemas = core.schema_list(org_id(&request.organization_id)?).await?;
    Ok(proto::ListSchemasResponse { schemas: schemas.into_iter().map(schema).collect() })
}
