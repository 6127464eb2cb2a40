//! Normalization of samples, with constants fitted on the training part alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::error::{DataError, Result};

/// Method of normalization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Rows of a table: [`Robust`](Self::Robust), but [`Range`](Self::Range) for at least 64 columns of whole numbers
    /// within 0 to 255 (the pixels of a flattened image). Images and series: [`Range`](Self::Range) for integers,
    /// otherwise [`Standardize`](Self::Standardize).
    #[default]
    Auto,
    /// No change.
    Off,
    /// `(x - min) / (max - min)` over all values of the training samples: results in [0, 1]; bytes of 0 to 255 are
    /// divided by 255.
    Range,
    /// `(x - mean) / deviation` for each channel (the last axis: the columns of a table). The deviation is that of the
    /// population; 1 for a constant channel, whose deviation is at most 1e-9 of its mean.
    Standardize,
    /// One method for each channel, chosen by its tails; see [`ScaleRule`].
    Robust,
}

/// Rule that the constants of one channel were fitted by, under [`Normalization::Robust`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRule {
    /// At most two different values: mapped to 0 and 1.
    Range,
    /// Mean and standard deviation.
    Deviation,
    /// Heavy tails, with values beyond 8 standard deviations: mean and standard deviation after clipping to the 1 % and
    /// 99 % quantiles. The farthest value stays within 64 of the resulting units. The values themselves are not clipped.
    ClippedDeviation,
}

impl ScaleRule {
    /// Name as in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::Deviation => "deviation",
            Self::ClippedDeviation => "clipped deviation",
        }
    }
}

/// Standard deviations from the mean beyond which a channel has heavy tails.
const TAIL: f64 = 8.0;

/// Fraction of the values that is clipped at each end of a channel with heavy tails.
const CLIPPED: f64 = 0.01;

/// Largest distance of a normalized value from 0 in a channel with heavy tails: larger inputs destabilize training.
const FARTHEST: f64 = 64.0;

/// Columns of bytes that are taken for the pixels of a flattened image.
const PIXELS: usize = 64;

/// Fitted normalization: `y = (x - shift) / scale`, with one pair for all values or one for each channel. It is stored
/// beside a model, which needs its inputs normalized in the same way.
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
    /// Subtrahends: one value, or one per channel.
    pub shift: Vec<f32>,
    /// Divisors, as many; never 0.
    pub scale: Vec<f32>,
    /// Rules that the channels were fitted by; empty unless the method was [`Normalization::Robust`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<ScaleRule>,
}

impl Normalizer {
    /// Fits the constants of a method on a training part.
    ///
    /// # Errors
    /// [`DataError::Impossible`] if there are no rows or a value is not finite.
    pub fn fit(train: &Dataset, method: Normalization) -> Result<Self> {
        let impossible = |reason: &str| DataError::Impossible {
            operation: "fit a normalization",
            reason: format!("`{}` {reason}", train.name()),
        };
        if train.is_empty() {
            return Err(impossible("has no rows"));
        }
        let method = if method == Normalization::Auto { automatic(train) } else { method };
        let fitted = match method {
            Normalization::Auto | Normalization::Off => {
                Self { shift: vec![0.0], scale: vec![1.0], rules: Vec::new() }
            }
            Normalization::Range => range(train),
            Normalization::Standardize => standardize(train),
            Normalization::Robust => robust(train),
        };
        if fitted.shift.iter().chain(&fitted.scale).any(|x| !x.is_finite()) {
            return Err(impossible("has values that are not finite"));
        }
        Ok(fitted)
    }

    /// Normalizes all samples of a data set, in new memory. Targets are unchanged, except that
    /// [`Targets::Samples`](crate::Targets::Samples) are normalized with the samples.
    ///
    /// # Errors
    /// [`DataError::Shape`] if the data set does not have the channels it was fitted on; [`DataError::Count`] and
    /// [`DataError::Impossible`] for constants that were not fitted but written, and cannot be used.
    pub fn apply(&self, data: &Dataset) -> Result<Dataset> {
        self.check(data.sample_shape())?;
        Ok(data.map_samples(|samples| self.change(samples)).with_element(crate::array::ElementType::F32))
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

    /// Describes the normalization in one line, for example `each of 9 columns by itself: 7 by deviation, 2 by clipped
    /// deviation`.
    #[must_use]
    pub fn summary(&self) -> String {
        if let ([shift], [scale]) = (self.shift.as_slice(), self.scale.as_slice()) {
            return match self.rules.first() {
                Some(rule) => format!("(x - {shift}) / {scale}, by {}", rule.name()),
                None => format!("(x - {shift}) / {scale} for all values"),
            };
        }
        let count = self.shift.len();
        if self.rules.is_empty() {
            return format!("each of {count} channels by its mean and deviation");
        }
        let mut counts: BTreeMap<ScaleRule, usize> = BTreeMap::new();
        for &rule in &self.rules {
            *counts.entry(rule).or_default() += 1;
        }
        let parts: Vec<String> =
            counts.iter().map(|(rule, count)| format!("{count} by {}", rule.name())).collect();
        format!("each of {count} columns by itself: {}", parts.join(", "))
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

/// The method of [`Normalization::Auto`].
fn automatic(train: &Dataset) -> Normalization {
    match train.sample_shape() {
        [columns] if *columns >= PIXELS && are_bytes(train) => Normalization::Range,
        [_] => Normalization::Robust,
        _ if train.element().is_integer() => Normalization::Range,
        _ => Normalization::Standardize,
    }
}

fn are_bytes(train: &Dataset) -> bool {
    let is_byte = |x: &f32| (0.0..=255.0).contains(x) && x.fract().abs() < f32::EPSILON;
    (0..train.len()).all(|row| train.sample(row).iter().all(is_byte))
}

fn range(train: &Dataset) -> Normalizer {
    let (mut low, mut high) = (f32::INFINITY, f32::NEG_INFINITY);
    for &x in (0..train.len()).flat_map(|row| train.sample(row)) {
        // `min` and `max` skip NaN; here it must survive, so that `fit` refuses it.
        low = if x < low || x.is_nan() { x } else { low };
        high = if x > high || x.is_nan() { x } else { high };
    }
    let width = high - low;
    let scale = if width.abs() > 0.0 { width } else { 1.0 };
    Normalizer { shift: vec![low], scale: vec![scale], rules: Vec::new() }
}

/// Means and deviations in f64 in two passes: the mean, then the squared differences from it.
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
    let scale =
        variances.iter().zip(&means).map(|(&variance, &mean)| deviation_or_one(mean, variance.sqrt()) as f32);
    let scale = scale.collect();
    Normalizer { shift: means.iter().map(|&m| m as f32).collect(), scale, rules: Vec::new() }
}

/// A constant channel has only the rounding error of its mean as its deviation; it is divided by 1 instead.
fn deviation_or_one(mean: f64, deviation: f64) -> f64 {
    // Written so that NaN is kept and refused later.
    if deviation <= 1e-9 * mean.abs() { 1.0 } else { deviation }
}

fn robust(train: &Dataset) -> Normalizer {
    let channels = train.sample_shape().last().copied().unwrap_or(1);
    let mut fitted = Normalizer { shift: Vec::new(), scale: Vec::new(), rules: Vec::new() };
    let mut values = Vec::new();
    for channel in 0..channels {
        values.clear();
        for row in 0..train.len() {
            values.extend(train.sample(row).iter().skip(channel).step_by(channels).map(|&x| f64::from(x)));
        }
        let (shift, scale, rule) = fit_channel(&mut values);
        fitted.shift.push(shift as f32);
        fitted.scale.push(scale as f32);
        fitted.rules.push(rule);
    }
    fitted
}

/// Shift, scale and rule of one channel; NaN if a value is NaN. Reorders the values.
fn fit_channel(values: &mut [f64]) -> (f64, f64, ScaleRule) {
    let (mean, deviation) = moments(values);
    if !deviation.is_finite() {
        return (f64::NAN, f64::NAN, ScaleRule::Deviation);
    }
    values.sort_by(f64::total_cmp);
    let (low, high) = (values[0], values[values.len() - 1]);
    if values.iter().all(|&x| x <= low || x >= high) {
        return (low, if high > low { high - low } else { 1.0 }, ScaleRule::Range);
    }
    let plain = (mean, deviation_or_one(mean, deviation), ScaleRule::Deviation);
    if (mean - low).max(high - mean) <= TAIL * deviation {
        return plain;
    }
    let last = (values.len() - 1) as f64;
    let (start, end) = ((CLIPPED * last) as usize, ((1.0 - CLIPPED) * last).ceil() as usize);
    let (from, to) = (values[start], values[end]);
    values.iter_mut().for_each(|x| *x = x.clamp(from, to));
    let (center, core) = moments(values);
    let scale = core.max((center - low).max(high - center) / FARTHEST);
    // A column that is constant but for its outliers has no core to resolve.
    if core <= 1e-9 * center.abs() || core <= 0.0 || scale >= deviation {
        return plain;
    }
    (center, scale, ScaleRule::ClippedDeviation)
}

fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_the_rule_of_its_tails() {
        let mut binary = vec![1.0, 0.0, 1.0, 0.0];
        assert_eq!(fit_channel(&mut binary), (0.0, 1.0, ScaleRule::Range));
        assert_eq!(fit_channel(&mut [5.0; 4]), (5.0, 1.0, ScaleRule::Range));
        let (shift, scale, rule) = fit_channel(&mut [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((shift, rule), (3.0, ScaleRule::Deviation));
        assert!((scale - 2.0_f64.sqrt()).abs() < 1e-12);
        // A core of -2 to 2 with two values at 13,000.
        let mut heavy: Vec<f64> = (0..2000).map(|i| f64::from(i % 5) - 2.0).collect();
        heavy.extend([13_000.0, 13_000.0]);
        let (_, scale, rule) = fit_channel(&mut heavy);
        assert_eq!(rule, ScaleRule::ClippedDeviation);
        assert!((200.0..204.0).contains(&scale), "{scale}");
        // All but the outlier are equal.
        let mut spike = vec![1.0; 1000];
        spike.extend([500.0, 500.5]);
        assert_eq!(fit_channel(&mut spike).2, ScaleRule::Deviation);
    }
}
