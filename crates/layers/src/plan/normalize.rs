//! Batch normalization in float.

use tinsmith_core_tensor::kernels::batch_norm::{batch_norm_fused, batch_norm_gradient_into, moments};
use tinsmith_core_tensor::kernels::epilogue::{Epilogue, Gate, GradientSink};

use super::operator::{Backward, Forward, Operator};
use super::product::fuse_into;
use crate::error::Result;

/// Scale and shift by learned factors after normalization by the batch's moments, or the moving ones in inference
/// (Ioffe and Szegedy, arXiv 1502.03167). Blocks: gamma and beta where they are learned; state: moving mean and variance.
#[derive(Debug)]
pub(super) struct BatchNorm {
    channels: usize,
    has_gamma: bool,
    has_beta: bool,
    epsilon: f32,
    momentum: f64,
    /// Whether the moving variance takes the batch's unbiased one.
    unbiased: bool,
    own: Own,
    gate: Gate,
}

#[derive(Debug)]
struct Own {
    mean: Vec<f32>,
    variance: Vec<f32>,
    ones: Vec<f32>,
    zeros: Vec<f32>,
    d_gamma: Vec<f32>,
    d_beta: Vec<f32>,
}

impl BatchNorm {
    pub(super) fn new(l: &tinsmith_spec::op::BatchNorm, sample: &[usize], unbiased: bool) -> Self {
        let channels = sample.last().copied().unwrap_or_default();
        let zeros = || vec![0.0; channels];
        Self {
            channels,
            has_gamma: l.scale,
            has_beta: l.center,
            epsilon: l.epsilon as f32,
            momentum: l.momentum,
            unbiased,
            own: Own {
                mean: zeros(),
                variance: zeros(),
                ones: vec![1.0; channels],
                zeros: zeros(),
                d_gamma: zeros(),
                d_beta: zeros(),
            },
            gate: Gate::LINEAR,
        }
    }

    fn scale_shift<'a>(&'a self, weights: &[&'a [f32]]) -> (&'a [f32], &'a [f32]) {
        let gamma = if self.has_gamma { weights[0] } else { &self.own.ones };
        let beta = if self.has_beta { weights[usize::from(self.has_gamma)] } else { &self.own.zeros };
        (gamma, beta)
    }
}

impl Operator for BatchNorm {
    fn forward(&mut self, io: &mut Forward<'_>) -> Result<()> {
        let (x, threads) = (io.inputs[0], io.threads.count());
        if io.mode.is_training() {
            moments(&mut self.own.mean, &mut self.own.variance, x, threads);
            let rows = x.len() / self.channels.max(1);
            let correction = if self.unbiased && rows > 1 { rows as f64 / (rows - 1) as f64 } else { 1.0 };
            if let [mean, variance] = io.state.as_mut_slice() {
                move_towards(mean, &self.own.mean, self.momentum, 1.0);
                move_towards(variance, &self.own.variance, self.momentum, correction);
            }
        }
        let (gamma, beta) = self.scale_shift(&io.weights);
        let moments: (&[f32], &[f32]) = match io.state.as_slice() {
            [mean, variance] if !io.mode.is_training() => (mean, variance),
            _ => (&self.own.mean, &self.own.variance),
        };
        let epilogue = Epilogue { bias: None, gate: self.gate, bits: &mut *io.bits };
        batch_norm_fused(io.output, x, (gamma, beta), moments, self.epsilon, epilogue, threads);
        Ok(())
    }

    fn backward(&mut self, io: &mut Backward<'_>) -> Result<()> {
        let (x, threads) = (io.inputs[0], io.threads.count());
        let (mut d_gamma, mut d_beta) =
            (std::mem::take(&mut self.own.d_gamma), std::mem::take(&mut self.own.d_beta));
        let (gamma, _) = self.scale_shift(&io.weights);
        let moments = (self.own.mean.as_slice(), self.own.variance.as_slice());
        let (dx, sink) = match &mut io.d_inputs[0] {
            Some(dx) => (&mut *dx.values, dx.sink),
            None => (&mut [][..], GradientSink::default()),
        };
        let gradients = (dx, d_gamma.as_mut_slice(), d_beta.as_mut_slice());
        // The gradient comes with this layer's own gate closed on it.
        let dy = (&*io.d_output, &[][..]);
        batch_norm_gradient_into(gradients, dy, x, gamma, moments, self.epsilon, sink, threads);
        let found = [(self.has_gamma, &d_gamma), (self.has_beta, &d_beta)];
        let found = found.iter().filter(|(learned, _)| *learned).map(|(_, values)| values);
        for (gradient, found) in io.gradients.iter_mut().zip(found) {
            if !gradient.is_empty() {
                gradient.copy_from_slice(found);
            }
        }
        (self.own.d_gamma, self.own.d_beta) = (d_gamma, d_beta);
        Ok(())
    }

    fn fuse(&mut self, gate: Gate) -> bool {
        fuse_into(&mut self.gate, gate)
    }

    fn gate(&self) -> Gate {
        self.gate
    }
}

/// `momentum * old + (1 - momentum) * factor * new`.
fn move_towards(old: &mut [f32], new: &[f32], momentum: f64, factor: f64) {
    let (keep, share) = (momentum as f32, ((1.0 - momentum) * factor) as f32);
    for (old, new) in old.iter_mut().zip(new) {
        *old = *old * keep + new * share;
    }
}
