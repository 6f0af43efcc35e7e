//! From a local pod and the objects it refers to, to the CCI pod and the objects that go with it.
//!
//! Pure: nothing is fetched or sent here. What CCI must not get (placement, identity and priority of this cluster, our
//! marker resource, the API token volume) is left out because only known fields are taken over; what CCI cannot run is
//! refused first, by the same table that admission reads.

use std::collections::BTreeMap;

use policies::keys::{burst_size, tag};
use policies::shape::cci::Shape;
use policies::support;
use serde_json::{Map, Value, json};

use crate::cloud::PodIdentity;

use copies::Copies;
use env::{Environment, Sources};
use json::{flag, list, only, pairs, text};
use problem::Kind;

mod copies;
mod env;
mod expand;
mod fields;
mod json;
mod problem;
mod references;
mod service_env;
mod size;
mod volumes;

pub(super) use copies::Copied;
pub(super) use problem::{Notice, Problem};
pub(super) use references::{Resolved, references};

/// Annotation of an instance: its copied objects as `plural/name`, comma-separated.
pub(super) const COPIES: &str = "burst.io/copies";

/// Pod fields that mean the same in CCI.
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

/// Where the instance will live.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) cluster_id: &'a str,
    /// CCI namespace.
    pub(super) namespace: &'a str,
    /// Name of the instance.
    pub(super) instance: &'a str,
    /// Virtual node.
    pub(super) node: &'a str,
    pub(super) pod: &'a PodIdentity,
    /// From the pod's policy.
    pub(super) labels: &'a BTreeMap<String, String>,
    /// From the pod's policy.
    pub(super) annotations: &'a BTreeMap<String, String>,
    /// Names of containers that the pod itself does not have, as a tag.
    pub(super) hidden: &'a str,
}

impl Context<'_> {
    /// The labels by which everything of this instance is found again.
    fn tags(&self) -> Map<String, Value> {
        let tags = [(tag::CLUSTER, self.cluster_id), (tag::NODE, self.node), (tag::POD_UID, &self.pod.uid)];
        tags.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
    }
}

/// The result of a translation.
#[derive(Debug)]
pub(super) struct Forged {
    /// The pod to post.
    pub(super) pod: Value,
    /// What has to exist before it.
    pub(super) copies: Vec<Copied>,
    /// What the pod's owner should be told.
    pub(super) notices: Vec<Notice>,
}

/// Translates a pod.
pub(super) fn forge(pod: &Value, context: &Context<'_>, resolved: &Resolved) -> Result<Forged, Problem> {
    let unsupported = support::check(support::HUAWEI, pod);
    if !unsupported.is_empty() {
        return Err(Problem::Invalid(support::sentences(&unsupported)));
    }
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let shape = size::shape(pod)?;
    let links = spec.get("enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
    let services = service_env::variables(&resolved.services, &context.pod.namespace, links);
    let sources = Sources { pod, context, resolved, shape: &shape, services: &services };
    let mut copies = Copies::new(context);
    let mut notices = Vec::new();

    let mut out = only(spec, &POD_FIELDS);
    out.extend(containers(&sources, &mut copies, &mut notices)?);
    let volumes =
        volumes::Volumes { sources: &sources, copies: &mut copies, notices: &mut notices }.translate()?;
    insert_list(&mut out, "volumes", volumes);
    let pull_secrets = pull_secrets(spec, resolved, &mut copies, &mut notices);
    insert_list(&mut out, "imagePullSecrets", pull_secrets);
    let security =
        spec.get("securityContext").map(|security| only(security, &POD_SECURITY_FIELDS)).unwrap_or_default();
    insert_object(&mut out, "securityContext", security);
    if let Some(hostname) = hostname(spec, &context.pod.name) {
        out.insert("hostname".into(), hostname.into());
    }
    // The variables are in the containers already, and CCI's own identity is none of the pod's business.
    out.insert("enableServiceLinks".into(), false.into());
    out.insert("automountServiceAccountToken".into(), false.into());
    let metadata = metadata(pod, context, &shape, &copies);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": out});
    Ok(Forged { pod, copies: copies.into_list(), notices })
}

fn metadata(pod: &Value, context: &Context<'_>, shape: &Shape, copies: &Copies<'_>) -> Value {
    let own = pod.get("metadata").unwrap_or(&Value::Null);
    let mut labels: Map<String, Value> =
        pairs(own, "labels").map(|(k, v)| (k.to_owned(), v.into())).collect();
    labels.extend(json_of(context.labels));
    labels.extend(context.tags());
    let mut annotations: Map<String, Value> =
        volumes::vendor_annotations(own).map(|(k, v)| (k.to_owned(), v.into())).collect();
    annotations.extend(json_of(context.annotations));
    let (cpu, memory) = size::billed(shape);
    let index = copies.index();
    let written = [
        (tag::POD_NAMESPACE, context.pod.namespace.as_str()),
        (tag::POD_NAME, &context.pod.name),
        (burst_size::CPU, &cpu),
        (burst_size::MEMORY, &memory),
        (COPIES, &index),
        (tag::HIDDEN, context.hidden),
    ];
    let written = written.into_iter().filter(|(_, value)| !value.is_empty());
    annotations.extend(written.map(|(key, value)| (key.to_owned(), value.into())));
    json!({"name": context.instance, "namespace": context.namespace, "labels": labels, "annotations": annotations})
}

fn json_of(map: &BTreeMap<String, String>) -> impl Iterator<Item = (String, Value)> {
    map.iter().map(|(key, value)| (key.clone(), value.as_str().into()))
}

/// `initContainers` and `containers`; secret variables of all of them share one copied Secret.
fn containers(
    sources: &Sources<'_>,
    copies: &mut Copies<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Map<String, Value>, Problem> {
    let mut environments = Vec::new();
    for (_, container) in json::containers(sources.pod) {
        environments.push(Environment::resolve(container, sources, notices)?);
    }
    let named =
        || json::containers(sources.pod).map(|(_, container)| text(container, "name").unwrap_or_default());
    let secrets: Map<String, Value> =
        environments.iter().zip(named()).flat_map(|(environment, name)| environment.secrets(name)).collect();
    let secret =
        if secrets.is_empty() { String::new() } else { copies.secret("env", env::secret_content(secrets)) };
    let dropped = volumes::dropped(sources.pod);
    let (mut init, mut app) = (Vec::new(), Vec::new());
    for ((is_init, container), environment) in json::containers(sources.pod).zip(&environments) {
        let forged = forge_container(container, environment, &secret, sources.shape, &dropped)?;
        if is_init { init.push(forged) } else { app.push(forged) }
    }
    let mut out = Map::new();
    insert_list(&mut out, "initContainers", init);
    insert_list(&mut out, "containers", app);
    Ok(out)
}

fn forge_container(
    container: &Value,
    environment: &Environment,
    secret: &str,
    shape: &Shape,
    dropped: &[&str],
) -> Result<Value, Problem> {
    let name = text(container, "name").unwrap_or_default();
    let mut out = only(container, &CONTAINER_FIELDS);
    for field in ["command", "args"] {
        let words = list(container, field).iter().filter_map(Value::as_str);
        insert_list(&mut out, field, words.map(|word| environment.expand(word).into()).collect());
    }
    insert_list(&mut out, "env", environment.entries(name, secret));
    if let Some(resources) = size::resources(shape, name) {
        out.insert("resources".into(), resources);
    }
    let mounts = volumes::mounts(container, dropped, |expression| environment.expand_here(expression))?;
    insert_list(&mut out, "volumeMounts", mounts);
    let security =
        container.get("securityContext").map(|security| only(security, &CONTAINER_SECURITY_FIELDS));
    insert_object(&mut out, "securityContext", security.unwrap_or_default());
    Ok(Value::Object(out))
}

/// Pull secrets under their copied names. A missing one does not stop the pod, as on a real node.
fn pull_secrets(
    spec: &Value,
    resolved: &Resolved,
    copies: &mut Copies<'_>,
    notices: &mut Vec<Notice>,
) -> Vec<Value> {
    let mut out = Vec::new();
    for name in list(spec, "imagePullSecrets").iter().filter_map(|secret| text(secret, "name")) {
        if name == references::DEFAULT_PULL_SECRET {
            out.push(json!({"name": name}));
        } else if let Some(Some(object)) = resolved.secrets.get(name) {
            out.push(json!({"name": copies.secret(name, volumes::content(Kind::Secret, object))}));
        } else {
            let message =
                format!("Secret {name:?} of imagePullSecrets does not exist; images are pulled without it");
            notices.push(Notice { reason: "FailedToRetrieveImagePullSecret", message });
        }
    }
    out
}

/// The host name that the pod would have at home. A name with dots has no short form that CCI accepts.
fn hostname(spec: &Value, pod_name: &str) -> Option<String> {
    let own = text(spec, "hostname").filter(|hostname| !hostname.is_empty()).unwrap_or(pod_name);
    let short: String = own.chars().take(63).collect();
    let short = short.trim_end_matches(['-', '.']);
    (!short.contains('.') && !flag(spec, "hostNetwork")).then(|| short.to_owned())
}

fn insert_list(out: &mut Map<String, Value>, field: &str, values: Vec<Value>) {
    if !values.is_empty() {
        out.insert(field.to_owned(), Value::Array(values));
    }
}

fn insert_object(out: &mut Map<String, Value>, field: &str, object: Map<String, Value>) {
    if !object.is_empty() {
        out.insert(field.to_owned(), Value::Object(object));
    }
}

#[cfg(test)]
mod tests;
