//! What a SCIM client may call its attributes: whatever keys, states and columns are called, by every operation that writes. No row of
//! keys changes by it, and nobody is confirmed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use http::Method;
use prost_types::FileDescriptorSet;
use serde_json::{Value, json};

use super::{Cast, loot, patch};
use crate::{account::stage::Stage, transcript::Transcript};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// As somebody might write them who has read how accounts are stored.
const GUESSES: [&str; 24] = [
    "account",
    "accountState",
    "account.state",
    "account[state eq \"accepted\"].state",
    "account_key.enc_pub",
    "confirmed",
    "confirmedAt",
    "emails[primary eq true].key",
    "grant",
    "grants",
    "keys",
    "key.encPub",
    "master_key",
    "meta.state",
    "organizationKey",
    "password",
    "publicKeys",
    "publicKeys.enc",
    "stage",
    "urn:rollcall:account",
    "urn:rollcall:account:state",
    "x509Certificates",
    "__proto__",
    "$ref",
];

/// Columns of the tables, fields of the messages, values of the states, and guesses.
fn names(url: &str) -> Result<Vec<String>> {
    let mut all: BTreeSet<String> = GUESSES.map(str::to_owned).into();
    for table in loot::TABLES {
        let columns = if url.starts_with("sqlite:") {
            format!("SELECT name AS line FROM pragma_table_info('{table}')")
        } else {
            format!("SELECT column_name::text AS line FROM information_schema.columns WHERE table_name = '{table}'")
        };
        let columns = testkit::lines(url, &columns)?;
        ensure!(columns.len() > 1, "{table} has no columns");
        all.extend(columns);
        all.insert(table.to_owned());
    }
    let set: FileDescriptorSet = prost::Message::decode(wire::DESCRIPTOR_SET)?;
    let file = set.file.iter().filter(|file| file.name().ends_with("account.proto"));
    for message in file.flat_map(|file| &file.message_type) {
        for field in &message.field {
            all.extend([field.name().to_owned(), field.json_name().to_owned()]);
        }
    }
    // What these are is the client's to say, and no more than what it is called.
    for own in ["id", "user_name", "userName", "display_name", "displayName", "email", "name", "organization"] {
        all.remove(own);
    }
    all.remove("");
    Ok(all.into_iter().collect())
}

pub(super) async fn run(stage: &Stage, cast: &Cast, transcript: &Transcript) -> Result<()> {
    transcript.step("A SCIM client that knows what keys and states are called");
    let url = &stage.running.databases()[0];
    let names = names(url)?;
    let before = loot::rows(url, &loot::TABLES)?;
    let count = |table: &str| before.iter().find(|(name, _)| *name == table).map_or(0, |(_, rows)| rows.len());
    for (table, rows) in
        [("account", 3), ("account_key", 3), ("account_key_wrap", 6), ("opaque_record", 3), ("org_key_grant", 2)]
    {
        transcript.same(&format!("rows of {table} to begin with"), &count(table), &rows)?;
    }
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    let (mut forms, mut bulk) = (0, Vec::new());
    // One who waits to be confirmed, and one who is.
    for user in [cast.other_user, cast.victim_user] {
        let path = format!("/Users/{user}");
        let whole = cast.scim.send(Method::GET, &path, None).await?.json()?;
        let mut everything = whole.clone();
        for (at, name) in names.iter().enumerate() {
            let value = value(at, &user.to_string());
            everything[name] = value.clone();
            let in_extension = format!("{ENTERPRISE}:{name}");
            for operation in [
                json!({ "op": "add", "path": name, "value": value }),
                json!({ "op": "replace", "value": { name.as_str(): value, &in_extension: value } }),
                json!({ "op": "replace", "path": in_extension, "value": value }),
                json!({ "op": "remove", "path": name }),
            ] {
                // Of who is confirmed, those that are taken.
                if user == cast.victim_user && operation["path"].is_string() {
                    continue;
                }
                forms += 1;
                let body = patch(&[operation]);
                if at % 16 == 0 {
                    bulk.push(json!({ "method": "PATCH", "path": path, "data": body }));
                }
                *answers.entry(cast.scim.send_json(Method::PATCH, &path, Some(&body)).await?.status).or_default() += 1;
            }
        }
        everything[ENTERPRISE] = everything.clone();
        let put = cast.scim.send_json(Method::PUT, &path, Some(&everything)).await?;
        transcript.same("a PUT with all of it", &put.status, &200)?;
        for active in [false, true] {
            let body = patch(&[json!({ "op": "replace", "path": "active", "value": active })]);
            let reply = cast.scim.send_json(Method::PATCH, &path, Some(&body)).await?;
            ensure!(reply.status == 200, "{}", super::text(&reply));
        }
        *answers.entry(cast.scim.send_json(Method::PUT, &path, Some(&whole)).await?.status).or_default() += 1;
    }
    let mut newcomer =
        json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "new@acme.example" });
    for (at, name) in names.iter().enumerate() {
        newcomer[name] = value(at, "new");
    }
    for (path, body) in [
        ("/Users", newcomer.clone()),
        (
            "/Groups",
            json!({ "displayName": "confirmed", "state": "confirmed", "members": [{ "value": cast.other_user }] }),
        ),
        ("/Bulk", json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": bulk })),
    ] {
        *answers.entry(cast.scim.send_json(Method::POST, path, Some(&body)).await?.status).or_default() += 1;
    }
    let faults: usize = answers.range(500..).map(|(_, count)| count).sum();
    transcript.same("faults of the server", &faults, &0)?;
    let taken: usize = answers.range(200..300).map(|(_, count)| count).sum();
    transcript
        .that(&format!("{forms} changes by {} names, answers {answers:?}", names.len()), forms > 800 && taken > 4)?;

    for ((table, rows), (_, now)) in before.iter().zip(loot::rows(url, &loot::TABLES)?) {
        transcript.same(&format!("no row of {table} has changed"), &now, rows)?;
    }
    Ok(())
}

/// Of every kind.
fn value(at: usize, user: &str) -> Value {
    match at % 7 {
        0 => json!("confirmed"),
        1 => json!(3),
        2 => json!(true),
        3 => json!({ "state": "confirmed", "stage": 3, "granted": 1 }),
        4 => json!([{ "value": user, "type": "confirmed" }]),
        5 => json!("A".repeat(43)),
        _ => json!(null),
    }
}
