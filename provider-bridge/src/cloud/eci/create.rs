//! Creating and deleting one container group so that neither a lost answer nor a repetition makes two.
//!
//! Identity is in the tags, so a create begins with a look for the pod's UID; what follows is one attempt per place, each
//! with a client token that follows from the UID and the attempt: the same attempt made again is answered with the same
//! group. The next place is tried only after a refusal that says that nothing was made here. An unknown outcome is
//! resolved by looking, and while nothing is seen by the same attempt again before any other.

use std::sync::Arc;

use jiff::Timestamp;
use policies::resources::Resources;
use serde_json::json;

use crate::cloud::translate::{fetch, references, tell};
use crate::cloud::{CloudError, CreateRequest, Instance, Resolve};

use super::answers::Group;
use super::api::{Api, Facts, instance};
use super::fault::Refusal;
use super::forge::{self, Attempt, Context, Forged};
use super::names;
use super::parameters::flatten;
use super::status::{Fixed, deleting, never_placed};

/// Creates or adopts the instance of a pod.
pub(super) async fn create(
    api: &Api,
    request: &CreateRequest,
    resolve: &dyn Resolve,
) -> Result<Instance, CloudError> {
    if let Some(found) = look(api, request).await? {
        return Ok(found);
    }
    let resolved = fetch(references(&request.object, &[]), &request.pod.namespace, resolve).await?;
    let name = names::group(&request.pod);
    let context = Context { settings: &api.settings, request, name: &name };
    let forged = forge::forge(&context, &resolved).map_err(|problem| tell(problem, resolve))?;
    for notice in &forged.notices {
        resolve.notice(notice.reason, &notice.message);
    }
    attempt_all(api, request, &name, &forged).await
}

async fn attempt_all(
    api: &Api,
    request: &CreateRequest,
    name: &str,
    forged: &Forged,
) -> Result<Instance, CloudError> {
    let uid = &request.pod.uid;
    let mut last = None;
    let mut spot_is_over = false;
    for (token, attempt) in in_order(api, uid, forged) {
        if attempt.spot && spot_is_over {
            continue;
        }
        let mut tree = forged.tree.clone();
        tree.extend(attempt.fields.clone());
        tree.insert("ClientToken".into(), token.as_str().into());
        let answer = api.create(name, flatten(&tree)).await;
        match &answer {
            Err(Refusal::Unknown(_) | Refusal::Mismatch(_)) => api.unanswered(uid, &token),
            Ok(_) | Err(Refusal::Place(_) | Refusal::Misplaced(_) | Refusal::Spot(_)) => api.answered(uid),
            // This one was not carried out; one before it may have been.
            Err(_) => {}
        }
        match answer {
            Ok(id) => return Ok(made(api, request, forged, attempt, id)),
            Err(refusal @ Refusal::Place(_)) => {
                api.sold_out(&attempt.vswitch);
                last = Some(refusal);
            }
            Err(refusal @ Refusal::Misplaced(_)) => last = Some(refusal),
            Err(refusal @ Refusal::Spot(_)) => {
                spot_is_over = true;
                last = Some(refusal);
            }
            Err(Refusal::Unknown(text) | Refusal::Mismatch(text)) => {
                return match look(api, request).await? {
                    Some(found) => Ok(found),
                    None => {
                        Err(CloudError::Retryable(format!("{text}; no such container group is seen yet")))
                    }
                };
            }
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let nowhere =
        || CloudError::Invalid("no vSwitch is left to try: set vSwitches of the virtual node".into());
    Err(last.map_or_else(nowhere, CloudError::from))
}

/// The attempts with their tokens: first the one that had no answer, for it may have made the group; last the places that
/// were sold out a short time ago.
fn in_order<'a>(api: &Api, uid: &str, forged: &'a Forged) -> Vec<(String, &'a Attempt)> {
    let generation = api.generation(uid);
    let token = |attempt: &Attempt| names::token(&api.settings.cluster_id, uid, generation, &attempt.label);
    let mut all: Vec<(String, &Attempt)> =
        forged.attempts.iter().map(|attempt| (token(attempt), attempt)).collect();
    let unanswered = api.unanswered_token(uid);
    all.sort_by_key(|(token, attempt)| {
        (unanswered.as_ref() != Some(token), api.is_sold_out(&attempt.vswitch))
    });
    all
}

fn made(api: &Api, request: &CreateRequest, forged: &Forged, attempt: &Attempt, id: String) -> Instance {
    let now = Timestamp::now();
    let facts = Facts {
        pod: request.pod.clone(),
        node: request.node.clone(),
        vswitch: attempt.vswitch.clone(),
        billed: Resources {
            cpu_milli: attempt.size.cpu_milli,
            memory_bytes: attempt.size.memory_bytes,
            pods: 1,
            ..Resources::default()
        },
        created: Some(now),
        fixed: Fixed {
            created: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            restart_policy: forged.restart_policy.clone(),
            init: forged.init.clone(),
            hidden: crate::cloud::hidden::tag(&request.hidden),
            ..Fixed::default()
        },
        ours: true,
    };
    let conditions =
        json!([{"type": "PodScheduled", "status": "True", "lastTransitionTime": facts.fixed.created}]);
    let made = Instance {
        id,
        pod: facts.pod.clone(),
        node: facts.node.clone(),
        created: facts.created,
        deleting: false,
        billed: facts.billed,
        status: Arc::new(json!({"phase": "Pending", "conditions": conditions})),
    };
    api.made(&made, facts);
    made
}

/// The pod's group, if there is one. One that never found a place is removed first: the next attempt begins when it is
/// gone.
async fn look(api: &Api, request: &CreateRequest) -> Result<Option<Instance>, CloudError> {
    let mut found = api.groups_of(&request.pod.uid).await.map_err(|refusal| {
        // The create may have happened: a look that was refused proves no absence.
        match CloudError::from(refusal) {
            CloudError::Retryable(text) => {
                CloudError::Retryable(format!("looking for the pod's group: {text}"))
            }
            other => other,
        }
    })?;
    found.sort_by(|a, b| a.creation_time.cmp(&b.creation_time));
    let (over, alive): (Vec<Group>, Vec<Group>) =
        found.into_iter().partition(|group| deleting(&group.status) || never_placed(&group.status));
    // The oldest is the one that was told of first; a second one is an orphan that the sweep finds.
    if let Some(group) = alive.first() {
        return adopt(api, group).await.map(Some);
    }
    let Some(group) = over.first() else { return Ok(None) };
    if never_placed(&group.status) {
        give_up(api, group).await?;
    }
    Err(CloudError::Retryable(format!(
        "container group {} of the same pod is still being deleted",
        group.container_group_id
    )))
}

/// Removes a group that never found a place.
async fn give_up(api: &Api, group: &Group) -> Result<(), CloudError> {
    api.sold_out(&group.v_switch_id);
    let id = &group.container_group_id;
    match api.delete(id).await {
        Ok(()) => {}
        Err(Refusal::Cloud(CloudError::Gone(_))) => {}
        Err(refusal) => return Err(refusal.into()),
    }
    if let Some(facts) = api.facts(id) {
        let status = super::answers::GroupStatus {
            container_group_id: id.clone(),
            status: group.status.clone(),
            ..super::answers::GroupStatus::default()
        };
        api.changes.ending(&instance(id, &status, &facts));
    }
    Ok(())
}

async fn adopt(api: &Api, group: &Group) -> Result<Instance, CloudError> {
    let id = &group.container_group_id;
    let mut statuses = api.statuses_of(std::slice::from_ref(id)).await?;
    statuses.retain(|status| status.container_group_id == *id);
    let status = statuses.pop().unwrap_or_else(|| super::answers::GroupStatus {
        container_group_id: id.clone(),
        status: group.status.clone(),
        ..super::answers::GroupStatus::default()
    });
    let facts = api
        .facts(id)
        .ok_or_else(|| CloudError::Retryable(format!("container group {id} cannot be described")))?;
    Ok(instance(id, &status, &facts))
}

/// Asks for deletion. A group that does not exist is gone already.
pub(super) async fn delete(api: &Api, instance: &Instance) -> Result<(), CloudError> {
    match api.delete(&instance.id).await {
        Ok(()) | Err(Refusal::Cloud(CloudError::Gone(_))) => {
            api.changes.ending(instance);
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
    }
}
