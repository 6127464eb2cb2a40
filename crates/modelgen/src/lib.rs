//! Random and structured generation of network specifications.

mod batch;
mod budget;
mod config;
mod coverage;
mod draw;
mod error;
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
pub use error::{ModelgenError, Result};
pub use generator::{DrawState, Generated, ModelGenerator};
pub use kind::{ActivationKind, Family, LayerKind, Named, PaddingKind, PoolKind};
pub use load::{Models, load_models};
pub use record::{CostLine, Record};
pub use shape::Shape;
pub use size::{SizeGrid, SizeLaw};
pub use structure::{Axis, Bounds, Design, LayerAxes, Realized, Structure};
pub use weights::{Weights, Widths};
