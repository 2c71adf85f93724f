//! Organizations and their settings: issue 2 item 9.

use wire::{
    Reason,
    identity::{self as proto, get_organization_request::Key},
};

use crate::world::{World, administrator, client, on_both, reason, refused};

async fn create(world: &World, slug: &str, name: &str, plan: &str) -> Result<proto::Organization, tonic::Status> {
    let request = proto::CreateOrganizationRequest {
        caller: administrator(),
        slug: slug.to_owned(),
        name: name.to_owned(),
        plan: plan.to_owned(),
    };
    Ok(world.organizations.clone().create_organization(request).await?.into_inner())
}

async fn get(world: &World, key: Key) -> Result<proto::Organization, tonic::Status> {
    let request = proto::GetOrganizationRequest { key: Some(key) };
    Ok(world.organizations.clone().get_organization(request).await?.into_inner())
}

#[tokio::test]
async fn an_organization_is_found_by_id_and_by_slug() {
    on_both(async |world| {
        let acme = create(&world, "acme", "Acme & Söhne", "enterprise").await.expect("create");
        assert_eq!((acme.plan.as_str(), acme.scim_entitled, acme.scim_enabled), ("enterprise", true, false));
        assert_eq!((acme.requests_per_second, acme.plan_expires_at), (None, None));
        assert_eq!(get(&world, Key::Id(acme.id.clone())).await.expect("by id"), acme);
        assert_eq!(get(&world, Key::Slug("acme".to_owned())).await.expect("by slug"), acme);
        assert_eq!(create(&world, "small", "Small", "").await.expect("create").plan, "free");

        let (given, message) = refused(create(&world, "acme", "Other", "").await);
        assert_eq!((given, message.contains("\"acme\"")), (Reason::Uniqueness, true));
        for (slug, name, plan) in
            [("", "x", ""), ("Acme", "x", ""), ("-a", "x", ""), ("b", "", ""), ("b", "x", "gold"), ("a b", "x", "")]
        {
            assert_eq!(reason(create(&world, slug, name, plan).await), Reason::InvalidArgument, "{slug:?} {name:?}");
        }
        for key in [
            Key::Id("acme".to_owned()),
            Key::Id(uuid::Uuid::from_u128(1).to_string()),
            Key::Slug("none".to_owned()),
            Key::Slug("\0".to_owned()),
        ] {
            assert_eq!(reason(get(&world, key).await), Reason::OrganizationNotFound);
        }
    })
    .await;
}

#[tokio::test]
async fn organizations_are_listed_by_slug() {
    on_both(async |world| {
        for slug in ["b-2", "a", "c", "b", "b1"] {
            create(&world, slug, slug, "").await.expect("create");
        }
        let mut organizations = world.organizations.clone();
        let mut page = async |token: &str| {
            let request = proto::ListOrganizationsRequest { page_size: 2, page_token: token.to_owned() };
            let answer = organizations.list_organizations(request).await.expect("list").into_inner();
            let slugs: Vec<String> = answer.organizations.into_iter().map(|this| this.slug).collect();
            (slugs, answer.next_page_token)
        };
        let (first, token) = page("").await;
        let (second, token) = page(&token).await;
        let (third, end) = page(&token).await;
        assert_eq!([first, second, third].concat(), ["a", "b", "b-2", "b1", "c"]);
        assert_eq!(end, "");
    })
    .await;
}

#[tokio::test]
async fn settings_change_and_say_so() {
    on_both(async |world| {
        let org = create(&world, "acme", "Acme", "free").await.expect("create").id;
        let enable = |enabled, caller| proto::SetScimEnabledRequest { caller, organization_id: org.clone(), enabled };
        let mut organizations = world.organizations.clone();
        let refusal = reason(organizations.set_scim_enabled(enable(true, administrator())).await);
        assert_eq!(refusal, Reason::PlanLapsed);
        let refusal = reason(organizations.set_scim_enabled(enable(true, client())).await);
        assert_eq!(refusal, Reason::InvalidArgument);
        assert_eq!(reason(organizations.set_scim_enabled(enable(true, None)).await), Reason::InvalidArgument);

        let end = world.now() + 10;
        let plan = |plan: &str, end: Option<i64>| proto::SetPlanRequest {
            caller: administrator(),
            organization_id: org.clone(),
            plan: plan.to_owned(),
            expires_at: end.map(wire::to_timestamp),
            grace_days: Some(0),
            ..Default::default()
        };
        let changed = organizations.set_plan(plan("enterprise", Some(end))).await.expect("plan").into_inner();
        assert!(changed.scim_entitled && changed.plan_expires_at == Some(wire::to_timestamp(end)));
        assert_eq!(reason(organizations.set_plan(plan("gold", None)).await), Reason::InvalidArgument);
        assert_eq!(reason(organizations.set_plan(plan("", None)).await), Reason::InvalidArgument);
        assert_eq!(reason(organizations.set_plan(plan("free", Some(i64::MAX))).await), Reason::InvalidArgument);
        world.later(1);
        let on = organizations.set_scim_enabled(enable(true, administrator())).await.expect("on").into_inner();
        assert!(on.scim_enabled);
        assert_eq!(on.modified_at, Some(wire::to_timestamp(world.now())));
        organizations.set_scim_enabled(enable(true, administrator())).await.expect("still on");
        let limit = |n| proto::SetRequestLimitRequest {
            caller: administrator(),
            organization_id: org.clone(),
            requests_per_second: n,
        };
        let limited = organizations.set_request_limit(limit(Some(u32::MAX))).await.expect("limit").into_inner();
        assert_eq!(limited.requests_per_second, Some(u32::MAX));
        let unlimited = organizations.set_request_limit(limit(Some(0))).await.expect("limit").into_inner();
        assert_eq!(unlimited.requests_per_second, Some(0));
        let default = organizations.set_request_limit(limit(None)).await.expect("limit").into_inner();
        assert_eq!(default.requests_per_second, None);
        world.later(10);
        let lapsed = get(&world, Key::Id(org.clone())).await.expect("get");
        assert!(!lapsed.scim_entitled && lapsed.scim_enabled);
        let off = organizations.set_scim_enabled(enable(false, administrator())).await.expect("off").into_inner();
        assert!(!off.scim_enabled);

        let kinds: Vec<String> = world.events(&org, 7).await.into_iter().map(|event| event.r#type).collect();
        assert_eq!(
            kinds,
            [
                "organization.created",
                "organization.plan_changed",
                "organization.scim_enabled",
                "organization.request_limit_changed",
                "organization.request_limit_changed",
                "organization.request_limit_changed",
                "organization.scim_disabled",
            ]
        );
    })
    .await;
}
