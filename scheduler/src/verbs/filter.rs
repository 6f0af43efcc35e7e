//! `filter`: which of the nodes sent may take the pod.

use std::borrow::Cow;

use policies::decide::feasible::real_node_has_room;
use policies::decide::filter::FilterRule;
use policies::node::NodeRow;
use policies::policy::Policy;

use super::judge::Judge;
use super::pod::{self, Asking};
use super::stock::StockJudge;
use super::{Answer, View, answered, sent};
use crate::metrics::Mode;
use crate::wire::{ExtenderArgs, FilterReply, Rejected, Sent};

/// Answers a filter request.
///
/// # Errors
/// Why it could not be read.
pub(super) fn answer(body: &[u8], view: View<'_>) -> Result<Answer, String> {
    let args = ExtenderArgs::parse(body).map_err(|e| e.to_string())?;
    let asking = pod::read(args.pod().map_err(|e| e.to_string())?, &view)?;
    let sent = args.sent().map_err(|e| e.to_string())?;
    let rejected = match asking.policy {
        Policy::Enforce => judge_all(&asking, &sent, &view),
        Policy::Off | Policy::Auto | Policy::LocalPrefer => judge_virtual(&asking, &sent, &view),
    };
    let mode = if matches!(sent, Sent::Names(_)) { Mode::Names } else { Mode::Nodes };
    Ok(answered(FilterReply { rejected }.write(&sent), mode, sent.len()))
}

/// Policies under which every real node passes: only virtual nodes are looked at.
fn judge_virtual(asking: &Asking<'_>, sent: &Sent<'_>, view: &View<'_>) -> Vec<Rejected<'static>> {
    let found = sent::virtual_nodes(view.snapshot, sent);
    if found.is_empty() {
        return Vec::new();
    }
    let only = if sent.len() == 1 { found.first().copied() } else { None };
    let rule = rule(asking, only, view);
    let judge = Judge::new(asking.text, &asking.facts);
    let stock = StockJudge::new(view.stock, &asking.facts);
    let refuse = |node: &&NodeRow| {
        let objection = |node: &NodeRow| judge.objection(node).or_else(|| stock.objection(node));
        let reason = rule.refuses(Some(node), &objection)?;
        Some(Rejected::node(&node.name, reason.text()))
    };
    found.iter().filter_map(refuse).collect()
}

/// enforce rejects real and unknown nodes. Its pods carry a required node affinity, so few names come; all of them
/// come only when a pod passed while admission was down.
fn judge_all<'s>(asking: &Asking<'_>, sent: &'s Sent<'_>, view: &View<'_>) -> Vec<Rejected<'s>> {
    let rule = rule(asking, None, view);
    let judge = Judge::new(asking.text, &asking.facts);
    let stock = StockJudge::new(view.stock, &asking.facts);
    let refuse = |quoted: Cow<'s, str>| {
        let node = view.snapshot.by_name(sent::plain(&quoted));
        let objection = |node: &NodeRow| judge.objection(node).or_else(|| stock.objection(node));
        let reason = rule.refuses(node, &objection)?;
        Some(Rejected { quoted, reason: reason.text() })
    };
    sent.quoted().filter_map(refuse).collect()
}

fn rule(asking: &Asking<'_>, only: Option<&NodeRow>, view: &View<'_>) -> FilterRule {
    let room = || real_node_has_room(&asking.facts, view.snapshot.nodes().map(|(_, row)| row));
    FilterRule::new(asking.policy, &asking.facts, only, room)
}
