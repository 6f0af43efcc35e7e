//! kube-proxy, for cases in which Services carry traffic: built from the version of the lab's control plane, with `nft` and
//! its libraries of the distribution. As a program of the lab, and as an image of its clouds.
//!
//! Cached under `target/control-plane/kube-proxy-<hash of the Go module>`; nothing else of the lab needs it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::process::Command;

use crate::{
    Lab, Process,
    binaries::{build, digest, kubernetes_version, note, repository_root},
};

const PACKAGE: &str = "k8s.io/kubernetes/cmd/kube-proxy";
/// Raised when what is made of the module changes.
const EDITION: &[u8] = b"1";

/// `nft` and everything that it needs, laid out as a merged `/usr`; unpacked, not installed, so that no right is needed.
const UNPACK: &str = r#"
needs() {
    apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
        nftables | grep '^[a-z0-9]' | sort -u
}
apt-get download $(needs) || { apt-get update && apt-get download $(needs); }
set -e
for package in *.deb; do dpkg-deb -x "$package" root; done
cd root
for dir in bin sbin lib lib64; do
    if [ -d $dir ] && [ ! -L $dir ]; then mkdir -p usr/$dir; cp -a $dir/. usr/$dir/; rm -rf $dir; fi
    mkdir -p usr/$dir
    [ -L $dir ] || ln -s usr/$dir $dir
done
rm -rf usr/share
mkdir -p usr/local/bin
test -x usr/sbin/nft
"#;

/// kube-proxy and `nft`, present.
#[derive(Clone, Debug)]
pub struct ServiceProxy {
    dir: PathBuf,
}

impl ServiceProxy {
    /// Name of the image.
    pub const IMAGE: &str = "kube-proxy";

    /// The one that was built before ([`ensure_service_proxy`]); none if it was not.
    pub fn built() -> Option<Self> {
        let proxy = Self { dir: cache_dir().ok()? };
        proxy.images().join(Self::IMAGE).join("index.json").is_file().then_some(proxy)
    }

    /// The folder of OCI layouts in which [`Self::IMAGE`] is.
    pub fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// `nft`, run where no library of it is installed.
    ///
    /// # Errors
    /// When it is not complete.
    pub fn nft(&self) -> Result<Command> {
        let root = self.root();
        let libraries = std::fs::read_dir(root.join("usr/lib"))?.flatten().map(|entry| entry.path());
        let libraries: Vec<String> = libraries.map(|path| path.display().to_string()).collect();
        let loaders = ["usr/lib64", "usr/lib"].into_iter().flat_map(|dir| std::fs::read_dir(root.join(dir)));
        let loader = loaders.flatten().flatten().map(|entry| entry.path());
        let loader = loader
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux")))
            .context("the packages of nft have no loader")?;
        let mut command = Command::new(loader);
        command.arg("--library-path").arg(libraries.join(":")).arg(root.join("usr/sbin/nft"));
        Ok(command)
    }

    /// Runs kube-proxy in the lab's own network, as that of a node of the cluster.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, lab: &Lab, node: &str, kubeconfig: &Path) -> Result<Process> {
        let bin = lab.dir().join("bin");
        std::fs::create_dir_all(&bin)?;
        let nft = self.nft()?;
        let words = std::iter::once(nft.as_std().get_program()).chain(nft.as_std().get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let script = bin.join("nft");
        std::fs::write(&script, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")))?;
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(self.root().join("usr/local/bin/kube-proxy"));
        command
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .arg(format!("--hostname-override={node}"))
            .args(["--proxy-mode=nftables", "--healthz-bind-address=", "--metrics-bind-address="])
            .args(["--conntrack-max-per-core=0", "--conntrack-min=0", "--oom-score-adj=0"])
            .args(["--conntrack-tcp-timeout-established=0s", "--conntrack-tcp-timeout-close-wait=0s"])
            .env("PATH", format!("{}:{path}", bin.display()));
        lab.spawn("kube-proxy", command)
    }

    /// Takes the rules away that kube-proxy leaves behind when it ends.
    ///
    /// # Errors
    /// When `nft` cannot be run.
    pub async fn forget_rules(&self) -> Result<()> {
        for family in ["ip", "ip6"] {
            // Gone already is as good.
            self.nft()?.args(["delete", "table", family, "kube-proxy"]).output().await?;
        }
        Ok(())
    }
}

/// Builds what is missing; says so. Has to be called before the lab is entered, which has no network.
///
/// # Errors
/// As [`crate::ensure_tools`].
pub async fn ensure_service_proxy() -> Result<ServiceProxy> {
    if let Some(proxy) = ServiceProxy::built() {
        return Ok(proxy);
    }
    let proxy = ServiceProxy { dir: cache_dir()? };
    let version = kubernetes_version(&module_dir()?)?;
    let lab = kubernetes_version(&repository_root()?.join("bench/control-plane"))?;
    ensure!(version == lab, "kube-proxy is {version} and the control plane {lab}: change both go.mod files");
    note(&format!(
        "Building kube-proxy {version} from its Go module, with nft of the distribution (some minutes, then cached)."
    ));
    let parent = proxy.dir.parent().context("the cache has a folder")?;
    std::fs::create_dir_all(parent)?;
    let work = tempfile::tempdir_in(parent)?;
    let unpacked = Command::new("sh").arg("-c").arg(UNPACK).current_dir(work.path()).output().await?;
    ensure!(
        unpacked.status.success(),
        "no nft from the distribution's package nftables: {}",
        String::from_utf8_lossy(&unpacked.stderr).trim()
    );
    build(&module_dir()?, &version, &work.path().join("root/usr/local/bin"), &[PACKAGE]).await?;
    write_layout(work.path()).await?;
    let _ = std::fs::remove_dir_all(&proxy.dir);
    std::fs::create_dir_all(&proxy.dir)?;
    for part in ["root", "images"] {
        std::fs::rename(work.path().join(part), proxy.dir.join(part))?;
    }
    Ok(proxy)
}

fn module_dir() -> Result<PathBuf> {
    Ok(repository_root()?.join("bench/control-plane/kube-proxy"))
}

fn cache_dir() -> Result<PathBuf> {
    let mut key = EDITION.to_vec();
    for file in ["go.sum", "go.mod"] {
        key.extend(std::fs::read(module_dir()?.join(file)).with_context(|| file.to_owned())?);
    }
    let hash = digest(&key).get(..16).unwrap_or_default().to_owned();
    Ok(repository_root()?.join("target/control-plane").join(format!("kube-proxy-{hash}")))
}

/// An OCI layout of one layer: the folder `root`.
async fn write_layout(dir: &Path) -> Result<()> {
    let layout = dir.join("images").join(ServiceProxy::IMAGE);
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;
    let layer = dir.join("layer.tar");
    let packed = Command::new("tar")
        .args(["--owner=0", "--group=0", "--numeric-owner", "-cf"])
        .arg(&layer)
        .args(["-C", "root", "."])
        .current_dir(dir)
        .output()
        .await?;
    ensure!(packed.status.success(), "tar: {}", String::from_utf8_lossy(&packed.stderr).trim());
    let sum = digest(&std::fs::read(&layer)?);
    std::fs::rename(&layer, blobs.join(&sum))?;
    let blob = |value: serde_json::Value| -> Result<serde_json::Value> {
        let bytes = serde_json::to_vec(&value)?;
        let sum = digest(&bytes);
        std::fs::write(blobs.join(&sum), &bytes)?;
        Ok(json!({"digest": format!("sha256:{sum}"), "size": bytes.len()}))
    };
    let config = blob(json!({"os": "linux", "config": {}}))?;
    let manifest =
        blob(json!({"schemaVersion": 2, "config": config, "layers": [{"digest": format!("sha256:{sum}")}]}))?;
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    Ok(std::fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)?)
}
