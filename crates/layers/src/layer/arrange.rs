//! Layers that only move elements: reshape, permute, repeat, crop and pad. They are composed of candle's reshapes,
//! permutations, broadcasts, slices and concatenations, which have correct gradients. candle's own upsampling goes
//! through convolutions in another memory format.

use candle_core::{D, Device, Tensor};
use tinsmith_network::op::Interpolation;
use tinsmith_network::{Op, Pair};

use super::{Context, LayerForward};
use crate::error::Result;

#[derive(Debug)]
enum Arrangement {
    /// New shape of a sample.
    Reshape(Vec<usize>),
    /// Input axis of each output axis, batch axis included.
    Permute(Vec<usize>),
    DepthToSpace {
        block: usize,
        height: usize,
        width: usize,
        channels: usize,
    },
    Repeat {
        times: Pair,
        height: usize,
        width: usize,
        channels: usize,
    },
    /// Interpolation matrices of shapes (new height, height) and (new width, width).
    Interpolate {
        rows: Tensor,
        columns: Tensor,
        channels: usize,
    },
    /// (axis, start, length) of the elements kept.
    Crop(Vec<(usize, usize, usize)>),
    /// (axis, zeros before, zeros after).
    Pad(Vec<(usize, usize, usize)>),
}

/// A layer that moves elements.
#[derive(Debug)]
pub(super) struct Arrange(Arrangement);

impl Arrange {
    /// None if `op` is of another kind.
    pub(super) fn new(op: &Op, input: &[usize], output: &[usize], device: &Device) -> Result<Option<Self>> {
        let arrangement = match op {
            Op::Flatten(_) | Op::Reshape(_) => Arrangement::Reshape(output.to_vec()),
            Op::Permute(permute) => {
                Arrangement::Permute(std::iter::once(0).chain(permute.dims.iter().copied()).collect())
            }
            Op::DepthToSpace(d) => Arrangement::DepthToSpace {
                block: d.block,
                height: input[0],
                width: input[1],
                channels: output[2],
            },
            Op::UpSampling1d(up) => Arrangement::Repeat {
                times: Pair { height: 1, width: up.size },
                height: 1,
                width: input[0],
                channels: input[1],
            },
            Op::UpSampling2d(up) if up.interpolation == Interpolation::Bilinear => Arrangement::Interpolate {
                rows: interpolation(input[0], up.size.height, device)?,
                columns: interpolation(input[1], up.size.width, device)?,
                channels: input[2],
            },
            Op::UpSampling2d(up) => {
                Arrangement::Repeat { times: up.size, height: input[0], width: input[1], channels: input[2] }
            }
            Op::Cropping1d(border) => Arrangement::Crop(vec![(1, border.before, output[0])]),
            Op::Cropping2d(border) => {
                Arrangement::Crop(vec![(1, border.top, output[0]), (2, border.left, output[1])])
            }
            Op::ZeroPadding1d(border) => Arrangement::Pad(vec![(1, border.before, border.after)]),
            Op::ZeroPadding2d(border) => {
                Arrangement::Pad(vec![(1, border.top, border.bottom), (2, border.left, border.right)])
            }
            _ => return Ok(None),
        };
        Ok(Some(Self(arrangement)))
    }
}

/// Interpolation matrix of shape (n times, n): linear, pixel centers at halves, clamped at the borders
/// (`tf.image.resize`, `half_pixel_centers=True`).
fn interpolation(n: usize, times: usize, device: &Device) -> Result<Tensor> {
    let out = n * times;
    let mut matrix = vec![0.0_f32; out * n];
    for (i, row) in matrix.chunks_exact_mut(n).enumerate() {
        let center = (i as f64 + 0.5) / times as f64 - 0.5;
        let (below, fraction) = (center.floor(), center - center.floor());
        let clamp = |v: f64| (v.max(0.0) as usize).min(n - 1);
        row[clamp(below)] += (1.0 - fraction) as f32;
        row[clamp(below + 1.0)] += fraction as f32;
    }
    Ok(Tensor::from_vec(matrix, (out, n), device)?)
}

impl LayerForward for Arrange {
    fn forward(&self, _: &Context<'_>, inputs: &[&Tensor]) -> Result<Tensor> {
        let x = inputs[0];
        let batch = x.dim(0)?;
        let out = match &self.0 {
            Arrangement::Reshape(shape) => {
                let mut dims = Vec::with_capacity(shape.len() + 1);
                dims.push(batch);
                dims.extend_from_slice(shape);
                x.reshape(dims)?
            }
            Arrangement::Permute(axes) => x.permute(axes.as_slice())?.contiguous()?,
            &Arrangement::DepthToSpace { block, height, width, channels } => x
                .reshape(vec![batch, height, width, block, block, channels])?
                .permute(vec![0, 1, 3, 2, 4, 5])?
                .contiguous()?
                .reshape((batch, height * block, width * block, channels))?,
            &Arrangement::Repeat { times, height, width, channels } => {
                let wide = vec![batch, height, times.height, width, times.width, channels];
                let wide = x.reshape(vec![batch, height, 1, width, 1, channels])?.broadcast_as(wide)?;
                let (height, width) = (height * times.height, width * times.width);
                if x.rank() == 3 {
                    wide.contiguous()?.reshape((batch, width, channels))?
                } else {
                    wide.contiguous()?.reshape((batch, height, width, channels))?
                }
            }
            Arrangement::Interpolate { rows, columns, channels } => {
                let ((tall, height), (wide, width)) = (rows.dims2()?, columns.dims2()?);
                let x = rows.broadcast_matmul(&x.reshape((batch, height, width * channels))?)?;
                let x = columns.broadcast_matmul(&x.reshape((batch * tall, width, *channels))?)?;
                x.reshape((batch, tall, wide, *channels))?
            }
            Arrangement::Crop(cuts) => {
                let mut out = x.clone();
                for &(axis, start, len) in cuts {
                    out = out.narrow(axis, start, len)?;
                }
                out.contiguous()?
            }
            Arrangement::Pad(borders) => {
                let mut out = x.clone();
                for &(axis, before, after) in borders {
                    out = out.pad_with_zeros(axis, before, after)?;
                }
                out.contiguous()?
            }
        };
        debug_assert!(
            out.is_contiguous(),
            "layers hand on contiguous tensors, last axis {:?}",
            out.dim(D::Minus1)
        );
        Ok(out)
    }
}
