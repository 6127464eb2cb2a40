//! The parameters of a family of networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults};

use crate::kind::{ActivationKind, LayerKind, PaddingKind, PoolKind};
use crate::size::{SizeGrid, SizeLaw};
use crate::tables::Tables;
use crate::weights::{Weights, Widths};

/// What a coin decides for: the whole network at once, or each layer anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Once for the network.
    #[default]
    Network,
    /// For each weight layer.
    Layer,
}

/// Weights of every choice that has names. Each is a map of name to weight, or a list in the order stated at the
/// field; empty is uniform. What the draw does not allow (the other side of the quantization coin, a blacklisted
/// kind, a layer for inputs of another rank) is left out and the rest is renormalized.
///
/// The orders of lists of layers depend on `q_chance`, as they do in the program whose parameters these are:
/// 0, 1, or between. A map never changes its meaning, so prefer it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Probs {
    /// Activations. A list has 4 weights for `[relu, tanh, sigmoid, softmax]` or 5 with `no_activation` before
    /// them. Softmax, `relu6`, `leaky_relu`, `elu` and `hard_sigmoid` have no quantized form and are left out of quantized
    /// layers. Default `{relu: 0.3, tanh: 0.3, sigmoid: 0.3, softmax: 0.1}` in [`GeneratorConfig`].
    pub activations: Weights<ActivationKind>,
    /// Dense layers. A list: `[Dense]` for `q_chance` 0, `[QDense]` for 1, `[Dense, QDense]` between. Default uniform.
    pub dense_layers: Weights<LayerKind>,
    /// Layers after a two-dimensional convolution. A list: `[Conv2D]` for `q_chance` 0, `[QConv2D, QSeparableConv2D,
    /// QDepthwiseConv2D]` for 1, `[Conv2D, QConv2D, QSeparableConv2D, QDepthwiseConv2D]` between. Default uniform.
    pub conv_layers: Weights<LayerKind>,
    /// Layers after a one-dimensional convolution. A list: `[Conv1D]` for `q_chance` 0, `[QConv1D]` for 1,
    /// `[Conv1D, QConv1D]` between. Default uniform.
    pub time_layers: Weights<LayerKind>,
    /// The first layer, which decides what the network's input is where [`GeneratorConfig::input`] does not. A list:
    /// `[Conv1D, Conv2D, Dense]` for `q_chance` 0, `[QConv1D, QConv2D, QDense, QSeparableConv2D, QDepthwiseConv2D]` for 1,
    /// `[Conv1D, QConv1D, Conv2D, QConv2D, QDense, Dense, QSeparableConv2D, QDepthwiseConv2D]` between. Default uniform.
    pub start_layers: Weights<LayerKind>,
    /// Border rule of convolutions. A list: `[same, valid]`. Default uniform.
    pub padding: Weights<PaddingKind>,
    /// Kind of pool. A list: `[max, average]`. Default uniform.
    pub pooling: Weights<PoolKind>,
}

/// A family of networks: every parameter of a draw. Bounds are inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorConfig {
    /// Smallest number of units of a dense layer, and of features of a drawn flat input. Default 32.
    pub dense_lb: usize,
    /// Largest of the same. Default 1024.
    pub dense_ub: usize,
    /// Smallest height and width of a drawn image input. Default 32.
    pub conv_init_size_lb: usize,
    /// Largest of the same. Default 128.
    pub conv_init_size_ub: usize,
    /// Smallest number of filters of a convolution, and of channels of a drawn image or series. Default 3.
    pub conv_filters_lb: usize,
    /// Largest of the same. Default 64.
    pub conv_filters_ub: usize,
    /// Smallest stride of a convolution. Default 1.
    pub conv_stride_lb: usize,
    /// Largest stride of a convolution. Default 3.
    pub conv_stride_ub: usize,
    /// Smallest kernel of a convolution, per axis. Default 1.
    pub conv_kernel_lb: usize,
    /// Largest kernel of a convolution, per axis; never more than its input's height or width. Default 6.
    pub conv_kernel_ub: usize,
    /// Smallest number of time steps of a drawn series input. Default 30.
    pub time_lb: usize,
    /// Largest of the same. Default 150.
    pub time_ub: usize,
    /// An image whose height or width is below this is flattened before the next layer. Where `flatten_chance` is 0,
    /// strides, kernels and pools that would go below it are not drawn. Default 8.
    pub conv_flatten_limit: usize,
    /// Probability of quantized layers. Default 0.5.
    pub q_chance: f64,
    /// Whether one coin decides for all layers of a network, or one for each layer; drawn widths follow. Default network.
    pub q_scope: Scope,
    /// Bits of quantized activations, the sign included; one number or a list to draw from. Default 8.
    pub activ_bit_width: Widths,
    /// Bits before the point of quantized rectifiers, at most their bits. Tangents and sigmoids have none. Default 4.
    pub activ_int_width: u32,
    /// Bits of quantized kernels, the sign included; one number or a list to draw from. Default 6.
    pub weight_bit_width: Widths,
    /// Bits before the point of quantized kernels, the sign not counted, at most their bits less 1. Default 3.
    pub weight_int_width: u32,
    /// Bits of quantized biases, the sign included; one number or a list to draw from. Default 8.
    pub bias_bit_width: Widths,
    /// Bits before the point of quantized biases, the sign not counted, at most their bits less 1. Default 4.
    pub bias_int_width: u32,
    /// Weights of every named choice.
    pub probs: Probs,
    /// Probability that a layer gets an activation. Default 0.5.
    pub activation_rate: f64,
    /// Probability of dropout after a dense layer (never the last). Default 0.5.
    pub dropout_chance: f64,
    /// Share that such a dropout sets to zero, below 1. Default 0.4.
    pub dropout_rate: f64,
    /// Probability, drawn before each layer after a convolution, that features are flattened and dense layers follow;
    /// certain before the last layer. 0 never allows it but there and below `conv_flatten_limit`. Default 0.5.
    pub flatten_chance: f64,
    /// Probability that a convolution is followed by a pool of 2, where its output allows. Default 0.5.
    pub pooling_chance: f64,
    /// Probability that a layer has a bias. Default 0.5.
    pub bias_rate: f64,
    /// Kinds never drawn, such as `[Dense, QDense]`; without dense layers networks stay convolutions to the end. Default none.
    pub layers_blacklist: Vec<LayerKind>,
    /// Probability of batch normalization between a layer and its activation (never after the last). Default 0.
    pub batch_norm_chance: f64,
    /// Probability that a layer becomes a residual block: its input is added to its output, and its sizes are chosen to
    /// allow that, where bounds do. Default 0.
    pub residual_chance: f64,
    /// Probability that two layers side by side take the place of one, concatenated; both count as layers. Default 0.
    pub branch_chance: f64,
    /// Probability that features become flat by global average pooling, not by flattening. Default 0.
    pub global_pooling_chance: f64,
    /// Which sizes of layers and inputs are admissible: `powers_of_two` or `{multiples_of: n}`. Default powers of two.
    pub size_grid: SizeGrid,
    /// Whether admissible sizes are equally likely, or small ones more so. Default uniform.
    pub size_law: SizeLaw,
    /// The network's input: `[features]`, `[time, channels]` or `[height, width, channels]`. Default none: drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Vec<usize>>,
    /// Classes: the last weight layer is then dense with so many units, a bias and no activation, so that its outputs
    /// are logits. Default none: the last layer is as any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Fewest weight layers of a network in a batch, the head included. Default 3.
    pub min_layer_count: usize,
    /// Most weight layers of a network in a batch, the head included. Default 8.
    pub max_layer_count: usize,
    /// How many draws in a row may be rejected before a batch gives up. Default 100000.
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
            probs: Probs {
                activations: Weights::of([
                    (ActivationKind::Relu, 0.3),
                    (ActivationKind::Tanh, 0.3),
                    (ActivationKind::Sigmoid, 0.3),
                    (ActivationKind::Softmax, 0.1),
                ]),
                ..Probs::default()
            },
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
    /// A family of small float classifiers for inputs of shape `input` and `classes` classes: rectified layers with
    /// biases, batch normalization at times, small sizes more likely than large ones, and a linear dense head. Every
    /// parameter can be changed afterwards.
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
                // Convolutions learn images and series better than dense layers do, so most networks start with one.
                start_layers: Weights::of([
                    (LayerKind::Conv1d, 6.0),
                    (LayerKind::SeparableConv1d, 2.0),
                    (LayerKind::Conv2d, 6.0),
                    (LayerKind::SeparableConv2d, 2.0),
                    (LayerKind::Dense, 1.0),
                ]),
                ..Probs::default()
            },
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

    /// Notes every value that cannot be used, by path.
    pub fn check(&self, faults: &mut Faults) {
        Tables::resolve(self, faults);
    }

    /// Every value that cannot be used, at once.
    ///
    /// # Errors
    /// [`ConfigErrors`] where there is one.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("generator")
    }
}
