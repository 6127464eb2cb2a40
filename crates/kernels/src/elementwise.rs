//! Element-wise functions and their gradients.

use super::dispatch::multiversion;
use super::{scratch, split};

/// Elements per block of work.
const BLOCK: usize = 1 << 13;

/// `out[i] = f(x[i])`.
pub fn map<F: Fn(f32) -> f32 + Sync>(out: &mut [f32], x: &[f32], f: F, threads: usize) {
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    split::for_chunks(threads, out, BLOCK, |i, out| map_block(out, &x[i * BLOCK..][..out.len()], &f));
}

/// `dx[i] = f(dy[i], x[i])`.
pub fn zip<F: Fn(f32, f32) -> f32 + Sync>(dx: &mut [f32], dy: &[f32], x: &[f32], f: F, threads: usize) {
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    split::for_chunks(threads, dx, BLOCK, |i, dx| {
        let range = i * BLOCK..i * BLOCK + dx.len();
        zip_block(dx, &dy[range.clone()], &x[range], &f);
    });
}

/// `out[r, c] = f(x[r, c], values[c])`; a single value applies to all elements.
pub fn map_channels<F: Fn(f32, f32) -> f32 + Sync>(
    out: &mut [f32],
    x: &[f32],
    values: &[f32],
    f: F,
    threads: usize,
) {
    if let &[v] = values {
        return map(out, x, |x| f(x, v), threads);
    }
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    let block = rows_of(values.len());
    with_repeated([values], |[values]| {
        split::for_chunks(threads, out, block, |i, out| {
            map_channels_block(out, &x[i * block..][..out.len()], values, &f);
        });
    });
}

/// `dx[r, c] = f(dy[r, c], x[r, c], values[c])`; a single value applies to all elements.
pub fn zip_channels<F: Fn(f32, f32, f32) -> f32 + Sync>(
    dx: &mut [f32],
    dy: &[f32],
    x: &[f32],
    values: &[f32],
    f: F,
    threads: usize,
) {
    if let &[v] = values {
        return zip(dx, dy, x, |dy, x| f(dy, x, v), threads);
    }
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    let block = rows_of(values.len());
    with_repeated([values], |[values]| {
        split::for_chunks(threads, dx, block, |i, dx| {
            let range = i * block..i * block + dx.len();
            zip_channels_block(dx, &dy[range.clone()], &x[range], values, &f);
        });
    });
}

/// `sums[c] = sum over r of f(dy[r, c], x[r, c], values[c])`; with a single value, the sum over all elements.
pub fn sum_channels<F: Fn(f32, f32, f32) -> f32 + Sync>(
    sums: &mut [f32],
    dy: &[f32],
    x: &[f32],
    values: &[f32],
    f: F,
    threads: usize,
) {
    let threads = split::useful(threads, x.len() * split::ELEMENT_COST);
    // Short blocks keep the rounding error of single-precision sums small.
    with_repeated([values], |[values]| {
        let block = 256 * values.len();
        sums.fill(0.0);
        split::reduce(threads, x.len().div_ceil(block), sums, |i, sums| {
            let range = i * block..((i + 1) * block).min(x.len());
            scratch::with(values.len(), |wide| {
                wide.fill(0.0);
                sum_channels_block(wide, &dy[range.clone()], &x[range], values, &f);
                fold(sums, wide);
            });
        });
    });
}

/// Shorter rows are processed several at a time, so that inner loops are long enough to be fast.
const WIDE: usize = 256;

/// Elements of the fewest complete rows of `channels` that reach [`WIDE`].
pub(crate) fn wide(channels: usize) -> usize {
    let channels = channels.max(1);
    WIDE.div_ceil(channels) * channels
}

/// Calls `body` with per-channel values repeated to the length of a [`wide`] row.
pub(crate) fn with_repeated<const N: usize, R>(
    values: [&[f32]; N],
    body: impl FnOnce([&[f32]; N]) -> R,
) -> R {
    let wide = wide(values.first().map_or(0, |values| values.len()));
    scratch::with(N * wide, |memory| {
        for (to, from) in memory.chunks_exact_mut(wide).zip(values) {
            to.chunks_exact_mut(from.len()).for_each(|to| to.copy_from_slice(from));
        }
        let memory = &*memory;
        body(std::array::from_fn(|i| &memory[i * wide..(i + 1) * wide]))
    })
}

/// Adds sums over [`wide`] rows to the sums of their channels, row after row.
pub(crate) fn fold(sums: &mut [f32], wide: &[f32]) {
    for row in wide.chunks_exact(sums.len().max(1)) {
        for (sum, v) in sums.iter_mut().zip(row) {
            *sum += v;
        }
    }
}

/// Elements of complete wide rows close to [`BLOCK`].
fn rows_of(channels: usize) -> usize {
    (BLOCK / wide(channels)).max(1) * wide(channels)
}

multiversion! {
    fn map_block<{F: Fn(f32) -> f32}>(out: &mut [f32], x: &[f32], f: &F) {
        for (y, &x) in out.iter_mut().zip(x) {
            *y = f(x);
        }
    }
}

multiversion! {
    fn zip_block<{F: Fn(f32, f32) -> f32}>(dx: &mut [f32], dy: &[f32], x: &[f32], f: &F) {
        for ((dx, &dy), &x) in dx.iter_mut().zip(dy).zip(x) {
            *dx = f(dy, x);
        }
    }
}

multiversion! {
    fn map_channels_block<{F: Fn(f32, f32) -> f32}>(out: &mut [f32], x: &[f32], values: &[f32], f: &F) {
        let c = values.len();
        for (out, x) in out.chunks_mut(c).zip(x.chunks(c)) {
            for ((y, &x), &v) in out.iter_mut().zip(x).zip(values) {
                *y = f(x, v);
            }
        }
    }
}

multiversion! {
    fn zip_channels_block<{F: Fn(f32, f32, f32) -> f32}>(
        dx: &mut [f32], dy: &[f32], x: &[f32], values: &[f32], f: &F,
    ) {
        let c = values.len();
        for ((dx, dy), x) in dx.chunks_mut(c).zip(dy.chunks(c)).zip(x.chunks(c)) {
            for (((dx, &dy), &x), &v) in dx.iter_mut().zip(dy).zip(x).zip(values) {
                *dx = f(dy, x, v);
            }
        }
    }
}

multiversion! {
    fn sum_channels_block<{F: Fn(f32, f32, f32) -> f32}>(
        sums: &mut [f32], dy: &[f32], x: &[f32], values: &[f32], f: &F,
    ) {
        let c = values.len();
        for (dy, x) in dy.chunks(c).zip(x.chunks(c)) {
            for (((sum, &dy), &x), &v) in sums.iter_mut().zip(dy).zip(x).zip(values) {
                *sum += f(dy, x, v);
            }
        }
    }
}
