//! The interface of an engine: one training step in, loss and outputs out.

use std::fmt::Debug;

use tinsmith_foundation::Seed;
use tinsmith_layers::Model;

use crate::error::Result;
use crate::loss::{Soft, Targets};
use crate::snapshot::Moments;

/// One batch and the update that follows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrainStep<'a> {
    /// Samples, `[rows, sample shape…]`.
    pub(crate) samples: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) targets: Targets<'a>,
    /// Teacher outputs for the same samples.
    pub(crate) soft: Option<Soft<'a>>,
    /// Loss weight of each row; empty if all are 1.
    pub(crate) weights: &'a [f32],
    /// Seed of every draw in this step: dropout, stochastic quantizers, dropped connections.
    pub(crate) seed: Seed,
    /// Rows of all batches that share one update. The gradient is that of their summed losses divided by this number.
    pub(crate) divisor: usize,
    /// Update after this batch; None accumulates the gradient for the next batch.
    pub(crate) update: Option<Update>,
}

/// An optimizer update.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    pub(crate) learning_rate: f64,
    /// Number of the update, from 1.
    pub(crate) number: u64,
}

/// Executes training steps for a model. Between [`enter`](Engine::enter) and [`leave`](Engine::leave) the engine owns
/// the weights and those of the model may be stale.
pub(crate) trait Engine: Debug {
    /// Takes weights, masks and flags from the model. Optimizer state stays; that of pruned elements becomes zero.
    fn enter(&mut self, model: &Model) -> Result<()>;

    /// Returns the weights to the model, including the moving statistics of normalizations.
    fn leave(&mut self, model: &Model) -> Result<()>;

    /// Runs forward in training mode, loss and backward, then the update if the step has one: penalties, masks,
    /// clipping, rule. Returns the loss summed over rows, before the update and without penalties. If it is not finite,
    /// nothing but moving statistics has changed.
    fn step(&mut self, model: &Model, step: &TrainStep<'_>) -> Result<f64>;

    /// Runs inference on a batch.
    fn predict(&mut self, model: &Model, samples: &[f32], rows: usize) -> Result<()>;

    /// Outputs of the last [`step`](Engine::step) or [`predict`](Engine::predict), `[rows, output shape…]`; logits if
    /// the network ends in a softmax and the loss is cross-entropy.
    fn outputs(&self) -> &[f32];

    /// Optimizer state for a checkpoint. Accumulated gradients are not part of it: there are none after an update.
    fn moments(&self) -> Moments;

    /// Restores a state that [`moments`](Engine::moments) returned.
    fn set_moments(&mut self, moments: &Moments) -> Result<()>;
}
