//! From a local pod and the objects it refers to, to the parameters of CreateContainerGroup.
//!
//! Pure: nothing is fetched or sent here. The result is a tree in ECI's own names, and the places and sizes to try with
//! it, in order. What ECI cannot run is refused first, by the same table that admission reads; what only shows once
//! ConfigMaps and Secrets are there (lengths, the 60 KB of files) is refused here with the number.

use std::collections::BTreeMap;

use policies::keys::{self, tag};
use policies::pod::view::PodView;
use policies::quantity::Quantity;
use policies::shape::{self, GI, eci};
use policies::support::{self, annotations};
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use crate::cloud::CreateRequest;
use crate::cloud::translate::json::{flag, list, only, text};
use crate::cloud::translate::{self, Notice, Problem, Resolved, Sizes, Sources, service_env};

use super::names;
use super::settings::EciSettings;

mod annotated;
mod containers;
mod dns;
mod places;
mod registries;
#[cfg(test)]
pub(super) mod tests;
mod volumes;

/// The cloud's name in messages.
const CLOUD: &str = "ECI";
/// How long ECI itself looks for room, minutes: then another place is tried.
const PENDING_MINUTES: u32 = 10;

/// What an instance is made from.
pub(super) struct Context<'a> {
    pub(super) settings: &'a EciSettings,
    pub(super) request: &'a CreateRequest,
    /// Name of the container group.
    pub(super) name: &'a str,
}

/// The result of a translation. Holds secrets.
pub(super) struct Forged {
    /// Every parameter but those of the attempts.
    pub(super) tree: Map<String, Value>,
    /// What to try, in order; at least one.
    pub(super) attempts: Vec<Attempt>,
    /// What the pod's owner should be told.
    pub(super) notices: Vec<Notice>,
    pub(super) restart_policy: String,
    /// Names of the init containers.
    pub(super) init: Vec<String>,
}

/// One place, size and way of paying.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attempt {
    /// Tells the attempts of one pod apart.
    pub(super) label: String,
    pub(super) vswitch: String,
    pub(super) spot: bool,
    /// What is billed, as far as the type of machine does not say it.
    pub(super) size: shape::Size,
    pub(super) fields: Map<String, Value>,
}

/// Translates a pod.
pub(super) fn forge(context: &Context<'_>, resolved: &Resolved) -> Result<Forged, Problem> {
    let pod = &*context.request.object;
    let annotations = context.request.all_annotations();
    refuse(pod, &annotations)?;
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let view =
        PodView::deserialize(pod).map_err(|e| Problem::Invalid(format!("the pod cannot be read: {e}")))?;
    let mut tree = Map::new();
    let mut notices = Vec::new();
    annotated::parameters(&annotations, &mut tree)?;
    let sizes = places::sizes(&view, &annotations, context)?;
    let shown = shown(&view, &sizes);
    let links = spec.get("enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
    let services = service_env::variables(
        &resolved.services,
        &context.request.pod.namespace,
        links && context.settings.kube_proxy,
    );
    let sources = Sources {
        pod,
        node: &context.request.node,
        cloud: CLOUD,
        resolved,
        sizes: Some(&shown),
        services: &services,
        plain: true,
    };
    let containers = containers::translate(&sources, &mut notices)?;
    tree.extend(containers);
    let volumes = volumes::translate(&sources, &mut notices)?;
    insert_list(&mut tree, "Volume", volumes);
    insert_list(&mut tree, "ImageRegistryCredential", registries::credentials(spec, resolved, &mut notices)?);
    whole_pod(context, spec, &mut tree);
    dns::parameters(context, spec, &annotations, &mut tree)?;
    disk(&view, &annotations, &mut tree);
    insert_list(&mut tree, "Tag", tags(context, &annotations)?);
    let restart_policy = text(spec, "restartPolicy").unwrap_or("Always").to_owned();
    let init =
        list(spec, "initContainers").iter().filter_map(|c| text(c, "name")).map(str::to_owned).collect();
    let attempts = places::attempts(context, &annotations, &sizes, &tree);
    Ok(Forged { tree, attempts, notices, restart_policy, init })
}

fn refuse(pod: &Value, annotations: &BTreeMap<String, String>) -> Result<(), Problem> {
    let mut unsupported = support::check(keys::PROVIDER_ALIBABA, pod);
    // Those of the policy may have other values than the pod's.
    unsupported.retain(|problem| !problem.field.starts_with("metadata.annotations"));
    let texts = annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    unsupported.extend(annotations::problems(support::eci::ANNOTATIONS, texts));
    if unsupported.is_empty() { Ok(()) } else { Err(Problem::Invalid(support::sentences(&unsupported))) }
}

/// What containers see of sizes: their own limits, else the whole pod.
fn shown(view: &PodView<'_>, sizes: &[places::Sized]) -> Sizes {
    let pod = sizes.first().map(|sized| sized.size).unwrap_or_default();
    let asks = shape::asks(view);
    let size = |cpu_milli, memory_bytes| translate::Size { cpu_milli, memory_bytes };
    let own = |ask: &shape::Ask| {
        let (cpu, memory) = (ask.limits.cpu_milli, ask.limits.memory_bytes);
        let none = cpu.is_none() && memory.is_none();
        let or = |value: Option<u64>, whole: u64| if none { 0 } else { value.unwrap_or(whole) };
        (ask.name.clone(), size(or(cpu, pod.cpu_milli), or(memory, pod.memory_bytes)))
    };
    Sizes {
        containers: asks.iter().map(own).collect(),
        pod: size(pod.cpu_milli, pod.memory_bytes),
        disk_bytes: eci::DISK_INCLUDED.max(shape::disk(view)),
    }
}

/// What is said once for the pod.
fn whole_pod(context: &Context<'_>, spec: &Value, tree: &mut Map<String, Value>) {
    let settings = context.settings;
    tree.insert("ContainerGroupName".into(), context.name.into());
    tree.entry("SecurityGroupId").or_insert_with(|| settings.security_group.as_str().into());
    if !settings.resource_group.is_empty() {
        tree.entry("ResourceGroupId").or_insert_with(|| settings.resource_group.as_str().into());
    }
    tree.entry("MaxPendingMinute").or_insert_with(|| PENDING_MINUTES.into());
    tree.insert("RestartPolicy".into(), text(spec, "restartPolicy").unwrap_or("Always").into());
    let same = [
        ("activeDeadlineSeconds", "ActiveDeadlineSeconds"),
        ("terminationGracePeriodSeconds", "TerminationGracePeriodSeconds"),
    ];
    for (field, parameter) in same {
        if let Some(value) = spec.get(field).filter(|value| value.is_number()) {
            tree.insert(parameter.into(), value.clone());
        }
    }
    if flag(spec, "shareProcessNamespace") {
        tree.insert("ShareProcessNamespace".into(), true.into());
    }
    if let Some(name) = hostname(spec, &context.request.pod.name) {
        tree.insert("HostName".into(), name.into());
    }
    let arm = spec.pointer("/nodeSelector/kubernetes.io~1arch").and_then(Value::as_str) == Some("arm64");
    if arm {
        tree.insert("CpuArchitecture".into(), "ARM64".into());
    }
    let hosts = list(spec, "hostAliases").iter().map(
        |alias| json!({"Ip": text(alias, "ip").unwrap_or_default(), "Hostname": list(alias, "hostnames")}),
    );
    let own = tree.remove("HostAliase").and_then(|own| own.as_array().cloned()).unwrap_or_default();
    insert_list(tree, "HostAliase", own.into_iter().chain(hosts).collect());
    let sysctls = spec.get("securityContext").map(|security| list(security, "sysctls")).unwrap_or_default();
    let sysctls: Vec<Value> = sysctls
        .iter()
        .map(|sysctl| json!({"Name": text(sysctl, "name"), "Value": text(sysctl, "value")}))
        .collect();
    if !sysctls.is_empty() {
        tree.insert("SecurityContext".into(), json!({"Sysctl": sysctls}));
    }
}

/// The host name that the pod would have at home, as far as it has no dots.
fn hostname(spec: &Value, pod_name: &str) -> Option<String> {
    let own = text(spec, "hostname").filter(|hostname| !hostname.is_empty()).unwrap_or(pod_name);
    let short: String = own.chars().take(63).collect();
    let short = short.trim_end_matches(['-', '.']);
    (!short.contains('.')).then(|| short.to_owned())
}

/// Disk above what is included; the annotation says more than the requests.
fn disk(view: &PodView<'_>, annotations: &BTreeMap<String, String>, tree: &mut Map<String, Value>) {
    let annotated =
        annotations.get("k8s.aliyun.com/eci-extra-ephemeral-storage").and_then(|text| annotations::gib(text));
    let asked = shape::disk(view).saturating_sub(eci::DISK_INCLUDED).div_ceil(GI);
    let extra = annotated.unwrap_or(asked);
    if extra > 0 {
        tree.insert("EphemeralStorage".into(), extra.into());
    }
}

/// Identity, then the policy's labels, then the user's own tags.
fn tags(context: &Context<'_>, annotations: &BTreeMap<String, String>) -> Result<Vec<Value>, Problem> {
    let identity = names::tags(&context.settings.cluster_id, context.request);
    let mut more = context.request.labels.clone();
    let custom = annotations.get("k8s.aliyun.com/eci-custom-tags").map(String::as_str).unwrap_or_default();
    let custom = annotations::items(custom).filter_map(|item| item.split_once(':'));
    more.extend(custom.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned())));
    more.retain(|key, _| !identity.contains_key(key) && !key.starts_with(tag::CLUSTER));
    let all: Vec<Value> =
        identity.iter().chain(&more).map(|(key, value)| json!({"Key": key, "Value": value})).collect();
    if all.len() > names::TAGS_MAX {
        return Err(Problem::Invalid(format!(
            "the container group would have {} tags, and ECI takes {}: give the policy fewer labels",
            all.len(),
            names::TAGS_MAX
        )));
    }
    Ok(all)
}

/// `bits per second` of a quantity.
fn bits(text: &str) -> Option<i64> {
    Quantity::parse(text.trim()).ok().map(|quantity| quantity.to_value_ceil())
}

fn insert_list(out: &mut Map<String, Value>, field: &str, values: Vec<Value>) {
    if !values.is_empty() {
        out.insert(field.to_owned(), Value::Array(values));
    }
}

/// The named fields of an object under ECI's names, those that are there.
fn renamed(object: &Value, fields: &[(&str, &str)]) -> Map<String, Value> {
    let there = fields.iter().filter_map(|(field, parameter)| {
        let value = only(object, &[field]).remove(*field)?;
        (!value.is_null()).then(|| ((*parameter).to_owned(), value))
    });
    there.collect()
}
