//! The passes of a plan, segment by segment, and what happens between segments: what steps gathered, state, gradients.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::Plan;
use super::blocks::{Change, Update};
use super::operator::{Batch, GradientSource, Pieces};
use super::step::{Place, Step};
use crate::error::{LayersError, Result};
use crate::mode::Mode;

impl Plan {
    /// Computes the outputs of the `rows` samples that were written to the inputs.
    ///
    /// # Errors
    /// [`LayersError::Rows`], [`LayersError::NoTraining`] for a training pass of a plan for inference, and
    /// [`LayersError::Layer`] where a layer fails.
    pub fn forward(&mut self, rows: usize, mode: Mode) -> Result<()> {
        self.pass_forward(rows, mode, None)?;
        self.last = Some((rows, mode));
        Ok(())
    }

    /// The first layer, in the order in which they run, whose values for the batch in the inputs hold a NaN or an
    /// infinity: what a loss that is not finite is to be traced with. The inputs have to be written anew before.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn find_non_finite(&mut self, rows: usize, mode: Mode) -> Result<Option<&str>> {
        let found = AtomicUsize::new(usize::MAX);
        self.pass_forward(rows, mode, Some(&found))?;
        Ok(self.steps.get(found.into_inner()).map(|step| step.layer.as_str()))
    }

    /// The forward pass. With `non_finite` it ends with the first segment where values are not finite, and leaves the first
    /// such step there.
    fn pass_forward(&mut self, rows: usize, mode: Mode, non_finite: Option<&AtomicUsize>) -> Result<()> {
        self.check_rows(rows)?;
        if mode.is_training() && !self.is_training {
            return Err(LayersError::NoTraining);
        }
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

    /// Lets the steps of a segment of the forward pass change the blocks that no optimizer changes.
    fn change_state(&mut self, segment: usize) -> Result<()> {
        let Self { segments, steps, blocks, ledger, .. } = self;
        let params = blocks.values.lend(ledger);
        for &s in &segments.forward[segment].steps {
            let Step { layer, operator, state, .. } = &mut steps[s];
            if state.is_empty() {
                continue;
            }
            let loan = ledger.open();
            let ranges = state.iter().map(|&b| blocks.list[b].range.clone());
            let mut state: Pieces<&mut [f32]> = ranges.map(|range| loan.write(&params, range)).collect();
            operator.after(&mut state).map_err(|e| e.of_layer(layer))?;
        }
        Ok(())
    }

    /// Computes gradients from those that were written to the outputs, and hands each block that changes to `change`
    /// as soon as its gradient is complete and its values are no longer needed. A `change` that only looks leaves the
    /// gradients to [`change_all`](Self::change_all): for what needs all of them before the first weight changes, as a
    /// limit of their common norm does.
    ///
    /// # Errors
    /// [`LayersError::NoForward`] where no forward pass in training came before it, [`LayersError::Layer`] where a
    /// layer fails.
    pub fn backward(&mut self, change: &mut dyn FnMut(Update<'_>)) -> Result<()> {
        self.pass_backward(Change::Blocks(change))
    }

    /// As [`backward`](Self::backward) for a `change` that treats every element by itself and may be called on several threads
    /// at a time: large blocks come in pieces ([`Update::first`]), each while its gradient is in the cache, where it is faster
    /// than to write the gradient and read it again. Weights become the same, bit by bit; gradients are not kept.
    ///
    /// # Errors
    /// As [`backward`](Self::backward).
    pub fn backward_in_pieces(&mut self, change: &(dyn Fn(Update<'_>) + Sync)) -> Result<()> {
        self.pass_backward(Change::Pieces(change))
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
            let in_pieces = match change {
                Change::Pieces(change) => self.in_pieces(number, mode).map(|(s, block)| (s, block, change)),
                Change::Blocks(_) => None,
            };
            let left_out = in_pieces.map(|(_, block, _)| block);
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
            if let Some((s, block, change)) = in_pieces {
                self.change_in_pieces(s, block, rows, change);
            }
            let Self { segments, steps, blocks, threads, .. } = self;
            let segment = &segments.backward[number];
            let shares = segment.shares_of(rows);
            for &block in segment.steps.iter().flat_map(|&s| &steps[s].weights) {
                if blocks.list[block].takes_updates() && left_out != Some(block) {
                    blocks.add_shares(block, shares);
                    blocks.finish_gradient(block, mode)?;
                    blocks.update(block, &mut change, *threads);
                }
            }
        }
        Ok(())
    }

    /// The step of a segment of the backward pass, and its first block, where that may change piece by piece.
    fn in_pieces(&self, segment: usize, mode: Mode) -> Option<(usize, usize)> {
        let s = self.segments.backward[segment].alone()?;
        let (step, blocks) = (&self.steps[s], &self.blocks);
        let block = *step.weights.first()?;
        let may = step.operator.gives_pieces()
            && blocks.list[block].takes_updates()
            && blocks.is_gradient_final(block, mode);
        may.then_some((s, block))
    }

    /// Changes a block as its step hands out the gradient.
    fn change_in_pieces(
        &mut self,
        s: usize,
        block: usize,
        rows: usize,
        change: &(dyn Fn(Update<'_>) + Sync),
    ) {
        let Self { values, steps, blocks, arena, ledger, threads, .. } = self;
        let (step, place) = (&steps[s], Place::whole(rows));
        let (numbers, loan) = (arena.lend(ledger), ledger.open());
        let input = step.inputs.first().map_or(0..0, |&(v, _)| values[v].kept_rows(place));
        let source = GradientSource {
            rows,
            input: loan.read(&numbers, input),
            d_output: loan.read(&numbers, values[step.output].gradient_rows(place)),
            threads: *threads,
        };
        loan.seal();
        blocks.update_in_pieces(block, change, ledger, |to| step.operator.gradient_in_pieces(&source, to));
    }

    /// Hands every block that changes to `change`, with the gradient that the last [`backward`](Self::backward) left.
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
