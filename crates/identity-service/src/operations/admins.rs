//! Administrators of consoles, and invitations. Whoever changes them holds the organization's row, so that of several who
//! would each leave one owner not all do.

use ::store::AnyConnection;
use serde_json::json;
use wire::{Reason, Refusal};

use super::{Core, Scope, organization_of, organizations::not_a_client, sessions::NewSession};
use crate::{
    domain::{
        AdminId, InviteId, OrgId,
        actor::{Actor, ActorKind},
        admin::{Admin, Email, Invite, MOST, Role, invite_expiry},
        event::{Kind, NewEvent},
        secret::{Hash, INVITE, Secret},
        session::{Browser, Session},
    },
    error::{Refused, refusal, refused},
    store::{admin, organization},
};

/// Whom to invite.
#[derive(Clone, Debug)]
pub(crate) struct NewInvite {
    pub(crate) email: String,
    pub(crate) role: Role,
    pub(crate) ttl_hours: Option<u32>,
}

impl Core {
    /// In the place of an invitation for the same address.
    pub(crate) async fn invite_create(&self, scope: Scope, new: NewInvite) -> Result<(Invite, String), Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now, secret) = (self.clone(), self.clock.now(), Secret::generate(INVITE, &self.random));
        let invite = Invite {
            id: InviteId(self.ids.next()),
            email: Email::parse(&new.email)?,
            role: new.role,
            created: now,
            created_by: scope.actor.name().to_owned(),
            expires: invite_expiry(new.ttl_hours, now)?,
        };
        let hash = secret.hash();
        let made = self.write(scope.org, move |conn| {
            lock(conn, scope.org)?;
            admin::invites_delete_for(conn, scope.org, &invite.email)?;
            let known = admin::admin_by_email(conn, scope.org, &invite.email)?.is_some();
            let all = admin::admin_count(conn, scope.org)? + admin::invite_count(conn, scope.org, now)?;
            if !known && all >= MOST {
                let message = format!(
                    "The organization has {MOST} administrators and invitations, which is the most. Remove one that is \
                     not needed any more."
                );
                return Err(refused(Reason::TooMany, message));
            }
            admin::invite_insert(conn, scope.org, &invite, hash)?;
            let after = json!({
                "email": invite.email.text,
                "role": invite.role.as_str(),
                "expires_at": invite.expires.to_string(),
            });
            let event = NewEvent { kind: Kind::AdminInvited, subject: invite.id.0, delta: json!({ "after": after }) };
            core.record(conn, &scope, now, &[event])?;
            Ok(invite.clone())
        });
        Ok((made.await?, secret.into_answer()))
    }

    /// By the hash of its secret.
    pub(crate) async fn invite_get(&self, secret: Hash) -> Result<(OrgId, Invite), Refusal> {
        let now = self.clock.now();
        let found = self.db.across().seek(move |conn| Ok(admin::invite_by_hash(conn, secret)?)).await;
        found.map_err(refusal)?.filter(|(_, invite)| invite.is_open(now)).ok_or_else(invite_invalid)
    }

    /// Uses an invitation up. Whoever comes back by one is pinned to the provider anew at the next sign-in there: the
    /// person behind the address may have another account there by now.
    pub(crate) async fn invite_accept(
        &self,
        secret: Hash,
        browser: Browser,
        request_id: String,
    ) -> Result<(Session, String), Refusal> {
        let (org, invite) = self.invite_get(secret).await?;
        let (core, now) = (self.clone(), self.clock.now());
        let new = AdminId(self.ids.next());
        let (session, text) = NewSession::draw(self, browser);
        let kind = ActorKind::Administrator { name: invite.email.text.clone() };
        let scope = Scope { org, actor: Actor { kind, request_id } };
        let made = self.write(org, move |conn| {
            lock(conn, org)?;
            if !admin::invite_delete(conn, org, invite.id)? {
                return Err(Refused::Refused(invite_invalid()));
            }
            let known = admin::admin_by_email(conn, org, &invite.email)?;
            let made = known.is_none();
            let admin = match known {
                Some(admin) => Admin { pin: None, ..admin },
                None => {
                    let admin = Admin {
                        id: new,
                        email: invite.email.clone(),
                        name: String::new(),
                        role: invite.role,
                        created: now,
                        last_signed_in: None,
                        pin: None,
                    };
                    admin::admin_insert(conn, org, &admin)?;
                    admin
                }
            };
            let delta = json!({
                "after": {"email": admin.email.text, "role": admin.role.as_str()},
                "invite": invite.id.to_string(),
                "made": made,
            });
            let accepted = NewEvent { kind: Kind::AdminInviteAccepted, subject: admin.id.0, delta };
            core.record(conn, &scope, now, &[accepted])?;
            core.session_begin(conn, &scope, admin, &session, "invitation", now)
        });
        Ok((made.await?, text))
    }

    pub(crate) async fn admin_list(&self, org: OrgId) -> Result<(Vec<Admin>, Vec<Invite>), Refusal> {
        let now = self.clock.now();
        self.snapshot(org, move |conn| {
            organization_of(conn, org)?;
            Ok((admin::admins(conn, org)?, admin::invites(conn, org, now)?))
        })
        .await
    }

    pub(crate) async fn admin_role_set(&self, scope: Scope, id: AdminId, role: Role) -> Result<Admin, Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            lock(conn, scope.org)?;
            let before = admin::admin_get(conn, scope.org, id)?.ok_or_else(|| Refused::Refused(admin_not_found()))?;
            if before.role == role {
                return Ok(before);
            }
            keeps_an_owner(conn, scope.org, &before)?;
            admin::admin_role_set(conn, scope.org, id, role)?;
            if before.role == Role::Owner {
                // An invitation as owner would be the way back.
                admin::invites_delete_by(conn, scope.org, &before.email.text)?;
            }
            let delta = json!({
                "before": {"role": before.role.as_str()},
                "after": {"role": role.as_str()},
                "email": before.email.text,
            });
            core.record(conn, &scope, now, &[NewEvent { kind: Kind::AdminRoleSet, subject: id.0, delta }])?;
            Ok(Admin { role, ..before })
        })
        .await
    }

    /// An administrator with its sessions, the invitations for its address and those that it made; or one invitation.
    pub(crate) async fn admin_remove(&self, scope: Scope, id: AdminId) -> Result<(), Refusal> {
        not_a_client(&scope.actor)?;
        let (core, now) = (self.clone(), self.clock.now());
        self.write(scope.org, move |conn| {
            lock(conn, scope.org)?;
            let event = match admin::admin_get(conn, scope.org, id)? {
                Some(found) => {
                    keeps_an_owner(conn, scope.org, &found)?;
                    admin::admin_delete(conn, scope.org, id)?;
                    admin::invites_delete_for(conn, scope.org, &found.email)?;
                    admin::invites_delete_by(conn, scope.org, &found.email.text)?;
                    let before = json!({"email": found.email.text, "role": found.role.as_str()});
                    NewEvent { kind: Kind::AdminRemoved, subject: id.0, delta: json!({ "before": before }) }
                }
                None => {
                    let id = InviteId(id.0);
                    let found = admin::invite_get(conn, scope.org, id)?.filter(|invite| invite.is_open(now));
                    let found = found.ok_or_else(|| Refused::Refused(admin_not_found()))?;
                    admin::invite_delete(conn, scope.org, id)?;
                    let before = json!({"email": found.email.text, "role": found.role.as_str()});
                    NewEvent { kind: Kind::AdminInviteRemoved, subject: id.0, delta: json!({ "before": before }) }
                }
            };
            core.record(conn, &scope, now, &[event])
        })
        .await
    }
}

/// Holds the organization's row until the transaction ends.
pub(super) fn lock(conn: &mut AnyConnection, org: OrgId) -> Result<(), Refused> {
    organization::organization_lock(conn, org)?;
    organization_of(conn, org).map(drop)
}

/// Refused where this one is the last owner. Where there is none yet, nobody is.
fn keeps_an_owner(conn: &mut AnyConnection, org: OrgId, this: &Admin) -> Result<(), Refused> {
    if this.role == Role::Owner && admin::owner_count(conn, org)? <= 1 {
        return Err(refused(
            Reason::AdminState,
            "This is the organization's last owner, and one has to remain. Make another administrator an owner first.",
        ));
    }
    Ok(())
}

pub(crate) fn admin_not_found() -> Refusal {
    let message =
        "The organization has no administrator and no invitation with this id. List them to see which it has.";
    Refusal::new(Reason::AdminNotFound, message)
}

/// One answer to a secret that is unknown, used or too old.
fn invite_invalid() -> Refusal {
    Refusal::new(
        Reason::AdminInviteInvalid,
        "This invitation was used already, or is too old. Ask an owner for another one: rollcall admin invite.",
    )
}
