//! Accounts: what a user has beside its SCIM resource, in which state that is, and whom a provider's claims fit.
//!
//! Not here: keys and guesses at passwords (`keys`, `unlock`). Nothing of SCIM leads here: what is suspended or deleted is
//! read where users are.

use scim::{Object, schema};
use serde_json::json;
use store::Instant;
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::{LONGEST_KEY, OrgId, SessionId, UserId, admin::Pin, secret::Hash, session::Browser};

store::typed_id! {
    /// A key of an account.
    pub(crate) struct KeyId;
}

/// How far an account has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Signed in, without keys.
    SetUpRequired,
    /// Has keys, waits for the organization key.
    Accepted,
    /// Was given the organization key.
    Confirmed,
}

impl Stage {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::SetUpRequired => 1,
            Self::Accepted => 2,
            Self::Confirmed => 3,
        }
    }

    /// What was written was one.
    pub(crate) fn of(code: i16) -> Self {
        match code {
            3 => Self::Confirmed,
            2 => Self::Accepted,
            _ => Self::SetUpRequired,
        }
    }
}

/// What has become of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Active,
    Deactivated,
    /// And can be restored.
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Provisioned,
    SetUpRequired,
    Accepted,
    Confirmed,
    Suspended,
    Deleted,
}

impl State {
    /// The state, and of whoever has no access the one it comes back to.
    pub(crate) fn of(presence: Presence, stage: Option<Stage>) -> (Self, Option<Self>) {
        let kept = match stage {
            None => Self::Provisioned,
            Some(Stage::SetUpRequired) => Self::SetUpRequired,
            Some(Stage::Accepted) => Self::Accepted,
            Some(Stage::Confirmed) => Self::Confirmed,
        };
        match presence {
            Presence::Active => (kept, None),
            Presence::Deactivated => (Self::Suspended, Some(kept)),
            Presence::Deleted => (Self::Deleted, Some(kept)),
        }
    }
}

/// The row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) user: UserId,
    pub(crate) stage: Stage,
    /// Absent: another user of the same provider has taken its place, or it has not been named since.
    pub(crate) pin: Option<Pin>,
    /// Of the current key.
    pub(crate) key: Option<KeyId>,
    /// Which version of the organization key it was given; 0: none.
    pub(crate) granted: u32,
    pub(crate) created: Instant,
    pub(crate) last_signed_in: Instant,
    pub(crate) set_up: Option<Instant>,
    pub(crate) confirmed: Option<Instant>,
}

/// Public keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    pub(crate) id: KeyId,
    pub(crate) user: UserId,
    pub(crate) version: u32,
    pub(crate) enc_pub: [u8; 32],
    pub(crate) sig_pub: [u8; 32],
}

/// A user with its account, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) user: UserId,
    pub(crate) user_name: String,
    pub(crate) display_name: String,
    pub(crate) email: String,
    pub(crate) presence: Presence,
    pub(crate) account: Option<Account>,
    pub(crate) key: Option<PublicKey>,
}

impl Member {
    pub(crate) fn state(&self) -> (State, Option<State>) {
        State::of(self.presence, self.account.as_ref().map(|account| account.stage))
    }
}

/// A session of a member, with the account and the user as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountSession {
    pub(crate) org: OrgId,
    pub(crate) id: SessionId,
    pub(crate) member: Member,
    pub(crate) account: Account,
    pub(crate) created: Instant,
    pub(crate) last_used: Instant,
    pub(crate) expires: Instant,
    pub(crate) ended: bool,
    pub(crate) unlocked: bool,
    /// The issuer of the organization's provider.
    pub(crate) provider: Option<String>,
    /// Owner or admin of the console.
    pub(crate) may_confirm: bool,
    /// One by invitation, who has not signed in there by the provider.
    pub(crate) invited_to_console: bool,
}

/// How long one holds is as for the console.
pub(crate) use super::session::{IDLE_MICROS, LONGEST_MICROS};

/// A use is written once in so long.
const USE_MICROS: i64 = 60 * 1_000_000;

impl AccountSession {
    /// What makes it hold is asked each time: that nobody has ended it, that the user is there and active, and that the
    /// organization still signs in with the provider that has named it.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        let lives = !self.ended && now < self.expires && now < self.last_used.saturating_add_micros(IDLE_MICROS);
        let named = self.account.pin.as_ref().map(|pin| &pin.issuer);
        lives && self.member.presence == Presence::Active && named.is_some() && named == self.provider.as_ref()
    }

    pub(crate) fn use_due(&self, now: Instant) -> bool {
        now >= self.last_used.saturating_add_micros(USE_MICROS)
    }
}

/// One that begins.
#[derive(Clone, Debug)]
pub(crate) struct NewAccountSession {
    pub(crate) id: SessionId,
    pub(crate) user: UserId,
    pub(crate) secret: Hash,
    pub(crate) browser: Browser,
}

/// What of an ID token is compared with a user's attributes, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Email,
    UserName,
    ExternalId,
}

impl Link {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Email => 1,
            Self::UserName => 2,
            Self::ExternalId => 3,
        }
    }

    pub(crate) fn of(code: i16) -> Self {
        match code {
            2 => Self::UserName,
            3 => Self::ExternalId,
            _ => Self::Email,
        }
    }

    /// For events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::UserName => "user_name",
            Self::ExternalId => "external_id",
        }
    }
}

/// How accounts of an organization come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) link: Link,
    pub(crate) just_in_time: bool,
    pub(crate) confirm_automatically: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { link: Link::Email, just_in_time: false, confirm_automatically: false }
    }
}

/// Whom the provider named, in an ID token that was verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) email: String,
    pub(crate) email_verified: bool,
    pub(crate) user_name: String,
    pub(crate) name: String,
}

/// What users are looked up by. The indexes fold more than may be believed: see [`Sought::fits`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sought {
    Email(String),
    UserName(String),
    ExternalId(String),
}

impl Named {
    /// # Errors
    /// Why a sign-in cannot be linked by these claims.
    pub(crate) fn sought(&self, link: Link) -> Result<Sought, NotAdmitted> {
        let told = |text: &String, none| {
            // No user has more: what is longer is not indexed.
            if text.is_empty() || text.len() > LONGEST_KEY || text.contains('\0') {
                Err(none)
            } else {
                Ok(text.clone())
            }
        };
        match link {
            Link::Email => {
                let email = told(&self.email, NotAdmitted::NoEmail)?;
                if self.email_verified { Ok(Sought::Email(email)) } else { Err(NotAdmitted::NotVerified) }
            }
            Link::UserName => told(&self.user_name, NotAdmitted::NoUserName).map(Sought::UserName),
            Link::ExternalId => told(&self.subject, NotAdmitted::NotProvisioned).map(Sought::ExternalId),
        }
    }

    /// The user that is made for who was not provisioned, as a SCIM client would send it.
    ///
    /// # Errors
    /// [`NotAdmitted::NoUserName`]: there is nothing to call it by.
    pub(crate) fn body(&self, link: Link) -> Result<Object, NotAdmitted> {
        let email = Some(&self.email).filter(|email| self.email_verified && !email.is_empty());
        let told = Some(&self.user_name).filter(|name| !name.is_empty());
        let user_name = match link {
            Link::Email => email,
            Link::UserName => told,
            Link::ExternalId => told.or(email),
        };
        let user_name = user_name.ok_or(NotAdmitted::NoUserName)?;
        let mut body = Object::new();
        body.insert("schemas".to_owned(), json!([schema::USER]));
        body.insert("userName".to_owned(), json!(user_name));
        body.insert("active".to_owned(), json!(true));
        if let Some(email) = email {
            body.insert("emails".to_owned(), json!([{"value": email, "primary": true}]));
        }
        if link == Link::ExternalId {
            body.insert("externalId".to_owned(), json!(self.subject));
        }
        let name = super::admin::shown_name(&self.name);
        if !name.is_empty() {
            body.insert("displayName".to_owned(), json!(name));
        }
        Ok(body)
    }
}

impl Sought {
    /// Whether a user has it. The case of ASCII letters alone is disregarded, and of external ids none: to fold more would take
    /// `ſam@` for `sam@`, whose owner is somebody else.
    pub(crate) fn fits(&self, user_name: &str, external_id: Option<&str>, emails: &[String]) -> bool {
        match self {
            Self::Email(email) => {
                user_name.eq_ignore_ascii_case(email) || emails.iter().any(|other| other.eq_ignore_ascii_case(email))
            }
            Self::UserName(name) => user_name.eq_ignore_ascii_case(name),
            Self::ExternalId(id) => external_id == Some(id),
        }
    }
}

/// Why whom the provider named may not sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    NoProvider,
    OtherProvider,
    NoEmail,
    NotVerified,
    NoUserName,
    NotProvisioned,
    Deactivated,
    Deleted,
    Ambiguous,
    PinnedElsewhere,
    /// Made just in time, but for this.
    NameTaken,
    PlanFull,
    Unusable,
}

impl NotAdmitted {
    /// For events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoProvider => "no_provider",
            Self::OtherProvider => "other_provider",
            Self::NoEmail => "no_email",
            Self::NotVerified => "email_not_verified",
            Self::NoUserName => "no_user_name",
            Self::NotProvisioned => "not_provisioned",
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
            Self::Ambiguous => "ambiguous",
            Self::PinnedElsewhere => "other_subject",
            Self::NameTaken => "name_taken",
            Self::PlanFull => "plan_full",
            Self::Unusable => "unusable_claims",
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        let message = match self {
            Self::NoProvider => "The organization has no sign-in provider. Ask an administrator to set one.",
            Self::OtherProvider => "The organization signs in with another provider by now. Sign in again.",
            Self::NoEmail => {
                "The provider did not tell an e-mail address, by which users of this organization are found. Ask an administrator \
                 to have it release the claim email, then sign in again."
            }
            Self::NotVerified => {
                "The provider does not say that the e-mail address is verified (email_verified). Verify it there, then sign in \
                 again."
            }
            Self::NoUserName => {
                "The provider did not tell preferred_username, by which users of this organization are found. Ask an \
                 administrator to have it released, then sign in again."
            }
            Self::NotProvisioned => {
                "Nobody in this organization fits this sign-in. Ask an administrator to assign you to it in the identity \
                 provider, then sign in again."
            }
            Self::Deactivated => {
                "This user is deactivated. Ask an administrator to activate it in the identity provider; nothing of it is lost."
            }
            Self::Deleted => {
                "This user was deleted. Ask an administrator to restore it, or to assign you in the identity provider again."
            }
            Self::Ambiguous => {
                "Several users of this organization fit this sign-in. Ask an administrator to give each an address or a name of \
                 its own, or to link users by another claim."
            }
            Self::PinnedElsewhere => {
                "This user signs in as another account of the identity provider. Sign in with that one, or ask an administrator \
                 to forget that one on the user's page in the console."
            }
            Self::NameTaken => {
                "Another user of this organization has the name that you would get. Ask an administrator to provision you, or \
                 to link users by another claim."
            }
            Self::PlanFull => {
                "The organization has as many users as its plan is for. Ask an administrator for a larger plan, or to remove \
                 users that are not needed."
            }
            Self::Unusable => {
                "What the provider tells of you makes no user. Ask an administrator to provision you, then sign in again."
            }
        };
        Refusal::new(Reason::SignInRefused, message)
    }
}

/// No state in which this can be done; the message says in which it could.
pub(crate) fn account_state(message: &str) -> Refusal {
    Refusal::new(Reason::AccountState, message)
}

pub(crate) fn account_locked() -> Refusal {
    Refusal::new(
        Reason::AccountLocked,
        "The account is locked in this session. Unlock it with the password or the kit.",
    )
}

/// The page that mail names.
///
/// # Errors
/// [`Reason::InvalidArgument`].
pub(crate) fn check_url(text: &str) -> Result<(), Refusal> {
    const LONGEST: usize = 500;
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    let loopback = ["http://localhost", "http://127.0.0.1", "http://[::1]"]
        .iter()
        .any(|begin| text.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])));
    let secure =
        text.strip_prefix("https://").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    if !plain || !(secure || loopback) || text.len() > LONGEST {
        let message =
            format!("url must be https, of up to {LONGEST} visible ASCII characters: the page of the sign-in.");
        return Err(Refusal::new(Reason::InvalidArgument, message));
    }
    Ok(())
}

/// As it stands in events.
pub(crate) fn shown_id(id: impl Into<Uuid>) -> String {
    id.into().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_access_keeps_the_state_it_comes_back_to() {
        let stages = [
            (None, State::Provisioned),
            (Some(Stage::SetUpRequired), State::SetUpRequired),
            (Some(Stage::Accepted), State::Accepted),
            (Some(Stage::Confirmed), State::Confirmed),
        ];
        for (stage, state) in stages {
            assert_eq!(State::of(Presence::Active, stage), (state, None));
            assert_eq!(State::of(Presence::Deactivated, stage), (State::Suspended, Some(state)));
            assert_eq!(State::of(Presence::Deleted, stage), (State::Deleted, Some(state)));
            if let Some(stage) = stage {
                assert_eq!(Stage::of(stage.code()), stage);
            }
        }
        for link in [Link::Email, Link::UserName, Link::ExternalId] {
            assert_eq!(Link::of(link.code()), link);
        }
    }

    #[test]
    fn a_claim_is_looked_for_only_where_the_provider_vouches_for_it() {
        let named = Named { subject: "s".to_owned(), email: "a@x".to_owned(), ..Named::default() };
        assert_eq!(named.sought(Link::Email), Err(NotAdmitted::NotVerified));
        assert_eq!(Named::default().sought(Link::Email), Err(NotAdmitted::NoEmail));
        assert_eq!(named.sought(Link::UserName), Err(NotAdmitted::NoUserName));
        assert_eq!(named.sought(Link::ExternalId), Ok(Sought::ExternalId("s".to_owned())));
        let verified = Named { email_verified: true, ..named };
        assert_eq!(verified.sought(Link::Email), Ok(Sought::Email("a@x".to_owned())));
        let long = Named { user_name: "n".repeat(LONGEST_KEY + 1), ..Named::default() };
        assert_eq!(long.sought(Link::UserName), Err(NotAdmitted::NoUserName));
    }

    #[test]
    fn ascii_case_alone_is_disregarded() {
        let emails = ["Sam@X".to_owned()];
        let email = |text: &str| Sought::Email(text.to_owned());
        assert!(email("sam@x").fits("other", None, &emails) && email("Other").fits("otheR", None, &[]));
        assert!(!email("\u{17f}am@x").fits("other", None, &emails));
        assert!(!Sought::UserName("sam@x".to_owned()).fits("other", None, &emails));
        let id = Sought::ExternalId("a".to_owned());
        assert!(id.fits("a", Some("a"), &[]) && !id.fits("a", Some("A"), &[]) && !id.fits("a", None, &[]));
    }

    #[test]
    fn who_is_made_just_in_time_has_what_the_provider_vouches_for() {
        let named = Named {
            subject: "s".to_owned(),
            email: "a@x".to_owned(),
            user_name: "ada".to_owned(),
            name: "Ada\n".to_owned(),
            ..Named::default()
        };
        let body = named.body(Link::UserName).expect("a body");
        assert_eq!((&body["userName"], &body["displayName"]), (&json!("ada"), &json!("Ada")));
        assert!(!body.contains_key("emails") && !body.contains_key("externalId"), "{body:?}");
        assert_eq!(named.body(Link::Email), Err(NotAdmitted::NoUserName), "nobody vouches for the address");
        let verified = Named { email_verified: true, user_name: String::new(), ..named };
        let body = verified.body(Link::ExternalId).expect("a body");
        assert_eq!((&body["userName"], &body["externalId"]), (&json!("a@x"), &json!("s")));
    }

    #[test]
    fn mail_names_a_page_that_is_https_or_here() {
        for good in ["https://scim.example.com/account/sign-in?organization=acme", "http://localhost:8080/account"] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in ["", "http://example.com", "https://", "https:// x", "javascript:x", "http://localhost.example.com/"]
        {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }
}
