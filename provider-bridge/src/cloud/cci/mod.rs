//! Huawei CCI 1.0 as a provider: instances are pods in one CCI namespace per cluster, `cce-burst-<cluster id>`.
//!
//! Thin: decisions are in the modules below. Holds no pod state; everything is found again by the tags on CCI's objects.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cloud::{
    ByteStream, Capabilities, CloudError, CreateRequest, Instance, InstanceEvent, Provider, Resolve,
};
use crate::streams::{ExecProviderEnd, ExecRequest, LogOptions};

use api::Api;
use wire::CloudPod;

mod api;
mod classify;
mod client;
mod companions;
mod create;
mod credentials;
mod exec;
mod forge;
#[cfg(test)]
mod golden;
mod lines;
mod logs;
mod names;
mod operation;
mod prepare;
mod settings;
mod sign;
mod status;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

pub use credentials::Credentials;
pub use settings::{CciSettings, NetworkSettings};

/// One CCI account, serving the virtual nodes named in its settings.
///
/// Dropping it ends the commands that run through it.
#[derive(Debug)]
pub struct CciProvider {
    api: Arc<Api>,
    sessions: TaskTracker,
    stop: CancellationToken,
}

impl CciProvider {
    /// Checks the settings and reads the credentials; nothing is sent.
    ///
    /// # Errors
    /// [`CloudError::Invalid`] for settings that can never work, [`CloudError::Auth`] for unreadable credentials.
    pub fn new(settings: CciSettings) -> Result<Self, CloudError> {
        settings::check(&settings)?;
        Ok(Self {
            api: Arc::new(Api::new(settings)?),
            sessions: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }
}

impl Drop for CciProvider {
    fn drop(&mut self) {
        self.sessions.close();
        self.stop.cancel();
    }
}

#[async_trait]
impl Provider for CciProvider {
    fn name(&self) -> &'static str {
        "huawei"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { watch: true, logs: true, exec: true }
    }

    async fn prepare(&self) -> Result<(), CloudError> {
        prepare::run(&self.api.client, &self.api.settings).await
    }

    async fn create(&self, request: &CreateRequest, resolve: &dyn Resolve) -> Result<Instance, CloudError> {
        create::create(&self.api, request, resolve).await
    }

    async fn delete(&self, instance: &Instance, grace_seconds: u32) -> Result<(), CloudError> {
        create::delete(&self.api, instance, grace_seconds).await
    }

    async fn list(&self) -> Result<Vec<Instance>, CloudError> {
        let (pods, _) = self.api.list_pods().await?;
        Ok(pods.into_iter().map(CloudPod::into_instance).collect())
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
        let stop = self.stop.clone();
        self.sessions.spawn(async move {
            let _ = stop.run_until_cancelled_owned(session.drive(streams)).await;
        });
        Ok(())
    }
}
