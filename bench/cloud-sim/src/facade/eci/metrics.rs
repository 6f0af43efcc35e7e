//! Metrics of groups: a steady tenth of the size, in the vendor's form.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::Front;
use super::change::find;
use super::describe::ids;
use super::error::EciError;
use super::tree::Tree;
use crate::core::clock::k8s_time;
use crate::core::instances::Instance;
use crate::size::Size;

/// Points that one answer has at most.
const POINTS_MAX: i64 = 1000;

/// DescribeContainerGroupMetric.
pub(super) fn one(front: &Front, tree: &Tree) -> Result<Value, EciError> {
    let id = tree.required("ContainerGroupId")?;
    find(front, id)?;
    let time = |path: &str| match tree.text(path) {
        None => Ok(None),
        Some(text) => {
            text.parse::<Timestamp>().map(Some).map_err(|_| EciError::parameter(path, "it is not RFC 3339"))
        }
    };
    let now = front.cloud.clock.now();
    let end = time("EndTime")?.unwrap_or(now).min(now);
    let start =
        time("StartTime")?.unwrap_or_else(|| end.checked_sub(SignedDuration::from_mins(5)).unwrap_or(end));
    let period = match tree.word("Period").trim_end_matches('s') {
        "15" => 15,
        "30" => 30,
        "" | "60" => 60,
        "600" => 600,
        _ => return Err(EciError::parameter("Period", "it is not 15, 30, 60 or 600 seconds")),
    };
    let instance = front.cloud.instance(id);
    let seconds = end.duration_since(start).as_secs();
    let points = (seconds / period).clamp(0, POINTS_MAX);
    let records = (0..=points).filter_map(|n| {
        let at = start.checked_add(SignedDuration::from_secs(n * period)).ok()?;
        instance.as_ref().map(|instance| record(instance, at, true))
    });
    Ok(json!({"ContainerGroupId": id, "Records": records.collect::<Vec<_>>()}))
}

/// DescribeMultiContainerGroupMetric: the latest point of each.
pub(super) fn many(front: &Front, tree: &Tree) -> Result<Value, EciError> {
    let ids = ids(tree)?.ok_or_else(|| EciError::missing("ContainerGroupIds"))?;
    let now = front.cloud.clock.now();
    let found = ids.iter().filter_map(|id| front.cloud.instance(id).map(|instance| (id, instance)));
    let data = found
        .map(|(id, instance)| json!({"ContainerGroupId": id, "Records": [record(&instance, now, false)]}));
    Ok(json!({"MonitorDatas": data.collect::<Vec<_>>()}))
}

/// One point; disks say `ReadIO` in one action and `ReadIo` in the other.
fn record(instance: &Instance, at: Timestamp, single: bool) -> Value {
    let containers = instance.plan.spec.containers.iter();
    let share = containers.len().max(1) as u64;
    let part =
        Size { cpu_milli: instance.size.cpu_milli / share, memory_bytes: instance.size.memory_bytes / share };
    let containers: Vec<Value> = containers
        .map(|container| json!({"Name": container.name, "CPU": cpu(part, at), "Memory": memory(part)}))
        .collect();
    let io = if single { ["ReadIO", "WriteIO"] } else { ["ReadIo", "WriteIo"] };
    json!({
        "Timestamp": k8s_time(at), "CPU": cpu(instance.size, at), "Memory": memory(instance.size), "Containers": containers,
        "Network": {"Interfaces": [{"Name": "eth0", "RxBytes": 1000, "RxPackets": 10, "RxErrors": 0, "RxDrops": 0,
            "TxBytes": 1000, "TxPackets": 10, "TxErrors": 0, "TxDrops": 0}]},
        "Disk": [{"Device": "vda", "ReadBytes": 0, "WriteBytes": 0, io[0]: 0, io[1]: 0}],
        "Filesystem": [{"FsName": "/", "Capacity": 30_u64 << 30, "Available": 29_u64 << 30, "Usage": 1_u64 << 30, "Category": "rootfs"}],
    })
}

fn cpu(size: Size, at: Timestamp) -> Value {
    let nano = size.cpu_milli * 100_000;
    let seconds = u64::try_from(at.as_second()).unwrap_or_default() % 1_000_000;
    json!({"UsageNanoCores": nano, "UsageCoreNanoSeconds": nano * seconds, "Load": 0, "Limit": size.cpu_milli})
}

fn memory(size: Size) -> Value {
    let used = size.memory_bytes / 10;
    json!({"AvailableBytes": size.memory_bytes - used, "UsageBytes": used, "Cache": 0, "WorkingSet": used, "Rss": used})
}
