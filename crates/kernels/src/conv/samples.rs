//! The samples of a forward pass, split among threads.

use super::shape::ConvShape;
use crate::gate::gate_words;
use crate::split;

/// Calls `body(outputs, inputs, gate words)` for the samples of a forward pass, split evenly among the threads that
/// pay.
pub(super) fn for_samples(
    out: &mut [f32],
    x: &[f32],
    bits: &mut [u16],
    shape: &ConvShape,
    threads: usize,
    body: impl Fn(&mut [f32], &[f32], &mut [u16]) + Sync,
) {
    let threads = split::useful(threads, shape.work());
    let samples = shape.batch.div_ceil(threads).max(1);
    let words = if bits.is_empty() { 0 } else { gate_words(shape.out_h * shape.out_w, shape.out_c) };
    let out = (out, samples * shape.out_sample());
    split::for_chunks2(threads, out, (bits, samples * words), |i, out, bits| {
        body(out, &x[i * samples * shape.in_sample()..], bits);
    });
}
