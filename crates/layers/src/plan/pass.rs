//! Passes of a plan as run by its threads: each takes shards of the batch through a segment, chunk by chunk, step by
//! step.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, PoisonError};

use tinsmith_kernels::Threads;
use tinsmith_kernels::arena::{Ledger, Lender, Loan};
use tinsmith_kernels::epilogue::{GradientSink, close_gate};

use super::Plan;
use super::blocks::Block;
use super::operator::{Backward, Chunk, Forward, Gather, InputGradient, ShortList};
use super::segment::{MAX_SHARDS, Segment, Segments};
use super::step::{ChunkPlace, PlanStep, PlanTensor, Sink};
use crate::error::Result;
use crate::mode::Mode;

impl Plan {
    /// Lends the plan's buffers to the threads that run one of its segments.
    pub(super) fn open_pass(&mut self, rows: usize, mode: Mode) -> (Pass<'_>, &Segments) {
        let Self {
            values, steps, segments, blocks, memory, ledger, arena, bits, kept, sums, threads, ..
        } = self;
        let pass = Pass {
            values,
            steps,
            list: &blocks.list,
            params: blocks.values.as_slice(),
            used: blocks.used.as_slice(),
            ledger,
            numbers: arena.lend(ledger),
            gradients: blocks.gradients.lend(ledger),
            bits: bits.lend(ledger),
            kept: kept.lend(ledger),
            sums: sums.lend(ledger),
            threads: *threads,
            slots: memory.slots,
            own: memory.own,
            rows,
            mode,
        };
        (pass, segments)
    }
}

/// A pass over a batch, shared by all its threads.
pub(super) struct Pass<'a> {
    values: &'a [PlanTensor],
    steps: &'a [PlanStep],
    list: &'a [Block],
    params: &'a [f32],
    used: &'a [f32],
    ledger: &'a Ledger,
    numbers: Lender<'a, f32>,
    gradients: Lender<'a, f32>,
    bits: Lender<'a, u16>,
    kept: Lender<'a, u8>,
    sums: Lender<'a, f64>,
    threads: Threads,
    /// Threads with memory of their own, and floats for each.
    slots: usize,
    own: usize,
    rows: usize,
    mode: Mode,
}

/// Callback for a chunk, with a flag that is false for the first chunk of its shard, and the threads available.
type Visit<'a> = &'a (dyn Fn(ChunkPlace, bool, Threads) -> Result<()> + Sync);

impl Pass<'_> {
    /// Visits every chunk of the batch. The chunks of a shard run one after another; the shards run side by side on
    /// threads, and a thread that finishes early takes over remaining shards. Odd segments run backwards, since the
    /// chunks visited last are still in the cache.
    pub(super) fn over(&self, segment: &Segment, number: usize, visit: Visit<'_>) -> Result<()> {
        // Every shard has its own range of rows in whole-batch buffers, its own gradients and its own gathered sums, so
        // threads with different shards write disjoint memory. Buffers of a single chunk belong to a thread slot
        // (`shift`), not to a shard. Results depend on the number of shards, which the plan fixes, and not on the
        // number of threads or on which thread takes which shard.
        let (rows, goes_back) = (segment.shard_rows(self.rows), number % 2 == 1);
        let shards = segment.shards_of(self.rows);
        let pass_shard = |shard: usize, slot: usize, threads: Threads| {
            let (begin, end) = (shard * rows, ((shard + 1) * rows).min(self.rows));
            let chunks = (end - begin).div_ceil(segment.rows);
            (0..chunks).try_for_each(|turn| {
                let number = if goes_back { chunks - 1 - turn } else { turn };
                let first = begin + number * segment.rows;
                let chunk = Chunk { first, rows: segment.rows.min(end - first), batch: self.rows, shard };
                visit(ChunkPlace { chunk, shift: slot * self.own }, turn > 0, threads)
            })
        };
        if segment.shards == 1 {
            return pass_shard(0, 0, self.threads);
        }
        let threads = self.threads.for_work(segment.work * self.rows);
        let slots = threads.count().min(self.slots).min(shards);
        let taken: [AtomicBool; MAX_SHARDS] = Default::default();
        let fault = Mutex::new(None);
        threads.each(slots, |slot| {
            // Each thread starts with its own shards, in the order of the pass, and then takes what others have left.
            let own = slot * shards / slots..(slot + 1) * shards / slots;
            for turn in 0..shards {
                let shard = if !goes_back {
                    (own.start + turn) % shards
                } else {
                    (own.end + 2 * shards - 1 - turn) % shards
                };
                // Relaxed suffices: the swap alone decides who takes the shard, and the end of `each` publishes the
                // results to the caller.
                if taken[shard].swap(true, Relaxed) {
                    continue;
                }
                if let Err(e) = pass_shard(shard, slot, Threads::ONE) {
                    fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                }
            }
        });
        fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn weights(&self, step: &PlanStep) -> ShortList<&[f32]> {
        let of = |&b: &usize| match &self.list[b].quantizer {
            Some(quantizer) => &self.used[quantizer.range.clone()],
            None => &self.params[self.list[b].range.clone()],
        };
        step.weights.iter().map(of).collect()
    }

    pub(super) fn forward(
        &self,
        s: usize,
        place: ChunkPlace,
        threads: Threads,
        non_finite: Option<&AtomicUsize>,
    ) -> Result<()> {
        let step = &self.steps[s];
        let (output, chunk, trains) = (&self.values[step.output], place.chunk, self.mode.is_training());
        let loan = self.ledger.open();
        let mut io = Forward {
            chunk,
            inputs: step
                .inputs
                .iter()
                .map(|&(v, _)| loan.read(&self.numbers, self.values[v].rows(place)))
                .collect(),
            output: loan.write(&self.numbers, output.rows(place)),
            bits: loan.write(&self.bits, if trains { output.bit_rows(chunk) } else { 0..0 }),
            weights: self.weights(step),
            state: self.state(step),
            kept: loan.write(&self.kept, if trains { step.kept_rows(chunk) } else { 0..0 }),
            scratch: loan.write(&self.numbers, place.own(&step.scratch.0)),
            mode: self.mode,
            threads,
        };
        loan.seal();
        step.operator.forward(&mut io).map_err(|e| e.of_layer(&step.layer))?;
        if let Some(found) = non_finite.filter(|_| io.output.iter().any(|v| !v.is_finite())) {
            found.fetch_min(s, Relaxed);
        }
        Ok(())
    }

    pub(super) fn gather(&self, s: usize, place: ChunkPlace, threads: Threads) {
        let step = &self.steps[s];
        let loan = self.ledger.open();
        let mut gathering = Gather {
            chunk: place.chunk,
            inputs: step
                .inputs
                .iter()
                .map(|&(v, _)| loan.read(&self.numbers, self.values[v].rows(place)))
                .collect(),
            d_output: &[],
            sums: loan.write(&self.sums, step.sums_of(place.chunk)),
            threads,
        };
        loan.seal();
        step.operator.gather(&mut gathering);
    }

    /// Values that the backward pass reads.
    fn kept_inputs<'p>(
        &'p self,
        loan: &'p Loan<'_>,
        step: &PlanStep,
        place: ChunkPlace,
    ) -> ShortList<&'p [f32]> {
        let keeps = step.operator.keeps_inputs();
        let rows = |v: usize| if keeps { self.values[v].kept_rows(place) } else { 0..0 };
        step.inputs.iter().map(|&(v, _)| loan.read(&self.numbers, rows(v))).collect()
    }

    /// Gradient of a step's output, and the gate that no consumer has applied to it yet.
    fn gradient_of_output<'p>(
        &'p self,
        loan: &'p Loan<'_>,
        step: &PlanStep,
        place: ChunkPlace,
    ) -> (&'p mut [f32], &'p [u16]) {
        let value = &self.values[step.output];
        let gate = if value.closes_itself { value.bit_rows(place.chunk) } else { 0..0 };
        (loan.write(&self.numbers, value.gradient_rows(place)), loan.read(&self.bits, gate))
    }

    pub(super) fn gather_backward(&self, s: usize, place: ChunkPlace, threads: Threads) {
        let step = &self.steps[s];
        let loan = self.ledger.open();
        let (d_output, gate) = self.gradient_of_output(&loan, step, place);
        let inputs = self.kept_inputs(&loan, step, place);
        let sums = loan.write(&self.sums, step.sums_of(place.chunk));
        loan.seal();
        close_gate(d_output, gate, self.values[step.output].channels, threads.count());
        let mut gathering = Gather { chunk: place.chunk, inputs, d_output, sums, threads };
        step.operator.gather_backward(&mut gathering);
    }

    /// Recomputes the outputs that step `s` is the first to need.
    pub(super) fn repeat_for(
        &self,
        s: usize,
        segment: &Segment,
        place: ChunkPlace,
        threads: Threads,
    ) -> Result<()> {
        for &(repeated, _) in segment.repeats.iter().filter(|&&(_, reader)| reader == s) {
            let step = &self.steps[repeated];
            let loan = self.ledger.open();
            let mut io = Forward {
                chunk: place.chunk,
                inputs: self.kept_inputs(&loan, step, place),
                output: loan.write(&self.numbers, self.values[step.output].kept_rows(place)),
                bits: &mut [],
                weights: self.weights(step),
                state: self.state(step),
                kept: &mut [],
                scratch: &mut [],
                mode: self.mode,
                threads,
            };
            loan.seal();
            step.operator.forward(&mut io).map_err(|e| e.of_layer(&step.layer))?;
        }
        Ok(())
    }

    fn state(&self, step: &PlanStep) -> ShortList<&[f32]> {
        step.state.iter().map(|&b| &self.params[self.list[b].range.clone()]).collect()
    }

    /// Backward pass of step `s`, without the gradient of the block `left_out`.
    pub(super) fn backward(
        &self,
        s: usize,
        place: ChunkPlace,
        (accumulate, left_out): (bool, Option<usize>),
        threads: Threads,
    ) -> Result<()> {
        let step = &self.steps[s];
        let Some(sinks) = &step.sinks else { return Ok(()) };
        // The loan registers every range before the first access and panics on an overlap with a range that this or
        // another thread holds for writing.
        let (output, chunk) = (&self.values[step.output], place.chunk);
        let loan = self.ledger.open();
        let keeps_output = step.operator.keeps_output();
        let gradient = |&b: &usize| {
            let block = &self.list[b];
            let is_wanted = block.takes_updates() && left_out != Some(b);
            loan.write(&self.gradients, if is_wanted { block.gradient(chunk.shard) } else { 0..0 })
        };
        let d_input = |(&(v, channels), sink): (&(usize, usize), &Option<Sink>)| {
            let (sink, value) = ((*sink)?, &self.values[v]);
            let gate = loan.read(&self.bits, if sink.closes_gate { value.bit_rows(chunk) } else { 0..0 });
            Some(InputGradient {
                values: loan.write(&self.numbers, value.gradient_rows(place)),
                sink: GradientSink { gate, accumulate: sink.accumulate },
                channels,
            })
        };
        let (d_output, gate) = self.gradient_of_output(&loan, step, place);
        let mut io = Backward {
            chunk,
            inputs: self.kept_inputs(&loan, step, place),
            output: loan.read(&self.numbers, if keeps_output { output.rows(place) } else { 0..0 }),
            d_output,
            d_inputs: step.inputs.iter().zip(sinks).map(d_input).collect(),
            weights: self.weights(step),
            gradients: step.weights.iter().map(gradient).collect(),
            accumulate,
            kept: loan.read(&self.kept, step.kept_rows(chunk)),
            scratch: loan.write(&self.numbers, place.own(&step.scratch.1)),
            mode: self.mode,
            threads,
        };
        loan.seal();
        close_gate(io.d_output, gate, output.channels, threads.count());
        step.operator.backward(&mut io).map_err(|e| e.of_layer(&step.layer))
    }
}
