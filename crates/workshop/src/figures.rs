//! Accuracy and cost of a network, as a design reports them.

use serde::{Deserialize, Serialize};
use tinsmith_cost::{Cost, Target};
use tinsmith_network::{Graph, ModelSpec, Role};
use tinsmith_trainer::metric::mean_and_deviation;

use crate::error::Result;

/// Accuracy of a network over its seeds, and its cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Accuracy on the validation rows, one value per seed.
    pub validation_accuracy: Vec<f64>,
    /// Accuracy on the test rows, one value per seed.
    pub test_accuracy: Vec<f64>,
    /// Mean test accuracy.
    pub mean: f64,
    /// Sample standard deviation of the test accuracy.
    pub deviation: f64,
    /// Name of the target that the cost is for.
    pub target: String,
    /// Number of weights, zeros included.
    pub params: u64,
    /// Number of kernel weights that are not zero.
    pub non_zeros: u64,
    /// Multiply-accumulates per inference.
    pub macs: u64,
    /// Bytes in flash.
    pub flash_bytes: u64,
    /// Peak bytes in RAM.
    pub ram_bytes: u64,
    /// Mean bits per kernel weight.
    pub bits_per_weight: f64,
}

impl Figures {
    pub(crate) fn new(
        spec: &ModelSpec,
        target: &Target,
        validation: Vec<f64>,
        test: Vec<f64>,
    ) -> Result<Self> {
        let cost = Cost::of(spec, target)?;
        let layers = layer_bits(spec, &spec.graph()?, target);
        let (mean, deviation) = mean_and_deviation(&test);
        let weights: u64 = layers.iter().map(|l| l.weights).sum();
        let bits: f64 = layers.iter().map(|l| l.weights as f64 * f64::from(l.weight_bits)).sum();
        Ok(Self {
            validation_accuracy: validation,
            test_accuracy: test,
            mean,
            deviation,
            target: target.name.clone(),
            params: cost.total.params,
            non_zeros: layers.iter().map(|l| l.non_zeros).sum(),
            macs: cost.total.macs,
            flash_bytes: cost.total.flash_bytes,
            ram_bytes: cost.peak_ram.bytes,
            bits_per_weight: bits / weights.max(1) as f64,
        })
    }
}

/// Bit widths and sparsity of one layer with weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerBits {
    /// Name of the layer.
    pub layer: String,
    /// Kind of the layer.
    pub kind: String,
    /// Number of kernel weights.
    pub weights: u64,
    /// Number of kernel weights that are not zero.
    pub non_zeros: u64,
    /// Bits of a kernel weight.
    pub weight_bits: u32,
    /// Bits of an output value, after the activation that is fused into the layer.
    pub output_bits: u32,
}

/// Returns bit widths and sparsity of every layer with kernels.
#[must_use]
pub fn layer_bits(spec: &ModelSpec, graph: &Graph, target: &Target) -> Vec<LayerBits> {
    let cost = Cost::with_graph(spec, graph, target);
    let mut layers = Vec::new();
    for (i, layer) in spec.layers.iter().enumerate() {
        let shapes = graph.input_shapes(i);
        let Some(input) = shapes.first() else { continue };
        let kernels: Vec<_> =
            layer.op.weights(input).into_iter().filter(|w| w.role == Role::Kernel).collect();
        let Some(first) = kernels.first() else { continue };
        let weights = kernels.iter().map(|k| k.len() as u64).sum();
        let non_zeros = kernels
            .iter()
            .map(|k| {
                let fact = layer.facts.iter().find(|f| f.weight == k.name);
                fact.and_then(|f| f.non_zeros).unwrap_or(k.len() as u64)
            })
            .sum();
        let quantizer = first.quantizer.filter(|_| target.use_quantizers);
        // The last layer fused into this one writes the output, so it decides the bit width.
        let output = cost.layers.iter().rev().find(|l| l.written_by == i).unwrap_or(&cost.layers[i]);
        layers.push(LayerBits {
            layer: layer.name.clone(),
            kind: layer.op.name().to_owned(),
            weights,
            non_zeros,
            weight_bits: quantizer.map_or(target.weight_bits, |q| q.bits()),
            output_bits: output.output_bits,
        });
    }
    layers
}
