//! What container groups use: twenty of them per call, within the pace that the account's calls have.

use std::collections::HashMap;

use futures::stream::{self, StreamExt as _};
use serde_json::json;

use crate::cloud::usage::{ContainerUsage, Interface, Memory, Usage, gather};
use crate::cloud::{CloudError, Instance};

use super::action::{Action, Operation};
use super::answers::{self, ContainerRecord, Metrics, Record};
use super::api::{Api, GROUPS_PER_PAGE};
use super::fault::Refusal;

/// Calls under way at the same time: enough to fill the pace, few enough to leave connections to others.
const AT_ONCE: usize = 4;

/// What these instances use, as far as calls are answered; the first refusal where none is.
pub(super) async fn read(api: &Api, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
    let by_id: HashMap<&str, &Instance> = instances.iter().map(|one| (one.id.as_str(), one)).collect();
    let mut pages = Vec::new();
    for twenty in instances.chunks(GROUPS_PER_PAGE) {
        let ids: Vec<&str> = twenty.iter().map(|one| one.id.as_str()).collect();
        pages.push(page(api, json!(ids).to_string(), &by_id));
    }
    gather(stream::iter(pages).buffer_unordered(AT_ONCE), |_| false).await
}

async fn page(api: &Api, ids: String, by_id: &HashMap<&str, &Instance>) -> Result<Vec<Usage>, Refusal> {
    let parameters = vec![("ContainerGroupIds".to_owned(), ids)];
    let metrics: Metrics = api.client.call(&Operation::new(Action::DescribeMetrics, ""), parameters).await?;
    let of = |group: &answers::GroupMetrics| {
        let instance = by_id.get(group.container_group_id.as_str())?;
        // RFC 3339 in UTC: the latest is the greatest.
        let latest = group.records.iter().max_by(|a, b| a.timestamp.cmp(&b.timestamp))?;
        usage(&instance.pod.uid, latest)
    };
    Ok(metrics.monitor_datas.iter().filter_map(of).collect())
}

/// A point without a date, or without any container, is none.
fn usage(uid: &str, record: &Record) -> Option<Usage> {
    let at = record.timestamp.parse().ok()?;
    let container = |ContainerRecord { name, cpu, memory }: &ContainerRecord| {
        let (cpu, memory) = (cpu.as_ref()?, memory.as_ref()?);
        Some(ContainerUsage {
            name: name.clone(),
            at,
            nano_cores: cpu.usage_nano_cores,
            core_nano_seconds: cpu.usage_core_nano_seconds,
            memory: Memory {
                available: memory.available_bytes,
                usage: memory.usage_bytes,
                working_set: memory.working_set,
                rss: memory.rss,
            },
        })
    };
    let interface = |one: &answers::Interface| Interface {
        name: one.name.clone(),
        rx_bytes: one.rx_bytes,
        rx_errors: one.rx_errors,
        tx_bytes: one.tx_bytes,
        tx_errors: one.tx_errors,
    };
    let containers: Vec<ContainerUsage> = record.containers.iter().filter_map(container).collect();
    (!containers.is_empty()).then(|| Usage {
        pod_uid: uid.to_owned(),
        containers,
        interfaces: record.network.interfaces.iter().map(interface).collect(),
    })
}
