//! Assertions: signed JSON Web Tokens (RFC 7515, 7519) as RFC 7523 section 3 has them, and the keys that verify them (RFC
//! 7517). Pure: keys and the instant come in.
//!
//! The algorithm is one of a short list of asymmetric ones and must fit the key: a token cannot choose what its signature is
//! checked with.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

/// Those that are accepted.
pub(super) const ALGORITHMS: [&str; 7] = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"];

/// How far the other clock may be off, seconds.
const LEEWAY: i64 = 60;
/// The longest life of an assertion that is still to come, seconds.
const LONGEST: i64 = 3600;
const LARGEST: usize = 16 * 1024;
/// As many keys of a set are kept.
const MOST_KEYS: usize = 32;
/// As many keys are tried for an assertion: one that names its key needs one.
const MOST_TRIED: usize = 4;
/// The largest RSA modulus, bytes: what a signature costs grows with its square.
const LARGEST_MODULUS: usize = 4096 / 8;
/// The largest RSA exponent, 65537, big-endian; verifying costs as much as it has bits.
const LARGEST_EXPONENT: [u8; 3] = [1, 0, 1];

/// What an assertion must say, character by character.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
    pub(super) audience: &'a str,
}

/// One that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assertion {
    pub(super) id: Option<String>,
    /// Microseconds since the epoch, with the leeway: it is not accepted after.
    pub(super) expires: i64,
}

/// What is wrong with it: for this server's log, not for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Malformed,
    Algorithm,
    UnknownKey,
    Signature,
    Issuer,
    Subject,
    Audience,
    Expired,
    TooLong,
    NotYet,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Public keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    public: Public,
}

#[derive(Clone, Debug)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Keys {
    /// A JWK Set. Keys that are for something else, or of a kind that is not known, are left out, as RFC 7517 section 5 says;
    /// so are those that cost more than others, and what comes after [`MOST_KEYS`].
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let set: Value = serde_json::from_slice(json).ok()?;
        Some(Self(set["keys"].as_array()?.iter().filter_map(key).take(MOST_KEYS).collect()))
    }

    /// Whether the assertion names a key that is not here.
    pub(super) fn lack(&self, assertion: &str) -> bool {
        let header = assertion.split('.').next().and_then(decode::<Header>);
        header.is_some_and(|header| self.of(header.kid.as_deref()).next().is_none())
    }

    fn of<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| id.is_none() || key.id.as_deref() == id)
    }
}

fn key(jwk: &Value) -> Option<Key> {
    let text = |name: &str| jwk[name].as_str();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let verifies = |operations: &Value| operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"));
    if text("use").is_some_and(|usage| usage != "sig") || jwk.get("key_ops").is_some_and(|given| !verifies(given)) {
        return None;
    }
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == length && y.len() == length).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
    };
    let public = match (text("kty")?, text("crv")) {
        ("RSA", _) => rsa(bytes("n")?, bytes("e")?)?,
        ("EC", Some("P-256")) => Public::P256(point(32)?),
        ("EC", Some("P-384")) => Public::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Public::Ed25519(bytes("x")?),
        _ => return None,
    };
    Some(Key { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), public })
}

/// None: it would cost too much.
fn rsa(n: Vec<u8>, e: Vec<u8>) -> Option<Public> {
    fn digits(bytes: &[u8]) -> &[u8] {
        &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
    }
    let exponent = digits(&e);
    let small = (exponent.len(), exponent) <= (LARGEST_EXPONENT.len(), &LARGEST_EXPONENT);
    (small && digits(&n).len() <= LARGEST_MODULUS).then_some(Public::Rsa { n, e })
}

impl Key {
    /// Whether it is for signatures by this algorithm.
    fn fits(&self, algorithm: &str) -> bool {
        let of_kind = match &self.public {
            Public::Rsa { .. } => algorithm.starts_with("RS") || algorithm.starts_with("PS"),
            Public::P256(_) => algorithm == "ES256",
            Public::P384(_) => algorithm == "ES384",
            Public::Ed25519(_) => algorithm == "EdDSA",
        };
        of_kind && self.algorithm.as_deref().is_none_or(|only| only == algorithm)
    }

    fn verifies(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        let point = |with: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(with, key).verify(message, signature).is_ok()
        };
        match (&self.public, algorithm) {
            (Public::Rsa { n, e }, _) => {
                let with = match algorithm {
                    "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
                    "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
                    "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
                    "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
                    _ => return false,
                };
                RsaPublicKeyComponents { n, e }.verify(with, message, signature).is_ok()
            }
            (Public::P256(key), "ES256") => point(&signature::ECDSA_P256_SHA256_FIXED, key),
            (Public::P384(key), "ES384") => point(&signature::ECDSA_P384_SHA384_FIXED, key),
            (Public::Ed25519(key), "EdDSA") => point(&signature::ED25519, key),
            _ => false,
        }
    }
}

/// `now`: seconds since the epoch.
pub(super) fn verify(text: &str, keys: &Keys, expected: Expected<'_>, now: i64) -> Result<Assertion, Wrong> {
    if text.len() > LARGEST {
        return Err(Wrong::Malformed);
    }
    let (message, signature) = text.rsplit_once('.').ok_or(Wrong::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(Wrong::Malformed)?;
    let header: Header = decode(header).ok_or(Wrong::Malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Wrong::Malformed)?;
    // An extension that must be understood is not.
    if !ALGORITHMS.contains(&header.alg.as_str()) || header.crit.is_some() {
        return Err(Wrong::Algorithm);
    }
    let mut named = keys.of(header.kid.as_deref()).peekable();
    if named.peek().is_none() {
        return Err(Wrong::UnknownKey);
    }
    let mut candidates = named.filter(|key| key.fits(&header.alg)).take(MOST_TRIED);
    if !candidates.any(|key| key.verifies(&header.alg, message.as_bytes(), &signature)) {
        return Err(Wrong::Signature);
    }
    let claims: Claims = decode(claims).ok_or(Wrong::Malformed)?;
    check(claims, expected, now)
}

fn check(claims: Claims, expected: Expected<'_>, now: i64) -> Result<Assertion, Wrong> {
    if claims.iss != expected.issuer {
        return Err(Wrong::Issuer);
    }
    if claims.sub != expected.subject {
        return Err(Wrong::Subject);
    }
    let meant = match &claims.aud {
        Audience::One(one) => one == expected.audience,
        Audience::Many(many) => many.iter().any(|one| one == expected.audience),
    };
    if !meant {
        return Err(Wrong::Audience);
    }
    let expires = seconds(claims.exp).ok_or(Wrong::Malformed)?;
    if expires.saturating_add(LEEWAY) <= now {
        return Err(Wrong::Expired);
    }
    if expires > now.saturating_add(LONGEST + LEEWAY) {
        return Err(Wrong::TooLong);
    }
    for begins in [claims.nbf, claims.iat].into_iter().flatten() {
        if seconds(begins).ok_or(Wrong::Malformed)? > now.saturating_add(LEEWAY) {
            return Err(Wrong::NotYet);
        }
    }
    let expires = expires.saturating_add(LEEWAY).saturating_mul(1_000_000);
    Ok(Assertion { id: claims.jti.filter(|id| !id.is_empty()), expires })
}

/// A NumericDate, which may have a fraction. None: beyond all sense.
fn seconds(date: f64) -> Option<i64> {
    const FAR: f64 = 1e11;
    #[expect(clippy::cast_possible_truncation, reason = "its range was looked at")]
    (date.is_finite() && date.abs() < FAR).then_some(date.floor() as i64)
}

/// A name that stands there twice is refused.
fn decode<T: for<'a> Deserialize<'a>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
            KeyPair as _,
        },
    };
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_763_900_000;
    const EXPECTED: Expected<'_> = Expected { issuer: "https://issuer", subject: "app", audience: "https://here" };

    fn b64(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn claims() -> Value {
        json!({"iss": "https://issuer", "sub": "app", "aud": "https://here", "exp": NOW + 600, "iat": NOW, "jti": "1"})
    }

    struct Signer(Ed25519KeyPair);

    impl Signer {
        fn new() -> Self {
            let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("key");
            Self(Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("pair"))
        }

        fn jwk(&self) -> Value {
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": b64(self.0.public_key())})
        }

        fn sign(&self, header: &Value, claims: &str) -> String {
            let message = format!("{}.{}", b64(header.to_string()), b64(claims));
            format!("{message}.{}", b64(self.0.sign(message.as_bytes())))
        }
    }

    fn keys(keys: &[Value]) -> Keys {
        Keys::parse(json!({"keys": keys}).to_string().as_bytes()).expect("set")
    }

    #[test]
    fn what_is_signed_and_says_what_is_expected_is_accepted() {
        let signer = Signer::new();
        let keys = keys(&[json!({"kty": "future"}), signer.jwk()]);
        let by = |claims: &Value| {
            verify(&signer.sign(&json!({"alg": "EdDSA", "kid": "k"}), &claims.to_string()), &keys, EXPECTED, NOW)
        };
        let accepted = by(&claims()).expect("accepted");
        assert_eq!(accepted, Assertion { id: Some("1".to_owned()), expires: (NOW + 660) * 1_000_000 });
        let with = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            by(&claims)
        };
        assert!(with("aud", json!(["x", "https://here"])).is_ok() && with("exp", json!(NOW as f64 + 0.5)).is_ok());
        assert!(with("exp", json!(NOW - 59)).is_ok() && with("exp", json!(NOW + 3660)).is_ok());
        for (name, value, wrong) in [
            ("iss", json!("https://issuer/"), Wrong::Issuer),
            ("sub", json!("App"), Wrong::Subject),
            ("aud", json!("https://here/"), Wrong::Audience),
            ("aud", json!([]), Wrong::Audience),
            ("exp", json!(NOW - 60), Wrong::Expired),
            ("exp", json!(NOW + 3661), Wrong::TooLong),
            ("exp", json!(1e300), Wrong::Malformed),
            ("exp", json!("soon"), Wrong::Malformed),
            ("exp", Value::Null, Wrong::Malformed),
            ("nbf", json!(NOW + 61), Wrong::NotYet),
            ("iat", json!(NOW + 61), Wrong::NotYet),
            ("sub", json!(1), Wrong::Malformed),
        ] {
            assert_eq!(with(name, value.clone()), Err(wrong), "{name} {value}");
        }
    }

    #[test]
    fn a_signature_that_is_not_the_keys_is_refused() {
        let (signer, other) = (Signer::new(), Signer::new());
        let keys = keys(&[signer.jwk()]);
        let good = signer.sign(&json!({"alg": "EdDSA", "kid": "k"}), &claims().to_string());
        let check = |text: &str| verify(text, &keys, EXPECTED, NOW);
        assert!(check(&good).is_ok());
        assert_eq!(check(&other.sign(&json!({"alg": "EdDSA"}), &claims().to_string())), Err(Wrong::Signature));
        assert_eq!(check(&signer.sign(&json!({"alg": "EdDSA", "kid": "x"}), "{}")), Err(Wrong::UnknownKey));
        for alg in ["none", "None", "HS256", "RS1", "ES256K", ""] {
            assert_eq!(
                check(&signer.sign(&json!({"alg": alg}), &claims().to_string())),
                Err(Wrong::Algorithm),
                "{alg}"
            );
        }
        // A key says with its kind what it is for.
        for alg in ["RS256", "PS256", "ES256", "ES384"] {
            assert_eq!(
                check(&signer.sign(&json!({"alg": alg}), &claims().to_string())),
                Err(Wrong::Signature),
                "{alg}"
            );
        }
        let critical = signer.sign(&json!({"alg": "EdDSA", "crit": ["b64"]}), &claims().to_string());
        assert_eq!(check(&critical), Err(Wrong::Algorithm));
        let twice =
            r#"{"iss":"https://issuer","iss":"https://issuer","sub":"app","aud":"https://here","exp":1763900600}"#;
        assert_eq!(check(&signer.sign(&json!({"alg": "EdDSA"}), twice)), Err(Wrong::Malformed));
        // Each bit counts.
        let parts: Vec<&str> = good.split('.').collect();
        for (n, part) in parts.iter().enumerate() {
            let mut bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            for at in 0..bytes.len() {
                bytes[at] ^= 1;
                let mut changed = parts.clone();
                let text = b64(&bytes);
                changed[n] = &text;
                assert!(check(&changed.join(".")).is_err(), "part {n}, byte {at}");
                bytes[at] ^= 1;
            }
        }
        for malformed in ["", ".", "..", "a.b.c", &good.replace('.', ""), &format!("{good}."), &"x".repeat(20_000)] {
            assert!(check(malformed).is_err());
        }
    }

    #[test]
    fn what_an_assertion_costs_is_bounded_whatever_its_issuer_publishes() {
        let rsa = |n: &[u8], e: &[u8]| json!({"kty": "RSA", "n": b64(n), "e": b64(e)});
        let modulus = |bytes: usize| [&[0][..], &vec![0xc1; bytes]].concat();
        let kept = |n: &[u8], e: &[u8]| keys(&[rsa(n, e)]).0.len();
        assert_eq!((kept(&modulus(512), &[1, 0, 1]), kept(&modulus(256), &[0, 0, 3])), (1, 1));
        for (bytes, e) in [(1024, &[3][..]), (513, &[3]), (256, &[1, 0, 2]), (256, &[1, 0xff, 0xff, 0xff, 0xff])] {
            assert_eq!(kept(&modulus(bytes), e), 0, "{bytes} bytes, {e:?}");
        }
        let signer = Signer::new();
        let others: Vec<Value> = (0..40).map(|_| rsa(&modulus(256), &[3])).collect();
        assert_eq!(keys(&others).0.len(), 32);
        let others = |count: usize| (0..count).map(|_| Signer::new().jwk());
        let check = |header: Value, before: usize| {
            let all: Vec<Value> = others(before).chain([signer.jwk()]).collect();
            verify(&signer.sign(&header, &claims().to_string()), &keys(&all), EXPECTED, NOW).map(|_| ())
        };
        let unnamed = json!({"alg": "EdDSA"});
        assert_eq!((check(unnamed.clone(), 3), check(unnamed.clone(), 4)), (Ok(()), Err(Wrong::Signature)));
        // Those of another kind cost nothing, and one that is named is found among all.
        let mut all: Vec<Value> = (0..20).map(|_| rsa(&modulus(256), &[3])).collect();
        all.push(signer.jwk());
        assert!(verify(&signer.sign(&unnamed, &claims().to_string()), &keys(&all), EXPECTED, NOW).is_ok());
        let mut named = signer.jwk();
        named["kid"] = json!("mine");
        let all: Vec<Value> = others(20).chain([named]).collect();
        let text = signer.sign(&json!({"alg": "EdDSA", "kid": "mine"}), &claims().to_string());
        assert!(verify(&text, &keys(&all), EXPECTED, NOW).is_ok());
    }

    #[test]
    fn elliptic_curves_verify_and_points_have_their_length() {
        let random = SystemRandom::new();
        for (algorithm, crv, alg, length) in [
            (&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256", "ES256", 32),
            (&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384", "ES384", 48),
        ] {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("key");
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).expect("pair");
            let (x, y) = pair.public_key().as_ref()[1..].split_at(length);
            let jwk = json!({"kty": "EC", "crv": crv, "x": b64(x), "y": b64(y), "use": "sig", "alg": alg});
            let message = format!("{}.{}", b64(json!({"alg": alg}).to_string()), b64(claims().to_string()));
            let text = format!("{message}.{}", b64(pair.sign(&random, message.as_bytes()).expect("signed")));
            assert!(verify(&text, &keys(std::slice::from_ref(&jwk)), EXPECTED, NOW).is_ok(), "{alg}");
            for (name, value) in [
                ("use", json!("enc")),
                ("key_ops", json!(["sign"])),
                ("x", json!(b64(&x[1..]))),
                ("crv", json!("P-521")),
            ] {
                let mut other = jwk.clone();
                other[name] = value;
                assert_eq!(verify(&text, &keys(&[other]), EXPECTED, NOW), Err(Wrong::UnknownKey), "{name}");
            }
            let mut other = jwk;
            other["alg"] = json!("EdDSA");
            assert_eq!(verify(&text, &keys(&[other]), EXPECTED, NOW), Err(Wrong::Signature));
        }
    }
}
