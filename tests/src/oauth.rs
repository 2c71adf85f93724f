//! OAuth 2.0 as Okta and Entra ID use it, from the command line to the end of a grant.

use std::{process::Command, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::Method;
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::{
    client::{Client, Reply, form_encode},
    entra,
    okta::{self, Person},
    process::Deployment,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    forms::{Organization, organization},
    internal,
    transcript::{Talk, Transcript},
};

const CALLBACK: &str = "https://system-admin.okta.com/admin/app/cpc/acme_rollcall_1/oauth/callback";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Plays both against a running form, which was started with `--oauth-loopback-jwks`.
///
/// # Errors
/// At the first difference.
pub async fn run(deployment: &Deployment, transcript: &Transcript) -> Result<()> {
    transcript.chapter("Okta: authorization code, refresh, and a refresh token that is used again");
    let acme = organization(deployment, transcript, "acme")?;
    Play { deployment, transcript, organization: &acme }.okta().await?;
    internal::compare(deployment, &acme, transcript).await?;

    transcript.chapter("Entra ID: client credentials, and a secret that is rotated");
    let contoso = organization(deployment, transcript, "contoso")?;
    let play = Play { deployment, transcript, organization: &contoso };
    play.entra().await?;
    transcript.chapter("Entra ID: a workload identity's assertions");
    play.workload_identity().await?;
    play.plan()
}

struct Play<'a> {
    deployment: &'a Deployment,
    transcript: &'a Transcript,
    organization: &'a Organization,
}

/// What an administrator pastes.
struct Pasted {
    id: String,
    secret: String,
    authorize: String,
    token: String,
}

fn text(document: &Value, name: &str) -> Result<String> {
    Ok(document[name].as_str().with_context(|| format!("no {name} in {document}"))?.to_owned())
}

fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", form_encode(value))).collect::<Vec<_>>().join("&")
}

/// The address of a page that goes on by itself, as a browser reads it.
pub(crate) fn onward(page: &Reply) -> Result<String> {
    let html = String::from_utf8_lossy(&page.body).into_owned();
    let (_, rest) = html.split_once("http-equiv=\"refresh\" content=\"0;url=").context("the page goes nowhere")?;
    Ok(rest.split('"').next().unwrap_or_default().replace("&amp;", "&"))
}

impl Play<'_> {
    fn create(&self, words: &[&str]) -> Result<Pasted> {
        let words = [&["oauth", "client", "create", self.organization.slug.as_str()], words].concat();
        let made = self.deployment.cli_json(&words)?;
        let secret = made["client_secret"].as_str().unwrap_or_default().to_owned();
        if !secret.is_empty() {
            self.transcript.hide(&secret);
        }
        self.transcript.same("the SCIM URL is told", &text(&made, "scim_url")?, &self.organization.scim_url)?;
        Ok(Pasted {
            id: text(&made, "client_id")?,
            secret,
            authorize: text(&made, "authorize_url")?,
            token: text(&made, "token_url")?,
        })
    }

    async fn post(&self, url: &str, authorization: Option<&str>, pairs: &[(&str, &str)]) -> Result<Reply> {
        let mut client = Client::new(url).with_header("content-type", "application/x-www-form-urlencoded")?;
        if let Some(value) = authorization {
            client = client.with_header("authorization", value)?;
        }
        client.send(Method::POST, "", Some(form(pairs).into())).await
    }

    /// What a token endpoint must answer, RFC 6749 section 5.1.
    fn issued(&self, reply: &Reply) -> Result<Value> {
        let document = reply.json()?;
        self.transcript.same("status", &(reply.status, document["error"].clone()), &(200, Value::Null))?;
        self.transcript.same("cache-control", &reply.header("cache-control"), &Some("no-store"))?;
        self.transcript.same("token_type", &document["token_type"], &json!("Bearer"))?;
        self.transcript.that("expires within the hour", document["expires_in"].as_u64() == Some(3600))?;
        for name in ["access_token", "refresh_token"] {
            if let Some(secret) = document[name].as_str() {
                self.transcript.hide(secret);
            }
        }
        Ok(document)
    }

    fn refused(&self, reply: &Reply, status: u16, error: &str) -> Result<()> {
        let document = reply.json()?;
        self.transcript.same("refusal", &(reply.status, document["error"].as_str()), &(status, Some(error)))?;
        self.transcript
            .that("it says what to do", document["error_description"].as_str().is_some_and(|it| it.len() > 20))
    }

    /// The consent page as a person and a browser go through it.
    async fn authorize(&self, okta: &Pasted, more: &[(&str, &str)]) -> Result<String> {
        let asked = [
            &[
                ("response_type", "code"),
                ("client_id", okta.id.as_str()),
                ("redirect_uri", CALLBACK),
                ("state", "okta-state-1"),
            ],
            more,
        ]
        .concat();
        let page = Client::new(&okta.authorize).send(Method::GET, &format!("?{}", form(&asked)), None).await?;
        let html = String::from_utf8_lossy(&page.body).into_owned();
        self.transcript.same("the page", &page.status, &200)?;
        self.transcript.that("names client and organization", html.contains("Okta") && html.contains("acme"))?;
        self.transcript.that("has no script", !html.contains("<script"))?;
        let approval = self.deployment.cli_json(&["oauth", "approve", &self.organization.slug, &okta.id])?;
        let approval = text(&approval, "approval_code")?;
        let filled = [&asked[..], &[("approval_code", approval.as_str()), ("decision", "approve")]].concat();
        let back = self.post(&okta.authorize, None, &filled).await?;
        let location = self.sent_back(&back)?;
        let query = location.strip_prefix(&format!("{CALLBACK}?")).context("another place")?;
        self.transcript.that("with the state", query.contains("state=okta-state-1"))?;
        let issuer = form_encode(self.deployment.http());
        self.transcript.that("and the issuer", query.contains(&format!("iss={issuer}")))?;
        let code = query.split('&').find_map(|pair| pair.strip_prefix("code=")).context("no code")?;
        self.transcript.hide(code);
        Ok(code.to_owned())
    }

    /// Where the page after the form goes on to.
    fn sent_back(&self, page: &Reply) -> Result<String> {
        self.transcript.same("a page that goes back", &page.status, &200)?;
        let policy = page.header("content-security-policy").unwrap_or_default();
        self.transcript.that("and has no form", policy.contains("form-action 'none'"))?;
        onward(page)
    }

    async fn okta(&self) -> Result<()> {
        self.transcript.step("The administrator makes a client and pastes what is shown");
        let okta = self.create(&["--name", "Okta", "--grant", "authorization_code", "--redirect-uri", CALLBACK])?;
        let metadata = Client::new(self.deployment.http());
        let metadata = metadata.send(Method::GET, "/.well-known/oauth-authorization-server", None).await?.json()?;
        self.transcript.same("authorization_endpoint", &metadata["authorization_endpoint"], &json!(okta.authorize))?;
        self.transcript.same("token_endpoint", &metadata["token_endpoint"], &json!(okta.token))?;

        self.transcript.step("Authenticate: the page, the approval code, the redirect, the exchange");
        let verifier = "x".repeat(43);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let pkce = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
        let code = self.authorize(&okta, &pkce).await?;
        let own = [("client_id", okta.id.as_str()), ("client_secret", okta.secret.as_str())];
        let exchange = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
        let stolen = self.post(&okta.token, None, &[&own[..], &exchange].concat()).await?;
        self.refused(&stolen, 400, "invalid_grant")?;
        let whole = [&own[..], &exchange, &[("code_verifier", verifier.as_str())]].concat();
        let first = self.issued(&self.post(&okta.token, None, &whole).await?)?;

        self.transcript.step("Push a user, refresh, go on");
        let kit = Person::new("Kit", "Moor", "example.com");
        let talk = self.talk(&okta::client(&self.organization.scim_url, &text(&first, "access_token")?)?);
        let id = talk.post("/Users", &kit.create()).await?.status(201)?.id()?;
        let refresh = async |token: &Value| {
            let token = token["refresh_token"].as_str().unwrap_or_default();
            let pairs = [&own[..], &[("grant_type", "refresh_token"), ("refresh_token", token)]].concat();
            self.post(&okta.token, None, &pairs).await
        };
        let second = self.issued(&refresh(&first).await?)?;
        let talk = self.talk(&okta::client(&self.organization.scim_url, &text(&second, "access_token")?)?);
        talk.patch(&format!("/Users/{id}"), &okta::set_active(false)).await?.status(200)?.is("/active", false)?;
        let third = self.issued(&refresh(&second).await?)?;

        self.transcript.step("Somebody else has the first refresh token: all of it ends within a second");
        self.refused(&refresh(&first).await?, 400, "invalid_grant")?;
        let begun = std::time::Instant::now();
        let last = okta::client(&self.organization.scim_url, &text(&third, "access_token")?)?;
        while last.send(Method::GET, okta::PROBE, None).await?.status != 401 {
            ensure!(begun.elapsed().as_millis() < 1000, "the access token is still good");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        self.transcript.held("the access token is refused within a second");
        self.refused(&refresh(&third).await?, 400, "invalid_grant")?;
        let grants = self.deployment.cli_json(&["oauth", "grant", "list", &self.organization.slug])?;
        self.transcript.same("why", &grants["grants"][0]["revoked_for"], &json!("refresh_reused"))?;

        self.transcript.step("Denied on the page");
        let denied = [
            ("response_type", "code"),
            ("client_id", okta.id.as_str()),
            ("redirect_uri", CALLBACK),
            ("state", "s"),
            ("decision", "deny"),
        ];
        let back = self.post(&okta.authorize, None, &denied).await?;
        let location = self.sent_back(&back)?;
        self.transcript.that("access_denied", location.contains("error=access_denied") && location.contains("state=s"))
    }

    fn talk(&self, client: &Client) -> Talk {
        Talk { client: client.clone(), transcript: self.transcript.clone() }
    }

    async fn entra(&self) -> Result<()> {
        self.transcript.step("Client credentials, by HTTP Basic and in the body");
        let made =
            self.create(&["--name", "Entra ID", "--grant", "client_credentials", "--scope", "users:read,users:write"])?;
        let own = ("grant_type", "client_credentials");
        let basic = |secret: &str| format!("Basic {}", STANDARD.encode(format!("{}:{secret}", made.id)));
        let given = self.issued(&self.post(&made.token, Some(&basic(&made.secret)), &[own]).await?)?;
        self.transcript.that("without a refresh token", given.get("refresh_token").is_none())?;
        let posted = [own, ("client_id", made.id.as_str()), ("client_secret", made.secret.as_str())];
        self.issued(&self.post(&made.token, None, &posted).await?)?;
        let client = entra::client(&self.organization.scim_url, &text(&given, "access_token")?)?;
        let talk = self.talk(&client);
        talk.post("/Users", &entra::create_user("ana@contoso.com", "ana-moor")).await?.status(201)?;
        talk.get("/Groups?excludedAttributes=members").await?.refused(403, None)?;

        self.transcript.step("The secret is rotated with overlap");
        let rotated =
            self.deployment.cli_json(&["oauth", "client", "rotate-secret", &self.organization.slug, &made.id])?;
        let new = text(&rotated, "client_secret")?;
        self.transcript.hide(&new);
        let retire = ["oauth", "client", "retire-secret", self.organization.slug.as_str(), made.id.as_str()];
        self.transcript.that("retiring is refused before it is used", self.deployment.cli_json(&retire).is_err())?;
        for secret in [&made.secret, &new] {
            self.issued(&self.post(&made.token, Some(&basic(secret)), &[own]).await?)?;
        }
        self.deployment.cli_json(&retire)?;
        self.issued(&self.post(&made.token, Some(&basic(&new)), &[own]).await?)?;
        let old = self.post(&made.token, Some(&basic(&made.secret)), &[own]).await?;
        self.refused(&old, 401, "invalid_client")
    }

    async fn workload_identity(&self) -> Result<()> {
        let issuer = Issuer::start().await?;
        let name = format!("{}/tenant/v2.0", issuer.base);
        let keys = format!("{}/keys", issuer.base);
        let words = ["--name", "Entra ID workload", "--grant", "jwt-bearer"];
        let trust = ["--issuer", name.as_str(), "--subject", "workload-1", "--jwks-uri", keys.as_str()];
        let made = self.create(&[&words[..], &trust].concat())?;
        self.transcript.that("there is no secret", made.secret.is_empty())?;
        let claims = |jti: &str| {
            let now = wall_clock();
            json!({"iss": name, "sub": "workload-1", "aud": made.token, "iat": now, "exp": now + 300, "jti": jti})
        };
        self.transcript.step("The assertion as a grant (RFC 7523 section 2.1); once");
        let as_grant = async |assertion: &str| {
            let pairs = [("grant_type", JWT_BEARER), ("assertion", assertion), ("client_id", made.id.as_str())];
            self.post(&made.token, None, &pairs).await
        };
        let signed = issuer.sign("RS256", &claims("1"))?;
        let given = self.issued(&as_grant(&signed).await?)?;
        let talk = self.talk(&entra::client(&self.organization.scim_url, &text(&given, "access_token")?)?);
        talk.get("/Users?filter=userName+eq+%22nobody%22").await?.list(0)?;
        self.refused(&as_grant(&signed).await?, 400, "invalid_grant")?;

        self.transcript.step("The client id in the URL, where the identity provider does not send it");
        let url = format!("{}?client_id={}", made.token, made.id);
        let signed = issuer.sign("RS256", &claims("2"))?;
        let pairs = [("grant_type", JWT_BEARER), ("assertion", signed.as_str())];
        self.issued(&self.post(&url, None, &pairs).await?)?;

        self.transcript.step("The assertion as the client's credential (RFC 7523 section 2.2)");
        let as_client = async |assertion: &str| {
            let pairs = [
                ("grant_type", "client_credentials"),
                ("client_id", made.id.as_str()),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", assertion),
            ];
            self.post(&made.token, None, &pairs).await
        };
        self.issued(&as_client(&issuer.sign("RS256", &claims("3"))?).await?)?;

        self.transcript.step("Assertions that are for somebody else, too long, too old, or not signed by the issuer");
        for (claim, value) in [
            ("sub", json!("workload-2")),
            ("iss", json!(format!("{name}/"))),
            ("aud", json!("https://elsewhere.example")),
            ("exp", json!(wall_clock() - 120)),
            ("exp", json!(wall_clock() + 2 * 3600)),
        ] {
            let mut wrong = claims("4");
            wrong[claim] = value;
            self.refused(&as_client(&issuer.sign("RS256", &wrong)?).await?, 401, "invalid_client")?;
        }
        for algorithm in ["none", "HS256"] {
            self.refused(&as_client(&issuer.sign(algorithm, &claims("5"))?).await?, 401, "invalid_client")?;
        }
        let other = Issuer::start().await?;
        self.refused(&as_client(&other.sign("RS256", &claims("6"))?).await?, 401, "invalid_client")
    }

    /// A plan without OAuth refuses a new client, in words.
    fn plan(&self) -> Result<()> {
        self.transcript.step("A plan without OAuth");
        let slug = &self.organization.slug;
        self.deployment.cli_json(&["org", "plan", slug, "--plan", "enterprise", "--oauth", "false"])?;
        let words = ["oauth", "client", "create", slug, "--name", "x", "--grant", "client_credentials"];
        let refused = self.deployment.cli(&words)?;
        let said = format!("{refused:?}");
        self.transcript.that("refused", refused.json().is_err())?;
        self.transcript.that("with what to do", said.contains("org plan"))
    }
}

#[expect(clippy::disallowed_methods, reason = "what an identity provider writes into its assertions is the time")]
fn wall_clock() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

/// Who signs assertions, with its keys on this machine.
struct Issuer {
    base: String,
    key: KeyPair,
}

impl Issuer {
    async fn start() -> Result<Self> {
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
            .output()
            .context("openssl makes the issuer's key; install it")?;
        let pem = String::from_utf8_lossy(&made.stdout).into_owned();
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).context("openssl wrote no PEM")?;
        let key = KeyPair::from_pkcs8(&der).ok().context("openssl made no RSA key in PKCS #8")?;
        let public = PublicKeyComponents::<Vec<u8>>::from(key.public_key());
        let (n, e) = (URL_SAFE_NO_PAD.encode(public.n), URL_SAFE_NO_PAD.encode(public.e));
        let set = json!({"keys": [{"kty": "RSA", "use": "sig", "kid": "one", "n": n, "e": e, "x5t": "one"}]});
        let set = Arc::new(set.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let set = Arc::clone(&set);
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    let _ = stream.read(&mut head).await;
                    let length = set.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: \
                         close\r\n\r\n{set}"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Ok(Self { base, key })
    }

    /// By RS256, whatever the header says.
    fn sign(&self, algorithm: &str, claims: &Value) -> Result<String> {
        let header = json!({"typ": "JWT", "alg": algorithm, "kid": "one"});
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
        signed.ok().context("not signed")?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
