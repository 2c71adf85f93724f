//! Mail that waits to be sent, and that which was.
//!
//! Not here: what it says (`domain::mail`), and sending it (`mailer`). There is no lock: whoever sends a row first moves its
//! `due` on, and who looked at the same time finds it moved.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, SmallInt, Text},
};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantType},
};

use super::statement::{Statement, Value, limit_to};
use crate::domain::{
    OrgId,
    mail::{Mail, MailId, State, is_late},
};

/// What something is to be done about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct Due {
    #[diesel(sql_type = Id)]
    pub(crate) org: OrgId,
    #[diesel(sql_type = Id)]
    pub(crate) id: MailId,
    #[diesel(sql_type = InstantType)]
    pub(crate) due: Instant,
    #[diesel(sql_type = InstantType)]
    created: Instant,
    #[diesel(sql_type = SmallInt)]
    state: i16,
}

impl Due {
    /// Or else to be given up, or forgotten.
    pub(crate) fn is_to_send(&self, now: Instant) -> bool {
        State::of(self.state) == State::Waiting && !is_late(self.created, now)
    }
}

/// Those of all organizations, longest due first.
pub(crate) fn mails_due(conn: &mut AnyConnection, now: Instant, limit: i64) -> Result<Vec<Due>, store::Error> {
    let text = "SELECT l.org, l.id, l.due, l.created, l.state FROM mail l WHERE l.due <= ? ORDER BY l.due";
    let mut page = Statement::new(text, [Value::Instant(now)]);
    page.append(limit_to(conn.backend(), limit));
    Ok(page.rows(conn)?)
}

/// Whether there was none for this recipient with the same `dedupe`.
pub(crate) fn mail_insert(conn: &mut AnyConnection, org: OrgId, new: &Mail) -> Result<bool, store::Error> {
    let text = "INSERT INTO mail (org, id, kind, dedupe, recipient, document, created, due, attempts, state) \
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (org, dedupe, recipient) DO NOTHING";
    let values = [
        Value::id(org),
        Value::id(new.id),
        Value::text(&*new.kind),
        Value::text(&*new.dedupe),
        Value::text(&*new.recipient),
        Value::text(&*new.document),
        Value::Instant(new.created),
        Value::Instant(new.created),
        Value::Integer(new.attempts),
        Value::Integer(new.state.code().into()),
    ];
    Ok(Statement::new(text, values).run(conn)? == 1)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Id)]
    id: MailId,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    dedupe: String,
    #[diesel(sql_type = Text)]
    recipient: String,
    #[diesel(sql_type = Text)]
    document: String,
    #[diesel(sql_type = InstantType)]
    created: Instant,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
    #[diesel(sql_type = SmallInt)]
    state: i16,
}

/// Takes it to send it, until `lease`. `None`: somebody else did, or does.
pub(crate) fn mail_take(
    conn: &mut AnyConnection,
    org: OrgId,
    seen: &Due,
    lease: Instant,
) -> Result<Option<Mail>, store::Error> {
    let text = "UPDATE mail SET due = ?, attempts = attempts + 1 WHERE org = ? AND id = ? AND due = ?";
    let values = [Value::Instant(lease), Value::id(org), Value::id(seen.id), Value::Instant(seen.due)];
    if Statement::new(text, values).run(conn)? == 0 {
        return Ok(None);
    }
    let text = "SELECT l.id, l.kind, l.dedupe, l.recipient, l.document, l.created, l.attempts, l.state FROM mail l \
                WHERE l.org = ? AND l.id = ?";
    let row: Option<Row> = Statement::new(text, [Value::id(org), Value::id(seen.id)]).row(conn)?;
    Ok(row.map(|row| Mail {
        id: row.id,
        kind: row.kind,
        dedupe: row.dedupe,
        recipient: row.recipient,
        document: row.document,
        created: row.created,
        attempts: row.attempts,
        state: State::of(row.state),
    }))
}

/// How an attempt ended. Nothing happens if the row was taken again since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) state: State,
    pub(crate) due: Instant,
    /// Unless it waits.
    pub(crate) finished: Option<Instant>,
    pub(crate) error: Option<String>,
}

pub(crate) fn mail_end(
    conn: &mut AnyConnection,
    org: OrgId,
    mail: &Mail,
    ending: &Ending,
) -> Result<bool, store::Error> {
    let text =
        "UPDATE mail SET state = ?, due = ?, finished = ?, last_error = ? WHERE org = ? AND id = ? AND attempts = ?";
    let values = [
        Value::Integer(ending.state.code().into()),
        Value::Instant(ending.due),
        Value::OptionalInstant(ending.finished),
        Value::OptionalText(ending.error.clone()),
        Value::id(org),
        Value::id(mail.id),
        Value::Integer(mail.attempts),
    ];
    Ok(Statement::new(text, values).run(conn)? == 1)
}

pub(crate) fn mail_delete(conn: &mut AnyConnection, org: OrgId, id: MailId) -> Result<(), store::Error> {
    Statement::new("DELETE FROM mail WHERE org = ? AND id = ?", [Value::id(org), Value::id(id)]).run(conn)?;
    Ok(())
}
