//! `lab build` makes the tools; `lab run [NAME]` starts a bare control plane with three real nodes until Ctrl-C.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

use std::process::ExitCode;

use anyhow::{Result, bail};
use lab::{
    Entry, Lab, LabOptions, SchedulerChoice, ensure_chromium, ensure_tools, enter, shutdown_requested,
};

#[tokio::main]
async fn main() -> ExitCode {
    command().await.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::FAILURE
    })
}

async fn command() -> Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("build") => {
            let tools = ensure_tools().await?;
            println!("control plane: {}", tools.kube_apiserver().display());
            // Only one test needs it, and says so: the demo must build without.
            match ensure_chromium().await {
                Ok(chromium) => println!("browser: {}", chromium.display()),
                Err(error) => eprintln!("lab: {error:#}"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Some("run") => run().await,
        _ => bail!("usage: lab build | lab run [NAME]"),
    }
}

async fn run() -> Result<ExitCode> {
    let mut ports = match enter(&[0]).await? {
        Entry::Done(code) => return Ok(code),
        Entry::Inside(ports) => ports,
    };
    let lab = Lab::start(LabOptions {
        name: std::env::args().nth(2).unwrap_or_else(|| "run".to_owned()),
        scheduler: SchedulerChoice::Stock,
        ..LabOptions::default()
    })
    .await?;
    lab.add_real_nodes(3, "4", "8Gi", 110).await?;
    println!("export KUBECONFIG={}", lab.expose(&mut ports, 0)?.display());
    println!("logs: {}", lab.logs().display());
    println!("Ctrl-C ends it.");
    shutdown_requested().await;
    Ok(ExitCode::SUCCESS)
}
