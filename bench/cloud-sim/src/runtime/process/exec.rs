//! Commands inside a running container: `nsenter` into all its namespaces, with pipes or a terminal.

use std::io;
use std::process::Stdio;

use futures::FutureExt;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::pty;
use super::sandbox::{Entered, enter};
use crate::runtime::{ExecSession, ExecSpec, Input, Output, TerminalSize};

/// Starts a command.
pub(super) fn run(entered: &Entered, spec: &ExecSpec) -> io::Result<ExecSession> {
    if spec.tty { on_terminal(entered, spec) } else { on_pipes(entered, spec) }
}

fn on_pipes(entered: &Entered, spec: &ExecSpec) -> io::Result<ExecSession> {
    let mut command = enter(entered, "nsenter");
    command.args(&spec.command).process_group(0);
    command.stdin(if spec.stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdin = child.stdin.take().map(|stdin| Box::new(stdin) as Input);
    let stdout = child.stdout.take().map(|stdout| Box::new(stdout) as Output);
    let stderr = child.stderr.take().map(|stderr| Box::new(stderr) as Output);
    Ok(ExecSession { stdin, stdout, stderr, resize: None, outcome: outcome(child).boxed() })
}

/// `setsid --ctty` makes the terminal the session's own, so that job control and ^C work.
fn on_terminal(entered: &Entered, spec: &ExecSpec) -> io::Result<ExecSession> {
    let (master, slave) = pty::open(entered.pid)?;
    let mut command: Command = enter(entered, "setsid");
    command.args(&spec.command).env("TERM", "xterm");
    command.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
    let child = command.spawn()?;
    // The command keeps its copies of the terminal; ours must close, or its end is never seen.
    drop(command);
    let (reader, writer, size) = pty::halves(master)?;
    let resize = move |to: TerminalSize| pty::resize(&size, to);
    Ok(ExecSession {
        stdin: spec.stdin.then(|| Box::new(writer) as Input),
        stdout: Some(Box::new(reader)),
        stderr: None,
        resize: Some(Box::new(resize)),
        outcome: outcome(child).boxed(),
    })
}

/// Kills the command's process group unless it ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

fn outcome(mut child: Child) -> impl Future<Output = Result<i32, String>> + Send + 'static {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let mut group = Group(pid);
    async move {
        let status = child.wait().await.map_err(|error| error.to_string())?;
        group.ended();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        Ok(status.code().or_else(|| signal.map(|signal| 128 + signal)).unwrap_or(255))
    }
}
