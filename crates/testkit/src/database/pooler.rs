//! A pgbouncer in transaction mode on a private socket, which ends with the process that started it.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::server::{WATCHDOG, as_account, own, short_directory, unprivileged, wait_until_ready};

/// Fewer sessions than a service has connections, so that clients do share them, and no start-up parameter but those that
/// pgbouncer keeps for each client.
const SESSIONS: u32 = 4;

/// A running pooler.
#[derive(Debug)]
pub(super) struct PgBouncer {
    watchdog: Child,
    socket: PathBuf,
    directory: Option<TempDir>,
}

impl PgBouncer {
    /// Before the server with this socket and these data.
    pub(super) fn start(server: &Path, data: &Path) -> anyhow::Result<Self> {
        let program = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .chain([PathBuf::from("/usr/sbin")])
            .map(|directory| directory.join("pgbouncer"))
            .find(|program| program.is_file())
            .context("pgbouncer is neither on the PATH nor in /usr/sbin. Install it (Debian: pgbouncer).")?;
        let directory = short_directory()?;
        own(directory.path())?;
        let socket = directory.path().to_owned();
        let (settings, users, log) = (socket.join("ini"), socket.join("users"), socket.join("log"));
        // Roles but the first are looked up when they come.
        fs::write(&users, "\"postgres\" \"\"\n")?;
        let text = format!(
            "[databases]\n* = host={} auth_user=postgres\n[pgbouncer]\npool_mode = transaction\nauth_type = trust\n\
             auth_file = {}\nlisten_addr =\nunix_socket_dir = {}\nlisten_port = 5432\ndefault_pool_size = {SESSIONS}\n\
             max_client_conn = 1000\nquery_wait_timeout = 20\n",
            server.display(),
            users.display(),
            socket.display(),
        );
        fs::write(&settings, text)?;
        let account = unprivileged(&socket)?;
        if let Some(account) = account {
            for path in [&socket, &settings, &users] {
                chown(path, Some(account.uid), Some(account.gid))?;
            }
        }
        let mut watchdog = as_account("/bin/sh", account);
        // What the other signals mean depends on its version.
        watchdog.args(["-c", WATCHDOG, "watchdog", "KILL"]).arg(&socket).arg(program).arg(&settings);
        let output = fs::File::create(&log)?;
        watchdog.process_group(0).stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
        let watchdog = watchdog.spawn().context("starting pgbouncer")?;
        let pooler = Self { watchdog, socket, directory: Some(directory) };
        wait_until_ready(&pooler.url("postgres", "postgres"), data, &log)?;
        Ok(pooler)
    }

    /// The URL of a database behind it, for libpq.
    pub(super) fn url(&self, role: &str, database: &str) -> String {
        format!("postgresql://{role}@/{database}?host={}", self.socket.display())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        self.directory = None;
    }
}

#[cfg(test)]
mod tests {
    use diesel::{Connection as _, PgConnection};

    use super::*;
    use crate::PostgresServer;

    #[test]
    fn a_pooler_ends_and_leaves_nothing_when_dropped() {
        let server = PostgresServer::temporary().expect("start");
        let pooler = PgBouncer::start(server.socket(), server.directory()).expect("start");
        let (socket, url) = (pooler.socket.clone(), pooler.url("postgres", "postgres"));
        assert!(PgConnection::establish(&url).is_ok());
        drop(pooler);
        assert!(PgConnection::establish(&url).is_err());
        assert!(!socket.exists());
    }
}
