//! Quantizers with one learned parameter tensor, of any kind, behind one interface.

use candle_core::Tensor;
use tinsmith_network::quantizer::LearnedQuantizer;

use crate::Codes;
use crate::error::Result;
use crate::learned_bits::LearnedBits;
use crate::learned_step::LearnedStep;
use crate::pact::Pact;
use crate::rounding::EPSILON;

/// A quantizer with trained parameters: [`LearnedStep`], [`Pact`] or [`LearnedBits`].
///
/// Each has one parameter vector. If an optimizer drives a step size or upper end to 0 or below, it acts as 1e-7 and
/// its gradient still passes.
///
/// ```
/// use tinsmith_quant::LearnedOp;
///
/// let op = LearnedOp::new(&"learned_step(4)".parse()?)?;
/// let (weights, shape) = ([0.31, -0.2, 0.05, 1.9], [4]);
/// let steps = op.initial(&weights, &shape)?;
/// let mut out = [0.0; 4];
/// op.apply_slice(&weights, &shape, &steps, &mut out)?;
/// assert_eq!(op.encode(&weights, &shape, &steps)?.decode(), out);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearnedOp {
    settings: LearnedQuantizer,
    kind: LearnedKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum LearnedKind {
    Step(LearnedStep),
    Upper(Pact),
    Bits(LearnedBits),
}

impl LearnedOp {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`QuantError::Parameter`](crate::QuantError::Parameter) if a setting is out of range.
    pub fn new(settings: &LearnedQuantizer) -> Result<Self> {
        let refuse = |reason| crate::QuantError::Parameter { quantizer: settings.to_string(), reason };
        settings.validate().map_err(refuse)?;
        let kind = match settings {
            LearnedQuantizer::LearnedStep(q) => LearnedKind::Step(LearnedStep::try_from(q)?),
            LearnedQuantizer::Pact(q) => LearnedKind::Upper(Pact::try_from(q)?),
            LearnedQuantizer::LearnedBits(q) => LearnedKind::Bits(LearnedBits::new(q)?),
            other => return Err(refuse(format!("{} has no arithmetic here", other.kind()))),
        };
        Ok(Self { settings: *settings, kind })
    }

    /// Settings that it was built from.
    #[must_use]
    pub const fn settings(&self) -> &LearnedQuantizer {
        &self.settings
    }

    /// The learned bit widths, for that kind.
    #[must_use]
    pub const fn learned_bits(&self) -> Option<&LearnedBits> {
        if let LearnedKind::Bits(bits) = &self.kind { Some(bits) } else { None }
    }

    /// Initial parameters for a tensor of these values. Step sizes follow [`LearnedStep::initial_steps`]; if all
    /// values are 0, as biases are initially, the largest level is 1. The other kinds start from their settings.
    ///
    /// # Errors
    /// [`QuantError::Length`](crate::QuantError::Length) and [`QuantError::Axis`](crate::QuantError::Axis) if values
    /// and shape do not match.
    pub fn initial(&self, xs: &[f32], shape: &[usize]) -> Result<Vec<f32>> {
        match (&self.kind, &self.settings) {
            (LearnedKind::Step(q), LearnedQuantizer::LearnedStep(settings)) => {
                let unit = ((settings.bits - u32::from(settings.signed)) as f32).exp2().recip();
                let steps = q.initial_steps(xs, shape)?;
                Ok(steps.into_iter().map(|step| if step > EPSILON { step } else { unit }).collect())
            }
            (LearnedKind::Bits(q), _) => q.initial(shape),
            (_, LearnedQuantizer::Pact(settings)) => Ok(vec![settings.upper as f32]),
            _ => Ok(Vec::new()),
        }
    }

    /// Quantizes `xs` into `out`.
    ///
    /// # Errors
    /// [`QuantError::Length`](crate::QuantError::Length) and [`QuantError::Axis`](crate::QuantError::Axis) if slices
    /// and shape do not match.
    pub fn apply_slice(&self, xs: &[f32], shape: &[usize], learned: &[f32], out: &mut [f32]) -> Result<()> {
        match &self.kind {
            LearnedKind::Step(q) => q.apply_slice(xs, shape, &positive(learned), out),
            LearnedKind::Upper(q) => q.apply_slice(xs, upper(learned)?, out),
            LearnedKind::Bits(q) => q.apply_slice(xs, shape, learned, out),
        }
    }

    /// Encodes to integer codes. [`Codes::decode`] gives the result of [`apply_slice`](Self::apply_slice).
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice); [`QuantError::NotANumber`](crate::QuantError::NotANumber) for
    /// NaN.
    pub fn encode(&self, xs: &[f32], shape: &[usize], learned: &[f32]) -> Result<Codes> {
        match &self.kind {
            LearnedKind::Step(q) => q.encode(xs, shape, &positive(learned)),
            LearnedKind::Upper(q) => q.encode(xs, shape, upper(learned)?),
            LearnedKind::Bits(q) => q.encode(xs, shape, learned),
        }
    }

    /// Quantizes a tensor. Both `xs` and `learned` receive gradients.
    ///
    /// # Shapes
    /// `xs` any, `learned` of rank 1, as long as [`initial`](Self::initial); f32. Tensors on other devices are
    /// computed on the CPU.
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice), and candle's errors for the tensors.
    pub fn apply(&self, xs: &Tensor, learned: &Tensor) -> Result<Tensor> {
        if !xs.device().is_cpu() {
            let cpu = candle_core::Device::Cpu;
            return Ok(self
                .apply(&xs.to_device(&cpu)?, &learned.to_device(&cpu)?)?
                .to_device(xs.device())?);
        }
        match &self.kind {
            LearnedKind::Step(q) => q.apply(xs, &positive_tensor(learned)?),
            LearnedKind::Upper(q) => q.apply(xs, &positive_tensor(learned)?),
            LearnedKind::Bits(q) => q.apply(xs, learned),
        }
    }

    /// Like [`apply`](Self::apply) for a batch with rows along the first axis: the gradient of a step size is divided
    /// by the square root of the number of values that share it *within a sample*.
    ///
    /// # Source
    /// Esser and others, 2020, arXiv 1902.08153, section 2.2: for activations the number of features counts.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    pub fn apply_to_batch(&self, xs: &Tensor, learned: &Tensor) -> Result<Tensor> {
        let rows = xs.dims().first().copied().unwrap_or(1);
        if !matches!(self.kind, LearnedKind::Step(_)) || !learned.track_op() {
            return self.apply(xs, learned);
        }
        // Same value, gradient times the square root of the rows.
        let scaled = (learned * (rows as f64).sqrt())?;
        self.apply(xs, &(learned.detach() + (&scaled - scaled.detach())?)?)
    }
}

/// Step sizes in effect.
fn positive(learned: &[f32]) -> Vec<f32> {
    learned.iter().map(|&v| limit(v)).collect()
}

/// Raises smaller values to 1e-7; NaN stays.
fn limit(v: f32) -> f32 {
    if v < EPSILON { EPSILON } else { v }
}

fn upper(learned: &[f32]) -> Result<f32> {
    crate::pact::single(learned).map(limit)
}

/// [`positive`] for tensors; the gradient passes unchanged.
fn positive_tensor(learned: &Tensor) -> Result<Tensor> {
    let values = learned.flatten_all()?.to_vec1::<f32>()?;
    if values.iter().all(|&v| limit(v).to_bits() == v.to_bits()) {
        return Ok(learned.clone());
    }
    let limited = Tensor::from_vec(positive(&values), learned.dims(), learned.device())?;
    Ok((limited + (learned - learned.detach())?)?)
}
