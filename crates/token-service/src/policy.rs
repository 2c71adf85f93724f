//! What an organization's new tokens may be: how long they live, and whether they may live for ever.

use store::{Failure, Instant};
use wire::{
    Reason, Refusal,
    token::{GetTokenPolicyRequest, SetTokenPolicyRequest, TokenPolicy},
};

use crate::{
    Service,
    caller::Caller,
    error::refusal,
    expiry::DAY_MICROS,
    grpc::organization,
    store::{self as tokens, EventId, Kind, OrgId, Policy},
};

const DEFAULT_TTL_DAYS: i64 = 365;
const LONGEST_TTL_DAYS: i64 = 3650;

impl Service {
    pub(crate) async fn policy(&self, request: GetTokenPolicyRequest) -> Result<TokenPolicy, Refusal> {
        let org = organization(&request.organization_id)?;
        let found = self.inner.db.of(org).read(move |connection| Ok(tokens::policy_get(connection, org)?));
        Ok(to_wire(org, found.await.map_err(refusal)?))
    }

    pub(crate) async fn set_policy(&self, request: SetTokenPolicyRequest) -> Result<TokenPolicy, Refusal> {
        let org = organization(&request.organization_id)?;
        let caller = Caller::from_wire(request.caller)?;
        let max_ttl_days = request.max_ttl_days.map(i64::from);
        if let Some(days) = max_ttl_days.filter(|days| *days > LONGEST_TTL_DAYS) {
            let detail =
                format!("No token can live for {days} days. Choose 1 to {LONGEST_TTL_DAYS}, or 0 for no maximum.");
            return Err(Refusal::new(Reason::InvalidArgument, detail));
        }
        let (event, at) = (EventId(self.inner.ids.next()), self.inner.clock.now());
        let written = self.inner.db.of(org).write(move |connection| {
            let before = tokens::policy_get(connection, org)?;
            let policy = Policy {
                max_ttl_days: max_ttl_days.map_or(before.max_ttl_days, |days| Some(days).filter(|days| *days > 0)),
                allow_never: request.allow_never.unwrap_or(before.allow_never),
            };
            if policy != before {
                tokens::policy_put(connection, org, policy)?;
                tokens::event_insert(connection, org, event, None, Kind::PolicySet, &caller, at)?;
            }
            Ok::<_, Failure<Refusal>>(policy)
        });
        Ok(to_wire(org, written.await.map_err(refusal)?))
    }
}

/// When a token made now expires.
pub(crate) fn expiry(policy: Policy, ttl_days: Option<u32>, now: Instant) -> Result<Option<Instant>, Refusal> {
    let longest = policy.max_ttl_days.unwrap_or(LONGEST_TTL_DAYS);
    let days = match ttl_days {
        None => DEFAULT_TTL_DAYS.min(longest),
        Some(0) if policy.allow_never => return Ok(None),
        Some(0) => {
            return Err(Refusal::new(
                Reason::InvalidArgument,
                format!(
                    "The organization's token policy does not allow a token that never expires. Choose 1 to {longest} \
                     days, or allow it: rollcall token policy ORG --allow-never true."
                ),
            ));
        }
        Some(days) if i64::from(days) <= longest => i64::from(days),
        Some(days) if i64::from(days) <= LONGEST_TTL_DAYS => {
            return Err(Refusal::new(
                Reason::InvalidArgument,
                format!(
                    "The organization's token policy allows no token of {days} days. Choose 1 to {longest}, or change \
                     it: rollcall token policy ORG --max-ttl-days N."
                ),
            ));
        }
        Some(days) => {
            return Err(Refusal::new(
                Reason::InvalidArgument,
                format!("A token cannot live for {days} days. Choose 1 to {longest}, or 0 for one that never expires."),
            ));
        }
    };
    Ok(Some(now.saturating_add_micros(days * DAY_MICROS)))
}

fn to_wire(org: OrgId, policy: Policy) -> TokenPolicy {
    TokenPolicy {
        organization_id: org.to_string(),
        max_ttl_days: policy.max_ttl_days.and_then(|days| u32::try_from(days).ok()),
        allow_never: policy.allow_never,
    }
}
