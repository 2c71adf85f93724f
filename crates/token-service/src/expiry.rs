//! Warns of tokens that are about to expire: an event 30, 7 and 1 day before, each once.
//!
//! When the next warning of a token is due stands in its row, so that a restart forgets none, and of several processes the
//! one that moves it on writes the event.

use std::{convert::Infallible, time::Duration};

use store::{Clock, Db, Failure, Ids, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wire::{
    Reason, Refusal, from_timestamp, to_timestamp,
    token::{ExpiryWarning, ListExpiryWarningsRequest, ListExpiryWarningsResponse},
};

use crate::{
    Service,
    caller::{Actor, Caller},
    error::refusal,
    store::{
        self as tokens, EventId, Kind,
        warning::{self, Given, Warning},
    },
};

const INTERVAL: Duration = Duration::from_secs(60);

/// How many tokens are looked at in one transaction.
const BATCH: i64 = 100;

/// How many warnings are told of in one answer.
const PAGE: i64 = 500;

pub(crate) const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

const WARNINGS: [(i64, Kind); 3] = [(30, Kind::ExpiresIn30Days), (7, Kind::ExpiresIn7Days), (1, Kind::ExpiresIn1Day)];

/// When the first warning after `now` is due.
pub(crate) fn next_warning(expires: Option<Instant>, now: Instant) -> Option<Instant> {
    let expires = expires?;
    let due = WARNINGS.iter().map(|(days, _)| expires.saturating_add_micros(-days * DAY_MICROS));
    due.filter(|due| *due > now).min()
}

/// What there is to say now: the last warning that has come due, if others were slept through. Nothing once it is too late.
fn warning(expires: Instant, now: Instant) -> Option<Kind> {
    let due = |days: i64| expires.saturating_add_micros(-days * DAY_MICROS) <= now;
    (now < expires).then(|| WARNINGS.iter().rev().find(|(days, _)| due(*days)).map(|(_, kind)| *kind))?
}

/// Warns at once and then every minute.
pub(crate) async fn keep(db: Db, clock: Clock, ids: Ids, stop: CancellationToken) {
    loop {
        match warn(&db, clock.now(), &ids).await {
            // There may be more.
            Ok(found) if found >= BATCH => continue,
            Ok(_) => {}
            Err(failure) => tracing::warn!(%failure, "warnings of expiry could not be written, they are tried again"),
        }
        if tokio::time::timeout(INTERVAL, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn warn(db: &Db, now: Instant, ids: &Ids) -> Result<i64, Failure<Infallible>> {
    let mut due = db.across().read(move |connection| Ok(warning::warnings_due(connection, now, BATCH)?)).await?;
    // In key order, so that processes that write the same rows do not deadlock.
    due.sort_by_key(|due: &Warning| (due.org, due.id));
    let found = i64::try_from(due.len()).unwrap_or(BATCH);
    if found == 0 {
        return Ok(0);
    }
    let due: Vec<(Warning, EventId)> = due.into_iter().map(|due| (due, EventId(ids.next()))).collect();
    let caller = Caller { actor: Actor::InternalService("token-service".to_owned()), request_id: String::new() };
    let written = db.across().write(move |connection| {
        let mut written = Vec::new();
        for (due, event) in &due {
            let next = next_warning(due.expires, now);
            let Some(expires) = due.expires else { continue };
            connection.enter(due.org)?;
            if warning::warning_take(connection, due.org, due.id, due.warn_at, next)?
                && let Some(kind) = warning(expires, now)
            {
                tokens::event_insert(connection, due.org, *event, Some(due.id), kind, &caller, now)?;
                written.push((due.org, due.id, kind));
            }
        }
        Ok::<_, Failure<Infallible>>(written)
    });
    for (organization, token, kind) in written.await? {
        tracing::warn!(%organization, %token, kind = kind.as_str(), "a SCIM token is about to expire");
    }
    Ok(found)
}

impl Service {
    /// The warnings of all organizations, for whoever mails them.
    pub(crate) async fn expiry_warnings(
        &self,
        request: ListExpiryWarningsRequest,
    ) -> Result<ListExpiryWarningsResponse, Refusal> {
        let since = request.since.as_ref().map_or(0, from_timestamp);
        let after = match request.after_id.as_str() {
            "" => Uuid::nil(),
            id => Uuid::try_parse(id)
                .map_err(|_| Refusal::new(Reason::InvalidArgument, "after_id must be the UUID of a warning."))?,
        };
        let (from, now) = ((Instant::from_micros(since), EventId(after)), self.inner.clock.now());
        let given =
            self.inner.db.across().read(move |connection| Ok(warning::warnings_given(connection, from, now, PAGE)?));
        let given = given.await.map_err(refusal)?;
        Ok(ListExpiryWarningsResponse { warnings: given.into_iter().filter_map(told).collect() })
    }
}

fn told(given: Given) -> Option<ExpiryWarning> {
    let (days, _) = WARNINGS.iter().find(|(_, kind)| kind.as_str() == given.kind)?;
    Some(ExpiryWarning {
        id: given.id.to_string(),
        warned_at: Some(to_timestamp(given.occurred.as_micros())),
        organization_id: given.org.to_string(),
        token_id: given.token.to_string(),
        description: given.description,
        expires_at: given.expires.map(|expires| to_timestamp(expires.as_micros())),
        days: u32::try_from(*days).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> Instant {
        Instant::from_micros(n * DAY_MICROS)
    }

    #[test]
    fn warnings_follow_each_other_and_end() {
        let expires = Some(day(365));
        assert_eq!(next_warning(expires, day(0)), Some(day(335)));
        assert_eq!(next_warning(expires, day(335)), Some(day(358)));
        assert_eq!(next_warning(expires, day(358)), Some(day(364)));
        assert_eq!(next_warning(expires, day(364)), None);
        assert_eq!(next_warning(None, day(0)), None);
        assert_eq!(next_warning(Some(day(5)), day(0)), Some(day(4)), "a short life has the later ones only");
    }

    #[test]
    fn what_was_slept_through_is_one_warning() {
        assert_eq!(warning(day(365), day(334)), None);
        assert_eq!(warning(day(365), day(335)), Some(Kind::ExpiresIn30Days));
        assert_eq!(warning(day(365), day(360)), Some(Kind::ExpiresIn7Days));
        assert_eq!(warning(day(365), day(364)), Some(Kind::ExpiresIn1Day));
        assert_eq!(warning(day(365), day(365)), None);
    }
}
