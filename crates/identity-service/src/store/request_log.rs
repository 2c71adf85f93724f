//! The provisioning log: requests by their ids, which are in the order of time, and their counts by the hour.
//!
//! Not here: what a request changed (`event`). Nothing that a SCIM client is answered with looks at these tables.

use std::collections::BTreeMap;

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, SmallInt, Text},
};
use store::{
    AnyConnection, Backend, Instant,
    sql_types::{Id, Instant as InstantType},
};
use uuid::Uuid;

use super::{
    Count,
    filter_sql::escaped,
    statement::{AnyId, Statement, Value, for_each, limit_to},
};
use crate::domain::{
    LogId, OrgId,
    request_log::{
        Counts, Document, Failures, Hours, Logged, Outcome, QUIET_MICROS, Range, Search, Start, Subject, Taken,
        first_id, hour_of,
    },
};

/// Rows of one INSERT, ten values each.
const ROWS_PER_INSERT: usize = 500;
/// Requests that one page looks at where no index tells whether they are meant.
const LOOKED_AT: i64 = 20_000;

#[derive(QueryableByName)]
struct LoggedRow {
    #[diesel(sql_type = Id)]
    id: LogId,
    #[diesel(sql_type = InstantType)]
    occurred: Instant,
    #[diesel(sql_type = SmallInt)]
    outcome: i16,
    #[diesel(sql_type = SmallInt)]
    status: i16,
    #[diesel(sql_type = Nullable<Id>)]
    subject: Option<AnyId>,
    #[diesel(sql_type = Text)]
    request_id: String,
    #[diesel(sql_type = Text)]
    document: String,
}

impl From<LoggedRow> for Logged {
    fn from(row: LoggedRow) -> Self {
        Self {
            id: row.id,
            occurred: row.occurred,
            outcome: Outcome::of(row.outcome),
            status: u16::try_from(row.status).unwrap_or(0),
            subject: row.subject.map(|subject| subject.0),
            request_id: row.request_id,
            document: Document::parse(&row.document),
        }
    }
}

/// The columns of [`LoggedRow`], for a table alias `l`.
const COLUMNS: &str = "l.id, l.occurred, l.outcome, l.status, l.subject, l.request_id, l.document";

/// Adds requests, but for those that are there already.
pub(crate) fn requests_insert(conn: &mut AnyConnection, org: OrgId, requests: &[Logged]) -> Result<(), store::Error> {
    for chunk in requests.chunks(ROWS_PER_INSERT) {
        let text = "INSERT INTO request_log (org, id, occurred, outcome, status, subject, name_key, request_id, search, document) \
                    VALUES ";
        let mut insert = Statement::new(text, []);
        for (request, comma) in chunk.iter().zip(std::iter::once("").chain(std::iter::repeat(", "))) {
            let values = [
                Value::id(org),
                Value::id(request.id),
                Value::Instant(request.occurred),
                Value::Integer(request.outcome.code().into()),
                Value::Integer(request.status.into()),
                Value::OptionalId(request.subject.map(AnyId)),
                Value::OptionalText(request.name_key()),
                Value::text(&*request.request_id),
                Value::text(request.search()),
                Value::text(request.document.to_json()),
            ];
            insert.push(comma, []).push("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values);
        }
        insert.push(" ON CONFLICT DO NOTHING", []);
        insert.shaped().run(conn)?;
    }
    Ok(())
}

/// Adds to what is counted.
pub(crate) fn counts_add(
    conn: &mut AnyConnection,
    org: OrgId,
    hours: &Hours,
    taken: &BTreeMap<Instant, Taken>,
) -> Result<(), store::Error> {
    if hours.is_empty() {
        return Ok(());
    }
    let text = "INSERT INTO request_count (org, hour, read, changed, unchanged, refused, failed, left_out, in_vain, \
                in_vain_bytes, kept_bytes) VALUES ";
    let mut insert = Statement::new(text, []);
    // In their order, so that nobody waits for each other.
    for ((hour, counts), comma) in hours.iter().zip(std::iter::once("").chain(std::iter::repeat(", "))) {
        let Counts { read, changed, unchanged, refused, failed, left_out } = *counts;
        let Taken { in_vain, in_vain_bytes, bytes } = taken.get(hour).copied().unwrap_or_default();
        let counts = [read, changed, unchanged, refused, failed, left_out, in_vain, in_vain_bytes, bytes];
        let values = [Value::id(org), Value::Instant(*hour)].into_iter().chain(counts.map(Value::Integer));
        insert.push(comma, []).push("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values);
    }
    insert.push(
        " ON CONFLICT (org, hour) DO UPDATE SET read = request_count.read + excluded.read, \
         changed = request_count.changed + excluded.changed, unchanged = request_count.unchanged + excluded.unchanged, \
         refused = request_count.refused + excluded.refused, failed = request_count.failed + excluded.failed, \
         left_out = request_count.left_out + excluded.left_out, in_vain = request_count.in_vain + excluded.in_vain, \
         in_vain_bytes = request_count.in_vain_bytes + excluded.in_vain_bytes, \
         kept_bytes = request_count.kept_bytes + excluded.kept_bytes",
        [],
    );
    insert.shaped().run(conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = InstantType)]
    hour: Instant,
    #[diesel(sql_type = BigInt)]
    in_vain: i64,
    #[diesel(sql_type = BigInt)]
    in_vain_bytes: i64,
    #[diesel(sql_type = BigInt)]
    kept_bytes: i64,
}

/// What the entries take of the hours from one to another, both included.
pub(crate) fn taken_between(
    conn: &mut AnyConnection,
    org: OrgId,
    first: Instant,
    last: Instant,
) -> Result<BTreeMap<Instant, Taken>, store::Error> {
    let text = "SELECT c.hour, c.in_vain, c.in_vain_bytes, c.kept_bytes FROM request_count c WHERE c.org = ? AND \
                c.hour >= ? AND c.hour <= ?";
    let values = [Value::id(org), Value::Instant(first), Value::Instant(last)];
    let rows: Vec<TakenRow> = Statement::new(text, values).rows(conn)?;
    let taken = |row: TakenRow| {
        (row.hour, Taken { in_vain: row.in_vain, in_vain_bytes: row.in_vain_bytes, bytes: row.kept_bytes })
    };
    Ok(rows.into_iter().map(taken).collect())
}

#[derive(QueryableByName)]
struct HourRow {
    #[diesel(sql_type = InstantType)]
    hour: Instant,
}

/// The hour that there is no room for any more, counted from the newest: it and those before are over. Never the newest itself.
pub(crate) fn hour_without_room(
    conn: &mut AnyConnection,
    org: OrgId,
    most: i64,
) -> Result<Option<Instant>, store::Error> {
    let text = "SELECT a.hour FROM (SELECT c.hour, SUM(c.kept_bytes) OVER (ORDER BY c.hour DESC) AS total, \
                ROW_NUMBER() OVER (ORDER BY c.hour DESC) AS place FROM request_count c WHERE c.org = ? AND c.kept_bytes > 0) a \
                WHERE a.total > ? AND a.place > 1 ORDER BY a.hour DESC LIMIT 1";
    let row: Option<HourRow> = Statement::new(text, [Value::id(org), Value::Integer(most)]).row(conn)?;
    Ok(row.map(|row| row.hour))
}

/// Some requests that were looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) requests: Vec<Logged>,
    /// The last that was looked at, if there may be more.
    pub(crate) last: Option<LogId>,
}

/// The next of what is looked for. With words, or with outcomes of one subject, it ends after so many requests that
/// were looked at, whatever was found.
pub(crate) fn requests_page(
    conn: &mut AnyConnection,
    org: OrgId,
    search: &Search,
    limit: u32,
) -> Result<Page, store::Error> {
    let (backend, mut range) = (conn.backend(), search.start.within(search.range));
    let ascending = search.start.ascending();
    let mut last = None;
    if meant(search).is_some() {
        let edge: Option<IdRow> = edge_statement(backend, org, search, range).row(conn)?;
        last = edge.map(|edge| edge.id);
        // It was looked at itself.
        match last {
            Some(last) if ascending => range.before = Some(LogId(next(last.0))),
            Some(last) => range.from = last,
            None => {}
        }
    }
    let rows: Vec<LoggedRow> = page_statement(backend, org, search, range, i64::from(limit) + 1).rows(conn)?;
    let mut requests: Vec<Logged> = rows.into_iter().map(Logged::from).collect();
    if requests.len() > limit as usize {
        requests.truncate(limit as usize);
        last = requests.last().map(|request| request.id);
    }
    Ok(Page { requests, last })
}

fn next(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Id)]
    id: LogId,
}

/// The last request that a page looks at, if there are so many.
pub(crate) fn edge_statement(backend: Backend, org: OrgId, search: &Search, range: Range) -> Statement {
    let way = way(search);
    let mut edge = Statement::new("SELECT u.id FROM (", []);
    edge.append(candidates(backend, org, search, range, None, LOOKED_AT));
    edge.push(&format!(") u ORDER BY u.id{way} LIMIT 1 OFFSET {}", LOOKED_AT - 1), []);
    edge
}

/// Requests of a range that are meant.
pub(crate) fn page_statement(backend: Backend, org: OrgId, search: &Search, range: Range, limit: i64) -> Statement {
    let way = way(search);
    // What is shown is read of the requests of the page alone.
    let whole = for_each(backend, COLUMNS, "#", "request_log l", "l.org = ? AND l.id = f.id");
    let (begin, end) = whole.split_once('#').unwrap_or_default();
    let mut page = Statement::new(format!("{begin}(SELECT u.id FROM ("), []);
    page.append(candidates(backend, org, search, range, meant(search), limit));
    page.push(&format!(") u ORDER BY u.id{way}"), []).append(limit_to(backend, limit));
    page.push(&format!(") f{end} ORDER BY l.id{way}"), [Value::id(org)]);
    if search.words.is_empty() { page } else { page.shaped() }
}

fn way(search: &Search) -> &'static str {
    if search.start.ascending() { "" } else { " DESC" }
}

/// The first ids of each index that is read along: that of the subject or its name, or one part of that by outcome for each
/// outcome.
fn candidates(
    backend: Backend,
    org: OrgId,
    search: &Search,
    range: Range,
    meant: Option<Statement>,
    limit: i64,
) -> Statement {
    let way = way(search);
    // SQLite goes without statistics, and takes a range of ids for narrower than it is.
    let by = match (backend, &search.subject) {
        (Backend::Postgres, _) => "",
        (Backend::Sqlite, Some(Subject::Id(_))) => " INDEXED BY request_log_subject",
        (Backend::Sqlite, Some(Subject::Name(_))) => " INDEXED BY request_log_name",
        (Backend::Sqlite, None) => " INDEXED BY request_log_outcome",
    };
    let keys: Vec<(&str, Value)> = match &search.subject {
        Some(Subject::Id(id)) => vec![("l.subject", Value::id(*id))],
        Some(Subject::Name(name)) => vec![("l.name_key", Value::text(&**name))],
        None => search.outcomes.iter().map(|outcome| ("l.outcome", Value::Integer(outcome.code().into()))).collect(),
    };
    let mut all = Statement::default();
    for (n, (key, value)) in keys.into_iter().enumerate() {
        let begin = if n == 0 { "" } else { " UNION ALL " };
        let text = format!(
            "{begin}SELECT * FROM (SELECT l.id FROM request_log l{by} WHERE l.org = ? AND {key} = ? AND l.id >= ?"
        );
        all.push(&text, [Value::id(org), value, Value::id(range.from)]);
        if let Some(before) = range.before {
            all.push(" AND l.id < ?", [Value::id(before)]);
        }
        if let Some(meant) = &meant {
            all.append(meant.clone());
        }
        all.push(&format!(" ORDER BY l.id{way}"), []).append(limit_to(backend, limit));
        all.push(&format!(") a{n}"), []);
    }
    all
}

/// What no index tells: words, and outcomes of one subject.
fn meant(search: &Search) -> Option<Statement> {
    let mut meant = Statement::default();
    if search.subject.is_some() && search.outcomes.len() < Outcome::ALL.len() {
        let marks = vec!["?"; search.outcomes.len()].join(", ");
        let codes = search.outcomes.iter().map(|outcome| Value::Integer(outcome.code().into()));
        meant.push(&format!(" AND l.outcome IN ({marks})"), codes);
    }
    for word in &search.words {
        // Part of an id is nothing that anybody looks for, and digits would be in many.
        meant.push(
            " AND (l.search LIKE ? ESCAPE '\\' OR lower(l.request_id) = ?)",
            [Value::text(format!("%{}%", escaped(word))), Value::text(&**word)],
        );
    }
    (!meant.is_empty()).then_some(meant)
}

/// One that is not older than the given id.
pub(crate) fn request_get(
    conn: &mut AnyConnection,
    org: OrgId,
    id: LogId,
    from: LogId,
) -> Result<Option<Logged>, store::Error> {
    let text = format!("SELECT {COLUMNS} FROM request_log l WHERE l.org = ? AND l.id = ? AND l.id >= ?");
    let row: Option<LoggedRow> = Statement::new(text, [Value::id(org), Value::id(id), Value::id(from)]).row(conn)?;
    Ok(row.map(Logged::from))
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = InstantType)]
    hour: Instant,
    #[diesel(sql_type = BigInt)]
    read: i64,
    #[diesel(sql_type = BigInt)]
    changed: i64,
    #[diesel(sql_type = BigInt)]
    unchanged: i64,
    #[diesel(sql_type = BigInt)]
    refused: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = BigInt)]
    left_out: i64,
}

/// The hours that begin from one instant on and before another.
pub(crate) fn counts_between(
    conn: &mut AnyConnection,
    org: OrgId,
    from: Instant,
    to: Instant,
) -> Result<Hours, store::Error> {
    let text = "SELECT c.hour, c.read, c.changed, c.unchanged, c.refused, c.failed, c.left_out FROM request_count c WHERE \
                c.org = ? AND c.hour >= ? AND c.hour < ? ORDER BY c.hour";
    let values = [Value::id(org), Value::Instant(from), Value::Instant(to)];
    let rows: Vec<CountRow> = Statement::new(text, values).rows(conn)?;
    let counts = |row: CountRow| {
        let CountRow { hour, read, changed, unchanged, refused, failed, left_out } = row;
        (hour, Counts { read, changed, unchanged, refused, failed, left_out })
    };
    // Where only the size of entries is known, nothing was counted.
    Ok(rows.into_iter().map(counts).filter(|(_, counts)| *counts != Counts::default()).collect())
}

/// Failures that are counted, refused ones and others apart.
const COUNTED: i64 = 10_000;

/// What was refused or failed since the last change, or request for one that was taken, if anything was lately: a few
/// seeks. `refused` is twice [`COUNTED`] at the most.
pub(crate) fn failures(conn: &mut AnyConnection, org: OrgId, now: Instant) -> Result<Option<Failures>, store::Error> {
    let find = |outcomes: [Outcome; 2], from: LogId, start| Search {
        outcomes: outcomes.to_vec(),
        subject: None,
        words: Vec::new(),
        range: Range { from, before: None },
        start,
    };
    let (bad, all) = ([Outcome::Refused, Outcome::Failed], LogId(Uuid::nil()));
    let lately = first_id(now.saturating_add_micros(-QUIET_MICROS));
    let Some(last) = first(conn, org, &find(bad, lately, Start::Newest))? else { return Ok(None) };
    let good = first(conn, org, &find([Outcome::Changed, Outcome::Unchanged], all, Start::Newest))?;
    let since = good.map_or(all, |good| LogId(next(good.id.0)));
    let search = find(bad, since, Start::After(all));
    let Some(begin) = first(conn, org, &search)? else { return Ok(None) };
    let mut count = Statement::new("SELECT count(*) AS n FROM (", []);
    count.append(candidates(conn.backend(), org, &search, search.range, None, COUNTED)).push(") c", []);
    let refused = count.row::<Count>(conn)?.map_or(0, |row| row.n);
    let after = hour_of(begin.occurred).saturating_add_micros(1);
    let read = counts_between(conn, org, after, last.occurred)?.values().map(|counts| counts.read).sum();
    Ok(Some(Failures { first: begin.occurred, last: last.occurred, refused, read }))
}

/// The first that a search finds.
fn first(conn: &mut AnyConnection, org: OrgId, search: &Search) -> Result<Option<Logged>, store::Error> {
    Ok(requests_page(conn, org, search, 1)?.requests.pop())
}

#[derive(QueryableByName)]
struct OrgRow {
    #[diesel(sql_type = Id)]
    org: OrgId,
}

/// The next organization, by id, with requests or counts: two seeks.
pub(crate) fn request_organization_after(
    conn: &mut AnyConnection,
    after: OrgId,
) -> Result<Option<OrgId>, store::Error> {
    let text = "SELECT a.org FROM (SELECT l.org FROM request_log l WHERE l.org > ? ORDER BY l.org LIMIT 1) a UNION ALL \
                SELECT b.org FROM (SELECT c.org FROM request_count c WHERE c.org > ? ORDER BY c.org LIMIT 1) b";
    let rows: Vec<OrgRow> = Statement::new(text, [Value::id(after), Value::id(after)]).rows(conn)?;
    Ok(rows.into_iter().map(|row| row.org).min())
}

/// Deletes requests before an id, at most `limit`, the oldest first. How many there were.
pub(crate) fn requests_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    before: LogId,
    limit: i64,
) -> Result<usize, store::Error> {
    let text = "DELETE FROM request_log WHERE org = ? AND id IN \
                (SELECT l.id FROM request_log l WHERE l.org = ? AND l.id < ? ORDER BY l.id LIMIT ?)";
    let values = [Value::id(org), Value::id(org), Value::id(before), Value::Integer(limit)];
    Ok(Statement::new(text, values).run(conn)?)
}

/// Deletes the counts of hours before an instant, at most `limit`, the oldest first. How many there were.
pub(crate) fn counts_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    before: Instant,
    limit: i64,
) -> Result<usize, store::Error> {
    let text = "DELETE FROM request_count WHERE org = ? AND hour IN \
                (SELECT c.hour FROM request_count c WHERE c.org = ? AND c.hour < ? ORDER BY c.hour LIMIT ?)";
    let values = [Value::id(org), Value::id(org), Value::Instant(before), Value::Integer(limit)];
    Ok(Statement::new(text, values).run(conn)?)
}
