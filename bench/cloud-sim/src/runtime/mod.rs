//! What an instance is made of. Two runtimes with one shape: `script` (nothing runs, states change on the clock) and
//! `process` (a real process tree). A runtime reports; it never touches objects or the meter.

use std::fs::File;
use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::core::instances::Cloud;
use crate::core::life::Exit;
use crate::core::logs::Log;
use crate::core::plan::{Container, Hook, PodPlan};
use crate::core::resolve::{Program, VolumeContent};

pub(crate) mod addresses;
pub(crate) mod probes;
pub(crate) mod process;
pub(crate) mod script;

/// Why a sandbox or container cannot start: the waiting reason and its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StartError {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// A container to start.
pub(crate) struct Launch<'a> {
    pub(crate) container: &'a Container,
    pub(crate) program: Program,
    /// How often it was started before.
    pub(crate) restart: u32,
    pub(crate) log: Arc<Log>,
}

/// The runtime of this simulator.
pub(crate) enum Runtime {
    Script(script::Script),
    Process(process::Process),
}

/// The place of one pod.
pub(crate) enum Sandbox {
    Script(script::ScriptSandbox),
    Process(Box<process::ProcessSandbox>),
}

/// A running container.
pub(crate) enum Task {
    Script(script::ScriptTask),
    Process(process::ProcessTask),
}

/// A command to run inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExecSpec {
    pub(crate) command: Vec<String>,
    pub(crate) stdin: bool,
    pub(crate) tty: bool,
}

/// A size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TerminalSize {
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// Input of a running command.
pub(crate) type Input = Box<dyn AsyncWrite + Send + Unpin>;
/// Output of a running command.
pub(crate) type Output = Box<dyn AsyncRead + Send + Unpin>;

/// A running command. Dropping it kills the command.
pub(crate) struct ExecSession {
    pub(crate) stdin: Option<Input>,
    pub(crate) stdout: Option<Output>,
    pub(crate) stderr: Option<Output>,
    pub(crate) resize: Option<Box<dyn Fn(TerminalSize) + Send + Sync>>,
    /// Exit code, or why there is none.
    pub(crate) outcome: BoxFuture<'static, Result<i32, String>>,
}

impl Runtime {
    /// Makes the place of a pod.
    pub(crate) async fn sandbox(
        &self,
        plan: &Arc<PodPlan>,
        volumes: Vec<(String, VolumeContent)>,
    ) -> Result<Sandbox, StartError> {
        match self {
            Self::Script(runtime) => runtime.sandbox(plan).map(Sandbox::Script),
            Self::Process(runtime) => {
                runtime.sandbox(plan, &volumes).await.map(|s| Sandbox::Process(Box::new(s)))
            }
        }
    }

    /// Where the log of an incarnation is also written.
    pub(crate) fn log_file(&self, plan: &PodPlan, container: &str, restart: u32) -> Option<File> {
        match self {
            Self::Script(_) => None,
            Self::Process(runtime) => runtime.log_file(plan, container, restart),
        }
    }

    /// `script` or `process`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Script(_) => "script",
            Self::Process(_) => "process",
        }
    }
}

impl Sandbox {
    /// The pod's address.
    pub(crate) fn ip(&self) -> IpAddr {
        match self {
            Self::Script(sandbox) => sandbox.ip(),
            Self::Process(sandbox) => sandbox.ip(),
        }
    }

    /// Whether probes can be made; otherwise a running container is ready.
    pub(crate) fn probes(&self) -> bool {
        matches!(self, Self::Process(_))
    }

    /// Starts a container.
    pub(crate) async fn start(&self, cloud: &Arc<Cloud>, launch: Launch<'_>) -> Result<Task, StartError> {
        match self {
            Self::Script(sandbox) => sandbox.start(cloud, &launch).await.map(Task::Script),
            Self::Process(sandbox) => sandbox.start(cloud, launch).await.map(Task::Process),
        }
    }

    /// Runs a command in a running container.
    pub(crate) async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecSession, String> {
        match self {
            Self::Script(_) => Ok(script::exec(spec)),
            Self::Process(sandbox) => sandbox.exec(container, spec).await,
        }
    }

    /// Runs a life-cycle hook to its end; its failure changes nothing.
    pub(crate) async fn hook(&self, container: &Container, hook: Option<&Hook>) {
        let Some(exec) = hook.and_then(|hook| hook.exec.as_ref()) else { return };
        let spec = ExecSpec { command: exec.command.clone(), stdin: false, tty: false };
        let Ok(session) = self.exec(&container.name, &spec).await else { return };
        let _ = session.outcome.await;
    }

    /// Ends everything that is left and frees the address.
    pub(crate) async fn teardown(&self) {
        match self {
            Self::Script(sandbox) => sandbox.teardown(),
            Self::Process(sandbox) => sandbox.teardown().await,
        }
    }
}

impl Task {
    /// Waits for its end. Safe to drop and call again.
    pub(crate) async fn wait(&mut self, cloud: &Arc<Cloud>) -> Exit {
        match self {
            Self::Script(task) => task.wait(cloud).await,
            Self::Process(task) => task.wait(cloud).await,
        }
    }

    /// SIGTERM.
    pub(crate) fn terminate(&mut self) {
        match self {
            Self::Script(task) => task.signal(15),
            Self::Process(task) => task.terminate(),
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::Script(task) => task.signal(9),
            Self::Process(task) => task.kill(),
        }
    }

    /// Its process number, seen from the simulator.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Script(_) => None,
            Self::Process(task) => task.pid(),
        }
    }
}
