//! Commands inside a running container: `nsenter` into all its namespaces, with pipes or a terminal.

use std::io;
use std::process::Stdio;

use futures::FutureExt;
use rustix::process::Signal;
use tokio::process::{Child, Command};

use super::pty;
use super::sandbox::{Entered, enter};
use super::{children, send};
use crate::runtime::{ExecSession, ExecSpec, Input, Output, TerminalSize};

/// Starts a command.
pub(super) fn run(entered: &Entered, spec: &ExecSpec) -> io::Result<ExecSession> {
    if spec.tty { on_terminal(entered, spec) } else { on_pipes(entered, spec) }
}

fn on_pipes(entered: &Entered, spec: &ExecSpec) -> io::Result<ExecSession> {
    let mut command = enter(entered, "nsenter");
    command.args(&spec.command);
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

/// Kills a command unless it ended by itself.
///
/// Only what runs inside is killed, never `nsenter`: it is the only one who can reap its child, and an unreaped child
/// would keep the container's pid namespace, and so the instance, from ending.
struct Session(Option<u32>);

impl Session {
    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(outer) = self.0 else { return };
        let inside = descendants(outer);
        let all = if inside.is_empty() { vec![outer] } else { inside };
        for pid in all {
            let _ = send(pid, Signal::KILL);
        }
    }
}

/// Everything below a process, itself excluded.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children(*pid));
        next += 1;
    }
    found
}

fn outcome(mut child: Child) -> impl Future<Output = Result<i32, String>> + Send + 'static {
    let mut session = Session(child.id());
    async move {
        let status = child.wait().await.map_err(|error| error.to_string())?;
        session.ended();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        Ok(status.code().or_else(|| signal.map(|signal| 128 + signal)).unwrap_or(255))
    }
}
