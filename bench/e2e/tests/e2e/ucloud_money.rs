//! UCloud: what is bought, how it is paid, and that it is bought once.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use e2e::World;
use lab::eventually_within;
use serde_json::json;

use crate::ucloud::{
    PATIENCE, annotated, apply, asked, get, instances, post, running_at_cube, told, with_cube,
};

/// The answer to a prepaid create is lost, the lists lag, and the bridge is killed: the next one writes on the pod why it
/// waits, orders nothing, and takes what was bought when it shows. A pod that is paid by the second is paid so.
pub(crate) async fn what_is_paid_in_advance_is_bought_once(world: Arc<World>) -> Result<()> {
    let ns = "ucloud-prepaid";
    with_cube(&world, ns, || prepaid(&world, ns)).await
}

async fn prepaid(world: &World, ns: &str) -> Result<()> {
    let lost = json!({"route": "CreateCubePod", "times": 1, "action": {"kind": "lostAnswer"}});
    let lag = json!({"route": "ListCubePod", "action": {"kind": "listLag", "milliseconds": 600_000}});
    post(world, "faults", &json!([lost, lag])).await?;
    let pod = annotated("month", &[("cube-chargetype", "month"), ("cube-quantity", "0")]);
    apply(world, ns, &pod.to_string()).await?;
    eventually_within(PATIENCE, "the order was sent", || async {
        let sent = asked(world, "CreateCubePod").await?;
        ensure!(sent == 1, "{sent} orders");
        Ok(())
    })
    .await?;
    {
        let mut stack = world.stack.lock().await;
        stack.bridge.kill().await?;
        stack.restart_bridge(&world.lab).await?;
    }
    told(world, ns, "month", &["paid in advance", "not sent again"]).await?;
    let pod = world.pod(ns, "month").await?;
    let (uid, kept) = (&pod["metadata"]["uid"], &pod["metadata"]["annotations"]["burst.io/prepaid-create"]);
    let (uid, kept) = (uid.as_str().context("a UID")?, kept.as_str().context("the order is on the pod")?);
    ensure!(kept.starts_with(uid), "{kept}");
    post(world, "faults", &json!([])).await?;
    running_at_cube(world, ns, 1).await?;
    let (sent, there) = (asked(world, "CreateCubePod").await?, instances(world).await?.len());
    ensure!((sent, there) == (1, 1), "{sent} orders, {there} instances");
    let bill = get(world, "meter").await?;
    ensure!(bill["open"] == 1, "{bill}");
    Ok(())
}

/// An address that is bought by annotation is bound, billed, and gone with its pod.
pub(crate) async fn an_address_is_bought_and_goes_with_its_pod(world: Arc<World>) -> Result<()> {
    let ns = "ucloud-address";
    with_cube(&world, ns, || address(&world, ns)).await
}

async fn address(world: &World, ns: &str) -> Result<()> {
    // The answer to the purchase is lost: it is found again.
    let lost = json!({"route": "AllocateEIP", "times": 1, "action": {"kind": "lostAnswer"}});
    post(world, "faults", &json!([lost])).await?;
    let wanted = [("cube-eip", "true"), ("cube-eip-paymode", "traffic"), ("cube-eip-bandwidth", "5")];
    apply(world, ns, &annotated("public", &wanted).to_string()).await?;
    running_at_cube(world, ns, 1).await?;
    eventually_within(PATIENCE, "the address is bound", || async {
        let bound = asked(world, "BindEIP").await?;
        ensure!(bound > 0, "{bound} addresses are bound");
        Ok(())
    })
    .await?;
    let (bill, bought) = (get(world, "meter").await?, asked(world, "AllocateEIP").await?);
    let addresses = bill["openItems"].as_array().context("items")?.iter();
    let addresses = addresses.filter(|item| item["what"] == "address").count();
    ensure!((addresses, bought) == (1, 1), "{bought} purchases, {bill}");
    world.lab.kubectl(&["delete", "pod", "public", "-n", ns, "--timeout=60s"]).await.map(drop)
}
