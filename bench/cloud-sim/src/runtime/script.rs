//! The `script` runtime: nothing runs, containers start and exit on the clock as scripted through `/_sim/scripts`.
//! It also answers a handful of commands, so that exec can be tried without any rights.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;

use super::addresses::Addresses;
use super::{ExecSession, ExecSpec, Launch, StartError};
use crate::core::instances::Cloud;
use crate::core::life::Exit;
use crate::core::logs::Stream;
use crate::core::plan::{Container, PodPlan};

/// What matching containers do. The first rule that matches counts; without one a container runs for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Rule {
    /// Pods whose name begins so; empty: all.
    pub(crate) pod_prefix: String,
    /// Containers of this image; empty: all.
    pub(crate) image: String,
    /// Created → running; the command line's `--start-ms` otherwise.
    pub(crate) start_ms: Option<u64>,
    /// Waiting reason instead of a start, for ever: `ErrImagePull`, `CreateContainerError`.
    pub(crate) start_error: Option<String>,
    /// Runs so long and exits; for ever if absent.
    pub(crate) run_ms: Option<u64>,
    /// Its exit code.
    pub(crate) exit_code: i32,
    /// The signal that ends it (the exit code is then 128 + it).
    pub(crate) signal: Option<i32>,
    /// Only the first so many incarnations exit, the next one stays.
    pub(crate) times: Option<u32>,
    /// How long it takes to stop after SIGTERM.
    pub(crate) stop_ms: u64,
    /// Lines printed at start.
    pub(crate) log: Vec<String>,
}

impl Rule {
    fn matches(&self, plan: &PodPlan, container: &Container) -> bool {
        plan.name.starts_with(&self.pod_prefix) && (self.image.is_empty() || self.image == container.image)
    }
}

/// The runtime.
pub(crate) struct Script {
    addresses: Arc<Addresses>,
    start: Duration,
    rules: Arc<RwLock<Arc<[Rule]>>>,
}

/// A pod's place.
pub(crate) struct ScriptSandbox {
    ip: Ipv4Addr,
    addresses: Arc<Addresses>,
    plan: Arc<PodPlan>,
    start: Duration,
    rules: Arc<RwLock<Arc<[Rule]>>>,
}

/// A container that pretends to run.
pub(crate) struct ScriptTask {
    rule: Rule,
    started: Timestamp,
    exits: bool,
    signal: watch::Sender<i32>,
}

impl Script {
    /// A runtime whose containers take `start` to start.
    pub(crate) fn new(addresses: Addresses, start: Duration) -> Self {
        Self { addresses: Arc::new(addresses), start, rules: Arc::default() }
    }

    /// Replaces the rules.
    pub(crate) fn set_rules(&self, rules: Vec<Rule>) {
        *self.rules.write().unwrap_or_else(std::sync::PoisonError::into_inner) = rules.into();
    }

    /// A place with an address.
    pub(crate) fn sandbox(&self, plan: &Arc<PodPlan>) -> Result<ScriptSandbox, StartError> {
        let exhausted = || StartError {
            reason: "ContainerCreating",
            message: "the subnet has no free address".to_owned(),
        };
        let ip = self.addresses.take_or_any(plan.address).ok_or_else(exhausted)?;
        let (addresses, plan, rules) = (self.addresses.clone(), plan.clone(), self.rules.clone());
        Ok(ScriptSandbox { ip, addresses, plan, start: self.start, rules })
    }
}

impl ScriptSandbox {
    /// The pod's address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.ip.into()
    }

    /// Frees the address.
    pub(crate) fn teardown(&self) {
        self.addresses.give_back(self.ip);
    }

    fn rule(&self, container: &Container) -> Rule {
        let rules = self.rules.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        rules.iter().find(|rule| rule.matches(&self.plan, container)).cloned().unwrap_or_default()
    }

    /// "Starts" a container.
    pub(crate) async fn start(
        &self,
        cloud: &Arc<Cloud>,
        launch: &Launch<'_>,
    ) -> Result<ScriptTask, StartError> {
        let rule = self.rule(launch.container);
        cloud.clock.sleep(rule.start_ms.map_or(self.start, Duration::from_millis)).await;
        if let Some(reason) = &rule.start_error {
            let known = ["ErrImagePull", "CreateContainerError", "RunContainerError"];
            let reason = known.into_iter().find(|known| known == reason).unwrap_or("CreateContainerError");
            return Err(StartError {
                reason,
                message: format!("scripted: {reason} for {:?}", launch.container.image),
            });
        }
        let started = cloud.clock.now();
        for line in &rule.log {
            launch.log.push(started, Stream::Stdout, Bytes::from(format!("{line}\n")));
        }
        let exits = rule.run_ms.is_some() && rule.times.is_none_or(|times| launch.restart < times);
        Ok(ScriptTask { rule, started, exits, signal: watch::Sender::new(0) })
    }
}

impl ScriptTask {
    /// Waits for the scripted end or a signal.
    pub(crate) async fn wait(&self, cloud: &Arc<Cloud>) -> Exit {
        let end = Duration::from_millis(self.rule.run_ms.unwrap_or_default());
        let end = self.started.checked_add(end).unwrap_or(Timestamp::MAX);
        let mut signal = self.signal.subscribe();
        let asked = tokio::select! {
            () = cloud.clock.sleep_until(end), if self.exits => 0,
            asked = signal.wait_for(|n| *n != 0) => asked.map_or(9, |n| *n),
        };
        if asked == 15 {
            tokio::select! {
                () = cloud.clock.sleep(Duration::from_millis(self.rule.stop_ms)) => return self.exit(cloud, 0, None),
                _ = signal.wait_for(|n| *n == 9) => {}
            }
        }
        match asked {
            0 => self.exit(cloud, self.rule.exit_code, self.rule.signal),
            _ => self.exit(cloud, 0, Some(9)),
        }
    }

    fn exit(&self, cloud: &Cloud, code: i32, signal: Option<i32>) -> Exit {
        let code = signal.map_or(code, |signal| 128 + signal);
        Exit { code, signal, message: String::new(), started: self.started, finished: cloud.clock.now() }
    }

    /// Delivers a signal.
    pub(crate) fn signal(&self, number: i32) {
        self.signal.send_replace(number);
    }
}

/// Commands that a script container understands: `echo …`, `cat`, `exit N`, `sh -c "exit N"`, `sleep`, `false`, `true`.
pub(crate) fn exec(spec: &ExecSpec) -> ExecSession {
    let (stdin, input) = tokio::io::duplex(64 << 10);
    let (output, stdout) = tokio::io::duplex(64 << 10);
    let (errors, stderr) = tokio::io::duplex(64 << 10);
    let words: Vec<String> = spec.command.clone();
    let outcome = async move { Ok(command(&words, input, output, errors).await) };
    ExecSession {
        stdin: spec.stdin.then(|| Box::new(stdin) as super::Input),
        stdout: Some(Box::new(stdout)),
        stderr: (!spec.tty).then(|| Box::new(stderr) as super::Output),
        resize: spec.tty.then(|| Box::new(|_| ()) as Box<dyn Fn(super::TerminalSize) + Send + Sync>),
        outcome: outcome.boxed(),
    }
}

async fn command(
    words: &[String],
    mut input: DuplexStream,
    mut output: DuplexStream,
    mut errors: DuplexStream,
) -> i32 {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words: Vec<&str> = match words.as_slice() {
        ["sh" | "/bin/sh", "-c", script] => script.split_whitespace().collect(),
        _ => words,
    };
    match words.as_slice() {
        ["echo", rest @ ..] => {
            let _ = output.write_all(format!("{}\n", rest.join(" ")).as_bytes()).await;
            0
        }
        ["cat"] => {
            let mut buffer = vec![0_u8; 16 << 10];
            while let Ok(read @ 1..) = input.read(&mut buffer).await {
                if output.write_all(buffer.get(..read).unwrap_or_default()).await.is_err() {
                    return 141;
                }
            }
            0
        }
        ["true"] => 0,
        ["false"] => 1,
        ["exit", code] => code.parse().unwrap_or(2),
        ["sleep", ..] => std::future::pending().await,
        other => {
            let name = other.first().copied().unwrap_or_default();
            let _ = errors.write_all(format!("script runtime: {name}: not found\n").as_bytes()).await;
            127
        }
    }
}
