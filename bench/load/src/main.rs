//! `make bench`: burst against yardsticks, in one run on one machine, interleaved, so that ratios mean something.
//!
//! `load` runs everything; `load` with names of parts only these. Results go to the terminal and to
//! `target/bench/report.json`: one flat object of metric name to number, with the bars, each met or not, and a description
//! of the machine beside it. It fails when something could not be measured, never because a number is small.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod bars;
mod body;
mod calls;
mod churn;
mod client;
mod decision;
mod extender;
mod large;
mod memory;
mod process;
mod report;
mod scheduling;
mod seen;
mod served;
mod simulate;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use lab::{Entry, enter};

use crate::{memory::Cluster, report::Report, scheduling::Size};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The comparison benchmarks
#[derive(Debug, Parser)]
struct Args {
    /// Parts to run; all of them if none is named
    parts: Vec<Part>,
    /// Nodes, pods and rounds of the parts memory and scheduling, for calls the steady pods, those of the life and the
    /// seconds of the window; a run of another size is not written to the report
    #[arg(long, value_names = ["NODES", "PODS", "ROUNDS"], num_args = 3)]
    small: Option<Vec<usize>>,
    /// Part scheduling: only variants whose name contains this, and those they are compared with; part calls: only
    /// providers so
    #[arg(long)]
    only: Option<String>,
}

/// In the order of a full run: what is quick and quiet comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Decision,
    Memory,
    Simulate,
    Extender,
    Churn,
    Calls,
    Scheduling,
}

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
    let args = Args::parse();
    let mut report = Report::default();
    let size = match args.small.as_deref() {
        Some([nodes, pods, rounds]) => Size { nodes: *nodes, pods: *pods, rounds: *rounds },
        _ => Size::default(),
    };
    let cluster = match args.small.as_deref() {
        Some([nodes, pods, _]) => Cluster { nodes: *nodes, pods: *pods },
        _ => Cluster::default(),
    };
    let calls = match args.small.as_deref() {
        Some([steady, life, seconds]) => {
            calls::Size { life: *life, steady: *steady, window: Duration::from_secs(*seconds as u64) }
        }
        _ => calls::Size::default(),
    };
    for part in Part::value_variants() {
        if !args.parts.is_empty() && !args.parts.contains(part) {
            continue;
        }
        match part {
            Part::Decision => decision::run(&mut report).await?,
            Part::Memory => memory::run(&mut report, cluster).await?,
            Part::Simulate => simulate::run(&mut report).await?,
            Part::Extender => extender::run(&mut report).await?,
            Part::Churn => churn::run(&mut report).await?,
            Part::Calls => calls::run(&mut report, calls, args.only.as_deref()).await?,
            Part::Scheduling => scheduling::run(&mut report, size, args.only.as_deref()).await?,
        }
    }
    bars::judge(&mut report);
    if args.small.is_none() {
        println!("\n{}", report.write()?.display());
    }
    Ok(())
}
