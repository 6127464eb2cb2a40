//! Levels drawn with the probability given by a sigmoid.

use tinsmith_foundation::Rng;

use crate::rounding::uniform;
use crate::scale::{Alpha, Channels};
use crate::tanh_sigmoid::{hard_sigmoid, sigmoid};

/// The probability `sigmoid(temperature * x)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    pub(crate) temperature: f32,
    /// True for the logistic function, false for the hard sigmoid.
    pub(crate) use_real_sigmoid: bool,
}

impl Chance {
    pub(crate) fn probability(self, x: f32) -> f32 {
        let x = self.temperature * x;
        if self.use_real_sigmoid { sigmoid(x) } else { hard_sigmoid(x) }
    }

    /// Draws once.
    pub(crate) fn happens(self, x: f32, rng: &mut Rng) -> bool {
        // Strict, so that an event of probability 0 never happens; a draw is never 1.
        uniform(rng) < self.probability(x)
    }
}

/// Divisor applied to values first: the standard deviation of their channel for a fitted scale, else 1.
pub(crate) fn deviation(alpha: Alpha, channels: Channels, xs: &[f32]) -> Vec<f32> {
    match alpha {
        Alpha::Fitted { .. } => channels.deviation(xs),
        Alpha::Fixed(_) => vec![1.0; channels.count],
    }
}
