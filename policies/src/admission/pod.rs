//! What admission writes on a pod (DESIGN 4.2): merged into what the user wrote, never in its place.
//!
//! off: kept off virtual nodes if its own tolerations would let it in. auto: both tolerations, and the marker by
//! which the extender weighs it; while the weighing is decided beforehand the provider toleration alone. localPrefer: the provider toleration. enforce: both tolerations and required affinity.
//! Whom the extender is to check as well gets the second marker; both only where the scheduler declares them.
//! A pod that a policy object governs gets no provider toleration: the leader grants it. A pod with `nodeName` skips
//! scheduling, so only labels and annotations are written. Applying the result twice is once.

use serde_json::{Value, json};

use super::{
    Admission, DAEMON_REMEDY, Governance, Providers, Refusal, Settings, affinity, governance, patch::Draft,
    refusal::sentences, tolerations, topology,
};
use crate::{
    keys,
    node::TaintEffect,
    pod::PodFacts,
    policy::Policy,
    quantity::Quantity,
    resolve::{Resolved, implicit},
    support::Unsupported,
};

/// Admits a pod. `facts` are those of `pod`; `governance` is what the policy object that speaks for it asks; `unsupported` is what the providers of the virtual nodes cannot run of
/// it, empty if any of them can run it all.
///
/// # Errors
/// [`Refusal`] when the policy and the pod's own fields cannot both hold, or a pod that may run on virtual nodes
/// only cannot run there.
pub fn admit_pod(
    pod: &Value,
    facts: &PodFacts,
    resolved: &Resolved,
    governance: Option<&Governance>,
    unsupported: &[Unsupported],
    settings: &Settings,
) -> Result<Admission, Refusal> {
    if facts.is_daemon() {
        return admit_daemon(facts, resolved);
    }
    let object = facts.title();
    check(&object, facts, resolved, unsupported)?;
    let unsupported: Vec<_> =
        unsupported.iter().cloned().chain(unbillable(facts, resolved, settings)?).collect();
    let unsupported = unsupported.as_slice();
    let mut draft = Draft::of(pod);
    let mut warnings = vec![];
    let may_burst = resolved.policy != Policy::Off && unsupported.is_empty();
    let governance = governance.filter(|_| may_burst);
    let held_back = governance.is_some_and(|g| g.holds_back);
    let marks = settings.marker && declares_the_markers(&facts.scheduler_name);
    // Who accepts our taint by itself leaves nothing to the taint score.
    let spared = settings.spare_call
        && marks
        && !held_back
        && resolved.policy == Policy::Auto
        && !tolerations::covers(facts, keys::TAINT_PREFER, TaintEffect::PreferNoSchedule);
    if facts.node_name.is_none() {
        let providers = &settings.providers;
        let way = Way { governance, providers, spared };
        write_scheduling(&mut draft, facts, resolved, &way, unsupported, &mut warnings);
        // A grant chooses the tier, and with it the nodes.
        if may_burst && resolved.policy == Policy::Enforce && !held_back {
            affinity::name_nodes(&mut draft, &settings.virtual_nodes);
        }
        if governance.is_some_and(|g| g.rewrites_topology) {
            topology::rewrite(&mut draft, settings);
        }
        if may_burst {
            warnings.extend(topology::obstacles(&object, &draft, resolved, settings)?);
        }
    }
    if may_burst {
        size(&mut draft, facts, resolved, settings, &mut warnings);
    }
    if held_back && facts.node_name.is_none() {
        unmark(&mut draft);
    } else if marks && facts.node_name.is_none() && may_burst {
        mark(&mut draft, keys::MARKER_RESOURCE, resolved.policy == Policy::Auto && !spared);
        let doubtful = settings.sold_out || tolerations::opens_one_of(&draft, &settings.providers.unable);
        mark(&mut draft, keys::CHECKED_RESOURCE, is_checked(pod, facts, resolved.policy, doubtful));
    }
    governance::record(&mut draft, governance, held_back);
    governance::record_unable(&mut draft, may_burst.then_some(&settings.providers.unable));
    governance::record_beside(&mut draft, may_burst.then_some(&settings.beside));
    annotate(&mut draft, facts, resolved);
    let warnings = warnings.into_iter().map(|w| format!("{object}: {w}")).collect();
    Ok(Admission { patch: draft.into_ops(), warnings })
}

/// A DaemonSet's pod is never changed: its template is where the choice is made. Only enforce, which it could not
/// keep, is refused; the others are an idle wish, and refusing them would leave nodes without their daemon.
fn admit_daemon(facts: &PodFacts, resolved: &Resolved) -> Result<Admission, Refusal> {
    let object = facts.title();
    match resolved.policy {
        Policy::Off => Ok(Admission::default()),
        Policy::Auto | Policy::LocalPrefer => {
            let text = format!("{object}: {} has no effect; {DAEMON_REMEDY}", named(resolved));
            Ok(Admission { patch: vec![], warnings: vec![text] })
        }
        Policy::Enforce => Err(Refusal::Conflict {
            object,
            policy: named(resolved),
            field: "its owner, a DaemonSet".to_owned(),
            remedy: DAEMON_REMEDY,
        }),
    }
}

/// What holds for a pod and for a workload's template alike.
pub(super) fn check(
    object: &str,
    facts: &PodFacts,
    resolved: &Resolved,
    unsupported: &[Unsupported],
) -> Result<(), Refusal> {
    let policy = || named(resolved);
    if resolved.policy == Policy::Enforce
        && let Some(field) = affinity::conflict(facts)
    {
        let remedy = "drop one of them: virtual nodes carry the label type=virtual-kubelet";
        return Err(Refusal::Conflict { object: object.to_owned(), policy: policy(), field, remedy });
    }
    if resolved.policy == Policy::LocalPrefer
        && tolerations::covers(facts, keys::TAINT_PREFER, TaintEffect::PreferNoSchedule)
    {
        // The same refusal as the in-process policy's: with such a toleration the proof by taint says nothing.
        return Err(Refusal::Conflict {
            object: object.to_owned(),
            policy: policy(),
            field: format!("a toleration of {} (or of every taint)", keys::TAINT_PREFER),
            remedy: "real nodes are preferred by that taint: limit the toleration to effect NoSchedule or NoExecute, \
                     or use policy auto",
        });
    }
    let nowhere_else = resolved.policy == Policy::Enforce || implicit::insists(facts, |_| None).is_some();
    if nowhere_else && !unsupported.is_empty() {
        let fields = unsupported.to_vec();
        return Err(Refusal::Unsupported { object: object.to_owned(), policy: policy(), fields });
    }
    Ok(())
}

pub(super) fn named(resolved: &Resolved) -> String {
    format!("policy {} ({})", resolved.policy.as_str(), resolved.source)
}

fn write_scheduling(
    draft: &mut Draft,
    facts: &PodFacts,
    resolved: &Resolved,
    way: &Way<'_>,
    unsupported: &[Unsupported],
    warnings: &mut Vec<String>,
) {
    let withheld = !unsupported.is_empty() && resolved.policy != Policy::Off;
    if withheld {
        let why = sentences(unsupported);
        warnings.push(format!("stays on real nodes, because the provider cannot run it: {why}"));
    }
    match resolved.policy {
        _ if withheld => keep_off(draft, facts),
        Policy::Off => keep_off(draft, facts),
        Policy::Auto if way.spared => open_provider(draft, facts, resolved, way),
        Policy::Auto => open(draft, facts, resolved, way),
        Policy::LocalPrefer => open_provider(draft, facts, resolved, way),
        Policy::Enforce => {
            if let Some(provider) =
                resolved.provider.filter(|provider| tolerations::wider_than(facts, provider))
            {
                warnings.push(format!(
                    "its own tolerations decide which virtual nodes it may use, not only those of {provider}"
                ));
            }
            open(draft, facts, resolved, way);
            affinity::confine(draft, &[], facts);
        }
    }
}

/// What decides how virtual nodes are opened.
struct Way<'w> {
    /// Who governs the pod.
    governance: Option<&'w Governance>,
    /// Which providers can run it.
    providers: &'w Providers,
    /// The scheduler's taint score weighs it, and no call.
    spared: bool,
}

fn open(draft: &mut Draft, facts: &PodFacts, resolved: &Resolved, way: &Way<'_>) {
    open_provider(draft, facts, resolved, way);
    tolerations::accept_preference(draft, facts);
}

/// Opens virtual nodes to the pod now, or leaves that to the leader.
fn open_provider(draft: &mut Draft, facts: &PodFacts, resolved: &Resolved, way: &Way<'_>) {
    match way.governance.filter(|g| g.holds_back) {
        Some(governance) => governance::hold_back(draft, facts, governance.gates),
        None if !way.providers.unable.is_empty() => tolerations::open_some(draft, facts, &way.providers.able),
        None => tolerations::open_provider(draft, facts, resolved.provider),
    }
}

fn keep_off(draft: &mut Draft, facts: &PodFacts) {
    if implicit::gets_in(facts) {
        affinity::keep_off(draft, &[], facts);
    }
}

/// Where the provider bills by CPU: a pod that asks for none and gets none by default has no size there. Who may run there
/// only is refused.
fn unbillable(
    facts: &PodFacts,
    resolved: &Resolved,
    settings: &Settings,
) -> Result<Option<Unsupported>, Refusal> {
    let default = settings.default_request.as_ref().filter(|_| !facts.asks_anything);
    let has_cpu =
        facts.asks_cpu || default.is_some_and(|d| Quantity::parse(&d.cpu).is_ok_and(|cpu| cpu.nano() > 0));
    if !settings.cpu_required || has_cpu || resolved.policy == Policy::Off {
        return Ok(None);
    }
    if resolved.policy == Policy::Enforce {
        return Err(Refusal::NoCpu { object: facts.title(), policy: named(resolved) });
    }
    Ok(Some(Unsupported {
        field: "spec.containers[0].resources.requests.cpu".to_owned(),
        sentence: "the provider needs one container with cpu above 0: set it".to_owned(),
    }))
}

/// Sees to it that a pod which may burst has a size to be billed by.
fn size(
    draft: &mut Draft,
    facts: &PodFacts,
    resolved: &Resolved,
    settings: &Settings,
    warnings: &mut Vec<String>,
) {
    let default = settings.default_request.as_ref().filter(|_| !facts.asks_anything);
    if let Some(default) = default {
        set_on_first_container(draft, &["requests", "cpu"], &default.cpu);
        set_on_first_container(draft, &["requests", "memory"], &default.memory);
    }
    if resolved.policy != Policy::Enforce && !facts.asks_anything && default.is_none() {
        let text = "no container has a request; a cloud instance would get the provider's smallest size";
        warnings.push(text.to_owned());
    }
}

/// Whether Filter has something to add to what admission writes: where a virtual node that is open to the pod may be
/// refused, because a place is sold out or a provider cannot run the pod that tolerates its taint by itself, and where
/// preemption may nominate the pod to a virtual node, for scoring is skipped then.
fn is_checked(pod: &Value, facts: &PodFacts, policy: Policy, doubtful: bool) -> bool {
    let never = pod.pointer("/spec/preemptionPolicy").is_some_and(|value| value == "Never");
    let preempts = facts.priority.is_some_and(|priority| priority > 0) && !never;
    match policy {
        Policy::Auto | Policy::LocalPrefer => preempts || doubtful,
        Policy::Enforce => doubtful,
        Policy::Off => false,
    }
}

/// Any other scheduler would read "Insufficient burst.io/managed"; `admission-marker.yaml` says the same.
fn declares_the_markers(scheduler_name: &str) -> bool {
    matches!(scheduler_name, "" | "default-scheduler")
}

/// Asks for a marker, or takes off the one that the in-process policy wrote because it cannot look things up. Extended
/// resources need request = limit.
fn mark(draft: &mut Draft, marker: &str, wanted: bool) {
    for side in ["requests", "limits"] {
        if wanted {
            set_on_first_container(draft, &[side, marker], "1");
        } else {
            draft.remove(&["spec", "containers", "0", "resources", side, marker]);
        }
    }
}

/// Takes the markers off, which the in-process policy may have written: the pod waits, and an autoscaler that does not
/// know them must see that an ordinary node would do.
fn unmark(draft: &mut Draft) {
    mark(draft, keys::MARKER_RESOURCE, false);
    mark(draft, keys::CHECKED_RESOURCE, false);
}

fn set_on_first_container(draft: &mut Draft, place: &[&str], text: &str) {
    let first = ["spec", "containers", "0"];
    if draft.get(&first).is_some() {
        draft.set(&[&first, &["resources"][..], place].concat(), json!(text));
    }
}

/// Records policy and source. A pod that no label spoke about and on which nothing was written stays as it came,
/// unless it carries a record that is not true.
fn annotate(draft: &mut Draft, facts: &PodFacts, resolved: &Resolved) {
    let silent = resolved.policy == Policy::Off
        && !resolved.source.is_label()
        && draft.is_unchanged()
        && !facts.annotations.contains_key(keys::RESOLVED_POLICY)
        && !facts.annotations.contains_key(keys::POLICY_SOURCE);
    if silent {
        return;
    }
    let annotation = |key| ["metadata", "annotations", key];
    draft.set(&annotation(keys::RESOLVED_POLICY), json!(resolved.policy.as_str()));
    draft.set(&annotation(keys::POLICY_SOURCE), json!(resolved.source.to_string()));
}
