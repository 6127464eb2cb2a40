//! Convolutions of few-bit numbers in integers. Where inputs are whole multiples of one power of two with at most 8 bits, and
//! weights of another, their products are summed as bytes, four at a time. Sums stay below 2^24 units, so the result
//! is that of the float kernels to the last bit.
#![expect(unsafe_code, reason = "vector instructions")]

use super::border::Border;
use super::{ConvShape, for_samples};
use crate::dispatch::multiversion;
use crate::epilogue::{Epilogue, apply_gate_in_place};
use crate::gate::Gate;
use crate::lanes::{LANES, by_lanes};
use crate::scratch;
use crate::tile::integer::{ByteLayout, QUAD, is_available, product};
use crate::tile::{PANEL, panels};

/// Sums of fewer units are whole numbers in single precision, in whatever order they are added.
const EXACT: i64 = 1 << 24;

/// Elements of a window from which bytes pay: less is done while sums are turned into floats and gated.
const WINDOW: usize = 32;

/// Whole multiples of a power of two.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// The power of two.
    unit: f32,
    /// The largest magnitude, in units.
    most: i32,
    has_negative: bool,
}

impl Grid {
    /// That of `x`, where no magnitude is above 255 units.
    fn of(x: &[f32]) -> Option<Self> {
        // Most numbers that lie on no grid show it at once.
        const CHUNK: usize = 1 << 10;
        let (mut lowest, mut largest, mut has_negative) = (i32::MAX, 0, false);
        for chunk in x.chunks(CHUNK) {
            let (low, large, negative) = scan(chunk);
            lowest = lowest.min(low);
            largest = largest.max(large);
            has_negative |= negative;
            if lowest != i32::MAX && (largest >> 23) - lowest > 7 {
                return None;
            }
        }
        if lowest == i32::MAX {
            return Some(Self { unit: 1.0, most: 0, has_negative: false });
        }
        // Neither it nor its inverse nor products of two may leave the normal numbers.
        if !(64..=190).contains(&lowest) {
            return None;
        }
        let unit = f32::from_bits((lowest as u32) << 23);
        Some(Self { unit, most: (f32::from_bits(largest as u32) / unit) as i32, has_negative })
    }
}

multiversion! {
    /// The least exponent (with the format's offset) of a lowest bit that is set, `i32::MAX` where all are 0; the bits of
    /// the greatest magnitude; and whether there is a negative number.
    fn scan(x: &[f32]) -> (i32, i32, bool) {
        let (mut lowest, mut largest, mut signs) = (i32::MAX, 0, 0);
        for x in x {
            let bits = x.to_bits();
            let magnitude = (bits & 0x7fff_ffff) as i32;
            let mantissa = ((bits & 0x7f_ffff) | 0x80_0000) as i32;
            let last = mantissa & mantissa.wrapping_neg();
            // The exponent of an integer says where its bit is.
            let exponent = (magnitude >> 23) + ((last as f32).to_bits() >> 23) as i32 - 150;
            lowest = lowest.min(if magnitude == 0 { i32::MAX } else { exponent });
            largest = largest.max(magnitude);
            signs |= if magnitude == 0 { 0 } else { bits >> 31 };
        }
        (lowest, largest, signs != 0)
    }
}

by_lanes! {
    /// `to = factor from + offset`, whole numbers from 0 to 255.
    fn to_bytes<S>(to: &mut [u8], from: &[f32], factor: f32, offset: f32) {
        assert!(to.len() == from.len(), "one byte a number");
        // SAFETY: guaranteed by the caller; lanes lie within both slices, which are of one length.
        unsafe {
            let (factor, offset) = (S::splat(factor), S::splat(offset));
            for at in (0..from.len()).step_by(LANES) {
                let count = LANES.min(from.len() - at);
                let x = S::load_lanes(from.as_ptr().add(at), S::lanes(count));
                S::store_bytes(to.as_mut_ptr().add(at), count, S::multiply_add(x, factor, offset));
            }
        }
    }
}

multiversion! {
    /// Four rows of weights as codes, one byte each of a lane; `sums` and `sizes` gain the codes and their magnitudes.
    fn pack_quad(to: &mut [u32], rows: [&[f32]; QUAD], per_unit: f32, sums: &mut [i32], sizes: &mut [i32]) {
        to.fill(0);
        for (byte, row) in rows.into_iter().enumerate() {
            for (((to, w), sum), size) in to.iter_mut().zip(row).zip(&mut *sums).zip(&mut *sizes) {
                let code = (w * per_unit) as i32;
                *to |= (code as u32 & 0xff) << (8 * byte);
                *sum += code;
                *size += code.abs();
            }
        }
    }
}

/// The kernel as bytes: panels of filters, in each (line, quad of the line, filter, byte of the quad); and what each filter's
/// sums start from: minus the sum of its codes times the input's `offset`. The largest sum of a filter's magnitudes.
fn pack(
    (codes, start): (&mut [u32], &mut [i32]),
    w: &[f32],
    (per_unit, offset): (f32, i32),
    (window, quads): ((usize, usize), usize),
    filters: usize,
) -> i32 {
    let (lines, across) = window;
    let (mut most, mut first_start, mut first_code) = (0, 0, 0);
    for (first, width) in panels(filters) {
        let padded = ByteLayout::padded(width);
        let codes = &mut codes[first_code..][..lines * quads * padded];
        let (mut sums, mut sizes) = ([0; PANEL], [0; PANEL]);
        for (i, to) in codes.chunks_exact_mut(padded).enumerate() {
            let (line, from) = (i / quads, i % quads * QUAD);
            let rows = std::array::from_fn(|byte| {
                let at = ((line * across + from + byte) * filters) + first;
                if from + byte < across { &w[at..at + width] } else { &[] }
            });
            pack_quad(to, rows, per_unit, &mut sums, &mut sizes);
        }
        for (start, sum) in start[first_start..][..padded].iter_mut().zip(sums) {
            *start = -offset * sum;
        }
        most = sizes.into_iter().fold(most, i32::max);
        first_start += padded;
        first_code += codes.len();
    }
    most
}

/// The whole pass, where input and kernel are of few bits; else false, and nothing was done.
pub(super) fn forward(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    Epilogue { bias, gate, bits }: Epilogue<'_>,
    shape: &ConvShape,
    threads: usize,
) -> bool {
    if !shape.exact || !shape.is_compact() || shape.window() < WINDOW || !is_available() {
        return false;
    }
    let Some(kernel) = Grid::of(w).filter(|grid| grid.most <= 127) else { return false };
    let Some(input) = Grid::of(x) else { return false };
    let offset = if input.has_negative { 128 } else { 0 };
    if input.most > 255 - offset {
        return false;
    }
    let filters = shape.out_c;
    let padded: usize = panels(filters).map(|(_, width)| ByteLayout::padded(width)).sum();
    let (lines, across) = (shape.kernel_h, shape.kernel_w * shape.in_c);
    let quads = across.div_ceil(QUAD);
    scratch::with(padded * (1 + lines * quads), |memory| {
        let (start, codes) = memory.split_at_mut(padded);
        let start: &mut [i32] = bytemuck::cast_slice_mut(start);
        let to = (bytemuck::cast_slice_mut(&mut *codes), &mut *start);
        let most = pack(to, w, (1.0 / kernel.unit, offset), ((lines, across), quads), filters);
        if i64::from(most) * i64::from(input.most) >= EXACT {
            return false;
        }
        let kernel = Kernel {
            codes: bytemuck::cast_slice(codes),
            start,
            unit: input.unit * kernel.unit,
            bias: bias.unwrap_or_default(),
            border: Border::of_input(shape),
            quads,
        };
        for_samples(out, x, bits, shape, threads, |out, x, bits| {
            kernel.run(out, x, (input.unit, offset), (gate, bits), shape);
        });
        true
    })
}

/// A kernel as [`pack`] makes it.
struct Kernel<'a> {
    codes: &'a [i8],
    start: &'a [i32],
    /// What a unit of the sums is worth.
    unit: f32,
    bias: &'a [f32],
    border: Border,
    /// Of a line of the kernel.
    quads: usize,
}

impl Kernel<'_> {
    /// All samples of `out`.
    fn run(
        &self,
        out: &mut [f32],
        x: &[f32],
        (unit, offset): (f32, i32),
        (gate, bits): (Gate, &mut [u16]),
        shape: &ConvShape,
    ) {
        let words = bits.len() / (out.len() / shape.out_sample());
        // The last quad of the last window may reach beyond it.
        let len = self.border.sample() + QUAD;
        scratch::with(len.div_ceil(size_of::<f32>()), |image| {
            let image = bytemuck::cast_slice_mut(image);
            image.fill(offset as u8);
            let samples = x.chunks_exact(shape.in_sample()).zip(out.chunks_exact_mut(shape.out_sample()));
            for (i, (x, out)) in samples.enumerate() {
                self.border.for_lines(|to, from| {
                    to_bytes(&mut image[to..][..from.len()], &x[from], 1.0 / unit, offset as f32);
                });
                self.convolve(out, image, shape);
                let epilogue = Epilogue { bias: None, gate, bits: &mut bits[i * words..][..words] };
                apply_gate_in_place(out, epilogue, shape.out_c, 1);
            }
        });
    }

    /// One sample.
    fn convolve(&self, out: &mut [f32], image: &[u8], shape: &ConvShape) {
        let (line, quads) = (self.border.line(), self.quads);
        let (row, step) = (shape.stride.1 * shape.in_c, shape.stride.0 * line);
        let merged = shape.merged_lines(step);
        let rows = shape.out_w * merged;
        let (mut start, mut codes) = (self.start, self.codes);
        for (first, width) in panels(shape.out_c) {
            let padded = ByteLayout::padded(width);
            let layout = ByteLayout {
                rows,
                columns: width,
                row,
                c_row: shape.out_c,
                quads,
                segments: (shape.kernel_h, shape.dilation.0 * line),
                lines: (shape.out_h / merged, step, rows * shape.out_c),
            };
            let bias = if self.bias.is_empty() { &[] } else { &self.bias[first..] };
            product(&layout, (image, codes), &mut out[first..], (start, self.unit, bias));
            start = &start[padded..];
            codes = &codes[padded * shape.kernel_h * quads * QUAD..];
        }
    }
}
