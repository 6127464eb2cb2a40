//! The training loop: one for every kind of model, plain, quantized or masked.

use serde::{Deserialize, Serialize};
use tinsmith_data::{Batch, Dataset};
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_layers::{Model, ModelState};
use tinsmith_spec::Activation;
use tinsmith_study::Decision;

use crate::callback::Callback;
use crate::config::TrainConfig;
use crate::engine::{self, Engine, Step, Update};
use crate::error::{Result, TrainError};
use crate::evaluate::evaluate_with;
use crate::loss::{Head, Loss, Targets};

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
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All epochs are done.
    Finished,
    /// The validation loss no longer fell.
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
/// With `restore_best` and a validation part the model ends with the weights of the epoch with the lowest validation
/// loss, of those that the callback lets count; else with the last.
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
    config.validate()?;
    for data in std::iter::once(train).chain(validation) {
        check_fit(model, data, config.loss)?;
    }
    let mut engine = engine::start(model, config)?;
    let steps = train.len().div_ceil(config.batch_size) as u64;
    let mut history = History { epochs: Vec::new(), kept: 0, stopped: Stopped::Finished };
    let mut best: Option<(f64, ModelState)> = None;
    let mut waited = 0;
    for number in 1..=config.epochs {
        let before = model.state()?;
        callback.before_epoch(model, number)?;
        engine.enter(model)?;
        let ran = run_epoch(model, train, config, context, engine.as_mut(), number, steps);
        engine.leave(model)?;
        let mut epoch = match ran {
            Ok(epoch) => epoch,
            Err(error) => {
                model.restore(&before)?;
                return Err(error);
            }
        };
        let mut is_better = true;
        if let Some(data) = validation {
            let found = evaluate_with(engine.as_mut(), model, data, config.loss, context.grant)?;
            epoch.val_loss = Some(found.loss);
            epoch.val_accuracy = found.accuracy();
            if !found.loss.is_finite() {
                model.restore(&before)?;
                return Err(TrainError::NonFinite { epoch: number, step: steps, loss: found.loss });
            }
            let bar = best.as_ref().map_or(f64::INFINITY, |(loss, _)| *loss);
            let counts = callback.may_keep(number);
            // A network that is still being changed (pruned) is no worse for a higher loss.
            is_better = !counts || found.loss < bar - config.early_stopping.min_delta;
            if counts && (is_better || best.is_none()) {
                best = Some((found.loss, model.state()?));
                history.kept = number;
            }
        }
        waited = if is_better { 0 } else { waited + 1 };
        let decision = callback.after_epoch(model, &epoch)?;
        history.epochs.push(epoch);
        if decision == Decision::Stop {
            history.stopped = Stopped::Observer;
            break;
        }
        if validation.is_some()
            && config.early_stopping.patience > 0
            && waited >= config.early_stopping.patience
        {
            history.stopped = Stopped::Early;
            break;
        }
    }
    match best {
        Some((_, state)) if config.restore_best => model.restore(&state)?,
        _ => history.kept = history.epochs.last().map_or(0, |e| e.epoch),
    }
    Ok(history)
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

fn run_epoch(
    model: &Model,
    train: &Dataset,
    config: &TrainConfig,
    context: &Context<'_>,
    engine: &mut dyn Engine,
    number: u32,
    steps: u64,
) -> Result<Epoch> {
    let total = steps * u64::from(config.epochs);
    let mut batches = train.batches(
        config.batch_size,
        context.seed.derive("batches", 0),
        u64::from(number),
        &config.augment,
    )?;
    let mut sum = 0.0;
    let mut rows = 0;
    let mut rate = 0.0;
    let mut step = 0;
    while let Some(batch) = batches.next_batch() {
        if context.cancel.is_cancelled() {
            return Err(TrainError::Cancelled { epoch: number });
        }
        let done = u64::from(number - 1) * steps + step;
        step += 1;
        rate = config.optimizer.learning_rate * config.schedule.factor(done, total, steps);
        let value = engine.step(
            model,
            &Step {
                samples: batch.samples,
                rows: batch.len,
                targets: targets_of(&batch),
                soft: None,
                weights: &[],
                seed: context.seed.derive("step", done),
                divisor: batch.len,
                update: Some(Update { learning_rate: rate, number: done + 1 }),
            },
        )?;
        if !value.is_finite() {
            return Err(TrainError::NonFinite { epoch: number, step, loss: value });
        }
        sum += value;
        rows += batch.len;
    }
    Ok(Epoch {
        epoch: number,
        learning_rate: rate,
        loss: sum / rows.max(1) as f64,
        val_loss: None,
        val_accuracy: None,
    })
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
