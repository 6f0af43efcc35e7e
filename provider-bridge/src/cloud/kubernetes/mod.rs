//! Another Kubernetes cluster as a provider: instances are pods there, in a namespace per namespace or in one for all.
//!
//! Thin: what such clouds share is in [`super::kubelike`]. Holds no pod state; everything is found again by the tags.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use policies::support::KUBERNETES;

use crate::cloud::kubelike::{self, Api, Client, Dialect, Scope};
use crate::cloud::sessions::Sessions;
use crate::cloud::usage::Usage;
use crate::cloud::{
    ByteStream, Capabilities, CloudError, CreateRequest, Instance, InstanceEvent, Provider, Resolve,
};
use crate::streams::{Connection, ExecProviderEnd, ExecRequest, LogOptions};

use namespaces::Ensured;

mod account;
mod forge;
mod kubeconfig;
mod namespaces;
mod settings;
#[cfg(test)]
mod tests;

pub use settings::{KubernetesSettings, Login, Namespaces, is_label};

/// What the other cluster is called in messages: `create remote pod …`.
const CLOUD: &str = "remote";

const DIALECT: Dialect = Dialect {
    cloud: CLOUD,
    console: "in that cluster",
    since_time: true,
    root: "/api/v1",
    claims: None,
    no_usage: "install metrics-server in that cluster",
};

/// One other cluster, serving the virtual nodes named in its settings.
///
/// Dropping it ends the sessions that run through it.
#[derive(Debug)]
pub struct KubernetesProvider {
    api: Arc<Api>,
    /// Where the other API server is.
    server: String,
    settings: KubernetesSettings,
    ensured: Ensured,
    sessions: Sessions,
}

impl KubernetesProvider {
    /// Reads the credentials; nothing is sent.
    ///
    /// # Errors
    /// [`CloudError::Invalid`] for settings that can never work, [`CloudError::Auth`] for unreadable credentials.
    pub fn new(settings: KubernetesSettings) -> Result<Self, CloudError> {
        let (endpoint, account) = account::open(&settings.login)?;
        let server = endpoint.url.clone();
        let scope = Scope {
            cluster_id: settings.cluster_id.clone(),
            node_names: settings.node_names.clone(),
            namespace: settings.namespaces.one().map(str::to_owned),
            dialect: DIALECT,
        };
        Ok(Self {
            api: Arc::new(Api::new(Client::new(endpoint, Box::new(account))?, scope)),
            server,
            settings,
            ensured: Ensured::default(),
            sessions: Sessions::default(),
        })
    }
}

#[async_trait]
impl Provider for KubernetesProvider {
    fn name(&self) -> &'static str {
        KUBERNETES
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { watch: true, logs: true, exec: true, attach: true, port_forward: true, usage: true }
    }

    fn account(&self) -> Option<String> {
        let place = match &self.settings.namespaces {
            Namespaces::One(name) => format!("namespace {name}"),
            Namespaces::Prefixed(prefix) => format!("namespaces {prefix}-*"),
        };
        Some(format!("the cluster at {}, {place}, pods of cluster {}", self.server, self.settings.cluster_id))
    }

    async fn prepare(&self) -> Result<(), CloudError> {
        self.ensured.prepare(&self.api, self.settings.namespaces.one()).await
    }

    async fn create(&self, request: &CreateRequest, resolve: &dyn Resolve) -> Result<Instance, CloudError> {
        let namespace = self.settings.namespaces.of(&request.pod.namespace);
        self.ensured.namespace(&self.api, &namespace, &request.pod.namespace).await?;
        let references = forge::references(&request.object);
        kubelike::create(&self.api, &namespace, request, resolve, references, |context, resolved| {
            forge::forge(&request.object, context, resolved)
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

    async fn attach(
        &self,
        instance: &Instance,
        container: &str,
        request: &ExecRequest,
        streams: ExecProviderEnd,
    ) -> Result<(), CloudError> {
        let session = kubelike::open_attach(&self.api, instance, container, request).await?;
        self.sessions.run(session.drive(streams));
        Ok(())
    }

    async fn connect(&self, instance: &Instance, port: u16) -> Result<Box<dyn Connection>, CloudError> {
        let (connection, session) = kubelike::open_port(&self.api, instance, port).await?;
        self.sessions.run(session);
        Ok(Box::new(connection))
    }

    async fn usage(&self, instances: &[Instance]) -> Result<Vec<Usage>, CloudError> {
        kubelike::read_usage(&self.api, instances).await
    }
}
