//! What containers use. Of a real process tree it is read from `/proc`; of a container that pretends to run it is a tenth
//! of what it asks for, from its start on, so that a test can say every number beforehand.

use std::collections::HashMap;

use jiff::Timestamp;

use super::instances::Instance;
use super::plan::Container;
use crate::size::{Size, cpu_milli, memory_bytes};

/// Clock ticks per second and bytes per page, as Linux counts in `/proc/PID/stat` on every machine this runs on.
const TICK_NANOS: u64 = 10_000_000;
const PAGE: u64 = 4096;

/// What one container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) name: String,
    /// What it may use.
    pub(crate) limit: Size,
    pub(crate) nano_cores: u64,
    pub(crate) core_nano_seconds: u64,
    pub(crate) memory_bytes: u64,
}

/// What the running containers of an instance use at a moment; processes can only be looked at now.
pub(crate) fn of(instance: &Instance, at: Timestamp) -> Vec<Used> {
    let running = instance.running();
    let containers = &instance.plan.spec.containers;
    let count = containers.len().max(1) as u64;
    let share =
        Size { cpu_milli: instance.size.cpu_milli / count, memory_bytes: instance.size.memory_bytes / count };
    let tree =
        if running.values().any(|(_, pid)| pid.is_some()) { Processes::read() } else { Processes::default() };
    let own = containers.iter().chain(instance.plan.spec.init_containers.iter().filter(|c| c.is_sidecar()));
    let one = |container: &Container| {
        let (since, pid) = running.get(&container.name)?;
        let age = u64::try_from(at.duration_since(*since).as_nanos()).ok()?;
        let limit = asked(container, share);
        let (nano_cores, core_nano_seconds, memory_bytes) = match pid {
            Some(pid) => {
                let (spent, memory) = tree.below(*pid);
                (per_second(spent, age), spent, memory)
            }
            None => {
                let nano = limit.cpu_milli * 100_000;
                (nano, product(nano, age), limit.memory_bytes / 10)
            }
        };
        Some(Used { name: container.name.clone(), limit, nano_cores, core_nano_seconds, memory_bytes })
    };
    own.filter_map(one).collect()
}

/// What a container asks for, or its share of the instance.
fn asked(container: &Container, share: Size) -> Size {
    let amount = |name: &str, read: fn(&str) -> Option<u64>| {
        let resources = &container.resources;
        let value = resources.limits.get(name).or_else(|| resources.requests.get(name))?;
        read(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)).filter(|amount| *amount > 0)
    };
    Size {
        cpu_milli: amount("cpu", cpu_milli).unwrap_or(share.cpu_milli),
        memory_bytes: amount("memory", memory_bytes).unwrap_or(share.memory_bytes),
    }
}

/// Core-nanoseconds after so many nanoseconds.
fn product(nano_cores: u64, age: u64) -> u64 {
    u64::try_from(u128::from(nano_cores) * u128::from(age) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Nanocores on average over so many nanoseconds.
fn per_second(spent: u64, age: u64) -> u64 {
    u64::try_from(u128::from(spent) * 1_000_000_000 / u128::from(age.max(1))).unwrap_or(u64::MAX)
}

/// All processes: parent, core-nanoseconds of it and of its dead children, resident bytes.
#[derive(Default)]
struct Processes(HashMap<u32, (u32, u64, u64)>);

impl Processes {
    fn read() -> Self {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Self::default() };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let stats = pids.filter_map(|pid| {
            let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat(&text)?))
        });
        Self(stats.collect())
    }

    /// A process and everything that it started.
    fn below(&self, root: u32) -> (u64, u64) {
        let inside = |pid: u32| {
            let mut at = pid;
            // Parents of parents end; numbers that are used again while reading must not make a circle.
            for _ in 0..64 {
                if at == root {
                    return true;
                }
                match self.0.get(&at) {
                    Some((parent, ..)) if *parent > 0 => at = *parent,
                    _ => return false,
                }
            }
            false
        };
        let all = self.0.iter().filter(|(pid, _)| inside(**pid));
        all.fold((0, 0), |(spent, memory), (_, (_, more, pages))| (spent + more, memory + pages))
    }
}

/// Parent, core-nanoseconds and resident bytes from a line of `/proc/PID/stat`; names may hold anything.
fn stat(line: &str) -> Option<(u32, u64, u64)> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let parent = fields.get(1)?.parse().ok()?;
    let ticks: u64 = [11, 12, 13, 14].into_iter().map(|at| number(at).unwrap_or_default()).sum();
    Some((parent, ticks * TICK_NANOS, number(21)? * PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_children_are_one() {
        let line = "7 (a b) c) S 1 7 7 0 -1 4194304 100 0 0 0 5 3 1 1 20 0 1 0 100 8192 3 0";
        assert_eq!(stat(line), Some((1, 100_000_000, 3 * PAGE)));
        let all = Processes([(7, (1, 10, 100)), (8, (7, 5, 50)), (9, (8, 1, 1)), (5, (1, 99, 99))].into());
        assert_eq!(all.below(7), (16, 151));
        assert_eq!(all.below(4), (0, 0));
        let own = Processes::read();
        assert!(own.below(std::process::id()).1 > 0, "this process uses memory");
    }
}
