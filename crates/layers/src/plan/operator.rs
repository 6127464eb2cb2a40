//! What a step of a plan computes: an open trait, so that other crates bring operators of their own.

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

/// Some slices, without asking the system for memory where they are few.
pub type Pieces<T> = SmallVec<[T; 4]>;

/// How an operator may pass over a batch. Networks of many small images are faster where a few samples go through
/// several layers while they are in the cache, than where each layer passes over the whole batch; and threads wait less
/// for each other where each takes its own samples through several layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// All samples at once.
    Whole,
    /// In parts, in any order and several at a time: no sample's result depends on other samples.
    Parts,
    /// As [`Passing::Parts`], but training needs to know something of all samples first:
    /// [`Operator::gather`] and [`Operator::gather_backward`] see every part before the pass itself begins.
    Gathered,
}

/// Which samples of a batch are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: usize,
    /// How many.
    pub rows: usize,
    /// Samples of the whole batch.
    pub batch: usize,
    /// Which share of the batch they are in: gradients of blocks are computed share by share and then added up.
    pub share: usize,
}

impl Span {
    /// All samples of a batch.
    #[must_use]
    pub const fn whole(batch: usize) -> Self {
        Self { first: 0, rows: batch, batch, share: 0 }
    }
}

/// What an operator learns of a batch as a whole, before it passes over its parts.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Samples.
    pub rows: usize,
    /// What [`Operator::gather`] (before the backward pass: [`Operator::gather_backward`]) left: [`Operator::sums`] numbers of
    /// each share of the batch, one share after the other.
    pub sums: &'a [f64],
    /// Training or inference, and the seed of this step.
    pub mode: Mode,
}

/// What an operator learns of a part of a batch before it passes over the batch.
#[derive(Debug)]
pub struct Gather<'a> {
    /// Which samples.
    pub span: Span,
    /// Values of the inputs; in the backward pass empty where [`Operator::keeps_inputs`] is false.
    pub inputs: Pieces<&'a [f32]>,
    /// In the backward pass the gradient of the result, closed where the gate is.
    pub d_output: &'a [f32],
    /// What is gathered of this share of the batch: as many numbers as [`Operator::sums`] asked for, 0 before the first part.
    pub sums: &'a mut [f64],
    /// Threads that may be used.
    pub threads: Threads,
}

/// What an operator computes with in [`Operator::forward`]. Buffers are row-major, samples first, `span.rows` samples
/// each.
#[derive(Debug)]
pub struct Forward<'a> {
    /// Which samples: all, unless [`Operator::passing`] allows parts.
    pub span: Span,
    /// Values of the inputs.
    pub inputs: Pieces<&'a [f32]>,
    /// Where the result goes.
    pub output: &'a mut [f32],
    /// Where the gate's bits go (see [`Gate`]); empty where nothing asks for them.
    pub bits: &'a mut [u16],
    /// The trainable blocks as they are to be used: masked, quantized.
    pub weights: Pieces<&'a [f32]>,
    /// The blocks that no optimizer changes; the operator changes them in [`Operator::after`].
    pub state: Pieces<&'a [f32]>,
    /// As many bytes as [`Operator::kept`] asked for these samples, for the backward pass; empty in inference.
    pub kept: &'a mut [u8],
    /// As many elements as [`Operator::scratch`] asked for, of unspecified value.
    pub scratch: &'a mut [f32],
    /// Training or inference, and the seed of this step.
    pub mode: Mode,
    /// Threads that may be used.
    pub threads: Threads,
}

/// What an operator computes with in [`Operator::backward`].
#[derive(Debug)]
pub struct Backward<'a> {
    /// As in the forward pass.
    pub span: Span,
    /// Values of the inputs, as in the forward pass; empty where [`Operator::keeps_inputs`] is false.
    pub inputs: Pieces<&'a [f32]>,
    /// The result of the forward pass; empty where [`Operator::keeps_output`] is false.
    pub output: &'a [f32],
    /// Gradient of the result, closed where the gate is. The operator may use it up.
    pub d_output: &'a mut [f32],
    /// For each input, where its gradient goes; None where nothing asks for it.
    pub d_inputs: Pieces<Option<InputGradient<'a>>>,
    /// The trainable blocks as they were used.
    pub weights: Pieces<&'a [f32]>,
    /// Their gradients by this share of the batch; empty for frozen blocks.
    pub gradients: Pieces<&'a mut [f32]>,
    /// Whether to add to these gradients: false for the first part of a share, which overwrites them.
    pub accumulate: bool,
    /// What the forward pass left there.
    pub kept: &'a [u8],
    /// As many elements as [`Operator::scratch`] asked for, of unspecified value.
    pub scratch: &'a mut [f32],
    /// As in the forward pass.
    pub mode: Mode,
    /// Threads that may be used.
    pub threads: Threads,
}

/// What an operator computes a gradient in pieces from.
#[derive(Debug)]
pub struct GradientSource<'a> {
    /// Samples: all of the batch.
    pub rows: usize,
    /// Values of the first input.
    pub input: &'a [f32],
    /// Gradient of the result, closed where the gate is.
    pub d_output: &'a [f32],
    /// Threads that may be used.
    pub threads: Threads,
}

/// Where the gradient of an input goes.
#[derive(Debug)]
pub struct InputGradient<'a> {
    /// Its buffer.
    pub values: &'a mut [f32],
    /// Whether to add, and which gate to close on what is stored.
    pub sink: GradientSink<'a>,
    /// Size of the input's last axis, which gates go by.
    pub channels: usize,
}

impl InputGradient<'_> {
    /// Stores (or adds) a gradient and closes the gate, for operators whose kernels do not do it themselves.
    ///
    /// # Panics
    /// Where `gradient` has another length.
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

    /// Whether the gradient may simply be written into the buffer.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        !self.sink.accumulate && self.sink.gate.is_empty()
    }

    /// Closes the gate on what the buffer holds.
    pub fn close(&mut self, threads: Threads) {
        if !self.sink.gate.is_empty() {
            close_gate(self.values, self.sink.gate, self.channels, threads.count());
        }
    }
}

/// One step of a plan: values from values, and gradients from gradients.
///
/// What sees a part of a batch is called on several threads at a time where [`passing`](Self::passing) allows parts; what
/// changes the operator runs alone.
pub trait Operator: fmt::Debug + Send + Sync {
    /// Computes the output.
    ///
    /// # Errors
    /// Whatever keeps it from doing so.
    fn forward(&self, io: &mut Forward<'_>) -> Result<()>;

    /// Computes the gradients of the blocks and of the inputs. Runs after [`forward`](Self::forward) for the same batch.
    ///
    /// # Errors
    /// Whatever keeps it from doing so.
    fn backward(&self, io: &mut Backward<'_>) -> Result<()>;

    /// Whether it can compute the gradient of its first block in pieces, so that each is used while it is in the cache. Where
    /// a plan wants that, [`backward`](Self::backward) finds no place for that gradient, as if the block were frozen, must not
    /// use up [`Backward::d_output`], and is followed by [`gradient_in_pieces`](Self::gradient_in_pieces).
    fn gives_pieces(&self) -> bool {
        false
    }

    /// Computes the gradient of its first block, and hands every element over once.
    fn gradient_in_pieces(&self, source: &GradientSource<'_>, to: &dyn GradientConsumer) {
        let _ = (source, to);
    }

    /// How it may pass over a batch.
    fn passing(&self) -> Passing {
        Passing::Whole
    }

    /// Looks at a part of a batch's inputs before [`forward`](Self::forward) in training, where
    /// [`passing`](Self::passing) asks for it.
    fn gather(&self, part: &mut Gather<'_>) {
        let _ = part;
    }

    /// Looks at a part of a batch's gradients before [`backward`](Self::backward), likewise.
    fn gather_backward(&self, part: &mut Gather<'_>) {
        let _ = part;
    }

    /// How many numbers [`gather`](Self::gather) and [`gather_backward`](Self::gather_backward) keep of a share of a batch.
    fn sums(&self) -> usize {
        0
    }

    /// Readies itself for the forward pass of a batch, of which everything has been gathered.
    fn before(&mut self, batch: &Batch<'_>) {
        let _ = batch;
    }

    /// Changes the blocks that no optimizer changes, after the forward pass of a batch in training.
    ///
    /// # Errors
    /// Whatever keeps it from doing so.
    fn after(&mut self, state: &mut [&mut [f32]]) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Readies itself for the backward pass of a batch, of whose gradients everything has been gathered.
    fn before_backward(&mut self, batch: &Batch<'_>) {
        let _ = batch;
    }

    /// Bytes of a sample that the forward pass in training leaves for the backward pass.
    fn kept(&self) -> usize {
        0
    }

    /// Readies memory of its own for batches of up to `rows` samples. Returns how many bytes that is.
    fn prepare(&mut self, rows: usize, training: bool) -> usize {
        let _ = (rows, training);
        0
    }

    /// Elements of scratch memory for batches of up to `rows` samples, in the forward and in the backward pass.
    fn scratch(&self, rows: usize) -> (usize, usize) {
        let _ = rows;
        (0, 0)
    }

    /// Whether the backward pass reads the inputs.
    fn keeps_inputs(&self) -> bool {
        true
    }

    /// Whether the backward pass reads the output.
    fn keeps_output(&self) -> bool {
        false
    }

    /// Whether the output may be computed anew for the backward pass, by [`forward`](Self::forward) from the same inputs and
    /// with nothing changed in between, where keeping it would cost more: it then needs its own inputs there, and no scratch
    /// memory.
    fn repeats(&self) -> bool {
        false
    }

    /// Takes in a function of its output, applied as values are stored. False where it cannot, or has one already.
    fn fuse(&mut self, gate: Gate) -> bool {
        let _ = gate;
        false
    }

    /// The function that it applies to its output.
    fn gate(&self) -> Gate {
        Gate::LINEAR
    }
}

/// How a block's values begin.
#[derive(Debug, Clone)]
pub enum Start {
    /// Drawn, from the plan's seed and the block's name.
    Drawn(Initializer, Fans),
    /// These.
    Values(Vec<f32>),
    /// As a quantizer begins that learns, for the values of the block of this name, which comes before.
    Learned(LearnedOp, String),
}

/// A block of parameters that an operator asks for. Its length is its own affair: a sparse operator has as many
/// elements as it has non-zeros.
#[derive(Debug, Clone)]
pub struct BlockSpec {
    /// Its name in the network: `layer.weight`. What carries over to another plan goes by it.
    pub name: String,
    /// Its shape, row-major.
    pub dims: Vec<usize>,
    /// How it begins.
    pub start: Start,
    /// Whether an optimizer changes it.
    pub trainable: bool,
    /// What its values go through before they are used.
    pub quantizer: Option<QuantizerOp>,
}

impl BlockSpec {
    /// Elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An operator and the blocks that it computes with: the trainable ones in the order of [`Forward::weights`], the
/// others in that of [`Forward::state`].
#[derive(Debug)]
pub struct Part {
    /// What is computed.
    pub operator: Box<dyn Operator>,
    /// What with.
    pub blocks: Vec<BlockSpec>,
}

impl Part {
    /// An operator without parameters.
    #[must_use]
    pub fn new(operator: impl Operator + 'static) -> Self {
        Self { operator: Box::new(operator), blocks: Vec::new() }
    }
}
