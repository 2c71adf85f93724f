//! What the service does, as units of work: each is one transaction, or one read.
//!
//! Not here: protobuf (`grpc`), SQL (`store`).

mod account_keys;
mod accounts;
mod admins;
mod agents;
mod deleted_users;
mod groups;
mod holds;
mod leaving;
mod lists;
mod mails;
mod org_keys;
mod organizations;
mod request_log;
mod schemas;
mod sessions;
mod sign_in;
mod users;

use ::store::{AnyConnection, Clock, Db, Ids, Instant, Random};
use uuid::Uuid;
use wire::{Reason, Refusal};

use crate::{
    deletions::Deletions,
    domain::{
        OrgId,
        access::Access,
        actor::Actor,
        deletion::DEFAULT_GRACE_DAYS,
        event::NewEvent,
        idempotency::{IdempotencyKey, reused},
        keys::OpaqueSetUps,
        organization::{Gate, Organization},
        sealing::SealingKey,
    },
    error::{Refused, refusal, refused},
    expiry::Expiry,
    mailer::Mailer,
    plan_notices::PlanNotices,
    sequencer::Sequencer,
    store::{
        event,
        event::{Author, EventRow},
        idempotency,
        idempotency::Claim,
        organization,
    },
    turns::Turns,
    walks::Walks,
};

pub(crate) use account_keys::Unlocked;
pub(crate) use accounts::{LISTED, is_invited};
pub(crate) use admins::{NewInvite, admin_not_found};
pub(crate) use deleted_users::{Restored, leave_some, return_some};
pub(crate) use groups::ShownGroup;
pub(crate) use holds::{Given, ShownHold, Watched, give_back, hold_end, watch_some};
pub(crate) use mails::{is_told, mail_admins};
pub(crate) use org_keys::{AT_ONCE, By, Granted, NewOrgKey};
pub(crate) use organizations::{NewOrganization, ShownOrganization, plan_delta};
pub(crate) use request_log::Report;
pub(crate) use schemas::{AddedSchema, TypesCache};
pub(crate) use sign_in::NewProvider;
pub(crate) use users::ShownUser;

/// What every operation needs. Clones share it.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    pub(crate) random: Random,
    pub(crate) sequencer: Sequencer,
    pub(crate) expiry: Expiry,
    pub(crate) deletions: Deletions,
    pub(crate) mailer: Mailer,
    pub(crate) turns: Turns,
    pub(crate) plan_notices: PlanNotices,
    pub(crate) walks: Walks,
    pub(crate) types_cache: TypesCache,
    pub(crate) sealing_key: SealingKey,
    pub(crate) opaque_set_ups: OpaqueSetUps,
}

/// Who does something, where, and when: the first things that each unit of work is about.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) org: OrgId,
    pub(crate) actor: Actor,
}

impl Scope {
    /// Reads the organization and says what it allows. In the transaction of the work itself.
    fn enter(&self, conn: &mut AnyConnection, now: Instant) -> Result<Access, Refused> {
        self.access(organization::organization_gate(conn, self.org)?, now)
    }

    /// The same for a deletion: the days in which it can be undone.
    fn enter_to_delete(&self, conn: &mut AnyConnection, now: Instant) -> Result<u32, Refused> {
        let found = organization::organization_gate_to_delete(conn, self.org)?;
        self.access(found.map(|(gate, _)| gate), now)?;
        Ok(found.map_or(DEFAULT_GRACE_DAYS, |(_, days)| days))
    }

    /// The same for a read, which needs to know more of the organization.
    fn enter_to_read(&self, conn: &mut AnyConnection, now: Instant) -> Result<Gate, Refused> {
        let gate = self.gate(conn)?;
        self.access(Some(gate), now)?;
        Ok(gate)
    }

    fn gate(&self, conn: &mut AnyConnection) -> Result<Gate, Refused> {
        organization::organization_gate(conn, self.org)?.ok_or_else(|| Refused::Refused(organization_not_found()))
    }

    /// What the organization allows, as it was read. `None`: there is none.
    fn access(&self, gate: Option<Gate>, now: Instant) -> Result<Access, Refused> {
        let gate = gate.ok_or_else(|| Refused::Refused(organization_not_found()))?;
        Access::of(&self.actor, &gate, now).map_err(Refused::Refused)
    }
}

impl Core {
    /// Runs a unit of work that reads by unique keys.
    async fn seek<T, F>(&self, org: OrgId, f: F) -> Result<T, Refusal>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Refused> + Send + 'static,
        T: Send + 'static,
    {
        self.db.of(org).seek(f).await.map_err(refusal)
    }

    /// Runs a unit of work that reads pages.
    async fn read<T, F>(&self, org: OrgId, f: F) -> Result<T, Refusal>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Refused> + Send + 'static,
        T: Send + 'static,
    {
        self.db.of(org).read(f).await.map_err(refusal)
    }

    /// Runs a unit of work that shows what several statements read as one thing.
    async fn snapshot<T, F>(&self, org: OrgId, f: F) -> Result<T, Refusal>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Refused> + Send + 'static,
        T: Send + 'static,
    {
        self.db.of(org).snapshot(f).await.map_err(refusal)
    }

    /// Runs a transaction, and has its events numbered soon.
    async fn write<T, F>(&self, org: OrgId, f: F) -> Result<T, Refusal>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Refused> + Send + 'static,
        T: Send + 'static,
    {
        let done = self.db.of(org).write(f).await.map_err(|failure| self.told(org, failure))?;
        self.sequencer.poke(org);
        Ok(done)
    }

    /// What the caller is told; a refusal by the plan becomes an event.
    fn told(&self, org: OrgId, failure: Refused) -> Refusal {
        let refusal = refusal(failure);
        if let Some(entitlement) = refusal.entitlement {
            self.plan_notices.refused(org, entitlement, self.clock.now());
        }
        refusal
    }

    /// A request that is wrong in itself is refused as such only where the organization takes requests at all.
    pub(crate) async fn checked<T>(&self, scope: &Scope, request: Result<T, Refusal>) -> Result<T, Refusal> {
        match request {
            Ok(request) => Ok(request),
            Err(wrong) => {
                let (scope, now) = (scope.clone(), self.clock.now());
                self.seek(scope.org, move |conn| scope.enter(conn, now).map(drop)).await?;
                Err(wrong)
            }
        }
    }

    /// Numbered events after a number, oldest first.
    pub(crate) async fn events(&self, org: OrgId, after: i64, limit: u32) -> Result<Vec<EventRow>, Refusal> {
        self.read(org, move |conn| {
            organization_of(conn, org)?;
            Ok(event::event_page(conn, org, after, limit)?)
        })
        .await
    }

    /// Whether a create that came with a key was done before: then the resource it made.
    fn replayed(
        conn: &mut AnyConnection,
        scope: &Scope,
        key: &IdempotencyKey,
        new: Uuid,
        digest: &[u8],
        now: Instant,
    ) -> Result<Option<Uuid>, Refused> {
        match idempotency::key_claim(conn, scope.org, &scope.actor.key(), key, new, digest, now)? {
            Claim::Taken => Ok(None),
            Claim::Known { resource, digest: of_then } if of_then == digest => Ok(Some(resource)),
            Claim::Known { .. } => Err(Refused::Refused(reused())),
        }
    }

    fn record(
        &self,
        conn: &mut AnyConnection,
        scope: &Scope,
        now: Instant,
        events: &[NewEvent],
    ) -> Result<(), Refused> {
        Ok(event::events_append(conn, scope.org, &self.author(scope, now), events)?)
    }

    fn author<'a>(&'a self, scope: &'a Scope, now: Instant) -> Author<'a> {
        Author { actor: &scope.actor, now, ids: &self.ids }
    }
}

fn organization_of(conn: &mut AnyConnection, org: OrgId) -> Result<Organization, Refused> {
    organization::organization_get(conn, org)?.ok_or_else(|| Refused::Refused(organization_not_found()))
}

/// The answer to an organization that is not there.
pub(crate) fn organization_not_found() -> Refusal {
    Refusal::new(Reason::OrganizationNotFound, "There is no such organization. Look at the list of organizations.")
}

/// Tries of an optimistic change before the row is locked.
const OPTIMISTIC_TRIES: usize = 3;

fn contended() -> Refused {
    refused(Reason::Contended, "Others kept changing the same resource. Send the request again.")
}
