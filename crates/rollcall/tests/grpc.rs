//! The gRPC listener as another service sees it.

#![expect(clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use http::Method;
use support::{all_in_one, create_user, directory, provisioned, ready, scim};
use testkit::{client::Client, process::Deployment};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::{Code, Request, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use wire::{
    Reason,
    common::{Caller, InternalService, caller},
    identity::{
        GetOrganizationRequest, LookUpUsersRequest, get_organization_request::Key,
        identity_service_client::IdentityServiceClient, look_up_users_request,
        organization_service_client::OrganizationServiceClient,
    },
};

async fn channel(server: &Deployment) -> Channel {
    let endpoint = Channel::from_shared(server.grpc("identity").expect("a gRPC address")).expect("an address");
    endpoint.connect().await.expect("a connection")
}

fn with<T>(message: T, authorization: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(value) = authorization {
        request.metadata_mut().insert("authorization", value.parse().expect("a header value"));
    }
    request
}

async fn organization(channel: &Channel, authorization: Option<&str>) -> Result<String, Status> {
    let message = GetOrganizationRequest { key: Some(Key::Slug("acme".to_owned())) };
    let mut client = OrganizationServiceClient::new(channel.clone());
    Ok(client.get_organization(with(message, authorization)).await?.into_inner().id)
}

async fn reflected(channel: &Channel, authorization: Option<&str>) -> Result<Vec<String>, Status> {
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(channel.clone());
    let messages = tokio_stream::once(request);
    let mut answers = client.server_reflection_info(with(messages, authorization)).await?.into_inner();
    let answer = answers.message().await?.and_then(|answer| answer.message_response);
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { return Err(Status::internal("no list")) };
    Ok(list.service.into_iter().map(|service| service.name).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_but_health_needs_the_credential() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    let (_, token) = provisioned(&server, "acme");
    let channel = channel(&server).await;
    let secret = server.admin_credential().expect("the credential");
    let right = format!("Bearer {secret}");

    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer ".to_owned()),
        Some(secret.clone()),
        Some(format!("Basic {secret}")),
        Some(format!("Bearer {}", &secret[1..])),
        Some(format!("{right}x")),
        // A SCIM token opens SCIM and nothing else.
        Some(format!("Bearer {token}")),
    ];
    for value in &wrong {
        let status = organization(&channel, value.as_deref()).await.expect_err("refused");
        assert_eq!((status.code(), wire::refusal(&status).reason), (Code::Unauthenticated, Reason::CredentialInvalid));
        let status = reflected(&channel, value.as_deref()).await.expect_err("refused");
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    // And the credential opens gRPC and nothing else.
    let reply = scim(&server, &secret).send(Method::GET, "/Users", None).await.expect("an answer");
    assert_eq!(reply.status, 401);

    let id = organization(&channel, Some(&right)).await.expect("let in");
    assert_eq!(organization(&channel, Some(&format!("bearer {secret}"))).await.expect("let in"), id);
    assert_eq!(create_user(&scim(&server, &token), "kit@example.com").await.status, 201);
    let message = LookUpUsersRequest {
        organization_id: id,
        caller: Some(Caller {
            kind: Some(caller::Kind::InternalService(InternalService { name: "mail".to_owned() })),
            request_id: "test".to_owned(),
        }),
        key: Some(look_up_users_request::Key::UserName("KIT@example.com".to_owned())),
        ..LookUpUsersRequest::default()
    };
    let mut identity = IdentityServiceClient::new(channel.clone());
    let found = identity.look_up_users(with(message, Some(&right))).await.expect("let in").into_inner();
    assert_eq!(found.users.len(), 1);

    let services = reflected(&channel, Some(&right)).await.expect("let in");
    let names = [
        "rollcall.identity.v1.IdentityService",
        "rollcall.identity.v1.OrganizationService",
        "rollcall.token.v1.TokenService",
    ];
    let mut health = HealthClient::new(channel.clone());
    for name in names {
        assert!(services.iter().any(|service| service == name), "{name} in {services:?}");
        let mut status = ServingStatus::Unknown;
        for _ in 0..50 {
            let request = HealthCheckRequest { service: name.to_owned() };
            if let Ok(answer) = health.check(request).await {
                status = answer.into_inner().status();
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(status, ServingStatus::Serving, "{name}");
    }
    server.stop().expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_dropped_connections_do_not_end_the_listener() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    ready(&server).await;
    let address = server.grpc("identity").expect("an address").replace("http://", "");
    for _ in 0..100 {
        let mut connection = TcpStream::connect(&address).await.expect("a connection");
        let _ = connection.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
    }
    let mut health = HealthClient::new(channel(&server).await);
    health.check(HealthCheckRequest::default()).await.expect("it still answers");
    let http = Client::new(server.http()).send(Method::GET, "/healthz", None).await.expect("an answer");
    assert_eq!(http.status, 200);
    server.stop().expect("a clean end");
}

/// More connections than the server has file descriptors. Its log then has some complaints, and not as many as a busy loop
/// would write.
async fn storm_of_connections(address: &str, log: &std::path::Path, complaint: &str) {
    let mut storm = Vec::new();
    for _ in 0..150 {
        let connecting = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address));
        if let Ok(Ok(connection)) = connecting.await {
            storm.push(connection);
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let log = std::fs::read_to_string(log).expect("the log");
    let complaints =
        log.lines().filter(|line| line.contains(complaint) && line.contains("Too many open files")).count();
    assert!((1..50).contains(&complaints), "{complaints} complaints: none means no storm, many a busy loop");
}

/// Weakness 24: an accept that fails for lack of file descriptors ended such servers, or made them spin.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_connections_passes() {
    let directory = directory();
    let mut command = std::process::Command::new("sh");
    let serve = "ulimit -n 80; exec \"$0\" serve --http 127.0.0.1:0 --grpc 127.0.0.1:0 --data-dir \"$1\" 2>\"$2\"";
    let log = directory.path().join("log");
    command.args(["-c", serve, env!("CARGO_BIN_EXE_rollcall")]).arg(directory.path()).arg(&log);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    let running = directory.path().join("run/all.json");
    let mut address = None;
    for _ in 0..200 {
        let text = std::fs::read(&running).unwrap_or_default();
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        address = document["grpc"].as_str().map(str::to_owned);
        if address.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let address = address.expect("a running server");
    // The HTTP listener has the same problem.
    let http = serde_json::from_slice::<serde_json::Value>(&std::fs::read(&running).expect("read")).expect("JSON");
    let http = http["http"].as_str().expect("an address").to_owned();
    storm_of_connections(&http, &log, "a connection could not be accepted").await;
    let answer = Client::new(&format!("http://{http}")).send(Method::GET, "/healthz", None).await.expect("an answer");
    assert_eq!(answer.status, 200);
    storm_of_connections(&address, &log, "a gRPC connection could not be accepted").await;
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
    let mut health = HealthClient::new(endpoint.connect_lazy());
    let answer = tokio::time::timeout(Duration::from_secs(10), health.check(HealthCheckRequest::default())).await;
    answer.expect("in time").expect("it still answers");
    child.kill().expect("killed");
    child.wait().expect("it ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_the_listener_goes_on() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    let (_, _) = provisioned(&server, "acme");
    let channel = channel(&server).await;
    let right = format!("Bearer {}", server.admin_credential().expect("the credential"));
    let message = LookUpUsersRequest {
        key: Some(look_up_users_request::Key::UserName("x".repeat(wire::MAX_MESSAGE + 1))),
        ..LookUpUsersRequest::default()
    };
    let mut identity = IdentityServiceClient::new(channel.clone());
    let status = identity.look_up_users(with(message, Some(&right))).await.expect_err("refused");
    assert_eq!(status.code(), Code::OutOfRange, "{status:?}");
    // Header fields, on a connection of their own: the peer may end it.
    let status = organization(&self::channel(&server).await, Some(&format!("Bearer {}", "x".repeat(100 * 1024)))).await;
    assert!(status.is_err());
    assert!(organization(&channel, Some(&right)).await.is_ok());
    server.stop().expect("a clean end");
}

/// A gateway under load sends its calls over one connection faster than they are read.
#[tokio::test]
async fn a_burst_of_short_calls_does_not_end_the_connection() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    let health = HealthClient::new(channel(&server).await);
    for _ in 0..5 {
        let calls = (0..900).map(|_| {
            let mut health = health.clone();
            async move { health.check(HealthCheckRequest::default()).await }
        });
        futures::future::try_join_all(calls).await.expect("each is answered");
    }
}

/// What a refused call sends arrives after the refusal, often.
#[tokio::test]
async fn refused_calls_do_not_end_the_connection() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    let address = server.grpc("identity").expect("an address").replace("http://", "");
    let mut client = TcpStream::connect(&address).await.expect("a connection");
    let frame = |kind: u8, flags: u8, id: u32, content: &[u8]| {
        let length = u8::try_from(content.len()).expect("short");
        [&[0, 0, length, kind, flags][..], &id.to_be_bytes(), content].concat()
    };
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("written");
    client.write_all(&frame(4, 0, 0, b"")).await.expect("written");
    for batch in 0..8 {
        let ids = (0..60).map(|n| 2 * (60 * batch + n) + 1);
        for id in ids.clone() {
            // HEADERS: POST http /, from HPACK's static table.
            client.write_all(&frame(1, 4, id, &[0x83, 0x86, 0x84])).await.expect("written");
        }
        for _ in ids.clone() {
            while kind_of_next(&mut client).await != 1 {}
        }
        for id in ids {
            // DATA with END_STREAM: an empty message.
            client.write_all(&frame(0, 1, id, &[0; 5])).await.expect("the connection is open");
        }
    }
    // PING, and the answer to it.
    client.write_all(&frame(6, 0, 0, b"the last")).await.expect("the connection is open");
    while kind_of_next(&mut client).await != 6 {}
}

/// Of the next frame of HTTP/2; what is in it is skipped.
async fn kind_of_next(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 9];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut head));
    read.await.expect("a frame").expect("the connection is open");
    let mut content = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut content).await.expect("a whole frame");
    head[3]
}

/// CVE-2023-44487: streams that are opened and reset at once.
#[tokio::test(flavor = "multi_thread")]
async fn rapid_resets_end_their_connection_and_nothing_else() {
    let directory = directory();
    let server = all_in_one(directory.path(), &[]);
    ready(&server).await;
    let address = server.grpc("identity").expect("an address").replace("http://", "");
    let mut attacker = TcpStream::connect(&address).await.expect("a connection");
    let mut frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frames.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for n in 0..5000_u32 {
        let id = (2 * n + 1).to_be_bytes();
        // HEADERS: POST http /, from HPACK's static table; RST_STREAM: CANCEL.
        frames.extend([0, 0, 3, 1, 4]);
        frames.extend(id);
        frames.extend([0x83, 0x86, 0x84]);
        frames.extend([0, 0, 4, 3, 0]);
        frames.extend(id);
        frames.extend([0, 0, 0, 8]);
    }
    // The server may be gone before all is sent.
    let _ = attacker.write_all(&frames).await;
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), attacker.read_to_end(&mut all)).await;
    let _ = read.expect("the server ends the connection");
    let mut health = HealthClient::new(channel(&server).await);
    health.check(HealthCheckRequest::default()).await.expect("it still answers");
    server.stop().expect("a clean end");
}
