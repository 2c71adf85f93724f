//! Who lost access lately, as the events tell, and the holds that were made of it.
//!
//! Not here: anything that a request writes. A background task reads the events behind the writers.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, SmallInt, Text},
};
use store::{
    AnyConnection, Instant,
    sql_types::{Id, Instant as InstantType},
};

use super::{
    Count,
    statement::{AnyId, Lock, Statement, Value, limit_to, locking},
};
use crate::domain::{
    OrgId, UserId,
    hold::{Counts, Failed, Hold, HoldId, Loss, Lost, State},
};

#[derive(QueryableByName)]
struct PositionRow {
    #[diesel(sql_type = Id)]
    org: OrgId,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// The last event of each of some organizations, those after the given one.
pub(crate) fn heads_page(
    conn: &mut AnyConnection,
    after: OrgId,
    limit: i64,
) -> Result<Vec<(OrgId, i64)>, store::Error> {
    let mut page = Statement::new(
        "SELECT h.org, h.last_seq AS seq FROM event_head h WHERE h.org > ? ORDER BY h.org",
        [Value::id(after)],
    );
    page.append(limit_to(conn.backend(), limit));
    Ok(page.rows::<PositionRow>(conn)?.into_iter().map(|row| (row.org, row.seq)).collect())
}

/// Up to which event the organizations from one to another were read.
pub(crate) fn watched_between(
    conn: &mut AnyConnection,
    after: OrgId,
    to: OrgId,
) -> Result<Vec<(OrgId, i64)>, store::Error> {
    let text = "SELECT w.org, w.seq FROM loss_watch w WHERE w.org > ? AND w.org <= ?";
    let rows: Vec<PositionRow> = Statement::new(text, [Value::id(after), Value::id(to)]).rows(conn)?;
    Ok(rows.into_iter().map(|row| (row.org, row.seq)).collect())
}

/// Up to which event the organization was read. Nobody else reads on until the transaction ends.
pub(crate) fn watch_lock(conn: &mut AnyConnection, org: OrgId) -> Result<i64, store::Error> {
    let insert = "INSERT INTO loss_watch (org, seq) VALUES (?, 0) ON CONFLICT DO NOTHING";
    Statement::new(insert, [Value::id(org)]).run(conn)?;
    let lock = locking(conn.backend(), Lock::Change);
    let select = format!("SELECT w.org, w.seq FROM loss_watch w WHERE w.org = ?{lock}");
    let row: Option<PositionRow> = Statement::new(select, [Value::id(org)]).row(conn)?;
    Ok(row.map_or(0, |row| row.seq))
}

pub(crate) fn watch_write(conn: &mut AnyConnection, org: OrgId, seq: i64) -> Result<(), store::Error> {
    let text = "UPDATE loss_watch SET seq = ? WHERE org = ?";
    Statement::new(text, [Value::Integer(seq), Value::id(org)]).run(conn)?;
    Ok(())
}

/// Whether all events up to an instant were read, and none waits for its number.
pub(crate) fn watched_until(conn: &mut AnyConnection, org: OrgId, until: Instant) -> Result<bool, store::Error> {
    let text = "SELECT (SELECT count(*) FROM (SELECT 1 AS one FROM outbox p WHERE p.org = ? AND p.occurred <= ? LIMIT 1) a) + \
                (SELECT count(*) FROM (SELECT v.occurred FROM event v WHERE v.org = ? AND v.seq > coalesce((SELECT w.seq FROM \
                loss_watch w WHERE w.org = ?), 0) ORDER BY v.seq LIMIT 1) b WHERE b.occurred <= ?) AS n";
    let (org, until) = (Value::id(org), Value::Instant(until));
    let values = [org.clone(), until.clone(), org.clone(), org, until];
    Ok(Statement::new(text, values).row::<Count>(conn)?.is_some_and(|row| row.n == 0))
}

/// An event as the watch reads it.
#[derive(QueryableByName)]
pub(crate) struct SeenEvent {
    #[diesel(sql_type = BigInt)]
    pub(crate) seq: i64,
    #[diesel(sql_type = InstantType)]
    pub(crate) occurred: Instant,
    #[diesel(sql_type = Text)]
    pub(crate) kind: String,
    #[diesel(sql_type = Id)]
    pub(crate) subject: AnyId,
    #[diesel(sql_type = Text)]
    pub(crate) actor: String,
    /// Empty where it cannot tell of a loss.
    #[diesel(sql_type = Text)]
    pub(crate) delta: String,
}

/// Events after a number, oldest first.
pub(crate) fn events_after(
    conn: &mut AnyConnection,
    org: OrgId,
    after: i64,
    limit: i64,
) -> Result<Vec<SeenEvent>, store::Error> {
    let mut page = Statement::new(
        "SELECT v.seq, v.occurred, v.kind, v.subject, v.actor, CASE WHEN v.kind = 'user.updated' AND v.delta LIKE \
         '%\"active\"%' THEN v.delta ELSE '' END AS delta FROM event v WHERE v.org = ? AND v.seq > ? ORDER BY v.seq",
        [Value::id(org), Value::Integer(after)],
    );
    page.append(limit_to(conn.backend(), limit));
    Ok(page.rows(conn)?)
}

/// `by`: who did it, less what differs between requests.
pub(crate) fn loss_insert(conn: &mut AnyConnection, org: OrgId, lost: &Lost, by: &str) -> Result<(), store::Error> {
    Statement::new(
        "INSERT INTO access_loss (org, seq, user_id, kind, occurred, actor, state) VALUES (?, ?, ?, ?, ?, ?, 0)",
        [
            Value::id(org),
            Value::Integer(lost.seq),
            Value::id(lost.user),
            Value::Integer(lost.loss.code().into()),
            Value::Instant(lost.occurred),
            Value::text(by),
        ],
    )
    .run(conn)?;
    Ok(())
}

/// A condition on the loss `l`: the user has not got its access back. Who is there was not deleted, or was restored; whether it
/// is active again is another matter.
const STILL_LOST: &str = "NOT EXISTS (SELECT 1 FROM scim_user u WHERE u.org = l.org AND u.id = l.user_id AND \
                          (l.kind = 2 OR u.active))";

/// How many of those who lost their access from one instant to another have not got it back, each once.
pub(crate) fn still_lost_between(
    conn: &mut AnyConnection,
    org: OrgId,
    from: Instant,
    to: Instant,
) -> Result<i64, store::Error> {
    let text = format!(
        "SELECT count(DISTINCT l.user_id) AS n FROM access_loss l WHERE l.org = ? AND l.occurred >= ? AND l.occurred <= ? \
         AND {STILL_LOST}"
    );
    let values = [Value::id(org), Value::Instant(from), Value::Instant(to)];
    Ok(Statement::new(text, values).row::<Count>(conn)?.map_or(0, |row| row.n))
}

/// Forgets what those lost of a hold who have it again: there is nothing to give back to them.
pub(crate) fn losses_over_delete(conn: &mut AnyConnection, org: OrgId, hold: &Hold) -> Result<(), store::Error> {
    let text = format!(
        "DELETE FROM access_loss WHERE org = ? AND seq IN (SELECT l.seq FROM access_loss l WHERE l.org = ? AND \
         l.occurred >= ? AND l.occurred <= ? AND NOT {STILL_LOST})"
    );
    let values = [Value::id(org), Value::id(org), Value::Instant(hold.first), Value::Instant(hold.last)];
    Statement::new(text, values).run(conn)?;
    Ok(())
}

/// How many users lost their access from one instant to another, each once.
pub(crate) fn lost_between(
    conn: &mut AnyConnection,
    org: OrgId,
    from: Instant,
    to: Instant,
) -> Result<i64, store::Error> {
    let text = "SELECT count(DISTINCT l.user_id) AS n FROM access_loss l WHERE l.org = ? AND l.occurred >= ? AND \
                l.occurred <= ?";
    let values = [Value::id(org), Value::Instant(from), Value::Instant(to)];
    Ok(Statement::new(text, values).row::<Count>(conn)?.map_or(0, |row| row.n))
}

#[derive(QueryableByName)]
struct InstantRow {
    #[diesel(sql_type = Nullable<InstantType>)]
    at: Option<Instant>,
}

/// How many users were deleted from one instant to another, and are not there again.
pub(crate) fn deleted_between(
    conn: &mut AnyConnection,
    org: OrgId,
    from: Instant,
    to: Instant,
) -> Result<i64, store::Error> {
    let text = format!(
        "SELECT count(DISTINCT l.user_id) AS n FROM access_loss l WHERE l.org = ? AND l.kind = 2 AND l.occurred >= ? AND \
         l.occurred <= ? AND {STILL_LOST}"
    );
    let values = [Value::id(org), Value::Instant(from), Value::Instant(to)];
    Ok(Statement::new(text, values).row::<Count>(conn)?.map_or(0, |row| row.n))
}

/// The first loss from an instant on.
pub(crate) fn first_loss(conn: &mut AnyConnection, org: OrgId, from: Instant) -> Result<Option<Instant>, store::Error> {
    let text = "SELECT min(l.occurred) AS at FROM access_loss l WHERE l.org = ? AND l.occurred >= ?";
    let row: Option<InstantRow> = Statement::new(text, [Value::id(org), Value::Instant(from)]).row(conn)?;
    Ok(row.and_then(|row| row.at))
}

/// The end of the last hold that was decided about.
pub(crate) fn decided_until(conn: &mut AnyConnection, org: OrgId) -> Result<Option<Instant>, store::Error> {
    let text = "SELECT max(h.last_at) AS at FROM hold h WHERE h.org = ? AND h.state <> 1";
    let row: Option<InstantRow> = Statement::new(text, [Value::id(org)]).row(conn)?;
    Ok(row.and_then(|row| row.at))
}

/// Who did it, those who did most of it first.
pub(crate) fn losses_by(
    conn: &mut AnyConnection,
    org: OrgId,
    from: Instant,
    to: Instant,
) -> Result<Vec<(String, i64)>, store::Error> {
    #[derive(QueryableByName)]
    struct ByRow {
        #[diesel(sql_type = Text)]
        actor: String,
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let text = "SELECT l.actor, count(*) AS n FROM access_loss l WHERE l.org = ? AND l.occurred >= ? AND l.occurred <= ? \
                GROUP BY l.actor ORDER BY n DESC, l.actor LIMIT 5";
    let values = [Value::id(org), Value::Instant(from), Value::Instant(to)];
    let rows: Vec<ByRow> = Statement::new(text, values).rows(conn)?;
    Ok(rows.into_iter().map(|row| (row.actor, row.n)).collect())
}

/// Forgets losses before an instant that no hold is about which still has work to do, at most `limit`. How many.
pub(crate) fn losses_purge(
    conn: &mut AnyConnection,
    org: OrgId,
    before: Instant,
    limit: i64,
) -> Result<usize, store::Error> {
    let text = "DELETE FROM access_loss WHERE org = ? AND seq IN (SELECT l.seq FROM access_loss l WHERE l.org = ? AND \
                l.occurred < ? AND NOT EXISTS (SELECT 1 FROM hold h WHERE h.org = l.org AND l.occurred >= h.first_at AND \
                l.occurred <= h.last_at AND (h.state IN (1, 3) OR l.state = 2)) ORDER BY l.occurred LIMIT ?)";
    let org = Value::id(org);
    Ok(Statement::new(text, [org.clone(), org, Value::Instant(before), Value::Integer(limit)]).run(conn)?)
}

#[derive(QueryableByName)]
struct HoldRow {
    #[diesel(sql_type = Id)]
    id: HoldId,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = InstantType)]
    opened: Instant,
    #[diesel(sql_type = InstantType)]
    first_at: Instant,
    #[diesel(sql_type = InstantType)]
    last_at: Instant,
    #[diesel(sql_type = BigInt)]
    users: i64,
    #[diesel(embed)]
    counts: CountsRow,
    #[diesel(sql_type = Nullable<InstantType>)]
    decided: Option<Instant>,
    #[diesel(sql_type = Nullable<Text>)]
    decided_by: Option<String>,
}

impl From<HoldRow> for Hold {
    fn from(row: HoldRow) -> Self {
        let HoldRow { id, state, opened, first_at: first, last_at: last, users, counts, decided, decided_by } = row;
        Self { id, state: State::of(state), opened, first, last, users, counts: counts.into(), decided, decided_by }
    }
}

#[derive(QueryableByName)]
struct CountsRow {
    #[diesel(sql_type = BigInt)]
    deactivated: i64,
    #[diesel(sql_type = BigInt)]
    deleted: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = BigInt)]
    restored: i64,
}

impl From<CountsRow> for Counts {
    fn from(row: CountsRow) -> Self {
        let CountsRow { deactivated, deleted, failed, restored } = row;
        Self { deactivated, deleted, failed, restored }
    }
}

/// The columns of [`HoldRow`], for a table alias `h`.
const COLUMNS: &str = "h.id, h.state, h.opened, h.first_at, h.last_at, h.users, h.deactivated, h.deleted, h.failed, \
                       CASE h.state WHEN 4 THEN h.deactivated + h.deleted - h.failed ELSE 0 END AS restored, h.decided, \
                       h.decided_by";

pub(crate) fn hold_insert(conn: &mut AnyConnection, org: OrgId, hold: &Hold) -> Result<(), store::Error> {
    Statement::new(
        "INSERT INTO hold (org, id, state, opened, first_at, last_at, users, deactivated, deleted, failed) VALUES \
         (?, ?, ?, ?, ?, ?, ?, 0, 0, 0)",
        [
            Value::id(org),
            Value::id(hold.id),
            Value::Integer(hold.state.code().into()),
            Value::Instant(hold.opened),
            Value::Instant(hold.first),
            Value::Instant(hold.last),
            Value::Integer(hold.users),
        ],
    )
    .run(conn)?;
    Ok(())
}

/// The latest hold in a state.
pub(crate) fn hold_in(conn: &mut AnyConnection, org: OrgId, state: State) -> Result<Option<Hold>, store::Error> {
    let text = format!(
        "SELECT {COLUMNS} FROM hold h WHERE h.org = ? AND h.state = ? ORDER BY h.opened DESC, h.id DESC LIMIT 1"
    );
    let row: Option<HoldRow> = Statement::new(text, [Value::id(org), Value::Integer(state.code().into())]).row(conn)?;
    Ok(row.map(Hold::from))
}

/// Reads a hold and keeps others from deciding about it until the transaction ends.
pub(crate) fn hold_lock(conn: &mut AnyConnection, org: OrgId, id: HoldId) -> Result<Option<Hold>, store::Error> {
    let lock = locking(conn.backend(), Lock::Change);
    let text = format!("SELECT {COLUMNS} FROM hold h WHERE h.org = ? AND h.id = ?{lock}");
    let row: Option<HoldRow> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    Ok(row.map(Hold::from))
}

/// The latest holds.
pub(crate) fn holds(conn: &mut AnyConnection, org: OrgId, limit: i64) -> Result<Vec<Hold>, store::Error> {
    let mut select = Statement::new(
        format!("SELECT {COLUMNS} FROM hold h WHERE h.org = ? ORDER BY h.opened DESC, h.id DESC"),
        [Value::id(org)],
    );
    select.append(limit_to(conn.backend(), limit));
    let rows: Vec<HoldRow> = select.rows(conn)?;
    Ok(rows.into_iter().map(Hold::from).collect())
}

/// Writes what changes of a hold: how far it reaches, its state and who decided.
pub(crate) fn hold_write(conn: &mut AnyConnection, org: OrgId, hold: &Hold) -> Result<(), store::Error> {
    Statement::new(
        "UPDATE hold SET state = ?, last_at = ?, deactivated = ?, deleted = ?, failed = ?, decided = ?, decided_by = ? \
         WHERE org = ? AND id = ?",
        [
            Value::Integer(hold.state.code().into()),
            Value::Instant(hold.last),
            Value::Integer(hold.counts.deactivated),
            Value::Integer(hold.counts.deleted),
            Value::Integer(hold.counts.failed),
            Value::OptionalInstant(hold.decided),
            Value::OptionalText(hold.decided_by.clone()),
            Value::id(org),
            Value::id(hold.id),
        ],
    )
    .run(conn)?;
    Ok(())
}

/// The next organization, by id, with a hold in a state.
pub(crate) fn hold_organization_after(
    conn: &mut AnyConnection,
    after: OrgId,
    state: State,
) -> Result<Option<OrgId>, store::Error> {
    let text =
        "SELECT h.org, CAST(0 AS bigint) AS seq FROM hold h WHERE h.org > ? AND h.state = ? ORDER BY h.org LIMIT 1";
    let row: Option<PositionRow> =
        Statement::new(text, [Value::id(after), Value::Integer(state.code().into())]).row(conn)?;
    Ok(row.map(|row| row.org))
}

/// How many users a hold is about. While nobody has decided: those who have their access again are left out. Later they are
/// forgotten, and who has it again was given it.
pub(crate) fn hold_counts(conn: &mut AnyConnection, org: OrgId, hold: &Hold) -> Result<Counts, store::Error> {
    let text = format!(
        "SELECT c.n - c.deleted AS deactivated, c.deleted, c.failed, c.n - c.waiting AS restored FROM (\
         SELECT count(DISTINCT l.user_id) AS n, count(DISTINCT CASE l.kind WHEN 2 THEN l.user_id END) AS deleted, \
         count(DISTINCT CASE l.state WHEN 2 THEN l.user_id END) AS failed, \
         count(DISTINCT CASE l.state WHEN 1 THEN NULL ELSE l.user_id END) AS waiting FROM access_loss l \
         WHERE l.org = ? AND l.occurred >= ? AND l.occurred <= ?{}) c",
        if hold.state == State::Open { format!(" AND {STILL_LOST}") } else { String::new() }
    );
    let values = [Value::id(org), Value::Instant(hold.first), Value::Instant(hold.last)];
    let row: Option<CountsRow> = Statement::new(text, values).row(conn)?;
    Ok(row.map_or(Counts::default(), Counts::from))
}

/// Whom a hold is about, each once, with the last that it lost, in their order after the given one.
pub(crate) fn hold_losses(
    conn: &mut AnyConnection,
    org: OrgId,
    hold: &Hold,
    after: i64,
    limit: i64,
) -> Result<Vec<Lost>, store::Error> {
    let mut next = Statement::new(
        format!(
            "SELECT l.seq, l.user_id, l.kind, l.occurred FROM access_loss l WHERE l.org = ? AND l.seq > ? AND l.occurred >= ? \
             AND l.occurred <= ?{} AND NOT EXISTS (SELECT 1 FROM access_loss n WHERE n.org = l.org AND \
             n.user_id = l.user_id AND n.seq > l.seq AND n.occurred <= ?{}) ORDER BY l.seq",
            if hold.state == State::Open { format!(" AND {STILL_LOST}") } else { String::new() },
            // Who was deleted and restored is still the one who was deactivated before.
            if hold.state == State::Open { format!(" AND {}", STILL_LOST.replace("l.", "n.")) } else { String::new() },
        ),
        [
            Value::id(org),
            Value::Integer(after),
            Value::Instant(hold.first),
            Value::Instant(hold.last),
            Value::Instant(hold.last),
        ],
    );
    next.append(limit_to(conn.backend(), limit));
    let rows: Vec<LostRow> = next.rows(conn)?;
    Ok(rows.into_iter().map(Lost::from).collect())
}

/// One hold.
pub(crate) fn hold_get(conn: &mut AnyConnection, org: OrgId, id: HoldId) -> Result<Option<Hold>, store::Error> {
    let text = format!("SELECT {COLUMNS} FROM hold h WHERE h.org = ? AND h.id = ?");
    let row: Option<HoldRow> = Statement::new(text, [Value::id(org), Value::id(id)]).row(conn)?;
    Ok(row.map(Hold::from))
}

#[derive(QueryableByName)]
struct LostRow {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Id)]
    user_id: UserId,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = InstantType)]
    occurred: Instant,
}

impl From<LostRow> for Lost {
    fn from(row: LostRow) -> Self {
        Self { seq: row.seq, user: row.user_id, loss: Loss::of(row.kind), occurred: row.occurred }
    }
}

/// The next users of a hold that are to be restored, in the order in which they lost their access.
pub(crate) fn losses_pending(
    conn: &mut AnyConnection,
    org: OrgId,
    hold: &Hold,
    limit: i64,
) -> Result<Vec<Lost>, store::Error> {
    let mut next = Statement::new(
        "SELECT l.seq, l.user_id, l.kind, l.occurred FROM access_loss l WHERE l.org = ? AND l.occurred >= ? AND \
         l.occurred <= ? AND l.state = 0 ORDER BY l.seq",
        [Value::id(org), Value::Instant(hold.first), Value::Instant(hold.last)],
    );
    next.append(limit_to(conn.backend(), limit));
    let rows: Vec<LostRow> = next.rows(conn)?;
    Ok(rows.into_iter().map(Lost::from).collect())
}

/// A user was dealt with; `why` it could not be restored, if so. What another process said of it first stays: this one may have
/// come after the hold had ended, when nothing keeps the user any more.
pub(crate) fn loss_done(conn: &mut AnyConnection, org: OrgId, seq: i64, why: Option<&str>) -> Result<(), store::Error> {
    let (state, pending) = if why.is_some() { (2, " AND state = 0") } else { (1, "") };
    Statement::new(
        format!("UPDATE access_loss SET state = ?, why = ? WHERE org = ? AND seq = ?{pending}"),
        [Value::Integer(state), Value::OptionalText(why.map(str::to_owned)), Value::id(org), Value::Integer(seq)],
    )
    .run(conn)?;
    Ok(())
}

/// The first who could not be restored, each once.
pub(crate) fn losses_failed(
    conn: &mut AnyConnection,
    org: OrgId,
    hold: &Hold,
    limit: i64,
) -> Result<Vec<Failed>, store::Error> {
    #[derive(QueryableByName)]
    struct FailedRow {
        #[diesel(sql_type = Id)]
        user_id: UserId,
        #[diesel(sql_type = Text)]
        why: String,
    }
    let mut failed = Statement::new(
        "SELECT l.user_id, coalesce(l.why, '') AS why FROM access_loss l WHERE l.org = ? AND l.occurred >= ? AND \
         l.occurred <= ? AND l.state = 2 AND NOT EXISTS (SELECT 1 FROM access_loss n WHERE n.org = l.org AND \
         n.user_id = l.user_id AND n.seq > l.seq AND n.occurred <= ? AND n.state = 2) ORDER BY l.seq",
        [Value::id(org), Value::Instant(hold.first), Value::Instant(hold.last), Value::Instant(hold.last)],
    );
    failed.append(limit_to(conn.backend(), limit));
    let rows: Vec<FailedRow> = failed.rows(conn)?;
    Ok(rows.into_iter().map(|row| Failed { user: row.user_id.0, why: row.why }).collect())
}

/// A condition on the deleted user `d`: no hold keeps it from being erased.
pub(crate) const NOT_HELD: &str = "NOT EXISTS (SELECT 1 FROM hold h WHERE h.org = d.org AND h.state IN (1, 3) AND \
                                   d.deleted_at >= h.first_at AND d.deleted_at <= h.last_at)";
