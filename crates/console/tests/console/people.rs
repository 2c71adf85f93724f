//! Invitations, administrators and sessions.

use wire::{
    common::{Administrator, Caller, caller::Kind},
    identity::{AdminRole, CreateAdminInviteRequest},
};

use crate::harness::{MINUTE, World};

#[tokio::test]
async fn an_invitation_says_who_invites_and_is_good_once() {
    let world = World::start().await;
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    owner.get("/console/administrators/invite").await.is(200);
    let fields = [("email", "New@example.com"), ("role", "viewer"), ("ttl_hours", "1")];
    let made = owner.post("/console/administrators/invite", &fields).await.is(200).says("shown once");
    let link = made.field("secret");
    let path = link.strip_prefix("https://scim.example.com").expect("link").to_owned();
    // Sent again, as by a reload, it makes no other.
    let again = owner.post("/console/administrators/invite", &fields).await;
    assert!(again.status == 422 || again.status == 303, "{}", again.status);
    owner.get("/console/administrators").await.is(200).says("New@example.com").says("Open invitations");

    let mut new = world.browser();
    new.get(&path).await.is(200).says("owner@example.com invites").says("viewer");
    // Without the page's token nobody is made to sign in as somebody.
    let mut other = world.browser();
    other.get("/console/sign-in").await.is(200);
    other.post(&path, &[]).await.is(403);
    new.get(&path).await.is(200);
    new.post(&path, &[]).await.goes_to("/console");
    new.get("/console").await.is(200).says("New@example.com, viewer");
    let mut late = world.browser();
    late.get(&path).await.is(403).says("This invitation is not valid");
    late.get("/console/sign-in").await.is(200);
    assert!(!late.cookies.contains_key("__Host-rollcall"));
}

#[tokio::test]
async fn an_invitation_of_the_command_line_comes_from_whoever_runs_it() {
    let world = World::start().await;
    let kind = Kind::Administrator(Administrator { name: "command line".to_owned() });
    let request = CreateAdminInviteRequest {
        organization_id: world.organization.clone(),
        caller: Some(Caller { kind: Some(kind), request_id: String::new() }),
        email: "new@example.com".to_owned(),
        role: AdminRole::Owner.into(),
        ttl_hours: None,
    };
    let secret = world.admins.clone().create_admin_invite(request).await.expect("invited").into_inner().secret;
    world.browser().get(&format!("/console/invite/{secret}")).await.is(200).says("Whoever runs Rollcall here invites");
}

#[tokio::test]
async fn a_form_that_made_a_secret_makes_no_other() {
    let world = World::start().await;
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    owner.get("/console/administrators/invite").await.is(200);
    let (token, once) = (owner.hidden("_token"), owner.hidden("_once"));
    let body = crate::harness::encode(&[
        ("_token", &*token),
        ("_once", &*once),
        ("email", "a@example.com"),
        ("role", "admin"),
    ]);
    owner.send_form("/console/administrators/invite", body.clone()).await.is(200);
    owner.send_form("/console/administrators/invite", body).await.goes_to("/console/administrators");
}

#[tokio::test]
async fn a_role_that_is_changed_holds_at_once_and_there_is_always_an_owner() {
    let world = World::start().await;
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    let page = owner.get("/console/administrators").await.is(200);
    let id = |email: &str| {
        let row = page.body.split("<li id=\"admin-").find(|row| row.contains(&format!("<h2>{email}"))).expect("row");
        row.split('"').next().expect("id").to_owned()
    };
    let (owners, admins) = (id("owner@example.com"), id("admin@example.com"));
    owner
        .post(&format!("/console/administrators/{owners}/role"), &[("role", "viewer")])
        .await
        .is(422)
        .says("role=\"alert\"");
    owner.get("/console/administrators").await.is(200);
    owner.post(&format!("/console/administrators/{admins}/role"), &[("role", "viewer")]).await.is(303);
    admin.get("/console/scim").await.is(200).says("id=\"role-hint\"");
    admin.post("/console/scim/enabled", &[("enabled", "true")]).await.is(403).says("Your role is viewer");
    // Before anything is filled in.
    for form in ["scim/tokens/new", "scim/clients/new?kind=client_credentials", "administrators/invite"] {
        admin.get(&format!("/console/{form}")).await.is(403).says("Your role is viewer");
    }
    let guide = admin.get("/console/scim/guides/okta").await.is(200).says("an admin creates one");
    assert!(!guide.body.contains("tokens/new"), "{}", guide.body);
    admin.get("/console/administrators").await.is(200).says("id=\"mail-off\"");
    owner.get("/console/scim/tokens/new").await.is(200).says("no mail is sent");
    owner.get("/console/administrators").await.is(200);
    owner.get(&format!("/console/administrators/{admins}/remove")).await.is(200).says("admin@example.com");
    owner.post(&format!("/console/administrators/{admins}/remove"), &[]).await.is(303);
    admin.get("/console").await.goes_to("/console/sign-in");
    owner.get(&format!("/console/administrators/{admins}/remove")).await.is(404);
}

#[tokio::test]
async fn another_organizations_administrators_and_sessions_are_nobodys() {
    let world = World::start().await;
    let other = world.enroll("other", "Other", "enterprise").await;
    let mut theirs = world.signed_in_to(&other, "owner@other.example", AdminRole::Owner).await;
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let page = theirs.get("/console/administrators").await.is(200);
    let admin = page.body.split("id=\"admin-").nth(1).and_then(|rest| rest.split('"').next()).expect("id").to_owned();
    let page = theirs.get("/console/sessions").await.is(200);
    let session =
        page.body.split("id=\"session-").nth(1).and_then(|rest| rest.split('"').next()).expect("id").to_owned();
    for path in [
        format!("/console/administrators/{admin}/role"),
        format!("/console/administrators/{admin}/remove"),
        format!("/console/sessions/{session}/end"),
    ] {
        owner.get("/console").await.is(200);
        let answer = owner.post(&path, &[("role", "viewer")]).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
    theirs.get("/console").await.is(200).says("owner@other.example, owner");
    assert!(!owner.get("/console/administrators").await.body.contains("other.example"));
    assert!(!owner.get("/console/sessions").await.body.contains("other.example"));
}

#[tokio::test]
async fn a_session_is_rotated_in_use_and_ends_unused() {
    let world = World::start().await;
    let mut browser = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let first = browser.cookies["__Host-rollcall"].clone();
    let form = browser.hidden("_token");
    world.later(6 * MINUTE);
    browser.get("/console/scim").await.is(200);
    let second = browser.cookies["__Host-rollcall"].clone();
    assert_ne!(first, second);
    // A form that was open all the while is still this session's.
    assert_eq!(browser.hidden("_token"), form);
    browser.post("/console/scim/enabled", &[("enabled", "true")]).await.is(303);
    let mut thief = browser.clone();
    thief.cookies.insert("__Host-rollcall".to_owned(), first);
    world.later(2 * MINUTE);
    thief.get("/console").await.goes_to("/console/sign-in");
    world.later(16 * MINUTE);
    browser.get("/console").await.goes_to("/console/sign-in");
}

#[tokio::test]
async fn whoever_signs_out_is_out_and_so_is_whom_an_owner_ends() {
    let world = World::start().await;
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let mut admin = world.signed_in("admin@example.com", AdminRole::Admin).await;
    let session = |page: &str, email: &str| {
        let row = page.split("<li id=\"session-").find(|row| row.contains(&format!("<h3>{email}"))).expect("row");
        row.split('"').next().expect("id").to_owned()
    };
    let page = owner.get("/console/sessions").await.is(200).says("203.0.113.7").says("Mozilla/5.0 (test)");
    let (owners, admins) = (session(&page.body, "owner@example.com"), session(&page.body, "admin@example.com"));
    // An admin sees and ends its own alone.
    let mine = admin.get("/console/sessions").await.is(200);
    assert!(!mine.body.contains("owner@example.com"));
    admin.post(&format!("/console/sessions/{owners}/end"), &[]).await.is(404);
    owner.post(&format!("/console/sessions/{admins}/end"), &[]).await.goes_to("/console/sessions");
    admin.get("/console").await.goes_to("/console/sign-in");

    let mut stolen = owner.clone();
    owner.get("/console").await.is(200);
    owner.post("/console/sign-out", &[]).await.goes_to("/console/sign-in");
    assert!(!owner.cookies.contains_key("__Host-rollcall"));
    stolen.get("/console").await.goes_to("/console/sign-in");
}

#[tokio::test]
async fn all_other_sessions_of_ones_own_end_together() {
    let world = World::start().await;
    let mut first = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let mut second = world.signed_in("owner@example.com", AdminRole::Owner).await;
    second.get("/console/sessions").await.is(200).says("id=\"end-others\"");
    second.post("/console/sessions/end-others", &[]).await.is(303);
    first.get("/console").await.goes_to("/console/sign-in");
    second.get("/console").await.is(200);
}
