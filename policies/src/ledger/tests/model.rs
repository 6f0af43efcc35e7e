//! The heart of it: two leaders, bridges, a scheduler, a cloud and an API server, and any interleaving of what they do,
//! with lost writes, stale views, restarts and replays. Whatever happens, instances never pass a ceiling or a budget; and
//! when everyone has caught up nobody waits while there is room.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    burst_policy::Side,
    ledger::{limits::Ceiling, places::Tiers},
    money::Money,
    price::{Billing, Place},
};

/// Virtual nodes: two zones of one provider, and another provider.
const VIRTUAL: [&str; 3] = ["v1 huawei z1", "v2 huawei z2", "v3 zcloud z1"];
const PRICES: &str = "prices:
- {provider: huawei, currency: CNY, vcpuSecond: '0.01', gibSecond: '0', source: t, date: t}
- {provider: zcloud, currency: CNY, vcpuSecond: '0.02', gibSecond: '0', minimumSeconds: 60, source: t, date: t}
";
const SPECS: [&str; 8] = [
    "max: {cloud: {pods: 3}}",
    "max: {cloud: {cpu: '5', memory: 9Gi}}",
    "{tiers: [{name: a, side: Cloud, provider: huawei, zones: [z1], max: {pods: 1}},
      {name: b, side: Cloud, provider: huawei, max: {cpu: '3'}},
      {name: c, side: Cloud, provider: zcloud, max: {pods: 2}}], max: {cloud: {pods: 4}}}",
    "{max: {local: {pods: 2}, cloud: {pods: 2}}}",
    "{tiers: [{name: x, nodeSelector: {pool: x}, max: {pods: 1}}, {name: y, nodeSelector: {pool: y}, max: {cpu: '3'}},
      {name: b, side: Cloud, max: {pods: 2}}]}",
    "budget: {currency: CNY, perHour: '144'}",
    "{budget: {currency: CNY, perHour: '300', perDay: '1500', reserveSeconds: 86400, carryOver: Unspent},
      max: {cloud: {pods: 4}}, wait: {beforeBurstSeconds: 60}}",
    "{tiers: [{name: z, side: Cloud, zones: [z1], max: {pods: 2}}, {name: w, side: Cloud, zones: [z2], max: {pods: 1}}],
      budget: {currency: CNY, perHour: '200', scope: Namespace}, fallback: Wait}",
];
/// Two minutes to midnight, so that windows end under way.
const START: Seconds = 1_795_305_480;

/// A pod at the API server.
#[derive(Clone, Debug)]
struct Pod {
    claim: Claim,
    /// The values that the leader wrote; `None` before, empty means any.
    tolerates: Option<Vec<String>>,
    /// Whether its affinity lets it on real nodes, and on which pools.
    home: Option<Vec<String>>,
}

/// A leader, or one that thinks so.
#[derive(Clone, Debug, Default)]
struct Leader {
    claims: Vec<Claim>,
    reports: BTreeMap<String, NodeReport>,
    ledger: (u64, Ledger),
    /// The claims were seen after the ledger was read, or the ledger is its own work.
    fresh: bool,
    /// A plan on its way, with the version it was made from.
    pending: Option<(u64, Plan)>,
    wakes: Vec<Wake>,
}

/// A bridge: what it saw of the ledger, and its instances in the cloud with the time they were made.
#[derive(Clone, Debug, Default)]
struct Bridge {
    seen: Option<Ledger>,
    instances: BTreeMap<String, (Resources, Seconds)>,
}

struct Model {
    spec: BurstPolicySpec,
    scene: Scene,
    pods: BTreeMap<String, Pod>,
    stored: (u64, Ledger),
    leaders: [Leader; 2],
    bridges: BTreeMap<String, Bridge>,
    created: usize,
    /// What the cloud has billed, by namespace and hour, in billionths.
    bill: BTreeMap<(String, Seconds), i128>,
    namespaces: BTreeMap<String, String>,
}

impl Model {
    fn new(spec: &str) -> Self {
        let mut scene = Scene::with(&VIRTUAL).real("x1", &[("pool", "x")], size(3_000, 64)).real(
            "y1",
            &[("pool", "y")],
            size(4_000, 64),
        );
        scene.now = START;
        scene.prices = PriceBook::read(PRICES).expect("prices");
        let bridges = scene.virtual_nodes.iter().map(|n| (n.name.clone(), Bridge::default())).collect();
        Self {
            spec: super::spec(spec),
            scene,
            pods: BTreeMap::new(),
            stored: (0, Ledger::default()),
            leaders: Default::default(),
            bridges,
            created: 0,
            bill: BTreeMap::new(),
            namespaces: BTreeMap::new(),
        }
    }

    fn counts_local(&self) -> bool {
        let tiers = Tiers::of(&self.spec, &self.scene.world());
        tiers.has_local_ceilings() || Ceiling::of(&self.spec.max.local).is_set()
    }

    /// One thing happens.
    fn step(&mut self, what: u8, a: u8, b: u8) {
        let leader = usize::from(b % 2);
        match what % 24 {
            0..=3 => self.create(a, b),
            4 | 5 => self.sync(leader),
            6 => self.read(leader),
            7..=9 => self.make_plan(leader),
            10..=12 => self.write(leader),
            13 | 14 => self.patch(leader, a.is_multiple_of(4)),
            15 | 16 => self.bind(a, b),
            17 => self.see(a),
            18 | 19 => self.materialise(a, b),
            20 => self.end(a, b),
            21 => self.clean(a, b),
            22 => self.report(a, b),
            _ => match b % 4 {
                0 => self.leaders[usize::from(a % 2)] = Leader::default(),
                1 => self.bridge(a).1.seen = None,
                2 => self.stock(a, b),
                _ => self.pass(Seconds::from(a) * Seconds::from(b % 16)),
            },
        }
    }

    fn create(&mut self, a: u8, b: u8) {
        if self.created >= 24 {
            return;
        }
        let uid = format!("p{:02}", self.created);
        self.created += 1;
        let policies = [Policy::Auto, Policy::LocalPrefer, Policy::Enforce];
        let mut claim = Claim {
            namespace: ["shop", "lab"][usize::from(a % 2)].to_owned(),
            policy: policies[usize::from(b % 3)],
            requests: size([500, 1000, 2000][usize::from(a % 3)], u64::from(b % 3) + 1),
            created: self.scene.now,
            priority: i32::from(a % 2),
            gated: self.counts_local(),
            ..pod(&uid)
        };
        // Some pods name their node.
        if b.is_multiple_of(16) && !claim.gated {
            claim.node = self.virtual_bound(a);
        }
        self.namespaces.insert(uid.clone(), claim.namespace.clone());
        self.pods.insert(uid, Pod { claim, tolerates: None, home: Some(Vec::new()) });
    }

    fn virtual_bound(&self, a: u8) -> Option<Bound> {
        let nodes = &self.scene.virtual_nodes;
        let node = &nodes[usize::from(a) % nodes.len()];
        let bound = on(&node.name, NodeClass::Virtual, &node.provider, &node.zone);
        bound.map(|b| Bound { since: a.is_multiple_of(2).then_some(self.scene.now), ..b })
    }

    fn sync(&mut self, leader: usize) {
        self.leaders[leader].claims = self.pods.values().map(|p| p.claim.clone()).collect();
        self.leaders[leader].reports = self.scene.reports.clone();
        self.leaders[leader].fresh = true;
    }

    fn read(&mut self, leader: usize) {
        self.leaders[leader].fresh &= self.leaders[leader].ledger.0 == self.stored.0;
        self.leaders[leader].ledger = self.stored.clone();
    }

    fn make_plan(&mut self, leader: usize) {
        let it = &self.leaders[leader];
        // What a leader owes where real nodes have ceilings. Limits in the cloud hold without it.
        if !it.fresh && self.counts_local() {
            return;
        }
        let world = World { reports: &it.reports, ..self.scene.world() };
        let plan = plan(&self.spec, &it.ledger.1, &it.claims, &world);
        let again = super::plan(&self.spec, &plan.ledger, &it.claims, &world);
        assert_eq!(
            (&again.ledger, &again.wake, &again.holds),
            (&plan.ledger, &plan.wake, &plan.holds),
            "planned from {:?} with {:?}",
            it.ledger.1,
            it.claims,
        );
        self.leaders[leader].pending = Some((it.ledger.0, plan));
    }

    /// Compare and swap: the write of someone who was overtaken is refused, however late it comes.
    fn write(&mut self, leader: usize) {
        let Some((version, plan)) = self.leaders[leader].pending.take() else { return };
        if version == self.stored.0 {
            self.stored = (version + 1, plan.ledger);
            self.leaders[leader].ledger = self.stored.clone();
            self.leaders[leader].wakes = plan.wake;
        }
    }

    fn patch(&mut self, leader: usize, lost: bool) {
        let Some(wake) = self.leaders[leader].wakes.pop() else { return };
        let Some(pod) = self.pods.get_mut(&wake.uid).filter(|_| !lost) else { return };
        pod.claim.granted = Some(wake.tier);
        if wake.cloud {
            let before = pod.tolerates.take();
            let any = wake.providers.is_empty() || before.as_ref().is_some_and(Vec::is_empty);
            let all = before.into_iter().flatten().chain(wake.providers);
            pod.tolerates = Some(if any { Vec::new() } else { all.collect() });
            pod.claim.tolerated.clone_from(&pod.tolerates);
        }
        if pod.claim.gated && wake.ungate {
            pod.claim.gated = false;
            if let Some(terms) = wake.affinity {
                let home = terms.iter().filter(|t| t.match_expressions[0].operator == "NotIn");
                let pools: Vec<String> = home
                    .map(|t| t.match_expressions.get(1).map_or(String::new(), |r| r.values[0].clone()))
                    .collect();
                pod.home = if pools.is_empty() { None } else { Some(pools) };
            }
        }
    }

    fn pick(&self, a: u8) -> Option<String> {
        let uids: Vec<&String> = self.pods.keys().collect();
        (!uids.is_empty()).then(|| uids[usize::from(a) % uids.len()].clone())
    }

    /// The scheduler tries a pod: on a real node, or on a virtual one whose taint it tolerates.
    fn bind(&mut self, a: u8, b: u8) {
        let Some(uid) = self.pick(a) else { return };
        let free = self.free();
        let chosen = self.virtual_bound(b);
        let pod = self.pods.get_mut(&uid).expect("picked");
        if pod.claim.node.is_some() || pod.claim.gated || !pod.claim.is_live() {
            return;
        }
        let home = pod.home.clone().filter(|_| pod.claim.policy != Policy::Enforce);
        let real = home.and_then(|pools| {
            let fits = |(name, pool, room): &&(String, String, Resources)| {
                let allowed = pools.is_empty() || pools.contains(pool) || pools.iter().any(String::is_empty);
                !name.is_empty() && allowed && pod.claim.requests.fits(*room)
            };
            free.iter().find(fits).map(|(name, ..)| name.clone())
        });
        let away = chosen.filter(|bound| {
            pod.tolerates.as_ref().is_some_and(|t| t.is_empty() || t.contains(&bound.provider))
        });
        match (real, away) {
            (Some(name), away) if away.is_none() || b.is_multiple_of(3) => {
                pod.claim.node = on(&name, NodeClass::Real, "", "");
            }
            (_, Some(away)) => pod.claim.node = Some(away),
            _ => {
                pod.claim.unschedulable_since.get_or_insert(self.scene.now);
            }
        }
        let bound = pod.claim.node.clone().filter(|n| n.class == NodeClass::Real);
        let requests = pod.claim.requests;
        if let Some(row) = bound.and_then(|n| self.scene.real_nodes.iter_mut().find(|r| r.name == n.name)) {
            row.requested = row.requested.plus(requests);
        }
    }

    fn free(&self) -> Vec<(String, String, Resources)> {
        let row =
            |n: &NodeRow| (n.name.clone(), n.labels.get("pool").unwrap_or_default().to_owned(), n.free());
        self.scene.real_nodes.iter().map(row).collect()
    }

    fn bridge(&mut self, a: u8) -> (String, &mut Bridge) {
        let name = self.scene.virtual_nodes[usize::from(a) % self.scene.virtual_nodes.len()].name.clone();
        let bridge = self.bridges.get_mut(&name).expect("one per node");
        (name, bridge)
    }

    fn see(&mut self, a: u8) {
        let ledger = self.stored.1.clone();
        self.bridge(a).1.seen = Some(ledger);
    }

    /// A bridge makes an instance if the ledger as it last saw it permits that.
    fn materialise(&mut self, a: u8, b: u8) {
        let Some(uid) = self.pick(b) else { return };
        let (claim, now) = (self.pods[&uid].claim.clone(), self.scene.now);
        let (name, bridge) = self.bridge(a);
        let here = claim.node.as_ref().is_some_and(|n| n.name == name);
        let grant = bridge.seen.as_ref().and_then(|l| l.grants.get(&uid));
        if here && claim.is_live() && grant.is_some_and(|g| g.permits(&name)) {
            bridge.instances.entry(uid).or_insert((claim.requests, now));
        }
    }

    /// Deleted gracefully, by force, or finished.
    fn end(&mut self, a: u8, b: u8) {
        let Some(uid) = self.pick(a) else { return };
        let claim = &mut self.pods.get_mut(&uid).expect("picked").claim;
        let away = claim.node.as_ref().is_some_and(|n| n.class == NodeClass::Virtual);
        match b % 4 {
            0 | 1 if away => claim.deleting = true,
            2 if claim.node.is_some() => claim.finished = true,
            _ => self.forget(&uid),
        }
    }

    fn forget(&mut self, uid: &str) {
        let Some(pod) = self.pods.remove(uid) else { return };
        let bound = pod.claim.node.filter(|n| n.class == NodeClass::Real);
        if let Some(row) = bound.and_then(|n| self.scene.real_nodes.iter_mut().find(|r| r.name == n.name)) {
            row.requested = row.requested.minus(pod.claim.requests);
        }
    }

    /// A bridge takes away an instance whose pod ended; then the pod may go. Or the cloud loses one.
    fn clean(&mut self, a: u8, b: u8) {
        let pods = self.pods.clone();
        let (name, bridge) = self.bridge(a);
        let live = |uid: &str| pods.get(uid).is_some_and(|p| p.claim.is_live());
        let lost = b.is_multiple_of(8);
        let gone = bridge.instances.keys().find(|uid| lost || !live(uid)).cloned();
        let now = self.scene.now;
        if let Some(uid) = gone {
            let (requests, since) =
                self.bridges.get_mut(&name).and_then(|b| b.instances.remove(&uid)).expect("there");
            self.minimum(&name, &uid, requests, now - since);
        }
        let ended: Vec<String> = pods
            .iter()
            .filter(|(uid, p)| {
                let here = p.claim.node.as_ref().is_some_and(|n| n.name == name);
                here && p.claim.deleting && !self.bridges[&name].instances.contains_key(*uid)
            })
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in ended {
            self.forget(&uid);
        }
    }

    fn report(&mut self, a: u8, _: u8) {
        let (name, bridge) = self.bridge(a);
        let Some(seen) = bridge.seen.clone() else { return };
        let closing = seen.grants.iter().filter(|(_, g)| g.state == GrantState::Closing);
        let released =
            closing.filter(|(uid, _)| !bridge.instances.contains_key(*uid)).map(|(uid, g)| g.released(uid));
        let released = released.collect();
        self.scene.report(&name).released = released;
    }

    fn stock(&mut self, a: u8, b: u8) {
        let (name, _) = self.bridge(a);
        if b < 100 {
            let until = self.scene.now + Seconds::from(a);
            self.scene.sold_out(&name, ["cpu-1", "cpu-2"][usize::from(b / 50)], until);
        } else {
            self.scene.report(&name).stock_outs.clear();
        }
    }

    /// Time passes, and instances cost money.
    fn pass(&mut self, seconds: Seconds) {
        let (from, until) = (self.scene.now, self.scene.now + seconds);
        let mut at = from;
        while at < until {
            let next = until.min(at - at.rem_euclid(3600) + 3600);
            for (node, bridge) in &self.bridges {
                for (uid, (requests, _)) in &bridge.instances {
                    let rate = self.quote(node, *requests).0;
                    let key = (self.scope(uid), at - at.rem_euclid(3600));
                    *self.bill.entry(key).or_default() += i128::from(rate) * i128::from(next - at);
                }
            }
            at = next;
        }
        self.scene.now = until;
    }

    fn minimum(&mut self, node: &str, uid: &str, requests: Resources, ran: Seconds) {
        let (rate, least) = self.quote(node, requests);
        let rest = i128::from(least).saturating_sub(i128::from(ran)).max(0);
        let key = (self.scope(uid), self.scene.now - self.scene.now.rem_euclid(3600));
        *self.bill.entry(key).or_default() += i128::from(rate) * rest;
    }

    fn quote(&self, node: &str, requests: Resources) -> (u64, u64) {
        let row = self.scene.virtual_nodes.iter().find(|n| n.name == node).expect("known");
        let place = Place { provider: &row.provider, zone: &row.zone, billing: Billing::OnDemand };
        let quote = self.scene.prices.quote("CNY", place, requests, None).expect("priced");
        (quote.rate.0, quote.minimum_seconds)
    }

    fn scope(&self, uid: &str) -> String {
        let own =
            self.spec.budget.as_ref().is_some_and(|b| b.scope == crate::burst_policy::BudgetScope::Namespace);
        if own { self.namespaces[uid].clone() } else { String::new() }
    }

    /// What must hold at every moment.
    fn check(&self) {
        let tiers = Tiers::of(&self.spec, &self.scene.world());
        let mut all = Resources::default();
        let mut seen = BTreeSet::new();
        let mut by_tier: BTreeMap<String, Resources> = BTreeMap::new();
        for (node, bridge) in &self.bridges {
            for (uid, (requests, _)) in &bridge.instances {
                assert!(seen.insert(uid.clone()), "two instances for {uid}");
                all = all.plus(*requests);
                let grant = self
                    .stored
                    .1
                    .grants
                    .get(uid)
                    .unwrap_or_else(|| panic!("no grant for the instance {uid}"));
                let own = Seat { side: Side::Cloud, tier: grant.tier.clone() };
                let seats: Vec<&Seat> = std::iter::once(&own).chain(&grant.also).collect();
                let at = self.scene.virtual_nodes.iter().position(|n| n.name == *node).expect("known");
                let counted =
                    seats.iter().any(|s| tiers.find(s).is_some_and(|t| tiers.rows[t].nodes.contains(&at)));
                assert!(counted, "{uid} on {node} is counted elsewhere: {grant:?}");
            }
        }
        for (_, grant) in self.stored.1.grants.iter().filter(|(_, g)| g.side == Side::Cloud) {
            let own = Seat { side: Side::Cloud, tier: grant.tier.clone() };
            for seat in std::iter::once(&own).chain(&grant.also) {
                let used = by_tier.entry(seat.tier.clone()).or_default();
                *used = used.plus(grant.requests);
            }
        }
        for row in &tiers.rows {
            let used = by_tier.get(&row.tier.name).copied().unwrap_or_default();
            assert!(
                row.tier.side == Side::Local || row.ceiling.fits(Resources::default(), used),
                "tier {}",
                row.tier.name
            );
        }
        assert!(Ceiling::of(&self.spec.max.cloud).fits(Resources::default(), all), "max.cloud: {all:?}");
        self.check_home(&tiers);
        let per_hour = self.spec.budget.as_ref().and_then(|b| b.per_hour);
        for ((scope, hour), bill) in &self.bill {
            let most = per_hour.map_or(i128::MAX, Money::as_nano);
            assert!(*bill <= most, "hour {hour} of {scope:?}: {bill} of {most}");
        }
    }

    fn check_home(&self, tiers: &Tiers) {
        let mut home = Resources::default();
        let mut pools: BTreeMap<String, Resources> = BTreeMap::new();
        for pod in self.pods.values().filter(|p| !p.claim.finished) {
            let Some(bound) = pod.claim.node.as_ref().filter(|n| n.class == NodeClass::Real) else {
                continue;
            };
            home = home.plus(pod.claim.requests);
            let pool = pools.entry(bound.name[..1].to_owned()).or_default();
            *pool = pool.plus(pod.claim.requests);
        }
        assert!(Ceiling::of(&self.spec.max.local).fits(Resources::default(), home), "max.local: {home:?}");
        for (_, row) in tiers.of_side(Side::Local).filter(|(_, r)| r.tier.node_selector.contains_key("pool"))
        {
            let used = pools.get(&row.tier.node_selector["pool"]).copied().unwrap_or_default();
            assert!(row.ceiling.fits(Resources::default(), used), "tier {}: {used:?}", row.tier.name);
        }
    }

    /// Everyone does his work, nothing is lost, until nothing changes.
    fn settle(&mut self) {
        for report in self.scene.reports.values_mut() {
            report.stock_outs.clear();
        }
        self.pass(100);
        for _ in 0..40 {
            let before = self.picture();
            self.read(0);
            self.sync(0);
            self.make_plan(0);
            self.write(0);
            while !self.leaders[0].wakes.is_empty() {
                self.patch(0, false);
            }
            for a in 0..24 {
                for node in [1, 2, 0] {
                    self.bind(a, node);
                }
            }
            for node in 0..3 {
                self.see(node);
                for uid in 0..24 {
                    self.materialise(node, uid);
                }
                for _ in 0..24 {
                    self.clean(node, 1);
                }
                self.report(node, 0);
            }
            self.check();
            if before == self.picture() {
                assert!(self.is_quiet(), "a grant never closes: {:?}", self.stored.1.grants);
                return;
            }
        }
        panic!("no quiescence: {:?}", self.stored.1.grants);
    }

    /// Everything that a round looks at.
    fn picture(&self) -> (BTreeMap<String, Grant>, Vec<Claim>, BTreeMap<String, NodeReport>) {
        let claims = self.pods.values().map(|p| p.claim.clone()).collect();
        (self.stored.1.grants.clone(), claims, self.scene.reports.clone())
    }

    /// Only a living pod with an instance may keep a grant that closes: a leader that did not see the pod closed it, the
    /// bridge never kills what runs, and it counts until it is gone.
    fn is_quiet(&self) -> bool {
        let runs = |uid: &str| self.bridges.values().any(|b| b.instances.contains_key(uid));
        let lives = |uid: &str| self.pods.get(uid).is_some_and(|p| p.claim.is_live());
        self.stored.1.grants.iter().all(|(uid, g)| g.state == GrantState::Open || (lives(uid) && runs(uid)))
    }

    /// Nobody waits while there is room, and who was let in is there.
    fn check_flow(&self) {
        let world = self.scene.world();
        let claims: Vec<Claim> = self.pods.values().map(|p| p.claim.clone()).collect();
        let plan = plan(&self.spec, &self.stored.1, &claims, &world);
        let tiers = Tiers::of(&self.spec, &world);
        let cloud = Ceiling::of(&self.spec.max.cloud);
        let sum = |keep: &dyn Fn(&Grant) -> bool| {
            self.stored
                .1
                .grants
                .values()
                .filter(|g| keep(g))
                .fold(Resources::default(), |s, g| s.plus(g.requests))
        };
        let away = |g: &Grant| g.side == Side::Cloud;
        for held in &plan.holds {
            let claim = &self.pods[&held.uid].claim;
            let fits = cloud.fits(sum(&away), claim.requests)
                && tiers.of_side(Side::Cloud).any(|(_, row)| {
                    let seated = |g: &Grant| {
                        away(g) && (g.tier == row.tier.name || g.also.iter().any(|s| s.tier == row.tier.name))
                    };
                    let bound = claim.node.as_ref();
                    bound.is_none_or(|b| row.holds(b, &world, &BTreeMap::new()))
                        && row.ceiling.fits(sum(&seated), claim.requests)
                });
            // Closing: its instance runs, see `is_quiet`.
            let excused = held.hold == Hold::Closing
                || (held.hold == Hold::BudgetReached && self.spec.budget.is_some());
            assert!(!fits || excused, "{} waits ({:?}) while there is room", held.uid, held.hold);
        }
        for (uid, grant) in self.stored.1.grants.iter().filter(|(_, g)| away(g)) {
            let Some(claim) = self.pods.get(uid).map(|p| &p.claim) else {
                panic!("a grant for nobody: {uid}")
            };
            let bound = claim.node.as_ref().unwrap_or_else(|| panic!("{uid} has a grant and is not bound"));
            if grant.permits(&bound.name) {
                assert!(self.bridges[&bound.name].instances.contains_key(uid), "{uid} has no instance");
            } else {
                assert!(plan.holds.iter().any(|h| h.uid == *uid), "{uid} is held without a reason");
            }
        }
        for (uid, pod) in self.pods.iter().filter(|(_, p)| p.claim.is_live()) {
            let held = plan.holds.iter().any(|h| h.uid == *uid);
            let placed = pod.claim.node.is_some() || self.stored.1.grants.contains_key(uid);
            assert!(placed || held, "{uid} has neither grant nor reason: {pod:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3 * ProptestConfig::default().cases, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_passes_a_limit_or_leaves_anyone_stuck(
        spec in 0..SPECS.len(),
        steps in proptest::collection::vec((0_u8..24, any::<u8>(), any::<u8>()), 1..250),
    ) {
        let mut model = Model::new(SPECS[spec]);
        for (what, a, b) in steps {
            model.step(what, a, b);
            model.check();
        }
        model.settle();
        model.check_flow();
    }
}
