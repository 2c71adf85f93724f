//! Who may depend on whom: section "Invariants" of ARCHITECTURE.md, from `cargo metadata`.
//!
//! Development dependencies are free: a test may use anything.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use cargo_metadata::{DependencyKind, Metadata};

/// Each member with the members it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    (
        "rollcall",
        &["confirm-agent", "console", "identity-service", "scim-gateway", "telemetry", "token-service", "wire"],
    ),
    ("confirm-agent", &["account-keys"]),
    ("console", &["account-keys", "scim", "telemetry", "wire"]),
    ("scim-gateway", &["scim", "telemetry", "wire"]),
    ("identity-service", &["account-keys", "scim", "store", "telemetry", "wire"]),
    ("token-service", &["scim", "store", "telemetry", "wire"]),
    ("wire", &["scim"]),
    ("store", &[]),
    ("telemetry", &[]),
    ("scim", &[]),
    ("account-keys", &[]),
];

/// For tests and tasks: they may depend on anything, nothing may depend on them.
const OUTSIDE: &[&str] = &["bench", "e2e-tests", "scim-fuzz", "testkit", "xtask"];

/// A member and what must not be anywhere below it.
const NOWHERE_BELOW: &[(&str, &[&str], &str)] = &[
    ("console", &["diesel", "r2d2", "store"], "the console owns no database"),
    ("scim-gateway", &["diesel", "r2d2", "store"], "the gateway owns no database"),
    (
        "confirm-agent",
        &["diesel", "identity-service", "store", "tonic", "wire"],
        "the agent is the customer's: nothing of the server's is in it",
    ),
    (
        "scim",
        &["tokio", "futures", "async-trait", "diesel", "tonic", "prost", "hyper", "axum", "tracing"],
        "scim is pure: no async, IO, SQL or protobuf",
    ),
    (
        "account-keys",
        &["tokio", "futures", "diesel", "tonic", "prost", "hyper", "axum", "tracing"],
        "account-keys is pure: no async, IO, SQL, protobuf or logs",
    ),
];

/// What a member must not name itself. Below, it may be: tonic's router is axum's, and uuid can make random ids.
const NOT_DIRECTLY: &[(&str, &[&str], &str)] = &[
    ("identity-service", &["axum", "hyper", "token-service"], "only the gateway and the console know HTTP"),
    ("token-service", &["axum", "hyper", "identity-service"], "only the gateway and the console know HTTP"),
    ("rollcall", &["diesel", "r2d2"], "only store and the services know SQL"),
    ("scim", &["getrandom", "rand"], "scim is pure: ids and instants come in as arguments"),
    ("account-keys", &["getrandom", "rand"], "account-keys is pure: randomness comes in as an argument"),
    ("confirm-agent", &["getrandom", "rand"], "randomness comes in as an argument"),
];

/// What the design builds on: some member must use each.
const USED: &[&str] = &["axum", "diesel", "opentelemetry", "prost", "r2d2", "tokio", "tonic"];

/// Who may take the half of `account-keys` that holds secrets.
const HOLDERS: [&str; 1] = ["confirm-agent"];

const BAD_NAMES: &[&str] = &["common", "util", "utils", "helper", "helpers", "misc", "shared"];

/// What the rules look at.
#[derive(Default)]
struct Graph {
    /// Members with their direct dependencies that are not for development alone.
    direct: BTreeMap<String, BTreeSet<String>>,
    /// Members with everything below them, likewise.
    below: BTreeMap<String, BTreeSet<String>>,
    /// Members that ask for the feature `client` of `account-keys`, likewise.
    holders: BTreeSet<String>,
}

/// Complaints about the workspace.
pub(super) fn check(metadata: &Metadata) -> Result<Vec<String>> {
    Ok(rules(&read(metadata)?))
}

fn rules(graph: &Graph) -> Vec<String> {
    let mut complaints = Vec::new();
    for (member, dependencies) in &graph.direct {
        edges(graph, member, dependencies, &mut complaints);
        if BAD_NAMES.iter().any(|bad| member.split(['-', '_']).any(|word| word == *bad)) {
            complaints.push(format!("{member}: name a crate after what it is about"));
        }
    }
    for (member, forbidden, why) in NOT_DIRECTLY {
        complain(&graph.direct, member, forbidden, why, "depends on", &mut complaints);
    }
    for (member, forbidden, why) in NOWHERE_BELOW {
        complain(&graph.below, member, forbidden, why, "has in its dependency tree", &mut complaints);
    }
    for holder in &graph.holders {
        if !HOLDERS.contains(&holder.as_str()) && !OUTSIDE.contains(&holder.as_str()) {
            complaints.push(format!(
                "{holder}: account-keys without its feature client: no type of a server holds what decrypts"
            ));
        }
    }
    for used in USED {
        let product = graph.direct.iter().filter(|(member, _)| !OUTSIDE.contains(&member.as_str()));
        if !product.into_iter().any(|(_, dependencies)| dependencies.contains(*used)) {
            complaints.push(format!("{used}: no member of the product uses it"));
        }
    }
    complaints
}

fn edges(graph: &Graph, member: &str, dependencies: &BTreeSet<String>, complaints: &mut Vec<String>) {
    if OUTSIDE.contains(&member) {
        return;
    }
    let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == member) else {
        complaints.push(format!("{member}: not in tidy's list; add it to xtask/src/tidy/graph.rs and ARCHITECTURE.md"));
        return;
    };
    for dependency in dependencies {
        if graph.direct.contains_key(dependency) && !allowed.contains(&dependency.as_str()) {
            complaints.push(format!("{member} must not depend on {dependency}"));
        }
    }
}

fn complain(
    tree: &BTreeMap<String, BTreeSet<String>>,
    member: &str,
    forbidden: &[&str],
    why: &str,
    verb: &str,
    complaints: &mut Vec<String>,
) {
    let Some(dependencies) = tree.get(member) else {
        complaints.push(format!("{member}: no such member, but a rule names it"));
        return;
    };
    for name in forbidden.iter().filter(|name| dependencies.contains(**name)) {
        complaints.push(format!("{member} {verb} {name}: {why}"));
    }
}

fn read(metadata: &Metadata) -> Result<Graph> {
    let resolve = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
    let names: BTreeMap<_, _> =
        metadata.packages.iter().map(|package| (&package.id, package.name.to_string())).collect();
    let mut direct_of = BTreeMap::new();
    for node in &resolve.nodes {
        let normal = node
            .deps
            .iter()
            .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
        direct_of.insert(&node.id, normal.map(|dependency| &dependency.pkg).collect::<Vec<_>>());
    }
    let mut graph = Graph::default();
    for member in &metadata.workspace_members {
        let name = names.get(member).context("a member without a package")?;
        let mut below = BTreeSet::new();
        let mut waiting = direct_of.get(member).cloned().unwrap_or_default();
        let direct = waiting.iter().filter_map(|id| names.get(id)).cloned().collect();
        while let Some(id) = waiting.pop() {
            let Some(dependency) = names.get(id) else { continue };
            if below.insert(dependency.clone()) {
                waiting.extend(direct_of.get(id).into_iter().flatten());
            }
        }
        let package = metadata.packages.iter().find(|package| package.id == *member);
        let holds = package.into_iter().flat_map(|package| &package.dependencies).any(|dependency| {
            dependency.name == "account-keys"
                && dependency.kind != DependencyKind::Development
                && (dependency.uses_default_features || dependency.features.iter().any(|feature| feature == "client"))
        });
        if holds {
            graph.holders.insert(name.clone());
        }
        graph.direct.insert(name.clone(), direct);
        graph.below.insert(name.clone(), below);
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace that keeps every rule.
    fn sound() -> Graph {
        let mut graph = Graph::default();
        for (member, allowed) in ALLOWED {
            graph.direct.insert((*member).to_owned(), allowed.iter().map(|name| (*name).to_owned()).collect());
            graph.below.insert((*member).to_owned(), BTreeSet::new());
        }
        for (member, used) in [("scim-gateway", "axum"), ("store", "diesel"), ("store", "r2d2"), ("wire", "tonic")] {
            add(&mut graph, member, used);
        }
        for (member, used) in [("wire", "prost"), ("wire", "tokio"), ("telemetry", "opentelemetry")] {
            add(&mut graph, member, used);
        }
        graph
    }

    fn add(graph: &mut Graph, member: &str, dependency: &str) {
        graph.direct.entry(member.to_owned()).or_default().insert(dependency.to_owned());
    }

    #[test]
    fn a_sound_workspace_has_no_complaints() {
        assert_eq!(rules(&sound()), Vec::<String>::new());
    }

    #[test]
    fn each_wrong_edge_is_named() {
        for (member, dependency) in [
            ("scim-gateway", "identity-service"),
            ("scim-gateway", "store"),
            ("scim-gateway", "console"),
            ("console", "identity-service"),
            ("console", "scim-gateway"),
            ("identity-service", "token-service"),
            ("token-service", "scim-gateway"),
            ("scim", "wire"),
            ("account-keys", "store"),
            ("account-keys", "getrandom"),
            ("confirm-agent", "identity-service"),
            ("confirm-agent", "wire"),
            ("console", "confirm-agent"),
            ("store", "scim"),
            ("wire", "store"),
            ("identity-service", "axum"),
            ("rollcall", "diesel"),
        ] {
            let mut graph = sound();
            add(&mut graph, member, dependency);
            let complaints = rules(&graph);
            assert!(
                complaints.iter().any(|line| line.contains(member) && line.contains(dependency)),
                "{member} -> {dependency}: {complaints:?}"
            );
        }
    }

    #[test]
    fn nothing_depends_on_tests_and_tasks() {
        let mut graph = sound();
        graph.direct.insert("testkit".to_owned(), BTreeSet::new());
        add(&mut graph, "store", "testkit");
        assert_eq!(rules(&graph), ["store must not depend on testkit"]);
    }

    #[test]
    fn servers_take_account_keys_without_what_holds_secrets() {
        let mut graph = sound();
        graph.holders = ["confirm-agent", "e2e-tests"].map(str::to_owned).into();
        assert_eq!(rules(&graph), Vec::<String>::new());
        graph.holders.insert("console".to_owned());
        assert_eq!(rules(&graph).len(), 1);
    }

    #[test]
    fn what_is_below_counts_too() {
        for (member, dependency) in [
            ("console", "diesel"),
            ("scim-gateway", "diesel"),
            ("scim-gateway", "store"),
            ("scim", "tokio"),
            ("account-keys", "tokio"),
        ] {
            let mut graph = sound();
            graph.below.entry(member.to_owned()).or_default().insert(dependency.to_owned());
            assert_eq!(rules(&graph).len(), 1, "{member} {dependency}");
        }
    }

    #[test]
    fn a_missing_foundation_and_a_bad_name_are_seen() {
        let mut graph = sound();
        for dependencies in graph.direct.values_mut() {
            dependencies.remove("r2d2");
        }
        graph.direct.insert("scim-utils".to_owned(), BTreeSet::new());
        let complaints = rules(&graph);
        assert!(complaints.contains(&"r2d2: no member of the product uses it".to_owned()), "{complaints:?}");
        assert!(complaints.iter().any(|line| line.starts_with("scim-utils: name a crate")), "{complaints:?}");
        assert!(complaints.iter().any(|line| line.starts_with("scim-utils: not in tidy")), "{complaints:?}");
    }

    #[test]
    fn a_member_that_left_is_missed() {
        let mut graph = sound();
        graph.below.remove("scim");
        assert_eq!(rules(&graph), ["scim: no such member, but a rule names it"]);
    }
}
