//! The provider's administrator, who signs in as the victim, and holds the SCIM token. It calls every address that there is and keeps
//! every answer: none has what opens with the victim's password; guesses are limited; and who sets keys up in the victim's name gets an
//! account that waits, without the organization key.
//!
//! Not here: an administrator of the organization who confirms without comparing the phrase.

use std::time::Duration;

use account_keys::{
    OrganizationKey, OrganizationKitSecret,
    opaque::client::{Login, Password, Registration},
};
use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use testkit::client::form_encode;

use super::{
    Cast, OWNER, VICTIM, loot,
    loot::Loot,
    member::{Member, digits},
    of_others, routes,
    visitor::{Door, Visitor, text},
};
use crate::{
    account::{
        search::{Search, Secret},
        secrets::{bytes, log_in, random, set_up_of},
        stage::Stage,
    },
    transcript::Transcript,
};

/// Free guesses, after which pauses begin.
const FREE: usize = 5;
const GUESS: &str = "not the password at all";
const EVIL: &str = "the password of the provider's administrator";

pub(super) async fn run(stage: &Stage, cast: &mut Cast, transcript: &Transcript) -> Result<()> {
    let url = stage.running.databases()[0].clone();
    transcript.step("The evil identity provider signs in as the victim");
    let evil = Member::sign_in(Visitor::default(), &cast.base, VICTIM).await?;
    transcript.same(
        "it is the victim",
        &(evil.of.user, evil.state().await?),
        &(cast.victim_user, "confirmed".to_owned()),
    )?;

    transcript.step("It calls every address there is");
    let withheld = loot::withheld(&url)?;
    transcript.that("there is something to withhold", withheld.len() >= 10)?;
    let search = Search::new(&[withheld, secrets(cast)].concat())?;
    let before = loot::rows(&url, &loot::TABLES)?;
    every_address(&evil, cast, transcript).await?;
    nothing_in(&search, &evil, "all these answers", transcript)?;
    let begun = |(table, _): &(&str, Vec<String>)| *table != "account_registration";
    let [now, then] = [loot::rows(&url, &loot::TABLES)?, before.clone()]
        .map(|rows| rows.into_iter().filter(begun).collect::<Vec<_>>());
    transcript.same("but for a set-up that has begun, nothing has changed", &now, &then)?;

    transcript.step("It guesses at the password");
    guesses(&evil, cast, stage, &search, transcript).await?;
    nothing_in(&search, &evil, "all that it has collected", transcript)?;

    transcript.step("It sets keys up in the victim's name");
    let before = loot::rows(&url, &loot::TABLES)?;
    resets(evil, cast, &url, transcript).await?;
    let now = loot::rows(&url, &loot::TABLES)?;
    let kept = |rows: &[(&'static str, Vec<String>)]| {
        // That the organization key is to be made anew is noted with the key.
        let theirs = of_others(rows, cast.victim_user);
        theirs.into_iter().filter(|(table, _)| !["org_key", "unlock_budget"].contains(table)).collect::<Vec<_>>()
    };
    transcript.same("what others have is as it was", &kept(&now), &kept(&before))
}

fn secrets(cast: &Cast) -> Vec<Secret> {
    vec![
        Secret::bytes("the account secret", cast.keys.secret.expose()),
        Secret::bytes("the organization key", cast.organization_key.expose()),
        Secret::text("the password", &cast.victim_password),
    ]
}

fn nothing_in(search: &Search, evil: &Member, what: &str, transcript: &Transcript) -> Result<()> {
    let collected = evil.visitor.collected();
    let found = search.find(what, &collected);
    ensure!(found.is_empty(), "{}", found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    transcript.held(&format!("{what}: no wrap, no grant, no record in {} bytes", collected.len()));
    Ok(())
}

/// As the victim at the account page and the console, as an owner at the console's pages, and by SCIM.
async fn every_address(evil: &Member, cast: &Cast, transcript: &Transcript) -> Result<()> {
    let (id, organization) = (cast.victim_user.to_string(), evil.of.organization.to_string());
    let (url, page) = evil.visitor.sign_in(&cast.base, Door::Console, VICTIM).await?;
    transcript.that("the console does not let the victim in", page.status == 403 && url.contains("/callback/"))?;
    let owner = evil.visitor.another();
    let (url, _) = owner.sign_in(&cast.base, Door::Console, OWNER).await?;
    transcript.same(
        "the owner's pages of the console are open to who signs in as the owner",
        &url,
        &format!("{}/console", cast.base),
    )?;

    let (mut calls, mut taken) = (0, Vec::new());
    for path in routes::all(&id, &organization) {
        let url = format!("{}{path}", cast.base);
        let asks = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        if path.starts_with("/scim/v2") {
            // What writes is the token's holder's right, and is looked at elsewhere.
            let search = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] });
            let path = path.trim_start_matches("/scim/v2");
            let query = form_encode(&format!("userName eq \"{VICTIM}\""));
            for (method, path, body) in [
                (Method::GET, path.to_owned(), None),
                (Method::GET, format!("{path}?filter={query}&attributes=keys,wraps,grants,record"), None),
                (Method::POST, path.to_owned(), Some(&search)),
            ] {
                let reply = cast.scim.send_json(method.clone(), &path, body).await?;
                evil.visitor.keep(&path, &reply);
                ensure!(reply.status < 500 || reply.status == 501, "{method} {path}: {}", text(&reply));
                calls += 1;
            }
        } else if let Some(call) = path.strip_prefix("/account/api/") {
            for method in asks.iter().filter(|method| *method != Method::POST) {
                evil.visitor.send(method.clone(), &url, &[], None).await?;
            }
            let (status, _) = evil.call(call, &json!({})).await?;
            calls += asks.len();
            if status == 200 {
                taken.push(call.to_owned());
            }
        } else {
            for (visitor, methods) in [(&evil.visitor, &asks[..]), (&owner, &asks[..1])] {
                for method in methods {
                    // One page never ends: what comes is kept for a while.
                    let from = [("origin", &*cast.base)];
                    let ask = visitor.send(method.clone(), &url, &from, None);
                    if let Ok(reply) = tokio::time::timeout(Duration::from_millis(1500), ask).await {
                        let reply = reply?;
                        ensure!(reply.status < 500 || reply.status == 501, "{method} {path}: {}", text(&reply));
                    }
                    calls += 1;
                }
            }
        }
    }
    transcript.that(&format!("{calls} calls"), calls > 400)?;
    transcript.same("of the account's calls it may make", &taken, &vec!["session".to_owned()])?;

    for (call, body) in plausible(evil, cast)? {
        let (status, answer) = evil.call(call, &body).await?;
        let expected = if call == "set-up/begin" && body["reset"] == true { 200..201 } else { 400..500 };
        ensure!(expected.contains(&status), "{call}: {status} {answer}");
        transcript.held(&format!("{call}: {status} {}", answer["code"]));
    }
    Ok(())
}

/// Calls as they should be, but for what only the victim knows.
fn plausible(evil: &Member, cast: &Cast) -> Result<Vec<(&'static str, Value)>> {
    let (_, request) = Registration::begin(Password::new(EVIL)?, &mut random)?;
    let registration = digits(&request);
    let zeros = |count: usize| digits(&vec![0; count]);
    let wrap = json!({ "nonce": zeros(12), "ct": zeros(48) });
    let grant = evil.forged(&cast.keys, 2, &OrganizationKey::generate(&mut random))?;
    let kit = json!({ "publicKey": zeros(32), "verifier": zeros(32), "grant": grant["grant"] });
    Ok(vec![
        ("set-up/begin", json!({ "registrationRequest": registration })),
        ("set-up/begin", json!({ "registrationRequest": registration, "reset": true })),
        ("unlock/finish", json!({ "id": cast.victim_user, "ke3": zeros(64) })),
        ("password/begin", json!({ "registrationRequest": registration })),
        ("password/finish", json!({ "record": zeros(192), "wrap": wrap })),
        ("organization-key", json!({})),
        ("organization-key/create", json!({ "grant": grant, "kit": kit })),
        ("organization-key/rotate", json!({ "grant": grant, "link": wrap, "kit": kit })),
        ("organization-key/recover", json!({ "proof": zeros(32), "grant": grant })),
        ("members", json!({})),
        ("members/confirm", json!({ "grants": [grant] })),
    ])
}

/// Each beginning is one guess; nothing else is any, and what was answered tells nothing of another word.
async fn guesses(evil: &Member, cast: &Cast, stage: &Stage, search: &Search, transcript: &Transcript) -> Result<()> {
    let (status, answer) = evil.call("recover", &json!({ "proof": digits(&[7; 32]) })).await?;
    transcript.same("a wrong kit", &(status, answer["code"].as_str()), &(403, Some("unlock_failed")))?;
    let mut answered = Vec::new();
    let limited = loop {
        ensure!(answered.len() <= FREE, "nothing limits it");
        let (login, ke1, status, begun) = evil.begin(GUESS).await?;
        if status != 200 {
            break (status, begun);
        }
        if answered.len() % 2 == 0 {
            // Finished badly or not at all: it is the same.
            let (status, _) =
                evil.call("unlock/finish", &json!({ "id": begun["id"], "ke3": digits(&[1; 64]) })).await?;
            transcript.same("a login that is finished without the password", &status, &403)?;
        }
        let ke2 = bytes::<320>(&begun["ke2"])?;
        let own = login.finish(&evil.of, &ke2, &account_keys::Stretching::RECOMMENDED, &mut random);
        ensure!(own.is_err(), "a wrong word is right");
        answered.push((ke1, ke2));
    };
    transcript.same("guesses that are taken, the one at the kit with them", &(answered.len() + 1), &FREE)?;
    let message = limited.1["message"].as_str().unwrap_or_default().to_owned();
    transcript.same("then", &(limited.0, limited.1["code"].as_str()), &(429, Some("limited")))?;
    let until = message.split("Try again at ").nth(1).and_then(|rest| rest.get(..17)).unwrap_or_default().to_owned();
    transcript
        .that(&format!("it is told when to try again: {until}"), until.starts_with("20") && until.contains('T'))?;
    let again = Member::sign_in(evil.visitor.another(), &cast.base, VICTIM).await?;
    transcript.same("in another session, too", &again.begin(GUESS).await?.2, &429)?;
    let (status, _) = again.call("recover", &json!({ "proof": digits(&[7; 32]) })).await?;
    transcript.same("and for the kit", &status, &429)?;

    // The right word, in the thief's own hands, against each answer that it has: they are of other messages.
    for (_, ke2) in &answered {
        let (login, _) = Login::begin(Password::new(&cast.victim_password)?, &mut random)?;
        let checked = login.finish(&evil.of, ke2, &account_keys::Stretching::RECOMMENDED, &mut random);
        ensure!(checked.is_err(), "an answer to another guess lets the right word be checked");
    }
    transcript.held("the right password is as wrong as others to what was collected");

    // A set-up that begins anew is no guess that is counted: it must not evaluate the password as a login does.
    let (ke1, ke2) = answered.first().context("no answer")?;
    for reset in [true, false] {
        let request = json!({ "registrationRequest": digits(&ke1[..32]), "reset": reset });
        let (_, begun) = again.call("set-up/begin", &request).await?;
        let Ok(response) = bytes::<64>(&begun["registrationResponse"]) else { continue };
        transcript
            .that("a set-up that begins anew answers with another key than a login", response[..32] != ke2[..32])?;
    }
    // It would be the same under the key of the record, as whoever has the server's file can see.
    let victim = Loot::take(&stage.running.databases()[0])?;
    let victim = victim.of(cast.victim_user)?;
    let set_up = set_up_of(stage.deployment())?;
    let same = account_keys::opaque::server::register(&set_up, &victim.of.member, victim.of.key_id, &ke1[..32])?;
    transcript.that("which is the record's", same[..32] == ke2[..32])?;
    let opened = log_in(&set_up, &victim.of, &victim.record, &victim.stretching, &cast.victim_password)?;
    transcript.that("and the password was the right one all along", opened.is_some())?;
    nothing_in(search, &again, "the answers to guesses", transcript)
}

/// Who has the provider may always begin anew as the victim. It gets an account that waits.
async fn resets(evil: Member, cast: &mut Cast, url: &str, transcript: &Transcript) -> Result<()> {
    let keys = evil.set_up(EVIL, true).await?;
    cast.told.extend([EVIL.to_owned(), keys.kit.as_ref().context("no kit")?.words().to_string()]);
    transcript.same("the account waits to be confirmed", &evil.state().await?, &"accepted".to_owned())?;
    let (_, released) = evil.unlock(EVIL).await?;
    for answer in [&released["organizationKey"], &evil.done("organization-key", &json!({})).await?] {
        transcript.same("no grant", &answer["granted"], &Value::Null)?;
        transcript.same("no chain", &answer["chain"], &json!([]))?;
    }
    for (call, body) in [
        ("organization-key/rotate", rotation(&evil, &keys)?),
        ("members", json!({})),
        ("members/confirm", json!({ "grants": [evil.forged(&keys, 1, &OrganizationKey::generate(&mut random))?] })),
    ] {
        let (status, answer) = evil.call(call, &body).await?;
        transcript.same(&format!("{call}: {}", answer["message"]), &status, &403)?;
    }
    let kit = OrganizationKitSecret::generate(&mut random);
    let (status, _) = evil.create_organization_key(&keys, &OrganizationKey::generate(&mut random), &kit).await?;
    transcript.that("nor does it make an organization key", (400..500).contains(&status))?;

    let loot = Loot::take(url)?;
    transcript.that(
        "what was granted to the victim is gone",
        loot.grants.iter().all(|grant| grant.user != cast.victim_user),
    )?;
    let pair = keys.pair();
    let opened = loot.grants.iter().filter(|grant| {
        let recipient =
            account_keys::Recipient::Member { user: grant.user, key_id: keys.of.key_id, public: keys.public() };
        let of = account_keys::GrantOf {
            organization: evil.of.organization,
            version: grant.version,
            recipient,
            granter_key_id: grant.granter_key_id,
        };
        let granter = loot.signing.iter().find(|(id, _)| *id == grant.granter_key_id);
        granter.is_none_or(|(_, sig)| grant.grant.open(&of, pair.opening(), sig).is_ok())
    });
    transcript.same("with its keys it opens none of the grants that there are", &opened.count(), &0)?;
    transcript.that("there are some", !loot.grants.is_empty())?;
    let wraps = loot.members.iter().filter(|stolen| stolen.of.member.user != cast.victim_user);
    let opened = wraps
        .filter(|stolen| keys.kit.as_ref().is_some_and(|kit| stolen.recovery.open_with_kit(&stolen.of, kit).is_ok()));
    transcript.same("and no wrap", &opened.count(), &0)
}

fn rotation(evil: &Member, keys: &super::Keys) -> Result<Value> {
    let key = OrganizationKey::generate(&mut random);
    let grant = evil.forged(keys, 2, &key)?;
    Ok(json!({
        "grant": grant,
        "link": { "nonce": digits(&[0; 12]), "ct": digits(&[0; 48]) },
        "kit": { "publicKey": digits(&keys.public().enc), "verifier": digits(&[0; 32]), "grant": grant["grant"] },
    }))
}
