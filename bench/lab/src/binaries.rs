//! Finds or builds the programs of the lab: the control plane from its published Go modules, busybox from the distribution.
//!
//! Everything is cached under `target/control-plane/<hash of the Go module>`; a second run finds it there.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

const PACKAGES: [&str; 7] = [
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubectl",
    "sigs.k8s.io/kwok/cmd/kwok",
    "go.etcd.io/etcd/server/v3",
    "./go-extender",
];

/// The programs, all present.
#[derive(Clone, Debug)]
pub struct Tools {
    dir: PathBuf,
}

impl Tools {
    fn named(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    /// etcd.
    pub fn etcd(&self) -> PathBuf {
        self.named("server")
    }
    /// kube-apiserver.
    pub fn kube_apiserver(&self) -> PathBuf {
        self.named("kube-apiserver")
    }
    /// kube-controller-manager.
    pub fn kube_controller_manager(&self) -> PathBuf {
        self.named("kube-controller-manager")
    }
    /// kube-scheduler.
    pub fn kube_scheduler(&self) -> PathBuf {
        self.named("kube-scheduler")
    }
    /// kubectl.
    pub fn kubectl(&self) -> PathBuf {
        self.named("kubectl")
    }
    /// kwok.
    pub fn kwok(&self) -> PathBuf {
        self.named("kwok")
    }
    /// The extender in Go that ours is compared with.
    pub fn go_extender(&self) -> PathBuf {
        self.named("go-extender")
    }
    /// kwok's own Stage objects (nodes that heartbeat by Lease, pods that are Running at once), one YAML stream.
    pub fn kwok_stages(&self) -> PathBuf {
        self.named("kwok-stages.yaml")
    }
    /// Statically linked busybox.
    pub fn busybox(&self) -> PathBuf {
        self.named("busybox")
    }
    /// promtool of Prometheus.
    pub fn promtool(&self) -> PathBuf {
        self.named("promtool")
    }
}

/// The checkout that this program was built in.
///
/// # Errors
/// When the checkout has moved since.
pub fn repository_root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .context("the checkout has moved; build again")
}

/// A program of this workspace, found beside the running one.
///
/// # Errors
/// When it was not built: the text says how.
pub fn built_binary(name: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    exe.ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not built; run `cargo build --workspace` first"))
}

/// Builds what is missing; says so, because the first time takes minutes.
///
/// # Errors
/// When Go is missing or too old, or a package cannot be fetched or built; the text says what to do.
pub async fn ensure_tools() -> Result<Tools> {
    let tools = Tools { dir: cache_dir()? };
    std::fs::create_dir_all(&tools.dir)?;
    if !tools.etcd().is_file() || !tools.kube_apiserver().is_file() || !tools.kwok_stages().is_file() {
        build_control_plane(&tools).await?;
    }
    if !tools.busybox().is_file() {
        fetch_busybox(&tools).await?;
    }
    if !tools.promtool().is_file() {
        fetch_packaged(&tools, "prometheus", "usr/bin/promtool", &tools.promtool()).await?;
    }
    publish_busybox(&tools)?;
    Ok(tools)
}

/// `target/control-plane/busybox` is a stable name for tests that do not know this crate.
fn publish_busybox(tools: &Tools) -> Result<()> {
    let stable = repository_root()?.join("target/control-plane/busybox");
    if !stable.is_file() {
        std::fs::copy(tools.busybox(), &stable).with_context(|| stable.display().to_string())?;
    }
    Ok(())
}

fn module_dir() -> Result<PathBuf> {
    Ok(repository_root()?.join("bench/control-plane"))
}

fn cache_dir() -> Result<PathBuf> {
    let module = module_dir()?;
    let mut key = Vec::new();
    for file in ["go.sum", "go.mod", "go-extender/main.go"] {
        key.extend(std::fs::read(module.join(file)).with_context(|| file.to_owned())?);
    }
    let hash = digest(&key).get(..16).unwrap_or_default().to_owned();
    Ok(repository_root()?.join("target/control-plane").join(hash))
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

async fn build_control_plane(tools: &Tools) -> Result<()> {
    let module = module_dir()?;
    let version = kubernetes_version(&module)?;
    note(&format!(
        "Building Kubernetes {version}, etcd and kwok from their Go modules (about four minutes the first time, then cached)."
    ));
    build(&module, &version, &tools.dir, &PACKAGES).await?;
    let kwok = go(&module, &["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"]).await?;
    write_stages(Path::new(kwok.trim()), &tools.kwok_stages())
}

/// Builds packages of a module with a version of Kubernetes into a folder.
pub(crate) async fn build(module: &Path, version: &str, into: &Path, packages: &[&str]) -> Result<()> {
    let (major, minor) =
        version.trim_start_matches('v').split_once('.').context("version of k8s.io/kubernetes")?;
    let minor = minor.split('.').next().unwrap_or(minor);
    let package = "k8s.io/component-base/version";
    let ldflags = format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean -X {package}.buildDate=1970-01-01T00:00:00Z"
    );
    let out = format!("{}/", into.display());
    go(module, &[&["build", "-trimpath", "-ldflags", &ldflags, "-o", &out], packages].concat())
        .await
        .map(drop)
}

fn write_stages(kwok: &Path, target: &Path) -> Result<()> {
    let stages = [
        "node/fast/node-initialize.yaml",
        "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
        "pod/fast/pod-ready.yaml",
        "pod/fast/pod-complete.yaml",
        "pod/fast/pod-delete.yaml",
    ]
    .iter()
    .map(|file| {
        std::fs::read_to_string(kwok.join("kustomize/stage").join(file)).with_context(|| (*file).to_owned())
    })
    .collect::<Result<Vec<_>>>()?;
    Ok(std::fs::write(target, stages.join("\n---\n"))?)
}

/// The version of Kubernetes that a module pins.
pub(crate) fn kubernetes_version(module: &Path) -> Result<String> {
    let go_mod = std::fs::read_to_string(module.join("go.mod"))?;
    go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .and_then(|version| version.split_whitespace().next())
        .map(ToOwned::to_owned)
        .context("go.mod names no version of k8s.io/kubernetes")
}

async fn go(module: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("go")
        .args(args)
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("Go 1.26 or newer is needed to build the control plane, and there is no `go` on the PATH")?;
    if !output.status.success() {
        bail!("`go {}` failed in {} (see above)", args.first().unwrap_or(&""), module.display());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn fetch_busybox(tools: &Tools) -> Result<()> {
    for candidate in ["/bin/busybox", "/usr/bin/busybox"] {
        if is_static(Path::new(candidate)).await {
            std::fs::copy(candidate, tools.busybox())?;
            return Ok(());
        }
    }
    match fetch_packaged(tools, "busybox-static", "bin/busybox", &tools.busybox()).await {
        Ok(()) => Ok(()),
        Err(_) => fetch_packaged(tools, "busybox-static", "usr/bin/busybox", &tools.busybox()).await,
    }
}

/// Takes one file of the distribution's own package; unpacked, not installed, so that no right is needed.
async fn fetch_packaged(tools: &Tools, package: &str, file: &str, target: &Path) -> Result<()> {
    note(&format!("Fetching {file} from the distribution's package {package}."));
    let dir = tempfile::tempdir_in(&tools.dir)?;
    let script = format!(
        "apt-get download {package} || {{ apt-get update && apt-get download {package}; }}; \
         dpkg-deb -x {package}_*.deb unpacked"
    );
    let output = Command::new("sh").arg("-c").arg(script).current_dir(dir.path()).output().await?;
    let found = dir.path().join("unpacked").join(file);
    if !found.is_file() {
        bail!(
            "no {file}: install the package {package} and run this again ({})",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    std::fs::copy(found, target)?;
    Ok(())
}

async fn is_static(path: &Path) -> bool {
    let Ok(output) = Command::new("ldd").arg(path).output().await else { return false };
    path.is_file()
        && String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains("not a dynamic")
}

#[expect(clippy::print_stderr, reason = "a person waits for this and must know why")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
