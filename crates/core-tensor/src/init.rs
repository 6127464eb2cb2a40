//! Initializers with the statistics of Keras 2.15, drawn from Tinsmith's own generator.
//!
//! The Glorot, He and `LeCun` families have variances of `2 / (fan_in + fan_out)`, `2 / fan_in` and `1 / fan_in`.
//! Uniform members are bounded by `sqrt(3 variance)`. Normal members are truncated at two standard deviations of a
//! normal distribution with deviation `sqrt(variance) / 0.87962566103423978`, which gives the truncated distribution
//! the stated variance. Individual values differ from Keras', which uses another generator.

use candle_core::{Device, Tensor};
use tinsmith_foundation::Rng;

use crate::error::{Result, TensorError};
use tinsmith_kernels::words::{map_words, map_words_flagged};

/// The standard deviation of a standard normal truncated at two standard deviations.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// Number of values drawn at a time.
const BLOCK: usize = 256;

/// Numbers of connections of a layer's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fans {
    /// Inputs per output.
    pub fan_in: usize,
    /// Outputs per input.
    pub fan_out: usize,
}

impl Fans {
    /// Computes the fans of a kernel as Keras does: the last two axes are inputs and outputs, all others belong to
    /// the window. A kernel with one axis has both fans equal to its size. The same rule applies to depthwise kernels
    /// (…, channels, multiplier), although each of their outputs depends on one channel only.
    #[must_use]
    pub fn of_kernel(dims: &[usize]) -> Self {
        match dims {
            [] => Self { fan_in: 1, fan_out: 1 },
            &[n] => Self { fan_in: n, fan_out: n },
            [window @ .., fan_in, fan_out] => {
                let window: usize = window.iter().product();
                Self { fan_in: fan_in * window, fan_out: fan_out * window }
            }
        }
    }
}

/// Initial distribution of a parameter's values.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All equal to this value.
    Constant(f32),
    /// Glorot and Bengio (AISTATS 2010), uniform.
    GlorotUniform,
    /// Glorot and Bengio, truncated normal.
    GlorotNormal,
    /// He et al. (arXiv 1502.01852), uniform.
    HeUniform,
    /// He et al., truncated normal.
    HeNormal,
    /// `LeCun` et al. ("Efficient backprop", 1998), uniform.
    LecunUniform,
    /// `LeCun` et al., truncated normal.
    LecunNormal,
    /// Uniform within bounds. Keras' defaults are -0.05 and 0.05.
    RandomUniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Normal. Keras' defaults are mean 0 and standard deviation 0.05.
    RandomNormal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Normal, truncated at two standard deviations from the mean. Keras' defaults are 0 and 0.05.
    TruncatedNormal {
        /// Mean.
        mean: f64,
        /// Standard deviation before truncation.
        std: f64,
    },
}

impl Initializer {
    /// Draws `count` values.
    ///
    /// # Errors
    /// As [`Initializer::fill`].
    pub fn values(self, count: usize, fans: Fans, rng: &mut Rng) -> Result<Vec<f32>> {
        let mut values = vec![0.0; count];
        self.fill(&mut values, fans, rng)?;
        Ok(values)
    }

    /// Fills `out` with the values that [`Initializer::values`] returns.
    ///
    /// Each value equals a draw with the corresponding method of [`Rng`], in order, and `rng` continues after the
    /// last one. Values are computed in blocks, which is several times as fast as single draws.
    ///
    /// # Errors
    /// [`TensorError::Argument`] if a bound, mean or deviation is not finite, a deviation is negative, or bounds are
    /// reversed. `out` is unchanged in that case.
    pub fn fill(self, out: &mut [f32], fans: Fans, rng: &mut Rng) -> Result<()> {
        let fan_in = fans.fan_in.max(1) as f64;
        let mean_fan = (fans.fan_in + fans.fan_out).max(1) as f64 / 2.0;
        match self {
            Self::Zeros => out.fill(0.0),
            Self::Ones => out.fill(1.0),
            Self::Constant(value) => out.fill(value),
            Self::GlorotUniform => fill_bounded(out, 1.0 / mean_fan, rng),
            Self::HeUniform => fill_bounded(out, 2.0 / fan_in, rng),
            Self::LecunUniform => fill_bounded(out, 1.0 / fan_in, rng),
            Self::GlorotNormal => fill_truncated(out, 0.0, (1.0 / mean_fan).sqrt() / TRUNCATED_STD, rng),
            Self::HeNormal => fill_truncated(out, 0.0, (2.0 / fan_in).sqrt() / TRUNCATED_STD, rng),
            Self::LecunNormal => fill_truncated(out, 0.0, (1.0 / fan_in).sqrt() / TRUNCATED_STD, rng),
            Self::RandomUniform { low, high } => {
                argument("low", low, low.is_finite() && low <= high, "a finite number not above high")?;
                argument("high", high, high.is_finite(), "a finite number")?;
                fill_uniform(out, low, high, rng);
            }
            Self::RandomNormal { mean, std } => {
                normal_arguments(mean, std)?;
                fill_normal(out, mean, std, rng);
            }
            Self::TruncatedNormal { mean, std } => {
                normal_arguments(mean, std)?;
                fill_truncated(out, mean, std, rng);
            }
        }
        Ok(())
    }

    /// Draws a tensor of this shape on the CPU.
    ///
    /// # Errors
    /// As [`Initializer::values`].
    pub fn tensor(self, dims: &[usize], fans: Fans, rng: &mut Rng) -> Result<Tensor> {
        let values = self.values(dims.iter().product(), fans, rng)?;
        Ok(Tensor::from_vec(values, dims, &Device::Cpu)?)
    }
}

/// Uniform in [`low`, `high`): [`Rng::uniform_in`] for each value.
fn fill_uniform(out: &mut [f32], low: f64, high: f64, rng: &mut Rng) {
    let width = high - low;
    fill_of_draws(out, rng, |out, draws| {
        map_words(
            out,
            draws,
            #[inline(always)]
            |draw| (low + width * Rng::uniform_of(draw)) as f32,
        );
    });
}

/// [`Rng::normal`] for each value, times `std`, plus `mean`.
fn fill_normal(out: &mut [f32], mean: f64, std: f64, rng: &mut Rng) {
    fill_of_draws(out, rng, |out, draws| {
        let mut tails = [0; BLOCK / 64];
        map_words_flagged(
            out,
            draws,
            &mut tails,
            #[inline(always)]
            |draw| (mean + std * Rng::normal_center_of(draw)) as f32,
            Rng::is_normal_tail,
        );
        // Tails are rare, and their logarithms would prevent the vectorization of all other values.
        for ((out, draws), mut tails) in out.chunks_mut(64).zip(draws.chunks(64)).zip(tails) {
            while tails != 0 {
                let i = tails.trailing_zeros() as usize;
                out[i] = (mean + std * Rng::normal_of(draws[i])) as f32;
                tails &= tails - 1;
            }
        }
    });
}

/// [`Rng::truncated_normal`] for each value, times `std`, plus `mean`.
fn fill_truncated(out: &mut [f32], mean: f64, std: f64, rng: &mut Rng) {
    fill_of_draws(out, rng, |out, draws| {
        map_words(
            out,
            draws,
            #[inline(always)]
            |draw| (mean + std * Rng::truncated_normal_of(draw)) as f32,
        );
    });
}

/// Calls `set` for blocks of `out` of at most [`BLOCK`] values, with one draw per value.
fn fill_of_draws(out: &mut [f32], rng: &mut Rng, set: impl Fn(&mut [f32], &[u64])) {
    let mut draws = [0; BLOCK];
    for out in out.chunks_mut(BLOCK) {
        let draws = &mut draws[..out.len()];
        rng.fill(draws);
        set(out, draws);
    }
}

/// Uniform with this variance.
fn fill_bounded(out: &mut [f32], variance: f64, rng: &mut Rng) {
    let bound = (3.0 * variance).sqrt();
    fill_uniform(out, -bound, bound, rng);
}

fn normal_arguments(mean: f64, std: f64) -> Result<()> {
    argument("mean", mean, mean.is_finite(), "a finite number")?;
    argument("std", std, std.is_finite() && std >= 0.0, "a finite number, at least 0")
}

fn argument(what: &'static str, value: f64, is_right: bool, want: &'static str) -> Result<()> {
    if is_right { Ok(()) } else { Err(TensorError::Argument { op: "initializer", what, value, want }) }
}

#[cfg(test)]
mod tests {
    use tinsmith_foundation::Seed;

    use super::*;
    use tinsmith_kernels::dispatch::InstructionSet;

    #[test]
    fn blocks_equal_single_draws() {
        type Fill = fn(&mut [f32], f64, f64, &mut Rng);
        type Plain = fn(&mut Rng) -> f64;
        let cases: [(&str, Fill, Plain); 3] = [
            ("uniform", fill_uniform, |rng| rng.uniform_in(-0.3, 1.7)),
            ("normal", fill_normal, |rng| -0.3 + 1.7 * rng.normal()),
            ("truncated", fill_truncated, |rng| -0.3 + 1.7 * rng.truncated_normal()),
        ];
        for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
            for (name, fill, value) in cases {
                for (count, skipped) in [(0, 0), (1, 1), (255, 3), (256, 0), (1000, 1), (5003, 2)] {
                    let mut rng = Seed::new(3).derive("many", count).rng();
                    for _ in 0..skipped {
                        rng.next_u32();
                    }
                    let mut plain = rng.clone();
                    let mut got = vec![f32::NAN; count as usize];
                    set.limit(|| fill(&mut got, -0.3, 1.7, &mut rng));
                    for (i, got) in got.into_iter().enumerate() {
                        let want = value(&mut plain) as f32;
                        assert_eq!(got.to_bits(), want.to_bits(), "{set:?}: {name} {i} of {count}");
                    }
                    assert_eq!(rng.position(), plain.position(), "{set:?}: {count} {name} values");
                }
            }
        }
    }
}
