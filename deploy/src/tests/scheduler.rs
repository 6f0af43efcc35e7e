//! The KubeSchedulerConfiguration keeps the promise of localPrefer.

use policies::keys;
use policies::proof::{TaintCounts, verify};
use policies::scheduler_config::SchedulerConfig;

const FILE: &str = "scheduler/kube-scheduler-config.yaml";

fn config() -> SchedulerConfig {
    serde_saphyr::from_str(&crate::text(FILE).unwrap()).unwrap()
}

#[test]
fn local_prefer_is_proved_by_taint_with_room_to_spare() {
    let config = config();
    config.validate().unwrap();
    for verdict in verify(&config, TaintCounts::SHIPPED, 10) {
        assert!(verdict.taint.proved, "{verdict:?}");
        assert!(verdict.taint.margin >= 100, "room for one more plugin of weight 1: {verdict:?}");
    }
}

#[test]
fn the_extender_sees_marked_pods_only_and_cannot_stop_others() {
    let config = config();
    let [extender] = config.extenders.as_slice() else { panic!("one extender") };
    assert!(extender.only_for(keys::MARKER_RESOURCE));
    assert!(extender.managed_resources.iter().all(|m| m.ignored_by_scheduler));
    assert!(extender.ignorable && extender.node_cache_capable);
    assert!(extender.bind_verb.is_empty(), "bind would make burst a single point of failure");
    assert_eq!(extender.url_prefix, "https://127.0.0.1:10260/v1");
    let verbs = [&extender.filter_verb, &extender.prioritize_verb, &extender.preempt_verb];
    assert_eq!(verbs, ["filter", "prioritize", "preempt"]);
    assert_eq!(extender.http_timeout, "300ms");
    let sample = config.nodes_to_find(&config.effective_profiles()[0], 5000);
    assert_eq!(sample, 100, "the documented profile samples 100 nodes at 5000");
}
