//! Identity initialization of new layers.

use candle_core::Tensor;
use tinsmith_core_tensor::Param;
use tinsmith_network::{Activation, Op, OpFamily, Padding, Pair, ProductKind, Quantizer, Role};

use crate::error::Result;
use crate::model::Model;

/// Returns true if a layer can be the identity.
pub(super) fn is_possible(model: &Model, layer: usize) -> bool {
    let inputs = &model.graph.nodes[layer].inputs;
    let Some(&first) = inputs.first() else { return false };
    let same_shape = model.graph.shape(first) == model.graph.shape(layer);
    let op = &model.spec.layers[layer].op;
    if let Some(norm) = op.batch_norm() {
        return same_shape && !norm.fold;
    }
    let is_linear_map = op.product().is_some_and(|product| {
        let window = product.window;
        let keeps_positions = window.padding != Padding::Valid && window.stride == Pair::ONE;
        let is_point = (window.size, window.stride) == (Pair::ONE, Pair::ONE);
        match product.kind {
            ProductKind::Dense => true,
            ProductKind::Convolution => {
                (keeps_positions || (product.spatial_axes == 2 && is_point)) && product.groups == 1
            }
            ProductKind::Depthwise => keeps_positions && product.depth_multiplier == 1,
            ProductKind::Transposed | ProductKind::Separable => false,
        }
    });
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
    let is_plain = op.activation().is_none_or(Activation::is_linear);
    let passes = match (op.family(), op.pooling()) {
        // These layers return values of their inputs.
        (OpFamily::Reordering | OpFamily::Noise, _) => true,
        // Maxima are values of the input too; means of non-negative values are non-negative.
        (_, Some(pool)) => is_plain && (!pool.takes_mean || *activation == Activation::Relu),
        _ => false,
    };
    if passes {
        return before.is_some_and(|k| leaves(model, activation, k));
    }
    op.activation().is_some_and(|inner| {
        let is_rectified = match inner {
            Activation::Relu | Activation::Relu6 | Activation::Sigmoid | Activation::Softmax => true,
            Activation::Quantized(q) => !q.is_signed(),
            _ => false,
        };
        inner == activation || (*activation == Activation::Relu && is_rectified)
    })
}

/// Sets a parameter of a layer for which [`is_possible`] holds.
pub(super) fn set(param: &Param, op: &Op, role: Role) -> Result<()> {
    let dims = param.dims();
    let rank = dims.len();
    let mut values = vec![0.0_f32; param.len()];
    match (role, op.product(), op.batch_norm()) {
        (Role::Kernel, Some(product), _) => {
            let is_depthwise = product.kind == ProductKind::Depthwise;
            let mut tap = 0;
            for &size in &dims[..rank - 2] {
                tap = tap * size + middle(product.window.padding, size);
            }
            let (inputs, outputs) = (dims[rank - 2], dims[rank - 1]);
            for c in 0..inputs {
                let column = if is_depthwise { 0 } else { c };
                values[(tap * inputs + c) * outputs + column] = 1.0;
            }
        }
        (Role::Gamma, _, Some(norm)) => values.fill((1.0 + norm.epsilon).sqrt() as f32),
        // Without a learned scale, the variance compensates epsilon.
        (Role::MovingVariance, _, Some(norm)) => {
            values.fill(if norm.scale { 1.0 } else { 1.0 - norm.epsilon as f32 });
        }
        _ => {}
    }
    Ok(param.set(&Tensor::from_vec(values, dims, param.tensor().device())?)?)
}

/// The tap aligned with the element itself.
const fn middle(padding: Padding, size: usize) -> usize {
    match padding {
        Padding::Causal => size - 1,
        Padding::Valid | Padding::Same => (size - 1) / 2,
    }
}
