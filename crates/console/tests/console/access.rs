//! Who is let in to what, what a change must show, and what every answer carries.

use http::Method;
use wire::identity::AdminRole;

use crate::harness::{ORIGIN, World, encode};

const ID: &str = "00000000-0000-7000-8000-000000000000";

const PAGES: &[&str] = &[
    "/console",
    "/console/users",
    "/console/users/ID",
    "/console/users/ID/unlink",
    "/console/users/deleted",
    "/console/users/deleted/ID",
    "/console/groups",
    "/console/groups/ID",
    "/console/accounts",
    "/console/accounts/agents/ID/revoke",
    "/console/holds",
    "/console/holds/ID/restore",
    "/console/holds/ID/approve",
    "/console/deletion",
    "/console/scim",
    "/console/scim/tokens",
    "/console/scim/tokens/new",
    "/console/scim/tokens/ID/rotate",
    "/console/scim/tokens/ID/retire",
    "/console/scim/tokens/ID/revoke",
    "/console/scim/clients",
    "/console/scim/clients/new?kind=client_credentials",
    "/console/scim/guides/okta",
    "/console/scim/grants/ID/end",
    "/console/sign-in-provider",
    "/console/sign-in-provider/remove",
    "/console/administrators",
    "/console/administrators/invite",
    "/console/administrators/ID/remove",
    "/console/sessions",
    "/console/nothing/here",
];

/// Every change, and the least role that may make it.
const CHANGES: &[(&str, AdminRole)] = &[
    ("/console/users/deleted/ID/restore", AdminRole::Admin),
    ("/console/users/ID/unlink", AdminRole::Admin),
    ("/console/accounts/policy", AdminRole::Owner),
    ("/console/accounts/invite", AdminRole::Admin),
    ("/console/accounts/agents", AdminRole::Admin),
    ("/console/accounts/agents/ID/revoke", AdminRole::Admin),
    ("/console/holds/ID/restore", AdminRole::Admin),
    ("/console/holds/ID/approve", AdminRole::Admin),
    ("/console/deletion", AdminRole::Owner),
    ("/console/scim/enabled", AdminRole::Admin),
    ("/console/scim/tokens", AdminRole::Admin),
    ("/console/scim/tokens/ID/rotate", AdminRole::Admin),
    ("/console/scim/tokens/ID/retire", AdminRole::Admin),
    ("/console/scim/tokens/ID/revoke", AdminRole::Admin),
    ("/console/scim/clients", AdminRole::Admin),
    ("/console/scim/clients/ID/approve", AdminRole::Admin),
    ("/console/scim/clients/ID/rotate", AdminRole::Admin),
    ("/console/scim/clients/ID/retire", AdminRole::Admin),
    ("/console/scim/clients/ID/revoke", AdminRole::Admin),
    ("/console/scim/grants/ID/end", AdminRole::Admin),
    ("/console/sign-in-provider", AdminRole::Owner),
    ("/console/sign-in-provider/remove", AdminRole::Owner),
    ("/console/administrators/invite", AdminRole::Owner),
    ("/console/administrators/ID/role", AdminRole::Owner),
    ("/console/administrators/ID/remove", AdminRole::Owner),
    ("/console/sessions/ID/end", AdminRole::Viewer),
    ("/console/sessions/end-others", AdminRole::Viewer),
    ("/console/sign-out", AdminRole::Viewer),
];

/// Pages with a form, and who may send it.
const FORMS: &[(&str, AdminRole)] = &[
    ("/console/users/ID/unlink", AdminRole::Admin),
    ("/console/accounts/agents/ID/revoke", AdminRole::Admin),
    ("/console/scim/tokens/new", AdminRole::Admin),
    ("/console/scim/tokens/ID/rotate", AdminRole::Admin),
    ("/console/scim/tokens/ID/retire", AdminRole::Admin),
    ("/console/scim/tokens/ID/revoke", AdminRole::Admin),
    ("/console/scim/clients/new?kind=client_credentials", AdminRole::Admin),
    ("/console/scim/clients/ID/rotate", AdminRole::Admin),
    ("/console/scim/clients/ID/retire", AdminRole::Admin),
    ("/console/scim/clients/ID/revoke", AdminRole::Admin),
    ("/console/scim/grants/ID/end", AdminRole::Admin),
    ("/console/sign-in-provider/remove", AdminRole::Owner),
    ("/console/administrators/invite", AdminRole::Owner),
    ("/console/administrators/ID/remove", AdminRole::Owner),
];

fn real(path: &str) -> String {
    path.replace("ID", ID)
}

#[tokio::test]
async fn without_a_session_every_page_is_the_way_to_sign_in_and_nothing_is_changed() {
    let world = World::start().await;
    let mut browser = world.browser();
    browser.get("/").await.goes_to("/console");
    browser.get("/console").await.goes_to("/console/sign-in");
    for page in PAGES {
        let answer = browser.get(&real(page)).await.is(303);
        assert!(answer.header("location").starts_with("/console/sign-in"), "{page}");
    }
    let to_users = browser.get("/console/users?q=a%26b").await.is(303);
    assert_eq!(to_users.header("location"), "/console/sign-in?return_to=%2Fconsole%2Fusers%3Fq%3Da%2526b");
    browser.get("/console/sign-in").await.is(200);
    for (path, _) in CHANGES {
        browser.post(&real(path), &[("enabled", "true")]).await.is(403).says("Nothing was changed");
    }
    // What is not a session is none, and is forgotten.
    browser.cookies.insert("__Host-rollcall".to_owned(), "rc_session_made_up".to_owned());
    browser.get("/console").await.goes_to("/console/sign-in");
    assert!(!browser.cookies.contains_key("__Host-rollcall"));
}

#[tokio::test]
async fn each_role_may_change_what_it_may_and_see_everything() {
    let world = World::start().await;
    for role in [AdminRole::Viewer, AdminRole::Admin, AdminRole::Owner] {
        let email = format!("{}@example.com", role.as_str_name().to_lowercase());
        let mut browser = world.signed_in(&email, role).await;
        for page in PAGES {
            let answer = browser.get(&real(page)).await;
            // The form of a change is for who may send it.
            let least = FORMS.iter().find(|(form, _)| form == page).map_or(AdminRole::Viewer, |(_, least)| *least);
            let expected = if role < least { &[403][..] } else { &[200, 404] };
            assert!(expected.contains(&answer.status.as_u16()), "{role:?} {page}: {}", answer.status);
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
            assert!(answer.body.len() < 100_000, "{page} is {} bytes", answer.body.len());
            assert!(
                !answer.body.contains("<style")
                    && !answer.body.contains(" style=")
                    && !answer.body.contains(" onclick")
            );
        }
        for (path, least) in CHANGES {
            let form = if role == AdminRole::Viewer { "/console/scim" } else { "/console/scim/tokens/new" };
            browser.get(form).await.is(200);
            let answer = browser.post(&real(path), &[]).await;
            let refused = answer.status == 403 && answer.body.contains("Your role is");
            assert_eq!(refused, role < *least, "{role:?} {path}: {} {}", answer.status, answer.body);
            assert!(answer.status.as_u16() < 500, "{role:?} {path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn a_viewer_is_told_why_buttons_are_missing() {
    let world = World::start().await;
    let mut viewer = world.signed_in("viewer@example.com", AdminRole::Viewer).await;
    for page in [
        "/console/scim",
        "/console/scim/tokens",
        "/console/scim/clients",
        "/console/administrators",
        "/console/sign-in-provider",
        "/console/accounts",
        "/console/holds",
        "/console/deletion",
    ] {
        viewer.get(page).await.is(200).says("id=\"role-hint\"");
    }
    let page = viewer.get("/console/scim").await.is(200);
    assert!(page.body.contains("aria-describedby=\"switch-hint\" disabled"));
}

#[tokio::test]
async fn a_change_is_sent_by_a_form_of_this_browser_in_this_session_from_here() {
    let world = World::start().await;
    let mut browser = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let mut other = world.signed_in("other@example.com", AdminRole::Owner).await;
    other.get("/console/scim").await.is(200);
    let (mine, theirs) = (browser.hidden("_token"), other.hidden("_token"));
    assert!(mine.len() == 43 && mine != theirs);
    const FORM: &str = "application/x-www-form-urlencoded";
    let on = |token: &str| encode(&[("_token", token), ("enabled", "true")]);
    for (what, site, origin, media_type, body) in [
        ("cross-site", Some("cross-site"), Some("https://evil.example"), FORM, on(&mine)),
        ("a sibling", Some("same-site"), Some("https://a.scim.example.com"), FORM, on(&mine)),
        ("typed by hand", Some("none"), None, FORM, on(&mine)),
        ("only another origin", None, Some("https://evil.example"), FORM, on(&mine)),
        ("only an opaque origin", None, Some("null"), FORM, on(&mine)),
        ("neither", None, None, FORM, on(&mine)),
        ("no token", Some("same-origin"), Some(ORIGIN), FORM, encode(&[("enabled", "true")])),
        ("an empty token", Some("same-origin"), Some(ORIGIN), FORM, on("")),
        ("another session's token", Some("same-origin"), Some(ORIGIN), FORM, on(&theirs)),
        ("text/plain", Some("same-origin"), Some(ORIGIN), "text/plain", on(&mine)),
        ("JSON", Some("same-origin"), Some(ORIGIN), "application/json", on(&mine)),
        ("multipart", Some("same-origin"), Some(ORIGIN), "multipart/form-data; boundary=x", on(&mine)),
    ] {
        let mut headers = vec![("content-type", media_type)];
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        headers.extend(origin.map(|origin| ("origin", origin)));
        let answer = browser.send(Method::POST, "/console/scim/enabled", &headers, body).await;
        assert_eq!(answer.status, 403, "{what}");
        answer.says("Nothing was changed");
    }
    browser.get("/console/scim").await.is(200).says("aria-checked=\"false\"");
    // An old browser, which has only `Origin`.
    let headers = [("content-type", FORM), ("origin", ORIGIN)];
    browser.send(Method::POST, "/console/scim/enabled", &headers, on(&mine)).await.goes_to("/console/scim");
    // Too large.
    let large = format!("{}&x={}", on(&mine), "a".repeat(70_000));
    browser.send_form("/console/scim/enabled", large).await.is(413);
}

#[tokio::test]
async fn every_answer_keeps_to_itself_and_cookies_are_of_this_host_alone() {
    let world = World::start().await;
    let secret = world.invitation(&world.organization, "owner@example.com", AdminRole::Owner).await;
    let mut browser = world.browser();
    let invite = format!("/console/invite/{secret}");
    let mut answers = vec![browser.get(&invite).await];
    answers.push(browser.post(&invite, &[]).await);
    for page in PAGES.iter().chain(&[
        "/console/sign-in",
        "/console/sign-in/start?organization=nobody",
        "/console/sign-in/callback/x?state=x",
        "/console/assets/x.css",
        "/console/users/%ff",
        "/console/invite/x",
    ]) {
        answers.push(browser.get(&real(page)).await);
    }
    answers.push(browser.send(Method::DELETE, "/console/scim", &[], String::new()).await);
    for answer in &answers {
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'; style-src 'self'; script-src 'self';")
        );
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'; base-uri 'none'"));
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        for cookie in answer.cookies() {
            let rest = cookie.split_once(';').expect("attributes").1;
            assert!(cookie.starts_with("__Host-rollcall"), "{cookie}");
            assert!(rest.contains("Path=/; HttpOnly; SameSite=Lax; Secure") && !rest.contains("Domain"), "{cookie}");
        }
        if answer.status.as_u16() >= 400 {
            assert!(answer.body.contains("<h1>") && answer.body.contains("role=\"alert\""), "{}", answer.body);
        }
    }
    assert!(browser.cookies.contains_key("__Host-rollcall") && browser.cookies.contains_key("__Host-rollcall-browser"));
}

#[tokio::test]
async fn style_and_script_are_found_by_their_content_and_kept() {
    let world = World::start().await;
    let mut browser = world.browser();
    let page = browser.get("/console/sign-in").await.is(200).body;
    for (attribute, media_type) in
        [("href=\"/console/assets/", "text/css"), ("src=\"/console/assets/", "text/javascript")]
    {
        let file = page.split(attribute).nth(1).and_then(|rest| rest.split('"').next()).expect("linked");
        let asset = browser.get(&format!("/console/assets/{file}")).await.is(200);
        assert!(asset.header("content-type").starts_with(media_type));
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        assert!(asset.cookies().is_empty());
    }
}

#[tokio::test]
async fn without_tls_the_console_is_for_this_machine_alone() {
    let world = World::at("http://127.0.0.1:8080").await;
    let mut browser = world.signed_in("owner@example.com", AdminRole::Owner).await;
    assert!(browser.cookies.contains_key("rollcall"), "{:?}", browser.cookies.keys());
    let page = browser.get("/console").await.is(200);
    assert_eq!(page.header("strict-transport-security"), "");
    let world = World::at("http://scim.example.com").await;
    let refused = world.browser().get("/console/sign-in").await.is(403).says("needs https");
    assert!(refused.cookies().is_empty());
}

#[tokio::test]
async fn links_follow_the_path_of_the_public_url() {
    let world = World::at("https://example.com/rollcall").await;
    let mut browser = world.browser();
    browser.get("/").await.goes_to("/rollcall/console");
    browser.get("/console").await.goes_to("/rollcall/console/sign-in");
    browser.get("/console/users").await.goes_to("/rollcall/console/sign-in?return_to=%2Frollcall%2Fconsole%2Fusers");
    let page = browser.get("/console/sign-in").await.is(200).says("action=\"/rollcall/console/sign-in/start\"");
    assert!(!page.body.contains("\"/console"));
}

#[tokio::test]
async fn a_link_makes_no_page_say_that_something_was_done() {
    let world = World::start().await;
    let mut browser = world.signed_in("ada@example.com", AdminRole::Owner).await;
    let claimed = browser.get("/console/scim?done=token-revoked").await.is(200);
    assert!(!claimed.body.contains("id=\"notice\"") && !claimed.body.contains("is revoked"), "{}", claimed.body);
    browser.get("/console/log").await.is(200);
    browser.post("/console/log/retention", &[("retention_days", "7")]).await.goes_to("/console/log");
    // What is no page does not say it, and so does not use it up.
    browser.get("/console/log/export").await.is(200);
    browser.get("/console/log").await.is(200).says("id=\"notice\"").says("Saved.");
    let again = browser.get("/console/log").await.is(200);
    assert!(!again.body.contains("id=\"notice\""), "it is said once");
}
