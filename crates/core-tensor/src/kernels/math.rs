//! Exponentials as plain arithmetic, so that loops over them become vector code and give the same bits on every
//! instruction set. Polynomials: Cephes' `expf` and `tanhf` (S. L. Moshier), about one unit in the last place.

/// `e^x`; 0 below the smallest normal number, infinity above the largest, NaN for NaN.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    const LOWEST: f32 = -87.336_54;
    const HIGHEST: f32 = 88.722_83;
    let bounded = if x > HIGHEST { HIGHEST } else { x };
    let bounded = if bounded < LOWEST { LOWEST } else { bounded };
    let shifted = bounded * std::f32::consts::LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = (bounded - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r
        + 0.166_666_65)
        * r
        + 0.5;
    let y = (p * (r * r) + r) + 1.0;
    let scaled = f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23));
    let scaled = if x < LOWEST { 0.0 } else { scaled };
    let scaled = if x > HIGHEST { f32::INFINITY } else { scaled };
    if x.is_nan() { x } else { scaled }
}

/// Hyperbolic tangent.
#[inline(always)]
#[must_use]
pub fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let far = 1.0 - 2.0 / (exp(a + a) + 1.0);
    let z = x * x;
    let p =
        (((-5.704_988_6e-3 * z + 2.063_909e-2) * z - 5.373_971_5e-2) * z + 0.133_314_42) * z - 0.333_332_8;
    let near = p * z * x + x;
    if a < 0.625 { near } else { far.copysign(x) }
}

/// Logistic function `1 / (1 + e^-x)`.
#[inline(always)]
#[must_use]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_double_precision() {
        let mut x = -90.0_f32;
        while x < 90.0 {
            let wide = f64::from(x);
            for (got, want) in
                [(exp(x), wide.exp()), (tanh(x), wide.tanh()), (sigmoid(x), 1.0 / (1.0 + (-wide).exp()))]
            {
                let want32 = want as f32;
                if want32.is_finite() && want32.abs() >= f32::MIN_POSITIVE {
                    assert!((f64::from(got) - want).abs() <= want.abs() * 4e-7, "at {x}: {got} for {want}");
                }
            }
            x += 0.0137;
        }
    }

    #[test]
    fn ends_are_exact() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(tanh(f32::INFINITY), 1.0);
        assert_eq!(tanh(f32::NEG_INFINITY), -1.0);
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }
}
