//! Assigns offsets to buffers with different lifetimes, reusing memory.

use std::ops::Range;

use tinsmith_kernels::arena::LINE;

/// Length of a buffer, and the first and last time of its use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) len: usize,
    pub(super) first: usize,
    pub(super) last: usize,
}

/// Returns an offset for each buffer, with no overlap among buffers live at the same time, and the total size. Larger
/// buffers are placed first, each at the lowest free offset (greedy by size; Pisarchyk and Lee, arXiv 2001.03288).
pub(super) fn place(buffers: &[Lifetime]) -> (Vec<Range<usize>>, usize) {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].len), buffers[i].first, i));
    let mut ranges = vec![0..0; buffers.len()];
    let mut placed: Vec<usize> = Vec::with_capacity(buffers.len());
    let mut whole = 0;
    for i in order {
        let buffer = buffers[i];
        let meets = |&&k: &&usize| buffers[k].first <= buffer.last && buffer.first <= buffers[k].last;
        let mut taken: Vec<Range<usize>> = placed.iter().filter(meets).map(|&k| ranges[k].clone()).collect();
        taken.sort_by_key(|r| r.start);
        let mut at = 0;
        for range in taken {
            if range.start >= at + buffer.len {
                break;
            }
            at = at.max(range.end.next_multiple_of(LINE));
        }
        ranges[i] = at..at + buffer.len;
        whole = whole.max(ranges[i].end);
        if buffer.len > 0 {
            placed.push(i);
        }
    }
    (ranges, whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_one_time_lie_apart_and_others_share() {
        let buffers = [(100, 0, 2), (50, 1, 3), (100, 3, 5), (7, 0, 5), (0, 2, 2)]
            .map(|(len, first, last)| Lifetime { len, first, last });
        let (ranges, whole) = place(&buffers);
        for (i, a) in buffers.iter().enumerate() {
            assert_eq!(ranges[i].len(), a.len);
            for (k, b) in buffers.iter().enumerate().skip(i + 1) {
                let meet = a.first <= b.last && b.first <= a.last;
                let overlap = ranges[i].start < ranges[k].end && ranges[k].start < ranges[i].end;
                assert!(!(meet && overlap && a.len > 0 && b.len > 0), "{i} and {k}");
            }
        }
        assert_eq!(ranges[0], ranges[2], "the second large one takes the place of the first");
        assert!(whole < 257);
    }
}
