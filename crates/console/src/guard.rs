//! What a change must show: that the browser sent it from a page of ours (`Sec-Fetch-Site`, or `Origin` where a browser has only
//! that), that the page was this browser's in this session (the form's token), and that the role may do it.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, StatusCode, header::ORIGIN};
use subtle::ConstantTimeEq as _;

use crate::{
    form::Form,
    problem::{Problem, Result},
    session::{Role, SignedIn},
    site::Site,
    visit::Visit,
};

const REFUSED: &str = "Nothing was changed";

/// For changes by whoever is signed in and has the role.
pub(crate) async fn guard(
    State(role): State<Role>,
    signed_in: SignedIn,
    request: Request,
    next: Next,
) -> Result<Response> {
    let session = signed_in.session.id.clone();
    let request = sent_by_us(&signed_in.visit, &session, request).await?;
    if signed_in.role < role {
        let text = format!(
            "Your role is {}, and this takes {}. An owner can give you that role: Administrators.",
            signed_in.role.name(),
            role.article()
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, REFUSED, text));
    }
    Ok(next.run(request).await)
}

/// For the pages of forms: who may not send one is told before it is filled in.
pub(crate) async fn may(
    State(role): State<Role>,
    signed_in: SignedIn,
    request: Request,
    next: Next,
) -> Result<Response> {
    if signed_in.role < role {
        let text = format!(
            "Your role is {}, and this takes {}. An owner can give you that role: Administrators.",
            signed_in.role.name(),
            role.article()
        );
        return Err(Problem::new(StatusCode::FORBIDDEN, "This is for others to do", text));
    }
    Ok(next.run(request).await)
}

/// For forms of somebody who is not signed in.
pub(crate) async fn guard_bare(visit: Visit, request: Request, next: Next) -> Result<Response> {
    let request = sent_by_us(&visit, "", request).await?;
    Ok(next.run(request).await)
}

pub(crate) async fn sent_by_us(visit: &Visit, session_id: &str, request: Request) -> Result<Request> {
    if !from_here(&visit.console.site, request.headers()) {
        let text = "Your browser says that this came from another site, or does not say where it came from. If you did press a \
                    button here, open the page anew and try again, in a browser of 2023 or later.";
        return Err(Problem::new(StatusCode::FORBIDDEN, REFUSED, text));
    }
    let (mut parts, body) = request.into_parts();
    let form = Form::read(&parts.headers, body).await?;
    let expected = visit.form_token(session_id);
    if !bool::from(form.get("_token").as_bytes().ct_eq(expected.as_bytes())) {
        let text = "The form is not one of this session: you may have signed in again since it was opened, or cookies are \
                    switched off. Go back, load the page anew and send it again.";
        return Err(Problem::new(StatusCode::FORBIDDEN, REFUSED, text));
    }
    parts.extensions.insert(form);
    Ok(Request::from_parts(parts, axum::body::Body::empty()))
}

/// With `Referrer-Policy: no-referrer` browsers say `Origin: null` of our own forms, so where there is `Sec-Fetch-Site` it decides.
pub(crate) fn from_here(site: &Site, headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN).map(|origin| origin.as_bytes());
    let ours = origin == Some(site.origin.as_bytes());
    match headers.get("sec-fetch-site").map(|site| site.as_bytes()) {
        Some(b"same-origin") => ours || matches!(origin, None | Some(b"null")),
        Some(_) => false,
        None => ours,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_form_comes_from_here_or_from_elsewhere() {
        let site = Site::new("https://scim.example.com");
        for (fetch_site, origin, expected) in [
            (Some("same-origin"), Some("https://scim.example.com"), true),
            (Some("same-origin"), Some("null"), true),
            (Some("same-origin"), None, true),
            (Some("same-origin"), Some("https://evil.example"), false),
            (Some("cross-site"), Some("https://scim.example.com"), false),
            (Some("same-site"), Some("https://scim.example.com"), false),
            (Some("cross-site"), Some("null"), false),
            (Some("none"), None, false),
            (Some(""), None, false),
            (None, Some("https://scim.example.com"), true),
            (None, Some("http://scim.example.com"), false),
            (None, Some("https://a.scim.example.com"), false),
            (None, Some("null"), false),
            (None, None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = fetch_site {
                headers.insert("sec-fetch-site", HeaderValue::from_static(value));
            }
            if let Some(value) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(value));
            }
            assert_eq!(from_here(&site, &headers), expected, "{fetch_site:?} {origin:?}");
        }
    }
}
