//! `burst-bridge --uninstall`: what burst has in the clouds' accounts goes, so that nothing is billed after it.
//!
//! Every instance of every virtual node of the configuration is deleted, and when a cloud shows none any more, the provider
//! removes what it had made ready ([`Provider::leave`]). Nothing of the cluster is touched. It must never run beside a
//! bridge, which would make the instances of bound pods again.

use std::sync::Arc;
use std::time::Duration;

use cluster::Access;

use crate::bridge::{self, StartError};
use crate::cloud::{CloudError, Provider};
use crate::config::BridgeConfig;
use crate::registry;

/// Between two looks at what is left.
const LOOK: Duration = Duration::from_secs(1);

/// Why something may be left.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// It could not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The cloud refused or did not answer.
    #[error("virtual node {node}: {error}; what is left is billed: run it again")]
    Cloud {
        /// Which node.
        node: String,
        /// What the cloud says.
        error: CloudError,
    },
    /// Deletions were accepted and are not finished.
    #[error("virtual node {node}: {left} instances are still there; they are billed: run it again")]
    Left {
        /// Which node.
        node: String,
        /// How many instances.
        left: usize,
    },
}

/// Empties the accounts of all virtual nodes, one after the other; each gets `patience` for its deletions.
///
/// # Errors
/// [`UninstallError`] for the first virtual node of which something may be left.
pub async fn run(config: &BridgeConfig, patience: Duration) -> Result<(), UninstallError> {
    let access = Access::load(config.kubeconfig.as_deref()).await.map_err(StartError::from)?;
    let own = access.client().map_err(StartError::from)?;
    let cluster_id = bridge::cluster_id(config, &own).await?;
    let mut providers = Vec::new();
    for node in &config.nodes {
        let provider = registry::open(node, &cluster_id)
            .map_err(|error| StartError::Provider { node: node.name.clone(), error })?;
        providers.push((node.name.clone(), provider));
    }
    everything(&providers, patience).await
}

/// First all instances of all nodes, then what the nodes shared.
async fn everything(
    providers: &[(String, Arc<dyn Provider>)],
    patience: Duration,
) -> Result<(), UninstallError> {
    for (node, provider) in providers {
        instances(node, provider.as_ref(), patience).await?;
    }
    for (node, provider) in providers {
        provider.leave().await.map_err(|error| UninstallError::Cloud { node: node.clone(), error })?;
        tracing::info!(node, "nothing is left in the account");
    }
    Ok(())
}

async fn instances(node: &str, provider: &dyn Provider, patience: Duration) -> Result<(), UninstallError> {
    let refused = |error| UninstallError::Cloud { node: node.to_owned(), error };
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let left = match provider.list().await {
            Ok(left) => left,
            // Nothing was ever made there.
            Err(CloudError::Gone(_)) => Vec::new(),
            Err(error) => return Err(refused(error)),
        };
        if left.is_empty() {
            return Ok(());
        }
        for instance in left.iter().filter(|instance| !instance.deleting) {
            provider.delete(instance, 0).await.map_err(refused)?;
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(UninstallError::Left { node: node.to_owned(), left: left.len() });
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::cloud::mock::{MockProvider, MockSettings};
    use crate::cloud::{CreateRequest, PodIdentity, Resolve};

    struct Nobody;

    #[async_trait::async_trait]
    impl Resolve for Nobody {
        async fn config_map(&self, _: &str, _: &str) -> Result<Option<serde_json::Value>, CloudError> {
            Ok(None)
        }

        async fn secret(&self, _: &str, _: &str) -> Result<Option<serde_json::Value>, CloudError> {
            Ok(None)
        }

        async fn services(&self, _: &str) -> Result<Vec<serde_json::Value>, CloudError> {
            Ok(Vec::new())
        }
    }

    async fn with_pods(stop_delay: Duration, pods: usize) -> Arc<dyn Provider> {
        let provider = MockProvider::new(MockSettings { start_delay: Duration::ZERO, stop_delay });
        for i in 0..pods {
            let pod =
                PodIdentity { uid: format!("u-{i}"), namespace: "shop".into(), name: format!("web-{i}") };
            let object = json!({"metadata": {"name": pod.name, "namespace": "shop", "uid": pod.uid},
                "spec": {"containers": [{"name": "main", "image": "nginx"}]}});
            let request = CreateRequest {
                pod,
                node: "burst-a".into(),
                object: Arc::new(object),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                hidden: Vec::new(),
                needs_grant: false,
            };
            provider.create(&request, &Nobody).await.unwrap();
        }
        Arc::new(provider)
    }

    #[tokio::test]
    async fn uninstalling_leaves_no_instance() {
        let (full, empty) =
            (with_pods(Duration::from_millis(50), 3).await, with_pods(Duration::ZERO, 0).await);
        let providers = [("burst-a".to_owned(), full.clone()), ("burst-b".to_owned(), empty)];
        everything(&providers, Duration::from_secs(20)).await.unwrap();
        assert!(full.list().await.unwrap().is_empty());
        let slow = with_pods(Duration::from_secs(600), 2).await;
        let error =
            everything(&[("burst-c".to_owned(), slow)], Duration::ZERO).await.unwrap_err().to_string();
        assert!(error.contains("burst-c: 2 instances are still there"), "{error}");
    }
}
