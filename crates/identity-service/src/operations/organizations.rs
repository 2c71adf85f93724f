//! Organizations and their settings.

use ::store::{AnyConnection, Instant};
use serde_json::{Value, json};
use wire::{Reason, Refusal};

use super::{Core, Scope, organization_not_found, organization_of};
use crate::{
    domain::{
        OrgId,
        actor::Actor,
        deletion::{DEFAULT_GRACE_DAYS, check_grace_days},
        event::{Kind, NewEvent},
        hold::{DEFAULT_PERCENT, check_percent},
        list::Target,
        organization::{Organization, check_name, check_slug},
        plan::{Plan, Terms, plan_lapsed},
        request_log::DEFAULT_DAYS,
    },
    error::{Refused, refusal, refused},
    store::{organization, rank, violates},
};

/// What an organization is created with.
#[derive(Clone, Debug)]
pub(crate) struct NewOrganization {
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) plan: Plan,
}

/// An organization as it is at an instant.
#[derive(Clone, Debug)]
pub(crate) struct ShownOrganization {
    pub(crate) organization: Organization,
    pub(crate) now: Instant,
    /// How many there are, where that was asked for and the plan has a maximum.
    pub(crate) users: Option<i64>,
}

impl ShownOrganization {
    pub(crate) fn new(organization: Organization, now: Instant) -> Self {
        Self { organization, now, users: None }
    }
}

impl Core {
    pub(crate) async fn organization_create(
        &self,
        actor: Actor,
        new: NewOrganization,
    ) -> Result<ShownOrganization, Refusal> {
        not_a_client(&actor)?;
        check_slug(&new.slug)?;
        check_name(&new.name)?;
        let now = self.clock.now();
        let organization = Organization {
            id: OrgId(self.ids.next()),
            slug: new.slug,
            name: new.name,
            plan: new.plan.as_str().to_owned(),
            terms: new.plan.terms(),
            plan_told: None,
            scim_enabled: false,
            requests_per_second: None,
            nested_groups: false,
            deletion_grace_days: DEFAULT_GRACE_DAYS,
            hold_percent: DEFAULT_PERCENT,
            request_log_days: DEFAULT_DAYS,
            requests_watched_until: None,
            created: now,
            modified: now,
        };
        let core = self.clone();
        let scope = Scope { org: organization.id, actor };
        self.write(scope.org, move |conn| {
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
            Ok(ShownOrganization::new(organization.clone(), now))
        })
        .await
    }

    pub(crate) async fn organization_get(&self, org: OrgId) -> Result<ShownOrganization, Refusal> {
        let now = self.clock.now();
        self.seek(org, move |conn| {
            let found = organization_of(conn, org)?;
            with_users(conn, found, now)
        })
        .await
    }

    pub(crate) async fn organization_by_slug(&self, slug: String) -> Result<ShownOrganization, Refusal> {
        check_slug(&slug).map_err(|_| organization_not_found())?;
        let find = move |conn: &mut AnyConnection| Ok(organization::organization_by_slug(conn, &slug)?);
        let found = self.db.across().seek(find).await.map_err(refusal)?.ok_or_else(organization_not_found)?;
        self.organization_get(found.id).await
    }

    /// Those after a slug.
    pub(crate) async fn organization_page(
        &self,
        after: String,
        limit: u32,
    ) -> Result<(Vec<Organization>, Instant), Refusal> {
        let now = self.clock.now();
        let page = move |conn: &mut AnyConnection| Ok((organization::organization_page(conn, &after, limit)?, now));
        self.db.across().read(page).await.map_err(refusal)
    }

    pub(crate) async fn scim_enabled_set(&self, scope: Scope, enabled: bool) -> Result<ShownOrganization, Refusal> {
        let kind = if enabled { Kind::ScimEnabled } else { Kind::ScimDisabled };
        self.setting(scope, kind, move |organization, now| {
            if enabled && !organization.gate().entitled(now) {
                // No event: who administers is told by the answer.
                return Err(Refusal { entitlement: None, ..plan_lapsed(organization.gate().ended(now)) });
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
    ) -> Result<ShownOrganization, Refusal> {
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

    pub(crate) async fn plan_set(&self, scope: Scope, plan: Plan, terms: Terms) -> Result<ShownOrganization, Refusal> {
        terms.check()?;
        let changed = self.setting(scope, Kind::PlanChanged, move |organization, _| {
            let before = plan_delta(organization);
            plan.as_str().clone_into(&mut organization.plan);
            if organization.terms != terms {
                organization.terms = terms;
                organization.plan_told = None;
            }
            Ok(json!({"before": before, "after": plan_delta(organization)}))
        });
        let changed = changed.await?;
        // Where it has ended already, the organization is told now.
        self.plan_notices.poke();
        Ok(changed)
    }

    /// Absent: as it is.
    pub(crate) async fn deletion_policy_set(
        &self,
        scope: Scope,
        grace_days: Option<u32>,
        hold_percent: Option<u32>,
    ) -> Result<ShownOrganization, Refusal> {
        grace_days.map_or(Ok(()), check_grace_days)?;
        hold_percent.map_or(Ok(()), check_percent)?;
        self.setting(scope, Kind::DeletionPolicyChanged, move |organization, _| {
            let shown =
                |of: &Organization| json!({"grace_days": of.deletion_grace_days, "hold_percent": of.hold_percent});
            let before = shown(organization);
            organization.deletion_grace_days = grace_days.unwrap_or(organization.deletion_grace_days);
            organization.hold_percent = hold_percent.unwrap_or(organization.hold_percent);
            Ok(json!({"before": before, "after": shown(organization)}))
        })
        .await
    }

    /// Changes a setting. One that was so already is neither written nor recorded.
    async fn setting<F>(&self, scope: Scope, kind: Kind, change: F) -> Result<ShownOrganization, Refusal>
    where
        F: Fn(&mut Organization, Instant) -> Result<Value, Refusal> + Send + 'static,
    {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            let before = organization_lock(conn, scope.org)?;
            let mut after = before.clone();
            let delta = change(&mut after, now).map_err(Refused::Refused)?;
            if after == before {
                return Ok(ShownOrganization::new(before, now));
            }
            after.modified = now.max(before.modified);
            organization::organization_settings(conn, &after)?;
            core.record(conn, &scope, now, &[NewEvent { kind, subject: scope.org.0, delta }])?;
            Ok(ShownOrganization::new(after, now))
        })
        .await
    }
}

fn with_users(conn: &mut AnyConnection, found: Organization, now: Instant) -> Result<ShownOrganization, Refused> {
    let users = match found.terms.max_users {
        Some(_) => Some(rank::rank_total(conn, found.id, Target::User)?),
        None => None,
    };
    Ok(ShownOrganization { users, ..ShownOrganization::new(found, now) })
}

/// The plan as events show it.
pub(crate) fn plan_delta(this: &Organization) -> Value {
    let text = |instant: Option<Instant>| instant.map(|instant| instant.to_string());
    json!({
        "plan": this.plan,
        "plan_expires_at": text(this.terms.expires_at),
        "plan_grace_ends_at": text(this.terms.grace_ends_at()),
        "max_users": this.terms.max_users,
        "oauth": this.terms.oauth,
    })
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
