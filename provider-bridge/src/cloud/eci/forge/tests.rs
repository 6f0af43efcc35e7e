use std::sync::Arc;

use serde_json::{Value, json};

use super::super::parameters::flatten;
use super::*;
use crate::cloud::access_keys::Credentials;
use crate::cloud::{PodIdentity, golden};

pub(in crate::cloud) fn settings() -> EciSettings {
    EciSettings {
        cluster_id: "c-1".into(),
        node_names: vec!["virtual-node-eci-0".into()],
        region: "us-west-1".into(),
        endpoint: String::new(),
        vswitches: vec!["vsw-1".into(), "vsw-2".into()],
        security_group: "sg-1".into(),
        resource_group: String::new(),
        zone: String::new(),
        credentials: Credentials::Fixed {
            access_key: "testAK".into(),
            secret_key: secrecy::SecretString::from("testSK"),
            token: None,
        },
        ca_pem: None,
        signature: Default::default(),
        kube_proxy: true,
        cluster_dns: "172.21.0.10".into(),
        cluster_domain: "cluster.local".into(),
        calls_per_minute: BTreeMap::new(),
        poll: std::time::Duration::from_secs(1),
    }
}

pub(in crate::cloud::eci) fn request(pod: &Value) -> CreateRequest {
    let name = |field: &str| text(&pod["metadata"], field).unwrap_or("x").to_owned();
    CreateRequest {
        pod: PodIdentity { uid: name("uid"), namespace: name("namespace"), name: name("name") },
        node: "virtual-node-eci-0".into(),
        object: Arc::new(pod.clone()),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        hidden: Vec::new(),
        needs_grant: false,
    }
}

fn run(settings: &EciSettings, pod: &Value, resolved: &Resolved) -> Result<Forged, Problem> {
    let request = request(pod);
    forge(&Context { settings, request: &request, name: "shop-web-1" }, resolved)
}

/// `{"pod": …, "configMaps": {name: object or null}, "secrets": …, "services": […]}`.
fn resolved(input: &Value) -> Resolved {
    let objects = |field: &str| {
        let map = input.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
        map.into_iter()
            .map(|(name, object)| (name, Some(object).filter(|object| !object.is_null())))
            .collect()
    };
    Resolved {
        config_maps: objects("configMaps"),
        secrets: objects("secrets"),
        services: list(input, "services").to_vec(),
        ..Resolved::default()
    }
}

#[test]
fn goldens() {
    golden::check("eci", "forge", |input| match run(&settings(), &input["pod"], &resolved(input)) {
        Ok(forged) => {
            let attempts: Vec<Value> =
                forged.attempts.iter().map(|attempt| json!({&attempt.label: attempt.fields})).collect();
            let notices: Vec<String> = forged
                .notices
                .iter()
                .map(|notice| format!("{}: {}", notice.reason, notice.message))
                .collect();
            json!({"parameters": forged.tree, "attempts": attempts, "notices": notices})
        }
        Err(problem) => json!({"problem": format!("{problem:?}")}),
    });
}

fn pod(spec: &Value, annotations: &Value) -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "annotations": annotations}, "spec": spec})
}

fn invalid(pod: &Value, resolved: &Resolved) -> String {
    match run(&settings(), pod, resolved) {
        Err(Problem::Invalid(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("forged"),
    }
}

#[test]
fn attempts_go_through_sizes_places_and_ways_to_pay() {
    let labels = |annotations: Value| -> Vec<String> {
        let pod = pod(&json!({"containers": [{"name": "c", "image": "i"}]}), &annotations);
        let forged =
            run(&settings(), &pod, &Resolved::default()).unwrap_or_else(|problem| panic!("{problem:?}"));
        forged.attempts.into_iter().map(|attempt| attempt.label).collect()
    };
    assert_eq!(labels(json!({})), ["2-4Gi/vsw-1/on-demand", "2-4Gi/vsw-2/on-demand"]);
    assert_eq!(
        labels(
            json!({"k8s.aliyun.com/eci-vswitch": "vsw-9", "k8s.aliyun.com/eci-spot-strategy": "SpotAsPriceGo",
            "k8s.aliyun.com/eci-spot-fallback": "true"})
        ),
        ["2-4Gi/vsw-9/spot", "2-4Gi/vsw-9/on-demand"]
    );
    assert_eq!(
        labels(json!({"k8s.aliyun.com/eci-use-specs": "1-2Gi,ecs.c6.large,ecs.c5.large",
            "k8s.aliyun.com/eci-schedule-strategy": "VSwitchRandom"})),
        ["1-2Gi/vsw-1,vsw-2/on-demand", "ecs.c6.large,ecs.c5.large/vsw-1,vsw-2/on-demand"]
    );
}

/// Guards the numbers of the API: what only shows once the objects are there is refused with them.
#[test]
fn lengths_are_judged_after_the_objects_are_read() {
    let value = "x".repeat(257);
    let spec = json!({"containers": [{"name": "c", "image": "i",
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "k"}}}]}]});
    let objects = |data: Value| resolved(&json!({"configMaps": {"m": {"data": data}}}));
    let text = invalid(&pod(&spec, &json!({})), &objects(json!({"k": value})));
    assert!(text.contains("257 characters") && text.contains("takes 256"), "{text}");
    assert!(run(&settings(), &pod(&spec, &json!({})), &objects(json!({"k": "x"}))).is_ok());
    let spec = json!({"containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "configMap": {"name": "m"}}]});
    let text = invalid(&pod(&spec, &json!({})), &objects(json!({"k": "x".repeat(50_000)})));
    assert!(text.contains("66668 bytes") && text.contains("61440"), "{text}");
    assert!(run(&settings(), &pod(&spec, &json!({})), &objects(json!({"k": "x".repeat(40_000)}))).is_ok());
}

#[test]
fn what_burst_cannot_expand_is_refused() {
    let container = |env: Value, command: Value| {
        pod(&json!({"containers": [{"name": "c", "image": "i", "env": env, "command": command}]}), &json!({}))
    };
    let ip = json!({"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}});
    let none = Resolved::default();
    assert!(run(&settings(), &container(json!([ip]), json!(["x"])), &none).is_ok());
    let text =
        invalid(&container(json!([ip, {"name": "URL", "value": "http://$(IP)"}]), json!(["x"])), &none);
    assert!(text.contains("variable URL of container c refers to the pod's address"), "{text}");
    let text = invalid(&container(json!([ip]), json!(["echo", "$(IP)"])), &none);
    assert!(text.contains("command of container c refers to the pod's address"), "{text}");
    let host = json!({"name": "H", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}});
    let text = invalid(&container(json!([host]), json!(["x"])), &none);
    assert!(text.contains("status.podIP only"), "{text}");
}

/// The policy's annotations win over the pod's, and are judged too.
#[test]
fn a_policys_annotations_win() {
    let pod = pod(
        &json!({"containers": [{"name": "c", "image": "i"}]}),
        &json!({"k8s.aliyun.com/eci-spot-strategy": "nonsense"}),
    );
    let mut request = request(&pod);
    let context = |request: &CreateRequest| -> Result<Forged, Problem> {
        forge(&Context { settings: &settings(), request, name: "n" }, &Resolved::default())
    };
    assert!(context(&request).is_err());
    request.annotations = [("k8s.aliyun.com/eci-spot-strategy".to_owned(), "NoSpot".to_owned())].into();
    let forged = context(&request).unwrap_or_else(|problem| panic!("{problem:?}"));
    assert_eq!(forged.tree["SpotStrategy"], "NoSpot");
    request.annotations = [("k8s.aliyun.com/eci-max-pending-minute".to_owned(), "1".to_owned())].into();
    assert!(context(&request).is_err());
}

/// `ECI_KUBE_PROXY: "false"`: no address of a Service is promised, and names are those of the VPC (PrivateZone).
#[test]
fn without_kube_proxy_names_are_the_vpcs() {
    let pod = pod(&json!({"containers": [{"name": "c", "image": "i"}]}), &json!({}));
    let services = resolved(&json!({"services": [{"metadata": {"name": "db", "namespace": "shop"},
        "spec": {"clusterIP": "172.21.7.7", "ports": [{"port": 5432, "protocol": "TCP"}]}}]}));
    for kube_proxy in [true, false] {
        let settings = EciSettings { kube_proxy, ..settings() };
        let forged = run(&settings, &pod, &services).unwrap_or_else(|problem| panic!("{problem:?}"));
        let text = Value::Object(forged.tree.clone()).to_string();
        assert_eq!(text.contains("DB_SERVICE_HOST"), kube_proxy, "{text}");
        assert_eq!(text.contains("172.21.0.10"), kube_proxy, "{text}");
        assert_eq!(forged.tree["DnsPolicy"], if kube_proxy { "None" } else { "Default" });
    }
}

#[test]
fn everything_flattens_to_texts() {
    let pod = pod(&json!({"containers": [{"name": "c", "image": "i"}]}), &json!({}));
    let forged = run(&settings(), &pod, &Resolved::default()).unwrap_or_else(|problem| panic!("{problem:?}"));
    let pairs = flatten(&forged.tree);
    let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(get("Container.1.Name"), Some("c"));
    assert_eq!(get("Tag.1.Key"), Some("burst.io/cluster-id"));
    assert_eq!(get("DnsConfig.NameServer.1"), Some("172.21.0.10"));
    assert_eq!(flatten(&forged.attempts[0].fields).len(), 3);
}
