//! The training loop: one for every kind of model, plain, quantized or masked.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor};
use serde::{Deserialize, Serialize};
use tinsmith_core_tensor::{Threads, ops};
use tinsmith_data::{Batch, Dataset};
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_layers::{Mode, Model, ModelState};
use tinsmith_study::Decision;

use crate::callback::Callback;
use crate::config::{Loss, TrainConfig};
use crate::error::{Result, TrainError};
use crate::evaluate::evaluate;
use crate::optimizer::{OptimizerConfig, squared_norm};

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
    let mut stepper = Stepper::new(model, config);
    let steps = train.len().div_ceil(config.batch_size) as u64;
    let mut history = History { epochs: Vec::new(), kept: 0, stopped: Stopped::Finished };
    let mut best: Option<(f64, ModelState)> = None;
    let mut waited = 0;
    for number in 1..=config.epochs {
        let before = model.state()?;
        callback.before_epoch(model, number)?;
        let mut epoch = match run_epoch(model, train, config, context, &mut stepper, number, steps) {
            Ok(epoch) => epoch,
            Err(error) => {
                model.restore(&before)?;
                return Err(error);
            }
        };
        let mut is_better = true;
        if let Some(data) = validation {
            let found = evaluate(model, data, config.loss, context.grant)?;
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
    let wanted = match loss {
        Loss::CrossEntropy { .. } => vec![data.class_count()],
        _ => data.target_shape(),
    };
    if output != wanted {
        return Err(mismatch("puts out", output, wanted));
    }
    Ok(())
}

fn run_epoch(
    model: &mut Model,
    train: &Dataset,
    config: &TrainConfig,
    context: &Context<'_>,
    stepper: &mut Stepper,
    number: u32,
    steps: u64,
) -> Result<Epoch> {
    let threads = Threads::from(context.grant);
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
        let (samples, targets) = tensors(&batch, train, config.loss)?;
        let outputs =
            model.forward_logits(&samples, Mode::Train { seed: context.seed.derive("step", done) })?;
        let loss = loss_of(&outputs, &targets, config.loss, threads)?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(TrainError::NonFinite { epoch: number, step, loss: value });
        }
        stepper.step(model, &loss, rate, done + 1)?;
        sum += value * batch.len as f64;
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

/// A batch as tensors: samples, and labels (`u32`) or target arrays.
pub(crate) fn tensors(batch: &Batch<'_>, data: &Dataset, loss: Loss) -> Result<(Tensor, Tensor)> {
    let with_rows =
        |shape: &[usize]| std::iter::once(batch.len).chain(shape.iter().copied()).collect::<Vec<_>>();
    let samples = Tensor::from_slice(batch.samples, with_rows(data.sample_shape()), &Device::Cpu)?;
    let targets = match loss {
        // Mixed samples have mixed targets, as distributions over the classes.
        Loss::CrossEntropy { .. } if batch.labels.is_empty() => {
            Tensor::from_slice(batch.targets, (batch.len, data.class_count()), &Device::Cpu)?
        }
        Loss::CrossEntropy { .. } => Tensor::from_slice(batch.labels, batch.len, &Device::Cpu)?,
        _ => Tensor::from_slice(batch.targets, with_rows(&data.target_shape()), &Device::Cpu)?,
    };
    Ok((samples, targets))
}

/// The mean loss of a batch, a scalar.
pub(crate) fn loss_of(outputs: &Tensor, targets: &Tensor, loss: Loss, threads: Threads) -> Result<Tensor> {
    Ok(match loss {
        Loss::CrossEntropy { label_smoothing } => {
            ops::softmax_cross_entropy(outputs, targets, label_smoothing as f32, threads)?
        }
        Loss::MeanSquaredError {} => (outputs - targets)?.sqr()?.mean_all()?,
        Loss::MeanAbsoluteError {} => (outputs - targets)?.abs()?.mean_all()?,
    })
}

/// Holds the optimizer's state, one block for each parameter, by the parameter's place in the model.
struct Stepper {
    config: OptimizerConfig,
    state: Vec<Vec<f32>>,
}

impl Stepper {
    fn new(model: &Model, config: &TrainConfig) -> Self {
        let slots = config.optimizer.rule.slots();
        let state =
            model.params().iter().map(|p| vec![0.0; if p.takes_updates() { slots * p.len() } else { 0 }]);
        Self { config: config.optimizer.clone(), state: state.collect() }
    }

    fn step(&mut self, model: &Model, loss: &Tensor, rate: f64, t: u64) -> Result<()> {
        let mut grads = loss.backward()?;
        let mut found = Vec::with_capacity(self.state.len());
        for param in model.params().iter() {
            let grad = if param.takes_updates() { grads.remove(param.tensor()) } else { None };
            let grad = grad.map(|g| param.gate(&g)?.contiguous().map_err(TrainError::from)).transpose()?;
            found.push(grad);
        }
        let scale = self.scale(&found)?;
        for ((param, grad), state) in model.params().iter().zip(&found).zip(&mut self.state) {
            if let Some(grad) = grad {
                let update = Update { config: &self.config, rate, t, scale, state: Mutex::new(state) };
                param.tensor().inplace_op2(grad, &update)?;
            }
        }
        Ok(())
    }

    fn scale(&self, grads: &[Option<Tensor>]) -> Result<f32> {
        if self.config.global_clip_norm <= 0.0 {
            return Ok(1.0);
        }
        let mut squares = 0.0;
        for grad in grads.iter().flatten() {
            squares += squared_norm(&grad.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(self.config.global_factor(squares))
    }
}

/// One parameter's step, in its own memory.
struct Update<'a> {
    config: &'a OptimizerConfig,
    rate: f64,
    t: u64,
    scale: f32,
    state: Mutex<&'a mut Vec<f32>>,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "optimizer step"
    }

    fn cpu_fwd(
        &self,
        w: &mut CpuStorage,
        w_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(w), CpuStorage::F32(g)) = (w, g) else {
            candle_core::bail!("an optimizer step takes f32 parameters and gradients");
        };
        let (Some((w0, w1)), Some((g0, g1))) = (w_layout.contiguous_offsets(), g_layout.contiguous_offsets())
        else {
            candle_core::bail!("an optimizer step takes contiguous parameters and gradients");
        };
        let mut gradient = g[g0..g1].to_vec();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.config.step(self.rate, self.t, self.scale, &mut w[w0..w1], &mut gradient, &mut state);
        Ok(())
    }
}
