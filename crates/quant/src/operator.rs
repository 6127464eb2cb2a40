//! A quantizer ready to be applied to slices.

use tinsmith_foundation::{Rng, Seed};
use tinsmith_kernels::gate::{Gate, GateFunction};
use tinsmith_network::quantizer::{self as spec, Log2Rounding, Quantizer};

use crate::binary::{Binary, BinaryDraw, BySign, TwoLevels};
use crate::error::{QuantError, Result};
use crate::fixed_point::{FixedPoint, HardSwish, SignBit, Swished};
use crate::pointwise::{Mix, Pointwise, map, pull_back};
use crate::power_of_two::{Exponents, PowerOfTwo, ReluPowerOfTwo};
use crate::relu::{LeakyRelu, Relu};
use crate::rounding::{HalfEven, Stochastic};
use crate::scale::{Alpha, Scale, Scaled, rescale};
use crate::stochastic::Chance;
use crate::tanh_sigmoid::{Squash, Squashed};
use crate::ternary::{ByThreshold, Ternary, TernaryDraw, ThreeLevels};
use crate::ulaw::MuLaw;

/// Training or inference mode of a quantizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Deterministic. Kinds that are random in training are exact here. `bernoulli`, which is always random, draws
    /// from a constant seed, so that equal inputs have equal outputs.
    Inference,
    /// Random kinds draw from this seed. Use another one for each step and layer.
    Training(Seed),
}

/// Arithmetic of one kind with its constants computed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kernel {
    FixedPoint(FixedPoint),
    SignBit(SignBit),
    SwishFixed(Swished<FixedPoint>),
    SwishSign(Swished<SignBit>),
    Relu(Relu),
    LeakyRelu(LeakyRelu),
    Squashed(Squashed),
    MuLaw(MuLaw),
    PowerOfTwo(PowerOfTwo),
    ReluPowerOfTwo(ReluPowerOfTwo),
    TwoLevels(TwoLevels),
    ThreeLevels(ThreeLevels),
    Scaled(Scaled, Option<HardSwish>),
    Binary(Binary),
    Ternary(Ternary),
}

/// Runs an expression with an element-wise kernel, or another for the kinds that need the whole tensor.
macro_rules! with_pointwise {
    ($kernel:expr, $p:ident => $each:expr, $($whole:pat => $other:expr),+ $(,)?) => {
        match $kernel {
            Kernel::FixedPoint($p) => $each,
            Kernel::SignBit($p) => $each,
            Kernel::SwishFixed($p) => $each,
            Kernel::SwishSign($p) => $each,
            Kernel::Relu($p) => $each,
            Kernel::LeakyRelu($p) => $each,
            Kernel::Squashed($p) => $each,
            Kernel::MuLaw($p) => $each,
            Kernel::PowerOfTwo($p) => $each,
            Kernel::ReluPowerOfTwo($p) => $each,
            Kernel::TwoLevels($p) => $each,
            Kernel::ThreeLevels($p) => $each,
            $($whole => $other,)+
        }
    };
}
pub(crate) use with_pointwise;

/// A validated quantizer with precomputed constants, applied to slices ([`apply_slice`](Self::apply_slice)) or
/// tensors ([`apply`](Self::apply)).
///
/// # Source
/// QKeras 0.9.0. Deliberate differences:
///
/// - The result is the quantized value itself, not `x + (q - x)` in f32, which is off by rounding for large values.
/// - Random rounding of `quantized_relu`, `quantized_tanh` and `quantized_sigmoid` goes to whole levels, not half ones.
/// - `binary` with random rounding works for every shape.
/// - `stochastic_ternary` can be trained with a fixed scale too.
/// - Invalid parameters (a fitted scale for the single level of `quantized_bits(1)`, powers of two without an exponent
///   bit) are refused instead of giving NaN.
#[derive(Debug, Clone, Copy)]
pub struct QuantizerOp {
    quantizer: Quantizer,
    pub(crate) kernel: Kernel,
    mix: Mix,
    /// True if rounding is random in training.
    stochastic_rounding: bool,
}

impl QuantizerOp {
    /// Validates a description and computes its constants.
    ///
    /// # Errors
    /// [`QuantError::Parameter`] if a parameter is out of range or a combination is invalid.
    pub fn new(quantizer: &Quantizer) -> Result<Self> {
        let refuse = |reason: String| QuantError::Parameter { quantizer: quantizer.to_string(), reason };
        build::check(quantizer).map_err(refuse)?;
        let (kernel, mix, stochastic_rounding) = build::kernel(quantizer).map_err(refuse)?;
        Ok(Self { quantizer: *quantizer, kernel, mix, stochastic_rounding })
    }

    /// The quantizer that a layer applies to its kernel: one without a scale gets [`spec::Alpha::AutoPo2`], as in
    /// QKeras' layers. Kinds without a scale stay unchanged.
    #[must_use]
    pub fn for_kernel(quantizer: &Quantizer) -> Quantizer {
        let mut quantizer = *quantizer;
        let alpha = match &mut quantizer {
            Quantizer::QuantizedBits(q) => &mut q.alpha,
            Quantizer::QuantizedHswish(q) => &mut q.alpha,
            Quantizer::Binary(q) => &mut q.alpha,
            Quantizer::Ternary(q) => &mut q.alpha,
            Quantizer::StochasticBinary(q) => &mut q.alpha,
            Quantizer::StochasticTernary(q) => &mut q.alpha,
            Quantizer::Bernoulli(q) => &mut q.alpha,
            _ => return quantizer,
        };
        if *alpha == spec::Alpha::None {
            *alpha = spec::Alpha::AutoPo2;
        }
        quantizer
    }

    /// Description that it was built from.
    #[must_use]
    pub const fn quantizer(&self) -> &Quantizer {
        &self.quantizer
    }

    /// True if the scale is fitted to the values (`alpha` auto or `auto_po2`).
    #[must_use]
    pub fn has_chosen_scale(&self) -> bool {
        match &self.kernel {
            Kernel::Scaled(..) => true,
            Kernel::Binary(b) => matches!(b.alpha, Alpha::Fitted { .. }),
            Kernel::Ternary(t) => matches!(t.alpha, Alpha::Fitted { .. }),
            _ => false,
        }
    }

    /// True if outputs are levels only, not mixed with unquantized values (`qnoise_factor`).
    #[must_use]
    pub fn is_discrete(&self) -> bool {
        self.mix.is_full()
    }

    /// True if the gradient passes unchanged everywhere, so that no derivatives need be computed or kept.
    #[must_use]
    pub fn is_gradient_one(&self, mode: Mode) -> bool {
        self.mix.gradient_factor() == 1.0
            && with_pointwise!(&self.kernel, p => p.slope_is_one(),
                Kernel::Scaled(_, swish) => swish.is_none(),
                Kernel::Binary(b) => !b.plain.tanh_slope
                    || matches!((b.draw, mode), (BinaryDraw::Always(_), _) | (BinaryDraw::Training(_), Mode::Training(_))),
                Kernel::Ternary(t) => !t.plain.tanh_slope
                    || matches!((t.draw, mode), (TernaryDraw::Training(_), Mode::Training(_))),
            )
    }

    /// This quantizer as a gate that kernels fuse into their stores. None for random kinds and for kinds that are
    /// more than clipped rounding to equal steps.
    #[must_use]
    pub fn gate(&self) -> Option<Gate> {
        if self.stochastic_rounding || !self.mix.is_full() || self.mix.gradient_factor() != 1.0 {
            return None;
        }
        let levels =
            |per_unit, unit, low, high, bound| GateFunction::Levels { per_unit, unit, low, high, bound };
        match &self.kernel {
            Kernel::Relu(p) => Some(Gate {
                function: levels(p.per_unit, p.unit, 0.0, p.high, p.bound),
                open: (0.0, p.top.next_up()),
            }),
            Kernel::FixedPoint(p) if p.alpha == 1.0 => Some(Gate {
                function: levels(p.per_unit, p.unit, p.low, p.high, f32::INFINITY),
                open: Gate::LINEAR.open,
            }),
            _ => None,
        }
    }

    /// Quantizes the elements `xs` of a tensor of shape `shape` into `out`, writes the derivatives of the
    /// straight-through estimator into `grad`, and returns the scale. A fitted scale is a constant for the gradient.
    ///
    /// # Shapes
    /// `xs`, `out` and `grad` have as many elements as `shape`, row-major.
    ///
    /// # Errors
    /// [`QuantError::Length`] if slices and shape do not match; [`QuantError::Axis`] if `scale_axis` is outside of
    /// the shape.
    pub fn apply_slice(
        &self,
        xs: &[f32],
        shape: &[usize],
        out: &mut [f32],
        mut grad: Option<&mut [f32]>,
        mode: Mode,
    ) -> Result<Scale> {
        check_length("quantize", shape, xs.len())?;
        check_length("quantize into", shape, out.len())?;
        if let Some(grad) = &grad {
            check_length("gradient of quantize", shape, grad.len())?;
        }
        let mix = self.mix;
        with_pointwise!(&self.kernel, p => {
                match self.rounding_rng(mode) {
                    None => map(p, mix, xs, out, grad, &mut HalfEven),
                    Some(rng) => map(p, mix, xs, out, grad, &mut Stochastic(rng)),
                }
                Ok(Scale::Uniform(self.fixed_alpha()))
            },
            Kernel::Scaled(scaled, None) => {
                let scale = scaled.levels(xs, shape, out)?;
                rescale(out, &scale, scaled.unit(), shape, mix, xs);
                if let Some(grad) = grad { grad.fill(mix.gradient_factor()); }
                Ok(scale)
            },
            Kernel::Scaled(scaled, Some(swish)) => {
                let swished: Vec<f32> = xs.iter().map(|&x| swish.value(x)).collect();
                let scale = scaled.levels(&swished, shape, out)?;
                rescale(out, &scale, scaled.unit(), shape, mix, &swished);
                if let Some(grad) = grad {
                    let factor = mix.gradient_factor();
                    grad.iter_mut().zip(xs).for_each(|(g, &x)| *g = factor * swish.slope(x));
                }
                Ok(scale)
            },
            Kernel::Binary(_) | Kernel::Ternary(_) => {
                let scale = self.levels(xs, shape, out, grad.take(), mode)?;
                rescale(out, &scale, 1.0, shape, mix, xs);
                Ok(scale)
            },
        )
    }

    /// Quantizes `xs` into a new vector; see [`apply_slice`](Self::apply_slice).
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice).
    pub fn quantize(&self, xs: &[f32], shape: &[usize], mode: Mode) -> Result<(Vec<f32>, Scale)> {
        let mut out = vec![0.0; xs.len()];
        let scale = self.apply_slice(xs, shape, &mut out, None, mode)?;
        Ok((out, scale))
    }

    /// Turns gradients of the output into gradients of the input `xs`, in place. Random kinds repeat the draws that
    /// [`apply_slice`](Self::apply_slice) made with the same `mode`.
    ///
    /// # Errors
    /// Those of [`apply_slice`](Self::apply_slice).
    pub fn pull_back_slice(&self, xs: &[f32], shape: &[usize], grads: &mut [f32], mode: Mode) -> Result<()> {
        check_length("gradient of quantize", shape, xs.len())?;
        check_length("gradient of quantize", shape, grads.len())?;
        if self.is_gradient_one(mode) {
            return Ok(());
        }
        let mix = self.mix;
        with_pointwise!(&self.kernel, p => match self.rounding_rng(mode) {
                None => pull_back(p, mix, xs, grads, &mut HalfEven),
                Some(rng) => pull_back(p, mix, xs, grads, &mut Stochastic(rng)),
            },
            Kernel::Scaled(_, swish) => {
                let factor = mix.gradient_factor();
                for (g, &x) in grads.iter_mut().zip(xs) {
                    *g *= factor * swish.map_or(1.0, |swish| swish.slope(x));
                }
            },
            Kernel::Binary(_) | Kernel::Ternary(_) => {
                let (mut out, mut slopes) = (vec![0.0; xs.len()], vec![0.0; xs.len()]);
                self.levels(xs, shape, &mut out, Some(&mut slopes), mode)?;
                grads.iter_mut().zip(&slopes).for_each(|(g, slope)| *g *= slope);
            },
        );
        Ok(())
    }

    /// Integer levels of the kinds with a fitted scale or random draws.
    pub(crate) fn levels(
        &self,
        xs: &[f32],
        shape: &[usize],
        out: &mut [f32],
        slopes: Option<&mut [f32]>,
        mode: Mode,
    ) -> Result<Scale> {
        let training = match mode {
            Mode::Inference => None,
            Mode::Training(seed) => Some(seed.rng()),
        };
        match &self.kernel {
            Kernel::Binary(b) => {
                let rng = match b.draw {
                    BinaryDraw::Always(_) => Some(training.unwrap_or_else(|| Seed::new(0).rng())),
                    _ => training,
                };
                b.levels(xs, shape, out, slopes, rng)
            }
            Kernel::Ternary(t) => t.levels(xs, shape, out, slopes, training),
            Kernel::Scaled(scaled, None) => scaled.levels(xs, shape, out),
            Kernel::Scaled(scaled, Some(swish)) => {
                let swished: Vec<f32> = xs.iter().map(|&x| swish.value(x)).collect();
                scaled.levels(&swished, shape, out)
            }
            // The other kinds have no levels apart from their values, and are never queried.
            _ => Ok(Scale::Uniform(self.fixed_alpha())),
        }
    }

    fn rounding_rng(&self, mode: Mode) -> Option<Rng> {
        match mode {
            Mode::Training(seed) if self.stochastic_rounding => Some(seed.rng()),
            _ => None,
        }
    }

    /// Fixed scale, for the kinds that have one.
    pub(crate) fn fixed_alpha(&self) -> f32 {
        match &self.kernel {
            Kernel::FixedPoint(p) => p.alpha,
            Kernel::SignBit(p) => p.alpha,
            Kernel::SwishFixed(p) => p.inner.alpha,
            Kernel::SwishSign(p) => p.inner.alpha,
            Kernel::TwoLevels(p) => p.alpha,
            Kernel::ThreeLevels(p) => p.alpha,
            _ => 1.0,
        }
    }
}

pub(crate) fn check_length(op: &'static str, shape: &[usize], got: usize) -> Result<()> {
    let want = shape.iter().product();
    if want == got { Ok(()) } else { Err(QuantError::Length { op, shape: shape.to_vec(), want, got }) }
}

mod build;
