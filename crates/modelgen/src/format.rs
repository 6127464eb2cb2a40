//! File formats of corpora, all readable by [`crate::load_models`], and a sink for single networks.

use std::io::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_cost::{Cost, Target};
use tinsmith_foundation::FoundationError;
use tinsmith_network::{ModelSpec, StructuralHash};

use crate::error::{ModelgenError, Result};
use crate::record::{CostLine, RecordRef};

/// Line after each network in [`Format::Keras`].
pub(crate) const SEPARATOR: &str = "--------------";

/// File format of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON Lines: one [`crate::Record`] per line, with structural hash and cost.
    #[default]
    Records,
    /// Text: the model JSON of Keras 2.15 and QKeras 0.9.0, each on one line and followed by a line of 14 hyphens.
    Keras,
    /// One JSON object of name (`model_0`, ...) to the model JSON of Keras 2.15 and QKeras 0.9.0 as a string.
    KerasBatch,
}

impl Format {
    /// Reports if networks are written as Keras models, which some kinds of layers do not support.
    #[must_use]
    pub const fn is_keras(self) -> bool {
        matches!(self, Self::Keras | Self::KerasBatch)
    }

    /// Text before a network.
    pub(crate) const fn before(self, is_first: bool) -> &'static [u8] {
        match (self, is_first) {
            (Self::KerasBatch, true) => b"{\n",
            (Self::KerasBatch, false) => b",\n",
            _ => b"",
        }
    }

    /// Text after the last network.
    pub(crate) const fn end(self) -> &'static [u8] {
        match self {
            Self::KerasBatch => b"\n}\n",
            _ => b"",
        }
    }

    /// Text of a file without networks.
    pub(crate) const fn empty(self) -> &'static [u8] {
        match self {
            Self::KerasBatch => b"{}\n",
            _ => b"",
        }
    }

    /// Appends a network to `text`.
    pub(crate) fn push(self, text: &mut Vec<u8>, record: &RecordRef<'_>) -> Result<()> {
        let name = || format!("model_{}", record.index);
        match self {
            Self::Records => {
                write_json(text, record)?;
                text.push(b'\n');
            }
            Self::Keras => {
                write_json(text, &keras_model(record.spec, name())?)?;
                text.extend_from_slice(b"\n");
                text.extend_from_slice(SEPARATOR.as_bytes());
                text.push(b'\n');
            }
            Self::KerasBatch => {
                let model = keras_model(record.spec, name())?.to_string();
                write_json(text, &name())?;
                text.extend_from_slice(b": ");
                write_json(text, &model)?;
            }
        }
        Ok(())
    }
}

fn write_json<T: Serialize>(text: &mut Vec<u8>, value: &T) -> Result<()> {
    serde_json::to_writer(text, value).map_err(|e| {
        ModelgenError::from(FoundationError::Serialize { what: "network", reason: e.to_string() })
    })
}

fn keras_model(spec: &ModelSpec, name: String) -> Result<serde_json::Value> {
    let mut model = tinsmith_keras::to_value(spec)?;
    let place = model.pointer_mut("/config/name").expect("invariant: a written model has a name");
    *place = serde_json::Value::String(name);
    Ok(model)
}

/// Writes single networks, one after the other, in a form that [`crate::load_models`] reads.
///
/// ```
/// use std::ops::ControlFlow;
/// use tinsmith_foundation::Seed;
/// use tinsmith_modelgen::{DrawState, Format, GeneratorConfig, ModelGenerator, Sink};
/// use tinsmith_network::Layer;
///
/// let generator = ModelGenerator::new(GeneratorConfig::for_task(&[8, 8, 1], 10))?;
/// let mut file = Vec::new();
/// let mut sink = Sink::new(&mut file, Format::Keras);
/// for seed in 0..3 {
///     let proceed = |_: &mut DrawState<'_>, _: &[Layer]| ControlFlow::<()>::Continue(());
///     generator.gen_network(4, None, Seed::new(seed), proceed, Some(&mut sink))?;
/// }
/// assert_eq!(sink.finish()?, 3);
/// assert_eq!(String::from_utf8(file)?.matches("--------------\n").count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sink<'w> {
    out: &'w mut dyn Write,
    format: Format,
    target: Target,
    written: u64,
    text: Vec<u8>,
}

impl std::fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("format", &self.format)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl<'w> Sink<'w> {
    /// Creates a sink that writes to `out`, with costs on the default target.
    pub fn new(out: &'w mut dyn Write, format: Format) -> Self {
        Self { out, format, target: Target::default(), written: 0, text: Vec::new() }
    }

    /// Sets the target of the costs.
    #[must_use]
    pub fn on(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// Writes a network. Its index is the number of networks written before.
    ///
    /// # Errors
    /// [`ModelgenError::Spec`] for an invalid network, [`ModelgenError::Keras`] for a layer without a Keras class;
    /// [`ModelgenError::Sink`] if writing fails.
    pub fn write(&mut self, spec: &ModelSpec) -> Result<()> {
        let graph = spec.graph()?;
        let cost = CostLine::from(&Cost::with_graph(spec, &graph, &self.target));
        let record = RecordRef { index: self.written, hash: StructuralHash::of(spec, &graph), cost, spec };
        self.text.clear();
        self.text.extend_from_slice(self.format.before(self.written == 0));
        self.format.push(&mut self.text, &record)?;
        self.out.write_all(&self.text).map_err(ModelgenError::Sink)?;
        self.written += 1;
        Ok(())
    }

    /// Writes the end of the file and returns the number of networks.
    ///
    /// # Errors
    /// [`ModelgenError::Sink`] if writing fails.
    pub fn finish(self) -> Result<u64> {
        let end = if self.written == 0 { self.format.empty() } else { self.format.end() };
        self.out.write_all(end).and_then(|()| self.out.flush()).map_err(ModelgenError::Sink)?;
        Ok(self.written)
    }
}
