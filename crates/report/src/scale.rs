//! Axes and scales: ranges, positions and ticks.

use crate::number::Unit;

/// An axis of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Axis {
    /// Label.
    pub label: String,
    /// Makes the axis logarithmic and omits values of 0 and below.
    pub log: bool,
    /// Unit of the values.
    pub unit: Unit,
}

impl Axis {
    /// Creates a linear axis of plain numbers.
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: false, unit: Unit::Plain }
    }

    /// Creates a logarithmic axis of plain numbers.
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), log: true, unit: Unit::Plain }
    }

    /// Sets the unit.
    #[must_use]
    pub fn with_unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// Reports if a value can be shown on the axis.
    pub(crate) fn shows(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }
}

/// A range of values and its mapping to 0..=1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    unit: Unit,
}

/// Position of a tick in 0..=1, and its label.
pub(crate) type Tick = (f64, String);

impl Scale {
    /// Creates a scale that contains all of `values`, each of which `axis` can show, with some padding. Returns `None` if
    /// there are no values.
    pub(crate) fn around(axis: &Axis, values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values = values.into_iter();
        let first = values.next()?;
        let (low, high) = values.fold((first, first), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if axis.log { pad_log(low, high) } else { pad(low, high) };
        Some(Self { low, high, log: axis.log, unit: axis.unit })
    }

    /// Creates a scale that contains 0 and all values, with padding at the far ends only.
    pub(crate) fn from_zero(unit: Unit, values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) =
            values.into_iter().fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
        let air = 0.06 * (high / 2.0 - low / 2.0);
        let grow =
            |end: f64, by: f64| if end == 0.0 { 0.0 } else { (end + 2.0 * by).clamp(f64::MIN, f64::MAX) };
        let (low, high) = (grow(low, -air), grow(high, air));
        let high = if high > low { high } else { 1.0 };
        Self { low, high, log: false, unit }
    }

    /// Returns the position of `value`: 0 at the lower end, 1 at the upper end.
    pub(crate) fn position(&self, value: f64) -> f64 {
        let place = if self.log {
            (value.ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            // Halved, because the difference of two large values may overflow.
            (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0)
        };
        if place.is_finite() { place.clamp(-1.0, 2.0) } else { 0.5 }
    }

    /// Returns about `most` ticks at most, ascending.
    pub(crate) fn ticks(&self, most: usize) -> Vec<Tick> {
        let most = most.max(2);
        if self.log && self.high / self.low >= 4.0 { self.log_ticks(most) } else { self.even_ticks(most) }
    }

    fn even_ticks(&self, most: usize) -> Vec<Tick> {
        let rough = (self.high / 2.0 - self.low / 2.0) / most as f64 * 2.0;
        // Powers of two for bytes, otherwise 1, 2, 2.5 or 5 times a power of ten.
        let step = if self.unit == Unit::Bytes && rough >= 1.0 {
            2_f64.powi(rough.log2().ceil() as i32)
        } else {
            let decade = 10_f64.powf(rough.log10().floor());
            let factor =
                [1.0, 2.0, 2.5, 5.0].into_iter().find(|f| f * decade >= rough * 0.999).unwrap_or(10.0);
            factor * decade
        };
        let (first, last) = ((self.low / step).ceil(), (self.high / step).floor());
        let count = last - first;
        if !(step.is_normal() && count.is_finite() && (0.0..=100.0).contains(&count)) {
            // The range is below the resolution of f64: label its ends only.
            return vec![(0.0, self.unit.value(self.low)), (1.0, self.unit.value(self.high))];
        }
        let largest = self.low.abs().max(self.high.abs());
        (0..=count as usize)
            .map(|i| (first + i as f64) * step)
            .map(|value| (self.position(value), self.unit.tick(value, step, largest)))
            .collect()
    }

    fn log_ticks(&self, most: usize) -> Vec<Tick> {
        let base: f64 = if self.unit == Unit::Bytes { 2.0 } else { 10.0 };
        let (low, high) = (self.low.log(base), self.high.log(base));
        let powers = high.floor() - low.ceil() + 1.0;
        let mut values = Vec::new();
        if base > 2.0 && powers * 3.0 <= most as f64 + 1.0 {
            for power in low.floor() as i32..=high.ceil() as i32 {
                values.extend([1.0, 2.0, 5.0].map(|f| f * base.powi(power)));
            }
        } else {
            let every = (powers / most as f64).ceil().max(1.0) as i32;
            values.extend(
                (low.floor() as i32..=high.ceil() as i32)
                    .filter(|power| power.rem_euclid(every) == 0)
                    .map(|power| base.powi(power)),
            );
        }
        values.retain(|v| (self.low..=self.high).contains(v));
        values.into_iter().map(|v| (self.position(v), self.log_label(v))).collect()
    }

    fn log_label(&self, value: f64) -> String {
        match self.unit {
            Unit::Percent => {
                let decimals = (0..8).find(|&d| value * 10_f64.powi(d + 2) >= 0.999).unwrap_or(8);
                crate::number::percent(value, decimals as usize)
            }
            Unit::Plain | Unit::Bytes => self.unit.value(value),
        }
    }
}

fn pad(low: f64, high: f64) -> (f64, f64) {
    let half = high / 2.0 - low / 2.0;
    let air = if half > 0.0 { 0.1 * half } else { 0.1 * high.abs() };
    let (low, high) = ((low - air).max(f64::MIN), (high + air).min(f64::MAX));
    if high > low { (low, high) } else { (low - 1.0, high + 1.0) }
}

fn pad_log(low: f64, high: f64) -> (f64, f64) {
    let factor = ((high.ln() - low.ln()) * 0.05).exp();
    let factor = if factor > 1.001 { factor } else { 1.5 };
    ((low / factor).max(f64::MIN_POSITIVE), (high * factor).clamp(f64::MIN_POSITIVE * 4.0, f64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Axis, Scale};
    use crate::number::Unit;

    fn labels(axis: &Axis, values: [f64; 2], most: usize) -> Vec<String> {
        let scale = Scale::around(axis, values).expect("two values make a range");
        scale.ticks(most).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Axis::linear(""), [0.0, 10.0], 6), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(
            labels(&Axis::linear("").with_unit(Unit::Percent), [0.9, 1.0], 5),
            ["90.0%", "92.5%", "95.0%", "97.5%", "100.0%"]
        );
        assert_eq!(labels(&Axis::log(""), [1.0, 1e6], 8), ["1", "10", "100", "1k", "10k", "100k", "1M"]);
        assert_eq!(
            labels(&Axis::log("").with_unit(Unit::Bytes), [1024.0, 65_536.0], 8),
            ["1 KiB", "2 KiB", "4 KiB", "8 KiB", "16 KiB", "32 KiB", "64 KiB"]
        );
    }

    #[test]
    fn extreme_ranges_have_ticks_inside() {
        let ranges = [
            [f64::MIN, f64::MAX],
            [0.0, 5e-324],
            [1e16, 1e16 + 2.0],
            [-1e-300, 1e-300],
            [f64::MAX, f64::MAX],
            [0.0, 0.0],
        ];
        for range in ranges {
            let scale = Scale::around(&Axis::linear(""), range).expect("two values make a range");
            let ticks = scale.ticks(6);
            assert!(!ticks.is_empty() && ticks.len() < 102, "{range:?}: {ticks:?}");
            assert!(ticks.iter().all(|t| (-0.001..=1.001).contains(&t.0)), "{range:?}: {ticks:?}");
        }
        for range in [[5e-324, f64::MAX], [5e-324, 5e-324], [f64::MAX, f64::MAX], [3.0, 3.0]] {
            let scale = Scale::around(&Axis::log(""), range).expect("two values make a range");
            assert!(!scale.ticks(6).is_empty(), "{range:?}");
        }
    }
}
