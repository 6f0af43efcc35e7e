use std::collections::BTreeMap;

use policies::keys::tag;
use serde_json::json;

use super::*;
use crate::cloud::cci::InteropSettings;
use crate::cloud::kubelike::instance_name;
use crate::cloud::translate::json::list;
use crate::cloud::{Claim, CloudError, CreateRequest, PodIdentity, golden, hidden};

fn objects(input: &Value, field: &str) -> BTreeMap<String, Option<Value>> {
    let map = input.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
    map.into_iter().map(|(name, object)| (name, Some(object))).collect()
}

fn strings(input: &Value, field: &str) -> BTreeMap<String, String> {
    let map = input.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
    map.into_iter().map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned())).collect()
}

#[test]
fn the_policys_labels_and_annotations_are_on_the_instance_and_never_replace_its_identity() {
    let mut input = case("ordinary");
    input["policyLabels"] = json!({"team": "shop", tag::POD_UID: "other"});
    input["policyAnnotations"] = json!({"cost-centre": "7", tag::POD_NAME: "other"});
    let (pod, uid) = (run(&input).unwrap().pod, input["pod"]["metadata"]["uid"].clone());
    assert_eq!(pod["metadata"]["labels"]["team"], "shop");
    assert_eq!(pod["metadata"]["labels"][tag::POD_UID], uid);
    assert_eq!(pod["metadata"]["annotations"]["cost-centre"], "7");
    assert_eq!(pod["metadata"]["annotations"][tag::POD_NAME], input["pod"]["metadata"]["name"]);
}

/// `{"volumes": {claim: what it is bound to, or null}}`.
fn claims_of(input: &Value) -> translate::Claims {
    let map = input.get("volumes").and_then(Value::as_object).cloned().unwrap_or_default();
    let read =
        |volume: Value| Some(Claim { claim: json!({}), volume: Some(volume).filter(Value::is_object) });
    map.into_iter().map(|(name, volume)| (name, read(volume))).collect()
}

fn run(input: &Value) -> Result<Forged, Problem> {
    run_at(Generation::One, input)
}

fn run_at(generation: Generation, input: &Value) -> Result<Forged, Problem> {
    run_with(generation, input, &input["pod"], "", |resolved| resolved)
}

fn run_with(
    generation: Generation,
    input: &Value,
    pod: &Value,
    hidden: &str,
    more: impl Fn(Resolved) -> Resolved,
) -> Result<Forged, Problem> {
    let meta = |field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
    let identity = PodIdentity { uid: meta("uid"), namespace: meta("namespace"), name: meta("name") };
    let instance = instance_name(&identity);
    let context = Context {
        cluster_id: "c-1",
        namespace: match generation {
            Generation::One => "cce-burst-c-1",
            Generation::Two => "bursting-c-1",
        },
        instance: &instance,
        node: input["node"].as_str().unwrap(),
        pod: &identity,
        hidden,
        labels: &strings(input, "policyLabels"),
        annotations: &strings(input, "policyAnnotations"),
    };
    let resolved = Resolved {
        config_maps: objects(input, "configMaps"),
        secrets: objects(input, "secrets"),
        services: list(input, "services").to_vec(),
        claims: claims_of(input),
    };
    forge(generation, pod, &context, &more(resolved))
}

/// A pod of a golden case beside the container of network interop.
fn run_interop(generation: Generation, input: &Value) -> Result<Forged, CloudError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), KUBECONFIG).unwrap();
    let interop = InteropSettings {
        image: "swr.example.com/ops/kube-proxy:v1".into(),
        kubeconfig_file: file.path().into(),
    };
    let pod = &input["pod"];
    let meta = |field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
    let request = CreateRequest {
        pod: PodIdentity { uid: meta("uid"), namespace: meta("namespace"), name: meta("name") },
        node: input["node"].as_str().unwrap().to_owned(),
        object: std::sync::Arc::new(pod.clone()),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        hidden: Vec::new(),
        needs_grant: false,
    };
    let (beside, secret) = interop.beside(&request, generation.taint())?;
    let hidden = hidden::tag(&beside.hidden);
    let forged = run_with(generation, input, &beside.object, &hidden, |resolved| secret.among(&resolved));
    Ok(forged.unwrap_or_else(|problem| panic!("{problem:?}")))
}

const KUBECONFIG: &str = "
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: 'https://192.168.0.9:5443', certificate-authority-data: QQ==}}]
users: [{name: u, user: {token: topsecret}}]
";

/// One container more than defined, its kubeconfig in a Secret of its own, nothing else of the pod changed.
#[test]
fn goldens_of_network_interop() {
    golden::check("cci", "interop", |input| {
        let generation = if input["api"] == "2.0" { Generation::Two } else { Generation::One };
        match run_interop(generation, input) {
            Ok(forged) => {
                assert!(!forged.pod.to_string().contains("topsecret"), "the secret is in its Secret only");
                shown(Ok(forged))
            }
            Err(error) => json!({"refused": error.to_string()}),
        }
    });
}

/// Guards the bill: what is bought is what the pod alone buys, at both.
#[test]
fn network_interop_costs_nothing() {
    for (generation, name) in
        [(Generation::One, "ordinary"), (Generation::Two, "ordinary"), (Generation::One, "volumes")]
    {
        let input = case(name);
        let (alone, beside) = (run_at(generation, &input).unwrap(), run_interop(generation, &input).unwrap());
        let size = |forged: &Forged| {
            let annotations = &forged.pod["metadata"]["annotations"];
            let resources: Vec<Value> = list(&forged.pod["spec"], "containers")
                .iter()
                .map(|container| container["resources"].clone())
                .filter(|resources| !resources.is_null())
                .collect();
            (
                annotations[policies::keys::burst_size::CPU].clone(),
                annotations[policies::keys::burst_size::MEMORY].clone(),
                resources,
            )
        };
        assert_eq!(size(&alone), size(&beside), "{name}");
        assert_eq!(
            list(&beside.pod["spec"], "containers").len(),
            list(&alone.pod["spec"], "containers").len() + 1
        );
    }
}

#[test]
fn goldens() {
    golden::check("cci", "forge", |input| shown(run(input)));
}

/// The same pods at CCI 2.0, and those that only mean something there.
#[test]
fn goldens_of_the_second() {
    golden::check("cci", "second", |input| shown(run_at(Generation::Two, input)));
}

/// What CCI 2.0 has no field for is not sent to it.
#[test]
fn the_second_gets_its_own_schema() {
    let forged = run_at(Generation::Two, &case("ordinary")).unwrap();
    let text = forged.pod.to_string();
    for word in
        ["automountServiceAccountToken", "enableServiceLinks", "subdomain", "nodeSelector", "tolerations"]
    {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert_eq!(forged.pod["apiVersion"], "cci/v2");
    let forged = run_at(Generation::Two, &case("volumes")).unwrap();
    assert!(forged.copies.iter().all(|copy| copy.object["apiVersion"] == "cci/v2"));
}

/// A policy's annotation names the size as the pod's own would, and wins over it.
#[test]
fn a_policys_size_is_bought() {
    let mut input = case("ordinary");
    input["pod"]["metadata"]["annotations"] = json!({"resource.cci.io/pod-size-specs": "2.00_4.0"});
    input["policyAnnotations"] = json!({"resource.cci.io/pod-size-specs": "4.00_8.0"});
    let pod = run_at(Generation::Two, &input).unwrap().pod;
    assert_eq!(pod["metadata"]["annotations"]["resource.cci.io/pod-size-specs"], "4.00_8.0");
    assert_eq!(pod["metadata"]["annotations"][policies::keys::burst_size::CPU], "4");
}

fn shown(result: Result<Forged, Problem>) -> Value {
    match result {
        Ok(forged) => json!({
            "pod": forged.pod,
            "copies": forged.copies.into_iter().map(|copy| copy.object).collect::<Vec<_>>(),
            "claims": forged.claims.into_iter().map(|claim| claim.objects).collect::<Vec<_>>(),
            "notices": forged.notices.iter().map(|n| format!("{}: {}", n.reason, n.message)).collect::<Vec<_>>(),
        }),
        Err(Problem::Invalid(text)) => json!({"invalid": text}),
        Err(Problem::Missing(notice)) => json!({"missing": format!("{}: {}", notice.reason, notice.message)}),
    }
}

fn case(name: &str) -> Value {
    let path = format!("{}/src/cloud/cci/testdata/forge/{name}.in.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn what_cci_must_not_get_is_not_there() {
    let text = run(&case("ordinary")).unwrap().pod.to_string();
    let forbidden = [
        "burst.io/managed",
        "nodeName",
        "nodeSelector",
        "affinity",
        "tolerations",
        "schedulerName",
        "priority",
        "preemptionPolicy",
        "serviceAccount\"",
        "serviceAccountName",
        "kube-api-access",
        "last-applied",
        "resource.cci.io/size",
        "ownerReferences",
        "\"status\"",
    ];
    for word in forbidden {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert!(text.contains(r#""automountServiceAccountToken":false"#));
}

#[test]
fn secret_values_are_in_copied_secrets_only() {
    for name in ["environment", "volumes"] {
        let forged = run(&case(name)).unwrap();
        for secret in ["aHVudGVyMg==", "hunter2", "aw==", "e30="] {
            assert!(!forged.pod.to_string().contains(secret), "{name}: {secret}");
            assert!(!format!("{:?}", forged.copies).contains(secret), "{name}: {secret}");
        }
        assert!(forged.copies.iter().any(|copy| copy.plural == "secrets"));
    }
}

#[test]
fn everything_that_a_pod_refers_to_is_fetched() {
    let found = references(&case("volumes")["pod"]);
    assert_eq!(found.config_maps.iter().collect::<Vec<_>>(), ["absent", "conf"]);
    assert_eq!(found.secrets.iter().collect::<Vec<_>>(), ["lost", "pull", "tls"]);
    let found = references(&case("environment")["pod"]);
    assert_eq!(found.config_maps.iter().collect::<Vec<_>>(), ["absent", "settings"]);
    assert_eq!(found.secrets.iter().collect::<Vec<_>>(), ["db"]);
    assert_eq!(references(&case("ordinary")["pod"]), References::default());
}

#[test]
fn copies_of_the_same_content_have_the_same_name_and_others_have_not() {
    let names =
        |input: &Value| run(input).unwrap().copies.into_iter().map(|copy| copy.name).collect::<Vec<_>>();
    let mut input = case("volumes");
    let before = names(&input);
    assert_eq!(names(&input), before);
    input["configMaps"]["conf"]["binaryData"]["blob"] = "AAI=".into();
    let after = names(&input);
    assert_eq!(before.len(), after.len());
    assert_eq!(before.iter().filter(|name| !after.contains(name)).count(), 1);
}
