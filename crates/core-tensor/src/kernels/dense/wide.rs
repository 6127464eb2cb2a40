//! The gradient of weights with many outputs: the outputs' gradients packed once, then a few rows of weights at a time.

use super::weight_gradient::{SAMPLES, SLAB};
use std::ops::Range;

use crate::arena::Hint;
use crate::kernels::parts::PARTIAL;
use crate::kernels::tile::{
    Axis, End, Kernels, LINE, Layout, PANEL, Start, Trickle, pack_panels, panels, product,
};
use crate::kernels::{scratch, split};

/// Slices that a taker of pieces reads at most: weights and an optimizer's state.
pub const MOST_HINTS: usize = 4;

/// Who takes a gradient piece by piece, while each is in the cache.
pub trait TakePieces: Sync {
    /// A piece of the gradient, from element `first` on, which may be used up. Pieces come from several threads at a time
    /// and do not overlap.
    fn take(&self, first: usize, gradient: &mut [f32]);

    /// What [`take`](Self::take) will read for these elements: memory is asked for it while the piece is computed.
    fn reads(&self, elements: Range<usize>) -> [Hint; MOST_HINTS];
}

/// Whether [`dense_gradient_in_pieces`] is for weights of this shape.
#[must_use]
pub const fn is_wide(inputs: usize, outputs: usize) -> bool {
    outputs > 2 * PANEL && inputs * outputs > PARTIAL
}

/// Gradient of [`dense`](super::dense) for its weights, a few rows at a time: what [`dense_parameter_gradients`] computes,
/// bit by bit, without a place for all of it.
///
/// [`dense_parameter_gradients`]: super::dense_parameter_gradients
///
/// # Panics
/// Where the weights are not [wide](is_wide) or a slice is shorter than its shape.
pub fn dense_gradient_in_pieces(
    to: &dyn TakePieces,
    x: &[f32],
    dy: &[f32],
    sizes: (usize, usize, usize),
    threads: usize,
) {
    let (batch, inputs, outputs) = sizes;
    assert!(is_wide(inputs, outputs), "the weights are wide");
    let threads = split::useful(threads, batch * inputs * outputs);
    Wide::with(x, dy, sizes, threads, |wide| {
        let rows = wide.slab(threads);
        split::run(threads, inputs.div_ceil(rows), |i| {
            let (first, count) = (i * rows, rows.min(inputs - i * rows));
            scratch::with(count * outputs, |gradient| {
                let at = first * outputs;
                wide.rows(first, gradient, false, to.reads(at..at + gradient.len()));
                to.take(at, gradient);
            });
        });
    });
}

/// What all rows of the weights share.
pub(super) struct Wide<'a> {
    kernels: &'static Kernels,
    x: &'a [f32],
    /// In panels of all samples.
    dy: &'a [f32],
    batch: usize,
    inputs: usize,
    outputs: usize,
}

impl Wide<'_> {
    /// Packs what all rows share and lends it to `body`.
    pub(super) fn with(
        x: &[f32],
        dy: &[f32],
        (batch, inputs, outputs): (usize, usize, usize),
        threads: usize,
        body: impl FnOnce(&Wide<'_>),
    ) {
        let (x, dy) = (&x[..batch * inputs], &dy[..batch * outputs]);
        scratch::with(dy.len(), |packed| {
            split::for_chunks(threads, packed, batch * PANEL, |panel, packed| {
                let width = packed.len() / batch;
                pack_panels(packed, &dy[panel * PANEL..], (batch, width), outputs);
            });
            body(&Wide { kernels: Kernels::current(), x, dy: packed, batch, inputs, outputs });
        });
    }

    /// Rows of weights to take at a time, so that every thread has as many.
    pub(super) fn slab(&self, threads: usize) -> usize {
        self.inputs.div_ceil(self.inputs.div_ceil(SLAB).next_multiple_of(threads))
    }

    /// The gradient of the rows from `first` on, or that added to what is there. Meanwhile memory is asked for `hints`.
    pub(super) fn rows(
        &self,
        first: usize,
        gradient: &mut [f32],
        accumulate: bool,
        hints: [Hint; MOST_HINTS],
    ) {
        let &Self { kernels, x, dy, batch, inputs, outputs } = self;
        let rows = gradient.len() / outputs;
        if batch == 0 && !accumulate {
            gradient.fill(0.0);
        }
        scratch::with(SAMPLES.min(batch) * rows, |slab| {
            for from in (0..batch).step_by(SAMPLES) {
                let count = SAMPLES.min(batch - from);
                for (to, x) in
                    slab.chunks_exact_mut(rows).zip(x[from * inputs + first..].chunks(inputs)).take(count)
                {
                    to.copy_from_slice(&x[..rows]);
                }
                let start = if from == 0 && !accumulate { Start::Zero } else { Start::Old };
                for (column, width) in panels(outputs) {
                    let sum = Axis::new(count, rows, width);
                    let hint = share(hints, column / PANEL, outputs.div_ceil(PANEL));
                    let layout = Layout {
                        trickle: Trickle::lines(hint, count),
                        ..Layout::matrix((rows, width), (1, outputs), sum)
                    };
                    let dy = &dy[column * batch + from * width..][..count * width];
                    product(
                        kernels,
                        &layout,
                        (&slab[..count * rows], dy),
                        &mut gradient[column..],
                        start,
                        End::Store,
                    );
                }
            }
        });
    }
}

/// The share of the hints that is asked for with panel `p` of `panels`.
fn share(hints: [Hint; MOST_HINTS], p: usize, panels: usize) -> Hint {
    let used = hints.iter().filter(|hint| hint.len > 0).count();
    let number = p * used / panels;
    let Some(&hint) = hints.iter().filter(|hint| hint.len > 0).nth(number) else { return Hint::NONE };
    let (first, end) = ((number * panels).div_ceil(used), ((number + 1) * panels).div_ceil(used));
    let len = hint.len.div_ceil(end - first).next_multiple_of(LINE);
    hint.part((p - first) * len, len)
}
