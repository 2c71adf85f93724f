//! A PostgreSQL server on a private socket, which ends with the process that started it.

use std::{
    fs,
    io::ErrorKind,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use diesel::{Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, sql_query, sql_types::Text};
use tempfile::TempDir;

const PREFIX: &str = "rc-pg-";
pub(super) const SQLITE_PREFIX: &str = "rc-sqlite-";

/// For data that need not survive the machine.
const WITHOUT_SYNC: &[&str] = &["fsync=off", "full_page_writes=off"];

/// Waits until its standard input is closed, which the kernel does however the starter ends, then stops the server.
/// `$1` is the signal, `$2` a directory to remove or nothing, the rest the server.
pub(super) const WATCHDOG: &str = r#"
signal=$1; remove=$2; shift 2
"$@" &
server=$!
read -r _
kill -"$signal" "$server" 2>/dev/null
wait "$server"
[ -z "$remove" ] || rm -rf -- "$remove"
"#;

/// The newest directory that holds both `initdb` and `postgres`; a lone `postgres` on the path may be a wrapper.
pub fn postgres_binaries() -> Option<PathBuf> {
    let complete = |directory: &PathBuf| directory.join("initdb").is_file() && directory.join("postgres").is_file();
    let version = |directory: &Path| -> Option<u32> { directory.parent()?.file_name()?.to_str()?.parse().ok() };
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = installed.map(|entry| entry.path().join("bin")).filter(complete);
    if let Some(newest) = installed.max_by_key(|directory| version(directory)) {
        return Some(newest);
    }
    std::env::split_paths(&std::env::var_os("PATH")?).find(complete)
}

/// A running server. It stops when this value is dropped or this process ends.
#[derive(Debug)]
pub struct PostgresServer {
    watchdog: Child,
    socket: PathBuf,
    port: String,
    data: PathBuf,
    /// Removed after the server has ended.
    directories: Vec<TempDir>,
}

impl PostgresServer {
    /// A server without fsync in a directory of its own, removed at the end.
    ///
    /// # Errors
    /// If there is no PostgreSQL here or it does not start, with what it said.
    pub fn temporary() -> anyhow::Result<Self> {
        Self::temporary_with(|_| Ok(Vec::new()))
    }

    /// With settings (`NAME=VALUE`), made when the directory of its socket is there.
    pub(super) fn temporary_with(settings: impl FnOnce(&Path) -> anyhow::Result<Vec<String>>) -> anyhow::Result<Self> {
        remove_stale();
        let directory = short_directory()?;
        own(directory.path())?;
        let data = directory.path().join("data");
        let socket = directory.path().to_owned();
        let remove = directory.path().to_owned();
        let settings = settings(&socket)?;
        let settings: Vec<&str> = WITHOUT_SYNC.iter().copied().chain(settings.iter().map(String::as_str)).collect();
        launch(data, socket, vec![directory], Some(&remove), &settings)
    }

    /// A server without fsync on this directory, whose data stay and are used again.
    ///
    /// # Errors
    /// As [`PostgresServer::temporary`].
    pub fn start(directory: &Path) -> anyhow::Result<Self> {
        Self::start_with(directory, WITHOUT_SYNC)
    }

    /// As [`PostgresServer::start`], with these settings (`fsync=on`) over the harness's own.
    ///
    /// # Errors
    /// As [`PostgresServer::temporary`].
    pub fn start_with(directory: &Path, settings: &[&str]) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        let socket = short_directory()?;
        own(socket.path())?;
        let path = socket.path().to_owned();
        launch(directory.join("data"), path.clone(), vec![socket], Some(&path), settings)
    }

    /// The URL of a database on it, for the superuser `postgres`; `""` for `psql`'s choice of `postgres`.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@/{database}?port={}&host={}", self.port, self.socket.display())
    }

    /// Where its socket is.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it writes to standard error.
    pub fn log(&self) -> PathBuf {
        self.socket.join("log")
    }

    /// The process that all its other processes are children of.
    ///
    /// # Errors
    /// If its data directory does not say.
    pub fn process_id(&self) -> anyhow::Result<u32> {
        let file = self.data.join("postmaster.pid");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        text.lines().next().and_then(|line| line.trim().parse().ok()).context("postmaster.pid begins without a number")
    }

    /// Where its data are.
    pub fn directory(&self) -> &Path {
        &self.data
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        self.directories.clear();
    }
}

/// A socket's path may have 107 bytes, and `TMPDIR` may be long.
pub(super) fn short_directory() -> anyhow::Result<TempDir> {
    let base = std::env::temp_dir();
    let base = if base.as_os_str().len() > 60 { PathBuf::from("/tmp") } else { base };
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(base).context("creating a temporary directory")
}

/// Says in a directory that this process uses it.
pub(super) fn own(directory: &Path) -> std::io::Result<()> {
    fs::write(directory.join("owner"), std::process::id().to_string())
}

/// Removes what killed processes and a machine that went down left. What is in use has a live owner.
pub(super) fn remove_stale() {
    if !Path::new("/proc/self").exists() {
        return;
    }
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let path = entry.path();
        let ours =
            entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX) || name.starts_with(SQLITE_PREFIX));
        let old = entry
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > Duration::from_secs(3600)));
        let alive = |file: &str| {
            let text = fs::read_to_string(path.join(file)).unwrap_or_default();
            let pid = text.lines().next().unwrap_or_default().trim().to_owned();
            !pid.is_empty() && Path::new("/proc").join(pid).exists()
        };
        if ours && old && !alive("owner") && !alive("data/postmaster.pid") {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// PostgreSQL refuses to run as root. The owner of a file just made is the effective user.
pub(super) fn unprivileged(probe: &Path) -> anyhow::Result<Option<Account>> {
    if fs::metadata(probe)?.uid() != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = |name: &str| -> Option<Account> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some(Account { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    };
    let account = account("postgres").or_else(|| account("nobody"));
    Ok(Some(account.context("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")?))
}

fn launch(
    data: PathBuf,
    socket: PathBuf,
    directories: Vec<TempDir>,
    remove: Option<&Path>,
    settings: &[&str],
) -> anyhow::Result<PostgresServer> {
    let binaries = postgres_binaries().context(
        "PostgreSQL's initdb and postgres are neither in /usr/lib/postgresql/*/bin nor on the PATH. Install the server \
         (Debian: postgresql).",
    )?;
    let account = unprivileged(&socket)?;
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o700))?;
    match fs::create_dir(&data) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(error).context("creating the data directory");
        }
        _ => fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?,
    }
    if let Some(Account { uid, gid }) = account {
        for path in [&socket, &data] {
            chown(path, Some(uid), Some(gid)).with_context(|| format!("giving {} to PostgreSQL", path.display()))?;
        }
    }
    if !data.join("PG_VERSION").exists() {
        let mut initdb = as_account(binaries.join("initdb"), account);
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata"]);
        let output = initdb.arg(&data).stdin(Stdio::null()).output().context("running initdb")?;
        ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let log = socket.join("log");
    let mut watchdog = as_account("/bin/sh", account);
    watchdog.args(["-c", WATCHDOG, "watchdog"]);
    // Data that are thrown away need no orderly end.
    watchdog.arg(if remove.is_some_and(|remove| data.starts_with(remove)) { "QUIT" } else { "INT" });
    watchdog.arg(remove.unwrap_or(Path::new("")));
    watchdog.arg(binaries.join("postgres")).arg("-D").arg(&data).arg("-k").arg(&socket);
    let own = ["listen_addresses=", "max_connections=200", "shared_buffers=64MB", "timezone=UTC", "lc_messages=C"];
    // The last of two settings of one name counts.
    for setting in own.iter().chain(settings) {
        watchdog.args(["-c", setting]);
    }
    let port = settings.iter().find_map(|setting| setting.strip_prefix("port=")).unwrap_or("5432").to_owned();
    let output = fs::File::create(&log)?;
    // A group of its own: Ctrl-C in the terminal ends the starter, and the watchdog does the rest.
    watchdog.process_group(0).stdin(Stdio::piped()).stdout(output.try_clone()?).stderr(output);
    let watchdog = watchdog.spawn().context("starting PostgreSQL")?;
    let server = PostgresServer { watchdog, socket, port, data, directories };
    wait_until_ready(&server.url("postgres"), &server.data, &log)?;
    Ok(server)
}

/// In `/`, because the starter's directory may be closed to the account.
pub(super) fn as_account(program: impl AsRef<std::ffi::OsStr>, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C");
    // libpq and postgres read these.
    for variable in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGOPTIONS"] {
        command.env_remove(variable);
    }
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    command
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    data_directory: String,
}

/// Until the server with these data answers there, itself or through a pooler; another one is an error.
pub(super) fn wait_until_ready(url: &str, data: &Path, log: &Path) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        match PgConnection::establish(url) {
            Ok(mut connection) => {
                let setting: Setting = sql_query("SHOW data_directory").get_result(&mut connection)?;
                let found = PathBuf::from(setting.data_directory).canonicalize()?;
                ensure!(found == data.canonicalize()?, "another server answers: {}", found.display());
                return Ok(());
            }
            Err(error) => {
                let said = fs::read_to_string(log).unwrap_or_default();
                if said.contains("FATAL") && !said.contains("starting up") || begin.elapsed() > Duration::from_secs(60)
                {
                    bail!("it does not start: {error}\n{said}");
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
