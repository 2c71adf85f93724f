//! The accept loop. `axum::serve` sets no timer, so that hyper's header timeout would never fire and a client that
//! sends nothing would hold its connection for ever.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// After an accept that failed: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy)]
struct Limits {
    /// Connections at once; more wait in the listen backlog.
    connections: usize,
    /// For a request's header section to arrive, and for an idle connection.
    headers: Duration,
    /// For requests under way when the server is told to stop.
    drain: Duration,
}

const LIMITS: Limits = Limits { connections: 4096, headers: Duration::from_secs(30), drain: Duration::from_secs(25) };

/// Serves HTTP/1.1 and HTTP/2 on `listener` until `shutdown` completes, then lets requests under way end, for at most
/// 25 seconds. Failed accepts and connections do not end it.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    serve_within(LIMITS, listener, router, shutdown).await
}

async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let builder = builder(limits);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
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
                Ok((stream, _)) => {
                    let (builder, router, watcher) = (builder.clone(), router.clone(), graceful.watcher());
                    connections.spawn(async move {
                        let _place = place;
                        connection(limits, stream, &builder, router, watcher).await;
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
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were still under way when the time to stop was up");
    }
    connections.shutdown().await;
    Ok(())
}

async fn connection(
    limits: Limits,
    stream: TcpStream,
    builder: &auto::Builder<TokioExecutor>,
    router: Router,
    watcher: Watcher,
) {
    // Small answers leave at once.
    let _ = stream.set_nodelay(true);
    // hyper-util's own detection waits for the first bytes without a limit.
    let Ok(Ok(http2)) = tokio::time::timeout(limits.headers, is_http2(&stream)).await else { return };
    let builder = if http2 { builder.clone().http2_only() } else { builder.clone().http1_only() };
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        // Clients that go away are everyday.
        tracing::debug!(%error, "a connection ended early");
    }
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
        .max_header_list_size(32 * 1024);
    builder
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::routing::get;
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
        let router =
            Router::new().route("/", get(async || "hello")).route("/slow", slow(300)).route("/slower", slow(60_000));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve_within(limits, listener, router, async {
            let _ = stopped.await;
        }));
        Server { address, stop, task }
    }

    const QUICK: Limits = Limits { connections: 2, headers: Duration::from_millis(200), drain: Duration::from_secs(5) };

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
}
