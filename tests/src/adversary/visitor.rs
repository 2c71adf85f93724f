//! A browser without script or scruples: cookies and redirects, and every answer is kept.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{Method, header::SET_COOKIE};
use testkit::client::{Client, Reply, form_encode};

use crate::account::stage::SLUG;

/// Redirects in a row.
const FAR: usize = 12;

/// Where somebody signs in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Door {
    Account,
    Console,
}

impl Door {
    fn path(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Console => "console",
        }
    }
}

/// One browser.
#[derive(Default)]
pub(crate) struct Visitor {
    /// By origin, then by name.
    cookies: Mutex<BTreeMap<String, BTreeMap<String, String>>>,
    /// Whatever was answered to anybody who shares it.
    collected: Arc<Mutex<Vec<u8>>>,
}

impl Visitor {
    /// Another browser, whose answers are kept with this one's.
    pub(crate) fn another(&self) -> Self {
        Self { cookies: Mutex::default(), collected: Arc::clone(&self.collected) }
    }

    pub(crate) fn collected(&self) -> Vec<u8> {
        self.collected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One request with the cookies of its origin.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> Result<Reply> {
        let end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
        let (origin, path) = url.split_at(end);
        let mut client = Client::new(origin);
        let cookies = |jar: &BTreeMap<String, String>| {
            jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
        };
        let known = self.cookies.lock().unwrap_or_else(PoisonError::into_inner).get(origin).map(cookies);
        if let Some(cookies) = known.filter(|cookies| !cookies.is_empty()) {
            client = client.with_header("cookie", &cookies)?;
        }
        for (name, value) in headers {
            client = client.with_header(name, value)?;
        }
        let path = if path.is_empty() { "/" } else { path };
        let reply = client.send(method, path, body).await?;
        for cookie in reply.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).context("no cookie")?;
            let mut jars = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
            jars.entry(origin.to_owned()).or_default().insert(name.to_owned(), value.to_owned());
        }
        self.keep(url, &reply);
        Ok(reply)
    }

    /// An answer that came another way.
    pub(crate) fn keep(&self, url: &str, reply: &Reply) {
        let mut collected = self.collected.lock().unwrap_or_else(PoisonError::into_inner);
        collected.extend(format!("\n{} {url}\n{:?}\n", reply.status, reply.headers).into_bytes());
        collected.extend(&reply.body);
    }

    /// As [`Self::send`], and on to wherever that leads; with the last address.
    pub(crate) async fn follow(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> Result<(String, Reply)> {
        let mut url = url.to_owned();
        let mut reply = self.send(method, &url, headers, body).await?;
        for _ in 0..FAR {
            let Some(to) = reply.header("location").filter(|_| (300..400).contains(&reply.status)) else {
                return Ok((url, reply));
            };
            let end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
            url = if to.starts_with('/') { format!("{}{to}", &url[..end]) } else { to.to_owned() };
            reply = self.send(Method::GET, &url, &[], None).await?;
        }
        bail!("{url}: too many redirects")
    }

    /// Sends a form of the page.
    pub(crate) async fn submit(&self, url: &str, fields: &[(&str, &str)]) -> Result<(String, Reply)> {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", form_encode(value))).collect();
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("origin", origin(url)),
            ("sec-fetch-site", "same-origin"),
        ];
        self.follow(Method::POST, url, &headers, Some(body.join("&").into())).await
    }

    /// By the provider, which believes that this is whoever is named. Gives the page where it ends.
    pub(crate) async fn sign_in(&self, base: &str, door: Door, email: &str) -> Result<(String, Reply)> {
        let start = format!("{base}/{}/sign-in/start?organization={SLUG}", door.path());
        let (_, page) = self.follow(Method::GET, &start, &[], None).await?;
        let page = text(&page);
        let to = between(&page, "id=\"onward\" href=\"", "\"").with_context(|| format!("no way on: {page}"))?;
        let (mut url, mut reply) = self.follow(Method::GET, &unescaped(to), &[], None).await?;
        for _ in 0..2 {
            if !url.contains("/interaction/") {
                break;
            }
            let login = text(&reply).contains("name=\"login\"");
            let fields: &[(&str, &str)] = if login {
                &[("prompt", "login"), ("login", email), ("password", "any")]
            } else {
                &[("prompt", "consent")]
            };
            (url, reply) = self.submit(&url, fields).await?;
        }
        ensure!(url.starts_with(base), "the provider does not send {email} back: {url}: {}", text(&reply));
        Ok((url, reply))
    }
}

fn origin(url: &str) -> &str {
    let end = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    &url[..end]
}

/// A body as text.
pub(crate) fn text(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// What stands between these two.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let from = text.find(before)? + before.len();
    let rest = text.get(from..)?;
    rest.get(..rest.find(after)?)
}

fn unescaped(html: &str) -> String {
    ["&#38;", "&#x26;", "&amp;"].iter().fold(html.to_owned(), |text, entity| text.replace(entity, "&"))
}
