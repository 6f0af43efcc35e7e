//! Runs a list of cases, one after the other, in one lab; speaks the test harness's language.

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc};

use anyhow::{Result, ensure};
use lab::{CloudRuntime, Entry, enter};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::World;
use crate::bills::billed_twice;

/// A case: gets the world, fails with words.
pub type Case = fn(Arc<World>) -> Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Makes a list of [`Case`]s with their names out of paths of async functions.
#[macro_export]
macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |world| Box::pin($module::$name(world)))),*]
    };
}

/// Enters the lab called `name`, starts burst over a cloud with `runtime`, and runs the cases that the command line asks for.
/// When they are through, the bills of all clouds are read: a pod that was paid for twice at once fails the run.
pub fn main(name: &str, runtime: CloudRuntime, cases: &[(&str, Case)]) -> ExitCode {
    let tokio = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(tokio) => tokio,
        Err(error) => return fail(&error.into()),
    };
    match tokio.block_on(enter(&[])) {
        Ok(Entry::Done(code)) => code,
        Ok(Entry::Inside(_)) => run(&tokio, name, runtime, cases).unwrap_or_else(|error| fail(&error)),
        Err(error) => fail(&error),
    }
}

fn run(
    tokio: &tokio::runtime::Runtime,
    name: &str,
    runtime: CloudRuntime,
    cases: &[(&str, Case)],
) -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    // One lab, one count of instances for all: the cases take turns.
    arguments.test_threads = Some(1);
    let wanted =
        cases.iter().any(|(name, _)| arguments.filter.as_ref().is_none_or(|filter| name.contains(filter)));
    let world =
        if arguments.list || !wanted { None } else { Some(tokio.block_on(World::start(name, runtime))?) };
    let trials = cases
        .iter()
        .map(|&(name, case)| {
            let (world, handle) = (world.clone(), tokio.handle().clone());
            Trial::test(name, move || {
                let world = world.ok_or("no lab was started for this case")?;
                handle.block_on(alone(world, case)).map_err(|error| Failed::from(format!("{error:#}")))
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.has_failed()
        && let Some(world) = &world
    {
        say(&format!("logs of every process: {}", world.lab.logs().display()));
    }
    // Whatever the cases looked at.
    if let Some(world) = &world {
        let twice = billed_twice(world.lab.logs())?;
        ensure!(twice.is_empty(), "pods were billed twice at once:\n{}", twice.join("\n"));
    }
    Ok(conclusion.exit_code())
}

/// Runs a case; what a failed one leaves behind is taken away, so that the next ones fail only for reasons of their own.
async fn alone(world: Arc<World>, case: Case) -> Result<()> {
    let before = world.left_by_cases().await?;
    let result = case(world.clone()).await;
    if result.is_err() {
        for left in world.left_by_cases().await?.difference(&before) {
            if let Err(error) = world.remove(left).await {
                say(&format!("{left} of the failed case stays: {error:#}"));
            }
        }
    }
    result
}

fn fail(error: &anyhow::Error) -> ExitCode {
    say(&format!("e2e: {error:#}"));
    ExitCode::FAILURE
}

#[expect(clippy::print_stderr, reason = "a failing run must say why")]
fn say(text: &str) {
    eprintln!("{text}");
}
