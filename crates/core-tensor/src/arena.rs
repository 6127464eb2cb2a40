//! One block of memory that a plan lays all its buffers out in.
#![expect(unsafe_code, reason = "pieces of one allocation that do not overlap are lent out side by side")]

use std::marker::PhantomData;
use std::ops::Range;

/// Elements of a cache line. Ranges that start on a multiple of it start on one.
pub const LINE: usize = 16;

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats in one allocation, aligned to cache lines.
#[derive(Debug, Clone, Default)]
pub struct Arena {
    lines: Vec<Line>,
    len: usize,
}

impl Arena {
    /// `len` zeros.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }

    /// Elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Everything.
    #[must_use]
    pub const fn as_slice(&self) -> &[f32] {
        // SAFETY: the lines are `repr(C)` arrays of `f32` without padding, and `len` is at most their number of floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    /// Everything, to be written.
    pub const fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`; `self` is borrowed for as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }

    /// Lends pieces that do not overlap, some to be read, some to be written, all at once.
    pub const fn carve(&mut self) -> Carver<'_> {
        Carver {
            base: self.lines.as_mut_ptr().cast(),
            len: self.len,
            taken: Taken { ranges: [(0, 0, false); MOST], count: 0, more: Vec::new() },
            lifetime: PhantomData,
        }
    }
}

/// Pieces that are remembered without asking the system for memory.
const MOST: usize = 24;

#[derive(Debug)]
struct Taken {
    ranges: [(usize, usize, bool); MOST],
    count: usize,
    more: Vec<(usize, usize, bool)>,
}

impl Taken {
    fn iter(&self) -> impl Iterator<Item = &(usize, usize, bool)> {
        self.ranges[..self.count].iter().chain(&self.more)
    }

    fn push(&mut self, piece: (usize, usize, bool)) {
        if self.count < MOST {
            self.ranges[self.count] = piece;
            self.count += 1;
        } else {
            self.more.push(piece);
        }
    }
}

/// Lends pieces of an [`Arena`]; made by [`Arena::carve`].
#[derive(Debug)]
pub struct Carver<'a> {
    base: *mut f32,
    len: usize,
    taken: Taken,
    lifetime: PhantomData<&'a mut [f32]>,
}

impl<'a> Carver<'a> {
    /// A piece to be read. Pieces to be read may overlap each other.
    ///
    /// # Panics
    /// Where the range does not lie within the arena or overlaps a piece that was lent to be written.
    pub fn read(&mut self, range: Range<usize>) -> &'a [f32] {
        self.take(&range, false);
        // SAFETY: the range lies within the allocation (`take` checked), which `lifetime` borrows; no piece to be
        // written overlaps it, now (`take` checked) or later (`take` remembers it).
        unsafe { std::slice::from_raw_parts(self.base.add(range.start), range.len()) }
    }

    /// A piece to be written.
    ///
    /// # Panics
    /// Where the range does not lie within the arena or overlaps any piece lent before.
    pub fn write(&mut self, range: Range<usize>) -> &'a mut [f32] {
        self.take(&range, true);
        // SAFETY: the range lies within the allocation (`take` checked), which `lifetime` borrows mutably; no other
        // piece overlaps it, now (`take` checked) or later (`take` remembers it).
        unsafe { std::slice::from_raw_parts_mut(self.base.add(range.start), range.len()) }
    }

    fn take(&mut self, range: &Range<usize>, to_write: bool) {
        let (start, end) = (range.start, range.end);
        assert!(start <= end && end <= self.len, "{start}..{end} lies within the arena of {}", self.len);
        if start == end {
            return;
        }
        let overlaps =
            self.taken.iter().any(|&(s, e, written)| (to_write || written) && s < end && start < e);
        assert!(!overlaps, "{start}..{end} overlaps a piece that is lent already");
        self.taken.push((start, end, to_write));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_where_they_should_be() {
        let mut arena = Arena::new(100);
        for (i, x) in arena.as_mut_slice().iter_mut().enumerate() {
            *x = i as f32;
        }
        assert_eq!(arena.as_slice().as_ptr().align_offset(64), 0);
        let mut carver = arena.carve();
        let (a, b) = (carver.read(0..10), carver.read(5..20));
        let c = carver.write(20..22);
        c[1] = -1.0;
        assert_eq!((a[9], b[0], c[0]), (9.0, 5.0, 20.0));
        assert_eq!(arena.as_slice()[21], -1.0);
    }

    #[test]
    fn pieces_beyond_the_small_number_are_checked_too() {
        let mut arena = Arena::new(64);
        let mut carver = arena.carve();
        for i in 0..40 {
            carver.write(i..i + 1)[0] = 1.0;
        }
        let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| carver.read(39..41).len()));
        assert!(again.is_err());
    }

    #[test]
    #[should_panic(expected = "overlaps")]
    fn a_written_piece_is_not_read() {
        let mut arena = Arena::new(8);
        let mut carver = arena.carve();
        let _ = carver.write(0..4);
        let _ = carver.read(3..5);
    }

    #[test]
    #[should_panic(expected = "lies within")]
    fn a_piece_ends_with_the_arena() {
        let _ = Arena::new(8).carve().write(4..9);
    }
}
