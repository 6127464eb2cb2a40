//! A trained network as a list of steps on tensors: the form that is executed and written as C.

mod lower;
mod work;

use tinsmith_cost::Cost;

use crate::kernel::Kernel;
use crate::pointwise::Pointwise;

pub(crate) use lower::lower;

/// Format of the elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Element {
    Float,
    /// Codes from `low` to `high` in units of `unit`.
    Code {
        low: i32,
        high: i32,
        unit: f32,
    },
}

impl Element {
    /// Returns the bytes of one element.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Float => 4,
            Self::Code { low, high, .. } if low >= -128 && high <= 127 || low >= 0 && high <= 255 => 1,
            Self::Code { .. } => 2,
        }
    }
}

/// Tensor of one sample.
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

/// Windows over an image. A time series is an image of height 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    /// Height, width, channels.
    pub(crate) input: [usize; 3],
    /// Height, width.
    pub(crate) output: [usize; 2],
    pub(crate) size: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Padding above and to the left.
    pub(crate) pad: [usize; 2],
}

impl Windows {
    /// Returns true if there is one position with one tap, as for a vector.
    pub(crate) fn is_point(&self) -> bool {
        self.input[..2] == [1, 1] && self.size == [1, 1] && self.pad == [0, 0]
    }
}

/// A dense layer or convolution.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) windows: Windows,
    /// Output channels.
    pub(crate) outputs: usize,
    /// Groups of channels; None for depthwise, with `outputs / channels` kernels per channel.
    pub(crate) groups: Option<usize>,
    pub(crate) kernel: Kernel,
    pub(crate) bias: Option<Vec<f32>>,
    /// True if only non-zeros are stored, each with its column.
    pub(crate) is_sparse: bool,
}

impl Product {
    /// Returns the number of input channels per output.
    pub(crate) fn depth(&self) -> usize {
        self.groups.map_or(1, |groups| self.windows.input[2] / groups)
    }

    /// Returns the first input channel of an output.
    pub(crate) fn first_channel(&self, output: usize) -> usize {
        match self.groups {
            Some(groups) => output / (self.outputs / groups) * self.depth(),
            None => output / (self.outputs / self.windows.input[2]),
        }
    }
}

/// A depthwise product followed by a pointwise one.
#[derive(Debug, Clone)]
pub(crate) struct Separable {
    pub(crate) depthwise: Product,
    pub(crate) pointwise: Product,
}

/// Combination of inputs of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Subtract,
    Multiply,
}

/// Computation of a step, before its element-wise functions.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// Copies its input.
    Copy,
    Product(Product),
    /// A depthwise product, then a pointwise one at the same position.
    Separable(Box<Separable>),
    Pool {
        windows: Windows,
        takes_mean: bool,
    },
    Merge(Operation),
    /// Runs of elements from each input in turn, `times` times.
    Concat {
        times: usize,
        runs: Vec<usize>,
    },
}

/// A step of the lowered network.
#[derive(Debug, Clone)]
pub(crate) struct LoweredStep {
    /// Names of its layers.
    pub(crate) layers: Vec<String>,
    /// Kind of the first layer.
    pub(crate) kind: &'static str,
    /// Tensors to read.
    pub(crate) inputs: Vec<usize>,
    /// Tensor to write.
    pub(crate) output: usize,
    pub(crate) work: Work,
    pub(crate) pointwise: Vec<Pointwise>,
}

/// A lowered network.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) name: String,
    /// Tensor 0 is the caller's input.
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) steps: Vec<LoweredStep>,
    pub(crate) output: usize,
    /// Costs, with the RAM plan whose order the steps follow.
    pub(crate) cost: Cost,
}
