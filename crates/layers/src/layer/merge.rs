//! Layers that combine their inputs.

use candle_core::Tensor;
use tinsmith_network::{Merging, Op};

use super::{Context, LayerForward};
use crate::error::Result;

#[derive(Debug, Clone, Copy)]
enum Combination {
    Sum,
    Difference,
    Product,
    Concatenation { axis: usize },
}

/// A sum, difference, product or concatenation.
#[derive(Debug)]
pub(super) struct Merge {
    combination: Combination,
    /// True if shapes differ and axes of length 1 are broadcast.
    stretches: bool,
}

impl Merge {
    /// None if `op` is of another kind.
    pub(super) fn new(op: &Op, shapes: &[&[usize]]) -> Option<Self> {
        let combination = match op.merging()? {
            Merging::Sum => Combination::Sum,
            Merging::Difference => Combination::Difference,
            Merging::Product => Combination::Product,
            Merging::Concatenation(concat) => {
                Combination::Concatenation { axis: concat.sample_axis(shapes.first()?.len())? + 1 }
            }
        };
        let stretches = shapes.windows(2).any(|pair| pair[0] != pair[1]);
        Some(Self { combination, stretches })
    }
}

impl LayerForward for Merge {
    fn forward(&self, _: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        type Binary = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;
        let binary: Binary = match (self.combination, self.stretches) {
            (Combination::Concatenation { axis }, _) => return Ok(Tensor::cat(inputs, axis)?.contiguous()?),
            (Combination::Sum, false) => |a, b| a + b,
            (Combination::Sum, true) => Tensor::broadcast_add,
            (Combination::Difference, false) => |a, b| a - b,
            (Combination::Difference, true) => Tensor::broadcast_sub,
            (Combination::Product, false) => |a, b| a * b,
            (Combination::Product, true) => Tensor::broadcast_mul,
        };
        let mut out = inputs[0].clone();
        for input in &inputs[1..] {
            out = binary(&out, input)?;
        }
        Ok(out)
    }
}
