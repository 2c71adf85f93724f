//! That the checker finds what is wrong and nothing else, with histories made by hand.

use std::{collections::BTreeSet, marker::PhantomData};

use serde_json::{Value, json};

use crate::{
    calls::{Answer, Ask, Call, IfMatch, Life, Request, Shown, Verb},
    history::{Timed, Unexplained, check},
    kinds::{Gone, Group, GroupChange, User, UserChange},
    objects::{Name, NameSeen, Resource, Seen, unexplained},
};

const ID: &str = "1";

fn kit(title: Option<&str>) -> User {
    User {
        user_name: "kit".to_owned(),
        title: title.map(str::to_owned),
        nick_name: None,
        family_name: None,
        active: Some(true),
        emails: Vec::new(),
    }
}

fn answer(status: u16, version: u64, user: Option<&User>) -> Answer {
    let body = user.map_or(Value::Null, |user| {
        let mut body = Shown::of(ID, version, user, &BTreeSet::new()).body;
        body["meta"]["version"] = json!(format!("W/\"{version}\""));
        body
    });
    let etag = if version > 0 { format!("W/\"{version}\"") } else { String::new() };
    Answer { status, etag, body }
}

type Event = Timed<Seen<User>>;

fn timed<E>(invoked: u64, returned: u64, event: E) -> Timed<E> {
    Timed { client: 0, invoked, returned, event }
}

fn asked(invoked: u64, returned: u64, if_match: Option<u64>, verb: Verb<User>, answer: Answer) -> Event {
    let if_match = if_match.map(IfMatch::Version);
    timed(invoked, returned, Seen::Asked(Ask::To { id: ID.to_owned(), if_match, verb }, answer))
}

fn created() -> Event {
    timed(0, 1, Seen::Asked(Ask::Create(kit(None)), answer(201, 1, Some(&kit(None)))))
}

/// The title is set, and the answer says which version that made.
fn set(invoked: u64, returned: u64, title: &str, version: u64) -> Event {
    let change = UserChange::Title(Some(title.to_owned()));
    asked(invoked, returned, None, Verb::Patch(vec![change], false), answer(200, version, Some(&kit(Some(title)))))
}

fn get(invoked: u64, returned: u64, title: Option<&str>, version: u64) -> Event {
    asked(invoked, returned, None, Verb::Get, answer(200, version, Some(&kit(title))))
}

fn gone(invoked: u64, returned: u64) -> Event {
    asked(invoked, returned, None, Verb::Delete, answer(204, 0, None))
}

fn judged(events: Vec<Event>) -> Result<(), Unexplained<Resource<User>>> {
    let user = Resource { id: ID.to_owned(), groups: BTreeSet::new(), kind: PhantomData };
    check(&user, (Life::Unborn, Gone::new()), events)
}

/// Fails, and shows that many events.
#[track_caller]
fn assert_wrong(events: Vec<Event>, shown: usize) {
    let wrong = judged(events).expect_err("no order explains this");
    assert_eq!(wrong.events.len(), shown, "{wrong}");
    assert!(wrong.to_string().contains("before: "));
}

#[test]
fn whatever_order_explains_is_right() {
    judged(vec![created(), set(2, 3, "a", 2), get(4, 5, Some("a"), 2), gone(6, 7)]).expect("one after the other");
    // At once, and the one that was asked later came first.
    judged(vec![created(), set(2, 9, "a", 3), set(3, 8, "b", 2), get(10, 11, Some("a"), 3)]).expect("in this order");
    judged(vec![created(), set(2, 9, "a", 2), set(3, 8, "b", 3), get(10, 11, Some("b"), 3)]).expect("in that order");
    // A look meanwhile may see what was before or what is then, and one that comes later not less.
    judged(vec![created(), set(2, 9, "a", 2), get(3, 4, None, 1), get(5, 6, Some("a"), 2)]).expect("during");
    judged(vec![created(), gone(2, 9), get(3, 4, None, 1), asked(5, 6, None, Verb::Get, answer(404, 0, None))])
        .expect("deleted meanwhile");
}

#[test]
fn a_lost_update_is_found() {
    // Both wrote over version 1.
    assert_wrong(vec![created(), set(2, 9, "a", 2), set(3, 8, "b", 2)], 2);
    let guarded = |invoked, returned, title: &str| {
        let change = UserChange::Title(Some(title.to_owned()));
        let told = answer(200, 2, Some(&kit(Some(title))));
        asked(invoked, returned, Some(1), Verb::Patch(vec![change], false), told)
    };
    assert_wrong(vec![created(), guarded(2, 9, "a"), guarded(3, 8, "b")], 2);
    // One was told that it is done, and it shows nowhere.
    assert_wrong(vec![created(), set(2, 3, "a", 2), set(4, 5, "b", 2), get(6, 7, Some("b"), 2)], 1);
}

#[test]
fn a_stale_read_is_found() {
    assert_wrong(vec![created(), set(2, 3, "a", 2), get(4, 5, None, 1)], 1);
    // Seen already, then not any more, all while the change was under way.
    assert_wrong(vec![created(), set(2, 9, "a", 2), get(3, 4, Some("a"), 2), get(5, 6, None, 1)], 3);
    // The new version with the old content.
    assert_wrong(vec![created(), set(2, 9, "a", 2), get(3, 8, None, 2)], 2);
}

#[test]
fn a_resurrected_delete_is_found() {
    assert_wrong(vec![created(), gone(2, 3), get(4, 5, None, 1)], 1);
    // The change was told that it is done after the user was seen to be gone.
    let missing = asked(4, 5, None, Verb::Get, answer(404, 0, None));
    assert_wrong(vec![created(), gone(2, 3), missing, set(6, 7, "a", 2)], 1);
    assert_wrong(vec![created(), gone(2, 3), gone(4, 5)], 1);
}

#[test]
fn a_name_has_one_owner() {
    let id = |id: &str| id.to_owned();
    let right = vec![
        timed(0, 5, NameSeen::Created(id("1"))),
        timed(1, 6, NameSeen::Taken(None)),
        timed(7, 12, NameSeen::Left(id("1"))),
        timed(8, 11, NameSeen::Created(id("2"))),
        timed(13, 14, NameSeen::Found(vec![id("2")])),
    ];
    check(&Name, None, right).expect("one after the other");
    for wrong in [
        vec![timed(0, 5, NameSeen::Created(id("1"))), timed(1, 6, NameSeen::Created(id("2")))],
        vec![timed(0, 1, NameSeen::Taken(None))],
        vec![timed(0, 1, NameSeen::Created(id("1"))), timed(2, 3, NameSeen::Taken(Some(id("1"))))],
        vec![timed(0, 1, NameSeen::Created(id("1"))), timed(2, 3, NameSeen::Found(Vec::new()))],
        vec![timed(0, 9, NameSeen::Created(id("1"))), timed(1, 8, NameSeen::Found(vec![id("1"), id("2")]))],
        vec![
            timed(0, 1, NameSeen::Created(id("1"))),
            timed(2, 3, NameSeen::Left(id("1"))),
            timed(4, 5, NameSeen::Has(id("1"))),
        ],
    ] {
        check(&Name, None, wrong).expect_err("no order explains this");
    }
}

/// What is found in a log of whole calls: a member added after its deletion.
#[test]
fn a_member_that_is_gone_is_found() {
    let call = |invoked: u64, request: Request, status: u16, etag: &str, body: Value| Call {
        client: 0,
        invoked,
        returned: invoked + 1,
        request,
        answer: Answer { status, etag: etag.to_owned(), body },
    };
    let to = |id: &str, verb| Request::Group(Ask::To { id: id.to_owned(), if_match: None, verb });
    let body = crate::kinds::GroupBody { display_name: "Ops".to_owned(), members: None };
    let mut shown =
        Shown::of("2", 1, &Group { display_name: "Ops".to_owned(), members: BTreeSet::new() }, &BTreeSet::new()).body;
    shown["meta"]["version"] = json!("W/\"1\"");
    let delete = Request::User(Ask::To { id: ID.to_owned(), if_match: None, verb: Verb::Delete });
    let add = Verb::Patch(vec![GroupChange::Add(vec![ID.to_owned()])], false);
    let user = answer(201, 1, Some(&kit(None)));
    let mut log = vec![
        call(0, Request::User(Ask::Create(kit(None))), 201, &user.etag, user.body),
        call(2, Request::Group(Ask::Create(body)), 201, "W/\"1\"", shown),
        call(4, to("2", add.clone()), 204, "W/\"2\"", Value::Null),
        call(6, delete, 204, "", Value::Null),
    ];
    assert_eq!(unexplained(&log, &["kit"], &["Ops"]), Vec::<String>::new());
    log.push(call(8, to("2", add), 204, "W/\"3\"", Value::Null));
    let wrong = unexplained(&log, &["kit"], &["Ops"]);
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(wrong[0].starts_with("group 2:") && wrong[0].contains("PATCH /Groups/2"), "{}", wrong[0]);
}
