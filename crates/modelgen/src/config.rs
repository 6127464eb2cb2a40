//! Parameters of a family of networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{ActivationKind, LayerKind, PaddingKind, PoolKind};
use crate::size::{SizeGrid, SizeLaw};
use crate::weights::{Weights, Widths};

/// Granularity of the quantization decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One decision for the whole network.
    #[default]
    Network,
    /// One decision per weight layer.
    Layer,
}

/// Layer kinds that an empty list of layer weights stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DefaultKinds {
    /// The kinds of the orders documented at [`Probs`], all of which Keras 2.15 and QKeras 0.9.0 can hold.
    #[default]
    Listed,
    /// Every kind, float separable and depthwise convolutions and all one-dimensional ones included.
    All,
}

/// Relative weights of the named choices.
///
/// Each field is a map of name to weight, or a list in the order stated at the field. An absent field keeps its
/// default; an empty map or list is uniform. Choices that a draw rules out (the other side of the quantization
/// decision, blacklisted kinds, layers for inputs of another rank) are dropped and the rest is renormalized.
///
/// The order of a list of layers depends on whether `q_chance` is 0, 1, or between. A map means the same for every
/// `q_chance`, so prefer maps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probs {
    /// Activations. A list has 4 weights for `[relu, tanh, sigmoid, softmax]`, or 5 with `no_activation` before
    /// them. Softmax, `relu6`, `leaky_relu`, `elu` and `hard_sigmoid` have no quantized form and are never drawn for
    /// quantized layers. Default `{relu: 0.3, tanh: 0.3, sigmoid: 0.3, softmax: 0.1}`.
    pub activations: Weights<ActivationKind>,
    /// Dense layers. A list: `[Dense]` for `q_chance` 0, `[QDense]` for 1, `[Dense, QDense]` between. Default uniform.
    pub dense_layers: Weights<LayerKind>,
    /// Layers that follow a two-dimensional convolution. A list: `[Conv2D]` for `q_chance` 0, `[QConv2D,
    /// QSeparableConv2D, QDepthwiseConv2D]` for 1, `[Conv2D, QConv2D, QSeparableConv2D, QDepthwiseConv2D]` between.
    /// Default uniform over these.
    pub conv_layers: Weights<LayerKind>,
    /// Layers that follow a one-dimensional convolution. A list: `[Conv1D]` for `q_chance` 0, `[QConv1D]` for 1,
    /// `[Conv1D, QConv1D]` between. Default uniform over these.
    pub time_layers: Weights<LayerKind>,
    /// First layer; unless [`GeneratorConfig::input`] is set, it also determines the rank of the input. A list:
    /// `[Conv1D, Conv2D, Dense]` for `q_chance` 0, `[QConv1D, QConv2D, QDense, QSeparableConv2D, QDepthwiseConv2D]` for 1,
    /// `[Conv1D, QConv1D, Conv2D, QConv2D, QDense, Dense, QSeparableConv2D, QDepthwiseConv2D]` between. Default uniform
    /// over these.
    pub start_layers: Weights<LayerKind>,
    /// Padding of convolutions. A list: `[same, valid]`. Default uniform.
    pub padding: Weights<PaddingKind>,
    /// Kind of pooling. A list: `[max, average]`. Default uniform.
    pub pooling: Weights<PoolKind>,
}

impl Default for Probs {
    fn default() -> Self {
        Self {
            activations: Weights::of([
                (ActivationKind::Relu, 0.3),
                (ActivationKind::Tanh, 0.3),
                (ActivationKind::Sigmoid, 0.3),
                (ActivationKind::Softmax, 0.1),
            ]),
            dense_layers: Weights::uniform(),
            conv_layers: Weights::uniform(),
            time_layers: Weights::uniform(),
            start_layers: Weights::uniform(),
            padding: Weights::uniform(),
            pooling: Weights::uniform(),
        }
    }
}

/// Every parameter of a draw. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorConfig {
    /// Minimum units of a dense layer and minimum features of a drawn flat input. Default 32.
    pub dense_lb: usize,
    /// Maximum units of a dense layer and maximum features of a drawn flat input. Default 1024.
    pub dense_ub: usize,
    /// Minimum height and width of a drawn image input. Default 32.
    pub conv_init_size_lb: usize,
    /// Maximum height and width of a drawn image input. Default 128.
    pub conv_init_size_ub: usize,
    /// Minimum filters of a convolution and minimum channels of a drawn image or series. Default 3.
    pub conv_filters_lb: usize,
    /// Maximum filters of a convolution and maximum channels of a drawn image or series. Default 64.
    pub conv_filters_ub: usize,
    /// Minimum stride of a convolution. Default 1.
    pub conv_stride_lb: usize,
    /// Maximum stride of a convolution. Default 3.
    pub conv_stride_ub: usize,
    /// Minimum kernel size of a convolution, per axis. Default 1.
    pub conv_kernel_lb: usize,
    /// Maximum kernel size of a convolution, per axis; capped at the input's height or width. Default 6.
    pub conv_kernel_ub: usize,
    /// Minimum time steps of a drawn series input. Default 30.
    pub time_lb: usize,
    /// Maximum time steps of a drawn series input. Default 150.
    pub time_ub: usize,
    /// Height or width below which an image is flattened before the next layer. If `flatten_chance` is 0, strides,
    /// kernels and pooling that would shrink an image below this size are not drawn. Default 8.
    pub conv_flatten_limit: usize,
    /// Probability of quantized layers. Default 0.5.
    pub q_chance: f64,
    /// Granularity of the quantization decision and of drawn bit widths. Default network.
    pub q_scope: Scope,
    /// Bits of quantized activations, including the sign: one number or a list to draw from. Default 8.
    pub activ_bit_width: Widths,
    /// Integer bits of quantized rectifiers, capped at their bit width. Tanh and sigmoid have none. Default 4.
    pub activ_int_width: u32,
    /// Bits of quantized kernels, including the sign: one number or a list to draw from. Default 6.
    pub weight_bit_width: Widths,
    /// Integer bits of quantized kernels, excluding the sign, capped at the bit width minus 1. Default 3.
    pub weight_int_width: u32,
    /// Bits of quantized biases, including the sign: one number or a list to draw from. Default 8.
    pub bias_bit_width: Widths,
    /// Integer bits of quantized biases, excluding the sign, capped at the bit width minus 1. Default 4.
    pub bias_int_width: u32,
    /// Weights of the named choices.
    pub probs: Probs,
    /// Layer kinds that empty `probs.*_layers` stand for. Default listed.
    pub default_kinds: DefaultKinds,
    /// Probability that a layer has an activation. Default 0.5.
    pub activation_rate: f64,
    /// Probability of dropout after a dense layer, except the last. Default 0.5.
    pub dropout_chance: f64,
    /// Fraction of values that dropout sets to zero, below 1. Default 0.4.
    pub dropout_rate: f64,
    /// Probability, drawn before each layer that follows a convolution, of flattening and continuing with dense layers.
    /// Features are always flattened before the last layer. 0 allows flattening only there and below
    /// `conv_flatten_limit`. Default 0.5.
    pub flatten_chance: f64,
    /// Probability of pooling by 2 after a convolution, if its output is large enough. Default 0.5.
    pub pooling_chance: f64,
    /// Probability that a layer has a bias. Default 0.5.
    pub bias_rate: f64,
    /// Layer kinds that are never drawn, such as `[Dense, QDense]`. Without dense layers a network stays convolutional to
    /// the end. Default none.
    pub layers_blacklist: Vec<LayerKind>,
    /// Probability of batch normalization between a layer and its activation, except the last layer. Default 0.
    pub batch_norm_chance: f64,
    /// Probability that a layer becomes a residual block: its input is added to its output, and its sizes are chosen to
    /// make the shapes equal if the bounds permit. Default 0.
    pub residual_chance: f64,
    /// Probability that two parallel, concatenated layers replace one; both count as layers. Default 0.
    pub branch_chance: f64,
    /// Probability that global average pooling replaces flattening. Default 0.
    pub global_pooling_chance: f64,
    /// Admissible sizes of layers and inputs: `powers_of_two` or `{multiples_of: n}`. Default powers of two.
    pub size_grid: SizeGrid,
    /// Distribution over the admissible sizes. Default uniform.
    pub size_law: SizeLaw,
    /// Input shape: `[features]`, `[time, channels]` or `[height, width, channels]`. Default none: drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<usize>>,
    /// Number of classes. If set, the last weight layer is a dense layer of this many units with a bias and no activation,
    /// so that the outputs are logits. Default none: the last layer is drawn like any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Minimum weight layers of a network in a corpus, head included. Default 3.
    pub min_layer_count: usize,
    /// Maximum weight layers of a network in a corpus, head included. Default 8.
    pub max_layer_count: usize,
    /// Consecutive rejected draws after which a corpus gives up. Default 100000.
    pub max_tries: u64,
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self {
            dense_lb: 32,
            dense_ub: 1024,
            conv_init_size_lb: 32,
            conv_init_size_ub: 128,
            conv_filters_lb: 3,
            conv_filters_ub: 64,
            conv_stride_lb: 1,
            conv_stride_ub: 3,
            conv_kernel_lb: 1,
            conv_kernel_ub: 6,
            time_lb: 30,
            time_ub: 150,
            conv_flatten_limit: 8,
            q_chance: 0.5,
            q_scope: Scope::Network,
            activ_bit_width: 8.into(),
            activ_int_width: 4,
            weight_bit_width: 6.into(),
            weight_int_width: 3,
            bias_bit_width: 8.into(),
            bias_int_width: 4,
            probs: Probs::default(),
            default_kinds: DefaultKinds::Listed,
            activation_rate: 0.5,
            dropout_chance: 0.5,
            dropout_rate: 0.4,
            flatten_chance: 0.5,
            pooling_chance: 0.5,
            bias_rate: 0.5,
            layers_blacklist: Vec::new(),
            batch_norm_chance: 0.0,
            residual_chance: 0.0,
            branch_chance: 0.0,
            global_pooling_chance: 0.0,
            size_grid: SizeGrid::PowersOfTwo,
            size_law: SizeLaw::Uniform,
            input: None,
            classes: None,
            min_layer_count: 3,
            max_layer_count: 8,
            max_tries: 100_000,
        }
    }
}

impl GeneratorConfig {
    /// Returns a family of small float classifiers for inputs of shape `input` and `classes` classes: rectified layers with
    /// biases, occasional batch normalization, small sizes favored, and a linear dense head. Every parameter can be
    /// changed afterwards.
    ///
    /// ```
    /// use tinsmith_modelgen::{GeneratorConfig, ModelGenerator};
    /// use tinsmith_foundation::Seed;
    ///
    /// let generator = ModelGenerator::new(GeneratorConfig::for_task(&[8, 8, 1], 10))?;
    /// let spec = generator.draw(4, Seed::new(1))?;
    /// let graph = spec.graph()?;
    /// assert_eq!(graph.shape(graph.outputs[0]), [10]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn for_task(input: &[usize], classes: usize) -> Self {
        let side = match *input {
            [h, w, _] => h.min(w),
            [t, _] => t,
            _ => 1,
        };
        Self {
            dense_lb: 8,
            dense_ub: 128,
            conv_filters_lb: 4,
            conv_filters_ub: 32,
            conv_stride_lb: 1,
            conv_stride_ub: 2,
            conv_kernel_lb: if side < 3 { 1 } else { 3 },
            conv_kernel_ub: 5,
            conv_flatten_limit: 3,
            q_chance: 0.0,
            probs: Probs {
                activations: Weights::of([(ActivationKind::Relu, 1.0)]),
                padding: Weights::of([(PaddingKind::Same, 0.7), (PaddingKind::Valid, 0.3)]),
                pooling: Weights::of([(PoolKind::Max, 0.7), (PoolKind::Average, 0.3)]),
                // Convolutions learn images and series better than dense layers, so most networks start with one.
                start_layers: Weights::of([
                    (LayerKind::Conv1d, 6.0),
                    (LayerKind::SeparableConv1d, 2.0),
                    (LayerKind::Conv2d, 6.0),
                    (LayerKind::SeparableConv2d, 2.0),
                    (LayerKind::Dense, 1.0),
                ]),
                ..Probs::default()
            },
            // Depthwise and separable convolutions make the best use of little flash.
            default_kinds: DefaultKinds::All,
            activation_rate: 1.0,
            dropout_chance: 0.0,
            flatten_chance: 0.25,
            pooling_chance: 0.4,
            bias_rate: 1.0,
            batch_norm_chance: 0.5,
            global_pooling_chance: 0.3,
            size_grid: SizeGrid::MultiplesOf(4),
            size_law: SizeLaw::LogUniform,
            input: Some(input.to_vec()),
            classes: Some(classes),
            min_layer_count: 2,
            max_layer_count: 6,
            ..Self::default()
        }
    }
}
