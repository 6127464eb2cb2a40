//! Averages of the weights over a training.

use candle_core::Tensor;
use tinsmith_layers::Model;

use crate::config::{Averaging, TrainConfig};
use crate::error::Result;
use crate::snapshot::Tensors;

/// A running average; empty before the first weights.
#[derive(Debug)]
pub(crate) struct Average {
    kind: Averaging,
    mean: Tensors,
}

impl Average {
    pub(crate) fn new(config: &TrainConfig) -> Self {
        Self { kind: config.averaging, mean: Tensors::new() }
    }

    /// Returns true if the weights are averaged after every update.
    pub(crate) const fn wants_updates(&self) -> bool {
        matches!(self.kind, Averaging::Exponential { .. })
    }

    /// Returns true if the weights at the end of this epoch enter the average.
    pub(crate) fn wants_epoch(&self, epoch: u32, epochs: u32) -> bool {
        matches!(self.kind, Averaging::Epochs { from } if f64::from(epoch) > from * f64::from(epochs))
    }

    /// Adds the weights of the model to an average of `count`; returns the new count.
    pub(crate) fn add(&mut self, model: &Model, count: u64) -> Result<u64> {
        let keep = match self.kind {
            Averaging::Exponential { decay } if count > 0 => decay as f32,
            Averaging::Epochs { .. } => count as f32 / (count + 1) as f32,
            _ => 0.0,
        };
        for param in model.params() {
            let mut values = param.values()?;
            if let Some(mean) = self.mean.get(param.name()).filter(|_| keep > 0.0) {
                let mean: Vec<f32> = mean.flatten_all()?.to_vec1()?;
                values.iter_mut().zip(mean).for_each(|(v, mean)| *v += keep * (mean - *v));
            }
            self.mean
                .insert(param.name().to_owned(), Tensor::from_vec(values, param.dims(), model.device())?);
        }
        Ok(count + 1)
    }

    /// Returns the average of `count` weights, or None if `count` is 0.
    pub(crate) fn weights(&self, count: u64) -> Option<&Tensors> {
        (count > 0).then_some(&self.mean)
    }

    pub(crate) const fn kept(&self) -> &Tensors {
        &self.mean
    }

    pub(crate) fn set(&mut self, mean: Tensors) {
        self.mean = mean;
    }
}
