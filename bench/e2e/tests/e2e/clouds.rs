//! Simulated clouds beside the stack's own.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::World;
use lab::{AnotherCloud, CloudApi, CloudRuntime};

/// ECI and Cube with real processes answer on addresses of their own, while CCI's cloud goes on.
pub(crate) async fn eci_and_cube_stand_beside(world: Arc<World>) -> Result<()> {
    for api in [CloudApi::Eci, CloudApi::Cube] {
        let mut cloud = AnotherCloud::start(&world.lab, api, CloudRuntime::Process, &[]).await?;
        let health = cloud.get(&world.lab, "healthz").await?;
        ensure!(health["runtime"] == "process", "{health}");
        let bill = cloud.get(&world.lab, "meter").await?;
        ensure!(bill["open"] == 0 && bill["closed"] == 0, "its bill is its own: {bill}");
        cloud.process.stop(std::time::Duration::from_secs(10)).await?;
    }
    let stack = world.stack.lock().await;
    let first = stack.cloud_get(&world.lab, "healthz").await?;
    ensure!(first["ok"] == true, "{first}");
    Ok(())
}
