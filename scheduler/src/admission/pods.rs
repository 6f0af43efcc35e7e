//! `/admission/pods`: a pod on its way in.

use std::collections::BTreeMap;

use cluster::Snapshot;
use policies::admission::{Settings, admit_pod};
use policies::pod::{FactsError, OwnerRef, PodFacts};
use policies::policy::Policy;
use policies::resolve::labels::{self, Scope};
use policies::resolve::{Owner, Resolved, Voices, resolve};

use super::review::{Request, Verdict};
use super::{LookupError, Lookups, provider};
use crate::app;

/// Judges a pod. Marks its namespace when it may burst and the review is no dry run.
///
/// # Errors
/// [`LookupError`] when owners or namespace could not be read in time: no verdict.
pub async fn pod(
    request: &Request,
    snapshot: &Snapshot,
    settings: &app::Settings,
    lookups: &Lookups,
) -> Result<Verdict, LookupError> {
    let is_new_pod = request.kind.kind == "Pod" && request.operation == "CREATE";
    if !is_new_pod || settings.exempt.contains(&request.namespace) {
        return Ok(Verdict::untouched());
    }
    let facts = match facts(request) {
        Ok(facts) => facts,
        Err(error) => return Ok(Verdict::Denied(format!("{}: {error}", title(request)))),
    };
    let owners = owners(&facts, lookups).await?;
    let namespace = lookups.namespace_labels(&facts.namespace).await?;
    let verdict = judge(request, &facts, &owners, &namespace, snapshot, settings);
    if let Ok((Verdict::Allowed(_), Policy::Auto | Policy::LocalPrefer | Policy::Enforce)) = &verdict
        && !request.is_dry_run()
    {
        lookups.mark(&facts.namespace);
    }
    Ok(verdict.map_or_else(Verdict::Denied, |(verdict, _)| verdict))
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

/// The owners, unless the pod's own labels decide already.
async fn owners(facts: &PodFacts, lookups: &Lookups) -> Result<Vec<cluster::Owner>, LookupError> {
    let own = labels::read(Scope::Pod, &facts.title(), &facts.labels);
    match (own, facts.controller()) {
        (Ok(None), Some(controller)) => lookups.owners(&facts.namespace, &reference(controller)).await,
        _ => Ok(Vec::new()),
    }
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
    owners: &[cluster::Owner],
    namespace: &BTreeMap<String, String>,
    snapshot: &Snapshot,
    settings: &app::Settings,
) -> Result<(Verdict, Policy), String> {
    let resolved = policy(facts, owners, namespace, snapshot, settings.default_policy)?;
    let wishes = Settings {
        marker: settings.marker,
        cpu_required: provider::only_cci(snapshot),
        default_request: None,
    };
    let unsupported = match resolved.policy {
        Policy::Off => Vec::new(),
        _ => provider::unsupported(snapshot, resolved.provider, &request.object),
    };
    let admission =
        admit_pod(&request.object, facts, &resolved, &unsupported, &wishes).map_err(|e| e.to_string())?;
    Ok((Verdict::Allowed(admission), resolved.policy))
}

fn policy(
    facts: &PodFacts,
    owners: &[cluster::Owner],
    namespace: &BTreeMap<String, String>,
    snapshot: &Snapshot,
    default: Policy,
) -> Result<Resolved, String> {
    let owners: Vec<_> =
        owners.iter().map(|o| Owner { kind: &o.kind, name: &o.name, labels: &o.labels }).collect();
    let class_of = |name: &str| snapshot.by_name(name).map(|node| node.class);
    let voices = Voices { pod: facts, owners: &owners, namespace, default, class_of: &class_of };
    resolve(&voices).map_err(|e| e.to_string())
}
