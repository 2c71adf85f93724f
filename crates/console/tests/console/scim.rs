//! SCIM Configuration: switch, tokens, OAuth clients, guides.

use wire::{
    identity::{AdminRole, GetOrganizationRequest, get_organization_request::Key},
    token::{ListScimTokensRequest, ScimToken, VerifyRequest},
};

use crate::harness::{Answer, Browser, World, encode};

impl World {
    async fn list(&self) -> Vec<ScimToken> {
        let request = ListScimTokensRequest { organization_id: self.organization.clone() };
        self.tokens.clone().list_scim_tokens(request).await.expect("list").into_inner().tokens
    }

    async fn valid(&self, secret: &str) -> bool {
        use ring::digest::{SHA256, digest};
        let secret_sha256 = digest(&SHA256, secret.as_bytes()).as_ref().to_vec().into();
        let request = VerifyRequest { secret_sha256, restrictions_enforced: true };
        self.tokens.clone().verify(request).await.is_ok()
    }
}

const ALL: [(&str, &str); 4] =
    [("scope", "users:read"), ("scope", "users:write"), ("scope", "groups:read"), ("scope", "groups:write")];

async fn create(browser: &mut Browser, fields: &[(&str, &str)]) -> Answer {
    browser.get("/console/scim/tokens/new").await.is(200);
    browser.post("/console/scim/tokens", fields).await
}

#[tokio::test]
async fn the_switch_is_turned_and_the_change_names_who_did() {
    let world = World::start().await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    admin.get("/console/scim").await.is(200).says("aria-checked=\"false\"").says("https://scim.example.com/scim/v2");
    admin.post("/console/scim/enabled", &[("enabled", "true")]).await.goes_to("/console/scim");
    let page = admin.get("/console/scim").await.is(200).says("aria-checked=\"true\"").says("id=\"notice\"");
    assert!(!page.body.contains("disabled"));
    let request = GetOrganizationRequest { key: Some(Key::Id(world.organization.clone())) };
    let organization = world.organizations.clone().get_organization(request).await.expect("organization");
    assert!(organization.get_ref().scim_enabled);
    let request = wire::identity::ListEventsRequest {
        organization_id: world.organization.clone(),
        after_sequence: 0,
        page_size: 1000,
    };
    let mut actors = Vec::new();
    for _ in 0..100 {
        let events = world.identity.clone().list_events(request.clone()).await.expect("events").into_inner().events;
        actors = events.iter().map(|event| String::from_utf8_lossy(&event.actor_json).into_owned()).collect();
        if actors.iter().any(|actor| actor.contains("admin@example.com") && actor.contains("req-1")) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{actors:?}");
}

#[tokio::test]
async fn without_the_plan_the_switch_is_off_and_says_what_it_needs() {
    let world = World::start().await;
    let free = world.enroll("free", "Free", "free").await;
    let mut owner = world.signed_in_to(&free, "owner@free.example", AdminRole::Owner).await;
    let page = owner.get("/console/scim").await.is(200).says("id=\"plan-gate\"").says("<b>enterprise</b>");
    assert!(page.body.contains("aria-describedby=\"switch-hint\" disabled"));
    owner.post("/console/scim/enabled", &[("enabled", "true")]).await.is(403).says("plan");
    owner.get("/console/scim/clients").await.is(200).says("id=\"plan-gate\"");
}

#[tokio::test]
async fn a_token_is_shown_once_and_a_reload_makes_no_other() {
    let world = World::start().await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    admin.get("/console/scim/tokens/new").await.is(200);
    let (token, once) = (admin.hidden("_token"), admin.hidden("_once"));
    let mut fields = vec![("_token", &*token), ("_once", &*once), ("description", "Okta <prod>"), ("ttl_days", "90")];
    fields.extend(ALL);
    let body = encode(&fields);
    let made = admin.send_form("/console/scim/tokens", body.clone()).await.is(200);
    let secret = made.field("secret");
    assert!(secret.starts_with("rc_scim_") && made.header("location").is_empty());
    assert_eq!(made.header("cache-control"), "no-store");
    assert_eq!(made.field("scim-url"), "https://scim.example.com/scim/v2");
    assert!(made.cookies().iter().all(|cookie| !cookie.contains("rc_scim_")));
    assert!(world.valid(&secret).await);
    // Reloaded.
    admin.send_form("/console/scim/tokens", body).await.goes_to("/console/scim/tokens");
    let listed = admin.get("/console/scim/tokens").await.is(200).says("Okta &#60;prod&#62;").says("admin@example.com");
    assert!(!listed.body.contains("rc_scim_"));
    let tokens = world.list().await;
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].scopes.is_empty() || tokens[0].scopes.len() == 4);
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_said_beside_what_was_typed() {
    let world = World::start().await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    for (fields, said) in [
        (vec![("description", "x")], "Choose at least one"),
        (vec![("description", ""), ("scope", "users:read")], "role=\"alert\""),
        (vec![("description", "x"), ("ttl_days", "many"), ("scope", "users:read")], "whole number"),
        (vec![("description", "x"), ("ttl_days", "99999"), ("scope", "users:read")], "role=\"alert\""),
        (vec![("description", "x"), ("scope", "users:read"), ("cidrs", "nowhere")], "nowhere"),
        (vec![("description", "x"), ("scope", "everything")], "role=\"alert\""),
    ] {
        let page = create(&mut admin, &fields).await.is(422).says(said);
        if fields[0].1 == "x" {
            assert_eq!(page.field("description"), "x");
        }
    }
    assert!(world.list().await.is_empty());
    let fields =
        [("description", "Narrow"), ("ttl_days", ""), ("scope", "users:read"), ("cidrs", "203.0.113.0/24\n10.0.0.0/8")];
    create(&mut admin, &fields).await.is(200);
    let token = &world.list().await[0];
    assert_eq!((&*token.scopes, token.allowed_cidrs.len()), (&["users:read".to_owned()][..], 2));
}

#[tokio::test]
async fn a_token_gives_way_to_its_successor_and_is_revoked_after_a_question() {
    let world = World::start().await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    let mut fields = vec![("description", "Okta")];
    fields.extend(ALL);
    let first = create(&mut admin, &fields).await.is(200).field("secret");
    let id = world.list().await[0].id.clone();
    admin.get(&format!("/console/scim/tokens/{id}/rotate")).await.is(200).says("Rotate \"Okta\"");
    let fields = [("ttl_days", "30"), ("deadline_hours", "24")];
    let second = admin.post(&format!("/console/scim/tokens/{id}/rotate"), &fields).await.is(200).field("secret");
    assert!(world.valid(&first).await);
    let page = admin.get(&format!("/console/scim/tokens/{id}/retire")).await.is(200);
    assert!(page.body.contains("name=\"force\""));
    admin.post(&format!("/console/scim/tokens/{id}/retire"), &[]).await.is(422).says("role=\"alert\"");
    admin.get(&format!("/console/scim/tokens/{id}/retire")).await.is(200);
    admin.post(&format!("/console/scim/tokens/{id}/retire"), &[("force", "true")]).await.is(303);
    assert!(!world.valid(&first).await && world.valid(&second).await);

    let tokens = world.list().await;
    let successor = &tokens.iter().find(|token| token.id != id).expect("successor").id;
    admin.get(&format!("/console/scim/tokens/{successor}/revoke")).await.is(200).says("Okta");
    assert!(world.valid(&second).await, "a question changes nothing");
    admin.post(&format!("/console/scim/tokens/{successor}/revoke"), &[]).await.goes_to("/console/scim/tokens");
    assert!(!world.valid(&second).await);
}

#[tokio::test]
async fn another_organizations_tokens_and_clients_are_nobodys() {
    let world = World::start().await;
    let other = world.enroll("other", "Other", "enterprise").await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    let mut fields = vec![("description", "Okta")];
    fields.extend(ALL);
    let secret = create(&mut admin, &fields).await.is(200).field("secret");
    let id = world.list().await[0].id.clone();
    let mut stranger = world.signed_in_to(&other, "owner@other.example", AdminRole::Owner).await;
    for what in ["rotate", "retire", "revoke"] {
        stranger.get(&format!("/console/scim/tokens/{id}/{what}")).await.is(404);
        stranger.get("/console/scim/tokens/new").await.is(200);
        stranger.post(&format!("/console/scim/tokens/{id}/{what}"), &[("force", "true")]).await.is(404);
    }
    assert!(world.valid(&secret).await);
}

#[tokio::test]
async fn an_oauth_client_is_made_approved_rotated_and_revoked() {
    let world = World::start().await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    admin.get("/console/scim/clients").await.is(200).says("new-authorization_code");
    admin.get("/console/scim/clients/new?kind=authorization_code").await.is(200).says("Redirect URIs");
    let mut fields =
        vec![("kind", "authorization_code"), ("name", "Okta"), ("redirect_uris", "https://okta.example/callback")];
    fields.extend(ALL);
    let made = admin.post("/console/scim/clients", &fields).await.is(200);
    assert!(made.field("secret").starts_with("rc_oauth_"));
    assert_eq!(made.field("authorize-url"), "https://scim.example.com/oauth/authorize");
    let id = made.field("client-id");
    admin.get("/console/scim/clients").await.is(200).says("https://okta.example/callback");
    let code = admin.post(&format!("/console/scim/clients/{id}/approve"), &[]).await.is(200).field("secret");
    assert_eq!(code.len(), 19, "{code}");
    admin.get(&format!("/console/scim/clients/{id}/rotate")).await.is(200);
    let rotated = admin.post(&format!("/console/scim/clients/{id}/rotate"), &[("deadline_hours", "1")]).await.is(200);
    assert_ne!(rotated.field("secret"), made.field("secret"));
    admin.get(&format!("/console/scim/clients/{id}/retire")).await.is(200).says("name=\"force\"");
    admin.post(&format!("/console/scim/clients/{id}/retire"), &[]).await.is(422);
    admin.get(&format!("/console/scim/clients/{id}/retire")).await.is(200);
    admin.post(&format!("/console/scim/clients/{id}/retire"), &[("force", "true")]).await.is(303);
    admin.get(&format!("/console/scim/clients/{id}/revoke")).await.is(200).says("Okta");
    admin.post(&format!("/console/scim/clients/{id}/revoke"), &[]).await.goes_to("/console/scim/clients");
    admin.get("/console/scim/clients").await.is(200).says("revoked");

    // By assertions: without a secret.
    admin.get("/console/scim/clients/new?kind=jwt_bearer").await.is(200).says("Address of its keys");
    let mut fields = vec![("kind", "jwt_bearer"), ("name", "Entra"), ("issuer", "https://i.example"), ("subject", "s")];
    fields.extend(ALL);
    admin.post("/console/scim/clients", &fields).await.is(422).says("role=\"alert\"");
    fields.push(("jwks_uri", "https://i.example/keys"));
    admin.get("/console/scim/clients/new?kind=jwt_bearer").await.is(200);
    admin.post("/console/scim/clients", &fields).await.goes_to("/console/scim/clients");
    admin.get("/console/scim/clients").await.is(200).says("https://i.example");
}

#[tokio::test]
async fn each_guide_has_this_servers_values_in_the_providers_words() {
    let world = World::start().await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    for (provider, words) in [
        (
            "okta",
            &[
                "SCIM connector base URL",
                "Unique identifier field for users",
                "<b>email</b>",
                "HTTP Header",
                "Push New Users",
                "Test Connector Configuration",
            ][..],
        ),
        ("entra", &["Tenant URL", "Secret Token", "Test Connection", "objectId"]),
        ("jumpcloud", &["Base URL", "Token Key", "Test User Email", "Activate"]),
        ("onelogin", &["SCIM Base URL", "SCIM Bearer Token", "Enable provisioning"]),
        ("google", &["Endpoint URL", "Access token", "catalog"]),
        ("pingone", &["SCIM base URL", "OAuth access token", "Users resource", "userName Eq"]),
    ] {
        let mut page = viewer.get(&format!("/console/scim/guides/{provider}")).await.is(200);
        for word in words {
            page = page.says(word);
        }
        page.says("value=\"https://scim.example.com/scim/v2\"").says("SCIM provisioning is off");
    }
    viewer.get("/console/scim/guides/nobody").await.is(404);
}
