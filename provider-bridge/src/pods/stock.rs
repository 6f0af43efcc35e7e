//! The memory of what a cloud has sold out: which classes of sizes were refused in this place, and until when decisions
//! avoid it.
//!
//! Pure: time is passed in, in seconds since the epoch, because the memory is published in the node's report and read by
//! others and after a restart. Refusals before the next probe is due say nothing new and do not lengthen the pause.

use std::collections::BTreeMap;

use policies::ledger::{Seconds, StockOut};

/// Pause after the first refusal.
const FIRST: Seconds = 60;
/// Longest pause.
const LONGEST: Seconds = 30 * 60;
/// Without a refusal for so long after a pause, the row of refusals is forgotten.
const FORGET: Seconds = 30 * 60;
/// Most characters of the cloud's words.
const WORDS: usize = 300;

/// Stock-outs of one place, by class of size ([`policies::stock`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    zone: String,
    classes: BTreeMap<String, StockOut>,
}

impl Stock {
    /// The memory of a zone, with what an earlier process published.
    pub fn of(zone: &str, published: Vec<StockOut>) -> Self {
        let mut stock = Self { zone: zone.to_owned(), classes: BTreeMap::new() };
        stock.restore(published);
        stock
    }

    /// Takes over what an earlier process published; what is known here is newer.
    pub fn restore(&mut self, published: Vec<StockOut>) {
        for out in published.into_iter().filter(|out| out.zone == self.zone) {
            self.classes.entry(out.class.clone()).or_insert(out);
        }
    }

    /// The cloud had no room for a size of this class.
    pub fn refused(&mut self, class: &str, message: &str, now: Seconds) {
        let message: String = message.chars().take(WORDS).collect();
        let out = self.classes.entry(class.to_owned()).or_insert_with(|| StockOut {
            zone: self.zone.clone(),
            class: class.to_owned(),
            since: now,
            ..StockOut::default()
        });
        if out.failures > 0 && now < out.until {
            return;
        }
        let pause = FIRST.saturating_mul(1 << out.failures.min(16)).min(LONGEST);
        (out.failures, out.until, out.message) = (out.failures.saturating_add(1), now + pause, message);
    }

    /// The cloud took a pod of this class.
    pub fn succeeded(&mut self, class: &str) {
        self.classes.remove(class);
    }

    /// Whether decisions avoid this place for the class.
    pub fn is_out(&self, class: &str, now: Seconds) -> bool {
        self.classes.get(class).is_some_and(|out| now < out.until)
    }

    /// Nothing is sold out.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// What is published: rows whose pause ended a while ago are forgotten.
    pub fn rows(&mut self, now: Seconds) -> Vec<StockOut> {
        self.classes.retain(|_, out| now < out.until + FORGET);
        self.classes.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(stock: &Stock, class: &str) -> Option<(Seconds, u32)> {
        stock.classes.get(class).map(|out| (out.until, out.failures))
    }

    #[test]
    fn the_pause_doubles_from_one_minute_to_thirty() {
        let mut stock = Stock::of("a", vec![]);
        let mut now = 1000;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            stock.refused("cpu-2", "none", now);
            let (next, _) = until(&stock, "cpu-2").expect("remembered");
            pauses.push(next - now);
            assert!(stock.is_out("cpu-2", next - 1) && !stock.is_out("cpu-2", next), "a probe at {next}");
            now = next;
        }
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1800, 1800, 1800]);
    }

    #[test]
    fn refusals_during_the_pause_are_the_same_stock_out() {
        let mut stock = Stock::of("a", vec![]);
        for n in 0..100 {
            stock.refused("cpu-2", "none", 1000 + n / 2);
        }
        assert_eq!(until(&stock, "cpu-2"), Some((1060, 1)));
        assert!(!stock.is_out("cpu-4", 1001), "classes are apart");
    }

    #[test]
    fn a_success_clears_it_and_an_old_row_is_forgotten() {
        let mut stock = Stock::of("a", vec![]);
        stock.refused("cpu-2", "none", 1000);
        stock.refused("gpu-1", "none", 1000);
        stock.succeeded("cpu-2");
        assert_eq!(stock.rows(1000).iter().map(|out| out.class.as_str()).collect::<Vec<_>>(), ["gpu-1"]);
        assert_eq!(stock.rows(1059 + FORGET).len(), 1);
        assert_eq!(stock.rows(1060 + FORGET).len(), 0);
        stock.refused("gpu-1", "none", 9000);
        assert_eq!(until(&stock, "gpu-1"), Some((9060, 1)), "a new row begins");
    }

    #[test]
    fn a_restart_keeps_what_was_published_of_the_same_zone() {
        let mut before = Stock::of("a", vec![]);
        before.refused("cpu-2", "none", 1000);
        let published = before.rows(1001);
        assert!(Stock::of("a", published.clone()).is_out("cpu-2", 1030));
        assert!(!Stock::of("b", published).is_out("cpu-2", 1030));
    }
}
