//! Layers without weights: shapes, merges, borders, random zeros.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::omitted::is_default;
use crate::window::Pair;

/// All axes into one, the last axis fastest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flatten {}

/// Inputs of one shape (axes of length 1 stretch), combined element by element.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Merge {}

/// The same elements in another shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// The new shape of a sample; one entry may be -1 and takes what is left.
    pub shape: Vec<i64>,
}

/// Axes in another order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Permute {
    /// For each output axis the input axis it comes from, from 1 (as in Keras).
    pub dims: Vec<usize>,
}

/// Channels to blocks of pixels: `[h, w, c] -> [h * block, w * block, c / block^2]` (TensorFlow's order).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthToSpace {
    /// Side of a block, at least 2.
    pub block: usize,
}

/// How new pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Copies of the nearest.
    #[default]
    Nearest,
    /// Bilinear, pixel centers at halves.
    Bilinear,
}

/// Each step of time repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpSampling1d {
    /// How often. Default 2.
    #[serde(default = "two")]
    pub size: usize,
}

/// Each pixel repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpSampling2d {
    /// How often, down and across. Default 2.
    #[serde(default = "pair_two")]
    pub size: Pair,
    /// How new pixels are made. Default nearest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interpolation: Interpolation,
}

fn two() -> usize {
    2
}

fn pair_two() -> Pair {
    Pair::square(2)
}

/// Amounts cut from or added to both ends of time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Border1d {
    /// Before the start. Default 0.
    pub before: usize,
    /// After the end. Default 0.
    pub after: usize,
}

/// Amounts cut from or added to an image's borders.
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

/// Inputs side by side.
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

/// Random zeros in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Share that is set to zero, in [0, 1).
    pub rate: f64,
}
