//! Gradient of the effective bit operations by learned bit widths.

use tinsmith_layers::{Ebops, Model};

use crate::config::TrainConfig;
use crate::error::Result;

/// Penalty on learned bit widths: their effective bit operations times a weight.
#[derive(Debug)]
pub(super) struct WidthPenalty {
    ebops: Ebops,
    weight: f64,
}

impl WidthPenalty {
    /// Returns None if no bit width is learned or the weight is 0.
    pub(super) fn new(model: &Model, config: &TrainConfig) -> Result<Option<Self>> {
        if config.ebops == 0.0 {
            return Ok(None);
        }
        let ebops = Ebops::of(model)?;
        Ok((!ebops.is_empty()).then_some(Self { ebops, weight: config.ebops }))
    }

    /// Returns gradients by parameter, to be added to those of the loss.
    pub(super) fn gradients(
        &self,
        values: impl FnMut(&str) -> Result<Vec<f32>>,
    ) -> Result<Vec<(String, Vec<f32>)>> {
        let mut found = self.ebops.gradients(values)?.gradients;
        for g in found.iter_mut().flat_map(|(_, gradient)| gradient) {
            *g = (f64::from(*g) * self.weight) as f32;
        }
        Ok(found)
    }
}
