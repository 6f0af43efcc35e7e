//! Images: the built-in `busybox`, made from a static binary, and OCI image layouts in a folder.
//!
//! Nothing is fetched. An image that is not there is answered as a registry would: not found. Facts: OCI image-spec,
//! layout and layer (whiteouts are applied to lower layers before the layer's own files).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::auth::sha256_hex;

/// An image ready to run.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) root: PathBuf,
    pub(super) config: Config,
}

/// The part of an image's configuration that starts a program.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Config {
    pub(super) env: Option<Vec<String>>,
    pub(super) entrypoint: Option<Vec<String>>,
    pub(super) cmd: Option<Vec<String>>,
    pub(super) working_dir: String,
    pub(super) user: String,
}

/// All images that can be had.
#[derive(Debug)]
pub(super) struct Images {
    cache: PathBuf,
    busybox: Option<PathBuf>,
    layouts: Option<PathBuf>,
    ready: Mutex<HashMap<String, Arc<Image>>>,
}

impl Images {
    /// Images unpacked below the state folder.
    pub(super) fn new(state: &Path, busybox: Option<PathBuf>, layouts: Option<PathBuf>) -> Self {
        Self { cache: state.join("images"), busybox, layouts, ready: Mutex::default() }
    }

    /// An image by reference; the error is what a kubelet would say.
    pub(super) async fn get(&self, reference: &str) -> Result<Arc<Image>, String> {
        let mut ready = self.ready.lock().await;
        if let Some(image) = ready.get(reference) {
            return Ok(image.clone());
        }
        let failed = |error: io::Error| format!("failed to pull and unpack image {reference:?}: {error}");
        let image = if let Some(layout) = self.layout(reference) {
            self.unpack(&layout).await.map_err(failed)?
        } else if let (true, Some(busybox)) = (is_busybox(reference), &self.busybox) {
            busybox_image(busybox, &self.cache.join("busybox")).await.map_err(failed)?
        } else {
            return Err(format!(
                "failed to pull and unpack image {reference:?}: failed to resolve reference: not found"
            ));
        };
        let image = Arc::new(image);
        ready.insert(reference.to_owned(), image.clone());
        Ok(image)
    }

    /// `<images>/<name>` or `<images>/<name without tag>`, with `/` and `:` as `_`.
    fn layout(&self, reference: &str) -> Option<PathBuf> {
        let layouts = self.layouts.as_ref()?;
        let folder = |name: &str| layouts.join(name.replace(['/', ':', '@'], "_"));
        let all = [folder(reference), folder(untagged(reference))];
        all.into_iter().find(|path| path.join("index.json").is_file())
    }

    async fn unpack(&self, layout: &Path) -> io::Result<Image> {
        let index: Index = read_json(&fs::read(layout.join("index.json"))?)?;
        let digest = choose(&index)
            .ok_or_else(|| io::Error::other("index.json lists no manifest for this machine"))?;
        let mut manifest = blob(layout, digest)?;
        // An index may point to another index.
        if let Ok(nested) = read_json::<Index>(&manifest)
            && let Some(digest) = choose(&nested)
        {
            manifest = blob(layout, digest)?;
        }
        let name = sha256_hex(&manifest);
        let manifest: Manifest = read_json(&manifest)?;
        let config: ConfigFile = read_json(&blob(layout, &manifest.config.digest)?)?;
        let root = self.cache.join(&name).join("rootfs");
        let done = self.cache.join(&name).join("done");
        if !done.exists() {
            let _ = fs::remove_dir_all(&root);
            fs::create_dir_all(&root)?;
            for layer in &manifest.layers {
                apply_layer(&blob_path(layout, &layer.digest)?, &root).await?;
            }
            fs::write(done, b"")?;
        }
        Ok(Image { root, config: config.config })
    }
}

fn untagged(reference: &str) -> &str {
    let start = reference.rfind('/').map_or(0, |at| at + 1);
    let end = reference
        .get(start..)
        .and_then(|last| last.find([':', '@']))
        .map_or(reference.len(), |at| start + at);
    reference.get(..end).unwrap_or(reference)
}

/// Any registry has a copy of it; there, as at Docker Hub, it is the library's.
fn is_busybox(reference: &str) -> bool {
    let name = untagged(reference);
    let path = name.split_once('/').filter(|(host, _)| host.contains('.')).map_or(name, |(_, path)| path);
    matches!(path, "busybox" | "library/busybox")
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(default)]
    config: Config,
}

/// This machine's manifest, or one without a platform.
fn choose(index: &Index) -> Option<&str> {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits =
        |d: &&Descriptor| d.platform.as_ref().is_none_or(|p| p.os == "linux" && p.architecture == machine);
    index.manifests.iter().find(fits).map(|descriptor| descriptor.digest.as_str())
}

fn read_json<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::from)
}

fn blob_path(layout: &Path, digest: &str) -> io::Result<PathBuf> {
    let hex = digest
        .strip_prefix("sha256:")
        .filter(|hex| hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit()));
    let hex = hex.ok_or_else(|| io::Error::other(format!("digest {digest:?} is not sha256")))?;
    Ok(layout.join("blobs/sha256").join(hex))
}

/// A blob whose contents are what its digest says.
fn blob(layout: &Path, digest: &str) -> io::Result<Vec<u8>> {
    let bytes = fs::read(blob_path(layout, digest)?)?;
    if format!("sha256:{}", sha256_hex(&bytes)) == digest {
        Ok(bytes)
    } else {
        Err(io::Error::other(format!("blob {digest} is damaged")))
    }
}

/// Whiteouts first (they speak of lower layers), then the layer's own files.
async fn apply_layer(layer: &Path, root: &Path) -> io::Result<()> {
    let listed = tar(&["-tf"], layer, root).await?;
    for entry in String::from_utf8_lossy(&listed).lines() {
        let path = Path::new(entry.trim_start_matches("./"));
        let Some(name) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(".wh."))
        else {
            continue;
        };
        let Some(parent) = inside(root, path.parent().unwrap_or_else(|| Path::new(""))) else { continue };
        if name == ".wh..opq" {
            for entry in fs::read_dir(&parent)?.flatten() {
                remove(&entry.path())?;
            }
        } else {
            remove(&parent.join(name))?;
        }
    }
    tar(&["--exclude=.wh.*", "--numeric-owner", "-xpf"], layer, root).await.map(drop)
}

/// The folder below the root, if it exists and no link leads out of it.
fn inside(root: &Path, relative: &Path) -> Option<PathBuf> {
    if relative.components().any(|part| matches!(part, Component::ParentDir | Component::RootDir)) {
        return None;
    }
    let path = root.join(relative).canonicalize().ok()?;
    path.starts_with(root.canonicalize().ok()?).then_some(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// GNU tar, which knows every compression that is installed and refuses to leave its folder.
async fn tar(arguments: &[&str], layer: &Path, root: &Path) -> io::Result<Vec<u8>> {
    let output = Command::new("tar")
        .args(arguments)
        .arg(layer)
        .arg("-C")
        .arg(root)
        .stdin(Stdio::null())
        .output()
        .await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("tar {}: {}", layer.display(), text.trim())))
}

/// A root file system with the binary and a link per applet.
async fn busybox_image(binary: &Path, dir: &Path) -> io::Result<Image> {
    let root = dir.join("rootfs");
    let _ = fs::remove_dir_all(&root);
    for name in
        ["bin", "etc", "root", "tmp", "var", "home", "usr/bin", "usr/sbin", "sbin", "dev", "proc", "sys"]
    {
        fs::create_dir_all(root.join(name))?;
    }
    fs::copy(binary, root.join("bin/busybox"))?;
    let listed = Command::new(binary).arg("--list").output().await?;
    for applet in String::from_utf8_lossy(&listed.stdout).lines().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("/bin/busybox", root.join("bin").join(applet))?;
    }
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    let config = Config { cmd: Some(vec!["sh".to_owned()]), ..Config::default() };
    Ok(Image { root, config })
}

impl Image {
    /// The user and group that the configuration names, numbers or names of the image's own files.
    pub(super) fn user(&self) -> (u32, u32) {
        let (user, group) = self.config.user.split_once(':').unwrap_or((&self.config.user, ""));
        let entry = |file: &str, name: &str| -> Option<Vec<String>> {
            let text = fs::read_to_string(self.root.join(file)).ok()?;
            let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
            Some(line.split(':').map(str::to_owned).collect())
        };
        let number = |fields: &Option<Vec<String>>, at: usize| fields.as_ref()?.get(at)?.parse().ok();
        let known = entry("etc/passwd", user);
        let uid = user.parse().ok().or_else(|| number(&known, 2)).unwrap_or(0);
        let named = || number(&entry("etc/group", group), 2);
        let gid = group.parse().ok().or_else(named).or_else(|| number(&known, 3)).unwrap_or(0);
        (uid, gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lose_their_tag() {
        for (reference, name) in [
            ("busybox", "busybox"),
            ("busybox:1.36", "busybox"),
            ("r:5000/a/b:1", "r:5000/a/b"),
            ("a/b@sha256:00", "a/b"),
        ] {
            assert_eq!(untagged(reference), name);
        }
        assert!(is_busybox("docker.io/library/busybox:1") && is_busybox("hub.example.cn/library/busybox"));
        assert!(!is_busybox("other/busybox"));
    }

    #[tokio::test]
    async fn an_unknown_image_is_not_found() {
        let dir = tempfile::tempdir().expect("a folder");
        let images = Images::new(dir.path(), None, Some(dir.path().to_owned()));
        for reference in ["nginx:1", "busybox"] {
            let error = images.get(reference).await.expect_err("not there");
            assert!(error.contains(reference) && error.ends_with("not found"), "{error}");
        }
    }

    /// Writes a blob and answers its digest.
    fn put(layout: &Path, bytes: &[u8]) -> String {
        let hex = sha256_hex(bytes);
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a folder");
        fs::write(blobs.join(&hex), bytes).expect("written");
        format!("sha256:{hex}")
    }

    /// A gzipped layer of these files, made by the real tar.
    async fn layer(files: &[(&str, &str)]) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a folder");
        for (path, contents) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, contents).expect("written");
        }
        let output = Command::new("tar")
            .args(["-czf", "-", "-C"])
            .arg(dir.path())
            .arg(".")
            .output()
            .await
            .expect("tar");
        output.stdout
    }

    async fn image(layout: &Path) {
        let lower = put(layout, &layer(&[("a", "1"), ("d/x", "1"), ("d/y", "1"), ("o/old", "1")]).await);
        let upper = put(
            layout,
            &layer(&[(".wh.a", ""), ("d/.wh.x", ""), ("d/z", "2"), ("o/.wh..wh..opq", ""), ("o/new", "2")])
                .await,
        );
        let config = serde_json::json!({"config": {"Entrypoint": ["/e"], "Env": ["A=b"], "User": "7:8", "WorkingDir": "/w"}});
        let config = put(layout, config.to_string().as_bytes());
        let manifest = serde_json::json!({"config": {"digest": config}, "layers": [{"digest": lower}, {"digest": upper}]});
        let manifest = put(layout, manifest.to_string().as_bytes());
        let index = serde_json::json!({"manifests": [
            {"digest": "sha256:00", "platform": {"os": "windows", "architecture": "amd64"}}, {"digest": manifest}]});
        fs::write(layout.join("index.json"), index.to_string()).expect("written");
    }

    #[tokio::test]
    async fn layers_are_applied_in_order_with_whiteouts() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = dir.path().join("layouts/team_web");
        image(&layout).await;
        let images = Images::new(&dir.path().join("state"), None, Some(dir.path().join("layouts")));
        let image = images.get("team/web:3").await.expect("unpacked");
        let there = |path: &str| image.root.join(path).exists();
        assert_eq!(
            ["a", "d/x", "d/y", "d/z", "o/old", "o/new"].map(there),
            [false, false, true, true, false, true]
        );
        assert!(!there("d/.wh.x") && !there(".wh.a"));
        assert_eq!(image.user(), (7, 8));
        assert_eq!(
            (image.config.entrypoint.clone(), image.config.working_dir.as_str()),
            (Some(vec!["/e".to_owned()]), "/w")
        );
    }

    #[tokio::test]
    async fn a_damaged_blob_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let layout = dir.path().join("web");
        image(&layout).await;
        for entry in fs::read_dir(layout.join("blobs/sha256")).expect("blobs").flatten() {
            fs::write(entry.path(), "{}").expect("written");
        }
        let error = Images::new(&dir.path().join("s"), None, Some(dir.path().to_owned()))
            .get("web")
            .await
            .expect_err("damaged");
        assert!(error.contains("damaged"), "{error}");
    }
}
