//! `quantized_bits` with a fixed scale (for fitted scales see [`scale`](crate::scale)), and the hard swish before it.

use crate::pointwise::Pointwise;
use crate::rounding::{Rounding, limit, sign_up};

/// `alpha * unit * clip(round(x / unit), low, high)`, unit `2^(integer - bits + keep_negative)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixedPoint {
    pub(crate) unit: f32,
    /// 1 / unit, exact since both are powers of two.
    pub(crate) per_unit: f32,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) alpha: f32,
}

impl Pointwise for FixedPoint {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32 {
        rounding.round(x * self.per_unit)
    }

    #[inline(always)]
    fn code(&self, raw: f32) -> f32 {
        limit(raw, self.low, self.high)
    }

    #[inline(always)]
    fn level(&self, code: f32) -> f32 {
        self.alpha * (code * self.unit)
    }

    #[inline(always)]
    fn smooth(&self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn slope(&self, _: f32, _: f32) -> f32 {
        1.0
    }

    fn slope_is_one(&self) -> bool {
        true
    }
}

/// Fixed point with a sign bit only: `alpha` times -1 or +1, +1 at 0, independent of `integer`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignBit {
    pub(crate) alpha: f32,
}

impl Pointwise for SignBit {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, _: &mut R) -> f32 {
        sign_up(x)
    }

    #[inline(always)]
    fn code(&self, raw: f32) -> f32 {
        raw
    }

    #[inline(always)]
    fn level(&self, code: f32) -> f32 {
        self.alpha * code
    }

    #[inline(always)]
    fn smooth(&self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn slope(&self, _: f32, _: f32) -> f32 {
        1.0
    }

    fn slope_is_one(&self) -> bool {
        true
    }
}

/// `x * min(relu(x + shift), bound) / bound` (hard swish; Howard 2019, arXiv 1905.02244, with 3 and 6).
#[derive(Debug, Clone, Copy)]
pub(crate) struct HardSwish {
    pub(crate) shift: f32,
    pub(crate) bound: f32,
}

impl HardSwish {
    #[inline(always)]
    pub(crate) fn value(self, x: f32) -> f32 {
        x * limit(x + self.shift, 0.0, self.bound) / self.bound
    }

    #[inline(always)]
    pub(crate) fn slope(self, x: f32) -> f32 {
        let shifted = x + self.shift;
        let gate_slope = if shifted > 0.0 && shifted <= self.bound { x } else { 0.0 };
        let per_bound = 1.0 / self.bound;
        limit(shifted, 0.0, self.bound) * per_bound + gate_slope * per_bound
    }
}

/// A quantizer applied to a hard swish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Swished<P> {
    pub(crate) swish: HardSwish,
    pub(crate) inner: P,
}

impl<P: Pointwise> Pointwise for Swished<P> {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32 {
        self.inner.raw(self.swish.value(x), rounding)
    }

    #[inline(always)]
    fn code(&self, raw: f32) -> f32 {
        self.inner.code(raw)
    }

    #[inline(always)]
    fn level(&self, code: f32) -> f32 {
        self.inner.level(code)
    }

    #[inline(always)]
    fn smooth(&self, x: f32) -> f32 {
        self.swish.value(x)
    }

    #[inline(always)]
    fn slope(&self, x: f32, _: f32) -> f32 {
        self.swish.slope(x)
    }
}
