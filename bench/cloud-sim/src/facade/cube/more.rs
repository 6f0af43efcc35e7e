//! What is known of a pod beside its YAML, tokens for its console, metrics and prices.

use serde_json::{Value, json};

use super::super::Front;
use super::error::CubeError;
use super::life::{by_id, change, find, set};
use super::{Cube, Order, eip};
use crate::core::instances::new_uid;
use crate::core::usage;

/// Seconds between two points of a metric.
const STEP: i64 = 60;
const POINTS_MAX: i64 = 1440;
/// Fen per core and month, per GiB and month, per core and hour, per GiB and hour.
const MONTH: (f64, f64) = (4800.0, 1800.0);
const HOUR: (f64, f64) = (10.01, 3.74);

/// GetCubeExtendInfo.
pub(super) fn extend_info(front: &Front, cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    let ids = order.required("CubeIds")?.split(',').map(str::trim).filter(|id| !id.is_empty());
    let infos: Vec<Value> = ids
        .filter_map(|id| by_id(front, id))
        .map(|stored| {
            let object = stored.value();
            let get = |field: &str| object.pointer(&format!("/cube/{field}")).cloned().unwrap_or_default();
            json!({
                "CubeId": stored.uid, "Name": get("name"), "Tag": get("tag"), "Expiration": get("expiration"),
                "Eip": eip::of(cube, &stored.uid),
            })
        })
        .collect();
    Ok(json!({"ExtendInfo": infos}))
}

/// ModifyCubeExtendInfo (`Name`) and ModifyCubeTag (`Tag`).
pub(super) fn modify(front: &Front, order: &Order, what: &str) -> Result<Value, CubeError> {
    let (id, text) = (order.required("CubeId")?, order.required(what)?);
    by_id(front, id).ok_or_else(CubeError::no_pod)?;
    change(front, id, |object| set(object, "cube", &what.to_lowercase(), json!(text)));
    Ok(json!({"CubeId": id}))
}

/// A token for a container of a pod that runs.
fn token(front: &Front, cube: &Cube, order: &Order) -> Result<String, CubeError> {
    let container = order.required("ContainerName")?;
    let stored = find(front, cube, order)?.ok_or_else(CubeError::no_pod)?;
    let instance = front.cloud.instance(&stored.uid).ok_or_else(CubeError::no_pod)?;
    if instance.plan.container(container).is_none() {
        return Err(CubeError::parameter("ContainerName", "the pod has no such container"));
    }
    Ok(new_uid())
}

/// GetCubeExecToken: five minutes, one login.
pub(super) fn exec_token(front: &Front, cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    let token = token(front, cube, order)?;
    Ok(
        json!({"Token": token, "TerminalUrl": format!("https://console.ucloud.cn/cube/terminal?token={token}")}),
    )
}

/// GetCubeToken: for the page of the log.
pub(super) fn log_token(front: &Front, cube: &Cube, order: &Order) -> Result<Value, CubeError> {
    Ok(json!({"Token": token(front, cube, order)?}))
}

/// GetCubeMetrics: one metric of one container, in percent of what it asks for. No page names the metrics: what has
/// `mem` in its name is memory here, anything else CPU.
pub(super) fn metrics(front: &Front, order: &Order) -> Result<Value, CubeError> {
    let (name, container) = (order.required("MetricName")?, order.required("ContainerName")?);
    let stored = by_id(front, order.required("ResourceId")?).ok_or_else(CubeError::no_pod)?;
    let instance = front.cloud.instance(&stored.uid).ok_or_else(CubeError::no_pod)?;
    if instance.plan.container(container).is_none() {
        return Err(CubeError::parameter("ContainerName", "the pod has no such container"));
    }
    let used = usage::of(&instance, front.cloud.clock.now());
    let value = used.iter().find(|one| one.name == container).map(|one| {
        if name.to_lowercase().contains("mem") {
            percent(one.memory_bytes, one.limit.memory_bytes)
        } else {
            percent(one.nano_cores, one.limit.cpu_milli.saturating_mul(1_000_000))
        }
    });
    let needed = |name: &str| order.number(name)?.ok_or_else(|| CubeError::missing(name));
    let (begin, end) = (needed("BeginTime")?, needed("EndTime")?);
    let points = ((end - begin) / STEP).clamp(0, POINTS_MAX);
    let values: Vec<Value> =
        (0..=points).filter_map(|n| Some(json!({"Timestamp": begin + n * STEP, "Value": value?}))).collect();
    Ok(json!({"DataSets": [{"MetricName": name, "Values": values}]}))
}

/// To a hundredth.
#[allow(clippy::cast_precision_loss, reason = "to be shown; amounts are far below 2^52")]
fn percent(part: u64, whole: u64) -> f64 {
    (part as f64 / whole.max(1) as f64 * 10_000.0).round() / 100.0
}

/// GetCubePrice, in fen. The hourly price is used for what is paid by use.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "prices are far below 2^52")]
pub(super) fn price(order: &Order) -> Result<Value, CubeError> {
    order.required("Zone")?;
    let needed = |name: &str| order.number(name)?.filter(|n| *n >= 0).ok_or_else(|| CubeError::missing(name));
    let (count, cpu, memory, quantity) =
        (needed("Count")?, needed("Cpu")?, needed("Mem")?, needed("Quantity")?);
    let charge = order.one_of("ChargeType", &["Year", "Month", "Dynamic", "Postpay"], "Month")?;
    let (cores, gib) = (cpu as f64 / 1000.0, memory as f64 / 1024.0);
    let of = |(core, memory): (f64, f64)| cores * core + gib * memory;
    let one = match charge {
        "Year" => of(MONTH) * 12.0 * quantity as f64,
        "Month" => of(MONTH) * quantity as f64,
        _ => of(HOUR),
    };
    let price = (one * count as f64).round() as i64;
    Ok(json!({"Price": price, "OriginalPrice": price}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(charge: &str, cpu: &str, memory: &str, expected: i64) {
        let pairs = [
            ("Zone", "z"),
            ("Count", "1"),
            ("Cpu", cpu),
            ("Mem", memory),
            ("Quantity", "1"),
            ("ChargeType", charge),
        ];
        let values = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let answer = price(&Order { action: "GetCubePrice".to_owned(), values }).expect("a price");
        assert_eq!(answer["Price"], json!(expected), "{charge} {cpu} {memory}");
    }

    #[test]
    fn prices_are_in_fen() {
        check("Postpay", "1000", "2048", 17);
        check("Dynamic", "8000", "16384", 140);
        check("Month", "1000", "2048", 8400);
    }
}
