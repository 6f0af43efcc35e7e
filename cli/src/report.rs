//! The words and columns of `verify`. Pure text.

use std::fmt::Write;
use std::path::Path;

use policies::proof::{Line, Method, Proof, Verdict};

use crate::live::Live;

/// The whole report.
pub(crate) fn render(file: &Path, verdicts: &[Verdict], live: Option<&Live>, sampling: &[String]) -> String {
    let mut out = String::new();
    let source = live.map_or_else(
        || {
            "taints as shipped: one on each virtual node, none on real nodes (--live reads the cluster)"
                .to_owned()
        },
        Live::sentence,
    );
    let _ = writeln!(out, "{}\n{source}", file.display());
    for verdict in verdicts {
        let _ =
            writeln!(out, "\nprofile {} (score weights together {})", verdict.profile, verdict.weight_sum);
        proof(&mut out, &verdict.taint);
        if let Some(extender) = &verdict.extender {
            proof(&mut out, extender);
        }
        let word = if verdict.proved() { "proved" } else { "not proved" };
        let _ = writeln!(out, "  localPrefer is {word} for this profile");
    }
    for sentence in sampling {
        let _ = writeln!(out, "\nnot proved: {sentence}");
    }
    out
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
        let _ = writeln!(out, "    - {premise}");
    }
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
