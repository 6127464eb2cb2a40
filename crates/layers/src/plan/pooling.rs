//! Pooling over windows and over whole samples.

use tinsmith_kernels::pool::{
    PoolShape, average_pool, average_pool_gradient_into, max_pool, max_pool_gradient_into,
};

use super::operator::{Backward, Forward, Operator, Traversal};
use crate::error::Result;

/// Maximum of each window.
#[derive(Debug)]
pub(super) struct MaxPool {
    shape: PoolShape,
}

impl MaxPool {
    pub(super) const fn new(shape: PoolShape) -> Self {
        Self { shape }
    }
}

impl Operator for MaxPool {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.chunk.rows, ..self.shape };
        max_pool(io.output, io.kept, io.inputs[0], &shape, io.threads.count());
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.chunk.rows, ..self.shape };
        if let Some(dx) = &mut io.d_inputs[0] {
            max_pool_gradient_into(dx.values, io.d_output, io.kept, dx.sink, &shape, io.threads.count());
        }
        Ok(())
    }

    /// Index of the maximum within each window.
    fn kept(&self) -> usize {
        PoolShape { batch: 1, ..self.shape }.taps_len()
    }

    fn keeps_inputs(&self) -> bool {
        false
    }

    fn traversal(&self) -> Traversal {
        Traversal::Chunks
    }
}

/// Mean of each window; global if the window covers the whole image.
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
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.chunk.rows, ..self.shape };
        average_pool(io.output, io.inputs[0], &shape, io.threads.count());
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let shape = PoolShape { batch: io.chunk.rows, ..self.shape };
        if let Some(dx) = &mut io.d_inputs[0] {
            average_pool_gradient_into(dx.values, io.d_output, dx.sink, &shape, io.threads.count());
        }
        Ok(())
    }

    fn keeps_inputs(&self) -> bool {
        false
    }

    fn traversal(&self) -> Traversal {
        Traversal::Chunks
    }
}
