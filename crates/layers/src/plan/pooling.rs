//! Pooling over windows and over everything.

use tinsmith_core_tensor::kernels::pool::{
    PoolShape, average_pool, average_pool_gradient_into, max_pool, max_pool_gradient_into,
};

use super::operator::{Backward, Forward, Operator};
use crate::error::Result;

/// The largest value of each window.
#[derive(Debug)]
pub(super) struct MaxPool {
    shape: PoolShape,
    /// Which element of its window each output was.
    taps: Vec<u8>,
}

impl MaxPool {
    pub(super) const fn new(shape: PoolShape) -> Self {
        Self { shape, taps: Vec::new() }
    }
}

impl Operator for MaxPool {
    fn forward(&mut self, io: &mut Forward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.rows, ..self.shape };
        let kept = if io.mode.is_training() { shape.taps_len() } else { 0 };
        max_pool(io.output, &mut self.taps[..kept], io.inputs[0], &shape, io.threads.count());
        Ok(())
    }

    fn backward(&mut self, io: &mut Backward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.rows, ..self.shape };
        if let Some(dx) = &mut io.d_inputs[0] {
            let taps = &self.taps[..shape.taps_len()];
            max_pool_gradient_into(dx.values, io.d_output, taps, dx.sink, &shape, io.threads.count());
        }
        Ok(())
    }

    fn prepare(&mut self, rows: usize, training: bool) -> usize {
        let shape = PoolShape { batch: rows, ..self.shape };
        self.taps = vec![0; if training { shape.taps_len() } else { 0 }];
        self.taps.len()
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}

/// The mean of each window, or of everything where the window is the whole image.
#[derive(Debug)]
pub(super) struct AveragePool {
    shape: PoolShape,
}

impl AveragePool {
    pub(super) const fn new(shape: PoolShape) -> Self {
        Self { shape }
    }
}

impl Operator for AveragePool {
    fn forward(&mut self, io: &mut Forward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.rows, ..self.shape };
        average_pool(io.output, io.inputs[0], &shape, io.threads.count());
        Ok(())
    }

    fn backward(&mut self, io: &mut Backward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.rows, ..self.shape };
        if let Some(dx) = &mut io.d_inputs[0] {
            average_pool_gradient_into(dx.values, io.d_output, dx.sink, &shape, io.threads.count());
        }
        Ok(())
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}
