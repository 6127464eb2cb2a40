//! Parameter gradients for small kernels: sources are read where they lie, and the sums of all taps that reach a part of
//! the output stay in registers over the whole of it.
#![expect(unsafe_code, reason = "vector instructions")]

use super::reach::{Axis, Reaches, by_taps};
use crate::conv::ConvShape;
use crate::lanes::{LANES, by_lanes};
use crate::tile::simd::Simd;

/// Pixels of the output that the same taps reach.
#[derive(Clone, Copy)]
struct Part {
    rows: usize,
    columns: usize,
    channels: usize,
    /// The first pixel's gradient, and from line to line of it.
    dy: *const f32,
    dy_line: usize,
    /// The first tap of the first pixel; elements from pixel to pixel and from tap to tap (down, across).
    x: *const f32,
    x_steps: (usize, usize),
    taps: (usize, usize),
    /// The first tap's sums, and from line to line of them; the bias's.
    dw: *mut f32,
    dw_line: usize,
    db: *mut f32,
}

by_lanes! {
    /// Adds the gradients of the kernel and the bias over all samples of `x` and `dy`.
    pub(super) fn gradients<S>(dw: &mut [f32], db: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape) {
        let c = shape.out_c;
        let [down, across] = Axis::forward(shape);
        assert!(c.is_multiple_of(LANES), "channels fill their vectors");
        assert!(dw.len() >= shape.kernel_h * shape.kernel_w * c && db.len() >= c, "every tap has its sums");
        let reaches = Reaches::new(&down, &across);
        let (line, dy_line) = (shape.in_w * c, shape.out_w * c);
        for (x, dy) in x.chunks_exact(shape.in_sample()).zip(dy.chunks_exact(shape.out_sample())) {
            reaches.for_each(c, #[inline(always)] |reach| {
                let tap = (reach.tap.0 * shape.kernel_w + reach.tap.1) * c;
                let part = Part {
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
                // SAFETY: guaranteed by the caller; taps of a segment lie within a sample of the input, as do those of its
                // pixels; the sums' length was checked.
                unsafe { by_taps!(reach.taps.0, reach.taps.1, add::<S>(&part)) };
            });
        }
    }
}

/// Adds a part's products for `H` lines of `W` taps.
///
/// # Safety
/// The processor must support the instruction set; all that the part names may be read, and its sums written.
#[inline(always)]
unsafe fn add<S: Simd, const H: usize, const W: usize>(part: &Part) {
    let c = part.channels;
    for from in (0..c).step_by(LANES) {
        // SAFETY: guaranteed by the caller; vectors lie within a pixel's channels, which fill them.
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

/// Adds a vector to what there is.
///
/// # Safety
/// The processor must support the instruction set; the vector may be read and written.
#[inline(always)]
unsafe fn add_to<S: Simd>(to: *mut f32, sum: S::Vector) {
    // SAFETY: guaranteed by the caller.
    unsafe { S::store(to, S::add(S::load(to), sum)) }
}
