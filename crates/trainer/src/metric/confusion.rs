//! Confusion matrices and the metrics that follow from them.

use serde::{Deserialize, Serialize};

/// Precision, recall and F1 of one class or of an average. Undefined ratios are 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quality {
    /// Fraction of predicted positives that are correct.
    pub precision: f64,
    /// Fraction of actual positives that are predicted.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

/// Confusion matrix: counts by true class (rows) and predicted class (columns).
///
/// Deserializing refuses counts that are not a square matrix of `classes`, or whose sum is above 2^62.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Confusion {
    /// Number of classes.
    pub classes: usize,
    /// `classes * classes` counts, row-major.
    pub counts: Vec<u64>,
}

/// The fields of a [`Confusion`] as they stand in a file.
#[derive(Deserialize)]
struct Unchecked {
    classes: usize,
    counts: Vec<u64>,
}

/// Largest number of samples. Twice as many still fit into 64 bits, which F1 needs.
const MOST_SAMPLES: u64 = 1 << 62;

impl TryFrom<Unchecked> for Confusion {
    type Error = String;

    fn try_from(Unchecked { classes, counts }: Unchecked) -> Result<Self, String> {
        if classes.checked_mul(classes) != Some(counts.len()) {
            return Err(format!("confusion has {} counts, want {classes} x {classes}", counts.len()));
        }
        let total = counts.iter().try_fold(0_u64, |sum, &count| sum.checked_add(count));
        if total.is_none_or(|total| total > MOST_SAMPLES) {
            return Err(format!("counts of the confusion add up to more than {MOST_SAMPLES}"));
        }
        Ok(Self { classes, counts })
    }
}

impl Confusion {
    /// Returns a matrix of zeros.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts one sample; classes out of range are ignored.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        if truth < self.classes && predicted < self.classes {
            self.counts[truth * self.classes + predicted] += 1;
        }
    }

    /// Returns the number of samples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the fraction of correct predictions; 0 without samples.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|c| self.counts[c * self.classes + c]).sum();
        ratio(right, self.total())
    }

    /// Returns the number of samples of class `class`.
    #[must_use]
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class * self.classes..(class + 1) * self.classes].iter().sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|row| self.counts[row * self.classes + class]).sum()
    }

    /// Returns the quality of each class.
    #[must_use]
    pub fn per_class(&self) -> Vec<Quality> {
        (0..self.classes)
            .map(|class| {
                let right = self.counts[class * self.classes + class];
                let (support, predicted) = (self.support(class), self.predicted(class));
                Quality {
                    precision: ratio(right, predicted),
                    recall: ratio(right, support),
                    f1: ratio(2 * right, support + predicted),
                }
            })
            .collect()
    }

    /// Returns the mean over all classes, including those without samples.
    #[must_use]
    pub fn macro_average(&self) -> Quality {
        self.average(|_| 1.0)
    }

    /// Returns the mean over classes in proportion to their samples.
    #[must_use]
    pub fn weighted_average(&self) -> Quality {
        self.average(|class| self.support(class) as f64)
    }

    fn average(&self, weight: impl Fn(usize) -> f64) -> Quality {
        let mut sum = Quality::default();
        let mut weights = 0.0;
        for (class, q) in self.per_class().into_iter().enumerate() {
            let w = weight(class);
            weights += w;
            sum.precision += w * q.precision;
            sum.recall += w * q.recall;
            sum.f1 += w * q.f1;
        }
        if weights > 0.0 {
            sum.precision /= weights;
            sum.recall /= weights;
            sum.f1 /= weights;
        }
        sum
    }
}

pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
