//! Alibaba: ResourcePolicy of the managed ACK scheduler, and Selector of the open eci-profile.

use super::profile::unknown;
use super::{ImportError, Made, Reading};
use crate::burst_policy::{BurstPolicySpec, Limit, PodSelector, PolicyKind, Side, Tier};
use crate::keys::PROVIDER_ALIBABA;
use crate::policy::Policy;

type Result<T> = std::result::Result<T, ImportError>;

/// `whenTryNextUnits.timeout` where it is not given.
const TIMEOUT_SECONDS: u64 = 15 * 60;

pub(super) fn resource_policy(reading: &mut Reading<'_>) -> Result<Made> {
    let mut spec = BurstPolicySpec::default();
    spec.selector.match_labels = reading.map("spec.selector")?;
    if !spec.selector.match_labels.is_empty() {
        reading.maps("spec.selector", "spec.selector.matchLabels");
    }
    spec.selector.match_expressions = reading.requirements("spec.matchExpressions", "spec.selector")?;
    match reading.text("spec.strategy")? {
        None => {}
        Some("prefer") => reading.maps("spec.strategy", "spec.tiers, in order"),
        Some("required") => {
            reading.approximated(
                "spec.strategy",
                "spec.tiers, in order; a pod goes nowhere else in either product's terms",
            );
        }
        Some(other) => return Err(unknown("spec.strategy", other, "prefer or required")),
    }
    for i in 0..reading.length("spec.units")? {
        unit(reading, i, &mut spec)?;
    }
    spec.policy = order(&spec.tiers);
    counting(reading)?;
    if let Some(word) = reading.text("spec.preemptPolicy")? {
        spec.preempt_before_burst = match word {
            "BeforeNextUnit" => true,
            "AfterAllUnits" => false,
            other => return Err(unknown("spec.preemptPolicy", other, "BeforeNextUnit or AfterAllUnits")),
        };
        reading.maps("spec.preemptPolicy", format!("spec.preemptBeforeBurst: {}", spec.preempt_before_burst));
    }
    next_unit(reading, &mut spec)?;
    if reading.get("spec.consumerRef").is_some() {
        reading.refused(
            "spec.consumerRef",
            "burst selects pods, not consumers: name the workload in spec.selector.owner",
        );
    }
    Ok(Made { kind: PolicyKind::BurstPolicy, spec })
}

/// One unit becomes one tier.
fn unit(reading: &mut Reading<'_>, i: usize, spec: &mut BurstPolicySpec) -> Result<()> {
    let at = |name: &str| format!("spec.units[{i}].{name}");
    let resource = reading.text(&at("resource"))?.unwrap_or_default();
    let side = match resource {
        "ecs" => Side::Local,
        "eci" => Side::Cloud,
        "acs" | "elastic" => {
            let note = format!("burst has no virtual nodes of {resource}: the whole unit is left out");
            reading.refused(&format!("spec.units[{i}]"), note);
            return Ok(());
        }
        other => return Err(unknown(&at("resource"), other, "ecs, eci, acs or elastic")),
    };
    let tier = spec.tiers.len();
    let to = |name: &str| format!("spec.tiers[{tier}].{name}");
    let (provider, what) = match side {
        Side::Local => (None, "side: Local".to_owned()),
        Side::Cloud => {
            (Some(PROVIDER_ALIBABA.to_owned()), format!("side: Cloud, provider: {PROVIDER_ALIBABA}"))
        }
    };
    reading.maps(&at("resource"), format!("spec.tiers[{tier}] {what}"));
    let node_selector = reading.map(&at("nodeSelector"))?;
    if !node_selector.is_empty() {
        reading.maps(&at("nodeSelector"), to("nodeSelector"));
    }
    let max = limit(reading, &at("max"), &at("maxResources"), &to("max"))?;
    let (labels, annotations) = (reading.map(&at("podLabels"))?, reading.map(&at("podAnnotations"))?);
    for (field, given, ours) in [
        (at("podLabels"), &labels, "spec.cloudLabels"),
        (at("podAnnotations"), &annotations, "spec.cloudAnnotations"),
    ] {
        match (given.is_empty(), side) {
            (true, _) => {}
            (false, Side::Local) => {
                reading.refused(
                    &field,
                    "burst writes nothing on pods of real nodes: put it into the pod template",
                );
            }
            (false, Side::Cloud) => {
                reading.approximated(
                    &field,
                    format!("{ours}: on the cloud instance, of every cloud tier, not on the pod"),
                );
            }
        }
    }
    if side == Side::Cloud {
        spec.cloud_labels.extend(labels);
        spec.cloud_annotations.extend(annotations);
    }
    if reading.get(&at("spotInstance")).is_some() {
        let note = "not by policy: write k8s.aliyun.com/eci-spot-strategy into spec.cloudAnnotations";
        reading.refused(&at("spotInstance"), note);
    }
    if reading.get(&at("scaleInWeight")).is_some() {
        reading.refused(
            &at("scaleInWeight"),
            "burst knows sides only: pods in the cloud go first (spec.scaleIn: CloudFirst)",
        );
    }
    let name = format!("{resource}-{i}");
    spec.tiers.push(Tier { name, side, node_selector, provider, zones: Vec::new(), max });
    Ok(())
}

fn limit(reading: &mut Reading<'_>, pods: &str, resources: &str, to: &str) -> Result<Limit> {
    let mut max = Limit { pods: reading.number(pods)?, ..Limit::default() };
    if max.pods.is_some() {
        reading.maps(pods, format!("{to}.pods"));
    }
    for (name, ours) in [("cpu", "cpu"), ("memory", "memory")] {
        let field = format!("{resources}.{name}");
        let amount = reading.quantity(&field)?;
        if amount.is_some() {
            reading.maps(&field, format!("{to}.{ours}; summed over effective requests"));
        }
        *(if name == "cpu" { &mut max.cpu } else { &mut max.memory }) = amount;
    }
    // A key with dots and a slash: looked up by hand.
    let gpus = reading.get(resources).and_then(|r| r.get("nvidia.com/gpu"));
    if let Some(gpus) = gpus {
        let field = format!("{resources}.nvidia.com/gpu");
        let whole = gpus.as_u64().or_else(|| gpus.as_str()?.parse().ok());
        max.gpu = Some(whole.ok_or_else(|| unknown(&field, &gpus.to_string(), "a whole number"))?);
        reading.approximated(&field, format!("{to}.gpu: GPUs of all vendors together"));
    }
    Ok(max)
}

/// The policy that keeps the order of the tiers.
fn order(tiers: &[Tier]) -> Option<Policy> {
    let first = tiers.first()?.side;
    let clouds = tiers.iter().filter(|t| t.side == Side::Cloud).count();
    Some(match first {
        _ if clouds == tiers.len() => Policy::Enforce,
        Side::Local => Policy::LocalPrefer,
        Side::Cloud => Policy::Auto,
    })
}

/// How pods are counted against max.
fn counting(reading: &mut Reading<'_>) -> Result<()> {
    if let Some(ignored) = reading.flag("spec.ignorePreviousPod")? {
        match ignored {
            false => reading.maps("spec.ignorePreviousPod", "all pods of the selector count"),
            true => reading.refused(
                "spec.ignorePreviousPod",
                "burst counts every pod that the policy governs: raise max by the pods that are there",
            ),
        }
    }
    match reading.flag("spec.ignoreTerminatingPod")? {
        Some(false) => reading.maps("spec.ignoreTerminatingPod", "terminating pods count until their instance is gone"),
        _ => reading.approximated(
            "spec.ignoreTerminatingPod",
            "true (the default there): burst counts terminating pods until their instance is confirmed gone, because it is paid for until then",
        ),
    }
    if reading.length("spec.matchLabelKeys")? > 0 {
        reading.refused(
            "spec.matchLabelKeys",
            "burst counts per policy: write one BurstPolicy for each value of the label",
        );
    }
    Ok(())
}

/// When the next unit is tried.
fn next_unit(reading: &mut Reading<'_>, spec: &mut BurstPolicySpec) -> Result<()> {
    let (word, timeout) = ("spec.whenTryNextUnits.policy", "spec.whenTryNextUnits.timeout");
    let seconds = match reading.get(timeout) {
        None => None,
        Some(value) => {
            let text = value.as_str().unwrap_or_default();
            let wanted = "a duration such as 15m or 1h30m";
            Some(duration(text).ok_or_else(|| unknown(timeout, &value.to_string(), wanted))?)
        }
    };
    let waits = match reading.text(word)? {
        None => false,
        Some("LackResourceOrExceedMax") => {
            reading.maps(word, "the next tier when one is full or its max is reached");
            false
        }
        Some("LackResourceAndNoTerminating") => {
            reading.approximated(
                word,
                "the next tier when one is full or its max is reached, also while pods of it terminate",
            );
            false
        }
        Some("ExceedMax") => {
            reading.refused(word, "burst goes on also where a tier has no room, else pods could wait for ever: leave later tiers out to forbid it");
            false
        }
        Some("TimeoutOrExceedMax" | "Timeout") => {
            reading.approximated(
                word,
                "spec.wait.autoscalerSeconds: counted from when the pod was found unschedulable",
            );
            spec.wait.autoscaler_seconds = Some(seconds.unwrap_or(TIMEOUT_SECONDS));
            true
        }
        Some(other) => {
            let wanted = "LackResourceOrExceedMax, ExceedMax, TimeoutOrExceedMax, Timeout or LackResourceAndNoTerminating";
            return Err(unknown(word, other, wanted));
        }
    };
    match (seconds, waits) {
        (None, _) => {}
        (Some(_), true) => reading.maps(timeout, "spec.wait.autoscalerSeconds"),
        (Some(_), false) => reading.refused(timeout, "it has no effect under this policy, there or here"),
    }
    Ok(())
}

/// Go's durations in whole seconds: `1h30m`, `90s`.
fn duration(text: &str) -> Option<u64> {
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let (unit, tail) = tail.split_at_checked(1)?;
        let each = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<u64>().ok()?.checked_mul(each)?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(seconds)
}

pub(super) fn selector(reading: &mut Reading<'_>) -> Result<Made> {
    let mut spec = BurstPolicySpec {
        namespace_selector: reading.selector("spec.namespaceLabels", "spec.namespaceSelector")?,
        ..BurstPolicySpec::default()
    };
    let pods = reading.selector("spec.objectLabels", "spec.selector")?;
    spec.selector = PodSelector {
        match_labels: pods.match_labels,
        match_expressions: pods.match_expressions,
        ..PodSelector::default()
    };
    for (field, ours) in [("labels", "spec.cloudLabels"), ("annotations", "spec.cloudAnnotations")] {
        let field = format!("spec.effect.{field}");
        let given = reading.map(&field)?;
        if given.is_empty() {
            continue;
        }
        reading.approximated(&field, format!("{ours}: on the cloud instance, not on the pod"));
        *(if ours == "spec.cloudLabels" { &mut spec.cloud_labels } else { &mut spec.cloud_annotations }) =
            given;
    }
    if let Some(priority) = reading.signed("spec.priority")? {
        let clamped = i32::try_from(priority).unwrap_or(if priority < 0 { i32::MIN } else { i32::MAX });
        spec.priority = clamped;
        reading.approximated(
            "spec.priority",
            "spec.priority; here the number of selector terms comes before it",
        );
    }
    executor(reading, &mut spec)?;
    Ok(Made { kind: PolicyKind::ClusterBurstPolicy, spec })
}

/// The one policy that is named.
fn executor(reading: &mut Reading<'_>, spec: &mut BurstPolicySpec) -> Result<()> {
    let named = [
        ("fair", Policy::Auto),
        ("normalNodeOnly", Policy::Off),
        ("normalNodePrefer", Policy::LocalPrefer),
        ("virtualNodeOnly", Policy::Enforce),
    ];
    for (name, policy) in named {
        let field = format!("spec.policy.{name}");
        if reading.get(&field).is_none() {
            continue;
        }
        spec.policy = Some(policy);
        for ratio in ["cpuRatio", "memoryRatio"] {
            let ratio = format!("{field}.{ratio}");
            if reading.get(&ratio).is_some() {
                reading
                    .refused(&ratio, "no program acts on it there either; write spec.max.local to keep room");
            }
        }
        // Rows of the field itself come last, so that what is unknown within it is still reported.
        if reading.get(&field).is_some_and(|v| v.as_object().is_some_and(serde_json::Map::is_empty)) {
            reading.maps(&field, format!("spec.policy: {}", policy.as_str()));
        } else {
            reading.note_policy(&field, policy.as_str());
        }
    }
    let limits = "spec.policy.namespaceResourceLimit";
    if reading.get(limits).is_some() {
        reading.refused(
            limits,
            "no program acts on it there; say it as spec.max.cloud of a BurstPolicy in that namespace",
        );
    }
    if spec.policy.is_some_and(|policy| policy != Policy::Off) {
        let cloud = Tier {
            name: "eci".to_owned(),
            side: Side::Cloud,
            provider: Some(PROVIDER_ALIBABA.to_owned()),
            ..Tier::default()
        };
        let local = Tier { name: "local".to_owned(), ..Tier::default() };
        spec.tiers = if spec.policy == Some(Policy::Enforce) { vec![cloud] } else { vec![local, cloud] };
    }
    Ok(())
}
