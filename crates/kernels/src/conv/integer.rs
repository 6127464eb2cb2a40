//! Convolutions of few-bit numbers in integer arithmetic. If all inputs are integer multiples of one power of two
//! with at most 8 bits, and all weights of another, products are computed on bytes, four at a time. Sums stay below
//! 2^24 units, so the results equal those of the float kernels bit by bit.
#![expect(unsafe_code, reason = "vector instructions")]

use super::border::Border;
use super::samples::for_samples;
use super::shape::ConvShape;
use crate::dispatch::multiversion;
use crate::epilogue::{Epilogue, apply_gate_in_place};
use crate::gate::Gate;
use crate::lanes::{LANES, by_lanes};
use crate::scratch;
use crate::tile::integer::{ByteLayout, QUAD, is_available, product};
use crate::tile::{PANEL, panels};

/// Sums of fewer units are exact integers in single precision, in any order of additions.
const EXACT_LIMIT: i64 = 1 << 24;

/// Minimum number of elements in a window for bytes to pay, given the cost of converting and gating the sums.
const MIN_WINDOW: usize = 32;

/// Description of values that are integer multiples of a power of two.
#[derive(Debug, Clone, Copy)]
struct Grid {
    /// The power of two.
    unit: f32,
    /// The largest magnitude, in units.
    max_units: i32,
    has_negative: bool,
}

impl Grid {
    /// Finds the grid of `x`. Returns `None` if there is none with magnitudes of at most 255 units.
    fn of(x: &[f32]) -> Option<Self> {
        // Most data that is on no grid shows it within the first chunk.
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
            return Some(Self { unit: 1.0, max_units: 0, has_negative: false });
        }
        // The unit, its inverse and products of two units must be normal numbers.
        if !(64..=190).contains(&lowest) {
            return None;
        }
        let unit = f32::from_bits((lowest as u32) << 23);
        Some(Self { unit, max_units: (f32::from_bits(largest as u32) / unit) as i32, has_negative })
    }
}

multiversion! {
    /// Returns the lowest exponent (biased) of any lowest set bit, or `i32::MAX` if all values are 0; the bits of the
    /// greatest magnitude; and true if any value is negative.
    fn scan(x: &[f32]) -> (i32, i32, bool) {
        let (mut lowest, mut largest, mut signs) = (i32::MAX, 0, 0);
        for x in x {
            let bits = x.to_bits();
            let magnitude = (bits & 0x7fff_ffff) as i32;
            let mantissa = ((bits & 0x7f_ffff) | 0x80_0000) as i32;
            let last = mantissa & mantissa.wrapping_neg();
            // The exponent of an isolated bit, converted to float, is the position of the bit.
            let exponent = (magnitude >> 23) + ((last as f32).to_bits() >> 23) as i32 - 150;
            lowest = lowest.min(if magnitude == 0 { i32::MAX } else { exponent });
            largest = largest.max(magnitude);
            signs |= if magnitude == 0 { 0 } else { bits >> 31 };
        }
        (lowest, largest, signs != 0)
    }
}

by_lanes! {
    /// Computes `to = factor from + offset`; results must be integers from 0 to 255.
    fn to_bytes<S>(to: &mut [u8], from: &[f32], factor: f32, offset: f32) {
        assert!(to.len() == from.len(), "one byte per number");
        // SAFETY: guaranteed by the caller; lanes lie within both slices, which have the same length.
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
    /// Packs four rows of weights as integer codes, one byte of a lane each. Adds the codes to `sums` and their
    /// magnitudes to `sizes`.
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

/// Packs the kernel as bytes, in panels of filters ordered by (line, quad of the line, filter, byte of the quad).
/// Sets `start` to the initial value of each filter's sum: minus the sum of its codes times the input's `offset`.
/// Returns the largest sum of magnitudes of any filter.
fn pack(
    (codes, start): (&mut [u32], &mut [i32]),
    w: &[f32],
    (per_unit, offset): (f32, i32),
    (window, quads): ((usize, usize), usize),
    filters: usize,
) -> i32 {
    let (lines, across) = window;
    let (mut max_units, mut first_start, mut first_code) = (0, 0, 0);
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
        max_units = sizes.into_iter().fold(max_units, i32::max);
        first_start += padded;
        first_code += codes.len();
    }
    max_units
}

/// Computes the whole pass if input and kernel are of few bits. Returns false, with `out` unchanged, if not.
pub(super) fn forward(
    out: &mut [f32],
    x: &[f32],
    w: &[f32],
    Epilogue { bias, gate, bits }: Epilogue<'_>,
    shape: &ConvShape,
    threads: usize,
) -> bool {
    if !shape.exact || !shape.is_compact() || shape.window() < MIN_WINDOW || !is_available() {
        return false;
    }
    let Some(kernel) = Grid::of(w).filter(|grid| grid.max_units <= 127) else { return false };
    let Some(input) = Grid::of(x) else { return false };
    let offset = if input.has_negative { 128 } else { 0 };
    if input.max_units > 255 - offset {
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
        let max_units = pack(to, w, (1.0 / kernel.unit, offset), ((lines, across), quads), filters);
        if i64::from(max_units) * i64::from(input.max_units) >= EXACT_LIMIT {
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

/// A kernel packed by [`pack`].
struct Kernel<'a> {
    codes: &'a [i8],
    start: &'a [i32],
    /// Value of one unit of the sums.
    unit: f32,
    bias: &'a [f32],
    border: Border,
    /// Quads per line of the kernel.
    quads: usize,
}

impl Kernel<'_> {
    /// Computes all samples of `out`.
    fn run(
        &self,
        out: &mut [f32],
        x: &[f32],
        (unit, offset): (f32, i32),
        (gate, bits): (Gate, &mut [u16]),
        shape: &ConvShape,
    ) {
        let words = bits.len() / (out.len() / shape.out_sample());
        // The last quad of the last window may extend beyond the image.
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

    /// Computes one sample.
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
