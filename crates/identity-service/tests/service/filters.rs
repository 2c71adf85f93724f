//! Filters on the database against the model, `scim::filter::matches` on whole resources.

use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use scim::Object;
use serde_json::{Value, json};
use wire::{
    Reason,
    identity::{self as proto, group_change::Change},
};

use crate::world::{BASE, World, json_of, kit, on_both, reason, refused, sorted};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Users that differ in what they have, how it is spelled and how it is ordered.
fn bodies() -> Vec<Value> {
    let mut bare = json!({"userName": "bare"});
    bare["active"] = json!(false);
    let mut full = kit("Full@Example.com");
    full["name"] = json!({"familyName": "O'Malley", "givenName": "ẞtefan", "formatted": "ẞtefan O'Malley"});
    full["title"] = json!("50%_off\\");
    full["profileUrl"] = json!("https://example.com/A");
    full["emails"] = json!([
        {"value": "full@example.com", "type": "work", "primary": true},
        {"value": "Home@Example.com", "type": "HOME"},
    ]);
    full["roles"] = json!([{"value": "admin", "primary": true}, {"value": "User", "display": "U"}]);
    full["x509Certificates"] = json!([{"value": "MIIC"}]);
    full["addresses"] = json!([{"locality": "Malmö", "type": "work"}, {"country": "SE"}]);
    full[ENTERPRISE] = json!({"department": "Pier", "employeeNumber": "007", "manager": {"value": "M1"}});
    let mut other = kit("other");
    other["name"] = json!({"familyName": "omalley"});
    other["title"] = json!("50xyoff");
    other["externalId"] = json!("00U1A2B3C4D5");
    other["emails"] = json!([{"value": "x@full.example", "type": "work"}]);
    other["roles"] = json!([{"value": "user", "primary": false}]);
    other[ENTERPRISE] = json!({"department": "pier 2", "manager": {"value": "m1"}});
    let mut odd = kit("ＷＩＤＥ");
    odd["displayName"] = json!("日本 \u{10ffff}end");
    odd["emails"] = json!([]);
    odd["title"] = json!("\u{d7ff}");
    odd["addresses"] = json!([{"type": "home", "primary": true}]);
    let mut plain = kit("plain");
    plain["displayName"] = json!("kit moor jr");
    plain["roles"] = json!([{"value": "admin"}, {"value": "x", "type": "work", "primary": true}]);
    vec![bare, full, other, odd, plain]
}

/// What a client sees of a user: the stored form with what travels apart. The version is the part that filters compare.
fn whole(user: &proto::User) -> Object {
    let mut resource = json_of(&user.resource_json).as_object().expect("object").clone();
    let location = format!("{BASE}/Users/{}", user.id);
    let instant = |timestamp: &Option<prost_types::Timestamp>| {
        let micros = wire::from_timestamp(timestamp.as_ref().expect("instant"));
        jiff::Timestamp::from_microsecond(micros).expect("instant").to_string()
    };
    resource.insert("id".to_owned(), json!(user.id));
    resource.insert(
        "meta".to_owned(),
        json!({
            "resourceType": "User",
            "created": instant(&user.created_at),
            "lastModified": instant(&user.modified_at),
            "location": location,
            "version": scim::etag::group(user.version),
        }),
    );
    let group = |group: &proto::GroupReference| {
        json!({
            "value": group.id,
            "$ref": format!("{BASE}/Groups/{}", group.id),
            "display": group.display_name,
            "type": if group.direct { "direct" } else { "indirect" },
        })
    };
    let groups: Vec<Value> = user.groups.iter().map(group).collect();
    if !groups.is_empty() {
        resource.insert("groups".to_owned(), json!(groups));
    }
    resource
}

async fn seed(world: &World, org: &str) -> Vec<proto::User> {
    let mut users = Vec::new();
    for body in bodies() {
        users.push(world.create(org, &body).await.expect("create").id);
        world.later(1_000_000);
    }
    let inner = world.group(org, "Inner", &[&users[0], &users[1]]).await;
    let ops = world.group(org, "Ops", &[&inner.id, &users[1], &users[2]]).await;
    // A cycle: whoever is in one is in the other.
    world.patch_group(org, &inner.id, vec![Change::AddMembers(crate::world::ids(&[&ops.id]))]).await.expect("cycle");
    world.group(org, "Aside", &[&users[3]]).await;
    let mut again = bodies()[1].clone();
    again["nickName"] = json!("Full");
    world.put(org, &users[1], &again).await.expect("put");
    let mut seen = Vec::new();
    for id in users {
        seen.push(world.get(org, &id).await.expect("get"));
    }
    seen
}

fn expected(users: &[proto::User], filter: &str) -> Option<Vec<String>> {
    let parsed = scim::filter::parse(scim::schema::user(), filter).ok()?;
    let mut names: Vec<String> = users
        .iter()
        .filter(|user| scim::filter::matches(&parsed, &whole(user)))
        .map(|user| user.user_name.clone())
        .collect();
    names.sort();
    Some(names)
}

fn texts() -> impl Strategy<Value = String> {
    let values = [
        "",
        "a",
        "kit moor",
        "KIT MOOR",
        "Full@Example.com",
        "full@example.com",
        "@",
        "%",
        "_",
        "50%_off\\\\",
        "50x",
        "o'malley",
        "O'M",
        "straße",
        "ẞtefan",
        "sstefan",
        "admin",
        "User",
        "work",
        "HOME",
        "00u1a2b3c4d5",
        "007",
        "Pier",
        "pier",
        "MIIC",
        "miic",
        "M1",
        "日本",
        "wide",
        "ＷＩＤＥ",
        "\u{10ffff}",
        "\u{d7ff}",
        "x@full.example",
        "Inner",
        "Ops",
        "bare",
        "https://example.com/A",
        "malmö",
        "se",
        "direct",
        "INDIRECT",
        "rect",
        "urn:ietf:params:scim:schemas:core:2.0:user",
        "urn:ietf:params:scim:schemas:core:2.0:Group",
        ENTERPRISE,
        "enterprise",
    ];
    select(values.to_vec()).prop_map(|value| format!("\"{value}\""))
}

fn operators() -> impl Strategy<Value = &'static str> {
    select(vec!["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ", "Sw"])
}

fn atoms(ids: Vec<String>, locations: &[String]) -> impl Strategy<Value = String> + use<> {
    let mut strings: Vec<String> = [
        "userName",
        "USERNAME",
        "externalId",
        "displayName",
        "title",
        "nickName",
        "profileUrl",
        "locale",
        "name.familyName",
        "name.givenName",
        "name.formatted",
        "emails",
        "emails.value",
        "emails.type",
        "roles.value",
        "roles.display",
        "roles",
        "addresses.locality",
        "addresses.country",
        "x509Certificates.value",
        "groups.display",
        "groups.type",
        "schemas",
    ]
    .map(str::to_owned)
    .to_vec();
    strings.extend(["department", "employeeNumber", "manager.value"].map(|name| format!("{ENTERPRISE}:{name}")));
    let all = [
        strings.clone(),
        vec![
            "active",
            "roles.primary",
            "name",
            "addresses",
            "groups",
            "groups.$ref",
            "meta",
            "meta.location",
            "meta.version",
            "id",
        ]
        .into_iter()
        .map(str::to_owned)
        .collect(),
    ]
    .concat();
    let instants =
        ["2025-11-23T12:13:20Z", "2025-11-23T12:13:21.5Z", "2025-11-23T13:13:22+01:00", "0001-01-01T00:00:00Z"];
    let elements = select(vec![
        "emails[type eq \"work\" and value co \"@\"]",
        "emails[type eq \"work\" and not (value eq \"full@example.com\")]",
        "emails[value eq \"FULL@example.com\" and primary eq true]",
        "emails[value eq \"home@example.com\" and primary eq true]",
        "emails[value eq \"home@example.com\" or type eq \"work\"]",
        "emails[not (primary pr)]",
        "roles[primary eq true and value eq \"admin\"]",
        "roles[primary ne true]",
        "roles[display pr or type eq \"WORK\"]",
        "addresses[type eq \"work\" and country pr]",
        "groups[display eq \"ops\"]",
        "groups[display sw \"in\" and value pr]",
        "groups[not (display eq \"ops\")]",
        "groups[type eq \"direct\" and display eq \"ops\"]",
        "groups[type eq \"indirect\" and not (display eq \"inner\")]",
        "groups[type ne \"direct\"]",
        "groups[type pr and $ref pr]",
        "meta[resourceType eq \"User\" and version pr]",
        "meta[not (version eq \"W/\\\"1\\\"\")]",
    ]);
    let versions = ["W/\\\"1\\\"", "W/\\\"2\\\"", "W/\\\"3\\\"", "1", "", "W/"];
    let uris: Vec<String> =
        ["/Users/", "/Groups/", "/User", "", "/Users/zzz"].map(|rest| format!("{BASE}{rest}")).into();
    let uris = [uris, locations.to_vec(), vec!["https".to_owned(), "x".to_owned(), "/v2/Groups/0".to_owned()]].concat();
    let tails = ["/", "Users/", "0", "v2", "com/scim/v2/Groups/"].map(str::to_owned).to_vec();
    let uris = [uris, tails, locations.iter().map(|uri| uri[20..].to_owned()).collect()].concat();
    prop_oneof![
        6 => (select(strings), operators(), texts()).prop_map(|(path, op, text)| format!("{path} {op} {text}")),
        2 => select(all.clone()).prop_map(|path| format!("{path} pr")),
        1 => (select(all), select(vec!["eq", "ne"])).prop_map(|(path, op)| format!("{path} {op} null")),
        1 => (select(vec!["active", "roles.primary", "emails.primary"]), select(vec!["eq", "ne"]), any::<bool>())
            .prop_map(|(path, op, value)| format!("{path} {op} {value}")),
        1 => (select(vec!["meta.created", "meta.lastModified"]), operators(), select(instants.to_vec()))
            .prop_map(|(path, op, instant)| format!("{path} {op} \"{instant}\"")),
        1 => (operators(), select(ids)).prop_map(|(op, id)| format!("id {op} \"{id}\"")),
        2 => elements.prop_map(str::to_owned),
        2 => (select(vec!["meta.location", "groups.$ref", "manager.$ref"]), operators(), select(uris))
            .prop_map(|(path, op, uri)| format!("{path} {op} \"{uri}\"")),
        1 => (select(vec!["eq", "ne"]), select(versions.to_vec()))
            .prop_map(|(op, tag)| format!("meta.version {op} \"{tag}\"")),
    ]
}

fn filters(ids: Vec<String>, locations: &[String]) -> impl Strategy<Value = String> + use<> {
    atoms(ids, locations).prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

#[tokio::test]
async fn the_database_finds_what_the_model_finds() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = seed(&world, &org).await;
        let mut ids: Vec<String> = users.iter().map(|user| user.id.clone()).collect();
        ids.extend(ids[0].get(..9).map(str::to_owned));
        ids.push("nobody".to_owned());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let groups =
            users.iter().flat_map(|user| user.groups.iter().map(|group| format!("{BASE}/Groups/{}", group.id)));
        let locations: Vec<String> =
            users.iter().map(|user| format!("{BASE}/Users/{}", user.id)).chain(groups).collect();
        let strategy = filters(ids, &locations);
        let (mut refused, mut some) = (0, 0);
        const CASES: usize = 1500;
        for _ in 0..CASES {
            let filter = strategy.new_tree(&mut runner).expect("a filter").current();
            match (expected(&users, &filter), world.found(&org, &filter).await) {
                (Some(names), Ok(found)) => {
                    assert_eq!(found, names, "{filter}");
                    some += usize::from(!names.is_empty() && names.len() < users.len());
                }
                (None, refusal) => {
                    assert_eq!(reason(refusal), Reason::InvalidFilter, "{filter}");
                    refused += 1;
                }
                (Some(_), Err(status)) => panic!("{filter}: {status}"),
            }
        }
        assert!(refused < CASES / 4, "{refused} of {CASES} are no filters");
        assert!(some > CASES / 4, "{some} of {CASES} tell users apart");
    })
    .await;
}

#[tokio::test]
async fn filters_that_clients_send_find_the_user() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        seed(&world, &org).await;
        for (filter, names) in [
            ("userName eq \"FULL@example.com\"", vec!["Full@Example.com"]),
            ("username Eq \"full@example.com\"", vec!["Full@Example.com"]),
            ("externalId eq \"00u1a2b3c4d5\" and title pr", vec!["Full@Example.com", "ＷＩＤＥ"]),
            ("emails eq \"home@example.com\"", vec!["Full@Example.com"]),
            ("emails[type eq \"work\"].value eq \"full@example.com\"", vec!["Full@Example.com"]),
            ("email Co \"x\"", vec!["Full@Example.com", "other"]),
            ("name.familyName co \"malley\"", vec!["Full@Example.com", "other"]),
            ("userName eq \"wide\"", vec!["ＷＩＤＥ"]),
            ("title eq \"\u{0}\"", vec![]),
            ("active eq \"False\"", vec!["bare"]),
            ("id eq \"not-a-uuid\"", vec![]),
        ] {
            match world.found(&org, filter).await {
                Ok(found) => assert_eq!(found, names, "{filter}"),
                // NUL is no JSON text; the other is a dialect.
                Err(status) => {
                    assert_eq!(wire::refusal(&status).reason, Reason::InvalidFilter, "{filter}: {status}");
                    assert!(["title eq", "emails["].iter().any(|odd| filter.starts_with(odd)), "{filter}");
                }
            }
        }
        for filter in
            ["userName", "userName eq", "userName xx \"a\"", "(userName eq \"a\"", "emails[type eq \"work\"] eq \"x\""]
        {
            assert_eq!(reason(world.found(&org, filter).await), Reason::InvalidFilter, "{filter}");
        }
    })
    .await;
}

/// What a client sees of a group.
fn whole_group(group: &proto::Group) -> Object {
    let mut resource = json_of(&group.resource_json).as_object().expect("object").clone();
    let member = |member: &proto::Member| {
        let id = uuid::Uuid::from_slice(&member.id).expect("id");
        let (name, endpoint) = match member.r#type() {
            proto::MemberType::Group => ("Group", "Groups"),
            _ => ("User", "Users"),
        };
        json!({"value": id, "$ref": format!("{BASE}/{endpoint}/{id}"), "type": name})
    };
    let members: Vec<Value> = group.members.iter().map(member).collect();
    let location = format!("{BASE}/Groups/{}", group.id);
    resource.insert("id".to_owned(), json!(group.id));
    resource.insert("members".to_owned(), json!(members));
    resource.insert(
        "meta".to_owned(),
        json!({"resourceType": "Group", "location": location, "version": scim::etag::group(group.version)}),
    );
    resource
}

fn group_filters(ids: &[String]) -> impl Strategy<Value = String> + use<> {
    let quoted = |path: &'static str, values: Vec<String>| {
        (operators(), select(values)).prop_map(move |(op, value)| format!("{path} {op} \"{value}\""))
    };
    let uris = |endpoint: &str| ids.iter().map(move |id| format!("{BASE}/{endpoint}/{id}")).collect::<Vec<_>>();
    let mut all = [uris("Users"), uris("Groups")].concat();
    all.extend([format!("{BASE}/Users/"), format!("{BASE}/G"), "Groups".to_owned(), "x".to_owned(), String::new()]);
    let elements = [
        format!("members[type eq \"Group\" and $ref co \"{}\"]", ids[0]),
        format!("members[$ref eq \"{BASE}/Users/{}\" or type eq \"group\"]", ids[0]),
        "members[not (type eq \"User\")]".to_owned(),
        "members[$ref pr and value pr]".to_owned(),
        "not (members pr)".to_owned(),
        "displayName sw \"o\"".to_owned(),
        "schemas eq \"urn:ietf:params:scim:schemas:core:2.0:group\"".to_owned(),
        "meta.version eq \"W/\\\"1\\\"\"".to_owned(),
    ];
    let atoms = prop_oneof![
        2 => quoted("members.$ref", all.clone()),
        2 => quoted("meta.location", all),
        1 => quoted("members.value", ids.to_vec()),
        1 => quoted("members.type", ["User", "group", "r", ""].map(str::to_owned).to_vec()),
        2 => select(elements.to_vec()),
    ];
    atoms.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} and {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

#[tokio::test]
async fn groups_are_found_as_the_model_finds_them() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (ada, kit) = (world.user(&org, "ada").await.id, world.user(&org, "kit").await.id);
        let inner = world.group(&org, "Inner", &[&ada]).await.id;
        let outer = world.group(&org, "Outer", &[&inner, &kit]).await.id;
        let empty = world.group(&org, "Off", &[]).await.id;
        world.put_group(&org, &empty, "Of nobody", None).await.expect("put");
        let ids = [ada, kit, inner, outer, empty];
        let mut groups = Vec::new();
        for id in &ids[2..] {
            groups.push(world.get_group(&org, id).await.expect("group"));
        }
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let strategy = group_filters(&ids);
        let mut some = 0;
        for _ in 0..600 {
            let filter = strategy.new_tree(&mut runner).expect("a filter").current();
            let parsed = scim::filter::parse(scim::schema::group(), &filter).expect(&filter);
            let matching = groups.iter().filter(|group| scim::filter::matches(&parsed, &whole_group(group)));
            let expected = sorted(matching.map(|group| group.id.clone()).collect());
            assert_eq!(world.found_groups(&org, &filter).await.expect(&filter), expected, "{filter}");
            some += usize::from(!expected.is_empty() && expected.len() < groups.len());
        }
        assert!(some > 150, "{some} of 600 tell groups apart");
    })
    .await;
}

#[tokio::test]
async fn a_tag_finds_the_version_whatever_the_groups() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let ada = world.user(&org, "ada").await;
        world.put(&org, &world.user(&org, "kit").await.id, &kit("kit2")).await.expect("put");
        world.group(&org, "Ops", &[&ada.id]).await;
        for (filter, names) in [
            ("meta.version eq \"W/\\\"1-0123456789abcdef\\\"\"", vec!["ada"]),
            ("meta.version eq \"\\\"2\\\"\"", vec!["kit2"]),
            ("meta.version ne \"W/\\\"1\\\"\"", vec!["kit2"]),
            ("meta.version eq \"W/\\\"1\\\", W/\\\"2\\\"\"", vec![]),
        ] {
            assert_eq!(world.found(&org, filter).await.expect(filter), names, "{filter}");
        }
        for op in ["co", "sw", "ew", "gt", "ge", "lt", "le"] {
            let (reason, detail) = refused(world.found(&org, &format!("meta.version {op} \"1\"")).await);
            assert_eq!(reason, Reason::InvalidFilter);
            assert!(detail.contains("eq or ne"), "{detail}");
        }
        let query = |filter: &str| proto::ListQuery { filter: filter.to_owned(), ..Default::default() };
        for filter in ["meta.location sw \"h\"", "groups.$ref eq \"x\""] {
            let (reason, detail) = refused(world.list_query(&org, query(filter)).await);
            assert_eq!(reason, Reason::InvalidFilter);
            assert!(detail.contains("base_url"), "{detail}");
        }
    })
    .await;
}

#[tokio::test]
async fn members_are_removed_by_their_uri() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let (ada, kit) = (world.user(&org, "ada").await.id, world.user(&org, "kit").await.id);
        let group = world.group(&org, "Ops", &[&ada, &kit]).await.id;
        let filter = format!("$ref eq \"{BASE}/Users/{ada}\"");
        world.patch_group(&org, &group, vec![Change::RemoveMembersWhere(filter)]).await.expect("patch");
        assert_eq!(world.members(&org, &group).await, [kit]);
    })
    .await;
}
