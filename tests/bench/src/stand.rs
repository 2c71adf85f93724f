//! The product on its feet with a directory in it: from a template that is seeded once through the public API.
//!
//! A template is kept under the hash of the migrations, so that a changed schema is seeded anew. A run works on a copy.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::Hasher as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use diesel::{Connection as _, PgConnection, connection::SimpleConnection as _};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use testkit::{
    PostgresServer, okta,
    process::{Deployment, Program},
};
use uuid::Uuid;

use crate::{
    directory::{self, Directory, Facts, LAYOUT},
    load::{self, Call, Expect, Reply, Target},
    process::{self, Clock, Watched},
    say,
};

/// Which form of the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// All in one, on SQLite
    Sqlite,
    /// Three processes, on PostgreSQL
    Postgres,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Sqlite => "all in one, SQLite",
            Self::Postgres => "three processes, PostgreSQL",
        }
    }
}

/// What PostgreSQL runs with while it is measured; the rest is its default. Durable: an acknowledged write is on disk.
pub(crate) const MEASURED: &[&str] =
    &["fsync=on", "full_page_writes=on", "synchronous_commit=on", "shared_buffers=512MB", "max_wal_size=4GB"];

/// While a template is seeded; it is written out at the end.
const SEEDED: &[&str] =
    &["fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=512MB", "max_wal_size=8GB"];

/// The copy that a process works on has its id behind this.
const RUN: &str = "run-";
/// Likewise, a template that is being seeded.
const PARTIAL: &str = "partial-";
/// Operations in one bulk request, at most: it must end within a request's time on a busy machine, and requests that run
/// side by side share the database's fsync.
const BULK: usize = 100;
const SEED_CONNECTIONS: usize = 32;
/// Members in one request, likewise.
const MEMBERS: usize = 5000;
/// How long background work may go on after seeding.
const SETTLE: Duration = Duration::from_secs(900);

/// Where things are, and the product under test.
pub(crate) struct Place {
    pub(crate) program: Program,
    /// The repository.
    pub(crate) root: PathBuf,
    /// `target/bench`.
    pub(crate) output: PathBuf,
    pub(crate) templates: PathBuf,
}

/// A running form.
pub(crate) struct Stand {
    pub(crate) directory: Directory,
    pub(crate) deployment: Deployment,
    pub(crate) postgres: Option<PostgresServer>,
    path: PathBuf,
}

impl Stand {
    /// On a copy of the template, which is seeded first where there is none.
    pub(crate) async fn start(place: &Place, form: Form, users: usize, program: &Program) -> Result<Self> {
        let template = template(place, form, users).await?;
        remove_left_over(&place.output, RUN)?;
        let path = place.output.join(format!("{RUN}{}", std::process::id()));
        remove(&path)?;
        copy(&template, &path)?;
        let postgres = match form {
            Form::Sqlite => None,
            Form::Postgres => Some(PostgresServer::start_with(&path.join("postgres"), MEASURED)?),
        };
        let deployment = match &postgres {
            None => Deployment::all_in_one(program, &path.join("server"), &[])?,
            Some(server) => {
                let (identity, token) = (server.url("identity"), server.url("token"));
                Deployment::three_processes(program, &path.join("server"), &identity, &token, &[])?
            }
        };
        let stand = Self { directory: Directory::read(&path)?, deployment, postgres, path };
        let target = stand.target()?;
        let begin = Instant::now();
        while let Err(error) = stand.probe(&target).await {
            ensure!(begin.elapsed() < Duration::from_secs(60), "{error:#}\n{}", stand.deployment.output());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(stand)
    }

    async fn probe(&self, target: &Target) -> Result<()> {
        let users = format!("\"totalResults\":{}", self.directory.users.len());
        let call = Call::get("/Users?startIndex=1&count=0", Expect::status(&[200]).containing(users));
        target.connect().await?.call(&call).await.map(drop)
    }

    pub(crate) fn target(&self) -> Result<Target> {
        Target::new(&format!("{}/scim/v2", self.deployment.http()), Some(&self.directory.facts.token))
    }

    /// What the figures are of.
    pub(crate) fn watched(&self) -> Result<Vec<Watched>> {
        watched(&self.deployment, self.postgres.as_ref())
    }

    /// Ends the product; its data stay for a while.
    pub(crate) fn stop(self) -> Result<Rest> {
        let Self { deployment, postgres, path, .. } = self;
        deployment.stop()?;
        Ok(Rest { postgres, path })
    }
}

/// What is left of a form whose processes have ended.
pub(crate) struct Rest {
    postgres: Option<PostgresServer>,
    path: PathBuf,
}

impl Rest {
    pub(crate) fn postgres(&self) -> Option<&PostgresServer> {
        self.postgres.as_ref()
    }

    /// Ends the database and removes the copy.
    pub(crate) fn remove(self) -> Result<()> {
        drop(self.postgres);
        remove(&self.path)
    }
}

fn watched(deployment: &Deployment, postgres: Option<&PostgresServer>) -> Result<Vec<Watched>> {
    let alone = deployment.servers.len() == 1;
    let servers = deployment.servers.iter();
    let watched = servers.map(|server| Watched {
        name: if alone { "rollcall" } else { server.role() },
        id: server.id(),
        tree: false,
    });
    let mut watched: Vec<_> = watched.collect();
    if let Some(server) = postgres {
        watched.push(Watched { name: "postgres", id: server.process_id()?, tree: true });
    }
    Ok(watched)
}

/// Waits until what runs in the background has been done.
pub(crate) async fn settle(watched: &[Watched], clock: Clock) -> Result<()> {
    const PAUSE: Duration = Duration::from_millis(500);
    let (begin, mut quiet) = (Instant::now(), 0);
    let mut before: f64 = process::cpu(watched, clock)?.values().sum();
    while quiet < 2 {
        ensure!(begin.elapsed() < SETTLE, "background work goes on for {} s", SETTLE.as_secs());
        tokio::time::sleep(PAUSE).await;
        let now: f64 = process::cpu(watched, clock)?.values().sum();
        quiet = if now - before < PAUSE.as_secs_f64() * 1000.0 * 0.06 { quiet + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

async fn template(place: &Place, form: Form, users: usize) -> Result<PathBuf> {
    let path = place.templates.join(format!("{}-{users}-{:016x}", form.word(), schema_hash(&place.root, form)?));
    if path.join("directory.json").exists() {
        return Ok(path);
    }
    fs::create_dir_all(&place.templates)?;
    remove_left_over(&place.templates, PARTIAL)?;
    let partial = place.templates.join(format!("{PARTIAL}{}", std::process::id()));
    remove(&partial)?;
    fs::create_dir(&partial)?;
    say(&format!("Seeding {users} users ({}); kept in {}", form.title(), path.display()));
    seed(place, form, users, &partial).await.context("seeding")?;
    fs::rename(&partial, &path)?;
    Ok(path)
}

/// A directory seeded under other migrations is of no use.
fn schema_hash(root: &Path, form: Form) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    hasher.write_u32(LAYOUT);
    for service in ["identity-service", "token-service"] {
        let tree = root.join("crates").join(service).join("migrations").join(form.word());
        let mut migrations: Vec<_> = fs::read_dir(&tree)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .with_context(|| format!("reading {}", tree.display()))?;
        migrations.sort();
        for migration in migrations {
            hasher.write(migration.file_name().unwrap_or_default().as_encoded_bytes());
            hasher.write(&fs::read(migration.join("up.sql"))?);
        }
    }
    Ok(hasher.finish())
}

async fn seed(place: &Place, form: Form, users: usize, path: &Path) -> Result<()> {
    let begin = Instant::now();
    let server_dir = path.join("server");
    let postgres = match form {
        Form::Sqlite => None,
        Form::Postgres => Some(PostgresServer::start_with(&path.join("postgres"), SEEDED)?),
    };
    // One process on PostgreSQL too: the rows are the same, and the hops are saved.
    let deployment = match &postgres {
        None => Deployment::all_in_one(&place.program, &server_dir, &[])?,
        Some(server) => {
            execute(server, "postgres", &["CREATE DATABASE identity", "CREATE DATABASE token"])?;
            let (identity, token) = (server.url("identity"), server.url("token"));
            let databases = ["--identity-database-url", &identity, "--token-database-url", &token];
            Deployment::all_in_one(&place.program, &server_dir, &databases)?
        }
    };
    let (organization, token) = organization(&deployment)?;
    let target = Target::new(&format!("{}/scim/v2", deployment.http()), Some(&token))?;
    let ids = seed_users(&target, users).await?;
    let seconds = begin.elapsed().as_secs_f64();
    say(&format!("  {users} users in {seconds:.1} s, {:.0} a second", users as f64 / seconds));
    if let Some(server) = &postgres {
        // As autovacuum does within a minute.
        execute(server, "identity", &["ANALYZE"])?;
    }
    let groups = seed_groups(&target, &ids).await?;
    settle(&watched(&deployment, postgres.as_ref())?, Clock::read()?).await?;
    deployment.stop()?;
    if let Some(server) = &postgres {
        execute(server, "identity", &["VACUUM (ANALYZE)", "CHECKPOINT"])?;
    }
    drop(postgres);
    say(&format!("  with {} groups, at rest after {:.1} s", groups.len(), begin.elapsed().as_secs_f64()));
    Directory { users: ids, facts: Facts { organization, token, groups } }.write(path)
}

/// As an administrator makes one: enterprise plan, SCIM on, no request limit. Gives the id and a token.
fn organization(deployment: &Deployment) -> Result<(String, String)> {
    let created = deployment.cli_json(&["org", "create", "bench", "--name", "Bench", "--plan", "enterprise"])?;
    deployment.cli_json(&["org", "limit", "bench", "--requests-per-second", "0"])?;
    deployment.cli_json(&["scim", "enable", "bench"])?;
    let token = deployment.cli_json(&["token", "create", "bench", "--description", "bench"])?;
    let text = |document: &Value, name: &str| -> Result<String> {
        Ok(document[name].as_str().with_context(|| format!("no {name} in the answer"))?.to_owned())
    };
    Ok((text(&created, "id")?, text(&token, "token")?))
}

async fn seed_users(target: &Target, users: usize) -> Result<Vec<Uuid>> {
    let size = (users / SEED_CONNECTIONS).clamp(1, BULK);
    let calls = (0..users).step_by(size).map(move |first| {
        let operations: Vec<Value> = (first..users.min(first + size))
            .map(|n| {
                let data = directory::user(&directory::user_name(n), &directory::external_id(n), n);
                json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(), "data": data})
            })
            .collect();
        let expect = Expect::status(&[200]).counting("\"status\":\"201\"", operations.len());
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations});
        Call::new(Method::POST, "/Bulk", body.to_string(), expect)
    });
    Ok(load::all(target, SEED_CONNECTIONS, calls, created_in_bulk).await?.into_iter().flatten().collect())
}

fn created_in_bulk(reply: &Reply) -> Result<Vec<Uuid>> {
    let answer: Value = serde_json::from_slice(&reply.body)?;
    let operations = answer["Operations"].as_array().context("a bulk answer without Operations")?;
    operations
        .iter()
        .map(|operation| {
            let location = operation["location"].as_str().context("an operation without location")?;
            Ok(location.rsplit('/').next().unwrap_or_default().parse()?)
        })
        .collect()
}

async fn seed_groups(target: &Target, ids: &[Uuid]) -> Result<Vec<directory::Group>> {
    let mut groups = directory::groups(ids.len());
    let parts = |group: &directory::Group| -> Vec<String> {
        let members = ids.get(group.first..group.first + group.size).unwrap_or_default();
        members.chunks(MEMBERS).map(directory::members).collect()
    };
    let mut connection = target.connect().await?;
    for group in &mut groups {
        let mut parts = parts(group).into_iter();
        let first = parts.next().unwrap_or_else(|| "[]".to_owned());
        let body = directory::group_body(&group.name, &first);
        let expect = Expect::status(&[201]);
        let create = Call::new(Method::POST, "/Groups?excludedAttributes=members", body, expect);
        group.id = id_of(&connection.call(&create).await?)?;
        for more in parts {
            let body = format!(
                "{{\"schemas\":[\"{}\"],\"Operations\":[{{\"op\":\"add\",\"path\":\"members\",\"value\":{more}}}]}}",
                okta::PATCH_OP
            );
            let path = format!("/Groups/{}", group.id);
            connection.call(&Call::new(Method::PATCH, path, body, Expect::status(&[204]))).await?;
        }
    }
    Ok(groups)
}

/// `id` of the resource in an answer.
pub(crate) fn id_of(reply: &Reply) -> Result<Uuid> {
    let resource: Value = serde_json::from_slice(&reply.body)?;
    Ok(resource["id"].as_str().context("a resource without id")?.parse()?)
}

/// Runs statements, one by one.
pub(crate) fn execute(server: &PostgresServer, database: &str, statements: &[&str]) -> Result<()> {
    let mut connection = PgConnection::establish(&server.url(database))?;
    for statement in statements {
        connection.batch_execute(statement).with_context(|| (*statement).to_owned())?;
    }
    Ok(())
}

/// What runs that were broken off left: gigabytes.
fn remove_left_over(directory: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let alive = |id: &str| Path::new("/proc").join(id).exists();
        if name.strip_prefix(prefix).is_some_and(|id| !alive(id)) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

/// With owners and modes: PostgreSQL's files may belong to another account.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).status().context("running cp")?;
    ensure!(status.success(), "copying {} failed: {status}", from.display());
    // What is still to be written would be written while the first workload is measured.
    let status = Command::new("sync").status().context("running sync")?;
    ensure!(status.success(), "sync failed: {status}");
    Ok(())
}
