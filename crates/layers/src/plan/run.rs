//! Runs the passes of a plan segment by segment. Between segments it combines gathered statistics, updates state, and
//! finishes gradients.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::Plan;
use super::blocks::{Change, Update};
use super::operator::{Batch, GradientSource, ShortList};
use super::step::{ChunkPlace, PlanStep};
use crate::error::{LayersError, Result};
use crate::mode::Mode;

impl Plan {
    /// Computes the outputs of the `rows` rows written to the inputs.
    ///
    /// # Errors
    /// [`LayersError::Rows`], [`LayersError::NoTraining`] for a training pass of a plan compiled for inference, and
    /// [`LayersError::Layer`] if a layer fails.
    pub fn forward(&mut self, rows: usize, mode: Mode) -> Result<()> {
        self.pass_forward(rows, mode, None)?;
        self.last = Some((rows, mode));
        Ok(())
    }

    /// Returns the first layer in execution order whose output for the current inputs holds a NaN or an infinity, to
    /// diagnose a non-finite loss. Write the inputs again before calling.
    ///
    /// # Errors
    /// Those of [`forward`](Self::forward).
    pub fn find_non_finite(&mut self, rows: usize, mode: Mode) -> Result<Option<&str>> {
        let found = AtomicUsize::new(usize::MAX);
        self.pass_forward(rows, mode, Some(&found))?;
        Ok(self.steps.get(found.into_inner()).map(|step| step.layer.as_str()))
    }

    /// Runs the forward pass. With `non_finite`, stops after the first segment with non-finite values and stores the
    /// first such step.
    fn pass_forward(&mut self, rows: usize, mode: Mode, non_finite: Option<&AtomicUsize>) -> Result<()> {
        self.check_rows(rows)?;
        if mode.is_training() && !self.is_training {
            return Err(LayersError::NoTraining);
        }
        // Until the pass has succeeded there are no outputs to read and nothing to run backward from.
        self.last = None;
        self.blocks.refresh(mode, self.threads.count())?;
        self.sums.as_mut_slice().fill(0.0);
        for number in 0..self.segments.forward.len() {
            for &s in &self.segments.forward[number].steps {
                let step = &mut self.steps[s];
                step.operator.before(&Batch { rows, mode, sums: &self.sums.as_slice()[step.sums.clone()] });
            }
            let (pass, segments) = self.open_pass(rows, mode);
            let segment = &segments.forward[number];
            pass.over(segment, number, &|place, _, threads| {
                for &s in &segment.steps {
                    pass.forward(s, place, threads, non_finite)?;
                }
                if let Some(s) = segment.gathers.filter(|_| mode.is_training()) {
                    pass.gather(s, place, threads);
                }
                Ok(())
            })?;
            if non_finite.is_some_and(|found| found.load(Relaxed) != usize::MAX) {
                return Ok(());
            }
            if mode.is_training() {
                self.change_state(number)?;
            }
        }
        Ok(())
    }

    /// Lets the steps of a forward segment update the blocks that no optimizer updates.
    fn change_state(&mut self, segment: usize) -> Result<()> {
        let Self { segments, steps, blocks, ledger, .. } = self;
        let params = blocks.values.lend(ledger);
        for &s in &segments.forward[segment].steps {
            let PlanStep { layer, operator, state, .. } = &mut steps[s];
            if state.is_empty() {
                continue;
            }
            let loan = ledger.open();
            let ranges = state.iter().map(|&b| blocks.list[b].range.clone());
            let mut state: ShortList<&mut [f32]> = ranges.map(|range| loan.write(&params, range)).collect();
            operator.after(&mut state).map_err(|e| e.of_layer(layer))?;
        }
        Ok(())
    }

    /// Computes gradients from those written to the outputs. Each trained block is passed to `change` as soon as its
    /// gradient is complete and its values are no longer read. To inspect all gradients before the first weight
    /// changes, as clipping by the global norm does, leave the blocks unchanged in `change` and update them by
    /// [`change_all`](Self::change_all).
    ///
    /// # Errors
    /// [`LayersError::NoForward`] without a preceding forward pass in training, [`LayersError::Layer`] if a layer
    /// fails.
    pub fn backward(&mut self, change: &mut dyn FnMut(Update<'_>)) -> Result<()> {
        self.pass_backward(Change::Blocks(change))
    }

    /// Like [`backward`](Self::backward), for a `change` that is element-wise and can be called on several threads at
    /// a time. Large blocks arrive in tiles ([`Update::first`]), each while its gradient is in the cache, if that is
    /// faster than writing and rereading the gradient. Updated weights are identical bit for bit; gradients are not
    /// kept.
    ///
    /// # Errors
    /// Those of [`backward`](Self::backward).
    pub fn backward_by_tiles(&mut self, change: &(dyn Fn(Update<'_>) + Sync)) -> Result<()> {
        self.pass_backward(Change::Tiles(change))
    }

    fn pass_backward(&mut self, mut change: Change<'_>) -> Result<()> {
        let Some((rows, mode)) = self.last.filter(|(_, mode)| self.is_training && mode.is_training()) else {
            return Err(LayersError::NoForward);
        };
        self.sums.as_mut_slice().fill(0.0);
        for number in 0..self.segments.backward.len() {
            for &s in &self.segments.backward[number].steps {
                let step = &mut self.steps[s];
                let sums = &self.sums.as_slice()[step.sums.clone()];
                step.operator.before_backward(&Batch { rows, mode, sums });
            }
            let by_tiles = match change {
                Change::Tiles(change) => self.by_tiles(number, mode).map(|(s, block)| (s, block, change)),
                Change::Blocks(_) => None,
            };
            let left_out = by_tiles.map(|(_, block, _)| block);
            let (pass, segments) = self.open_pass(rows, mode);
            let segment = &segments.backward[number];
            pass.over(segment, number, &|place, accumulate, threads| {
                for &s in &segment.steps {
                    pass.repeat_for(s, segment, place, threads)?;
                    pass.backward(s, place, (accumulate, left_out), threads)?;
                }
                if let Some(s) = segment.gathers {
                    pass.gather_backward(s, place, threads);
                }
                Ok(())
            })?;
            if let Some((s, block, change)) = by_tiles {
                self.change_by_tiles(s, block, rows, change);
            }
            let Self { segments, steps, blocks, threads, .. } = self;
            let segment = &segments.backward[number];
            // Values are read by no later segment of this pass, so they may change now.
            let shards = segment.shards_of(rows);
            for &block in segment.steps.iter().flat_map(|&s| &steps[s].weights) {
                if blocks.list[block].takes_updates() && left_out != Some(block) {
                    blocks.reduce_shards(block, shards);
                    blocks.finish_gradient(block, mode)?;
                    blocks.update(block, &mut change, *threads);
                }
            }
        }
        Ok(())
    }

    /// The step of a backward segment and its first block, if that block can be updated in tiles.
    fn by_tiles(&self, segment: usize, mode: Mode) -> Option<(usize, usize)> {
        let s = self.segments.backward[segment].alone()?;
        let (step, blocks) = (&self.steps[s], &self.blocks);
        let block = *step.weights.first()?;
        let may = step.operator.has_tiled_gradient()
            && blocks.list[block].takes_updates()
            && blocks.is_gradient_final(block, mode);
        may.then_some((s, block))
    }

    /// Updates a block while its step produces the gradient in tiles.
    fn change_by_tiles(&mut self, s: usize, block: usize, rows: usize, change: &(dyn Fn(Update<'_>) + Sync)) {
        let Self { values, steps, blocks, arena, ledger, threads, .. } = self;
        let (step, place) = (&steps[s], ChunkPlace::whole(rows));
        let (numbers, loan) = (arena.lend(ledger), ledger.open());
        let &(input, _) = step.inputs.first().expect("invariant: a step with a tiled gradient has an input");
        let source = GradientSource {
            rows,
            input: loan.read(&numbers, values[input].kept_rows(place)),
            d_output: loan.read(&numbers, values[step.output].gradient_rows(place)),
            threads: *threads,
        };
        loan.seal();
        blocks.update_by_tiles(block, change, ledger, |to| step.operator.gradient_by_tiles(&source, to));
    }

    /// Passes every trained block to `change`, with the gradient of the last [`backward`](Self::backward).
    pub fn change_all(&mut self, change: &mut dyn FnMut(Update<'_>)) {
        let mut change = Change::Blocks(change);
        for s in (0..self.steps.len()).rev().filter(|&s| self.steps[s].sinks.is_some()) {
            for &block in &self.steps[s].weights {
                if self.blocks.list[block].takes_updates() {
                    self.blocks.update(block, &mut change, self.threads);
                }
            }
        }
    }
}
