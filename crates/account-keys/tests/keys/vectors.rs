//! Every structure of the protocol once, as JSON: made by one implementation, opened by the other.

use account_keys::{
    AccountKey, AccountSecret, ChainLink, Grant, GrantOf, KitSecret, Member, MemberKeys, OrganizationKey,
    OrganizationKitSecret, Possession, PublicKeys, Recipient, RecoveryProof, RecoveryVerifier, Stretching, Wrap,
    canonical, fingerprint,
    opaque::{
        client::{ExportKey, Login, Password, Registration},
        server::{self, Setup},
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::made::{self, random};

/// Composed; whoever reads it decomposed must get the same keys.
pub(crate) const PASSWORD: &str = "Zw\u{f6}lf Boxk\u{e4}mpfer";

pub(crate) fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    let text = value.as_str().unwrap_or_else(|| panic!("not a text: {value}"));
    let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
    bytes.try_into().unwrap_or_else(|bytes: Vec<u8>| panic!("{} bytes, not {N}: {text}", bytes.len()))
}

pub(crate) fn uuid(value: &Value) -> Uuid {
    value.as_str().unwrap_or_default().parse().unwrap_or_else(|_| panic!("not an id: {value}"))
}

pub(crate) fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("not a version: {value}"))
}

pub(crate) fn public_keys(value: &Value) -> PublicKeys {
    PublicKeys { enc: bytes(&value["enc"]), sig: bytes(&value["sig"]) }
}

pub(crate) fn public_json(public: &PublicKeys) -> Value {
    json!({"enc": text(&public.enc), "sig": text(&public.sig)})
}

pub(crate) fn wrap(value: &Value) -> Wrap {
    Wrap { nonce: bytes(&value["nonce"]), ct: bytes(&value["ct"]) }
}

pub(crate) fn wrap_json(wrap: &Wrap) -> Value {
    json!({"nonce": text(&wrap.nonce), "ct": text(&wrap.ct)})
}

pub(crate) fn grant(value: &Value) -> Grant {
    Grant { enc: bytes(&value["enc"]), ct: bytes(&value["ct"]), signature: bytes(&value["signature"]) }
}

pub(crate) fn grant_json(grant: &Grant) -> Value {
    json!({"enc": text(&grant.enc), "ct": text(&grant.ct), "signature": text(&grant.signature)})
}

pub(crate) fn link(value: &Value) -> ChainLink {
    ChainLink { nonce: bytes(&value["nonce"]), ct: bytes(&value["ct"]) }
}

pub(crate) fn account_key(value: &Value) -> AccountKey {
    AccountKey {
        member: Member { organization: uuid(&value["organization"]), user: uuid(&value["user"]) },
        key_id: uuid(&value["keyId"]),
        version: number(&value["version"]),
    }
}

pub(crate) fn stretching_json(stretching: &Stretching) -> Value {
    let Stretching { memory_kib, passes, lanes } = stretching;
    json!({"memoryKib": memory_kib, "passes": passes, "lanes": lanes})
}

/// A structure of each kind, of new secrets.
pub(crate) fn make(mut fill: impl FnMut(&mut [u8])) -> Value {
    let fill = &mut fill;
    let of = made::key_of(1, 3);
    let (secret, kit) = (AccountSecret::generate(fill), KitSecret::generate(fill));
    let keys = MemberKeys::derive(&secret);
    let mut challenge = [0; 32];
    fill(&mut challenge);
    let proof = kit.recovery_proof(of.member.user);

    let setup = Setup::generate(fill);
    let (registration, request) = Registration::begin(Password::new(PASSWORD).expect("password"), fill).expect("begun");
    let response = server::register(&setup, &of.member, of.key_id, &request).expect("answered");
    let registered = registration.finish(&of.member, &response, &Stretching::FLOOR, fill).expect("registered");
    let export_key = registered.export_key;

    let granter_secret = AccountSecret::generate(fill);
    let granter = MemberKeys::derive(&granter_secret);
    let (first, second) = (OrganizationKey::generate(fill), OrganizationKey::generate(fill));
    let organization_kit = OrganizationKitSecret::generate(fill);
    let opening = organization_kit.opening(of.member.organization);
    let kit_proof = organization_kit.proof(of.member.organization);
    let to_member = GrantOf {
        organization: of.member.organization,
        version: 2,
        recipient: Recipient::Member { user: of.member.user, key_id: of.key_id, public: keys.public() },
        granter_key_id: made::uuid(21),
    };
    let to_kit = GrantOf { recipient: Recipient::Kit { enc: opening.public() }, ..to_member };
    let grant = Grant::seal(&to_member, &second, &granter, fill).expect("sealed");
    let kit_grant = Grant::seal(&to_kit, &second, &granter, fill).expect("sealed");
    let chain = ChainLink::seal(of.member.organization, 2, &second, &first, fill).expect("sealed");

    json!({
        "canonical": text(&canonical("label/v1", &[b"", "z\u{fc}rich".as_bytes(), &[0; 3]])),
        "accountKey": {
            "organization": of.member.organization, "user": of.member.user, "keyId": of.key_id, "version": of.version,
        },
        "accountSecret": text(secret.expose()),
        "publicKeys": public_json(&keys.public()),
        "fingerprint": fingerprint(&of.member, &keys.public()),
        "challenge": text(&challenge),
        "possession": text(&Possession::make(&of, &keys, &challenge).0),
        "opaque": {
            "setup": text(&setup.to_bytes()), "password": PASSWORD, "stretching": stretching_json(&Stretching::FLOOR),
            "record": text(&registered.record), "exportKey": text(export_key.expose()),
        },
        "passwordWrap": wrap_json(&Wrap::with_password(&of, &secret, &export_key, fill).expect("wrapped")),
        "kit": {
            "secret": text(kit.expose()), "words": kit.words().as_str(),
            "proof": text(&proof.0), "verifier": text(&proof.verifier().0),
        },
        "recoveryWrap": wrap_json(&Wrap::with_kit(&of, &secret, &kit, fill).expect("wrapped")),
        "granter": {
            "user": made::uuid(20), "keyId": made::uuid(21), "accountSecret": text(granter_secret.expose()),
            "publicKeys": public_json(&granter.public()),
        },
        "organizationKeys": [text(first.expose()), text(second.expose())],
        "grant": grant_json(&grant),
        "link": {"nonce": text(&chain.nonce), "ct": text(&chain.ct)},
        "organizationKit": {
            "secret": text(organization_kit.expose()), "words": organization_kit.words().as_str(),
            "publicKey": text(&opening.public()), "grant": grant_json(&kit_grant),
            "proof": text(&kit_proof.0), "verifier": text(&kit_proof.verifier().0),
        },
    })
}

/// Panics unless each structure is derived and opens as the protocol says.
pub(crate) fn open(made: &Value) {
    let of = account_key(&made["accountKey"]);
    assert_eq!(made["canonical"], text(&canonical("label/v1", &[b"", "z\u{fc}rich".as_bytes(), &[0; 3]])));
    let secret = AccountSecret::from_bytes(bytes(&made["accountSecret"]));
    let keys = MemberKeys::derive(&secret);
    assert_eq!(made["publicKeys"], public_json(&keys.public()));
    assert_eq!(made["fingerprint"], fingerprint(&of.member, &keys.public()));
    let possession = Possession(bytes(&made["possession"]));
    assert_eq!(possession.verify(&of, &keys.public(), &bytes(&made["challenge"])), Ok(()));

    let opaque = &made["opaque"];
    let export_key = log_in(&of, opaque);
    assert_eq!(text(export_key.expose()), opaque["exportKey"]);
    assert_eq!(wrap(&made["passwordWrap"]).open_with_password(&of, &export_key), Ok(secret.clone()));

    let kit = KitSecret::from_words(made["kit"]["words"].as_str().unwrap_or_default()).expect("kit");
    assert_eq!(kit.expose(), &bytes::<32>(&made["kit"]["secret"]));
    let proof = kit.recovery_proof(of.member.user);
    assert_eq!(made["kit"]["proof"], text(&proof.0));
    assert_eq!(RecoveryVerifier(bytes(&made["kit"]["verifier"])).verify(&RecoveryProof(proof.0)), Ok(()));
    assert_eq!(wrap(&made["recoveryWrap"]).open_with_kit(&of, &kit), Ok(secret));

    let granter = public_keys(&made["granter"]["publicKeys"]);
    let key = |index: usize| OrganizationKey::from_bytes(bytes(&made["organizationKeys"][index]));
    let to_member = GrantOf {
        organization: of.member.organization,
        version: 2,
        recipient: Recipient::Member { user: of.member.user, key_id: of.key_id, public: keys.public() },
        granter_key_id: uuid(&made["granter"]["keyId"]),
    };
    assert_eq!(grant(&made["grant"]).open(&to_member, keys.opening(), &granter.sig), Ok(key(1)));
    assert_eq!(link(&made["link"]).open(of.member.organization, 2, &key(1)), Ok(key(0)));

    let kit = &made["organizationKit"];
    let secret = OrganizationKitSecret::from_words(kit["words"].as_str().unwrap_or_default()).expect("kit");
    assert_eq!(secret.expose(), &bytes::<32>(&kit["secret"]));
    let opening = secret.opening(of.member.organization);
    assert_eq!(kit["publicKey"], text(&opening.public()));
    let proof = secret.proof(of.member.organization);
    assert_eq!(kit["proof"], text(&proof.0));
    assert_eq!(RecoveryVerifier(bytes(&kit["verifier"])).verify(&proof), Ok(()));
    let to_kit = GrantOf { recipient: Recipient::Kit { enc: opening.public() }, ..to_member };
    assert_eq!(grant(&kit["grant"]).open(&to_kit, &opening, &granter.sig), Ok(key(1)));
}

/// With the record that was made, against its server.
fn log_in(of: &AccountKey, opaque: &Value) -> ExportKey {
    let member = &of.member;
    let setup = Setup::from_bytes(&bytes::<{ server::SETUP }>(&opaque["setup"])).expect("set-up");
    let password = Password::new(opaque["password"].as_str().unwrap_or_default()).expect("password");
    let (login, ke1) = Login::begin(password, &mut random()).expect("begun");
    let begun = server::begin_login(&setup, member, of.key_id, Some(&bytes(&opaque["record"])), &ke1, &mut random());
    let (ke2, state) = begun.expect("answered");
    let stretching = &opaque["stretching"];
    let stretching = Stretching {
        memory_kib: number(&stretching["memoryKib"]),
        passes: number(&stretching["passes"]),
        lanes: number(&stretching["lanes"]),
    };
    let done = login.finish(member, &ke2, &stretching, &mut random()).expect("logged in");
    assert_eq!(server::finish_login(member, &state, &done.ke3), Ok(()));
    done.export_key
}
