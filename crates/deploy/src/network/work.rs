//! Computation of a layer: geometry and weights.

use tinsmith_layers::Model;
use tinsmith_network::op::PerChannel;
use tinsmith_network::{
    Geometry, Merging, Op, Pair, Pooling, Product as LayerProduct, ProductKind, Quantizer, Role,
    SlidingWindow, Storage, Weight,
};
use tinsmith_quant::{Mode, QuantizerOp};

use super::{Operation, Product, Separable, Windows, Work};
use crate::config::Arithmetic;
use crate::error::Result;
use crate::kernel;
use crate::pointwise::{LayerRef, Pointwise};

/// Returns the geometry of `window` over `input`, whose axes before the last are `spatial_axes` spatial ones.
fn windows(window: &SlidingWindow, input: &[usize], spatial_axes: usize) -> Windows {
    let Geometry { input, output, before } = window.geometry(input, spatial_axes);
    debug_assert!(
        !output.contains(&0),
        "invariant: a network that was built has outputs of a position or more"
    );
    Windows {
        input,
        output,
        size: [window.size.height, window.size.width],
        stride: [window.stride.height, window.stride.width],
        dilation: [window.dilation.height, window.dilation.width],
        pad: before,
    }
}

/// A layer during lowering.
pub(super) struct Lowering<'a> {
    pub(super) model: &'a Model,
    pub(super) arithmetic: Arithmetic,
    pub(super) place: LayerRef<'a>,
    /// Shapes of the inputs.
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

    /// Returns the computation of a layer that multiplies by weights.
    fn multiply(&self, op: &Op, product: &LayerProduct) -> Result<Work> {
        let windows = windows(&product.window, self.input(), product.spatial_axes);
        let name = product.kernel.name;
        Ok(match product.kind {
            ProductKind::Dense | ProductKind::Convolution => {
                Work::Product(self.product(op, name, windows, Some(product.groups))?)
            }
            ProductKind::Depthwise => Work::Product(self.product(op, name, windows, None)?),
            ProductKind::Separable => {
                let mut depthwise = self.product(op, name, windows, None)?;
                depthwise.bias = None;
                let inner = [windows.output[0], windows.output[1], depthwise.outputs];
                let point = self::windows(&SlidingWindow::POINT, &inner, 2);
                let pointwise = self.product(op, product.last_kernel().name, point, Some(1))?;
                Work::Separable(Box::new(Separable { depthwise, pointwise }))
            }
            ProductKind::Transposed => return Err(self.place.unsupported("this kind is not supported")),
        })
    }

    /// Returns the combination of several inputs.
    fn merge(&self, merging: Merging<'_>) -> Result<Work> {
        if merging.is_elementwise() && self.inputs.iter().any(|shape| *shape != self.output) {
            return Err(self.place.unsupported("its inputs differ in shape; want equal ones"));
        }
        Ok(match merging {
            Merging::Sum => Work::Merge(Operation::Add),
            Merging::Difference => Work::Merge(Operation::Subtract),
            Merging::Product => Work::Merge(Operation::Multiply),
            Merging::Concatenation(concat) => {
                let axis =
                    concat.sample_axis(self.output.len()).expect("invariant: a built network has valid axes");
                let runs = self.inputs.iter().map(|shape| shape[axis..].iter().product()).collect();
                Work::Concat { times: self.output[..axis].iter().product(), runs }
            }
        })
    }

    /// Returns the computation of `op` before its activation, and the element-wise functions that belong to it.
    pub(super) fn work(&self, op: &Op) -> Result<(Work, Vec<Pointwise>)> {
        let plain = |work| Ok((work, Vec::new()));
        if let Some(product) = op.product() {
            return plain(self.multiply(op, &product)?);
        }
        if let Some(pooling) = op.pooling() {
            return self.pool(&pooling);
        }
        if let Some(merging) = op.merging() {
            return plain(self.merge(merging)?);
        }
        match op {
            Op::Rescaling(l) => {
                let channels = self.input().last().copied().unwrap_or(1);
                let each = |constants: &PerChannel| (0..channels).map(|c| constants.of(c) as f32).collect();
                let affine = Pointwise::Affine { scale: each(&l.scale), shift: each(&l.offset) };
                Ok((Work::Copy, vec![affine]))
            }
            Op::Activation(_) | Op::BatchNorm(_) | Op::Input(_) => plain(Work::Copy),
            _ => Err(self.place.unsupported("this kind is not supported")),
        }
    }

    fn pool(&self, pooling: &Pooling<'_>) -> Result<(Work, Vec<Pointwise>)> {
        let input = self.input();
        let whole = || {
            let [height, width, _] = SlidingWindow::POINT.geometry(input, pooling.spatial_axes).input;
            SlidingWindow { size: Pair::new(height, width), ..SlidingWindow::POINT }
        };
        let window = pooling.window.unwrap_or_else(whole);
        let windows = windows(&window, input, pooling.spatial_axes);
        let quantizer = pooling.average_quantizer.filter(|_| pooling.takes_mean);
        let factor = quantizer.map(|q| average_factor(q, window.size.area())).transpose()?;
        let pointwise = factor.into_iter().map(Pointwise::Multiply).collect();
        Ok((Work::Pool { windows, takes_mean: pooling.takes_mean }, pointwise))
    }
}

/// Returns the correction of a mean whose reciprocal is quantized: the area of the window times the quantized
/// reciprocal.
fn average_factor(quantizer: &Quantizer, area: usize) -> Result<f32> {
    let reciprocal = 1.0 / area as f32;
    let (values, _) = QuantizerOp::new(quantizer)?.quantize(&[reciprocal], &[1], Mode::Inference)?;
    Ok(area as f32 * values.first().expect("invariant: one value in, one value out"))
}
