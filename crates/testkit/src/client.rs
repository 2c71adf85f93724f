//! A small HTTP client for SCIM: any method, headers as given, the answer whole.
//!
//! Not here: what a right answer is. The suites say that.

use std::{fmt, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Okta's socket timeout: a slower answer is a failure for its caller.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Requests to one base URL, with the same headers on each. Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: Http<HttpConnector, Full<Bytes>>,
    base: String,
    headers: HeaderMap,
}

impl fmt::Debug for Client {
    /// Without the headers: they hold the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// As received.
    pub headers: HeaderMap,
    /// As received, not decompressed.
    pub body: Bytes,
}

impl Reply {
    /// A header as text; `None` where it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as JSON; `Null` for an empty one.
    ///
    /// # Errors
    /// If it is not JSON, with its beginning.
    pub fn json(&self) -> Result<Value> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).with_context(|| {
            let text: String = String::from_utf8_lossy(&self.body).chars().take(200).collect();
            format!("the body is not JSON: {text}")
        })
    }
}

impl Client {
    /// For a base such as `http://127.0.0.1:8080/scim/v2`.
    pub fn new(base: &str) -> Self {
        let http = Http::builder(TokioExecutor::new()).build(HttpConnector::new());
        Self { http, base: base.trim_end_matches('/').to_owned(), headers: HeaderMap::new() }
    }

    /// The same client with one more header on each request, or another value for it.
    ///
    /// # Errors
    /// If name or value cannot stand in a header.
    pub fn with_header(&self, name: &str, value: &str) -> Result<Self> {
        let mut client = self.clone();
        client.headers.insert(header_name(name)?, header_value(value)?);
        Ok(client)
    }

    /// The same client without this header.
    pub fn without_header(&self, name: &str) -> Self {
        let mut client = self.clone();
        client.headers.remove(name);
        client
    }

    /// The same client with a bearer token.
    ///
    /// # Errors
    /// If it cannot stand in a header.
    pub fn with_token(&self, token: &str) -> Result<Self> {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    /// What paths are appended to, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends one request. `path` begins with a slash and holds the query, already encoded.
    ///
    /// # Errors
    /// If there is no whole answer within a minute.
    pub async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Reply> {
        let uri: Uri = format!("{}{path}", self.base).parse().with_context(|| format!("{path:?} is not a path"))?;
        let mut request = Request::builder().method(&method).uri(uri).body(Full::new(body.unwrap_or_default()))?;
        *request.headers_mut() = self.headers.clone();
        let exchange = async {
            let (head, body) = self.http.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .with_context(|| format!("{method} {path}: no answer within {} s", TIMEOUT.as_secs()))?
            .with_context(|| format!("{method} {path}: no answer"))
    }

    /// Sends JSON, if any.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        self.send(method, path, body.map(|body| Bytes::from(body.to_string()))).await
    }
}

fn header_name(name: &str) -> Result<HeaderName> {
    HeaderName::try_from(name).with_context(|| format!("{name:?} is not a header name"))
}

fn header_value(value: &str) -> Result<HeaderValue> {
    // Not shown: it may be a token.
    HeaderValue::try_from(value).context("the value cannot stand in a header")
}

/// A query value as Okta's and Entra's clients write it: a space is `+`, a quote `%22`, a plus sign `%2B`.
pub fn form_encode(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_encoded_as_a_form() {
        assert_eq!(form_encode(r#"userName eq "a+b@x.org""#), "userName+eq+%22a%2Bb%40x.org%22");
        assert_eq!(form_encode("é"), "%C3%A9");
    }
}
