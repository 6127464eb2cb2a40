//! A configuration resolved: names to arrays, bounds to grids, every fault noted.

use tinsmith_foundation::Faults;

use crate::config::{GeneratorConfig, Scope};
use crate::kind::{ActivationKind, Family, LayerKind, Named, PaddingKind, PoolKind};
use crate::shape::Shape;
use crate::size::Sizes;
use crate::weights::{Weights, Widths};

/// Largest bound of an image's height or width and of channels, so that no tensor outgrows what a specification allows.
const MOST_PER_AXIS: usize = 8192;
/// Largest bound of units, flat features and time steps.
const MOST_FLAT: usize = 1 << 20;

pub(crate) const FAMILIES: usize = Family::ALL.len();
pub(crate) const ACTIVATIONS: usize = ActivationKind::ALL.len();

/// Weights of the families of layers, float and quantized.
pub(crate) type FamilyWeights = [[f64; FAMILIES]; 2];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed {
    pub(crate) bits: [u32; 8],
    pub(crate) choices: usize,
    pub(crate) integer: u32,
}

/// What a draw reads.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) dense: Sizes,
    pub(crate) image: Sizes,
    pub(crate) filters: Sizes,
    pub(crate) time: Sizes,
    pub(crate) stride: (usize, usize),
    pub(crate) kernel: (usize, usize),
    pub(crate) flatten_limit: usize,
    pub(crate) q_chance: f64,
    pub(crate) q_scope: Scope,
    pub(crate) activ: Fixed,
    pub(crate) weight: Fixed,
    pub(crate) bias: Fixed,
    pub(crate) activations: [[f64; ACTIVATIONS]; 2],
    pub(crate) start: FamilyWeights,
    /// After the first layer, by the rank of the features: flat, series, image.
    pub(crate) next: [FamilyWeights; 3],
    /// Same, valid.
    pub(crate) padding: [f64; 2],
    /// Max, average.
    pub(crate) pooling: [f64; 2],
    pub(crate) activation_rate: f64,
    pub(crate) dropout_chance: f64,
    pub(crate) dropout_rate: f64,
    pub(crate) flatten_chance: f64,
    pub(crate) pooling_chance: f64,
    pub(crate) bias_rate: f64,
    pub(crate) batch_norm_chance: f64,
    pub(crate) residual_chance: f64,
    pub(crate) branch_chance: f64,
    pub(crate) global_pooling_chance: f64,
    pub(crate) input: Option<Shape>,
    pub(crate) classes: Option<usize>,
}

impl Tables {
    /// Whether a dense layer can follow.
    pub(crate) fn has_dense(&self, quantized: bool) -> bool {
        self.next[0][usize::from(quantized)].iter().any(|&w| w > 0.0)
    }

    /// Whether the quantization coin can come up on this side.
    pub(crate) fn is_possible(&self, quantized: bool) -> bool {
        if quantized { self.q_chance > 0.0 } else { self.q_chance < 1.0 }
    }

    /// Whether some network has a layer of this kind.
    pub(crate) fn can_draw(&self, kind: LayerKind) -> bool {
        let (family, side) = (kind.family(), usize::from(kind.is_quantized()));
        let starts = |rank: usize| {
            [0, 1].iter().any(|&side| {
                self.is_possible(side == 1)
                    && Family::ALL.iter().any(|f| f.rank() == rank && self.start[side][*f as usize] > 0.0)
            })
        };
        let is_head = family == Family::Dense && self.classes.is_some();
        // Dense layers follow on whatever comes first, others on their like.
        let follows = (family == Family::Dense || starts(family.rank()))
            && self.next[family.rank() - 1][side][family as usize] > 0.0;
        self.is_possible(kind.is_quantized())
            && (is_head || follows || self.start[side][family as usize] > 0.0)
    }

    /// The tables of `config`; None where a fault was noted.
    pub(crate) fn resolve(config: &GeneratorConfig, faults: &mut Faults) -> Option<Self> {
        Reader { config, faults }.read()
    }
}

struct Reader<'a> {
    config: &'a GeneratorConfig,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    fn read(mut self) -> Option<Tables> {
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
                crate::SizeGrid::PowersOfTwo => "a power of two".to_owned(),
                crate::SizeGrid::MultiplesOf(unit) => format!("a multiple of {unit}"),
            };
            self.faults
                .add(&format!("{name}_ub"), format!("is {ub}, but {lb}..={ub} does not hold {wanted}"));
        }
        sizes
    }

    fn fixed(&mut self, name: &str, widths: &Widths, integer: u32) -> Option<Fixed> {
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
        Some(Fixed { bits, choices, integer })
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

    fn choice<K: Named>(&mut self, name: &str, weights: &Weights<K>, orders: &[&[K]]) -> Option<Vec<f64>> {
        let found = weights.resolve(orders).and_then(|weights| {
            let some = weights.iter().any(|&w| w > 0.0);
            some.then_some(weights).ok_or_else(|| "weighs nothing, want a weight above 0".to_owned())
        });
        found.map_err(|reason| self.faults.add(&format!("probs.{name}"), reason)).ok()
    }

    /// The sides of the quantization coin that can come up: float, quantized.
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
                "gives no weight to an activation that has a quantized form \
                 (no_activation, relu, tanh, sigmoid, hswish), but q_chance is above 0",
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
            // All weights may be 0: that is one way to have no dense layers. What then lacks is found below.
            let resolved = match weights.resolve(&[order]) {
                Ok(resolved) => resolved,
                Err(reason) => {
                    self.faults.add(&format!("probs.{name}"), reason);
                    return None;
                }
            };
            for (kind, weight) in LayerKind::ALL.iter().zip(resolved) {
                let rank = kind.family().rank();
                let wanted = i == 0 || rank == i;
                if !wanted && weight > 0.0 && !is_uniform(weights) {
                    self.faults.add(
                        &format!("probs.{name}"),
                        format!("gives {} a weight, which is no layer of {name}", kind.name()),
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
                    // A dense layer takes any input, once it is flat.
                    if family != Family::Dense && family.rank() != shape.rank() {
                        side[family as usize] = 0.0;
                    }
                }
            }
        }
        self.check_reach(&start, &[dense, time, conv], input);
        Some((start, [dense, time, conv]))
    }

    /// Every layer that can come up must have one that can follow.
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
                    format!("leaves no {kind} layer to start with{of}, but q_chance is {q}"),
                );
                continue;
            }
            for (rank, name) in names.iter().enumerate() {
                let reached =
                    Family::ALL.iter().any(|f| f.rank() == rank + 1 && start[side][*f as usize] > 0.0);
                if reached && !some(&next[rank][side]) {
                    self.faults.add(
                        &format!("probs.{name}"),
                        format!("leaves no {kind} layer to go on with, but q_chance is {q}"),
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
                    format!("wants a dense head, but layers_blacklist has the {kind} dense layer"),
                );
            }
        }
    }
}

fn is_uniform(weights: &Weights<LayerKind>) -> bool {
    match weights {
        Weights::Map(map) => map.is_empty(),
        Weights::List(list) => list.is_empty(),
    }
}
