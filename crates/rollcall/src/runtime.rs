//! What a running server leaves in its data directory: a lock against a second one, and its addresses for the command
//! line.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::settings::{Settings, run_dir};

/// A part of the server. Its role runs it alone; all in one runs all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Gateway,
    Identity,
    Token,
}

impl Part {
    pub(crate) const ALL: [Self; 3] = [Self::Gateway, Self::Identity, Self::Token];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Identity => "identity",
            Self::Token => "token",
        }
    }
}

/// The contents of `run/ROLE.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    /// `all`, or a part's name.
    pub(crate) role: String,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) grpc: Option<SocketAddr>,
    /// Whether gRPC speaks TLS.
    #[serde(default)]
    pub(crate) grpc_tls: bool,
    pub(crate) public_url: Option<String>,
    pub(crate) pid: u32,
}

impl Running {
    /// Of the server that runs this part according to the data directory, if one left its file; it may have died since.
    pub(crate) fn find(data_dir: &Path, part: Part) -> Option<Self> {
        let read = |role: &str| {
            let text = fs::read(run_dir(data_dir).join(format!("{role}.json"))).ok()?;
            serde_json::from_slice(&text).ok()
        };
        read(part.name()).or_else(|| read("all"))
    }
}

/// Removed when dropped.
pub(crate) struct RuntimeFile(PathBuf);

impl RuntimeFile {
    /// Removes what a server that was killed left behind. Only for who holds the locks of `parts`.
    pub(crate) fn clear(data_dir: &Path, parts: &[Part]) {
        for role in parts.iter().map(|part| part.name()).chain(["all"]) {
            let _ = fs::remove_file(run_dir(data_dir).join(format!("{role}.json")));
        }
    }

    /// Readers see all of it or none.
    pub(crate) fn write(data_dir: &Path, running: &Running) -> anyhow::Result<Self> {
        let path = run_dir(data_dir).join(format!("{}.json", running.role));
        let unfinished = path.with_extension("json.new");
        let write = || -> io::Result<()> {
            let mut file = private().truncate(true).open(&unfinished)?;
            serde_json::to_writer(&mut file, running)?;
            file.write_all(b"\n")?;
            fs::rename(&unfinished, &path)
        };
        write().with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for RuntimeFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, file = %self.0.display(), "the runtime file could not be removed");
        }
    }
}

/// Makes the data directory, readable by this user only, and `run` inside.
pub(crate) fn prepare_data_dir(settings: &Settings) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(settings.run_dir())
        .with_context(|| format!("the data directory {} cannot be used", settings.data_dir.display()))
}

/// Refuses where a server already runs this part on the data directory. Writes nothing, not even the directory.
pub(crate) fn refuse_second(data_dir: &Path, part: Part) -> anyhow::Result<()> {
    let locked = File::options().write(true).open(lock_path(data_dir, part));
    let held = locked.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    let Some(running) = Running::find(data_dir, part).filter(|_| held) else { return Ok(()) };
    bail!(
        "another rollcall (process {}) already serves from {}; stop it, or give this one another --data-dir",
        running.pid,
        data_dir.display()
    )
}

fn lock_path(data_dir: &Path, part: Part) -> PathBuf {
    run_dir(data_dir).join(format!("{}.lock", part.name()))
}

/// Held while a part uses the data directory. The kernel lets go of it when the process dies.
#[must_use]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// `None` when another process holds it.
    pub(crate) fn try_take(data_dir: &Path, part: Part) -> anyhow::Result<Option<Self>> {
        let path = lock_path(data_dir, part);
        let cannot = || format!("{} cannot be locked", path.display());
        let file = private().open(&path).with_context(cannot)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
        }
    }

    /// For a server. A command that works on the data directory itself is waited for; another server is not.
    pub(crate) async fn take(data_dir: &Path, part: Part) -> anyhow::Result<Self> {
        for _ in 0..30 {
            if let Some(lock) = Self::try_take(data_dir, part)? {
                return Ok(lock);
            }
            refuse_second(data_dir, part)?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!(
            "another rollcall is using {}; wait until it is done, or give this one another --data-dir",
            data_dir.display()
        )
    }
}

fn private() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true).create(true).mode(0o600);
    options
}
