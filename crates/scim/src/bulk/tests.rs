use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ErrorKind;

fn read(operations: &Value) -> Vec<Operation> {
    let body = json!({"schemas": [REQUEST], "Operations": operations});
    parse(body.to_string().as_bytes()).unwrap().operations
}

fn group(id: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|m| json!({"value": format!("bulkId:{m}")})).collect();
    json!({"method": "POST", "path": "/Groups", "bulkId": id, "data": {"displayName": id, "members": members}})
}

#[test]
fn paths_are_an_allow_list() {
    for path in [
        "",
        "/",
        "Users/1",
        "/users/1",
        "/Users/",
        "/Users/..",
        "/Users/../Groups/1",
        "/Users/1/",
        "/Users/1?x=y",
        "/Users/%2e%2e",
        "/Usersx/1",
        "/Me",
        "/Bulk",
        "/.search",
        "/Users/.search",
        "/Schemas/1",
        "//Users/1",
        "https://scim.example.com/scim/v2/Users/1",
        "/scim/v2/Users/1",
        "/Users/bulkId:",
        "/Users/a b",
        "/Users/1#a",
    ] {
        let operations = read(&json!([{"method": "DELETE", "path": path}]));
        assert_eq!(operations[0].call.as_ref().unwrap_err().kind, ErrorKind::InvalidPath, "{path}");
    }
    for (path, target) in [
        ("/Users/2819c223-7f76", Target::Id("2819c223-7f76".to_owned())),
        ("/Users/bulkId:a/../b", Target::BulkId("a/../b".to_owned())),
    ] {
        let operations = read(&json!([{"method": "delete", "path": path}]));
        assert_eq!(operations[0].call.as_ref().unwrap().target, Some(target));
        assert_eq!(operations[0].method, "DELETE");
    }
}

#[test]
fn an_operation_that_is_wrong_says_so_itself() {
    let data = json!({"userName": "a"});
    for (operation, kind) in [
        (json!(1), ErrorKind::InvalidSyntax),
        (json!({"method": "GET", "path": "/Users/1"}), ErrorKind::InvalidSyntax),
        (json!({"path": "/Users", "bulkId": "x", "data": data}), ErrorKind::InvalidSyntax),
        (json!({"method": "POST", "bulkId": "x", "data": data}), ErrorKind::InvalidSyntax),
        (json!({"method": "POST", "path": "/Users", "bulkId": "x"}), ErrorKind::InvalidSyntax),
        (json!({"method": "PUT", "path": "/Users/1", "data": []}), ErrorKind::InvalidSyntax),
        (json!({"method": "POST", "path": "/Users", "data": data}), ErrorKind::InvalidValue),
        (json!({"method": "POST", "path": "/Users", "bulkId": "", "data": data}), ErrorKind::InvalidValue),
        (json!({"method": "POST", "path": "/Users", "bulkId": 1, "data": data}), ErrorKind::InvalidValue),
        (json!({"method": "POST", "path": "/Users", "bulkId": "first", "data": data}), ErrorKind::InvalidValue),
        (json!({"method": "DELETE", "path": "/Users/1", "version": 3}), ErrorKind::InvalidValue),
        (json!({"method": "POST", "path": "/Users/1", "bulkId": "x", "data": data}), ErrorKind::InvalidPath),
        (json!({"method": "PUT", "path": "/Users", "data": data}), ErrorKind::InvalidPath),
    ] {
        let first = json!({"method": "POST", "path": "/Users", "bulkId": "first", "data": data});
        let operations = read(&json!([first, operation]));
        assert!(operations[0].call.is_ok());
        assert_eq!(operations[1].call.as_ref().unwrap_err().kind, kind, "{operation}");
    }
}

#[test]
fn the_envelope_is_checked() {
    let operation = json!({"method": "DELETE", "path": "/Users/1"});
    let with = |n: usize| json!({"Operations": vec![operation.clone(); n]}).to_string();
    let parsed = parse(with(MAX_OPERATIONS).as_bytes()).unwrap();
    assert_eq!((parsed.operations.len(), parsed.fail_on_errors), (MAX_OPERATIONS, None));
    let error = parse(with(MAX_OPERATIONS + 1).as_bytes()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::PayloadTooLarge);
    assert!(error.detail.contains("maxOperations (1000)"), "{error}");
    for (more, expected) in [(json!(null), None), (json!(0), None), (json!(3), Some(3))] {
        let body = json!({"failOnErrors": more, "operations": [operation]});
        assert_eq!(parse(body.to_string().as_bytes()).unwrap().fail_on_errors, expected);
    }
    for (body, kind) in [
        (json!({"Operations": []}), ErrorKind::InvalidSyntax),
        (json!({}), ErrorKind::InvalidSyntax),
        (json!([]), ErrorKind::InvalidSyntax),
        (json!({"Operations": {}}), ErrorKind::InvalidSyntax),
        (json!({"Operations": [operation], "operations": [operation]}), ErrorKind::InvalidSyntax),
        (json!({"Operations": [operation], "failOnErrors": -1}), ErrorKind::InvalidValue),
        (json!({"Operations": [operation], "failOnErrors": "1"}), ErrorKind::InvalidValue),
        (json!({"Operations": [operation], "schemas": ["urn:x"]}), ErrorKind::InvalidSyntax),
    ] {
        assert_eq!(parse(body.to_string().as_bytes()).unwrap_err().kind, kind, "{body}");
    }
}

#[test]
fn references_are_found_set_aside_and_resolved() {
    let Value::Object(mut data) = json!({
        "displayName": "bulkId:nobody",
        "members": [{"value": "bulkId:now"}, {"value": "bulkId:later"}, {"value": "1"}],
        "urn:x:User": {"manager": {"value": "bulkId:later"}, "department": "Pier"},
    }) else {
        unreachable!()
    };
    assert_eq!(references(&data), ["nobody", "now", "later", "later"]);
    let later = set_aside(&mut data, &|id| id == "later");
    assert_eq!(resolve(&mut data, &|id| (id == "now").then(|| "2".to_owned())), None);
    assert_eq!(
        Value::Object(data),
        json!({
            "displayName": "bulkId:nobody",
            "members": [{"value": "2"}, {"value": "1"}],
            "urn:x:User": {"department": "Pier"},
        })
    );
    let mut patch = later.patch();
    assert_eq!(resolve(&mut patch, &|_| Some("3".to_owned())), None);
    assert_eq!(
        patch["Operations"],
        json!([
            {"op": "add", "value": {"members": [{"value": "3"}]}},
            {"op": "add", "value": {"urn:x:User": {"manager": {"value": "3"}}}},
        ])
    );
    let Value::Object(mut patch) = json!({"Operations": [
        {"op": "remove", "path": "members[value eq \"bulkId:a\" or value eq \"bulkId:b\"]"},
    ]}) else {
        unreachable!()
    };
    assert_eq!(references(&patch), ["a", "b"]);
    assert_eq!(resolve(&mut patch, &|id| (id == "a").then(|| "1".to_owned())).as_deref(), Some("b"));
    assert_eq!(patch["Operations"][0]["path"], "members[value eq \"1\" or value eq \"bulkId:b\"]");
}

#[test]
fn a_circle_is_completed_in_a_second_pass() {
    let operations = read(&json!([group("a", &["b"]), group("b", &["a"]), group("c", &["c"])]));
    assert_eq!(plan(&operations), [Step::Run(0), Step::Run(1), Step::Complete(0), Step::Run(2), Step::Complete(2)]);
    let patch = json!({"method": "PATCH", "path": "/Groups/bulkId:a", "data": {}});
    let operations = read(&json!([patch, {"method": "DELETE", "path": "/Users/1"}, group("a", &[])]));
    assert_eq!(plan(&operations), [Step::Run(1), Step::Run(2), Step::Run(0)]);
}

#[test]
fn what_works_on_one_resource_keeps_its_order() {
    let on = |target: &str, id: &str| {
        let value = format!("bulkId:{id}");
        json!({"method": "PATCH", "path": target, "data": {"Operations": [{"op": "add", "value": {"value": value}}]}})
    };
    // The first waits for the group to be complete; the second has no reason of its own to wait.
    let team = "/Groups/bulkId:team";
    let operations = read(&json!([group("team", &["kit"]), on(team, "x"), on(team, "y"), group("kit", &[])]));
    assert_eq!(plan(&operations), [Step::Run(0), Step::Run(3), Step::Complete(0), Step::Run(1), Step::Run(2)]);
    let operations =
        read(&json!([on("/Groups/1", "kit"), on("/Groups/1", "x"), on("/Groups/2", "x"), group("kit", &[])]));
    assert_eq!(plan(&operations), [Step::Run(2), Step::Run(3), Step::Run(0), Step::Run(1)]);
}

proptest! {
    /// Against the simplest model: all is created first, then all references are set.
    #[test]
    fn any_graph_ends_as_if_all_had_existed_before(
        graph in prop::collection::vec((any::<bool>(), prop::collection::vec(0_usize..8, 0..4)), 1..8)
    ) {
        let operations: Vec<Value> = graph.iter().enumerate().map(|(n, (post, to))| {
            let to: Vec<String> = to.iter().map(|m| format!("n{m}")).collect();
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            let mut operation = group(&format!("n{n}"), &to);
            if !post {
                operation["method"] = "PUT".into();
                operation["path"] = format!("/Groups/{n}").into();
            }
            operation
        }).collect();
        let operations = read(&json!(operations));
        let posts: HashSet<&str> = operations.iter().filter_map(Operation::creates).collect();
        let mut made: HashSet<&str> = HashSet::new();
        let mut ran = HashSet::new();
        let mut waiting: HashMap<usize, Vec<String>> = HashMap::new();
        let mut reached: HashMap<usize, HashSet<String>> = HashMap::new();
        for step in plan(&operations) {
            match step {
                Step::Run(n) => {
                    prop_assert!(ran.insert(n), "{n} runs twice");
                    let mut call = operations[n].call.clone().unwrap();
                    if let Some(id) = operations[n].creates() {
                        let later = set_aside(&mut call.data, &|id| posts.contains(id) && !made.contains(id));
                        let ids = references(&later.patch());
                        if !ids.is_empty() {
                            waiting.insert(n, ids);
                        }
                        made.insert(id);
                    }
                    let now: Vec<String> = references(&call.data).into_iter().filter(|id| posts.contains(&**id)).collect();
                    let early = operations[n].creates();
                    prop_assert!(now.iter().all(|id| made.contains(&**id) && Some(&**id) != early), "{n} is too early");
                    reached.entry(n).or_default().extend(now);
                }
                Step::Complete(n) => {
                    let ids = waiting.remove(&n).unwrap_or_default();
                    prop_assert!(!ids.is_empty() && ids.iter().all(|id| made.contains(&**id)), "{n} completes too early");
                    reached.entry(n).or_default().extend(ids);
                }
            }
        }
        prop_assert!(waiting.is_empty());
        prop_assert_eq!(ran.len(), operations.len());
        for (n, (_, to)) in graph.iter().enumerate() {
            let expected: HashSet<String> = to.iter().map(|m| format!("n{m}")).filter(|id| posts.contains(&**id)).collect();
            prop_assert_eq!(&reached[&n], &expected);
        }
        // What nothing makes wait stays in its place.
        let order: Vec<usize> = plan(&operations).into_iter().filter_map(|s| match s { Step::Run(n) => Some(n), Step::Complete(_) => None }).collect();
        let creates: Vec<usize> = order.into_iter().filter(|&n| operations[n].creates().is_some()).collect();
        prop_assert!(creates.is_sorted());
    }
}
