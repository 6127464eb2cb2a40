//! Random and structured generation of network specifications.

mod budget;
mod config;
mod draw;
mod error;
mod generator;
mod kind;
mod shape;
mod size;
mod tables;
mod weights;

pub use budget::{Binding, Candidate, Over, Reason, Tally};
pub use config::{GeneratorConfig, Probs, Scope};
pub use error::{ModelgenError, Result};
pub use generator::{DrawState, Generated, ModelGenerator};
pub use kind::{ActivationKind, Family, LayerKind, Named, PaddingKind, PoolKind};
pub use shape::Shape;
pub use size::{SizeGrid, SizeLaw};
pub use weights::{Weights, Widths};
