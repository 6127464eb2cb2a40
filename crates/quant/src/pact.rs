//! PACT: a rectifier with a trained upper end.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};

use crate::Codes;
use crate::error::{QuantError, Result};
use crate::format::Format;
use crate::operator::check_length;
use crate::rounding::{limit, round_half_even};
use crate::scale::Scale;
use crate::tensor::{contiguous, with_slices};

/// `y = round(clip(x, 0, a) (2^bits - 1) / a) a / (2^bits - 1)`, with a trained upper end a.
///
/// Gradients: dy/dx is 1 if `0 < x < a`, else 0; dy/da is 1 if `x >= a`, else 0. The paper adds a penalty on a^2 to
/// the loss; that is left to the caller.
///
/// # Source
/// Choi and others, PACT: Parameterized Clipping Activation for Quantized Neural Networks, 2018, arXiv 1805.06085,
/// equations 1 to 3. Deviation: at exactly 0 no gradient passes, as in every rectifier here.
///
/// ```
/// use tinsmith_quant::Pact;
/// let pact = Pact::new(2)?;
/// let mut out = [0.0; 4];
/// pact.apply_slice(&[-1.0, 1.2, 2.2, 9.0], 3.0, &mut out)?;
/// assert_eq!(out, [0.0, 1.0, 2.0, 3.0]);
/// # Ok::<(), tinsmith_quant::QuantError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pact {
    bits: u32,
    /// 2^bits - 1.
    high: f32,
}

impl Pact {
    /// A rectifier of `bits` bits.
    ///
    /// # Errors
    /// [`QuantError::Parameter`] if `bits` is not in 1..=24, the exact integer range of f32.
    pub fn new(bits: u32) -> Result<Self> {
        if !(1..=24).contains(&bits) {
            let reason = format!("bits is {bits}, want 1..=24");
            return Err(QuantError::Parameter { quantizer: "pact".to_owned(), reason });
        }
        Ok(Self { bits, high: ((1_u32 << bits) - 1) as f32 })
    }

    fn code(self, x: f32, upper: f32) -> f32 {
        round_half_even(limit(x, 0.0, upper) * (self.high / upper))
    }

    /// Quantizes `xs` into `out` with the upper end `upper`.
    ///
    /// # Errors
    /// [`QuantError::Length`] if the slices differ in length; [`QuantError::Parameter`] if `upper` is not above 0.
    pub fn apply_slice(&self, xs: &[f32], upper: f32, out: &mut [f32]) -> Result<()> {
        check_length("pact", &[xs.len()], out.len())?;
        let step = self.step(upper)?;
        out.iter_mut().zip(xs).for_each(|(y, &x)| *y = step * self.code(x, upper));
        Ok(())
    }

    /// Turns output gradients into input gradients in place, and returns the gradient of the upper end.
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice).
    pub fn pull_back_slice(&self, xs: &[f32], upper: f32, grads: &mut [f32]) -> Result<f32> {
        check_length("gradient of pact", &[xs.len()], grads.len())?;
        self.step(upper)?;
        let mut sum = 0.0_f64;
        for (g, &x) in grads.iter_mut().zip(xs) {
            if x >= upper {
                sum += f64::from(*g);
            }
            if !(x > 0.0 && x < upper) {
                *g = 0.0;
            }
        }
        Ok(sum as f32)
    }

    /// Quantizes a tensor. Both `xs` and `upper` receive gradients.
    ///
    /// # Shapes
    /// `xs` any, `upper` one element; f32, on the CPU.
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice), and candle's errors for the tensors.
    pub fn apply(&self, xs: &Tensor, upper: &Tensor) -> Result<Tensor> {
        Ok(xs.contiguous()?.apply_op2(&upper.contiguous()?, *self)?)
    }

    /// Encodes to integer codes. [`Codes::decode`] gives the result of [`apply_slice`](Self::apply_slice).
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice); [`QuantError::NotANumber`] for NaN.
    pub fn encode(&self, xs: &[f32], shape: &[usize], upper: f32) -> Result<Codes> {
        let scale = Scale::Uniform(self.step(upper)?);
        if let Some(index) = xs.iter().position(|x| x.is_nan()) {
            return Err(QuantError::NotANumber { index, value: xs[index] });
        }
        let codes = xs.iter().map(|&x| self.code(x, upper) as i32).collect();
        Codes::new(codes, shape.to_vec(), scale, Format::whole_numbers(0.0, self.high, self.bits))
    }

    fn step(self, upper: f32) -> Result<f32> {
        if upper > 0.0 && upper.is_finite() {
            return Ok(upper / self.high);
        }
        let reason = format!("the upper end is {upper:?}, want a number above 0");
        Err(QuantError::Parameter { quantizer: "pact".to_owned(), reason })
    }
}

impl TryFrom<&tinsmith_network::quantizer::Pact> for Pact {
    type Error = QuantError;

    fn try_from(settings: &tinsmith_network::quantizer::Pact) -> Result<Self> {
        Self::new(settings.bits)
    }
}

pub(crate) fn single(values: &[f32]) -> Result<f32> {
    match values {
        &[value] => Ok(value),
        _ => Err(QuantError::Length { op: "pact's upper end", shape: vec![1], want: 1, got: values.len() }),
    }
}

impl CustomOp2 for Pact {
    fn name(&self) -> &'static str {
        "pact"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        upper: &CpuStorage,
        upper_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let xs = contiguous(xs.as_slice::<f32>()?, layout)?;
        let upper = contiguous(upper.as_slice::<f32>()?, upper_layout)?;
        let mut out = vec![0.0; xs.len()];
        single(upper)
            .and_then(|upper| self.apply_slice(xs, upper, &mut out))
            .map_err(candle_core::Error::wrap)?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        upper: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let mut grads = grad.flatten_all()?.to_vec1::<f32>()?;
        let mut upper_grad = 0.0;
        with_slices(xs, upper, |values, upper| {
            upper_grad = self.pull_back_slice(values, single(upper)?, &mut grads)?;
            Ok(())
        })?;
        let grads = Tensor::from_vec(grads, xs.dims(), xs.device())?;
        Ok((Some(grads), Some(Tensor::from_vec(vec![upper_grad], upper.dims(), upper.device())?)))
    }
}
