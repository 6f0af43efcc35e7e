//! `prioritize`: how much worse a virtual node is than a real one.
//!
//! Sparse: only virtual nodes are listed, with a score from -10 to 0; the scheduler counts 0 for the rest and accepts
//! scores below zero. A place that is sold out comes after every other: most pods are not checked by Filter, for which
//! that would be a refusal.

use policies::decide::score::score_virtual;
use policies::policy::Policy;

use super::stock::StockJudge;
use super::{Answer, View, answered, pod, sent};
use crate::metrics::Mode;
use crate::wire::{ExtenderArgs, Sent, priority_list};

/// The most that a virtual node can be lowered.
const LOWEST: i64 = -10;

/// What is taken from a place that is sold out.
const SOLD_OUT: i64 = 10;

/// Answers a prioritize request.
///
/// # Errors
/// Why it could not be read.
pub(super) fn answer(body: &[u8], view: View<'_>) -> Result<Answer, String> {
    let args = ExtenderArgs::parse(body).map_err(|e| e.to_string())?;
    let asking = pod::read(args.pod().map_err(|e| e.to_string())?, &view)?;
    let sent = args.sent().map_err(|e| e.to_string())?;
    let score = match asking.policy {
        Policy::Auto => score_virtual(&view.load, asking.facts.requests),
        Policy::LocalPrefer => LOWEST,
        // One class only: nothing to choose between.
        Policy::Off | Policy::Enforce => 0,
    };
    let sold_out = asking.policy != Policy::Off && view.stock.is_some_and(|stock| stock.sold_out_somewhere());
    let listed = if score == 0 && !sold_out { Vec::new() } else { sent::virtual_nodes(view.snapshot, &sent) };
    let stock = StockJudge::new(view.stock, &asking.facts);
    let scores = listed.iter().map(|node| {
        let less = if stock.objection(node).is_some() { SOLD_OUT } else { 0 };
        (node.name.as_str(), score - less)
    });
    let mode = if matches!(sent, Sent::Names(_)) { Mode::Names } else { Mode::Nodes };
    Ok(answered(priority_list(scores), mode, sent.len()))
}
