//! Bringing samples into a range that trains well, with constants from the training part alone.

use serde::{Deserialize, Serialize};

use crate::array::ElementType;
use crate::dataset::Dataset;
use crate::error::{DataError, Result};

/// How samples are normalized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// [`Range`](Self::Range) where the values were integers, else [`Standardize`](Self::Standardize).
    #[default]
    Auto,
    /// Values stay as they are.
    Off,
    /// `(x - min) / (max - min)` with the least and the largest value of all training samples: [0, 1], so that bytes
    /// of 0 to 255 are divided by 255.
    Range,
    /// `(x - mean) / deviation` for each channel (the last axis: the features of a flat row) of the training
    /// samples. The deviation is the population's; that of a constant channel (at most 1e-9 of its mean) counts as 1.
    Standardize,
}

/// Fitted normalization: `y = (x - shift) / scale`, with one pair for all values or one for each channel. It is stored
/// beside a model, since the model is worth nothing without it.
///
/// ```
/// use tinsmith_data::{Normalization, Normalizer, load};
/// # fn main() -> tinsmith_data::Result<()> {
/// let digits = load("digits8x8")?;
/// let normalizer = Normalizer::fit(&digits.train, Normalization::Auto)?;
/// let test = normalizer.apply(&digits.test)?;
/// assert!(test.sample(0).iter().all(|x| (0.0..=1.0).contains(x)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalizer {
    /// What is subtracted: one value, or one per channel.
    pub shift: Vec<f32>,
    /// What the difference is divided by, as many; never 0.
    pub scale: Vec<f32>,
}

impl Normalizer {
    /// The constants of `kind` for a training part.
    ///
    /// # Errors
    /// [`DataError::Impossible`] where there are no rows or a value is not finite.
    pub fn fit(train: &Dataset, kind: Normalization) -> Result<Self> {
        let kind = match (kind, train.element()) {
            (Normalization::Auto, ElementType::F32 | ElementType::F64) => Normalization::Standardize,
            (Normalization::Auto, _) => Normalization::Range,
            (kind, _) => kind,
        };
        let impossible = |reason: &str| DataError::Impossible {
            operation: "fit a normalization",
            reason: format!("`{}` {reason}", train.name()),
        };
        if train.is_empty() {
            return Err(impossible("has no rows"));
        }
        let fitted = match kind {
            Normalization::Auto | Normalization::Off => Self { shift: vec![0.0], scale: vec![1.0] },
            Normalization::Range => range(train),
            Normalization::Standardize => standardize(train),
        };
        if fitted.shift.iter().chain(&fitted.scale).any(|x| !x.is_finite()) {
            return Err(impossible("has values that are not finite"));
        }
        Ok(fitted)
    }

    /// The data set with normalized samples, in memory of its own. Targets stay, except that
    /// [`Targets::Samples`](crate::Targets::Samples) are normalized with the samples.
    ///
    /// # Errors
    /// [`DataError::Shape`] where the channels are not those it was fitted on; [`DataError::Count`] and
    /// [`DataError::Impossible`] where it was not fitted but written, and wrongly.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset> {
        self.check(data.sample_shape())?;
        Ok(data.map_samples(|samples| self.change(samples)).with_element(ElementType::F32))
    }

    /// Normalizes samples in place; their last axis must be the one it was fitted on.
    ///
    /// # Errors
    /// As [`Normalizer::apply`], with the length of `samples` as the shape.
    pub fn apply_in_place(&self, samples: &mut [f32]) -> Result<()> {
        if self.shift.len() > 1 && !samples.len().is_multiple_of(self.shift.len()) {
            return Err(self.wrong_shape(&[samples.len()]));
        }
        self.check(&[self.shift.len()])?;
        self.change(samples);
        Ok(())
    }

    fn check(&self, sample_shape: &[usize]) -> Result<()> {
        if self.shift.len() != self.scale.len() || self.shift.is_empty() {
            let what = "scales of a normalization, one for each shift".to_owned();
            return Err(DataError::Count { what, got: self.scale.len(), want: self.shift.len().max(1) });
        }
        let usable = |x: &f32| x.is_finite() && x.abs() > 0.0;
        if !self.scale.iter().all(usable) || self.shift.iter().any(|x| !x.is_finite()) {
            let reason = "a shift is not finite, or a scale is 0 or not finite".to_owned();
            return Err(DataError::Impossible { operation: "normalize", reason });
        }
        if self.shift.len() > 1 && sample_shape.last() != Some(&self.shift.len()) {
            return Err(self.wrong_shape(sample_shape));
        }
        Ok(())
    }

    fn wrong_shape(&self, got: &[usize]) -> DataError {
        let want = format!("{} channels on the last axis", self.shift.len());
        DataError::Shape { what: "normalization", got: got.to_vec(), want }
    }

    fn change(&self, samples: &mut [f32]) {
        if let ([shift], [scale]) = (self.shift.as_slice(), self.scale.as_slice()) {
            samples.iter_mut().for_each(|x| *x = (*x - shift) / scale);
            return;
        }
        for values in samples.chunks_exact_mut(self.shift.len()) {
            for ((x, shift), scale) in values.iter_mut().zip(&self.shift).zip(&self.scale) {
                *x = (*x - shift) / scale;
            }
        }
    }
}

fn range(train: &Dataset) -> Normalizer {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &x in (0..train.len()).flat_map(|row| train.sample(row)) {
        // A comparison would pass over NaN; this keeps it, and `fit` refuses it.
        low = if x < low || x.is_nan() { x } else { low };
        high = if x > high || x.is_nan() { x } else { high };
    }
    let width = high - low;
    let scale = if width.abs() > 0.0 { width } else { 1.0 };
    Normalizer { shift: vec![low], scale: vec![scale] }
}

/// Two passes in f64: the mean, then the squared differences from it.
fn standardize(train: &Dataset) -> Normalizer {
    let channels = train.sample_shape().last().copied().unwrap_or(1);
    let count = (train.len() * (train.sample_size() / channels)) as f64;
    let sums = |of: &dyn Fn(usize, f32) -> f64| {
        let mut sums = vec![0.0_f64; channels];
        for row in 0..train.len() {
            for values in train.sample(row).chunks_exact(channels) {
                for (channel, (sum, &x)) in sums.iter_mut().zip(values).enumerate() {
                    *sum += of(channel, x);
                }
            }
        }
        sums.iter_mut().for_each(|sum| *sum /= count);
        sums
    };
    let means = sums(&|_, x| f64::from(x));
    let variances = sums(&|channel, x| (f64::from(x) - means[channel]).powi(2));
    let scale = variances.iter().zip(&means).map(|(variance, mean)| {
        // Of a constant channel nothing but the rounding of its mean is left.
        let deviation = variance.sqrt();
        if deviation > 1e-9 * mean.abs() { deviation as f32 } else { 1.0 }
    });
    let scale = scale.collect();
    Normalizer { shift: means.iter().map(|&m| m as f32).collect(), scale }
}
