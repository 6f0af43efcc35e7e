//! The sentence that tells a user what was rounded, in the units of their manifest.

use super::{
    Ask, CONTAINER_MEMORY_MIN, CPU_STEP_MILLI, GI, RATIO_GI_PER_CORE, Size,
    units::{cores, memory},
};

/// What changed, or `None` when nothing did.
pub(super) fn changed(asks: &[Ask], asked: &[Size], total: Size, stepped: Size, pod: Size) -> Option<String> {
    let containers = asks.iter().zip(asked).flat_map(|(ask, size)| container(&ask.name, *size));
    let mut reasons: Vec<String> = containers.collect();
    reasons.extend(whole(total, stepped, pod));
    (!reasons.is_empty()).then(|| {
        let size = format!("rounded to {} core / {}", cores(pod.cpu_milli), memory(pod.memory_bytes));
        format!("{}; {size}", reasons.join("; "))
    })
}

fn container(name: &str, asked: Size) -> Vec<String> {
    let mut out = Vec::new();
    if asked.is_best_effort() {
        return out;
    }
    if asked.cpu_milli == 0 {
        out.push(format!("container {name} sets no cpu (at least 0.25 core)"));
    } else if !asked.cpu_milli.is_multiple_of(CPU_STEP_MILLI) {
        out.push(format!("container {name}: cpu {} is not a multiple of 0.25 core", cores(asked.cpu_milli)));
    }
    if asked.memory_bytes == 0 {
        out.push(format!("container {name} sets no memory (at least 0.2Gi)"));
    } else if asked.memory_bytes < CONTAINER_MEMORY_MIN {
        out.push(format!("container {name}: memory {} is less than 0.2Gi", memory(asked.memory_bytes)));
    }
    out
}

/// The pod-level reason. It speaks of the asked memory where the containers did not already change it.
fn whole(total: Size, stepped: Size, pod: Size) -> Option<String> {
    if stepped == pod {
        return None;
    }
    let (low, high) = RATIO_GI_PER_CORE;
    let gi = stepped.memory_bytes.div_ceil(GI);
    let least = stepped.cpu_milli.saturating_mul(low).div_ceil(1000);
    let most = stepped.cpu_milli.saturating_mul(high) / 1000;
    let shown =
        if total.memory_bytes == 0 { memory(stepped.memory_bytes) } else { memory(total.memory_bytes) };
    if (least..=most).contains(&gi) {
        return Some(format!("memory {shown} is not a whole number of Gi"));
    }
    let cpu = cores(stepped.cpu_milli);
    Some(format!("memory {shown} is not a CCI size for {cpu} core ({least}-{most} Gi)"))
}
