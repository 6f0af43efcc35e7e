//! Turns references in a pod (ConfigMaps, Secrets, fields, resources) into values: environment, arguments and files.
//! Reads the store, changes nothing.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::kind::Kind;
use super::plan::{
    Container, EnvSource, FileItem, FileSource, InlineFile, PodPlan, ResourceFieldRef, Volume,
};
use super::store::{Key, Store};
use crate::size::{cpu_milli, memory_bytes};

/// What a pod knows of itself only once it runs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) pod_ip: String,
    pub(crate) host_ip: String,
    pub(crate) node_name: String,
}

/// A file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeFile {
    /// Relative, without `..`.
    pub(crate) path: String,
    pub(crate) data: Vec<u8>,
    pub(crate) mode: u32,
}

/// The contents of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum VolumeContent {
    Empty,
    Files(Vec<VolumeFile>),
    /// The file system of this id, which others see too.
    Shared(String),
}

/// Looks things up for one pod.
pub(crate) struct Resolver<'a> {
    pub(crate) store: &'a Store,
    pub(crate) pod: &'a PodPlan,
    pub(crate) place: Place,
}

/// A container's process as it will be started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) env: Vec<(String, String)>,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
}

impl Resolver<'_> {
    /// Environment (`envFrom` first, then `env`, later names win) and `$(VAR)` in env, command and args.
    pub(crate) fn program(&self, container: &Container) -> Result<Program, String> {
        let mut env: Vec<(String, String)> = Vec::new();
        for source in &container.env_from {
            for (name, value) in self.env_from(source)? {
                set(&mut env, name, value);
            }
        }
        for variable in &container.env {
            let value = match (&variable.value, &variable.value_from) {
                (_, Some(source)) => self.env_source(source, container)?,
                (value, None) => Some(expand(value.as_deref().unwrap_or_default(), &env)),
            };
            if let Some(value) = value {
                set(&mut env, variable.name.clone(), value);
            }
        }
        let expanded = |words: &[String]| words.iter().map(|word| expand(word, &env)).collect();
        let (command, args) = (expanded(&container.command), expanded(&container.args));
        Ok(Program { env, command, args })
    }

    fn env_from(&self, source: &super::plan::EnvFrom) -> Result<Vec<(String, String)>, String> {
        let (kind, reference) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(reference), _) => (Kind::ConfigMap, reference),
            (None, Some(reference)) => (Kind::Secret, reference),
            (None, None) => return Ok(Vec::new()),
        };
        let Some(data) = self.data(kind, &reference.name, reference.optional)? else { return Ok(Vec::new()) };
        let named = |(key, value): (String, Vec<u8>)| {
            (format!("{}{key}", source.prefix), String::from_utf8_lossy(&value).into_owned())
        };
        Ok(data.into_iter().map(named).collect())
    }

    fn env_source(&self, source: &EnvSource, container: &Container) -> Result<Option<String>, String> {
        if let Some(field) = &source.field_ref {
            return self.field(&field.field_path).map(Some);
        }
        if let Some(resource) = &source.resource_field_ref {
            return self.resource(resource, container).map(Some);
        }
        let (kind, key) = match (&source.config_map_key_ref, &source.secret_key_ref) {
            (Some(key), _) => (Kind::ConfigMap, key),
            (None, Some(key)) => (Kind::Secret, key),
            (None, None) => return Ok(None),
        };
        let data = self.data(kind, &key.name, key.optional)?.unwrap_or_default();
        match data.get(&key.key) {
            Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
            None if key.optional => Ok(None),
            None => Err(format!(
                "couldn't find key {} in {} {}/{}",
                key.key,
                kind.name(),
                self.pod.namespace,
                key.name
            )),
        }
    }

    /// `fieldRef.fieldPath`.
    fn field(&self, path: &str) -> Result<String, String> {
        let subscript = |map: &BTreeMap<String, String>, prefix: &str| {
            let key = path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")?;
            Some(map.get(key).cloned().unwrap_or_default())
        };
        let service_account =
            || self.pod.spec.service_account_name.clone().unwrap_or_else(|| "default".to_owned());
        Ok(match path {
            "metadata.name" => self.pod.name.clone(),
            "metadata.namespace" => self.pod.namespace.clone(),
            "metadata.uid" => self.pod.uid.clone(),
            "metadata.labels" => lines(&self.pod.labels),
            "metadata.annotations" => lines(&self.pod.annotations),
            "spec.nodeName" => self.place.node_name.clone(),
            "spec.serviceAccountName" => service_account(),
            "status.hostIP" | "status.hostIPs" => self.place.host_ip.clone(),
            "status.podIP" | "status.podIPs" => self.place.pod_ip.clone(),
            _ => subscript(&self.pod.labels, "metadata.labels")
                .or_else(|| subscript(&self.pod.annotations, "metadata.annotations"))
                .ok_or_else(|| format!("unsupported fieldPath: {path}"))?,
        })
    }

    fn resource(&self, field: &ResourceFieldRef, own: &Container) -> Result<String, String> {
        let other = field.container_name.as_deref().and_then(|name| self.pod.container(name));
        let resources = &other.unwrap_or(own).resources;
        let (part, name) = field.resource.split_once('.').unwrap_or(("", &field.resource));
        let amounts = if part == "limits" { &resources.limits } else { &resources.requests };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let parse = if name == "cpu" { cpu_milli } else { memory_bytes };
        let amount = amounts.get(name).map_or(Some(0), |value| parse(&text(value)));
        let divisor = match field.divisor.as_ref().map(text) {
            Some(divisor) if divisor != "0" => parse(&divisor),
            _ => parse("1"),
        };
        match (amount, divisor) {
            (Some(amount), Some(divisor)) if divisor > 0 => Ok(amount.div_ceil(divisor).to_string()),
            _ => Err(format!("resourceFieldRef {} cannot be computed", field.resource)),
        }
    }

    /// Data of a ConfigMap (text and binary) or Secret. `None`: it does not exist and may.
    fn data(
        &self,
        kind: Kind,
        name: &str,
        optional: bool,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, String> {
        let Some(object) = self.store.get(kind, &Key::new(&self.pod.namespace, name)) else {
            return if optional {
                Ok(None)
            } else {
                Err(format!("{} {name:?} not found", kind.plural().trim_end_matches('s')))
            };
        };
        let value = object.value();
        let entries = |field: &str| value.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
        let decode = |v: &Value| STANDARD.decode(v.as_str().unwrap_or_default()).unwrap_or_default();
        let plain = |v: &Value| v.as_str().unwrap_or_default().as_bytes().to_vec();
        let mut data = BTreeMap::new();
        let text_is_base64 = kind == Kind::Secret;
        data.extend(
            entries("data")
                .iter()
                .map(|(k, v)| (k.clone(), if text_is_base64 { decode(v) } else { plain(v) })),
        );
        data.extend(entries("binaryData").iter().map(|(k, v)| (k.clone(), decode(v))));
        data.extend(entries("stringData").iter().map(|(k, v)| (k.clone(), plain(v))));
        Ok(Some(data))
    }

    /// The files of a volume.
    pub(crate) fn volume(&self, volume: &Volume) -> Result<VolumeContent, String> {
        let mut files = Vec::new();
        if let Some(source) = &volume.config_map {
            self.object_files(Kind::ConfigMap, &source.name, source, source.default_mode, &mut files)?;
        } else if let Some(source) = &volume.secret {
            self.object_files(Kind::Secret, &source.secret_name, source, source.default_mode, &mut files)?;
        } else if let Some(source) = &volume.downward_api {
            self.downward_files(source, source.default_mode, &mut files)?;
        } else if let Some(projected) = &volume.projected {
            for part in &projected.sources {
                let mode = projected.default_mode;
                if part.service_account_token.is_some() {
                    return Err("projected serviceAccountToken is not a volume source of CCI".to_owned());
                }
                if let Some(source) = &part.config_map {
                    self.object_files(Kind::ConfigMap, &source.name, source, mode, &mut files)?;
                }
                if let Some(source) = &part.secret {
                    self.object_files(Kind::Secret, &source.name, source, mode, &mut files)?;
                }
                if let Some(source) = &part.downward_api {
                    self.downward_files(source, mode, &mut files)?;
                }
            }
        } else if let Some(inline) = &volume.inline_files {
            for file in inline {
                files.push(inline_file(file)?);
            }
        } else if let Some(source) = &volume.persistent_volume_claim {
            return self.files_of(&source.claim_name).map(VolumeContent::Shared);
        } else if volume.empty_dir.is_some() {
            return Ok(VolumeContent::Empty);
        } else {
            return Err(format!("volume {:?} has no source that CCI supports", volume.name));
        }
        Ok(VolumeContent::Files(files))
    }

    /// The file system behind a claim.
    fn files_of(&self, claim: &str) -> Result<String, String> {
        let found = self.store.get(Kind::PersistentVolumeClaim, &Key::new(&self.pod.namespace, claim));
        let found = found.ok_or_else(|| format!("persistentvolumeclaim {claim:?} not found"))?.value();
        let text =
            |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        if text(&found, "/status/phase").as_deref() != Some("Bound") {
            return Err(format!("persistentvolumeclaim {claim:?} is not bound"));
        }
        let id = text(&found, "/metadata/annotations/volumeID").or_else(|| {
            let volume = text(&found, "/spec/volumeName")?;
            let volume = self.store.get(Kind::PersistentVolume, &Key::new("", &volume))?.value();
            text(&volume, "/spec/csi/volumeHandle")
        });
        match id {
            Some(id) if !self.store.files_deleted(&id) => Ok(id),
            _ => Err(format!("the file system of persistentvolumeclaim {claim:?} does not exist")),
        }
    }

    fn object_files(
        &self,
        kind: Kind,
        name: &str,
        source: &FileSource,
        mode: Option<u32>,
        files: &mut Vec<VolumeFile>,
    ) -> Result<(), String> {
        let Some(data) = self.data(kind, name, source.optional)? else { return Ok(()) };
        let mode = mode.unwrap_or(0o644);
        let Some(items) = &source.items else {
            files.extend(data.into_iter().map(|(path, data)| VolumeFile { path, data, mode }));
            return Ok(());
        };
        for item in items {
            let Some(bytes) = data.get(&item.key) else {
                if source.optional {
                    continue;
                }
                return Err(format!("{} {name:?} has no key {:?}", kind.name(), item.key));
            };
            files.push(VolumeFile {
                path: safe(&item.path)?,
                data: bytes.clone(),
                mode: item.mode.unwrap_or(mode),
            });
        }
        Ok(())
    }

    fn downward_files(
        &self,
        source: &FileSource,
        mode: Option<u32>,
        files: &mut Vec<VolumeFile>,
    ) -> Result<(), String> {
        for item in source.items.iter().flatten() {
            let data = self.downward(item)?.into_bytes();
            files.push(VolumeFile {
                path: safe(&item.path)?,
                data,
                mode: item.mode.or(mode).unwrap_or(0o644),
            });
        }
        Ok(())
    }

    fn downward(&self, item: &FileItem) -> Result<String, String> {
        match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => self.field(&field.field_path),
            (None, Some(resource)) => self.resource(resource, &Container::default()),
            (None, None) => Err(format!("downwardAPI item {:?} names no field", item.path)),
        }
    }
}

fn inline_file(file: &InlineFile) -> Result<VolumeFile, String> {
    let data = STANDARD.decode(&file.content).map_err(|_| format!("file {:?} is not base64", file.path))?;
    Ok(VolumeFile { path: safe(&file.path)?, data, mode: file.mode.unwrap_or(0o644) })
}

/// `key="value"` lines, as the kubelet writes maps.
fn lines(map: &BTreeMap<String, String>) -> String {
    map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

fn safe(path: &str) -> Result<String, String> {
    let bad = path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..");
    if bad { Err(format!("volume path {path:?} is not relative")) } else { Ok(path.to_owned()) }
}

fn set(env: &mut Vec<(String, String)>, name: String, value: String) {
    match env.iter_mut().find(|(known, _)| *known == name) {
        Some(entry) => entry.1 = value,
        None => env.push((name, value)),
    }
}

/// `$(NAME)` becomes its value, `$$` a dollar; unknown names stay as written (Kubernetes' expansion rule).
fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        if let Some(tail) = tail.strip_prefix("$$") {
            out.push('$');
            rest = tail;
            continue;
        }
        let named = tail.strip_prefix("$(").and_then(|inner| inner.split_once(')'));
        match named {
            Some((name, after)) => {
                match env.iter().find(|(known, _)| known == name) {
                    Some((_, value)) => out.push_str(value),
                    None => out.push_str(&format!("$({name})")),
                }
                rest = after;
            }
            None => {
                out.push('$');
                rest = tail.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    fn with(pod: Value, check: impl FnOnce(&Resolver<'_>)) {
        let store = Store::new(10);
        let now = Timestamp::UNIX_EPOCH;
        store.create(
            Kind::ConfigMap,
            &Key::new("ns", "c"),
            json!({"data": {"a": "1", "b": "2"}, "binaryData": {"z": "AQI="}}),
            now,
        );
        store.create(Kind::Secret, &Key::new("ns", "s"), json!({"data": {"p": "cHc="}}), now);
        let pod = PodPlan::read(&pod).expect("a pod");
        let place = Place { pod_ip: "10.0.0.9".into(), host_ip: "10.0.0.1".into(), node_name: "n".into() };
        check(&Resolver { store: &store, pod: &pod, place });
    }

    fn pod(container: Value) -> Value {
        json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "web"}}, "spec": {"containers": [container]}})
    }

    #[test]
    fn environments_resolve_in_order() {
        let container = json!({
            "name": "c", "command": ["$(IP)", "$$(IP)", "$(NO)"],
            "resources": {"limits": {"cpu": "1500m", "memory": "2Gi"}},
            "envFrom": [{"prefix": "CM_", "configMapRef": {"name": "c"}}, {"secretRef": {"name": "gone", "optional": true}}],
            "env": [
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "URL", "value": "http://$(IP):80"},
                {"name": "PW", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
                {"name": "OPT", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "none", "optional": true}}},
            ],
        });
        with(pod(container), |resolver| {
            let program = resolver.program(&resolver.pod.spec.containers[0]).expect("resolved");
            let env: BTreeMap<_, _> = program.env.into_iter().collect();
            let get = |name: &str| env.get(name).map(String::as_str);
            assert_eq!(get("CM_a"), Some("1"));
            assert_eq!(get("URL"), Some("http://10.0.0.9:80"));
            assert_eq!(get("PW"), Some("pw"));
            assert_eq!(get("APP"), Some("web"));
            assert_eq!((get("CPU"), get("MEM"), get("OPT")), (Some("2"), Some("2048"), None));
            assert_eq!(program.command, ["10.0.0.9", "$(IP)", "$(NO)"]);
        });
    }

    #[test]
    fn a_missing_reference_is_named() {
        for (env, text) in [
            (json!({"configMapKeyRef": {"name": "none", "key": "a"}}), "configmap \"none\" not found"),
            (
                json!({"configMapKeyRef": {"name": "c", "key": "none"}}),
                "couldn't find key none in ConfigMap ns/c",
            ),
            (json!({"fieldRef": {"fieldPath": "spec.what"}}), "unsupported fieldPath"),
        ] {
            with(pod(json!({"name": "c", "env": [{"name": "X", "valueFrom": env}]})), |resolver| {
                let error = resolver.program(&resolver.pod.spec.containers[0]).expect_err(text);
                assert!(error.contains(text), "{error}");
            });
        }
    }

    #[test]
    fn volumes_become_files() {
        let volume = |v: Value| serde_json::from_value::<Volume>(v).expect("a volume");
        with(pod(json!({"name": "c"})), |resolver| {
            let all = resolver.volume(&volume(json!({"name": "v", "configMap": {"name": "c"}})));
            let Ok(VolumeContent::Files(files)) = all else { panic!("{all:?}") };
            assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a", "b", "z"]);
            let one = volume(
                json!({"name": "v", "secret": {"secretName": "s", "defaultMode": 256, "items": [{"key": "p", "path": "d/pw"}]}}),
            );
            let file = VolumeFile { path: "d/pw".into(), data: b"pw".to_vec(), mode: 256 };
            assert_eq!(resolver.volume(&one), Ok(VolumeContent::Files(vec![file])));
            let escape = volume(
                json!({"name": "v", "configMap": {"name": "c", "items": [{"key": "a", "path": "../x"}]}}),
            );
            assert!(resolver.volume(&escape).is_err());
            assert_eq!(
                resolver.volume(&volume(json!({"name": "v", "emptyDir": {}}))),
                Ok(VolumeContent::Empty)
            );
            assert!(resolver.volume(&volume(json!({"name": "v", "hostPath": {"path": "/"}}))).is_err());
        });
    }
}
