//! Layers that act in training only, at random.

use candle_core::Tensor;
use tinsmith_core_tensor::ops;

use super::{Context, LayerForward};
use crate::error::Result;

/// Dropout of elements, or of whole samples.
#[derive(Debug)]
pub(super) struct Noise {
    rate: f64,
    by_sample: bool,
}

impl Noise {
    /// Inverted dropout (Srivastava et al., JMLR 15, 2014).
    pub(super) const fn per_element(rate: f64) -> Self {
        Self { rate, by_sample: false }
    }

    /// Stochastic depth (Huang et al., arXiv 1603.09382) of a residual branch, with surviving samples scaled up.
    pub(super) const fn per_sample(rate: f64) -> Self {
        Self { rate, by_sample: true }
    }
}

impl LayerForward for Noise {
    fn forward(&self, cx: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        let Some(seed) = cx.seed("noise").filter(|_| self.rate > 0.0) else { return Ok(x.clone()) };
        let mut rng = seed.rng();
        if !self.by_sample {
            return Ok(ops::dropout(x, self.rate, &mut rng)?);
        }
        let mut shape = vec![1; x.rank()];
        shape[0] = x.dim(0)?;
        let factors = Tensor::ones(shape, x.dtype(), x.device())?;
        Ok(x.broadcast_mul(&ops::dropout(&factors, self.rate, &mut rng)?)?)
    }
}
