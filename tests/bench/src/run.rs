//! The run: each form, each size, each workload, and the yardsticks.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use testkit::process::Program;

use crate::{
    measure, noise,
    options::Options,
    process::Clock,
    profile,
    report::{Machine, Report, Row, align, draw, load, page, table},
    say,
    stand::{self, Form, MEASURED, Place, Stand},
    workload::Workload,
    yardstick::{self, Yardstick},
};

/// Look-ups on PostgreSQL are measured at so many connections, too.
const MANY_CONNECTIONS: usize = 64;
/// The directory that the databases' yardsticks are measured with, where the run has it.
const YARDSTICK_USERS: usize = 100_000;

pub(crate) async fn run(options: Options) -> Result<()> {
    let output = options.target.join("bench");
    let place = Place {
        program: Program::at(&options.rollcall)?,
        root: options.root.clone(),
        templates: options.templates.clone().unwrap_or_else(|| output.join("templates")),
        output,
    };
    fs::create_dir_all(&place.output)?;
    if let Some(name) = &options.profile {
        return profile::run(&options, &place, name).await;
    }
    let mut report = Report {
        machine: Machine::read(),
        built: options.built.clone(),
        seconds: options.seconds,
        rounds: options.pace().rounds,
        postgres: MEASURED.iter().map(|&setting| setting.to_owned()).collect(),
        ..Report::default()
    };
    let file = place.output.join("RESULT.json");
    if options.add {
        add(&mut report, &file)?;
    }
    let sizes = options.sizes();
    let with_yardsticks = sizes.iter().copied().find(|users| *users == YARDSTICK_USERS).or(sizes.last().copied());
    if !options.no_yardsticks {
        let found = yardstick::empty_servers(options.connections, Clock::read()?, options.pace()).await?;
        replace_yardsticks(&mut report, found);
    }
    for form in options.forms() {
        for users in sizes.iter().copied() {
            ensure!(users >= 1000, "--users {users}: at least 1000, so that there are pages and groups");
            let yardsticks = !options.no_yardsticks && with_yardsticks == Some(users);
            let (rows, found) = one(&options, &place, form, users, yardsticks).await.with_context(|| form.title())?;
            replace_rows(&mut report, rows);
            replace_yardsticks(&mut report, found);
            report.machine.load_after = load();
            // After each part: a run that is broken off leaves what it has.
            fs::write(&file, serde_json::to_vec_pretty(&report)?)?;
        }
    }
    let drawing = draw(&report);
    if let Some(drawing) = &drawing {
        fs::write(place.output.join("cost.svg"), drawing)?;
    }
    say(&report.text());
    say(&format!("{}", file.display()));
    if options.write {
        let docs = options.root.join("docs");
        fs::write(docs.join("performance.md"), page(&report, drawing.is_some()))?;
        if let Some(drawing) = &drawing {
            fs::write(docs.join("performance.svg"), drawing)?;
        }
        say("docs/performance.md");
    }
    Ok(())
}

/// Takes over the last run's results, if they are of the same product.
fn add(report: &mut Report, file: &Path) -> Result<()> {
    let text = fs::read(file).with_context(|| format!("reading {}, which --add adds to", file.display()))?;
    let last: Report = serde_json::from_slice(&text)?;
    let of = |report: &Report| (report.machine.commit.clone(), report.built.clone());
    ensure!(of(&last) == of(report), "the last results are of {:?}, these would be of {:?}", of(&last), of(report));
    report.machine.load_before = last.machine.load_before;
    report.rows = last.rows;
    report.yardsticks = last.yardsticks;
    Ok(())
}

fn replace_rows(report: &mut Report, rows: Vec<Row>) {
    for row in rows {
        let same = |other: &Row| {
            (other.form, other.users, &other.workload, other.connections)
                == (row.form, row.users, &row.workload, row.connections)
        };
        report.rows.retain(|other| !same(other));
        report.rows.push(row);
    }
}

fn replace_yardsticks(report: &mut Report, found: Vec<Yardstick>) {
    for yardstick in found {
        let same = |other: &Yardstick| {
            (other.form, other.users, &other.name, other.connections)
                == (yardstick.form, yardstick.users, &yardstick.name, yardstick.connections)
        };
        report.yardsticks.retain(|other| !same(other));
        report.yardsticks.push(yardstick);
    }
}

async fn one(
    options: &Options,
    place: &Place,
    form: Form,
    users: usize,
    yardsticks: bool,
) -> Result<(Vec<Row>, Vec<Yardstick>)> {
    let stand = Stand::start(place, form, users, &place.program).await?;
    let (clock, directory) = (Clock::read()?, Arc::new(stand.directory.clone()));
    stand::settle(&stand.watched()?, clock).await?;
    say(&format!("\n{}, {users} users", form.title()));
    let mut rows: Vec<Row> = Vec::new();
    for workload in Workload::all(&directory).into_iter().filter(|workload| workload.is_wanted(&options.only)) {
        let mut connections = vec![options.connections];
        if form == Form::Postgres && workload.at_many_connections() && options.connections < MANY_CONNECTIONS {
            connections.push(MANY_CONNECTIONS);
        }
        for wanted in connections {
            let figures = measure::workload(&stand, &directory, workload, wanted, clock, options.pace()).await?;
            let connections = workload.connections(&directory, wanted);
            let row = Row { form, users, workload: workload.to_string(), connections, figures };
            say(align(&table(std::iter::once(&row))[1..]).trim_end());
            rows.push(row);
        }
    }
    if options.wants_noise(users) {
        let (connections, slice) = (options.connections, options.slice());
        let found = noise::measure(&stand, &directory, connections, slice, options.pace()).await.context("noise")?;
        say(&noise::verdict(&found));
        for (name, figures) in noise::NAMES.into_iter().zip(found) {
            let row = Row { form, users, workload: name.to_owned(), connections, figures };
            say(align(&table(std::iter::once(&row))[1..]).trim_end());
            rows.push(row);
        }
    }
    let mut found = Vec::new();
    if yardsticks {
        say("yardsticks");
        let taken = yardstick::take(&stand, &directory, clock).await?;
        let rest = stand.stop()?;
        let time = if options.quick { Duration::from_secs(1) } else { Duration::from_secs_f64(options.seconds) };
        let output = place.output.join("yardsticks");
        found = yardstick::of_the_database(&taken, &rest, &output, &directory, options.connections, clock, time)?;
        rest.remove()?;
    } else {
        stand.stop()?.remove()?;
    }
    Ok((rows, found))
}
