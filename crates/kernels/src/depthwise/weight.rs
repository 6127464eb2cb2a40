//! Parameter gradients, line by line, for any kernel.
#![expect(unsafe_code, reason = "vector instructions")]

use super::border::PaddedLine;
use crate::conv::ConvShape;
use crate::lanes::{LANES, by_lanes};
use crate::scratch;
use crate::tile::simd::Simd;

/// Taps whose sums are kept in registers at a time.
const TAPS_IN_REGISTERS: usize = 9;

/// Offsets of the lines of one sample.
#[derive(Debug, Clone, Copy)]
struct SampleLines {
    count: usize,
    /// Elements of an output line, and the stride between the input lines that it uses.
    len: usize,
    x_step: usize,
    dy_step: usize,
    /// Elements after which lanes hold the same channels again.
    period: usize,
}

/// Adds the gradients of the kernel and the bias over all samples of `x` and `dy`.
pub(super) fn gradients(dw: &mut [f32], db: &mut [f32], x: &[f32], dy: &[f32], shape: &ConvShape) {
    let c = shape.out_c;
    let padded_line = PaddedLine::forward(shape);
    let rows = (shape.out_h - 1) * shape.stride.0 + (shape.kernel_h - 1) * shape.dilation.0 + 1;
    let len = shape.out_w * c;
    let lines = SampleLines {
        count: shape.out_h,
        len,
        x_step: shape.stride.0 * padded_line.line(),
        dy_step: len.next_multiple_of(LANES),
        // Least common multiple of the number of channels and 16, a power of two.
        period: c << (LANES.trailing_zeros() - c.trailing_zeros().min(LANES.trailing_zeros())),
    };
    let taps = shape.kernel_h * shape.kernel_w;
    let copied = if lines.dy_step == len { 0 } else { shape.out_h * lines.dy_step };
    let padded = rows * padded_line.line() + LANES;
    let sums = (taps + 1) * lines.period;
    scratch::with(padded + copied + sums, |memory| {
        // Lines above and below stay zero for all samples.
        memory.fill(0.0);
        let (source, memory) = memory.split_at_mut(padded);
        let (copy, sums) = memory.split_at_mut(copied);
        for (x, dy) in x.chunks_exact(shape.in_sample()).zip(dy.chunks_exact(shape.out_sample())) {
            add_sample(sums, (&mut *source, &mut *copy), x, dy, shape, &padded_line, &lines);
        }
        for (to, from) in dw.chunks_exact_mut(c).chain([db]).zip(sums.chunks_exact(lines.period)) {
            for from in from.chunks_exact(c) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
            }
        }
    });
}

by_lanes! {
    fn add_sample<S>(
        sums: &mut [f32], memory: (&mut [f32], &mut [f32]), x: &[f32], dy: &[f32], shape: &ConvShape,
        padded_line: &PaddedLine, lines: &SampleLines,
    ) {
        // Protocol: `source` receives the padded lines of one sample, `copy` the output gradients padded to whole
        // vectors (empty if they are whole). Taps are divided into groups with as many accumulators as registers
        // allow; each group passes over the sample once and adds to its own part of `sums`.
        let (source, copy) = memory;
        let real = source.chunks_exact_mut(padded_line.line()).skip(shape.pad.0);
        for (pixels, line) in x.chunks_exact(shape.in_w * shape.in_c).zip(real) {
            padded_line.fill(line, pixels);
        }
        for (copy, dy) in copy.chunks_exact_mut(lines.dy_step).zip(dy.chunks_exact(lines.len)) {
            copy[..lines.len].copy_from_slice(dy);
        }
        let operands = (&*source, if copy.is_empty() { dy } else { &*copy });
        let taps = shape.kernel_h * shape.kernel_w;
        let (tap_sums, bias_sums) = sums.split_at_mut(taps * lines.period);
        let groups = taps.div_ceil(TAPS_IN_REGISTERS);
        for group in 0..groups {
            let (from, to) = (group * taps / groups, (group + 1) * taps / groups);
            let mut offsets = [0; TAPS_IN_REGISTERS];
            for (offset, tap) in offsets.iter_mut().zip(from..to) {
                let (ky, kx) = (tap / shape.kernel_w, tap % shape.kernel_w);
                *offset = ky * shape.dilation.0 * padded_line.line() + padded_line.place(kx * shape.dilation.1);
            }
            let sums = &mut tap_sums[from * lines.period..to * lines.period];
            let bias_sums = if group == 0 { &mut *bias_sums } else { &mut [][..] };
            // SAFETY: guaranteed by the caller.
            unsafe { match to - from {
                1 => add::<S, 1>(sums, bias_sums, operands, &offsets, lines),
                2 => add::<S, 2>(sums, bias_sums, operands, &offsets, lines),
                3 => add::<S, 3>(sums, bias_sums, operands, &offsets, lines),
                4 => add::<S, 4>(sums, bias_sums, operands, &offsets, lines),
                5 => add::<S, 5>(sums, bias_sums, operands, &offsets, lines),
                6 => add::<S, 6>(sums, bias_sums, operands, &offsets, lines),
                7 => add::<S, 7>(sums, bias_sums, operands, &offsets, lines),
                8 => add::<S, 8>(sums, bias_sums, operands, &offsets, lines),
                _ => add::<S, TAPS_IN_REGISTERS>(sums, bias_sums, operands, &offsets, lines),
            } }
        }
    }
}

/// Adds the products of one sample for `T` taps, and the output gradients to `bias_sums` unless it is empty.
///
/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn add<S: Simd, const T: usize>(
    tap_sums: &mut [f32],
    bias_sums: &mut [f32],
    (x, dy): (&[f32], &[f32]),
    offsets: &[usize; TAPS_IN_REGISTERS],
    lines: &SampleLines,
) {
    let last = (lines.count - 1, lines.len.next_multiple_of(LANES));
    let reach = |offset: &usize| last.0 * lines.x_step + offset + last.1 <= x.len();
    assert!(offsets[..T].iter().all(reach), "every line of every tap lies within the input");
    assert!(last.0 * lines.dy_step + last.1 <= dy.len(), "every line lies within the gradient");
    for first in (0..lines.period.min(lines.dy_step)).step_by(LANES) {
        // SAFETY: guaranteed by the caller; the positions of all vectors were checked.
        unsafe {
            let mut sums = [S::splat(0.0); T];
            let mut bias = S::splat(0.0);
            for i in 0..lines.count {
                let (x, dy) = (x.as_ptr().add(i * lines.x_step), dy.as_ptr().add(i * lines.dy_step));
                let mut j = first;
                while j < lines.len {
                    let (x, dy) = (x.add(j), S::load(dy.add(j)));
                    bias = S::add(bias, dy);
                    for (sum, &offset) in sums.iter_mut().zip(offsets) {
                        *sum = S::add(S::multiply(S::load(x.add(offset)), dy), *sum);
                    }
                    j += lines.period;
                }
            }
            for (t, sum) in sums.into_iter().enumerate() {
                add_to::<S>(tap_sums, t * lines.period + first, sum);
            }
            if !bias_sums.is_empty() {
                add_to::<S>(bias_sums, first, bias);
            }
        }
    }
}

/// Adds a vector to memory.
///
/// # Safety
/// The processor must support the instruction set.
#[inline(always)]
unsafe fn add_to<S: Simd>(to: &mut [f32], at: usize, sum: S::Vector) {
    let to = to[at..at + LANES].as_mut_ptr();
    // SAFETY: guaranteed by the caller; the vector lies within the slice.
    unsafe { S::store(to, S::add(S::load(to), sum)) }
}
