//! `make bench`: burst against yardsticks, in one run on one machine, interleaved, so that ratios mean something.
//!
//! `load` runs everything; `load` with `extender`, `churn`, `scheduling` or `simulate` one part. Results go to the terminal
//! and to `target/bench/report.json`, one flat object of metric name to number plus a description of the machine.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod body;
mod churn;
mod client;
mod extender;
mod large;
mod process;
mod report;
mod scheduling;
mod seen;
mod simulate;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lab::{Entry, enter};

use crate::report::Report;

#[tokio::main]
async fn main() -> ExitCode {
    match enter(&[]).await {
        Ok(Entry::Done(code)) => code,
        Ok(Entry::Inside(_)) => match run().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("bench: {error:#}");
    ExitCode::FAILURE
}

async fn run() -> Result<()> {
    let mut report = Report::default();
    match std::env::args().nth(1).as_deref() {
        None => {
            extender::run(&mut report).await?;
            churn::run(&mut report).await?;
            simulate::run(&mut report).await?;
            scheduling::run(&mut report).await?;
        }
        Some("extender") => extender::run(&mut report).await?,
        Some("churn") => churn::run(&mut report).await?,
        Some("scheduling") => scheduling::run(&mut report).await?,
        Some("simulate") => simulate::run(&mut report).await?,
        Some(other) => bail!("unknown part {other}; parts are: extender, churn, scheduling, simulate"),
    }
    println!("\n{}", report.write()?.display());
    Ok(())
}
