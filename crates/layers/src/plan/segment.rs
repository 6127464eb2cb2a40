//! Segments: runs of steps that process a batch together, chunk by chunk, so that each step reads its inputs from the
//! cache.

use std::collections::BTreeSet;
use std::ops::Range;

use super::PlanOptions;
use super::operator::Traversal;
use super::step::{PlanStep, PlanTensor};

/// Limit in bytes of the values and gradients that a chunk touches: three quarters of a core's second-level cache (2
/// MiB on current servers).
const CHUNK_BYTES: usize = 3 << 19;

/// Number of parameters above which a step takes the whole batch at once, because every chunk would read them again.
const HEAVY_PARAMETERS: usize = 1 << 16;

/// Chunk sizes are multiples of this if threads split a chunk; fewer rows per thread would be mostly overhead.
const CHUNK_MULTIPLE: usize = 4;

/// Maximum number of shards, and so of threads that process rows of their own.
pub(super) const MAX_SHARDS: usize = 8;

/// Minimum number of uses of each parameter per shard. Every shard has gradients of its own, and reducing them should
/// cost little compared with computing them.
const MIN_USES_PER_SHARD: usize = 512;

/// Cost of moving one value, in multiplications.
const MOVE_COST: usize = 16;

/// Steps that process a batch together: each chunk passes through all of them before the next chunk starts.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// Step indices in execution order.
    pub(super) steps: Vec<usize>,
    /// Number of shards. It depends on the network and the largest batch only, so results do not depend on threads.
    pub(super) shards: usize,
    /// Rows of a chunk.
    pub(super) rows: usize,
    /// Step of the next segment that gathers statistics over all chunks of this one.
    pub(super) gathers: Option<usize>,
    /// Backward pass: steps whose outputs are recomputed, each with the step that needs it first.
    pub(super) repeats: Vec<(usize, usize)>,
    /// Cost of a row, in multiplications.
    pub(super) work: usize,
    is_whole: bool,
}

impl Segment {
    const fn of(steps: Vec<usize>) -> Self {
        Self { steps, shards: 1, rows: 0, gathers: None, repeats: Vec::new(), work: 0, is_whole: false }
    }

    /// Rows of a shard for a batch of `rows` rows; the last shard can have fewer.
    pub(super) const fn shard_rows(&self, rows: usize) -> usize {
        rows.div_ceil(self.shards)
    }

    /// The only step of a whole-batch segment, whose gradient can be computed in tiles.
    pub(super) fn alone(&self) -> Option<usize> {
        self.steps.first().copied().filter(|_| self.is_whole)
    }

    /// Number of non-empty shards for a batch of `rows` rows.
    pub(super) const fn shards_of(&self, rows: usize) -> usize {
        rows.div_ceil(self.shard_rows(rows))
    }
}

/// Segments of the forward pass and of the backward pass.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) forward: Vec<Segment>,
    pub(super) backward: Vec<Segment>,
}

impl Segments {
    /// Cuts the steps into segments according to the options; `weights` is the number of parameters of each step.
    pub(super) fn new(
        steps: &[PlanStep],
        values: &[PlanTensor],
        weights: &[usize],
        outputs: &[usize],
        options: &PlanOptions,
    ) -> Self {
        let traversal = |s: usize| {
            let traversal = steps[s].operator.traversal();
            match traversal {
                // Inference needs no statistics over other rows.
                Traversal::GatheredChunks if !options.training => Traversal::Chunks,
                Traversal::Chunks if weights[s] > HEAVY_PARAMETERS => Traversal::Whole,
                _ => traversal,
            }
        };
        let mut forward = cut((0..steps.len()).map(|s| (s, traversal(s))));
        let back = (0..steps.len()).rev().filter(|&s| steps[s].sinks.is_some());
        let mut backward = cut(back.map(|s| (s, traversal(s))));
        for r in
            (0..steps.len()).filter(|&r| steps[r].operator.repeats() && !outputs.contains(&steps[r].output))
        {
            if let Some((segment, reader)) = repeated(steps, &backward, r) {
                backward[segment].repeats.push((r, reader));
            }
        }
        let sizes = Sizes { steps, values, weights, options };
        for segment in &mut forward {
            let touched = segment.steps.iter().flat_map(|&s| {
                let step = &steps[s];
                step.inputs.iter().map(|&(v, _)| (v, false)).chain([(step.output, false)])
            });
            let touched = touched.collect();
            sizes.set(segment, &touched);
        }
        for segment in &mut backward {
            let touched = segment.steps.iter().flat_map(|&s| {
                let step = &steps[s];
                let kept = step.inputs.iter().filter(|_| step.operator.keeps_inputs());
                let sinks = step.sinks.iter().flatten().zip(&step.inputs).filter(|(sink, _)| sink.is_some());
                let gradients = sinks.map(|(_, &(v, _))| (v, true)).chain([(step.output, true)]);
                kept.map(|&(v, _)| (v, false)).chain(gradients)
            });
            let touched = touched.collect();
            sizes.set(segment, &touched);
        }
        Self { forward, backward }
    }

    /// Maximum number of shards of any segment.
    pub(super) fn max_shards(&self) -> usize {
        self.forward.iter().chain(&self.backward).map(|segment| segment.shards).max().unwrap_or(1)
    }
}

/// Returns the backward segment that alone needs the output of step `r`, and the first step there that reads it, if
/// the output can be recomputed.
fn repeated(steps: &[PlanStep], backward: &[Segment], r: usize) -> Option<(usize, usize)> {
    let PlanStep { operator, output, .. } = &steps[r];
    // Its own backward pass, which comes later, keeps its inputs alive until then.
    let is_possible = steps[r].sinks.is_some() && operator.keeps_inputs() && !operator.keeps_output();
    let reads = |s: usize| {
        steps[s].operator.keeps_inputs() && steps[s].inputs.iter().any(|&(value, _)| value == *output)
    };
    let mut found = backward.iter().enumerate().filter_map(|(number, segment)| {
        Some((number, segment.steps.iter().copied().chain(segment.gathers).find(|&s| reads(s))?))
    });
    let (number, reader) = found.next().filter(|_| is_possible)?;
    (found.next().is_none() && !backward[number].is_whole).then_some((number, reader))
}

fn cut(steps: impl Iterator<Item = (usize, Traversal)>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut open: Option<Segment> = None;
    for (s, traversal) in steps {
        match traversal {
            Traversal::Chunks => open.get_or_insert_with(|| Segment::of(Vec::new())).steps.push(s),
            Traversal::Whole => {
                segments.extend(open.take());
                segments.push(Segment { is_whole: true, ..Segment::of(vec![s]) });
            }
            Traversal::GatheredChunks => {
                let before = open.take().or_else(|| segments.pop_if(|last| last.gathers.is_none()));
                segments
                    .push(Segment { gathers: Some(s), ..before.unwrap_or_else(|| Segment::of(Vec::new())) });
                open = Some(Segment::of(vec![s]));
            }
        }
    }
    segments.extend(open);
    segments
}

/// Inputs of the shard and chunk size choice.
struct Sizes<'a> {
    steps: &'a [PlanStep],
    values: &'a [PlanTensor],
    weights: &'a [usize],
    options: &'a PlanOptions,
}

impl Sizes<'_> {
    fn set(&self, segment: &mut Segment, touched: &BTreeSet<(usize, bool)>) {
        let rows = self.options.rows.max(1);
        let (mut params, mut products, mut moved) = (0, 0, 0);
        for &s in &segment.steps {
            let output = &self.values[self.steps[s].output];
            params += self.weights[s];
            // A kernel is used once at each position of the output.
            products += self.weights[s] * (output.len / output.channels.max(1));
            moved += output.len * MOVE_COST;
        }
        segment.work = products + moved;
        segment.rows = rows;
        if segment.is_whole {
            return;
        }
        // The largest power of two with enough uses of each parameter per shard; parameters without products (none at
        // all, for example) do not limit it.
        let uses = (rows * products).checked_div(params).unwrap_or(usize::MAX);
        let most_shards = MAX_SHARDS.min(rows);
        segment.shards = match self.options.shards {
            Some(given) => given.clamp(1, most_shards),
            None => (1..=most_shards)
                .rev()
                .find(|&n| n.is_power_of_two() && uses / n >= MIN_USES_PER_SHARD)
                .unwrap_or(1),
        };
        let shard = segment.shard_rows(rows);
        let sample: usize = touched.iter().map(|&(v, _)| self.values[v].len * size_of::<f32>()).sum();
        segment.rows = match self.options.chunk_rows {
            Some(given) => given.clamp(1, shard),
            None => {
                let even = if segment.shards == 1 { CHUNK_MULTIPLE } else { 1 };
                // Chunks of equal size rather than full ones and a small rest.
                let most = (CHUNK_BYTES / sample.max(1)).max(even);
                let rows = shard.div_ceil(shard.div_ceil(most));
                rows.next_multiple_of(even).min(shard)
            }
        };
    }
}

/// Execution times for the memory layout; every step has a time of its own.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) forward: StepTimes,
    pub(super) backward: StepTimes,
    pub(super) loss: usize,
    pub(super) end: usize,
    segments: Vec<SegmentTimes>,
}

/// Times in one direction: of each step's pass, and of its gathering.
#[derive(Debug)]
pub(super) struct StepTimes {
    pub(super) pass: Vec<Option<Moment>>,
    pub(super) gather: Vec<Option<Moment>>,
}

/// A segment's time range, its chunk size, and a flag for parallel shards.
#[derive(Debug)]
struct SegmentTimes {
    times: Range<usize>,
    rows: usize,
    is_shared: bool,
}

/// A time within a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: usize,
    pub(super) segment: usize,
}

impl Times {
    pub(super) fn new(segments: &Segments, steps: usize) -> Self {
        let mut placed: Vec<SegmentTimes> = Vec::new();
        // Inputs are written at time 0.
        let mut at = 1;
        let mut walk = |list: &[Segment], at: &mut usize| {
            let mut times = StepTimes { pass: vec![None; steps], gather: vec![None; steps] };
            for Segment { steps, gathers, rows, shards, .. } in list {
                let (number, begin) = (placed.len(), *at);
                let mut next = || {
                    *at += 1;
                    Some(Moment { at: *at - 1, segment: number })
                };
                steps.iter().for_each(|&s| times.pass[s] = next());
                gathers.iter().for_each(|&s| times.gather[s] = next());
                placed.push(SegmentTimes { times: begin..*at, rows: *rows, is_shared: *shards > 1 });
            }
            times
        };
        let forward = walk(&segments.forward, &mut at);
        let loss = at;
        at += 1;
        let backward = walk(&segments.backward, &mut at);
        Self { forward, backward, loss, end: at, segments: placed }
    }

    pub(super) fn rows_at(&self, moment: Moment) -> usize {
        self.segments[moment.segment].rows
    }

    /// True if several threads process shards of their own at this time.
    pub(super) fn is_shared(&self, moment: Moment) -> bool {
        self.segments[moment.segment].is_shared
    }
}

/// Lifetime and size of a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct BufferLifetime {
    pub(super) first: usize,
    pub(super) last: usize,
    /// Rows that it holds.
    pub(super) rows: usize,
    /// True if these are the rows of one chunk.
    pub(super) is_chunk: bool,
    /// True if every thread needs a copy of its own.
    pub(super) is_own: bool,
}

/// Time range in which a buffer is used.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UsedTimes {
    /// First and last time, each with its segment, if any.
    ends: Option<[(usize, Option<usize>); 2]>,
    crosses: bool,
}

impl UsedTimes {
    pub(super) fn touch(&mut self, moment: Moment) {
        self.put(moment.at, Some(moment.segment));
    }

    /// Use by the caller, outside of all segments.
    pub(super) fn touch_at(&mut self, at: usize) {
        self.put(at, None);
    }

    fn put(&mut self, at: usize, segment: Option<usize>) {
        let new = (at, segment);
        let [first, last] = self.ends.unwrap_or([new; 2]);
        self.crosses |= segment.is_none() || first.1 != segment;
        self.ends = Some([if at < first.0 { new } else { first }, if at > last.0 { new } else { last }]);
    }

    /// None if it is never used. A buffer used within one segment holds one chunk; any other is live over whole
    /// segments.
    pub(super) fn life(&self, times: &Times, rows: usize) -> Option<BufferLifetime> {
        let [first, last] = self.ends?;
        let in_chunks =
            |segment: Option<usize>| segment.map(|s| &times.segments[s]).filter(|s| s.rows < rows);
        if let Some(times) = in_chunks(first.1).filter(|_| !self.crosses) {
            let (first, last) = (first.0, last.0);
            return Some(BufferLifetime {
                first,
                last,
                rows: times.rows,
                is_chunk: true,
                is_own: times.is_shared,
            });
        }
        // Chunks of a segment are processed in turn, so a buffer that outlives one chunk is live from the segment's
        // first step (of the first chunk) to its last step (of the last chunk).
        let first = in_chunks(first.1).map_or(first.0, |s| s.times.start);
        let last = in_chunks(last.1).map_or(last.0, |s| s.times.end - 1);
        Some(BufferLifetime { first, last, rows, is_chunk: false, is_own: false })
    }
}
