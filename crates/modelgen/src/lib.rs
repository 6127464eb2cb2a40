//! Families of networks, drawn honestly: random and structured generation of specifications, by the million.
//!
//! For whoever needs many small networks: candidates for a search under hard limits, or a corpus to train a
//! model of hardware costs on. It depends on no tensor library; what it makes are [`ModelSpec`]s.
//!
//! A [`GeneratorConfig`] describes a family by bounds, rates and weights of named choices. A [`ModelGenerator`] draws
//! networks of it: shapes are known at every step, so every network resolves, sizes never leave their bounds, and
//! what is drawn has the probabilities that are written. The same seed gives the same network.
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
//! A callback is asked before each weight layer. It may change any parameter for the rest of the draw, or end it with
//! a value of its own. Here it lets networks become flat once there are more than two layers: `flatten_chance` is
//! drawn before the next layer, and `layer_depth` counts the weight layers so far, so three convolutions and four
//! dense layers come out.
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
//! Weights are maps from name to weight; lists in the documented orders are taken too. Without relu, softmax and the
//! absence of an activation:
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
//! A kind of layer is kept out by a weight of 0, or by the blacklist. Without dense layers:
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
//! | part | what it holds |
//! | --- | --- |
//! | [`GeneratorConfig`], [`Probs`], [`Weights`], [`Widths`] | a family: every parameter of a draw, with its default |
//! | [`ModelGenerator`], [`DrawState`], [`Generated`] | drawing one network, with a callback or without |
//! | [`Candidate`], [`Tally`], [`Binding`] | networks within limits, rejects counted by reason |
//! | [`generate`], [`BatchConfig`], [`Manifest`] | corpora: the same bytes for any number of jobs |
//! | [`Format`], [`Sink`] | the forms of a corpus, Keras' and QKeras' model JSON among them; single networks written |
//! | [`load_models`], [`Record`] | corpora of every form read back |
//! | [`Structure`], [`Design`], [`Realized`] | structured sets: Cartesian product, Latin hypercube, Sobol's sequence |
//! | [`generate_designed`], [`DesignedConfig`], [`DesignedManifest`] | structured sets as corpora |
//! | [`Coverage`] | fill and separation distances and histograms of a set, as numbers and as a picture |
//!
//! [`ModelSpec`]: tinsmith_network::ModelSpec

#![forbid(unsafe_code)]

mod batch;
mod budget;
mod config;
mod coverage;
mod designed;
mod draw;
mod error;
mod exportable;
mod format;
mod generator;
mod kind;
mod load;
mod record;
mod shape;
mod size;
mod structure;
mod tables;
mod weight_layer;
mod weights;

pub use batch::{BatchConfig, Duplicates, FileEntry, Manifest, generate, manifest_path};
pub use budget::{Binding, Candidate, Over, Reason, Tally};
pub use config::{GeneratorConfig, Probs, Scope};
pub use coverage::{AxisCoverage, Coverage, CoverageAxis, Distances};
pub use designed::{DesignedConfig, DesignedManifest, coverage_path, generate_designed};
pub use error::{ModelgenError, Result};
pub use format::{Format, Sink};
pub use generator::{DrawState, Generated, ModelGenerator};
pub use kind::{ActivationKind, Family, LayerKind, Named, PaddingKind, PoolKind};
pub use load::{Models, load_models};
pub use record::{CostLine, Record};
pub use shape::Shape;
pub use size::{SizeGrid, SizeLaw};
pub use structure::{Axis, Bounds, Design, LayerAxes, Realized, Structure};
pub use weights::{Weights, Widths};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
