//! A closed loop over keep-alive connections: each sends, reads the whole answer, checks it, and sends again.
//!
//! Not here: what is sent. A [`Script`] says that, and what must come back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A slower answer is a failure.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One request, and what its answer must be like.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// With its query, encoded; appended to the base's path.
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) expect: Expect,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>, body: impl Into<Bytes>, expect: Expect) -> Self {
        Self { method, path: path.into(), body: body.into(), expect }
    }

    pub(crate) fn get(path: impl Into<String>, expect: Expect) -> Self {
        Self::new(Method::GET, path, Bytes::new(), expect)
    }
}

/// A cheap check of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub(crate) statuses: &'static [u16],
    /// Each must stand in the body; an answer without a body has nothing to check.
    pub(crate) contains: Vec<String>,
    /// This text must stand in it so many times.
    pub(crate) count: Option<(&'static str, usize)>,
}

impl Expect {
    pub(crate) fn status(statuses: &'static [u16]) -> Self {
        Self { statuses, contains: Vec::new(), count: None }
    }

    pub(crate) fn containing(mut self, text: impl Into<String>) -> Self {
        self.contains.push(text.into());
        self
    }

    pub(crate) fn counting(mut self, text: &'static str, times: usize) -> Self {
        self.count = Some((text, times));
        self
    }

    fn check(&self, call: &Call, reply: &Reply) -> Result<()> {
        let shown = || {
            let text: String = String::from_utf8_lossy(&reply.body).chars().take(400).collect();
            format!("{} {}: {} {text}", call.method, call.path, reply.status)
        };
        ensure!(self.statuses.contains(&reply.status), "{}\nexpected: {:?}", shown(), self.statuses);
        if reply.status == 204 {
            return Ok(());
        }
        for text in &self.contains {
            ensure!(find(&reply.body, text.as_bytes()).is_some(), "{}\nlacks {text}", shown());
        }
        if let Some((text, times)) = self.count {
            let found = count(&reply.body, text.as_bytes());
            ensure!(found == times, "{}\nholds {text} {found} times, not {times}", shown());
        }
        Ok(())
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = text.get(from..)?.iter().position(|byte| *byte == first) {
        if text.get(from + at..)?.starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

fn count(text: &[u8], wanted: &[u8]) -> usize {
    let (mut found, mut from) = (0, 0);
    while let Some(at) = text.get(from..).and_then(|rest| find(rest, wanted)) {
        found += 1;
        from += at + wanted.len();
    }
    found
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

/// What one connection sends.
pub(crate) trait Script: Send {
    /// The next request.
    fn next(&mut self) -> Call;
    /// The answer to it, which was as expected.
    fn seen(&mut self, _reply: &Reply) -> Result<()> {
        Ok(())
    }
}

impl<F: FnMut() -> Call + Send> Script for F {
    fn next(&mut self) -> Call {
        self()
    }
}

/// Where the requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    authority: String,
    path: String,
    headers: HeaderMap,
}

impl Target {
    /// `base` is `http://HOST:PORT/PATH`.
    pub(crate) fn new(base: &str, token: Option<&str>) -> Result<Self> {
        let rest = base.strip_prefix("http://").with_context(|| format!("{base} is not http://"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, authority.parse()?);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/scim+json"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("rollcall-bench"));
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}"))?);
        }
        Ok(Self { authority: authority.to_owned(), path: path.trim_end_matches('/').to_owned(), headers })
    }

    /// As it was given.
    pub(crate) fn base(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let stream = TcpStream::connect(&self.authority).await.with_context(|| format!("to {}", self.authority))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection { sender, target: self.clone() })
    }
}

/// One connection, used by one task.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
}

impl Connection {
    /// Sends, reads and checks.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Reply> {
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = format!("{}{}", self.target.path, call.path).parse()?;
        *request.headers_mut() = self.target.headers.clone();
        if !call.body.is_empty() {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/scim+json"));
        }
        let exchange = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Reply { status: head.status.as_u16(), body })
        };
        let named = || format!("{} {}", call.method, call.path);
        let reply = tokio::time::timeout(TIMEOUT, exchange).await.with_context(named)?.with_context(named)?;
        call.expect.check(call, &reply)?;
        Ok(reply)
    }
}

/// When a round ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    After(Duration),
    /// So many requests on each connection.
    Requests(u64),
}

/// A connection with what it sends.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) script: Box<dyn Script>,
}

/// What a round saw: the time each request took, and how long it lasted.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) elapsed: Duration,
}

/// Runs all clients at once and gives them back, at rest.
pub(crate) async fn run(clients: Vec<Client>, until: Until) -> Result<(Vec<Client>, Seen)> {
    let begin = Instant::now();
    let tasks: Vec<_> = clients.into_iter().map(|client| tokio::spawn(drive(client, until, begin))).collect();
    let mut seen = Seen::default();
    let mut clients = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (client, latencies) = task.await.context("a connection's task ended early")??;
        seen.latencies.extend(latencies);
        clients.push(client);
    }
    seen.elapsed = begin.elapsed();
    if seen.latencies.is_empty() {
        bail!("no request was sent");
    }
    Ok((clients, seen))
}

async fn drive(mut client: Client, until: Until, begin: Instant) -> Result<(Client, Vec<Duration>)> {
    let mut latencies = Vec::new();
    loop {
        let over = match until {
            Until::After(time) => begin.elapsed() >= time,
            Until::Requests(most) => latencies.len() as u64 >= most,
        };
        if over && !latencies.is_empty() {
            return Ok((client, latencies));
        }
        let call = client.script.next();
        let sent = Instant::now();
        let reply = client.connection.call(&call).await?;
        latencies.push(sent.elapsed());
        client.script.seen(&reply)?;
    }
}

/// Runs each of many calls once, over so many connections, and gives what was read from the answers, in order.
pub(crate) async fn all<T: Send + 'static>(
    target: &Target,
    connections: usize,
    calls: impl Iterator<Item = Call> + Send + 'static,
    read: fn(&Reply) -> Result<T>,
) -> Result<Vec<T>> {
    let calls = Arc::new(tokio::sync::Mutex::new(calls.enumerate()));
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (calls, mut connection) = (Arc::clone(&calls), target.connect().await?);
        tasks.push(tokio::spawn(async move {
            let mut replies = Vec::new();
            loop {
                let next = calls.lock().await.next();
                let Some((n, call)) = next else { return anyhow::Ok(replies) };
                replies.push((n, read(&connection.call(&call).await?)?));
            }
        }));
    }
    let mut replies = Vec::new();
    for task in tasks {
        replies.extend(task.await??);
    }
    replies.sort_unstable_by_key(|(n, _)| *n);
    Ok(replies.into_iter().map(|(_, reply)| reply).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expect: &Expect, status: u16, body: &'static str) -> Result<()> {
        let call = Call::get("/Users/1", expect.clone());
        expect.check(&call, &Reply { status, body: Bytes::from_static(body.as_bytes()) })
    }

    #[test]
    fn an_answer_is_held_to_status_text_and_count() {
        let expect = Expect::status(&[200, 204]).containing("\"a\":1").counting("x", 2);
        assert!(check(&expect, 200, r#"{"a":1,"b":"xx"}"#).is_ok());
        assert!(check(&expect, 204, "").is_ok());
        assert!(check(&expect, 201, r#"{"a":1,"b":"xx"}"#).is_err());
        assert!(check(&expect, 200, r#"{"a":2,"b":"xx"}"#).is_err());
        let error = check(&expect, 200, r#"{"a":1,"b":"xxx"}"#).expect_err("three");
        assert!(error.to_string().contains("holds x 3 times, not 2"), "{error}");
    }

    #[test]
    fn text_is_found_after_a_false_start() {
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"aa", b"ab"), None);
        assert_eq!(count(b"aaaa", b"aa"), 2);
    }
}
