//! `/admission/workloads`: a workload on its way in. Its labels must make sense, a DaemonSet is kept off virtual nodes in
//! its template, and the namespace of a burst workload is marked, so that the strict webhook guards its pods.

use std::collections::{BTreeMap, BTreeSet};

use policies::admission::admit_workload;
use policies::daemons::{Daemon, added, wish};
use policies::keys;
use policies::pod::PodFacts;
use policies::policy::Policy;
use policies::resolve::{Owner, Voices, resolve};
use serde_json::Value;

use super::review::{Request, Verdict};
use super::{Around, LookupError, provider};

/// Judges a workload. Marks its namespace when its pods may burst and the review is no dry run.
///
/// A picture that is old refuses nothing here, because nothing is written: the pods themselves wait for a fresh one.
pub async fn workload(request: &Request, around: &Around<'_>) -> Verdict {
    let written = matches!(request.operation.as_str(), "CREATE" | "UPDATE");
    if !written || around.settings.exempt.contains(&request.namespace) {
        return Verdict::untouched();
    }
    let template = template(&request.object);
    let pod = template.and_then(|t| PodFacts::from_value(t).ok());
    let unsupported = match (&pod, template, &around.fresh) {
        (Some(pod), Some(template), Ok(())) => {
            provider::opinion(around.snapshot, None, pod, template).unsupported
        }
        _ => Vec::new(),
    };
    let old = Some(&request.old_object).filter(|old| !old.is_null());
    let mut admission = match admit_workload(&request.object, old, &unsupported) {
        Ok(admission) => admission,
        Err(refusal) => return Verdict::Denied(refusal.to_string()),
    };
    admission.warnings.extend(not_replaced(request));
    if !request.is_dry_run() {
        mark(request, pod.as_ref(), around).await;
    }
    Verdict::Allowed(admission)
}

/// What keeps a DaemonSet that asks for it from running beside burst pods, wherever they are.
fn not_replaced(request: &Request) -> Option<String> {
    let object = &request.object;
    let text = |place: &str| object.pointer(place).and_then(Value::as_str);
    if text("/kind") != Some("DaemonSet") {
        return None;
    }
    let name = text("/metadata/name").unwrap_or_default().to_owned();
    let asked =
        object.get("metadata")?.get("annotations").and_then(|all| all.get(keys::REPLACE_IN_CLOUD)?.as_str());
    match wish(asked) {
        Err(bad) => Some(format!("DaemonSet {}/{name}: {bad}", request.namespace)),
        Ok(false) => None,
        Ok(true) => {
            let spec = object.pointer("/spec/template/spec").cloned().unwrap_or_default();
            let daemon = Daemon { namespace: request.namespace.clone(), name, spec };
            Some(added(&daemon, &request.namespace, &BTreeSet::new()).err()?.text(&daemon.key()))
        }
    }
}

/// Marks the namespace of a workload whose pods may burst. A look-up that fails refuses nothing: what the workload
/// itself says still marks, and its pods are admitted with a look-up of their own.
async fn mark(request: &Request, pod: Option<&PodFacts>, around: &Around<'_>) {
    let namespace = around.lookups.namespace_labels(&request.namespace).await.unwrap_or_else(|error| {
        let reason = LookupError::to_string(&error);
        tracing::warn!(namespace = request.namespace, reason, "marked by what the workload itself says only");
        BTreeMap::new()
    });
    if may_burst(&request.object, pod, &namespace, around.settings.default_policy) {
        around.lookups.mark(&request.namespace);
    }
}

/// The pod template of a known workload.
fn template(object: &Value) -> Option<&Value> {
    let place = match object.get("kind").and_then(Value::as_str)? {
        "Deployment" | "StatefulSet" | "ReplicaSet" | "Job" | "DaemonSet" => "/spec/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => return None,
    };
    object.pointer(place)
}

/// Whether pods of this workload get a policy other than off, as far as can be told before they exist.
fn may_burst(
    object: &Value,
    pod: Option<&PodFacts>,
    namespace: &BTreeMap<String, String>,
    default: Policy,
) -> bool {
    let Some(pod) = pod else { return false };
    let text = |place: &str| object.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let labels = object.pointer("/metadata/labels").cloned().unwrap_or_default();
    let labels: BTreeMap<String, String> = serde_json::from_value(labels).unwrap_or_default();
    let owner = Owner { kind, name, labels: &labels };
    let voices = Voices { pod, owners: &[owner], namespace, default, class_of: &|_| None };
    kind != "DaemonSet" && resolve(&voices).is_ok_and(|resolved| resolved.policy != Policy::Off)
}
