//! What CCI 2.0 gets: other fields than 1.0, containers that are not made larger, and the name of the size that is bought.
//!
//! Facts: the PodSpec schema and the samples of the CCI 2.0 API reference; its user guide for sizes and storage.

use policies::pod::view::PodView;
use policies::shape::cci2::{self, DISK_INCLUDED, Wishes};
use policies::shape::{GI, disk};
use policies::support::{self, cci2::annotations};
use serde::Deserialize as _;
use serde_json::Value;

use crate::cloud::kubelike::{self, Context, Fields, Forged, Rules};
use crate::cloud::translate::json::text;
use crate::cloud::translate::{Problem, Resolved, Sizes};

use super::{DEFAULT_PULL_SECRET, Generation, claims, is_vendors, size};

/// What CCI 2.0 takes over as it is.
const FIELDS: Fields = Fields {
    pod: &POD_FIELDS,
    pod_security: &POD_SECURITY_FIELDS,
    container: &super::CONTAINER_FIELDS,
    container_security: &CONTAINER_SECURITY_FIELDS,
    mount: &["name", "mountPath", "readOnly", "subPath"],
    volumes: &["emptyDir", "nfs"],
    pull_secrets: &[DEFAULT_PULL_SECRET],
};

const POD_FIELDS: [&str; 8] = [
    "activeDeadlineSeconds",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "restartPolicy",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "terminationGracePeriodSeconds",
];

const POD_SECURITY_FIELDS: [&str; 7] = [
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "supplementalGroups",
    "sysctls",
];

const CONTAINER_SECURITY_FIELDS: [&str; 6] =
    ["capabilities", "procMount", "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser"];

/// Not in the schema of its pods.
const NOT_THERE: [&str; 2] = ["automountServiceAccountToken", "enableServiceLinks"];

/// Translates a pod.
pub(super) fn forge(pod: &Value, context: &Context<'_>, resolved: &Resolved) -> Result<Forged, Problem> {
    let unsupported = support::check(support::HUAWEI_2, pod);
    if !unsupported.is_empty() {
        return Err(Problem::Invalid(support::sentences(&unsupported)));
    }
    let asks = size::asks(pod)?;
    let sold = cci2::sold(&asks, Wishes::read(|key| annotation(pod, context, key)))
        .map_err(|refusal| Problem::Invalid(refusal.to_string()))?;
    let containers = cci2::containers(&asks);
    let size_of = |name: &str| {
        let mut named = asks.iter().zip(&containers);
        named.find(|(ask, _)| ask.name == name).map(|(_, size)| *size)
    };
    let disk_bytes = disk_bytes(pod)?;
    let sizes = Sizes {
        containers: asks.iter().zip(&containers).map(|(a, c)| (a.name.clone(), size::size(*c))).collect(),
        pod: size::size(sold.size),
        disk_bytes: disk_bytes.max(DISK_INCLUDED),
    };
    let rules = Rules {
        cloud: super::super::CLOUD,
        fields: &FIELDS,
        sizes: Some(&sizes),
        resources: &|container| size::alike(size_of(text(container, "name").unwrap_or_default())?),
        label: |_| true,
        annotation: is_vendors,
        share: Some(&|claim, volume| claims::share(Generation::Two, context, claim, volume)),
        billed: size::billed(sold.size),
    };
    let mut forged = kubelike::forge(pod, context, resolved, &rules)?;
    let version = Generation::Two.api_version();
    forged.pod["apiVersion"] = version.into();
    if let Some(spec) = forged.pod.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|field, _| !NOT_THERE.contains(&field.as_str()));
    }
    forged.pod["metadata"]["annotations"][annotations::SIZE] = cci2::spec(sold.size).into();
    let more = disk_bytes.saturating_sub(DISK_INCLUDED).div_ceil(GI);
    if more > 0 && annotation(pod, context, annotations::EXTRA_DISK).is_none() {
        forged.pod["metadata"]["annotations"][annotations::EXTRA_DISK] = more.to_string().into();
    }
    for copy in &mut forged.copies {
        copy.object["apiVersion"] = version.into();
    }
    Ok(forged)
}

/// An annotation that the instance gets: from the pod's policy, else from the pod.
fn annotation<'a>(pod: &'a Value, context: &'a Context<'_>, key: &str) -> Option<&'a str> {
    let own = || pod.get("metadata")?.get("annotations")?.get(key)?.as_str();
    context.annotations.get(key).map(String::as_str).or_else(own)
}

/// Ephemeral storage that the containers request.
fn disk_bytes(pod: &Value) -> Result<u64, Problem> {
    let view =
        PodView::deserialize(pod).map_err(|e| Problem::Invalid(format!("the pod cannot be read: {e}")))?;
    Ok(disk(&view))
}
