//! Containers and init containers.

use policies::shape::Size;
use serde_json::{Map, Value, json};

use crate::cloud::translate::json::{self, list, only, text};
use crate::cloud::translate::{self, Environment, Notice, Problem, Sources, dropped, port};

use super::insert_list;

/// Fields that mean the same at Cube.
const FIELDS: [&str; 3] = ["name", "image", "workingDir"];
/// Numbers of a probe.
const NUMBERS: [&str; 5] =
    ["initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"];

/// `initContainers` and `containers`; `limits` are those of the latter, in their order.
pub(super) fn translate(
    sources: &Sources<'_>,
    limits: &[Size],
    notices: &mut Vec<Notice>,
) -> Result<Map<String, Value>, Problem> {
    let dropped = dropped(sources.pod);
    let (mut init, mut app) = (Vec::new(), Vec::new());
    for (is_init, container) in json::containers(sources.pod) {
        let environment = Environment::resolve(container, sources, notices)?;
        let mut out = common(container, &environment, &dropped)?;
        if is_init {
            init.push(Value::Object(out));
            continue;
        }
        if let Some(limit) = limits.get(app.len()) {
            let limits =
                json!({"cpu": format!("{}m", limit.cpu_milli), "memory": memory(limit.memory_bytes)});
            out.insert("resources".into(), json!({"limits": limits}));
        }
        for field in ["livenessProbe", "readinessProbe"] {
            if let Some(probe) = container.get(field).filter(|probe| probe.is_object()) {
                out.insert(field.into(), probe_of(probe, container)?);
            }
        }
        app.push(Value::Object(out));
    }
    let mut out = Map::new();
    insert_list(&mut out, "initContainers", init);
    insert_list(&mut out, "containers", app);
    Ok(out)
}

/// As the vendor's samples write it, where it is whole.
fn memory(bytes: u64) -> String {
    const MI: u64 = 1 << 20;
    if bytes.is_multiple_of(MI) { format!("{}Mi", bytes / MI) } else { bytes.to_string() }
}

/// What both kinds have.
fn common(
    container: &Value,
    environment: &Environment,
    dropped: &[&str],
) -> Result<Map<String, Value>, Problem> {
    let name = text(container, "name").unwrap_or_default();
    let mut out = only(container, &FIELDS);
    out.retain(|_, value| !value.is_null());
    for field in ["command", "args"] {
        let words = list(container, field).iter().filter_map(Value::as_str).map(|word| {
            environment.expand_here(word).map(Value::from).ok_or_else(|| {
                Problem::Invalid(format!(
                    "{field} of container {name} refers to a value that is known only when the pod runs: read it in the \
                     program"
                ))
            })
        });
        insert_list(&mut out, field, words.collect::<Result<Vec<_>, _>>()?);
    }
    insert_list(&mut out, "env", variables(environment, name)?);
    let ports = list(container, "ports").iter().map(|port| {
        let mut port = only(port, &["name", "containerPort", "protocol"]);
        port.retain(|_, value| !value.is_null());
        Value::Object(port)
    });
    insert_list(&mut out, "ports", ports.collect());
    let fields = ["name", "mountPath", "readOnly", "subPath"];
    let mounts =
        translate::mounts(container, &fields, dropped, |expression| environment.expand_here(expression))?;
    insert_list(&mut out, "volumeMounts", mounts);
    Ok(out)
}

fn variables(environment: &Environment, container: &str) -> Result<Vec<Value>, Problem> {
    let each = environment.plain().into_iter().map(|(name, value)| match value {
        translate::Plain::Text(text) => Ok(json!({"name": name, "value": text})),
        translate::Plain::Field(path) => Err(Problem::Invalid(format!(
            "variable {name} of container {container}: Cube fills in no variables, and {path} is known only when the pod \
             runs: read it in the program"
        ))),
    });
    each.collect()
}

/// A probe, with its port as a number.
fn probe_of(probe: &Value, container: &Value) -> Result<Value, Problem> {
    let mut out = only(probe, &NUMBERS);
    if let Some(exec) = probe.get("exec") {
        out.insert("exec".into(), json!({"command": list(exec, "command")}));
    }
    if let Some(get) = probe.get("httpGet") {
        let mut fields = only(get, &["path", "host", "scheme", "httpHeaders"]);
        fields.insert("port".into(), port(get, container, "a probe")?.into());
        out.insert("httpGet".into(), Value::Object(fields));
    }
    if let Some(socket) = probe.get("tcpSocket") {
        let mut fields = only(socket, &["host"]);
        fields.insert("port".into(), port(socket, container, "a probe")?.into());
        out.insert("tcpSocket".into(), Value::Object(fields));
    }
    out.retain(|_, value| !value.is_null());
    Ok(Value::Object(out))
}
