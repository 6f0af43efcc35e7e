//! `/stats/summary`: the kubelet's `Summary`, as far as a cloud says what stands in it.

use jiff::Timestamp;
use serde::Serialize;

use super::{ContainerUsed, NodeUsage, PodUsage};
use crate::cloud::usage::{Interface, Memory};

#[derive(Debug, Serialize)]
struct Summary<'a> {
    node: NodeStats<'a>,
    pods: Vec<PodStats<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeStats<'a> {
    node_name: &'a str,
    start_time: String,
    cpu: CpuStats,
    memory: MemoryStats,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PodStats<'a> {
    pod_ref: PodReference<'a>,
    /// There even if it is not known: null.
    start_time: Option<String>,
    containers: Vec<ContainerStats<'a>>,
    cpu: CpuStats,
    memory: MemoryStats,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<NetworkStats<'a>>,
}

#[derive(Debug, Serialize)]
struct PodReference<'a> {
    name: &'a str,
    namespace: &'a str,
    uid: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStats<'a> {
    name: &'a str,
    start_time: Option<String>,
    cpu: CpuStats,
    memory: MemoryStats,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CpuStats {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_nano_cores: Option<u64>,
    usage_core_nano_seconds: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MemoryStats {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_set_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rss_bytes: Option<u64>,
}

/// The first interface stands for the pod, as the kubelet does it with `eth0`.
#[derive(Debug, Serialize)]
struct NetworkStats<'a> {
    time: String,
    #[serde(flatten)]
    first: InterfaceStats<'a>,
    interfaces: Vec<InterfaceStats<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceStats<'a> {
    name: &'a str,
    rx_bytes: u64,
    rx_errors: u64,
    tx_bytes: u64,
    tx_errors: u64,
}

/// The document, as JSON.
pub fn summary(usage: &NodeUsage) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Summary {
        node: NodeStats {
            node_name: &usage.node,
            start_time: stamp(usage.since),
            cpu: cpu(usage.at, Some(usage.nano_cores), usage.core_nano_seconds),
            memory: memory(usage.at, usage.memory),
        },
        pods: usage.pods.iter().map(pod).collect(),
    })
}

fn pod(pod: &PodUsage) -> PodStats<'_> {
    PodStats {
        pod_ref: PodReference { name: &pod.pod.name, namespace: &pod.pod.namespace, uid: &pod.pod.uid },
        start_time: pod.started.map(stamp),
        containers: pod.containers.iter().map(container).collect(),
        cpu: cpu(pod.at, pod.nano_cores, pod.core_nano_seconds),
        memory: memory(pod.at, pod.memory),
        network: pod.interfaces.first().map(|first| NetworkStats {
            time: stamp(pod.at),
            first: interface(first),
            interfaces: pod.interfaces.iter().map(interface).collect(),
        }),
    }
}

fn container(container: &ContainerUsed) -> ContainerStats<'_> {
    ContainerStats {
        name: &container.name,
        start_time: container.started.map(stamp),
        cpu: cpu(container.at, container.nano_cores, container.core_nano_seconds),
        memory: memory(container.at, container.memory),
    }
}

fn cpu(at: Timestamp, nano_cores: Option<u64>, core_nano_seconds: u64) -> CpuStats {
    CpuStats { time: stamp(at), usage_nano_cores: nano_cores, usage_core_nano_seconds: core_nano_seconds }
}

fn memory(at: Timestamp, memory: Memory) -> MemoryStats {
    MemoryStats {
        time: stamp(at),
        available_bytes: memory.available,
        usage_bytes: memory.usage,
        working_set_bytes: memory.working_set,
        rss_bytes: memory.rss,
    }
}

fn interface(interface: &Interface) -> InterfaceStats<'_> {
    let Interface { name, rx_bytes, rx_errors, tx_bytes, tx_errors } = interface;
    InterfaceStats {
        name,
        rx_bytes: *rx_bytes,
        rx_errors: *rx_errors,
        tx_bytes: *tx_bytes,
        tx_errors: *tx_errors,
    }
}

/// As Kubernetes writes times: whole seconds.
fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
