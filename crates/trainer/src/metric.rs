//! Metrics for classification, equal to scikit-learn's, and for regression; each with its direction.

mod confusion;
mod regression;

use serde::{Deserialize, Serialize};

use self::confusion::ratio;
pub use self::confusion::{Confusion, Quality};
pub use self::regression::{Regression, RegressionSums};

/// Direction in which a metric improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Direction {
    /// Returns true if `value` is better than `bar` by more than `margin`; always false for NaN.
    #[must_use]
    pub fn is_better(self, value: f64, bar: f64, margin: f64) -> bool {
        match self {
            Self::Minimize => value < bar - margin,
            Self::Maximize => value > bar + margin,
        }
    }

    /// Returns the worst value: every number is better.
    #[must_use]
    pub const fn worst(self) -> f64 {
        match self {
            Self::Minimize => f64::INFINITY,
            Self::Maximize => f64::NEG_INFINITY,
        }
    }
}

/// Kind of targets that a metric is defined for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applies {
    /// Any targets.
    Always,
    /// Class labels.
    Classes,
    /// Target arrays.
    Arrays,
}

/// Metric to measure or monitor.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Metric {
    /// Loss of the training.
    #[default]
    Loss,
    /// Fraction of samples that are classified correctly.
    Accuracy,
    /// Fraction of samples whose class is among their `k` highest scores.
    TopK {
        /// Number of highest scores that count.
        k: usize,
    },
    /// Precision, averaged over classes in proportion to their size.
    PrecisionWeighted,
    /// Precision, averaged over classes.
    PrecisionMacro,
    /// Recall, averaged over classes in proportion to their size.
    RecallWeighted,
    /// Recall, averaged over classes.
    RecallMacro,
    /// F1, averaged over classes in proportion to their size.
    F1Weighted,
    /// F1, averaged over classes.
    F1Macro,
    /// Mean of `|y - t|`.
    MeanAbsoluteError,
    /// Mean of `(y - t)^2`.
    MeanSquaredError,
    /// Fraction of the variance of the targets that is explained.
    R2,
    /// Peak signal-to-noise ratio, in decibels.
    Psnr,
}

impl Metric {
    /// Returns the direction in which the metric improves.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Loss | Self::MeanAbsoluteError | Self::MeanSquaredError => Direction::Minimize,
            _ => Direction::Maximize,
        }
    }

    /// Returns the targets that this metric is defined for.
    pub(crate) const fn applies_to(self) -> Applies {
        match self {
            Self::Loss => Applies::Always,
            Self::MeanAbsoluteError | Self::MeanSquaredError | Self::R2 | Self::Psnr => Applies::Arrays,
            Self::Accuracy
            | Self::TopK { .. }
            | Self::PrecisionWeighted
            | Self::PrecisionMacro
            | Self::RecallWeighted
            | Self::RecallMacro
            | Self::F1Weighted
            | Self::F1Macro => Applies::Classes,
        }
    }

    /// Returns the name in logs and scores: `accuracy`, `top_5_accuracy`, `f1_macro`.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::TopK { k } => format!("top_{k}_accuracy"),
            Self::Loss => "loss".to_owned(),
            Self::Accuracy => "accuracy".to_owned(),
            Self::PrecisionWeighted => "precision_weighted".to_owned(),
            Self::PrecisionMacro => "precision_macro".to_owned(),
            Self::RecallWeighted => "recall_weighted".to_owned(),
            Self::RecallMacro => "recall_macro".to_owned(),
            Self::F1Weighted => "f1_weighted".to_owned(),
            Self::F1Macro => "f1_macro".to_owned(),
            Self::MeanAbsoluteError => "mean_absolute_error".to_owned(),
            Self::MeanSquaredError => "mean_squared_error".to_owned(),
            Self::R2 => "r2".to_owned(),
            Self::Psnr => "psnr".to_owned(),
        }
    }
}

/// Returns the class with the highest score; the first of equals, as `argmax` in NumPy. NaN counts as highest.
#[must_use]
pub fn argmax(scores: &[f32]) -> usize {
    let mut best = 0;
    for (i, &s) in scores.iter().enumerate() {
        if scores[best].is_nan() {
            break;
        }
        if s > scores[best] || s.is_nan() {
            best = i;
        }
    }
    best
}

/// Returns the rank of the true class in a row of scores, 0 for the highest. Of equal scores the higher class comes
/// first, as in scikit-learn. None if there is no such class.
#[must_use]
pub fn rank(row: &[f32], truth: usize) -> Option<usize> {
    let &own = row.get(truth)?;
    Some(row.iter().enumerate().filter(|&(c, &s)| s > own || (s == own && c > truth)).count())
}

/// Returns the fraction of samples whose class is among their `k` highest scores, for rows of `classes` scores. Ties
/// go to the higher class, as in scikit-learn.
#[must_use]
pub fn top_k_accuracy(scores: &[f32], classes: usize, truth: &[u32], k: usize) -> f64 {
    let hits = scores
        .chunks_exact(classes.max(1))
        .zip(truth)
        .filter(|(row, truth)| rank(row, **truth as usize).is_some_and(|rank| rank < k))
        .count();
    ratio(hits as u64, truth.len() as u64)
}

/// Returns mean and sample standard deviation (`n - 1`); the deviation of fewer than two values is 0.
#[must_use]
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let n = values.len();
    if n == 0 {
        return (0.0, 0.0);
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (mean, if n < 2 { 0.0 } else { (squares / (n - 1) as f64).sqrt() })
}
