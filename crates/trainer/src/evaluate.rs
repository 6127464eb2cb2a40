//! How good a model is on a data set.

use serde::{Deserialize, Serialize};
use tinsmith_core_tensor::Threads;
use tinsmith_data::Dataset;
use tinsmith_foundation::Grant;
use tinsmith_layers::{Mode, Model};

use crate::config::Loss;
use crate::error::{Result, TrainError};
use crate::fit::{loss_of, tensors};
use crate::metric::{Confusion, argmax};

/// Rows evaluated at once: enough to keep kernels busy, few enough to stay in a cache.
const ROWS: usize = 256;

/// A model's loss on a data set, and for classes their confusion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Rows.
    pub rows: usize,
    /// Mean loss.
    pub loss: f64,
    /// Truth against prediction, where the data have classes.
    pub confusion: Option<Confusion>,
}

impl Evaluation {
    /// Share of rows that are right, where the data have classes.
    #[must_use]
    pub fn accuracy(&self) -> Option<f64> {
        self.confusion.as_ref().map(Confusion::accuracy)
    }
}

/// Evaluates `model` on all rows of `data`, in their order.
///
/// # Errors
/// [`TrainError::Empty`] without rows; [`TrainError::Layers`] where the model does not take the samples.
pub fn evaluate(model: &Model, data: &Dataset, loss: Loss, grant: Grant) -> Result<Evaluation> {
    if data.is_empty() {
        return Err(TrainError::Empty { data: data.name().to_owned(), purpose: "evaluation" });
    }
    let is_classification = matches!(loss, Loss::CrossEntropy { .. });
    let mut confusion = is_classification.then(|| Confusion::new(data.class_count()));
    let mut sum = 0.0;
    let mut batches = data.ordered_batches(ROWS)?;
    while let Some(batch) = batches.next_batch() {
        let (samples, targets) = tensors(&batch, data, loss)?;
        let outputs = model.forward_logits(&samples, Mode::Infer)?;
        let mean = loss_of(&outputs, &targets, loss, Threads::from(grant))?;
        sum += f64::from(mean.to_scalar::<f32>()?) * batch.len as f64;
        if let Some(confusion) = &mut confusion {
            let scores: Vec<f32> = outputs.flatten_all()?.to_vec1()?;
            for (row, &truth) in scores.chunks_exact(data.class_count()).zip(batch.labels) {
                confusion.add(truth as usize, argmax(row));
            }
        }
    }
    Ok(Evaluation { rows: data.len(), loss: sum / data.len() as f64, confusion })
}
