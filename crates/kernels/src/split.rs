//! Work split among threads by blocks whose bounds depend on the shape alone.

#![expect(
    unsafe_code,
    reason = "threads write chunks of one slice, whose number is not known when compiling"
)]

use std::marker::PhantomData;
use std::ops::Range;

use crate::threads::team;

/// Multiplications below which a thread costs more than it saves (some 4 us; handing work over takes about 1).
const WORTH_A_THREAD: usize = 1 << 18;

/// How many multiplications of a matrix product take as long as one element's way through memory.
pub(crate) const ELEMENT: usize = 16;

/// How many of the granted `threads` to use for `work` multiplications (or comparable steps).
pub(crate) fn useful(threads: usize, work: usize) -> usize {
    threads.min(work / WORTH_A_THREAD).max(1)
}

/// `work(i)` for every `i` below `count`, on up to `threads` threads of the caller's team.
pub(crate) fn run(threads: usize, count: usize, work: impl Fn(usize) + Sync) {
    if threads <= 1 || count <= 1 {
        (0..count).for_each(work);
    } else {
        team::run(threads, count, &work);
    }
}

/// `body(i, chunk i)` for every chunk of `chunk` elements of `out`, on up to `threads` threads.
pub(crate) fn for_chunks<T: Send>(
    threads: usize,
    out: &mut [T],
    chunk: usize,
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    for_chunks2(threads, (out, chunk), (&mut [(); 0], 0), |i, out, _| body(i, out));
}

/// Like [`for_chunks`] over two outputs whose chunks of equal index belong together. The second may be empty.
pub(crate) fn for_chunks2<T: Send, U: Send>(
    threads: usize,
    (first, first_chunk): (&mut [T], usize),
    (second, second_chunk): (&mut [U], usize),
    body: impl Fn(usize, &mut [T], &mut [U]) + Sync,
) {
    let count = first.len().div_ceil(first_chunk.max(1));
    let (first, second) = (Chunks::new(first, first_chunk.max(1)), Chunks::new(second, second_chunk));
    run(threads, count, |i| {
        // SAFETY: the team calls the closure once for each index.
        let (first, second) = unsafe { (first.get(i), second.get(i)) };
        body(i, first, second);
    });
}

/// Part `i` of `parts` of so many items, as even as can be.
pub(crate) fn even(i: usize, parts: usize, items: usize) -> Range<usize> {
    i * items / parts..(i + 1) * items / parts
}

/// `body(i, part i)` for each of so many even parts of `out` in whole rows of `row` elements (the last may be shorter), on up to
/// `threads` threads.
pub(crate) fn for_parts<T: Send>(
    threads: usize,
    out: &mut [T],
    (row, parts): (usize, usize),
    body: impl Fn(usize, &mut [T]) + Sync,
) {
    let rows = out.len().div_ceil(row);
    let out = Chunks::new(out, row);
    run(threads, parts, |i| {
        // SAFETY: even parts do not overlap, and the team calls the closure once for each index.
        body(i, unsafe { out.range(even(i, parts, rows)) });
    });
}

/// A slice whose chunks several threads change, each chunk by one of them.
pub(crate) struct Chunks<'a, T> {
    start: *mut T,
    len: usize,
    chunk: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: `get` is the only access, and its callers promise that no element is reached twice.
unsafe impl<T: Send> Sync for Chunks<'_, T> {}

impl<'a, T> Chunks<'a, T> {
    /// Chunks of `chunk` elements; the last ones may be shorter or empty.
    pub(crate) fn new(slice: &'a mut [T], chunk: usize) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), chunk, slice: PhantomData }
    }

    /// Chunk `i`, empty where the slice has ended.
    ///
    /// # Safety
    /// No chunk may be asked for again while what was given out for it lives.
    #[expect(clippy::mut_from_ref, reason = "each chunk is given out once, as the caller promises")]
    pub(crate) unsafe fn get(&self, i: usize) -> &mut [T] {
        // SAFETY: guaranteed by the caller.
        unsafe { self.range(i..i + 1) }
    }

    /// Some chunks as one.
    ///
    /// # Safety
    /// As for [`get`](Self::get).
    #[expect(clippy::mut_from_ref, reason = "each chunk is given out once, as the caller promises")]
    unsafe fn range(&self, chunks: Range<usize>) -> &mut [T] {
        let (from, to) = ((chunks.start * self.chunk).min(self.len), (chunks.end * self.chunk).min(self.len));
        // SAFETY: from..to lies within the slice, which is borrowed for 'a; different chunks do not overlap.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), to - from) }
    }
}

/// Like [`for_chunks`] over an output and several more, all of one length.
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
        // SAFETY: chunks of each index are asked for once.
        let others = others.each_ref().map(|other| unsafe { other.get(i) });
        body(i, out, others);
    });
}

/// Sums of `len` values over `count` blocks, added to `out`: `body(block, sums)` adds its block to what `sums` holds; the
/// blocks' sums are added in their order, so the result does not depend on `threads`.
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
