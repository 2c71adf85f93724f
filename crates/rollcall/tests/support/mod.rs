//! What the suites of the binary share.

#![expect(clippy::expect_used, reason = "tests")]

use std::path::Path;

use http::Method;
use serde_json::{Value, json};
use testkit::{
    client::{Client, Reply},
    process::{Deployment, Program},
};

pub(crate) fn program() -> Program {
    Program::at(env!("CARGO_BIN_EXE_rollcall")).expect("the binary under test")
}

pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("rc-cli-").tempdir().expect("a directory")
}

pub(crate) fn all_in_one(data_dir: &Path, arguments: &[&str]) -> Deployment {
    Deployment::all_in_one(&program(), data_dir, arguments).expect("a running server")
}

/// An organization with SCIM switched on, and a token of it: `(token id, token)`.
pub(crate) fn provisioned(server: &Deployment, slug: &str) -> (String, String) {
    let run = |words: &[&str]| server.cli_json(words).expect("the command works");
    run(&["org", "create", slug, "--name", "Acme", "--plan", "enterprise"]);
    run(&["scim", "enable", slug]);
    let created = run(&["token", "create", slug, "--description", "Okta"]);
    (text(&created["id"]), text(&created["token"]))
}

pub(crate) fn scim(server: &Deployment, token: &str) -> Client {
    let client = Client::new(&format!("{}/scim/v2", server.http()));
    client.with_header("content-type", "application/scim+json").and_then(|c| c.with_token(token)).expect("a client")
}

pub(crate) async fn create_user(client: &Client, user_name: &str) -> Reply {
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": user_name,
        "active": true,
    });
    client.send_json(Method::POST, "/Users", Some(&user)).await.expect("an answer")
}

pub(crate) async fn ready(server: &Deployment) {
    let client = Client::new(server.http());
    for _ in 0..200 {
        if client.send(Method::GET, "/readyz", None).await.is_ok_and(|reply| reply.status == 200) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let output = server.output();
    assert!(output.is_empty(), "/readyz is not 200 after ten seconds:\n{output}");
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
