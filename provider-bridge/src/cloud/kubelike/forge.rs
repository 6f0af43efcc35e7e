//! From a local pod and the objects it refers to, to the pod of a Kubernetes-style cloud and the objects that go with it.
//!
//! Pure: nothing is fetched or sent here. What the cloud must not get (placement, identity and priority of this cluster,
//! our marker resource, the API token volume) is left out because only known fields are taken over.

use std::collections::BTreeMap;

use policies::keys::{burst_size, tag};
use serde_json::{Map, Value, json};

use crate::cloud::PodIdentity;
use crate::cloud::translate::json::{self, flag, list, only, pairs, text};
use crate::cloud::translate::{
    Environment, Kind, Notice, Problem, Resolved, Sizes, Sources, content, dropped, mounts, service_env,
};

use super::claims::SharedClaim;
use super::copies::{Copied, Copies};
use super::volumes::Volumes;

/// Annotation of an instance: its copied objects as `plural/name`, comma-separated.
const COPIES: &str = "burst.io/copies";

/// Annotation of an instance: the shared claims that it mounts, comma-separated.
const CLAIMS: &str = "burst.io/claims";

/// The claim of the cloud for one of the pod's: by the pod's claim and the volume behind it.
pub(in crate::cloud) type Share<'a> = &'a dyn Fn(&str, &Value) -> Result<SharedClaim, Problem>;

/// Fields that mean the same in the cloud as here.
#[derive(Clone, Copy, Debug)]
pub(in crate::cloud) struct Fields {
    pub(in crate::cloud) pod: &'static [&'static str],
    pub(in crate::cloud) pod_security: &'static [&'static str],
    pub(in crate::cloud) container: &'static [&'static str],
    pub(in crate::cloud) container_security: &'static [&'static str],
    /// Of a volume mount.
    pub(in crate::cloud) mount: &'static [&'static str],
    /// Kinds of volumes.
    pub(in crate::cloud) volumes: &'static [&'static str],
    /// Pull secrets that the cloud itself has.
    pub(in crate::cloud) pull_secrets: &'static [&'static str],
}

/// How a pod becomes one of the cloud.
pub(in crate::cloud) struct Rules<'a> {
    /// The cloud's name in messages.
    pub(in crate::cloud) cloud: &'static str,
    pub(in crate::cloud) fields: &'a Fields,
    /// What the containers get; `None` leaves `resourceFieldRef` to the cloud.
    pub(in crate::cloud) sizes: Option<&'a Sizes>,
    /// A container's `resources`.
    pub(in crate::cloud) resources: &'a dyn Fn(&Value) -> Option<Value>,
    /// Which of the pod's own labels go along.
    pub(in crate::cloud) label: fn(&str) -> bool,
    /// Which of the pod's own annotations go along.
    pub(in crate::cloud) annotation: fn(&str) -> bool,
    /// How claims are carried; none where they are not.
    pub(in crate::cloud) share: Option<Share<'a>>,
    /// CPU and memory as they are written down on the instance.
    pub(in crate::cloud) billed: (String, String),
}

/// Where the instance will live.
#[derive(Debug)]
pub(in crate::cloud) struct Context<'a> {
    pub(in crate::cloud) cluster_id: &'a str,
    /// Namespace of the instance.
    pub(in crate::cloud) namespace: &'a str,
    /// Name of the instance.
    pub(in crate::cloud) instance: &'a str,
    /// Virtual node.
    pub(in crate::cloud) node: &'a str,
    pub(in crate::cloud) pod: &'a PodIdentity,
    /// From the pod's policy.
    pub(in crate::cloud) labels: &'a BTreeMap<String, String>,
    /// From the pod's policy.
    pub(in crate::cloud) annotations: &'a BTreeMap<String, String>,
    /// Names of containers that the pod itself does not have, as a tag.
    pub(in crate::cloud) hidden: &'a str,
}

impl Context<'_> {
    /// The labels by which everything of this instance is found again.
    pub(super) fn tags(&self) -> Map<String, Value> {
        let tags = [(tag::CLUSTER, self.cluster_id), (tag::NODE, self.node), (tag::POD_UID, &self.pod.uid)];
        tags.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
    }
}

/// The result of a translation.
#[derive(Debug)]
pub(in crate::cloud) struct Forged {
    /// The pod to post.
    pub(in crate::cloud) pod: Value,
    /// What has to exist before it.
    pub(in crate::cloud) copies: Vec<Copied>,
    /// What it shares with other instances and has to exist before it too.
    pub(in crate::cloud) claims: Vec<SharedClaim>,
    /// What the pod's owner should be told.
    pub(in crate::cloud) notices: Vec<Notice>,
}

/// Translates a pod that the cloud can run.
pub(in crate::cloud) fn forge(
    pod: &Value,
    context: &Context<'_>,
    resolved: &Resolved,
    rules: &Rules<'_>,
) -> Result<Forged, Problem> {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let links = spec.get("enableServiceLinks").and_then(Value::as_bool).unwrap_or(true);
    let services = service_env::variables(&resolved.services, &context.pod.namespace, links);
    let (node, cloud, sizes) = (context.node, rules.cloud, rules.sizes);
    let sources = Sources { pod, node, cloud, resolved, sizes, services: &services, plain: false };
    let mut copies = Copies::new(context);
    let mut notices = Vec::new();

    let mut out = only(spec, rules.fields.pod);
    out.extend(containers(&sources, rules, &mut copies, &mut notices)?);
    let mut claims = Vec::new();
    let (passed, share) = (rules.fields.volumes, rules.share);
    let (copying, telling, sharing) = (&mut copies, &mut notices, &mut claims);
    let volumes =
        Volumes { sources: &sources, passed, share, copies: copying, notices: telling, claims: sharing }
            .translate()?;
    insert_list(&mut out, "volumes", volumes);
    let pull_secrets = pull_secrets(spec, rules.fields, resolved, &mut copies, &mut notices);
    insert_list(&mut out, "imagePullSecrets", pull_secrets);
    let security = spec.get("securityContext").map(|security| only(security, rules.fields.pod_security));
    insert_object(&mut out, "securityContext", security.unwrap_or_default());
    if let Some(hostname) = hostname(spec, &context.pod.name) {
        out.insert("hostname".into(), hostname.into());
    }
    // The variables are in the containers already, and the cloud's own identity is none of the pod's business.
    out.insert("enableServiceLinks".into(), false.into());
    out.insert("automountServiceAccountToken".into(), false.into());
    let metadata = metadata(pod, context, rules, &copies, &claims);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": out});
    Ok(Forged { pod, copies: copies.into_list(), claims, notices })
}

fn metadata(
    pod: &Value,
    context: &Context<'_>,
    rules: &Rules<'_>,
    copies: &Copies<'_>,
    claims: &[SharedClaim],
) -> Value {
    let own = pod.get("metadata").unwrap_or(&Value::Null);
    let kept = pairs(own, "labels").filter(|(key, _)| (rules.label)(key));
    let mut labels: Map<String, Value> = kept.map(|(k, v)| (k.to_owned(), v.into())).collect();
    labels.extend(json_of(context.labels));
    labels.extend(context.tags());
    let kept = pairs(own, "annotations").filter(|(key, _)| (rules.annotation)(key));
    let mut annotations: Map<String, Value> = kept.map(|(k, v)| (k.to_owned(), v.into())).collect();
    annotations.extend(json_of(context.annotations));
    let (cpu, memory) = &rules.billed;
    let index = copies.index();
    let claims: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
    let claims = claims.join(",");
    let written = [
        (tag::POD_NAMESPACE, context.pod.namespace.as_str()),
        (tag::POD_NAME, &context.pod.name),
        (burst_size::CPU, cpu),
        (burst_size::MEMORY, memory),
        (COPIES, &index),
        (CLAIMS, &claims),
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
    rules: &Rules<'_>,
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
    let secret = if secrets.is_empty() { String::new() } else { copies.secret("env", opaque(secrets)) };
    let dropped = dropped(sources.pod);
    let (mut init, mut app) = (Vec::new(), Vec::new());
    for ((is_init, container), environment) in json::containers(sources.pod).zip(&environments) {
        let forged = forge_container(container, environment, &secret, rules, &dropped)?;
        if is_init { init.push(forged) } else { app.push(forged) }
    }
    let mut out = Map::new();
    insert_list(&mut out, "initContainers", init);
    insert_list(&mut out, "containers", app);
    Ok(out)
}

/// The content of the Secret that holds an instance's secret variables.
fn opaque(values: Map<String, Value>) -> Map<String, Value> {
    let mut content = Map::new();
    content.insert("type".into(), "Opaque".into());
    content.insert("data".into(), Value::Object(values));
    content
}

fn forge_container(
    container: &Value,
    environment: &Environment,
    secret: &str,
    rules: &Rules<'_>,
    dropped: &[&str],
) -> Result<Value, Problem> {
    let name = text(container, "name").unwrap_or_default();
    let mut out = only(container, rules.fields.container);
    for field in ["command", "args"] {
        let words = list(container, field).iter().filter_map(Value::as_str);
        insert_list(&mut out, field, words.map(|word| environment.expand(word).into()).collect());
    }
    insert_list(&mut out, "env", environment.entries(name, secret));
    if let Some(resources) = (rules.resources)(container) {
        out.insert("resources".into(), resources);
    }
    let mounts =
        mounts(container, rules.fields.mount, dropped, |expression| environment.expand_here(expression))?;
    insert_list(&mut out, "volumeMounts", mounts);
    let security = container.get("securityContext");
    let security = security.map(|security| only(security, rules.fields.container_security));
    insert_object(&mut out, "securityContext", security.unwrap_or_default());
    Ok(Value::Object(out))
}

/// Pull secrets under their copied names. A missing one does not stop the pod, as on a real node.
fn pull_secrets(
    spec: &Value,
    fields: &Fields,
    resolved: &Resolved,
    copies: &mut Copies<'_>,
    notices: &mut Vec<Notice>,
) -> Vec<Value> {
    let mut out = Vec::new();
    for name in list(spec, "imagePullSecrets").iter().filter_map(|secret| text(secret, "name")) {
        if fields.pull_secrets.contains(&name) {
            out.push(json!({"name": name}));
        } else if let Some(Some(object)) = resolved.secrets.get(name) {
            out.push(json!({"name": copies.secret(name, content(Kind::Secret, object))}));
        } else {
            let message =
                format!("Secret {name:?} of imagePullSecrets does not exist; images are pulled without it");
            notices.push(Notice { reason: "FailedToRetrieveImagePullSecret", message });
        }
    }
    out
}

/// The host name that the pod would have at home. A name with dots has no short form that the cloud accepts.
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
