//! `quantized_po2` and `quantized_relu_po2`: powers of two, by which hardware multiplies with shifts.

use crate::pointwise::Pointwise;
use crate::rounding::{EPSILON, Rounding, log2_whole, power_of_two, sign_up};

/// Rule that maps a magnitude to an exponent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exponents {
    pub(crate) min: f32,
    pub(crate) max: f32,
    /// Magnitudes are clipped to this before the logarithm; infinity for no limit.
    pub(crate) max_value: f32,
    /// True if the exponent of the square root is rounded, then doubled.
    pub(crate) quadratic: bool,
    pub(crate) floor: bool,
}

impl Exponents {
    /// Exponent of a magnitude. Magnitudes below 1e-7 get the smallest one, so 0 has an exponent too.
    fn of<R: Rounding>(&self, magnitude: f32, rounding: &mut R) -> f32 {
        if magnitude.is_nan() {
            return magnitude;
        }
        // Draws first, so that the number of draws does not depend on the values.
        let draw = if self.floor { None } else { rounding.draw() };
        if magnitude < EPSILON {
            return self.min;
        }
        let limited = if magnitude >= self.max_value { self.max_value } else { magnitude };
        let factor = if self.quadratic { 2.0 } else { 1.0 };
        let limited = if self.quadratic { limited.sqrt() } else { limited };
        let exponent = match draw {
            None => log2_whole(limited, self.floor),
            Some(draw) => stochastic_exponent(limited, draw),
        };
        factor * exponent.max(self.min).min(self.max)
    }

    /// Smallest possible exponent.
    pub(crate) fn lowest(&self) -> f32 {
        if self.quadratic { 2.0 * self.min } else { self.min }
    }

    /// Largest possible exponent.
    pub(crate) fn highest(&self) -> f32 {
        if self.quadratic { 2.0 * self.max } else { self.max }
    }
}

/// Draws one of the two exponents around `magnitude`, so that the mean of their powers is the magnitude.
fn stochastic_exponent(magnitude: f32, draw: f32) -> f32 {
    if !magnitude.is_finite() {
        return f32::INFINITY;
    }
    let below = log2_whole(magnitude, true);
    let low = power_of_two(below);
    let fraction = if low > 0.0 { magnitude / low - 1.0 } else { 0.0 };
    if fraction > draw { below + 1.0 } else { below }
}

/// `sign(x) 2^exponent(|x|)`, +2^min at 0. Codes are `sign * (exponent - lowest + 1)`, never 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PowerOfTwo {
    pub(crate) exponents: Exponents,
}

impl Pointwise for PowerOfTwo {
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32 {
        sign_up(x) * (self.exponents.of(x.abs(), rounding) - self.exponents.lowest() + 1.0)
    }

    fn code(&self, raw: f32) -> f32 {
        raw
    }

    fn level(&self, code: f32) -> f32 {
        sign_up(code) * power_of_two(code.abs() - 1.0 + self.exponents.lowest())
    }

    fn smooth(&self, x: f32) -> f32 {
        x
    }

    fn slope(&self, _: f32, _: f32) -> f32 {
        1.0
    }

    fn slope_is_one(&self) -> bool {
        true
    }
}

/// `2^exponent(relu(x))`, 2^min for all that is not positive; with a slope s, `-2^exponent(s |x|)` below 0.
/// Codes as those of [`PowerOfTwo`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReluPowerOfTwo {
    pub(crate) exponents: Exponents,
    pub(crate) negative_slope: f32,
}

impl Pointwise for ReluPowerOfTwo {
    fn raw<R: Rounding>(&self, x: f32, rounding: &mut R) -> f32 {
        let (sign, magnitude) = if x < 0.0 {
            if self.negative_slope > 0.0 { (-1.0, -x * self.negative_slope) } else { (1.0, 0.0) }
        } else {
            (1.0, x)
        };
        sign * (self.exponents.of(magnitude, rounding) - self.exponents.lowest() + 1.0)
    }

    fn code(&self, raw: f32) -> f32 {
        raw
    }

    fn level(&self, code: f32) -> f32 {
        sign_up(code) * power_of_two(code.abs() - 1.0 + self.exponents.lowest())
    }

    fn smooth(&self, x: f32) -> f32 {
        if x > self.exponents.max_value {
            self.exponents.max_value
        } else if x > 0.0 {
            x
        } else {
            x * self.negative_slope
        }
    }

    fn slope(&self, x: f32, _: f32) -> f32 {
        if x > 0.0 && x <= self.exponents.max_value {
            1.0
        } else if x <= 0.0 {
            self.negative_slope
        } else {
            0.0
        }
    }
}
