//! What the simulated clouds billed in a whole run: no pod was paid for twice at once.
//!
//! Instances are named after their pod's UID, so two of one name are of one pod: an attempt at another place, or a new
//! instance for one that was lost. The meters are files of the simulators, written as things happen and never rewritten.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;

/// One line of a meter.
#[derive(Deserialize)]
struct Line {
    event: String,
    what: String,
    id: String,
    name: String,
    from: Timestamp,
    to: Option<Timestamp>,
}

/// From when to when an instance was billed.
type Span<'a> = (Timestamp, Timestamp, &'a str);

/// Every pair of instances of one pod that were billed at the same time, in words, by the meters in this folder.
///
/// # Errors
/// When a meter cannot be read: then nothing is known.
pub(crate) fn billed_twice(logs: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(logs).with_context(|| logs.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("billing-meter") {
            let text = std::fs::read_to_string(&path)?;
            let overlaps = overlaps(&text).with_context(|| path.display().to_string())?;
            found.extend(overlaps.into_iter().map(|overlap| format!("{name}: {overlap}")));
        }
    }
    Ok(found)
}

fn overlaps(meter: &str) -> Result<Vec<String>> {
    let lines = meter.lines().map(serde_json::from_str).collect::<Result<Vec<Line>, _>>()?;
    let mut pods: BTreeMap<&str, BTreeMap<&str, Span<'_>>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.what == "instance") {
        // The line that closes comes later and has the end.
        let to =
            if line.event == "close" { line.to.context("closed without an end")? } else { Timestamp::MAX };
        pods.entry(&line.name).or_default().insert(&line.id, (line.from, to, &line.id));
    }
    let mut found = Vec::new();
    for (pod, instances) in pods {
        let mut spans: Vec<Span<'_>> = instances.into_values().collect();
        spans.sort_unstable();
        for pair in spans.windows(2) {
            if let [(_, to, first), (from, _, second)] = pair
                && from < to
            {
                found.push(format!("{pod} is billed as {first} until {to} and as {second} from {from}"));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: &str, id: &str, pod: &str, from: i64, to: Option<i64>) -> String {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap().to_string();
        let mut line =
            serde_json::json!({"event": event, "what": "instance", "id": id, "name": pod, "from": at(from)});
        if let Some(to) = to {
            line["to"] = at(to).into();
        }
        line.to_string()
    }

    #[test]
    fn two_instances_of_one_pod_may_follow_each_other_and_not_stand_beside() {
        let life = |id: &str, from: i64, to: i64| {
            [line("open", id, "shop/web-1", from, None), line("close", id, "shop/web-1", from, Some(to))]
                .join("\n")
        };
        let other = line("open", "c", "shop/web-2", 0, None);
        let after = [life("a", 0, 10), life("b", 10, 20), other.clone()].join("\n");
        assert_eq!(overlaps(&after).unwrap(), [""; 0]);
        let beside = [life("a", 0, 10), life("b", 9, 20), other].join("\n");
        let found = overlaps(&beside).unwrap();
        assert!(
            matches!(&found[..], [one] if one.contains("as a until") && one.contains("as b from")),
            "{found:?}"
        );
        let open = [life("b", 5, 20), line("open", "a", "shop/web-1", 0, None)].join("\n");
        assert_eq!(overlaps(&open).unwrap().len(), 1);
        assert!(overlaps("{}").is_err() && overlaps("").unwrap().is_empty());
    }
}
