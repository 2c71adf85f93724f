//! A conversation that a person can follow: what was asked, what came, what was checked.
//!
//! Not here: what is asked. A check that does not hold ends the suite with both values.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Result, bail};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::{
    client::{Client, Reply},
    okta,
};

/// How much of a body is shown.
const SHOWN: usize = 240;

/// Where the suites write. Clones write to the same place.
#[derive(Clone, Default)]
pub struct Transcript {
    secrets: Arc<Mutex<Vec<String>>>,
    checks: Arc<AtomicUsize>,
}

impl Transcript {
    /// Never shows this text again.
    pub fn hide(&self, secret: &str) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(secret.to_owned());
    }

    /// How many checks held.
    pub fn checks(&self) -> usize {
        self.checks.load(Ordering::Relaxed)
    }

    /// A heading.
    pub fn chapter(&self, title: &str) {
        self.line(&format!("\n=== {title}"));
    }

    /// What the next requests are for.
    pub fn step(&self, title: &str) {
        self.line(&format!("\n  {title}"));
    }

    /// Records a check that held.
    pub fn held(&self, what: &str) {
        self.checks.fetch_add(1, Ordering::Relaxed);
        self.line(&format!("     ok {what}"));
    }

    /// Compares two values.
    ///
    /// # Errors
    /// If they differ, with both.
    pub fn same<T: PartialEq + std::fmt::Debug>(&self, what: &str, found: &T, expected: &T) -> Result<()> {
        if found != expected {
            bail!("{what}: expected {expected:?}, found {found:?}");
        }
        self.held(what);
        Ok(())
    }

    /// Checks a condition.
    ///
    /// # Errors
    /// If it does not hold.
    pub fn that(&self, what: &str, holds: bool) -> Result<()> {
        self.same(what, &holds, &true)
    }

    fn line(&self, text: &str) {
        let mut text = text.to_owned();
        for secret in self.secrets.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            text = text.replace(secret, "(secret)");
        }
        // A closed pipe must not fail a suite.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}

/// One client in conversation with the server.
#[derive(Clone)]
pub struct Talk {
    /// Headers and address.
    pub client: Client,
    /// Where it is written down.
    pub transcript: Transcript,
}

impl Talk {
    /// The same conversation by another client.
    pub fn by(&self, client: Client) -> Self {
        Self { client, transcript: self.transcript.clone() }
    }

    /// What the next requests are for.
    pub fn step(&self, title: &str) {
        self.transcript.step(title);
    }

    /// GET.
    ///
    /// # Errors
    /// If there is no answer, or it breaks a rule that holds for all answers.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    /// POST.
    ///
    /// # Errors
    /// As [`Talk::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::POST, path, Some(body.to_string().into())).await
    }

    /// PUT.
    ///
    /// # Errors
    /// As [`Talk::get`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::PUT, path, Some(body.to_string().into())).await
    }

    /// PATCH.
    ///
    /// # Errors
    /// As [`Talk::get`].
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(Method::PATCH, path, Some(body.to_string().into())).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Talk::get`].
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    /// Any request.
    ///
    /// # Errors
    /// As [`Talk::get`].
    pub async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Answer> {
        let line = format!("{method} {path}");
        self.transcript.line(&format!("  -> {line}"));
        if let Some(body) = &body {
            self.transcript.line(&format!("     {}", short(body)));
        }
        let reply = self.client.send(method, path, body).await?;
        self.transcript.line(&format!("  <- {} {}", reply.status, short(&reply.body)));
        let body = reply.json()?;
        let answer = Answer { request: line, reply, body, transcript: self.transcript.clone() };
        answer.keeps_the_rules()?;
        Ok(answer)
    }
}

fn short(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > SHOWN {
        shown.push_str(&format!(".. ({} bytes)", body.len()));
    }
    shown
}

/// What came back, and checks on it. Each check takes the answer and gives it back.
pub struct Answer {
    request: String,
    /// As received.
    pub reply: Reply,
    /// The body; `Null` when there is none.
    pub body: Value,
    transcript: Transcript,
}

impl Answer {
    fn differs<T>(&self, what: &str, expected: &str, found: &str) -> Result<T> {
        bail!(
            "{}: {what}: expected {expected}, found {found}\n  status {}\n  body {}",
            self.request,
            self.reply.status,
            String::from_utf8_lossy(&self.reply.body)
        )
    }

    fn compare(self, what: &str, expected: &str, found: &str) -> Result<Self> {
        if expected != found {
            return self.differs(what, expected, found);
        }
        self.transcript.held(&format!("{what} {}", short(found.as_bytes())));
        Ok(self)
    }

    /// What holds for every answer: a request id, SCIM's media type, and a SCIM error for each refusal.
    fn keeps_the_rules(&self) -> Result<()> {
        if self.reply.header("x-request-id").is_none_or(str::is_empty) {
            return self.differs("header X-Request-Id", "one", "none");
        }
        let media_type = self.reply.header("content-type").unwrap_or_default();
        if !self.reply.body.is_empty()
            && !media_type.starts_with("application/scim+json")
            && !media_type.starts_with("application/json")
        {
            return self.differs("content type", "application/scim+json", media_type);
        }
        if self.reply.status >= 400 {
            if self.reply.status >= 500 {
                return self.differs("status", "no fault of the server", &self.reply.status.to_string());
            }
            for (pointer, expected) in
                [("/schemas", json!([okta::ERROR])), ("/status", json!(self.reply.status.to_string()))]
            {
                if self.at(pointer) != expected {
                    return self.differs(
                        &format!("error body {pointer}"),
                        &expected.to_string(),
                        &self.at(pointer).to_string(),
                    );
                }
            }
            if self.body["detail"].as_str().is_none_or(str::is_empty) {
                return self.differs("error body /detail", "a text", &self.body["detail"].to_string());
            }
        }
        Ok(())
    }

    /// The value at a JSON pointer; `Null` where there is none.
    pub fn at(&self, pointer: &str) -> Value {
        self.body.pointer(pointer).cloned().unwrap_or(Value::Null)
    }

    /// The text at a JSON pointer.
    ///
    /// # Errors
    /// If there is none.
    pub fn text(&self, pointer: &str) -> Result<String> {
        match self.at(pointer) {
            Value::String(text) => Ok(text),
            other => self.differs(pointer, "a text", &other.to_string()),
        }
    }

    /// The resource's id.
    ///
    /// # Errors
    /// If there is none.
    pub fn id(&self) -> Result<String> {
        self.text("/id")
    }

    /// Checks the status code.
    ///
    /// # Errors
    /// If it is another.
    pub fn status(self, expected: u16) -> Result<Self> {
        let found = self.reply.status.to_string();
        self.compare("status", &expected.to_string(), &found)
    }

    /// Checks the value at a JSON pointer. The order of an object's members says nothing.
    ///
    /// # Errors
    /// If it is another.
    pub fn is(self, pointer: &str, expected: impl Into<Value>) -> Result<Self> {
        let (found, expected) = (self.at(pointer), expected.into());
        if found != expected {
            return self.differs(pointer, &expected.to_string(), &found.to_string());
        }
        let shown = if pointer.is_empty() {
            "(all)".to_owned()
        } else {
            format!("{pointer} {}", short(found.to_string().as_bytes()))
        };
        self.transcript.held(&shown);
        Ok(self)
    }

    /// Checks that nothing is at a JSON pointer.
    ///
    /// # Errors
    /// If something is.
    pub fn lacks(self, pointer: &str) -> Result<Self> {
        match self.body.pointer(pointer) {
            None => {
                self.transcript.held(&format!("no {pointer}"));
                Ok(self)
            }
            Some(found) => self.differs(pointer, "nothing", &found.to_string()),
        }
    }

    /// Checks a header.
    ///
    /// # Errors
    /// If it is absent or another.
    pub fn header(self, name: &str, expected: &str) -> Result<Self> {
        let found = self.reply.header(name).unwrap_or("(none)").to_owned();
        self.compare(name, expected, &found)
    }

    /// Checks the value at a pointer as a set: the order of members says nothing.
    ///
    /// # Errors
    /// If the sets differ.
    pub fn holds(self, pointer: &str, key: &str, expected: &[&str]) -> Result<Self> {
        let array = self.at(pointer);
        let found = sorted(array.as_array().into_iter().flatten().filter_map(|item| item[key].as_str()));
        let expected = sorted(expected.iter().copied());
        self.compare(&format!("{pointer}/*/{key}"), &format!("{expected:?}"), &format!("{found:?}"))
    }

    /// Checks anything else.
    ///
    /// # Errors
    /// If it does not hold.
    pub fn that(self, what: &str, holds: impl FnOnce(&Self) -> bool) -> Result<Self> {
        if !holds(&self) {
            return self.differs(what, "true", "false");
        }
        self.transcript.held(what);
        Ok(self)
    }

    /// Checks a refusal: status, `scimType`, and, for 401, `WWW-Authenticate`. Its form was checked on arrival.
    ///
    /// # Errors
    /// If it is another.
    pub fn refused(self, status: u16, scim_type: Option<&str>) -> Result<Self> {
        let answer = self.status(status)?;
        let answer = match scim_type {
            Some(expected) => answer.is("/scimType", expected)?,
            None => answer,
        };
        if status == 401 && answer.reply.header("www-authenticate").is_none() {
            return answer.differs("header WWW-Authenticate", "a challenge", "(none)");
        }
        Ok(answer)
    }

    /// Checks a list's envelope: numbers are JSON numbers, `itemsPerPage` is what was returned.
    ///
    /// # Errors
    /// If it is not so.
    pub fn list(self, total_results: u64) -> Result<Self> {
        let returned = self.body["Resources"].as_array().map_or(0, Vec::len);
        self.status(200)?
            .is("/schemas", json!([okta::LIST]))?
            .is("/totalResults", total_results)?
            .is("/itemsPerPage", returned)
    }
}

fn sorted<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut items: Vec<&str> = items.collect();
    items.sort_unstable();
    items
}
