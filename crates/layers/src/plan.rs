//! The planned executor: a specification compiled into steps whose buffers are laid out in advance.
//!
//! A [`Plan`] trains and runs a network on the CPU without a tape and without allocating during a step. Values,
//! gradients and scratch buffers share one arena according to their lifetimes. Parameters and optimizer state are
//! stored flat. Biases, activations and fixed-point quantization are fused into the kernels that store their inputs.
//! Results match [`Model`] on candle's graph, layer by layer and name by name.
//!
//! The plan is extensible: [`Plan::compile_with`] lets the caller supply an [`Operator`] for any layer, with
//! parameter blocks of any length.

mod blocks;
mod combine;
mod compile;
mod describe;
mod graph_layer;

mod memory;
mod normalize;
mod operator;
mod pass;
mod placement;
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
use step::{ChunkPlace, PlanStep, PlanTensor};

pub use blocks::{Block, Update};
pub use describe::PlanDescription;
pub use operator::{
    Backward, Batch, BlockInit, BlockSpec, Chunk, Forward, Gather, GradientSource, InputGradient,
    LayerOperator, Operator, ShortList, Traversal,
};

/// Settings for compiling a network.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Rows of the largest batch. Default 32.
    pub rows: usize,
    /// Enables gradients. Without them, buffers are reused as soon as they have been read. Default true.
    pub training: bool,
    /// Leaves out a softmax at the end, since losses expect logits. Default true.
    pub logits: bool,
    /// Threads that kernels may use; results do not depend on them. Default 1.
    pub threads: Threads,
    /// Layers whose outputs the caller supplies, in order. Default the network's inputs.
    pub from: Vec<String>,
    /// Layers whose outputs the caller reads, in order. Default the network's outputs.
    pub to: Vec<String>,
    /// Parameter blocks (`layer.weight`) that do not change. Layers below the lowest trained block have neither a
    /// backward pass nor buffers for one. Default none.
    pub frozen: Vec<String>,
    /// Enables gradients by the inputs. Default false.
    pub input_gradients: bool,
    /// Limit in bytes for values, gradients and parameters. Default none.
    pub memory_limit: Option<usize>,
    /// Rows of a chunk, which passes through all layers of a segment together. Default as many as keep the touched
    /// memory within the second-level cache.
    pub chunk_rows: Option<usize>,
    /// Shards of a batch, at most 8, processed by threads side by side. Each shard has gradients of its own, which
    /// are summed; results depend on the number of shards in their last digits, but not on threads. Default up to 8,
    /// as long as shards are large enough for the reduction to be cheap.
    pub shards: Option<usize>,
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
            chunk_rows: None,
            shards: None,
        }
    }
}

/// A layer for which the caller can supply an operator.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// Sample shapes of its inputs.
    pub inputs: &'a [&'a [usize]],
    /// Sample shape of its output.
    pub output: &'a [usize],
}

/// Supplier of the caller's operators.
type Custom<'a> = &'a mut dyn FnMut(&Site<'_>) -> Result<Option<LayerOperator>>;

#[derive(Debug)]
struct PlanEnds {
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    input_names: Vec<String>,
    output_names: Vec<String>,
}

/// Memory of a plan, by purpose.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// Floats shared by all threads.
    shared: usize,
    /// Floats that each thread needs for its own chunks.
    own: usize,
    /// Number of threads with memory of their own.
    slots: usize,
    /// Words of gate bits.
    bits: usize,
    /// Bytes that steps save for the backward pass.
    kept: usize,
    /// Sums that steps gather over the batch.
    sums: usize,
    /// Bytes allocated by operators themselves.
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

/// A network ready to train or to run, in memory laid out in advance.
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
    values: Vec<PlanTensor>,
    steps: Vec<PlanStep>,
    segments: Segments,
    blocks: Blocks,
    ends: PlanEnds,
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
    /// Compiles `spec`. Initial parameters equal those of [`Model::build`] with the same seed.
    ///
    /// # Errors
    /// [`LayersError::Spec`] if the specification is invalid, [`LayersError::Unsupported`] if a layer uses an
    /// unsupported option or a name in the options is unknown, [`LayersError::Memory`] if the limit is too small.
    pub fn compile(spec: &ModelSpec, seed: Seed, options: &PlanOptions) -> Result<Self> {
        Self::compile_with(spec, seed, options, &mut |_| Ok(None))
    }

    /// Like [`compile`](Self::compile), with operators of the caller. `customize` is called for each layer and
    /// returns its operator, or None for the built-in one. A custom operator computes the whole layer, its activation
    /// included.
    ///
    /// # Errors
    /// Those of [`compile`](Self::compile), and those of `customize`.
    pub fn compile_with(
        spec: &ModelSpec,
        seed: Seed,
        options: &PlanOptions,
        customize: &mut dyn FnMut(&Site<'_>) -> Result<Option<LayerOperator>>,
    ) -> Result<Self> {
        compile::compile(spec, Some(seed), options, customize)
    }

    /// Compiles a model with copies of its present values and masks, and with its frozen flags. The model does not
    /// see later changes of the plan until [`store`](Self::store) copies the values back.
    ///
    /// # Errors
    /// Those of [`compile`](Self::compile).
    pub fn of_model(model: &Model, options: &PlanOptions) -> Result<Self> {
        let frozen = model.params().iter().filter(|p| p.is_frozen()).map(|p| p.name().to_owned());
        let mut options = options.clone();
        options.frozen.extend(frozen);
        // No draw: every block, and so every learned quantizer parameter, is copied from the model.
        let mut plan = compile::compile(model.spec(), None, &options, &mut |_| Ok(None))?;
        plan.load(model)?;
        Ok(plan)
    }

    fn new(
        values: Vec<PlanTensor>,
        steps: Vec<PlanStep>,
        segments: Segments,
        blocks: Blocks,
        ends: PlanEnds,
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

    /// Copies values and masks from a model of the same network. The plan works on copies of its own in one arena;
    /// this and [`of_model`](Self::of_model) are the only places that read a model. Frozen flags are fixed when the
    /// plan is compiled, since they decide which steps have a backward pass.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] if a block is missing in the model or has another length.
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
    /// [`LayersError::Tensor`] if the model has no such parameter or another shape.
    pub fn store(&self, model: &Model) -> Result<()> {
        for (number, block) in self.blocks.list.iter().enumerate() {
            let values = self.blocks.values_of(number);
            let tensor =
                candle_core::Tensor::from_slice(values, block.dims.as_slice(), &candle_core::Device::Cpu)?;
            model.params().set(&block.name, &tensor)?;
        }
        Ok(())
    }

    /// Copies values and optimizer state from another plan's blocks of the same name and length. Returns the names of
    /// the copied blocks.
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

    /// Parameter blocks, in layer order.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks.list
    }

    /// Values of a block.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] if there is no block of this name.
    pub fn block_values(&self, name: &str) -> Result<&[f32]> {
        Ok(self.blocks.values_of(self.blocks.find(name)?))
    }

    /// Sets the values of a block. Pruned values stay 0.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] if there is no block of this name or its length differs.
    pub fn set_block(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.blocks.set(self.blocks.find(name)?, values)
    }

    /// Sets or removes a block's prune mask. Under a 0, values and optimizer state are 0 from now on.
    ///
    /// # Errors
    /// Those of [`set_block`](Self::set_block).
    pub fn set_prune_mask(&mut self, name: &str, mask: Option<Vec<f32>>) -> Result<()> {
        self.blocks.set_prune_mask(self.blocks.find(name)?, mask)
    }

    /// Sets or removes a block's update mask, a factor for its gradients.
    ///
    /// # Errors
    /// Those of [`set_block`](Self::set_block).
    pub fn set_update_mask(&mut self, name: &str, mask: Option<Vec<f32>>) -> Result<()> {
        self.blocks.set_update_mask(self.blocks.find(name)?, mask)
    }

    /// Allocates `count` zeroed slots of optimizer state for every block, each as long as the block.
    pub fn set_slots(&mut self, count: usize) {
        self.blocks.set_slots(count);
    }

    /// Optimizer state of a block: the first slot of all elements, then the second.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] if there is no block of this name.
    pub fn slots(&self, name: &str) -> Result<&[f32]> {
        Ok(self.blocks.slots_of(self.blocks.find(name)?))
    }

    /// Sets the optimizer's state of a block.
    ///
    /// # Errors
    /// Those of [`set_block`](Self::set_block).
    pub fn set_slots_of(&mut self, name: &str, values: &[f32]) -> Result<()> {
        self.blocks.set_slots_of(self.blocks.find(name)?, values)
    }

    /// Bytes of the arena shared by values, gradients, gate bits and scratch.
    #[must_use]
    pub const fn buffer_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// Rows of the largest batch.
    #[must_use]
    pub const fn most_rows(&self) -> usize {
        self.most_rows
    }

    /// Changes the number of threads. Results stay the same. Additional threads get memory of their own, which
    /// discards the contents of the plan's buffers.
    pub fn set_threads(&mut self, threads: Threads) {
        self.threads = threads;
        let slots = threads.count().min(self.segments.max_shards());
        if slots > self.memory.slots {
            self.memory.slots = slots;
            self.arena = Arena::new(self.memory.floats());
            self.last = None;
        }
    }

    /// Names of the input layers.
    #[must_use]
    pub fn input_names(&self) -> &[String] {
        &self.ends.input_names
    }

    /// Names of the output layers.
    #[must_use]
    pub fn output_names(&self) -> &[String] {
        &self.ends.output_names
    }

    /// Buffer of input number `index` for a batch of `rows` rows. Write it before each [`forward`](Self::forward),
    /// which may reuse the memory afterwards.
    ///
    /// # Errors
    /// [`LayersError::Rows`] if the plan is laid out for fewer rows, [`LayersError::InputCount`] if there is no such
    /// input.
    pub fn input_mut(&mut self, index: usize, rows: usize) -> Result<&mut [f32]> {
        self.check_rows(rows)?;
        let Some(&value) = self.ends.inputs.get(index) else {
            return Err(LayersError::InputCount {
                want: self.ends.inputs.len(),
                names: self.ends.input_names.join(", "),
                got: index + 1,
            });
        };
        let range = self.values[value].rows(ChunkPlace::whole(rows));
        Ok(&mut self.arena.as_mut_slice()[range])
    }

    fn check_rows(&self, rows: usize) -> Result<()> {
        if (1..=self.most_rows).contains(&rows) {
            return Ok(());
        }
        Err(LayersError::Rows { rows, most: self.most_rows })
    }

    /// Values of output number `index` after the last forward pass; empty before the first.
    ///
    /// # Panics
    /// If there is no such output.
    #[must_use]
    pub fn output(&self, index: usize) -> &[f32] {
        let rows = self.last.map_or(0, |(rows, _)| rows);
        &self.arena.as_slice()[self.values[self.ends.outputs[index]].rows(ChunkPlace::whole(rows))]
    }

    /// Values of an output, and the buffer for the loss's gradient by it. Write the gradient before
    /// [`backward`](Self::backward). It is empty if no trained parameter lies below the output.
    ///
    /// # Panics
    /// If there is no such output.
    pub fn output_and_gradient(&mut self, index: usize) -> (&[f32], &mut [f32]) {
        let rows = self.last.map_or(0, |(rows, _)| rows);
        let value = &self.values[self.ends.outputs[index]];
        let gradient =
            if value.gradient.is_empty() { 0..0 } else { value.gradient_rows(ChunkPlace::whole(rows)) };
        // Both buffers are live at the time of the loss, so they are disjoint.
        let both =
            self.arena.as_mut_slice().get_disjoint_mut([value.rows(ChunkPlace::whole(rows)), gradient]);
        let [output, gradient] =
            both.expect("invariant: an output and its gradient are live together and so disjoint");
        (output, gradient)
    }

    /// Gradient by input number `index` after [`backward`](Self::backward), if enabled in the options.
    ///
    /// # Panics
    /// If there is no such input.
    #[must_use]
    pub fn input_gradient(&self, index: usize) -> &[f32] {
        let rows = self.last.map_or(0, |(rows, _)| rows);
        let value = &self.values[self.ends.inputs[index]];
        if value.gradient.is_empty() {
            &[]
        } else {
            &self.arena.as_slice()[value.gradient_rows(ChunkPlace::whole(rows))]
        }
    }
}
