//! What happens to values on their way into memory: bias, activation or fake quantization, and the record of where
//! the gradient passes, which takes one bit a value.
//!
//! Functions here are those of one value that a product can apply to its registers. The rest are
//! [`activation`](super::activation)'s.

use super::elementwise::zip;
use super::gate::{Gate, GateFunction, gate_words};
use super::rows::add_to_rows;
use super::split;
use super::tile::{Kernels, apply_function, close_rows};

/// Bias, function and record of the gate.
#[derive(Debug)]
pub struct Epilogue<'a> {
    /// Added before the function, one value a channel.
    pub bias: Option<&'a [f32]>,
    /// Function and bounds of its gradient.
    pub gate: Gate,
    /// Receives [`gate_words`]; empty: not recorded.
    pub bits: &'a mut [u16],
}

/// What an input gradient does with what it computes.
#[derive(Debug, Clone, Copy, Default)]
pub struct GradientSink<'a> {
    /// Gate bits of the layer that made the input (empty: none), applied to what is stored.
    pub gate: &'a [u16],
    /// Whether to add to what is there, before the gate closes on the sum.
    pub accumulate: bool,
}

/// Where the gradients of a kernel and a bias go.
#[derive(Debug, Default)]
pub struct ParameterGradients<'a> {
    /// The kernel's.
    pub kernel: &'a mut [f32],
    /// The bias's, where there is one.
    pub bias: Option<&'a mut [f32]>,
    /// Whether to add to what is there: for batches that are passed over part by part.
    pub accumulate: bool,
}

impl<'a> ParameterGradients<'a> {
    /// Those of a kernel alone, to be overwritten.
    #[must_use]
    pub const fn of_kernel(kernel: &'a mut [f32]) -> Self {
        Self { kernel, bias: None, accumulate: false }
    }
}

/// Values that a block of work takes.
const BLOCK: usize = 1 << 13;

/// `body(first row, out, words)` over blocks of whole rows, on up to `threads` threads.
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
    let threads = split::useful(threads, out.len() * split::ELEMENT);
    split::for_chunks2(threads, (out, rows * channels), (bits, words), |i, out, bits| {
        body(i * rows, out, bits);
    });
}

/// Checks that rows are whole and the record, where there is one, is long enough.
fn check(values: usize, bits: usize, bias: Option<&[f32]>, channels: usize) {
    assert!(values == 0 || values.is_multiple_of(channels), "rows are whole");
    let words = if values == 0 { 0 } else { gate_words(values / channels, channels) };
    assert!(bits == 0 || bits == words, "{bits} words of gate bits, want {words}");
    assert!(bias.is_none_or(|b| b.len() == channels), "one bias a channel");
}

/// `out = function(x + bias)` over rows of `channels`.
///
/// # Panics
/// If slices differ in length.
pub fn apply_gate(out: &mut [f32], x: &[f32], epilogue: Epilogue<'_>, channels: usize, threads: usize) {
    let Epilogue { bias, gate, bits } = epilogue;
    assert_eq!(out.len(), x.len(), "input and output are of one size");
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

/// Values of `dy` whose gate bit is 0 become 0.
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

/// `out = function(a + b + bias)`, the merge of a residual block.
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
    assert!(out.len() == a.len() && out.len() == b.len(), "inputs and output are of one size");
    check(out.len(), bits.len(), bias, channels);
    let kernels = Kernels::current();
    for_rows(out, bits, channels, threads, |row, out, bits| {
        let range = row * channels..row * channels + out.len();
        zip(out, &a[range.clone()], &b[range], |a, b| a + b, 1);
        finish(kernels, out, bias, gate, bits, channels);
    });
}

/// The epilogue over whole rows, in place.
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
