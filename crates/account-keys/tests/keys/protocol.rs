//! The protocol of docs/account-keys.md: what is made opens, and nothing else does.

use account_keys::{
    AccountKey, AccountSecret, ChainLink, Error, Grant, GrantOf, KitSecret, Member, MemberKeys, OrganizationKey,
    OrganizationKitSecret, Possession, PublicKeys, Recipient, RecoveryProof, Stretching, Wrap, canonical, fingerprint,
    opaque::{
        self,
        client::{ExportKey, Login, Password, Registration},
        server::{self, LoginState, Setup},
    },
};

use proptest::prelude::*;

use crate::made::{fixed, key_of, member, random, uuid};

fn keys(seed: u8) -> MemberKeys {
    MemberKeys::derive(&AccountSecret::from_bytes([seed; 32]))
}

/// A grant of version 2 from the member of seed 1 to the one of seed 2.
fn grant() -> (Grant, GrantOf, OrganizationKey) {
    let key = OrganizationKey::from_bytes([9; 32]);
    let of = GrantOf {
        organization: uuid(1),
        version: 2,
        recipient: Recipient::Member { user: uuid(20), key_id: uuid(22), public: keys(2).public() },
        granter_key_id: uuid(11),
    };
    (Grant::seal(&of, &key, &keys(1), &mut fixed(3)).expect("sealed"), of, key)
}

/// Each byte changed by one bit.
fn flipped<const N: usize>(bytes: [u8; N]) -> impl Iterator<Item = [u8; N]> {
    (0..N).map(move |index| {
        let mut bytes = bytes;
        bytes[index] ^= 1;
        bytes
    })
}

#[test]
fn a_wrap_opens_with_its_own_secret_member_key_version_and_kind_alone() {
    let (secret, of) = (AccountSecret::from_bytes([5; 32]), key_of(1, 1));
    let export_key = ExportKey::from_bytes([6; 64]);
    let kit = KitSecret::from_bytes([7; 32]);
    let with_password = Wrap::with_password(&of, &secret, &export_key, &mut fixed(1)).expect("wrapped");
    let with_kit = Wrap::with_kit(&of, &secret, &kit, &mut fixed(2)).expect("wrapped");
    assert_eq!(with_password.open_with_password(&of, &export_key), Ok(secret.clone()));
    assert_eq!(with_kit.open_with_kit(&of, &kit), Ok(secret));

    let member = of.member;
    for other in [
        AccountKey { member: Member { organization: uuid(99), ..member }, ..of },
        AccountKey { member: Member { user: uuid(99), ..member }, ..of },
        AccountKey { key_id: uuid(99), ..of },
        AccountKey { version: 2, ..of },
        AccountKey { version: 11, ..of },
    ] {
        assert_eq!(with_password.open_with_password(&other, &export_key), Err(Error::Wrap("password")));
        assert_eq!(with_kit.open_with_kit(&other, &kit), Err(Error::Wrap("recovery")));
    }
    for bytes in flipped([6; 64]) {
        assert!(with_password.open_with_password(&of, &ExportKey::from_bytes(bytes)).is_err());
    }
    for bytes in flipped([7; 32]) {
        assert!(with_kit.open_with_kit(&of, &KitSecret::from_bytes(bytes)).is_err());
    }
    for nonce in flipped(with_kit.nonce) {
        assert!(Wrap { nonce, ..with_kit }.open_with_kit(&of, &kit).is_err());
    }
    for ct in flipped(with_kit.ct) {
        assert!(Wrap { ct, ..with_kit }.open_with_kit(&of, &kit).is_err());
    }
    assert!(with_kit.open_with_password(&of, &export_key).is_err());
    assert!(with_password.open_with_kit(&of, &kit).is_err());
}

#[test]
fn kit_words_come_back_however_they_are_typed() {
    let kit = KitSecret::from_bytes([0x5a; 32]);
    let words = kit.words();
    assert_eq!(words.split(' ').count(), 24);
    let lines = words.split(' ').collect::<Vec<_>>().chunks(4).map(|four| four.join(" ")).collect::<Vec<_>>();
    for typed in
        [words.to_string(), words.to_uppercase(), format!("\n\t {}\r\n", words.replace(' ', "   ")), lines.join("\r\n")]
    {
        assert_eq!(KitSecret::from_words(&typed), Ok(kit.clone()), "{typed:?}");
    }
    assert_eq!(OrganizationKitSecret::from_words(&words).map(|kit| *kit.expose()), Ok([0x5a; 32]));
}

#[test]
fn wrong_kit_words_say_what_is_wrong() {
    let words = KitSecret::from_bytes([0x5a; 32]).words();
    let words: Vec<&str> = words.split(' ').collect();
    let typed = |words: &[&str]| KitSecret::from_words(&words.join(" "));
    assert_eq!(typed(&words[..23]), Err(Error::WordCount(23)));
    assert_eq!(typed(&words[..12]), Err(Error::WordCount(12)));
    assert_eq!(typed(&[]), Err(Error::WordCount(0)));
    let mut unknown = words.clone();
    unknown[6] = "rollcall";
    assert_eq!(typed(&unknown), Err(Error::UnknownWord(7)));
    assert_eq!(Error::UnknownWord(7).to_string(), "word 7 is not in the list of words");
    // A checksum of 8 bits lets one wrong kit in 256 pass; these are not among them.
    let mut other = words.clone();
    other[3] = "zoo";
    assert_eq!(typed(&other), Err(Error::WordsChecksum));
    let mut swapped = words;
    swapped.swap(0, 1);
    assert_eq!(typed(&swapped), Err(Error::WordsChecksum));
}

#[test]
fn words_are_those_of_bip_39() {
    // From the test vectors that BIP 39 names.
    assert_eq!(*KitSecret::from_bytes([0; 32]).words(), format!("{}art", "abandon ".repeat(23)));
    assert_eq!(*KitSecret::from_bytes([0xff; 32]).words(), format!("{}vote", "zoo ".repeat(23)));
}

#[test]
fn a_recovery_proof_is_of_one_kit_and_one_user() {
    let kit = KitSecret::from_bytes([7; 32]);
    let verifier = kit.recovery_proof(uuid(10)).verifier();
    assert_eq!(verifier.verify(&kit.recovery_proof(uuid(10))), Ok(()));
    assert_eq!(verifier.verify(&kit.recovery_proof(uuid(11))), Err(Error::RecoveryProof));
    assert_eq!(verifier.verify(&RecoveryProof([0; 32])), Err(Error::RecoveryProof));
    let other = KitSecret::from_bytes([8; 32]).recovery_proof(uuid(10));
    assert_eq!(verifier.verify(&other), Err(Error::RecoveryProof));
}

#[test]
fn possession_is_proven_for_one_key_and_challenge() {
    let (of, challenge) = (key_of(1, 1), [4; 32]);
    let public = keys(1).public();
    let proof = Possession::make(&of, &keys(1), &challenge);
    assert_eq!(proof.verify(&of, &public, &challenge), Ok(()));

    let member = of.member;
    for other in [
        AccountKey { member: Member { organization: uuid(99), ..member }, ..of },
        AccountKey { member: Member { user: uuid(99), ..member }, ..of },
        AccountKey { key_id: uuid(99), ..of },
        AccountKey { version: 2, ..of },
    ] {
        assert_eq!(proof.verify(&other, &public, &challenge), Err(Error::Possession));
    }
    for challenge in flipped(challenge) {
        assert_eq!(proof.verify(&of, &public, &challenge), Err(Error::Possession));
    }
    for enc in flipped(public.enc) {
        assert!(proof.verify(&of, &PublicKeys { enc, ..public }, &challenge).is_err());
    }
    for sig in flipped(public.sig) {
        assert!(proof.verify(&of, &PublicKeys { sig, ..public }, &challenge).is_err());
    }
    for signature in flipped(proof.0) {
        assert_eq!(Possession(signature).verify(&of, &public, &challenge), Err(Error::Possession));
    }
    // Someone else's encryption key with one's own signature is seen as little as it is of use; of small order is seen.
    let weak = PublicKeys { enc: [0; 32], ..public };
    assert_eq!(proof.verify(&of, &weak, &challenge), Err(Error::PublicKey("the encryption key")));
    let mut identity = [0; 32];
    identity[0] = 1;
    let weak = PublicKeys { sig: identity, ..public };
    assert_eq!(proof.verify(&of, &weak, &challenge), Err(Error::PublicKey("the signing key")));
}

#[test]
fn a_grant_opens_for_its_recipient_and_nothing_in_it_can_be_changed() {
    let (grant, of, key) = grant();
    let (recipient, granter) = (keys(2), keys(1).public().sig);
    assert_eq!(grant.verify(&of, &granter), Ok(()));
    assert_eq!(grant.open(&of, recipient.opening(), &granter), Ok(key));

    let public = recipient.public();
    let user = Recipient::Member { user: uuid(98), key_id: uuid(22), public };
    let key_id = Recipient::Member { user: uuid(20), key_id: uuid(98), public };
    let sig = PublicKeys { sig: keys(3).public().sig, ..public };
    let sig = Recipient::Member { user: uuid(20), key_id: uuid(22), public: sig };
    for other in [
        GrantOf { organization: uuid(99), ..of },
        GrantOf { version: 1, ..of },
        GrantOf { version: 3, ..of },
        GrantOf { recipient: user, ..of },
        GrantOf { recipient: key_id, ..of },
        GrantOf { recipient: sig, ..of },
        GrantOf { recipient: Recipient::Kit { enc: public.enc }, ..of },
        GrantOf { granter_key_id: uuid(98), ..of },
    ] {
        assert_eq!(grant.open(&other, recipient.opening(), &granter), Err(Error::GrantSignature), "{other:?}");
    }
    let changed = flipped(grant.enc).map(|enc| Grant { enc, ..grant });
    let changed = changed.chain(flipped(grant.ct).map(|ct| Grant { ct, ..grant }));
    for other in changed.chain(flipped(grant.signature).map(|signature| Grant { signature, ..grant })) {
        assert_eq!(other.open(&of, recipient.opening(), &granter), Err(Error::GrantSignature));
    }
    assert_eq!(grant.open(&of, recipient.opening(), &keys(3).public().sig), Err(Error::GrantSignature));
    assert_eq!(grant.open(&of, keys(3).opening(), &granter), Err(Error::GrantRecipient));
}

#[test]
fn grants_of_two_members_cannot_be_swapped_and_an_old_one_is_not_a_new_one() {
    let (first, of_first, key) = grant();
    let of_second = GrantOf {
        recipient: Recipient::Member { user: uuid(30), key_id: uuid(33), public: keys(3).public() },
        ..of_first
    };
    let second = Grant::seal(&of_second, &key, &keys(1), &mut fixed(4)).expect("sealed");
    let granter = keys(1).public().sig;
    assert!(second.open(&of_second, keys(3).opening(), &granter).is_ok());
    assert_eq!(second.open(&of_first, keys(2).opening(), &granter), Err(Error::GrantSignature));
    assert_eq!(first.open(&of_second, keys(3).opening(), &granter), Err(Error::GrantSignature));
    // The grant of version 2, played again as that of version 3, or to the key after a reset.
    let rotated = GrantOf { version: 3, ..of_first };
    assert_eq!(first.open(&rotated, keys(2).opening(), &granter), Err(Error::GrantSignature));
    let reset = GrantOf {
        recipient: Recipient::Member { user: uuid(20), key_id: uuid(23), public: keys(4).public() },
        ..of_first
    };
    assert_eq!(first.open(&reset, keys(4).opening(), &granter), Err(Error::GrantSignature));
}

#[test]
fn nothing_is_sealed_to_a_key_that_keeps_no_secret() {
    let (_, of, key) = grant();
    let public = PublicKeys { enc: [0; 32], ..keys(2).public() };
    let weak = GrantOf { recipient: Recipient::Member { user: uuid(20), key_id: uuid(22), public }, ..of };
    let sealed = Grant::seal(&weak, &key, &keys(1), &mut fixed(3));
    assert_eq!(sealed, Err(Error::PublicKey("the recipient's encryption key")));
}

#[test]
fn the_organization_kit_opens_what_was_sealed_to_it() {
    let kit = OrganizationKitSecret::from_bytes([3; 32]);
    let opening = kit.opening(uuid(1));
    let key = OrganizationKey::from_bytes([9; 32]);
    let of = GrantOf {
        organization: uuid(1),
        version: 1,
        recipient: Recipient::Kit { enc: opening.public() },
        granter_key_id: uuid(11),
    };
    let sealed = Grant::seal(&of, &key, &keys(1), &mut fixed(3)).expect("sealed");
    let granter = keys(1).public().sig;
    assert_eq!(sealed.open(&of, &opening, &granter), Ok(key));
    assert_eq!(sealed.open(&of, &kit.opening(uuid(2)), &granter), Err(Error::GrantRecipient));
}

#[test]
fn the_chain_leads_back_one_version_at_a_time_and_never_forward() {
    let versions: Vec<_> = (1..=4).map(|seed| OrganizationKey::from_bytes([seed; 32])).collect();
    let link = |version: u32| {
        let (key, previous) = (&versions[version as usize - 1], &versions[version as usize - 2]);
        ChainLink::seal(uuid(1), version, key, previous, &mut fixed(5)).expect("sealed")
    };
    let mut key = versions[3].clone();
    for version in (2..=4).rev() {
        key = link(version).open(uuid(1), version, &key).expect("opened");
    }
    assert_eq!(key, versions[0]);

    let of_3 = link(3);
    assert_eq!(of_3.open(uuid(1), 3, &versions[1]), Err(Error::Chain));
    assert_eq!(of_3.open(uuid(1), 4, &versions[2]), Err(Error::Chain));
    assert_eq!(of_3.open(uuid(2), 3, &versions[2]), Err(Error::Chain));
    for nonce in flipped(of_3.nonce) {
        assert_eq!(ChainLink { nonce, ..of_3 }.open(uuid(1), 3, &versions[2]), Err(Error::Chain));
    }
    for ct in flipped(of_3.ct) {
        assert_eq!(ChainLink { ct, ..of_3 }.open(uuid(1), 3, &versions[2]), Err(Error::Chain));
    }
    let first = ChainLink::seal(uuid(1), 1, &versions[0], &versions[0], &mut fixed(5));
    assert_eq!(first, Err(Error::NoPrevious(1)));
    assert_eq!(of_3.open(uuid(1), 1, &versions[2]), Err(Error::NoPrevious(1)));
}

#[test]
fn a_fingerprint_is_of_all_that_it_vouches_for() {
    let (member, public) = (member(1), keys(1).public());
    let phrase = fingerprint(&member, &public);
    assert_eq!(phrase.split(' ').count(), 8);
    assert_eq!(fingerprint(&member, &public), phrase);
    for (member, public) in [
        (Member { organization: uuid(99), ..member }, public),
        (Member { user: uuid(99), ..member }, public),
        (member, PublicKeys { enc: keys(2).public().enc, ..public }),
        (member, PublicKeys { sig: keys(2).public().sig, ..public }),
        (member, PublicKeys { enc: public.sig, sig: public.enc }),
    ] {
        assert_ne!(fingerprint(&member, &public), phrase);
    }
}

#[test]
fn nothing_secret_is_in_what_debug_shows() {
    let bytes = [0xab; 32];
    let (registration, _) =
        Registration::begin(Password::new("correct horse").expect("password"), &mut random()).expect("begun");
    let shown = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        AccountSecret::from_bytes(bytes),
        KitSecret::from_bytes(bytes),
        OrganizationKey::from_bytes(bytes),
        OrganizationKitSecret::from_bytes(bytes),
        ExportKey::from_bytes([0xab; 64]),
        RecoveryProof(bytes),
        OrganizationKitSecret::from_bytes(bytes).opening(uuid(1)),
        Password::new("correct horse").expect("password"),
        registration,
        Setup::generate(&mut fixed(1)),
    );
    assert!(!shown.contains("171") && !shown.contains("horse") && !shown.to_lowercase().contains("abab"), "{shown}");
}

/// A server with one member, registered with the cheapest stretching that is allowed.
struct Registered {
    setup: Setup,
    record: [u8; opaque::RECORD],
    export_key: ExportKey,
}

fn register(password: &str) -> Registered {
    let setup = Setup::generate(&mut fixed(1));
    let (registration, request) =
        Registration::begin(Password::new(password).expect("password"), &mut random()).expect("begun");
    let response = server::register(&setup, &member(1), uuid(2), &request).expect("answered");
    let done = registration.finish(&member(1), &response, &Stretching::FLOOR, &mut random()).expect("finished");
    Registered { setup, record: server::record(&done.record).expect("record"), export_key: done.export_key }
}

/// The export key, after the server believed the login.
fn log_in(with: &Registered, password: &str, stretching: &Stretching, client: &Member) -> Result<ExportKey, Error> {
    let (login, ke1) = Login::begin(Password::new(password)?, &mut random())?;
    let (ke2, state) = server::begin_login(&with.setup, &member(1), uuid(2), Some(&with.record), &ke1, &mut random())?;
    let done = login.finish(client, &ke2, stretching, &mut random())?;
    let state = LoginState::from_bytes(state.expose())?;
    server::finish_login(&member(1), &state, &done.ke3)?;
    Ok(done.export_key)
}

#[test]
fn the_right_password_alone_gives_the_export_key() {
    // Composed, decomposed, and with a ligature that NFKC takes apart: one password.
    let with = register("caf\u{e9} \u{fb01}ve");
    for typed in ["caf\u{e9} \u{fb01}ve", "cafe\u{301} five"] {
        let key = log_in(&with, typed, &Stretching::FLOOR, &member(1)).expect("logged in");
        assert_eq!(key.expose(), with.export_key.expose());
    }
    let wrong = |typed: &str, stretching: &Stretching, client: &Member| {
        log_in(&with, typed, stretching, client).map(|_| ()).expect_err("refused")
    };
    assert_eq!(wrong("cafe five", &Stretching::FLOOR, &member(1)), Error::WrongPassword);
    // Other stretching than registered, or another member's name, looks the same.
    let more = Stretching { passes: 3, ..Stretching::FLOOR };
    assert_eq!(wrong("caf\u{e9} five", &more, &member(1)), Error::WrongPassword);
    let twin = Member { organization: uuid(99), ..member(1) };
    assert_eq!(wrong("caf\u{e9} five", &Stretching::FLOOR, &twin), Error::WrongPassword);
}

/// A registration is no guess that is counted, so what is answered to it must not tell of the record of other keys: in a login's first
/// message, as in a registration request, the first 32 bytes are the blinded password, and in both answers they are what it evaluates to.
#[test]
fn a_registration_for_other_keys_evaluates_nothing_for_a_record() {
    let with = register("a");
    let (_, ke1) = Login::begin(Password::new("a guess").expect("password"), &mut random()).expect("begun");
    let begun = server::begin_login(&with.setup, &member(1), uuid(2), Some(&with.record), &ke1, &mut random());
    let (ke2, _) = begun.expect("answered");
    let registered = |member, key| server::register(&with.setup, &member, key, &ke1[..32]).expect("answered");
    assert_eq!(registered(member(1), uuid(2))[..32], ke2[..32], "the same key is how the record was made");
    for (member, key) in [(member(1), uuid(3)), (member(2), uuid(2))] {
        assert_ne!(registered(member, key)[..32], ke2[..32]);
    }
}

#[test]
fn a_client_computes_nothing_below_the_floor() {
    let weak = Stretching { memory_kib: 8, passes: 1, lanes: 1 };
    let (registration, request) =
        Registration::begin(Password::new("a").expect("password"), &mut random()).expect("begun");
    let setup = Setup::generate(&mut fixed(1));
    let response = server::register(&setup, &member(1), uuid(2), &request).expect("answered");
    let refused = registration.finish(&member(1), &response, &weak, &mut random()).map(|_| ());
    let error = Error::Stretching { memory_kib: 8, passes: 1, lanes: 1 };
    assert_eq!(refused, Err(error.clone()));
    let (login, ke1) = Login::begin(Password::new("a").expect("password"), &mut random()).expect("begun");
    let (ke2, _) = server::begin_login(&setup, &member(1), uuid(2), None, &ke1, &mut random()).expect("answered");
    assert_eq!(login.finish(&member(1), &ke2, &weak, &mut random()).map(|_| ()), Err(error));
}

#[test]
fn a_member_without_a_record_is_answered_alike_and_lets_nobody_in() {
    let setup = Setup::generate(&mut fixed(1));
    let (login, ke1) = Login::begin(Password::new("a").expect("password"), &mut random()).expect("begun");
    let (ke2, state) = server::begin_login(&setup, &member(1), uuid(2), None, &ke1, &mut random()).expect("answered");
    assert_eq!(ke2.len(), opaque::KE2);
    let refused = login.finish(&member(1), &ke2, &Stretching::FLOOR, &mut random()).map(|_| ());
    assert_eq!(refused, Err(Error::WrongPassword));
    assert_eq!(server::finish_login(&member(1), &state, &[0; opaque::KE3]), Err(Error::LoginRefused));
}

#[test]
fn a_third_message_is_for_one_member_and_one_login() {
    let with = register("a");
    let begin = || {
        let (login, ke1) = Login::begin(Password::new("a").expect("password"), &mut random()).expect("begun");
        let begun = server::begin_login(&with.setup, &member(1), uuid(2), Some(&with.record), &ke1, &mut random());
        let (ke2, state) = begun.expect("answered");
        (login.finish(&member(1), &ke2, &Stretching::FLOOR, &mut random()).expect("logged in").ke3, state)
    };
    let ((ke3, state), (_, other)) = (begin(), begin());
    assert_eq!(server::finish_login(&member(1), &state, &ke3), Ok(()));
    assert_eq!(server::finish_login(&member(1), &other, &ke3), Err(Error::LoginRefused));
    for ke3 in flipped(ke3) {
        assert_eq!(server::finish_login(&member(1), &state, &ke3), Err(Error::LoginRefused));
    }
}

#[test]
fn messages_of_another_length_or_off_the_curve_are_refused() {
    let setup = Setup::generate(&mut fixed(1));
    let length = |what, expected, found| Error::Length { what, expected, found };
    let request = server::register(&setup, &member(1), uuid(2), &[0; 33]);
    assert_eq!(request, Err(length("the registration request", 32, 33)));
    assert!(matches!(server::register(&setup, &member(1), uuid(2), &[0xff; 32]), Err(Error::Opaque(_))));
    // The neutral element would evaluate to itself, whatever the key.
    assert!(matches!(server::register(&setup, &member(1), uuid(2), &[0; 32]), Err(Error::Opaque(_))));
    assert_eq!(server::record(&[0; 191]), Err(length("the registration record", 192, 191)));
    assert!(matches!(server::record(&[0xff; 192]), Err(Error::Opaque(_))));
    let begun = server::begin_login(&setup, &member(1), uuid(2), None, &[0; 97], &mut random()).map(|_| ());
    assert_eq!(begun, Err(length("the login's first message", 96, 97)));
    assert_eq!(Setup::from_bytes(&[0; 127]).map(|_| ()), Err(length("the server's set-up", 128, 127)));
    assert!(LoginState::from_bytes(&[0; 1]).is_err());
}

#[test]
fn a_set_up_is_kept_as_bytes() {
    let setup = Setup::generate(&mut fixed(1));
    let again = Setup::from_bytes(&setup.to_bytes()).expect("set-up");
    assert_eq!(again.to_bytes(), setup.to_bytes());
    assert_eq!(again.id(), setup.id());
    assert_ne!(Setup::generate(&mut fixed(2)).id(), setup.id());
}

#[test]
fn a_password_has_something_in_it_and_an_end() {
    assert_eq!(Password::new("").map(|_| ()), Err(Error::PasswordLength(0)));
    assert!(Password::new(&"x".repeat(1024)).is_ok());
    assert_eq!(Password::new(&"x".repeat(1025)).map(|_| ()), Err(Error::PasswordLength(1025)));
    assert!(Password::new(&"x".repeat(1 << 20)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn different_fields_have_different_bytes(
        a in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..5),
        b in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6), 0..5),
    ) {
        let bytes = |fields: &[Vec<u8>]| canonical("l/v1", &fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(bytes(&a) == bytes(&b), a == b);
    }

    #[test]
    fn any_secret_survives_words_wraps_and_chains(secret: [u8; 32], key: [u8; 32], seed: u64, version in 2..u32::MAX) {
        let kit = KitSecret::from_bytes(key);
        prop_assert_eq!(KitSecret::from_words(&kit.words()), Ok(kit.clone()));
        let of = key_of(seed.into(), version);
        let wrap = Wrap::with_kit(&of, &AccountSecret::from_bytes(secret), &kit, &mut random()).expect("wrapped");
        prop_assert_eq!(wrap.open_with_kit(&of, &kit), Ok(AccountSecret::from_bytes(secret)));
        let (newer, older) = (OrganizationKey::from_bytes(key), OrganizationKey::from_bytes(secret));
        let link = ChainLink::seal(uuid(1), version, &newer, &older, &mut random()).expect("sealed");
        prop_assert_eq!(link.open(uuid(1), version, &newer), Ok(older));
    }

    #[test]
    fn any_grant_opens_for_whom_it_was_made(key: [u8; 32], recipient: [u8; 32], granter: [u8; 32], version: u32) {
        let granter = MemberKeys::derive(&AccountSecret::from_bytes(granter));
        let recipient = MemberKeys::derive(&AccountSecret::from_bytes(recipient));
        let of = GrantOf {
            organization: uuid(1),
            version,
            recipient: Recipient::Member { user: uuid(2), key_id: uuid(3), public: recipient.public() },
            granter_key_id: uuid(4),
        };
        let key = OrganizationKey::from_bytes(key);
        let grant = Grant::seal(&of, &key, &granter, &mut random()).expect("sealed");
        prop_assert_eq!(grant.open(&of, recipient.opening(), &granter.public().sig), Ok(key));
    }

    #[test]
    fn no_words_are_a_panic(typed in "\\PC{0,300}") {
        prop_assert!(KitSecret::from_words(&typed).is_err());
    }

    #[test]
    fn no_message_is_a_panic(
        message in proptest::collection::vec(any::<u8>(), 0..400),
        exact in any::<[u8; 32]>(),
    ) {
        let setup = Setup::generate(&mut fixed(1));
        let _ = server::register(&setup, &member(1), uuid(2), &exact);
        let _ = server::register(&setup, &member(1), uuid(2), &message);
        let _ = server::record(&message);
        let _ = server::begin_login(&setup, &member(1), uuid(2), None, &message, &mut random());
        let _ = Setup::from_bytes(&message);
    }
}
