//! Pooling over windows and over everything.

use std::ops::Range;

use tinsmith_core_tensor::kernels::pool::{
    PoolShape, average_pool, average_pool_gradient_into, max_pool, max_pool_gradient_into,
};

use super::operator::{Backward, Forward, Operator, Passing, Span};
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

    fn taps_of(&self, span: Span) -> Range<usize> {
        let sample = PoolShape { batch: 1, ..self.shape }.taps_len();
        span.first * sample..(span.first + span.rows) * sample
    }
}

impl Operator for MaxPool {
    fn forward(&mut self, io: &mut Forward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.span.rows, ..self.shape };
        let kept = if io.mode.is_training() { self.taps_of(io.span) } else { 0..0 };
        max_pool(io.output, &mut self.taps[kept], io.inputs[0], &shape, io.threads.count());
        Ok(())
    }

    fn backward(&mut self, io: &mut Backward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.span.rows, ..self.shape };
        if let Some(dx) = &mut io.d_inputs[0] {
            let taps = &self.taps[self.taps_of(io.span)];
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

    fn passing(&self) -> Passing {
        Passing::Parts
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
        let shape = PoolShape { batch: io.span.rows, ..self.shape };
        average_pool(io.output, io.inputs[0], &shape, io.threads.count());
        Ok(())
    }

    fn backward(&mut self, io: &mut Backward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.span.rows, ..self.shape };
        if let Some(dx) = &mut io.d_inputs[0] {
            average_pool_gradient_into(dx.values, io.d_output, dx.sink, &shape, io.threads.count());
        }
        Ok(())
    }

    fn keeps_inputs(&self) -> bool {
        false
    }

    fn passing(&self) -> Passing {
        Passing::Parts
    }
}
