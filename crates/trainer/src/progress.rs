//! Progress of a training, and the checks that a stored one is possible.

use serde::{Deserialize, Serialize};
use tinsmith_layers::Model;

use crate::config::{Averaging, TrainConfig};
use crate::history::{Epoch, check_epochs};
use crate::metric::Direction;
use crate::schedule::Plateau;

/// Position and counters of a training. Together with weights and optimizer state it determines the rest of the course.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Current epoch, from 1, and the number of its steps that are done.
    pub(crate) epoch: u32,
    pub(crate) step: u64,
    /// Whether `before_epoch` was called for the current epoch.
    pub(crate) has_begun: bool,
    /// Of the current epoch: sum of the losses over rows, rows, last learning rate.
    pub(crate) sum: f64,
    pub(crate) rows: u64,
    pub(crate) learning_rate: f64,
    /// Updates over all epochs.
    pub(crate) updates: u64,
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) kept: u32,
    pub(crate) best: Option<f64>,
    pub(crate) waited: u32,
    pub(crate) plateau: Plateau,
    /// Number of weights in the average.
    pub(crate) averaged: u64,
    pub(crate) frozen: Vec<String>,
    pub(crate) callback: serde_json::Value,
}

/// Fixed numbers of a training, which a stored progress must agree with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Steps of an epoch.
    pub(crate) steps: u64,
    /// Rows of an epoch.
    pub(crate) rows: u64,
    /// Direction of the monitored value.
    pub(crate) direction: Direction,
}

impl Progress {
    /// Progress before the first step.
    pub(crate) fn start(direction: Direction) -> Self {
        Self {
            epoch: 1,
            step: 0,
            has_begun: false,
            sum: 0.0,
            rows: 0,
            learning_rate: 0.0,
            updates: 0,
            epochs: Vec::new(),
            kept: 0,
            best: None,
            waited: 0,
            plateau: Plateau::new(direction),
            averaged: 0,
            frozen: Vec::new(),
            callback: serde_json::Value::Null,
        }
    }

    pub(crate) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(crate) const fn kept(&self) -> u32 {
        self.kept
    }

    pub(crate) const fn averaged(&self) -> u64 {
        self.averaged
    }

    /// Checks every number against the others and against the training.
    ///
    /// A checkpoint is written only between updates and only while steps are left, which fixes all counters once `epoch`
    /// and `step` are known. Returns the faulty field and the fault.
    pub(crate) fn check(
        &self,
        config: &TrainConfig,
        extent: &Extent,
        model: &Model,
    ) -> Result<(), (&'static str, String)> {
        let Extent { steps, rows, direction } = *extent;
        let is = |field: &'static str, got: String, want: String| Err((field, format!("is {got}, want {want}")));
        let last = u64::from(config.epochs) + 1;
        if self.epoch == 0 || u64::from(self.epoch) > last {
            return is("epoch", self.epoch.to_string(), format!("1 to {last}"));
        }
        let done = self.epoch - 1;
        let most = if u64::from(self.epoch) == last { 0 } else { steps };
        if self.step > most {
            return is("step", self.step.to_string(), format!("at most {most}, the steps of an epoch"));
        }
        let accumulate = config.accumulate as u64;
        if !self.step.is_multiple_of(accumulate) && self.step != steps {
            return is("step", self.step.to_string(), format!("a multiple of {accumulate}, the batches of an update"));
        }
        if self.step > 0 && !self.has_begun {
            return is("has_begun", "false".to_owned(), "true within an epoch".to_owned());
        }
        if self.epochs.len() != done as usize {
            return Err(("epochs", format!("has {} entries, want {done}, the epochs that are done", self.epochs.len())));
        }
        check_epochs(&self.epochs, self.kept)?;
        if (self.kept > 0) && self.best.is_none() {
            return is("best", "null".to_owned(), format!("the value of epoch {}", self.kept));
        }
        let updates = u64::from(done) * steps.div_ceil(accumulate) + self.step.div_ceil(accumulate);
        if self.updates != updates {
            return is("updates", self.updates.to_string(), updates.to_string());
        }
        let seen = self.step.saturating_mul(config.batch_size as u64).min(rows);
        if self.rows != seen {
            return is("rows", self.rows.to_string(), format!("{seen} after step {}", self.step));
        }
        if !self.sum.is_finite() || (self.step == 0 && self.sum != 0.0) {
            return is("sum", self.sum.to_string(), "the sum of the epoch's losses".to_owned());
        }
        if !(self.learning_rate >= 0.0 && self.learning_rate.is_finite()) {
            return is("learning_rate", self.learning_rate.to_string(), "0 or more".to_owned());
        }
        if self.waited > done {
            return is("waited", self.waited.to_string(), format!("at most {done}, the epochs that are done"));
        }
        let averaged = match config.averaging {
            Averaging::Off => 0,
            Averaging::Exponential { .. } => updates,
            Averaging::Epochs { from } => {
                let first = from * f64::from(config.epochs);
                (1..=done).filter(|&epoch| f64::from(epoch) > first).count() as u64
            }
        };
        if self.averaged != averaged {
            return is("averaged", self.averaged.to_string(), averaged.to_string());
        }
        self.plateau.check(&config.schedule, direction).map_err(|fault| ("plateau", fault))?;
        match self.frozen.iter().find(|name| model.params().find(name).is_none()) {
            Some(name) => Err(("frozen", format!("names `{name}`, which is no parameter of the network"))),
            None => Ok(()),
        }
    }
}
