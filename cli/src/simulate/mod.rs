//! `kubectl burst simulate`: reads files, plays every scenario (`policies::simulate`), writes the answer.

mod chart;
mod csv;
mod objects;
mod rows;
mod table;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use policies::{
    burst_policy::PolicyObject,
    price::PriceBook,
    simulate::{
        self, Report, Rule, Scenario, Settings,
        trace::{ENDLESS, Node, Pod, Size, Trace},
    },
};

/// Slices of a chart.
const SLICES: usize = 400;
/// Name of the virtual node that is taken for granted.
const ASSUMED: &str = "burst-assumed";
/// Its provider: the one whose published prices are shipped.
const ASSUMED_PROVIDER: &str = "alibabacloud";

/// What was asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    kubectl burst simulate --trace pods.csv --nodes nodes.csv --policy team.yaml\n  \
    kubectl burst simulate --trace pods.csv --nodes nodes.csv --policy small.yaml --policy large.yaml --html out.html")]
pub(crate) struct Simulate {
    /// Pods: name, cpu_milli, memory_mib, num_gpu, creation_time, deletion_time (seconds), and more; see docs/simulate.md
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// Nodes: name (or sn), cpu_milli, memory_mib, gpu; a node with a provider is virtual
    #[arg(long, value_name = "FILE")]
    nodes: PathBuf,
    /// BurstPolicy and ClusterBurstPolicy objects; every --policy is a scenario of its own
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Price book; without it the one that burst ships
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Currency of the money; without it that of the first budget, else that of the price book
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// When second 0 of the trace is: budgets have calendar windows (UTC)
    #[arg(long, value_name = "RFC3339", default_value = "1970-01-01T00:00:00Z")]
    start: String,
    /// Tell pods that are created in the same second apart by this number instead of by their rows
    #[arg(long)]
    seed: Option<u64>,
    /// Only the policies, without the built-in scenarios
    #[arg(long)]
    no_baselines: bool,
    /// One row per scenario
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Everything that happened, one row per event
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Cores and money over time, as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Cores and money over time, as a picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// The table, and that the question could be answered.
pub(crate) fn run(args: &Simulate) -> Result<(String, bool)> {
    let start = start(&args.start)?;
    let trace = read(args)?;
    let files: Vec<(String, Vec<PolicyObject>)> =
        args.policy.iter().map(|path| Ok((title(path), objects::read(path)?))).collect::<Result<_>>()?;
    let prices = prices(args.prices.as_deref())?;
    let settings = Settings {
        start,
        currency: currency(args, &files, &prices),
        prices: &prices,
        ask_again_seconds: 60,
        slices: SLICES,
        keep_events: args.events.is_some(),
    };
    let reports: Vec<Report> =
        scenarios(args, &files).iter().map(|scenario| simulate::run(&trace, scenario, &settings)).collect();
    let floor = simulate::cloud_cpu_floor(&trace);
    let table = table::text(&reports, floor);
    write(args.csv.as_deref(), || table::csv(&reports, floor))?;
    write(args.events.as_deref(), || table::events(&trace, &reports))?;
    write(args.svg.as_deref(), || chart::svg(&reports))?;
    let page = format!("burst simulate: {} on {}", title(&args.trace), title(&args.nodes));
    write(args.html.as_deref(), || chart::html(&page, &table, &reports))?;
    Ok((table, true))
}

fn scenarios<'p>(args: &Simulate, files: &'p [(String, Vec<PolicyObject>)]) -> Vec<Scenario<'p>> {
    let policies =
        files.iter().map(|(name, objects)| Scenario { name: name.clone(), rule: Rule::Objects(objects) });
    let built_in = [
        ("always-local", Rule::AlwaysLocal),
        ("always-cloud", Rule::AlwaysCloud),
        ("taint-only auto", Rule::Stock),
    ];
    let built_in = built_in.into_iter().map(|(name, rule)| Scenario { name: name.to_owned(), rule });
    policies.chain(built_in.filter(|_| !args.no_baselines)).collect()
}

fn read(args: &Simulate) -> Result<Trace> {
    let mut trace = Trace::default();
    for (path, read) in [(&args.trace, rows::pods as rows::Reader), (&args.nodes, rows::nodes)] {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {file}"))?;
        say(&read(&file, &text, &mut trace)?.text(&file));
    }
    if trace.pods.is_empty() || trace.nodes.is_empty() {
        bail!("no usable row in {}", if trace.pods.is_empty() { &args.trace } else { &args.nodes }.display());
    }
    if !trace.nodes.iter().any(|n| n.provider.is_some()) {
        say(&format!(
            "{}: no node has a provider; one virtual node {ASSUMED} ({ASSUMED_PROVIDER}) without a limit is assumed\n",
            args.nodes.display()
        ));
        trace.nodes.push(Node {
            name: ASSUMED.to_owned(),
            size: Size { cpu_milli: ENDLESS, memory_mib: ENDLESS, gpu: ENDLESS, pods: ENDLESS },
            provider: Some(ASSUMED_PROVIDER.to_owned()),
            ..Node::default()
        });
    }
    if let Some(seed) = args.seed {
        shuffle(&mut trace.pods, seed);
    }
    Ok(trace)
}

/// Mixes the rows: only pods of equal priority that are created in the same second are told apart by their rows.
fn shuffle(pods: &mut [Pod], seed: u64) {
    let mut state = seed;
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    for last in (1..pods.len()).rev() {
        let other = usize::try_from(next() % (last as u64 + 1)).unwrap_or(last);
        pods.swap(last, other);
    }
}

/// The scenario's name: the file's, without folder and ending.
fn title(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn start(text: &str) -> Result<i64> {
    let time: jiff::Timestamp =
        text.parse().with_context(|| format!("--start {text:?} is not a time like 2026-01-31T00:00:00Z"))?;
    Ok(time.as_second())
}

/// To stderr, so that the table can be piped.
fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn write(path: Option<&Path>, text: impl FnOnce() -> String) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()).with_context(|| format!("writing {}", path.display()))
}

/// The price book of a file, or the one that is shipped.
fn prices(path: Option<&Path>) -> Result<PriceBook> {
    let Some(path) = path else { return Ok(PriceBook::shipped()) };
    let file = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {file}"))?;
    PriceBook::read(&text).with_context(|| format!("{file} is not a usable price book"))
}

/// The currency to report money in: as asked, else that of the first budget, else the first of the book.
fn currency(args: &Simulate, files: &[(String, Vec<PolicyObject>)], prices: &PriceBook) -> Option<String> {
    let budgets = files.iter().flat_map(|(_, objects)| objects).filter_map(|o| o.spec.budget.as_ref());
    let budget = || budgets.map(|b| b.currency.clone()).next();
    let first = || prices.prices.first().map(|p| p.currency.clone());
    args.currency.clone().or_else(budget).or_else(first)
}
