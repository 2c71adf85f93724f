//! The provisioning log: a request as a gateway reports it, cut to what is kept, and what a reader looks for.
//!
//! Not here: what was changed. That is in the events, which have the request id in common with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Instant;
use uuid::Uuid;
use wire::{Reason, Refusal};

use super::LogId;

/// Days that requests are kept, where no others are set.
pub(crate) const DEFAULT_DAYS: u32 = 30;
const LONGEST_DAYS: u32 = 365;
const LONGEST_WATCH_SECONDS: u32 = 3600;
/// Days that the counts of an hour are kept.
pub(crate) const COUNTED_DAYS: u32 = 400;
/// Entries, and counts, of one report.
pub(crate) const LARGEST_REPORT: usize = 500;
const MICROS_PER_HOUR: i64 = 60 * 60 * 1_000_000;
const MICROS_PER_DAY: i64 = 24 * MICROS_PER_HOUR;

/// Bytes of each text that are kept.
const PATH: usize = 2000;
const BODY: usize = 4096;
const DETAIL: usize = 2000;
const NAME: usize = 500;
const WORD: usize = 200;
/// Lines of each list that are kept.
const LINES: usize = 50;

/// Of an organization, in an hour: entries of requests that changed nothing, and bytes of them. Who has a token, or had one, could fill the
/// database that all share. What changed something is in the events as well, which are larger.
const HOUR_ENTRIES: i64 = 20_000;
const HOUR_BYTES: i64 = 32 << 20;
/// Of an organization, bytes of all entries. Of more, the oldest are deleted.
pub(crate) const TOTAL_BYTES: i64 = 1 << 30;
/// What a row has beside its texts.
const ROW_BYTES: usize = 200;

/// What is looked for: bytes of all words together, and words.
const WORDS_BYTES: usize = 200;
const WORDS: usize = 10;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Read,
    Changed,
    Unchanged,
    Refused,
    Failed,
}

impl Outcome {
    pub(crate) const ALL: [Self; 5] = [Self::Read, Self::Changed, Self::Unchanged, Self::Refused, Self::Failed];

    pub(crate) fn code(self) -> i16 {
        match self {
            Self::Read => 1,
            Self::Changed => 2,
            Self::Unchanged => 3,
            Self::Refused => 4,
            Self::Failed => 5,
        }
    }

    /// What was written was one.
    pub(crate) fn of(code: i16) -> Self {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code).unwrap_or(Self::Failed)
    }
}

/// A request in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) id: LogId,
    pub(crate) occurred: Instant,
    pub(crate) outcome: Outcome,
    pub(crate) status: u16,
    /// The user or group that it is about.
    pub(crate) subject: Option<Uuid>,
    pub(crate) request_id: String,
    pub(crate) document: Document,
}

/// What of a request is only shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Document {
    pub(crate) duration_us: i64,
    pub(crate) token_id: String,
    pub(crate) address: String,
    pub(crate) user_agent: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) detail: String,
    pub(crate) resource_type: String,
    pub(crate) subject_name: String,
    pub(crate) understood: Vec<String>,
    pub(crate) coerced: Vec<String>,
    pub(crate) ignored: Vec<String>,
    pub(crate) body: String,
    /// The gateway's own id of the request, which its events have, too. Empty: a gateway of before wrote it.
    pub(crate) entry_id: String,
}

impl Logged {
    /// As much of it as is kept, whatever a gateway reports.
    pub(crate) fn cut(self) -> Self {
        let of = self.document;
        let document = Document {
            duration_us: of.duration_us.max(0),
            token_id: cut(of.token_id, WORD),
            address: cut(of.address, WORD),
            user_agent: cut(of.user_agent, NAME),
            method: cut(of.method, WORD),
            path: cut(of.path, PATH),
            reason: cut(of.reason, WORD),
            detail: cut(of.detail, DETAIL),
            resource_type: cut(of.resource_type, WORD),
            subject_name: cut(of.subject_name, NAME),
            understood: cut_lines(of.understood, NAME),
            coerced: cut_lines(of.coerced, WORD),
            ignored: cut_lines(of.ignored, WORD),
            body: cut(of.body, BODY),
            entry_id: cut(of.entry_id, WORD),
        };
        Self { request_id: cut(self.request_id, WORD), document, ..self }
    }

    /// About what it takes in the database.
    fn bytes(&self) -> i64 {
        let name_key = self.name_key().map_or(0, |key| key.len());
        let texts = self.document.to_json().len() + self.search().len() + self.request_id.len() + name_key;
        i64::try_from(texts + ROW_BYTES).unwrap_or(i64::MAX)
    }

    /// What words are looked for in: what is shown of it, but for its body. A request id is looked for as a whole.
    pub(crate) fn search(&self) -> String {
        let of = &self.document;
        let status = self.status.to_string();
        let mut lines = vec![of.subject_name.as_str(), &of.method, &of.path, &status, &of.reason, &of.detail];
        lines.extend([of.address.as_str(), &of.user_agent]);
        lines.extend(of.ignored.iter().chain(&of.coerced).map(String::as_str));
        scim::fold(&lines.join("\n"))
    }

    /// What it is found by of whom it is about.
    pub(crate) fn name_key(&self) -> Option<String> {
        let Document { resource_type, subject_name, .. } = &self.document;
        (!resource_type.is_empty() && !subject_name.is_empty()).then(|| name_key(resource_type, subject_name))
    }
}

fn name_key(resource_type: &str, name: &str) -> String {
    format!("{resource_type}:{}", scim::fold(name))
}

impl Document {
    /// The form that is stored: what is empty is left out.
    pub(crate) fn to_json(&self) -> String {
        let mut value = json!(self);
        if let Some(fields) = value.as_object_mut() {
            fields.retain(|_, field| field != &json!("") && field != &json!([]));
        }
        value.to_string()
    }

    /// What was written was one.
    pub(crate) fn parse(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }
}

/// PostgreSQL takes no NUL in a text.
fn cut(text: String, most: usize) -> String {
    let mut text = if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    text.truncate(text.floor_char_boundary(most));
    text
}

fn cut_lines(lines: Vec<String>, most: usize) -> Vec<String> {
    lines.into_iter().take(LINES).map(|line| cut(line, most)).collect()
}

/// Requests of one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) read: i64,
    pub(crate) changed: i64,
    pub(crate) unchanged: i64,
    pub(crate) refused: i64,
    pub(crate) failed: i64,
    /// Of all these, how many are not in the log.
    pub(crate) left_out: i64,
}

/// By the beginning of the hour.
pub(crate) type Hours = BTreeMap<Instant, Counts>;

/// What the entries of an hour take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Entries that changed nothing, and their bytes.
    pub(crate) in_vain: i64,
    pub(crate) in_vain_bytes: i64,
    /// Bytes of all.
    pub(crate) bytes: i64,
}

impl Taken {
    /// Whether there is room for another, which is counted then.
    pub(crate) fn takes(&mut self, request: &Logged) -> bool {
        let bytes = request.bytes();
        if request.outcome != Outcome::Changed {
            if self.in_vain >= HOUR_ENTRIES || self.in_vain_bytes.saturating_add(bytes) > HOUR_BYTES {
                return false;
            }
            self.in_vain += 1;
            self.in_vain_bytes += bytes;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }

    /// What was added since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            in_vain: self.in_vain - before.in_vain,
            in_vain_bytes: self.in_vain_bytes - before.in_vain_bytes,
            bytes: self.bytes - before.bytes,
        }
    }
}

/// Fewer are no failing of everything.
const SEVERAL: i64 = 3;
/// So many refusals in each hour in which nothing was changed are no accident, although reads went well.
const MANY: i64 = 10;
/// Who has not been refused for so long is not there any more, or has nothing to ask for.
pub(crate) const QUIET_MICROS: i64 = 2 * MICROS_PER_HOUR;

/// What was refused or failed since something that was asked for was last done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) first: Instant,
    pub(crate) last: Instant,
    pub(crate) refused: i64,
    /// In hours that began after the first.
    pub(crate) read: i64,
}

impl Failures {
    /// Whether provisioning fails: for an hour and more, and still so.
    pub(crate) fn is_failing(&self, now: Instant) -> bool {
        let lasted = self.last.as_micros() - self.first.as_micros();
        let hours = lasted / MICROS_PER_HOUR;
        let enough = if self.read == 0 { SEVERAL } else { MANY.saturating_mul(hours) };
        hours >= 1 && self.refused >= enough && now.as_micros() - self.last.as_micros() < QUIET_MICROS
    }
}

impl Counts {
    pub(crate) fn add(&mut self, more: Self) {
        self.read = self.read.saturating_add(more.read);
        self.changed = self.changed.saturating_add(more.changed);
        self.unchanged = self.unchanged.saturating_add(more.unchanged);
        self.refused = self.refused.saturating_add(more.refused);
        self.failed = self.failed.saturating_add(more.failed);
        self.left_out = self.left_out.saturating_add(more.left_out);
    }
}

/// The beginning of the hour that an instant is in.
pub(crate) fn hour_of(at: Instant) -> Instant {
    Instant::from_micros(at.as_micros().div_euclid(MICROS_PER_HOUR).saturating_mul(MICROS_PER_HOUR))
}

/// The beginning of the hour after one.
pub(crate) fn next_hour(hour: Instant) -> Instant {
    hour.saturating_add_micros(MICROS_PER_HOUR)
}

/// So many days before.
pub(crate) fn days_before(at: Instant, days: u32) -> Instant {
    at.saturating_add_micros(-(i64::from(days) * MICROS_PER_DAY))
}

/// An id that no request of before has, and that is before those of this millisecond and later.
pub(crate) fn first_id(at: Instant) -> LogId {
    let millis = at.as_micros().div_euclid(1000).clamp(0, (1 << 48) - 1);
    LogId(Uuid::from_u128(u128::from(millis.unsigned_abs()) << 80))
}

/// The same for what is not of this instant any more: an id has milliseconds.
pub(crate) fn id_after(at: Instant) -> LogId {
    first_id(at.saturating_add_micros(999))
}

/// What ids are in a list, which is in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: LogId,
    /// Absent: to the last.
    pub(crate) before: Option<LogId>,
}

/// What a reader looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// Each once.
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) subject: Option<Subject>,
    /// Folded; all of them.
    pub(crate) words: Vec<String>,
    pub(crate) range: Range,
    pub(crate) start: Start,
}

/// Whom requests are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Id(Uuid),
    /// As [`Logged::name_key`] has it: who had this name then, whether there is such a one or not.
    Name(String),
}

impl Subject {
    pub(crate) fn user(name: &str) -> Self {
        Self::named("User", name)
    }

    pub(crate) fn group(name: &str) -> Self {
        Self::named("Group", name)
    }

    fn named(resource_type: &str, name: &str) -> Self {
        Self::Name(name_key(resource_type, &cut(name.trim().to_owned(), NAME)))
    }
}

/// Where a page begins, and which way it goes from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The newest first.
    Newest,
    /// The newest first, those before the given one.
    Before(LogId),
    /// The oldest first, those after the given one.
    After(LogId),
}

const AFTER: &str = "after.";

impl Start {
    pub(crate) fn ascending(self) -> bool {
        matches!(self, Self::After(_))
    }

    /// Where the page goes on after this one, the last that was looked at.
    pub(crate) fn after(self, last: LogId) -> Self {
        if self.ascending() { Self::After(last) } else { Self::Before(last) }
    }

    pub(crate) fn token(self) -> String {
        match self {
            Self::Newest => String::new(),
            Self::Before(id) => id.to_string(),
            Self::After(id) => format!("{AFTER}{id}"),
        }
    }

    /// # Errors
    /// [`Reason::InvalidCursor`].
    pub(crate) fn parse(token: &str) -> Result<Self, Refusal> {
        let id = |text| super::parse_id::<LogId>(text);
        let start = match token.strip_prefix(AFTER) {
            Some(rest) => id(rest).map(Self::After),
            None => id(token).map(Self::Before),
        };
        let wrong = "page_token is not one that was given out. Begin again without one.";
        start.ok_or_else(|| Refusal::new(Reason::InvalidCursor, wrong))
    }

    /// The ids that are left.
    pub(crate) fn within(self, range: Range) -> Range {
        match self {
            Self::Newest => range,
            Self::Before(id) => Range { before: Some(range.before.map_or(id, |before| before.min(id))), ..range },
            Self::After(id) => {
                Range { from: range.from.max(LogId(Uuid::from_u128(id.0.as_u128().saturating_add(1)))), ..range }
            }
        }
    }
}

/// The words of a search, folded.
///
/// # Errors
/// [`Reason::InvalidValue`]: more than is looked for.
pub(crate) fn words(text: &str) -> Result<Vec<String>, Refusal> {
    let folded = scim::fold(&text.replace('\0', "\u{fffd}"));
    // In quotes, as other searches take them.
    let words = folded.split_whitespace().map(|word| word.trim_matches('"')).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_owned).collect();
    if folded.len() > WORDS_BYTES || words.len() > WORDS {
        let message = format!("words must be {WORDS} words and {WORDS_BYTES} bytes at most. Look for fewer.");
        return Err(Refusal::new(Reason::InvalidValue, message));
    }
    Ok(words)
}

/// # Errors
/// [`Reason::InvalidValue`].
pub(crate) fn check_days(days: u32) -> Result<(), Refusal> {
    if (1..=LONGEST_DAYS).contains(&days) {
        return Ok(());
    }
    Err(Refusal::new(Reason::InvalidValue, format!("retention_days must be 1 to {LONGEST_DAYS}.")))
}

/// # Errors
/// [`Reason::InvalidValue`].
pub(crate) fn check_watch(seconds: u32) -> Result<(), Refusal> {
    if seconds <= LONGEST_WATCH_SECONDS {
        return Ok(());
    }
    let message = format!("watch_seconds must be 0 to {LONGEST_WATCH_SECONDS}. Ask again before they are over.");
    Err(Refusal::new(Reason::InvalidValue, message))
}

/// The hours that are counted from one instant to another.
///
/// # Errors
/// [`Reason::InvalidValue`].
pub(crate) fn hours(from: Option<Instant>, to: Instant) -> Result<(Instant, Instant), Refusal> {
    let first = days_before(to, COUNTED_DAYS);
    let from = from.unwrap_or(first);
    if from < first || from > to {
        let message = format!("from must be before to, and at most {COUNTED_DAYS} days before it.");
        return Err(Refusal::new(Reason::InvalidValue, message));
    }
    Ok((hour_of(from), to))
}

/// The answer to a request that is not in the log.
pub(crate) fn request_not_found() -> Refusal {
    Refusal::new(
        Reason::RequestNotFound,
        "There is no request with this id in the organization's log: there never was one, or it is older than requests are \
         kept. Look at the list of requests.",
    )
}

/// Whether an event is of a request, as its actor tells. A client may give several requests one id, so where the gateway gave one of
/// its own, that decides; what was written before that is joined by the client's, and by who it is.
pub(crate) fn is_of_request(actor: &str, request: &Logged) -> bool {
    let actor: Value = serde_json::from_str(actor).unwrap_or_default();
    match actor["entry_id"].as_str() {
        Some(entry_id) => entry_id == request.document.entry_id,
        None => actor["request_id"] == *request.request_id && actor["token_id"] == *request.document.token_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provisioning_fails_where_several_were_refused_over_an_hour() {
        let minute = |n: i64| Instant::from_micros(n * MICROS_PER_HOUR / 60);
        let failing = |(first, last): (i64, i64), refused, read, now| {
            Failures { first: minute(first), last: minute(last), refused, read }.is_failing(minute(now))
        };
        assert!(failing((59, 119), 3, 0, 120));
        assert!(!failing((59, 118), 9, 0, 120), "not yet an hour");
        assert!(!failing((59, 59), 1, 0, 120), "one refusal at the end of an hour");
        assert!(!failing((0, 600), 2, 0, 600), "two are not several");
        assert!(failing((0, 60), 3, 0, 179) && !failing((0, 60), 3, 0, 180), "nobody has come since");
        assert!(!failing((0, 60), 9, 5, 60) && failing((0, 60), 10, 5, 60), "among reads");
        assert!(!failing((0, 600), 36, 90, 600), "one user again and again, the others are as they should be");
    }

    fn logged() -> Logged {
        Logged {
            id: LogId(Uuid::from_u128(1)),
            occurred: Instant::from_micros(0),
            outcome: Outcome::Refused,
            status: 409,
            subject: None,
            request_id: "r".to_owned(),
            document: Document::default(),
        }
    }

    #[test]
    fn an_hour_has_room_for_so_many_that_changed_nothing_and_for_what_changed_something() {
        let document = Document { body: "x".repeat(4000), ..Document::default() };
        let large = Logged { document, ..logged() };
        let taken = |request: &Logged, n: i64| {
            let mut taken = Taken::default();
            (0..n).filter(|_| taken.takes(request)).count()
        };
        assert_eq!(taken(&logged(), HOUR_ENTRIES + 5), usize::try_from(HOUR_ENTRIES).expect("entries"));
        let of_large = taken(&large, HOUR_ENTRIES);
        assert!((5_000..10_000).contains(&of_large), "{of_large}");
        let changed = Logged { outcome: Outcome::Changed, ..large };
        assert_eq!(taken(&changed, HOUR_ENTRIES + 5), usize::try_from(HOUR_ENTRIES).expect("entries") + 5);
    }

    #[test]
    fn an_outcome_is_read_back() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::of(outcome.code()), outcome);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_where_a_character_ends() {
        let long = "a\0".to_owned() + &"ä".repeat(5000);
        let document = Document { path: long.clone(), understood: vec![long.clone(); 60], ..Document::default() };
        let cut = Logged { request_id: long, document, ..logged() }.cut();
        assert_eq!((cut.request_id.len(), cut.document.path.len()), (WORD, PATH));
        assert!(cut.document.path.starts_with("a\u{fffd}ä"));
        assert_eq!((cut.document.understood.len(), cut.document.understood[0].len()), (LINES, NAME));
        assert_eq!(cut.clone().cut(), cut);
    }

    #[test]
    fn a_document_is_read_back_and_what_is_empty_is_not_stored() {
        let document = Document { duration_us: 3, ignored: vec!["a".to_owned()], ..Document::default() };
        assert_eq!(document.to_json(), r#"{"duration_us":3,"ignored":["a"]}"#);
        assert_eq!(Document::parse(&document.to_json()), document);
    }

    #[test]
    fn ids_are_in_the_order_of_their_milliseconds() {
        let at = |micros| Instant::from_micros(micros);
        let id: Uuid = "019aae0c-6b81-7000-8000-000000000000".parse().expect("id");
        let (seconds, nanos) = id.get_timestamp().expect("version 7").to_unix();
        let then = i64::try_from(seconds).expect("seconds") * 1_000_000 + i64::from(nanos / 1000);
        assert!(first_id(at(then)).0 < id && id < first_id(at(then + 1000)).0);
        assert_eq!(first_id(at(then + 999)), first_id(at(then)));
        assert_eq!((id_after(at(then)), id_after(at(then + 1))), (first_id(at(then)), first_id(at(then + 1000))));
        assert_eq!(first_id(at(-5)).0, Uuid::nil());
        assert!(first_id(at(i64::MAX)).0 < Uuid::max());
    }

    #[test]
    fn a_page_goes_on_the_way_it_began() {
        let id = LogId(Uuid::from_u128(7));
        let range = Range { from: LogId(Uuid::from_u128(2)), before: Some(LogId(Uuid::from_u128(9))) };
        for start in [Start::Before(id), Start::After(id)] {
            assert_eq!(Start::parse(&start.token()), Ok(start));
            assert_eq!(start.after(id), start);
        }
        assert_eq!(Start::Newest.within(range), range);
        assert_eq!(Start::Before(id).within(range), Range { before: Some(id), ..range });
        assert_eq!(Start::After(id).within(range), Range { from: LogId(Uuid::from_u128(8)), ..range });
        for wrong in ["x", "after.", "after.x", "before.x", &id.to_string().replace('-', "")] {
            assert_eq!(Start::parse(wrong).map_err(|refusal| refusal.reason), Err(Reason::InvalidCursor), "{wrong}");
        }
    }

    #[test]
    fn bounds_are_told() {
        assert!(check_days(0).is_err() && check_days(1).is_ok() && check_days(365).is_ok() && check_days(366).is_err());
        assert!(check_watch(0).is_ok() && check_watch(3600).is_ok() && check_watch(3601).is_err());
        assert_eq!(words(" Straße  409\t"), Ok(vec!["strasse".to_owned(), "409".to_owned()]));
        assert_eq!(words("\"base URL\" \""), Ok(vec!["base".to_owned(), "url".to_owned()]));
        assert!(words(&"a ".repeat(11)).is_err() && words(&"a".repeat(201)).is_err());
        let hour = Instant::from_micros(MICROS_PER_HOUR * 20_000);
        let inside = hour.saturating_add_micros(5);
        assert_eq!(hours(Some(inside), inside), Ok((hour, inside)));
        assert!(hours(Some(inside), hour).is_err());
        assert!(hours(Some(days_before(hour, COUNTED_DAYS)), inside).is_err());
        assert_eq!(hours(None, hour), Ok((days_before(hour, COUNTED_DAYS), hour)));
    }

    #[test]
    fn an_event_is_of_the_request_that_its_actor_names() {
        let of = |request_id: &str, entry_id: &str| {
            let document = Document { token_id: "t".to_owned(), entry_id: entry_id.to_owned(), ..Document::default() };
            Logged { request_id: request_id.to_owned(), document, ..logged() }
        };
        let actor = r#"{"kind":"scim_client","token_id":"t","request_id":"r-1","entry_id":"e-1"}"#;
        assert!(is_of_request(actor, &of("r-1", "e-1")));
        assert!(!is_of_request(actor, &of("r-1", "e-2")), "another request of that name");
        assert!(!is_of_request(actor, &of("r-1", "")));
        let before = r#"{"kind":"scim_client","token_id":"t","request_id":"r-1"}"#;
        assert!(is_of_request(before, &of("r-1", "")) && is_of_request(before, &of("r-1", "e-1")));
        assert!(!is_of_request(before, &of("r-", "")) && !is_of_request("{}", &of("r-1", "")));
        assert!(!is_of_request(&before.replace("\"t\"", "\"u\""), &of("r-1", "")), "of another client");
    }
}
