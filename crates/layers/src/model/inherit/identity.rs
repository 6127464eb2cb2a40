//! Identity initialization of new layers.

use candle_core::Tensor;
use tinsmith_core_tensor::Param;
use tinsmith_network::{Activation, Op, Padding, Quantizer, Role};

use crate::error::Result;
use crate::model::Model;

/// Returns true if a layer can be the identity.
pub(super) fn is_possible(model: &Model, layer: usize) -> bool {
    let inputs = &model.graph.nodes[layer].inputs;
    let Some(&first) = inputs.first() else { return false };
    let same_shape = model.graph.shape(first) == model.graph.shape(layer);
    let op = &model.spec.layers[layer].op;
    let is_linear_map = match op {
        Op::Dense(_) => true,
        Op::Conv1d(l) => l.padding != Padding::Valid && l.stride == 1 && l.groups == 1,
        Op::Conv2d(l) => {
            (l.padding != Padding::Valid || l.kernel == tinsmith_network::Pair::ONE)
                && l.stride == tinsmith_network::Pair::ONE
                && l.groups == 1
        }
        Op::DepthwiseConv1d(l) => l.padding != Padding::Valid && l.stride == 1 && l.depth_multiplier == 1,
        Op::DepthwiseConv2d(l) => {
            l.padding != Padding::Valid && l.stride == tinsmith_network::Pair::ONE && l.depth_multiplier == 1
        }
        Op::BatchNorm(l) => return same_shape && !l.fold,
        _ => false,
    };
    is_linear_map && same_shape && op.activation().is_none_or(|a| leaves(model, a, first))
}

/// Returns true if an activation leaves the output of `layer` unchanged.
fn leaves(model: &Model, activation: &Activation, layer: usize) -> bool {
    if activation.is_linear() {
        return true;
    }
    let repeats = match activation {
        Activation::Relu | Activation::Relu6 | Activation::Clip(_) => true,
        Activation::Quantized(Quantizer::QuantizedRelu(q)) => {
            !q.use_sigmoid && q.negative_slope == 0.0 && q.qnoise_factor == 1.0
        }
        _ => false,
    };
    if !repeats {
        return false;
    }
    let op = &model.spec.layers[layer].op;
    let before = model.graph.nodes[layer].inputs.first().copied();
    match op {
        // These layers return values of their inputs.
        Op::MaxPool1d(_)
        | Op::MaxPool2d(_)
        | Op::GlobalMaxPool1d(_)
        | Op::GlobalMaxPool2d(_)
        | Op::Flatten(_)
        | Op::Reshape(_)
        | Op::Permute(_)
        | Op::DepthToSpace(_)
        | Op::Dropout(_)
        | Op::DropConnect(_)
            if op.activation().is_none_or(Activation::is_linear) =>
        {
            before.is_some_and(|k| leaves(model, activation, k))
        }
        // Means of non-negative values are non-negative.
        Op::AveragePool1d(_)
        | Op::AveragePool2d(_)
        | Op::GlobalAveragePool1d(_)
        | Op::GlobalAveragePool2d(_)
            if op.activation().is_none_or(Activation::is_linear) && *activation == Activation::Relu =>
        {
            before.is_some_and(|k| leaves(model, activation, k))
        }
        _ => op.activation().is_some_and(|inner| {
            let is_rectified = match inner {
                Activation::Relu | Activation::Relu6 | Activation::Sigmoid | Activation::Softmax => true,
                Activation::Quantized(q) => !q.is_signed(),
                _ => false,
            };
            inner == activation || (*activation == Activation::Relu && is_rectified)
        }),
    }
}

/// Sets a parameter of a layer for which [`is_possible`] holds.
pub(super) fn set(param: &Param, op: &Op, role: Role) -> Result<()> {
    let dims = param.dims();
    let rank = dims.len();
    let mut values = vec![0.0_f32; param.len()];
    match (role, op) {
        (Role::Kernel, _) => {
            let is_depthwise = matches!(op, Op::DepthwiseConv1d(_) | Op::DepthwiseConv2d(_));
            let mut tap = 0;
            for &size in &dims[..rank - 2] {
                tap = tap * size + middle(op, size);
            }
            let (inputs, outputs) = (dims[rank - 2], dims[rank - 1]);
            for c in 0..inputs {
                let column = if is_depthwise { 0 } else { c };
                values[(tap * inputs + c) * outputs + column] = 1.0;
            }
        }
        (Role::Gamma, Op::BatchNorm(l)) => values.fill((1.0 + l.epsilon).sqrt() as f32),
        // Without a learned scale, the variance compensates epsilon.
        (Role::MovingVariance, Op::BatchNorm(l)) => {
            values.fill(if l.scale { 1.0 } else { 1.0 - l.epsilon as f32 });
        }
        _ => {}
    }
    Ok(param.set(&Tensor::from_vec(values, dims, param.tensor().device())?)?)
}

/// The tap aligned with the element itself.
const fn middle(op: &Op, size: usize) -> usize {
    match op {
        Op::Conv1d(l) if matches!(l.padding, Padding::Causal) => size - 1,
        Op::DepthwiseConv1d(l) if matches!(l.padding, Padding::Causal) => size - 1,
        _ => (size - 1) / 2,
    }
}
