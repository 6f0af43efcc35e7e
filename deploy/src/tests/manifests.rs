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

#[test]
fn programs_configurations_inside_config_maps_parse() {
    let maps = objects().into_iter().filter(|(_, o)| o["kind"] == "ConfigMap");
    let mut seen = 0;
    for (file, map) in maps {
        let text = map["data"]["config.yaml"].as_str().unwrap();
        let config: Value = serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(config.is_object(), "{file}");
        seen += 1;
    }
    assert_eq!(seen, 2);
}
