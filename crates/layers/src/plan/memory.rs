//! Memory layout of a plan's steps and tensors.

use std::collections::BTreeSet;
use std::ops::Range;

use tinsmith_kernels::arena::LINE;
use tinsmith_kernels::gate::gate_words;

use super::placement::{Lifetime, place};
use super::segment::{BufferLifetime, Moment, Segments, Times, UsedTimes};
use super::step::{PlanStep, PlanTensor};
use super::{PlanEnds, PlanOptions};

/// Assigns ranges for gate bits. Returns the number of words.
pub(super) fn lay_out_bits(values: &mut [PlanTensor], rows: usize) -> usize {
    let mut at = 0;
    for value in values.iter_mut().filter(|v| !v.bits.is_empty()) {
        let words = gate_words(rows * value.len / value.channels.max(1), value.channels);
        value.bits = at..at + words;
        at += words.next_multiple_of(2 * LINE);
    }
    at
}

/// Assigns ranges for the bytes that steps save for the backward pass. Returns their number.
pub(super) fn lay_out_kept(steps: &mut [PlanStep], rows: usize) -> usize {
    let mut at = 0;
    for step in steps {
        step.kept = at..at + rows * step.operator.kept();
        at = step.kept.end.next_multiple_of(4 * LINE);
    }
    at
}

/// Assigns ranges for the sums that steps gather, one copy per shard. Returns their number.
pub(super) fn lay_out_sums(steps: &mut [PlanStep], segments: &Segments) -> usize {
    let mut at = 0;
    for segment in segments.forward.iter().chain(&segments.backward) {
        let Some(s) = segment.gathers else { continue };
        let len = segment.shards * steps[s].operator.sums();
        if steps[s].sums.len() < len {
            steps[s].sums = at..at + len;
            at = (at + len).next_multiple_of(LINE / 2);
        }
    }
    at
}

/// Assigns ranges for all values, gradients and scratch buffers. Time runs through the forward steps, the loss, and
/// the backward steps. Returns the size of the memory shared by all threads, and of that owned by each thread.
pub(super) fn lay_out(
    all: &mut [PlanTensor],
    steps: &mut [PlanStep],
    segments: &Segments,
    PlanEnds { inputs, outputs, .. }: &PlanEnds,
    options: &PlanOptions,
) -> (usize, usize) {
    let times = Times::new(segments, steps.len());
    let nothing = || vec![UsedTimes::default(); all.len()];
    let (mut values, mut repeated, mut gradients) = (nothing(), nothing(), nothing());
    let repeats = segments.backward.iter().flat_map(|segment| &segment.repeats);
    let is_repeated: BTreeSet<usize> = repeats.map(|&(r, _)| steps[r].output).collect();
    inputs.iter().for_each(|&v| values[v].touch_at(0));
    for &v in outputs {
        values[v].touch_at(times.end);
        gradients[v].touch_at(times.loss);
    }
    for (s, step) in steps.iter().enumerate() {
        times.forward.pass[s].into_iter().for_each(|time| values[step.output].touch(time));
        for time in [times.forward.pass[s], times.forward.gather[s]].into_iter().flatten() {
            step.inputs.iter().for_each(|&(v, _)| values[v].touch(time));
        }
        let Some(sinks) = &step.sinks else { continue };
        for time in [times.backward.pass[s], times.backward.gather[s]].into_iter().flatten() {
            gradients[step.output].touch(time);
            for &(v, _) in step.inputs.iter().filter(|_| step.operator.keeps_inputs()) {
                let kept = if is_repeated.contains(&v) { &mut repeated } else { &mut values };
                kept[v].touch(time);
            }
        }
        let Some(time) = times.backward.pass[s] else { continue };
        if step.operator.keeps_output() {
            values[step.output].touch(time);
        }
        for (&(v, _), _) in step.inputs.iter().zip(sinks).filter(|(_, sink)| sink.is_some()) {
            gradients[v].touch(time);
        }
    }
    if options.input_gradients {
        inputs.iter().for_each(|&v| gradients[v].touch_at(times.end));
    }
    let mut layout = BufferLayout::default();
    for (v, value) in all.iter_mut().enumerate() {
        let wanted = if value.gradient.is_empty() { 0 } else { value.len };
        let mut buffer = |used: &UsedTimes, len: usize| {
            let life = used.life(&times, options.rows.max(1));
            layout.add(life.map(|life| (life, life.rows * len)));
            life.is_some_and(|life| life.is_chunk)
        };
        value.is_chunk =
            [buffer(&values[v], value.len), buffer(&repeated[v], value.len), buffer(&gradients[v], wanted)];
    }
    for (s, step) in steps.iter().enumerate() {
        let mut scratch = |time: Option<Moment>, len: &dyn Fn((usize, usize)) -> usize| {
            layout.add(time.map(|time| {
                let (at, rows) = (time.at, times.rows_at(time));
                let is_own = times.is_shared(time);
                let life = BufferLifetime { first: at, last: at, rows, is_chunk: true, is_own };
                (life, len(step.operator.scratch(rows)))
            }));
        };
        scratch(times.forward.pass[s], &|both| both.0);
        scratch(times.backward.pass[s], &|both| both.1);
    }
    let (ranges, shared, own) = layout.place();
    let mut ranges = ranges.into_iter();
    let mut next =
        || ranges.next().expect("invariant: one range for each buffer, in the order they were added");
    for value in all {
        value.range = next();
        value.repeated = next();
        value.gradient = next();
    }
    for step in steps {
        step.scratch = (next(), next());
    }
    (shared, own)
}

/// Buffers in the memory shared by all threads, followed by those in the memory owned by each thread.
#[derive(Debug, Default)]
struct BufferLayout {
    buffers: Vec<(Lifetime, bool)>,
}

impl BufferLayout {
    /// Adds a buffer with its lifetime and length. None occupies no memory.
    fn add(&mut self, buffer: Option<(BufferLifetime, usize)>) {
        let nothing = (Lifetime { len: 0, first: 0, last: 0 }, false);
        self.buffers.push(
            buffer.map_or(nothing, |(l, len)| (Lifetime { len, first: l.first, last: l.last }, l.is_own)),
        );
    }

    /// Returns each buffer's range (for thread-owned buffers that of the first thread) and the sizes of both
    /// memories.
    fn place(&self) -> (Vec<Range<usize>>, usize, usize) {
        let of = |own: bool| -> Vec<Lifetime> {
            self.buffers.iter().filter(|(_, is_own)| *is_own == own).map(|(life, _)| *life).collect()
        };
        let ((shared, size), (own, own_size)) = (place(&of(false)), place(&of(true)));
        // Thread-owned memory follows the shared one, one copy per thread at a fixed distance, so that a thread finds
        // its buffers by adding one offset.
        let start = size.next_multiple_of(LINE);
        let (mut shared, mut own) = (shared.into_iter(), own.into_iter());
        let ranges = self.buffers.iter().map(|(_, is_own)| {
            if *is_own {
                let range = own.next().expect("invariant: one range for each thread-owned buffer");
                range.start + start..range.end + start
            } else {
                shared.next().expect("invariant: one range for each shared buffer")
            }
        });
        (ranges.collect(), start, own_size.next_multiple_of(LINE))
    }
}
