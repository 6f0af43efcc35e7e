//! The lab leaves nothing behind, however it ends, and two of them do not disturb each other.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

struct Running {
    child: Child,
    /// Held open: a closed pipe would end the lab at its next line.
    _output: BufReader<ChildStdout>,
    kubeconfig: PathBuf,
    name: &'static str,
}

fn start(name: &'static str) -> Result<Running> {
    let mut child = Command::new(lab::built_binary("lab")?)
        .args(["run", name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("starting the lab")?;
    let mut output = BufReader::new(child.stdout.take().context("its output")?);
    let mut line = String::new();
    while output.read_line(&mut line)? > 0 {
        if let Some(path) = line.trim().strip_prefix("export KUBECONFIG=") {
            let kubeconfig = path.into();
            return Ok(Running { child, _output: output, kubeconfig, name });
        }
        line.clear();
    }
    anyhow::bail!("the lab ended before it was up: {}", child.wait()?)
}

impl Running {
    fn nodes(&self) -> Result<String> {
        let root = lab::repository_root()?.join("target/control-plane");
        let kubectl = walk(&root).into_iter().find(|path| path.ends_with("kubectl")).context("kubectl")?;
        let output = Command::new(kubectl)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["get", "nodes", "-o", "name"])
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ends it by `signal` and waits until every process that works in its folder is gone.
    fn end(mut self, signal: &str) -> Result<()> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args([signal, &pid]).status()?.success(), "kill {signal} {pid}");
        self.child.wait()?;
        let needle = format!("target/lab/{}/", self.name);
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let left = processes_naming(&needle);
            if left.is_empty() {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "left behind after {signal}: {left:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // On a failed assertion the lab must not outlive the test.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn walk(dir: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

fn processes_naming(needle: &str) -> Vec<String> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|line| line.contains(needle))
        .collect()
}

/// Killed, interrupted or asked: no process is left; and while both run, each has its own nodes and ports.
#[test]
fn nothing_is_left_behind() -> Result<()> {
    let first = start("ends-first")?;
    let second = start("ends-second")?;
    for running in [&first, &second] {
        ensure!(running.nodes()?.lines().count() == 3, "{}", running.nodes()?);
    }
    ensure!(!processes_naming("target/lab/ends-first/").is_empty(), "the check sees no process at all");
    first.end("-KILL")?;
    ensure!(second.nodes()?.lines().count() == 3, "ending one lab disturbed the other");
    second.end("-INT")?;
    start("ends-third")?.end("-TERM")
}
