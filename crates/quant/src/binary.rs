//! `binary`, `stochastic_binary` and `bernoulli`: two levels, by sign or drawn at random.

use tinsmith_foundation::Rng;

use crate::error::Result;
use crate::levels::{Levels, Pick, write_slopes};
use crate::rounding::{Rounding, Stochastic, sign_up};
use crate::scale::{Alpha, Channels, Scale};
use crate::stochastic::{Chance, deviation};

/// The sign, +1 at 0, or 0 and 1 in place of -1 and 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BySign {
    pub(crate) zero_one: bool,
}

impl Pick for BySign {
    #[inline(always)]
    fn pick(&self, x: f32) -> f32 {
        let sign = sign_up(x);
        if self.zero_one { (sign + 1.0) / 2.0 } else { sign }
    }
}

/// Two levels times a fixed scale.
pub(crate) type TwoLevels = Levels<BySign>;

/// Random part of a two-level quantizer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BinaryDraw {
    /// Nothing.
    Never,
    /// In training, values are rounded at random to eighths of twice the channel's largest magnitude (at most 1),
    /// and the sign of a 0 is drawn.
    Rounded,
    /// In training, the upper level is drawn with a probability.
    Training(Chance),
    /// The upper level is drawn with a probability in inference too.
    Always(Chance),
}

/// Two levels with a fitted scale or with random draws.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binary {
    pub(crate) plain: TwoLevels,
    pub(crate) alpha: Alpha,
    pub(crate) draw: BinaryDraw,
}

impl Binary {
    /// Writes levels to `out` and derivatives to `slopes`; `rng` is present in training.
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
                    *y = self.plain.rule.pick(x);
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
                    *y = match (upper, self.plain.rule.zero_one) {
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
            *y = self.plain.rule.pick(x);
        }
    }
}

/// Rounds values at random to eighths of `2 min(max |x|, 1)` of their channel.
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
