//! OAuth over HTTP, on both databases.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use wire::token::{
    CreateOAuthApprovalRequest, CreateOAuthClientRequest, ListOAuthGrantsRequest, OAuthGrantType, OAuthTrust,
    RevokeOAuthGrantRequest,
};

use crate::harness::{Answer, Server, administrator};

const CALLBACK: &str = "https://system-admin.okta.com/admin/app/cpc/acme/oauth/callback";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn both() -> Vec<Server> {
    let mut servers = Vec::new();
    for kind in 0..testkit::databases().len() {
        let databases = Arc::new([0, 1].map(|_| testkit::databases().swap_remove(kind)));
        let mut server = Server::open(databases, |_| {}).await;
        server.enroll("acme").await;
        servers.push(server);
    }
    servers
}

struct Client {
    id: String,
    secret: String,
}

fn encode(pairs: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs).finish()
}

impl Server {
    async fn client(&self, grant_type: OAuthGrantType, change: impl FnOnce(&mut CreateOAuthClientRequest)) -> Client {
        let mut request = CreateOAuthClientRequest {
            organization_id: self.organization.clone(),
            caller: administrator(),
            name: "Okta <&\"'> ".to_owned(),
            grant_types: vec![grant_type.into()],
            redirect_uris: match grant_type {
                OAuthGrantType::AuthorizationCode => vec![CALLBACK.to_owned(), format!("{CALLBACK}?a=b")],
                _ => Vec::new(),
            },
            oauth_entitled: true,
            ..Default::default()
        };
        change(&mut request);
        let created = self.oauth.clone().create_o_auth_client(request).await.expect("created").into_inner();
        Client { id: created.client.expect("client").id, secret: created.secret }
    }

    async fn approval(&self, client: &Client) -> String {
        let request = CreateOAuthApprovalRequest {
            organization_id: self.organization.clone(),
            caller: administrator(),
            client_id: client.id.clone(),
            oauth_entitled: true,
        };
        self.oauth.clone().create_o_auth_approval(request).await.expect("approval").into_inner().code
    }

    async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.raw("POST", path, &[FORM], encode(pairs)).await
    }

    async fn ask_token(&self, client: &Client, pairs: &[(&str, &str)]) -> Answer {
        let own = [("client_id", client.id.as_str()), ("client_secret", &client.secret)];
        self.form("//oauth/token", &[&own, pairs].concat()).await
    }

    /// From the page to the code, as a browser goes.
    async fn code(&self, client: &Client, more: &[(&str, &str)]) -> String {
        let base = [
            ("response_type", "code"),
            ("client_id", client.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("state", "s t&a=te"),
        ];
        let asked = [&base, more].concat();
        let page = self.raw("GET", &format!("//oauth/authorize?{}", encode(&asked)), &[], "").await.is(200);
        let fields = hidden(&page);
        let mut fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(fields.len(), asked.len(), "{fields:?}");
        let approval = self.approval(client).await.to_lowercase();
        fields.extend([("approval_code", approval.as_str()), ("decision", "approve")]);
        let location = returned(&self.form("//oauth/authorize", &fields).await);
        assert_eq!(location["state"], "s t&a=te");
        assert_eq!(location["iss"], "https://scim.example.com");
        location["code"].as_str().expect("code").to_owned()
    }
}

/// The fields of a page's form that its reader does not fill in, as a browser reads them.
fn hidden(page: &Answer) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let unescape =
        |text: &str| text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let fields = text.split("<input type=\"hidden\" name=\"").skip(1);
    fields
        .filter_map(|field| {
            let (name, rest) = field.split_once("\" value=\"")?;
            Some((unescape(name), unescape(rest.split_once("\">")?.0)))
        })
        .collect()
}

/// The parameters of a redirect to the client: by its status where a link was followed, and by a page that goes on where a form
/// was sent, because `form-action` would count for a redirect.
#[track_caller]
fn returned(answer: &Answer) -> Value {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cache-control"), "no-store");
    let location = if answer.status == 303 {
        answer.header("location").to_owned()
    } else {
        assert_eq!((answer.status.as_u16(), answer.header("location")), (200, ""), "{text}");
        let part = |from: &str| text.split_once(from).expect(from).1.split('"').next().expect("an end");
        let to = part("<meta http-equiv=\"refresh\" content=\"0;url=");
        assert_eq!(to, part("<a href=\""), "for whoever is not taken there");
        to.replace("&amp;", "&")
    };
    let query = location.strip_prefix(CALLBACK).expect("to the client").trim_start_matches(['?', '&']);
    form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), json!(value))).collect()
}

#[track_caller]
fn refused(answer: Answer, status: u16, error: &str, hint: &str) {
    let answer = answer.is(status);
    let body = answer.json();
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(body["error"], error, "{body}");
    let description = body["error_description"].as_str().expect("a description");
    assert!(description.contains(hint), "{description:?} does not say {hint:?}");
    assert!(description.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'));
    assert_eq!(answer.header("www-authenticate").starts_with("Basic "), status == 401);
}

#[tokio::test]
async fn an_approved_client_provisions_refreshes_and_keeps_its_idempotency_keys() {
    for server in both().await {
        let client = server.client(OAuthGrantType::AuthorizationCode, |_| {}).await;
        let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256"), ("scope", "offline_access")];
        let code = server.code(&client, &challenge).await;
        let exchange = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)];
        refused(server.ask_token(&client, &exchange).await, 400, "invalid_grant", "code_verifier");
        let given = server.ask_token(&client, &[&exchange[..], &[("code_verifier", VERIFIER)]].concat()).await.is(200);
        assert_eq!((given.header("cache-control"), given.header("pragma")), ("no-store", "no-cache"));
        let given = given.json();
        assert_eq!((&given["token_type"], &given["expires_in"]), (&json!("Bearer"), &json!(3600)));
        assert_eq!(given["scope"], "users:read users:write groups:read groups:write");

        let user = json!({"schemas": [scim::schema::USER], "userName": "kit@example.com"}).to_string();
        let create = async |access: &Value| {
            let bearer = format!("Bearer {}", access.as_str().expect("token"));
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", "application/scim+json"),
                ("idempotency-key", "once"),
            ];
            server.raw("POST", "/Users", &headers, user.clone()).await
        };
        let made = create(&given["access_token"]).await.is(201).json();
        let refresh = given["refresh_token"].as_str().expect("refresh token");
        let fresh =
            server.ask_token(&client, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await.is(200);
        let fresh = fresh.json();
        let again = create(&fresh["access_token"]).await;
        assert_eq!(again.json()["id"], made["id"], "the same grant, so the same key");

        // The end of a grant is seen by the gateway within a second.
        let list = ListOAuthGrantsRequest { organization_id: server.organization.clone() };
        let grants = server.oauth.clone().list_o_auth_grants(list).await.expect("list").into_inner().grants;
        let end = RevokeOAuthGrantRequest {
            organization_id: server.organization.clone(),
            caller: administrator(),
            id: grants[0].id.clone(),
        };
        server.oauth.clone().revoke_o_auth_grant(end).await.expect("revoked");
        let begun = std::time::Instant::now();
        while create(&fresh["access_token"]).await.status != 401 {
            assert!(begun.elapsed() < std::time::Duration::from_secs(1));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let refresh = fresh["refresh_token"].as_str().expect("refresh token");
        let dead = server.ask_token(&client, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
        refused(dead, 400, "invalid_grant", "Connect again");
    }
}

#[tokio::test]
async fn client_credentials_by_basic_or_post_with_fewer_scopes() {
    for server in both().await {
        let client = server
            .client(OAuthGrantType::ClientCredentials, |request| {
                request.scopes = vec!["users:read".to_owned(), "groups:read".to_owned()];
            })
            .await;
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", client.id, client.secret)));
        let headers = [FORM, ("authorization", basic.as_str())];
        let own = encode(&[("grant_type", "client_credentials"), ("scope", "users:read")]);
        let given = server.raw("POST", "//oauth/token", &headers, own).await.is(200).json();
        assert_eq!((given["scope"].as_str(), given.get("refresh_token")), (Some("users:read"), None));
        let by_url = encode(&[("grant_type", "client_credentials")]);
        let given = server.raw("POST", "//oauth/token?scope=users:read", &headers, by_url).await.is(200).json();
        assert_eq!(given["scope"], "users:read");
        let bearer = format!("Bearer {}", given["access_token"].as_str().expect("token"));
        let by = |method: &'static str, path: &'static str| {
            let headers = [("authorization", bearer.clone()), ("content-type", "application/scim+json".to_owned())];
            let server = &server;
            async move {
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
                server.raw(method, path, &headers, "{}").await
            }
        };
        by("GET", "/Users").await.is(200);
        by("GET", "/Groups").await.refused(403, None, "groups:read");
        by("GET", "/Groups").await.refused(403, None, "rollcall oauth client create ORG");
        by("POST", "/Users").await.refused(403, None, "users:write");
        let more = server.ask_token(&client, &[("grant_type", "client_credentials"), ("scope", "users:write")]).await;
        refused(more, 400, "invalid_scope", "users:read");
        let other = server.ask_token(&client, &[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
        refused(other, 400, "unauthorized_client", "--grant authorization_code");
        // From elsewhere an access token is as unknown as a SCIM token.
        let here = server
            .client(OAuthGrantType::ClientCredentials, |request| request.allowed_cidrs = vec!["203.0.113.7".to_owned()])
            .await;
        let given = server.ask_token(&here, &[("grant_type", "client_credentials")]).await.is(200).json();
        let bearer = format!("Bearer {}", given["access_token"].as_str().expect("token"));
        server.raw("GET", "/Users", &[("authorization", &bearer)], "").await.refused(401, None, "not valid");
        // What was shown decides on the words, not what there is.
        let unknown = [("authorization", "Bearer rc_access_unknown")];
        let unknown = server.raw("GET", "/Users", &unknown, "").await.refused(401, None, "rollcall oauth grant list");
        let known = server.raw("GET", "/Users", &[("authorization", &bearer)], "").await.is(401);
        assert_eq!(unknown.json(), known.json());
        assert!(!String::from_utf8_lossy(&known.body).contains("rollcall token"));
        let scim = [("authorization", "Bearer rc_scim_unknown")];
        server.raw("GET", "/Users", &scim, "").await.refused(401, None, "rollcall token create");
    }
}

#[tokio::test]
async fn what_is_wrong_at_the_token_endpoint_is_said_in_oauths_words() {
    let server = Server::start().await;
    let client = server.client(OAuthGrantType::ClientCredentials, |_| {}).await;
    let own = ("grant_type", "client_credentials");
    let nobody = Client { id: server.organization.clone(), secret: client.secret.clone() };
    let wrong = Client { id: client.id.clone(), secret: "rc_oauth_wrong".to_owned() };
    let answers = [server.ask_token(&nobody, &[own]).await, server.ask_token(&wrong, &[own]).await];
    let bodies = answers.each_ref().map(|answer| answer.json());
    assert_eq!(bodies[0], bodies[1], "unknown and wrong are one answer");
    for answer in answers {
        refused(answer, 401, "invalid_client", "rotate-secret");
    }
    refused(server.form("//oauth/token", &[own]).await, 401, "invalid_client", "client_secret");
    let named = server.form("//oauth/token", &[own, ("client_id", &client.id)]).await;
    refused(named, 401, "invalid_client", "client_secret is missing");
    refused(server.ask_token(&client, &[]).await, 400, "invalid_request", "grant_type");
    refused(server.ask_token(&client, &[own, own]).await, 400, "invalid_request", "more than once");
    refused(
        server.ask_token(&client, &[("grant_type", "password")]).await,
        400,
        "unsupported_grant_type",
        "refresh_token",
    );
    let json = server.raw("POST", "//oauth/token", &[("content-type", "application/json")], "{}").await;
    refused(json, 400, "invalid_request", "x-www-form-urlencoded");
    let large = server.form("//oauth/token", &[own, ("x", &"x".repeat(70_000))]).await;
    refused(large, 413, "invalid_request", "64 KiB");
    let query = format!("//oauth/token?client_secret={}", client.secret);
    let logged = server.raw("POST", &query, &[FORM], encode(&[own, ("client_id", &client.id)])).await;
    refused(logged, 400, "invalid_request", "in the URL");
    let get = server.raw("GET", "//oauth/token", &[], "").await.refused(405, None, "OPTIONS, POST");
    assert_eq!(get.header("allow"), "OPTIONS, POST");
}

/// Of a client that was made for jwt-bearer alone, in both of the forms of RFC 7523 section 2.
#[tokio::test]
async fn keys_that_cannot_be_fetched_are_not_the_assertions_fault() {
    let server = Server::start().await;
    let trust = OAuthTrust {
        issuer: "https://login.example.com/v2.0".to_owned(),
        subject: "s".to_owned(),
        audience: String::new(),
        jwks_json: String::new(),
        // Of a test's issuer, which this server was not started for.
        jwks_uri: "http://127.0.0.1:1/keys".to_owned(),
    };
    let client = server.client(OAuthGrantType::JwtBearer, |request| request.trust = Some(trust)).await;
    let id = ("client_id", client.id.as_str());
    let grant = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), id, ("assertion", "a.b.c")];
    let credential = [
        ("grant_type", "client_credentials"),
        id,
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", "a.b.c"),
    ];
    for pairs in [&grant[..], &credential] {
        let answer = server.form("//oauth/token", pairs).await;
        assert_eq!(answer.header("retry-after"), "60");
        refused(answer, 503, "temporarily_unavailable", "--jwks-uri");
    }
}

#[tokio::test]
async fn the_page_says_who_wants_what_and_nothing_can_be_put_into_it() {
    let server = Server::start().await;
    let client = server.client(OAuthGrantType::AuthorizationCode, |_| {}).await;
    let base = [("response_type", "code"), ("client_id", client.id.as_str()), ("redirect_uri", CALLBACK)];
    let ask = async |more: &[(&str, &str)]| {
        server.raw("GET", &format!("//oauth/authorize?{}", encode(&[&base[..], more].concat())), &[], "").await
    };
    let state = "\"><script>alert(1)</script>";
    let page = ask(&[("state", state), ("scope", "users:read")]).await.is(200);
    let text = String::from_utf8_lossy(&page.body).into_owned();
    assert!(!text.contains("<script") && text.contains("Okta &lt;&amp;&quot;") && text.contains("See users"), "{text}");
    assert!(!text.contains("Create, change and delete users"), "{text}");
    assert!(text.contains(&format!("rollcall oauth approve acme {}", client.id)));
    assert!(text.contains(" to see the users of ") && text.contains("<code>scim.example.com</code>"), "{text}");
    assert!(text.contains("<code>system-admin.okta.com</code>") && text.contains("made 20"), "{text}");
    assert!(hidden(&page).contains(&("state".to_owned(), state.to_owned())));
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self';"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!((page.header("referrer-policy"), page.header("x-frame-options")), ("no-referrer", "DENY"));
    assert_eq!(page.header("cache-control"), "no-store");

    let denied = [&base[..], &[("state", state), ("decision", "deny")]].concat();
    let denied = returned(&server.form("//oauth/authorize", &denied).await);
    assert_eq!((&denied["error"], &denied["state"]), (&json!("access_denied"), &json!(state)));
    assert_eq!(denied["iss"], "https://scim.example.com");

    let approve = async |code: &str| {
        let fields = [&base[..], &[("state", state), ("approval_code", code), ("decision", "approve")]].concat();
        server.form("//oauth/authorize", &fields).await
    };
    for (code, said) in [("", "Enter the approval code"), ("WRON-GWRO-NGWR-ONGW", "not valid")] {
        let again = approve(code).await.is(400);
        let text = String::from_utf8_lossy(&again.body).into_owned();
        assert!(text.contains(said) && text.contains("role=\"alert\""), "{text}");
        assert!(hidden(&again).contains(&("state".to_owned(), state.to_owned())));
    }
    let code = server.approval(&client).await;
    assert!(returned(&approve(&code).await)["code"].as_str().expect("code").starts_with("rc_code_"));
    approve(&code).await.is(400);
}

#[tokio::test]
async fn an_error_goes_to_the_client_only_if_it_is_one() {
    let server = Server::start().await;
    let client = server.client(OAuthGrantType::AuthorizationCode, |_| {}).await;
    let other = server.client(OAuthGrantType::ClientCredentials, |_| {}).await;
    let ask = async |pairs: &[(&str, &str)]| {
        server.raw("GET", &format!("//oauth/authorize?{}", encode(pairs)), &[], "").await
    };
    let (id, uri) = (("client_id", client.id.as_str()), ("redirect_uri", CALLBACK));
    let (code, state) = (("response_type", "code"), ("state", "s"));
    let longer = format!("{CALLBACK}/");
    for pairs in [
        &[code, uri, state][..],
        &[code, id, state],
        &[code, id, ("redirect_uri", longer.as_str()), state],
        &[code, id, ("redirect_uri", "https://evil.example.com/"), state],
        &[code, ("client_id", server.organization.as_str()), uri, state],
        &[code, ("client_id", other.id.as_str()), uri, state],
        &[code, id, id, uri, state],
    ] {
        let page = ask(pairs).await.is(400);
        assert_eq!(
            (page.header("location"), page.header("content-type")),
            ("", "text/html; charset=utf-8"),
            "{pairs:?}"
        );
        assert!(page.header("content-security-policy").contains("form-action 'none'"));
    }
    let page = ask(&[code, id, ("redirect_uri", "https://evil.example.com/?a=\"<b>&c")]).await.is(400);
    let page = String::from_utf8_lossy(&page.body).into_owned();
    assert!(page.contains("--redirect-uri https://evil.example.com/?a=&quot;&lt;b&gt;&amp;c"), "what to do: {page}");
    assert!(page.contains(&format!("oauth client show ORG {}", client.id)) && !page.contains('`'), "{page}");
    for (pairs, error) in [
        (vec![id, uri, state], "invalid_request"),
        (vec![id, uri, state, ("response_type", "token")], "unsupported_response_type"),
        (vec![id, uri, state, code, ("scope", "users:admin")], "invalid_scope"),
        (vec![id, uri, state, code, ("code_challenge", CHALLENGE)], "invalid_request"),
        (
            vec![id, uri, state, code, ("code_challenge", CHALLENGE), ("code_challenge_method", "plain")],
            "invalid_request",
        ),
        (vec![id, uri, state, code, ("code_challenge", "short"), ("code_challenge_method", "S256")], "invalid_request"),
        (vec![id, uri, state, code, ("code_challenge_method", "S256")], "invalid_request"),
    ] {
        let parameters = returned(&ask(&pairs).await);
        assert_eq!((&parameters["error"], &parameters["state"]), (&json!(error), &json!("s")), "{parameters}");
    }
    // A redirect URI may have a query of its own.
    let own = format!("{CALLBACK}?a=b");
    let parameters = returned(&ask(&[id, ("redirect_uri", own.as_str())]).await);
    assert_eq!((&parameters["a"], &parameters["error"]), (&json!("b"), &json!("invalid_request")));
    assert!(parameters.get("state").is_none());
}

#[tokio::test]
async fn a_plan_that_ends_stops_approvals_and_no_refresh() {
    let server = Server::start().await;
    let client = server.client(OAuthGrantType::AuthorizationCode, |_| {}).await;
    let code = server.code(&client, &[]).await;
    let exchange = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    let given = server.ask_token(&client, &exchange).await.is(200).json();
    let schemes = |config: &Value| config["authenticationSchemes"].as_array().expect("schemes").len();
    assert_eq!(schemes(&server.get("/ServiceProviderConfig").await.json()), 2);
    let approval = server.approval(&client).await;
    server.plan(&server.organization, "free").await;
    let fields = [
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", CALLBACK),
        ("approval_code", approval.as_str()),
        ("decision", "approve"),
    ];
    let shown = server.raw("GET", &format!("//oauth/authorize?{}", encode(&fields[..3])), &[], "").await;
    for page in [shown, server.form("//oauth/authorize", &fields).await] {
        let text = String::from_utf8_lossy(&page.is(403).body).into_owned();
        assert!(text.contains("rollcall org plan acme --plan enterprise") && !text.contains("<form"), "{text}");
    }
    // The approval is still there.
    server.plan(&server.organization, "enterprise").await;
    assert!(returned(&server.form("//oauth/authorize", &fields).await)["code"].is_string());
    server.plan(&server.organization, "free").await;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", given["refresh_token"].as_str().expect("token"))];
    server.ask_token(&client, &refresh).await.is(200);
}

#[tokio::test]
async fn a_token_is_given_back_and_what_is_not_the_clients_is_passed_over() {
    let server = Server::start().await;
    let client = server.client(OAuthGrantType::ClientCredentials, |_| {}).await;
    let given = server.ask_token(&client, &[("grant_type", "client_credentials")]).await.is(200).json();
    let access = given["access_token"].as_str().expect("token");
    let own = [("client_id", client.id.as_str()), ("client_secret", client.secret.as_str())];
    let give_back = async |token: &str| {
        server.form("//oauth/revoke", &[&own[..], &[("token", token), ("token_type_hint", "x")]].concat()).await
    };
    for token in [server.token.as_str(), "rc_access_unknown", access, access] {
        give_back(token).await.is(200);
    }
    server.get("/Users").await.is(200);
    server.raw("GET", "/Users", &[("authorization", &format!("Bearer {access}"))], "").await.is(401);
    refused(server.form("//oauth/revoke", &own).await, 400, "invalid_request", "token");
    let wrong = [("client_id", client.id.as_str()), ("client_secret", "x"), ("token", access)];
    refused(server.form("//oauth/revoke", &wrong).await, 401, "invalid_client", "");
}

/// RFC 8414.
#[tokio::test]
async fn metadata_comes_from_the_configuration_and_not_from_host() {
    let server = Server::start().await;
    let path = "//.well-known/oauth-authorization-server";
    let document = server.raw("GET", path, &[("host", "evil.example.com")], "").await.is(200);
    assert_eq!(document.header("content-type"), "application/json");
    let document = document.json();
    assert_eq!(document["issuer"], "https://scim.example.com");
    for (name, at) in [("authorization", "authorize"), ("token", "token"), ("revocation", "revoke")] {
        assert_eq!(document[format!("{name}_endpoint")], format!("https://scim.example.com/oauth/{at}"));
    }
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    assert!(!document.to_string().contains("none") && !document.to_string().contains("HS256"));
}

/// As unknown bearer tokens do: beyond its budget an address waits for its turn, and whoever has a secret is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wrong_secrets_spend_the_budget_of_their_address() {
    use futures::StreamExt as _;
    use http::Method;

    let server = Server::start().await;
    let client = server.client(OAuthGrantType::ClientCredentials, |_| {}).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(scim_gateway::serve(listener, server.router(), Vec::new(), std::future::pending()));
    let ask = async |secret: String| {
        let http = testkit::client::Client::new(&base).with_header("content-type", FORM.1).expect("header");
        let own = [("client_id", client.id.as_str()), ("client_secret", &secret), ("grant_type", "client_credentials")];
        http.send(Method::POST, "/oauth/token", Some(encode(&own).into())).await.expect("an answer").status
    };
    assert_eq!(ask(client.secret.clone()).await, 200);
    let begun = std::time::Instant::now();
    let flood = futures::stream::iter(0..600).map(|n| ask(format!("rc_oauth_wrong-{n}"))).buffer_unordered(32);
    let flood = flood.collect::<Vec<_>>();
    let valid = async {
        for n in 0..10 {
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            let begun = std::time::Instant::now();
            assert_eq!(ask(client.secret.clone()).await, 200, "{n}");
            assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
        }
    };
    let (answers, ()) = tokio::join!(flood, valid);
    assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
    assert!(begun.elapsed() > std::time::Duration::from_millis(1200), "{:?}", begun.elapsed());
}

/// Assertions are always new, and a client may be: both are let in within a moment while their address floods.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_unknown_credentials_delays_no_valid_one_that_is_new() {
    use futures::StreamExt as _;
    use http::Method;

    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("key");
    let key = Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("pair");
    let public = URL_SAFE_NO_PAD.encode(key.public_key());
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": public}]}).to_string();
    let server = Server::start().await;
    let entra = server.client(OAuthGrantType::JwtBearer, |request| {
        request.trust = Some(OAuthTrust {
            issuer: "https://issuer".to_owned(),
            subject: "app".to_owned(),
            audience: "https://here".to_owned(),
            jwks_json: jwks,
            ..Default::default()
        });
    });
    let entra = entra.await;
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let assertion = |n: usize| {
        let exp = store::Clock::system().now().as_micros() / 1_000_000 + 600;
        let claims =
            json!({"iss": "https://issuer", "sub": "app", "aud": "https://here", "exp": exp, "jti": n.to_string()});
        let message = format!("{}.{}", part(json!({"alg": "EdDSA", "kid": "k"})), part(claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes())))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    tokio::spawn(scim_gateway::serve(listener, server.router(), Vec::new(), std::future::pending()));
    let http = testkit::client::Client::new(&base).with_header("content-type", FORM.1).expect("header");
    let ask = async |pairs: &[(&str, &str)]| {
        let http = http.clone();
        http.send(Method::POST, "/oauth/token", Some(encode(pairs).into())).await.expect("an answer").status
    };
    let by_assertion = async |assertion: &str| {
        let grant_type = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        ask(&[("client_id", entra.id.as_str()), ("grant_type", grant_type), ("assertion", assertion)]).await
    };
    let by_secret = async |id: &str, secret: &str| {
        ask(&[("client_id", id), ("client_secret", secret), ("grant_type", "client_credentials")]).await
    };
    assert_eq!(by_assertion(&assertion(1000)).await, 200);
    // Secrets and assertions that are wrong in turn: enough that hundreds wait for their refusal.
    let refused = AtomicUsize::new(0);
    let wrong = async |n: usize| {
        let status = if n.is_multiple_of(2) {
            by_secret(&entra.id, &format!("rc_oauth_wrong-{n}")).await
        } else {
            by_assertion(&format!("{}AAAA", assertion(n))).await
        };
        refused.fetch_add(1, Ordering::Relaxed);
        status
    };
    let flood = futures::stream::iter(0..1000).map(wrong).buffer_unordered(400).collect::<Vec<_>>();
    let valid = async {
        while refused.load(Ordering::Relaxed) < 600 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let mut slowest = std::time::Duration::ZERO;
        for n in 2000..2005 {
            let new = server.client(OAuthGrantType::ClientCredentials, |_| {}).await;
            let begun = std::time::Instant::now();
            assert_eq!(by_assertion(&assertion(n)).await, 200, "{n}");
            assert_eq!(by_secret(&new.id, &new.secret).await, 200, "{n}");
            slowest = slowest.max(begun.elapsed());
        }
        assert!(slowest < std::time::Duration::from_secs(2), "{slowest:?}");
        assert!(refused.load(Ordering::Relaxed) < 1000, "the flood is over");
    };
    let (answers, ()) = tokio::join!(flood, valid);
    assert!(answers.iter().all(|status| matches!(status, 400 | 401)), "{answers:?}");
}

/// And nobody who lacks its credential spends its budget.
#[tokio::test]
async fn a_client_that_asks_for_tokens_without_pause_waits_alone() {
    let server = Server::with(|config| config.default_requests_per_second = 50).await;
    let [busy, quiet] = [(); 2].map(|()| server.client(OAuthGrantType::ClientCredentials, |_| {}));
    let (busy, quiet) = (busy.await, quiet.await);
    let ask = async |client: &Client| server.ask_token(client, &[("grant_type", "client_credentials")]).await;
    let stranger = Client { id: quiet.id.clone(), secret: "rc_oauth_wrong".to_owned() };
    for _ in 0..120 {
        assert!([401, 429, 503].contains(&ask(&stranger).await.status.as_u16()));
    }
    let mut answers = Vec::new();
    for _ in 0..150 {
        answers.push(ask(&busy).await);
    }
    let (issued, spent): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert!((100..150).contains(&issued.len()), "{}", issued.len());
    for answer in spent {
        assert_eq!(answer.header("retry-after"), "1");
        refused(answer, 429, "temporarily_unavailable", "asks too often");
    }
    ask(&quiet).await.is(200);
    let page = async |client: &Client| {
        let query = [("response_type", "code"), ("client_id", client.id.as_str()), ("redirect_uri", CALLBACK)];
        server.raw("GET", &format!("//oauth/authorize?{}", encode(&query)), &[], "").await
    };
    let [shown, other] = [(); 2].map(|()| server.client(OAuthGrantType::AuthorizationCode, |_| {}));
    let (shown, other) = (shown.await, other.await);
    let mut statuses = Vec::new();
    for _ in 0..150 {
        statuses.push(page(&shown).await.status.as_u16());
    }
    assert!(statuses.contains(&429) && statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    page(&other).await.is(200);
}
