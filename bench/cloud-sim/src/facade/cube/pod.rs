//! The `Pod` parameter: base64 of YAML in Cube's dialect, checked and turned into the pod that the core runs. Pure.
//!
//! Facts: the vendor's page on the pod format. Volumes carry their contents, registry secrets are inline objects, image
//! names are complete, and nothing is rounded: a size is in the table or it is refused.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::error::CubeError;
use crate::size::{Size, cpu_milli, memory_bytes};

/// The parameter's largest size.
const PARAMETER_MAX: usize = 16 * 1024;
/// Fields that the format page, or another page of the vendor, names.
const CONTAINER_FIELDS: [&str; 11] = [
    "name",
    "image",
    "command",
    "args",
    "env",
    "resources",
    "volumeMounts",
    "workingDir",
    "ports",
    "livenessProbe",
    "readinessProbe",
];
const SPEC_FIELDS: [&str; 10] = [
    "containers",
    "initContainers",
    "hostAliases",
    "volumes",
    "imagePullSecrets",
    "restartPolicy",
    "dnsConfig",
    "dnsPolicy",
    "hostname",
    "terminationGracePeriodSeconds",
];
/// Cores and the GiB halves that the console offers; with whole cores the API takes 1:1, 1:2 and 1:4.
const HALF_CORE: [u64; 3] = [1, 2, 4];
const CORES_MAX: u64 = 32;

/// A checked pod.
#[derive(Debug)]
pub(super) struct Checked {
    /// As it was sent.
    pub(super) given: Value,
    /// As the core runs it.
    pub(super) spec: Value,
    pub(super) size: Size,
    /// Fields that no page of the vendor names.
    pub(super) unknown: BTreeSet<String>,
}

fn wrong(why: impl AsRef<str>) -> CubeError {
    CubeError::parameter("Pod", why.as_ref())
}

/// Reads and checks the parameter.
pub(super) fn read(parameter: &str, any_size: bool) -> Result<Checked, CubeError> {
    if parameter.len() > PARAMETER_MAX {
        return Err(wrong("it is larger than 16 KB"));
    }
    let bytes = STANDARD.decode(parameter.trim()).map_err(|_| wrong("it is not base64"))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text).map_err(|e| wrong(format!("it is not YAML: {e}")))?;
    let kind = |document: &Value| document.get("kind").and_then(Value::as_str).unwrap_or("Pod").to_owned();
    let given = documents.iter().find(|document| kind(document) == "Pod").cloned();
    let given = given.ok_or_else(|| wrong("there is no Pod in it"))?;
    let maps: BTreeMap<String, Value> = (documents.iter().filter(|document| kind(document) == "ConfigMap"))
        .filter_map(|map| {
            Some((map.pointer("/metadata/name")?.as_str()?.to_owned(), map.get("data")?.clone()))
        })
        .collect();
    let spec = given.get("spec").and_then(Value::as_object).ok_or_else(|| wrong("spec is missing"))?;
    let mut unknown: BTreeSet<String> = spec
        .keys()
        .filter(|field| !SPEC_FIELDS.contains(&field.as_str()))
        .map(|field| format!("spec.{field}"))
        .collect();
    let volumes = volumes(spec, &maps)?;
    let names: BTreeSet<&str> = volumes.iter().filter_map(|volume| volume.get("name")?.as_str()).collect();
    let app = list(spec, "containers")?;
    if app.is_empty() {
        return Err(wrong("spec.containers is empty"));
    }
    let mut seen = BTreeSet::new();
    for (group, all) in [("containers", app), ("initContainers", list(spec, "initContainers")?)] {
        for container in all {
            let at = container_at(container, group, &names)?;
            if !seen.insert(at.clone()) {
                return Err(wrong(format!("the container name {at:?} is used twice")));
            }
            let fields = container.as_object().into_iter().flat_map(Map::keys);
            unknown.extend(
                fields
                    .filter(|f| !CONTAINER_FIELDS.contains(&f.as_str()))
                    .map(|f| format!("spec.{group}[].{f}")),
            );
        }
    }
    secrets(spec)?;
    let size = size(app, any_size)?;
    let mut run = spec.clone();
    run.insert("volumes".into(), json!(volumes));
    run.remove("imagePullSecrets");
    Ok(Checked { spec: Value::Object(run), given, size, unknown })
}

fn list<'a>(spec: &'a Map<String, Value>, field: &str) -> Result<&'a [Value], CubeError> {
    match spec.get(field) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(all)) => Ok(all),
        Some(_) => Err(wrong(format!("spec.{field} is not a list"))),
    }
}

/// One container; answers its name.
fn container_at(container: &Value, group: &str, volumes: &BTreeSet<&str>) -> Result<String, CubeError> {
    let text = |field: &str| container.get(field).and_then(Value::as_str).unwrap_or_default();
    let name = text("name");
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 32 || !name.chars().all(legal) {
        return Err(wrong(format!("the container name {name:?} is not 1 to 32 letters, digits, - and _")));
    }
    let image = text("image");
    let registry = image.split_once('/').map(|(host, _)| host).unwrap_or_default();
    if !registry.contains(['.', ':']) {
        return Err(wrong(format!("the image {image:?} of {name} has no registry")));
    }
    for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
        if variable.get("valueFrom").is_some() {
            return Err(wrong(format!("env of {name} has valueFrom, which is not supported")));
        }
    }
    for mount in container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten() {
        let volume = mount.get("name").and_then(Value::as_str).unwrap_or_default();
        if !volumes.contains(volume) {
            return Err(wrong(format!("{name} mounts {volume:?}, which is no volume")));
        }
    }
    let limit = |resource: &str| container.pointer(&format!("/resources/limits/{resource}")).is_some();
    if group == "containers" && !(limit("cpu") && limit("memory")) {
        return Err(wrong(format!("resources.limits of {name} must name cpu and memory")));
    }
    Ok(name.to_owned())
}

/// The volumes as the core knows them.
fn volumes(spec: &Map<String, Value>, maps: &BTreeMap<String, Value>) -> Result<Vec<Value>, CubeError> {
    let all = list(spec, "volumes")?;
    let mut out = Vec::with_capacity(all.len());
    for volume in all {
        let name = volume.get("name").and_then(Value::as_str).ok_or_else(|| wrong("a volume has no name"))?;
        let source = |kind: &str| volume.get(kind).filter(|value| !value.is_null());
        let text = |value: &Value| STANDARD.encode(value.as_str().unwrap_or_default());
        let plain = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let files = |source: &Value, content: &dyn Fn(&Value) -> String| -> Value {
            let all = source.as_object().into_iter().flatten();
            json!(
                all.map(|(path, value)| json!({"path": path, "content": content(value)})).collect::<Vec<_>>()
            )
        };
        if let Some(secret) = source("secret") {
            out.push(json!({"name": name, "inlineFiles": files(secret, &plain)}));
        } else if let Some(map) = source("configMap") {
            let named = map.get("name").and_then(Value::as_str).and_then(|name| maps.get(name));
            out.push(json!({"name": name, "inlineFiles": files(named.unwrap_or(map), &text)}));
        } else if let Some(nfs) = source("nfs") {
            if nfs.get("address").is_none() {
                return Err(wrong(format!("nfs of volume {name} has no address")));
            }
            out.push(json!({"name": name, "emptyDir": {}}));
        } else if let Some(disk) = source("udisk") {
            if disk.get("id").is_none() {
                return Err(wrong(format!("udisk of volume {name} has no id")));
            }
            if disk.get("fs").is_some_and(|system| system != "ext4") {
                return Err(wrong(format!("udisk of volume {name}: the file system is not ext4")));
            }
            out.push(json!({"name": name, "emptyDir": {}}));
        } else if volume.get("emptyDir").is_some() {
            out.push(json!({"name": name, "emptyDir": {}}));
        } else {
            return Err(wrong(format!("volume {name} is not secret, configMap, nfs, udisk or emptyDir")));
        }
    }
    Ok(out)
}

/// The UDisks of a pod.
pub(super) fn disks(given: &Value) -> impl Iterator<Item = &str> {
    let volumes = given.pointer("/spec/volumes").and_then(Value::as_array).into_iter().flatten();
    volumes.filter_map(|volume| volume.pointer("/udisk/id")?.as_str())
}

/// Registry secrets: objects with credentials, or with the address of a registry in the VPC.
fn secrets(spec: &Map<String, Value>) -> Result<(), CubeError> {
    for secret in list(spec, "imagePullSecrets")? {
        let has =
            |field: &str| secret.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        let external = secret.get("registry_type").and_then(Value::as_str) == Some("external");
        let own = has("registryaddr") || has("registryServer") || has("registryserver");
        if !(external && has("username") && has("password") || own && has("vpcId")) {
            return Err(wrong(
                "an imagePullSecret is neither external with credentials nor a registry with vpcId",
            ));
        }
    }
    Ok(())
}

fn size(containers: &[Value], any: bool) -> Result<Size, CubeError> {
    let mut sum = Size::default();
    for container in containers {
        let amount = |resource: &str, parse: fn(&str) -> Option<u64>| {
            let value =
                container.pointer(&format!("/resources/limits/{resource}")).cloned().unwrap_or_default();
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parse(&text).ok_or_else(|| wrong(format!("{resource} {text:?} is not a quantity")))
        };
        sum.cpu_milli += amount("cpu", cpu_milli)?;
        sum.memory_bytes += amount("memory", memory_bytes)?;
    }
    let halves = sum.memory_bytes >> 29;
    let whole = sum.memory_bytes.is_multiple_of(1 << 29);
    let cores = sum.cpu_milli / 1000;
    let sold = match sum.cpu_milli {
        500 => HALF_CORE.contains(&halves),
        cpu if cpu.is_multiple_of(1000) && (1..=CORES_MAX).contains(&cores) => {
            // Half a GiB and so on; 1 core with 4 GiB is 1:4.
            [2, 4, 8].iter().any(|ratio| halves == cores * ratio)
        }
        _ => false,
    };
    let inside = sum.cpu_milli <= CORES_MAX * 1000 && halves <= 256;
    if (sold && whole || any) && inside {
        return Ok(sum);
    }
    Err(wrong(format!("{}m cores with {} bytes is not a size of Cube", sum.cpu_milli, sum.memory_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(spec: &str) -> String {
        STANDARD.encode(format!("apiVersion: v1\nkind: Pod\nmetadata: {{}}\nspec:\n{spec}"))
    }

    const GOOD: &str = "  containers: [{name: c, image: docker.io/library/busybox:1, resources: {limits: {cpu: 500m, memory: 1Gi}}}]\n";

    fn check(spec: &str, expected: &str) {
        let said =
            read(&yaml(spec), false).err().map_or_else(String::new, |e| format!("{} {}", e.code, e.message));
        assert!(
            if expected.is_empty() { said.is_empty() } else { said.contains(expected) },
            "{spec}: {said}"
        );
    }

    #[test]
    fn what_is_refused() {
        check(GOOD, "");
        check("  containers: []\n", "empty");
        check(&GOOD.replace("docker.io/library/busybox:1", "busybox"), "no registry");
        check(&GOOD.replace("name: c,", "name: a.b,"), "1 to 32 letters");
        check(&GOOD.replace("memory: 1Gi", "memory: 3Gi"), "not a size of Cube");
        check(&GOOD.replace(", memory: 1Gi", ""), "must name cpu and memory");
        check(&GOOD.replace("resources:", "env: [{name: A, valueFrom: {}}], resources:"), "valueFrom");
        check(
            &GOOD.replace("resources:", "volumeMounts: [{name: v, mountPath: /x}], resources:"),
            "no volume",
        );
        check(&format!("{GOOD}  volumes: [{{name: v, projected: {{}}}}]\n"), "is not secret");
        check(&format!("{GOOD}  volumes: [{{name: v, udisk: {{}}}}]\n"), "no id");
        check(&format!("{GOOD}  volumes: [{{name: v, udisk: {{id: bsr-1, fs: xfs}}}}]\n"), "not ext4");
        check(&format!("{GOOD}  volumes: [{{name: v, udisk: {{id: bsr-1, fs: ext4}}}}]\n"), "");
        check(&format!("{GOOD}  imagePullSecrets: [{{name: regcred}}]\n"), "imagePullSecret");
        check(
            &format!("{GOOD}  imagePullSecrets: [{{registry_type: external, username: u, password: p}}]\n"),
            "",
        );
        check(&format!("{GOOD}  imagePullSecrets: [{{registryaddr: 10.0.0.9, vpcId: uvnet-1}}]\n"), "");
        check(&format!("{GOOD}  initContainers: [{{name: c, image: docker.io/library/busybox}}]\n"), "twice");
        assert!(read("???", false).is_err_and(|e| e.message.contains("base64")));
        assert!(read(&"A".repeat(PARAMETER_MAX + 4), false).is_err_and(|e| e.message.contains("16 KB")));
    }

    #[test]
    fn sizes_are_those_of_the_table() {
        for (cpu, memory, sold) in [
            ("500m", "512Mi", true),
            ("500m", "2Gi", true),
            ("1", "4Gi", true),
            ("1", "3Gi", false),
            ("3", "6Gi", true),
            ("32", "128Gi", true),
            ("33", "66Gi", false),
            ("100m", "128Mi", false),
            ("1500m", "3Gi", false),
        ] {
            let spec = GOOD.replace("cpu: 500m, memory: 1Gi", &format!("cpu: {cpu}, memory: {memory}"));
            assert_eq!(read(&yaml(&spec), false).is_ok(), sold, "{cpu} {memory}");
        }
        let odd = GOOD.replace("cpu: 500m", "cpu: 100m");
        assert!(read(&yaml(&odd), true).is_ok());
    }

    #[test]
    fn volumes_carry_their_contents() {
        let spec = format!(
            "{GOOD}  volumes:\n  - {{name: s, secret: {{key: aGk=}}}}\n  - {{name: m, configMap: {{a.txt: hi}}}}\n  - {{name: third, configMap: {{name: other}}}}\n"
        );
        let text = format!(
            "apiVersion: v1\nkind: Pod\nspec:\n{spec}---\nkind: ConfigMap\nmetadata: {{name: other}}\ndata: {{b: there}}\n"
        );
        let checked = read(&STANDARD.encode(text), false).expect("a pod");
        let file = |n: usize| checked.spec["volumes"][n]["inlineFiles"][0].clone();
        assert_eq!(file(0), json!({"path": "key", "content": "aGk="}));
        assert_eq!(file(1), json!({"path": "a.txt", "content": "aGk="}));
        assert_eq!(file(2), json!({"path": "b", "content": STANDARD.encode("there")}));
        assert!(checked.unknown.is_empty());
        let odd = read(&yaml(&format!("{GOOD}  serviceAccountName: x\n")), false).expect("a pod");
        assert_eq!(odd.unknown, ["spec.serviceAccountName".to_owned()].into());
    }
}
