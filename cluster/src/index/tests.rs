use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use policies::keys;
use proptest::prelude::*;

use super::*;
use crate::slim::PodPhase;
use policies::resources::Resources;

fn amount(cpu_milli: u64) -> Resources {
    Resources { cpu_milli, memory_bytes: cpu_milli << 20, pods: 1, ..Resources::default() }
}

fn node(name: &str, class: NodeClass) -> SlimNode {
    let label = |class| if class == NodeClass::Virtual { keys::NODE_TYPE_VIRTUAL } else { "worker" };
    SlimNode {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        labels: BTreeMap::from([(keys::NODE_TYPE.to_owned(), label(class).to_owned())]),
        allocatable: amount(4000),
        ready: true,
        ..SlimNode::default()
    }
}

fn pod(uid: &str, node: Option<&str>, cpu_milli: u64) -> SlimPod {
    SlimPod {
        metadata: ObjectMeta {
            name: Some(uid.to_owned()),
            namespace: Some("shop".to_owned()),
            uid: Some(uid.to_owned()),
            ..ObjectMeta::default()
        },
        node: node.map(SmolStr::new),
        requests: amount(cpu_milli),
        ..SlimPod::default()
    }
}

fn with_policy(mut pod: SlimPod, policy: &str) -> SlimPod {
    pod.annotations.insert(keys::RESOLVED_POLICY.to_owned(), policy.to_owned());
    pod
}

fn burst_names(snapshot: &Snapshot) -> BTreeSet<String> {
    snapshot.burst_pods().iter().map(|pod| pod.name.to_string()).collect()
}

#[test]
fn pods_before_their_node_and_nodes_that_come_back() {
    let mut index = Index::default();
    index.apply_pod(&pod("a", Some("n"), 100));
    assert_eq!(index.snapshot(true).node_count(), 0);
    index.apply_node(node("n", NodeClass::Real));
    assert_eq!(index.snapshot(true).by_name("n").map(|n| n.requested), Some(amount(100)));
    index.delete_node("n");
    let gone = index.snapshot(true);
    assert_eq!((gone.by_name("n"), gone.nodes().count(), gone.id("n")), (None, 0, None));
    index.apply_node(node("n", NodeClass::Real));
    assert_eq!(index.snapshot(true).by_name("n").map(|n| n.requested), Some(amount(100)));
}

#[test]
fn burst_pods_are_those_in_the_cloud_or_on_their_way() {
    let mut index = Index::default();
    index.apply_node(node("real", NodeClass::Real));
    index.apply_node(node("virt", NodeClass::Virtual));
    index.apply_pod(&pod("cloud", Some("virt"), 1));
    index.apply_pod(&pod("early", Some("later"), 1));
    index.apply_pod(&with_policy(pod("waiting", None, 1), "auto"));
    index.apply_pod(&with_policy(pod("never", None, 1), "off"));
    index.apply_pod(&with_policy(pod("home", Some("real"), 1), "auto"));
    index.apply_pod(&pod("plain", None, 1));
    let snapshot = index.snapshot(true);
    assert_eq!(burst_names(&snapshot), BTreeSet::from(["cloud", "waiting"].map(str::to_owned)));
    assert_eq!(snapshot.totals().pending_pods, 3);
    let auto = snapshot.totals().policy(Policy::Auto);
    assert_eq!((auto.pending, auto.local, auto.burst), (1, 1, 0));
    index.apply_node(node("later", NodeClass::Virtual));
    index.apply_pod(&with_policy(pod("waiting", Some("real"), 1), "auto"));
    let snapshot = index.snapshot(true);
    assert_eq!(burst_names(&snapshot), BTreeSet::from(["cloud", "early"].map(str::to_owned)));
    let mut finished = pod("cloud", Some("virt"), 1);
    finished.phase = PodPhase::Succeeded;
    index.apply_pod(&finished);
    index.apply_node(node("later", NodeClass::Real));
    let snapshot = index.snapshot(true);
    assert_eq!(burst_names(&snapshot), BTreeSet::new());
    assert_eq!(snapshot.totals().virtual_nodes.requested, Resources::default());
}

#[test]
fn unchanged_rows_are_shared_between_pictures() {
    let mut index = Index::default();
    index.apply_node(node("a", NodeClass::Real));
    index.apply_node(node("b", NodeClass::Real));
    let before = index.snapshot(true);
    index.apply_pod(&pod("p", Some("b"), 5));
    let after = index.snapshot(true);
    let row = |snapshot: &Snapshot, name: &str| snapshot.rows[snapshot.id(name).expect("known").at()].clone();
    assert!(Arc::ptr_eq(&row(&before, "a").expect("row"), &row(&after, "a").expect("row")));
    assert_eq!(before.by_name("b").map(|n| n.requested.cpu_milli), Some(0));
    assert_eq!(after.by_name("b").map(|n| n.requested.cpu_milli), Some(5));
    assert!(Arc::ptr_eq(&before.names, &after.names));
}

#[test]
fn a_slot_is_used_again_only_when_nothing_is_bound_to_it() {
    let mut index = Index::default();
    index.apply_node(node("a", NodeClass::Real));
    index.apply_pod(&pod("p", Some("a"), 5));
    index.delete_node("a");
    index.apply_node(node("b", NodeClass::Real));
    assert_eq!(index.slots.len(), 2);
    index.delete_pod("p");
    index.apply_node(node("c", NodeClass::Virtual));
    assert_eq!(index.slots.len(), 2);
    let snapshot = index.snapshot(true);
    assert_eq!(snapshot.by_name("c").map(|n| n.requested), Some(Resources::default()));
    assert_eq!(snapshot.virtual_nodes().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(snapshot.id("c").and_then(|id| snapshot.class(id)), Some(NodeClass::Virtual));
}

/// One step that a watch may take. Names and UIDs are few, so that steps meet.
#[derive(Clone, Copy, Debug)]
enum Step {
    Node {
        name: u8,
        virtual_node: bool,
    },
    DeleteNode(u8),
    Pod {
        uid: u8,
        node: Option<u8>,
        cpu: u64,
        finished: bool,
        policy: bool,
    },
    DeletePod(u8),
    /// A relist: the cluster as it is, minus what vanished unseen.
    Relist {
        keep: u8,
    },
    Publish,
}

fn step() -> impl Strategy<Value = Step> {
    let cpu = prop_oneof![0u64..5000, Just(u64::MAX)];
    let pod = (0u8..12, proptest::option::of(0u8..6), cpu, any::<bool>(), any::<bool>());
    prop_oneof![
        3 => (0u8..6, any::<bool>()).prop_map(|(name, virtual_node)| Step::Node { name, virtual_node }),
        1 => (0u8..6).prop_map(Step::DeleteNode),
        8 => pod.prop_map(|(uid, node, cpu, finished, policy)| Step::Pod { uid, node, cpu, finished: finished && policy, policy }),
        2 => (0u8..12).prop_map(Step::DeletePod),
        1 => any::<u8>().prop_map(|keep| Step::Relist { keep }),
        2 => Just(Step::Publish),
    ]
}

/// The cluster as it really is.
#[derive(Default)]
struct Truth {
    nodes: BTreeMap<String, NodeClass>,
    pods: BTreeMap<String, SlimPod>,
}

impl Truth {
    fn apply(&mut self, index: &mut Index, step: Step) {
        match step {
            Step::Node { name, virtual_node } => {
                let class = if virtual_node { NodeClass::Virtual } else { NodeClass::Real };
                let name = format!("n{name}");
                index.apply_node(node(&name, class));
                self.nodes.insert(name, class);
            }
            Step::DeleteNode(name) => {
                let name = format!("n{name}");
                index.delete_node(&name);
                self.nodes.remove(&name);
            }
            Step::Pod { uid, node, cpu, finished, policy } => {
                let node = node.map(|n| format!("n{n}"));
                let mut pod = pod(&format!("p{uid}"), node.as_deref(), cpu);
                if policy {
                    pod = with_policy(pod, "auto");
                }
                if finished {
                    pod.phase = PodPhase::Failed;
                }
                index.apply_pod(&pod);
                self.pods.insert(format!("p{uid}"), pod);
            }
            Step::DeletePod(uid) => {
                index.delete_pod(&format!("p{uid}"));
                self.pods.remove(&format!("p{uid}"));
            }
            Step::Relist { keep } => self.relist(index, keep),
            Step::Publish => drop(index.snapshot(true)),
        }
    }

    fn relist(&mut self, index: &mut Index, keep: u8) {
        let kept = |name: &str| name.bytes().last().is_some_and(|b| keep >> (b % 8) & 1 == 1);
        self.nodes.retain(|name, _| kept(name));
        self.pods.retain(|name, _| kept(name));
        index.relist_nodes();
        self.nodes.iter().for_each(|(name, class)| index.apply_node(node(name, *class)));
        index.sweep_nodes();
        index.relist_pods();
        self.pods.values().for_each(|pod| index.apply_pod(pod));
        index.sweep_pods();
    }

    fn check(&self, snapshot: &Snapshot) {
        let live = || self.pods.values().filter(|pod| !pod.phase.finished());
        let names: BTreeMap<String, NodeClass> =
            snapshot.nodes().map(|(_, row)| (row.name.clone(), row.class)).collect();
        assert_eq!(names, self.nodes);
        for (id, row) in snapshot.nodes() {
            let bound = live().filter(|pod| pod.node.as_deref() == Some(&row.name));
            let sum = bound.fold(Resources::default(), |sum, pod| sum.plus(pod.requests));
            assert_eq!(row.requested, sum, "{}", row.name);
            assert_eq!((snapshot.id(&row.name), snapshot.class(id)), (Some(id), Some(row.class)));
        }
        let class = |pod: &&SlimPod| self.nodes.get(pod.node.as_deref().unwrap_or_default()).copied();
        let on = |wanted| live().filter(|pod| class(pod) == Some(wanted)).count() as u64;
        assert_eq!(snapshot.totals().real.requested.pods, on(NodeClass::Real));
        assert_eq!(snapshot.totals().virtual_nodes.requested.pods, on(NodeClass::Virtual));
        assert_eq!(snapshot.totals().pending_pods as usize, live().filter(|pod| pod.node.is_none()).count());
        let auto = snapshot.totals().policy(Policy::Auto);
        let with = live().filter(|pod| pod.policy() == Some(Policy::Auto));
        assert_eq!((auto.pending + auto.local + auto.burst) as usize, with.count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any interleaving of apply, delete and relist keeps what is requested equal to the sum over the pods.
    #[test]
    fn requested_is_the_recomputed_sum(steps in proptest::collection::vec(step(), 1..120)) {
        let mut index = Index::default();
        let mut truth = Truth::default();
        for step in steps {
            truth.apply(&mut index, step);
        }
        truth.check(&index.snapshot(true));
    }
}
