//! Levels -1, 0 and 1 of single values times a fixed scale, shared by the binary and ternary kinds.

use std::fmt;

use crate::pointwise::Pointwise;
use crate::rounding::Rounding;

/// Rule that assigns a level to a value.
pub(crate) trait Pick: fmt::Debug + Copy {
    /// -1, 0 or 1.
    fn pick(&self, x: f32) -> f32;
}

/// Element-wise levels times a fixed scale.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels<P> {
    pub(crate) rule: P,
    pub(crate) alpha: f32,
    /// True if the gradient is that of tanh (no alpha given), else 1.
    pub(crate) tanh_slope: bool,
}

impl<P: Pick> Pointwise for Levels<P> {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, _: &mut R) -> f32 {
        self.rule.pick(x)
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
        if self.tanh_slope { libm::tanhf(x) } else { x }
    }

    #[inline(always)]
    fn slope(&self, x: f32, _: f32) -> f32 {
        tanh_or_one(self.tanh_slope, x)
    }

    fn slope_is_one(&self) -> bool {
        !self.tanh_slope
    }
}

/// The derivative of tanh, or 1.
#[inline(always)]
fn tanh_or_one(tanh: bool, x: f32) -> f32 {
    if tanh {
        let t = libm::tanhf(x);
        1.0 - t * t
    } else {
        1.0
    }
}

/// Derivatives of tanh, or ones.
pub(crate) fn write_slopes(xs: &[f32], slopes: Option<&mut [f32]>, tanh: bool) {
    if let Some(slopes) = slopes {
        slopes.iter_mut().zip(xs).for_each(|(g, &x)| *g = tanh_or_one(tanh, x));
    }
}
