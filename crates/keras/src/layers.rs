//! Import of one layer of the document: the layers of a specification that compute the same.

use serde_json::Value;
use tinsmith_network::op::{
    BatchNorm, Border1d, Border2d, Concat, Dropout, Flatten, GlobalPool, Initializer, Input, Interpolation,
    LayerNorm, Merge, Op, PerChannel, Permute, Pool1d, Pool2d, Rescaling, Reshape, UpSampling1d,
    UpSampling2d,
};
use tinsmith_network::{Activation, Padding, Pair, Product, ProductKind, Quantizer, SlidingWindow};

use crate::activation::{self, Dialect};
use crate::fields::{Fields, Read, Wrong};
use crate::initializer;
use crate::kernel_keys::{initializer_key, quantizer_key};

/// QKeras' classes, without their Q.
const QUANTIZED: [&str; 13] = [
    "Dense",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "Activation",
    "BatchNormalization",
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "Conv2DBatchnorm",
    "DepthwiseConv2DBatchnorm",
];

/// Expansion of one layer of the document: a name suffix and an operation for each layer, and the axes of a
/// normalization, which are checked when the rank is known.
#[derive(Debug)]
pub(crate) struct Layers {
    pub(crate) ops: Vec<(&'static str, Op)>,
    pub(crate) axes: Vec<i64>,
}

impl From<Op> for Layers {
    fn from(op: Op) -> Self {
        Self { ops: vec![("", op)], axes: Vec::new() }
    }
}

/// Reads a layer of class `class`.
pub(crate) fn read(class: &str, fields: &mut Fields<'_>, keras: Dialect, class_place: &str) -> Read<Layers> {
    let plain = class.strip_prefix('Q').filter(|rest| QUANTIZED.contains(rest));
    let mut reader =
        Reader { quantized: plain.is_some(), dialect: plain.map_or(keras, |_| Dialect::Qkeras), fields };
    reader.fields.check_settings()?;
    let layers = reader.class(plain.unwrap_or(class)).unwrap_or_else(|| {
        Err(Wrong {
            path: class_place.to_owned(),
            message: format!("is `{class}`, a layer that is not read"),
        })
    })?;
    reader.fields.finish(class)?;
    Ok(layers)
}

fn pair([height, width]: [usize; 2]) -> Pair {
    Pair { height, width }
}

struct Reader<'r, 'a> {
    quantized: bool,
    dialect: Dialect,
    fields: &'r mut Fields<'a>,
}

impl Reader<'_, '_> {
    /// Reads a layer of class `class`; None for an unknown class.
    fn class(&mut self, class: &str) -> Option<Read<Layers>> {
        Some(match class {
            "Dense" => self.product(ProductKind::Dense, 0).map(Layers::from),
            "Conv1D" => self.product(ProductKind::Convolution, 1).map(Layers::from),
            "Conv2D" => self.product(ProductKind::Convolution, 2).map(Layers::from),
            "Conv2DTranspose" => self.product(ProductKind::Transposed, 2).map(Layers::from),
            "DepthwiseConv1D" => self.product(ProductKind::Depthwise, 1).map(Layers::from),
            "DepthwiseConv2D" => self.product(ProductKind::Depthwise, 2).map(Layers::from),
            "SeparableConv1D" => self.product(ProductKind::Separable, 1).map(Layers::from),
            "SeparableConv2D" => self.product(ProductKind::Separable, 2).map(Layers::from),
            "Conv2DBatchnorm" if self.quantized => self.folded(ProductKind::Convolution),
            "DepthwiseConv2DBatchnorm" if self.quantized => self.folded(ProductKind::Depthwise),
            "BatchNormalization" => self
                .batch_norm(false)
                .map(|(norm, axes)| Layers { ops: vec![("", Op::BatchNorm(norm))], axes }),
            "LayerNormalization" => self.layer_norm(),
            "Rescaling" => self.rescaling().map(Layers::from),
            "Normalization" => self.normalization(),
            "InputLayer" => self.input().map(Layers::from),
            "Activation" => self.activation().map(|a| Op::Activation(a).into()),
            "LeakyReLU" | "ReLU" | "ELU" | "PReLU" | "Softmax" => {
                activation::layer(class, self.fields).map(|a| Op::Activation(a).into())
            }
            _ => return self.plain_class(class).map(|read| read.map(Layers::from)),
        })
    }

    fn plain_class(&mut self, class: &str) -> Option<Read<Op>> {
        Some(match class {
            "MaxPooling1D" => self.pool1d().map(Op::MaxPool1d),
            "AveragePooling1D" => self.pool1d().map(Op::AveragePool1d),
            "MaxPooling2D" => self.pool2d().map(Op::MaxPool2d),
            "AveragePooling2D" => self.pool2d().map(Op::AveragePool2d),
            "GlobalMaxPooling1D" => self.global_pool().map(Op::GlobalMaxPool1d),
            "GlobalMaxPooling2D" => self.global_pool().map(Op::GlobalMaxPool2d),
            "GlobalAveragePooling1D" => self.global_pool().map(Op::GlobalAveragePool1d),
            "GlobalAveragePooling2D" => self.global_pool().map(Op::GlobalAveragePool2d),
            "Flatten" => Ok(Op::Flatten(Flatten {})),
            "Reshape" => self.fields.integers("target_shape").map(|shape| Op::Reshape(Reshape { shape })),
            "Permute" => self.permute(),
            "UpSampling1D" => {
                self.fields.single("size", 2).map(|size| Op::UpSampling1d(UpSampling1d { size }))
            }
            "UpSampling2D" => self.up_sampling2d(),
            "Cropping1D" => self.border1d("cropping").map(Op::Cropping1d),
            "ZeroPadding1D" => self.border1d("padding").map(Op::ZeroPadding1d),
            "Cropping2D" => self.border2d("cropping").map(Op::Cropping2d),
            "ZeroPadding2D" => self.border2d("padding").map(Op::ZeroPadding2d),
            "Add" => Ok(Op::Add(Merge {})),
            "Subtract" => Ok(Op::Subtract(Merge {})),
            "Multiply" => Ok(Op::Multiply(Merge {})),
            "Concatenate" => self.concat(),
            "Dropout" => self.dropout(),
            _ => return None,
        })
    }

    fn input(&mut self) -> Read<Op> {
        for key in ["sparse", "ragged"] {
            self.fields.only(key, &Value::Bool(false))?;
        }
        let key =
            if self.fields.value("batch_shape").is_some() { "batch_shape" } else { "batch_input_shape" };
        let value = self.fields.required(key)?;
        let shape = sample_shape(value).map_err(|message| self.fields.wrong(key, message))?;
        Ok(Op::Input(Input { shape, quantizer: None }))
    }

    fn activation(&mut self) -> Read<Activation> {
        activation::read(self.fields, "activation", self.dialect)
    }

    fn quantizer(&mut self, key: &str) -> Read<Option<Quantizer>> {
        if self.quantized { activation::quantizer(self.fields, key) } else { Ok(None) }
    }

    fn padding(&mut self) -> Read<Padding> {
        match self.fields.text("padding")? {
            None | Some("valid") => Ok(Padding::Valid),
            Some("same") => Ok(Padding::Same),
            Some("causal") => Ok(Padding::Causal),
            Some(other) => {
                Err(self.fields.wrong("padding", format!("is `{other}`, want valid, same or causal")))
            }
        }
    }

    fn sizes(&mut self, key: &str, spatial_axes: usize) -> Read<Option<Pair>> {
        if spatial_axes == 1 {
            return Ok(self.fields.sizes(key)?.map(|[width]| Pair::new(1, width)));
        }
        Ok(self.fields.sizes(key)?.map(pair))
    }

    fn window(&mut self, spatial_axes: usize) -> Read<SlidingWindow> {
        let size = self.sizes("kernel_size", spatial_axes)?;
        Ok(SlidingWindow {
            size: size.ok_or_else(|| self.fields.wrong("kernel_size", "is missing"))?,
            stride: self.sizes("strides", spatial_axes)?.unwrap_or(Pair::ONE),
            dilation: self.sizes("dilation_rate", spatial_axes)?.unwrap_or(Pair::ONE),
            padding: self.padding()?,
        })
    }

    /// Reads a layer that multiplies by weights.
    fn product(&mut self, kind: ProductKind, spatial_axes: usize) -> Read<Op> {
        let window = if spatial_axes == 0 { SlidingWindow::POINT } else { self.window(spatial_axes)? };
        let filters = match kind {
            ProductKind::Dense => self.fields.required_count("units")?,
            ProductKind::Depthwise => 0,
            _ => self.fields.required_count("filters")?,
        };
        let mut product = Product { window, ..Product::new(kind, spatial_axes, filters, window.size) };
        product.use_bias = self.fields.flag("use_bias", true)?;
        let activation = self.activation()?;
        product.bias_quantizer = self.quantizer("bias_quantizer")?;
        product.bias_initializer = initializer::read(self.fields, "bias_initializer", Initializer::Zeros)?;
        match kind {
            ProductKind::Dense => {}
            ProductKind::Convolution => product.groups = self.fields.count("groups")?.unwrap_or(1),
            // Keras stores `groups` even for layers that have one group only.
            ProductKind::Transposed | ProductKind::Depthwise | ProductKind::Separable => {
                self.fields.only("groups", &Value::from(1))?;
            }
        }
        if matches!(kind, ProductKind::Depthwise | ProductKind::Separable) {
            product.depth_multiplier = self.fields.count("depth_multiplier")?.unwrap_or(1);
        }
        for kernel in std::iter::once(&mut product.kernel).chain(&mut product.pointwise) {
            kernel.quantizer = self.quantizer(quantizer_key(kernel.name))?.map(Quantizer::for_kernel);
            kernel.initializer =
                initializer::read(self.fields, initializer_key(kernel.name), Initializer::default())?;
        }
        if kind == ProductKind::Separable {
            // Separable layers inherit these settings without using them.
            self.fields.skip(&["kernel_initializer", "pointwise_initializer"]);
        }
        Ok(product.into_op(activation).expect("invariant: every class read here has a kind of layer"))
    }

    /// Reads a convolution over images that is trained with a folded batch normalization.
    fn folded(&mut self, kind: ProductKind) -> Read<Layers> {
        let mut conv = self.product(kind, 2)?;
        let fused =
            conv.activation_mut().expect("invariant: layers that multiply by weights have an activation");
        let activation = std::mem::take(fused);
        self.fields.skip(&["folding_mode", "ema_freeze_delay"]);
        let (norm, axes) = self.batch_norm(true)?;
        let mut ops = vec![("", conv), ("_batch_norm", Op::BatchNorm(norm))];
        if !activation.is_linear() {
            ops.push(("_activation", Op::Activation(activation)));
        }
        Ok(Layers { ops, axes })
    }

    fn axes(&mut self) -> Read<Vec<i64>> {
        if self.fields.value("axis").is_none() {
            return Ok(vec![-1]);
        }
        let axes = self.fields.integers("axis")?;
        if axes.len() == 1 {
            Ok(axes)
        } else {
            Err(self.fields.wrong("axis", "has several axes, want the last alone"))
        }
    }

    fn batch_norm(&mut self, fold: bool) -> Read<(BatchNorm, Vec<i64>)> {
        for (key, only) in [
            ("beta_initializer", Initializer::Zeros),
            ("gamma_initializer", Initializer::Ones),
            ("moving_mean_initializer", Initializer::Zeros),
            ("moving_variance_initializer", Initializer::Ones),
        ] {
            initializer::expect(self.fields, key, only)?;
        }
        // The momentum of a renormalization has no effect without one, and renormalization is refused.
        self.fields.only("renorm", &Value::Bool(false))?;
        self.fields.skip(&["synchronized", "renorm_momentum"]);
        let default = BatchNorm::default();
        let quantized = !fold;
        let mut quantizer = |key: &str| if quantized { self.quantizer(key) } else { Ok(None) };
        let gamma_quantizer = quantizer("gamma_quantizer")?;
        let beta_quantizer = quantizer("beta_quantizer")?;
        let mean_quantizer = quantizer("mean_quantizer")?;
        let variance_quantizer = quantizer("variance_quantizer")?;
        let norm = BatchNorm {
            momentum: self.fields.number("momentum")?.unwrap_or(default.momentum),
            epsilon: self.fields.number("epsilon")?.unwrap_or(default.epsilon),
            center: self.fields.flag("center", true)?,
            scale: self.fields.flag("scale", true)?,
            fold,
            gamma_quantizer,
            beta_quantizer,
            mean_quantizer,
            variance_quantizer,
        };
        Ok((norm, self.axes()?))
    }

    fn layer_norm(&mut self) -> Read<Layers> {
        initializer::expect(self.fields, "beta_initializer", Initializer::Zeros)?;
        initializer::expect(self.fields, "gamma_initializer", Initializer::Ones)?;
        let norm = LayerNorm {
            epsilon: self.fields.number("epsilon")?.unwrap_or(1e-3),
            center: self.fields.flag("center", true)?,
            scale: self.fields.flag("scale", true)?,
        };
        Ok(Layers { ops: vec![("", Op::LayerNorm(norm))], axes: self.axes()? })
    }

    fn rescaling(&mut self) -> Read<Op> {
        let scale = self.constants("scale")?.ok_or_else(|| self.fields.wrong("scale", "is missing"))?;
        let offset = self.constants("offset")?.unwrap_or(PerChannel::All(0.0));
        Ok(Op::Rescaling(Rescaling { scale, offset }))
    }

    /// A normalization by constants is a rescaling. An adapted one has weights and is refused.
    fn normalization(&mut self) -> Read<Layers> {
        self.fields.only("invert", &Value::Bool(false))?;
        let (mean, variance) = (self.constants("mean")?, self.constants("variance")?);
        let (Some(mean), Some(variance)) = (mean, variance) else {
            return Err(self.fields.wrong(
                "mean",
                "is null: mean and variance were adapted to data and are weights, which is not read; want constants",
            ));
        };
        // Keras keeps a constant channel from dividing by 0 with its `epsilon()`.
        let inverse = |variance: &f64| 1.0 / variance.sqrt().max(1e-7);
        let scale = match &variance {
            PerChannel::All(variance) => PerChannel::All(inverse(variance)),
            PerChannel::Each(variances) => PerChannel::Each(variances.iter().map(inverse).collect()),
        };
        let channels = mean.values().len().max(scale.values().len());
        let offsets: Option<Vec<f64>> =
            (0..channels).map(|c| Some(-pick(&mean, c)? * pick(&scale, c)?)).collect();
        let offset = match offsets.as_deref() {
            Some([only]) => PerChannel::All(*only),
            Some(several) => PerChannel::Each(several.to_vec()),
            None => return Err(self.fields.wrong("variance", "has another length than mean")),
        };
        Ok(Layers { ops: vec![("", Op::Rescaling(Rescaling { scale, offset }))], axes: self.axes()? })
    }

    /// A number, or one for each channel, the axes before the last having length 1.
    fn constants(&mut self, key: &str) -> Read<Option<PerChannel>> {
        let Some(value) = self.fields.value(key) else { return Ok(None) };
        let mut inner = value;
        while let Value::Array(items) = inner
            && let [only @ Value::Array(_)] = items.as_slice()
        {
            inner = only;
        }
        let constants = match inner {
            Value::Array(items) => {
                items.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>().map(PerChannel::Each)
            }
            single => single.as_f64().map(PerChannel::All),
        };
        constants.map(Some).ok_or_else(|| {
            let found = crate::fields::brief(value);
            self.fields.wrong(key, format!("is {found}, want a number or one for each channel"))
        })
    }

    /// The quantizer and activation of QKeras' average pooling; those of other pooling layers are left at none.
    fn pool_tail(&mut self) -> Read<(Option<Quantizer>, Activation)> {
        if !self.quantized {
            return Ok((None, Activation::Linear));
        }
        Ok((self.quantizer("average_quantizer")?, self.activation()?))
    }

    fn pool1d(&mut self) -> Read<Pool1d> {
        let size = self.fields.single("pool_size", 2)?;
        let stride = Some(self.fields.single("strides", size)?).filter(|s| *s != size);
        let padding = self.padding()?;
        Ok(Pool1d { size, stride, padding, ..Pool1d::default() })
    }

    fn pool2d(&mut self) -> Read<Pool2d> {
        let size = self.fields.pair("pool_size", Pair::square(2))?;
        let stride = Some(self.fields.pair("strides", size)?).filter(|s| *s != size);
        let padding = self.padding()?;
        let (average_quantizer, activation) = self.pool_tail()?;
        Ok(Pool2d { size, stride, padding, average_quantizer, activation })
    }

    fn global_pool(&mut self) -> Read<GlobalPool> {
        let keep_dims = self.fields.flag("keepdims", false)?;
        let (average_quantizer, activation) = self.pool_tail()?;
        Ok(GlobalPool { keep_dims, average_quantizer, activation })
    }

    fn permute(&mut self) -> Read<Op> {
        let dims = self.fields.integers("dims")?;
        let dims: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
        let dims = dims.ok_or_else(|| self.fields.wrong("dims", "has a negative axis, want axes from 1"))?;
        Ok(Op::Permute(Permute { dims }))
    }

    fn up_sampling2d(&mut self) -> Read<Op> {
        let interpolation = match self.fields.text("interpolation")? {
            None | Some("nearest") => Interpolation::Nearest,
            Some("bilinear") => Interpolation::Bilinear,
            Some(other) => {
                return Err(self
                    .fields
                    .wrong("interpolation", format!("is `{other}`, want nearest or bilinear")));
            }
        };
        Ok(Op::UpSampling2d(UpSampling2d { size: self.fields.pair("size", Pair::square(2))?, interpolation }))
    }

    fn border1d(&mut self, key: &str) -> Read<Border1d> {
        let [before, after] = self.fields.sizes(key)?.unwrap_or([1, 1]);
        Ok(Border1d { before, after })
    }

    fn border2d(&mut self, key: &str) -> Read<Border2d> {
        let [[top, bottom], [left, right]] = self.fields.borders(key)?;
        Ok(Border2d { top, bottom, left, right })
    }

    fn concat(&mut self) -> Read<Op> {
        let axis = match self.fields.value("axis") {
            None => -1,
            Some(value) => value.as_i64().ok_or_else(|| self.fields.wrong("axis", "is no whole number"))?,
        };
        Ok(Op::Concat(Concat { axis }))
    }

    fn dropout(&mut self) -> Read<Op> {
        self.fields.only("noise_shape", &Value::Null)?;
        let rate = self.fields.number("rate")?.ok_or_else(|| self.fields.wrong("rate", "is missing"))?;
        Ok(Op::Dropout(Dropout { rate }))
    }
}

fn pick(constants: &PerChannel, channel: usize) -> Option<f64> {
    match constants {
        PerChannel::All(value) => Some(*value),
        PerChannel::Each(values) => values.get(channel).copied(),
    }
}

/// Shape of a sample, from the shape of a batch.
pub(crate) fn sample_shape(value: &Value) -> Result<Vec<usize>, String> {
    let sizes = value.as_array().and_then(|axes| axes.split_first()).map(|(_, sample)| sample);
    let shape: Option<Vec<usize>> = sizes.and_then(|s| s.iter().map(crate::fields::whole).collect());
    shape.ok_or_else(|| {
        format!("is {}, want a batch axis and then sizes that are known", crate::fields::brief(value))
    })
}
