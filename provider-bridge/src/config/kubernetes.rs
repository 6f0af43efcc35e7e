//! Another Kubernetes cluster, as the operator declares it.

use std::path::PathBuf;

use serde::Deserialize;

use crate::cloud::kubernetes::{KubernetesSettings, Login, Namespaces, is_label};

/// What the mapped namespaces begin with unless the operator says otherwise.
const PREFIX: &str = "burst";

/// Another cluster, and where in it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubernetesConfig {
    /// A kubeconfig with a token or a client certificate.
    pub kubeconfig_file: Option<PathBuf>,
    /// Which context of it; its current one if absent.
    pub context: Option<String>,
    /// Base URL of the API server, in the place of a kubeconfig.
    pub server: Option<String>,
    /// File with a bearer token for `server`; read again when it changes.
    pub token_file: Option<PathBuf>,
    /// CA bundle of `server`, PEM; the system's roots if absent.
    pub ca_file: Option<PathBuf>,
    /// Every pod goes into this namespace.
    pub namespace: Option<String>,
    /// Pods of namespace `shop` go into `{prefix}-shop`; `burst` if neither is set.
    pub namespace_prefix: Option<String>,
    /// Cluster id in the tags; the UID of the kube-system namespace if absent.
    pub cluster_id: Option<String>,
}

impl KubernetesConfig {
    /// For the provider of one virtual node.
    pub fn settings(&self, node: &str, cluster_id: &str) -> KubernetesSettings {
        let login = match (&self.kubeconfig_file, &self.server) {
            (Some(file), _) => Login::Kubeconfig { file: file.clone(), context: self.context.clone() },
            (None, server) => Login::Token {
                server: server.clone().unwrap_or_default(),
                token: self.token_file.clone().unwrap_or_default(),
                ca: self.ca_file.clone(),
            },
        };
        let prefix = || self.namespace_prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
        KubernetesSettings {
            cluster_id: self.cluster_id.clone().unwrap_or_else(|| cluster_id.to_owned()),
            node_names: vec![node.to_owned()],
            login,
            namespaces: self
                .namespace
                .clone()
                .map_or_else(|| Namespaces::Prefixed(prefix()), Namespaces::One),
        }
    }
}

/// Key and reason of the first problem.
pub(super) fn check(config: Option<&KubernetesConfig>) -> Result<(), (String, String)> {
    let refuse = |key: &str, reason: &str| Err((key.to_owned(), reason.to_owned()));
    let Some(config) = config else {
        return refuse(
            "kubernetes",
            "is missing; provider kubernetes needs kubeconfigFile, or server and tokenFile, of the other cluster",
        );
    };
    match (&config.kubeconfig_file, &config.server) {
        (None, None) => {
            return refuse("kubernetes", "names no cluster; set kubeconfigFile, or server and tokenFile");
        }
        (Some(_), Some(_)) => {
            return refuse("kubernetes.server", "contradicts kubeconfigFile; remove one of the two");
        }
        (None, Some(_)) if config.token_file.is_none() => {
            return refuse(
                "kubernetes.tokenFile",
                "is missing beside server; set the file with its bearer token",
            );
        }
        (None, Some(_)) if config.context.is_some() => {
            return refuse("kubernetes.context", "is one of a kubeconfig, and none is set; remove it");
        }
        (Some(_), None) if config.token_file.is_some() || config.ca_file.is_some() => {
            return refuse("kubernetes.kubeconfigFile", "brings token and CA; remove tokenFile and caFile");
        }
        _ => {}
    }
    if config.namespace.is_some() && config.namespace_prefix.is_some() {
        return refuse("kubernetes.namespacePrefix", "contradicts namespace; remove one of the two");
    }
    for (key, name) in [("namespace", &config.namespace), ("namespacePrefix", &config.namespace_prefix)] {
        if let Some(name) = name.as_ref().filter(|name| !is_label(name)) {
            let reason = format!(
                "{name:?} is no name of a namespace; use lower-case letters, digits and '-', at most 40 characters"
            );
            return Err((format!("kubernetes.{key}"), reason));
        }
    }
    Ok(())
}
