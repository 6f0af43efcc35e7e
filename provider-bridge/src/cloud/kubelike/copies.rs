//! Objects that go to a Kubernetes-style cloud with one instance: copied ConfigMaps and Secrets, rendered downward files, secret variables.
//!
//! Pure. Every instance has its own copies, tagged with its pod's UID and named after the instance and their content,
//! so that names of different namespaces cannot collide and a copy that exists already is the right one.

use std::collections::BTreeMap;

use policies::keys::tag;
use serde_json::{Map, Value, json};

use super::forge::Context;
use super::names::short_hash;

/// One object to create beside the instance.
#[derive(Clone, PartialEq)]
pub(in crate::cloud) struct Copied {
    /// `configmaps` or `secrets`.
    pub(in crate::cloud) plural: &'static str,
    /// Name in the instance's namespace.
    pub(in crate::cloud) name: String,
    /// The object; holds secrets.
    pub(in crate::cloud) object: Value,
}

impl std::fmt::Debug for Copied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.plural, self.name)
    }
}

/// Collects the copies of one instance; asking twice for the same content gives the same copy.
pub(in crate::cloud) struct Copies<'a> {
    context: &'a Context<'a>,
    found: BTreeMap<(&'static str, String), Value>,
}

impl<'a> Copies<'a> {
    pub(in crate::cloud) const fn new(context: &'a Context<'a>) -> Self {
        Self { context, found: BTreeMap::new() }
    }

    /// A ConfigMap with these `data` and `binaryData` fields; its name there.
    pub(in crate::cloud) fn config_map(&mut self, label: &str, content: Map<String, Value>) -> String {
        self.add("configmaps", "ConfigMap", label, content)
    }

    /// A Secret with these `data` (base64) and `type` fields; its name there.
    pub(in crate::cloud) fn secret(&mut self, label: &str, content: Map<String, Value>) -> String {
        self.add("secrets", "Secret", label, content)
    }

    fn add(&mut self, plural: &'static str, kind: &str, label: &str, content: Map<String, Value>) -> String {
        let mut object = Value::Object(content);
        let name = format!("{}-{}", self.context.instance, short_hash(&format!("{plural}/{label}/{object}")));
        object["apiVersion"] = "v1".into();
        object["kind"] = kind.into();
        object["metadata"] = json!({
            "name": name,
            "namespace": self.context.namespace,
            "labels": self.context.tags(),
            "annotations": {
                tag::POD_NAMESPACE: self.context.pod.namespace,
                tag::POD_NAME: self.context.pod.name,
                "burst.io/source": label,
            },
        });
        self.found.insert((plural, name.clone()), object);
        name
    }

    /// `plural/name` of every copy, for the instance's annotation.
    pub(in crate::cloud) fn index(&self) -> String {
        self.found.keys().map(|(plural, name)| format!("{plural}/{name}")).collect::<Vec<_>>().join(",")
    }

    pub(in crate::cloud) fn into_list(self) -> Vec<Copied> {
        self.found.into_iter().map(|((plural, name), object)| Copied { plural, name, object }).collect()
    }
}
