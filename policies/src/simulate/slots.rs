//! Which policy speaks for which pods of a scenario, and who waits for what.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::{
    burst_policy::{self, Budget, BudgetScope, PolicyObject, Repatriation, Side},
    ledger::{Seconds, VirtualNode, home},
    money::Money,
    node::NodeClass,
    pod::{OwnerRef, PodFacts},
    policy::Policy,
    resolve::{self, Voices},
};

use super::{
    Rule, Settings,
    governor::Governor,
    purse::Purse,
    trace::{Node, Trace, Traits},
};

/// What all pods with the same answer have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Info {
    /// The policy object, by position.
    pub(super) slot: Option<usize>,
    /// The policy in force.
    pub(super) word: Policy,
    /// Models of GPU it can use; empty means any.
    pub(super) models: Vec<String>,
    /// Number of the namespace, where money is counted by namespace; else 0.
    pub(super) namespace: u32,
    /// The traits, where pods of different owners are answered differently.
    traits: Option<u32>,
}

/// Policies of a scenario.
#[derive(Debug, Default)]
pub(super) struct Slots<'a> {
    pub(super) infos: Vec<Info>,
    by_traits: Vec<usize>,
    /// By slot; none where the object sets no limit, wait or order.
    pub(super) governors: Vec<Option<Governor<'a>>>,
    homes: Vec<Option<Repatriation>>,
    /// By slot: classes with somebody waiting.
    waiting: Vec<BTreeSet<u32>>,
    /// Classes with somebody waiting under no object.
    loose: BTreeSet<u32>,
    /// By slot: classes with pods in the cloud that may come home.
    pub(super) away: Vec<BTreeSet<u32>>,
    /// Slots whose pods may have become free to move.
    pub(super) stirred: BTreeSet<usize>,
    /// By slot: when pods moved home, within the last hour.
    moves: Vec<VecDeque<i64>>,
    /// By slot: the budget, and who watches it, by number of the namespace.
    budgets: Vec<Option<Budget>>,
    purses: BTreeMap<(usize, u32), Purse>,
    start: Seconds,
    /// Distinct node selectors of local tiers.
    selectors: Vec<BTreeMap<String, String>>,
    /// Pods whose labels name no policy.
    pub(super) notes: Vec<String>,
}

impl<'a> Slots<'a> {
    pub(super) fn new(
        trace: &Trace,
        rule: &Rule<'a>,
        clouds: &[VirtualNode],
        settings: &Settings<'a>,
    ) -> Self {
        let mut slots = Self { start: settings.start, ..Self::default() };
        let objects: &'a [PolicyObject] = match rule {
            Rule::Objects(objects) => objects,
            _ => &[],
        };
        let local = |o: &PolicyObject| {
            let tiers = o.spec.tiers.iter().filter(|t| t.side == Side::Local);
            tiers.map(|t| t.node_selector.clone()).collect::<Vec<_>>()
        };
        let mut selectors: BTreeSet<_> = objects.iter().flat_map(local).collect();
        selectors.insert(BTreeMap::new());
        slots.selectors = selectors.into_iter().take(64).collect();
        for object in objects {
            slots.governors.push(Governor::of(object, clouds, &slots.selectors, settings));
            if object.spec.gang.is_some() {
                slots.notes.push(format!("{}: gangs are not simulated, its pods go one by one", object.key));
            }
            slots.homes.push(object.spec.repatriation.clone());
            slots.waiting.push(BTreeSet::new());
            slots.away.push(BTreeSet::new());
            slots.moves.push(VecDeque::new());
            slots.budgets.push(object.spec.budget.clone());
        }
        let mut namespaces: HashMap<&str, u32> = HashMap::new();
        let mut known: HashMap<Info, usize> = HashMap::new();
        for (index, traits) in (0..).zip(&trace.traits) {
            let next = u32::try_from(namespaces.len()).unwrap_or(u32::MAX);
            let namespace = *namespaces.entry(&traits.namespace).or_insert(next);
            let info = slots.info(rule, objects, traits, namespace, index);
            let next = known.len();
            let at = *known.entry(info).or_insert_with_key(|info| {
                slots.infos.push(info.clone());
                next
            });
            slots.by_traits.push(at);
        }
        slots
    }

    fn info(
        &mut self,
        rule: &Rule<'_>,
        objects: &[PolicyObject],
        traits: &Traits,
        namespace: u32,
        index: u32,
    ) -> Info {
        let plain = |word| Info { word, models: traits.gpu_models.clone(), ..Info::default() };
        match rule {
            Rule::AlwaysLocal => plain(Policy::Off),
            Rule::AlwaysCloud => plain(Policy::Enforce),
            Rule::Stock => Info { traits: Some(index), ..plain(Policy::Auto) },
            Rule::Objects(_) => {
                let pod = facts(traits);
                let none = BTreeMap::new();
                let slot = burst_policy::best(objects, &pod, &[], &none)
                    .and_then(|best| objects.iter().position(|o| o.key == best.key));
                let object = slot.and_then(|s| objects.get(s));
                let word = self.word(&pod, object);
                let scoped = object.and_then(|o| o.spec.budget.as_ref());
                let scoped = scoped.is_some_and(|b| b.scope == BudgetScope::Namespace);
                Info { slot, namespace: if scoped { namespace + 1 } else { 0 }, ..plain(word) }
            }
        }
    }

    /// The policy in force; a pod that nothing speaks for is off.
    fn word(&mut self, pod: &PodFacts, object: Option<&PolicyObject>) -> Policy {
        let voices = Voices {
            pod,
            owners: &[],
            namespace: &BTreeMap::new(),
            default: Policy::Off,
            class_of: &|_| None::<NodeClass>,
        };
        match resolve::resolve_with(&voices, object) {
            Ok(resolved) => resolved.policy,
            Err(error) => {
                self.notes.push(format!("{error}; these pods are taken as off"));
                Policy::Off
            }
        }
    }

    pub(super) fn info_of(&self, traits: u32) -> usize {
        self.by_traits.get(traits as usize).copied().unwrap_or(0)
    }

    /// Which distinct local selectors choose a node.
    pub(super) fn selected(&self, node: &Node) -> u64 {
        let chooses =
            |wanted: &BTreeMap<String, String>| wanted.iter().all(|(k, v)| node.labels.get(k) == Some(v));
        let bits = self.selectors.iter().enumerate().filter(|(_, wanted)| chooses(wanted));
        bits.fold(0, |bits, (at, _)| bits | 1 << at)
    }

    pub(super) fn repatriation(&self, slot: usize) -> Option<&Repatriation> {
        self.homes.get(slot)?.as_ref()
    }

    /// A class has a pod in the cloud that may come home.
    pub(super) fn goes_away(&mut self, slot: usize, class: u32) {
        if let Some(away) = self.away.get_mut(slot) {
            away.insert(class);
        }
    }

    pub(super) fn nobody_away(&mut self, slot: usize, class: u32) {
        if let Some(away) = self.away.get_mut(slot) {
            away.remove(&class);
        }
    }

    pub(super) fn with_pods_away(&self) -> BTreeSet<usize> {
        self.away.iter().enumerate().filter(|(_, away)| !away.is_empty()).map(|(slot, _)| slot).collect()
    }

    /// Whether the policy's pace allows one more move now; else when it will.
    pub(super) fn may_move(&mut self, slot: usize, now: i64) -> Result<(), i64> {
        let most = self.repatriation(slot).map_or(0, |r| r.max_per_hour);
        let Some(moves) = self.moves.get_mut(slot) else { return Ok(()) };
        while moves.front().is_some_and(|when| when + home::HOUR <= now) {
            moves.pop_front();
        }
        home::pace(moves.iter().copied(), most, now)
    }

    pub(super) fn moved(&mut self, slot: usize, now: i64) {
        if let Some(moves) = self.moves.get_mut(slot) {
            moves.push_back(now);
        }
    }

    /// The watch over the budget that pays for pods of this policy (and namespace).
    pub(super) fn purse(&mut self, slot: usize, namespace: u32) -> Option<&mut Purse> {
        let budget = self.budgets.get(slot)?.as_ref()?;
        let new = || Purse::new(budget, self.start);
        Some(self.purses.entry((slot, namespace)).or_insert_with(new))
    }

    /// The most by which any window of any budget was passed until now.
    pub(super) fn overshoot(&mut self, now: Seconds) -> Money {
        self.purses.values_mut().map(|p| p.overshoot(now)).max().unwrap_or(Money::ZERO)
    }

    pub(super) fn waits(&mut self, slot: Option<usize>, class: u32) {
        match slot.and_then(|s| self.waiting.get_mut(s)) {
            Some(waiting) => waiting.insert(class),
            None => self.loose.insert(class),
        };
    }

    pub(super) fn waits_no_more(&mut self, slot: Option<usize>, class: u32) {
        match slot.and_then(|s| self.waiting.get_mut(s)) {
            Some(waiting) => waiting.remove(&class),
            None => self.loose.remove(&class),
        };
    }

    /// There is room in a policy: whoever waits under it is to be asked again.
    pub(super) fn touched(&self, slot: usize, trying: &mut BTreeSet<u32>) {
        trying.extend(self.waiting.get(slot).into_iter().flatten());
    }

    /// There is room on a virtual node that has a limit: whoever waits is to be asked again.
    pub(super) fn cloud_freed(&self, trying: &mut BTreeSet<u32>) {
        trying.extend(self.waiting.iter().flatten().chain(&self.loose));
    }
}

fn facts(traits: &Traits) -> PodFacts {
    let (kind, name) = traits.owner.clone();
    let owner = OwnerRef { kind, name, controller: true, ..OwnerRef::default() };
    PodFacts {
        namespace: traits.namespace.clone(),
        name: "a pod of the trace".to_owned(),
        labels: traits.labels.clone(),
        owners: if owner.name.is_empty() { Vec::new() } else { vec![owner] },
        ..PodFacts::default()
    }
}
