//! What came out of a design.

use serde::{Deserialize, Serialize};
use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::files;
use tinsmith_network::{Graph, ModelSpec, Role};
use tinsmith_trainer::Confusion;
use tinsmith_trainer::metric::mean_and_deviation;

use crate::error::Result;
use crate::folder::Folder;

/// A network's quality over its seeds, and its cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Accuracy on the validation part, one for each seed.
    pub validation_accuracy: Vec<f64>,
    /// Accuracy on the test part, one for each seed.
    pub test_accuracy: Vec<f64>,
    /// Mean of the latter.
    pub mean: f64,
    /// Sample deviation of the latter.
    pub deviation: f64,
    /// Target that the cost is for.
    pub target: String,
    /// Weights, those that are zero included.
    pub params: u64,
    /// Weights of kernels that are not zero.
    pub non_zeros: u64,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Bytes in flash.
    pub flash_bytes: u64,
    /// Peak bytes in RAM.
    pub ram_bytes: u64,
    /// Bits of a kernel's weight, the mean over all kernels.
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

/// Widths and sparsity of one layer with weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerBits {
    /// The layer.
    pub layer: String,
    /// Its kind.
    pub kind: String,
    /// Weights of its kernels.
    pub weights: u64,
    /// Those that are not zero.
    pub non_zeros: u64,
    /// Bits of each.
    pub weight_bits: u32,
    /// Bits of what it puts out, after the activation that follows.
    pub output_bits: u32,
}

/// Widths and sparsity of every layer with kernels.
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
        // What is fused into this layer's output decides its width.
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

/// How many candidates each stage looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Random networks.
    pub candidates: u64,
    /// Trials of the architecture search.
    pub search: u64,
    /// Of these, refused before training.
    pub refused: u64,
    /// Trials of the quantization search.
    pub quantize: u64,
    /// Trials of the pruning.
    pub prune: u64,
    /// Searches that a limit of time ended.
    pub ended_by_time: Vec<String>,
}

/// The figures of a finished design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignResult {
    /// Name of the data.
    pub data: String,
    /// Checksum of the data.
    pub data_checksum: String,
    /// The seed.
    pub seed: u64,
    /// The budget.
    pub limits: Limits,
    /// The chosen network, unquantized and unpruned, as float32.
    pub baseline: Figures,
    /// The same network quantized and pruned, on the target.
    pub winner: Figures,
    /// The run in `train/` whose weights are the winner's: the best on the validation part.
    pub run: String,
    /// The winner's widths, layer by layer.
    pub layers: Vec<LayerBits>,
    /// The winner on the test part.
    pub confusion: Confusion,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// How much was tried.
    pub counts: Counts,
}

impl DesignResult {
    /// The result in `folder`, where the design is finished.
    ///
    /// # Errors
    /// [`crate::WorkshopError::Config`] where `result.json` is there but is not a result.
    pub fn load(folder: &Folder) -> Result<Option<Self>> {
        let path = folder.result();
        if !path.is_file() {
            return Ok(None);
        }
        let text = files::read_text(&path)?;
        Ok(Some(tinsmith_foundation::config::from_str(&text, &path.display().to_string(), |_, _| {})?))
    }
}
