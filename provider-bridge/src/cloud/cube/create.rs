//! Creating one Cube pod without an idempotency token.
//!
//! First a look at the list. A create whose answer is lost may take effect until the gateway gives up; so after one the
//! list is looked at again and again, and only when that time is over is the create sent anew. One that is paid in
//! advance is not: it would be paid twice. That it is about to be sent is written on the pod first, where the next process
//! finds it. What slips through of the others (our memory is lost with the process) is removed by the watch.

use std::sync::Arc;

use jiff::Timestamp;
use policies::keys::PREPAID_CREATE;
use policies::resources::Resources;
use serde_json::json;
use tokio::time::Instant;

use crate::cloud::translate::{References, claim_names, fetch, references, tell};
use crate::cloud::{CloudError, CreateRequest, Instance, Resolve};

use super::address;
use super::api::{Api, Sent};
use super::fault::Refusal;
use super::forge::{self, Forged};
use super::names;
use super::watch::oldest;

/// Creates or adopts the instance of a pod.
pub(super) async fn create(
    api: &Api,
    request: &CreateRequest,
    resolve: &dyn Resolve,
) -> Result<Instance, CloudError> {
    let uid = &request.pod.uid;
    let sent = api.sent(uid);
    if let Some(found) = look(api, uid, sent).await? {
        api.answered(uid);
        // The answer of the create may be what was lost before the address was bound.
        if let Some(wanted) = address::wanted(&request.all_annotations()).ok().flatten() {
            address::bind(api, &found, &wanted, resolve).await;
        }
        return Ok(found);
    }
    if let Some(sent) = sent {
        wait(api, request, sent)?;
    }
    let references = References { claims: claim_names(&request.object), ..references(&request.object, &[]) };
    let resolved = fetch(references, &request.pod.namespace, resolve).await?;
    let forged = forge::forge(&api.settings, request, &resolved, &resolved.claims)
        .map_err(|problem| tell(problem, resolve))?;
    for notice in &forged.notices {
        resolve.notice(notice.reason, &notice.message);
    }
    if forged.prepaid {
        begin(api, request, resolve).await?;
    }
    let instance = send(api, request, &forged, resolve).await?;
    if let Some(wanted) = &forged.address {
        address::bind(api, &instance, wanted, resolve).await;
    }
    Ok(instance)
}

/// The pod's instance, if there is one. After a create without an answer only a new list will do.
async fn look(api: &Api, uid: &str, sent: Option<Sent>) -> Result<Option<Instance>, CloudError> {
    let made = api.changes.all().into_iter().find(|one| one.instance.pod.uid == uid && !one.deleted);
    if let Some(made) = made {
        return Ok(Some(made.instance));
    }
    let now = Instant::now();
    let since = if sent.is_some() { now } else { now.checked_sub(Api::look_age()).unwrap_or(now) };
    let all = api.list_since(since).await?;
    let mine: Vec<&Instance> = all.iter().filter(|instance| instance.pod.uid == uid).collect();
    match oldest(&mine) {
        Some(instance) if instance.deleting => Err(CloudError::Retryable(format!(
            "Cube pod {} of the same pod is still being deleted",
            instance.id
        ))),
        found => Ok(found.cloned()),
    }
}

/// Whether a create without an answer may be sent again.
fn wait(api: &Api, request: &CreateRequest, sent: Sent) -> Result<(), CloudError> {
    let name = names::cube(&request.pod);
    if sent.prepaid {
        return Err(not_again(&name));
    }
    let left = api.settings.lost_answer.saturating_sub(sent.at.elapsed());
    if left.is_zero() {
        return Ok(());
    }
    Err(CloudError::Retryable(format!(
        "the answer to the create of {name} was lost; it may take effect for another {} s",
        left.as_secs() + 1
    )))
}

fn not_again(name: &str) -> CloudError {
    CloudError::Retryable(format!(
        "the create of {name}, which is paid in advance, was sent, and no such pod is seen: it is not sent again; look into \
         the bills of Cube, then delete this pod"
    ))
}

/// Writes on the pod that its order is about to be sent; refuses if that stands there already and is not our own.
async fn begin(api: &Api, request: &CreateRequest, resolve: &dyn Resolve) -> Result<(), CloudError> {
    let mine = api.order(&request.pod.uid);
    match resolve.keep_once(&request.pod, PREPAID_CREATE, &mine).await? {
        Some(other) if other != mine => Err(not_again(&names::cube(&request.pod))),
        _ => Ok(()),
    }
}

async fn send(
    api: &Api,
    request: &CreateRequest,
    forged: &Forged,
    resolve: &dyn Resolve,
) -> Result<Instance, CloudError> {
    let uid = &request.pod.uid;
    // Before the call: whoever waits for the answer may be stopped.
    api.sending(uid, forged.prepaid);
    match api.create(&forged.name, forged.parameters.clone()).await {
        Ok(id) => {
            api.answered(uid);
            api.ordered(uid);
            let made = made(request, forged, id);
            api.made(&made, forged.address.as_ref().map(|wanted| wanted.releases));
            Ok(made)
        }
        Err(Refusal::Unknown(text)) => {
            api.ordered(uid);
            let found = look(api, uid, api.sent(uid)).await?;
            if let Some(found) = found {
                api.answered(uid);
                return Ok(found);
            }
            Err(CloudError::Retryable(format!("{text}; no such pod is seen yet")))
        }
        Err(refusal) => {
            api.answered(uid);
            // Kept or not: this process knows its own order again.
            if forged.prepaid
                && let Err(error) = resolve.drop_kept(&request.pod, PREPAID_CREATE).await
            {
                tracing::warn!(uid, %error, "the order of a pod that was refused stands on it still");
            }
            Err(refusal.into())
        }
    }
}

fn made(request: &CreateRequest, forged: &Forged, id: String) -> Instance {
    let now = Timestamp::now();
    let at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Instance {
        id,
        pod: request.pod.clone(),
        node: request.node.clone(),
        created: Some(now),
        deleting: false,
        billed: Resources {
            cpu_milli: forged.size.cpu_milli,
            memory_bytes: forged.size.memory_bytes,
            pods: 1,
            ..Resources::default()
        },
        status: Arc::new(json!({"phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": at}]})),
    }
}
