//! Agents that confirm members: their life in the console, and the calls that they make.

use http::Method;
use serde_json::Value;
use wire::identity::AdminRole;

use crate::harness::{Answer, Browser, World, encode};

/// As an agent calls: a credential, and no more.
async fn call(browser: &mut Browser, path: &str, authorization: &str, body: &str) -> Answer {
    let headers = [("authorization", authorization), ("content-type", "application/json")];
    browser.send(Method::POST, &format!("/account/agent/{path}"), &headers, body.to_owned()).await
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), "application/json");
    serde_json::from_str(&answer.body).expect("JSON")
}

#[tokio::test]
async fn an_agent_is_made_once_shown_and_revoked() {
    let world = World::start().await;
    let mut owner = world.signed_in("ada@example.com", AdminRole::Owner).await;
    owner.get("/console/accounts").await.is(200).says("There is no agent.");
    let (token, once) = (owner.hidden("_token"), owner.hidden("_once"));
    let form = encode(&[("_token", &token), ("_once", &once), ("name", "<i>cellar")]);
    let made = owner.send_form("/console/accounts/agents", form.clone()).await.is(200).says("shown once");
    let credential = made.field("secret");
    assert!(credential.starts_with("rc_agent_") && made.field("enroll-command").contains("confirm-agent enroll --url"));
    owner.send_form("/console/accounts/agents", form).await.goes_to("/console/accounts");
    let listed = owner.get("/console/accounts").await.is(200).says("&#60;i&#62;cellar").says("Has no keys yet");
    assert!(!listed.body.contains(&credential) && listed.body.matches("id=\"agent-0").count() == 1, "{}", listed.body);
    owner.post("/console/accounts/agents", &[("name", " ")]).await.is(422).says("1 to 100");

    let mut agent = world.browser();
    let bearer = format!("Bearer {credential}");
    let itself = call(&mut agent, "self", &bearer, "{}").await.is(200);
    let itself = json(&itself);
    assert_eq!((&itself["state"], &itself["name"]), (&"created".into(), &"<i>cellar".into()));
    let id = itself["agent"].as_str().expect("an id").to_owned();
    owner.get("/console/accounts").await.is(200).says("just now");
    owner.get(&format!("/console/accounts/agents/{id}/revoke")).await.is(200).says("Agent: &#60;i&#62;cellar");
    owner.post(&format!("/console/accounts/agents/{id}/revoke"), &[]).await.goes_to("/console/accounts");
    owner.get("/console/accounts").await.is(200).says("The agent is revoked.").says("Confirms nobody any more.");
    let refused = call(&mut agent, "self", &bearer, "{}").await.is(401);
    assert!(json(&refused)["message"].as_str().is_some_and(|text| text.contains("was revoked")), "{}", refused.body);
    let other = "00000000-0000-7000-8000-000000000000";
    owner.get(&format!("/console/accounts/agents/{other}/revoke")).await.is(404);
}

#[tokio::test]
async fn calls_of_agents_take_a_credential_alone_and_answer_in_json() {
    let world = World::start().await;
    let mut owner = world.signed_in("ada@example.com", AdminRole::Owner).await;
    owner.get("/console/accounts").await.is(200);
    let credential = owner.post("/console/accounts/agents", &[("name", "cellar")]).await.is(200).field("secret");
    for path in ["self", "enroll", "organization-key", "organization-key/rotate", "members", "members/confirm"] {
        // A session of the console says nothing here.
        for authorization in ["", "Bearer", "Bearer rc_account_x", "Basic cmNfYWdlbnRfeA=="] {
            let refused = call(&mut owner, path, authorization, "{}").await.is(401);
            assert_eq!(json(&refused)["code"], "agent_invalid", "{path} {authorization}");
            assert!(refused.header("www-authenticate").starts_with("Bearer"), "{path}");
        }
    }
    let unknown = call(&mut owner, "self", "Bearer rc_agent_made_up", "").await.is(401);
    assert!(json(&unknown)["message"].as_str().is_some_and(|text| text.contains("unknown or was revoked")));
    let bearer = format!("bearer {credential}");
    for (path, body) in [("enroll", "no json"), ("enroll", "{}"), ("members/confirm", r#"{"grants":[{}]}"#)] {
        let refused = call(&mut owner, path, &bearer, body).await.is(422);
        assert_eq!(json(&refused)["code"], "unreadable", "{path} {body}");
    }
    // It has no keys yet, so there is nothing to show or to take.
    let early = call(&mut owner, "organization-key", &bearer, "{}").await.is(409);
    assert_eq!(json(&early)["code"], "state");
    let headers = [("authorization", bearer.as_str())];
    owner.send(Method::GET, "/account/agent/self", &headers, String::new()).await.is(405);
    owner.send(Method::POST, "/account/agent/nothing", &headers, String::new()).await.is(404);
}
