//! The parts of ECI's answers that burst reads, in the API's own irregular letter case.
//!
//! Everything has a default: the API leaves out what is empty, and an answer of which one field is missing is still one.
//! Facts: the response models of the 2018-08-08 API (`Running.StartedAtstartedAt`, `uuid` and `lastTransitionTime` are
//! spelled so).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Answer of CreateContainerGroup.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Created {
    pub(super) container_group_id: String,
}

/// An answer of which nothing is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Accepted {}

/// One page of DescribeContainerGroups.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Groups {
    #[serde(deserialize_with = "nullable")]
    pub(super) next_token: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) container_groups: Vec<Group>,
}

/// A container group, as far as it does not change.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Group {
    pub(super) container_group_id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) status: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) v_switch_id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) cpu: f64,
    #[serde(deserialize_with = "nullable")]
    pub(super) memory: f64,
    #[serde(deserialize_with = "nullable")]
    pub(super) creation_time: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) expired_time: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) restart_policy: String,
    #[serde(deserialize_with = "tags")]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(deserialize_with = "nullable")]
    pub(super) init_containers: Vec<Named>,
}

/// Anything with a name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Tag {
    key: String,
    #[serde(deserialize_with = "nullable")]
    value: String,
}

/// One page of DescribeContainerGroupStatus.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Statuses {
    #[serde(deserialize_with = "nullable")]
    pub(super) next_token: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) data: Vec<GroupStatus>,
}

/// What one group is doing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct GroupStatus {
    pub(super) container_group_id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) status: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) pod_status: PodStatus,
}

/// Answer of DescribeMultiContainerGroupMetric.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Metrics {
    #[serde(deserialize_with = "nullable")]
    pub(super) monitor_datas: Vec<GroupMetrics>,
}

/// The latest points of one group.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct GroupMetrics {
    pub(super) container_group_id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) records: Vec<Record>,
}

/// One point.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Record {
    #[serde(deserialize_with = "nullable")]
    pub(super) timestamp: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) containers: Vec<ContainerRecord>,
    #[serde(deserialize_with = "nullable")]
    pub(super) network: Network,
}

/// One container at one point.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ContainerRecord {
    pub(super) name: String,
    #[serde(rename = "CPU")]
    pub(super) cpu: Option<Cpu>,
    pub(super) memory: Option<Memory>,
}

/// CPU at one point.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Cpu {
    pub(super) usage_nano_cores: Option<u64>,
    pub(super) usage_core_nano_seconds: Option<u64>,
}

/// Memory at one point, bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Memory {
    pub(super) available_bytes: Option<u64>,
    pub(super) usage_bytes: Option<u64>,
    pub(super) working_set: Option<u64>,
    pub(super) rss: Option<u64>,
}

/// The interfaces of a group.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Network {
    #[serde(deserialize_with = "nullable")]
    pub(super) interfaces: Vec<Interface>,
}

/// One interface.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Interface {
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) rx_bytes: u64,
    #[serde(deserialize_with = "nullable")]
    pub(super) rx_errors: u64,
    #[serde(deserialize_with = "nullable")]
    pub(super) tx_bytes: u64,
    #[serde(deserialize_with = "nullable")]
    pub(super) tx_errors: u64,
}

/// Kubernetes' PodStatus in ECI's letters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PodStatus {
    #[serde(deserialize_with = "nullable")]
    pub(super) phase: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) pod_ip: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) pod_ips: Vec<Address>,
    #[serde(deserialize_with = "nullable")]
    pub(super) start_time: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "nullable")]
    pub(super) container_statuses: Vec<ContainerStatus>,
}

/// One of several addresses.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Address {
    #[serde(deserialize_with = "nullable")]
    pub(super) ip: String,
}

/// A pod condition.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type", alias = "Type", deserialize_with = "nullable")]
    pub(super) kind: String,
    #[serde(alias = "Status", deserialize_with = "nullable")]
    pub(super) status: String,
    #[serde(rename = "lastTransitionTime", alias = "LastTransitionTime", deserialize_with = "nullable")]
    pub(super) last_transition_time: String,
    #[serde(rename = "Reason", alias = "reason", deserialize_with = "nullable")]
    pub(super) reason: String,
    #[serde(rename = "Message", alias = "message", deserialize_with = "nullable")]
    pub(super) message: String,
}

/// What one container is doing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) image: String,
    #[serde(rename = "ImageID", deserialize_with = "nullable")]
    pub(super) image_id: String,
    #[serde(rename = "ContainerID", deserialize_with = "nullable")]
    pub(super) container_id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) ready: bool,
    pub(super) started: Option<bool>,
    #[serde(deserialize_with = "nullable")]
    pub(super) restart_count: u32,
    #[serde(deserialize_with = "nullable")]
    pub(super) state: State,
    #[serde(deserialize_with = "nullable")]
    pub(super) last_state: State,
}

/// At most one of the three says something.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct State {
    pub(super) running: Option<Running>,
    pub(super) waiting: Option<Waiting>,
    pub(super) terminated: Option<Terminated>,
}

/// Since when it runs, under the key that every official SDK reads.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Running {
    #[serde(rename = "StartedAtstartedAt", alias = "StartedAt", deserialize_with = "nullable")]
    pub(super) started_at: String,
}

/// Why it does not run yet.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Waiting {
    #[serde(deserialize_with = "nullable")]
    pub(super) reason: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) message: String,
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Terminated {
    #[serde(rename = "ContainerID", deserialize_with = "nullable")]
    pub(super) container_id: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) exit_code: i32,
    #[serde(deserialize_with = "nullable")]
    pub(super) signal: i32,
    #[serde(deserialize_with = "nullable")]
    pub(super) reason: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) message: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) started_at: String,
    #[serde(deserialize_with = "nullable")]
    pub(super) finished_at: String,
}

/// Answer of DescribeContainerLog.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Log {
    #[serde(deserialize_with = "nullable")]
    pub(super) content: String,
}

/// Answer of ExecContainerCommand.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Session {
    #[serde(deserialize_with = "nullable")]
    pub(super) web_socket_uri: String,
}

/// Answer of DescribeRegions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Regions {
    #[serde(deserialize_with = "nullable")]
    pub(super) regions: Vec<Region>,
}

/// A region.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Region {
    pub(super) region_id: String,
}

fn nullable<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}

fn tags<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<String, String>, D::Error> {
    let list: Option<Vec<Tag>> = Option::deserialize(d)?;
    Ok(list.into_iter().flatten().map(|tag| (tag.key, tag.value)).collect())
}
