//! Discovery, paths, probes.

use serde_json::json;

use crate::harness::{BASE, Server};

#[tokio::test]
async fn discovery_says_what_is_so() {
    let server = Server::start().await;
    let config = server.get("/ServiceProviderConfig").await.is(200).json();
    for (feature, supported) in
        [("patch", true), ("bulk", true), ("filter", true), ("changePassword", false), ("sort", true), ("etag", true)]
    {
        assert_eq!(config[feature]["supported"], supported, "{feature}");
    }
    assert_eq!(config["meta"]["location"], format!("{BASE}/ServiceProviderConfig"));

    for (path, ids) in [
        ("/Schemas", &[scim::schema::USER, scim::schema::ENTERPRISE_USER, scim::schema::GROUP][..]),
        ("/ResourceTypes", &["User", "Group"]),
    ] {
        let list = server.get(path).await.is(200).json();
        assert_eq!((&list["totalResults"], &list["startIndex"]), (&json!(ids.len()), &json!(1)), "{path}");
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(list["Resources"][n]["id"], *id);
            assert_eq!(server.get(&format!("{path}/{id}")).await.is(200).json(), list["Resources"][n]);
        }
        server.get(&format!("{path}/urn:nothing")).await.refused(404, None, ids[0]);
        // RFC 7644 section 4.
        server.get(&format!("{path}?filter=id+pr")).await.refused(403, None, "filter");
        assert_eq!(server.get(&format!("{path}?count=1&sortBy=id")).await.is(200).json(), list);
    }
}

#[tokio::test]
async fn wrong_methods_are_405_with_allow() {
    let server = Server::start().await;
    let id = server.user("kit@example.com").await;
    for (method, path, allow) in [
        ("DELETE", "/Users".to_owned(), "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "/Groups/".to_owned(), "GET, HEAD, OPTIONS, POST"),
        ("POST", format!("/Users/{id}"), "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("POST", "/Groups/1".to_owned(), "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("PUT", "/ServiceProviderConfig".to_owned(), "GET, HEAD, OPTIONS"),
        ("POST", "/Schemas".to_owned(), "GET, HEAD, OPTIONS"),
        ("GET", "/Bulk".to_owned(), "OPTIONS, POST"),
        ("GET", "/.search".to_owned(), "OPTIONS, POST"),
        ("DELETE", "/Users/.search".to_owned(), "OPTIONS, POST"),
        ("PUT", "/Groups/.search/".to_owned(), "OPTIONS, POST"),
        ("PROPFIND", "/Users".to_owned(), "GET, HEAD, OPTIONS, POST"),
    ] {
        let answer = server.send(method, &path, &[], None).await.refused(405, None, allow);
        assert_eq!(answer.header("allow"), allow);
        let options = server.send("OPTIONS", &path, &[], None).await.is(204);
        assert_eq!(options.header("allow"), allow);
    }
}

#[tokio::test]
async fn other_paths_are_scim_errors() {
    let server = Server::start().await;
    for path in ["", "/", "/users", "/Users/1/2", "/Nothing", "//Users", "//nothing", "//scim/v3/Users"] {
        server.get(path).await.refused(404, None, "");
    }
}

/// RFC 7644 section 3.11.
#[tokio::test]
async fn me_is_nobody_to_a_token() {
    let server = Server::start().await;
    for path in ["/Me", "/Me/"] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            server.send(method, path, &[], Some("{}")).await.refused(501, None, "/Users");
        }
        let head = server.send("HEAD", path, &[], None).await.is(501);
        assert!(head.body.is_empty());
        assert_eq!(server.send("OPTIONS", path, &[], None).await.is(204).header("allow"), "OPTIONS");
        server.raw("GET", path, &[], "").await.refused(401, None, "");
    }
}

/// RFC 9110 sections 9.3.2 and 9.3.7, on each route: HEAD is the GET less its body, or a 405 where there is no GET; OPTIONS
/// tells what there is, and nothing that is not.
#[tokio::test]
async fn each_route_has_head_and_options() {
    let server = Server::start().await;
    let user = server.user("kit@example.com").await;
    let group = server.group("Ops", &[&user]).await;
    let urn = scim::schema::USER;
    for path in [
        "/Users".to_owned(),
        format!("/Users/{user}"),
        "/Groups".to_owned(),
        format!("/Groups/{group}"),
        "/ServiceProviderConfig".to_owned(),
        "/Schemas".to_owned(),
        format!("/Schemas/{urn}"),
        "/ResourceTypes".to_owned(),
        "/ResourceTypes/User".to_owned(),
        "/Bulk".to_owned(),
        "/.search".to_owned(),
        "/Users/.search".to_owned(),
        "/Groups/.search".to_owned(),
        "//healthz".to_owned(),
        "//readyz".to_owned(),
        "//".to_owned(),
    ] {
        let options = server.send("OPTIONS", &path, &[], None).await.is(204);
        assert!(options.body.is_empty(), "{path}");
        let allow = options.header("allow").to_owned();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            let answer = server.send(method, &path, &[], (method != "HEAD").then_some("x")).await;
            let taken = allow.split(", ").any(|allowed| allowed == method);
            assert_eq!(answer.status != 405, taken, "{method} {path}");
            assert!(taken || answer.header("allow") == allow, "{method} {path}");
            if method == "DELETE" && taken {
                answer.is(204);
            }
        }
        server.raw("OPTIONS", &path, &[], "").await.is(if path.starts_with("//") { 204 } else { 401 });
    }
    let user = server.user("kit@example.com").await;
    let group = server.group("Ops", &[&user]).await;
    for path in [
        "/Users",
        &format!("/Users/{user}"),
        "/Groups",
        &format!("/Groups/{group}"),
        "/ServiceProviderConfig",
        "/Schemas",
        &format!("/Schemas/{urn}"),
        "/ResourceTypes",
        "/ResourceTypes/User",
        "/Users/nobody",
        "/Users?filter=boat",
        "//healthz",
        "//readyz",
        "//",
    ] {
        let get = server.get(path).await;
        let head = server.send("HEAD", path, &[], None).await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        for name in ["content-type", "etag", "location", "content-length"] {
            let expected = match name {
                "content-length" => get.body.len().to_string(),
                _ => get.header(name).to_owned(),
            };
            assert_eq!(head.header(name), expected, "{name} of {path}");
        }
    }
}

#[tokio::test]
async fn what_is_not_scim_needs_no_token() {
    let server = Server::start().await;
    assert_eq!(server.raw("GET", "//healthz", &[], "").await.is(200).body, "ok");
    server.raw("GET", "//readyz", &[], "").await.is(200);
    let home = server.raw("GET", "//", &[], "").await.is(200);
    assert!(String::from_utf8_lossy(&home.body).contains(BASE));
    assert!(home.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn a_service_out_of_reach_is_503_and_not_ready() {
    let nowhere = || {
        let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        wire::Transport::network(channel, wire::Credential::new("x").expect("credential"))
    };
    let clock = std::sync::Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
    let router = scim_gateway::router(scim_gateway::Config::new("http://h"), nowhere(), nowhere(), clock);
    for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/scim/v2/Users", 503)] {
        let request = http::Request::get(path).header("authorization", "Bearer x");
        let request = request.body(axum::body::Body::empty()).expect("request");
        let answer = tower::ServiceExt::oneshot(router.clone(), request).await.expect("infallible");
        assert_eq!(answer.status(), status, "{path}");
    }
}
