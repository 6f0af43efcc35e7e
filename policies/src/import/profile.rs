//! ScheduleProfile: Huawei's, and Baidu's, which is nearly the same with other words.

use super::{ImportError, Made, Reading};
use crate::burst_policy::{BurstPolicySpec, Limit, PodSelector, PolicyKind, ScaleIn, Side, SideLimits, Tier};
use crate::policy::Policy;

type Result<T> = std::result::Result<T, ImportError>;

/// Words of one of the two products.
struct Words {
    local: &'static str,
    cloud: &'static str,
    priority: &'static str,
}

pub(super) fn huawei(reading: &mut Reading<'_>) -> Result<Made> {
    let pods = reading.selector("spec.objectLabels", "spec.selector")?;
    reading.approximated(
        "apiVersion",
        "fields of Huawei's ScheduleProfile are read as recalled from its manual: compare the result with what you meant",
    );
    let strategy = reading.text("spec.strategy")?;
    let policy = match strategy {
        Some(word) => match Policy::parse(word) {
            Some(policy) => {
                reading.maps("spec.strategy", format!("spec.policy: {word}"));
                Some(policy)
            }
            None => return Err(unknown("spec.strategy", word, "auto, localPrefer, enforce or off")),
        },
        None => None,
    };
    let mut tiers = Vec::new();
    let mut provider = false;
    for i in 0..reading.length("spec.virtualNodes")? {
        let field = format!("spec.virtualNodes[{i}].type");
        let Some(word) = reading.text(&field)? else { continue };
        provider = true;
        let note =
            format!("{word}: a tier of virtual nodes of provider huawei; burst tells CCI's versions by node");
        reading.approximated(&field, note);
    }
    let words =
        Words { local: "spec.location.local", cloud: "spec.location.cci", priority: "scaleDownPriority" };
    let (max, scale_in) = sides(reading, &words)?;
    if provider {
        tiers = sided(policy, Some("huawei"));
    }
    let selector = PodSelector {
        match_labels: pods.match_labels,
        match_expressions: pods.match_expressions,
        ..PodSelector::default()
    };
    Ok(Made {
        kind: PolicyKind::BurstPolicy,
        spec: BurstPolicySpec { selector, policy, tiers, max, scale_in, ..BurstPolicySpec::default() },
    })
}

pub(super) fn baidu(reading: &mut Reading<'_>) -> Result<Made> {
    let pods = reading.map("spec.objectSelector.pod.labels")?;
    if !pods.is_empty() {
        reading.maps("spec.objectSelector.pod.labels", "spec.selector.matchLabels");
    }
    let namespaces = reading.map("spec.objectSelector.namespace.labels")?;
    if !namespaces.is_empty() {
        reading.maps("spec.objectSelector.namespace.labels", "spec.namespaceSelector.matchLabels");
    }
    let policy = match reading.text("spec.strategy")? {
        None => None,
        Some(word) => {
            let policy = match word {
                "bciOnly" => Policy::Enforce,
                "localOnly" => Policy::Off,
                "localprefer" | "localPrefer" => Policy::LocalPrefer,
                other => return Err(unknown("spec.strategy", other, "bciOnly, localOnly or localprefer")),
            };
            reading.maps("spec.strategy", format!("spec.policy: {}", policy.as_str()));
            Some(policy)
        }
    };
    let words = Words {
        local: "spec.distribution.local",
        cloud: "spec.distribution.bci",
        priority: "deletionPriority",
    };
    let (max, scale_in) = sides(reading, &words)?;
    let mut spec = BurstPolicySpec { policy, max, scale_in, ..BurstPolicySpec::default() };
    spec.selector.match_labels = pods;
    spec.namespace_selector.match_labels = namespaces;
    // Without a namespace, or with a selector of namespaces, it speaks for many.
    let cluster = reading.get("metadata.namespace").is_none() || !spec.namespace_selector.is_empty();
    let kind = if cluster { PolicyKind::ClusterBurstPolicy } else { PolicyKind::BurstPolicy };
    Ok(Made { kind, spec })
}

/// Ceilings of both sides, and which side shrinks first.
fn sides(reading: &mut Reading<'_>, words: &Words) -> Result<(SideLimits, ScaleIn)> {
    let mut limit = |side: &str, to: &str| -> Result<Limit> {
        let field = format!("{side}.maxNum");
        let pods = reading.number(&field)?;
        if pods.is_some() {
            reading.maps(&field, format!("{to}.pods; pods that terminate count until they are gone"));
        }
        Ok(Limit { pods, ..Limit::default() })
    };
    let max = SideLimits {
        local: limit(words.local, "spec.max.local")?,
        cloud: limit(words.cloud, "spec.max.cloud")?,
    };
    let fields = [words.local, words.cloud].map(|side| format!("{side}.{}", words.priority));
    let [local, cloud] = &fields;
    let (l, c) = (reading.signed(local)?, reading.signed(cloud)?);
    let (scale_in, note) = match (l.unwrap_or(0), c.unwrap_or(0)) {
        (l, c) if c > l => {
            (ScaleIn::CloudFirst, "spec.scaleIn: CloudFirst; only the order is kept, not the numbers")
        }
        (l, c) if c == l => (ScaleIn::Off, "spec.scaleIn: Off; neither side goes first"),
        _ => (
            ScaleIn::Off,
            "spec.scaleIn: Off; burst never lets pods on real nodes go first, so their order is Kubernetes' own",
        ),
    };
    for (field, value) in fields.iter().zip([l, c]) {
        if value.is_some() {
            reading.approximated(field, note);
        }
    }
    let said = l.is_some() || c.is_some();
    Ok((max, if said { scale_in } else { ScaleIn::default() }))
}

/// Tiers of a policy that names the cloud's provider: real nodes first, unless the policy has none.
fn sided(policy: Option<Policy>, provider: Option<&str>) -> Vec<Tier> {
    let local = Tier { name: "local".to_owned(), ..Tier::default() };
    let cloud = Tier {
        name: "cloud".to_owned(),
        side: Side::Cloud,
        provider: provider.map(str::to_owned),
        ..Tier::default()
    };
    match policy {
        Some(Policy::Enforce | Policy::Off) => vec![cloud],
        _ => vec![local, cloud],
    }
}

pub(super) fn unknown(field: &str, found: &str, wanted: &'static str) -> ImportError {
    ImportError::BadField { field: field.to_owned(), found: format!("{found:?}"), wanted }
}
