//! Random and space-filling generation of network specifications, by the million.
//!
//! Use it to draw candidates for a search under hard limits, or a corpus to train a model of hardware costs. The results
//! are [`ModelSpec`]s; there is no tensor library among the dependencies.
//!
//! A [`GeneratorConfig`] describes a family by bounds, rates and weights of named choices, and a [`ModelGenerator`] draws
//! its networks. Shapes are known at every step: every network is valid, sizes never leave their bounds, and choices
//! have exactly the configured probabilities. The same seed gives the same network.
//!
//! ```
//! use tinsmith_foundation::Seed;
//! use tinsmith_modelgen::{GeneratorConfig, ModelGenerator};
//! use tinsmith_cost::{Limits, Target};
//!
//! // Ten classifiers of 8 by 8 images that fit into 8 KiB of flash and 2 KiB of RAM.
//! let target = Target::builtin("mcu-int8").ok_or("no such target")?;
//! let limits = Limits { flash: Some(8 << 10), ram: Some(2 << 10), ..Limits::default() };
//! let generator = ModelGenerator::new(GeneratorConfig::for_task(&[8, 8, 1], 10))?;
//! let networks = generator.candidates(10, Seed::new(7), &limits, &target)?;
//! assert_eq!(networks.len(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Steering a draw
//! A callback runs before each weight layer. It may change any parameter for the rest of the draw, or end the draw with
//! a value of its own. The callback below permits flattening after more than two layers. `flatten_chance` is drawn
//! before the next layer and `layer_depth` counts the weight layers so far, so the result has three convolutions and
//! four dense layers.
//!
//! ```
//! use std::ops::ControlFlow;
//! use tinsmith_foundation::Seed;
//! use tinsmith_modelgen::{DrawState, GeneratorConfig, ModelGenerator, Probs, Weights};
//! use tinsmith_network::{Layer, Op};
//!
//! let defaults = GeneratorConfig::default();
//! let generator = ModelGenerator::new(GeneratorConfig {
//!     dense_lb: 32,
//!     dense_ub: 64,
//!     conv_filters_ub: 16,
//!     q_chance: 1.0, // only quantized layers
//!     // [QConv1D, QConv2D, QDense, QSeparableConv2D, QDepthwiseConv2D]
//!     probs: Probs { start_layers: Weights::List(vec![0.0, 0.33, 0.0, 0.33, 0.33]), ..defaults.probs },
//!     flatten_chance: 0.0, // no dense layers
//!     ..GeneratorConfig::default()
//! })?;
//! let callback = |state: &mut DrawState<'_>, _layers: &[Layer]| -> ControlFlow<()> {
//!     if state.layer_depth() > 2 {
//!         state.params.flatten_chance = 1.0;
//!     }
//!     ControlFlow::Continue(())
//! };
//! let drawn = generator.gen_network(7, None, Seed::new(1), callback, None)?;
//! let spec = drawn.into_network().ok_or("the callback ended it")?;
//! let dense = spec.layers.iter().filter(|layer| matches!(layer.op, Op::Dense(_))).count();
//! let convolutions = spec.layers.iter().filter(|layer| layer.op.name().contains("conv")).count();
//! assert_eq!((convolutions, dense), (3, 4));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Probabilities
//! Weights are maps of name to weight, or lists in the documented orders. Only tanh and sigmoid:
//!
//! ```
//! use tinsmith_modelgen::{ActivationKind, GeneratorConfig, Probs, Weights};
//!
//! let by_name = Weights::of([(ActivationKind::Tanh, 0.5), (ActivationKind::Sigmoid, 0.5)]);
//! // [no_activation, relu, tanh, sigmoid, softmax]
//! let by_place = Weights::List(vec![0.0, 0.0, 0.5, 0.5, 0.0]);
//! for activations in [by_name, by_place] {
//!     let probs = Probs { activations, ..Probs::default() };
//!     GeneratorConfig { probs, ..GeneratorConfig::default() }.validate()?;
//! }
//! let wrong = Probs { activations: Weights::List(vec![0.5, 0.5]), ..Probs::default() };
//! let error = GeneratorConfig { probs: wrong, ..GeneratorConfig::default() }.validate().unwrap_err();
//! assert!(error.to_string().contains("want 4 for [relu, tanh, sigmoid, softmax]"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A weight of 0 or the blacklist excludes a kind of layer. No dense layers:
//!
//! ```
//! use tinsmith_foundation::{Seed, config};
//! use tinsmith_modelgen::{GeneratorConfig, ModelGenerator};
//! use tinsmith_network::Op;
//!
//! let text = "layers_blacklist: [Dense, QDense]";
//! let family: GeneratorConfig = config::from_str(text, "family.yaml", GeneratorConfig::check)?;
//! let spec = ModelGenerator::new(family)?.draw(4, Seed::new(1))?;
//! assert!(!spec.layers.iter().any(|layer| matches!(layer.op, Op::Dense(_))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | item | purpose |
//! | --- | --- |
//! | [`GeneratorConfig`], [`Probs`], [`Weights`], [`Widths`] | parameters of a family, with defaults |
//! | [`ModelGenerator`], [`DrawState`], [`Generated`] | draw of one network, with or without a callback |
//! | [`Candidate`], [`Tally`], [`Binding`] | networks within limits, rejections by reason |
//! | [`generate`], [`CorpusConfig`], [`CorpusManifest`] | corpora, the same bytes for any number of workers |
//! | [`Format`], [`Sink`] | file formats, Keras and QKeras model JSON among them; writing of single networks |
//! | [`load_models`], [`Record`] | reading of corpora in every format |
//! | [`ChainSpace`], [`SamplingPlan`], [`SampledPoints`] | spaces of layer chains, sampled by Cartesian product, Latin hypercube or Sobol sequence |
//! | [`generate_space_filling`], [`SpaceFillingConfig`], [`SpaceFillingManifest`] | space-filling corpora |
//! | [`Coverage`] | fill distance, separation distance and histograms of a set, as numbers and as a plot |
//!
//! [`ModelSpec`]: tinsmith_network::ModelSpec

#![forbid(unsafe_code)]

mod budget;
mod chain_space;
mod config;
mod corpus;
mod corpus_files;
mod coverage;
mod draw;
mod error;
mod exportable;
mod format;
mod generator;
mod kind;
mod load;
mod record;
mod resolve;
mod shape;
mod size;
mod space_filling;
mod tables;
mod weight_layer;
mod weights;

pub use budget::{Binding, Candidate, LimitOverrun, RejectReason, Tally};
pub use chain_space::{Bounds, ChainAxis, ChainSpace, LayerAxes, SampledPoints, SamplingPlan};
pub use config::{DefaultKinds, GeneratorConfig, Probs, Scope};
pub use corpus::{CorpusConfig, CorpusManifest, Duplicates, generate};
pub use corpus_files::{FileEntry, manifest_path};
pub use coverage::{AxisCoverage, Coverage, CoverageAxis, Distances};
pub use error::{ModelgenError, Result};
pub use format::{Format, Sink};
pub use generator::{DrawState, Generated, ModelGenerator};
pub use kind::{ActivationKind, Family, LayerKind, NamedChoice, PaddingKind, PoolKind};
pub use load::{Models, load_models};
pub use record::{CostLine, Record};
pub use shape::Shape;
pub use size::{SizeGrid, SizeLaw};
pub use space_filling::{SpaceFillingConfig, SpaceFillingManifest, coverage_path, generate_space_filling};
pub use weights::{Weights, Widths};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
