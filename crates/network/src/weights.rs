//! Weight tensors of each kind of layer: names, shapes, fans and quantizers, in Keras' order.

use crate::activation::Activation;
use crate::op::{Initializer, Op};
use crate::product::KernelSettings;
use crate::quantizer::{LearnedQuantizer, LearnedStep, Quantizer, Sharing};

/// Role of a weight tensor.
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
    /// Learned parameter of a quantizer: step sizes, upper bound, fractional bits.
    Quantizer,
}

impl Role {
    /// True for roles that are trained.
    #[must_use]
    pub const fn is_trainable(self) -> bool {
        !matches!(self, Self::MovingMean | Self::MovingVariance)
    }
}

/// One weight tensor of a layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Weight {
    /// Name in the layer: `kernel`, `bias`, `depthwise_kernel`, `gamma`, `moving_mean`, ...
    pub name: &'static str,
    /// Role.
    pub role: Role,
    /// Shape, in Keras' order of axes.
    pub shape: Vec<usize>,
    /// Fan-in and fan-out for initializers.
    pub fans: (usize, usize),
    /// Distribution of the initial values.
    pub initializer: Initializer,
    /// Quantizer of the values.
    pub quantizer: Option<Quantizer>,
    /// The quantizer that it is a parameter of; set for [`Role::Quantizer`].
    pub learned: Option<Learned>,
}

/// Owner of a learned quantizer parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Learned {
    /// The quantizer.
    pub quantizer: LearnedQuantizer,
    /// Name of the quantized weight; None for the layer's activation.
    pub weight: Option<&'static str>,
}

impl Weight {
    /// A kernel of shape `shape`. Its fans are Keras': the last two axes times the product of the others.
    pub(crate) fn kernel(settings: &KernelSettings, shape: Vec<usize>) -> Self {
        let product = |axes: &[usize]| axes.iter().fold(1_usize, |n, &d| n.saturating_mul(d));
        let fans = match shape.split_last_chunk::<2>() {
            Some((field, &[inputs, outputs])) => {
                (inputs.saturating_mul(product(field)), outputs.saturating_mul(product(field)))
            }
            None => (product(&shape), product(&shape)),
        };
        Self {
            name: settings.name,
            role: Role::Kernel,
            shape,
            fans,
            initializer: settings.initializer,
            quantizer: settings.quantizer,
            learned: None,
        }
    }

    /// A weight that is no kernel; both fans are its number of elements.
    pub(crate) fn vector(
        name: &'static str,
        role: Role,
        shape: Vec<usize>,
        initializer: Initializer,
        quantizer: Option<Quantizer>,
    ) -> Self {
        let n = shape.iter().product();
        Self { name, role, shape, fans: (n, n), initializer, quantizer, learned: None }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True without elements; no valid layer has such a weight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Learned parameter of `quantizer` for a tensor of this shape; None if they do not fit.
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
    let parameter = Weight::vector(name, Role::Quantizer, vec![count], Initializer::Constant(start), None);
    Some(Weight { learned: Some(Learned { quantizer, weight }), ..parameter })
}

/// Name of the layer's field with the quantizer of `weight`.
pub(crate) fn quantizer_field(weight: &str) -> &'static str {
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

/// Initial step size before calibration: `2 mean |x| / sqrt(high)` for standard normal values, rectified ones if
/// unsigned.
fn first_step(q: &LearnedStep) -> f64 {
    let high = f64::from((1_u32 << (q.bits.clamp(2, 24) - u32::from(q.signed))) - 1);
    let mean = std::f64::consts::FRAC_2_PI.sqrt() * if q.signed { 1.0 } else { 0.5 };
    2.0 * mean / high.sqrt()
}

impl Op {
    /// Returns the weight tensors for a first input of shape `input`, in Keras' order, followed by the learned parameters of
    /// quantizers. Empty for kinds without weights and for shapes that do not fit.
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
            // The number of elements of a sample is unknown here, so parameters of activations are per channel at most.
            && quantizer.sharing() != Sharing::Weight
        {
            weights.extend(learned(*quantizer, None, &[channels]));
        }
        weights
    }

    /// Learned quantizer of the activation.
    fn learned_activation(&self) -> Option<&LearnedQuantizer> {
        self.activation()?.quantizer()?.learned()
    }

    /// Output channels of a layer that has an activation.
    fn channels(&self, input: &[usize]) -> Option<usize> {
        let &channels = input.last()?;
        Some(self.product().map_or(channels, |product| product.output_channels(channels)))
    }

    /// Learned quantizers, each with the name of its field.
    pub fn learned_quantizers(&self) -> Vec<(&'static str, LearnedQuantizer)> {
        // The shape is arbitrary: it does not affect which weights exist.
        let weights = self.own_weights(&[1, 1, 1]);
        let of_weights =
            weights.iter().filter_map(|w| Some((quantizer_field(w.name), *w.quantizer.as_ref()?.learned()?)));
        of_weights.chain(self.learned_activation().map(|q| ("activation", *q))).collect()
    }

    /// Faults of the learned quantizers for a first input of shape `input`: field and reason.
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
        if let Some(product) = self.product() {
            return product.weights(c);
        }
        match self {
            Self::BatchNorm(l) => {
                let gamma = l.scale.then(|| {
                    Weight::vector("gamma", Role::Gamma, vec![c], Initializer::Ones, l.gamma_quantizer)
                });
                let beta = l.center.then(|| {
                    Weight::vector("beta", Role::Beta, vec![c], Initializer::Zeros, l.beta_quantizer)
                });
                let mean = Weight::vector(
                    "moving_mean",
                    Role::MovingMean,
                    vec![c],
                    Initializer::Zeros,
                    l.mean_quantizer,
                );
                let variance = Weight::vector(
                    "moving_variance",
                    Role::MovingVariance,
                    vec![c],
                    Initializer::Ones,
                    l.variance_quantizer,
                );
                [gamma, beta, Some(mean), Some(variance)].into_iter().flatten().collect()
            }
            Self::LayerNorm(l) => {
                let gamma =
                    l.scale.then(|| Weight::vector("gamma", Role::Gamma, vec![c], Initializer::Ones, None));
                let beta =
                    l.center.then(|| Weight::vector("beta", Role::Beta, vec![c], Initializer::Zeros, None));
                [gamma, beta].into_iter().flatten().collect()
            }
            Self::Activation(Activation::Prelu(prelu)) => {
                let shape = input
                    .iter()
                    .enumerate()
                    .map(|(i, &d)| if prelu.shared_axes.contains(&(i + 1)) { 1 } else { d });
                vec![Weight::vector("alpha", Role::Slope, shape.collect(), Initializer::Zeros, None)]
            }
            _ => Vec::new(),
        }
    }

    /// The fused activation, or the function of an activation layer.
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

    /// Mutable [`Op::activation`].
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
