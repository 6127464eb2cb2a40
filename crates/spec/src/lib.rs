//! A neural network as data.

mod activation;
mod canonical;
pub mod cost;
mod error;
mod facts;
mod graph;
mod hash;
pub mod keras;
mod layer;
mod model;
pub mod op;
pub mod quantizer;
mod shape;
mod weights;
mod window;

pub use activation::{Activation, Clip, Elu, LeakyRelu, Prelu};
pub use cost::{Cost, Form, LayerCost, Limits, Measures, PeakRam, Target, Violation};
pub use error::{Result, SpecError};
pub use facts::{Storage, WeightFacts};
pub use graph::{Graph, Node};
pub use hash::{NoHash, StructuralHash};
pub use layer::Layer;
pub use model::{ModelSpec, SCHEMA};
pub use op::Op;
pub use quantizer::Quantizer;
pub use weights::{Role, Weight};
pub use window::{Padding, Pair, span};
