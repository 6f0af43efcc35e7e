//! What ECI sells: sizes by region, rounding up to one of them, list prices. Pure arithmetic.
//!
//! Facts: the vendor's size tables (2024-06 to 2026-09) and billing page (China, 2024-2025). The rounded size is billed.

use super::error::EciError;
use crate::size::Size;

/// Thousandths of a vCPU and the GiB halves that go with it, in all regions.
const ALL_REGIONS: [(u64, &[u64]); 12] = [
    (250, &[1, 2]),
    (500, &[2, 4]),
    (1000, &[4, 8, 16]),
    (2000, &[2, 4, 8, 16, 32]),
    (4000, &[4, 8, 16, 32, 64]),
    (8000, &[8, 16, 32, 64, 128]),
    (12_000, &[24, 48, 96, 192]),
    (16_000, &[32, 64, 128, 256]),
    (24_000, &[48, 96, 192, 384]),
    (32_000, &[64, 128, 256, 512]),
    (52_000, &[192, 384, 768]),
    (64_000, &[256, 512, 1024]),
];
/// Regions with more sizes.
const EXTENDED_REGIONS: [&str; 12] = [
    "cn-hangzhou",
    "cn-shanghai",
    "cn-qingdao",
    "cn-beijing",
    "cn-zhangjiakou",
    "cn-huhehaote",
    "cn-wulanchabu",
    "cn-shenzhen",
    "cn-heyuan",
    "cn-guangzhou",
    "cn-chengdu",
    "ap-southeast-1",
];
/// CNY per vCPU and second.
const CPU_PRICE: f64 = 0.000_049;
/// CNY per GiB and second.
const MEMORY_PRICE: f64 = 0.000_006_13;
/// CNY per economy vCPU and second.
const ECONOMY_CPU_PRICE: f64 = 0.000_027;

/// What is asked for, in cores and GiB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) cpu: f64,
    pub(super) memory: f64,
}

/// A size as ECI counts it.
#[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
pub(super) fn cores_and_gib(size: Size) -> Asked {
    Asked { cpu: size.cpu_milli as f64 / 1000.0, memory: size.memory_bytes as f64 / f64::from(1_u32 << 30) }
}

fn size(cpu_milli: u64, half_gib: u64) -> Size {
    Size { cpu_milli, memory_bytes: half_gib << 29 }
}

/// Every size of a region; `spot` has no extended ones.
fn sizes(region: &str, spot: bool) -> Vec<Size> {
    let common = ALL_REGIONS.iter().flat_map(|(cpu, memory)| memory.iter().map(|half| size(*cpu, *half)));
    let mut all: Vec<Size> = common.collect();
    if EXTENDED_REGIONS.contains(&region) && !spot {
        let mut more =
            |cpu: u64, gib: &mut dyn Iterator<Item = u64>| all.extend(gib.map(|gib| size(cpu, gib * 2)));
        more(2000, &mut [6, 10, 12, 14].into_iter());
        more(4000, &mut [6, 10, 12, 14, 18, 20, 22, 24, 26, 28, 30].into_iter());
        more(6000, &mut (6..=48).step_by(2));
        more(8000, &mut (10..=62).step_by(2).filter(|gib| *gib != 16 && *gib != 32));
    }
    all
}

/// The cheapest size that holds what is asked for. With `exact`, above 4 vCPU the size must be one (the rule of 2021).
pub(super) fn round(asked: Asked, region: &str, spot: bool, exact: bool) -> Result<Size, EciError> {
    if spot && asked.cpu < 2.0 {
        let message = "The specified cpu and memory are not supported by spot instances: 2 vCPU at least.";
        return Err(EciError::new(400, "InvalidSpotCpuMemorySpec", message));
    }
    let fits = |size: &Size| {
        let have = cores_and_gib(*size);
        have.cpu + 1e-9 >= asked.cpu && have.memory + 1e-9 >= asked.memory
    };
    let all = sizes(region, spot);
    let best = all.into_iter().filter(fits).min_by(|a, b| {
        let key = |size: &Size| per_second(*size, false);
        key(a).total_cmp(&key(b)).then(a.cpu_milli.cmp(&b.cpu_milli))
    });
    let same = |size: &Size| {
        let have = cores_and_gib(*size);
        (have.cpu - asked.cpu).abs() < 1e-9 && (have.memory - asked.memory).abs() < 1e-9
    };
    best.filter(|size| !exact || asked.cpu <= 4.0 || same(size)).ok_or_else(|| {
        let message =
            format!("The specified CPU {} and memory {} are not supported.", asked.cpu, asked.memory);
        EciError::new(400, "InvalidParameter.CPU.Memory", message)
    })
}

/// The size of a machine type such as `ecs.c6.2xlarge`, by its family's ratio.
pub(super) fn machine(name: &str) -> Option<Size> {
    let mut parts = name.strip_prefix("ecs.")?.split('.');
    let (family, word) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    // GPU families name the cores after `-c`: gn6i-c4g1.xlarge.
    if let Some((base, shape)) = family.split_once("-c") {
        let cores: u64 = shape.split('g').next()?.parse().ok()?;
        return base
            .starts_with("gn")
            .then(|| size(cores * 1000, if base == "gn6v" { cores * 8 } else { cores * 15 / 2 }));
    }
    let cores: u64 = match word {
        "large" => 2,
        "xlarge" => 4,
        _ => word.strip_suffix("xlarge")?.parse::<u64>().ok()? * 4,
    };
    let ratio = match family.chars().next()? {
        'c' => 2,
        'g' => 4,
        'r' => 8,
        _ => return None,
    };
    Some(size(cores * 1000, cores * ratio * 2))
}

/// CNY per second by the list.
pub(super) fn per_second(size: Size, economy: bool) -> f64 {
    let Asked { cpu, memory } = cores_and_gib(size);
    cpu * if economy { ECONOMY_CPU_PRICE } else { CPU_PRICE } + memory * MEMORY_PRICE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cpu: f64, memory: f64, common: Option<(f64, f64)>, extended: Option<(f64, f64)>) {
        for (region, expected) in [("us-west-1", common), ("cn-hangzhou", extended)] {
            let got = round(Asked { cpu, memory }, region, false, false).ok().map(cores_and_gib);
            assert_eq!(got.map(|a| (a.cpu, a.memory)), expected, "{cpu}/{memory} in {region}");
        }
    }

    #[test]
    fn the_references_worked_examples() {
        check(0.1, 0.25, Some((0.25, 0.5)), Some((0.25, 0.5)));
        check(0.25, 2.0, Some((0.5, 2.0)), Some((0.5, 2.0)));
        check(1.0, 1.0, Some((1.0, 2.0)), Some((1.0, 2.0)));
        check(1.0, 3.0, Some((1.0, 4.0)), Some((1.0, 4.0)));
        check(3.0, 5.0, Some((4.0, 8.0)), Some((4.0, 6.0)));
        check(3.0, 12.0, Some((4.0, 16.0)), Some((4.0, 12.0)));
        check(5.0, 9.0, Some((8.0, 16.0)), Some((6.0, 10.0)));
        check(7.0, 13.0, Some((8.0, 16.0)), Some((8.0, 14.0)));
        check(8.0, 100.0, Some((16.0, 128.0)), Some((16.0, 128.0)));
        check(10.0, 20.0, Some((12.0, 24.0)), Some((12.0, 24.0)));
        check(33.0, 64.0, Some((52.0, 96.0)), Some((52.0, 96.0)));
        check(64.0, 513.0, None, None);
    }

    #[test]
    fn spot_is_large_and_common_and_the_old_rule_is_exact() {
        let ask = |cpu, memory, spot, exact| {
            round(Asked { cpu, memory }, "cn-hangzhou", spot, exact).map(cores_and_gib)
        };
        assert!(ask(1.0, 2.0, true, false).is_err_and(|e| e.code == "InvalidSpotCpuMemorySpec"));
        assert_eq!(ask(3.0, 5.0, true, false).map(|a| a.memory).ok(), Some(8.0));
        assert!(ask(5.0, 9.0, false, true).is_err_and(|e| e.code == "InvalidParameter.CPU.Memory"));
        assert_eq!(ask(3.0, 5.0, false, true).map(|a| a.memory).ok(), Some(6.0));
    }

    #[test]
    fn machines_and_prices() {
        for (name, expected) in [
            ("ecs.c6.xlarge", Some((4.0, 8.0))),
            ("ecs.g7.2xlarge", Some((8.0, 32.0))),
            ("ecs.r8y.large", Some((2.0, 16.0))),
            ("ecs.gn6v-c8g1.2xlarge", Some((8.0, 32.0))),
            ("ecs.gn6i-c4g1.xlarge", Some((4.0, 15.0))),
            ("ecs.x.large", None),
            ("c6.large", None),
        ] {
            assert_eq!(machine(name).map(cores_and_gib).map(|a| (a.cpu, a.memory)), expected, "{name}");
        }
        assert!((per_second(size(1000, 4), false) * 3600.0 - 0.2205).abs() < 1e-4);
        assert!((per_second(size(8000, 32), false) * 3600.0 - 1.7643).abs() < 1e-4);
    }
}
