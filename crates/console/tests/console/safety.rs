//! Deleted users, held changes and the deletion settings: what is undone, by whom, and what is said about it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use store::{Clock, Instant};
use wire::{
    common::{Caller, ScimClient, caller::Kind},
    identity::{
        AdminRole, DeleteGroupRequest, DeleteUserRequest, GetUserRequest, Hold, HoldState, ListHoldsRequest, PatchOp,
        PatchOperation, PatchUserRequest, SetPlanRequest, SetScimEnabledRequest,
    },
    token::CreateScimTokenRequest,
};

use crate::{
    harness::{MINUTE, World, administrator, unescape},
    history::seen,
};

const DAY: i64 = 24 * 60 * MINUTE;

impl World {
    pub(crate) async fn delete(&self, id: &str) {
        self.delete_as(administrator(), id).await;
    }

    async fn delete_as(&self, caller: Option<Caller>, id: &str) {
        let organization_id = self.organization.clone();
        let request = DeleteUserRequest { organization_id, caller, id: id.to_owned(), if_match: None };
        self.identity.clone().delete_user(request).await.expect("deleted");
    }

    pub(crate) async fn deactivate(&self, id: &str) {
        let operation = PatchOperation {
            op: PatchOp::Replace.into(),
            path: "active".to_owned(),
            value_json: b"false".to_vec().into(),
        };
        let request = PatchUserRequest {
            organization_id: self.organization.clone(),
            caller: administrator(),
            id: id.to_owned(),
            operations: vec![operation],
            ..Default::default()
        };
        self.identity.clone().patch_user(request).await.expect("deactivated");
    }

    async fn delete_group(&self, id: &str) {
        let organization_id = self.organization.clone();
        let request =
            DeleteGroupRequest { organization_id, caller: administrator(), id: id.to_owned(), if_match: None };
        self.identity.clone().delete_group(request).await.expect("deleted");
    }

    /// Active, inactive, or not there.
    async fn active(&self, id: &str) -> Option<bool> {
        let organization_id = self.organization.clone();
        let request = GetUserRequest { organization_id, caller: administrator(), id: id.to_owned(), mask: None };
        let user = self.identity.clone().get_user(request).await.ok()?.into_inner();
        Some(user.active == Some(true))
    }

    /// A SCIM client by this name.
    pub(crate) async fn token(&self, description: &str) -> Option<Caller> {
        let (caller, organization_id) = (administrator(), self.organization.clone());
        let enable = SetScimEnabledRequest { caller, organization_id, enabled: true };
        self.organizations.clone().set_scim_enabled(enable).await.expect("on");
        let request = CreateScimTokenRequest {
            organization_id: self.organization.clone(),
            caller: administrator(),
            description: description.to_owned(),
            ..Default::default()
        };
        let made = self.tokens.clone().create_scim_token(request).await.expect("token").into_inner();
        let token_id = made.token.expect("token").id;
        Some(Caller {
            kind: Some(Kind::ScimClient(ScimClient { token_id, entry_id: String::new() })),
            request_id: String::new(),
        })
    }

    async fn holds(&self) -> Vec<Hold> {
        let organization_id = self.organization.clone();
        let request = ListHoldsRequest { organization_id, caller: administrator() };
        self.identity.clone().list_holds(request).await.expect("list").into_inner().holds
    }

    /// Has the background task go on at once, as it does when it starts, until the latest hold is in this state.
    async fn until_hold(&self, state: HoldState) -> Hold {
        let set_up = identity_service::new_opaque_set_up(&identity_service::Random::system());
        let config = identity_service::Config {
            database_url: self.databases[0].url().to_owned(),
            pool_size: 2,
            sealing_key: Arc::new(|| Ok([7; 32])),
            opaque_set_ups: Arc::new(move || Ok(vec![set_up.clone()])),
            mailing: None,
        };
        for _ in 0..60 {
            let (offset, system) = (Arc::clone(&self.ahead), Clock::system());
            let clock =
                Clock::from_fn(move || Instant::from_micros(system.now().as_micros() + offset.load(Ordering::Relaxed)));
            let second = identity_service::Service::open(&config, clock).await.expect("open again");
            for _ in 0..20 {
                if let Some(hold) = self.holds().await.into_iter().next().filter(|hold| hold.state() == state) {
                    second.shutdown().await;
                    return hold;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            second.shutdown().await;
        }
        panic!("no hold that is {state:?} after a minute: {:?}", self.holds().await);
    }
}

#[tokio::test]
async fn a_deleted_user_is_listed_and_restored() {
    let world = World::start().await;
    let okta = world.token("Okta").await;
    let kit = world.user("kit", "Kit Moor").await;
    world.user("ann", "Ann").await;
    let ops = world.group("Ops", std::slice::from_ref(&kit)).await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    admin.get("/console/users").await.is(200).says("href=\"/console/users/deleted\"");
    admin.get("/console/users/deleted").await.is(200).says("Nobody was deleted lately.");
    world.delete_as(okta, &kit).await;
    world.later(10 * MINUTE);

    let page = format!("/console/users/deleted/{kit}");
    let list = admin.get("/console/users/deleted").await.is(200);
    let list = list.says("Kit Moor").says("the SCIM token &#34;Okta&#34;").says(&format!("href=\"{page}\""));
    assert!(list.body.contains("10 minutes ago") && list.body.contains("in 30 days"), "{}", list.body);
    // Its own address leads to it.
    admin.get(&format!("/console/users/{kit}")).await.goes_to(&page);
    let restore = format!("{page}/restore");
    let looked = viewer.get(&page).await.is(200).says("id=\"role-hint\"").says("the SCIM token &#34;Okta&#34;");
    assert!(!looked.body.contains(&restore));
    viewer.post(&restore, &[]).await.is(403).says("Your role is viewer");

    admin.get(&page).await.is(200).says("It is active at once.").says(&restore);
    let user = format!("/console/users/{kit}");
    admin.post(&restore, &[]).await.goes_to(&user);
    admin.get(&user).await.is(200).says("The user is restored").says("Ops");
    assert_eq!(world.active(&kit).await, Some(true));
    // Sent again, and looked at again.
    admin.post(&restore, &[]).await.goes_to(&user);
    admin.get(&page).await.goes_to(&format!("/console/users/{kit}"));
    admin.get("/console/users/deleted").await.is(200).says("Nobody was deleted lately.");
    admin.get(&format!("/console/groups/{ops}")).await.is(200).says("kit");
}

#[tokio::test]
async fn under_a_taken_name_another_one_is_asked_for_and_gone_groups_are_named() {
    let world = World::start().await;
    let kit = world.user("kit", "Kit").await;
    let ops = world.group("Ops & <Dev>", std::slice::from_ref(&kit)).await;
    world.group("All", std::slice::from_ref(&kit)).await;
    world.deactivate(&kit).await;
    world.delete(&kit).await;
    world.delete_group(&ops).await;
    world.user("KIT", "Another").await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    let page = format!("/console/users/deleted/{kit}");
    let restore = format!("{page}/restore");
    let first = admin.get(&page).await.is(200).says("It stays inactive, as it was.");
    assert!(!first.body.contains("id=\"user-name\""));
    let taken = admin.post(&restore, &[]).await.is(422).says("by now. Restore this one under another");
    assert_eq!(taken.field("user-name"), "");
    let taken = admin.post(&restore, &[("user_name", "kit")]).await.is(422);
    assert_eq!(taken.field("user-name"), "kit");
    assert!(taken.body.contains("aria-describedby=\"error user-name-hint\""));
    let answer = admin.post(&restore, &[("user_name", "kit2")]).await.is(200).says("kit2 is restored");
    let answer = answer.says("Ops &#38; &#60;Dev&#62;").says(&ops).says("It is inactive");
    assert!(answer.body.contains(">All</a>"));
    assert_eq!(world.active(&kit).await, Some(false));
    admin.get(&format!("/console/users/{kit}")).await.is(200).says("kit2").says("inactive");

    // More than the plan has room for.
    world.delete(&kit).await;
    let plan = SetPlanRequest {
        caller: administrator(),
        organization_id: world.organization.clone(),
        plan: "enterprise".to_owned(),
        max_users: Some(1),
        ..Default::default()
    };
    world.organizations.clone().set_plan(plan).await.expect("plan");
    admin.get(&page).await.is(200);
    let full = admin.post(&restore, &[]).await.is(422).says("role=\"alert\"");
    assert!(full.body.contains("plan") && !full.body.contains("id=\"user-name\""), "{}", full.body);
    assert_eq!(world.active(&kit).await, None);
}

#[tokio::test]
async fn deleted_users_are_paged_and_those_of_others_are_nobodys() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for number in 0..60 {
        let id = world.user(&format!("user{number:02}"), "").await;
        world.delete(&id).await;
        ids.push(id);
    }
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let rows = |page: &str| page.matches("<tr><th scope=\"row\">").count();
    let first = owner.get("/console/users/deleted").await.is(200).says("user59");
    let next = first.body.split("id=\"next-page\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
    let next = unescape(next.expect("next"));
    let second = owner.get(&next).await.is(200).says("First page").says("user00");
    assert_eq!((rows(&first.body), rows(&second.body)), (50, 10));
    owner.get("/console/users/deleted?cursor=made-up").await.is(422);

    let other = world.enroll("other", "Other", "enterprise").await;
    let mut stranger = world.signed_in_to(&other, "owner@other.example", AdminRole::Owner).await;
    let page = format!("/console/users/deleted/{}", ids[0]);
    stranger.get(&page).await.is(404);
    stranger.get(&format!("/console/users/{}", ids[0])).await.is(404);
    stranger.get("/console/users/deleted").await.is(200).says("Nobody was deleted lately.");
    stranger.post(&format!("{page}/restore"), &[]).await.is(404);
    assert_eq!(world.active(&ids[0]).await, None);
    // Without the form's own token nothing is restored.
    owner.get(&page).await.is(200);
    owner.send_form(&format!("{page}/restore"), "_token=made-up".to_owned()).await.is(403);
    assert_eq!(world.active(&ids[0]).await, None);
    // Its days of grace are over.
    world.later(31 * DAY);
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    owner.get(&page).await.is(404);
    owner.get("/console").await.is(200);
    owner.post(&format!("{page}/restore"), &[]).await.is(404).says("This user cannot be restored any more");
}

/// Twelve users; all but one lose their access.
pub(crate) async fn held(world: &World) -> (Vec<String>, Hold) {
    let mut users = Vec::new();
    for number in 0..12 {
        users.push(world.user(&format!("user{number}"), "").await);
    }
    for id in &users[..3] {
        world.deactivate(id).await;
    }
    for id in &users[3..11] {
        world.delete(id).await;
    }
    let hold = world.until_hold(HoldState::Open).await;
    (users, hold)
}

#[tokio::test]
async fn a_hold_is_told_of_and_all_of_it_is_restored() {
    let world = World::start().await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    admin.get("/console/holds").await.is(200).says("Nothing was held yet.");
    let quiet = admin.get("/console").await.is(200);
    assert!(!quiet.body.contains("hold-banner"));
    let (users, hold) = held(&world).await;
    let told = admin.get("/console").await.is(200).says("id=\"hold-banner\"");
    assert_eq!(told.body.matches("8 users deleted and 3 deactivated").count(), 1, "{}", told.body);
    admin.get("/console/holds").await.is(200).says("waits for a decision").says("8 users deleted and 3 deactivated");
    let [restore, approve] = ["restore", "approve"].map(|word| format!("/console/holds/{}/{word}", hold.id));
    // Whom it is about stands where it is decided.
    let one = format!("/console/holds/{}", hold.id);
    for path in ["/console/holds", &one, &restore, &approve] {
        let page = admin.get(path).await.is(200).says(&format!("href=\"/console/users/{}\">user0</a>", users[0]));
        let page = page.says(&format!("href=\"/console/users/deleted/{}\">user10</a>", users[10]));
        assert!(!page.body.contains(">user11</a>"), "{path}");
    }
    admin.get("/console/users/deleted").await.is(200).says(">held</span>");
    viewer.get(&one).await.is(200).says("8 users deleted and 3 deactivated");
    viewer.get("/console/holds/made-up").await.is(404);
    viewer.get("/console").await.is(200);
    let looked = viewer.get("/console/holds").await.is(200).says("id=\"role-hint\"");
    assert!(!looked.body.contains(&restore));
    for path in [&restore, &approve] {
        let looked = viewer.get(path).await.is(200);
        assert!(!looked.body.contains("id=\"confirm\""));
        viewer.post(path, &[]).await.is(403).says("Your role is viewer");
    }
    let other = world.enroll("other", "Other", "enterprise").await;
    let mut stranger = world.signed_in_to(&other, "owner@other.example", AdminRole::Owner).await;
    stranger.get("/console").await.is(200);
    stranger.get(&one).await.is(404);
    stranger.get("/console").await.is(200);
    for path in [&restore, &approve] {
        stranger.get(path).await.is(404);
        stranger.get("/console").await.is(200);
        stranger.post(path, &[]).await.is(404);
    }
    assert_eq!(world.holds().await[0].state(), HoldState::Open);

    // The name of one is taken by now.
    let taker = world.user("user5", "").await;
    admin.get(&approve).await.is(200).says("Who was deleted is erased 30 days after the deletion");
    admin.get(&restore).await.is(200).says("Who was deactivated is active again.");
    admin.send_form(&restore, "_token=made-up".to_owned()).await.is(403);
    admin.post(&restore, &[]).await.goes_to("/console/holds");
    let restored = world.until_hold(HoldState::Restored).await;
    assert_eq!((restored.restored, restored.failed), (10, 1));
    for (number, id) in users.iter().enumerate() {
        assert_eq!(world.active(id).await, (number != 5).then_some(true), "{number}");
    }
    for (id, what) in [(&users[0], "Activated"), (&users[10], "Restored as &#34;user10&#34;")] {
        let said = format!("<b>{what}</b> by admin@example.com");
        seen(&mut admin, &format!("/console/users/{id}"), &said).await;
    }
    let failed = format!("href=\"/console/users/deleted/{}\">user5</a>", users[5]);
    let page = admin.get("/console/holds").await.is(200).says("restored in part").says("Could not be restored");
    let page = page.says(&failed).says("admin@example.com").says("by now. Restore this one under another");
    assert!(!page.body.contains("data-again") && !page.body.contains(&restore));
    let done = admin.get("/console").await.is(200);
    assert!(!done.body.contains("hold-banner"));
    admin.get(&restore).await.is(404).says("This was decided");
    admin.get("/console").await.is(200);
    admin.post(&approve, &[]).await.is(404).says("This was decided");

    // One by one, under another name.
    let one = format!("/console/users/deleted/{}", users[5]);
    admin.get(&one).await.is(200);
    admin.post(&format!("{one}/restore"), &[("user_name", "user5b")]).await.is(303);
    admin.get("/console/holds").await.is(200).says("user5b</a>: it is there again.");
    assert_eq!(world.active(&taker).await, Some(true));
}

#[tokio::test]
async fn a_hold_is_approved() {
    let world = World::start().await;
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let (users, hold) = held(&world).await;
    world.later(31 * DAY);
    let mut owner_later = world.signed_in("owner@example.com", AdminRole::Owner).await;
    owner.get("/console").await.is(303);
    // Its days of grace are over, and it is kept.
    owner_later.get("/console/users/deleted").await.is(200).says(">held</span>");
    let page = format!("/console/users/deleted/{}", users[3]);
    owner_later.get(&page).await.is(200).says("not before a decision about");
    let approve = format!("/console/holds/{}/approve", hold.id);
    owner_later.get(&approve).await.is(200).says("Who was deactivated stays so");
    owner_later.post(&approve, &[]).await.goes_to("/console/holds");
    owner_later.get("/console/holds").await.is(200).says(">approved</span>").says("owner@example.com");
    owner_later.get(&page).await.is(404);
    assert_eq!(world.active(&users[0]).await, Some(false));
}

#[tokio::test]
async fn deletion_settings_are_an_owners() {
    let world = World::start().await;
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    let page = admin.get("/console/deletion").await.is(200).says("id=\"role-hint\"");
    assert_eq!((page.field("grace-days"), page.field("hold-percent")), ("30".to_owned(), "20".to_owned()));
    assert!(!page.body.contains("id=\"save-deletion\""));
    admin.post("/console/deletion", &[("grace_days", "7"), ("hold_percent", "5")]).await.is(403);
    owner.get("/console/deletion").await.is(200);
    for (days, percent, wrong) in [
        ("0", "20", &["grace-days-error"][..]),
        ("3651", "20", &["grace-days-error"]),
        ("7", "101", &["hold-percent-error"]),
        ("a week", "", &["grace-days-error", "hold-percent-error"]),
    ] {
        let page = owner.post("/console/deletion", &[("grace_days", days), ("hold_percent", percent)]).await.is(422);
        for field in ["grace-days", "hold-percent"] {
            let error = format!("{field}-error");
            let expected = wrong.contains(&error.as_str());
            assert_eq!(page.body.contains(&format!("id=\"{error}\"")), expected, "{days} {percent}");
            assert_eq!(page.body.contains(&format!("aria-describedby=\"{error} {field}-hint\"")), expected);
        }
        assert_eq!((page.field("grace-days"), page.field("hold-percent")), (days.to_owned(), percent.to_owned()));
    }
    owner.post("/console/deletion", &[("grace_days", "7"), ("hold_percent", "0")]).await.goes_to("/console/deletion");
    let page = owner.get("/console/deletion").await.is(200).says("are saved");
    assert_eq!((page.field("grace-days"), page.field("hold-percent")), ("7".to_owned(), "0".to_owned()));
    owner.get("/console/users/deleted").await.is(200).says("for 7 days");
    owner.get("/console/holds").await.is(200).says("Holds are switched off.");
}
