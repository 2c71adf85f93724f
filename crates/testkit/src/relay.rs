//! A relay that stands before a server and keeps all that goes through it, HTTP/1.1 and HTTP/2: heads as they are meant, not as HPACK
//! writes them, and bodies byte for byte.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header::ACCEPT_ENCODING, uri::Authority};
use http_body_util::{BodyExt as _, Empty, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;

type Body = BoxBody<Bytes, hyper::Error>;

/// A request and its answer, as far as they have gone through.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// `POST`
    pub method: String,
    /// With the query.
    pub path: String,
    /// Header fields and trailers of the request, one a line.
    pub head: String,
    /// The request's body.
    pub body: Vec<u8>,
    /// 0: there was no answer.
    pub status: u16,
    /// Header fields and trailers of the answer, one a line.
    pub answer_head: String,
    /// The answer's body.
    pub answer: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    target: Option<Authority>,
    exchanges: Vec<Exchange>,
}

/// Listens on a port of its own as long as the runtime lives that started it. Clones are the same relay.
#[derive(Clone)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl std::fmt::Debug for Relay {
    /// Without what went through it: there are secrets in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Side {
    Request,
    Answer,
}

impl Relay {
    /// Starts it. Whoever connects is answered 502 until it is told where to go on.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let relay = Self { address: listener.local_addr()?, shared: Arc::default() };
        let mut plain = HttpConnector::new();
        plain.set_nodelay(true);
        let one = Client::builder(TokioExecutor::new()).build(plain.clone());
        let two = Client::builder(TokioExecutor::new()).http2_only(true).build(plain);
        let serving = relay.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let (relay, one, two) = (serving.clone(), one.clone(), two.clone());
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                        let client = if request.version() == http::Version::HTTP_2 { two.clone() } else { one.clone() };
                        let relay = relay.clone();
                        async move { relay.pass(request, client).await }
                    });
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(relay)
    }

    /// Where it listens, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it goes on to, `http://HOST:PORT`.
    ///
    /// # Errors
    /// If this is no such address.
    pub fn lead_to(&self, url: &str) -> Result<()> {
        let authority = url.strip_prefix("http://").context("not an http address")?;
        self.lock().target = Some(authority.parse()?);
        Ok(())
    }

    /// What went through so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.lock().exchanges.clone()
    }

    /// The same as bytes, for searching: each body in one piece.
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for Exchange { method, path, head, body, status, answer_head, answer } in &self.lock().exchanges {
            all.extend(format!("\n{method} {path}\n{head}\n").into_bytes());
            all.extend(body);
            all.extend(format!("\n{status}\n{answer_head}\n").into_bytes());
            all.extend(answer);
        }
        all
    }

    async fn pass(
        self,
        mut request: Request<Incoming>,
        client: Client<HttpConnector, Body>,
    ) -> Result<Response<Body>, std::convert::Infallible> {
        // What comes back is to be read.
        request.headers_mut().remove(ACCEPT_ENCODING);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let (at, target) = {
            let mut shared = self.lock();
            shared.exchanges.push(Exchange {
                method: request.method().to_string(),
                path: path.clone(),
                head: lines(request.headers()),
                ..Exchange::default()
            });
            (shared.exchanges.len() - 1, shared.target.clone())
        };
        let uri =
            target.and_then(|target| Uri::builder().scheme("http").authority(target).path_and_query(path).build().ok());
        let Some(uri) = uri else { return Ok(nowhere()) };
        let (mut parts, body) = request.into_parts();
        parts.uri = uri;
        let Ok(answer) = client.request(Request::from_parts(parts, self.kept(at, Side::Request, body))).await else {
            return Ok(nowhere());
        };
        let (parts, body) = answer.into_parts();
        if let Some(exchange) = self.lock().exchanges.get_mut(at) {
            exchange.status = parts.status.as_u16();
            exchange.answer_head = lines(&parts.headers);
        }
        Ok(Response::from_parts(parts, self.kept(at, Side::Answer, body)))
    }

    /// The body, each frame of which is kept as it goes through.
    fn kept(&self, at: usize, side: Side, body: Incoming) -> Body {
        let relay = self.clone();
        let keep = move |frame: hyper::body::Frame<Bytes>| {
            if let Some(exchange) = relay.lock().exchanges.get_mut(at) {
                let (head, body) = match side {
                    Side::Request => (&mut exchange.head, &mut exchange.body),
                    Side::Answer => (&mut exchange.answer_head, &mut exchange.answer),
                };
                match (frame.data_ref(), frame.trailers_ref()) {
                    (Some(data), _) => body.extend(data),
                    (_, Some(trailers)) => head.push_str(&lines(trailers)),
                    _ => {}
                }
            }
            frame
        };
        body.map_frame(keep).boxed()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lines(fields: &HeaderMap) -> String {
    fields.iter().fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        out
    })
}

fn nowhere() -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioExecutor;

    use super::*;

    async fn echo(request: Request<Incoming>) -> Result<Response<Body>, std::convert::Infallible> {
        let mut response = Response::new(request.into_body().boxed());
        response.headers_mut().insert("x-answer", http::HeaderValue::from_static("seen"));
        Ok(response)
    }

    #[tokio::test]
    async fn what_goes_through_is_kept_in_both_versions_of_http() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = hyper::service::service_fn(echo);
                tokio::spawn(async move {
                    auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
                });
            }
        });
        let relay = Relay::start().await.expect("a relay");
        for two in [false, true] {
            let client = Client::builder(TokioExecutor::new()).http2_only(two).build(HttpConnector::new());
            let send = |path: &str| {
                let request = Request::post(format!("{}{path}", relay.url())).header("x-secret", "of the head");
                let body = http_body_util::Full::new(Bytes::from_static(b"of the \xff body"));
                client.request(request.body(body).expect("a request"))
            };
            if !two {
                assert_eq!(send("/early").await.expect("an answer").status(), StatusCode::BAD_GATEWAY);
                relay.lead_to(&format!("http://{address}")).expect("an address");
            }
            let answer = send("/path?query=1").await.expect("an answer");
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), &b"of the \xff body"[..]);
            let kept = relay.exchanges().pop().expect("an exchange");
            assert_eq!((&*kept.method, &*kept.path, kept.status), ("POST", "/path?query=1", 200));
            assert!(kept.head.contains("x-secret: of the head") && kept.answer_head.contains("x-answer: seen"));
            assert_eq!((kept.body, kept.answer), (b"of the \xff body".to_vec(), b"of the \xff body".to_vec()));
        }
        let bytes = relay.bytes();
        assert!(
            bytes.windows(11).any(|window| window == b"the \xff body\n") && !format!("{relay:?}").contains("secret")
        );
    }
}
