//! What a layer computes, with geometry and weights worked out.

use tinsmith_layers::Model;
use tinsmith_network::op::{GlobalPool, PerChannel, Pool1d, Pool2d};
use tinsmith_network::{Op, Padding, Pair, Quantizer, Role, Storage, Weight};
use tinsmith_quant::{Mode, QuantizerOp};

use super::{Operation, Product, Separable, Windows, Work};
use crate::config::Arithmetic;
use crate::error::Result;
use crate::kernel;
use crate::pointwise::{Place, Pointwise};

/// A window operation in one dimension or two.
struct Sliding {
    padding: Padding,
    size: Pair,
    stride: Pair,
    dilation: Pair,
}

fn over_time(n: usize) -> Pair {
    Pair::new(1, n)
}

/// A sample's shape as (height, width, channels); time has height 1, a vector height and width 1.
fn as_image(shape: &[usize]) -> [usize; 3] {
    match *shape {
        [width, channels] => [1, width, channels],
        [height, width, channels] => [height, width, channels],
        _ => [1, shape[..shape.len().saturating_sub(1)].iter().product(), *shape.last().unwrap_or(&1)],
    }
}

impl Sliding {
    /// `is_flat` says that there is no second dimension, so that nothing is padded along the height.
    fn windows(&self, input: &[usize], is_flat: bool) -> Windows {
        let input = as_image(input);
        let axis = |n, size, stride, dilation| {
            let (before, _) = self.padding.amounts(n, size, stride, dilation);
            (before, self.padding.output_len(n, size, stride, dilation).unwrap_or(0))
        };
        let (top, height) = if is_flat {
            (0, 1)
        } else {
            axis(input[0], self.size.height, self.stride.height, self.dilation.height)
        };
        let (left, width) = axis(input[1], self.size.width, self.stride.width, self.dilation.width);
        Windows {
            input,
            output: [height, width],
            size: [self.size.height, self.size.width],
            stride: [self.stride.height, self.stride.width],
            dilation: [self.dilation.height, self.dilation.width],
            pad: [top, left],
        }
    }
}

fn point(input: [usize; 3]) -> Windows {
    let [height, width, _] = input;
    Windows { input, output: [height, width], size: [1; 2], stride: [1; 2], dilation: [1; 2], pad: [0; 2] }
}

/// A layer that is being worked out.
pub(super) struct Lowering<'a> {
    pub(super) model: &'a Model,
    pub(super) arithmetic: Arithmetic,
    pub(super) place: Place<'a>,
    /// Shapes of its inputs.
    pub(super) inputs: &'a [&'a [usize]],
    pub(super) output: &'a [usize],
}

impl Lowering<'_> {
    fn input(&self) -> &[usize] {
        self.inputs.first().copied().unwrap_or_default()
    }

    fn find(&self, weights: &[Weight], name: &str) -> Result<Weight> {
        let found = weights.iter().find(|w| w.name == name).cloned();
        found.ok_or_else(|| self.place.unsupported(format!("it has no weight `{name}`")))
    }

    fn product(&self, op: &Op, name: &str, windows: Windows, groups: Option<usize>) -> Result<Product> {
        let weights = op.weights(self.input());
        let weight = self.find(&weights, name)?;
        let rank = weight.shape.len();
        let outputs = match groups {
            Some(_) => weight.shape[rank - 1],
            None => weight.shape[rank - 2..].iter().product(),
        };
        let kernel = kernel::kernel(self.model, self.place, &weights, &weight, outputs, self.arithmetic)?;
        let bias = weights.iter().find(|w| w.role == Role::Bias);
        let bias = bias.map(|w| kernel::values(self.model, self.place.layer, &weights, w)).transpose()?;
        let layer = self.model.spec().layer(self.place.layer);
        let facts = layer.and_then(|l| l.facts.iter().find(|facts| facts.weight == name));
        let is_matrix = windows.size == [1, 1] && groups == Some(1);
        let is_sparse = is_matrix && facts.is_some_and(|facts| facts.storage == Storage::Csr);
        Ok(Product { windows, outputs, groups, kernel, bias, is_sparse })
    }

    fn separable(&self, op: &Op, windows: Windows) -> Result<Work> {
        let mut depthwise = self.product(op, "depthwise_kernel", windows, None)?;
        depthwise.bias = None;
        let inner = [windows.output[0], windows.output[1], depthwise.outputs];
        let pointwise = self.product(op, "pointwise_kernel", point(inner), Some(1))?;
        Ok(Work::Separable(Box::new(Separable { depthwise, pointwise })))
    }

    /// What `op` computes before its activation, and what is done to every result before that.
    pub(super) fn work(&self, op: &Op) -> Result<(Work, Vec<Pointwise>)> {
        let input = self.input();
        let plain = |work| Ok((work, Vec::new()));
        match op {
            Op::Dense(_) => {
                let positions = input[..input.len() - 1].iter().product();
                let windows = point([1, positions, input[input.len() - 1]]);
                plain(Work::Product(self.product(op, "kernel", windows, Some(1))?))
            }
            Op::Conv1d(l) => {
                let windows = Sliding {
                    padding: l.padding,
                    size: over_time(l.kernel),
                    stride: over_time(l.stride),
                    dilation: over_time(l.dilation),
                };
                plain(Work::Product(self.product(
                    op,
                    "kernel",
                    windows.windows(input, true),
                    Some(l.groups),
                )?))
            }
            Op::Conv2d(l) => {
                let windows =
                    Sliding { padding: l.padding, size: l.kernel, stride: l.stride, dilation: l.dilation };
                let windows = windows.windows(input, false);
                plain(Work::Product(self.product(op, "kernel", windows, Some(l.groups))?))
            }
            Op::DepthwiseConv1d(l) => {
                let windows = Sliding {
                    padding: l.padding,
                    size: over_time(l.kernel),
                    stride: over_time(l.stride),
                    dilation: over_time(l.dilation),
                };
                let windows = windows.windows(input, true);
                plain(Work::Product(self.product(op, "depthwise_kernel", windows, None)?))
            }
            Op::DepthwiseConv2d(l) => {
                let windows =
                    Sliding { padding: l.padding, size: l.kernel, stride: l.stride, dilation: l.dilation };
                let windows = windows.windows(input, false);
                plain(Work::Product(self.product(op, "depthwise_kernel", windows, None)?))
            }
            Op::SeparableConv1d(l) => {
                let windows = Sliding {
                    padding: l.padding,
                    size: over_time(l.kernel),
                    stride: over_time(l.stride),
                    dilation: over_time(l.dilation),
                };
                plain(self.separable(op, windows.windows(input, true))?)
            }
            Op::SeparableConv2d(l) => {
                let windows =
                    Sliding { padding: l.padding, size: l.kernel, stride: l.stride, dilation: l.dilation };
                plain(self.separable(op, windows.windows(input, false))?)
            }
            Op::MaxPool1d(_)
            | Op::MaxPool2d(_)
            | Op::AveragePool1d(_)
            | Op::AveragePool2d(_)
            | Op::GlobalMaxPool1d(_)
            | Op::GlobalMaxPool2d(_)
            | Op::GlobalAveragePool1d(_)
            | Op::GlobalAveragePool2d(_) => self.pool(op),
            Op::Add(_) | Op::Subtract(_) | Op::Multiply(_) => {
                if self.inputs.iter().any(|shape| *shape != self.output) {
                    return Err(self.place.unsupported("its inputs differ in shape; want equal ones"));
                }
                plain(Work::Merge(match op {
                    Op::Subtract(_) => Operation::Subtract,
                    Op::Multiply(_) => Operation::Multiply,
                    _ => Operation::Add,
                }))
            }
            Op::Concat(l) => {
                let axis = l.sample_axis(self.output.len()).unwrap_or(self.output.len() - 1);
                let runs = self.inputs.iter().map(|shape| shape[axis..].iter().product()).collect();
                plain(Work::Concat { times: self.output[..axis].iter().product(), runs })
            }
            Op::Rescaling(l) => {
                let channels = input.last().copied().unwrap_or(1);
                let each = |constants: &PerChannel| (0..channels).map(|c| constants.of(c) as f32).collect();
                let affine = Pointwise::Affine { scale: each(&l.scale), shift: each(&l.offset) };
                Ok((Work::Copy, vec![affine]))
            }
            Op::Activation(_) | Op::BatchNorm(_) | Op::Input(_) => plain(Work::Copy),
            _ => Err(self.place.unsupported("this kind has no C form here")),
        }
    }

    fn pool(&self, op: &Op) -> Result<(Work, Vec<Pointwise>)> {
        let input = self.input();
        let (windows, takes_mean, quantizer) = match op {
            Op::MaxPool1d(l) => (pool_over_time(l, input), false, None),
            Op::AveragePool1d(l) => (pool_over_time(l, input), true, l.average_quantizer),
            Op::MaxPool2d(l) => (pool_over_image(l, input), false, None),
            Op::AveragePool2d(l) => (pool_over_image(l, input), true, l.average_quantizer),
            Op::GlobalAveragePool1d(l) | Op::GlobalAveragePool2d(l) => {
                (pool_all(input), true, l.average_quantizer)
            }
            Op::GlobalMaxPool1d(GlobalPool { .. }) | Op::GlobalMaxPool2d(GlobalPool { .. }) => {
                (pool_all(input), false, None)
            }
            _ => return Err(self.place.unsupported("it is no pooling")),
        };
        let area = windows.size[0] * windows.size[1];
        let factor = quantizer.as_ref().map(|q| average_factor(q, area)).transpose()?;
        let pointwise = factor.into_iter().map(Pointwise::Multiply).collect();
        Ok((Work::Pool { windows, takes_mean }, pointwise))
    }
}

fn pool_over_time(l: &Pool1d, input: &[usize]) -> Windows {
    let (size, stride) = (over_time(l.size), over_time(l.stride()));
    Sliding { padding: l.padding, size, stride, dilation: Pair::ONE }.windows(input, true)
}

fn pool_over_image(l: &Pool2d, input: &[usize]) -> Windows {
    Sliding { padding: l.padding, size: l.size, stride: l.stride(), dilation: Pair::ONE }
        .windows(input, false)
}

fn pool_all(input: &[usize]) -> Windows {
    let [height, width, channels] = as_image(input);
    Windows {
        input: [height, width, channels],
        output: [1, 1],
        size: [height, width],
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
    }
}

/// What a mean is multiplied by where its reciprocal is quantized: the window's area times that.
fn average_factor(quantizer: &Quantizer, area: usize) -> Result<f32> {
    let reciprocal = 1.0 / area as f32;
    let (values, _) = QuantizerOp::new(quantizer)?.quantize(&[reciprocal], &[1], Mode::Inference)?;
    Ok(area as f32 * values.first().copied().unwrap_or(reciprocal))
}
