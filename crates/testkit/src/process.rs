//! The `rollcall` binary as real processes: all in one, or one for each role.
//!
//! Not here: calling the services as a library. A black-box test sees what an administrator sees.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// How long a server may take until `/readyz`, or its gRPC port, answers.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(20);

/// Where the binary is, and a clean environment to run it in.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    variables: Vec<(String, String)>,
}

/// What a finished command left.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Standard output as the one JSON document that `--output json` promises.
    ///
    /// # Errors
    /// If the command failed or printed anything else.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.status.success(), "{}: {}", self.status, self.stderr.trim());
        serde_json::from_str(&self.stdout).with_context(|| format!("not one JSON document: {:?}", self.stdout))
    }
}

impl Program {
    /// The binary at this path.
    ///
    /// # Errors
    /// If there is none.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        ensure!(path.is_file(), "there is no program {}: build it with `cargo build`", path.display());
        Ok(Self { path: path.canonicalize()?, variables: Vec::new() })
    }

    /// The same with one more variable in its environment.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command without the caller's `ROLLCALL_*` variables, which would change its meaning.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROLLCALL_") {
                command.env_remove(name);
            }
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// If it cannot be started. A failure of the command itself is in the answer.
    pub fn run<S: Into<OsString> + Clone>(&self, arguments: &[S]) -> Result<Finished> {
        let mut command = self.command();
        command.args(arguments.iter().cloned().map(Into::into));
        let output = command.output().with_context(|| format!("running {}", self.path.display()))?;
        Ok(Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// One running `rollcall serve`. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    role: &'static str,
    child: Child,
    data_dir: PathBuf,
    output: Arc<Mutex<String>>,
    readers: Vec<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts `rollcall serve` (role `all`) or `rollcall serve ROLE` on ports that the kernel chooses, and waits until it
    /// has written its addresses.
    ///
    /// # Errors
    /// If it ends, or takes longer than a minute; with what it said.
    pub fn start(program: &Program, role: &'static str, data_dir: &Path, arguments: &[String]) -> Result<Self> {
        Self::start_with(program, role, data_dir, arguments, &[])
    }

    /// As [`Server::start`], with variables: what may hold a password is no argument.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(
        program: &Program,
        role: &'static str,
        data_dir: &Path,
        arguments: &[String],
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = program.command();
        command.envs(variables.iter().copied()).arg("serve");
        if role != "all" {
            command.arg(role);
        }
        command.arg("--data-dir").arg(data_dir).args(["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let stale = data_dir.join("run").join(format!("{role}.json"));
        if stale.exists() {
            // What a killed server left would be taken for the new one's.
            std::fs::remove_file(&stale)?;
        }
        let mut child = command.spawn().context("starting rollcall serve")?;
        let output = Arc::new(Mutex::new(String::new()));
        let readers = [
            child.stdout.take().map(|pipe| collect(pipe, Arc::clone(&output))),
            child.stderr.take().map(|pipe| collect(pipe, Arc::clone(&output))),
        ];
        let readers = readers.into_iter().flatten().collect();
        let mut server = Self { role, child, data_dir: data_dir.to_owned(), output, readers };
        server.wait_for_addresses()?;
        Ok(server)
    }

    fn wait_for_addresses(&mut self) -> Result<()> {
        let begin = Instant::now();
        while self.running().is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("rollcall serve {} ended with {status}:\n{}", self.role, self.output());
            }
            ensure!(begin.elapsed() < START, "rollcall serve {} is not ready:\n{}", self.role, self.output());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn running(&self) -> Result<Value> {
        let file = self.data_dir.join("run").join(format!("{}.json", self.role));
        Ok(serde_json::from_slice(&std::fs::read(file)?)?)
    }

    /// Where it listens: `http` or `grpc`, as `http://HOST:PORT`.
    ///
    /// # Errors
    /// If this role has no such listener.
    pub fn url(&self, listener: &str) -> Result<String> {
        let running = self.running()?;
        let address = running.get(listener).and_then(Value::as_str);
        let address = address.with_context(|| format!("rollcall serve {} has no {listener} address", self.role))?;
        Ok(format!("http://{address}"))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `all`, `gateway`, `identity` or `token`.
    pub fn role(&self) -> &'static str {
        self.role
    }

    /// Everything it has written to standard output and standard error.
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to end, as an orchestrator does, and waits.
    ///
    /// # Errors
    /// If it takes longer than 20 s or does not end with success.
    pub fn stop(mut self) -> Result<String> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(status.success(), "rollcall serve {} was not running any more:\n{}", self.role, self.output());
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                for reader in self.readers.drain(..) {
                    let _ = reader.join();
                }
                ensure!(status.success(), "rollcall serve {} ended with {status}:\n{}", self.role, self.output());
                return Ok(self.output());
            }
            ensure!(begin.elapsed() < STOP, "rollcall serve {} does not stop:\n{}", self.role, self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it at once, as a power cut does.
    ///
    /// # Errors
    /// If it cannot be ended.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl std::io::Read + Send + 'static, into: Arc<Mutex<String>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut output = into.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&line);
            output.push('\n');
        }
    })
}

/// What answers on one data directory: one process, or three.
#[derive(Debug)]
pub struct Deployment {
    program: Program,
    data_dir: PathBuf,
    public_url: String,
    /// In the order they were started.
    pub servers: Vec<Server>,
}

impl Deployment {
    /// Everything in one process, on the SQLite files in the data directory unless `arguments` say otherwise.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn all_in_one(program: &Program, data_dir: &Path, arguments: &[&str]) -> Result<Self> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let server = Server::start(program, "all", data_dir, &arguments)?;
        let public_url = server.url("http")?;
        Ok(Self { program: program.clone(), data_dir: data_dir.to_owned(), public_url, servers: vec![server] })
    }

    /// One process for each role, on these databases.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn three_processes(
        program: &Program,
        data_dir: &Path,
        identity_database: &str,
        token_database: &str,
        arguments: &[&str],
    ) -> Result<Self> {
        let databases = [identity_database, token_database];
        Self::three_processes_by(program, data_dir, databases, arguments, &|url| Ok(url.to_owned()))
    }

    /// As [`Deployment::three_processes`]; the gateway reaches identity-service at the address that `by` gives for its own.
    ///
    /// # Errors
    /// As [`Server::start`], and of `by`.
    pub fn three_processes_by(
        program: &Program,
        data_dir: &Path,
        [identity_database, token_database]: [&str; 2],
        arguments: &[&str],
        by: &dyn Fn(&str) -> Result<String>,
    ) -> Result<Self> {
        let more: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let token =
            Server::start_with(program, "token", data_dir, &more, &[("ROLLCALL_TOKEN_DATABASE_URL", token_database)])?;
        // It asks for service credentials there.
        let token_url = ["--token-url".to_owned(), token.url("grpc")?];
        let identity = Server::start_with(
            program,
            "identity",
            data_dir,
            &[token_url.to_vec(), more.clone()].concat(),
            &[("ROLLCALL_IDENTITY_DATABASE_URL", identity_database)],
        )?;
        let identity_url = ["--identity-url".to_owned(), by(&identity.url("grpc")?)?];
        let gateway = [identity_url.to_vec(), token_url.to_vec(), more].concat();
        let gateway = Server::start(program, "gateway", data_dir, &gateway)?;
        let public_url = gateway.url("http")?;
        let servers = vec![token, identity, gateway];
        Ok(Self { program: program.clone(), data_dir: data_dir.to_owned(), public_url, servers })
    }

    /// The server that runs this part: `gateway`, `identity` or `token`.
    ///
    /// # Errors
    /// If none does.
    pub fn part(&self, part: &str) -> Result<&Server> {
        let found = self.servers.iter().find(|server| server.role == part || server.role == "all");
        found.with_context(|| format!("no process runs {part}"))
    }

    /// Ends one of them in an orderly way.
    ///
    /// # Errors
    /// As [`Server::stop`], and if none runs this part.
    pub fn stop_part(&mut self, part: &str) -> Result<String> {
        let at = self.servers.iter().position(|server| server.role == part);
        self.servers.remove(at.with_context(|| format!("no process runs {part} alone"))?).stop()
    }

    /// Clients are to reach it here: something stands before the gateway.
    pub fn reached_at(mut self, url: &str) -> Self {
        url.clone_into(&mut self.public_url);
        self
    }

    /// `http://HOST:PORT` of the gateway.
    pub fn http(&self) -> &str {
        &self.public_url
    }

    /// `http://HOST:PORT` where a part answers gRPC.
    ///
    /// # Errors
    /// If it does not.
    pub fn grpc(&self, part: &str) -> Result<String> {
        self.part(part)?.url("grpc")
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The credential that `serve` left for administrators and internal services.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn admin_credential(&self) -> Result<String> {
        let file = self.data_dir.join("admin-credential");
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        Ok(text.trim().to_owned())
    }

    /// Runs a command of the CLI on this data directory.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn cli(&self, arguments: &[&str]) -> Result<Finished> {
        let mut all: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        all.extend(["--data-dir".into(), self.data_dir.clone().into_os_string()]);
        self.program.run(&all)
    }

    /// As [`Deployment::cli`] with `--output json`.
    ///
    /// # Errors
    /// If the command fails.
    pub fn cli_json(&self, arguments: &[&str]) -> Result<Value> {
        let words = [arguments, &["--output", "json"]].concat();
        self.cli(&words)?.json().with_context(|| format!("rollcall {}", arguments.join(" ")))
    }

    /// Ends every process in an orderly way, the gateway first.
    ///
    /// # Errors
    /// As [`Server::stop`].
    pub fn stop(self) -> Result<Vec<String>> {
        self.servers.into_iter().rev().map(Server::stop).collect()
    }

    /// All that the processes wrote so far.
    pub fn output(&self) -> String {
        self.servers.iter().map(Server::output).collect()
    }
}
