//! Administrators and sign-in at the command line, and the keys outside the databases. The rpcs themselves: the tests of identity-service.

#![expect(clippy::expect_used, reason = "tests")]

#[expect(dead_code, reason = "the other suites use the rest")]
mod support;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use support::{all_in_one, directory, program, provisioned, text};
use testkit::process::Deployment;
use tonic::{Request, transport::Endpoint};
use wire::{
    Credential, Reason, Transport,
    identity::{
        AcceptAdminInviteRequest, GetSignInProviderRequest, NewSession, console_service_client::ConsoleServiceClient,
    },
};

async fn console(server: &Deployment) -> ConsoleServiceClient<Transport> {
    let endpoint = Endpoint::from_shared(server.grpc("identity").expect("an address")).expect("an endpoint");
    let credential = Credential::new(&server.admin_credential().expect("a credential")).expect("a header");
    ConsoleServiceClient::new(Transport::network(endpoint.connect().await.expect("a connection"), credential))
}

async fn accept(server: &Deployment, link: &str) -> NewSession {
    let secret = link.strip_prefix(&format!("{}/console/invite/", server.http())).expect("a link of this server");
    assert!(secret.starts_with("rc_invite_"));
    let secret_sha256 = Sha256::digest(secret).to_vec().into();
    let request = AcceptAdminInviteRequest { secret_sha256, ..Default::default() };
    console(server).await.accept_admin_invite(request).await.expect("accepted").into_inner()
}

async fn client_secret(server: &Deployment, organization_id: &str) -> Result<String, Reason> {
    let organization_id = organization_id.to_owned();
    let request = GetSignInProviderRequest { organization_id, with_client_secret: true };
    let found = console(server).await.get_sign_in_provider(Request::new(request)).await;
    found.map(|found| found.into_inner().client_secret).map_err(|status| wire::refusal(&status).reason)
}

/// What a refused command says: one line, and nothing else.
fn refused(server: &Deployment, words: &[&str]) -> String {
    let finished = server.cli(words).expect("it runs");
    assert_eq!((finished.status.code(), finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    finished.stderr
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_is_an_owner_and_invites_the_others() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    provisioned(&server, "acme");
    let run = |words: &[&str]| server.cli_json(words).expect("the command works");
    let none = server.cli(&["admin", "list", "acme"]).expect("it runs");
    assert!(none.stdout.contains("rollcall admin invite acme --email ADDRESS"), "{}", none.stdout);

    let made = run(&["admin", "invite", "acme", "--email", "ada@example.com"]);
    let keys: Vec<&String> = made.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["id", "email", "role", "created_at", "created_by", "expires_at", "link"]);
    assert_eq!((&made["role"], &made["created_by"]), (&json!("owner"), &json!("command line")));
    let session = accept(&server, &text(&made["link"])).await;
    assert!(session.secret.starts_with("rc_session_"));

    let made = run(&["admin", "invite", "acme", "--email", "eve@example.com", "--ttl-hours", "1"]);
    assert_eq!(made["role"], "admin", "there is an owner now");
    accept(&server, &text(&made["link"])).await;
    let shown =
        server.cli(&["admin", "invite", "acme", "--email", "kit@example.com", "--role", "viewer"]).expect("runs");
    assert!(shown.stdout.contains("/console/invite/rc_invite_") && shown.stdout.contains("once"), "{}", shown.stdout);

    let listed = run(&["admin", "list", "acme"]);
    let emails = |list: &Value| -> Vec<String> {
        list.as_array().expect("a list").iter().map(|one| text(&one["email"])).collect()
    };
    assert_eq!(emails(&listed["admins"]), ["ada@example.com", "eve@example.com"]);
    assert_eq!(emails(&listed["invites"]), ["kit@example.com"]);
    assert!(!listed.to_string().contains("rc_"), "{listed}");
    let table = server.cli(&["admin", "list", "acme"]).expect("it runs").stdout;
    assert!(table.contains("invited until") && table.contains("owner"), "{table}");

    let eve = text(&listed["admins"][1]["id"]);
    assert_eq!(run(&["admin", "role", "acme", "EVE@example.com", "viewer"])["role"], "viewer");
    assert_eq!(run(&["admin", "role", "acme", &eve, "admin"])["role"], "admin");
    for last in
        [&["admin", "role", "acme", "ada@example.com", "admin"][..], &["admin", "remove", "acme", "ada@example.com"]]
    {
        assert!(refused(&server, last).contains("last owner"));
    }
    assert_eq!(run(&["admin", "remove", "acme", "kit@example.com"])["removed"], true, "an invitation");
    assert_eq!(run(&["admin", "remove", "acme", &eve])["email"], "eve@example.com");
    let gone = refused(&server, &["admin", "remove", "acme", &eve]);
    assert!(gone.contains("rollcall admin list acme"), "{gone}");
    let wrong = refused(&server, &["admin", "invite", "acme", "--email", "nobody"]);
    assert!(wrong.contains("ada@example.com"), "an example: {wrong}");
    assert!(refused(&server, &["admin", "invite", "acme", "--email", "a@x", "--ttl-hours", "0"]).contains("168"));
    assert_eq!(emails(&run(&["admin", "list", "acme"])["admins"]), ["ada@example.com"]);
    server.stop().expect("stopped");

    // Without a server it works on the database itself.
    let alone = |words: &[&str]| {
        let words = [words, &["--output", "json", "--data-dir", directory.path().to_str().expect("a path")]].concat();
        program().run(&words).expect("it runs").json().expect("JSON")
    };
    let made = alone(&["admin", "invite", "acme", "--email", "kit@example.com"]);
    assert!(text(&made["link"]).starts_with("http://127.0.0.1:8080/console/invite/rc_invite_"), "{made}");
    assert_eq!(emails(&alone(&["admin", "list", "acme"])["invites"]), ["kit@example.com"]);
}

/// With the client secret on standard input.
fn set_from_stdin(data_dir: &Path, secret: &str) -> std::process::Output {
    let words = ["sign-in", "set", "acme", "--issuer", "https://idp.example.com", "--client-id", "rollcall"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_rollcall"))
        .args(words)
        .args(["--client-secret-file", "-", "--output", "json", "--data-dir"])
        .arg(data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    child.stdin.take().expect("standard input").write_all(secret.as_bytes()).expect("written");
    child.wait_with_output().expect("it ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_is_set_without_its_secret_on_the_command_line_and_sealed_by_a_private_key() {
    let directory = directory();
    let data_dir = directory.path().join("data");
    let server = all_in_one(&data_dir, &[]);
    provisioned(&server, "acme");
    let run = |words: &[&str]| server.cli_json(words).expect("the command works");
    let acme = text(&run(&["org", "show", "acme"])["id"]);
    let key = data_dir.join("sealing.key");
    assert!(!key.exists(), "made when it is first needed");
    let none = refused(&server, &["sign-in", "show", "acme"]);
    assert!(none.contains("rollcall sign-in set acme --issuer URL --client-id ID"), "{none}");
    let set = ["sign-in", "set", "acme", "--issuer", "https://idp.example.com", "--client-id", "rollcall"];
    assert_eq!(run(&set)["has_client_secret"], false);
    assert!(!key.exists(), "there is nothing to seal");

    let file = directory.path().join("secret");
    fs::write(&file, "  s3cret-of-a-file\n").expect("written");
    let made = run(&[&set[..], &["--client-secret-file", file.to_str().expect("a path")]].concat());
    let keys: Vec<&String> = made.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["issuer", "client_id", "has_client_secret", "redirect_uri", "modified_at"]);
    assert_eq!(made["redirect_uri"], json!(format!("{}/console/sign-in/callback/{acme}", server.http())));
    assert_eq!(client_secret(&server, &acme).await.as_deref(), Ok("s3cret-of-a-file"));
    assert_eq!(fs::metadata(&key).expect("metadata").permissions().mode() & 0o777, 0o600);
    let output = set_from_stdin(&data_dir, "s3cret-of-stdin\n");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(client_secret(&server, &acme).await.as_deref(), Ok("s3cret-of-stdin"));
    assert_eq!(run(&set)["has_client_secret"], true, "it stays");
    for shown in [server.cli(&["sign-in", "show", "acme"]).expect("runs").stdout, server.output()] {
        assert!(!shown.contains("s3cret") && !shown.contains("rc_sealing_"), "{shown}");
    }
    assert!(!set_from_stdin(&data_dir, "\n").status.success(), "an empty secret");
    let missing = refused(&server, &[&set[..], &["--client-secret-file", "no-such-file"]].concat());
    assert!(missing.contains("no-such-file cannot be read"), "{missing}");
    let wrong = ["sign-in", "set", "acme", "--issuer", "http://idp.example.com", "--client-id", "rollcall"];
    assert!(refused(&server, &wrong).contains("openid-configuration"));
    server.stop().expect("stopped");

    // Another key: all works but the secret, until that is set again.
    let other = directory.path().join("other.key");
    let start = |words: &[&str]| all_in_one(&data_dir, words);
    fs::rename(&key, &other).expect("moved");
    let server = start(&[]);
    assert_eq!(client_secret(&server, &acme).await, Err(Reason::SignInState));
    assert_eq!(server.cli_json(&["sign-in", "show", "acme"]).expect("shown")["has_client_secret"], true);
    server.stop().expect("stopped");
    let server = start(&["--sealing-key-file", other.to_str().expect("a path")]);
    assert_eq!(client_secret(&server, &acme).await.as_deref(), Ok("s3cret-of-stdin"));
    assert_eq!(server.cli_json(&["sign-in", "remove", "acme"]).expect("removed")["removed"], true);
    assert_eq!(client_secret(&server, &acme).await, Err(Reason::SignInNotFound));
    server.stop().expect("stopped");
}

#[test]
fn a_key_that_was_named_and_is_not_usable_keeps_the_server_from_starting() {
    let directory = directory();
    let data_dir = directory.path().join("data");
    let broken = directory.path().join("broken.key");
    fs::write(&broken, "not a key\n").expect("written");
    let broken = broken.to_str().expect("a path");
    for (option, file, why) in [
        ("--sealing-key-file", "no-such.key", "cannot be read"),
        ("--sealing-key-file", broken, "32 bytes"),
        ("--opaque-key-file", "no-such.key", "cannot be read"),
        ("--opaque-key-file", broken, "128 bytes"),
    ] {
        let words = ["serve", "--data-dir", data_dir.to_str().expect("a path"), option, file];
        let finished = program().run(&words).expect("it runs");
        assert_eq!(finished.status.code(), Some(1));
        let last = finished.stderr.lines().last().unwrap_or_default();
        assert!(last.contains(why) && last.contains(file), "{}", finished.stderr);
        assert!(!data_dir.exists(), "nothing is written");
    }
}
