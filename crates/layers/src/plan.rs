//! The planned executor: a specification compiled into steps whose buffers are all laid out beforehand.
//!
//! A [`Plan`] trains and runs a network on the CPU without a tape and without asking the system for memory: values,
//! gradients and scratch memory share one arena by their lifetimes, parameters and optimizer state lie flat, and biases,
//! activations and fixed-point quantization are part of the kernels that compute what they apply to. It computes what
//! [`Model`] computes on candle's graph, layer for layer and name for name.
//!
//! The plan is open: [`Plan::compile_with`] asks for each layer whether the caller brings an [`Operator`] of its own,
//! with parameter blocks of its own length.

mod blocks;
mod combine;
mod compile;
mod layered;
mod layout;
mod memory;
mod normalize;
mod operator;
mod pass;
mod pointwise;
mod pooling;
mod product;
mod run;
mod segment;
mod step;
mod translate;

use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_kernels::arena::{Arena, Ledger};
use tinsmith_network::{Layer, ModelSpec};

use crate::error::{LayersError, Result};
use crate::mode::Mode;
use crate::model::Model;
use blocks::Blocks;
use segment::Segments;
use step::{Place, Step, Value};

pub use blocks::{Block, Update};
pub use operator::{
    Backward, Batch, BlockSpec, Forward, Gather, GradientSource, InputGradient, Operator, Part, Passing,
    Pieces, Span, Start,
};

/// How a network is compiled.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Samples of the largest batch. Default 32.
    pub rows: usize,
    /// Whether gradients are wanted; without, buffers are used again as soon as they are read. Default true.
    pub training: bool,
    /// Whether a softmax at the end is left out: what a loss is taken from. Default true.
    pub logits: bool,
    /// Threads that kernels may use; results do not depend on them. Default 1.
    pub threads: Threads,
    /// Layers whose values are the inputs, in order. Default the network's inputs.
    pub from: Vec<String>,
    /// Layers whose values are the outputs, in order. Default the network's outputs.
    pub to: Vec<String>,
    /// Parameter blocks (`layer.weight`) that do not change. Nothing below the lowest block that changes has a
    /// backward pass, and nothing is laid out for one. Default none.
    pub frozen: Vec<String>,
    /// Whether gradients by the inputs are wanted. Default false.
    pub input_gradients: bool,
    /// The most bytes that values, gradients and parameters may take. Default any.
    pub memory_limit: Option<usize>,
    /// Samples of a batch that go through several layers together, where layers allow it. Default as many as keep
    /// what they touch in the second-level cache.
    pub part_rows: Option<usize>,
    /// Shares of a batch, at most 8, that threads pass over side by side where layers allow it. Each has gradients of its own,
    /// which are added up, so results depend on it (in their last digits), but not on threads. Default up to 8, where shares
    /// are large enough for that to cost little.
    pub shares: Option<usize>,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            rows: 32,
            training: true,
            logits: true,
            threads: Threads::ONE,
            from: Vec::new(),
            to: Vec::new(),
            frozen: Vec::new(),
            input_gradients: false,
            memory_limit: None,
            part_rows: None,
            shares: None,
        }
    }
}

/// A layer for which an operator may be brought.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// Shapes of its inputs' samples.
    pub inputs: &'a [&'a [usize]],
    /// Shape of its output's samples.
    pub output: &'a [usize],
}

/// Who brings operators.
type Custom<'a> = &'a mut dyn FnMut(&Site<'_>) -> Result<Option<Part>>;

#[derive(Debug)]
struct Ends {
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    input_names: Vec<String>,
    output_names: Vec<String>,
}

/// How much memory a plan takes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// Numbers that all threads share.
    shared: usize,
    /// Numbers that each thread needs for its own parts of a batch.
    own: usize,
    /// Threads that have them.
    slots: usize,
    /// Words of gate bits.
    bits: usize,
    /// Bytes that steps keep for the backward pass.
    kept: usize,
    /// Sums that steps gather.
    sums: usize,
    /// Bytes that operators have for themselves.
    operators: usize,
}

impl Memory {
    const fn floats(&self) -> usize {
        self.shared + self.slots * self.own
    }

    const fn bytes(&self) -> usize {
        self.floats() * size_of::<f32>()
            + self.bits * size_of::<u16>()
            + self.kept
            + self.sums * size_of::<f64>()
            + self.operators
    }
}

/// A network ready to train or to run, in memory that was laid out beforehand.
///
/// ```
/// use tinsmith_foundation::Seed;
/// use tinsmith_layers::Mode;
/// use tinsmith_layers::plan::{Plan, PlanOptions};
/// use tinsmith_network::ModelSpec;
///
/// let spec = ModelSpec::parse(
///     "layers: [{name: x, input: {shape: [4]}}, {name: h, dense: {units: 8, activation: relu}}, {name: y, dense: {units: 1}}]",
///     "example",
/// )?;
/// let mut plan = Plan::compile(&spec, Seed::new(1), &PlanOptions { rows: 2, ..PlanOptions::default() })?;
/// let samples = [1.0, 0.5, -0.5, 0.0, 0.0, 1.0, 1.0, -1.0];
/// let mut losses = Vec::new();
/// for step in 0..50 {
///     plan.input_mut(0, 2)?.copy_from_slice(&samples);
///     plan.forward(2, Mode::Train { seed: Seed::new(2).derive("step", step) })?;
///     let (outputs, gradient) = plan.output_and_gradient(0);
///     let mut loss = 0.0;
///     for ((y, g), target) in outputs.iter().zip(gradient).zip([1.0, -1.0]) {
///         loss += (y - target).powi(2);
///         *g = 2.0 * (y - target);
///     }
///     losses.push(loss);
///     plan.backward(&mut |block| {
///         block.values.iter_mut().zip(block.gradient).for_each(|(w, g)| *w -= 0.05 * *g);
///     })?;
/// }
/// assert!(losses[49] < 0.01 * losses[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    values: Vec<Value>,
    steps: Vec<Step>,
    segments: Segments,
    blocks: Blocks,
    ends: Ends,
    memory: Memory,
    ledger: Ledger,
    arena: Arena,
    bits: Arena<u16>,
    kept: Arena<u8>,
    sums: Arena<f64>,
    threads: Threads,
    most_rows: usize,
    is_training: bool,
    /// Rows and mode of the last forward pass.
    last: Option<(usize, Mode)>,
}

impl Plan {
    /// Compiles `spec`. Parameters begin as those of [`Model::build`] with the same seed do.
    ///
    /// # Errors
    /// [`LayersError::Spec`] where the specification cannot be, [`LayersError::Unsupported`] where a layer asks for what
    /// there is not or a name in the options is unknown, [`LayersError::Memory`] where the limit is too small.
    pub fn compile(spec: &ModelSpec, seed: Seed, options: &PlanOptions) -> Result<Self> {
        Self::compile_with(spec, seed, options, &mut |_| Ok(None))
    }

    /// As [`compile`](Self::compile), with operators of the caller's own: `customize` is asked for each layer and
    /// returns what computes it, or None for this crate's own operator. A brought operator has the whole layer's work,
    /// its activation included.
    ///
    /// # Errors
    /// As [`compile`](Self::compile), and whatever `customize` returns.
    pub fn compile_with(
        spec: &ModelSpec,
        seed: Seed,
        options: &PlanOptions,
        customize: &mut dyn FnMut(&Site<'_>) -> Result<Option<Part>>,
    ) -> Result<Self> {
        compile::compile(spec, seed, options, customize)
    }

    /// Compiles a model with its parameters, masks and frozen flags as they are now. [`store`](Self::store) brings
    /// trained parameters back.
    ///
    /// # Errors
    /// As [`compile`](Self::compile).
    pub fn of_model(model: &Model, options: &PlanOptions) -> Result<Self> {
        let frozen = model.params().iter().filter(|p| p.is_frozen()).map(|p| p.name().to_owned());
        let mut options = options.clone();
        options.frozen.extend(frozen);
        let mut plan = Self::compile(model.spec(), Seed::new(0), &options)?;
        plan.load(model)?;
        Ok(plan)
    }

    fn new(
        values: Vec<Value>,
        steps: Vec<Step>,
        segments: Segments,
        blocks: Blocks,
        ends: Ends,
        memory: Memory,
        options: &PlanOptions,
    ) -> Self {
        Self {
            values,
            steps,
            segments,
            blocks,
            ends,
            memory,
            ledger: Ledger::default(),
            arena: Arena::new(memory.floats()),
            bits: Arena::new(memory.bits),
            kept: Arena::new(memory.kept),
            sums: Arena::new(memory.sums),
            threads: options.threads,
            most_rows: options.rows.max(1),
            is_training: options.training,
            last: None,
        }
    }

    /// Takes over the values and masks of a model of the same network.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] where a block is missing in the model or has another length.
    pub fn load(&mut self, model: &Model) -> Result<()> {
        for block in 0..self.blocks.list.len() {
            let name = self.blocks.list[block].name.clone();
            let param = model.params().get(&name)?;
            self.blocks.set(block, &param.values()?)?;
            let mask = |mask: Option<&candle_core::Tensor>| -> Result<Option<Vec<f32>>> {
                Ok(mask.map(|m| m.flatten_all()?.to_vec1::<f32>()).transpose()?)
            };
            self.blocks.set_prune_mask(block, mask(param.prune_mask())?)?;
            self.blocks.set_update_mask(block, mask(param.update_mask())?)?;
        }
        Ok(())
    }

    /// Writes the values of all blocks back to a model of the same network.
    ///
    /// # Errors
    /// [`LayersError::Tensor`] where the model has no such parameter or another shape.
    pub fn store(&self, model: &Model) -> Result<()> {
        for (number, block) in self.blocks.list.iter().enumerate() {
            let values = self.blocks.values_of(number);
            let tensor =
                candle_core::Tensor::from_slice(values, block.dims.as_slice(), &candle_core::Device::Cpu)?;
            model.params().set(&block.name, &tensor)?;
        }
        Ok(())
    }

    /// Values and optimizer state of another plan's blocks, by name, where name and length are the same. Returns the
    /// names of the blocks that were carried over.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn carry_over(&mut self, from: &Self) -> Result<Vec<String>> {
        let mut carried = Vec::new();
        for number in 0..self.blocks.list.len() {
            let name = self.blocks.list[number].name.clone();
            let Some(other) = from.blocks.list.iter().position(|b| b.name == name) else { continue };
            if from.blocks.list[other].dims != self.blocks.list[number].dims {
                continue;
            }
            self.blocks.set(number, from.blocks.values_of(other))?;
            self.blocks.set_prune_mask(number, from.blocks.list[other].prune_mask.clone())?;
            self.blocks.set_update_mask(number, from.blocks.list[other].update_mask.clone())?;
            if self.blocks.slot_count == from.blocks.slot_count {
                self.blocks.set_slots_of(number, from.blocks.slots_of(other))?;
            }
            carried.push(name);
        }
        Ok(carried)
    }

    /// The parameter blocks, in the order of the layers.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks.list
    }

    /// The values of a block.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] where there is no block called so.
    pub fn block_values(&self, name: &str) -> Result<&[f32]> {
        Ok(self.blocks.values_of(self.blocks.find(name)?))
    }

    /// Sets the values of a block; pruned ones stay 0.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] where there is no such block or it has another length.
    pub fn set_block(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.blocks.set(self.blocks.find(name)?, values)
    }

    /// Sets or takes away a block's prune mask: under a 0, values and optimizer state are 0 from now on.
    ///
    /// # Errors
    /// As [`set_block`](Self::set_block).
    pub fn set_prune_mask(&mut self, name: &str, mask: Option<Vec<f32>>) -> Result<()> {
        self.blocks.set_prune_mask(self.blocks.find(name)?, mask)
    }

    /// Sets or takes away a block's update mask, which its gradients are multiplied by.
    ///
    /// # Errors
    /// As [`set_block`](Self::set_block).
    pub fn set_update_mask(&mut self, name: &str, mask: Option<Vec<f32>>) -> Result<()> {
        self.blocks.set_update_mask(self.blocks.find(name)?, mask)
    }

    /// Gives every block `count` times its length of zeros for an optimizer's state.
    pub fn set_slots(&mut self, count: usize) {
        self.blocks.set_slots(count);
    }

    /// The optimizer's state of a block: the first slot of all elements, then the second.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] where there is no block called so.
    pub fn slots(&self, name: &str) -> Result<&[f32]> {
        Ok(self.blocks.slots_of(self.blocks.find(name)?))
    }

    /// Sets the optimizer's state of a block.
    ///
    /// # Errors
    /// As [`set_block`](Self::set_block).
    pub fn set_slots_of(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.blocks.set_slots_of(self.blocks.find(name)?, values)
    }

    /// Bytes of the buffers that values, gradients, gates and scratch share.
    #[must_use]
    pub const fn buffer_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Samples of the largest batch.
    #[must_use]
    pub const fn most_rows(&self) -> usize {
        self.most_rows
    }

    /// Changes how many threads kernels may use; results stay the same. Threads that come to be more get memory of their own,
    /// and what the last pass left in the plan's buffers is gone.
    pub fn set_threads(&mut self, threads: Threads) {
        self.threads = threads;
        let slots = threads.count().min(self.segments.most_shares());
        if slots > self.memory.slots {
            self.memory.slots = slots;
            self.arena = Arena::new(self.memory.floats());
            self.last = None;
        }
    }

    /// Names of the layers whose values are the inputs.
    #[must_use]
    pub fn input_names(&self) -> &[String] {
        &self.ends.input_names
    }

    /// Names of the layers whose values are the outputs.
    #[must_use]
    pub fn output_names(&self) -> &[String] {
        &self.ends.output_names
    }

    /// Where input number `index` of a batch of `rows` samples goes: written before [`forward`](Self::forward), which
    /// may use the memory for something else afterwards.
    ///
    /// # Errors
    /// [`LayersError::Rows`] where the plan is laid out for fewer samples, [`LayersError::InputCount`] where there is
    /// no such input.
    pub fn input_mut(&mut self, index: usize, rows: usize) -> Result<&mut [f32]> {
        self.check_rows(rows)?;
        let Some(&value) = self.ends.inputs.get(index) else {
            return Err(LayersError::InputCount {
                want: self.ends.inputs.len(),
                names: self.ends.input_names.join(", "),
                got: index + 1,
            });
        };
        let range = self.values[value].rows(Place::whole(rows));
        Ok(&mut self.arena.as_mut_slice()[range])
    }

    fn check_rows(&self, rows: usize) -> Result<()> {
        if (1..=self.most_rows).contains(&rows) {
            return Ok(());
        }
        Err(LayersError::Rows { rows, most: self.most_rows })
    }

    /// What the last forward pass put out, for output number `index`; empty before the first.
    ///
    /// # Panics
    /// Where there is no such output.
    #[must_use]
    pub fn output(&self, index: usize) -> &[f32] {
        let rows = self.last.map_or(0, |(rows, _)| rows);
        &self.arena.as_slice()[self.values[self.ends.outputs[index]].rows(Place::whole(rows))]
    }

    /// The same with where the loss's gradient by it goes, which has to be written before [`backward`](Self::backward).
    /// The gradient is empty where no parameter below the output changes.
    ///
    /// # Panics
    /// Where there is no such output.
    pub fn output_and_gradient(&mut self, index: usize) -> (&[f32], &mut [f32]) {
        let rows = self.last.map_or(0, |(rows, _)| rows);
        let value = &self.values[self.ends.outputs[index]];
        let gradient = if value.gradient.is_empty() { 0..0 } else { value.gradient_rows(Place::whole(rows)) };
        // Both are in use at the time of the loss, so they lie apart.
        let both = self.arena.as_mut_slice().get_disjoint_mut([value.rows(Place::whole(rows)), gradient]);
        both.map_or((&[], &mut []), |[output, gradient]| (output, gradient))
    }

    /// The gradient by input number `index` after [`backward`](Self::backward), where the options asked for it.
    ///
    /// # Panics
    /// Where there is no such input.
    #[must_use]
    pub fn input_gradient(&self, index: usize) -> &[f32] {
        let rows = self.last.map_or(0, |(rows, _)| rows);
        let value = &self.values[self.ends.inputs[index]];
        if value.gradient.is_empty() {
            &[]
        } else {
            &self.arena.as_slice()[value.gradient_rows(Place::whole(rows))]
        }
    }
}
