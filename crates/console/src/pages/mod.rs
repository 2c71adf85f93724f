//! The pages: each module has those of one thing, what they show and what their forms change.

pub(crate) mod accounts;
pub(crate) mod administrators;
pub(crate) mod agents;
pub(crate) mod assistant;
mod chart;
pub(crate) mod clients;
pub(crate) mod deleted;
pub(crate) mod deletion;
pub(crate) mod directory;
mod failing;
pub(crate) mod guides;
mod history;
pub(crate) mod holds;
pub(crate) mod log;
pub(crate) mod overview;
pub(crate) mod provider;
pub(crate) mod scim;
pub(crate) mod sessions;
pub(crate) mod tokens;
mod who;

pub(crate) use who::inviter;

use askama::Template;
use axum::response::Response;
use http::{StatusCode, header::SET_COOKIE};

use crate::{
    form::Form,
    page::{self, Section, Shell},
    problem::{Problem, Result},
    session::SignedIn,
};

pub(crate) use assistant::Newest;

/// How long a page may take that says what was done.
const NOTICE_SECONDS: u32 = 60;

/// Before what cannot be taken back.
#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm {
    shell: Shell,
    /// Path below the root, and name, of where it is left for.
    back: (&'static str, &'static str),
    /// Path below the root.
    action: String,
    /// What it is about, in the organization's words.
    subject: String,
    consequence: &'static str,
    button: &'static str,
    /// A box that lets it be done all the same.
    force: Option<&'static str>,
    error: Option<String>,
}

/// A secret, this once.
#[derive(Template)]
#[template(path = "secret.html")]
struct Secret {
    shell: Shell,
    back: (&'static str, &'static str),
    what: &'static str,
    secret: String,
    /// What is pasted beside it.
    beside: Vec<Line>,
    steps: Vec<String>,
}

struct Line {
    id: &'static str,
    label: &'static str,
    value: String,
}

impl Secret {
    /// The answer to the form that made it; the same form sent again by a reload makes no other.
    fn answer(self, signed_in: &SignedIn, form: &Form) -> Result<Response> {
        let mut response = page::html(StatusCode::OK, &self)?;
        let cookies = signed_in.visit.console.cookies;
        if let Some(cookie) = cookies.set(cookies.made, form.get("_once"), None) {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        Ok(response)
    }
}

/// Some: the form has made a secret before, and this is where to go on.
fn made_before(signed_in: &SignedIn, form: &Form, back: &str) -> Result<Option<Response>> {
    let once = form.get("_once");
    if once.is_empty() {
        let text = "The form was not whole. Open the page anew and send it again.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was changed", text));
    }
    if signed_in.visit.made.as_deref() != Some(once) {
        return Ok(None);
    }
    see(signed_in, back, "made").map(Some)
}

/// On to a page of the console, which says what was done. The word is in a cookie that is good for one page: one in the address would
/// let any link say so.
fn see(signed_in: &SignedIn, path: &str, done: &str) -> Result<Response> {
    let console = &signed_in.visit.console;
    let mut response = page::see(&format!("{}/{path}", console.site.root))?;
    if let Some(cookie) = console.cookies.set(console.cookies.done, done, Some(NOTICE_SECONDS)) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A page with what was wrong with its form, or a page of its own for what was wrong otherwise.
fn said(problem: Problem) -> Result<String> {
    if problem.of_the_form() { Ok(problem.text.into_owned()) } else { Err(problem) }
}

fn status(error: Option<&String>) -> StatusCode {
    if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
}

/// For `GET /console/...` that nothing has.
pub(crate) async fn nothing(_: SignedIn) -> Problem {
    Problem::not_found()
}

/// The heading of a page about SCIM.
fn scim_shell(signed_in: &SignedIn, title: impl Into<String>) -> Shell {
    Shell::new(signed_in, Section::Scim, title)
}
