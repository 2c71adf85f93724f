//! The browser's modules, in Node, against this crate: each opens what the other makes in this very run, and members'
//! workers against the server's side. Needs Node.js and `cargo xtask browser`, and fails without.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use account_keys::{
    AccountKey, Grant, GrantOf, OrganizationKey, OrganizationKitSecret, Possession, PublicKeys, Recipient,
    RecoveryProof, RecoveryVerifier, Stretching, fingerprint,
    opaque::{
        self,
        server::{self, LoginState, Setup},
    },
};
use serde_json::{Value, json};

use crate::{
    made::{key_of, random},
    vectors::{self, bytes, grant, number, public_json, public_keys, stretching_json, text, wrap, wrap_json},
};

fn browser() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// Node with one of the test scripts.
fn node(words: &[&str]) -> Command {
    let installed = browser().join("node_modules/@serenity-kit/opaque/package.json");
    assert!(installed.exists(), "the browser's packages are not installed: run cargo xtask browser");
    let mut node = Command::new("node");
    node.args(words).current_dir(browser());
    node
}

const NEEDED: &str = "these tests need Node.js 20 or newer (Debian: nodejs npm)";

#[test]
fn the_browser_opens_what_rust_makes_and_keeps_its_own_tests() {
    let file = std::env::temp_dir().join(format!("account-keys-{}.json", std::process::id()));
    std::fs::write(&file, vectors::make(random()).to_string()).expect("written");
    let mut tests = node(&["--test", "test/keys.test.mjs"]);
    let output = tests.env("ACCOUNT_KEYS_VECTORS", &file).output().expect(NEEDED);
    std::fs::remove_file(&file).expect("removed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("# pass 0"), "no test was run: {said}");
}

#[test]
fn rust_opens_what_the_browser_makes() {
    let output = node(&["test/make.mjs"]).output().expect(NEEDED);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    vectors::open(&serde_json::from_slice(&output.stdout).expect("JSON"));
}

/// A member's worker.
struct Worker {
    process: Child,
    calls: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Which account key.
    of: AccountKey,
}

impl Worker {
    fn start(of: AccountKey) -> Self {
        let mut node = node(&["test/worker.mjs"]);
        let mut process = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(NEEDED);
        let calls = process.stdin.take().expect("standard input");
        let answers = BufReader::new(process.stdout.take().expect("standard output"));
        Self { process, calls, answers, of }
    }

    fn answer(&mut self, method: &str, params: Value) -> Value {
        writeln!(self.calls, "{}", json!({"id": 7, "method": method, "params": params})).expect("sent");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("answered");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{method}: {line}"));
        assert_eq!(answer["id"], 7);
        answer
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The code of the error that comes instead of a result.
    fn refused(&mut self, method: &str, params: Value) -> String {
        let answer = self.answer(method, params);
        answer["error"]["code"].as_str().unwrap_or_else(|| panic!("{method}: {answer}")).to_owned()
    }

    /// With organization, user, key id and version in it.
    fn with_key(&self, mut params: Value) -> Value {
        let AccountKey { member, key_id, version } = self.of;
        params["organization"] = json!(member.organization);
        params["user"] = json!(member.user);
        params["keyId"] = json!(key_id);
        params["version"] = json!(version);
        params
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whose public keys.
#[derive(Clone, Copy)]
struct Holder {
    of: AccountKey,
    public: PublicKeys,
}

/// What the server keeps of a member.
struct Account {
    holder: Holder,
    record: [u8; opaque::RECORD],
    password: Value,
    recovery: Value,
    verifier: RecoveryVerifier,
}

const STRETCHING: Stretching = Stretching::FLOOR;

fn set_up(worker: &mut Worker, setup: &Setup, password: &str) -> (Account, String) {
    let of = worker.of;
    let begun = worker.call("setUpBegin", json!({"password": password}));
    let request = bytes::<32>(&begun["registrationRequest"]);
    let response = server::register(setup, &of.member, of.key_id, &request).expect("answered");
    let challenge = [4; 32];
    let params = worker.with_key(json!({
        "challenge": text(&challenge), "registrationResponse": text(&response), "stretching": stretching_json(&STRETCHING),
    }));
    let done = worker.call("setUpFinish", params);
    let public = public_keys(&done["publicKeys"]);
    assert_eq!(Possession(bytes(&done["possession"])).verify(&of, &public, &challenge), Ok(()));
    assert_eq!(done["fingerprint"], fingerprint(&of.member, &public));
    let account = Account {
        holder: Holder { of, public },
        record: server::record(&bytes::<192>(&done["record"])).expect("record"),
        password: done["wraps"]["password"].clone(),
        recovery: done["wraps"]["recovery"].clone(),
        verifier: RecoveryVerifier(bytes(&done["recoveryVerifier"])),
    };
    (account, done["kitWords"].as_str().expect("words").to_owned())
}

/// Until the server believes it; the code of the error if the worker does not get there.
fn log_in(worker: &mut Worker, setup: &Setup, account: &Account, password: &str) -> Result<(), String> {
    let AccountKey { member, key_id, .. } = worker.of;
    let begun = worker.call("unlockBegin", json!({"password": password}));
    let ke1 = bytes::<96>(&begun["ke1"]);
    let answered = server::begin_login(setup, &member, key_id, Some(&account.record), &ke1, &mut random());
    let (ke2, state) = answered.expect("answered");
    let params = json!({
        "organization": member.organization, "user": member.user, "ke2": text(&ke2),
        "stretching": stretching_json(&STRETCHING),
    });
    let answer = worker.answer("unlockFinish", params);
    if let Some(code) = answer["error"]["code"].as_str() {
        return Err(code.to_owned());
    }
    let state = LoginState::from_bytes(state.expose()).expect("state");
    server::finish_login(&member, &state, &bytes::<64>(&answer["result"]["ke3"])).map_err(|error| error.to_string())
}

fn open_params(worker: &Worker, wrap: &Value, public: &PublicKeys) -> Value {
    worker.with_key(json!({"wrap": wrap, "publicKeys": public_json(public)}))
}

/// `{ user, keyId, publicKeys }`
fn holder(holder: &Holder) -> Value {
    let Holder { of, public } = holder;
    json!({"user": of.member.user, "keyId": of.key_id, "publicKeys": public_json(public)})
}

/// What the grant of this version from one to the other is of, as the server sees it.
fn grant_of(version: u32, granter: &Holder, recipient: &Holder) -> GrantOf {
    let AccountKey { member, key_id, .. } = recipient.of;
    GrantOf {
        organization: member.organization,
        version,
        recipient: Recipient::Member { user: member.user, key_id, public: recipient.public },
        granter_key_id: granter.of.key_id,
    }
}

#[test]
fn a_member_sets_up_unlocks_elsewhere_recovers_and_changes_the_password() {
    let setup = Setup::generate(&mut random());
    let mut first = Worker::start(key_of(1, 1));
    let (account, kit_words) = set_up(&mut first, &setup, "Zw\u{f6}lf Boxk\u{e4}mpfer");
    assert_eq!(first.call("status", json!({})), json!({"unlocked": true, "versions": []}));

    // Another device, whose keyboard composes otherwise.
    let mut second = Worker::start(key_of(1, 1));
    assert_eq!(log_in(&mut second, &setup, &account, "zw\u{f6}lf"), Err("wrong_password".to_owned()));
    let params = open_params(&second, &account.password, &account.holder.public);
    assert_eq!(second.refused("open", params.clone()), "order");
    assert_eq!(log_in(&mut second, &setup, &account, "Zwo\u{308}lf Boxka\u{308}mpfer"), Ok(()));
    let opened = second.call("open", params.clone());
    assert_eq!(opened["publicKeys"], public_json(&account.holder.public));
    // The export key is there once.
    assert_eq!(second.refused("open", params), "order");

    // A server that shows others other public keys is seen.
    let mut third = Worker::start(key_of(1, 1));
    assert_eq!(log_in(&mut third, &setup, &account, "Zw\u{f6}lf Boxk\u{e4}mpfer"), Ok(()));
    let other = PublicKeys { enc: [9; 32], ..account.holder.public };
    let params = open_params(&third, &account.password, &other);
    assert_eq!(third.refused("open", params), "public_keys");

    // The password is forgotten; the kit opens, a new password is set.
    let user = account.holder.of.member.user;
    let wrong = kit_words.replacen(' ', " rollcall ", 1);
    assert_eq!(third.refused("recoverBegin", json!({"words": wrong, "user": user})), "word_count");
    let typed = kit_words.to_uppercase().replace(' ', "\n ");
    let begun = third.call("recoverBegin", json!({"words": typed, "user": user}));
    assert_eq!(account.verifier.verify(&RecoveryProof(bytes(&begun["proof"]))), Ok(()));
    let params = open_params(&third, &account.recovery, &account.holder.public);
    assert_eq!(third.call("recoverOpen", params)["publicKeys"], public_json(&account.holder.public));
    let begun = third.call("changePasswordBegin", json!({"password": "another"}));
    let of = account.holder.of;
    let response = server::register(&setup, &of.member, of.key_id, &bytes::<32>(&begun["registrationRequest"]));
    let response = text(&response.expect("answered"));
    let params = json!({"registrationResponse": response, "stretching": stretching_json(&STRETCHING)});
    let changed = third.call("changePasswordFinish", params);
    let kit = third.call("newKit", json!({}));
    assert_ne!(kit["kitWords"], kit_words);
    let account = Account {
        record: bytes(&changed["record"]),
        password: changed["wrap"].clone(),
        recovery: kit["wrap"].clone(),
        verifier: RecoveryVerifier(bytes(&kit["recoveryVerifier"])),
        ..account
    };

    assert_eq!(third.call("lock", json!({})), json!({}));
    assert_eq!(third.call("status", json!({})), json!({"unlocked": false, "versions": []}));
    assert_eq!(third.refused("newKit", json!({})), "locked");
    assert_eq!(log_in(&mut third, &setup, &account, "Zw\u{f6}lf Boxk\u{e4}mpfer"), Err("wrong_password".to_owned()));
    assert_eq!(log_in(&mut third, &setup, &account, "another"), Ok(()));
    let params = open_params(&third, &account.password, &account.holder.public);
    third.call("open", params);
    let words = kit["kitWords"].as_str().expect("words");
    let begun = third.call("recoverBegin", json!({"words": words, "user": user}));
    assert_eq!(account.verifier.verify(&RecoveryProof(bytes(&begun["proof"]))), Ok(()));
    let params = open_params(&third, &account.recovery, &account.holder.public);
    third.call("recoverOpen", params);
}

#[test]
fn an_organization_key_is_made_granted_and_rotated() {
    let setup = Setup::generate(&mut random());
    let (mut admin, mut member, mut later) =
        (Worker::start(key_of(1, 1)), Worker::start(key_of(2, 1)), Worker::start(key_of(3, 1)));
    let (first, third) = (set_up(&mut admin, &setup, "one").0.holder, set_up(&mut later, &setup, "three").0.holder);
    let (account, _) = set_up(&mut member, &setup, "two");
    let second = account.holder;
    let organization = first.of.member.organization;

    // The first administrator makes it, and grants it to itself and to the kit.
    assert_eq!(admin.refused("grantTo", json!({"member": holder(&second)})), "no_organization_key");
    let created = admin.call("createOrganizationKey", json!({}));
    assert_eq!(created["version"], 1);
    assert_eq!(grant(&created["grant"]).verify(&grant_of(1, &first, &first), &first.public.sig), Ok(()));
    let words = created["kitWords"].as_str().expect("words");
    let kit = OrganizationKitSecret::from_words(words).expect("kit").opening(organization);
    assert_eq!(created["kit"]["publicKey"], text(&kit.public()));
    let to_kit =
        |version| GrantOf { recipient: Recipient::Kit { enc: kit.public() }, ..grant_of(version, &first, &first) };
    let version_1 = grant(&created["kit"]["grant"]).open(&to_kit(1), &kit, &first.public.sig).expect("opened");

    // A member is confirmed after the fingerprints were compared.
    let granted = admin.call("grantTo", json!({"member": holder(&second)}));
    assert_eq!(granted["confirmed"], false);
    assert_eq!(granted["fingerprint"], fingerprint(&second.of.member, &second.public));
    let to_second = grant(&granted["grant"]);
    assert_eq!(to_second.verify(&grant_of(1, &first, &second), &first.public.sig), Ok(()));
    let params = json!({"version": 1, "grant": granted["grant"], "granter": holder(&first)});
    let opened = member.call("openGrant", params.clone());
    assert_eq!(opened["granterFingerprint"], fingerprint(&first.of.member, &first.public));
    // The grant of somebody else, and the same one as another version, open nothing.
    assert_eq!(later.refused("openGrant", params.clone()), "grant_signature");
    let replayed = json!({"version": 2, "grant": granted["grant"], "granter": holder(&first)});
    assert_eq!(member.refused("openGrant", replayed), "grant_signature");
    let forger = json!({"version": 1, "grant": granted["grant"], "granter": holder(&third)});
    assert_eq!(member.refused("openGrant", forger), "grant_signature");

    // The member grants on. Who was confirmed by whom is passed on with the grants.
    let to_later = member.call("grantTo", json!({"member": holder(&third)}));
    let check = |grant: &Value, granter: &Holder, member: &Holder| json!({"version": 1, "grant": grant, "granter": holder(granter), "member": holder(member)});
    let by_member = check(&to_later["grant"], &second, &third);
    assert_eq!(admin.call("checkGrant", by_member.clone()), json!({"confirmed": false}));
    assert_eq!(admin.call("checkGrant", check(&granted["grant"], &first, &second)), json!({"confirmed": true}));
    assert_eq!(admin.call("checkGrant", by_member), json!({"confirmed": true}));
    let swapped = Holder { public: PublicKeys { enc: first.public.enc, ..third.public }, ..third };
    let wrong = check(&to_later["grant"], &second, &swapped);
    assert_eq!(admin.refused("checkGrant", wrong), "grant_signature");

    // Rotation: nobody has to compare again, unless the server shows other keys than were confirmed.
    let rotated = admin.call("rotate", json!({}));
    assert_eq!(rotated["version"], 2);
    assert_eq!(grant(&rotated["grant"]).verify(&grant_of(2, &first, &first), &first.public.sig), Ok(()));
    let granted_2 = admin.call("grantTo", json!({"member": holder(&second)}));
    assert_eq!((&granted_2["confirmed"], &granted_2["version"]), (&json!(true), &json!(2)));
    assert_eq!(admin.call("grantTo", json!({"member": holder(&swapped)}))["confirmed"], false);
    let previous = json!({"version": 1, "grant": created["kit"]["grant"], "granter": holder(&first)});
    let params = json!({"publicKey": created["kit"]["publicKey"], "previous": previous});
    let kit_2 = admin.call("grantToKit", params);
    let version_2 = grant(&kit_2["grant"]).open(&to_kit(2), &kit, &first.public.sig).expect("opened");
    assert_ne!(version_1, version_2);
    let other = OrganizationKitSecret::generate(&mut random()).opening(organization);
    let params = json!({"publicKey": text(&other.public()), "previous": previous});
    assert_eq!(admin.refused("grantToKit", params), "grant_signature");

    // A member comes back later, has the newest key by its grant and the ones before by the chain.
    assert_eq!(log_in(&mut member, &setup, &account, "two"), Ok(()));
    let params = open_params(&member, &account.password, &second.public);
    member.call("open", params);
    let params = json!({"version": 2, "grant": granted_2["grant"], "granter": holder(&first)});
    member.call("openGrant", params);
    assert_eq!(member.refused("openPrevious", json!({"version": 3, "link": rotated["link"]})), "no_organization_key");
    let back = member.call("openPrevious", json!({"version": 2, "link": rotated["link"]}));
    assert_eq!(back["version"], 1);
    assert_eq!(member.call("status", json!({})), json!({"unlocked": true, "versions": [1, 2]}));
    let chain = vectors::link(&rotated["link"]);
    assert_eq!(chain.open(organization, 2, &version_2), Ok(version_1.clone()));
    // Who has version 1 alone does not get further.
    assert!(chain.open(organization, 2, &version_1).is_err());

    // The last administrator is gone: the kit opens the newest key for who has it.
    let kit_pub = &created["kit"]["publicKey"];
    let others = OrganizationKitSecret::generate(&mut random()).words();
    let params = json!({"words": others.as_str(), "publicKey": kit_pub, "version": 2, "grant": kit_2["grant"], "granter": holder(&first)});
    assert_eq!(later.refused("openOrganizationKit", params), "another_kit");
    let params =
        json!({"words": words, "publicKey": kit_pub, "version": 2, "grant": kit_2["grant"], "granter": holder(&first)});
    assert_eq!(later.call("openOrganizationKit", params)["version"], 2);
    let on = later.call("grantTo", json!({"member": holder(&second)}));
    assert!(grant(&on["grant"]).verify(&grant_of(2, &third, &second), &third.public.sig).is_ok());
}

/// An agent in Rust is a member like others.
#[test]
fn rust_and_the_browser_grant_to_each_other() {
    let setup = Setup::generate(&mut random());
    let mut worker = Worker::start(key_of(1, 1));
    let (account, _) = set_up(&mut worker, &setup, "one");
    let secret = account_keys::AccountSecret::generate(&mut random());
    let keys = account_keys::MemberKeys::derive(&secret);
    let (account, agent) = (&account.holder, Holder { of: key_of(2, 1), public: keys.public() });

    let key = OrganizationKey::generate(&mut random());
    let grant = Grant::seal(&grant_of(1, &agent, account), &key, &keys, &mut random()).expect("sealed");
    let params = json!({"version": 1, "grant": vectors::grant_json(&grant), "granter": holder(&agent)});
    let opened = worker.call("openGrant", params);
    assert_eq!(opened["granterFingerprint"], fingerprint(&agent.of.member, &agent.public));
    // That somebody granted makes nobody known; that people compared does.
    assert_eq!(opened["confirmed"], false);
    assert_eq!(worker.call("grantTo", json!({"member": holder(&agent)}))["confirmed"], false);
    let confirmed = worker.call("confirm", json!({"member": holder(&agent)}));
    assert_eq!(confirmed["fingerprint"], opened["granterFingerprint"]);
    let granted = worker.call("grantTo", json!({"member": holder(&agent)}));
    assert_eq!((&granted["confirmed"], number(&granted["version"])), (&json!(true), 1));
    // A second key of the same version, well signed, does not take the first one's place.
    let other = OrganizationKey::generate(&mut random());
    let second = Grant::seal(&grant_of(1, &agent, account), &other, &keys, &mut random()).expect("sealed");
    let params = json!({"version": 1, "grant": vectors::grant_json(&second), "granter": holder(&agent)});
    assert_eq!(worker.refused("openGrant", params), "organization_key");
    let back = vectors::grant(&granted["grant"]);
    assert_eq!(back.open(&grant_of(1, account, &agent), keys.opening(), &account.public.sig), Ok(key));
}

#[test]
fn a_worker_says_what_is_wrong_and_goes_on() {
    let mut worker = Worker::start(key_of(1, 1));
    assert_eq!(worker.refused("constructor", json!({})), "method");
    assert_eq!(worker.refused("open", json!({})), "malformed");
    assert_eq!(worker.refused("rotate", json!({})), "locked");
    assert_eq!(worker.refused("setUpBegin", json!({"password": ""})), "password_length");
    worker.call("setUpBegin", json!({"password": "one"}));
    let params = worker.with_key(json!({
        "challenge": text(&[4; 32]), "registrationResponse": text(&[1; 64]),
        "stretching": {"memoryKib": 1024, "passes": 1, "lanes": 1},
    }));
    assert_eq!(worker.refused("setUpFinish", params), "stretching");
    worker.call("setUpBegin", json!({"password": "one"}));
    let params = worker.with_key(json!({
        "challenge": text(&[4; 32]), "registrationResponse": text(&[0xff; 64]),
        "stretching": stretching_json(&STRETCHING),
    }));
    assert_eq!(worker.refused("setUpFinish", params), "opaque");
    // A wrap round trip of the helpers, so that none of them is for nothing.
    let zeros = json!({"nonce": text(&[0; 12]), "ct": text(&[0; 48])});
    assert_eq!(wrap_json(&wrap(&zeros)), zeros);
}
