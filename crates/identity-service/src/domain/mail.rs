//! Mail: what there is to tell, in which words, and when an attempt is repeated.
//!
//! A new kind is a variant of [`Notice`] with its words in [`Notice::letter`]. What happens calls
//! `operations::mail_admins`, or `operations::mail_enqueue` for somebody who is no administrator, in the transaction of the
//! event that it tells of.
//!
//! Not here: SMTP (`smtp`), and who is told (`operations::mails`).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Instant;
use uuid::Uuid;

store::typed_id! {
    /// A mail to one recipient.
    pub(crate) struct MailId;
}

const MINUTE_MICROS: i64 = 60 * 1_000_000;
const DAY_MICROS: i64 = 24 * 60 * MINUTE_MICROS;
/// For so long sending is tried; later it is no news.
pub(crate) const TRIED_MICROS: i64 = 3 * DAY_MICROS;
/// For so long one that was sent or given up is kept, so that the same is not sent again.
pub(crate) const KEPT_MICROS: i64 = 30 * DAY_MICROS;
/// For so long one that is being sent is left alone by others: longer than an attempt can last.
pub(crate) const LEASE_MICROS: i64 = 10 * MINUTE_MICROS;
/// Of what the server said; some say a lot.
const LONGEST_ERROR: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Sent,
    /// It was refused for good, or could not be sent for too long.
    Failed,
}

impl State {
    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Waiting => 0,
            Self::Sent => 1,
            Self::Failed => 2,
        }
    }

    /// What was written was one.
    pub(crate) fn of(code: i16) -> Self {
        match code {
            1 => Self::Sent,
            2 => Self::Failed,
            _ => Self::Waiting,
        }
    }
}

/// A mail as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) id: MailId,
    pub(crate) kind: String,
    /// What happened: a recipient is told of it once.
    pub(crate) dedupe: String,
    pub(crate) recipient: String,
    pub(crate) document: String,
    pub(crate) created: Instant,
    pub(crate) attempts: i64,
    pub(crate) state: State,
}

/// What a mail tells. Instants are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "document", rename_all = "snake_case")]
pub(crate) enum Notice {
    /// A SCIM token is about to expire.
    TokenExpiring { token: Uuid, description: String, expires: String, days: u32 },
    /// Many users lost their access at once, and what cannot be undone waits.
    HoldOpened { hold: Uuid, since: String, until: String, deactivated: i64, deleted: i64, users: i64 },
    /// An identity provider has been refused for an hour and more; for so many whole days.
    ProvisioningFailing {
        since: String,
        refused: i64,
        #[serde(default)]
        days: i64,
    },
    /// A member has made its keys and waits for the organization key; told once a day, whoever else does.
    MembersWaiting { day: String },
    /// A user may set its account up. For that user as it is called then; `hour`: it is told once in it.
    SetUpInvited { user: Uuid, user_name: String, url: String, hour: String },
}

impl Notice {
    /// As it is stored: kind and document.
    pub(crate) fn stored(&self) -> (String, String) {
        let mut whole = serde_json::to_value(self).unwrap_or_default();
        let kind = whole["kind"].as_str().unwrap_or_default().to_owned();
        (kind, whole["document"].take().to_string())
    }

    /// `None`: of a later release.
    pub(crate) fn parse(kind: &str, document: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(document).ok()?;
        serde_json::from_value(json!({"kind": kind, "document": document})).ok()
    }

    /// The same thing that happened has the same.
    pub(crate) fn dedupe(&self) -> String {
        match self {
            Self::TokenExpiring { token, days, .. } => format!("token_expiring:{token}:{days}"),
            Self::HoldOpened { hold, .. } => format!("hold_opened:{hold}"),
            // Once a day. What began within the same day is no other news, and a report may come late.
            Self::ProvisioningFailing { since, days, .. } => {
                format!("provisioning_failing:{}:{days}", since.split('T').next().unwrap_or_default())
            }
            Self::MembersWaiting { day } => format!("members_waiting:{day}"),
            Self::SetUpInvited { user, user_name, hour, .. } => format!("set_up_invited:{user}:{user_name}:{hour}"),
        }
    }

    /// Whether it is for those alone who may act in the organization's console when it is sent.
    pub(crate) fn is_for_admins(&self) -> bool {
        match self {
            Self::TokenExpiring { .. }
            | Self::HoldOpened { .. }
            | Self::ProvisioningFailing { .. }
            | Self::MembersWaiting { .. } => true,
            Self::SetUpInvited { .. } => false,
        }
    }

    /// With instants as people write them.
    fn plain(&self) -> Self {
        let mut plain = self.clone();
        match &mut plain {
            Self::TokenExpiring { expires: at, .. } | Self::ProvisioningFailing { since: at, .. } => *at = minute(at),
            Self::HoldOpened { since, until, .. } => {
                *since = minute(since);
                *until = minute(until);
            }
            Self::SetUpInvited { .. } | Self::MembersWaiting { .. } => {}
        }
        plain
    }

    /// In words.
    pub(crate) fn letter(&self, to: &Addressee<'_>) -> Letter {
        let Addressee { name, slug, console } = to;
        let account = format!("{}/account", console.trim_end_matches("/console"));
        let (subject, text) = match &self.plain() {
            Self::TokenExpiring { token, description, expires, days } => (
                format!("{name}: the SCIM token \"{description}\" expires within {}", days_of(*days)),
                format!(
                    "The SCIM token \"{description}\" of {name} expires at {expires}. From then on what uses it, usually \
                     your identity provider, is refused, and users and groups are no longer kept up to date.\n\n\
                     Rotate it before that, put the new secret into your identity provider, test the connection there, \
                     and then retire the old token:\n\n  {console}/scim/tokens\n\n\
                     or by command: rollcall token rotate {slug} {token}\n"
                ),
            ),
            Self::HoldOpened { hold, since, until, deactivated, deleted, users } => (
                format!("{name}: many users lost their access at once"),
                format!(
                    "Between {since} and {until} {} of {users} users of {name} lost their access: {deactivated} were \
                     deactivated and {deleted} deleted.\n\n\
                     Their access has ended already. None of them is erased before an administrator decides: approve it, if \
                     it was meant; or restore them all, if it was a mistake, once its cause is found, for example in the \
                     assignments of your identity provider.\n\n  {console}/holds\n\n\
                     by command: rollcall hold approve {slug} {hold}\n\
                     or:         rollcall hold restore {slug} {hold}\n",
                    deactivated + deleted
                ),
            ),
            Self::ProvisioningFailing { since, refused, .. } => (
                format!("{name}: provisioning is failing"),
                format!(
                    "Since {since} nothing that the identity provider of {name} sent was taken: {} refused or failed. \
                     Until that is put right, who joins does not arrive, and who leaves may keep access.\n\n\
                     The provisioning log says of each request why, and what to do:\n\n  {console}/log?outcome=problems\n\n\
                     by command: rollcall log list {slug} --outcome refused\n",
                    if *refused == 1 { "1 request was".to_owned() } else { format!("{refused} requests were") },
                ),
            ),
            Self::MembersWaiting { .. } => (
                format!("{name}: somebody waits to be confirmed"),
                format!(
                    "Somebody has set up an account at {name} and waits for the organization key, perhaps others do, too. \
                     Without it, what is encrypted for {name} stays closed to them.\n\n\
                     Open your own account, compare the fingerprint phrase with the member, and confirm:\n\n  {account}\n\n\
                     Who waits: {console}/accounts?state=accepted\n\
                     by command: rollcall account list {slug} --state accepted\n\n\
                     This comes once a day at the most.\n"
                ),
            ),
            Self::SetUpInvited { user_name, url, .. } => (
                format!("{name}: finish setting up your account"),
                format!(
                    "{name} has given you, {user_name}, an account. It is ready once you have chosen a password for what is \
                     encrypted there, which nobody else will know. Sign in as you always do at {name}, and follow the \
                     page:\n\n  {url}\n\n\
                     This mail holds nothing secret, and the page is of no use to anybody else.\n"
                ),
            ),
        };
        let to = match self {
            Self::SetUpInvited { .. } => "you for",
            _ => "the owners and administrators of",
        };
        let body = format!("{text}\n-- \nRollcall sends this to {to} {name}. It cannot be answered.\n");
        Letter { subject: one_line(&subject), body }
    }
}

/// Whose mail it is, and where to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addressee<'a> {
    /// Of the organization.
    pub(crate) name: &'a str,
    pub(crate) slug: &'a str,
    /// URL of the console, without a slash at the end.
    pub(crate) console: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) subject: String,
    pub(crate) body: String,
}

fn days_of(days: u32) -> String {
    if days == 1 { "a day".to_owned() } else { format!("{days} days") }
}

/// `2027-01-01T08:00:17.123456Z` as `2027-01-01 08:00 UTC`.
fn minute(instant: &str) -> String {
    match instant.split_once('T') {
        Some((day, time)) => format!("{day} {} UTC", time.get(..5).unwrap_or(time)),
        None => instant.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// When to try again after so many attempts: after 1, 4, 16 and 64 minutes, then 4 and then every 6 hours. `None`: no more.
pub(crate) fn next_attempt(created: Instant, attempts: i64, now: Instant) -> Option<Instant> {
    let exponent = u32::try_from(attempts.clamp(1, 6) - 1).unwrap_or(0);
    let pause = (MINUTE_MICROS * 4_i64.pow(exponent)).min(6 * 60 * MINUTE_MICROS);
    let next = now.saturating_add_micros(pause);
    (next <= created.saturating_add_micros(TRIED_MICROS)).then_some(next)
}

/// Whether it has waited for too long.
pub(crate) fn is_late(created: Instant, now: Instant) -> bool {
    created.saturating_add_micros(TRIED_MICROS) < now
}

/// As much of it as is kept.
pub(crate) fn shown_error(text: &str) -> String {
    one_line(text).chars().take(LONGEST_ERROR).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices() -> [Notice; 5] {
        let expires = "2027-01-31T00:00:00Z".to_owned();
        [
            Notice::TokenExpiring { token: Uuid::from_u128(1), description: "Okta".to_owned(), expires, days: 7 },
            Notice::HoldOpened {
                hold: Uuid::from_u128(2),
                since: "2027-01-01T08:00:17.123456Z".to_owned(),
                until: "2027-01-01T08:10:00.5Z".to_owned(),
                deactivated: 3,
                deleted: 9,
                users: 40,
            },
            Notice::ProvisioningFailing { since: "2027-01-01T08:00:00Z".to_owned(), refused: 17, days: 0 },
            Notice::MembersWaiting { day: "2027-01-01".to_owned() },
            Notice::SetUpInvited {
                user: Uuid::from_u128(3),
                user_name: "kit".to_owned(),
                url: "https://example.com/console/account".to_owned(),
                hour: "2027-01-01T08".to_owned(),
            },
        ]
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for notice in notices() {
            let (kind, document) = notice.stored();
            assert!(!kind.is_empty() && document.starts_with('{'), "{kind} {document}");
            assert_eq!(Notice::parse(&kind, &document), Some(notice));
        }
        assert_eq!(Notice::parse("of_a_later_release", "{}"), None);
        for state in [State::Waiting, State::Sent, State::Failed] {
            assert_eq!(State::of(state.code()), state);
        }
    }

    #[test]
    fn a_letter_says_what_happened_and_where_to_go() {
        let to = Addressee { name: "Acme\r\nBcc: eve@x", slug: "acme", console: "https://example.com/console" };
        for notice in notices() {
            let letter = notice.letter(&to);
            assert!(!letter.subject.contains(['\r', '\n']), "{}", letter.subject);
            let whose = letter.body.contains("acme") || !notice.is_for_admins();
            assert!(letter.body.contains(to.console) && whose, "{}", letter.body);
        }
        let [expiring, held, failing, _, invited] =
            notices().map(|notice| notice.letter(&Addressee { name: "Acme", ..to }));
        assert_eq!(expiring.subject, "Acme: the SCIM token \"Okta\" expires within 7 days");
        assert!(expiring.body.contains("expires at 2027-01-31 00:00 UTC."), "{}", expiring.body);
        assert!(held.body.contains("Between 2027-01-01 08:00 UTC and 2027-01-01 08:10 UTC"), "{}", held.body);
        assert!(
            failing.body.contains("17 requests were refused") && failing.subject == "Acme: provisioning is failing"
        );
        assert_eq!(invited.subject, "Acme: finish setting up your account");
        assert!(invited.body.contains("you, kit,") && !invited.body.contains("owners"), "{}", invited.body);
        assert!(held.body.contains("12 of 40 users") && held.body.contains("3 were deactivated and 9 deleted"));
    }

    #[test]
    fn a_failing_is_told_again_after_a_day_and_one_is_no_plural() {
        let of = |since: &str, days| Notice::ProvisioningFailing { since: since.to_owned(), refused: 1, days };
        let first = of("2027-01-01T08:00:00Z", 0);
        assert_eq!(first.dedupe(), of("2027-01-01T07:59:58Z", 0).dedupe());
        assert_ne!(first.dedupe(), of("2027-01-01T08:00:00Z", 1).dedupe());
        let to = Addressee { name: "Acme", slug: "acme", console: "https://example.com/console" };
        assert!(first.letter(&to).body.contains("1 request was refused or failed"));
        // One that was put down before days were counted.
        let old = Notice::parse("provisioning_failing", r#"{"since":"2027-01-01T08:00:00Z","refused":1}"#);
        assert_eq!(old, Some(first));
    }

    #[test]
    fn each_warning_of_a_token_is_a_mail_of_its_own() {
        let of = |days| {
            let (description, expires) = (String::new(), String::new());
            Notice::TokenExpiring { token: Uuid::from_u128(1), description, expires, days }.dedupe()
        };
        assert_ne!(of(30), of(7));
        assert_eq!(of(7), of(7));
    }

    #[test]
    fn pauses_grow_and_end_after_three_days() {
        let begin = Instant::from_micros(0);
        let (mut now, mut pauses) = (begin, Vec::new());
        while let Some(next) = next_attempt(begin, i64::try_from(pauses.len()).expect("few") + 1, now) {
            pauses.push((next.as_micros() - now.as_micros()) / MINUTE_MICROS);
            now = next;
        }
        assert_eq!(pauses[..6], [1, 4, 16, 64, 256, 360]);
        assert!(pauses[6..].iter().all(|pause| *pause == 360) && pauses.len() == 16, "{pauses:?}");
        assert!(now.as_micros() <= TRIED_MICROS);
    }
}
