//! The report: stable metric names to numbers, how these stand to the bars, and what machine they were measured on.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

/// Collected results.
#[derive(Debug, Default)]
pub(crate) struct Report {
    numbers: BTreeMap<String, f64>,
    verdicts: BTreeMap<&'static str, Verdict>,
}

/// How one number stands to its bar.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    /// For people.
    pub(crate) what: &'static str,
    /// The number.
    pub(crate) figure: f64,
    /// The bar, as `≥ 0.95`.
    pub(crate) bar: String,
    /// Whether the number reaches it.
    pub(crate) met: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.met { "met" } else { "NOT MET" };
        let digits = if self.figure.abs() < 100.0 { 2 } else { 0 };
        write!(f, "{word:<8} {:>8.digits$} {:<8} {}", self.figure, self.bar, self.what)
    }
}

impl Report {
    pub(crate) fn set(&mut self, name: impl Into<String>, value: f64) {
        self.numbers.insert(name.into(), value);
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.numbers.get(name).copied()
    }

    /// Records how a number stands to its bar.
    pub(crate) fn judged(&mut self, name: &'static str, verdict: Verdict) {
        self.verdicts.insert(name, verdict);
    }

    /// How a number stands to its bar, if it was judged.
    #[cfg(test)]
    pub(crate) fn verdict(&self, name: &str) -> Option<&Verdict> {
        self.verdicts.get(name)
    }

    /// Merges into `target/bench/report.json` (a part run alone renews only its own numbers) and returns the path.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let dir = lab::repository_root()?.join("target/bench");
        std::fs::create_dir_all(&dir)?;
        let path = dir.join("report.json");
        let mut all: BTreeMap<String, Value> =
            std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        all.extend(self.numbers.iter().map(|(name, value)| (name.clone(), json!(value))));
        let mut bars = all.remove("bars").unwrap_or_else(|| json!({}));
        for (name, verdict) in &self.verdicts {
            bars[*name] = json!(verdict);
        }
        all.insert("bars".to_owned(), bars);
        all.insert("machine".to_owned(), json!(machine()));
        std::fs::write(&path, serde_json::to_vec_pretty(&all)?)?;
        Ok(path)
    }
}

fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or("").trim_start_matches("MemTotal:").trim().to_owned();
    format!("{cores} cores, {model}, {memory}")
}

/// The middle value.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which a share `q` of the values lie; 0 for none.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let index = ((values.len().saturating_sub(1)) as f64 * q).round() as usize;
    values.get(index).copied().unwrap_or(0.0)
}
