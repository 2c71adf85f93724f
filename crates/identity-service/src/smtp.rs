//! The mail server: how it is reached, and one mail sent to it.
//!
//! Not here: what is sent, and when it is tried again (`mailer`).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lettre::{
    Address, Message,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret as _, SecretString};
use store::Instant;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::domain::mail::{Letter, shown_error};

/// Until the server is connected to, and has taken the password.
const CONNECTED: Duration = Duration::from_secs(60);
/// For what is only polite.
const GOODBYE: Duration = Duration::from_secs(5);

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
    server: Arc<Server>,
    from: Mailbox,
}

struct Server {
    security: Security,
    host: String,
    port: u16,
    tls: TlsParameters,
    hello: ClientId,
    user: Option<(String, SecretString)>,
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
        let user = match (url.user, &config.password) {
            (Some(user), Some(password)) => Some((user, password.clone())),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("the URL names a user, so its password is needed, too")),
            (None, Some(_)) => {
                return Err(wrong("there is a password but no user; give one in the URL, smtps://USER@HOST"));
            }
        };
        let server = Server {
            security: url.security,
            host: url.host,
            port: url.port,
            tls: tls.build().map_err(unknown)?,
            hello: ClientId::Domain(from.email.domain().to_owned()),
            user,
        };
        Ok(Self { server: Arc::new(server), from })
    }

    /// Whether the server is there and takes the credentials.
    pub(crate) async fn check(&self) -> Result<(), String> {
        let mut connection = self.server.connect().await?;
        let there = connection.test_connected().await;
        goodbye(connection).await;
        if there { Ok(()) } else { Err("the server closed the connection".to_owned()) }
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
        // That is not the mail's fault.
        let mut connection = self.server.connect().await.map_err(NotSent::Later)?;
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        goodbye(connection).await;
        sent.map(drop).map_err(|error| {
            let text = self.server.without_password(chain(&error));
            if error.is_permanent() || error.is_client() { NotSent::Never(text) } else { NotSent::Later(text) }
        })
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
            // The server's words are shown on a terminal.
            NotSent::Later(text) | NotSent::Never(text) => wrong(shown_error(&text)),
        })
    }
}

impl Server {
    /// A connection that the server has taken the password on.
    async fn connect(&self) -> Result<AsyncSmtpConnection, String> {
        let connecting = async {
            let mut connection = self.open().await?;
            if let Some((user, password)) = &self.user {
                let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
                connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(|error| code(&error))?;
            }
            Ok(connection)
        };
        let late = |_| "the server was too slow".to_owned();
        tokio::time::timeout(CONNECTED, connecting).await.map_err(late)?
    }

    async fn open(&self) -> Result<AsyncSmtpConnection, String> {
        let place = (self.host.as_str(), self.port);
        let opened = match self.security {
            Security::Plain => {
                AsyncSmtpConnection::connect_tokio1(place, Some(CONNECTED), &self.hello, None, None).await
            }
            Security::Tls => {
                let tls = Some(self.tls.clone());
                AsyncSmtpConnection::connect_tokio1(place, Some(CONNECTED), &self.hello, tls, None).await
            }
            Security::StartTls => {
                let stream = TcpStream::connect(place).await.map_err(|error| format!("network error: {error}"))?;
                let stream = Box::new(LineByLine(stream));
                let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &self.hello)
                    .await
                    .map_err(|error| code(&error))?;
                connection.starttls(self.tls.clone(), &self.hello).await.map(|()| connection)
            }
        };
        opened.map_err(|error| code(&error))
    }

    /// A server may repeat what it was sent.
    fn without_password(&self, text: String) -> String {
        let Some((user, password)) = &self.user else { return text };
        let password = password.expose_secret();
        let sent = [STANDARD.encode(format!("\0{user}\0{password}")), STANDARD.encode(password), password.to_owned()];
        sent.iter().filter(|secret| !secret.is_empty()).fold(text, |text, secret| text.replace(secret, "(not shown)"))
    }
}

async fn goodbye(mut connection: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(GOODBYE, connection.abort()).await;
}

/// What went wrong before the password was taken: of the server's answer only its codes, since it may have repeated the password.
fn code(error: &Error) -> String {
    match error.status() {
        Some(status) => {
            let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            let enhanced = text.split_whitespace().next().filter(|word| is_enhanced_code(word));
            format!("the server answered {status}{}", enhanced.map(|code| format!(" {code}")).unwrap_or_default())
        }
        None if error.is_response() => "the server's answer is not understood".to_owned(),
        None => chain(error),
    }
}

/// RFC 3463 section 2.
fn is_enhanced_code(word: &str) -> bool {
    let parts: Vec<&str> = word.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

/// A connection on which nothing is read beyond a line before somebody asks for it. lettre keeps what it has read ahead when TLS
/// begins, and would take it for answers that came encrypted: whoever is in between could write them (RFC 3207 section 6).
/// So what was sent along with the answer to STARTTLS is read as TLS, which it is not, and the connection ends.
#[derive(Debug)]
struct LineByLine(TcpStream);

impl AsyncRead for LineByLine {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 1024];
        let most = bytes.len().min(buf.remaining());
        let mut ahead = ReadBuf::new(&mut bytes[..most]);
        let seen = ready!(self.0.poll_peek(cx, &mut ahead))?;
        let end = ahead.filled().iter().position(|&byte| byte == b'\n').map_or(seen, |at| at + 1);
        let mut line = ReadBuf::new(&mut bytes[..end]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut line))?;
        buf.put_slice(line.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LineByLine {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for LineByLine {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
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
    fn an_answer_is_told_without_the_password_that_it_repeats() {
        let config = SmtpConfig { password: Some("hunter2".to_owned().into()), ..config("smtps://ada@h") };
        let smtp = Smtp::new(&config).expect("usable");
        let plain = STANDARD.encode("\0ada\0hunter2");
        let text = format!("550 no AUTH PLAIN {plain}, {}, hunter2", STANDARD.encode("hunter2"));
        assert_eq!(smtp.server.without_password(text), "550 no AUTH PLAIN (not shown), (not shown), (not shown)");
        assert!(is_enhanced_code("5.7.8") && !is_enhanced_code("5.7") && !is_enhanced_code("5.7.hunter2"));
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
