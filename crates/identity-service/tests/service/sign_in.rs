//! Signing in by an OpenID provider.

use std::sync::Arc;

use identity_service::{Config, Service};
use serde_json::json;
use store::{Clock, Instant};
use tonic::Status;
use wire::{
    Reason, Transport,
    identity::{self as proto, AdminRole, console_service_client::ConsoleServiceClient},
};

use crate::{
    admins::{MINUTE, admin_of, browser, sha256},
    world::{World, administrator, client, on_both, reason, refused, sealing_key, some_set_up},
};

const ISSUER: &str = "https://idp.example.com";

impl World {
    pub(crate) async fn provider(
        &self,
        org: &str,
        issuer: &str,
        client_secret: Option<&str>,
    ) -> Result<proto::SignInProvider, Status> {
        self.provider_of(org, issuer, "rollcall", client_secret).await
    }

    async fn provider_of(
        &self,
        org: &str,
        issuer: &str,
        client_id: &str,
        client_secret: Option<&str>,
    ) -> Result<proto::SignInProvider, Status> {
        let request = proto::SetSignInProviderRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.map(str::to_owned),
        };
        Ok(self.console.clone().set_sign_in_provider(request).await?.into_inner())
    }

    async fn provider_shown(&self, org: &str, with_client_secret: bool) -> Result<proto::SignInProvider, Status> {
        let request = proto::GetSignInProviderRequest { organization_id: org.to_owned(), with_client_secret };
        Ok(self.console.clone().get_sign_in_provider(request).await?.into_inner())
    }

    async fn client_secret(&self, org: &str) -> String {
        self.provider_shown(org, true).await.expect("shown").client_secret
    }

    async fn provider_remove(&self, org: &str) {
        let request = proto::RemoveSignInProviderRequest { organization_id: org.to_owned(), caller: administrator() };
        self.console.clone().remove_sign_in_provider(request).await.expect("removed");
    }

    pub(crate) async fn begin(&self, org: &str, state: u8, issuer: &str) -> Result<(), Status> {
        let request = begin(org, state, issuer);
        self.console.clone().begin_sign_in(request).await.map(drop)
    }

    async fn take(&self, state: u8) -> Result<proto::SignInAttempt, Status> {
        let request = proto::TakeSignInRequest { state_sha256: vec![state; 32].into() };
        Ok(self.console.clone().take_sign_in(request).await?.into_inner())
    }

    async fn finish(&self, request: proto::FinishSignInRequest) -> Result<proto::NewSession, Status> {
        Ok(self.console.clone().finish_sign_in(request).await?.into_inner())
    }
}

fn begin(org: &str, state: u8, issuer: &str) -> proto::BeginSignInRequest {
    proto::BeginSignInRequest {
        organization_id: org.to_owned(),
        state_sha256: vec![state; 32].into(),
        nonce: "n".repeat(22),
        pkce_verifier: "v".repeat(43),
        return_to: "/console/tokens".to_owned(),
        issuer: issuer.to_owned(),
    }
}

/// Whom the provider names: subject and verified address.
fn named(org: &str, subject: &str, email: &str) -> proto::FinishSignInRequest {
    proto::FinishSignInRequest {
        organization_id: org.to_owned(),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        email: email.to_owned(),
        email_verified: true,
        name: "Ada\u{7} Lovelace".to_owned(),
        browser: browser(),
        request_id: "req-4".to_owned(),
    }
}

#[tokio::test]
async fn a_provider_is_set_shown_and_removed_and_its_secret_is_sealed() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        assert_eq!(reason(world.provider_shown(&org, false).await), Reason::SignInNotFound);
        let set = world.provider(&org, ISSUER, Some("cl1ent-s3cret")).await.expect("set");
        assert_eq!((&*set.issuer, &*set.client_id, set.has_client_secret), (ISSUER, "rollcall", true));
        assert_eq!((&*set.client_secret, &*set.organization_id), ("", &*org));
        assert_eq!(world.provider_shown(&org, false).await.expect("shown"), set);
        assert_eq!(world.client_secret(&org).await, "cl1ent-s3cret");
        let stored = world.database.rows_of("sign_in_provider", &org).expect("rows").join("\n");
        let hex: String = "cl1ent-s3cret".bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!stored.contains("s3cret") && !stored.to_lowercase().contains(&hex), "{stored}");

        // Without one the stored one stays, where issuer and client do.
        world.later(MINUTE);
        assert_eq!(world.provider(&org, ISSUER, None).await.expect("as it is"), set, "nothing has changed");
        assert_eq!(world.client_secret(&org).await, "cl1ent-s3cret");
        world.provider(&org, ISSUER, Some("another")).await.expect("set");
        assert_eq!(world.client_secret(&org).await, "another");
        assert!(!world.provider_of(&org, ISSUER, "other", None).await.expect("set").has_client_secret);
        world.provider(&org, ISSUER, Some("another")).await.expect("set");
        assert!(!world.provider(&org, "https://idp.example.org", None).await.expect("set").has_client_secret);
        world.provider(&org, ISSUER, Some("another")).await.expect("set");
        assert!(!world.provider(&org, ISSUER, Some("")).await.expect("set").has_client_secret);
        assert_eq!(world.client_secret(&org).await, "");

        for _ in 0..2 {
            world.provider_remove(&org).await;
        }
        assert_eq!(reason(world.provider_shown(&org, true).await), Reason::SignInNotFound);
        let told = world.told_of(&org, "organization.sign_in_provider_set", 7).await;
        assert_eq!((&*told[0].0, &told[0].2["after"]["issuer"]), (&*org, &json!(ISSUER)));
        assert_eq!((&told[0].2["before"], &told[0].2["client_secret_set"]), (&json!(null), &json!(true)));
        assert_eq!(world.told_of(&org, "organization.sign_in_provider_removed", 1).await.len(), 1);
        for event in world.events(&org, 10).await {
            let text = String::from_utf8_lossy(&event.delta_json).into_owned();
            assert!(!text.contains("s3cret") && !text.contains("another"), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn without_its_key_or_in_another_row_a_secret_is_not_read_and_says_what_to_do() {
    on_both(async |world| {
        let (org, other) = (world.organization("acme").await, world.organization("other").await);
        world.provider(&org, ISSUER, Some("s3cret")).await.expect("set");
        world.provider(&other, ISSUER, Some("theirs")).await.expect("set");
        let clock = Clock::fixed(Instant::from_micros(world.now()));
        let config = Config {
            database_url: world.database.url().to_owned(),
            pool_size: 2,
            sealing_key: sealing_key(8),
            opaque_set_ups: some_set_up(),
            mailing: None,
        };
        let elsewhere = Service::open(&config, clock).await.expect("open");
        let mut console = ConsoleServiceClient::new(Transport::in_process(elsewhere.routes()));
        let with =
            |with_client_secret| proto::GetSignInProviderRequest { organization_id: org.clone(), with_client_secret };
        let (why, message) = refused(console.get_sign_in_provider(with(true)).await);
        assert_eq!(why, Reason::SignInState);
        assert!(message.contains("set the provider again") && message.contains("--sealing-key-file"), "{message}");
        assert!(console.get_sign_in_provider(with(false)).await.expect("all else").into_inner().has_client_secret);
        elsewhere.shutdown().await;

        // Moved in the database.
        let [ours, theirs] = [&org, &other].map(|id| world.database.literal(id));
        let moved = format!(
            "UPDATE sign_in_provider SET sealed_secret = (SELECT p.sealed_secret FROM sign_in_provider p WHERE p.org = \
             {theirs}) WHERE org = {ours}"
        );
        world.database.execute(&moved).expect("moved");
        assert_eq!(reason(world.provider_shown(&org, true).await), Reason::SignInState);
        world.provider(&org, ISSUER, Some("again")).await.expect("set again");
        assert_eq!(world.client_secret(&org).await, "again");
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_of_a_provider_is_refused_with_what_to_do() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        for issuer in ["", "idp.example.com", "http://idp.example.com", "https://idp.example.com?a=b", "https://a@b"] {
            let (why, message) = refused(world.provider(&org, issuer, None).await);
            assert!(why == Reason::InvalidValue && message.contains("issuer must be"), "{issuer}: {message}");
        }
        for client_id in ["", "a b", &"a".repeat(256)] {
            let (why, message) = refused(world.provider_of(&org, ISSUER, client_id, None).await);
            assert!(why == Reason::InvalidValue && message.contains("client_id must be"), "{message}");
        }
        let (why, message) = refused(world.provider(&org, ISSUER, Some("s3cret\n")).await);
        assert!(why == Reason::InvalidValue && !message.contains("s3cret"), "{message}");
        world.provider(&org, "http://127.0.0.1:4000", None).await.expect("a loopback address");
        world.provider_remove(&org).await;
        for caller in [None, client()] {
            let request = proto::SetSignInProviderRequest {
                organization_id: org.clone(),
                caller: caller.clone(),
                issuer: ISSUER.to_owned(),
                client_id: "a".to_owned(),
                client_secret: None,
            };
            assert_eq!(reason(world.console.clone().set_sign_in_provider(request).await), Reason::InvalidArgument);
            let request = proto::RemoveSignInProviderRequest { organization_id: org.clone(), caller };
            assert_eq!(reason(world.console.clone().remove_sign_in_provider(request).await), Reason::InvalidArgument);
        }
        assert_eq!(reason(world.provider("nowhere", ISSUER, None).await), Reason::OrganizationNotFound);
        assert_eq!(reason(world.provider_shown("nowhere", false).await), Reason::OrganizationNotFound);
        let nowhere = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(reason(world.provider(nowhere, ISSUER, None).await), Reason::OrganizationNotFound);
        assert_eq!(reason(world.provider_shown(nowhere, false).await), Reason::OrganizationNotFound);
    })
    .await;
}

#[tokio::test]
async fn a_sign_in_that_has_begun_is_taken_once_within_ten_minutes() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        assert_eq!(reason(world.begin(&org, 1, ISSUER).await), Reason::SignInNotFound);
        world.provider(&org, ISSUER, None).await.expect("set");
        assert_eq!(reason(world.begin(&org, 1, "https://idp.example.org").await), Reason::SignInInvalid);
        for state in 1..=3 {
            world.begin(&org, state, ISSUER).await.expect("begun");
        }
        let (why, _) = refused(world.begin(&org, 1, ISSUER).await);
        assert_eq!(why, Reason::InvalidArgument, "a state is used once");

        let all = futures::future::join_all((0..4).map(|_| world.take(1))).await;
        let mut taken: Vec<_> = all.into_iter().filter_map(Result::ok).collect();
        assert_eq!(taken.len(), 1);
        let taken = taken.remove(0);
        assert_eq!((&*taken.organization_id, &*taken.return_to, &*taken.issuer), (&*org, "/console/tokens", ISSUER));
        assert_eq!((taken.nonce, taken.pkce_verifier), ("n".repeat(22), "v".repeat(43)));
        world.later(10 * MINUTE - 1);
        world.take(2).await.expect("the last moment");
        world.later(1);
        for state in 1..=4 {
            assert_eq!(reason(world.take(state).await), Reason::SignInInvalid);
        }

        let wrong = [
            proto::BeginSignInRequest { nonce: "short".to_owned(), ..begin(&org, 9, ISSUER) },
            proto::BeginSignInRequest { pkce_verifier: "short".to_owned(), ..begin(&org, 9, ISSUER) },
            proto::BeginSignInRequest { return_to: "//evil.example".to_owned(), ..begin(&org, 9, ISSUER) },
            proto::BeginSignInRequest { state_sha256: vec![1; 31].into(), ..begin(&org, 9, ISSUER) },
        ];
        for request in wrong {
            assert_eq!(reason(world.console.clone().begin_sign_in(request).await), Reason::InvalidArgument);
        }
        let request = proto::TakeSignInRequest { state_sha256: Vec::new().into() };
        assert_eq!(reason(world.console.clone().take_sign_in(request).await), Reason::InvalidArgument);
        assert_eq!(reason(world.begin("nowhere", 9, ISSUER).await), Reason::OrganizationNotFound);
    })
    .await;
}

#[tokio::test]
async fn an_administrator_is_found_by_a_verified_address_once_and_then_by_subject_alone() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.provider(&org, ISSUER, None).await.expect("set");
        let ada = admin_of(&world.joined(&org, "ada@example.com", AdminRole::Owner).await);
        world.later(MINUTE);

        let made = world.finish(named(&org, "s-1", "ADA@example.com")).await.expect("signed in");
        let shown = world.verify(&made.secret).await.expect("a session").admin.expect("admin");
        assert_eq!((&*shown.id, &*shown.email, &*shown.name), (&*ada.id, "ada@example.com", "Ada Lovelace"));
        assert_eq!((shown.role(), &*shown.issuer), (AdminRole::Owner, ISSUER));
        assert_eq!(shown.last_signed_in_at, Some(wire::to_timestamp(world.now())));
        let told = world.told_of(&org, "admin.signed_in", 2).await.remove(1);
        assert_eq!(
            (&*told.0, &told.1["name"], &told.2["by"]),
            (&*ada.id, &json!("ada@example.com"), &json!("provider"))
        );

        // Whatever the address is by now, or whether there is one.
        for email in ["ada@example.org", "", "nonsense"] {
            let request = proto::FinishSignInRequest { email_verified: false, ..named(&org, "s-1", email) };
            assert_eq!(admin_of(&world.finish(request).await.expect("by subject")).id, ada.id);
        }
        let unnamed = proto::FinishSignInRequest { name: String::new(), ..named(&org, "s-1", "") };
        assert_eq!(admin_of(&world.finish(unnamed).await.expect("by subject")).name, "Ada Lovelace", "as it was known");

        // Somebody else who has the address now.
        let (why, message) = refused(world.finish(named(&org, "s-2", "ada@example.com")).await);
        assert!(why == Reason::SignInRefused && message.contains("another user"), "{message}");
        // The way back in.
        world.joined(&org, "ada@example.com", AdminRole::Viewer).await;
        assert_eq!(
            admin_of(&world.finish(named(&org, "s-2", "ada@example.com")).await.expect("pinned anew")).id,
            ada.id
        );
        assert_eq!(reason(world.finish(named(&org, "s-1", "ada@example.com")).await), Reason::SignInRefused);
    })
    .await;
}

#[tokio::test]
async fn who_is_no_administrator_is_refused_and_that_is_an_event() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        assert_eq!(reason(world.finish(named(&org, "s-1", "ada@x")).await), Reason::SignInNotFound);
        world.provider(&org, ISSUER, None).await.expect("set");
        world.joined(&org, "sam@x", AdminRole::Owner).await;
        world.invite(&org, "invited@x", AdminRole::Admin).await.expect("invited");
        let cases = [
            (named(&org, "s-1", "eve@x"), "no_administrator"),
            (named(&org, "s-1", "invited@x"), "no_administrator"),
            // Unicode folds this one to sam@x.
            (named(&org, "s-1", "\u{17f}am@x"), "no_administrator"),
            (named(&org, "s-1", ""), "no_email"),
            (named(&org, "s-1", "sam"), "no_email"),
            (proto::FinishSignInRequest { email_verified: false, ..named(&org, "s-1", "sam@x") }, "email_not_verified"),
            (
                proto::FinishSignInRequest {
                    issuer: "https://idp.example.org".to_owned(),
                    ..named(&org, "s-1", "sam@x")
                },
                "other_provider",
            ),
        ];
        for (n, (request, why)) in cases.into_iter().enumerate() {
            let (reason, message) = refused(world.finish(request).await);
            assert_eq!(reason, Reason::SignInRefused, "{why}");
            assert!(message.contains("ign in") || message.contains("invitation"), "{message}");
            let told = world.told_of(&org, "admin.sign_in_refused", n + 1).await;
            let (subject, actor, delta) = told.last().expect("told");
            assert_eq!((told.len(), &**subject, &delta["why"]), (n + 1, &*org, &json!(why)));
            assert_eq!(actor, &json!({"kind": "internal_service", "name": "console", "request_id": "req-4"}));
            assert_eq!(delta["subject"], "s-1");
        }
        assert_eq!(world.session_list(&org, "").await.expect("list").len(), 1);
        for subject in ["", &"s".repeat(256)] {
            assert_eq!(reason(world.finish(named(&org, subject, "sam@x")).await), Reason::InvalidArgument);
        }
        assert_eq!(reason(world.finish(named("nowhere", "s", "sam@x")).await), Reason::OrganizationNotFound);
    })
    .await;
}

#[tokio::test]
async fn who_signed_in_by_a_provider_that_is_gone_stays_signed_in() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.provider(&org, ISSUER, None).await.expect("set");
        world.joined(&org, "ada@x", AdminRole::Owner).await;
        let made = world.finish(named(&org, "s-1", "ada@x")).await.expect("signed in");
        world.provider_remove(&org).await;
        world.verify(&made.secret).await.expect("stays");
        assert_eq!(reason(world.finish(named(&org, "s-1", "ada@x")).await), Reason::SignInNotFound);
    })
    .await;
}

#[tokio::test]
async fn of_several_subjects_at_once_one_is_pinned() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.provider(&org, ISSUER, None).await.expect("set");
        world.joined(&org, "ada@x", AdminRole::Owner).await;
        let world = Arc::new(world);
        let all = (0..4).map(|n| {
            let (world, request) = (Arc::clone(&world), named(&org, &format!("s-{n}"), "ada@x"));
            async move { world.finish(request).await }
        });
        let given = futures::future::join_all(all).await;
        assert_eq!(given.iter().filter(|given| given.is_ok()).count(), 1, "{given:?}");
        // One subject is one administrator.
        world.joined(&org, "eve@x", AdminRole::Admin).await;
        let pinned = given.iter().position(Result::is_ok).expect("one");
        let shown = world.finish(named(&org, &format!("s-{pinned}"), "eve@x")).await.expect("signed in");
        assert_eq!(admin_of(&shown).email, "ada@x");
    })
    .await;
}

#[tokio::test]
async fn nothing_of_another_organization_is_taken() {
    on_both(async |world| {
        let (ours, theirs) = (world.organization("ours").await, world.organization("theirs").await);
        world.provider(&theirs, ISSUER, Some("theirs")).await.expect("set");
        assert_eq!(reason(world.provider_shown(&ours, true).await), Reason::SignInNotFound);
        world.provider_remove(&ours).await;
        world.provider(&ours, ISSUER, Some("ours")).await.expect("set");
        assert_eq!(world.client_secret(&theirs).await, "theirs");
        world.joined(&theirs, "ada@x", AdminRole::Owner).await;
        assert_eq!(reason(world.finish(named(&ours, "s-1", "ada@x")).await), Reason::SignInRefused);
        let made = world.finish(named(&theirs, "s-1", "ada@x")).await.expect("signed in");
        // The same subject and address are another administrator there.
        let ours_made = world.joined(&ours, "ada@x", AdminRole::Viewer).await;
        let signed_in = world.finish(named(&ours, "s-1", "ada@x")).await.expect("signed in");
        assert_eq!(admin_of(&signed_in).id, admin_of(&ours_made).id);
        assert_ne!(admin_of(&signed_in).id, admin_of(&made).id);
        // A state is one organization's, and is not begun by another.
        world.begin(&theirs, 1, ISSUER).await.expect("begun");
        assert_eq!(reason(world.begin(&ours, 1, ISSUER).await), Reason::InvalidArgument);
        assert_eq!(world.take(1).await.expect("taken").organization_id, theirs);
        assert_ne!(sha256(&made.secret), sha256(&signed_in.secret));
    })
    .await;
}
