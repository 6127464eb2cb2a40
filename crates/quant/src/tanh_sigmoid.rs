//! `quantized_tanh` and `quantized_sigmoid`, and the piecewise linear functions that QKeras gives these names.

use crate::pointwise::Pointwise;
use crate::rounding::{Rounding, limit, round_half_even};

/// `clip(x / 2 + 1/2, 0, 1)`, QKeras' hard sigmoid (Keras' has the slope 0.2).
#[inline(always)]
#[must_use]
pub fn hard_sigmoid(x: f32) -> f32 {
    limit(0.5 * x + 0.5, 0.0, 1.0)
}

/// The derivative of [`hard_sigmoid`]: 1/2 from -1 to 1, both included, else 0.
#[inline(always)]
#[must_use]
pub fn hard_sigmoid_slope(x: f32) -> f32 {
    let unlimited = 0.5 * x + 0.5;
    if (0.0..=1.0).contains(&unlimited) { 0.5 } else { 0.0 }
}

/// `clip(0.1875 x + 1/2, 0, 1)`.
#[inline(always)]
#[must_use]
pub fn smooth_sigmoid(x: f32) -> f32 {
    limit(0.1875 * x + 0.5, 0.0, 1.0)
}

/// The derivative of [`smooth_sigmoid`].
#[inline(always)]
#[must_use]
pub fn smooth_sigmoid_slope(x: f32) -> f32 {
    let unlimited = 0.1875 * x + 0.5;
    if (0.0..=1.0).contains(&unlimited) { 0.1875 } else { 0.0 }
}

/// [`hard_sigmoid`] rounded to 0 or 1 (half to even: 0 at 0); its gradient is that of the hard sigmoid.
#[inline(always)]
#[must_use]
pub fn binary_sigmoid(x: f32) -> f32 {
    round_half_even(hard_sigmoid(x))
}

/// `2 hard_sigmoid(x) - 1`, which is `clip(x, -1, 1)`.
#[inline(always)]
#[must_use]
pub fn hard_tanh(x: f32) -> f32 {
    2.0 * hard_sigmoid(x) - 1.0
}

/// `2 smooth_sigmoid(x) - 1`.
#[inline(always)]
#[must_use]
pub fn smooth_tanh(x: f32) -> f32 {
    2.0 * smooth_sigmoid(x) - 1.0
}

/// `2 binary_sigmoid(x) - 1`: -1 or 1.
#[inline(always)]
#[must_use]
pub fn binary_tanh(x: f32) -> f32 {
    2.0 * binary_sigmoid(x) - 1.0
}

/// The logistic function.
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

/// Function applied before rounding.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Squash {
    HardTanh,
    Tanh,
    HardSigmoid,
    Sigmoid,
}

/// `clip(round(p(x) m) / m, low, high)` for a squashing function p. The gradient goes through p and is 0 outside of
/// the limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Squashed {
    pub(crate) squash: Squash,
    pub(crate) levels: f32,
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl Pointwise for Squashed {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32 {
        rounding.round(self.smooth(x) * self.levels)
    }

    #[inline(always)]
    fn code(&self, raw: f32) -> f32 {
        limit(raw, self.low, self.high)
    }

    #[inline(always)]
    fn level(&self, code: f32) -> f32 {
        code / self.levels
    }

    #[inline(always)]
    fn smooth(&self, x: f32) -> f32 {
        match self.squash {
            Squash::HardTanh => hard_tanh(x),
            Squash::Tanh => libm::tanhf(x),
            Squash::HardSigmoid => hard_sigmoid(x),
            Squash::Sigmoid => sigmoid(x),
        }
    }

    #[inline(always)]
    fn slope(&self, x: f32, raw: f32) -> f32 {
        if !(self.low..=self.high).contains(&raw) {
            return 0.0;
        }
        match self.squash {
            Squash::HardTanh => 2.0 * hard_sigmoid_slope(x),
            Squash::HardSigmoid => hard_sigmoid_slope(x),
            Squash::Tanh => {
                let t = libm::tanhf(x);
                1.0 - t * t
            }
            Squash::Sigmoid => {
                let s = sigmoid(x);
                s * (1.0 - s)
            }
        }
    }
}
