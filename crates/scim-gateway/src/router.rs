//! Which path and method is answered by which handler.

use axum::{
    Router, middleware,
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any, get, post},
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
    routes::{bulk, discovery, groups, search, status, users},
};

type Routes = MethodRouter<Gateway>;

/// The routes of the gateway: `/scim/v2/**`, `/healthz`, `/readyz` and a page at `/`. `identity` and `token` are where
/// the two services are reached; `clock` tells token expiry and dates request ids.
pub fn router(config: Config, identity: Transport, token: Transport, clock: Clock) -> Router {
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
        .route("/", only(get(status::home), "GET, HEAD, OPTIONS"))
        .fallback(async || no_such_path())
        .layer(middleware::from_fn_with_state(gateway.clone(), edge))
        .with_state(gateway)
}

fn scim_routes() -> [(&'static str, Routes); 14] {
    const READ: &str = "GET, HEAD, OPTIONS";
    const COLLECTION: &str = "GET, HEAD, OPTIONS, POST";
    const RESOURCE: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, PUT";
    [
        ("/Users", only(get(users::list).post(users::create), COLLECTION)),
        ("/Users/{id}", only(get(users::get).put(users::replace).patch(users::patch).delete(users::delete), RESOURCE)),
        ("/Groups", only(get(groups::list).post(groups::create), COLLECTION)),
        (
            "/Groups/{id}",
            only(get(groups::get).put(groups::replace).patch(groups::patch).delete(groups::delete), RESOURCE),
        ),
        ("/ServiceProviderConfig", only(get(discovery::service_provider_config), READ)),
        ("/Schemas", only(get(discovery::list_schemas), READ)),
        ("/Schemas/{urn}", only(get(discovery::get_schema), READ)),
        ("/ResourceTypes", only(get(discovery::list_resource_types), READ)),
        ("/ResourceTypes/{name}", only(get(discovery::get_resource_type), READ)),
        ("/Me", not_yet("A SCIM token belongs to a client, not to a person, so there is no /Me. Use /Users.")),
        ("/Bulk", only(post(bulk::run), "OPTIONS, POST")),
        ("/.search", only(post(search::all), "OPTIONS, POST")),
        ("/Users/.search", only(post(users::search), "OPTIONS, POST")),
        ("/Groups/.search", only(post(groups::search), "OPTIONS, POST")),
    ]
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

fn not_yet(detail: &'static str) -> Routes {
    any(async move || Failure::new(ErrorKind::NotImplemented, detail))
}

fn no_such_path() -> Failure {
    Failure::new(
        ErrorKind::NotFound,
        "There is nothing at this path. The SCIM endpoints are /scim/v2/Users, /scim/v2/Groups, \
         /scim/v2/ServiceProviderConfig, /scim/v2/Schemas and /scim/v2/ResourceTypes, in this spelling.",
    )
}
