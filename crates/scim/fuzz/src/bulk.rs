//! Bulk requests: the envelope, references, and the order of operations.

use std::collections::{HashMap, HashSet};

use scim::{
    Object,
    bulk::{self as bulks, Call, MAX_OPERATIONS, Operation, Step, Target},
    patch as patches,
};

use crate::{check_refusal, text};

/// Each operation is run once and not before what it refers to; no reference is lost on the way.
pub fn bulk(data: &[u8]) {
    let request = match bulks::parse(data) {
        Ok(request) => request,
        Err(error) => return check_refusal(&error),
    };
    assert!((1..=MAX_OPERATIONS).contains(&request.operations.len()));
    assert_ne!(request.fail_on_errors, Some(0));
    check_order(&request.operations, &bulks::plan(&request.operations));
    for operation in &request.operations {
        match &operation.call {
            Ok(call) => {
                check_references(&call.data);
                check_resolved(&call.data);
            }
            Err(error) => check_refusal(error),
        }
    }
    let outcomes: Vec<_> = request.operations.iter().map(outcome).collect();
    let response = bulks::response(&request.operations, &outcomes);
    assert_eq!(response["Operations"].as_array().map(Vec::len), Some(request.operations.len()));
}

fn outcome(operation: &Operation) -> Option<bulks::Outcome> {
    let error = operation.call.as_ref().err().cloned();
    let status = error.as_ref().map_or(200, |error| error.kind.status());
    Some(bulks::Outcome { status, location: None, version: None, error })
}

fn check_order(operations: &[Operation], steps: &[Step]) {
    let created: HashMap<&str, usize> =
        operations.iter().enumerate().filter_map(|(n, operation)| Some((operation.creates()?, n))).collect();
    let named = |call: &Call| -> Vec<usize> {
        bulks::references(&call.data).iter().filter_map(|id| created.get(id.as_str()).copied()).collect()
    };
    let (mut run, mut complete) = (HashSet::new(), HashSet::new());
    let mut last_on: HashMap<(&str, &Target), usize> = HashMap::new();
    for step in steps {
        match *step {
            Step::Run(n) => {
                assert!(run.insert(n), "{n} is run twice: {steps:?}");
                let operation = &operations[n];
                let Ok(call) = &operation.call else { continue };
                let posts = named(call);
                if operation.creates().is_some() {
                    if posts.iter().all(|post| run.contains(post) && *post != n) {
                        complete.insert(n);
                    }
                    continue;
                }
                assert!(posts.iter().all(|post| run.contains(post)), "{n} is run before what it names: {steps:?}");
                let Some(target) = &call.target else { continue };
                if let Target::BulkId(id) = target
                    && let Some(post) = created.get(id.as_str())
                {
                    assert!(complete.contains(post), "{n} is run before {post} is complete: {steps:?}");
                }
                let before = last_on.insert((call.endpoint.path(), target), n);
                assert!(before.is_none_or(|before| before < n), "{n} overtakes {before:?}: {steps:?}");
            }
            Step::Complete(n) => {
                let post = operations.get(n).filter(|operation| operation.creates().is_some());
                let call = post.and_then(|operation| operation.call.as_ref().ok());
                let waits_for = call.map(named).unwrap_or_else(|| panic!("{n} creates nothing: {steps:?}"));
                assert!(run.contains(&n) && waits_for.iter().all(|post| run.contains(post)), "{n}: {steps:?}");
                assert!(complete.insert(n), "{n} is completed twice: {steps:?}");
            }
        }
    }
    assert_eq!(run.len(), operations.len(), "{steps:?}");
    assert!(created.values().all(|n| complete.contains(n)), "{steps:?}");
}

/// What is set aside and what stays name together what was named before.
fn check_references(data: &Object) {
    let all = bulks::references(data);
    let pending = |id: &str| id.len().is_multiple_of(2);
    for some in [&pending as &dyn Fn(&str) -> bool, &|_| true] {
        let mut rest = data.clone();
        let later = bulks::set_aside(&mut rest, some);
        let kept = bulks::references(&rest);
        assert!(!kept.iter().any(|id| some(id)), "{kept:?} of {}", text(data));
        if later.is_empty() {
            assert_eq!(text(&rest), text(data));
            continue;
        }
        let body = later.patch();
        let mut both = [kept, bulks::references(&body)].concat();
        let mut all = all.clone();
        both.sort();
        all.sort();
        assert_eq!(both, all, "{}", text(data));
        if let Err(error) = patches::parse(text(&body).as_bytes()) {
            assert_eq!(error.kind, scim::ErrorKind::TooMany, "{}: {error}", text(&body));
        }
    }
}

/// Ids in the place of all references, or the first that has none.
fn check_resolved(data: &Object) {
    let named = bulks::references(data);
    let mut resolved = data.clone();
    assert_eq!(bulks::resolve(&mut resolved, &|_| Some("01920000-0000-7000-8000-00000000000a".to_owned())), None);
    assert_eq!(bulks::references(&resolved), Vec::<String>::new(), "{}", text(data));
    let mut kept = data.clone();
    if let Some(missing) = bulks::resolve(&mut kept, &|_| None) {
        assert!(named.contains(&missing), "{missing} of {}", text(data));
    }
    assert_eq!(text(&kept), text(data));
    assert!(!named.is_empty() || text(&resolved) == text(data));
}
