//! Quantizers that learn, whichever kind: one parameter tensor, applied and trained the same way.

use candle_core::Tensor;
use tinsmith_network::quantizer::LearnedQuantizer;

use crate::Codes;
use crate::error::Result;
use crate::learned_bits::LearnedBits;
use crate::learned_step::LearnedStep;
use crate::pact::Pact;
use crate::rounding::EPSILON;

/// A described quantizer whose parameters are trained: [`LearnedStep`], [`Pact`] or [`LearnedBits`].
///
/// Each has one vector of parameters. An optimizer may carry steps and upper ends to 0 or below; they act as 1e-7
/// then, and their gradients pass.
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
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Step(LearnedStep),
    Upper(Pact),
    Bits(LearnedBits),
}

impl LearnedOp {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`QuantError::Parameter`](crate::QuantError::Parameter) where one is out of its range.
    pub fn new(settings: &LearnedQuantizer) -> Result<Self> {
        let refuse = |reason| crate::QuantError::Parameter { quantizer: settings.to_string(), reason };
        settings.validate().map_err(refuse)?;
        let kind = match settings {
            LearnedQuantizer::LearnedStep(q) => Kind::Step(LearnedStep::try_from(q)?),
            LearnedQuantizer::Pact(q) => Kind::Upper(Pact::try_from(q)?),
            LearnedQuantizer::LearnedBits(q) => Kind::Bits(LearnedBits::new(q)?),
            other => return Err(refuse(format!("{} has no arithmetic here", other.kind()))),
        };
        Ok(Self { settings: *settings, kind })
    }

    /// What it was made from.
    #[must_use]
    pub const fn settings(&self) -> &LearnedQuantizer {
        &self.settings
    }

    /// The bits, where they are learned.
    #[must_use]
    pub const fn learned_bits(&self) -> Option<&LearnedBits> {
        if let Kind::Bits(bits) = &self.kind { Some(bits) } else { None }
    }

    /// The parameters to begin with for a tensor of these values: steps as [`LearnedStep::initial_steps`] (where all
    /// values are 0, as biases begin, those whose largest level is 1), the others as the settings say.
    ///
    /// # Errors
    /// [`QuantError::Length`](crate::QuantError::Length) and [`QuantError::Axis`](crate::QuantError::Axis) where
    /// values and shape do not fit.
    pub fn initial(&self, xs: &[f32], shape: &[usize]) -> Result<Vec<f32>> {
        match (&self.kind, &self.settings) {
            (Kind::Step(q), LearnedQuantizer::LearnedStep(settings)) => {
                let unit = ((settings.bits - u32::from(settings.signed)) as f32).exp2().recip();
                let steps = q.initial_steps(xs, shape)?;
                Ok(steps.into_iter().map(|step| if step > EPSILON { step } else { unit }).collect())
            }
            (Kind::Bits(q), _) => q.initial(shape),
            (_, LearnedQuantizer::Pact(settings)) => Ok(vec![settings.upper as f32]),
            _ => Ok(Vec::new()),
        }
    }

    /// Quantizes `xs` into `out`.
    ///
    /// # Errors
    /// [`QuantError::Length`](crate::QuantError::Length) and [`QuantError::Axis`](crate::QuantError::Axis) where
    /// slices and shape do not fit.
    pub fn apply_slice(&self, xs: &[f32], shape: &[usize], learned: &[f32], out: &mut [f32]) -> Result<()> {
        match &self.kind {
            Kind::Step(q) => q.apply_slice(xs, shape, &positive(learned), out),
            Kind::Upper(q) => q.apply_slice(xs, upper(learned)?, out),
            Kind::Bits(q) => q.apply_slice(xs, shape, learned, out),
        }
    }

    /// The integer codes; [`Codes::decode`] gives what [`apply_slice`](Self::apply_slice) does.
    ///
    /// # Errors
    /// As [`apply_slice`](Self::apply_slice); [`QuantError::NotANumber`](crate::QuantError::NotANumber) for NaN.
    pub fn encode(&self, xs: &[f32], shape: &[usize], learned: &[f32]) -> Result<Codes> {
        match &self.kind {
            Kind::Step(q) => q.encode(xs, shape, &positive(learned)),
            Kind::Upper(q) => q.encode(xs, shape, upper(learned)?),
            Kind::Bits(q) => q.encode(xs, shape, learned),
        }
    }

    /// A tensor of the same shape, quantized; both `xs` and `learned` get gradients.
    ///
    /// # Shapes
    /// `xs` any, `learned` of rank 1, as long as [`initial`](Self::initial); f32. On devices other than the CPU the
    /// arithmetic is done on the CPU.
    ///
    /// # Errors
    /// As [`apply_slice`](Self::apply_slice), and what candle says of the tensors.
    pub fn apply(&self, xs: &Tensor, learned: &Tensor) -> Result<Tensor> {
        if !xs.device().is_cpu() {
            let cpu = candle_core::Device::Cpu;
            return Ok(self
                .apply(&xs.to_device(&cpu)?, &learned.to_device(&cpu)?)?
                .to_device(xs.device())?);
        }
        match &self.kind {
            Kind::Step(q) => q.apply(xs, &positive_tensor(learned)?),
            Kind::Upper(q) => q.apply(xs, &positive_tensor(learned)?),
            Kind::Bits(q) => q.apply(xs, learned),
        }
    }

    /// As [`apply`](Self::apply) for the values of a batch, `rows` samples along the first axis: the gradient of a step
    /// is divided by the root of the values that share it *in a sample*.
    ///
    /// # Source
    /// Esser and others, 2020, arXiv 1902.08153, section 2.2: for activations the number of features counts.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_to_batch(&self, xs: &Tensor, learned: &Tensor) -> Result<Tensor> {
        let rows = xs.dims().first().copied().unwrap_or(1);
        if !matches!(self.kind, Kind::Step(_)) || !learned.track_op() {
            return self.apply(xs, learned);
        }
        // The same value; its gradient times the root of the rows.
        let scaled = (learned * (rows as f64).sqrt())?;
        self.apply(xs, &(learned.detach() + (&scaled - scaled.detach())?)?)
    }
}

/// Steps as they act.
fn positive(learned: &[f32]) -> Vec<f32> {
    learned.iter().map(|&v| limit(v)).collect()
}

/// 1e-7 for what is smaller; NaN stays.
fn limit(v: f32) -> f32 {
    if v < EPSILON { EPSILON } else { v }
}

fn upper(learned: &[f32]) -> Result<f32> {
    crate::pact::single(learned).map(limit)
}

/// The same for tensors; the gradient passes unchanged.
fn positive_tensor(learned: &Tensor) -> Result<Tensor> {
    let values = learned.flatten_all()?.to_vec1::<f32>()?;
    if values.iter().all(|&v| limit(v).to_bits() == v.to_bits()) {
        return Ok(learned.clone());
    }
    let limited = Tensor::from_vec(positive(&values), learned.dims(), learned.device())?;
    Ok((limited + (learned - learned.detach())?)?)
}
