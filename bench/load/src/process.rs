//! CPU time and memory of a process, from /proc.

use anyhow::{Context, Result};

/// Seconds of CPU that a process has used (user and system).
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name may hold blanks; everything after its closing bracket is plain.
    let fields: Vec<&str> = stat.rsplit_once(')').context("/proc/…/stat")?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok()).context("/proc/…/stat");
    // Linux reports in USER_HZ, which is 100 on every architecture that we build for.
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// Resident memory in MiB: (now, at its highest).
pub(crate) fn memory_mib(pid: u32) -> Result<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|value| value.parse::<f64>().ok())
            .with_context(|| name.to_owned())
    };
    Ok((kib("VmRSS:")? / 1024.0, kib("VmHWM:")? / 1024.0))
}

/// Seconds of CPU that the processes of each name have used together; a process that ended counts no more.
pub(crate) fn cpu_by_name<const N: usize>(names: [&str; N]) -> Result<[f64; N]> {
    let mut used = [0.0; N];
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may end while it is looked at.
        let Ok(name) = std::fs::read_to_string(entry.path().join("comm")) else { continue };
        let at = names.iter().position(|wanted| *wanted == name.trim());
        if let (Some(used), Ok(seconds)) = (at.and_then(|at| used.get_mut(at)), cpu_seconds(pid)) {
            *used += seconds;
        }
    }
    Ok(used)
}
