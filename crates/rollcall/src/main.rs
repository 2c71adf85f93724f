//! The `rollcall` binary: the server, and the command line that administers it.
//!
//! Not here: what the server does. Each part is a crate that exports a constructor; this one composes them.

mod cli;
mod commands;
mod compose;
mod connect;
mod credential;
mod grpc;
mod output;
mod runtime;
mod serve;
mod settings;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use crate::{
    cli::{Cli, Command, Globals, LogFormat, Role},
    settings::Settings,
};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever the causes contain.
            let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(io::stderr(), "rollcall: {line}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let settings = Settings::new(&cli.globals)?;
    let telemetry = telemetry::init(&telemetry_config(&cli.globals, &cli.command))?;
    std::panic::set_hook(Box::new(log_panic));
    let result = match cli.command {
        Command::Serve { role } => serve::run(&settings, role).await,
        Command::Org(command) => commands::org(&settings, command).await,
        Command::Schema(command) => commands::schema(&settings, command).await,
        Command::Scim(command) => commands::scim(&settings, command).await,
        Command::Token(command) => commands::token(&settings, command).await,
    };
    let _ = tokio::task::spawn_blocking(|| telemetry.shutdown()).await;
    result
}

/// A message that was put together at run time may hold what a client sent: only literals are logged.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(withheld)");
    let location = panic.location().map(ToString::to_string);
    tracing::error!(message, location, "panicked");
}

fn telemetry_config(globals: &Globals, command: &Command) -> telemetry::Config {
    let (name, filter) = match command {
        Command::Serve { role: None } => ("rollcall", "info"),
        Command::Serve { role: Some(Role::Gateway) } => ("rollcall-gateway", "info"),
        Command::Serve { role: Some(Role::Identity) } => ("rollcall-identity", "info"),
        Command::Serve { role: Some(Role::Token) } => ("rollcall-token", "info"),
        Command::Org(_) | Command::Schema(_) | Command::Scim(_) | Command::Token(_) => ("rollcall-cli", "warn"),
    };
    let serving = matches!(command, Command::Serve { .. });
    telemetry::Config {
        service_name: name.to_owned(),
        // A short command does not wait for a collector; what it asks for is traced where it is done.
        otlp_endpoint: if serving { globals.otlp_endpoint.clone() } else { Some(String::new()) },
        log_filter: globals.log_filter.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| filter.to_owned()),
        json_logs: globals.log_format == LogFormat::Json,
    }
}
