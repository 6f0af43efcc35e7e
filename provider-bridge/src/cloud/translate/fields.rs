//! What `fieldRef` and `resourceFieldRef` mean for a pod that runs in the cloud under another name.
//!
//! Pure. Identity comes from the local pod, sizes from what the cloud sells; addresses are known only inside the cloud.
//! Facts: the kubelet's `fieldpath` and `resource` packages.

use policies::quantity::Quantity;
use serde_json::Value;

use super::json::{pairs, text};
use super::problem::Problem;

/// CPU and memory; zero of both is "no size of its own".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cloud) struct Size {
    pub(in crate::cloud) cpu_milli: u64,
    pub(in crate::cloud) memory_bytes: u64,
}

/// What the containers of one pod get in the cloud.
#[derive(Clone, Debug)]
pub(in crate::cloud) struct Sizes {
    /// By container name.
    pub(in crate::cloud) containers: Vec<(String, Size)>,
    pub(in crate::cloud) pod: Size,
    /// The disk that containers share.
    pub(in crate::cloud) disk_bytes: u64,
}

impl Sizes {
    /// A container without a size of its own may use the whole pod, as one on a node may use the whole node.
    fn of(&self, container: &str) -> Option<Size> {
        let (_, size) = self.containers.iter().find(|(name, _)| name == container)?;
        Some(if *size == Size::default() { self.pod } else { *size })
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cloud) enum Field {
    /// Known now.
    Text(String),
    /// Known to the cloud once the instance runs.
    Late,
}

/// The value of `fieldRef.fieldPath`.
pub(in crate::cloud) fn field(pod: &Value, node: &str, path: &str) -> Result<Field, Problem> {
    let metadata = pod.get("metadata").unwrap_or(&Value::Null);
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        let field = map.strip_prefix("metadata.").filter(|field| matches!(*field, "labels" | "annotations"));
        let field = field.ok_or_else(|| unknown(path))?;
        let value = pairs(metadata, field).find(|(name, _)| *name == key);
        return Ok(Field::Text(value.map(|(_, value)| value.to_owned()).unwrap_or_default()));
    }
    let own = |field| Ok(Field::Text(text(metadata, field).unwrap_or_default().to_owned()));
    match path {
        "metadata.name" => own("name"),
        "metadata.namespace" => own("namespace"),
        "metadata.uid" => own("uid"),
        "metadata.labels" => Ok(Field::Text(format_map(pairs(metadata, "labels")))),
        "metadata.annotations" => Ok(Field::Text(format_map(pairs(metadata, "annotations")))),
        "spec.nodeName" => Ok(Field::Text(node.to_owned())),
        "spec.serviceAccountName" => {
            let spec = pod.get("spec").unwrap_or(&Value::Null);
            Ok(Field::Text(text(spec, "serviceAccountName").unwrap_or_default().to_owned()))
        }
        "status.podIP" | "status.podIPs" | "status.hostIP" | "status.hostIPs" => Ok(Field::Late),
        _ => Err(unknown(path)),
    }
}

fn unknown(path: &str) -> Problem {
    Problem::Invalid(format!("fieldRef {path}: no such field of a pod can be read by a container"))
}

/// `key="value"` per line, sorted by key, as the kubelet formats maps.
fn format_map<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs.into_iter().map(|(key, value)| format!("{key}={}", go_quote(value))).collect::<Vec<_>>().join("\n")
}

/// A string as Go's `%q` writes it.
fn go_quote(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The value of a `resourceFieldRef` of container `own` (unless it names another one).
pub(in crate::cloud) fn resource(
    pod: &Value,
    sizes: &Sizes,
    own: &str,
    reference: &Value,
) -> Result<String, Problem> {
    let name = text(reference, "containerName").filter(|name| !name.is_empty()).unwrap_or(own);
    let resource = text(reference, "resource").unwrap_or_default();
    let wrong =
        || Problem::Invalid(format!("resourceFieldRef {resource} of container {name:?} cannot be resolved"));
    let size = sizes.of(name).ok_or_else(wrong)?;
    let divisor =
        text(reference, "divisor").filter(|divisor| !divisor.is_empty() && *divisor != "0").unwrap_or("1");
    let divisor = Quantity::parse(divisor).map_err(|_| wrong())?;
    let (amount, divisor) = match resource.split_once('.').map(|(_, kind)| kind) {
        Some("cpu") => (size.cpu_milli, divisor.to_milli_ceil()),
        Some("memory") => (size.memory_bytes, divisor.to_value_ceil()),
        Some("ephemeral-storage") => (storage(pod, sizes, name, resource), divisor.to_value_ceil()),
        _ => return Err(wrong()),
    };
    let divisor = u64::try_from(divisor).ok().filter(|divisor| *divisor > 0).ok_or_else(wrong)?;
    Ok(amount.div_ceil(divisor).to_string())
}

fn storage(pod: &Value, sizes: &Sizes, name: &str, resource: &str) -> u64 {
    let container = super::json::containers(pod).map(|(_, c)| c).find(|c| text(c, "name") == Some(name));
    let side = resource.split('.').next().unwrap_or_default();
    let asked = container.and_then(|c| c.get("resources")?.get(side)?.get("ephemeral-storage")?.as_str());
    asked
        .and_then(|asked| u64::try_from(Quantity::parse(asked).ok()?.to_value_ceil()).ok())
        // Where the pod says nothing, it may fill the disk that it has.
        .unwrap_or(if side == "requests" { 0 } else { sizes.disk_bytes })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GI: u64 = 1 << 30;

    fn pod() -> Value {
        json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u1", "labels": {"b": "2", "a": "x\"y"}},
               "spec": {"serviceAccountName": "robot", "containers": [{"name": "app", "resources": {"limits": {"ephemeral-storage": "2Gi"}}}]}})
    }

    #[test]
    fn fields() {
        let cases = [
            ("metadata.name", Field::Text("web".into())),
            ("metadata.uid", Field::Text("u1".into())),
            ("metadata.labels['b']", Field::Text("2".into())),
            ("metadata.annotations['none']", Field::Text(String::new())),
            ("metadata.labels", Field::Text("a=\"x\\\"y\"\nb=\"2\"".into())),
            ("spec.nodeName", Field::Text("burst-0".into())),
            ("spec.serviceAccountName", Field::Text("robot".into())),
            ("status.podIP", Field::Late),
            ("status.hostIPs", Field::Late),
        ];
        for (path, expected) in cases {
            assert_eq!(field(&pod(), "burst-0", path).unwrap(), expected, "{path}");
        }
        assert!(field(&pod(), "burst-0", "spec.hostname").is_err());
        assert!(field(&pod(), "burst-0", "spec.x['y']").is_err());
    }

    #[test]
    fn resources_come_from_the_rounded_shape() {
        let size = |cpu_milli, memory_bytes| Size { cpu_milli, memory_bytes };
        let shape = Sizes {
            containers: vec![("app".into(), size(1250, 3 * GI)), ("side".into(), Size::default())],
            pod: size(1250, 3 * GI),
            disk_bytes: 10 * GI,
        };
        let ask = |container: &str, resource: &str, divisor: &str| {
            resource_text(
                &shape,
                &json!({"containerName": container, "resource": resource, "divisor": divisor}),
            )
        };
        assert_eq!(ask("", "limits.cpu", "1m"), "1250");
        assert_eq!(ask("app", "requests.cpu", ""), "2");
        assert_eq!(ask("app", "limits.memory", "1Mi"), "3072");
        assert_eq!(ask("side", "limits.cpu", "1m"), "1250");
        assert_eq!(ask("app", "limits.ephemeral-storage", "1Gi"), "2");
        assert_eq!(ask("side", "limits.ephemeral-storage", "1Gi"), "10");
        assert!(resource(&pod(), &shape, "app", &json!({"resource": "limits.gpu"})).is_err());
        assert!(
            resource(&pod(), &shape, "app", &json!({"resource": "limits.cpu", "divisor": "-1"})).is_err()
        );
    }

    fn resource_text(shape: &Sizes, reference: &Value) -> String {
        resource(&pod(), shape, "app", reference).unwrap()
    }
}
