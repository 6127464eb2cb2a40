//! Which steps pass over a batch together, part by part, so that what one writes is still in the cache when the next
//! reads it.

use std::collections::BTreeSet;
use std::ops::Range;

use super::PlanOptions;
use super::operator::Passing;
use super::step::{Step, Value};

/// Bytes of values and gradients that a part of a segment should touch at most: three quarters of the second-level cache of
/// a core (2 MiB on today's servers).
const PART: usize = 3 << 19;

/// Parameters from which a step takes the whole batch at once: each part would read them anew.
const HEAVY: usize = 1 << 16;

/// Samples that a part has a multiple of where threads share it: fewer would be mostly overhead.
const EVEN: usize = 4;

/// The most shares of a batch: as many threads can pass over their own samples.
pub(super) const MOST_SHARES: usize = 8;

/// How often a share has to use each parameter at least: every share computes gradients of its own, and adding them up should
/// take little of the time that it takes to compute them.
const USES: usize = 512;

/// What moving one value costs, in multiplications.
const VALUE: usize = 16;

/// Steps that pass over a batch together: each part of it goes through all of them before the next part does.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// In the order in which they run.
    pub(super) steps: Vec<usize>,
    /// Shares of a batch, which threads pass over side by side. They depend on the network and the largest batch alone, so
    /// that results do not depend on threads.
    pub(super) shares: usize,
    /// Samples of a part of a share.
    pub(super) rows: usize,
    /// The step that looks at each part after all others, since it comes next and has to see all parts first.
    pub(super) gathers: Option<usize>,
    /// In the backward pass steps whose outputs are computed anew, each with the step before which that happens, the first
    /// to need it.
    pub(super) repeats: Vec<(usize, usize)>,
    /// Multiplications, or what takes as long, of a sample.
    pub(super) work: usize,
    is_whole: bool,
}

impl Segment {
    const fn of(steps: Vec<usize>) -> Self {
        Self { steps, shares: 1, rows: 0, gathers: None, repeats: Vec::new(), work: 0, is_whole: false }
    }

    /// Samples of a share of a batch of `rows`; the last may have fewer.
    pub(super) const fn share(&self, rows: usize) -> usize {
        rows.div_ceil(self.shares)
    }

    /// The step whose gradients may be had in pieces: one that takes all samples at once, alone.
    pub(super) fn alone(&self) -> Option<usize> {
        self.steps.first().copied().filter(|_| self.is_whole)
    }

    /// Shares of such a batch that have any samples.
    pub(super) const fn shares_of(&self, rows: usize) -> usize {
        rows.div_ceil(self.share(rows))
    }
}

/// The segments of a forward pass, and those of a backward pass.
#[derive(Debug, Default)]
pub(super) struct Segments {
    pub(super) forward: Vec<Segment>,
    pub(super) backward: Vec<Segment>,
}

impl Segments {
    /// As the options say; `weights` are the numbers of parameters of each step.
    pub(super) fn new(
        steps: &[Step],
        values: &[Value],
        weights: &[usize],
        outputs: &[usize],
        options: &PlanOptions,
    ) -> Self {
        let passing = |s: usize| {
            let passing = steps[s].operator.passing();
            match passing {
                // Inference needs to know nothing of other samples.
                Passing::Gathered if !options.training => Passing::Parts,
                Passing::Parts if weights[s] > HEAVY => Passing::Whole,
                _ => passing,
            }
        };
        let mut forward = cut((0..steps.len()).map(|s| (s, passing(s))));
        let back = (0..steps.len()).rev().filter(|&s| steps[s].sinks.is_some());
        let mut backward = cut(back.map(|s| (s, passing(s))));
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

    /// Shares that are passed over side by side at most.
    pub(super) fn most_shares(&self) -> usize {
        self.forward.iter().chain(&self.backward).map(|segment| segment.shares).max().unwrap_or(1)
    }
}

/// The segment of the backward pass that alone needs the output of step `r`, and the first step there that does, where it may
/// be computed anew.
fn repeated(steps: &[Step], backward: &[Segment], r: usize) -> Option<(usize, usize)> {
    let Step { operator, output, .. } = &steps[r];
    // Its own backward pass, which comes later, keeps its inputs until then.
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

fn cut(steps: impl Iterator<Item = (usize, Passing)>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut open: Option<Segment> = None;
    for (s, passing) in steps {
        match passing {
            Passing::Parts => open.get_or_insert_with(|| Segment::of(Vec::new())).steps.push(s),
            Passing::Whole => {
                segments.extend(open.take());
                segments.push(Segment { is_whole: true, ..Segment::of(vec![s]) });
            }
            Passing::Gathered => {
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

/// What the sizes of shares and parts depend on.
struct Sizes<'a> {
    steps: &'a [Step],
    values: &'a [Value],
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
            moved += output.len * VALUE;
        }
        segment.work = products + moved;
        segment.rows = rows;
        if segment.is_whole {
            return;
        }
        let uses = (rows * products).checked_div(params).unwrap_or(usize::MAX);
        segment.shares =
            (1..=MOST_SHARES.min(rows)).rev().find(|&n| n.is_power_of_two() && uses / n >= USES).unwrap_or(1);
        let share = segment.share(rows);
        let sample: usize = touched.iter().map(|&(v, _)| self.values[v].len * size_of::<f32>()).sum();
        segment.rows = match self.options.part_rows {
            Some(given) => given.clamp(1, share),
            None => {
                let even = if segment.shares == 1 { EVEN } else { 1 };
                let most = (PART / sample.max(1)).max(even);
                let rows = share.div_ceil(share.div_ceil(most));
                rows.next_multiple_of(even).min(share)
            }
        };
    }
}

/// When what happens, for the layout of memory: each step at its own time.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) forward: Steps,
    pub(super) backward: Steps,
    pub(super) loss: usize,
    pub(super) end: usize,
    spans: Vec<SpanOf>,
}

/// Times in one direction: of each step's pass, and of its look at the parts before it.
#[derive(Debug)]
pub(super) struct Steps {
    pub(super) pass: Vec<Option<Moment>>,
    pub(super) gather: Vec<Option<Moment>>,
}

/// A segment: from its beginning to its end, the samples of a part, and whether threads pass over it side by side.
#[derive(Debug)]
struct SpanOf {
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
        let mut spans: Vec<SpanOf> = Vec::new();
        // The inputs are written at time 0.
        let mut at = 1;
        let mut walk = |segments: &[Segment], at: &mut usize| {
            let mut times = Steps { pass: vec![None; steps], gather: vec![None; steps] };
            for Segment { steps, gathers, rows, shares, .. } in segments {
                let (number, begin) = (spans.len(), *at);
                let mut next = || {
                    *at += 1;
                    Some(Moment { at: *at - 1, segment: number })
                };
                steps.iter().for_each(|&s| times.pass[s] = next());
                gathers.iter().for_each(|&s| times.gather[s] = next());
                spans.push(SpanOf { times: begin..*at, rows: *rows, is_shared: *shares > 1 });
            }
            times
        };
        let forward = walk(&segments.forward, &mut at);
        let loss = at;
        at += 1;
        let backward = walk(&segments.backward, &mut at);
        Self { forward, backward, loss, end: at, spans }
    }

    pub(super) fn rows_at(&self, moment: Moment) -> usize {
        self.spans[moment.segment].rows
    }

    /// Whether several threads pass over their own samples at this time.
    pub(super) fn is_shared(&self, moment: Moment) -> bool {
        self.spans[moment.segment].is_shared
    }
}

/// What a buffer has to hold, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) first: usize,
    pub(super) last: usize,
    /// Samples that it holds.
    pub(super) rows: usize,
    /// Whether these are those of a part.
    pub(super) is_part: bool,
    /// Whether every thread needs one of its own.
    pub(super) is_own: bool,
}

/// From when to when a buffer is in use.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Use {
    /// First and last time, each with the segment that it is in, if any.
    ends: Option<[(usize, Option<usize>); 2]>,
    crosses: bool,
}

impl Use {
    pub(super) fn touch(&mut self, moment: Moment) {
        self.put(moment.at, Some(moment.segment));
    }

    /// Outside of all segments: by the caller.
    pub(super) fn touch_at(&mut self, at: usize) {
        self.put(at, None);
    }

    fn put(&mut self, at: usize, segment: Option<usize>) {
        let new = (at, segment);
        let [first, last] = self.ends.unwrap_or([new; 2]);
        self.crosses |= segment.is_none() || first.1 != segment;
        self.ends = Some([if at < first.0 { new } else { first }, if at > last.0 { new } else { last }]);
    }

    /// None where it is never used. What is used in one segment only needs to hold one part; anything else is in use over
    /// whole segments.
    pub(super) fn life(&self, times: &Times, rows: usize) -> Option<Life> {
        let [first, last] = self.ends?;
        let in_parts = |segment: Option<usize>| segment.map(|s| &times.spans[s]).filter(|s| s.rows < rows);
        if let Some(span) = in_parts(first.1).filter(|_| !self.crosses) {
            let (first, last) = (first.0, last.0);
            return Some(Life { first, last, rows: span.rows, is_part: true, is_own: span.is_shared });
        }
        let first = in_parts(first.1).map_or(first.0, |s| s.times.start);
        let last = in_parts(last.1).map_or(last.0, |s| s.times.end - 1);
        Some(Life { first, last, rows, is_part: false, is_own: false })
    }
}
