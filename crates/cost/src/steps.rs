//! The steps of a network at run time: layers that are folded or fused into others vanish, and layers that only change
//! the shape share the tensor of their input.

use tinsmith_network::op::Interpolation;
use tinsmith_network::{Activation, Graph, Merging, ModelSpec, Op, OpFamily, ProductKind, Quantizer};

use crate::cost::CostBasis;
use crate::peak_ram::Step;
use crate::storage::elements;
use crate::target::{Scratch, Target};

/// The steps of a network, and the step of each layer.
pub(crate) struct Steps {
    /// Steps in topological order.
    pub(crate) steps: Vec<Step>,
    /// Step of each layer.
    pub(crate) of_layer: Vec<usize>,
    /// For each layer: true for a batch normalization that is folded into the preceding layer.
    pub(crate) is_folded: Vec<bool>,
    /// Bits of an output element of each layer.
    pub(crate) bits: Vec<u32>,
}

/// True for layers that, at inference, only change the shape of their input or nothing at all.
pub(crate) const fn is_view(op: &Op) -> bool {
    matches!(op, Op::Flatten(_) | Op::Reshape(_) | Op::Dropout(_) | Op::DropConnect(_))
}

fn can_fold(spec: &ModelSpec, graph: &Graph, layer: usize) -> bool {
    if spec.layers[layer].op.batch_norm().is_none() {
        return false;
    }
    let Some(&before) = graph.nodes[layer].inputs.first() else { return false };
    let op = &spec.layers[before].op;
    op.product().is_some_and(|product| product.can_absorb_scale())
        && op.activation().is_some_and(Activation::is_linear)
        && graph.nodes[before].consumers.len() == 1
        && !graph.outputs.contains(&before)
}

/// True for activation layers that can be fused, element by element, into the layer that makes their input.
fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Activation(a) if *a != Activation::Softmax)
}

fn output_bits(op: &Op, inputs: &[usize], bits: &[u32], target: &Target) -> u32 {
    if !target.use_quantizers {
        return target.activation_bits;
    }
    if op.is_input() {
        return op.output_quantizer().map_or(target.activation_bits, Quantizer::bits);
    }
    match op.activation() {
        Some(Activation::Quantized(q)) => return q.bits(),
        Some(Activation::Linear) | None => {}
        Some(_) => return target.activation_bits,
    }
    let widest = || inputs.iter().map(|&i| bits[i]).max().unwrap_or(target.activation_bits);
    let moves_values = match op.family() {
        OpFamily::Activation | OpFamily::Reordering | OpFamily::Noise => true,
        OpFamily::Resizing => {
            !matches!(op, Op::UpSampling2d(up) if up.interpolation == Interpolation::Bilinear)
        }
        OpFamily::Pooling => op.pooling().is_some_and(|pooling| !pooling.takes_mean),
        OpFamily::Merge => matches!(op.merging(), Some(Merging::Concatenation(_))),
        _ => false,
    };
    if moves_values { widest() } else { target.activation_bits }
}

fn scratch_bytes(op: &Op, input: Option<&[usize]>, target: &Target) -> u64 {
    let Scratch::Im2col { columns, bytes } = target.scratch else { return 0 };
    let channels = input.and_then(|shape| shape.last()).map_or(0, |&c| c as u64);
    let Some(product) = op.product().filter(|product| product.kind == ProductKind::Convolution) else {
        return 0;
    };
    let size = product.window.size;
    let window =
        elements(&[size.height, size.width]).saturating_mul(channels / (product.groups as u64).max(1));
    columns.saturating_mul(bytes).saturating_mul(window)
}

impl Steps {
    /// Steps of `spec` as trained (one per computing layer) or as deployed (batch normalizations folded, activations fused
    /// into the layer that makes their input if nothing else reads it).
    pub(crate) fn of(spec: &ModelSpec, graph: &Graph, target: &Target, basis: CostBasis) -> Self {
        let n = spec.layers.len();
        let mut all = Self {
            steps: Vec::with_capacity(n),
            of_layer: vec![0; n],
            is_folded: vec![false; n],
            bits: vec![0; n],
        };
        // True while the last layer of a step feeds exactly one layer, which may then join the step.
        let mut is_open: Vec<bool> = Vec::with_capacity(n);
        for &i in &graph.order {
            let op = &spec.layers[i].op;
            let node = &graph.nodes[i];
            all.bits[i] = output_bits(op, &node.inputs, &all.bits, target);
            let is_output = graph.outputs.contains(&i);
            let feeds_one = node.consumers.len() == 1 && !is_output;
            if let (true, Some(&before)) = (is_view(op), node.inputs.first()) {
                let step = all.of_layer[before];
                all.of_layer[i] = step;
                all.steps[step].is_output |= is_output;
                is_open[step] &= feeds_one;
                continue;
            }
            if let (CostBasis::Deployed, Some(&before)) = (basis, node.inputs.first()) {
                let step = all.of_layer[before];
                all.is_folded[i] = can_fold(spec, graph, i);
                let joins = all.is_folded[i] || is_elementwise(op);
                if joins && is_open[step] && !all.steps[step].is_source {
                    all.of_layer[i] = step;
                    all.steps[step].layer = i;
                    all.steps[step].bytes = target.activation_bytes(all.steps[step].elements, all.bits[i]);
                    all.steps[step].is_output |= is_output;
                    is_open[step] = feeds_one;
                    continue;
                }
            }
            let elements = elements(&node.shape);
            let mut inputs: Vec<usize> = node.inputs.iter().map(|&k| all.of_layer[k]).collect();
            inputs.sort_unstable();
            inputs.dedup();
            let is_source = op.is_input();
            all.of_layer[i] = all.steps.len();
            all.steps.push(Step {
                layer: i,
                elements,
                bytes: target.activation_bytes(elements, all.bits[i]),
                scratch: scratch_bytes(op, node.inputs.first().map(|&k| graph.shape(k)), target),
                inputs,
                in_place: target.works_in_place(op),
                is_source,
                is_output,
            });
            is_open.push(feeds_one);
        }
        all
    }
}
