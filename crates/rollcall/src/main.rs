//! The `rollcall` binary: the server, and the command line that administers it.
//!
//! Not here: what the server does. Each part is a crate that exports a constructor; this one composes them.

mod callers;
mod cli;
mod commands;
mod compose;
mod connect;
mod connections;
mod credential;
mod grpc;
mod key_file;
mod mail;
mod opaque;
mod output;
mod runtime;
mod sealing;
mod serve;
mod settings;
mod tls;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use crate::{
    cli::{Cli, Command, Globals, LogFormat, Role},
    settings::Settings,
};

/// A request makes some hundred allocations, and glibc's took a fifth of its instructions.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let (cli, place) = Cli::read();
    match run(cli, place).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever the causes contain.
            let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(io::stderr(), "rollcall: {line}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli, place: String) -> anyhow::Result<()> {
    let settings = Settings::new(&cli.globals, place)?;
    let telemetry = telemetry::init(&telemetry_config(&cli.globals, &cli.command))?;
    std::panic::set_hook(Box::new(log_panic));
    let result = match cli.command {
        Command::Serve { role } => serve::run(&settings, role).await,
        Command::Account(command) => commands::account(&settings, command).await,
        Command::ConfirmAgent(command) => commands::confirm_agent(&settings, command).await,
        Command::Admin(command) => commands::admin(&settings, command).await,
        Command::SignIn(command) => commands::sign_in(&settings, command).await,
        Command::Org(command) => commands::org(&settings, command).await,
        Command::Schema(command) => commands::schema(&settings, command).await,
        Command::Scim(command) => commands::scim(&settings, command).await,
        Command::Hold(command) => commands::hold(&settings, command).await,
        Command::Log(command) => commands::log(&settings, command).await,
        Command::User(command) => commands::user(&settings, command).await,
        Command::Mail(command) => commands::mail(&settings, command).await,
        Command::Service(command) => commands::service(&settings, command).await,
        Command::Token(command) => commands::token(&settings, command).await,
        Command::OAuth(command) => commands::oauth(&settings, command).await,
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
        Command::Account(_)
        | Command::ConfirmAgent(_)
        | Command::Admin(_)
        | Command::SignIn(_)
        | Command::Org(_)
        | Command::Schema(_)
        | Command::Scim(_)
        | Command::User(_)
        | Command::Hold(_)
        | Command::Log(_)
        | Command::Mail(_)
        | Command::Service(_)
        | Command::Token(_)
        | Command::OAuth(_) => ("rollcall-cli", "warn"),
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

#[cfg(test)]
mod tests {
    use std::{
        panic::{catch_unwind, set_hook, take_hook},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn of_a_panic_the_place_is_logged_and_only_a_literal_message() {
        let lines = Lines::default();
        let writer = {
            let lines = lines.clone();
            move || lines.clone()
        };
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
        let sent = "rc_scim_what-a-client-sent".to_owned();
        // The message and, of these two, the payload are made of values.
        let panics: [fn(&str); 3] =
            [|sent| panic!("of {sent}"), |sent| std::panic::panic_any(sent.to_owned()), |_| panic!("a literal")];
        let before = take_hook();
        set_hook(Box::new(log_panic));
        tracing::subscriber::with_default(subscriber, || {
            for panics in panics {
                assert!(catch_unwind(|| panics(&sent)).is_err());
            }
        });
        set_hook(before);
        let log = String::from_utf8(lines.0.lock().expect("whole").clone()).expect("text");
        assert!(!log.contains(&sent), "{log}");
        assert_eq!(log.matches("main.rs:").count(), 3, "{log}");
        assert_eq!(log.matches("(withheld)").count(), 2, "{log}");
        assert!(log.contains("a literal"), "{log}");
    }
}
