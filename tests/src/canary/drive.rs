//! Every way in, with canaries: headers, paths, queries, bodies, broken heads, gRPC, the command line; every kind of answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::{
    client::{Client, form_encode},
    okta,
    process::{Deployment, Finished, Program},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Request, metadata::MetadataValue, transport::Endpoint};
use wire::{
    Credential, Transport,
    common::{Caller, InternalService, caller::Kind as CallerKind},
    identity::{
        CreateUserRequest, GetOrganizationRequest, GetUserRequest, ListEventsRequest, ListQuery, ListUsersRequest,
        get_organization_request::Key, identity_service_client::IdentityServiceClient,
        organization_service_client::OrganizationServiceClient,
    },
    token::{CreateScimTokenRequest, VerifyRequest, token_service_client::TokenServiceClient},
};

use super::{Canaries, Evidence, Kind, Place};
use crate::transcript::Transcript;

/// Plays all of it; gives a token that is valid to the end.
pub(super) async fn play(
    program: &Program,
    deployment: &Deployment,
    databases: &[String; 2],
    canaries: &Canaries,
    evidence: &mut Evidence,
    transcript: &Transcript,
) -> Result<String> {
    let mut stage = Stage {
        deployment,
        canaries,
        mark: canaries.make(Kind::Mark, "the request id")?,
        answers: Vec::new(),
        commands: Vec::new(),
        transcript,
    };
    transcript.step("The command line: a token is shown once, where it is made");
    let tokens = stage.tokens(&databases[1])?;
    transcript.step("Credentials of every kind, in every place");
    stage.credentials(&tokens).await?;
    transcript.step("OAuth: secrets, codes and tokens that are handed out, and wrong ones");
    stage.oauth().await?;
    transcript.step("Service credentials, and wrong ones");
    stage.services().await?;
    transcript.step("The console: a client secret, an invitation, a session");
    stage.console().await?;
    transcript.step("Users and groups: passwords, names, addresses, in bodies, filters and paths");
    stage.resources(&tokens.valid).await?;
    transcript.step("Every kind of refusal");
    stage.refusals(&tokens).await?;
    transcript.step("A database that fails in the middle of a write, and in a read");
    stage.faults(&tokens.valid, &databases[0]).await?;
    transcript.step("Heads that are no HTTP");
    stage.broken_heads(&tokens.valid).await?;
    transcript.step("gRPC: wrong credentials, wrong values, events");
    stage.rpcs(&tokens.valid, evidence).await?;
    transcript.step("The command line: what it refuses");
    stage.commands(program)?;
    evidence.add("the HTTP and gRPC answers", Place::Answers, stage.answers);
    evidence.add("what commands print", Place::Outside, stage.commands);
    Ok(tokens.valid)
}

struct Tokens {
    valid: String,
    revoked: String,
    expired: String,
    /// From another network only.
    elsewhere: String,
    /// May read users.
    reader: String,
    /// Of an organization without SCIM.
    shut: String,
}

pub(super) struct Stage<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) canaries: &'a Canaries,
    mark: String,
    pub(super) answers: Vec<u8>,
    commands: Vec<u8>,
    pub(super) transcript: &'a Transcript,
}

pub(super) const SLUG: &str = "acme";

impl Stage<'_> {
    pub(super) fn secret(&self, name: &str) -> Result<String> {
        self.canaries.make(Kind::Secret, name)
    }

    fn person(&self, name: &str) -> Result<String> {
        self.canaries.make(Kind::Personal, name)
    }

    fn logged(&self, name: &str) -> Result<String> {
        self.canaries.make(Kind::Logged, name)
    }

    pub(super) fn refused(&self, name: &str) -> Result<String> {
        self.canaries.make(Kind::Refused, name)
    }

    // ---- the command line

    pub(super) fn cli(&mut self, words: &[&str]) -> Result<Finished> {
        let finished = self.deployment.cli(&[words, &["--log-filter", "trace"]].concat())?;
        self.commands.extend(finished.stderr.as_bytes());
        Ok(finished)
    }

    /// Prints nothing secret.
    pub(super) fn command(&mut self, words: &[&str]) -> Result<Value> {
        let finished = self.cli(&[words, &["--output", "json"]].concat())?;
        self.commands.extend(finished.stdout.as_bytes());
        finished.json().with_context(|| format!("rollcall {}", words.join(" ")))
    }

    /// Prints one token, once. Gives it and its id.
    fn token(&mut self, name: &str, words: &[&str]) -> Result<(String, String)> {
        let finished = self.cli(&[&["token"], words, &["--output", "json"]].concat())?;
        let printed = finished.json().with_context(|| format!("rollcall token {}", words.join(" ")))?;
        let secret = printed["token"].as_str().context("no token")?.to_owned();
        self.shown_once(name, &finished, &secret)?;
        Ok((secret, printed["id"].as_str().context("no id")?.to_owned()))
    }

    pub(super) fn shown_once(&mut self, name: &str, finished: &Finished, secret: &str) -> Result<()> {
        self.transcript.hide(secret);
        self.canaries.keep(Kind::Secret, name, secret);
        let (before, after) = finished.stdout.split_once(secret).context("the token is not shown")?;
        // What stands around it is searched, too: a second time would be found there.
        self.commands.extend([before.as_bytes(), b"\n", after.as_bytes(), b"\n"].concat());
        self.transcript.that(&format!("{name}: shown once"), !after.contains(secret))
    }

    fn tokens(&mut self, database: &str) -> Result<Tokens> {
        self.command(&["org", "create", SLUG, "--name", "Acme", "--plan", "enterprise"])?;
        self.command(&["org", "limit", SLUG, "--requests-per-second", "0"])?;
        self.command(&["scim", "enable", SLUG])?;
        let create = ["create", SLUG, "--description", "canary"];
        let (valid, _) = self.token("a valid token", &create)?;
        let (revoked, id) = self.token("a revoked token", &create)?;
        self.command(&["token", "revoke", SLUG, &id])?;
        let (expired, id) = self.token("an expired token", &create)?;
        expire(database, &id)?;
        let (elsewhere, _) =
            self.token("a token for elsewhere", &[&create[..], &["--allow-cidr", "192.0.2.0/24"]].concat())?;
        let (reader, _) = self.token("a token that reads", &[&create[..], &["--scope", "users:read"]].concat())?;

        let (_, id) = self.token("a token that is rotated", &create)?;
        self.token("its successor", &["rotate", SLUG, &id])?;
        self.command(&["token", "retire", SLUG, &id, "--force"])?;
        let words = ["token", "create", SLUG, "--description", "shown to a person"];
        let finished = self.cli(&words)?;
        let secret = finished.stdout.split_whitespace().find(|word| word.starts_with("rc_scim_"));
        let secret = secret.context("no token is shown")?.to_owned();
        self.shown_once("a token shown as text", &finished, &secret)?;

        self.command(&["org", "create", "shut", "--name", "Shut", "--plan", "enterprise"])?;
        let (shut, _) = self.token("a token without SCIM", &["create", "shut", "--description", "canary"])?;
        let listed = self.command(&["token", "list", SLUG])?;
        ensure!(listed["tokens"].as_array().is_some_and(|tokens| tokens.len() > 7), "{listed}");
        Ok(Tokens { valid, revoked, expired, elsewhere, reader, shut })
    }

    fn commands(&mut self, program: &Program) -> Result<()> {
        let password = self.secret("a password in a URL")?;
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("credential");
        std::fs::write(&file, self.secret("a wrong credential in a file")?.repeat(2))?;
        let file = file.to_string_lossy().into_owned();
        let data_dir = directory.path().to_string_lossy().into_owned();
        let grpc = self.deployment.grpc("token")?;
        let nobody = format!("postgres://user:{password}@127.0.0.1:1/db");
        let other = format!("mysql://user:{password}@127.0.0.1/db");
        let option = format!("postgres://user:{password}@127.0.0.1:1/db?no_such_option=1");
        let serve = ["serve", "token", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir", &data_dir];
        for (what, words, variable) in [
            (
                "a wrong credential",
                &[
                    "token",
                    "list",
                    SLUG,
                    "--token-url",
                    &grpc,
                    "--identity-url",
                    &grpc,
                    "--admin-credential-file",
                    &file,
                ][..],
                None,
            ),
            ("a database that is not there", &serve, Some(&nobody)),
            ("a database of another kind", &serve, Some(&other)),
            ("an option that nobody knows", &serve, Some(&option)),
            ("a URL where a name belongs", &["org", "show", &nobody], None),
        ] {
            let program = match variable {
                Some(url) => program.clone().with_variable("ROLLCALL_TOKEN_DATABASE_URL", url),
                None => program.clone(),
            };
            let finished = program.run(&[words, &["--log-filter", "trace"]].concat())?;
            let refused = !finished.status.success() && !finished.stderr.trim().is_empty();
            self.transcript.that(&format!("{what}: refused"), refused)?;
            self.commands.extend([finished.stdout.as_bytes(), finished.stderr.as_bytes()].concat());
        }
        Ok(())
    }

    // ---- HTTP

    /// Sends one request, keeps the answer, and checks its status. A refusal is a SCIM error.
    async fn ask(
        &mut self,
        expected: u16,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<Value> {
        let mut client = Client::new(self.deployment.http())
            .with_header("x-request-id", &self.mark)?
            .with_header("content-type", "application/scim+json")?;
        for (name, value) in headers {
            client = client.with_header(name, value)?;
        }
        let body = body.map(|body| Bytes::copy_from_slice(body.as_bytes()));
        let reply = client.send(method.clone(), path, body).await?;
        self.answers.extend(format!("\n{} {:?}\n", reply.status, reply.headers).into_bytes());
        self.answers.extend(&reply.body);
        let shown = String::from_utf8_lossy(&reply.body).into_owned();
        ensure!(reply.status == expected, "{method} {path}: {} instead of {expected}: {shown}", reply.status);
        let html = reply.header("content-type").is_some_and(|media_type| media_type.starts_with("text/html"));
        let json = if html { Value::Null } else { reply.json()? };
        if expected >= 400 {
            let scim =
                json["schemas"] == json!([okta::ERROR]) && json["status"].as_str() == Some(&*expected.to_string());
            ensure!(scim && json["detail"].is_string(), "{method} {path}: not a SCIM error: {shown}");
            self.transcript.held(&format!("{method}: {expected}"));
        }
        Ok(json)
    }

    async fn with(
        &mut self,
        token: &str,
        expected: u16,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Value> {
        let bearer = format!("Bearer {token}");
        self.ask(expected, method, &format!("/scim/v2{path}"), &[("authorization", &bearer)], body).await
    }

    async fn credentials(&mut self, tokens: &Tokens) -> Result<()> {
        let users = "/scim/v2/Users?count=1";
        self.with(&tokens.valid, 200, Method::GET, "/Users?count=1", None).await?;
        let unknown = format!("rc_scim_{}", self.secret("a token that nobody has")?);
        let admin = self.deployment.admin_credential()?;
        for token in
            [&tokens.revoked, &tokens.expired, &tokens.elsewhere, &unknown, &admin, &format!("{}x", tokens.valid)]
        {
            for _ in 0..2 {
                self.with(token, 401, Method::GET, "/Users?count=1", None).await?;
            }
        }
        let basic = self.secret("a password of Basic")?;
        let pair = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("scim:{basic}"));
        let odd = |name: &str| self.secret(name);
        let malformed = [
            format!("Basic {pair}"),
            format!("Token {}", odd("a token of another scheme")?),
            format!("Digest username=\"kit\", response=\"{}\"", odd("a digest")?),
            format!("Bearer {} {}", odd("the first of two")?, odd("the second of two")?),
            format!("Bearer \"{}\"", odd("a token in quotes")?),
            format!("Bearer Bearer {}", odd("a token after two schemes")?),
            format!("Bearer{}", odd("a token without a space")?),
            odd("a token without a scheme")?,
            tokens.valid.clone(),
        ];
        for value in &malformed {
            self.ask(401, Method::GET, users, &[("authorization", value)], None).await?;
        }
        // In other places it is none.
        let (valid, other) = (tokens.valid.clone(), self.secret("a token in an odd place")?);
        for token in [&valid, &other] {
            let cookie = format!("session={token}; access_token={token}");
            for (path, header, value) in [
                (format!("{users}&access_token={token}"), "x-nothing", "x"),
                (format!("{users}&token={token}&filter=userName+eq+%22{token}%22"), "x-nothing", "x"),
                (format!("/scim/v2/{token}/Users"), "x-nothing", "x"),
                (users.to_owned(), "cookie", &cookie),
                (users.to_owned(), "x-api-key", token),
                (users.to_owned(), "proxy-authorization", &format!("Bearer {token}")),
                (users.to_owned(), "x-scim-token", token),
            ] {
                self.ask(401, Method::GET, &path, &[(header, value)], None).await?;
            }
            for path in [format!("/{token}"), format!("/.well-known/{token}"), format!("/?token={token}")] {
                let expected = if path.starts_with("/?") { 303 } else { 404 };
                self.ask(expected, Method::GET, &path, &[], None).await?;
            }
        }
        let bearer = format!("Bearer {valid}");
        // Into the base URL, by somebody whose requests are logged.
        for path in [format!("/scim/v2%20{valid}/Users"), format!("/scim/v2/Users/Bearer%20{valid}")] {
            self.ask(404, Method::GET, &path, &[("authorization", &bearer)], None).await?;
        }
        // Names that are kept for logs and spans.
        let vendor = self.secret("a token in tracestate")?;
        for (header, value) in [
            ("x-request-id", valid.clone()),
            ("tracestate", format!("vendor={}", vendor.to_lowercase())),
            ("baggage", format!("token={}", self.secret("a token in baggage")?)),
        ] {
            let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let headers = [("authorization", bearer.as_str()), ("traceparent", parent), (header, &value)];
            self.ask(200, Method::GET, users, &headers, None).await?;
        }
        Ok(())
    }

    async fn resources(&mut self, token: &str) -> Result<()> {
        let name = self.person("a user's name")?;
        let signs = format!("Zoë \"Q\" \\ {}", self.person("a display name with signs")?);
        let mail = self.person("an e-mail address")?;
        let phone = self.canaries.digits(Kind::Personal, "a phone number")?;
        let family = self.person("a family name")?;
        let external = self.person("an external id")?;
        let street = self.person("a street")?;
        let key = self.canaries.make(Kind::Kept, "an idempotency key")?;
        let agent = self.canaries.make(Kind::Kept, "a user agent")?;
        let user = json!({
            "schemas": [okta::USER],
            "userName": format!("{name}@canary.example"),
            "password": self.secret("a password of POST")?,
            "displayName": signs,
            "name": {"familyName": family, "givenName": "Kit"},
            "externalId": external,
            "emails": [{"value": format!("{mail}@canary.example"), "primary": true, "type": "work"}],
            "phoneNumbers": [{"value": format!("+1{phone}"), "type": "work"}],
            "addresses": [{"streetAddress": street, "type": "home"}],
            "x509Certificates": [{"value": "bm90IGEgY2VydGlmaWNhdGU="}],
            "active": true,
        });
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", &key), ("user-agent", &agent)];
        let body = user.to_string();
        let created = self.ask(201, Method::POST, "/scim/v2/Users", &headers, Some(&body)).await?;
        let id = created["id"].as_str().context("no id")?.to_owned();
        self.ask(201, Method::POST, "/scim/v2/Users", &headers, Some(&body)).await?;
        let path = format!("/Users/{id}");
        self.with(token, 200, Method::GET, &path, None).await?;

        let mut changed = user.clone();
        changed["password"] = self.secret("a password of PUT")?.into();
        changed["title"] = self.person("a title")?.into();
        self.with(token, 200, Method::PUT, &path, Some(&changed.to_string())).await?;
        let patches = [
            json!([{"op": "replace", "path": "password", "value": self.secret("a password of PATCH by path")?}]),
            json!([{"op": "replace", "value": {"password": self.secret("a password of PATCH")?, "active": true}}]),
            json!([{"op": "add", "path": "nickName", "value": self.person("a nick name")?}]),
        ];
        for operations in patches {
            let bearer = [("authorization", bearer.as_str())];
            let body = okta::patch(operations).to_string();
            self.ask(200, Method::PATCH, &format!("/scim/v2{path}"), &bearer, Some(&body)).await?;
        }
        let other = self.person("a user of Bulk")?;
        let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "b", "data": {
                "userName": other, "password": self.secret("a password of Bulk")?}},
            {"method": "POST", "path": "/Users", "bulkId": "c", "data": {
                "userName": other, "password": self.secret("a password of Bulk, refused")?}},
            {"method": "PATCH", "path": path, "data": {"schemas": [okta::PATCH_OP], "Operations": [
                {"op": "replace", "path": "password", "value": self.secret("a password of PATCH in Bulk")?}]}},
        ]});
        self.with(token, 200, Method::POST, "/Bulk", Some(&bulk.to_string())).await?;
        let group = json!({"schemas": [okta::GROUP], "displayName": self.person("a group's name")?,
                           "members": [{"value": id, "display": self.refused("a member's display")?}]});
        self.with(token, 201, Method::POST, "/Groups", Some(&group.to_string())).await?;

        for (filter, expected) in [
            (format!("userName eq \"{name}@canary.example\""), 200),
            (format!("emails.value eq \"{}\"", self.refused("a filter")?), 200),
            (format!("displayName co \"{}\"", self.refused("a search")?), 200),
            (format!("userName zz \"{}\"", self.logged("a wrong filter")?), 400),
            (format!("{} eq \"x\"", self.logged("an unknown attribute")?), 400),
            (format!("userName eq \"{}", self.logged("a filter without an end")?), 400),
            (format!("password eq \"{}\"", self.secret("a filter on passwords")?), 400),
        ] {
            self.with(token, expected, Method::GET, &format!("/Users?filter={}", form_encode(&filter)), None).await?;
            let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": filter});
            self.with(token, expected, Method::POST, "/Users/.search", Some(&search.to_string())).await?;
        }
        for query in [
            format!("attributes={}", self.refused("an attribute to show")?),
            format!("cursor={}", self.secret("a cursor that is none")?),
            format!("sortBy={}", self.logged("an order")?),
            format!("startIndex={}", self.logged("a place")?),
            format!("{}=1", self.refused("a parameter")?),
        ] {
            // Some are refused and some ignored; what counts is what is logged.
            let bearer = [("authorization", bearer.as_str())];
            let path = format!("/scim/v2/Users?count=1&{query}");
            if self.ask(200, Method::GET, &path, &bearer, None).await.is_err() {
                self.ask(400, Method::GET, &path, &bearer, None).await?;
            }
        }
        Ok(())
    }

    async fn refusals(&mut self, tokens: &Tokens) -> Result<()> {
        let token = &tokens.valid;
        let bearer = format!("Bearer {token}");
        for (what, body) in [
            ("no JSON", "{\"userName\": \"@\", \"password\": "),
            ("no object", "[\"@\"]"),
            ("a name twice", "{\"userName\": \"@\", \"userName\": \"@\"}"),
            ("a NUL", "{\"userName\": \"a\\u0000@\"}"),
            ("a lone surrogate", "{\"userName\": \"\\ud800@\"}"),
            ("no such number", "{\"userName\": 1e999, \"x\": \"@\"}"),
            ("a wrong type", "{\"userName\": [\"@\"]}"),
            ("a name of spaces", "{\"userName\": \" @\"}"),
            ("no userName", "{\"displayName\": \"@\"}"),
            ("a wrong boolean", "{\"userName\": \"a\", \"active\": \"@\"}"),
            ("no e-mails", "{\"userName\": \"a\", \"emails\": [[\"@\"]]}"),
        ] {
            let canary = self.logged(&format!("a body with {what}"))?;
            let body = body.replace('@', &canary);
            self.with(token, 400, Method::POST, "/Users", Some(&body)).await?;
        }
        let taken = json!({"userName": self.person("a userName that is taken")?, "password": self.secret("a password with 409")?});
        let created = self.with(token, 201, Method::POST, "/Users", Some(&taken.to_string())).await?;
        self.with(token, 409, Method::POST, "/Users", Some(&taken.to_string())).await?;
        let path = format!("/Users/{}", created["id"].as_str().context("no id")?);
        for patch in [
            json!([{"op": "replace", "path": format!("emails[value eq \"{}\"].none", self.logged("a path")?), "value": 1}]),
            json!([{"op": self.logged("an operation")?, "path": "title", "value": "x"}]),
            json!([{"op": "replace", "path": "active", "value": self.logged("a value of PATCH")?}]),
            json!([{"op": "replace", "path": "id", "value": self.logged("an id in PATCH")?}]),
            json!([{"op": "replace", "path": ["password"], "value": self.secret("a password by a list of paths")?}]),
            json!([{"Path": "active", "path": "password", "value": self.secret("a password by two paths")?}]),
        ] {
            // An id of somebody else's making is ignored, the rest refused.
            let body = okta::patch(patch).to_string();
            let bearer = [("authorization", bearer.as_str())];
            let path = format!("/scim/v2{path}");
            if self.ask(400, Method::PATCH, &path, &bearer, Some(&body)).await.is_err() {
                self.ask(200, Method::PATCH, &path, &bearer, Some(&body)).await?;
            }
        }
        let nobody = self.logged("an id that nobody has")?;
        self.with(token, 404, Method::GET, &format!("/Users/{nobody}"), None).await?;
        self.with(token, 404, Method::DELETE, &format!("/Groups/{nobody}"), None).await?;
        let nowhere = self.logged("a path that is none")?;
        self.with(token, 404, Method::GET, &format!("/{nowhere}"), None).await?;
        let method = self.refused("a method")?.to_uppercase();
        let method = Method::from_bytes(method.as_bytes())?;
        self.with(token, 405, method, "/Users", Some("{}")).await?;
        let create =
            json!({"userName": self.refused("a user of a reader")?, "password": self.secret("a password with 403")?});
        self.with(&tokens.reader, 403, Method::POST, "/Users", Some(&create.to_string())).await?;
        self.with(&tokens.shut, 403, Method::POST, "/Users", Some(&create.to_string())).await?;
        self.with(token, 501, Method::GET, "/Me", None).await?;
        let large = json!({"userName": self.refused("a large body")?, "password": self.secret("a password with 413")?, "title": "x".repeat(3 << 20)});
        self.with(token, 413, Method::POST, "/Users", Some(&large.to_string())).await?;
        let members = json!({"displayName": "x", "members": [{"value": self.logged("a member that is nobody")?}]});
        self.with(token, 400, Method::POST, "/Groups", Some(&members.to_string())).await?;

        let media = self.logged("a media type")?;
        let secret = self.secret("a password with 415")?;
        for (expected, header, value) in [
            (415, "content-type", format!("text/{media}")),
            (412, "if-match", format!("W/\"{}\"", self.refused("an ETag")?)),
            (400, "idempotency-key", format!("{} \u{7f}", self.refused("a wrong key")?).replace('\u{7f}', "\"\"")),
        ] {
            let body = json!({"userName": format!("{media}2"), "password": secret}).to_string();
            let (method, path) = if expected == 412 { (Method::PUT, path.as_str()) } else { (Method::POST, "/Users") };
            let headers = [("authorization", bearer.as_str()), (header, &value)];
            self.ask(expected, method, &format!("/scim/v2{path}"), &headers, Some(&body)).await?;
        }
        let key = self.canaries.make(Kind::Kept, "a key used twice")?;
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", &key)];
        let body = |name: String| json!({"userName": name}).to_string();
        let first = body(self.person("a user of a key")?);
        self.ask(201, Method::POST, "/scim/v2/Users", &headers, Some(&first)).await?;
        let second = body(self.logged("another user of a key")?);
        self.ask(422, Method::POST, "/scim/v2/Users", &headers, Some(&second)).await?;
        for header in
            ["x-forwarded-for", "forwarded", "referer", "origin", "accept", "host", "if-none-match", "accept-language"]
        {
            let value = self.refused(&format!("the header {header}"))?;
            let value = if header == "forwarded" { format!("for={value}") } else { value };
            let headers = [("authorization", bearer.as_str()), (header, &value)];
            let path = "/scim/v2/Users?count=1";
            if self.ask(200, Method::GET, path, &headers, None).await.is_err() {
                self.ask(406, Method::GET, path, &headers, None).await?;
            }
        }
        self.too_many(token).await
    }

    async fn too_many(&mut self, token: &str) -> Result<()> {
        self.command(&["org", "limit", SLUG, "--requests-per-second", "1"])?;
        let create =
            json!({"password": self.secret("a password with 429")?, "displayName": self.logged("a user with 429")?})
                .to_string();
        let begun = Instant::now();
        while self.with(token, 429, Method::POST, "/Users", Some(&create)).await.is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(60), "a limit of 1 a second refuses nothing");
        }
        self.command(&["org", "limit", SLUG, "--requests-per-second", "0"])?;
        let begun = Instant::now();
        while self.with(token, 200, Method::GET, "/Users?count=1", None).await.is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(60), "the limit is not lifted");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// The server's own words, which hold the value, are what must not be passed on.
    async fn faults(&mut self, token: &str, database: &str) -> Result<()> {
        let name = format!("fault-{}", self.logged("a userName with 500")?);
        let user = json!({"userName": name, "password": self.secret("a password with 500")?}).to_string();
        let sqlite = database.starts_with("sqlite:");
        let (arm, disarm) = if sqlite {
            (
                "CREATE TRIGGER canary BEFORE INSERT ON scim_user WHEN NEW.user_name LIKE 'fault-%' \
                     BEGIN SELECT * FROM no_such_table; END",
                "DROP TRIGGER canary",
            )
        } else {
            (
                "CREATE FUNCTION canary() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                     IF NEW.user_name LIKE 'fault-%' THEN PERFORM CAST(NEW.user_name AS uuid); END IF; RETURN NEW; END $$; \
                     CREATE TRIGGER canary BEFORE INSERT ON scim_user FOR EACH ROW EXECUTE FUNCTION canary()",
                "DROP TRIGGER canary ON scim_user; DROP FUNCTION canary",
            )
        };
        testkit::execute(database, arm)?;
        let refused = self.with(token, 500, Method::POST, "/Users", Some(&user)).await;
        testkit::execute(database, disarm)?;
        refused?;

        let owner = || -> Result<String> {
            let select = "SELECT tableowner::text AS line FROM pg_tables WHERE tablename = 'user_key'";
            testkit::lines(database, select)?.pop().context("no owner")
        };
        let (arm, disarm) = if sqlite {
            (
                "ALTER TABLE user_key RENAME TO user_key_gone".to_owned(),
                "ALTER TABLE user_key_gone RENAME TO user_key".to_owned(),
            )
        } else {
            let owner = owner()?;
            (format!("REVOKE ALL ON user_key FROM {owner}"), format!("GRANT ALL ON user_key TO {owner}"))
        };
        testkit::execute(database, &arm)?;
        let filter = format!("emails.value eq \"{}\"", self.logged("a filter with 500")?);
        let path = format!("/Users?filter={}", form_encode(&filter));
        let refused = self.with(token, 500, Method::GET, &path, None).await;
        testkit::execute(database, &disarm)?;
        refused?;
        self.with(token, 200, Method::GET, &path, None).await?;
        Ok(())
    }

    async fn raw(&mut self, bytes: &[u8]) -> Result<String> {
        let address = self.deployment.http().trim_start_matches("http://").to_owned();
        let mut stream = TcpStream::connect(address).await?;
        // It may be closed before all is sent.
        let _ = stream.write_all(bytes).await;
        if !bytes.ends_with(b"\n") {
            // What is no request is not waited for.
            let _ = stream.shutdown().await;
        }
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut answer)).await?;
        self.answers.extend(&answer);
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    async fn broken_heads(&mut self, token: &str) -> Result<()> {
        let end = "Host: a\r\nConnection: close\r\n\r\n";
        let secret = self.secret("a token in a broken head")?;
        let refused = self.refused("a broken head")?;
        for (what, status, head) in [
            ("a version that is none", "400", format!("GET /{refused}?t={secret} HTTP/9.9\r\n{end}")),
            ("a target with a space", "400", format!("GET /scim/v2/Users?t={secret} {refused} HTTP/1.1\r\n{end}")),
            ("a header without a colon", "400", format!("GET / HTTP/1.1\r\nAuthorization {secret}\r\n{end}")),
            (
                "a header with a NUL",
                "400",
                format!("GET / HTTP/1.1\r\nAuthorization: Bearer {secret}\0{refused}\r\n{end}"),
            ),
            ("a long target", "414", format!("GET /{secret}{} HTTP/1.1\r\n{end}", "x".repeat(66_000))),
            ("a long header", "431", format!("GET / HTTP/1.1\r\nX-A: {secret}{}\r\n{end}", "x".repeat(300_000))),
            ("many headers", "431", format!("GET / HTTP/1.1\r\n{}{end}", format!("X-A: {secret}\r\n").repeat(200))),
            (
                "two authorizations",
                "401",
                format!(
                    "GET /scim/v2/Users HTTP/1.1\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer {secret}\r\n{end}"
                ),
            ),
            (
                "a length that is none",
                "400",
                format!(
                    "POST /scim/v2/Users HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Length: {refused}\r\n{end}"
                ),
            ),
            (
                "a chunk that is none",
                "400",
                format!(
                    "POST /scim/v2/Users HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n{end}{refused}\r\n"
                ),
            ),
        ] {
            let answer = self.raw(head.as_bytes()).await?;
            let found = answer.split(' ').nth(1).unwrap_or_default();
            ensure!(found == status, "{what}: {status} expected, found {answer:?}");
            let scim = answer.contains(okta::ERROR) && answer.contains("x-request-id: ");
            self.transcript.that(&format!("{what}: {status}, a SCIM error"), scim)?;
        }
        self.raw(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], secret.as_bytes(), refused.as_bytes()].concat()).await?;
        self.raw(&[&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc][..], secret.as_bytes()].concat()).await?;
        Ok(())
    }

    // ---- gRPC

    pub(super) async fn channel(&self, part: &str, credential: &str) -> Result<Transport> {
        let channel = Endpoint::from_shared(self.deployment.grpc(part)?)?.connect().await?;
        Ok(Transport::network(channel, Credential::new(credential).context("not a header")?))
    }

    fn heard<T: std::fmt::Debug>(
        &mut self,
        what: &str,
        answer: Result<tonic::Response<T>, tonic::Status>,
    ) -> Result<()> {
        let Err(status) = answer else { bail!("{what} was not refused") };
        self.answers.extend(format!("\n{status:?} {:?}\n", String::from_utf8_lossy(status.details())).into_bytes());
        self.transcript.held(&format!("{what}: {:?}", status.code()));
        Ok(())
    }

    async fn rpcs(&mut self, token: &str, evidence: &mut Evidence) -> Result<()> {
        let organization_id = self.command(&["org", "show", SLUG])?["id"].as_str().context("no id")?.to_owned();
        let caller = || {
            Some(Caller {
                kind: Some(CallerKind::InternalService(InternalService { name: "canary".to_owned() })),
                request_id: "canary".to_owned(),
            })
        };
        for credential in [token.to_owned(), self.secret("a wrong credential of gRPC")?] {
            let transport = self.channel("identity", &credential).await?;
            let mut request = Request::new(ListUsersRequest::default());
            let id = self.refused("the request id of a stranger")?;
            request.metadata_mut().insert("x-request-id", MetadataValue::try_from(format!("{id} and more"))?);
            request.metadata_mut().insert("x-other", MetadataValue::try_from(self.secret("other metadata")?)?);
            let answer = IdentityServiceClient::new(transport).list_users(request).await;
            self.heard("a credential that is none", answer)?;
        }
        let admin = self.deployment.admin_credential()?;
        let mut identity = IdentityServiceClient::new(self.channel("identity", &admin).await?);
        let mut organizations = OrganizationServiceClient::new(self.channel("identity", &admin).await?);
        let mut tokens = TokenServiceClient::new(self.channel("token", &admin).await?);
        let user =
            json!({"userName": [self.refused("a user of gRPC")?], "password": self.secret("a password of gRPC")?});
        let request = CreateUserRequest {
            organization_id: organization_id.clone(),
            caller: caller(),
            resource_json: user.to_string().into(),
            ..CreateUserRequest::default()
        };
        let answer = identity.create_user(request).await;
        self.heard("a user that is none", answer)?;
        let query = ListQuery {
            filter: format!("userName zz \"{}\"", self.refused("a filter of gRPC")?),
            ..ListQuery::default()
        };
        let request = ListUsersRequest {
            organization_id: organization_id.clone(),
            caller: caller(),
            query: Some(query),
            mask: None,
        };
        let answer = identity.list_users(request).await;
        self.heard("a filter that is none", answer)?;
        let id = self.refused("an id of gRPC")?;
        let request = GetUserRequest { organization_id: organization_id.clone(), caller: caller(), id, mask: None };
        let answer = identity.get_user(request).await;
        self.heard("an id that is none", answer)?;
        let key = Some(Key::Slug(self.refused("a slug")?));
        let answer = organizations.get_organization(GetOrganizationRequest { key }).await;
        self.heard("a slug that nobody has", answer)?;
        let request = CreateScimTokenRequest {
            organization_id: organization_id.clone(),
            caller: caller(),
            description: self.refused("a long description")?.repeat(20),
            ..CreateScimTokenRequest::default()
        };
        let answer = tokens.create_scim_token(request).await;
        self.heard("a description that is too long", answer)?;
        let request = VerifyRequest { secret_sha256: token.as_bytes().to_vec().into(), restrictions_enforced: true };
        let answer = tokens.verify(request).await;
        self.heard("a token where its hash belongs", answer)?;

        let events = self.events(&mut identity, &organization_id).await?;
        evidence.add("the events", Place::Events, events);
        Ok(())
    }

    /// All of them, once the last ones have their numbers.
    async fn events(&self, identity: &mut IdentityServiceClient<Transport>, organization: &str) -> Result<Vec<u8>> {
        let begun = Instant::now();
        loop {
            let (mut bytes, mut after_sequence, mut count) = (Vec::new(), 0, 0);
            loop {
                let organization_id = organization.to_owned();
                let request = ListEventsRequest { organization_id, after_sequence, page_size: 1000 };
                let events = identity.list_events(request).await?.into_inner().events;
                let Some(last) = events.last() else { break };
                after_sequence = last.sequence;
                count += events.len();
                for event in events {
                    bytes.extend(prost::Message::encode_to_vec(&event));
                    bytes.extend(format!("\n{event:?}\n").into_bytes());
                }
            }
            let last = self.canaries.all().into_iter().rfind(|canary| canary.kind == Kind::Personal);
            let last = last.context("nobody")?.value;
            if String::from_utf8_lossy(&bytes).contains(&last) {
                self.transcript.held(&format!("{count} events"));
                return Ok(bytes);
            }
            ensure!(begun.elapsed() < Duration::from_secs(20), "the events of the last change do not come");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Puts the end of a token into the past, which no command does.
fn expire(database: &str, id: &str) -> Result<()> {
    let sql = if database.starts_with("sqlite:") {
        format!("UPDATE token SET expires = created + 1 WHERE id = X'{}'", id.replace('-', ""))
    } else {
        format!("UPDATE token SET expires = created + interval '1 microsecond' WHERE id = CAST('{id}' AS uuid)")
    };
    testkit::execute(database, &sql)
}
