//! A neural network as data: layers, quantizers and connections in YAML or JSON, the shapes that follow from them,
//! a structural hash and a summary table, all without a tensor library.
//!
//! Generators and searches write a [`ModelSpec`], trainers build from it, exporters read it. A quantized layer is not
//! another kind of layer but the same one with quantizers. An impossible specification is an error that names the
//! position, the layer, the shapes and the reason.
//!
//! ```
//! use tinsmith_network::ModelSpec;
//!
//! let spec = ModelSpec::parse(
//!     "
//!      name: tiny
//!      layers:
//!        - {name: x, input: {shape: [8, 8, 1]}}
//!        - {name: c1, conv2d: {filters: 4, kernel: 3, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)'}}
//!        - {name: a1, activation: 'quantized_relu(4,2)'}
//!        - {name: f, flatten: {}}
//!        - {name: d, dense: {units: 10, activation: softmax}}",
//!     "tiny.yaml",
//! )?;
//!
//! // Shapes follow from the specification alone.
//! let graph = spec.graph()?;
//! assert_eq!(graph.shape(1), [6, 6, 4]);
//!
//! // A summary table.
//! let summary = spec.summary()?;
//! assert_eq!(summary.trainable_params(), 4 * 9 + 4 + 144 * 10 + 10);
//! assert!(summary.to_string().ends_with("Non-trainable params: 0\n"));
//!
//! // The structural hash ignores names and the order of declaration.
//! let renamed = ModelSpec::parse(&spec.to_yaml()?.replace("c1", "first"), "renamed")?;
//! assert_eq!(spec.structural_hash()?, renamed.structural_hash()?);
//!
//! // Faults have a position.
//! let error = ModelSpec::parse("layers: [{name: x, input: {shape: [4]}}, {name: d, dense: {units: 0}}]", "m.yaml");
//! assert_eq!(
//!     error.unwrap_err().to_string(),
//!     "m.yaml:1:67: `layers[1].dense.units` is 0, want at least 1 (layer `d`)"
//! );
//! # Ok::<(), tinsmith_network::NetworkError>(())
//! ```
//!
//! | item | contents |
//! | --- | --- |
//! | [`ModelSpec`], [`Layer`], [`op`] | a network, its layers, and the operation of each kind |
//! | [`Product`], [`Pooling`], [`Merging`], [`OpFamily`], [`QuantizerFacts`] | views that treat kinds of layers and quantizers alike |
//! | [`Activation`], [`quantizer`] | functions, plain and quantized, and the grammar of quantizer texts |
//! | [`Graph`] | resolved connections, order and shapes; [`Op::weights`] lists a layer's weight tensors |
//! | [`StructuralHash`] | equal for networks that differ only in names and order; [`ModelSpec::canonical`] |
//! | [`Summary`] | a table like Keras' |
//! | [`json_schema`] | JSON schema of specification files, for editors |

#![forbid(unsafe_code)]

mod activation;
mod canonical;
mod error;
mod facts;
mod graph;
mod hash;
mod layer;
mod model;
pub mod op;
mod pooling;
mod product;
pub mod quantizer;
mod schema;
mod shape;
mod summary;
mod weights;
mod window;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use activation::{Activation, Clip, Elu, LeakyRelu, Prelu};
pub use error::{NetworkError, Result};
pub use facts::{Storage, WeightFacts};
pub use graph::{Graph, Node};
pub use hash::{NoHash, StructuralHash};
pub use layer::Layer;
pub use model::{ModelSpec, SCHEMA};
pub use op::{Merging, Op, OpFamily};
pub use pooling::Pooling;
pub use product::{KernelSettings, Product, ProductKind};
pub use quantizer::{Quantizer, QuantizerFacts};
pub use schema::json_schema;
pub use summary::Summary;
pub use weights::{Learned, Role, Weight};
pub use window::{Geometry, Padding, Pair, SlidingWindow, span};
