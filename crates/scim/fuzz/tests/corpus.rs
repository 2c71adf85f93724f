//! Every input of the corpora, without libFuzzer: seeds, and what the fuzzer found once.

#![expect(clippy::expect_used, reason = "test helpers fail the test that calls them")]

use scim_fuzz::TARGETS;

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect(name);
    let mut count = 0;
    for input in target.inputs() {
        let held = std::panic::catch_unwind(|| (target.check)(input));
        assert!(held.is_ok(), "the panic above is of the input {}", String::from_utf8_lossy(input));
        count += 1;
    }
    assert!(count >= 10, "{count} inputs");
}

#[test]
fn bulk() {
    replay("bulk");
}

#[test]
fn filter() {
    replay("filter");
}

#[test]
fn group() {
    replay("group");
}

#[test]
fn patch() {
    replay("patch");
}

#[test]
fn path() {
    replay("path");
}

#[test]
fn resource() {
    replay("resource");
}

#[test]
fn no_corpus_is_forgotten() {
    let corpora = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).expect("the corpora").count();
    assert_eq!(corpora, TARGETS.len());
}
