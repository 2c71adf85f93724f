//! What must hold for any bytes that a client sends: one plain function for each target, which panics where it does not.
//!
//! libFuzzer calls them (`cargo xtask fuzz`), and an ordinary test replays the corpora. Not here: whether an answer is the
//! right one, which the tests of `scim` say.

#![expect(clippy::panic, reason = "a broken rule is a panic: that is how a fuzzer sees it")]

mod bulk;
mod filter;
mod fixture;
mod group;
mod patch;
mod path;
mod resource;

use scim::{Error, Object};

pub use self::{bulk::bulk, filter::filter, group::group, patch::patch, path::path, resource::resource};

/// A function and the inputs that it is replayed with.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Of the function, the corpus and the dictionary.
    pub name: &'static str,
    /// The function.
    pub check: fn(&[u8]),
    corpus: &'static [u8],
}

impl Target {
    /// One for each line of the corpus.
    pub fn inputs(&self) -> impl Iterator<Item = &'static [u8]> {
        self.corpus.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
    }
}

/// All of them.
pub const TARGETS: [Target; 6] = [
    Target { name: "bulk", check: bulk, corpus: include_bytes!("../corpus/bulk.txt") },
    Target { name: "filter", check: filter, corpus: include_bytes!("../corpus/filter.txt") },
    Target { name: "group", check: group, corpus: include_bytes!("../corpus/group.txt") },
    Target { name: "patch", check: patch, corpus: include_bytes!("../corpus/patch.txt") },
    Target { name: "path", check: path, corpus: include_bytes!("../corpus/path.txt") },
    Target { name: "resource", check: resource, corpus: include_bytes!("../corpus/resource.txt") },
];

/// What stands before the first tab, and what stands after it.
fn parts(data: &[u8]) -> (&[u8], Option<&[u8]>) {
    match data.iter().position(|byte| *byte == b'\t') {
        Some(at) => (&data[..at], Some(&data[at + 1..])),
        None => (data, None),
    }
}

/// A refusal is the client's to mend, and says how.
fn check_refusal(error: &Error) {
    let status = error.kind.status();
    assert!((400..500).contains(&status), "{error:?} is no fault of the client");
    assert!(!error.detail.is_empty(), "{error:?} says nothing");
    let body: serde_json::Value =
        serde_json::from_slice(&error.body()).unwrap_or_else(|e| panic!("the body of {error:?}: {e}"));
    assert_eq!(body["status"], status.to_string());
    assert_eq!(body["detail"], error.detail);
}

/// The text in which the object is stored; unlike the comparison of objects it shows their order.
fn text(object: &Object) -> String {
    serde_json::Value::Object(object.clone()).to_string()
}
