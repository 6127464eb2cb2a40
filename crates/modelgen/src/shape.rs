//! Shape of the features during a draw.

/// Shape of one sample's features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[features]`.
    Flat(usize),
    /// `[time, channels]`.
    Series([usize; 2]),
    /// `[height, width, channels]`.
    Image([usize; 3]),
}

impl Shape {
    /// Returns the number of axes.
    #[must_use]
    pub const fn rank(self) -> usize {
        match self {
            Self::Flat(_) => 1,
            Self::Series(_) => 2,
            Self::Image(_) => 3,
        }
    }

    /// Returns the length of the last axis.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Flat(n) => n,
            Self::Series([_, c]) | Self::Image([_, _, c]) => c,
        }
    }

    /// Returns the length of the shortest axis except the channels; 1 for flat features.
    #[must_use]
    pub fn side(self) -> usize {
        match self {
            Self::Flat(_) => 1,
            Self::Series([t, _]) => t,
            Self::Image([h, w, _]) => h.min(w),
        }
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn elements(self) -> usize {
        match self {
            Self::Flat(n) => n,
            Self::Series([t, c]) => t * c,
            Self::Image([h, w, c]) => h * w * c,
        }
    }

    /// Returns the shape in the form a specification uses.
    #[must_use]
    pub fn to_vec(self) -> Vec<usize> {
        match self {
            Self::Flat(n) => vec![n],
            Self::Series(shape) => shape.to_vec(),
            Self::Image(shape) => shape.to_vec(),
        }
    }

    pub(crate) fn with_channels(self, c: usize) -> Self {
        match self {
            Self::Flat(_) => Self::Flat(c),
            Self::Series([t, _]) => Self::Series([t, c]),
            Self::Image([h, w, _]) => Self::Image([h, w, c]),
        }
    }

    /// Applies `change` to every axis except the channels.
    pub(crate) fn map_sides(self, change: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Flat(n) => Self::Flat(n),
            Self::Series([t, c]) => Self::Series([change(t), c]),
            Self::Image([h, w, c]) => Self::Image([change(h), change(w), c]),
        }
    }
}
