//! `kubectl burst verify`, called by kubectl as its plugin.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::World;

/// The configuration that the running kube-scheduler accepted is proved with the taints that the nodes really carry; a
/// configuration with the stock weight is not, and the exit code says so.
pub(crate) async fn shipped_configuration_is_proved_against_live_taints(world: Arc<World>) -> Result<()> {
    let shipped = lab::repository_root()?.join("deploy/scheduler/kube-scheduler-config.yaml");
    let text = std::fs::read_to_string(&shipped)?;
    let output = verify(&world, &shipped).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && said.contains("proved"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    ensure!(text.contains("weight: 20"), "the shipped configuration has changed; change this case with it");
    let weak = world.lab.dir().join("weak.yaml");
    std::fs::write(&weak, text.replace("weight: 20", "weight: 3"))?;
    let output = verify(&world, &weak).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.code() == Some(1) && said.contains("not proved"),
        "exit {:?}: {said}",
        output.status.code()
    );
    Ok(())
}

async fn verify(world: &World, file: &std::path::Path) -> Result<std::process::Output> {
    let plugin = lab::built_binary("kubectl-burst")?;
    let path = format!(
        "{}:{}",
        plugin.parent().context("folder of the plugin")?.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let file = file.to_str().context("path")?;
    let mut command = world.lab.kubectl_command(&["burst", "verify", file, "--live"]);
    command.env("PATH", path).output().await.context("kubectl burst")
}
