//! Classes of sizes for the memory of stock-outs: coarse enough that one refusal tells about its neighbours, fine enough
//! that a sold-out GPU does not close a zone for small pods.

use crate::resources::Resources;

/// The class of a pod's size: `gpu-<n>`, or `cpu-<cores rounded up to a power of two>`.
pub fn class(requests: Resources) -> String {
    if requests.gpu > 0 {
        return format!("gpu-{}", requests.gpu);
    }
    format!("cpu-{}", requests.cpu_milli.div_ceil(1000).max(1).next_power_of_two())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let check = |cpu_milli, gpu, wanted: &str| {
            assert_eq!(class(Resources { cpu_milli, gpu, ..Resources::default() }), wanted);
        };
        check(0, 0, "cpu-1");
        check(250, 0, "cpu-1");
        check(1_001, 0, "cpu-2");
        check(5_000, 0, "cpu-8");
        check(5_000, 2, "gpu-2");
    }
}
