use std::sync::Arc;
use std::time::Duration;

use policies::keys::tag;

use super::*;
use crate::cloud::access_keys::Credentials;
use crate::cloud::{Claim, PodIdentity, golden};

pub(in crate::cloud::cube) fn settings() -> CubeSettings {
    CubeSettings {
        cluster_id: "c-1".into(),
        node_names: vec!["uk8s-c-vk-0".into()],
        region: "cn-bj2".into(),
        zone: "cn-bj2-05".into(),
        project_id: "org-xyz".into(),
        vpc_id: "uvnet-1".into(),
        subnet_id: "subnet-1".into(),
        endpoint: String::new(),
        credentials: Credentials::Fixed {
            access_key: "testPub".into(),
            secret_key: secrecy::SecretString::from("testPriv"),
            token: None,
        },
        ca_pem: None,
        default_size: cube::default_size(),
        cluster_ip: true,
        cluster_dns: "172.21.0.10".into(),
        cluster_domain: "cluster.local".into(),
        poll: Duration::from_secs(1),
        metrics: None,
        lost_answer: Duration::from_secs(60),
    }
}

pub(in crate::cloud::cube) fn request(pod: &Value) -> CreateRequest {
    let name = |field: &str| text(&pod["metadata"], field).unwrap_or("x").to_owned();
    CreateRequest {
        pod: PodIdentity { uid: name("uid"), namespace: name("namespace"), name: name("name") },
        node: "uk8s-c-vk-0".into(),
        object: Arc::new(pod.clone()),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        hidden: Vec::new(),
        needs_grant: false,
    }
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

/// `{"claims": {name: {"claim": …, "volume": … or null} or null}}`.
fn claims(input: &Value) -> Claims {
    let all = input.get("claims").and_then(Value::as_object).cloned().unwrap_or_default();
    let volume = |entry: &Value| Some(entry["volume"].clone()).filter(|volume| !volume.is_null());
    let read = |entry: Value| {
        (!entry.is_null()).then(|| Claim { volume: volume(&entry), claim: entry["claim"].clone() })
    };
    all.into_iter().map(|(name, entry)| (name, read(entry))).collect()
}

/// The YAML that was made, read again.
fn document(forged: &Forged) -> Value {
    let yaml = STANDARD.decode(forged.parameters["Pod"].as_str().unwrap()).unwrap();
    serde_saphyr::from_str(&String::from_utf8(yaml).unwrap()).unwrap()
}

#[test]
fn goldens() {
    golden::check("cube", "forge", |input| {
        match forge(&settings(), &request(&input["pod"]), &resolved(input), &claims(input)) {
            Ok(forged) => {
                let mut parameters = forged.parameters.clone();
                parameters["Pod"] = document(&forged);
                let notices: Vec<String> = forged
                    .notices
                    .iter()
                    .map(|notice| format!("{}: {}", notice.reason, notice.message))
                    .collect();
                json!({"parameters": parameters, "notices": notices})
            }
            Err(problem) => json!({"problem": format!("{problem:?}")}),
        }
    });
}

fn pod(spec: &Value, annotations: &Value) -> Value {
    json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "annotations": annotations}, "spec": spec})
}

fn one(more: &Value) -> Value {
    let mut container = json!({"name": "c", "image": "uhub.service.ucloud.cn/u/i"});
    container.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
    json!({"containers": [container]})
}

fn made(pod: &Value) -> Forged {
    forge(&settings(), &request(pod), &Resolved::default(), &Claims::new())
        .unwrap_or_else(|problem| panic!("{problem:?}"))
}

/// Guards the number of the public API, which is far below the vendor's page.
#[test]
fn what_is_larger_than_16_kb_with_its_objects_is_refused_with_the_number() {
    let mut spec = one(&json!({}));
    spec["volumes"] = json!([{"name": "v", "configMap": {"name": "m"}}]);
    let run = |length: usize| {
        let objects = resolved(&json!({"configMaps": {"m": {"data": {"k": "x".repeat(length)}}}}));
        forge(&settings(), &request(&pod(&spec, &json!({}))), &objects, &Claims::new()).map(drop)
    };
    assert!(run(11_000).is_ok());
    match run(13_000) {
        Err(Problem::Invalid(text)) => {
            assert!(text.contains("takes 12288 (16 KB of base64)") && text.contains("is 13"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

/// Guards recovery and the bill: what is sent says whose it is, and its limits add up to a size.
#[test]
fn identity_and_size_stand_in_the_yaml() {
    let long = "p".repeat(253);
    let mut wanted =
        request(&pod(&one(&json!({"resources": {"requests": {"cpu": "3", "memory": "5Gi"}}})), &json!({})));
    wanted.pod.name.clone_from(&long);
    wanted.hidden = vec!["agent".into(), "logs".into()];
    let forged = forge(&settings(), &wanted, &Resolved::default(), &Claims::new())
        .unwrap_or_else(|problem| panic!("{problem:?}"));
    let yaml = document(&forged);
    let metadata = &yaml["metadata"];
    assert_eq!(metadata["labels"][tag::POD_UID], "u-1");
    assert_eq!(metadata["labels"][tag::CLUSTER], "c-1");
    assert_eq!(metadata["annotations"][tag::POD_NAME], long);
    assert_eq!(metadata["annotations"][tag::HIDDEN], "agent,logs");
    assert_eq!(yaml["spec"]["containers"][0]["resources"]["limits"]["cpu"], "4000m");
    assert_eq!((forged.size.cpu_milli, forged.size.memory_bytes), (4000, 8 << 30));
}

#[test]
fn how_a_pod_is_paid() {
    let forged = made(&pod(&one(&json!({})), &json!({})));
    assert_eq!((forged.parameters["ChargeType"].as_str(), forged.prepaid), (Some("Postpay"), false));
    assert!(forged.parameters.get("Quantity").is_none());
    let annotations = json!({"cube.ucloud.cn/cube-chargetype": "month", "cube.ucloud.cn/cube-quantity": "0",
        "cube.ucloud.cn/cube-tag": "shop"});
    let forged = made(&pod(&one(&json!({})), &annotations));
    assert!(forged.prepaid);
    assert_eq!((&forged.parameters["Quantity"], &forged.parameters["Tag"]), (&json!("0"), &json!("shop")));
}

/// The policy's annotations win over the pod's, and are judged too.
#[test]
fn a_policys_annotations_win() {
    let pod = pod(&one(&json!({})), &json!({"cube.ucloud.cn/cube-chargetype": "nonsense"}));
    let mut request = request(&pod);
    assert!(forge(&settings(), &request, &Resolved::default(), &Claims::new()).is_err());
    request.annotations = [("cube.ucloud.cn/cube-chargetype".to_owned(), "postpay".to_owned())].into();
    assert!(forge(&settings(), &request, &Resolved::default(), &Claims::new()).is_ok());
}

#[test]
fn without_cluster_ips_names_are_the_vpcs() {
    let pod = pod(&one(&json!({})), &json!({}));
    let services = resolved(&json!({"services": [{"metadata": {"name": "db", "namespace": "shop"},
        "spec": {"clusterIP": "172.17.7.7", "ports": [{"port": 5432, "protocol": "TCP"}]}}]}));
    for cluster_ip in [true, false] {
        let settings = CubeSettings { cluster_ip, ..settings() };
        let forged = forge(&settings, &request(&pod), &services, &Claims::new())
            .unwrap_or_else(|problem| panic!("{problem:?}"));
        let sent = document(&forged);
        assert_eq!(sent.to_string().contains("DB_SERVICE_HOST"), cluster_ip, "{sent}");
        assert_eq!(sent["spec"]["dnsPolicy"] == "None", cluster_ip, "{sent}");
        assert_eq!(sent["spec"]["dnsConfig"].is_null(), !cluster_ip, "{sent}");
    }
}
