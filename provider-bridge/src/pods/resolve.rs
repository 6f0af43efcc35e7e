//! Looks up ConfigMaps, Secrets and Services for pods, with the identity of the virtual node.
//!
//! Reads are live, so a pod never starts with the view of a cache that was not filled yet; Services and ConfigMaps are
//! kept for a moment, because every pod of a namespace asks for the same ones. Secrets are never kept. What a provider
//! wants kept on a pod is an annotation, which the API server takes along with a status.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cluster::Outcome;
use cluster::patch::{PodRef, patch_pod_status_with};
use kube::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cloud::{Claim, CloudError, PodIdentity, Resolve};

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

    /// An annotation of exactly this pod, which must exist; `null` removes it.
    async fn annotate(&self, pod: &PodIdentity, key: &str, value: Value) -> Result<(), CloudError> {
        let PodIdentity { namespace, name, uid } = pod;
        let annotations = json!({ key: value });
        let pod = PodRef { namespace, name, uid };
        let failed = |why: &str| {
            CloudError::Retryable(format!(
                "annotation {key} of pod {namespace}/{name} cannot be written: {why}"
            ))
        };
        match patch_pod_status_with(&self.client, pod, &json!({}), Some(&annotations)).await {
            Ok(Outcome::Done) => Ok(()),
            Ok(Outcome::Gone | Outcome::Conflict) => Err(failed("the pod is gone")),
            Ok(Outcome::Retry(_)) => Err(failed("the API server does not answer")),
            Err(error) => Err(failed(&error.to_string())),
        }
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

    /// A volume counts once the claim is bound to it.
    async fn claim(&self, namespace: &str, name: &str) -> Result<Option<Claim>, CloudError> {
        let found =
            self.get(&format!("/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")).await?;
        let Some(claim) = found else { return Ok(None) };
        let text = |pointer: &str| claim.pointer(pointer).and_then(Value::as_str);
        let volume = match text("/spec/volumeName").filter(|_| text("/status/phase") == Some("Bound")) {
            Some(volume) => self.get(&format!("/api/v1/persistentvolumes/{volume}")).await?,
            None => None,
        };
        Ok(Some(Claim { claim, volume }))
    }

    /// With the pod's UID before the text: an annotation that was copied from another pod is none.
    async fn keep_once(
        &self,
        pod: &PodIdentity,
        key: &'static str,
        text: &str,
    ) -> Result<Option<String>, CloudError> {
        let PodIdentity { namespace, name, uid } = pod;
        let found = self.get(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await?;
        let found = found.filter(|found| found.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid));
        let Some(found) = found else {
            return Err(CloudError::Retryable(format!("pod {namespace}/{name} is gone from the API server")));
        };
        let annotations = found.pointer("/metadata/annotations");
        let kept = annotations.and_then(|all| all.get(key)?.as_str()?.strip_prefix(uid)?.strip_prefix(' '));
        if let Some(kept) = kept {
            return Ok(Some(kept.to_owned()));
        }
        self.annotate(pod, key, format!("{uid} {text}").into()).await?;
        Ok(None)
    }

    async fn drop_kept(&self, pod: &PodIdentity, key: &'static str) -> Result<(), CloudError> {
        self.annotate(pod, key, Value::Null).await
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

    /// Guards the bill: what is kept is on the pod, for whoever asks next, and an error where that is not certain.
    #[tokio::test(start_paused = true)]
    async fn a_text_is_kept_once_on_exactly_this_pod() {
        const KEY: &str = "burst.io/prepaid-create";
        let api = FakeApi::new();
        let mut web = object("Pod", "shop", "web");
        web["metadata"]["uid"] = json!("u1");
        web["metadata"]["annotations"] = json!({ KEY: "u0 copied from another pod" });
        api.put(web);
        let pod = |uid: &str| PodIdentity { uid: uid.into(), namespace: "shop".into(), name: "web".into() };
        let resolve = KubeResolve::new(api.client());
        assert_eq!(resolve.keep_once(&pod("u1"), KEY, "first").await, Ok(None));
        let after_a_restart = KubeResolve::new(api.client());
        assert_eq!(after_a_restart.keep_once(&pod("u1"), KEY, "second").await, Ok(Some("first".into())));
        assert!(resolve.keep_once(&pod("u2"), KEY, "x").await.is_err());
        resolve.drop_kept(&pod("u1"), KEY).await.unwrap();
        api.fault(Fault::status(500).on("PATCH", "/pods/web"));
        assert!(resolve.keep_once(&pod("u1"), KEY, "third").await.is_err());
        api.clear_faults();
        assert_eq!(resolve.keep_once(&pod("u1"), KEY, "third").await, Ok(None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_comes_with_its_volume_once_it_is_bound() {
        let api = FakeApi::new();
        api.register("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true);
        api.register("v1", "PersistentVolume", "persistentvolumes", false);
        let resolve = KubeResolve::new(api.client());
        assert!(resolve.claim("shop", "data").await.unwrap().is_none());
        let mut claim = object("PersistentVolumeClaim", "shop", "data");
        claim["spec"] = json!({"volumeName": "pv-1"});
        claim["status"] = json!({"phase": "Pending"});
        api.put(claim.clone());
        assert!(resolve.claim("shop", "data").await.unwrap().unwrap().volume.is_none());
        claim["status"] = json!({"phase": "Bound"});
        api.put(claim);
        api.put(json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-1"}}));
        let found = resolve.claim("shop", "data").await.unwrap().unwrap();
        assert_eq!(found.volume.unwrap()["metadata"]["name"], "pv-1");
    }
}
