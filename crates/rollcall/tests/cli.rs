//! The tool contract: every line of it, as a script would use it.

#![expect(clippy::expect_used, reason = "tests")]

mod support;

use std::{
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use http::Method;
use serde_json::{Value, json};
use support::{all_in_one, create_user, directory, program, provisioned, ready, scim, text};
use testkit::{client::Client, process::Deployment};
use tonic::transport::Endpoint;
use wire::{
    Credential, Transport,
    identity::{self as proto, provisioning_log_service_client::ProvisioningLogServiceClient},
};

/// Every administrative command against a deployment, then SCIM with the token it gave.
async fn administer(server: &Deployment) {
    let run = |words: &[&str]| server.cli_json(words).expect("the command works");
    let created = run(&["org", "create", "acme", "--name", "Acme Ltd", "--plan", "enterprise"]);
    assert_eq!(created["slug"], "acme");
    assert_eq!(created["name"], "Acme Ltd");
    assert_eq!(created["plan"], "enterprise");
    assert_eq!(created["scim_enabled"], false);
    assert_eq!(created["requests_per_second"], Value::Null);
    let id = text(&created["id"]);
    run(&["org", "create", "other", "--name", "Other"]);

    let again = server.cli(&["org", "create", "acme", "--name", "Acme", "--output", "json"]).expect("it runs");
    assert_eq!((again.status.code(), again.stdout.as_str()), (Some(1), ""), "{}", again.stderr);
    assert_eq!(again.stderr.lines().count(), 1, "one clear line: {:?}", again.stderr);

    let slugs = |listed: &Value| -> Vec<String> {
        listed["organizations"].as_array().expect("a list").iter().map(|one| text(&one["slug"])).collect()
    };
    assert_eq!(slugs(&run(&["org", "list"])), ["acme", "other"]);
    assert_eq!(run(&["org", "show", "acme"])["id"], json!(id));
    assert_eq!(run(&["org", "show", &id])["slug"], "acme");
    assert_eq!(run(&["org", "limit", "acme", "--requests-per-second", "50"])["requests_per_second"], 50);
    assert_eq!(run(&["org", "limit", &id, "--requests-per-second", "0"])["requests_per_second"], 0);

    assert_eq!(run(&["scim", "status", "acme"])["scim_enabled"], false);
    let enabled = run(&["scim", "enable", "acme"]);
    assert_eq!(enabled["scim_enabled"], true);
    let scim_url = format!("{}/scim/v2", server.http());
    assert_eq!(enabled["scim_url"], json!(scim_url));
    let refused = server.cli(&["scim", "enable", "other"]).expect("it runs");
    assert_eq!(refused.status.code(), Some(1), "the free plan has no SCIM");
    assert!(refused.stderr.contains("rollcall org plan other --plan enterprise"), "{}", refused.stderr);

    let files = directory();
    let file = files.path().join("acme.json");
    let urn = "urn:example:params:scim:acme:2.0:User";
    let schema = json!({"id": urn, "attributes": [{"name": "badge", "type": "string"}]});
    std::fs::write(&file, schema.to_string()).expect("written");
    let path = file.to_str().expect("a path");
    assert_eq!(run(&["schema", "list", "acme"])["schemas"], json!([]));
    let added = run(&["schema", "add", "acme", path]);
    assert_eq!((&added["id"], &added["resource_type"]), (&json!(urn), &json!("User")));
    assert_eq!(run(&["schema", "list", &id])["schemas"], json!([added]));
    assert_eq!(run(&["schema", "add", "other", path, "--resource-type", "group"])["resource_type"], "Group");
    std::fs::write(&file, json!({"id": "acme", "attributes": [{"name": "x"}]}).to_string()).expect("written");
    let (text_file, again) = (files.path().join("text.json"), files.path().join("again.json"));
    std::fs::write(&text_file, "badge, level").expect("written");
    std::fs::write(&again, schema.to_string()).expect("written");
    let path_of = |file: &std::path::Path| file.to_str().expect("a path").to_owned();
    for (wrong, why) in [
        (path.to_owned(), "URN"),
        ("no-such-file.json".to_owned(), "no-such-file.json cannot be read"),
        (path_of(&text_file), "is not a JSON object"),
        (path_of(&again), "There is a schema urn:example:params:scim:acme:2.0:User already"),
    ] {
        let refused = server.cli(&["schema", "add", "acme", &wrong]).expect("it runs");
        assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), ""), "{}", refused.stderr);
        assert_eq!(refused.stderr.lines().count(), 1, "one clear line: {:?}", refused.stderr);
        assert!(refused.stderr.contains(why), "{why}: {}", refused.stderr);
    }

    let created = run(&["token", "create", "acme", "--description", "Okta production"]);
    assert_eq!(created["scim_url"], json!(scim_url));
    assert!(created["expires_at"].is_string(), "a year by default");
    let keys: Vec<&String> = created.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["id", "token", "scim_url", "expires_at"]);
    let token = text(&created["token"]);
    assert!(token.starts_with("rc_scim_"));
    let eternal = ["token", "create", &id, "--description", "forever", "--ttl-days", "0"];
    let refused = server.cli(&eternal).expect("it runs");
    assert_eq!(refused.status.code(), Some(1), "never is not allowed by itself");
    assert!(refused.stderr.contains("rollcall token policy ORG --allow-never true"), "{}", refused.stderr);
    assert_eq!(run(&["token", "policy", "acme"]), json!({"max_ttl_days": null, "allow_never": false}));
    let policy = run(&["token", "policy", "acme", "--allow-never", "true", "--max-ttl-days", "400"]);
    assert_eq!(policy, json!({"max_ttl_days": 400, "allow_never": true}));
    let forever = run(&eternal);
    assert_eq!(forever["expires_at"], Value::Null);

    let client = scim(server, &token);
    assert_eq!(create_user(&client, "kit@example.com").await.status, 201);
    assert_eq!(client.send(Method::GET, "/Users", None).await.expect("an answer").status, 200);

    let listed = run(&["token", "list", "acme"]);
    let tokens = listed["tokens"].as_array().expect("a list");
    let descriptions: Vec<String> = tokens.iter().map(|token| text(&token["description"])).collect();
    assert_eq!(descriptions, ["forever", "Okta production"]);
    assert!(tokens.iter().all(|token| token["state"] == "active"));
    assert!(!listed.to_string().contains(&token), "the secret is shown once");

    // Within a second of the command's end, also for a token that was used just before.
    run(&["token", "revoke", "acme", &text(&created["id"])]);
    let revoked = Instant::now();
    loop {
        let reply = client.send(Method::GET, "/Users", None).await.expect("an answer");
        if reply.status == 401 {
            assert!(reply.header("www-authenticate").is_some());
            break;
        }
        assert!(revoked.elapsed() < Duration::from_secs(1), "still {} after a second", reply.status);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(run(&["token", "list", "acme"])["tokens"][1]["state"], "revoked");
    let other = server.cli(&["token", "revoke", "other", &text(&forever["id"])]).expect("it runs");
    assert_eq!(other.status.code(), Some(1), "another organization's token is not found");
    assert!(other.stderr.contains("rollcall token list other"), "{}", other.stderr);

    rotate(server, "acme").await;
    oauth(server, "acme");

    let client = scim(server, &text(&forever["token"]));
    let status = async || client.send(Method::GET, "/Users", None).await.expect("an answer").status;
    assert_eq!(status().await, 200);
    assert_eq!(run(&["scim", "disable", "acme"])["scim_enabled"], false);
    eventually("403 once SCIM is off", async || status().await == 403).await;
    run(&["scim", "enable", "acme"]);
    eventually("200 once SCIM is on again", async || status().await == 200).await;

    let plan = ["org", "plan", "acme", "--plan", "enterprise"];
    let full = run(&[&plan[..], &["--max-users", "0", "--oauth", "false"]].concat());
    assert_eq!((&full["max_users"], &full["oauth_entitled"]), (&json!(0), &json!(false)));
    assert_eq!(create_user(&client, "late@example.com").await.status, 403);
    let late = server.cli(&["oauth", "client", "create", "acme", "--name", "x", "--grant", "client_credentials"]);
    let refused = late.expect("it runs").stderr;
    assert!(refused.contains("needs no OAuth. Change it: rollcall org plan acme --plan enterprise"), "{refused}");
    let shown = server.cli(&["org", "show", "acme"]).expect("it runs").stdout;
    assert!(shown.contains("of 0 that the plan is for") && shown.contains("The plan is full"), "{shown}");

    let grace = run(&[&plan[..], &["--expires-at", "2020-01-01T00:00:00Z", "--grace-days", "3650"]].concat());
    assert_eq!((&grace["scim_entitled"], &grace["max_users"]), (&json!(true), &Value::Null));
    assert_eq!(grace["plan_grace_ends_at"], "2029-12-29T00:00:00Z");
    for words in [&["org", "show", "acme"], &["scim", "status", "acme"]] {
        let shown = server.cli(words).expect("it runs").stdout;
        assert!(shown.contains("All still works until 2029-12-29T00:00:00Z"), "{words:?}: {shown}");
    }

    let lapsed = run(&[&plan[..], &["--expires-at", "2020-01-01T00:00:00Z"]].concat());
    assert_eq!((&lapsed["scim_entitled"], &lapsed["plan_expires_at"]), (&json!(false), &json!("2020-01-01T00:00:00Z")));
    assert_eq!(create_user(&client, "late@example.com").await.status, 403);
    assert_eq!(status().await, 200, "reads go on");
    for words in [&["scim", "status", "acme"][..], &["token", "create", "acme", "--description", "late"]] {
        let answer = server.cli(words).expect("it runs").stdout;
        assert!(answer.contains("rollcall org plan acme --plan enterprise"), "{words:?}: {answer}");
    }
    let shown = server.cli(&["org", "show", "acme"]).expect("it runs").stdout;
    assert!(shown.contains("enterprise (ended 2020-01-01T00:00:00Z)"), "{shown}");
    assert_eq!(run(&["org", "plan", "acme", "--plan", "enterprise"])["plan_expires_at"], Value::Null);
}

/// What is said of OAuth clients, and which ones are refused.
fn oauth(server: &Deployment, org: &str) {
    let run = |words: &[&str]| server.cli_json(words).expect("the command works");
    let says = |words: &[&str]| server.cli(words).expect("it runs").stdout;
    let create = ["oauth", "client", "create", org, "--name", "Okta"];
    let callback = "https://idp.example.com/oauth/callback";
    let by_code = ["--grant", "authorization_code", "--redirect-uri", callback];
    let okta = text(&run(&[&create[..], &by_code, &["--scope", "users:read"]].concat())["client_id"]);
    let shown = run(&["oauth", "client", "show", org, &okta]);
    assert_eq!((&shown["redirect_uris"], &shown["trust"]), (&json!([callback]), &Value::Null));
    assert!(says(&["oauth", "client", "show", org, &okta]).contains(&format!("Redirect URI          {callback}")));
    assert!(says(&["oauth", "client", "list", org]).contains("oauth client show acme CLIENT"));
    let approval = run(&["oauth", "approve", org, &okta]);
    assert_eq!((&approval["scopes"], &approval["redirect_uris"]), (&json!(["users:read"]), &json!([callback])));

    // The keys are looked at with each assertion. The audience is the gateway's, whatever this machine takes for its URL.
    let trust = ["--issuer", "https://issuer.example.com", "--subject", "s", "--jwks-uri"];
    let keys = "https://issuer.example.com/keys";
    let made = says(&[&create[..], &["--grant", "client_credentials"], &trust, &[keys]].concat());
    assert!(made.contains("Audience              the Token URL") && !made.contains("Client secret"), "{made}");
    let listed = run(&["oauth", "client", "list", org]);
    assert_eq!(listed["clients"][0]["trust"]["audience"], Value::Null, "{listed}");
    let entra = says(&[&create[..], &["--grant", "client_credentials"]].concat());
    assert!(entra.contains("\"Client secret\"") && !entra.contains("workload"), "{entra}");

    let here = "https://127.0.0.1:1/keys";
    for (wrong, said) in [
        (&["oauth", "client", "retire-secret", org, okta.as_str()][..], "There is no old secret"),
        (&["oauth", "client", "show", "other", okta.as_str()], "rollcall oauth client list other"),
        (&[&create[..], &by_code, &trust, &[keys]].concat(), "Make two clients"),
        (&[&create[..], &["--grant", "jwt-bearer"], &trust, &[here]].concat(), "never fetched"),
        (
            &[&create[..], &["--grant", "client_credentials", "--redirect-uri", callback]].concat(),
            "for the grant type authorization_code alone",
        ),
    ] {
        let refused = server.cli(wrong).expect("it runs");
        assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), ""), "{wrong:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(said) && refused.stderr.lines().count() == 1, "{}", refused.stderr);
    }
}

/// A token with restrictions gives way to another one.
async fn rotate(server: &Deployment, org: &str) {
    let run = |words: &[&str]| server.cli_json(words).expect("the command works");
    let words = ["token", "create", org, "--description", "Entra", "--scope", "users:read,users:write"];
    let old =
        run(&[&words[..], &["--scope", "groups:read", "--allow-cidr", "127.0.0.1", "--allow-cidr", "::1"]].concat());
    let (id, listed) = (text(&old["id"]), || run(&["token", "list", org])["tokens"].clone());
    let shown = listed()[0].clone();
    assert_eq!(shown["scopes"], json!(["users:read", "users:write", "groups:read"]));
    assert_eq!(shown["allowed_cidrs"], json!(["127.0.0.1/32", "::1/128"]));
    assert_eq!((&shown["created_by"], &shown["state"]), (&json!("command line"), &json!("active")));
    let client = scim(server, &text(&old["token"]));
    assert_eq!(client.send(Method::GET, "/Users", None).await.expect("an answer").status, 200);
    assert_eq!(client.send(Method::DELETE, "/Groups/1", None).await.expect("an answer").status, 403);

    let new = run(&["token", "rotate", org, &id, "--retire-after", "7d", "--ttl-days", "30"]);
    assert_eq!(new["replaces"]["id"], json!(id));
    assert_eq!((&new["replaces"]["state"], &new["replaces"]["successor_used"]), (&json!("rotated"), &json!(false)));
    let early = server.cli(&["token", "retire", org, &id]).expect("it runs");
    assert_eq!(early.status.code(), Some(1), "its successor was not used");
    assert!(early.stderr.contains("--force"), "{}", early.stderr);
    let successor = scim(server, &text(&new["token"]));
    assert_eq!(successor.send(Method::GET, "/Users", None).await.expect("an answer").status, 200);
    within(6, "the successor's use", async || listed()[1]["successor_used"] == true).await;
    let table = server.cli(&["token", "list", org]).expect("it runs").stdout;
    for part in ["rotated, successor in use: retire it", "users:read users:write groups:read", "127.0.0.1/32"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    assert_eq!(run(&["token", "retire", org, &id])["state"], "revoked");
    eventually("401", async || client.send(Method::GET, "/Users", None).await.expect("an answer").status == 401).await;
    assert_eq!(successor.send(Method::GET, "/Users", None).await.expect("an answer").status, 200);
    assert!(listed()[0]["last_used_address"] == "127.0.0.1");
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    within(2, what, holds).await;
}

async fn within(seconds: u64, what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(seconds), "{what}: not within {seconds} seconds");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_all_in_one() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    ready(&server).await;
    let health = Client::new(server.http()).send(Method::GET, "/healthz", None).await.expect("an answer");
    assert_eq!(health.status, 200);
    administer(&server).await;
    server.stop().expect("a clean end");
    assert!(!directory.path().join("run/all.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_for_three_roles_on_sqlite_files() {
    let directory = directory();
    let file = |name: &str| format!("sqlite:{}", directory.path().join(name).display());
    let server =
        Deployment::three_processes(&program(), directory.path(), &file("identity.db"), &file("token.db"), &[])
            .expect("three running servers");
    ready(&server).await;
    administer(&server).await;
    server.stop().expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_for_three_roles_on_postgresql() {
    let directory = directory();
    let database = testkit::postgres();
    let (identity, token) = (database.url_with_schema("identity"), database.url_with_schema("token"));
    let server = Deployment::three_processes(&program(), directory.path(), &identity, &token, &[])
        .expect("three running servers");
    ready(&server).await;
    administer(&server).await;
    server.stop().expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_may_start_before_the_services() {
    let directory = directory();
    let data_dir = directory.path();
    // Where nothing listens yet: ports that were free a moment ago.
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").to_string()
    };
    let (identity, token) = (free(), free());
    let start = |role, arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        testkit::process::Server::start(&program(), role, data_dir, &arguments).expect("a running server")
    };
    let urls = [format!("http://{identity}"), format!("http://{token}")];
    let gateway = start("gateway", &["--identity-url", &urls[0], "--token-url", &urls[1]]);
    let client = Client::new(&gateway.url("http").expect("its address"));
    let status = async |path: &str| client.send(Method::GET, path, None).await.expect("an answer").status;
    assert_eq!(status("/healthz").await, 200);
    assert_eq!(status("/readyz").await, 503);

    // The last one of a flag counts, so that the ports given above are used.
    let mut services = Vec::new();
    for (role, address) in [("identity", &identity), ("token", &token)] {
        let mut command = program().command();
        command.args(["serve", role, "--grpc", address]).arg("--data-dir").arg(data_dir);
        services.push(Stopped(command.spawn().expect("it starts")));
    }
    let begun = Instant::now();
    while status("/readyz").await != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "not ready:\n{}", gateway.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(services);
    let begun = Instant::now();
    while status("/readyz").await == 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "ready without services");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

struct Stopped(std::process::Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_before_while_and_after_a_server_runs() {
    let directory = directory();
    let data_dir = directory.path().to_str().expect("UTF-8");
    let run = |words: &[&str]| program().run(&[words, &["--data-dir", data_dir, "--output", "json"]].concat());
    let json = |words: &[&str]| run(words).and_then(|finished| finished.json()).expect("the command works");

    let missing = run(&["token", "list", "acme"]).expect("it runs");
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stderr.contains("rollcall serve"), "{}", missing.stderr);

    json(&["org", "create", "acme", "--name", "Acme", "--plan", "enterprise"]);
    json(&["scim", "enable", "acme"]);
    let early = json(&["token", "create", "acme", "--description", "before"]);

    let server = all_in_one(directory.path(), &[]);
    let client = scim(&server, &text(&early["token"]));
    assert_eq!(create_user(&client, "kit@example.com").await.status, 201);
    json(&["token", "create", "acme", "--description", "while"]);

    let second = run(&["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]).expect("it runs");
    assert_eq!((second.status.code(), second.stdout.as_str()), (Some(1), ""));
    assert!(second.stderr.contains("already serves"), "{}", second.stderr);
    let (http, grpc) = (server.http().to_owned(), server.grpc("identity").expect("its address"));
    let [http, grpc] = [&http, &grpc].map(|url| url.trim_start_matches("http://"));
    let second = run(&["serve", "--http", http, "--grpc", grpc]).expect("it runs");
    assert!(second.stderr.contains("already serves"), "not that its ports are in use: {}", second.stderr);
    json(&["org", "list"]);

    // A server that was killed leaves its addresses; nobody answers there.
    let [server] = <[_; 1]>::try_from(server.servers).expect("one process");
    server.kill().expect("killed");
    json(&["token", "create", "acme", "--description", "after"]);
    assert_eq!(json(&["token", "list", "acme"])["tokens"].as_array().map(Vec::len), Some(3));

    let server = all_in_one(directory.path(), &[]);
    let client = scim(&server, &text(&early["token"]));
    let users = client.send(Method::GET, "/Users", None).await.expect("an answer").json().expect("JSON");
    assert_eq!(users["totalResults"], 1, "data survives");
    server.stop().expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn from_another_directory_no_address_is_guessed_and_suggestions_work_there() {
    let (directory, elsewhere) = (directory(), directory());
    let server = all_in_one(directory.path(), &[]);
    let grpc = server.grpc("identity").expect("its address");
    let credential = directory.path().join("admin-credential");
    let place = [
        "--data-dir".to_owned(),
        elsewhere.path().join("no data").display().to_string(),
        "--identity-url".to_owned(),
        grpc.clone(),
        "--token-url".to_owned(),
        grpc.clone(),
        "--admin-credential-file".to_owned(),
        credential.display().to_string(),
    ];
    let run = |words: &[&str]| {
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        let finished = program().run(&[words, &place].concat()).expect("it runs");
        assert!(finished.status.success(), "{words:?}: {}", finished.stderr);
        finished.stdout
    };
    let empty = run(&["org", "list"]);
    let typed = format!(
        " --data-dir '{}' --identity-url {grpc} --token-url {grpc} --admin-credential-file {}",
        place[1],
        credential.display(),
    );
    assert!(empty.contains(&format!("rollcall org create acme --name \"Acme\" --plan enterprise{typed}\n")), "{empty}");
    run(&["org", "create", "acme", "--name", "Acme", "--plan", "enterprise"]);
    let status = run(&["scim", "status", "acme"]);
    assert!(status.contains(&format!("rollcall scim enable acme{typed}\n")), "{status}");
    for words in [&["scim", "enable", "acme"][..], &["token", "create", "acme", "--description", "Okta"]] {
        let answer = run(words);
        assert!(answer.contains("--public-url") && !answer.contains(":8080"), "{answer}");
        let json: Value = serde_json::from_str(&run(&[words, &["--output", "json"]].concat())).expect("JSON");
        assert_eq!(json["scim_url"], Value::Null);
        let told = run(&[words, &["--public-url", "https://scim.example.com"]].concat());
        assert!(told.contains("https://scim.example.com/scim/v2"), "{told}");
    }
    server.stop().expect("a clean end");
}

#[test]
fn global_flags_stand_anywhere_and_have_environment_variables() {
    let directory = directory();
    let data_dir = directory.path().to_str().expect("UTF-8");
    let program = program();
    let create = ["org", "create", "acme", "--name", "Acme"];
    program.run(&[&create[..], &["--data-dir", data_dir]].concat()).expect("it runs");

    let all: [&[&str]; 3] = [
        &["--data-dir", data_dir, "--output", "json", "org", "list"],
        &["org", "--data-dir", data_dir, "list", "--output", "json"],
        &["org", "list", "--output", "json", "--data-dir", data_dir],
    ];
    for words in all {
        let listed = program.run(words).and_then(|finished| finished.json()).expect("the command works");
        assert_eq!(listed["organizations"][0]["slug"], "acme", "{words:?}");
    }

    let mut command = program.command();
    command.args(["org", "list"]).env("ROLLCALL_DATA_DIR", data_dir).env("ROLLCALL_OUTPUT", "json");
    let listed: Value = serde_json::from_slice(&command.output().expect("it runs").stdout).expect("JSON");
    assert_eq!(listed["organizations"][0]["slug"], "acme");

    // What is typed wins over the environment.
    let mut command = program.command();
    command.args(["--output", "text", "org", "list"]).env("ROLLCALL_DATA_DIR", data_dir).env("ROLLCALL_OUTPUT", "json");
    let output = String::from_utf8(command.output().expect("it runs").stdout).expect("UTF-8");
    assert!(output.starts_with("SLUG"), "{output}");

    let version = program.run(&["--version"]).expect("it runs");
    assert_eq!(version.stdout.trim(), format!("rollcall {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(program.run(&["org", "create"]).expect("it runs").status.code(), Some(2), "usage");
}

#[test]
fn serve_prints_one_document_and_says_what_to_do_next() {
    let directory = directory();
    let server = all_in_one(directory.path(), &["--public-url", "https://scim.example.com/"]);
    // It prints once it is ready; what it prints is read by a thread.
    let begun = Instant::now();
    while !server.output().contains("rollcall token create") && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = server.output();
    for expected in [
        "https://scim.example.com/scim/v2",
        "rollcall org create",
        "rollcall scim enable",
        "rollcall token create",
        directory.path().to_str().expect("UTF-8"),
    ] {
        assert!(output.contains(expected), "{expected} in {output}");
    }
    let (_, token) = provisioned(&server, "acme");
    assert!(!server.output().contains(&token));
    server.stop().expect("a clean end");

    let mut command = program().command();
    command.args(["serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--output", "json", "--data-dir"]);
    command.arg(directory.path()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let mut stdout = child.stdout.take().expect("stdout");
    let document = serde_json::Deserializer::from_reader(&mut stdout).into_iter::<Value>().next();
    let document = document.expect("a document").expect("JSON");
    let running = directory.path().join("run/all.json");
    let mode = std::fs::metadata(&running).expect("the runtime file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::process::Command::new("kill").arg(child.id().to_string()).status().expect("kill");
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stdout, &mut rest).expect("UTF-8");
    assert_eq!(rest.trim(), "", "one document and nothing else");
    assert!(child.wait().expect("it ends").success());
    let http = text(&document["http"]);
    assert_eq!(document["scim_url"], json!(format!("http://{http}/scim/v2")));
    assert_eq!(document["console_url"], json!(format!("http://{http}/console")));
    assert!(document["grpc"].is_string() && document["data_dir"].is_string());
}

/// The output of a command that should end by itself; a server that starts instead is ended.
fn refused(command: &mut std::process::Command) -> std::process::Output {
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let begun = Instant::now();
    while child.try_wait().expect("a state").is_none() {
        if begun.elapsed() > Duration::from_secs(30) {
            child.kill().expect("killed");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("its output")
}

/// Fault F21: one clear line, an exit code that is not 0, nothing written.
#[test]
fn a_wrong_configuration_is_refused_before_anything_is_written() {
    let directory = directory();
    let data_dir = directory.path().join("data");
    let unreachable = "postgres://nobody:hunter2@127.0.0.1:1/none";
    let cases: [&[&str]; 11] = [
        &["--http", "nonsense"],
        &["--grpc", "127.0.0.1:notaport"],
        &["--public-url", "scim.example.com"],
        &["--log-filter", "=!"],
        &["--otlp-endpoint", "https://collector:4317"],
        &["--identity-database-url", "mysql://root:hunter2@db/x"],
        &["--token-database-url", "/var/lib/token.db"],
        &["--identity-database-url", unreachable],
        &["--admin-credential-file", "/nonexistent/credential"],
        &["--identity-url", "http://127.0.0.1:1"],
        &["gateway"],
    ];
    for case in cases {
        let mut command = program().command();
        command.arg("serve").args(["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
        if case[0] == "--http" || case[0] == "--grpc" {
            command = program().command();
            command.args(["serve", "--http", "127.0.0.1:0"]);
        }
        if case[0] == "--http" {
            command = program().command();
            command.arg("serve");
        }
        let output = refused(command.args(case).arg("--data-dir").arg(&data_dir));
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{case:?}: {errors}");
        let lines: Vec<&str> = errors.lines().filter(|line| line.starts_with("rollcall: ")).collect();
        assert_eq!(lines.len(), 1, "{case:?}: {errors}");
        assert!(errors.matches("cannot be opened").count() <= 1, "told twice: {errors}");
        assert!(output.stdout.is_empty(), "{case:?}");
        assert!(!errors.contains("hunter2"), "a password is not repeated: {errors}");
        assert!(!data_dir.exists(), "{case:?} wrote into the data directory");
    }
}

#[test]
fn a_credential_that_others_can_read_is_refused() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    let credential = directory.path().join("admin-credential");
    let mode = std::fs::metadata(&credential).expect("the credential").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = server.admin_credential().expect("the credential");
    let output = server.stop().expect("a clean end").concat();
    assert!(!output.contains(&secret));

    std::fs::set_permissions(&credential, std::fs::Permissions::from_mode(0o644)).expect("chmod");
    let refused = program().run(&[
        "serve",
        "--http",
        "127.0.0.1:0",
        "--grpc",
        "127.0.0.1:0",
        "--data-dir",
        directory.path().to_str().expect("UTF-8"),
    ]);
    let refused = refused.expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
}

#[test]
fn what_is_wrong_with_an_address_is_told_apart() {
    let directory = directory();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("its address").to_string();
    for (address, why) in
        [(taken.as_str(), "is in use"), ("nonsense", "is not an address;"), ("192.0.2.1:0", "not an address of this")]
    {
        let mut command = program().command();
        command.args(["serve", "--grpc", "127.0.0.1:0", "--http", address, "--data-dir"]);
        let output = refused(command.arg(directory.path().join("data")));
        let errors = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(errors.contains(&format!("--http {address} ")) && errors.contains(why), "{errors}");
    }
}

/// Deleted by mistake, the server ends at that very moment, and all is undone.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_comes_back() {
    let directory = directory();
    let mut server = all_in_one(directory.path(), &[]);
    ready(&server).await;
    let (_, token) = provisioned(&server, "acme");
    let mut users = Vec::new();
    for n in 0..12 {
        let created = create_user(&scim(&server, &token), &format!("user{n}@example.com")).await;
        users.push(text(&created.json().expect("JSON")["id"]));
    }
    let run = |server: &Deployment, words: &[&str]| server.cli_json(words).expect("the command works");
    assert_eq!(run(&server, &["user", "deleted", "acme"])["users"], json!([]));
    assert_eq!(run(&server, &["hold", "list", "acme"])["holds"], json!([]));
    let policy = ["org", "deletion", "acme", "--grace-days", "7"];
    let policy = run(&server, &policy);
    assert_eq!((&policy["deletion_grace_days"], &policy["hold_percent"]), (&json!(7), &json!(20)));
    let nothing = server.cli(&["org", "deletion", "acme"]).expect("it runs");
    assert_eq!(nothing.status.code(), Some(2), "{}", nothing.stderr);

    let client = scim(&server, &token);
    for id in &users {
        let deleted = client.send(Method::DELETE, &format!("/Users/{id}"), None).await.expect("an answer");
        assert_eq!(deleted.status, 204);
    }
    for process in server.servers.drain(..) {
        process.kill().expect("killed");
    }
    let server = all_in_one(directory.path(), &[]);
    ready(&server).await;
    let listed = run(&server, &["user", "deleted", "acme"]);
    assert_eq!(listed["users"].as_array().map(Vec::len), Some(12));
    assert_eq!(listed["users"][0]["deleted_by"]["kind"], "scim_client");
    within(20, "a hold", async || run(&server, &["hold", "list", "acme"])["holds"][0]["state"] == "open").await;

    // One by hand, whose name is taken.
    let client = scim(&server, &token);
    create_user(&client, "user0@example.com").await;
    let taken = server.cli(&["user", "restore", "acme", &users[0]]).expect("it runs");
    assert_eq!((taken.status.code(), taken.stdout.as_str()), (Some(1), ""), "{}", taken.stderr);
    assert!(taken.stderr.contains("--user-name NEW"), "{}", taken.stderr);
    let restored = run(&server, &["user", "restore", "acme", &users[0], "--user-name", "back@example.com"]);
    assert_eq!((&restored["id"], &restored["user_name"]), (&json!(users[0]), &json!("back@example.com")));

    let hold = run(&server, &["hold", "list", "acme"])["holds"][0].clone();
    // Who was restored by hand is none of them any more.
    assert_eq!((&hold["deleted"], &hold["deactivated"], &hold["failed"]), (&json!(11), &json!(0), &json!(0)));
    let id = text(&hold["id"]);
    let held = run(&server, &["hold", "show", "acme", &id])["users"].clone();
    assert_eq!((held.as_array().map(Vec::len), &held[0]["user_name"]), (Some(11), &json!("user1@example.com")));
    assert_eq!(run(&server, &["user", "deleted", "acme"])["users"][0]["held"], true);
    assert_eq!(run(&server, &["hold", "restore", "acme", &id])["state"], "restoring");
    within(20, "all", async || run(&server, &["hold", "list", "acme"])["holds"][0]["state"] == "restored").await;
    assert_eq!(run(&server, &["user", "deleted", "acme"])["users"], json!([]));
    for id in &users {
        let shown = client.send(Method::GET, &format!("/Users/{id}"), None).await.expect("an answer");
        assert_eq!(shown.status, 200);
    }
    let again = server.cli(&["hold", "approve", "acme", &id]).expect("it runs");
    assert_eq!(again.status.code(), Some(1), "{}", again.stderr);
    server.stop().expect("stopped");
}

/// What gateways report, as an administrator reads it.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_read_and_exported() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    ready(&server).await;
    provisioned(&server, "acme");
    let run = |words: &[&str]| server.cli_json(words).expect("the command works");
    let organization_id = text(&run(&["org", "show", "acme"])["id"]);
    assert_eq!(run(&["log", "list", "acme", "--words", "nobody"])["requests"], json!([]));

    let endpoint = Endpoint::from_shared(server.grpc("identity").expect("an address")).expect("a URL");
    let credential = Credential::new(&server.admin_credential().expect("a credential")).expect("a header");
    let transport = Transport::network(endpoint.connect().await.expect("a connection"), credential);
    // An id of now, as the organization has one.
    let id = |n: usize| format!("{}{n:04x}", &organization_id[..32]);
    let requests = (0..600).map(|n| proto::LoggedRequest {
        id: id(n),
        organization_id: organization_id.clone(),
        status: 409,
        outcome: if n % 2 == 0 { proto::Outcome::Refused } else { proto::Outcome::Unchanged }.into(),
        method: "POST".to_owned(),
        path: "/scim/v2/Users".to_owned(),
        resource_type: "User".to_owned(),
        subject_name: format!("user{n}@example.com"),
        detail: format!("Number {n}\u{1b}[2J is taken."),
        ..Default::default()
    });
    let requests: Vec<proto::LoggedRequest> = requests.collect();
    for chunk in requests.chunks(500) {
        let report = proto::ReportRequestsRequest { requests: chunk.to_vec(), counts: Vec::new() };
        let mut client = ProvisioningLogServiceClient::new(transport.clone());
        client.report_requests(report).await.expect("reported");
    }

    let found = run(&["log", "list", "acme", "--outcome", "refused", "--words", "number taken"]);
    let found = found["requests"].as_array().expect("a list").clone();
    assert_eq!((found.len(), &found[0]["outcome"]), (100, &json!("refused")));
    let limited = ["log", "list", "acme", "--words", "number", "--outcome", "refused,unchanged", "--limit", "550"];
    assert_eq!(run(&limited)["requests"].as_array().map(Vec::len), Some(550));
    for (from, to, count) in [("1h", "2999-01-01", 100), ("2999-01-01T00:00:00Z", "2999-01-02", 0), ("7d", "1h", 0)] {
        let found = run(&["log", "list", "acme", "--words", "number", "--from", from, "--to", to]);
        assert_eq!(found["requests"].as_array().map(Vec::len), Some(count), "{from} to {to}");
    }
    let nonsense = server.cli(&["log", "show", "acme", "nonsense"]).expect("it runs");
    assert!(nonsense.status.code() == Some(2) && nonsense.stderr.contains("this is no id"), "{}", nonsense.stderr);
    let of_one = ["log", "list", "acme", "--user", "USER7@example.com", "--outcome", "refused,unchanged"];
    let of_one = |more: &[&str]| run(&[&of_one[..], more].concat())["requests"].as_array().map(Vec::len);
    assert_eq!(of_one(&[]), Some(1));
    let day = "2020-02-29";
    assert_eq!((of_one(&["--from", day]), of_one(&["--to", day])), (Some(1), Some(0)));
    assert_eq!(of_one(&["--from", "2020-02-29T08:00:00Z", "--to", "2999-01-01"]), Some(1));
    assert_eq!(run(&["log", "list", "acme", "--group", "user7@example.com"])["requests"], json!([]));
    let shown = run(&["log", "show", "acme", &requests[7].id]);
    assert_eq!((&shown["status"], &shown["events"]), (&json!(409), &json!([])));
    let printed = server.cli(&["log", "show", "acme", &requests[7].id]).expect("it runs").stdout;
    assert!(printed.contains("unchanged (409)") && !printed.contains('\u{1b}'), "{printed}");
    let unknown = server.cli(&["log", "show", "acme", &uuid::Uuid::nil().to_string()]).expect("it runs");
    assert_eq!(unknown.status.code(), Some(1), "{}", unknown.stderr);
    let backwards = server.cli(&["log", "list", "acme", "--from", "1h", "--to", "2h"]).expect("it runs");
    let said = &backwards.stderr;
    assert!(backwards.status.code() == Some(1) && said.contains("'from' must be before 'to'"), "{said}");
    let nobody = server.cli(&["log", "list", "acme", "--words", "nobody"]).expect("it runs");
    let said = &nobody.stdout;
    assert!(said.contains("Everything that is kept: rollcall "), "{said}");
    let never = server.cli(&["log", "list", "acme", "--from", "yesterday"]).expect("it runs");
    assert!(never.stderr.contains("a day such as 2027-01-31"), "{}", never.stderr);

    let exported = server.cli(&["log", "export", "acme"]).expect("it runs").stdout;
    let exported: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ids: Vec<String> = exported.iter().map(|request| text(&request["id"])).collect();
    let ours: Vec<&String> = ids.iter().filter(|id| requests.iter().any(|request| request.id == **id)).collect();
    assert_eq!(ours.len(), 600);
    assert!(exported.iter().all(|request| request["changes"] == json!([])), "a refusal changes nothing");
    assert!(ids.is_sorted(), "the oldest first");

    assert_eq!(run(&["log", "retention", "acme", "--days", "7"])["retention_days"], 7);
    let wrong = server.cli(&["log", "retention", "acme", "--days", "0"]).expect("it runs");
    assert_eq!(wrong.status.code(), Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("1 to 365"), "{}", wrong.stderr);
    server.stop().expect("stopped");
}
