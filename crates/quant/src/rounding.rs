//! Rounding to integers and to powers of two, to nearest or at random.

use tinsmith_foundation::Rng;

/// 1e-7, Keras' epsilon.
pub(crate) const EPSILON: f32 = 1e-7;

/// Rounds half to even. Adding and subtracting 2^23 avoids a library call, so that loops over slices vectorize. From
/// 2^23 on every f32 is an integer. -0.3 becomes +0.0, NaN stays.
#[inline(always)]
pub(crate) fn round_half_even(x: f32) -> f32 {
    const WHOLE: f32 = 8_388_608.0;
    let offset = WHOLE.copysign(x);
    if x.abs() < WHOLE { (x + offset) - offset } else { x }
}

/// Clips `x` to `low..=high`; NaN stays (`f32::max` would drop it).
#[inline(always)]
pub(crate) fn limit(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// 1 for `x >= 0`, -1 below; NaN stays.
#[inline(always)]
pub(crate) fn sign_up(x: f32) -> f32 {
    if x >= 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// 1 above 0, -1 below, 0 at 0; NaN stays.
#[inline(always)]
pub(crate) fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x + 0.0
    }
}

/// 2^`exponent` in f32, flushed to 0 below the smallest normal number (as the reference's processor does) and
/// infinite above the largest.
pub(crate) fn power_of_two(exponent: f32) -> f32 {
    if exponent.is_nan() {
        exponent
    } else if exponent < -126.0 {
        0.0
    } else if exponent > 127.0 {
        f32::INFINITY
    } else {
        // An integer within the range of normal exponents, so it fits the exponent field.
        f32::from_bits(((exponent as i32 + 127) as u32) << 23)
    }
}

/// `round(log2(v))` (or `floor`) with the logarithm in f32, as in the reference: a value nearest to a tie in f32 is a
/// tie, and goes to the even exponent. Only near ties can this differ from the exponent bits of `v`, so only there is
/// a logarithm computed.
pub(crate) fn log2_whole(v: f32, floor: bool) -> f32 {
    const NEAR: f32 = 1e-3;
    if v.is_normal() && v > 0.0 {
        let bits = v.to_bits();
        let exponent = ((bits >> 23) as i32 - 127) as f32;
        let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
        if floor {
            if mantissa > 1.0 + NEAR && mantissa < 2.0 - NEAR {
                return exponent;
            }
        } else if (mantissa - std::f32::consts::SQRT_2).abs() > NEAR {
            return if mantissa > std::f32::consts::SQRT_2 { exponent + 1.0 } else { exponent };
        }
    }
    let log2 = libm::log2(f64::from(v)) as f32;
    if floor { log2.floor() } else { round_half_even(log2) }
}

/// The power of two nearest to `v + epsilon` on a logarithmic scale.
pub(crate) fn nearest_power_of_two(v: f32) -> f32 {
    power_of_two(log2_whole(v + EPSILON, false))
}

/// Rounding rule between two levels.
pub(crate) trait Rounding {
    /// Rounds to an integer.
    fn round(&mut self, x: f32) -> f32;
    /// A number in [0, 1) if rounding is random.
    fn draw(&mut self) -> Option<f32>;
}

/// To the nearest, ties to even.
pub(crate) struct HalfEven;

impl Rounding for HalfEven {
    #[inline(always)]
    fn round(&mut self, x: f32) -> f32 {
        round_half_even(x)
    }

    #[inline(always)]
    fn draw(&mut self) -> Option<f32> {
        None
    }
}

/// Up with the probability of the fraction, so that the mean is the value (Gupta 2015, arXiv 1502.02551).
pub(crate) struct Stochastic(pub(crate) Rng);

impl Rounding for Stochastic {
    fn round(&mut self, x: f32) -> f32 {
        let below = x.floor();
        if x - below > uniform(&mut self.0) { below + 1.0 } else { below + 0.0 }
    }

    fn draw(&mut self) -> Option<f32> {
        Some(uniform(&mut self.0))
    }
}

/// Uniform in [0, 1): the upper 24 bits of a 32-bit draw, times 2^-24.
pub(crate) fn uniform(rng: &mut Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_even_and_zero_is_positive() {
        for (x, want) in
            [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, 0.0), (-1.5, -2.0), (8_388_609.0, 8_388_609.0)]
        {
            assert_eq!(round_half_even(x).to_bits(), f32::to_bits(want), "{x}");
        }
        assert!(round_half_even(f32::NAN).is_nan());
        assert_eq!(round_half_even(f32::NEG_INFINITY), f32::NEG_INFINITY);
        let mut x = -70_000.0_f32;
        while x < 70_000.0 {
            assert_eq!(round_half_even(x), x.round_ties_even());
            x += 0.37;
        }
    }

    #[test]
    fn powers_of_two_are_exact() {
        for exponent in -126..=127 {
            assert_eq!(f64::from(power_of_two(exponent as f32)), 2_f64.powi(exponent));
            let v = power_of_two(exponent as f32);
            assert_eq!(log2_whole(v, true), exponent as f32, "floor of log2 {v}");
            assert_eq!(log2_whole(v, false), exponent as f32);
            assert_eq!(log2_whole(v * 1.4, false), exponent as f32);
        }
        assert_eq!(power_of_two(-127.0), 0.0);
        assert_eq!(power_of_two(128.0), f32::INFINITY);
    }

    #[test]
    fn stochastic_rounding_keeps_the_mean_and_whole_numbers() {
        let mut rounding = Stochastic(tinsmith_foundation::Seed::new(3).rng());
        for x in [-1.75_f32, -0.25, 0.1, 2.5] {
            let mean = (0..20_000).map(|_| f64::from(rounding.round(x))).sum::<f64>() / 20_000.0;
            assert!((mean - f64::from(x)).abs() < 0.015, "{x}: {mean}");
        }
        assert!((0..100).all(|_| rounding.round(-3.0) == -3.0));
    }
}
