//! What the kubelet port of a virtual node asks about its pods, answered from the driver's table and the cloud.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::driver::Handle;
use crate::cloud::usage::Usage;
use crate::cloud::{ByteStream, Capabilities, CloudError, Instance, PodIdentity, Provider};
use crate::kubelet::{Backend, NotFound, Target};
use crate::metrics;
use crate::streams::{Connection, ExecProviderEnd, ExecRequest, LogOptions};
use crate::usage::{Answer, Observed, Source, UsageCache};

/// The pods of one virtual node, for its kubelet port.
pub struct NodeBackend {
    /// Asks the node's driver.
    pods: Handle,
    /// The cloud.
    provider: Arc<dyn Provider>,
    /// Virtual node name.
    node: String,
    usage: UsageCache,
}

impl std::fmt::Debug for NodeBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeBackend").field("node", &self.node).finish_non_exhaustive()
    }
}

impl NodeBackend {
    /// The pods of virtual node `node`.
    pub fn new(pods: Handle, provider: Arc<dyn Provider>, node: String) -> Self {
        let source = Instances { pods: pods.clone(), provider: provider.clone() };
        let usage = UsageCache::new(&node, Arc::new(source));
        Self { pods, provider, node, usage }
    }

    async fn objects(&self, running: bool) -> Vec<Arc<Value>> {
        self.pods.pods(running).await.unwrap_or_default().iter().map(cluster::BoundPod::object).collect()
    }

    /// The pod of that name and UID, and its object.
    async fn named(
        &self,
        namespace: &str,
        pod: &str,
        uid: Option<&str>,
    ) -> Result<(PodIdentity, Arc<Value>), NotFound> {
        let (namespace_owned, pod_owned) = (namespace.to_owned(), pod.to_owned());
        let found = self.pods.find(namespace, pod).await.ok().flatten();
        let Some(found) = found else {
            return Err(NotFound::Pod { namespace: namespace_owned, pod: pod_owned });
        };
        if let Some(uid) = uid.filter(|uid| *uid != found.uid) {
            return Err(NotFound::Uid { namespace: namespace_owned, pod: pod_owned, uid: uid.to_owned() });
        }
        let identity =
            PodIdentity { uid: found.uid.to_string(), namespace: namespace_owned, name: pod_owned };
        Ok((identity, found.object()))
    }

    async fn instance(&self, pod: &PodIdentity) -> Result<Instance, CloudError> {
        let found = self.pods.instance(&pod.uid).await.map_err(|e| CloudError::Retryable(e.to_string()))?;
        found.ok_or_else(|| {
            let PodIdentity { namespace, name, .. } = pod;
            CloudError::Gone(format!("pod {namespace}/{name} has no instance in the cloud now"))
        })
    }
}

/// What the instances of running pods use.
struct Instances {
    pods: Handle,
    provider: Arc<dyn Provider>,
}

#[async_trait]
impl Source for Instances {
    async fn observe(&self) -> Result<Vec<Observed>, CloudError> {
        let live = self.pods.live().await.map_err(|down| CloudError::Retryable(down.to_string()))?;
        let running =
            |object: &Value| object.pointer("/status/phase").and_then(Value::as_str) == Some("Running");
        let live = live.into_iter().map(|(pod, instance)| (pod.object(), instance));
        let (objects, instances): (Vec<_>, Vec<_>) = live.filter(|(object, _)| running(object)).unzip();
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        let usages = self.provider.usage(&instances).await?;
        let mut usages: HashMap<String, Usage> =
            usages.into_iter().map(|usage| (usage.pod_uid.clone(), usage)).collect();
        let observed = objects.iter().zip(instances).map(|(object, instance)| {
            let usage = usages.remove(&instance.pod.uid);
            Observed::of(instance.pod, object, usage)
        });
        Ok(observed.collect())
    }
}

fn has_container(pod: &Value, container: &str) -> bool {
    ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .filter_map(|kind| pod.pointer(&format!("/spec/{kind}")).and_then(Value::as_array))
        .flatten()
        .any(|c| c.get("name").and_then(Value::as_str) == Some(container))
}

#[async_trait]
impl Backend for NodeBackend {
    async fn pods(&self) -> Vec<Arc<Value>> {
        self.objects(false).await
    }

    async fn running_pods(&self) -> Vec<Arc<Value>> {
        self.objects(true).await
    }

    async fn find(
        &self,
        namespace: &str,
        pod: &str,
        uid: Option<&str>,
        container: &str,
    ) -> Result<Target, NotFound> {
        let (pod, object) = self.named(namespace, pod, uid).await?;
        if !has_container(&object, container) {
            let PodIdentity { namespace, name, .. } = pod;
            return Err(NotFound::Container { namespace, pod: name, container: container.to_owned() });
        }
        Ok(Target { pod, container: container.to_owned() })
    }

    async fn find_pod(&self, namespace: &str, pod: &str, uid: Option<&str>) -> Result<PodIdentity, NotFound> {
        self.named(namespace, pod, uid).await.map(|(pod, _)| pod)
    }

    fn capabilities(&self) -> Capabilities {
        self.provider.capabilities()
    }

    async fn logs(&self, target: &Target, options: &LogOptions) -> Result<ByteStream, CloudError> {
        let instance = self.instance(&target.pod).await?;
        self.provider.logs(&instance, &target.container, options).await
    }

    async fn exec(
        &self,
        target: &Target,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        let instance = self.instance(&target.pod).await?;
        self.provider.exec(&instance, &target.container, request, streams).await
    }

    async fn attach(
        &self,
        target: &Target,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        let instance = self.instance(&target.pod).await?;
        self.provider.attach(&instance, &target.container, request, streams).await
    }

    async fn connect(&self, pod: &PodIdentity, port: u16) -> Result<Box<dyn Connection>, CloudError> {
        let PodIdentity { uid, namespace, name } = pod;
        // Instances are remembered without their status; the pod's own says where it is.
        let found = self.named(namespace, name, Some(uid)).await;
        let (_, object) = found.map_err(|not_found| CloudError::Gone(not_found.to_string()))?;
        let status = object.get("status").cloned().unwrap_or_default();
        let instance = Instance { status: Arc::new(status), ..self.instance(pod).await? };
        self.provider.connect(&instance, port).await
    }

    async fn usage(&self) -> Result<Answer, CloudError> {
        let answer = self.usage.get().await?;
        metrics::unmeasured(&self.node, answer.usage.skipped);
        Ok(answer)
    }

    fn metrics(&self) -> Option<String> {
        Some(metrics::render())
    }

    fn configz(&self) -> Value {
        json!({ "burst": { "node": self.node, "provider": self.provider.name() } })
    }
}
