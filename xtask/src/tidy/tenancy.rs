//! The organization stands in the type of every call to a store, right after the connection.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

const SERVICE_CREDENTIAL: &str =
    "service credentials are the installation's, and open no organization to a SCIM client";

/// Functions that find an organization, or go through all of them, and why they may.
const ACROSS: [(&str, &str); 43] = [
    ("organization_insert", "the organization is the row"),
    ("organization_settings", "the organization is the row"),
    ("organization_by_slug", "finds the organization"),
    ("organization_page", "administrators list all of them"),
    ("organizations_to_tell", "a background task goes through all of them"),
    ("outbox_organizations", "a background task goes through all of them"),
    ("tombstone_next", "a background task goes through all of them"),
    ("key_organization_after", "a background task goes through all of them"),
    ("move_next", "a background task goes through all of them"),
    ("deleted_organization_after", "a background task goes through all of them"),
    ("heads_page", "a background task goes through all of them"),
    ("watched_between", "a background task goes through all of them"),
    ("hold_organization_after", "a background task goes through all of them"),
    ("request_organization_after", "a background task goes through all of them"),
    ("mails_due", "a background task goes through all of them"),
    ("rows_of_ids", "runs a statement that names the organization"),
    ("token_by_hash", "finds the organization of a token"),
    ("tokens_by_hash", "finds the organizations of tokens"),
    ("warnings_due", "a background task goes through all of them"),
    ("warnings_given", "identity-service mails them to each organization's administrators"),
    ("revocation_last", "gateways are told of every revoked token"),
    ("revocations_after", "gateways are told of every revoked token"),
    ("revocations_unnumbered", "gateways are told of every revoked token"),
    ("revocations_number", "gateways are told of every revoked token"),
    ("credential_insert", SERVICE_CREDENTIAL),
    ("credential_get", SERVICE_CREDENTIAL),
    ("credential_list", SERVICE_CREDENTIAL),
    ("credential_by_hash", SERVICE_CREDENTIAL),
    ("credential_by_tls_identity", SERVICE_CREDENTIAL),
    ("credential_revoke", SERVICE_CREDENTIAL),
    ("credential_rotate", SERVICE_CREDENTIAL),
    ("credential_retire", SERVICE_CREDENTIAL),
    ("credential_used", SERVICE_CREDENTIAL),
    ("credential_event_insert", SERVICE_CREDENTIAL),
    ("client_by_id", "finds the organization of an OAuth client"),
    ("invite_by_hash", "finds the organization of an invitation"),
    ("session_by_hash", "finds the organization of a session of the console"),
    ("attempt_by_state", "finds the organization of a sign-in that has begun"),
    ("account_session_by_hash", "finds the organization of a member's session"),
    ("agent_by_hash", "finds the organization of an agent that confirms members"),
    ("account_organization_after", "a background task goes through all of them"),
    ("console_organization_after", "a background task goes through all of them"),
    ("purge_organization", "a background task finds which of them have something that has expired"),
];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for service in ["identity-service", "token-service"] {
        let source = root.join("crates").join(service).join("src");
        for file in super::sources::files(&source, "rs")? {
            let within = file.strip_prefix(&source).unwrap_or(&file);
            if within.starts_with("store") || within == Path::new("store.rs") {
                let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
                let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
                complaints.extend(source_of_store(&shown, &text));
            }
        }
    }
    Ok(complaints)
}

fn source_of_store(shown: &str, text: &str) -> Vec<String> {
    let functions = text.split("\npub").skip(1).filter_map(|rest| {
        let (_, rest) = rest.lines().next()?.find("fn ").map(|at| rest.split_at(at + 3))?;
        let (name, rest) = rest.split_once('(')?;
        let (parameters, _) = rest.split_once(')')?;
        Some((name, parameters.split_whitespace().collect::<Vec<_>>().join(" ")))
    });
    let unsafe_ones = functions.filter(|(name, parameters)| {
        let after =
            parameters.split_once(": &mut AnyConnection").map(|(_, after)| after.trim_start_matches([',', ' ']));
        after.is_some_and(|after| !after.starts_with("org: OrgId")) && !ACROSS.iter().any(|(known, _)| known == name)
    });
    unsafe_ones
        .map(|(name, _)| {
            format!("{shown}: `{name}` takes a connection, so `org: OrgId` comes next; what goes across organizations is named in xtask/src/tidy/tenancy.rs")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_organization_comes_after_the_connection() {
        let sound = "//! A.\n\npub(crate) fn a(conn: &mut AnyConnection, org: OrgId, id: u8) -> bool {}\n\
                     \npub(crate) fn b(\n    conn: &mut AnyConnection,\n    org: OrgId,\n) {}\n\
                     \npub(crate) fn pure(n: u8) {}\n\npub(crate) fn tombstone_next(conn: &mut AnyConnection) {}\n";
        assert_eq!(source_of_store("a.rs", sound), Vec::<String>::new());
        for wrong in [
            "conn: &mut AnyConnection",
            "conn: &mut AnyConnection, id: Uuid",
            "conn: &mut AnyConnection, id: u8, org: OrgId",
        ] {
            let complaints = source_of_store("a.rs", &format!("//! A.\n\npub(crate) fn a({wrong}) {{}}\n"));
            assert!(complaints.len() == 1 && complaints[0].contains("`a`"), "{wrong}: {complaints:?}");
        }
    }
}
