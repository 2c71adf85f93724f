//! Two organizations with the same ids. Ids are unique in truth, which hides a join or a write that forgets the
//! organization; so the rows of one are copied to another one behind the product's back. Everything must then answer as it
//! does for an organization without a twin, and the twin's rows stay as they are.

use scim::schema::{GROUP, USER};
use serde_json::{Value, json};
use wire::identity as proto;

use crate::{
    filters,
    harness::{Server, administrator, text},
    plant,
    probes::{Probe, encoded, group_body, patch, send, shown},
    subject::Subject,
};

/// With groups in groups, and without.
const FORMS: [bool; 2] = [true, false];

/// How organizations without a twin are answered.
pub(crate) async fn alone(server: &mut Server) -> [Vec<String>; 2] {
    let mut told = [const { Vec::new() }; 2];
    for (told, nested) in told.iter_mut().zip(FORMS) {
        let alone = Subject::enroll_as(server, &format!("alone-{nested}"), nested).await;
        *told = script(server, &alone, nested, None).await;
    }
    told
}

/// One with a twin does the same, and is answered the same.
pub(crate) async fn all(server: &mut Server, alone: &[Vec<String>; 2], name: &str) {
    for (wanted, nested) in alone.iter().zip(FORMS) {
        let twin = server.organization(&format!("{name}-twin-{nested}")).await;
        let ours = Subject::enroll_as(server, &format!("{name}-ours-{nested}"), nested).await;
        let seen = script(server, &ours, nested, Some(&twin)).await;
        for (seen, wanted) in seen.iter().zip(wanted) {
            assert_eq!(seen, wanted, "an organization with a twin is answered otherwise");
        }
        assert_eq!(seen.len(), wanted.len());
    }
}

/// A life of an organization, as it is answered.
async fn script(server: &Server, of: &Subject, nested: bool, twin: Option<&str>) -> Vec<String> {
    plant::prepare(server, of).await;
    if let Some(twin) = twin {
        plant::twin(server, of, twin).await;
    }
    let mut told = vec![members(server, of).await, walk(server, of, twin).await];
    told.push(totals(server, twin.is_some()).await);
    let before = twin.map(|twin| plant::rows(server, twin));
    for (method, probe) in requests(of, nested) {
        let answer = send(server, method, &probe).await;
        let mut line = format!("{method} {probe:?}\n{}", shown(&answer, of));
        line = without_ids(&of.anonymous(&line));
        told.push(line);
        if let (Some(twin), Some(before)) = (twin, &before)
            && method != "GET"
        {
            let kept = plant::rows(server, twin);
            assert!(kept == *before, "{method} {probe:?} changed rows of another organization: {before:#?} {kept:#?}");
        }
    }
    told.push(members(server, of).await);
    told.push(stored(server, of));
    told.push(ends(server, of).await);
    if let (Some(twin), Some(before)) = (twin, &before) {
        assert!(plant::rows(server, twin) == *before, "a deletion of users changed rows of another organization");
    }
    told.push(stored(server, of));
    told.extend(restores(server, of).await);
    if let (Some(twin), Some(before)) = (twin, &before) {
        assert!(plant::rows(server, twin) == *before, "a restored user changed rows of another organization");
    }
    told.push(stored(server, of));
    told.extend(events(server, of).await);
    told
}

fn requests(of: &Subject, nested: bool) -> Vec<(&'static str, Probe)> {
    let (user, group, boss) = (of.user_id(), of.group_id(), of.manager());
    let [user_path, group_path, inner_path] =
        [("Users", &user), ("Groups", &group), ("Groups", &of.inner)].map(|(resource, id)| format!("/{resource}/{id}"));
    let inner = if nested { &of.inner } else { &boss };
    let get = |path: String| ("GET", Probe::new(path, None));
    let members = |op: &str, ids: &[&str]| {
        let values: Vec<Value> = ids.iter().map(|id| json!({"value": id})).collect();
        patch(json!([{"op": op, "path": "members", "value": values}]))
    };
    let mut all = Vec::new();
    let reads = [user_path.clone(), group_path.clone(), inner_path.clone()].into_iter().chain(
        [
            "/Users?startIndex=4&count=1",
            "/Groups?startIndex=3&count=1",
            "/Users?count=2",
            "/Users?startIndex=2&count=1",
            "/Users?startIndex=3&count=2",
            "/Groups?startIndex=2&count=2",
            "/Users?sortBy=displayName",
            "/Groups?count=10",
            "/Groups?sortBy=displayName",
            "/Users?count=0",
            "/Groups?count=0",
            "/Users?startIndex=1&count=1",
            "/Groups?startIndex=1&count=1",
            "/Groups?startIndex=2&count=1",
            "/Users?startIndex=2&count=1",
            "/Users?startIndex=3&count=1",
            "/Users?startIndex=4&count=1",
            "/Groups?excludedAttributes=members",
            "/Users?filter=not%20(title%20pr)",
            "/Groups?filter=members%20pr",
            "/Groups?filter=members%20pr&count=0",
            "/Groups?filter=members%20pr&count=1",
            "/Users?filter=groups%5Btype%20eq%20%22indirect%22%20and%20display%20pr%5D",
        ]
        .map(str::to_owned),
    );
    all.extend(reads.map(get));
    for (path, rt, resource) in
        [("/Users", scim::schema::user(), &of.user), ("/Groups", scim::schema::group(), &of.group)]
    {
        let filters = filters::of(rt, resource, (path == "/Users").then_some((of.urn.as_str(), "badge")));
        all.extend(filters.iter().map(|filter| get(format!("{path}?filter={}", encoded(filter)))));
    }
    let filter = encoded(&format!("id eq \"{user}\" or displayName co \"Inner\""));
    all.push(get(format!("/Users?filter={filter}")));
    all.push((
        "POST",
        Probe::new(
            "/.search",
            Some(json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 10})),
        ),
    ));
    all.push(get(format!("/Users?count=1&cursor={}", encoded(&of.cursor))));
    let mail = of.user["emails"][0]["value"].as_str().expect("address");
    let by_mail = encoded(&format!("emails.value eq \"{mail}\""));
    all.push(get(format!("/Users?sortBy=displayName&filter={by_mail}")));
    all.push(get(format!("/Users?count=1&cursor=&filter={by_mail}")));
    all.push(get(format!("/Groups?filter={}", encoded(&format!("externalId eq \"{}\"", of.group_external_id())))));
    for (id, resource) in [(&user, "Users"), (&user, "Groups"), (&of.inner, "Users"), (&of.inner, "Groups")] {
        let filter = encoded(&format!("members.$ref eq \"{}/{resource}/{id}\"", crate::harness::BASE));
        all.push(get(format!("/Groups?filter={filter}")));
    }
    all.push(get(format!("/Users?filter={}", encoded(&format!("groups.value eq \"{}\"", plant::GONE)))));
    // Changes, each looked at afterwards.
    let new = json!({"schemas": [USER], "userName": format!("new-{user}"), "emails": [{"value": format!("new-{user}@example.com")}]});
    let changed = json!({"schemas": [USER], "userName": format!("put-{user}"), "emails": [{"value": format!("put-{user}@example.com")}]});
    let renamed = |name: &str| patch(json!([{"op": "replace", "path": "displayName", "value": name}]));
    let writes = [
        ("PATCH", Probe::new(&group_path, Some(renamed("First")))),
        ("PATCH", Probe::new(&group_path, Some(members("add", &[plant::STRANGER])))),
        ("PATCH", Probe::new(&group_path, Some(members("add", &[plant::GONE])))),
        ("PATCH", Probe::new(&group_path, Some(members("add", &[&boss, plant::GONE])))),
        ("PATCH", Probe::new(&group_path, Some(members("add", &[&boss, plant::STRANGER])))),
        ("PATCH", Probe::new(format!("/Groups/{}", of.empty), Some(members("add", &[&of.apart[0]])))),
        ("PATCH", Probe::new(&group_path, Some(members("remove", &[&of.apart[0], inner])))),
        ("PATCH", Probe::new(&group_path, Some(members("add", &[&of.apart[0], inner])))),
        ("POST", Probe::new("/Users", Some(new.clone())).with("idempotency-key", "k1")),
        ("POST", Probe::new("/Users", Some(new)).with("idempotency-key", "k1")),
        ("PATCH", Probe::new(&user_path, Some(patch(json!([{"op": "replace", "value": {"title": "New"}}]))))),
        (
            "PATCH",
            Probe::new(
                &user_path,
                Some(patch(
                    json!([{"op": "replace", "path": "emails[type pr].value", "value": format!("m-{user}@example.com")}]),
                )),
            ),
        ),
        ("PUT", Probe::new(&user_path, Some(changed))),
        ("PATCH", Probe::new(&group_path, Some(members("add", &[&boss])))),
        ("PATCH", Probe::new(&group_path, Some(members("add", &[&boss])))),
        ("PATCH", Probe::new(&group_path, Some(members("remove", &[&boss])))),
        ("PATCH", Probe::new(&group_path, Some(members("replace", &[&boss, inner])))),
        ("PUT", Probe::new(&group_path, Some(group_body("Put", &[&user, &boss])))),
        (
            "PATCH",
            Probe::new(
                &group_path,
                Some(patch(json!([{"op": "remove", "path": format!("members[value co \"{boss}\"]")}]))),
            ),
        ),
        (
            "PATCH",
            Probe::new(&group_path, Some(patch(json!([{"op": "replace", "path": "displayName", "value": "Named"}])))),
        ),
        (
            "PATCH",
            Probe::new(
                &inner_path,
                Some(patch(json!([
            {"op": "replace", "path": "displayName", "value": "Both"}, {"op": "add", "path": "members", "value": [{"value": boss}]}]))),
            ),
        ),
        ("PATCH", Probe::new(&inner_path, Some(patch(json!([{"op": "remove", "path": "members"}]))))),
        ("PUT", Probe::new(&inner_path, Some(group_body("Inner again", &[&user, &boss])))),
        (
            "POST",
            Probe::new(
                "/Groups",
                Some(
                    json!({"schemas": [GROUP], "displayName": "Third", "members": [{"value": boss}, {"value": inner}]}),
                ),
            ),
        ),
        ("DELETE", Probe::new(&user_path, None)),
        ("PATCH", Probe::new(&group_path, Some(members("add", &[&boss])))),
        ("GET", Probe::new("/Users?count=10", None)),
        ("DELETE", Probe::new(&inner_path, None)),
        ("DELETE", Probe::new(&group_path, None)),
    ];
    for write in writes {
        all.push(write);
        all.extend([&user_path, &group_path, &inner_path].map(|path| get(path.clone())));
    }
    all.extend(["/Users", "/Groups"].map(|path| get(path.to_owned())));
    all
}

/// A cursor is opened by the organization's own keys, whatever others have by then.
async fn walk(server: &Server, of: &Subject, twin: Option<&str>) -> String {
    let change = |there| twin.into_iter().for_each(|twin| plant::cursor_key_of(server, twin, there));
    change(true);
    let first = server.get("/Users?count=1&cursor=").await.is(200).json();
    change(false);
    let mut told = String::new();
    let mut page = first;
    for name in ["nextCursor", "nextCursor", "previousCursor", "previousCursor"] {
        let cursor = encoded(page[name].as_str().unwrap_or_else(|| panic!("no {name}: {page}")));
        let answer = send(server, "GET", &Probe::new(format!("/Users?count=1&cursor={cursor}"), None)).await;
        told += &of.anonymous(&shown(&answer, of));
        page = answer.json();
    }
    told
}

/// How many there are, while changes of another organization are not counted yet.
async fn totals(server: &Server, twin: bool) -> String {
    let mut told = String::new();
    for path in ["/Users?count=0", "/Groups?count=0", "/Users?startIndex=4&count=1", "/Groups?startIndex=3&count=1"] {
        if twin {
            plant::pending(server);
        }
        let page = server.get(path).await.is(200).json();
        told += &format!("{path}: {} {}\n", page["totalResults"], page["itemsPerPage"]);
    }
    told
}

/// Where a walk has come from nobody is left, and it says so. Deletes all users but one.
async fn ends(server: &Server, of: &Subject) -> String {
    let page = async |cursor: &Value| {
        let cursor = encoded(cursor.as_str().unwrap_or_default());
        let answer = send(server, "GET", &Probe::new(format!("/Users?count=1&cursor={cursor}"), None)).await;
        (without_ids(&of.anonymous(&shown(&answer, of))), answer.json())
    };
    let delete = async |page: &Value| {
        server.delete(&format!("/Users/{}", text(&page["Resources"][0]["id"]))).await.is(204);
    };
    let (_, first) = page(&json!("")).await;
    delete(&first).await;
    let (begins, second) = page(&first["nextCursor"]).await;
    let (_, third) = page(&second["nextCursor"]).await;
    let (_, fourth) = page(&third["nextCursor"]).await;
    delete(&third).await;
    delete(&fourth).await;
    let (ends, _) = page(&third["previousCursor"]).await;
    format!("{begins} {ends}")
}

/// Who was deleted comes back, after the list of all of them.
async fn restores(server: &Server, of: &Subject) -> Vec<String> {
    let list = proto::ListDeletedUsersRequest {
        organization_id: of.organization.clone(),
        caller: administrator(),
        ..Default::default()
    };
    let listed = server.identity.clone().list_deleted_users(list).await.expect("list").into_inner();
    let names: Vec<String> = listed.users.into_iter().map(|user| format!("{} {}", user.id, user.user_name)).collect();
    let mut told = vec![without_ids(&of.anonymous(&names.join("\n")))];
    for id in [of.user_id(), of.former.clone()] {
        let organization_id = of.organization.clone();
        let request = proto::RestoreUserRequest { organization_id, caller: administrator(), id, user_name: None };
        let restored = server.identity.clone().restore_user(request).await.expect("restored").into_inner();
        let user = restored.user.expect("a user");
        let line = format!("{} {} {:?} {:?}", user.id, user.version, user.groups, restored.groups_gone);
        told.push(without_ids(&of.anonymous(&line)));
    }
    told
}

/// Without the ids that the server has made on the way.
fn without_ids(line: &str) -> String {
    let mut left = String::new();
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        match rest.get(..36).filter(|id| id.parse::<uuid::Uuid>().is_ok()) {
            Some(id) => {
                left.push_str("<new>");
                rest = &rest[id.len()..];
            }
            None => {
                left.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    left
}

/// Members and groups over gRPC, of what is left.
async fn members(server: &Server, of: &Subject) -> String {
    let request = proto::ListGroupsRequest {
        organization_id: of.organization.clone(),
        caller: crate::rpcs::client(),
        query: None,
        mask: Some(proto::GroupMask { members: 1 }),
    };
    let groups = server.identity.clone().list_groups(request).await.expect("groups").into_inner().groups;
    let shown = |group: &proto::Group| {
        (group.display_name.clone(), group.members.len(), group.next_member_page_token.is_empty())
    };
    let pages: Vec<_> = groups.iter().map(shown).collect();
    let request = proto::ListGroupsOfUserRequest {
        organization_id: of.organization.clone(),
        caller: crate::rpcs::client(),
        user_id: of.manager(),
    };
    let answer = server.identity.clone().list_groups_of_user(request).await.expect("groups").into_inner();
    let names: Vec<String> = answer.groups.into_iter().map(|group| group.display_name).collect();
    of.anonymous(&format!("{names:?} {pages:?}"))
}

/// What is stored of members, shown or not.
fn stored(server: &Server, of: &Subject) -> String {
    format!("{} members", server.databases[0].rows_of("group_member", &of.organization).expect("rows").len())
}

/// The types of the events, once all are numbered.
async fn events(server: &Server, of: &Subject) -> Vec<String> {
    let mut last = 0;
    for _ in 0..500 {
        let request =
            proto::ListEventsRequest { organization_id: of.organization.clone(), after_sequence: 0, page_size: 1000 };
        let events = server.identity.clone().list_events(request).await.expect("events").into_inner().events;
        let pending = server.databases[0].rows_of("outbox", &of.organization).expect("outbox");
        if pending.is_empty() && events.len() == last {
            assert!(events.iter().zip(1..).all(|(event, n)| event.sequence == n), "numbered from 1 without a gap");
            return events.into_iter().map(|event| event.r#type).collect();
        }
        last = events.len();
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    panic!("events are not numbered after fifteen seconds");
}
