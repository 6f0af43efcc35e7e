//! A checked request as the pod that the core runs, and as the fixed part of what DescribeContainerGroups shows. Pure.

use serde_json::{Map, Value, json};

use super::tree::Tree;

/// `spec` of the pod that runs.
pub(super) fn spec(tree: &Tree) -> Value {
    let containers = |list: &str| -> Vec<Value> { tree.list(list).into_iter().map(container).collect() };
    let volumes: Vec<Value> = tree.list("Volume").into_iter().map(volume).collect();
    let aliases: Vec<Value> = (tree.list("HostAliase").into_iter())
        .map(|alias| json!({"ip": alias.word("Ip"), "hostnames": alias.texts("Hostname")}))
        .collect();
    let mut spec = json!({
        "containers": containers("Container"), "initContainers": containers("InitContainer"), "volumes": volumes,
        "restartPolicy": tree.text("RestartPolicy").unwrap_or("Always"), "hostAliases": aliases,
        "dnsConfig": {
            "nameservers": tree.texts("DnsConfig.NameServer"), "searches": tree.texts("DnsConfig.Search"),
            "options": options(tree).into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>(),
        },
    });
    put_integer(&mut spec, "terminationGracePeriodSeconds", tree, "TerminationGracePeriodSeconds");
    put_integer(&mut spec, "activeDeadlineSeconds", tree, "ActiveDeadlineSeconds");
    put_text(&mut spec, "hostname", tree, "HostName");
    spec
}

fn options(tree: &Tree) -> Vec<(String, String)> {
    let all = tree.list("DnsConfig.Option").into_iter();
    all.map(|option| (option.word("Name").to_owned(), option.word("Value").to_owned())).collect()
}

fn put(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(field.to_owned(), value);
    }
}

fn put_integer(object: &mut Value, field: &str, tree: &Tree, path: &str) {
    if let Ok(Some(number)) = tree.integer(path) {
        put(object, field, json!(number));
    }
}

fn put_number(object: &mut Value, field: &str, tree: &Tree, path: &str) {
    if let Ok(Some(number)) = tree.number(path) {
        put(object, field, json!(number));
    }
}

fn put_text(object: &mut Value, field: &str, tree: &Tree, path: &str) {
    if let Some(text) = tree.text(path) {
        put(object, field, json!(text));
    }
}

fn put_flag(object: &mut Value, field: &str, tree: &Tree, path: &str) {
    put(object, field, json!(tree.flag(path).unwrap_or_default()));
}

fn container(tree: &Tree) -> Value {
    let env: Vec<Value> = (tree.list("EnvironmentVar").into_iter())
        .map(|variable| match variable.text("FieldRef.FieldPath") {
            Some(field) => {
                json!({"name": variable.word("Key"), "valueFrom": {"fieldRef": {"fieldPath": field}}})
            }
            None => json!({"name": variable.word("Key"), "value": variable.word("Value")}),
        })
        .collect();
    let mounts: Vec<Value> = (tree.list("VolumeMount").into_iter())
        .map(|mount| {
            json!({"name": mount.word("Name"), "mountPath": mount.word("MountPath"), "subPath": mount.word("SubPath"),
                "readOnly": mount.flag("ReadOnly").unwrap_or_default()})
        })
        .collect();
    let ports: Vec<Value> = tree
        .list("Port")
        .into_iter()
        .map(|port| json!({"containerPort": port.integer("Port").ok().flatten()}))
        .collect();
    let mut out = json!({
        "name": tree.word("Name"), "image": tree.word("Image"), "command": tree.texts("Command"),
        "args": tree.texts("Arg"), "env": env, "volumeMounts": mounts, "ports": ports,
    });
    put_text(&mut out, "workingDir", tree, "WorkingDir");
    put_text(&mut out, "terminationMessagePath", tree, "TerminationMessagePath");
    for (field, path) in [("livenessProbe", "LivenessProbe"), ("readinessProbe", "ReadinessProbe")] {
        if let Some(probe) = probe(tree.at(path)) {
            put(&mut out, field, probe);
        }
    }
    let stop = tree.texts("LifecyclePreStopHandlerExec");
    if !stop.is_empty() {
        put(&mut out, "lifecycle", json!({"preStop": {"exec": {"command": stop}}}));
    }
    let mut security = json!({});
    put_integer(&mut security, "runAsUser", tree, "SecurityContext.RunAsUser");
    put_integer(&mut security, "runAsGroup", tree, "SecurityContextRunAsGroup");
    put_flag(&mut security, "readOnlyRootFilesystem", tree, "SecurityContext.ReadOnlyRootFilesystem");
    put(&mut out, "securityContext", security);
    out
}

fn probe(tree: &Tree) -> Option<Value> {
    if tree.is_empty() {
        return None;
    }
    let mut out = json!({});
    let exec = tree.texts("Exec.Command");
    let port = |path: &str| tree.integer(path).ok().flatten();
    if !exec.is_empty() {
        put(&mut out, "exec", json!({"command": exec}));
    } else if let Some(port) = port("HttpGet.Port") {
        put(&mut out, "httpGet", json!({"path": tree.word("HttpGet.Path"), "port": port}));
    } else if let Some(port) = port("TcpSocket.Port") {
        put(&mut out, "tcpSocket", json!({"port": port}));
    }
    for (field, path) in PROBE_NUMBERS {
        put_integer(&mut out, field, tree, path);
    }
    Some(out)
}

const PROBE_NUMBERS: [(&str, &str); 5] = [
    ("initialDelaySeconds", "InitialDelaySeconds"),
    ("periodSeconds", "PeriodSeconds"),
    ("timeoutSeconds", "TimeoutSeconds"),
    ("successThreshold", "SuccessThreshold"),
    ("failureThreshold", "FailureThreshold"),
];

/// Files are mounted; every disk, share and bucket is played as an empty folder.
fn volume(tree: &Tree) -> Value {
    let name = tree.word("Name");
    if tree.word("Type") != "ConfigFileVolume" {
        return json!({"name": name, "emptyDir": {}});
    }
    let default = tree.integer("ConfigFileVolume.DefaultMode").ok().flatten().unwrap_or(0o644);
    let files: Vec<Value> = (tree.list("ConfigFileVolume.ConfigFileToPath").into_iter())
        .map(|file| {
            let mode = file.integer("Mode").ok().flatten().unwrap_or(default);
            json!({"path": file.word("Path"), "content": file.word("Content"), "mode": mode})
        })
        .collect();
    json!({"name": name, "inlineFiles": files})
}

/// The part of DescribeContainerGroups' answer that the request decides.
pub(super) fn shown(tree: &Tree) -> Value {
    let list = |path: &str, one: fn(&Tree) -> Value| -> Vec<Value> {
        tree.list(path).into_iter().map(one).collect()
    };
    let mut out = json!({
        "ContainerGroupName": tree.word("ContainerGroupName"),
        "RestartPolicy": tree.text("RestartPolicy").unwrap_or("Always"),
        "SecurityGroupId": tree.text("SecurityGroupId").unwrap_or("sg-default"),
        "ResourceGroupId": tree.text("ResourceGroupId").unwrap_or("rg-default"),
        "SpotStrategy": tree.text("SpotStrategy").unwrap_or("NoSpot"),
        "ComputeCategory": tree.texts("ComputeCategory").first().map_or("general", String::as_str),
        "EphemeralStorage": tree.integer("EphemeralStorage").ok().flatten().unwrap_or(30),
        "Discount": 0,
        "Containers": list("Container", shown_container),
        "InitContainers": list("InitContainer", shown_init_container),
        "Volumes": list("Volume", shown_volume),
        "Tags": list("Tag", |tag| json!({"Key": tag.word("Key"), "Value": tag.word("Value")})),
        "HostAliases": list("HostAliase", |alias| json!({"Ip": alias.word("Ip"), "Hostnames": alias.texts("Hostname")})),
        "EciSecurityContext": {"Sysctls": list("SecurityContext.Sysctl", name_and_value)},
        "DnsConfig": {
            "NameServers": tree.texts("DnsConfig.NameServer"), "Searches": tree.texts("DnsConfig.Search"),
            "Options": list("DnsConfig.Option", name_and_value),
        },
    });
    put_text(&mut out, "RamRoleName", tree, "RamRoleName");
    put_number(&mut out, "SpotPriceLimit", tree, "SpotPriceLimit");
    out
}

fn name_and_value(tree: &Tree) -> Value {
    json!({"Name": tree.word("Name"), "Value": tree.word("Value")})
}

/// What containers and init containers share.
fn shown_common(tree: &Tree) -> Value {
    let hidden = tree.flag("EnvironmentVarHide").unwrap_or_default();
    let env: Vec<Value> = (tree.list("EnvironmentVar").into_iter())
        .filter(|_| !hidden)
        .map(|variable| {
            let mut out = json!({"Key": variable.word("Key"), "Value": variable.word("Value")});
            if let Some(field) = variable.text("FieldRef.FieldPath") {
                put(&mut out, "ValueFrom", json!({"FieldRef": {"FieldPath": field}}));
            }
            out
        })
        .collect();
    let ports: Vec<Value> = (tree.list("Port").into_iter())
        .map(|port| {
            json!({"Port": port.integer("Port").ok().flatten(), "Protocol": port.text("Protocol").unwrap_or("TCP")})
        })
        .collect();
    let mounts: Vec<Value> = (tree.list("VolumeMount").into_iter())
        .map(|mount| {
            json!({"Name": mount.word("Name"), "MountPath": mount.word("MountPath"), "SubPath": mount.word("SubPath"),
                "ReadOnly": mount.flag("ReadOnly").unwrap_or_default(),
                "MountPropagation": mount.text("MountPropagation").unwrap_or("None")})
        })
        .collect();
    let mut security = json!({});
    let adds = tree.texts("SecurityContext.Capability.Add");
    if !adds.is_empty() {
        put(&mut security, "Capability", json!({"Adds": adds}));
    }
    put_integer(&mut security, "RunAsUser", tree, "SecurityContext.RunAsUser");
    put_flag(&mut security, "ReadOnlyRootFilesystem", tree, "SecurityContext.ReadOnlyRootFilesystem");
    let mut out = json!({
        "Name": tree.word("Name"), "Image": tree.word("Image"), "Args": tree.texts("Arg"),
        "WorkingDir": tree.word("WorkingDir"),
        "ImagePullPolicy": tree.text("ImagePullPolicy").unwrap_or("IfNotPresent"),
        "EnvironmentVars": env, "Ports": ports, "VolumeMounts": mounts, "SecurityContext": security,
        "Cpu": tree.number("Cpu").ok().flatten().unwrap_or(0.0),
        "Memory": tree.number("Memory").ok().flatten().unwrap_or(0.0),
        "Gpu": tree.integer("Gpu").ok().flatten().unwrap_or(0),
    });
    put(&mut out, "Ready", json!(false));
    out
}

fn shown_container(tree: &Tree) -> Value {
    let mut out = shown_common(tree);
    put(&mut out, "Commands", json!(tree.texts("Command")));
    for flag in ["Stdin", "StdinOnce", "Tty"] {
        put_flag(&mut out, flag, tree, flag);
    }
    for kind in ["LivenessProbe", "ReadinessProbe"] {
        if let Some(probe) = shown_probe(tree.at(kind)) {
            put(&mut out, kind, probe);
        }
    }
    out
}

/// Init containers say `Command` where containers say `Commands`, and have no probes.
fn shown_init_container(tree: &Tree) -> Value {
    let mut out = shown_common(tree);
    put(&mut out, "Command", json!(tree.texts("Command")));
    out
}

fn shown_probe(tree: &Tree) -> Option<Value> {
    if tree.is_empty() {
        return None;
    }
    let number = |path: &str, default: i64| tree.integer(path).ok().flatten().unwrap_or(default);
    let mut out = json!({
        "InitialDelaySeconds": number("InitialDelaySeconds", 0), "PeriodSeconds": number("PeriodSeconds", 10),
        "TimeoutSeconds": number("TimeoutSeconds", 1), "SuccessThreshold": number("SuccessThreshold", 1),
        "FailureThreshold": number("FailureThreshold", 3), "Execs": tree.texts("Exec.Command"),
    });
    if !tree.at("HttpGet").is_empty() {
        let scheme = tree.text("HttpGet.Scheme").unwrap_or("HTTP");
        let http =
            json!({"Path": tree.word("HttpGet.Path"), "Port": number("HttpGet.Port", 0), "Scheme": scheme});
        put(&mut out, "HttpGet", http);
    }
    if !tree.at("TcpSocket").is_empty() {
        put(&mut out, "TcpSocket", json!({"Host": "", "Port": number("TcpSocket.Port", 0)}));
    }
    Some(out)
}

/// Volumes are shown flat: the source's name is a prefix of each field.
fn shown_volume(tree: &Tree) -> Value {
    let mut out = Map::new();
    let mut text = |field: &str, path: &str| {
        if let Some(text) = tree.text(path) {
            out.insert(field.to_owned(), json!(text));
        }
    };
    text("Name", "Name");
    text("Type", "Type");
    text("EmptyDirVolumeMedium", "EmptyDirVolume.Medium");
    text("EmptyDirVolumeSizeLimit", "EmptyDirVolume.SizeLimit");
    text("NFSVolumeServer", "NFSVolume.Server");
    text("NFSVolumePath", "NFSVolume.Path");
    text("DiskVolumeDiskId", "DiskVolume.DiskId");
    text("DiskVolumeFsType", "DiskVolume.FsType");
    text("FlexVolumeDriver", "FlexVolume.Driver");
    text("FlexVolumeFsType", "FlexVolume.FsType");
    text("FlexVolumeOptions", "FlexVolume.Options");
    if tree.word("Type") == "NFSVolume" {
        out.insert("NFSVolumeReadOnly".into(), json!(tree.flag("NFSVolume.ReadOnly").unwrap_or_default()));
    }
    let files: Vec<Value> = (tree.list("ConfigFileVolume.ConfigFileToPath").into_iter())
        .map(|file| json!({"Path": file.word("Path"), "Content": file.word("Content")}))
        .collect();
    if !files.is_empty() {
        out.insert("ConfigFileVolumeConfigFileToPaths".into(), json!(files));
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::plan::PodPlan;

    fn tree(pairs: &[(&str, &str)]) -> Tree {
        Tree::read(pairs.iter().copied())
    }

    #[test]
    fn a_request_becomes_a_pod_that_the_core_reads() {
        let tree = tree(&[
            ("ContainerGroupName", "web"),
            ("Container.1.Name", "c"),
            ("Container.1.Image", "nginx"),
            ("Container.1.Command.1", "sh"),
            ("Container.1.Command.2", "-c"),
            ("Container.1.EnvironmentVar.1.Key", "IP"),
            ("Container.1.EnvironmentVar.1.FieldRef.FieldPath", "status.podIP"),
            ("Container.1.ReadinessProbe.HttpGet.Port", "80"),
            ("Container.1.ReadinessProbe.HttpGet.Path", "/h"),
            ("Container.1.LifecyclePreStopHandlerExec.1", "sync"),
            ("Container.1.VolumeMount.1.Name", "cfg"),
            ("Container.1.VolumeMount.1.MountPath", "/etc/x"),
            ("Container.1.VolumeMount.1.ReadOnly", "True"),
            ("InitContainer.1.Name", "i"),
            ("InitContainer.1.Image", "busybox"),
            ("InitContainer.1.Command.1", "true"),
            ("Volume.1.Name", "cfg"),
            ("Volume.1.Type", "ConfigFileVolume"),
            ("Volume.1.ConfigFileVolume.DefaultMode", "384"),
            ("Volume.1.ConfigFileVolume.ConfigFileToPath.1.Path", "a.txt"),
            ("Volume.1.ConfigFileVolume.ConfigFileToPath.1.Content", "aGVsbG8="),
            ("HostAliase.1.Ip", "10.0.0.9"),
            ("HostAliase.1.Hostname.1", "db"),
            ("TerminationGracePeriodSeconds", "5"),
        ]);
        let plan = PodPlan::read(&json!({"metadata": {"name": "web"}, "spec": spec(&tree)})).expect("a plan");
        let container = &plan.spec.containers[0];
        assert_eq!(container.command, ["sh", "-c"]);
        assert_eq!(
            (plan.grace_seconds(), plan.spec.host_aliases[0].hostnames.clone()),
            (5, vec!["db".to_owned()])
        );
        assert!(
            container
                .readiness_probe
                .as_ref()
                .is_some_and(|p| p.http_get.as_ref().is_some_and(|h| h.path == "/h"))
        );
        assert!(container.lifecycle.pre_stop.is_some() && container.volume_mounts[0].read_only);
        let file = &plan.spec.volumes[0].inline_files.as_ref().expect("files")[0];
        assert_eq!((file.path.as_str(), file.mode), ("a.txt", Some(0o600)));
        let shown = shown(&tree);
        assert_eq!(shown["InitContainers"][0]["Command"], json!(["true"]));
        assert_eq!(shown["Containers"][0]["Commands"], json!(["sh", "-c"]));
        assert_eq!(
            shown["Containers"][0]["EnvironmentVars"][0]["ValueFrom"]["FieldRef"]["FieldPath"],
            "status.podIP"
        );
        assert_eq!(shown["Volumes"][0]["ConfigFileVolumeConfigFileToPaths"][0]["Path"], "a.txt");
    }

    #[test]
    fn hidden_environments_are_not_shown() {
        let shown = shown(&tree(&[
            ("Container.1.Name", "c"),
            ("Container.1.EnvironmentVarHide", "true"),
            ("Container.1.EnvironmentVar.1.Key", "SECRET"),
            ("Container.1.EnvironmentVar.1.Value", "x"),
        ]));
        assert_eq!(shown["Containers"][0]["EnvironmentVars"], json!([]));
    }
}
