//! One view of the pooling layers: windows and global, maximum and mean, over time and over images.

use crate::activation::Activation;
use crate::op::Op;
use crate::quantizer::Quantizer;
use crate::window::{Pair, SlidingWindow};

/// Settings of a pooling layer; read by [`Op::pooling`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pooling<'a> {
    /// Spatial axes of the input: 1 (time) or 2 (image).
    pub spatial_axes: usize,
    /// Sliding window; none for global pooling, whose window is the whole input.
    pub window: Option<SlidingWindow>,
    /// True for the mean, false for the maximum.
    pub takes_mean: bool,
    /// True if the pooled axes stay, with length 1. Always true for sliding windows.
    pub keep_dims: bool,
    /// Quantizer of the mean's reciprocal factor.
    pub average_quantizer: Option<&'a Quantizer>,
    /// Activation of the result.
    pub activation: &'a Activation,
}

impl Pooling<'_> {
    /// Elements under one window, for an input of shape `input`.
    #[must_use]
    pub fn area(&self, input: &[usize]) -> u64 {
        match self.window {
            Some(window) => crate::product::elements(&[window.size.height, window.size.width]),
            None => crate::product::elements(&input[..input.len().saturating_sub(1)]),
        }
    }
}

impl Op {
    /// The pooling that this layer computes; none for layers of other kinds.
    #[must_use]
    pub fn pooling(&self) -> Option<Pooling<'_>> {
        let takes_mean = matches!(
            self,
            Self::AveragePool1d(_)
                | Self::AveragePool2d(_)
                | Self::GlobalAveragePool1d(_)
                | Self::GlobalAveragePool2d(_)
        );
        Some(match self {
            Self::MaxPool1d(l) | Self::AveragePool1d(l) => Pooling {
                spatial_axes: 1,
                window: Some(SlidingWindow {
                    size: Pair::new(1, l.size),
                    stride: Pair::new(1, l.stride()),
                    dilation: Pair::ONE,
                    padding: l.padding,
                }),
                takes_mean,
                keep_dims: true,
                average_quantizer: l.average_quantizer.as_ref(),
                activation: &l.activation,
            },
            Self::MaxPool2d(l) | Self::AveragePool2d(l) => Pooling {
                spatial_axes: 2,
                window: Some(SlidingWindow {
                    size: l.size,
                    stride: l.stride(),
                    dilation: Pair::ONE,
                    padding: l.padding,
                }),
                takes_mean,
                keep_dims: true,
                average_quantizer: l.average_quantizer.as_ref(),
                activation: &l.activation,
            },
            Self::GlobalMaxPool1d(l)
            | Self::GlobalMaxPool2d(l)
            | Self::GlobalAveragePool1d(l)
            | Self::GlobalAveragePool2d(l) => Pooling {
                spatial_axes: if matches!(self, Self::GlobalMaxPool1d(_) | Self::GlobalAveragePool1d(_)) {
                    1
                } else {
                    2
                },
                window: None,
                takes_mean,
                keep_dims: l.keep_dims,
                average_quantizer: l.average_quantizer.as_ref(),
                activation: &l.activation,
            },
            _ => return None,
        })
    }
}
