//! Work split among threads, in blocks that depend on the shape only.

#![expect(unsafe_code, reason = "threads write disjoint chunks of one slice")]

use std::marker::PhantomData;
use std::ops::Range;

use crate::threads::team;

/// Multiplications below which another thread costs more than it saves: some 4 us of work, while passing work takes
/// about 1 us.
const MIN_WORK_PER_THREAD: usize = 1 << 18;

/// Multiplications of a matrix product that take as long as loading and storing one element.
pub(crate) const ELEMENT_COST: usize = 16;

/// Number of threads to use for `work` multiplications (or comparable steps), at most `threads`.
pub(crate) fn useful(threads: usize, work: usize) -> usize {
    threads.min(work / MIN_WORK_PER_THREAD).max(1)
}

/// Calls `work(i)` for every `i` below `count`, on up to `threads` threads of the caller's team.
pub(crate) fn run(threads: usize, count: usize, work: impl Fn(usize) + Sync) {
    if threads <= 1 || count <= 1 {
        (0..count).for_each(work);
    } else {
        team::run(threads, count, &work);
    }
}

/// Calls `body(i, chunk i)` for every chunk of `chunk` elements of `out`, on up to `threads` threads.
pub(crate) fn for_chunks<T: Send>(
    threads: usize,
    out: &mut [T],
    chunk: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    for_chunks2(threads, (out, chunk), (&mut [(); 0], 0), |i, out, _| body(i, out));
}

/// Like [`for_chunks`], over two outputs with corresponding chunks. The second may be empty.
pub(crate) fn for_chunks2<T: Send, U: Send>(
    threads: usize,
    (first, first_chunk): (&mut [T], usize),
    (second, second_chunk): (&mut [U], usize),
    body: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    let count = first.len().div_ceil(first_chunk.max(1));
    let (first, second) = (Chunks::new(first, first_chunk.max(1)), Chunks::new(second, second_chunk));
    run(threads, count, |i| {
        // SAFETY: the team calls the closure once per index.
        let (first, second) = unsafe { (first.get(i), second.get(i)) };
        body(i, first, second);
    });
}

/// Range `i` of `items` items that are divided into `parts` parts as evenly as possible.
pub(crate) fn even(i: usize, parts: usize, items: usize) -> Range<usize> {
    i * items / parts..(i + 1) * items / parts
}

/// Calls `body(i, part i)` for `parts` even parts of `out`, made of whole rows of `row` elements (the last row may be
/// shorter), on up to `threads` threads.
pub(crate) fn for_parts<T: Send>(
    threads: usize,
    out: &mut [T],
    (row, parts): (usize, usize),
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    let rows = out.len().div_ceil(row);
    let out = Chunks::new(out, row);
    run(threads, parts, |i| {
        // SAFETY: even parts do not overlap, and the team calls the closure once per index.
        body(i, unsafe { out.range(even(i, parts, rows)) });
    });
}

/// A slice of which several threads write disjoint chunks.
pub(crate) struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    chunk: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: `get` and `range` are the only access, and their callers guarantee that no element is reached twice.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    /// Chunks of `chunk` elements; the last ones may be shorter or empty.
    pub(crate) fn new(slice: &'a mut [T], chunk: usize) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), chunk, slice: PhantomData }
    }

    /// Chunk `i`; empty beyond the end of the slice.
    ///
    /// # Safety
    /// A chunk must not be requested again while an earlier borrow of it lives.
    #[expect(clippy::mut_from_ref, reason = "each chunk is borrowed once, as the caller guarantees")]
    pub(crate) unsafe fn get(&self, i: usize) -> &mut [T] {
        // SAFETY: guaranteed by the caller.
        unsafe { self.range(i..i + 1) }
    }

    /// A range of chunks as one slice.
    ///
    /// # Safety
    /// As for [`get`](Self::get).
    #[expect(clippy::mut_from_ref, reason = "each chunk is borrowed once, as the caller guarantees")]
    unsafe fn range(&self, chunks: Range<usize>) -> &mut [T] {
        let (from, to) = ((chunks.start * self.chunk).min(self.len), (chunks.end * self.chunk).min(self.len));
        // SAFETY: from..to lies within the slice, which is borrowed for 'a; different chunks do not overlap.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), to - from) }
    }
}

/// Like [`for_chunks`], over an output and several more of the same length.
pub(crate) fn for_chunks_of_each<const N: usize>(
    threads: usize,
    out: &mut [f32],
    others: [&mut [f32]; N],
    chunk: usize,
    body: impl Fn(usize, &mut [f32], [&mut [f32]; N]) + Sync,
) {
    let len = out.len();
    let others = others.map(|other| Chunks::new(&mut other[..len], chunk));
    for_chunks(threads, out, chunk, |i, out| {
        // SAFETY: the chunks of each index are requested once.
        let others = others.each_ref().map(|other| unsafe { other.get(i) });
        body(i, out, others);
    });
}

/// Adds sums over `count` blocks to `out`: `body(block, sums)` adds its block to `sums`. Each block has sums of its
/// own, which are added in the order of the blocks. The result therefore does not depend on `threads`.
pub(crate) fn reduce(threads: usize, count: usize, out: &mut [f32], body: impl Fn(usize, &mut [f32]) + Sync) {
    if count <= 1 {
        if count == 1 {
            body(0, out);
        }
        return;
    }
    let len = out.len();
    super::scratch::with(count * len, |partials| {
        partials.fill(0.0);
        for_chunks(threads, partials, len, &body);
        for partial in partials.chunks_exact(len.max(1)) {
            for (sum, x) in out.iter_mut().zip(partial) {
                *sum += x;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_visited_once_with_its_index() {
        for threads in [1, 2, 3, 7] {
            for len in [0, 1, 5, 12, 13] {
                let mut first = vec![0_usize; len];
                let mut second = vec![0_usize; len.div_ceil(4) * 2];
                for_chunks2(threads, (&mut first, 4), (&mut second, 2), |i, a, b| {
                    a.iter_mut().for_each(|x| *x += i + 1);
                    b.iter_mut().for_each(|x| *x += i + 1);
                });
                assert!(first.iter().enumerate().all(|(i, &x)| x == i / 4 + 1));
                assert!(second.iter().enumerate().all(|(i, &x)| x == i / 2 + 1));
            }
        }
    }
}
