//! Clients of the API server: from a kubeconfig file or the pod's own ServiceAccount, as ourselves or as a virtual node.
//!
//! They never retry by themselves (kube's default hides an overloaded server behind up to 15 silent repeats): every
//! caller sees each answer and decides. Facts: kube's `Config`; authentication by impersonation.

use std::path::Path;

use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use thiserror::Error;

/// The API server could not be configured or reached.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The kubeconfig file is missing or wrong.
    #[error("kubeconfig {path}: {source}; give a readable kubeconfig, or none inside a cluster")]
    Kubeconfig {
        /// The file.
        path: String,
        /// What is wrong.
        source: KubeconfigError,
    },
    /// No kubeconfig was given and this is not a pod.
    #[error("not inside a cluster ({0}); give the path of a kubeconfig")]
    InCluster(#[from] InClusterError),
    /// The client could not be built.
    #[error("client for the API server {server}: {source}")]
    Client {
        /// Address of the API server.
        server: String,
        /// What is wrong.
        source: Box<kube::Error>,
    },
}

/// How to reach the API server; makes clients, each with connections of its own.
#[derive(Clone)]
pub struct Access {
    config: Config,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("server", &self.config.cluster_url.to_string()).finish_non_exhaustive()
    }
}

impl Access {
    /// Reads the kubeconfig at `path`, or the ServiceAccount of this pod if none is given.
    ///
    /// # Errors
    /// [`AccessError`] when there is no usable configuration.
    pub async fn load(path: Option<&Path>) -> Result<Self, AccessError> {
        let config = match path {
            None => Config::incluster()?,
            Some(path) => from_file(path).await?,
        };
        Ok(Self { config: plain(config) })
    }

    /// Address of the API server, for messages.
    pub fn server(&self) -> String {
        self.config.cluster_url.to_string()
    }

    /// A client with our own identity. Must be called within a tokio runtime, as kube's clients must.
    ///
    /// # Errors
    /// [`AccessError::Client`] when certificates or address are unusable.
    pub fn client(&self) -> Result<Client, AccessError> {
        self.build(self.config.clone())
    }

    /// A client that acts as the virtual node: user `system:node:<name>` in group `system:nodes`, so that the Node
    /// authorizer limits it to what the node's own pods use.
    ///
    /// # Errors
    /// [`AccessError::Client`] when certificates or address are unusable.
    pub fn client_as_node(&self, node: &str) -> Result<Client, AccessError> {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(format!("system:node:{node}"));
        config.auth_info.impersonate_groups = Some(vec!["system:nodes".to_owned()]);
        self.build(config)
    }

    fn build(&self, config: Config) -> Result<Client, AccessError> {
        Client::try_from(config)
            .map_err(|source| AccessError::Client { server: self.server(), source: Box::new(source) })
    }
}

async fn from_file(path: &Path) -> Result<Config, AccessError> {
    let wrong = |source| AccessError::Kubeconfig { path: path.display().to_string(), source };
    let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(wrong)
}

/// No retries and no proxy from the environment (kube's proxy support is compiled out and would only fail).
fn plain(mut config: Config) -> Config {
    config.default_retry = false;
    config.proxy_url = None;
    config
}

#[cfg(test)]
mod tests;
