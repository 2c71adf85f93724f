//! The provisioning log, and events as it looks them up.

use std::{collections::BTreeMap, fmt::Write as _};

use store::{AnyConnection, Instant};
use testkit::TestDatabase;
use uuid::Uuid;

use super::{OURS, STRANGER, THEIRS};
use crate::{
    domain::{
        LogId, OrgId,
        request_log::{Counts, Document, Failures, Hours, Logged, Outcome, Range, Search, Start, Subject, Taken},
    },
    store::{
        event::{event_number_at, events_of_subject, events_of_subject_between},
        request_log::{
            counts_add, counts_between, counts_purge, failures, hour_without_room, request_get, requests_insert,
            requests_page, requests_purge, taken_between,
        },
    },
};

pub(super) const TABLES: [&str; 2] = ["request_log", "request_count"];

/// One with events that are numbered from the first on.
pub(super) const NUMBERED: OrgId = OrgId(Uuid::from_u128(0x13));

fn id(n: u128) -> LogId {
    LogId(Uuid::from_u128(n))
}

pub(super) fn rows(database: &TestDatabase) -> String {
    let uuid = |id: Uuid| database.literal(&id.to_string());
    let at = |seconds: u32| {
        if database.is_sqlite() { format!("{seconds}000000") } else { format!("to_timestamp({seconds})") }
    };
    let blob = if database.is_sqlite() { "X'00'" } else { "CAST('\\x00' AS bytea)" };
    let [ours, theirs, numbered, stranger] = [OURS.0, THEIRS.0, NUMBERED.0, STRANGER].map(uuid);
    let mut sql = String::new();
    let mut add = |table: &str, values: &[String]| {
        let _ = write!(sql, "INSERT INTO {table} VALUES {};", values.join(","));
    };
    let request = |org: &str, n: u128| {
        format!("({org}, {}, {}, 4, 409, {stranger}, 'User:kit', 'r', 'kit', '{{}}')", uuid(id(n).0), at(1))
    };
    let requests = "request_log (org, id, occurred, outcome, status, subject, name_key, request_id, search, document)";
    // Theirs are before ours and after it, and one is the same.
    let of_theirs = [1, 2, 3, 7, 8, 9].map(|n| request(&theirs, n));
    add(requests, &[&of_theirs[..], &[request(&ours, 3)]].concat());
    let count = |org: &str, seconds: u32, n: u32| format!("({org}, {}, {n}, {n}, {n}, {n}, {n})", at(seconds));
    let counts = "request_count (org, hour, read, changed, unchanged, refused, failed)";
    let kept = format!("UPDATE request_count SET kept_bytes = 1000 WHERE org = {theirs};");
    add(counts, &[count(&theirs, 0, 5), count(&theirs, 3600, 5), count(&ours, 3600, 1)]);
    let event = |org: &str, seq: i64, seconds: u32| {
        format!("({org}, {seq}, {stranger}, {}, 'k', {stranger}, '{{}}', '{{}}', {blob})", at(seconds))
    };
    let events = "event (org, seq, id, occurred, kind, subject, actor, delta, hash)";
    add(events, &[event(&theirs, 2, 0), event(&numbered, 1, 0), event(&numbered, 2, 3)]);
    add("event_head (org, last_seq, last_hash, splits)", &[format!("({numbered}, 2, {blob}, 0)")]);
    sql.push_str(&kept);
    sql
}

pub(super) fn work(conn: &mut AnyConnection, org: OrgId) -> Result<(), store::Error> {
    let second = Instant::from_micros(1_000_000);
    assert_eq!(event_number_at(conn, org, second)?, 2, "the second of its own");
    let own = events_of_subject(conn, org, STRANGER, None, 10)?;
    assert_eq!(own.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(events_of_subject_between(conn, org, STRANGER, (2, 3), 10)?.len(), 1);

    let ours = Logged {
        id: id(3),
        occurred: second,
        outcome: Outcome::Refused,
        status: 409,
        subject: Some(STRANGER),
        request_id: "r".to_owned(),
        document: Document::default(),
    };
    requests_insert(conn, OURS, std::slice::from_ref(&ours))?;
    let range = Range { from: id(0), before: None };
    for subject in [None, Some(Subject::Id(STRANGER)), Some(Subject::user("Kit"))] {
        for start in [Start::Newest, Start::After(id(0))] {
            let (outcomes, words, subject) = (vec![Outcome::Refused], vec!["kit".to_owned()], subject.clone());
            let search = Search { outcomes, subject, words, range, start };
            let page = requests_page(conn, OURS, &search, 1)?;
            assert_eq!((page.requests, page.last), (vec![ours.clone()], None), "though there are more of theirs");
        }
    }
    assert_eq!(request_get(conn, OURS, id(9), id(0))?, None, "one of theirs");
    let failing = Failures { first: second, last: second, refused: 1, read: 0 };
    assert_eq!(failures(conn, OURS, second)?, Some(failing));
    let hour = Instant::from_micros(3_600_000_000);
    let one = Counts { read: 1, changed: 1, unchanged: 1, refused: 1, failed: 1, left_out: 1 };
    let taken = Taken { in_vain: 1, in_vain_bytes: 1, bytes: 1 };
    counts_add(conn, OURS, &Hours::from([(hour, one)]), &BTreeMap::from([(hour, taken)]))?;
    assert_eq!(taken_between(conn, OURS, Instant::from_micros(0), hour)?, BTreeMap::from([(hour, taken)]));
    assert_eq!(hour_without_room(conn, OURS, 0)?, None, "ours have one hour");
    let two = Counts { read: 2, changed: 2, unchanged: 2, refused: 2, failed: 2, left_out: 1 };
    let later = hour.saturating_add_micros(1);
    assert_eq!(counts_between(conn, OURS, Instant::from_micros(0), later)?, Hours::from([(hour, two)]));
    assert_eq!(requests_purge(conn, OURS, id(100), 1)?, 1, "ours, though theirs are first");
    assert_eq!(counts_purge(conn, OURS, later, 1)?, 1, "ours, though theirs are first");
    Ok(())
}
