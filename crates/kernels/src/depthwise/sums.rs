//! Parameter gradients for small kernels. Sources are read in place; the sums of all taps stay in registers for all
//! pixels that use the same taps.
#![expect(unsafe_code, reason = "vector instructions")]

use super::reach::{ReachAxis, Reaches, by_taps};
use crate::conv::ConvShape;
use crate::lanes::{LANES, by_lanes};
use crate::tile::simd::Simd;

/// A rectangle of output pixels that use the same taps, by address.
#[derive(Clone, Copy)]
struct GradientBlock {
    rows: usize,
    columns: usize,
    channels: usize,
    /// Gradient of the first pixel, and the stride between lines.
    dy: *const f32,
    dy_line: usize,
    /// Address of the first pixel's first tap; strides between pixels, and between taps (down, across).
    x: *const f32,
    x_steps: (usize, usize),
    taps: (usize, usize),
    /// Sums of the first tap, and the stride between lines of taps; sums of the bias.
    dw: *mut f32,
    dw_line: usize,
    db: *mut f32,
}

by_lanes! {
    /// Adds the gradients of the kernel and the bias over all samples of `x` and `dy`.
    pub(super) fn gradients<S>(dw: &mut [f32], db: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape) {
        let c = shape.out_c;
        let [down, across] = ReachAxis::forward(shape);
        assert!(c.is_multiple_of(LANES), "channels fill their vectors");
        assert!(dw.len() >= shape.kernel_h * shape.kernel_w * c && db.len() >= c, "every tap has its sums");
        let reaches = Reaches::new(&down, &across);
        let (line, dy_line) = (shape.in_w * c, shape.out_w * c);
        for (x, dy) in x.chunks_exact(shape.in_sample()).zip(dy.chunks_exact(shape.out_sample())) {
            reaches.for_each(c, #[inline(always)] |reach| {
                let tap = (reach.tap.0 * shape.kernel_w + reach.tap.1) * c;
                let part = GradientBlock {
                    rows: reach.rows.len(),
                    columns: reach.columns.len(),
                    channels: c,
                    dy: dy[reach.rows.start * dy_line + reach.columns.start * c..].as_ptr(),
                    dy_line,
                    x: x[reach.source..].as_ptr(),
                    x_steps: (down.step * line, across.step * c),
                    taps: (down.delta * line, across.delta * c),
                    dw: dw.as_mut_ptr().wrapping_add(tap),
                    dw_line: shape.kernel_w * c,
                    db: db.as_mut_ptr(),
                };
                // SAFETY: guaranteed by the caller; the taps of all pixels lie within a sample of the input, and the
                // lengths of the sums were checked.
                unsafe { by_taps!(reach.taps.0, reach.taps.1, add::<S>(&part)) };
            });
        }
    }
}

/// Adds the products of a part with `H` lines of `W` taps.
///
/// # Safety
/// The processor must support the instruction set. All addresses of the part must be valid for reads, and its sums
/// for writes.
#[inline(always)]
unsafe fn add<S: Simd, const H: usize, const W: usize>(part: &GradientBlock) {
    let c = part.channels;
    for from in (0..c).step_by(LANES) {
        // SAFETY: guaranteed by the caller; vectors lie within a pixel's channels, which are whole vectors.
        unsafe {
            let mut sums = [[S::splat(0.0); W]; H];
            let mut bias = S::splat(0.0);
            for i in 0..part.rows {
                let mut dy = part.dy.wrapping_add(i * part.dy_line + from);
                let mut x = part.x.wrapping_add(i * part.x_steps.0 + from);
                for _ in 0..part.columns {
                    let d = S::load(dy);
                    bias = S::add(bias, d);
                    for (ky, sums) in sums.iter_mut().enumerate() {
                        for (kx, sum) in sums.iter_mut().enumerate() {
                            let x = S::load(x.wrapping_add(ky * part.taps.0 + kx * part.taps.1));
                            *sum = S::add(S::multiply(x, d), *sum);
                        }
                    }
                    dy = dy.wrapping_add(c);
                    x = x.wrapping_add(part.x_steps.1);
                }
            }
            for (ky, sums) in sums.into_iter().enumerate() {
                for (kx, sum) in sums.into_iter().enumerate() {
                    add_to::<S>(part.dw.wrapping_add(ky * part.dw_line + kx * c + from), sum);
                }
            }
            add_to::<S>(part.db.wrapping_add(from), bias);
        }
    }
}

/// Adds a vector to memory.
///
/// # Safety
/// The processor must support the instruction set; the vector must be valid for reads and writes.
#[inline(always)]
unsafe fn add_to<S: Simd>(to: *mut f32, sum: S::Vector) {
    // SAFETY: guaranteed by the caller.
    unsafe { S::store(to, S::add(S::load(to), sum)) }
}
