//! Empty servers: what HTTP and a gRPC hop cost before anything is done.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::say;

/// As large as a user.
const ANSWER: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"0197c7a0-0000-7000-8000-000000000000","userName":"user0000000@bench.example","externalId":"00u0000000bench","name":{"givenName":"Given0","familyName":"Family0"},"displayName":"Given0 Family0","emails":[{"primary":true,"value":"user0000000@bench.example","type":"work"}],"locale":"en-US","active":true,"meta":{"resourceType":"User","version":"W/\"1\""}}"#;

/// The route that both HTTP servers have.
pub(crate) const PATH: &str = "/empty";

async fn listener() -> Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&format!("http://{}", listener.local_addr()?));
    Ok(listener)
}

pub(crate) async fn route() -> Result<()> {
    let router = Router::new().route(PATH, get(async || ANSWER));
    Ok(axum::serve(listener().await?, router).await?)
}

pub(crate) async fn rpc() -> Result<()> {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let incoming = TcpListenerStream::new(listener().await?);
    Ok(Server::builder().tcp_nodelay(true).add_service(health).serve_with_incoming(incoming).await?)
}

pub(crate) async fn hop(url: &str) -> Result<()> {
    let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?;
    let router = Router::new().route(PATH, get(call)).with_state(HealthClient::new(channel));
    Ok(axum::serve(listener().await?, router).await?)
}

async fn call(State(mut client): State<HealthClient<Channel>>) -> Result<&'static str, StatusCode> {
    let answer = client.check(HealthCheckRequest::default()).await;
    answer.map(|_| ANSWER).map_err(|_| StatusCode::BAD_GATEWAY)
}

/// One of these servers as a process. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) url: String,
}

impl Running {
    pub(crate) fn start(words: &[&str]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("yardstick").args(words).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {words:?}"))?;
        let mut url = String::new();
        let output = child.stdout.take().context("no standard output")?;
        BufReader::new(output).read_line(&mut url)?;
        Ok(Self { child, url: url.trim().to_owned() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
