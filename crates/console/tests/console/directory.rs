//! Users and groups, and that nobody's name is more than a name.

use wire::{
    identity::{AdminRole, CreateGroupRequest, CreateUserRequest, MemberIds},
    ids,
    token::{CreateScimTokenRequest, OAuthGrantType},
};

use crate::harness::{World, administrator, unescape};

/// Each would do something if it were not escaped where it stands.
const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title><svg onload=alert(1)>",
    "javascript:alert(1)//",
    "{{7*7}}{% raw %}",
    "<!--<script>",
    "&lt;b&gt;&#60;i&#62;",
];

impl World {
    pub(crate) async fn user(&self, name: &str, display_name: &str) -> String {
        let resource = serde_json::json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": name, "displayName": display_name, "title": display_name, "active": true,
            "emails": [{"value": format!("{name}@example.com"), "type": "work", "primary": true}],
        });
        let request = CreateUserRequest {
            organization_id: self.organization.clone(),
            caller: administrator(),
            resource_json: resource.to_string().into_bytes().into(),
            idempotency_key: None,
        };
        self.identity.clone().create_user(request).await.expect("user").into_inner().id
    }

    pub(crate) async fn group(&self, name: &str, members: &[String]) -> String {
        let resource = serde_json::json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name,
        });
        let members: Vec<_> = members.iter().map(|id| id.parse().expect("uuid")).collect();
        let request = CreateGroupRequest {
            organization_id: self.organization.clone(),
            caller: administrator(),
            resource_json: resource.to_string().into_bytes().into(),
            members: Some(MemberIds { ids: ids::pack(&members) }),
            mask: None,
            idempotency_key: None,
        };
        self.identity.clone().create_group(request).await.expect("group").into_inner().id
    }
}

#[tokio::test]
async fn users_are_found_by_parts_of_their_names_and_paged() {
    let world = World::start().await;
    for number in 0..120 {
        world.user(&format!("user{number:03}"), &format!("Person {number}")).await;
    }
    let kit = world.user("kit", "Kit \"the\\key\" Moor").await;
    let ops = world.group("Ops", std::slice::from_ref(&kit)).await;
    let all = world.group("Everybody", std::slice::from_ref(&ops)).await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;

    let first = viewer.get("/console/users").await.is(200).says("121 in all").says("kit");
    let next = |page: &str, id: &str| {
        let tag = page.split('<').find(|tag| tag.contains(&format!("id=\"{id}\"")))?;
        tag.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).map(unescape)
    };
    assert_eq!(next(&first.body, "previous-page"), None);
    let second = viewer.get(&next(&first.body, "next-page").expect("next")).await.is(200);
    let third = viewer.get(&next(&second.body, "next-page").expect("next")).await.is(200);
    assert_eq!(next(&third.body, "next-page"), None);
    let rows = |page: &str| page.matches("<tr><th scope=\"row\">").count();
    assert_eq!([&first, &second, &third].map(|page| rows(&page.body)), [50, 50, 21]);
    let back = viewer.get(&next(&third.body, "previous-page").expect("previous")).await.is(200);
    assert_eq!(rows(&back.body), 50);

    // As text of a filter's string, whatever it holds.
    for (words, found) in [
        ("user00", 10),
        ("PERSON+11", 11),
        ("the%5Ckey", 1),
        ("%22the", 1),
        ("%22+or+userName+pr+or+x+eq+%22", 0),
        ("%25", 0),
    ] {
        let page = viewer.get(&format!("/console/users?q={words}")).await.is(200);
        assert_eq!(rows(&page.body), found, "{words}");
    }
    let user = viewer.get(&format!("/console/users/{kit}")).await.is(200).says("emails (work), primary").says("Ops");
    user.says("Everybody").says("through another group");
    viewer.get("/console/groups?q=very").await.is(200).says("Everybody").says("1 found");
    viewer.get(&format!("/console/groups/{ops}")).await.is(200).says(&format!("/console/users/{kit}"));
    viewer.get(&format!("/console/groups/{all}")).await.is(200).says(&format!("/console/groups/{ops}"));
    viewer.get("/console").await.is(200).says("<b id=\"users-total\">121</b>").says("<b id=\"groups-total\">2</b>");
    world.deactivate(&kit).await;
    for (query, found) in [
        ("state=inactive", 1),
        ("state=inactive&q=kit", 1),
        ("state=active&q=kit", 0),
        ("state=active&q=user00", 10),
        ("state=made-up&q=kit", 1),
    ] {
        let page = viewer.get(&format!("/console/users?{query}")).await.is(200);
        assert_eq!(rows(&page.body), found, "{query}");
    }
    let active = viewer.get("/console/users?state=active").await.is(200).says("120 found");
    let second = viewer.get(&next(&active.body, "next-page").expect("next")).await.is(200).says("120 found");
    assert_eq!(rows(&second.body), 50);
    viewer.get("/console/users/kit").await.is(404);
    viewer.get(&format!("/console/users/{ops}")).await.is(404);
    viewer.get("/console/users?cursor=made-up").await.is(404).says("There is no such page");
}

#[tokio::test]
async fn members_are_paged() {
    let world = World::start().await;
    let mut members = Vec::new();
    for number in 0..60 {
        members.push(world.user(&format!("m{number}"), "").await);
    }
    let group = world.group("Many", &members).await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    let first = viewer.get(&format!("/console/groups/{group}")).await.is(200);
    let rows = |page: &str| page.matches("<tr><th scope=\"row\">").count();
    assert_eq!(rows(&first.body), 50);
    let next =
        first.body.split("id=\"next-page\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).map(unescape);
    let second = viewer.get(&next.expect("next")).await.is(200).says("First page");
    assert_eq!(rows(&second.body), 10);
}

#[tokio::test]
async fn another_organizations_users_and_groups_are_nobodys() {
    let world = World::start().await;
    let user = world.user("kit", "Kit").await;
    let group = world.group("Ops", std::slice::from_ref(&user)).await;
    let other = world.enroll("other", "Other", "enterprise").await;
    let mut stranger = world.signed_in_to(&other, "owner@other.example", AdminRole::Owner).await;
    for path in [format!("/console/users/{user}"), format!("/console/groups/{group}")] {
        stranger.get(&path).await.is(404);
    }
    for path in ["/console/users", "/console/users?q=kit", "/console/groups"] {
        let page = stranger.get(path).await.is(200);
        assert!(!page.body.contains("Kit") && !page.body.contains("Ops"));
    }
}

#[tokio::test]
async fn a_hostile_name_is_text_in_every_view() {
    let world = World::start().await;
    let mut names = 0;
    for hostile in HOSTILE {
        let organization = world.enroll(&format!("h{names}"), &format!("Org {hostile}"), "enterprise").await;
        names += 1;
        let world = World { organization, ..World::start_beside(&world) };
        let user = world.user(&format!("u{names}"), hostile).await;
        let gone = world.user(&format!("u{names} {hostile}"), hostile).await;
        world.delete(&gone).await;
        let group = world.group(&format!("G {hostile}"), std::slice::from_ref(&user)).await;
        let token = CreateScimTokenRequest {
            organization_id: world.organization.clone(),
            caller: administrator(),
            description: format!("T {hostile}"),
            ..Default::default()
        };
        let token = world.tokens.clone().create_scim_token(token).await.expect("token").into_inner();
        let token = token.token.expect("token").id;
        let client = wire::token::CreateOAuthClientRequest {
            organization_id: world.organization.clone(),
            caller: administrator(),
            name: format!("C {hostile}"),
            grant_types: vec![OAuthGrantType::ClientCredentials.into()],
            oauth_entitled: true,
            ..Default::default()
        };
        let client = world.oauth.clone().create_o_auth_client(client).await.expect("client").into_inner();
        let client = client.client.expect("client").id;
        let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
        let encoded = form_urlencoded::byte_serialize(hostile.as_bytes()).collect::<String>();
        for path in [
            "/console".to_owned(),
            "/console/users".to_owned(),
            format!("/console/users?q={encoded}"),
            format!("/console/users/{user}"),
            format!("/console/users/{user}/unlink"),
            "/console/users/deleted".to_owned(),
            format!("/console/users/deleted/{gone}"),
            "/console/groups".to_owned(),
            format!("/console/groups?q={encoded}"),
            format!("/console/groups/{group}"),
            "/console/scim/tokens".to_owned(),
            format!("/console/scim/tokens/{token}/rotate"),
            format!("/console/scim/tokens/{token}/revoke"),
            "/console/scim/clients".to_owned(),
            format!("/console/scim/clients/{client}/rotate"),
            format!("/console/scim/clients/{client}/revoke"),
            format!("/console/scim?done={encoded}"),
            format!("/console/sign-in?organization={encoded}&return_to={encoded}"),
            format!("/console/sign-in/start?organization={encoded}"),
            format!("/console/sign-in/callback/{encoded}?state=x&error={encoded}&error_description={encoded}"),
        ] {
            let page = owner.get(&path).await;
            assert!(page.status.as_u16() < 500, "{path}: {}", page.status);
            tags_are_ours(&page.body, &path);
        }
    }
}

/// Nothing that a name could have brought: each tag is one that the templates have, with no handler and no address elsewhere.
fn tags_are_ours(page: &str, path: &str) {
    for tag in page.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
        assert!(!matches!(name, "img" | "b&gt;" | "i" | "!--"), "{path}: <{tag}>");
        assert!(name != "svg" || tag.starts_with("svg class=\"chart\" ") || tag == "/svg", "{path}: <{tag}>");
        assert!(
            name != "script" || tag.starts_with("script type=\"module\" src=\"/console/assets/") || tag == "/script",
            "{path}: <{tag}>"
        );
        for attribute in tag.split(['"', '\'']).step_by(2) {
            assert!(!attribute.contains(" on") && !attribute.contains("javascript:"), "{path}: <{tag}>");
        }
        for address in tag.split("href=\"").skip(1).chain(tag.split("action=\"").skip(1)) {
            assert!(
                address.starts_with("/console") || address.starts_with("#main") || address.starts_with("data:,"),
                "{path}: <{tag}>"
            );
        }
    }
}
