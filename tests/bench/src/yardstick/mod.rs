//! What the figures are held against: the same work without the product around it.

pub(crate) mod pgbench;
pub(crate) mod servers;
pub(crate) mod sqlite;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use http::Method;
use serde::{Deserialize, Serialize};
use testkit::okta;
use uuid::Uuid;

use crate::{
    directory::{self, Directory},
    load::{Call, Expect, Script},
    measure::{self, Figures, Pace},
    process::{Clock, Watched},
    stand::{self, Form, Rest, Stand},
};

/// Stands in all texts of the user whose rows or statements are taken over.
const MARKER: &str = "yardstick0mark";

/// One figure beside the product's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Yardstick {
    /// `None`: of no database.
    pub(crate) form: Option<Form>,
    pub(crate) name: String,
    /// The workload that it is held against.
    pub(crate) beside: String,
    pub(crate) users: usize,
    pub(crate) connections: usize,
    #[serde(flatten)]
    pub(crate) figures: Figures,
}

/// The empty route and the empty hop.
pub(crate) async fn empty_servers(connections: usize, clock: Clock, pace: Pace) -> Result<Vec<Yardstick>> {
    let (route, rpc) = (servers::Running::start(&["route"])?, servers::Running::start(&["rpc"])?);
    let hop = servers::Running::start(&["hop", &rpc.url])?;
    let watched = |name, server: &servers::Running| Watched { name, id: server.id(), tree: false };
    let mut found = Vec::new();
    for (name, url, processes) in [
        ("an empty axum route", &route.url, vec![watched("route", &route)]),
        ("an empty axum -> tonic hop", &hop.url, vec![watched("route", &hop), watched("rpc", &rpc)]),
    ] {
        let target = crate::load::Target::new(url, None)?;
        let scripts = (0..connections).map(|_| -> Box<dyn Script> {
            let call = Call::get(servers::PATH, Expect::status(&[200]).containing("\"userName\""));
            Box::new(move || call.clone())
        });
        let figures = measure::measure(&target, scripts.collect(), &processes, clock, pace).await.context(name)?;
        let beside = "get".to_owned();
        found.push(Yardstick { form: None, name: name.to_owned(), beside, users: 0, connections, figures });
    }
    Ok(found)
}

/// A user that the product made, whose texts all hold [`MARKER`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Created {
    pub(crate) organization: Uuid,
    pub(crate) id: Uuid,
}

impl Created {
    /// Whether an id was made by the same request: ids are of version 7 and begin with milliseconds.
    fn made_with(self, id: Uuid) -> bool {
        const MILLISECONDS: u128 = 5000;
        let time = |id: Uuid| id.as_u128() >> 80;
        id != self.organization && time(id).abs_diff(time(self.id)) < MILLISECONDS
    }
}

/// What was taken over from the product while it ran.
pub(crate) enum Taken {
    Sqlite { created: Created, database: PathBuf },
    Postgres { create: String, get: Vec<String>, filter: Vec<String> },
}

/// Has the product create and look up, and takes over what it wrote or asked with.
pub(crate) async fn take(stand: &Stand, directory: &Arc<Directory>, clock: Clock) -> Result<Taken> {
    let target = stand.target()?;
    let name = format!("{MARKER}@bench.example");
    let body = directory::user(&name, MARKER, 1).to_string();
    let create = Call::new(Method::POST, "/Users", body, Expect::status(&[201]));
    let organization = directory.facts.organization.parse().context("the organization's id")?;
    // What has not been written or prepared yet is not what is looked for.
    stand::settle(&stand.watched()?, clock).await?;
    let Some(server) = &stand.postgres else {
        let id = stand::id_of(&target.connect().await?.call(&create).await?)?;
        stand::settle(&stand.watched()?, clock).await?;
        return Ok(Taken::Sqlite {
            created: Created { organization, id },
            database: stand.deployment.data_dir().join("identity.db"),
        });
    };
    let asked = directory.asked_for();
    let sample: Vec<usize> =
        asked.clone().step_by((asked.len() / pgbench::SCRIPTS).max(1)).take(pgbench::SCRIPTS).collect();
    let calls = |call: &dyn Fn(usize) -> Call| sample.iter().map(|n| call(*n)).collect::<Vec<_>>();
    let ids: Vec<String> = sample.iter().map(|n| directory.users[*n].to_string()).collect();
    let names: Vec<String> = sample.iter().map(|n| directory::user_name(*n)).collect();
    let get = calls(&|n| Call::get(format!("/Users/{}", directory.users[n]), Expect::status(&[200])));
    let filter = calls(&|n| Call::get(okta::find_user(&directory::user_name(n)), Expect::status(&[200])));
    Ok(Taken::Postgres {
        create: pgbench::create_script(server, &target, &create, organization).await.context("POST in the log")?,
        get: pgbench::read_scripts(server, &target, &get, &ids).await.context("GET in the log")?,
        filter: pgbench::read_scripts(server, &target, &filter, &names).await.context("the filter in the log")?,
    })
}

/// Works with it, now that the product has ended. What is run is left in `output`.
pub(crate) fn of_the_database(
    taken: &Taken,
    rest: &Rest,
    output: &Path,
    directory: &Directory,
    connections: usize,
    clock: Clock,
    time: Duration,
) -> Result<Vec<Yardstick>> {
    fs::create_dir_all(output)?;
    let users = directory.users.len();
    let yardstick = |form, name: String, beside: &str, connections, figures| Yardstick {
        form: Some(form),
        name,
        beside: beside.to_owned(),
        users,
        connections,
        figures,
    };
    match taken {
        Taken::Sqlite { created, database } => {
            let asked = &directory.users[directory.asked_for()];
            let (together, seconds) = (connections as u64, time.as_secs_f64());
            let found = sqlite::measure(database, output, *created, asked, together, seconds)?;
            let beside = ["get", "create", "create"];
            let of = beside.iter().zip(found);
            Ok(of.map(|(beside, (name, figures))| yardstick(Form::Sqlite, name, beside, 1, figures)).collect())
        }
        Taken::Postgres { create, get, filter } => {
            let server = rest.postgres().context("no PostgreSQL to measure")?;
            let seconds = time.as_secs().max(1);
            let run = |beside: &str, scripts: &[String]| {
                pgbench::run(server, output, beside, scripts, connections, seconds, clock)
            };
            let mut found = Vec::new();
            for (name, beside, scripts) in [
                ("pgbench -M prepared: GET's statements", "get", get.as_slice()),
                ("pgbench -M prepared: the filter's statements", "filter-username", filter.as_slice()),
                ("pgbench -M prepared: BEGIN, POST's writes, COMMIT", "create", std::slice::from_ref(create)),
            ] {
                let figures = run(beside, scripts).context(name)?;
                found.push(yardstick(Form::Postgres, name.to_owned(), beside, connections, figures));
            }
            Ok(found)
        }
    }
}

/// Started by the run itself, as a process of its own whose cost can be told from the client's.
#[derive(Parser)]
pub(crate) struct Cli {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// An axum route that answers a constant
    Route,
    /// A tonic service whose rpc answers a constant
    Rpc,
    /// An axum route that calls that rpc
    Hop { url: String },
    /// Statements from a file, again and again, over plain Diesel
    Sqlite(sqlite::Loop),
}

pub(crate) async fn run(cli: Cli) -> Result<()> {
    match cli.part {
        Part::Route => servers::route().await,
        Part::Rpc => servers::rpc().await,
        Part::Hop { url } => servers::hop(&url).await,
        Part::Sqlite(options) => tokio::task::spawn_blocking(move || sqlite::run(&options)).await?,
    }
}
