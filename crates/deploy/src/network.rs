//! A trained network as a list of steps on tensors: what is executed and what is written as C.

mod lower;
mod work;

use tinsmith_cost::Cost;

use crate::kernel::Kernel;
use crate::pointwise::Pointwise;

pub(crate) use lower::lower;

/// How the elements of a tensor are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Element {
    Float,
    /// Codes from `low` to `high`, each worth `unit`.
    Code {
        low: i32,
        high: i32,
        unit: f32,
    },
}

impl Element {
    /// Bytes of one.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Float => 4,
            Self::Code { low, high, .. } if low >= -128 && high <= 127 || low >= 0 && high <= 255 => 1,
            Self::Code { .. } => 2,
        }
    }
}

/// A tensor of one sample.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) element: Element,
}

impl Tensor {
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.elements() * self.element.bytes()
    }
}

/// Windows over an image (over time: an image one pixel high).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Height, width, channels.
    pub(crate) input: [usize; 3],
    /// Height, width.
    pub(crate) output: [usize; 2],
    pub(crate) size: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Zeros above and to the left.
    pub(crate) pad: [usize; 2],
}

impl Windows {
    /// Whether there is one place, with one tap: a vector's.
    pub(crate) fn is_point(&self) -> bool {
        self.input[..2] == [1, 1] && self.size == [1, 1] && self.pad == [0, 0]
    }
}

/// A sum of products.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) windows: Windows,
    /// Output channels.
    pub(crate) outputs: usize,
    /// Groups of channels; None for depthwise, where each channel has `outputs / channels` kernels.
    pub(crate) groups: Option<usize>,
    pub(crate) kernel: Kernel,
    pub(crate) bias: Option<Vec<f32>>,
    /// Whether only non-zeros are stored, each with its column.
    pub(crate) is_sparse: bool,
}

impl Product {
    /// Input channels that an output sums over.
    pub(crate) fn depth(&self) -> usize {
        self.groups.map_or(1, |groups| self.windows.input[2] / groups)
    }

    /// The first input channel of an output.
    pub(crate) fn first_channel(&self, output: usize) -> usize {
        match self.groups {
            Some(groups) => output / (self.outputs / groups) * self.depth(),
            None => output / (self.outputs / self.windows.input[2]),
        }
    }
}

/// A depthwise product and the pointwise one of its outputs.
#[derive(Debug, Clone)]
pub(crate) struct Separable {
    pub(crate) depthwise: Product,
    pub(crate) pointwise: Product,
}

/// How inputs of one shape are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
}

/// What a step computes before its functions of single elements.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Its input.
    Copy,
    Product(Product),
    /// A depthwise product, then a pointwise one of its outputs at the same place.
    Separable(Box<Separable>),
    Pool {
        windows: Windows,
        takes_mean: bool,
    },
    Merge(Operation),
    /// Runs of as many elements from each input in turn, `times` times.
    Concat {
        times: usize,
        runs: Vec<usize>,
    },
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// Names of the layers that it does.
    pub(crate) layers: Vec<String>,
    /// The kind of the first of them.
    pub(crate) kind: &'static str,
    /// The tensors that it reads.
    pub(crate) inputs: Vec<usize>,
    /// The tensor that it writes.
    pub(crate) output: usize,
    pub(crate) work: Work,
    pub(crate) pointwise: Vec<Pointwise>,
}

/// A network ready to be shipped.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) name: String,
    /// Tensor 0 is the input as the caller gives it.
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) steps: Vec<Step>,
    pub(crate) output: usize,
    /// What the cost model says of it: the plan whose order the steps follow.
    pub(crate) cost: Cost,
}
