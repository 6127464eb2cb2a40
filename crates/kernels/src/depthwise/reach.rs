//! Ranges of kernel taps that lie within the source, for each pixel, one axis at a time.

use std::ops::Range;

use crate::conv::{ConvShape, Phase};
use crate::lanes::LANES;

/// Maximum number of taps along an axis.
pub(super) const MAX_TAPS: usize = 5;

/// Positions along one axis of a result, and their taps in the source: tap `t` of position `i` lies at `from + i step
/// + t delta`, if that is within `size` places.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReachAxis {
    pub(super) count: usize,
    /// Position `i` is position `first + i stride` of the result.
    pub(super) first: usize,
    pub(super) stride: usize,
    pub(super) taps: usize,
    pub(super) from: isize,
    pub(super) step: usize,
    pub(super) delta: usize,
    pub(super) size: usize,
}

/// Consecutive positions with the same valid taps.
#[derive(Debug, Clone, Default)]
pub(super) struct Segment {
    pub(super) positions: Range<usize>,
    pub(super) taps: Range<usize>,
}

impl ReachAxis {
    /// Axes of height and width of the output, with taps in the input.
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

    /// Axis of the input positions of a phase, with taps among `size` output positions.
    pub(super) const fn backward(phase: &Phase, stride: usize, size: usize) -> Self {
        let &Phase { first, count, taps, from, delta, .. } = phase;
        Self { count, first, stride, taps, from, step: 1, delta, size }
    }

    /// Taps of position `i` that lie within the source.
    fn reaching(&self, i: usize) -> Range<usize> {
        let first = (0..self.taps).take_while(|&tap| self.place(i, tap) < 0).count();
        let behind = |tap: &usize| self.place(i, *tap) < self.size as isize;
        let end = first + (first..self.taps).take_while(behind).count();
        if first < end { first..end } else { 0..0 }
    }

    /// The next position after `i` with possibly other valid taps.
    fn change(&self, i: usize) -> usize {
        // First position at which a tap reaches a place.
        let reaches = |tap: usize, place: isize| {
            let distance = (place - self.place(0, tap)).max(0) as usize;
            if self.step == 1 { distance } else { distance.div_ceil(self.step) }
        };
        let bounds = (0..self.taps).flat_map(|tap| [reaches(tap, 0), reaches(tap, self.size as isize)]);
        bounds.filter(|&bound| bound > i).min().map_or(self.count, |bound| bound.min(self.count))
    }

    /// Splits all positions into segments. Each tap enters and leaves the source at most once, so there are at most
    /// two segments per tap and one more.
    pub(super) fn segments(&self) -> ([Segment; 2 * MAX_TAPS + 1], usize) {
        let mut segments: [Segment; 2 * MAX_TAPS + 1] = Default::default();
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

    /// Place of tap `tap` of position `i`, which must lie within the source.
    pub(super) const fn source(&self, i: usize, tap: usize) -> usize {
        self.place(i, tap) as usize
    }
}

/// A rectangle of pixels with the same valid taps.
pub(super) struct Reach {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    /// Number of valid taps, down and across; both 0 if there are none.
    pub(super) taps: (usize, usize),
    /// The first valid tap, down and across.
    pub(super) tap: (usize, usize),
    /// Offset in the source of the first pixel's first tap, in elements.
    pub(super) source: usize,
}

/// All pixels, grouped by their valid taps.
pub(super) struct Reaches<'a> {
    axes: [&'a ReachAxis; 2],
    segments: [([Segment; 2 * MAX_TAPS + 1], usize); 2],
}

impl<'a> Reaches<'a> {
    pub(super) fn new(down: &'a ReachAxis, across: &'a ReachAxis) -> Self {
        Self { axes: [down, across], segments: [down.segments(), across.segments()] }
    }

    /// Calls `body` for each group; pixels of the source have `c` channels.
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

/// Calls `$body` with the numbers of taps as constants (both 0 if there are none), for kernels that [`fits`] accepts.
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

/// Tells if pixels are computed one by one, with channels in vectors and the weights of all taps in registers: for
/// kernels up to 3 by 3 or 1 by 5, multiplier 1, and channels that fill at least half of their vectors.
pub(super) const fn fits(shape: &ConvShape) -> bool {
    let small =
        shape.kernel_h <= 3 && shape.kernel_w <= 3 || shape.kernel_h == 1 && shape.kernel_w <= MAX_TAPS;
    small && shape.in_c == shape.out_c && shape.out_c >= 8
}

/// Like [`fits`], for the parameter gradients. There, partly filled vectors cost more than copying lines.
pub(super) const fn fits_sums(shape: &ConvShape) -> bool {
    fits(shape) && shape.out_c.is_multiple_of(LANES)
}
