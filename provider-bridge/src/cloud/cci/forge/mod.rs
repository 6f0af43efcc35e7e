//! From a local pod and the objects it refers to, to the CCI pod and the objects that go with it.
//!
//! Pure: nothing is fetched or sent here. Which fields mean the same in CCI 1.0 is said here, those of 2.0 in [`second`],
//! the rest is [`kubelike::forge`]; what CCI cannot run is refused first, by the same table that admission reads.

use policies::support;
use serde_json::Value;

use crate::cloud::kubelike::{self, Context, Fields, Forged, Rules};
use crate::cloud::translate::json::text;
use crate::cloud::translate::{self, Problem, References, Resolved};

use super::claims;
use super::settings::Generation;

mod second;
mod size;

/// A pull secret that CCI itself provides in every namespace.
pub(super) const DEFAULT_PULL_SECRET: &str = "default-secret";

/// What CCI 1.0 takes over as it is.
const FIELDS: Fields = Fields {
    pod: &POD_FIELDS,
    pod_security: &POD_SECURITY_FIELDS,
    container: &CONTAINER_FIELDS,
    container_security: &CONTAINER_SECURITY_FIELDS,
    mount: &["name", "mountPath", "readOnly", "subPath"],
    volumes: &["emptyDir"],
    pull_secrets: &[DEFAULT_PULL_SECRET],
};

/// Pod fields that mean the same in CCI 1.0.
const POD_FIELDS: [&str; 9] = [
    "activeDeadlineSeconds",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "restartPolicy",
    "setHostnameAsFQDN",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
];

const POD_SECURITY_FIELDS: [&str; 8] = [
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "sysctls",
];

/// Container fields that mean the same in CCI.
const CONTAINER_FIELDS: [&str; 13] = [
    "name",
    "image",
    "workingDir",
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "stdin",
    "stdinOnce",
    "tty",
];

const CONTAINER_SECURITY_FIELDS: [&str; 5] =
    ["capabilities", "readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser"];

/// What has to be fetched before a pod is translated.
pub(super) fn references(pod: &Value) -> References {
    let claims = translate::claim_names(pod);
    References { claims, ..translate::references(pod, FIELDS.pull_secrets) }
}

/// Translates a pod for a generation of CCI.
pub(super) fn forge(
    generation: Generation,
    pod: &Value,
    context: &Context<'_>,
    resolved: &Resolved,
) -> Result<Forged, Problem> {
    match generation {
        Generation::One => first(pod, context, resolved),
        Generation::Two => second::forge(pod, context, resolved),
    }
}

fn first(pod: &Value, context: &Context<'_>, resolved: &Resolved) -> Result<Forged, Problem> {
    let unsupported = support::check(support::HUAWEI, pod);
    if !unsupported.is_empty() {
        return Err(Problem::Invalid(support::sentences(&unsupported)));
    }
    let shape = size::shape(pod)?;
    let rules = Rules {
        cloud: super::CLOUD,
        fields: &FIELDS,
        sizes: Some(&size::sizes(&shape)),
        resources: &|container| size::resources(&shape, text(container, "name").unwrap_or_default()),
        label: |_| true,
        annotation: is_vendors,
        share: Some(&|claim, volume| claims::share(Generation::One, context, claim, volume)),
        billed: size::billed(shape.pod),
    };
    kubelike::forge(pod, context, resolved, &rules)
}

/// Whether an annotation is one that CCI reads on a pod; what CCI or other add-ons write is not passed on.
fn is_vendors(key: &str) -> bool {
    const DOMAINS: [&str; 3] = ["cci.io", "yangtse.io", "openvessel.io"];
    const WRITTEN_BY_OTHERS: [&str; 6] = [
        "resource.cci.io/size",
        "virtual-kubelet.cci.io/",
        "bursting.cci.io/",
        "scheduling.cci.io/",
        "tenant.cci.io/",
        "coordinator.cci.io/",
    ];
    let domain = key.split('/').next().unwrap_or_default();
    let known = DOMAINS
        .iter()
        .any(|d| domain.strip_suffix(d).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    known && !WRITTEN_BY_OTHERS.iter().any(|other| key.starts_with(other))
}

#[cfg(test)]
mod tests;
