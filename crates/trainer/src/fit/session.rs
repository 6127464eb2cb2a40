//! State and steps of one training.

use std::collections::BTreeMap;
use std::time::Instant;

use tinsmith_data::{Batches, Dataset};
use tinsmith_layers::{Mode, Model};
use tinsmith_study::Decision;

use crate::average::Average;
use crate::callback::{Callback, StepReport};
use crate::checkpoint::Checkpoints;
use crate::compatibility::LARGE_BATCH;
use crate::config::TrainConfig;
use crate::context::Context;
use crate::engine::{self, Engine, TrainStep, Update};
use crate::error::{Result, TrainError};
use crate::evaluate::{Evaluation, evaluate_with};
use crate::history::{Epoch, History, Stopped};
use crate::metric::Direction;
use crate::progress::{Extent, Progress};
use crate::snapshot::{Snapshot, Tensors, masks, set_masks};
use crate::targets::targets_of;
use crate::teacher::Teacher;

/// Smallest batch, in values, for which a thread of its own pays: below it passing the batch costs more than making
/// it. Augmented batches always get one.
const WORTH_A_THREAD: usize = 1 << 16;

pub(super) struct Session<'a> {
    model: &'a mut Model,
    train: &'a Dataset,
    validation: Option<&'a Dataset>,
    config: &'a TrainConfig,
    context: &'a Context<'a>,
    engine: Box<dyn Engine>,
    teacher: Option<Teacher>,
    average: Average,
    /// Steps and rows of an epoch.
    steps: u64,
    rows: u64,
    /// Direction of the monitored value.
    direction: Direction,
    progress: Progress,
    /// Weights at the start of the epoch: the last that are known to be finite.
    before: Tensors,
    best: Tensors,
    saved: (Instant, u64),
}

impl<'a> Session<'a> {
    pub(super) fn new(
        model: &'a mut Model,
        train: &'a Dataset,
        validation: Option<&'a Dataset>,
        config: &'a TrainConfig,
        context: &'a Context<'a>,
    ) -> Result<Self> {
        let rows = match config.epoch_samples {
            0 => train.len(),
            some => some,
        };
        let direction = match validation {
            Some(_) => config.early_stopping.monitor.direction(),
            // Without a validation split the training loss is monitored.
            None => Direction::Minimize,
        };
        Ok(Self {
            // Memory follows the rows that exist, not a batch size that exceeds them all.
            engine: engine::start(model, config, config.batch_size.min(rows.max(LARGE_BATCH)))?,
            teacher: Teacher::load(config, model)?,
            average: Average::new(config),
            steps: rows.div_ceil(config.batch_size) as u64,
            rows: rows as u64,
            direction,
            progress: Progress::start(direction),
            before: Tensors::new(),
            best: Tensors::new(),
            saved: (Instant::now(), 0),
            model,
            train,
            validation,
            config,
            context,
        })
    }

    pub(super) fn run(
        mut self,
        callback: &mut dyn Callback,
        checkpoints: Option<&Checkpoints>,
    ) -> Result<History> {
        if let Some(wanted) = checkpoints
            && let Some(snapshot) = wanted.load()?
        {
            self.resume(wanted, snapshot, callback)?;
        }
        let mut stopped = Stopped::Finished;
        while self.progress.epoch <= self.config.epochs {
            if !self.progress.has_begun {
                self.before = self.model.params().snapshot()?;
                callback.before_epoch(self.model, self.progress.epoch)?;
                if self.progress.epoch == 1 {
                    self.calibrate()?;
                }
                self.engine.enter(self.model)?;
                self.progress.has_begun = true;
            }
            // Any error leaves the weights of the last complete epoch: those of the current one may be half updated or
            // non-finite. A cancelled training has already written its checkpoint.
            let decision = match self.epoch(callback, checkpoints) {
                Ok(decision) => decision,
                Err(error) => {
                    self.model.params().restore(&self.before)?;
                    return Err(error);
                }
            };
            if decision == Decision::Stop {
                stopped = Stopped::Observer;
                break;
            }
            let patience = self.config.early_stopping.patience;
            if patience > 0 && self.progress.waited >= patience {
                stopped = Stopped::Early;
                break;
            }
            self.progress.epoch += 1;
            self.save_if_due(callback, checkpoints)?;
        }
        if self.config.restore_best && !self.best.is_empty() {
            self.model.params().restore(&self.best)?;
        } else {
            if let Some(mean) = self.average.weights(self.progress.averaged) {
                self.model.params().restore(mean)?;
            }
            self.progress.kept = self.progress.epochs.last().map_or(0, |e| e.epoch);
        }
        Ok(History { epochs: self.progress.epochs, kept: self.progress.kept, stopped })
    }

    /// Initializes learned step sizes of activations that have none yet, from the batch of the first step in the mode
    /// of that step.
    fn calibrate(&mut self) -> Result<()> {
        if !self.model.is_uncalibrated()? {
            return Ok(());
        }
        if let Some(batch) = self.batches()?.next_batch() {
            let samples = engine::batch(self.model, batch.samples, batch.len)?;
            let seed = self.context.seed.derive("step", 0);
            self.model.calibrate(&samples, Mode::Train { seed })?;
        }
        Ok(())
    }

    /// Runs the rest of the current epoch.
    fn epoch(&mut self, callback: &mut dyn Callback, checkpoints: Option<&Checkpoints>) -> Result<Decision> {
        let decision = self.steps(callback, checkpoints)?;
        let after = self.end_epoch(callback)?;
        Ok(if decision == Decision::Stop { decision } else { after })
    }

    /// Runs the remaining steps of the current epoch.
    fn steps(&mut self, callback: &mut dyn Callback, checkpoints: Option<&Checkpoints>) -> Result<Decision> {
        let total = self.steps * u64::from(self.config.epochs);
        let accumulate = self.config.accumulate as u64;
        let mut batches = self.batches()?;
        let rows = batches.rows();
        let mut weights = Vec::new();
        while let Some(batch) = batches.next_batch() {
            let number = self.progress.step;
            // Accumulated gradients are not stored, so checkpoints are written only between updates.
            if self.context.cancel.is_cancelled() && number.is_multiple_of(accumulate) {
                self.save(callback, checkpoints)?;
                return Err(TrainError::Cancelled { epoch: self.progress.epoch });
            }
            // Seeds and learning rates depend on the position alone, so a resumed training repeats them.
            let done = u64::from(self.progress.epoch - 1) * self.steps + number;
            let factor =
                self.config.learning_rate_factor(done, total, self.steps) * self.progress.plateau.factor;
            let learning_rate = self.config.optimizer.learning_rate * factor;
            let is_last = (number + 1).is_multiple_of(accumulate) || number + 1 == self.steps;
            // Rows of all batches that share this update: fewer for the last update of an epoch.
            let first = (number - number % accumulate) as usize * self.config.batch_size;
            let divisor = (self.config.accumulate * self.config.batch_size).min(rows - first);
            weights.clear();
            if !self.config.class_weights.is_empty() {
                let weight = |&label: &u32| self.config.class_weights[label as usize] as f32;
                weights.extend(batch.labels.iter().map(weight));
            }
            let soft = self.teacher.as_mut().map(|t| t.teach(batch.samples, batch.len)).transpose()?;
            let step = TrainStep {
                samples: batch.samples,
                rows: batch.len,
                targets: targets_of(&batch),
                soft,
                weights: &weights,
                seed: self.context.seed.derive("step", done),
                divisor,
                update: is_last.then_some(Update { learning_rate, number: self.progress.updates + 1 }),
            };
            let sum = self.engine.step(self.model, &step)?;
            let loss = sum / batch.len as f64;
            self.progress.step += 1;
            if !loss.is_finite() {
                self.engine.leave(self.model)?;
                let layer = engine::find_non_finite(self.model, batch.samples, batch.len)?;
                return Err(self.non_finite(loss, layer));
            }
            self.progress.sum += sum;
            self.progress.rows += batch.len as u64;
            self.progress.learning_rate = learning_rate;
            if is_last {
                self.progress.updates += 1;
                if self.average.wants_updates() {
                    self.engine.leave(self.model)?;
                    self.progress.averaged = self.average.add(self.model, self.progress.averaged)?;
                }
            }
            let report = StepReport {
                epoch: self.progress.epoch,
                step: self.progress.step,
                steps: self.steps,
                loss,
                learning_rate,
            };
            if callback.after_step(&report)? == Decision::Stop {
                return Ok(Decision::Stop);
            }
            if is_last && self.progress.step < self.steps {
                self.save_if_due(callback, checkpoints)?;
            }
        }
        Ok(Decision::Continue)
    }

    fn batches(&self) -> Result<Batches> {
        let config = self.config;
        let batches = self
            .train
            .batches(
                config.batch_size,
                self.context.seed.derive("batches", 0),
                u64::from(self.progress.epoch),
                &config.augment,
            )?
            .taking(config.epoch_samples)
            .starting_at(self.progress.step as usize);
        let values = config.batch_size.min(self.train.len()) * self.train.sample_size();
        let is_slow = !config.augment.is_off() || values >= WORTH_A_THREAD;
        Ok(if is_slow { batches.prefetched(2) } else { batches })
    }

    /// Validates, records the epoch, keeps the best weights and calls the callback.
    fn end_epoch(&mut self, callback: &mut dyn Callback) -> Result<Decision> {
        self.engine.leave(self.model)?;
        let number = self.progress.epoch;
        for param in self.model.params() {
            if param.values()?.iter().any(|v| !v.is_finite()) {
                let layer = param.name().rsplit_once('.').map(|(layer, _)| layer.to_owned());
                return Err(self.non_finite(f64::NAN, layer));
            }
        }
        if self.average.wants_epoch(number, self.config.epochs) {
            self.progress.averaged = self.average.add(self.model, self.progress.averaged)?;
        }
        let mut epoch = Epoch {
            epoch: number,
            learning_rate: self.progress.learning_rate,
            loss: self.progress.sum / self.progress.rows.max(1) as f64,
            val_loss: None,
            val_accuracy: None,
            metrics: BTreeMap::new(),
        };
        let monitor = self.config.early_stopping.monitor;
        let mut watched = epoch.loss;
        if let Some(data) = self.validation {
            let (found, weights) = self.validate(data)?;
            if !found.loss.is_finite() {
                return Err(self.non_finite(found.loss, None));
            }
            epoch.val_loss = Some(found.loss);
            epoch.val_accuracy = found.accuracy();
            let metrics = self.config.metrics.iter();
            epoch.metrics = metrics.filter_map(|m| Some((m.name(), found.metric(*m)?))).collect();
            watched = found.metric(monitor).ok_or_else(|| TrainError::NoMetric {
                metric: monitor.name(),
                data: data.name().to_owned(),
                reason: "it is undefined for these outputs",
            })?;
            self.judge(watched, callback.may_keep(number), weights)?;
        } else {
            self.judge(watched, callback.may_keep(number), None)?;
        }
        self.progress.plateau.see(&self.config.schedule, watched);
        let decision = callback.after_epoch(self.model, &epoch)?;
        self.progress.epochs.push(epoch);
        (self.progress.step, self.progress.sum, self.progress.rows) = (0, 0.0, 0);
        self.progress.has_begun = false;
        Ok(decision)
    }

    /// Evaluates on the validation split, with the averaged weights if there are any; returns those too.
    fn validate(&mut self, data: &Dataset) -> Result<(Evaluation, Option<Tensors>)> {
        let Self { model, engine, config, context, .. } = self;
        let Some(mean) = self.average.weights(self.progress.averaged) else {
            let found = evaluate_with(engine.as_mut(), model, data, config.loss, context.grant)?;
            return Ok((found, None));
        };
        // The averaged weights replace the model's for the evaluation only. They are read back afterwards, because masks
        // may have changed them.
        let own = model.params().snapshot()?;
        model.params().restore(mean)?;
        engine.enter(model)?;
        let found = evaluate_with(engine.as_mut(), model, data, config.loss, context.grant);
        let mean = model.params().snapshot()?;
        model.params().restore(&own)?;
        engine.enter(model)?;
        Ok((found?, Some(mean)))
    }

    /// Updates the best epoch and the patience. An epoch that may not be kept does not count against the patience,
    /// because the network is still being changed (pruned).
    fn judge(&mut self, value: f64, may_keep: bool, weights: Option<Tensors>) -> Result<()> {
        let bar = self.progress.best.unwrap_or_else(|| self.direction.worst());
        let is_better = self.direction.is_better(value, bar, self.config.early_stopping.min_delta);
        self.progress.waited = if is_better || !may_keep { 0 } else { self.progress.waited + 1 };
        if !may_keep || !(is_better || self.progress.best.is_none()) {
            return Ok(());
        }
        if self.validation.is_some() {
            self.best = match weights {
                Some(weights) => weights,
                None => self.model.params().snapshot()?,
            };
            self.progress.kept = self.progress.epoch;
        }
        self.progress.best = Some(value);
        Ok(())
    }

    fn non_finite(&self, loss: f64, layer: Option<String>) -> TrainError {
        TrainError::NonFinite { epoch: self.progress.epoch, step: self.progress.step, loss, layer }
    }

    fn save_if_due(&mut self, callback: &dyn Callback, checkpoints: Option<&Checkpoints>) -> Result<()> {
        let Some(wanted) = checkpoints else { return Ok(()) };
        let (at, steps) = self.saved;
        let done = u64::from(self.progress.epoch - 1) * self.steps + self.progress.step;
        let by_steps = wanted.every_steps > 0 && done >= steps + wanted.every_steps;
        let by_time = wanted.every_seconds > 0.0 && at.elapsed().as_secs_f64() >= wanted.every_seconds;
        if by_steps || by_time { self.save(callback, checkpoints) } else { Ok(()) }
    }

    fn save(&mut self, callback: &dyn Callback, checkpoints: Option<&Checkpoints>) -> Result<()> {
        let Some(wanted) = checkpoints else { return Ok(()) };
        self.engine.leave(self.model)?;
        let frozen = self.model.params().iter().filter(|p| p.is_frozen()).map(|p| p.name().to_owned());
        self.progress.frozen = frozen.collect();
        self.progress.callback = callback.state();
        let (prune, update) = masks(self.model);
        let averaged = self.average.kept();
        wanted.save(&Snapshot {
            progress: self.progress.clone(),
            weights: self.model.params().snapshot()?,
            prune,
            update,
            moments: self.engine.moments(),
            before: self.before.clone(),
            best: self.best.clone(),
            average: averaged.clone(),
        })?;
        let done = u64::from(self.progress.epoch - 1) * self.steps + self.progress.step;
        self.saved = (Instant::now(), done);
        Ok(())
    }

    fn resume(
        &mut self,
        wanted: &Checkpoints,
        snapshot: Snapshot,
        callback: &mut dyn Callback,
    ) -> Result<()> {
        let extent = Extent { steps: self.steps, rows: self.rows, direction: self.direction };
        let progress = snapshot.progress.check(self.config, &extent, self.model);
        progress.map_err(|(field, fault)| wanted.malformed(&format!("progress.{field} {fault}")))?;
        let tensors = snapshot.check(self.model);
        tensors.map_err(|(name, fault)| wanted.malformed(&format!("`{name}` {fault}")))?;
        // Masks before weights and engine: the engine reads both when it takes over the model.
        set_masks(self.model, &snapshot.prune, &snapshot.update, &snapshot.progress.frozen)?;
        self.model.params().restore(&snapshot.weights)?;
        self.engine.enter(self.model)?;
        self.engine.set_moments(&snapshot.moments)?;
        self.average.set(snapshot.average);
        self.before = snapshot.before;
        self.best = snapshot.best;
        self.progress = snapshot.progress;
        let done = u64::from(self.progress.epoch - 1) * self.steps + self.progress.step;
        self.saved = (Instant::now(), done);
        callback.restore(&self.progress.callback)
    }
}
