//! `ternary` and `stochastic_ternary`: -1, 0 and 1 times a scale.

use tinsmith_foundation::Rng;

use crate::error::Result;
use crate::levels::{Levels, Pick, write_slopes};
use crate::rounding::{Rounding, Stochastic, nearest_power_of_two, round_half_even, sign};
use crate::scale::{Alpha, Channels, Scale};
use crate::stochastic::{Chance, deviation};

/// The sign if the magnitude reaches a threshold, else 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByThreshold {
    pub(crate) threshold: f32,
}

impl Pick for ByThreshold {
    #[inline(always)]
    fn pick(&self, x: f32) -> f32 {
        if x.abs() < self.threshold { 0.0 } else { sign(x) }
    }
}

/// Three levels times a fixed scale.
pub(crate) type ThreeLevels = Levels<ByThreshold>;

/// Random part of a three-level quantizer, in training.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TernaryDraw {
    /// Nothing.
    Never,
    /// Values are rounded at random to thirds of the scale while it is refined.
    Rounded,
    /// Each level has a probability: the mean of two signs drawn with the probabilities of `x - t` and `x + t`.
    Training(Chance),
}

/// Three levels with a fitted scale or with random draws.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ternary {
    pub(crate) plain: ThreeLevels,
    pub(crate) alpha: Alpha,
    /// Number of alternating refinements of levels and scale.
    pub(crate) unrolls: u32,
    pub(crate) draw: TernaryDraw,
}

impl Ternary {
    /// Writes levels to `out` and derivatives to `slopes`; `rng` is present in training.
    pub(crate) fn levels(
        &self,
        xs: &[f32],
        shape: &[usize],
        out: &mut [f32],
        slopes: Option<&mut [f32]>,
        rng: Option<Rng>,
    ) -> Result<Scale> {
        let sampled = matches!((self.draw, &rng), (TernaryDraw::Training(_), Some(_)));
        write_slopes(xs, slopes, self.plain.tanh_slope && !sampled);
        match (self.draw, rng) {
            (TernaryDraw::Training(chance), Some(mut rng)) => self.sample(xs, shape, out, chance, &mut rng),
            (TernaryDraw::Rounded, Some(rng)) => {
                let mut rounding = Stochastic(rng);
                self.fit(xs, shape, out, |x, scale| {
                    let rounded = rounding.round(x / scale * 3.0) / 3.0;
                    (scale * rounded).abs() >= scale / 2.0
                })
            }
            _ => {
                self.fit(xs, shape, out, |x, scale| (scale * round_half_even(x / scale)).abs() >= scale / 2.0)
            }
        }
    }

    /// Refines levels and scale in turns: values for which `is_kept` returns a sign form the levels, and the scale is
    /// fitted to them.
    fn fit(
        &self,
        xs: &[f32],
        shape: &[usize],
        out: &mut [f32],
        mut is_kept: impl FnMut(f32, f32) -> bool,
    ) -> Result<Scale> {
        let Alpha::Fitted { power_of_two } = self.alpha else {
            for (y, &x) in out.iter_mut().zip(xs) {
                *y = self.plain.rule.pick(x);
            }
            return self.alpha.fit(xs, out, shape);
        };
        let (channels, _) = Channels::of("ternary", shape, None)?;
        let mut scales = channels.largest(xs);
        for scale in &mut scales {
            *scale = 2.0 * *scale / 3.0;
            if power_of_two {
                *scale = nearest_power_of_two(*scale);
            }
        }
        let fitted = channels.for_least_squares(shape);
        scales = channels.spread(scales, fitted);
        let mut scale = Scale::Uniform(1.0);
        for _ in 0..self.unrolls {
            fitted.zip(xs, out, |channel, x, y| {
                *y = if x.is_nan() || is_kept(x, scales[channel]) { sign(x) } else { 0.0 };
            });
            scale = self.alpha.fit(xs, out, shape)?;
            scales.copy_from_slice(scale.values());
        }
        Ok(scale)
    }

    fn sample(
        &self,
        xs: &[f32],
        shape: &[usize],
        out: &mut [f32],
        chance: Chance,
        rng: &mut Rng,
    ) -> Result<Scale> {
        let scale = self.fit(xs, shape, out, |x, scale| x.abs() >= scale / 2.0)?;
        let (channels, _) = Channels::of("stochastic_ternary", shape, None)?;
        let deviation = deviation(self.alpha, channels, xs);
        let thresholds: Vec<f32> = match self.alpha {
            Alpha::Fixed(_) => vec![self.plain.rule.threshold],
            Alpha::Fitted { .. } => scale.values().iter().map(|s| s / 2.0).collect(),
        };
        let mut index = 0;
        channels.zip(xs, out, |channel, x, y| {
            let threshold = match thresholds.as_slice() {
                &[threshold] => threshold,
                many if many.len() == channels.count => many[channel],
                many => many[index],
            };
            index += 1;
            let d = deviation[channel];
            let upper = chance.happens((x - threshold) / d, rng);
            let lower = chance.happens((x + threshold) / d, rng);
            *y = match (upper, lower) {
                _ if x.is_nan() => x,
                (true, true) => 1.0,
                (false, false) => -1.0,
                _ => 0.0,
            };
        });
        Ok(scale)
    }
}
