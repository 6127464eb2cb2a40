//! Cost of a network on a target, per layer and in total.

use serde::{Deserialize, Serialize};
use tinsmith_network::op::{BatchNorm, Initializer};
use tinsmith_network::{Graph, ModelSpec, Role, Weight};

use crate::error::Result;
use crate::flops;
use crate::peak_ram::{self, LiveTensor, PeakRam};
use crate::steps::{self, Steps};
use crate::storage::{Stored, elements, stored};
use crate::target::Target;

/// The state of the network whose cost is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostBasis {
    /// As trained: every layer by itself, batch normalizations with all four of their vectors.
    Trained,
    /// As deployed. A batch normalization that directly follows a dense, convolution or depthwise layer (linear,
    /// feeding nothing else) is folded into that layer's kernel and bias; others are a scale and a shift per
    /// channel. An activation layer (softmax excepted) is fused into the layer that makes its input, if nothing else
    /// reads that.
    #[default]
    Deployed,
}

/// Counts of one layer or of the whole network.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Measures {
    /// Weights, zeros included.
    pub params: u64,
    /// Trainable weights.
    pub trainable_params: u64,
    /// Multiply-accumulates of dense, convolution, depthwise and separable layers, zero weights included.
    pub macs: u64,
    /// Multiply-accumulates that remain if sparse storage lets zeros be skipped.
    pub sparse_macs: u64,
    /// Floating-point operations by our convention: a multiply-accumulate counts two, and every other computation
    /// counts too.
    pub flops: u64,
    /// Floating-point operations by the convention of keras-flops.
    pub keras_flops: u64,
    /// Bits of all weights; with sparse storage, of the weights kept, without indices.
    pub weight_bits: u64,
    /// Bits of the output for one sample; 0 for a layer that writes no tensor.
    pub activation_bits: u64,
    /// Bit-operations: `MACs (b_a b_w + b_a + b_w + log2(C_in k^2))`, with the widths of input and weight and
    /// the number of products per output. Source: Baskin et al., "UNIQ" (2018).
    pub bops: f64,
    /// Flash bytes: weights, indices of sparse weights, scales, overhead of the layer.
    pub flash_bytes: u64,
}

impl Measures {
    fn add(&mut self, other: &Self) {
        self.params = self.params.saturating_add(other.params);
        self.trainable_params = self.trainable_params.saturating_add(other.trainable_params);
        self.macs = self.macs.saturating_add(other.macs);
        self.sparse_macs = self.sparse_macs.saturating_add(other.sparse_macs);
        self.flops = self.flops.saturating_add(other.flops);
        self.keras_flops = self.keras_flops.saturating_add(other.keras_flops);
        self.weight_bits = self.weight_bits.saturating_add(other.weight_bits);
        self.activation_bits = self.activation_bits.saturating_add(other.activation_bits);
        self.bops += other.bops;
        self.flash_bytes = self.flash_bytes.saturating_add(other.flash_bytes);
    }
}

/// Cost of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LayerCost {
    /// Name of the layer.
    pub name: String,
    /// Kind of the layer, as in specifications.
    pub kind: &'static str,
    /// Shape of its output for one sample.
    pub shape: Vec<usize>,
    /// Bits of an element of its output.
    pub output_bits: u32,
    /// RAM bytes of the tensor that it writes; 0 for a layer that writes no tensor.
    pub output_bytes: u64,
    /// The layer (by number) that writes this layer's output: itself, or the last of those with which it is
    /// folded or fused or whose tensor it only names anew.
    pub written_by: usize,
    /// Counts.
    pub cost: Measures,
}

/// The output with the most elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct LargestActivation {
    /// Number of the layer; the first one on a tie.
    pub layer: usize,
    /// Elements for one sample.
    pub elements: u64,
}

/// Cost of a network on a target, per layer and in total.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// Name of the target.
    pub target: String,
    /// The state of the network that is counted.
    #[serde(rename = "form")]
    pub basis: CostBasis,
    /// Sum over all layers.
    pub total: Measures,
    /// Largest output of a layer, inputs excluded.
    pub largest_activation: LargestActivation,
    /// Largest output of a layer, inputs included.
    pub largest_with_input: LargestActivation,
    /// Minimum RAM, over all execution orders.
    pub peak_ram: PeakRam,
    /// Each layer, in the order of declaration.
    pub layers: Vec<LayerCost>,
}

impl Cost {
    /// The cost of `spec` on `target` as deployed. [`Cost::with_graph`] is cheaper if the graph is resolved already.
    ///
    /// # Errors
    /// [`crate::CostError::Invalid`] if the specification is no network, as [`ModelSpec::graph`].
    pub fn of(spec: &ModelSpec, target: &Target) -> Result<Self> {
        Ok(Self::with_graph(spec, &spec.graph()?, target))
    }

    /// The cost of `spec`, resolved as `graph`, on `target` as deployed.
    #[must_use]
    pub fn with_graph(spec: &ModelSpec, graph: &Graph, target: &Target) -> Self {
        Self::on_basis(spec, graph, target, CostBasis::Deployed)
    }

    /// The cost of `spec`, resolved as `graph`, on `target` as trained or as deployed.
    #[must_use]
    pub fn on_basis(spec: &ModelSpec, graph: &Graph, target: &Target, basis: CostBasis) -> Self {
        let mut steps = Steps::of(spec, graph, target, basis);
        let mut total = Measures::default();
        let mut largest_activation = LargestActivation::default();
        let mut largest_with_input = LargestActivation::default();
        let mut layers = Vec::with_capacity(spec.layers.len());
        for (i, layer) in spec.layers.iter().enumerate() {
            let node = &graph.nodes[i];
            let step = &steps.steps[steps.of_layer[i]];
            let writes = step.layer == i;
            let context = Context { spec, graph, target, basis, steps: &steps };
            let mut cost = context.layer(i);
            if writes {
                cost.activation_bits = step.elements.saturating_mul(u64::from(steps.bits[i]));
            }
            total.add(&cost);
            let elements = elements(&node.shape);
            let larger = |most: &LargestActivation| elements > most.elements;
            if larger(&largest_with_input) {
                largest_with_input = LargestActivation { layer: i, elements };
            }
            if larger(&largest_activation) && !layer.op.is_input() {
                largest_activation = LargestActivation { layer: i, elements };
            }
            layers.push(LayerCost {
                name: layer.name.clone(),
                kind: layer.op.name(),
                shape: node.shape.clone(),
                output_bits: steps.bits[i],
                output_bytes: if writes { step.bytes } else { 0 },
                written_by: step.layer,
                cost,
            });
        }
        let peak_ram = peak_ram(&mut steps, target);
        Self {
            target: target.name.clone(),
            basis,
            total,
            largest_activation,
            largest_with_input,
            peak_ram,
            layers,
        }
    }
}

fn peak_ram(steps: &mut Steps, target: &Target) -> PeakRam {
    let mut base = 0_u64;
    let mut held = Vec::new();
    if !(target.input_counts && target.reuse_input) {
        for step in steps.steps.iter_mut().filter(|s| s.is_source) {
            if target.input_counts {
                base = base.saturating_add(step.bytes);
                held.push(LiveTensor { layer: step.layer, bytes: step.bytes });
            }
            step.bytes = 0;
        }
    }
    let mut found = peak_ram::search(&steps.steps, base);
    found.live.append(&mut held);
    found
}

struct Context<'a> {
    spec: &'a ModelSpec,
    graph: &'a Graph,
    target: &'a Target,
    basis: CostBasis,
    steps: &'a Steps,
}

impl Context<'_> {
    fn layer(&self, i: usize) -> Measures {
        if self.steps.is_folded[i] {
            return Measures::default();
        }
        let layer = &self.spec.layers[i];
        let op = &layer.op;
        let node = &self.graph.nodes[i];
        if op.is_input() || steps::is_view(op) {
            return Measures::default();
        }
        let inputs = self.graph.input_shapes(i);
        let weights = self.weights(i, inputs.first().copied().unwrap_or_default());
        let product = op.product();
        let input = inputs.first().copied().unwrap_or_default();
        let positions = product.map_or(0, |product| product.positions(input, &node.shape));
        let mut cost = Measures::default();
        let mut input_bits = node.inputs.first().map_or(self.target.activation_bits, |&k| self.steps.bits[k]);
        let mut kernels = 0;
        for weight in &weights {
            let facts = layer.facts.iter().find(|f| f.weight == weight.name);
            let Stored { elements, kept, width, bits, bytes } = stored(weight, facts, self.target);
            cost.params = cost.params.saturating_add(elements);
            if weight.role.is_trainable() {
                cost.trainable_params = cost.trainable_params.saturating_add(elements);
            }
            cost.weight_bits = cost.weight_bits.saturating_add(bits);
            cost.flash_bytes = cost.flash_bytes.saturating_add(bytes);
            if weight.role != Role::Kernel {
                continue;
            }
            kernels += 1;
            let macs = positions.saturating_mul(elements);
            cost.macs = cost.macs.saturating_add(macs);
            cost.sparse_macs = cost.sparse_macs.saturating_add(positions.saturating_mul(kept));
            let (b_a, b_w) = (f64::from(input_bits), f64::from(width));
            let summands = product.map_or(1, |product| product.summands(weight)) as f64;
            cost.bops += macs as f64 * (b_a * b_w + b_a + b_w + summands.log2());
            // The tensor between the stages of a separable layer has no quantizer, hence the target's default width.
            input_bits = self.target.activation_bits;
        }
        let sizes = flops::Sizes { inputs: &inputs, output: &node.shape, weights: &weights, macs: cost.macs };
        cost.flops = flops::flops(op, &sizes);
        cost.keras_flops = flops::keras_flops(op, &sizes);
        if kernels > 0 {
            cost.flash_bytes = cost.flash_bytes.saturating_add(self.scale_bytes(i, &weights));
        }
        cost.flash_bytes = cost.flash_bytes.saturating_add(self.target.layer_overhead_bytes);
        cost
    }

    /// Weights of layer `i`, as trained or as deployed.
    fn weights(&self, i: usize, input: &[usize]) -> Vec<Weight> {
        let op = &self.spec.layers[i].op;
        let mut weights = op.weights(input);
        if self.basis == CostBasis::Trained {
            return weights;
        }
        // Learned parameters of quantizers become scales and codes at deployment.
        weights.retain(|w| w.role != Role::Quantizer);
        if op.batch_norm().is_some() {
            // Deployed, the two to four vectors become a scale and a shift.
            weights.retain(|w| matches!(w.role, Role::MovingMean | Role::MovingVariance));
            for (weight, (name, role)) in
                weights.iter_mut().zip([("scale", Role::Gamma), ("shift", Role::Beta)])
            {
                weight.name = name;
                weight.role = role;
                weight.quantizer = None;
            }
        } else if self.folded_norm(i).is_some() && !weights.iter().any(|w| w.role == Role::Bias) {
            let channels = self.graph.shape(i).last().copied().unwrap_or_default();
            weights.push(Weight {
                name: "bias",
                role: Role::Bias,
                shape: vec![channels],
                fans: (channels, channels),
                initializer: Initializer::Zeros,
                quantizer: None,
                learned: None,
            });
        }
        weights
    }

    /// The batch normalization that is folded into layer `i`.
    fn folded_norm(&self, i: usize) -> Option<&BatchNorm> {
        let &[after] = self.graph.nodes[i].consumers.as_slice() else { return None };
        self.spec.layers[after].op.batch_norm().filter(|_| self.steps.is_folded[after])
    }

    /// Flash of the factors that rescale accumulators to the output's width: per channel if kernel scales depend on the
    /// values or absorb a batch normalization that was not folded in training, else one for the layer.
    fn scale_bytes(&self, i: usize, weights: &[Weight]) -> u64 {
        let is_per_channel = weights
            .iter()
            .any(|w| w.role == Role::Kernel && !w.quantizer.is_some_and(|q| q.facts().has_fixed_scale))
            || self.folded_norm(i).is_some_and(|norm| !norm.fold);
        let channels = self.graph.shape(i).last().map_or(1, |&c| c as u64);
        self.target.scale_bytes.saturating_mul(if is_per_channel { channels } else { 1 })
    }
}
