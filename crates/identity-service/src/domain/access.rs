//! The SCIM gate: what the organization's switch and plan allow a caller.

use store::Instant;
use wire::{Reason, Refusal};

use super::{actor::Actor, organization::Organization};

/// What a caller may do in an organization, as it stood when the row was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    may_change: bool,
}

impl Access {
    /// # Errors
    /// [`Reason::ScimDisabled`].
    pub(crate) fn of(actor: &Actor, organization: &Organization, now: Instant) -> Result<Self, Refusal> {
        if !actor.is_scim_client() {
            return Ok(Self { may_change: true });
        }
        if !organization.scim_enabled {
            return Err(Refusal::new(
                Reason::ScimDisabled,
                "SCIM is switched off for this organization. An administrator can switch it on again in Rollcall.",
            ));
        }
        Ok(Self { may_change: organization.entitled(now) })
    }

    /// For what a lapsed plan forbids: creating and changing, but never taking access away.
    ///
    /// # Errors
    /// [`Reason::PlanLapsed`].
    pub(crate) fn to_change(self) -> Result<(), Refusal> {
        if self.may_change { Ok(()) } else { Err(plan_lapsed()) }
    }
}

pub(crate) fn plan_lapsed() -> Refusal {
    Refusal::new(
        Reason::PlanLapsed,
        "The organization's plan does not include SCIM now. Reading, deactivating and removing still work; renew the \
         plan to create and change.",
    )
}
