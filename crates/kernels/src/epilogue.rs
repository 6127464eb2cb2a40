//! Operations on results on their way to memory: bias, activation or fake quantization, gate bits, accumulation.
//!
//! Epilogues use the functions of a [`Gate`], which products apply in registers. All other activations are in
//! [`activation`](super::activation).

use super::elementwise::zip;
use super::gate::{Gate, GateFunction, gate_words};
use super::rows::add_to_rows;
use super::split;
use super::tile::{Kernels, apply_function, close_rows};

/// Operations between the sums of a product and memory.
#[derive(Debug)]
pub struct Epilogue<'a> {
    /// Added before the function, one value per channel.
    pub bias: Option<&'a [f32]>,
    /// The function, and the interval in which its gradient passes.
    pub gate: Gate,
    /// Receives [`gate_words`] words, or nothing if empty.
    pub bits: &'a mut [u16],
}

/// Operations on an input gradient before it is stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct GradientSink<'a> {
    /// Gate bits of the layer that computed the input, applied to the stored gradient. Empty for none.
    pub gate: &'a [u16],
    /// Adds to the previous content. The gate closes on the sum.
    pub accumulate: bool,
}

/// Destinations of the gradients of a kernel and a bias.
#[derive(Debug, Default)]
pub struct ParameterGradients<'a> {
    /// Gradient of the kernel.
    pub kernel: &'a mut [f32],
    /// Gradient of the bias, if any.
    pub bias: Option<&'a mut [f32]>,
    /// Adds to the previous content, for batches that are processed in parts.
    pub accumulate: bool,
}

impl<'a> ParameterGradients<'a> {
    /// Overwrites the gradient of a kernel without bias.
    #[must_use]
    pub const fn of_kernel(kernel: &'a mut [f32]) -> Self {
        Self { kernel, bias: None, accumulate: false }
    }
}

/// Values per block of work.
const BLOCK: usize = 1 << 13;

/// Calls `body(first row, out, words)` for blocks of complete rows, on up to `threads` threads.
fn for_rows(
    out: &mut [f32],
    bits: &mut [u16],
    channels: usize,
    threads: usize,
    body: impl Fn(usize, &mut [f32], &mut [u16]) + Sync,
) {
    let channels = channels.max(1);
    let rows = (BLOCK / channels).max(1);
    let words = if bits.is_empty() { 0 } else { gate_words(rows, channels) };
    let threads = split::useful(threads, out.len() * split::ELEMENT_COST);
    split::for_chunks2(threads, (out, rows * channels), (bits, words), |i, out, bits| {
        body(i * rows, out, bits);
    });
}

/// Checks that rows are complete and that the slices for bits and bias have the right lengths.
fn check(values: usize, bits: usize, bias: Option<&[f32]>, channels: usize) {
    assert!(values == 0 || values.is_multiple_of(channels), "rows are complete");
    let words = if values == 0 { 0 } else { gate_words(values / channels, channels) };
    assert!(bits == 0 || bits == words, "there are {bits} words of gate bits, want {words}");
    assert!(bias.is_none_or(|b| b.len() == channels), "one bias per channel");
}

/// `out = function(x + bias)` over rows of `channels` values.
///
/// # Panics
/// If slices differ in length.
pub fn apply_gate(out: &mut [f32], x: &[f32], epilogue: Epilogue<'_>, channels: usize, threads: usize) {
    let Epilogue { bias, gate, bits } = epilogue;
    assert_eq!(out.len(), x.len(), "input and output have the same length");
    check(out.len(), bits.len(), bias, channels);
    let kernels = Kernels::current();
    for_rows(out, bits, channels, threads, |row, out, bits| {
        out.copy_from_slice(&x[row * channels..][..out.len()]);
        finish(kernels, out, bias, gate, bits, channels);
    });
}

/// [`apply_gate`] in place.
///
/// # Panics
/// If slices differ in length.
pub fn apply_gate_in_place(x: &mut [f32], epilogue: Epilogue<'_>, channels: usize, threads: usize) {
    let Epilogue { bias, gate, bits } = epilogue;
    check(x.len(), bits.len(), bias, channels);
    let kernels = Kernels::current();
    for_rows(x, bits, channels, threads, |_, x, bits| finish(kernels, x, bias, gate, bits, channels));
}

/// Zeroes values of `dy` whose gate bit is 0.
///
/// # Panics
/// If slices differ in length.
pub fn close_gate(dy: &mut [f32], bits: &[u16], channels: usize, threads: usize) {
    check(dy.len(), bits.len(), None, channels);
    if bits.is_empty() {
        return;
    }
    let kernels = Kernels::current();
    for_rows(dy, &mut [], channels, threads, |row, dy, _| {
        close_rows(kernels, dy, channels, &bits[gate_words(row, channels)..]);
    });
}

/// `out = function(a + b + bias)`, as at the end of a residual block.
///
/// # Panics
/// If slices differ in length.
pub fn add_gated(
    out: &mut [f32],
    a: &[f32],
    b: &[f32],
    epilogue: Epilogue<'_>,
    channels: usize,
    threads: usize,
) {
    let Epilogue { bias, gate, bits } = epilogue;
    assert!(out.len() == a.len() && out.len() == b.len(), "inputs and output have the same length");
    check(out.len(), bits.len(), bias, channels);
    let kernels = Kernels::current();
    for_rows(out, bits, channels, threads, |row, out, bits| {
        let range = row * channels..row * channels + out.len();
        zip(out, &a[range.clone()], &b[range], |a, b| a + b, 1);
        finish(kernels, out, bias, gate, bits, channels);
    });
}

/// Applies the epilogue to complete rows in place.
fn finish(
    kernels: &Kernels,
    out: &mut [f32],
    bias: Option<&[f32]>,
    gate: Gate,
    bits: &mut [u16],
    channels: usize,
) {
    if let Some(bias) = bias {
        add_to_rows(out, bias);
    }
    if gate.function != GateFunction::Linear || !bits.is_empty() {
        apply_function(kernels, out, channels, gate, bits);
    }
}
