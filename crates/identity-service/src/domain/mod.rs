//! Values and rules of organizations, users, groups and events.
//!
//! Not here: SQL (`store`) and protobuf (`grpc`). SCIM itself is the `scim` crate.

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod actor;
pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod cursor;
pub(crate) mod deletion;
pub(crate) mod event;
pub(crate) mod group;
pub(crate) mod hold;
pub(crate) mod idempotency;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod mail;
pub(crate) mod organization;
pub(crate) mod plan;
pub(crate) mod request_log;
pub(crate) mod sealing;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod sign_in;
pub(crate) mod unlock;
pub(crate) mod user;

use uuid::Uuid;
use wire::{Reason, Refusal};

store::typed_id! {
    /// An organization.
    pub(crate) struct OrgId;
}
store::typed_id! {
    /// A user.
    pub(crate) struct UserId;
}
store::typed_id! {
    /// A group.
    pub(crate) struct GroupId;
}
store::typed_id! {
    /// An administrator of an organization's console.
    pub(crate) struct AdminId;
}
store::typed_id! {
    /// An invitation to become one.
    pub(crate) struct InviteId;
}
store::typed_id! {
    /// A session of one, or of a member.
    pub(crate) struct SessionId;
}
store::typed_id! {
    /// A request in the provisioning log.
    pub(crate) struct LogId;
}
store::typed_id! {
    /// A user or a group, as a member of a group.
    pub(crate) struct MemberId;
}

/// The longest value that is indexed, bytes, folded or not: PostgreSQL refuses index entries from about 2,700.
const LONGEST_KEY: usize = 1000;

/// Reads an id as it is written by this service: ids are caseExact, so another spelling is another id, which no resource
/// has.
pub(crate) fn parse_id<T: From<Uuid>>(text: &str) -> Option<T> {
    let id = Uuid::try_parse(text).ok()?;
    (id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then(|| id.into())
}

/// The folded form of a value that is indexed.
fn key(attribute: &str, value: &str) -> Result<String, Refusal> {
    let folded = scim::fold(value);
    fits(attribute, value)?;
    fits(attribute, &folded)?;
    Ok(folded)
}

/// What a userName is unique by.
fn user_name_key(value: &str) -> Result<String, Refusal> {
    let key = scim::user_name::key(value);
    fits("userName", value)?;
    fits("userName", &key)?;
    Ok(key)
}

fn fits(attribute: &str, value: &str) -> Result<(), Refusal> {
    if value.len() > LONGEST_KEY {
        let message = format!("{attribute} is longer than {LONGEST_KEY} bytes in UTF-8. Send a shorter value.");
        return Err(Refusal::new(Reason::InvalidValue, message));
    }
    Ok(())
}

/// If-Match of RFC 9110: any of these versions; none listed: `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Precondition(pub(crate) Vec<i64>);

impl Precondition {
    pub(crate) fn check(this: Option<&Self>, version: i64) -> Result<(), Refusal> {
        match this {
            Some(Self(versions)) if !versions.is_empty() && !versions.contains(&version) => Err(Refusal::new(
                Reason::VersionMismatch,
                "The resource has changed since the version in If-Match. Read it again, then repeat the change.",
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "0192d3a4-5b6c-7d8e-9f01-23456789abcd";
        assert!(parse_id::<UserId>(text).is_some());
        for other in [
            "",
            "010101001010101011001010101011",
            "0192D3A4-5B6C-7D8E-9F01-23456789ABCD",
            "0192d3a45b6c7d8e9f0123456789abcd",
            "{0192d3a4-5b6c-7d8e-9f01-23456789abcd}",
            "urn:uuid:0192d3a4-5b6c-7d8e-9f01-23456789abcd",
        ] {
            assert_eq!(parse_id::<UserId>(other), None, "{other}");
        }
    }

    #[test]
    fn a_precondition_without_versions_holds_for_any() {
        assert!(Precondition::check(None, 3).is_ok());
        assert!(Precondition::check(Some(&Precondition(vec![])), 3).is_ok());
        assert!(Precondition::check(Some(&Precondition(vec![1, 3])), 3).is_ok());
        assert!(Precondition::check(Some(&Precondition(vec![-1])), 3).is_err());
    }
}
