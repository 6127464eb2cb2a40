//! Targets and outputs as a loss reads them: the head of a model, the targets of a batch, the loss for a data set.

use tinsmith_data::{Batch, Dataset};
use tinsmith_layers::Model;
use tinsmith_network::Activation;

use crate::loss::{Head, Loss, Targets};

/// Largest distance of a distribution's sum from 1.
const SUM_TOLERANCE: f32 = 1e-3;

/// Returns the targets of a batch. Mixed-up samples have distributions over the classes as targets.
pub(crate) const fn targets_of<'a>(batch: &Batch<'a>) -> Targets<'a> {
    if batch.targets.is_empty() { Targets::Classes(batch.labels) } else { Targets::Arrays(batch.targets) }
}

/// Returns the activation at the end of a model, if it has one.
pub(crate) fn final_activation(model: &Model) -> Option<&Activation> {
    let last = model.graph().outputs.first().and_then(|&i| model.spec().layers.get(i));
    last.and_then(|layer| layer.op.activation())
}

/// Returns the kind of the model's outputs.
pub(crate) fn head_of(model: &Model) -> Head {
    match final_activation(model) {
        Some(Activation::Linear) | None => Head::Values,
        Some(_) => Head::Probabilities,
    }
}

/// Returns true if every row of target arrays is a probability distribution along its last axis: at least two elements, none
/// negative, sum 1 within [`SUM_TOLERANCE`]. False for class labels.
pub(crate) fn are_distributions(data: &Dataset) -> bool {
    let width = data.target_shape().last().copied().unwrap_or(1);
    let is_distribution =
        |row: &[f32]| row.iter().all(|&t| t >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() <= SUM_TOLERANCE;
    data.labels().is_none()
        && width > 1
        && (0..data.len()).all(|row| data.target(row).chunks(width).all(is_distribution))
}

impl Loss {
    /// Returns the usual loss for the targets of `data`: cross-entropy for class labels and for distributions (one-hot
    /// rows included), mean squared error for all other arrays and for samples as their own targets.
    #[must_use]
    pub fn for_targets(data: &Dataset) -> Self {
        if data.labels().is_some() || are_distributions(data) {
            Self::default()
        } else {
            Self::MeanSquaredError {}
        }
    }
}
