//! Where each axis of a parameter takes its values.

use tinsmith_network::{Op, Padding, Role, Weight};

use super::Source;
use super::channels::{Channels, Routes};
use crate::model::Model;

/// The common part of two shapes.
pub(super) fn common(new: &[usize], old: &[usize]) -> Vec<Vec<Source>> {
    new.iter().zip(old).map(|(&new, &old)| prefix(new, old)).collect()
}

/// The axes of a weight of the layer `layer.0` of the new network, whose namesake in the old one is `layer.1`.
pub(super) fn axes(
    new: &Model,
    old: &Model,
    routes: &Routes,
    layer: (usize, usize),
    weight: &Weight,
) -> Vec<Vec<Source>> {
    let op = &new.spec.layers[layer.0].op;
    let old_shapes = old.graph.input_shapes(layer.1);
    let old_input = old_shapes.first().copied().unwrap_or_default();
    let dims = &weight.shape;
    let weights = old.spec.layers[layer.1].op.weights(old_input);
    let Some(was) = weights.iter().find(|w| w.name == weight.name).map(|w| w.shape.as_slice()) else {
        return dims.iter().map(|&n| vec![Source::Own; n]).collect();
    };
    let first = new.graph.nodes[layer.0].inputs.first().copied();
    let inputs = first.and_then(|k| routes.of(k));
    let outputs = routes.of(layer.0);
    let mut axes: Vec<Vec<Source>> = common(dims, was);
    let rank = dims.len();
    if weight.role != Role::Kernel {
        // Biases, normalizations and slopes go along with the channels, without a share.
        if let Some(last) = axes.last_mut() {
            *last = follow(outputs, dims[rank - 1], was[rank - 1], Share::Ignored);
        }
        return axes;
    }
    let (input_axis, output_axis) = match op {
        Op::Conv2dTranspose(_) => (rank - 1, rank - 2),
        _ => (rank - 2, rank - 1),
    };
    let is_depthwise = weight.name == "depthwise_kernel";
    let is_pointwise = weight.name == "pointwise_kernel";
    // A grouped kernel has no axis with all inputs.
    let is_grouped =
        matches!(op, Op::Conv1d(l) if l.groups > 1) || matches!(op, Op::Conv2d(l) if l.groups > 1);
    if is_depthwise {
        axes[input_axis] = follow(inputs, dims[input_axis], was[input_axis], Share::Ignored);
    } else if is_pointwise {
        let copies = inputs.map_or(1, |c| dims[input_axis] / c.sources.len().max(1));
        let multiplied = inputs.map(|c| Channels {
            old: c.old * copies,
            sources: (c.sources.iter())
                .flat_map(|&(k, share)| (0..copies).map(move |j| (k * copies + j, share)))
                .collect(),
        });
        axes[input_axis] = follow(multiplied.as_ref(), dims[input_axis], was[input_axis], Share::Taken);
        axes[output_axis] = follow(outputs, dims[output_axis], was[output_axis], Share::Ignored);
    } else if !is_grouped {
        axes[input_axis] = follow(inputs, dims[input_axis], was[input_axis], Share::Taken);
        axes[output_axis] = follow(outputs, dims[output_axis], was[output_axis], Share::Ignored);
    }
    if !is_pointwise {
        let shapes = new.graph.input_shapes(layer.0);
        let input = shapes.first().copied().unwrap_or_default();
        let spatial = rank - 2;
        for (axis, sources) in axes.iter_mut().enumerate().take(spatial) {
            let before = before(op, axis, input).zip(before(&old.spec.layers[layer.1].op, axis, old_input));
            let (kernel, kernel_before) = (dims[axis], was[axis]);
            let shift = before.map_or_else(
                || (kernel as isize - 1) / 2 - (kernel_before as isize - 1) / 2,
                |(now, then)| now as isize - then as isize,
            );
            *sources = shifted(kernel, kernel_before, shift);
        }
    }
    axes
}

/// Elements assumed before the input along an axis of the kernel, in taps; None without such padding.
fn before(op: &Op, axis: usize, input: &[usize]) -> Option<usize> {
    let pair = |p: tinsmith_network::Pair| if axis == 0 { p.height } else { p.width };
    let (padding, kernel, stride, dilation) = match op {
        Op::Conv1d(l) => (l.padding, l.kernel, l.stride, l.dilation),
        Op::DepthwiseConv1d(l) => (l.padding, l.kernel, l.stride, l.dilation),
        Op::SeparableConv1d(l) => (l.padding, l.kernel, l.stride, l.dilation),
        Op::Conv2d(l) => (l.padding, pair(l.kernel), pair(l.stride), pair(l.dilation)),
        Op::DepthwiseConv2d(l) => (l.padding, pair(l.kernel), pair(l.stride), pair(l.dilation)),
        Op::SeparableConv2d(l) => (l.padding, pair(l.kernel), pair(l.stride), pair(l.dilation)),
        _ => return None,
    };
    if padding == Padding::Valid {
        return None;
    }
    Some(padding.amounts(*input.get(axis)?, kernel, stride, dilation).0 / dilation.max(1))
}

/// `old` taps in `new`, the first at `shift`; zeros around them.
fn shifted(new: usize, old: usize, shift: isize) -> Vec<Source> {
    let at = |tap: usize| usize::try_from(tap as isize - shift).ok().filter(|&k| k < old);
    (0..new).map(|tap| at(tap).map_or(Source::Zero, |k| Source::From(k, 1.0))).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Share {
    Taken,
    Ignored,
}

/// An axis of `new` channels, of which there were `old`; the common part where they cannot be followed.
fn follow(channels: Option<&Channels>, new: usize, old: usize, share: Share) -> Vec<Source> {
    match channels {
        Some(channels) if channels.sources.len() == new && channels.old == old => channels
            .sources
            .iter()
            .map(|&(c, part)| Source::From(c, if share == Share::Taken { part } else { 1.0 }))
            .collect(),
        _ => prefix(new, old),
    }
}

fn prefix(new: usize, old: usize) -> Vec<Source> {
    (0..new).map(|i| if i < old { Source::From(i, 1.0) } else { Source::Own }).collect()
}
