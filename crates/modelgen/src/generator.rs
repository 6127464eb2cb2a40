//! The generator: draws one network of a family.

use std::borrow::Cow;
use std::ops::ControlFlow;

use tinsmith_foundation::{Faults, Seed};
use tinsmith_network::{Layer, ModelSpec};

use crate::config::GeneratorConfig;
use crate::draw::Draw;
use crate::error::{ModelgenError, Result};
use crate::format::Sink;
use crate::shape::Shape;
use crate::tables::Tables;

/// Draws networks of the family that a [`GeneratorConfig`] describes. It has no state: what a draw gives depends on
/// the configuration, the number of layers and the seed.
#[derive(Debug, Clone)]
pub struct ModelGenerator {
    config: GeneratorConfig,
    tables: Tables,
}

/// What [`ModelGenerator::gen_network`] ends with.
#[derive(Debug, Clone, PartialEq)]
pub enum Generated<T> {
    /// A network of all its layers.
    Network(ModelSpec),
    /// The callback's own value, with which it ended the generation.
    Ended(T),
}

impl<T> Generated<T> {
    /// The network, unless the callback ended the generation.
    #[must_use]
    pub fn into_network(self) -> Option<ModelSpec> {
        match self {
            Self::Network(spec) => Some(spec),
            Self::Ended(_) => None,
        }
    }
}

/// The state of a draw, as a callback sees it before each weight layer.
#[derive(Debug)]
pub struct DrawState<'g> {
    /// The parameters in effect. What a callback changes holds for the rest of this draw.
    pub params: GeneratorConfig,
    original: &'g GeneratorConfig,
    layer_depth: usize,
    total_layers: usize,
    shape: Option<Shape>,
    quantized: Option<bool>,
}

impl DrawState<'_> {
    /// Weight layers so far.
    #[must_use]
    pub const fn layer_depth(&self) -> usize {
        self.layer_depth
    }

    /// Weight layers that the network will have.
    #[must_use]
    pub const fn total_layers(&self) -> usize {
        self.total_layers
    }

    /// Shape of the features so far; None before the first layer.
    #[must_use]
    pub const fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// Whether the last layer was quantized; None before the first layer.
    #[must_use]
    pub const fn is_quantized(&self) -> Option<bool> {
        self.quantized
    }

    /// Puts every parameter back to what the draw began with. Nothing else needs a reset: a draw leaves no
    /// trace in the generator.
    pub fn reset_layers(&mut self) {
        self.params = self.original.clone();
    }
}

impl ModelGenerator {
    /// A generator of the family `config`.
    ///
    /// # Errors
    /// [`ModelgenError::Config`] with every value that cannot be used.
    pub fn new(config: GeneratorConfig) -> Result<Self> {
        let tables = resolve(&config)?;
        Ok(Self { config, tables })
    }

    /// The family's parameters.
    #[must_use]
    pub const fn config(&self) -> &GeneratorConfig {
        &self.config
    }

    /// A network of exactly `total_layers` weight layers.
    ///
    /// # Errors
    /// [`ModelgenError::NoLayers`] for 0 layers; [`ModelgenError::NoFit`] where bounds leave no form for a layer.
    pub fn draw(&self, total_layers: usize, seed: Seed) -> Result<ModelSpec> {
        let mut draw = self.begin(total_layers, seed)?;
        while draw.depth < total_layers {
            draw.step()?;
        }
        Ok(finish(draw))
    }

    /// A network of a number of weight layers drawn from `min_layer_count..=max_layer_count`, each as likely.
    ///
    /// # Errors
    /// As [`ModelGenerator::draw`].
    pub fn draw_any(&self, seed: Seed) -> Result<ModelSpec> {
        let (min, max) = (self.config.min_layer_count, self.config.max_layer_count);
        let total_layers = min + seed.derive("layers", 0).rng().index(max - min + 1);
        self.draw(total_layers, seed)
    }

    /// As [`ModelGenerator::draw`], with everything that can be said of one draw:
    ///
    /// - `params` are the parameters of this draw; None for the generator's own.
    /// - `callback` is asked before each weight layer. It sees the state and the layers so far (none before the first,
    ///   the input included from then on), may change any parameter for the rest of this draw, and may end the
    ///   generation with a value of its own, which is then the result.
    /// - `sink` gets the network, if there is one.
    ///
    /// # Errors
    /// As [`ModelGenerator::draw`]; [`ModelgenError::Config`] where `params` or the callback hold values that cannot be
    /// used; what [`Sink::write`] returns.
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
            draw.tables = Cow::Owned(resolve(params)?);
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
            if state.params != resolved {
                draw.tables = Cow::Owned(resolve(&state.params)?);
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

fn resolve(config: &GeneratorConfig) -> Result<Tables> {
    let mut faults = Faults::new();
    let tables = Tables::resolve(config, &mut faults);
    faults.into_result("generator")?;
    Ok(tables.expect("invariant: a configuration without faults resolves"))
}
