//! Validation of a configuration and its resolution into tables.
//!
//! Both are one pass, so that a configuration without faults always resolves.

use tinsmith_foundation::{ConfigErrors, Faults};

use crate::config::{DefaultKinds, GeneratorConfig};
use crate::kind::{ActivationKind, Family, LayerKind, NamedChoice, PaddingKind, PoolKind};
use crate::shape::Shape;
use crate::size::{SizeGrid, Sizes};
use crate::tables::{ACTIVATIONS, FAMILIES, FamilyWeights, FixedPoint, Tables};
use crate::weights::{Weights, Widths};

/// Upper limit of an image's height and width and of channels; keeps every tensor within the limits of a
/// specification.
const MOST_PER_AXIS: usize = 8192;
/// Upper limit of units, flat features and time steps.
const MOST_FLAT: usize = 1 << 20;

impl GeneratorConfig {
    /// Notes every invalid value, by path.
    pub fn check(&self, faults: &mut Faults) {
        tables(self, faults);
    }

    /// Checks every value at once.
    ///
    /// # Errors
    /// [`ConfigErrors`] with every invalid value.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("generator")
    }
}

/// Resolves `config`; returns `None` if a fault was noted.
pub(crate) fn tables(config: &GeneratorConfig, faults: &mut Faults) -> Option<Tables> {
    Resolver { config, faults }.resolve()
}

struct Resolver<'a> {
    config: &'a GeneratorConfig,
    faults: &'a mut Faults,
}

impl Resolver<'_> {
    fn resolve(mut self) -> Option<Tables> {
        let c = self.config;
        let dense = self.sizes("dense", c.dense_lb, c.dense_ub, MOST_FLAT);
        let image = self.sizes("conv_init_size", c.conv_init_size_lb, c.conv_init_size_ub, MOST_PER_AXIS);
        let filters = self.sizes("conv_filters", c.conv_filters_lb, c.conv_filters_ub, MOST_PER_AXIS);
        let time = self.sizes("time", c.time_lb, c.time_ub, MOST_FLAT);
        let stride = self.bounds("conv_stride", c.conv_stride_lb, c.conv_stride_ub, MOST_PER_AXIS);
        let kernel = self.bounds("conv_kernel", c.conv_kernel_lb, c.conv_kernel_ub, MOST_PER_AXIS);
        for (path, p) in [
            ("q_chance", c.q_chance),
            ("activation_rate", c.activation_rate),
            ("dropout_chance", c.dropout_chance),
            ("flatten_chance", c.flatten_chance),
            ("pooling_chance", c.pooling_chance),
            ("bias_rate", c.bias_rate),
            ("batch_norm_chance", c.batch_norm_chance),
            ("residual_chance", c.residual_chance),
            ("branch_chance", c.branch_chance),
            ("global_pooling_chance", c.global_pooling_chance),
        ] {
            if !(0.0..=1.0).contains(&p) {
                self.faults.add(path, format!("is {p}, want a probability, 0 to 1"));
            }
        }
        if !(0.0..1.0).contains(&c.dropout_rate) {
            self.faults.add("dropout_rate", format!("is {}, want at least 0 and below 1", c.dropout_rate));
        }
        let activ = self.fixed("activ", &c.activ_bit_width, c.activ_int_width);
        let weight = self.fixed("weight", &c.weight_bit_width, c.weight_int_width);
        let bias = self.fixed("bias", &c.bias_bit_width, c.bias_int_width);
        let input = self.input();
        if c.classes == Some(0) {
            self.faults.add("classes", "is 0, want at least 1");
        }
        if c.min_layer_count == 0 || c.max_layer_count < c.min_layer_count {
            self.faults.add(
                "min_layer_count",
                format!(
                    "is {} with max_layer_count {}, want 1 <= min <= max",
                    c.min_layer_count, c.max_layer_count
                ),
            );
        }
        if c.max_tries == 0 {
            self.faults.add("max_tries", "is 0, want at least 1");
        }
        let activations = self.activations();
        let padding = self.choice("padding", &c.probs.padding, &[PaddingKind::ALL]);
        let pooling = self.choice("pooling", &c.probs.pooling, &[PoolKind::ALL]);
        let (start, next) = self.layers(input)?;
        let sound = self.faults.is_empty();
        Some(Tables {
            dense: dense?,
            image: image?,
            filters: filters?,
            time: time?,
            stride,
            kernel,
            flatten_limit: c.conv_flatten_limit,
            q_chance: c.q_chance,
            q_scope: c.q_scope,
            activ: activ?,
            weight: weight?,
            bias: bias?,
            activations: activations?,
            start,
            next,
            padding: padding?.try_into().ok()?,
            pooling: pooling?.try_into().ok()?,
            activation_rate: c.activation_rate,
            dropout_chance: c.dropout_chance,
            dropout_rate: c.dropout_rate,
            flatten_chance: c.flatten_chance,
            pooling_chance: c.pooling_chance,
            bias_rate: c.bias_rate,
            batch_norm_chance: c.batch_norm_chance,
            residual_chance: c.residual_chance,
            branch_chance: c.branch_chance,
            global_pooling_chance: c.global_pooling_chance,
            input,
            classes: c.classes,
        })
        .filter(|_| sound)
    }

    fn bounds(&mut self, name: &str, lb: usize, ub: usize, most: usize) -> (usize, usize) {
        if lb == 0 {
            self.faults.add(&format!("{name}_lb"), "is 0, want at least 1");
        }
        if ub < lb {
            self.faults.add(&format!("{name}_ub"), format!("is {ub}, want at least {name}_lb, {lb}"));
        }
        if ub > most {
            self.faults.add(&format!("{name}_ub"), format!("is {ub}, want at most {most}"));
        }
        (lb, ub)
    }

    fn sizes(&mut self, name: &str, lb: usize, ub: usize, most: usize) -> Option<Sizes> {
        self.bounds(name, lb, ub, most);
        let c = self.config;
        let sizes = Sizes::new(c.size_grid, c.size_law, lb, ub);
        if sizes.is_none() && lb > 0 && lb <= ub {
            let wanted = match c.size_grid {
                SizeGrid::PowersOfTwo => "a power of two".to_owned(),
                SizeGrid::MultiplesOf(unit) => format!("a multiple of {unit}"),
            };
            self.faults
                .add(&format!("{name}_ub"), format!("is {ub}, but {lb}..={ub} does not contain {wanted}"));
        }
        sizes
    }

    fn fixed(&mut self, name: &str, widths: &Widths, integer: u32) -> Option<FixedPoint> {
        let path = format!("{name}_bit_width");
        let mut bits = [0; 8];
        let choices = widths.0.len();
        if choices == 0 || choices > bits.len() {
            self.faults.add(&path, format!("has {choices} choices, want 1 to {}", bits.len()));
            return None;
        }
        if let Some(wrong) = widths.0.iter().find(|b| !(1..=32).contains(*b)) {
            self.faults.add(&path, format!("is {wrong}, want 1..=32"));
        }
        if integer > 31 {
            self.faults.add(&format!("{name}_int_width"), format!("is {integer}, want 0..=31"));
        }
        bits[..choices].copy_from_slice(&widths.0);
        Some(FixedPoint { bits, choices, integer })
    }

    fn input(&mut self) -> Option<Shape> {
        let shape = self.config.input.as_deref()?;
        let found = match *shape {
            [n] if (1..=MOST_FLAT).contains(&n) => Some(Shape::Flat(n)),
            [t, c] if (1..=MOST_FLAT).contains(&t) && (1..=MOST_PER_AXIS).contains(&c) => {
                Some(Shape::Series([t, c]))
            }
            [h, w, c] if [h, w, c].iter().all(|d| (1..=MOST_PER_AXIS).contains(d)) => {
                Some(Shape::Image([h, w, c]))
            }
            _ => None,
        };
        if found.is_none() {
            self.faults.add(
                "input",
                format!(
                    "is {shape:?}, want [features], [time, channels] or [height, width, channels], \
                     each 1..={MOST_PER_AXIS} (features and time up to {MOST_FLAT})"
                ),
            );
        }
        found
    }

    /// Weights of layer kinds in the order of [`LayerKind::ALL`]. Empty weights stand for the kinds of `order`, or for
    /// all kinds, as `default_kinds` says.
    fn layer_weights(&self, weights: &Weights<LayerKind>, order: &[LayerKind]) -> Result<Vec<f64>, String> {
        if weights.is_empty() && self.config.default_kinds == DefaultKinds::Listed {
            let listed = |kind: &LayerKind| if order.contains(kind) { 1.0 } else { 0.0 };
            return Ok(LayerKind::ALL.iter().map(listed).collect());
        }
        weights.resolve(&[order])
    }

    fn choice<K: NamedChoice>(
        &mut self,
        name: &str,
        weights: &Weights<K>,
        orders: &[&[K]],
    ) -> Option<Vec<f64>> {
        let found = weights.resolve(orders).and_then(|weights| {
            let some = weights.iter().any(|&w| w > 0.0);
            some.then_some(weights).ok_or_else(|| "has no weight above 0".to_owned())
        });
        found.map_err(|reason| self.faults.add(&format!("probs.{name}"), reason)).ok()
    }

    /// Possible outcomes of the quantization decision: 0 float, 1 quantized.
    fn sides(&self) -> impl Iterator<Item = usize> + use<> {
        let q = self.config.q_chance;
        [(0, q < 1.0), (1, q > 0.0)].into_iter().filter_map(|(side, possible)| possible.then_some(side))
    }

    fn activations(&mut self) -> Option<[[f64; ACTIVATIONS]; 2]> {
        use ActivationKind::{NoActivation, Relu, Sigmoid, Softmax, Tanh};
        let orders: [&[ActivationKind]; 2] =
            [&[Relu, Tanh, Sigmoid, Softmax], &[NoActivation, Relu, Tanh, Sigmoid, Softmax]];
        let weights = self.choice("activations", &self.config.probs.activations.clone(), &orders)?;
        let mut sides = [[0.0; ACTIVATIONS]; 2];
        for (i, kind) in ActivationKind::ALL.iter().enumerate() {
            sides[0][i] = weights[i];
            sides[1][i] = if kind.is_quantizable() { weights[i] } else { 0.0 };
        }
        if self.config.q_chance > 0.0 && sides[1].iter().all(|&w| w == 0.0) {
            self.faults.add(
                "probs.activations",
                "gives no weight to an activation with a quantized form \
                 (no_activation, relu, tanh, sigmoid, hswish), although q_chance is above 0",
            );
        }
        Some(sides)
    }

    fn layers(&mut self, input: Option<Shape>) -> Option<(FamilyWeights, [FamilyWeights; 3])> {
        use LayerKind::{
            Conv1d, Conv2d, Dense, QConv1d, QConv2d, QDense, QDepthwiseConv2d, QSeparableConv2d,
        };
        let q = self.config.q_chance;
        let order =
            |float: &'static [LayerKind], mixed: &'static [LayerKind], quantized: &'static [LayerKind]| {
                if q <= 0.0 {
                    float
                } else if q >= 1.0 {
                    quantized
                } else {
                    mixed
                }
            };
        let probs = &self.config.probs;
        let lists = [
            (
                "start_layers",
                &probs.start_layers,
                order(
                    &[Conv1d, Conv2d, Dense],
                    &[Conv1d, QConv1d, Conv2d, QConv2d, QDense, Dense, QSeparableConv2d, QDepthwiseConv2d],
                    &[QConv1d, QConv2d, QDense, QSeparableConv2d, QDepthwiseConv2d],
                ),
            ),
            ("dense_layers", &probs.dense_layers, order(&[Dense], &[Dense, QDense], &[QDense])),
            ("time_layers", &probs.time_layers, order(&[Conv1d], &[Conv1d, QConv1d], &[QConv1d])),
            (
                "conv_layers",
                &probs.conv_layers,
                order(
                    &[Conv2d],
                    &[Conv2d, QConv2d, QSeparableConv2d, QDepthwiseConv2d],
                    &[QConv2d, QSeparableConv2d, QDepthwiseConv2d],
                ),
            ),
        ];
        let mut tables = [[[0.0; FAMILIES]; 2]; 4];
        for (i, (name, weights, order)) in lists.into_iter().enumerate() {
            // All weights may be 0, which is one way to rule out dense layers. `check_reach` finds dead ends.
            let resolved = match self.layer_weights(weights, order) {
                Ok(resolved) => resolved,
                Err(reason) => {
                    self.faults.add(&format!("probs.{name}"), reason);
                    return None;
                }
            };
            for (kind, weight) in LayerKind::ALL.iter().zip(resolved) {
                let rank = kind.family().rank();
                let wanted = i == 0 || rank == i;
                if !wanted && weight > 0.0 && !weights.is_empty() {
                    self.faults.add(
                        &format!("probs.{name}"),
                        format!("gives a weight to {}, which is not one of {name}", kind.name()),
                    );
                }
                if wanted && !self.config.layers_blacklist.contains(kind) {
                    tables[i][usize::from(kind.is_quantized())][kind.family() as usize] = weight;
                }
            }
        }
        let [mut start, dense, time, conv] = tables;
        if let Some(shape) = input {
            for side in &mut start {
                for family in Family::ALL {
                    // A dense layer accepts any input after flattening.
                    if family != Family::Dense && family.rank() != shape.rank() {
                        side[family as usize] = 0.0;
                    }
                }
            }
        }
        self.check_reach(&start, &[dense, time, conv], input);
        Some((start, [dense, time, conv]))
    }

    /// Notes dead ends: every layer that can be drawn needs one that can follow it.
    fn check_reach(&mut self, start: &FamilyWeights, next: &[FamilyWeights; 3], input: Option<Shape>) {
        let some = |weights: &[f64; FAMILIES]| weights.iter().any(|&w| w > 0.0);
        let names = ["dense_layers", "time_layers", "conv_layers"];
        for side in self.sides() {
            let kind = ["float", "quantized"][side];
            let q = self.config.q_chance;
            if !some(&start[side]) {
                let of =
                    input.map_or(String::new(), |shape| format!(" for an input with {} axes", shape.rank()));
                self.faults.add(
                    "probs.start_layers",
                    format!("leaves no {kind} layer to start with{of}, although q_chance is {q}"),
                );
                continue;
            }
            for (rank, name) in names.iter().enumerate() {
                let reached =
                    Family::ALL.iter().any(|f| f.rank() == rank + 1 && start[side][*f as usize] > 0.0);
                if reached && !some(&next[rank][side]) {
                    self.faults.add(
                        &format!("probs.{name}"),
                        format!("leaves no {kind} layer to continue with, although q_chance is {q}"),
                    );
                }
            }
            let blacklisted = self
                .config
                .layers_blacklist
                .iter()
                .any(|k| k.family() == Family::Dense && usize::from(k.is_quantized()) == side);
            if self.config.classes.is_some() && blacklisted {
                self.faults.add(
                    "classes",
                    format!("needs a dense head, but layers_blacklist contains the {kind} dense layer"),
                );
            }
        }
    }
}
