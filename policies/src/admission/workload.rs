//! What admission says to a workload: its labels must make sense before any pod is made from it.
//!
//! Deployment, StatefulSet, ReplicaSet, Job, CronJob and DaemonSet. Only a DaemonSet is ever changed: its controller
//! judges the template, so a pod-level change would leave a Pending pod per virtual node and stall rollouts.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Admission, DAEMON_REMEDY, Refusal, affinity, patch::Draft, pod};
use crate::{
    pod::PodFacts,
    policy::Policy,
    resolve::{
        Owner, ResolveError, Resolved, Source, Voices,
        implicit::{self, names_our_taint},
        labels::{self, Said, Scope},
        resolve,
    },
    support::Unsupported,
};

type Labels = BTreeMap<String, String>;

/// Labels that the workload gives to itself or to what it makes.
struct OwnLabels<'a> {
    kind: &'static str,
    name: &'a str,
    labels: Labels,
}

impl OwnLabels<'_> {
    const fn owner(&self) -> Owner<'_> {
        Owner { kind: self.kind, name: self.name, labels: &self.labels }
    }

    fn said(&self) -> Result<Option<Said>, ResolveError> {
        labels::read(Scope::Workload, &format!("{}/{}", self.kind, self.name), &self.labels)
    }
}

/// A workload's parts.
struct Workload<'a> {
    kind: &'a str,
    title: String,
    /// The objects whose labels count for its pods, nearest first: a CronJob's Jobs get the job template's labels.
    owners: Vec<OwnLabels<'a>>,
    /// Path of the pod template.
    root: &'static [&'static str],
    template: PodFacts,
}

/// Admits a workload. `old` is the object before an update; `unsupported` is what the providers cannot run of its
/// pod template. An object that is not one of the known workloads is admitted as it is.
///
/// # Errors
/// [`Refusal`] for values that are not policies, contradictions, and policies that its pods could not keep.
pub fn admit_workload(
    object: &Value,
    old: Option<&Value>,
    unsupported: &[Unsupported],
) -> Result<Admission, Refusal> {
    match judge(object, old, unsupported) {
        Err(refusal) if old.is_some_and(|old| refused_alike(old, unsupported, &refusal)) => {
            // It was there before burst, or before this rule: refusing would block unrelated updates of it.
            Ok(Admission { patch: vec![], warnings: vec![refusal.to_string()] })
        }
        verdict => verdict,
    }
}

fn refused_alike(old: &Value, unsupported: &[Unsupported], refusal: &Refusal) -> bool {
    judge(old, None, unsupported).is_err_and(|before| before.to_string() == refusal.to_string())
}

fn judge(object: &Value, old: Option<&Value>, unsupported: &[Unsupported]) -> Result<Admission, Refusal> {
    let Some(workload) = read(object)? else { return Ok(Admission::default()) };
    let resolved = policy(&workload)?;
    if workload.kind == "DaemonSet" {
        return admit_daemon_set(object, old, &workload, &resolved);
    }
    pod::check(&workload.title, &workload.template, &resolved, unsupported)?;
    Ok(Admission { patch: vec![], warnings: warnings(&workload, &resolved, unsupported) })
}

fn read(object: &Value) -> Result<Option<Workload<'_>>, Refusal> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, root): (&str, &[&str]) = match text("/kind") {
        "Deployment" => ("Deployment", &["spec", "template"]),
        "StatefulSet" => ("StatefulSet", &["spec", "template"]),
        "ReplicaSet" => ("ReplicaSet", &["spec", "template"]),
        "DaemonSet" => ("DaemonSet", &["spec", "template"]),
        "Job" => ("Job", &["spec", "template"]),
        "CronJob" => ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
        _ => return Ok(None),
    };
    let name = text("/metadata/name");
    let title = format!("{kind}/{name}");
    let facts = |what: String, value: &Value| match value {
        Value::Null => Ok(PodFacts::default()),
        value => PodFacts::from_value(value).map_err(|error| Refusal::Unreadable { object: what, error }),
    };
    let labels_of = |object: &Value| {
        let metadata = serde_json::json!({ "metadata": object.get("metadata") });
        facts(title.clone(), &metadata).map(|facts| facts.labels)
    };
    let mut owners = vec![OwnLabels { kind, name, labels: labels_of(object)? }];
    if let Some(job) = object.pointer("/spec/jobTemplate") {
        owners.insert(0, OwnLabels { kind: "job template of CronJob", name, labels: labels_of(job)? });
    }
    let template = object.pointer(&format!("/{}", root.join("/"))).unwrap_or(&Value::Null);
    let template_title = format!("template of {title}");
    let template = facts(format!("pod {template_title}"), template)?;
    let template = PodFacts { name: template_title, namespace: String::new(), ..template };
    Ok(Some(Workload { kind, title, owners, root, template }))
}

/// The policy that the workload's pods would get from the template and the workload itself.
fn policy(workload: &Workload<'_>) -> Result<Resolved, Refusal> {
    // The template's labels win, but the workload's own have to make sense too.
    for own in &workload.owners {
        own.said()?;
    }
    let owners: Vec<_> = workload.owners.iter().map(OwnLabels::owner).collect();
    Ok(resolve(&Voices {
        pod: &workload.template,
        owners: &owners,
        namespace: &Labels::new(),
        default: Policy::Off,
        class_of: &|_| None,
    })?)
}

fn warnings(workload: &Workload<'_>, resolved: &Resolved, unsupported: &[Unsupported]) -> Vec<String> {
    let mut warnings = vec![];
    let own = workload.owners.iter().find_map(|own| own.said().ok().flatten());
    if let (Some(own), Source::PodLabel(key)) = (own, &resolved.source)
        && own.policy != resolved.policy
    {
        let (label, policy, template) = (own.key, own.policy.as_str(), resolved.policy.as_str());
        warnings
            .push(format!("label {label}={policy} has no effect: the pod template says {key}={template}"));
    }
    if !unsupported.is_empty() && matches!(resolved.policy, Policy::Auto | Policy::LocalPrefer) {
        let why = super::refusal::sentences(unsupported);
        warnings.push(format!("its pods stay on real nodes, because the provider cannot run them: {why}"));
    }
    warnings.into_iter().map(|w| format!("{}: {w}", workload.title)).collect()
}

fn admit_daemon_set(
    object: &Value,
    old: Option<&Value>,
    set: &Workload<'_>,
    resolved: &Resolved,
) -> Result<Admission, Refusal> {
    if resolved.policy != Policy::Off && resolved.source.is_label() {
        return Err(Refusal::Conflict {
            object: set.title.clone(),
            policy: pod::named(resolved),
            field: "its kind, DaemonSet".to_owned(),
            remedy: DAEMON_REMEDY,
        });
    }
    if names_our_taint(&set.template) && !resolved.source.is_label() {
        let title = &set.title;
        let text = format!(
            "{title}: its template tolerates virtual-kubelet.io/provider by name, so it gets a pod on every virtual node"
        );
        return Ok(Admission { patch: vec![], warnings: vec![text] });
    }
    let mut draft = Draft::of(object);
    let insists = implicit::insists(&set.template, |_| None).is_some();
    if implicit::gets_in(&set.template) && !insists && may_roll(object, old) {
        affinity::keep_off(&mut draft, set.root, &set.template);
    }
    Ok(Admission { patch: draft.into_ops(), warnings: vec![] })
}

/// Whether the template may be changed: on create, and on an update that starts a rollout anyway. Touching it on any
/// other update would restart the pods of a DaemonSet that was there before burst.
fn may_roll(object: &Value, old: Option<&Value>) -> bool {
    old.is_none_or(|old| old.pointer("/spec/template") != object.pointer("/spec/template"))
}
