//! End to end on the real control plane, with unmodified kubectl: every case is one behaviour that users rely on.
//!
//! `cargo test --workspace --test e2e -- NAME` runs the cases whose names contain NAME.
#![expect(clippy::print_stderr, reason = "a failing run must say where its logs are")]

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc};

use anyhow::Result;
use e2e::World;
use lab::{CloudRuntime, Entry, enter};
use libtest_mimic::{Arguments, Failed, Trial};

mod deletion;
mod outage;
mod placement;
mod refusal;

/// A case: what it needs, and a future that fails with words.
type Case = fn(Arc<World>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Makes `(name, boxed function)` of async functions.
macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |w| Box::pin($module::$name(w)))),*]
    };
}

const CASES: &[(&str, Case)] = cases![
    placement::label_on_the_deployment_only,
    placement::enforce_goes_to_the_cloud,
    placement::off_and_unlabelled_stay_local,
    placement::local_prefer_fills_real_nodes_first,
    placement::auto_bursts_when_local_is_full,
    placement::selector_and_toleration_without_label,
    placement::node_name_without_label,
    placement::tolerating_daemon_set_is_kept_away,
    placement::hard_spread_is_as_without_burst,
    refusal::unknown_value,
    refusal::contradicting_keys,
    refusal::host_path_with_enforce,
    deletion::pod,
    deletion::force_deleted_pod,
    deletion::node_comes_back_with_its_pods,
    outage::bridge_killed_in_the_middle_of_creates,
    outage::scheduler_down_promises_hold,
    outage::wrong_signature_is_refused,
];

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(enter(&[])) {
        Ok(Entry::Done(code)) => code,
        Ok(Entry::Inside(_)) => run(&runtime).unwrap_or_else(|error| fail(&error)),
        Err(error) => fail(&error),
    }
}

fn run(runtime: &tokio::runtime::Runtime) -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // One lab, one cluster-wide count of instances: the cases take turns.
    arguments.test_threads = Some(1);
    let world = if arguments.list {
        None
    } else {
        Some(runtime.block_on(World::start("e2e", CloudRuntime::Script))?)
    };
    let trials = CASES
        .iter()
        .map(|&(name, case)| {
            let (world, handle) = (world.clone(), runtime.handle().clone());
            Trial::test(name, move || {
                let Some(world) = world else { return Ok(()) };
                handle.block_on(case(world)).map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.has_failed()
        && let Some(world) = &world
    {
        eprintln!("logs of every process: {}", world.lab.logs().display());
    }
    Ok(conclusion.exit_code())
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("e2e: {error:#}");
    ExitCode::FAILURE
}
