//! Windows: sizes, strides, padding and geometry.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// Height and width. Serialized as one number if both are equal, else as `[height, width]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Pair {
    /// 1 by 1.
    pub const ONE: Self = Self::square(1);

    /// Creates a pair of equal sizes.
    #[must_use]
    pub const fn square(size: usize) -> Self {
        Self { height: size, width: size }
    }

    /// Creates a pair.
    #[must_use]
    pub const fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// Height times width.
    #[must_use]
    pub const fn area(self) -> usize {
        self.height.saturating_mul(self.width)
    }
}

impl From<usize> for Pair {
    fn from(size: usize) -> Self {
        Self::square(size)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.height == self.width {
            self.height.serialize(serializer)
        } else {
            [self.height, self.width].serialize(serializer)
        }
    }
}

struct PairVisitor;

impl<'de> Visitor<'de> for PairVisitor {
    type Value = Pair;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number or [height, width]")
    }

    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Pair, E> {
        usize::try_from(v).map(Pair::square).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(v), &self))
    }

    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Pair, E> {
        u64::try_from(v)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(v), &self))
            .and_then(|v| self.visit_u64(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Pair, A::Error> {
        let mut next = |place| seq.next_element()?.ok_or_else(|| de::Error::invalid_length(place, &self));
        let pair = Pair { height: next(0)?, width: next(1)? };
        match seq.next_element::<usize>()? {
            None => Ok(pair),
            Some(_) => Err(de::Error::invalid_length(3, &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairVisitor)
    }
}

impl JsonSchema for Pair {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pair".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One number for both, or [height, width].",
            "oneOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "array", "items": { "type": "integer", "minimum": 0 }, "minItems": 2, "maxItems": 2 },
            ],
        })
    }
}

/// Padding rule at the borders of an input (Keras' three rules).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// None: windows lie inside. Output `(n - span) / stride + 1`, rounded down.
    #[default]
    Valid,
    /// Enough for an output of `n / stride`, rounded up; the smaller half before, the larger after.
    Same,
    /// All padding at the start: no output depends on a later input. 1-D convolutions only.
    Causal,
}

/// A window that slides over two axes. A window over time has height 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Taps of a kernel, or elements of a pooling window.
    pub size: Pair,
    /// Distance between neighboring outputs, in input elements.
    pub stride: Pair,
    /// Distance between neighboring taps; 1 means adjacent.
    pub dilation: Pair,
    /// Border rule.
    pub padding: Padding,
}

impl SlidingWindow {
    /// A single element with stride 1.
    pub const POINT: Self =
        Self { size: Pair::ONE, stride: Pair::ONE, dilation: Pair::ONE, padding: Padding::Valid };

    /// Geometry of this window over a sample of shape `[features]`, `[time, channels]` or `[height, width, channels]`.
    /// All axes before the last are positions if `spatial_axes` is 0. The output is empty along an axis that the window
    /// does not fit.
    #[must_use]
    pub fn geometry(&self, input: &[usize], spatial_axes: usize) -> Geometry {
        let channels = input.last().copied().unwrap_or(1);
        let positions = &input[..input.len().saturating_sub(1)];
        let (height, width) = match (spatial_axes, positions) {
            (2, &[height, width]) => (height, width),
            _ => (1, positions.iter().product()),
        };
        let axis = |n, size, stride, dilation| {
            let (before, _) = self.padding.amounts(n, size, stride, dilation);
            (before, self.padding.output_len(n, size, stride, dilation).unwrap_or(0))
        };
        let (top, rows) = if spatial_axes == 2 {
            axis(height, self.size.height, self.stride.height, self.dilation.height)
        } else {
            (0, 1)
        };
        let (left, columns) = axis(width, self.size.width, self.stride.width, self.dilation.width);
        Geometry { input: [height, width, channels], output: [rows, columns], before: [top, left] }
    }
}

/// Position of a sliding window's outputs over an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Input height, width and channels.
    pub input: [usize; 3],
    /// Output height and width.
    pub output: [usize; 2],
    /// Padding above and to the left.
    pub before: [usize; 2],
}

/// Span of a window with `kernel` taps, `dilation` apart: `(kernel - 1) * dilation + 1`, saturating.
#[must_use]
pub const fn span(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

impl Padding {
    /// Output length of a window operation along one axis; None if the window does not fit.
    #[must_use]
    pub fn output_len(self, n: usize, kernel: usize, stride: usize, dilation: usize) -> Option<usize> {
        let span = span(kernel, dilation);
        match self {
            Self::Same | Self::Causal => Some(n.div_ceil(stride)),
            Self::Valid => n.checked_sub(span).map(|rest| rest / stride + 1),
        }
    }

    /// Padding (before, after) along one axis.
    #[must_use]
    pub fn amounts(self, n: usize, kernel: usize, stride: usize, dilation: usize) -> (usize, usize) {
        let span = span(kernel, dilation);
        match self {
            Self::Valid => (0, 0),
            Self::Causal => (span - 1, 0),
            Self::Same => {
                let total = ((n.div_ceil(stride).max(1) - 1) * stride).saturating_add(span).saturating_sub(n);
                (total / 2, total - total / 2)
            }
        }
    }

    /// Output length of a transposed convolution along one axis (Keras' rule without output padding).
    #[must_use]
    pub fn transposed_len(self, n: usize, kernel: usize, stride: usize, dilation: usize) -> usize {
        match self {
            Self::Same => n.saturating_mul(stride),
            Self::Valid | Self::Causal => {
                n.saturating_mul(stride).saturating_add(span(kernel, dilation).saturating_sub(stride))
            }
        }
    }
}
