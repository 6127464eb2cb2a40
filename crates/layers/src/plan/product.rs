//! Dense layers and convolutions: product, bias and gate in one kernel.

use tinsmith_kernels::conv::{
    ConvShape, add_bias_gradient, bias_gradient, conv2d_fused, conv2d_input_gradient_into,
    conv2d_parameter_gradients,
};
use tinsmith_kernels::dense::{
    GradientConsumer, dense_fused, dense_gradient_in_pieces, dense_input_gradient_into,
    dense_parameter_gradients, is_wide,
};
use tinsmith_kernels::depthwise::{
    depthwise_fused, depthwise_input_gradient_into, depthwise_parameter_gradients,
};
use tinsmith_kernels::epilogue::{Epilogue, ParameterGradients};
use tinsmith_kernels::gate::Gate;

use super::operator::{Backward, Forward, GradientSource, Operator, Traversal};
use crate::error::Result;

/// Kind of product. The batch size in the shapes is set for each pass.
#[derive(Debug, Clone, Copy)]
pub(super) enum ProductKind {
    /// On the last axis: `outer` rows per sample.
    Dense { outer: usize, inputs: usize, outputs: usize },
    /// All of an input's channels, or those of a group, with each filter.
    Convolution(ConvShape),
    /// Each channel with its own filter.
    Depthwise(ConvShape),
}

/// A product with a kernel and an optional bias, in this order of blocks.
#[derive(Debug)]
pub(super) struct Product {
    kind: ProductKind,
    gate: Gate,
}

impl Product {
    pub(super) const fn new(kind: ProductKind) -> Self {
        Self { kind, gate: Gate::LINEAR }
    }

    const fn of(shape: ConvShape, rows: usize) -> ConvShape {
        ConvShape { batch: rows, ..shape }
    }
}

impl Operator for Product {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        let (x, w, threads) = (io.inputs[0], io.weights[0], io.threads.count());
        let epilogue = Epilogue { bias: io.weights.get(1).copied(), gate: self.gate, bits: &mut *io.bits };
        match self.kind {
            ProductKind::Dense { outer, inputs, outputs } => {
                dense_fused(io.output, x, w, epilogue, (io.chunk.rows * outer, inputs, outputs), threads);
            }
            ProductKind::Convolution(shape) => {
                conv2d_fused(io.output, x, w, epilogue, &Self::of(shape, io.chunk.rows), threads);
            }
            ProductKind::Depthwise(shape) => {
                depthwise_fused(io.output, x, w, epilogue, &Self::of(shape, io.chunk.rows), threads);
            }
        }
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let (x, w, dy, threads) = (io.inputs[0], io.weights[0], &*io.d_output, io.threads.count());
        let mut gradients = io.gradients.iter_mut().map(|g| &mut **g);
        let kernel = gradients.next().expect("invariant: the first block of a product is its kernel");
        let bias = gradients.next().filter(|db| !db.is_empty());
        let accumulate = io.accumulate;
        let to = ParameterGradients { kernel, bias, accumulate };
        match self.kind {
            ProductKind::Dense { outer, inputs, outputs } => {
                dense_parameter_gradients(to, x, dy, (io.chunk.rows * outer, inputs, outputs), threads);
            }
            _ if to.kernel.is_empty() => {
                let sum = if accumulate { add_bias_gradient } else { bias_gradient };
                to.bias.into_iter().for_each(|db| sum(db, dy, threads));
            }
            ProductKind::Convolution(shape) => {
                let shape = Self::of(shape, io.chunk.rows).inexact();
                conv2d_parameter_gradients(to, x, dy, &shape, threads);
            }
            ProductKind::Depthwise(shape) => {
                depthwise_parameter_gradients(to, x, dy, &Self::of(shape, io.chunk.rows), threads);
            }
        }
        let Some(dx) = &mut io.d_inputs[0] else { return Ok(()) };
        match self.kind {
            ProductKind::Dense { outer, inputs, outputs } => {
                let sizes = (io.chunk.rows * outer, inputs, outputs);
                dense_input_gradient_into(dx.values, dy, w, dx.sink, sizes, threads);
            }
            ProductKind::Convolution(shape) => {
                let shape = Self::of(shape, io.chunk.rows).inexact();
                conv2d_input_gradient_into(dx.values, dy, w, dx.sink, &shape, threads);
            }
            ProductKind::Depthwise(shape) => {
                depthwise_input_gradient_into(
                    dx.values,
                    dy,
                    w,
                    dx.sink,
                    &Self::of(shape, io.chunk.rows),
                    threads,
                );
            }
        }
        Ok(())
    }

    fn kernel(&self) -> &'static str {
        match self.kind {
            ProductKind::Dense { inputs, outputs, .. } if is_wide(inputs, outputs) => "dense (wide)",
            ProductKind::Dense { .. } => "dense",
            ProductKind::Convolution(_) => "conv2d",
            ProductKind::Depthwise(_) => "depthwise",
        }
    }

    fn has_tiled_gradient(&self) -> bool {
        matches!(self.kind, ProductKind::Dense { inputs, outputs, .. } if is_wide(inputs, outputs))
    }

    fn gradient_by_tiles(&self, source: &GradientSource<'_>, to: &dyn GradientConsumer) {
        let &GradientSource { rows, input, d_output, threads } = source;
        if let ProductKind::Dense { outer, inputs, outputs } = self.kind {
            let sizes = (rows * outer, inputs, outputs);
            dense_gradient_in_pieces(to, input, d_output, sizes, threads.count());
        }
    }

    fn traversal(&self) -> Traversal {
        Traversal::Chunks
    }

    fn fuse(&mut self, gate: Gate) -> bool {
        fuse_into(&mut self.gate, gate)
    }

    fn gate(&self) -> Gate {
        self.gate
    }
}

/// Sets `gate` if the operator has none yet.
pub(super) fn fuse_into(own: &mut Gate, gate: Gate) -> bool {
    let is_free = *own == Gate::LINEAR;
    if is_free {
        *own = gate;
    }
    is_free
}
