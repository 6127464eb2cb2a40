//! Engines that execute training steps. An engine takes the weights of a model, changes them step by step and returns
//! them; the training loop depends on nothing else.

mod graph;
mod planned;
mod step;
#[cfg(test)]
mod tests;
mod width_penalty;

use tinsmith_layers::Model;

use crate::config::TrainConfig;
use crate::error::Result;
use crate::loss::Loss;
use crate::optimizer::{OptimizerConfig, Rule};

pub(crate) use graph::batch;
pub(crate) use step::{Engine, TrainStep, Update};

/// Finds the first layer whose output for these samples is not finite at the current weights.
pub(crate) fn find_non_finite(model: &Model, samples: &[f32], rows: usize) -> Result<Option<String>> {
    let found = model.first_non_finite(&[&batch(model, samples, rows)?], None)?;
    Ok(found.map(|found| found.layer))
}

/// Creates the engine for batches of up to `rows`: a plan on the CPU, candle's graph on other devices and for dropped
/// connections, which a plan does not implement.
pub(crate) fn start(model: &Model, config: &TrainConfig, rows: usize) -> Result<Box<dyn Engine>> {
    if !model.device().is_cpu() || config.drop_connect > 0.0 {
        return Ok(Box::new(graph::Graph::new(model, config)?));
    }
    Ok(Box::new(planned::Planned::new(model, config, rows, true)?))
}

/// Creates an engine that only predicts, in batches of up to `rows`.
pub(crate) fn inference(model: &Model, loss: Loss, rows: usize) -> Result<Box<dyn Engine>> {
    // A rule without state, because nothing is trained.
    let optimizer =
        OptimizerConfig { rule: Rule::Sgd { momentum: 0.0, nesterov: false }, ..OptimizerConfig::default() };
    let config = TrainConfig { loss, optimizer, batch_size: rows, ..TrainConfig::default() };
    if model.device().is_cpu() {
        Ok(Box::new(planned::Planned::new(model, &config, rows, false)?))
    } else {
        Ok(Box::new(graph::Graph::new(model, &config)?))
    }
}
