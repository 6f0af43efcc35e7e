//! Volumes. Objects have no names at ECI: their files are sent with the pod, and do not change while it runs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::cloud::translate::json::{flag, list, text};
use crate::cloud::translate::{
    Kind, Notice, Problem, Rendered, Sources, content, downward_file, is_injected_token, items,
};

use super::{insert_list, renamed};

/// Most bytes of files that one container group takes, as they are sent.
const FILES_MAX: usize = 60 * 1024;

/// Every volume that ECI gets.
pub(super) fn translate(sources: &Sources<'_>, notices: &mut Vec<Notice>) -> Result<Vec<Value>, Problem> {
    let volumes = sources.pod.get("spec").map(|spec| list(spec, "volumes")).unwrap_or_default();
    let kept = volumes.iter().filter(|volume| !is_injected_token(volume));
    let mut files = Files { sources, notices, bytes: 0 };
    let translated = kept.map(|volume| files.volume(volume)).collect::<Result<Vec<_>, _>>()?;
    if files.bytes > FILES_MAX {
        return Err(Problem::Invalid(format!(
            "the files of its ConfigMaps, Secrets and downward volumes are {} bytes as they are sent, and ECI takes \
             {FILES_MAX} for a pod: mount fewer keys with items, or put them into the image or on NFS",
            files.bytes
        )));
    }
    Ok(translated)
}

struct Files<'a, 'n> {
    sources: &'a Sources<'a>,
    notices: &'n mut Vec<Notice>,
    bytes: usize,
}

impl Files<'_, '_> {
    fn volume(&mut self, volume: &Value) -> Result<Value, Problem> {
        let name = text(volume, "name").unwrap_or_default();
        let user = format!("volume {name}");
        if let Some(source) = volume.get("emptyDir") {
            let fields = renamed(source, &[("medium", "Medium"), ("sizeLimit", "SizeLimit")]);
            return Ok(json!({"Name": name, "Type": "EmptyDirVolume", "EmptyDirVolume": fields}));
        }
        if let Some(source) = volume.get("nfs") {
            let fields = renamed(source, &[("server", "Server"), ("path", "Path"), ("readOnly", "ReadOnly")]);
            return Ok(json!({"Name": name, "Type": "NFSVolume", "NFSVolume": fields}));
        }
        if let Some(source) = volume.get("flexVolume") {
            let mut fields = renamed(source, &[("driver", "Driver"), ("fsType", "FsType")]);
            if let Some(options) = source.get("options").filter(|options| options.is_object()) {
                fields.insert("Options".into(), options.to_string().into());
            }
            return Ok(json!({"Name": name, "Type": "FlexVolume", "FlexVolume": fields}));
        }
        let (files, mode) = if let Some(source) = volume.get("configMap") {
            (self.object(Kind::ConfigMap, source, "name", &user)?, source)
        } else if let Some(source) = volume.get("secret") {
            (self.object(Kind::Secret, source, "secretName", &user)?, source)
        } else if let Some(source) = volume.get("downwardAPI") {
            (self.downward(source, &user)?, source)
        } else if let Some(source) = volume.get("projected") {
            (self.projected(source, &user)?, source)
        } else {
            return Err(Problem::Invalid(format!(
                "{user}: ECI mounts configMap, secret, emptyDir, projected, downwardAPI, nfs and flexVolume only"
            )));
        };
        // A volume of files needs at least one of them.
        if files.is_empty() {
            return Ok(json!({"Name": name, "Type": "EmptyDirVolume"}));
        }
        let mut fields = renamed(mode, &[("defaultMode", "DefaultMode")]);
        insert_list(&mut fields, "ConfigFileToPath", files);
        Ok(json!({"Name": name, "Type": "ConfigFileVolume", "ConfigFileVolume": fields}))
    }

    /// The files of a ConfigMap or Secret; missing keys are as the kubelet treats them.
    fn object(&mut self, kind: Kind, source: &Value, named: &str, user: &str) -> Result<Vec<Value>, Problem> {
        let name = text(source, named).unwrap_or_default();
        let optional = flag(source, "optional");
        let object = self.sources.resolved.object(kind, name, optional, user, self.notices)?;
        let content = object.map(|object| content(kind, object)).unwrap_or_default();
        if list(source, "items").is_empty() {
            let keys = ["data", "binaryData"].iter().filter_map(|field| content.get(*field)?.as_object());
            let keys: Vec<String> = keys.flat_map(|map| map.keys().cloned()).collect();
            return keys.iter().map(|key| self.file(kind, &content, key, key, None)).collect();
        }
        let chosen = items(kind, source, &content, (name, user), self.notices)?;
        let file = |item: &Value| {
            let (key, path) = (text(item, "key").unwrap_or_default(), text(item, "path").unwrap_or_default());
            self.file(kind, &content, key, path, item.get("mode"))
        };
        chosen.iter().map(file).collect()
    }

    fn file(
        &mut self,
        kind: Kind,
        content: &Map<String, Value>,
        key: &str,
        path: &str,
        mode: Option<&Value>,
    ) -> Result<Value, Problem> {
        let get = |field: &str| content.get(field).and_then(|data| data.get(key)?.as_str());
        let encoded = match (kind, get("data"), get("binaryData")) {
            (Kind::ConfigMap, Some(text), _) => STANDARD.encode(text),
            (Kind::Secret, Some(base64), _) | (Kind::ConfigMap, None, Some(base64)) => base64.to_owned(),
            _ => String::new(),
        };
        Ok(self.sent(path, &encoded, mode))
    }

    fn sent(&mut self, path: &str, encoded: &str, mode: Option<&Value>) -> Value {
        self.bytes += encoded.len();
        let mut file = json!({"Path": path, "Content": encoded});
        if let Some(mode) = mode.filter(|mode| mode.is_number()) {
            file["Mode"] = mode.clone();
        }
        file
    }

    fn downward(&mut self, source: &Value, user: &str) -> Result<Vec<Value>, Problem> {
        let mut files = Vec::new();
        for item in list(source, "items") {
            let path = text(item, "path").unwrap_or_default();
            let Rendered::Text(text) = downward_file(item, self.sources, user)? else {
                return Err(Problem::Invalid(format!("{user}: {path} is known only while the pod runs")));
            };
            let file = self.sent(path, &STANDARD.encode(text), item.get("mode"));
            files.push(file);
        }
        Ok(files)
    }

    fn projected(&mut self, projected: &Value, user: &str) -> Result<Vec<Value>, Problem> {
        let mut files = Vec::new();
        for source in list(projected, "sources") {
            if let Some(config_map) = source.get("configMap") {
                files.extend(self.object(Kind::ConfigMap, config_map, "name", user)?);
            } else if let Some(secret) = source.get("secret") {
                files.extend(self.object(Kind::Secret, secret, "name", user)?);
            } else if let Some(downward) = source.get("downwardAPI") {
                files.extend(self.downward(downward, user)?);
            } else {
                return Err(Problem::Invalid(format!(
                    "{user}: ECI projects configMap, secret and downwardAPI only"
                )));
            }
        }
        Ok(files)
    }
}
