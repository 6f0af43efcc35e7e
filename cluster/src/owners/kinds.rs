//! Which path an owner's kind is read at: the built-in workloads from a table, any other kind by discovery.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use kube::Client;
use serde::Deserialize;
use tokio::time::Instant;

use super::Wanted;
use crate::read::get;

/// How long discovery's answer is believed, the absence of a kind too.
const FRESH: Duration = Duration::from_secs(300);

/// Most group versions kept.
const MOST: usize = 256;

const BUILT_IN: [(&str, &str, &str); 7] = [
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("apps/v1", "DaemonSet", "daemonsets"),
    ("batch/v1", "Job", "jobs"),
    ("batch/v1", "CronJob", "cronjobs"),
    ("v1", "ReplicationController", "replicationcontrollers"),
];

#[derive(Clone, Debug, Default, Deserialize)]
struct Resources {
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resource {
    name: String,
    kind: String,
    namespaced: bool,
}

/// What discovery said, by group version.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    known: Mutex<HashMap<String, (Instant, Resources)>>,
}

impl Kinds {
    /// The path of an owner; none if its kind is not served, or is a Node (which owns static pods and says nothing).
    pub(super) async fn path(&self, client: &Client, wanted: &Wanted) -> Result<Option<String>, String> {
        let (version, kind) = (wanted.owner.api_version.as_str(), wanted.owner.kind.as_str());
        if (version, kind) == ("v1", "Node") {
            return Ok(None);
        }
        if let Some((.., plural)) = BUILT_IN.iter().find(|(v, k, _)| (*v, *k) == (version, kind)) {
            return Ok(Some(path(wanted, plural, true)));
        }
        let resources = self.resources(client, version).await?;
        let found = resources.resources.iter().find(|r| r.kind == kind && !r.name.contains('/'));
        Ok(found.map(|resource| path(wanted, &resource.name, resource.namespaced)))
    }

    async fn resources(&self, client: &Client, version: &str) -> Result<Resources, String> {
        let now = Instant::now();
        if let Some(found) = self.known(version, now) {
            return Ok(found);
        }
        let answer = get::<Resources>(client, &root(version), "application/json").await?;
        let resources = answer.unwrap_or_default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(version.to_owned(), (now, resources.clone()));
        Ok(resources)
    }

    fn known(&self, version: &str, now: Instant) -> Option<Resources> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (read, resources) = known.get(version)?;
        (now.saturating_duration_since(*read) < FRESH).then(|| resources.clone())
    }
}

/// Whether an owner is of a kind that the shipped RBAC lets us read.
pub(super) fn is_built_in(wanted: &Wanted) -> bool {
    BUILT_IN
        .iter()
        .any(|(v, k, _)| (*v, *k) == (wanted.owner.api_version.as_str(), wanted.owner.kind.as_str()))
}

fn root(version: &str) -> String {
    if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") }
}

fn path(wanted: &Wanted, plural: &str, namespaced: bool) -> String {
    let root = root(&wanted.owner.api_version);
    let name = &wanted.owner.name;
    match namespaced {
        true => format!("{root}/namespaces/{}/{plural}/{name}", wanted.namespace),
        false => format!("{root}/{plural}/{name}"),
    }
}
