//! Which taps of a kernel reach which pixels, one axis at a time.

use std::ops::Range;

use crate::conv::{ConvShape, Phase};
use crate::lanes::LANES;

/// The most taps along an axis.
pub(super) const TAPS: usize = 5;

/// Positions along one axis of a result, and where their taps lie in the source: tap `t` of position `i` in
/// `from + i step + t delta`, where that is one of `size` places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) count: usize,
    /// Position `i` is the result's `first + i stride`.
    pub(super) first: usize,
    pub(super) stride: usize,
    pub(super) taps: usize,
    pub(super) from: isize,
    pub(super) step: usize,
    pub(super) delta: usize,
    pub(super) size: usize,
}

/// Neighbouring positions that the same taps reach.
#[derive(Debug, Clone, Default)]
pub(super) struct Segment {
    pub(super) positions: Range<usize>,
    pub(super) taps: Range<usize>,
}

impl Axis {
    /// Height and width of the output, with taps in the input.
    pub(super) fn forward(shape: &ConvShape) -> [Self; 2] {
        let axis = |count, taps, (stride, dilation, pad): (usize, usize, usize), size| Self {
            count,
            first: 0,
            stride: 1,
            taps,
            from: -(pad as isize),
            step: stride,
            delta: dilation,
            size,
        };
        let (s, d, p) = (shape.stride, shape.dilation, shape.pad);
        [
            axis(shape.out_h, shape.kernel_h, (s.0, d.0, p.0), shape.in_h),
            axis(shape.out_w, shape.kernel_w, (s.1, d.1, p.1), shape.in_w),
        ]
    }

    /// The input positions of a phase, with taps in one of `size` output positions.
    pub(super) const fn backward(phase: &Phase, stride: usize, size: usize) -> Self {
        let &Phase { first, count, taps, from, delta, .. } = phase;
        Self { count, first, stride, taps, from, step: 1, delta, size }
    }

    /// Taps that lie in the source, for position `i`.
    fn reaching(&self, i: usize) -> Range<usize> {
        let first = (0..self.taps).take_while(|&tap| self.place(i, tap) < 0).count();
        let behind = |tap: &usize| self.place(i, *tap) < self.size as isize;
        let end = first + (first..self.taps).take_while(behind).count();
        if first < end { first..end } else { 0..0 }
    }

    /// The next position after `i` that other taps may reach.
    fn change(&self, i: usize) -> usize {
        // Where a tap comes to lie at or behind a place.
        let reaches = |tap: usize, place: isize| {
            let distance = (place - self.place(0, tap)).max(0) as usize;
            if self.step == 1 { distance } else { distance.div_ceil(self.step) }
        };
        let bounds = (0..self.taps).flat_map(|tap| [reaches(tap, 0), reaches(tap, self.size as isize)]);
        bounds.filter(|&bound| bound > i).min().map_or(self.count, |bound| bound.min(self.count))
    }

    /// All positions. The first and the last tap of a position wander, so there are at most two segments for each tap,
    /// and one more.
    pub(super) fn segments(&self) -> ([Segment; 2 * TAPS + 1], usize) {
        let mut segments: [Segment; 2 * TAPS + 1] = Default::default();
        let (mut count, mut i) = (0, 0);
        while i < self.count {
            let end = self.change(i);
            segments[count] = Segment { positions: i..end, taps: self.reaching(i) };
            (count, i) = (count + 1, end);
        }
        (segments, count)
    }

    const fn place(&self, i: usize, tap: usize) -> isize {
        self.from + (i * self.step + tap * self.delta) as isize
    }

    /// Where tap `tap` of position `i` lies, if it does.
    pub(super) const fn source(&self, i: usize, tap: usize) -> usize {
        self.place(i, tap) as usize
    }
}

/// Pixels that the same taps reach.
pub(super) struct Reach {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// How many taps, down and across; 0 and 0 where there is none.
    pub(super) taps: (usize, usize),
    /// The first of them, likewise.
    pub(super) tap: (usize, usize),
    /// Where it lies in the source for the first pixel, in elements.
    pub(super) source: usize,
}

/// All pixels, by the taps that reach them.
pub(super) struct Reaches<'a> {
    axes: [&'a Axis; 2],
    segments: [([Segment; 2 * TAPS + 1], usize); 2],
}

impl<'a> Reaches<'a> {
    pub(super) fn new(down: &'a Axis, across: &'a Axis) -> Self {
        Self { axes: [down, across], segments: [down.segments(), across.segments()] }
    }

    /// `body` for each, of a source of `c` channels.
    #[inline(always)]
    pub(super) fn for_each(&self, c: usize, mut body: impl FnMut(Reach)) {
        let ([down, across], [(rows, row_count), (columns, column_count)]) = (self.axes, &self.segments);
        for row in &rows[..*row_count] {
            for column in &columns[..*column_count] {
                let (tap, mut taps) =
                    ((row.taps.start, column.taps.start), (row.taps.len(), column.taps.len()));
                let mut source = 0;
                if taps.0 == 0 || taps.1 == 0 {
                    taps = (0, 0);
                } else {
                    let line = down.source(row.positions.start, tap.0);
                    source = (line * across.size + across.source(column.positions.start, tap.1)) * c;
                }
                let (rows, columns) = (row.positions.clone(), column.positions.clone());
                body(Reach { rows, columns, taps, tap, source });
            }
        }
    }
}

/// Calls `$body` with the numbers of taps as constants, 0 and 0 where there is none, for kernels that [`fits`] lets
/// through.
macro_rules! by_taps {
    ($height:expr, $width:expr, $body:ident :: <$s:ident> $args:tt) => {
        match ($height, $width) {
            (1, 1) => $body::<$s, 1, 1> $args,
            (1, 2) => $body::<$s, 1, 2> $args,
            (1, 3) => $body::<$s, 1, 3> $args,
            (1, 4) => $body::<$s, 1, 4> $args,
            (1, 5) => $body::<$s, 1, 5> $args,
            (2, 1) => $body::<$s, 2, 1> $args,
            (2, 2) => $body::<$s, 2, 2> $args,
            (2, 3) => $body::<$s, 2, 3> $args,
            (3, 1) => $body::<$s, 3, 1> $args,
            (3, 2) => $body::<$s, 3, 2> $args,
            (3, 3) => $body::<$s, 3, 3> $args,
            _ => $body::<$s, 0, 0> $args,
        }
    };
}
pub(super) use by_taps;

/// Whether pixels are computed one by one, their channels in vectors and all taps' weights in registers: kernels of
/// up to 3 by 3 or 1 by 5 over channels that fill at least half of their vectors, each with one kernel.
pub(super) const fn fits(shape: &ConvShape) -> bool {
    let small = shape.kernel_h <= 3 && shape.kernel_w <= 3 || shape.kernel_h == 1 && shape.kernel_w <= TAPS;
    small && shape.in_c == shape.out_c && shape.out_c >= 8
}

/// The same for the parameter gradients, where vectors that are not full cost more than the copies that fill them.
pub(super) const fn fits_sums(shape: &ConvShape) -> bool {
    fits(shape) && shape.out_c.is_multiple_of(LANES)
}
