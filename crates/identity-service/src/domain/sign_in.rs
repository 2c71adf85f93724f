//! Signing in by an OpenID provider: which one it is, what a sign-in that has begun is compared with, and whom the provider
//! named.
//!
//! Not here: speaking to the provider (the console does).

use std::net::Ipv4Addr;

use store::Instant;
use wire::{Reason, Refusal};

use super::{admin::Email, secret::Hash};

/// How long a sign-in may take, in microseconds.
pub(crate) const ATTEMPT_MICROS: i64 = 10 * 60 * 1_000_000;

const LONGEST_ISSUER: usize = 500;
const LONGEST_CLIENT_ID: usize = 255;
const LONGEST_CLIENT_SECRET: usize = 1000;
/// OpenID Connect Core 1.0 section 2.
const LONGEST_SUBJECT: usize = 255;
const NONCES: std::ops::RangeInclusive<usize> = 16..=128;
/// RFC 7636 section 4.1.
const VERIFIERS: std::ops::RangeInclusive<usize> = 43..=128;
const LONGEST_RETURN_TO: usize = 2000;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) sealed_secret: Option<Vec<u8>>,
    pub(crate) modified: Instant,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) state: Hash,
    pub(crate) nonce: String,
    pub(crate) pkce_verifier: String,
    pub(crate) return_to: String,
    pub(crate) issuer: String,
    pub(crate) expires: Instant,
}

impl Attempt {
    /// # Errors
    /// [`Reason::InvalidArgument`]: the console makes all of it.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let wrong = |message: &str| Err(Refusal::new(Reason::InvalidArgument, message));
        if !NONCES.contains(&self.nonce.len()) || !self.nonce.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("nonce must be 16 to 128 visible ASCII characters.");
        }
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !VERIFIERS.contains(&self.pkce_verifier.len()) || !self.pkce_verifier.bytes().all(unreserved) {
            return wrong("pkce_verifier must be 43 to 128 unreserved characters (RFC 7636 section 4.1).");
        }
        // What a browser takes for another host begins with two slashes, of either kind.
        let path = self.return_to.starts_with('/') && !self.return_to[1..].starts_with(['/', '\\']);
        let plain = self.return_to.bytes().all(|byte| byte.is_ascii_graphic());
        if !path || !plain || self.return_to.len() > LONGEST_RETURN_TO {
            return wrong("return_to must be a path of this origin, such as /console, of up to 2000 ASCII characters.");
        }
        Ok(())
    }
}

/// Whom the provider named, in an ID token that the console has verified.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) email: String,
    pub(crate) email_verified: bool,
    pub(crate) name: String,
}

impl Claims {
    /// # Errors
    /// [`Reason::InvalidArgument`]: no ID token has such a subject.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        check_subject(&self.subject)
    }

    /// The address by which an administrator is found the first time.
    pub(crate) fn found_by(&self) -> Result<Email, NotAdmitted> {
        if self.email.is_empty() {
            return Err(NotAdmitted::NoEmail);
        }
        let email = Email::parse(&self.email).map_err(|_| NotAdmitted::NoEmail)?;
        if self.email_verified { Ok(email) } else { Err(NotAdmitted::NotVerified) }
    }
}

/// # Errors
/// [`Reason::InvalidArgument`]: no ID token has such a subject.
pub(crate) fn check_subject(subject: &str) -> Result<(), Refusal> {
    let length = subject.chars().count();
    if length == 0 || length > LONGEST_SUBJECT || subject.chars().any(char::is_control) {
        let message = format!("subject must be 1 to {LONGEST_SUBJECT} characters, as the ID token has it.");
        return Err(Refusal::new(Reason::InvalidArgument, message));
    }
    Ok(())
}

/// Why whom the provider named may not sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAdmitted {
    OtherProvider,
    NoEmail,
    NotVerified,
    Unknown,
    PinnedElsewhere,
}

impl NotAdmitted {
    /// For events.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::OtherProvider => "other_provider",
            Self::NoEmail => "no_email",
            Self::NotVerified => "email_not_verified",
            Self::Unknown => "no_administrator",
            Self::PinnedElsewhere => "other_subject",
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        let message = match self {
            Self::OtherProvider => "The organization signs in with another provider by now. Sign in again.",
            Self::NoEmail => {
                "The provider did not tell an e-mail address. Have it release the claim email to this application, then \
                 sign in again."
            }
            Self::NotVerified => {
                "The provider does not say that the e-mail address is verified (email_verified). Verify it there, then \
                 sign in again, or ask an owner for an invitation."
            }
            Self::Unknown => {
                "No administrator of this organization has this e-mail address. Ask an owner for an invitation."
            }
            Self::PinnedElsewhere => {
                "The administrator with this e-mail address signs in as another user of the provider. Ask an owner for an \
                 invitation: whoever accepts it signs in anew."
            }
        };
        Refusal::new(Reason::SignInRefused, message)
    }
}

/// An issuer as ID tokens have it: https, or http to a loopback address, without query and fragment (OpenID Connect Discovery
/// 1.0 section 3).
///
/// # Errors
/// [`Reason::InvalidValue`].
pub(crate) fn check_issuer(text: &str) -> Result<(), Refusal> {
    let sound = match text.split_once("://") {
        Some(("https", rest)) => host(rest).is_some(),
        Some(("http", rest)) => host(rest).is_some_and(is_loopback),
        _ => false,
    };
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.contains(['?', '#', '@', '\\']);
    if !sound || !plain || text.len() > LONGEST_ISSUER {
        return Err(Refusal::new(
            Reason::InvalidValue,
            format!(
                "issuer must be a URL such as https://idp.example.com: https (or http to a loopback address), without user, \
                 query or fragment, up to {LONGEST_ISSUER} characters. Copy \"issuer\" from the provider's \
                 /.well-known/openid-configuration, character by character."
            ),
        ));
    }
    Ok(())
}

/// The host of what follows the scheme, if the authority is one.
fn host(rest: &str) -> Option<&str> {
    let authority = rest.split('/').next()?;
    let (host, port) = if authority.starts_with('[') {
        let (host, port) = authority.split_at_checked(authority.find(']')? + 1)?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    let named = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let sound = named || host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(is_ipv6);
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    (sound && port).then_some(host)
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<std::net::Ipv6Addr>().is_ok()
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// # Errors
/// [`Reason::InvalidValue`].
pub(crate) fn check_client_id(text: &str) -> Result<(), Refusal> {
    if text.is_empty() || text.len() > LONGEST_CLIENT_ID || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::new(
            Reason::InvalidValue,
            format!(
                "client_id must be 1 to {LONGEST_CLIENT_ID} visible ASCII characters. Copy it from the application's page \
                 at the provider."
            ),
        ));
    }
    Ok(())
}

/// Not of an empty one, which is none. The message does not repeat it.
///
/// # Errors
/// [`Reason::InvalidValue`].
pub(crate) fn check_client_secret(text: &str) -> Result<(), Refusal> {
    if text.len() > LONGEST_CLIENT_SECRET || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::new(
            Reason::InvalidValue,
            format!(
                "client_secret must be up to {LONGEST_CLIENT_SECRET} visible ASCII characters on one line. Copy it from \
                 the application's page at the provider, without spaces around it."
            ),
        ));
    }
    Ok(())
}

pub(crate) fn no_provider() -> Refusal {
    Refusal::new(
        Reason::SignInNotFound,
        "The organization has no sign-in provider. An owner can set one: rollcall sign-in set.",
    )
}

/// One answer to a state that is unknown, used or too old.
pub(crate) fn attempt_invalid() -> Refusal {
    Refusal::new(Reason::SignInInvalid, "This sign-in was begun too long ago, or is over already. Sign in again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_https_or_loopback() {
        for good in [
            "https://idp.example.com",
            "https://idp.example.com/",
            "https://login.example.com:8443/tenant/v2.0",
            "https://[2001:db8::1]:8443/a",
            "http://localhost:4000",
            "http://127.0.0.1:1/x",
            "http://[::1]:4000",
        ] {
            assert!(check_issuer(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "idp.example.com",
            "ftp://idp.example.com",
            "HTTPS://idp.example.com",
            "http://idp.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "https://",
            "https:///path",
            "https://:443",
            "https://idp.example.com:0",
            "https://idp.example.com:x",
            "https://idp.example.com:443:1",
            "https://user@idp.example.com",
            "https://idp.example.com?a=b",
            "https://idp.example.com/#f",
            "https://idp.example.com/a b",
            "https://idp.exämple.com",
            "https://[::1",
            "https://[x]",
            &format!("https://idp.example.com/{}", "a".repeat(500)),
        ] {
            let refusal = check_issuer(bad).expect_err(bad);
            assert_eq!(refusal.reason, Reason::InvalidValue);
            assert!(refusal.message.contains("openid-configuration"));
        }
    }

    #[test]
    fn a_client_secret_is_not_repeated() {
        assert!(check_client_secret("s3cret~value").is_ok());
        let refusal = check_client_secret("s3cret value").expect_err("a space");
        assert!(!refusal.message.contains("s3cret"), "{refusal:?}");
        assert!(check_client_secret(&"a".repeat(1001)).is_err());
        assert!(check_client_id("0oa1b2c3").is_ok());
        for bad in ["", "a b", "ä", &"a".repeat(256)] {
            assert!(check_client_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_sign_in_remembers_is_what_the_console_makes() {
        let sound = || Attempt {
            state: Hash([0; 32]),
            nonce: "n".repeat(16),
            pkce_verifier: "v".repeat(43),
            return_to: "/console/acme?tab=tokens".to_owned(),
            issuer: "https://idp.example.com".to_owned(),
            expires: Instant::from_micros(0),
        };
        assert!(sound().check().is_ok());
        let mut wrong = Vec::new();
        for nonce in ["n".repeat(15), "n".repeat(129), format!("{} ", "n".repeat(20))] {
            wrong.push(Attempt { nonce, ..sound() });
        }
        for pkce_verifier in ["v".repeat(42), "v".repeat(129), format!("{}+", "v".repeat(43))] {
            wrong.push(Attempt { pkce_verifier, ..sound() });
        }
        for return_to in ["", "console", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb"] {
            wrong.push(Attempt { return_to: return_to.to_owned(), ..sound() });
        }
        wrong.push(Attempt { return_to: format!("/{}", "a".repeat(2000)), ..sound() });
        for wrong in wrong {
            assert_eq!(wrong.check().expect_err("wrong").reason, Reason::InvalidArgument);
        }
    }
}
