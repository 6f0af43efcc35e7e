//! This program inside a container's namespaces. `container-run` supervises: it starts `container-init` as the first
//! process of the new pid namespace and writes down how it ended (util-linux 2.38 loses a SIGKILL). `container-init`
//! builds the root and becomes the container's program. Targets of mounts are resolved inside the new root, so an image
//! cannot redirect them to the machine.

use std::ffi::{CString, OsStr};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{
    MountFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount, unmount,
};
use rustix::process::Signal;
use rustix::thread::{Gid, Uid};

use super::spec::{Bind, Ended, InitSpec};

/// Where the machine's root is while mounts are made.
const OLD_ROOT: &str = "/.old-root";
/// Exit code of a container that could not be started.
const CANNOT_START: i32 = 128;
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Runs one of the two roles, named by the first argument with the spec file as the second; `None` if it is neither.
#[must_use]
pub fn run(role: &OsStr, spec_file: &Path) -> Option<i32> {
    match role.to_str() {
        Some("container-run") => {
            let done = read(spec_file).and_then(|spec| supervise(&spec, spec_file));
            Some(done.map_or_else(|error| fail(None, &error.to_string()), |()| 0))
        }
        Some("container-init") => match read(spec_file) {
            Ok(spec) => Some(become_container(&spec)),
            Err(error) => Some(fail(None, &error.to_string())),
        },
        _ => None,
    }
}

fn read(spec_file: &Path) -> io::Result<InitSpec> {
    at(
        "init spec",
        fs::read(spec_file).and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::from)),
    )
}

/// Waits for the container's first process. The file is opened before, because the first process takes the root along.
fn supervise(spec: &InitSpec, spec_file: &Path) -> io::Result<()> {
    let mut file = at("ended", File::create(&spec.ended))?;
    let status = Command::new(std::env::current_exe()?).arg("container-init").arg(spec_file).status()?;
    let ended = Ended { code: status.code(), signal: status.signal() };
    file.write_all(&serde_json::to_vec(&ended)?)
}

/// Builds the container and becomes its program. Returns an exit code only on failure.
fn become_container(spec: &InitSpec) -> i32 {
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return fail(None, &error.to_string());
    }
    let ready = match enter(spec) {
        Ok(ready) => ready,
        Err(error) => return fail(None, &error.to_string()),
    };
    fail(Some(spec), &become_program(spec, ready))
}

/// Says why on standard error and as the termination message.
fn fail(spec: Option<&InitSpec>, why: &str) -> i32 {
    let _ = writeln!(io::stderr(), "failed to create containerd task: {why}");
    if let Some(spec) = spec {
        let file = OpenOptions::new().append(true).open(&spec.termination_path);
        let _ = file.and_then(|mut file| file.write_all(why.as_bytes()));
    }
    CANNOT_START
}

fn at<T, E: Into<io::Error>>(what: &str, result: Result<T, E>) -> io::Result<T> {
    result.map_err(|error| {
        let error: io::Error = error.into();
        io::Error::new(error.kind(), format!("{what}: {error}"))
    })
}

/// Makes the root and moves into it; answers the open file that says "ready".
fn enter(spec: &InitSpec) -> io::Result<File> {
    let ready = at("ready", File::create(&spec.ready))?;
    let root = writable_root(spec)?;
    for (path, contents) in &spec.files {
        let _ = fs::create_dir_all(root.join("etc"));
        at(path, fs::write(root.join(path.trim_start_matches('/')), contents))?;
    }
    at("old root", fs::create_dir_all(root.join(OLD_ROOT.trim_start_matches('/'))))?;
    at("pivot_root", rustix::process::pivot_root(&root, root.join(OLD_ROOT.trim_start_matches('/'))))?;
    at("chdir", rustix::process::chdir("/"))?;
    kernel_file_systems()?;
    for bind in &spec.binds {
        at(&bind.target, bind_into(bind))?;
    }
    at("old root", unmount(OLD_ROOT, UnmountFlags::DETACH))?;
    let _ = fs::remove_dir(OLD_ROOT);
    if spec.read_only_root {
        at("read-only root", mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, c""))?;
    }
    at("hostname", rustix::system::sethostname(spec.hostname.as_bytes()))?;
    Ok(ready)
}

/// The image under a writable layer that lives in memory and in this namespace only.
fn writable_root(spec: &InitSpec) -> io::Result<PathBuf> {
    let scratch = &spec.scratch;
    at("scratch", mount("tmpfs", scratch, "tmpfs", MountFlags::empty(), c"mode=0755"))?;
    let [upper, work, root] = ["upper", "work", "root"].map(|name| scratch.join(name));
    for dir in [&upper, &work, &root] {
        at("scratch", fs::create_dir(dir))?;
    }
    let text =
        format!("lowerdir={},upperdir={},workdir={}", spec.lower.display(), upper.display(), work.display());
    let options = CString::new(text).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    at("overlay", mount("overlay", &root, "overlay", MountFlags::empty(), options.as_c_str()))?;
    Ok(root)
}

fn kernel_file_systems() -> io::Result<()> {
    for dir in ["/proc", "/sys", "/dev", "/tmp"] {
        let _ = fs::create_dir_all(dir);
    }
    let safe = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    at("/proc", mount("proc", "/proc", "proc", safe, None))?;
    // A machine may refuse a new sysfs; containers that need it will say so themselves.
    let _ = mount("sysfs", "/sys", "sysfs", safe | MountFlags::RDONLY, None);
    at("/dev", mount("tmpfs", "/dev", "tmpfs", MountFlags::NOSUID, c"mode=0755"))?;
    for name in DEVICES {
        let target = format!("/dev/{name}");
        at(&target, File::create(&target))?;
        at(&target, mount_bind(format!("{OLD_ROOT}/dev/{name}"), &target))?;
    }
    for (link, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        at(link, std::os::unix::fs::symlink(target, format!("/dev/{link}")))?;
    }
    for dir in ["/dev/pts", "/dev/shm"] {
        at(dir, fs::create_dir(dir))?;
    }
    let _ = mount(
        "devpts",
        "/dev/pts",
        "devpts",
        MountFlags::NOSUID | MountFlags::NOEXEC,
        c"newinstance,ptmxmode=0666,mode=0620",
    );
    at("/dev/shm", mount("tmpfs", "/dev/shm", "tmpfs", safe, c"mode=1777"))
}

fn bind_into(bind: &Bind) -> io::Result<()> {
    let source = Path::new(OLD_ROOT).join(bind.source.strip_prefix("/").unwrap_or(&bind.source));
    let target = Path::new(&bind.target);
    if source.is_dir() {
        fs::create_dir_all(target)?;
    } else if !target.exists() {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        File::create(target)?;
    }
    mount_bind_recursive(&source, target)?;
    if bind.read_only {
        mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, c"")?;
    }
    Ok(())
}

/// Becomes the program; returns only why that failed.
fn become_program(spec: &InitSpec, mut ready: File) -> String {
    let Some((program, arguments)) = spec.argv.split_first() else {
        return "the container has no command".to_owned();
    };
    let _ = fs::create_dir_all(&spec.cwd);
    let told = ready.write_all(b"1");
    drop(ready);
    if let Err(error) = told {
        return format!("ready: {error}");
    }
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(spec.env.iter().map(|(k, v)| (k, v))).current_dir(&spec.cwd);
    if let Err(error) = become_user(spec.uid, spec.gid) {
        return format!("user {}:{}: {error}", spec.uid, spec.gid);
    }
    format!("exec {program:?} in {:?}: {}", spec.cwd, command.exec())
}

/// Changes user and group. The kernel forgets the parent-death signal with the old user, so it is asked for again.
fn become_user(uid: u32, gid: u32) -> io::Result<()> {
    if uid == 0 && gid == 0 {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::thread::set_thread_groups(&[gid])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}
