//! Layers that multiply by a kernel: dense, convolution, depthwise, separable and transposed.

use candle_core::Tensor;
use tinsmith_core_tensor::ops;
use tinsmith_kernels::conv::ConvShape;
use tinsmith_kernels::{Conv2dGeometry, ConvTransposeGeometry, Padding as Pads};
use tinsmith_network::{Activation, Op, Padding, ProductKind, Quantizer, Role, SlidingWindow};

use super::activation::Activator;
use super::quantize::ParamSlot;
use super::{Blueprint, Context, LayerForward};
use crate::error::Result;

/// Padding of (height, width) of an input under a sliding window.
pub(super) fn pads(window: &SlidingWindow, input: [usize; 2]) -> (Pads, Pads) {
    let axis = |n, k, s, d| {
        let (before, after) = window.padding.amounts(n, k, s, d);
        Pads { before, after }
    };
    (
        axis(input[0], window.size.height, window.stride.height, window.dilation.height),
        axis(input[1], window.size.width, window.stride.width, window.dilation.width),
    )
}

/// Kind of product between a kernel and an input.
#[derive(Debug, Clone, Copy)]
enum Product {
    Dense,
    Convolution { geometry: Conv2dGeometry, over_time: bool },
    Depthwise { geometry: Conv2dGeometry, over_time: bool },
    Transposed(ConvTransposeGeometry),
}

/// Geometry of a convolution's or depthwise stage's window over an input of shape `input`.
fn geometry_of(product: &tinsmith_network::Product, input: &[usize]) -> Conv2dGeometry {
    let (window, over_time) = (&product.window, product.spatial_axes == 1);
    let extent = if over_time { [1, input[0]] } else { [input[0], input[1]] };
    let mut padding = pads(window, extent);
    if over_time {
        // Causal padding applies to time only, and the image is one pixel high.
        padding.0 = Pads::NONE;
    }
    debug_assert!(window.size.area() > 0, "invariant: windows of a resolved specification have elements");
    Conv2dGeometry {
        stride: (window.stride.height, window.stride.width),
        dilation: (window.dilation.height, window.dilation.width),
        padding,
        groups: product.groups,
        ..Conv2dGeometry::default()
    }
}

impl Product {
    /// None if `op` has no kernel that is applied as a single product.
    fn new(op: &Op, input: &[usize]) -> Option<Self> {
        let product = op.product()?;
        let over_time = product.spatial_axes == 1;
        Some(match product.kind {
            ProductKind::Dense => Self::Dense,
            ProductKind::Convolution => {
                let exact = product.kernel.quantizer.is_some();
                let geometry = Conv2dGeometry { exact, ..geometry_of(&product, input) };
                Self::Convolution { geometry, over_time }
            }
            ProductKind::Depthwise => Self::Depthwise { geometry: geometry_of(&product, input), over_time },
            ProductKind::Transposed => {
                let window = product.window;
                Self::Transposed(ConvTransposeGeometry {
                    stride: (window.stride.height, window.stride.width),
                    dilation: (window.dilation.height, window.dilation.width),
                    same: window.padding == Padding::Same,
                })
            }
            ProductKind::Separable => return None,
        })
    }

    /// The depthwise and the pointwise product of a separable convolution; none for layers of other kinds.
    fn of_separable(op: &Op, input: &[usize]) -> Option<[Self; 2]> {
        let product = op.product().filter(|product| product.kind == ProductKind::Separable)?;
        let over_time = product.spatial_axes == 1;
        Some([
            Self::Depthwise { geometry: geometry_of(&product, input), over_time },
            Self::Convolution { geometry: Conv2dGeometry::default(), over_time },
        ])
    }

    fn apply(&self, cx: &Context<'_>, x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        type Convolve = fn(
            &Tensor,
            &Tensor,
            Option<&Tensor>,
            &Conv2dGeometry,
            tinsmith_kernels::Threads,
        ) -> tinsmith_core_tensor::Result<Tensor>;
        let (convolve, geometry, over_time): (Convolve, _, _) = match self {
            Self::Dense => return Ok(ops::dense(x, kernel, bias, cx.threads)?),
            Self::Transposed(geometry) => {
                return Ok(ops::conv2d_transpose(x, kernel, bias, geometry, cx.threads)?);
            }
            Self::Convolution { geometry, over_time } => (ops::conv2d, geometry, *over_time),
            Self::Depthwise { geometry, over_time } => (ops::depthwise_conv2d, geometry, *over_time),
        };
        if over_time {
            let out = convolve(&x.unsqueeze(1)?, &kernel.unsqueeze(0)?, bias, geometry, cx.threads)?;
            return Ok(out.squeeze(1)?);
        }
        Ok(convolve(x, kernel, bias, geometry, cx.threads)?)
    }
}

/// All dimensions of a product for one sample, as the kernels expect them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ProductShape {
    /// On the last axis: `outer` rows per sample.
    Dense { outer: usize, inputs: usize, outputs: usize },
    /// Every channel (of a group) with every filter.
    Convolution(ConvShape),
    /// Each channel with its own filter.
    Depthwise(ConvShape),
}

impl Product {
    /// None for a transposed convolution. `kernel` is the shape of the weight.
    fn shape(&self, input: &[usize], kernel: &[usize]) -> Result<Option<ProductShape>> {
        let (&[.., inputs], &[.., outputs]) = (input, kernel) else { return Ok(None) };
        let image = |over_time: bool| match (over_time, input, kernel) {
            (true, &[l, c], &[k, a, b]) => ([1, 1, l, c], [1, k, a, b]),
            (false, &[h, w, c], &[kh, kw, a, b]) => ([1, h, w, c], [kh, kw, a, b]),
            _ => ([0; 4], [0; 4]),
        };
        Ok(Some(match self {
            Self::Dense => {
                ProductShape::Dense { outer: input[..input.len() - 1].iter().product(), inputs, outputs }
            }
            Self::Convolution { geometry, over_time } => {
                let (x, w) = image(*over_time);
                ProductShape::Convolution(geometry.resolve("convolution", &x, &w)?)
            }
            Self::Depthwise { geometry, over_time } => {
                let (x, w) = image(*over_time);
                ProductShape::Depthwise(geometry.resolve_depthwise("depthwise convolution", &x, &w)?)
            }
            Self::Transposed(_) => return Ok(None),
        }))
    }
}

/// Returns the products of a layer in order, for samples of shape `input`. None if it has none, or one that
/// [`ProductShape`] cannot describe.
pub(crate) fn product_shapes(op: &Op, input: &[usize]) -> Result<Option<Vec<ProductShape>>> {
    let weights = op.weights(input);
    let kernels: Vec<&[usize]> =
        weights.iter().filter(|w| w.role == Role::Kernel).map(|w| w.shape.as_slice()).collect();
    if let Some(product) = Product::new(op, input) {
        let Some(&kernel) = kernels.first() else { return Ok(None) };
        return Ok(product.shape(input, kernel)?.map(|shape| vec![shape]));
    }
    let (Some([depthwise, pointwise]), &[first, second]) =
        (Product::of_separable(op, input), kernels.as_slice())
    else {
        return Ok(None);
    };
    let Some(ProductShape::Depthwise(shape)) = depthwise.shape(input, first)? else { return Ok(None) };
    let is_image = matches!(depthwise, Product::Depthwise { over_time: false, .. });
    let inner =
        if is_image { vec![shape.out_h, shape.out_w, shape.out_c] } else { vec![shape.out_w, shape.out_c] };
    Ok(pointwise.shape(&inner, second)?.map(|point| vec![ProductShape::Depthwise(shape), point]))
}

/// Quantizer of a linear layer's bias. Defined even if the layer has no bias, because a folded normalization adds
/// one.
pub(super) fn bias_quantizer(op: &Op) -> Option<Quantizer> {
    op.product().filter(tinsmith_network::Product::can_absorb_scale)?.bias_quantizer
}

/// The fused activation of a product.
fn fused(op: &Op) -> &Activation {
    op.activation().expect("invariant: every layer that multiplies by weights has an activation")
}

/// A layer with one kernel, an optional bias, and an activation.
#[derive(Debug)]
pub(super) struct Linear {
    product: Product,
    kernel: ParamSlot,
    bias: Option<ParamSlot>,
    activation: Activator,
}

impl Linear {
    /// None if the layer has no kernel that is applied as a single product.
    pub(super) fn new(blueprint: &Blueprint<'_>, index: usize) -> Result<Option<Self>> {
        let layer = &blueprint.layers[index];
        let shapes = blueprint.graph.input_shapes(index);
        let input = shapes.first().copied().unwrap_or_default();
        let Some(product) = Product::new(&layer.op, input) else { return Ok(None) };
        let name = if matches!(product, Product::Depthwise { .. }) { "depthwise_kernel" } else { "kernel" };
        Ok(Some(Self {
            product,
            kernel: ParamSlot::find(blueprint, index, name)?,
            bias: ParamSlot::find_optional(blueprint, index, "bias")?,
            activation: Activator::new(blueprint, index, fused(&layer.op))?,
        }))
    }

    /// Product with the stored, unquantized parameters, before any activation.
    pub(super) fn raw(&self, cx: &Context<'_>, x: &Tensor) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|b| b.raw(cx)).transpose()?;
        self.product.apply(cx, x, &self.kernel.raw(cx)?, bias.as_ref())
    }

    /// Kernel with each output channel multiplied by its entry of `scale`, then quantized.
    pub(super) fn scaled_kernel(&self, cx: &Context<'_>, scale: &Tensor) -> Result<Tensor> {
        let kernel = self.kernel.raw(cx)?;
        let scaled = if let Product::Depthwise { .. } = self.product {
            let dims = kernel.dims();
            let per_channel = scale.reshape(&dims[dims.len() - 2..])?;
            kernel.broadcast_mul(&per_channel)?
        } else {
            kernel.broadcast_mul(scale)?
        };
        self.kernel.quantize(cx, scaled)
    }

    /// Bias as stored.
    pub(super) fn raw_bias(&self, cx: &Context<'_>) -> Result<Option<Tensor>> {
        self.bias.as_ref().map(|b| b.raw(cx)).transpose()
    }

    /// Product with the given parameters, without the activation.
    pub(super) fn product(
        &self,
        cx: &Context<'_>,
        x: &Tensor,
        kernel: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        self.product.apply(cx, x, kernel, bias)
    }
}

impl LayerForward for Linear {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|b| b.value(cx)).transpose()?;
        let out = self.product.apply(cx, inputs[0], &self.kernel.value(cx)?, bias.as_ref())?;
        self.activation.apply(cx, out)
    }
}

/// A depthwise convolution followed by a pointwise one, with one bias and one activation.
#[derive(Debug)]
pub(super) struct Separable {
    depthwise: Product,
    pointwise: Product,
    depthwise_kernel: ParamSlot,
    pointwise_kernel: ParamSlot,
    bias: Option<ParamSlot>,
    activation: Activator,
}

impl Separable {
    /// None if the layer is of another kind.
    pub(super) fn new(blueprint: &Blueprint<'_>, index: usize) -> Result<Option<Self>> {
        let layer = &blueprint.layers[index];
        let shapes = blueprint.graph.input_shapes(index);
        let input = shapes.first().copied().unwrap_or_default();
        let Some([depthwise, pointwise]) = Product::of_separable(&layer.op, input) else { return Ok(None) };
        Ok(Some(Self {
            depthwise,
            pointwise,
            depthwise_kernel: ParamSlot::find(blueprint, index, "depthwise_kernel")?,
            pointwise_kernel: ParamSlot::find(blueprint, index, "pointwise_kernel")?,
            bias: ParamSlot::find_optional(blueprint, index, "bias")?,
            activation: Activator::new(blueprint, index, fused(&layer.op))?,
        }))
    }
}

impl LayerForward for Separable {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|b| b.value(cx)).transpose()?;
        let inner = self.depthwise.apply(cx, inputs[0], &self.depthwise_kernel.value(cx)?, None)?;
        let out = self.pointwise.apply(cx, &inner, &self.pointwise_kernel.value(cx)?, bias.as_ref())?;
        self.activation.apply(cx, out)
    }
}
