//! The life of a Cube pod: create, get, list, delete, renew in place, reboot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::super::Front;
use super::super::faults::Injected;
use super::super::sales::{Missing, Shown as Face, Want};
use super::error::CubeError;
use super::show::Shown;
use super::{Cube, Order, eip, pod};
use crate::core::clock::k8s_time;
use crate::core::instances::{StockOut, new_uid};
use crate::core::kind::Kind;
use crate::core::plan::PodPlan;
use crate::core::store::{Key, Stored, Verdict};
use crate::size::Size;

const LIST: usize = 20;
const LIST_MAX: usize = 100;

/// What calls select a pod by.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    uid: String,
    group: String,
    zone: String,
    vpc: String,
    subnet: String,
}

impl Facts {
    fn of(object: &Value) -> Self {
        let owned = |pointer: &str| text(object, pointer).to_owned();
        Self {
            uid: owned("/cube/uid"),
            group: owned("/cube/group"),
            zone: owned("/cube/provider/zone"),
            vpc: owned("/cube/provider/vpcId"),
            subnet: owned("/cube/provider/subnetId"),
        }
    }
}

fn facts(cube: &Cube) -> MutexGuard<'_, BTreeMap<String, Facts>> {
    cube.facts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pod by the `CubeId` or `Uid` of a call.
pub(super) fn find(front: &Front, cube: &Cube, order: &Order) -> Result<Option<Arc<Stored>>, CubeError> {
    if let Some(id) = order.text("CubeId") {
        return Ok(by_id(front, id));
    }
    let uid = order.text("Uid").ok_or_else(|| CubeError::missing("CubeId"))?;
    let ids: Vec<String> =
        facts(cube).iter().filter(|(_, facts)| facts.uid == uid).map(|(id, _)| id.clone()).collect();
    Ok(ids.iter().find_map(|id| by_id(front, id)))
}

/// A pod by id.
pub(super) fn by_id(front: &Front, id: &str) -> Option<Arc<Stored>> {
    front.cloud.store.get(Kind::Pod, &Key::new(&front.cloud.region, id))
}

/// Every pod, oldest first.
pub(super) fn all(front: &Front) -> Vec<Arc<Stored>> {
    front.cloud.store.list(Kind::Pod, Some(&front.cloud.region)).items
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Changes a stored pod.
pub(super) fn change(front: &Front, id: &str, work: impl FnOnce(&mut Value)) {
    let done =
        front.cloud.store.update::<CubeError>(Kind::Pod, &Key::new(&front.cloud.region, id), |object, _| {
            work(object);
            Ok(Verdict::Write)
        });
    debug_assert!(done.is_ok());
}

/// Sets a field of a part of an object.
pub(super) fn set(object: &mut Value, part: &str, field: &str, value: Value) {
    if let Some(map) = object.get_mut(part).and_then(Value::as_object_mut) {
        map.insert(field.to_owned(), value);
    }
}

fn encoded(stored: &Stored) -> Result<String, CubeError> {
    Shown { object: &stored.value() }.encoded()
}

/// CreateCubePod.
pub(super) fn create(
    front: &Arc<Front>,
    cube: &Cube,
    order: &Order,
    injected: &Injected,
) -> Result<Value, CubeError> {
    let (zone, subnet) = (order.required("Zone")?, order.required("SubnetId")?);
    order.required("VPCId")?;
    let (variants, standing, now) = (cube.variants(), front.sales.standing(), front.cloud.clock.now());
    let checked = pod::read(order.required("Pod")?, variants.any_size)?;
    cube.unknown.lock().unwrap_or_else(PoisonError::into_inner).extend(checked.unknown.iter().cloned());
    if let Some(known) = cube.subnets.get(subnet) {
        if known != zone {
            return Err(CubeError::parameter("SubnetId", "it is in another zone"));
        }
    } else if !cube.subnets.is_empty() {
        return Err(CubeError::parameter("SubnetId", "it does not exist"));
    }
    free(front, &checked.given)?;
    if let Some(refused) = CubeError::account(standing.state) {
        return Err(refused);
    }
    let used: u64 = front.cloud.all().iter().map(|instance| instance.size.cpu_milli).sum();
    if standing.max_cpu.is_some_and(|most| cores(used + checked.size.cpu_milli) > most) {
        return Err(CubeError::new(8095, "The quota of the region is exceeded"));
    }
    let stock_out = injected
        .stock_out
        .clone()
        .map_or_else(|| stock(front, zone, subnet, checked.size), |out| Ok(Some(out)))?;
    let random: String = new_uid().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    // Ids sort by age.
    let id = format!("cube-{:011x}{random}", now.as_millisecond());
    let object = object(front, order, &id, &checked, variants.adopts_uid)?;
    let plan = plan(&object)?;
    facts(cube).insert(id.clone(), Facts::of(&object));
    let created = front.cloud.store.create(Kind::Pod, &Key::new(&front.cloud.region, &id), object, now);
    let created = created.ok_or_else(|| CubeError::new(150, "The id is taken"))?;
    front.cloud.launch(&created, plan, checked.size, stock_out);
    Ok(json!({"CubeId": id, "Pod": encoded(&created)?}))
}

/// Refuses a pod whose disk another one has. To know that, all pods have to be read: only for pods with disks.
fn free(front: &Front, given: &Value) -> Result<(), CubeError> {
    let mut disks = pod::disks(given).peekable();
    if disks.peek().is_none() {
        return Ok(());
    }
    let attached = attached(front);
    disks.find(|disk| attached.contains_key(*disk)).map_or(Ok(()), |disk| {
        Err(CubeError::parameter("Pod", &format!("udisk {disk} is attached to another pod")))
    })
}

/// The UDisks of all pods, and whose each is.
pub(super) fn attached(front: &Front) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for stored in all(front) {
        let object = stored.value();
        let given = object.pointer("/cube/given").unwrap_or(&Value::Null);
        out.extend(pod::disks(given).map(|disk| (disk.to_owned(), stored.uid.clone())));
    }
    out
}

#[allow(clippy::cast_precision_loss, reason = "cores are far below 2^52")]
fn cores(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

/// Refused at once, or accepted and Pending.
#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn stock(front: &Front, zone: &str, subnet: &str, size: Size) -> Result<Option<StockOut>, CubeError> {
    let memory = size.memory_bytes as f64 / f64::from(1_u32 << 30);
    let want = Want { zone, subnet, cpu: cores(size.cpu_milli), memory, ..Want::default() };
    match front.sales.missing(&want, front.cloud.clock.now()) {
        None => Ok(None),
        Some(Missing { face: Face::Refused, addresses: true, .. }) => {
            Err(CubeError::new(8847, "The subnet has no free address"))
        }
        Some(Missing { face: Face::Refused, .. }) => {
            Err(CubeError::new(8357, "Resource is not enough in the zone"))
        }
        Some(Missing { lasts, .. }) => {
            Ok(Some(StockOut { message: "no capacity in the zone".to_owned(), lasts }))
        }
    }
}

fn object(
    front: &Front,
    order: &Order,
    id: &str,
    checked: &pod::Checked,
    adopts: bool,
) -> Result<Value, CubeError> {
    let given = &checked.given;
    let uid = text(given, "/metadata/uid").to_owned();
    let uid = if adopts && !uid.is_empty() { uid } else { new_uid() };
    let name = order
        .text("Name")
        .or_else(|| Some(text(given, "/metadata/name")).filter(|n| !n.is_empty()))
        .unwrap_or(id);
    let charge = order.one_of("ChargeType", &["Year", "Month", "Postpay"], "Postpay")?;
    let platform = order.one_of("CpuPlatform", &["V6", "A2", "Auto"], "Auto")?;
    let quantity = order.number("Quantity")?.unwrap_or(1);
    let created = k8s_time(front.cloud.clock.now());
    let containers = given.pointer("/spec/containers").and_then(Value::as_array).map_or(0, Vec::len);
    Ok(json!({
        "metadata": {
            "name": id, "namespace": front.cloud.region, "uid": id, "creationTimestamp": created,
            "labels": given.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({})),
        },
        "spec": checked.spec, "status": {"phase": "Pending"},
        "cube": {
            "given": given, "uid": uid, "name": name, "group": order.text("Group").unwrap_or("Default"),
            "tag": order.text("Tag").unwrap_or("Default"), "quantity": quantity,
            "expiration": expiration(front, charge, quantity),
            "provider": {
                "chargeType": charge, "containerCount": containers, "cpuPlatform": platform, "region": front.cloud.region,
                "zone": order.required("Zone")?, "vpcId": order.required("VPCId")?, "subnetId": order.required("SubnetId")?,
            },
        },
    }))
}

/// Unix seconds; 0 for what is paid afterwards.
fn expiration(front: &Front, charge: &str, quantity: i64) -> i64 {
    let days = match charge {
        "Year" => 365 * quantity,
        "Month" => 30 * quantity,
        _ => return 0,
    };
    let end = front.cloud.clock.now().checked_add(SignedDuration::from_hours(24 * days));
    end.map_or(i64::MAX, |end| end.as_second())
}

/// What the core runs of a stored pod.
fn plan(object: &Value) -> Result<Arc<PodPlan>, CubeError> {
    let mut plan = PodPlan::read(object).map_err(|why| CubeError::parameter("Pod", &why))?;
    text(object, "/cube/name").clone_into(&mut plan.name);
    plan.address = text(object, "/status/podIP").parse().ok();
    Ok(Arc::new(plan))
}

/// GetCubePod. A pod that is gone is RetCode 0 and an empty Pod.
pub(super) fn get(front: &Front, cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    order.required("ProjectId")?;
    match find(front, cube, order)? {
        Some(stored) => Ok(json!({"Pod": encoded(&stored)?})),
        None if cube.variants().unknown_is_empty => Ok(json!({"Pod": ""})),
        None => Err(CubeError::no_pod()),
    }
}

/// ListCubePod.
pub(super) fn list(
    front: &Front,
    cube: &Cube,
    order: &Order,
    injected: &Injected,
) -> Result<Value, CubeError> {
    let zone = order.required("Zone")?;
    let number = |name: &str, default: usize| {
        let given = order.number(name)?;
        given.map_or(Ok(default), |n| {
            usize::try_from(n).map_err(|_| CubeError::parameter(name, "it is negative"))
        })
    };
    let (offset, limit) = (number("Offset", 0)?, number("Limit", LIST)?);
    if limit > LIST_MAX {
        return Err(CubeError::parameter("Limit", "it is more than 100"));
    }
    let lag = SignedDuration::try_from(injected.list_lag).unwrap_or(SignedDuration::ZERO);
    let now = front.cloud.clock.now();
    let all = all(front);
    let mut facts = facts(cube);
    if facts.len() > 2 * all.len() + 100 {
        let live: BTreeSet<&str> = all.iter().map(|stored| stored.uid.as_str()).collect();
        facts.retain(|id, _| live.contains(id.as_str()));
    }
    let mut found: Vec<Arc<Stored>> = (all.into_iter())
        .filter(|stored| lag.is_zero() || now.duration_since(stored.created) >= lag)
        .filter(|stored| facts.get(&stored.uid).is_some_and(|facts| selected(facts, order, zone)))
        .collect();
    drop(facts);
    if let Some(missing) = injected.partial_list {
        let mut number = 0_usize;
        found.retain(|_| {
            number += 1;
            missing > 0 && !number.is_multiple_of(missing)
        });
    }
    let pods: Result<Vec<String>, CubeError> =
        found.iter().skip(offset).take(limit).map(|stored| encoded(stored)).collect();
    Ok(json!({"TotalCount": found.len(), "Pods": pods?}))
}

fn selected(facts: &Facts, order: &Order, zone: &str) -> bool {
    let is = |parameter: &str, have: &str| order.text(parameter).is_none_or(|wanted| wanted == have);
    // Deployments are not played, so nothing belongs to one.
    facts.zone == zone
        && is("Group", &facts.group)
        && is("VPCId", &facts.vpc)
        && is("SubnetId", &facts.subnet)
        && is("DeploymentId", "")
}

fn grace(object: &Value) -> Duration {
    let seconds = object.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_u64);
    Duration::from_secs(seconds.unwrap_or(30))
}

/// DeleteCubePod: answered at once, Terminating until it is gone.
pub(super) fn delete(
    front: &Arc<Front>,
    cube: &Cube,
    order: &Order,
    injected: &Injected,
) -> Result<Value, CubeError> {
    order.required("Zone")?;
    let Some(stored) = find(front, cube, order)? else {
        return if cube.variants().delete_unknown_fails { Err(CubeError::no_pod()) } else { Ok(json!({})) };
    };
    let at = k8s_time(front.cloud.clock.now());
    change(front, &stored.uid, |object| {
        if object.pointer("/metadata/deletionTimestamp").is_none() {
            set(object, "metadata", "deletionTimestamp", json!(at));
        }
    });
    let release = order.text("ReleaseEIP").is_some_and(|text| text.eq_ignore_ascii_case("true"));
    eip::parted(front, cube, &stored.uid, release);
    front.cloud.stop(&stored.uid, grace(&stored.value()), injected.slow_delete);
    Ok(json!({}))
}

/// RenewCubePod: the whole new pod; containers start anew if the spec is another.
pub(super) fn renew(front: &Arc<Front>, cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    order.required("Zone")?;
    let checked = pod::read(order.required("Pod")?, cube.variants().any_size)?;
    let stored = by_id(front, order.required("CubeId")?).ok_or_else(CubeError::no_pod)?;
    let old = stored.value();
    if old.pointer("/metadata/deletionTimestamp").is_some() {
        return Err(CubeError::parameter("CubeId", "the pod is being deleted"));
    }
    let instance = front.cloud.instance(&stored.uid).ok_or_else(CubeError::no_pod)?;
    if instance.size != checked.size {
        return Err(CubeError::parameter("Pod", "the size of a pod cannot change"));
    }
    let anew = old.get("spec") != Some(&checked.spec);
    change(front, &stored.uid, |object| {
        let labels = checked.given.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
        set(object, "metadata", "labels", labels);
        set(object, "cube", "given", checked.given);
        if anew {
            set(object, "cube", "generation", json!(instance.generation + 1));
        }
        if let Some(map) = object.as_object_mut() {
            map.insert("spec".into(), checked.spec);
        }
    });
    if anew {
        restart(front, &stored.uid, cube.update)?;
    }
    let stored = by_id(front, &stored.uid).ok_or_else(CubeError::no_pod)?;
    Ok(json!({"Pod": encoded(&stored)?}))
}

/// Starts what is stored now in the place of what runs, after a moment.
fn restart(front: &Arc<Front>, id: &str, after: Duration) -> Result<(), CubeError> {
    let object = by_id(front, id).ok_or_else(CubeError::no_pod)?.value();
    let (plan, grace, id, later) = (plan(&object)?, grace(&object), id.to_owned(), front.clone());
    front.cloud.spawn(async move {
        later.cloud.clock.sleep(after).await;
        later.cloud.replace(&id, plan, grace);
    });
    Ok(())
}

/// RebootCubePod: by `CubeId` alone.
pub(super) fn reboot(front: &Arc<Front>, order: &Order) -> Result<Value, CubeError> {
    let stored = by_id(front, order.required("CubeId")?).ok_or_else(CubeError::no_pod)?;
    let instance = front.cloud.instance(&stored.uid).ok_or_else(CubeError::no_pod)?;
    change(front, &stored.uid, |object| set(object, "cube", "generation", json!(instance.generation + 1)));
    restart(front, &stored.uid, Duration::ZERO)?;
    Ok(json!({}))
}

/// The instance ends, its record stays.
pub(super) fn end(front: &Front, id: &str, word: &str) {
    change(front, id, |object| set(object, "cube", "ended", json!(word)));
    front.cloud.expire(id);
}
