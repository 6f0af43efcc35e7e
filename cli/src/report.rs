//! The words and columns of `verify`. Pure text.

use std::fmt::Write;
use std::path::Path;

use policies::proof::{Line, Method, Proof, Verdict};

use crate::live::Live;

/// Columns of a paragraph.
const WIDTH: usize = 110;

/// The whole report.
pub(crate) fn render(file: &Path, verdicts: &[Verdict], live: Option<&Live>) -> String {
    let mut out = String::new();
    let source = live.map_or_else(
        || {
            "taints as shipped: one on each virtual node, none on real nodes (--live reads the cluster)"
                .to_owned()
        },
        |live| live.sentence(verdicts),
    );
    let _ = writeln!(out, "{}\n{source}", file.display());
    for verdict in verdicts {
        profile(&mut out, verdict, live);
    }
    out
}

fn profile(out: &mut String, verdict: &Verdict, live: Option<&Live>) {
    let _ = writeln!(out, "\nprofile {} (score weights together {})", verdict.profile, verdict.weight_sum);
    proof(out, &verdict.taint);
    if let Some(extender) = &verdict.extender {
        proof(out, extender);
    }
    let _ = writeln!(out, "  by either way");
    item(out, if verdict.sampling.holds { "" } else { "not proved: " }, &verdict.sampling.sentence);
    for premise in &verdict.premises {
        item(out, "", premise);
    }
    if !verdict.consequences.is_empty() {
        let _ = writeln!(out, "  beside the proof");
        for sentence in &verdict.consequences {
            item(out, "", sentence);
        }
    }
    let outside = live.and_then(|l| l.outside(verdict));
    if let Some(sentence) = &outside {
        item(out, "not proved: ", sentence);
    }
    let word = if verdict.proved() && outside.is_none() { "proved" } else { "not proved" };
    let _ = writeln!(out, "  localPrefer is {word} for this profile{}", smallest(verdict));
}

/// Where no way is enough: the smallest weight that makes one so.
fn smallest(verdict: &Verdict) -> String {
    if verdict.taint.proved || verdict.extender.as_ref().is_some_and(|p| p.proved) {
        return String::new();
    }
    let extender = verdict.extender.as_ref();
    let ways = [
        verdict.taint.needed_weight.map(|w| format!("TaintToleration >= {w}")),
        extender.and_then(|p| Some(format!("the weight of {} >= {}", p.ours.term, p.needed_weight?))),
    ];
    let ways: Vec<String> = ways.into_iter().flatten().collect();
    if ways.is_empty() { String::new() } else { format!(", needs {}", ways.join(" or ")) }
}

fn proof(out: &mut String, proof: &Proof) {
    let how = match proof.method {
        Method::Taint => "by taint (holds without any extender call)",
        Method::Extender => "by extender",
    };
    let _ = writeln!(out, "  {how}");
    if proof.ours.span == 0 {
        let _ = writeln!(out, "    not proved, and no weight is enough");
        premises(out, proof);
        return;
    }
    let width = proof.against.iter().chain([&proof.ours]).map(|l| l.term.len()).max().unwrap_or(0);
    line(out, "for a real node", width, &proof.ours);
    for (i, each) in proof.against.iter().enumerate() {
        line(out, if i == 0 { "against it" } else { "" }, width, each);
    }
    let _ = writeln!(out, "    {:<16} {:<width$}              {:>6}", "", "together", proof.against_points);
    let _ = writeln!(out, "    margin {}: {}", proof.margin, outcome(proof));
    premises(out, proof);
}

fn premises(out: &mut String, proof: &Proof) {
    for premise in &proof.premises {
        item(out, "", premise);
    }
}

/// A sentence of a list, broken at words.
fn item(out: &mut String, before: &str, sentence: &str) {
    let mut column = WIDTH;
    let mut text = String::from("    -");
    for word in before.split_whitespace().chain(sentence.split_whitespace()) {
        if column + 1 + word.len() > WIDTH && text.len() > 5 {
            text.push_str("\n     ");
            column = 5;
        } else if text.len() == 5 {
            column = 5;
        }
        text.push(' ');
        text.push_str(word);
        column += 1 + word.len();
    }
    let _ = writeln!(out, "{text}");
}

fn line(out: &mut String, side: &str, width: usize, line: &Line) {
    let Line { term, weight, span, points } = line;
    let _ = writeln!(out, "    {side:<16} {term:<width$}  {weight:>4} x {span:>3} = {points:>6}");
}

fn outcome(proof: &Proof) -> String {
    match (proof.proved, proof.needed_weight) {
        (true, _) => "proved".to_owned(),
        (false, Some(weight)) => format!("not proved, needs weight >= {weight}"),
        (false, None) => "not proved, and no weight is enough".to_owned(),
    }
}
