//! The operator trait: the computation of one plan step, open for other crates to implement.

use std::fmt;

use smallvec::SmallVec;
use tinsmith_core_tensor::Fans;
use tinsmith_core_tensor::Initializer;
use tinsmith_kernels::Threads;
use tinsmith_kernels::dense::GradientConsumer;
use tinsmith_kernels::epilogue::{GradientSink, close_gate};
use tinsmith_kernels::gate::Gate;
use tinsmith_quant::{LearnedOp, QuantizerOp};

use crate::error::Result;
use crate::mode::Mode;

/// A short list of slices, stored inline up to four.
pub type ShortList<T> = SmallVec<[T; 4]>;

/// Access pattern of an operator over a batch. Networks of many small images run faster if a few rows pass through
/// several layers while they are in the cache than if each layer passes over the whole batch. Threads also wait less
/// for each other if each one takes its own rows through several layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traversal {
    /// All rows at once.
    Whole,
    /// In chunks, in any order and in parallel. The result of a row depends on no other row.
    Chunks,
    /// Like [`Traversal::Chunks`], but training needs statistics over all rows first: [`Operator::gather`] and
    /// [`Operator::gather_backward`] see every chunk before the pass itself starts.
    GatheredChunks,
}

/// Rows of a batch that are processed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Index of the first row.
    pub first: usize,
    /// Number of rows.
    pub rows: usize,
    /// Rows of the whole batch.
    pub batch: usize,
    /// Index of the shard that holds them. Block gradients are computed per shard and then summed.
    pub shard: usize,
}

impl Chunk {
    /// All rows of a batch, as one chunk.
    #[must_use]
    pub const fn whole(batch: usize) -> Self {
        Self { first: 0, rows: batch, batch, shard: 0 }
    }
}

/// Statistics of a whole batch, passed to an operator before it processes the chunks.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Rows of the batch.
    pub rows: usize,
    /// Results of [`Operator::gather`] (before the backward pass: [`Operator::gather_backward`]): [`Operator::sums`]
    /// numbers per shard, one shard after another.
    pub sums: &'a [f64],
    /// Training or inference, and the seed of this step.
    pub mode: Mode,
}

/// Arguments of [`Operator::gather`] and [`Operator::gather_backward`]: one chunk, seen before the pass itself.
#[derive(Debug)]
pub struct Gather<'a> {
    /// Rows of the chunk.
    pub chunk: Chunk,
    /// Input values. Empty in the backward pass if [`Operator::keeps_inputs`] is false.
    pub inputs: ShortList<&'a [f32]>,
    /// In the backward pass the gradient of the output, with the gate applied.
    pub d_output: &'a [f32],
    /// Accumulators of this shard, [`Operator::sums`] numbers, 0 before the first chunk.
    pub sums: &'a mut [f64],
    /// Threads available.
    pub threads: Threads,
}

/// Arguments of [`Operator::forward`]. Buffers are row-major, samples first, `chunk.rows` rows each.
#[derive(Debug)]
pub struct Forward<'a> {
    /// Rows to process: all, unless [`Operator::traversal`] allows chunks.
    pub chunk: Chunk,
    /// Input values.
    pub inputs: ShortList<&'a [f32]>,
    /// Output buffer.
    pub output: &'a mut [f32],
    /// Destination of the gate's bits (see [`Gate`]). Empty if no step reads them.
    pub bits: &'a mut [u16],
    /// Trainable blocks as used: masked and quantized.
    pub weights: ShortList<&'a [f32]>,
    /// Blocks that no optimizer updates. The operator updates them in [`Operator::after`].
    pub state: ShortList<&'a [f32]>,
    /// Bytes saved for the backward pass, [`Operator::kept`] per row. Empty in inference.
    pub kept: &'a mut [u8],
    /// Scratch memory of [`Operator::scratch`] elements with unspecified contents.
    pub scratch: &'a mut [f32],
    /// Training or inference, and the seed of this step.
    pub mode: Mode,
    /// Threads available.
    pub threads: Threads,
}

/// Arguments of [`Operator::backward`].
#[derive(Debug)]
pub struct Backward<'a> {
    /// Rows to process, as in the forward pass.
    pub chunk: Chunk,
    /// Input values, as in the forward pass. Empty if [`Operator::keeps_inputs`] is false.
    pub inputs: ShortList<&'a [f32]>,
    /// Output of the forward pass. Empty if [`Operator::keeps_output`] is false.
    pub output: &'a [f32],
    /// Gradient of the output, with the gate applied. The operator may overwrite it.
    pub d_output: &'a mut [f32],
    /// Gradient buffer of each input. None if no step reads that gradient.
    pub d_inputs: ShortList<Option<InputGradient<'a>>>,
    /// Trainable blocks as used in the forward pass.
    pub weights: ShortList<&'a [f32]>,
    /// Their gradients for this shard. Empty for frozen blocks.
    pub gradients: ShortList<&'a mut [f32]>,
    /// True to add to these gradients. False for the first chunk of a shard, which overwrites them.
    pub accumulate: bool,
    /// Bytes saved by the forward pass.
    pub kept: &'a [u8],
    /// Scratch memory of [`Operator::scratch`] elements with unspecified contents.
    pub scratch: &'a mut [f32],
    /// Mode of the forward pass.
    pub mode: Mode,
    /// Threads available.
    pub threads: Threads,
}

/// Operands of a gradient that is computed in tiles.
#[derive(Debug)]
pub struct GradientSource<'a> {
    /// Rows of the whole batch.
    pub rows: usize,
    /// Values of the first input.
    pub input: &'a [f32],
    /// Gradient of the output, with the gate applied.
    pub d_output: &'a [f32],
    /// Threads available.
    pub threads: Threads,
}

/// Destination of the gradient of an input.
#[derive(Debug)]
pub struct InputGradient<'a> {
    /// Gradient buffer.
    pub values: &'a mut [f32],
    /// Store or add, and the gate to apply to the result.
    pub sink: GradientSink<'a>,
    /// Size of the input's last axis, which gate bits are grouped by.
    pub channels: usize,
}

impl InputGradient<'_> {
    /// Stores (or adds) a gradient and applies the gate, for operators whose kernels do not do so.
    ///
    /// # Panics
    /// If `gradient` has another length.
    pub fn put(&mut self, gradient: &[f32], threads: Threads) {
        if self.sink.accumulate {
            for (sum, g) in self.values.iter_mut().zip(gradient) {
                *sum += g;
            }
        } else {
            self.values.copy_from_slice(gradient);
        }
        self.close(threads);
    }

    /// True if the gradient can be written to the buffer directly.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        !self.sink.accumulate && self.sink.gate.is_empty()
    }

    /// Applies the gate to the buffer.
    pub fn close(&mut self, threads: Threads) {
        if !self.sink.gate.is_empty() {
            close_gate(self.values, self.sink.gate, self.channels, threads.count());
        }
    }
}

/// One step of a plan: computes values from values, and gradients from gradients.
///
/// Methods with `&self` are called on several threads at a time if [`traversal`](Self::traversal) allows chunks.
/// Methods with `&mut self` run alone.
pub trait Operator: fmt::Debug + Send + Sync {
    /// Name of its kernel, for [`Plan::describe`](super::Plan::describe). By default the name of the type.
    fn kernel(&self) -> &'static str {
        let path = std::any::type_name::<Self>();
        path.rsplit("::").next().unwrap_or(path)
    }

    /// Computes the output.
    ///
    /// # Errors
    /// Any failure of the operator.
    fn forward(&self, io: &mut Forward<'_>) -> Result<()>;

    /// Computes the gradients of the blocks and of the inputs. Runs after [`forward`](Self::forward) for the same
    /// batch.
    ///
    /// # Errors
    /// Any failure of the operator.
    fn backward(&self, io: &mut Backward<'_>) -> Result<()>;

    /// True if it can compute the gradient of its first block in tiles, each consumed while in the cache. In that
    /// mode [`backward`](Self::backward) receives no buffer for that gradient, as if the block were frozen, must not
    /// overwrite [`Backward::d_output`], and is followed by [`gradient_by_tiles`](Self::gradient_by_tiles).
    fn has_tiled_gradient(&self) -> bool {
        false
    }

    /// Computes the gradient of its first block and passes every element to `to` exactly once.
    fn gradient_by_tiles(&self, source: &GradientSource<'_>, to: &dyn GradientConsumer) {
        let _ = (source, to);
    }

    /// Access pattern over a batch.
    fn traversal(&self) -> Traversal {
        Traversal::Whole
    }

    /// Accumulates statistics of a chunk of inputs before [`forward`](Self::forward) in training, if
    /// [`traversal`](Self::traversal) requires it.
    fn gather(&self, chunk: &mut Gather<'_>) {
        let _ = chunk;
    }

    /// Accumulates statistics of a chunk of gradients before [`backward`](Self::backward), under the same condition.
    fn gather_backward(&self, chunk: &mut Gather<'_>) {
        let _ = chunk;
    }

    /// Number of accumulators that [`gather`](Self::gather) and [`gather_backward`](Self::gather_backward) use per
    /// shard.
    fn sums(&self) -> usize {
        0
    }

    /// Prepares the forward pass of a batch from the gathered statistics.
    fn before(&mut self, batch: &Batch<'_>) {
        let _ = batch;
    }

    /// Updates the blocks that no optimizer updates, after the forward pass of a batch in training.
    ///
    /// # Errors
    /// Any failure of the operator.
    fn after(&mut self, state: &mut [&mut [f32]]) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Prepares the backward pass of a batch from the gathered gradient statistics.
    fn before_backward(&mut self, batch: &Batch<'_>) {
        let _ = batch;
    }

    /// Bytes per row that the forward pass in training saves for the backward pass.
    fn kept(&self) -> usize {
        0
    }

    /// Allocates private memory for batches of up to `rows` rows. Returns its size in bytes.
    fn prepare(&mut self, rows: usize, training: bool) -> usize {
        let _ = (rows, training);
        0
    }

    /// Scratch elements for batches of up to `rows` rows, in the forward and in the backward pass.
    fn scratch(&self, rows: usize) -> (usize, usize) {
        let _ = rows;
        (0, 0)
    }

    /// True if the backward pass reads the inputs.
    fn keeps_inputs(&self) -> bool {
        true
    }

    /// True if the backward pass reads the output.
    fn keeps_output(&self) -> bool {
        false
    }

    /// True if recomputing the output for the backward pass is cheaper than keeping it. It is recomputed by
    /// [`forward`](Self::forward) from the same inputs and unchanged state; the operator must keep its inputs and use
    /// no scratch memory.
    fn repeats(&self) -> bool {
        false
    }

    /// Fuses an element-wise function into the store of its output. Returns false if it cannot, or already has one.
    fn fuse(&mut self, gate: Gate) -> bool {
        let _ = gate;
        false
    }

    /// The function fused into its output.
    fn gate(&self) -> Gate {
        Gate::LINEAR
    }
}

/// Initial values of a block.
#[derive(Debug, Clone)]
pub enum BlockInit {
    /// Drawn from the plan's seed and the block's name.
    Drawn(Initializer, Fans),
    /// Given values.
    Values(Vec<f32>),
    /// Initial parameters of a learned quantizer, computed from the values of the block of this name, which must come
    /// before.
    Learned(LearnedOp, String),
}

/// A parameter block requested by an operator. Its length is arbitrary: a sparse operator has as many elements as
/// non-zeros.
#[derive(Debug, Clone)]
pub struct BlockSpec {
    /// Name in the network, `layer.weight`. Values are carried to another plan by name.
    pub name: String,
    /// Shape, row-major.
    pub dims: Vec<usize>,
    /// Initial values.
    pub start: BlockInit,
    /// True if an optimizer updates it.
    pub trainable: bool,
    /// Quantizer applied before use.
    pub quantizer: Option<QuantizerOp>,
}

impl BlockSpec {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// True if it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An operator and its blocks: the trainable ones in the order of [`Forward::weights`], the others in the order of
/// [`Forward::state`].
#[derive(Debug)]
pub struct LayerOperator {
    /// The operator.
    pub operator: Box<dyn Operator>,
    /// Its blocks.
    pub blocks: Vec<BlockSpec>,
}

impl LayerOperator {
    /// An operator without parameters.
    #[must_use]
    pub fn new(operator: impl Operator + 'static) -> Self {
        Self { operator: Box::new(operator), blocks: Vec::new() }
    }
}
