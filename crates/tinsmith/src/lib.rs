//! Small neural networks that must fit into flash, RAM or a power budget.
//!
//! This crate re-exports the Tinsmith libraries, each under its own feature and module. Programs that need one
//! library may depend on it directly (`tinsmith-network`, `tinsmith-trainer`, ...).
//!
//! | feature | content |
//! | --- | --- |
//! | `light` (default) | specifications, cost, Keras files, studies, data, generators, searches, reports: no tensor library |
//! | `training` | kernels, tensors, quantizers, layers and the trainer |
//! | `full` | everything, including fleets, pruning, C export and the design pipeline |
//! | the name of a crate | that crate |
//!
//! ```
//! use tinsmith::cost::{Cost, Target};
//! use tinsmith::network::ModelSpec;
//!
//! let spec = ModelSpec::parse(
//!     "layers: [{name: x, input: {shape: [4]}}, {name: y, dense: {units: 2}}]",
//!     "net.yaml",
//! )?;
//! let cost = Cost::of(&spec, &Target::load("float32")?)?;
//! assert_eq!(cost.total.params, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub use tinsmith_foundation as foundation;
#[cfg(feature = "autoq")]
pub use tinsmith_autoq as autoq;
#[cfg(feature = "core-tensor")]
pub use tinsmith_core_tensor as core_tensor;
#[cfg(feature = "cost")]
pub use tinsmith_cost as cost;
#[cfg(feature = "data")]
pub use tinsmith_data as data;
#[cfg(feature = "deploy")]
pub use tinsmith_deploy as deploy;
#[cfg(feature = "fleet")]
pub use tinsmith_fleet as fleet;
#[cfg(feature = "keras")]
pub use tinsmith_keras as keras;
#[cfg(feature = "kernels")]
pub use tinsmith_kernels as kernels;
#[cfg(feature = "layers")]
pub use tinsmith_layers as layers;
#[cfg(feature = "modelgen")]
pub use tinsmith_modelgen as modelgen;
#[cfg(feature = "nas")]
pub use tinsmith_nas as nas;
#[cfg(feature = "network")]
pub use tinsmith_network as network;
#[cfg(feature = "quant")]
pub use tinsmith_quant as quant;
#[cfg(feature = "report")]
pub use tinsmith_report as report;
#[cfg(feature = "sparse")]
pub use tinsmith_sparse as sparse;
#[cfg(feature = "study")]
pub use tinsmith_study as study;
#[cfg(feature = "tensorboard")]
pub use tinsmith_tensorboard as tensorboard;
#[cfg(feature = "trainer")]
pub use tinsmith_trainer as trainer;
#[cfg(feature = "workshop")]
pub use tinsmith_workshop as workshop;

#[cfg(all(doctest, feature = "light"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(all(doctest, feature = "light"))]
#[doc = include_str!("../../../docs/guide/src/crates.md")]
mod guide {}
