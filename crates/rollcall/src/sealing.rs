//! The key that identity-service seals with what it has to read again: a file beside the databases, not in them.
//!
//! Not here: what is sealed, and how (identity-service).

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use identity_service::SealingKeySource;

use crate::settings::Settings;

/// Makes it easy to find where it does not belong.
const PREFIX: &str = "rc_sealing_";

/// For identity-service, which asks when it needs the key. In the data directory it is made then; a file that was named on the
/// command line must exist, because replicas with a key each could not read what the others sealed.
pub(crate) fn source(settings: &Settings) -> SealingKeySource {
    let (path, named) = (settings.sealing_key_path(), settings.sealing_key_file.is_some());
    Arc::new(move || load_or_create(&path, named).map_err(|error| format!("{error:#}")))
}

/// Whether a file that was named is usable.
pub(crate) fn check(settings: &Settings) -> anyhow::Result<()> {
    match &settings.sealing_key_file {
        Some(path) => load(path, true).map(drop),
        None => Ok(()),
    }
}

fn load_or_create(path: &Path, named: bool) -> anyhow::Result<[u8; 32]> {
    if !named && !path.exists() {
        create(path).with_context(|| format!("the sealing key {} cannot be written", path.display()))?;
    }
    load(path, named)
}

fn load(path: &Path, named: bool) -> anyhow::Result<[u8; 32]> {
    let shown = path.display();
    let unreadable =
        || format!("the sealing key {shown} cannot be read; give --sealing-key-file the one that all replicas share");
    let metadata = fs::metadata(path).with_context(unreadable)?;
    if metadata.mode() & 0o077 != 0 {
        // One that is mounted into a container has the mode its orchestrator gave it.
        ensure!(named, "the sealing key {shown} is open to other users of this machine; run: chmod 600 {shown}");
        tracing::warn!(file = %shown, "the sealing key is open to other users; chmod 600 it if you can");
    }
    let text = fs::read_to_string(path).with_context(unreadable)?;
    let key = text.trim().strip_prefix(PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let Some(key) = key.and_then(|bytes| bytes.try_into().ok()) else {
        bail!(
            "the sealing key {shown} is not usable: it needs {PREFIX} and 32 bytes in base64url on one line; restore it from \
             where you keep it"
        );
    };
    Ok(key)
}

/// Whole or not at all, and never over another one.
fn create(path: &Path) -> io::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut unfinished: PathBuf = path.to_owned();
    unfinished.set_extension(format!("{}.new", std::process::id()));
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
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_private_and_read_again() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("sealing.key");
        let key = load_or_create(&path, false).expect("made");
        assert_eq!(load_or_create(&path, false).expect("read"), key);
        assert_eq!(load(&path, true).expect("read"), key);
        assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 1);
        create(&path).expect("kept");
        assert_eq!(load(&path, false).expect("read"), key);
    }

    #[test]
    fn one_that_was_named_must_be_there_and_each_must_be_private_and_whole() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("sealing.key");
        let error = format!("{:#}", load_or_create(&path, true).expect_err("missing"));
        assert!(error.contains("--sealing-key-file"), "{error}");
        fs::write(&path, "rc_sealing_short\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mode");
        assert!(load(&path, false).expect_err("open").to_string().contains("chmod 600"));
        let error = load(&path, true).expect_err("short").to_string();
        assert!(error.contains("32 bytes") && !error.contains("rc_sealing_short"), "{error}");
    }
}
