//! Steps of a plan and the values between them, and where both have their memory.

use std::ops::Range;

use tinsmith_kernels::gate::gate_words;

use super::operator::{Operator, Pieces, Span};

/// A value that flows between steps.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// Elements of a sample.
    pub(super) len: usize,
    /// Size of the last axis, as its producer has it.
    pub(super) channels: usize,
    pub(super) range: Range<usize>,
    /// Where it lies in the backward pass, if it is computed anew there; empty if not.
    pub(super) repeated: Range<usize>,
    /// Empty where nothing asks for its gradient.
    pub(super) gradient: Range<usize>,
    /// Where the bits of its gate lie; empty for a gate that is always open.
    pub(super) bits: Range<usize>,
    /// Whether the step before its producer's backward pass has to close the gate, because no consumer does.
    pub(super) closes_itself: bool,
    /// Whether its buffers hold one part of a batch at a time: its own, that of what is computed anew, that of its gradient.
    pub(super) is_part: [bool; 3],
}

impl Value {
    pub(super) fn rows(&self, at: Place) -> Range<usize> {
        at.rows(self.range.start, self.len, self.is_part[0])
    }

    /// As the backward pass finds it.
    pub(super) fn kept_rows(&self, at: Place) -> Range<usize> {
        if self.repeated.is_empty() {
            return self.rows(at);
        }
        at.rows(self.repeated.start, self.len, self.is_part[1])
    }

    pub(super) fn gradient_rows(&self, at: Place) -> Range<usize> {
        at.rows(self.gradient.start, self.len, self.is_part[2])
    }

    pub(super) fn bit_rows(&self, span: Span) -> Range<usize> {
        if self.bits.is_empty() {
            return self.bits.clone();
        }
        let words = |rows: usize| gate_words(rows * self.len / self.channels.max(1), self.channels);
        self.bits.start + words(span.first)..self.bits.start + words(span.first + span.rows)
    }
}

/// Samples that are passed over, and where the buffers of parts lie that the thread has for its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) span: Span,
    /// How far behind those of the first thread.
    pub(super) shift: usize,
}

impl Place {
    /// All samples, by the first thread.
    pub(super) const fn whole(rows: usize) -> Self {
        Self { span: Span::whole(rows), shift: 0 }
    }

    const fn rows(self, start: usize, len: usize, is_part: bool) -> Range<usize> {
        let start = start + if is_part { self.shift } else { self.span.first * len };
        start..start + self.span.rows * len
    }

    /// Memory of the thread's own.
    pub(super) const fn own(self, range: &Range<usize>) -> Range<usize> {
        range.start + self.shift..range.end + self.shift
    }
}

/// How a step gives a gradient to an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sink {
    pub(super) accumulate: bool,
    pub(super) closes_gate: bool,
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) layer: String,
    pub(super) operator: Box<dyn Operator>,
    /// Values that it reads, each with the size of its last axis as this step sees it.
    pub(super) inputs: Pieces<(usize, usize)>,
    pub(super) output: usize,
    pub(super) weights: Pieces<usize>,
    pub(super) state: Pieces<usize>,
    pub(super) scratch: (Range<usize>, Range<usize>),
    /// Where its sums lie, share by share.
    pub(super) sums: Range<usize>,
    /// Where it keeps bytes for the backward pass.
    pub(super) kept: Range<usize>,
    /// None where it has no backward pass.
    pub(super) sinks: Option<Pieces<Option<Sink>>>,
}

impl Step {
    /// Where it keeps bytes of these samples.
    pub(super) fn kept_rows(&self, span: Span) -> Range<usize> {
        let sample = self.operator.kept();
        let start = self.kept.start + span.first * sample;
        if self.kept.is_empty() { 0..0 } else { start..start + span.rows * sample }
    }

    /// Where its sums over a share of a batch lie.
    pub(super) fn sums_of(&self, span: Span) -> Range<usize> {
        let len = self.operator.sums();
        let start = self.sums.start + span.share * len;
        start..start + len
    }
}
