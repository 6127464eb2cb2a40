//! `binary`, `stochastic_binary` and `bernoulli`: two levels, by the sign or drawn at random.

use tinsmith_foundation::Rng;

use crate::error::Result;
use crate::pointwise::Pointwise;
use crate::rounding::{HalfEven, Rounding, Stochastic, sign_up};
use crate::scale::{Alpha, Channels, Scale};
use crate::stochastic::{Chance, deviation};

/// The sign, +1 at 0, times a known scale; or 0 and 1 in place of -1 and 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TwoLevels {
    pub(crate) zero_one: bool,
    pub(crate) alpha: f32,
    /// Whether the gradient is that of tanh (where no alpha was given), else 1.
    pub(crate) tanh_slope: bool,
}

impl Pointwise for TwoLevels {
    #[inline(always)]
    fn raw<R: Rounding>(&self, x: f32, _: &mut R) -> f32 {
        let sign = sign_up(x);
        if self.zero_one { (sign + 1.0) / 2.0 } else { sign }
    }

    #[inline(always)]
    fn code(&self, raw: f32) -> f32 {
        raw
    }

    #[inline(always)]
    fn level(&self, code: f32) -> f32 {
        self.alpha * code
    }

    #[inline(always)]
    fn smooth(&self, x: f32) -> f32 {
        if self.tanh_slope { libm::tanhf(x) } else { x }
    }

    #[inline(always)]
    fn slope(&self, x: f32, _: f32) -> f32 {
        tanh_or_one(self.tanh_slope, x)
    }

    fn slope_is_one(&self) -> bool {
        !self.tanh_slope
    }
}

/// The derivative of tanh, or 1.
#[inline(always)]
pub(crate) fn tanh_or_one(tanh: bool, x: f32) -> f32 {
    if tanh {
        let t = libm::tanhf(x);
        1.0 - t * t
    } else {
        1.0
    }
}

/// What is random about two levels.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BinaryDraw {
    /// Nothing.
    Never,
    /// In training, values are rounded at random to eighths of twice the channel's largest magnitude (at most 1),
    /// and the sign of a 0 is drawn.
    Rounded,
    /// In training, the upper level has a probability.
    Training(Chance),
    /// The upper level has a probability also outside of training.
    Always(Chance),
}

/// Two levels whose scale is chosen from the values, or that are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binary {
    pub(crate) plain: TwoLevels,
    pub(crate) alpha: Alpha,
    pub(crate) draw: BinaryDraw,
}

impl Binary {
    /// Levels into `out` and derivatives into `slopes`; `rng` is there in training.
    pub(crate) fn levels(
        &self,
        xs: &[f32],
        shape: &[usize],
        out: &mut [f32],
        slopes: Option<&mut [f32]>,
        rng: Option<Rng>,
    ) -> Result<Scale> {
        match (self.draw, rng) {
            (BinaryDraw::Rounded, Some(rng)) => {
                let mut rounding = Stochastic(rng);
                let rounded = rounded(xs, shape, &mut rounding)?;
                for (y, &x) in out.iter_mut().zip(&rounded) {
                    let x = match (x == 0.0, rounding.draw()) {
                        (true, Some(draw)) => draw - 0.5,
                        _ => x,
                    };
                    *y = self.plain.raw(x, &mut rounding);
                }
                write_slopes(&rounded, slopes, self.plain.tanh_slope);
                self.alpha.fit(&rounded, out, shape)
            }
            (BinaryDraw::Training(chance) | BinaryDraw::Always(chance), Some(mut rng)) => {
                self.signs(xs, out);
                let scale = self.alpha.fit(xs, out, shape)?;
                let (channels, _) = Channels::of("binary", shape, None)?;
                let deviation = deviation(self.alpha, channels, xs);
                channels.zip(xs, out, |channel, x, y| {
                    let upper = chance.happens(x / deviation[channel], &mut rng);
                    *y = match (upper, self.plain.zero_one) {
                        _ if x.is_nan() => x,
                        (true, _) => 1.0,
                        (false, true) => 0.0,
                        (false, false) => -1.0,
                    };
                });
                write_slopes(xs, slopes, false);
                Ok(scale)
            }
            _ => {
                self.signs(xs, out);
                write_slopes(xs, slopes, self.plain.tanh_slope);
                self.alpha.fit(xs, out, shape)
            }
        }
    }

    fn signs(&self, xs: &[f32], out: &mut [f32]) {
        for (y, &x) in out.iter_mut().zip(xs) {
            *y = self.plain.raw(x, &mut HalfEven);
        }
    }
}

/// Derivatives of tanh, or ones.
pub(crate) fn write_slopes(xs: &[f32], slopes: Option<&mut [f32]>, tanh: bool) {
    if let Some(slopes) = slopes {
        slopes.iter_mut().zip(xs).for_each(|(g, &x)| *g = tanh_or_one(tanh, x));
    }
}

/// Values rounded at random to eighths of `2 min(max |x|, 1)` of their channel.
fn rounded(xs: &[f32], shape: &[usize], rounding: &mut Stochastic) -> Result<Vec<f32>> {
    let (channels, _) = Channels::of("binary", shape, None)?;
    let largest = channels.largest(xs);
    let mut rounded = vec![0.0; xs.len()];
    channels.zip(xs, &mut rounded, |channel, x, y| {
        let step = 2.0 * largest[channel].min(1.0) / 8.0;
        *y = if step == 0.0 { x } else { step * rounding.round(x / step) };
    });
    Ok(rounded)
}
