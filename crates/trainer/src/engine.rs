//! What a training step is done by. The loop of [`crate::fit`] knows no more of it than this: an engine takes the
//! weights of a model, changes them step by step, and gives them back.

mod graph;
mod planned;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Debug;

use tinsmith_foundation::Seed;
use tinsmith_layers::{Ebops, Model};

use crate::config::TrainConfig;
use crate::error::Result;
use crate::loss::{Loss, Soft, Targets};
use crate::optimizer::{OptimizerConfig, Rule};

pub(crate) use graph::batch;

/// One batch, and what is to be done with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<'a> {
    /// `[rows, sample shape…]`.
    pub(crate) samples: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) targets: Targets<'a>,
    /// What a teacher put out for the same samples.
    pub(crate) soft: Option<Soft<'a>>,
    /// A factor for each row's loss; empty where all are 1.
    pub(crate) weights: &'a [f32],
    /// Of everything random in this step: dropout, stochastic quantizers, dropped connections.
    pub(crate) seed: Seed,
    /// Rows of all batches whose gradients make up one update: the gradient is that of the sum of their losses
    /// divided by this.
    pub(crate) divisor: usize,
    /// The update after this batch; None where the gradient is only kept, to be added to the next batch's.
    pub(crate) update: Option<Update>,
}

/// An optimizer's step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    pub(crate) learning_rate: f64,
    /// Its number, from 1.
    pub(crate) number: u64,
}

/// The optimizer's state by parameter: [`slots`](crate::Rule::slots) blocks as long as the parameter, one after another.
pub(crate) type Moments = BTreeMap<String, Vec<f32>>;

/// Does training steps on a model's behalf. Between [`enter`](Engine::enter) and [`leave`](Engine::leave) the engine
/// owns the weights, and the model's may be stale.
pub(crate) trait Engine: Debug {
    /// Takes over the model's weights, masks and flags. Moments stay; those of pruned elements become zero.
    fn enter(&mut self, model: &Model) -> Result<()>;

    /// Gives the weights back to the model, the moving statistics of its normalizations included.
    fn leave(&mut self, model: &Model) -> Result<()>;

    /// Forward in training mode, loss, backward, and, where the step says so, the update: penalties, masks, clipping,
    /// the optimizer's rule. Returns the loss summed over rows, at the weights before the update, without penalties.
    /// Where it is not finite nothing was changed but moving statistics.
    fn step(&mut self, model: &Model, step: &Step<'_>) -> Result<f64>;

    /// Inference.
    fn predict(&mut self, model: &Model, samples: &[f32], rows: usize) -> Result<()>;

    /// What the last [`step`](Engine::step) or [`predict`](Engine::predict) put out, `[rows, output shape…]`; logits
    /// where the network ends in a softmax and the loss is cross-entropy.
    fn outputs(&self) -> &[f32];

    /// The optimizer's state, for a checkpoint. Kept gradients are no part of it: there are none after an update.
    fn moments(&self) -> Moments;

    /// Goes back to a state that [`moments`](Engine::moments) gave.
    fn set_moments(&mut self, moments: &Moments) -> Result<()>;
}

/// What learned widths cost, times its weight in the loss.
#[derive(Debug)]
struct WidthPenalty {
    ebops: Ebops,
    weight: f64,
}

impl WidthPenalty {
    /// None where no width is learned or they cost nothing.
    fn new(model: &Model, config: &TrainConfig) -> Result<Option<Self>> {
        if config.ebops == 0.0 {
            return Ok(None);
        }
        let ebops = Ebops::of(model)?;
        Ok((!ebops.is_empty()).then_some(Self { ebops, weight: config.ebops }))
    }

    /// Gradients by parameter, to be added to the loss's.
    fn gradients(&self, values: impl FnMut(&str) -> Result<Vec<f32>>) -> Result<Vec<(String, Vec<f32>)>> {
        let mut found = self.ebops.gradients(values)?.gradients;
        for g in found.iter_mut().flat_map(|(_, gradient)| gradient) {
            *g = (f64::from(*g) * self.weight) as f32;
        }
        Ok(found)
    }
}

/// The first layer that has something not finite for these samples, at the model's present weights.
pub(crate) fn find_non_finite(model: &Model, samples: &[f32], rows: usize) -> Result<Option<String>> {
    let found = model.first_non_finite(&[&batch(model, samples, rows)?], None)?;
    Ok(found.map(|found| found.layer))
}

/// The engine for a model: a plan on the CPU; candle's graph elsewhere, and where connections are dropped at random,
/// which a plan does not do.
pub(crate) fn start(model: &Model, config: &TrainConfig) -> Result<Box<dyn Engine>> {
    if !model.device().is_cpu() || config.drop_connect > 0.0 {
        return Ok(Box::new(graph::Graph::new(model, config)?));
    }
    Ok(Box::new(planned::Planned::new(model, config, true)?))
}

/// An engine that only predicts, in batches of `rows`.
pub(crate) fn inference(model: &Model, loss: Loss, rows: usize) -> Result<Box<dyn Engine>> {
    // A rule without state, since nothing is going to be trained.
    let optimizer =
        OptimizerConfig { rule: Rule::Sgd { momentum: 0.0, nesterov: false }, ..OptimizerConfig::default() };
    let config = TrainConfig { loss, optimizer, batch_size: rows, ..TrainConfig::default() };
    if model.device().is_cpu() {
        Ok(Box::new(planned::Planned::new(model, &config, false)?))
    } else {
        Ok(Box::new(graph::Graph::new(model, &config)?))
    }
}
