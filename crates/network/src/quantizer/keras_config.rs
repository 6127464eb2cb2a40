//! Quantizers in stored QKeras models: a class name and the arguments of its constructor.

use serde_json::{Map, Value};

use super::grammar::{Argument, Call, GrammarError};
use super::{Alpha, Quantizer};

/// Arguments of QKeras' constructors that name or place a variable and do not affect values.
const IDLE: [&str; 3] = ["var_name", "use_variables", "name"];

/// True for keys that QKeras writes even at their defaults.
fn is_stored(kind: &str, parameter: &str) -> bool {
    match parameter {
        "scale_axis" | "use_ste" | "is_quantized_clip" => false,
        _ => kind != "bernoulli" || parameter == "alpha",
    }
}

impl Quantizer {
    /// Reads a quantizer from a stored QKeras model: `"quantized_bits"`, `{"bits": 4, "integer": 0, "alpha": null}`. Missing
    /// arguments have their defaults.
    ///
    /// # Errors
    /// [`GrammarError`] for an unknown kind or parameter and for a value out of the parameter's domain.
    pub fn from_config(kind: &str, config: &Map<String, Value>) -> Result<Self, GrammarError> {
        let mut arguments = Vec::with_capacity(config.len());
        for (key, value) in config {
            if IDLE.contains(&key.as_str())
                && matches!(value, Value::Null | Value::Bool(false) | Value::String(_))
            {
                continue;
            }
            // QKeras stores this argument for quantized_hswish although its constructor refuses it.
            if kind == "quantized_hswish" && key == "keep_negative" && *value == Value::Bool(true) {
                continue;
            }
            let argument = Argument::from_json(value)
                .ok_or_else(|| GrammarError::Config(format!("{key} is {value}, want a single value")))?;
            arguments.push((Some(key.as_str()), argument, 0));
        }
        Self::from_call(&Call { name: kind, at: 0, arguments }).map_err(GrammarError::without_place)
    }

    /// The arguments in a stored QKeras model: those that QKeras always stores, and those that differ from the default.
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

    /// Returns the quantizer that a quantized QKeras layer applies to its kernel: without a scale it gets
    /// [`Alpha::AutoPo2`], and fixed point becomes symmetric. Kinds without a scale are unchanged.
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
