//! Evaluation of a model on a data set.

use serde::{Deserialize, Serialize};
use tinsmith_data::Dataset;
use tinsmith_foundation::Grant;
use tinsmith_kernels::Threads;
use tinsmith_layers::Model;

use crate::engine::{self, Engine};
use crate::error::{Result, TrainError};
use crate::loss::{Head, Loss, LossInput};
use crate::metric::{Confusion, Metric, Quality, Regression, RegressionSums, argmax, rank};
use crate::targets::{head_of, targets_of};

/// Rows per batch: enough to keep the kernels busy, few enough for the cache.
pub(crate) const ROWS: usize = 256;

/// Loss of a model on a data set, and the metrics that follow from its outputs.
///
/// Deserializing refuses more counted rows than `rows`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Evaluation {
    /// Rows.
    pub rows: usize,
    /// Mean loss.
    pub loss: f64,
    /// Confusion matrix, if the targets are classes.
    pub confusion: Option<Confusion>,
    /// Number of rows whose class has each [`rank`], from the highest score down; empty without classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<u64>,
    /// Regression measures, if the targets are arrays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regression: Option<Regression>,
}

/// The fields of an [`Evaluation`] as they stand in a file.
#[derive(Deserialize)]
struct Unchecked {
    rows: usize,
    loss: f64,
    confusion: Option<Confusion>,
    #[serde(default)]
    ranks: Vec<u64>,
    #[serde(default)]
    regression: Option<Regression>,
}

impl TryFrom<Unchecked> for Evaluation {
    type Error = String;

    fn try_from(fields: Unchecked) -> Result<Self, String> {
        let Unchecked { rows, loss, confusion, ranks, regression } = fields;
        let counted = confusion.as_ref().map_or(0, Confusion::total);
        let ranked = ranks.iter().try_fold(0_u64, |sum, &count| sum.checked_add(count));
        for (name, count) in [("confusion", Some(counted)), ("ranks", ranked)] {
            if count.is_none_or(|count| count > rows as u64) {
                return Err(format!("{name} counts more samples than the {rows} rows"));
            }
        }
        Ok(Self { rows, loss, confusion, ranks, regression })
    }
}

impl Evaluation {
    /// Fraction of rows that are classified correctly; None without classes.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        self.confusion.as_ref().map(Confusion::accuracy)
    }

    /// Returns a metric; None if it is not defined for the targets.
    #[must_use]
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        let confusion = self.confusion.as_ref();
        let weighted = |of: fn(Quality) -> f64| confusion.map(|c| of(c.weighted_average()));
        let plain = |of: fn(Quality) -> f64| confusion.map(|c| of(c.macro_average()));
        match metric {
            Metric::Loss => Some(self.loss),
            Metric::Accuracy => self.accuracy(),
            Metric::TopK { k } => (!self.ranks.is_empty())
                .then(|| self.ranks.iter().take(k).sum::<u64>() as f64 / self.rows.max(1) as f64),
            Metric::PrecisionWeighted => weighted(|q| q.precision),
            Metric::PrecisionMacro => plain(|q| q.precision),
            Metric::RecallWeighted => weighted(|q| q.recall),
            Metric::RecallMacro => plain(|q| q.recall),
            Metric::F1Weighted => weighted(|q| q.f1),
            Metric::F1Macro => plain(|q| q.f1),
            Metric::MeanAbsoluteError => self.regression.map(|r| r.mean_absolute_error),
            Metric::MeanSquaredError => self.regression.map(|r| r.mean_squared_error),
            Metric::R2 => self.regression.map(|r| r.r2),
            Metric::Psnr => self.regression?.psnr,
        }
    }
}

/// Evaluates `model` on all rows of `data`, in order.
///
/// # Errors
/// [`TrainError::Empty`] without rows; [`TrainError::Layers`] if the model does not take the samples.
pub fn evaluate(model: &Model, data: &Dataset, loss: Loss, grant: Grant) -> Result<Evaluation> {
    let mut engine = engine::inference(model, loss, ROWS)?;
    evaluate_with(engine.as_mut(), model, data, loss, grant)
}

/// Evaluates with an engine that holds the weights of the model.
pub(crate) fn evaluate_with(
    engine: &mut dyn Engine,
    model: &Model,
    data: &Dataset,
    loss: Loss,
    grant: Grant,
) -> Result<Evaluation> {
    if data.is_empty() {
        return Err(TrainError::Empty { data: data.name().to_owned(), purpose: "evaluation" });
    }
    let head = head_of(model);
    let output = model.graph().outputs.first().map_or(&[][..], |&i| model.graph().shape(i));
    let (each, width) = (output.iter().product::<usize>().max(1), output.last().copied().unwrap_or(1));
    let has_classes = data.labels().is_some();
    let mut confusion = has_classes.then(|| Confusion::new(data.class_count()));
    let mut ranks = vec![0; if has_classes && each > 1 { each } else { 0 }];
    let mut regression = (!has_classes).then(|| RegressionSums::new(each));
    let mut sum = 0.0;
    let mut batches = data.ordered_batches(ROWS)?;
    while let Some(batch) = batches.next_batch() {
        engine.predict(model, batch.samples, batch.len)?;
        let outputs = engine.outputs();
        let targets = targets_of(&batch);
        let judged = LossInput { outputs, rows: batch.len, width, head, targets, soft: None, weights: &[] };
        sum += judged.loss(loss, 1.0, &mut [], Threads::new(grant.threads()));
        if let Some(confusion) = &mut confusion {
            for (row, &truth) in outputs.chunks_exact(each).zip(batch.labels) {
                confusion.add(truth as usize, predicted(row, head));
                if let Some(count) = rank(row, truth as usize).and_then(|rank| ranks.get_mut(rank)) {
                    *count += 1;
                }
            }
        }
        if let Some(regression) = &mut regression {
            let rows = outputs.chunks_exact(each).zip(batch.targets.chunks_exact(each));
            rows.for_each(|(outputs, targets)| regression.add(outputs, targets));
        }
    }
    let regression = regression.and_then(|sums| sums.finish());
    Ok(Evaluation { rows: data.len(), loss: sum / data.len() as f64, confusion, ranks, regression })
}

/// Returns the predicted class: the highest output; for a single output class 1 if it is more likely than class 0.
pub(crate) fn predicted(row: &[f32], head: Head) -> usize {
    match (row, head) {
        ([logit], Head::Values) => usize::from(*logit > 0.0),
        ([probability], Head::Probabilities) => usize::from(*probability > 0.5),
        _ => argmax(row),
    }
}
