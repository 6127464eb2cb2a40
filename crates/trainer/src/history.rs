//! The record of a training: one entry per epoch, the kept epoch, the reason it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Figures of one epoch. Holds no times, so equal seeds give equal records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Epoch number, from 1.
    pub epoch: u32,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Mean training loss over the steps, each measured before its update.
    pub loss: f64,
    /// Loss on the validation split, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Accuracy on the validation split, if its targets are classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub val_accuracy: Option<f64>,
    /// The configured metrics on the validation split, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// Reason a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All epochs are done.
    Finished,
    /// The monitored value stopped improving.
    Early,
    /// A callback returned [`Stop`](tinsmith_study::Decision::Stop).
    Observer,
}

/// Course of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Every epoch, in order.
    pub epochs: Vec<Epoch>,
    /// Epoch whose weights the model has now.
    pub kept: u32,
    /// Reason the training ended.
    pub stopped: Stopped,
}

/// Checks that epochs are numbered 1, 2, 3 … and that `kept` is one of them or 0.
///
/// Returns the faulty field and the fault.
pub(crate) fn check_epochs(epochs: &[Epoch], kept: u32) -> Result<(), (&'static str, String)> {
    for (epoch, number) in epochs.iter().zip(1_u32..) {
        if epoch.epoch != number {
            let at = number - 1;
            return Err(("epochs", format!("has number {} at index {at}, want {number}", epoch.epoch)));
        }
    }
    if kept as usize > epochs.len() {
        return Err(("kept", format!("is {kept}, want at most {}, the epochs that are done", epochs.len())));
    }
    Ok(())
}
