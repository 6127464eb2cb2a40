//! Export of one layer: its class and configuration.

use serde_json::{Map, Value, json};
use tinsmith_network::op::{BatchNorm, Interpolation, PerChannel};
use tinsmith_network::{Activation, Op, Padding, Pair, Pooling, Product, ProductKind, Quantizer};

use crate::activation::{write_fused, write_layer as write_activation, write_quantizer};
use crate::initializer;
use crate::kernel_keys::{initializer_key, quantizer_key};

/// Class and configuration of a layer, and the module of the class.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) class: String,
    pub(crate) module: &'static str,
    pub(crate) config: Map<String, Value>,
}

/// Reason for the lack of a class.
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

/// The class and configuration of a layer that multiplies by weights.
fn write_product(op: &Op, product: &Product) -> Result<Stored, Refusal> {
    let activation = op.activation().unwrap_or(&Activation::Linear);
    let quantizers = product.kernels().map(|kernel| (quantizer_key(kernel.name), kernel.quantizer));
    let quantizers: Vec<_> = quantizers.chain([("bias_quantizer", product.bias_quantizer)]).collect();
    let is_quantized = quantizers.iter().any(|(_, q)| q.is_some()) || activation.quantizer().is_some();
    let class = if is_quantized {
        op.qkeras_class()
            .ok_or_else(|| format!("has quantizers, and QKeras has no quantized {}", op.keras_class()))?
    } else {
        op.keras_class()
    };
    let window = product.window;
    let config = match product.spatial_axes {
        0 => json!({}),
        1 => json!({
            "kernel_size": [window.size.width], "strides": [window.stride.width],
            "dilation_rate": [window.dilation.width], "padding": padding(window.padding),
            "data_format": "channels_last",
        }),
        _ => json!({
            "kernel_size": pair(window.size), "strides": pair(window.stride), "dilation_rate": pair(window.dilation),
            "padding": padding(window.padding), "data_format": "channels_last",
        }),
    };
    let mut stored = Stored::new(class, config).with([
        ("use_bias", Value::from(product.use_bias)),
        ("activation", fused(activation, is_quantized)?),
        ("bias_initializer", initializer::write(product.bias_initializer)),
    ]);
    stored = stored.with(
        product
            .kernels()
            .map(|kernel| (initializer_key(kernel.name), initializer::write(kernel.initializer))),
    );
    if is_quantized {
        stored = stored.with(
            quantizers.into_iter().map(|(key, q)| (key, q.as_ref().map_or(Value::Null, write_quantizer))),
        );
    }
    let filters = product.filters.map(Value::from);
    let multiplier = ("depth_multiplier", Value::from(product.depth_multiplier));
    Ok(match product.kind {
        ProductKind::Dense => stored.with(filters.map(|units| ("units", units))),
        ProductKind::Convolution => stored
            .with(filters.map(|filters| ("filters", filters)))
            .with([("groups", Value::from(product.groups))]),
        ProductKind::Transposed => {
            stored.with(filters.map(|filters| ("filters", filters))).with([("output_padding", Value::Null)])
        }
        ProductKind::Depthwise => stored.with([multiplier]),
        ProductKind::Separable => stored.with(filters.map(|filters| ("filters", filters))).with([multiplier]),
    })
}

fn constants(constants: &PerChannel) -> Value {
    match constants {
        PerChannel::All(value) => json!(value),
        PerChannel::Each(values) => json!(values),
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

/// Class and configuration of `op`; a reason if Keras 2.15 and QKeras 0.9.0 have none.
pub(crate) fn write(op: &Op) -> Result<Stored, Refusal> {
    if let Some((field, learned)) = op.learned_quantizers().first() {
        let kind = learned.kind();
        return Err(format!("has the {field} {kind}, which Keras 2.15 and QKeras 0.9.0 have no class for"));
    }
    if let Some(product) = op.product() {
        return write_product(op, &product);
    }
    if let Some(pooling) = op.pooling() {
        return write_pooling(op, &pooling);
    }
    match op {
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
    // Null is written explicitly, since QKeras has default quantizers for missing keys.
    Stored::new("QBatchNormalization", json!({}))
        .with(norm_config(norm))
        .with(quantizers.into_iter().map(|(key, q)| (key, q.map_or(Value::Null, write_quantizer))))
}

/// Folded class of a convolution and the normalization and activation after it.
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
        Op::Add(_) | Op::Subtract(_) | Op::Multiply(_) => Stored::new(op.keras_class(), json!({})),
        Op::Rescaling(r) => Stored::new(
            op.keras_class(),
            json!({ "scale": constants(&r.scale), "offset": constants(&r.offset) }),
        ),
        Op::Concat(c) => Stored::new("Concatenate", json!({ "axis": c.axis })),
        Op::Dropout(d) => {
            Stored::new("Dropout", json!({ "rate": d.rate, "noise_shape": null, "seed": null }))
        }
        other => return Err(no_class(other)),
    })
}

fn write_pooling(op: &Op, pooling: &Pooling<'_>) -> Result<Stored, Refusal> {
    let config = match (pooling.window, pooling.spatial_axes) {
        (Some(window), 1) => json!({
            "pool_size": [window.size.width], "strides": [window.stride.width],
            "padding": padding(window.padding), "data_format": "channels_last",
        }),
        (Some(window), _) => json!({
            "pool_size": pair(window.size), "strides": pair(window.stride), "padding": padding(window.padding),
            "data_format": "channels_last",
        }),
        (None, _) => json!({ "data_format": "channels_last", "keepdims": pooling.keep_dims }),
    };
    let activation = pooling.activation;
    if activation.is_linear() && pooling.average_quantizer.is_none() {
        return Ok(Stored::new(op.keras_class(), config));
    }
    let Some(class) = op.qkeras_class() else {
        return Err(
            "has an activation or a quantizer, and QKeras has quantized pooling for means over images only"
                .to_owned(),
        );
    };
    let activation = if activation.is_linear() { Value::Null } else { fused(activation, true)? };
    Ok(Stored::new(class, config).with([
        ("average_quantizer", pooling.average_quantizer.map_or(Value::Null, write_quantizer)),
        ("activation", activation),
    ]))
}
