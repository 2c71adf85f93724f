//! The organization key over gRPC: made, granted, rotated; who gets it and who does not.

use account_keys::{Error, OrganizationKey};
use serde_json::json;
use wire::{
    Reason,
    identity::{self as proto, AccountState, AdminRole},
};

use crate::{
    accounts_client::{PASSWORD, Ready, creation, fill, granted, opened, opened_by_kit, own, previous, rotation},
    accounts_structure::TABLES,
    world::{World, on_both, reason, refused},
};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;

impl World {
    /// What waits, by user.
    async fn waiting(&self, by: &Ready) -> Vec<String> {
        let listed = self.to_confirm(&by.signed, "").await.expect("listed");
        assert!(!listed.more);
        let mut users: Vec<String> = listed.members.into_iter().map(|member| member.user_id).collect();
        users.sort();
        users
    }

    async fn key_of(&self, ready: &Ready) -> proto::OrganizationKey {
        self.organization_key(&ready.signed).await.expect("shown")
    }
}

#[tokio::test]
async fn from_the_first_sign_in_to_confirmed() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        assert!(world.verified(&owner.signed).await.expect("holds").may_confirm);
        let member = world.ready(&org, "kit@x").await;
        assert_eq!(world.key_of(&member).await, proto::OrganizationKey::default());
        let key = OrganizationKey::generate(&mut fill);
        let kit = account_keys::OrganizationKitSecret::generate(&mut fill);

        // Not by whoever is not an administrator of the console, in a session that is not unlocked, or for another one.
        assert_eq!(reason(world.create_key(creation(&member, &key, &kit)).await), Reason::NotConfirming);
        let locked = Ready { signed: world.account_signed_in(&org, "ada@x").await, made: owner.made.clone() };
        assert_eq!(reason(world.create_key(creation(&locked, &key, &kit)).await), Reason::AccountLocked);
        let whole = || creation(&owner, &key, &kit);
        let for_other = Some(granted(&owner, &key, 1, &member.signed.user, &own(&member)));
        for wrong in [
            proto::CreateOrganizationKeyRequest { grant: for_other, ..whole() },
            proto::CreateOrganizationKeyRequest { kit_pub: vec![9; 32].into(), ..whole() },
            proto::CreateOrganizationKeyRequest { kit_signature: vec![9; 64].into(), ..whole() },
            proto::CreateOrganizationKeyRequest {
                grant: Some(granted(&owner, &key, 2, &owner.signed.user, &own(&owner))),
                ..whole()
            },
        ] {
            assert_eq!(reason(world.create_key(wrong).await), Reason::KeyInvalid);
        }
        let short = proto::CreateOrganizationKeyRequest { kit_enc: vec![9; 31].into(), ..whole() };
        assert_eq!(reason(world.create_key(short).await), Reason::InvalidArgument);
        let made = world.create_key(whole()).await.expect("created");
        assert_eq!((made.version, made.rotation_due, made.chain.len()), (1, false, 0));
        assert!(opened(&owner, &made).expect("opened") == key && opened_by_kit(&org, &kit, &made) == key);
        assert_eq!(reason(world.create_key(whole()).await), Reason::AccountState, "it has one");
        assert_eq!(world.state(&org, &owner.signed.user).await.0, AccountState::Confirmed);

        // Signed in alone nobody waits; with keys it does.
        world.user(&org, "ann@x").await;
        world.account_signed_in(&org, "ann@x").await;
        assert_eq!(world.waiting(&owner).await, std::slice::from_ref(&member.signed.user));
        assert_eq!(reason(world.to_confirm(&member.signed, "").await), Reason::NotConfirming);
        assert_eq!(reason(world.to_confirm(&locked.signed, "").await), Reason::AccountLocked);
        let listed = world.to_confirm(&owner.signed, "").await.expect("listed").members.remove(0);
        assert_eq!((&listed.key, listed.was_confirmed, listed.administrator), (&Some(own(&member)), false, false));
        assert_eq!((listed.proof_of_possession.len(), listed.challenge.len(), &listed.grant), (64, 32, &None));
        let proof = account_keys::Possession(listed.proof_of_possession[..].try_into().expect("64 bytes"));
        let challenge = listed.challenge[..].try_into().expect("32 bytes");
        proof.verify(&member.made.of, &member.made.keys().public(), &challenge).expect("proven");
        let grant = granted(&owner, &key, 1, &listed.user_id, &own(&member));
        assert_eq!(world.confirm(&owner.signed, vec![grant.clone(), grant]).await.expect("confirmed"), ["", ""]);
        assert_eq!(world.state(&org, &member.signed.user).await.0, AccountState::Confirmed);
        assert!(opened(&member, &world.key_of(&member).await).expect("opened") == key);
        assert_eq!(world.waiting(&owner).await, Vec::<String>::new());

        // On another device, after its password.
        let device = world.account_signed_in(&org, "kit@x").await;
        let (unlocked, _) = world.unlock(&device, PASSWORD).await.expect("unlocked");
        assert!(opened(&member, &unlocked.organization_key.expect("given")).expect("opened") == key);
        let created = world.told_of(&org, "organization.key_created", 1).await;
        assert_eq!((&*created[0].0, &created[0].2["by"]), (&*org, &json!(owner.signed.user)));
        let confirmed = world.told_of(&org, "account.confirmed", 2).await;
        assert_eq!(
            (confirmed.len(), &*confirmed[1].0, &confirmed[1].2["by"]),
            (2, &*member.signed.user, &json!(owner.signed.user))
        );
        assert_eq!(
            (&confirmed[1].1["kind"], &confirmed[1].1["user_id"]),
            (&json!("member"), &json!(owner.signed.user))
        );
    })
    .await;
}

#[tokio::test]
async fn a_grant_is_for_one_member_key_version_and_organization() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let second = world.ready_admin(&org, "bob@x", AdminRole::Admin).await;
        let (key, _) = world.confirmed(&owner, &[]).await;
        let (kit, ann) = (world.ready(&org, "kit@x").await, world.ready(&org, "ann@x").await);
        let theirs = world.linked("other").await;
        let eve = world.ready_admin(&theirs, "eve@x", AdminRole::Owner).await;
        let (their_key, _) = world.confirmed(&eve, &[]).await;
        let stranger = world.ready(&theirs, "kit@x").await;

        let whole = || granted(&owner, &key, 1, &kit.signed.user, &own(&kit));
        let ann_key = own(&ann);
        let flipped = |mut bytes: Vec<u8>| {
            bytes[0] ^= 1;
            bytes.into()
        };
        let wrong = vec![
            // Tampered with, swapped between members, for another key or version.
            proto::Grant { enc: flipped(whole().enc.to_vec()), ..whole() },
            proto::Grant { ciphertext: flipped(whole().ciphertext.to_vec()), ..whole() },
            proto::Grant { signature: flipped(whole().signature.to_vec()), ..whole() },
            proto::Grant { user_id: ann.signed.user.clone(), ..whole() },
            proto::Grant { user_id: ann.signed.user.clone(), recipient_key_id: ann_key.id.clone(), ..whole() },
            proto::Grant { recipient_key_id: ann_key.id.clone(), ..whole() },
            proto::Grant { version: 2, ..whole() },
            granted(&owner, &key, 2, &kit.signed.user, &own(&kit)),
            granted(&owner, &key, 0, &kit.signed.user, &own(&kit)),
            // Signed for other public keys than the member's.
            granted(
                &owner,
                &key,
                1,
                &kit.signed.user,
                &proto::AccountKey { enc_pub: ann_key.enc_pub.clone(), ..own(&kit) },
            ),
            granted(
                &owner,
                &key,
                1,
                &kit.signed.user,
                &proto::AccountKey { sig_pub: ann_key.sig_pub.clone(), ..own(&kit) },
            ),
            // By another one.
            granted(&second, &key, 1, &kit.signed.user, &own(&kit)),
            proto::Grant { granter_key_id: own(&second).id, ..whole() },
            proto::Grant { enc: vec![0; 31].into(), ..whole() },
            // Of another organization, and of nobody.
            granted(&owner, &key, 1, &stranger.signed.user, &own(&stranger)),
            granted(&eve, &their_key, 1, &stranger.signed.user, &own(&stranger)),
            granted(&owner, &key, 1, &owner.signed.org, &own(&kit)),
        ];
        let refused = world.confirm(&owner.signed, wrong.clone()).await.expect("answered");
        assert_eq!(refused.len(), wrong.len());
        assert!(refused.iter().all(|why| !why.is_empty()), "{refused:?}");
        assert_eq!(refused[14], refused[16], "another organization's are those of nobody");
        for user in [&kit, &ann] {
            assert_eq!(world.state(&org, &user.signed.user).await.0, AccountState::Accepted);
        }
        assert_eq!(world.state(&theirs, &stranger.signed.user).await.0, AccountState::Accepted);

        // An administrator who is not confirmed confirms nobody, nor does one of another organization.
        let by_second = granted(&second, &key, 1, &kit.signed.user, &own(&kit));
        assert_eq!(reason(world.confirm(&second.signed, vec![by_second]).await), Reason::NotConfirming);
        let by_eve = world.confirm(&eve.signed, vec![granted(&eve, &their_key, 1, &kit.signed.user, &own(&kit))]).await;
        assert!(by_eve.expect("answered")[0].contains("Nobody"));
        let by_member = world.confirm(&kit.signed, vec![granted(&kit, &key, 1, &ann.signed.user, &own(&ann))]).await;
        assert_eq!(reason(by_member), Reason::NotConfirming);
        let many = vec![whole(); 101];
        assert_eq!(reason(world.confirm(&owner.signed, many).await), Reason::InvalidArgument);

        // One good one among others is taken.
        let mixed = vec![wrong[0].clone(), whole(), wrong[14].clone()];
        let refused = world.confirm(&owner.signed, mixed).await.expect("answered");
        assert_eq!(refused.iter().map(String::is_empty).collect::<Vec<_>>(), [false, true, false]);

        // New keys: what was granted to the old ones is of no use, and is not taken again.
        let replayed = whole();
        let made = world.set_up(&kit.signed, true).await;
        let renewed = Ready { signed: kit.signed.clone(), made };
        assert_eq!(world.state(&org, &kit.signed.user).await.0, AccountState::Accepted);
        assert_eq!(world.key_of(&renewed).await.grant, None);
        assert!(!world.confirm(&owner.signed, vec![replayed]).await.expect("answered")[0].is_empty());
        assert_eq!(world.state(&org, &kit.signed.user).await.0, AccountState::Accepted);
        assert!(world.key_of(&owner).await.rotation_due, "whoever has the old keys has the organization key");
        let again = granted(&owner, &key, 1, &kit.signed.user, &own(&renewed));
        assert_eq!(world.confirm(&owner.signed, vec![again]).await.expect("confirmed"), [""]);
        assert!(opened(&renewed, &world.key_of(&renewed).await).expect("opened") == key);
    })
    .await;
}

#[tokio::test]
async fn after_a_deletion_the_key_is_rotated_and_the_deleted_member_does_not_get_the_next() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let second = world.ready_admin(&org, "bob@x", AdminRole::Admin).await;
        let (kit, gone) = (world.ready(&org, "kit@x").await, world.ready(&org, "gone@x").await);
        let (first, org_kit) = world.confirmed(&owner, &[&second, &kit, &gone]).await;
        world.activate(&org, &kit.signed.user, false).await;
        world.look(&org).await;
        assert!(!world.key_of(&owner).await.rotation_due, "who is suspended comes back");
        world.activate(&org, &kit.signed.user, true).await;
        world.later(1);
        let kit = Ready { signed: world.account_signed_in(&org, "kit@x").await, made: kit.made };
        world.unlock(&kit.signed, PASSWORD).await.expect("unlocked");
        assert!(opened(&kit, &world.key_of(&kit).await).expect("opened") == first);
        world.delete(&org, &gone.signed.user).await.expect("delete");
        world.look(&org).await;
        assert!(world.key_of(&owner).await.rotation_due);

        let next = OrganizationKey::generate(&mut fill);
        assert_eq!(reason(world.rotate_key(rotation(&kit, &next, &first, 2, &org_kit)).await), Reason::NotConfirming);
        let whole = || rotation(&owner, &next, &first, 2, &org_kit);
        let mut other_version = whole();
        other_version.link.as_mut().expect("a link").version = 3;
        let other_kit = account_keys::OrganizationKitSecret::generate(&mut fill);
        for wrong in [
            other_version,
            rotation(&owner, &next, &first, 3, &org_kit),
            rotation(&owner, &next, &first, 2, &other_kit),
            proto::RotateOrganizationKeyRequest { kit_signature: vec![1; 64].into(), ..whole() },
        ] {
            assert_eq!(reason(world.rotate_key(wrong).await), Reason::KeyInvalid);
        }
        let unlinked = proto::RotateOrganizationKeyRequest { link: None, ..whole() };
        assert_eq!(reason(world.rotate_key(unlinked).await), Reason::InvalidArgument);
        let (one, other) = tokio::join!(
            world.rotate_key(whole()),
            world.rotate_key(rotation(&second, &OrganizationKey::generate(&mut fill), &first, 2, &org_kit))
        );
        let (rotated, by) = match (one, other) {
            (Ok(rotated), Err(status)) => {
                // Whoever came second has not got the new one.
                let why = wire::refusal(&status).reason;
                assert!([Reason::Contended, Reason::NotConfirming].contains(&why), "{status:?}");
                (rotated, &owner)
            }
            (Err(_), Ok(rotated)) => (rotated, &second),
            other => panic!("{other:?}"),
        };
        let newest = opened(by, &rotated).expect("opened");
        assert_eq!((rotated.version, rotated.rotation_due, rotated.chain.len()), (2, false, 1));
        assert!(previous(&org, &newest, &rotated.chain[0]) == first);
        assert!(opened_by_kit(&org, &org_kit, &rotated) == newest);

        // The others wait for it, with what they had; the deleted one does not.
        let rest = if by.signed.user == owner.signed.user { &second } else { &owner };
        let mut wanted = vec![rest.signed.user.clone(), kit.signed.user.clone()];
        wanted.sort();
        assert_eq!(world.waiting(by).await, wanted);
        let listed = world.to_confirm(&by.signed, "").await.expect("listed").members;
        assert!(listed.iter().all(|member| member.was_confirmed && member.grant.is_some() && member.granter.is_some()));
        let of_kit = listed.iter().find(|member| member.user_id == kit.signed.user).expect("kit");
        assert_eq!(
            (of_kit.grant.as_ref().expect("a grant").version, &of_kit.granter_user_id, of_kit.administrator),
            (1, &owner.signed.user, false)
        );
        assert!(opened(&kit, &world.key_of(&kit).await).expect("opened") == first, "until then the one before");
        assert_eq!(world.state(&org, &kit.signed.user).await.0, AccountState::Confirmed);
        let old = granted(by, &first, 1, &kit.signed.user, &own(&kit));
        assert!(world.confirm(&by.signed, vec![old]).await.expect("answered")[0].contains("version 2"));
        let to_gone = granted(by, &newest, 2, &gone.signed.user, &own(&gone));
        let to_kit = granted(by, &newest, 2, &kit.signed.user, &own(&kit));
        let refused = world.confirm(&by.signed, vec![to_gone, to_kit]).await.expect("answered");
        assert_eq!(refused.iter().map(String::is_empty).collect::<Vec<_>>(), [false, true]);
        let shown = world.key_of(&kit).await;
        let key = opened(&kit, &shown).expect("opened");
        assert!(key == newest && previous(&org, &key, &shown.chain[0]) == first);
        assert_eq!(opened(&gone, &shown), Err(Error::GrantSignature), "it is not for the keys of who was deleted");

        // Restored it has what it had, and waits for the next.
        world.restore(&org, &gone.signed.user).await.expect("restore");
        world.later(1);
        let back = Ready { signed: world.account_signed_in(&org, "gone@x").await, made: gone.made };
        world.unlock(&back.signed, PASSWORD).await.expect("unlocked");
        assert_eq!(world.state(&org, &back.signed.user).await.0, AccountState::Confirmed);
        assert!(opened(&back, &world.key_of(&back).await).expect("opened") == first);
        assert!(world.waiting(by).await.contains(&back.signed.user));
        assert_eq!(world.told_of(&org, "organization.key_rotated", 1).await[0].2["was_due"], json!(true));
        assert_eq!(world.told_of(&org, "account.confirmed", 4).await.len(), 4, "once for each");
    })
    .await;
}

#[tokio::test]
async fn the_kit_lets_an_administrator_in_where_nobody_is_left_who_confirms() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let (key, kit) = world.confirmed(&owner, &[]).await;
        let next = world.ready_admin(&org, "bob@x", AdminRole::Admin).await;
        let member = world.ready(&org, "kit@x").await;
        world.delete(&org, &owner.signed.user).await.expect("delete");

        let shown = world.key_of(&next).await;
        assert!(shown.grant.is_none() && opened_by_kit(&org, &kit, &shown) == key, "sealed to the kit, it is shown");
        let own_grant = || granted(&next, &key, 1, &next.signed.user, &own(&next));
        // Not by a member, not with another kit, not for somebody else or another version.
        let of_member = granted(&member, &key, 1, &member.signed.user, &own(&member));
        assert_eq!(reason(world.recover_key(&member, &kit, of_member).await), Reason::NotConfirming);
        let other = account_keys::OrganizationKitSecret::generate(&mut fill);
        assert_eq!(reason(world.recover_key(&next, &other, own_grant()).await), Reason::UnlockFailed);
        let to_member = granted(&next, &key, 1, &member.signed.user, &own(&member));
        assert_eq!(reason(world.recover_key(&next, &kit, to_member).await), Reason::KeyInvalid);
        let later = granted(&next, &key, 2, &next.signed.user, &own(&next));
        assert_eq!(reason(world.recover_key(&next, &kit, later).await), Reason::Contended);
        assert_eq!(world.state(&org, &next.signed.user).await.0, AccountState::Accepted);

        let recovered = world.recover_key(&next, &kit, own_grant()).await.expect("recovered");
        assert!(opened(&next, &recovered).expect("opened") == key);
        assert_eq!(world.state(&org, &next.signed.user).await.0, AccountState::Confirmed);
        world.recover_key(&next, &kit, own_grant()).await.expect("again, nothing happens");
        let told = world.told_of(&org, "account.confirmed", 2).await;
        assert_eq!((told.len(), &*told[1].0, &told[1].2["by_kit"]), (2, &*next.signed.user, &json!(true)));

        // A rotation keeps the kit, or comes with another one.
        let second = OrganizationKey::generate(&mut fill);
        world.rotate_key(rotation(&next, &second, &key, 2, &kit)).await.expect("rotated");
        let third = OrganizationKey::generate(&mut fill);
        let kit_pub = other.opening(org.parse().expect("an id")).public().to_vec();
        let unproven = proto::RotateOrganizationKeyRequest {
            kit_pub: kit_pub.into(),
            ..rotation(&next, &third, &second, 3, &other)
        };
        assert_eq!(reason(world.rotate_key(unproven.clone()).await), Reason::KeyInvalid);
        let kit_sha256 = other.proof(org.parse().expect("an id")).verifier().0.to_vec().into();
        world.rotate_key(proto::RotateOrganizationKeyRequest { kit_sha256, ..unproven }).await.expect("rotated");
        let last = world.ready_admin(&org, "cleo@x", AdminRole::Owner).await;
        let own_grant = || granted(&last, &third, 3, &last.signed.user, &own(&last));
        assert_eq!(reason(world.recover_key(&last, &kit, own_grant()).await), Reason::UnlockFailed, "the old one");
        world.recover_key(&last, &other, own_grant()).await.expect("recovered");
        let told = world.told_of(&org, "organization.key_rotated", 2).await;
        assert_eq!((&told[0].2["new_kit"], &told[1].2["new_kit"]), (&json!(false), &json!(true)));
    })
    .await;
}

#[tokio::test]
async fn a_kit_of_before_verifiers_recovers_nothing_until_a_new_one_is_made() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let (first, kit) = world.confirmed(&owner, &[]).await;
        assert!(world.key_of(&owner).await.kit_recovers);
        let literal = world.database.literal(&org);
        let forgotten = format!("UPDATE org_key SET kit_verifier = NULL WHERE org = {literal}");
        world.database.execute(&forgotten).expect("as it was before");
        let next = world.ready_admin(&org, "bob@x", AdminRole::Admin).await;
        assert!(!world.key_of(&next).await.kit_recovers && !world.key_of(&owner).await.kit_recovers);
        let own_grant = |key, version| granted(&next, key, version, &next.signed.user, &own(&next));
        let (why, message) = refused(world.recover_key(&next, &kit, own_grant(&first, 1)).await);
        assert_eq!(why, Reason::AccountState);
        assert!(message.contains("new organization kit on the account page"), "{message}");

        let second = OrganizationKey::generate(&mut fill);
        let another = account_keys::OrganizationKitSecret::generate(&mut fill);
        let id = org.parse().expect("an id");
        let anew = proto::RotateOrganizationKeyRequest {
            kit_pub: another.opening(id).public().to_vec().into(),
            kit_sha256: another.proof(id).verifier().0.to_vec().into(),
            ..rotation(&owner, &second, &first, 2, &another)
        };
        let rotated = world.rotate_key(anew).await.expect("rotated");
        assert!(rotated.kit_recovers && opened_by_kit(&org, &another, &rotated) == second);
        assert_eq!(reason(world.recover_key(&next, &kit, own_grant(&second, 2)).await), Reason::UnlockFailed);
        world.recover_key(&next, &another, own_grant(&second, 2)).await.expect("recovered");
    })
    .await;
}

#[tokio::test]
async fn what_is_sealed_to_the_kit_is_shown_to_administrators_alone() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let member = world.ready(&org, "kit@x").await;
        let (key, kit) = world.confirmed(&owner, &[&member]).await;
        let shown = world.key_of(&member).await;
        assert!(opened(&member, &shown).expect("opened") == key);
        let device = world.account_signed_in(&org, "kit@x").await;
        let unlocked = world.unlock(&device, PASSWORD).await.expect("unlocked").0.organization_key.expect("given");
        let viewer = world.ready_admin(&org, "vic@x", AdminRole::Viewer).await;
        for shown in [shown, unlocked, world.key_of(&viewer).await] {
            let of_kit = [&shown.kit_pub, &shown.kit_enc, &shown.kit_ciphertext, &shown.kit_signature];
            assert!(shown.version == 1 && of_kit.iter().all(|bytes| bytes.is_empty()), "{shown:?}");
            assert_eq!((&shown.kit_granter, &*shown.kit_granter_user_id, shown.kit_recovers), (&None, "", false));
        }
        assert!(opened_by_kit(&org, &kit, &world.key_of(&owner).await) == key);
        let next = world.ready_admin(&org, "bob@x", AdminRole::Admin).await;
        assert!(opened_by_kit(&org, &kit, &world.key_of(&next).await) == key, "who is to recover");
    })
    .await;
}

#[tokio::test]
async fn confirming_automatically_ends_with_the_policy() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let (key, _) = world.confirmed(&owner, &[]).await;
        let (kit, ann) = (world.ready(&org, "kit@x").await, world.ready(&org, "ann@x").await);
        let second = world.ready_admin(&org, "bob@x", AdminRole::Admin).await;
        let to = |other: &Ready| vec![granted(&owner, &key, 1, &other.signed.user, &own(other))];
        let automatic = async |other: &Ready| world.confirm_as(&owner.signed, to(other), true).await;
        let (why, message) = refused(automatic(&kit).await);
        assert_eq!(why, Reason::NotConfirming);
        assert!(message.contains("by hand"), "{message}");
        world.confirm_automatically(&org, true).await.expect("on");
        assert_eq!(automatic(&kit).await.expect("answered"), [""]);
        assert!(automatic(&second).await.expect("answered")[0].contains("compare the phrase"), "an administrator");
        assert_eq!(world.state(&org, &second.signed.user).await.0, AccountState::Accepted);
        world.confirm_automatically(&org, false).await.expect("off");
        assert_eq!(reason(automatic(&ann).await), Reason::NotConfirming);
        assert_eq!(world.state(&org, &ann.signed.user).await.0, AccountState::Accepted);
        let by_hand: Vec<proto::Grant> = [to(&ann), to(&second)].concat();
        assert_eq!(world.confirm(&owner.signed, by_hand).await.expect("confirmed"), ["", ""]);
    })
    .await;
}

#[tokio::test]
async fn who_administers_by_an_invitation_alone_is_told_so() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let signed = world.ready(&org, "Ada@x").await.signed;
        let shown = async || {
            let session = world.verified(&signed).await.expect("holds");
            (session.may_confirm, session.invited_to_console)
        };
        assert_eq!(shown().await, (false, false));
        world.joined(&org, "kit@x", AdminRole::Owner).await;
        assert_eq!(shown().await, (false, false), "somebody else");
        world.joined(&org, "ada@X", AdminRole::Admin).await;
        assert_eq!(shown().await, (false, true));
        world.signed_in_at_console(&org, "Ada@x").await;
        assert_eq!(shown().await, (true, false));
        let other = world.linked("other").await;
        let theirs = world.ready(&other, "kit@x").await.signed;
        assert!(!world.verified(&theirs).await.expect("holds").invited_to_console, "of another organization");
    })
    .await;
}

#[tokio::test]
async fn members_to_confirm_come_in_pages() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        world.confirmed(&owner, &[]).await;
        // Rows with everything but sense, of users who are active.
        let literal = world.database.literal(&org);
        let blob = |n: usize| {
            if world.is_sqlite() {
                format!("zeroblob({n})")
            } else {
                format!("CAST(decode(repeat('00', {n}), 'hex') AS bytea)")
            }
        };
        let id = format!("{{id:{} + n.i}}", crate::statements::FIRST);
        crate::statements::users_exist(&world, &org, 250);
        let numbers = crate::statements::numbers(250);
        let (b32, b64) = (blob(32), blob(64));
        crate::statements::sql(
            &world,
            &format!(
                "UPDATE scim_user SET active = {on} WHERE org = {literal} AND user_name LIKE 'seeded%'; \
                 {numbers} INSERT INTO account (org, user_id, stage, key_id, granted, created, last_signed_in) \
                 SELECT {literal}, {id}, 2, {id}, 0, {{now}}, {{now}} FROM n; \
                 {numbers} INSERT INTO account_key (org, id, user_id, version, enc_pub, sig_pub, possession, challenge, created) \
                 SELECT {literal}, {id}, {id}, 1, {b32}, {b32}, {b64}, {b32}, {{now}} FROM n;",
                on = if world.is_sqlite() { "1" } else { "true" }
            ),
        );
        let (mut all, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = world.to_confirm(&owner.signed, &after).await.expect("page");
            after = page.members.last().map(|last| last.key.clone().expect("a key").id).unwrap_or_default();
            all.extend(page.members.into_iter().map(|member| member.user_id));
            pages += 1;
            if !page.more {
                break;
            }
        }
        assert_eq!((all.len(), pages), (250, 3));
        assert!(all.is_sorted_by(|a, b| a < b));
        assert_eq!(reason(world.to_confirm(&owner.signed, "x").await), Reason::InvalidArgument);
    })
    .await;
}

#[tokio::test]
async fn after_the_days_of_grace_nothing_of_a_member_is_left_but_public_keys_that_others_need() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        world.policy(&org, Some(1), None).await.expect("policy");
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let second = world.ready_admin(&org, "bob@x", AdminRole::Admin).await;
        let (kit, gone) = (world.ready(&org, "kit@x").await, world.ready(&org, "gone@x").await);
        let (first, _) = world.confirmed(&owner, &[&second, &gone]).await;
        // By one who will be gone.
        let grant = granted(&second, &first, 1, &kit.signed.user, &own(&kit));
        assert_eq!(world.confirm(&second.signed, vec![grant]).await.expect("confirmed"), [""]);
        world.begin_unlock(&gone.signed, PASSWORD).await.expect("begun");
        for ready in [&second, &gone] {
            world.delete(&org, &ready.signed.user).await.expect("delete");
        }
        let is_in = |ready: &Ready| {
            let text = if world.is_sqlite() {
                ready.signed.user.replace('-', "").to_uppercase()
            } else {
                ready.signed.user.clone()
            };
            let rows = |table: &&str| format!("{:?}", world.database.rows_of(table, &org).expect("rows"));
            TABLES.into_iter().filter(|table| rows(table).contains(&text)).collect::<Vec<_>>()
        };
        world.later(DAY - 1);
        world.reopen().await.shutdown().await;
        assert!(is_in(&gone).contains(&"opaque_record"), "{:?}", is_in(&gone));
        world.later(1);
        let purging = world.reopen().await;
        world.told(&org, "user.purged", 2).await;
        purging.shutdown().await;
        assert_eq!(is_in(&gone), Vec::<&str>::new());
        assert_eq!(is_in(&second), ["account_key"]);
        let signed = world.account_signed_in(&org, "kit@x").await;
        let (unlocked, _) = world.unlock(&signed, PASSWORD).await.expect("unlocked");
        assert!(opened(&kit, &unlocked.organization_key.expect("given")).expect("opened") == first);
        assert_eq!(reason(world.account(&org, &gone.signed.user).await), Reason::UserNotFound);
        // Whoever comes again under the same name is somebody else.
        let again = world.ready(&org, "gone@x").await;
        assert_ne!(again.signed.user, gone.signed.user);
        assert_eq!(world.state(&org, &again.signed.user).await.0, AccountState::Accepted);
    })
    .await;
}

#[tokio::test]
async fn scim_reaches_no_row_of_keys_and_confirms_nobody() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let owner = world.ready_admin(&org, "ada@x", AdminRole::Owner).await;
        let kit = world.ready(&org, "kit@x").await;
        world.confirmed(&owner, &[]).await;
        let rows = || {
            let rows = |table: &str| world.database.rows_of(table, &org).expect("rows");
            TABLES.into_iter().map(rows).collect::<Vec<_>>()
        };
        let before = rows();
        let user = &kit.signed.user;
        let mut body = crate::world::kit("kit.moor@x");
        for (name, value) in [
            ("state", json!("confirmed")),
            ("stage", json!(3)),
            ("key", json!({"id": "x"})),
            ("granted", json!(1)),
            ("password", json!("p")),
            ("issuer", json!("https://evil.example.com")),
        ] {
            body[name] = value;
        }
        world.put(&org, user, &body).await.expect("put");
        world.activate(&org, user, false).await;
        world.activate(&org, user, true).await;
        world.delete(&org, user).await.expect("delete");
        world.restore(&org, user).await.expect("restore");
        world.group(&org, "Ops", &[user]).await;
        let after = rows();
        assert_eq!(after, before, "SCIM writes none of these tables");
        assert_eq!(world.state(&org, user).await.0, AccountState::Accepted);
    })
    .await;
}
