//! The gradient of weights with many outputs: what all rows share is prepared once, then come a few rows of weights at a time.
#![expect(unsafe_code, reason = "sums are stored by way of a target that threads could share")]

use std::ops::Range;

use super::nonzeros;
use super::weight_gradient::{SAMPLES, SLAB};
use crate::arena::PrefetchHint;
use crate::parts::PARTIAL;
use crate::rows::add;
use crate::tile::{
    Axis, Blocking, End, Kernels, LINE, Last, Layout, Nonzeros, PANEL, Start, Stripes, Target, Trickle,
    WIDTH, pack_panels, pack_wide, panels, product, turn_into,
};
use crate::{scratch, split};

/// How sums over lists are cut.
const BLOCKING: Blocking = Blocking::BATCH;
const _: () = assert!(SAMPLES.is_multiple_of(BLOCKING.terms), "blocks end where sums over samples do");

/// Slices that a taker of pieces reads at most: weights and an optimizer's state.
pub const MAX_HINTS: usize = 4;

/// Who takes a gradient piece by piece, while each is in the cache.
pub trait GradientConsumer: Sync {
    /// A piece of the gradient, from element `first` on, which may be used up. Pieces come from several threads at a time
    /// and do not overlap.
    fn consume(&self, first: usize, gradient: &mut [f32]);

    /// What [`consume`](Self::consume) will read for these elements: memory is asked for it while the piece is computed.
    fn upcoming_reads(&self, elements: Range<usize>) -> [PrefetchHint; MAX_HINTS];
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
    Wide::with(x, dy, sizes, threads, |wide| {
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

/// What all rows of the weights share.
pub(super) struct Wide<'a> {
    kernels: &'static Kernels,
    x: &'a [f32],
    way: Way<'a>,
    batch: usize,
    inputs: usize,
    outputs: usize,
}

/// How the sums over the samples are computed: what they are is the same.
enum Way<'a> {
    /// Of all products. The outputs' gradients in panels of all samples.
    All(&'a [f32]),
    /// Without those of zero inputs: lists of the inputs, and the outputs' gradients in panels for them.
    Inputs(Nonzeros<'a>, &'a [f32]),
    /// Without those of zero gradients: lists of the outputs' gradients. The weights' gradient comes out transposed.
    Outputs(Nonzeros<'a>),
}

impl Wide<'_> {
    /// Prepares what all rows share and lends it to `body`.
    pub(super) fn with(
        x: &[f32],
        dy: &[f32],
        (batch, inputs, outputs): (usize, usize, usize),
        threads: usize,
        body: impl FnOnce(&Wide<'_>),
    ) {
        let (x, dy) = (&x[..batch * inputs], &dy[..batch * outputs]);
        let kernels = Kernels::current();
        let body = |way: Way<'_>| body(&Wide { kernels, x, way, batch, inputs, outputs });
        let (few_inputs, few_outputs) =
            (nonzeros::density(x, batch, BLOCKING), nonzeros::density(dy, batch, BLOCKING));
        if few_inputs.is_none() && few_outputs.is_none() {
            scratch::with(dy.len(), |packed| {
                split::for_chunks(threads, packed, batch * PANEL, |panel, packed| {
                    let width = packed.len() / batch;
                    pack_panels(packed, &dy[panel * PANEL..], (batch, width), outputs);
                });
                body(Way::All(packed));
            });
        } else if few_outputs.unwrap_or(1.0) < few_inputs.unwrap_or(1.0) {
            nonzeros::of_columns(dy, outputs, BLOCKING, threads, |lists| body(Way::Outputs(lists)));
        } else {
            let vectors = outputs.div_ceil(LINE);
            scratch::with(BLOCKING.panels(vectors) * batch * WIDTH, |packed| {
                split::for_chunks(threads, packed, batch * WIDTH, |panel, packed| {
                    let columns = BLOCKING.panel(panel, &(0..vectors), outputs);
                    pack_wide(packed, &dy[columns.start..], (batch, columns.len()), outputs);
                });
                nonzeros::of_columns(x, inputs, BLOCKING, threads, |lists| body(Way::Inputs(lists, packed)));
            });
        }
    }

    /// Into how many slabs to cut the weights, and of how many rows each is a multiple: for lists of the outputs' gradients as
    /// many rows as a panel holds, and every thread as many slabs.
    pub(super) fn slabs(&self, threads: usize) -> (usize, usize) {
        if let Way::Outputs(_) = self.way {
            let vectors = self.inputs.div_ceil(LINE);
            // Rather a slab with a vector too many than one that a thread computes while the others wait.
            let panels = BLOCKING.panels(vectors);
            let even = panels / threads * threads;
            (LINE, if vectors <= (BLOCKING.vectors + 1) * even { even } else { panels })
        } else {
            (1, self.inputs.div_ceil(SLAB).next_multiple_of(threads).min(self.inputs))
        }
    }

    /// The rows of a slab of those.
    pub(super) fn slab(&self, i: usize, (group, parts): (usize, usize)) -> Range<usize> {
        let groups = split::even(i, parts, self.inputs.div_ceil(group));
        groups.start * group..(groups.end * group).min(self.inputs)
    }

    /// The gradient of the rows from `first` on, or that added to what is there. Where it is a piece that is taken from the
    /// cache, memory is asked for `hints` meanwhile, unless elements are left out: sums over lists are bound by loads already.
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
            match self.way {
                Way::All(dy) => {
                    let hints = hints.unwrap_or([PrefetchHint::NONE; MAX_HINTS]);
                    self.of_all(dy, samples, (first, gradient), start, hints);
                }
                Way::Inputs(lists, dy) => self.of_inputs((lists, dy), samples, (first, gradient), start),
                Way::Outputs(lists) => {
                    self.of_outputs(lists, samples, (first, gradient), start, hints.is_none());
                }
            }
        }
    }

    fn of_all(
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
                let hint = share(hints, column / PANEL, outputs.div_ceil(PANEL));
                let sum = Axis::new(count, rows, width);
                let layout = Layout {
                    trickle: Trickle::lines(hint, count),
                    ..Layout::matrix((rows, width), (1, outputs), sum)
                };
                let dy = &dy[column * batch + samples.start * width..][..count * width];
                product(kernels, &layout, (slab, dy), &mut gradient[column..], start, End::Store);
            }
        });
    }

    fn of_inputs(
        &self,
        (lists, dy): (Nonzeros<'_>, &[f32]),
        samples: Range<usize>,
        (first, gradient): (usize, &mut [f32]),
        start: Start<'_>,
    ) {
        let &Self { kernels, batch, outputs, .. } = self;
        let (rows, target) = (gradient.len() / outputs, Target::new(gradient));
        let vectors = outputs.div_ceil(LINE);
        let panels = BLOCKING.panels(vectors);
        scratch::with(rows * WIDTH, |sums| {
            for panel in 0..panels {
                let columns = BLOCKING.panel(panel, &(0..vectors), outputs);
                for from in samples.clone().step_by(BLOCKING.terms) {
                    let fresh = from == samples.start;
                    let last = (from + BLOCKING.terms >= samples.end).then_some(Last {
                        target: &target,
                        at: columns.start,
                        row: outputs,
                        start,
                        end: End::Store,
                    });
                    // SAFETY: the target is this call's alone.
                    unsafe {
                        lists.multiply(
                            kernels,
                            (first..first + rows, from / BLOCKING.terms),
                            (&dy[(panel * batch + from) * WIDTH..], columns.len()),
                            (&mut *sums, fresh),
                            last,
                            &Stripes::NONE,
                        );
                    }
                }
            }
        });
    }

    fn of_outputs(
        &self,
        lists: Nonzeros<'_>,
        samples: Range<usize>,
        (first, gradient): (usize, &mut [f32]),
        start: Start<'_>,
        in_place: bool,
    ) {
        let &Self { kernels, x, inputs, outputs, .. } = self;
        let rows = gradient.len() / outputs;
        scratch::with((samples.len() + 2 * LINE) * WIDTH, |all| {
            let (packed, tiles) = all.split_at_mut(samples.len() * WIDTH);
            let (sums, turned) = tiles.split_at_mut(LINE * WIDTH);
            pack_wide(packed, &x[samples.start * inputs + first..], (samples.len(), rows), inputs);
            for at in (0..outputs).step_by(LINE) {
                let count = LINE.min(outputs - at);
                // Lines that are written next, unless the gradient is a piece that stays in the cache.
                let next = PrefetchHint::of(gradient).part(at + LINE, 1);
                let next = Stripes { from: next, count: rows, lines: 2, step: outputs };
                let next = if in_place { &next } else { &Stripes::NONE };
                for from in samples.clone().step_by(BLOCKING.terms) {
                    let panel = (&packed[(from - samples.start) * WIDTH..], rows);
                    let (rows, fresh) = (at..at + count, from == samples.start);
                    let ahead = if fresh { next } else { &Stripes::NONE };
                    // SAFETY: the sums stay in a slice that is this call's.
                    unsafe {
                        lists.multiply(
                            kernels,
                            (rows, from / BLOCKING.terms),
                            panel,
                            (sums, fresh),
                            None,
                            ahead,
                        );
                    }
                }
                let to = match start {
                    Start::Old => (&mut *turned, LINE),
                    _ => (&mut gradient[at..], outputs),
                };
                turn_into(kernels, to, (sums, WIDTH), (count, rows));
                if let Start::Old = start {
                    let gradient = gradient[at..].chunks_mut(outputs);
                    for (to, turned) in gradient.zip(turned.chunks_exact(LINE)).take(rows) {
                        add(&mut to[..count], &turned[..count]);
                    }
                }
            }
        });
    }
}

/// The share of the hints that is asked for with panel `p` of `panels`.
fn share(hints: [PrefetchHint; MAX_HINTS], p: usize, panels: usize) -> PrefetchHint {
    let used = hints.iter().filter(|hint| hint.len > 0).count();
    let number = p * used / panels;
    let Some(&hint) = hints.iter().filter(|hint| hint.len > 0).nth(number) else { return PrefetchHint::NONE };
    let (first, end) = ((number * panels).div_ceil(used), ((number + 1) * panels).div_ceil(used));
    let len = hint.len.div_ceil(end - first).next_multiple_of(LINE);
    hint.part((p - first) * len, len)
}
