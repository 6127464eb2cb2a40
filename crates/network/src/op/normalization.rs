//! Batch and layer normalization.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantizer::Quantizer;

/// Batch normalization over the last axis: `gamma (x - mean) / sqrt(variance + epsilon) + beta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchNorm {
    /// Weight of the previous moving statistics at each step. Default 0.99.
    pub momentum: f64,
    /// Added to the variance. Default 0.001.
    pub epsilon: f64,
    /// Has a learned `beta`. Default true.
    pub center: bool,
    /// Has a learned `gamma`. Default true.
    pub scale: bool,
    /// Trains it folded into the preceding layer's weights, which are quantized after folding, as QKeras'
    /// `QConv2DBatchnorm` does. The preceding layer must be dense, a convolution or depthwise, have a linear activation
    /// and feed nothing else. Default false.
    pub fold: bool,
    /// Quantizer of gamma. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gamma_quantizer: Option<Quantizer>,
    /// Quantizer of beta. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta_quantizer: Option<Quantizer>,
    /// Quantizer of mean. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_quantizer: Option<Quantizer>,
    /// Quantizer of variance. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variance_quantizer: Option<Quantizer>,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self {
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            fold: false,
            gamma_quantizer: None,
            beta_quantizer: None,
            mean_quantizer: None,
            variance_quantizer: None,
        }
    }
}

/// Layer normalization over the last axis of each sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LayerNorm {
    /// Added to the variance. Default 0.001.
    pub epsilon: f64,
    /// Has a learned `beta`. Default true.
    pub center: bool,
    /// Has a learned `gamma`. Default true.
    pub scale: bool,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { epsilon: 1e-3, center: true, scale: true }
    }
}
