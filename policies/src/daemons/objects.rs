//! The objects of its own namespace that a DaemonSet's containers read. Facts: the API's PodSpec.

use serde_json::Value;

use super::Daemon;

/// What kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
    /// A token of its service account.
    Token,
}

impl Kind {
    /// As Kubernetes spells it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Token => "service account token",
        }
    }
}

/// One object that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Keys that it must have.
    pub keys: Vec<String>,
    /// The containers start without it.
    pub optional: bool,
    /// Where it is named: `spec.template.spec.containers[0].envFrom[0].secretRef`.
    pub field: String,
}

/// Everything that a DaemonSet's containers read: volumes, then variables, then pull secrets.
pub fn objects(daemon: &Daemon) -> Vec<Object> {
    let mut found = Vec::new();
    for (i, volume) in list(&daemon.spec, "volumes").iter().enumerate() {
        let at = format!("volumes[{i}]");
        take(
            &mut found,
            volume,
            &at,
            &[("configMap", Kind::ConfigMap, "name"), ("secret", Kind::Secret, "secretName")],
        );
        for (j, source) in
            volume.get("projected").map(|p| list(p, "sources")).unwrap_or_default().iter().enumerate()
        {
            let kinds = [
                ("configMap", Kind::ConfigMap, "name"),
                ("secret", Kind::Secret, "name"),
                ("serviceAccountToken", Kind::Token, "path"),
            ];
            take(&mut found, source, &format!("{at}.projected.sources[{j}]"), &kinds);
        }
    }
    for (i, container) in list(&daemon.spec, "containers").iter().enumerate() {
        for (j, source) in list(container, "envFrom").iter().enumerate() {
            let kinds = [("configMapRef", Kind::ConfigMap, "name"), ("secretRef", Kind::Secret, "name")];
            take(&mut found, source, &format!("containers[{i}].envFrom[{j}]"), &kinds);
        }
        for (j, variable) in list(container, "env").iter().enumerate() {
            let kinds =
                [("configMapKeyRef", Kind::ConfigMap, "name"), ("secretKeyRef", Kind::Secret, "name")];
            if let Some(source) = variable.get("valueFrom") {
                take(&mut found, source, &format!("containers[{i}].env[{j}].valueFrom"), &kinds);
            }
        }
    }
    let pulls = list(&daemon.spec, "imagePullSecrets").iter().map(|secret| Object {
        kind: Kind::Secret,
        name: text(secret, "name"),
        keys: Vec::new(),
        // An image is pulled without it then, as on a real node.
        optional: true,
        field: "spec.template.spec.imagePullSecrets".to_owned(),
    });
    found.extend(pulls);
    found
}

fn take(found: &mut Vec<Object>, holder: &Value, at: &str, kinds: &[(&str, Kind, &str)]) {
    for (field, kind, name) in kinds {
        if let Some(source) = holder.get(field).filter(|source| !source.is_null()) {
            found.push(Object {
                kind: *kind,
                name: text(source, name),
                keys: std::iter::once(source).chain(list(source, "items")).filter_map(key).collect(),
                optional: source.get("optional").and_then(Value::as_bool) == Some(true),
                field: format!("spec.template.spec.{at}.{field}"),
            });
        }
    }
}

fn key(holder: &Value) -> Option<String> {
    holder.get("key").and_then(Value::as_str).map(str::to_owned)
}

fn text(holder: &Value, field: &str) -> String {
    holder.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'v>(holder: &'v Value, field: &str) -> &'v [Value] {
    holder.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
