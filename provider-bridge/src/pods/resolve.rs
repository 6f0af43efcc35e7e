//! Looks up ConfigMaps, Secrets and Services for pods, with the identity of the virtual node.
//!
//! Reads are live, so a pod never starts with the view of a cache that was not filled yet; Services and ConfigMaps are
//! kept for a moment, because every pod of a namespace asks for the same ones. Secrets are never kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kube::Client;
use serde_json::Value;
use tokio::time::Instant;

use crate::cloud::{CloudError, Resolve};

/// How long a Service list or ConfigMap is reused.
const KEPT: Duration = Duration::from_secs(2);
/// So many kept objects at most.
const KEPT_OBJECTS: usize = 256;

/// [`Resolve`] over a client of the API server.
pub struct KubeResolve {
    client: Client,
    /// A refusal is an answer, not a moment's state.
    refusals_are_final: bool,
    kept: Mutex<HashMap<String, (Instant, Option<Value>)>>,
}

impl std::fmt::Debug for KubeResolve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeResolve").finish_non_exhaustive()
    }
}

impl KubeResolve {
    /// Looks up with this client's identity.
    pub fn new(client: Client) -> Self {
        Self { client, refusals_are_final: false, kept: Mutex::new(HashMap::new()) }
    }

    /// The same for a client whose rights do not change with what is bound: a refusal is [`CloudError::Auth`].
    pub fn with_own_rights(client: Client) -> Self {
        Self { refusals_are_final: true, ..Self::new(client) }
    }

    async fn kept(&self, path: String) -> Result<Option<Value>, CloudError> {
        if let Some(value) = self.recent(&path) {
            return Ok(value);
        }
        let value = self.get(&path).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_OBJECTS {
            kept.retain(|_, (at, _)| at.elapsed() < KEPT);
        }
        if kept.len() < KEPT_OBJECTS && value.is_some() {
            kept.insert(path, (Instant::now(), value.clone()));
        }
        Ok(value)
    }

    fn recent(&self, path: &str) -> Option<Option<Value>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(path).filter(|(at, _)| at.elapsed() < KEPT).map(|(_, value)| value.clone())
    }

    /// `None` for "does not exist". Refusals count as retryable: the Node authorizer learns of a binding a moment late.
    async fn get(&self, path: &str) -> Result<Option<Value>, CloudError> {
        let failed = |e: &dyn std::fmt::Display| {
            CloudError::Retryable(format!("reading {path} from the API server: {e}"))
        };
        let request = http::Request::get(path).body(Vec::new()).map_err(|e| failed(&e))?;
        match self.client.request::<Value>(request).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 403 && self.refusals_are_final => {
                Err(CloudError::Auth(format!("reading {path}: {}", status.message)))
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

#[async_trait]
impl Resolve for KubeResolve {
    async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Value>, CloudError> {
        self.kept(format!("/api/v1/namespaces/{namespace}/configmaps/{name}")).await
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Value>, CloudError> {
        self.get(&format!("/api/v1/namespaces/{namespace}/secrets/{name}")).await
    }

    async fn services(&self, namespace: &str) -> Result<Vec<Value>, CloudError> {
        let list = self.kept(format!("/api/v1/namespaces/{namespace}/services")).await?.unwrap_or_default();
        let mut services = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        if namespace != "default" {
            services.extend(self.kept("/api/v1/namespaces/default/services/kubernetes".to_owned()).await?);
        }
        Ok(services)
    }
}

#[cfg(test)]
mod tests {
    use cluster::testing::{FakeApi, Fault};
    use serde_json::json;

    use super::*;

    fn object(kind: &str, namespace: &str, name: &str) -> Value {
        json!({ "apiVersion": "v1", "kind": kind, "metadata": { "namespace": namespace, "name": name } })
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_exist_is_none_and_what_cannot_be_read_is_an_error() {
        let api = FakeApi::new();
        let resolve = KubeResolve::new(api.client());
        assert_eq!(resolve.secret("shop", "absent").await, Ok(None));
        assert_eq!(resolve.config_map("shop", "absent").await, Ok(None));
        api.fault(Fault::status(403).on("GET", "/secrets/"));
        let error = resolve.secret("shop", "web").await.unwrap_err();
        assert!(matches!(&error, CloudError::Retryable(text) if text.contains("/secrets/web")), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn services_are_those_of_the_namespace_and_the_api_server() {
        let api = FakeApi::new();
        api.put(object("Service", "shop", "web"));
        api.put(object("Service", "default", "kubernetes"));
        api.put(object("Service", "default", "other"));
        let resolve = KubeResolve::new(api.client());
        let services = resolve.services("shop").await.unwrap();
        let names: Vec<_> = services.iter().filter_map(|s| s.pointer("/metadata/name")).collect();
        assert_eq!(names, ["web", "kubernetes"]);
        assert_eq!(resolve.services("default").await.unwrap().len(), 2, "not twice");
    }

    #[tokio::test(start_paused = true)]
    async fn config_maps_are_kept_for_a_moment_and_secrets_never() {
        let api = FakeApi::new();
        api.put(object("ConfigMap", "shop", "web"));
        api.put(object("Secret", "shop", "web"));
        let resolve = KubeResolve::new(api.client());
        for _ in 0..5 {
            assert!(resolve.config_map("shop", "web").await.unwrap().is_some());
            assert!(resolve.secret("shop", "web").await.unwrap().is_some());
        }
        assert_eq!(api.requests_of("GET", "/configmaps/").len(), 1);
        assert_eq!(api.requests_of("GET", "/secrets/").len(), 5);
        tokio::time::sleep(KEPT).await;
        assert!(resolve.config_map("shop", "web").await.unwrap().is_some());
        assert_eq!(api.requests_of("GET", "/configmaps/").len(), 2);
    }
}
