//! A layer: a name, the names of its inputs, and an operation.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::facts::WeightFacts;
use crate::op::Op;

/// One node of a network. Reads as `{name: c1, inputs: [x], conv2d: {filters: 8, kernel: 3}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name, unique in the network.
    pub name: String,
    /// Names of the input layers; empty means the preceding layer (an input layer has none).
    pub inputs: Vec<String>,
    /// Operation.
    pub op: Op,
    /// Facts about its weights beyond their shapes; ignored by the structural hash.
    pub facts: Vec<WeightFacts>,
}

impl Layer {
    /// Creates a layer that follows the preceding one.
    pub fn new(name: impl Into<String>, op: Op) -> Self {
        Self { name: name.into(), inputs: Vec::new(), op, facts: Vec::new() }
    }

    /// Creates a layer with named inputs.
    pub fn with_inputs<S: Into<String>>(
        name: impl Into<String>,
        inputs: impl IntoIterator<Item = S>,
        op: Op,
    ) -> Self {
        Self {
            name: name.into(),
            inputs: inputs.into_iter().map(Into::into).collect(),
            op,
            facts: Vec::new(),
        }
    }
}

impl Serialize for Layer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if !self.inputs.is_empty() {
            map.serialize_entry("inputs", &self.inputs)?;
        }
        self.op.write(&mut map)?;
        if !self.facts.is_empty() {
            map.serialize_entry("facts", &self.facts)?;
        }
        map.end()
    }
}

struct LayerVisitor;

impl<'de> Visitor<'de> for LayerVisitor {
    type Value = Layer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a layer such as {name: c1, conv2d: {filters: 8, kernel: 3}}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Layer, A::Error> {
        let mut name: Option<String> = None;
        let mut inputs: Option<Vec<String>> = None;
        let mut facts: Option<Vec<WeightFacts>> = None;
        let mut op: Option<Op> = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => name = Some(map.next_value()?),
                "inputs" => inputs = Some(map.next_value()?),
                "facts" => facts = Some(map.next_value()?),
                other => {
                    let Some(read) = Op::read(other, &mut map)? else {
                        let kinds = Op::NAMES.join(", ");
                        return Err(de::Error::custom(format!(
                            "unknown key `{other}`, want name, inputs, facts or a kind of layer ({kinds})"
                        )));
                    };
                    if let Some(first) = op.replace(read) {
                        return Err(de::Error::custom(format!(
                            "a layer has one kind, found both `{}` and `{other}`",
                            first.name()
                        )));
                    }
                }
            }
        }
        let name = name.ok_or_else(|| de::Error::missing_field("name"))?;
        let op = op.ok_or_else(|| {
            de::Error::custom(format!("layer `{name}` has no kind, want one of {}", Op::NAMES.join(", ")))
        })?;
        Ok(Layer { name, inputs: inputs.unwrap_or_default(), op, facts: facts.unwrap_or_default() })
    }
}

impl<'de> Deserialize<'de> for Layer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LayerVisitor)
    }
}

impl JsonSchema for Layer {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Layer".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let facts = generator.subschema_for::<Vec<WeightFacts>>();
        let kinds: Vec<Schema> = Op::schemas(generator)
            .into_iter()
            .map(|(name, config)| {
                json_schema!({
                    "type": "object",
                    "properties": {
                        "name": { "type": "string", "description": "Unique in the network." },
                        "inputs": {
                            "type": "array", "items": { "type": "string" },
                            "description": "Names of the input layers. Default: the preceding layer.",
                        },
                        "facts": facts,
                        name: config,
                    },
                    "required": ["name", name],
                    "additionalProperties": false,
                })
            })
            .collect();
        json_schema!({ "description": "A layer: its name, its inputs, and one kind.", "oneOf": kinds })
    }
}
