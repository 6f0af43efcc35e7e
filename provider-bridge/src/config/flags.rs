//! The configuration of one virtual node from flags, as virtual-kubelet is started: `--provider mock --nodename vk-0`.
//!
//! `--provider-config` is for the mock what virtual-kubelet's own mock reads: JSON with `cpu`, `memory`, `pods` and `others`
//! by the node's name. For the other providers it is an entry of `nodes` without name, provider and port. Facts:
//! virtual-kubelet's `cmd/virtual-kubelet/internal/commands/root/flag.go` and its provider `mock`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use super::load::{ConfigProblem, finish, one_line};
use super::{BridgeConfig, KubeletConfig};

/// What stands on the command line in place of a configuration file.
#[derive(Clone, Debug)]
pub struct Flags {
    /// `--provider`.
    pub provider: String,
    /// `--nodename`.
    pub node_name: String,
    /// `--provider-config`.
    pub provider_config: Option<PathBuf>,
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// Address of the virtual node: where the API server reaches its kubelet port.
    pub address: IpAddr,
    /// Kubelet port.
    pub port: u16,
    /// Certificates of the kubelet port; a self-signed one is made where there is no file.
    pub kubelet: KubeletConfig,
}

/// A node in the file of virtual-kubelet's mock; what it does not say is that mock's default.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct MockNode {
    cpu: String,
    memory: String,
    pods: String,
    others: BTreeMap<String, String>,
    /// Of no use here: the node has the provider's own id.
    #[serde(rename = "providerID")]
    _provider_id: String,
}

impl Default for MockNode {
    fn default() -> Self {
        Self {
            cpu: "20".to_owned(),
            memory: "100Gi".to_owned(),
            pods: "20".to_owned(),
            others: BTreeMap::new(),
            _provider_id: String::new(),
        }
    }
}

/// Makes the configuration that the flags mean, and checks it as if it were a file.
///
/// # Errors
/// [`ConfigProblem`] with the file of `--provider-config` and its key, or with `--provider` where there is none.
pub fn from_flags(
    flags: &Flags,
    env: impl Fn(&str) -> Option<String>,
) -> Result<BridgeConfig, ConfigProblem> {
    let file = flags.provider_config.as_deref();
    let name = file.map_or_else(|| "of the flags".to_owned(), |file| file.display().to_string());
    let text = file.map(read).transpose()?;
    let mut node = match (flags.provider.as_str(), &text) {
        ("mock", text) => mock(&name, text.as_deref(), &flags.node_name)?,
        (_, Some(text)) => entry(&name, text)?,
        (_, None) => json!({}),
    };
    if node["capacity"].is_null() {
        node["capacity"] = json!({"cpu": "4000", "memory": "16Ti", "pods": 3000});
    }
    node["name"] = json!(flags.node_name);
    node["provider"] = json!(flags.provider);
    node["port"] = json!(flags.port);
    let KubeletConfig { cert_file, key_file, client_ca_file, .. } = &flags.kubelet;
    let document = json!({
        "kubeconfig": flags.kubeconfig,
        "address": flags.address,
        "kubelet": {
            "certFile": cert_file, "keyFile": key_file, "clientCaFile": client_ca_file,
            "selfSigned": cert_file.is_none() && key_file.is_none(),
        },
        "nodes": [node],
    });
    finish(&name, &document.to_string(), env)
}

fn read(file: &Path) -> Result<String, ConfigProblem> {
    let named = |error: std::io::Error| ConfigProblem::Unreadable {
        file: file.display().to_string(),
        reason: error.to_string(),
        flag: "--provider-config",
    };
    std::fs::read_to_string(file).map_err(named)
}

fn malformed(file: &str, reason: &str) -> ConfigProblem {
    ConfigProblem::Malformed { file: file.to_owned(), reason: one_line(reason) }
}

/// A node of the mock. A file that does not name it leaves the mock's defaults, as in virtual-kubelet.
fn mock(file: &str, text: Option<&str>, node: &str) -> Result<Value, ConfigProblem> {
    let mut nodes: BTreeMap<String, MockNode> =
        serde_json::from_str(text.unwrap_or("{}")).map_err(|error| malformed(file, &error.to_string()))?;
    let found = nodes.remove(node).unwrap_or_default();
    let pods: u32 = found.pods.parse().map_err(|_| {
        malformed(
            file,
            &format!("{node}.pods: {:?} is not a number of pods; write for example \"128\"", found.pods),
        )
    })?;
    Ok(json!({"capacity": {"cpu": found.cpu, "memory": found.memory, "pods": pods, "others": found.others}}))
}

/// An entry of `nodes`, without what the flags say.
fn entry(file: &str, text: &str) -> Result<Value, ConfigProblem> {
    let entry: Value = serde_saphyr::from_str(text).map_err(|error| malformed(file, &error.to_string()))?;
    let Some(fields) = entry.as_object() else {
        return Err(malformed(file, "is not an entry of nodes: write for example `eci: {…}`"));
    };
    for (key, flag) in [("name", "--nodename"), ("provider", "--provider"), ("port", "--kubelet-port")] {
        if fields.contains_key(key) {
            return Err(malformed(file, &format!("{key} is said by {flag}; remove it here")));
        }
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(provider: &str, file: Option<&Path>) -> Flags {
        Flags {
            provider: provider.to_owned(),
            node_name: "vkubelet-mock-0".to_owned(),
            provider_config: file.map(Path::to_owned),
            kubeconfig: Some("admin.kubeconfig".into()),
            address: IpAddr::from([198, 18, 0, 1]),
            port: 10250,
            kubelet: KubeletConfig::default(),
        }
    }

    fn with(provider: &str, text: &str) -> Result<BridgeConfig, ConfigProblem> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("provider.json");
        std::fs::write(&file, text).unwrap();
        from_flags(&flags(provider, Some(&file)), |_| None)
    }

    /// The file that virtual-kubelet's own end-to-end tests start its mock with, and its defaults without one.
    #[test]
    fn the_mocks_json_is_read() {
        let text = r#"{"vkubelet-mock-0": {"cpu": "2", "memory": "32Gi", "pods": "128",
            "others": {"nvidia.com/gpu": "1"}, "providerID": "aws://i-1"}, "another": {"pods": "1"}}"#;
        let config = with("mock", text).unwrap();
        let [node] = config.nodes.as_slice() else { panic!("{:?}", config.nodes) };
        let capacity = &node.capacity;
        assert_eq!((node.name.as_str(), node.provider.as_str()), ("vkubelet-mock-0", "mock"));
        assert_eq!((capacity.cpu.as_str(), capacity.memory.as_str(), capacity.pods), ("2", "32Gi", 128));
        assert_eq!(capacity.others["nvidia.com/gpu"], "1");
        assert!(config.kubelet.self_signed && config.kubeconfig.is_some());
        for text in ["{}", r#"{"another": {"cpu": "1"}}"#] {
            let node = with("mock", text).unwrap().nodes.remove(0);
            assert_eq!((node.capacity.cpu.as_str(), node.capacity.pods), ("20", 20));
        }
        assert_eq!(from_flags(&flags("mock", None), |_| None).unwrap().nodes[0].capacity.memory, "100Gi");
    }

    /// What the vendor's old page tells to set is enough: variables, and no settings in a file.
    #[test]
    fn variables_of_the_vendor_are_enough() {
        let env = |name: &str| {
            let all = [
                ("ECI_REGION", "cn-hangzhou"),
                ("ECI_VSWITCH", "vsw-1, vsw-2"),
                ("ECI_SECURITY_GROUP", "sg-1"),
                ("ECI_ACCESS_KEY", "AK"),
                ("ECI_SECRET_KEY", "SK"),
            ];
            all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let config =
            from_flags(&Flags { node_name: "virtual-kubelet".into(), ..flags("eci", None) }, env).unwrap();
        assert_eq!(config.nodes[0].eci.as_ref().unwrap().v_switches.items(), ["vsw-1", "vsw-2"]);
        assert_eq!((config.nodes[0].name.as_str(), config.nodes[0].capacity.pods), ("virtual-kubelet", 3000));
        let config = with(
            "kubernetes",
            "kubernetes: {kubeconfigFile: east, namespacePrefix: guests}\ncapacity: {cpu: 5, memory: 1Gi, pods: 7}",
        );
        assert_eq!(config.unwrap().nodes[0].capacity.pods, 7);
    }

    #[test]
    fn what_the_file_cannot_mean_is_said() {
        let check = |provider: &str, text: &str, words: &[&str]| {
            let said = with(provider, text).unwrap_err().to_string();
            for word in words.iter().chain(&["provider.json"]) {
                assert!(said.contains(word), "{word} is not in {said}");
            }
        };
        check("mock", "{", &["line 1"]);
        check("mock", r#"{"vkubelet-mock-0": {"pods": "many"}}"#, &["vkubelet-mock-0.pods", "many", "128"]);
        check("mock", r#"{"vkubelet-mock-0": {"cores": "2"}}"#, &["cores", "cpu"]);
        check("mock", r#"{"vkubelet-mock-0": {"cpu": "2X"}}"#, &["nodes[0].capacity.cpu", "2X"]);
        check("eci", "name: x", &["--nodename"]);
        check("eci", "[]", &["entry of nodes"]);
        check("eci", "eci: {region: r}", &["nodes[0].eci.vSwitches", "ECI_VSWITCH"]);
        let missing = flags("mock", Some(Path::new("absent.json")));
        let said = from_flags(&missing, |_| None).unwrap_err().to_string();
        assert!(said.contains("absent.json") && said.contains("--provider-config"), "{said}");
        let said = from_flags(&flags("aws", None), |_| None).unwrap_err().to_string();
        assert!(said.contains("\"aws\" is not a provider"), "{said}");
    }
}
