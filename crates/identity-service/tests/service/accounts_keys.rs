//! Keys of members over gRPC, by the client that `account-keys` has: set-up, unlock, guesses, kit, passwords, reset.

use std::sync::Arc;

use account_keys::{
    KitSecret, MemberKeys,
    opaque::client::{Login, Password},
};
use serde_json::json;
use store::Instant;
use wire::{
    Reason,
    identity::{self as proto, AccountState},
};

use crate::{
    accounts_client::{PASSWORD, Ready, Signed, fill, logged_in, own, public_of, uuid, wrap_of},
    admins::MINUTE,
    world::{World, on_both, reason, refused},
};

impl World {
    /// A guess that nobody finishes.
    async fn guess(&self, signed: &Signed) -> Result<proto::BeginUnlockResponse, tonic::Status> {
        Ok(self.begin_unlock(signed, "a guess").await?.1)
    }

    fn key_rows(&self, org: &str, table: &str) -> usize {
        self.database.rows_of(table, org).expect("rows").len()
    }
}

#[tokio::test]
async fn keys_are_set_up_once_and_open_on_another_device() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let Ready { signed, made } = world.ready(&org, "kit@x").await;
        let account = world.account(&org, &signed.user).await.expect("account");
        assert_eq!(
            (account.state(), account.set_up_at),
            (AccountState::Accepted, Some(wire::to_timestamp(world.now())))
        );
        let key = account.key.expect("a key");
        assert_eq!((public_of(&key), key.version, uuid(&key.id)), (made.keys().public(), 1, made.of.key_id));
        assert!(world.verified(&signed).await.expect("holds").unlocked, "it has just made them");
        assert_eq!(reason(world.set_up_request(&signed, PASSWORD, false).await.map(drop)), Reason::AccountState);

        let device = world.account_signed_in(&org, "kit@x").await;
        assert!(!world.verified(&device).await.expect("holds").unlocked);
        assert_eq!(reason(world.organization_key(&device).await), Reason::AccountLocked);
        let (unlocked, export_key) = world.unlock(&device, PASSWORD).await.expect("unlocked");
        let wrap = wrap_of(unlocked.wrap.as_ref().expect("a wrap"));
        let opened = wrap.open_with_password(&made.of, &export_key).expect("opened");
        assert!(opened == made.secret && MemberKeys::derive(&opened).public() == made.keys().public());
        assert_eq!(unlocked.key, Some(own(&Ready { signed: device.clone(), made: made.clone() })));
        assert_eq!(unlocked.organization_key.expect("told").version, 0);
        assert!(world.verified(&device).await.expect("holds").unlocked);

        // A password that is not it: the browser cannot finish, and whatever it sends is refused and used up.
        let (login, begun) = world.begin_unlock(&device, "another password").await.expect("begun");
        assert!(logged_in(login, &device, &begun).is_err());
        for ke3 in [&[7; 64][..], &[7; 63], &[]] {
            assert_eq!(reason(world.finish_unlock(&device, &begun.id, ke3).await), Reason::UnlockFailed);
        }
        let (login, begun) = world.begin_unlock(&device, PASSWORD).await.expect("begun");
        let ke3 = logged_in(login, &device, &begun).expect("right").ke3;
        for id in ["", "x", &org] {
            assert_eq!(reason(world.finish_unlock(&device, id, &ke3).await), Reason::UnlockFailed);
        }
        let other = world.account_signed_in(&org, "kit@x").await;
        assert_eq!(
            reason(world.finish_unlock(&other, &begun.id, &ke3).await),
            Reason::UnlockFailed,
            "of another session"
        );
        world.finish_unlock(&device, &begun.id, &ke3).await.expect("unlocked");
        assert_eq!(reason(world.finish_unlock(&device, &begun.id, &ke3).await), Reason::UnlockFailed, "used");
        let (login, begun) = world.begin_unlock(&device, PASSWORD).await.expect("begun");
        let ke3 = logged_in(login, &device, &begun).expect("right").ke3;
        world.later(MINUTE);
        assert_eq!(reason(world.finish_unlock(&device, &begun.id, &ke3).await), Reason::UnlockFailed, "a minute old");

        let told = world.told_of(&org, "account.keys_set_up", 1).await;
        assert_eq!((&*told[0].0, &told[0].2), (&*signed.user, &json!({"key": key.id, "version": 1})));
        // Nothing that decrypts is anywhere in the tables.
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let canaries = [hex(made.secret.expose()), hex(made.kit.expose()), hex(PASSWORD.as_bytes())];
        for table in crate::accounts_structure::TABLES {
            let rows = world.database.rows_of(table, &org).expect("rows").join("\n").to_lowercase();
            assert!(
                !canaries.iter().any(|canary| rows.contains(canary)) && !rows.contains(PASSWORD),
                "{table}: {rows}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_set_up_may_be_sent_twice_and_begun_anew_and_is_proven() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        world.user(&org, "kit@x").await;
        let signed = world.account_signed_in(&org, "kit@x").await;
        let (stale, _) = world.set_up_request(&signed, PASSWORD, false).await.expect("begun");
        // Interrupted, and begun anew in another session.
        let second = world.account_signed_in(&org, "kit@x").await;
        let (request, made) = world.set_up_request(&second, PASSWORD, false).await.expect("begun");
        assert_eq!(reason(world.finish_set_up(stale).await), Reason::AccountState);
        let moved = proto::FinishKeySetUpRequest { secret_sha256: signed.hash().into(), ..request.clone() };
        assert_eq!(reason(world.finish_set_up(moved).await), Reason::AccountState, "another session began it");

        let flip = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[0] ^= 1;
            bytes.into()
        };
        let whole = || request.clone();
        let weak = proto::FinishKeySetUpRequest { enc_pub: vec![0; 32].into(), ..whole() };
        for wrong in [
            proto::FinishKeySetUpRequest { proof_of_possession: flip(&request.proof_of_possession), ..whole() },
            proto::FinishKeySetUpRequest { enc_pub: flip(&request.enc_pub), ..whole() },
            proto::FinishKeySetUpRequest { sig_pub: flip(&request.sig_pub), ..whole() },
            proto::FinishKeySetUpRequest { record: vec![0xff; 192].into(), ..whole() },
            weak,
        ] {
            assert_eq!(reason(world.finish_set_up(wrong).await), Reason::KeyInvalid);
        }
        for wrong in [
            proto::FinishKeySetUpRequest { record: request.record.slice(1..), ..whole() },
            proto::FinishKeySetUpRequest { enc_pub: request.enc_pub.slice(1..), ..whole() },
            proto::FinishKeySetUpRequest { sig_pub: vec![0; 33].into(), ..whole() },
            proto::FinishKeySetUpRequest { proof_of_possession: request.proof_of_possession.slice(1..), ..whole() },
            proto::FinishKeySetUpRequest { recovery_sha256: vec![0; 31].into(), ..whole() },
            proto::FinishKeySetUpRequest { password_wrap: None, ..whole() },
            proto::FinishKeySetUpRequest {
                recovery_wrap: Some(proto::Wrap { nonce: vec![0; 13].into(), ciphertext: vec![0; 48].into() }),
                ..whole()
            },
            proto::FinishKeySetUpRequest { key_id: "x".to_owned(), ..whole() },
        ] {
            assert_eq!(reason(world.finish_set_up(wrong).await), Reason::InvalidArgument);
        }
        assert_eq!(world.state(&org, &signed.user).await.0, AccountState::SetupRequired);
        let (first, again) = tokio::join!(world.finish_set_up(whole()), world.finish_set_up(whole()));
        assert_eq!(first.expect("set up"), again.expect("the same"));
        assert_eq!(world.finish_set_up(whole()).await.expect("the same").state(), AccountState::Accepted);
        let other = proto::FinishKeySetUpRequest { enc_pub: flip(&request.enc_pub), ..whole() };
        assert_eq!(reason(world.finish_set_up(other).await), Reason::AccountState, "other keys of the same id");
        assert_eq!(world.told_of(&org, "account.keys_set_up", 1).await.len(), 1);
        assert_eq!((world.key_rows(&org, "account_key"), world.key_rows(&org, "account_registration")), (1, 0));
        let (_, export_key) = world.unlock(&second, PASSWORD).await.expect("unlocked");
        assert_ne!(export_key.expose(), &[0; 64]);
        assert_eq!(made.of.version, 1);
    })
    .await;
}

#[tokio::test]
async fn every_beginning_is_a_guess_and_after_ten_the_kit_alone_unlocks() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let Ready { signed, made } = world.ready(&org, "kit@x").await;
        let ann = world.ready(&org, "ann@x").await.signed;
        for _ in 0..3 {
            world.guess(&signed).await.expect("taken");
        }
        world.unlock(&signed, PASSWORD).await.expect("a finished one resets it");
        for _ in 0..5 {
            world.guess(&signed).await.expect("taken");
        }
        let (why, message) = refused(world.guess(&signed).await);
        assert_eq!(why, Reason::Limited);
        assert!(message.contains("Try again at 2025-11-23T12:28:20Z"), "{message}");
        assert_eq!(reason(world.recover(&signed, [0; 32]).await), Reason::Limited, "a guess at the kit is one, too");
        world.guess(&ann).await.expect("others are not limited");
        for pause in [15, 30, 60, 120, 240] {
            world.later(pause * MINUTE - 1);
            let again = world.account_signed_in(&org, "kit@x").await;
            assert_eq!(reason(world.guess(&again).await), Reason::Limited, "{pause}");
            world.later(1);
            world.guess(&again).await.expect("after the pause");
        }
        world.later(100 * 60 * MINUTE);
        let signed = world.account_signed_in(&org, "kit@x").await;
        let (why, message) = refused(world.unlock(&signed, PASSWORD).await.map(drop));
        assert_eq!(why, Reason::Limited);
        assert!(message.contains("kit"), "{message}");
        let proof = made.kit.recovery_proof(uuid(&signed.user)).0;
        let given = world.recover(&signed, proof).await.expect("the kit");
        let wrap = wrap_of(given.wrap.as_ref().expect("a wrap"));
        assert!(wrap.open_with_kit(&made.of, &made.kit).expect("opened") == made.secret);
        world.unlock(&signed, PASSWORD).await.expect("no longer locked");

        // Not an event for each: once in a quarter of an hour.
        let told = world.told_of(&org, "account.unlock_refused", 6).await;
        assert_eq!(told.len(), 6, "{told:?}");
        assert_eq!((&told[0].2["why"], &told[0].2["unfinished"]), (&json!("too_many"), &json!(5)));
        assert_eq!((&told[5].2["why"], &told[5].2["until"]), (&json!("locked"), &json!(null)));
        assert_eq!(world.told_of(&org, "account.recovered", 1).await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_guesses_at_once_five_are_taken() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let Ready { signed, made } = world.ready(&org, "kit@x").await;
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(world.account_signed_in(&org, "kit@x").await);
        }
        let proof = made.kit.recovery_proof(uuid(&signed.user)).0;
        let world = Arc::new(world);
        let tasks = (0..24).map(|n| {
            let (world, signed) = (Arc::clone(&world), sessions[n % sessions.len()].clone());
            tokio::spawn(async move {
                match n % 6 {
                    // Wrong proofs are guesses, too.
                    0 => match world.recover(&signed, [9; 32]).await {
                        Err(status) if wire::refusal(&status).reason == Reason::UnlockFailed => Ok(()),
                        other => other.map(drop),
                    },
                    _ => world.guess(&signed).await.map(drop),
                }
            })
        });
        let (mut taken, mut contended) = (0, 0);
        for result in futures::future::join_all(tasks).await {
            match result.expect("no panic") {
                Ok(()) => taken += 1,
                Err(status) => match wire::refusal(&status).reason {
                    Reason::Limited => {}
                    // Under SERIALIZABLE, after some tries.
                    Reason::Contended => contended += 1,
                    _ => panic!("{status:?}"),
                },
            }
        }
        assert!(taken == 5 || contended > 0 && taken < 5, "{taken} were taken, {contended} collided");
        world.later(15 * MINUTE);
        let signed = world.account_signed_in(&org, "kit@x").await;
        world.recover(&signed, proof).await.expect("the kit");
    })
    .await;
}

#[tokio::test]
async fn an_organization_as_a_whole_is_limited() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let signed = world.ready(&org, "kit@x").await.signed;
        let other = world.linked("other").await;
        let theirs = world.ready(&other, "kit@x").await.signed;
        let of_ours = world.database.literal(&org);
        world.guess(&signed).await.expect("taken");
        world
            .database
            .execute(&format!("UPDATE unlock_budget SET unfinished = 200 WHERE org = {of_ours}"))
            .expect("spent");
        let (why, message) = refused(world.guess(&signed).await);
        assert_eq!(why, Reason::Limited);
        assert!(message.contains("members of this organization"), "{message}");
        world.guess(&theirs).await.expect("of another organization");
        world.later(15 * MINUTE - 1);
        let signed = world.account_signed_in(&org, "kit@x").await;
        assert_eq!(reason(world.guess(&signed).await), Reason::Limited);
        world.later(1);
        world.guess(&signed).await.expect("a new quarter of an hour");
        assert_eq!(world.told_of(&org, "account.unlock_refused", 1).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_has_no_keys_is_answered_alike() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        world.user(&org, "ann@x").await;
        let none = world.account_signed_in(&org, "ann@x").await;
        let some = world.ready(&org, "kit@x").await.signed;
        let (login, ke1) = Login::begin(Password::new(PASSWORD).expect("a password"), &mut fill).expect("begun");
        let begin = async |signed: &Signed| {
            let request = proto::BeginUnlockRequest {
                secret_sha256: signed.hash().into(),
                request_id: String::new(),
                ke1: ke1.to_vec().into(),
            };
            world.accounts.clone().begin_unlock(request).await.expect("begun").into_inner()
        };
        let (fake, real) = (begin(&none).await, begin(&some).await);
        assert_eq!((fake.ke2.len(), fake.id.len(), fake.stretching), (320, 36, real.stretching));
        assert_eq!((real.ke2.len(), real.id.len()), (320, 36));
        // What a password is evaluated to is the same each time, as with a record.
        let again = begin(&none).await;
        assert_eq!((&fake.ke2[..32], fake.ke2 == again.ke2), (&again.ke2[..32], false));
        assert!(logged_in(login, &none, &again).is_err());
        assert_eq!(reason(world.finish_unlock(&none, &again.id, &[3; 64]).await), Reason::UnlockFailed);
        assert_eq!(reason(world.recover(&none, [0; 32]).await), Reason::UnlockFailed);
        for _ in 0..2 {
            begin(&none).await;
        }
        assert_eq!(reason(world.guess(&none).await), Reason::Limited);
        let rows = |table| world.database.rows_of(table, &org).expect("rows");
        assert_eq!(rows("opaque_record").len(), 1, "nothing is made up in the tables");
        for wrong in [0, 95, 97] {
            let request = proto::BeginUnlockRequest {
                secret_sha256: some.hash().into(),
                request_id: String::new(),
                ke1: vec![1; wrong].into(),
            };
            assert_eq!(reason(world.accounts.clone().begin_unlock(request).await), Reason::InvalidArgument);
        }
    })
    .await;
}

/// It is answered under the key of the record that there is.
#[tokio::test]
async fn to_begin_a_password_change_is_a_guess_until_it_is_finished() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let ready = world.ready(&org, "kit@x").await;
        for _ in 0..6 {
            let request = world.password_request(&ready, "a new password", None).await.expect("begun");
            world.finish_password_change(request).await.expect("changed");
        }
        for _ in 0..5 {
            world.password_request(&ready, "another password", None).await.expect("begun");
        }
        let sixth = world.password_request(&ready, "another password", None).await;
        assert_eq!(reason(sixth.map(drop)), Reason::Limited);
        let device = world.account_signed_in(&org, "kit@x").await;
        assert_eq!(
            reason(world.begin_unlock(&device, PASSWORD).await.map(drop)),
            Reason::Limited,
            "they are one count"
        );
    })
    .await;
}

#[tokio::test]
async fn the_kit_recovers_and_a_new_password_takes_the_place_of_the_forgotten_one() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let Ready { made, signed: old } = world.ready(&org, "kit@x").await;
        let signed = world.account_signed_in(&org, "kit@x").await;
        let ready = Ready { signed: signed.clone(), made: made.clone() };
        let locked = world.password_request(&ready, "a new password", None).await;
        assert_eq!(reason(locked.map(drop)), Reason::AccountLocked);
        let other_kit = KitSecret::generate(&mut fill).recovery_proof(uuid(&signed.user)).0;
        assert_eq!(reason(world.recover(&signed, other_kit).await), Reason::UnlockFailed);
        let proof = made.kit.recovery_proof(uuid(&signed.user)).0;
        let given = world.recover(&signed, proof).await.expect("recovered");
        assert_eq!(given.key, Some(own(&ready)));

        let kit = KitSecret::generate(&mut fill);
        let request = world.password_request(&ready, "a new password", Some(&kit)).await.expect("begun");
        let half = proto::FinishPasswordChangeRequest { recovery_wrap: None, ..request.clone() };
        assert_eq!(reason(world.finish_password_change(half).await), Reason::InvalidArgument);
        world.finish_password_change(request.clone()).await.expect("changed");
        assert_eq!(reason(world.finish_password_change(request).await), Reason::AccountState, "it was begun once");
        assert_eq!(reason(world.verified(&old).await), Reason::SessionInvalid, "all other sessions end");
        assert!(world.verified(&signed).await.expect("holds").unlocked);

        let device = world.account_signed_in(&org, "kit@x").await;
        let (login, begun) = world.begin_unlock(&device, PASSWORD).await.expect("begun");
        assert!(logged_in(login, &device, &begun).is_err(), "the old password");
        let (unlocked, export_key) = world.unlock(&device, "a new password").await.expect("unlocked");
        let wrap = wrap_of(unlocked.wrap.as_ref().expect("a wrap"));
        assert!(wrap.open_with_password(&made.of, &export_key).expect("opened") == made.secret);
        assert_eq!(reason(world.recover(&device, proof).await), Reason::UnlockFailed, "the old kit");
        let given = world.recover(&device, kit.recovery_proof(uuid(&signed.user)).0).await.expect("recovered");
        let wrap = wrap_of(given.wrap.as_ref().expect("a wrap"));
        assert!(wrap.open_with_kit(&made.of, &kit).expect("opened") == made.secret);

        // A password alone leaves the kit as it is.
        let ready = Ready { signed: device.clone(), made };
        let request = world.password_request(&ready, PASSWORD, None).await.expect("begun");
        world.finish_password_change(request).await.expect("changed");
        world.recover(&device, kit.recovery_proof(uuid(&device.user)).0).await.expect("recovered");
        let told = world.told_of(&org, "account.password_changed", 2).await;
        assert_eq!((&told[0].2["new_kit"], &told[1].2["new_kit"]), (&json!(true), &json!(false)));
    })
    .await;
}

#[tokio::test]
async fn new_keys_take_the_place_of_those_that_are_lost() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let Ready { signed: old, made } = world.ready(&org, "kit@x").await;
        let signed = world.account_signed_in(&org, "kit@x").await;
        for _ in 0..5 {
            world.guess(&signed).await.expect("taken");
        }
        let (request, new) = world.set_up_request(&signed, "another password", true).await.expect("begun");
        assert_eq!(new.of.version, 2);
        assert!(world.verified(&old).await.is_ok(), "until it is finished nothing changes");
        world.finish_set_up(request).await.expect("reset");
        assert_eq!(reason(world.verified(&old).await), Reason::SessionInvalid);
        let device = world.account_signed_in(&org, "kit@x").await;
        let (unlocked, export_key) =
            world.unlock(&device, "another password").await.expect("unlocked, and not limited");
        let wrap = wrap_of(unlocked.wrap.as_ref().expect("a wrap"));
        assert!(wrap.open_with_password(&new.of, &export_key).expect("opened") == new.secret);
        assert_eq!(
            reason(world.recover(&device, made.kit.recovery_proof(uuid(&device.user)).0).await),
            Reason::UnlockFailed
        );
        assert_eq!(world.state(&org, &device.user).await.0, AccountState::Accepted);
        let told = world.told_of(&org, "account.keys_reset", 1).await;
        assert_eq!((&told[0].2["version"], &told[0].2["was_confirmed"]), (&json!(2), &json!(false)));
        assert_eq!((world.key_rows(&org, "account_key"), world.key_rows(&org, "account_key_wrap")), (2, 2));
    })
    .await;
}

#[tokio::test]
async fn new_keys_are_made_three_times_a_day_at_most() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        world.ready(&org, "kit@x").await;
        world.ready(&org, "ann@x").await;
        let begin = async || {
            let signed = world.account_signed_in(&org, "kit@x").await;
            world.set_up_request(&signed, PASSWORD, true).await
        };
        let day = 24 * 60 * MINUTE;
        let mut first = None;
        for _ in 0..3 {
            world.later(60 * MINUTE);
            first.get_or_insert(world.now());
            // Begun and not finished is none.
            begin().await.expect("begun");
            world.finish_set_up(begin().await.expect("begun").0).await.expect("made");
        }
        let next = first.expect("made") + day;
        let (why, message) = refused(begin().await.map(drop));
        let at = Instant::from_micros(next).to_string();
        assert_eq!(why, Reason::Limited);
        assert!(message.contains(&at) && message.contains("3 times within a day"), "{message}");
        let other = world.account_signed_in(&org, "ann@x").await;
        world.set_up_request(&other, PASSWORD, true).await.expect("of somebody else");
        world.later(next - world.now() - 1);
        assert_eq!(reason(begin().await.map(drop)), Reason::Limited);
        world.later(1);
        world.finish_set_up(begin().await.expect("begun").0).await.expect("a day after the first");
        assert_eq!(reason(begin().await.map(drop)), Reason::Limited, "the second was less than a day ago");
    })
    .await;
}

#[tokio::test]
async fn who_loses_access_in_between_gets_nothing_and_comes_back_to_all_of_it() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let Ready { signed, made } = world.ready(&org, "kit@x").await;
        let (login, begun) = world.begin_unlock(&signed, PASSWORD).await.expect("begun");
        let ke3 = logged_in(login, &signed, &begun).expect("right").ke3;
        let begun_set_up = world.set_up_request(&signed, PASSWORD, true).await.expect("begun").0;
        world.activate(&org, &signed.user, false).await;
        assert_eq!(reason(world.finish_unlock(&signed, &begun.id, &ke3).await), Reason::SessionInvalid);
        assert_eq!(reason(world.begin_unlock(&signed, PASSWORD).await.map(drop)), Reason::SessionInvalid);
        assert_eq!(reason(world.finish_set_up(begun_set_up).await), Reason::SessionInvalid);
        assert_eq!(reason(world.organization_key(&signed).await), Reason::SessionInvalid);
        let proof = made.kit.recovery_proof(uuid(&signed.user)).0;
        assert_eq!(reason(world.recover(&signed, proof).await), Reason::SessionInvalid);
        assert_eq!(world.state(&org, &signed.user).await, (AccountState::Suspended, AccountState::Accepted));

        world.activate(&org, &signed.user, true).await;
        world.later(1);
        let back = world.account_signed_in(&org, "kit@x").await;
        let (unlocked, export_key) = world.unlock(&back, PASSWORD).await.expect("unlocked");
        let wrap = wrap_of(unlocked.wrap.as_ref().expect("a wrap"));
        assert!(wrap.open_with_password(&made.of, &export_key).expect("opened") == made.secret);
        world.delete(&org, &back.user).await.expect("delete");
        assert_eq!(reason(world.begin_unlock(&back, PASSWORD).await.map(drop)), Reason::SessionInvalid);
        assert_eq!(world.state(&org, &back.user).await, (AccountState::Deleted, AccountState::Accepted));
        world.restore(&org, &back.user).await.expect("restore");
        world.look(&org).await;
        assert_eq!(reason(world.verified(&back).await), Reason::SessionInvalid);
        world.later(1);
        let back = world.account_signed_in(&org, "kit@x").await;
        world.unlock(&back, PASSWORD).await.expect("unlocked");
        assert_eq!(world.state(&org, &back.user).await.0, AccountState::Accepted);
    })
    .await;
}

#[tokio::test]
async fn a_newer_set_up_is_for_new_passwords_and_records_keep_theirs() {
    on_both(async |world| {
        let org = world.linked("acme").await;
        let ready = world.ready(&org, "kit@x").await;
        world.set_up_rotated(false);
        world.unlock(&ready.signed, PASSWORD).await.expect("by the set-up of then");
        let ann = world.ready(&org, "ann@x").await;
        world.unlock(&ann.signed, PASSWORD).await.expect("by the new one");
        let request = world.password_request(&ready, "a new password", None).await.expect("begun");
        world.finish_password_change(request).await.expect("changed");
        let bob = world.ready(&org, "bob@x").await;
        world.set_up_rotated(true);
        for (signed, password) in [(&ready.signed, "a new password"), (&bob.signed, PASSWORD)] {
            let (why, message) = refused(world.unlock(signed, password).await.map(drop));
            assert_eq!(why, Reason::AccountState);
            assert!(message.contains("--opaque-key-file") && message.contains("the kit"), "{message}");
            assert_eq!(world.database.rows_of("unlock_limit", &org).expect("rows").len(), 0, "no guess is counted");
        }
        let proof = bob.made.kit.recovery_proof(uuid(&bob.signed.user)).0;
        world.recover(&bob.signed, proof).await.expect("the kit needs none");
        let request = world.password_request(&bob, "another one", None).await.expect("begun");
        world.finish_password_change(request).await.expect("changed");
        world.unlock(&bob.signed, "another one").await.expect("unlocked");
    })
    .await;
}
