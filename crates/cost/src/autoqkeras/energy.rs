//! AutoQKeras' goal `energy` (`ForgivingFactorPower`), in picojoule.
//!
//! For each layer: reading its inputs, writing its output, reading its parameters, and its operations. The
//! parts that count as the size of a network depend on the layer's class ([`counted_pj`]). An access to `b` bits costs
//!
//! - `dram`: `20.3125 b`, plus the `sram` term if inputs and outputs pass through it
//!   (`rd_wr_on_io`);
//! - `sram`: `ceil(b / 64) max(0, 9.02427321e-4 L^3 - 2.68847858e-2 L^2 + 2.08900804e-1 L)` with `L =
//!   log2(max(b, min_sram_size))`;
//! - `fixed`: nothing.
//!
//! The first layers read from and the last layers write to `dram` if `rd_wr_on_io` is set, else `sram`, regardless of
//! `activations_on_memory`. Pooling counts channels times window additions, regardless of the number of windows. Inputs
//! and layers without effect at inference (dropout) are not layers here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_network::{Graph, ModelSpec, OpFamily};

use super::class_of;
use super::operators::add_energy_pj;
use super::widths::{Arithmetic, Assignment, LayerWidths, widths};
use crate::storage::elements;

/// Memory that holds a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// Off chip.
    Dram,
    /// On chip.
    Sram,
    /// Constants in the circuit; no access cost.
    Fixed,
}

/// Settings of the goal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnergyConfig {
    /// Memory of the parameters.
    pub parameters_on_memory: Memory,
    /// Memory of the activations.
    pub activations_on_memory: Memory,
    /// Smallest available size of on-chip memory, in bits.
    pub min_sram_size: u64,
    /// Moves inputs and outputs of the network through off-chip memory.
    pub rd_wr_on_io: bool,
    /// Classes of layers, by name, that differ from [`super::keras_class`].
    pub classes: BTreeMap<String, String>,
}

impl Default for EnergyConfig {
    fn default() -> Self {
        Self {
            parameters_on_memory: Memory::Fixed,
            activations_on_memory: Memory::Dram,
            min_sram_size: 0,
            rd_wr_on_io: true,
            classes: BTreeMap::new(),
        }
    }
}

impl EnergyConfig {
    /// Picojoule for reading or writing `bits` bits; `is_edge` for the network's inputs and outputs.
    #[must_use]
    pub fn access_pj(&self, bits: u64, memory: Memory, is_edge: bool) -> f64 {
        let memory = match (is_edge, self.rd_wr_on_io) {
            (false, _) => memory,
            (true, true) => Memory::Dram,
            (true, false) => Memory::Sram,
        };
        match memory {
            Memory::Fixed => 0.0,
            Memory::Sram => self.sram_pj(bits),
            Memory::Dram => 20.3125 * bits as f64 + if self.rd_wr_on_io { self.sram_pj(bits) } else { 0.0 },
        }
    }

    fn sram_pj(&self, bits: u64) -> f64 {
        let l = (bits.max(self.min_sram_size).max(1) as f64).log2();
        let access = 9.024_273_21e-4 * l * l * l - 2.688_478_58e-2 * l * l + 2.089_008_04e-1 * l;
        bits.div_ceil(64) as f64 * access.max(0.0)
    }
}

/// Energy of one layer, in picojoule.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct LayerEnergy {
    /// Reading the inputs.
    pub inputs: f64,
    /// Writing the output.
    pub outputs: f64,
    /// Reading the parameters.
    pub parameters: f64,
    /// Operations.
    pub op_cost: f64,
}

impl LayerEnergy {
    /// The sum of all parts.
    #[must_use]
    pub fn total_pj(&self) -> f64 {
        self.inputs + self.outputs + self.parameters + self.op_cost
    }
}

/// Energy of a network, in picojoule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Energy {
    /// Sum of all parts.
    pub total_pj: f64,
    /// Size in AutoQKeras' sense: the parts of [`counted_pj`].
    pub size_pj: f64,
    /// Each layer, in the order of declaration; None for inputs and for layers without effect at inference.
    pub layers: Vec<Option<LayerEnergy>>,
}

/// The part of a layer's energy that AutoQKeras counts, by class: activation layers their outputs, batch
/// norms their parameters, `Add`, `Subtract` and `MaxPooling2D` their operations, all others inputs,
/// parameters and operations.
#[must_use]
pub fn counted_pj(class: &str, energy: &LayerEnergy) -> f64 {
    match class {
        "QActivation" | "QAdaptiveActivation" | "Activation" => energy.outputs,
        "QBatchNormalization" | "BatchNormalization" => energy.parameters,
        "Add" | "Subtract" | "MaxPooling2D" => energy.op_cost,
        _ => energy.inputs + energy.parameters + energy.op_cost,
    }
}

impl Energy {
    /// The energy of `spec`, resolved as `graph`. A reference is [`super::float_twin`] with
    /// [`Assignment::reference`].
    #[must_use]
    pub fn of(spec: &ModelSpec, graph: &Graph, assignment: Assignment, config: &EnergyConfig) -> Self {
        let widths = widths(spec, graph, assignment, &config.classes);
        let mut all = Self { total_pj: 0.0, size_pj: 0.0, layers: Vec::with_capacity(spec.layers.len()) };
        for (i, layer) in spec.layers.iter().enumerate() {
            if matches!(layer.op.family(), OpFamily::Input | OpFamily::Noise) {
                all.layers.push(None);
                continue;
            }
            let energy = layer_energy(spec, graph, i, &widths[i], config);
            all.total_pj += energy.total_pj();
            all.size_pj += counted_pj(class_of(layer, &config.classes), &energy);
            all.layers.push(Some(energy));
        }
        all
    }
}

/// Source of a tensor, skipping layers without effect.
fn origin(spec: &ModelSpec, graph: &Graph, mut layer: usize) -> usize {
    while let (OpFamily::Noise, Some(&before)) =
        (spec.layers[layer].op.family(), graph.nodes[layer].inputs.first())
    {
        layer = before;
    }
    layer
}

fn layer_energy(
    spec: &ModelSpec,
    graph: &Graph,
    i: usize,
    widths: &LayerWidths,
    config: &EnergyConfig,
) -> LayerEnergy {
    let node = &graph.nodes[i];
    let output_elements = elements(&node.shape);
    let reads = node.inputs.iter().zip(&widths.inputs).map(|(&from, kind)| {
        let is_edge = spec.layers[origin(spec, graph, from)].op.is_input();
        let bits = elements(graph.shape(from)).saturating_mul(kind.bits.into());
        config.access_pj(bits, config.activations_on_memory, is_edge)
    });
    let parameters = widths.weights.iter().map(|weight| {
        let bits = weight.elements.saturating_mul(weight.kind.bits.into());
        config.access_pj(bits, config.parameters_on_memory, false)
    });
    let is_last = graph.outputs.iter().any(|&output| origin(spec, graph, output) == i);
    let output_bits = output_elements.saturating_mul(widths.output.bits.into());
    LayerEnergy {
        inputs: reads.sum(),
        outputs: config.access_pj(output_bits, config.activations_on_memory, is_last),
        parameters: parameters.sum(),
        op_cost: operations_pj(&widths.arithmetic, output_elements, node.inputs.len()),
    }
}

fn operations_pj(arithmetic: &Arithmetic, elements: u64, inputs: usize) -> f64 {
    let elements = elements as f64;
    match arithmetic {
        Arithmetic::None => 0.0,
        Arithmetic::Products(stages) => stages
            .iter()
            .map(|s| s.operations as f64 * (s.multiplier.energy_pj() + add_energy_pj(&s.accumulator)))
            .sum(),
        Arithmetic::Norm { divider, multiplier, .. } => {
            elements * (divider.energy_pj() + multiplier.energy_pj())
        }
        Arithmetic::Pool { accumulator, operations, multiplier } => {
            let multiplications = multiplier.map_or(0.0, |m| elements * m.energy_pj());
            *operations as f64 * add_energy_pj(accumulator) + multiplications
        }
        Arithmetic::Merge(operator) => (inputs as f64 - 1.0) * elements * operator.energy_pj(),
    }
}
