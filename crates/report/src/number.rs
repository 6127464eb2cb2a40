//! Formatting of numbers for people.

/// Unit of an axis, which determines its ticks and their format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Plain number, with an SI prefix from thousands on: `1.2k`, `3M`.
    #[default]
    Plain,
    /// Fraction, shown as percent: 0.5 is `50%`.
    Percent,
    /// Bytes, with ticks at powers of two: 65536 is `64 KiB`.
    Bytes,
}

const SI: [(f64, &str); 6] = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
const BINARY: [(f64, &str); 6] = [
    (1_152_921_504_606_846_976.0, "EiB"),
    (1_125_899_906_842_624.0, "PiB"),
    (1_099_511_627_776.0, "TiB"),
    (1_073_741_824.0, "GiB"),
    (1_048_576.0, "MiB"),
    (1_024.0, "KiB"),
];

/// Formats a count or measure with three significant digits: `0.0123`, `987`, `1.23k`, `45.6M`.
///
/// ```
/// use tinsmith_report::number::short;
/// assert_eq!([short(1234.0), short(0.5), short(999_999.0)], ["1.23k", "0.5", "1M"]);
/// ```
#[must_use]
pub fn short(value: f64) -> String {
    if !value.is_finite() {
        return "not finite".to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        return scientific(value);
    }
    // A value that rounds to 1000 of one prefix is 1 of the next.
    match SI.iter().find(|(size, _)| magnitude >= size * 0.9995) {
        Some((size, prefix)) => format!("{}{prefix}", three_digits(value / size)),
        None => three_digits(value),
    }
}

/// Formats bytes: `312 B`, `1.5 KiB`, `64 KiB`.
///
/// ```
/// use tinsmith_report::number::bytes;
/// assert_eq!([bytes(312.0), bytes(65536.0), bytes(1536.0)], ["312 B", "64 KiB", "1.5 KiB"]);
/// ```
#[must_use]
pub fn bytes(value: f64) -> String {
    if !value.is_finite() {
        return "not finite".to_owned();
    }
    let magnitude = value.abs();
    if magnitude >= 1e21 {
        return format!("{} B", scientific(value));
    }
    match BINARY.iter().find(|(size, _)| magnitude >= *size) {
        Some((size, prefix)) => format!("{} {prefix}", three_digits(value / size)),
        None => format!("{} B", three_digits(value)),
    }
}

/// Formats a fraction as percent, with `decimals` decimal places.
///
/// ```
/// assert_eq!(tinsmith_report::number::percent(0.98765, 1), "98.8%");
/// ```
#[must_use]
pub fn percent(fraction: f64, decimals: usize) -> String {
    if !fraction.is_finite() {
        return "not finite".to_owned();
    }
    let value = fraction * 100.0;
    if value.abs() < 1e15 {
        format!("{}%", fixed(value, decimals))
    } else {
        format!("{}%", scientific(value))
    }
}

impl Unit {
    /// Formats a single value.
    pub(crate) fn value(self, value: f64) -> String {
        match self {
            Self::Plain => short(value),
            Self::Percent => percent(value, 2),
            Self::Bytes => bytes(value),
        }
    }

    /// Formats a tick of an axis with ticks `step` apart and magnitudes up to about `largest`. All ticks of an axis get the
    /// same prefix and the same number of decimals.
    pub(crate) fn tick(self, value: f64, step: f64, largest: f64) -> String {
        // Rounding errors leave a tick at 0 slightly off.
        let value = if value.abs() < step * 1e-6 { 0.0 } else { value };
        let (scaled, step, suffix) = match self {
            Self::Bytes => {
                let (size, prefix) = BINARY.iter().find(|b| largest >= b.0).copied().unwrap_or((1.0, "B"));
                (value / size, step / size, format!(" {prefix}"))
            }
            Self::Percent => (value * 100.0, step * 100.0, "%".to_owned()),
            Self::Plain => {
                let found = SI.iter().find(|s| largest >= s.0 && (s.0 > 1e3 || largest >= 1e4));
                let (size, prefix) = found.copied().unwrap_or((1.0, ""));
                (value / size, step / size, prefix.to_owned())
            }
        };
        if scaled == 0.0 {
            return if self == Self::Percent { "0%".to_owned() } else { "0".to_owned() };
        }
        if step < 1e-4 || scaled.abs() >= 1e6 {
            return format!("{}{suffix}", scientific(scaled));
        }
        let decimals = (0..6).find(|&d| is_whole(step * 10_f64.powi(d))).unwrap_or(6);
        format!("{}{suffix}", fixed(scaled, decimals as usize))
    }
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-6 * value.abs().max(1.0)
}

fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    // Drops the sign of a value that rounds to zero.
    if text.starts_with('-') && text.chars().all(|c| matches!(c, '-' | '0' | '.')) {
        text[1..].to_owned()
    } else {
        text
    }
}

fn three_digits(value: f64) -> String {
    let magnitude = value.abs();
    let decimals = match magnitude {
        m if m == 0.0 || m >= 99.95 => 0,
        m if m >= 9.995 => 1,
        m if m >= 0.9995 => 2,
        m if m >= 0.09995 => 3,
        m if m >= 0.009_995 => 4,
        _ => 6,
    };
    let text = fixed(value, decimals);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn scientific(value: f64) -> String {
    let text = format!("{value:.1e}");
    text.replacen(".0e", "e", 1)
}

#[cfg(test)]
mod tests {
    use super::{Unit, bytes, short};

    #[test]
    fn short_numbers() {
        let cases = [
            (0.0, "0"),
            (-1500.0, "-1.5k"),
            (0.012_34, "0.0123"),
            (1e-7, "1e-7"),
            (999.96, "1k"),
            (12.0, "12"),
            (2.5e30, "2.5e30"),
        ];
        for (value, want) in cases {
            assert_eq!(short(value), want);
        }
        assert_eq!(bytes(1e6), "977 KiB");
        assert_eq!(short(f64::NAN), "not finite");
    }

    #[test]
    fn ticks_of_one_axis_share_their_format() {
        assert_eq!(Unit::Plain.tick(20_000.0, 5000.0, 30_000.0), "20k");
        assert_eq!(Unit::Plain.tick(2500.0, 2500.0, 10_000.0), "2.5k");
        assert_eq!(Unit::Plain.tick(0.25, 0.05, 0.4), "0.25");
        assert_eq!(Unit::Percent.tick(0.975, 0.005, 1.0), "97.5%");
        assert_eq!(Unit::Bytes.tick(32_768.0, 16_384.0, 65_536.0), "32 KiB");
        assert_eq!(Unit::Plain.tick(1e-17, 0.1, 1.0), "0");
    }
}
