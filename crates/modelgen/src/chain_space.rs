//! Chain spaces: a fixed chain of layers with sizes, activations and bit widths as axes, and plans that sample points
//! on the axes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tinsmith_foundation::{Faults, Seed};
use tinsmith_network::{Activation, Layer, ModelSpec, Op, Padding, Quantizer, op};
use tinsmith_study::design;

use crate::error::Result;
use crate::kind::{ActivationKind, Family, NamedChoice};
use crate::size::{SizeGrid, SizeLaw, Sizes};
use crate::weight_layer::WeightLayer;

/// Maximum number of points of a Cartesian product.
const MOST_POINTS: u64 = 10_000_000;

/// A range of admissible sizes, bounds included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Lower bound.
    pub lb: usize,
    /// Upper bound.
    pub ub: usize,
}

impl Bounds {
    /// Returns the range of one size.
    #[must_use]
    pub const fn of(size: usize) -> Self {
        Self { lb: size, ub: size }
    }
}

/// A layer of a [`ChainSpace`] with its axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LayerAxes {
    /// Kind of layer: `dense`, `conv1d`, `separable_conv1d`, `depthwise_conv1d`, `conv2d`, `separable_conv2d`,
    /// `depthwise_conv2d`. Default dense.
    pub kind: Family,
    /// Units or filters; ignored by depthwise layers. Default 8 to 128.
    pub size: Bounds,
    /// Kernel size of a convolution, every integer in the range. Default 3.
    pub kernel: Bounds,
    /// Stride of a convolution, every integer in the range. Default 1.
    pub stride: Bounds,
    /// Activations. Default relu.
    pub activations: Vec<ActivationKind>,
}

impl Default for LayerAxes {
    fn default() -> Self {
        Self {
            kind: Family::Dense,
            size: Bounds { lb: 8, ub: 128 },
            kernel: Bounds::of(3),
            stride: Bounds::of(1),
            activations: vec![ActivationKind::Relu],
        }
    }
}

/// A chain of layers with axes. Convolutions use padding `same`, so that every combination is valid. Features are
/// flattened before the first dense layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChainSpace {
    /// Size of each input axis. Default one axis of 16 features.
    pub input: Vec<Bounds>,
    /// Layers, in order. Default one dense layer.
    pub layers: Vec<LayerAxes>,
    /// Bit widths of kernels, biases and activations, one axis for the whole network; empty for float networks. Default
    /// empty.
    pub bit_widths: Vec<u32>,
    /// Integer bits, excluding the sign, capped at the bit width minus 1. Default 1.
    pub int_width: u32,
    /// Units of a final linear dense layer, which is not an axis. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Admissible sizes of inputs and layers. Default powers of two.
    pub size_grid: SizeGrid,
}

impl Default for ChainSpace {
    fn default() -> Self {
        Self {
            input: vec![Bounds::of(16)],
            layers: vec![LayerAxes::default()],
            bit_widths: Vec::new(),
            int_width: 1,
            classes: None,
            size_grid: SizeGrid::PowersOfTwo,
        }
    }
}

/// Choice of points in a [`ChainSpace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SamplingPlan {
    /// Every combination; the last axis varies fastest.
    Cartesian {},
    /// Latin hypercube: each axis evenly covered, combinations random.
    LatinHypercube {
        /// Number of points.
        points: usize,
        /// Attempted swaps that may lower the discrepancy.
        swaps: usize,
        /// Seed of the draw.
        #[schemars(with = "u64")]
        seed: Seed,
    },
    /// Sobol sequence with a random digital shift.
    Sobol {
        /// Number of points; powers of two are balanced.
        points: usize,
        /// Seed of the shift.
        #[schemars(with = "u64")]
        seed: Seed,
    },
}

/// An axis with its values, ascending or as listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChainAxis {
    /// Name, such as `layer_1.size`.
    pub name: String,
    /// Values: sizes and bit widths as they are, activations as indices into the list.
    pub values: Vec<usize>,
    /// Names of the values of a categorical axis.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<&'static str>,
}

/// Points chosen by a [`SamplingPlan`], in order.
#[derive(Debug, Clone, PartialEq)]
pub struct SampledPoints {
    /// Axes with more than one value.
    pub axes: Vec<ChainAxis>,
    /// For each point, the index of its value on each axis.
    pub points: Vec<Vec<usize>>,
}

impl ChainSpace {
    /// Notes every invalid value, by path.
    pub fn check(&self, faults: &mut Faults) {
        if !(1..=3).contains(&self.input.len()) {
            faults.add("input", format!("has {} axes, want 1 to 3", self.input.len()));
        }
        for (i, bounds) in self.input.iter().enumerate() {
            self.check_sizes(&format!("input[{i}]"), *bounds, faults);
        }
        if self.layers.is_empty() {
            faults.add("layers", "is empty, want at least one layer");
        }
        let mut rank = self.input.len();
        for (i, layer) in self.layers.iter().enumerate() {
            faults.within(&format!("layers[{i}]"), |faults| {
                let wanted = layer.kind.rank();
                if wanted > 1 && wanted != rank {
                    let kind = layer.kind.name();
                    faults.add(
                        "kind",
                        format!(
                            "is {kind}, which takes inputs of {wanted} axes, but the features have {rank}"
                        ),
                    );
                }
                rank = wanted;
                self.check_layer(layer, faults);
            });
        }
        for (i, bits) in self.bit_widths.iter().enumerate() {
            if !(1..=32).contains(bits) {
                faults.add(&format!("bit_widths[{i}]"), format!("is {bits}, want 1..=32"));
            }
        }
        if self.int_width > 31 {
            faults.add("int_width", format!("is {}, want 0..=31", self.int_width));
        }
        if self.classes == Some(0) {
            faults.add("classes", "is 0, want at least 1");
        }
    }

    fn check_layer(&self, layer: &LayerAxes, faults: &mut Faults) {
        if !layer.kind.is_depthwise() {
            self.check_sizes("size", layer.size, faults);
        }
        for (path, bounds) in [("kernel", layer.kernel), ("stride", layer.stride)] {
            if bounds.lb == 0 || bounds.ub < bounds.lb || bounds.ub > 1024 {
                faults.add(path, format!("is {}..={}, want 1 <= lb <= ub <= 1024", bounds.lb, bounds.ub));
            }
        }
        if layer.activations.is_empty() {
            faults.add("activations", "is empty, want at least one, such as no_activation");
        }
        for (i, kind) in layer.activations.iter().enumerate() {
            if !self.bit_widths.is_empty() && !kind.is_quantizable() {
                let reason = format!("is {}, which has no quantized form", kind.name());
                faults.add(&format!("activations[{i}]"), reason);
            }
        }
    }

    fn check_sizes(&self, path: &str, bounds: Bounds, faults: &mut Faults) {
        if self.sizes(bounds).is_none() || bounds.ub > 1 << 16 {
            let Bounds { lb, ub } = bounds;
            faults.add(
                path,
                format!("is {lb}..={ub}, want admissible sizes, {:?}, up to 65536", self.size_grid),
            );
        }
    }

    /// Returns every admissible size within bounds. A single size is admissible on any grid.
    fn sizes(&self, bounds: Bounds) -> Option<Vec<usize>> {
        if bounds.lb == bounds.ub && bounds.lb > 0 {
            return Some(vec![bounds.lb]);
        }
        Some(Sizes::new(self.size_grid, SizeLaw::Uniform, bounds.lb, bounds.ub)?.all().collect())
    }

    /// Returns the axes with more than one value, in the order input, layers, bit width.
    #[must_use]
    pub fn axes(&self) -> Vec<ChainAxis> {
        self.all_axes().into_iter().filter(|axis| axis.values.len() > 1).collect()
    }

    /// Returns every parameter as an axis, including those with one value: the size of each input axis; size, kernel,
    /// stride and activation of each layer; the bit width.
    fn all_axes(&self) -> Vec<ChainAxis> {
        let plain = |name: String, values: Vec<usize>| ChainAxis { name, values, labels: Vec::new() };
        let range = |bounds: Bounds| (bounds.lb..=bounds.ub).collect();
        let mut axes = Vec::new();
        for (i, bounds) in self.input.iter().enumerate() {
            axes.push(plain(format!("input_{}", i + 1), self.sizes(*bounds).unwrap_or_default()));
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let i = i + 1;
            let is_conv = layer.kind != Family::Dense;
            let one = Bounds::of(1);
            let size = if layer.kind.is_depthwise() { one } else { layer.size };
            axes.push(plain(format!("layer_{i}.size"), self.sizes(size).unwrap_or_default()));
            axes.push(plain(format!("layer_{i}.kernel"), range(if is_conv { layer.kernel } else { one })));
            axes.push(plain(format!("layer_{i}.stride"), range(if is_conv { layer.stride } else { one })));
            axes.push(ChainAxis {
                name: format!("layer_{i}.activation"),
                values: (0..layer.activations.len()).collect(),
                labels: layer.activations.iter().map(|k| k.name()).collect(),
            });
        }
        let widths = self.bit_widths.iter().map(|&b| b as usize).collect();
        axes.push(plain("bits".to_owned(), if self.bit_widths.is_empty() { vec![0] } else { widths }));
        axes
    }

    /// Returns the number of networks, or `None` above 2^64.
    #[must_use]
    pub fn cardinality(&self) -> Option<u64> {
        self.axes().iter().try_fold(1_u64, |n, axis| n.checked_mul(axis.values.len() as u64))
    }

    /// Samples the points that `plan` chooses.
    ///
    /// ```
    /// use tinsmith_modelgen::{Bounds, SamplingPlan, LayerAxes, ChainSpace};
    ///
    /// let layer = LayerAxes { size: Bounds { lb: 8, ub: 32 }, ..LayerAxes::default() };
    /// let structure = ChainSpace { layers: vec![layer.clone(), layer], bit_widths: vec![4, 8], ..ChainSpace::default() };
    /// let all = structure.sample(SamplingPlan::Cartesian {})?;
    /// assert_eq!(all.points.len(), 3 * 3 * 2);
    /// let networks: Vec<_> = all.points.iter().map(|point| structure.network(point)).collect::<Result<_, _>>()?;
    /// assert!(networks.iter().all(|spec| spec.graph().is_ok()));
    /// # Ok::<(), tinsmith_modelgen::ModelgenError>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::ModelgenError::Config`] for invalid values and for a Cartesian product of more than ten million points;
    /// [`crate::ModelgenError::Sampling`] for more axes or points than the plan supports.
    pub fn sample(&self, plan: SamplingPlan) -> Result<SampledPoints> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        if matches!(plan, SamplingPlan::Cartesian {}) && self.cardinality().is_none_or(|n| n > MOST_POINTS) {
            faults.add(
                "",
                format!(
                    "has more than {MOST_POINTS} combinations, want a Latin hypercube or a Sobol sequence"
                ),
            );
        }
        faults.into_result("structure")?;
        let axes = self.axes();
        let unit = match plan {
            SamplingPlan::Cartesian {} => {
                let counts: Vec<usize> = axes.iter().map(|axis| axis.values.len()).collect();
                design::cartesian(&counts)
            }
            SamplingPlan::LatinHypercube { points, swaps, seed } => {
                design::latin_hypercube(points, axes.len(), swaps, &mut seed.derive("design", 0).rng())
            }
            SamplingPlan::Sobol { points, seed } => {
                design::sobol(points, axes.len(), Some(&mut seed.derive("design", 0).rng()))?
            }
        };
        let place = |(axis, u): (&ChainAxis, &f64)| {
            ((u * axis.values.len() as f64) as usize).min(axis.values.len() - 1)
        };
        let points = unit.iter().map(|row| axes.iter().zip(row).map(place).collect()).collect();
        Ok(SampledPoints { axes, points })
    }

    /// Returns the network at `point`, which holds the index of a value on each of [`ChainSpace::axes`].
    ///
    /// # Errors
    /// [`crate::ModelgenError::Config`] for invalid values, for a point with another number of axes and for indices past
    /// the end of an axis.
    pub fn network(&self, point: &[usize]) -> Result<ModelSpec> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        let axes = self.all_axes();
        let free = axes.iter().filter(|axis| axis.values.len() > 1).count();
        if point.len() != free {
            faults.add("", format!("has {free} axes, but the point has {}", point.len()));
        }
        let mut places = point.iter();
        let mut values = Vec::with_capacity(axes.len());
        for axis in &axes {
            let place = if axis.values.len() > 1 { places.next().copied().unwrap_or(0) } else { 0 };
            match axis.values.get(place) {
                Some(&value) => values.push(value),
                None => faults.add("", format!("has no value {place} on axis {}", axis.name)),
            }
        }
        faults.into_result("structure")?;
        Ok(self.build(&values))
    }

    fn build(&self, values: &[usize]) -> ModelSpec {
        let (shape, rest) = values.split_at(self.input.len());
        let bits = *rest.last().expect("invariant: the bit width is the last axis") as u32;
        let mut layers = Vec::with_capacity(self.layers.len() + 3);
        layers.push(Layer::new("input", Op::Input(op::Input { shape: shape.to_vec(), quantizer: None })));
        let mut is_flat = shape.len() == 1;
        let mut flatten = |layers: &mut Vec<Layer>| {
            if !std::mem::replace(&mut is_flat, true) {
                layers.push(Layer::new("flatten", Op::Flatten(op::Flatten::default())));
            }
        };
        for (i, (layer, values)) in self.layers.iter().zip(rest.chunks_exact(4)).enumerate() {
            if layer.kind == Family::Dense {
                flatten(&mut layers);
            }
            let [size, kernel, stride, activation] =
                <[usize; 4]>::try_from(values).expect("invariant: four axes per layer");
            let activation = self.activation(layer.activations[activation], bits);
            let op = self.op(layer.kind, [size, kernel, stride], activation, bits);
            layers.push(Layer::new(format!("{}_{}", layer.kind.name(), i + 1), op));
        }
        if let Some(classes) = self.classes {
            flatten(&mut layers);
            let op = self.op(Family::Dense, [classes, 1, 1], Activation::Linear, bits);
            layers.push(Layer::new(format!("dense_{}", self.layers.len() + 1), op));
        }
        ModelSpec::new("", layers)
    }

    fn activation(&self, kind: ActivationKind, bits: u32) -> Activation {
        if bits == 0 { kind.float() } else { kind.quantized(bits, self.int_width.min(bits) as i32) }
    }

    fn op(&self, kind: Family, [size, kernel, stride]: [usize; 3], activation: Activation, bits: u32) -> Op {
        let quantizer = (bits > 0).then(|| Quantizer::fixed(bits, self.int_width.min(bits - 1) as i32));
        let form = WeightLayer {
            kernel,
            stride,
            padding: Padding::Same,
            use_bias: true,
            activation,
            kernel_quantizer: quantizer,
            bias_quantizer: quantizer,
        };
        form.op(kind, size)
    }
}
