//! `cargo xtask bench` starts this: what a request costs, measured from outside.
//!
//! Not here: any crate of the product. It is spoken to through its command line and over HTTP.

mod directory;
mod load;
mod measure;
mod noise;
mod options;
mod process;
mod profile;
mod report;
mod run;
mod stand;
mod workload;
mod yardstick;

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let result = if words.nth(1).is_some_and(|word| word == "yardstick") {
        yardstick::run(yardstick::Cli::parse_from(std::env::args_os().skip(1))).await
    } else {
        run::run(options::Options::parse()).await
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A line on standard output.
fn say(line: &str) {
    // A closed pipe is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{line}");
}
