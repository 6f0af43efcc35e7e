//! `kubectl burst`: the questions that a person or a pipeline asks about burst from outside.
//!
//! Exit codes: 0 the answer is yes, 1 the answer is no, 2 the question could not be answered.

mod api;
mod args;
mod explain;
mod import;
mod live;
mod paper;
mod reading;
mod report;
mod simulate;
mod status;
#[cfg(test)]
mod testing;
mod verify;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Args, Command};

/// The question could not be answered.
const UNANSWERED: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match answer(Args::parse().command).await {
        Ok((text, yes)) => {
            // A closed pipe (`| head`) is no reason for another exit code.
            let _ = write!(std::io::stdout().lock(), "{text}");
            if yes { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {error:#}");
            ExitCode::from(UNANSWERED)
        }
    }
}

async fn answer(command: Command) -> Result<(String, bool)> {
    match command {
        Command::Import(args) => import::run(&args),
        Command::Verify(args) => verify::run(&args).await,
        Command::Explain(args) => explain::run(&args).await,
        Command::Status(args) => status::run(&args).await,
        Command::Simulate(args) => simulate::run(&args),
        Command::Version => Ok((format!("kubectl-burst {}\n", env!("CARGO_PKG_VERSION")), true)),
    }
}
