//! Numbers for people: bytes, rates and times with a unit, three significant digits.

/// `12.6 MB`
pub(super) fn bytes(count: u64) -> String {
    scaled(count as f64, &["B", "kB", "MB", "GB", "TB"])
}

/// `403 Mbit/s`; a rate over no time is unknown.
pub(super) fn rate(bytes: u64, over_ns: u64) -> String {
    if over_ns == 0 {
        return "-".to_owned();
    }
    let bits_per_second = bytes as f64 * 8.0 * 1e9 / over_ns as f64;
    scaled(
        bits_per_second,
        &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"],
    )
}

/// Milliseconds with three decimals, without the unit.
pub(super) fn milliseconds(ns: u64) -> String {
    format!("{:.3}", ns as f64 / 1e6)
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // From 999.5 on, three digits would round to the next unit.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = match (unit, value) {
        (0, _) => 0,
        (_, v) if v < 9.995 => 2,
        (_, v) if v < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_kept() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.00 kB");
        assert_eq!(bytes(12_582_912), "12.6 MB");
        assert_eq!(bytes(200_000_000), "200 MB");
        assert_eq!(bytes(999_999), "1.00 MB");
    }

    #[test]
    fn rates_count_bits() {
        assert_eq!(rate(12_582_912, 250_000_000), "403 Mbit/s");
        assert_eq!(rate(1, 1_000_000_000), "8 bit/s");
        assert_eq!(rate(5, 0), "-");
    }

    #[test]
    fn milliseconds_show_microseconds() {
        assert_eq!(milliseconds(1_234_567), "1.235");
        assert_eq!(milliseconds(0), "0.000");
    }
}
