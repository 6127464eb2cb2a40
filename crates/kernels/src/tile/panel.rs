//! Packing of operands: columns in panels, transposed or not.
#![expect(unsafe_code, reason = "vector instructions")]

use super::kernel_table::Kernels;
use super::simd::Simd;
use super::sizes::{LINE, PANEL, PANEL_STRIDE, panels};
use crate::split::even;

/// Packs a matrix of `rows` rows, `stride` apart, into consecutive row-major panels. A tile then reads adjacent cache
/// lines instead of one line in every `stride` elements. The panel that starts at column `p` begins at element `p *
/// rows`.
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

/// [`pack_panels`] of the transpose: element (r, c) is `from[c * stride + r]`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn pack_transposed_panels(
    kernels: &Kernels,
    to: &mut [f32],
    from: &[f32],
    (rows, columns): (usize, usize),
    stride: usize,
) {
    for (first, width) in panels(columns) {
        transpose_strided(
            kernels,
            (&mut to[first * rows..], width),
            (&from[first * stride..], stride),
            (width, rows),
        );
    }
}

/// Packs up to [`PANEL_STRIDE`] columns of `rows` rows, `stride` apart, into rows [`PANEL_STRIDE`] apart. Pads with
/// zeros to the next whole vector.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn pack_wide(to: &mut [f32], from: &[f32], (rows, columns): (usize, usize), stride: usize) {
    let vectors = columns.next_multiple_of(LINE);
    for (to, from) in to.chunks_exact_mut(PANEL_STRIDE).zip(from.chunks(stride)).take(rows) {
        to[..columns].copy_from_slice(&from[..columns]);
        to[columns..vectors].fill(0.0);
    }
}

/// [`pack_wide`] of the transpose: element (r, c) is `from[c * stride + r]`.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn pack_transposed_wide(
    kernels: &Kernels,
    to: &mut [f32],
    from: &[f32],
    (rows, columns): (usize, usize),
    stride: usize,
) {
    transpose_strided(kernels, (to, PANEL_STRIDE), (from, stride), (columns, rows));
    let vectors = columns.next_multiple_of(LINE);
    if columns < vectors {
        for to in to.chunks_exact_mut(PANEL_STRIDE).take(rows) {
            to[columns..vectors].fill(0.0);
        }
    }
}

/// Transposes `m` rows of `n` columns, which lie `stride` apart: `to[n, m] = from[m, n]`.
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
    transpose_strided(kernels, (to, size.0), (from, stride), size);
}

/// [`transpose`] with a stride for the output too.
///
/// # Panics
/// If a slice is too short.
pub(crate) fn transpose_strided(
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
    // SAFETY: `from` holds m rows of n and `to` n rows of m at these strides; the table belongs to an instruction set
    // of this processor.
    unsafe { (kernels.transpose)(to.as_mut_ptr(), to_row, from.as_ptr(), from_row, (m, n)) }
}

/// Transposes in blocks of 16 by 16: `to[n, m] = from[m, n]`. Incomplete blocks go through gathers.
///
/// # Safety
/// The processor must support the instruction set; the pointers must be valid for all rows.
#[inline(always)]
pub(crate) unsafe fn transpose_blocks<S: Simd>(
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
                    let rows = S::transpose(std::array::from_fn(|r| S::load(from.add(r * from_row))));
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

/// Part `i` of `count` even parts of a slice.
pub(crate) fn part(slice: &[f32], i: usize, count: usize) -> &[f32] {
    &slice[even(i, count, slice.len())]
}
