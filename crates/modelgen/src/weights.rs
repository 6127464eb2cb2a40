//! Weights of a choice, by name or by position.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::kind::NamedChoice;

/// Relative weights of the values of `K`. They need not sum to 1: a draw drops the choices it rules out and
/// renormalizes the rest.
///
/// Deserializes from a map of name to weight, in which absent names have weight 0, or from a list in a documented
/// order. An empty map or list is uniform.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights<K> {
    /// By name.
    Map(BTreeMap<K, f64>),
    /// By position, in the order that the configuration documents.
    List(Vec<f64>),
}

impl<K: Ord> Weights<K> {
    /// Returns uniform weights.
    #[must_use]
    pub const fn uniform() -> Self {
        Self::Map(BTreeMap::new())
    }

    /// Returns the given weights; values not named have weight 0.
    #[must_use]
    pub fn of<const N: usize>(weights: [(K, f64); N]) -> Self {
        Self::Map(BTreeMap::from(weights))
    }
}

impl<K> Weights<K> {
    /// Reports if no weight is given, which means uniform weights.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Map(map) => map.is_empty(),
            Self::List(list) => list.is_empty(),
        }
    }
}

impl<K: Ord> Default for Weights<K> {
    fn default() -> Self {
        Self::uniform()
    }
}

impl<K: NamedChoice> Weights<K> {
    /// Returns a weight for each value of `K`, in the order of [`NamedChoice::ALL`]. `orders` are the orders that a
    /// list may have, distinguished by length.
    ///
    /// # Errors
    /// A message with the fault and the expected form, worded to follow the path of the value.
    pub(crate) fn resolve(&self, orders: &[&[K]]) -> Result<Vec<f64>, String> {
        let weights = match self {
            _ if self.is_empty() => vec![1.0; K::ALL.len()],
            Self::Map(map) => K::ALL.iter().map(|k| map.get(k).copied().unwrap_or(0.0)).collect(),
            Self::List(list) => {
                let Some(order) = orders.iter().find(|order| order.len() == list.len()) else {
                    let wanted: Vec<String> = orders
                        .iter()
                        .map(|order| {
                            let names: Vec<&str> = order.iter().map(|k| k.name()).collect();
                            format!("{} for [{}]", order.len(), names.join(", "))
                        })
                        .collect();
                    return Err(format!("has {} weights, want {}", list.len(), wanted.join(" or ")));
                };
                K::ALL.iter().map(|k| order.iter().position(|o| o == k).map_or(0.0, |i| list[i])).collect()
            }
        };
        for (k, w) in K::ALL.iter().zip(&weights) {
            if !(w.is_finite() && *w >= 0.0) {
                return Err(format!("gives {} the weight {w}, want 0 or more", k.name()));
            }
        }
        Ok(weights)
    }
}

impl<K: NamedChoice + Serialize> Serialize for Weights<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Map(map) => serializer.collect_map(map.iter().map(|(k, w)| (k.name(), w))),
            Self::List(list) => serializer.collect_seq(list),
        }
    }
}

struct WeightsVisitor<K>(PhantomData<K>);

impl<'de, K: NamedChoice + Deserialize<'de>> Visitor<'de> for WeightsVisitor<K> {
    type Value = Weights<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of name to weight, or a list of weights")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weights<K>, A::Error> {
        let mut weights = BTreeMap::new();
        while let Some((kind, weight)) = map.next_entry::<K, f64>()? {
            weights.insert(kind, weight);
        }
        Ok(Weights::Map(weights))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Weights<K>, A::Error> {
        let mut weights = Vec::new();
        while let Some(weight) = seq.next_element()? {
            weights.push(weight);
        }
        Ok(Weights::List(weights))
    }
}

impl<'de, K: NamedChoice + Deserialize<'de>> Deserialize<'de> for Weights<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WeightsVisitor(PhantomData))
    }
}

impl<K: NamedChoice> JsonSchema for Weights<K> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Weights".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let weight = json_schema!({ "type": "number", "minimum": 0 });
        let names: serde_json::Map<String, serde_json::Value> =
            K::ALL.iter().map(|k| (k.name().to_owned(), weight.clone().into())).collect();
        json_schema!({
            "anyOf": [
                { "type": "object", "properties": names, "additionalProperties": false },
                { "type": "array", "items": weight },
            ],
        })
    }
}

/// A bit width, or several from which one is drawn uniformly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widths(pub Vec<u32>);

impl From<u32> for Widths {
    fn from(bits: u32) -> Self {
        Self(vec![bits])
    }
}

impl Serialize for Widths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [bits] => bits.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl JsonSchema for Widths {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Widths".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let bits = json_schema!({ "type": "integer", "minimum": 1, "maximum": 32 });
        json_schema!({
            "description": "A bit width, or several from which one is drawn uniformly.",
            "anyOf": [bits, { "type": "array", "items": bits, "minItems": 1, "maxItems": 8 }],
        })
    }
}

struct WidthsVisitor;

impl<'de> Visitor<'de> for WidthsVisitor {
    type Value = Widths;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bit width or a list of bit widths")
    }

    fn visit_u64<E: serde::de::Error>(self, bits: u64) -> Result<Widths, E> {
        u32::try_from(bits)
            .map(Widths::from)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(bits), &self))
    }

    fn visit_i64<E: serde::de::Error>(self, bits: i64) -> Result<Widths, E> {
        u32::try_from(bits)
            .map(Widths::from)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(bits), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Widths, A::Error> {
        let mut widths = Vec::new();
        while let Some(bits) = seq.next_element()? {
            widths.push(bits);
        }
        Ok(Widths(widths))
    }
}

impl<'de> Deserialize<'de> for Widths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WidthsVisitor)
    }
}
