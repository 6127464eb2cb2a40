//! Integer sums of products, and their conversion back to codes.

use crate::kernel::Kernel;
use crate::network::{Element, Product};
use crate::pointwise::{Pointwise, Quantization, Rounding, Squash};

/// Extra bits for a bias that is no multiple of the unit of its layer.
pub(crate) const INEXACT_LIFT: u32 = 8;

/// Largest number of bits that sums are shifted up by for a finer bias.
const MOST_LIFT: u32 = 12;

/// Integer form of a product: `(sum of level * code) * 2^lift + bias`, in units of `step_size`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IntegerSum {
    pub(crate) lift: u32,
    /// One per output; empty without a bias.
    pub(crate) bias: Vec<i64>,
    /// True if `bias` is exact, not rounded.
    pub(crate) is_exact: bool,
    /// Upper bound of the magnitude of every sum.
    pub(crate) most: i64,
    /// One unit, or one per output.
    pub(crate) step_size: Vec<f64>,
}

/// Returns the integer sum of a product; None if kernel or input are no integers. A bias that is no multiple of the
/// unit is rounded after a shift by `inexact_lift` bits.
pub(crate) fn integer_sum(product: &Product, input: Element, inexact_lift: u32) -> Option<IntegerSum> {
    let (Kernel::Integer(kernel), Element::Code { low, high, unit }) = (&product.kernel, input) else {
        return None;
    };
    let step_size: Vec<f64> =
        kernel.scales.iter().map(|s| f64::from(*s) * f64::from(kernel.unit) * f64::from(unit)).collect();
    let at = |f: usize| step_size[f % step_size.len()];
    let mut magnitude = vec![0_i64; product.outputs];
    for (i, level) in kernel.levels.iter().enumerate() {
        magnitude[i % product.outputs] += i64::from(level.unsigned_abs());
    }
    let most_code = i64::from(low.unsigned_abs().max(high.unsigned_abs()));
    let largest = magnitude.iter().max().copied().unwrap_or(0) * most_code;

    let bias = product.bias.as_deref().unwrap_or_default();
    let scaled = |lift: u32| {
        let factor = f64::from(1_u32 << lift);
        bias.iter().enumerate().map(move |(f, b)| f64::from(*b) / at(f) * factor)
    };
    // The smallest shift that makes every bias an integer keeps sums narrow.
    let exact = (0..=MOST_LIFT).find(|&lift| scaled(lift).all(|b| b.fract() == 0.0));
    let lift = exact.unwrap_or(inexact_lift);
    let bias: Vec<i64> = scaled(lift).map(|b| b.round_ties_even() as i64).collect();
    let largest_bias = bias.iter().map(|b| b.unsigned_abs()).max().unwrap_or(0);
    let most = (largest as u128).saturating_mul(1 << lift) + u128::from(largest_bias);
    // 2^62 leaves room for one more doubling in the rounding of a shift.
    let most = i64::try_from(most).ok().filter(|most| *most <= 1 << 62)?;
    let per_lift = f64::from(1_u32 << lift);
    Some(IntegerSum {
        lift,
        bias,
        is_exact: exact.is_some(),
        most,
        step_size: step_size.iter().map(|w| w / per_lift).collect(),
    })
}

impl IntegerSum {
    /// Returns true if every sum fits into 32 bits.
    pub(crate) const fn fits_32(&self) -> bool {
        self.most < 1 << 31
    }
}

/// Returns the quantizer if rounding, optionally after a rectifier, is all that happens to a sum. The rectifier
/// limits its range.
pub(crate) fn plain_rounding(pointwise: &[Pointwise]) -> Option<(Quantization, f32)> {
    let (q, is_rectified) = match pointwise {
        [Pointwise::Quantize(q)] => (*q, false),
        [Pointwise::Relu, Pointwise::Quantize(q)] => (*q, true),
        _ => return None,
    };
    let Rounding::Nearest { unit } = q.rounding else { return None };
    if q.squash != Squash::None || q.bound.is_some() {
        return None;
    }
    let low = if is_rectified { q.low.max(0) } else { q.low };
    Some((Quantization { low, ..q }, unit))
}

/// Returns the right shifts from sums in units of `step_size` to multiples of `unit` (left shifts if negative); None
/// if a ratio is no power of two.
pub(crate) fn shifts(step_size: &[f64], unit: f32) -> Option<Vec<i32>> {
    step_size
        .iter()
        .map(|w| {
            let shift = -(w / f64::from(unit)).log2();
            let is_power = shift.fract() == 0.0 && (-shift).exp2() * f64::from(unit) == *w;
            (is_power && shift.abs() <= 30.0).then_some(shift as i32)
        })
        .collect()
}

/// Returns `step_size / unit` as `mantissa / 2^shift` with a 30-bit mantissa; None if the shift is out of range.
pub(crate) fn multiplier(step_size: f64, unit: f32) -> Option<(i64, i32)> {
    let ratio = step_size / f64::from(unit);
    // The mantissa gets 30 bits: ratio * 2^shift lies in 2^29 to 2^30.
    let shift = 29 - ratio.abs().log2().floor() as i32;
    (1..=61).contains(&shift).then(|| ((ratio * f64::from(shift).exp2()).round() as i64, shift))
}

/// Returns `value / 2^shift` rounded half to even; multiplies if the shift is negative.
pub(crate) fn shift_down(value: i128, shift: i32) -> i128 {
    if shift <= 0 {
        return value << -shift;
    }
    let floor = value >> shift;
    let rest = value - (floor << shift);
    let half = 1_i128 << (shift - 1);
    if rest > half || (rest == half && floor & 1 == 1) { floor + 1 } else { floor }
}

#[cfg(test)]
mod tests {
    use super::shift_down;

    #[test]
    fn shifts_round_half_to_even() {
        for value in -1000..1000_i128 {
            for shift in 0..6 {
                let want = (value as f64 / f64::from(1 << shift)).round_ties_even() as i128;
                assert_eq!(shift_down(value, shift), want, "{value} >> {shift}");
            }
        }
        assert_eq!(shift_down(-3, -2), -12);
    }
}
