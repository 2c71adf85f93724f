//! Many users at once that lose their access: nothing that cannot be undone happens before an administrator decides. Issue 6
//! item 7.

use serde_json::json;
use tonic::Status;
use wire::{
    Reason,
    identity::{self as proto, HoldState},
};

use crate::world::{World, administrator, client, json_of, on_both, reason, replace};

const HOUR: i64 = 60 * 60 * 1_000_000;
const DAY: i64 = 24 * HOUR;

impl World {
    async fn holds(&self, org: &str) -> Vec<proto::Hold> {
        let request = proto::ListHoldsRequest { organization_id: org.to_owned(), caller: administrator() };
        self.identity.clone().list_holds(request).await.expect("list").into_inner().holds
    }

    async fn approve(&self, org: &str, id: &str) -> Result<proto::Hold, Status> {
        let request =
            proto::ApproveHoldRequest { organization_id: org.to_owned(), caller: administrator(), id: id.to_owned() };
        Ok(self.identity.clone().approve_hold(request).await?.into_inner())
    }

    async fn restore_all(&self, org: &str, id: &str) -> Result<proto::Hold, Status> {
        let request =
            proto::RestoreHoldRequest { organization_id: org.to_owned(), caller: administrator(), id: id.to_owned() };
        Ok(self.identity.clone().restore_hold(request).await?.into_inner())
    }

    async fn hold_users(&self, org: &str, id: &str, page_size: u32) -> Result<Vec<proto::HeldUser>, Status> {
        let (mut users, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = proto::ListHoldUsersRequest {
                organization_id: org.to_owned(),
                caller: administrator(),
                id: id.to_owned(),
                page_size,
                page_token,
            };
            let page = self.identity.clone().list_hold_users(request).await?.into_inner();
            users.extend(page.users);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(users);
            }
        }
    }

    /// Whether each deleted user is held.
    async fn kept(&self, org: &str) -> Vec<bool> {
        let (organization_id, caller) = (org.to_owned(), administrator());
        let request = proto::ListDeletedUsersRequest { organization_id, caller, ..Default::default() };
        let listed = self.identity.clone().list_deleted_users(request).await.expect("list").into_inner();
        listed.users.into_iter().map(|user| user.held).collect()
    }

    /// Has the background task look at once, as it does when it starts, until all that happened was looked at.
    pub(crate) async fn look(&self, org: &str) {
        let second = self.reopen().await;
        while !self.database.rows_of("outbox", org).expect("rows").is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let last = self.events(org, 0).await.last().map_or(0, |event| event.sequence);
        second.shutdown().await;
        let second = self.reopen().await;
        let number = |row: &String| row.trim_end_matches(')').rsplit(',').find_map(|text| text.parse::<i64>().ok());
        for _ in 0..1000 {
            let watched = self.database.rows_of("loss_watch", org).expect("rows");
            if watched.iter().any(|row| number(row).is_some_and(|seq| seq >= last)) {
                second.shutdown().await;
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("event {last} was not looked at");
    }

    async fn deactivate(&self, org: &str, id: &str) {
        self.patch(org, id, vec![replace("active", &json!(false))]).await.expect("deactivate");
    }
}

async fn users(world: &World, org: &str, count: usize) -> Vec<String> {
    let mut users = Vec::new();
    for n in 0..count {
        users.push(world.user(org, &format!("user{n}@x")).await.id);
    }
    users
}

#[tokio::test]
async fn few_or_slow_losses_are_not_held() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = users(&world, &org, 60).await;
        // Of sixty twelve may go.
        for id in &users[..12] {
            world.delete(&org, id).await.expect("delete");
        }
        world.look(&org).await;
        assert_eq!(world.holds(&org).await, []);
        world.later(HOUR + HOUR / 6);
        for id in &users[12..20] {
            world.deactivate(&org, id).await;
        }
        world.look(&org).await;
        assert_eq!(world.holds(&org).await, []);
        // Switched off.
        world.policy(&org, None, Some(0)).await.expect("policy");
        for id in &users[20..] {
            world.delete(&org, id).await.expect("delete");
        }
        world.look(&org).await;
        assert_eq!(world.holds(&org).await, []);
        assert_eq!(reason(world.policy(&org, None, Some(101)).await), Reason::InvalidArgument);
    })
    .await;
}

#[tokio::test]
async fn what_is_held_is_not_erased_before_it_is_approved() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.policy(&org, Some(1), None).await.expect("policy");
        let users = users(&world, &org, 40).await;
        let early = world.user(&org, "early@x").await.id;
        world.delete(&org, &early).await.expect("delete");
        world.later(2 * HOUR);
        // Not more than open one: the watch may look at any time.
        for id in &users[..10] {
            world.delete(&org, id).await.expect("delete");
            // Gone at once all the same.
            assert_eq!(reason(world.get(&org, id).await), Reason::UserNotFound);
        }
        world.look(&org).await;
        let holds = world.holds(&org).await;
        assert_eq!(holds.len(), 1);
        let hold = &holds[0];
        assert_eq!((hold.state(), hold.deactivated, hold.deleted, hold.users), (HoldState::Open, 0, 10, 40));
        let told = world.told(&org, "hold.opened", 1).await;
        assert_eq!((&told[0]["deleted"], &told[0]["users"]), (&json!(10), &json!(40)));
        // At once, and not only when their days of grace are over; the early one is none of them.
        let mut kept = world.kept(&org).await;
        assert_eq!((kept.pop(), kept), (Some(false), vec![true; 10]));
        assert_eq!(told[0]["by"][0]["actor"]["token_id"], "01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(told[0]["by"][0]["losses"], 10);
        // It goes on: the same hold.
        world.later(HOUR / 2);
        world.deactivate(&org, &users[11]).await;
        world.look(&org).await;
        let holds = world.holds(&org).await;
        assert_eq!((holds.len(), holds[0].deactivated, holds[0].deleted), (1, 1, 10));

        world.later(2 * DAY);
        let second = world.reopen().await;
        assert_eq!(world.told(&org, "user.purged", 1).await.len(), 1, "the early one");
        second.shutdown().await;
        assert_eq!(world.deleted(&org).await.len(), 10, "though the days of grace are over");
        world.restore(&org, &users[0]).await.expect("still to be restored");
        assert_eq!(reason(world.approve(&org, &users[0]).await), Reason::InvalidArgument);
        let request =
            proto::ApproveHoldRequest { organization_id: org.clone(), caller: client(), id: holds[0].id.clone() };
        assert_eq!(reason(world.identity.clone().approve_hold(request).await), Reason::InvalidArgument);
        let other = world.organization("other").await;
        assert_eq!(reason(world.approve(&other, &holds[0].id).await), Reason::InvalidArgument);

        let approved = world.approve(&org, &holds[0].id).await.expect("approve");
        assert_eq!((approved.state(), approved.deleted, approved.restored), (HoldState::Approved, 9, 0));
        assert_eq!(json_of(&approved.decided_by_json)["name"], "ada");
        assert_eq!(world.told(&org, "user.purged", 10).await.len(), 10);
        assert_eq!(world.told(&org, "hold.approved", 1).await.len(), 1);
        assert_eq!(reason(world.approve(&org, &holds[0].id).await), Reason::InvalidArgument);
        assert_eq!(reason(world.restore_all(&org, &holds[0].id).await), Reason::InvalidArgument);
        assert_eq!(world.database.rows_of("deleted_user", &org).expect("rows").len(), 0);
    })
    .await;
}

#[tokio::test]
async fn all_that_is_held_is_restored_also_after_a_restart() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = users(&world, &org, 40).await;
        let everyone: Vec<&str> = users.iter().map(String::as_str).collect();
        let group = world.group(&org, "All", &everyone).await.id;
        let long_gone = world.user(&org, "inactive@x").await.id;
        world.deactivate(&org, &long_gone).await;
        world.later(2 * HOUR);
        // Some are deactivated, some are deleted, some are deactivated and then deleted.
        for id in &users[..8] {
            world.deactivate(&org, id).await;
        }
        for id in &users[4..12] {
            world.delete(&org, id).await.expect("delete");
        }
        world.look(&org).await;
        let hold = world.holds(&org).await.remove(0);
        // Each once.
        assert_eq!((hold.state(), hold.deactivated, hold.deleted), (HoldState::Open, 4, 8));
        // The name of one is taken by now.
        let taker = world.user(&org, "user10@x").await.id;

        // Decided while nothing works on it, then half of it done by one process and the rest by another.
        world.service.shutdown().await;
        let restoring = world.restore_all(&org, &hold.id).await.expect("restore");
        assert_eq!((restoring.state(), restoring.restored), (HoldState::Restoring, 0));
        let first = world.reopen().await;
        for _ in 0..10_000 {
            if world.deleted(&org).await.len() <= 6 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        first.shutdown().await;
        let second = world.reopen().await;
        for _ in 0..1000 {
            if world.holds(&org).await[0].state() == HoldState::Restored {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        second.shutdown().await;
        let holds = world.holds(&org).await;
        assert_eq!((holds.len(), holds[0].state(), holds[0].failed), (1, HoldState::Restored, 1));
        assert_eq!(holds[0].restored, 11);
        assert_eq!(holds[0].failures[0].user_id, users[10]);
        assert!(holds[0].failures[0].why.contains("user10@x"), "{:?}", holds[0].failures);
        for (n, id) in users.iter().enumerate() {
            match world.get(&org, id).await {
                Ok(user) => {
                    assert_eq!((user.active, user.groups.len()), (Some(true), 1), "{n}");
                    assert_eq!(user.groups[0].id, group);
                }
                Err(_) => assert_eq!(n, 10),
            }
        }
        assert_eq!(world.get(&org, &long_gone).await.expect("get").active, Some(false));
        assert_eq!(world.get(&org, &taker).await.expect("get").user_name, "user10@x");
        assert_eq!(world.deleted(&org).await, [users[10].clone()]);
        // It is the doing of who decided.
        let back = world.events(&org, 0).await.into_iter().filter(|event| event.r#type == "user.restored");
        let by: Vec<_> = back.map(|event| json_of(&event.actor_json)["name"].clone()).collect();
        assert_eq!(by, vec![json!("ada"); 7]);
        let told = world.told(&org, "hold.restored", 1).await;
        assert_eq!((&told[0]["failed"], &told[0]["failures"][0]["user"]), (&json!(1), &json!(users[10])));
    })
    .await;
}

#[tokio::test]
async fn who_has_access_again_is_not_held() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = users(&world, &org, 40).await;
        // Nothing looks before it is told to.
        world.service.shutdown().await;
        let activate = async |id: &str| {
            world.patch(&org, id, vec![replace("active", &json!(true))]).await.expect("activate");
        };
        // Twelve of forty are too many, and eight of them are back at once.
        for id in &users[..12] {
            world.deactivate(&org, id).await;
        }
        for id in &users[4..12] {
            activate(id).await;
        }
        world.look(&org).await;
        assert_eq!(world.holds(&org).await, []);

        // So are four, and who was deleted and restored; fourteen are not.
        for id in &users[4..24] {
            world.deactivate(&org, id).await;
        }
        for id in &users[24..28] {
            world.delete(&org, id).await.expect("delete");
        }
        for id in &users[4..8] {
            activate(id).await;
        }
        for id in &users[24..26] {
            world.restore(&org, id).await.expect("restore");
        }
        world.look(&org).await;
        let hold = world.holds(&org).await.remove(0);
        assert_eq!((hold.deactivated, hold.deleted, hold.users), (20, 2, 40));
        let told = world.told(&org, "hold.opened", 1).await;
        assert_eq!((&told[0]["deactivated"], &told[0]["deleted"]), (&json!(20), &json!(2)));

        // Also while it waits for a decision. Who was deactivated, deleted and restored is inactive as before.
        activate(&users[8]).await;
        world.delete(&org, &users[9]).await.expect("delete");
        world.delete(&org, &users[10]).await.expect("delete");
        world.restore(&org, &users[10]).await.expect("restore");
        world.look(&org).await;
        let hold = world.holds(&org).await.remove(0);
        assert_eq!((hold.deactivated, hold.deleted), (18, 3));
        let lost = world.hold_users(&org, &hold.id, 0).await.expect("users");
        let mut still: Vec<&String> = users[..4].iter().chain(&users[9..24]).chain(&users[26..28]).collect();
        still.sort();
        let mut listed: Vec<&String> = lost.iter().map(|user| &user.user_id).collect();
        listed.sort();
        assert_eq!(listed, still);

        // Restoring is about these.
        let restoring = world.restore_all(&org, &hold.id).await.expect("restore");
        assert_eq!((restoring.deactivated, restoring.deleted, restoring.restored), (18, 3, 0));
        assert_eq!(world.holds(&org).await[0], proto::Hold { failures: Vec::new(), ..restoring });
        let second = world.reopen().await;
        for _ in 0..1000 {
            if world.holds(&org).await[0].state() == HoldState::Restored {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        second.shutdown().await;
        let hold = world.holds(&org).await.remove(0);
        assert_eq!((hold.state(), hold.restored, hold.failed), (HoldState::Restored, 21, 0));
        for id in &users {
            assert_eq!(world.get(&org, id).await.expect("there").active, Some(true));
        }
    })
    .await;
}

#[tokio::test]
async fn whom_a_hold_is_about_is_listed_with_names() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let users = users(&world, &org, 40).await;
        world.service.shutdown().await;
        for id in &users[..3] {
            world.deactivate(&org, id).await;
        }
        for id in &users[2..12] {
            world.delete(&org, id).await.expect("delete");
        }
        world.look(&org).await;
        let hold = world.holds(&org).await.remove(0);
        let expected: Vec<(String, String, bool)> =
            (0..12).map(|n| (users[n].clone(), format!("user{n}@x"), n >= 2)).collect();
        for page_size in [0, 1, 5, 12, 1000] {
            let listed = world.hold_users(&org, &hold.id, page_size).await.expect("users");
            assert!(listed.iter().all(|user| user.display_name == "Kit Moor" && user.lost_at.is_some()), "{listed:?}");
            let listed: Vec<_> = listed.into_iter().map(|user| (user.user_id, user.user_name, user.deleted)).collect();
            assert_eq!(listed, expected, "{page_size}");
        }
        let other = world.organization("other").await;
        for (org, id) in [(&other, hold.id.as_str()), (&org, &*users[0]), (&org, "x")] {
            assert_eq!(reason(world.hold_users(org, id, 0).await), Reason::InvalidArgument);
        }
        let request = |caller, page_token: &str| proto::ListHoldUsersRequest {
            organization_id: org.clone(),
            caller,
            id: hold.id.clone(),
            page_size: 0,
            page_token: page_token.to_owned(),
        };
        let asked = async |request| world.identity.clone().list_hold_users(request).await;
        assert_eq!(reason(asked(request(client(), "")).await), Reason::InvalidArgument);
        assert_eq!(reason(asked(request(administrator(), "x")).await), Reason::InvalidArgument);
    })
    .await;
}
