//! Dropout with seeded masks (candle's cannot be seeded).

use candle_core::{Device, Tensor};
use tinsmith_foundation::Rng;

use super::access::check;
use crate::error::{Result, TensorError};

/// Sets every element to 0 with probability `rate` and divides the others by `1 - rate`. Each element takes one
/// 32-bit draw, in order, and is dropped if the draw is below `rate * 2^32`.
///
/// # Errors
/// [`TensorError::Argument`] if `rate` is not in [0, 1), [`TensorError::DType`] or [`TensorError::Shape`] if `x` is
/// not `f32` or is empty.
pub fn dropout(x: &Tensor, rate: f64, rng: &mut Rng) -> Result<Tensor> {
    check("dropout", &[x])?;
    if !(0.0..1.0).contains(&rate) {
        return Err(TensorError::Argument {
            op: "dropout",
            what: "rate",
            value: rate,
            want: "at least 0, below 1",
        });
    }
    if rate == 0.0 {
        return Ok(x.clone());
    }
    let mut factors = vec![0.0; x.elem_count()];
    dropout_factors(&mut factors, rate, rng);
    Ok((x * Tensor::from_vec(factors, x.shape(), &Device::Cpu)?)?)
}

/// Draws the factors by which [`dropout`] multiplies elements: 0 or `1 / (1 - rate)`. `rate` must be in [0, 1).
pub fn dropout_factors(factors: &mut [f32], rate: f64, rng: &mut Rng) {
    let (threshold, kept) = ((rate * 4_294_967_296.0) as u32, (1.0 / (1.0 - rate)) as f32);
    for factor in factors {
        *factor = if rng.next_u32() < threshold { 0.0 } else { kept };
    }
}
