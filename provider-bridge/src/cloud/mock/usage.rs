//! What pods of which nothing runs "use": the same small numbers for every container, as if it did a little.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::cloud::Instance;
use crate::cloud::usage::{ContainerUsage, Memory, Usage};

/// A hundredth of a core.
const NANO_CORES: u64 = 10_000_000;
const MEMORY_BYTES: u64 = 16 << 20;

pub(super) fn of(
    running: &BTreeMap<String, (Arc<Value>, Timestamp)>,
    instances: &[Instance],
    now: Timestamp,
) -> Vec<Usage> {
    let one = |instance: &Instance| {
        let (object, since) = running.get(&instance.pod.uid)?;
        let seconds = u64::try_from(now.duration_since(*since).as_secs()).unwrap_or_default();
        let containers = object.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
        let names = containers.filter_map(|container| container.get("name").and_then(Value::as_str));
        let containers = names.map(|name| ContainerUsage {
            name: name.to_owned(),
            at: now,
            nano_cores: Some(NANO_CORES),
            core_nano_seconds: Some(NANO_CORES.saturating_mul(seconds)),
            memory: Memory {
                available: None,
                usage: Some(MEMORY_BYTES),
                working_set: Some(MEMORY_BYTES),
                rss: Some(MEMORY_BYTES),
            },
        });
        let containers = containers.collect();
        Some(Usage { pod_uid: instance.pod.uid.clone(), containers, interfaces: Vec::new() })
    };
    instances.iter().filter_map(one).collect()
}
