//! Who is in the directory, and in which group: the same at every size, so that figures of two sizes can be compared.
//!
//! Every user is in [`EVERYONE`] groups of as many members as there are users, at most [`LARGEST`]. Beside them stand
//! smaller groups of each size, made of the first users; the last tenth of the users is in none of those, and look-ups ask
//! for that tenth.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::okta;
use uuid::Uuid;

/// Raised when what is seeded changes.
pub(crate) const LAYOUT: u32 = 1;

/// Groups that each user is in.
const EVERYONE: usize = 4;
const LARGEST: usize = 100_000;
/// Sizes below that of everyone's groups.
const SMALLER: [usize; 3] = [10, 1000, 10_000];
/// Groups of each smaller size.
const OF_EACH: usize = 8;

/// A group to be made, or made: `size` users from `first` on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) first: usize,
    pub(crate) size: usize,
    /// Nil until it is made.
    pub(crate) id: Uuid,
}

/// The groups of a directory with so many users.
pub(crate) fn groups(users: usize) -> Vec<Group> {
    let everyone = users.min(LARGEST);
    let group = |name: String, first, size| Group { name, first, size, id: Uuid::nil() };
    let mut groups = Vec::new();
    for first in (0..users).step_by(everyone) {
        let size = everyone.min(users - first);
        groups.extend((0..EVERYONE).map(|n| group(format!("Everyone {} {n}", first / everyone), first, size)));
    }
    let mut first = 0;
    for size in SMALLER.into_iter().filter(|size| *size < everyone) {
        for n in 0..OF_EACH {
            if first + size <= users / 10 * 9 {
                groups.push(group(format!("Team of {size} {n}"), first, size));
                first += size;
            }
        }
    }
    groups
}

/// `userName`, and the e-mail address.
pub(crate) fn user_name(n: usize) -> String {
    format!("user{n:07}@bench.example")
}

pub(crate) fn external_id(n: usize) -> String {
    format!("00u{n:07}bench")
}

/// A user as Okta creates one.
pub(crate) fn user(user_name: &str, external_id: &str, n: usize) -> Value {
    let (given, family) = (format!("Given{}", n % 997), format!("Family{}", n % 7919));
    json!({
        "schemas": [okta::USER],
        "userName": user_name,
        "externalId": external_id,
        "name": {"givenName": given, "familyName": family},
        "displayName": format!("{given} {family}"),
        "emails": [{"primary": true, "value": user_name, "type": "work"}],
        "locale": "en-US",
        "active": true,
    })
}

/// `"members"` of a group's body.
pub(crate) fn members(ids: &[Uuid]) -> String {
    let mut text = String::with_capacity(ids.len() * 49 + 2);
    text.push('[');
    for (n, id) in ids.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str("{\"value\":\"");
        text.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        text.push_str("\"}");
    }
    text.push(']');
    text
}

/// A whole group's body.
pub(crate) fn group_body(name: &str, members: &str) -> String {
    format!("{{\"schemas\":[\"{}\"],\"displayName\":\"{name}\",\"members\":{members}}}", okta::GROUP)
}

/// What was seeded.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pub(crate) users: Vec<Uuid>,
    pub(crate) facts: Facts,
}

/// The part that is kept as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) organization: String,
    /// Of an organization that exists in this directory only.
    pub(crate) token: String,
    pub(crate) groups: Vec<Group>,
}

impl Directory {
    /// The groups of one size.
    pub(crate) fn groups_of(&self, size: usize) -> Vec<Group> {
        self.facts.groups.iter().filter(|group| group.size == size).cloned().collect()
    }

    /// The sizes that there are groups of, and how many.
    pub(crate) fn sizes(&self) -> BTreeMap<usize, usize> {
        let mut sizes = BTreeMap::new();
        for group in &self.facts.groups {
            *sizes.entry(group.size).or_default() += 1;
        }
        sizes
    }

    /// The users that look-ups ask for.
    pub(crate) fn asked_for(&self) -> std::ops::Range<usize> {
        self.users.len() / 10 * 9..self.users.len()
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let ids: Vec<u8> = self.users.iter().flat_map(|id| *id.as_bytes()).collect();
        fs::write(directory.join("users.bin"), ids)?;
        fs::write(directory.join("directory.json"), serde_json::to_vec_pretty(&self.facts)?)?;
        Ok(())
    }

    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let facts = fs::read(directory.join("directory.json")).context("reading directory.json")?;
        let ids = fs::read(directory.join("users.bin")).context("reading users.bin")?;
        ensure!(ids.len() % 16 == 0, "users.bin is cut off");
        let users = ids.chunks_exact(16).map(Uuid::from_slice).collect::<Result<_, _>>()?;
        Ok(Self { users, facts: serde_json::from_slice(&facts)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_for_is_in_as_many_groups_at_every_size() {
        for users in [100, 1000, 100_000, 1_000_000] {
            let groups = groups(users);
            let of = |user: usize| groups.iter().filter(|g| (g.first..g.first + g.size).contains(&user)).count();
            for user in [users / 10 * 9, users / 20 * 19, users - 1] {
                assert_eq!(of(user), EVERYONE, "user {user} of {users}");
            }
            assert!((0..users).step_by(users / 100).all(|user| of(user) <= 10));
        }
    }

    #[test]
    fn a_hundred_thousand_users_have_groups_of_every_size() {
        let groups = groups(100_000);
        for (size, number) in [(10, 8), (1000, 8), (10_000, 8), (100_000, 4)] {
            assert_eq!(groups.iter().filter(|group| group.size == size).count(), number, "{size}");
        }
    }

    #[test]
    fn a_group_body_is_json() {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let body: Value = serde_json::from_str(&group_body("A", &members(&ids))).expect("JSON");
        assert_eq!(body["members"][1]["value"], ids[1].to_string());
    }
}
