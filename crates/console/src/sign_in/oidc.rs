//! The client side of OpenID Connect: discovery, where to send the browser, the token request, and what the ID token must be.
//!
//! Not here: what is remembered between the two (identity-service), cookies and pages.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;
use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, CsrfToken,
    DiscoveryError, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, TokenResponse as _,
    core::{
        CoreClient, CoreClientAuthMethod, CoreIdTokenClaims, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreResponseType, CoreTokenResponse, CoreUserInfoClaims,
    },
};

use super::http::{Http, Unreached};
use crate::{Clock, site::Reached};

/// A provider's metadata and keys are believed for so long.
const FRESH: Duration = Duration::from_secs(600);
/// By so much its clock may differ.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// Told from a token that has expired, for which `openidconnect` has the same error.
const FUTURE: &str = "issued in the future";

/// With a key of the provider's; never with the client's secret.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Of this installation at a provider.
pub(super) struct Registration<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    /// Empty: none.
    pub(super) client_secret: &'a str,
    pub(super) redirect_uri: &'a str,
}

/// Who the provider says it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) subject: String,
    pub(super) email: String,
    pub(super) email_verified: bool,
    pub(super) name: String,
    /// `preferred_username`.
    pub(super) user_name: String,
}

/// What was wrong, for a person who can change the settings, here or at the provider.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

impl Wrong {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn unreached(unreached: Unreached) -> Self {
        Self(format!(
            "The provider cannot be used: {unreached}. Try again; if it stays, an owner has to check the issuer under Sign-in."
        ))
    }
}

/// The providers that were asked lately.
pub(crate) struct Providers {
    http: Arc<Http>,
    known: Cache<String, Arc<CoreProviderMetadata>>,
    clock: Clock,
}

impl Providers {
    pub(crate) fn new(reached: Reached, clock: Clock) -> Self {
        let known = Cache::builder().max_capacity(200).time_to_live(FRESH).build();
        Self { http: Arc::new(Http::new(reached == Reached::Loopback)), known, clock }
    }

    /// Its metadata with its keys.
    async fn find(&self, issuer: &str) -> Result<Arc<CoreProviderMetadata>, String> {
        let discover = discover(Arc::clone(&self.http), issuer.to_owned());
        // Those who come together ask once.
        self.known.try_get_with_by_ref(issuer, discover).await.map_err(|why| why.as_ref().clone())
    }

    /// Whether there is a provider. What it says is not kept: it is nobody's yet.
    pub(crate) async fn try_out(&self, issuer: &str) -> Result<(), String> {
        let _place = self.http.trial().await.map_err(|why| format!("The provider cannot be asked: {why}."))?;
        discover(Arc::clone(&self.http), issuer.to_owned()).await.map(drop)
    }

    /// Where the browser is sent.
    pub(super) async fn authorization_url(
        &self,
        registration: &Registration<'_>,
        state: String,
        nonce: String,
        verifier: &str,
    ) -> Result<String, Wrong> {
        let metadata = self.find(registration.issuer).await.map_err(Wrong)?;
        let uri = metadata
            .authorization_endpoint()
            .as_str()
            .parse()
            .map_err(|_| Wrong::new("The provider's authorization endpoint is not a URL."))?;
        self.http.allowed(&uri).map_err(Wrong::unreached)?;
        let client = CoreClient::from_provider_metadata(
            (*metadata).clone(),
            ClientId::new(registration.client_id.to_owned()),
            None,
        )
        .set_redirect_uri(redirect(registration)?);
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.to_owned()));
        let (url, ..) = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                || CsrfToken::new(state),
                || Nonce::new(nonce),
            )
            .add_scopes(["email", "profile"].map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        Ok(url.into())
    }

    /// Who comes with this code.
    pub(super) async fn person(
        &self,
        registration: &Registration<'_>,
        code: String,
        nonce: String,
        verifier: String,
    ) -> Result<Person, Wrong> {
        let metadata = self.find(registration.issuer).await.map_err(Wrong)?;
        let secret = Some(registration.client_secret).filter(|secret| !secret.is_empty());
        let by_body = metadata.token_endpoint_auth_methods_supported().is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let client = CoreClient::from_provider_metadata(
            (*metadata).clone(),
            ClientId::new(registration.client_id.to_owned()),
            secret.map(|secret| ClientSecret::new(secret.to_owned())),
        )
        .set_redirect_uri(redirect(registration)?)
        .set_auth_type(if by_body { AuthType::RequestBody } else { AuthType::BasicAuth });

        let send = sending(&self.http);
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| Wrong::new("The provider's metadata has no token endpoint."))?
            .set_pkce_verifier(PkceCodeVerifier::new(verifier));
        let tokens: CoreTokenResponse = request.request_async(&send).await.map_err(|error| refused(&error))?;
        let token = tokens.id_token().ok_or_else(|| {
            Wrong::new(
                "The provider gave no ID token. Is the client there one for OpenID Connect, with the scope openid?",
            )
        })?;

        let nonce = Nonce::new(nonce);
        let verify = |metadata: &CoreProviderMetadata| -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
            let client = CoreClient::from_provider_metadata(
                metadata.clone(),
                ClientId::new(registration.client_id.to_owned()),
                None,
            );
            let now = (self.clock)();
            let earlier = system_time(now - LEEWAY);
            let later = system_time(now + LEEWAY);
            let verifier = client
                .id_token_verifier()
                .set_allowed_algs(ALGORITHMS)
                .set_time_fn(move || earlier.into())
                .set_issue_time_verifier_fn(move |issued| {
                    if SystemTime::from(issued) > later { Err(FUTURE.to_owned()) } else { Ok(()) }
                });
            token.claims(&verifier, &nonce).cloned()
        };
        let claims = match verify(&metadata) {
            // Keys are changed now and then.
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                self.known.invalidate(registration.issuer).await;
                verify(&*self.find(registration.issuer).await.map_err(Wrong)?)
            }
            verified => verified,
        };
        let claims = claims.map_err(|error| unverified(&error))?;
        let mut person = Person {
            subject: claims.subject().to_string(),
            email: claims.email().map(|email| email.to_string()).unwrap_or_default(),
            email_verified: claims.email_verified().unwrap_or_default(),
            name: claims.name().and_then(|name| name.get(None)).map(|name| name.to_string()).unwrap_or_default(),
            user_name: claims.preferred_username().map(|name| name.to_string()).unwrap_or_default(),
        };
        // OpenID Connect Core section 5.4: with a code, claims of scopes may be at the UserInfo endpoint alone.
        if person.email.is_empty()
            && let Ok(request) = client.user_info(tokens.access_token().clone(), Some(claims.subject().clone()))
        {
            let told: Result<CoreUserInfoClaims, _> = request.request_async(&send).await;
            let told = told.map_err(|error| {
                tracing::info!(error = %error, "asking for UserInfo");
                Wrong::new("The provider did not tell the e-mail address: its UserInfo endpoint refused, or spoke of somebody else.")
            })?;
            person.email = told.email().map(|email| email.to_string()).unwrap_or_default();
            person.email_verified = told.email_verified().unwrap_or_default();
            if let Some(name) = told.name().and_then(|name| name.get(None)) {
                person.name = name.to_string();
            }
            if let Some(name) = told.preferred_username() {
                person.user_name = name.to_string();
            }
        }
        Ok(person)
    }
}

type Sent = Pin<Box<dyn Future<Output = Result<HttpResponse, Unreached>> + Send>>;

fn sending(http: &Arc<Http>) -> impl Fn(HttpRequest) -> Sent + Send + Sync + 'static {
    let http = Arc::clone(http);
    move |request| {
        let http = Arc::clone(&http);
        Box::pin(async move { http.send(request).await })
    }
}

fn discover(
    http: Arc<Http>,
    issuer: String,
) -> Pin<Box<dyn Future<Output = Result<Arc<CoreProviderMetadata>, String>> + Send>> {
    Box::pin(async move {
        let url = IssuerUrl::new(issuer).map_err(|_| "The issuer is not a URL.".to_owned())?;
        let send = sending(&http);
        let found = CoreProviderMetadata::discover_async(url, &send).await;
        found.map(Arc::new).map_err(|error| undiscovered(&error))
    })
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.as_microsecond()).unwrap_or_default())
}

fn redirect(registration: &Registration<'_>) -> Result<RedirectUrl, Wrong> {
    RedirectUrl::new(registration.redirect_uri.to_owned()).map_err(|_| Wrong::new("The redirect URI is not a URL."))
}

fn undiscovered(error: &DiscoveryError<Unreached>) -> String {
    match error {
        DiscoveryError::Request(unreached) => format!("The provider cannot be used: {unreached}."),
        DiscoveryError::Response(status, ..) => format!(
            "The provider answers {status} at the issuer's /.well-known/openid-configuration, or at the address of its keys. Is the \
             issuer right?"
        ),
        DiscoveryError::Validation(_) => {
            "The provider's metadata names another issuer than the one that was entered. They must be the same, character by \
             character, also in the slash at the end."
                .to_owned()
        }
        _ => "What is at the issuer's /.well-known/openid-configuration is not the metadata of an OpenID provider.".to_owned(),
    }
}

fn refused<T: openidconnect::ErrorResponse + std::fmt::Display + 'static>(
    error: &RequestTokenError<Unreached, T>,
) -> Wrong {
    match error {
        RequestTokenError::ServerResponse(said) => {
            let said: String = said.to_string().chars().take(300).collect();
            Wrong(format!(
                "The provider refused the code: {said}. \"invalid_client\" means that the client id or its secret is wrong, \
                 \"invalid_grant\" that the code was used before or is too old: begin anew."
            ))
        }
        RequestTokenError::Request(unreached) => Wrong::unreached(*unreached),
        _ => Wrong::new("The provider's answer at the token endpoint, or the ID token in it, cannot be read."),
    }
}

fn unverified(error: &ClaimsVerificationError) -> Wrong {
    tracing::info!(%error, "an ID token was refused");
    Wrong::new(match error {
        ClaimsVerificationError::Expired(why) if why == FUTURE => {
            "The ID token is of the future. The clocks of this server and of the provider differ: whoever runs Rollcall has to set \
             this one right."
        }
        ClaimsVerificationError::Expired(_) => {
            "The ID token has expired already. The clocks of this server and of the provider differ, or the sign-in took too long: \
             begin anew."
        }
        ClaimsVerificationError::InvalidAudience(_) => {
            "The ID token is for another client. An owner has to check the client id under Sign-in."
        }
        ClaimsVerificationError::InvalidIssuer(_) => {
            "The ID token is of another issuer than the one that was entered. An owner has to check the issuer under Sign-in."
        }
        ClaimsVerificationError::InvalidNonce(_) => "The ID token belongs to another sign-in: begin anew.",
        ClaimsVerificationError::SignatureVerification(_) => {
            "The signature of the ID token is not one of the provider's keys, or of a kind that is not taken. RS256, PS256, ES256 and \
             EdDSA are."
        }
        _ => "The ID token is not as OpenID Connect wants it.",
    })
}
