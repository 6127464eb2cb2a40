//! One layer of a specification to its class and configuration.

use serde_json::{Map, Value, json};
use tinsmith_network::op::{BatchNorm, GlobalPool, Initializer, Interpolation, Op, Pool2d};
use tinsmith_network::{Activation, Padding, Pair, Quantizer};

use crate::activation::{write_fused, write_layer as write_activation, write_quantizer};
use crate::initializer;

/// A layer's class, configuration and the module that has the class.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) class: String,
    pub(crate) module: &'static str,
    pub(crate) config: Map<String, Value>,
}

/// Why there is no class for a layer.
pub(crate) type Refusal = String;

impl Stored {
    fn new(class: impl Into<String>, config: Value) -> Self {
        let class = class.into();
        let module = module(&class);
        let config = if let Value::Object(map) = config { map } else { Map::new() };
        Self { class, module, config }
    }

    fn with(mut self, config: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        self.config.extend(config.into_iter().map(|(key, value)| (key.to_owned(), value)));
        self
    }
}

fn module(class: &str) -> &'static str {
    match class {
        "QDense" | "QActivation" => "qkeras.qlayers",
        "QBatchNormalization" => "qkeras.qnormalization",
        "QAveragePooling2D" | "QGlobalAveragePooling2D" => "qkeras.qpooling",
        "QConv2DBatchnorm" => "qkeras.qconv2d_batchnorm",
        "QDepthwiseConv2DBatchnorm" => "qkeras.qdepthwiseconv2d_batchnorm",
        _ if class.starts_with('Q') => "qkeras.qconvolutional",
        _ => "keras.layers",
    }
}

/// The weights, bias and activation of a dense or convolutional layer.
struct Weighted<'a> {
    /// Keras' class, without a Q.
    class: &'static str,
    has_quantized_class: bool,
    quantizers: Vec<(&'static str, Option<&'a Quantizer>)>,
    initializers: Vec<(&'static str, Initializer)>,
    use_bias: bool,
    activation: &'a Activation,
}

impl Weighted<'_> {
    fn store(self, config: Value) -> Result<Stored, Refusal> {
        let quantized =
            self.quantizers.iter().any(|(_, q)| q.is_some()) || self.activation.quantizer().is_some();
        if quantized && !self.has_quantized_class {
            return Err(format!("has quantizers, and QKeras has no quantized {}", self.class));
        }
        let class = if quantized { format!("Q{}", self.class) } else { self.class.to_owned() };
        let activation = fused(self.activation, quantized)?;
        let mut stored = Stored::new(class, config).with([
            ("use_bias", Value::from(self.use_bias)),
            ("activation", activation),
            ("bias_initializer", initializer::write(Initializer::Zeros)),
        ]);
        stored = stored.with(self.initializers.into_iter().map(|(key, i)| (key, initializer::write(i))));
        if quantized {
            let quantizers = self.quantizers.into_iter();
            stored = stored.with(quantizers.map(|(key, q)| (key, q.map_or(Value::Null, write_quantizer))));
        }
        Ok(stored)
    }
}

fn fused(activation: &Activation, quantized: bool) -> Result<Value, Refusal> {
    write_fused(activation, quantized).ok_or_else(|| {
        let class = if quantized { "a quantized layer of QKeras" } else { "a layer of Keras 2.15" };
        format!("has the activation {activation}, which {class} cannot fuse")
    })
}

fn pair(pair: Pair) -> Value {
    json!([pair.height, pair.width])
}

fn padding(padding: Padding) -> &'static str {
    match padding {
        Padding::Valid => "valid",
        Padding::Same => "same",
        Padding::Causal => "causal",
    }
}

fn window1d(kernel: usize, stride: usize, dilation: usize, border: Padding) -> Value {
    json!({
        "kernel_size": [kernel], "strides": [stride], "dilation_rate": [dilation], "padding": padding(border),
        "data_format": "channels_last",
    })
}

fn window2d(kernel: Pair, stride: Pair, dilation: Pair, border: Padding) -> Value {
    json!({
        "kernel_size": pair(kernel), "strides": pair(stride), "dilation_rate": pair(dilation),
        "padding": padding(border), "data_format": "channels_last",
    })
}

/// The class and configuration of `op`; a reason where Keras 2.15 and QKeras 0.9.0 have none.
pub(crate) fn write(op: &Op) -> Result<Stored, Refusal> {
    if let Some((field, learned)) = op.learned_quantizers().first() {
        let kind = learned.kind();
        return Err(format!("has the {field} {kind}, which Keras 2.15 and QKeras 0.9.0 have no class for"));
    }
    match op {
        Op::Dense(_) | Op::Conv1d(_) | Op::Conv2d(_) | Op::Conv2dTranspose(_) => write_dense_or_conv(op),
        Op::DepthwiseConv1d(_) | Op::DepthwiseConv2d(_) | Op::SeparableConv1d(_) | Op::SeparableConv2d(_) => {
            write_depthwise(op)
        }
        Op::BatchNorm(norm) => Ok(batch_norm(norm)),
        Op::LayerNorm(norm) => Ok(Stored::new(
            "LayerNormalization",
            json!({ "axis": -1, "epsilon": norm.epsilon, "center": norm.center, "scale": norm.scale }),
        )),
        Op::Activation(activation) => match write_activation(activation) {
            Some((class, config)) => Ok(Stored::new(class, config)),
            None => Err(format!("is {activation}, which Keras 2.15 and QKeras 0.9.0 have no layer for")),
        },
        Op::Input(input) => {
            if input.quantizer.is_some() {
                return Err(
                    "has a quantizer, which Keras' inputs cannot have; want an activation layer after it"
                        .to_owned(),
                );
            }
            let axes: Vec<Value> =
                std::iter::once(Value::Null).chain(input.shape.iter().map(|&d| Value::from(d))).collect();
            Ok(Stored::new(
                "InputLayer",
                json!({ "batch_input_shape": axes, "sparse": false, "ragged": false }),
            ))
        }
        _ => write_plain(op),
    }
}

fn write_dense_or_conv(op: &Op) -> Result<Stored, Refusal> {
    match op {
        Op::Dense(d) => weighted("Dense", true, &d.activation, d.use_bias)
            .kernel(d.kernel_quantizer.as_ref(), d.bias_quantizer.as_ref(), d.kernel_initializer)
            .store(json!({ "units": d.units })),
        Op::Conv1d(c) => weighted("Conv1D", true, &c.activation, c.use_bias)
            .kernel(c.kernel_quantizer.as_ref(), c.bias_quantizer.as_ref(), c.kernel_initializer)
            .store(window1d(c.kernel, c.stride, c.dilation, c.padding))
            .map(|s| s.with([("filters", Value::from(c.filters)), ("groups", Value::from(c.groups))])),
        Op::Conv2d(c) => weighted("Conv2D", true, &c.activation, c.use_bias)
            .kernel(c.kernel_quantizer.as_ref(), c.bias_quantizer.as_ref(), c.kernel_initializer)
            .store(window2d(c.kernel, c.stride, c.dilation, c.padding))
            .map(|s| s.with([("filters", Value::from(c.filters)), ("groups", Value::from(c.groups))])),
        Op::Conv2dTranspose(c) => weighted("Conv2DTranspose", true, &c.activation, c.use_bias)
            .kernel(c.kernel_quantizer.as_ref(), c.bias_quantizer.as_ref(), c.kernel_initializer)
            .store(window2d(c.kernel, c.stride, c.dilation, c.padding))
            .map(|s| s.with([("filters", Value::from(c.filters)), ("output_padding", Value::Null)])),
        other => Err(no_class(other)),
    }
}

fn write_depthwise(op: &Op) -> Result<Stored, Refusal> {
    match op {
        Op::DepthwiseConv1d(c) => weighted("DepthwiseConv1D", false, &c.activation, c.use_bias)
            .depthwise(c.depthwise_quantizer.as_ref(), c.bias_quantizer.as_ref(), c.depthwise_initializer)
            .store(window1d(c.kernel, c.stride, c.dilation, c.padding))
            .map(|s| s.with([("depth_multiplier", Value::from(c.depth_multiplier))])),
        Op::DepthwiseConv2d(c) => weighted("DepthwiseConv2D", true, &c.activation, c.use_bias)
            .depthwise(c.depthwise_quantizer.as_ref(), c.bias_quantizer.as_ref(), c.depthwise_initializer)
            .store(window2d(c.kernel, c.stride, c.dilation, c.padding))
            .map(|s| s.with([("depth_multiplier", Value::from(c.depth_multiplier))])),
        Op::SeparableConv1d(c) => weighted("SeparableConv1D", true, &c.activation, c.use_bias)
            .depthwise(c.depthwise_quantizer.as_ref(), c.bias_quantizer.as_ref(), c.depthwise_initializer)
            .pointwise(c.pointwise_quantizer.as_ref(), c.pointwise_initializer)
            .store(window1d(c.kernel, c.stride, c.dilation, c.padding))
            .map(|s| separable(s, c.filters, c.depth_multiplier)),
        Op::SeparableConv2d(c) => weighted("SeparableConv2D", true, &c.activation, c.use_bias)
            .depthwise(c.depthwise_quantizer.as_ref(), c.bias_quantizer.as_ref(), c.depthwise_initializer)
            .pointwise(c.pointwise_quantizer.as_ref(), c.pointwise_initializer)
            .store(window2d(c.kernel, c.stride, c.dilation, c.padding))
            .map(|s| separable(s, c.filters, c.depth_multiplier)),
        other => Err(no_class(other)),
    }
}

fn separable(stored: Stored, filters: usize, multiplier: usize) -> Stored {
    stored.with([("filters", Value::from(filters)), ("depth_multiplier", Value::from(multiplier))])
}

fn weighted<'a>(
    class: &'static str,
    has_quantized_class: bool,
    activation: &'a Activation,
    use_bias: bool,
) -> Weighted<'a> {
    Weighted {
        class,
        has_quantized_class,
        quantizers: Vec::new(),
        initializers: Vec::new(),
        use_bias,
        activation,
    }
}

impl<'a> Weighted<'a> {
    fn kernel(
        mut self,
        kernel: Option<&'a Quantizer>,
        bias: Option<&'a Quantizer>,
        start: Initializer,
    ) -> Self {
        self.quantizers = vec![("kernel_quantizer", kernel), ("bias_quantizer", bias)];
        self.initializers = vec![("kernel_initializer", start)];
        self
    }

    fn depthwise(
        mut self,
        kernel: Option<&'a Quantizer>,
        bias: Option<&'a Quantizer>,
        start: Initializer,
    ) -> Self {
        self.quantizers = vec![("depthwise_quantizer", kernel), ("bias_quantizer", bias)];
        self.initializers = vec![("depthwise_initializer", start)];
        self
    }

    fn pointwise(mut self, kernel: Option<&'a Quantizer>, start: Initializer) -> Self {
        self.quantizers.push(("pointwise_quantizer", kernel));
        self.initializers.push(("pointwise_initializer", start));
        self
    }
}

fn norm_config(norm: &BatchNorm) -> [(&'static str, Value); 5] {
    [
        ("axis", json!([-1])),
        ("momentum", Value::from(norm.momentum)),
        ("epsilon", Value::from(norm.epsilon)),
        ("center", Value::from(norm.center)),
        ("scale", Value::from(norm.scale)),
    ]
}

fn norm_quantizers(norm: &BatchNorm) -> [(&'static str, Option<&Quantizer>); 4] {
    [
        ("gamma_quantizer", norm.gamma_quantizer.as_ref()),
        ("beta_quantizer", norm.beta_quantizer.as_ref()),
        ("mean_quantizer", norm.mean_quantizer.as_ref()),
        ("variance_quantizer", norm.variance_quantizer.as_ref()),
    ]
}

fn batch_norm(norm: &BatchNorm) -> Stored {
    let quantizers = norm_quantizers(norm);
    if quantizers.iter().all(|(_, q)| q.is_none()) {
        return Stored::new("BatchNormalization", json!({})).with(norm_config(norm));
    }
    // QKeras has quantizers of its own where a key is left out, so that null is written too.
    Stored::new("QBatchNormalization", json!({}))
        .with(norm_config(norm))
        .with(quantizers.into_iter().map(|(key, q)| (key, q.map_or(Value::Null, write_quantizer))))
}

/// The folded class for a convolution and the normalization and activation after it.
pub(crate) fn write_folded(conv: &Op, norm: &BatchNorm, activation: &Activation) -> Result<Stored, Refusal> {
    let mut stored = match conv {
        Op::Conv2d(_) | Op::DepthwiseConv2d(_) => write(conv)?,
        other => {
            return Err(format!(
                "is folded into a {}, and QKeras 0.9.0 folds into conv2d and depthwise_conv2d only",
                other.name()
            ));
        }
    };
    if let Some((key, _)) = norm_quantizers(norm).iter().find(|(_, q)| q.is_some()) {
        return Err(format!("has a {key}, which the folded layers of QKeras cannot have"));
    }
    let activation = fused(activation, true)?;
    let (class, kernel) = match conv {
        Op::Conv2d(_) => ("QConv2DBatchnorm", "kernel_quantizer"),
        _ => ("QDepthwiseConv2DBatchnorm", "depthwise_quantizer"),
    };
    for key in [kernel, "bias_quantizer"] {
        stored.config.entry(key).or_insert(Value::Null);
    }
    stored.class = class.to_owned();
    stored.module = module(class);
    Ok(stored.with(norm_config(norm)).with([
        ("activation", activation),
        ("folding_mode", Value::from("ema_stats_folding")),
        ("ema_freeze_delay", Value::Null),
    ]))
}

fn no_class(op: &Op) -> Refusal {
    format!("is {}, which Keras 2.15 has no layer for", op.name())
}

fn write_plain(op: &Op) -> Result<Stored, Refusal> {
    Ok(match op {
        Op::MaxPool1d(p) | Op::AveragePool1d(p) => {
            plain_pool(&p.activation, p.average_quantizer.as_ref())?;
            let class = if matches!(op, Op::MaxPool1d(_)) { "MaxPooling1D" } else { "AveragePooling1D" };
            let (size, stride) = (p.size, p.stride());
            Stored::new(
                class,
                json!({
                    "pool_size": [size], "strides": [stride], "padding": padding(p.padding),
                    "data_format": "channels_last",
                }),
            )
        }
        Op::MaxPool2d(p) => {
            plain_pool(&p.activation, p.average_quantizer.as_ref())?;
            Stored::new("MaxPooling2D", pool2d(p))
        }
        Op::AveragePool2d(p) => {
            quantized_pool("AveragePooling2D", pool2d(p), &p.activation, p.average_quantizer.as_ref())?
        }
        Op::GlobalMaxPool1d(p) => global("GlobalMaxPooling1D", p)?,
        Op::GlobalMaxPool2d(p) => global("GlobalMaxPooling2D", p)?,
        Op::GlobalAveragePool1d(p) => global("GlobalAveragePooling1D", p)?,
        Op::GlobalAveragePool2d(p) => quantized_pool(
            "GlobalAveragePooling2D",
            json!({ "data_format": "channels_last", "keepdims": p.keep_dims }),
            &p.activation,
            p.average_quantizer.as_ref(),
        )?,
        Op::Flatten(_) => Stored::new("Flatten", json!({ "data_format": "channels_last" })),
        Op::Reshape(r) => Stored::new("Reshape", json!({ "target_shape": r.shape })),
        Op::Permute(p) => Stored::new("Permute", json!({ "dims": p.dims })),
        Op::UpSampling1d(u) => Stored::new("UpSampling1D", json!({ "size": u.size })),
        Op::UpSampling2d(u) => {
            let interpolation = match u.interpolation {
                Interpolation::Nearest => "nearest",
                Interpolation::Bilinear => "bilinear",
            };
            Stored::new(
                "UpSampling2D",
                json!({ "size": pair(u.size), "data_format": "channels_last", "interpolation": interpolation }),
            )
        }
        Op::Cropping1d(b) => Stored::new("Cropping1D", json!({ "cropping": [b.before, b.after] })),
        Op::ZeroPadding1d(b) => Stored::new("ZeroPadding1D", json!({ "padding": [b.before, b.after] })),
        Op::Cropping2d(b) => Stored::new(
            "Cropping2D",
            json!({ "cropping": [[b.top, b.bottom], [b.left, b.right]], "data_format": "channels_last" }),
        ),
        Op::ZeroPadding2d(b) => Stored::new(
            "ZeroPadding2D",
            json!({ "padding": [[b.top, b.bottom], [b.left, b.right]], "data_format": "channels_last" }),
        ),
        Op::Add(_) => Stored::new("Add", json!({})),
        Op::Subtract(_) => Stored::new("Subtract", json!({})),
        Op::Multiply(_) => Stored::new("Multiply", json!({})),
        Op::Concat(c) => Stored::new("Concatenate", json!({ "axis": c.axis })),
        Op::Dropout(d) => {
            Stored::new("Dropout", json!({ "rate": d.rate, "noise_shape": null, "seed": null }))
        }
        other => return Err(no_class(other)),
    })
}

fn pool2d(pool: &Pool2d) -> Value {
    json!({
        "pool_size": pair(pool.size), "strides": pair(pool.stride()), "padding": padding(pool.padding),
        "data_format": "channels_last",
    })
}

fn plain_pool(activation: &Activation, quantizer: Option<&Quantizer>) -> Result<(), Refusal> {
    if activation.is_linear() && quantizer.is_none() {
        return Ok(());
    }
    Err("has an activation or a quantizer, and QKeras has quantized pooling for means over images only"
        .to_owned())
}

fn global(class: &str, pool: &GlobalPool) -> Result<Stored, Refusal> {
    plain_pool(&pool.activation, pool.average_quantizer.as_ref())?;
    Ok(Stored::new(class, json!({ "data_format": "channels_last", "keepdims": pool.keep_dims })))
}

fn quantized_pool(
    class: &str,
    config: Value,
    activation: &Activation,
    quantizer: Option<&Quantizer>,
) -> Result<Stored, Refusal> {
    if activation.is_linear() && quantizer.is_none() {
        return Ok(Stored::new(class, config));
    }
    let activation = if activation.is_linear() { Value::Null } else { fused(activation, true)? };
    Ok(Stored::new(format!("Q{class}"), config).with([
        ("average_quantizer", quantizer.map_or(Value::Null, write_quantizer)),
        ("activation", activation),
    ]))
}
