//! Activations and quantizers: import and export.

use serde_json::{Value, json};
use tinsmith_network::{Activation, Clip, Elu, LeakyRelu, Prelu, Quantizer};

use crate::fields::{Fields, Read, Wrong, brief};

/// Library whose function a name denotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Keras 2.
    Keras2,
    /// Keras 3.
    Keras3,
    /// QKeras: its own functions first, then those of Keras 2.
    Qkeras,
}

/// Reads the activation under `key`.
pub(crate) fn read(fields: &mut Fields<'_>, key: &str, dialect: Dialect) -> Read<Activation> {
    match fields.value(key) {
        None => Ok(Activation::Linear),
        Some(value) => from_value(value, &fields.path(key), dialect),
    }
}

fn from_value(value: &Value, path: &str, dialect: Dialect) -> Read<Activation> {
    let wrong = |message: String| Wrong { path: path.to_owned(), message };
    match value {
        Value::String(text) => from_text(text, dialect).map_err(wrong),
        Value::Object(map) => {
            let class = map.get("class_name").and_then(Value::as_str).unwrap_or_default();
            let config = map.get("config").unwrap_or(&Value::Null);
            if Quantizer::KINDS.contains(&class) {
                return stored_quantizer(value, path).map(Activation::Quantized);
            }
            match (class, config) {
                ("function", Value::String(name)) => from_text(name, dialect).map_err(wrong),
                ("LeakyReLU" | "ReLU" | "ELU" | "Softmax", Value::Object(_)) => {
                    let mut fields = Fields::new(config, format!("{path}.config"))?;
                    fields.check_settings()?;
                    let activation = layer(class, &mut fields)?;
                    fields.finish(class)?;
                    Ok(activation)
                }
                _ => Err(wrong(format!("is {}, which is no activation that is read", brief(value)))),
            }
        }
        other => Err(wrong(format!("is {}, want an activation", brief(other)))),
    }
}

fn from_text(text: &str, dialect: Dialect) -> Result<Activation, String> {
    let name = text.split('(').next().unwrap_or_default();
    if Quantizer::KINDS.contains(&name) {
        return text.parse().map(Activation::Quantized).map_err(|e| format!("is {}", wrong_text(text, &e)));
    }
    Ok(match (text, dialect) {
        ("linear", _) => Activation::Linear,
        ("relu", _) => Activation::Relu,
        ("relu6", _) => Activation::Relu6,
        ("elu", _) => Activation::Elu(Elu::default()),
        ("tanh", _) => Activation::Tanh,
        ("sigmoid", _) => Activation::Sigmoid,
        ("softmax", _) => Activation::Softmax,
        ("hard_sigmoid", Dialect::Keras2) => Activation::HardSigmoid,
        ("hard_sigmoid", Dialect::Keras3) => {
            return Err(
                "is Keras 3's `hard_sigmoid`, relu6(x + 3) / 6, which differs from Keras 2's and is not read"
                    .to_owned(),
            );
        }
        ("hard_sigmoid", Dialect::Qkeras) => {
            return Err(
                "is QKeras' `hard_sigmoid`, clip(x / 2 + 1 / 2, 0, 1), which differs from Keras' and is not \
                 read"
                    .to_owned(),
            );
        }
        ("hard_swish" | "hard_silu", Dialect::Keras3) => Activation::Hswish,
        ("leaky_relu", Dialect::Keras3) => Activation::LeakyRelu(LeakyRelu { alpha: 0.2 }),
        ("hard_tanh", Dialect::Qkeras) => Activation::Clip(Clip { min: -1.0, max: 1.0 }),
        _ => {
            return Err(format!(
                "is `{text}`, which is not read; read are linear, relu, relu6, elu, tanh, sigmoid, hard_sigmoid, \
                 softmax and quantizers ({})",
                Quantizer::KINDS.join(", ")
            ));
        }
    })
}

fn wrong_text(text: &str, error: &tinsmith_network::quantizer::GrammarError) -> String {
    format!("no quantizer: {}", error.in_text(text))
}

/// Reads the quantizer under `key`: a text, or a class with its configuration.
pub(crate) fn quantizer(fields: &mut Fields<'_>, key: &str) -> Read<Option<Quantizer>> {
    match fields.value(key) {
        None => Ok(None),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|e| fields.wrong(key, format!("is {}", wrong_text(text, &e))))
        }
        Some(value) => stored_quantizer(value, &fields.path(key)).map(Some),
    }
}

fn stored_quantizer(value: &Value, path: &str) -> Read<Quantizer> {
    let class = value.get("class_name").and_then(Value::as_str);
    match (class, value.get("config")) {
        (Some(class), Some(Value::Object(config))) => Quantizer::from_config(class, config)
            .map_err(|e| Wrong { path: path.to_owned(), message: format!("is no quantizer: {e}") }),
        _ => Err(Wrong { path: path.to_owned(), message: format!("is {}, want a quantizer", brief(value)) }),
    }
}

/// Reads a layer that is an activation with parameters.
pub(crate) fn layer(class: &str, fields: &mut Fields<'_>) -> Read<Activation> {
    match class {
        "LeakyReLU" => {
            let alpha = match fields.number("alpha")? {
                Some(alpha) => alpha,
                None => fields.number("negative_slope")?.unwrap_or(0.3),
            };
            Ok(Activation::LeakyRelu(LeakyRelu { alpha: shortest(alpha) }))
        }
        "ELU" => Ok(Activation::Elu(Elu { alpha: shortest(fields.number("alpha")?.unwrap_or(1.0)) })),
        "PReLU" => {
            crate::initializer::expect(
                fields,
                "alpha_initializer",
                tinsmith_network::op::Initializer::Zeros,
            )?;
            let shared_axes = match fields.value("shared_axes") {
                None => Vec::new(),
                Some(_) => {
                    let axes = fields.integers("shared_axes")?;
                    let axes: Option<Vec<usize>> = axes.iter().map(|&a| usize::try_from(a).ok()).collect();
                    axes.ok_or_else(|| fields.wrong("shared_axes", "has a negative axis, want axes from 1"))?
                }
            };
            Ok(Activation::Prelu(Prelu { shared_axes }))
        }
        "Softmax" => {
            fields.only("axis", &json!(-1))?;
            Ok(Activation::Softmax)
        }
        _ => {
            let slope = fields.number("negative_slope")?.unwrap_or(0.0);
            let max = fields.number("max_value")?;
            fields.only("threshold", &json!(0.0))?;
            match max {
                None if slope == 0.0 => Ok(Activation::Relu),
                None => Ok(Activation::LeakyRelu(LeakyRelu { alpha: shortest(slope) })),
                Some(_) if slope != 0.0 => {
                    Err(fields.wrong("max_value", "is set beside negative_slope, which is not read together"))
                }
                Some(max) if (max - 6.0).abs() < f64::EPSILON => Ok(Activation::Relu6),
                Some(max) => Ok(Activation::Clip(Clip { min: 0.0, max: shortest(max) })),
            }
        }
    }
}

/// Shortest decimal of a float32: Keras stores some parameters as float32 (0.3 becomes 0.30000001192092896).
fn shortest(value: f64) -> f64 {
    let narrow = value as f32;
    if f64::from(narrow).to_bits() == value.to_bits() {
        narrow.to_string().parse().expect("invariant: a printed float is read back")
    } else {
        value
    }
}

/// The stored form of a quantizer.
pub(crate) fn write_quantizer(quantizer: &Quantizer) -> Value {
    json!({
        "module": "qkeras.quantizers",
        "class_name": quantizer.kind(),
        "config": quantizer.to_config(),
        "registered_name": quantizer.kind(),
    })
}

/// Stored form of an activation fused into a layer (of QKeras if `is_quantized`); None if it cannot be fused.
pub(crate) fn write_fused(activation: &Activation, is_quantized: bool) -> Option<Value> {
    Some(match activation {
        Activation::Linear
        | Activation::Relu
        | Activation::Relu6
        | Activation::Tanh
        | Activation::Sigmoid
        | Activation::Softmax => Value::from(activation.name()),
        Activation::HardSigmoid if !is_quantized => Value::from("hard_sigmoid"),
        Activation::Elu(elu) if *elu == Elu::default() => Value::from("elu"),
        Activation::Quantized(q) => write_quantizer(q),
        Activation::Clip(clip) if is_quantized && is_hard_tanh(*clip) => Value::from("hard_tanh"),
        other if !is_quantized => {
            let (class, config) = parametric(other)?;
            json!({ "module": "keras.layers", "class_name": class, "config": config, "registered_name": null })
        }
        _ => return None,
    })
}

/// Class and configuration of an activation layer; None if Keras 2.15 and QKeras 0.9.0 have none.
pub(crate) fn write_layer(activation: &Activation) -> Option<(&'static str, Value)> {
    Some(match activation {
        // As text, since AutoQKeras and QTools count bits only of layers in this form.
        Activation::Quantized(q) => ("QActivation", json!({ "activation": q.to_string() })),
        Activation::Clip(clip) if is_hard_tanh(*clip) => {
            ("QActivation", json!({ "activation": "hard_tanh" }))
        }
        Activation::Prelu(prelu) => {
            let shared = if prelu.shared_axes.is_empty() { Value::Null } else { json!(prelu.shared_axes) };
            let zeros = crate::initializer::write(tinsmith_network::op::Initializer::Zeros);
            (
                "PReLU",
                json!({
                    "alpha_initializer": zeros, "alpha_regularizer": null, "alpha_constraint": null,
                    "shared_axes": shared,
                }),
            )
        }
        Activation::Linear
        | Activation::Relu
        | Activation::Tanh
        | Activation::Sigmoid
        | Activation::HardSigmoid
        | Activation::Softmax => ("Activation", json!({ "activation": activation.name() })),
        other => return parametric(other),
    })
}

fn parametric(activation: &Activation) -> Option<(&'static str, Value)> {
    let relu = |max: f64| ("ReLU", json!({ "max_value": max, "negative_slope": 0.0, "threshold": 0.0 }));
    match activation {
        Activation::LeakyRelu(p) => Some(("LeakyReLU", json!({ "alpha": p.alpha }))),
        Activation::Elu(p) => Some(("ELU", json!({ "alpha": p.alpha }))),
        Activation::Relu6 => Some(relu(6.0)),
        Activation::Clip(clip) if clip.min == 0.0 => Some(relu(clip.max)),
        _ => None,
    }
}

fn is_hard_tanh(clip: Clip) -> bool {
    clip == Clip { min: -1.0, max: 1.0 }
}
