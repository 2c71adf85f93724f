//! Organizations and their settings.

use ::store::{AnyConnection, Instant};
use serde_json::{Value, json};
use wire::{Reason, Refusal};

use super::{Core, Scope, organization_not_found, organization_of};
use crate::{
    domain::{
        OrgId,
        access::plan_lapsed,
        actor::Actor,
        event::{Kind, NewEvent},
        organization::{Organization, Plan, check_name, check_slug},
    },
    error::{Refused, refused},
    store::{organization, violates},
};

/// What an organization is created with.
#[derive(Clone, Debug)]
pub(crate) struct NewOrganization {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) plan: Plan,
}

impl Core {
    pub(crate) async fn organization_create(
        &self,
        actor: Actor,
        new: NewOrganization,
    ) -> Result<(Organization, Instant), Refusal> {
        not_a_client(&actor)?;
        check_slug(&new.slug)?;
        check_name(&new.name)?;
        let now = self.clock.now();
        let organization = Organization {
            id: OrgId(self.ids.next()),
            slug: new.slug,
            name: new.name,
            plan: new.plan.as_str().to_owned(),
            scim_entitled: new.plan.includes_scim(),
            plan_expires_at: None,
            scim_enabled: false,
            requests_per_second: None,
            created: now,
            modified: now,
        };
        let core = self.clone();
        let scope = Scope { org: organization.id, actor };
        self.write(move |conn| {
            organization::organization_insert(conn, &organization).map_err(|error| {
                if violates(&error, organization::SLUG) {
                    let message = format!("The slug {:?} is taken. Choose another one.", organization.slug);
                    return refused(Reason::Uniqueness, message);
                }
                error.into()
            })?;
            let after = json!({
                "slug": organization.slug,
                "name": organization.name,
                "plan": organization.plan,
                "scim_enabled": organization.scim_enabled,
            });
            let event = NewEvent {
                kind: Kind::OrganizationCreated,
                subject: organization.id.0,
                delta: json!({"after": after}),
            };
            core.record(conn, &scope, now, &[event])?;
            Ok((organization.clone(), now))
        })
        .await
    }

    pub(crate) async fn organization_get(&self, org: OrgId) -> Result<(Organization, Instant), Refusal> {
        let now = self.clock.now();
        self.seek(move |conn| Ok((organization_of(conn, org)?, now))).await
    }

    pub(crate) async fn organization_by_slug(&self, slug: String) -> Result<(Organization, Instant), Refusal> {
        check_slug(&slug).map_err(|_| organization_not_found())?;
        let now = self.clock.now();
        self.seek(move |conn| {
            let found = organization::organization_by_slug(conn, &slug)?;
            Ok((found.ok_or_else(|| Refused::Refused(organization_not_found()))?, now))
        })
        .await
    }

    /// Those after a slug.
    pub(crate) async fn organization_page(
        &self,
        after: String,
        limit: u32,
    ) -> Result<(Vec<Organization>, Instant), Refusal> {
        let now = self.clock.now();
        self.read(move |conn| Ok((organization::organization_page(conn, &after, limit)?, now))).await
    }

    pub(crate) async fn scim_enabled_set(
        &self,
        scope: Scope,
        enabled: bool,
    ) -> Result<(Organization, Instant), Refusal> {
        let kind = if enabled { Kind::ScimEnabled } else { Kind::ScimDisabled };
        self.setting(scope, kind, move |organization, now| {
            if enabled && !organization.entitled(now) {
                return Err(plan_lapsed());
            }
            let delta = json!({
                "before": {"scim_enabled": organization.scim_enabled},
                "after": {"scim_enabled": enabled},
            });
            organization.scim_enabled = enabled;
            Ok(delta)
        })
        .await
    }

    pub(crate) async fn request_limit_set(
        &self,
        scope: Scope,
        requests_per_second: Option<u32>,
    ) -> Result<(Organization, Instant), Refusal> {
        self.setting(scope, Kind::RequestLimitChanged, move |organization, _| {
            let delta = json!({
                "before": {"requests_per_second": organization.requests_per_second},
                "after": {"requests_per_second": requests_per_second},
            });
            organization.requests_per_second = requests_per_second;
            Ok(delta)
        })
        .await
    }

    pub(crate) async fn plan_set(
        &self,
        scope: Scope,
        plan: Plan,
        expires_at: Option<Instant>,
    ) -> Result<(Organization, Instant), Refusal> {
        self.setting(scope, Kind::PlanChanged, move |organization, _| {
            let shown = |this: &Organization| {
                let expires_at = this.plan_expires_at.map(|end| end.to_string());
                json!({"plan": this.plan, "plan_expires_at": expires_at})
            };
            let before = shown(organization);
            plan.as_str().clone_into(&mut organization.plan);
            organization.scim_entitled = plan.includes_scim();
            organization.plan_expires_at = expires_at;
            Ok(json!({"before": before, "after": shown(organization)}))
        })
        .await
    }

    /// Changes a setting. One that was so already is neither written nor recorded.
    async fn setting<F>(&self, scope: Scope, kind: Kind, change: F) -> Result<(Organization, Instant), Refusal>
    where
        F: Fn(&mut Organization, Instant) -> Result<Value, Refusal> + Send + 'static,
    {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(move |conn| {
            let before = organization_lock(conn, scope.org)?;
            let mut after = before.clone();
            let delta = change(&mut after, now).map_err(Refused::Refused)?;
            if after == before {
                return Ok((before, now));
            }
            after.modified = now.max(before.modified);
            organization::organization_settings(conn, &after)?;
            core.record(conn, &scope, now, &[NewEvent { kind, subject: scope.org.0, delta }])?;
            Ok((after, now))
        })
        .await
    }
}

pub(super) fn organization_lock(conn: &mut AnyConnection, org: OrgId) -> Result<Organization, Refused> {
    organization::organization_lock(conn, org)?;
    organization_of(conn, org)
}

/// A SCIM token provisions; it does not administer.
pub(super) fn not_a_client(actor: &Actor) -> Result<(), Refusal> {
    if actor.is_scim_client() {
        let message = "A SCIM client cannot administer organizations. Use the administrator credential.";
        return Err(Refusal::new(Reason::InvalidArgument, message));
    }
    Ok(())
}
