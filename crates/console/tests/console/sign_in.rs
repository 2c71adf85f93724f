//! Signing in by an OpenID provider.

use http::Method;
use serde_json::json;
use wire::identity::AdminRole;

use crate::{
    harness::{Answer, Browser, World, unescape},
    provider::{CLIENT, Fault, Provider, SECRET},
};

const HERE: &str = "http://127.0.0.1:8080";

/// A console on this machine, and a provider that its owner has connected.
async fn connected() -> (World, Provider, Browser) {
    let (world, provider) = (World::at(HERE).await, Provider::start().await);
    let mut owner = world.signed_in("owner@example.com", AdminRole::Owner).await;
    let page = owner.get("/console/sign-in-provider").await.is(200).says("not connected");
    assert_eq!(page.field("redirect-uri"), format!("{HERE}/console/sign-in/callback/{}", world.organization));
    let fields = [("issuer", &*provider.issuer), ("client_id", CLIENT), ("client_secret", SECRET)];
    owner.post("/console/sign-in-provider", &fields).await.goes_to("/console/sign-in-provider");
    let page = owner.get("/console/sign-in-provider").await.is(200).says("connected");
    assert!(!page.body.contains("hush"), "the secret is shown to nobody");
    (world, provider, owner)
}

/// As far as the provider's page.
async fn begin(browser: &mut Browser, query: &str) -> String {
    let page = browser.get(&format!("/console/sign-in/start?organization=acme{query}")).await.is(200);
    assert!(page.header("location").is_empty(), "a redirect after a form is held against form-action");
    let link = page.body.split("id=\"onward\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("link");
    unescape(link)
}

async fn come_back(browser: &mut Browser, (code, state): (String, String)) -> Answer {
    let organization = browser.organization.clone();
    browser.get(&format!("/console/sign-in/callback/{organization}?code={code}&state={state}")).await
}

fn owner() -> serde_json::Value {
    json!({"sub": "s-1", "email": "Owner@Example.com", "email_verified": true, "name": "Olga"})
}

#[tokio::test]
async fn an_administrator_signs_in_and_comes_back_to_where_the_way_began() {
    let (world, provider, _) = connected().await;
    for rsa in [false, true] {
        provider.next(owner());
        if rsa {
            provider.by_rsa();
        }
        let mut browser = world.browser();
        browser.get("/console/users?q=a").await.is(303);
        let to = begin(&mut browser, "&return_to=/console/users?q=a").await;
        let here = "redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fconsole%2Fsign-in%2Fcallback%2F";
        assert!(to.contains(&format!("{here}{}", world.organization)), "{to}");
        let consent = provider.consent(&to);
        come_back(&mut browser, consent.clone()).await.goes_to("/console/users?q=a");
        assert!(!browser.cookies.contains_key("rollcall-sign-in"));
        browser.get("/console").await.is(200).says("owner@example.com, owner");
        // The answer is good once.
        come_back(&mut browser, consent).await.is(403).says("did not begin");
    }
}

#[tokio::test]
async fn after_the_first_time_the_subject_decides_and_not_the_address() {
    let (world, provider, _) = connected().await;
    let mut browser = world.browser();
    provider.next(owner());
    let to = begin(&mut browser, "").await;
    come_back(&mut browser, provider.consent(&to)).await.goes_to("/console");
    for (claims, status) in [
        // Somebody else who has been given the address.
        (json!({"sub": "s-2", "email": "owner@example.com", "email_verified": true}), 403),
        (json!({"sub": "s-1", "email": "olga@example.com", "email_verified": true}), 303),
    ] {
        provider.next(claims);
        let mut browser = world.browser();
        let to = begin(&mut browser, "").await;
        come_back(&mut browser, provider.consent(&to)).await.is(status);
    }
}

#[tokio::test]
async fn whoever_is_no_administrator_is_told_so() {
    let (world, provider, _) = connected().await;
    for (claims, said) in [
        (
            json!({"sub": "s", "email": "kit@example.com", "email_verified": true}),
            "kit@example.com, and no administrator",
        ),
        (json!({"sub": "s", "email": "owner@example.com", "email_verified": false}), "is verified"),
        (json!({"sub": "s", "email": "owner@example.com"}), "is verified"),
        (json!({"sub": "s"}), "did not tell your e-mail address"),
        (json!({"sub": "s", "email": "<b>x</b>@example.com", "email_verified": true}), "&#60;b&#62;"),
    ] {
        provider.next(claims);
        let mut browser = world.browser();
        let to = begin(&mut browser, "").await;
        let refused = come_back(&mut browser, provider.consent(&to)).await.is(403).says(said);
        assert!(
            refused.body.contains("You are not an administrator here") && !browser.cookies.contains_key("rollcall")
        );
    }
}

#[tokio::test]
async fn claims_that_only_userinfo_has_are_asked_for_there() {
    let (world, provider, _) = connected().await;
    provider.next(owner());
    provider.by_user_info();
    let mut browser = world.browser();
    let to = begin(&mut browser, "").await;
    come_back(&mut browser, provider.consent(&to)).await.goes_to("/console");
    browser.get("/console/administrators").await.is(200).says("Olga");
}

#[tokio::test]
async fn an_id_token_that_is_not_right_lets_nobody_in() {
    let (world, provider, _) = connected().await;
    for (fault, said) in [
        (Fault::Nonce, "another sign-in"),
        (Fault::Audience, "another client"),
        (Fault::AnotherAudienceToo, "another client"),
        (Fault::Issuer, "another issuer"),
        (Fault::Expired, "clocks"),
        (Fault::OfTheFuture, "clocks"),
        (Fault::NoAlgorithm, "signature"),
        (Fault::SecretAsKey, "signature"),
        (Fault::ForeignKey, "signature"),
        (Fault::ChangedAfterwards, "signature"),
        (Fault::NoIdToken, "no ID token"),
        (Fault::Error, "invalid_grant"),
    ] {
        provider.next(json!({"sub": "s", "email": "owner@example.com", "email_verified": true}));
        provider.fault(fault);
        let mut browser = world.browser();
        let to = begin(&mut browser, "").await;
        let refused = come_back(&mut browser, provider.consent(&to)).await;
        assert_eq!(refused.status, 403, "{fault:?}: {}", refused.body);
        assert!(refused.body.to_lowercase().contains(&said.to_lowercase()), "{fault:?}: {}", refused.body);
        assert!(!browser.cookies.contains_key("rollcall"), "{fault:?}");
        browser.get("/console").await.goes_to("/console/sign-in");
    }
}

#[tokio::test]
async fn an_answer_is_for_the_browser_that_asked() {
    let (world, provider, _) = connected().await;
    provider.next(owner());
    let (mut victim, mut other) = (world.browser(), world.browser());
    let to = begin(&mut victim, "").await;
    let consent = provider.consent(&to);
    come_back(&mut other, consent.clone()).await.is(403).says("did not begin");
    begin(&mut other, "").await;
    come_back(&mut other, consent.clone()).await.is(403).says("did not begin");
    // Nothing of it was used up by them.
    come_back(&mut victim, consent).await.goes_to("/console");
}

#[tokio::test]
async fn what_the_provider_answers_instead_is_shown() {
    let (world, provider, mut owner) = connected().await;
    for (query, said) in [
        ("error=access_denied&error_description=not+%3Cassigned%3E", "not &#60;assigned&#62;"),
        ("error=server_error", "server_error"),
        ("code=x&iss=https%3A%2F%2Fanother.example", "another issuer"),
        ("code=never-given", "invalid_grant"),
    ] {
        let mut browser = world.browser();
        let (_, state) = provider.consent(&begin(&mut browser, "").await);
        let refused = browser
            .get(&format!("/console/sign-in/callback/{}?{query}&state={state}", world.organization))
            .await
            .says(said);
        assert!(refused.status.as_u16() >= 400 && !browser.cookies.contains_key("rollcall"));
    }
    // Ten minutes.
    let mut browser = world.browser();
    let consent = provider.consent(&begin(&mut browser, "").await);
    world.later(11 * crate::harness::MINUTE);
    come_back(&mut browser, consent).await.is(403).says("ten minutes");
    // Another provider meanwhile.
    let consent = provider.consent(&begin(&mut browser, "").await);
    owner.get("/console/sign-in-provider").await.is(200);
    owner.post("/console/sign-in-provider/remove", &[]).await.is(303);
    come_back(&mut browser, consent).await.is(403).says("changed meanwhile");
}

#[tokio::test]
async fn an_unknown_organization_and_one_without_a_provider_are_answered_alike() {
    let world = World::at(HERE).await;
    let of = async |slug: &str| {
        let answer = world.browser().get(&format!("/console/sign-in/start?organization={slug}")).await.is(404);
        answer.says("No organization of this short name signs in here").body.replace(slug, "X")
    };
    let strip = |page: String| page.split("name=\"return_to\"").next().unwrap_or_default().to_owned();
    world.enroll("qqone", "One", "enterprise").await;
    assert_eq!(strip(of("qqone").await), strip(of("qqtwo").await));
}

#[tokio::test]
async fn a_provider_is_tried_before_it_is_saved() {
    let (world, provider, _) = connected().await;
    let mut owner = world.signed_in("second@example.com", AdminRole::Owner).await;
    for (issuer, said) in [
        (&*format!("{}/", provider.issuer), "another issuer"),
        (&*format!("{}/nowhere", provider.issuer), "404"),
        ("http://127.0.0.1:9", "cannot be reached"),
        ("http://169.254.169.254", "link-local"),
        ("http://id.example.com", "not https"),
        ("nonsense", "not a URL"),
    ] {
        owner.get("/console/sign-in-provider").await.is(200);
        let fields = [("issuer", issuer), ("client_id", CLIENT)];
        let page = owner.post("/console/sign-in-provider", &fields).await.is(422).says("Nothing was saved").says(said);
        assert_eq!(page.field("issuer"), issuer);
    }
    let page = owner.get("/console/sign-in-provider").await.is(200);
    assert_eq!(page.field("issuer"), provider.issuer);
    // A public console asks no provider on its own machine.
    let public = World::start().await;
    let mut owner = public.signed_in("owner@example.com", AdminRole::Owner).await;
    owner.get("/console/sign-in-provider").await.is(200);
    let fields = [("issuer", &*provider.issuer), ("client_id", CLIENT)];
    owner.post("/console/sign-in-provider", &fields).await.is(422).says("loopback");
}

/// Else an owner's provider could hand an answer of another organization's provider on, and get its code.
#[tokio::test]
async fn an_answer_at_another_organizations_address_is_not_taken() {
    let (world, provider, _) = connected().await;
    let mut browser = world.browser();
    provider.next(owner());
    let consent = provider.consent(&begin(&mut browser, "").await);
    browser.organization = world.enroll("other", "Other", "enterprise").await;
    come_back(&mut browser, consent.clone()).await.is(403).says("another organization");
    browser.organization.clone_from(&world.organization);
    come_back(&mut browser, consent).await.is(403);
    assert!(!browser.cookies.contains_key("rollcall"));
}

#[tokio::test]
async fn a_sign_in_that_another_site_began_goes_on_only_by_a_button() {
    let (world, _provider, _) = connected().await;
    for (from, by_itself) in [("same-origin", true), ("none", true), ("cross-site", false), ("same-site", false)] {
        let path = "/console/sign-in/start?organization=acme";
        let page = world.browser().send(Method::GET, path, &[("sec-fetch-site", from)], String::new()).await.is(200);
        assert_eq!(page.body.contains("http-equiv=\"refresh\""), by_itself, "{from}");
        assert!(page.body.contains("id=\"onward\"") && page.body.contains("<b>acme</b>"), "{from}");
    }
}
