//! Training steps on candle's graph, for any layer and any device that candle supports.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, InplaceOp1, Layout, Shape, Tensor};
use tinsmith_core_tensor::Param;
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_layers::{Mode, Model};
use tinsmith_network::Role;

use super::step::{Engine, TrainStep, Update};
use super::width_penalty::WidthPenalty;
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::loss::{Head, Loss, LossInput};
use crate::optimizer::{self, OptimizerConfig};
use crate::snapshot::Moments;
use crate::targets::head_of;

/// Engine whose weights are the variables of the model itself.
#[derive(Debug)]
pub(super) struct Graph {
    optimizer: OptimizerConfig,
    loss: Loss,
    head: Head,
    drop_connect: f64,
    blocks: Vec<Block>,
    widths: Option<WidthPenalty>,
    outputs: Vec<f32>,
}

/// State kept for one parameter.
#[derive(Debug)]
struct Block {
    name: String,
    len: usize,
    is_kernel: bool,
    takes_updates: bool,
    state: Vec<f32>,
    /// Accumulated gradient of earlier batches of the update; empty if there are none.
    kept: Vec<f32>,
    /// Prune mask and update mask: 1 for free elements. Empty if there is no mask.
    prune: Vec<f32>,
    hold: Vec<f32>,
}

/// A kernel, and the factors of its elements in one step.
type Thinned = (Tensor, Vec<f32>);

impl Graph {
    pub(super) fn new(model: &Model, config: &TrainConfig) -> Result<Self> {
        let slots = config.optimizer.rule.slots();
        let roles = model.roles();
        let block = |param: &Param| Block {
            name: param.name().to_owned(),
            len: param.len(),
            is_kernel: roles.iter().any(|(name, role)| name == param.name() && *role == Role::Kernel),
            takes_updates: param.takes_updates(),
            state: vec![
                config.optimizer.rule.start();
                if param.is_trainable() { slots * param.len() } else { 0 }
            ],
            kept: Vec::new(),
            prune: Vec::new(),
            hold: Vec::new(),
        };
        let mut engine = Self {
            optimizer: config.optimizer.clone(),
            loss: config.loss,
            head: head_of(model),
            drop_connect: config.drop_connect,
            blocks: model.params().iter().map(block).collect(),
            widths: WidthPenalty::new(model, config)?,
            outputs: Vec::new(),
        };
        engine.enter(model)?;
        Ok(engine)
    }

    fn update(&mut self, model: &Model, gradients: &mut [Vec<f32>], update: Update) -> Result<()> {
        let widths = match &self.widths {
            Some(widths) => widths.gradients(|name| Ok(model.params().get(name)?.values()?))?,
            None => Vec::new(),
        };
        for (block, gradient) in self.blocks.iter_mut().zip(&mut *gradients) {
            if let Some((_, penalty)) = widths.iter().find(|(name, _)| *name == block.name) {
                gradient.iter_mut().zip(penalty).for_each(|(g, p)| *g += p);
            }
            if !block.kept.is_empty() {
                gradient.iter_mut().zip(&block.kept).for_each(|(g, kept)| *g += kept);
                block.kept.clear();
            }
        }
        let threads = model.threads();
        let mut scale = 1.0;
        if self.optimizer.global_clip_norm > 0.0 {
            let mut squares = 0.0;
            for ((block, gradient), param) in self.blocks.iter_mut().zip(&mut *gradients).zip(model.params())
            {
                if !gradient.is_empty() {
                    squares += self.optimizer.squares(&block.tensor(&mut param.values()?, gradient), threads);
                }
            }
            scale = self.optimizer.global_factor(squares);
        }
        // Blocks, gradients and parameters share one order: that of the model's parameters.
        for ((block, gradient), param) in self.blocks.iter_mut().zip(gradients).zip(model.params()) {
            if gradient.is_empty() {
                continue;
            }
            let op = InPlace {
                optimizer: &self.optimizer,
                update,
                scale,
                threads,
                parts: Mutex::new((block, std::mem::take(gradient))),
            };
            param.tensor().inplace_op1(&op)?;
        }
        Ok(())
    }

    /// Returns logits for cross-entropy, the network's output for every other loss.
    fn forward(&self, model: &Model, samples: &Tensor, mode: Mode) -> Result<Tensor> {
        Ok(match self.loss {
            Loss::CrossEntropy { .. } => model.forward_logits(samples, mode)?,
            _ => model.forward(samples, mode)?,
        })
    }

    /// Replaces every kernel by one with randomly dropped connections; returns the originals and factors.
    fn drop_connections(&self, model: &Model, seed: Seed) -> Result<Vec<Option<Thinned>>> {
        let (threshold, kept) =
            ((self.drop_connect * 4_294_967_296.0) as u32, (1.0 / (1.0 - self.drop_connect)) as f32);
        let mut dropped = Vec::with_capacity(self.blocks.len());
        for (block, param) in self.blocks.iter().zip(model.params()) {
            if !block.is_kernel || self.drop_connect <= 0.0 {
                dropped.push(None);
                continue;
            }
            // One stream per kernel, so that the draws do not depend on the number or order of other kernels.
            let mut rng = seed.derive("drop_connect", 0).derive(&block.name, 0).rng();
            let factors: Vec<f32> =
                (0..block.len).map(|_| if rng.next_u32() < threshold { 0.0 } else { kept }).collect();
            let whole = param.tensor().detach().copy()?;
            let thin = (&whole * Tensor::from_slice(&factors, param.dims(), model.device())?)?;
            param.set(&thin)?;
            dropped.push(Some((whole, factors)));
        }
        Ok(dropped)
    }
}

impl Engine for Graph {
    fn enter(&mut self, model: &Model) -> Result<()> {
        let values = |mask: Option<&Tensor>| -> Result<Vec<f32>> {
            Ok(mask.map(|m| m.flatten_all()?.to_vec1()).transpose()?.unwrap_or_default())
        };
        for (block, param) in self.blocks.iter_mut().zip(model.params()) {
            block.takes_updates = param.takes_updates();
            block.prune = values(param.prune_mask())?;
            block.hold = values(param.update_mask())?;
            block.forget_pruned();
        }
        Ok(())
    }

    fn leave(&mut self, _model: &Model) -> Result<()> {
        Ok(())
    }

    fn step(&mut self, model: &Model, step: &TrainStep<'_>) -> Result<f64> {
        let samples = batch(model, step.samples, step.rows)?;
        let dropped = self.drop_connections(model, step.seed)?;
        let outputs = self.forward(model, &samples, Mode::Train { seed: step.seed })?;
        self.outputs = outputs.flatten_all()?.to_vec1()?;
        let judged = LossInput {
            outputs: &self.outputs,
            rows: step.rows,
            width: outputs.dims().last().copied().unwrap_or(1),
            head: self.head,
            targets: step.targets,
            soft: step.soft,
            weights: step.weights,
        };
        // The loss is computed outside the graph, by the code that the planned engine uses. `Source` feeds its gradient
        // into candle's backward pass; a non-finite loss skips that pass and changes nothing.
        let mut gradient = vec![0.0; self.outputs.len()];
        let sum = judged.loss(self.loss, step.divisor as f32, &mut gradient, model.threads());
        let mut found = if sum.is_finite() {
            let source = Source { gradient: Mutex::new(gradient) };
            Some(outputs.contiguous()?.apply_op1(source)?.backward()?)
        } else {
            None
        };
        let mut gradients = Vec::with_capacity(self.blocks.len());
        for ((block, param), dropped) in self.blocks.iter().zip(model.params()).zip(dropped) {
            let gradient =
                found.as_mut().filter(|_| block.takes_updates).and_then(|g| g.remove(param.tensor()));
            let mut gradient: Vec<f32> =
                gradient.map(|g| g.flatten_all()?.to_vec1()).transpose()?.unwrap_or_default();
            // The update applies to the whole kernel; only the gradient of kept connections passes.
            if let Some((whole, factors)) = dropped {
                param.set(&whole)?;
                gradient.iter_mut().zip(&factors).for_each(|(g, f)| *g *= f);
            }
            gradients.push(gradient);
        }
        match step.update {
            _ if !sum.is_finite() => {}
            Some(update) => self.update(model, &mut gradients, update)?,
            None => {
                for (block, gradient) in self.blocks.iter_mut().zip(gradients) {
                    if block.kept.is_empty() {
                        block.kept = gradient;
                    } else {
                        block.kept.iter_mut().zip(&gradient).for_each(|(kept, g)| *kept += g);
                    }
                }
            }
        }
        Ok(sum)
    }

    fn predict(&mut self, model: &Model, samples: &[f32], rows: usize) -> Result<()> {
        let outputs = self.forward(model, &batch(model, samples, rows)?, Mode::Infer)?;
        self.outputs = outputs.flatten_all()?.to_vec1()?;
        Ok(())
    }

    fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    fn moments(&self) -> Moments {
        let own = |b: &&Block| !b.state.is_empty();
        self.blocks.iter().filter(own).map(|b| (b.name.clone(), b.state.clone())).collect()
    }

    fn set_moments(&mut self, moments: &Moments) -> Result<()> {
        for block in self.blocks.iter_mut().filter(|b| !b.state.is_empty()) {
            match moments.get(&block.name) {
                Some(state) if state.len() == block.state.len() => block.state.clone_from(state),
                _ => {
                    let reason = format!("the optimizer's state of `{}` does not fit", block.name);
                    return Err(TrainError::Checkpoint { reason });
                }
            }
        }
        Ok(())
    }
}

impl Block {
    /// Returns the parameter in the form that an optimizer takes.
    fn tensor<'a>(&'a mut self, weights: &'a mut [f32], gradient: &'a mut [f32]) -> optimizer::Tensor<'a> {
        let mask = |mask: &'a [f32]| (!mask.is_empty()).then_some(mask);
        optimizer::Tensor {
            weights,
            gradient,
            state: self.state.chunks_exact_mut(self.len.max(1)).collect(),
            is_kernel: self.is_kernel,
            prune: mask(&self.prune),
            hold: mask(&self.hold),
        }
    }

    /// Zeroes the optimizer state of pruned elements, as if they had never moved.
    fn forget_pruned(&mut self) {
        if self.prune.is_empty() {
            return;
        }
        for slot in self.state.chunks_exact_mut(self.len) {
            slot.iter_mut().zip(&self.prune).filter(|(_, mask)| **mask == 0.0).for_each(|(s, _)| *s = 0.0);
        }
    }
}

/// Returns rows of samples as a tensor.
pub(crate) fn batch(model: &Model, samples: &[f32], rows: usize) -> Result<Tensor> {
    let graph = model.graph();
    let shape = graph.inputs.first().map_or(&[][..], |&i| graph.shape(i));
    let shape: Vec<usize> = std::iter::once(rows).chain(shape.iter().copied()).collect();
    Ok(Tensor::from_slice(samples, shape, model.device())?)
}

/// Root of the backward pass: a scalar whose gradient for its argument is already known.
struct Source {
    gradient: Mutex<Vec<f32>>,
}

impl CustomOp1 for Source {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from_dims(&[])))
    }

    fn bwd(&self, outputs: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let gradient = std::mem::take(&mut *self.gradient.lock().unwrap_or_else(PoisonError::into_inner));
        Tensor::from_vec(gradient, outputs.shape(), outputs.device()).map(Some)
    }
}

/// In-place update of one parameter.
struct InPlace<'a> {
    optimizer: &'a OptimizerConfig,
    update: Update,
    scale: f32,
    threads: Threads,
    parts: Mutex<(&'a mut Block, Vec<f32>)>,
}

impl InplaceOp1 for InPlace<'_> {
    fn name(&self) -> &'static str {
        "optimizer step"
    }

    fn cpu_fwd(&self, w: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(w), Some((from, to))) = (w, layout.contiguous_offsets()) else {
            candle_core::bail!("an optimizer step takes contiguous f32 parameters");
        };
        let w = &mut w[from..to];
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let (block, gradient) = &mut *parts;
        let Update { learning_rate, number } = self.update;
        self.optimizer.apply(learning_rate, number, self.scale, block.tensor(w, gradient), self.threads);
        Ok(())
    }
}
