//! `/admission/resize`: the in-place resize of a governed pod, judged by the freshest ledger of its policy.

use cluster::claims::virtual_nodes;
use policies::admission::{Resize, admit_resize};
use policies::keys;
use policies::ledger::World;
use policies::pod::PodFacts;

use super::review::{Request, Verdict};
use super::{Around, LookupError};

/// Judges a resize. Nothing is written: the leader takes the new size over from the pod.
///
/// # Errors
/// [`LookupError`] when the policy objects or the ledger are not known, or the picture of the virtual nodes is old: no
/// verdict.
pub async fn resize(request: &Request, around: &Around<'_>) -> Result<Verdict, LookupError> {
    if request.operation != "UPDATE" || request.sub_resource != "resize" {
        return Ok(Verdict::untouched());
    }
    let pod = match PodFacts::from_value(&request.object) {
        Ok(pod) => pod,
        Err(error) => {
            let title = format!("pod {}/{}", request.namespace, request.name);
            return Ok(Verdict::Denied(format!("{title}: {error}")));
        }
    };
    let governed = pod.labels.get(keys::GOVERNED).is_some_and(|value| value == "true");
    let Some(policy) = pod.annotations.get(keys::BURST_POLICY).filter(|_| governed) else {
        return Ok(Verdict::untouched());
    };
    let (title, objects) = (pod.title(), around.lookups.policies());
    if !objects.synced() {
        return Err(LookupError::Objects { object: title });
    }
    let snapshot = objects.snapshot();
    if let Some(broken) = objects.broken().iter().find(|broken| broken.key == *policy) {
        let why = format!(
            "{policy} cannot be read ({}) and may limit it; correct or delete the object",
            broken.error
        );
        return Ok(Verdict::Denied(format!("{title}: {why}")));
    }
    // An object that is gone limits nothing any more, and the driver's key never does.
    let Some(object) = snapshot.iter().find(|object| object.key == *policy) else {
        return Ok(Verdict::untouched());
    };
    if let Err(reason) = &around.fresh {
        return Err(LookupError::Stale { object: title, reason: reason.clone() });
    }
    let ledger = around.lookups.ledger(policy).await?;
    let (virtual_nodes, reports) = (virtual_nodes(around.snapshot), std::collections::BTreeMap::new());
    let world = World {
        now: jiff::Timestamp::now().as_second(),
        virtual_nodes: &virtual_nodes,
        real_nodes: &[],
        reports: &reports,
        prices: &around.settings.prices,
    };
    let asked = Resize { pod: &pod, policy, spec: &object.spec, ledger: &ledger, world };
    Ok(match admit_resize(&asked) {
        Ok(()) => Verdict::untouched(),
        Err(refusal) => Verdict::Denied(refusal.to_string()),
    })
}
