//! What a caller may do around the epochs of a training.

use tinsmith_layers::Model;
use tinsmith_study::Decision;

use crate::error::Result;
use crate::fit::Epoch;

/// One step of a training, as a callback sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Step in the epoch, from 1.
    pub step: u64,
    /// Steps of an epoch.
    pub steps: u64,
    /// Mean loss of its batch, before its update.
    pub loss: f64,
    /// Its learning rate.
    pub learning_rate: f64,
}

/// Sees a training from step to step and from epoch to epoch. Every method has a body that does nothing.
pub trait Callback {
    /// Before epoch `epoch` (from 1); may change masks and weights.
    ///
    /// # Errors
    /// Whatever ends the training.
    fn before_epoch(&mut self, _model: &mut Model, _epoch: u32) -> Result<()> {
        Ok(())
    }

    /// After a step; answers whether to go on. A stop ends the training as at the end of this epoch.
    ///
    /// # Errors
    /// Whatever ends the training.
    fn after_step(&mut self, _step: &StepReport) -> Result<Decision> {
        Ok(Decision::Continue)
    }

    /// After an epoch and its validation; answers whether to go on.
    ///
    /// # Errors
    /// Whatever ends the training.
    fn after_epoch(&mut self, _model: &mut Model, _epoch: &Epoch) -> Result<Decision> {
        Ok(Decision::Continue)
    }

    /// Whether the weights after `epoch` may be the ones that are kept as best. False while the network is not yet what it is
    /// to become, for example not yet sparse enough.
    fn may_keep(&self, _epoch: u32) -> bool {
        true
    }

    /// What a checkpoint must keep of it, so that a training goes on as if it had never stopped. Masks and weights of
    /// the model are kept anyway.
    fn state(&self) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Goes back to a [`state`](Callback::state).
    ///
    /// # Errors
    /// Whatever keeps the training from going on.
    fn restore(&mut self, _state: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

/// Lets a training run undisturbed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Undisturbed;

impl Callback for Undisturbed {}

/// A function of each epoch as a callback.
#[derive(Debug)]
pub struct Observe<F>(pub F);

impl<F: FnMut(&Epoch) -> Decision> Callback for Observe<F> {
    fn after_epoch(&mut self, _model: &mut Model, epoch: &Epoch) -> Result<Decision> {
        Ok((self.0)(epoch))
    }
}

/// Two callbacks, one after the other; a stop by either is a stop.
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
