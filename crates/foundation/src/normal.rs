//! Inverse of the standard normal distribution function, bit-identical on every machine: additions, multiplications and
//! one division in a fixed order; the tails also use `libm`'s logarithm and square root.
//!
//! - **Center**, for results within [-2, 2]: a minimax rational function of degree 8 over 8, fitted for this crate by the
//!   Remez algorithm. Its relative error is below 1.6e-14. It has no branch, so loops over it vectorize.
//! - **Tails**: Wichura's algorithm AS 241, PPND16 (Applied Statistics 37, 1988, pages 477 to 484), about 1e-16.
//!
//! At both ends of the center the error of the approximation points inwards and exceeds the rounding error. Therefore no
//! result of the center is outside [-2, 2] and none of the tails is inside.

/// Distance of the distribution function from 1/2 at 2.
pub(crate) const CENTER: f64 = 0.477_249_868_051_820_8;

/// Slightly more than the square of [`CENTER`]. In powers of the distance to it, numerator and denominator have positive
/// coefficients only, so no cancellation occurs.
const ABOVE: f64 = 0.228;

const CENTER_NUMERATOR: [f64; 9] = [
    4.198_030_576_744_351,
    499.525_818_950_978_53,
    22_386.116_103_738_277,
    475_466.593_456_994_7,
    4_982_706.696_839_119,
    24_663_025.113_301_944,
    50_943_980.712_834_32,
    33_480_502.730_921_14,
    3_100_690.198_499_166_4,
];

const CENTER_DENOMINATOR: [f64; 9] = [
    1.0,
    126.561_120_846_928_92,
    6_124.055_454_994_268,
    143_418.431_816_439_76,
    1_707_954.533_527_183_3,
    10_055_497.377_834_79,
    26_652_736.173_440_713,
    26_181_790.950_308_103,
    5_975_494.358_111_241,
];

/// Coefficients c and d of AS 241.
const NEAR_NUMERATOR: [f64; 8] = [
    1.423_437_110_749_683_5,
    4.630_337_846_156_546,
    5.769_497_221_460_691,
    3.647_848_324_763_204_5,
    1.270_458_252_452_368_4,
    0.241_780_725_177_450_6,
    0.022_723_844_989_269_184,
    7.745_450_142_783_414e-4,
];

const NEAR_DENOMINATOR: [f64; 8] = [
    1.0,
    2.053_191_626_637_759,
    1.676_384_830_183_803_8,
    0.689_767_334_985_1,
    0.148_103_976_427_480_08,
    0.015_198_666_563_616_457,
    5.475_938_084_995_345e-4,
    1.050_750_071_644_416_9e-9,
];

/// Coefficients e and f of AS 241.
const FAR_NUMERATOR: [f64; 8] = [
    6.657_904_643_501_103,
    5.463_784_911_164_114,
    1.784_826_539_917_291_3,
    0.296_560_571_828_504_87,
    0.026_532_189_526_576_124,
    1.242_660_947_388_078_4e-3,
    2.711_555_568_743_487_6e-5,
    2.010_334_399_292_288e-7,
];

const FAR_DENOMINATOR: [f64; 8] = [
    1.0,
    0.599_832_206_555_888,
    0.136_929_880_922_735_8,
    0.014_875_361_290_850_615,
    7.868_691_311_456_133e-4,
    1.846_318_317_510_054_8e-5,
    1.421_511_758_316_446e-7,
    2.044_263_103_389_939_8e-15,
];

/// Returns the quantile of `1/2 + q`, for `q` from -[`CENTER`] to [`CENTER`].
#[inline(always)]
pub(crate) fn center(q: f64) -> f64 {
    let x = ABOVE - q * q;
    q * (polynomial(&CENTER_NUMERATOR, x) / polynomial(&CENTER_DENOMINATOR, x))
}

/// Returns the quantile of `1 - p`, for `p` above 0 and at most `1/2 - CENTER`.
pub(crate) fn tail(p: f64) -> f64 {
    let r = libm::sqrt(-libm::log(p));
    if r > 5.0 {
        return far_tail(r - 5.0);
    }
    let x = r - 1.6;
    polynomial(&NEAR_NUMERATOR, x) / polynomial(&NEAR_DENOMINATOR, x)
}

/// Far end of the tail, needed once in 36 billion draws. Kept out of line: merged with the near end, the compiler selects
/// coefficients at run time, which is less than half as fast.
#[cold]
#[inline(never)]
fn far_tail(x: f64) -> f64 {
    polynomial(&FAR_NUMERATOR, x) / polynomial(&FAR_DENOMINATOR, x)
}

/// Evaluates a polynomial by Horner's rule; the constant coefficient comes first.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    coefficients.iter().copied().rev().reduce(|sum, c| sum * x + c).unwrap_or(0.0)
}
