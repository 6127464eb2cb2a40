//! Layout of a network's tensors in one static block of memory.

use crate::network::{Element, Network, Work};

/// Alignment of every tensor, in bytes.
const ALIGNMENT: usize = 4;

/// Offsets of all tensors in the arena.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arena {
    /// Size in bytes.
    pub(crate) bytes: usize,
    /// Offset of each tensor; None for the caller's input and output.
    pub(crate) offsets: Vec<Option<usize>>,
    /// Offset of each step's scratch memory, if it needs any.
    pub(crate) scratch: Vec<Option<usize>>,
}

/// Memory that is live from step `first` to step `last`, both included.
#[derive(Debug, Clone, Copy)]
struct Span {
    bytes: usize,
    first: usize,
    last: usize,
}

impl Span {
    const fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Lays out the tensors of a network. A step that works in place shares the address of its input.
pub(crate) fn plan(network: &Network) -> Arena {
    let count = network.tensors.len();
    let mut last_read = vec![0; count];
    for (i, step) in network.steps.iter().enumerate() {
        for &input in &step.inputs {
            last_read[input] = i;
        }
    }
    let mut spans: Vec<Span> = Vec::new();
    let mut span_of: Vec<Option<usize>> = vec![None; count];
    let mut scratch_of = vec![None; network.steps.len()];
    for (i, step) in network.steps.iter().enumerate() {
        if let Work::Separable(separable) = &step.work {
            scratch_of[i] = Some(spans.len());
            spans.push(Span { bytes: aligned(4 * separable.depthwise.outputs), first: i, last: i });
        }
        if step.output == network.output {
            continue;
        }
        let output = &network.tensors[step.output];
        let works_in_place = matches!(step.work, Work::Copy | Work::Merge(_));
        // An input may be overwritten only if this step is its last reader and the caller does not own it.
        let overwritten = step.inputs.iter().copied().find(|&input| {
            let from = &network.tensors[input];
            works_in_place
                && last_read[input] == i
                && may_overwrite(from.element, output.element)
                && from.elements() == output.elements()
                && span_of[input].is_some()
        });
        if let Some(span) = overwritten.and_then(|input| span_of[input]) {
            spans[span].last = last_read[step.output];
            span_of[step.output] = Some(span);
        } else {
            span_of[step.output] = Some(spans.len());
            spans.push(Span { bytes: aligned(output.bytes()), first: i, last: last_read[step.output] });
        }
    }
    let places = place(&spans);
    let bytes = spans.iter().zip(&places).map(|(span, offset)| offset + span.bytes).max().unwrap_or(0);
    let offset = |span: &Option<usize>| span.map(|span| places[span]);
    Arena {
        bytes,
        offsets: span_of.iter().map(offset).collect(),
        scratch: scratch_of.iter().map(offset).collect(),
    }
}

/// Returns true if a loop in ascending order may overwrite elements that it has read. C allows character types to alias
/// everything, and signed and unsigned types of one width to alias each other.
fn may_overwrite(from: Element, to: Element) -> bool {
    let are_codes = from != Element::Float && to != Element::Float;
    to.bytes() == 1 || (to.bytes() == from.bytes() && (from == to || are_codes))
}

const fn aligned(bytes: usize) -> usize {
    bytes.div_ceil(ALIGNMENT) * ALIGNMENT
}

/// Returns the smallest of several layouts: from both ends of the lower bound (optimal for chains), largest first, in
/// order of first use, and longest-lived first.
fn place(spans: &[Span]) -> Vec<usize> {
    // The most bytes that are live at once bound every layout from below.
    let least = (0..spans.len())
        .map(|i| {
            let moment = spans[i].first;
            let live = spans.iter().filter(|s| s.first <= moment && moment <= s.last);
            live.map(|s| s.bytes).sum::<usize>()
        })
        .max()
        .unwrap_or(0);
    let mut by_time: Vec<usize> = (0..spans.len()).collect();
    by_time.sort_by_key(|&i| spans[i].first);
    let mut by_size = by_time.clone();
    by_size.sort_by_key(|&i| std::cmp::Reverse(spans[i].bytes));
    let mut by_length = by_time.clone();
    by_length.sort_by_key(|&i| std::cmp::Reverse((spans[i].last - spans[i].first, spans[i].bytes)));
    let layouts = [
        from_both_ends(spans, &by_time, least),
        lowest_first(spans, &by_size),
        lowest_first(spans, &by_time),
        lowest_first(spans, &by_length),
    ];
    let height = |places: &Vec<usize>| spans.iter().zip(places).map(|(s, o)| s.bytes + o).max().unwrap_or(0);
    layouts.into_iter().min_by_key(height).expect("invariant: there are layouts to choose from")
}

/// Places each span at the lowest address that is free throughout its life.
fn lowest_first(spans: &[Span], order: &[usize]) -> Vec<usize> {
    let mut places: Vec<Option<usize>> = vec![None; spans.len()];
    for &i in order {
        places[i] = Some(lowest(spans, &places, i));
    }
    places.into_iter().map(|place| place.expect("invariant: every span has a place")).collect()
}

fn lowest(spans: &[Span], places: &[Option<usize>], i: usize) -> usize {
    let mut taken: Vec<(usize, usize)> = (0..spans.len())
        .filter(|&k| spans[k].meets(&spans[i]))
        .filter_map(|k| places[k].map(|at| (at, at + spans[k].bytes)))
        .collect();
    taken.sort_unstable();
    let mut at = 0;
    for (start, end) in taken {
        if at + spans[i].bytes <= start {
            break;
        }
        at = at.max(end);
    }
    at
}

/// Places spans alternately at the low and the high end of `least` bytes; if the high end is taken, at the lowest
/// free address.
fn from_both_ends(spans: &[Span], order: &[usize], least: usize) -> Vec<usize> {
    let mut places: Vec<Option<usize>> = vec![None; spans.len()];
    let mut is_high = false;
    for &i in order {
        let top = least.saturating_sub(spans[i].bytes);
        let is_free = (0..spans.len()).all(|k| {
            let overlaps = places[k].is_some_and(|at| at + spans[k].bytes > top);
            !(spans[k].meets(&spans[i]) && overlaps)
        });
        places[i] = Some(if is_high && is_free { top } else { lowest(spans, &places, i) });
        is_high = !is_high;
    }
    places.into_iter().map(|place| place.expect("invariant: every span has a place")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn height(spans: &[Span], places: &[usize]) -> usize {
        spans.iter().zip(places).map(|(s, o)| s.bytes + o).max().unwrap_or(0)
    }

    #[test]
    fn a_chain_needs_its_two_largest_neighbors_and_no_more() {
        let sizes = [20, 12, 16, 20, 8, 28, 4];
        let spans: Vec<Span> =
            sizes.iter().enumerate().map(|(i, &bytes)| Span { bytes, first: i, last: i + 1 }).collect();
        let least = sizes.windows(2).map(|pair| pair[0] + pair[1]).max().unwrap_or(0);
        assert_eq!(height(&spans, &place(&spans)), least);
    }

    #[test]
    fn what_lives_together_does_not_overlap() {
        let spans: Vec<Span> = (0..24)
            .map(|i| Span { bytes: 4 * (1 + i * 7 % 11), first: i, last: i + 1 + i * 5 % 7 })
            .collect();
        let places = place(&spans);
        for (i, a) in spans.iter().enumerate() {
            for (k, b) in spans.iter().enumerate().skip(i + 1) {
                let apart = places[i] + a.bytes <= places[k] || places[k] + b.bytes <= places[i];
                assert!(apart || !a.meets(b), "{i} and {k}");
            }
        }
    }
}
