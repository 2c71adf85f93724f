//! The accept loop. `axum::serve` sets no timer, so that hyper's header timeout would never fire and a client that
//! sends nothing would hold its connection for ever.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use ipnet::IpNet;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::either::Either;
use tower::ServiceExt as _;

use crate::{
    client_address::Peer,
    connections::Addresses,
    remainder::Remainder,
    unreadable::{self, Unreadable},
};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a request's header fields over HTTP/2.
const HEADERS: u32 = 32 * 1024;
/// After an accept that failed: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
struct Limits {
    /// Connections at once; more wait in the listen backlog.
    connections: usize,
    /// Of them, from one address that is no trusted proxy; more are closed.
    per_address: usize,
    /// For a request's header section to arrive, and for an idle connection of HTTP/1.
    headers: Duration,
    /// For any connection without a request.
    idle: Duration,
    /// For requests under way when the server is told to stop.
    drain: Duration,
}

const LIMITS: Limits = Limits {
    connections: 4096,
    per_address: 1024,
    headers: Duration::from_secs(30),
    idle: Duration::from_secs(120),
    drain: Duration::from_secs(25),
};

/// Serves HTTP/1.1 and HTTP/2 on `listener` until `shutdown` completes, then lets requests under way end, for at most
/// 25 seconds. Failed accepts and connections do not end it. An address may have 1,024 connections of 4,096, a trusted
/// proxy all.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    trusted_proxies: Vec<IpNet>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_within(LIMITS, listener, router, trusted_proxies, shutdown).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    trusted_proxies: Vec<IpNet>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let builder = builder(limits);
    let places = Arc::new(Semaphore::new(limits.connections));
    let addresses = Addresses::new(limits.per_address, trusted_proxies);
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (place, accepted) = accept => match accepted {
                Ok((stream, peer)) => {
                    let Some(entered) = addresses.enter(peer.ip()) else {
                        tracing::debug!("an address has too many connections");
                        continue;
                    };
                    let (builder, router, stopped) = (builder.clone(), router.clone(), stopped.clone());
                    connections.spawn(async move {
                        let _held = (place, entered);
                        connection(limits, stream, peer.ip(), &builder, router, stopped).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were still under way when the time to stop was up");
    }
    connections.shutdown().await;
    Ok(())
}

async fn connection(
    limits: Limits,
    stream: TcpStream,
    peer: IpAddr,
    builder: &auto::Builder<TokioExecutor>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    // Small answers leave at once.
    let _ = stream.set_nodelay(true);
    // hyper-util's own detection waits for the first bytes without a limit.
    let first = tokio::select! {
        first = tokio::time::timeout(limits.headers, is_http2(&stream)) => first,
        _ = stopped.wait_for(|stopped| *stopped) => return,
    };
    let Ok(Ok(http2)) = first else { return };
    let stream = if http2 {
        Either::Left(stream)
    } else {
        Either::Right(unreadable::Stream::new(stream, router.clone(), Peer(peer)))
    };
    let builder = if http2 { builder.clone().http2_only() } else { builder.clone().http1_only() };
    let activity = Activity::default();
    let noted = activity.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        if http2 && header_size(&request) > HEADERS {
            request.extensions_mut().insert(Unreadable(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        // hyper reads on by itself over HTTP/1.
        let request = request.map(|body| if http2 { Body::new(Remainder::of(body)) } else { Body::new(body) });
        let (router, at_work) = (router.clone(), noted.begin());
        async move {
            let answer: Result<_, Infallible> = router.oneshot(request).await;
            drop(at_work);
            answer
        }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let told = async {
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = activity.ceased(limits.idle) => {}
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = told => {
            connection.as_mut().graceful_shutdown();
            // Answers under way are finished.
            match tokio::time::timeout(limits.idle, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        // Clients that go away are everyday.
        tracing::debug!(%error, "a connection ended early");
    }
}

/// How many requests of a connection wait for their answer, and since when there has been another number of them.
#[derive(Clone)]
struct Activity(Arc<Mutex<(usize, Instant)>>);

struct AtWork(Activity);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((0, Instant::now()))))
    }
}

impl Activity {
    fn begin(&self) -> AtWork {
        self.note(|at_work| at_work + 1);
        AtWork(self.clone())
    }

    fn note(&self, change: impl FnOnce(usize) -> usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (change(state.0), Instant::now());
    }

    /// Completes when there was no request for so long.
    async fn ceased(&self, idle: Duration) {
        loop {
            let (at_work, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let until = if at_work == 0 { since + idle } else { Instant::now() + idle };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.note(|at_work| at_work.saturating_sub(1));
    }
}

/// As HTTP/2 counts it, RFC 9113 section 6.5.2.
fn header_size(request: &Request<Incoming>) -> u32 {
    let size = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum::<usize>();
    u32::try_from(size).unwrap_or(u32::MAX)
}

async fn is_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; HTTP2_PREFACE.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if start.get(..seen) != HTTP2_PREFACE.get(..seen) {
            return Ok(false);
        }
        if seen == HTTP2_PREFACE.len() {
            return Ok(true);
        }
        // A piece of the preface: no event tells of more than has been peeked at.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_headers(100)
        .max_buf_size(64 * 1024)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(100)
        // Streams that are opened and reset at once (CVE-2023-44487): beyond this the connection ends.
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        // Beyond it h2 answers without a body. Up to it that is ours to do.
        .max_header_list_size(4 * HEADERS);
    builder
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::{
        Extension,
        routing::{get, post},
    };
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::oneshot,
        task::JoinHandle,
    };

    use super::*;

    struct Server {
        address: SocketAddr,
        stop: oneshot::Sender<()>,
        task: JoinHandle<io::Result<()>>,
    }

    async fn start(limits: Limits) -> Server {
        let slow = |millis| {
            get(async move || {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                "slow"
            })
        };
        let peer = get(async |Extension(Peer(address)): Extension<Peer>| address.to_string());
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/peer", peer)
            .route("/unread", post(async || "unread"))
            .route("/slow", slow(300))
            .route("/slower", slow(60_000));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_within(limits, listener, router, Vec::new(), async {
            let _ = stopped.await;
        }));
        Server { address, stop, task }
    }

    const QUICK: Limits = Limits {
        connections: 2,
        per_address: 2,
        headers: Duration::from_millis(200),
        idle: Duration::from_secs(5),
        drain: Duration::from_secs(5),
    };

    /// What arrives until the server closes; a server that does not is a failed test.
    async fn talk(address: SocketAddr, text: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(text).await.expect("write");
        rest(&mut stream).await
    }

    async fn rest(stream: &mut TcpStream) -> String {
        let mut all = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all));
        // A reset is a way of closing, too.
        let _ = read.await.expect("the server closes the connection");
        String::from_utf8_lossy(&all).into_owned()
    }

    #[tokio::test]
    async fn clients_that_send_no_request_are_let_go() {
        let server = start(QUICK).await;
        for text in [&b""[..], b"G", b"P", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
            let answer = talk(server.address, text).await;
            assert!(!answer.contains("200 OK"), "{answer}");
        }
        let answer = talk(server.address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("hello"), "{answer}");
    }

    #[tokio::test]
    async fn more_connections_than_places_wait_their_turn() {
        let server = start(QUICK).await;
        let idle = [TcpStream::connect(server.address).await, TcpStream::connect(server.address).await];
        let answer = talk(server.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("hello"), "{answer}");
        drop(idle);
    }

    #[tokio::test]
    async fn a_request_knows_its_peer() {
        let server = start(QUICK).await;
        let answer = talk(server.address, b"GET /peer HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("127.0.0.1"), "{answer}");
    }

    #[tokio::test]
    async fn http2_is_told_by_its_preface() {
        let server = start(QUICK).await;
        let mut stream = TcpStream::connect(server.address).await.expect("connect");
        let (start, end) = HTTP2_PREFACE.split_at(5);
        stream.write_all(start).await.expect("write");
        tokio::time::sleep(Duration::from_millis(30)).await;
        stream.write_all(end).await.expect("write");
        // An empty SETTINGS frame.
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("write");
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await.expect("the server's SETTINGS");
        assert_eq!(frame[3], 4, "{frame:?}");
    }

    #[tokio::test]
    async fn a_request_under_way_is_answered_before_the_server_stops() {
        let server = start(Limits { headers: Duration::from_secs(5), ..QUICK }).await;
        let mut stream = TcpStream::connect(server.address).await.expect("connect");
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop.send(()).expect("running");
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("slow"), "{answer}");
        server.task.await.expect("task").expect("serve");
        assert!(TcpStream::connect(server.address).await.is_err());
    }

    #[tokio::test]
    async fn draining_has_an_end() {
        let server = start(Limits { drain: Duration::from_millis(50), ..QUICK }).await;
        let mut stream = TcpStream::connect(server.address).await.expect("connect");
        stream.write_all(b"GET /slower HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("write");
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.stop.send(()).expect("running");
        let stopped = tokio::time::timeout(Duration::from_secs(5), server.task).await;
        stopped.expect("in time").expect("task").expect("serve");
    }

    #[tokio::test]
    async fn an_address_has_so_many_connections_and_the_listener_goes_on() {
        let server = start(Limits { connections: 100, ..QUICK }).await;
        let kept = [TcpStream::connect(server.address).await, TcpStream::connect(server.address).await];
        let mut third = TcpStream::connect(server.address).await.expect("connect");
        assert_eq!(rest(&mut third).await, "", "closed without a word, long before the others' time is up");
        drop(kept);
        let answer = loop {
            // The places come back a moment after the connections are gone.
            let answer = talk(server.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            if !answer.is_empty() {
                break answer;
            }
        };
        assert!(answer.ends_with("hello"), "{answer}");
    }

    /// The connection's first frames: preface, an empty SETTINGS frame.
    async fn http2(address: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("connect");
        stream.write_all(HTTP2_PREFACE).await.expect("write");
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("write");
        stream
    }

    #[tokio::test]
    async fn a_connection_of_http2_without_requests_is_let_go() {
        let server = start(Limits { idle: Duration::from_millis(200), ..QUICK }).await;
        let mut stream = http2(server.address).await;
        // SETTINGS are acknowledged, and so are pings: only requests keep it open.
        stream.write_all(&[0, 0, 0, 4, 1, 0, 0, 0, 0]).await.expect("write");
        rest(&mut stream).await;
    }

    /// Header fields and body in packets of their own, and an answer that needs no body: each a refusal, say.
    #[tokio::test]
    async fn bodies_that_nobody_wanted_do_not_end_the_connection() {
        let server = start(Limits { headers: Duration::from_secs(5), ..QUICK }).await;
        let mut stream = http2(server.address).await;
        let frame = |kind: u8, flags: u8, id: u32, content: &[u8]| {
            let length = u8::try_from(content.len()).expect("short");
            [&[0, 0, length, kind, flags][..], &id.to_be_bytes(), content].concat()
        };
        // POST http /unread, from HPACK's static table and a literal path.
        let block = [&[0x83, 0x86, 0x44, 7][..], b"/unread"].concat();
        for batch in 0..8 {
            let ids = (0..60).map(|n| 2 * (60 * batch + n) + 1);
            for id in ids.clone() {
                // HEADERS with END_HEADERS.
                stream.write_all(&frame(1, 4, id, &block)).await.expect("write");
            }
            for _ in ids.clone() {
                while kind_of_next(&mut stream).await != 1 {}
            }
            for id in ids {
                // DATA with END_STREAM.
                stream.write_all(&frame(0, 1, id, b"{}")).await.expect("the connection is open");
            }
        }
        // PING, and the answer to it.
        stream.write_all(&frame(6, 0, 0, b"the last")).await.expect("the connection is open");
        while kind_of_next(&mut stream).await != 6 {}
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

    /// CVE-2023-44487.
    #[tokio::test]
    async fn streams_reset_at_once_end_the_connection_and_not_the_server() {
        let server = start(Limits { headers: Duration::from_secs(5), ..QUICK }).await;
        let mut stream = http2(server.address).await;
        let mut frames = Vec::new();
        for n in 0..2000_u32 {
            let id = (2 * n + 1).to_be_bytes();
            // HEADERS: GET http /slower, from HPACK's static table and a literal path; END_STREAM and END_HEADERS.
            let block = [&[0x82, 0x86, 0x44, 7][..], b"/slower"].concat();
            frames.extend([0, 0, u8::try_from(block.len()).expect("short"), 1, 5]);
            frames.extend(id);
            frames.extend(block);
            // RST_STREAM: CANCEL.
            frames.extend([0, 0, 4, 3, 0]);
            frames.extend(id);
            frames.extend([0, 0, 0, 8]);
        }
        // The server may be gone before all is sent.
        let _ = stream.write_all(&frames).await;
        let mut all = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all));
        let _ = read.await.expect("the server closes the connection");
        drop(stream);
        let answer = talk(server.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("hello"), "{answer}");
    }
}
