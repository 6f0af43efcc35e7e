//! Every file parses, and every object is complete enough to be applied.

use serde_json::Value;

fn objects() -> Vec<(String, Value)> {
    let files = crate::files("manifests", ".yaml").unwrap();
    assert!(files.len() >= 6, "{files:?}");
    let each = files.into_iter();
    each.flat_map(|file| crate::documents(&file).unwrap().into_iter().map(move |o| (file.clone(), o)))
        .collect()
}

#[test]
fn objects_have_kind_and_name_and_no_object_is_there_twice() {
    let mut seen = std::collections::BTreeSet::new();
    for (file, object) in objects() {
        let field = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let id = ["/apiVersion", "/kind", "/metadata/namespace", "/metadata/name"].map(field).join(" ");
        assert!(!field("/apiVersion").is_empty() && !field("/kind").is_empty(), "{file}: {id}");
        assert!(!field("/metadata/name").is_empty(), "{file}: {id}");
        let part_of = object["metadata"]["labels"]["app.kubernetes.io/part-of"].as_str();
        assert_eq!(part_of, Some("burst"), "{file}: {id}");
        assert!(seen.insert(id.clone()), "{file}: {id} is there twice");
    }
}

#[test]
fn deployments_are_probed_bounded_and_unprivileged() {
    let deployments: Vec<_> = objects().into_iter().filter(|(_, o)| o["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), 2);
    for (file, deployment) in deployments {
        let spec = &deployment["spec"]["template"]["spec"];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{file}");
        for container in spec["containers"].as_array().unwrap() {
            for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                assert!(container[probe]["httpGet"]["path"].is_string(), "{file}: {probe}");
            }
            assert!(container["resources"]["requests"]["cpu"].is_string(), "{file}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{file}");
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{file}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{file}");
            assert_eq!(security["capabilities"]["drop"][0], "ALL", "{file}");
        }
        let labels = &deployment["spec"]["selector"]["matchLabels"];
        let budget = objects().into_iter().any(|(_, o)| {
            o["kind"] == "PodDisruptionBudget" && &o["spec"]["selector"]["matchLabels"] == labels
        });
        assert!(budget, "{file}: no PodDisruptionBudget");
    }
}

/// The text of a program's configuration in its ConfigMap.
fn configuration(program: &str) -> String {
    let objects = objects();
    let map = objects.iter().find(|(_, o)| o["kind"] == "ConfigMap" && o["metadata"]["name"] == program);
    map.unwrap_or_else(|| panic!("no ConfigMap {program}")).1["data"]["config.yaml"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn the_schedulers_configuration_is_one_that_it_reads() {
    let config: scheduler::config::Config =
        serde_saphyr::from_str(&configuration("burst-scheduler")).unwrap();
    assert!(config.marker, "the shipped KubeSchedulerConfiguration declares the marker");
    assert_eq!(config.https.bind.port(), 10260);
    assert!(config.https.cert_file.is_some() && config.https.key_file.is_some());
    assert_eq!(config.namespace_exempt, ["kube-system", "burst-system"]);
}

#[test]
fn the_bridges_configuration_is_one_that_it_reads() {
    let config: provider_bridge::config::BridgeConfig =
        serde_saphyr::from_str(&configuration("burst-bridge")).unwrap();
    assert!(config.impersonate_nodes, "least privilege: pods are read as the virtual node");
    assert_eq!(config.nodes.len(), 1);
    assert_eq!((config.nodes[0].provider.as_str(), config.nodes[0].port), ("cci", 10250));
}
