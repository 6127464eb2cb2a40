//! One view of the layers that multiply their input by weights: dense, convolution, transposed, depthwise and separable.
//!
//! A layer over time is seen as one over an image of height 1, so that code for two axes covers all of them. Shapes,
//! weights, MACs and the settings of kernels and bias are answered here; code that treats all of these layers alike asks
//! [`Op::product`] instead of matching on the kinds.

use crate::activation::Activation;
use crate::op::{
    Conv1d, Conv2d, Conv2dTranspose, Dense, DepthwiseConv1d, DepthwiseConv2d, Initializer, Op,
    SeparableConv1d, SeparableConv2d,
};
use crate::quantizer::Quantizer;
use crate::weights::{Role, Weight};
use crate::window::{Padding, Pair, SlidingWindow};

/// Connection pattern between input and output channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProductKind {
    /// Every input feature with every output feature, position by position.
    Dense,
    /// A sliding window over all channels of a group.
    Convolution,
    /// The transpose of a convolution: each input position adds a window to the output.
    Transposed,
    /// A sliding window over each channel by itself.
    Depthwise,
    /// [`ProductKind::Depthwise`], then a dense product over channels.
    Separable,
}

/// Name and settings of one kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelSettings {
    /// Name of the weight tensor: `kernel`, `depthwise_kernel` or `pointwise_kernel`.
    pub name: &'static str,
    /// Quantizer of the values; none means float.
    pub quantizer: Option<Quantizer>,
    /// Distribution of the initial values.
    pub initializer: Initializer,
}

/// Settings of a layer that multiplies its input by weights. Read it by [`Op::product`], write it back by
/// [`Op::set_product`], make a layer from it by [`Product::into_op`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Product {
    /// Connection pattern.
    pub kind: ProductKind,
    /// Spatial axes of the input: 0 (dense), 1 (time) or 2 (image).
    pub spatial_axes: usize,
    /// Output channels; none for depthwise layers, which derive them from the input.
    pub filters: Option<usize>,
    /// Output channels per input channel of a depthwise stage; 1 for other layers.
    pub depth_multiplier: usize,
    /// Groups of channels that are convolved independently; 1 for layers other than convolutions.
    pub groups: usize,
    /// Sliding window; 1 by 1 for dense layers, height 1 for layers over time.
    pub window: SlidingWindow,
    /// True if a bias is added to each output channel.
    pub use_bias: bool,
    /// Settings of the only kernel, or of the depthwise one of a separable layer.
    pub kernel: KernelSettings,
    /// Settings of the second kernel of a separable layer.
    pub pointwise: Option<KernelSettings>,
    /// Quantizer of the bias; none means float.
    pub bias_quantizer: Option<Quantizer>,
    /// Distribution of the bias' initial values.
    pub bias_initializer: Initializer,
}

const fn line(padding: Padding, size: usize, stride: usize, dilation: usize) -> SlidingWindow {
    SlidingWindow {
        size: Pair::new(1, size),
        stride: Pair::new(1, stride),
        dilation: Pair::new(1, dilation),
        padding,
    }
}

/// Builds the view of one kind; the fields that the kind lacks have their neutral values.
macro_rules! view {
    ($kind:ident, $axes:literal, $l:ident, $window:expr, $kernel:literal: $quantizer:ident, $initializer:ident $(, $field:ident: $value:expr)*) => {
        Product {
            kind: ProductKind::$kind,
            spatial_axes: $axes,
            window: $window,
            use_bias: $l.use_bias,
            kernel: KernelSettings { name: $kernel, quantizer: $l.$quantizer, initializer: $l.$initializer },
            bias_quantizer: $l.bias_quantizer,
            bias_initializer: $l.bias_initializer,
            $($field: $value,)*
            ..NEUTRAL
        }
    };
}

const NEUTRAL: Product = Product {
    kind: ProductKind::Dense,
    spatial_axes: 0,
    filters: None,
    depth_multiplier: 1,
    groups: 1,
    window: SlidingWindow::POINT,
    use_bias: false,
    kernel: KernelSettings { name: "kernel", quantizer: None, initializer: Initializer::GlorotUniform },
    pointwise: None,
    bias_quantizer: None,
    bias_initializer: Initializer::Zeros,
};

/// Writes the settings that all kinds share back into a layer's fields.
macro_rules! restore {
    ($l:ident, $p:ident, $quantizer:ident, $initializer:ident) => {{
        $l.use_bias = $p.use_bias;
        $l.$quantizer = $p.kernel.quantizer;
        $l.$initializer = $p.kernel.initializer;
        $l.bias_quantizer = $p.bias_quantizer;
        $l.bias_initializer = $p.bias_initializer;
    }};
    (line $l:ident, $p:ident) => {
        ($l.kernel, $l.stride, $l.dilation, $l.padding) =
            ($p.window.size.width, $p.window.stride.width, $p.window.dilation.width, $p.window.padding)
    };
    (image $l:ident, $p:ident) => {
        ($l.kernel, $l.stride, $l.dilation, $l.padding) =
            ($p.window.size, $p.window.stride, $p.window.dilation, $p.window.padding)
    };
}

impl Op {
    /// The product that this layer computes; none for layers of other kinds.
    #[must_use]
    pub const fn product(&self) -> Option<Product> {
        Some(match self {
            Self::Dense(l) => {
                view!(Dense, 0, l, SlidingWindow::POINT, "kernel": kernel_quantizer, kernel_initializer,
                filters: Some(l.units))
            }
            Self::Conv1d(l) => view!(Convolution, 1, l, line(l.padding, l.kernel, l.stride, l.dilation),
                "kernel": kernel_quantizer, kernel_initializer, filters: Some(l.filters), groups: l.groups),
            Self::Conv2d(l) => view!(Convolution, 2, l,
                SlidingWindow { size: l.kernel, stride: l.stride, dilation: l.dilation, padding: l.padding },
                "kernel": kernel_quantizer, kernel_initializer, filters: Some(l.filters), groups: l.groups),
            Self::Conv2dTranspose(l) => view!(Transposed, 2, l,
                SlidingWindow { size: l.kernel, stride: l.stride, dilation: l.dilation, padding: l.padding },
                "kernel": kernel_quantizer, kernel_initializer, filters: Some(l.filters)),
            Self::DepthwiseConv1d(l) => {
                view!(Depthwise, 1, l, line(l.padding, l.kernel, l.stride, l.dilation),
                "depthwise_kernel": depthwise_quantizer, depthwise_initializer, depth_multiplier: l.depth_multiplier)
            }
            Self::DepthwiseConv2d(l) => view!(Depthwise, 2, l,
                SlidingWindow { size: l.kernel, stride: l.stride, dilation: l.dilation, padding: l.padding },
                "depthwise_kernel": depthwise_quantizer, depthwise_initializer, depth_multiplier: l.depth_multiplier),
            Self::SeparableConv1d(l) => {
                view!(Separable, 1, l, line(l.padding, l.kernel, l.stride, l.dilation),
                "depthwise_kernel": depthwise_quantizer, depthwise_initializer, depth_multiplier: l.depth_multiplier,
                filters: Some(l.filters),
                pointwise: Some(pointwise(l.pointwise_quantizer, l.pointwise_initializer)))
            }
            Self::SeparableConv2d(l) => view!(Separable, 2, l,
                SlidingWindow { size: l.kernel, stride: l.stride, dilation: l.dilation, padding: l.padding },
                "depthwise_kernel": depthwise_quantizer, depthwise_initializer, depth_multiplier: l.depth_multiplier,
                filters: Some(l.filters),
                pointwise: Some(pointwise(l.pointwise_quantizer, l.pointwise_initializer))),
            _ => return None,
        })
    }

    /// Writes `product` into this layer's fields. Kind and number of spatial axes do not change: fields that this kind
    /// of layer lacks are ignored, and so are all of them if the layer is no product.
    pub const fn set_product(&mut self, product: &Product) {
        let p = product;
        let kept = if let (None, Some(old)) = (p.filters, self.product()) { old.filters } else { p.filters };
        let filters = match kept {
            Some(filters) => filters,
            None => 0,
        };
        match self {
            Self::Dense(l) => {
                l.units = filters;
                restore!(l, p, kernel_quantizer, kernel_initializer);
            }
            Self::Conv1d(l) => {
                (l.filters, l.groups) = (filters, p.groups);
                restore!(line l, p);
                restore!(l, p, kernel_quantizer, kernel_initializer);
            }
            Self::Conv2d(l) => {
                (l.filters, l.groups) = (filters, p.groups);
                restore!(image l, p);
                restore!(l, p, kernel_quantizer, kernel_initializer);
            }
            Self::Conv2dTranspose(l) => {
                l.filters = filters;
                restore!(image l, p);
                restore!(l, p, kernel_quantizer, kernel_initializer);
            }
            Self::DepthwiseConv1d(l) => {
                l.depth_multiplier = p.depth_multiplier;
                restore!(line l, p);
                restore!(l, p, depthwise_quantizer, depthwise_initializer);
            }
            Self::DepthwiseConv2d(l) => {
                l.depth_multiplier = p.depth_multiplier;
                restore!(image l, p);
                restore!(l, p, depthwise_quantizer, depthwise_initializer);
            }
            Self::SeparableConv1d(l) => {
                (l.filters, l.depth_multiplier) = (filters, p.depth_multiplier);
                if let Some(pointwise) = p.pointwise {
                    (l.pointwise_quantizer, l.pointwise_initializer) =
                        (pointwise.quantizer, pointwise.initializer);
                }
                restore!(line l, p);
                restore!(l, p, depthwise_quantizer, depthwise_initializer);
            }
            Self::SeparableConv2d(l) => {
                (l.filters, l.depth_multiplier) = (filters, p.depth_multiplier);
                if let Some(pointwise) = p.pointwise {
                    (l.pointwise_quantizer, l.pointwise_initializer) =
                        (pointwise.quantizer, pointwise.initializer);
                }
                restore!(image l, p);
                restore!(l, p, depthwise_quantizer, depthwise_initializer);
            }
            _ => {}
        }
    }
}

impl Op {
    /// Calls `visit` with each quantizer of this layer except the one of its activation, absent ones included. Only the
    /// presence and settings of quantizers may change.
    pub fn for_each_quantizer(&mut self, mut visit: impl FnMut(&mut Option<Quantizer>)) {
        if let Some(mut product) = self.product() {
            visit(&mut product.kernel.quantizer);
            if let Some(pointwise) = &mut product.pointwise {
                visit(&mut pointwise.quantizer);
            }
            visit(&mut product.bias_quantizer);
            return self.set_product(&product);
        }
        match self {
            Self::Input(l) => visit(&mut l.quantizer),
            Self::BatchNorm(l) => {
                visit(&mut l.gamma_quantizer);
                visit(&mut l.beta_quantizer);
                visit(&mut l.mean_quantizer);
                visit(&mut l.variance_quantizer);
            }
            Self::MaxPool1d(l) | Self::AveragePool1d(l) => visit(&mut l.average_quantizer),
            Self::MaxPool2d(l) | Self::AveragePool2d(l) => visit(&mut l.average_quantizer),
            Self::GlobalMaxPool1d(l)
            | Self::GlobalMaxPool2d(l)
            | Self::GlobalAveragePool1d(l)
            | Self::GlobalAveragePool2d(l) => visit(&mut l.average_quantizer),
            _ => {}
        }
    }
}

const fn pointwise(quantizer: Option<Quantizer>, initializer: Initializer) -> KernelSettings {
    KernelSettings { name: "pointwise_kernel", quantizer, initializer }
}

impl Product {
    /// Settings of a float layer of `kind` over `spatial_axes` axes, with a bias, no padding, and strides of 1. `filters`
    /// is ignored by depthwise layers.
    #[must_use]
    pub const fn new(kind: ProductKind, spatial_axes: usize, filters: usize, size: Pair) -> Self {
        let is_depthwise = matches!(kind, ProductKind::Depthwise);
        let is_separable = matches!(kind, ProductKind::Separable);
        let name = if is_depthwise || is_separable { "depthwise_kernel" } else { NEUTRAL.kernel.name };
        Self {
            kind,
            spatial_axes,
            filters: if is_depthwise { None } else { Some(filters) },
            window: SlidingWindow { size, ..SlidingWindow::POINT },
            use_bias: true,
            kernel: KernelSettings { name, ..NEUTRAL.kernel },
            pointwise: if is_separable { Some(pointwise(None, Initializer::GlorotUniform)) } else { None },
            ..NEUTRAL
        }
    }

    /// Builds the layer with these settings and this activation; none if no kind of layer has this connection pattern
    /// over so many axes.
    #[must_use]
    pub fn into_op(self, activation: Activation) -> Option<Op> {
        let mut op = match (self.kind, self.spatial_axes) {
            (ProductKind::Dense, 0) => Op::Dense(Dense::new(0)),
            (ProductKind::Convolution, 1) => Op::Conv1d(Conv1d::new(0, 1)),
            (ProductKind::Convolution, 2) => Op::Conv2d(Conv2d::new(0, 1)),
            (ProductKind::Transposed, 2) => Op::Conv2dTranspose(Conv2dTranspose::new(0, 1)),
            (ProductKind::Depthwise, 1) => Op::DepthwiseConv1d(DepthwiseConv1d::new(1)),
            (ProductKind::Depthwise, 2) => Op::DepthwiseConv2d(DepthwiseConv2d::new(1)),
            (ProductKind::Separable, 1) => Op::SeparableConv1d(SeparableConv1d::new(0, 1)),
            (ProductKind::Separable, 2) => Op::SeparableConv2d(SeparableConv2d::new(0, 1)),
            _ => return None,
        };
        op.set_product(&self);
        if let Some(slot) = op.activation_mut() {
            *slot = activation;
        }
        Some(op)
    }

    /// The same settings with `quantizer` on every kernel.
    #[must_use]
    pub fn with_kernel_quantizer(mut self, quantizer: Option<Quantizer>) -> Self {
        self.kernel.quantizer = quantizer;
        if let Some(pointwise) = &mut self.pointwise {
            pointwise.quantizer = quantizer;
        }
        self
    }

    /// The kernel whose outputs are the layer's: the only one, or the pointwise one of a separable layer.
    #[must_use]
    pub fn last_kernel(&self) -> &KernelSettings {
        self.pointwise.as_ref().unwrap_or(&self.kernel)
    }

    /// The kernels in the order of computation: one, or two for separable layers.
    pub fn kernels(&self) -> impl Iterator<Item = &KernelSettings> {
        std::iter::once(&self.kernel).chain(&self.pointwise)
    }

    /// Output channels for an input with `channels` channels.
    #[must_use]
    pub fn output_channels(&self, channels: usize) -> usize {
        self.filters.unwrap_or_else(|| channels.saturating_mul(self.depth_multiplier))
    }

    /// Shape of the kernel (of the depthwise one for separable layers) in Keras' order of axes: the spatial axes, then
    /// `(in / groups, out)`, `(out, in)` for transposed and `(in, multiplier)` for depthwise layers.
    #[must_use]
    pub fn kernel_shape(&self, channels: usize) -> Vec<usize> {
        let mut shape = Vec::with_capacity(self.spatial_axes + 2);
        let size = self.window.size;
        shape.extend([size.height, size.width].into_iter().skip(2 - self.spatial_axes.min(2)));
        let filters = self.output_channels(channels);
        shape.extend(match self.kind {
            ProductKind::Dense | ProductKind::Convolution => [channels / self.groups.max(1), filters],
            ProductKind::Transposed => [filters, channels],
            ProductKind::Depthwise | ProductKind::Separable => [channels, self.depth_multiplier],
        });
        shape
    }

    /// Shape of the second kernel of a separable layer: ones for the spatial axes, then `(in * multiplier, out)`.
    #[must_use]
    pub fn pointwise_shape(&self, channels: usize) -> Option<Vec<usize>> {
        self.pointwise?;
        let mut shape = vec![1; self.spatial_axes];
        shape.extend([channels.saturating_mul(self.depth_multiplier), self.output_channels(channels)]);
        Some(shape)
    }

    /// The weight tensors for an input with `channels` channels: kernels, then the bias. Parameters of learned
    /// quantizers are not among them; [`Op::weights`] adds those.
    #[must_use]
    pub fn weights(&self, channels: usize) -> Vec<Weight> {
        let mut weights = vec![Weight::kernel(&self.kernel, self.kernel_shape(channels))];
        if let (Some(settings), Some(shape)) = (&self.pointwise, self.pointwise_shape(channels)) {
            weights.push(Weight::kernel(settings, shape));
        }
        if self.use_bias {
            let filters = self.output_channels(channels);
            weights.push(Weight::vector(
                "bias",
                Role::Bias,
                vec![filters],
                self.bias_initializer,
                self.bias_quantizer,
            ));
        }
        weights
    }

    /// Positions at which every kernel is applied to one sample: those of the output, or of the input for transposed
    /// layers. `input` and `output` are shapes of one sample.
    #[must_use]
    pub fn positions(&self, input: &[usize], output: &[usize]) -> u64 {
        let shape = if self.kind == ProductKind::Transposed { input } else { output };
        elements(&shape[..shape.len().saturating_sub(1)])
    }

    /// Multiply-accumulates for one sample: `positions * kernel elements`, summed over the kernels.
    #[must_use]
    pub fn macs(&self, input: &[usize], output: &[usize]) -> u64 {
        let channels = input.last().copied().unwrap_or(0);
        let kernels = elements(&self.kernel_shape(channels))
            .saturating_add(self.pointwise_shape(channels).map_or(0, |shape| elements(&shape)));
        self.positions(input, output).saturating_mul(kernels)
    }

    /// Products that one output of `kernel` sums up, `C_in k^2` of a convolution; at least 1.
    #[must_use]
    pub fn summands(&self, kernel: &Weight) -> u64 {
        let shape = &kernel.shape;
        let rank = shape.len();
        let outputs = match self.kind {
            ProductKind::Transposed => shape.get(rank.saturating_sub(2)).map_or(1, |&c| c as u64),
            ProductKind::Depthwise | ProductKind::Separable if kernel.name == self.kernel.name => {
                elements(&shape[rank.saturating_sub(2)..])
            }
            _ => shape.last().map_or(1, |&c| c as u64),
        };
        (elements(shape) / outputs.max(1)).max(1)
    }

    /// True if a batch normalization after this layer can be folded into its kernel and bias. The layer's activation
    /// must be linear and its output must feed the normalization alone; that is for the caller to check.
    #[must_use]
    pub const fn can_absorb_scale(&self) -> bool {
        !matches!(self.kind, ProductKind::Transposed | ProductKind::Separable)
    }
}

/// The product of `sizes`, at most the largest number.
pub(crate) fn elements(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |n, &d| n.saturating_mul(d as u64))
}
