//! Runs a layer of candle's graph as an operator, for layer kinds too rare to deserve kernels of their own. It
//! allocates in every step; the other operators do not.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{Device, Tensor, Var};
use tinsmith_core_tensor::Params;

use super::operator::{Backward, Forward, Operator};
use crate::error::Result;
use crate::layer::{self, Context};

/// A layer (or a linear layer and the normalization folded into it) with its own copy of the parameters.
#[derive(Debug)]
pub(super) struct GraphLayer {
    pub(super) layer: Box<dyn layer::LayerForward>,
    pub(super) name: String,
    /// Copies of the blocks, in an order of their own.
    pub(super) params: Params,
    /// Indices of the weights among the parameters, then those of the state.
    pub(super) weights: Vec<usize>,
    pub(super) state: Vec<usize>,
    /// Sample shapes of the inputs.
    pub(super) inputs: Vec<Vec<usize>>,
    /// True if a softmax at the end is left out.
    pub(super) keeps_logits: bool,
    /// Inputs and output of the last forward pass in training.
    pub(super) graph: Mutex<Option<(Vec<Var>, Tensor)>>,
}

impl GraphLayer {
    fn tensor(values: &[f32], rows: usize, sample: &[usize]) -> Result<Tensor> {
        let dims: Vec<usize> = std::iter::once(rows).chain(sample.iter().copied()).collect();
        Ok(Tensor::from_slice(values, dims, &Device::Cpu)?)
    }

    fn graph(&self) -> MutexGuard<'_, Option<(Vec<Var>, Tensor)>> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, place: usize, values: &[f32]) -> Result<()> {
        let param = &self.params.iter().as_slice()[place];
        Ok(param.set(&Tensor::from_slice(values, param.dims(), &Device::Cpu)?)?)
    }
}

fn copy_out(to: &mut [f32], from: &Tensor) -> Result<()> {
    to.copy_from_slice(&from.flatten_all()?.to_vec1::<f32>()?);
    Ok(())
}

impl Operator for GraphLayer {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        for (&place, values) in self.weights.iter().zip(&io.weights) {
            self.load(place, values)?;
        }
        for (&place, values) in self.state.iter().zip(&io.state) {
            self.load(place, values)?;
        }
        let inputs = io.inputs.iter().zip(&self.inputs);
        let inputs: Vec<Var> = inputs
            .map(|(x, sample)| Ok(Var::from_tensor(&Self::tensor(x, io.chunk.rows, sample)?)?))
            .collect::<Result<_>>()?;
        let arguments: Vec<&Tensor> = inputs.iter().map(Var::as_tensor).collect();
        let cx = Context {
            params: &self.params,
            mode: io.mode,
            threads: io.threads,
            layer: &self.name,
            keeps_logits: self.keeps_logits,
        };
        let output = self.layer.forward(&cx, &arguments)?;
        copy_out(io.output, &output)?;
        *self.graph() = io.mode.is_training().then_some((inputs, output));
        Ok(())
    }

    fn after(&mut self, state: &mut [&mut [f32]]) -> Result<()> {
        for (&place, values) in self.state.iter().zip(state) {
            copy_out(values, self.params.iter().as_slice()[place].tensor())?;
        }
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let Some((inputs, output)) = self.graph().take() else { return Ok(()) };
        let dy = Tensor::from_slice(&*io.d_output, output.dims(), &Device::Cpu)?;
        let found = (&output * dy)?.sum_all()?.backward()?;
        for (&place, gradient) in self.weights.iter().zip(&mut io.gradients) {
            if gradient.is_empty() {
                continue;
            }
            match found.get(self.params.iter().as_slice()[place].tensor()) {
                Some(values) => copy_out(gradient, values)?,
                None => gradient.fill(0.0),
            }
        }
        for (x, dx) in inputs.iter().zip(&mut io.d_inputs) {
            let Some(dx) = dx else { continue };
            let gradient = match found.get(x.as_tensor()) {
                Some(values) => values.flatten_all()?.to_vec1::<f32>()?,
                None => vec![0.0; dx.values.len()],
            };
            dx.put(&gradient, io.threads);
        }
        Ok(())
    }

    fn keeps_inputs(&self) -> bool {
        false
    }
}
