//! Activation ranges of a trained network, measured on training rows.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use tinsmith_data::Dataset;
use tinsmith_layers::Model;

use crate::error::Result;

/// Rows that activations are measured on; more rows hardly move the maxima.
const CALIBRATION_ROWS: usize = 512;

/// Returns the largest magnitude of each layer's output on the first 512 rows of `train`, by layer name.
///
/// Quantizers of activations derive their fixed-point position from it.
///
/// # Errors
/// [`crate::TrainError::Layers`] if the network does not take the samples, [`crate::TrainError::Data`] and
/// [`crate::TrainError::Candle`] if a batch cannot be made.
pub fn activation_ranges(model: &Model, train: &Dataset) -> Result<BTreeMap<String, f64>> {
    let rows: Vec<usize> = (0..train.len().min(CALIBRATION_ROWS)).collect();
    let calibration = train.subset(&rows)?;
    let mut ranges = BTreeMap::new();
    let mut batches = calibration.ordered_batches(CALIBRATION_ROWS)?;
    while let Some(batch) = batches.next_batch() {
        let shape: Vec<usize> =
            std::iter::once(batch.len).chain(calibration.sample_shape().iter().copied()).collect();
        let samples = Tensor::from_slice(batch.samples, shape, &Device::Cpu)?;
        for (name, values) in model.activations(&samples)?.iter() {
            let values: Vec<f32> = values.flatten_all()?.to_vec1()?;
            let largest = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            ranges.insert(name.to_owned(), f64::from(largest));
        }
    }
    Ok(ranges)
}
