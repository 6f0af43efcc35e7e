use std::io::Write;
use std::time::Duration;

use super::*;
use crate::cloud::cci::Generation;

const GOOD: &str = r"
address: 198.18.0.1
kubelet: { selfSigned: true }
nodes:
- name: burst-a
  provider: cci
  port: 10250
  capacity: { cpu: 200, memory: 512Gi, pods: 1000, ephemeral-storage: 20Ti }
  labels: { example.com/Team: Shop }
  taints: [{ key: example.com/extra, effect: NoSchedule }]
  cci: &cci
    endpoint: https://198.18.0.1:7443
    region: cn-north-4
    projectId: p
    domainId: d
    accessKeyFile: ak
    secretKeyFile: sk
    network: { vpcId: v, networkId: n, subnetId: s, cidr: 192.168.0.0/18 }
- name: burst-b
  provider: cci
  port: 10350
  capacity: { cpu: '1', memory: 1Gi, pods: 10 }
  cci: *cci
- name: virtual-node-eci-0
  provider: eci
  port: 10550
  capacity: { cpu: 1000, memory: 2Ti, pods: 3000, others: { nvidia.com/gpu: 8 } }
  eci: { region: cn-hangzhou, vSwitches: [vsw-1, vsw-2], securityGroup: sg-1, accessKeyFile: ak, secretKeyFile: sk }
- name: burst-m
  provider: mock
  port: 10450
  capacity: { cpu: 100, memory: 1Ti, pods: 100, others: { nvidia.com/gpu: 4 } }
  mock: { startDelay: 500ms, stopDelay: 2s, availableZone: m }
- name: burst-e
  provider: kubernetes
  port: 10650
  capacity: { cpu: 100, memory: 1Ti, pods: 100, others: { nvidia.com/gpu: 4 } }
  kubernetes: { kubeconfigFile: east.kubeconfig, context: east, namespacePrefix: guests }
";

fn read(text: &str, env: &[(&str, &str)]) -> Result<BridgeConfig, ConfigProblem> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    load(file.path(), |key| env.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
}

#[test]
fn the_contract_is_read() {
    let config = read(GOOD, &[]).unwrap();
    assert_eq!(config.nodes.len(), 5);
    assert_eq!(config.nodes[0].capacity.cpu, "200");
    assert_eq!(config.nodes[0].capacity.ephemeral_storage.as_deref(), Some("20Ti"));
    assert_eq!(config.nodes[0].labels.get("example.com/Team").map(String::as_str), Some("Shop"));
    assert_eq!(config.nodes[1].cci.as_ref().unwrap().network.cidr, "192.168.0.0/18");
    let mock = &config.nodes[3];
    assert_eq!(config.nodes[2].cloud_region(), Some("cn-hangzhou"));
    assert_eq!(config.nodes[2].eci.as_ref().unwrap().v_switches.items(), ["vsw-1", "vsw-2"]);
    assert_eq!(mock.capacity.others["nvidia.com/gpu"], "4");
    assert_eq!(mock.mock.as_ref().unwrap().delays(), Ok([500, 2000].map(Duration::from_millis)));
    assert_eq!(mock.cloud_zone(), "m");
    assert_eq!(config.http.bind.to_string(), "127.0.0.1:10262");
    assert!(config.impersonate_nodes);
    assert_eq!(config.pods.finished_ttl_seconds, 30);
}

/// CCI 2.0 is a word of the configuration, quoted or as a number, and needs less of the network.
#[test]
fn both_generations_of_cci_are_read() {
    let generation = |text: &str| read(text, &[]).unwrap().nodes[0].cci.as_ref().unwrap().generation();
    assert_eq!(generation(GOOD), Ok(Generation::One));
    for api in ["'2.0'", "2.0", "'2'"] {
        let text = GOOD.replace("vpcId: v, networkId: n, ", "").replace(", cidr: 192.168.0.0/18", "");
        let text = text.replace("    region: cn-north-4", &format!("    region: cn-north-4\n    api: {api}"));
        assert_eq!(generation(&text), Ok(Generation::Two), "{api}");
    }
}

#[test]
fn scalars_can_come_from_the_environment() {
    let env = [
        ("BURST_HTTP_BIND", "127.0.0.1:9"),
        ("BURST_IMPERSONATE_NODES", "false"),
        ("BURST_PODS_FINISHED_TTL_SECONDS", "5"),
        ("BURST_ADDRESS", "10.0.0.7"),
        // What Kubernetes injects for a Service of that name must not matter.
        ("BURST_SCHEDULER_SERVICE_HOST", "10.96.0.1"),
    ];
    let config = read(GOOD, &env).unwrap();
    assert_eq!(config.http.bind.port(), 9);
    assert!(!config.impersonate_nodes);
    assert_eq!(config.pods.finished_ttl_seconds, 5);
    assert_eq!(config.address.to_string(), "10.0.0.7");
}

/// The names of the vendor's chart: an installation of its virtual node moves without a settings section.
#[test]
fn the_vendors_variables_are_read() {
    let (before, rest) = GOOD.split_once("  eci: {").unwrap();
    let text = format!("{before}{}", rest.split_once("}\n").unwrap().1);
    let env = [
        ("ECI_REGION", "cn-beijing"),
        ("ECI_VSWITCH", "vsw-xxxxxxx1, vsw-xxxxxxx2 ,vsw-xxxxxxx3"),
        ("ECI_SECURITY_GROUP", "sg-9"),
        ("ALIYUN_CLUSTERID", "c0ffee"),
        ("ALIYUN_RESOURCEGROUP_ID", "rg-1"),
        ("ECI_KUBE_PROXY", "False"),
        ("ECI_ACCESS_KEY", "AK"),
        ("ECI_SECRET_KEY", "topsecret"),
    ];
    let config = read(&text, &env).unwrap();
    let node = &config.nodes[2];
    let eci = node.eci.as_ref().unwrap();
    assert_eq!(node.cloud_region(), Some("cn-beijing"));
    assert_eq!(eci.v_switches.items(), ["vsw-xxxxxxx1", "vsw-xxxxxxx2", "vsw-xxxxxxx3"]);
    assert_eq!((eci.security_group.as_deref(), eci.kube_proxy), (Some("sg-9"), Some(false)));
    assert_eq!((eci.cluster_id.as_deref(), eci.resource_group.as_deref()), (Some("c0ffee"), Some("rg-1")));
    assert!(node.names_its_cluster());
    assert!(!format!("{config:?}").contains("topsecret"));
    assert_eq!(eci.keys.as_ref().unwrap().0, "AK");
    // What the file says wins.
    let config = read(GOOD, &env).unwrap();
    assert_eq!(config.nodes[2].cloud_region(), Some("cn-hangzhou"));
    assert!(config.nodes[2].eci.as_ref().unwrap().keys.is_none());
    let text = read(&text, &[("ECI_KUBE_PROXY", "perhaps")]).unwrap_err().to_string();
    assert!(text.contains("nodes[2].eci.kubeProxy") && text.contains("true or false"), "{text}");
}

/// As the vendor's StatefulSet: so many virtual nodes, numbered from 0, each with a port of its own.
#[test]
fn several_nodes_from_one_entry() {
    let named = |count: &str| {
        GOOD.replacen("name: virtual-node-eci-0", &format!("name: virtual-node-eci\n  count: {count}"), 1)
    };
    let config = read(&named("4"), &[]).unwrap();
    let eci: Vec<_> = config.nodes.iter().filter(|node| node.provider == "eci").collect();
    let names: Vec<_> = eci.iter().map(|node| (node.name.as_str(), node.port)).collect();
    let wanted = [0, 1, 2, 3].map(|i| (format!("virtual-node-eci-{i}"), 10550 + i));
    assert_eq!(names, wanted.iter().map(|(name, port)| (name.as_str(), *port)).collect::<Vec<_>>());
    assert!(eci.iter().all(|node| node.eci.as_ref().unwrap().v_switches.items() == ["vsw-1", "vsw-2"]));
    // Messages name the entry of the file, also after one that became several.
    let cases: [(String, &[&str]); 4] = [
        (named("0"), &["nodes[2].count", "at least 1"]),
        (named("60000"), &["nodes[2].port", "65535"]),
        (named("200"), &["nodes[4].port", "10650", "already used by virtual-node-eci-100"]),
        (named("4").replacen("stopDelay: 2s", "stopDelay: soon", 1), &["nodes[3].mock.stopDelay", "soon"]),
    ];
    for (text, words) in cases {
        let said = read(&text, &[]).unwrap_err().to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

/// Each bad file is refused with the file, the key and what to do.
#[test]
fn bad_files_are_refused_in_words() {
    let cases: [(&str, &str, &[&str]); 41] = [
        ("address: 198", "addres: 198", &["addres", "unknown field"]),
        ("    projectId: p", "    projectID: p", &["projectID"]),
        ("memory: 512Gi, pods", "memory: 4X, pods", &["nodes[0].capacity.memory", "4X", "512Gi"]),
        ("cpu: '1'", "cpu: -1", &["nodes[1].capacity.cpu", "-1"]),
        ("name: burst-b", "name: burst-a", &["nodes[1].name", "already the name of nodes[0]"]),
        ("port: 10350", "port: 10250", &["nodes[1].port", "10250", "burst-a"]),
        ("port: 10350", "port: 10262", &["nodes[1].port", "http.bind"]),
        ("port: 10350", "port: 70000", &["port"]),
        ("name: burst-b", "name: Burst_B", &["nodes[1].name", "Burst_B", "lower-case"]),
        ("kubelet: { selfSigned: true }", "kubelet: { certFile: a }", &["kubelet.keyFile", "set both"]),
        ("kubelet: { selfSigned: true }", "kubelet: {}", &["kubelet", "selfSigned"]),
        (
            "provider: cci\n  port: 10350",
            "provider: gcp\n  port: 10350",
            &["nodes[1].provider", "gcp", "cci"],
        ),
        ("  cci: *cci", "", &["nodes[1].cci", "missing"]),
        (
            "    region: cn-north-4",
            "    region: r\n    api: '3.0'",
            &["nodes[0].cci.api", "3.0", "1.0 or 2.0"],
        ),
        ("    domainId: d", "    api: '2.0'", &["nodes[0].cci.domainId", "CCI 2.0"]),
        ("vpcId: v, ", "", &["nodes[0].cci.network.vpcId", "CCI 1.0"]),
        (", cidr: 192.168.0.0/18", "", &["nodes[0].cci.network.cidr", "CCI 1.0"]),
        ("subnetId: s, ", "subnetId: s, subnets: [t], ", &["nodes[0].cci.network.subnets", "one subnet"]),
        ("stopDelay: 2s", "stopDelay: soon", &["nodes[3].mock.stopDelay", "soon", "500ms"]),
        ("stopDelay: 2s", "stopDelay: -2s", &["nodes[3].mock.stopDelay", "-2s"]),
        ("stopDelay: 2s", "stopTime: 2s", &["stopTime", "unknown field"]),
        ("gpu: 4", "gpu: 1.5", &["nodes[3].capacity.others.nvidia.com/gpu", "whole"]),
        ("nvidia.com/gpu: 4", "gpu: 4", &["nodes[3].capacity.others.gpu", "nvidia.com/gpu"]),
        (
            "pods: 10 }",
            "pods: 10, others: { nvidia.com/gpu: 1 } }",
            &["nodes[1].capacity.others.nvidia.com/gpu", "provider cci has no devices"],
        ),
        ("  cci: *cci", "  cci: *cci\n  mock: {}", &["nodes[1].mock", "belongs to provider mock"]),
        ("region: cn-hangzhou, ", "", &["nodes[2].eci.region", "ECI_REGION"]),
        ("[vsw-1, vsw-2]", "[' ', ',']", &["nodes[2].eci.vSwitches", "ECI_VSWITCH"]),
        ("[vsw-1, vsw-2]", "'1,2,3,4,5,6,7,8,9,10,11'", &["nodes[2].eci.vSwitches", "11", "at most 10"]),
        ("securityGroup: sg-1, ", "", &["nodes[2].eci.securityGroup", "ECI_SECURITY_GROUP"]),
        (", secretKeyFile: sk }", " }", &["nodes[2].eci.secretKeyFile", "set both"]),
        (
            ", secretKeyFile: sk }",
            ", secretKeyFile: sk, stsFile: s }",
            &["nodes[2].eci.stsFile", "remove one"],
        ),
        ("region: cn-hangzhou, ", "region: cn-hangzhou, poll: 1h, ", &["nodes[2].eci.poll", "3s"]),
        (
            "region: cn-hangzhou, ",
            "region: cn-hangzhou, clusterDns: dns, ",
            &["nodes[2].eci.clusterDns", "address"],
        ),
        (
            "nvidia.com/gpu: 8",
            "amd.com/gpu: 8",
            &["nodes[2].capacity.others.amd.com/gpu", "provider eci has no"],
        ),
        ("kubeconfigFile: east.kubeconfig, ", "", &["nodes[4].kubernetes", "set kubeconfigFile, or server"]),
        (
            "kubeconfigFile: east.kubeconfig, context: east",
            "server: https://east:6443",
            &["nodes[4].kubernetes.tokenFile", "missing beside server"],
        ),
        ("context: east", "server: https://east:6443", &["nodes[4].kubernetes.server", "contradicts"]),
        ("context: east", "tokenFile: t", &["nodes[4].kubernetes.kubeconfigFile", "remove tokenFile"]),
        (
            "context: east",
            "namespace: all",
            &["nodes[4].kubernetes.namespacePrefix", "contradicts namespace"],
        ),
        ("namespacePrefix: guests", "namespacePrefix: G", &["nodes[4].kubernetes.namespacePrefix", "\"G\""]),
        (
            "  kubernetes: { kubeconfigFile: east.kubeconfig, context: east, namespacePrefix: guests }",
            "",
            &["nodes[4].kubernetes", "missing"],
        ),
    ];
    for (from, to, expected) in cases {
        assert!(GOOD.contains(from), "{from}");
        let text = read(&GOOD.replacen(from, to, 1), &[]).expect_err(to).to_string();
        assert!(text.starts_with("configuration file /"), "{text}");
        for word in expected {
            assert!(text.contains(word), "{to}: {word:?} is not in {text}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let text = load(std::path::Path::new("absent.yaml"), |_| None).unwrap_err().to_string();
    assert!(text.contains("absent.yaml") && text.contains("--config"), "{text}");
}

#[test]
fn something_that_is_not_yaml_is_refused() {
    assert!(matches!(read("nodes: [", &[]), Err(ConfigProblem::Malformed { .. })));
    assert!(matches!(read("", &[]), Err(ConfigProblem::Malformed { .. })));
}

const CUBE: &str = "
address: 198.18.0.1
kubelet: { selfSigned: true }
nodes:
- name: uk8s-c-vk-0
  provider: cube
  port: 10250
  capacity: { cpu: 200, memory: 512Gi, pods: 200 }
  cube: { region: cn-bj2, availableZone: cn-bj2-05, projectId: org-xyz, vpcId: uvnet-1, subnetId: subnet-1,
    defaultSize: { cpu: 500m, memory: 1Gi }, publicKeyFile: pub, privateKeyFile: priv }
";

#[test]
fn a_cube_node_takes_200_pods_if_nothing_is_said() {
    let pods = |text: &str| read(text, &[]).map(|config| config.nodes[0].capacity.pods);
    assert_eq!(pods(&CUBE.replacen(", pods: 200", "", 1)), Ok(200));
    assert_eq!(pods(&CUBE.replacen("pods: 200", "pods: 50", 1)), Ok(50));
    let text = pods(&GOOD.replacen(", pods: 1000", "", 1)).expect_err("CCI's node").to_string();
    assert!(text.contains("nodes[0].capacity.pods") && text.contains("1000"), "{text}");
}

#[test]
fn a_cluster_has_at_most_eight_virtual_nodes_of_cube_unless_more_are_granted() {
    let nodes = |count: usize, more: &str| {
        let text = CUBE.replacen("port: 10250", &format!("port: 10300\n  count: {count}"), 1);
        read(&text.replacen("region: cn-bj2, ", &format!("region: cn-bj2, {more}"), 1), &[])
            .map(|config| config.nodes.len())
    };
    assert_eq!(nodes(8, ""), Ok(8));
    let text = nodes(9, "").expect_err("one too many").to_string();
    assert!(text.contains("nodes[0].cube.nodesMax") && text.contains("may have 8"), "{text}");
    assert_eq!(nodes(12, "nodesMax: 12, "), Ok(12));
    assert!(nodes(13, "nodesMax: 12, ").is_err());
}

#[test]
fn settings_of_cube_are_read_and_refused_in_words() {
    let config = read(CUBE, &[]).unwrap();
    let node = &config.nodes[0];
    assert_eq!((node.cloud_zone(), node.cloud_region()), ("cn-bj2-05", Some("cn-bj2")));
    assert!(!node.names_its_cluster());
    assert_eq!(node.cube.as_ref().unwrap().default_size().unwrap().cpu_milli, 500);
    let cases: [(&str, &str, &[&str]); 9] = [
        ("region: cn-bj2, ", "", &["nodes[0].cube.region", "UCLOUD_REGION"]),
        ("availableZone: cn-bj2-05, ", "", &["nodes[0].cube.availableZone", "cn-bj2-05"]),
        ("projectId: org-xyz, ", "", &["nodes[0].cube.projectId", "UCLOUD_PROJECT_ID"]),
        ("vpcId: uvnet-1, ", "", &["nodes[0].cube.vpcId", "uvnet-1"]),
        ("subnetId: subnet-1,", "", &["nodes[0].cube.subnetId", "subnet-1"]),
        (
            "memory: 1Gi }",
            "memory: 3Gi }",
            &["nodes[0].cube.defaultSize", "500m / 3Gi is not a size of Cube"],
        ),
        (", privateKeyFile: priv", "", &["nodes[0].cube.privateKeyFile", "set both"]),
        ("region: cn-bj2, ", "region: cn-bj2, poll: 1h, ", &["nodes[0].cube.poll", "3s"]),
        ("region: cn-bj2, ", "region: cn-bj2, clusterDns: dns, ", &["nodes[0].cube.clusterDns", "address"]),
    ];
    for (from, to, expected) in cases {
        assert!(CUBE.contains(from), "{from}");
        let text = read(&CUBE.replacen(from, to, 1), &[]).expect_err(to).to_string();
        for word in expected {
            assert!(text.contains(word), "{to}: {word:?} is not in {text}");
        }
    }
    let text = CUBE.replace(", publicKeyFile: pub, privateKeyFile: priv", "");
    assert!(read(&text, &[]).unwrap_err().to_string().contains("UCLOUD_PRIVATE_KEY"));
    let env = [("UCLOUD_PUBLIC_KEY", "pub1"), ("UCLOUD_PRIVATE_KEY", "topsecret")];
    let config = read(&text, &env).unwrap();
    assert_eq!(config.nodes[0].cube.as_ref().unwrap().keys.as_ref().unwrap().0, "pub1");
    assert!(!format!("{config:?}").contains("topsecret"));
}
