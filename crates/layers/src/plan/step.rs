//! Steps of a plan, the tensors between them, and the ranges of both in memory.

use std::ops::Range;

use tinsmith_kernels::gate::gate_words;

use super::operator::{Chunk, Operator, ShortList};

/// A tensor passed between steps.
#[derive(Debug, Clone)]
pub(super) struct PlanTensor {
    /// Elements of a row.
    pub(super) len: usize,
    /// Size of the last axis as its producer sees it.
    pub(super) channels: usize,
    pub(super) range: Range<usize>,
    /// Range in the backward pass if it is recomputed there; empty if not.
    pub(super) repeated: Range<usize>,
    /// Range of its gradient. Empty if no step reads it.
    pub(super) gradient: Range<usize>,
    /// Range of its gate bits. Empty for a gate that is always open.
    pub(super) bits: Range<usize>,
    /// True if the producer's backward pass must apply the gate, because no consumer does.
    pub(super) closes_itself: bool,
    /// True if the buffer holds one chunk: for its values, its recomputed values, and its gradient.
    pub(super) is_chunk: [bool; 3],
}

impl PlanTensor {
    pub(super) fn rows(&self, at: ChunkPlace) -> Range<usize> {
        at.rows(self.range.start, self.len, self.is_chunk[0])
    }

    /// Values as the backward pass reads them.
    pub(super) fn kept_rows(&self, at: ChunkPlace) -> Range<usize> {
        if self.repeated.is_empty() {
            return self.rows(at);
        }
        at.rows(self.repeated.start, self.len, self.is_chunk[1])
    }

    pub(super) fn gradient_rows(&self, at: ChunkPlace) -> Range<usize> {
        at.rows(self.gradient.start, self.len, self.is_chunk[2])
    }

    pub(super) fn bit_rows(&self, chunk: Chunk) -> Range<usize> {
        if self.bits.is_empty() {
            return self.bits.clone();
        }
        let words = |rows: usize| gate_words(rows * self.len / self.channels.max(1), self.channels);
        self.bits.start + words(chunk.first)..self.bits.start + words(chunk.first + chunk.rows)
    }
}

/// Rows to process, and the offset of the thread's own chunk buffers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChunkPlace {
    pub(super) chunk: Chunk,
    /// Offset from the buffers of the first thread.
    pub(super) shift: usize,
}

impl ChunkPlace {
    /// All rows, by the first thread.
    pub(super) const fn whole(rows: usize) -> Self {
        Self { chunk: Chunk::whole(rows), shift: 0 }
    }

    const fn rows(self, start: usize, len: usize, is_chunk: bool) -> Range<usize> {
        let start = start + if is_chunk { self.shift } else { self.chunk.first * len };
        start..start + self.chunk.rows * len
    }

    /// Range in the thread's own memory.
    pub(super) const fn own(self, range: &Range<usize>) -> Range<usize> {
        range.start + self.shift..range.end + self.shift
    }
}

/// Rules for adding a step's gradient to that of an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sink {
    pub(super) accumulate: bool,
    pub(super) closes_gate: bool,
}

/// One step of a plan.
#[derive(Debug)]
pub(super) struct PlanStep {
    pub(super) layer: String,
    pub(super) operator: Box<dyn Operator>,
    /// Tensors that it reads, each with the size of its last axis as this step sees it.
    pub(super) inputs: ShortList<(usize, usize)>,
    pub(super) output: usize,
    pub(super) weights: ShortList<usize>,
    pub(super) state: ShortList<usize>,
    pub(super) scratch: (Range<usize>, Range<usize>),
    /// Range of its gathered sums, shard by shard.
    pub(super) sums: Range<usize>,
    /// Range of the bytes it saves for the backward pass.
    pub(super) kept: Range<usize>,
    /// None without a backward pass.
    pub(super) sinks: Option<ShortList<Option<Sink>>>,
}

impl PlanStep {
    /// Range of the bytes saved for these rows.
    pub(super) fn kept_rows(&self, chunk: Chunk) -> Range<usize> {
        let sample = self.operator.kept();
        let start = self.kept.start + chunk.first * sample;
        if self.kept.is_empty() { 0..0 } else { start..start + chunk.rows * sample }
    }

    /// Range of its sums over one shard.
    pub(super) fn sums_of(&self, chunk: Chunk) -> Range<usize> {
        let len = self.operator.sums();
        let start = self.sums.start + chunk.shard * len;
        start..start + len
    }
}
