//! Metrics of a classification, equal to scikit-learn's, and of a regression; each with its direction.

mod confusion;
mod regression;

use serde::{Deserialize, Serialize};

use self::confusion::ratio;
pub use self::confusion::{Confusion, Quality};
pub use self::regression::{Regression, RegressionSums};

/// Whether more of a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Less is better.
    Minimize,
    /// More is better.
    Maximize,
}

impl Direction {
    /// Whether `value` is better than `bar` by more than `margin`; NaN is never.
    #[must_use]
    pub fn is_better(self, value: f64, bar: f64, margin: f64) -> bool {
        match self {
            Self::Minimize => value < bar - margin,
            Self::Maximize => value > bar + margin,
        }
    }

    /// What everything is better than.
    #[must_use]
    pub const fn worst(self) -> f64 {
        match self {
            Self::Minimize => f64::INFINITY,
            Self::Maximize => f64::NEG_INFINITY,
        }
    }
}

/// A metric by name.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Metric {
    /// The loss that is trained.
    #[default]
    Loss,
    /// Share of samples whose highest score is their class's.
    Accuracy,
    /// Share of samples whose class is among their `k` highest scores.
    TopK {
        /// How many count.
        k: usize,
    },
    /// Precision of each class, averaged in proportion to the classes' sizes.
    PrecisionWeighted,
    /// Precision of each class, averaged.
    PrecisionMacro,
    /// Recall of each class, averaged in proportion to the classes' sizes.
    RecallWeighted,
    /// Recall of each class, averaged.
    RecallMacro,
    /// F1 of each class, averaged in proportion to the classes' sizes.
    F1Weighted,
    /// F1 of each class, averaged.
    F1Macro,
    /// Mean of `|y - t|`.
    MeanAbsoluteError,
    /// Mean of `(y - t)^2`.
    MeanSquaredError,
    /// Share of the targets' variance that is explained.
    R2,
    /// Peak signal to noise, in decibels.
    Psnr,
}

impl Metric {
    /// Whether more is better.
    #[must_use]
    pub const fn direction(self) -> Direction {
        match self {
            Self::Loss | Self::MeanAbsoluteError | Self::MeanSquaredError => Direction::Minimize,
            _ => Direction::Maximize,
        }
    }

    /// Its name in logs and scores: `accuracy`, `top_5_accuracy`, `f1_macro`.
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

/// The class with the highest score; the first of equals, as NumPy's `argmax`. A NaN counts as the highest.
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

/// How many scores of a row come before its class's, 0 for the highest; equal scores of higher classes come before, as in
/// scikit-learn. None where there is no such class.
#[must_use]
pub fn rank(row: &[f32], truth: usize) -> Option<usize> {
    let &own = row.get(truth)?;
    Some(row.iter().enumerate().filter(|&(c, &s)| s > own || (s == own && c > truth)).count())
}

/// Share of samples whose class is among their `k` highest scores, of rows of `classes` scores; ties go to the
/// higher class, as in scikit-learn.
#[must_use]
pub fn top_k_accuracy(scores: &[f32], classes: usize, truth: &[u32], k: usize) -> f64 {
    let hits = scores
        .chunks_exact(classes.max(1))
        .zip(truth)
        .filter(|(row, truth)| rank(row, **truth as usize).is_some_and(|rank| rank < k))
        .count();
    ratio(hits as u64, truth.len() as u64)
}

/// Mean and sample standard deviation (`n - 1`); deviation 0 for fewer than two values.
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
