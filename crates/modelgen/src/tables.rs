//! Lookup tables of a draw: weights as arrays, bounds as grids.

use crate::config::Scope;
use crate::kind::{ActivationKind, Family, LayerKind, NamedChoice};
use crate::shape::Shape;
use crate::size::Sizes;

pub(crate) const FAMILIES: usize = Family::ALL.len();
pub(crate) const ACTIVATIONS: usize = ActivationKind::ALL.len();

/// Weights by layer family; index 0 holds the float side, index 1 the quantized one.
pub(crate) type FamilyWeights = [[f64; FAMILIES]; 2];

/// Fixed-point formats to draw from. An array, so that the tables clone without allocating for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FixedPoint {
    /// Bit widths; the first `choices` are valid.
    pub(crate) bits: [u32; 8],
    pub(crate) choices: usize,
    pub(crate) integer: u32,
}

/// A configuration in the form a draw reads.
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
    pub(crate) activ: FixedPoint,
    pub(crate) weight: FixedPoint,
    pub(crate) bias: FixedPoint,
    pub(crate) activations: [[f64; ACTIVATIONS]; 2],
    pub(crate) start: FamilyWeights,
    /// Weights after the first layer, by the rank of the features: flat, series, image.
    pub(crate) next: [FamilyWeights; 3],
    /// Weights of `same` and `valid`.
    pub(crate) padding: [f64; 2],
    /// Weights of `max` and `average`.
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
    /// Reports if a dense layer can follow.
    pub(crate) fn has_dense(&self, quantized: bool) -> bool {
        self.next[0][usize::from(quantized)].iter().any(|&w| w > 0.0)
    }

    /// Reports if the quantization decision can turn out this way.
    pub(crate) fn is_possible(&self, quantized: bool) -> bool {
        if quantized { self.q_chance > 0.0 } else { self.q_chance < 1.0 }
    }

    /// Reports if some network of the family has a layer of this kind.
    pub(crate) fn can_draw(&self, kind: LayerKind) -> bool {
        let (family, side) = (kind.family(), usize::from(kind.is_quantized()));
        let starts = |rank: usize| {
            [0, 1].iter().any(|&side| {
                self.is_possible(side == 1)
                    && Family::ALL.iter().any(|f| f.rank() == rank && self.start[side][*f as usize] > 0.0)
            })
        };
        let is_head = family == Family::Dense && self.classes.is_some();
        // A dense layer can follow any first layer; other kinds follow only layers of their own rank.
        let follows = (family == Family::Dense || starts(family.rank()))
            && self.next[family.rank() - 1][side][family as usize] > 0.0;
        self.is_possible(kind.is_quantized())
            && (is_head || follows || self.start[side][family as usize] > 0.0)
    }
}
