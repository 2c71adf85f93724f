//! Which path and method is answered by which handler.

use axum::{
    Router, middleware,
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, get, post},
};
use http::{HeaderValue, Method, StatusCode, header::ALLOW};
use scim::ErrorKind;
use wire::Transport;

use crate::{
    Clock, Config,
    auth::authenticate,
    edge::edge,
    error::Failure,
    gateway::{Gateway, Session},
    oauth,
    routes::{bulk, discovery, groups, search, status, users},
    scopes::{self, Scope},
};

type Routes = MethodRouter<Gateway>;

/// The routes of the gateway: `/scim/v2/**`, `/oauth/**` with its metadata, `/healthz`, `/readyz` and a page
/// at `/`. `identity` and `token` are where
/// the two services are reached; `clock` tells token expiry and dates request ids.
pub fn router(config: Config, identity: Transport, token: Transport, clock: Clock) -> Router {
    let home = Router::new().route("/", only(get(status::home), "GET, HEAD, OPTIONS"));
    around(config, identity, token, clock, home)
}

/// The same with `pages` beside it, which have `/` and what else they want below other paths. Each of their requests has its
/// id in `x-request-id` and its client's address, an `IpAddr`, among its extensions; its span, its line in the log, its deadline.
/// How they answer is theirs.
pub fn router_with(config: Config, identity: Transport, token: Transport, clock: Clock, pages: Router) -> Router {
    around(config, identity, token, clock, pages.with_state(()))
}

fn around(config: Config, identity: Transport, token: Transport, clock: Clock, pages: Router<Gateway>) -> Router {
    let gateway = Gateway::new(&config, identity, token, clock);

    let mut scim = Router::new();
    for (path, routes) in scim_routes() {
        // A slash at the end is tolerated: admins paste one.
        scim = scim.route(&format!("{path}/"), routes.clone()).route(path, routes);
    }
    let scim = scim
        .fallback(async |_: Session| no_such_path())
        .layer(middleware::from_fn_with_state(gateway.clone(), authenticate));

    Router::new()
        .nest("/scim/v2", scim)
        .route("/healthz", only(get(status::health), "GET, HEAD, OPTIONS"))
        .route("/readyz", only(get(status::ready), "GET, HEAD, OPTIONS"))
        .route("/oauth/authorize", only(get(oauth::authorize).post(oauth::decide), "GET, HEAD, OPTIONS, POST"))
        .route("/oauth/token", only(post(oauth::token), "OPTIONS, POST"))
        .route("/oauth/revoke", only(post(oauth::revoke), "OPTIONS, POST"))
        .route("/.well-known/oauth-authorization-server", only(get(oauth::metadata), "GET, HEAD, OPTIONS"))
        .merge(pages)
        .fallback(async || no_such_path())
        .layer(middleware::from_fn_with_state(gateway.clone(), edge))
        .with_state(gateway)
}

/// The paths below `/scim/v2`, for tests that must know them all; what each takes it says to OPTIONS.
pub fn scim_paths() -> impl Iterator<Item = &'static str> {
    scim_routes().into_iter().map(|(path, _)| path)
}

fn scim_routes() -> [(&'static str, Routes); 14] {
    const READ: &str = "GET, HEAD, OPTIONS";
    const COLLECTION: &str = "GET, HEAD, OPTIONS, POST";
    const RESOURCE: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, PUT";
    [
        ("/Users", only(guarded(get(users::list).post(users::create), scopes::users), COLLECTION)),
        (
            "/Users/{id}",
            only(
                guarded(get(users::get).put(users::replace).patch(users::patch).delete(users::delete), scopes::users),
                RESOURCE,
            ),
        ),
        ("/Groups", only(guarded(get(groups::list).post(groups::create), scopes::groups), COLLECTION)),
        (
            "/Groups/{id}",
            only(
                guarded(
                    get(groups::get).put(groups::replace).patch(groups::patch).delete(groups::delete),
                    scopes::groups,
                ),
                RESOURCE,
            ),
        ),
        ("/ServiceProviderConfig", only(get(discovery::service_provider_config), READ)),
        ("/Schemas", only(get(discovery::list_schemas), READ)),
        ("/Schemas/{urn}", only(get(discovery::get_schema), READ)),
        ("/ResourceTypes", only(get(discovery::list_resource_types), READ)),
        ("/ResourceTypes/{name}", only(get(discovery::get_resource_type), READ)),
        ("/Me", only(me(), "OPTIONS")),
        ("/Bulk", only(post(bulk::run), "OPTIONS, POST")),
        ("/.search", only(guarded(post(search::all), |_| &[Scope::UsersRead, Scope::GroupsRead]), "OPTIONS, POST")),
        ("/Users/.search", only(guarded(post(users::search), |_| &[Scope::UsersRead]), "OPTIONS, POST")),
        ("/Groups/.search", only(guarded(post(groups::search), |_| &[Scope::GroupsRead]), "OPTIONS, POST")),
    ]
}

/// For tokens that have the scopes.
fn guarded(routes: Routes, needed: fn(&Method) -> &'static [Scope]) -> Routes {
    routes.route_layer(middleware::from_fn(move |request, next| scopes::check(needed, request, next)))
}

/// Other methods: 405 with `Allow`, RFC 9110 section 15.5.6; OPTIONS says what there is.
fn only(routes: Routes, allow: &'static str) -> Routes {
    routes.fallback(async move |method: Method| -> Response {
        if method == Method::OPTIONS {
            return (StatusCode::NO_CONTENT, [(ALLOW, HeaderValue::from_static(allow))]).into_response();
        }
        let detail = format!("This endpoint does not take this method. It takes: {allow}.");
        Failure::method_not_allowed(detail, allow).into_response()
    })
}

/// RFC 7644 section 3.11: 501 where the alias stands for nobody.
fn me() -> Routes {
    let nobody = async || {
        let detail = "A SCIM token belongs to a client, not to a person, so there is no /Me. Use /Users.";
        Failure::new(ErrorKind::NotImplemented, detail)
    };
    get(nobody).post(nobody).put(nobody).patch(nobody).delete(nobody)
}

fn no_such_path() -> Failure {
    Failure::new(
        ErrorKind::NotFound,
        "There is nothing at this path. The SCIM endpoints are /scim/v2/Users, /scim/v2/Groups, \
         /scim/v2/ServiceProviderConfig, /scim/v2/Schemas and /scim/v2/ResourceTypes, in this spelling.",
    )
}
