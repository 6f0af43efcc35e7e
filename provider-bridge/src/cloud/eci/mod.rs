//! Alibaba ECI as a provider: a pod is one container group, found again by its tags.
//!
//! Thin: decisions are in the modules below. Holds no pod state; what is remembered between calls can be lost ([`api`]).

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::cloud::sessions::Sessions;
use crate::cloud::usage::Usage;
use crate::cloud::{
    ByteStream, Capabilities, CloudError, CreateRequest, Instance, InstanceEvent, Provider, Resolve,
};
use crate::streams::{ExecProviderEnd, ExecRequest, LogOptions};

use action::{Action, Operation};
use answers::Regions;
use api::Api;

mod action;
mod answers;
mod api;
mod client;
mod create;
mod exec;
mod fault;
mod forge;
mod logs;
mod names;
mod pace;
mod parameters;
mod settings;
mod sign;
mod status;
#[cfg(test)]
pub(super) mod tests;
mod usage;
mod watch;

pub use settings::{EciSettings, Signature};

/// One ECI account and region, serving the virtual nodes named in its settings.
///
/// Dropping it ends the commands that run through it.
#[derive(Debug)]
pub struct EciProvider {
    api: Arc<Api>,
    sessions: Sessions,
}

impl EciProvider {
    /// Checks the settings and reads the credentials; nothing is sent.
    ///
    /// # Errors
    /// [`CloudError::Invalid`] for settings that can never work, [`CloudError::Auth`] for unreadable credentials.
    pub fn new(settings: EciSettings) -> Result<Self, CloudError> {
        settings::check(&settings)?;
        Ok(Self { api: Arc::new(Api::new(settings)?), sessions: Sessions::default() })
    }
}

#[async_trait]
impl Provider for EciProvider {
    fn name(&self) -> &'static str {
        policies::keys::PROVIDER_ALIBABA
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { watch: true, logs: true, exec: true, attach: false, port_forward: true, usage: true }
    }

    fn account(&self) -> Option<String> {
        let EciSettings { region, cluster_id, credentials, .. } = &self.api.settings;
        let key = credentials.fingerprint().map(|key| format!(", access key {key}")).unwrap_or_default();
        Some(format!("ECI in {region}, cluster {cluster_id}{key}"))
    }

    /// There is nothing to make; that the keys work and that the region exists is worth knowing before the first pod.
    async fn prepare(&self) -> Result<(), CloudError> {
        let operation = Operation::new(Action::DescribeRegions, "");
        let known: Regions = self.api.client.call(&operation, Vec::new()).await.map_err(CloudError::from)?;
        let region = &self.api.settings.region;
        if known.regions.is_empty() || known.regions.iter().any(|one| one.region_id == *region) {
            return Ok(());
        }
        let names: Vec<&str> = known.regions.iter().map(|one| one.region_id.as_str()).collect();
        Err(CloudError::Account(format!(
            "ECI knows no region {region:?}; write one of {} as region of the virtual node",
            names.join(", ")
        )))
    }

    async fn create(&self, request: &CreateRequest, resolve: &dyn Resolve) -> Result<Instance, CloudError> {
        create::create(&self.api, request, resolve).await
    }

    /// The grace period is the group's own, from its creation.
    async fn delete(&self, instance: &Instance, _grace_seconds: u32) -> Result<(), CloudError> {
        create::delete(&self.api, instance).await
    }

    async fn list(&self) -> Result<Vec<Instance>, CloudError> {
        Ok(self.api.list().await?)
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent, CloudError>> {
        watch::start(Arc::clone(&self.api)).boxed()
    }

    async fn logs(
        &self,
        instance: &Instance,
        container: &str,
        options: &LogOptions,
    ) -> Result<ByteStream, CloudError> {
        logs::open(&self.api, instance, container, options).await
    }

    async fn exec(
        &self,
        instance: &Instance,
        container: &str,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        let session = exec::open(&self.api, instance, container, request).await?;
        self.sessions.run(session.drive(streams));
        Ok(())
    }

    async fn usage(&self, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
        usage::read(&self.api, instances).await
    }
}
