//! int8 quantization as in TensorFlow Lite: `value = scale * (code - zero_point)`.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use crate::error::{QuantError, Result};
use crate::operator::check_length;
use crate::rounding::limit;
use crate::scale::{Channels, Scale};
use crate::tensor::contiguous;

/// An 8-bit affine quantizer with a fixed scale and zero point.
///
/// Codes are `clip(round(x / scale) + zero_point, low, high)`, rounding half away from zero. The gradient is 1 within
/// the codes' range, both ends included, else 0 (as in `fake_quant_with_min_max_vars`).
///
/// # Source
/// The TensorFlow Lite 8-bit quantization specification: weights symmetric with codes -127..=127 and zero point 0,
/// per tensor or per channel; activations asymmetric with codes -128..=127, their range widened to hold 0 and their
/// zero point a whole number.
///
/// ```
/// use tinsmith_quant::Affine;
/// let activations = Affine::activations(-1.0, 3.0)?;
/// assert_eq!(activations.zero_point(), -64);
/// assert_eq!(activations.encode(&[0.0, -9.0, 3.0], &[3])?, [-64, -128, 127]);
/// # Ok::<(), tinsmith_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    scale: Scale,
    zero_point: i32,
    low: i32,
}

impl Affine {
    const HIGH: i32 = 127;

    /// Builds a quantizer for weights `xs`. The largest magnitude, of all or of each index of `axis`, becomes code
    /// 127. The scale is 1 if all are 0.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if values and shape do not match; [`QuantError::NotANumber`]
    /// if a value is not finite.
    pub fn weights(xs: &[f32], shape: &[usize], axis: Option<usize>) -> Result<Self> {
        check_length("affine weights", shape, xs.len())?;
        if let Some(index) = xs.iter().position(|x| !x.is_finite()) {
            return Err(QuantError::NotANumber { index, value: xs[index] });
        }
        let channels = match axis {
            None => Channels { count: 1, inner: xs.len() },
            Some(axis) => Channels::along_axis("affine weights", shape, axis)?,
        };
        let scale_of = |largest: f32| {
            // A scale that underflows to 0 would make values infinite.
            let scale = largest / Self::HIGH as f32;
            if scale > 0.0 { scale } else { 1.0 }
        };
        let scales: Vec<f32> = channels.largest(xs).into_iter().map(scale_of).collect();
        let scale = match (axis, scales.as_slice()) {
            (Some(axis), _) => Scale::PerChannel { axis, values: scales },
            (None, values) => Scale::Uniform(values.first().copied().unwrap_or(1.0)),
        };
        Ok(Self { scale, zero_point: 0, low: -Self::HIGH })
    }

    /// Builds a quantizer for activations observed between `min` and `max`.
    ///
    /// # Errors
    /// [`QuantError::Parameter`] if an end is not finite or `min` exceeds `max`.
    pub fn activations(min: f32, max: f32) -> Result<Self> {
        if !(min.is_finite() && max.is_finite() && min <= max) {
            let reason =
                format!("the range is {min:?} to {max:?}, want two finite numbers, the smaller first");
            return Err(QuantError::Parameter { quantizer: "affine activations".to_owned(), reason });
        }
        let (min, max) = (f64::from(min.min(0.0)), f64::from(max.max(0.0)));
        let scale = ((max - min) / 255.0) as f32;
        if scale <= 0.0 {
            return Ok(Self { scale: Scale::Uniform(1.0), zero_point: 0, low: -128 });
        }
        let zero_point = (-128.0 - min / f64::from(scale)).round().clamp(-128.0, 127.0) as i32;
        Ok(Self { scale: Scale::Uniform(scale), zero_point, low: -128 })
    }

    /// The scale.
    #[must_use]
    pub const fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Code of the value 0.
    #[must_use]
    pub const fn zero_point(&self) -> i32 {
        self.zero_point
    }

    /// Encodes the elements of a tensor of shape `shape`.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if values, shape and scale do not match;
    /// [`QuantError::NotANumber`] for NaN.
    pub fn encode(&self, xs: &[f32], shape: &[usize]) -> Result<Vec<i8>> {
        let channels = self.check(xs.len(), shape)?;
        if let Some(index) = xs.iter().position(|x| x.is_nan()) {
            return Err(QuantError::NotANumber { index, value: xs[index] });
        }
        let mut codes = Vec::with_capacity(xs.len());
        // Clipped to -128..=127 above, so the cast is exact.
        channels.each(xs, |channel, x| codes.push(self.code(x, channel) as i8));
        Ok(codes)
    }

    /// Decodes codes to values.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if codes, shape and scale do not match.
    pub fn decode(&self, codes: &[i8], shape: &[usize]) -> Result<Vec<f32>> {
        let channels = self.check(codes.len(), shape)?;
        let codes: Vec<f32> = codes.iter().map(|&code| f32::from(code)).collect();
        let mut out = vec![0.0; codes.len()];
        channels.zip(&codes, &mut out, |channel, code, y| *y = self.value(code, channel));
        Ok(out)
    }

    /// Quantizes `xs` into `out`, and writes the derivatives into `grad`.
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode).
    pub fn apply_slice(
        &self,
        xs: &[f32],
        shape: &[usize],
        out: &mut [f32],
        grad: Option<&mut [f32]>,
    ) -> Result<()> {
        check_length("affine into", shape, out.len())?;
        let channels = self.check(xs.len(), shape)?;
        channels.zip(xs, out, |channel, x, y| *y = self.value(self.code(x, channel), channel));
        if let Some(grad) = grad {
            check_length("gradient of affine", shape, grad.len())?;
            channels.zip(xs, grad, |channel, x, g| *g = if self.is_within(x, channel) { 1.0 } else { 0.0 });
        }
        Ok(())
    }

    /// A tensor of the same shape, quantized; its gradient is the straight-through one.
    ///
    /// # Shapes
    /// Any; f32, on the CPU.
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode), and candle's errors for the tensor.
    pub fn apply(&self, xs: &Tensor) -> Result<Tensor> {
        Ok(xs.contiguous()?.apply_op1(self.clone())?)
    }

    fn code(&self, x: f32, channel: usize) -> f32 {
        // `f32::round` rounds half away from zero.
        let code = (x / self.scale.values()[channel]).round() + self.zero_point as f32;
        limit(code, self.low as f32, Self::HIGH as f32)
    }

    fn value(&self, code: f32, channel: usize) -> f32 {
        self.scale.values()[channel] * (code - self.zero_point as f32) + 0.0
    }

    fn is_within(&self, x: f32, channel: usize) -> bool {
        (self.value(self.low as f32, channel)..=self.value(Self::HIGH as f32, channel)).contains(&x)
    }

    fn check(&self, got: usize, shape: &[usize]) -> Result<Channels> {
        check_length("affine", shape, got)?;
        let Scale::PerChannel { axis, values } = &self.scale else {
            return Ok(self.scale.channels(shape));
        };
        let channels = Channels::along_axis("affine", shape, *axis)?;
        check_length("scales of affine", &[channels.count], values.len())?;
        Ok(channels)
    }
}

impl CustomOp1 for Affine {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn cpu_fwd(&self, xs: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let xs = contiguous(xs.as_slice::<f32>()?, layout)?;
        let mut out = vec![0.0; xs.len()];
        self.apply_slice(xs, layout.dims(), &mut out, None).map_err(candle_core::Error::wrap)?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, xs: &Tensor, _: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let values = xs.flatten_all()?.to_vec1::<f32>()?;
        let mut grads = grad.flatten_all()?.to_vec1::<f32>()?;
        let channels = self.check(values.len(), xs.dims()).map_err(candle_core::Error::wrap)?;
        channels.zip(&values, &mut grads, |channel, x, g| {
            if !self.is_within(x, channel) {
                *g = 0.0;
            }
        });
        Tensor::from_vec(grads, xs.dims(), xs.device()).map(Some)
    }
}
