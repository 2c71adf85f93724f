//! A small OpenID provider on this machine: discovery, keys, codes held by PKCE, signed ID tokens, UserInfo.

use std::{
    collections::HashMap,
    process::Command,
    sync::{Arc, LazyLock, Mutex},
};

use axum::{
    Form, Json, Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use http::{HeaderMap, StatusCode};
use ring::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{self, EcdsaKeyPair, KeyPair as _, RsaKeyPair},
};
use serde_json::{Value, json};

/// How the next ID token deviates from a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fault {
    #[default]
    None,
    Nonce,
    Audience,
    AnotherAudienceToo,
    Issuer,
    Expired,
    OfTheFuture,
    NoAlgorithm,
    SecretAsKey,
    ForeignKey,
    ChangedAfterwards,
    NoIdToken,
    Error,
}

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    state: Arc<Mutex<Next>>,
}

#[derive(Clone, Default)]
struct Next {
    fault: Fault,
    rsa: bool,
    claims: Value,
    /// Told at the UserInfo endpoint alone.
    user_info: bool,
    /// Code to challenge and nonce.
    codes: HashMap<String, (String, String)>,
}

pub(crate) const CLIENT: &str = "rollcall-console";
pub(crate) const SECRET: &str = "hush&+%hush";

struct Keys {
    ec: EcdsaKeyPair,
    foreign: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let random = SystemRandom::new();
    let ec = || {
        let kind = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("key");
        EcdsaKeyPair::from_pkcs8(kind, document.as_ref(), &random).expect("key")
    };
    let words = ["genrsa", "-traditional", "2048"];
    let made = Command::new("openssl").args(words).output().expect("openssl");
    let pem = String::from_utf8(made.stdout).expect("PEM");
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(base64).expect("base64");
    Keys { ec: ec(), foreign: ec(), rsa: RsaKeyPair::from_der(&der).expect("key") }
});

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let issuer = format!("http://{}", listener.local_addr().expect("address"));
        let provider = Self { issuer, state: Arc::default() };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(crate) fn next(&self, claims: Value) {
        let mut next = self.state.lock().expect("lock");
        *next = Next { claims, codes: next.codes.clone(), ..Next::default() };
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.state.lock().expect("lock").fault = fault;
    }

    pub(crate) fn by_rsa(&self) {
        self.state.lock().expect("lock").rsa = true;
    }

    pub(crate) fn by_user_info(&self) {
        self.state.lock().expect("lock").user_info = true;
    }

    /// What the provider's own page would do: a code for the address that the browser was sent to.
    pub(crate) fn consent(&self, address: &str) -> (String, String) {
        let (to, query) = address.split_once('?').expect("query");
        assert_eq!(to, format!("{}/authorize", self.issuer));
        let asked: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        assert_eq!((&*asked["client_id"], &*asked["response_type"]), (CLIENT, "code"));
        assert_eq!(&*asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
        assert!(asked["state"].len() >= 43 && asked["nonce"].len() >= 43);
        let mut next = self.state.lock().expect("lock");
        let code = format!("code-{}", next.codes.len());
        next.codes.insert(code.clone(), (asked["code_challenge"].clone(), asked["nonce"].clone()));
        (code, asked["state"].clone())
    }
}

async fn discovery(State(provider): State<Provider>) -> Json<Value> {
    let issuer = &provider.issuer;
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    }))
}

async fn keys() -> Json<Value> {
    let point = KEYS.ec.public_key().as_ref();
    let public = signature::RsaPublicKeyComponents::<Vec<u8>>::from(KEYS.rsa.public());
    Json(json!({"keys": [
        {"kty": "EC", "crv": "P-256", "kid": "e", "use": "sig", "alg": "ES256",
         "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
        {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256",
         "n": BASE64.encode(public.n),
         "e": BASE64.encode(public.e)},
    ]}))
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
    // RFC 6749 section 2.3.1: both are form-encoded first.
    let basic =
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{CLIENT}:hush%26%2B%25hush")));
    if headers.get("authorization").is_none_or(|value| value.as_bytes() != basic.as_bytes()) {
        return refused("invalid_client");
    }
    let mut next = provider.state.lock().expect("lock");
    let Some((challenge, nonce)) = next.codes.remove(&form["code"]) else { return refused("invalid_grant") };
    if BASE64.encode(digest(&SHA256, form["code_verifier"].as_bytes())) != challenge {
        return refused("invalid_grant");
    }
    let mut answer = json!({"access_token": "opaque", "token_type": "Bearer", "expires_in": 60});
    match next.fault {
        Fault::Error => return refused("invalid_grant"),
        Fault::NoIdToken => {}
        _ => answer["id_token"] = id_token(&provider.issuer, &next, &nonce).into(),
    }
    Json(answer).into_response()
}

async fn user_info(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    assert_eq!(headers["authorization"], "Bearer opaque");
    Json(provider.state.lock().expect("lock").claims.clone()).into_response()
}

fn id_token(issuer: &str, next: &Next, nonce: &str) -> String {
    let now = store::Clock::system().now().as_micros() / 1_000_000;
    let mut claims = json!({"iss": issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce});
    let told = next.claims.as_object().expect("claims");
    for (name, value) in told.iter().filter(|(name, _)| !next.user_info || *name == "sub") {
        claims[name] = value.clone();
    }
    let mut header = if next.rsa { json!({"alg": "RS256", "kid": "r"}) } else { json!({"alg": "ES256", "kid": "e"}) };
    match next.fault {
        Fault::Nonce => claims["nonce"] = "another".into(),
        Fault::Audience => claims["aud"] = "another".into(),
        Fault::AnotherAudienceToo => claims["aud"] = json!([CLIENT, "another"]),
        Fault::Issuer => claims["iss"] = "https://another.example".into(),
        Fault::Expired => claims["exp"] = (now - 120).into(),
        Fault::OfTheFuture => claims["iat"] = (now + 3600).into(),
        Fault::NoAlgorithm => header = json!({"alg": "none"}),
        Fault::SecretAsKey => header = json!({"alg": "HS256"}),
        _ => {}
    }
    let part = |value: &Value| BASE64.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let random = SystemRandom::new();
    let signature = match next.fault {
        Fault::NoAlgorithm => Vec::new(),
        Fault::SecretAsKey => {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
            ring::hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
        }
        Fault::ForeignKey => KEYS.foreign.sign(&random, signed.as_bytes()).expect("signed").as_ref().to_vec(),
        _ if next.rsa => {
            let mut signature = vec![0; KEYS.rsa.public().modulus_len()];
            let how = &signature::RSA_PKCS1_SHA256;
            KEYS.rsa.sign(how, &random, signed.as_bytes(), &mut signature).expect("signed");
            signature
        }
        _ => KEYS.ec.sign(&random, signed.as_bytes()).expect("signed").as_ref().to_vec(),
    };
    let signed = if next.fault == Fault::ChangedAfterwards {
        claims["sub"] = "somebody-else".into();
        format!("{}.{}", part(&header), part(&claims))
    } else {
        signed
    };
    format!("{signed}.{}", BASE64.encode(signature))
}
