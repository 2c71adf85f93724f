//! What happened to a user or group, and the requests of a week, as the provisioning log has them.

use store::Clock;
use wire::{
    common::Caller,
    identity::{
        AdminRole, GroupChange, MemberIds, PatchGroupRequest, PatchOp, PatchOperation, PatchUserRequest,
        ReportRequestsRequest, RequestCount, group_change::Change,
        provisioning_log_service_client::ProvisioningLogServiceClient,
    },
    ids,
};

use crate::{
    harness::{Browser, World, administrator, unescape},
    safety::held,
};

impl World {
    async fn replace(&self, caller: Option<Caller>, id: &str, path: &str, value: &str) {
        let operation = PatchOperation {
            op: PatchOp::Replace.into(),
            path: path.to_owned(),
            value_json: value.as_bytes().to_vec().into(),
        };
        let request = PatchUserRequest {
            organization_id: self.organization.clone(),
            caller,
            id: id.to_owned(),
            operations: vec![operation],
            ..Default::default()
        };
        self.identity.clone().patch_user(request).await.expect("changed");
    }
}

/// The page, once it has this text: events are numbered a moment after the change.
pub(crate) async fn seen(browser: &mut Browser, path: &str, text: &str) -> String {
    for _ in 0..200 {
        let page = browser.get(path).await.is(200).body;
        if page.contains(text) {
            return page;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{text:?} is not in\n{}", browser.get(path).await.body);
}

#[tokio::test]
async fn what_happened_to_a_user_is_told_newest_first_and_paged() {
    let world = World::start().await;
    let okta = world.token("Okta <1>").await;
    let kit = world.user("kit", "Kit").await;
    for number in 0..25 {
        world.replace(administrator(), &kit, "title", &format!("\"<b>T{number}\"")).await;
    }
    world.replace(okta, &kit, "active", "false").await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    let path = format!("/console/users/{kit}");
    let page = seen(&mut viewer, &path, "<b>Deactivated</b> by the SCIM token &#34;Okta &#60;1&#62;&#34;").await;
    assert!(page.contains("<del>&#60;b&#62;T23</del>") && page.contains("<span class=\"after\">&#60;b&#62;T24</span>"));
    assert!(page.find("Deactivated</b>") < page.find("T24</span>") && page.find("T24</span>") < page.find("T7</span>"));
    assert!(!page.contains("T5</span>") && !page.contains("<b>Created") && !page.contains("newest-events"));
    let link = page.split("id=\"older-events\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).map(unescape);
    let link = link.expect("older").replace("#history", "");
    let page = viewer.get(&link).await.is(200).says("<b>Created as &#34;kit&#34;</b> by test").says("newest-events");
    let page = page.says("T0</span>");
    assert!(!page.body.contains("older-events") && !page.body.contains("T24</span>"), "{}", page.body);
    // Who made it stands in the record, where it is known.
    assert!(page.body.contains("</time> by test</dd>"));
    viewer.get(&format!("{path}?before=made-up")).await.is(200).says("Deactivated");

    world.delete(&kit).await;
    let path = format!("/console/users/deleted/{kit}");
    seen(&mut viewer, &path, "<b>Deleted, to be restored until").await;
}

#[tokio::test]
async fn members_that_came_and_went_are_named() {
    let world = World::start().await;
    let mut members = Vec::new();
    for number in 0..8 {
        members.push(world.user(&format!("m{number}"), "").await);
    }
    let ops = world.group("Ops", &members[..2]).await;
    let change = |change: Change| GroupChange { change: Some(change) };
    let some = |ids: &[String]| {
        let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.parse().expect("uuid")).collect();
        MemberIds { ids: ids::pack(&ids) }
    };
    let request = PatchGroupRequest {
        organization_id: world.organization.clone(),
        caller: administrator(),
        id: ops.clone(),
        changes: vec![
            change(Change::AddMembers(some(&members[2..]))),
            change(Change::RemoveMembers(some(&members[..1]))),
        ],
        ..Default::default()
    };
    world.identity.clone().patch_group(request).await.expect("changed");
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    let page =
        seen(&mut viewer, &format!("/console/groups/{ops}"), "<b>6 members added and 1 removed</b> by test").await;
    assert!(page.contains("and 1 more</p>"), "{page}");
    assert!(page.contains(&format!("Removed: <a href=\"/console/users/{}\">m0</a>", members[0])), "{page}");
    assert!(
        page.contains("<b>2 members added</b> by test") && page.contains("<b>Created as &#34;Ops&#34;</b> by test")
    );
}

#[tokio::test]
async fn the_overview_draws_the_requests_of_a_week() {
    let world = World::start().await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    let page = viewer.get("/console").await.is(200).says("No request was counted in these days.");
    assert!(!page.body.contains("<svg"));
    let hour = 60 * 60 * 1_000_000;
    let now = Clock::system().now().as_micros() / hour * hour;
    let count = |organization_id: &str, hours_ago: i64, changed: u64, refused: u64| RequestCount {
        organization_id: organization_id.to_owned(),
        hour: Some(wire::to_timestamp(now - hours_ago * hour)),
        changed,
        refused,
        ..Default::default()
    };
    let other = world.enroll("other", "Other", "enterprise").await;
    let request = ReportRequestsRequest {
        requests: Vec::new(),
        counts: vec![
            count(&world.organization, 0, 1200, 4),
            count(&world.organization, 48, 300, 0),
            count(&world.organization, 24 * 9, 7777, 0),
            count(&other, 0, 9999, 0),
        ],
    };
    let mut log = ProvisioningLogServiceClient::new(world.transports[0].clone());
    log.report_requests(request).await.expect("reported");
    let page = viewer.get("/console").await.is(200);
    let page = page.says("1,504 requests in 7 days; 4 of them were refused or failed.").says("<svg class=\"chart\"");
    let page = page.says("<td>1,204</td><td>4</td>").says("<td>300</td><td>0</td>");
    assert!(!page.body.contains("7,777") && !page.body.contains("9,999") && !page.body.contains("style="));
}

#[tokio::test]
async fn a_hold_says_who_took_the_access_away() {
    let world = World::start().await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    held(&world).await;
    seen(&mut viewer, "/console/holds", "<dt>By</dt><dd>test</dd>").await;
}
