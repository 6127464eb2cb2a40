//! Epilogues and column sums over values that are already in memory.
#![expect(unsafe_code, reason = "vector instructions")]

use super::kernel_table::Kernels;
use super::simd::Simd;
use super::sizes::{PANEL, panels};
use crate::gate::{Gate, GateFunction};

/// Applies the function of a gate to a tile that was just stored: `rows` rows of `columns` columns (at most 32).
///
/// # Safety
/// The processor must support the instruction set; `c` and the gate bits, unless null, must be valid for all rows.
#[inline(always)]
pub(crate) unsafe fn finish<S: Simd>(
    c: *mut f32,
    c_row: usize,
    size: (usize, usize),
    gate: Gate,
    bits: *mut u16,
    row: usize,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let record = Record::<S> {
            bits,
            row,
            open: S::splat(gate.open.0),
            closed: if gate.open.1 < f32::INFINITY { Some(S::splat(gate.open.1)) } else { None },
        };
        match gate.function {
            GateFunction::Linear => for_vectors::<S>(
                c,
                c_row,
                size,
                #[inline(always)]
                |x, r, v, lanes| {
                    record.put(x, r, v, lanes);
                    x
                },
            ),
            GateFunction::Clip { low, high } => {
                let (low, high) = (S::splat(low), S::splat(high));
                for_vectors::<S>(
                    c,
                    c_row,
                    size,
                    #[inline(always)]
                    |x, r, v, lanes| {
                        record.put(x, r, v, lanes);
                        S::at_most(S::at_least(x, low), high)
                    },
                );
            }
            GateFunction::Levels { per_unit, unit, low, high, bound } => {
                let (per_unit, unit) = (S::splat(per_unit), S::splat(unit));
                let (low, high, bound) = (S::splat(low), S::splat(high), S::splat(bound));
                let zero = S::splat(0.0);
                for_vectors::<S>(
                    c,
                    c_row,
                    size,
                    #[inline(always)]
                    |x, r, v, lanes| {
                        record.put(x, r, v, lanes);
                        let level = S::round(S::multiply(x, per_unit));
                        let level = S::at_most(S::at_least(level, low), high);
                        S::add(S::at_most(S::multiply(unit, level), bound), zero)
                    },
                );
            }
        }
    }
}

/// Destination of a tile's gate bits; a null pointer records nothing.
struct Record<S: Simd> {
    bits: *mut u16,
    row: usize,
    open: S::Vector,
    closed: Option<S::Vector>,
}

impl<S: Simd> Record<S> {
    /// Records for vector `v` of row `r` which lanes of `x` let the gradient pass.
    ///
    /// # Safety
    /// As [`finish`].
    #[inline(always)]
    unsafe fn put(&self, x: S::Vector, r: usize, v: usize, lanes: S::Lanes) {
        if self.bits.is_null() {
            return;
        }
        // SAFETY: guaranteed by the caller.
        unsafe {
            let mut word = S::greater(x, self.open, lanes);
            if let Some(closed) = self.closed {
                word &= S::greater(closed, x, lanes);
            }
            *self.bits.add(r * self.row + v) = word;
        }
    }
}

/// Zeroes stored values whose gate bit is 0: `rows` rows of `columns` columns (at most 32).
///
/// # Safety
/// The processor must support the instruction set; `c` and the gate bits must be valid for all rows.
#[inline(always)]
pub(crate) unsafe fn close<S: Simd>(
    c: *mut f32,
    c_row: usize,
    size: (usize, usize),
    bits: *const u16,
    row: usize,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        for_vectors::<S>(
            c,
            c_row,
            size,
            #[inline(always)]
            |x, r, v, _| S::keep(x, *bits.add(r * row + v)),
        );
    }
}

/// Applies the function of `gate` to rows of `columns` values. Records gate bits unless `bits` is empty.
///
/// # Panics
/// If rows are incomplete, or `bits` is neither empty nor of the length that the rows need.
pub(crate) fn apply_function(
    kernels: &Kernels,
    out: &mut [f32],
    columns: usize,
    gate: Gate,
    bits: &mut [u16],
) {
    if bits.is_empty() && columns != PANEL {
        // Without gate bits row boundaries do not matter, so whole panels are used.
        let (whole, rest) = out.split_at_mut(out.len() / PANEL * PANEL);
        apply_function(kernels, whole, PANEL, gate, &mut []);
        let columns = rest.len();
        apply_rows(kernels, rest, columns, gate, &mut []);
    } else {
        apply_rows(kernels, out, columns, gate, bits);
    }
}

fn apply_rows(kernels: &Kernels, out: &mut [f32], columns: usize, gate: Gate, bits: &mut [u16]) {
    let (rows, words) = rows_and_words(out.len(), columns);
    assert!(bits.is_empty() || bits.len() == rows * words, "gate bits hold all rows");
    for (column, width) in panels(columns) {
        let bits =
            if bits.is_empty() { std::ptr::null_mut() } else { bits.as_mut_ptr().wrapping_add(column / 16) };
        // SAFETY: the panel lies within `out`, which holds `rows` complete rows, and its words lie within `bits`; the
        // table belongs to an instruction set of this processor.
        unsafe {
            (kernels.finish)(
                out.as_mut_ptr().wrapping_add(column),
                columns,
                (rows, width),
                gate,
                bits,
                words,
            );
        }
    }
}

/// Zeroes values whose gate bit is 0, over rows of `columns` values.
///
/// # Panics
/// If rows are incomplete or `bits` is too short.
pub(crate) fn close_rows(kernels: &Kernels, dy: &mut [f32], columns: usize, bits: &[u16]) {
    let (rows, words) = rows_and_words(dy.len(), columns);
    assert!(rows * words <= bits.len(), "gate bits hold all rows");
    for (column, width) in panels(columns) {
        let bits = bits.as_ptr().wrapping_add(column / 16);
        // SAFETY: as for `apply_rows`.
        unsafe { (kernels.close)(dy.as_mut_ptr().wrapping_add(column), columns, (rows, width), bits, words) };
    }
}

fn rows_and_words(len: usize, columns: usize) -> (usize, usize) {
    let rows = len.checked_div(columns).unwrap_or(0);
    assert_eq!(rows * columns, len, "rows are complete");
    (rows, columns.div_ceil(16))
}

/// Replaces every vector of a stored tile by `f(vector, row, index of the vector, its lanes)`.
///
/// # Safety
/// As [`finish`].
#[inline(always)]
unsafe fn for_vectors<S: Simd>(
    c: *mut f32,
    c_row: usize,
    (rows, columns): (usize, usize),
    f: impl Fn(S::Vector, usize, usize, S::Lanes) -> S::Vector,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let vectors = columns.div_ceil(16);
        let (whole, last) = (S::lanes(16), S::lanes(columns - (vectors - 1) * 16));
        for r in 0..rows {
            let row = c.add(r * c_row);
            for v in 0..vectors - 1 {
                let at = row.add(v * 16);
                S::store(at, f(S::load(at), r, v, whole));
            }
            let at = row.add((vectors - 1) * 16);
            S::store_lanes(at, last, f(S::load_lanes(at, last), r, vectors - 1, last));
        }
    }
}

/// Adds the column sums of row-major `x` to `out`.
///
/// # Panics
/// If rows are incomplete.
pub(crate) fn add_columns(kernels: &Kernels, out: &mut [f32], x: &[f32]) {
    assert!(x.len().is_multiple_of(out.len()), "rows are complete");
    add_some_columns(kernels, out, x, out.len());
}

/// Adds the sums of the first `out.len()` columns of `x`, a matrix with rows `stride` apart, to `out`.
///
/// # Panics
/// If `out` is empty or the last row of `x` is shorter than `out`.
pub(crate) fn add_some_columns(kernels: &Kernels, out: &mut [f32], x: &[f32], stride: usize) {
    if x.is_empty() {
        return;
    }
    let (rows, columns) = (x.len().div_ceil(stride), out.len());
    assert!((rows - 1) * stride + columns <= x.len(), "the last row has all columns");
    // SAFETY: `x` holds `rows` rows of at least as many columns as `out`; the table belongs to an instruction set of
    // this processor.
    unsafe { (kernels.sums)(out.as_mut_ptr(), x.as_ptr(), (rows, columns), stride) }
}

/// [`add_some_columns`] for `rows` rows.
///
/// # Safety
/// The processor must support the instruction set; the pointers must be valid for that many elements.
#[inline(always)]
pub(crate) unsafe fn sums<S: Simd>(
    out: *mut f32,
    x: *const f32,
    (rows, columns): (usize, usize),
    stride: usize,
) {
    /// Independent partial sums, because an addition has a latency of several cycles.
    const CHAINS: usize = 8;
    // SAFETY: guaranteed by the caller.
    unsafe {
        for column in (0..columns).step_by(16) {
            let lanes = S::lanes((columns - column).min(16));
            let mut chains = [S::splat(0.0); CHAINS];
            let mut at = x.add(column);
            for _ in 0..rows / CHAINS {
                for (i, chain) in chains.iter_mut().enumerate() {
                    *chain = S::add(*chain, S::load_lanes(at.wrapping_add(i * stride), lanes));
                }
                at = at.wrapping_add(CHAINS * stride);
            }
            for i in 0..rows % CHAINS {
                chains[0] = S::add(chains[0], S::load_lanes(at.wrapping_add(i * stride), lanes));
            }
            let mut sum = S::load_lanes(out.add(column), lanes);
            for chain in chains {
                sum = S::add(sum, chain);
            }
            S::store_lanes(out.add(column), lanes, sum);
        }
    }
}
