//! Training steps by a compiled plan: buffers are allocated once, no tape is recorded.

use tinsmith_kernels::Threads;
use tinsmith_layers::plan::{Plan, PlanOptions, Update as Change};
use tinsmith_layers::{Mode, Model};
use tinsmith_network::Role;

use super::step::{Engine, TrainStep};
use super::width_penalty::WidthPenalty;
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::loss::{Head, Loss, LossInput};
use crate::optimizer::{OptimizerConfig, Tensor};
use crate::snapshot::Moments;
use crate::targets::head_of;

/// Engine whose plan owns the weights between `enter` and `leave`.
#[derive(Debug)]
pub(super) struct Planned {
    plan: Plan,
    options: PlanOptions,
    optimizer: OptimizerConfig,
    loss: Loss,
    head: Head,
    /// Names of the frozen parameters that the plan was compiled for.
    frozen: Vec<String>,
    /// Names of the kernels, sorted.
    kernels: Vec<String>,
    /// Accumulated gradients of earlier batches of the update, by block; empty if there are none.
    kept: Vec<Vec<f32>>,
    widths: Option<WidthPenalty>,
    /// Elements of one sample's input and output, and of the last axis of the output.
    input: usize,
    output: usize,
    width: usize,
    outputs: Vec<f32>,
}

impl Planned {
    /// Compiles the plan for batches of up to `rows`. Without `training` only [`predict`](Engine::predict) works.
    pub(super) fn new(model: &Model, config: &TrainConfig, rows: usize, training: bool) -> Result<Self> {
        let options = PlanOptions {
            rows,
            training,
            logits: matches!(config.loss, Loss::CrossEntropy { .. }),
            threads: model.threads(),
            ..PlanOptions::default()
        };
        let graph = model.graph();
        let shape = |layers: &[usize]| layers.first().map_or(&[][..], |&i| graph.shape(i));
        let (input, output) = (shape(&graph.inputs), shape(&graph.outputs));
        let roles = model.roles().into_iter().filter(|(_, role)| *role == Role::Kernel);
        let mut kernels: Vec<String> = roles.map(|(name, _)| name).collect();
        kernels.sort();
        let mut engine = Self {
            plan: Plan::of_model(model, &options)?,
            options,
            optimizer: config.optimizer.clone(),
            loss: config.loss,
            head: head_of(model),
            frozen: frozen(model),
            kernels,
            kept: Vec::new(),
            widths: WidthPenalty::new(model, config)?,
            input: input.iter().product(),
            output: output.iter().product(),
            width: output.last().copied().unwrap_or(1),
            outputs: Vec::new(),
        };
        engine.lay_out_moments()?;
        Ok(engine)
    }

    fn lay_out_moments(&mut self) -> Result<()> {
        let (slots, start) = (self.optimizer.rule.slots(), self.optimizer.rule.start());
        self.plan.set_slots(slots);
        self.kept = vec![Vec::new(); self.plan.blocks().len()];
        if start != 0.0 {
            let blocks: Vec<(String, usize)> =
                self.plan.blocks().iter().map(|b| (b.name().to_owned(), b.len())).collect();
            for (name, len) in blocks {
                self.plan.set_slots_of(&name, &vec![start; slots * len])?;
            }
        }
        Ok(())
    }

    fn place(&self, name: &str) -> usize {
        let found = self.plan.blocks().iter().position(|b| b.name() == name);
        found.expect("invariant: gradients are of blocks of the plan")
    }

    /// Runs the backward pass. The optimizer updates each block as its gradient is complete; without an update the
    /// gradients are accumulated.
    fn backward(&mut self, step: &TrainStep<'_>, threads: Threads) -> Result<()> {
        let Some(update) = step.update else {
            let mut found: Vec<(String, Vec<f32>)> = Vec::new();
            self.plan
                .backward(&mut |change| found.push((change.name.to_owned(), change.gradient.to_vec())))?;
            for (name, gradient) in found {
                let place = self.place(&name);
                add(&mut self.kept[place], &gradient);
            }
            return Ok(());
        };
        if let Some(widths) = &self.widths {
            // Added through the accumulated gradients, so that all paths below see one sum.
            for (name, gradient) in widths.gradients(|name| Ok(self.plan.block_values(name)?.to_vec()))? {
                let place = self.place(&name);
                add(&mut self.kept[place], &gradient);
            }
        }
        // Three ways to update, equal in result. Clipping by the global norm needs two passes over all gradients. Otherwise
        // each block is updated as its gradient completes, while it is still in the cache; element-wise rules may even
        // update pieces of a block on the thread that reduced them.
        let Self { plan, optimizer, kernels, kept, .. } = self;
        let earlier: Vec<(String, Vec<f32>)> = if kept.iter().all(Vec::is_empty) {
            Vec::new()
        } else {
            let names = plan.blocks().iter().map(|b| b.name().to_owned());
            names.zip(kept.iter_mut().map(std::mem::take)).collect()
        };
        let prepared = |change: &mut Change<'_>| {
            if let Some((_, kept)) =
                earlier.iter().find(|(name, kept)| name == change.name && !kept.is_empty())
            {
                change.gradient.iter_mut().zip(kept).for_each(|(g, kept)| *g += kept);
            }
            kernels.binary_search_by(|kernel| kernel.as_str().cmp(change.name)).is_ok()
        };
        let (rate, number) = (update.learning_rate, update.number);
        if optimizer.global_clip_norm > 0.0 {
            // The global norm needs every gradient before the first weight changes.
            let mut squares = 0.0;
            plan.backward(&mut |mut change| {
                let is_kernel = prepared(&mut change);
                squares += optimizer.squares(&tensor(change, is_kernel), threads);
            })?;
            let scale = optimizer.global_factor(squares);
            plan.change_all(&mut |change| {
                let is_kernel = kernels.binary_search_by(|kernel| kernel.as_str().cmp(change.name)).is_ok();
                optimizer.apply(rate, number, scale, tensor(change, is_kernel), threads);
            });
        } else if earlier.is_empty() && optimizer.is_elementwise() {
            plan.backward_by_tiles(&|mut change| {
                let (is_kernel, threads) = (prepared(&mut change), change.threads);
                optimizer.apply(rate, number, 1.0, tensor(change, is_kernel), threads);
            })?;
        } else {
            plan.backward(&mut |mut change| {
                let is_kernel = prepared(&mut change);
                optimizer.apply(rate, number, 1.0, tensor(change, is_kernel), threads);
            })?;
        }
        Ok(())
    }
}

fn tensor(change: Change<'_>, is_kernel: bool) -> Tensor<'_> {
    let Change { values, gradient, slots, prune_mask, update_mask, .. } = change;
    Tensor { weights: values, gradient, state: slots, is_kernel, prune: prune_mask, hold: update_mask }
}

fn add(sums: &mut Vec<f32>, values: &[f32]) {
    if sums.is_empty() {
        sums.extend_from_slice(values);
    } else {
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
}

fn frozen(model: &Model) -> Vec<String> {
    model.params().iter().filter(|p| p.is_frozen()).map(|p| p.name().to_owned()).collect()
}

impl Engine for Planned {
    fn enter(&mut self, model: &Model) -> Result<()> {
        self.plan.set_threads(model.threads());
        if frozen(model) != self.frozen {
            // The set of frozen parameters decides which layers have a backward pass, so the plan is compiled again.
            let moments = self.moments();
            self.frozen = frozen(model);
            self.plan = Plan::of_model(model, &self.options)?;
            self.lay_out_moments()?;
            return self.set_moments(&moments);
        }
        Ok(self.plan.load(model)?)
    }

    fn leave(&mut self, model: &Model) -> Result<()> {
        Ok(self.plan.store(model)?)
    }

    fn step(&mut self, model: &Model, step: &TrainStep<'_>) -> Result<f64> {
        let (rows, threads) = (step.rows, model.threads());
        self.plan.input_mut(0, rows)?.copy_from_slice(&step.samples[..rows * self.input]);
        self.plan.forward(rows, Mode::Train { seed: step.seed })?;
        let (outputs, gradient) = self.plan.output_and_gradient(0);
        self.outputs.clear();
        self.outputs.extend_from_slice(outputs);
        let judged = LossInput {
            outputs,
            rows,
            width: self.width,
            head: self.head,
            targets: step.targets,
            soft: step.soft,
            weights: step.weights,
        };
        // The loss writes its gradient straight into the plan's buffer, the starting point of the backward pass.
        let sum = judged.loss(self.loss, step.divisor as f32, gradient, threads);
        // A non-finite loss must leave weights and optimizer state untouched: the caller reports the layer and restores
        // the weights from the start of the epoch. The gradient is empty if every parameter is frozen.
        if sum.is_finite() && !gradient.is_empty() {
            self.backward(step, threads)?;
        }
        Ok(sum)
    }

    fn predict(&mut self, _: &Model, samples: &[f32], rows: usize) -> Result<()> {
        self.outputs.clear();
        let most = self.plan.most_rows();
        for samples in samples[..rows * self.input].chunks(most * self.input) {
            let rows = samples.len() / self.input.max(1);
            self.plan.input_mut(0, rows)?.copy_from_slice(samples);
            self.plan.forward(rows, Mode::Infer)?;
            self.outputs.extend_from_slice(self.plan.output(0));
        }
        debug_assert_eq!(self.outputs.len(), rows * self.output, "every sample has an output");
        Ok(())
    }

    fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    fn moments(&self) -> Moments {
        let trainable = self.plan.blocks().iter().filter(|b| b.is_trainable());
        let state = trainable.map(|b| {
            let slots = self.plan.slots(b.name()).expect("invariant: every block of the plan has its slots");
            (b.name().to_owned(), slots.to_vec())
        });
        state.filter(|(_, state)| !state.is_empty()).collect()
    }

    fn set_moments(&mut self, moments: &Moments) -> Result<()> {
        let names: Vec<(String, usize)> =
            self.moments().into_iter().map(|(name, s)| (name, s.len())).collect();
        for (name, len) in names {
            match moments.get(&name) {
                Some(state) if state.len() == len => self.plan.set_slots_of(&name, state)?,
                _ => {
                    let reason = format!("the optimizer's state of `{name}` does not fit");
                    return Err(TrainError::Checkpoint { reason });
                }
            }
        }
        Ok(())
    }
}
