//! What threads do in a pass of a plan: each takes its shares of the batch through a segment, part by part, step by step.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, PoisonError};

use tinsmith_kernels::Threads;
use tinsmith_kernels::arena::{Ledger, Lender, Loan};
use tinsmith_kernels::epilogue::{GradientSink, close_gate};

use super::Plan;
use super::blocks::Block;
use super::operator::{Backward, Forward, Gather, InputGradient, Pieces, Span};
use super::segment::{MOST_SHARES, Segment, Segments};
use super::step::{Place, Sink, Step, Value};
use crate::error::Result;
use crate::mode::Mode;

impl Plan {
    /// What threads see of the plan while they pass over one of its segments.
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

/// A pass over a batch, as all its threads see it.
pub(super) struct Pass<'a> {
    values: &'a [Value],
    steps: &'a [Step],
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
    /// Threads that have memory of their own, and how much.
    slots: usize,
    own: usize,
    rows: usize,
    mode: Mode,
}

/// What is done with a part of a batch, whether it is not the first of its share, and on how many threads.
type Visit<'a> = &'a (dyn Fn(Place, bool, Threads) -> Result<()> + Sync);

impl Pass<'_> {
    /// Visits every part of the batch: those of each share one after the other, the shares side by side on threads that
    /// each have their own, and who is done helps out. Odd segments go backwards, as what was visited last is in the cache.
    pub(super) fn over(&self, segment: &Segment, number: usize, visit: Visit<'_>) -> Result<()> {
        let (rows, goes_back) = (segment.share(self.rows), number % 2 == 1);
        let shares = segment.shares_of(self.rows);
        let pass_share = |share: usize, slot: usize, threads: Threads| {
            let (begin, end) = (share * rows, ((share + 1) * rows).min(self.rows));
            let parts = (end - begin).div_ceil(segment.rows);
            (0..parts).try_for_each(|turn| {
                let part = if goes_back { parts - 1 - turn } else { turn };
                let first = begin + part * segment.rows;
                let span = Span { first, rows: segment.rows.min(end - first), batch: self.rows, share };
                visit(Place { span, shift: slot * self.own }, turn > 0, threads)
            })
        };
        if segment.shares == 1 {
            return pass_share(0, 0, self.threads);
        }
        let threads = self.threads.for_work(segment.work * self.rows);
        let slots = threads.count().min(self.slots).min(shares);
        let taken: [AtomicBool; MOST_SHARES] = Default::default();
        let fault = Mutex::new(None);
        threads.each(slots, |slot| {
            let own = slot * shares / slots..(slot + 1) * shares / slots;
            for turn in 0..shares {
                let share = if !goes_back {
                    (own.start + turn) % shares
                } else {
                    (own.end + 2 * shares - 1 - turn) % shares
                };
                if taken[share].swap(true, Relaxed) {
                    continue;
                }
                if let Err(e) = pass_share(share, slot, Threads::ONE) {
                    fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                }
            }
        });
        fault.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn weights(&self, step: &Step) -> Pieces<&[f32]> {
        let of = |&b: &usize| match &self.list[b].quantizer {
            Some(quantizer) => &self.used[quantizer.range.clone()],
            None => &self.params[self.list[b].range.clone()],
        };
        step.weights.iter().map(of).collect()
    }

    pub(super) fn forward(
        &self,
        s: usize,
        place: Place,
        threads: Threads,
        non_finite: Option<&AtomicUsize>,
    ) -> Result<()> {
        let step = &self.steps[s];
        let (output, span, trains) = (&self.values[step.output], place.span, self.mode.is_training());
        let loan = self.ledger.open();
        let mut io = Forward {
            span,
            inputs: step
                .inputs
                .iter()
                .map(|&(v, _)| loan.read(&self.numbers, self.values[v].rows(place)))
                .collect(),
            output: loan.write(&self.numbers, output.rows(place)),
            bits: loan.write(&self.bits, if trains { output.bit_rows(span) } else { 0..0 }),
            weights: self.weights(step),
            state: self.state(step),
            kept: loan.write(&self.kept, if trains { step.kept_rows(span) } else { 0..0 }),
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

    pub(super) fn gather(&self, s: usize, place: Place, threads: Threads) {
        let step = &self.steps[s];
        let loan = self.ledger.open();
        let mut part = Gather {
            span: place.span,
            inputs: step
                .inputs
                .iter()
                .map(|&(v, _)| loan.read(&self.numbers, self.values[v].rows(place)))
                .collect(),
            d_output: &[],
            sums: loan.write(&self.sums, step.sums_of(place.span)),
            threads,
        };
        loan.seal();
        step.operator.gather(&mut part);
    }

    /// The values that the backward pass reads.
    fn kept_inputs<'p>(&'p self, loan: &'p Loan<'_>, step: &Step, place: Place) -> Pieces<&'p [f32]> {
        let keeps = step.operator.keeps_inputs();
        let rows = |v: usize| if keeps { self.values[v].kept_rows(place) } else { 0..0 };
        step.inputs.iter().map(|&(v, _)| loan.read(&self.numbers, rows(v))).collect()
    }

    /// The gradient of a step's output, and the gate to close on it where nobody has done so.
    fn gradient_of_output<'p>(
        &'p self,
        loan: &'p Loan<'_>,
        step: &Step,
        place: Place,
    ) -> (&'p mut [f32], &'p [u16]) {
        let value = &self.values[step.output];
        let gate = if value.closes_itself { value.bit_rows(place.span) } else { 0..0 };
        (loan.write(&self.numbers, value.gradient_rows(place)), loan.read(&self.bits, gate))
    }

    pub(super) fn gather_backward(&self, s: usize, place: Place, threads: Threads) {
        let step = &self.steps[s];
        let loan = self.ledger.open();
        let (d_output, gate) = self.gradient_of_output(&loan, step, place);
        let inputs = self.kept_inputs(&loan, step, place);
        let sums = loan.write(&self.sums, step.sums_of(place.span));
        loan.seal();
        close_gate(d_output, gate, self.values[step.output].channels, threads.count());
        let mut part = Gather { span: place.span, inputs, d_output, sums, threads };
        step.operator.gather_backward(&mut part);
    }

    /// Computes anew what step `s` is the first to need.
    pub(super) fn repeat_for(
        &self,
        s: usize,
        segment: &Segment,
        place: Place,
        threads: Threads,
    ) -> Result<()> {
        for &(repeated, _) in segment.repeats.iter().filter(|&&(_, reader)| reader == s) {
            let step = &self.steps[repeated];
            let loan = self.ledger.open();
            let mut io = Forward {
                span: place.span,
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

    fn state(&self, step: &Step) -> Pieces<&[f32]> {
        step.state.iter().map(|&b| &self.params[self.list[b].range.clone()]).collect()
    }

    /// The backward pass of step `s`, without the gradient of the block `left_out`.
    pub(super) fn backward(
        &self,
        s: usize,
        place: Place,
        (accumulate, left_out): (bool, Option<usize>),
        threads: Threads,
    ) -> Result<()> {
        let step = &self.steps[s];
        let Some(sinks) = &step.sinks else { return Ok(()) };
        let (output, span) = (&self.values[step.output], place.span);
        let loan = self.ledger.open();
        let keeps_output = step.operator.keeps_output();
        let gradient = |&b: &usize| {
            let block = &self.list[b];
            let is_wanted = block.takes_updates() && left_out != Some(b);
            loan.write(&self.gradients, if is_wanted { block.gradient(span.share) } else { 0..0 })
        };
        let d_input = |(&(v, channels), sink): (&(usize, usize), &Option<Sink>)| {
            let (sink, value) = ((*sink)?, &self.values[v]);
            let gate = loan.read(&self.bits, if sink.closes_gate { value.bit_rows(span) } else { 0..0 });
            Some(InputGradient {
                values: loan.write(&self.numbers, value.gradient_rows(place)),
                sink: GradientSink { gate, accumulate: sink.accumulate },
                channels,
            })
        };
        let (d_output, gate) = self.gradient_of_output(&loan, step, place);
        let mut io = Backward {
            span,
            inputs: self.kept_inputs(&loan, step, place),
            output: loan.read(&self.numbers, if keeps_output { output.rows(place) } else { 0..0 }),
            d_output,
            d_inputs: step.inputs.iter().zip(sinks).map(d_input).collect(),
            weights: self.weights(step),
            gradients: step.weights.iter().map(gradient).collect(),
            accumulate,
            kept: loan.read(&self.kept, step.kept_rows(span)),
            scratch: loan.write(&self.numbers, place.own(&step.scratch.1)),
            mode: self.mode,
            threads,
        };
        loan.seal();
        close_gate(io.d_output, gate, output.channels, threads.count());
        step.operator.backward(&mut io).map_err(|e| e.of_layer(&step.layer))
    }
}
