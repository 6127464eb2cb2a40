//! Parameters of a plan: values, gradients and optimizer state, each in one flat piece of memory.

use std::ops::Range;

use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_kernels::arena::{Arena, LINE, Ledger, Lender, PrefetchHint};
use tinsmith_kernels::dense::{GradientConsumer, MAX_HINTS};
use tinsmith_kernels::epilogue::{Epilogue, apply_gate};
use tinsmith_kernels::gate::Gate;
use tinsmith_quant::QuantizerOp;

use super::operator::{BlockSpec, Pieces, Start};
use super::segment::Segments;
use super::step::Step;
use crate::error::{LayersError, Result};
use crate::layer::{is_random, quantizer_mode};
use crate::mode::Mode;

/// One block of parameters.
#[derive(Debug, Clone)]
pub struct Block {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    pub(super) trainable: bool,
    pub(super) frozen: bool,
    pub(super) prune_mask: Option<Vec<f32>>,
    pub(super) update_mask: Option<Vec<f32>>,
    pub(super) quantizer: Option<BlockQuantizer>,
    /// Where it lies among the values.
    pub(super) range: Range<usize>,
    /// Where its gradients by the shares of a batch but the first begin.
    more_gradients: usize,
}

impl Block {
    /// Where its gradient by a share of a batch lies; that by the first becomes that by all.
    pub(super) fn gradient(&self, share: usize) -> Range<usize> {
        if share == 0 {
            return self.range.clone();
        }
        let start = self.more_gradients + (share - 1) * self.range.len().next_multiple_of(LINE);
        start..start + self.range.len()
    }

    /// `layer.weight`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its shape.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Whether it is a parameter and no statistic, frozen or not.
    #[must_use]
    pub const fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// Whether an optimizer changes it: trainable and not frozen.
    #[must_use]
    pub const fn takes_updates(&self) -> bool {
        self.trainable && !self.frozen
    }

    /// 1 for weights that stay, 0 for those that are pruned.
    #[must_use]
    pub fn prune_mask(&self) -> Option<&[f32]> {
        self.prune_mask.as_deref()
    }

    /// What gradients are multiplied by.
    #[must_use]
    pub fn update_mask(&self) -> Option<&[f32]> {
        self.update_mask.as_deref()
    }
}

/// A block's quantizer and where the quantized values lie.
#[derive(Debug, Clone)]
pub(super) struct BlockQuantizer {
    op: QuantizerOp,
    gate: Option<Gate>,
    is_random: bool,
    layer: String,
    weight: String,
    pub(super) range: Range<usize>,
}

/// What an optimizer changes in one step: a block with its gradient and state.
#[derive(Debug)]
pub struct Update<'a> {
    /// The block's name.
    pub name: &'a str,
    /// The number of the first element: 0, but where [gradients come in pieces](super::Plan::backward_in_pieces).
    pub first: usize,
    /// Its values.
    pub values: &'a mut [f32],
    /// Their gradient, masked; may be used up.
    pub gradient: &'a mut [f32],
    /// The optimizer's state: as many numbers for each element as [`Plan::set_slots`](super::Plan::set_slots) said.
    pub slots: Pieces<&'a mut [f32]>,
    /// 0 where weight and state stay 0.
    pub prune_mask: Option<&'a [f32]>,
    /// 0 where the weight stays as it is.
    pub update_mask: Option<&'a [f32]>,
    /// Threads that may be used.
    pub threads: Threads,
}

/// Who changes blocks after a backward pass.
pub(super) enum Change<'c> {
    /// Takes whole blocks, one after the other.
    Blocks(&'c mut dyn FnMut(Update<'_>)),
    /// Also takes pieces, on several threads at a time.
    Pieces(&'c (dyn Fn(Update<'_>) + Sync)),
}

impl Change<'_> {
    fn take(&mut self, update: Update<'_>) {
        match self {
            Self::Blocks(change) => change(update),
            Self::Pieces(change) => change(update),
        }
    }
}

/// All blocks.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) list: Vec<Block>,
    pub(super) values: Arena,
    pub(super) gradients: Arena,
    gradients_len: usize,
    pub(super) used: Arena,
    pub(super) slots: Arena,
    pub(super) slot_count: usize,
    /// Whether values changed since they were quantized last.
    is_stale: bool,
}

impl Blocks {
    /// Adds a block. Returns its number.
    pub(super) fn add(&mut self, spec: BlockSpec) -> usize {
        let last = self.list.last().map_or(0, |b| b.range.end);
        let start = last.next_multiple_of(LINE);
        let quantizer = spec.quantizer.map(|op| {
            let (layer, weight) = spec.name.rsplit_once('.').unwrap_or(("", &spec.name));
            BlockQuantizer {
                gate: op.gate(),
                is_random: is_random(op.quantizer()),
                layer: layer.to_owned(),
                weight: weight.to_owned(),
                op,
                range: 0..0,
            }
        });
        self.list.push(Block {
            range: start..start + spec.len(),
            more_gradients: 0,
            name: spec.name,
            dims: spec.dims,
            trainable: spec.trainable,
            frozen: false,
            prune_mask: None,
            update_mask: None,
            quantizer,
        });
        self.list.len() - 1
    }

    /// Finds a place for gradients by every share of a batch. Returns how many elements values and gradients have.
    pub(super) fn lay_out_gradients(&mut self, steps: &[Step], segments: &Segments) -> usize {
        let len = self.list.last().map_or(0, |b| b.range.end);
        self.gradients_len = len.next_multiple_of(LINE);
        for segment in &segments.backward {
            for &block in segment.steps.iter().flat_map(|&s| &steps[s].weights) {
                let block = &mut self.list[block];
                block.more_gradients = self.gradients_len;
                if block.takes_updates() {
                    self.gradients_len += (segment.shares - 1) * block.range.len().next_multiple_of(LINE);
                }
            }
        }
        len + self.gradients_len
    }

    /// Lays out the memory once all blocks are there, and fills it by `starts`, one for each block.
    pub(super) fn lay_out(&mut self, starts: &[Start], seed: Seed, training: bool) -> Result<()> {
        let len = self.list.last().map_or(0, |b| b.range.end);
        let mut used = 0;
        for quantizer in self.list.iter_mut().filter_map(|b| Some((b.range.len(), b.quantizer.as_mut()?))) {
            let (len, quantizer) = quantizer;
            quantizer.range = used..used + len;
            used = quantizer.range.end.next_multiple_of(LINE);
        }
        self.values = Arena::new(len);
        self.used = Arena::new(used);
        self.gradients = Arena::new(if training { self.gradients_len } else { 0 });
        for (block, start) in self.list.iter().zip(starts) {
            let learned = match start {
                Start::Learned(op, of) => {
                    let of = self.find(of)?;
                    Some(op.initial(self.values_of(of), &self.list[of].dims)?)
                }
                _ => None,
            };
            let values = &mut self.values.as_mut_slice()[block.range.clone()];
            match start {
                Start::Drawn(initializer, fans) => {
                    let mut rng = seed.derive(&block.name, 0).rng();
                    initializer.fill(values, *fans, &mut rng)?;
                }
                Start::Values(given) => {
                    check_len(&block.name, "values", given.len(), values.len())?;
                    values.copy_from_slice(given);
                }
                Start::Learned(..) => {
                    let given = learned.unwrap_or_default();
                    check_len(&block.name, "values", given.len(), values.len())?;
                    values.copy_from_slice(&given);
                }
            }
        }
        self.is_stale = true;
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> Result<usize> {
        self.list.iter().position(|b| b.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.list.iter().map(|b| b.name.as_str()).collect();
            LayersError::Mismatch {
                origin: format!("the name {name:?}"),
                faults: format!("want one of {}", names.join(", ")),
            }
        })
    }

    pub(super) fn values_of(&self, block: usize) -> &[f32] {
        &self.values.as_slice()[self.list[block].range.clone()]
    }

    /// Sets a block's values; pruned ones become zero.
    pub(super) fn set(&mut self, block: usize, values: &[f32]) -> Result<()> {
        let Block { name, range, prune_mask, .. } = &self.list[block];
        check_len(name, "values", values.len(), range.len())?;
        let own = &mut self.values.as_mut_slice()[range.clone()];
        own.copy_from_slice(values);
        if let Some(mask) = prune_mask {
            multiply(own, mask);
        }
        self.is_stale = true;
        Ok(())
    }

    /// Sets or takes away the prune mask: values and optimizer state under a 0 are 0 from now on.
    pub(super) fn set_prune_mask(&mut self, block: usize, mask: Option<Vec<f32>>) -> Result<()> {
        let own = &mut self.list[block];
        if let Some(mask) = &mask {
            check_len(&own.name, "prune mask", mask.len(), own.range.len())?;
            multiply(&mut self.values.as_mut_slice()[own.range.clone()], mask);
            let (count, start, len) = (self.slot_count, own.range.start, own.range.len());
            for slots in self.slots.as_mut_slice()[count * start..][..count * len].chunks_mut(len.max(1)) {
                multiply(slots, mask);
            }
        }
        own.prune_mask = mask;
        self.is_stale = true;
        Ok(())
    }

    pub(super) fn set_update_mask(&mut self, block: usize, mask: Option<Vec<f32>>) -> Result<()> {
        let own = &mut self.list[block];
        if let Some(mask) = &mask {
            check_len(&own.name, "update mask", mask.len(), own.range.len())?;
        }
        own.update_mask = mask;
        Ok(())
    }

    /// Quantizes what changed.
    pub(super) fn refresh(&mut self, mode: Mode, threads: usize) -> Result<()> {
        let Self { list, values, used, is_stale, .. } = self;
        for block in list {
            let Some(quantizer) = &block.quantizer else { continue };
            let draws_anew = quantizer.is_random && mode.is_training();
            if !(*is_stale || draws_anew) {
                continue;
            }
            let from = &values.as_slice()[block.range.clone()];
            let to = &mut used.as_mut_slice()[quantizer.range.clone()];
            match quantizer.gate {
                Some(gate) => {
                    let epilogue = Epilogue { bias: None, gate, bits: &mut [] };
                    apply_gate(to, from, epilogue, from.len(), threads);
                }
                None => {
                    let mode = quantizer.mode(mode);
                    quantizer.op.apply_slice(from, &block.dims, to, None, mode)?;
                }
            }
        }
        // Random draws of a training step are not those of an inference.
        *is_stale =
            mode.is_training() && self.list.iter().any(|b| b.quantizer.as_ref().is_some_and(|q| q.is_random));
        Ok(())
    }

    /// Adds up a block's gradients by so many shares of a batch.
    pub(super) fn add_shares(&mut self, block: usize, shares: usize) {
        let (block, first) = (&self.list[block], self.values.len().next_multiple_of(LINE));
        let (total, more) = self.gradients.as_mut_slice().split_at_mut(first);
        let total = &mut total[block.range.clone()];
        for share in 1..shares {
            let Range { start, end } = block.gradient(share);
            total.iter_mut().zip(&more[start - first..end - first]).for_each(|(sum, g)| *sum += g);
        }
    }

    /// Turns a finished gradient of what was used into that of the values: through the quantizer, under the masks.
    pub(super) fn finish_gradient(&mut self, block: usize, mode: Mode) -> Result<()> {
        let Self { list, values, gradients, .. } = self;
        let block = &list[block];
        let gradient = &mut gradients.as_mut_slice()[block.range.clone()];
        if let Some(quantizer) = &block.quantizer {
            let mode = quantizer.mode(mode);
            if !quantizer.op.is_gradient_one(mode) {
                let values = &values.as_slice()[block.range.clone()];
                quantizer.op.pull_back_slice(values, &block.dims, gradient, mode)?;
            }
        }
        for mask in [&block.prune_mask, &block.update_mask].into_iter().flatten() {
            multiply(gradient, mask);
        }
        Ok(())
    }

    /// Lends a block to an optimizer.
    pub(super) fn update(&mut self, block: usize, change: &mut Change<'_>, threads: Threads) {
        let Self { list, values, gradients, slots, slot_count, is_stale, .. } = self;
        let block = &list[block];
        let (start, len) = (block.range.start, block.range.len());
        *is_stale = true;
        let slots = &mut slots.as_mut_slice()[*slot_count * start..][..*slot_count * len];
        change.take(Update {
            name: &block.name,
            first: 0,
            values: &mut values.as_mut_slice()[block.range.clone()],
            gradient: &mut gradients.as_mut_slice()[block.range.clone()],
            slots: slots.chunks_exact_mut(len.max(1)).collect(),
            prune_mask: block.prune_mask.as_deref(),
            update_mask: block.update_mask.as_deref(),
            threads,
        });
    }

    /// Whether a block's gradient is that of what was used, up to masks.
    pub(super) fn is_gradient_final(&self, block: usize, mode: Mode) -> bool {
        self.list[block].quantizer.as_ref().is_none_or(|q| q.op.is_gradient_one(q.mode(mode)))
    }

    /// Lends pieces of a block to an optimizer as `compute` hands out those of its gradient.
    pub(super) fn update_in_pieces(
        &mut self,
        block: usize,
        change: &(dyn Fn(Update<'_>) + Sync),
        ledger: &Ledger,
        compute: impl FnOnce(&dyn GradientConsumer),
    ) {
        let Self { list, values, slots, slot_count, is_stale, .. } = self;
        *is_stale = true;
        compute(&BlockInPieces {
            block: &list[block],
            slot_count: *slot_count,
            values: values.lend(ledger),
            slots: slots.lend(ledger),
            ledger,
            change,
        });
    }

    pub(super) fn set_slots(&mut self, count: usize) {
        self.slot_count = count;
        self.slots = Arena::new(count * self.values.len());
    }

    pub(super) fn slots_of(&self, block: usize) -> &[f32] {
        let range = &self.list[block].range;
        &self.slots.as_slice()[self.slot_count * range.start..][..self.slot_count * range.len()]
    }

    pub(super) fn set_slots_of(&mut self, block: usize, values: &[f32]) -> Result<()> {
        let Block { name, range, .. } = &self.list[block];
        check_len(name, "optimizer state", values.len(), self.slot_count * range.len())?;
        self.slots.as_mut_slice()[self.slot_count * range.start..][..values.len()].copy_from_slice(values);
        Ok(())
    }
}

/// A block that an optimizer changes piece by piece.
struct BlockInPieces<'a> {
    block: &'a Block,
    slot_count: usize,
    values: Lender<'a, f32>,
    slots: Lender<'a, f32>,
    ledger: &'a Ledger,
    change: &'a (dyn Fn(Update<'_>) + Sync),
}

impl BlockInPieces<'_> {
    /// Where some of the block's elements lie among all values.
    fn values_at(&self, part: &Range<usize>) -> Range<usize> {
        let start = self.block.range.start;
        start + part.start..start + part.end
    }

    /// Where their state lies, slot by slot.
    fn slots_at(&self, part: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (Range { start, end }, count) = (self.block.range.clone(), self.slot_count);
        let Range { start: first, end: last } = part.clone();
        let slots = (0..count).map(move |slot| count * start + slot * (end - start));
        slots.map(move |at| at + first..at + last)
    }
}

impl GradientConsumer for BlockInPieces<'_> {
    fn consume(&self, first: usize, gradient: &mut [f32]) {
        let part = first..first + gradient.len();
        let masks = [&self.block.prune_mask, &self.block.update_mask];
        let [prune_mask, update_mask] = masks.map(|mask| mask.as_ref().map(|mask| &mask[part.clone()]));
        for mask in [prune_mask, update_mask].into_iter().flatten() {
            multiply(gradient, mask);
        }
        let loan = self.ledger.open();
        let update = Update {
            name: &self.block.name,
            first,
            values: loan.write(&self.values, self.values_at(&part)),
            gradient,
            slots: self.slots_at(&part).map(|range| loan.write(&self.slots, range)).collect(),
            prune_mask,
            update_mask,
            threads: Threads::ONE,
        };
        loan.seal();
        (self.change)(update);
    }

    fn upcoming_reads(&self, elements: Range<usize>) -> [PrefetchHint; MAX_HINTS] {
        let slots = self.slots_at(&elements).map(|range| self.slots.hint(range));
        let mut hints = std::iter::once(self.values.hint(self.values_at(&elements))).chain(slots);
        std::array::from_fn(|_| hints.next().unwrap_or(PrefetchHint::NONE))
    }
}

impl BlockQuantizer {
    fn mode(&self, mode: Mode) -> tinsmith_quant::Mode {
        quantizer_mode(mode, self.is_random, &self.layer, &self.weight)
    }
}

fn multiply(values: &mut [f32], mask: &[f32]) {
    for (value, mask) in values.iter_mut().zip(mask) {
        // Not a product: an infinite value under a 0 would become NaN.
        *value = if *mask == 0.0 { 0.0 } else { *value * mask };
    }
}

fn check_len(name: &str, what: &str, got: usize, want: usize) -> Result<()> {
    if got == want {
        return Ok(());
    }
    Err(LayersError::Mismatch {
        origin: format!("{what} of {name:?}"),
        faults: format!("{got} elements, want {want}"),
    })
}
