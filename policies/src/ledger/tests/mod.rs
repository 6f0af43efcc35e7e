//! Tables of rounds, and a model of the whole cluster in which anything may happen in any order.

mod beside;
mod budgets;
mod gangs;
mod home;
mod model;
mod speed;
mod table;

use std::collections::BTreeMap;

use super::*;
use crate::{
    burst_policy::BurstPolicySpec,
    node::{NodeClass, NodeRow},
    policy::Policy,
    price::PriceBook,
    resources::Resources,
};

const GI: u64 = 1 << 30;

/// A spec as people write it.
pub(super) fn spec(yaml: &str) -> BurstPolicySpec {
    serde_saphyr::from_str(yaml).expect("a spec")
}

pub(super) fn size(cpu_milli: u64, gib: u64) -> Resources {
    Resources { cpu_milli, memory_bytes: gib * GI, pods: 1, ..Resources::default() }
}

/// An auto pod of one core and 2 GiB, created at 0.
pub(super) fn pod(uid: &str) -> Claim {
    Claim {
        uid: uid.to_owned(),
        namespace: "shop".to_owned(),
        name: uid.to_owned(),
        policy: Policy::Auto,
        requests: size(1000, 2),
        ..Claim::default()
    }
}

pub(super) fn pods(uids: &str) -> Vec<Claim> {
    uids.chars().map(|c| pod(&c.to_string())).collect()
}

pub(super) fn on(node: &str, class: NodeClass, provider: &str, zone: &str) -> Option<Bound> {
    Some(Bound {
        name: node.to_owned(),
        class,
        provider: provider.to_owned(),
        zone: zone.to_owned(),
        since: None,
    })
}

/// A world that a test changes as it goes.
pub(super) struct Scene {
    pub(super) now: Seconds,
    pub(super) virtual_nodes: Vec<VirtualNode>,
    pub(super) real_nodes: Vec<NodeRow>,
    pub(super) reports: BTreeMap<String, NodeReport>,
    pub(super) prices: PriceBook,
}

impl Scene {
    /// Virtual nodes as `name provider zone`.
    pub(super) fn with(nodes: &[&str]) -> Self {
        let virtual_nodes = nodes.iter().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            VirtualNode {
                name: words[0].to_owned(),
                provider: words[1].to_owned(),
                zone: words.get(2).copied().unwrap_or_default().to_owned(),
                ready: true,
                ..VirtualNode::default()
            }
        });
        Self {
            now: 1_000,
            virtual_nodes: virtual_nodes.collect(),
            real_nodes: Vec::new(),
            reports: BTreeMap::new(),
            prices: PriceBook::default(),
        }
    }

    pub(super) fn world(&self) -> World<'_> {
        World {
            now: self.now,
            virtual_nodes: &self.virtual_nodes,
            real_nodes: &self.real_nodes,
            reports: &self.reports,
            prices: &self.prices,
        }
    }

    /// A round; planning again must change nothing.
    pub(super) fn plan(&self, spec: &BurstPolicySpec, ledger: &Ledger, claims: &[Claim]) -> Plan {
        let plan = plan(spec, ledger, claims, &self.world());
        let again = super::plan(spec, &plan.ledger, claims, &self.world());
        assert_eq!(again.ledger, plan.ledger, "a second round changes the ledger");
        assert_eq!((&again.wake, &again.holds, again.changed), (&plan.wake, &plan.holds, false));
        plan
    }

    pub(super) fn real(mut self, name: &str, labels: &[(&str, &str)], allocatable: Resources) -> Self {
        self.real_nodes.push(NodeRow {
            name: name.to_owned(),
            class: NodeClass::Real,
            provider: None,
            allocatable: Resources { pods: 110, ..allocatable },
            requested: Resources::default(),
            taints: Vec::new(),
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            ready: true,
            unschedulable: false,
        });
        self
    }

    pub(super) fn report(&mut self, node: &str) -> &mut NodeReport {
        let row = self.virtual_nodes.iter().find(|n| n.name == node).cloned().unwrap_or_default();
        let report = self.reports.entry(node.to_owned()).or_default();
        (report.provider, report.zone) = (row.provider, row.zone);
        report
    }

    pub(super) fn sold_out(&mut self, node: &str, class: &str, until: Seconds) {
        let report = self.report(node);
        let (zone, class) = (report.zone.clone(), class.to_owned());
        report.stock_outs = vec![StockOut { zone, class, until, ..StockOut::default() }];
    }
}

/// Who holds what: `uid:tier`, closing ones with a `!`.
pub(super) fn grants(ledger: &Ledger) -> String {
    let mark = |g: &Grant| if g.state == GrantState::Closing { "!" } else { "" };
    let all: Vec<String> =
        ledger.grants.iter().map(|(uid, g)| format!("{uid}:{}{}", g.tier, mark(g))).collect();
    all.join(" ")
}

/// Who waits: `uid:code`, with `@until`.
pub(super) fn holds(plan: &Plan) -> String {
    let until = |h: &Held| h.until.map(|t| format!("@{t}")).unwrap_or_default();
    let all: Vec<String> =
        plan.holds.iter().map(|h| format!("{}:{}{}", h.uid, h.hold.code(), until(h))).collect();
    all.join(" ")
}
