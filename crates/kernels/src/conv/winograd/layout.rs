//! Algorithms, tiles of images, and the memory layout of transformed values.

use crate::conv::shape::ConvShape;
use crate::lanes::LANES;
use crate::tile::PANEL;

/// An algorithm, named by its output tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// `F(2x2, 3x3)`
    Square2,
    /// `F(4x4, 3x3)`
    Square4,
    /// `F(4, 3)` along the width.
    Line3,
    /// `F(4, 5)` along the width.
    Line5,
}

impl Algorithm {
    /// Selects the algorithm for a convolution, if one pays.
    pub(crate) fn of(shape: &ConvShape) -> Option<Self> {
        let plain = shape.stride == (1, 1) && shape.dilation == (1, 1) && shape.groups == 1;
        // With fewer channels the transforms cost more than the multiplications saved. Whole vectors keep the
        // transforms free of masks.
        let whole = shape.in_c.is_multiple_of(LANES) && shape.out_c.is_multiple_of(LANES);
        if shape.exact || !plain || !whole {
            return None;
        }
        match (shape.kernel_h, shape.kernel_w) {
            (3, 3) if shape.out_h.min(shape.out_w).min(shape.in_h).min(shape.in_w) > 2 => Some(Self::Square4),
            (3, 3) => Some(Self::Square2),
            (1, 3) if shape.out_w > 2 => Some(Self::Line3),
            (1, 5) if shape.out_w > 2 => Some(Self::Line5),
            _ => None,
        }
    }

    pub(super) const fn points(self) -> usize {
        match self {
            Self::Square2 => 16,
            Self::Square4 => 36,
            Self::Line3 => 6,
            Self::Line5 => 8,
        }
    }

    /// Height and width of an output tile.
    pub(super) const fn results(self) -> (usize, usize) {
        match self {
            Self::Square2 => (2, 2),
            Self::Square4 => (4, 4),
            Self::Line3 | Self::Line5 => (1, 4),
        }
    }
}

/// Positions of tiles in a batch of images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    /// Height, width and channels of the images.
    pub(super) image: (usize, usize, usize),
    /// Number of tiles down and across.
    pub(super) count: (usize, usize),
    /// Distance between tiles.
    pub(super) step: (usize, usize),
    /// Distance from the first tile's corner to the image's.
    pub(super) pad: (isize, isize),
}

impl Tiles {
    pub(super) const fn per_sample(&self) -> usize {
        self.count.0 * self.count.1
    }

    /// Sample of tile `i`, and the line and column of its corner within the image.
    #[inline(always)]
    pub(super) const fn at(&self, i: usize) -> (usize, isize, isize) {
        let (sample, within) = (i / self.per_sample(), i % self.per_sample());
        let (y, x) = (within / self.count.1, within % self.count.1);
        (sample, (y * self.step.0) as isize - self.pad.0, (x * self.step.1) as isize - self.pad.1)
    }

    pub(super) const fn sample(&self) -> usize {
        self.image.0 * self.image.1 * self.image.2
    }
}

/// Elements between the matrices of neighbouring points. Without this gap all points would lie at multiples of a
/// power of two and compete for the same cache sets.
pub(super) const GAP: usize = LANES;

/// Stride between the points' matrices, for matrices of `len` elements.
pub(super) const fn stride(len: usize) -> usize {
    len + GAP
}

/// Memory layout of transformed tiles: panels of `width` channels, each with one (tile, channel) matrix per point.
#[derive(Debug, Clone, Copy)]
pub(super) struct PointLayout {
    pub(super) first: usize,
    pub(super) count: usize,
    pub(super) width: usize,
}

impl PointLayout {
    /// Elements of `points` points of `channels` channels.
    pub(super) const fn len(&self, points: usize, channels: usize) -> usize {
        points * (self.count * channels + channels.div_ceil(self.width) * GAP)
    }

    /// Stride between points in the panel that starts at channel `first`.
    pub(super) const fn stride(&self, channels: usize, first: usize) -> usize {
        let left = channels - first;
        stride(self.count * if left < self.width { left } else { self.width })
    }

    /// Offset of the panel that starts at channel `first`.
    pub(super) const fn panel(&self, points: usize, first: usize) -> usize {
        first / self.width * points * stride(self.count * self.width)
    }
}

/// Memory layout of a transformed kernel: input channels take the place of tiles, filters that of channels.
pub(super) const fn kernel_points(channels: usize) -> PointLayout {
    PointLayout { first: 0, count: channels, width: PANEL }
}
