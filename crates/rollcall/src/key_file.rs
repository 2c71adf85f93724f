//! Files with the keys that identity-service needs outside its database: private, one key a line, made once.
//!
//! Not here: what the keys are for (`sealing`, `opaque`).

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// What is in such a file, and how it is named.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// As in "the sealing key".
    pub(crate) what: &'static str,
    /// By which a file is given that replicas share.
    pub(crate) option: &'static str,
    /// Makes it easy to find where it does not belong.
    pub(crate) prefix: &'static str,
    /// Of each key.
    pub(crate) length: usize,
    /// Whether there may be several, the newest last.
    pub(crate) several: bool,
}

/// Where it is, and whether it was named on the command line. Such a file must exist: replicas with a key each could not read
/// what the others wrote.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) path: &'a Path,
    pub(crate) named: bool,
}

impl Kind {
    /// The keys, and one that is made where there is no file yet.
    pub(crate) fn load_or_create(
        &self,
        place: Place<'_>,
        make: impl FnOnce() -> anyhow::Result<Vec<u8>>,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let Place { path, named } = place;
        if !named && !path.exists() {
            let made = make()?;
            self.create(path, &made).with_context(|| format!("{} {} cannot be written", self.what, path.display()))?;
        }
        self.load(place)
    }

    pub(crate) fn load(&self, Place { path, named }: Place<'_>) -> anyhow::Result<Vec<Vec<u8>>> {
        let Self { what, option, prefix, length, several } = *self;
        let shown = path.display();
        let unreadable = || format!("{what} {shown} cannot be read; give {option} the one that all replicas share");
        let metadata = fs::metadata(path).with_context(unreadable)?;
        if metadata.mode() & 0o077 != 0 {
            // One that is mounted into a container has the mode its orchestrator gave it.
            ensure!(named, "{what} {shown} is open to other users of this machine; run: chmod 600 {shown}");
            tracing::warn!(file = %shown, "{what} is open to other users; chmod 600 it if you can");
        }
        let text = fs::read_to_string(path).with_context(unreadable)?;
        let key = |line: &str| {
            let bytes = line.trim().strip_prefix(prefix).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            bytes.filter(|bytes| bytes.len() == length)
        };
        let keys: Option<Vec<Vec<u8>>> = text.lines().filter(|line| !line.trim().is_empty()).map(key).collect();
        let usable = |keys: &Vec<Vec<u8>>| keys.len() == 1 || several && !keys.is_empty();
        let Some(keys) = keys.filter(usable) else {
            let lines = if several { "each line" } else { "one line" };
            bail!(
                "{what} {shown} is not usable: it needs {prefix} and {length} bytes in base64url on {lines}; restore it from \
                 where you keep it"
            );
        };
        Ok(keys)
    }

    /// One more behind those that there are, which stay. How many there are then.
    pub(crate) fn add(&self, place: Place<'_>, key: &[u8]) -> anyhow::Result<usize> {
        let mut keys = self.load(place)?;
        keys.push(key.to_owned());
        let lines: String =
            keys.iter().map(|key| format!("{}{}\n", self.prefix, URL_SAFE_NO_PAD.encode(key))).collect();
        // What a link leads to, or another process would go on with the file of before.
        let path = &fs::canonicalize(place.path)
            .with_context(|| format!("{} {} cannot be found", self.what, place.path.display()))?;
        let unfinished = unfinished(path);
        let write = || {
            let mut file = private(&unfinished)?;
            file.write_all(lines.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        };
        write().with_context(|| format!("{} {} cannot be written", self.what, path.display()))?;
        Ok(keys.len())
    }

    /// Whole or not at all, and never over another one.
    fn create(&self, path: &Path, key: &[u8]) -> io::Result<()> {
        let unfinished = unfinished(path);
        let mut file = private(&unfinished)?;
        writeln!(file, "{}{}", self.prefix, URL_SAFE_NO_PAD.encode(key))?;
        file.sync_all()?;
        let linked = fs::hard_link(&unfinished, path);
        fs::remove_file(&unfinished)?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.new", std::process::id()))
}

fn private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const ONE: Kind =
        Kind { what: "the test key", option: "--test-key-file", prefix: "rc_test_", length: 4, several: false };
    const SEVERAL: Kind = Kind { several: true, ..ONE };

    fn place(path: &Path, named: bool) -> Place<'_> {
        Place { path, named }
    }

    #[test]
    fn a_key_is_made_once_private_and_read_again() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("test.key");
        let made = ONE.load_or_create(place(&path, false), || Ok(b"abcd".to_vec())).expect("made");
        assert_eq!(made, [b"abcd"]);
        let other = ONE.load_or_create(place(&path, false), || Ok(b"efgh".to_vec()));
        assert_eq!((other.expect("read"), ONE.load(place(&path, true)).expect("read")), (made.clone(), made.clone()));
        assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 1);
        ONE.create(&path, b"efgh").expect("kept");
        assert_eq!(ONE.load(place(&path, false)).expect("read"), made);
    }

    #[test]
    fn one_that_was_named_must_be_there_and_each_must_be_private_and_whole() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("test.key");
        let missing = ONE.load_or_create(place(&path, true), || Ok(b"abcd".to_vec()));
        assert!(format!("{:#}", missing.expect_err("missing")).contains("--test-key-file"));
        fs::write(&path, "rc_test_short\n").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mode");
        assert!(ONE.load(place(&path, false)).expect_err("open").to_string().contains("chmod 600"));
        let error = ONE.load(place(&path, true)).expect_err("short").to_string();
        assert!(error.contains("4 bytes") && !error.contains("rc_test_short"), "{error}");
    }

    #[test]
    fn there_may_be_several_where_that_is_said() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("test.key");
        let lines = [b"abcd", b"efgh"].map(|key| format!("rc_test_{}\n\n", URL_SAFE_NO_PAD.encode(key))).concat();
        fs::write(&path, lines).expect("written");
        let keys = SEVERAL.load(place(&path, true)).expect("read");
        assert_eq!(keys, [b"abcd", b"efgh"], "the newest last");
        assert!(ONE.load(place(&path, true)).is_err());
        fs::write(&path, "\n").expect("written");
        assert!(SEVERAL.load(place(&path, true)).is_err());
    }

    #[test]
    fn one_more_is_added_to_what_a_link_leads_to() {
        let (directory, kept) = (tempfile::tempdir().expect("directory"), tempfile::tempdir().expect("directory"));
        let (link, path) = (directory.path().join("test.key"), kept.path().join("shared.key"));
        SEVERAL.create(&path, b"abcd").expect("made");
        std::os::unix::fs::symlink(&path, &link).expect("link");
        assert_eq!(SEVERAL.add(place(&link, true), b"efgh").expect("added"), 2);
        assert!(fs::symlink_metadata(&link).expect("metadata").is_symlink(), "it stays one");
        for place in [place(&link, true), place(&path, true)] {
            assert_eq!(SEVERAL.load(place).expect("read"), [b"abcd", b"efgh"]);
        }
        assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o777, 0o600);
        let files = [&directory, &kept].map(|directory| fs::read_dir(directory.path()).expect("entries").count());
        assert_eq!(files, [1, 1], "nothing unfinished is left");
    }
}
