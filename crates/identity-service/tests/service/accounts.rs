//! Accounts: who may sign in, sessions of members, states, and invitations by mail.

use serde_json::{Value, json};
use tonic::Status;
use wire::{
    Reason,
    identity::{self as proto, AccountState, LinkClaim},
};

use crate::{
    accounts_client::{ISSUER, Signed, named},
    admins::{HOUR, MINUTE},
    world::{World, administrator, client, kit, on_both, reason, refused, replace},
};

impl World {
    pub(crate) async fn account_policy(
        &self,
        org: &str,
        link: LinkClaim,
        just_in_time: bool,
    ) -> Result<proto::AccountPolicy, Status> {
        let request = proto::SetAccountPolicyRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            link: link.into(),
            just_in_time,
            confirm_automatically: false,
        };
        Ok(self.accounts.clone().set_account_policy(request).await?.into_inner())
    }

    async fn refused_sign_in(&self, request: proto::FinishAccountSignInRequest) -> String {
        let (reason, message) = refused(self.finish_account_sign_in(request).await);
        assert_eq!(reason, Reason::SignInRefused, "{message}");
        message
    }

    pub(crate) async fn account_list(
        &self,
        org: &str,
        states: &[AccountState],
        after: &str,
        limit: u32,
    ) -> Result<proto::ListAccountsResponse, Status> {
        let request = proto::ListAccountsRequest {
            organization_id: org.to_owned(),
            states: states.iter().map(|state| (*state).into()).collect(),
            after: after.to_owned(),
            limit,
        };
        Ok(self.accounts.clone().list_accounts(request).await?.into_inner())
    }

    async fn account_counts(&self, org: &str) -> Vec<u64> {
        let request = proto::CountAccountsRequest { organization_id: org.to_owned() };
        let counts = self.accounts.clone().count_accounts(request).await.expect("counts").into_inner().counts;
        let states: Vec<AccountState> = counts.iter().map(proto::AccountCount::state).collect();
        assert_eq!(states, STATES);
        counts.into_iter().map(|count| count.users).collect()
    }

    pub(crate) async fn unlink(&self, org: &str, user: &str) -> Result<proto::Account, tonic::Status> {
        let request = proto::UnlinkAccountRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            user_id: user.to_owned(),
        };
        Ok(self.accounts.clone().unlink_account(request).await?.into_inner())
    }

    pub(crate) async fn activate(&self, org: &str, user: &str, active: bool) {
        self.patch(org, user, vec![replace("active", &json!(active))]).await.expect("patched");
    }
}

const STATES: [AccountState; 6] = [
    AccountState::Provisioned,
    AccountState::SetupRequired,
    AccountState::Accepted,
    AccountState::Confirmed,
    AccountState::Suspended,
    AccountState::Deleted,
];

#[tokio::test]
async fn a_member_is_found_by_a_claim_once_and_by_its_subject_from_then_on() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let user = world.user(&org, "kit@x").await.id;
        assert_eq!(world.state(&org, &user).await, (AccountState::Provisioned, AccountState::Unspecified));
        let signed = world.finish_account_sign_in(named(&org, "KIT@x")).await.expect("signed in");
        assert_eq!(signed.user, user);
        assert!(signed.secret.starts_with("rc_account_") && signed.secret.len() == 60, "{}", signed.secret);
        let account = world.account(&org, &user).await.expect("account");
        assert_eq!((account.state(), account.key, &*account.email), (AccountState::SetupRequired, None, "kit@x"));
        assert_eq!(account.last_signed_in_at, Some(wire::to_timestamp(world.now())));
        let session = world.verified(&signed).await.expect("holds");
        assert_eq!((session.unlocked, session.may_confirm), (false, false));
        assert_eq!(session.expires_at, Some(wire::to_timestamp(world.now() + 12 * HOUR)));

        // Whatever the address becomes.
        let renamed = proto::FinishAccountSignInRequest {
            email: "other@x".to_owned(),
            email_verified: false,
            ..named(&org, "KIT@x")
        };
        assert_eq!(world.finish_account_sign_in(renamed).await.expect("signed in").user, user);
        let taken = world.refused_sign_in(named(&org, "kit@x")).await;
        assert!(taken.contains("another account of the identity provider"), "{taken}");
        let elsewhere =
            proto::FinishAccountSignInRequest { issuer: "https://evil.example.com".to_owned(), ..named(&org, "KIT@x") };
        assert!(world.refused_sign_in(elsewhere).await.contains("another provider"));

        // An administrator has it forgotten: found by the claim again.
        let held = world.finish_account_sign_in(named(&org, "KIT@x")).await.expect("signed in");
        world.unlink(&org, &user).await.expect("unlinked");
        assert_eq!(reason(world.verified(&held).await), Reason::SessionInvalid);
        let former = world.finish_account_sign_in(named(&org, "kit@x")).await.expect("signed in");
        assert_eq!(former.user, user);
        assert!(world.refused_sign_in(named(&org, "KIT@x")).await.contains("another account"));
        let told = world.told_of(&org, "account.unlinked", 1).await;
        assert_eq!((&*told[0].0, &told[0].2["subject"]), (&*user, &json!("subject of KIT@x")));
        // What another provider called it is no hindrance at the one that the organization has now.
        world.provider(&org, "https://new.example.com", None).await.expect("provider");
        let at_new =
            proto::FinishAccountSignInRequest { issuer: "https://new.example.com".to_owned(), ..named(&org, "KIT@x") };
        assert_eq!(world.finish_account_sign_in(at_new).await.expect("signed in").user, user);
        assert_eq!(
            reason(world.verified(&former).await),
            Reason::SessionInvalid,
            "it does not come back with the user"
        );

        let told = world.told_of(&org, "account.signed_in", 5).await;
        assert_eq!((&*told[0].0, &told[0].1["kind"], &told[0].1["user_id"]), (&*user, &json!("member"), &json!(user)));
        assert_eq!((&told[0].2["linked_by"], &told[1].2["linked_by"]), (&json!("email"), &Value::Null));
        let refusals = world.told_of(&org, "account.sign_in_refused", 3).await;
        let whys: Vec<&Value> = refusals.iter().map(|refusal| &refusal.2["why"]).collect();
        assert_eq!(whys, [&json!("other_subject"), &json!("other_provider"), &json!("other_subject")]);
        assert_eq!((&refusals[0].0, &refusals[1].0), (&user, &org));
        let stored = format!("{:?}", world.database.rows_of("account_session", &org).expect("rows"));
        assert!(!stored.contains("rc_account_"), "{stored}");
        for event in world.events(&org, 0).await {
            assert!(!String::from_utf8_lossy(&event.delta_json).contains("rc_account_"));
        }
    })
    .await;
}

#[tokio::test]
async fn who_may_not_sign_in_is_told_what_to_do() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let refused = async |request| world.refused_sign_in(request).await;
        assert!(refused(named(&org, "nobody@x")).await.contains("assign you"));
        let unverified = proto::FinishAccountSignInRequest { email_verified: false, ..named(&org, "kit@x") };
        assert!(refused(unverified).await.contains("email_verified"));
        assert!(refused(named(&org, "")).await.contains("release the claim email"));
        let subject = proto::FinishAccountSignInRequest { subject: String::new(), ..named(&org, "kit@x") };
        assert_eq!(reason(world.finish_account_sign_in(subject).await), Reason::InvalidArgument);

        let mut shared = kit("ann@x");
        shared["emails"] = json!([{"value": "team@x"}, {"value": "ann.moor@x"}]);
        let ann = world.create(&org, &shared).await.expect("create").id;
        shared["userName"] = json!("bob@x");
        shared["emails"] = json!([{"value": "Team@x"}]);
        world.create(&org, &shared).await.expect("create");
        assert!(refused(named(&org, "team@x")).await.contains("Several users"));
        assert_eq!(world.account_signed_in(&org, "ann.moor@x").await.user, ann, "by any of its addresses");
        // Folding finds him, and nobody would be believed for it.
        let sam = world.user(&org, "sam@x").await.id;
        assert!(refused(named(&org, "\u{17f}am@x")).await.contains("assign you"));

        world.activate(&org, &sam, false).await;
        assert!(refused(named(&org, "sam@x")).await.contains("deactivated"));
        world.activate(&org, &ann, false).await;
        assert!(refused(named(&org, "ann.moor@x")).await.contains("deactivated"), "also by its subject");
        world.delete(&org, &ann).await.expect("delete");
        assert!(refused(named(&org, "ann.moor@x")).await.contains("deleted"));

        // Provisioned anew it is another user, and nothing of the deleted one is its own.
        let again = world.user(&org, "ann.moor@x").await.id;
        assert_eq!(world.account_signed_in(&org, "ann.moor@x").await.user, again);
        assert_eq!(world.state(&org, &ann).await, (AccountState::Deleted, AccountState::SetupRequired));

        let whys: Vec<Value> = world
            .told_of(&org, "account.sign_in_refused", 8)
            .await
            .into_iter()
            .map(|event| event.2["why"].clone())
            .collect();
        let wanted = [
            "not_provisioned",
            "email_not_verified",
            "no_email",
            "ambiguous",
            "not_provisioned",
            "deactivated",
            "deactivated",
            "deleted",
        ];
        assert_eq!(whys, wanted.map(Value::from));

        let other = world.organization("other").await;
        assert!(refused(named(&other, "kit@x")).await.contains("no sign-in provider"));
    })
    .await;
}

#[tokio::test]
async fn the_policy_says_which_claim_links() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let mut body = kit("kit");
        body["emails"] = json!([{"value": "kit@x"}]);
        body["externalId"] = json!("00u1");
        let user = world.create(&org, &body).await.expect("create").id;
        let get = async || {
            let request = proto::GetAccountPolicyRequest { organization_id: org.clone() };
            world.accounts.clone().get_account_policy(request).await.expect("policy").into_inner()
        };
        assert_eq!((get().await.link(), get().await.just_in_time), (LinkClaim::Email, false));
        for link in [LinkClaim::UserName, LinkClaim::ExternalId] {
            assert_eq!(world.account_policy(&org, link, false).await.expect("set").link(), link);
            assert_eq!(get().await.link(), link);
        }
        assert_eq!(reason(world.account_policy(&org, LinkClaim::Unspecified, false).await), Reason::InvalidArgument);
        let told = world.told_of(&org, "organization.account_policy_set", 2).await;
        assert_eq!(
            (&told[1].2["before"]["link"], &told[1].2["after"]["link"]),
            (&json!("user_name"), &json!("external_id"))
        );

        let claims = |subject: &str, user_name: &str| proto::FinishAccountSignInRequest {
            subject: subject.to_owned(),
            user_name: user_name.to_owned(),
            ..named(&org, "kit@x")
        };
        world.refused_sign_in(claims("00U1", "kit")).await;
        assert_eq!(world.finish_account_sign_in(claims("00u1", "")).await.expect("signed in").user, user);
        world.account_policy(&org, LinkClaim::UserName, false).await.expect("set");
        let ann = world.user(&org, "ann").await.id;
        world.refused_sign_in(claims("s2", "")).await;
        assert_eq!(world.finish_account_sign_in(claims("s2", "ANN")).await.expect("signed in").user, ann);
        let scim = proto::SetAccountPolicyRequest {
            organization_id: org.clone(),
            caller: client(),
            link: LinkClaim::Email.into(),
            just_in_time: true,
            confirm_automatically: true,
        };
        assert_eq!(reason(world.accounts.clone().set_account_policy(scim).await), Reason::InvalidArgument);
    })
    .await;
}

#[tokio::test]
async fn just_in_time_users_are_made_by_the_way_of_scim_where_the_policy_says_so() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        world.refused_sign_in(named(&org, "kit@x")).await;
        world.account_policy(&org, LinkClaim::Email, true).await.expect("set");
        let signed = world.account_signed_in(&org, "kit@x").await;
        let user = world.get(&org, &signed.user).await.expect("a user");
        assert_eq!((&*user.user_name, user.active, &*user.display_name), ("kit@x", Some(true), "Kit Moor"));
        assert_eq!(world.account_signed_in(&org, "kit@x").await.user, signed.user, "once");
        let made = world.told_of(&org, "user.created", 1).await;
        assert_eq!((made.len(), &*made[0].0), (1, &*signed.user));

        let unverified = proto::FinishAccountSignInRequest { email_verified: false, ..named(&org, "eve@x") };
        world.refused_sign_in(unverified).await;
        // Who was deleted is not made again.
        world.delete(&org, &signed.user).await.expect("delete");
        assert!(world.refused_sign_in(named(&org, "kit@x")).await.contains("deleted"));
        // Full width: one name for SCIM, and nobody would be believed for it.
        world.user(&org, "\u{ff53}am@x").await;
        assert!(world.refused_sign_in(named(&org, "sam@x")).await.contains("has the name"));
        world.plan(&org, proto::SetPlanRequest { max_users: Some(1), ..Default::default() }).await;
        assert!(world.refused_sign_in(named(&org, "bob@x")).await.contains("larger plan"));
        assert_eq!(world.found(&org, "userName pr").await.expect("found"), ["\u{ff53}am@x"]);
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_by_itself_and_at_once_when_its_user_loses_access() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let user = world.user(&org, "kit@x").await.id;
        let signed_in = async || world.account_signed_in(&org, "kit@x").await;
        let holds = async |signed: &Signed| match world.verified(signed).await {
            Ok(_) => true,
            Err(status) => {
                assert_eq!(wire::refusal(&status).reason, Reason::SessionInvalid);
                false
            }
        };
        let idle = signed_in().await;
        world.later(15 * MINUTE - 1);
        assert!(holds(&idle).await);
        world.later(15 * MINUTE - 1);
        assert!(holds(&idle).await, "it was used");
        world.later(15 * MINUTE);
        assert!(!holds(&idle).await);
        let long = signed_in().await;
        for _ in 0..(12 * 6 - 1) {
            world.later(10 * MINUTE);
            assert!(holds(&long).await);
        }
        world.later(10 * MINUTE);
        assert!(!holds(&long).await, "twelve hours");
        let ended = signed_in().await;
        for _ in 0..2 {
            world.accounts.clone().end_account_session(ended.request()).await.expect("ended");
        }
        assert!(!holds(&ended).await);

        // Deactivated: no session from the answer on, less than a second later; nor does it come back with the user.
        let (seen, unseen) = (signed_in().await, signed_in().await);
        world.activate(&org, &user, false).await;
        assert!(!holds(&seen).await);
        assert_eq!(world.state(&org, &user).await, (AccountState::Suspended, AccountState::SetupRequired));
        world.activate(&org, &user, true).await;
        assert!(!holds(&seen).await);
        world.look(&org).await;
        assert!(!holds(&unseen).await, "nor one that nobody showed meanwhile");
        world.later(1);
        let deleted = signed_in().await;
        world.delete(&org, &user).await.expect("delete");
        assert!(!holds(&deleted).await);
        world.restore(&org, &user).await.expect("restore");
        world.look(&org).await;
        assert!(!holds(&deleted).await);

        // The organization signs in with another provider.
        world.later(1);
        let before = signed_in().await;
        assert!(holds(&before).await);
        world.provider(&org, "https://other.example.com", None).await.expect("set");
        assert!(!holds(&before).await);
        world.provider(&org, ISSUER, None).await.expect("set");
        assert!(holds(&before).await);
        let unknown = Signed { secret: "rc_account_x".to_owned(), ..before };
        assert!(!holds(&unknown).await);
        world.later(13 * HOUR);
        let purging = world.reopen().await;
        while !world.database.rows_of("account_session", &org).expect("rows").is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        purging.shutdown().await;
    })
    .await;
}

#[tokio::test]
async fn accounts_are_listed_and_counted_by_state() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let mut ids = Vec::new();
        for n in 0..8 {
            ids.push(world.user(&org, &format!("user{n}@x")).await.id);
        }
        // 0 and 1 are provisioned, 2 signed in, 3 has keys, 4 is suspended after that, 5 was deleted, 6 never signed in and is
        // suspended, 7 never signed in and was deleted.
        for n in 2..6 {
            world.account_signed_in(&org, &format!("user{n}@x")).await;
        }
        for n in [3, 4] {
            let signed = world.account_signed_in(&org, &format!("user{n}@x")).await;
            world.set_up(&signed, false).await;
        }
        for n in [4, 6] {
            world.activate(&org, &ids[n], false).await;
        }
        for n in [5, 7] {
            world.delete(&org, &ids[n]).await.expect("delete");
        }
        let list = async |states: &[AccountState]| {
            let listed = world.account_list(&org, states, "", 0).await.expect("listed");
            assert!(!listed.more && listed.next.is_empty());
            let place =
                |account: &proto::Account| ids.iter().position(|id| *id == account.user_id).expect("one of them");
            listed.accounts.iter().map(|account| (place(account), account.state())).collect::<Vec<_>>()
        };
        let of = |n: usize| STATES[[0, 0, 1, 2, 4, 5, 4, 5][n]];
        assert_eq!(list(&[]).await, [0, 1, 2, 3, 4, 6].map(|n| (n, of(n))));
        for state in STATES {
            let wanted: Vec<_> = (0..8).filter(|n| of(*n) == state).map(|n| (n, state)).collect();
            assert_eq!(list(&[state]).await, wanted);
        }
        assert_eq!(list(&STATES).await, [0, 1, 2, 3, 4, 5, 6, 7].map(|n| (n, of(n))));
        let both = [AccountState::Accepted, AccountState::SetupRequired];
        assert_eq!(list(&both).await, [(2, of(2)), (3, of(3))]);
        let suspended = world.account_list(&org, &[AccountState::Suspended], "", 0).await.expect("listed").accounts;
        let before: Vec<_> = suspended.iter().map(proto::Account::before).collect();
        assert_eq!(before, [AccountState::Accepted, AccountState::Provisioned]);
        let deleted = world.account_list(&org, &[AccountState::Deleted], "", 0).await.expect("listed").accounts;
        assert_eq!((&*deleted[0].user_name, &*deleted[0].email), ("user5@x", "user5@x"));

        for (limit, states) in [(1, &[][..]), (2, &[]), (3, &STATES[..]), (1, &both)] {
            let (mut pages, mut after) = (Vec::new(), String::new());
            loop {
                let page = world.account_list(&org, states, &after, limit).await.expect("page");
                assert!(page.accounts.len() <= limit as usize);
                pages.extend(page.accounts.into_iter().map(|account| account.user_id));
                assert_eq!(page.more, !page.next.is_empty());
                if !page.more {
                    break;
                }
                after = page.next;
            }
            let whole = world.account_list(&org, states, "", 0).await.expect("whole").accounts;
            assert_eq!(pages, whole.into_iter().map(|account| account.user_id).collect::<Vec<_>>());
        }
        for (after, limit) in [("x", 0), ("", 101)] {
            assert_eq!(reason(world.account_list(&org, &[], after, limit).await), Reason::InvalidArgument);
        }
        // Who never signed in is provisioned here, deactivated or not.
        assert_eq!(world.account_counts(&org).await, [3, 1, 1, 0, 1, 2]);
        assert_eq!(reason(world.account(&org, &org).await), Reason::UserNotFound);
        assert_eq!(reason(world.account("x", &ids[0]).await), Reason::OrganizationNotFound);
        world.later(31 * 24 * HOUR);
        assert_eq!(reason(world.account(&org, &ids[5]).await), Reason::UserNotFound, "it can be restored no more");
        assert_eq!(world.account_counts(&org).await, [3, 1, 1, 0, 1, 0]);
    })
    .await;
}

#[tokio::test]
async fn a_page_looks_at_a_bounded_number_of_users() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        crate::statements::users_exist(&world, &org, 2500);
        let suspended = [AccountState::Suspended];
        let first = world.account_list(&org, &suspended, "", 10).await.expect("page");
        // Rows that were put there have no `active`: access is denied to them.
        assert_eq!((first.accounts.len(), first.more), (10, true));
        let none = [AccountState::Provisioned];
        let (mut after, mut pages) = (String::new(), 0);
        loop {
            let page = world.account_list(&org, &none, &after, 10).await.expect("page");
            assert_eq!(page.accounts, []);
            pages += 1;
            if !page.more {
                break;
            }
            after = page.next;
        }
        assert_eq!(pages, 3, "a thousand at a time");
    })
    .await;
}
