//! Huawei CCI as a provider, 1.0 or 2.0: instances are pods in one CCI namespace per cluster, `cce-burst-<cluster id>` or
//! `bursting-<cluster id>`.
//!
//! Thin: decisions are in the modules below. Holds no pod state; everything is found again by the tags on CCI's objects.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::cloud::kubelike::{self, Api, Client, Dialect, Endpoint, Scope};
use crate::cloud::sessions::Sessions;
use crate::cloud::usage::Usage;
use crate::cloud::{
    ByteStream, Capabilities, CloudError, CreateRequest, Instance, InstanceEvent, Provider, Resolve, Warning,
};
use crate::streams::{ExecProviderEnd, ExecRequest, LogOptions};

use account::HuaweiAccount;

mod account;
mod claims;
mod classify;
mod credentials;
mod forge;
mod interop;
mod leave;
mod prepare;
mod settings;
mod sign;
#[cfg(test)]
pub(super) mod tests;

pub use credentials::Credentials;
pub use interop::InteropSettings;
pub use settings::{CciSettings, Generation, NetworkSettings};

/// What CCI is called in messages.
const CLOUD: &str = "CCI";

/// One CCI account, serving the virtual nodes named in its settings.
///
/// Dropping it ends the commands that run through it.
#[derive(Debug)]
pub struct CciProvider {
    api: Arc<Api>,
    settings: CciSettings,
    sessions: Sessions,
}

impl CciProvider {
    /// Checks the settings and reads the credentials; nothing is sent.
    ///
    /// # Errors
    /// [`CloudError::Invalid`] for settings that can never work, [`CloudError::Auth`] for unreadable credentials.
    pub fn new(settings: CciSettings) -> Result<Self, CloudError> {
        settings::check(&settings)?;
        settings.interop.as_ref().map_or(Ok(()), InteropSettings::check)?;
        let endpoint = Endpoint {
            url: settings.endpoint.clone(),
            ca_pem: settings.ca_pem.clone(),
            place: settings.region.clone(),
            identity: None,
        };
        let client = Client::new(endpoint, Box::new(HuaweiAccount::new(&settings)?))?;
        let scope = Scope {
            cluster_id: settings.cluster_id.clone(),
            node_names: settings.node_names.clone(),
            namespace: Some(settings.namespace()),
            dialect: Dialect {
                cloud: CLOUD,
                console: "in the CCI console",
                since_time: false,
                root: settings.generation.root(),
                no_usage: "CCI tells it for this generation and region in its console only",
                claims: Some(match settings.generation {
                    Generation::One => claims::unbinding,
                    Generation::Two => claims::deletion,
                }),
            },
        };
        Ok(Self { api: Arc::new(Api::new(client, scope)), settings, sessions: Sessions::default() })
    }
}

#[async_trait]
impl Provider for CciProvider {
    fn name(&self) -> &'static str {
        self.settings.generation.taint()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { watch: true, logs: true, exec: true, attach: false, port_forward: true, usage: true }
    }

    fn account(&self) -> Option<String> {
        let CciSettings { region, project_id, .. } = &self.settings;
        let place = self.settings.namespace();
        Some(format!(
            "CCI {} in {region}, project {project_id}, namespace {place}",
            self.settings.generation.word()
        ))
    }

    fn network_interop(&self) -> bool {
        self.settings.interop.is_some()
    }

    async fn prepare(&self) -> Result<(), CloudError> {
        prepare::run(&self.api.client, &self.settings).await
    }

    async fn leave(&self) -> Result<(), CloudError> {
        leave::run(&self.api, self.settings.generation, &self.settings.namespace()).await
    }

    async fn create(&self, request: &CreateRequest, resolve: &dyn Resolve) -> Result<Instance, CloudError> {
        let (namespace, generation) = (self.settings.namespace(), self.settings.generation);
        let references = forge::references(&request.object);
        let interop = self.settings.interop.as_ref();
        let interop = interop.map(|interop| interop.beside(request, generation.taint())).transpose()?;
        let (request, secret) =
            interop.as_ref().map_or((request, None), |(beside, secret)| (beside, Some(secret)));
        kubelike::create(&self.api, &namespace, request, resolve, references, |context, resolved| {
            let more = secret.map(|secret| secret.among(resolved));
            forge::forge(generation, &request.object, context, more.as_ref().unwrap_or(resolved))
        })
        .await
    }

    async fn delete(&self, instance: &Instance, grace_seconds: u32) -> Result<(), CloudError> {
        kubelike::delete(&self.api, instance, grace_seconds).await
    }

    async fn list(&self) -> Result<Vec<Instance>, CloudError> {
        let (pods, _) = self.api.list_pods().await?;
        Ok(pods.into_iter().map(|pod| self.api.instance(pod)).collect())
    }

    fn watch(&self) -> BoxStream<'static, Result<InstanceEvent, CloudError>> {
        kubelike::start_watch(Arc::clone(&self.api)).boxed()
    }

    fn warnings(&self) -> BoxStream<'static, Warning> {
        kubelike::start_warnings(Arc::clone(&self.api)).boxed()
    }

    async fn logs(
        &self,
        instance: &Instance,
        container: &str,
        options: &LogOptions,
    ) -> Result<ByteStream, CloudError> {
        kubelike::open_log(&self.api, instance, container, options).await
    }

    async fn exec(
        &self,
        instance: &Instance,
        container: &str,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        let session = kubelike::open_exec(&self.api, instance, container, request).await?;
        self.sessions.run(session.drive(streams));
        Ok(())
    }

    async fn usage(&self, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
        kubelike::read_usage(&self.api, instances).await
    }
}
