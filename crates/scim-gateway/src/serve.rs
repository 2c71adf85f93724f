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

/// Connections at once; more wait in the listen backlog.
const MAX_CONNECTIONS: usize = 4096;
/// For a request's header section to arrive, and for an idle connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// For requests under way when the server is told to stop.
const DRAIN: Duration = Duration::from_secs(25);
/// After an accept that failed: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves HTTP/1.1 and HTTP/2 on `listener` until `shutdown` completes, then lets requests under way end, for at most
/// 25 seconds. Failed accepts and connections do not end it.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let builder = builder();
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
                        connection(stream, &builder, router, watcher).await;
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
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were still under way when the time to stop was up");
    }
    connections.shutdown().await;
    Ok(())
}

async fn connection(stream: TcpStream, builder: &auto::Builder<TokioExecutor>, router: Router, watcher: Watcher) {
    // Small answers leave at once.
    let _ = stream.set_nodelay(true);
    // hyper-util's own detection waits for the first bytes without a limit.
    let Ok(Ok(http2)) = tokio::time::timeout(HEADER_TIMEOUT, is_http2(&stream)).await else { return };
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

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
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
