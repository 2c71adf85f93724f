//! Administrators of consoles, and invitations.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tonic::Status;
use wire::{
    Reason,
    identity::{self as proto, AdminRole},
};

use crate::world::{NOW, World, administrator, client, json_of, on_both, reason, refused};

pub(crate) const MINUTE: i64 = 60 * 1_000_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;

pub(crate) fn sha256(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

pub(crate) fn browser() -> Option<proto::Browser> {
    Some(proto::Browser { address: "192.0.2.7".to_owned(), user_agent: "Firefox".to_owned() })
}

impl World {
    pub(crate) async fn invite(
        &self,
        org: &str,
        email: &str,
        role: AdminRole,
    ) -> Result<proto::CreateAdminInviteResponse, Status> {
        let request = proto::CreateAdminInviteRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            email: email.to_owned(),
            role: role.into(),
            ttl_hours: None,
        };
        Ok(self.console.clone().create_admin_invite(request).await?.into_inner())
    }

    pub(crate) async fn accept(&self, secret: &str) -> Result<proto::NewSession, Status> {
        let request = proto::AcceptAdminInviteRequest {
            secret_sha256: sha256(secret).into(),
            browser: browser(),
            request_id: "req-3".to_owned(),
        };
        Ok(self.console.clone().accept_admin_invite(request).await?.into_inner())
    }

    /// Invited, and in.
    pub(crate) async fn joined(&self, org: &str, email: &str, role: AdminRole) -> proto::NewSession {
        let invite = self.invite(org, email, role).await.expect("invited");
        self.accept(&invite.secret).await.expect("accepted")
    }

    pub(crate) async fn admin_list(&self, org: &str) -> proto::ListAdminsResponse {
        let request = proto::ListAdminsRequest { organization_id: org.to_owned() };
        self.console.clone().list_admins(request).await.expect("list").into_inner()
    }

    pub(crate) async fn role(&self, org: &str, id: &str, role: AdminRole) -> Result<proto::Admin, Status> {
        let request = proto::SetAdminRoleRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            id: id.to_owned(),
            role: role.into(),
        };
        Ok(self.console.clone().set_admin_role(request).await?.into_inner())
    }

    pub(crate) async fn remove_admin(&self, org: &str, id: &str) -> Result<(), Status> {
        let request =
            proto::RemoveAdminRequest { organization_id: org.to_owned(), caller: administrator(), id: id.to_owned() };
        self.console.clone().remove_admin(request).await.map(drop)
    }

    async fn invite_shown(&self, secret: &str) -> Result<proto::AdminInvite, Status> {
        let request = proto::GetAdminInviteRequest { secret_sha256: sha256(secret).into() };
        Ok(self.console.clone().get_admin_invite(request).await?.into_inner())
    }

    /// Those of one type: subject, actor and delta of each.
    pub(crate) async fn told_of(&self, org: &str, kind: &str, at_least: usize) -> Vec<(String, Value, Value)> {
        for _ in 0..500 {
            let events = self.events(org, 0).await;
            let of_kind = events.into_iter().filter(|event| event.r#type == kind);
            let found: Vec<_> = of_kind
                .map(|event| (event.subject_id, json_of(&event.actor_json), json_of(&event.delta_json)))
                .collect();
            if found.len() >= at_least {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("no {kind} after ten seconds");
    }
}

pub(crate) fn admin_of(made: &proto::NewSession) -> proto::Admin {
    made.session.clone().expect("session").admin.expect("admin")
}

#[tokio::test]
async fn an_invitation_is_accepted_once_and_makes_the_administrator_and_a_session() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let made = world.invite(&org, "Ada@Example.com", AdminRole::Owner).await.expect("invited");
        let invite = made.invite.clone().expect("invite");
        assert!(made.secret.starts_with("rc_invite_") && made.secret.len() == 59);
        assert_eq!((&*invite.email, invite.role(), &*invite.created_by), ("Ada@Example.com", AdminRole::Owner, "ada"));
        assert_eq!(invite.expires_at, Some(wire::to_timestamp(NOW + 24 * HOUR)));
        assert_eq!(world.invite_shown(&made.secret).await.expect("shown"), invite);
        let listed = world.admin_list(&org).await;
        assert_eq!((listed.invites.as_slice(), listed.mailed), (std::slice::from_ref(&invite), false));

        let session = world.accept(&made.secret).await.expect("accepted");
        assert!(session.secret.starts_with("rc_session_") && session.secret.len() == 60);
        let admin = admin_of(&session);
        assert_eq!(
            (&*admin.email, admin.role(), &*admin.organization_id),
            ("Ada@Example.com", AdminRole::Owner, &*org)
        );
        assert_eq!((&*admin.name, &*admin.issuer), ("", ""));
        assert_eq!(admin.last_signed_in_at, Some(wire::to_timestamp(NOW)));
        let session = session.session.expect("session");
        assert_eq!(session.browser, browser());
        assert_eq!(session.expires_at, Some(wire::to_timestamp(NOW + 12 * HOUR)));
        assert!(!session.rotation_due);

        assert_eq!(reason(world.accept(&made.secret).await), Reason::AdminInviteInvalid);
        assert_eq!(reason(world.invite_shown(&made.secret).await), Reason::AdminInviteInvalid);
        let list = world.admin_list(&org).await;
        assert_eq!((list.admins, list.invites.len()), (vec![admin.clone()], 0));

        let invited = &world.told_of(&org, "admin.invited", 1).await[0];
        assert_eq!(invited.0, invite.id);
        assert_eq!(invited.1, json!({"kind": "administrator", "name": "ada", "request_id": "req-2"}));
        assert_eq!(invited.2["after"]["email"], "Ada@Example.com");
        let accepted = &world.told_of(&org, "admin.invite_accepted", 1).await[0];
        assert_eq!(accepted.0, admin.id);
        assert_eq!(accepted.1, json!({"kind": "administrator", "name": "Ada@Example.com", "request_id": "req-3"}));
        assert_eq!((&accepted.2["invite"], &accepted.2["made"]), (&json!(invite.id), &json!(true)));
        let signed_in = &world.told_of(&org, "admin.signed_in", 1).await[0];
        assert_eq!((&signed_in.2["by"], &signed_in.2["address"]), (&json!("invitation"), &json!("192.0.2.7")));
        for event in world.events(&org, 5).await {
            let text = String::from_utf8_lossy(&event.delta_json).into_owned();
            assert!(!text.contains("rc_") && !text.contains("sha256"), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_invitation_ends_by_its_time_by_another_one_and_by_its_removal() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let first = world.invite(&org, "ada@example.com", AdminRole::Admin).await.expect("invited");
        let second = world.invite(&org, "ADA@example.com", AdminRole::Viewer).await.expect("invited again");
        assert_eq!(reason(world.accept(&first.secret).await), Reason::AdminInviteInvalid);
        let list = world.admin_list(&org).await;
        assert_eq!(list.invites, [second.invite.clone().expect("invite")]);

        world.later(24 * HOUR - 1);
        world.invite_shown(&second.secret).await.expect("the last moment");
        world.later(1);
        assert_eq!(reason(world.invite_shown(&second.secret).await), Reason::AdminInviteInvalid);
        assert_eq!(reason(world.accept(&second.secret).await), Reason::AdminInviteInvalid);
        assert_eq!(world.admin_list(&org).await, proto::ListAdminsResponse::default());
        let id = second.invite.expect("invite").id;
        assert_eq!(reason(world.remove_admin(&org, &id).await), Reason::AdminNotFound);

        let third = world.invite(&org, "ada@example.com", AdminRole::Admin).await.expect("invited");
        let id = third.invite.expect("invite").id;
        world.remove_admin(&org, &id).await.expect("removed");
        assert_eq!(reason(world.accept(&third.secret).await), Reason::AdminInviteInvalid);
        assert_eq!(world.told_of(&org, "admin.invite_removed", 1).await[0].0, id);
    })
    .await;
}

#[tokio::test]
async fn an_invitation_for_an_administrator_is_the_way_back_in() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let owner = admin_of(&world.joined(&org, "ada@example.com", AdminRole::Owner).await);
        let again = admin_of(&world.joined(&org, "ADA@EXAMPLE.COM", AdminRole::Viewer).await);
        assert_eq!(again, owner, "its own role and address");
        assert_eq!(world.admin_list(&org).await.admins.len(), 1);
        let accepted = world.told_of(&org, "admin.invite_accepted", 2).await;
        assert_eq!(accepted[1].2["made"], json!(false));
    })
    .await;
}

#[tokio::test]
async fn an_owner_remains_and_a_removed_administrator_leaves_nothing_behind() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        // While there is no owner yet, nobody is kept.
        let first = admin_of(&world.joined(&org, "first@x", AdminRole::Viewer).await);
        world.role(&org, &first.id, AdminRole::Admin).await.expect("no owner yet");
        world.remove_admin(&org, &first.id).await.expect("no owner yet");

        let ada = admin_of(&world.joined(&org, "ada@x", AdminRole::Owner).await);
        let (why, message) = refused(world.role(&org, &ada.id, AdminRole::Admin).await);
        assert_eq!(why, Reason::AdminState);
        assert!(message.contains("another administrator an owner"), "{message}");
        assert_eq!(reason(world.remove_admin(&org, &ada.id).await), Reason::AdminState);
        world.role(&org, &ada.id, AdminRole::Owner).await.expect("as it is");

        let eve = world.joined(&org, "eve@x", AdminRole::Viewer).await;
        let eve_id = admin_of(&eve).id;
        assert_eq!(world.role(&org, &eve_id, AdminRole::Owner).await.expect("owner").role(), AdminRole::Owner);
        let role = world.told_of(&org, "admin.role_set", 2).await.remove(1);
        assert_eq!(
            (role.0.as_str(), &role.2["before"]["role"], &role.2["after"]["role"]),
            (&*eve_id, &json!("viewer"), &json!("owner"))
        );

        // Invitations of hers and by her.
        let for_her = world.invite(&org, "eve@x", AdminRole::Owner).await.expect("invited");
        let request = proto::CreateAdminInviteRequest {
            organization_id: org.clone(),
            caller: named("eve@x"),
            email: "mallory@x".to_owned(),
            role: AdminRole::Owner.into(),
            ttl_hours: Some(168),
        };
        let by_her = world.console.clone().create_admin_invite(request).await.expect("invited").into_inner();
        let other = world.invite(&org, "kit@x", AdminRole::Viewer).await.expect("invited");
        world.remove_admin(&org, &eve_id).await.expect("removed");
        assert_eq!(reason(world.verify(&eve.secret).await), Reason::SessionInvalid);
        for gone in [for_her, by_her] {
            assert_eq!(reason(world.accept(&gone.secret).await), Reason::AdminInviteInvalid);
        }
        world.accept(&other.secret).await.expect("not hers");
        assert_eq!(reason(world.remove_admin(&org, &eve_id).await), Reason::AdminNotFound);
        assert_eq!(reason(world.role(&org, &eve_id, AdminRole::Owner).await), Reason::AdminNotFound);
        assert_eq!(reason(world.remove_admin(&org, &ada.id).await), Reason::AdminState);
        let removed = world.told_of(&org, "admin.removed", 2).await.remove(1);
        assert_eq!((removed.0, &removed.2["before"]["email"]), (eve_id, &json!("eve@x")));
        let emails: Vec<String> = world.admin_list(&org).await.admins.into_iter().map(|admin| admin.email).collect();
        assert_eq!(emails, ["ada@x", "kit@x"], "by address");
    })
    .await;
}

fn named(name: &str) -> Option<wire::common::Caller> {
    use wire::common::{Administrator, Caller, caller::Kind};
    let kind = Kind::Administrator(Administrator { name: name.to_owned() });
    Some(Caller { kind: Some(kind), request_id: "r".to_owned() })
}

#[tokio::test]
async fn of_two_who_accept_at_once_one_does_and_of_two_owners_who_leave_one_stays() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for n in 0..5 {
            let made = world.invite(&org, &format!("{n}@x"), AdminRole::Owner).await.expect("invited");
            let all = futures::future::join_all((0..4).map(|_| world.accept(&made.secret))).await;
            assert_eq!(all.iter().filter(|given| given.is_ok()).count(), 1, "{all:?}");
            for refused in all.into_iter().filter(Result::is_err) {
                assert_eq!(reason(refused), Reason::AdminInviteInvalid);
            }
        }
        // All five owners leave at once, by either way.
        let owners: Vec<String> = world.admin_list(&org).await.admins.into_iter().map(|admin| admin.id).collect();
        let leave = owners.iter().enumerate().map(|(n, id)| {
            let (world, org) = (&world, &org);
            async move {
                if n % 2 == 0 {
                    world.remove_admin(org, id).await
                } else {
                    world.role(org, id, AdminRole::Viewer).await.map(drop)
                }
            }
        });
        let given = futures::future::join_all(leave).await;
        assert_eq!(given.iter().filter(|given| given.is_ok()).count(), 4, "{given:?}");
        let admins = world.admin_list(&org).await.admins;
        assert_eq!(admins.iter().filter(|admin| admin.role() == AdminRole::Owner).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_in_itself_is_refused_with_what_to_do() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for email in ["", "ab", "ada", "ada @x", "@x", "ada@", "a@b@c", &format!("{}@x", "a".repeat(253))] {
            let (why, message) = refused(world.invite(&org, email, AdminRole::Admin).await);
            assert_eq!(why, Reason::InvalidValue, "{email}");
            assert!(message.contains("ada@example.com"), "{message}");
        }
        let (why, message) = refused(world.invite(&org, "ada@x", AdminRole::Unspecified).await);
        assert!(why == Reason::InvalidValue && message.contains("viewer, admin and owner"), "{message}");
        let with = |caller, ttl_hours| proto::CreateAdminInviteRequest {
            organization_id: org.clone(),
            caller,
            email: "ada@x".to_owned(),
            role: AdminRole::Admin.into(),
            ttl_hours,
        };
        for ttl in [0, 169] {
            let given = world.console.clone().create_admin_invite(with(administrator(), Some(ttl))).await;
            assert_eq!(reason(given), Reason::InvalidValue);
        }
        for caller in [None, client()] {
            let given = world.console.clone().create_admin_invite(with(caller, None)).await;
            assert_eq!(reason(given), Reason::InvalidArgument);
        }
        assert_eq!(world.admin_list(&org).await, proto::ListAdminsResponse::default());
        for bytes in [Vec::new(), vec![0; 31], vec![0; 33]] {
            let request = proto::GetAdminInviteRequest { secret_sha256: bytes.clone().into() };
            assert_eq!(reason(world.console.clone().get_admin_invite(request).await), Reason::InvalidArgument);
            let request = proto::AcceptAdminInviteRequest { secret_sha256: bytes.into(), ..Default::default() };
            assert_eq!(reason(world.console.clone().accept_admin_invite(request).await), Reason::InvalidArgument);
        }
        assert_eq!(reason(world.accept("rc_invite_unknown").await), Reason::AdminInviteInvalid);
        for id in ["", "no-id", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert_eq!(reason(world.remove_admin(&org, id).await), Reason::AdminNotFound);
            assert_eq!(reason(world.role(&org, id, AdminRole::Admin).await), Reason::AdminNotFound);
        }
        for nowhere in ["", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert_eq!(reason(world.invite(nowhere, "a@x", AdminRole::Admin).await), Reason::OrganizationNotFound);
            let list = proto::ListAdminsRequest { organization_id: nowhere.to_owned() };
            assert_eq!(reason(world.console.clone().list_admins(list).await), Reason::OrganizationNotFound);
        }
    })
    .await;
}

#[tokio::test]
async fn administrators_and_invitations_are_a_thousand_at_most() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let known = world.joined(&org, "known@x", AdminRole::Owner).await;
        let id = world.database.literal(&org);
        let (ids, at) = if world.is_sqlite() { ("randomblob(16)", "1") } else { ("gen_random_uuid()", "now()") };
        world
            .database
            .execute(&format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 998) \
                 INSERT INTO console_admin (org, id, email, email_key, name, role, created) \
                 SELECT {id}, {ids}, 'many', 'many' || i, '', 'viewer', {at} FROM n"
            ))
            .expect("rows");
        let last = world.invite(&org, "last@x", AdminRole::Admin).await.expect("the thousandth");
        let (why, message) = refused(world.invite(&org, "more@x", AdminRole::Admin).await);
        assert!(why == Reason::TooMany && message.contains("Remove one"), "{message}");
        // Who is there already comes back in, and what was invited joins.
        world.joined(&org, &admin_of(&known).email, AdminRole::Owner).await;
        world.accept(&last.secret).await.expect("joined");
        assert_eq!(world.admin_list(&org).await.admins.len(), 1000);
    })
    .await;
}

#[tokio::test]
async fn what_another_organization_has_is_not_found() {
    on_both(async |world| {
        let (ours, theirs) = (world.organization("ours").await, world.organization("theirs").await);
        let session = world.joined(&theirs, "ada@x", AdminRole::Owner).await;
        world.joined(&theirs, "eve@x", AdminRole::Owner).await;
        let admin = admin_of(&session);
        let invite = world.invite(&theirs, "kit@x", AdminRole::Viewer).await.expect("invited");
        let before = world.admin_list(&theirs).await;
        assert_eq!(world.admin_list(&ours).await, proto::ListAdminsResponse::default());
        for id in [&admin.id, &invite.invite.clone().expect("invite").id] {
            assert_eq!(reason(world.remove_admin(&ours, id).await), Reason::AdminNotFound);
        }
        assert_eq!(reason(world.role(&ours, &admin.id, AdminRole::Viewer).await), Reason::AdminNotFound);
        assert_eq!(reason(world.session_list(&ours, &admin.id).await), Reason::AdminNotFound);
        assert_eq!(world.session_list(&ours, "").await.expect("list").len(), 0);
        let id = session.session.expect("session").id;
        assert_eq!(reason(world.revoke_session(&ours, &id).await), Reason::SessionNotFound);
        world.verify(&session.secret).await.expect("untouched");
        // The same address is another administrator.
        let same = admin_of(&world.joined(&ours, "ada@x", AdminRole::Viewer).await);
        assert_ne!(same.id, admin.id);
        assert_eq!(world.admin_list(&theirs).await, before);
        assert_eq!(admin_of(&world.accept(&invite.secret).await.expect("theirs")).organization_id, theirs);
    })
    .await;
}
