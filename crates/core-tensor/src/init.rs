//! Initializers with the statistics of Keras 2.15, drawn by our own generator.
//!
//! The families of Glorot, He and `LeCun` have variance `2 / (fan_in + fan_out)`, `2 / fan_in` and `1 / fan_in`. Their
//! uniform members are bounded by `sqrt(3 variance)`; their normal members are truncated at two standard deviations
//! of a normal whose deviation is `sqrt(variance) / 0.87962566103423978`, so that the truncated one has the variance.
//! The single draws are not Keras': its generator is another.

use candle_core::{Device, Tensor};
use tinsmith_foundation::Rng;

use crate::error::{Result, TensorError};

/// The standard deviation of a standard normal truncated at two standard deviations.
const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// How many inputs feed an output of a layer and how many outputs an input feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fans {
    /// Inputs of one output.
    pub fan_in: usize,
    /// Outputs of one input.
    pub fan_out: usize,
}

impl Fans {
    /// Of a kernel of this shape, as Keras computes them: the last two axes are inputs and outputs, all others the
    /// window. A kernel of one axis has both equal to its size. For depthwise kernels (…, channels, multiplier) too,
    /// although their outputs see one channel each: Keras makes no difference.
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

/// How the values of a parameter are drawn at first.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// All this value.
    Constant(f32),
    /// Glorot and Bengio's, uniform (AISTATS 2010).
    GlorotUniform,
    /// Glorot and Bengio's, truncated normal.
    GlorotNormal,
    /// He's, uniform (arXiv 1502.01852).
    HeUniform,
    /// He's, truncated normal.
    HeNormal,
    /// `LeCun`'s, uniform ("Efficient backprop", 1998).
    LecunUniform,
    /// `LeCun`'s, truncated normal.
    LecunNormal,
    /// Uniform within bounds. Keras' default: -0.05 to 0.05.
    RandomUniform {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
    /// Normal. Keras' default: mean 0, deviation 0.05.
    RandomNormal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// Normal, redrawn where it is more than two standard deviations from the mean. Keras' default: 0, 0.05.
    TruncatedNormal {
        /// Mean.
        mean: f64,
        /// Standard deviation before truncation.
        std: f64,
    },
}

impl Initializer {
    /// `count` values.
    ///
    /// # Errors
    /// [`TensorError::Argument`] where a bound, mean or deviation is not finite, a deviation is negative or bounds are
    /// reversed.
    pub fn values(self, count: usize, fans: Fans, rng: &mut Rng) -> Result<Vec<f32>> {
        let uniform = |rng: &mut Rng, low: f64, high: f64| {
            (0..count).map(|_| rng.uniform_in(low, high) as f32).collect()
        };
        let truncated = |rng: &mut Rng, mean: f64, std: f64| {
            (0..count).map(|_| (mean + std * rng.truncated_normal()) as f32).collect()
        };
        let fan_in = fans.fan_in.max(1) as f64;
        let mean_fan = (fans.fan_in + fans.fan_out).max(1) as f64 / 2.0;
        Ok(match self {
            Self::Zeros => vec![0.0; count],
            Self::Ones => vec![1.0; count],
            Self::Constant(value) => vec![value; count],
            Self::GlorotUniform => bounded(uniform, rng, 1.0 / mean_fan),
            Self::HeUniform => bounded(uniform, rng, 2.0 / fan_in),
            Self::LecunUniform => bounded(uniform, rng, 1.0 / fan_in),
            Self::GlorotNormal => truncated(rng, 0.0, (1.0 / mean_fan).sqrt() / TRUNCATED_STD),
            Self::HeNormal => truncated(rng, 0.0, (2.0 / fan_in).sqrt() / TRUNCATED_STD),
            Self::LecunNormal => truncated(rng, 0.0, (1.0 / fan_in).sqrt() / TRUNCATED_STD),
            Self::RandomUniform { low, high } => {
                argument("low", low, low.is_finite() && low <= high, "a finite number not above high")?;
                argument("high", high, high.is_finite(), "a finite number")?;
                uniform(rng, low, high)
            }
            Self::RandomNormal { mean, std } => {
                normal_arguments(mean, std)?;
                (0..count).map(|_| (mean + std * rng.normal()) as f32).collect()
            }
            Self::TruncatedNormal { mean, std } => {
                normal_arguments(mean, std)?;
                truncated(rng, mean, std)
            }
        })
    }

    /// A tensor of this shape, on the CPU.
    ///
    /// # Errors
    /// As [`Initializer::values`].
    pub fn tensor(self, dims: &[usize], fans: Fans, rng: &mut Rng) -> Result<Tensor> {
        let values = self.values(dims.iter().product(), fans, rng)?;
        Ok(Tensor::from_vec(values, dims, &Device::Cpu)?)
    }
}

/// Uniform with this variance.
fn bounded(uniform: impl Fn(&mut Rng, f64, f64) -> Vec<f32>, rng: &mut Rng, variance: f64) -> Vec<f32> {
    let bound = (3.0 * variance).sqrt();
    uniform(rng, -bound, bound)
}

fn normal_arguments(mean: f64, std: f64) -> Result<()> {
    argument("mean", mean, mean.is_finite(), "a finite number")?;
    argument("std", std, std.is_finite() && std >= 0.0, "a finite number, at least 0")
}

fn argument(what: &'static str, value: f64, is_right: bool, want: &'static str) -> Result<()> {
    if is_right { Ok(()) } else { Err(TensorError::Argument { op: "initializer", what, value, want }) }
}
