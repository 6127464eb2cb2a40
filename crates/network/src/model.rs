//! A whole network: its layers, in any order, and its outputs.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Faults, config, files};

use crate::error::Result;
use crate::graph::Graph;
use crate::layer::Layer;

/// Version of the file format that this crate writes, and the newest one it reads.
pub const SCHEMA: u32 = 1;

fn newest() -> u32 {
    SCHEMA
}

/// A neural network as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Version of the format. Default: the newest.
    #[serde(default = "newest")]
    pub schema: u32,
    /// Display name; ignored by the structural hash.
    #[serde(default)]
    pub name: String,
    /// Layers. A layer without `inputs` follows the one above it.
    pub layers: Vec<Layer>,
    /// Names of the output layers. Default: the last layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

impl ModelSpec {
    /// Creates a network of `layers` with the last one as its output.
    pub fn new(name: impl Into<String>, layers: Vec<Layer>) -> Self {
        Self { schema: SCHEMA, name: name.into(), layers, outputs: Vec::new() }
    }

    /// Reads YAML or JSON and resolves it; `origin` names the text in errors.
    ///
    /// # Errors
    /// [`crate::NetworkError::Invalid`] with line and column, for syntax errors, unknown keys and impossible
    /// networks: unknown inputs, cycles, shapes that do not fit.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        Ok(config::from_str(text, origin, |spec: &Self, faults: &mut Faults| {
            Graph::resolve(spec, faults);
        })?)
    }

    /// Reads a YAML or JSON file.
    ///
    /// # Errors
    /// As [`ModelSpec::parse`], and [`crate::NetworkError::File`] if the file cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        Self::parse(&files::read_text(path)?, &path.display().to_string())
    }

    /// Writes the specification as YAML, or as JSON if the file's name ends in `.json`.
    ///
    /// # Errors
    /// [`crate::NetworkError::File`] if the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let is_json = path.extension().is_some_and(|e| e == "json");
        let text = if is_json { self.to_json()? } else { self.to_yaml()? };
        Ok(files::write_atomic(path, text.as_bytes())?)
    }

    /// The specification as YAML.
    ///
    /// # Errors
    /// [`crate::NetworkError::File`] if it has no YAML form; every specification has one.
    pub fn to_yaml(&self) -> Result<String> {
        Ok(config::to_yaml("specification", self)?)
    }

    /// The specification as JSON.
    ///
    /// # Errors
    /// [`crate::NetworkError::File`] if it has no JSON form (a number that is not finite).
    pub fn to_json(&self) -> Result<String> {
        Ok(config::to_json("specification", self)?)
    }

    /// Resolves names and infers every shape.
    ///
    /// # Errors
    /// [`crate::NetworkError::Invalid`] that names each layer, the shapes and the reason.
    pub fn graph(&self) -> Result<Graph> {
        let mut faults = Faults::new();
        let graph = Graph::resolve(self, &mut faults);
        faults.into_result(if self.name.is_empty() { "specification" } else { &self.name })?;
        Ok(graph)
    }

    /// The layer called `name`.
    #[must_use]
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.name == name)
    }
}
