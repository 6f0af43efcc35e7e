//! Writes a made-up trace, the same for the same seed: `pods.csv` and `nodes.csv` as `kubectl burst simulate` reads them.
//!
//! Shaped after what is known of the openb (Alibaba) traces: a few kinds of node, a few popular sizes of pod, many short
//! lives and some long ones, GPUs for one pod in eight. The load swings with the day around `--load` of the real nodes'
//! cores, so that peaks pass what the nodes have.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Parser;

/// Writes a made-up trace, the same for the same seed
#[derive(Debug, Parser)]
struct Args {
    /// Folder for pods.csv and nodes.csv
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Pods
    #[arg(long, default_value_t = 10_000)]
    pods: u32,
    /// Real nodes
    #[arg(long, default_value_t = 100)]
    nodes: u32,
    /// Days over which the pods are created
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Mean load, in percent of the real nodes' cores
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u32).range(1..=1000))]
    load: u32,
    /// Of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("trace-generator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<String> {
    fs::create_dir_all(&args.out).with_context(|| format!("making {}", args.out.display()))?;
    let write = |name: &str, text: String| {
        let path = args.out.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    let mut random = Random(args.seed);
    let (nodes, milli) = nodes(args.nodes, &mut random);
    write("nodes.csv", nodes)?;
    write("pods.csv", pods(args, milli, &mut random))?;
    let show = |name: &str| Path::new(&args.out).join(name).display().to_string();
    Ok(format!(
        "{} with {} pods, {} with {} real nodes",
        show("pods.csv"),
        args.pods,
        show("nodes.csv"),
        args.nodes
    ))
}

/// `SplitMix64` (Steele, Lea, Flood 2014): small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not 0.
    const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of a list, by weight.
    fn pick<'l, T>(&mut self, list: &'l [(u64, T)]) -> Option<&'l T> {
        let mut at = self.below(list.iter().map(|(weight, _)| weight).sum::<u64>().max(1));
        list.iter().find_map(|(weight, item)| match at.checked_sub(*weight) {
            None => Some(item),
            Some(rest) => {
                at = rest;
                None
            }
        })
    }

    /// Around `mean` seconds, exponentially distributed in whole halvings: integers, so the same on every machine.
    const fn life(&mut self, mean: u64) -> u64 {
        // A geometric number of half-lives and a uniform part of one. The mean of both together is 1.5 half-lives.
        let half = mean * 2 / 3;
        let halvings = self.next().leading_zeros() as u64;
        let part = if half == 0 { 0 } else { self.below(half) };
        halvings * half + part + 1
    }
}

/// cpu, MiB, GPUs, model; weights as in openb, roughly.
type NodeKind = (u32, u32, u32, &'static str);
const NODES: [(u64, NodeKind); 6] = [
    (40, (96_000, 786_432, 0, "")),
    (25, (64_000, 262_144, 0, "")),
    (10, (32_000, 131_072, 0, "")),
    (10, (96_000, 393_216, 8, "V100M16")),
    (8, (96_000, 786_432, 8, "V100M32")),
    (7, (128_000, 786_432, 8, "A10")),
];

fn nodes(count: u32, random: &mut Random) -> (String, u64) {
    let mut text = "sn,cpu_milli,memory_mib,gpu,model,pods,labels,provider,zone\n".to_owned();
    let mut milli = 0;
    for index in 0..count {
        let Some((cpu, mib, gpu, model)) = random.pick(&NODES) else { continue };
        let (zone, pool) = (["a", "b", "c"][index as usize % 3], if *gpu > 0 { "gpu" } else { "cpu" });
        milli += u64::from(*cpu);
        let _ = writeln!(text, "node-{index:04},{cpu},{mib},{gpu},{model},250,pool={pool},,{zone}");
    }
    text.push_str("burst-0,,,,,,,alibabacloud,a\n");
    (text, milli)
}

/// cpu, MiB, GPUs, model.
const PODS: [(u64, NodeKind); 12] = [
    (18, (500, 1_024, 0, "")),
    (16, (1_000, 2_048, 0, "")),
    (14, (2_000, 4_096, 0, "")),
    (12, (4_000, 8_192, 0, "")),
    (9, (4_000, 16_384, 0, "")),
    (8, (8_000, 16_384, 0, "")),
    (6, (8_000, 32_768, 0, "")),
    (3, (16_000, 65_536, 0, "")),
    (1, (32_000, 131_072, 0, "")),
    (7, (8_000, 32_768, 1, "")),
    (4, (11_400, 49_152, 1, "V100M16|V100M32")),
    (2, (32_000, 131_072, 4, "A10|V100M32")),
];
const DAY: u64 = 86_400;

fn pods(args: &Args, milli: u64, random: &mut Random) -> String {
    let mut text = "name,namespace,cpu_milli,memory_mib,num_gpu,creation_time,deletion_time,labels,priority,gpu_model,owner\n".to_owned();
    let weights: u64 = PODS.iter().map(|(weight, _)| weight).sum();
    let mean_cpu = PODS.iter().map(|(weight, (cpu, ..))| weight * u64::from(*cpu)).sum::<u64>() / weights;
    let span = u64::from(args.days) * DAY;
    // Little's law: pods at a time x mean cpu = load x cores; pods at a time = pods / span x mean life.
    let wanted = u128::from(milli) * u128::from(args.load) / 100;
    let life = wanted * u128::from(span) / u128::from(mean_cpu.max(1)) / u128::from(args.pods.max(1));
    let life = u64::try_from(life).unwrap_or(u64::MAX).clamp(1, span);
    let mut created: Vec<u64> = (0..args.pods).map(|_| moment(span, random)).collect();
    created.sort_unstable();
    for (index, created) in created.into_iter().enumerate() {
        let Some((cpu, mib, gpu, models)) = random.pick(&PODS) else { continue };
        let deleted = created + random.life(life);
        let (team, app) = (random.below(8), random.below(40));
        let priority = if random.below(20) == 0 { 1_000 } else { 0 };
        let _ = writeln!(
            text,
            "pod-{index:07},team-{team},{cpu},{mib},{gpu},{created},{deleted},app=app-{app},{priority},{models},Deployment/app-{app}"
        );
    }
    text
}

/// A second of the span; three in the day's busy half for one in the quiet half.
const fn moment(span: u64, random: &mut Random) -> u64 {
    loop {
        let second = random.below(span);
        let busy = (second % DAY) / (DAY / 2) == 1;
        if busy || random.below(3) == 0 {
            return second;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(seed: u64) -> (String, String) {
        let args = Args { out: PathBuf::new(), pods: 500, nodes: 20, days: 2, load: 80, seed };
        let mut random = Random(seed);
        let (nodes, milli) = nodes(args.nodes, &mut random);
        let pods = pods(&args, milli, &mut random);
        (nodes, pods)
    }

    #[test]
    fn the_same_seed_writes_the_same_trace() {
        assert_eq!(trace(7), trace(7));
        assert_ne!(trace(7), trace(8));
    }

    /// Fails if the generator ever changes what a seed means: figures of a bench would not be comparable any more.
    #[test]
    fn what_a_seed_means_does_not_change() {
        assert_eq!(Random(0).next(), 0xe220_a839_7b1d_cdaf, "the published first value of SplitMix64");
        let (nodes, pods) = trace(1);
        assert_eq!((nodes.lines().count(), pods.lines().count()), (22, 501));
        let sum = |text: &str| {
            text.bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
        };
        assert_eq!((sum(&nodes), sum(&pods)), (11_247_566_578_313_913_560, 7_742_576_206_059_654_041));
    }

    #[test]
    fn the_mean_life_is_what_was_asked_for() {
        let mut random = Random(3);
        let sum: u64 = (0..100_000).map(|_| random.life(3_000)).sum();
        assert!((2_900..3_100).contains(&(sum / 100_000)), "{}", sum / 100_000);
    }
}
