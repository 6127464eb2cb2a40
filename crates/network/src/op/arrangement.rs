//! Layers without weights: shapes, merges, borders, dropout.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::omitted::is_default;
use crate::window::Pair;

/// Merges all axes into one, the last axis fastest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flatten {}

/// Element-wise combination of inputs of one shape; axes of length 1 are broadcast.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {}

/// Changes the shape and keeps the order of the elements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// New shape of a sample; one entry may be -1, for the remaining elements.
    pub shape: Vec<i64>,
}

/// Transposes the axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permute {
    /// Source axis of each output axis, counted from 1 as in Keras.
    pub dims: Vec<usize>,
}

/// Moves channels into blocks of pixels: `[h, w, c] -> [h * block, w * block, c / block^2]` (TensorFlow's order).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthToSpace {
    /// Side length of a block, at least 2.
    pub block: usize,
}

/// Interpolation of new pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Copies of the nearest pixel.
    #[default]
    Nearest,
    /// Bilinear, pixel centers at halves.
    Bilinear,
}

/// Repeats each time step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpSampling1d {
    /// Repetitions. Default 2.
    #[serde(default = "two")]
    pub size: usize,
}

/// Enlarges an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpSampling2d {
    /// Factors for height and width. Default 2.
    #[serde(default = "pair_two")]
    pub size: Pair,
    /// Interpolation of new pixels. Default nearest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interpolation: Interpolation,
}

fn two() -> usize {
    2
}

fn pair_two() -> Pair {
    Pair::square(2)
}

/// Amounts removed from or added to both ends of the time axis.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Border1d {
    /// Before the start. Default 0.
    pub before: usize,
    /// After the end. Default 0.
    pub after: usize,
}

/// Amounts removed from or added to an image's borders.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Border2d {
    /// Above. Default 0.
    pub top: usize,
    /// Below. Default 0.
    pub bottom: usize,
    /// Left. Default 0.
    pub left: usize,
    /// Right. Default 0.
    pub right: usize,
}

/// Concatenation of inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Concat {
    /// The axis (from 1, the batch being 0, or negative from the end, as in Keras). Default -1.
    #[serde(default = "last_axis")]
    pub axis: i64,
}

fn last_axis() -> i64 {
    -1
}

impl Default for Concat {
    fn default() -> Self {
        Self { axis: -1 }
    }
}

/// Random zeros in training; the other values are scaled up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Fraction of values that are set to zero, in [0, 1).
    pub rate: f64,
}
