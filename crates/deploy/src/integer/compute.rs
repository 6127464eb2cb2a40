//! Loops of integer inference.

use super::{Finish, Stage, Values};
use crate::kernel::Kernel;
use crate::network::{Element, Network, Product, Windows, Work};
use crate::pointwise::Pointwise;
use crate::sum::IntegerSum;

/// Converts the caller's floats to codes.
pub(super) fn entrance(stage: &Stage, sample: &[f32]) -> Vec<i32> {
    let Some((Pointwise::Quantize(q), before)) = stage.step.pointwise.split_last() else {
        unreachable!("invariant: an entrance ends in a quantizer")
    };
    let value = |(i, &x): (usize, &f32)| q.code(before.iter().fold(x, |x, f| f.apply(x, i)));
    sample.iter().enumerate().map(value).collect()
}

/// Computes the codes of a step from those of its inputs.
pub(super) fn codes(stage: &Stage, network: &Network, codes: &[Vec<i32>]) -> Vec<i32> {
    let sums = sums(stage, network, codes);
    let each = sums.values.iter().enumerate();
    match &stage.finish {
        Finish::Codes(rules) => each.map(|(i, &sum)| rules[i % rules.len()].code(sum)).collect(),
        Finish::Means(rules) => each
            .map(|(i, &sum)| {
                let count = sums.counts[i];
                let rule = rules.iter().find(|(n, _)| *n == count);
                rule.expect("invariant: there is a rule for every size of a window").1.code(sum)
            })
            .collect(),
        Finish::PerInput(rules) => each.map(|(i, &sum)| rules[sums.counts[i]].code(sum)).collect(),
        Finish::Entrance | Finish::Floats(_) => {
            unreachable!("invariant: only steps between the first and the last give codes")
        }
    }
}

/// Computes the outputs for the caller: values, functions and a softmax in `f32`.
pub(super) fn floats(stage: &Stage, last: &Values, sums: &Sums) -> Vec<f32> {
    let takes_mean = matches!(stage.step.work, Work::Pool { takes_mean: true, .. });
    let mut values: Vec<f32> = sums
        .values
        .iter()
        .enumerate()
        .map(|(i, &sum)| {
            let value = sum as f32 * last.step_size[i % last.step_size.len()] as f32;
            let value = if last.bias.is_empty() { value } else { value + last.bias[i % last.bias.len()] };
            if takes_mean { value * (1.0 / sums.counts[i] as f32) } else { value }
        })
        .collect();
    for function in &stage.step.pointwise {
        if let Pointwise::Softmax { row } = function {
            values.chunks_exact_mut(*row).for_each(softmax);
        } else {
            values.iter_mut().enumerate().for_each(|(i, v)| *v = function.apply(*v, i));
        }
    }
    values
}

fn softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|v| *v = (*v - most).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|v| *v /= sum);
}

/// Sums of a step, before its element-wise functions.
#[derive(Debug, Default)]
pub(super) struct Sums {
    values: Vec<i64>,
    /// For means: number of elements in each. For concatenations: input of each.
    counts: Vec<usize>,
}

pub(super) fn sums(stage: &Stage, network: &Network, codes: &[Vec<i32>]) -> Sums {
    let step = &stage.step;
    let x = |k: usize| codes[step.inputs[k]].as_slice();
    let plain = |values| Sums { values, counts: Vec::new() };
    match (&step.work, &stage.sum) {
        (Work::Product(product), Some(sum)) => plain(products(product, sum, x(0))),
        (Work::Pool { windows, takes_mean }, _) => pool(windows, *takes_mean, x(0)),
        (Work::Merge(_), _) => {
            let unit = |k: usize| match network.tensors[step.inputs[k]].element {
                Element::Code { unit, .. } => f64::from(unit),
                Element::Float => 1.0,
            };
            let finest = (0..step.inputs.len()).map(unit).fold(f64::INFINITY, f64::min);
            let mut values = vec![0; x(0).len()];
            for k in 0..step.inputs.len() {
                let factor = (unit(k) / finest) as i64;
                values.iter_mut().zip(x(k)).for_each(|(sum, &code)| *sum += factor * i64::from(code));
            }
            plain(values)
        }
        (Work::Concat { times, runs }, _) => {
            let mut sums = Sums::default();
            for t in 0..*times {
                for (k, &run) in runs.iter().enumerate() {
                    sums.values.extend(x(k)[t * run..][..run].iter().map(|&code| i64::from(code)));
                    sums.counts.extend(std::iter::repeat_n(k, run));
                }
            }
            sums
        }
        _ => plain(x(0).iter().map(|&code| i64::from(code)).collect()),
    }
}

/// Calls `visit` for every output position with its taps inside the input: (tap, input position).
fn for_windows(windows: &Windows, mut visit: impl FnMut(&[(usize, usize)])) {
    let [height, width, _] = windows.input;
    let along = |axis: usize, out: usize, extent: usize| {
        let w = windows;
        (0..w.size[axis]).filter_map(move |k| {
            let at = (out * w.stride[axis] + k * w.dilation[axis]).checked_sub(w.pad[axis])?;
            (at < extent).then_some((k, at))
        })
    };
    let mut taps = Vec::with_capacity(windows.size[0] * windows.size[1]);
    for oy in 0..windows.output[0] {
        for ox in 0..windows.output[1] {
            taps.clear();
            for (ky, iy) in along(0, oy, height) {
                taps.extend(along(1, ox, width).map(|(kx, ix)| (ky * windows.size[1] + kx, iy * width + ix)));
            }
            visit(&taps);
        }
    }
}

/// Returns the distinct numbers of taps inside the input.
pub(super) fn counts(windows: &Windows) -> Vec<usize> {
    let mut counts = Vec::new();
    for_windows(windows, |taps| counts.push(taps.len()));
    counts.sort_unstable();
    counts.dedup();
    counts
}

fn products(product: &Product, sum: &IntegerSum, x: &[i32]) -> Vec<i64> {
    let Kernel::Integer(kernel) = &product.kernel else {
        unreachable!("invariant: an integer sum has an integer kernel")
    };
    let (channels, depth, outputs) = (product.windows.input[2], product.depth(), product.outputs);
    let mut values = Vec::new();
    for_windows(&product.windows, |taps| {
        for f in 0..outputs {
            let first = product.first_channel(f);
            let mut total = 0;
            for &(tap, position) in taps {
                for c in 0..depth {
                    let level = kernel.levels[(tap * depth + c) * outputs + f];
                    total += i64::from(level) * i64::from(x[position * channels + first + c]);
                }
            }
            values.push((total << sum.lift) + sum.bias.get(f).copied().unwrap_or(0));
        }
    });
    values
}

fn pool(windows: &Windows, takes_mean: bool, x: &[i32]) -> Sums {
    let channels = windows.input[2];
    let mut sums = Sums::default();
    for_windows(windows, |taps| {
        for c in 0..channels {
            let elements = taps.iter().map(|(_, position)| i64::from(x[position * channels + c]));
            sums.values.push(if takes_mean { elements.sum() } else { elements.max().unwrap_or(0) });
            sums.counts.push(taps.len());
        }
    });
    sums
}
