//! What a provisioned user sees: sign-in, and one page on which the keys are made and used.
//!
//! ```text
//! GET  /account                               the page
//! GET  /account/assets/{*path}                style, script, and the modules with the keys
//! GET  /account/sign-in                       asks for the organization       ?organization
//! GET  /account/sign-in/start                 on to its OpenID provider       ?organization
//! GET  /account/sign-in/callback/{organization}  back from it                 ?code, state, iss | error
//! POST /account/sign-out
//! POST /account/api/{call}                    JSON, one for each rpc that takes a session (`api`)
//! POST /account/agent/{call}                  the same for programs that confirm members, by their credential (`agent`)
//! ```
//!
//! The page's script sends what `docs/account-keys.md` lists, and nothing else has the keys: they are in a worker without network.

mod agent;
mod api;
mod assets;
mod json;
mod session;

use askama::Template;
use axum::{
    Router,
    extract::State,
    middleware,
    response::Response,
    routing::{get, post},
};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, SET_COOKIE},
};

use self::session::Member;
use crate::{
    assets::ACCOUNT_JS_FILE,
    console::Console,
    page::{self, Shell},
    problem::{Problem, Result},
    sign_in, strangers,
};

/// The worker has a policy of its own, in which alone WebAssembly runs. Under Trusted Types nothing becomes a script but that.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; \
     trusted-types account-worker",
);

/// Below `/account`.
pub(crate) fn routes(console: &Console) -> Router<Console> {
    let signed_in = Router::new()
        .route("/account", get(show))
        .route("/account/", get(show))
        .route_layer(middleware::from_fn_with_state(console.clone(), session::authenticate));
    let calls = api::routes().route_layer(middleware::from_fn_with_state(console.clone(), session::authenticate_call));
    let leaving = Router::new()
        .route("/account/sign-out", post(sign_out))
        .route_layer(middleware::from_fn(session::guard))
        .route_layer(middleware::from_fn_with_state(console.clone(), session::authenticate));
    let open = Router::new()
        .route("/account/sign-in/start", get(sign_in::start))
        .route("/account/sign-in/callback/{organization}", get(sign_in::callback))
        .route_layer(middleware::from_fn_with_state(console.clone(), strangers::admit));
    let free = Router::new()
        .route("/account/assets/{*path}", get(assets::asset))
        .route("/account/sign-in", get(sign_in::form));
    signed_in.merge(calls).merge(agent::routes()).merge(leaving).merge(open).merge(free)
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    shell: Shell,
    script: &'static str,
    worker: Option<String>,
    organization: String,
    name: String,
    user_name: String,
    /// Where administrators sign in.
    console: String,
}

/// `GET /account`
pub(crate) async fn show(State(console): State<Console>, member: Member) -> Result<Response> {
    let (account, slug) = (&member.account, &member.organization.slug);
    let page = Account {
        console: format!("{}/sign-in?organization={slug}", console.site.root),
        shell: Shell { csrf: member.form_token(), ..Shell::bare(&member.visit, "Your account") },
        script: &ACCOUNT_JS_FILE,
        worker: assets::worker().map(|path| format!("{}/assets/{path}", console.site.account_root)),
        organization: member.organization.name.clone(),
        name: [&account.display_name, &account.user_name]
            .into_iter()
            .find(|name| !name.is_empty())
            .cloned()
            .unwrap_or_default(),
        user_name: account.user_name.clone(),
    };
    let mut response = page::html(StatusCode::OK, &page)?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}

/// `POST /account/sign-out`
async fn sign_out(member: Member) -> Result<Response> {
    let console = &member.visit.console;
    console.clients.accounts.clone().end_account_session(member.visit.call(member.shown())).await?;
    let mut response = page::see(&format!("{}/sign-in", console.site.account_root))?;
    let cookie = console.cookies.remove(console.cookies.account).ok_or_else(Problem::internal)?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}
