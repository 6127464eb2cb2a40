//! A network that can be trained and run.

mod calibrate;
mod facts;
mod finite;
mod forward;
mod inherit;
mod state;
mod weight_names;

use candle_core::{Device, Tensor};
use tinsmith_core_tensor::{Fans, Initializer, Param, Params};
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_network::op::Initializer as SpecInitializer;
use tinsmith_network::{Graph, ModelSpec, Role};
use tinsmith_quant::LearnedOp;

use crate::error::{LayersError, Result};
use crate::layer::{Blueprint, LayerForward, param_name};

pub use finite::{NonFinite, Place};
pub use forward::Activations;
pub use inherit::{Inheritance, Inherited};
pub use state::ModelState;
pub(crate) use weight_names::{WeightNames, check_weight_count};

/// Build settings beyond the specification.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Threads for its operations. Results do not depend on them. Default 1.
    pub threads: Threads,
    /// Device of its tensors. Default the CPU, the only device on which this crate's operations run.
    pub device: Device,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self { threads: Threads::ONE, device: Device::Cpu }
    }
}

/// Maximum number of weights of a network that is built: 1 GiB as `f32`, a thousand times what the targets of this
/// workshop hold.
const MOST_WEIGHTS: u128 = 1 << 28;

/// A [`ModelSpec`] with parameters, running on candle's graph.
///
/// Parameters are named `layer.weight` (`c1.kernel`, `bn1.moving_mean`), in the specification's order of layers and
/// Keras' order of weights. Activations are channels-last and `f32`.
#[derive(Debug)]
pub struct Model {
    spec: ModelSpec,
    graph: Graph,
    params: Params,
    layers: Vec<Box<dyn LayerForward>>,
    wiring: Wiring,
    threads: Threads,
    device: Device,
}

impl Model {
    /// Builds `spec` with initial weights. Each parameter draws from `seed.derive(its name, 0)`, so adding or
    /// removing a layer leaves the other weights unchanged. Learned quantizer parameters are initialized from the
    /// initial weights (see [`LearnedOp::initial`]).
    ///
    /// # Errors
    /// [`crate::LayersError::Spec`] if the specification is invalid, [`crate::LayersError::Unsupported`] if a layer
    /// uses an unsupported option, [`crate::LayersError::TooManyWeights`] for more than 2^28 weights.
    pub fn build(spec: &ModelSpec, seed: Seed, options: &BuildOptions) -> Result<Self> {
        let graph = spec.graph()?;
        let count = weight_names::weight_count(spec, &graph);
        if count > MOST_WEIGHTS {
            return Err(LayersError::TooManyWeights { count, limit: MOST_WEIGHTS });
        }
        let mut params = Params::new();
        for (i, layer) in spec.layers.iter().enumerate() {
            let shapes = graph.input_shapes(i);
            let Some(&input) = shapes.first() else { continue };
            for weight in layer.op.weights(input) {
                let name = param_name(&layer.name, weight.name);
                let mut rng = seed.derive(&name, 0).rng();
                let fans = Fans { fan_in: weight.fans.0, fan_out: weight.fans.1 };
                let value = match weight.learned.and_then(|l| Some((l.quantizer, l.weight?))) {
                    Some((quantizer, of)) => {
                        let of = params.get(&param_name(&layer.name, of))?;
                        let start = LearnedOp::new(&quantizer)?.initial(&of.values()?, of.dims())?;
                        Tensor::from_vec(start, weight.shape.as_slice(), &Device::Cpu)?
                    }
                    None => initializer(weight.initializer).tensor(&weight.shape, fans, &mut rng)?,
                };
                let param = Param::new(name, &value.to_device(&options.device)?)?;
                params.insert(if weight.role.is_trainable() { param } else { param.fixed() })?;
            }
        }
        let blueprint =
            Blueprint { layers: &spec.layers, graph: &graph, params: &params, device: &options.device };
        let layers = (0..spec.layers.len()).map(|i| blueprint.build(i)).collect::<Result<Vec<_>>>()?;
        let wiring = Wiring::new(spec, &graph);
        Ok(Self {
            spec: spec.clone(),
            graph,
            params,
            layers,
            wiring,
            threads: options.threads,
            device: options.device.clone(),
        })
    }

    /// Specification that it was built from.
    #[must_use]
    pub const fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// The resolved specification.
    #[must_use]
    pub const fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Parameters in order, with values, masks and flags.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    /// Mutable parameters, to set masks and frozen flags.
    #[must_use]
    pub const fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// Device of its tensors.
    #[must_use]
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Threads for its operations.
    #[must_use]
    pub const fn threads(&self) -> Threads {
        self.threads
    }

    /// Changes the number of threads. Results stay the same.
    pub const fn set_threads(&mut self, threads: Threads) {
        self.threads = threads;
    }

    /// Name and role of each parameter, in the order of [`Model::params`].
    #[must_use]
    pub fn roles(&self) -> Vec<(String, Role)> {
        let layers = self.spec.layers.iter().enumerate();
        layers
            .flat_map(|(i, layer)| {
                let shapes = self.graph.input_shapes(i);
                let weights = shapes.first().map(|input| layer.op.weights(input)).unwrap_or_default();
                weights.into_iter().map(|w| (param_name(&layer.name, w.name), w.role))
            })
            .collect()
    }

    /// Copies the model to `device` with parameters of its own. Masks and flags are kept.
    ///
    /// # Errors
    /// [`crate::LayersError::Tensor`] if the device fails.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let params = self.params.to_device(device)?;
        let blueprint = Blueprint { layers: &self.spec.layers, graph: &self.graph, params: &params, device };
        let layers = (0..self.spec.layers.len()).map(|i| blueprint.build(i)).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            spec: self.spec.clone(),
            graph: self.graph.clone(),
            params,
            layers,
            wiring: self.wiring.clone(),
            threads: self.threads,
            device: device.clone(),
        })
    }
}

/// Execution order: the layers that run, their inputs, and the number of readers of each output.
#[derive(Debug, Clone)]
pub(crate) struct Wiring {
    /// False for a layer that is replaced by the batch normalization folded into it.
    pub(crate) runs: Vec<bool>,
    /// Input layers of each layer. A folded normalization reads the inputs of the layer it replaces.
    pub(crate) sources: Vec<Vec<usize>>,
    /// Number of readers of each layer's output.
    pub(crate) readers: Vec<usize>,
}

impl Wiring {
    pub(crate) fn new(spec: &ModelSpec, graph: &Graph) -> Self {
        let count = spec.layers.len();
        let mut runs = vec![true; count];
        let mut sources: Vec<Vec<usize>> = graph.nodes.iter().map(|n| n.inputs.clone()).collect();
        for (i, layer) in spec.layers.iter().enumerate() {
            if let (Some(_), Some(&before)) = (layer.op.folded_norm(), graph.nodes[i].inputs.first()) {
                runs[before] = graph.outputs.contains(&before);
                sources[i].clone_from(&graph.nodes[before].inputs);
            }
        }
        let mut readers = vec![0; count];
        for i in (0..count).filter(|&i| runs[i]) {
            for &source in &sources[i] {
                readers[source] += 1;
            }
        }
        Self { runs, sources, readers }
    }
}

pub(crate) fn initializer(initializer: SpecInitializer) -> Initializer {
    match initializer {
        SpecInitializer::GlorotUniform => Initializer::GlorotUniform,
        SpecInitializer::GlorotNormal => Initializer::GlorotNormal,
        SpecInitializer::HeUniform => Initializer::HeUniform,
        SpecInitializer::HeNormal => Initializer::HeNormal,
        SpecInitializer::LecunUniform => Initializer::LecunUniform,
        SpecInitializer::LecunNormal => Initializer::LecunNormal,
        SpecInitializer::Zeros => Initializer::Zeros,
        SpecInitializer::Ones => Initializer::Ones,
        SpecInitializer::Constant(value) => Initializer::Constant(value as f32),
        SpecInitializer::RandomNormal(std) => Initializer::RandomNormal { mean: 0.0, std },
        SpecInitializer::RandomUniform(bound) => Initializer::RandomUniform { low: -bound, high: bound },
    }
}
