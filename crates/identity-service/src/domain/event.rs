//! Events: what changed, who did it, and the chain that makes a missing or altered one visible.

use sha2::{Digest as _, Sha256};
use store::Instant;
use uuid::Uuid;

use super::OrgId;

/// The hash before the first event of an organization.
pub(crate) const GENESIS: [u8; 32] = [0; 32];

/// A change, not yet numbered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NewEvent {
    pub(crate) kind: Kind,
    pub(crate) subject: Uuid,
    /// JSON object; holds personal data, never a secret.
    pub(crate) delta: serde_json::Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OrganizationCreated,
    ScimEnabled,
    ScimDisabled,
    RequestLimitChanged,
    PlanChanged,
    /// The plan has ended, and its days of grace have begun.
    PlanLapsed,
    /// The days of grace are over.
    PlanEnded,
    /// Changes were refused because of the plan.
    PlanRefused,
    DeletionPolicyChanged,
    ProvisioningLogChanged,
    SchemaAdded,
    SignInProviderSet,
    SignInProviderRemoved,
    AdminInvited,
    AdminInviteRemoved,
    AdminInviteAccepted,
    AdminRoleSet,
    AdminRemoved,
    AdminSignedIn,
    /// The provider named somebody who may not sign in.
    AdminSignInRefused,
    AdminSessionRevoked,
    AccountPolicySet,
    OrganizationKeyCreated,
    OrganizationKeyRotated,
    AccountSignedIn,
    /// The provider named somebody who has no account.
    AccountSignInRefused,
    /// Which account of the provider it signs in by was forgotten.
    AccountUnlinked,
    /// A user was told by mail where to set up.
    AccountInvited,
    AccountKeysSetUp,
    /// New keys, since those before cannot be used any more.
    AccountKeysReset,
    /// There were too many guesses; once in a while.
    AccountUnlockRefused,
    /// The kit unlocked it.
    AccountRecovered,
    AccountPasswordChanged,
    /// It was given the organization key.
    AccountConfirmed,
    /// An agent that is to confirm members, without keys yet.
    AgentCreated,
    AgentEnrolled,
    /// It was given the organization key.
    AgentConfirmed,
    AgentRevoked,
    UserCreated,
    UserUpdated,
    UserDeleted,
    /// A deleted user is there again.
    UserRestored,
    /// A deleted user is erased, and can be restored no more.
    UserPurged,
    /// Many users lost their access at once.
    HoldOpened,
    HoldApproved,
    /// An administrator wants those it is about restored.
    HoldRestoring,
    /// They are, but for those that are named.
    HoldRestored,
    GroupCreated,
    GroupUpdated,
    MembersChanged,
    GroupDeleted,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OrganizationCreated => "organization.created",
            Self::ScimEnabled => "organization.scim_enabled",
            Self::ScimDisabled => "organization.scim_disabled",
            Self::RequestLimitChanged => "organization.request_limit_changed",
            Self::PlanChanged => "organization.plan_changed",
            Self::PlanLapsed => "organization.plan_lapsed",
            Self::PlanEnded => "organization.plan_ended",
            Self::PlanRefused => "organization.plan_refused",
            Self::DeletionPolicyChanged => "organization.deletion_policy_changed",
            Self::ProvisioningLogChanged => "organization.provisioning_log_changed",
            Self::SchemaAdded => "organization.schema_added",
            Self::SignInProviderSet => "organization.sign_in_provider_set",
            Self::SignInProviderRemoved => "organization.sign_in_provider_removed",
            Self::AdminInvited => "admin.invited",
            Self::AdminInviteRemoved => "admin.invite_removed",
            Self::AdminInviteAccepted => "admin.invite_accepted",
            Self::AdminRoleSet => "admin.role_set",
            Self::AdminRemoved => "admin.removed",
            Self::AdminSignedIn => "admin.signed_in",
            Self::AdminSignInRefused => "admin.sign_in_refused",
            Self::AdminSessionRevoked => "admin.session_revoked",
            Self::AccountPolicySet => "organization.account_policy_set",
            Self::OrganizationKeyCreated => "organization.key_created",
            Self::OrganizationKeyRotated => "organization.key_rotated",
            Self::AccountSignedIn => "account.signed_in",
            Self::AccountSignInRefused => "account.sign_in_refused",
            Self::AccountUnlinked => "account.unlinked",
            Self::AccountInvited => "account.invited",
            Self::AccountKeysSetUp => "account.keys_set_up",
            Self::AccountKeysReset => "account.keys_reset",
            Self::AccountUnlockRefused => "account.unlock_refused",
            Self::AccountRecovered => "account.recovered",
            Self::AccountPasswordChanged => "account.password_changed",
            Self::AccountConfirmed => "account.confirmed",
            Self::AgentCreated => "agent.created",
            Self::AgentEnrolled => "agent.enrolled",
            Self::AgentConfirmed => "agent.confirmed",
            Self::AgentRevoked => "agent.revoked",
            Self::UserCreated => "user.created",
            Self::UserUpdated => "user.updated",
            Self::UserDeleted => "user.deleted",
            Self::UserRestored => "user.restored",
            Self::UserPurged => "user.purged",
            Self::HoldOpened => "hold.opened",
            Self::HoldApproved => "hold.approved",
            Self::HoldRestoring => "hold.restoring",
            Self::HoldRestored => "hold.restored",
            Self::GroupCreated => "group.created",
            Self::GroupUpdated => "group.updated",
            Self::MembersChanged => "group.members_changed",
            Self::GroupDeleted => "group.deleted",
        }
    }
}

/// What the hash of an event covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<'a> {
    pub(crate) org: OrgId,
    pub(crate) sequence: i64,
    pub(crate) occurred: Instant,
    pub(crate) kind: &'a str,
    pub(crate) subject: Uuid,
    pub(crate) actor: &'a str,
    pub(crate) delta: &'a str,
}

/// SHA-256 over the previous hash, then organization (16 bytes), number and instant in microseconds (8 bytes each,
/// big-endian), subject (16 bytes), then type, actor and delta, each after its length in bytes (8 bytes, big-endian).
/// A reader of `ListEvents` has all of these.
pub(crate) fn chain(previous: &[u8], link: &Link<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(link.org.0.as_bytes());
    hash.update(link.sequence.to_be_bytes());
    hash.update(link.occurred.as_micros().to_be_bytes());
    hash.update(link.subject.as_bytes());
    for part in [link.kind, link.actor, link.delta] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_covered_and_none_can_move_into_the_next() {
        let link = Link {
            org: OrgId(Uuid::from_u128(1)),
            sequence: 1,
            occurred: Instant::from_micros(5),
            kind: "user.created",
            subject: Uuid::from_u128(2),
            actor: "{}",
            delta: "{}",
        };
        let all = [
            chain(&GENESIS, &link),
            chain(&[1; 32], &link),
            chain(&GENESIS, &Link { org: OrgId(Uuid::from_u128(9)), ..link }),
            chain(&GENESIS, &Link { sequence: 2, ..link }),
            chain(&GENESIS, &Link { occurred: Instant::from_micros(6), ..link }),
            chain(&GENESIS, &Link { kind: "user.updated", ..link }),
            chain(&GENESIS, &Link { subject: Uuid::from_u128(9), ..link }),
            chain(&GENESIS, &Link { actor: "{}{", delta: "}", ..link }),
            chain(&GENESIS, &Link { actor: "{", delta: "}{}", ..link }),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one), "{i}");
        }
        assert_eq!(chain(&GENESIS, &link), all[0]);
    }
}
