//! Exponential functions in plain arithmetic, which compilers vectorize and all instruction sets compute with the
//! same bits. Polynomials: Cephes' `expf`, `logf` and `tanhf` (S. L. Moshier), accurate to about one unit in the last
//! place.

/// `e^x`: 0 below the smallest normal number, infinity above the largest, NaN for NaN.
#[inline(always)]
#[must_use]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
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

/// Natural logarithm of a positive normal number. Infinity and NaN are returned unchanged.
#[inline(always)]
#[must_use]
pub fn ln(x: f32) -> f32 {
    // x = m 2^e with m from sqrt(1/2) to sqrt(2); 0x3f35_04f3 is sqrt(1/2).
    let bits = x.to_bits().wrapping_sub(0x3f35_04f3);
    let e = (bits as i32 >> 23) as f32;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let p = (((7.037_684e-2 * m - 0.115_146_1) * m + 0.116_769_98) * m - 0.124_201_41) * m + 0.142_493_23;
    let p = (((p * m - 0.166_680_57) * m + 0.200_007_14) * m - 0.249_999_94) * m + 0.333_333_3;
    let z = m * m;
    let y = (p * (m * z) - e * 2.121_944_4e-4) - 0.5 * z;
    let y = (m + y) + e * 0.693_359_4;
    if x < f32::INFINITY { y } else { x }
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
    fn logarithms_agree_with_double_precision() {
        let mut x = 1e-37_f32;
        while x < 1e38 {
            let want = f64::from(x).ln();
            assert!(
                (f64::from(ln(x)) - want).abs() <= want.abs().max(0.1) * 2e-7,
                "at {x}: {} for {want}",
                ln(x)
            );
            x *= 1.000_713;
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert!(ln(f32::NAN).is_nan());
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
