//! The SCIM gate: what the organization's switch and plan allow a caller.

use store::Instant;
use wire::{Reason, Refusal};

use super::{actor::Actor, organization::Gate, plan::plan_lapsed};

/// What a caller may do in an organization, as it stood when the row was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    may_change: bool,
    /// When the plan's days of grace were over.
    ended: Option<Instant>,
}

impl Access {
    /// # Errors
    /// [`Reason::ScimDisabled`].
    pub(crate) fn of(actor: &Actor, gate: &Gate, now: Instant) -> Result<Self, Refusal> {
        if !actor.is_scim_client() {
            return Ok(Self { may_change: true, ended: None });
        }
        if !gate.scim_enabled {
            return Err(Refusal::new(
                Reason::ScimDisabled,
                "SCIM is switched off for this organization. An administrator can switch it on again in Rollcall.",
            ));
        }
        Ok(Self { may_change: gate.entitled(now), ended: gate.ended(now) })
    }

    /// For what a lapsed plan forbids: creating and changing, but never taking access away.
    ///
    /// # Errors
    /// [`Reason::PlanLapsed`].
    pub(crate) fn to_change(self) -> Result<(), Refusal> {
        if self.may_change { Ok(()) } else { Err(plan_lapsed(self.ended)) }
    }
}

/// Whether a write goes on, for the database that asks before it. `change`: one that a lapsed plan forbids.
pub(crate) fn is_open(gate: &Gate, actor: &Actor, change: bool, now: Instant) -> bool {
    Access::of(actor, gate, now).is_ok_and(|access| !change || access.may_change)
}
