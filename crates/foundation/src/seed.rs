//! Seeds derived by name, and the generator behind every random draw.
//!
//! Stored results depend on these algorithms, so each one is specified:
//!
//! - **Derivation**: the child of seed `s` under `(name, index)` is the first 8 bytes (little-endian) of
//!   `SHA-256(s as 8 bytes LE ‖ name's length as 8 bytes LE ‖ name ‖ index as 8 bytes LE)`.
//! - **Generator**: ChaCha with 12 rounds, its 256-bit key being `SHA-256(s as 8 bytes LE)`, stream 0; 64-bit
//!   draws are two consecutive 32-bit words, the lower first.
//! - **Draws**: specified at each method of [`Rng`]; the coefficients of the normal distributions are in `normal.rs`.
//!
//! [`Rng`] implements `rand_core`'s [`RngCore`] and [`SeedableRng`], so that distributions of `rand` and `rand_distr` can
//! draw from it. Their algorithms may change between versions of those crates: use them only for draws that need not be
//! reproducible across versions.

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::normal;

/// A seed. Each purpose has a seed of its own, made by [`derive`](Seed::derive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(u64);

impl Seed {
    /// A root seed, as given by the user.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// Returns the number, for storage.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// Derives the seed for purpose `name`, number `index`.
    ///
    /// ```
    /// use tinsmith_foundation::Seed;
    /// let root = Seed::new(1);
    /// assert_ne!(root.derive("trial", 0), root.derive("trial", 1));
    /// assert_ne!(root.derive("trial", 0), root.derive("fold", 0));
    /// ```
    #[must_use]
    pub fn derive(self, name: &str, index: u64) -> Self {
        let digest = Sha256::new()
            .chain_update(self.0.to_le_bytes())
            .chain_update((name.len() as u64).to_le_bytes())
            .chain_update(name)
            .chain_update(index.to_le_bytes())
            .finalize();
        let mut first = [0_u8; 8];
        first.copy_from_slice(&digest[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// Returns the generator of this seed.
    #[must_use]
    pub fn rng(self) -> Rng {
        let key: [u8; 32] = Sha256::digest(self.0.to_le_bytes()).into();
        Rng { chacha: ChaCha12Rng::from_seed(key) }
    }
}

/// A generator whose sequence depends on its seed alone and is the same on every machine.
#[derive(Debug, Clone)]
pub struct Rng {
    chacha: ChaCha12Rng,
}

impl Rng {
    /// Draws 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.chacha.next_u32()
    }

    /// Draws 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.chacha.next_u64()
    }

    /// Fills `draws` with the results of as many calls of [`next_u64`](Rng::next_u64), faster than single calls.
    pub fn fill(&mut self, draws: &mut [u64]) {
        let mut bytes = [[0; 8]; 64];
        for draws in draws.chunks_mut(bytes.len()) {
            let bytes = &mut bytes[..draws.len()];
            self.chacha.fill_bytes(bytes.as_flattened_mut());
            for (draw, bytes) in draws.iter_mut().zip(bytes) {
                *draw = u64::from_le_bytes(*bytes);
            }
        }
    }

    /// Draws uniformly from [0, 1): the upper 53 bits of a 64-bit draw, times 2^-53.
    pub fn uniform(&mut self) -> f64 {
        Self::uniform_of(self.next_u64())
    }

    /// Converts a 64-bit draw as [`uniform`](Rng::uniform) does.
    #[inline(always)]
    #[must_use]
    pub const fn uniform_of(draw: u64) -> f64 {
        (draw >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Draws uniformly from [`low`, `high`): `low + (high - low) * uniform()`.
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Draws uniformly from 0..`n` by Lemire's multiplication with rejection (arXiv 1805.10941); 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Draws an index uniformly from 0..`n`; 0 if `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// Draws uniformly from `low..=high`; `low` if the range is empty.
    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        if high <= low {
            return low;
        }
        let width = high.wrapping_sub(low) as u64;
        if width == u64::MAX {
            return self.next_u64() as i64;
        }
        low.wrapping_add(self.below(width + 1) as i64)
    }

    /// Returns true with probability `p`: `uniform() < p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Draws from the standard normal distribution, from one 64-bit draw; see [`normal_of`](Rng::normal_of).
    pub fn normal(&mut self) -> f64 {
        Self::normal_of(self.next_u64())
    }

    /// Converts a 64-bit draw to the standard normal quantile of `(draw >> 11) * 2^-53 + 2^-54`, the center of the draw's
    /// cell. Opposite draws, `draw` and `!draw`, have opposite results; no result is 0 or beyond 8.3.
    ///
    /// # Source
    /// Within [-2, 2] a rational function of degree 8 over 8 with a relative error below 1.6e-14; elsewhere Wichura's
    /// algorithm AS 241 (Applied Statistics 37, 1988), with `libm`'s logarithm and square root.
    #[must_use]
    pub fn normal_of(draw: u64) -> f64 {
        let q = Self::centered(draw);
        if Self::is_normal_tail(draw) {
            normal::tail(0.5 - q.abs()).copysign(q)
        } else {
            Self::normal_center_of(draw)
        }
    }

    /// Returns [`normal_of`](Rng::normal_of) for draws outside the tails, without a branch, for loops over many draws. The
    /// result is meaningless for a draw with [`is_normal_tail`](Rng::is_normal_tail).
    #[inline(always)]
    #[must_use]
    pub fn normal_center_of(draw: u64) -> f64 {
        normal::center(Self::centered(draw))
    }

    /// Returns true if [`normal_of`](Rng::normal_of) is outside [-2, 2]; one draw in 22 is.
    #[inline(always)]
    #[must_use]
    pub fn is_normal_tail(draw: u64) -> bool {
        Self::centered(draw).abs() > normal::CENTER
    }

    /// Draws from the standard normal distribution truncated to [-2, 2]; see
    /// [`truncated_normal_of`](Rng::truncated_normal_of).
    pub fn truncated_normal(&mut self) -> f64 {
        Self::truncated_normal_of(self.next_u64())
    }

    /// Converts a 64-bit draw to a quantile of the truncated normal distribution, at the center of the draw's cell as in
    /// [`normal_of`](Rng::normal_of).
    #[inline(always)]
    #[must_use]
    pub fn truncated_normal_of(draw: u64) -> f64 {
        normal::center(2.0 * normal::CENTER * Self::centered(draw))
    }

    /// Center of the draw's cell among 2^53 equal cells of [0, 1], minus 1/2. Exact, and never 0, -1/2 or 1/2.
    #[inline(always)]
    fn centered(draw: u64) -> f64 {
        const CELLS: f64 = (1_u64 << 53) as f64;
        ((draw >> 11) as f64 - (CELLS / 2.0 - 0.5)) * (1.0 / CELLS)
    }

    /// Shuffles by the algorithm of Fisher and Yates, from the last place down.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.index(i + 1));
        }
    }

    /// Returns 0..`n` in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// Draws an element uniformly; `None` if there are none.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.index(items.len())) }
    }

    /// Draws an index in proportion to `weights`: the first whose running sum exceeds `uniform() * total`. `None` if no
    /// weight is positive and finite.
    pub fn weighted(&mut self, weights: &[f64]) -> Option<usize> {
        let usable = |w: f64| if w.is_finite() && w > 0.0 { w } else { 0.0 };
        let total: f64 = weights.iter().map(|&w| usable(w)).sum();
        if total <= 0.0 {
            return None;
        }
        let mut left = self.uniform() * total;
        let mut last = None;
        for (i, &w) in weights.iter().enumerate() {
            let w = usable(w);
            if w > 0.0 {
                last = Some(i);
                if left < w {
                    return last;
                }
                left -= w;
            }
        }
        last
    }

    /// Number of 32-bit words drawn so far. Seed and position restore a generator.
    #[must_use]
    pub fn position(&self) -> u128 {
        self.chacha.get_word_pos()
    }

    /// Continues from a stored [`position`](Rng::position).
    pub fn set_position(&mut self, words: u128) {
        self.chacha.set_word_pos(words);
    }
}

impl RngCore for Rng {
    fn next_u32(&mut self) -> u32 {
        self.chacha.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.chacha.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.chacha.fill_bytes(bytes);
    }
}

/// A generator seeded by bytes is that of the [`Seed`] with this little-endian number.
impl SeedableRng for Rng {
    type Seed = [u8; 8];

    fn from_seed(seed: [u8; 8]) -> Self {
        Seed::new(u64::from_le_bytes(seed)).rng()
    }

    fn seed_from_u64(value: u64) -> Self {
        Seed::new(value).rng()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traits_of_rand_draw_the_same_numbers() {
        fn words<R: RngCore>(rng: &mut R) -> [u64; 3] {
            let mut bytes = [0; 8];
            let (first, second) = (rng.next_u64(), u64::from(rng.next_u32()));
            rng.fill_bytes(&mut bytes);
            [first, second, u64::from_le_bytes(bytes)]
        }
        let mut own = Seed::new(42).rng();
        let want = [own.next_u64(), u64::from(own.next_u32()), own.next_u64()];
        assert_eq!(words(&mut Seed::new(42).rng()), want);
        assert_eq!(words(&mut Rng::seed_from_u64(42)), want);
        assert_eq!(words(&mut Rng::from_seed(42_u64.to_le_bytes())), want);
    }

    /// Stored results of all users depend on these numbers: they must never change.
    #[test]
    fn the_written_algorithms_are_what_runs() {
        // Computed independently, by Python's hashlib and a ChaCha12 written from its definition.
        assert_eq!(Seed::new(42).derive("trial", 3).value(), 0xd638_0b18_1a06_f554);
        let mut rng = Seed::new(42).rng();
        assert_eq!(rng.next_u64(), 0xd27f_a890_9076_9118);
        assert_eq!(rng.next_u64(), 0x2d4d_8e85_316d_0945);
    }

    #[test]
    fn draws_stay_in_their_bounds() {
        let mut rng = Seed::new(1).rng();
        for n in 1..200_u64 {
            assert!(rng.below(n) < n);
            let x = rng.uniform();
            assert!((0.0..1.0).contains(&x));
            assert!(rng.truncated_normal().abs() <= 2.0);
            assert!(rng.normal().abs() < 8.3);
            assert!((-3..=4).contains(&rng.range(-3, 4)));
        }
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.range(5, 1), 5);
        assert_eq!(rng.weighted(&[0.0, f64::NAN]), None);
        assert_eq!(rng.weighted(&[0.0, 2.0, 0.0]), Some(1));
    }

    /// Quantiles of the centers of these cells, rounded from 40 digits of mpmath 1.4.1's `erfinv`. They include the first and
    /// last cell and the cells on both sides of each change of formula.
    const NORMALS: [(u64, f64); 22] = [
        (0, -8.292_361_075_813_595),
        (1, -8.160_707_840_858_583),
        (10, -7.922_305_383_694_977),
        (1_000, -7.334_738_014_043_943_5),
        (125_090, -6.657_905_792_482_562),
        (125_091, -6.657_904_617_210_832),
        (125_092, -6.657_903_441_948_299),
        (100_000_000, -5.593_884_571_375_582_5),
        (1_000_000_000_000, -3.692_518_016_648_246),
        (90_071_992_547_409, -2.326_347_874_040_843),
        (204_914_971_528_898, -2.000_000_000_000_001),
        (204_914_971_528_899, -1.999_999_999_999_999),
        (225_179_981_368_524, -1.959_963_984_540_054_7),
        (900_719_925_474_099, -1.281_551_565_544_600_4),
        (1_801_439_850_948_198, -0.841_621_233_572_914_2),
        (2_702_159_776_422_297, -0.524_400_512_708_040_8),
        (4_053_239_664_633_446, -0.125_661_346_855_074_02),
        (4_503_598_553_628_672, -2.988_133_756_475_207_7e-7),
        (4_503_599_627_370_495, -1.391_458_212_335_883_6e-16),
        (4_503_599_627_370_496, 1.391_458_212_335_883_6e-16),
        (6_755_399_441_055_744, 0.674_489_750_196_081_9),
        (9_007_199_254_740_991, 8.292_361_075_813_595),
    ];

    /// Quantiles of the normal distribution truncated to [-2, 2], computed likewise.
    const TRUNCATED_NORMALS: [(u64, f64); 20] = [
        (0, -1.999_999_999_999_999_1),
        (1, -1.999_999_999_999_997_1),
        (1_000, -1.999_999_999_998_036_2),
        (100_000_000, -1.999_999_803_725_058_1),
        (1_000_000_000_000, -1.998_041_091_289_037_2),
        (9_007_199_254_740, -1.982_625_620_502_019_2),
        (90_071_992_547_409, -1.848_083_539_591_332),
        (225_179_981_368_524, -1.678_624_489_335_080_1),
        (450_359_962_737_049, -1.472_261_641_032_765_4),
        (900_719_925_474_099, -1.184_032_466_693_904_8),
        (1_801_439_850_948_198, -0.793_820_119_128_955_4),
        (2_702_159_776_422_297, -0.498_402_882_421_938_53),
        (3_602_879_701_896_396, -0.241_587_185_141_077),
        (4_053_239_664_633_446, -0.119_915_575_065_201_7),
        (4_503_598_553_628_672, -2.852_172_881_997_965_6e-7),
        (4_503_599_627_370_495, -1.328_146_496_473_845_6e-16),
        (4_503_599_627_370_496, 1.328_146_496_473_845_6e-16),
        (4_953_959_590_107_545, 0.119_915_575_065_201_7),
        (6_755_399_441_055_744, 0.639_111_910_871_273),
        (9_007_199_254_740_991, 1.999_999_999_999_999_1),
    ];

    #[test]
    fn normals_are_the_quantiles_of_their_draws() {
        for (cell, want) in NORMALS {
            let draw = cell << 11;
            let relative = if Rng::is_normal_tail(draw) { 1e-15 } else { 1.6e-14 };
            let got = Rng::normal_of(draw);
            assert!((got / want - 1.0).abs() < relative, "cell {cell}: {got} for {want}");
        }
        for (cell, want) in TRUNCATED_NORMALS {
            let got = Rng::truncated_normal_of(cell << 11);
            assert!((got / want - 1.0).abs() < 1.6e-14, "cell {cell}: {got} for {want}");
        }
    }

    #[test]
    fn opposite_draws_have_opposite_normals() {
        let mut rng = Seed::new(2).rng();
        let draws: Vec<u64> =
            NORMALS.iter().map(|(cell, _)| cell << 11).chain((0..2000).map(|_| rng.next_u64())).collect();
        for draw in draws {
            for of in [Rng::normal_of, Rng::truncated_normal_of] {
                assert_eq!(of(draw).to_bits(), (-of(!draw)).to_bits(), "draw {draw}");
            }
        }
    }

    #[test]
    fn normals_rise_with_their_draws() {
        // Adjacent cells differ by more than rounding only at the ends and at the changes of formula.
        let last = (1_u64 << 53) - 1;
        let joints = [(0, 60), (125_091, 60), (204_914_971_528_898, 60)];
        for (cell, width) in joints {
            for (low, high) in [(cell, cell + width), (last - cell - width, last - cell)] {
                let low = low.saturating_sub(width);
                let values: Vec<f64> =
                    (low..=high.min(last)).map(|cell| Rng::normal_of(cell << 11)).collect();
                assert!(values.is_sorted(), "cells from {low}");
            }
        }
        for of in [Rng::normal_of, Rng::truncated_normal_of] {
            let values: Vec<f64> = (0..4096).map(|i| of(i << 52)).collect();
            assert!(values.is_sorted());
        }
    }

    #[test]
    fn the_tails_begin_at_two() {
        let of = |cell: u64| (Rng::is_normal_tail(cell << 11), Rng::normal_of(cell << 11));
        let (before, after) = (of(204_914_971_528_898), of(204_914_971_528_899));
        assert!(before.0 && before.1 < -2.0, "{before:?}");
        assert!(!after.0 && after.1 > -2.0, "{after:?}");
        // These are a hundred units in the last place away from the bounds.
        for draw in (0..1000).map(|cell| cell << 11) {
            assert!(Rng::truncated_normal_of(draw) >= -2.0 && Rng::truncated_normal_of(!draw) <= 2.0);
        }
    }

    #[test]
    fn normals_have_their_moments() {
        // Truncated normal: 1 - 4 f / z and 3 - 28 f / z with the density f at 2 and the probability z of [-2, 2].
        for (draw, moments) in [
            (Rng::normal as fn(&mut Rng) -> f64, [0.0, 1.0, 0.0, 3.0]),
            (Rng::truncated_normal, [0.0, 0.773_741_303_549_923_2, 0.0, 1.416_189_124_849_462_7]),
        ] {
            let mut rng = Seed::new(5).rng();
            let draws: Vec<f64> = (0..200_000).map(|_| draw(&mut rng)).collect();
            for (power, want) in (1..).zip(moments) {
                let mean = |power: i32| draws.iter().map(|x| x.powi(power)).sum::<f64>() / draws.len() as f64;
                let (got, error) = (mean(power), (mean(2 * power) / draws.len() as f64).sqrt());
                assert!((got - want).abs() < 3.0 * error, "moment {power}: {got} for {want}");
            }
        }
    }

    #[test]
    fn a_position_brings_the_sequence_back() {
        let mut rng = Seed::new(9).rng();
        rng.permutation(17);
        let mut other = Seed::new(9).rng();
        other.set_position(rng.position());
        assert_eq!(rng.next_u64(), other.next_u64());
    }
}
