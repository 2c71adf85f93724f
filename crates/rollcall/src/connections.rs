//! The connections of the gRPC listener: how many there may be, TLS where it is wanted, and that each begins as HTTP/2 in
//! time. tonic takes any number and waits for the first bytes for ever.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::stream;
use scim_gateway::{Addresses, Entered};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

use crate::tls;

const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// After an accept that failed: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once; more wait in the listen backlog.
    pub(crate) connections: usize,
    /// Of them, from one address; more are closed. A gateway has one.
    pub(crate) per_address: usize,
    /// For the first bytes to arrive.
    pub(crate) preface: Duration,
}

pub(crate) const LIMITS: Limits = Limits { connections: 1024, per_address: 256, preface: Duration::from_secs(10) };

/// Who is at the other end; in the extensions of each request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) address: Option<SocketAddr>,
    /// The names of its certificate, which was verified; empty: it showed none.
    pub(crate) names: Arc<[String]>,
}

/// A connection that has begun to speak HTTP/2. It has its place until it is dropped.
pub(crate) struct Connection {
    stream: Stream,
    peer: Peer,
    _held: Held,
}

type Held = (OwnedSemaphorePermit, Entered);

enum Stream {
    Plain(TcpStream),
    /// With how much of the preface has yet to be read: it was taken out of the stream to look at.
    Tls(Box<TlsStream<TcpStream>>, &'static [u8]),
}

/// Never yields an error: one that is passed on would be tried again at once, which for lack of file descriptors is a
/// busy loop. Accepting ends when the stream is dropped.
pub(crate) fn incoming(
    listener: TcpListener,
    limits: Limits,
    tls: Option<TlsAcceptor>,
) -> impl futures::Stream<Item = io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = accept(&listener, limits, tls, &sender) => {}
        }
    });
    stream::unfold(receiver, |mut receiver: mpsc::Receiver<Connection>| async move {
        receiver.recv().await.map(|connection| (Ok(connection), receiver))
    })
}

async fn accept(listener: &TcpListener, limits: Limits, tls: Option<TlsAcceptor>, sender: &mpsc::Sender<Connection>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let addresses = Addresses::new(limits.per_address, Vec::new());
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(entered) = addresses.enter(peer.ip()) else {
                    tracing::debug!("an address has too many gRPC connections");
                    continue;
                };
                let begun = begin(stream, peer, tls.clone(), (place, entered));
                let begun = tokio::time::timeout(limits.preface, begun);
                let sender = sender.clone();
                tokio::spawn(async move {
                    let begun = tokio::select! {
                        begun = begun => begun,
                        () = sender.closed() => return,
                    };
                    if let Ok(Ok(Some(connection))) = begun {
                        let _ = sender.send(connection).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a gRPC connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// `None`: it speaks something else.
async fn begin(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    held: Held,
) -> io::Result<Option<Connection>> {
    let _ = stream.set_nodelay(true);
    let mut peer = Peer { address: Some(address), names: Arc::default() };
    let Some(tls) = tls else {
        let stream = is_http2(&stream).await?.then_some(Stream::Plain(stream));
        return Ok(stream.map(|stream| Connection { stream, peer, _held: held }));
    };
    let mut stream = Box::new(tls.accept(stream).await.inspect_err(|error| {
        tracing::debug!(%error, "a gRPC connection did not become TLS");
    })?);
    let mut start = [0; HTTP2_PREFACE.len()];
    stream.read_exact(&mut start).await?;
    peer.names = tls::names(&stream);
    let stream = (start == *HTTP2_PREFACE).then_some(Stream::Tls(stream, HTTP2_PREFACE));
    Ok(stream.map(|stream| Connection { stream, peer, _held: held }))
}

async fn is_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; HTTP2_PREFACE.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        if seen == 0 || start.get(..seen) != HTTP2_PREFACE.get(..seen) {
            return Ok(false);
        }
        if seen == HTTP2_PREFACE.len() {
            return Ok(true);
        }
        // A piece of it: no event tells of more than has been peeked at.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream, []) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(_, preface) => {
                let (now, later) = preface.split_at(preface.len().min(buf.remaining()));
                buf.put_slice(now);
                *preface = later;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream, _) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const QUICK: Limits = Limits { connections: 100, per_address: 3, preface: Duration::from_millis(200) };

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        (listener, address)
    }

    async fn connected(address: SocketAddr, text: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(text).await.expect("written");
        stream
    }

    /// Waits until the other side closes.
    async fn closed(mut stream: TcpStream) {
        let mut all = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await;
        let _ = read.expect("the listener closes the connection");
        assert!(all.is_empty(), "without a word");
    }

    /// An accept loop that ends or spins on errors is a denial of service (CVE-2024-47609).
    #[tokio::test]
    async fn connections_are_accepted_after_one_was_reset() {
        let (listener, address) = listener().await;
        let mut accepted = std::pin::pin!(incoming(listener, QUICK, None));
        for _ in 0..3 {
            drop(TcpStream::connect(address).await.expect("connected"));
            let _client = connected(address, &HTTP2_PREFACE[..]).await;
            accepted.next().await.expect("a connection").expect("no error");
        }
    }

    #[tokio::test]
    async fn who_does_not_speak_http2_in_time_is_let_go_and_keeps_nobody_waiting() {
        let (listener, address) = listener().await;
        let mut accepted = std::pin::pin!(incoming(listener, QUICK, None));
        let silent = connected(address, b"").await;
        let slow = connected(address, b"PRI * HT").await;
        let begun = tokio::time::Instant::now();
        let client = connected(address, &HTTP2_PREFACE[..]).await;
        let mut connection = accepted.next().await.expect("a connection").expect("no error");
        assert!(begun.elapsed() < QUICK.preface, "{:?}", begun.elapsed());
        let mut preface = [0; HTTP2_PREFACE.len()];
        connection.read_exact(&mut preface).await.expect("what was looked at is still there");
        assert_eq!(preface, *HTTP2_PREFACE);
        for stream in [silent, slow] {
            closed(stream).await;
        }
        closed(connected(address, b"GET / HTTP/1.1\r\n\r\n").await).await;
        drop(client);
    }

    #[tokio::test]
    async fn an_address_has_so_many_connections() {
        let (listener, address) = listener().await;
        let mut accepted = std::pin::pin!(incoming(listener, QUICK, None));
        let mut clients = Vec::new();
        let mut connections = Vec::new();
        for _ in 0..QUICK.per_address {
            clients.push(connected(address, &HTTP2_PREFACE[..]).await);
            connections.push(accepted.next().await.expect("a connection").expect("no error"));
        }
        closed(connected(address, b"").await).await;
        connections.pop();
        clients.push(connected(address, &HTTP2_PREFACE[..]).await);
        accepted.next().await.expect("a connection").expect("no error");
    }

    #[tokio::test]
    async fn a_full_house_waits_in_the_backlog() {
        let (listener, address) = listener().await;
        let mut accepted = std::pin::pin!(incoming(listener, Limits { connections: 1, ..QUICK }, None));
        let _first = connected(address, &HTTP2_PREFACE[..]).await;
        let first = accepted.next().await.expect("a connection").expect("no error");
        let _second = connected(address, &HTTP2_PREFACE[..]).await;
        let none = tokio::time::timeout(Duration::from_millis(50), accepted.next()).await;
        assert!(none.is_err(), "there is one place");
        drop(first);
        accepted.next().await.expect("a connection").expect("no error");
    }
}
