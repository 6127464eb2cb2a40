//! Batch normalization in float.

use tinsmith_core_tensor::kernels::batch_norm::{
    MomentSums, add_gradient_sums, batch_norm_fused, input_gradient_into, parameter_gradients,
};
use tinsmith_core_tensor::kernels::epilogue::{Epilogue, Gate};

use super::operator::{Backward, Forward, Gather, Operator, Passing};
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
    /// Of the rows of this batch so far.
    moments: MomentSums,
    /// Of the gradients of this batch so far: for beta, then for gamma.
    sums: Vec<f32>,
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
                moments: MomentSums::new(channels),
                sums: vec![0.0; 2 * channels],
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
        if io.mode.is_training() && io.span.first == 0 {
            self.own.moments.finish(&mut self.own.mean, &mut self.own.variance);
            let rows = io.span.batch * (x.len() / io.span.rows / self.channels.max(1));
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
        let x = io.inputs[0];
        let moments = (self.own.mean.as_slice(), self.own.variance.as_slice());
        if let Some(dx) = &mut io.d_inputs[0] {
            let (gamma, _) = self.scale_shift(&io.weights);
            let rows = io.span.batch * (x.len() / io.span.rows / self.channels.max(1));
            let (sums, epsilon, threads) =
                ((self.own.sums.as_slice(), rows), self.epsilon, io.threads.count());
            input_gradient_into(dx.values, io.d_output, x, gamma, moments, sums, epsilon, dx.sink, threads);
        }
        if io.span.first > 0 {
            return Ok(());
        }
        let Own { variance, sums, d_gamma, d_beta, .. } = &mut self.own;
        parameter_gradients((d_gamma, d_beta), sums, variance, self.epsilon);
        let found = [(self.has_gamma, d_gamma), (self.has_beta, d_beta)];
        let found = found.into_iter().filter(|(learned, _)| *learned).map(|(_, values)| values);
        for (gradient, found) in io.gradients.iter_mut().zip(found) {
            if !gradient.is_empty() {
                gradient.copy_from_slice(found);
            }
        }
        Ok(())
    }

    fn passing(&self) -> Passing {
        Passing::Gathered
    }

    fn gather(&mut self, part: &Gather<'_>) {
        if part.span.first == 0 {
            self.own.moments.clear();
        }
        self.own.moments.add(part.inputs[0], part.threads.count());
    }

    fn gather_backward(&mut self, part: &Gather<'_>) {
        let Own { sums, mean, .. } = &mut self.own;
        if part.span.first == 0 {
            sums.fill(0.0);
        }
        add_gradient_sums(sums, part.d_output, part.inputs[0], mean, part.threads.count());
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
