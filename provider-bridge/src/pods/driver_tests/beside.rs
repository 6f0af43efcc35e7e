//! DaemonSets beside pods.

use cluster::daemons;
use tokio_util::task::TaskTracker;

use super::*;

fn daemon_set(name: &str, spec: &Value) -> Value {
    let mut template = json!({"containers": [{"name": "ship", "image": "agent",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]});
    for (key, value) in spec.as_object().into_iter().flatten() {
        template[key] = value.clone();
    }
    json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {"template": {"spec": template}},
        "metadata": {"namespace": "logging", "name": name, "uid": name,
            "annotations": {"burst.io/replace-in-cloud": "true"}}})
}

fn accompanied(name: &str, uid: &str, by: &str) -> Value {
    let mut pod = pod(name, uid);
    pod["metadata"]["annotations"] = json!({
        "burst.io/daemonsets": by, "burst.io/daemonsets-requests": r#"{"cpu":"100m","memory":"64Mi"}"#});
    pod
}

fn rig(api: &FakeApi, cancel: &CancellationToken) -> Rig {
    let daemons = daemons::watch(&api.client(), cancel.clone(), &TaskTracker::new());
    Rig::beside(api.clone(), FakeCloud::new(), settings(), daemons)
}

#[tokio::test(start_paused = true)]
async fn an_agent_runs_beside_the_pod_that_names_it() {
    let (api, cancel) = (FakeApi::new(), CancellationToken::new());
    api.put(daemon_set("agent", &json!({})));
    api.put(daemon_set("later", &json!({})));
    let rig = rig(&api, &cancel);
    rig.api.put(accompanied("web", "u1", "logging/agent"));
    rig.api.put(pod("plain", "u2"));
    rig.running("web").await;
    rig.running("plain").await;
    let of = |uid: &str| rig.cloud.lock().containers[uid].clone();
    assert_eq!(of("u1"), (vec!["main".into(), "agent-ship".into()], vec!["agent-ship".into()]));
    assert_eq!(of("u2"), (vec!["main".into()], vec![]), "it was not counted for this pod");
    assert_eq!(rig.events_of("web"), ["ProviderCreateSuccess"]);
    assert_eq!(rig.events_of("plain"), ["ProviderCreateSuccess"]);
    cancel.cancel();
}

/// Who cannot come, or is gone, is told once, and the pod runs.
#[tokio::test(start_paused = true)]
async fn a_pod_runs_without_those_that_cannot_come() {
    let (api, cancel) = (FakeApi::new(), CancellationToken::new());
    api.put(daemon_set("host", &json!({"hostNetwork": true})));
    let rig = rig(&api, &cancel);
    rig.api.put(accompanied("web", "u1", "logging/gone"));
    rig.running("web").await;
    after(5).await;
    let told = rig.events_of("web").into_iter().filter(|reason| reason == "DaemonSetNotReplaced").count();
    assert_eq!(told, 2, "{:?}", rig.events_of("web"));
    assert_eq!(rig.cloud.lock().containers["u1"].1, Vec::<String>::new());
    let mut own = pod("own", "u2");
    own["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "x", "uid": "x", "controller": true}]);
    rig.api.put(own);
    rig.running("own").await;
    assert!(
        !rig.events_of("own").contains(&"DaemonSetNotReplaced".to_owned()),
        "pods of DaemonSets are left alone"
    );
    cancel.cancel();
}

/// Guards the agent: an unread list is not an empty one.
#[tokio::test(start_paused = true)]
async fn nothing_is_created_before_the_daemon_sets_are_listed() {
    let (api, cancel) = (FakeApi::new(), CancellationToken::new());
    api.put(daemon_set("agent", &json!({})));
    api.fault(Fault::status(403).on("GET", "/daemonsets").times(1));
    let rig = rig(&api, &cancel);
    rig.api.put(accompanied("web", "u1", "logging/agent"));
    rig.running("web").await;
    assert_eq!(rig.cloud.lock().containers["u1"].1, ["agent-ship"]);
    assert_eq!(rig.cloud.lock().creates.len(), 1);
    assert!(api.requests_of("GET", "/daemonsets").len() > 1);
    cancel.cancel();
}

/// Guards the pods: they wait for their own objects and never for an agent's.
#[tokio::test(start_paused = true)]
async fn an_agent_whose_objects_cannot_be_read_is_left_out() {
    let conf = |extra: &Value| {
        let mut reference = json!({"name": "conf"});
        reference.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap());
        json!({"containers": [{"name": "ship", "image": "agent",
            "env": [{"name": "A", "valueFrom": {"configMapKeyRef": reference}}]}]})
    };
    let key = |key: &str| conf(&json!({"key": key}));
    let optional = conf(&json!({"key": "other", "optional": true}));
    let absent = json!({"imagePullSecrets": [{"name": "absent"}]});
    let secret = json!({"volumes": [{"name": "s", "secret": {"secretName": "absent"}}]});
    for (spec, right, joins) in [
        (key("k"), true, true),
        (key("k"), false, false),
        (key("other"), true, false),
        (optional, true, true),
        (absent, true, true),
        (secret, true, false),
    ] {
        let (api, cancel) = (FakeApi::new(), CancellationToken::new());
        let mut own = daemon_set("agent", &spec);
        own["metadata"]["namespace"] = json!("shop");
        api.put(own);
        api.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"},
            "metadata": {"namespace": "shop", "name": "conf"}}));
        if !right {
            api.fault(Fault::status(403).on("GET", "/configmaps/conf"));
        }
        let rig = rig(&api, &cancel);
        rig.api.put(accompanied("web", "u1", "shop/agent"));
        rig.running("web").await;
        let hidden = rig.cloud.lock().containers["u1"].1.clone();
        assert_eq!(hidden.len(), usize::from(joins), "{spec}");
        let told = rig.events_of("web").contains(&"DaemonSetNotReplaced".to_owned());
        assert_eq!(told, !joins, "{spec}");
        cancel.cancel();
    }
}
