//! Element-wise operators: gates, activations, quantizers, dropout.

use tinsmith_core_tensor::ops::dropout_factors;
use tinsmith_kernels::Activation;
use tinsmith_kernels::activation::{activate, activation_gradient};
use tinsmith_kernels::epilogue::{Epilogue, apply_gate};
use tinsmith_kernels::gate::Gate;
use tinsmith_quant::QuantizerOp;

use super::operator::{Backward, Batch, Forward, Operator, ShortList, Traversal};
use crate::error::Result;
use crate::layer::{draw_seed, is_random, quantizer_mode};
use crate::mode::Mode;

/// A gate as an operator, after an operator that cannot fuse it.
#[derive(Debug)]
pub(super) struct Gated {
    gate: Gate,
    channels: usize,
}

impl Gated {
    pub(super) const fn new(gate: Gate, channels: usize) -> Self {
        Self { gate, channels }
    }
}

impl Operator for Gated {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        let epilogue = Epilogue { bias: None, gate: self.gate, bits: &mut *io.bits };
        apply_gate(io.output, io.inputs[0], epilogue, self.channels, io.threads.count());
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        // The gate has been applied to the gradient already.
        if let Some(dx) = &mut io.d_inputs[0] {
            dx.put(io.d_output, io.threads);
        }
        Ok(())
    }

    fn traversal(&self) -> Traversal {
        Traversal::Chunks
    }

    fn keeps_inputs(&self) -> bool {
        false
    }

    fn gate(&self) -> Gate {
        self.gate
    }
}

/// An activation function that cannot be expressed as a gate.
#[derive(Debug)]
pub(super) struct Activated {
    function: Activation,
    channels: usize,
    /// Elements of a sample.
    len: usize,
}

impl Activated {
    pub(super) const fn new(function: Activation, channels: usize, len: usize) -> Self {
        Self { function, channels, len }
    }
}

impl Operator for Activated {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        activate(io.output, io.inputs[0], self.function, self.channels, io.threads.count());
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let Some(dx) = &mut io.d_inputs[0] else { return Ok(()) };
        let (from, threads) = ((io.inputs[0], io.output), io.threads.count());
        if dx.is_plain() {
            activation_gradient(dx.values, io.d_output, from, self.function, self.channels, threads);
        } else {
            let found = &mut io.scratch[..dx.values.len()];
            activation_gradient(found, io.d_output, from, self.function, self.channels, threads);
            dx.put(found, io.threads);
        }
        Ok(())
    }

    fn scratch(&self, rows: usize) -> (usize, usize) {
        (0, rows * self.len)
    }

    fn keeps_output(&self) -> bool {
        true
    }

    fn traversal(&self) -> Traversal {
        Traversal::Chunks
    }
}

/// A quantizer of activations.
#[derive(Debug)]
pub(super) struct Quantized {
    op: QuantizerOp,
    layer: String,
    purpose: &'static str,
    is_random: bool,
    sample: Vec<usize>,
}

impl Quantized {
    pub(super) fn new(op: QuantizerOp, layer: &str, purpose: &'static str, sample: &[usize]) -> Self {
        let is_random = is_random(op.quantizer());
        Self { op, layer: layer.to_owned(), purpose, is_random, sample: sample.to_vec() }
    }

    fn dims(&self, rows: usize) -> ShortList<usize> {
        std::iter::once(rows).chain(self.sample.iter().copied()).collect()
    }

    fn mode(&self, mode: Mode) -> tinsmith_quant::Mode {
        quantizer_mode(mode, self.is_random, &self.layer, self.purpose)
    }
}

impl Operator for Quantized {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        self.op.apply_slice(io.inputs[0], &self.dims(io.chunk.rows), io.output, None, self.mode(io.mode))?;
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let Some(dx) = &mut io.d_inputs[0] else { return Ok(()) };
        self.op.pull_back_slice(io.inputs[0], &self.dims(io.chunk.rows), io.d_output, self.mode(io.mode))?;
        dx.put(io.d_output, io.threads);
        Ok(())
    }
}

/// Inverted dropout (Srivastava et al., JMLR 15, 2014).
#[derive(Debug)]
pub(super) struct Dropout {
    rate: f64,
    layer: String,
    factors: Vec<f32>,
    len: usize,
}

impl Dropout {
    pub(super) fn new(rate: f64, layer: &str, len: usize) -> Self {
        Self { rate, layer: layer.to_owned(), factors: Vec::new(), len }
    }
}

impl Operator for Dropout {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        let x = io.inputs[0];
        if !io.mode.is_training() {
            io.output.copy_from_slice(x);
            return Ok(());
        }
        let factors = &self.factors[io.chunk.first * self.len..];
        for ((y, x), f) in io.output.iter_mut().zip(x).zip(factors) {
            *y = x * *f;
        }
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let Some(dx) = &mut io.d_inputs[0] else { return Ok(()) };
        if io.mode.is_training() {
            for (g, f) in io.d_output.iter_mut().zip(&self.factors[io.chunk.first * self.len..]) {
                *g *= f;
            }
        }
        dx.put(io.d_output, io.threads);
        Ok(())
    }

    fn before(&mut self, batch: &Batch<'_>) {
        if let Mode::Train { seed } = batch.mode {
            let mut rng = draw_seed(seed, &self.layer, "noise").rng();
            dropout_factors(&mut self.factors[..batch.rows * self.len], self.rate, &mut rng);
        }
    }

    fn prepare(&mut self, rows: usize, training: bool) -> usize {
        self.factors = vec![0.0; if training { rows * self.len } else { 0 }];
        self.factors.len() * size_of::<f32>()
    }

    fn traversal(&self) -> Traversal {
        Traversal::Chunks
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}
