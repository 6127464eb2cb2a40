//! How operands come to the tile: columns in panels, transposes, lines of the cache in time.

use super::nonzero::WIDTH;
use super::simd::Simd;
use super::{Kernels, Layout};
use crate::split::even;

/// Columns that a tile covers, hence of a panel.
pub(crate) const PANEL: usize = 32;

/// The panels of `columns` columns: first column and width.
pub(crate) fn panels(columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..columns).step_by(PANEL).map(move |first| (first, PANEL.min(columns - first)))
}

/// `columns` columns of `rows` rows, `stride` apart, as panels one after the other, each row-major: a tile then reads
/// neighbouring lines of the cache, not every so many of them, which would leave most of it unused. Panel `p` starts at
/// `p.0 * rows`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn pack_panels(to: &mut [f32], from: &[f32], (rows, columns): (usize, usize), stride: usize) {
    for (first, width) in panels(columns) {
        let to = &mut to[first * rows..][..width * rows];
        let from = from[first..].chunks(stride).take(rows);
        if width == PANEL {
            for (to, from) in to.as_chunks_mut::<PANEL>().0.iter_mut().zip(from) {
                to.copy_from_slice(&from[..PANEL]);
            }
        } else {
            for (to, from) in to.chunks_exact_mut(width).zip(from) {
                to.copy_from_slice(&from[..width]);
            }
        }
    }
}

/// The same of the transpose: element (r, c) is `from[c * stride + r]`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn turn_panels(
    kernels: &Kernels,
    to: &mut [f32],
    from: &[f32],
    (rows, columns): (usize, usize),
    stride: usize,
) {
    for (first, width) in panels(columns) {
        turn_into(
            kernels,
            (&mut to[first * rows..], width),
            (&from[first * stride..], stride),
            (width, rows),
        );
    }
}

/// Up to [`WIDTH`] columns of `rows` rows, `stride` apart, as rows so long, with zeros up to the next vector.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn pack_wide(to: &mut [f32], from: &[f32], (rows, columns): (usize, usize), stride: usize) {
    let vectors = columns.next_multiple_of(LINE);
    for (to, from) in to.chunks_exact_mut(WIDTH).zip(from.chunks(stride)).take(rows) {
        to[..columns].copy_from_slice(&from[..columns]);
        to[columns..vectors].fill(0.0);
    }
}

/// The same of the transpose: element (r, c) is `from[c * stride + r]`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn turn_wide(
    kernels: &Kernels,
    to: &mut [f32],
    from: &[f32],
    (rows, columns): (usize, usize),
    stride: usize,
) {
    turn_into(kernels, (to, WIDTH), (from, stride), (columns, rows));
    let vectors = columns.next_multiple_of(LINE);
    if columns < vectors {
        for to in to.chunks_exact_mut(WIDTH).take(rows) {
            to[columns..vectors].fill(0.0);
        }
    }
}

/// `to[n, m] = from[m, n]` for `m` rows and `n` columns, the rows of `from` being `stride` apart.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn transpose(
    kernels: &Kernels,
    to: &mut [f32],
    from: &[f32],
    size: (usize, usize),
    stride: usize,
) {
    turn_into(kernels, (to, size.0), (from, stride), size);
}

/// [`transpose`] between rows so far apart.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn turn_into(
    kernels: &Kernels,
    (to, to_row): (&mut [f32], usize),
    (from, from_row): (&[f32], usize),
    (m, n): (usize, usize),
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        (n - 1) * to_row + m <= to.len() && (m - 1) * from_row + n <= from.len(),
        "the matrix fits its slices"
    );
    // SAFETY: `from` holds m rows of n and `to` n rows of m, so far apart; the table is that of an instruction set of this
    // processor.
    unsafe { (kernels.turn)(to.as_mut_ptr(), to_row, from.as_ptr(), from_row, (m, n)) }
}

/// `to[n, m] = from[m, n]`, rows so far apart.
///
/// # Safety
/// The processor must support the instruction set; the pointers are valid for all rows.
#[inline(always)]
pub(super) unsafe fn turn<S: Simd>(
    to: *mut f32,
    to_row: usize,
    from: *const f32,
    from_row: usize,
    (m, n): (usize, usize),
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        for i in (0..m).step_by(16) {
            for j in (0..n).step_by(16) {
                let (to, from) = (to.add(j * to_row + i), from.add(i * from_row + j));
                if i + 16 <= m && j + 16 <= n {
                    let rows = S::turn(std::array::from_fn(|r| S::load(from.add(r * from_row))));
                    for (c, column) in rows.into_iter().enumerate() {
                        S::store(to.add(c * to_row), column);
                    }
                } else {
                    let count = (m - i).min(16);
                    for c in 0..(n - j).min(16) {
                        S::store_lanes(
                            to.add(c * to_row),
                            S::lanes(count),
                            S::gather(from.add(c), from_row, count),
                        );
                    }
                }
            }
        }
    }
}

/// Part `i` of `count` of a slice.
pub(crate) fn part(slice: &[f32], i: usize, count: usize) -> &[f32] {
    &slice[even(i, count, slice.len())]
}

/// What is asked for in advance, in shares for each tile.
pub(super) struct Ahead<'a> {
    slices: [&'a [f32]; 2],
    shares: [usize; 2],
}

impl<'a> Ahead<'a> {
    pub(super) fn new(layout: &Layout<'a>, tiles: usize) -> Self {
        let tiles = layout.lines.count * layout.columns.div_ceil(PANEL) * tiles;
        let shares = layout.ahead.map(|slice| slice.len().div_ceil(tiles * LINE) * LINE);
        Self { slices: layout.ahead, shares }
    }

    #[inline(always)]
    pub(super) fn step(&mut self) {
        for (slice, &share) in self.slices.iter_mut().zip(&self.shares) {
            let (now, rest) = slice.split_at(share.min(slice.len()));
            for at in now.iter().step_by(LINE) {
                prefetch(at);
            }
            *slice = rest;
        }
    }
}

/// Asks for the line of the cache that holds `at`, wherever it points.
#[inline(always)]
pub(super) fn prefetch(at: *const f32) {
    ask::<false>(at);
}

/// [`prefetch`] into the first-level cache.
#[inline(always)]
pub(super) fn prefetch_near(at: *const f32) {
    ask::<true>(at);
}

#[inline(always)]
fn ask<const NEAR: bool>(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every processor of this architecture has the instruction, which reads nothing and faults nowhere.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        if NEAR { _mm_prefetch::<_MM_HINT_T0>(at.cast()) } else { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Elements of a line of the cache.
pub(crate) const LINE: usize = 16;
