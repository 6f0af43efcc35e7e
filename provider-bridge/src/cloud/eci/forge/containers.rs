//! Containers and init containers.

use policies::quantity::Quantity;
use policies::shape::GI;
use policies::support::eci::{ARGS_MAX, COMMAND_MAX, ENV_NAME_MAX, ENV_VALUE_MAX, GPU};
use serde_json::{Map, Value, json};

use crate::cloud::translate::json::{self, flag, list, text};
use crate::cloud::translate::{self, Environment, Notice, Problem, Sources, dropped, port};

use super::{insert_list, renamed};

/// What names ports, in errors.
const NAMES: &str = "a probe or hook";
/// Fields that mean the same at ECI.
const FIELDS: [(&str, &str); 6] = [
    ("name", "Name"),
    ("image", "Image"),
    ("workingDir", "WorkingDir"),
    ("imagePullPolicy", "ImagePullPolicy"),
    ("terminationMessagePath", "TerminationMessagePath"),
    ("terminationMessagePolicy", "TerminationMessagePolicy"),
];

/// `Container` and `InitContainer`.
pub(super) fn translate(
    sources: &Sources<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Map<String, Value>, Problem> {
    let dropped = dropped(sources.pod);
    let (mut init, mut app) = (Vec::new(), Vec::new());
    for (is_init, container) in json::containers(sources.pod) {
        let environment = Environment::resolve(container, sources, notices)?;
        let mut out = common(container, &environment, sources, &dropped)?;
        if !is_init {
            out.extend(running(container)?);
        }
        let list = if is_init { &mut init } else { &mut app };
        list.push(Value::Object(out));
    }
    let mut out = Map::new();
    insert_list(&mut out, "InitContainer", init);
    insert_list(&mut out, "Container", app);
    Ok(out)
}

/// What both kinds have.
fn common(
    container: &Value,
    environment: &Environment,
    sources: &Sources<'_>,
    dropped: &[&str],
) -> Result<Map<String, Value>, Problem> {
    let name = text(container, "name").unwrap_or_default();
    let mut out = renamed(container, &FIELDS);
    let words = [("command", "Command", COMMAND_MAX.0), ("args", "Arg", ARGS_MAX)];
    for (field, parameter, most) in words {
        insert_list(&mut out, parameter, expanded(container, (field, most), environment, name)?);
    }
    let variables = variables(environment, name)?;
    if !variables.is_empty() {
        // Values of Secrets are among them: they are not to be read back from the cloud.
        out.insert("EnvironmentVarHide".into(), true.into());
    }
    insert_list(&mut out, "EnvironmentVar", variables);
    let ports = list(container, "ports").iter().map(|port| {
        json!({"Port": port.get("containerPort"), "Protocol": text(port, "protocol").unwrap_or("TCP")})
    });
    insert_list(&mut out, "Port", ports.collect());
    let fields = ["name", "mountPath", "readOnly", "subPath"];
    let mounts =
        translate::mounts(container, &fields, dropped, |expression| environment.expand_here(expression))?;
    let mounts = mounts.iter().map(|mount| {
        Value::Object(renamed(
            mount,
            &[("name", "Name"), ("mountPath", "MountPath"), ("subPath", "SubPath"), ("readOnly", "ReadOnly")],
        ))
    });
    insert_list(&mut out, "VolumeMount", mounts.collect());
    out.extend(limits(container)?);
    out.extend(security(container, sources.pod));
    Ok(out)
}

/// Words with the environment put in; what is too long only now is refused here.
fn expanded(
    container: &Value,
    (field, most): (&str, usize),
    environment: &Environment,
    name: &str,
) -> Result<Vec<Value>, Problem> {
    let words = list(container, field).iter().filter_map(Value::as_str).map(|word| {
        let word = environment.expand_here(word).ok_or_else(|| {
            Problem::Invalid(format!(
                "{field} of container {name} refers to the pod's address, which ECI puts into variables only: read the \
                 variable in the program"
            ))
        })?;
        if word.chars().count() > COMMAND_MAX.1 {
            return Err(Problem::Invalid(format!(
                "{field} of container {name} has a word of {} characters, and ECI takes {}: put it into a script",
                word.chars().count(),
                COMMAND_MAX.1
            )));
        }
        Ok(Value::from(word))
    });
    let words = words.collect::<Result<Vec<_>, _>>()?;
    if words.len() > most {
        return Err(Problem::Invalid(format!(
            "{field} of container {name} has {} words, and ECI takes {most}: put them into a script",
            words.len()
        )));
    }
    Ok(words)
}

fn variables(environment: &Environment, container: &str) -> Result<Vec<Value>, Problem> {
    let mut out = Vec::new();
    for (name, value) in environment.plain() {
        let what = || format!("variable {name} of container {container}");
        if name.chars().count() > ENV_NAME_MAX {
            return Err(Problem::Invalid(format!(
                "{}: ECI takes at most {ENV_NAME_MAX} characters as a name: shorten it",
                what()
            )));
        }
        match value {
            translate::Plain::Text(text) => {
                let length = text.chars().count();
                if length > ENV_VALUE_MAX {
                    return Err(Problem::Invalid(format!(
                        "{} has a value of {length} characters, and ECI takes {ENV_VALUE_MAX}: mount it as a file",
                        what()
                    )));
                }
                out.push(json!({"Key": name, "Value": text}));
            }
            translate::Plain::Field("status.podIP") => {
                out.push(json!({"Key": name, "FieldRef": {"FieldPath": "status.podIP"}}));
            }
            translate::Plain::Field(path) => {
                return Err(Problem::Invalid(format!(
                    "{}: ECI knows the field status.podIP only, not {path}: use that",
                    what()
                )));
            }
        }
    }
    Ok(out)
}

/// What a container may use at most: its limits. The group's size is said once for all of them.
fn limits(container: &Value) -> Result<Map<String, Value>, Problem> {
    let name = text(container, "name").unwrap_or_default();
    let read = |resource: &str| -> Result<Option<Quantity>, Problem> {
        let Some(value) = container.get("resources").and_then(|r| r.get("limits")?.get(resource)) else {
            return Ok(None);
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let quantity = Quantity::parse(&text);
        quantity
            .map(Some)
            .map_err(|e| Problem::Invalid(format!("container {name}: resources.limits.{resource}: {e}")))
    };
    let mut out = Map::new();
    if let Some(cpu) = read("cpu")?.map(|q| q.to_milli_ceil()).filter(|milli| *milli > 0) {
        out.insert("Cpu".into(), (cpu as f64 / 1000.0).into());
    }
    if let Some(memory) = read("memory")?.map(|q| q.to_value_ceil()).filter(|bytes| *bytes > 0) {
        // Two decimals, rounded up: never less than the limit.
        out.insert("Memory".into(), ((memory as f64 / GI as f64 * 100.0).ceil() / 100.0).into());
    }
    if let Some(gpu) = read(GPU)?.map(|q| q.to_value_ceil()).filter(|count| *count > 0) {
        out.insert("Gpu".into(), gpu.into());
    }
    Ok(out)
}

/// The container's own, else the pod's.
fn security(container: &Value, pod: &Value) -> Map<String, Value> {
    let own = container.get("securityContext").unwrap_or(&Value::Null);
    let whole = pod.pointer("/spec/securityContext").unwrap_or(&Value::Null);
    let either =
        |field: &str| own.get(field).or_else(|| whole.get(field)).filter(|value| !value.is_null()).cloned();
    let mut out = Map::new();
    let flat = [("runAsGroup", "SecurityContextRunAsGroup"), ("runAsNonRoot", "SecurityContextRunAsNonRoot")];
    for (field, parameter) in flat {
        if let Some(value) = either(field) {
            out.insert(parameter.into(), value);
        }
    }
    let mut context = Map::new();
    let added = own.get("capabilities").map(|capabilities| list(capabilities, "add")).unwrap_or_default();
    if !added.is_empty() {
        context.insert("Capability".into(), json!({"Add": added}));
    }
    if flag(own, "readOnlyRootFilesystem") {
        context.insert("ReadOnlyRootFilesystem".into(), true.into());
    }
    if let Some(user) = either("runAsUser") {
        context.insert("RunAsUser".into(), user);
    }
    if !context.is_empty() {
        out.insert("SecurityContext".into(), Value::Object(context));
    }
    out
}

/// What init containers do not have.
fn running(container: &Value) -> Result<Map<String, Value>, Problem> {
    let mut out = Map::new();
    for (field, parameter) in [("stdin", "Stdin"), ("stdinOnce", "StdinOnce"), ("tty", "Tty")] {
        if flag(container, field) {
            out.insert(parameter.into(), true.into());
        }
    }
    for (field, parameter) in [("livenessProbe", "LivenessProbe"), ("readinessProbe", "ReadinessProbe")] {
        if let Some(probe) = container.get(field).filter(|probe| probe.is_object()) {
            out.insert(parameter.into(), Value::Object(self::probe(probe, container)?));
        }
    }
    let hooks = [("postStart", "LifecyclePostStartHandler"), ("preStop", "LifecyclePreStopHandler")];
    for (field, prefix) in hooks {
        if let Some(hook) = container.get("lifecycle").and_then(|lifecycle| lifecycle.get(field)) {
            out.extend(self::hook(hook, prefix, container)?);
        }
    }
    Ok(out)
}

fn probe(probe: &Value, container: &Value) -> Result<Map<String, Value>, Problem> {
    let numbers = [
        ("initialDelaySeconds", "InitialDelaySeconds"),
        ("periodSeconds", "PeriodSeconds"),
        ("timeoutSeconds", "TimeoutSeconds"),
        ("successThreshold", "SuccessThreshold"),
        ("failureThreshold", "FailureThreshold"),
    ];
    let mut out = renamed(probe, &numbers);
    if let Some(exec) = probe.get("exec") {
        out.insert("Exec".into(), json!({"Command": list(exec, "command")}));
    }
    if let Some(get) = probe.get("httpGet") {
        out.insert(
            "HttpGet".into(),
            json!({"Path": text(get, "path").filter(|path| !path.is_empty()).unwrap_or("/"),
                "Port": port(get, container, NAMES)?, "Scheme": text(get, "scheme").unwrap_or("HTTP")}),
        );
    }
    if let Some(socket) = probe.get("tcpSocket") {
        out.insert("TcpSocket".into(), json!({"Port": port(socket, container, NAMES)?}));
    }
    Ok(out)
}

fn hook(hook: &Value, prefix: &str, container: &Value) -> Result<Map<String, Value>, Problem> {
    let mut out = Map::new();
    let mut add = |name: &str, value: Value| drop(out.insert(format!("{prefix}{name}"), value));
    if let Some(exec) = hook.get("exec") {
        add("Exec", list(exec, "command").to_vec().into());
    }
    if let Some(get) = hook.get("httpGet") {
        add("HttpGetHost", text(get, "host").unwrap_or_default().into());
        add("HttpGetPort", port(get, container, NAMES)?.into());
        add("HttpGetPath", text(get, "path").unwrap_or("/").into());
        add("HttpGetScheme", text(get, "scheme").unwrap_or("HTTP").into());
        let headers = list(get, "httpHeaders")
            .iter()
            .map(|header| json!({"Name": text(header, "name"), "Value": text(header, "value")}));
        add("HttpGetHttpHeader", headers.collect());
    }
    if let Some(socket) = hook.get("tcpSocket") {
        add("TcpSocketHost", text(socket, "host").unwrap_or_default().into());
        add("TcpSocketPort", port(socket, container, NAMES)?.into());
    }
    Ok(out)
}
