//! Who moves home: a case at a time, and a small world in which pods come and go.

use proptest::prelude::*;

use super::*;
use crate::{
    ledger::home::{self, Look, Move, PROMISE, Pending, Sight},
    pod::{PodFacts, Unjudged},
};

const KIND: (&str, &str) = ("app", "web");

fn repatriation() -> BurstPolicySpec {
    spec("policy: localPrefer\nrepatriation: {minStaySeconds: 100, maxPerHour: 2}")
}

/// A pod of one core that has been in the cloud since `since`.
fn away(uid: &str, since: Seconds) -> Claim {
    Claim {
        policy: Policy::LocalPrefer,
        node: on("v1", NodeClass::Virtual, "huawei", ""),
        created: since,
        granted: Some("cloud".to_owned()),
        labels: BTreeMap::from([(KIND.0.to_owned(), KIND.1.to_owned())]),
        ..pod(uid)
    }
}

fn facts(claim: &Claim) -> PodFacts {
    PodFacts {
        namespace: claim.namespace.clone(),
        labels: claim.labels.clone(),
        requests: claim.requests,
        ..PodFacts::default()
    }
}

fn node(name: &str, cores: u64) -> NodeRow {
    let mut scene = Scene::with(&[]).real(name, &[], size(cores * 1000, 64));
    scene.real_nodes.remove(0)
}

/// Two pods away since 0 and 10, a node with room for one, seen since the beginning.
struct Sky {
    scene: Scene,
    spec: BurstPolicySpec,
    ledger: Ledger,
    claims: Vec<Claim>,
    successors: BTreeMap<String, PodFacts>,
    pending: Vec<Pending>,
    steady: BTreeMap<String, Seconds>,
}

impl Sky {
    fn new() -> Self {
        let mut scene = Scene::with(&["v1 huawei"]);
        scene.real_nodes = vec![node("real", 1)];
        let claims = vec![away("b", 10), away("a", 0)];
        let grant = |claim: &Claim| Grant {
            side: Side::Cloud,
            tier: "cloud".to_owned(),
            started: Some(claim.created),
            requests: claim.requests,
            ..Grant::default()
        };
        let ledger = Ledger {
            grants: claims.iter().map(|c| (c.uid.clone(), grant(c))).collect(),
            ..Ledger::default()
        };
        Self {
            scene,
            spec: repatriation(),
            ledger,
            successors: claims.iter().map(|c| (c.uid.clone(), facts(c))).collect(),
            steady: claims.iter().map(|c| (c.uid.clone(), 0)).collect(),
            claims,
            pending: Vec::new(),
        }
    }

    fn look(&self) -> Look {
        // As a round leaves it.
        let moves = home::settled(&self.ledger, &self.claims, self.scene.now);
        let ledger = Ledger { moves, ..self.ledger.clone() };
        let promises = ledger.moves.iter().filter_map(|one| one.in_flight(&self.claims, self.scene.now));
        let rooms = home::room(&self.scene.real_nodes, promises, &self.pending);
        home::look(&Sight {
            spec: &self.spec,
            ledger: &ledger,
            claims: &self.claims,
            world: &self.scene.world(),
            rooms: &rooms,
            successors: &self.successors,
            steady: &self.steady,
            room_seconds: 30,
        })
    }

    fn ready(&self) -> String {
        self.look().ready.iter().map(|one| one.uid.as_str()).collect::<Vec<_>>().join(" ")
    }
}

/// What one change makes of the case in which `a b` are ready.
fn check(what: &str, wanted: &str, change: impl FnOnce(&mut Sky)) {
    let mut sky = Sky::new();
    change(&mut sky);
    assert_eq!(sky.ready(), wanted, "{what}");
}

#[test]
fn who_may_move_and_in_which_order() {
    check("the longest stay first", "a b", |_| {});
    check("not before its stay", "a", |sky| sky.scene.now = 105);
    check("nobody before", "", |sky| sky.scene.now = 99);
    check("without a wish", "", |sky| sky.spec.repatriation = None);
    check("enforce never", "b", |sky| sky.claims[1].policy = Policy::Enforce);
    check("off is not ours to move", "b", |sky| sky.claims[1].policy = Policy::Off);
    check("auto too", "a b", |sky| sky.claims[1].policy = Policy::Auto);
    check("being deleted", "b", |sky| sky.claims[1].deleting = true);
    check("finished", "b", |sky| sky.claims[1].finished = true);
    check("a gang stays together", "b", |sky| {
        sky.claims[1].gang = Some(GangMember { group: "g".to_owned(), size: 2 });
    });
    check("nobody would make it again", "b", |sky| drop(sky.successors.remove("a")));
    check("only the scheduler can judge", "b", |sky| {
        sky.successors.get_mut("a").unwrap().unjudged = vec![Unjudged::PodAffinity];
    });
    check("already on its way out of the ledger", "b", |sky| {
        sky.ledger.grants.get_mut("a").unwrap().state = GrantState::Closing;
    });
}

#[test]
fn room_must_be_there_for_the_successor_and_for_a_while() {
    check("no real node", "", |sky| sky.scene.real_nodes.clear());
    check("a full one", "", |sky| sky.scene.real_nodes[0].requested = size(500, 1));
    check("a cordoned one", "", |sky| sky.scene.real_nodes[0].unschedulable = true);
    check("it grew", "b", |sky| sky.claims[1].requests = size(1500, 2));
    check("its template grew", "b", |sky| {
        sky.successors.get_mut("a").unwrap().requests = size(1500, 2);
    });
    check("its selector", "b", |sky| {
        let selector = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        sky.successors.get_mut("a").unwrap().node_selector = selector;
    });
    check("seen just now", "b", |sky| _ = sky.steady.remove("a"));
    check("seen not long enough", "b", |sky| _ = sky.steady.insert("a".to_owned(), 971));
    let mut sky = Sky::new();
    sky.steady.clear();
    assert_eq!(sky.look().steady, BTreeMap::from([("a".to_owned(), 1000), ("b".to_owned(), 1000)]));
    sky.steady = sky.look().steady;
    sky.scene.real_nodes[0].requested = size(1000, 2);
    assert!(sky.look().steady.is_empty(), "a look without room begins anew");
}

#[test]
fn nobody_takes_what_others_wait_for() {
    let pending = |cpu| Pending {
        facts: PodFacts { requests: size(cpu, 1), namespace: "other".to_owned(), ..PodFacts::default() },
        policy: Policy::Off,
    };
    check("somebody else takes the room", "", |sky| sky.pending.push(pending(500)));
    check("too large for it anyway", "a b", |sky| sky.pending.push(pending(1500)));
    check("held by a gate", "a b", |sky| {
        sky.pending.push(pending(500));
        sky.pending[0].facts.scheduling_gates.push("queue".to_owned());
    });
    check("for the cloud only", "a b", |sky| {
        sky.pending.push(Pending { policy: Policy::Enforce, ..pending(500) });
    });
    check("a pod of the policy waits", "", |sky| {
        sky.claims.push(Claim { policy: Policy::LocalPrefer, requests: size(64_000, 1), ..pod("w") });
    });
    check("one that must not come home does not", "a b", |sky| {
        sky.claims.push(Claim { policy: Policy::Enforce, ..pod("w") });
    });
}

#[test]
fn ceilings_and_tiers_of_real_nodes_hold() {
    let tiers = |max: &str| {
        spec(&format!(
            "policy: localPrefer\nrepatriation: {{minStaySeconds: 100, maxPerHour: 2}}\n\
             tiers: [{{name: own, nodeSelector: {{pool: own}}, max: {max}}}, {{name: c, side: Cloud}}]"
        ))
    };
    check("no node of the tier", "", |sky| sky.spec = tiers("{pods: 1}"));
    let own = |sky: &mut Sky| sky.scene.real_nodes[0].labels.change("pool", Some("own"));
    check("one with room under its ceiling", "a b", |sky| {
        own(sky);
        sky.spec = tiers("{pods: 1}");
    });
    check("the ceiling is reached", "", |sky| {
        own(sky);
        sky.spec = tiers("{cpu: 500m}");
    });
    check("tiers without ceilings only order: any real node takes the pod", "a b", |sky| {
        sky.spec = tiers("{}");
    });
}

#[test]
fn one_at_a_time_until_the_successor_is_bound_or_a_minute_passed() {
    let mut sky = Sky::new();
    let zone = |name: &str| ("topology.kubernetes.io/zone".to_owned(), name.to_owned());
    sky.claims[1].labels.extend([zone("in-the-cloud")]);
    let first = sky.look().ready.remove(0);
    assert_eq!(first.promise.as_ref().map(|p| p.node.as_str()), Some("real"));
    sky.ledger.moves = vec![first];
    sky.scene.real_nodes.push(node("other", 8));
    sky.claims[1].deleting = true;
    assert_eq!(sky.ready(), "", "the room is promised, and a move is on its way");
    let mut new = Claim { node: None, created: 1001, ..away("n", 1001) };
    sky.claims.push(new.clone());
    sky.scene.now = 1002;
    assert_eq!(sky.ready(), "", "its successor waits");
    new.node = on("real", NodeClass::Real, "", "");
    new.labels.extend([zone("at-home")]);
    sky.claims[2] = new.clone();
    sky.scene.real_nodes[0].requested = size(1000, 2);
    assert_eq!(sky.ready(), "b", "bound: the next one");
    assert_eq!(home::settled(&sky.ledger, &sky.claims, 1002)[0].promise, None);
    sky.claims.pop();
    sky.scene.now = 1000 + PROMISE;
    assert_eq!(sky.ready(), "", "the pod itself takes longer than a minute to end");
    sky.claims.remove(1);
    assert_eq!(sky.ready(), "b", "nobody came within a minute");
    // It went to the cloud again: none of its kind is tried for an hour.
    sky.claims.push(Claim { node: on("v1", NodeClass::Virtual, "huawei", ""), ..new });
    assert_eq!(sky.ready(), "");
    sky.ledger.moves = home::settled(&sky.ledger, &sky.claims, sky.scene.now);
    sky.claims.pop();
    sky.scene.now = 1000 + home::HOUR - 1;
    assert_eq!(sky.ready(), "", "also when it is gone");
    sky.scene.now += 1;
    assert_eq!(sky.ready(), "b");
}

#[test]
fn what_became_of_a_move_stays_known() {
    let mut sky = Sky::new();
    let first = sky.look().ready.remove(0);
    sky.ledger.moves = vec![first];
    let home = Claim { node: on("real", NodeClass::Real, "", ""), ..away("n", 1001) };
    sky.claims.retain(|claim| claim.uid == "b");
    sky.claims.push(home);
    sky.scene.now = 1002;
    let plan = sky.scene.plan(&sky.spec, &sky.ledger, &sky.claims);
    assert!(plan.changed, "it is written");
    sky.ledger = plan.ledger;
    sky.claims.pop();
    assert_eq!(sky.ready(), "b", "the successor was at home and is gone: its room is free at once");
    sky.scene.now += home::HOUR;
    let plan = sky.scene.plan(&sky.spec, &sky.ledger, &sky.claims);
    assert!(plan.ledger.moves.is_empty() && plan.changed, "after an hour it counts no more");
}

#[test]
fn the_pace_counts_an_hour_back() {
    let pace = |moves: &[Seconds], most, now| home::pace(moves.iter().copied(), most, now);
    assert_eq!(pace(&[], 1, 0), Ok(()));
    assert_eq!(pace(&[10], 1, 3609), Err(3610));
    assert_eq!(pace(&[10], 1, 3610), Ok(()));
    assert_eq!(pace(&[10, 20, 30], 2, 40), Err(3620), "lowered: two of three must be an hour old");
    assert_eq!(pace(&[10], 0, 40), Err(Seconds::MAX));
    assert_eq!(pace(&[], 0, 40), Err(Seconds::MAX));
    let sky = Sky::new();
    let guests = |ledger: &Ledger, now| {
        home::guests(&sky.spec, ledger, &sky.claims, now)
            .map(|all| all.iter().map(|c| c.uid.as_str()).collect::<Vec<_>>())
    };
    assert_eq!(guests(&sky.ledger, 1000), Ok(vec!["a", "b"]));
    assert_eq!(guests(&sky.ledger, 50), Err(Some(100)), "worth a look when the first has stayed");
    let moved = |at| Move { at, uid: "x".to_owned(), promise: None };
    let ledger = Ledger { moves: vec![moved(900), moved(950)], ..sky.ledger.clone() };
    assert_eq!(guests(&ledger, 1000), Err(Some(4500)));
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    Wait(u8),
    Burst,
    Scheduler,
    /// A pod of another owner comes to, or leaves, a real node.
    Other(usize, bool),
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u8>().prop_map(Step::Wait),
        2 => Just(Step::Burst),
        3 => Just(Step::Scheduler),
        2 => (0..2usize, any::<bool>()).prop_map(|(node, comes)| Step::Other(node, comes)),
        6 => Just(Step::Look),
    ]
}

/// Puts everybody who waits on a node: real ones first.
fn schedule(sky: &mut Sky) {
    let now = sky.scene.now;
    for claim in sky.claims.iter_mut().filter(|c| c.node.is_none()) {
        let room = sky.scene.real_nodes.iter_mut().find(|row| claim.requests.fits(row.free()));
        claim.node = match room {
            Some(row) => {
                row.requested = row.requested.plus(claim.requests);
                on(&row.name, NodeClass::Real, "", "")
            }
            None => {
                let grant = Grant {
                    side: Side::Cloud,
                    tier: "cloud".to_owned(),
                    started: Some(now),
                    ..Grant::default()
                };
                sky.ledger.grants.insert(claim.uid.clone(), grant);
                on("v1", NodeClass::Virtual, "huawei", "")
            }
        };
    }
}

proptest! {
    /// Never above the pace, never without room for every promise, nobody before its stay; and whoever moves with no rival
    /// finds room.
    #[test]
    fn no_interleaving_moves_too_many(steps in prop::collection::vec(step(), 1..120), most in 1..4u32) {
        let mut sky = Sky::new();
        (sky.claims, sky.ledger, sky.steady) = Default::default();
        sky.scene.real_nodes = vec![node("n0", 2), node("n1", 1)];
        sky.spec.repatriation.as_mut().unwrap().max_per_hour = most;
        let mut made = 0;
        let mut all: Vec<Seconds> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(seconds) => sky.scene.now += Seconds::from(seconds),
                Step::Burst => {
                    made += 1;
                    let uid = format!("p{made}");
                    sky.claims.push(Claim { node: None, ..away(&uid, sky.scene.now) });
                }
                Step::Scheduler => schedule(&mut sky),
                Step::Other(at, comes) => {
                    let row = &mut sky.scene.real_nodes[at];
                    if comes && size(1000, 1).fits(row.free()) {
                        row.requested = row.requested.plus(size(1000, 1));
                    } else if !comes {
                        row.requested = Resources::default();
                        let name = row.name.clone();
                        sky.claims.retain(|c| c.node.as_ref().is_none_or(|n| n.name != name));
                    }
                }
                Step::Look => {
                    sky.successors = sky.claims.iter().map(|c| (c.uid.clone(), facts(c))).collect();
                    let look = sky.look();
                    sky.steady = look.steady;
                    let Some(one) = look.ready.into_iter().next() else { continue };
                    let now = sky.scene.now;
                    let claim = sky.claims.iter().position(|c| c.uid == one.uid).expect("a pod that is there");
                    prop_assert!(sky.claims[claim].created + 100 <= now, "before its stay");
                    let promise = one.promise.clone().expect("room");
                    let mut promises = sky.ledger.moves.clone();
                    promises.push(one.clone());
                    for row in &sky.scene.real_nodes {
                        let settled = home::settled(
                            &Ledger { moves: promises.clone(), ..Ledger::default() }, &sky.claims, now);
                        let promised = settled.iter().filter_map(|m| m.in_flight(&sky.claims, now));
                        let sum = promised.filter(|p| p.node == row.name)
                            .fold(Resources::default(), |sum, p| sum.plus(p.requests));
                        prop_assert!(sum.fits(row.free()), "{} is promised twice", row.name);
                    }
                    prop_assert!(promise.requests.fits(size(2000, 64)));
                    all.push(now);
                    sky.ledger.moves = home::settled(&sky.ledger, &sky.claims, now);
                    sky.ledger.moves.push(one.clone());
                    sky.ledger.grants.remove(&one.uid);
                    sky.claims.remove(claim);
                    made += 1;
                    let successor = away(&format!("p{made}"), now);
                    sky.claims.push(Claim { node: None, ..successor });
                    let window = all.iter().filter(|at| **at + home::HOUR > now).count();
                    prop_assert!(window <= most as usize, "{window} moves in an hour");
                }
            }
        }
    }
}
