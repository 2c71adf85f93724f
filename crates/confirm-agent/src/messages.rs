//! What the server and the agent say to each other: JSON with bytes as base64url (docs/account-keys.md).

use account_keys::{ChainLink, Grant, Possession, PublicKeys};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

use crate::confirm::{Candidate, Granted, Holder, KitGranted};

/// So many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| D::Error::custom("not base64url"))?;
        let bytes = bytes.try_into().map_err(|_| D::Error::custom(format!("not {N} bytes")))?;
        Ok(Self(bytes))
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Public {
    pub(crate) enc: Bytes<32>,
    pub(crate) sig: Bytes<32>,
}

impl From<PublicKeys> for Public {
    fn from(keys: PublicKeys) -> Self {
        Self { enc: Bytes(keys.enc), sig: Bytes(keys.sig) }
    }
}

impl From<Public> for PublicKeys {
    fn from(keys: Public) -> Self {
        Self { enc: keys.enc.0, sig: keys.sig.0 }
    }
}

/// A call without parameters.
#[derive(Serialize)]
pub(crate) struct Nothing {}

/// The agent, as the server has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Itself {
    pub(crate) agent: Uuid,
    pub(crate) name: String,
    pub(crate) organization: Uuid,
    pub(crate) slug: String,
    pub(crate) key_id: Uuid,
    pub(crate) version: u32,
    pub(crate) challenge: Bytes<32>,
    pub(crate) key: Option<OwnKey>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnKey {
    pub(crate) public_keys: Public,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Enroll {
    pub(crate) key_id: Uuid,
    pub(crate) public_keys: Public,
    pub(crate) possession: Bytes<64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Sealed {
    enc: Bytes<32>,
    ct: Bytes<48>,
    signature: Bytes<64>,
}

impl From<Grant> for Sealed {
    fn from(grant: Grant) -> Self {
        Self { enc: Bytes(grant.enc), ct: Bytes(grant.ct), signature: Bytes(grant.signature) }
    }
}

impl From<Sealed> for Grant {
    fn from(sealed: Sealed) -> Self {
        Self { enc: sealed.enc.0, ct: sealed.ct.0, signature: sealed.signature.0 }
    }
}

/// Somebody and a key of theirs.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HolderShown {
    user: Uuid,
    key_id: Uuid,
    public_keys: Public,
}

impl From<HolderShown> for Holder {
    fn from(shown: HolderShown) -> Self {
        Self { user: shown.user, key_id: shown.key_id, public: shown.public_keys.into() }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct GrantedShown {
    version: u32,
    grant: Sealed,
    granter: HolderShown,
}

impl From<GrantedShown> for Granted {
    fn from(shown: GrantedShown) -> Self {
        Self { version: shown.version, grant: shown.grant.into(), granter: shown.granter.into() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrganizationKey {
    /// 0: there is none.
    pub(crate) version: u32,
    pub(crate) granted: Option<GrantedShown>,
    pub(crate) rotation_due: bool,
    pub(crate) kit: Option<KitShown>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KitShown {
    public_key: Bytes<32>,
    #[serde(flatten)]
    granted: GrantedShown,
}

impl From<KitShown> for KitGranted {
    fn from(shown: KitShown) -> Self {
        Self { public_key: shown.public_key.0, granted: shown.granted.into() }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListMembers {
    pub(crate) after: String,
    pub(crate) of_next_version: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Members {
    pub(crate) members: Vec<MemberShown>,
    pub(crate) more: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberShown {
    user: Uuid,
    key_id: Uuid,
    public_keys: Public,
    version: u32,
    #[serde(default)]
    agent: String,
    user_name: String,
    display_name: String,
    email: String,
    possession: Bytes<64>,
    challenge: Bytes<32>,
    was_confirmed: bool,
    administrator: bool,
    granted: Option<GrantedShown>,
}

impl From<MemberShown> for Candidate {
    fn from(shown: MemberShown) -> Self {
        // They are printed where control characters would be obeyed.
        let plain = |text: String| text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let name = if shown.display_name.is_empty() { shown.user_name } else { shown.display_name };
        Self {
            holder: Holder { user: shown.user, key_id: shown.key_id, public: shown.public_keys.into() },
            key_version: shown.version,
            name: plain(name),
            email: plain(shown.email),
            possession: Possession(shown.possession.0),
            challenge: shown.challenge.0,
            was_confirmed: shown.was_confirmed,
            administrator: shown.administrator,
            agent: !shown.agent.is_empty(),
            granted: shown.granted.map(Into::into),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewGrant {
    pub(crate) version: u32,
    pub(crate) user: Uuid,
    pub(crate) key_id: Uuid,
    pub(crate) grant: Sealed,
    pub(crate) granter_key_id: Uuid,
}

#[derive(Serialize)]
pub(crate) struct Confirm {
    pub(crate) grants: Vec<NewGrant>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Confirmed {
    pub(crate) confirmed: Vec<ConfirmedOne>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ConfirmedOne {
    pub(crate) user: String,
    /// Empty: done.
    pub(crate) refused: String,
}

#[derive(Serialize)]
pub(crate) struct Rotate {
    pub(crate) grant: NewGrant,
    pub(crate) link: Link,
    pub(crate) kit: NewKit,
}

#[derive(Serialize)]
pub(crate) struct Link {
    nonce: Bytes<12>,
    ct: Bytes<48>,
}

impl From<ChainLink> for Link {
    fn from(link: ChainLink) -> Self {
        Self { nonce: Bytes(link.nonce), ct: Bytes(link.ct) }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewKit {
    pub(crate) public_key: Bytes<32>,
    pub(crate) grant: Sealed,
}

/// Why the server refused.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    pub(crate) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_their_length() {
        let bytes = Bytes([0xfb, 0xff, 1]);
        let text = serde_json::to_string(&bytes).expect("json");
        assert_eq!(text, "\"-_8B\"");
        assert_eq!(serde_json::from_str::<Bytes<3>>(&text).expect("bytes"), bytes);
        for bad in ["\"-_8BAg\"", "\"-_8B=\"", "\"+/8B\"", "1"] {
            assert!(serde_json::from_str::<Bytes<3>>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_member_as_the_server_shows_it() {
        let key = "A".repeat(43);
        let id = Uuid::from_u128(1);
        let json = serde_json::json!({
            "user": id, "keyId": id, "version": 2, "publicKeys": { "enc": key, "sig": key }, "userName": "kit\u{7}",
            "displayName": "", "email": "", "possession": "A".repeat(86), "challenge": key, "wasConfirmed": false,
            "administrator": false,
        });
        let member: MemberShown = serde_json::from_value(json).expect("a member");
        let candidate = Candidate::from(member);
        assert_eq!((&*candidate.name, candidate.agent, candidate.key_version), ("kit\u{fffd}", false, 2));
        assert!(candidate.granted.is_none());
    }
}
