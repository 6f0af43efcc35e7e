//! Cores over time, local and cloud stacked, with money beside it: one SVG per scenario, or a page of them all.
//!
//! Self-contained: no script, no font and no host from outside. Follows the reader's dark or light setting. All panels
//! share their scales of cores and time, so that scenarios can be compared by eye.

use std::fmt::Write;

use policies::simulate::{Report, meter::Slice};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 72.0;
const TOP: f64 = 44.0;
const PLOT: f64 = 180.0;
/// Plot, title, times.
const PANEL: f64 = TOP + PLOT + 40.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5d6878;--line:#dfe4ea;--back:#ffffff;--local:#2f6fb0;--cloud:#e0862a;--wait:#b9c0ca;--money:#8a3fa0}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa6b5;--line:#333c48;--back:#151a21;--local:#5b9bdc;--cloud:#f0a04b;--wait:#566070;--money:#cf8be6}}
text{fill:var(--ink);font:12px system-ui,sans-serif}
.soft{fill:var(--soft)}.grid{stroke:var(--line)}.local{fill:var(--local)}.cloud{fill:var(--cloud)}.wait{fill:var(--wait)}
.money{fill:none;stroke:var(--money);stroke-width:2}.moneytext{fill:var(--money)}.back{fill:var(--back)}.title{font-weight:600;font-size:14px}";

/// Largest values over all scenarios. Money has its own scale in each: always-cloud would flatten all others.
#[derive(Clone, Copy)]
struct Scale {
    cores: f64,
    seconds: f64,
}

fn scale(reports: &[Report]) -> Scale {
    let slices = reports.iter().flat_map(|r| &r.slices);
    let cores = slices.map(|s| s.local_cores + s.cloud_cores + s.waiting_cores).fold(0.0, f64::max);
    let length = |r: &Report| real(r.slices.len()) * real(usize::try_from(r.slice_seconds).unwrap_or(0));
    let seconds = reports.iter().map(length).fold(1.0, f64::max);
    Scale { cores: round_up(cores), seconds }
}

#[expect(clippy::cast_precision_loss, reason = "pixels")]
const fn real(n: usize) -> f64 {
    n as f64
}

/// The next round number: four ticks of it are round too.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|n| *n >= value)
        .unwrap_or(value)
}

/// One picture with a panel per scenario.
pub(super) fn svg(reports: &[Report]) -> String {
    let height = PANEL * real(reports.len()) + 8.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Cores in use and money over time, by scenario\">\n<style>{STYLE}</style>\n\
         <rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    let scale = scale(reports);
    for (index, report) in reports.iter().enumerate() {
        panel(&mut out, report, scale, PANEL * real(index));
    }
    out + "</svg>\n"
}

fn panel(out: &mut String, report: &Report, scale: Scale, top: f64) {
    let bottom = top + TOP + PLOT;
    let right = WIDTH - RIGHT;
    let money = round_up(report.slices.last().map_or(0.0, |s| s.money));
    let _ = writeln!(
        out,
        "<g><title>{0}</title><text class=\"title\" x=\"{LEFT}\" y=\"{1}\">{0}</text>",
        escaped(&report.name),
        top + 20.0
    );
    legend(out, report, top + 36.0);
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let y = bottom - share * PLOT;
        let _ =
            writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        let _ = writeln!(
            out,
            "<text class=\"soft\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            short(share * scale.cores)
        );
        if report.currency.is_some() {
            let _ = writeln!(
                out,
                "<text class=\"moneytext\" x=\"{}\" y=\"{:.1}\">{}</text>",
                right + 8.0,
                y + 4.0,
                short(share * money)
            );
        }
    }
    let width = real(usize::try_from(report.slice_seconds).unwrap_or(1)) / scale.seconds * (right - LEFT);
    let x = |index: usize| LEFT + real(index) * width;
    let y = |cores: f64| bottom - cores / scale.cores * PLOT;
    let none = |_: &Slice| 0.0;
    let local = |s: &Slice| s.local_cores;
    let cloud = |s: &Slice| s.local_cores + s.cloud_cores;
    let wait = |s: &Slice| s.local_cores + s.cloud_cores + s.waiting_cores;
    band(out, "local", &report.slices, none, local, x, y);
    band(out, "cloud", &report.slices, local, cloud, x, y);
    band(out, "wait", &report.slices, cloud, wait, x, y);
    if report.currency.is_some() {
        let mut line = format!("M{LEFT:.1} {bottom:.1}");
        for (index, slice) in report.slices.iter().enumerate() {
            let _ = write!(line, "L{:.1} {:.1}", x(index + 1), bottom - slice.money / money * PLOT);
        }
        let _ = writeln!(out, "<path class=\"money\" d=\"{line}\"/>");
    }
    for tick in 0..=6 {
        let share = f64::from(tick) / 6.0;
        let _ = writeln!(
            out,
            "<text class=\"soft\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            LEFT + share * (right - LEFT),
            bottom + 18.0,
            time(share * scale.seconds)
        );
    }
    out.push_str("</g>\n");
}

/// A filled band between two lines, as steps.
fn band(
    out: &mut String,
    class: &str,
    slices: &[Slice],
    low: impl Fn(&Slice) -> f64,
    high: impl Fn(&Slice) -> f64,
    x: impl Fn(usize) -> f64,
    y: impl Fn(f64) -> f64,
) {
    if slices.iter().all(|s| high(s) - low(s) <= 0.0) {
        return;
    }
    let mut path = String::new();
    for (index, slice) in slices.iter().enumerate() {
        let word = if index == 0 { 'M' } else { 'L' };
        let at = y(high(slice));
        let _ = write!(path, "{word}{:.1} {at:.1}L{:.1} {at:.1}", x(index), x(index + 1));
    }
    for (index, slice) in slices.iter().enumerate().rev() {
        let at = y(low(slice));
        let _ = write!(path, "L{:.1} {at:.1}L{:.1} {at:.1}", x(index + 1), x(index));
    }
    let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}Z\"/>");
}

fn legend(out: &mut String, report: &Report, y: f64) {
    let mut x = LEFT;
    let money = report.currency.as_ref().map(|c| format!("money, {c} (right)"));
    let entries =
        [("local", "cores on real nodes"), ("cloud", "cores in the cloud"), ("wait", "cores waiting")];
    for (class, text) in entries {
        let _ = writeln!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"10\" height=\"10\"/><text class=\"soft\" x=\"{}\" y=\"{y}\">{text}</text>",
            y - 9.0,
            x + 15.0
        );
        x += 150.0;
    }
    if let Some(money) = money {
        let _ = writeln!(
            out,
            "<line class=\"money\" x1=\"{x}\" x2=\"{}\" y1=\"{2}\" y2=\"{2}\"/><text class=\"moneytext\" x=\"{}\" y=\"{y}\">{money}</text>",
            x + 16.0,
            x + 21.0,
            y - 4.0,
            money = escaped(&money)
        );
    }
}

/// `1.5k`, `20`, `0.25`.
fn short(value: f64) -> String {
    let (value, suffix) = match value {
        v if v >= 1e9 => (v / 1e9, "G"),
        v if v >= 1e6 => (v / 1e6, "M"),
        v if v >= 1e4 => (v / 1e3, "k"),
        v => (v, ""),
    };
    let text = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => "0".to_owned(),
        s if s < 300.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3_600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page: the table, then the picture.
pub(super) fn html(title: &str, table: &str, reports: &[Report]) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title>\n<style>\nbody{{margin:0 auto;padding:1rem;max-width:75rem;background:var(--back);color:var(--ink);font:15px/1.5 system-ui,sans-serif}}\n\
         h1{{font-size:1.2rem}}\npre{{overflow-x:auto;font:12px/1.5 ui-monospace,monospace;border:1px solid var(--line);border-radius:6px;padding:.75rem}}\n\
         .scroll{{overflow-x:auto}}\nsvg{{width:100%;min-width:40rem;height:auto}}\n</style></head>\n<body><h1>{title}</h1>\n\
         <pre tabindex=\"0\">{table}</pre>\n<div class=\"scroll\" tabindex=\"0\">\n{svg}</div></body></html>\n",
        title = escaped(title),
        table = escaped(table),
        svg = svg(reports),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, money: f64) -> Report {
        let slice =
            |local_cores, cloud_cores, money| Slice { local_cores, cloud_cores, waiting_cores: 0.0, money };
        Report {
            name: name.to_owned(),
            slice_seconds: 100,
            slices: vec![slice(1.0, 0.0, 0.0), slice(2.0, 2.0, money)],
            currency: Some("CNY".to_owned()),
            ..Report::default()
        }
    }

    /// Fails if a band does not stand on the one below it, or if money leaves its own scale.
    #[test]
    fn bands_are_stacked_on_one_scale() {
        let svg = svg(&[report("a", 80.0), report("b", 8_000.0)]);
        // 4 cores are the full height: from 224 (0) up to 44; the second slice has local up to 134, cloud from there.
        assert!(svg.contains("class=\"local\" d=\"M64.0 179.0L476.0 179.0L476.0 134.0L888.0 134.0"), "{svg}");
        assert!(svg.contains("class=\"cloud\" d=\"M64.0 179.0L476.0 179.0L476.0 44.0L888.0 44.0"), "{svg}");
        assert_eq!(svg.matches("class=\"money\" d=\"M64.0").count(), 2);
        assert!(svg.contains("L888.0 44.0\"/>"), "80 of 80 is the full height too");
    }

    #[test]
    fn names_are_text_and_nothing_comes_from_outside() {
        let page = html("<a&b>", "x < y", &[report("<script>", 1.0)]);
        assert!(
            page.contains("&lt;a&amp;b&gt;") && page.contains("x &lt; y") && page.contains("&lt;script&gt;")
        );
        assert!(!page.contains("<script") && !page.contains("url(") && !page.contains("href"));
        let outside = page.matches("http").count();
        assert_eq!(outside, 1, "the namespace of SVG, which is a name and no address");
    }

    #[test]
    fn ticks() {
        let check = |value, wanted| assert_eq!(round_up(value), wanted);
        check(0.0, 1.0);
        check(5_500.0, 6_000.0);
        check(0.81, 1.0);
        check(100.0, 100.0);
        assert_eq!([short(0.25), short(1_500.0), short(25_000.0), short(0.0)], ["0.25", "1500", "25k", "0"]);
        assert_eq!([time(0.0), time(90.0), time(3_600.0), time(90_000.0)], ["0", "90 s", "60 min", "25.0 h"]);
    }
}
