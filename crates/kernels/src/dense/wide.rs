//! The gradient of weights with many outputs: shared operands are prepared once, then a few rows are computed at a
//! time.
#![expect(unsafe_code, reason = "sums are stored through a matrix that threads may share")]

use std::ops::Range;

use super::gradient_sizes::{SAMPLES, SLAB_ROWS};
use super::sparsity;
use crate::arena::PrefetchHint;
use crate::parts::MAX_PARTIAL;
use crate::rows::add;
use crate::tile::{
    Kernels, LINE, LastBlock, LinePrefetch, OutputMatrix, PANEL, PANEL_STRIDE, ProductLayout, SparseBlocking,
    SparseRows, Start, StripePrefetch, SumAxis, TileEpilogue, pack_panels, pack_wide, panels, product,
    transpose_strided,
};
use crate::{scratch, split};

/// Block sizes of sparse products.
const BLOCKING: SparseBlocking = SparseBlocking::BATCH;
const _: () = assert!(SAMPLES.is_multiple_of(BLOCKING.terms), "sparse blocks divide the blocks of samples");

/// Maximum number of slices that a consumer of gradients reads: weights and the state of an optimizer.
pub const MAX_HINTS: usize = 4;

/// Receives a gradient piece by piece, while each piece is still in the cache.
pub trait GradientConsumer: Sync {
    /// Receives the piece of the gradient that starts at element `first`, and may overwrite it. Calls come from
    /// several threads at a time, for disjoint pieces.
    fn consume(&self, first: usize, gradient: &mut [f32]);

    /// Memory that [`consume`](Self::consume) will read for these elements. It is prefetched while the piece is
    /// computed.
    fn upcoming_reads(&self, elements: Range<usize>) -> [PrefetchHint; MAX_HINTS];
}

/// Tells if [`dense_gradient_in_pieces`] supports weights of this shape.
#[must_use]
pub const fn is_wide(inputs: usize, outputs: usize) -> bool {
    outputs > 2 * PANEL && inputs * outputs > MAX_PARTIAL
}

/// Gradient of [`dense`](super::dense) with respect to its weights, a few rows at a time. The values equal those of
/// [`dense_parameter_gradients`] bit by bit, but no memory for the whole gradient is needed.
///
/// [`dense_parameter_gradients`]: super::dense_parameter_gradients
///
/// # Panics
/// If the weights are not [wide](is_wide) or a slice is shorter than its shape.
pub fn dense_gradient_in_pieces(
    to: &dyn GradientConsumer,
    x: &[f32],
    dy: &[f32],
    sizes: (usize, usize, usize),
    threads: usize,
) {
    let (batch, inputs, outputs) = sizes;
    assert!(is_wide(inputs, outputs), "the weights are wide");
    let threads = split::useful(threads, batch * inputs * outputs);
    WideGradient::with(x, dy, sizes, threads, |wide| {
        let (group, parts) = wide.slabs(threads);
        split::run(threads, parts, |i| {
            let rows = wide.slab(i, (group, parts));
            scratch::with(rows.len() * outputs, |gradient| {
                let at = rows.start * outputs;
                wide.rows(rows.start, gradient, false, Some(to.upcoming_reads(at..at + gradient.len())));
                to.consume(at, gradient);
            });
        });
    });
}

/// Operands that all rows of the gradient share.
pub(super) struct WideGradient<'a> {
    kernels: &'static Kernels,
    x: &'a [f32],
    method: Method<'a>,
    batch: usize,
    inputs: usize,
    outputs: usize,
}

/// Methods to sum over the samples; all give the same bits.
enum Method<'a> {
    /// Dense tiles over all products, with the output gradients packed into panels of all samples.
    Dense(&'a [f32]),
    /// Sparse over the inputs: compressed inputs, and output gradients in panels for them.
    SparseInputs(SparseRows<'a>, &'a [f32]),
    /// Sparse over the output gradients, compressed. The weight gradient comes out transposed.
    SparseOutputs(SparseRows<'a>),
}

impl WideGradient<'_> {
    /// Prepares the shared operands and passes them to `body`.
    pub(super) fn with(
        x: &[f32],
        dy: &[f32],
        (batch, inputs, outputs): (usize, usize, usize),
        threads: usize,
        body: impl FnOnce(&WideGradient<'_>),
    ) {
        let (x, dy) = (&x[..batch * inputs], &dy[..batch * outputs]);
        let kernels = Kernels::current();
        let body = |method: Method<'_>| body(&WideGradient { kernels, x, method, batch, inputs, outputs });
        let (input_density, output_density) =
            (sparsity::density(x, batch, BLOCKING), sparsity::density(dy, batch, BLOCKING));
        if input_density.is_none() && output_density.is_none() {
            scratch::with(dy.len(), |packed| {
                split::for_chunks(threads, packed, batch * PANEL, |panel, packed| {
                    let width = packed.len() / batch;
                    pack_panels(packed, &dy[panel * PANEL..], (batch, width), outputs);
                });
                body(Method::Dense(packed));
            });
        } else if output_density.unwrap_or(1.0) < input_density.unwrap_or(1.0) {
            sparsity::with_compressed_columns(dy, outputs, BLOCKING, threads, |lists| {
                body(Method::SparseOutputs(lists));
            });
        } else {
            let vectors = outputs.div_ceil(LINE);
            scratch::with(BLOCKING.panels(vectors) * batch * PANEL_STRIDE, |packed| {
                split::for_chunks(threads, packed, batch * PANEL_STRIDE, |panel, packed| {
                    let columns = BLOCKING.panel(panel, &(0..vectors), outputs);
                    pack_wide(packed, &dy[columns.start..], (batch, columns.len()), outputs);
                });
                sparsity::with_compressed_columns(x, inputs, BLOCKING, threads, |lists| {
                    body(Method::SparseInputs(lists, packed));
                });
            });
        }
    }

    /// Number of rows that slabs are a multiple of, and number of slabs. For sparse output gradients a slab has as
    /// many rows as a panel has columns. Every thread gets equally many slabs where possible.
    pub(super) fn slabs(&self, threads: usize) -> (usize, usize) {
        if let Method::SparseOutputs(_) = self.method {
            let vectors = self.inputs.div_ceil(LINE);
            // A slab that is one vector too wide is better than one more slab for which the other threads wait.
            let panels = BLOCKING.panels(vectors);
            let even = panels / threads * threads;
            (LINE, if vectors <= (BLOCKING.vectors + 1) * even { even } else { panels })
        } else {
            (1, self.inputs.div_ceil(SLAB_ROWS).next_multiple_of(threads).min(self.inputs))
        }
    }

    /// The rows of slab `i`.
    pub(super) fn slab(&self, i: usize, (group, parts): (usize, usize)) -> Range<usize> {
        let groups = split::even(i, parts, self.inputs.div_ceil(group));
        groups.start * group..(groups.end * group).min(self.inputs)
    }

    /// Computes the gradient of the rows from `first` on, or adds it to `gradient`. With `hints` the gradient is a
    /// piece that is consumed from the cache, and the hinted memory is prefetched meanwhile. Sparse methods do not
    /// prefetch it, because loads limit them already.
    pub(super) fn rows(
        &self,
        first: usize,
        gradient: &mut [f32],
        accumulate: bool,
        hints: Option<[PrefetchHint; MAX_HINTS]>,
    ) {
        if self.batch == 0 && !accumulate {
            gradient.fill(0.0);
        }
        for from in (0..self.batch).step_by(SAMPLES) {
            let samples = from..self.batch.min(from + SAMPLES);
            let start = if from == 0 && !accumulate { Start::Zero } else { Start::Old };
            match self.method {
                Method::Dense(dy) => {
                    let hints = hints.unwrap_or([PrefetchHint::NONE; MAX_HINTS]);
                    self.dense_rows(dy, samples, (first, gradient), start, hints);
                }
                Method::SparseInputs(lists, dy) => {
                    self.sparse_input_rows((lists, dy), samples, (first, gradient), start)
                }
                Method::SparseOutputs(lists) => {
                    self.sparse_output_rows(lists, samples, (first, gradient), start, hints.is_none());
                }
            }
        }
    }

    fn dense_rows(
        &self,
        dy: &[f32],
        samples: Range<usize>,
        (first, gradient): (usize, &mut [f32]),
        start: Start<'_>,
        hints: [PrefetchHint; MAX_HINTS],
    ) {
        let &Self { kernels, x, batch, inputs, outputs, .. } = self;
        let (rows, count) = (gradient.len() / outputs, samples.len());
        scratch::with(count * rows, |slab| {
            let x = x[samples.start * inputs + first..].chunks(inputs);
            for (to, x) in slab.chunks_exact_mut(rows).zip(x) {
                to.copy_from_slice(&x[..rows]);
            }
            for (column, width) in panels(outputs) {
                let hint = hint_part(hints, column / PANEL, outputs.div_ceil(PANEL));
                let sum = SumAxis::new(count, rows, width);
                let layout = ProductLayout {
                    line_prefetch: LinePrefetch::lines(hint, count),
                    ..ProductLayout::matrix((rows, width), (1, outputs), sum)
                };
                let dy = &dy[column * batch + samples.start * width..][..count * width];
                product(kernels, &layout, (slab, dy), &mut gradient[column..], start, TileEpilogue::Store);
            }
        });
    }

    fn sparse_input_rows(
        &self,
        (lists, dy): (SparseRows<'_>, &[f32]),
        samples: Range<usize>,
        (first, gradient): (usize, &mut [f32]),
        start: Start<'_>,
    ) {
        let &Self { kernels, batch, outputs, .. } = self;
        let (rows, output) = (gradient.len() / outputs, OutputMatrix::new(gradient));
        let vectors = outputs.div_ceil(LINE);
        let panels = BLOCKING.panels(vectors);
        scratch::with(rows * PANEL_STRIDE, |sums| {
            for panel in 0..panels {
                let columns = BLOCKING.panel(panel, &(0..vectors), outputs);
                for from in samples.clone().step_by(BLOCKING.terms) {
                    let fresh = from == samples.start;
                    let last = (from + BLOCKING.terms >= samples.end).then_some(LastBlock {
                        output: &output,
                        at: columns.start,
                        row: outputs,
                        start,
                        end: TileEpilogue::Store,
                    });
                    // SAFETY: this call is the only user of the output.
                    unsafe {
                        lists.multiply(
                            kernels,
                            (first..first + rows, from / BLOCKING.terms),
                            (&dy[(panel * batch + from) * PANEL_STRIDE..], columns.len()),
                            (&mut *sums, fresh),
                            last,
                            &StripePrefetch::NONE,
                        );
                    }
                }
            }
        });
    }

    fn sparse_output_rows(
        &self,
        lists: SparseRows<'_>,
        samples: Range<usize>,
        (first, gradient): (usize, &mut [f32]),
        start: Start<'_>,
        in_place: bool,
    ) {
        let &Self { kernels, x, inputs, outputs, .. } = self;
        let rows = gradient.len() / outputs;
        scratch::with((samples.len() + 2 * LINE) * PANEL_STRIDE, |all| {
            let (packed, tiles) = all.split_at_mut(samples.len() * PANEL_STRIDE);
            let (sums, transposed) = tiles.split_at_mut(LINE * PANEL_STRIDE);
            pack_wide(packed, &x[samples.start * inputs + first..], (samples.len(), rows), inputs);
            // The sparse product gives (output, row) for one cache line of outputs at a time; its transpose is stored
            // into the gradient.
            for at in (0..outputs).step_by(LINE) {
                let count = LINE.min(outputs - at);
                // Prefetches the lines that are written next, unless the gradient is a piece that stays in the cache.
                let next = PrefetchHint::of(gradient).part(at + LINE, 1);
                let next = StripePrefetch { from: next, count: rows, lines: 2, step: outputs };
                let next = if in_place { &next } else { &StripePrefetch::NONE };
                for from in samples.clone().step_by(BLOCKING.terms) {
                    let panel = (&packed[(from - samples.start) * PANEL_STRIDE..], rows);
                    let (rows, fresh) = (at..at + count, from == samples.start);
                    let upcoming = if fresh { next } else { &StripePrefetch::NONE };
                    // SAFETY: the accumulators lie in a slice that only this call uses.
                    unsafe {
                        lists.multiply(
                            kernels,
                            (rows, from / BLOCKING.terms),
                            panel,
                            (sums, fresh),
                            None,
                            upcoming,
                        );
                    }
                }
                let to = match start {
                    Start::Old => (&mut *transposed, LINE),
                    _ => (&mut gradient[at..], outputs),
                };
                transpose_strided(kernels, to, (sums, PANEL_STRIDE), (count, rows));
                if let Start::Old = start {
                    let gradient = gradient[at..].chunks_mut(outputs);
                    for (to, transposed) in gradient.zip(transposed.chunks_exact(LINE)).take(rows) {
                        add(&mut to[..count], &transposed[..count]);
                    }
                }
            }
        });
    }
}

/// The part of the hints that is prefetched with panel `p` of `panels`.
fn hint_part(hints: [PrefetchHint; MAX_HINTS], p: usize, panels: usize) -> PrefetchHint {
    let used = hints.iter().filter(|hint| hint.len > 0).count();
    let number = p * used / panels;
    let Some(&hint) = hints.iter().filter(|hint| hint.len > 0).nth(number) else { return PrefetchHint::NONE };
    let (first, end) = ((number * panels).div_ceil(used), ((number + 1) * panels).div_ceil(used));
    let len = hint.len.div_ceil(end - first).next_multiple_of(LINE);
    hint.part((p - first) * len, len)
}
