//! The answer as a table for people and as CSV for programs.

use std::fmt::Write;

use policies::simulate::{Event, Happening, Report, meter::as_f64, trace::Trace};

type Column = (&'static str, fn(&Report) -> String);

/// Columns of the CSV and, with fewer digits, of the table.
const COLUMNS: [Column; 19] = [
    ("scenario", |r| r.name.clone()),
    ("pods", |r| r.pods.to_string()),
    ("local", |r| r.local.to_string()),
    ("cloud", |r| r.cloud.to_string()),
    ("failed", |r| r.failed.to_string()),
    ("late", |r| r.late.to_string()),
    ("cloud_core_hours", |r| format!("{:.3}", r.cloud_core_hours())),
    ("cloud_gib_hours", |r| format!("{:.3}", r.cloud_gib_hours())),
    ("unserved_core_hours", |r| format!("{:.3}", r.waiting_core_hours())),
    ("money", money),
    ("currency", |r| r.currency.clone().unwrap_or_default()),
    ("local_utilisation", |r| format!("{:.4}", r.local_utilisation())),
    ("wait_p50_s", |r| r.waits.p50.to_string()),
    ("wait_p99_s", |r| r.waits.p99.to_string()),
    ("wait_max_s", |r| r.waits.max.to_string()),
    ("moves", |r| r.moves.to_string()),
    ("over_burst", |r| r.over_burst.to_string()),
    ("overshoot", |r| r.overshoot.to_string()),
    ("unpriced", |r| r.unpriced.to_string()),
];

/// Nothing where no pod of the cloud has a price.
fn money(report: &Report) -> String {
    if report.unpriced > 0 && report.unpriced == report.cloud {
        return String::new();
    }
    report.used.money.to_string()
}

/// One row per scenario.
pub(super) fn csv(reports: &[Report], floor: u128) -> String {
    let header: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).chain(["cloud_core_hours_floor"]).collect();
    let mut out = header.join(",") + "\n";
    for report in reports {
        let cells: Vec<_> = COLUMNS.iter().map(|(_, cell)| quoted(&cell(report))).collect();
        let _ = writeln!(out, "{},{:.3}", cells.join(","), as_f64(floor) / 3_600_000.0);
    }
    out
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

/// For people: scenarios as rows.
pub(super) fn text(reports: &[Report], floor: u128) -> String {
    let head = [
        "scenario",
        "pods",
        "local",
        "cloud",
        "failed",
        "late",
        "cloud core-h",
        "cloud GiB-h",
        "unserved core-h",
        "money",
        "local use",
        "wait p50",
        "p99",
        "max",
        "moves",
        "over-burst",
        "overshoot",
    ];
    let rows = reports.iter().map(|r| {
        [
            r.name.clone(),
            r.pods.to_string(),
            r.local.to_string(),
            r.cloud.to_string(),
            r.failed.to_string(),
            r.late.to_string(),
            format!("{:.1}", r.cloud_core_hours()),
            format!("{:.1}", r.cloud_gib_hours()),
            format!("{:.1}", r.waiting_core_hours()),
            paid(r),
            format!("{:.1}%", r.local_utilisation() * 100.0),
            seconds(r.waits.p50),
            seconds(r.waits.p99),
            seconds(r.waits.max),
            r.moves.to_string(),
            r.over_burst.to_string(),
            if r.overshoot == policies::money::Money::ZERO {
                "0".to_owned()
            } else {
                r.overshoot.to_string()
            },
        ]
    });
    let rows: Vec<[String; 17]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let mut out = String::new();
    let width = |column: usize| rows.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column).unwrap_or(0);
            let _ =
                if column == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(
        out,
        "\nno schedule keeps more out of the cloud: at least {:.1} core-h in the cloud or unserved",
        as_f64(floor) / 3_600_000.0
    );
    for report in reports {
        for (reason, pods) in &report.failed_by {
            let _ = writeln!(out, "{}: {pods} pods failed, {reason}", report.name);
        }
        if report.unpriced > 0 {
            let _ = writeln!(out, "{}: no price for {} pods in the cloud", report.name, report.unpriced);
        }
        for note in &report.notes {
            let _ = writeln!(out, "{}: {note}", report.name);
        }
    }
    out
}

fn paid(report: &Report) -> String {
    match (money(report).as_str(), &report.currency) {
        ("", _) | (_, None) => "-".to_owned(),
        (_, Some(currency)) => {
            // Pods without a price are missing in it.
            let more = if report.unpriced > 0 { ">= " } else { "" };
            format!("{more}{:.2} {currency}", policies::simulate::meter::units(report.used.money))
        }
    }
}

fn seconds(seconds: i64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Everything that happened, one row per event.
pub(super) fn events(trace: &Trace, reports: &[Report]) -> String {
    let mut out = "scenario,second,pod,event,node,reason\n".to_owned();
    let node = |node: u32| trace.nodes.get(node as usize).map_or("", |n| n.name.as_str());
    for report in reports {
        for Event { at, pod, what } in &report.events {
            let Some(pod) = trace.pods.get(*pod as usize) else { continue };
            let namespace = trace.traits.get(pod.traits as usize).map_or("", |t| t.namespace.as_str());
            let (event, node, reason) = match what {
                Happening::Placed { node: at } => ("Placed", node(*at), ""),
                Happening::Moved { node: at } => ("Moved", node(*at), ""),
                Happening::Held(hold) => ("Held", "", hold.code()),
                Happening::Ended => ("Ended", "", ""),
                Happening::Failed => ("Failed", "", ""),
            };
            let pod = quoted(&format!("{namespace}/{}", pod.name));
            let _ = writeln!(out, "{},{at},{pod},{event},{},{reason}", quoted(&report.name), quoted(node));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use policies::money::Money;

    use super::*;

    fn report() -> Report {
        let mut report = Report { name: "a,\"b\"".to_owned(), pods: 3, cloud: 2, ..Report::default() };
        (report.used.cloud_cpu, report.used.money) = (7_200_000, Money::nano(1_500_000_000));
        report.currency = Some("CNY".to_owned());
        report.failed_by.insert("CloudLimit", 4);
        report
    }

    #[test]
    fn one_csv_row_per_scenario() {
        let csv = csv(&[report()], 3_600_000);
        let mut lines = csv.lines();
        assert!(
            lines
                .next()
                .is_some_and(|l| l.starts_with("scenario,pods,local,cloud,failed,late,cloud_core_hours,"))
        );
        assert_eq!(
            lines.next(),
            Some("\"a,\"\"b\"\"\",3,0,2,0,0,2.000,0.000,0.000,1.50,CNY,0.0000,0,0,0,0,0,0.00,0,1.000")
        );
    }

    #[test]
    fn the_table_says_what_is_missing() {
        let mut some = report();
        some.unpriced = 1;
        let mut none = report();
        none.unpriced = 2;
        let text = text(&[report(), some, none], 0);
        let money: Vec<_> = text.lines().skip(1).take(3).map(|l| l.contains(">= 1.50 CNY")).collect();
        assert_eq!(money, [false, true, false], "{text}");
        assert!(text.contains("a,\"b\": 4 pods failed, CloudLimit\n"), "{text}");
        assert!(text.contains("no price for 2 pods in the cloud"), "{text}");
    }

    #[test]
    fn seconds_in_the_largest_unit_that_tells_something() {
        let told = [0, 119, 120, 7_200, 172_800].map(seconds);
        assert_eq!(told, ["0s", "119s", "2m", "2h", "2d"]);
    }
}
