//! Pooling over windows and over whole samples.

use candle_core::Tensor;
use tinsmith_core_tensor::ops;
use tinsmith_kernels::Pool2dGeometry;
use tinsmith_network::{Activation, Op, Quantizer};

use super::activation::Activator;
use super::linear::pads;
use super::quantize::QuantizerSlot;
use super::{Blueprint, Context, LayerForward};
use crate::error::Result;

/// Maximum or mean of windows, followed by an activation.
#[derive(Debug)]
pub(super) struct Pool {
    window: Window,
    takes_mean: bool,
    /// Elements of a full window.
    area: usize,
    quantizer: Option<QuantizerSlot>,
    activation: Activator,
}

impl Pool {
    /// None if layer number `index` is of another kind.
    pub(super) fn new(blueprint: &Blueprint<'_>, index: usize) -> Result<Option<Self>> {
        let op = &blueprint.layers[index].op;
        let shapes = blueprint.graph.input_shapes(index);
        let input = shapes.first().copied().unwrap_or_default();
        let Some(PoolGeometry { window, area, takes_mean, quantizer, activation }) = pool_geometry(op, input)
        else {
            return Ok(None);
        };
        let quantizer = quantizer.map(QuantizerSlot::new).transpose()?;
        let activation = Activator::new(blueprint, index, activation)?;
        Ok(Some(Self { window, takes_mean, area, quantizer, activation }))
    }
}

/// Geometry and settings of a pooling layer.
#[derive(Debug)]
pub(crate) struct PoolGeometry<'a> {
    /// Over an image, or over time as an image one pixel high.
    pub(crate) window: Window,
    /// Elements of a full window.
    pub(crate) area: usize,
    pub(crate) takes_mean: bool,
    pub(crate) quantizer: Option<&'a Quantizer>,
    pub(crate) activation: &'a Activation,
}

/// Windows of a pooling layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Window {
    /// Over an image, or over time as an image one pixel high.
    Sliding { geometry: Pool2dGeometry, over_time: bool },
    /// One window over the whole sample.
    Global { keep_dims: bool },
}

/// Returns the pooling of `op` for samples of shape `input`. None if `op` is of another kind.
pub(crate) fn pool_geometry<'a>(op: &'a Op, input: &[usize]) -> Option<PoolGeometry<'a>> {
    let pooling = op.pooling()?;
    let over_time = pooling.spatial_axes == 1;
    let window = match pooling.window {
        None => Window::Global { keep_dims: pooling.keep_dims },
        Some(window) => {
            let extent = if over_time { [1, input[0]] } else { [input[0], input[1]] };
            let geometry = Pool2dGeometry {
                window: (window.size.height, window.size.width),
                stride: (window.stride.height, window.stride.width),
                padding: pads(&window, extent),
            };
            Window::Sliding { geometry, over_time }
        }
    };
    Some(PoolGeometry {
        window,
        area: pooling.area(input) as usize,
        takes_mean: pooling.takes_mean,
        quantizer: pooling.average_quantizer,
        activation: pooling.activation,
    })
}

impl LayerForward for Pool {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        let mut out = match self.window {
            Window::Sliding { geometry, over_time } => {
                let image = if over_time { x.unsqueeze(1)? } else { x.clone() };
                let pooled = if self.takes_mean {
                    ops::average_pool2d(&image, &geometry, cx.threads)?
                } else {
                    ops::max_pool2d(&image, &geometry, cx.threads)?
                };
                if over_time { pooled.squeeze(1)? } else { pooled }
            }
            Window::Global { keep_dims } => {
                let pooled = if self.takes_mean {
                    ops::global_average_pool(x, cx.threads)?
                } else {
                    ops::global_max_pool(x, cx.threads)?
                };
                match (keep_dims, x.rank()) {
                    (false, _) => pooled,
                    (true, 3) => pooled.unsqueeze(1)?,
                    (true, _) => pooled.unsqueeze(1)?.unsqueeze(1)?,
                }
            }
        };
        if let Some(quantizer) = &self.quantizer {
            // The mean times the area of a full window is the sum (of an unpadded window), which hardware multiplies
            // by the quantized reciprocal.
            let reciprocal = Tensor::new(&[1.0 / self.area as f32], x.device())?;
            let reciprocal = quantizer.apply(cx, "average", &reciprocal)?;
            out = (out * self.area as f64)?.broadcast_mul(&reciprocal)?;
        }
        self.activation.apply(cx, out)
    }
}
