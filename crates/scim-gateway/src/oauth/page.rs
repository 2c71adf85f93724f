//! The pages of the authorization endpoint. No script, nothing from elsewhere, in no frame.

use std::fmt::Write as _;

use axum::response::{IntoResponse as _, Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_FRAME_OPTIONS},
};
use sha2::{Digest as _, Sha256};

use super::answer::{Code, Refused};
use crate::routes::status::escape;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8888;--accent:#1a5fb4}\
*{box-sizing:border-box}\
body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:8vh auto;padding:0 1.25rem}\
h1{font-size:1.4rem;line-height:1.25}\
dl{border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem}\
dt{font-size:.85rem;opacity:.75}\
dd{margin:0 0 .6rem;overflow-wrap:anywhere}\
ul{margin:0;padding-left:1.2rem}\
label{display:block;font-weight:600;margin-top:1rem}\
input{font:1.15rem ui-monospace,monospace;width:100%;padding:.5rem .6rem;border:1px solid #777;border-radius:.4rem;\
text-transform:uppercase}\
input::placeholder{color:inherit;opacity:.7}\
code{overflow-wrap:anywhere}\
button{font:inherit;padding:.55rem 1.3rem;border-radius:.4rem;border:1px solid #777;margin:1rem .6rem 0 0;cursor:pointer}\
button.yes{background:var(--accent);border-color:var(--accent);color:#fff}\
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}\
.problem{border-left:.3rem solid #c01c28;padding:.4rem .8rem}";

/// What is to be decided on. All of it is escaped here.
pub(super) struct Consent<'a> {
    pub(super) organization: &'a str,
    pub(super) slug: &'a str,
    pub(super) client: &'a str,
    pub(super) client_id: &'a str,
    /// A date, or empty where it is not known.
    pub(super) created: &'a str,
    /// Where this page is.
    pub(super) public_url: &'a str,
    pub(super) redirect_uri: &'a str,
    /// In a few words, such as "see the users".
    pub(super) purpose: &'a str,
    pub(super) may: Vec<&'a str>,
    /// The request, once more.
    pub(super) hidden: Vec<(&'a str, &'a str)>,
    pub(super) problem: Option<&'a str>,
}

pub(super) fn consent(consent: &Consent<'_>, status: StatusCode) -> Response {
    let (organization, client) = (escape(consent.organization), escape(consent.client));
    let mut body = format!("<h1>Allow {client} to {} of {organization}?</h1>\n", consent.purpose);
    if let Some(problem) = consent.problem {
        let _ = writeln!(body, "<p class=\"problem\" role=\"alert\" id=\"problem\">{}</p>", escape(problem));
    }
    let may: String = consent.may.iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    let (return_host, here) = (escape(host(consent.redirect_uri)), escape(host(consent.public_url)));
    let made = match consent.created {
        "" => String::new(),
        date => format!("<br>made {}", escape(date)),
    };
    let _ = write!(
        body,
        "<dl>\n<dt>Client</dt><dd>{client}{made}<br><code>{}</code></dd>\n\
         <dt>Organization</dt><dd>{organization}, at <code>{here}</code></dd>\n\
         <dt>It may</dt><dd><ul>{may}</ul></dd>\n\
         <dt>You return to</dt><dd><code>{return_host}</code><br><small><code>{}</code></small></dd>\n</dl>\n\
         <form method=\"post\" autocomplete=\"off\">\n",
        escape(consent.client_id),
        escape(consent.redirect_uri),
    );
    for (name, value) in &consent.hidden {
        let _ = writeln!(body, "<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value));
    }
    let described = if consent.problem.is_some() { "problem how\" aria-invalid=\"true" } else { "how" };
    let _ = write!(
        body,
        "<label for=\"code\">Approval code</label>\n\
         <input id=\"code\" name=\"approval_code\" type=\"text\" required maxlength=\"64\" spellcheck=\"false\" \
         autocapitalize=\"characters\" autocomplete=\"off\" placeholder=\"XXXX-XXXX-XXXX-XXXX\" \
         aria-describedby=\"{described}\">\n\
         <p id=\"how\">An administrator of {here} makes one, good for ten minutes:<br>\
         <code>rollcall oauth approve {} {}</code></p>\n\
         <button class=\"yes\" name=\"decision\" value=\"approve\">Allow</button>\
         <button name=\"decision\" value=\"deny\" formnovalidate>Deny</button>\n</form>\n",
        escape(consent.slug),
        escape(consent.client_id),
    );
    html(status, "", "Allow access", &body, "'self'")
}

/// To the client by GET, which a browser follows wherever it goes.
pub(super) fn redirect(location: &str) -> Option<Response> {
    let location = HeaderValue::try_from(location).ok()?;
    Some(sealed((StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(), "'none'"))
}

/// To the client after a form. A redirect would still be of the form, and Chromium holds each hop against `form-action`, also
/// those that the client makes to places nobody here knows. A page that goes on by itself ends the form.
pub(super) fn onward(location: &str) -> Response {
    let (to, host) = (escape(location), escape(host(location)));
    let body = format!("<h1>Going back to {host}</h1>\n<p><a href=\"{to}\">Go on</a>, if nothing happens.</p>\n");
    let refresh = format!("<meta http-equiv=\"refresh\" content=\"0;url={to}\">\n");
    html(StatusCode::OK, &refresh, "Going back", &body, "'none'")
}

/// Where there is nobody to redirect to.
pub(super) fn refused(refused: &Refused) -> Response {
    let status = match refused.code {
        Code::TemporarilyUnavailable => refused.status,
        Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        Code::AccessDenied => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    };
    let body = format!(
        "<h1>This request cannot be answered</h1>\n<p class=\"problem\" role=\"alert\">{}</p>\n\
         <p>Nothing was allowed and nobody was told. Go back to the identity provider and check what it was set up with.</p>\n",
        escape(&refused.description)
    );
    html(status, "", "Request refused", &body, "'none'")
}

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

fn html(status: StatusCode, head: &str, title: &str, body: &str, form_ends_at: &str) -> Response {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title} - Rollcall</title>\n{head}\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    );
    sealed((status, [(CONTENT_TYPE, HTML)], page).into_response(), form_ends_at)
}

/// With the header fields that keep a page to itself.
fn sealed(mut response: Response, form_ends_at: &str) -> Response {
    let style = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action {form_ends_at}; frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// Host and port of a URL.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_ends_where_the_path_or_query_begins() {
        for (url, expected) in [
            ("https://h.example.com/a/b", "h.example.com"),
            ("https://h.example.com", "h.example.com"),
            ("https://h:8443?x=/", "h:8443"),
            ("http://[::1]:1/", "[::1]:1"),
        ] {
            assert_eq!(host(url), expected);
        }
    }
}
