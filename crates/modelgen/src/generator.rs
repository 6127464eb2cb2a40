//! The generator, which draws one network of a family.

use std::borrow::Cow;
use std::ops::ControlFlow;

use tinsmith_foundation::{Faults, Seed};
use tinsmith_network::{Layer, ModelSpec};

use crate::config::GeneratorConfig;
use crate::draw::Draw;
use crate::error::{ModelgenError, Result};
use crate::format::Sink;
use crate::resolve;
use crate::shape::Shape;
use crate::tables::Tables;

/// Draws networks of the family that a [`GeneratorConfig`] describes. It is stateless: a draw depends only on the
/// configuration, the number of layers and the seed.
#[derive(Debug, Clone)]
pub struct ModelGenerator {
    config: GeneratorConfig,
    tables: Tables,
}

/// Outcome of [`ModelGenerator::gen_network`].
#[derive(Debug, Clone, PartialEq)]
pub enum Generated<T> {
    /// The complete network.
    Network(ModelSpec),
    /// Value with which the callback ended the generation.
    Ended(T),
}

impl<T> Generated<T> {
    /// Returns the network, unless the callback ended the generation.
    #[must_use]
    pub fn into_network(self) -> Option<ModelSpec> {
        match self {
            Self::Network(spec) => Some(spec),
            Self::Ended(_) => None,
        }
    }
}

/// State of a draw, passed to the callback before each weight layer.
#[derive(Debug)]
pub struct DrawState<'g> {
    /// Parameters in effect. Changes by the callback hold for the rest of this draw.
    pub params: GeneratorConfig,
    original: &'g GeneratorConfig,
    layer_depth: usize,
    total_layers: usize,
    shape: Option<Shape>,
    quantized: Option<bool>,
}

impl DrawState<'_> {
    /// Returns the number of weight layers so far.
    #[must_use]
    pub const fn layer_depth(&self) -> usize {
        self.layer_depth
    }

    /// Returns the number of weight layers that the network will have.
    #[must_use]
    pub const fn total_layers(&self) -> usize {
        self.total_layers
    }

    /// Returns the current shape of the features; `None` before the first layer.
    #[must_use]
    pub const fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// Reports if the last layer is quantized; `None` before the first layer.
    #[must_use]
    pub const fn is_quantized(&self) -> Option<bool> {
        self.quantized
    }

    /// Restores every parameter to its value at the start of the draw. Nothing else needs a reset, since the generator
    /// is stateless.
    pub fn reset_layers(&mut self) {
        self.params = self.original.clone();
    }
}

impl ModelGenerator {
    /// Creates a generator of the family `config`.
    ///
    /// # Errors
    /// [`ModelgenError::Config`] with every invalid value.
    pub fn new(config: GeneratorConfig) -> Result<Self> {
        let tables = tables_of(&config)?;
        Ok(Self { config, tables })
    }

    /// Returns the family's parameters.
    #[must_use]
    pub const fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// Draws a network of exactly `total_layers` weight layers.
    ///
    /// # Errors
    /// [`ModelgenError::NoLayers`] for 0 layers; [`ModelgenError::NoFit`] if the bounds admit no layer at some position.
    pub fn draw(&self, total_layers: usize, seed: Seed) -> Result<ModelSpec> {
        let mut draw = self.begin(total_layers, seed)?;
        while draw.depth < total_layers {
            draw.step()?;
        }
        Ok(finish(draw))
    }

    /// Draws a network; its number of weight layers is uniform in `min_layer_count..=max_layer_count`.
    ///
    /// # Errors
    /// As [`ModelGenerator::draw`].
    pub fn draw_any(&self, seed: Seed) -> Result<ModelSpec> {
        let (min, max) = (self.config.min_layer_count, self.config.max_layer_count);
        // A stream of its own, so that `draw` with this depth and seed gives the same network.
        let total_layers = min + seed.derive("layers", 0).rng().index(max - min + 1);
        self.draw(total_layers, seed)
    }

    /// Draws a network like [`ModelGenerator::draw`], with every option of a single draw:
    ///
    /// - `params` replaces the generator's parameters for this draw.
    /// - `callback` runs before each weight layer. It receives the state and the layers so far (empty before the first
    ///   layer, later including the input), may change any parameter for the rest of this draw, and may end the
    ///   generation with a value of its own, which becomes the result.
    /// - `sink` receives the complete network.
    ///
    /// # Errors
    /// Those of [`ModelGenerator::draw`] and [`Sink::write`]; [`ModelgenError::Config`] if `params` or the callback's
    /// changes are invalid.
    pub fn gen_network<T>(
        &self,
        total_layers: usize,
        params: Option<&GeneratorConfig>,
        seed: Seed,
        mut callback: impl FnMut(&mut DrawState<'_>, &[Layer]) -> ControlFlow<T>,
        sink: Option<&mut Sink<'_>>,
    ) -> Result<Generated<T>> {
        let mut draw = self.begin(total_layers, seed)?;
        if let Some(params) = params {
            draw.tables = Cow::Owned(tables_of(params)?);
        }
        let original = params.unwrap_or(&self.config);
        let mut state = DrawState {
            params: original.clone(),
            original,
            layer_depth: 0,
            total_layers,
            shape: None,
            quantized: None,
        };
        let mut resolved = state.params.clone();
        while draw.depth < total_layers {
            state.layer_depth = draw.depth;
            if draw.depth > 0 {
                state.shape = Some(draw.shape);
                state.quantized = Some(draw.quantized);
            }
            if let ControlFlow::Break(value) = callback(&mut state, &draw.layers) {
                return Ok(Generated::Ended(value));
            }
            // Resolving costs more than drawing a layer, so only changed parameters are resolved again.
            if state.params != resolved {
                draw.tables = Cow::Owned(tables_of(&state.params)?);
                resolved = state.params.clone();
            }
            draw.step()?;
        }
        let spec = finish(draw);
        if let Some(sink) = sink {
            sink.write(&spec)?;
        }
        Ok(Generated::Network(spec))
    }

    fn begin(&self, total_layers: usize, seed: Seed) -> Result<Draw<'_>> {
        if total_layers == 0 {
            return Err(ModelgenError::NoLayers);
        }
        Ok(Draw::new(Cow::Borrowed(&self.tables), total_layers, seed.rng()))
    }
}

fn finish(draw: Draw<'_>) -> ModelSpec {
    ModelSpec::new("", draw.layers)
}

fn tables_of(config: &GeneratorConfig) -> Result<Tables> {
    let mut faults = Faults::new();
    let tables = resolve::tables(config, &mut faults);
    faults.into_result("generator")?;
    Ok(tables.expect("invariant: a configuration without faults resolves"))
}
