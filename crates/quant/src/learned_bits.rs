//! Learned bit widths (HGQ): the number of fractional bits is a trained parameter.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use tinsmith_network::quantizer::{self as spec, Sharing};
use tinsmith_network::{Storage, WeightFacts};

use crate::Codes;
use crate::error::{QuantError, Result};
use crate::format::Format;
use crate::operator::check_length;
use crate::rounding::power_of_two;
use crate::scale::{Channels, Scale};
use crate::tensor::{contiguous, with_slices};

/// Fractional bits of an f32 mantissa.
const MOST: f32 = 23.0;
/// From this magnitude on every f32 is an integer.
const WHOLE: f32 = 8_388_608.0;

/// Fixed point with a trained number of fractional bits f: per tensor, per index of an axis, or per value. The
/// integer bits follow the values, so nothing is clipped. A value that needs no bits is 0 and costs nothing.
///
/// `y = floor(x 2^f + 1/2) / 2^f`, with f rounded to an integer from -23 to 23 (half to even). Gradients: dy/dx is 1;
/// dy/df is `ln 2 (x - y)`, the derivative of the expected rounding error, which is proportional to 2^-f. The
/// rounding of f passes its gradient.
///
/// # Source
/// Sun and others, Gradient-based Automatic Mixed Precision Quantization for Neural Networks On-Chip, 2024, arXiv
/// 2405.00645, section III. Deviation: f is clipped on use, not in storage.
///
/// ```
/// use tinsmith_quant::LearnedBits;
/// use tinsmith_network::quantizer::LearnedQuantizer;
///
/// let LearnedQuantizer::LearnedBits(settings) = "learned_bits(2.0,per='tensor')".parse()? else { unreachable!() };
/// let bits = LearnedBits::new(&settings)?;
/// let (weights, shape) = ([0.3, -0.2, 1.9, 0.1], [4]);
/// let fractional = bits.initial(&shape)?;
/// let mut out = [0.0; 4];
/// bits.apply_slice(&weights, &shape, &fractional, &mut out)?;
/// assert_eq!(out, [0.25, -0.25, 2.0, 0.0]);
/// // Two bits before the point and two behind it hold 2.0; the sign is one more.
/// assert_eq!(bits.widths(&weights, &shape, &fractional)?, [4.0]);
/// assert_eq!(bits.total_bits(&weights, &shape, &fractional)?, 4 * 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedBits {
    settings: spec::LearnedBits,
}

impl LearnedBits {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`QuantError::Parameter`] if `fractional` is not in -23..=23.
    pub fn new(settings: &spec::LearnedBits) -> Result<Self> {
        if !(-f64::from(MOST)..=f64::from(MOST)).contains(&settings.fractional) {
            let reason = format!("fractional is {:?}, want -23 to 23", settings.fractional);
            return Err(QuantError::Parameter { quantizer: settings.to_string(), reason });
        }
        Ok(Self { settings: *settings })
    }

    /// Settings that it was built from.
    #[must_use]
    pub const fn settings(&self) -> &spec::LearnedBits {
        &self.settings
    }

    /// Initial numbers of fractional bits for a tensor of this shape, one per group of values that share one.
    ///
    /// # Errors
    /// [`QuantError::Axis`] if the axis is outside of the shape.
    pub fn initial(&self, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(vec![self.settings.fractional as f32; self.groups(shape)?.count])
    }

    /// Quantizes `xs` into `out`.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if slices and shape do not match.
    pub fn apply_slice(
        &self,
        xs: &[f32],
        shape: &[usize],
        fractional: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        check_length("learned bits into", shape, out.len())?;
        let groups = self.check(xs, shape, fractional)?;
        let units: Vec<f32> = fractional.iter().map(|&f| power_of_two(-whole(f))).collect();
        groups.zip(xs, out, |group, x, y| *y = round(x, units[group]));
        Ok(())
    }

    /// Gradients of the numbers of fractional bits for the output gradients `grads`, which are also the input's.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if slices and shape do not match.
    pub fn pull_back_slice(
        &self,
        xs: &[f32],
        shape: &[usize],
        fractional: &[f32],
        grads: &[f32],
    ) -> Result<Vec<f32>> {
        check_length("gradient of learned bits", shape, grads.len())?;
        let mut errors = vec![0.0; xs.len()];
        self.apply_slice(xs, shape, fractional, &mut errors)?;
        for ((error, &x), &g) in errors.iter_mut().zip(xs).zip(grads) {
            *error = g * (x - *error);
        }
        let mut sums = vec![0.0_f64; fractional.len()];
        self.groups(shape)?.each(&errors, |group, product| sums[group] += f64::from(product));
        Ok(sums.into_iter().map(|sum| (std::f64::consts::LN_2 * sum) as f32).collect())
    }

    /// Quantizes a tensor. Both `xs` and `fractional` receive gradients.
    ///
    /// # Shapes
    /// `xs` any, `fractional` of rank 1, as long as [`initial`](Self::initial); f32, on the CPU.
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice), and candle's errors for the tensors.
    pub fn apply(&self, xs: &Tensor, fractional: &Tensor) -> Result<Tensor> {
        Ok(xs.contiguous()?.apply_op2(&fractional.contiguous()?, *self)?)
    }

    /// Bit width of each group without a sign: integer bits of its largest magnitude plus fractional bits; 0 for a
    /// group of zeros.
    ///
    /// # Errors
    /// [`QuantError::Length`] and [`QuantError::Axis`] if slices and shape do not match; [`QuantError::NotANumber`]
    /// for non-finite values.
    pub fn widths(&self, xs: &[f32], shape: &[usize], fractional: &[f32]) -> Result<Vec<f32>> {
        let mut values = vec![0.0; xs.len()];
        self.apply_slice(xs, shape, fractional, &mut values)?;
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(QuantError::NotANumber { index, value: xs[index] });
        }
        let largest = self.groups(shape)?.largest(&values);
        // Uses the stored exponent: a logarithm in f32 gives 3 also slightly below 8.
        let before = |v: f32| ((v.to_bits() >> 23) as i32 - 126) as f32;
        let width = |(&v, &f): (&f32, &f32)| if v == 0.0 { 0.0 } else { (before(v) + whole(f)).max(0.0) };
        Ok(largest.iter().zip(fractional).map(width).collect())
    }

    /// Storage bits of the tensor with each value in its group's bit width. Signs count if the tensor has negative
    /// values; groups of width 0 do not count.
    ///
    /// # Errors
    /// Those of [`widths`](Self::widths).
    pub fn total_bits(&self, xs: &[f32], shape: &[usize], fractional: &[f32]) -> Result<u64> {
        let sign = u64::from(xs.iter().any(|&x| x < 0.0));
        let widths = self.widths(xs, shape, fractional)?;
        let share = (xs.len() / widths.len().max(1)) as u64;
        Ok(widths.iter().filter(|&&width| width > 0.0).map(|&width| (width as u64 + sign) * share).sum())
    }

    /// Facts of the tensor for a specification: its non-zeros and its total bits, which vary between groups.
    ///
    /// # Errors
    /// Those of [`widths`](Self::widths).
    pub fn facts(
        &self,
        weight: &str,
        xs: &[f32],
        shape: &[usize],
        fractional: &[f32],
    ) -> Result<WeightFacts> {
        let total_bits = Some(self.total_bits(xs, shape, fractional)?);
        let mut values = vec![0.0; xs.len()];
        self.apply_slice(xs, shape, fractional, &mut values)?;
        let non_zeros = Some(values.iter().filter(|&&v| v != 0.0).count() as u64);
        Ok(WeightFacts { weight: weight.to_owned(), non_zeros, storage: Storage::Dense, total_bits })
    }

    /// Encodes to integer codes in the largest bit width. [`Codes::decode`] gives the result of
    /// [`apply_slice`](Self::apply_slice).
    ///
    /// # Errors
    /// Those of [`widths`](Self::widths); [`QuantError::NoCodes`] if a code takes more than 24 bits, the exact
    /// integer range of f32.
    pub fn encode(&self, xs: &[f32], shape: &[usize], fractional: &[f32]) -> Result<Codes> {
        let widest = self.widths(xs, shape, fractional)?.into_iter().fold(0.0, f32::max);
        if widest > 24.0 {
            let quantizer = self.settings.to_string();
            return Err(QuantError::NoCodes { quantizer, reason: "a code takes more than 24 bits" });
        }
        let mut codes = vec![0.0; xs.len()];
        self.apply_slice(xs, shape, fractional, &mut codes)?;
        let units: Vec<f32> = fractional.iter().map(|&f| power_of_two(-whole(f))).collect();
        let values = codes.clone();
        self.groups(shape)?.zip(&values, &mut codes, |group, y, code| *code = y / units[group]);
        let is_signed = codes.iter().any(|&code| code < 0.0);
        let high = power_of_two(widest) - 1.0;
        let low = if is_signed { -high } else { 0.0 };
        let format = Format::whole_numbers(low, high, widest as u32 + u32::from(is_signed));
        let scale = match (self.settings.per, units.as_slice()) {
            (Sharing::Tensor, &[unit]) => Scale::Uniform(unit),
            (Sharing::Axis(axis), _) => {
                Scale::PerChannel { axis: Sharing::place(axis, shape.len()).unwrap_or(0), values: units }
            }
            _ => Scale::PerElement(units),
        };
        Codes::new(codes.iter().map(|&code| code as i32).collect(), shape.to_vec(), scale, format)
    }

    pub(crate) fn groups(&self, shape: &[usize]) -> Result<Channels> {
        match self.settings.per {
            Sharing::Tensor => Ok(Channels { count: 1, inner: shape.iter().product() }),
            Sharing::Axis(axis) => Channels::along_signed("learned bits", shape, axis),
            Sharing::Weight => Ok(Channels { count: shape.iter().product(), inner: 1 }),
        }
    }

    fn check(&self, xs: &[f32], shape: &[usize], fractional: &[f32]) -> Result<Channels> {
        check_length("learned bits", shape, xs.len())?;
        let groups = self.groups(shape)?;
        check_length("fractional bits", &[groups.count], fractional.len())?;
        Ok(groups)
    }
}

/// The number of bits in effect. NaN, which training should not produce, counts as none.
fn whole(fractional: f32) -> f32 {
    let limited = if fractional.is_nan() { 0.0 } else { fractional.clamp(-MOST, MOST) };
    limited.round_ties_even()
}

/// Rounds to a multiple of `unit`, a power of two; half up.
fn round(x: f32, unit: f32) -> f32 {
    let scaled = x / unit;
    // Adding +0.0 makes -0.0 positive, as everywhere in this crate.
    if scaled.abs() < WHOLE { (scaled + 0.5).floor() * unit + 0.0 } else { x }
}

impl CustomOp2 for LearnedBits {
    fn name(&self) -> &'static str {
        "learned_bits"
    }

    fn cpu_fwd(
        &self,
        xs: &CpuStorage,
        layout: &Layout,
        fractional: &CpuStorage,
        fractional_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let xs = contiguous(xs.as_slice::<f32>()?, layout)?;
        let fractional = contiguous(fractional.as_slice::<f32>()?, fractional_layout)?;
        let mut out = vec![0.0; xs.len()];
        self.apply_slice(xs, layout.dims(), fractional, &mut out).map_err(candle_core::Error::wrap)?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(
        &self,
        xs: &Tensor,
        fractional: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grads = grad.flatten_all()?.to_vec1::<f32>()?;
        let mut sums = Vec::new();
        with_slices(xs, fractional, |values, fractional| {
            sums = self.pull_back_slice(values, xs.dims(), fractional, &grads)?;
            Ok(())
        })?;
        let sums = Tensor::from_vec(sums, fractional.dims(), fractional.device())?;
        Ok((Some(grad.clone()), Some(sums)))
    }
}
