//! Parameters of a plan: values, gradients and optimizer state, each in one flat arena.

use std::ops::Range;

use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_kernels::arena::{Arena, LINE, Ledger, Lender, PrefetchHint};
use tinsmith_kernels::dense::{GradientConsumer, MAX_HINTS};
use tinsmith_kernels::epilogue::{Epilogue, apply_gate};
use tinsmith_kernels::gate::Gate;
use tinsmith_quant::QuantizerOp;

use super::operator::{BlockInit, BlockSpec, ShortList};
use super::segment::Segments;
use super::step::PlanStep;
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
    /// Range among the values.
    pub(super) range: Range<usize>,
    /// Offset of the gradients of all shards but the first.
    more_gradients: usize,
}

impl Block {
    /// Range of the gradient for one batch shard. The other shards are reduced into shard 0.
    pub(super) fn gradient(&self, shard: usize) -> Range<usize> {
        if shard == 0 {
            return self.range.clone();
        }
        let start = self.more_gradients + (shard - 1) * self.range.len().next_multiple_of(LINE);
        start..start + self.range.len()
    }

    /// Name, `layer.weight`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shape.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// True if it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// True for parameters, frozen or not; false for statistics.
    #[must_use]
    pub const fn is_trainable(&self) -> bool {
        self.trainable
    }

    /// True if an optimizer updates it: trainable and not frozen.
    #[must_use]
    pub const fn takes_updates(&self) -> bool {
        self.trainable && !self.frozen
    }

    /// Prune mask: 1 for kept weights, 0 for pruned ones.
    #[must_use]
    pub fn prune_mask(&self) -> Option<&[f32]> {
        self.prune_mask.as_deref()
    }

    /// Update mask: a factor for the gradients.
    #[must_use]
    pub fn update_mask(&self) -> Option<&[f32]> {
        self.update_mask.as_deref()
    }
}

/// Quantizer of a block, and the range of its quantized values.
#[derive(Debug, Clone)]
pub(super) struct BlockQuantizer {
    op: QuantizerOp,
    gate: Option<Gate>,
    is_random: bool,
    layer: String,
    weight: String,
    pub(super) range: Range<usize>,
}

/// Arguments of an optimizer step: a block, or a tile of it, with gradient and state.
#[derive(Debug)]
pub struct Update<'a> {
    /// Name of the block.
    pub name: &'a str,
    /// Index of the first element. 0 unless [gradients come in tiles](super::Plan::backward_by_tiles).
    pub first: usize,
    /// Values to update.
    pub values: &'a mut [f32],
    /// Masked gradient. May be overwritten.
    pub gradient: &'a mut [f32],
    /// Optimizer state: as many slots as [`Plan::set_slots`](super::Plan::set_slots) allocated.
    pub slots: ShortList<&'a mut [f32]>,
    /// Weight and state stay 0 under a 0.
    pub prune_mask: Option<&'a [f32]>,
    /// The weight stays unchanged under a 0.
    pub update_mask: Option<&'a [f32]>,
    /// Threads available.
    pub threads: Threads,
}

/// Receiver of finished gradients after a backward pass.
pub(super) enum Change<'c> {
    /// Receives whole blocks, one after another.
    Blocks(&'c mut dyn FnMut(Update<'_>)),
    /// Also receives tiles, on several threads at a time.
    Tiles(&'c (dyn Fn(Update<'_>) + Sync)),
}

impl Change<'_> {
    fn take(&mut self, update: Update<'_>) {
        match self {
            Self::Blocks(change) => change(update),
            Self::Tiles(change) => change(update),
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
    /// True if values changed since they were last quantized.
    is_stale: bool,
}

impl Blocks {
    /// Adds a block and returns its id.
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

    /// Assigns gradient ranges for every shard. Returns the number of elements of values and gradients.
    pub(super) fn lay_out_gradients(&mut self, steps: &[PlanStep], segments: &Segments) -> usize {
        let len = self.list.last().map_or(0, |b| b.range.end);
        self.gradients_len = len.next_multiple_of(LINE);
        for segment in &segments.backward {
            for &block in segment.steps.iter().flat_map(|&s| &steps[s].weights) {
                let block = &mut self.list[block];
                block.more_gradients = self.gradients_len;
                if block.takes_updates() {
                    self.gradients_len += (segment.shards - 1) * block.range.len().next_multiple_of(LINE);
                }
            }
        }
        len + self.gradients_len
    }

    /// Allocates memory once all blocks are known. Values are 0.
    pub(super) fn allocate(&mut self, training: bool) {
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
        self.is_stale = true;
    }

    /// Initializes each block from its entry of `starts`, in order: a learned quantizer parameter is computed from the
    /// values of a block before it.
    pub(super) fn initialize(&mut self, starts: &[BlockInit], seed: Seed) -> Result<()> {
        for (block, start) in self.list.iter().zip(starts) {
            let given = match start {
                BlockInit::Drawn(initializer, fans) => {
                    let mut rng = seed.derive(&block.name, 0).rng();
                    let values = &mut self.values.as_mut_slice()[block.range.clone()];
                    initializer.fill(values, *fans, &mut rng)?;
                    continue;
                }
                BlockInit::Values(given) => given.clone(),
                BlockInit::Learned(op, of) => {
                    let of = self.find(of)?;
                    op.initial(self.values_of(of), &self.list[of].dims)?
                }
            };
            check_len(&block.name, "values", given.len(), block.range.len())?;
            self.values.as_mut_slice()[block.range.clone()].copy_from_slice(&given);
        }
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

    /// Sets or removes the prune mask. Values and optimizer state under a 0 are 0 from now on.
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

    /// Quantizes the blocks that changed.
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
        // The random draws of a training step must not be reused by inference.
        *is_stale =
            mode.is_training() && self.list.iter().any(|b| b.quantizer.as_ref().is_some_and(|q| q.is_random));
        Ok(())
    }

    /// Reduces a block's shard gradients into shard 0.
    pub(super) fn reduce_shards(&mut self, block: usize, shards: usize) {
        let (block, first) = (&self.list[block], self.values.len().next_multiple_of(LINE));
        let (total, more) = self.gradients.as_mut_slice().split_at_mut(first);
        let total = &mut total[block.range.clone()];
        for shard in 1..shards {
            let Range { start, end } = block.gradient(shard);
            total.iter_mut().zip(&more[start - first..end - first]).for_each(|(sum, g)| *sum += g);
        }
    }

    /// Turns a finished gradient by the quantized values into the gradient by the values: through the quantizer, then
    /// the masks.
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

    /// Passes a block to an optimizer.
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

    /// True if the gradient by the quantized values is, up to masks, the gradient by the values.
    pub(super) fn is_gradient_final(&self, block: usize, mode: Mode) -> bool {
        self.list[block].quantizer.as_ref().is_none_or(|q| q.op.is_gradient_one(q.mode(mode)))
    }

    /// Passes tiles of a block to an optimizer as `compute` produces the tiles of its gradient.
    pub(super) fn update_by_tiles(
        &mut self,
        block: usize,
        change: &(dyn Fn(Update<'_>) + Sync),
        ledger: &Ledger,
        compute: impl FnOnce(&dyn GradientConsumer),
    ) {
        // Tiles of one block are disjoint, and each thread lends the values and the state of its tile only, so tiles
        // can be updated in parallel. The gradient of a tile never reaches the gradient arena.
        let Self { list, values, slots, slot_count, is_stale, .. } = self;
        *is_stale = true;
        compute(&TiledBlock {
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

/// A block that an optimizer updates tile by tile.
struct TiledBlock<'a> {
    block: &'a Block,
    slot_count: usize,
    values: Lender<'a, f32>,
    slots: Lender<'a, f32>,
    ledger: &'a Ledger,
    change: &'a (dyn Fn(Update<'_>) + Sync),
}

impl TiledBlock<'_> {
    /// Range of some elements among all values.
    fn values_at(&self, tile: &Range<usize>) -> Range<usize> {
        let start = self.block.range.start;
        start + tile.start..start + tile.end
    }

    /// Ranges of their optimizer state, slot by slot.
    fn slots_at(&self, tile: &Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let (Range { start, end }, count) = (self.block.range.clone(), self.slot_count);
        let Range { start: first, end: last } = tile.clone();
        let slots = (0..count).map(move |slot| count * start + slot * (end - start));
        slots.map(move |at| at + first..at + last)
    }
}

impl GradientConsumer for TiledBlock<'_> {
    fn consume(&self, first: usize, gradient: &mut [f32]) {
        let tile = first..first + gradient.len();
        let masks = [&self.block.prune_mask, &self.block.update_mask];
        let [prune_mask, update_mask] = masks.map(|mask| mask.as_ref().map(|mask| &mask[tile.clone()]));
        for mask in [prune_mask, update_mask].into_iter().flatten() {
            multiply(gradient, mask);
        }
        let loan = self.ledger.open();
        let update = Update {
            name: &self.block.name,
            first,
            values: loan.write(&self.values, self.values_at(&tile)),
            gradient,
            slots: self.slots_at(&tile).map(|range| loan.write(&self.slots, range)).collect(),
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
    /// Textual form of the quantizer.
    pub(super) fn description(&self) -> String {
        self.op.quantizer().to_string()
    }

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
