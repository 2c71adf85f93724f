//! The admin credential: the one secret that gRPC callers show.
//!
//! Not here: SCIM tokens, which are token-service's.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::settings::Settings;

/// Makes it easy to find where it does not belong.
const PREFIX: &str = "rc_admin_";
const SHORTEST: usize = 32;

pub(crate) struct AdminCredential(SecretString);

impl AdminCredential {
    /// Reads the file; makes it in the data directory when it is not there yet. A file that was named on the command
    /// line must exist: making one would let two roles start that do not trust each other.
    pub(crate) fn load_or_create(settings: &Settings) -> anyhow::Result<Self> {
        let path = settings.credential_path();
        if settings.credential_file.is_none() && !path.exists() {
            create(&path).with_context(|| format!("the admin credential {} cannot be written", path.display()))?;
        }
        Self::load(settings)
    }

    /// Reads the file.
    pub(crate) fn load(settings: &Settings) -> anyhow::Result<Self> {
        let path = settings.credential_path();
        let shown = path.display();
        let metadata = fs::metadata(&path).with_context(|| {
            format!("the admin credential {shown} cannot be read; give the server's with --admin-credential-file")
        })?;
        if metadata.mode() & 0o077 != 0 {
            // One that is mounted into a container has the mode its orchestrator gave it.
            ensure!(
                settings.credential_file.is_some(),
                "the admin credential {shown} is open to other users of this machine; run: chmod 600 {shown}"
            );
            tracing::warn!(file = %shown, "the admin credential is open to other users; chmod 600 it if you can");
        }
        let text = fs::read_to_string(&path).with_context(|| format!("the admin credential {shown} cannot be read"))?;
        let secret = text.trim();
        if secret.len() < SHORTEST || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!(
                "the admin credential {shown} is not usable: it needs at least {SHORTEST} printable characters on one \
                 line; write new random ones, or delete the file in the data directory and start again"
            );
        }
        Ok(Self(secret.into()))
    }

    /// For calls.
    pub(crate) fn for_calls(&self) -> anyhow::Result<wire::Credential> {
        wire::Credential::new(self.0.expose_secret()).context("the admin credential cannot stand in a header")
    }

    /// For checking calls.
    pub(crate) fn digest(&self) -> CredentialDigest {
        CredentialDigest(Sha256::digest(self.0.expose_secret()).into())
    }
}

/// What a server keeps of the credential.
#[derive(Clone, Copy)]
pub(crate) struct CredentialDigest([u8; 32]);

impl CredentialDigest {
    /// In time that tells nothing about the difference.
    pub(crate) fn matches(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }
}

/// Whole or not at all, and never over another one: roles that start at once in one data directory end up with the same.
fn create(path: &Path) -> io::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))?;
    file.sync_all()?;
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_credential_is_private_and_is_not_replaced() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("admin-credential");
        create(&path).expect("created");
        let first = fs::read_to_string(&path).expect("text");
        assert_eq!(first.trim().len(), PREFIX.len() + 43);
        assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o777, 0o600);
        create(&path).expect("kept");
        assert_eq!(fs::read_to_string(&path).expect("text"), first);
        assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 1);
    }

    #[test]
    fn only_the_same_text_matches() {
        let digest = CredentialDigest(Sha256::digest("right").into());
        assert!(digest.matches(b"right"));
        for wrong in ["", "righ", "right ", "Right"] {
            assert!(!digest.matches(wrong.as_bytes()), "{wrong}");
        }
    }
}
