//! What the bridges report as sold out: keeps a pod off a place that has no room for its size until the next probe.

use std::cell::OnceCell;

use cluster::kept::Objects;
use cluster::reports::StoredReport;
use policies::ledger::{NodeReport, Seconds, StockOut};
use policies::node::NodeRow;
use policies::pod::PodFacts;
use policies::reasons::Reason;
use policies::stock;

/// The reports as of one moment.
#[derive(Clone, Copy, Debug)]
pub struct Stock<'s> {
    /// Reports by virtual node.
    pub reports: &'s Objects<StoredReport>,
    /// Now.
    pub now: Seconds,
}

impl<'s> Stock<'s> {
    /// The reports as of now.
    pub fn as_of_now(reports: &'s Objects<StoredReport>) -> Self {
        Self { reports, now: jiff::Timestamp::now().as_second() }
    }

    /// Whether any place has no room for pods of some size.
    pub fn sold_out_somewhere(&self) -> bool {
        self.known().any(|report| self.open(report).next().is_some())
    }

    fn known(&self) -> impl Iterator<Item = &'s NodeReport> {
        self.reports.values().filter_map(|stored| stored.spec.as_ref().ok())
    }

    /// What is sold out until a probe that has not come yet.
    fn open(&self, report: &'s NodeReport) -> impl Iterator<Item = &'s StockOut> {
        let now = self.now;
        report.stock_outs.iter().filter(move |out| now < out.until)
    }
}

/// The stock for one pod; its class is computed only if anything is sold out.
pub(super) struct StockJudge<'a> {
    stock: Option<Stock<'a>>,
    facts: &'a PodFacts,
    class: OnceCell<String>,
}

impl<'a> StockJudge<'a> {
    /// A judge of a pod.
    pub(super) const fn new(stock: Option<Stock<'a>>, facts: &'a PodFacts) -> Self {
        Self { stock, facts, class: OnceCell::new() }
    }

    /// [`Reason::SoldOut`] if the node's place has no room for the pod's size.
    pub(super) fn objection(&self, node: &NodeRow) -> Option<Reason> {
        let stock = self.stock?;
        let read = |name: &str| stock.reports.get(name)?.spec.as_ref().ok();
        let own = read(&node.name)?;
        let same = |other: &&NodeReport| (&other.provider, &other.zone) == (&own.provider, &own.zone);
        let mut open = stock.known().filter(same).flat_map(|report| stock.open(report));
        let class = || self.class.get_or_init(|| stock::class(self.facts.cloud_requests()));
        open.any(|out| out.class == *class()).then_some(Reason::SoldOut)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use policies::node::NodeClass;
    use policies::resources::Resources;

    use super::*;

    fn report(zone: &str, out: Option<(&str, Seconds)>) -> Arc<StoredReport> {
        let row =
            |(class, until): (&str, Seconds)| StockOut { class: class.into(), until, ..StockOut::default() };
        let stock_outs = out.map(row).into_iter().collect();
        let spec =
            NodeReport { provider: "huawei".into(), zone: zone.into(), stock_outs, ..NodeReport::default() };
        Arc::new(StoredReport { metadata: Default::default(), spec: Ok(spec) })
    }

    #[test]
    fn a_place_is_avoided_for_the_class_until_the_probe() {
        let reports: Objects<StoredReport> = [
            ("a1".into(), report("a", Some(("cpu-2", 100)))),
            ("a2".into(), report("a", None)),
            ("b1".into(), report("b", None)),
        ]
        .into();
        let check = |node: &str, cpu_milli: u64, now: Seconds, wanted: Option<Reason>| {
            let requests = Resources { cpu_milli, ..Resources::default() };
            let facts = PodFacts { requests, ..PodFacts::default() };
            let judge = StockJudge::new(Some(Stock { reports: &reports, now }), &facts);
            let node = NodeRow {
                name: node.into(),
                class: NodeClass::Virtual,
                provider: Some("huawei".into()),
                allocatable: Resources::default(),
                requested: Resources::default(),
                taints: vec![],
                labels: Default::default(),
                ready: true,
                unschedulable: false,
            };
            assert_eq!(judge.objection(&node), wanted, "{} {cpu_milli} {now}", node.name);
        };
        let somewhere = |now| Stock { reports: &reports, now }.sold_out_somewhere();
        assert_eq!((somewhere(99), somewhere(100)), (true, false));
        check("a1", 1500, 99, Some(Reason::SoldOut));
        check("a2", 1500, 99, Some(Reason::SoldOut));
        check("b1", 1500, 99, None);
        check("a1", 500, 99, None);
        check("a1", 1500, 100, None);
        check("unreported", 1500, 99, None);
    }
}
