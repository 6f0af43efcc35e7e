//! `/admission/workloads`: a workload on its way in. Its labels must make sense, a DaemonSet is kept off virtual nodes in
//! its template, and the namespace of a burst workload is marked, so that the strict webhook guards its pods.

use std::collections::BTreeMap;

use cluster::Snapshot;
use policies::admission::admit_workload;
use policies::pod::PodFacts;
use policies::policy::Policy;
use policies::resolve::{Owner, Voices, resolve};
use serde_json::Value;

use super::review::{Request, Verdict};
use super::{LookupError, Lookups, provider};
use crate::app;

/// Judges a workload. Marks its namespace when its pods may burst and the review is no dry run.
///
/// # Errors
/// [`LookupError`] when the namespace could not be read in time: no verdict.
pub async fn workload(
    request: &Request,
    snapshot: &Snapshot,
    settings: &app::Settings,
    lookups: &Lookups,
) -> Result<Verdict, LookupError> {
    let written = matches!(request.operation.as_str(), "CREATE" | "UPDATE");
    if !written || settings.exempt.contains(&request.namespace) {
        return Ok(Verdict::untouched());
    }
    let template = template(&request.object);
    let unsupported = template.map(|t| provider::unsupported(snapshot, None, t)).unwrap_or_default();
    let old = Some(&request.old_object).filter(|old| !old.is_null());
    let admission = match admit_workload(&request.object, old, &unsupported) {
        Ok(admission) => admission,
        Err(refusal) => return Ok(Verdict::Denied(refusal.to_string())),
    };
    if !request.is_dry_run() {
        let namespace = lookups.namespace_labels(&request.namespace).await?;
        if may_burst(&request.object, template, &namespace, settings.default_policy) {
            lookups.mark(&request.namespace);
        }
    }
    Ok(Verdict::Allowed(admission))
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
    template: Option<&Value>,
    namespace: &BTreeMap<String, String>,
    default: Policy,
) -> bool {
    let Some(Ok(pod)) = template.map(PodFacts::from_value) else { return false };
    let text = |place: &str| object.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let labels = object.pointer("/metadata/labels").cloned().unwrap_or_default();
    let labels: BTreeMap<String, String> = serde_json::from_value(labels).unwrap_or_default();
    let owner = Owner { kind, name, labels: &labels };
    let voices = Voices { pod: &pod, owners: &[owner], namespace, default, class_of: &|_| None };
    kind != "DaemonSet" && resolve(&voices).is_ok_and(|resolved| resolved.policy != Policy::Off)
}
