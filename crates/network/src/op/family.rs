//! Groups of kinds, and the settings that code outside this crate asks of a group or of a single kind.
//!
//! Together with [`Op::product`] and [`Op::pooling`], these views replace matches over the kinds: code that treats
//! several kinds alike asks a view, and a new kind is covered as soon as its view knows it.

use super::{BatchNorm, Concat, Op};
use crate::quantizer::Quantizer;

/// Group of kinds that most code treats alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OpFamily {
    /// Input of the network.
    Input,
    /// Multiplies by weights; described by [`Op::product`].
    Product,
    /// An activation function as a layer.
    Activation,
    /// Scales and shifts channels.
    Normalization,
    /// Maximum or mean of windows; described by [`Op::pooling`].
    Pooling,
    /// The same elements in another shape or order.
    Reordering,
    /// Repeats, crops or pads positions.
    Resizing,
    /// Combines several inputs; described by [`Op::merging`].
    Merge,
    /// Random in training, without effect in inference.
    Noise,
}

/// Combination of several inputs; read by [`Op::merging`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Merging<'a> {
    /// Sum of all inputs.
    Sum,
    /// First input minus second.
    Difference,
    /// Product of all inputs.
    Product,
    /// All inputs one after the other along an axis.
    Concatenation(&'a Concat),
}

impl Merging<'_> {
    /// True if each output element combines one element of each input.
    #[must_use]
    pub const fn is_elementwise(self) -> bool {
        !matches!(self, Self::Concatenation(_))
    }
}

impl Op {
    /// True for inputs of the network.
    #[must_use]
    pub const fn is_input(&self) -> bool {
        matches!(self, Self::Input(_))
    }

    /// True for activation layers; other layers may have a fused activation.
    #[must_use]
    pub const fn is_activation(&self) -> bool {
        matches!(self, Self::Activation(_))
    }

    /// The combination that this layer computes; none for layers with one input.
    #[must_use]
    pub const fn merging(&self) -> Option<Merging<'_>> {
        Some(match self {
            Self::Add(_) => Merging::Sum,
            Self::Subtract(_) => Merging::Difference,
            Self::Multiply(_) => Merging::Product,
            Self::Concat(concat) => Merging::Concatenation(concat),
            _ => return None,
        })
    }

    /// Settings of a batch normalization; none for layers of other kinds.
    #[must_use]
    pub const fn batch_norm(&self) -> Option<&BatchNorm> {
        if let Self::BatchNorm(norm) = self { Some(norm) } else { None }
    }

    /// Mutable [`Op::batch_norm`].
    #[must_use]
    pub const fn batch_norm_mut(&mut self) -> Option<&mut BatchNorm> {
        if let Self::BatchNorm(norm) = self { Some(norm) } else { None }
    }

    /// Settings of a batch normalization that is trained folded into the layer before it; none for others.
    #[must_use]
    pub fn folded_norm(&self) -> Option<&BatchNorm> {
        self.batch_norm().filter(|norm| norm.fold)
    }

    /// Quantizer of the values that this layer puts out: an input's own or that of the activation.
    #[must_use]
    pub const fn output_quantizer(&self) -> Option<&Quantizer> {
        match self {
            Self::Input(input) => input.quantizer.as_ref(),
            _ => match self.activation() {
                Some(activation) => activation.quantizer(),
                None => None,
            },
        }
    }
}
