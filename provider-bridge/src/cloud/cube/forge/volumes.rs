//! Volumes. Objects have no names at Cube: their files stand in the pod itself, and do not change while it runs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::cloud::cube::disks;
use crate::cloud::translate::json::{flag, list, text};
use crate::cloud::translate::{Claims, Kind, Notice, Problem, Sources, content, is_injected_token, items};

/// Every volume that Cube gets.
pub(super) fn translate(
    sources: &Sources<'_>,
    claims: &Claims,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Value>, Problem> {
    let volumes = sources.pod.get("spec").map(|spec| list(spec, "volumes")).unwrap_or_default();
    let kept = volumes.iter().filter(|volume| !is_injected_token(volume));
    kept.map(|own| volume(own, sources, claims, notices)).collect()
}

fn volume(
    volume: &Value,
    sources: &Sources<'_>,
    claims: &Claims,
    notices: &mut Vec<Notice>,
) -> Result<Value, Problem> {
    let name = text(volume, "name").unwrap_or_default();
    let user = format!("volume {name}");
    if let Some(source) = volume.get("nfs") {
        let address =
            format!("{}:{}", text(source, "server").unwrap_or_default(), text(source, "path").unwrap_or("/"));
        let option = if flag(source, "readOnly") { "vers=4.0,ro" } else { "vers=4.0" };
        return Ok(json!({"name": name, "nfs": {"address": address, "mountOption": option}}));
    }
    if let Some(source) = volume.get("persistentVolumeClaim") {
        return disks::volume(name, source, claims, notices);
    }
    let (kind, source, named) = if let Some(source) = volume.get("configMap") {
        (Kind::ConfigMap, source, "name")
    } else if let Some(source) = volume.get("secret") {
        (Kind::Secret, source, "secretName")
    } else if volume.get("emptyDir").is_some() {
        return Ok(json!({"name": name, "emptyDir": {}}));
    } else {
        return Err(Problem::Invalid(format!(
            "{user}: Cube mounts configMap, secret, emptyDir, nfs and UDisk volumes only"
        )));
    };
    let files = files(kind, (source, named), sources, &user, notices)?;
    // `name` alone could be taken for a reference to another document; binary files are no texts.
    let plain: Option<Map<String, Value>> = files
        .iter()
        .map(|(path, file)| match file {
            File::Text(text) if kind == Kind::ConfigMap && path != "name" => {
                Some((path.clone(), text.as_str().into()))
            }
            _ => None,
        })
        .collect();
    if let Some(plain) = plain.filter(|_| kind == Kind::ConfigMap) {
        return Ok(json!({"name": name, "configMap": plain}));
    }
    let encoded: Map<String, Value> =
        files.into_iter().map(|(path, file)| (path, file.base64().into())).collect();
    Ok(json!({"name": name, "secret": encoded}))
}

/// The content of a file.
enum File {
    Text(String),
    Base64(String),
}

impl File {
    fn base64(self) -> String {
        match self {
            Self::Text(text) => STANDARD.encode(text),
            Self::Base64(encoded) => encoded,
        }
    }
}

/// The files of a ConfigMap or Secret by their paths; missing keys are as the kubelet treats them.
fn files(
    kind: Kind,
    (source, named): (&Value, &str),
    sources: &Sources<'_>,
    user: &str,
    notices: &mut Vec<Notice>,
) -> Result<Vec<(String, File)>, Problem> {
    let name = text(source, named).unwrap_or_default();
    let object = sources.resolved.object(kind, name, flag(source, "optional"), user, notices)?;
    let content = object.map(|object| content(kind, object)).unwrap_or_default();
    let chosen: Vec<(String, String)> = if list(source, "items").is_empty() {
        let maps = ["data", "binaryData"].iter().filter_map(|field| content.get(*field)?.as_object());
        maps.flat_map(|map| map.keys().map(|key| (key.clone(), key.clone()))).collect()
    } else {
        let items = items(kind, source, &content, (name, user), notices)?;
        let pair = |item: &Value| {
            let own = |field: &str| text(item, field).unwrap_or_default().to_owned();
            (own("key"), own("path"))
        };
        items.iter().map(pair).collect()
    };
    let mut out = Vec::new();
    for (key, path) in chosen {
        if path.contains('/') {
            return Err(Problem::Invalid(format!(
                "{user}: Cube takes files without folders, and {path:?} has one: mount it as a volume of its own"
            )));
        }
        let get =
            |field: &str| content.get(field).and_then(|data| data.get(&key)?.as_str()).map(str::to_owned);
        let file = match (kind, get("data"), get("binaryData")) {
            (Kind::ConfigMap, Some(text), _) => File::Text(text),
            (Kind::Secret, Some(base64), _) | (Kind::ConfigMap, None, Some(base64)) => File::Base64(base64),
            _ => File::Text(String::new()),
        };
        out.push((path, file));
    }
    Ok(out)
}
