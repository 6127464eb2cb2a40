//! A single draw, from the input to the last weight layer. Shapes are known at every step.

use std::borrow::Cow;

use tinsmith_foundation::Rng;
use tinsmith_network::{Activation, Layer, Op, Padding, Quantizer, op};

use crate::config::Scope;
use crate::error::{ModelgenError, Result};
use crate::kind::{ActivationKind, Family, NamedChoice};
use crate::shape::Shape;
use crate::tables::{FAMILIES, FixedPoint, Tables};
use crate::weight_layer::WeightLayer;

/// A network being drawn.
pub(crate) struct Draw<'t> {
    pub(crate) tables: Cow<'t, Tables>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) shape: Shape,
    /// Number of weight layers so far.
    pub(crate) depth: usize,
    pub(crate) total: usize,
    pub(crate) quantized: bool,
    rng: Rng,
    bits: Bits,
}

/// Fixed-point formats of a network or layer, as total bits and integer bits.
#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    weight: (u32, i32),
    bias: (u32, i32),
    activ: (u32, i32),
}

/// Geometry of a convolution.
#[derive(Debug, Clone, Copy)]
struct Window {
    kernel: usize,
    stride: usize,
    same: bool,
}

impl Window {
    const POINT: Self = Self { kernel: 1, stride: 1, same: true };

    fn padding(self) -> Padding {
        if self.same { Padding::Same } else { Padding::Valid }
    }

    fn output(self, n: usize) -> usize {
        if self.same { n.div_ceil(self.stride) } else { n.saturating_sub(self.kernel) / self.stride + 1 }
    }
}

impl<'t> Draw<'t> {
    pub(crate) fn new(tables: Cow<'t, Tables>, total: usize, rng: Rng) -> Self {
        let layers = Vec::with_capacity(3 * total + 2);
        Self {
            tables,
            layers,
            shape: Shape::Flat(0),
            depth: 0,
            total,
            quantized: false,
            rng,
            bits: Bits::default(),
        }
    }

    /// Draws weight layer `depth + 1` (or two parallel ones) and the layers before it, such as flattening.
    pub(crate) fn step(&mut self) -> Result<()> {
        // The order of all random draws in this file determines the network of a seed. Reordering them, or skipping one
        // that is always made, changes every corpus.
        if self.depth == 0 || self.tables.q_scope == Scope::Layer {
            self.draw_quantization();
        }
        let first = self.depth == 0;
        let is_last = self.depth + 1 == self.total;
        let is_head = is_last && self.tables.classes.is_some();
        let family = if first {
            let family = self.family(self.tables.start[self.side()]);
            let family = family.ok_or_else(|| self.no_fit("no kind of layer has a weight to start with"))?;
            self.begin(family);
            family
        } else {
            self.maybe_flatten(is_last);
            let family = self.family(self.tables.next[self.shape.rank() - 1][self.side()]);
            family.or(is_head.then_some(Family::Dense)).ok_or_else(|| {
                self.no_fit("no kind of layer that can follow has a weight; give one in probs")
            })?
        };
        if is_head || family == Family::Dense {
            self.flatten(is_head);
        }
        if is_head {
            self.head();
        } else if family != Family::Dense && !self.window_fits() {
            // No kernel within the bounds fits: continue with dense layers, as below the flatten limit.
            if first || !self.tables.has_dense(self.quantized) {
                let (side, (lb, _)) = (self.shape.side(), self.tables.kernel);
                return Err(self.no_fit(&format!(
                    "a kernel of at least {lb} does not fit an input of {side} with padding valid; \
                     give padding same a weight or lower conv_kernel_lb"
                )));
            }
            self.flatten(true);
            self.unit(Family::Dense, is_last);
        } else if self.total - self.depth > 2 && self.rng.chance(self.tables.branch_chance) {
            self.branch(family);
        } else {
            self.unit(family, is_last);
        }
        Ok(())
    }

    fn no_fit(&self, reason: &str) -> ModelgenError {
        ModelgenError::NoFit { layer: self.depth + 1, reason: reason.to_owned() }
    }

    const fn side(&self) -> usize {
        self.quantized as usize
    }

    fn family(&mut self, weights: [f64; FAMILIES]) -> Option<Family> {
        self.rng.weighted(&weights).map(|i| Family::ALL[i])
    }

    /// Decides on quantization and draws the bit widths.
    fn draw_quantization(&mut self) {
        self.quantized = self.rng.chance(self.tables.q_chance);
        if self.quantized {
            let mut draw = |fixed: &FixedPoint, sign: u32| {
                let bits = fixed.bits[self.rng.index(fixed.choices)];
                (bits, fixed.integer.min(bits - sign) as i32)
            };
            self.bits = Bits {
                weight: draw(&self.tables.weight, 1),
                bias: draw(&self.tables.bias, 1),
                activ: draw(&self.tables.activ, 0),
            };
        }
    }

    /// Adds the input layer, as configured or of the rank that `family` needs.
    fn begin(&mut self, family: Family) {
        let (t, rng) = (&self.tables, &mut self.rng);
        self.shape = t.input.unwrap_or_else(|| match family.rank() {
            1 => Shape::Flat(t.dense.draw(rng)),
            2 => Shape::Series([t.time.draw(rng), t.filters.draw(rng)]),
            _ => Shape::Image([t.image.draw(rng), t.image.draw(rng), t.filters.draw(rng)]),
        });
        let input = op::Input { shape: self.shape.to_vec(), quantizer: None };
        self.layers.push(Layer::new("input", Op::Input(input)));
    }

    fn maybe_flatten(&mut self, is_last: bool) {
        if self.shape.rank() == 1 {
            return;
        }
        let below = self.shape.rank() == 3 && self.shape.side() < self.tables.flatten_limit;
        // Drawn even if the outcome is fixed, to keep the stream of later draws.
        let drawn = self.rng.chance(self.tables.flatten_chance);
        if (drawn || below || is_last) && self.tables.has_dense(self.quantized) {
            self.flatten(true);
        }
    }

    /// Flattens the features, unless they are flat.
    fn flatten(&mut self, may_pool: bool) {
        let pool = |image: Op, time: Op, rank: usize| if rank == 3 { image } else { time };
        let rank = self.shape.rank();
        if rank == 1 {
            return;
        }
        // Global pooling of the raw input would discard nearly all of it.
        if may_pool && self.depth > 0 && self.rng.chance(self.tables.global_pooling_chance) {
            let config = op::GlobalPool::default();
            let op = pool(Op::GlobalAveragePool2d(config.clone()), Op::GlobalAveragePool1d(config), rank);
            self.layers.push(Layer::new("global_pool", op));
            self.shape = Shape::Flat(self.shape.channels());
        } else {
            self.layers.push(Layer::new("flatten", Op::Flatten(op::Flatten::default())));
            self.shape = Shape::Flat(self.shape.elements());
        }
    }

    /// Adds the last layer of a classifier, which computes logits.
    fn head(&mut self) {
        let units = self.tables.classes.expect("invariant: only classifiers have a head");
        self.depth += 1;
        let mut dense = op::Dense::new(units);
        if self.quantized {
            dense.kernel_quantizer = Some(self.kernel_quantizer());
            dense.bias_quantizer = Some(self.bias_quantizer());
        }
        self.layers.push(Layer::new(format!("dense_{}", self.depth), Op::Dense(dense)));
        self.shape = Shape::Flat(units);
    }

    fn last_name(&self) -> &str {
        &self.layers.last().expect("invariant: a draw begins with its input").name
    }

    /// Adds a weight layer with its shortcut, dropout or pooling.
    fn unit(&mut self, family: Family, is_last: bool) {
        self.depth += 1;
        let source = self.shape;
        let residual = self.residual_sizes(family).filter(|_| self.rng.chance(self.tables.residual_chance));
        let shortcut = residual.map(|_| self.last_name().to_owned());
        let window = match (family, residual) {
            (Family::Dense, _) => Window::POINT,
            (_, Some(kernel)) => Window { kernel, stride: 1, same: true },
            (_, None) => self.window(),
        };
        let channels = self.channels(family, source, residual.is_some());
        self.weight_layer(family, window, channels, None, is_last);
        if let Some(shortcut) = shortcut {
            let inputs = [shortcut, self.last_name().to_owned()];
            let name = format!("add_{}", self.depth);
            self.layers.push(Layer::with_inputs(name, inputs, Op::Add(op::Merge {})));
        }
        if family == Family::Dense {
            if !is_last && self.rng.chance(self.tables.dropout_chance) {
                let rate = self.tables.dropout_rate;
                let name = format!("dropout_{}", self.depth);
                self.layers.push(Layer::new(name, Op::Dropout(op::Dropout { rate })));
            }
        } else {
            self.pool();
        }
    }

    /// Adds two parallel layers on the same input and concatenates them.
    fn branch(&mut self, family: Family) {
        let source = self.shape;
        let from = self.last_name().to_owned();
        // Depthwise layers cannot choose their channels and take no part in branches.
        let mut weights = self.tables.next[source.rank() - 1][self.side()];
        weights[Family::DepthwiseConv1d as usize] = 0.0;
        weights[Family::DepthwiseConv2d as usize] = 0.0;
        // Both outputs need the same size, which only padding `same` guarantees.
        let possible = family == Family::Dense || (self.tables.padding[0] > 0.0 && !family.is_depthwise());
        let Some(other) = self.family(weights).filter(|_| possible) else {
            return self.unit(family, false);
        };
        let stride = if family == Family::Dense { 1 } else { self.stride(source, 1, true) };
        let mut ends = Vec::with_capacity(2);
        let mut channels = 0;
        for (part, family) in [family, other].into_iter().enumerate() {
            self.shape = source;
            self.depth += 1;
            let window = if family == Family::Dense {
                Window::POINT
            } else {
                Window { kernel: self.kernel(source), stride, same: true }
            };
            let filters = self.channels(family, source, false);
            let input = (part == 1).then(|| from.clone());
            self.weight_layer(family, window, filters, input, false);
            channels += self.shape.channels();
            ends.push(self.last_name().to_owned());
        }
        self.shape = self.shape.with_channels(channels);
        let concat = Op::Concat(op::Concat { axis: -1 });
        self.layers.push(Layer::with_inputs(format!("concat_{}", self.depth), ends, concat));
        if family != Family::Dense {
            self.pool();
        }
    }

    /// Draws the output channels (units or filters), or returns those of the input if the layer keeps them.
    fn channels(&mut self, family: Family, source: Shape, keep: bool) -> usize {
        if keep || family.is_depthwise() {
            source.channels()
        } else if family == Family::Dense {
            self.tables.dense.draw(&mut self.rng)
        } else {
            self.tables.filters.draw(&mut self.rng)
        }
    }

    /// Draws the kernel of a residual block (1 for dense), if the bounds admit a layer that keeps its input's shape.
    fn residual_sizes(&mut self, family: Family) -> Option<usize> {
        if self.tables.residual_chance <= 0.0 {
            return None;
        }
        let channels = self.shape.channels();
        if family == Family::Dense {
            return self.tables.dense.contains(channels).then_some(1);
        }
        let keeps = family.is_depthwise() || self.tables.filters.contains(channels);
        let possible = keeps && self.tables.stride.0 == 1 && self.tables.padding[0] > 0.0;
        possible.then(|| self.kernel(self.shape))
    }

    /// Reports if some kernel within the bounds fits the features.
    fn window_fits(&self) -> bool {
        self.tables.kernel.0 <= self.shape.side() || self.tables.padding[0] > 0.0
    }

    /// Reports if sizes must stay at or above the flatten limit, because flattening is ruled out.
    fn keeps_limit(&self, shape: Shape) -> bool {
        let limit = self.tables.flatten_limit;
        shape.rank() == 3 && self.tables.flatten_chance <= 0.0 && shape.side() >= limit
    }

    fn kernel(&mut self, shape: Shape) -> usize {
        let (lb, ub) = self.tables.kernel;
        self.rng.range(lb as i64, ub.min(shape.side()).max(lb) as i64) as usize
    }

    fn window(&mut self) -> Window {
        let shape = self.shape;
        let (lb, ub) = self.tables.kernel;
        let mut same = self.rng.weighted(&self.tables.padding) == Some(0);
        let mut most = ub.min(shape.side());
        if !same && self.keeps_limit(shape) {
            most = most.min(shape.side() + 1 - self.tables.flatten_limit.max(1));
        }
        if most < lb {
            // The smallest kernel needs padding.
            same = same || self.tables.padding[0] > 0.0;
            most = if same { lb } else { ub.min(shape.side()) };
        }
        let kernel = self.rng.range(lb as i64, most.max(lb) as i64) as usize;
        let stride = self.stride(shape, kernel, same);
        Window { kernel, stride, same }
    }

    /// Draws a stride within its bounds and the features that respects the flatten limit.
    fn stride(&mut self, shape: Shape, kernel: usize, same: bool) -> usize {
        let (lb, ub) = self.tables.stride;
        let mut most = ub.min(shape.side()).max(lb);
        if self.keeps_limit(shape) {
            let below =
                |stride| Window { kernel, stride, same }.output(shape.side()) < self.tables.flatten_limit;
            while most > lb && below(most) {
                most -= 1;
            }
        }
        self.rng.range(lb as i64, most as i64) as usize
    }

    fn pool(&mut self) {
        if !self.rng.chance(self.tables.pooling_chance) {
            return;
        }
        let side = self.shape.side();
        if side < 2 || (self.keeps_limit(self.shape) && side / 2 < self.tables.flatten_limit) {
            return;
        }
        let is_max = self.rng.weighted(&self.tables.pooling) == Some(0);
        let op = match (self.shape.rank(), is_max) {
            (3, true) => Op::MaxPool2d(op::Pool2d::default()),
            (3, false) => Op::AveragePool2d(op::Pool2d::default()),
            (_, true) => Op::MaxPool1d(op::Pool1d::default()),
            (_, false) => Op::AveragePool1d(op::Pool1d::default()),
        };
        // Names carry the depth, which makes them unique within the network.
        self.layers.push(Layer::new(format!("pool_{}", self.depth), op));
        self.shape = self.shape.map_sides(|n| n / 2);
    }

    /// Adds the layer itself, batch normalization and activation.
    fn weight_layer(
        &mut self,
        family: Family,
        window: Window,
        channels: usize,
        input: Option<String>,
        is_last: bool,
    ) {
        let use_bias = self.rng.chance(self.tables.bias_rate);
        let norm = !is_last && self.rng.chance(self.tables.batch_norm_chance);
        let activation = self.activation();
        let fused = if norm { Activation::Linear } else { activation.clone() };
        let form = WeightLayer {
            kernel: window.kernel,
            stride: window.stride,
            padding: window.padding(),
            use_bias,
            activation: fused,
            kernel_quantizer: self.quantized.then(|| self.kernel_quantizer()),
            bias_quantizer: (self.quantized && use_bias).then(|| self.bias_quantizer()),
        };
        let op = form.op(family, channels);
        let mut layer = Layer::new(format!("{}_{}", family.name(), self.depth), op);
        layer.inputs.extend(input);
        self.layers.push(layer);
        self.shape = self.shape.map_sides(|n| window.output(n)).with_channels(channels);
        if norm {
            let name = format!("batch_norm_{}", self.depth);
            self.layers.push(Layer::new(name, Op::BatchNorm(op::BatchNorm::default())));
            if !activation.is_linear() {
                let name = format!("activation_{}", self.depth);
                self.layers.push(Layer::new(name, Op::Activation(activation)));
            }
        }
    }

    fn activation(&mut self) -> Activation {
        if !self.rng.chance(self.tables.activation_rate) {
            return Activation::Linear;
        }
        let drawn = self.rng.weighted(&self.tables.activations[self.side()]);
        let kind = drawn.map_or(ActivationKind::NoActivation, |i| ActivationKind::ALL[i]);
        let (bits, integer) = self.bits.activ;
        if self.quantized { kind.quantized(bits, integer) } else { kind.float() }
    }

    fn kernel_quantizer(&self) -> Quantizer {
        Quantizer::fixed(self.bits.weight.0, self.bits.weight.1)
    }

    fn bias_quantizer(&self) -> Quantizer {
        Quantizer::fixed(self.bits.bias.0, self.bits.bias.1)
    }
}
