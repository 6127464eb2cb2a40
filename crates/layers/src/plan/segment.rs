//! Which steps pass over a batch together, part by part, so that what one writes is still in the cache when the next
//! reads it.

use std::collections::BTreeSet;
use std::ops::Range;

use super::PlanOptions;
use super::compile::{Step, Value};
use super::operator::Passing;

/// Bytes of values and gradients that a part of a segment should touch at most. Three quarters of the second-level cache of
/// a core (2 MiB on today's servers): half of that is as fast on one thread, but keeps two less busy.
const PART: usize = 3 << 19;

/// Parameters from which a step takes the whole batch at once: each part would read them anew.
const HEAVY: usize = 1 << 16;

/// Samples that a part has a multiple of: two or four threads share them evenly, and fewer would be mostly overhead.
const EVEN: usize = 4;

/// Steps that pass over a batch together: each part of it goes through all of them before the next part does.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// In the order in which they run.
    pub(super) steps: Vec<usize>,
    /// Samples of a part.
    pub(super) rows: usize,
    /// The step that looks at each part after all others, since it comes next and has to see all parts first.
    pub(super) gathers: Option<usize>,
    is_whole: bool,
}

impl Segment {
    const fn of(steps: Vec<usize>) -> Self {
        Self { steps, rows: 0, gathers: None, is_whole: false }
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
    pub(super) fn new(steps: &[Step], values: &[Value], weights: &[usize], options: &PlanOptions) -> Self {
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
        for segment in &mut forward {
            let touched = segment.steps.iter().flat_map(|&s| {
                let step = &steps[s];
                step.inputs.iter().map(|&(v, _)| (v, false)).chain([(step.output, false)])
            });
            segment.rows = rows_of(segment, &touched.collect(), values, options);
        }
        for segment in &mut backward {
            let touched = segment.steps.iter().flat_map(|&s| {
                let step = &steps[s];
                let kept = step.inputs.iter().filter(|_| step.operator.keeps_inputs());
                let sinks = step.sinks.iter().flatten().zip(&step.inputs).filter(|(sink, _)| sink.is_some());
                let gradients = sinks.map(|(_, &(v, _))| (v, true)).chain([(step.output, true)]);
                kept.map(|&(v, _)| (v, false)).chain(gradients)
            });
            segment.rows = rows_of(segment, &touched.collect(), values, options);
        }
        Self { forward, backward }
    }
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

/// Samples of a part, for parts as even as can be.
fn rows_of(
    segment: &Segment,
    touched: &BTreeSet<(usize, bool)>,
    values: &[Value],
    options: &PlanOptions,
) -> usize {
    let rows = options.rows.max(1);
    if segment.is_whole {
        return rows;
    }
    let sample: usize = touched.iter().map(|&(v, _)| values[v].len * size_of::<f32>()).sum();
    if let Some(given) = options.part_rows {
        return given.clamp(1, rows);
    }
    let most = (PART / sample.max(1)).max(EVEN);
    let even = rows.div_ceil(rows.div_ceil(most));
    // Threads that share a part share it evenly.
    even.next_multiple_of(EVEN).min(rows)
}

/// When what happens, for the layout of memory: each step at its own time.
#[derive(Debug)]
pub(super) struct Times {
    /// Of each step's forward pass, and of its look at the parts before it.
    pub(super) forward: Vec<Moment>,
    pub(super) gather: Vec<Option<Moment>>,
    pub(super) backward: Vec<Option<Moment>>,
    pub(super) gather_backward: Vec<Option<Moment>>,
    pub(super) loss: usize,
    pub(super) end: usize,
    /// From the beginning to the end of each segment.
    spans: Vec<Range<usize>>,
    /// Samples of a part of each segment.
    rows: Vec<usize>,
}

/// A time within a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: usize,
    pub(super) segment: usize,
}

impl Times {
    pub(super) fn new(segments: &Segments, steps: usize) -> Self {
        let mut times = Self {
            forward: vec![Moment { at: 0, segment: 0 }; steps],
            gather: vec![None; steps],
            backward: vec![None; steps],
            gather_backward: vec![None; steps],
            loss: 0,
            end: 0,
            spans: Vec::new(),
            rows: Vec::new(),
        };
        // The inputs are written at time 0.
        let mut at = 1;
        for segment in &segments.forward {
            let (number, begin) = (times.spans.len(), at);
            for &s in &segment.steps {
                times.forward[s] = Moment { at, segment: number };
                at += 1;
            }
            if let Some(s) = segment.gathers {
                times.gather[s] = Some(Moment { at, segment: number });
                at += 1;
            }
            times.spans.push(begin..at);
            times.rows.push(segment.rows);
        }
        times.loss = at;
        at += 1;
        for segment in &segments.backward {
            let (number, begin) = (times.spans.len(), at);
            for &s in &segment.steps {
                times.backward[s] = Some(Moment { at, segment: number });
                at += 1;
            }
            if let Some(s) = segment.gathers {
                times.gather_backward[s] = Some(Moment { at, segment: number });
                at += 1;
            }
            times.spans.push(begin..at);
            times.rows.push(segment.rows);
        }
        times.end = at;
        times
    }

    pub(super) fn rows_at(&self, moment: Moment) -> usize {
        self.rows[moment.segment]
    }
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

    /// First and last time, samples that it holds, and whether these are those of a part; None where it is never used.
    /// What is used in one segment only needs to hold one part; anything else is in use over whole segments.
    pub(super) fn life(&self, times: &Times, rows: usize) -> Option<(usize, usize, usize, bool)> {
        let [first, last] = self.ends?;
        let in_parts = |segment: Option<usize>| segment.filter(|&s| times.rows[s] < rows);
        if let Some(segment) = in_parts(first.1).filter(|_| !self.crosses) {
            return Some((first.0, last.0, times.rows[segment], true));
        }
        let first = in_parts(first.1).map_or(first.0, |s| times.spans[s].start);
        let last = in_parts(last.1).map_or(last.0, |s| times.spans[s].end - 1);
        Some((first, last, rows, false))
    }
}
