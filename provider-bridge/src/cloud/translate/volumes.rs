//! Volumes made of objects: which keys they show, what downward files say, which mounts are left.
//!
//! Pure. The service account token that the API server adds to every pod is left out; what a cloud does with the contents
//! is the provider's business.

use serde_json::{Map, Value};

use super::env::Sources;
use super::fields::{self, Field};
use super::json::{flag, list, only, text};
use super::problem::{Kind, Notice, Problem};

/// Name prefix of the token volume that the ServiceAccount admission adds.
const TOKEN_VOLUME: &str = "kube-api-access-";
/// Whether a volume is the token volume that the API server adds.
pub(in crate::cloud) fn is_injected_token(volume: &Value) -> bool {
    let sources = volume.get("projected").map(|projected| list(projected, "sources")).unwrap_or_default();
    text(volume, "name").is_some_and(|name| name.starts_with(TOKEN_VOLUME))
        && sources.iter().any(|source| source.get("serviceAccountToken").is_some())
}

/// Names of the volumes that are left out.
pub(in crate::cloud) fn dropped(pod: &Value) -> Vec<&str> {
    let volumes = pod.get("spec").map(|spec| list(spec, "volumes")).unwrap_or_default();
    volumes
        .iter()
        .filter(|volume| is_injected_token(volume))
        .filter_map(|volume| text(volume, "name"))
        .collect()
}

/// The items whose keys exist; a missing mandatory one is a problem.
pub(in crate::cloud) fn items(
    kind: Kind,
    source: &Value,
    content: &Map<String, Value>,
    (name, user): (&str, &str),
    notices: &mut Vec<Notice>,
) -> Result<Vec<Value>, Problem> {
    let has = |key: &str| {
        ["data", "binaryData"].iter().any(|f| content.get(*f).is_some_and(|d| d.get(key).is_some()))
    };
    let optional = flag(source, "optional");
    let mut kept = Vec::new();
    for item in list(source, "items") {
        let key = text(item, "key").unwrap_or_default();
        if has(key) {
            kept.push(item.clone());
        } else if optional {
            notices.push(kind.key_not_found(true, name, key, user));
        } else {
            return Err(Problem::Missing(kind.key_not_found(false, name, key, user)));
        }
    }
    Ok(kept)
}

/// What a downward file says.
pub(in crate::cloud) enum Rendered {
    /// This.
    Text(String),
    /// A size that only the cloud knows.
    Late,
}

/// One file of a downward source.
pub(in crate::cloud) fn downward_file(
    item: &Value,
    sources: &Sources<'_>,
    user: &str,
) -> Result<Rendered, Problem> {
    if let Some(reference) = item.get("resourceFieldRef") {
        return Ok(match sources.sizes {
            Some(sizes) => Rendered::Text(fields::resource(sources.pod, sizes, "", reference)?),
            None => Rendered::Late,
        });
    }
    let path = item.get("fieldRef").and_then(|reference| text(reference, "fieldPath")).unwrap_or_default();
    match fields::field(sources.pod, sources.node, path)? {
        Field::Text(text) => Ok(Rendered::Text(text)),
        Field::Late => Err(Problem::Invalid(format!("{user}: {path} cannot be a file, only a variable"))),
    }
}

/// Leaves only the keys that `items` name.
pub(in crate::cloud) fn keep_keys(content: &mut Map<String, Value>, items: &[Value]) {
    for field in ["data", "binaryData"] {
        if let Some(data) = content.get_mut(field).and_then(Value::as_object_mut) {
            data.retain(|key, _| items.iter().any(|item| text(item, "key") == Some(key)));
        }
    }
}

/// What of an object the cloud gets. The type of a token Secret is not: it would ask for a ServiceAccount there.
pub(in crate::cloud) fn content(kind: Kind, object: &Value) -> Map<String, Value> {
    match kind {
        Kind::ConfigMap => only(object, &["data", "binaryData"]),
        Kind::Secret => {
            let mut content = only(object, &["data"]);
            let kept = text(object, "type").filter(|kind| kind.starts_with("kubernetes.io/dockerc"));
            content.insert("type".into(), kept.unwrap_or("Opaque").into());
            content
        }
    }
}

/// The mounts of a container: these fields, without those of dropped volumes, with `subPathExpr` expanded.
pub(in crate::cloud) fn mounts(
    container: &Value,
    fields: &[&str],
    dropped: &[&str],
    expand: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Value>, Problem> {
    let mounts = list(container, "volumeMounts").iter();
    let kept = mounts.filter(|mount| text(mount, "name").is_none_or(|name| !dropped.contains(&name)));
    kept.map(|mount| {
        let mut out = only(mount, fields);
        if let Some(expression) = text(mount, "subPathExpr").filter(|expression| !expression.is_empty()) {
            let path = expand(expression).ok_or_else(|| {
                Problem::Invalid(format!(
                    "subPathExpr {expression:?} refers to a value that only the cloud knows"
                ))
            })?;
            out.insert("subPath".into(), path.into());
        }
        Ok(Value::Object(out))
    })
    .collect()
}
