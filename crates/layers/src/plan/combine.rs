//! Operators with several inputs.

use tinsmith_kernels::epilogue::{Epilogue, add_gated};
use tinsmith_kernels::gate::Gate;

use super::operator::{Backward, Forward, Operator, Traversal};
use super::product::fuse_into;
use crate::error::Result;

/// Sum of two inputs of the same shape.
#[derive(Debug)]
pub(super) struct Sum {
    channels: usize,
    gate: Gate,
}

impl Sum {
    pub(super) const fn new(channels: usize) -> Self {
        Self { channels, gate: Gate::LINEAR }
    }
}

impl Operator for Sum {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        let epilogue = Epilogue { bias: None, gate: self.gate, bits: &mut *io.bits };
        add_gated(io.output, io.inputs[0], io.inputs[1], epilogue, self.channels, io.threads.count());
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        for dx in io.d_inputs.iter_mut().flatten() {
            dx.put(io.d_output, io.threads);
        }
        Ok(())
    }

    fn keeps_inputs(&self) -> bool {
        false
    }

    fn traversal(&self) -> Traversal {
        Traversal::Chunks
    }

    fn fuse(&mut self, gate: Gate) -> bool {
        fuse_into(&mut self.gate, gate)
    }

    fn gate(&self) -> Gate {
        self.gate
    }
}

/// Concatenation of inputs along an axis.
#[derive(Debug)]
pub(super) struct Concat {
    /// Elements that each input contributes to one contiguous run of the output.
    widths: Vec<usize>,
}

impl Concat {
    /// For samples of these shapes, along `axis`.
    pub(super) fn new(shapes: &[&[usize]], axis: usize) -> Self {
        Self { widths: shapes.iter().map(|s| s[axis..].iter().product()).collect() }
    }

    fn width(&self) -> usize {
        self.widths.iter().sum()
    }
}

impl Operator for Concat {
    fn forward(&self, io: &mut Forward<'_>) -> Result<()> {
        let total = self.width();
        let mut from = 0;
        for (x, &width) in io.inputs.iter().zip(&self.widths) {
            for (block, part) in io.output.chunks_exact_mut(total).zip(x.chunks_exact(width)) {
                block[from..from + width].copy_from_slice(part);
            }
            from += width;
        }
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> Result<()> {
        let total = self.width();
        let mut from = 0;
        for (dx, &width) in io.d_inputs.iter_mut().zip(&self.widths) {
            if let Some(dx) = dx {
                for (part, block) in dx.values.chunks_exact_mut(width).zip(io.d_output.chunks_exact(total)) {
                    let block = &block[from..from + width];
                    if dx.sink.accumulate {
                        part.iter_mut().zip(block).for_each(|(sum, g)| *sum += g);
                    } else {
                        part.copy_from_slice(block);
                    }
                }
                dx.close(io.threads);
            }
            from += width;
        }
        Ok(())
    }

    fn keeps_inputs(&self) -> bool {
        false
    }

    fn traversal(&self) -> Traversal {
        Traversal::Chunks
    }
}
