//! What would have happened: a trace of pods and nodes played under a policy, in virtual time.
//!
//! The same engine as the running programs: [`crate::burst_policy::best`] and [`crate::resolve`] find a pod's policy,
//! [`crate::decide`]'s rules judge, and limits, budgets and waits are the ledger's own ([`crate::ledger`]). What is a
//! model: the real node (LeastAllocated, [`room`]), and that schedulers, clouds and the network take no time. A pod
//! exists from its creation until its deletion, wherever it is; the time it waits is lost to it, as it is to a service.
//!
//! Pure and deterministic: no clock, no randomness, no files.

pub mod bound;
mod clouds;
mod engine;
mod governor;
pub mod meter;
mod purse;
pub mod report;
pub mod room;
mod slots;
mod stock;
#[cfg(test)]
mod tests;
pub mod trace;

use crate::{
    burst_policy::PolicyObject,
    ledger::{Hold, Seconds},
    price::PriceBook,
};

pub use report::Report;
use room::{Kind, NodeIndex, Rooms};
use trace::Trace;

/// What decides in a scenario.
#[derive(Clone, Debug)]
pub enum Rule<'a> {
    /// Every pod is `off`: real nodes or nothing.
    AlwaysLocal,
    /// Every pod is `enforce`: the cloud or nothing.
    AlwaysCloud,
    /// Every pod tolerates the virtual nodes, and the stock scheduler's scores decide (the taint alone).
    Stock,
    /// Policy objects; a pod that none of them speaks for is `off`, unless its own label says otherwise.
    Objects(&'a [PolicyObject]),
}

/// A trace is played once for each.
#[derive(Clone, Debug)]
pub struct Scenario<'a> {
    /// For people.
    pub name: String,
    /// What decides.
    pub rule: Rule<'a>,
}

/// What all scenarios of a run share.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    /// When second 0 of the trace is: budgets have calendar windows.
    pub start: Seconds,
    /// Prices.
    pub prices: &'a PriceBook,
    /// Currency of the money in the reports; `None` reports none.
    pub currency: Option<String>,
    /// A pod that a budget holds is asked again after so many seconds, if nothing else asks it. The leader asks at every
    /// event; 60 costs little and is late by a minute at most.
    pub ask_again_seconds: i64,
    /// Slices of the chart.
    pub slices: usize,
    /// Keep everything that happens.
    pub keep_events: bool,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Seconds after the start of the trace.
    pub at: i64,
    /// Index of the pod.
    pub pod: u32,
    /// What.
    pub what: Happening,
}

/// What can happen to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It was placed on a node (index).
    Placed {
        /// The node.
        node: NodeIndex,
    },
    /// It was moved from the cloud to a real node.
    Moved {
        /// The real node.
        node: NodeIndex,
    },
    /// It could go to the cloud and was held back.
    Held(Hold),
    /// It ended after it was placed.
    Ended,
    /// It ended before it was placed.
    Failed,
}

/// Plays a trace under one rule.
pub fn run<'a>(trace: &'a Trace, scenario: &Scenario<'a>, settings: &'a Settings<'a>) -> Report {
    engine::run(trace, scenario, settings)
}

/// Milli-core seconds in the cloud or unserved that no schedule can avoid; see [`bound`].
pub fn cloud_cpu_floor(trace: &Trace) -> u128 {
    let empty = Rooms::new(&trace.nodes, |_| 0);
    let usable = bound::usable(trace, &empty);
    bound::cloud_cpu_floor(trace, |pod| usable.get(pod).copied().unwrap_or(false))
}

/// Whether a pod that can use these models (any, if there are none) can use nodes of this kind.
fn usable_model(models: &[String], kind: &Kind) -> bool {
    models.is_empty() || models.contains(&kind.gpu_model)
}
