//! Requests whose head hyper cannot read: it answers them by itself, with a status and nothing more, and has no hook for
//! another answer (hyper #3225). Its answer is recognized on its way to the socket and gives way to the router's.
//!
//! Not here: HTTP/2, where such a stream is reset.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{
    Method, Request, Response, StatusCode, Uri,
    header::{CONNECTION, CONTENT_LENGTH},
};
use http_body_util::BodyExt as _;
use scim::ErrorKind;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tower::ServiceExt as _;

use crate::{client_address::Peer, error::Failure};

/// hyper's answer has three short header fields.
const LONGEST: usize = 256;
/// In the version of the request before.
const STARTS: [&[u8]; 2] = [b"HTTP/1.1 ", b"HTTP/1.0 "];
const START: usize = 9;
const END: &[u8] = b"\r\n\r\n";
/// What the client is still sending is read for so long and so far after the answer: unread bytes make the kernel reset the
/// connection, and the answer may be lost with it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// In a request's extensions: there is no request, only a head that cannot be read, to be answered with this status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unreadable(pub(crate) StatusCode);

impl Unreadable {
    /// In words for whoever configures the client.
    pub(crate) fn failure(self) -> Failure {
        let (kind, detail) = match self.0 {
            StatusCode::URI_TOO_LONG => (
                ErrorKind::UriTooLong,
                "The path and query of this request are too long. Send a long filter to POST /.search instead.",
            ),
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
                ErrorKind::HeadersTooLarge,
                "The header fields of this request are too many or too large: 100 fields and 64 KiB are read. Send fewer \
                 or shorter ones; cookies are not needed.",
            ),
            _ => (
                ErrorKind::BadRequest,
                "This is not a request as HTTP/1.1 has it: its first line or a header field cannot be read. Check what \
                 your client or a proxy before this server makes of it.",
            ),
        };
        Failure::new(kind, detail)
    }
}

/// The client's side of an HTTP/1 connection.
pub(crate) struct Stream {
    inner: TcpStream,
    router: Router,
    peer: Peer,
    answer: Answer,
}

enum Answer {
    /// hyper has not answered by itself, which it does last of all.
    None,
    /// The router's is being made.
    Made(Pin<Box<dyn Future<Output = Vec<u8>> + Send>>),
    /// It is being written: so much of it is.
    Writing(Vec<u8>, usize),
    Written,
    /// The client's rest is being read: so much of it, until then.
    Lingering(Pin<Box<Sleep>>, usize),
}

impl Stream {
    pub(crate) fn new(inner: TcpStream, router: Router, peer: Peer) -> Self {
        Self { inner, router, peer, answer: Answer::None }
    }

    /// Writes the router's answer instead of hyper's; ready when it is written.
    fn poll_answer(&mut self, own: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.answer = match &mut self.answer {
                Answer::None => Answer::Made(Box::pin(answer(self.router.clone(), self.peer, own.to_vec()))),
                Answer::Made(made) => Answer::Writing(ready!(made.as_mut().poll(cx)), 0),
                Answer::Writing(bytes, written) => match bytes.get(*written..) {
                    None | Some([]) => Answer::Written,
                    Some(rest) => {
                        let more = ready!(Pin::new(&mut self.inner).poll_write(cx, rest))?;
                        if more == 0 {
                            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                        }
                        *written += more;
                        continue;
                    }
                },
                Answer::Written | Answer::Lingering(..) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Answer::Lingering(until, read) = &mut self.answer else { return Poll::Ready(()) };
        let mut bytes = [0; 8 * 1024];
        while *read < LINGER_BYTES && until.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *read += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(())
    }
}

/// Where hyper's own answer begins, if the bytes end with one. No other answer looks so: ours have a request id, and a body of
/// ours has no line breaks of this kind.
fn own_answer(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(END) {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST);
    let tail = bytes.get(from..)?;
    let start = tail.windows(START).rposition(|window| STARTS.contains(&window))?;
    let head = tail.get(start..)?;
    status(head).filter(StatusCode::is_client_error)?;
    let field = |name: &[u8]| head.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name));
    (field(b"\r\ncontent-length: 0\r\n") && !field(b"\r\nx-request-id:")).then_some(from + start)
}

fn status(head: &[u8]) -> Option<StatusCode> {
    StatusCode::from_bytes(head.get(START..START + 3)?).ok()
}

/// The router's answer, as bytes.
async fn answer(router: Router, peer: Peer, own: Vec<u8>) -> Vec<u8> {
    let status = status(&own).unwrap_or(StatusCode::BAD_REQUEST);
    let mut request = Request::new(Body::empty());
    // What it was is not known: no method, and no path that has a route.
    *request.method_mut() = Method::from_bytes(b"UNREADABLE").unwrap_or_default();
    *request.uri_mut() = Uri::from_static("/unreadable");
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(Unreadable(status));
    let Ok(response) = router.oneshot(request).await;
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await else { return own };
    written(&Response::from_parts(head, body.to_bytes()), &own)
}

fn written(response: &Response<bytes::Bytes>, own: &[u8]) -> Vec<u8> {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let version = own.get(..START).unwrap_or(STARTS[0]);
    let mut out = [version, format!("{} {reason}\r\n", status.as_str()).as_bytes()].concat();
    for (name, value) in response.headers().iter().filter(|(name, _)| !matches!(**name, CONTENT_LENGTH | CONNECTION)) {
        out.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    // hyper's clock is read once a second; its line is as good as a new one.
    if let Some(date) = own.split(|byte| *byte == b'\n').find(|line| line.to_ascii_lowercase().starts_with(b"date: ")) {
        out.extend([date, b"\n"].concat());
    }
    let length = response.body().len();
    out.extend(format!("content-length: {length}\r\nconnection: close\r\n\r\n").into_bytes());
    out.extend_from_slice(response.body());
    out
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match own_answer(bytes) {
            None => Pin::new(&mut this.inner).poll_write(cx, bytes),
            Some(0) => {
                ready!(this.poll_answer(bytes, cx))?;
                Poll::Ready(Ok(bytes.len()))
            }
            // The end of the answer before it.
            Some(before) => Pin::new(&mut this.inner).poll_write(cx, bytes.get(..before).unwrap_or(bytes)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head is written whole, into one of them.
        match slices.iter().position(|slice| own_answer(slice).is_some()) {
            None => Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices),
            Some(0) => self.poll_write(cx, slices.first().map_or(&[], |slice| slice)),
            Some(before) => {
                let before = slices.get(..before).unwrap_or(slices);
                Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, before)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.answer, Answer::Written) {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            this.answer = Answer::Lingering(Box::pin(tokio::time::sleep(LINGER)), 0);
        }
        if matches!(this.answer, Answer::Lingering(..)) {
            return this.poll_linger(cx).map(Ok);
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hypers_own_answer_is_told_from_ours() {
        let own = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\ndate: today\r\n\r\n";
        assert_eq!(own_answer(own), Some(0));
        let older = [&b"HTTP/1.0"[..], &own[8..]].concat();
        assert_eq!(own_answer(&older), Some(0));
        let replaced = written(&Response::new(bytes::Bytes::from_static(b"{}")), &older);
        assert!(replaced.starts_with(b"HTTP/1.0 200 OK\r\n"), "in the same version");
        assert_eq!(own_answer(&[&b"{\"detail\":\"\"}"[..], own].concat()), Some(13));
        assert_eq!(own_answer(&[&b"HTTP/1.1 204 No Content\r\nx-request-id: 1\r\n\r\n"[..], own].concat()), Some(44));
        for other in [
            &b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nX-Request-Id: 1\r\n\r\n"[..],
            b"HTTP/1.1 204 No Content\r\nx-request-id: 1\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
            b"0\r\n\r\n",
            b"",
        ] {
            assert_eq!(own_answer(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
