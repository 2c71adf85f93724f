//! A mail server on loopback for tests: takes mail over SMTP and keeps it. The protocol is mailin's.

#![expect(clippy::expect_used, reason = "a test tool that cannot start must stop the test")]

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder, response};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

/// A mail that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Of the envelope.
    pub from: String,
    /// Of the envelope.
    pub to: Vec<String>,
    /// Head and body.
    pub text: String,
    /// Who had to show a password for it.
    pub user: Option<String>,
}

#[derive(Default)]
struct State {
    mails: Vec<Received>,
    refusals: HashMap<String, VecDeque<u16>>,
    attempts: Vec<String>,
    pause: Duration,
    shut: bool,
    early: String,
    repeats: bool,
}

/// A running server. It ends when this is dropped.
pub struct SmtpServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    certificate: String,
    task: JoinHandle<()>,
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SmtpServer {
    /// Takes mail from anybody.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::serve(listener, None)
    }

    /// Takes mail after STARTTLS, of one user, with a certificate of `localhost`.
    pub async fn start_with_user(user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::serve(listener, Some((user.to_owned(), password.to_owned())))
    }

    fn serve(listener: TcpListener, user: Option<(String, String)>) -> Self {
        let address = listener.local_addr().expect("address");
        let state = Arc::new(Mutex::new(State::default()));
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).expect("certificate");
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("key");
        let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
        let acceptor = TlsAcceptor::from(Arc::new(tls.expect("TLS")));
        let kept = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                if kept.lock().unwrap_or_else(PoisonError::into_inner).shut {
                    continue;
                }
                let mut builder = SessionBuilder::new("localhost");
                if user.is_some() {
                    builder.enable_start_tls().enable_auth(AuthMechanism::Plain);
                }
                let taking = Taking { state: Arc::clone(&kept), user: user.clone(), mail: Received::default() };
                let session = builder.build(peer.ip(), taking);
                tokio::spawn(talk(session, stream, acceptor.clone(), Arc::clone(&kept)));
            }
        });
        Self { address, state, certificate: cert.pem(), task }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its certificate, which is its own CA, in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What was taken, in order.
    pub fn mails(&self) -> Vec<Received> {
        self.state().mails.clone()
    }

    /// Each recipient that mail was tried to.
    pub fn attempts(&self) -> Vec<String> {
        self.state().attempts.clone()
    }

    /// Has the next mails to a recipient refused with these codes.
    pub fn refuse(&self, to: &str, codes: &[u16]) {
        self.state().refusals.insert(to.to_owned(), codes.iter().copied().collect());
    }

    /// Whether connections are ended as soon as they are made.
    pub fn shut(&self, shut: bool) {
        self.state().shut = shut;
    }

    /// Says more along with the answer to STARTTLS, unencrypted, as somebody in between would.
    pub fn say_early(&self, lines: &str) {
        lines.clone_into(&mut self.state().early);
    }

    /// Whether the password stands in the answer that refuses it, or in the one that refuses a mail of the user; in red.
    pub fn repeat_passwords(&self, repeats: bool) {
        self.state().repeats = repeats;
    }

    /// Lets each answer take so long.
    pub fn slow_down(&self, pause: Duration) {
        self.state().pause = pause;
    }
}

/// One connection's side of it.
struct Taking {
    state: Arc<Mutex<State>>,
    user: Option<(String, String)>,
    mail: Received,
}

impl Taking {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler for Taking {
    fn mail(&mut self, _: IpAddr, _: &str, from: &str) -> Response {
        if self.user.is_some() && self.mail.user.is_none() {
            return response::AUTHENTICATION_REQUIRED;
        }
        self.mail = Received { from: from.to_owned(), user: self.mail.user.take(), ..Received::default() };
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        let mut state = self.state();
        state.attempts.push(to.to_owned());
        let repeated = match &self.user {
            _ if !state.repeats => String::new(),
            Some((_, secret)) => format!(" \u{1b}[31m{secret}"),
            None => " \u{1b}[31m".to_owned(),
        };
        if let Some(code) = state.refusals.get_mut(to).and_then(VecDeque::pop_front) {
            return Response::custom(code, format!("not now, or never{repeated}"));
        }
        drop(state);
        self.mail.to.push(to.to_owned());
        response::OK
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        self.mail.text.push_str(&String::from_utf8_lossy(line));
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let mail = self.mail.clone();
        self.state().mails.push(mail);
        response::OK
    }

    fn auth_plain(&mut self, _: &str, user: &str, password: &str) -> Response {
        if self.user.as_ref().is_some_and(|(known, secret)| known == user && secret == password) {
            self.mail.user = Some(user.to_owned());
            return response::AUTH_OK;
        }
        if self.state().repeats {
            return Response::custom(535, format!("5.7.8 \u{1b}[31mnot {user} with {password}"));
        }
        response::INVALID_CREDENTIALS
    }
}

async fn talk(
    mut session: Session<Taking>,
    stream: TcpStream,
    acceptor: TlsAcceptor,
    state: Arc<Mutex<State>>,
) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    write(&mut stream, &session.greeting()).await?;
    if lines(&mut session, &mut stream, &state).await? {
        let mut stream = BufStream::new(acceptor.accept(stream.into_inner()).await?);
        session.tls_active();
        lines(&mut session, &mut stream, &state).await?;
    }
    Ok(())
}

/// Until the end, or until TLS begins: true.
async fn lines<S>(session: &mut Session<Taking>, stream: &mut BufStream<S>, state: &Mutex<State>) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(false);
        }
        let answer = session.process(&line);
        let pause = state.lock().unwrap_or_else(PoisonError::into_inner).pause;
        if answer.action != Action::NoReply && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        match answer.action {
            Action::NoReply => {}
            Action::Reply => write(stream, &answer).await?,
            Action::UpgradeTls => {
                let early = state.lock().unwrap_or_else(PoisonError::into_inner).early.clone();
                let mut bytes = Vec::new();
                answer.write_to(&mut bytes)?;
                bytes.extend(early.as_bytes());
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                return Ok(true);
            }
            Action::Close => {
                write(stream, &answer).await?;
                return Ok(false);
            }
        }
    }
}

async fn write<S>(stream: &mut BufStream<S>, answer: &Response) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = Vec::new();
    answer.write_to(&mut bytes)?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}
