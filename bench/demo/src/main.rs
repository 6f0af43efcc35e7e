//! The whole loop in one command, on a real control plane: a labelled Deployment fills the real nodes, bursts to a
//! (simulated) cloud that runs its pods as real processes, answers kubectl, and comes home; at the end the bill is closed.
//!
//! `PROVIDER` chooses the cloud, `KEEP=1` leaves everything running.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a demo prints")]

mod choice;
mod clouds;
mod screen;
mod story;

use std::process::ExitCode;

use anyhow::Result;
use lab::{Entry, HostPorts, Lab, LabOptions, SchedulerChoice, Stack, enter, shutdown_requested};

use crate::{choice::Choice, screen::Screen, story::Story};

/// Host sockets: the API server and the capacity page.
const HOST_PORTS: [u16; 2] = [0, 0];

#[tokio::main]
async fn main() -> ExitCode {
    let choice = match Choice::read(std::env::var("PROVIDER").ok().as_deref()) {
        Ok(choice) => choice,
        Err(error) => return failed(&error),
    };
    let outcome = match enter(&HOST_PORTS).await {
        Ok(Entry::Done(code)) => return code,
        Ok(Entry::Inside(ports)) => run(choice, ports).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("demo: {error:#}");
    ExitCode::FAILURE
}

async fn run(choice: Choice, mut ports: HostPorts) -> Result<()> {
    let screen = Screen::of_stdout();
    let keep = std::env::var("KEEP").is_ok_and(|value| !value.is_empty() && value != "0");
    screen.title("burst: one label decides, pod by pod, between your nodes and a cloud");
    screen.step("Start a real control plane with three real nodes of 4 cores (etcd, kube-apiserver, kube-scheduler with our configuration)");
    let config = lab::repository_root()?.join("deploy/scheduler/kube-scheduler-config.yaml");
    let lab = Lab::start(LabOptions {
        name: format!("demo-{}", choice.word()),
        scheduler: SchedulerChoice::Configured(config),
        ..LabOptions::default()
    })
    .await?;
    lab.add_real_nodes(3, "4", "16Gi", 110).await?;
    screen.step(&format!("Start {}, burst-scheduler and burst-bridge", choice.stage()));
    let other = if choice == Choice::Kubernetes { Some(clouds::other_cluster().await?) } else { None };
    let kubeconfig = match &other {
        Some(other) => Some(other.service_account_kubeconfig("burst-guests", "burst-bridge").await?),
        None => None,
    };
    let stack = Stack::start(&lab, choice.stack(kubeconfig)).await?;
    screen.output(&lab.kubectl(&["get", "nodes", "-L", "type"]).await?);
    let kubeconfig = lab.expose(&mut ports, 0)?;
    let page = ports.forward(1, Stack::page().parse()?)?;
    let story = Story { choice, lab: &lab, stack: &stack, other: other.as_ref(), screen: &screen };
    let told = tokio::select! {
        told = story.tell() => told,
        () = shutdown_requested() => anyhow::bail!("stopped; everything was ended"),
    };
    if let Err(error) = &told {
        eprintln!("logs of every process: {}", lab.logs().display());
        if !keep {
            return told;
        }
        eprintln!("demo: {error:#}");
    }
    if keep {
        screen.step("KEEP=1: everything stays up until Ctrl-C");
        screen.fact("shell", &format!("export KUBECONFIG={}", kubeconfig.display()));
        screen.fact("page", &format!("http://{page}/"));
        screen.fact("logs", &lab.logs().display().to_string());
        shutdown_requested().await;
    }
    told
}
