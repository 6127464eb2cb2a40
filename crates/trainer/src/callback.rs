//! Callbacks around the steps and epochs of a training.

use tinsmith_layers::Model;
use tinsmith_study::Decision;

use crate::error::Result;
use crate::history::Epoch;

/// Figures of one step, passed to a callback.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step in the epoch, from 1.
    pub step: u64,
    /// Number of steps in an epoch.
    pub steps: u64,
    /// Mean loss over the batch, before the update.
    pub loss: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// Observes a training step by step and epoch by epoch. Every method has a default that does nothing.
pub trait Callback {
    /// Called before epoch `epoch` (from 1); may change masks and weights.
    ///
    /// # Errors
    /// Whatever ends the training.
    fn before_epoch(&mut self, _model: &mut Model, _epoch: u32) -> Result<()> {
        Ok(())
    }

    /// Called after a step; decides whether to continue. A stop ends the training as at the end of this epoch.
    ///
    /// # Errors
    /// Whatever ends the training.
    fn after_step(&mut self, _step: &StepReport) -> Result<Decision> {
        Ok(Decision::Continue)
    }

    /// Called after an epoch and its validation; decides whether to continue.
    ///
    /// # Errors
    /// Whatever ends the training.
    fn after_epoch(&mut self, _model: &mut Model, _epoch: &Epoch) -> Result<Decision> {
        Ok(Decision::Continue)
    }

    /// Returns true if the weights after `epoch` may be kept as best; false while the network is unfinished, for
    /// example not yet sparse enough.
    fn may_keep(&self, _epoch: u32) -> bool {
        true
    }

    /// Returns the state that a checkpoint stores so that the training can resume. Masks and weights of the model are
    /// stored anyway.
    fn state(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Restores a [`state`](Callback::state).
    ///
    /// # Errors
    /// An error ends the training.
    fn restore(&mut self, _state: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

/// A callback that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Undisturbed;

impl Callback for Undisturbed {}

/// Calls a function after each epoch.
#[derive(Debug)]
pub struct Observe<F>(pub F);

impl<F: FnMut(&Epoch) -> Decision> Callback for Observe<F> {
    fn after_epoch(&mut self, _model: &mut Model, epoch: &Epoch) -> Result<Decision> {
        Ok((self.0)(epoch))
    }
}

/// Calls two callbacks in order; stops if either does.
#[derive(Debug)]
pub struct Both<'a, A: ?Sized, B: ?Sized>(pub &'a mut A, pub &'a mut B);

impl<A: Callback + ?Sized, B: Callback + ?Sized> Callback for Both<'_, A, B> {
    fn before_epoch(&mut self, model: &mut Model, epoch: u32) -> Result<()> {
        self.0.before_epoch(model, epoch)?;
        self.1.before_epoch(model, epoch)
    }

    fn after_epoch(&mut self, model: &mut Model, epoch: &Epoch) -> Result<Decision> {
        let first = self.0.after_epoch(model, epoch)?;
        let second = self.1.after_epoch(model, epoch)?;
        Ok(if first == Decision::Stop { first } else { second })
    }

    fn after_step(&mut self, step: &StepReport) -> Result<Decision> {
        let first = self.0.after_step(step)?;
        let second = self.1.after_step(step)?;
        Ok(if first == Decision::Stop { first } else { second })
    }

    fn may_keep(&self, epoch: u32) -> bool {
        self.0.may_keep(epoch) && self.1.may_keep(epoch)
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!([self.0.state(), self.1.state()])
    }

    fn restore(&mut self, state: &serde_json::Value) -> Result<()> {
        self.0.restore(&state[0])?;
        self.1.restore(&state[1])
    }
}
