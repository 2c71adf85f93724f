//! Keys of members and organizations: which of what browsers send is good. The protocol is docs/account-keys.md, and the
//! crate `account-keys` knows it; what decrypts is in neither.
//!
//! Not here: where OPAQUE's set-up is kept (the `rollcall` crate).

use std::sync::Arc;

use account_keys::{
    AccountKey, Grant, GrantOf, Member, Possession, PublicKeys, Recipient, Stretching,
    opaque::{self, server::Setup},
};
use store::{Instant, Random};
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::{
    OrgId, SessionId, UserId,
    account::{KeyId, PublicKey},
};

store::typed_id! {
    /// A stored password, in the form that says nothing of it.
    pub(crate) struct RecordId;
}
store::typed_id! {
    /// An unlock that has begun.
    pub(crate) struct LoginId;
}

/// Gives the set-ups of OPAQUE, the newest last, and makes one where there is none yet. What it says when it cannot is for
/// whoever runs the server.
pub type OpaqueSetUpSource = Arc<dyn Fn() -> Result<Vec<Vec<u8>>, String> + Send + Sync>;

/// A set-up of OPAQUE: the seed and the key without which no guess at a password can be checked. To be kept where the database
/// is not.
pub fn new_opaque_set_up(random: &Random) -> Vec<u8> {
    Setup::generate(&mut |bytes| random.fill(bytes)).to_bytes().to_vec()
}

/// Whether these bytes are a set-up.
pub fn is_opaque_set_up(bytes: &[u8]) -> bool {
    Setup::from_bytes(bytes).is_ok()
}

/// Of the installation. Asked for when they are needed.
#[derive(Clone)]
pub(crate) struct OpaqueSetUps(pub(crate) OpaqueSetUpSource);

impl std::fmt::Debug for OpaqueSetUps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpaqueSetUps(..)")
    }
}

/// Which set-up a record belongs to.
pub(crate) type SetUpId = [u8; 32];

impl OpaqueSetUps {
    fn all(&self) -> Result<Vec<Setup>, Refusal> {
        let unusable = |error: String| {
            tracing::error!(error, "the OPAQUE set-up cannot be had");
            let message = "The server cannot read its OPAQUE set-up, and its log says why. Until that is mended nobody can unlock \
                           an account or set one up.";
            Refusal::new(Reason::AccountState, message)
        };
        let bytes = (self.0)().map_err(unusable)?;
        let parsed: Result<Vec<Setup>, _> = bytes.iter().map(|bytes| Setup::from_bytes(bytes)).collect();
        parsed.map_err(|error| unusable(error.to_string()))
    }

    /// For what is registered from now on.
    pub(crate) fn newest(&self) -> Result<Setup, Refusal> {
        self.all()?.pop().ok_or_else(|| crate::error::internal(&"there is no OPAQUE set-up"))
    }

    /// That of a record.
    pub(crate) fn named(&self, id: &SetUpId) -> Result<Setup, Refusal> {
        self.all()?.into_iter().find(|set_up| set_up.id() == *id).ok_or_else(|| {
            tracing::error!("a password was registered with an OPAQUE set-up that is not in --opaque-key-file any more");
            let message = "The server has not got the OPAQUE set-up any more that this password was registered with. Give it back \
                           (--opaque-key-file); until then the kit unlocks the account.";
            Refusal::new(Reason::AccountState, message)
        })
    }
}

/// What new records are stretched by.
pub(crate) const STRETCHING: Stretching = Stretching::RECOMMENDED;

/// How a password was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: RecordId,
    pub(crate) record: [u8; opaque::RECORD],
    pub(crate) set_up: SetUpId,
    pub(crate) stretching: Stretching,
}

/// What a registration is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegistrationKind {
    First,
    /// New keys instead of those that there are.
    Reset,
    PasswordChange,
}

impl RegistrationKind {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::First => 1,
            Self::Reset => 2,
            Self::PasswordChange => 3,
        }
    }

    /// What was written was one.
    pub(crate) fn of(code: i16) -> Self {
        match code {
            2 => Self::Reset,
            3 => Self::PasswordChange,
            _ => Self::First,
        }
    }
}

/// A registration that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    pub(crate) kind: RegistrationKind,
    pub(crate) key: KeyId,
    pub(crate) version: u32,
    pub(crate) challenge: [u8; 32],
    pub(crate) set_up: SetUpId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrap {
    pub(crate) nonce: [u8; 12],
    pub(crate) ciphertext: [u8; 48],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrapKind {
    Password,
    Recovery,
}

impl WrapKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Recovery => "recovery",
        }
    }
}

/// The keys of a set-up as the browser made them.
#[derive(Clone, Debug)]
pub(crate) struct NewKeys {
    pub(crate) key: KeyId,
    pub(crate) record: [u8; opaque::RECORD],
    pub(crate) enc_pub: [u8; 32],
    pub(crate) sig_pub: [u8; 32],
    pub(crate) possession: [u8; 64],
    pub(crate) password_wrap: Wrap,
    pub(crate) recovery_wrap: Wrap,
    pub(crate) recovery_sha256: [u8; 32],
}

impl NewKeys {
    /// Whether who sends them has the private ones, and made them for what was begun.
    ///
    /// # Errors
    /// [`Reason::KeyInvalid`].
    pub(crate) fn check(&self, org: OrgId, begun: &Registration) -> Result<(), Refusal> {
        let of = AccountKey { member: member(org, begun.user), key_id: begun.key.0, version: begun.version };
        let public = PublicKeys { enc: self.enc_pub, sig: self.sig_pub };
        Possession(self.possession).verify(&of, &public, &begun.challenge).map_err(key_invalid)?;
        record(&self.record).map(drop)
    }
}

/// A new password, and with it a new kit or not.
#[derive(Clone, Debug)]
pub(crate) struct NewPassword {
    pub(crate) record: [u8; opaque::RECORD],
    pub(crate) password_wrap: Wrap,
    pub(crate) kit: Option<(Wrap, [u8; 32])>,
}

/// # Errors
/// [`Reason::KeyInvalid`].
pub(crate) fn record(upload: &[u8]) -> Result<[u8; opaque::RECORD], Refusal> {
    opaque::server::record(upload).map_err(key_invalid)
}

pub(crate) fn member(org: OrgId, user: UserId) -> Member {
    Member { organization: org.0, user: user.0 }
}

/// What is wrong with it is not secret.
pub(crate) fn key_invalid(error: account_keys::Error) -> Refusal {
    Refusal::new(Reason::KeyInvalid, format!("This is not as it has to be: {error}. Begin again."))
}

/// Bytes of a message, of which there must be so many.
///
/// # Errors
/// [`Reason::InvalidArgument`].
pub(crate) fn exactly<const N: usize>(field: &str, bytes: &[u8]) -> Result<[u8; N], Refusal> {
    let wrong = |_| Refusal::new(Reason::InvalidArgument, format!("{field} must have {N} bytes."));
    bytes.try_into().map_err(wrong)
}

/// An organization key for a member, sealed and signed by another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberGrant {
    pub(crate) version: u32,
    pub(crate) user: UserId,
    pub(crate) recipient: KeyId,
    pub(crate) granter: KeyId,
    pub(crate) enc: [u8; 32],
    pub(crate) ciphertext: [u8; 48],
    pub(crate) signature: [u8; 64],
}

impl MemberGrant {
    /// Whether the granter made it for this key of the member.
    ///
    /// # Errors
    /// [`Reason::KeyInvalid`].
    pub(crate) fn check(&self, org: OrgId, recipient: &PublicKey, granter: &PublicKey) -> Result<(), Refusal> {
        let of = GrantOf {
            organization: org.0,
            version: self.version,
            recipient: Recipient::Member {
                user: self.user.0,
                key_id: self.recipient.0,
                public: PublicKeys { enc: recipient.enc_pub, sig: recipient.sig_pub },
            },
            granter_key_id: self.granter.0,
        };
        let same = recipient.user == self.user && recipient.id == self.recipient && granter.id == self.granter;
        if !same {
            return Err(Refusal::new(
                Reason::KeyInvalid,
                "The grant is for another key, or by another one. Begin again.",
            ));
        }
        let grant = Grant { enc: self.enc, ct: self.ciphertext, signature: self.signature };
        grant.verify(&of, &granter.sig_pub).map_err(key_invalid)
    }
}

/// An organization key, sealed to the organization's kit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KitSeal {
    pub(crate) kit_pub: [u8; 32],
    pub(crate) enc: [u8; 32],
    pub(crate) ciphertext: [u8; 48],
    pub(crate) signature: [u8; 64],
}

impl KitSeal {
    /// # Errors
    /// [`Reason::KeyInvalid`].
    pub(crate) fn check(&self, org: OrgId, version: u32, granter: &PublicKey) -> Result<(), Refusal> {
        let of = GrantOf {
            organization: org.0,
            version,
            recipient: Recipient::Kit { enc: self.kit_pub },
            granter_key_id: granter.id.0,
        };
        let grant = Grant { enc: self.enc, ct: self.ciphertext, signature: self.signature };
        grant.verify(&of, &granter.sig_pub).map_err(key_invalid)
    }
}

/// The version before, encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChainLink {
    pub(crate) nonce: [u8; 12],
    pub(crate) ciphertext: [u8; 48],
}

/// A version of an organization key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrgKey {
    pub(crate) version: u32,
    pub(crate) made_by: UserId,
    pub(crate) made_by_key: KeyId,
    /// But for the first.
    pub(crate) link: Option<ChainLink>,
    pub(crate) kit: KitSeal,
    /// What somebody has the kit by. Absent: it was made before that was kept.
    pub(crate) kit_verifier: Option<[u8; 32]>,
    /// Since when somebody has it who should not.
    pub(crate) rotation_due: Option<Instant>,
}

/// All that a member needs of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShownOrgKey {
    /// Absent: the organization has none.
    pub(crate) newest: Option<OrgKey>,
    /// What it was given last.
    pub(crate) grant: Option<MemberGrant>,
    pub(crate) granter: Option<PublicKey>,
    /// What is sealed to the organization's kit is for whoever asks.
    pub(crate) with_kit: bool,
    pub(crate) kit_granter: Option<PublicKey>,
    /// The names of these, where they are agents.
    pub(crate) granter_agent: Option<String>,
    pub(crate) kit_granter_agent: Option<String>,
    pub(crate) chain: Vec<(u32, ChainLink)>,
}

/// Who waits for the newest version.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) user: UserId,
    pub(crate) user_name: String,
    pub(crate) display_name: String,
    pub(crate) email: String,
    pub(crate) key: PublicKey,
    pub(crate) possession: [u8; 64],
    pub(crate) challenge: [u8; 32],
    pub(crate) was_confirmed: bool,
    pub(crate) administrator: bool,
    /// It is an agent, and its id stands in the place of a user's.
    pub(crate) agent: bool,
    /// What it was given before, for these keys, and by whom.
    pub(crate) grant: Option<(MemberGrant, PublicKey)>,
}

pub(crate) fn not_confirming(message: &str) -> Refusal {
    Refusal::new(Reason::NotConfirming, message)
}

/// An unlock that has begun, as it is kept for a minute.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) id: LoginId,
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
    /// Absent: the account has no keys.
    pub(crate) record: Option<RecordId>,
    pub(crate) state: Vec<u8>,
    pub(crate) expires: Instant,
}

/// Reads an id that the browser sent back.
pub(crate) fn key_id(text: &str) -> Option<KeyId> {
    super::parse_id::<Uuid>(text).map(KeyId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_ups(all: Result<Vec<Vec<u8>>, String>) -> OpaqueSetUps {
        OpaqueSetUps(Arc::new(move || all.clone()))
    }

    #[test]
    fn what_is_registered_goes_with_the_newest_set_up_and_a_record_with_its_own() {
        let random = Random::system();
        let (old, new) = (new_opaque_set_up(&random), new_opaque_set_up(&random));
        assert!(is_opaque_set_up(&old) && !is_opaque_set_up(&old[1..]));
        let both = set_ups(Ok(vec![old.clone(), new.clone()]));
        let ids = [&old, &new].map(|bytes| Setup::from_bytes(bytes).expect("a set-up").id());
        assert_eq!(both.newest().expect("newest").id(), ids[1]);
        for id in ids {
            assert_eq!(both.named(&id).expect("named").id(), id);
        }
        let refusal = set_ups(Ok(vec![new])).named(&ids[0]).expect_err("gone");
        assert_eq!(refusal.reason, Reason::AccountState);
    }

    #[test]
    fn a_caller_is_not_told_where_the_set_up_should_be_and_it_is_not_printed() {
        let none = set_ups(Err("/var/lib/rollcall/opaque.key".to_owned()));
        let refusal = none.newest().expect_err("unusable");
        assert_eq!(refusal.reason, Reason::AccountState);
        assert!(!refusal.message.contains("/var"), "{refusal:?}");
        assert_eq!(format!("{none:?}"), "OpaqueSetUps(..)");
        assert!(set_ups(Ok(Vec::new())).newest().is_err());
    }

    #[test]
    fn codes_come_back() {
        for kind in [RegistrationKind::First, RegistrationKind::Reset, RegistrationKind::PasswordChange] {
            assert_eq!(RegistrationKind::of(kind.code()), kind);
        }
        assert_eq!(WrapKind::Password.as_str(), "password");
        assert!(exactly::<3>("a", b"abc").is_ok());
        assert_eq!(exactly::<3>("a", b"ab").expect_err("short").reason, Reason::InvalidArgument);
    }
}
