//! Amounts as a user writes them in a manifest.

use super::GI;

/// Milli-cores as cores: `1250` is `1.25`.
pub fn cores(milli: u64) -> String {
    decimal(milli, 1000)
}

/// Bytes in the largest unit that shows them with at most three decimals, else in bytes.
pub fn memory(bytes: u64) -> String {
    const MI: u64 = 1 << 20;
    let exact = |unit: u64| u128::from(bytes) * 1000 % u128::from(unit) == 0;
    if bytes >= GI / 10 && exact(GI) {
        format!("{}Gi", decimal(bytes, GI))
    } else if bytes >= MI && exact(MI) {
        format!("{}Mi", decimal(bytes, MI))
    } else {
        format!("{bytes} bytes")
    }
}

fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    let thousandths = u128::from(rest) * 1000 / u128::from(unit);
    let text = format!("{whole}.{thousandths:03}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
