//! Figures of a trained network on a data set.

use std::path::PathBuf;

use serde::Serialize;
use tinsmith_foundation::Grant;
use tinsmith_trainer::{Confusion, evaluate};

use crate::bench::{Session, scope};
use crate::error::Result;
use crate::stage::inference::{DataPart, InferenceInput};

/// Figures of a trained network on rows of a data set. Figures that do not apply to the targets are absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EvaluationReport {
    /// The network, as it was named.
    pub weights: PathBuf,
    /// The data set's name.
    pub data: String,
    /// The rows.
    pub part: DataPart,
    /// Number of rows.
    pub rows: usize,
    /// File of the normalization; absent if the samples were used as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalizer: Option<PathBuf>,
    /// Name of the loss: that of the training if it is recorded beside the weights, otherwise the usual one for the targets.
    pub loss_name: String,
    /// Mean loss.
    pub loss: f64,
    /// Fraction of rows that are classified correctly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Mean recall over the classes that have rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balanced_accuracy: Option<f64>,
    /// Figures of each class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassFigures>,
    /// Counts by true class (rows) and predicted class (columns).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// Root of the mean squared error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmse: Option<f64>,
    /// Mean absolute error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mae: Option<f64>,
    /// Fraction of the variance of the targets that is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r2: Option<f64>,
}

/// Figures of one class. Undefined ratios are 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Name of the class.
    pub class: String,
    /// Fraction of the rows predicted as this class that belong to it.
    pub precision: f64,
    /// Fraction of the rows of this class that are predicted as it.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
    /// Number of rows of this class.
    pub support: u64,
}

/// Evaluates a trained network, with the normalization of its training.
///
/// # Errors
/// [`WorkshopError::Train`](crate::WorkshopError::Train) for samples of another shape,
/// [`WorkshopError::OtherTargets`](crate::WorkshopError::OtherTargets) and
/// [`WorkshopError::OtherClass`](crate::WorkshopError::OtherClass) for targets that the network was not trained for, and
/// errors of reading network, data or normalization.
pub fn evaluate_network(input: &InferenceInput, session: &Session<'_>) -> Result<EvaluationReport> {
    let loaded = input.load(session)?;
    loaded.require_targets()?;
    let grant = scope(0).map(vec![()], |grant, ()| grant).pop().unwrap_or(Grant::ONE);
    let found = evaluate(&loaded.model, &loaded.data, loaded.loss, grant)?;
    let confusion = found.confusion.as_ref();
    Ok(EvaluationReport {
        weights: input.weights.clone(),
        data: loaded.data.name().to_owned(),
        part: input.part,
        rows: found.rows,
        normalizer: loaded.normalizer,
        loss_name: loaded.loss.name().to_owned(),
        loss: found.loss,
        accuracy: found.accuracy(),
        balanced_accuracy: confusion.map(balanced_accuracy),
        classes: confusion
            .map_or_else(Vec::new, |confusion| class_figures(confusion, loaded.data.class_names())),
        confusion: confusion.map_or_else(Vec::new, |confusion| {
            confusion.counts.chunks(confusion.classes).map(<[u64]>::to_vec).collect()
        }),
        rmse: found.regression.map(|r| r.mean_squared_error.sqrt()),
        mae: found.regression.map(|r| r.mean_absolute_error),
        r2: found.regression.map(|r| r.r2),
    })
}

/// Mean recall over the classes that have rows, as `balanced_accuracy_score` in scikit-learn.
fn balanced_accuracy(confusion: &Confusion) -> f64 {
    let recalls = confusion.per_class().into_iter().enumerate();
    let recalls: Vec<f64> = recalls
        .filter(|(class, _)| confusion.support(*class) > 0)
        .map(|(_, quality)| quality.recall)
        .collect();
    recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
}

fn class_figures(confusion: &Confusion, names: &[String]) -> Vec<ClassFigures> {
    let qualities = confusion.per_class().into_iter().zip(names).enumerate();
    qualities
        .map(|(class, (quality, name))| ClassFigures {
            class: name.clone(),
            precision: quality.precision,
            recall: quality.recall,
            f1: quality.f1,
            support: confusion.support(class),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_accuracy_leaves_out_classes_without_rows() {
        // Nine of ten rows of class 0, one of two of class 1, none of class 2.
        let confusion = Confusion { classes: 3, counts: vec![9, 1, 0, 0, 1, 1, 0, 0, 0] };
        assert!((balanced_accuracy(&confusion) - 0.7).abs() < 1e-12);
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let figures = class_figures(&confusion, &names);
        assert_eq!((figures[1].class.as_str(), figures[1].support), ("b", 2));
        assert!((figures[1].precision - 0.5).abs() < 1e-12);
    }
}
