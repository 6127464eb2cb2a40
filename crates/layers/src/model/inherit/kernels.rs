//! Value sources for each axis of a parameter.

use tinsmith_network::{Op, Padding, Pair, ProductKind, Role, Weight};

use super::ValueSource;
use super::channels::{Channels, Routes};
use crate::model::Model;

/// Common region of two shapes.
pub(super) fn common(new: &[usize], old: &[usize]) -> Vec<Vec<ValueSource>> {
    new.iter().zip(old).map(|(&new, &old)| prefix(new, old)).collect()
}

/// Value sources per axis for a weight of new layer `layer.0`, whose old counterpart is `layer.1`.
pub(super) fn axes(
    new: &Model,
    old: &Model,
    routes: &Routes,
    layer: (usize, usize),
    weight: &Weight,
) -> Vec<Vec<ValueSource>> {
    let op = &new.spec.layers[layer.0].op;
    let old_shapes = old.graph.input_shapes(layer.1);
    let old_input = old_shapes.first().copied().unwrap_or_default();
    let dims = &weight.shape;
    let weights = old.spec.layers[layer.1].op.weights(old_input);
    let Some(was) = weights.iter().find(|w| w.name == weight.name).map(|w| w.shape.as_slice()) else {
        return dims.iter().map(|&n| vec![ValueSource::Own; n]).collect();
    };
    let first = new.graph.nodes[layer.0].inputs.first().copied();
    let inputs = first.and_then(|k| routes.of(k));
    let outputs = routes.of(layer.0);
    let mut axes: Vec<Vec<ValueSource>> = common(dims, was);
    let rank = dims.len();
    if weight.role != Role::Kernel {
        // Biases, normalizations and slopes follow their channels without a fraction.
        if let Some(last) = axes.last_mut() {
            *last = follow(outputs, dims[rank - 1], was[rank - 1], Fraction::Ignored);
        }
        return axes;
    }
    let product = op.product();
    let (input_axis, output_axis) = match product.map(|p| p.kind) {
        Some(ProductKind::Transposed) => (rank - 1, rank - 2),
        _ => (rank - 2, rank - 1),
    };
    let is_depthwise = weight.name == "depthwise_kernel";
    let is_pointwise = weight.name == "pointwise_kernel";
    // A grouped kernel has no axis over all inputs.
    let is_grouped = product.is_some_and(|p| p.groups > 1);
    if is_depthwise {
        axes[input_axis] = follow(inputs, dims[input_axis], was[input_axis], Fraction::Ignored);
    } else if is_pointwise {
        let copies = inputs.map_or(1, |c| dims[input_axis] / c.sources.len().max(1));
        let multiplied = inputs.map(|c| Channels {
            old: c.old * copies,
            sources: (c.sources.iter())
                .flat_map(|&(k, fraction)| (0..copies).map(move |j| (k * copies + j, fraction)))
                .collect(),
        });
        axes[input_axis] = follow(multiplied.as_ref(), dims[input_axis], was[input_axis], Fraction::Taken);
        axes[output_axis] = follow(outputs, dims[output_axis], was[output_axis], Fraction::Ignored);
    } else if !is_grouped {
        axes[input_axis] = follow(inputs, dims[input_axis], was[input_axis], Fraction::Taken);
        axes[output_axis] = follow(outputs, dims[output_axis], was[output_axis], Fraction::Ignored);
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

/// Padding before the input along a kernel axis, in taps; None without such padding.
fn before(op: &Op, axis: usize, input: &[usize]) -> Option<usize> {
    let product = op.product().filter(|p| !matches!(p.kind, ProductKind::Dense | ProductKind::Transposed))?;
    let window = product.window;
    if window.padding == Padding::Valid {
        return None;
    }
    let along_height = product.spatial_axes == 2 && axis == 0;
    let of = |pair: Pair| if along_height { pair.height } else { pair.width };
    let dilation = of(window.dilation);
    let n = *input.get(axis)?;
    Some(window.padding.amounts(n, of(window.size), of(window.stride), dilation).0 / dilation.max(1))
}

/// Places `old` taps within `new`, the first at `shift`, surrounded by zeros.
fn shifted(new: usize, old: usize, shift: isize) -> Vec<ValueSource> {
    let at = |tap: usize| usize::try_from(tap as isize - shift).ok().filter(|&k| k < old);
    (0..new).map(|tap| at(tap).map_or(ValueSource::Zero, |k| ValueSource::From(k, 1.0))).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Fraction {
    Taken,
    Ignored,
}

/// Value sources of an axis of `new` channels out of `old`; the common region if they cannot be matched.
fn follow(channels: Option<&Channels>, new: usize, old: usize, fraction: Fraction) -> Vec<ValueSource> {
    match channels {
        Some(channels) if channels.sources.len() == new && channels.old == old => channels
            .sources
            .iter()
            .map(|&(c, part)| ValueSource::From(c, if fraction == Fraction::Taken { part } else { 1.0 }))
            .collect(),
        _ => prefix(new, old),
    }
}

fn prefix(new: usize, old: usize) -> Vec<ValueSource> {
    (0..new).map(|i| if i < old { ValueSource::From(i, 1.0) } else { ValueSource::Own }).collect()
}
