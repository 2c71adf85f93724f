//! Service credentials as internal services use them: every rpc with each, who they are in events, how they end.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::Value;
use testkit::{okta, process::Deployment};
use tonic::{
    Code, Request, Status, Streaming,
    transport::{Channel, Endpoint},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};
use wire::{
    Credential, Reason, Transport,
    common::{Administrator, Caller, InternalService, ScimClient, caller::Kind},
    identity::{CreateUserRequest, ListEventsRequest, identity_service_client::IdentityServiceClient},
    token::{WatchRevocationsRequest, token_service_client::TokenServiceClient},
};

use crate::{
    contract::log_is_clean,
    forms::{Running, organization},
    rpc::{Rpc, call},
    transcript::Transcript,
};

const SCOPES: [&str; 3] = ["identities:read", "identities:watch", "administer"];
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// By `identities:read`; all but these and [`WATCHES`] is an administrator's.
const READS: [&str; 16] = [
    "GetUser",
    "LookUpUsers",
    "ListUsers",
    "ListGroupsOfUser",
    "GetGroup",
    "ListGroups",
    "ListResources",
    "ListMembers",
    "GetOrganization",
    "ListOrganizations",
    "ListSchemas",
    "GetAccount",
    "ListAccounts",
    "CountAccounts",
    "GetAccountPolicy",
    "ListConfirmAgents",
];
/// By `identities:watch`.
const WATCHES: [&str; 2] = ["ListEvents", "ListEventsOfSubject"];

fn needed(rpc: &Rpc) -> &'static str {
    match rpc.method() {
        method if READS.contains(&method) => "identities:read",
        method if WATCHES.contains(&method) => "identities:watch",
        _ => "administer",
    }
}

/// Both ports, which are one in an all-in-one server.
struct Ports {
    identity: Channel,
    token: Channel,
}

impl Ports {
    async fn open(deployment: &Deployment) -> Result<Self> {
        let connect =
            async |part| -> Result<Channel> { Ok(Endpoint::from_shared(deployment.grpc(part)?)?.connect().await?) };
        Ok(Self { identity: connect("identity").await?, token: connect("token").await? })
    }

    fn of(&self, rpc: &Rpc) -> &Channel {
        if rpc.path.starts_with("/rollcall.token.") { &self.token } else { &self.identity }
    }
}

/// A credential, as its service has it.
struct Held {
    name: String,
    scope: &'static str,
    secret: String,
}

fn create(deployment: &Deployment, transcript: &Transcript, name: &str, scope: &'static str) -> Result<Held> {
    let made = deployment.cli_json(&["service", "create", name, "--scope", scope])?;
    let secret = made["secret"].as_str().context("a secret")?.to_owned();
    transcript.hide(&secret);
    Ok(Held { name: name.to_owned(), scope, secret })
}

/// Plays it.
///
/// # Errors
/// At the first difference.
pub async fn run(mut running: Running, transcript: &Transcript) -> Result<()> {
    let deployment = &running.deployment;
    let acme = organization(deployment, transcript, "acme")?;
    let ports = Ports::open(deployment).await?;
    let held = [
        create(deployment, transcript, "reader", SCOPES[0])?,
        create(deployment, transcript, "watcher", SCOPES[1])?,
        create(deployment, transcript, "manager", SCOPES[2])?,
    ];
    nothing_without(deployment, &ports, &acme.token, transcript).await?;
    for credential in &held {
        by_scope(&ports, credential, transcript).await?;
        claims(&ports, credential, transcript).await?;
        let client = okta::client(&acme.scim_url, &credential.secret)?;
        let reply = client.send(http::Method::GET, "/Users", None).await?;
        transcript.same("a service credential over SCIM", &reply.status, &401)?;
    }
    actors(&ports, &held[2], &acme.id, transcript).await?;
    rotation(deployment, &ports, transcript).await?;
    revocation(deployment, &ports, transcript).await?;
    for output in deployment.servers.iter().map(testkit::process::Server::output) {
        log_is_clean(&output, transcript)?;
    }
    if deployment.servers.len() > 1 {
        without_token_service(&mut running.deployment, &ports, &held[0], transcript).await?;
    }
    for output in running.stop()? {
        ensure!(!output.contains("rc_svc_"), "a secret is in a log");
    }
    Ok(())
}

/// Whatever else is shown is answered alike, by every rpc.
async fn nothing_without(
    deployment: &Deployment,
    ports: &Ports,
    scim_token: &str,
    transcript: &Transcript,
) -> Result<()> {
    transcript.step("Every rpc without a credential, with a wrong one, and with a SCIM token");
    let revoked = create(deployment, transcript, "revoked", "administer")?;
    deployment.cli_json(&["service", "revoke", "revoked"])?;
    let unknown = format!("{}x", revoked.secret);
    let mut rpcs = Rpc::all()?;
    ensure!(rpcs.len() >= 40, "only {} rpcs", rpcs.len());
    let mut answers = BTreeSet::new();
    for shown in [None, Some(""), Some("wrong"), Some(scim_token), Some(&*unknown), Some(&*revoked.secret)] {
        for rpc in &mut rpcs {
            let refused = call(ports.of(rpc), &rpc.path, shown, Bytes::new()).await;
            let Err(status) = refused else { bail!("{} answers without a credential that is valid", rpc.path) };
            ensure!(status.code() == Code::Unauthenticated, "{}: {status:?}", rpc.path);
            answers.insert(format!("{:?} {}", wire::refusal(&status).reason, status.message()));
        }
        for port in [&ports.identity, &ports.token] {
            for path in [REFLECTION, "/rollcall.identity.v1.IdentityService/EraseAll", "/other/Other"] {
                let refused = call(port, path, shown, Bytes::new()).await;
                let code = refused.err().map(|status| status.code());
                ensure!(code == Some(Code::Unauthenticated), "{path}: {code:?}");
            }
        }
    }
    transcript.held(&format!("{} rpcs and reflection, six times", rpcs.len()));
    transcript.same("one answer for all", &answers.len(), &1)?;
    for part in ["identity", "token"] {
        let channel = Endpoint::from_shared(deployment.grpc(part)?)?.connect().await?;
        let health = call(&channel, "/grpc.health.v1.Health/Check", None, Bytes::new()).await;
        transcript.that(&format!("health of {part} answers anybody"), health.is_ok())?;
    }
    Ok(())
}

async fn by_scope(ports: &Ports, credential: &Held, transcript: &Transcript) -> Result<()> {
    let Held { scope, secret, .. } = credential;
    transcript.step(&format!("Every rpc with the scope {scope}"));
    let (mut let_in, mut refused) = (0, 0);
    for rpc in Rpc::all()? {
        let needed = needed(&rpc);
        // The request is empty: what is let in is refused for that, mostly.
        let answer = call(ports.of(&rpc), &rpc.path, Some(secret), Bytes::new()).await;
        let reason = answer.as_ref().err().map(|status| wire::refusal(status).reason);
        if *scope == "administer" || *scope == needed {
            let barred =
                [Reason::CredentialInvalid, Reason::ScopeMissing, Reason::CallerNotAllowed, Reason::Unavailable];
            ensure!(!reason.is_some_and(|reason| barred.contains(&reason)), "{}: {answer:?}", rpc.path);
            let_in += 1;
        } else {
            let Err(status) = answer else { bail!("{} is let in by {scope}", rpc.path) };
            ensure!(status.code() == Code::PermissionDenied, "{}: {status:?}", rpc.path);
            ensure!(
                reason == Some(Reason::ScopeMissing) && status.message().contains(needed),
                "{}: {status:?}",
                rpc.path
            );
            refused += 1;
        }
    }
    for port in [&ports.identity, &ports.token] {
        // It is asked for nothing.
        let reflected = call(port, REFLECTION, Some(secret), Bytes::new()).await;
        let code = reflected.err().map(|status| status.code());
        transcript.same("reflection", &code, &Some(Code::InvalidArgument))?;
        let unknown = call(port, "/rollcall.identity.v1.IdentityService/EraseAll", Some(secret), Bytes::new()).await;
        let code = unknown.err().map(|status| status.code());
        transcript.same("an rpc that there is not", &code, &Some(Code::Unimplemented))?;
    }
    transcript.held(&format!("{let_in} rpcs are let in, {refused} refused with the scope that is missing"));
    Ok(())
}

/// A message cannot speak for somebody else.
async fn claims(ports: &Ports, credential: &Held, transcript: &Transcript) -> Result<()> {
    let administrator = Kind::Administrator(Administrator { name: "ada".to_owned() });
    let scim = Kind::ScimClient(ScimClient {
        token_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
        entry_id: String::new(),
    });
    let mut tried = 0;
    for rpc in Rpc::all()? {
        if credential.scope != "administer" && credential.scope != needed(&rpc) {
            continue;
        }
        for (kind, allowed) in [(&administrator, credential.scope == "administer"), (&scim, false)] {
            let caller = Caller { kind: Some(kind.clone()), request_id: String::new() };
            let Some(message) = rpc.request_by(&caller) else { continue };
            let answer = call(ports.of(&rpc), &rpc.path, Some(&credential.secret), message).await;
            let reason = answer.err().map(|status| wire::refusal(&status).reason);
            ensure!((reason == Some(Reason::CallerNotAllowed)) != allowed, "{}: {kind:?}: {reason:?}", rpc.path);
            tried += 1;
        }
    }
    transcript.held(&format!("{tried} messages that claim to be of an administrator or a SCIM client"));
    Ok(())
}

async fn actors(ports: &Ports, manager: &Held, org: &str, transcript: &Transcript) -> Result<()> {
    transcript.step("Who it was, in events");
    let credential = Credential::new(&manager.secret).context("a header")?;
    let mut client = IdentityServiceClient::new(Transport::network(ports.identity.clone(), credential));
    let kinds = [
        None,
        Some(Kind::InternalService(InternalService { name: "someone-else".to_owned() })),
        Some(Kind::Administrator(Administrator { name: "ada".to_owned() })),
    ];
    for (n, kind) in kinds.into_iter().enumerate() {
        let body =
            serde_json::json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": format!("u{n}")});
        let request = CreateUserRequest {
            organization_id: org.to_owned(),
            caller: kind.map(|kind| Caller { kind: Some(kind), request_id: format!("r{n}") }),
            resource_json: body.to_string().into_bytes().into(),
            idempotency_key: None,
        };
        client.create_user(request).await?;
    }
    let mut events = Vec::new();
    // They are numbered a moment after they are committed.
    for _ in 0..100 {
        let request = ListEventsRequest { organization_id: org.to_owned(), after_sequence: 0, page_size: 1000 };
        events = client.list_events(request).await?.into_inner().events;
        events.retain(|event| event.r#type == "user.created");
        if events.len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    transcript.same("three users were created", &events.len(), &3)?;
    for event in events {
        let actor: Value = serde_json::from_slice(&event.actor_json)?;
        transcript.same("the kind of actor", &actor["kind"], &Value::from("internal_service"))?;
        transcript.same("its name", &actor["name"], &Value::from(manager.name.as_str()))?;
    }
    Ok(())
}

/// What a credential can do here and now: the error, if it cannot.
async fn refusal(channel: &Channel, secret: &str) -> Option<Status> {
    let path = "/rollcall.identity.v1.OrganizationService/ListOrganizations";
    call(channel, path, Some(secret), Bytes::new()).await.err()
}

async fn rotation(deployment: &Deployment, ports: &Ports, transcript: &Transcript) -> Result<()> {
    transcript.step("A rotation without a call refused");
    let old = create(deployment, transcript, "rotating", "identities:read")?;
    ensure!(refusal(&ports.identity, &old.secret).await.is_none(), "the first secret");
    let rotated = deployment.cli_json(&["service", "rotate", "rotating", "--retire-after", "1h"])?;
    let new = rotated["secret"].as_str().context("a secret")?;
    transcript.hide(new);
    for (what, secret) in [("the old one", &*old.secret), ("the new one", new)] {
        transcript.that(&format!("{what} is valid"), refusal(&ports.identity, secret).await.is_none())?;
    }
    deployment.cli_json(&["service", "retire", "rotating"])?;
    let retired = Instant::now();
    let ended = refused_in(&ports.identity, &old.secret, Duration::from_secs(1)).await?;
    transcript.that(&format!("the old one is refused {:?} after it was retired", retired.elapsed()), ended)?;
    transcript.that("the new one is valid", refusal(&ports.identity, new).await.is_none())
}

/// Whether it is refused within the time.
async fn refused_in(channel: &Channel, secret: &str, time: Duration) -> Result<bool> {
    let begun = Instant::now();
    loop {
        match refusal(channel, secret).await {
            Some(status) if status.code() == Code::Unauthenticated => return Ok(begun.elapsed() <= time),
            Some(status) => bail!("another answer: {status:?}"),
            None if begun.elapsed() > time => return Ok(false),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A stream that stays open: reflection, which any credential may use.
async fn open_stream(channel: &Channel, secret: &str) -> Result<Streaming<ServerReflectionResponse>> {
    let first = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let requests = futures::stream::iter([first]).chain(futures::stream::pending());
    let credential = Credential::new(secret).context("a header")?;
    let mut client = ServerReflectionClient::new(Transport::network(channel.clone(), credential));
    let mut stream = client.server_reflection_info(Request::new(requests)).await?.into_inner();
    ensure!(stream.message().await?.is_some(), "reflection says nothing");
    Ok(stream)
}

async fn ends<T>(stream: &mut Streaming<T>, time: Duration) -> Result<Code> {
    let end = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    };
    tokio::time::timeout(time, end).await.context("the stream goes on")
}

async fn revocation(deployment: &Deployment, ports: &Ports, transcript: &Transcript) -> Result<()> {
    transcript.step("Revoked: refused within a second, and what is open ends");
    let held = create(deployment, transcript, "leaving", "administer")?;
    let mut streams =
        [open_stream(&ports.identity, &held.secret).await?, open_stream(&ports.token, &held.secret).await?];
    let credential = Credential::new(&held.secret).context("a header")?;
    let mut client = TokenServiceClient::new(Transport::network(ports.token.clone(), credential));
    let mut watch = client.watch_revocations(WatchRevocationsRequest { after_position: None }).await?.into_inner();
    ensure!(refusal(&ports.identity, &held.secret).await.is_none(), "let in");
    // Longer than an answer is believed: what is still valid goes on.
    let quiet = ends(&mut streams[0], Duration::from_millis(5500)).await;
    transcript.that("a stream of a valid credential goes on", quiet.is_err())?;
    deployment.cli_json(&["service", "revoke", "leaving"])?;
    let revoked = Instant::now();
    transcript.that("refused by identity", refused_in(&ports.identity, &held.secret, Duration::from_secs(1)).await?)?;
    for stream in &mut streams {
        transcript.same("its stream", &ends(stream, Duration::from_secs(1)).await?, &Code::Unauthenticated)?;
    }
    transcript.same("its watch", &ends(&mut watch, Duration::from_secs(1)).await?, &Code::Unauthenticated)?;
    transcript.that(&format!("all within {:?}", revoked.elapsed()), revoked.elapsed() < Duration::from_secs(1))
}

/// Nothing is known any more of any credential: after five seconds none is let in.
async fn without_token_service(
    deployment: &mut Deployment,
    ports: &Ports,
    held: &Held,
    transcript: &Transcript,
) -> Result<()> {
    transcript.step("token-service stops");
    let mut stream = open_stream(&ports.identity, &held.secret).await?;
    ensure!(refusal(&ports.identity, &held.secret).await.is_none(), "let in");
    deployment.stop_part("token")?;
    let stopped = Instant::now();
    let code = ends(&mut stream, Duration::from_secs(6)).await?;
    transcript.same("its stream", &code, &Code::Unavailable)?;
    let ended = stopped.elapsed();
    transcript.that(&format!("after {ended:?}"), ended < Duration::from_millis(5500))?;
    tokio::time::sleep(Duration::from_millis(5200).saturating_sub(stopped.elapsed())).await;
    let status = refusal(&ports.identity, &held.secret).await.context("let in by what was known")?;
    transcript.same("a call", &status.code(), &Code::Unavailable)?;
    let admin = refusal(&ports.identity, &deployment.admin_credential()?).await;
    transcript.that("the admin credential works on", admin.is_none())
}
