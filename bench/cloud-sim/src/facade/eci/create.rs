//! CreateContainerGroup: size, place, stock, and the group that the core then runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::Front;
use super::super::faults::Injected;
use super::super::sales::{Missing, Shown, Want};
use super::admit::{self, Billed};
use super::error::EciError;
use super::size::{cores_and_gib, machine};
use super::tree::Tree;
use super::{Eci, Order, change, forge, images};
use crate::core::clock::k8s_time;
use crate::core::instances::{StockOut, new_uid};
use crate::core::kind::Kind;
use crate::core::plan::PodPlan;
use crate::core::store::Key;
use crate::size::Size;

/// Minutes that a group may wait for capacity if it does not say.
const PENDING_MINUTES: i64 = 240;

/// Creates a group.
pub(super) fn group(
    front: &Arc<Front>,
    eci: &Eci,
    order: &Order,
    injected: &Injected,
) -> Result<Value, EciError> {
    let (tree, standing, now) = (&order.tree, front.sales.standing(), front.cloud.clock.now());
    admit::group(tree)?;
    if let Some(refused) = EciError::account(standing.state) {
        return Err(refused);
    }
    images::usable(eci, front, tree)?;
    let billed = admit::billed(tree, &front.cloud.region, eci.variants().exact_sizes)?;
    if standing.max_cpu.is_some_and(|most| used_cores(front) + cores_and_gib(billed.size).cpu > most) {
        return Err(EciError::new(403, "QuotaExceeded", "The vCPU quota of the region is exceeded."));
    }
    let place = place(front, eci, tree, &billed)?;
    if tree.flag("DryRun")? {
        let message = "Request validation has been passed with DryRun flag set.";
        return Err(EciError::new(400, "DryRunOperation", message));
    }
    let number = eci.serial.fetch_add(1, Ordering::Relaxed);
    let random: String = new_uid().chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let id = format!("eci-bp1{:011x}{random}", (now.as_millisecond().unsigned_abs() << 4) + (number & 0xf));
    let stock_out = stock_out(injected, place.missing);
    let object = object(front, order, &id, &place, stock_out.is_some())?;
    let plan = plan(&object)?;
    let created = front.cloud.store.create(Kind::Pod, &Key::new(&front.cloud.region, &id), object, now);
    let created = created.ok_or_else(|| EciError::new(500, "InternalError", "The id is taken."))?;
    let waits = stock_out.is_some();
    front.cloud.launch(&created, plan, place.size, stock_out);
    if waits {
        let minutes =
            u64::try_from(tree.integer("MaxPendingMinute")?.unwrap_or(PENDING_MINUTES)).unwrap_or_default();
        change::touch_later(front, &id, Duration::from_secs(minutes * 60 + 1));
    }
    Ok(json!({"ContainerGroupId": id}))
}

/// Where a group goes.
struct Placed {
    zone: String,
    switch: String,
    size: Size,
    machine: String,
    missing: Option<Missing>,
}

/// A rule of the call itself counts before the region's stock.
fn stock_out(injected: &Injected, missing: Option<Missing>) -> Option<StockOut> {
    let message = "no capacity in the zone";
    let standing = missing.map(|missing| {
        let lasts = missing.lasts.filter(|_| missing.face == Shown::Pending);
        let failed = if missing.face == Shown::Failed { NO_STOCK } else { message };
        StockOut { message: failed.to_owned(), lasts }
    });
    injected.stock_out.clone().or(standing)
}

/// Message of an order that was accepted and can never be filled.
pub(super) const NO_STOCK: &str = "ContainerGroup.NoStock";

/// The first switch, and there the first machine, that has stock; in the client's order.
fn place(front: &Front, eci: &Eci, tree: &Tree, billed: &Billed) -> Result<Placed, EciError> {
    let mut refused = None;
    let mut accepted = None;
    for (switch, zone) in switches(eci, tree)? {
        let machines: Vec<&str> = if billed.machines.is_empty() {
            vec![""]
        } else {
            billed.machines.iter().map(String::as_str).collect()
        };
        for name in machines {
            let size = machine(name).unwrap_or(billed.size);
            let asked = cores_and_gib(size);
            let want = Want {
                zone: &zone,
                subnet: &switch,
                cpu: asked.cpu,
                memory: asked.memory,
                instance_type: name,
                spot: billed.spot,
            };
            let missing = front.sales.missing(&want, front.cloud.clock.now());
            let placed = || Placed {
                zone: zone.clone(),
                switch: switch.clone(),
                size,
                machine: name.to_owned(),
                missing,
            };
            match missing {
                None => return Ok(placed()),
                Some(Missing { face: Shown::Refused, addresses, .. }) => {
                    refused.get_or_insert_with(|| refusal(addresses, billed.spot));
                }
                Some(_) => {
                    accepted.get_or_insert_with(placed);
                }
            }
        }
    }
    accepted.ok_or_else(|| refused.unwrap_or_else(EciError::no_stock))
}

fn refusal(addresses: bool, spot: bool) -> EciError {
    if addresses {
        let message = "The specified VSwitch does not have enough IP addresses.";
        return EciError::new(403, "InvalidVSwitchId.IpNotEnough", message);
    }
    if spot {
        return EciError::new(
            403,
            "Spot.NotMatched",
            "No spot resource matches the specified configuration.",
        );
    }
    EciError::no_stock()
}

/// The switches that are asked for and their zones.
fn switches(eci: &Eci, tree: &Tree) -> Result<Vec<(String, String)>, EciError> {
    let wanted = tree.text("ZoneId");
    if let Some(zone) = wanted.filter(|zone| !eci.zones.iter().any(|known| known == zone)) {
        return Err(EciError::new(
            403,
            "Zone.NotOnSale",
            format!("The specified zone {zone} is not on sale."),
        ));
    }
    let first = eci.zones.first().cloned().unwrap_or_default();
    let asked: Vec<&str> =
        tree.word("VSwitchId").split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    if asked.is_empty() {
        let zones = wanted.map_or_else(|| eci.zones.clone(), |zone| vec![zone.to_owned()]);
        return Ok(zones.into_iter().map(|zone| (format!("vsw-default-{zone}"), zone)).collect());
    }
    let mut found = Vec::new();
    for id in asked {
        let zone = match eci.switches.get(id) {
            Some(zone) => zone.clone(),
            None if eci.switches.is_empty() => wanted.map_or_else(|| first.clone(), str::to_owned),
            None => {
                let message = format!("The specified VSwitchId {id} does not exist.");
                return Err(EciError::new(404, "InvalidVSwitchId.NotFound", message));
            }
        };
        if wanted.is_some_and(|wanted| wanted != zone) {
            let message = "The specified VSwitch is not in the specified zone.";
            return Err(EciError::new(403, "OperationDenied.VswZoneMisMatch", message));
        }
        found.push((id.to_owned(), zone));
    }
    if tree.word("ScheduleStrategy") == "VSwitchRandom" {
        let turn = eci.serial.load(Ordering::Relaxed) % found.len().max(1) as u64;
        found.rotate_left(usize::try_from(turn).unwrap_or_default());
    }
    Ok(found)
}

/// Cores of everything that is billed.
pub(super) fn used_cores(front: &Front) -> f64 {
    front.cloud.all().iter().map(|instance| cores_and_gib(instance.size).cpu).sum()
}

fn object(front: &Front, order: &Order, id: &str, place: &Placed, waits: bool) -> Result<Value, EciError> {
    let tree = &order.tree;
    let labels: Map<String, Value> = admit::tags(tree)?.into_iter().map(|(k, v)| (k, json!(v))).collect();
    let mut shown = forge::shown(tree);
    let asked = cores_and_gib(place.size);
    let network = json!({
        "ContainerGroupId": id, "RegionId": front.cloud.region, "ZoneId": place.zone, "VSwitchId": place.switch,
        "VpcId": "vpc-default", "EniInstanceId": format!("eni-{}", id.trim_start_matches("eci-")),
        "InstanceType": place.machine, "Cpu": asked.cpu, "Memory": asked.memory, "InternetIp": "", "Ipv6Address": "",
        "CreationTime": k8s_time(front.cloud.clock.now()),
    });
    merge(&mut shown, network);
    Ok(json!({
        "metadata": {
            "name": id, "namespace": front.cloud.region, "uid": id, "labels": labels,
            "creationTimestamp": k8s_time(front.cloud.clock.now()),
        },
        "spec": forge::spec(tree),
        "status": {"phase": "Pending"},
        "eci": {
            "request": order.flat, "shown": shown, "uuid": new_uid(), "waits": waits,
            "pendingMinutes": tree.integer("MaxPendingMinute")?.unwrap_or(PENDING_MINUTES),
            "spot": order.tree.word("SpotStrategy").starts_with("Spot"), "address": tree.word("PrivateIpAddress"),
        },
    }))
}

/// Puts the fields of one object into another.
pub(super) fn merge(into: &mut Value, from: Value) {
    if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
        into.extend(from);
    }
}

/// What the core runs of a stored group. Its name is the group's, its identity the id.
pub(super) fn plan(object: &Value) -> Result<Arc<PodPlan>, EciError> {
    let mut plan = PodPlan::read(object).map_err(|why| EciError::new(400, "InvalidParameter", why))?;
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    text("/eci/shown/ContainerGroupName").clone_into(&mut plan.name);
    plan.address = text("/status/podIP").parse().or_else(|_| text("/eci/address").parse()).ok();
    Ok(Arc::new(plan))
}

/// Grace of a group.
pub(super) fn grace(object: &Value) -> Duration {
    let seconds = object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
    Duration::from_secs(seconds.unwrap_or(30))
}
