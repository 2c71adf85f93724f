//! The mail server: how it is reached, and one mail sent to it.
//!
//! Not here: what is sent, and when it is tried again (`mailer`).

use std::{net::IpAddr, time::Duration};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use store::Instant;

use crate::domain::mail::Letter;

/// For each answer of the server.
const ANSWER: Duration = Duration::from_secs(30);

/// What the command line says of the mail server.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// `smtp://[USER@]HOST[:PORT]` or `smtps://[USER@]HOST[:PORT]`; a user name is percent-encoded.
    pub url: String,
    /// The password of the user in `url`.
    pub password: Option<SecretString>,
    /// PEM of the CA of the server's certificate, beside the public ones.
    pub ca_pem: Option<Vec<u8>>,
    /// Whom mail is from, `NAME <ADDRESS>` or `ADDRESS`.
    pub from: String,
}

/// Why a mail server is not usable as it is configured. Without secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SmtpError(String);

fn wrong(text: impl Into<String>) -> SmtpError {
    SmtpError(text.into())
}

/// A mail server, checked but not connected to. Clones share it.
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").finish_non_exhaustive()
    }
}

/// Why a mail was not sent.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// It may be the next time.
    Later(String),
    /// It never will be.
    Never(String),
}

/// Why a mail is not taken, with what to do about the command line's own.
impl NotSent {
    fn of(error: &lettre::transport::smtp::Error) -> Self {
        let text = chain(error);
        if error.is_permanent() || error.is_client() { Self::Never(text) } else { Self::Later(text) }
    }
}

impl Smtp {
    /// # Errors
    /// What is wrong, and what to give instead.
    pub fn new(config: &SmtpConfig) -> Result<Self, SmtpError> {
        let from: Mailbox = config.from.parse().map_err(|_| {
            wrong(format!("{:?} is not a sender; give one such as \"Rollcall <rollcall@example.com>\"", config.from))
        })?;
        let url = Url::parse(&config.url)?;
        let unknown = |error: lettre::transport::smtp::Error| wrong(format!("TLS cannot be used: {}", chain(&error)));
        let mut tls = TlsParameters::builder(url.host.clone());
        if let Some(pem) = &config.ca_pem {
            let ca = Certificate::from_pem(pem)
                .map_err(|_| wrong("the CA of the mail server is not usable; give a certificate in PEM"))?;
            tls = tls.add_root_certificate(ca);
        }
        let tls = match url.security {
            Security::Tls => Tls::Wrapper(tls.build().map_err(unknown)?),
            Security::StartTls => Tls::Required(tls.build().map_err(unknown)?),
            Security::Plain => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&url.host)
            .port(url.port)
            .tls(tls)
            .timeout(Some(ANSWER))
            .hello_name(ClientId::Domain(from.email.domain().to_owned()));
        match (url.user, &config.password) {
            (Some(user), Some(password)) => {
                builder = builder.credentials(Credentials::new(user, password.expose_secret().to_owned()));
            }
            (None, None) => {}
            (Some(_), None) => return Err(wrong("the URL names a user, so its password is needed, too")),
            (None, Some(_)) => {
                return Err(wrong("there is a password but no user; give one in the URL, smtps://USER@HOST"));
            }
        }
        Ok(Self { transport: builder.build(), from })
    }

    /// Whether the server is there and takes the credentials.
    pub(crate) async fn check(&self) -> Result<(), String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the server closed the connection".to_owned()),
            Err(error) => Err(chain(&error)),
        }
    }

    /// `id` stays the same when a mail is sent again: a mailbox that got it twice can tell.
    pub(crate) async fn send(&self, to: &str, id: &str, now: Instant, letter: Letter) -> Result<(), NotSent> {
        let to: Address =
            to.parse().map_err(|_| NotSent::Never("it is not an address that mail can go to".to_owned()))?;
        let micros = u64::try_from(now.as_micros()).unwrap_or_default();
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .date(std::time::UNIX_EPOCH + Duration::from_micros(micros))
            // RFC 3834: no answers by machines.
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body)
            .map_err(|error| NotSent::Never(error.to_string()))?;
        self.transport.send(message).await.map(drop).map_err(|error| NotSent::of(&error))
    }

    /// Sends a mail that says that mail works.
    ///
    /// # Errors
    /// Why it was not sent.
    pub async fn send_test(&self, to: &str, now: jiff::Timestamp) -> Result<(), SmtpError> {
        let letter = Letter {
            subject: "Rollcall: a test".to_owned(),
            body: "Rollcall was told to send this, and it arrived: mail works.\n".to_owned(),
        };
        let id = format!("test.{}", now.as_microsecond());
        self.send(to, &id, now.into(), letter).await.map_err(|why| match why {
            NotSent::Later(text) | NotSent::Never(text) => wrong(text),
        })
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    /// From the first byte.
    Tls,
    /// By STARTTLS, or not at all.
    StartTls,
    /// On this machine.
    Plain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    security: Security,
    host: String,
    port: u16,
    user: Option<String>,
}

impl Url {
    fn parse(text: &str) -> Result<Self, SmtpError> {
        // Not repeated: it may hold a password.
        let usage = || {
            wrong(
                "the URL is not understood; give smtps://USER@HOST or smtp://USER@HOST, with :PORT where it is not 465 or 587",
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(usage)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(wrong(
                "the URL holds a password, which other users of the machine could see; give it in a file",
            ));
        }
        let user = user.map(|user| decoded(user).ok_or_else(usage)).transpose()?;
        let uri: http::uri::Authority = place.parse().map_err(|_| usage())?;
        let host = uri.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        // Whatever stands after the host has to be a port.
        let bare = uri.as_str().len() == uri.host().len();
        if host.is_empty() || user.as_deref() == Some("") || (!bare && uri.port_u16().is_none()) {
            return Err(usage());
        }
        let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let (security, usual) = match scheme {
            "smtps" => (Security::Tls, 465),
            "smtp" if loopback => (Security::Plain, 25),
            "smtp" => (Security::StartTls, 587),
            "smtp+starttls" => (Security::StartTls, 587),
            _ => return Err(usage()),
        };
        Ok(Self { security, host, port: uri.port_u16().unwrap_or(usual), user })
    }
}

/// Percent-encoding undone.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> SmtpConfig {
        SmtpConfig { url: url.to_owned(), password: None, ca_pem: None, from: "Rollcall <r@example.com>".to_owned() }
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted() {
        let of = |text: &str| Url::parse(text).map(|url| (url.security, url.host, url.port)).ok();
        for (text, security, host, port) in [
            ("smtp://mail.example.com", Security::StartTls, "mail.example.com", 587),
            ("smtp://mail.example.com:25/", Security::StartTls, "mail.example.com", 25),
            ("smtps://ada%40example.com@mail.example.com", Security::Tls, "mail.example.com", 465),
            ("smtp://127.0.0.1:2525", Security::Plain, "127.0.0.1", 2525),
            ("smtp://localhost", Security::Plain, "localhost", 25),
            ("smtp://[::1]:25", Security::Plain, "::1", 25),
            ("smtp+starttls://localhost:25", Security::StartTls, "localhost", 25),
            ("smtp://localhost.example.com", Security::StartTls, "localhost.example.com", 587),
        ] {
            assert_eq!(of(text), Some((security, host.to_owned(), port)), "{text}");
        }
        for text in
            ["", "mail.example.com", "http://h", "smtp://", "smtp://@h", "smtp://h:x", "smtp://h/path", "smtp://%@h"]
        {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(Url::parse("smtps://ada%40x@h").expect("url").user.as_deref(), Some("ada@x"));
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = Smtp::new(&config("smtps://ada:secret@mail.example.com")).expect_err("refused").to_string();
        assert!(error.contains("in a file") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn user_and_password_belong_together() {
        let with = |url: &str| SmtpConfig { password: Some("p".to_owned().into()), ..config(url) };
        assert!(Smtp::new(&config("smtps://ada@h")).is_err() && Smtp::new(&with("smtps://h")).is_err());
        assert!(Smtp::new(&config("smtps://h")).is_ok() && Smtp::new(&with("smtps://ada@h")).is_ok());
        let from = SmtpConfig { from: "nobody".to_owned(), ..config("smtps://h") };
        assert!(Smtp::new(&from).expect_err("refused").to_string().contains("nobody"));
    }
}
