//! Counts of truth against prediction, and what follows from them.

use serde::{Deserialize, Serialize};

/// Precision, recall and F1 of one class or of an average. Undefined ratios are 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quality {
    /// Share of what was called so that is so.
    pub precision: f64,
    /// Share of what is so that was called so.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

/// Counts of truth (rows) against prediction (columns).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Number of classes.
    pub classes: usize,
    /// `classes * classes` counts, row-major.
    pub counts: Vec<u64>,
}

impl Confusion {
    /// No samples yet.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts one sample; classes out of range are not counted.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        if truth < self.classes && predicted < self.classes {
            self.counts[truth * self.classes + predicted] += 1;
        }
    }

    /// All samples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Share on the diagonal; 0 without samples.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|c| self.counts[c * self.classes + c]).sum();
        ratio(right, self.total())
    }

    /// Samples of class `class`.
    #[must_use]
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class * self.classes..(class + 1) * self.classes].iter().sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|row| self.counts[row * self.classes + class]).sum()
    }

    /// Quality of each class.
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

    /// Mean over all classes, those without samples included.
    #[must_use]
    pub fn macro_average(&self) -> Quality {
        self.average(|_| 1.0)
    }

    /// Mean over classes in proportion to their samples.
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
