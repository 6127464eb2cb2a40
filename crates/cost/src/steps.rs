//! What remains to be done when a network runs: layers that are folded or fused into others vanish, layers
//! that only name a tensor anew share it.

use tinsmith_network::{Activation, Graph, ModelSpec, Op};

use crate::cost::CostBasis;
use crate::peak_ram::Step;
use crate::storage::product;
use crate::target::{Scratch, Target};

/// The steps of a network and where each layer went.
pub(crate) struct Steps {
    /// In an order in which they can run.
    pub(crate) steps: Vec<Step>,
    /// For each layer its step.
    pub(crate) of_layer: Vec<usize>,
    /// For each layer whether it is a batch norm that is folded into the layer before it.
    pub(crate) is_folded: Vec<bool>,
    /// For each layer the bits of an element of its output.
    pub(crate) bits: Vec<u32>,
}

/// Whether a layer only gives the elements of its input another shape or, at inference, none at all.
pub(crate) const fn is_view(op: &Op) -> bool {
    matches!(op, Op::Flatten(_) | Op::Reshape(_) | Op::Dropout(_) | Op::DropConnect(_))
}

fn can_fold(spec: &ModelSpec, graph: &Graph, layer: usize) -> bool {
    let Op::BatchNorm(_) = spec.layers[layer].op else { return false };
    let Some(&before) = graph.nodes[layer].inputs.first() else { return false };
    let op = &spec.layers[before].op;
    matches!(
        op,
        Op::Dense(_) | Op::Conv1d(_) | Op::Conv2d(_) | Op::DepthwiseConv1d(_) | Op::DepthwiseConv2d(_)
    ) && op.activation().is_some_and(Activation::is_linear)
        && graph.nodes[before].consumers.len() == 1
        && !graph.outputs.contains(&before)
}

/// Whether an activation layer can be done by whatever makes its input, element by element.
fn is_elementwise(op: &Op) -> bool {
    matches!(op, Op::Activation(a) if *a != Activation::Softmax)
}

fn output_bits(op: &Op, inputs: &[usize], bits: &[u32], target: &Target) -> u32 {
    if !target.use_quantizers {
        return target.activation_bits;
    }
    if let Op::Input(input) = op {
        return input.quantizer.map_or(target.activation_bits, |q| q.bits());
    }
    match op.activation() {
        Some(Activation::Quantized(q)) => return q.bits(),
        Some(Activation::Linear) | None => {}
        Some(_) => return target.activation_bits,
    }
    let widest = || inputs.iter().map(|&i| bits[i]).max().unwrap_or(target.activation_bits);
    match op {
        Op::Activation(_)
        | Op::MaxPool1d(_)
        | Op::MaxPool2d(_)
        | Op::GlobalMaxPool1d(_)
        | Op::GlobalMaxPool2d(_)
        | Op::Permute(_)
        | Op::DepthToSpace(_)
        | Op::UpSampling1d(_)
        | Op::Cropping1d(_)
        | Op::Cropping2d(_)
        | Op::ZeroPadding1d(_)
        | Op::ZeroPadding2d(_)
        | Op::Concat(_) => widest(),
        Op::UpSampling2d(up) if up.interpolation == tinsmith_network::op::Interpolation::Nearest => widest(),
        _ if is_view(op) => widest(),
        _ => target.activation_bits,
    }
}

fn scratch_bytes(op: &Op, input: Option<&[usize]>, target: &Target) -> u64 {
    let Scratch::Im2col { columns, bytes } = target.scratch else { return 0 };
    let channels = input.and_then(|shape| shape.last()).map_or(0, |&c| c as u64);
    let window = match op {
        Op::Conv1d(l) => product(&[l.kernel]).saturating_mul(channels / (l.groups as u64).max(1)),
        Op::Conv2d(l) => {
            product(&[l.kernel.height, l.kernel.width]).saturating_mul(channels / (l.groups as u64).max(1))
        }
        _ => return 0,
    };
    columns.saturating_mul(bytes).saturating_mul(window)
}

impl Steps {
    /// The steps of `spec` as trained (every layer that computes is one) or as deployed (batch norms folded,
    /// activations done by whatever makes their input, where nothing else reads it).
    pub(crate) fn of(spec: &ModelSpec, graph: &Graph, target: &Target, form: CostBasis) -> Self {
        let n = spec.layers.len();
        let mut all = Self {
            steps: Vec::with_capacity(n),
            of_layer: vec![0; n],
            is_folded: vec![false; n],
            bits: vec![0; n],
        };
        // Whether the last layer of a step feeds one layer alone, so that this may join the step.
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
            if let (CostBasis::Deployed, Some(&before)) = (form, node.inputs.first()) {
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
            let elements = product(&node.shape);
            let mut inputs: Vec<usize> = node.inputs.iter().map(|&k| all.of_layer[k]).collect();
            inputs.sort_unstable();
            inputs.dedup();
            let is_source = matches!(op, Op::Input(_));
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
