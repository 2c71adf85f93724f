//! What a client may look like, and how its lists are kept.

use serde_json::Value;
use wire::{
    Reason, Refusal,
    token::{OAuthGrantType, OAuthTrust},
};

use super::argument;
use crate::store::oauth::Trust;

const MOST_REDIRECT_URIS: usize = 20;
const LONGEST: usize = 200;
const LONGEST_URI: usize = 2000;
const LONGEST_JWKS: usize = 64 * 1024;
const MOST_KEYS: usize = 32;

const GRANT_TYPES: [(OAuthGrantType, &str); 3] = [
    (OAuthGrantType::AuthorizationCode, "authorization_code"),
    (OAuthGrantType::ClientCredentials, "client_credentials"),
    (OAuthGrantType::JwtBearer, "jwt_bearer"),
];

/// As kept: each once, with spaces between.
pub(super) fn grant_types(given: &[i32]) -> Result<String, Refusal> {
    let known = |value: &i32| GRANT_TYPES.iter().any(|(this, _)| *this as i32 == *value);
    if given.is_empty() || !given.iter().all(known) {
        return Err(argument(
            "A client needs at least one grant type. There are authorization_code, client_credentials and jwt-bearer.",
        ));
    }
    let wanted = GRANT_TYPES.iter().filter(|(this, _)| given.contains(&(*this as i32)));
    Ok(wanted.map(|(_, name)| *name).collect::<Vec<_>>().join(" "))
}

pub(super) fn grant_types_to_wire(kept: &str) -> Vec<i32> {
    let has = |name: &str| kept.split(' ').any(|word| word == name);
    GRANT_TYPES.iter().filter(|(_, name)| has(name)).map(|(this, _)| *this as i32).collect()
}

pub(super) fn has_grant_type(kept: &str, wanted: OAuthGrantType) -> bool {
    grant_types_to_wire(kept).contains(&(wanted as i32))
}

pub(super) fn name(text: &str) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > LONGEST {
        return Err(argument("The name must have 1 to 200 characters. Say whose client it is, such as \"Okta\"."));
    }
    if text.chars().any(char::is_control) {
        return Err(argument("The name contains control characters or line breaks. Remove them."));
    }
    Ok(text.to_owned())
}

/// As kept, with spaces between. They are compared character by character, so nothing is normalized.
pub(super) fn redirect_uris(given: &[String]) -> Result<String, Refusal> {
    if given.len() > MOST_REDIRECT_URIS {
        return Err(argument(format!("A client has at most {MOST_REDIRECT_URIS} redirect URIs. Make another client.")));
    }
    for uri in given {
        if !(is_web(uri) || is_loopback(uri)) {
            return Err(argument(format!(
                "{uri:?} cannot be a redirect URI. Give https://HOST/PATH as the identity provider shows it, without a \
                 fragment or a user name; http is for loopback addresses alone."
            )));
        }
    }
    Ok(given.join(" "))
}

fn plain(uri: &str) -> bool {
    uri.len() <= LONGEST_URI && uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"#\\\"<>^`{|}".contains(&byte))
}

/// Host and port.
fn authority<'a>(uri: &'a str, scheme: &str) -> Option<&'a str> {
    let rest = uri.strip_prefix(scheme)?;
    let authority = rest.split(['/', '?']).next()?;
    (plain(uri) && !authority.is_empty() && !authority.contains('@')).then_some(authority)
}

fn is_web(uri: &str) -> bool {
    authority(uri, "https://").is_some_and(|authority| !authority.starts_with(':'))
}

/// Whether the address itself says so; what a name stands for is found out where it is fetched. By http that is a test's issuer.
fn is_here(uri: &str) -> bool {
    let Some(authority) = authority(uri, "https://") else { return false };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address| !wire::is_outside(address, false))
}

fn is_loopback(uri: &str) -> bool {
    let Some(authority) = authority(uri, "http://") else { return false };
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| {
        let port = authority.strip_prefix(host);
        port.is_some_and(|port| {
            port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok())
        })
    })
}

/// As kept. `None`: no assertion stands for the client.
pub(super) fn trust(given: Option<OAuthTrust>) -> Result<Trust, Refusal> {
    let Some(given) = given else { return Ok(Trust::default()) };
    for (what, text) in [("issuer", &given.issuer), ("subject", &given.subject), ("audience", &given.audience)] {
        // Without an audience it is the gateway's token URL, which the gateway alone knows for sure.
        let missing = text.is_empty() && what != "audience";
        if missing || text.len() > LONGEST_URI || text.chars().any(char::is_control) {
            return Err(argument(format!(
                "Assertions need their {what}, as the identity provider writes it: up to 2,000 bytes, without control \
                 characters."
            )));
        }
    }
    let (jwks, jwks_uri) = match (given.jwks_json.is_empty(), given.jwks_uri.is_empty()) {
        (false, true) => (Some(jwks(&given.jwks_json)?), None),
        (true, false) if is_here(&given.jwks_uri) => {
            return Err(argument(format!(
                "{:?} is this machine or its link, where keys are never fetched. Give the address that the issuer's metadata has \
                 as jwks_uri, or the keys themselves (--jwks-file).",
                given.jwks_uri
            )));
        }
        (true, false) if is_web(&given.jwks_uri) || is_loopback(&given.jwks_uri) => (None, Some(given.jwks_uri)),
        (true, false) => {
            return Err(argument(format!(
                "{:?} cannot be where keys are: give https://HOST/PATH, as jwks_uri in the issuer's metadata says.",
                given.jwks_uri
            )));
        }
        _ => {
            return Err(argument(
                "Assertions need the public keys that sign them: give a JWK Set or its https address, one of both.",
            ));
        }
    };
    Ok(Trust {
        issuer: Some(given.issuer),
        subject: Some(given.subject),
        audience: Some(given.audience).filter(|audience| !audience.is_empty()),
        jwks,
        jwks_uri,
    })
}

/// RFC 7517 section 5. Which keys can be used is found out with each assertion; private ones must not get here.
fn jwks(text: &str) -> Result<String, Refusal> {
    let refused = |what: &str| {
        argument(format!("The JWK Set {what}. Give {{\"keys\": [...]}} with the public keys, RFC 7517 section 5."))
    };
    if text.len() > LONGEST_JWKS {
        return Err(refused("is larger than 64 KiB"));
    }
    let set: Value = serde_json::from_str(text).map_err(|_| refused("is no JSON"))?;
    let keys = set["keys"].as_array().ok_or_else(|| refused("has no list of keys"))?;
    if keys.is_empty() || keys.len() > MOST_KEYS || keys.iter().any(|key| !key["kty"].is_string()) {
        return Err(refused("must hold 1 to 32 keys, each with its kty"));
    }
    if keys.iter().any(|key| ["d", "p", "q", "k"].iter().any(|private| key.get(private).is_some())) {
        return Err(refused("holds a private key, which is compromised by being sent: make another one"));
    }
    Ok(text.to_owned())
}

/// Some of what may be had, in the order in which that is kept; none wanted: all of it.
pub(super) fn scopes_of(available: &str, wanted: &[String]) -> Result<String, Refusal> {
    let has = |scope: &str| available.split(' ').any(|word| word == scope);
    if let Some(missing) = wanted.iter().find(|scope| !has(scope)) {
        return Err(Refusal::new(
            Reason::ScopeInvalid,
            format!("The scope {missing:?} cannot be had here. Ask for some of: {available}; or for none, to get all."),
        ));
    }
    let wanted = |scope: &&str| wanted.is_empty() || wanted.iter().any(|given| given == scope);
    Ok(available.split(' ').filter(wanted).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_uris_are_https_or_loopback_and_nothing_hidden() {
        for good in [
            "https://system-admin.okta.com/admin/app/cpc/acme_rollcall_1/oauth/callback",
            "https://h/?a=b",
            "https://h:8443/cb",
            "http://127.0.0.1:4711/cb",
            "http://localhost/cb",
            "http://[::1]:1/",
        ] {
            assert_eq!(redirect_uris(&[good.to_owned()]).expect(good), good);
        }
        for bad in [
            "",
            "https://",
            "https:///cb",
            "https://:443/cb",
            "http://example.com/cb",
            "http://127.0.0.1.example.com/cb",
            "http://localhost:x/cb",
            "https://user@h/cb",
            "https://h/cb#f",
            "https://h/c b",
            "https://h/cb\n",
            "https://h\\@evil/",
            "javascript:alert(1)",
            "urn:ietf:wg:oauth:2.0:oob",
            "HTTPS://h/cb",
        ] {
            assert!(redirect_uris(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(redirect_uris(&vec!["https://h/".to_owned(); 21]).is_err());
    }

    #[test]
    fn trust_is_whole_or_none() {
        let keys = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#;
        let whole = OAuthTrust {
            issuer: "https://login.example.com/t/v2.0".to_owned(),
            subject: "s".to_owned(),
            audience: "a".to_owned(),
            jwks_json: keys.to_owned(),
            jwks_uri: String::new(),
        };
        assert_eq!(trust(Some(whole.clone())).expect("whole").jwks.as_deref(), Some(keys));
        assert!(trust(None).expect("none").issuer.is_none());
        let elsewhere = OAuthTrust { jwks_json: String::new(), jwks_uri: "https://h/keys".to_owned(), ..whole.clone() };
        assert_eq!(trust(Some(elsewhere.clone())).expect("address").jwks_uri.as_deref(), Some("https://h/keys"));
        let inside = OAuthTrust { jwks_uri: "https://10.0.0.7/keys".to_owned(), ..elsewhere.clone() };
        assert!(trust(Some(inside)).is_ok(), "a private network");
        let gateways = trust(Some(OAuthTrust { audience: String::new(), ..whole.clone() })).expect("the gateway's");
        assert_eq!(gateways.audience, None);
        for (wrong, said) in [
            (OAuthTrust { issuer: String::new(), ..whole.clone() }, "issuer"),
            (OAuthTrust { subject: "a\nb".to_owned(), ..whole.clone() }, "subject"),
            (OAuthTrust { audience: "a\nb".to_owned(), ..whole.clone() }, "audience"),
            (OAuthTrust { jwks_uri: "https://127.0.0.1:1/keys".to_owned(), ..elsewhere.clone() }, "never fetched"),
            (OAuthTrust { jwks_uri: "https://[::1]/keys".to_owned(), ..elsewhere.clone() }, "never fetched"),
            (OAuthTrust { jwks_uri: "https://169.254.169.254/keys".to_owned(), ..elsewhere.clone() }, "never fetched"),
            (OAuthTrust { jwks_uri: "https://localhost:8443/keys".to_owned(), ..elsewhere.clone() }, "never fetched"),
            (OAuthTrust { jwks_uri: "https://h/keys".to_owned(), ..whole.clone() }, "one of both"),
            (OAuthTrust { jwks_json: String::new(), ..whole.clone() }, "one of both"),
            (OAuthTrust { jwks_json: "[]".to_owned(), ..whole.clone() }, "no list of keys"),
            (OAuthTrust { jwks_json: r#"{"keys":[]}"#.to_owned(), ..whole.clone() }, "1 to 32"),
            (OAuthTrust { jwks_json: r#"{"keys":[{"kty":"EC","d":"x"}]}"#.to_owned(), ..whole }, "private"),
            (OAuthTrust { jwks_uri: "http://h/keys".to_owned(), ..elsewhere }, "https://HOST"),
        ] {
            let refused = trust(Some(wrong)).expect_err(said);
            assert!(refused.message.contains(said), "{}", refused.message);
        }
    }

    #[test]
    fn scopes_are_a_part_of_what_may_be_had() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(scopes_of("users:read users:write", &[]).expect("all"), "users:read users:write");
        assert_eq!(scopes_of("users:read users:write", &words(&["users:write"])).expect("one"), "users:write");
        let refused = scopes_of("users:read", &words(&["groups:read"])).expect_err("more");
        assert_eq!(refused.reason, Reason::ScopeInvalid);
        assert!(refused.message.contains("users:read"), "{}", refused.message);
    }

    #[test]
    fn grant_types_are_kept_once_and_in_order() {
        let [code, own, jwt] = GRANT_TYPES.map(|(this, _)| this as i32);
        assert_eq!(grant_types(&[jwt, code, jwt]).expect("known"), "authorization_code jwt_bearer");
        assert_eq!(grant_types_to_wire("authorization_code jwt_bearer"), [code, jwt]);
        assert!(has_grant_type("client_credentials", OAuthGrantType::ClientCredentials));
        assert!(grant_types(&[]).is_err() && grant_types(&[0]).is_err() && grant_types(&[own, 9]).is_err());
    }
}
