//! Creating and deleting one instance so that neither a lost answer nor a repetition makes two, or deletes the wrong one.
//!
//! The instance's name follows from the pod's UID, so a second create meets the first one's object; whose it is, its
//! tags say. An unknown outcome is resolved by looking, never by creating again.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use serde_json::Value;

use crate::cloud::{CloudError, CreateRequest, Instance, Resolve, hidden};

use super::api::Api;
use super::classify::Refusal;
use super::companions;
use super::forge::{self, Context, Problem, Resolved};
use super::names;
use super::wire::CloudPod;

/// Creates or adopts the instance of a pod.
pub(super) async fn create(
    api: &Api,
    request: &CreateRequest,
    resolve: &dyn Resolve,
) -> Result<Instance, CloudError> {
    let (name, hidden) = (names::instance(&request.pod), hidden::tag(&request.hidden));
    let context = Context {
        cluster_id: &api.settings.cluster_id,
        namespace: &api.namespace,
        instance: &name,
        node: &request.node,
        pod: &request.pod,
        labels: &request.labels,
        annotations: &request.annotations,
        hidden: &hidden,
    };
    let resolved = fetch(&request.object, &request.pod.namespace, resolve).await?;
    let forged =
        forge::forge(&request.object, &context, &resolved).map_err(|problem| tell(problem, resolve))?;
    for notice in &forged.notices {
        resolve.notice(notice.reason, &notice.message);
    }
    companions::create(api, &forged.copies).await?;
    match api.create_pod(&name, &forged.pod).await {
        Ok(pod) if api.is_ours(&pod) => Ok(pod.into_instance()),
        Ok(_) => look(api, request, &name, "the answer to the create does not show our tags".into()).await,
        Err(Refusal::AlreadyExists(text) | Refusal::Unknown(text)) => look(api, request, &name, text).await,
        Err(refusal) => Err(refusal.into()),
    }
}

/// Reads the object that may be ours and adopts it only if it is.
async fn look(api: &Api, request: &CreateRequest, name: &str, why: String) -> Result<Instance, CloudError> {
    match api.read_pod(name).await {
        Ok(found) => adopt(api, request, found),
        Err(Refusal::Cloud(CloudError::Gone(_))) => {
            Err(CloudError::Retryable(format!("{why}; it does not exist")))
        }
        // The create may have happened: a look that was refused proves no absence.
        Err(refusal) => {
            Err(CloudError::Retryable(format!("{why}; looking for it: {}", CloudError::from(refusal))))
        }
    }
}

fn adopt(api: &Api, request: &CreateRequest, found: CloudPod) -> Result<Instance, CloudError> {
    let labels = &found.metadata.labels;
    let name = &found.metadata.name;
    if labels.cluster != api.settings.cluster_id || labels.pod_uid != request.pod.uid {
        return Err(CloudError::Invalid(format!(
            "CCI pod {}/{name} exists and does not belong to pod {}/{}: delete it in the CCI console or choose another pod name",
            api.namespace, request.pod.namespace, request.pod.name
        )));
    }
    if found.deleting() {
        return Err(CloudError::Retryable(format!("CCI pod {name} of the same pod is still being deleted")));
    }
    Ok(found.into_instance())
}

/// Asks for deletion of exactly this incarnation.
pub(super) async fn delete(api: &Api, instance: &Instance, grace_seconds: u32) -> Result<(), CloudError> {
    let (name, uid) = names::parse_id(&instance.id);
    match api.delete_pod(name, uid, grace_seconds).await {
        // Not found, or another incarnation: this one is gone.
        Ok(()) | Err(Refusal::Conflict(_) | Refusal::Cloud(CloudError::Gone(_))) => Ok(()),
        Err(refusal) => Err(refusal.into()),
    }
}

fn tell(problem: Problem, resolve: &dyn Resolve) -> CloudError {
    if let Problem::Missing(notice) = &problem {
        resolve.notice(notice.reason, &notice.message);
    }
    problem.into()
}

/// Fetches everything the pod refers to, concurrently.
async fn fetch(pod: &Value, namespace: &str, resolve: &dyn Resolve) -> Result<Resolved, CloudError> {
    let references = forge::references(pod);
    let config_maps = references.config_maps.into_iter().map(|name| async move {
        let object = resolve.config_map(namespace, &name).await?;
        Ok::<_, CloudError>((name, object))
    });
    let secrets = references.secrets.into_iter().map(|name| async move {
        let object = resolve.secret(namespace, &name).await?;
        Ok::<_, CloudError>((name, object))
    });
    let (config_maps, secrets, services) =
        futures::try_join!(try_join_all(config_maps), try_join_all(secrets), resolve.services(namespace))?;
    let collect = |pairs: Vec<(String, Option<Value>)>| pairs.into_iter().collect::<BTreeMap<_, _>>();
    Ok(Resolved { config_maps: collect(config_maps), secrets: collect(secrets), services })
}
