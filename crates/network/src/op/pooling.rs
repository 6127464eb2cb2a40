//! Pooling over windows and over all positions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::omitted::is_default;
use crate::activation::Activation;
use crate::quantizer::Quantizer;
use crate::window::{Padding, Pair};

/// Pooling over windows of time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool1d {
    /// Size of the window. Default 2.
    pub size: usize,
    /// Stride, in input elements. Default: the window's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// Border rule, valid or same. Default valid.
    #[serde(skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Quantizer of the mean's reciprocal factor; average pooling only (`QAveragePooling2D`). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_quantizer: Option<Quantizer>,
    /// Activation of the result. Default linear.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
}

impl Default for Pool1d {
    fn default() -> Self {
        Self {
            size: 2,
            stride: None,
            padding: Padding::Valid,
            average_quantizer: None,
            activation: Activation::Linear,
        }
    }
}

impl Pool1d {
    /// Creates adjacent windows of `size`.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size, ..Self::default() }
    }

    /// The stride, `size` if not set.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride.unwrap_or(self.size)
    }
}

/// Pooling over windows of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pool2d {
    /// Size of the window. Default 2.
    pub size: Pair,
    /// Stride, in input elements. Default: the window's size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<Pair>,
    /// Border rule, valid or same. Default valid.
    #[serde(skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Quantizer of the mean's reciprocal factor; average pooling only (`QAveragePooling2D`). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_quantizer: Option<Quantizer>,
    /// Activation of the result. Default linear.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
}

impl Default for Pool2d {
    fn default() -> Self {
        Self {
            size: Pair::square(2),
            stride: None,
            padding: Padding::Valid,
            average_quantizer: None,
            activation: Activation::Linear,
        }
    }
}

impl Pool2d {
    /// Creates adjacent windows of `size`.
    #[must_use]
    pub fn new(size: impl Into<Pair>) -> Self {
        Self { size: size.into(), ..Self::default() }
    }

    /// The stride, `size` if not set.
    #[must_use]
    pub fn stride(&self) -> Pair {
        self.stride.unwrap_or(self.size)
    }
}

/// Pooling over all positions: `[.., c] -> [c]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GlobalPool {
    /// Keeps the pooled axes, with length 1. Default false.
    pub keep_dims: bool,
    /// Quantizer of the mean's reciprocal factor; average pooling only (`QGlobalAveragePooling2D`). Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average_quantizer: Option<Quantizer>,
    /// Activation of the result. Default linear.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
}
