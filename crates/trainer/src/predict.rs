//! Outputs of a trained model, row by row.

use tinsmith_data::Dataset;
use tinsmith_kernels::softmax::softmax;
use tinsmith_layers::Model;

use crate::engine;
use crate::error::Result;
use crate::evaluate::{ROWS, predicted};
use crate::loss::{Head, Loss};
use crate::targets::head_of;

/// Class that a model predicts for one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassPrediction {
    /// Index of the class.
    pub class: usize,
    /// Probability of that class. After a loss that knows no probabilities (mean squared error, for example), the output
    /// itself.
    pub probability: f64,
}

/// Predicts the class of each row, in order. `loss` is that of the training: it decides how outputs become probabilities.
///
/// # Errors
/// [`TrainError::Layers`](crate::TrainError::Layers) if the model does not take the samples.
pub fn predict_classes(model: &Model, data: &Dataset, loss: Loss) -> Result<Vec<ClassPrediction>> {
    let head = head_of(model);
    let mut found = Vec::with_capacity(data.len());
    for_each_row(model, data, loss, |row| found.push(classified(row, head, loss)))?;
    Ok(found)
}

/// Returns the outputs for all rows one after another, `[rows, output shape…]`.
///
/// # Errors
/// As [`predict_classes`].
pub fn predict_values(model: &Model, data: &Dataset) -> Result<Vec<f32>> {
    let mut found = Vec::new();
    // Under cross-entropy a final softmax would be left out.
    for_each_row(model, data, Loss::MeanSquaredError {}, |row| found.extend_from_slice(row))?;
    Ok(found)
}

fn for_each_row(model: &Model, data: &Dataset, loss: Loss, mut take: impl FnMut(&[f32])) -> Result<()> {
    let output = model.graph().outputs.first().map_or(&[][..], |&i| model.graph().shape(i));
    let each = output.iter().product::<usize>().max(1);
    let mut engine = engine::inference(model, loss, ROWS)?;
    let mut batches = data.ordered_batches(ROWS)?;
    while let Some(batch) = batches.next_batch() {
        engine.predict(model, batch.samples, batch.len)?;
        engine.outputs().chunks_exact(each).take(batch.len).for_each(&mut take);
    }
    Ok(())
}

fn classified(row: &[f32], head: Head, loss: Loss) -> ClassPrediction {
    let class = predicted(row, head);
    let probability = match (loss, row) {
        (Loss::CrossEntropy { .. }, [_, _, ..]) => {
            let mut values = vec![0.0; row.len()];
            softmax(&mut values, row, row.len(), 1);
            values[class]
        }
        (_, &[output]) => {
            let one = if head == Head::Values { sigmoid(output) } else { output };
            if class == 1 { one } else { 1.0 - one }
        }
        (Loss::BinaryCrossEntropy { .. }, _) if head == Head::Values => sigmoid(row[class]),
        _ => row[class],
    };
    ClassPrediction { class, probability: f64::from(probability) }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_become_the_probability_of_the_predicted_class() {
        let check = |row: &[f32], head, loss, class, probability: f64| {
            let found = classified(row, head, loss);
            assert_eq!(found.class, class, "{row:?}");
            assert!((found.probability - probability).abs() < 1e-6, "{row:?}: {found:?}");
        };
        let (cross, binary) = (Loss::default(), Loss::BinaryCrossEntropy { label_smoothing: 0.0 });
        check(&[0.0, 3.0_f32.ln()], Head::Values, cross, 1, 0.75);
        check(&[3.0_f32.ln()], Head::Values, binary, 1, 0.75);
        check(&[0.2], Head::Probabilities, binary, 0, 0.8);
        check(&[0.2, 0.6], Head::Probabilities, binary, 1, 0.6);
        check(&[2.0, 0.6], Head::Values, Loss::MeanSquaredError {}, 0, 2.0);
    }
}
