//! `/admission/pods`: a pod on its way in.

use std::collections::{BTreeMap, BTreeSet};

use cluster::Snapshot;
use cluster::daemons::asking;
use cluster::policy_objects::PolicyObjects;
use policies::admission::{Governance, Settings, admit_pod};
use policies::burst_policy::{PolicyKind, PolicyObject, best};
use policies::daemons::{self, Beside};
use policies::decide::score::{DECISIVE, score_virtual};
use policies::keys;
use policies::pod::{FactsError, OwnerRef, PodFacts};
use policies::policy::Policy;
use policies::resolve::labels::{self, Scope};
use policies::resolve::{Owner, Resolved, Voices, resolve_with};

use super::provider::Opinion;
use super::review::{Request, Verdict};
use super::{Around, LookupError, provider};

/// Judges a pod. Marks its namespace when it may burst and the review is no dry run.
///
/// # Errors
/// [`LookupError`] when owners or namespace could not be read in time, or what is known of the cluster is too old to
/// judge a pod that may burst: no verdict.
pub async fn pod(request: &Request, around: &Around<'_>) -> Result<Verdict, LookupError> {
    let is_new_pod = request.kind.kind == "Pod" && request.operation == "CREATE";
    if !is_new_pod || around.settings.exempt.contains(&request.namespace) {
        return Ok(Verdict::untouched());
    }
    let facts = match facts(request) {
        Ok(facts) => facts,
        Err(error) => return Ok(Verdict::Denied(format!("{}: {error}", title(request)))),
    };
    let (title, objects) = (facts.title(), around.lookups.policies());
    let owned = wanted_owner(&facts, &objects.snapshot()).map(reference);
    let (owners, namespace) = around.lookups.surroundings(&title, &facts.namespace, owned.as_ref()).await?;
    let snapshot = objects.snapshot();
    let owners: Vec<_> =
        owners.iter().map(|o| Owner { kind: &o.kind, name: &o.name, labels: &o.labels }).collect();
    let object = best(&snapshot, &facts, &owners, &namespace);
    let resolved = match policy(&facts, &owners, object, &namespace, around) {
        Ok(resolved) => resolved,
        Err(refusal) => return Ok(Verdict::Denied(refusal)),
    };
    let may_burst = resolved.policy != Policy::Off;
    if let Some(missing) = missing(&title, may_burst, is_active(&namespace), around) {
        return Err(missing);
    }
    if may_burst && let Some(reason) = unreadable(objects, &facts.namespace) {
        return Ok(Verdict::Denied(format!("{title}: {reason}")));
    }
    let verdict = judge(request, &facts, &resolved, object, around);
    if may_burst && matches!(verdict, Verdict::Allowed(_)) && !request.is_dry_run() {
        around.lookups.mark(&facts.namespace);
    }
    Ok(verdict)
}

/// What must be known before a verdict. Pods that cannot burst wait for nothing, except that in a marked namespace an
/// object which is not read yet may say that they can.
fn missing(title: &str, may_burst: bool, active: bool, around: &Around<'_>) -> Option<LookupError> {
    let object = || title.to_owned();
    if (may_burst || active) && !around.lookups.policies().synced() {
        return Some(LookupError::Objects { object: object() });
    }
    if may_burst && !around.lookups.daemons().synced() {
        return Some(LookupError::Daemons { object: object() });
    }
    let reason = around.fresh.as_ref().err().filter(|_| may_burst)?;
    Some(LookupError::Stale { object: object(), reason: reason.clone() })
}

fn is_active(namespace: &BTreeMap<String, String>) -> bool {
    namespace.get(keys::NAMESPACE_ACTIVE).is_some_and(|value| value == "true")
}

/// An object that cannot be read may hold a limit for the pod: nothing bursts past it.
fn unreadable(objects: &PolicyObjects, namespace: &str) -> Option<String> {
    let broken = objects.broken();
    let concerns =
        broken.iter().find(|b| b.kind == PolicyKind::ClusterBurstPolicy || b.namespace == namespace)?;
    Some(format!(
        "{} cannot be read ({}) and may limit it; correct or delete the object",
        concerns.key, concerns.error
    ))
}

/// The pod's facts, with the namespace of the request where the pod has none yet.
fn facts(request: &Request) -> Result<PodFacts, FactsError> {
    let facts = PodFacts::from_value(&request.object)?;
    let namespace = if facts.namespace.is_empty() { request.namespace.clone() } else { facts.namespace };
    Ok(PodFacts { namespace, ..facts })
}

fn title(request: &Request) -> String {
    let name = |field| request.object.pointer(field).and_then(serde_json::Value::as_str);
    let name = name("/metadata/name").or_else(|| name("/metadata/generateName")).unwrap_or_default();
    format!("pod {}/{name}", request.namespace)
}

/// Whose chain of owners has to be read: the pod's own labels decide without it, unless an object selects by owner.
fn wanted_owner<'p>(facts: &'p PodFacts, objects: &[PolicyObject]) -> Option<&'p OwnerRef> {
    let own = labels::read(Scope::Pod, &facts.title(), &facts.labels);
    let by_owner = objects.iter().any(|o| {
        o.spec.selector.owner.is_some()
            && (o.kind == PolicyKind::ClusterBurstPolicy || o.namespace == facts.namespace)
    });
    facts.controller().filter(|_| by_owner || matches!(own, Ok(None)))
}

fn reference(owner: &OwnerRef) -> cluster::slim::OwnerRef {
    cluster::slim::OwnerRef {
        api_version: owner.api_version.as_str().into(),
        kind: owner.kind.as_str().into(),
        name: owner.name.as_str().into(),
        uid: owner.uid.as_str().into(),
    }
}

fn judge(
    request: &Request,
    facts: &PodFacts,
    resolved: &Resolved,
    object: Option<&PolicyObject>,
    around: &Around<'_>,
) -> Verdict {
    let snapshot = around.snapshot;
    let opinion = match resolved.policy {
        Policy::Off => Opinion::default(),
        _ => {
            let volumes = around.lookups.volumes().objects();
            let pod = cluster::volumes::described(&request.object, &request.namespace, &volumes);
            provider::opinion(snapshot, resolved.provider, facts, &pod)
        }
    };
    let wishes = Settings {
        marker: around.settings.marker && !around.settings.toleration_driver,
        sold_out: around.sold_out,
        spare_call: around.settings.spare_calls
            && !around.sold_out
            && score_virtual(&around.load, facts.requests) <= DECISIVE,
        cpu_required: opinion.cpu_required,
        default_request: None,
        virtual_labels: virtual_labels(snapshot),
        beside: beside(request, facts, resolved, &opinion, around),
        providers: opinion.providers,
        virtual_nodes: opinion.nodes,
    };
    let governance = object.map(Governance::of);
    let governance = match around.settings.toleration_driver {
        true => Governance::by_driver(governance, resolved.policy),
        false => governance,
    };
    match admit_pod(&request.object, facts, resolved, governance.as_ref(), &opinion.unsupported, &wishes) {
        Ok(admission) => Verdict::Allowed(admission),
        Err(refusal) => Verdict::Denied(refusal.to_string()),
    }
}

/// The DaemonSets that run beside the pod where it could go.
fn beside(
    request: &Request,
    facts: &PodFacts,
    resolved: &Resolved,
    opinion: &Opinion,
    around: &Around<'_>,
) -> Beside {
    if resolved.policy == Policy::Off || facts.is_daemon() {
        return Beside::default();
    }
    let all = around.lookups.daemons().objects();
    daemons::beside(&request.object, &facts.namespace, asking(&all), &opinion.open)
}

/// Label keys of the virtual nodes, if there is one.
fn virtual_labels(snapshot: &Snapshot) -> Option<BTreeSet<String>> {
    let mut nodes = snapshot.virtual_nodes().peekable();
    nodes.peek()?;
    Some(nodes.flat_map(|node| node.labels.iter().map(|(key, _)| key.to_owned())).collect())
}

fn policy(
    facts: &PodFacts,
    owners: &[Owner<'_>],
    object: Option<&PolicyObject>,
    namespace: &BTreeMap<String, String>,
    around: &Around<'_>,
) -> Result<Resolved, String> {
    let class_of = |name: &str| around.snapshot.by_name(name).map(|node| node.class);
    let default = around.settings.default_policy;
    let voices = Voices { pod: facts, owners, namespace, default, class_of: &class_of };
    resolve_with(&voices, object).map_err(|e| e.to_string())
}
