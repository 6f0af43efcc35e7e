//! The report: stable metric names to numbers, and what machine they were measured on.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

/// Collected results.
#[derive(Debug, Default)]
pub(crate) struct Report(BTreeMap<String, f64>);

impl Report {
    pub(crate) fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Merges into `target/bench/report.json` (a part run alone renews only its own numbers) and returns the path.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let dir = lab::repository_root()?.join("target/bench");
        std::fs::create_dir_all(&dir)?;
        let path = dir.join("report.json");
        let mut all: BTreeMap<String, Value> =
            std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        all.extend(self.0.iter().map(|(name, value)| (name.clone(), json!(value))));
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
