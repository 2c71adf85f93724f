//! Sessions of the console: how long they hold, what rotates them, what ends them.

use serde_json::json;
use tonic::Status;
use wire::{
    Reason,
    identity::{self as proto, AdminRole},
};

use crate::{
    admins::{HOUR, MINUTE, admin_of, browser, sha256},
    world::{World, administrator, client, on_both, reason},
};

impl World {
    pub(crate) async fn verify(&self, secret: &str) -> Result<proto::Session, Status> {
        self.verify_from(secret, browser()).await
    }

    async fn verify_from(&self, secret: &str, browser: Option<proto::Browser>) -> Result<proto::Session, Status> {
        let request = proto::VerifySessionRequest { secret_sha256: sha256(secret).into(), browser, watching: false };
        Ok(self.console.clone().verify_session(request).await?.into_inner())
    }

    async fn rotate(&self, secret: &str) -> Result<proto::NewSession, Status> {
        let request = proto::RotateSessionRequest { secret_sha256: sha256(secret).into() };
        Ok(self.console.clone().rotate_session(request).await?.into_inner())
    }

    pub(crate) async fn session_list(&self, org: &str, admin: &str) -> Result<Vec<proto::Session>, Status> {
        let request = proto::ListSessionsRequest { organization_id: org.to_owned(), admin_id: admin.to_owned() };
        Ok(self.console.clone().list_sessions(request).await?.into_inner().sessions)
    }

    pub(crate) async fn revoke_session(&self, org: &str, id: &str) -> Result<(), Status> {
        let request =
            proto::RevokeSessionRequest { organization_id: org.to_owned(), caller: administrator(), id: id.to_owned() };
        self.console.clone().revoke_session(request).await.map(drop)
    }
}

#[tokio::test]
async fn a_session_ends_fifteen_minutes_after_its_last_use_and_twelve_hours_after_its_begin() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let idle = world.joined(&org, "idle@x", AdminRole::Owner).await;
        let busy = world.joined(&org, "busy@x", AdminRole::Admin).await;
        world.later(15 * MINUTE - 1);
        for session in [&idle, &busy] {
            world.verify(&session.secret).await.expect("the last moment");
        }
        world.later(14 * MINUTE);
        world.verify(&busy.secret).await.expect("in use");
        world.later(MINUTE);
        assert_eq!(reason(world.verify(&idle.secret).await), Reason::SessionInvalid);
        assert_eq!(reason(world.rotate(&idle.secret).await), Reason::SessionInvalid);
        assert_eq!(world.session_list(&org, "").await.expect("list").len(), 1);
        world.verify(&busy.secret).await.expect("in use");
        let end = wire::from_timestamp(&busy.session.expect("session").expires_at.expect("end"));
        while world.now() + 14 * MINUTE < end {
            world.later(14 * MINUTE);
            world.verify(&busy.secret).await.expect("in use");
        }
        world.later(end - world.now() - 1);
        world.verify(&busy.secret).await.expect("the last moment");
        world.later(1);
        assert_eq!(reason(world.verify(&busy.secret).await), Reason::SessionInvalid);
        assert_eq!(world.session_list(&org, "").await.expect("list").len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_page_that_asks_by_itself_is_no_use() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let made = world.joined(&org, "ada@x", AdminRole::Owner).await;
        let watch = async || {
            let request = proto::VerifySessionRequest {
                secret_sha256: sha256(&made.secret).into(),
                browser: browser(),
                watching: true,
            };
            world.console.clone().verify_session(request).await
        };
        for _ in 0..14 {
            world.later(MINUTE);
            watch().await.expect("holds");
        }
        world.later(MINUTE);
        assert_eq!(reason(watch().await), Reason::SessionInvalid);
    })
    .await;
}

#[tokio::test]
async fn a_use_is_written_once_a_minute_with_where_it_comes_from() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let made = world.joined(&org, "ada@x", AdminRole::Owner).await;
        let start = world.now();
        let other = Some(proto::Browser { address: "2001:db8::1".to_owned(), user_agent: "x\r\n".repeat(400) });
        let last = async || {
            let session = world.session_list(&org, "").await.expect("list").remove(0);
            (session.last_used_at.map(|at| wire::from_timestamp(&at) - start), session.browser.expect("browser"))
        };
        world.later(MINUTE - 1);
        world.verify_from(&made.secret, other.clone()).await.expect("valid");
        assert_eq!(last().await, (Some(0), browser().expect("browser")));
        world.later(1);
        let shown = world.verify_from(&made.secret, other).await.expect("valid");
        let (used, from) = last().await;
        assert_eq!((used, &*from.address, from.user_agent.chars().count()), (Some(MINUTE), "2001:db8::1", 300));
        assert!(!from.user_agent.contains('\n'));
        assert_eq!(shown.browser, Some(from));
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_rotated_after_five_minutes_and_the_one_before_is_good_for_one_more() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let made = world.joined(&org, "ada@x", AdminRole::Owner).await;
        world.later(5 * MINUTE - 1);
        assert!(!world.verify(&made.secret).await.expect("valid").rotation_due);
        world.later(1);
        assert!(world.verify(&made.secret).await.expect("valid").rotation_due);

        // Of several requests at once one has the new secret, and none is sent away.
        let all = futures::future::join_all((0..4).map(|_| world.rotate(&made.secret))).await;
        let mut given: Vec<proto::NewSession> = Vec::new();
        for one in all {
            match one {
                Ok(one) => given.push(one),
                Err(status) => assert_eq!(wire::refusal(&status).reason, Reason::Contended),
            }
        }
        let [rotated] = &given[..] else { panic!("{given:?}") };
        assert_ne!(rotated.secret, made.secret);
        let shown = rotated.session.clone().expect("session");
        assert_eq!(shown.id, made.session.clone().expect("session").id);
        assert_eq!(shown.expires_at, made.session.as_ref().expect("session").expires_at, "rotation prolongs nothing");
        assert!(!shown.rotation_due);

        world.later(MINUTE - 1);
        assert!(!world.verify(&made.secret).await.expect("for another minute").rotation_due);
        assert_eq!(reason(world.rotate(&made.secret).await), Reason::Contended);
        world.later(1);
        assert_eq!(reason(world.verify(&made.secret).await), Reason::SessionInvalid);
        assert_eq!(reason(world.rotate(&made.secret).await), Reason::SessionInvalid);
        world.verify(&rotated.secret).await.expect("the new one");
        let next = world.rotate(&rotated.secret).await.expect("whenever it is asked for");
        world.verify(&rotated.secret).await.expect("for another minute");
        world.verify(&next.secret).await.expect("the newest");
        assert_eq!(world.session_list(&org, "").await.expect("list").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_is_revoked_once_and_others_go_on() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let first = world.joined(&org, "ada@x", AdminRole::Owner).await;
        let second = world.joined(&org, "ada@x", AdminRole::Owner).await;
        let other = world.joined(&org, "eve@x", AdminRole::Admin).await;
        let admin = admin_of(&first).id;
        let ids = |sessions: Vec<proto::Session>| sessions.into_iter().map(|session| session.id).collect::<Vec<_>>();
        let id = |made: &proto::NewSession| made.session.clone().expect("session").id;
        let all = ids(world.session_list(&org, "").await.expect("list"));
        assert_eq!(all, [id(&other), id(&second), id(&first)], "the newest first");
        assert_eq!(ids(world.session_list(&org, &admin).await.expect("list")), [id(&second), id(&first)]);

        let rotated = world.rotate(&first.secret).await.expect("rotated");
        for _ in 0..2 {
            world.revoke_session(&org, &id(&first)).await.expect("idempotent");
        }
        for secret in [&first.secret, &rotated.secret] {
            assert_eq!(reason(world.verify(secret).await), Reason::SessionInvalid);
            assert_eq!(reason(world.rotate(secret).await), Reason::SessionInvalid);
        }
        world.verify(&second.secret).await.expect("goes on");
        assert_eq!(ids(world.session_list(&org, &admin).await.expect("list")), [id(&second)]);
        let told = world.told_of(&org, "admin.session_revoked", 1).await;
        assert_eq!((told.len(), &*told[0].0, &told[0].2["session"]), (1, &*admin, &json!(id(&first))));

        // One that ended by itself is no event.
        world.later(15 * MINUTE);
        world.revoke_session(&org, &id(&other)).await.expect("over already");
        world.invite(&org, "kit@x", AdminRole::Viewer).await.expect("a later event");
        world.told_of(&org, "admin.invited", 4).await;
        assert_eq!(world.told_of(&org, "admin.session_revoked", 1).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_role_that_is_set_holds_in_sessions_at_once() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.joined(&org, "ada@x", AdminRole::Owner).await;
        let made = world.joined(&org, "eve@x", AdminRole::Owner).await;
        world.role(&org, &admin_of(&made).id, AdminRole::Viewer).await.expect("lowered");
        let shown = world.verify(&made.secret).await.expect("valid");
        assert_eq!(shown.admin.expect("admin").role(), AdminRole::Viewer);
        world.remove_admin(&org, &admin_of(&made).id).await.expect("removed");
        assert_eq!(reason(world.verify(&made.secret).await), Reason::SessionInvalid);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_in_itself_is_no_session() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        assert_eq!(reason(world.verify("rc_session_unknown").await), Reason::SessionInvalid);
        assert_eq!(reason(world.rotate("rc_session_unknown").await), Reason::SessionInvalid);
        for bytes in [Vec::new(), vec![0; 33]] {
            let request =
                proto::VerifySessionRequest { secret_sha256: bytes.clone().into(), browser: None, watching: false };
            assert_eq!(reason(world.console.clone().verify_session(request).await), Reason::InvalidArgument);
            let request = proto::RotateSessionRequest { secret_sha256: bytes.into() };
            assert_eq!(reason(world.console.clone().rotate_session(request).await), Reason::InvalidArgument);
        }
        for id in ["", "no-id", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert_eq!(reason(world.revoke_session(&org, id).await), Reason::SessionNotFound);
        }
        for id in ["no-id", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert_eq!(reason(world.session_list(&org, id).await), Reason::AdminNotFound);
        }
        assert_eq!(reason(world.session_list("nowhere", "").await), Reason::OrganizationNotFound);
        let made = world.joined(&org, "ada@x", AdminRole::Owner).await;
        let request = proto::RevokeSessionRequest {
            organization_id: org.clone(),
            caller: client(),
            id: made.session.clone().expect("session").id,
        };
        assert_eq!(reason(world.console.clone().revoke_session(request).await), Reason::InvalidArgument);
        world.verify(&made.secret).await.expect("goes on");
    })
    .await;
}

#[tokio::test]
async fn what_has_ended_is_deleted_in_the_background_and_nothing_else() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        world.joined(&org, "old@x", AdminRole::Owner).await;
        world.invite(&org, "invited@x", AdminRole::Admin).await.expect("invited");
        world.provider(&org, "https://idp.example.com", None).await.expect("set");
        world.begin(&org, 1, "https://idp.example.com").await.expect("begun");
        world.later(12 * HOUR);
        world.joined(&org, "new@x", AdminRole::Admin).await;
        world.joined(&other, "new@x", AdminRole::Owner).await;
        world.later(12 * HOUR - MINUTE);
        world.invite(&other, "invited@x", AdminRole::Admin).await.expect("invited");
        world.later(MINUTE - 1);
        let rows = |table: &str, org: &str| world.database.rows_of(table, org).expect("rows").len();
        // A process looks when it starts.
        let count = async |wanted: [usize; 5]| {
            let again = world.reopen().await;
            let mut counts = [0; 5];
            for _ in 0..250 {
                counts = [
                    rows("console_session", &org),
                    rows("admin_invite", &org),
                    rows("sign_in_attempt", &org),
                    rows("console_session", &other),
                    rows("admin_invite", &other),
                ];
                if counts == wanted {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            again.shutdown().await;
            assert_eq!(counts, wanted);
        };
        count([1, 1, 0, 1, 1]).await;
        world.later(1);
        count([0, 0, 0, 0, 1]).await;
        assert_eq!(world.admin_list(&org).await.admins.len(), 2);
    })
    .await;
}
