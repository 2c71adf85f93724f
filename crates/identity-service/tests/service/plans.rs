//! What a plan allows: issue 5 item 6.

use serde_json::{Value, json};
use wire::{
    Entitlement, Reason, Refusal,
    identity::{self as proto, group_change::Change},
};

use crate::{
    statements::{counted_on_both, recorded, users_exist},
    world::{World, administrator, bytes, ids, json_of, kit, on_both, reason, replace},
};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;
const HOUR: i64 = DAY / 24;

fn refusal<T: std::fmt::Debug>(result: Result<T, tonic::Status>) -> Refusal {
    wire::refusal(&result.expect_err("refused"))
}

/// The deltas of an organization's events of one type, once there are this many.
async fn told(world: &World, org: &str, kind: &str, at_least: usize) -> Vec<Value> {
    for _ in 0..500 {
        let events = world.events(org, 0).await;
        let deltas: Vec<Value> =
            events.iter().filter(|event| event.r#type == kind).map(|event| json_of(&event.delta_json)).collect();
        if deltas.len() >= at_least {
            return deltas;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no {kind} after ten seconds");
}

async fn shown(world: &World, org: &str) -> proto::Organization {
    let key = Some(proto::get_organization_request::Key::Id(org.to_owned()));
    let request = proto::GetOrganizationRequest { key };
    world.organizations.clone().get_organization(request).await.expect("get").into_inner()
}

#[tokio::test]
async fn a_plan_is_for_so_many_users() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let terms = proto::SetPlanRequest { max_users: Some(2), ..Default::default() };
        assert_eq!(world.plan(&org, terms).await.max_users, Some(2));
        let first = world.user(&org, "a@x").await.id;
        world.create_with(&org, "b@example.com", "k1").await.expect("the second");
        let full = shown(&world, &org).await;
        assert_eq!((full.users, full.max_users, full.scim_entitled), (Some(2), Some(2), true));

        let refused = refusal(world.create(&org, &kit("c@x")).await);
        assert_eq!((refused.reason, refused.entitlement), (Reason::PlanLapsed, Some(Entitlement::MaxUsers)));
        assert!(refused.message.contains("2 users") && refused.message.contains("extend the plan"), "{refused:?}");
        let keyed = refusal(world.create_with(&org, "c@example.com", "k2").await);
        assert_eq!(keyed, refused);
        // Whoever asks; and what was made before is still the answer to its key.
        let request = proto::CreateUserRequest {
            organization_id: org.clone(),
            caller: administrator(),
            resource_json: bytes(&kit("c@x")).into(),
            idempotency_key: None,
        };
        assert_eq!(refusal(world.identity.clone().create_user(request).await), refused);
        world.create_with(&org, "b@example.com", "k1").await.expect("as before");
        assert_eq!(world.found(&org, "").await.expect("list").len(), 2);

        // All else goes on.
        let group = world.group(&org, "Ops", &[&first]).await.id;
        world.patch(&org, &first, vec![replace("active", &json!(false))]).await.expect("deactivated");
        world.patch(&org, &first, vec![replace("active", &json!(true))]).await.expect("activated");
        world.put_group(&org, &group, "Ops", Some(&[])).await.expect("taken out");
        world.delete(&org, &first).await.expect("deleted");
        world.user(&org, "c@x").await;
        assert_eq!(reason(world.create(&org, &kit("d@x")).await), Reason::PlanLapsed);
        // Less than there are: nobody goes, and nobody comes until enough have left.
        world.plan(&org, proto::SetPlanRequest { max_users: Some(0), ..Default::default() }).await;
        assert_eq!(world.found(&org, "").await.expect("list").len(), 2);
        world.plan(&org, proto::SetPlanRequest::default()).await;
        world.user(&org, "d@x").await;
        let other = world.organization("other").await;
        world.user(&other, "c@x").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maximum_costs_a_create_no_statement_and_no_count_of_users() {
    counted_on_both(async |world| {
        let org = world.organization("acme").await;
        users_exist(&world, &org, 10);
        world.plan(&org, proto::SetPlanRequest { max_users: Some(100), ..Default::default() }).await;
        world.user(&org, "warm@x").await;
        let (created, statements) = recorded(world.create(&org, &kit("kit@x"))).await;
        created.expect("created");
        let own: Vec<_> = statements.iter().filter(|text| !text.contains("schema_extension")).collect();
        assert!(own.iter().all(|text| !text.contains("FROM scim_user")), "{own:#?}");
        if !world.is_sqlite() {
            let data = own.iter().filter(|text| text.contains("scim_user")).count();
            assert_eq!(data, 1, "{own:#?}");
            let others = own.iter().filter(|text| text.contains("SELECT") && !text.contains("scim_user"));
            assert_eq!(others.filter(|text| **text != "SELECT 1").count(), 0, "{own:#?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_ends_holds_for_its_days_of_grace_and_the_organization_is_told() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        let end = world.now() + HOUR;
        let terms = proto::SetPlanRequest { expires_at: Some(wire::to_timestamp(end)), ..Default::default() };
        let set = world.plan(&org, terms.clone()).await;
        assert_eq!(set.plan_grace_ends_at, Some(wire::to_timestamp(end + 14 * DAY)), "14 days by default");
        assert!(set.scim_entitled && set.oauth_entitled);
        let kit_id = world.user(&org, "kit@x").await.id;
        let group = world.group(&org, "Ops", &[&kit_id]).await.id;

        world.later(HOUR);
        world.user(&org, "in-grace@x").await;
        assert!(shown(&world, &org).await.scim_entitled);
        // The task looks once a minute, and whenever a plan is set.
        let other = world.organization("other").await;
        world.plan(&other, proto::SetPlanRequest::default()).await;
        let lapsed = told(&world, &org, "organization.plan_lapsed", 1).await;
        assert_eq!(lapsed[0]["plan_grace_ends_at"], json!(store::Instant::from_micros(end + 14 * DAY).to_string()));
        // Neither another look nor another process tells it twice.
        world.plan(&other, proto::SetPlanRequest { max_users: Some(9), ..Default::default() }).await;
        let second = world.reopen().await;
        second.shutdown().await;

        world.later(14 * DAY);
        let after = shown(&world, &org).await;
        assert!(!after.scim_entitled && !after.oauth_entitled && after.scim_enabled);
        let refused = refusal(world.create(&org, &kit("late@x")).await);
        assert_eq!((refused.reason, refused.entitlement), (Reason::PlanLapsed, Some(Entitlement::Scim)));
        assert!(refused.message.contains("renew the plan"), "{refused:?}");
        assert_eq!(reason(world.group_with(&org, "Late", &[]).await), Reason::PlanLapsed);
        let out = vec![Change::RemoveMembers(ids(&[&kit_id]))];
        world.patch_group(&org, &group, out).await.expect("taken out");
        world.patch(&org, &kit_id, vec![replace("active", &json!(false))]).await.expect("deactivated");
        world.delete(&org, &kit_id).await.expect("deleted");
        world.delete_group(&org, &group).await.expect("deleted");
        assert_eq!(told(&world, &org, "organization.plan_ended", 1).await.len(), 1);
        assert_eq!(told(&world, &org, "organization.plan_lapsed", 1).await.len(), 1);
        assert_eq!(told(&world, &org, "organization.plan_refused", 1).await[0]["entitlement"], json!("scim"));

        // Renewed, and it ends again.
        world.plan(&org, proto::SetPlanRequest { grace_days: Some(3), ..terms }).await;
        assert_eq!(told(&world, &org, "organization.plan_ended", 2).await.len(), 2);
        world.plan(&org, proto::SetPlanRequest { oauth: Some(false), ..Default::default() }).await;
        let renewed = shown(&world, &org).await;
        assert!(renewed.scim_entitled && !renewed.oauth_entitled);
        world.user(&org, "late@x").await;
    })
    .await;
}

#[tokio::test]
async fn refusals_are_events_and_a_client_that_goes_on_makes_few() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.plan(&org, proto::SetPlanRequest { max_users: Some(0), ..Default::default() }).await;
        let count = |deltas: &[Value]| deltas.iter().map(|delta| delta["refused"].as_u64().expect("n")).sum::<u64>();
        for n in 0..30 {
            assert_eq!(reason(world.create(&org, &kit(&format!("{n}@x"))).await), Reason::PlanLapsed);
            if n == 0 {
                assert_eq!(count(&told(&world, &org, "organization.plan_refused", 1).await), 1);
            }
        }
        assert_eq!(told(&world, &org, "organization.plan_refused", 1).await.len(), 1);
        world.later(HOUR);
        assert_eq!(reason(world.create(&org, &kit("31@x")).await), Reason::PlanLapsed);
        let deltas = told(&world, &org, "organization.plan_refused", 2).await;
        assert_eq!((deltas.len(), count(&deltas)), (2, 31));
        assert_eq!(reason(world.create(&org, &kit("32@x")).await), Reason::PlanLapsed);
        // What is not told yet is told at the end.
        world.service.shutdown().await;
        let deltas = told(&world, &org, "organization.plan_refused", 3).await;
        assert_eq!((deltas.len(), count(&deltas)), (3, 32));
        assert!(deltas.iter().all(|delta| delta["entitlement"] == "max_users"));
    })
    .await;
}

#[tokio::test]
async fn a_gateway_of_the_release_before_knows_the_refusal() {
    on_both(async |world| {
        let org = world.organization("acme").await;
        world.plan(&org, proto::SetPlanRequest { max_users: Some(0), ..Default::default() }).await;
        let status = world.create(&org, &kit("kit@x")).await.expect_err("refused");
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        assert_eq!(wire::refusal(&status).reason.as_str(), "PLAN_LAPSED");
        let request = proto::SetPlanRequest {
            caller: administrator(),
            organization_id: org.clone(),
            plan: "enterprise".to_owned(),
            grace_days: Some(4000),
            ..Default::default()
        };
        assert_eq!(reason(world.organizations.clone().set_plan(request).await), Reason::InvalidArgument);
    })
    .await;
}
