//! One pod's place: a pause process that holds the network, host-name and IPC namespaces, a veth, and its volumes.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::{Child, Command};

use super::images::{Image, Images};
use super::spec::{Bind, InitSpec};
use super::task::ProcessTask;
use super::{Process, Settings, bound_to_us, container_dir, network, pod_dir};
use crate::core::instances::Cloud;
use crate::core::plan::{Container, PodPlan};
use crate::core::resolve::VolumeContent;
use crate::runtime::addresses::Addresses;
use crate::runtime::{ExecSession, ExecSpec, Launch, StartError};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Numbers for interface names, unique in this process.
static NEXT_VETH: AtomicU32 = AtomicU32::new(1);

/// The place of one pod.
pub(crate) struct ProcessSandbox {
    plan: Arc<PodPlan>,
    settings: Arc<Settings>,
    images: Arc<Images>,
    addresses: Arc<Addresses>,
    address: Ipv4Addr,
    veth: String,
    dir: PathBuf,
    /// Where each volume is.
    folders: HashMap<String, PathBuf>,
    pause_pid: u32,
    pause: tokio::sync::Mutex<Option<Child>>,
    running: Mutex<HashMap<String, Entered>>,
}

/// How to enter a running container.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    pub(super) pid: u32,
    pub(super) env: Vec<(String, String)>,
    pub(super) cwd: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl ProcessSandbox {
    /// Makes it.
    pub(super) async fn new(
        runtime: &Process,
        plan: Arc<PodPlan>,
        volumes: &[(String, VolumeContent)],
    ) -> io::Result<Self> {
        let dir = pod_dir(&runtime.settings.state_dir, &plan);
        let mut folders = HashMap::new();
        for (name, content) in volumes {
            let folder = match content {
                VolumeContent::Shared(id) => file_system(&runtime.settings.state_dir, id)?,
                content => {
                    let folder = dir.join("volumes").join(name);
                    write_volume(&folder, content)?;
                    folder
                }
            };
            folders.insert(name.clone(), folder);
        }
        let pause = pause()?;
        let pause_pid = pause.id().ok_or_else(|| io::Error::other("the pause process ended at once"))?;
        let exhausted = || io::Error::other("the subnet has no free address");
        let address = runtime.addresses.take_or_any(plan.address).ok_or_else(exhausted)?;
        let sandbox = Self {
            plan,
            settings: runtime.settings.clone(),
            images: runtime.images.clone(),
            addresses: runtime.addresses.clone(),
            address,
            veth: format!("cs{}-{}", std::process::id() % 100_000, NEXT_VETH.fetch_add(1, Ordering::Relaxed)),
            dir,
            folders,
            pause_pid,
            pause: tokio::sync::Mutex::new(Some(pause)),
            running: Mutex::default(),
        };
        let connected = match own_network(pause_pid).await {
            Ok(()) => {
                let subnet = sandbox.settings.subnet;
                network::connect(runtime.bridge.name(), &sandbox.veth, pause_pid, address, subnet).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = connected {
            sandbox.teardown().await;
            return Err(error);
        }
        Ok(sandbox)
    }

    /// The pod's address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.into()
    }

    /// Starts a container in it.
    pub(crate) async fn start(
        &self,
        cloud: &Arc<Cloud>,
        launch: Launch<'_>,
    ) -> Result<ProcessTask, StartError> {
        let pulled = self.images.get(&launch.container.image).await;
        let image = pulled.map_err(|message| StartError { reason: "ErrImagePull", message })?;
        let dir = container_dir(&self.dir, &launch.container.name);
        let spec = self.spec(&image, &launch, &dir);
        let failed =
            |error: io::Error| StartError { reason: "CreateContainerError", message: error.to_string() };
        let spec = spec.map_err(failed)?;
        let file = dir.join("init.json");
        let written = prepare(&spec, &dir, &file);
        written.map_err(failed)?;
        let child = self.spawn(&file).map_err(failed)?;
        let task = ProcessTask::new(cloud, child, launch.log, &dir.join("termination-log"), &spec)
            .await
            .map_err(failed)?;
        if let Some(pid) = task.pid() {
            let InitSpec { env, cwd, uid, gid, .. } = spec;
            let entered = Entered { pid, env, cwd, uid, gid };
            self.running
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(launch.container.name.clone(), entered);
        }
        Ok(task)
    }

    /// `setpriv` binds to us, `nsenter` joins the pod, `unshare` makes the container's own namespaces.
    fn spawn(&self, spec: &Path) -> io::Result<Child> {
        let mut command = bound_to_us("nsenter");
        command.args(["-t", &self.pause_pid.to_string(), "-n", "-u", "-i", "--"]);
        command.args(["unshare", "--mount", "--pid", "--"]);
        command.arg(&self.settings.init).arg("container-run").arg(spec);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn()
    }

    fn spec(&self, image: &Image, launch: &Launch<'_>, dir: &Path) -> io::Result<InitSpec> {
        let container = launch.container;
        let pod_security = &self.plan.spec.security_context;
        let own = &container.security_context;
        let (image_uid, image_gid) = image.user();
        let uid = own.run_as_user.or(pod_security.run_as_user).unwrap_or(image_uid);
        let gid = own.run_as_group.or(pod_security.run_as_group).unwrap_or(image_gid);
        let cwd = container.working_dir.clone().unwrap_or_else(|| image.config.working_dir.clone());
        let termination_path =
            container.termination_message_path.clone().unwrap_or_else(|| "/dev/termination-log".to_owned());
        let mut binds = vec![Bind {
            source: dir.join("termination-log"),
            target: termination_path.clone(),
            read_only: false,
        }];
        binds.extend(self.binds(container)?);
        Ok(InitSpec {
            lower: image.root.clone(),
            scratch: dir.join("scratch"),
            ended: dir.join("ended"),
            ready: dir.join("ready"),
            hostname: self.plan.hostname().chars().take(63).collect(),
            files: self.files(),
            binds,
            read_only_root: own.read_only_root_filesystem.unwrap_or(false),
            argv: argv(image, launch),
            env: env(image, launch, self.plan.hostname()),
            cwd: if cwd.is_empty() { "/".to_owned() } else { cwd },
            uid,
            gid,
            termination_path,
        })
    }

    fn binds(&self, container: &Container) -> io::Result<Vec<Bind>> {
        let bind = |mount: &crate::core::plan::VolumeMount| {
            let sub = Path::new(&mount.sub_path);
            if sub.is_absolute() || sub.components().any(|part| part == std::path::Component::ParentDir) {
                return Err(io::Error::other(format!("subPath {:?} leaves its volume", mount.sub_path)));
            }
            let volume = self.plan.spec.volumes.iter().find(|volume| volume.name == mount.name);
            let claim = volume.and_then(|volume| volume.persistent_volume_claim.as_ref());
            let writable = volume.is_some_and(|volume| volume.empty_dir.is_some())
                || claim.is_some_and(|claim| !claim.read_only);
            let folder = self.folders.get(&mount.name);
            let source =
                folder.map_or_else(|| self.dir.join("volumes").join(&mount.name), Clone::clone).join(sub);
            if claim.is_some() {
                fs::create_dir_all(&source)?;
            }
            Ok(Bind { source, target: mount.mount_path.clone(), read_only: mount.read_only || !writable })
        };
        container.volume_mounts.iter().map(bind).collect()
    }

    /// `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`.
    fn files(&self) -> Vec<(String, String)> {
        let mut hosts =
            format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n{}\t{}\n", self.address, self.plan.hostname());
        for alias in &self.plan.spec.host_aliases {
            hosts.push_str(&format!("{}\t{}\n", alias.ip, alias.hostnames.join("\t")));
        }
        let dns = &self.plan.spec.dns_config;
        let mut resolv: String =
            dns.nameservers.iter().map(|server| format!("nameserver {server}\n")).collect();
        if !dns.searches.is_empty() {
            resolv.push_str(&format!("search {}\n", dns.searches.join(" ")));
        }
        for option in &dns.options {
            let value = option.value.as_ref().map(|value| format!(":{value}")).unwrap_or_default();
            resolv.push_str(&format!("options {}{value}\n", option.name));
        }
        let hostname = format!("{}\n", self.plan.hostname());
        [("/etc/hosts", hosts), ("/etc/hostname", hostname), ("/etc/resolv.conf", resolv)]
            .map(|(path, text)| (path.to_owned(), text))
            .into()
    }

    /// Runs a command in a running container.
    pub(crate) async fn exec(&self, container: &str, spec: &ExecSpec) -> Result<ExecSession, String> {
        let entered = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(container).cloned();
        let entered = entered.ok_or_else(|| format!("container {container} is not running"))?;
        super::exec::run(&entered, spec).map_err(|error| format!("exec in {container}: {error}"))
    }

    /// Ends the pause process, removes the veth and the files, frees the address.
    pub(crate) async fn teardown(&self) {
        if let Some(mut pause) = self.pause.lock().await.take() {
            let _ = pause.kill().await;
            network::disconnect(&self.veth).await;
            self.addresses.give_back(self.address);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Nothing but a holder of namespaces.
fn pause() -> io::Result<Child> {
    let mut command = bound_to_us("unshare");
    command.args(["--net", "--uts", "--ipc", "--", "sleep", "infinity"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

/// Waits until the pause process has left our network namespace: only then may it be given a device.
async fn own_network(pid: u32) -> io::Result<()> {
    let ours = fs::read_link("/proc/self/ns/net")?;
    for _ in 0..2000 {
        let theirs = fs::read_link(format!("/proc/{pid}/ns/net"))?;
        let ready = fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep");
        if theirs != ours && ready {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Err(io::Error::other("the pause process made no network namespace within 4 s"))
}

/// Fresh files for one incarnation.
fn prepare(spec: &InitSpec, dir: &Path, file: &Path) -> io::Result<()> {
    fs::create_dir_all(&spec.scratch)?;
    let _ = fs::remove_file(&spec.ready);
    let _ = fs::remove_file(&spec.ended);
    fs::write(dir.join("termination-log"), b"")?;
    fs::set_permissions(dir.join("termination-log"), Permissions::from_mode(0o666))?;
    // The environment may hold secrets.
    fs::write(file, b"")?;
    fs::set_permissions(file, Permissions::from_mode(0o600))?;
    fs::write(file, serde_json::to_vec(spec)?)
}

/// A volume that is a file system: one folder for all who mount it, which outlives them.
fn file_system(state: &Path, id: &str) -> io::Result<PathBuf> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let files = state.join("file-systems").join(id.chars().map(plain).collect::<String>());
    fs::create_dir_all(&files)?;
    fs::set_permissions(&files, Permissions::from_mode(0o777))?;
    Ok(files)
}

fn write_volume(dir: &Path, content: &VolumeContent) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    match content {
        VolumeContent::Empty | VolumeContent::Shared(_) => {
            fs::set_permissions(dir, Permissions::from_mode(0o777))
        }
        VolumeContent::Files(files) => {
            for file in files {
                let path = dir.join(&file.path);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::write(&path, &file.data)?;
                fs::set_permissions(&path, Permissions::from_mode(file.mode & 0o777))?;
            }
            Ok(())
        }
    }
}

/// Kubernetes' rule: `command` replaces entrypoint and cmd, `args` replaces cmd.
fn argv(image: &Image, launch: &Launch<'_>) -> Vec<String> {
    let program = &launch.program;
    let entrypoint = image.config.entrypoint.clone().unwrap_or_default();
    let cmd = image.config.cmd.clone().unwrap_or_default();
    let (first, rest) = match (program.command.is_empty(), program.args.is_empty()) {
        (false, _) => (program.command.clone(), program.args.clone()),
        (true, false) => (entrypoint, program.args.clone()),
        (true, true) => (entrypoint, cmd),
    };
    first.into_iter().chain(rest).collect()
}

fn env(image: &Image, launch: &Launch<'_>, hostname: &str) -> Vec<(String, String)> {
    let mut env = vec![("PATH".to_owned(), PATH.to_owned()), ("HOSTNAME".to_owned(), hostname.to_owned())];
    env.push(("HOME".to_owned(), "/root".to_owned()));
    let of_image = image.config.env.iter().flatten().filter_map(|pair| pair.split_once('='));
    let of_image = of_image.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in of_image.chain(launch.program.env.iter().cloned()) {
        env.retain(|(known, _)| *known != name);
        env.push((name, value));
    }
    env
}

/// A command that enters a container's namespaces, with its environment and user.
pub(super) fn enter(entered: &Entered, program: &str) -> Command {
    let mut command = Command::new(program);
    if program != "nsenter" {
        command.args(["--ctty", "--wait", "nsenter"]);
    }
    command.args([
        "-t",
        &entered.pid.to_string(),
        "-m",
        "-n",
        "-u",
        "-i",
        "-p",
        &format!("--wdns={}", entered.cwd),
    ]);
    // Changing to root would reset the groups, which a user namespace may forbid.
    if (entered.uid, entered.gid) != (0, 0) {
        command.args(["-S", &entered.uid.to_string(), "-G", &entered.gid.to_string()]);
    }
    command.arg("--");
    command.env_clear().envs(entered.env.iter().map(|(k, v)| (k, v)));
    command
}
