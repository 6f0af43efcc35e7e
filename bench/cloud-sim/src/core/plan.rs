//! The parts of a pod's spec that running it needs, read once at creation.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::Value;

/// A pod to run.
#[derive(Debug)]
pub(crate) struct PodPlan {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) spec: PodSpec,
    /// The address that it asks for, if that is free.
    pub(crate) address: Option<Ipv4Addr>,
}

/// `spec` of a Pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSpec {
    pub(crate) containers: Vec<Container>,
    pub(crate) init_containers: Vec<Container>,
    pub(crate) restart_policy: RestartPolicy,
    pub(crate) termination_grace_period_seconds: Option<u32>,
    pub(crate) active_deadline_seconds: Option<u32>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) hostname: Option<String>,
    pub(crate) service_account_name: Option<String>,
    pub(crate) host_aliases: Vec<HostAlias>,
    pub(crate) dns_config: DnsConfig,
    pub(crate) node_name: Option<String>,
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) security_context: SecurityContext,
}

/// `spec.containers[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<EnvVar>,
    pub(crate) env_from: Vec<EnvFrom>,
    pub(crate) working_dir: Option<String>,
    pub(crate) volume_mounts: Vec<VolumeMount>,
    pub(crate) resources: Resources,
    /// On an init container, `Always` makes it a sidecar.
    pub(crate) restart_policy: Option<RestartPolicy>,
    pub(crate) termination_message_path: Option<String>,
    pub(crate) security_context: SecurityContext,
    pub(crate) readiness_probe: Option<Box<Probe>>,
    pub(crate) liveness_probe: Option<Box<Probe>>,
    pub(crate) startup_probe: Option<Box<Probe>>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) ports: Vec<Port>,
}

/// `restartPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum RestartPolicy {
    #[default]
    Always,
    OnFailure,
    Never,
}

/// `resources`, amounts as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    pub(crate) requests: BTreeMap<String, Value>,
    pub(crate) limits: BTreeMap<String, Value>,
}

/// `env[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvVar {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) value_from: Option<Box<EnvSource>>,
}

/// `env[].valueFrom`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvSource {
    pub(crate) field_ref: Option<FieldRef>,
    pub(crate) resource_field_ref: Option<ResourceFieldRef>,
    pub(crate) config_map_key_ref: Option<KeyRef>,
    pub(crate) secret_key_ref: Option<KeyRef>,
}

/// `fieldRef`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FieldRef {
    pub(crate) field_path: String,
}

/// `resourceFieldRef`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ResourceFieldRef {
    pub(crate) container_name: Option<String>,
    pub(crate) resource: String,
    pub(crate) divisor: Option<Value>,
}

/// A key of a ConfigMap or Secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct KeyRef {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) optional: bool,
}

/// `envFrom[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EnvFrom {
    pub(crate) prefix: String,
    pub(crate) config_map_ref: Option<ObjectRef>,
    pub(crate) secret_ref: Option<ObjectRef>,
}

/// A ConfigMap or Secret by name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ObjectRef {
    pub(crate) name: String,
    pub(crate) optional: bool,
}

/// `volumeMounts[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    pub(crate) sub_path: String,
    pub(crate) read_only: bool,
}

/// `volumes[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) config_map: Option<FileSource>,
    pub(crate) secret: Option<FileSource>,
    pub(crate) empty_dir: Option<Value>,
    pub(crate) persistent_volume_claim: Option<ClaimSource>,
    #[serde(rename = "downwardAPI")]
    pub(crate) downward_api: Option<FileSource>,
    pub(crate) projected: Option<Projected>,
    /// Files that came with the request (clouds without ConfigMaps).
    pub(crate) inline_files: Option<Vec<InlineFile>>,
}

/// `persistentVolumeClaim` of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ClaimSource {
    pub(crate) claim_name: String,
    pub(crate) read_only: bool,
}

/// A file written into the request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InlineFile {
    pub(crate) path: String,
    /// Base64.
    pub(crate) content: String,
    pub(crate) mode: Option<u32>,
}

/// A ConfigMap, Secret or downward source of files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FileSource {
    /// ConfigMap's name (and a projected Secret's).
    pub(crate) name: String,
    /// A Secret volume's name.
    pub(crate) secret_name: String,
    pub(crate) items: Option<Vec<FileItem>>,
    pub(crate) default_mode: Option<u32>,
    pub(crate) optional: bool,
}

/// `items[]` of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct FileItem {
    pub(crate) key: String,
    pub(crate) path: String,
    pub(crate) mode: Option<u32>,
    pub(crate) field_ref: Option<FieldRef>,
    pub(crate) resource_field_ref: Option<ResourceFieldRef>,
}

/// A `projected` volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Projected {
    pub(crate) sources: Vec<ProjectedSource>,
    pub(crate) default_mode: Option<u32>,
}

/// `projected.sources[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ProjectedSource {
    pub(crate) config_map: Option<FileSource>,
    pub(crate) secret: Option<FileSource>,
    #[serde(rename = "downwardAPI")]
    pub(crate) downward_api: Option<FileSource>,
    pub(crate) service_account_token: Option<Value>,
}

/// `hostAliases[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HostAlias {
    pub(crate) ip: String,
    pub(crate) hostnames: Vec<String>,
}

/// `dnsConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DnsConfig {
    pub(crate) nameservers: Vec<String>,
    pub(crate) searches: Vec<String>,
    pub(crate) options: Vec<DnsOption>,
}

/// `dnsConfig.options[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DnsOption {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// The parts of a security context that the process runtime honours.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct SecurityContext {
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    pub(crate) read_only_root_filesystem: Option<bool>,
}

/// A probe.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Probe {
    pub(crate) exec: Option<ExecAction>,
    pub(crate) http_get: Option<HttpGet>,
    pub(crate) tcp_socket: Option<TcpSocket>,
    pub(crate) initial_delay_seconds: u32,
    pub(crate) period_seconds: Option<u32>,
    pub(crate) timeout_seconds: Option<u32>,
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) success_threshold: Option<u32>,
}

/// `exec` of a probe or hook.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExecAction {
    pub(crate) command: Vec<String>,
}

/// `httpGet` of a probe or hook.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HttpGet {
    pub(crate) path: String,
    pub(crate) port: Value,
}

/// `tcpSocket` of a probe.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TcpSocket {
    pub(crate) port: Value,
}

/// `lifecycle`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Lifecycle {
    pub(crate) pre_stop: Option<Hook>,
}

/// A life-cycle hook; only `exec` is honoured.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Hook {
    pub(crate) exec: Option<ExecAction>,
}

/// `ports[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) container_port: u16,
}

impl PodPlan {
    /// Reads a Pod; the error names the field that has the wrong type.
    pub(crate) fn read(pod: &Value) -> Result<Self, String> {
        let text =
            |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let map = |pointer: &str| {
            let entries = pod.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
            entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
        };
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        let spec = PodSpec::deserialize(spec).map_err(|error| format!("spec: {error}"))?;
        Ok(Self {
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
            labels: map("/metadata/labels"),
            annotations: map("/metadata/annotations"),
            spec,
            address: None,
        })
    }

    /// Seconds between SIGTERM and SIGKILL unless the delete says otherwise.
    pub(crate) fn grace_seconds(&self) -> u32 {
        self.spec.termination_grace_period_seconds.unwrap_or(30)
    }

    /// The host name inside.
    pub(crate) fn hostname(&self) -> &str {
        self.spec.hostname.as_deref().unwrap_or(&self.name)
    }

    /// A container or init container by name.
    pub(crate) fn container(&self, name: &str) -> Option<&Container> {
        self.spec.containers.iter().chain(&self.spec.init_containers).find(|c| c.name == name)
    }
}

impl Container {
    /// A restartable init container.
    pub(crate) fn is_sidecar(&self) -> bool {
        self.restart_policy == Some(RestartPolicy::Always)
    }

    /// A port by number or name.
    pub(crate) fn port(&self, port: &Value) -> Option<u16> {
        match port {
            Value::Number(number) => number.as_u64().and_then(|n| u16::try_from(n).ok()),
            Value::String(name) => {
                let named = self.ports.iter().find(|p| p.name == *name).map(|p| p.container_port);
                named.or_else(|| name.parse().ok())
            }
            _ => None,
        }
    }
}
