//! Training steps by a plan: buffers laid out beforehand, no tape.

use tinsmith_kernels::Threads;
use tinsmith_layers::plan::{Plan, PlanOptions, Update as Change};
use tinsmith_layers::{Mode, Model};
use tinsmith_network::Role;

use super::{Engine, Moments, Step, WidthPenalty};
use crate::config::TrainConfig;
use crate::error::{Result, TrainError};
use crate::loss::{Head, Judged, Loss};
use crate::optimizer::{OptimizerConfig, Tensor};

/// An engine whose weights are those of its plan between `enter` and `leave`.
#[derive(Debug)]
pub(super) struct Planned {
    plan: Plan,
    options: PlanOptions,
    optimizer: OptimizerConfig,
    loss: Loss,
    head: Head,
    /// Names of the parameters that no optimizer changes, as the plan was compiled with them.
    frozen: Vec<String>,
    /// Names of the kernels, sorted.
    kernels: Vec<String>,
    /// Gradients of batches before the one that ends in an update, by block; empty where there were none.
    kept: Vec<Vec<f32>>,
    widths: Option<WidthPenalty>,
    /// Elements of one sample's input and output, and of the output's last axis.
    input: usize,
    output: usize,
    width: usize,
    outputs: Vec<f32>,
}

impl Planned {
    /// Without `training` there is only [`predict`](Engine::predict), for batches of up to the configuration's size.
    pub(super) fn new(model: &Model, config: &TrainConfig, training: bool) -> Result<Self> {
        let options = PlanOptions {
            rows: config.batch_size,
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
            head: crate::fit::head_of(model),
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
        self.plan.blocks().iter().position(|b| b.name() == name).unwrap_or_default()
    }

    /// The backward pass; the blocks go to the optimizer where the step says so, else their gradients are kept.
    fn backward(&mut self, step: &Step<'_>, threads: Threads) -> Result<()> {
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
            // As if an earlier batch had left them.
            for (name, gradient) in widths.gradients(|name| Ok(self.plan.block_values(name)?.to_vec()))? {
                let place = self.place(&name);
                add(&mut self.kept[place], &gradient);
            }
        }
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
            // Every gradient has to be known before the first weight changes.
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
            // What has a backward pass depends on what is frozen.
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

    fn step(&mut self, model: &Model, step: &Step<'_>) -> Result<f64> {
        let (rows, threads) = (step.rows, model.threads());
        self.plan.input_mut(0, rows)?.copy_from_slice(&step.samples[..rows * self.input]);
        self.plan.forward(rows, Mode::Train { seed: step.seed })?;
        let (outputs, gradient) = self.plan.output_and_gradient(0);
        self.outputs.clear();
        self.outputs.extend_from_slice(outputs);
        let judged = Judged {
            outputs,
            rows,
            width: self.width,
            head: self.head,
            targets: step.targets,
            soft: step.soft,
            weights: step.weights,
        };
        let sum = judged.loss(self.loss, step.divisor as f32, gradient, threads);
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
        let state =
            trainable.filter_map(|b| Some((b.name().to_owned(), self.plan.slots(b.name()).ok()?.to_vec())));
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
