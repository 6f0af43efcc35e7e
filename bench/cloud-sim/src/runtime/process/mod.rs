//! The `process` runtime: every instance is a real process tree in its own namespaces, with a real address.
//!
//! `unsafe` is forbidden here, so namespaces are made by the tools made for it (`unshare`, `nsenter`, `setpriv`, `ip`);
//! what must happen inside a new mount namespace is done by this program itself, started as `container-run`. Every
//! process dies with the simulator: each is started with a parent-death signal, and each pid namespace with its init.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::{Pid, Signal};
use tokio::process::Command;

use super::StartError;
use super::addresses::{Addresses, Subnet};
use crate::core::plan::PodPlan;
use crate::core::resolve::VolumeContent;

mod exec;
mod images;
pub(crate) mod init;
mod network;
mod pty;
mod sandbox;
mod spec;
mod task;

pub(crate) use sandbox::ProcessSandbox;
pub(crate) use task::ProcessTask;

/// What the runtime needs from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) state_dir: PathBuf,
    pub(crate) bridge: String,
    pub(crate) subnet: Subnet,
    /// A static busybox; without it the image `busybox` does not exist.
    pub(crate) busybox: Option<PathBuf>,
    /// Folder of OCI image layouts.
    pub(crate) images: Option<PathBuf>,
    /// This program, to be started as `container-run`.
    pub(crate) init: PathBuf,
}

/// The runtime.
pub(crate) struct Process {
    settings: Arc<Settings>,
    addresses: Arc<Addresses>,
    images: Arc<images::Images>,
    bridge: network::Bridge,
}

impl Process {
    /// Checks the rights, makes the bridge if it is not there.
    pub(crate) async fn new(settings: Settings) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, RIGHTS));
        }
        fs::create_dir_all(settings.state_dir.join("pods"))?;
        let settings = Settings { state_dir: settings.state_dir.canonicalize()?, ..settings };
        let bridge = network::Bridge::ready(&settings.bridge, settings.subnet).await?;
        let images =
            images::Images::new(&settings.state_dir, settings.busybox.clone(), settings.images.clone());
        let addresses = Arc::new(Addresses::new(settings.subnet));
        Ok(Self { settings: Arc::new(settings), addresses, images: Arc::new(images), bridge })
    }

    /// The place of a pod: namespaces with an address, and its volumes as folders.
    pub(crate) async fn sandbox(
        &self,
        plan: &Arc<PodPlan>,
        volumes: &[(String, VolumeContent)],
    ) -> Result<ProcessSandbox, StartError> {
        let made = ProcessSandbox::new(self, plan.clone(), volumes).await;
        made.map_err(|error| StartError { reason: "ContainerCreating", message: format!("sandbox: {error}") })
    }

    /// Where an incarnation's log is also written.
    pub(crate) fn log_file(&self, plan: &PodPlan, container: &str, restart: u32) -> Option<File> {
        let dir = container_dir(&pod_dir(&self.settings.state_dir, plan), container);
        fs::create_dir_all(&dir).ok()?;
        File::create(dir.join(format!("{restart}.log"))).ok()
    }

    /// Removes the bridge if this runtime made it.
    pub(crate) async fn close(&self) {
        self.bridge.remove().await;
    }
}

const RIGHTS: &str = "the process runtime makes namespaces and network devices: run it as root, or inside \
    `unshare --user --map-root-user --net --mount --pid --fork --mount-proc` (if that is refused, allow unprivileged \
    user namespaces), or use --runtime script";

fn pod_dir(state: &Path, plan: &PodPlan) -> PathBuf {
    state.join("pods").join(&plan.uid)
}

fn container_dir(pod: &Path, container: &str) -> PathBuf {
    pod.join("containers").join(container)
}

/// A tool of util-linux or iproute2, which dies with the thread that started it.
fn bound_to_us(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]).kill_on_drop(true);
    command
}

/// The children of a process, as the kernel lists them.
fn children(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The signals that may be sent from outside.
pub(crate) fn signal_number(number: i32) -> Option<Signal> {
    Some(match number {
        1 => Signal::HUP,
        2 => Signal::INT,
        9 => Signal::KILL,
        10 => Signal::USR1,
        12 => Signal::USR2,
        15 => Signal::TERM,
        _ => return None,
    })
}

/// Sends a signal to a process that this runtime started.
pub(crate) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(rustix::process::kill_process(pid, signal)?)
}
