//! Volumes: what is copied, what is rendered, what is dropped.
//!
//! Pure. Objects are copied into the CCI namespace and their names rewritten, `items` and modes kept; downward files are
//! rendered from the local pod, because CCI would show its own. The service account token that the API server adds to
//! every pod is left out. Refusals of volume kinds are in `policies::support`.

use serde_json::{Map, Value, json};

use super::copies::Copies;
use super::env::Sources;
use super::fields::{self, Field};
use super::json::{flag, list, only, pairs, text};
use super::problem::{Kind, Notice, Problem};

/// Name prefix of the token volume that the ServiceAccount admission adds.
const TOKEN_VOLUME: &str = "kube-api-access-";
/// What comes past the support matrix all the same.
const NO_OTHER: &str = "CCI mounts configMap, secret, emptyDir, projected and downwardAPI volumes only";

/// Whether a volume is the token volume that the API server adds.
pub(super) fn is_injected_token(volume: &Value) -> bool {
    let sources = volume.get("projected").map(|projected| list(projected, "sources")).unwrap_or_default();
    text(volume, "name").is_some_and(|name| name.starts_with(TOKEN_VOLUME))
        && sources.iter().any(|source| source.get("serviceAccountToken").is_some())
}

/// Names of the volumes that are left out.
pub(super) fn dropped(pod: &Value) -> Vec<&str> {
    let volumes = pod.get("spec").map(|spec| list(spec, "volumes")).unwrap_or_default();
    volumes
        .iter()
        .filter(|volume| is_injected_token(volume))
        .filter_map(|volume| text(volume, "name"))
        .collect()
}

/// Translates the volumes of one pod.
pub(super) struct Volumes<'a, 'c> {
    pub(super) sources: &'a Sources<'a>,
    pub(super) copies: &'a mut Copies<'c>,
    pub(super) notices: &'a mut Vec<Notice>,
}

impl Volumes<'_, '_> {
    /// Every volume that CCI gets.
    pub(super) fn translate(&mut self) -> Result<Vec<Value>, Problem> {
        let volumes = self.sources.pod.get("spec").map(|spec| list(spec, "volumes")).unwrap_or_default();
        volumes.iter().filter(|volume| !is_injected_token(volume)).map(|volume| self.volume(volume)).collect()
    }

    fn volume(&mut self, volume: &Value) -> Result<Value, Problem> {
        let name = text(volume, "name").unwrap_or_default();
        let user = format!("volume {name}");
        let mut out = json!({"name": name});
        if let Some(source) = volume.get("configMap") {
            out["configMap"] = self.object(Kind::ConfigMap, source, ("name", "name"), &user)?;
        } else if let Some(source) = volume.get("secret") {
            out["secret"] = self.object(Kind::Secret, source, ("secretName", "secretName"), &user)?;
        } else if let Some(source) = volume.get("downwardAPI") {
            out["configMap"] = self.downward(source, &user)?;
        } else if let Some(source) = volume.get("projected") {
            out["projected"] = self.projected(source, &user)?;
        } else if let Some(source) = volume.get("emptyDir") {
            out["emptyDir"] = source.clone();
        } else {
            return Err(Problem::Invalid(format!("{user}: {NO_OTHER}")));
        }
        Ok(out)
    }

    /// A ConfigMap or Secret source under its copied name; missing keys are as the kubelet treats them.
    fn object(
        &mut self,
        kind: Kind,
        source: &Value,
        (read, written): (&str, &str),
        user: &str,
    ) -> Result<Value, Problem> {
        let name = text(source, read).unwrap_or_default();
        let optional = flag(source, "optional");
        let object = self.sources.resolved.object(kind, name, optional, user, self.notices)?;
        let mut content = object.map(|object| content(kind, object)).unwrap_or_default();
        let mut out = only(source, &["defaultMode"]);
        if !list(source, "items").is_empty() {
            let items = self.items(kind, source, &content, name, user)?;
            // Only what is mounted is copied. An empty list would mean every key, so it is not sent.
            keep_keys(&mut content, &items);
            if !items.is_empty() {
                out.insert("items".into(), Value::Array(items));
            }
        }
        let copy = match kind {
            Kind::ConfigMap => self.copies.config_map(name, content),
            Kind::Secret => self.copies.secret(name, content),
        };
        out.insert(written.into(), copy.into());
        Ok(Value::Object(out))
    }

    /// The items whose keys exist; a missing mandatory one is a problem.
    fn items(
        &mut self,
        kind: Kind,
        source: &Value,
        content: &Map<String, Value>,
        name: &str,
        user: &str,
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
                self.notices.push(kind.key_not_found(true, name, key, user));
            } else {
                return Err(Problem::Missing(kind.key_not_found(false, name, key, user)));
            }
        }
        Ok(kept)
    }

    /// A downward source as a ConfigMap source with the files rendered.
    fn downward(&mut self, source: &Value, user: &str) -> Result<Value, Problem> {
        let (mut data, mut items) = (Map::new(), Vec::new());
        for (index, item) in list(source, "items").iter().enumerate() {
            let key = format!("file-{index}");
            data.insert(key.clone(), self.downward_file(item, user)?.into());
            let mut out = only(item, &["path", "mode"]);
            out.insert("key".into(), key.into());
            items.push(Value::Object(out));
        }
        let mut content = Map::new();
        content.insert("data".into(), Value::Object(data));
        let name = self.copies.config_map("downwardAPI", content);
        let mut out = only(source, &["defaultMode"]);
        out.insert("name".into(), name.into());
        out.insert("items".into(), Value::Array(items));
        Ok(Value::Object(out))
    }

    fn downward_file(&self, item: &Value, user: &str) -> Result<String, Problem> {
        let Sources { pod, context, shape, .. } = self.sources;
        if let Some(reference) = item.get("resourceFieldRef") {
            return fields::resource(pod, shape, "", reference);
        }
        let path =
            item.get("fieldRef").and_then(|reference| text(reference, "fieldPath")).unwrap_or_default();
        match fields::field(pod, context.node, path)? {
            Field::Text(text) => Ok(text),
            Field::Late => Err(Problem::Invalid(format!("{user}: {path} cannot be a file, only a variable"))),
        }
    }

    fn projected(&mut self, projected: &Value, user: &str) -> Result<Value, Problem> {
        let mut sources = Vec::new();
        for source in list(projected, "sources") {
            if let Some(config_map) = source.get("configMap") {
                sources.push(
                    json!({"configMap": self.object(Kind::ConfigMap, config_map, ("name", "name"), user)?}),
                );
            } else if let Some(secret) = source.get("secret") {
                sources.push(json!({"secret": self.object(Kind::Secret, secret, ("name", "name"), user)?}));
            } else if let Some(downward) = source.get("downwardAPI") {
                sources.push(json!({"configMap": self.downward(downward, user)?}));
            } else {
                return Err(Problem::Invalid(format!(
                    "{user}: CCI projects configMap, secret and downwardAPI only"
                )));
            }
        }
        let mut out = only(projected, &["defaultMode"]);
        out.insert("sources".into(), Value::Array(sources));
        Ok(Value::Object(out))
    }
}

/// Leaves only the keys that `items` name.
fn keep_keys(content: &mut Map<String, Value>, items: &[Value]) {
    for field in ["data", "binaryData"] {
        if let Some(data) = content.get_mut(field).and_then(Value::as_object_mut) {
            data.retain(|key, _| items.iter().any(|item| text(item, "key") == Some(key)));
        }
    }
}

/// What of an object is copied. The type of a token Secret is not: it would ask CCI for a ServiceAccount.
pub(super) fn content(kind: Kind, object: &Value) -> Map<String, Value> {
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

/// The mounts of a container: without those of dropped volumes, with `subPathExpr` expanded.
pub(super) fn mounts(
    container: &Value,
    dropped: &[&str],
    expand: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Value>, Problem> {
    let mounts = list(container, "volumeMounts").iter();
    let kept = mounts.filter(|mount| text(mount, "name").is_none_or(|name| !dropped.contains(&name)));
    kept.map(|mount| {
        let mut out = only(mount, &["name", "mountPath", "readOnly", "subPath"]);
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

/// `pairs` of vendor annotations that CCI reads on a pod; what CCI or other add-ons write is not passed on.
pub(super) fn vendor_annotations(metadata: &Value) -> impl Iterator<Item = (&str, &str)> {
    const DOMAINS: [&str; 3] = ["cci.io", "yangtse.io", "openvessel.io"];
    const WRITTEN_BY_OTHERS: [&str; 6] = [
        "resource.cci.io/size",
        "virtual-kubelet.cci.io/",
        "bursting.cci.io/",
        "scheduling.cci.io/",
        "tenant.cci.io/",
        "coordinator.cci.io/",
    ];
    pairs(metadata, "annotations").filter(|(key, _)| {
        let domain = key.split('/').next().unwrap_or_default();
        let known = DOMAINS
            .iter()
            .any(|d| domain.strip_suffix(d).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
        known && !WRITTEN_BY_OTHERS.iter().any(|other| key.starts_with(other))
    })
}
