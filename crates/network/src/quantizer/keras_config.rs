//! Quantizers as QKeras stores them in a model: a class name and a map of its constructor's arguments.

use serde_json::{Map, Value};

use super::grammar::{Argument, Call, GrammarError};
use super::{Alpha, Quantizer};

/// Arguments of QKeras' constructors that name or place a variable and change no value.
const IDLE: [&str; 3] = ["var_name", "use_variables", "name"];

/// Keys that QKeras writes for a kind, besides those that are not at their defaults.
fn is_stored(kind: &str, parameter: &str) -> bool {
    match parameter {
        "scale_axis" | "use_ste" | "is_quantized_clip" => false,
        _ => kind != "bernoulli" || parameter == "alpha",
    }
}

impl Quantizer {
    /// A quantizer from the class name and the constructor's arguments, as QKeras stores it in a model:
    /// `"quantized_bits"`, `{"bits": 4, "integer": 0, "alpha": null}`. What is left out is at its default.
    ///
    /// # Errors
    /// [`GrammarError`] for an unknown kind or parameter and for a value that the parameter cannot have.
    pub fn from_config(kind: &str, config: &Map<String, Value>) -> Result<Self, GrammarError> {
        let mut arguments = Vec::with_capacity(config.len());
        for (key, value) in config {
            if IDLE.contains(&key.as_str())
                && matches!(value, Value::Null | Value::Bool(false) | Value::String(_))
            {
                continue;
            }
            // QKeras writes this for quantized_hswish, whose constructor does not have it.
            if kind == "quantized_hswish" && key == "keep_negative" && *value == Value::Bool(true) {
                continue;
            }
            let argument = Argument::from_json(value)
                .ok_or_else(|| GrammarError::Config(format!("{key} is {value}, want a single value")))?;
            arguments.push((Some(key.as_str()), argument, 0));
        }
        Self::from_call(&Call { name: kind, at: 0, arguments }).map_err(GrammarError::without_place)
    }

    /// The arguments that QKeras stores for this kind, and those that are not at their defaults.
    #[must_use]
    pub fn to_config(&self) -> Map<String, Value> {
        let mut config = Map::new();
        self.each_parameter(|name, value, is_default| {
            if !is_default || is_stored(self.kind(), name) {
                config.insert(name.to_owned(), value);
            }
        });
        if matches!(self, Self::QuantizedHswish(_)) {
            config.insert("keep_negative".to_owned(), Value::Bool(true));
        }
        config
    }

    /// What the quantized layers of QKeras make of a quantizer that they use for a kernel: one without a scale gets
    /// [`Alpha::AutoPo2`] (fixed point becomes symmetric with it). Kinds without a scale stay as they are.
    #[must_use]
    pub fn for_kernel(mut self) -> Self {
        let alpha = match &mut self {
            Self::QuantizedBits(q) if q.alpha == Alpha::None => {
                q.symmetric = true;
                &mut q.alpha
            }
            Self::QuantizedHswish(q) if q.alpha == Alpha::None => {
                q.symmetric = true;
                &mut q.alpha
            }
            Self::Binary(q) => &mut q.alpha,
            Self::Ternary(q) => &mut q.alpha,
            Self::StochasticBinary(q) => &mut q.alpha,
            Self::StochasticTernary(q) => &mut q.alpha,
            Self::Bernoulli(q) => &mut q.alpha,
            _ => return self,
        };
        if *alpha == Alpha::None {
            *alpha = Alpha::AutoPo2;
        }
        self
    }
}
