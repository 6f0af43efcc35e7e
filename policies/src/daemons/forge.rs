//! What a DaemonSet adds to a pod: its containers and volumes under names of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Daemon, Refused, names::prefixed, refuse::refused};
use crate::{pod::read_list, resources::Resources};

/// What of the pod's security context holds for each of its containers, and is carried into them.
const INHERITED: [&str; 3] = ["runAsUser", "runAsGroup", "runAsNonRoot"];

/// What is added to a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Added {
    /// In the template's order, under their new names.
    pub containers: Vec<Value>,
    /// The same.
    pub volumes: Vec<Value>,
    /// `imagePullSecrets`; only where the DaemonSet is in the pod's namespace.
    pub pull_secrets: Vec<Value>,
    /// What each container asks for; `pods` is 0.
    pub sizes: Vec<Resources>,
    /// What the containers ask for together; `pods` is 0.
    pub requests: Resources,
}

/// What a DaemonSet adds to a pod of this namespace in which these names are taken.
///
/// # Errors
/// [`Refused`] when it cannot run beside a pod.
pub fn added(daemon: &Daemon, namespace: &str, taken: &BTreeSet<String>) -> Result<Added, Refused> {
    if let Some(refused) = refused(daemon, namespace) {
        return Err(refused);
    }
    let names = |list: &'static str| -> BTreeMap<String, String> {
        let own = items(&daemon.spec, list).iter().filter_map(|item| item.get("name")?.as_str());
        own.map(|name| (name.to_owned(), prefixed((&daemon.namespace, &daemon.name), name, taken))).collect()
    };
    let (containers, volumes) = (names("containers"), names("volumes"));
    let security = daemon.spec.get("securityContext");
    let run: Vec<Value> = items(&daemon.spec, "containers")
        .iter()
        .map(|container| self::container(container, security, &containers, &volumes))
        .collect();
    let mut mounted: Vec<Value> = items(&daemon.spec, "volumes").to_vec();
    for volume in &mut mounted {
        rename(volume, &volumes);
        files(volume, &containers);
    }
    let sizes = run.iter().enumerate().map(size).collect::<Result<Vec<_>, _>>()?;
    let requests = sizes.iter().copied().fold(Resources::default(), Resources::plus);
    let pull_secrets = items(&daemon.spec, "imagePullSecrets").to_vec();
    Ok(Added { containers: run, volumes: mounted, pull_secrets, sizes, requests })
}

fn container(
    container: &Value,
    security: Option<&Value>,
    names: &BTreeMap<String, String>,
    volumes: &BTreeMap<String, String>,
) -> Value {
    let mut out = container.clone();
    rename(&mut out, names);
    for mount in list_mut(&mut out, "volumeMounts") {
        rename(mount, volumes);
    }
    for variable in list_mut(&mut out, "env") {
        if let Some(reference) = variable.pointer_mut("/valueFrom/resourceFieldRef") {
            of_container(reference, names);
        }
    }
    let Some(fields) = out.as_object_mut() else { return out };
    let asked = whole(container.get("resources"));
    if asked.is_empty() {
        fields.remove("resources");
    } else {
        fields.insert("resources".to_owned(), json!({"requests": asked, "limits": asked}));
    }
    for (field, value) in INHERITED.into_iter().filter_map(|field| Some((field, security?.get(field)?))) {
        let own = fields.entry("securityContext").or_insert_with(|| json!({}));
        if let Some(own) = own.as_object_mut() {
            own.entry(field).or_insert_with(|| value.clone());
        }
    }
    out
}

/// What a container gets: in the cloud requests and limits are the same, and the limit wins.
fn whole(resources: Option<&Value>) -> Map<String, Value> {
    let side = |side: &str| resources.and_then(|r| r.get(side)?.as_object()).cloned().unwrap_or_default();
    let mut all = side("requests");
    all.extend(side("limits"));
    all
}

/// Files of a volume that tell of a container's size.
fn files(volume: &mut Value, names: &BTreeMap<String, String>) {
    let projected = volume.pointer("/projected/sources").and_then(Value::as_array).map_or(0, Vec::len);
    let sources = (0..projected).map(|i| format!("/projected/sources/{i}/downwardAPI"));
    for place in std::iter::once("/downwardAPI".to_owned()).chain(sources) {
        let Some(source) = volume.pointer_mut(&place) else { continue };
        for item in list_mut(source, "items") {
            if let Some(reference) = item.get_mut("resourceFieldRef") {
                of_container(reference, names);
            }
        }
    }
}

fn of_container(reference: &mut Value, names: &BTreeMap<String, String>) {
    let new = reference.get("containerName").and_then(Value::as_str).and_then(|name| names.get(name));
    if let (Some(new), Some(fields)) = (new, reference.as_object_mut()) {
        fields.insert("containerName".to_owned(), new.as_str().into());
    }
}

fn rename(item: &mut Value, names: &BTreeMap<String, String>) {
    let new = item.get("name").and_then(Value::as_str).and_then(|name| names.get(name));
    if let (Some(new), Some(fields)) = (new, item.as_object_mut()) {
        fields.insert("name".to_owned(), new.as_str().into());
    }
}

fn size((index, container): (usize, &Value)) -> Result<Resources, Refused> {
    let resources = container.get("resources").and_then(|r| r.get("requests")?.as_object());
    let texts = resources.into_iter().flatten().map(|(name, amount)| {
        (name.as_str(), amount.as_str().map_or_else(|| amount.to_string(), str::to_owned))
    });
    let texts: Vec<(&str, String)> = texts.collect();
    let place = format!("spec.template.spec.containers[{index}].resources.requests");
    let sum = read_list(&place, texts.iter().map(|(name, text)| (*name, text.as_str())))
        .map_err(|bad| Refused::at(bad.field, bad.problem.to_string()))?;
    Ok(Resources { pods: 0, ..sum })
}

fn items<'v>(holder: &'v Value, field: &str) -> &'v [Value] {
    holder.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn list_mut<'v>(holder: &'v mut Value, field: &str) -> impl Iterator<Item = &'v mut Value> {
    holder.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten()
}
