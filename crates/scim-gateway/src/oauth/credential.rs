//! How a client shows that it is the client: a secret by HTTP Basic or in the form (RFC 6749 section 2.3.1), or an assertion
//! (RFC 7523), which is verified here by what the client was made with.

use std::{net::IpAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest as _, Sha256};
use wire::token::{GetOAuthClientRequest, OAuthAssertion, OAuthClientCredential, o_auth_client_credential::Proof};

use super::{
    ASSERTION_TYPE, CALL, admit,
    answer::{Code, Refused},
    form::Form,
    jwt::Keys,
};
use crate::{gateway::Gateway, limits::Place, refusals::Crowded};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credential {
    client_id: String,
    shown: Shown,
}

#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Secret([u8; 32]),
    Assertion(String),
}

impl Credential {
    /// That of a request: exactly one.
    pub(super) fn read(headers: &HeaderMap, form: &Form, query: &Form) -> Result<Self, Refused> {
        in_query(query)?;
        let basic = basic(headers)?;
        let (secret, assertion) = (form.get("client_secret"), form.get("client_assertion"));
        let ways = usize::from(basic.is_some()) + usize::from(secret.is_some()) + usize::from(assertion.is_some());
        if ways > 1 {
            return Err(Refused::request(
                "The client shows more than one credential. Send its id and secret by HTTP Basic or in the body, or an \
                 assertion.",
            ));
        }
        if let Some((client_id, secret)) = basic {
            if form.get("client_id").is_some_and(|other| other != client_id) {
                return Err(Refused::request(
                    "client_id in the body is not the one of HTTP Basic. Leave it out there.",
                ));
            }
            return Ok(Self { client_id, shown: Shown::Secret(sha256(&secret)) });
        }
        if let Some(assertion) = assertion {
            if form.get("client_assertion_type") != Some(ASSERTION_TYPE) {
                return Err(Refused::request(format!("client_assertion_type must be {ASSERTION_TYPE}.")));
            }
            return Self::assertion(assertion, form, query);
        }
        match (form.get("client_id").or(query.get("client_id")), secret) {
            (Some(client_id), Some(secret)) => {
                Ok(Self { client_id: client_id.to_owned(), shown: Shown::Secret(sha256(secret)) })
            }
            (Some(_), None) => Err(Refused::new(
                Code::InvalidClient,
                "The request says which client it comes from, but not with which credential: client_secret is missing, or \
                 client_assertion with client_assertion_type. Send one of them.",
            )),
            (None, _) => Err(Refused::new(
                Code::InvalidClient,
                "The request does not say which client it comes from. Send client id and secret by HTTP Basic, or \
                 client_id and client_secret in the body.",
            )),
        }
    }

    /// An assertion, which says by itself who it is about, but not to which client of whose organization it belongs.
    /// `client_id` may be part of the URL that is pasted into an identity provider which does not send it.
    pub(super) fn assertion(assertion: &str, form: &Form, query: &Form) -> Result<Self, Refused> {
        in_query(query)?;
        let Some(client_id) = form.get("client_id").or(query.get("client_id")) else {
            return Err(Refused::request(
                "client_id is missing. Send it beside the assertion; or, if the identity provider cannot, add \
                 ?client_id=ID to the token URL there.",
            ));
        };
        Ok(Self { client_id: client_id.to_owned(), shown: Shown::Assertion(assertion.to_owned()) })
    }

    /// By which a credential that was good, or bad, is known again. It cannot be taken for a SCIM token's.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"oauth\0");
        hash.update(self.client_id.as_bytes());
        hash.update(b"\0");
        match &self.shown {
            Shown::Secret(secret) => hash.update(secret),
            Shown::Assertion(text) => hash.update(text.as_bytes()),
        }
        hash.finalize().into()
    }

    /// What proves itself: every assertion is new, and all but its client is looked at here.
    pub(super) fn is_assertion(&self) -> bool {
        matches!(self.shown, Shown::Assertion(_))
    }

    /// As token-service takes it, with a place among the requests of this credential, or of this client if it is an
    /// assertion. `wrong`: what an assertion that is not good is called.
    pub(super) async fn prove(
        self,
        gateway: &Gateway,
        address: Option<IpAddr>,
        request_id: &str,
        wrong: fn() -> Refused,
    ) -> Result<(OAuthClientCredential, Place), Refused> {
        let digest = self.digest();
        let client_id = self.client_id;
        let text = match self.shown {
            Shown::Secret(hash) => {
                let proof = Some(Proof::SecretSha256(hash.to_vec().into()));
                let place = admit(gateway, &digest).await?;
                return Ok((OAuthClientCredential { client_id, proof }, place));
            }
            Shown::Assertion(text) => text,
        };
        let request = GetOAuthClientRequest { client_id: client_id.clone() };
        let place = gateway.verifier.place(address).await.map_err(|Crowded| Refused::crowded())?;
        let known = gateway.clients.oauth.clone().get_o_auth_client(Gateway::call(request, request_id, CALL)).await;
        drop(place);
        let client = known.map_err(|status| Refused::of(&status, wrong))?.into_inner();
        let refused = |why: &str| {
            // For the administrator who sets this up: the client is told nothing that helps to guess.
            tracing::info!(client = %client.id, why, "an OAuth assertion was refused");
            wrong()
        };
        let Some(trust) = &client.trust else { return Err(refused("the client trusts no issuer")) };
        let keys = if trust.jwks_uri.is_empty() {
            let keys = Keys::parse(trust.jwks_json.as_bytes()).map(Arc::new);
            keys.ok_or_else(|| refused("its keys cannot be read"))?
        } else {
            // Not the assertion's fault, so nobody is told that it is.
            gateway.key_sets.at(&trust.jwks_uri, &text).await.ok_or_else(Refused::keys_missing)?
        };
        let mut trust = trust.clone();
        if trust.audience.is_empty() {
            trust.audience = format!("{}/oauth/token", gateway.public_url);
        }
        let verified = gateway.key_sets.verify(text, keys, trust, (gateway.clock)().as_second()).await;
        let assertion = verified.map_err(|wrong| refused(&format!("{wrong:?}")))?;
        let assertion = OAuthAssertion {
            jti_sha256: assertion.id.map(|id| sha256(&id).to_vec()).unwrap_or_default().into(),
            expires_at: Some(wire::to_timestamp(assertion.expires)),
        };
        let place = admit(gateway, client_id.as_bytes()).await?;
        Ok((OAuthClientCredential { client_id, proof: Some(Proof::Assertion(assertion)) }, place))
    }
}

/// RFC 6749 section 2.3.1: no credential in a URL, which is logged.
fn in_query(query: &Form) -> Result<(), Refused> {
    let secrets = ["client_secret", "client_assertion", "assertion", "code", "refresh_token", "token"];
    match secrets.into_iter().find(|name| query.get(name).is_some()) {
        Some(name) => {
            Err(Refused::request(format!("{name} must not be in the URL, where it is logged. Send it in the body.")))
        }
        None => Ok(()),
    }
}

/// Id and secret, each encoded as a form's value before.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let read = || {
        let (scheme, text) = value.to_str().ok()?.trim().split_once(' ')?;
        let text = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        let decode = |text: &str| {
            let mut pairs = form_urlencoded::parse(text.as_bytes());
            pairs.next().filter(|(_, rest)| rest.is_empty()).map(|(text, _)| text.into_owned())
        };
        (scheme.eq_ignore_ascii_case("basic")).then_some((decode(id)?, decode(secret)?))
    };
    match (read(), values.next()) {
        (Some(pair), None) => Ok(Some(pair)),
        _ => Err(Refused::new(
            Code::InvalidClient,
            "The Authorization header is not one of HTTP Basic with client id and secret. Send it so, or client_id and \
             client_secret in the body and no such header.",
        )),
    }
}

pub(super) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).expect("header"))).collect()
    }

    fn read(authorization: &[&str], form: &str, query: &str) -> Result<Credential, Refused> {
        let [form, query] = [form, query].map(|text| Form::parse(text.as_bytes()).expect("form"));
        Credential::read(&headers(authorization), &form, &query)
    }

    #[test]
    fn a_client_shows_one_credential() {
        let basic = format!("Basic {}", STANDARD.encode("id%2B1:se%3Acret"));
        let secret =
            |id: &str, secret: &str| Credential { client_id: id.to_owned(), shown: Shown::Secret(sha256(secret)) };
        assert_eq!(read(&[&basic], "", ""), Ok(secret("id+1", "se:cret")));
        assert_eq!(read(&[&basic.replace("Basic", "basic")], "client_id=id%2B1", ""), Ok(secret("id+1", "se:cret")));
        assert_eq!(read(&[], "client_id=a&client_secret=b", ""), Ok(secret("a", "b")));
        assert_eq!(read(&[], "client_secret=b", "client_id=a"), Ok(secret("a", "b")));
        let assertion = format!("client_id=a&client_assertion=x.y.z&client_assertion_type={ASSERTION_TYPE}");
        let shown = Shown::Assertion("x.y.z".to_owned());
        assert_eq!(read(&[], &assertion, ""), Ok(Credential { client_id: "a".to_owned(), shown }));

        let code = |answer: Result<Credential, Refused>| answer.expect_err("refused").code;
        assert_eq!(code(read(&[&basic], "client_secret=b", "")), Code::InvalidRequest);
        assert_eq!(code(read(&[&basic], "client_id=other", "")), Code::InvalidRequest);
        assert_eq!(code(read(&[], &format!("{assertion}&client_secret=b"), "")), Code::InvalidRequest);
        assert_eq!(code(read(&[], "client_id=a&client_assertion=x", "")), Code::InvalidRequest);
        assert_eq!(code(read(&[], "client_id=a", "client_secret=b")), Code::InvalidRequest);
        for (nothing, said) in [
            ("", "does not say which client"),
            ("client_id=a", "client_secret is missing"),
            ("client_secret=b", "does not say which client"),
        ] {
            let refused = read(&[], nothing, "").expect_err(nothing);
            assert_eq!(refused.code, Code::InvalidClient, "{nothing}");
            assert!(refused.description.contains(said), "{}", refused.description);
        }
        for wrong in ["Basic", "Basic !", "Basic YQ==", "Bearer rc_scim_x", "Basic /zo="] {
            assert_eq!(code(read(&[wrong], "client_id=a&client_secret=b", "")), Code::InvalidClient, "{wrong}");
        }
        assert_eq!(code(read(&[&basic, &basic], "", "")), Code::InvalidClient);
    }
}
