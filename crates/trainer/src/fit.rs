//! The training loop: one for every kind of model, plain, quantized or masked.

mod session;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tinsmith_data::{Batch, Dataset};
use tinsmith_foundation::{CancelToken, Faults, Grant, Seed};
use tinsmith_layers::Model;
use tinsmith_network::Activation;

use self::session::Session;
use crate::callback::Callback;
use crate::checkpoint::Checkpoints;
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::loss::{Head, Loss, Targets};

pub(crate) use self::session::Progress;

/// What one epoch gave. Holds no times: the same seed gives the same records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number, from 1.
    pub epoch: u32,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Mean training loss over its steps, each at the weights before the step.
    pub loss: f64,
    /// Loss on the validation part, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Accuracy on the validation part, where it has classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
    /// What else was asked for, on the validation part, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All epochs are done.
    Finished,
    /// What was watched no longer got better.
    Early,
    /// The observer said so.
    Observer,
}

/// The course of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Each epoch.
    pub epochs: Vec<Epoch>,
    /// The epoch whose weights the model has now.
    pub kept: u32,
    /// Why it ended.
    pub stopped: Stopped,
}

/// The surroundings of a training.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// Seed of the order of batches, dropout and augmentation.
    pub seed: Seed,
    /// Cores that may be used.
    pub grant: Grant,
    /// Asks for a stop, looked at between steps.
    pub cancel: &'a CancelToken,
}

/// Trains `model` on `train` and watches it on `validation`; `callback` sees, and may change, the model around each
/// epoch.
///
/// With `restore_best` and a validation part the model ends with the weights of the epoch that was best by what
/// `early_stopping` monitors (the loss, unless said otherwise), of those that the callback lets count; else with the last.
///
/// # Errors
/// [`TrainError::Config`], [`TrainError::Mismatch`] and [`TrainError::Empty`] before the first step;
/// [`TrainError::NonFinite`] and [`TrainError::Cancelled`] on the way, the model then having the weights of the last
/// epoch that ended (or those it came with).
pub fn fit(
    model: &mut Model,
    train: &Dataset,
    validation: Option<&Dataset>,
    config: &TrainConfig,
    context: &Context<'_>,
    callback: &mut dyn Callback,
) -> Result<History> {
    fit_resumable(model, train, validation, config, context, callback, None)
}

/// As [`fit`], with checkpoints: where their file has one, the training goes on from there, in the middle of an epoch
/// too, and ends with the same weights and history, byte for byte. The caller removes the file when the result is safe
/// ([`Checkpoints::clear`]).
///
/// # Errors
/// As [`fit`]; [`TrainError::Checkpoint`] where the checkpoint is another training's, [`TrainError::Malformed`] and
/// [`TrainError::Tensor`] where it cannot be read or written. A cancelled training has written one.
pub fn fit_resumable(
    model: &mut Model,
    train: &Dataset,
    validation: Option<&Dataset>,
    config: &TrainConfig,
    context: &Context<'_>,
    callback: &mut dyn Callback,
    checkpoints: Option<&Checkpoints>,
) -> Result<History> {
    config.validate()?;
    for data in std::iter::once(train).chain(validation) {
        check_fit(model, data, config.loss)?;
    }
    let classes = train.class_count();
    if !config.class_weights.is_empty() && config.class_weights.len() != classes {
        let mut faults = Faults::new();
        let count = config.class_weights.len();
        faults.add("class_weights", format!("has {count} weights, want {classes}: one for each class"));
        faults.into_result("training configuration")?;
    }
    Session::new(model, train, validation, config, context)?.run(callback, checkpoints)
}

/// Whether a model takes the data's samples and puts out what its targets need.
fn check_fit(model: &Model, data: &Dataset, loss: Loss) -> Result<()> {
    if data.is_empty() {
        return Err(TrainError::Empty { data: data.name().to_owned(), purpose: "training" });
    }
    let mismatch = |what, network: &[usize], found: Vec<usize>| TrainError::Mismatch {
        what,
        network: network.to_vec(),
        data: data.name().to_owned(),
        found,
    };
    let graph = model.graph();
    let shape_of = |layers: &[usize]| layers.first().map_or(&[][..], |&i| graph.shape(i));
    let (input, output) = (shape_of(&graph.inputs), shape_of(&graph.outputs));
    if input != data.sample_shape() {
        return Err(mismatch("takes samples of shape", input, data.sample_shape().to_vec()));
    }
    let wanted = data.target_shape();
    // One probability says it all where there are two classes.
    let binary = matches!(loss, Loss::BinaryCrossEntropy { .. }) && data.class_count() == 2 && output == [1];
    if output != wanted && !binary {
        return Err(mismatch("puts out", output, wanted));
    }
    Ok(())
}

/// What a batch's outputs should be. Mixed samples have mixed targets, as distributions over the classes.
pub(crate) const fn targets_of<'a>(batch: &Batch<'a>) -> Targets<'a> {
    if batch.targets.is_empty() { Targets::Classes(batch.labels) } else { Targets::Arrays(batch.targets) }
}

/// What the network's outputs are.
pub(crate) fn head_of(model: &Model) -> Head {
    let last = model.graph().outputs.first().and_then(|&i| model.spec().layers.get(i));
    match last.and_then(|layer| layer.op.activation()) {
        Some(Activation::Linear) | None => Head::Values,
        Some(_) => Head::Probabilities,
    }
}
