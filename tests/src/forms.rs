//! The two forms a suite runs against: all in one on SQLite, three processes on PostgreSQL.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use testkit::{
    TestDatabase,
    client::Client,
    process::{Deployment, Program},
    relay::Relay,
};

use crate::transcript::Transcript;

/// Which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `rollcall serve`, on SQLite.
    AllInOne,
    /// `rollcall serve identity`, `token` and `gateway`, on PostgreSQL.
    ThreeProcesses,
}

impl Form {
    /// Both.
    pub const ALL: [Self; 2] = [Self::AllInOne, Self::ThreeProcesses];

    /// For headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::AllInOne => "all in one, SQLite",
            Self::ThreeProcesses => "three processes, PostgreSQL",
        }
    }
}

/// What the processes are told beside what they need.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// For each.
    pub arguments: Vec<String>,
    /// In the URLs of the PostgreSQL databases, whose server asks for none.
    pub database_password: Option<String>,
    /// What is to keep all that is said to the gateway, and by it to identity-service.
    pub recorded: Option<Recorded>,
}

/// Relays, which outlive what they stand before.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Between clients and the gateway.
    pub http: Relay,
    /// Between the gateway and identity-service, where these are two processes.
    pub grpc: Relay,
}

impl Recorded {
    /// Starts both.
    ///
    /// # Errors
    /// If there is no port for one.
    pub async fn start() -> Result<Self> {
        Ok(Self { http: Relay::start().await?, grpc: Relay::start().await? })
    }
}

/// A running form with everything it stands on.
pub struct Running {
    /// The processes.
    pub deployment: Deployment,
    options: Options,
    directory: TempDir,
    databases: Vec<TestDatabase>,
}

impl Running {
    /// Starts it in a directory and on databases of its own, and waits for `/readyz`.
    ///
    /// # Errors
    /// If a process does not start.
    pub async fn start(program: &Program, form: Form) -> Result<Self> {
        Self::start_with(program, form, Options::default()).await
    }

    /// As [`Running::start`], with options.
    ///
    /// # Errors
    /// As [`Running::start`].
    pub async fn start_with(program: &Program, form: Form, options: Options) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let databases = match form {
            Form::AllInOne => Vec::new(),
            Form::ThreeProcesses => vec![testkit::postgres(), testkit::postgres()],
        };
        let deployment = deploy(program, directory.path(), &databases, &options).await?;
        Ok(Self { deployment, options, directory, databases })
    }

    /// Stops it in an orderly way and starts it again on the same data.
    ///
    /// # Errors
    /// If a process does not stop well or does not start.
    pub async fn restart(self, program: &Program) -> Result<Self> {
        let Self { deployment, options, directory, databases } = self;
        deployment.stop()?;
        let deployment = deploy(program, directory.path(), &databases, &options).await?;
        Ok(Self { deployment, options, directory, databases })
    }

    /// Kills every process and starts them again on the same data.
    ///
    /// # Errors
    /// If a process cannot be killed or does not start.
    pub async fn crash(self, program: &Program) -> Result<Self> {
        let Self { deployment, options, directory, databases } = self;
        for server in deployment.servers {
            server.kill()?;
        }
        let deployment = deploy(program, directory.path(), &databases, &options).await?;
        Ok(Self { deployment, options, directory, databases })
    }

    /// URLs of the databases of identity-service and token-service, for a test's own connections.
    pub fn databases(&self) -> [String; 2] {
        match &self.databases[..] {
            [identity, token] => [identity, token].map(|database| database.direct().to_owned()),
            _ => ["identity", "token"].map(|name| format!("sqlite:{}/{name}.db", self.directory.path().display())),
        }
    }

    /// Stops it in an orderly way; gives what the processes wrote, and what they stood on.
    ///
    /// # Errors
    /// If a process does not end with success.
    pub fn stop_and_keep(self) -> Result<(Vec<String>, Remains)> {
        let urls = self.databases();
        let Self { deployment, directory, databases, .. } = self;
        Ok((deployment.stop()?, Remains { urls, directory, _databases: databases }))
    }

    /// Stops it in an orderly way; gives what the processes wrote.
    ///
    /// # Errors
    /// If a process does not end with success.
    pub fn stop(self) -> Result<Vec<String>> {
        self.deployment.stop()
    }
}

/// What a form leaves when it has ended.
pub struct Remains {
    /// As [`Running::databases`].
    pub urls: [String; 2],
    /// The data directory.
    pub directory: TempDir,
    _databases: Vec<TestDatabase>,
}

async fn deploy(
    program: &Program,
    directory: &Path,
    databases: &[TestDatabase],
    options: &Options,
) -> Result<Deployment> {
    let front = options.recorded.as_ref().map(|recorded| recorded.http.url());
    let public_url = front.iter().flat_map(|front| ["--public-url", front]);
    let arguments: Vec<&str> = options.arguments.iter().map(String::as_str).chain(public_url).collect();
    let by = |url: &str| match &options.recorded {
        Some(recorded) => recorded.grpc.lead_to(url).map(|()| recorded.grpc.url()),
        None => Ok(url.to_owned()),
    };
    let url = |database: &TestDatabase| match &options.database_password {
        Some(password) => database.url().replacen('@', &format!(":{password}@"), 1),
        None => database.url().to_owned(),
    };
    let mut deployment = match databases {
        [identity, token] => {
            let databases = [identity, token].map(url);
            Deployment::three_processes_by(program, directory, databases.each_ref().map(|url| &**url), &arguments, &by)?
        }
        _ => Deployment::all_in_one(program, directory, &arguments)?,
    };
    if let Some(recorded) = &options.recorded {
        recorded.http.lead_to(&deployment.part("gateway")?.url("http")?)?;
        deployment = deployment.reached_at(&recorded.http.url());
    }
    ready(&deployment).await?;
    Ok(deployment)
}

async fn ready(deployment: &Deployment) -> Result<()> {
    let client = Client::new(deployment.http());
    let begin = Instant::now();
    loop {
        let answer = client.send(http::Method::GET, "/readyz", None).await;
        if answer.is_ok_and(|reply| reply.status == 200) {
            return Ok(());
        }
        ensure!(begin.elapsed() < Duration::from_secs(30), "/readyz does not answer 200:\n{}", deployment.output());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// An organization of a suite's own, so that suites do not see each other.
pub struct Organization {
    /// Its short name.
    pub slug: String,
    /// UUID.
    pub id: String,
    /// The SCIM token.
    pub token: String,
    /// UUID of the token.
    pub token_id: String,
    /// What is pasted into the identity provider.
    pub scim_url: String,
}

/// Makes an organization as an administrator does, with the command line: enterprise plan, SCIM on, no request limit.
///
/// # Errors
/// If a command fails.
pub fn organization(deployment: &Deployment, transcript: &Transcript, slug: &str) -> Result<Organization> {
    let created = deployment.cli_json(&["org", "create", slug, "--name", slug, "--plan", "enterprise"])?;
    deployment.cli_json(&["org", "limit", slug, "--requests-per-second", "0"])?;
    deployment.cli_json(&["scim", "enable", slug])?;
    let token = deployment.cli_json(&["token", "create", slug, "--description", "e2e"])?;
    let text = |document: &serde_json::Value, name: &str| -> Result<String> {
        let found = document[name].as_str();
        Ok(found.with_context(|| format!("no {name} in {document}"))?.to_owned())
    };
    let secret = text(&token, "token")?;
    transcript.hide(&secret);
    Ok(Organization {
        slug: slug.to_owned(),
        id: text(&created, "id")?,
        token: secret,
        token_id: text(&token, "id")?,
        scim_url: text(&token, "scim_url")?,
    })
}
