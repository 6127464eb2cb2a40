//! Element-wise quantizers with a fixed scale.

use crate::rounding::Rounding;

/// An element-wise quantizer: a value is rounded to an integer, clipped to a code, and mapped to a level.
pub(crate) trait Pointwise {
    /// The integer that `x` is rounded to, before clipping.
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32;
    /// The integer code, clipped to the format's range.
    fn code(&self, raw: f32) -> f32;
    /// The value of a code.
    fn level(&self, code: f32) -> f32;
    /// The function that replaces the quantizer in the gradient, and that a noise factor below 1 mixes in.
    fn smooth(&self, x: f32) -> f32;
    /// Its derivative.
    fn slope(&self, x: f32, raw: f32) -> f32;
    /// True if [`slope`](Self::slope) is 1 everywhere.
    fn slope_is_one(&self) -> bool {
        false
    }
}

/// Fraction of the quantizer in effect: `y = s + n (q - s)` with gradient `s'`, or without the straight-through
/// estimator `y = (1 - n) s + n q` with gradient `(1 - n) s'`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    pub(crate) factor: f32,
    pub(crate) straight_through: bool,
}

impl Mix {
    pub(crate) const FULL: Self = Self { factor: 1.0, straight_through: true };

    pub(crate) fn new(factor: f64, straight_through: bool) -> Self {
        Self { factor: factor as f32, straight_through }
    }

    /// True if only quantized values are returned.
    pub(crate) fn is_full(self) -> bool {
        self.factor == 1.0
    }

    /// Factor of the gradient.
    pub(crate) fn gradient_factor(self) -> f32 {
        if self.straight_through { 1.0 } else { 1.0 - self.factor }
    }

    #[inline(always)]
    pub(crate) fn value(self, smooth: f32, quantized: f32) -> f32 {
        if self.straight_through {
            smooth + self.factor * (quantized - smooth)
        } else {
            (1.0 - self.factor) * smooth + self.factor * quantized
        }
    }
}

/// Writes values, and derivatives if requested.
pub(crate) fn map<P: Pointwise, R: Rounding>(
    quantizer: &P,
    mix: Mix,
    xs: &[f32],
    out: &mut [f32],
    grad: Option<&mut [f32]>,
    rounding: &mut R,
) {
    let value = |x: f32, raw: f32| {
        let quantized = quantizer.level(quantizer.code(raw));
        // Adding +0.0 makes -0.0 positive.
        (if mix.is_full() { quantized } else { mix.value(quantizer.smooth(x), quantized) }) + 0.0
    };
    match grad {
        None => {
            for (y, &x) in out.iter_mut().zip(xs) {
                *y = value(x, quantizer.raw(x, rounding));
            }
        }
        Some(grad) => {
            let factor = mix.gradient_factor();
            for ((y, g), &x) in out.iter_mut().zip(grad).zip(xs) {
                let raw = quantizer.raw(x, rounding);
                *y = value(x, raw);
                *g = factor * quantizer.slope(x, raw);
            }
        }
    }
}

/// Multiplies gradients in place by the derivatives at `xs`.
pub(crate) fn pull_back<P: Pointwise, R: Rounding>(
    quantizer: &P,
    mix: Mix,
    xs: &[f32],
    grads: &mut [f32],
    rounding: &mut R,
) {
    let factor = mix.gradient_factor();
    for (g, &x) in grads.iter_mut().zip(xs) {
        let slope = factor * quantizer.slope(x, quantizer.raw(x, rounding));
        // Not a product: an infinite gradient times 0 would become NaN.
        *g = if slope == 0.0 { 0.0 } else { *g * slope };
    }
}
