//! Every KubeSchedulerConfiguration that is shipped keeps the promise of localPrefer.

use policies::decide::score::DECISIVE;
use policies::keys;
use policies::proof::{Facts, verify};
use policies::scheduler_config::{Extender, SchedulerConfig, ScoreWeights};
use serde_json::Value;

const FILE: &str = "scheduler/kube-scheduler-config.yaml";
const SECOND: &str = "scheduler/second-scheduler.yaml";

fn config() -> SchedulerConfig {
    serde_saphyr::from_str(&crate::text(FILE).unwrap()).unwrap()
}

fn second(kind: &str) -> Vec<Value> {
    crate::documents(SECOND).unwrap().into_iter().filter(|o| o["kind"] == kind).collect()
}

/// The configuration of the second scheduler, out of its ConfigMap.
fn second_config() -> SchedulerConfig {
    serde_saphyr::from_str(second("ConfigMap")[0]["data"]["config.yaml"].as_str().unwrap()).unwrap()
}

#[test]
fn local_prefer_is_proved_by_taint_with_room_to_spare() {
    for config in [config(), second_config()] {
        config.validate().unwrap();
        for verdict in verify(&config, Facts::SHIPPED) {
            assert!(verdict.proved() && verdict.taint.proved, "{verdict:?}");
            assert!(verdict.taint.margin >= 100, "room for one more plugin of weight 1: {verdict:?}");
        }
        let sample = config.nodes_to_find(&config.effective_profiles()[0], 5000);
        assert_eq!(sample, 100, "the documented profile samples 100 nodes at 5000");
    }
}

/// What is decided without a call would be decided so with it: the extender's score, and the taint's in its place.
#[test]
fn a_decisive_score_outweighs_all_others_as_the_taint_does() {
    let config = config();
    let weights = ScoreWeights::of(&config.effective_profiles()[0]);
    let taint = weights.get("TaintToleration");
    // Of auto pods that are weighed by a call the taint says nothing.
    let others = 100 * (weights.sum() - taint);
    let lean = -DECISIVE * 10 * config.extenders[0].weight;
    assert!(lean > others, "a call: {lean} against {others}");
    assert!(100 * taint > others, "the taint: {} against {others}", 100 * taint);
}

#[test]
fn the_shipped_configuration_leads_to_nothing_worth_a_warning() {
    let verdicts = verify(&config(), Facts::SHIPPED);
    assert!(verdicts.iter().all(|v| v.consequences.is_empty()), "{verdicts:?}");
    let second = verify(&second_config(), Facts::SHIPPED).remove(0);
    // Its own pods are all sent, on purpose.
    assert!(matches!(second.consequences.as_slice(), [one] if one.contains("every pod")), "{second:?}");
}

fn verbs(extender: &Extender) -> [&str; 3] {
    [&extender.filter_verb, &extender.prioritize_verb, &extender.preempt_verb]
}

/// What holds for our extender wherever it is declared.
fn cannot_stop_others(extender: &Extender) {
    assert!(extender.ignorable && extender.node_cache_capable);
    assert!(extender.bind_verb.is_empty(), "bind would make burst a single point of failure");
    assert_eq!(extender.timeout().as_millis(), 300);
    assert!(extender.enable_https && !extender.is_unverified());
}

#[test]
fn the_extender_sees_marked_pods_only_and_cannot_stop_others() {
    let config = config();
    let [weighs, checks] = config.extenders.as_slice() else { panic!("two extenders") };
    assert!(weighs.only_for(keys::MARKER_RESOURCE) && checks.only_for(keys::CHECKED_RESOURCE));
    // An auto pod costs one call.
    assert_eq!(verbs(weighs), ["", "prioritize", ""]);
    assert_eq!(verbs(checks), ["filter", "", "preempt"]);
    for extender in [weighs, checks] {
        assert!(extender.managed_resources.iter().all(|m| m.ignored_by_scheduler));
        cannot_stop_others(extender);
        assert_eq!(extender.url_prefix, "https://127.0.0.1:10260/v1");
    }
}

#[test]
fn the_second_scheduler_is_a_scheduler_beside_the_first() {
    let config = second_config();
    let [extender] = config.extenders.as_slice() else { panic!("one extender") };
    assert!(extender.for_every_pod(), "its pods carry no marker");
    assert_eq!(verbs(extender), ["filter", "prioritize", "preempt"]);
    cannot_stop_others(extender);
    let names: Vec<&str> = config.profiles.iter().map(|p| p.name()).collect();
    assert_eq!(
        names,
        ["burst-scheduler"],
        "the default profile would fight the cluster's own scheduler for pods"
    );
    let lease = |field: &str| config.leader_election[field].as_str().unwrap().to_owned();
    let [_, named] = second("Role")[0]["rules"].as_array().unwrap().as_slice().to_vec().try_into().unwrap();
    assert_eq!(named["resourceNames"][0], lease("resourceName").as_str());
    assert_eq!(second("Role")[0]["metadata"]["namespace"], lease("resourceNamespace").as_str());
    assert_ne!(lease("resourceName"), "kube-scheduler", "the lease of the cluster's own scheduler");
    let service = crate::documents("manifests/scheduler.yaml").unwrap();
    let service = service.iter().find(|o| o["kind"] == "Service").unwrap();
    let host = ["name", "namespace"].map(|f| service["metadata"][f].as_str().unwrap()).join(".");
    assert_eq!(extender.url_prefix, format!("https://{host}.svc/v1"));
    assert_eq!(service["spec"]["ports"][0]["port"], 443);
}

#[test]
fn the_second_schedulers_objects_belong_together() {
    let account = &second("ServiceAccount")[0]["metadata"];
    for binding in [second("ClusterRoleBinding"), second("RoleBinding")].concat() {
        assert_eq!(binding["subjects"][0]["name"], account["name"], "{binding}");
        assert_eq!(binding["subjects"][0]["namespace"], account["namespace"], "{binding}");
    }
    let deployment = &second("Deployment")[0]["spec"];
    let pod = &deployment["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], account["name"]);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["volumes"][0]["configMap"]["name"], second("ConfigMap")[0]["metadata"]["name"]);
    assert_eq!(
        deployment["selector"]["matchLabels"],
        second("PodDisruptionBudget")[0]["spec"]["selector"]["matchLabels"]
    );
    for object in crate::documents(SECOND).unwrap() {
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/part-of"], "burst", "{object}");
    }
}
