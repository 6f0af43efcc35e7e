//! Creating and deleting one instance so that neither a lost answer nor a repetition makes two, or deletes the wrong one.
//!
//! The instance's name follows from the pod's UID, so a second create meets the first one's object; whose it is, its
//! tags say. An unknown outcome is resolved by looking, never by creating again.

use crate::cloud::translate::{Problem, References, Resolved, fetch, tell};
use crate::cloud::{CloudError, CreateRequest, Instance, Resolve, hidden};

use super::api::{Api, Place};
use super::claims;
use super::companions;
use super::forge::{Context, Forged};
use super::names;
use super::refusal::Refusal;
use super::wire::CloudPod;

/// Creates or adopts the instance of a pod, in a namespace that exists, as `forge` makes it of what the `references` lead
/// to.
pub(in crate::cloud) async fn create(
    api: &Api,
    namespace: &str,
    request: &CreateRequest,
    resolve: &dyn Resolve,
    references: References,
    forge: impl Fn(&Context<'_>, &Resolved) -> Result<Forged, Problem> + Send + Sync,
) -> Result<Instance, CloudError> {
    let (name, hidden) = (names::instance(&request.pod), hidden::tag(&request.hidden));
    let place = Place { namespace, name: &name, uid: None };
    let resolved = fetch(references, &request.pod.namespace, resolve).await?;
    let forged = {
        let context = Context {
            cluster_id: &api.scope.cluster_id,
            namespace,
            instance: &name,
            node: &request.node,
            pod: &request.pod,
            labels: &request.labels,
            annotations: &request.annotations,
            hidden: &hidden,
        };
        forge(&context, &resolved).map_err(|problem| tell(problem, resolve))?
    };
    for notice in &forged.notices {
        resolve.notice(notice.reason, &notice.message);
    }
    // Until the instance can be seen to use its claims.
    let _creating = api.claims.creating(&forged.claims)?;
    claims::ensure(api, namespace, &forged.claims).await?;
    companions::create(api, namespace, &forged.copies).await?;
    match api.create_pod(place, &forged.pod).await {
        Ok(pod) if api.is_ours(&pod) => Ok(api.instance(pod)),
        Ok(_) => look(api, request, place, "the answer to the create does not show our tags".into()).await,
        Err(Refusal::AlreadyExists(text) | Refusal::Unknown(text)) => look(api, request, place, text).await,
        Err(refusal) => Err(refusal.into()),
    }
}

/// Reads the object that may be ours and adopts it only if it is.
async fn look(
    api: &Api,
    request: &CreateRequest,
    place: Place<'_>,
    why: String,
) -> Result<Instance, CloudError> {
    match api.read_pod(place).await {
        Ok(found) => adopt(api, request, place, found),
        Err(Refusal::Cloud(CloudError::Gone(_))) => {
            Err(CloudError::Retryable(format!("{why}; it does not exist")))
        }
        // The create may have happened: a look that was refused proves no absence.
        Err(refusal) => {
            Err(CloudError::Retryable(format!("{why}; looking for it: {}", CloudError::from(refusal))))
        }
    }
}

fn adopt(
    api: &Api,
    request: &CreateRequest,
    place: Place<'_>,
    found: CloudPod,
) -> Result<Instance, CloudError> {
    let labels = &found.metadata.labels;
    let (name, dialect) = (&found.metadata.name, api.scope.dialect);
    if labels.cluster != api.scope.cluster_id || labels.pod_uid != request.pod.uid {
        return Err(CloudError::Invalid(format!(
            "{} pod {}/{name} exists and does not belong to pod {}/{}: delete it {} or choose another pod name",
            dialect.cloud, place.namespace, request.pod.namespace, request.pod.name, dialect.console
        )));
    }
    if found.deleting() {
        return Err(CloudError::Retryable(format!(
            "{} pod {name} of the same pod is still being deleted",
            dialect.cloud
        )));
    }
    Ok(api.instance(found))
}

/// Asks for deletion of exactly this incarnation.
pub(in crate::cloud) async fn delete(
    api: &Api,
    instance: &Instance,
    grace_seconds: u32,
) -> Result<(), CloudError> {
    match api.delete_pod(api.place(&instance.id), grace_seconds).await {
        // Not found, or another incarnation: this one is gone.
        Ok(()) | Err(Refusal::Conflict(_) | Refusal::Cloud(CloudError::Gone(_))) => Ok(()),
        Err(refusal) => Err(refusal.into()),
    }
}
