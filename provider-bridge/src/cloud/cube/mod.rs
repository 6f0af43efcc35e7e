//! UCloud Cube as a provider: a pod is one Cube pod, found again by the metadata of the YAML it was made from.
//!
//! Thin: decisions are in the modules below. Cube has no idempotency token and pushes nothing; what is remembered between
//! calls ([`api`]) can be lost, and then a second instance of one pod is possible, which [`watch`] removes.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::cloud::usage::Usage;
use crate::cloud::{
    ByteStream, Capabilities, CloudError, CreateRequest, Instance, InstanceEvent, Provider, Resolve,
};
use crate::streams::{ExecProviderEnd, ExecRequest, LogOptions};

use api::Api;

mod action;
mod address;
mod api;
mod client;
mod create;
mod disks;
mod fault;
mod forge;
mod names;
mod parameters;
mod settings;
mod shown;
mod sign;
mod status;
#[cfg(test)]
pub(in crate::cloud) mod tests;
mod usage;
mod watch;

pub use settings::CubeSettings;

/// One account, zone and subnet of Cube, serving the virtual nodes named in its settings.
#[derive(Debug)]
pub struct CubeProvider {
    api: Arc<Api>,
}

impl CubeProvider {
    /// Checks the settings and reads the credentials; nothing is sent.
    ///
    /// # Errors
    /// [`CloudError::Invalid`] for settings that can never work, [`CloudError::Auth`] for unreadable credentials.
    pub fn new(settings: CubeSettings) -> Result<Self, CloudError> {
        settings::check(&settings)?;
        Ok(Self { api: Arc::new(Api::new(settings)?) })
    }
}

#[async_trait]
impl Provider for CubeProvider {
    fn name(&self) -> &'static str {
        policies::keys::PROVIDER_UCLOUD
    }

    /// Logs and commands exist as pages of the vendor's console only. Commands are asked for all the same: the answer
    /// names the page where a terminal can be opened.
    fn capabilities(&self) -> Capabilities {
        let usage = self.api.settings.metrics.is_some();
        Capabilities { watch: true, logs: false, exec: true, attach: false, port_forward: true, usage }
    }

    fn account(&self) -> Option<String> {
        let CubeSettings { region, zone, project_id, subnet_id, cluster_id, credentials, .. } =
            &self.api.settings;
        let key = credentials.fingerprint().map(|key| format!(", public key {key}")).unwrap_or_default();
        Some(format!(
            "Cube in {region}, {zone}, subnet {subnet_id}, project {project_id}, cluster {cluster_id}{key}"
        ))
    }

    /// There is nothing to make; that keys, project and zone work is worth knowing before the first pod.
    async fn prepare(&self) -> Result<(), CloudError> {
        Ok(self.api.probe().await?)
    }

    async fn create(&self, request: &CreateRequest, resolve: &dyn Resolve) -> Result<Instance, CloudError> {
        create::create(&self.api, request, resolve).await
    }

    /// The grace period is the pod's own, from its creation.
    async fn delete(&self, instance: &Instance, _grace_seconds: u32) -> Result<(), CloudError> {
        let releases = self.api.releases(&instance.id);
        self.api.delete(&instance.id).await?;
        if releases == Some(true) {
            address::release_unbound(&self.api, &instance.pod).await?;
        }
        self.api.changes.ending(instance);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<Instance>, CloudError> {
        let all = self.api.list().await?;
        Ok(watch::sorted(&all).0)
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent, CloudError>> {
        watch::start(Arc::clone(&self.api)).boxed()
    }

    async fn logs(
        &self,
        instance: &Instance,
        container: &str,
        _options: &LogOptions,
    ) -> Result<ByteStream, CloudError> {
        Err(CloudError::Invalid(format!(
            "the API of Cube has no call for the log of container {container}: look at {} in the console of Cube, or \
             ship the log from the container",
            instance.id
        )))
    }

    /// The terminal's protocol is not documented, so nothing can be run in it from here; its page can be opened.
    async fn exec(
        &self,
        instance: &Instance,
        container: &str,
        _request: &ExecRequest,
        _streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        let url = self.api.terminal(&instance.id, container).await?;
        Err(CloudError::Invalid(format!(
            "Cube takes no commands through its API; a terminal of container {container} can be opened in a browser, once \
             and within 5 minutes: {url}"
        )))
    }

    async fn usage(&self, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
        usage::read(&self.api, instances).await
    }
}
