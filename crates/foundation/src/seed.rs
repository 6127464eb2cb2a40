//! Seeds derived by name, and the generator behind every random draw.
//!
//! Stored results hang on what is written here and on nothing else, so each algorithm is stated:
//!
//! - **Derivation**: the child of seed `s` under `(name, index)` is the first 8 bytes (little-endian) of
//!   `SHA-256(s as 8 bytes LE ‖ name's length as 8 bytes LE ‖ name ‖ index as 8 bytes LE)`.
//! - **Generator**: ChaCha with 12 rounds, its 256-bit key being `SHA-256(s as 8 bytes LE)`, stream 0; 64-bit
//!   draws are two consecutive 32-bit words, the lower first.
//! - **Draws**: stated at each method of [`Rng`].

use rand_chacha::ChaCha12Rng;
use rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A seed. Never used twice for two purposes: [`derive`](Seed::derive) one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(u64);

impl Seed {
    /// A root seed, as the user gave it.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number, to be stored.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The seed below this one for purpose `name`, number `index`.
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

    /// The generator of this seed.
    #[must_use]
    pub fn rng(self) -> Rng {
        let key: [u8; 32] = Sha256::digest(self.0.to_le_bytes()).into();
        Rng { chacha: ChaCha12Rng::from_seed(key) }
    }
}

/// A generator whose sequence depends on its seed alone, on every machine.
#[derive(Debug, Clone)]
pub struct Rng {
    chacha: ChaCha12Rng,
}

impl Rng {
    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.chacha.next_u32()
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.chacha.next_u64()
    }

    /// What as many calls of [`next_u64`](Rng::next_u64) give.
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

    /// Uniform in [0, 1): the upper 53 bits of a 64-bit draw, times 2^-53.
    pub fn uniform(&mut self) -> f64 {
        Self::uniform_of(self.next_u64())
    }

    /// What [`uniform`](Rng::uniform) makes of a draw.
    #[inline(always)]
    #[must_use]
    pub const fn uniform_of(draw: u64) -> f64 {
        (draw >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in [`low`, `high`): `low + (high - low) * uniform()`.
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in 0..`n` by Lemire's multiplication with rejection (arXiv 1805.10941); 0 where `n` is 0.
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

    /// Uniform index in 0..`n`; 0 where `n` is 0.
    pub fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }

    /// Uniform in `low..=high`; `low` where the range is empty.
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

    /// True with probability `p`: `uniform() < p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Standard normal by Box and Muller's transform: `sqrt(-2 ln(1 - u)) cos(2 pi v)`, two draws each, the
    /// second normal of the pair not used. Logarithm and cosine are `libm`'s, the same on every machine.
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.uniform();
        let v = self.uniform();
        libm::sqrt(-2.0 * libm::log(u)) * libm::cos(2.0 * std::f64::consts::PI * v)
    }

    /// Standard normal truncated to [-2, 2] by rejection.
    pub fn truncated_normal(&mut self) -> f64 {
        loop {
            let x = self.normal();
            if x.abs() <= 2.0 {
                return x;
            }
        }
    }

    /// Fisher and Yates' shuffle, from the last place down.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.index(i + 1));
        }
    }

    /// A random order of 0..`n`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// A uniform element of `items`, if there is one.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.index(items.len())) }
    }

    /// An index drawn in proportion to `weights`: the first whose running sum exceeds `uniform() * total`.
    /// None where no weight is positive and finite.
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

    /// How many 32-bit words were drawn; with the seed, all there is to store of a generator.
    #[must_use]
    pub fn position(&self) -> u128 {
        self.chacha.get_word_pos()
    }

    /// Goes to a stored [`position`](Rng::position).
    pub fn set_position(&mut self, words: u128) {
        self.chacha.set_word_pos(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stored results of every user hang on these numbers: they may never change.
    #[test]
    fn the_written_algorithms_are_what_runs() {
        // Computed apart from this crate, by Python's hashlib and a ChaCha12 written from its definition.
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
            assert!((-3..=4).contains(&rng.range(-3, 4)));
        }
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.range(5, 1), 5);
        assert_eq!(rng.weighted(&[0.0, f64::NAN]), None);
        assert_eq!(rng.weighted(&[0.0, 2.0, 0.0]), Some(1));
    }

    #[test]
    fn normal_has_its_moments() {
        let mut rng = Seed::new(5).rng();
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!(mean.abs() < 0.03, "mean {mean}");
        assert!((variance - 1.0).abs() < 0.05, "variance {variance}");
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
