//! Rules from integer sums to codes.

use crate::pointwise::{Pointwise, Squash};
use crate::sum::{multiplier, plain_rounding, shift_down, shifts};

/// Largest number of thresholds of a rule.
const MOST_THRESHOLDS: i64 = 1 << 12;

/// Rule from an integer to a code.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Requantize {
    /// The integer is the code.
    Keep,
    /// Division by a power of two, rounded half to even, clipped.
    Shift { shift: i32, low: i32, high: i32 },
    /// Multiplication by `mantissa / 2^shift`, rounded half to even, clipped.
    Multiplier { mantissa: i64, shift: i32, low: i32, high: i32 },
    /// `first`, plus `step` for each threshold reached; `step` is 1 or -1.
    Thresholds { first: i32, step: i32, thresholds: Vec<i64> },
}

impl Requantize {
    /// Derives the rule for integers up to `most` in magnitude in units of `step_size`. `channel` selects the
    /// constants of functions that differ by channel; `multiplies` allows multipliers for scales that are no powers
    /// of two.
    pub(super) fn new(
        pointwise: &[Pointwise],
        step_size: f64,
        most: i64,
        channel: usize,
        multiplies: bool,
    ) -> Result<Self, String> {
        if let Some((q, unit)) = plain_rounding(pointwise) {
            let (low, high) = (q.low, q.high);
            if let Some(&[shift]) = shifts(&[step_size], unit).as_deref() {
                return Ok(Self::Shift { shift, low, high });
            }
            if multiplies && let Some((mantissa, shift)) = multiplier(step_size, unit) {
                return Ok(Self::Multiplier { mantissa, shift, low, high });
            }
        }
        thresholds(pointwise, most, channel, |sum| (sum as f64 * step_size) as f32)
    }

    /// Derives the rule for the mean of `count` elements from their sum in units of `step_size`.
    pub(super) fn of_mean(
        pointwise: &[Pointwise],
        step_size: f64,
        most: i64,
        count: usize,
    ) -> Result<Self, String> {
        if count.is_power_of_two() {
            return Self::new(pointwise, step_size / count as f64, most, 0, false);
        }
        // Pooling multiplies by the reciprocal in f32, so the thresholds do too.
        thresholds(pointwise, most, 0, |sum| (sum as f64 * step_size) as f32 * (1.0 / count as f32))
    }

    /// Returns true if codes equal those of training in `f32`.
    pub(super) const fn is_exact(&self) -> bool {
        !matches!(self, Self::Multiplier { .. })
    }

    /// Returns the code of an integer.
    pub(super) fn code(&self, value: i64) -> i32 {
        let limit = |v: i128, low: i32, high: i32| v.clamp(i128::from(low), i128::from(high)) as i32;
        match self {
            Self::Keep => value as i32,
            Self::Shift { shift, low, high } => limit(shift_down(i128::from(value), *shift), *low, *high),
            Self::Multiplier { mantissa, shift, low, high } => {
                limit(shift_down(i128::from(value) * i128::from(*mantissa), *shift), *low, *high)
            }
            Self::Thresholds { first, step, thresholds } => {
                first + step * thresholds.partition_point(|t| *t <= value) as i32
            }
        }
    }
}

/// Returns the code of functions that end in a quantizer.
fn code_of(pointwise: &[Pointwise], channel: usize, x: f32) -> Option<i32> {
    let (Pointwise::Quantize(last), before) = pointwise.split_last()? else { return None };
    Some(last.code(before.iter().fold(x, |x, function| function.apply(x, channel))))
}

/// Derives thresholds of monotone functions by bisection.
fn thresholds(
    pointwise: &[Pointwise],
    most: i64,
    channel: usize,
    value: impl Fn(i64) -> f32,
) -> Result<Requantize, String> {
    let turns = pointwise.iter().any(|function| match function {
        Pointwise::HardSwish | Pointwise::Softmax { .. } => true,
        Pointwise::Quantize(q) => matches!(q.squash, Squash::HardSwish { .. }),
        Pointwise::LeakyRelu { slope } => *slope < 0.0,
        Pointwise::Elu { alpha } => *alpha < 0.0,
        _ => false,
    });
    if turns {
        return Err("its activation is not monotone, so thresholds cannot give its codes".to_owned());
    }
    let code = |sum: i64| code_of(pointwise, channel, value(sum));
    let (Some(first), Some(last)) = (code(-most), code(most)) else {
        return Err("its activation does not end in a quantizer".to_owned());
    };
    let step = if last < first { -1 } else { 1 };
    let count = i64::from((last - first) * step);
    if count > MOST_THRESHOLDS {
        return Err(format!(
            "its activation has {count} levels, want {MOST_THRESHOLDS} at most or a plain one"
        ));
    }
    let mut thresholds = Vec::with_capacity(count as usize);
    let mut from = -most;
    for k in 1..=count as i32 {
        // Bisection for the smallest integer whose code is at least k steps from the first.
        let (mut low, mut high) = (from, most);
        while low < high {
            let middle = low + (high - low) / 2;
            let reached = code(middle).is_some_and(|c| (c - first) * step >= k);
            if reached {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        thresholds.push(low);
        from = low;
    }
    Ok(Requantize::Thresholds { first, step, thresholds })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pointwise::{Quantization, Rounding};

    const ROUND: Quantization = Quantization {
        squash: Squash::None,
        rounding: Rounding::Nearest { unit: 0.25 },
        low: -8,
        high: 7,
        step_size: 0.25,
        bound: None,
        bits: 4,
    };

    #[test]
    fn every_rule_gives_the_codes_of_the_functions() {
        let cases: [&[Pointwise]; 5] = [
            &[Pointwise::Quantize(ROUND)],
            &[Pointwise::Relu, Pointwise::Quantize(ROUND)],
            &[Pointwise::Tanh, Pointwise::Quantize(ROUND)],
            &[Pointwise::Quantize(Quantization { squash: Squash::Sigmoid, ..ROUND })],
            &[Pointwise::Quantize(Quantization { rounding: Rounding::Sign, low: -1, high: 1, ..ROUND })],
        ];
        for pointwise in cases {
            for step_size in [0.031_25, -0.031_25] {
                let rule = Requantize::new(pointwise, step_size, 500, 0, false).expect("a rule");
                for sum in -500..=500_i64 {
                    let x = (sum as f64 * step_size) as f32;
                    // A sign has no level 0: its two codes are two apart.
                    assert_eq!(
                        Some(rule.code(sum)),
                        code_of(pointwise, 0, x),
                        "{pointwise:?} {step_size} {sum}"
                    );
                }
            }
        }
    }

    #[test]
    fn multipliers_are_at_most_one_level_off_and_rarely() {
        let mut off = 0;
        for step_size in [0.013, 0.1, 0.0047, 0.77] {
            let rule =
                Requantize::new(&[Pointwise::Quantize(ROUND)], step_size, 2000, 0, true).expect("a rule");
            assert!(!rule.is_exact());
            for sum in -2000..=2000_i64 {
                let want = ROUND.code((sum as f64 * step_size) as f32);
                let got = rule.code(sum);
                assert!((got - want).abs() <= 1, "{step_size} {sum}");
                off += i32::from(got != want);
            }
        }
        assert!(off <= 20, "{off}");
    }
}
