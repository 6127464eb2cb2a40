//! Scales fitted to the values: `alpha = 'auto'` and `'auto_po2'`.
//!
//! A channel is an index of one axis (by default the last), over all the others. On tensors of rank 1 the largest
//! magnitude is taken over the whole vector, while least squares are taken per element, as in the reference.

use tinsmith_network::quantizer::Sharing;

use crate::error::{QuantError, Result};
use crate::pointwise::Mix;
use crate::rounding::{EPSILON, nearest_power_of_two, sign};

/// Factors of quantized levels.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    /// One factor for all.
    Uniform(f32),
    /// A factor for each index of an axis.
    PerChannel {
        /// The axis.
        axis: usize,
        /// The factors, as many as the axis is long.
        values: Vec<f32>,
    },
    /// A factor for each element (rank 1 only).
    PerElement(Vec<f32>),
}

impl Scale {
    /// Factors for the channels of `axis`, or for a vector.
    fn of(shape: &[usize], axis: usize, values: Vec<f32>) -> Self {
        match (shape.len() < 2, values.as_slice()) {
            (true, &[value]) => Self::Uniform(value),
            (true, _) => Self::PerElement(values),
            _ => Self::PerChannel { axis, values },
        }
    }

    /// The factors in order.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Uniform(value) => std::slice::from_ref(value),
            Self::PerChannel { values, .. } | Self::PerElement(values) => values,
        }
    }

    /// The shape that broadcasts over a tensor of shape `shape`: 1 along all axes but the one of the channels.
    #[must_use]
    pub fn broadcast_shape(&self, shape: &[usize]) -> Vec<usize> {
        match self {
            Self::Uniform(_) => vec![1; shape.len()],
            Self::PerChannel { axis, values } => {
                (0..shape.len()).map(|a| if a == *axis { values.len() } else { 1 }).collect()
            }
            Self::PerElement(_) => shape.to_vec(),
        }
    }

    /// Assignment of the elements of a tensor of shape `shape` to the factors.
    pub(crate) fn channels(&self, shape: &[usize]) -> Channels {
        let elements = shape.iter().product();
        match self {
            Self::Uniform(_) => Channels { count: 1, inner: elements },
            Self::PerChannel { axis, .. } => Channels::along(shape, *axis),
            Self::PerElement(_) => Channels { count: elements, inner: 1 },
        }
    }
}

/// Element i of a slice belongs to channel `i / inner % count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Channels {
    pub(crate) count: usize,
    pub(crate) inner: usize,
}

impl Channels {
    fn along(shape: &[usize], axis: usize) -> Self {
        Self { count: shape[axis], inner: shape[axis + 1..].iter().product() }
    }

    /// Channels of an axis, which must exist in the shape.
    pub(crate) fn along_axis(op: &'static str, shape: &[usize], axis: usize) -> Result<Self> {
        if axis < shape.len() {
            return Ok(Self::along(shape, axis));
        }
        Err(QuantError::Axis { op, axis, rank: shape.len(), shape: shape.to_vec() })
    }

    /// Like [`along_axis`](Self::along_axis); negative axes count from the last.
    pub(crate) fn along_signed(op: &'static str, shape: &[usize], axis: i32) -> Result<Self> {
        let none = || QuantError::Axis {
            op,
            axis: axis.unsigned_abs() as usize,
            rank: shape.len(),
            shape: shape.to_vec(),
        };
        let place = Sharing::place(axis, shape.len()).ok_or_else(none)?;
        Self::along_axis(op, shape, place)
    }

    /// Channels for the largest magnitude: of the axis, or the whole of a vector.
    pub(crate) fn of(op: &'static str, shape: &[usize], axis: Option<u32>) -> Result<(Self, usize)> {
        let rank = shape.len();
        let axis = axis.map_or(rank.saturating_sub(1), |axis| axis as usize);
        if axis >= rank.max(1) {
            return Err(QuantError::Axis { op, axis, rank, shape: shape.to_vec() });
        }
        if rank < 2 {
            return Ok((Self { count: 1, inner: shape.iter().product() }, axis));
        }
        Ok((Self::along(shape, axis), axis))
    }

    /// Channels for least squares.
    pub(crate) fn for_least_squares(self, shape: &[usize]) -> Self {
        if shape.len() < 2 { Self { count: shape.iter().product(), inner: 1 } } else { self }
    }

    /// Factors of these channels for the finer `fitted` ones.
    pub(crate) fn spread(self, scales: Vec<f32>, fitted: Self) -> Vec<f32> {
        match scales.as_slice() {
            &[scale] if fitted != self => vec![scale; fitted.count],
            _ => scales,
        }
    }

    /// Visits elements with their channel.
    #[inline(always)]
    pub(crate) fn each(self, xs: &[f32], mut visit: impl FnMut(usize, f32)) {
        if xs.is_empty() {
            return;
        }
        if self.inner == 1 {
            for row in xs.chunks_exact(self.count) {
                for (channel, &x) in row.iter().enumerate() {
                    visit(channel, x);
                }
            }
            return;
        }
        for block in xs.chunks_exact(self.count * self.inner) {
            for (channel, run) in block.chunks_exact(self.inner).enumerate() {
                for &x in run {
                    visit(channel, x);
                }
            }
        }
    }

    /// Visits elements of two slices with their channel.
    #[inline(always)]
    pub(crate) fn zip(self, xs: &[f32], ys: &mut [f32], mut visit: impl FnMut(usize, f32, &mut f32)) {
        if xs.is_empty() {
            return;
        }
        if self.inner == 1 {
            for (row, out) in xs.chunks_exact(self.count).zip(ys.chunks_exact_mut(self.count)) {
                for (channel, (&x, y)) in row.iter().zip(out).enumerate() {
                    visit(channel, x, y);
                }
            }
            return;
        }
        let block = self.count * self.inner;
        for (block, out) in xs.chunks_exact(block).zip(ys.chunks_exact_mut(block)) {
            for (channel, (run, out)) in
                block.chunks_exact(self.inner).zip(out.chunks_exact_mut(self.inner)).enumerate()
            {
                for (&x, y) in run.iter().zip(out) {
                    visit(channel, x, y);
                }
            }
        }
    }

    /// Largest magnitude of each channel; NaN if the channel holds one.
    pub(crate) fn largest(self, xs: &[f32]) -> Vec<f32> {
        let mut largest = vec![0.0_f32; self.count];
        self.each(xs, |channel, x| {
            let magnitude = x.abs();
            if magnitude > largest[channel] || magnitude.is_nan() {
                largest[channel] = magnitude;
            }
        });
        largest
    }

    /// Population standard deviation of each channel, plus 1e-7.
    pub(crate) fn deviation(self, xs: &[f32]) -> Vec<f32> {
        let n = (xs.len() / self.count.max(1)).max(1) as f64;
        let mut mean = vec![0.0_f64; self.count];
        self.each(xs, |channel, x| mean[channel] += f64::from(x));
        let mut variance = vec![0.0_f64; self.count];
        self.each(xs, |channel, x| variance[channel] += (f64::from(x) - mean[channel] / n).powi(2));
        variance.iter().map(|v| (v / n).sqrt() as f32 + EPSILON).collect()
    }

    /// `factor * mean(x q) / (mean(q q) + 1e-7)` of each channel, optionally rounded to a power of two. Sums are in
    /// f64, so their order does not affect the f32 result that the reference computes.
    fn least_squares(self, xs: &[f32], factor: f32, qs: &mut [f32], power_of_two: bool) -> Vec<f32> {
        let n = (xs.len() / self.count.max(1)).max(1) as f64;
        let mut sums = vec![(0.0_f64, 0.0_f64); self.count];
        self.zip(xs, qs, |channel, x, q| {
            let (xq, qq) = &mut sums[channel];
            *xq += f64::from(x) * f64::from(*q);
            *qq += f64::from(*q) * f64::from(*q);
        });
        sums.iter()
            .map(|(xq, qq)| {
                let scale = (xq / n * f64::from(factor)) as f32 / ((qq / n) as f32 + EPSILON);
                if power_of_two { nearest_power_of_two(scale) } else { scale }
            })
            .collect()
    }
}

/// Scale of a fixed set of levels (`binary`, `ternary` and their random kinds).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Alpha {
    /// Fixed.
    Fixed(f32),
    /// Fitted by least squares.
    Fitted {
        /// Rounded to a power of two.
        power_of_two: bool,
    },
}

impl Alpha {
    /// Fits the scale of levels `qs` to `xs`.
    pub(crate) fn fit(self, xs: &[f32], qs: &mut [f32], shape: &[usize]) -> Result<Scale> {
        match self {
            Self::Fixed(alpha) => Ok(Scale::Uniform(alpha)),
            Self::Fitted { power_of_two } => {
                let (channels, axis) = Channels::of("auto scale", shape, None)?;
                let channels = channels.for_least_squares(shape);
                Ok(Scale::of(shape, axis, channels.least_squares(xs, 1.0, qs, power_of_two)))
            }
        }
    }
}

/// `quantized_bits` with a fitted scale: levels z from -half to half, `y = s m (2^integer z / m)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaled {
    /// 2^integer.
    pub(crate) span: f32,
    /// m, `2^(bits - keep_negative)`.
    pub(crate) levels: f32,
    /// 2^(bits - 1) - 1.
    pub(crate) half: f32,
    pub(crate) power_of_two: bool,
    pub(crate) axis: Option<u32>,
}

impl Scaled {
    /// Value of a level at scale 1.
    pub(crate) fn unit(&self) -> f32 {
        self.span / self.levels
    }

    /// Writes levels to `out` and returns their scale.
    pub(crate) fn levels(&self, xs: &[f32], shape: &[usize], out: &mut [f32]) -> Result<Scale> {
        let (channels, axis) = Channels::of("quantized_bits", shape, self.axis)?;
        let per_span = 1.0 / self.span;
        let round = |x: f32, scale: f32| {
            let level = (x.abs() / scale + 0.5).floor();
            // The comparison is false for a channel of zeros (0 / 0); the sign then makes the level 0.
            sign(x) * if level < self.half { level } else { self.half }
        };
        let mut scales = channels.largest(xs);
        for scale in &mut scales {
            *scale = *scale * per_span * 2.0 / (2.0 * self.half);
            if self.power_of_two {
                *scale = nearest_power_of_two(*scale);
            }
        }
        if !self.power_of_two {
            channels.zip(xs, out, |channel, x, z| *z = round(x * per_span, scales[channel]));
            scales.iter_mut().for_each(|scale| *scale *= self.levels);
            return Ok(Scale::of(shape, axis, scales));
        }
        let fitted = channels.for_least_squares(shape);
        let mut scales = channels.spread(scales, fitted);
        for _ in 0..5 {
            fitted.zip(xs, out, |channel, x, z| *z = round(x * per_span, scales[channel]));
            scales = fitted.least_squares(xs, per_span, out, true);
        }
        scales.iter_mut().for_each(|scale| *scale *= self.levels);
        Ok(Scale::of(shape, axis, scales))
    }
}

/// Turns levels into values in place.
pub(crate) fn rescale(
    levels: &mut [f32],
    scale: &Scale,
    unit: f32,
    shape: &[usize],
    mix: Mix,
    smooth: &[f32],
) {
    let scales = scale.values();
    scale.channels(shape).zip(smooth, levels, |channel, x, y| {
        let quantized = scales[channel] * (*y * unit);
        *y = (if mix.is_full() { quantized } else { mix.value(x, quantized) }) + 0.0;
    });
}
