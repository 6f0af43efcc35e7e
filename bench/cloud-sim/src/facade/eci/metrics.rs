//! What groups use, in the vendor's form.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::Front;
use super::change::find;
use super::describe::ids;
use super::error::EciError;
use super::tree::Tree;
use crate::core::clock::k8s_time;
use crate::core::instances::Instance;
use crate::core::usage::{self, Used};

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
        instance.as_ref().and_then(|instance| record(instance, at, true))
    });
    Ok(json!({"ContainerGroupId": id, "Records": records.collect::<Vec<_>>()}))
}

/// DescribeMultiContainerGroupMetric: the latest point of each.
pub(super) fn many(front: &Front, tree: &Tree) -> Result<Value, EciError> {
    let ids = ids(tree)?.ok_or_else(|| EciError::missing("ContainerGroupIds"))?;
    let now = front.cloud.clock.now();
    let found = ids.iter().filter_map(|id| front.cloud.instance(id).map(|instance| (id, instance)));
    let data = found.map(|(id, instance)| {
        let latest: Vec<Value> = record(&instance, now, false).into_iter().collect();
        json!({"ContainerGroupId": id, "Records": latest})
    });
    Ok(json!({"MonitorDatas": data.collect::<Vec<_>>()}))
}

/// One point; disks say `ReadIO` in one action and `ReadIo` in the other. None before anything ran.
fn record(instance: &Instance, at: Timestamp, single: bool) -> Option<Value> {
    let used = usage::of(instance, at);
    let sum = |amount: fn(&Used) -> u64| used.iter().map(amount).fold(0, u64::saturating_add);
    let all = Used {
        name: String::new(),
        limit: instance.size,
        nano_cores: sum(|one| one.nano_cores),
        core_nano_seconds: sum(|one| one.core_nano_seconds),
        memory_bytes: sum(|one| one.memory_bytes),
    };
    let containers: Vec<Value> =
        used.iter().map(|one| json!({"Name": one.name, "CPU": cpu(one), "Memory": memory(one)})).collect();
    let io = if single { ["ReadIO", "WriteIO"] } else { ["ReadIo", "WriteIo"] };
    (!containers.is_empty()).then(|| json!({
        "Timestamp": k8s_time(at), "CPU": cpu(&all), "Memory": memory(&all), "Containers": containers,
        "Network": {"Interfaces": [{"Name": "eth0", "RxBytes": 1000, "RxPackets": 10, "RxErrors": 0, "RxDrops": 0,
            "TxBytes": 1000, "TxPackets": 10, "TxErrors": 0, "TxDrops": 0}]},
        "Disk": [{"Device": "vda", "ReadBytes": 0, "WriteBytes": 0, io[0]: 0, io[1]: 0}],
        "Filesystem": [{"FsName": "/", "Capacity": 30_u64 << 30, "Available": 29_u64 << 30, "Usage": 1_u64 << 30, "Category": "rootfs"}],
    }))
}

fn cpu(used: &Used) -> Value {
    json!({"UsageNanoCores": used.nano_cores, "UsageCoreNanoSeconds": used.core_nano_seconds, "Load": 0,
        "Limit": used.limit.cpu_milli})
}

fn memory(used: &Used) -> Value {
    let bytes = used.memory_bytes;
    let left = used.limit.memory_bytes.saturating_sub(bytes);
    json!({"AvailableBytes": left, "UsageBytes": bytes, "Cache": 0, "WorkingSet": bytes, "Rss": bytes})
}
