//! Elastic addresses, as far as Cube pods have them: allocated, bound, parted, released, and billed all the while.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::super::Front;
use super::error::CubeError;
use super::life::by_id;
use super::{Cube, Order};
use crate::core::instances::new_uid;
use crate::size::Size;

/// One address.
#[derive(Clone, Debug)]
pub(super) struct Address {
    ip: String,
    operator: String,
    bandwidth: i64,
    pay_mode: String,
    charge_type: String,
    name: String,
    created: i64,
    /// The pod it is bound to.
    pod: Option<String>,
}

impl Address {
    fn show(&self, id: &str) -> Value {
        json!({
            "EIPId": id, "EIPAddr": [{"IP": self.ip, "OperatorName": self.operator}], "Bandwidth": self.bandwidth,
            "BandwidthType": 0, "CreateTime": self.created, "PayMode": self.pay_mode, "Weight": 50,
            "Status": if self.pod.is_some() { "used" } else { "free" }, "Resource": self.pod.as_deref().unwrap_or_default(),
        })
    }
}

/// DescribeEIP: without a filter all of them, oldest first.
pub(super) fn describe(cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    let number = |name: &str, default: usize| {
        let given = order.number(name);
        given.map(|given| given.map_or(default, |number| usize::try_from(number).unwrap_or_default()))
    };
    let (offset, limit) = (number("Offset", 0)?, number("Limit", 20)?);
    let wanted: Vec<&String> =
        order.values.iter().filter(|(key, _)| key.starts_with("EIPIds.")).map(|(_, id)| id).collect();
    let all = lock(cube);
    let mut found: Vec<(&String, &Address)> =
        all.iter().filter(|(id, _)| wanted.is_empty() || wanted.contains(id)).collect();
    found.sort_by_key(|(id, address)| (address.created, *id));
    let shown: Vec<Value> = (found.iter().skip(offset).take(limit))
        .map(|(id, address)| {
            let mut row = address.show(id);
            row["Name"] = json!(address.name);
            row["ChargeType"] = json!(address.charge_type);
            let kind = if address.pod.is_some() { "cube" } else { "" };
            row["Resource"] =
                json!({"ResourceType": kind, "ResourceID": address.pod.as_deref().unwrap_or_default()});
            row
        })
        .collect();
    let unbound = found.iter().filter(|(_, address)| address.pod.is_none()).count();
    Ok(json!({"TotalCount": found.len(), "UnbindCount": unbound, "EIPSet": shown}))
}

fn lock(cube: &Cube) -> MutexGuard<'_, BTreeMap<String, Address>> {
    cube.addresses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The addresses of a pod.
pub(super) fn of(cube: &Cube, pod: &str) -> Vec<Value> {
    let all = lock(cube);
    all.iter().filter(|(_, address)| address.pod.as_deref() == Some(pod)).map(|(id, a)| a.show(id)).collect()
}

/// AllocateEIP.
pub(super) fn allocate(front: &Front, cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    let operator = order.required("OperatorName")?.to_owned();
    let bandwidth = order.number("Bandwidth")?.ok_or_else(|| CubeError::missing("Bandwidth"))?;
    let pay_mode = order.one_of("PayMode", &["Traffic", "Bandwidth", "ShareBandwidth"], "Bandwidth")?;
    let charge_type = order.one_of("ChargeType", &["Year", "Month", "Dynamic"], "Month")?;
    let shared = order.text("ShareBandwidthId").is_some();
    if (pay_mode == "ShareBandwidth") != shared || shared != (bandwidth == 0) {
        return Err(CubeError::parameter("Bandwidth", "it is 0 with a shared bandwidth, and only then"));
    }
    let now = front.cloud.clock.now();
    let random: String = new_uid().chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let id = format!("eip-{random}");
    let number = lock(cube).len();
    let ip = format!("203.0.113.{}", number % 250 + 1);
    let address = Address {
        ip: ip.clone(),
        operator: operator.clone(),
        bandwidth,
        pay_mode: pay_mode.to_owned(),
        charge_type: charge_type.to_owned(),
        name: order.text("Name").unwrap_or("EIP").to_owned(),
        created: now.as_second(),
        pod: None,
    };
    front.cloud.meter.open_thing("address", &id, &ip, Size::default(), now);
    lock(cube).insert(id.clone(), address);
    Ok(json!({"EIPSet": [{"EIPId": id, "EIPAddr": [{"IP": ip, "OperatorName": operator}]}]}))
}

fn known<T>(
    cube: &Cube,
    order: &Order,
    work: impl FnOnce(&mut Address) -> Result<T, CubeError>,
) -> Result<T, CubeError> {
    let id = order.required("EIPId")?;
    let mut all = lock(cube);
    work(all.get_mut(id).ok_or_else(|| CubeError::parameter("EIPId", "it does not exist"))?)
}

fn resource(order: &Order) -> Result<&str, CubeError> {
    let kind = order.required("ResourceType")?;
    if kind != "cube" {
        return Err(CubeError::parameter("ResourceType", "only cube is played"));
    }
    order.required("ResourceId")
}

/// BindEIP.
pub(super) fn bind(front: &Front, cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    let pod = resource(order)?.to_owned();
    by_id(front, &pod).ok_or_else(|| CubeError::parameter("ResourceId", "it does not exist"))?;
    known(cube, order, |address| match &address.pod {
        Some(other) if *other != pod => Err(CubeError::parameter("EIPId", "it is bound to another resource")),
        _ => {
            address.pod = Some(pod);
            Ok(json!({}))
        }
    })
}

/// UnBindEIP.
pub(super) fn unbind(cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    let pod = resource(order)?;
    known(cube, order, |address| {
        if address.pod.as_deref() != Some(pod) {
            return Err(CubeError::parameter("EIPId", "it is not bound to this resource"));
        }
        address.pod = None;
        Ok(json!({}))
    })
}

/// ReleaseEIP.
pub(super) fn release(front: &Front, cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    let id = order.required("EIPId")?;
    known(cube, order, |address| match address.pod {
        Some(_) => Err(CubeError::parameter("EIPId", "it is bound")),
        None => Ok(()),
    })?;
    lock(cube).remove(id);
    front.cloud.meter.close(id, front.cloud.clock.now());
    Ok(json!({}))
}

/// GrantFirewall: taken note of by nobody.
pub(super) fn grant(cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    order.required("FWId")?;
    let _ = (cube, resource(order)?);
    Ok(json!({}))
}

/// A pod is deleted: its addresses are free, or gone.
pub(super) fn parted(front: &Front, cube: &Cube, pod: &str, release: bool) {
    let mut all = lock(cube);
    for address in all.values_mut().filter(|address| address.pod.as_deref() == Some(pod)) {
        address.pod = if release { Some(String::new()) } else { None };
    }
    let now = front.cloud.clock.now();
    all.retain(|id, address| {
        let gone = address.pod.as_deref() == Some("");
        if gone {
            front.cloud.meter.close(id, now);
        }
        !gone
    });
}
