//! The extender verbs: request in, reply out, from one snapshot. No writes, no reservations, same answer when asked
//! twice.
//!
//! Only virtual nodes are ever touched by a decision about pods that may run on real nodes, and they are few: the
//! thousands of real names are neither parsed nor looked up.

mod filter;
mod judge;
mod pod;
mod preempt;
mod prioritize;
mod sent;
mod stock;

pub use stock::Stock;

use cluster::Snapshot;
use policies::decide::score::LocalLoad;
use policies::policy::Policy;

use crate::metrics::{Code, Mode, Verb};
use crate::wire;

/// What a verb answers from.
#[derive(Clone, Copy, Debug)]
pub struct View<'v> {
    /// The picture of the cluster.
    pub snapshot: &'v Snapshot,
    /// Room and use of the real nodes together, of the same picture.
    pub load: LocalLoad,
    /// Policy of a pod that nothing else decides for.
    pub default_policy: Policy,
    /// What the bridges report, if anything is known.
    pub stock: Option<Stock<'v>>,
}

/// A reply and what is counted about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The reply's body.
    pub body: Vec<u8>,
    /// How the call ended.
    pub code: Code,
    /// In which form the nodes came.
    pub mode: Mode,
    /// How many there were.
    pub nodes: Option<usize>,
    /// Why the call failed, if it did.
    pub error: Option<String>,
}

/// Answers a request.
pub fn answer(verb: Verb, body: &[u8], view: View<'_>) -> Answer {
    let answered = match verb {
        Verb::Filter => filter::answer(body, view),
        Verb::Prioritize => prioritize::answer(body, view),
        Verb::Preempt => preempt::answer(body, view),
    };
    answered.unwrap_or_else(|error| failed(verb, Code::BadRequest, error))
}

/// The reply that fails a call. Only Filter has a field for the reason; the others answer what changes nothing
/// (Prioritize) or ends preemption (Preempt), rather than guess.
pub fn failed(verb: Verb, code: Code, reason: String) -> Answer {
    let body = match verb {
        Verb::Filter => wire::filter_error(&reason),
        Verb::Prioritize => wire::priority_list([]),
        Verb::Preempt => wire::no_victims(),
    };
    Answer { body, code, mode: Mode::None, nodes: None, error: Some(reason) }
}

fn answered(body: Vec<u8>, mode: Mode, nodes: usize) -> Answer {
    Answer { body, code: Code::Ok, mode, nodes: Some(nodes), error: None }
}
