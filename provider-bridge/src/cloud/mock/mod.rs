//! A provider without a cloud: instances live in this process's memory, as in virtual-kubelet's mock provider.
//!
//! For trying burst without an account, for tests, and as the smallest example of a provider. Nothing runs and nothing is
//! billed; what is served says so. Every pod is Running and Ready after the start delay and stays so until it is deleted.
//! The instances end with the process: pods that ran are then told that their instance was lost. Facts:
//! virtual-kubelet's `internal/provider/mock`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use jiff::Timestamp;
use policies::support::{self, MOCK};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cloud::usage::Usage;
use crate::cloud::{
    ByteStream, Capabilities, CloudError, CreateRequest, Instance, InstanceEvent, PodIdentity, Provider,
    Resolve,
};
use crate::streams::{Connection, ExecProviderEnd, ExecRequest, LogOptions};

use instances::Instances;

mod exec;
mod instances;
mod logs;
mod status;
#[cfg(test)]
mod tests;
mod usage;
mod watch;

/// How the mock behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MockSettings {
    /// From creation to Running.
    pub start_delay: Duration,
    /// From the request to stop to the end.
    pub stop_delay: Duration,
}

/// The instances of one virtual node. Dropping it ends everything that waits in it.
#[derive(Debug)]
pub struct MockProvider {
    settings: MockSettings,
    instances: Arc<Instances>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl MockProvider {
    /// No instance yet.
    pub fn new(settings: MockSettings) -> Self {
        Self {
            settings,
            instances: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Does something to the instances after a time.
    fn later(&self, after: Duration, then: impl FnOnce(&Instances) + Send + 'static) {
        let (instances, stop) = (Arc::clone(&self.instances), self.stop.clone());
        self.tasks.spawn(async move {
            if stop.run_until_cancelled_owned(tokio::time::sleep(after)).await.is_some() {
                then(&instances);
            }
        });
    }
}

impl Drop for MockProvider {
    fn drop(&mut self) {
        self.tasks.close();
        self.stop.cancel();
    }
}

#[async_trait]
impl Provider for MockProvider {
    fn name(&self) -> &'static str {
        MOCK
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { watch: true, logs: true, exec: true, attach: false, port_forward: false, usage: true }
    }

    async fn prepare(&self) -> Result<(), CloudError> {
        Ok(())
    }

    async fn create(&self, request: &CreateRequest, _: &dyn Resolve) -> Result<Instance, CloudError> {
        let unsupported = support::check(MOCK, &request.object);
        if !unsupported.is_empty() {
            return Err(CloudError::Invalid(support::sentences(&unsupported)));
        }
        let (instance, fresh) = self.instances.create(request, Timestamp::now());
        if fresh {
            let uid = request.pod.uid.clone();
            self.later(self.settings.start_delay, move |all| all.start(&uid, Timestamp::now()));
        }
        Ok(instance)
    }

    async fn delete(&self, instance: &Instance, _grace_seconds: u32) -> Result<(), CloudError> {
        if self.instances.stop(&instance.pod.uid) {
            let uid = instance.pod.uid.clone();
            self.later(self.settings.stop_delay, move |all| all.end(&uid, Timestamp::now()));
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Instance>, CloudError> {
        Ok(self.instances.list())
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent, CloudError>> {
        watch::start(&self.instances)
    }

    async fn logs(
        &self,
        instance: &Instance,
        container: &str,
        options: &LogOptions,
    ) -> Result<ByteStream, CloudError> {
        logs::open(&self.instances, instance, container, options)
    }

    async fn exec(
        &self,
        instance: &Instance,
        container: &str,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        self.instances.started(&instance.pod, container)?;
        let (session, stop) = (exec::drive(request.clone(), streams), self.stop.clone());
        self.tasks.spawn(async move {
            let _ = stop.run_until_cancelled_owned(session).await;
        });
        Ok(())
    }

    async fn connect(&self, instance: &Instance, port: u16) -> Result<Box<dyn Connection>, CloudError> {
        let PodIdentity { namespace, name, .. } = &instance.pod;
        Err(CloudError::Invalid(format!(
            "nothing runs in pod {namespace}/{name} of the mock, so nothing listens at port {port}"
        )))
    }

    async fn usage(&self, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
        Ok(usage::of(&self.instances.running(), instances, Timestamp::now()))
    }
}
