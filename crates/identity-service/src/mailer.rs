//! The background task that sends mail: it hears from token-service which tokens are about to expire, sends what is due, tries
//! again what could not be sent, and forgets what was sent some time ago.
//!
//! Of several processes the one that moves a row's `due` on sends it. One that is killed after the server took a mail and
//! before that was written has it sent again, with the same Message-ID.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use store::{AnyConnection, Clock, Db, Failure, Ids, Instant};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    Transport, from_timestamp,
    token::{ExpiryWarning, ListExpiryWarningsRequest, token_service_client::TokenServiceClient},
};

use crate::{
    domain::{
        OrgId, UserId,
        admin::Email,
        mail::{
            Addressee, KEPT_MICROS, LEASE_MICROS, Letter, Mail, Notice, State, TRIED_MICROS, is_late, next_attempt,
            shown_error,
        },
        request_log::Failures,
    },
    operations::{is_invited, is_told, mail_admins},
    smtp::{NotSent, Smtp},
    store::{
        account, admin,
        mail::{self, Due, Ending},
        organization, request_log,
    },
};

/// How often to look for what is due.
const EVERY: Duration = Duration::from_secs(30);
/// How long one attempt may take at the most. Shorter than [`LEASE_MICROS`].
const ATTEMPT: Duration = Duration::from_secs(180);
/// How long an attempt that has begun may take once the process is told to stop.
const STOP: Duration = Duration::from_secs(10);
/// How often to look for organizations whose provisioning fails.
const LOOK_MICROS: i64 = 10 * 60 * 1_000_000;
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;
/// Rows that are read at a time.
const PAGE: i64 = 50;
/// Warnings are read again for so long, since others are committed late.
const OVERLAP_MICROS: i64 = 10 * 60 * 1_000_000;

/// Mail as it is configured.
#[derive(Clone, Debug)]
pub struct Mailing {
    /// The server.
    pub smtp: Smtp,
    /// What links are built from, without a slash at the end.
    pub public_url: String,
}

/// A handle on the task. Clones share it. Without configuration there is no task, and nothing is to be put down for it.
#[derive(Clone)]
pub(crate) struct Mailer(Option<Arc<Running>>);

struct Running {
    poke: Notify,
    stop: CancellationToken,
    tokens: Mutex<Option<TokenServiceClient<Transport>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Mailer {
    pub(crate) fn start(db: Db, clock: Clock, ids: Ids, mailing: Option<Mailing>) -> Self {
        let Some(mailing) = mailing else { return Self(None) };
        let running = Arc::new(Running {
            poke: Notify::new(),
            stop: CancellationToken::new(),
            tokens: Mutex::default(),
            task: Mutex::default(),
        });
        let task = Task { db, clock, ids, mailing, running: Arc::clone(&running) };
        let task = tokio::spawn(task.run());
        *running.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Self(Some(running))
    }

    /// Whether there is a server to send by.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Has it look now.
    pub(crate) fn poke(&self) {
        if let Some(running) = &self.0 {
            running.poke.notify_one();
        }
    }

    /// Where it hears of tokens that are about to expire.
    pub(crate) fn follow_tokens(&self, transport: Transport) {
        if let Some(running) = &self.0 {
            let client = TokenServiceClient::new(transport);
            *running.tokens.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
            running.poke.notify_one();
        }
    }

    /// Ends the task after the mail it is at.
    pub(crate) async fn stop(&self) {
        let Some(running) = &self.0 else { return };
        running.stop.cancel();
        let task = running.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            // Its text would be the panic's, see the panic hook.
            tracing::error!(panicked = error.is_panic(), "sending mail ended badly");
        }
    }
}

/// What token-service has told.
struct Heard {
    /// All before it.
    since: Instant,
    /// And these.
    known: HashMap<String, Instant>,
}

impl Heard {
    fn know(&mut self, id: String, at: Instant) {
        self.since = self.since.max(at.saturating_add_micros(-OVERLAP_MICROS));
        self.known.insert(id, at);
        let since = self.since;
        self.known.retain(|_, at| *at >= since);
    }
}

struct Task {
    db: Db,
    clock: Clock,
    ids: Ids,
    mailing: Mailing,
    running: Arc<Running>,
}

/// What to do with a row that is due.
enum Job {
    Nothing,
    Send(Box<(Mail, Letter)>),
}

impl Task {
    async fn run(self) {
        let mut heard = Heard { since: self.clock.now().saturating_add_micros(-TRIED_MICROS), known: HashMap::new() };
        let mut looked: Option<Instant> = None;
        loop {
            let now = self.clock.now();
            if looked.is_none_or(|last| now.as_micros() - last.as_micros() >= LOOK_MICROS) {
                looked = Some(now);
                if let Err(error) = self.look_for_failing(now).await {
                    tracing::warn!(%error, "whose provisioning fails could not be looked at, that is tried again");
                }
            }
            if let Err(error) = self.hear(&mut heard).await {
                tracing::warn!(error, "which tokens are about to expire could not be asked, that is tried again");
            }
            if let Err(error) = self.send_all().await {
                tracing::warn!(%error, "mail could not be looked after, that is tried again");
            }
            tokio::select! {
                () = self.running.stop.cancelled() => return,
                () = self.running.poke.notified() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    fn stopped(&self) -> bool {
        self.running.stop.is_cancelled()
    }

    /// Puts down what token-service warned of since.
    async fn hear(&self, heard: &mut Heard) -> Result<(), String> {
        let client = self.running.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut client) = client else { return Ok(()) };
        let mut request = ListExpiryWarningsRequest {
            since: Some(wire::to_timestamp(heard.since.as_micros())),
            after_id: String::new(),
        };
        loop {
            let asked = tokio::select! {
                () = self.running.stop.cancelled() => return Ok(()),
                asked = client.list_expiry_warnings(request.clone()) => asked,
            };
            let warnings = asked.map_err(|status| status.message().to_owned())?.into_inner().warnings;
            let Some(last) = warnings.last() else { return Ok(()) };
            request = ListExpiryWarningsRequest { since: last.warned_at, after_id: last.id.clone() };
            for warning in warnings {
                let at = warning.warned_at.as_ref().map_or(heard.since, |at| Instant::from_micros(from_timestamp(at)));
                let id = warning.id.clone();
                if !heard.known.contains_key(&id) {
                    self.warn(warning).await.map_err(|error| error.to_string())?;
                    heard.know(id, at);
                }
            }
        }
    }

    async fn warn(&self, warning: ExpiryWarning) -> Result<(), store::Error> {
        let ids = (Uuid::try_parse(&warning.organization_id), Uuid::try_parse(&warning.token_id));
        let (Ok(org), Ok(token)) = ids else { return Ok(()) };
        let Some(expires) = warning.expires_at.as_ref().map(|at| Instant::from_micros(from_timestamp(at))) else {
            return Ok(());
        };
        let org = OrgId(org);
        let notice = Notice::TokenExpiring {
            token,
            description: warning.description,
            expires: expires.to_string(),
            days: warning.days,
        };
        let (ids, now) = (self.ids.clone(), self.clock.now());
        self.write(org, move |conn| Ok(mail_admins(conn, org, &ids, now, &notice)?)).await
    }

    /// Tells organizations whose identity provider has been refused for an hour, one after another.
    async fn look_for_failing(&self, now: Instant) -> Result<(), store::Error> {
        let mut after = OrgId(Uuid::nil());
        while !self.stopped() {
            let next = self.db.across().read(move |conn| Ok(request_log::request_organization_after(conn, after)?));
            let Some(org) = next.await.map_err(only)? else { return Ok(()) };
            after = org;
            let read = self.db.of(org).read(move |conn| Ok(request_log::failures(conn, org, now)?));
            let failures = read.await.map_err(only)?.filter(|failures| failures.is_failing(now));
            let Some(Failures { first, refused, .. }) = failures else { continue };
            let days = (now.as_micros() - first.as_micros()) / DAY_MICROS;
            let notice = Notice::ProvisioningFailing { since: first.to_string(), refused, days };
            let ids = self.ids.clone();
            self.write(org, move |conn| Ok(mail_admins(conn, org, &ids, now, &notice)?)).await?;
        }
        Ok(())
    }

    /// Sends all that is due.
    async fn send_all(&self) -> Result<(), store::Error> {
        let mut usable = None;
        loop {
            let now = self.clock.now();
            let due = self.db.across().read(move |conn| Ok(mail::mails_due(conn, now, PAGE)?)).await.map_err(only)?;
            if due.is_empty() {
                return Ok(());
            }
            for due in due {
                if self.stopped() {
                    return Ok(());
                }
                if due.is_to_send(now) {
                    if usable.is_none() {
                        usable = Some(self.is_usable().await);
                    }
                    if usable == Some(false) {
                        continue;
                    }
                }
                self.look_after(due).await?;
            }
            if usable == Some(false) {
                return Ok(());
            }
        }
    }

    /// What is wrong with the server, or with our password there, is not counted against a mail.
    async fn is_usable(&self) -> bool {
        let checked = tokio::select! {
            () = self.running.stop.cancelled() => return false,
            checked = self.mailing.smtp.check() => checked,
        };
        if let Err(error) = &checked {
            tracing::warn!(error, "the mail server cannot be used, so mail waits");
        }
        checked.is_ok()
    }

    async fn look_after(&self, due: Due) -> Result<(), store::Error> {
        let (org, now, public_url) = (due.org, self.clock.now(), self.mailing.public_url.clone());
        let job = self.write(org, move |conn| Ok(take(conn, &due, now, &public_url)?)).await?;
        let Job::Send(job) = job else { return Ok(()) };
        let (mail, letter) = *job;
        let id = mail.id.to_string();
        let attempt = tokio::time::timeout(ATTEMPT, self.mailing.smtp.send(&mail.recipient, &id, now, letter));
        let late = async {
            self.running.stop.cancelled().await;
            tokio::time::sleep(STOP).await;
        };
        let sent = tokio::select! {
            sent = attempt => sent.unwrap_or_else(|_| Err(NotSent::Later("the server was too slow".to_owned()))),
            // It stays taken, and is tried again when that is over.
            () = late => return Ok(()),
        };
        let now = self.clock.now();
        let ending = ending(&mail, sent, now);
        match ending.state {
            State::Sent => tracing::info!(organization = %org, mail = %id, kind = mail.kind, "a mail was sent"),
            State::Waiting => {
                tracing::warn!(organization = %org, mail = %id, kind = mail.kind, "a mail could not be sent yet")
            }
            State::Failed => tracing::warn!(organization = %org, mail = %id, kind = mail.kind, "a mail was given up"),
        }
        self.write(org, move |conn| Ok(mail::mail_end(conn, org, &mail, &ending)?)).await.map(drop)
    }

    async fn write<T, F>(&self, org: OrgId, f: F) -> Result<T, store::Error>
    where
        F: Fn(&mut AnyConnection) -> Result<T, Failure<Infallible>> + Send + 'static,
        T: Send + 'static,
    {
        self.db.of(org).write(f).await.map_err(only)
    }
}

/// Takes a row that is due, and says what to send.
fn take(conn: &mut AnyConnection, due: &Due, now: Instant, public_url: &str) -> Result<Job, store::Error> {
    let org = due.org;
    let Some(mail) = mail::mail_take(conn, org, due, now.saturating_add_micros(LEASE_MICROS))? else {
        return Ok(Job::Nothing);
    };
    if mail.state != State::Waiting {
        mail::mail_delete(conn, org, mail.id)?;
        return Ok(Job::Nothing);
    }
    let give_up = |conn: &mut AnyConnection, why: &str| {
        mail::mail_end(conn, org, &mail, &ended(State::Failed, now, Some(why.to_owned())))?;
        Ok(Job::Nothing)
    };
    if is_late(mail.created, now) {
        return give_up(conn, "it could not be sent for three days");
    }
    // Of a later release: that one sends it, and else it is given up when its time is over.
    let Some(notice) = Notice::parse(&mail.kind, &mail.document) else { return Ok(Job::Nothing) };
    let Some(organization) = organization::organization_get(conn, org)? else {
        return give_up(conn, "there is no such organization");
    };
    if notice.is_for_admins() && !is_admin(conn, org, &mail.recipient)? {
        return give_up(conn, "the recipient is no administrator any more");
    }
    if let Notice::SetUpInvited { user, user_name, .. } = &notice {
        let member = account::member_get(conn, org, UserId(*user))?;
        let same = member.is_some_and(|member| {
            is_invited(&member) && member.email == mail.recipient && member.user_name == *user_name
        });
        if !same {
            return give_up(conn, "the user has another name or address by now, has finished, or has no access");
        }
    }
    let console = format!("{public_url}/console");
    let to = Addressee { name: &organization.name, slug: &organization.slug, console: &console };
    let letter = notice.letter(&to);
    Ok(Job::Send(Box::new((mail, letter))))
}

fn is_admin(conn: &mut AnyConnection, org: OrgId, address: &str) -> Result<bool, store::Error> {
    let Ok(email) = Email::parse(address) else { return Ok(false) };
    Ok(admin::admin_by_email(conn, org, &email)?.is_some_and(|admin| is_told(admin.role)))
}

fn ended(state: State, now: Instant, error: Option<String>) -> Ending {
    Ending { state, due: now.saturating_add_micros(KEPT_MICROS), finished: Some(now), error }
}

fn ending(mail: &Mail, sent: Result<(), NotSent>, now: Instant) -> Ending {
    match sent {
        Ok(()) => ended(State::Sent, now, None),
        Err(NotSent::Never(why)) => ended(State::Failed, now, Some(shown_error(&why))),
        Err(NotSent::Later(why)) => match next_attempt(mail.created, mail.attempts, now) {
            Some(due) => Ending { state: State::Waiting, due, finished: None, error: Some(shown_error(&why)) },
            None => ended(State::Failed, now, Some(shown_error(&why))),
        },
    }
}

fn only(failure: Failure<Infallible>) -> store::Error {
    match failure {
        Failure::Store(error) => error,
        Failure::Refused(never) => match never {},
    }
}
