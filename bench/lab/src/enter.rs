//! Runs the program again inside namespaces of its own, so that it can do what it likes without touching the machine.
//!
//! The outer process keeps the inner one's standard input: when the outer ends, however it ends, the inner reads end of
//! file and shuts down; and `unshare --kill-child` with a pid namespace ends everything that is left.

use std::{
    net::TcpListener,
    os::fd::OwnedFd,
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use command_fds::{CommandFdExt, FdMapping};
use tokio::{process::Command, signal::unix};

use crate::{binaries, host_ports::HostPorts};

const INSIDE: &str = "BURST_LAB_INSIDE";

/// What [`enter`] found.
#[derive(Debug)]
pub enum Entry {
    /// We are inside; go on, with the sockets that were opened on the host's 127.0.0.1.
    Inside(HostPorts),
    /// The inner program has run and this is how it ended; return it from `main`.
    Done(ExitCode),
}

/// Enters the lab. `host_ports` are ports on the host's 127.0.0.1 to open before the network is left behind (0 lets the
/// system choose); inside they come back in the same order.
///
/// # Errors
/// When tools cannot be built, or namespaces are not permitted here; the text says what to enable.
pub async fn enter(host_ports: &[u16]) -> Result<Entry> {
    if std::env::var_os(INSIDE).is_some() {
        network().await?;
        private_etc().await?;
        return Ok(Entry::Inside(HostPorts::inherited()?));
    }
    binaries::ensure_tools().await?;
    permitted().await?;
    let listeners = host_ports
        .iter()
        .map(|port| {
            TcpListener::bind(("127.0.0.1", *port))
                .with_context(|| format!("opening 127.0.0.1:{port}; is another lab using it?"))
        })
        .collect::<Result<Vec<_>>>()?;
    run_inside(listeners).await.map(Entry::Done)
}

/// Resolves when the program is asked to end: Ctrl-C, SIGTERM, or the outer process went away.
pub async fn shutdown_requested() {
    let Ok(mut term) = unix::signal(unix::SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
        _ = outer_gone(), if std::env::var_os(INSIDE).is_some() => {}
    }
}

/// Resolves at end of file on standard input: the lifeline to the outer process.
async fn outer_gone() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = receiver.await;
}

async fn run_inside(listeners: Vec<TcpListener>) -> Result<ExitCode> {
    let mut command = unshare();
    command.arg("--").arg(std::env::current_exe()?).args(std::env::args_os().skip(1));
    command.env(INSIDE, "1").env("LISTEN_FDS", listeners.len().to_string()).env_remove("LISTEN_PID");
    let mappings = listeners
        .into_iter()
        .zip(3..)
        .map(|(listener, child_fd)| FdMapping { parent_fd: OwnedFd::from(listener), child_fd })
        .collect();
    command.as_std_mut().fd_mappings(mappings).context("handing sockets to the lab")?;
    let mut child =
        command.stdin(Stdio::piped()).kill_on_drop(true).spawn().context("starting unshare(1)")?;
    let lifeline = child.stdin.take();
    let mut term = unix::signal(unix::SignalKind::terminate())?;
    let status = tokio::select! {
        status = child.wait() => status?,
        _ = tokio::signal::ctrl_c() => end(&mut child, lifeline).await?,
        _ = term.recv() => end(&mut child, lifeline).await?,
    };
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

async fn end(
    child: &mut tokio::process::Child,
    lifeline: Option<tokio::process::ChildStdin>,
) -> Result<std::process::ExitStatus> {
    drop(lifeline);
    if let Ok(status) = tokio::time::timeout(Duration::from_secs(20), child.wait()).await {
        return Ok(status?);
    }
    child.kill().await?;
    Ok(child.wait().await?)
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]);
    command
}

async fn permitted() -> Result<()> {
    let output = unshare().args(["--", "true"]).output().await.context(
        "the lab needs unshare(1) from util-linux and ip(8) from iproute2; install both with the system's package manager",
    )?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "this user may not create network, mount and pid namespaces here: {}. Run as root, or allow user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, and kernel.apparmor_restrict_unprivileged_userns=0 where AppArmor \
         restricts them)",
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

async fn network() -> Result<()> {
    let subnet_gateway = "198.18.64.1/18";
    for args in [
        "link set lo up",
        &format!("addr add {}/32 dev lo", crate::ADDRESS),
        &format!("link add {} type bridge", crate::BRIDGE),
        &format!("addr add {subnet_gateway} dev {}", crate::BRIDGE),
        &format!("link set {} up", crate::BRIDGE),
    ] {
        run("ip", args).await?;
    }
    Ok(())
}

/// Gives the lab a writable `/etc` of its own, so that files can stand where a real control plane has them.
async fn private_etc() -> Result<()> {
    let base = binaries::repository_root()?.join("target/lab/etc");
    std::fs::create_dir_all(&base)?;
    let base = base.display();
    run("mount", &format!("-t tmpfs -o size=16m tmpfs {base}")).await?;
    run("mkdir", &format!("{base}/upper {base}/work")).await?;
    run(
        "mount",
        &format!("-t overlay overlay -o lowerdir=/etc,upperdir={base}/upper,workdir={base}/work /etc"),
    )
    .await?;
    std::fs::create_dir_all("/etc/kubernetes/pki").context("making /etc/kubernetes in the lab")
}

async fn run(program: &str, args: &str) -> Result<()> {
    let output = Command::new(program)
        .args(args.split(' '))
        .output()
        .await
        .with_context(|| format!("{program} is missing; install iproute2 and util-linux"))?;
    if !output.status.success() {
        bail!("{program} {args}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
