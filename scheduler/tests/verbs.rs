//! The verbs as tables: both forms of the nodes, every policy, bodies captured from a genuine kube-scheduler, and what
//! holds for any request.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use cluster::kept::Objects;
use cluster::reports::StoredReport;
use policies::decide::score::LocalLoad;
use policies::pod::PodFacts;
use policies::policy::Policy;
use proptest::prelude::*;
use scheduler::metrics::{Code, Mode, Verb};
use scheduler::verbs::{Stock, View, answer};
use serde_json::{Value, json};
use support::{ask, by_names, by_nodes, node, passed, pod, reply, small, snapshot};

const ALL: [&str; 4] = ["node-0", "node-1", "node-2", "burst-cci-0"];
const OFF: &str = "burst: policy off keeps the pod off virtual nodes";
const ENFORCE: &str = "burst: policy enforce keeps the pod off real nodes";

fn filtered(pod: &Value, names: &[&str], want: &[&str], rejected: Value) {
    for body in [by_names(pod, names), by_nodes(pod, names)] {
        let reply = reply(Verb::Filter, &body, &small());
        assert_eq!(passed(&reply), want, "{reply}");
        assert_eq!(reply["FailedAndUnresolvableNodes"], rejected);
        assert_eq!(reply["Error"], "");
        assert!(reply.get("FailedNodes").is_none(), "preemption must not try our refusals: {reply}");
    }
}

#[test]
fn filter_keeps_the_class_of_each_policy() {
    filtered(&pod("auto"), &ALL, &ALL, json!({}));
    filtered(&pod("localPrefer"), &ALL, &ALL, json!({}));
    filtered(&pod("off"), &ALL, &ALL[..3], json!({"burst-cci-0": OFF}));
    let real = json!({"node-0": ENFORCE, "node-1": ENFORCE, "node-2": ENFORCE});
    filtered(&pod("enforce"), &ALL, &["burst-cci-0"], real);
    filtered(&pod("off"), &["node-0", "new-node"], &["node-0", "new-node"], json!({}));
    filtered(&pod("off"), &[], &[], json!({}));
}

#[test]
fn a_pod_without_a_record_is_judged_by_its_own_labels() {
    let mut labelled = pod("auto");
    labelled["metadata"] = json!({"name": "a", "labels": {"burst-to-cci": "enforce"}});
    filtered(&labelled, &["burst-cci-0"], &["burst-cci-0"], json!({}));
    labelled["metadata"]["labels"] = json!({});
    filtered(&labelled, &["burst-cci-0"], &[], json!({"burst-cci-0": OFF}));
    labelled["metadata"]["labels"] = json!({"burst-to-cci": "Enforce"});
    filtered(&labelled, &["burst-cci-0"], &[], json!({"burst-cci-0": OFF}));
}

#[test]
fn filter_asks_the_provider() {
    let reason = |text: &str| json!({"burst-cci-0": format!("burst: {text}")});
    let mut no_cpu = pod("auto");
    no_cpu["spec"]["containers"][0]["resources"] = json!({});
    filtered(&no_cpu, &ALL, &ALL[..3], reason("the provider needs one container with a cpu request"));
    let mut giant = pod("auto");
    giant["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("64");
    filtered(&giant, &ALL, &ALL[..3], reason("the cloud sells no size that large"));
    let mut host_path = pod("auto");
    host_path["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/var"}}]);
    filtered(&host_path, &ALL, &ALL[..3], reason("the provider cannot honour a field of the pod"));
}

#[test]
fn a_local_prefer_pod_nominated_to_the_cloud_is_sent_back_while_a_real_node_has_room() {
    let mut nominated = pod("localPrefer");
    nominated["status"] = json!({"nominatedNodeName": "burst-cci-0"});
    let refused = json!({"burst-cci-0": "burst: policy localPrefer and a real node has room"});
    filtered(&nominated, &["burst-cci-0"], &[], refused);
    nominated["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("5");
    filtered(&nominated, &["burst-cci-0"], &["burst-cci-0"], json!({}));
}

#[test]
fn prioritize_lowers_virtual_nodes_and_lists_nothing_else() {
    let check = |policy: &str, names: &[&str], want: Value| {
        for body in [by_names(&pod(policy), names), by_nodes(&pod(policy), names)] {
            assert_eq!(reply(Verb::Prioritize, &body, &small()), want, "{policy} {names:?}");
        }
    };
    check("auto", &ALL, json!([{"Host": "burst-cci-0", "Score": -10}]));
    check("localPrefer", &ALL, json!([{"Host": "burst-cci-0", "Score": -10}]));
    check("auto", &ALL[..3], json!([]));
    check("enforce", &ALL, json!([]));
    check("off", &ALL, json!([]));
}

/// Filter refuses it to the few pods that are checked; all others are weighed, and go elsewhere while there is anywhere.
#[test]
fn a_place_that_is_sold_out_comes_last() {
    let report = |zone: &str, out: Value| {
        let spec = json!({"provider": "huawei", "zone": zone, "stockOuts": out});
        Arc::new(StoredReport {
            metadata: Default::default(),
            spec: serde_json::from_value(spec).map_err(|e| e.to_string()),
        })
    };
    let class = policies::stock::class(PodFacts::from_value(&pod("auto")).expect("a pod").requests);
    let reports: Objects<StoredReport> = [
        ("v-a".into(), report("a", json!([{"zone": "a", "class": class, "until": 100}]))),
        ("v-b".into(), report("b", json!([]))),
    ]
    .into();
    let picture = snapshot(&[
        node("node-0", "4", None),
        node("v-a", "100", Some("huawei")),
        node("v-b", "100", Some("huawei")),
    ]);
    let scores = |policy: &str, now: i64| {
        let load = LocalLoad::of(picture.nodes().map(|(_, row)| row));
        let stock = Some(Stock { reports: &reports, now });
        let view = View { snapshot: &picture, load, default_policy: Policy::Off, stock };
        let body = by_names(&pod(policy), &["node-0", "v-a", "v-b"]);
        serde_json::from_slice::<Value>(&answer(Verb::Prioritize, &body, view).body).expect("JSON")
    };
    let list = |a: i64, b: i64| json!([{"Host": "v-a", "Score": a}, {"Host": "v-b", "Score": b}]);
    for (policy, weighed) in [("auto", -10), ("localPrefer", -10), ("enforce", 0)] {
        assert_eq!(scores(policy, 99), list(weighed - 10, weighed), "{policy}");
    }
    assert_eq!(scores("auto", 100), list(-10, -10), "it is probed again");
    assert_eq!(scores("enforce", 100), json!([]));
    assert_eq!(scores("off", 99), json!([]));
}

#[test]
fn pressure_on_real_nodes_brings_the_score_towards_zero() {
    let mut index = cluster::Index::default();
    for node in [node("node-0", "10", None), node("burst-cci-0", "1000", Some("huawei"))] {
        index.apply_node(serde_json::from_value(node).expect("a node"));
    }
    let mut busy = pod("off");
    busy["spec"]["nodeName"] = json!("node-0");
    busy["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("5500m");
    index.apply_pod(&serde_json::from_value(busy).expect("a pod"));
    let body = by_names(&pod("auto"), &["node-0", "burst-cci-0"]);
    let got = reply(Verb::Prioritize, &body, &index.snapshot(true));
    assert_eq!(got, json!([{"Host": "burst-cci-0", "Score": -5}]));
}

#[test]
fn names_that_only_look_like_a_virtual_node_are_left_alone() {
    let names = ["xburst-cci-0", "burst-cci-01", "burst-cci-", "burst-cci-0.example"];
    filtered(&pod("off"), &names, &names, json!({}));
    assert_eq!(reply(Verb::Prioritize, &by_names(&pod("auto"), &names), &small()), json!([]));
}

#[test]
fn many_virtual_nodes_are_found_as_few_are() {
    let nodes: Vec<Value> = (0..40).map(|n| node(&format!("v-{n}"), "10", Some("huawei"))).collect();
    let names: Vec<String> = (0..40).map(|n| format!("v-{n}")).chain(["node-0".to_owned()]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let picture = snapshot(nodes.iter().chain([&node("node-0", "4", None)]));
    for body in [by_names(&pod("off"), &names), by_nodes(&pod("off"), &names)] {
        let reply = reply(Verb::Filter, &body, &picture);
        assert_eq!(passed(&reply), ["node-0"]);
        assert_eq!(reply["FailedAndUnresolvableNodes"].as_object().map(serde_json::Map::len), Some(40));
    }
}

#[test]
fn preempt_drops_virtual_nodes_unless_the_policy_allows_them() {
    let victims = |uid: &str| json!({"Pods": [{"UID": uid}], "NumPDBViolations": 1});
    let full = |uid: &str| json!({"Pods": [{"metadata": {"name": "p", "uid": uid}}], "NumPDBViolations": 1});
    let check = |policy: &str, want: &[&str]| {
        let want: Value = want.iter().map(|name| ((*name).to_owned(), victims(name))).collect();
        let meta = json!({"node-0": victims("node-0"), "burst-cci-0": victims("burst-cci-0")});
        let whole = json!({"node-0": full("node-0"), "burst-cci-0": full("burst-cci-0")});
        for body in [
            json!({"Pod": pod(policy), "NodeNameToVictims": null, "NodeNameToMetaVictims": meta}),
            json!({"Pod": pod(policy), "NodeNameToVictims": whole, "NodeNameToMetaVictims": null}),
        ] {
            let reply = reply(Verb::Preempt, body.to_string().as_bytes(), &small());
            assert_eq!(reply, json!({"NodeNameToMetaVictims": want}), "{policy}");
        }
    };
    check("off", &["node-0"]);
    check("localPrefer", &["node-0"]);
    check("auto", &["node-0", "burst-cci-0"]);
    check("enforce", &["burst-cci-0"]);
}

#[test]
fn bad_requests_are_answered_in_the_form_of_the_verb() {
    for body in ["", "{", r#"{"Pod":{},"NodeNames":["a""#, r#"{"NodeNames":["a"]}"#, "[1,2]"] {
        let answer = ask(Verb::Filter, body.as_bytes(), &small());
        assert_eq!((answer.code, answer.mode), (Code::BadRequest, Mode::None), "{body}");
        let filter: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert!(filter["Error"].as_str().is_some_and(|e| e.starts_with("burst: ")), "{filter}");
        assert!(filter["NodeNames"].is_null());
        assert_eq!(reply(Verb::Prioritize, body.as_bytes(), &small()), json!([]));
        assert_eq!(reply(Verb::Preempt, body.as_bytes(), &small()), json!({"NodeNameToMetaVictims": {}}));
    }
    let mut bad = pod("auto");
    bad["spec"]["containers"][0]["resources"]["requests"]["memory"] = json!("9Gb");
    let error = reply(Verb::Filter, &by_names(&bad, &ALL), &small());
    let text = error["Error"].as_str().unwrap_or_default();
    assert!(text.contains("spec.containers[0].resources.requests.memory") && text.contains("9Gb"), "{text}");
}

/// Bodies as kube-scheduler 1.36 sent them; `node-1` stands for a virtual node here.
#[test]
fn captured_requests_are_understood() {
    let picture = snapshot(&[node("node-0", "4", None), node("node-1", "100", Some("huawei"))]);
    for (file, mode) in [("names", Mode::Names), ("nodes", Mode::Nodes)] {
        let filter = golden(&format!("filter-{file}.json"));
        let answer = ask(Verb::Filter, &filter, &picture);
        assert_eq!((answer.code, answer.mode, answer.nodes), (Code::Ok, mode, Some(2)), "{file}");
        let got: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(passed(&got), ["node-0", "node-1"], "{file}");
        let sent: Value = serde_json::from_slice(&filter).expect("JSON");
        if mode == Mode::Nodes {
            assert_eq!(got["Nodes"]["items"], sent["Nodes"]["items"], "objects come back as they were");
        }
        let prioritize = reply(Verb::Prioritize, &golden(&format!("prioritize-{file}.json")), &picture);
        assert_eq!(prioritize, json!([{"Host": "node-1", "Score": -10}]), "{file}");
        let preempt = reply(Verb::Preempt, &golden(&format!("preempt-{file}.json")), &picture);
        let left = preempt["NodeNameToMetaVictims"].as_object().expect("a map");
        assert_eq!(left.keys().collect::<Vec<_>>(), ["node-0"], "an unlabelled pod: no virtual node");
        assert_eq!(left["node-0"]["Pods"].as_array().map(Vec::len), Some(1));
    }
}

/// The same bodies with every protocol key in lower case, as Go would read them too.
#[test]
fn captured_requests_are_understood_in_lower_case() {
    let picture = snapshot(&[node("node-0", "4", None), node("node-1", "100", Some("huawei"))]);
    let lower = |body: Vec<u8>| {
        let mut text = String::from_utf8(body).expect("text");
        for key in ["Pod", "Nodes", "NodeNames", "NodeNameToVictims", "NodeNameToMetaVictims", "Pods", "UID"]
        {
            text = text.replace(&format!("\"{key}\":"), &format!("\"{}\":", key.to_lowercase()));
        }
        text.into_bytes()
    };
    for file in ["names", "nodes"] {
        for (verb, name) in
            [(Verb::Filter, "filter"), (Verb::Prioritize, "prioritize"), (Verb::Preempt, "preempt")]
        {
            let body = golden(&format!("{name}-{file}.json"));
            let same = reply(verb, &body, &picture);
            assert_eq!(reply(verb, &lower(body), &picture), same, "{name}-{file}");
        }
    }
}

fn golden(file: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        Just("node-0".to_owned()),
        Just("burst-cci-0".to_owned()),
        "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?",
        "[ -~]{0,12}",
        "(burst-cci-0|\"burst-cci-0\"|x\\\\\"burst-cci-0)[,\\]\\[{}]?",
    ];
    proptest::collection::vec(name, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn filter_answers_a_part_of_what_was_sent_and_the_same_again(
        names in names(),
        policy in prop_oneof!["auto", "off", "localPrefer", "enforce"],
    ) {
        let sent: Vec<&str> = names.iter().map(String::as_str).collect();
        let first = reply(Verb::Filter, &by_names(&pod(&policy), &sent), &small());
        let kept = passed(&first);
        let mut rest = sent.iter();
        prop_assert!(kept.iter().all(|name| rest.any(|sent| sent == name)), "{kept:?} of {sent:?}, in order");
        let refused: BTreeSet<&str> =
            first["FailedAndUnresolvableNodes"].as_object().expect("a map").keys().map(String::as_str).collect();
        let all: BTreeSet<&str> = sent.iter().copied().collect();
        let answered: BTreeSet<&str> = kept.iter().copied().chain(refused.iter().copied()).collect();
        prop_assert_eq!(answered, all, "every node is named");
        prop_assert!(kept.iter().all(|name| !refused.contains(name)));
        let again = reply(Verb::Filter, &by_names(&pod(&policy), &sent), &small());
        prop_assert_eq!(&again, &first);
        let second = reply(Verb::Filter, &by_names(&pod(&policy), &kept), &small());
        prop_assert_eq!(passed(&second), kept, "what passed passes");
    }

    #[test]
    fn prioritize_names_only_nodes_that_were_sent(
        names in names(),
        policy in prop_oneof!["auto", "off", "localPrefer", "enforce"],
    ) {
        let sent: Vec<&str> = names.iter().map(String::as_str).collect();
        let list = reply(Verb::Prioritize, &by_names(&pod(&policy), &sent), &small());
        let mut seen = BTreeSet::new();
        for entry in list.as_array().expect("a list") {
            let host = entry["Host"].as_str().expect("a host");
            prop_assert!(sent.contains(&host), "{host} was not sent");
            prop_assert!(seen.insert(host.to_owned()), "{host} twice would be summed");
            prop_assert!((-10..=0).contains(&entry["Score"].as_i64().expect("a score")));
        }
    }

    #[test]
    fn both_forms_get_the_same_answer(
        names in proptest::collection::btree_set("[a-z0-9]{1,8}|burst-cci-0|node-[0-2]", 0..20),
        policy in prop_oneof!["auto", "off", "localPrefer", "enforce"],
    ) {
        let sent: Vec<&str> = names.iter().map(String::as_str).collect();
        let (a, b) = (by_names(&pod(&policy), &sent), by_nodes(&pod(&policy), &sent));
        let (by_names, by_nodes) = (reply(Verb::Filter, &a, &small()), reply(Verb::Filter, &b, &small()));
        prop_assert_eq!(passed(&by_names), passed(&by_nodes));
        prop_assert_eq!(&by_names["FailedAndUnresolvableNodes"], &by_nodes["FailedAndUnresolvableNodes"]);
        prop_assert_eq!(reply(Verb::Prioritize, &a, &small()), reply(Verb::Prioritize, &b, &small()));
    }

    #[test]
    fn no_body_is_too_strange(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for verb in [Verb::Filter, Verb::Prioritize, Verb::Preempt] {
            let answer = ask(verb, &body, &small());
            prop_assert!(serde_json::from_slice::<Value>(&answer.body).is_ok());
        }
    }

    #[test]
    fn a_cut_or_damaged_request_is_refused_or_understood(at in 0_usize..5000, byte in any::<u8>(), cut in any::<bool>()) {
        let mut body = golden("filter-names.json");
        let at = at % body.len();
        if cut { body.truncate(at) } else { body[at] = byte }
        for verb in [Verb::Filter, Verb::Prioritize, Verb::Preempt] {
            let answer = ask(verb, &body, &small());
            prop_assert!(serde_json::from_slice::<Value>(&answer.body).is_ok());
            prop_assert!(!cut || answer.code == Code::BadRequest);
        }
    }
}
