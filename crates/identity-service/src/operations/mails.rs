//! Who is told of what by mail. The rows are made where the cause is, in its transaction; `mailer` sends them.
//!
//! Not here: whether mail is configured. Who calls this knows: nothing is kept for a mail server that may come some day.

use ::store::{AnyConnection, Error, Ids, Instant};

use crate::{
    domain::{
        OrgId,
        admin::Role,
        mail::{Mail, MailId, Notice, State},
    },
    store::{admin, mail},
};

/// Tells every owner and admin of the organization: one mail for each, and none where there was one of the same.
pub(crate) fn mail_admins(
    conn: &mut AnyConnection,
    org: OrgId,
    ids: &Ids,
    now: Instant,
    notice: &Notice,
) -> Result<(), Error> {
    for told in admin::admins(conn, org)?.into_iter().filter(|admin| is_told(admin.role)) {
        mail_enqueue(conn, org, ids, now, &told.email.text, notice)?;
    }
    Ok(())
}

/// Tells one address. Whether it was not told of the same before.
pub(crate) fn mail_enqueue(
    conn: &mut AnyConnection,
    org: OrgId,
    ids: &Ids,
    now: Instant,
    recipient: &str,
    notice: &Notice,
) -> Result<bool, Error> {
    let (kind, document) = notice.stored();
    let new = Mail {
        id: MailId(ids.next()),
        kind,
        dedupe: notice.dedupe(),
        recipient: recipient.to_owned(),
        document,
        created: now,
        attempts: 0,
        state: State::Waiting,
    };
    mail::mail_insert(conn, org, &new)
}

/// Viewers can change nothing about what is told.
pub(crate) fn is_told(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}
