//! What pods use, from the `metrics.k8s.io` of a Kubernetes-style cloud: one list for all of them.
//!
//! The API has no UIDs; names of instances follow from the pod's UID, so that a name is enough. It tells rates only.
//! Facts: `k8s.io/metrics/pkg/apis/metrics/v1beta1`.

use std::collections::HashMap;

use jiff::Timestamp;
use policies::quantity::Quantity;
use serde::Deserialize;

use crate::cloud::usage::{ContainerUsage, Memory, Usage};
use crate::cloud::{CloudError, Instance};

use super::api::Api;
use super::refusal::Refusal;
use super::wire::Meta;

/// `PodMetrics`.
#[derive(Debug, Deserialize)]
struct PodMetrics {
    metadata: Meta,
    #[serde(default)]
    timestamp: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Debug, Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: Amounts,
}

#[derive(Debug, Default, Deserialize)]
struct Amounts {
    #[serde(default)]
    cpu: String,
    #[serde(default)]
    memory: String,
}

/// What these instances use; those that the cloud has not measured yet are left out.
pub(in crate::cloud) async fn read(api: &Api, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
    let all: Vec<PodMetrics> = match api.pod_metrics().await {
        Ok(all) => all,
        Err(Refusal::Cloud(CloudError::Gone(text))) => {
            return Err(CloudError::Gone(format!("{text}: {}", api.scope.dialect.no_usage)));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let by_name: HashMap<(&str, &str), &PodMetrics> =
        all.iter().map(|pod| ((pod.metadata.namespace.as_str(), pod.metadata.name.as_str()), pod)).collect();
    let one = |instance: &Instance| {
        let place = api.place(&instance.id);
        usage(&instance.pod.uid, by_name.get(&(place.namespace, place.name))?)
    };
    Ok(instances.iter().filter_map(one).collect())
}

/// What cannot be read is as good as not measured.
fn usage(uid: &str, pod: &PodMetrics) -> Option<Usage> {
    let at: Timestamp = pod.timestamp.parse().ok()?;
    let container = |container: &ContainerMetrics| {
        let memory = Quantity::parse(&container.usage.memory).ok();
        let memory = memory.and_then(|memory| u64::try_from(memory.to_value_ceil()).ok());
        let cpu = Quantity::parse(&container.usage.cpu).ok();
        ContainerUsage {
            name: container.name.clone(),
            at,
            nano_cores: cpu.and_then(|cpu| u64::try_from(cpu.nano()).ok()),
            core_nano_seconds: None,
            memory: Memory { working_set: memory, usage: memory, ..Memory::default() },
        }
    };
    let containers = pod.containers.iter().map(container);
    let containers: Vec<ContainerUsage> =
        containers.filter(|c| c.nano_cores.is_some() && c.memory.working_set.is_some()).collect();
    (!containers.is_empty()).then(|| Usage { pod_uid: uid.to_owned(), containers, interfaces: Vec::new() })
}
