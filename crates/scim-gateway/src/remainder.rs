//! What is left of a request over HTTP/2 when nobody wants it any more: an answer that needs no body, mostly a refusal.
//!
//! h2 resets such a stream, and counts what of it arrives later as the client's error. Errors are counted over the life of
//! a connection, so that a client with many short refused requests would lose its connection, and all requests under way.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::BodyStream;
use hyper::body::{Body, Frame, SizeHint};

/// For the rest to arrive.
const WAIT: Duration = Duration::from_secs(1);
/// Bytes. Who sends more is told to stop by the reset.
const MOST: usize = 64 * 1024;

/// A body that is read to its end after it was dropped, if that comes soon. The answer does not wait for it.
pub struct Remainder<B>(Option<B>)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send;

impl<B> Remainder<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    /// `body`: as it came from the connection.
    pub fn of(body: B) -> Self {
        Self(Some(body))
    }
}

impl<B> Body for Remainder<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B> Drop for Remainder<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            mem::drop(runtime.spawn(tokio::time::timeout(WAIT, read(body))));
        }
    }
}

async fn read<B: Body<Data = Bytes> + Unpin>(body: B) {
    let mut frames = BodyStream::new(body);
    let mut left = MOST;
    while let Some(Ok(frame)) = frames.next().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(less) = left.checked_sub(length) else { return };
        left = less;
    }
}
