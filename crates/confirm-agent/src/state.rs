//! The agent's own file: its account secret, its credential, and whom it got the organization key from. Whoever has it is the agent.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use account_keys::{AccountKey, AccountSecret, Member, MemberKeys};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Error, Result,
    confirm::{Holder, Own},
    messages::{Bytes, Public},
};

const WHAT: &str = "the state file";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Of this file's form.
    form: u8,
    pub(crate) url: String,
    /// The organization's slug and id.
    pub(crate) organization: String,
    pub(crate) organization_id: Uuid,
    pub(crate) agent: Uuid,
    pub(crate) name: String,
    key_id: Uuid,
    key_version: u32,
    #[serde(with = "wiped")]
    pub(crate) credential: Zeroizing<String>,
    account_secret: Bytes<32>,
    /// Those from whom it takes the organization key.
    #[serde(default)]
    pub(crate) granters: Vec<Pinned>,
    /// The newest version of the organization key that it has seen; the server goes back to none before.
    #[serde(default)]
    pub(crate) newest: u32,
}

/// Text that is wiped when it is dropped.
mod wiped {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(text: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

/// Somebody whose keys are believed.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Pinned {
    user: Uuid,
    key_id: Uuid,
    public_keys: Public,
}

impl From<Holder> for Pinned {
    fn from(holder: Holder) -> Self {
        Self { user: holder.user, key_id: holder.key_id, public_keys: holder.public.into() }
    }
}

impl From<Pinned> for Holder {
    fn from(pinned: Pinned) -> Self {
        Self { user: pinned.user, key_id: pinned.key_id, public: pinned.public_keys.into() }
    }
}

impl State {
    pub(crate) fn new(
        (url, credential): (String, Zeroizing<String>),
        (organization, name): (String, String),
        key: AccountKey,
        secret: &AccountSecret,
    ) -> Self {
        Self {
            form: 1,
            url,
            organization,
            organization_id: key.member.organization,
            agent: key.member.user,
            name,
            key_id: key.key_id,
            key_version: key.version,
            credential,
            account_secret: Bytes(*secret.expose()),
            granters: Vec::new(),
            newest: 0,
        }
    }

    pub(crate) fn own(&self) -> Own {
        let member = Member { organization: self.organization_id, user: self.agent };
        let secret = AccountSecret::from_bytes(self.account_secret.0);
        Own {
            organization: self.organization_id,
            key: AccountKey { member, key_id: self.key_id, version: self.key_version },
            keys: MemberKeys::derive(&secret),
        }
    }

    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = private(WHAT, path)?;
        let state: Self = serde_json::from_str(&text).map_err(|_| {
            // Not serde's words: they may have a piece of the secret in them.
            let why =
                "it is not what an agent wrote, or was damaged. Restore it, or revoke the agent and create a new one";
            wrong(WHAT, path, why)
        })?;
        if state.form != 1 {
            return Err(wrong(WHAT, path, "it is of a newer release than this program. Use that one"));
        }
        Ok(state)
    }

    /// Whole or not at all.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let text = Zeroizing::new(serde_json::to_string_pretty(self).map_err(|error| unwritable(path, &error))?);
        let mut unfinished: PathBuf = path.to_owned();
        unfinished.as_mut_os_string().push(format!(".{}.new", std::process::id()));
        let write = || {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
            writeln!(file, "{}", *text)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        };
        write().map_err(|error| unwritable(path, &error))
    }
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    wrong(WHAT, path, &format!("it cannot be written ({error}). Its directory must be there, and this user's to write"))
}

fn wrong(what: &'static str, path: &Path, why: &str) -> Error {
    Error::File { what, path: path.to_owned(), why: why.to_owned() }
}

/// The text of a file that nobody else on this machine can read.
pub(crate) fn private(what: &'static str, path: &Path) -> Result<Zeroizing<String>> {
    let metadata = fs::metadata(path).map_err(|error| wrong(what, path, &format!("it cannot be read ({error})")))?;
    if metadata.mode() & 0o077 != 0 {
        let why = format!("it is open to other users of this machine; run: chmod 600 {}", path.display());
        return Err(wrong(what, path, &why));
    }
    let text = fs::read_to_string(path).map_err(|error| wrong(what, path, &format!("it cannot be read ({error})")))?;
    Ok(Zeroizing::new(text))
}

/// The credential that an administrator was shown.
pub(crate) fn credential(path: &Path) -> Result<Zeroizing<String>> {
    const CREDENTIAL: &str = "the credential file";
    let text = private(CREDENTIAL, path)?;
    let secret = text.trim();
    if !secret.starts_with("rc_agent_") || secret.contains(char::is_whitespace) {
        let why =
            "it must hold the credential of an agent alone, rc_agent_..., as it was shown when the agent was created";
        return Err(wrong(CREDENTIAL, path, why));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn state() -> State {
        let member = Member { organization: Uuid::from_u128(1), user: Uuid::from_u128(2) };
        let key = AccountKey { member, key_id: Uuid::from_u128(3), version: 1 };
        let credential = Zeroizing::new("rc_agent_x".to_owned());
        let names = ("acme".to_owned(), "cellar".to_owned());
        State::new(("https://x".to_owned(), credential), names, key, &AccountSecret::from_bytes([7; 32]))
    }

    #[test]
    fn it_is_private_comes_back_and_is_replaced_whole() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("agent-state");
        let mut made = state();
        made.save(&path).expect("saved");
        made.granters.push(made.own().holder().into());
        made.newest = 3;
        made.save(&path).expect("saved again");
        let found = State::load(&path).expect("loaded");
        assert_eq!((found.newest, &found.granters), (3, &made.granters));
        assert_eq!(found.own().keys.public(), made.own().keys.public());
        assert_eq!(Holder::from(found.granters[0]), found.own().holder());
        assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
        assert!(State::load(&path).err().expect("open").to_string().contains("chmod 600"));
    }

    #[test]
    fn what_is_damaged_is_said_without_what_is_in_it() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("agent-state");
        state().save(&path).expect("saved");
        let text = fs::read_to_string(&path).expect("text");
        let secret = text.lines().find(|line| line.contains("account_secret")).expect("a line").to_owned();
        fs::write(&path, text.replace(&secret, &secret.replace("BwcH", "????"))).expect("written");
        let error = State::load(&path).err().expect("damaged").to_string();
        assert!(!error.contains("BwcH") && error.contains("create a new one"), "{error}");
        fs::write(&path, text.replace("\"form\": 1", "\"form\": 2")).expect("written");
        assert!(State::load(&path).err().expect("newer").to_string().contains("newer release"));
    }

    #[test]
    fn a_credential_is_alone_in_its_file() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("credential");
        let write = |text: &str| {
            fs::write(&path, text).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
            credential(&path)
        };
        assert_eq!(**write("rc_agent_abc\n").expect("a credential"), *"rc_agent_abc");
        for bad in ["", "rc_scim_abc", "rc_agent_a rc_agent_b"] {
            assert!(write(bad).is_err(), "{bad}");
        }
        assert!(credential(&directory.path().join("none")).is_err());
    }
}
