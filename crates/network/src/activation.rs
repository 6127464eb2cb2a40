//! Activation functions, plain and quantized, alone or fused into a layer.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::quantizer::Quantizer;

/// Activation function. Reads as a word (`relu`), a map (`{leaky_relu: {alpha: 0.1}}`) or a quantizer's text
/// (`quantized_relu(4,2)`).
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Activation {
    /// `x`.
    #[default]
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` if positive, else `alpha x`.
    LeakyRelu(LeakyRelu),
    /// `x` if positive, else `alpha (e^x - 1)`.
    Elu(Elu),
    /// `x` if positive, else `a x` with a learned `a` per element, shared along `shared_axes`.
    Prelu(Prelu),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `clip(0.2 x + 0.5, 0, 1)`, as Keras 2 has it.
    HardSigmoid,
    /// `x * relu6(x + 3) / 6`.
    Hswish,
    /// `e^x` over its sum along the last axis.
    Softmax,
    /// `min(max(x, min), max)`.
    Clip(Clip),
    /// A quantizer: it rounds and, depending on its kind, rectifies or squashes.
    Quantized(Quantizer),
}

/// Parameter of [`Activation::LeakyRelu`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LeakyRelu {
    /// Slope for negative inputs. Default 0.3, as in Keras.
    pub alpha: f64,
}

impl Default for LeakyRelu {
    fn default() -> Self {
        Self { alpha: 0.3 }
    }
}

/// Parameter of [`Activation::Elu`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Elu {
    /// Negated limit for large negative inputs. Default 1.
    pub alpha: f64,
}

impl Default for Elu {
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

/// Parameter of [`Activation::Prelu`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prelu {
    /// Axes (from 1, the batch being 0, as in Keras) along which the slopes are shared. Default none.
    pub shared_axes: Vec<usize>,
}

/// Parameters of [`Activation::Clip`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Lower bound.
    pub min: f64,
    /// Upper bound.
    pub max: f64,
}

/// Functions without parameters and their words.
const WORDS: [(&str, Activation); 8] = [
    ("linear", Activation::Linear),
    ("relu", Activation::Relu),
    ("relu6", Activation::Relu6),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("hard_sigmoid", Activation::HardSigmoid),
    ("hswish", Activation::Hswish),
    ("softmax", Activation::Softmax),
];

const MAPS: [&str; 4] = ["leaky_relu", "elu", "prelu", "clip"];

impl Activation {
    /// Word of the function, or kind of the quantizer.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::LeakyRelu(_) => "leaky_relu",
            Self::Elu(_) => "elu",
            Self::Prelu(_) => "prelu",
            Self::Clip(_) => "clip",
            Self::Quantized(q) => q.kind(),
            _ => WORDS.iter().find(|(_, a)| a == self).map_or("linear", |(word, _)| word),
        }
    }

    /// True for [`Activation::Linear`].
    #[must_use]
    pub fn is_linear(&self) -> bool {
        *self == Self::Linear
    }

    /// The quantizer; None for plain functions.
    #[must_use]
    pub const fn quantizer(&self) -> Option<&Quantizer> {
        if let Self::Quantized(q) = self { Some(q) } else { None }
    }

    fn from_word(word: &str) -> Result<Self, String> {
        if let Some((_, activation)) = WORDS.iter().find(|(w, _)| *w == word) {
            return Ok(activation.clone());
        }
        match word {
            "leaky_relu" => return Ok(Self::LeakyRelu(LeakyRelu::default())),
            "elu" => return Ok(Self::Elu(Elu::default())),
            "prelu" => return Ok(Self::Prelu(Prelu::default())),
            "clip" => return Err("clip needs bounds: `{clip: {min: 0, max: 6}}`".to_owned()),
            _ => {}
        }
        let name = word.split('(').next().unwrap_or_default().trim();
        if Quantizer::KINDS.contains(&name) {
            return word
                .parse()
                .map(Self::Quantized)
                .map_err(|e: crate::quantizer::GrammarError| e.in_text(word));
        }
        let words: Vec<&str> = WORDS.iter().map(|(w, _)| *w).chain(MAPS).collect();
        Err(format!(
            "no activation is called `{word}`; there are {} and quantizers ({})",
            words.join(", "),
            Quantizer::KINDS.join(", ")
        ))
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeakyRelu(p) => write!(f, "leaky_relu({})", p.alpha),
            Self::Elu(p) => write!(f, "elu({})", p.alpha),
            Self::Clip(p) => write!(f, "clip({}, {})", p.min, p.max),
            Self::Quantized(q) => q.fmt(f),
            _ => f.write_str(self.name()),
        }
    }
}

impl Serialize for Activation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn map<S: Serializer, T: Serialize>(s: S, key: &str, value: &T) -> Result<S::Ok, S::Error> {
            let mut map = s.serialize_map(Some(1))?;
            map.serialize_entry(key, value)?;
            map.end()
        }
        match self {
            Self::LeakyRelu(p) => map(serializer, "leaky_relu", p),
            Self::Elu(p) => map(serializer, "elu", p),
            Self::Prelu(p) => map(serializer, "prelu", p),
            Self::Clip(p) => map(serializer, "clip", p),
            Self::Quantized(q) => q.serialize(serializer),
            _ => serializer.serialize_str(self.name()),
        }
    }
}

struct ActivationVisitor;

impl<'de> Visitor<'de> for ActivationVisitor {
    type Value = Activation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an activation: a word, a quantizer's text, or a map such as {clip: {min: 0, max: 6}}")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Activation, E> {
        Activation::from_word(word).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Activation, A::Error> {
        let key: String = map.next_key()?.ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let activation = match key.as_str() {
            "leaky_relu" => Activation::LeakyRelu(map.next_value()?),
            "elu" => Activation::Elu(map.next_value()?),
            "prelu" => Activation::Prelu(map.next_value()?),
            "clip" => Activation::Clip(map.next_value()?),
            _ => return Err(de::Error::unknown_variant(&key, &MAPS)),
        };
        match map.next_key::<String>()? {
            None => Ok(activation),
            Some(_) => Err(de::Error::invalid_length(2, &"one function")),
        }
    }
}

impl<'de> Deserialize<'de> for Activation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ActivationVisitor)
    }
}

impl JsonSchema for Activation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Activation".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = WORDS.iter().map(|(w, _)| *w).chain(["leaky_relu", "elu", "prelu"]).collect();
        let quantizer = generator.subschema_for::<Quantizer>();
        let leaky = generator.subschema_for::<LeakyRelu>();
        let elu = generator.subschema_for::<Elu>();
        let prelu = generator.subschema_for::<Prelu>();
        let clip = generator.subschema_for::<Clip>();
        json_schema!({
            "description": "An activation: a word, a quantizer's text, or a map with parameters.",
            "anyOf": [
                { "enum": words },
                quantizer,
                {
                    "type": "object",
                    "properties": { "leaky_relu": leaky, "elu": elu, "prelu": prelu, "clip": clip },
                    "additionalProperties": false, "minProperties": 1, "maxProperties": 1,
                },
            ],
        })
    }
}
