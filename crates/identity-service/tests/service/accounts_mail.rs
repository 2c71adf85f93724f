//! Invitations to finish set-up, by mail.

use serde_json::json;
use tonic::Status;
use wire::{
    Reason,
    identity::{self as proto, AdminRole},
};

use crate::{
    accounts_client::{PASSWORD, named},
    admins::HOUR,
    mail::on_both,
    world::{World, administrator, kit, reason, replace},
};

const PAGE: &str = "https://scim.example.com/console/account";

impl World {
    async fn told_to_set_up(&self, org: &str, users: &[&String], url: &str) -> Result<(u32, u32), Status> {
        let request = proto::InviteToSetUpRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            user_ids: users.iter().map(|id| (*id).clone()).collect(),
            url: url.to_owned(),
        };
        let told = self.accounts.clone().invite_to_set_up(request).await?.into_inner();
        Ok((told.sent, told.left_out))
    }

    async fn confirms_automatically(&self, org: &str, confirm_automatically: bool) {
        let request = proto::SetAccountPolicyRequest {
            organization_id: org.to_owned(),
            caller: administrator(),
            link: proto::LinkClaim::Email.into(),
            just_in_time: false,
            confirm_automatically,
        };
        self.accounts.clone().set_account_policy(request).await.expect("set");
    }
}

#[tokio::test]
async fn who_has_not_finished_is_told_where_to_once_an_hour_and_without_a_secret() {
    on_both(async |world, server| {
        let org = world.linked("acme").await;
        let kit_id = world.user(&org, "kit@x").await.id;
        let ann = world.user(&org, "ann@x").await.id;
        let gone = world.user(&org, "gone@x").await.id;
        world.activate(&org, &gone, false).await;
        let mut nowhere = kit("nowhere");
        nowhere["emails"] = json!([]);
        let nowhere = world.create(&org, &nowhere).await.expect("create").id;
        let done = world.ready(&org, "done@x").await.signed.user;
        let all = [&kit_id, &ann, &gone, &nowhere, &done, &org, &"x".to_owned()];
        assert_eq!(world.told_to_set_up(&org, &all, PAGE).await.expect("told"), (2, 5));
        world.mails_are(&["ann@x 1 1 ", "kit@x 1 1 "]).await;
        assert_eq!(world.told_to_set_up(&org, &[&kit_id], PAGE).await.expect("told"), (1, 0));
        world.later(HOUR);
        world.account_signed_in(&org, "kit@x").await;
        assert_eq!(world.told_to_set_up(&org, &[&kit_id], PAGE).await.expect("told"), (1, 0), "it has no keys yet");
        world.mails_are(&["ann@x 1 1 ", "kit@x 1 1 ", "kit@x 1 1 "]).await;
        let mails = server.mails();
        assert_eq!(mails.len(), 3);
        for mail in &mails {
            let text = mail.text.replace("=\r\n", "").replace("=3D", "=");
            assert!(text.contains(PAGE) && text.contains("Subject: acme: finish setting up your account"), "{text}");
            assert!(!text.contains("rc_") && !text.contains("secret=") && !text.contains(&kit_id), "{text}");
        }
        let told = world.told_of(&org, "account.invited", 3).await;
        assert_eq!((told.len(), &told[0].2["url"]), (3, &json!(PAGE)));

        for wrong in ["http://scim.example.com", "", "javascript:alert(1)"] {
            assert_eq!(reason(world.told_to_set_up(&org, &[&kit_id], wrong).await), Reason::InvalidArgument);
        }
        let many = vec![&kit_id; 101];
        assert_eq!(reason(world.told_to_set_up(&org, &many, PAGE).await), Reason::InvalidArgument);
    })
    .await;
}

#[tokio::test]
async fn administrators_are_told_who_waits_once_a_day() {
    on_both(async |world, server| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        world.ready(&org, "first@x").await;
        world.mails_are(&[]).await;
        world.confirmed(&owner, &[]).await;
        world.ready(&org, "kit@x").await;
        world.ready(&org, "ann@x").await;
        world.mails_are(&["ada@x 1 1 "]).await;
        let text = server.mails()[0].text.replace("=\r\n", "").replace("=3D", "=");
        assert!(text.contains("Subject: acme: somebody waits to be confirmed") && !text.contains("kit@x"), "{text}");
        assert!(text.contains("/console/accounts?state=accepted") && text.contains("/account\r\n"), "{text}");
        // Where pages confirm by themselves nobody has to.
        world.later(24 * HOUR);
        world.confirms_automatically(&org, true).await;
        world.ready(&org, "bob@x").await;
        world.confirms_automatically(&org, false).await;
        world.ready(&org, "cy@x").await;
        world.mails_are(&["ada@x 1 1 ", "ada@x 1 1 "]).await;
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_not_sent_to_whom_it_is_not_for_any_more() {
    on_both(async |world, server| {
        server.shut(true);
        let org = world.linked("acme").await;
        let mut ids = Vec::new();
        for name in ["ann@x", "bob@x", "cy@x", "di@x", "kit@x"] {
            ids.push(world.user(&org, name).await.id);
        }
        let all: Vec<&String> = ids.iter().collect();
        assert_eq!(world.told_to_set_up(&org, &all, PAGE).await.expect("told"), (5, 0));
        world.mails_are(&["ann@x 0 ", "bob@x 0 ", "cy@x 0 ", "di@x 0 ", "kit@x 0 "]).await;
        // Another address, another name, no access, finished.
        world.patch(&org, &ids[0], vec![replace("emails", &json!([{"value": "new@x"}]))]).await.expect("patched");
        world.patch(&org, &ids[1], vec![replace("userName", &json!("robert@x"))]).await.expect("patched");
        world.activate(&org, &ids[2], false).await;
        let signed = world.finish_account_sign_in(named(&org, "di@x")).await.expect("signed in");
        let (request, _) = world.set_up_request(&signed, PASSWORD, false).await.expect("begun");
        world.finish_set_up(request).await.expect("set up");
        server.shut(false);
        world.later(10 * 60 * 1_000_000);
        let second = world.reopen().await;
        let given_up = "2 1 the user has another name or address";
        world
            .mails_are(&[
                &format!("ann@x {given_up}"),
                &format!("bob@x {given_up}"),
                &format!("cy@x {given_up}"),
                &format!("di@x {given_up}"),
                "kit@x 1 1 ",
            ])
            .await;
        second.shutdown().await;
        assert_eq!(server.mails().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn where_no_mail_is_sent_that_is_said() {
    crate::world::on_both(async |world| {
        let org = world.linked("acme").await;
        let kit_id = world.user(&org, "kit@x").await.id;
        assert_eq!(reason(world.told_to_set_up(&org, &[&kit_id], PAGE).await), Reason::MailOff);
        assert_eq!(world.database.rows_of("mail", &org).expect("rows"), Vec::<String>::new());
    })
    .await;
}
