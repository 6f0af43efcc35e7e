//! Finds or installs the browser that the test of the capacity page drives.

use std::path::PathBuf;

use anyhow::{Result, bail};
use tokio::process::Command;

/// Programs that will do, in order.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Makes sure that there is a Chromium: installs the distribution's package if there is none and this is root.
///
/// # Errors
/// When there is none and it cannot be installed; the text says what to do.
pub async fn ensure_chromium() -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let remedy = "the tests of the capacity page need Chromium: install it (`apt-get install chromium`), or put chromium or \
                  google-chrome on the PATH";
    if !rustix::process::geteuid().is_root() {
        bail!("{remedy}; as root, `lab build` does it");
    }
    crate::binaries::note(
        "Installing the distribution's chromium package; the tests of the capacity page need it.",
    );
    let script = "apt-get install -y -q chromium || { apt-get update -q && apt-get install -y -q chromium; }";
    let output =
        Command::new("sh").arg("-c").arg(script).env("DEBIAN_FRONTEND", "noninteractive").output().await?;
    match find() {
        Some(found) => Ok(found),
        None => bail!("{remedy} ({})", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let all = std::env::split_paths(&path).flat_map(|dir| NAMES.map(|name| dir.join(name)));
    all.into_iter().find(|program| program.is_file())
}
