//! The register tile: accumulators that stay in registers from their first product until they are stored.
#![expect(unsafe_code, reason = "vector instructions and operands addressed by strides")]

use super::addresses::{RawEpilogue, RawStart};
use super::layout::ProductLayout;
use super::prefetch::prefetch;
use super::simd::Simd;

/// Repeats the body once for each row below `R` (at most 28), fully unrolled in the source. If the compiler decided
/// not to unroll a loop, accumulators would be indexed dynamically and live in memory.
macro_rules! for_rows {
    ($r:ident < $rows:ident => $body:block) => {
        for_rows!(@ $r $rows $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27)
    };
    (@ $r:ident $rows:ident $body:block $($i:literal)*) => {
        $({
            let $r: usize = $i;
            if $r < $rows $body
        })*
    };
}
pub(crate) use for_rows;

/// Rows that share a base pointer. Two index registers (one and three row strides) reach five rows with the x86
/// address scales 1, 2 and 4.
pub(crate) const ROWS_PER_POINTER: usize = 5;

/// Base pointers for all rows.
pub(crate) const POINTERS: usize = 6;

/// Computes and stores one tile of `R` rows and `V` vectors; the last vector has `lanes` columns.
///
/// # Safety
/// The processor must support the instruction set; the layout's elements from `a`, `b`, `c` and `start` on must be
/// valid for `R` rows.
#[inline(always)]
pub(crate) unsafe fn tile<S: Simd, const R: usize, const V: usize, const UNIT: bool>(
    a: *const f32,
    b: *const f32,
    c: *mut f32,
    start: RawStart,
    end: &RawEpilogue,
    lanes: usize,
    layout: &ProductLayout<'_>,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let last = S::lanes(lanes);
        // Two instances, if masked loads are slower than full ones.
        let sums = if S::HAS_FAST_MASKS || lanes < 16 {
            sums::<S, R, V, UNIT, false>(a, b, start, last, layout)
        } else {
            sums::<S, R, V, UNIT, true>(a, b, start, last, layout)
        };
        finish_sums::<S, R, V>(sums, (c, layout.c_row), start, end, last);
    }
}

/// The sums of a [`tile`]. The last vector is read with a mask unless `WHOLE`.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
unsafe fn sums<S: Simd, const R: usize, const V: usize, const UNIT: bool, const WHOLE: bool>(
    a: *const f32,
    b: *const f32,
    start: RawStart,
    last: S::Lanes,
    layout: &ProductLayout<'_>,
) -> [[S::Vector; V]; R] {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Protocol: `sums` are the accumulators. All loops over rows and vectors are unrolled (`for_rows!`, constant
        // arrays), so each accumulator has a register. Per term the loop loads `V` vectors of `b` and broadcasts `R`
        // numbers of `a`; it stores nothing.
        let mut sums = [[S::splat(0.0); V]; R];
        let mut upcoming = start.upcoming;
        let &ProductLayout { sum, segments, blocks, .. } = layout;
        // Row offsets are made opaque to the compiler in every step. Otherwise it would keep one pointer per row and
        // spill the accumulators.
        let (mut row, mut rows_3) = (layout.row * size_of::<f32>(), 3 * layout.row * size_of::<f32>());
        for block in 0..blocks.count {
            for segment in 0..segments.count {
                let a = a.wrapping_add(block * blocks.a + segment * segments.a);
                let group = |first: usize| a.wrapping_add(first * if UNIT { 1 } else { layout.row });
                let mut groups = [a; POINTERS];
                for_rows!(i < POINTERS => {
                    groups[i] = group(i * ROWS_PER_POINTER);
                });
                let mut b = b.wrapping_add(block * blocks.b + segment * segments.b);
                for _ in 0..sum.count {
                    let columns: [S::Vector; V] = std::array::from_fn(|v| {
                        let b = b.add(v * 16);
                        if WHOLE || v + 1 < V { S::load(b) } else { S::load_lanes(b, last) }
                    });
                    // Unconditional: an address that is cached already costs less than a branch per term.
                    if V > 1 {
                        prefetch(upcoming);
                        upcoming = upcoming.wrapping_add(start.upcoming_step);
                    }
                    if !UNIT {
                        for_rows!(i < POINTERS => {
                            groups[i] = S::opaque_pointer(groups[i]);
                        });
                        (row, rows_3) = (S::opaque(row), S::opaque(rows_3));
                    }
                    let rows = if UNIT { [0, 4, 8, 12, 16] } else { [0, row, 2 * row, rows_3, 4 * row] };
                    for_rows!(r < R => {
                        let x = S::splat(*groups[r / ROWS_PER_POINTER].wrapping_byte_add(rows[r % ROWS_PER_POINTER]));
                        for (sum, &column) in sums[r].iter_mut().zip(&columns) {
                            *sum = S::multiply_add(x, column, *sum);
                        }
                    });
                    for_rows!(i < POINTERS => {
                        groups[i] = groups[i].wrapping_add(sum.a);
                    });
                    b = b.wrapping_add(sum.b);
                }
            }
        }
        sums
    }
}

/// Adds the initial values to a tile's sums, applies the epilogue and stores the rows to `c`.
///
/// # Safety
/// The processor must support the instruction set; the pointers must be valid for `R` rows of `V` vectors, the last
/// of which has the lanes of `last`.
#[inline(always)]
pub(crate) unsafe fn finish_sums<S: Simd, const R: usize, const V: usize>(
    mut sums: [[S::Vector; V]; R],
    (c, c_row): (*mut f32, usize),
    start: RawStart,
    end: &RawEpilogue,
    last: S::Lanes,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Added last: a sum over several blocks is then a sum of block sums, not one long chain, which keeps the
        // rounding error small.
        if !start.from.is_null() {
            for_rows!(r < R => {
                for (v, sum) in sums[r].iter_mut().enumerate() {
                    let from = start.from.add(r * start.row + v * 16);
                    let old = if v + 1 < V { S::load(from) } else { S::load_lanes(from, last) };
                    *sum = S::add(*sum, old);
                }
            });
        }
        match *end {
            RawEpilogue::Store | RawEpilogue::Gate { .. } => {}
            RawEpilogue::Floor { floor, open, bits, row } => {
                let (floor, open) = (S::splat(floor), S::splat(open));
                for_rows!(r < R => {
                    for (v, sum) in sums[r].iter_mut().enumerate() {
                        let lanes = if v + 1 < V { S::lanes(16) } else { last };
                        *bits.add(r * row + v) = S::greater(*sum, open, lanes);
                        *sum = S::at_least(*sum, floor);
                    }
                });
            }
            RawEpilogue::Close { bits, row } => {
                for_rows!(r < R => {
                    for (v, sum) in sums[r].iter_mut().enumerate() {
                        *sum = S::keep(*sum, *bits.add(r * row + v));
                    }
                });
            }
        }
        for_rows!(r < R => {
            for (v, &sum) in sums[r].iter().enumerate() {
                let to = c.add(r * c_row + v * 16);
                if v + 1 < V { S::store(to, sum) } else { S::store_lanes(to, last, sum) }
            }
        });
    }
}
