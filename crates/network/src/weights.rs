//! The weight tensors of each kind of layer: names, shapes, fans and quantizers, in Keras' order.

use crate::activation::Activation;
use crate::op::{Initializer, Op};
use crate::quantizer::{LearnedQuantizer, LearnedStep, Quantizer, Sharing};

/// What part a weight tensor plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// Multiplies inputs; pruned and quantized.
    Kernel,
    /// Added to each output channel.
    Bias,
    /// Scale of a normalization.
    Gamma,
    /// Shift of a normalization.
    Beta,
    /// Moving mean of a batch normalization; not trained.
    MovingMean,
    /// Moving variance of a batch normalization; not trained.
    MovingVariance,
    /// Negative slope of a parametric rectifier.
    Slope,
    /// What a quantizer learns: the steps, the upper end, the bits behind the point.
    Quantizer,
}

impl Role {
    /// Whether an optimizer changes it.
    #[must_use]
    pub const fn is_trainable(self) -> bool {
        !matches!(self, Self::MovingMean | Self::MovingVariance)
    }
}

/// One weight tensor of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Its name in the layer: `kernel`, `bias`, `depthwise_kernel`, `gamma`, `moving_mean`, ...
    pub name: &'static str,
    /// Its part.
    pub role: Role,
    /// Its shape, Keras' layout.
    pub shape: Vec<usize>,
    /// Inputs and outputs that an initializer counts.
    pub fans: (usize, usize),
    /// How it starts.
    pub initializer: Initializer,
    /// Its quantizer, where it has one.
    pub quantizer: Option<Quantizer>,
    /// What it is learned for, where it is a parameter of a quantizer ([`Role::Quantizer`]).
    pub learned: Option<Learned>,
}

/// Whose parameter a weight tensor is that a quantizer learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learned {
    /// The quantizer.
    pub quantizer: LearnedQuantizer,
    /// The weight that it quantizes; None for the layer's activation.
    pub weight: Option<&'static str>,
}

impl Weight {
    /// Elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no elements; no valid layer has such a weight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn kernel(
    name: &'static str,
    shape: Vec<usize>,
    initializer: Initializer,
    quantizer: Option<Quantizer>,
) -> Weight {
    // Keras counts a kernel's fans from its last two axes and the product of the others.
    let rank = shape.len();
    let field: usize = shape[..rank.saturating_sub(2)].iter().product();
    let fans = if rank < 2 {
        (shape.iter().product(), shape.iter().product())
    } else {
        (shape[rank - 2] * field, shape[rank - 1] * field)
    };
    Weight { name, role: Role::Kernel, shape, fans, initializer, quantizer, learned: None }
}

fn vector(
    name: &'static str,
    role: Role,
    shape: Vec<usize>,
    start: Initializer,
    quantizer: Option<Quantizer>,
) -> Weight {
    let n = shape.iter().product();
    Weight { name, role, shape, fans: (n, n), initializer: start, quantizer, learned: None }
}

/// The parameter that a quantizer learns for a tensor of this shape; None where they do not fit.
fn learned(quantizer: LearnedQuantizer, weight: Option<&'static str>, shape: &[usize]) -> Option<Weight> {
    let (step, bits) = match weight {
        Some("kernel") => ("kernel_step", "kernel_fractional_bits"),
        Some("depthwise_kernel") => ("depthwise_kernel_step", "depthwise_kernel_fractional_bits"),
        Some("pointwise_kernel") => ("pointwise_kernel_step", "pointwise_kernel_fractional_bits"),
        Some("bias") => ("bias_step", "bias_fractional_bits"),
        None => ("activation_step", "activation_fractional_bits"),
        Some(_) => return None,
    };
    let (name, start) = match &quantizer {
        LearnedQuantizer::LearnedStep(q) => (step, first_step(q)),
        LearnedQuantizer::LearnedBits(q) => (bits, q.fractional),
        LearnedQuantizer::Pact(q) if weight.is_none() => ("activation_upper", q.upper),
        LearnedQuantizer::Pact(_) => return None,
    };
    let count = quantizer.sharing().count(shape)?;
    let parameter = vector(name, Role::Quantizer, vec![count], Initializer::Constant(start), None);
    Some(Weight { learned: Some(Learned { quantizer, weight }), ..parameter })
}

/// The field that has the quantizer of a weight.
fn quantizer_field(weight: &str) -> &'static str {
    match weight {
        "kernel" => "kernel_quantizer",
        "depthwise_kernel" => "depthwise_quantizer",
        "pointwise_kernel" => "pointwise_quantizer",
        "bias" => "bias_quantizer",
        "gamma" => "gamma_quantizer",
        "beta" => "beta_quantizer",
        "moving_mean" => "mean_quantizer",
        _ => "variance_quantizer",
    }
}

/// The step for values that nothing is known of yet: `2 mean |x| / sqrt(high)` for standard normal ones, rectified
/// where they are.
fn first_step(q: &LearnedStep) -> f64 {
    let high = f64::from((1_u32 << (q.bits.clamp(2, 24) - u32::from(q.signed))) - 1);
    let mean = std::f64::consts::FRAC_2_PI.sqrt() * if q.signed { 1.0 } else { 0.5 };
    2.0 * mean / high.sqrt()
}

fn bias(used: bool, n: usize, quantizer: Option<Quantizer>) -> Option<Weight> {
    used.then(|| vector("bias", Role::Bias, vec![n], Initializer::Zeros, quantizer))
}

impl Op {
    /// The weight tensors of this kind for a first input of shape `input`, in Keras' order, and then what its
    /// quantizers learn. Empty for kinds without weights and for shapes that do not fit.
    #[must_use]
    pub fn weights(&self, input: &[usize]) -> Vec<Weight> {
        let mut weights = self.own_weights(input);
        for i in 0..weights.len() {
            if let Some(quantizer) = weights[i].quantizer.as_ref().and_then(Quantizer::learned) {
                let (name, shape) = (weights[i].name, weights[i].shape.clone());
                weights.extend(learned(*quantizer, Some(name), &shape));
            }
        }
        if let Some(quantizer) = self.learned_activation()
            && let Some(channels) = self.channels(input)
            // How many elements a sample has is no matter of the weights: steps and bits go with channels at most.
            && quantizer.sharing() != Sharing::Weight
        {
            weights.extend(learned(*quantizer, None, &[channels]));
        }
        weights
    }

    /// The quantizer of the activation, where it learns.
    fn learned_activation(&self) -> Option<&LearnedQuantizer> {
        self.activation()?.quantizer()?.learned()
    }

    /// Channels of the output of a kind that has an activation.
    fn channels(&self, input: &[usize]) -> Option<usize> {
        let &c = input.last()?;
        Some(match self {
            Self::Dense(l) => l.units,
            Self::Conv1d(l) => l.filters,
            Self::Conv2d(l) => l.filters,
            Self::Conv2dTranspose(l) => l.filters,
            Self::DepthwiseConv1d(l) => c * l.depth_multiplier,
            Self::DepthwiseConv2d(l) => c * l.depth_multiplier,
            Self::SeparableConv1d(l) => l.filters,
            Self::SeparableConv2d(l) => l.filters,
            _ => c,
        })
    }

    /// The quantizers that learn, each with its field.
    pub fn learned_quantizers(&self) -> Vec<(&'static str, LearnedQuantizer)> {
        // Any input does: which weights there are does not depend on its shape.
        let weights = self.own_weights(&[1, 1, 1]);
        let of_weights =
            weights.iter().filter_map(|w| Some((quantizer_field(w.name), *w.quantizer.as_ref()?.learned()?)));
        of_weights.chain(self.learned_activation().map(|q| ("activation", *q))).collect()
    }

    /// What learned quantizers of this kind cannot be: the field and the reason, for a first input of shape `input`.
    pub(crate) fn learned_faults(&self, input: &[usize]) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        for weight in self.own_weights(input) {
            let Some(quantizer) = weight.quantizer.as_ref().and_then(Quantizer::learned) else { continue };
            let field = quantizer_field(weight.name);
            if !matches!(weight.role, Role::Kernel | Role::Bias) {
                faults.push((field, format!("is {quantizer}, which learns; want one that does not here")));
            } else if let LearnedQuantizer::Pact(_) = quantizer {
                let reason =
                    format!("is {quantizer}, a rectifier; want learned_step or learned_bits for weights");
                faults.push((field, reason));
            } else if quantizer.sharing().count(&weight.shape).is_none() {
                let shape = &weight.shape;
                faults.push((
                    field,
                    format!("is {quantizer}, but the weight has the shape {shape:?}, no such axis"),
                ));
            }
        }
        if let Some(quantizer) = self.learned_activation() {
            let field = if let Self::Activation(_) = self { "" } else { "activation" };
            match quantizer.sharing() {
                Sharing::Tensor | Sharing::Axis(-1) => {}
                _ => faults.push((
                    field,
                    format!(
                        "is {quantizer}; want one parameter for all values (axis=None, per='tensor') or one \
                        for each channel (-1)"
                    ),
                )),
            }
        }
        faults
    }

    fn own_weights(&self, input: &[usize]) -> Vec<Weight> {
        let Some(&c) = input.last() else { return Vec::new() };
        match self {
            Self::Dense(d) => [
                Some(kernel("kernel", vec![c, d.units], d.kernel_initializer, d.kernel_quantizer)),
                bias(d.use_bias, d.units, d.bias_quantizer),
            ]
            .into_iter()
            .flatten()
            .collect(),
            Self::Conv1d(l) => {
                let shape = vec![l.kernel, c / l.groups.max(1), l.filters];
                with_bias(
                    kernel("kernel", shape, l.kernel_initializer, l.kernel_quantizer),
                    bias(l.use_bias, l.filters, l.bias_quantizer),
                )
            }
            Self::Conv2d(l) => {
                let shape = vec![l.kernel.height, l.kernel.width, c / l.groups.max(1), l.filters];
                with_bias(
                    kernel("kernel", shape, l.kernel_initializer, l.kernel_quantizer),
                    bias(l.use_bias, l.filters, l.bias_quantizer),
                )
            }
            Self::Conv2dTranspose(l) => {
                let shape = vec![l.kernel.height, l.kernel.width, l.filters, c];
                with_bias(
                    kernel("kernel", shape, l.kernel_initializer, l.kernel_quantizer),
                    bias(l.use_bias, l.filters, l.bias_quantizer),
                )
            }
            Self::DepthwiseConv1d(l) => {
                let shape = vec![l.kernel, c, l.depth_multiplier];
                let n = c * l.depth_multiplier;
                with_bias(
                    kernel("depthwise_kernel", shape, l.depthwise_initializer, l.depthwise_quantizer),
                    bias(l.use_bias, n, l.bias_quantizer),
                )
            }
            Self::DepthwiseConv2d(l) => {
                let shape = vec![l.kernel.height, l.kernel.width, c, l.depth_multiplier];
                let n = c * l.depth_multiplier;
                with_bias(
                    kernel("depthwise_kernel", shape, l.depthwise_initializer, l.depthwise_quantizer),
                    bias(l.use_bias, n, l.bias_quantizer),
                )
            }
            Self::SeparableConv1d(l) => {
                let depth = kernel(
                    "depthwise_kernel",
                    vec![l.kernel, c, l.depth_multiplier],
                    l.depthwise_initializer,
                    l.depthwise_quantizer,
                );
                let point = kernel(
                    "pointwise_kernel",
                    vec![1, c * l.depth_multiplier, l.filters],
                    l.pointwise_initializer,
                    l.pointwise_quantizer,
                );
                [Some(depth), Some(point), bias(l.use_bias, l.filters, l.bias_quantizer)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::SeparableConv2d(l) => {
                let depth = kernel(
                    "depthwise_kernel",
                    vec![l.kernel.height, l.kernel.width, c, l.depth_multiplier],
                    l.depthwise_initializer,
                    l.depthwise_quantizer,
                );
                let point = kernel(
                    "pointwise_kernel",
                    vec![1, 1, c * l.depth_multiplier, l.filters],
                    l.pointwise_initializer,
                    l.pointwise_quantizer,
                );
                [Some(depth), Some(point), bias(l.use_bias, l.filters, l.bias_quantizer)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::BatchNorm(l) => {
                let gamma = l
                    .scale
                    .then(|| vector("gamma", Role::Gamma, vec![c], Initializer::Ones, l.gamma_quantizer));
                let beta = l
                    .center
                    .then(|| vector("beta", Role::Beta, vec![c], Initializer::Zeros, l.beta_quantizer));
                let mean =
                    vector("moving_mean", Role::MovingMean, vec![c], Initializer::Zeros, l.mean_quantizer);
                let variance = vector(
                    "moving_variance",
                    Role::MovingVariance,
                    vec![c],
                    Initializer::Ones,
                    l.variance_quantizer,
                );
                [gamma, beta, Some(mean), Some(variance)].into_iter().flatten().collect()
            }
            Self::LayerNorm(l) => {
                let gamma = l.scale.then(|| vector("gamma", Role::Gamma, vec![c], Initializer::Ones, None));
                let beta = l.center.then(|| vector("beta", Role::Beta, vec![c], Initializer::Zeros, None));
                [gamma, beta].into_iter().flatten().collect()
            }
            Self::Activation(Activation::Prelu(prelu)) => {
                let shape = input
                    .iter()
                    .enumerate()
                    .map(|(i, &d)| if prelu.shared_axes.contains(&(i + 1)) { 1 } else { d });
                vec![vector("alpha", Role::Slope, shape.collect(), Initializer::Zeros, None)]
            }
            _ => Vec::new(),
        }
    }

    /// The activation fused into this kind of layer, or the layer's own where it is one.
    #[must_use]
    pub const fn activation(&self) -> Option<&Activation> {
        match self {
            Self::Activation(a) => Some(a),
            Self::Dense(l) => Some(&l.activation),
            Self::Conv1d(l) => Some(&l.activation),
            Self::Conv2d(l) => Some(&l.activation),
            Self::Conv2dTranspose(l) => Some(&l.activation),
            Self::DepthwiseConv1d(l) => Some(&l.activation),
            Self::DepthwiseConv2d(l) => Some(&l.activation),
            Self::SeparableConv1d(l) => Some(&l.activation),
            Self::SeparableConv2d(l) => Some(&l.activation),
            Self::MaxPool1d(l) | Self::AveragePool1d(l) => Some(&l.activation),
            Self::MaxPool2d(l) | Self::AveragePool2d(l) => Some(&l.activation),
            Self::GlobalMaxPool1d(l)
            | Self::GlobalMaxPool2d(l)
            | Self::GlobalAveragePool1d(l)
            | Self::GlobalAveragePool2d(l) => Some(&l.activation),
            _ => None,
        }
    }

    /// [`Op::activation`], to be changed.
    #[must_use]
    pub const fn activation_mut(&mut self) -> Option<&mut Activation> {
        match self {
            Self::Activation(a) => Some(a),
            Self::Dense(l) => Some(&mut l.activation),
            Self::Conv1d(l) => Some(&mut l.activation),
            Self::Conv2d(l) => Some(&mut l.activation),
            Self::Conv2dTranspose(l) => Some(&mut l.activation),
            Self::DepthwiseConv1d(l) => Some(&mut l.activation),
            Self::DepthwiseConv2d(l) => Some(&mut l.activation),
            Self::SeparableConv1d(l) => Some(&mut l.activation),
            Self::SeparableConv2d(l) => Some(&mut l.activation),
            Self::MaxPool1d(l) | Self::AveragePool1d(l) => Some(&mut l.activation),
            Self::MaxPool2d(l) | Self::AveragePool2d(l) => Some(&mut l.activation),
            Self::GlobalMaxPool1d(l)
            | Self::GlobalMaxPool2d(l)
            | Self::GlobalAveragePool1d(l)
            | Self::GlobalAveragePool2d(l) => Some(&mut l.activation),
            _ => None,
        }
    }
}

fn with_bias(kernel: Weight, bias: Option<Weight>) -> Vec<Weight> {
    std::iter::once(kernel).chain(bias).collect()
}
