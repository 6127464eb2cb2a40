//! Work split among threads by blocks whose bounds depend on the shape alone.

use super::dispatch::InstructionSet;

/// Multiplications below which a thread costs more than it saves (a scoped thread takes some 30 us to start).
const WORTH_A_THREAD: usize = 1 << 23;

/// How many multiplications of a matrix product take as long as one element's way through memory.
pub(crate) const ELEMENT: usize = 16;

/// How many of the granted `threads` to use for `work` multiplications (or comparable steps).
pub(crate) fn useful(threads: usize, work: usize) -> usize {
    threads.min(work / WORTH_A_THREAD).max(1)
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
    let first_chunk = first_chunk.max(1);
    let count = first.len().div_ceil(first_chunk);
    let threads = threads.clamp(1, count.max(1));
    let run = |from: usize, first: &mut [T], second: &mut [U]| {
        let mut rest = second;
        for (i, chunk) in first.chunks_mut(first_chunk).enumerate() {
            let (mine, others) = rest.split_at_mut(second_chunk.min(rest.len()));
            rest = others;
            body(from + i, chunk, mine);
        }
    };
    if threads == 1 {
        return run(0, first, second);
    }
    let set = InstructionSet::current();
    std::thread::scope(|scope| {
        let (mut first, mut second) = (first, second);
        for t in 0..threads {
            let (from, to) = (t * count / threads, (t + 1) * count / threads);
            let (mine, others) = first.split_at_mut(((to - from) * first_chunk).min(first.len()));
            first = others;
            let (my_second, others) = second.split_at_mut(((to - from) * second_chunk).min(second.len()));
            second = others;
            if t + 1 == threads {
                run(from, mine, my_second);
            } else {
                let run = &run;
                scope.spawn(move || set.limit(|| run(from, mine, my_second)));
            }
        }
    });
}

/// Sums of `len` values over `count` blocks: `body(block, sums)` adds its block to zeroed sums; the blocks' sums are
/// added in their order, so the result does not depend on `threads`.
pub(crate) fn reduce(threads: usize, count: usize, out: &mut [f32], body: impl Fn(usize, &mut [f32]) + Sync) {
    out.fill(0.0);
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
