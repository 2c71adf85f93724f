//! Which path is answered by which page.
//!
//! ```text
//! GET  /                                      to the console
//! GET  /console                               Overview
//! GET  /console/assets/{file}                 style and script
//!
//! GET  /console/sign-in                       asks for the organization       ?organization, return_to
//! GET  /console/sign-in/start                 on to its OpenID provider       ?organization, return_to
//! GET  /console/sign-in/callback/{organization}  back from it                 ?code, state, iss | error
//! GET, POST /console/invite/{secret}          who invites as what; accepts
//! POST /console/sign-out
//!
//! GET  /console/users, /console/groups        search, pages                   ?q, cursor; of users state
//! GET  /console/users/{id}, /console/groups/{id}  with their history           ?before, cursor
//! GET  /console/users/deleted                                                 ?cursor
//! GET  /console/users/deleted/{id}                                            ?before
//! POST /console/users/deleted/{id}/restore    user_name                                                   admin
//! GET  /console/accounts                      who has finished set-up             ?state, after
//! POST /console/accounts/policy               link, just_in_time, confirm_automatically                   owner
//! POST /console/accounts/invite               user..                                                      admin
//! GET, POST /console/users/{id}/unlink        forgets as whom it signs in                                 admin
//! POST /console/accounts/agents               name, _once                                                 admin
//! GET, POST /console/accounts/agents/{id}/revoke                                                          admin
//! GET  /console/holds
//! GET  /console/holds/{id}                    whom it is about                ?cursor
//! GET, POST /console/holds/{id}/restore                                                                   admin
//! GET, POST /console/holds/{id}/approve                                                                   admin
//! GET, POST /console/deletion                 grace_days, hold_percent                                    owner
//!
//! GET  /console/scim                          SCIM Configuration
//! POST /console/scim/enabled                  enabled                                                     admin
//! GET  /console/scim/guides/{provider}        okta, entra, jumpcloud, onelogin, google, pingone
//! GET  /console/scim/tokens, /console/scim/tokens/new
//! POST /console/scim/tokens                   description, ttl_days, scope.., cidrs, _once                admin
//! GET, POST /console/scim/tokens/{id}/rotate  ttl_days, deadline_hours, _once                             admin
//! GET, POST /console/scim/tokens/{id}/retire  force                                                       admin
//! GET, POST /console/scim/tokens/{id}/revoke                                                              admin
//! GET  /console/scim/clients, /console/scim/clients/new                       ?kind
//! POST /console/scim/clients                  kind, name, redirect_uris, scope.., cidrs, issuer, ..., _once  admin
//! POST /console/scim/clients/{id}/approve     _once                                                       admin
//! GET, POST /console/scim/clients/{id}/rotate deadline_hours, _once                                       admin
//! GET, POST /console/scim/clients/{id}/retire force                                                       admin
//! GET, POST /console/scim/clients/{id}/revoke                                                             admin
//! GET, POST /console/scim/grants/{id}/end                                                                 admin
//!
//! GET  /console/scim/assistant                what arrives, and what is wrong     ?provider, since
//! POST /console/scim/assistant                provider; reads are logged from now on                      admin
//! GET  /console/scim/assistant/events         the same as server-sent events      ?provider, since
//! GET  /console/log                           the provisioning log                ?q, outcome, subject, user, group, within, from, until, page
//! GET  /console/log/export                    the same as NDJSON
//! GET  /console/log/{id}                      one request
//! POST /console/log/retention                 retention_days                                              admin
//!
//! GET, POST /console/sign-in-provider         issuer, client_id, client_secret, public                    owner
//! GET, POST /console/sign-in-provider/remove                                                              owner
//! GET  /console/administrators
//! GET, POST /console/administrators/invite    email, role, ttl_hours, _once                               owner
//! POST /console/administrators/{id}/role      role                                                        owner
//! GET, POST /console/administrators/{id}/remove                                                           owner
//! GET  /console/sessions
//! POST /console/sessions/{id}/end             one's own, or as an owner anybody's
//! POST /console/sessions/end-others
//!
//! /account/**                                 what members see: `account`
//! ```
//!
//! At the right: the role that a POST takes, and the page of its form. Every POST has `_token` as well. Every GET but those above the users is for whoever
//! is signed in.

use axum::{
    Router, middleware,
    routing::{MethodRouter, get, post},
};
use http::StatusCode;
use wire::Transport;

use crate::{
    Clock, Config, Random, account,
    assets::asset,
    console::Console,
    guard::{guard, guard_bare, may},
    page,
    pages::{
        accounts, administrators, agents, assistant, clients, deleted, deletion, directory, guides, holds, log,
        nothing, overview, provider, scim, sessions, tokens,
    },
    problem::Problem,
    session::{Role, authenticate},
    sign_in, strangers,
    visit::{Visit, visit},
};

/// The console below `/console`, and `/`. `identity` and `token` are where the two services are reached. Around it: who gives each
/// request its `x-request-id` and, as an `IpAddr` among its extensions, the address it comes from.
pub fn router(config: Config, identity: Transport, token: Transport, clock: Clock, random: Random) -> Router {
    let console = Console::new(&config, identity, token, clock, random);

    let looking = routes(&[
        ("", get(overview::show)),
        ("/", get(overview::show)),
        ("/users", get(directory::users)),
        ("/users/{id}", get(directory::user)),
        ("/users/deleted", get(deleted::list)),
        ("/users/deleted/{id}", get(deleted::one)),
        ("/groups", get(directory::groups)),
        ("/groups/{id}", get(directory::group)),
        ("/accounts", get(accounts::show)),
        ("/holds", get(holds::list)),
        ("/holds/{id}", get(holds::one)),
        ("/holds/{id}/restore", get(holds::restoring)),
        ("/holds/{id}/approve", get(holds::approving)),
        ("/deletion", get(deletion::show)),
        ("/scim", get(scim::show)),
        ("/scim/guides/{provider}", get(guides::show)),
        ("/scim/tokens", get(tokens::list)),
        ("/scim/clients", get(clients::list)),
        ("/scim/assistant", get(assistant::show)),
        ("/scim/assistant/events", get(assistant::events)),
        ("/log", get(log::list)),
        ("/log/export", get(log::export)),
        ("/log/{id}", get(log::entry)),
        ("/sign-in-provider", get(provider::show)),
        ("/administrators", get(administrators::list)),
        ("/sessions", get(sessions::list)),
        ("/{*rest}", get(nothing)),
    ]);
    let forms = |role, table: &[(&str, MethodRouter<Console>)]| {
        routes(table).route_layer(middleware::from_fn_with_state(role, may))
    };
    let forms_of_admins = forms(
        Role::Admin,
        &[
            ("/users/{id}/unlink", get(accounts::unlinking)),
            ("/accounts/agents/{id}/revoke", get(agents::revoking)),
            ("/scim/tokens/new", get(tokens::new)),
            ("/scim/tokens/{id}/rotate", get(tokens::rotating)),
            ("/scim/tokens/{id}/retire", get(tokens::retiring)),
            ("/scim/tokens/{id}/revoke", get(tokens::revoking)),
            ("/scim/clients/new", get(clients::new)),
            ("/scim/clients/{id}/rotate", get(clients::rotating)),
            ("/scim/clients/{id}/retire", get(clients::retiring)),
            ("/scim/clients/{id}/revoke", get(clients::revoking)),
            ("/scim/grants/{id}/end", get(clients::ending)),
        ],
    );
    let forms_of_owners = forms(
        Role::Owner,
        &[
            ("/sign-in-provider/remove", get(provider::removing)),
            ("/administrators/invite", get(administrators::inviting)),
            ("/administrators/{id}/remove", get(administrators::removing)),
        ],
    );
    let changing = |role, table: &[(&str, MethodRouter<Console>)]| {
        routes(table).route_layer(middleware::from_fn_with_state(role, guard))
    };
    let by_anybody = changing(
        Role::Viewer,
        &[
            ("/sign-out", post(sign_in::sign_out)),
            ("/sessions/{id}/end", post(sessions::end_one)),
            ("/sessions/end-others", post(sessions::end_others)),
        ],
    );
    let by_admins = changing(
        Role::Admin,
        &[
            ("/users/deleted/{id}/restore", post(deleted::restore)),
            ("/accounts/invite", post(accounts::invite)),
            ("/users/{id}/unlink", post(accounts::unlink)),
            ("/accounts/agents", post(agents::create)),
            ("/accounts/agents/{id}/revoke", post(agents::revoke)),
            ("/holds/{id}/restore", post(holds::restore)),
            ("/holds/{id}/approve", post(holds::approve)),
            ("/scim/enabled", post(scim::switch)),
            ("/scim/tokens", post(tokens::create)),
            ("/scim/tokens/{id}/rotate", post(tokens::rotate)),
            ("/scim/tokens/{id}/retire", post(tokens::retire)),
            ("/scim/tokens/{id}/revoke", post(tokens::revoke)),
            ("/scim/clients", post(clients::create)),
            ("/scim/clients/{id}/approve", post(clients::approve)),
            ("/scim/clients/{id}/rotate", post(clients::rotate)),
            ("/scim/clients/{id}/retire", post(clients::retire)),
            ("/scim/clients/{id}/revoke", post(clients::revoke)),
            ("/scim/grants/{id}/end", post(clients::end)),
            ("/scim/assistant", post(assistant::watch)),
            ("/log/retention", post(log::keep)),
        ],
    );
    let by_owners = changing(
        Role::Owner,
        &[
            ("/accounts/policy", post(accounts::save)),
            ("/deletion", post(deletion::save)),
            ("/sign-in-provider", post(provider::save)),
            ("/sign-in-provider/remove", post(provider::remove)),
            ("/administrators/invite", post(administrators::invite)),
            ("/administrators/{id}/role", post(administrators::set_role)),
            ("/administrators/{id}/remove", post(administrators::remove)),
        ],
    );
    let signed_in = looking
        .merge(forms_of_admins)
        .merge(forms_of_owners)
        .merge(by_anybody)
        .merge(by_admins)
        .merge(by_owners)
        .route_layer(middleware::from_fn_with_state(console.clone(), authenticate));

    let accept = routes(&[("/invite/{secret}", post(sign_in::accept))]).route_layer(middleware::from_fn(guard_bare));
    let open = routes(&[
        ("/sign-in/start", get(sign_in::start)),
        ("/sign-in/callback/{organization}", get(sign_in::callback)),
        ("/invite/{secret}", get(sign_in::invite)),
    ])
    .merge(accept)
    .route_layer(middleware::from_fn_with_state(console.clone(), strangers::admit));
    let free = routes(&[("/assets/{file}", get(asset)), ("/sign-in", get(sign_in::form))]);

    signed_in
        .merge(open)
        .merge(free)
        .merge(account::routes(&console))
        .route("/", get(async |visit: Visit| page::see(&visit.console.site.root)))
        .method_not_allowed_fallback(async || {
            let text = "This address does not take what was sent. Open the page and use its forms.";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This cannot be answered", text)
        })
        .layer(middleware::from_fn_with_state(console.clone(), visit))
        .with_state(console)
}

fn routes(table: &[(&str, MethodRouter<Console>)]) -> Router<Console> {
    table.iter().fold(Router::new(), |router, (path, routes)| router.route(&format!("/console{path}"), routes.clone()))
}
