//! Batch normalization in floating point.

use tinsmith_kernels::batch_norm::{
    add_gradient_sums, add_moments, batch_norm_fused, finish_moments, input_gradient_into, join_moments,
    moment_sums, parameter_gradients,
};
use tinsmith_kernels::epilogue::Epilogue;
use tinsmith_kernels::gate::Gate;

use super::operator::{Backward, Batch, Forward, Gather, Operator, Traversal};
use super::product::fuse_into;
use crate::error::Result;

/// Normalization by the batch moments, or by the moving ones in inference, followed by a learned scale and shift
/// (Ioffe and Szegedy, arXiv 1502.03167). Blocks: gamma and beta, if learned. State: moving mean and variance.
#[derive(Debug)]
pub(super) struct BatchNorm {
    channels: usize,
    has_gamma: bool,
    has_beta: bool,
    epsilon: f32,
    momentum: f64,
    /// True if the moving variance tracks the unbiased batch variance.
    unbiased: bool,
    own: BatchMoments,
    gate: Gate,
}

#[derive(Debug)]
struct BatchMoments {
    mean: Vec<f32>,
    variance: Vec<f32>,
    ones: Vec<f32>,
    zeros: Vec<f32>,
    /// Moment sums over the rows of this batch.
    moments: Vec<f64>,
    /// Gradient sums of this batch: for beta, then for gamma.
    sums: Vec<f64>,
    d_gamma: Vec<f32>,
    d_beta: Vec<f32>,
}

impl BatchNorm {
    pub(super) fn new(l: &tinsmith_network::op::BatchNorm, sample: &[usize], unbiased: bool) -> Self {
        let channels = *sample.last().expect("invariant: a normalized sample has an axis of channels");
        let zeros = || vec![0.0; channels];
        Self {
            channels,
            has_gamma: l.scale,
            has_beta: l.center,
            epsilon: l.epsilon as f32,
            momentum: l.momentum,
            unbiased,
            own: BatchMoments {
                mean: zeros(),
                variance: zeros(),
                ones: vec![1.0; channels],
                zeros: zeros(),
                moments: vec![0.0; moment_sums(channels)],
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
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        let (gamma, beta) = self.scale_shift(&io.weights);
        let moments: (&[f32], &[f32]) = match io.state.as_slice() {
            [mean, variance] if !io.mode.is_training() => (mean, variance),
            _ => (&self.own.mean, &self.own.variance),
        };
        let epilogue = Epilogue { bias: None, gate: self.gate, bits: &mut *io.bits };
        let (x, threads) = (io.inputs[0], io.threads.count());
        batch_norm_fused(io.output, x, (gamma, beta), moments, self.epsilon, epilogue, threads);
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let x = io.inputs[0];
        let BatchMoments { mean, variance, sums, d_gamma, d_beta, .. } = &self.own;
        if let Some(dx) = &mut io.d_inputs[0] {
            let (gamma, _) = self.scale_shift(&io.weights);
            let rows = io.chunk.batch * (x.len() / io.chunk.rows / self.channels.max(1));
            let (moments, sums, threads) = ((&**mean, &**variance), (&**sums, rows), io.threads.count());
            input_gradient_into(
                dx.values,
                io.d_output,
                x,
                gamma,
                moments,
                sums,
                self.epsilon,
                dx.sink,
                threads,
            );
        }
        if io.accumulate {
            return Ok(());
        }
        let found = [(self.has_gamma, d_gamma), (self.has_beta, d_beta)];
        let found = found.into_iter().filter(|(learned, _)| *learned).map(|(_, values)| values);
        for (gradient, found) in io.gradients.iter_mut().zip(found).filter(|(g, _)| !g.is_empty()) {
            // The gradients were computed for the whole batch at once, so shard 0 takes all of them.
            if io.chunk.shard == 0 {
                gradient.copy_from_slice(found);
            } else {
                gradient.fill(0.0);
            }
        }
        Ok(())
    }

    fn traversal(&self) -> Traversal {
        Traversal::GatheredChunks
    }

    /// Reading the input again costs less than writing the output and reading it back, both through main memory.
    fn repeats(&self) -> bool {
        true
    }

    fn gather(&self, chunk: &mut Gather<'_>) {
        add_moments(chunk.sums, chunk.inputs[0], chunk.threads.count());
    }

    fn gather_backward(&self, chunk: &mut Gather<'_>) {
        let sums = &mut chunk.sums[..2 * self.channels];
        add_gradient_sums(sums, chunk.d_output, chunk.inputs[0], &self.own.mean, chunk.threads.count());
    }

    fn sums(&self) -> usize {
        moment_sums(self.channels)
    }

    fn before(&mut self, batch: &Batch<'_>) {
        if !batch.mode.is_training() {
            return;
        }
        let BatchMoments { mean, variance, moments, .. } = &mut self.own;
        moments.fill(0.0);
        batch.sums.chunks_exact(moments.len()).for_each(|shard| join_moments(moments, shard));
        finish_moments(moments, mean, variance);
    }

    fn after(&mut self, state: &mut [&mut [f32]]) -> Result<()> {
        let BatchMoments { mean, variance, moments, .. } = &self.own;
        let rows = moments[0];
        let correction = if self.unbiased && rows > 1.0 { rows / (rows - 1.0) } else { 1.0 };
        if let [moving_mean, moving_variance] = state {
            move_towards(moving_mean, mean, self.momentum, 1.0);
            move_towards(moving_variance, variance, self.momentum, correction);
        }
        Ok(())
    }

    fn before_backward(&mut self, batch: &Batch<'_>) {
        let BatchMoments { variance, sums, d_gamma, d_beta, .. } = &mut self.own;
        sums.fill(0.0);
        for shard in batch.sums.chunks_exact(moment_sums(self.channels)) {
            sums.iter_mut().zip(shard).for_each(|(sum, shard)| *sum += shard);
        }
        parameter_gradients((d_gamma, d_beta), sums, variance, self.epsilon);
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
    let (keep, step) = (momentum as f32, ((1.0 - momentum) * factor) as f32);
    for (old, new) in old.iter_mut().zip(new) {
        *old = *old * keep + new * step;
    }
}
