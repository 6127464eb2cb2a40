//! `quantized_relu`: a rectifier onto fixed point, with its variants.

use crate::pointwise::Pointwise;
use crate::rounding::{Rounding, limit};
use crate::tanh_sigmoid::hard_sigmoid;

/// The plain rectifier: `unit * clip(round(x / unit), 0, high)`, gradient 1 above 0 up to and including `top`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relu {
    pub(crate) unit: f32,
    pub(crate) per_unit: f32,
    pub(crate) high: f32,
    /// Upper end of the gradient: the largest level, the user's bound, or infinity.
    pub(crate) top: f32,
    /// Final upper limit of the values; infinity if only the largest level limits them.
    pub(crate) bound: f32,
}

impl Pointwise for Relu {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32 {
        rounding.round(x * self.per_unit)
    }

    #[inline(always)]
    fn code(&self, raw: f32) -> f32 {
        limit(raw, 0.0, self.high)
    }

    #[inline(always)]
    fn level(&self, code: f32) -> f32 {
        let level = code * self.unit;
        if level > self.bound { self.bound } else { level }
    }

    #[inline(always)]
    fn smooth(&self, x: f32) -> f32 {
        limit(x, 0.0, self.top)
    }

    #[inline(always)]
    fn slope(&self, x: f32, _: f32) -> f32 {
        if x > 0.0 && x <= self.top { 1.0 } else { 0.0 }
    }
}

/// The rectifier with a slope below 0, a hard sigmoid, or both.
///
/// With m levels of `2^integer / m` each, a positive and a negative part are rounded by themselves and added:
/// `clip(round(p), 0, m - 1)` and `clip(round(p s), -s m, 0)` for the slope s, p being `x m / 2^integer`; with the
/// sigmoid `clip(2 round(p) - m, 0, m - 1)` and `clip(2 round(p s) - s m, -s m, 0)`, p being `m hard_sigmoid`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeakyRelu {
    /// m, a power of two.
    pub(crate) levels: f32,
    /// 2^integer.
    pub(crate) span: f32,
    pub(crate) negative_slope: f32,
    pub(crate) use_sigmoid: bool,
    /// Value of one code: `span / levels`, or less if the negative end is not a multiple of that.
    pub(crate) unit: f32,
    pub(crate) per_unit: f32,
    pub(crate) top: f32,
    pub(crate) bound: f32,
}

impl Pointwise for LeakyRelu {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32 {
        let (m, s) = (self.levels, self.negative_slope);
        let (p, offset, step) = if self.use_sigmoid {
            (hard_sigmoid(x / self.span) * m, 1.0, 2.0)
        } else {
            (x * (m / self.span), 0.0, 1.0)
        };
        let positive = limit(step * (rounding.round(p) / m) - offset, 0.0, 1.0 - 1.0 / m);
        let mut value = self.span * positive;
        if s > 0.0 {
            let negative = limit(step * (rounding.round(p * s) / (s * m)) - offset, -1.0, 0.0);
            value += self.span * s * negative;
        }
        value * self.per_unit
    }

    #[inline(always)]
    fn code(&self, raw: f32) -> f32 {
        raw
    }

    #[inline(always)]
    fn level(&self, code: f32) -> f32 {
        let level = code * self.unit;
        if level > self.bound { self.bound } else { level }
    }

    #[inline(always)]
    fn smooth(&self, x: f32) -> f32 {
        if x > self.top {
            self.top
        } else if x > 0.0 {
            x
        } else {
            x * self.negative_slope
        }
    }

    #[inline(always)]
    fn slope(&self, x: f32, _: f32) -> f32 {
        if x > 0.0 && x <= self.top {
            1.0
        } else if x <= 0.0 {
            self.negative_slope
        } else {
            0.0
        }
    }
}
