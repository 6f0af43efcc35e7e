//! Admission over HTTPS-shaped reviews, with owners and namespaces in the in-memory API server.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

mod support {
    pub(crate) mod server;
}

use base64::Engine;
use cluster::ledgers::object_name;
use cluster::testing::{FakeApi, Fault};
use policies::burst_policy::Side;
use policies::ledger::{Grant, Ledger};
use policies::resources::Resources;
use scheduler::admission::review::{Request, Verdict, answer, parse};
use scheduler::admission::{Around, LookupError, pod, resize, workload};
use scheduler::app::{App, Settings};
use serde_json::{Value, json};
use support::server::{Server, eventually, settings, start, start_set};

fn cluster() -> FakeApi {
    let api = FakeApi::new();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    api.put(json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "eci", "labels": {"virtual-node-affinity-injection": "enabled"}}}));
    api.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "burst-cci-0", "labels": {"type": "virtual-kubelet"}},
        "spec": {"taints": [{"key": "virtual-kubelet.io/provider", "value": "huawei", "effect": "NoSchedule"}]},
        "status": {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"},
                   "conditions": [{"type": "Ready", "status": "True"}]},
    }));
    api
}

/// A Deployment with a label, its ReplicaSet without one, and a pod of that.
fn deployment(api: &FakeApi, value: &str) -> Value {
    let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
    api.put(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "d-1", "labels": {"burst-to-cci": value}}}));
    api.put(json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "web-7f", "namespace": "shop", "uid": "r-1", "ownerReferences": owner("Deployment", "web", "d-1")}}));
    // As the ReplicaSet controller sends it: no namespace, no name yet.
    let mut pod = bare(json!({}));
    pod["metadata"] =
        json!({"generateName": "web-7f-", "ownerReferences": owner("ReplicaSet", "web-7f", "r-1")});
    pod
}

fn bare(labels: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1", "memory": "2Gi"}}}]},
    })
}

fn review(namespace: &str, object: &Value, dry_run: bool) -> Vec<u8> {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "q-1", "kind": {"group": "", "version": "v1", "kind": object["kind"]},
            "namespace": namespace, "operation": "CREATE", "object": object, "oldObject": null, "dryRun": dry_run,
        },
    })
    .to_string()
    .into_bytes()
}

async fn judged(app: &App, body: &[u8]) -> Result<Verdict, LookupError> {
    let request: Request = parse(body).expect("a review");
    let (snapshot, load) = app.picture();
    let around = Around::of(app, (&snapshot, load));
    match request.kind.kind.as_str() {
        _ if !request.sub_resource.is_empty() => resize(&request, &around).await,
        "Pod" => pod(&request, &around).await,
        _ => Ok(workload(&request, &around).await),
    }
}

/// The object as the API server would store it.
async fn admitted(app: &App, namespace: &str, object: &Value) -> Value {
    let verdict = judged(app, &review(namespace, object, false)).await.expect("a verdict");
    patched(object, &verdict)
}

fn patched(object: &Value, verdict: &Verdict) -> Value {
    let reply: Value = serde_json::from_slice(&answer("q-1", verdict).expect("an answer")).expect("JSON");
    assert_eq!(reply["response"]["allowed"], true, "{reply}");
    let mut object = object.clone();
    if let Some(patch) = reply["response"]["patch"].as_str() {
        assert_eq!(reply["response"]["patchType"], "JSONPatch");
        let patch = base64::engine::general_purpose::STANDARD.decode(patch).expect("base64");
        let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a JSON patch");
        json_patch::patch(&mut object, &patch).expect("the patch applies");
    }
    object
}

async fn refused(app: &App, namespace: &str, object: &Value) -> String {
    match judged(app, &review(namespace, object, false)).await.expect("a verdict") {
        Verdict::Denied(reason) => reason,
        Verdict::Allowed(admission) => panic!("admitted: {admission:?}"),
    }
}

fn tolerated(pod: &Value) -> Vec<&str> {
    let list = pod["spec"]["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|t| t["key"].as_str()).collect()
}

fn active(api: &FakeApi, namespace: &str) -> bool {
    let found = api.get("v1", "namespaces", "", namespace).expect("a namespace");
    found["metadata"]["labels"]["burst.io/active"] == "true"
}

async fn server(api: &FakeApi) -> Server {
    start(api, true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_on_the_deployment_alone_is_enough() {
    let api = cluster();
    let server = server(&api).await;
    for (policy, keys, marker) in [
        ("auto", vec!["virtual-kubelet.io/provider", "burst.io/virtual-node"], json!("1")),
        ("localPrefer", vec!["virtual-kubelet.io/provider"], Value::Null),
        ("enforce", vec!["virtual-kubelet.io/provider", "burst.io/virtual-node"], Value::Null),
        ("off", vec![], Value::Null),
    ] {
        // A Deployment of its own each time: owners are cached.
        let api = cluster();
        let server = start(&api, true).await;
        let pod = admitted(&server.app, "shop", &deployment(&api, policy)).await;
        assert_eq!(tolerated(&pod), keys, "{policy}");
        assert_eq!(pod["metadata"]["annotations"]["burst.io/resolved-policy"], policy);
        assert_eq!(
            pod["metadata"]["annotations"]["burst.io/policy-source"],
            "Deployment/web label burst-to-cci"
        );
        assert_eq!(
            pod["spec"]["containers"][0]["resources"]["limits"]["burst.io/managed"], marker,
            "{policy}"
        );
        assert!(
            pod["spec"]["containers"][0]["resources"]["limits"]["burst.io/checked"].is_null(),
            "{policy}"
        );
        assert_eq!(pod["spec"]["affinity"].is_null(), policy != "enforce", "{policy}");
        assert_eq!(
            admitted(&server.app, "shop", &pod).await,
            pod,
            "{policy}: the second time changes nothing"
        );
        server.end().await;
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_namespace_speaks_when_nobody_else_does() {
    let api = cluster();
    let server = server(&api).await;
    let pod = admitted(&server.app, "eci", &bare(json!({}))).await;
    assert_eq!(pod["metadata"]["annotations"]["burst.io/resolved-policy"], "enforce");
    let pod = admitted(&server.app, "eci", &bare(json!({"burst-to-cci": "off"}))).await;
    assert_eq!(pod["metadata"]["annotations"]["burst.io/resolved-policy"], "off");
    // Newer than the watch, or the watch never saw it: read live.
    let ordinary = bare(json!({}));
    assert_eq!(admitted(&server.app, "shop", &ordinary).await, ordinary, "an ordinary pod stays as it came");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_refused_in_words() {
    let api = cluster();
    let server = server(&api).await;
    let check = async |object: Value, words: &[&str]| {
        let reason = refused(&server.app, "shop", &object).await;
        for word in words {
            assert!(reason.contains(word), "{reason} does not say {word}");
        }
    };
    check(
        bare(json!({"burst-to-cci": "Auto"})),
        &["shop/p", "burst-to-cci", "Auto", "auto", "localPrefer", "enforce", "off"],
    )
    .await;
    check(
        bare(json!({"burst-to-cci": "auto", "burst.io/policy": "off"})),
        &["burst-to-cci", "burst.io/policy"],
    )
    .await;
    let mut host_path = bare(json!({"burst-to-cci": "enforce"}));
    host_path["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/var"}}]);
    check(host_path, &["shop/p", "spec.volumes[0].hostPath", "enforce"]).await;
    let mut quantity = bare(json!({"burst-to-cci": "auto"}));
    quantity["spec"]["containers"][0]["resources"]["requests"]["memory"] = json!("9Gb");
    check(quantity, &["shop/p", "spec.containers[0].resources.requests.memory", "9Gb"]).await;
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"burst-to-cci": "cloud"}}, "spec": {"template": bare(json!({}))}});
    check(workload, &["Deployment/web", "cloud", "localPrefer"]).await;
    let daemons = json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "logs", "labels": {"burst-to-cci": "enforce"}}, "spec": {"template": bare(json!({}))}});
    check(daemons, &["DaemonSet/logs", "enforce"]).await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tolerating_daemon_set_is_kept_off_in_its_template() {
    let api = cluster();
    let server = server(&api).await;
    let mut template = bare(json!({}));
    template["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    let set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "logs"}, "spec": {"template": template}});
    let stored = admitted(&server.app, "shop", &set).await;
    let place = "/spec/template/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution\
                 /nodeSelectorTerms/0/matchExpressions/0";
    assert_eq!(
        stored.pointer(place),
        Some(&json!({"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]})),
        "{stored}"
    );
    assert!(!active(&api, "shop"));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_namespace_is_marked_by_a_burst_workload_and_by_no_dry_run() {
    let api = cluster();
    let server = server(&api).await;
    let object = |value: &str| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"burst-to-cci": value}}, "spec": {"template": bare(json!({}))}})
    };
    for (body, reason) in [
        (review("shop", &object("auto"), true), "a dry run"),
        (review("shop", &object("off"), false), "policy off"),
    ] {
        judged(&server.app, &body).await.expect("a verdict");
        // The mark of another namespace is behind it in the same queue.
        judged(&server.app, &review("default", &object("auto"), false)).await.expect("a verdict");
        eventually("the other namespace is marked", async || active(&api, "default")).await;
        assert!(!active(&api, "shop"), "{reason}");
    }
    judged(&server.app, &review("shop", &object("auto"), false)).await.expect("a verdict");
    eventually("the namespace is marked", async || active(&api, "shop")).await;
    judged(&server.app, &review("eci", &bare(json!({})), false)).await.expect("a verdict");
    eventually("a pod marks its namespace too", async || active(&api, "eci")).await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exempt_namespace_is_not_touched() {
    let api = cluster();
    let server = server(&api).await;
    let pod = bare(json!({"burst-to-cci": "nonsense"}));
    assert_eq!(admitted(&server.app, "kube-system", &pod).await, pod);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_fails_is_no_verdict() {
    let api = cluster();
    let pod = deployment(&api, "auto");
    api.fault(Fault::status(500).on("GET", "/replicasets"));
    let server = server(&api).await;
    let failed = judged(&server.app, &review("shop", &pod, false))
        .await
        .expect_err("no owners, no verdict")
        .to_string();
    assert!(failed.starts_with("burst: ") && failed.contains("web-7f"), "{failed}");
    server.end().await;
}

/// A policy object; of the whole cluster without a namespace.
fn object(api: &FakeApi, namespace: &str, spec: Value) {
    let (kind, metadata) = match namespace {
        "" => ("ClusterBurstPolicy", json!({"name": "limits", "generation": 1})),
        namespace => ("BurstPolicy", json!({"name": "limits", "namespace": namespace, "generation": 1})),
    };
    api.put(json!({"apiVersion": "burst.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_gives_the_policy_and_withholds_the_toleration() {
    let api = cluster();
    object(
        &api,
        "shop",
        json!({"policy": "auto", "max": {"cloud": {"pods": 3}}, "selector": {"matchLabels": {"app": "web"}}}),
    );
    let server = server(&api).await;
    let pod = admitted(&server.app, "shop", &bare(json!({"app": "web"}))).await;
    assert_eq!(tolerated(&pod), ["burst.io/virtual-node"], "{pod}");
    assert_eq!(pod["metadata"]["labels"]["burst.io/governed"], "true");
    let annotations = &pod["metadata"]["annotations"];
    assert_eq!(annotations["burst.io/resolved-policy"], "auto");
    assert_eq!(annotations["burst.io/policy-source"], "BurstPolicy/shop/limits");
    assert_eq!(annotations["burst.io/burst-policy"], "BurstPolicy/shop/limits");
    assert_eq!(admitted(&server.app, "shop", &pod).await, pod, "the second time changes nothing");

    // An own label wins over the object's policy, and not over its limits.
    let pod = admitted(&server.app, "shop", &bare(json!({"app": "web", "burst-to-cci": "enforce"}))).await;
    assert_eq!(pod["metadata"]["annotations"]["burst.io/policy-source"], "pod label burst-to-cci");
    assert_eq!(pod["metadata"]["labels"]["burst.io/governed"], "true");
    assert_eq!(tolerated(&pod), ["burst.io/virtual-node"]);
    let off = bare(json!({"app": "web", "burst-to-cci": "off"}));
    assert!(admitted(&server.app, "shop", &off).await["metadata"]["labels"]["burst.io/governed"].is_null());
    // Whom the selector does not name, and who lives elsewhere.
    let other = bare(json!({"app": "db"}));
    assert_eq!(admitted(&server.app, "shop", &other).await, other);
    let web = bare(json!({"app": "web"}));
    assert_eq!(admitted(&server.app, "default", &web).await, web);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_selects_by_owner_also_where_the_pod_speaks_for_itself() {
    let api = cluster();
    let mut pod = deployment(&api, "auto");
    pod["metadata"]["labels"] = json!({"burst.io/policy": "localPrefer"});
    object(
        &api,
        "",
        json!({"budget": {"currency": "CNY", "perHour": "1"}, "selector": {"owner": {"kind": "Deployment", "name": "web"}}}),
    );
    let server = server(&api).await;
    let after = admitted(&server.app, "shop", &pod).await;
    assert_eq!(after["metadata"]["annotations"]["burst.io/burst-policy"], "ClusterBurstPolicy/limits");
    assert_eq!(tolerated(&after), [""; 0]);
    server.end().await;
}

/// It may hold a limit: nobody bursts past it, and nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_lets_nobody_burst() {
    let api = cluster();
    object(&api, "shop", json!({"max": {"cloud": {"pods": "many"}}}));
    let server = server(&api).await;
    let reason = refused(&server.app, "shop", &bare(json!({"burst-to-cci": "auto"}))).await;
    assert!(
        ["pod shop/p", "BurstPolicy/shop/limits", "cannot be read"].iter().all(|w| reason.contains(w)),
        "{reason}"
    );
    let ordinary = bare(json!({}));
    assert_eq!(admitted(&server.app, "shop", &ordinary).await, ordinary);
    admitted(&server.app, "default", &bare(json!({"burst-to-cci": "auto"}))).await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_mark_the_namespaces_that_they_speak_for() {
    let api = cluster();
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "blue", "labels": {"team": "blue"}}}));
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "labels": {"team": "blue"}}}));
    let server = server(&api).await;
    object(&api, "shop", json!({}));
    eventually("the object's namespace is marked", async || active(&api, "shop")).await;
    object(&api, "", json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}}));
    eventually("a selected namespace is marked", async || active(&api, "blue")).await;
    api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new", "labels": {"team": "blue"}}}));
    eventually("one that comes later too", async || active(&api, "new")).await;
    assert!(!active(&api, "eci") && !active(&api, "kube-system"));
    server.end().await;
}

/// While real nodes are mostly free an auto pod costs no call: the scheduler's taint score says what the extender would.
#[tokio::test(flavor = "multi_thread")]
async fn calls_are_spared_as_long_as_their_answer_is_known() {
    let api = cluster();
    api.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "real"},
        "status": {"allocatable": {"cpu": "10", "memory": "100Gi", "pods": "110"},
                   "conditions": [{"type": "Ready", "status": "True"}]},
    }));
    let server = start_set(&api, true, None, Settings { spare_calls: true, ..settings() }).await;
    let auto = bare(json!({"burst-to-cci": "auto"}));
    let marker =
        |pod: &Value| pod["spec"]["containers"][0]["resources"]["limits"]["burst.io/managed"].clone();
    let free = admitted(&server.app, "shop", &auto).await;
    assert_eq!((tolerated(&free), marker(&free)), (vec!["virtual-kubelet.io/provider"], Value::Null));
    let mut other = bare(json!({}));
    other["metadata"] = json!({"name": "other", "namespace": "shop", "uid": "other"});
    other["spec"]["nodeName"] = json!("real");
    other["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("4");
    api.put(other);
    eventually("four of ten cores are asked for", async || {
        let pod = admitted(&server.app, "shop", &auto).await;
        tolerated(&pod).len() == 2 && marker(&pod) == "1"
    })
    .await;
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_picture_is_no_verdict_for_pods_that_may_burst() {
    let api = cluster();
    let server = server(&api).await;
    let (snapshot, load) = server.app.picture();
    let around = Around {
        fresh: Err("burst: the API server was last heard 300 s ago".to_owned()),
        ..Around::of(&server.app, (&snapshot, load))
    };
    let ask =
        async |object: &Value| pod(&parse(&review("shop", object, false)).expect("a review"), &around).await;
    for policy in ["auto", "localPrefer", "enforce"] {
        let error = ask(&bare(json!({"burst-to-cci": policy}))).await.expect_err(policy).to_string();
        assert!(["300 s ago", "pod shop/p"].iter().all(|w| error.contains(w)), "{error}");
    }
    for labels in [json!({}), json!({"burst-to-cci": "off"})] {
        let verdict = ask(&bare(labels)).await.expect("ordinary pods never wait");
        assert!(matches!(verdict, Verdict::Allowed(_)));
    }
    server.end().await;
}

fn daemon_set(name: &str, wish: &str, spec: Value) -> Value {
    let mut template = json!({"containers": [{"name": "c", "image": "i",
        "resources": {"requests": {"cpu": "150m", "memory": "96Mi"}}}]});
    json_patch::merge(&mut template, &spec);
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"namespace": "logging", "name": name, "uid": name, "annotations": {"burst.io/replace-in-cloud": wish}},
        "spec": {"template": {"spec": template}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn daemon_sets_that_ask_are_written_on_pods_that_may_burst() {
    let api = cluster();
    api.put(daemon_set("agent", "true", json!({})));
    api.put(daemon_set("metrics", "true", json!({})));
    api.put(daemon_set("no", "false", json!({})));
    api.put(daemon_set("bad", "yes", json!({})));
    api.put(daemon_set("host", "true", json!({"hostNetwork": true})));
    let server = server(&api).await;
    let of = |pod: &Value, key: &str| pod["metadata"]["annotations"][format!("burst.io/{key}")].clone();
    for policy in ["auto", "localPrefer", "enforce"] {
        let pod = admitted(&server.app, "shop", &bare(json!({"burst-to-cci": policy}))).await;
        assert_eq!(of(&pod, "daemonsets"), "logging/agent,logging/metrics", "{policy}");
        assert_eq!(of(&pod, "daemonsets-requests"), r#"{"cpu":"300m","memory":"192Mi"}"#, "{policy}");
    }
    let plain = bare(json!({}));
    assert_eq!(admitted(&server.app, "shop", &plain).await, plain, "nothing for pods that stay");
    // Of a DaemonSet itself: none beside another.
    let mut daemon = bare(json!({"burst-to-cci": "auto"}));
    daemon["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "agent", "controller": true}]);
    assert_eq!(of(&admitted(&server.app, "shop", &daemon).await, "daemonsets"), Value::Null);
    api.put(daemon_set("agent", "false", json!({})));
    let pod = bare(json!({"burst-to-cci": "auto"}));
    let mut names = Value::Null;
    for _ in 0..500 {
        names = of(&admitted(&server.app, "shop", &pod).await, "daemonsets");
        if names == "logging/metrics" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(names, "logging/metrics", "it no longer asks");
    server.end().await;
}

/// Guards the sizes: a pod that may burst is not let through before it is known what runs beside it.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_daemon_sets_are_known_there_is_no_verdict() {
    let api = cluster();
    api.fault(Fault::hang().on("GET", "/daemonsets"));
    let server = start(&api, false).await;
    eventually("the rest is known", async || {
        server.app.lookups.policies().synced() && server.app.cluster.snapshot().nodes().next().is_some()
    })
    .await;
    let error = judged(&server.app, &review("shop", &bare(json!({"burst-to-cci": "auto"})), false)).await;
    assert!(error.expect_err("a verdict").to_string().contains("the DaemonSets are not read yet"));
    let off = judged(&server.app, &review("shop", &bare(json!({})), false))
        .await
        .expect("ordinary pods never wait");
    assert!(matches!(off, Verdict::Allowed(_)));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_a_daemon_set_reads_why_it_is_not_replaced() {
    let server = server(&cluster()).await;
    let warned = async |object: &Value| match judged(&server.app, &review("logging", object, false))
        .await
        .expect("a verdict")
    {
        Verdict::Allowed(admission) => admission.warnings.join("; "),
        Verdict::Denied(reason) => panic!("denied: {reason}"),
    };
    assert_eq!(warned(&daemon_set("agent", "true", json!({}))).await, "");
    assert_eq!(warned(&daemon_set("agent", "false", json!({"hostPID": true}))).await, "");
    let text = warned(&daemon_set("agent", "yes", json!({}))).await;
    assert!(text.contains("\"yes\"") && text.contains("ignored"), "{text}");
    let text = warned(&daemon_set("agent", "true", json!({"hostPID": true}))).await;
    assert!(
        text.contains("DaemonSet logging/agent") && text.contains("spec.template.spec.hostPID"),
        "{text}"
    );
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_cannot_be_read_refuses_no_workload() {
    let api = cluster();
    api.fault(Fault::status(500).on("GET", "/namespaces/hidden"));
    let server = server(&api).await;
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"burst-to-cci": "auto"}}, "spec": {"template": bare(json!({}))}});
    let verdict = judged(&server.app, &review("hidden", &workload, false)).await.expect("a verdict");
    assert!(matches!(verdict, Verdict::Allowed(_)), "{verdict:?}");
    server.end().await;
}

/// Owners and namespace hang, both: one deadline for the two, and below the webhook's timeout.
#[tokio::test(flavor = "multi_thread")]
async fn look_ups_share_one_deadline() {
    let api = cluster();
    let mut pod = deployment(&api, "auto");
    pod["metadata"]["namespace"] = json!("hidden");
    api.fault(Fault::hang().on("GET", "/replicasets"));
    api.fault(Fault::hang().on("GET", "/namespaces/hidden"));
    let server = server(&api).await;
    let started = std::time::Instant::now();
    judged(&server.app, &review("hidden", &pod, false)).await.expect_err("no verdict");
    assert!(started.elapsed() < std::time::Duration::from_millis(1900), "{:?}", started.elapsed());
    server.end().await;
}

/// CCI's rules are for pods that can only go to CCI.
#[tokio::test(flavor = "multi_thread")]
async fn rules_are_those_of_the_nodes_that_the_pod_could_go_to() {
    let node = |name: &str, provider: &str| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"type": "virtual-kubelet"}},
            "spec": {"taints": [{"key": "virtual-kubelet.io/provider", "value": provider, "effect": "NoSchedule"}]},
        })
    };
    let host_path = |tolerated: Option<&str>| {
        let mut pod = bare(json!({"burst-to-cci": "enforce"}));
        pod["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/var"}}]);
        if let Some(value) = tolerated {
            pod["spec"]["tolerations"] = json!([{"key": "virtual-kubelet.io/provider", "value": value}]);
        }
        pod
    };
    for (nodes, tolerated, admitted) in [
        (vec![], None, true),
        (vec!["huawei"], None, false),
        (vec!["huawei", "zcloud"], None, true),
        (vec!["huawei", "zcloud"], Some("huawei"), false),
        (vec!["huawei", "zcloud"], Some("zcloud"), true),
    ] {
        let api = FakeApi::new();
        api.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
        for provider in &nodes {
            api.put(node(&format!("burst-{provider}"), provider));
        }
        let server = server(&api).await;
        let verdict =
            judged(&server.app, &review("shop", &host_path(tolerated), false)).await.expect("a verdict");
        assert_eq!(matches!(verdict, Verdict::Allowed(_)), admitted, "{nodes:?} {tolerated:?}: {verdict:?}");
        server.end().await;
    }
}

/// A virtual node with network interop runs one container more: five of a pod's own are too many on it, and only there.
#[tokio::test(flavor = "multi_thread")]
async fn network_interop_takes_one_of_the_five_containers() {
    let api = cluster();
    let mut other = api.get("v1", "nodes", "", "burst-cci-0").expect("a node");
    other["metadata"] = json!({"name": "burst-cci-1",
        "labels": {"type": "virtual-kubelet", "burst.io/network-interop": "true"}});
    api.put(other);
    let server = server(&api).await;
    let pod = |containers: usize| {
        let mut pod = bare(json!({"burst-to-cci": "enforce"}));
        let one = pod["spec"]["containers"][0].clone();
        pod["spec"]["containers"] = (0..containers)
            .map(|i| json!({"name": format!("c{i}"), "image": "i", "resources": one["resources"]}))
            .collect();
        pod
    };
    admitted(&server.app, "shop", &pod(4)).await;
    let said = refused(&server.app, "shop", &pod(5)).await;
    assert!(said.contains("spec.containers") && said.contains("network interop"), "{said}");
    let mut elsewhere = pod(5);
    elsewhere["spec"]["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "burst.io/network-interop", "operator": "DoesNotExist"}]}]}}});
    admitted(&server.app, "shop", &elsewhere).await;
    server.end().await;
}

/// A pod that one of two providers can run is opened to that one, whether or not a policy governs it; who would open it
/// wider is taken back.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_open_to_the_providers_that_can_run_it() {
    let api = cluster();
    let mut other = api.get("v1", "nodes", "", "burst-cci-0").expect("a node");
    other["metadata"] = json!({"name": "burst-mock-0", "labels": {"type": "virtual-kubelet"}});
    other["spec"]["taints"][0]["value"] = json!("mock");
    api.put(other);
    let server = server(&api).await;
    for policy in ["auto", "localPrefer", "enforce"] {
        let mut pod = bare(json!({"burst-to-cci": policy}));
        pod["spec"]["containers"][0]["resources"]["limits"] = json!({"nvidia.com/gpu": "1"});
        let wide =
            json!({"key": "virtual-kubelet.io/provider", "operator": "Exists", "effect": "NoSchedule"});
        let mut in_process = pod.clone();
        in_process["spec"]["tolerations"] = json!([wide]);
        in_process["metadata"]["annotations"] = json!({"burst.io/opened-in-process": "true"});
        for pod in [pod, in_process.clone()] {
            let pod = admitted(&server.app, "shop", &pod).await;
            let all = pod["spec"]["tolerations"].as_array().expect("tolerations");
            let values: Vec<_> = all
                .iter()
                .filter(|t| t["key"] == "virtual-kubelet.io/provider")
                .map(|t| &t["value"])
                .collect();
            assert_eq!(values, ["mock"], "{policy}: {pod}");
            assert_eq!(pod["metadata"]["annotations"]["burst.io/unsupported-by"], "huawei", "{pod}");
            assert_eq!(admitted(&server.app, "shop", &pod).await["spec"], pod["spec"], "twice is once");
        }
        // Its own toleration stays; Filter refuses the nodes of those that cannot run it.
        let mut own = in_process;
        own["metadata"]["annotations"] = Value::Null;
        let own = admitted(&server.app, "shop", &own).await;
        assert_eq!(own["spec"]["containers"][0]["resources"]["limits"]["burst.io/checked"], "1", "{own}");
        // What both can run is open to both.
        let pod = admitted(&server.app, "shop", &bare(json!({"burst-to-cci": policy}))).await;
        let opened = pod["spec"]["tolerations"].as_array().expect("tolerations");
        assert!(opened.contains(&wide), "{pod}");
        assert!(pod["metadata"]["annotations"]["burst.io/unsupported-by"].is_null(), "{pod}");
    }
    // What neither can run is refused.
    let mut pod = bare(json!({"burst-to-cci": "enforce"}));
    pod["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/var"}}]);
    assert!(refused(&server.app, "shop", &pod).await.contains("spec.volumes[0].hostPath"));
    server.end().await;
}

/// An update of `pods/resize`, as the API server asks about it.
fn resizing(pod: &Value) -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(&review("shop", pod, false)).expect("JSON");
    review["request"]["operation"] = json!("UPDATE");
    review["request"]["subResource"] = json!("resize");
    review.to_string().into_bytes()
}

/// Granted 1 core beside 3 of another pod, with a ceiling of 5: it may grow to 2 cores and not to 3.
#[tokio::test(flavor = "multi_thread")]
async fn a_governed_pod_grows_within_its_ceilings_only() {
    let api = cluster();
    object(&api, "shop", json!({"max": {"cloud": {"cpu": "5"}}}));
    let grant = |uid: &str, cpu_milli: u64| {
        let requests = Resources { cpu_milli, memory_bytes: 2 << 30, pods: 1, ..Resources::default() };
        let (namespace, tier) = ("shop".to_owned(), "cloud".to_owned());
        (uid.to_owned(), Grant { namespace, tier, side: Side::Cloud, requests, ..Grant::default() })
    };
    let policy = "BurstPolicy/shop/limits";
    let grants = [grant("u-1", 1000), grant("u-2", 3000)].into();
    api.put(json!({
        "apiVersion": "burst.io/v1alpha1", "kind": "BurstLedger",
        "metadata": {"name": object_name(policy), "namespace": "burst-system"},
        "spec": Ledger { policy: policy.to_owned(), grants, ..Ledger::default() },
    }));
    let server = server(&api).await;
    let sized = |cpu: &str, governed: &str| {
        let mut pod = bare(json!({"burst.io/governed": governed}));
        pod["metadata"]["uid"] = json!("u-1");
        pod["metadata"]["namespace"] = json!("shop");
        pod["metadata"]["annotations"] = json!({"burst.io/burst-policy": "BurstPolicy/shop/limits"});
        pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!(cpu);
        pod
    };
    for (cpu, governed, allowed) in
        [("2", "true", true), ("500m", "true", true), ("3", "true", false), ("3", "false", true)]
    {
        let verdict = judged(&server.app, &resizing(&sized(cpu, governed))).await.expect("a verdict");
        assert_eq!(matches!(verdict, Verdict::Allowed(_)), allowed, "{cpu} {governed}: {verdict:?}");
        if let Verdict::Denied(reason) = verdict {
            let words = [
                "pod shop/p",
                "cpu 1 to 3",
                "max.cloud.cpu 5",
                "4 in use, 6 afterwards",
                "BurstPolicy/shop/limits",
            ];
            assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
        }
    }
    server.end().await;
}

/// A ledger that cannot be read is no permission.
#[tokio::test(flavor = "multi_thread")]
async fn a_resize_without_a_ledger_to_read_is_no_verdict() {
    let api = cluster();
    object(&api, "shop", json!({"max": {"cloud": {"cpu": "5"}}}));
    api.fault(Fault::status(500).on("GET", "/burstledgers"));
    let server = server(&api).await;
    let mut pod = bare(json!({"burst.io/governed": "true"}));
    pod["metadata"]["annotations"] = json!({"burst.io/burst-policy": "BurstPolicy/shop/limits"});
    let error = judged(&server.app, &resizing(&pod)).await.expect_err("no verdict").to_string();
    assert!(error.contains("BurstPolicy/shop/limits"), "{error}");
    server.end().await;
}

/// What a limit says is not known while its object cannot be read: the pod grows when it is mended.
#[tokio::test(flavor = "multi_thread")]
async fn a_resize_under_an_object_that_cannot_be_read_is_refused() {
    let api = cluster();
    object(&api, "shop", json!({"max": {"cloud": {"pods": "many"}}}));
    let server = server(&api).await;
    let mut pod = bare(json!({"burst.io/governed": "true"}));
    pod["metadata"]["annotations"] = json!({"burst.io/burst-policy": "BurstPolicy/shop/limits"});
    let verdict = judged(&server.app, &resizing(&pod)).await.expect("a verdict");
    let Verdict::Denied(reason) = verdict else { panic!("{verdict:?}") };
    assert!(reason.contains("BurstPolicy/shop/limits cannot be read"), "{reason}");
    server.end().await;
}

/// Without an extender the leader opens: who could go both ways waits for it, under an object or the driver's own key.
#[tokio::test(flavor = "multi_thread")]
async fn under_the_toleration_driver_pods_of_both_kinds_wait_for_the_leader() {
    let api = cluster();
    object(&api, "eci", json!({"policy": "auto", "selector": {"matchLabels": {"app": "web"}}}));
    let server = start_set(&api, true, None, Settings { toleration_driver: true, ..settings() }).await;
    for (namespace, label, value, key) in [
        ("shop", "burst-to-cci", "auto", Some("Driver/toleration")),
        ("shop", "burst-to-cci", "localPrefer", Some("Driver/toleration")),
        ("shop", "burst-to-cci", "enforce", None),
        ("shop", "burst-to-cci", "off", None),
        ("eci", "app", "web", Some("BurstPolicy/eci/limits")),
    ] {
        let pod = admitted(&server.app, namespace, &bare(json!({label: value}))).await;
        assert_eq!(pod["metadata"]["annotations"]["burst.io/burst-policy"].as_str(), key, "{value}: {pod}");
        assert_eq!(pod["metadata"]["labels"]["burst.io/governed"] == "true", key.is_some(), "{value}: {pod}");
        let opened = tolerated(&pod).contains(&"virtual-kubelet.io/provider");
        assert_eq!(opened, value == "enforce", "{value}: {pod}");
        let limits = &pod["spec"]["containers"][0]["resources"]["limits"];
        assert!(limits.get("burst.io/managed").is_none(), "no extender is there to ask: {pod}");
    }
    server.end().await;
}
