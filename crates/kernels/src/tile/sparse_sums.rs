//! The inner loops of sparse products, and the compression of rows.
#![expect(unsafe_code, reason = "vector instructions")]

use super::addresses::{RawEpilogue, RawStart};
use super::prefetch::{StripePrefetch, prefetch, prefetch_near};
use super::registers::finish_sums;
use super::simd::Simd;
use super::sizes::{LINE, MAX_TERMS, PANEL_STRIDE};

/// Offset of each term's row within a panel. Offsets fit in 16 bits, which halves the size of the lists.
static PANEL_OFFSETS: [u32; MAX_TERMS] = {
    assert!(MAX_TERMS * PANEL_STRIDE <= 1 << 16, "offsets fit in 16 bits");
    let mut offsets = [0; MAX_TERMS];
    let mut term = 0;
    while term < MAX_TERMS {
        offsets[term] = (term * PANEL_STRIDE) as u32;
        term += 1;
    }
    offsets
};

/// Offsets that are read with one load. The count in front of them takes the space of as many.
pub(crate) const OFFSETS_PER_LOAD: usize = 4;

/// Arguments of [`SparseRows::multiply`] as addresses of the first row, with strides in elements.
pub(crate) struct SparseArguments<'a> {
    pub(crate) lists: *const f32,
    pub(crate) row: usize,
    pub(crate) to_values: usize,
    pub(crate) rows: usize,
    pub(crate) panel: *const f32,
    pub(crate) sums: *mut f32,
    pub(crate) fresh: bool,
    pub(crate) lanes: usize,
    pub(crate) upcoming: &'a StripePrefetch,
}

/// [`LastBlock`] by address.
pub(crate) struct RawLastBlock {
    pub(crate) c: *mut f32,
    pub(crate) c_row: usize,
    pub(crate) raw_start: RawStart,
    pub(crate) end: RawEpilogue,
}

/// Computes the sums of all rows for a panel of `V` vectors.
///
/// # Safety
/// The processor must support the instruction set; the addresses in `run` and `last` must be valid for all rows.
#[inline(always)]
pub(crate) unsafe fn multiply_rows<S: Simd, const V: usize>(
    run: &SparseArguments<'_>,
    last: Option<&RawLastBlock>,
) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Protocol: rows are independent. For each, the accumulators are loaded (or zeroed), all listed terms added
        // in order, and the accumulators stored to `run.sums` or, after the last block, sent through the epilogue. No
        // list is written here, so threads may share lists.
        let lanes = S::lanes(run.lanes);
        let (mut upcoming, mut due) = (run.upcoming.from.from, 0);
        for r in 0..run.rows {
            // Bresenham's algorithm: spreads `count` stripes evenly over the rows.
            due += run.upcoming.count;
            while due >= run.rows {
                for line in 0..run.upcoming.lines {
                    prefetch(upcoming.wrapping_add(line * LINE));
                }
                upcoming = upcoming.wrapping_add(run.upcoming.step);
                due -= run.rows;
            }
            let list = run.lists.add(r * run.row);
            let count = *list.cast::<u32>() as usize;
            let (offsets, values) = (list.cast::<u16>().add(OFFSETS_PER_LOAD), list.add(run.to_values));
            // The next row's list is not contiguous with this one, so the hardware prefetcher misses its start.
            for part in [0, run.to_values] {
                let next = list.wrapping_add(run.row + part);
                prefetch_near(next);
                prefetch_near(next.wrapping_add(LINE));
                prefetch_near(next.wrapping_add(2 * LINE));
            }
            let kept = run.sums.add(r * PANEL_STRIDE);
            let mut sums: [S::Vector; V] =
                std::array::from_fn(|v| if run.fresh { S::splat(0.0) } else { S::load(kept.add(v * 16)) });
            let whole = count / OFFSETS_PER_LOAD * OFFSETS_PER_LOAD;
            for i in (0..whole).step_by(OFFSETS_PER_LOAD) {
                // Four 16-bit offsets with one load, because loads are the bottleneck.
                let four = offsets.add(i).cast::<u64>().read_unaligned();
                for j in 0..OFFSETS_PER_LOAD {
                    let shift =
                        16 * if cfg!(target_endian = "little") { j } else { OFFSETS_PER_LOAD - 1 - j };
                    let offset = (four >> shift) as u16;
                    add_term::<S, V>(&mut sums, run.panel.add(offset.into()), *values.add(i + j));
                }
            }
            for i in whole..count {
                add_term::<S, V>(&mut sums, run.panel.add((*offsets.add(i)).into()), *values.add(i));
            }
            if let Some(last) = last {
                let raw_start = last.raw_start.skip(r * last.raw_start.row);
                let (c, end) = (last.c.add(r * last.c_row), last.end.at(0, r, 0));
                finish_sums::<S, 1, V>([sums], (c, 0), raw_start, &end, lanes);
            } else {
                for (v, sum) in sums.into_iter().enumerate() {
                    S::store(kept.add(v * 16), sum);
                }
            }
        }
    }
}

/// Adds `x` times one row of a panel to the accumulators.
///
/// # Safety
/// The processor must support the instruction set; the row must be valid for all vectors.
#[inline(always)]
unsafe fn add_term<S: Simd, const V: usize>(sums: &mut [S::Vector; V], row: *const f32, x: f32) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        // Opaque: the row's offset is added once, not in the address of every load.
        let (row, x) = (S::opaque_pointer(row), S::splat(x));
        for (v, sum) in sums.iter_mut().enumerate() {
            *sum = S::multiply_add(x, S::load(row.add(v * 16)), *sum);
        }
    }
}

/// Compresses up to [`MAX_TERMS`] elements: nonzero values go to `list + to_values`, their offsets in front. Returns
/// the number of nonzeros.
///
/// # Safety
/// The processor must support the instruction set. `row` must be valid for `terms` elements. Both parts of `list`
/// must be valid for the row's length padded to whole vectors.
#[inline(always)]
pub(crate) unsafe fn compress_row<S: Simd>(
    row: *const f32,
    terms: usize,
    list: *mut f32,
    to_values: usize,
) -> usize {
    // SAFETY: guaranteed by the caller; there are never more nonzeros than elements read so far.
    unsafe {
        let (offsets, values) = (list.cast::<u16>().add(OFFSETS_PER_LOAD), list.add(to_values));
        let mut count = 0;
        for first in (0..terms).step_by(16) {
            let x = S::load_lanes(row.add(first), S::lanes((terms - first).min(16)));
            // Stores write whole vectors beyond `count`; the next iteration overwrites the excess. Lists therefore
            // have room for the row padded to whole vectors.
            let bits = S::nonzero(x);
            S::compress(values.add(count), x, bits);
            S::compress_halves(offsets.add(count), PANEL_OFFSETS.as_ptr().add(first), bits);
            count += bits.count_ones() as usize;
        }
        count
    }
}
