//! Which ConfigMaps, Secrets and claims a pod refers to, so that they can be fetched before the translation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::claims::Claims;
use super::json::{containers, list, text};
use super::problem::{Kind, Notice, Problem};
use super::volumes::is_injected_token;

/// Names of what has to be fetched from the pod's namespace.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cloud) struct References {
    pub(in crate::cloud) config_maps: BTreeSet<String>,
    pub(in crate::cloud) secrets: BTreeSet<String>,
    /// Only where the cloud can mount what is behind one.
    pub(in crate::cloud) claims: BTreeSet<String>,
}

/// What was fetched; `None` is "does not exist". Its Debug output shows names only.
#[derive(Clone, Default)]
pub(in crate::cloud) struct Resolved {
    pub(in crate::cloud) config_maps: BTreeMap<String, Option<Value>>,
    pub(in crate::cloud) secrets: BTreeMap<String, Option<Value>>,
    pub(in crate::cloud) services: Vec<Value>,
    pub(in crate::cloud) claims: Claims,
}

impl std::fmt::Debug for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolved")
            .field("config_maps", &self.config_maps.keys())
            .field("secrets", &self.secrets.keys())
            .finish_non_exhaustive()
    }
}

impl Resolved {
    /// The object, or `None` with a notice if it is missing and optional.
    pub(in crate::cloud) fn object(
        &self,
        kind: Kind,
        name: &str,
        optional: bool,
        user: &str,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<&Value>, Problem> {
        let map = match kind {
            Kind::ConfigMap => &self.config_maps,
            Kind::Secret => &self.secrets,
        };
        match map.get(name) {
            Some(Some(object)) => Ok(Some(object)),
            _ if optional => {
                notices.push(kind.not_found(true, name, user));
                Ok(None)
            }
            _ => Err(Problem::Missing(kind.not_found(false, name, user))),
        }
    }
}

/// Collects the references of a pod. `given` are pull secrets that the cloud itself has.
pub(in crate::cloud) fn references(pod: &Value, given: &[&str]) -> References {
    let mut found = References::default();
    for (_, container) in containers(pod) {
        for source in list(container, "envFrom") {
            found.add(source, "configMapRef", "secretRef", "name");
        }
        for source in list(container, "env").iter().filter_map(|variable| variable.get("valueFrom")) {
            found.add(source, "configMapKeyRef", "secretKeyRef", "name");
        }
    }
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    for volume in list(spec, "volumes").iter().filter(|volume| !is_injected_token(volume)) {
        found.add(volume, "configMap", "secret", "secretName");
        for source in volume.get("projected").map(|projected| list(projected, "sources")).unwrap_or_default()
        {
            found.add(source, "configMap", "secret", "name");
        }
    }
    let pull = list(spec, "imagePullSecrets").iter().filter_map(|secret| text(secret, "name"));
    found.secrets.extend(pull.filter(|name| !given.contains(name)).map(str::to_owned));
    found
}

impl References {
    fn add(&mut self, holder: &Value, config_map: &str, secret: &str, secret_name: &str) {
        self.config_maps.extend(holder.get(config_map).and_then(|r| text(r, "name")).map(str::to_owned));
        self.secrets.extend(holder.get(secret).and_then(|r| text(r, secret_name)).map(str::to_owned));
    }
}
