//! The contract that scripts and operators rely on: the command line, health, discovery, bad input, restarts, logs.

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::{
    client::{Client, Reply},
    okta::{self, Person},
    process::{Deployment, Program},
};

use crate::{
    forms::{Organization, Running, organization},
    transcript::{Talk, Transcript},
};

/// Plays it; restarts the processes on the way, and reads their logs at the end.
///
/// # Errors
/// At the first difference.
pub async fn run(running: Running, program: &Program, transcript: &Transcript) -> Result<()> {
    let deployment = &running.deployment;
    health(deployment, transcript).await?;
    command_line(deployment, transcript)?;
    let acme = organization(deployment, transcript, "acme")?;
    let talk = Talk { client: okta::client(&acme.scim_url, &acme.token)?, transcript: transcript.clone() };
    discovery(&talk).await?;
    let kit = Person::new("Kit", "Moor", "example.com");
    let id = talk.post("/Users", &kit.create()).await?.status(201)?.id()?;
    let path = format!("/Users/{id}");
    bad_input(&talk, &path).await?;
    limits(deployment, &talk, &acme).await?;
    request_ids(&talk).await?;

    transcript.step("SIGTERM, then start again: the data, the token and the credential are still there");
    let before = talk.get(&path).await?.status(200)?.body;
    let running = running.restart(program).await?;
    let listed = running.deployment.cli_json(&["token", "list", "acme"])?;
    transcript.that("the token is listed", listed.to_string().contains(&acme.token_id))?;
    transcript.that("no secret is listed", !listed.to_string().contains(&acme.token))?;
    let moved = okta::client(&format!("{}/scim/v2", running.deployment.http()), &acme.token)?;
    let talk = talk.by(moved);
    talk.get(&path).await?.status(200)?.is("/userName", before["userName"].clone())?.is("/id", before["id"].clone())?;

    transcript.step("Killed without warning, then start again: what was answered is there");
    let ana = Person::new("Ana", "Lee", "example.com");
    let id = talk.post("/Users", &ana.create()).await?.status(201)?.id()?;
    let running = running.crash(program).await?;
    let talk = talk.by(okta::client(&format!("{}/scim/v2", running.deployment.http()), &acme.token)?);
    talk.get(&format!("/Users/{id}")).await?.status(200)?.is("/userName", ana.user_name.as_str())?;
    talk.get(&path).await?.status(200)?;

    for output in running.stop()? {
        log_is_clean(&output, transcript)?;
    }
    Ok(())
}

/// Nothing personal and no secret is in what a process wrote.
///
/// # Errors
/// If something is.
pub fn log_is_clean(output: &str, transcript: &Transcript) -> Result<()> {
    for forbidden in [
        "rc_scim_",
        "rc_svc_",
        "rc_oauth_",
        "rc_code_",
        "rc_access_",
        "rc_refresh_",
        "rc_admin_",
        "Bearer ",
        "kit.moor",
        "Kit Moor",
        "@example.com",
        "Wf4-nothing",
        "ana@contoso",
    ] {
        if let Some(line) = output.lines().find(|line| line.to_lowercase().contains(&forbidden.to_lowercase())) {
            anyhow::bail!("the log holds {forbidden:?}: {line}");
        }
    }
    // A line is: instant, level, and the rest.
    let fault = |line: &&str| line.contains("panicked") || line.split_whitespace().nth(1) == Some("ERROR");
    if let Some(line) = output.lines().find(fault) {
        anyhow::bail!("the log tells of a fault: {line}");
    }
    transcript.held("its log has no token, no personal data and no error");
    Ok(())
}

async fn health(deployment: &Deployment, transcript: &Transcript) -> Result<()> {
    transcript.step("/healthz, /readyz and / answer without a token");
    let client = Client::new(deployment.http());
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/", 303), ("/console/sign-in", 200)] {
        let reply = client.send(Method::GET, path, None).await?;
        transcript.same(&format!("GET {path}"), &reply.status, &status)?;
    }
    Ok(())
}

fn command_line(deployment: &Deployment, transcript: &Transcript) -> Result<()> {
    transcript.step("Command line: global flags before and after the subcommand, one JSON document, clear refusals");
    let data_dir = deployment.data_dir().to_string_lossy().into_owned();
    let before =
        deployment.cli(&["--output", "json", "org", "create", "lines", "--name", "Lines", "--plan", "enterprise"])?;
    let created = before.json()?;
    transcript.same("slug", &created["slug"], &json!("lines"))?;
    transcript.same("plan", &created["plan"], &json!("enterprise"))?;
    let token = deployment.cli_json(&["token", "create", "lines", "--description", "a", "--ttl-days", "30"])?;
    let secret = token["token"].as_str().context("no token")?;
    transcript.hide(secret);
    let keys: Vec<&str> = token.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    transcript.same("token create", &keys, &vec!["id", "token", "scim_url", "expires_at"])?;
    transcript.that("the token has its prefix and length", secret.starts_with("rc_scim_") && secret.len() == 57)?;
    let scim_url = format!("{}/scim/v2", deployment.http());
    transcript.same("scim_url", &token["scim_url"], &json!(scim_url))?;
    transcript.that("expires_at is an instant", token["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')))?;

    for (what, words) in [
        ("a slug that is taken", &["org", "create", "lines", "--name", "Again"][..]),
        ("a slug that is none", &["org", "create", "No Slug", "--name", "x"]),
        ("an unknown organization", &["scim", "enable", "nobody"]),
        ("an unknown token", &["token", "revoke", "lines", "00000000-0000-7000-8000-000000000000"]),
        ("a plan that has no SCIM", &["org", "plan", "lines", "--plan", "gold"]),
        ("an unknown command", &["organise"]),
    ] {
        let refused = deployment.cli(words)?;
        transcript.that(
            &format!("{what}: refused on standard error, nothing on standard output"),
            !refused.status.success() && refused.stdout.is_empty() && !refused.stderr.trim().is_empty(),
        )?;
    }
    let mode = std::fs::metadata(deployment.data_dir().join("admin-credential"))?.permissions();
    transcript.same("mode of the admin credential", &format!("{:o}", unix_mode(&mode)), &"600".to_owned())?;
    ensure!(!data_dir.is_empty(), "no data directory");
    Ok(())
}

fn unix_mode(permissions: &std::fs::Permissions) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(permissions) & 0o777
}

async fn discovery(talk: &Talk) -> Result<()> {
    talk.step("Discovery, true to what is implemented");
    talk.get("/ServiceProviderConfig")
        .await?
        .status(200)?
        .is("/patch/supported", true)?
        .is("/filter/supported", true)?
        .is("/bulk/supported", true)?
        .is("/changePassword/supported", false)?
        .is("/etag/supported", true)?;
    let types = talk.get("/ResourceTypes").await?.status(200)?;
    types.holds("/Resources", "id", &["User", "Group"])?;
    talk.get("/ResourceTypes/User").await?.status(200)?.is("/endpoint", "/Users")?;
    talk.get("/Schemas").await?.status(200)?.holds("/Resources", "id", &[okta::USER, okta::GROUP, okta::ENTERPRISE])?;
    talk.get(&format!("/Schemas/{}", okta::USER)).await?.status(200)?.is("/name", "User")?;
    talk.get("/Schemas/urn:example:none").await?.refused(404, None)?;
    Ok(())
}

async fn bad_input(talk: &Talk, user: &str) -> Result<()> {
    talk.step("Bad input: a SCIM error that says what to change, never a 500");
    let before = talk.get(user).await?.status(200)?.body;
    let post = |body: Value| async move { talk.post("/Users", &body).await };
    let raw = |method: Method, path: &'static str, body: &'static str| async move {
        talk.send(method, path, Some(Bytes::from_static(body.as_bytes()))).await
    };
    raw(Method::POST, "/Users", "{\"userName\": ").await?.refused(400, Some("invalidSyntax"))?;
    raw(Method::POST, "/Users", "").await?.refused(400, Some("invalidSyntax"))?;
    raw(Method::POST, "/Users", "[]").await?.refused(400, Some("invalidSyntax"))?;
    raw(Method::POST, "/Groups", "{\"displayName\": \"x\", \"members\": [{\"value\"]}")
        .await?
        .refused(400, Some("invalidSyntax"))?;
    post(json!({"schemas": [okta::USER]})).await?.refused(400, Some("invalidValue"))?;
    post(json!({"schemas": [okta::USER], "userName": "  "})).await?.refused(400, Some("invalidValue"))?;
    post(json!({"schemas": [okta::USER], "userName": 7})).await?.refused(400, Some("invalidValue"))?;
    post(json!({"schemas": [okta::USER], "userName": "a", "name": "Kit"})).await?.refused(400, Some("invalidValue"))?;
    post(json!({"schemas": [okta::GROUP], "userName": "a"})).await?.that("400", |answer| answer.reply.status == 400)?;
    talk.step("Missing `schemas` and unknown URNs are accepted: clients send both");
    for body in
        [json!({"userName": "no.schemas"}), json!({"schemas": [okta::USER, "urn:example:more"], "userName": "more"})]
    {
        let id = post(body).await?.status(201)?.id()?;
        talk.delete(&format!("/Users/{id}")).await?.status(204)?;
    }

    talk.step("Filters and paths");
    for filter in [
        "noSuch+eq+%22x%22",
        "userName+eq",
        "userName+like+%22x%22",
        "userName+eq+%22x",
        "(userName+eq+%22x%22",
        "active+gt+true",
    ] {
        talk.get(&format!("/Users?filter={filter}")).await?.refused(400, Some("invalidFilter"))?;
    }
    let patch = |operations: Value| async move { talk.patch(user, &okta::patch(operations)).await };
    patch(json!([{"op": "replace", "path": "noSuch", "value": 1}])).await?.refused(400, Some("invalidPath"))?;
    patch(json!([{"op": "replace", "path": "emails[", "value": 1}])).await?.refused(400, Some("invalidPath"))?;
    patch(json!([{"op": "remove"}])).await?.refused(400, Some("noTarget"))?;
    patch(json!([{"op": "move", "path": "title", "value": "x"}])).await?.refused(400, Some("invalidSyntax"))?;
    patch(json!([{"op": "remove", "path": "userName"}])).await?.that("400", |answer| answer.reply.status == 400)?;
    patch(json!([{"op": "replace", "path": "active", "value": "perhaps"}]))
        .await?
        .refused(400, Some("invalidValue"))?;
    talk.patch(user, &json!({"schemas": [okta::PATCH_OP]})).await?.that("400", |answer| answer.reply.status == 400)?;

    talk.step("Too large, too deep, wrong type, wrong method, no such place");
    let large = json!({"schemas": [okta::USER], "userName": "large", "title": "x".repeat(3 << 20)});
    talk.post("/Users", &large).await?.refused(413, None)?;
    let deep = format!("{{\"userName\":\"deep\",\"x\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    talk.send(Method::POST, "/Users", Some(deep.into())).await?.that("400", |answer| answer.reply.status == 400)?;
    let text = talk.by(talk.client.with_header("content-type", "text/plain")?);
    text.post("/Users", &json!({"userName": "text"})).await?.refused(415, None)?;
    talk.send(Method::DELETE, "/Users", None).await?.refused(405, None)?.that("Allow names the methods", |answer| {
        answer.reply.header("allow").is_some_and(|allow| allow.contains("GET") && allow.contains("POST"))
    })?;
    talk.get("/NoSuchEndpoint").await?.refused(404, None)?;
    talk.get(user).await?.status(200)?.is("", before)?;
    Ok(())
}

async fn limits(deployment: &Deployment, talk: &Talk, acme: &Organization) -> Result<()> {
    talk.step("Over the organization's limit: 429 with whole seconds in Retry-After; 0 lifts it");
    deployment.cli_json(&["org", "limit", &acme.slug, "--requests-per-second", "5"])?;
    // The gateway may remember the old limit as long as it remembers the token.
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let mut refused: Option<Reply> = None;
    for _ in 0..200 {
        let reply = talk.client.send(Method::GET, okta::PROBE, None).await?;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.context("200 requests at once were never refused with a limit of 5 a second")?;
    let seconds = refused.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    talk.transcript.that("Retry-After is whole seconds", seconds.is_some_and(|seconds| seconds >= 1))?;
    talk.transcript.same("status in the body", &refused.json()?["status"], &json!("429"))?;
    deployment.cli_json(&["org", "limit", &acme.slug, "--requests-per-second", "0"])?;
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    talk.get(okta::PROBE).await?.status(200)?;
    Ok(())
}

async fn request_ids(talk: &Talk) -> Result<()> {
    talk.step("Every answer has a request id of its own");
    let mut ids = std::collections::BTreeSet::new();
    for path in [okta::PROBE, "/Users/none", "/NoSuchEndpoint"] {
        let answer = talk.get(path).await?;
        ids.insert(answer.reply.header("x-request-id").unwrap_or_default().to_owned());
    }
    talk.transcript.same("different ids", &ids.len(), &3)
}
