//! Makes the namespaces of the other cluster that instances go into. One that exists is used as it is and never changed;
//! none is deleted.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use http::Method;
use policies::keys::tag;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cloud::CloudError;
use crate::cloud::kubelike::{Api, Call, Refusal, Verb};

/// The namespace whose UID tells clusters apart.
const KUBE_SYSTEM: &str = "kube-system";

#[derive(Debug, Default, Deserialize)]
struct Namespace {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    uid: String,
}

#[derive(Debug, Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

/// The namespaces that are known to exist.
#[derive(Debug, Default)]
pub(super) struct Ensured(Mutex<HashSet<String>>);

impl Ensured {
    /// Refuses this very cluster and looks at everything anew; makes the one namespace there is, if it is one.
    pub(super) async fn prepare(&self, api: &Api, one: Option<&str>) -> Result<(), CloudError> {
        self.lock().clear();
        match read(api, KUBE_SYSTEM).await {
            Ok(found) if found.metadata.uid == api.scope.cluster_id => {
                return Err(CloudError::Invalid(
                    "the kubeconfig of the virtual node leads into this very cluster: name another one"
                        .to_owned(),
                ));
            }
            // Whoever may not read it may still create pods.
            Ok(_) | Err(Refusal::Cloud(CloudError::Auth(_) | CloudError::Gone(_))) => {}
            Err(refusal) => return Err(refusal.into()),
        }
        match one {
            Some(namespace) => self.namespace(api, namespace, "").await,
            None => Ok(()),
        }
    }

    /// Makes a namespace unless it is known to exist. `of` is the namespace here that it is for.
    pub(super) async fn namespace(&self, api: &Api, namespace: &str, of: &str) -> Result<(), CloudError> {
        if self.lock().contains(namespace) {
            return Ok(());
        }
        match read(api, namespace).await {
            Ok(found) if found.status.phase == "Terminating" => {
                return Err(CloudError::Retryable(format!(
                    "remote namespace {namespace} is being deleted; it is made again when that is finished"
                )));
            }
            // Whoever may not read it may still create pods in it; if it is missing, that is said there.
            Ok(_) | Err(Refusal::Cloud(CloudError::Auth(_))) => {}
            Err(Refusal::Cloud(CloudError::Gone(_))) => make(api, namespace, of).await?,
            Err(refusal) => return Err(refusal.into()),
        }
        self.lock().insert(namespace.to_owned());
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(api: &Api, namespace: &str) -> Result<Namespace, Refusal> {
    let operation = api.operation(Verb::ReadNamespace, namespace);
    api.client.json(&Call::new(operation, Method::GET, format!("/api/v1/namespaces/{namespace}"))).await
}

async fn make(api: &Api, namespace: &str, of: &str) -> Result<(), CloudError> {
    let operation = api.operation(Verb::CreateNamespace, namespace);
    let call = Call::new(operation, Method::POST, "/api/v1/namespaces".to_owned());
    match api.client.accept(&call.json(&object(namespace, &api.scope.cluster_id, of))).await {
        Ok(()) | Err(Refusal::AlreadyExists(_)) => Ok(()),
        Err(refusal) => Err(refusal.into()),
    }
}

/// The annotation says whose it is: the name may end in a hash.
fn object(namespace: &str, cluster_id: &str, of: &str) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {tag::CLUSTER: cluster_id}},
    });
    if !of.is_empty() {
        object["metadata"]["annotations"] = json!({tag::POD_NAMESPACE: of});
    }
    object
}
