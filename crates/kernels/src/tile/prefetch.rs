//! Prefetching of memory that is read later.
#![expect(unsafe_code, reason = "prefetch instructions")]

use super::sizes::LINE;
use crate::arena::PrefetchHint;

/// Memory that is read after this product. Its tiles of two vectors prefetch one cache line with each term of a sum,
/// so that the loads overlap with multiplications.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinePrefetch {
    pub(crate) from: PrefetchHint,
    /// Elements between the lines of consecutive terms.
    pub(crate) term: usize,
    /// Elements between the first lines of consecutive tiles.
    pub(crate) tile: usize,
}

impl LinePrefetch {
    /// Prefetches nothing.
    pub(crate) const NONE: Self = Self { from: PrefetchHint::NONE, term: 0, tile: 0 };

    /// Consecutive lines, for sums of `terms` terms.
    pub(crate) const fn lines(from: PrefetchHint, terms: usize) -> Self {
        Self { from, term: LINE, tile: LINE * terms }
    }
}

/// Memory that is read later: `count` stripes, prefetched evenly while the rows are computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StripePrefetch {
    pub(crate) from: PrefetchHint,
    pub(crate) count: usize,
    /// Cache lines per stripe.
    pub(crate) lines: usize,
    /// Elements between stripes.
    pub(crate) step: usize,
}

impl StripePrefetch {
    /// Prefetches nothing.
    pub(crate) const NONE: Self = Self { from: PrefetchHint::NONE, count: 0, lines: 0, step: 0 };
}

/// Slices that are prefetched in equal parts, one with each tile.
pub(crate) struct SlicePrefetch<'a> {
    slices: [&'a [f32]; 2],
    part_lengths: [usize; 2],
}

impl<'a> SlicePrefetch<'a> {
    pub(crate) fn new(slices: [&'a [f32]; 2], tiles: usize) -> Self {
        let part_lengths = slices.map(|slice| slice.len().div_ceil(tiles * LINE) * LINE);
        Self { slices, part_lengths }
    }

    #[inline(always)]
    pub(crate) fn step(&mut self) {
        for (slice, &length) in self.slices.iter_mut().zip(&self.part_lengths) {
            let (now, rest) = slice.split_at(length.min(slice.len()));
            for at in now.iter().step_by(LINE) {
                prefetch(at);
            }
            *slice = rest;
        }
    }
}

/// Prefetches the cache line that holds `at` into the second-level cache. Any address is allowed.
#[inline(always)]
pub(crate) fn prefetch(at: *const f32) {
    ask::<false>(at);
}

/// [`prefetch`] into the first-level cache.
#[inline(always)]
pub(crate) fn prefetch_near(at: *const f32) {
    ask::<true>(at);
}

#[inline(always)]
fn ask<const NEAR: bool>(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this architecture has the instruction. It reads nothing and cannot fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        if NEAR { _mm_prefetch::<_MM_HINT_T0>(at.cast()) } else { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
