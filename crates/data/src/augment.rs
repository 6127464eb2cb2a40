//! Augmentation: random changes of training samples. Each sample has its own seed, so its changes depend on the epoch and
//! the row, never on batch size, order or threads.

use serde::{Deserialize, Serialize};
use tinsmith_foundation::{ConfigErrors, Faults, Rng, Seed};

use crate::error::{DataError, Result};

/// Settings of augmentation; changes are made in the order of the fields, and all are off by default.
///
/// Samples of three axes are images (height, width, channels), of two are series (time, channels), of one are rows of
/// a table. Amounts are in units of the values given: normalized ones in the trainer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Largest rotation of an image to either side about its center, in degrees, 0 to 180; bilinear. Default 0.
    pub rotate: f64,
    /// Largest shift to either side: pixels along both axes of an image, steps of a series. Uncovered places get
    /// `fill` in an image and the nearest step in a series. Default 0.
    pub shift: u32,
    /// Mirrors an image left to right in half of all cases. Default false.
    pub mirror: bool,
    /// All values are multiplied by one factor, uniform in 1 - `scale` to 1 + `scale`; 0 to 1. Default 0.
    pub scale: f64,
    /// Each channel (the last axis) is multiplied by a factor of its own, uniform in 1 - `gain` to 1 + `gain`; 0 to
    /// 1: sensors with different calibration. Default 0.
    pub gain: f64,
    /// Standard deviation of a constant that is drawn for each channel and added to it: sensors worn in different places.
    /// Default 0.
    pub offset: f64,
    /// Stretches a series in time about its middle by a factor, uniform in 1 - `stretch` to 1 + `stretch`, with linear
    /// interpolation; places beyond its ends get the nearest step; 0 to below 1. Default 0.
    pub stretch: f64,
    /// Standard deviation of the normal noise that is added to each value. Default 0.
    pub noise: f64,
    /// Side of the square of an image, or number of steps of a series, that is set to `fill`. Its center is uniform
    /// over the sample, so a part of it may lie outside (`DeVries` and Taylor, arXiv 1708.04552). Default 0.
    pub cutout: u32,
    /// Value of uncovered and cut-out places. Default 0.
    pub fill: f32,
    /// Each sample and its target are mixed with another's, with weights L and 1 - L, L drawn from Beta(`mix_up`,
    /// `mix_up`) (Zhang et al., arXiv 1710.09412); 0 to 1, where 0 is off. Default 0.
    pub mix_up: f64,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            rotate: 0.0,
            shift: 0,
            mirror: false,
            scale: 0.0,
            gain: 0.0,
            offset: 0.0,
            stretch: 0.0,
            noise: 0.0,
            cutout: 0,
            fill: 0.0,
            mix_up: 0.0,
        }
    }
}

impl Augment {
    /// Records values that cannot be used.
    pub fn check(&self, faults: &mut Faults) {
        let mut within = |name: &str, value: f64, high: f64| {
            if !(0.0..=high).contains(&value) {
                faults.add(name, format!("is {value}, want 0 to {high}"));
            }
        };
        within("rotate", self.rotate, 180.0);
        within("scale", self.scale, 1.0);
        within("gain", self.gain, 1.0);
        within("stretch", self.stretch, 0.99);
        within("mix_up", self.mix_up, 1.0);
        for (name, value) in [("noise", self.noise), ("offset", self.offset)] {
            if !(value.is_finite() && value >= 0.0) {
                faults.add(name, format!("is {value}, want a number that is not negative"));
            }
        }
        if !self.fill.is_finite() {
            faults.add("fill", format!("is {}, want a finite number", self.fill));
        }
    }

    /// Returns true if no change is on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        *self == Self { fill: self.fill, ..Self::default() }
    }

    /// Checks that samples of `shape` allow every change that is on.
    ///
    /// # Errors
    /// [`DataError::Config`] for values that cannot be used, [`DataError::Shape`] for samples of the wrong rank.
    pub fn fits(&self, shape: &[usize]) -> Result<()> {
        let mut faults = Faults::new();
        self.check(&mut faults);
        faults.into_result("augmentation").map_err(|e: ConfigErrors| DataError::Config(e))?;
        let needs = |on: bool, what: &'static str, ranks: &[usize], want: &str| {
            if !on || ranks.contains(&shape.len()) {
                return Ok(());
            }
            Err(DataError::Shape { what, got: shape.to_vec(), want: want.to_owned() })
        };
        let image = "an image (height, width, channels)";
        let space = "an image (height, width, channels) or a series (time, channels)";
        needs(self.rotate > 0.0, "augmentation `rotate`", &[3], image)?;
        needs(self.mirror, "augmentation `mirror`", &[3], image)?;
        needs(self.stretch > 0.0, "augmentation `stretch`", &[2], "a series (time, channels)")?;
        needs(self.shift > 0, "augmentation `shift`", &[2, 3], space)?;
        needs(self.cutout > 0, "augmentation `cutout`", &[2, 3], space)
    }

    /// Changes one sample by draws from `rng`. Excludes mix-up, which needs a second sample.
    pub(crate) fn change(&self, sample: &mut [f32], shape: &[usize], rng: &mut Rng, scratch: &mut Vec<f32>) {
        if self.rotate > 0.0 {
            let angle = rng.uniform_in(-self.rotate, self.rotate).to_radians();
            copy(sample, scratch);
            rotate(scratch, sample, shape, angle, self.fill);
        }
        if self.shift > 0 {
            let most = i64::from(self.shift);
            copy(sample, scratch);
            if let [_, width, channels] = *shape {
                let (down, right) = (rng.range(-most, most), rng.range(-most, most));
                shift_image(scratch, sample, width, channels, (down, right), self.fill);
            } else {
                shift_series(scratch, sample, shape.last().copied().unwrap_or(1), rng.range(-most, most));
            }
        }
        if self.mirror && rng.chance(0.5) {
            mirror(sample, shape);
        }
        if self.scale > 0.0 {
            let factor = rng.uniform_in(1.0 - self.scale, 1.0 + self.scale) as f32;
            sample.iter_mut().for_each(|x| *x *= factor);
        }
        let channels = shape.last().copied().unwrap_or(1).max(1);
        if self.gain > 0.0 {
            let draw = |rng: &mut Rng| rng.uniform_in(1.0 - self.gain, 1.0 + self.gain) as f32;
            let factors: Vec<f32> = (0..channels).map(|_| draw(rng)).collect();
            sample
                .chunks_exact_mut(channels)
                .for_each(|step| step.iter_mut().zip(&factors).for_each(|(x, f)| *x *= f));
        }
        if self.offset > 0.0 {
            let offsets: Vec<f32> = (0..channels).map(|_| (self.offset * rng.normal()) as f32).collect();
            sample
                .chunks_exact_mut(channels)
                .for_each(|step| step.iter_mut().zip(&offsets).for_each(|(x, o)| *x += o));
        }
        if self.stretch > 0.0 {
            let factor = rng.uniform_in(1.0 - self.stretch, 1.0 + self.stretch);
            copy(sample, scratch);
            stretch_series(scratch, sample, channels, factor);
        }
        if self.noise > 0.0 {
            add_noise(sample, self.noise, rng);
        }
        if self.cutout > 0 {
            cut_out(sample, shape, self.cutout as usize, self.fill, rng);
        }
    }
}

/// Generator for the changes of one row in one epoch.
pub(crate) fn row_rng(epoch: Seed, row: usize) -> Rng {
    epoch.derive("augment", row as u64).rng()
}

/// Draws from Beta(`a`, `a`) for `a` in (0, 1] by Joehnk's method: two powers of uniform numbers, rejected while their sum
/// exceeds 1; the result is the first divided by the sum.
pub(crate) fn beta(a: f64, rng: &mut Rng) -> f64 {
    loop {
        let x = libm::pow(rng.uniform(), 1.0 / a);
        let y = libm::pow(rng.uniform(), 1.0 / a);
        let sum = x + y;
        if sum > 0.0 && sum <= 1.0 {
            return x / sum;
        }
        // With a small `a` both powers may underflow; the distribution then has its mass at 0 and 1.
        if sum <= 0.0 {
            return if rng.chance(0.5) { 1.0 } else { 0.0 };
        }
    }
}

/// Adds normal noise by the transform of Box and Muller, using both results: for uniform draws u and v,
/// `sqrt(-2 ln(1 - u))` times the cosine and the sine of `2 pi v`. `libm`'s functions are bit-identical on every machine.
fn add_noise(sample: &mut [f32], deviation: f64, rng: &mut Rng) {
    for pair in sample.chunks_mut(2) {
        let radius = deviation * libm::sqrt(-2.0 * libm::log(1.0 - rng.uniform()));
        let (sin, cos) = libm::sincos(2.0 * std::f64::consts::PI * rng.uniform());
        for (x, part) in pair.iter_mut().zip([cos, sin]) {
            *x += (radius * part) as f32;
        }
    }
}

fn copy(sample: &[f32], scratch: &mut Vec<f32>) {
    scratch.clear();
    scratch.extend_from_slice(sample);
}

fn shift_image(from: &[f32], to: &mut [f32], width: usize, channels: usize, by: (i64, i64), fill: f32) {
    let height = from.len() / (width * channels);
    for (at, pixel) in to.chunks_exact_mut(channels).enumerate() {
        let row = (at / width) as i64 - by.0;
        let column = (at % width) as i64 - by.1;
        if (0..height as i64).contains(&row) && (0..width as i64).contains(&column) {
            let source = (row as usize * width + column as usize) * channels;
            pixel.copy_from_slice(&from[source..source + channels]);
        } else {
            pixel.fill(fill);
        }
    }
}

fn shift_series(from: &[f32], to: &mut [f32], channels: usize, by: i64) {
    let last = (from.len() / channels) as i64 - 1;
    for (at, values) in to.chunks_exact_mut(channels).enumerate() {
        let source = (at as i64 - by).clamp(0, last) as usize * channels;
        values.copy_from_slice(&from[source..source + channels]);
    }
}

fn stretch_series(from: &[f32], to: &mut [f32], channels: usize, factor: f64) {
    let last = (from.len() / channels).saturating_sub(1);
    let middle = last as f64 / 2.0;
    for (at, values) in to.chunks_exact_mut(channels).enumerate() {
        let place = (middle + (at as f64 - middle) * factor).clamp(0.0, last as f64);
        let (before, part) = (place as usize, (place - (place as usize) as f64) as f32);
        let after = (before + 1).min(last);
        for (channel, value) in values.iter_mut().enumerate() {
            let (a, b) = (from[before * channels + channel], from[after * channels + channel]);
            *value = a + part * (b - a);
        }
    }
}

fn mirror(sample: &mut [f32], shape: &[usize]) {
    let [_, width, channels] = *shape else { return };
    for row in sample.chunks_exact_mut(width * channels) {
        for column in 0..width / 2 {
            for channel in 0..channels {
                row.swap(column * channels + channel, (width - 1 - column) * channels + channel);
            }
        }
    }
}

/// Rotates an image about its center, clockwise for a positive angle in radians. Every target pixel is the bilinear mean of
/// the four pixels around its source.
fn rotate(from: &[f32], to: &mut [f32], shape: &[usize], angle: f64, fill: f32) {
    let [height, width, channels] = *shape else { return };
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    let (middle_y, middle_x) = ((height as f64 - 1.0) / 2.0, (width as f64 - 1.0) / 2.0);
    // Offset of a pixel; `None` outside the image.
    let place = |y: i64, x: i64| {
        let inside = (0..height as i64).contains(&y) && (0..width as i64).contains(&x);
        inside.then(|| (y as usize * width + x as usize) * channels)
    };
    for (at, values) in to.chunks_exact_mut(channels).enumerate() {
        let (dy, dx) = ((at / width) as f64 - middle_y, (at % width) as f64 - middle_x);
        let (y, x) = (middle_y + cos * dy - sin * dx, middle_x + sin * dy + cos * dx);
        let (top, left) = (floor(y), floor(x));
        let (v, u) = ((y - top as f64) as f32, (x - left as f64) as f32);
        let corners = [
            (place(top, left), (1.0 - v) * (1.0 - u)),
            (place(top, left + 1), (1.0 - v) * u),
            (place(top + 1, left), v * (1.0 - u)),
            (place(top + 1, left + 1), v * u),
        ];
        for (channel, value) in values.iter_mut().enumerate() {
            let part =
                |(place, weight): (Option<usize>, f32)| weight * place.map_or(fill, |p| from[p + channel]);
            *value = corners.into_iter().map(part).sum();
        }
    }
}

/// Largest integer not above `x`. Faster than the library call on processors without an instruction for it.
fn floor(x: f64) -> i64 {
    let whole = x as i64;
    whole - i64::from((whole as f64) > x)
}

fn cut_out(sample: &mut [f32], shape: &[usize], side: usize, fill: f32, rng: &mut Rng) {
    let window = |length: usize, rng: &mut Rng| {
        let center = rng.index(length);
        let start = center.saturating_sub(side / 2);
        start..(center + side - side / 2).min(length)
    };
    match *shape {
        [height, width, channels] => {
            let (rows, columns) = (window(height, rng), window(width, rng));
            for row in rows {
                sample[(row * width + columns.start) * channels..(row * width + columns.end) * channels]
                    .fill(fill);
            }
        }
        [steps, channels] => {
            let steps = window(steps, rng);
            sample[steps.start * channels..steps.end * channels].fill(fill);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_and_series_move_as_documented() {
        let from = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut to = [0.0; 6];
        shift_image(&from, &mut to, 3, 1, (1, -1), 9.0);
        assert_eq!(to, [9.0, 9.0, 9.0, 2.0, 3.0, 9.0]);
        shift_series(&from, &mut to, 2, 1);
        assert_eq!(to, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0]);
        let mut image = from;
        mirror(&mut image, &[2, 3, 1]);
        assert_eq!(image, [3.0, 2.0, 1.0, 6.0, 5.0, 4.0]);
    }

    #[test]
    fn a_series_is_stretched_about_its_middle() {
        let from = [0.0, 1.0, 2.0, 3.0, 4.0];
        let mut to = [0.0; 5];
        stretch_series(&from, &mut to, 1, 1.0);
        assert_eq!(to, from);
        stretch_series(&from, &mut to, 1, 0.5);
        assert_eq!(to, [1.0, 1.5, 2.0, 2.5, 3.0]);
        stretch_series(&from, &mut to, 1, 2.0);
        assert_eq!(to, [0.0, 0.0, 2.0, 4.0, 4.0]);
    }

    #[test]
    fn channels_get_gains_and_offsets_of_their_own() {
        let augment = Augment { gain: 0.5, offset: 0.5, ..Augment::default() };
        let mut sample = vec![1.0_f32, 2.0, 1.0, 2.0, 1.0, 2.0];
        augment.change(&mut sample, &[3, 2], &mut Seed::new(4).rng(), &mut Vec::new());
        assert!(sample.chunks_exact(2).all(|step| step == &sample[..2]), "{sample:?}");
        assert!((sample[0] - 1.0).abs() > 1e-3 && (sample[1] / 2.0 - sample[0]).abs() > 1e-3);
    }

    #[test]
    fn a_quarter_turn_is_exact_and_no_turn_changes_nothing() {
        let from = [1.0, 2.0, 3.0, 4.0];
        let mut to = [0.0; 4];
        rotate(&from, &mut to, &[2, 2, 1], 0.0, 9.0);
        assert_eq!(to, from);
        rotate(&from, &mut to, &[2, 2, 1], std::f64::consts::FRAC_PI_2, 0.0);
        let want = [3.0, 1.0, 4.0, 2.0]; // clockwise
        assert!(to.iter().zip(want).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5), "{to:?}");
    }

    #[test]
    fn noise_has_its_moments() {
        let mut values = vec![0.0_f32; 20_001];
        add_noise(&mut values, 2.0, &mut Seed::new(5).rng());
        let count = values.len() as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let variance = values.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 0.05, "mean {mean}");
        assert!((variance - 4.0).abs() < 0.15, "variance {variance}");
        let neighbors = values.chunks_exact(2).map(|p| f64::from(p[0] * p[1])).sum::<f64>() / (count / 2.0);
        assert!(neighbors.abs() < 0.15, "covariance {neighbors}");
    }

    #[test]
    fn a_cut_lies_within_the_sample_and_has_its_size() {
        let mut rng = Seed::new(3).rng();
        for _ in 0..100 {
            let mut image = [1.0_f32; 5 * 4 * 2];
            cut_out(&mut image, &[5, 4, 2], 3, 0.0, &mut rng);
            let cut = image.iter().filter(|x| x.abs() < 0.5).count();
            assert!((2 * 2 * 2..=3 * 3 * 2).contains(&cut), "{cut}");
        }
    }

    #[test]
    fn beta_has_its_moments() {
        for a in [0.2, 1.0] {
            let mut rng = Seed::new(11).rng();
            let draws: Vec<f64> = (0..20_000).map(|_| beta(a, &mut rng)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            assert!((mean - 0.5).abs() < 0.01, "mean {mean}");
            assert!((variance - 0.25 / (2.0 * a + 1.0)).abs() < 0.005, "variance {variance}");
        }
    }
}
