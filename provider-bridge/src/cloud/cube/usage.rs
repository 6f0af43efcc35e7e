//! What Cube pods use: two calls per container, one for CPU and one for memory, because GetCubeMetrics answers one metric
//! of one container.
//!
//! No public page names the metrics or their unit: the configuration names them, and values are taken for percents of the
//! container's limit.

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use policies::resources::Resources;

use crate::cloud::usage::{ContainerUsage, Memory, Usage, gather};
use crate::cloud::{CloudError, Instance};

use super::api::Api;
use super::fault::Refusal;

/// Pods that are asked about at the same time.
const AT_ONCE: usize = 4;

/// What these instances use, as far as calls are answered; the first refusal where none is.
pub(super) async fn read(api: &Api, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
    let Some((cpu, memory)) = &api.settings.metrics else {
        return Err(CloudError::Invalid(
            "no public page of Cube names its metrics; name them as cube.metrics of the virtual node"
                .to_owned(),
        ));
    };
    let (containers, now) = (api.containers().await?, Timestamp::now());
    let mut pods = Vec::new();
    for instance in instances {
        let Some(all) = containers.get(&instance.id) else { continue };
        pods.push(pod(api, instance, all, [cpu, memory], now));
    }
    // For example that the pod is gone.
    let own =
        |refusal: &Refusal| matches!(refusal, Refusal::Cloud(CloudError::Invalid(_) | CloudError::Gone(_)));
    gather(stream::iter(pods).buffer_unordered(AT_ONCE), own).await
}

/// What one pod uses; nothing where no container has a value.
async fn pod(
    api: &Api,
    instance: &Instance,
    all: &[(String, Resources)],
    [cpu, memory]: [&String; 2],
    now: Timestamp,
) -> Result<Vec<Usage>, Refusal> {
    let mut containers = Vec::new();
    for (name, limits) in all {
        let of = (instance.id.as_str(), name.as_str());
        let Some((cpu, at)) = api.metric(of, cpu, now).await? else { continue };
        let Some((memory, _)) = api.metric(of, memory, now).await? else { continue };
        let memory = Some(share(memory, limits.memory_bytes));
        containers.push(ContainerUsage {
            name: name.clone(),
            at,
            nano_cores: Some(share(cpu, limits.cpu_milli.saturating_mul(1_000_000))),
            core_nano_seconds: None,
            memory: Memory { usage: memory, working_set: memory, ..Memory::default() },
        });
    }
    if containers.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Usage { pod_uid: instance.pod.uid.clone(), containers, interfaces: Vec::new() }])
}

/// So many percent of a whole; nonsense is nothing.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are far below 2^52, and casting saturates"
)]
fn share(percent: f64, whole: u64) -> u64 {
    (percent.max(0.0) / 100.0 * whole as f64) as u64
}
