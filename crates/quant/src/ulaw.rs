//! `quantized_ulaw`: levels dense near 0 and sparse far from it.

use crate::pointwise::Pointwise;
use crate::rounding::{Rounding, limit};
use crate::tanh_sigmoid::{hard_sigmoid, hard_sigmoid_slope};

/// `span * clip(sign(r) ln(1 + u |r|) / ln(1 + u), low, high)` with `r = 2 round(hard_sigmoid(x / span) m) / m - 1`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MuLaw {
    /// m = 2^(bits - 1).
    pub(crate) levels: f32,
    /// 2^integer.
    pub(crate) span: f32,
    pub(crate) low: f32,
    pub(crate) high: f32,
    pub(crate) u: f32,
    /// ln(1 + u).
    pub(crate) log_1_u: f32,
}

impl MuLaw {
    /// r of a code, in -1..=1.
    #[inline(always)]
    fn position(&self, code: f32) -> f32 {
        2.0 * (code / self.levels) - 1.0
    }

    #[inline(always)]
    fn compand(&self, r: f32) -> f32 {
        if r == 0.0 { 0.0 } else { (libm::logf(1.0 + self.u * r.abs()) / self.log_1_u).copysign(r) }
    }
}

impl Pointwise for MuLaw {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32 {
        rounding.round(hard_sigmoid(x / self.span) * self.levels)
    }

    /// 0..=m; m / 2 is the code of 0.
    #[inline(always)]
    fn code(&self, raw: f32) -> f32 {
        raw
    }

    #[inline(always)]
    fn level(&self, code: f32) -> f32 {
        self.span * limit(self.compand(self.position(code)), self.low, self.high)
    }

    #[inline(always)]
    fn smooth(&self, x: f32) -> f32 {
        self.span * self.compand(2.0 * hard_sigmoid(x / self.span) - 1.0)
    }

    #[inline(always)]
    fn slope(&self, x: f32, raw: f32) -> f32 {
        let r = self.position(raw);
        let companded = self.compand(r);
        // At 0 the derivative of |r| is taken as 0, as in the reference.
        if r == 0.0 || !(self.low..=self.high).contains(&companded) {
            return 0.0;
        }
        self.u / ((1.0 + self.u * r.abs()) * self.log_1_u) * 2.0 * hard_sigmoid_slope(x / self.span)
    }
}
