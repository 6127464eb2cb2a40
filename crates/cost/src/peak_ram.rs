//! Minimum memory of a network: the best execution order of its steps, and the live tensors at its peak.
//!
//! Between two steps, the live tensors are those that a later step reads, and the outputs. While a step runs, its output
//! and its scratch are live too; the output takes no memory of its own if it overwrites an input that dies here. The peak
//! is the maximum over steps, minimized over all topological orders. It counts bytes of live tensors. Placing them at
//! fixed addresses may need gaps on top (never for a chain).
//!
//! The network is cut at points with a single live tensor, since every order passes through them. Between two cuts, a
//! best-first search over the sets of finished steps finds the smallest peak. Three rules prune it: the greedy order
//! (always the step with the least memory) is tried first; a step that frees at least as much as it allocates and stays
//! below the peak so far runs at once, which never hurts; and each set carries a lower bound for the remaining steps. The
//! search gives up after a million sets, or if more than 128 steps lie between two cuts. It then reports the greedy order
//! with a lower bound.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use serde::Serialize;

/// Maximum number of sets of finished steps to search: all subsets of 20 steps. [`PeakRam::is_exact`] is true if they
/// sufficed.
const MOST_SETS: usize = 1 << 20;

/// One operation at run time and the tensor that it writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The layer whose output the tensor is (the last of those fused).
    pub(crate) layer: usize,
    /// Elements of the tensor.
    pub(crate) elements: u64,
    /// Bytes of the tensor.
    pub(crate) bytes: u64,
    /// Bytes of working memory while it is written.
    pub(crate) scratch: u64,
    /// Steps whose tensors it reads, ascending, each once.
    pub(crate) inputs: Vec<usize>,
    /// True if it can overwrite an input.
    pub(crate) in_place: bool,
    /// True if its tensor is live from the start.
    pub(crate) is_source: bool,
    /// True if its tensor must be live at the end.
    pub(crate) is_output: bool,
}

/// A tensor that is live at the peak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LiveTensor {
    /// Number of the layer that writes it.
    pub layer: usize,
    /// Bytes of the tensor.
    pub bytes: u64,
}

/// Minimum memory of a network over all execution orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeakRam {
    /// Bytes at the peak of `order`.
    pub bytes: u64,
    /// Lower bound over all orders. Equal to `bytes` if the search was exhaustive.
    pub lower_bound: u64,
    /// Execution order with a peak of `bytes`: numbers of layers, without inputs, views and layers folded or fused into
    /// others.
    pub order: Vec<usize>,
    /// Index in `order` of the step at the peak. None if the peak is before the first step.
    pub step: Option<usize>,
    /// Live tensors at the peak.
    pub live: Vec<LiveTensor>,
    /// Bytes of working memory at the peak.
    pub scratch: u64,
}

impl PeakRam {
    /// True if no order needs less.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.bytes == self.lower_bound
    }
}

/// The steps of a network with the readers of each.
struct StepGraph<'a> {
    steps: &'a [Step],
    readers: Vec<Vec<usize>>,
}

impl<'a> StepGraph<'a> {
    fn new(steps: &'a [Step]) -> Self {
        let mut readers = vec![Vec::new(); steps.len()];
        for (i, step) in steps.iter().enumerate() {
            for &input in &step.inputs {
                readers[input].push(i);
            }
        }
        StepGraph { steps, readers }
    }

    /// Bytes that `step` allocates while it runs and frees afterwards; `dies` is true for inputs that it reads last.
    fn effect(&self, step: usize, dies: impl Fn(usize) -> bool) -> Effect {
        let s = &self.steps[step];
        let mut freed = 0_u64;
        let mut overwritten = false;
        for &input in &s.inputs {
            let from = &self.steps[input];
            if !from.is_output && dies(input) {
                freed = freed.saturating_add(from.bytes);
                overwritten |= s.in_place && from.elements == s.elements && from.bytes >= s.bytes;
            }
        }
        let added = if overwritten { 0 } else { s.bytes };
        Effect { during: added.saturating_add(s.scratch), after: s.bytes, freed }
    }

    /// Walks an order and reports its peak.
    fn walk(&self, order: &[usize], base: u64) -> PeakRam {
        let mut unread: Vec<usize> = self.readers.iter().map(Vec::len).collect();
        let mut is_live: Vec<bool> = self.steps.iter().map(|s| s.is_source).collect();
        let start = self.steps.iter().filter(|s| s.is_source).fold(base, |n, s| n.saturating_add(s.bytes));
        let mut live = start;
        let mut peak = start;
        let mut worst = None;
        for (place, &i) in order.iter().enumerate() {
            let effect = self.effect(i, |input| unread[input] == 1);
            let during = live.saturating_add(effect.during);
            if during > peak || (worst.is_none() && during == peak) {
                peak = during;
                worst = Some(place);
            }
            live = live.saturating_add(effect.after).saturating_sub(effect.freed);
            for &input in &self.steps[i].inputs {
                unread[input] -= 1;
            }
        }
        let mut unread: Vec<usize> = self.readers.iter().map(Vec::len).collect();
        let mut scratch = 0;
        for (place, &i) in order.iter().enumerate() {
            let step = &self.steps[i];
            if worst.is_none_or(|worst| place > worst) {
                break;
            }
            is_live[i] = true;
            if worst == Some(place) {
                scratch = step.scratch;
                let reused = step.inputs.iter().copied().find(|&input| {
                    let from = &self.steps[input];
                    step.in_place
                        && !from.is_output
                        && unread[input] == 1
                        && from.elements == step.elements
                        && from.bytes >= step.bytes
                });
                if reused.is_some() {
                    is_live[i] = false;
                }
                break;
            }
            for &input in &step.inputs {
                unread[input] -= 1;
                if unread[input] == 0 && !self.steps[input].is_output {
                    is_live[input] = false;
                }
            }
        }
        let live = (0..self.steps.len())
            .filter(|&i| is_live[i] && self.steps[i].bytes > 0)
            .map(|i| LiveTensor { layer: self.steps[i].layer, bytes: self.steps[i].bytes })
            .collect();
        let order = order.iter().map(|&i| self.steps[i].layer).collect();
        PeakRam { bytes: peak, lower_bound: peak, order, step: worst, live, scratch }
    }
}

#[derive(Debug, Clone, Copy)]
struct Effect {
    during: u64,
    after: u64,
    freed: u64,
}

/// Minimum memory for `steps`, which are in topological order, beside `base` bytes that are always live.
pub(crate) fn search(steps: &[Step], base: u64) -> PeakRam {
    let plan = StepGraph::new(steps);
    let mut order = Vec::with_capacity(steps.len());
    let mut budget = MOST_SETS;
    let mut live = steps.iter().filter(|s| s.is_source).fold(base, |n, s| n.saturating_add(s.bytes));
    let mut peak = live;
    let mut bound = live;
    for segment in segments(&plan) {
        let found = if let [only] = segment[..] {
            let effect = plan.effect(only, |_| true);
            let peak = live.saturating_add(effect.during);
            live = live.saturating_add(effect.after).saturating_sub(effect.freed);
            order.push(only);
            Found { peak, bound: peak, live }
        } else {
            Segment::new(&plan, &segment).search(live, peak, &mut budget, &mut order)
        };
        live = found.live;
        peak = peak.max(found.peak);
        bound = bound.max(found.bound);
    }
    let mut report = plan.walk(&order, base);
    report.lower_bound = bound.min(report.bytes);
    report
}

/// Cuts the steps, sources excluded, after every step whose tensor is the only live one.
fn segments(plan: &StepGraph<'_>) -> Vec<Vec<usize>> {
    let steps = plan.steps;
    let mut unread: Vec<usize> = plan.readers.iter().map(Vec::len).collect();
    let mut live = steps.iter().filter(|s| s.is_source).count();
    let mut segments = Vec::with_capacity(steps.len());
    let mut open = Vec::new();
    for (i, step) in steps.iter().enumerate().filter(|(_, s)| !s.is_source) {
        open.push(i);
        live += 1;
        for &input in &step.inputs {
            unread[input] -= 1;
            if unread[input] == 0 && !steps[input].is_output {
                live -= 1;
            }
        }
        if live == 1 && unread[i] > 0 {
            segments.push(std::mem::take(&mut open));
        }
    }
    if !open.is_empty() {
        segments.push(open);
    }
    segments
}

/// Result of the search of one segment.
struct Found {
    peak: u64,
    bound: u64,
    live: u64,
}

/// The steps between two cuts.
struct Segment<'a> {
    plan: &'a StepGraph<'a>,
    members: &'a [usize],
    parts: Vec<Member>,
    /// Tensors that are live at some time: those of the members, then those that are live at the start.
    tensors: Vec<Tensor>,
}

/// A step of a segment.
struct Member {
    bytes: u64,
    scratch: u64,
    /// The members that it reads.
    needs: Set,
    /// Itself and all members that depend on it, directly or not.
    after: Set,
    /// Tensors that it reads.
    inputs: Vec<Input>,
    /// Lower bound of the bytes that it allocates while it runs.
    least: u64,
}

/// A tensor that a member reads.
struct Input {
    bytes: u64,
    /// Members that read it; none for an output, which never dies.
    readers: Option<Set>,
    can_be_overwritten: bool,
}

/// A tensor of a segment.
struct Tensor {
    bytes: u64,
    is_output: bool,
    /// The members that read it.
    readers: Set,
    /// Member that writes it; none for a tensor that is live at the start.
    writer: Set,
}

/// Set of a segment's steps, as bits.
type Set = u128;

/// A set of finished steps on the way to all of them.
struct State {
    done: Set,
    live: u64,
    /// Maximum of the peak of the finished steps and the lower bound of the remaining ones.
    peak: u64,
    /// Predecessor state, and the steps run since.
    parent: usize,
    did: Vec<u8>,
}

impl State {
    fn run(&mut self, member: usize, effect: Effect) {
        self.peak = self.peak.max(self.live.saturating_add(effect.during));
        self.live = self.live.saturating_add(effect.after).saturating_sub(effect.freed);
        self.done |= 1 << member;
        self.did.push(member as u8);
    }
}

impl<'a> Segment<'a> {
    fn new(plan: &'a StepGraph<'a>, members: &'a [usize]) -> Self {
        let steps = plan.steps;
        let place = |step: usize| members.binary_search(&step).ok();
        let bit = |place: usize| if place < 128 { 1_u128 << place } else { 0 };
        let set = |steps: &[usize]| steps.iter().filter_map(|&s| place(s)).fold(0, |set, p| set | bit(p));
        let mut parts: Vec<Member> = members
            .iter()
            .enumerate()
            .map(|(i, &m)| {
                let step = &steps[m];
                let input = |&from: &usize| Input {
                    bytes: steps[from].bytes,
                    readers: (!steps[from].is_output).then(|| set(&plan.readers[from])),
                    can_be_overwritten: step.in_place
                        && steps[from].elements == step.elements
                        && steps[from].bytes >= step.bytes,
                };
                Member {
                    bytes: step.bytes,
                    scratch: step.scratch,
                    needs: set(&step.inputs),
                    after: bit(i),
                    inputs: step.inputs.iter().map(input).collect(),
                    least: plan.effect(m, |_| true).during,
                }
            })
            .collect();
        // Members are in topological order, so the dependents of later members are complete when earlier ones take them.
        for later in (0..parts.len().min(128)).rev() {
            let (needs, after) = (parts[later].needs, parts[later].after);
            for earlier in parts.iter_mut().take(later).enumerate().filter(|(k, _)| needs & bit(*k) != 0) {
                earlier.1.after |= after;
            }
        }
        let tensor = |step: usize, writer: Set| Tensor {
            bytes: steps[step].bytes,
            is_output: steps[step].is_output,
            readers: set(&plan.readers[step]),
            writer,
        };
        let mut tensors: Vec<Tensor> = members.iter().enumerate().map(|(i, &m)| tensor(m, bit(i))).collect();
        let from_before: BTreeSet<usize> =
            members.iter().flat_map(|&m| &steps[m].inputs).copied().filter(|&s| place(s).is_none()).collect();
        tensors.extend(from_before.into_iter().map(|step| tensor(step, 0)));
        Segment { plan, members, parts, tensors }
    }

    /// Lower bound for the remaining steps once `done` have run: while a step runs, its inputs are live, and so is every
    /// tensor that is live now and read by it or by one of its dependents.
    fn bound_from(&self, done: Set, live: &mut Vec<(Set, u64)>) -> u64 {
        live.clear();
        let is_live = |t: &&Tensor| t.writer & !done == 0 && (t.is_output || t.readers & !done != 0);
        let readers = |t: &Tensor| if t.is_output { Set::MAX } else { t.readers & !done };
        live.extend(self.tensors.iter().filter(is_live).map(|t| (readers(t), t.bytes)));
        let mut most = 0;
        for (member, part) in self.parts.iter().enumerate().filter(|(i, _)| done & (1 << i) == 0) {
            let mut bytes = part.least;
            for &(_, held) in live.iter().filter(|(readers, _)| readers & part.after != 0) {
                bytes = bytes.saturating_add(held);
            }
            if part.needs & !done != 0 {
                let missing = self.tensors[..self.parts.len()].iter();
                let missing = missing.filter(|t| t.writer & part.needs & !done != 0);
                bytes = missing.fold(bytes, |n, t| n.saturating_add(t.bytes));
            }
            debug_assert!(member < 128, "larger segments are not searched");
            most = most.max(bytes);
        }
        most
    }

    /// Lower bound from single steps: inputs plus allocation.
    fn local_bound(&self) -> u64 {
        let need = |part: &Member| part.inputs.iter().fold(part.least, |n, i| n.saturating_add(i.bytes));
        self.parts.iter().map(need).max().unwrap_or(0)
    }

    fn effect(&self, member: usize, done: Set) -> Effect {
        let part = &self.parts[member];
        let left = !(done | (1 << member));
        let mut freed = 0_u64;
        let mut is_overwritten = false;
        for input in part.inputs.iter().filter(|input| input.readers.is_some_and(|r| r & left == 0)) {
            freed = freed.saturating_add(input.bytes);
            is_overwritten |= input.can_be_overwritten;
        }
        let added = if is_overwritten { 0 } else { part.bytes };
        Effect { during: added.saturating_add(part.scratch), after: part.bytes, freed }
    }

    fn is_ready(&self, member: usize, done: Set) -> bool {
        done & (1 << member) == 0 && self.parts[member].needs & !done == 0
    }

    /// Appends the best order to `order`. A peak up to `peak_before` is as good as any, since an earlier segment has it.
    fn search(&self, live: u64, peak_before: u64, budget: &mut usize, order: &mut Vec<usize>) -> Found {
        if self.members.len() > 128 {
            return self.greedy(live, self.local_bound(), order);
        }
        let mut scratch = Vec::new();
        let own_bound = self.bound_from(0, &mut scratch);
        let floor = own_bound.max(peak_before);
        let start = order.len();
        let first = self.greedy(live, own_bound, order);
        if first.peak <= floor {
            return first;
        }
        let all: Set = if self.members.len() == 128 { Set::MAX } else { (1 << self.members.len()) - 1 };
        let mut states = vec![State { done: 0, live, peak: floor, parent: 0, did: Vec::new() }];
        let mut least: BTreeMap<Set, u64> = BTreeMap::from([(0, floor)]);
        let mut tried: BTreeMap<Set, u64> = BTreeMap::new();
        let mut queue = BinaryHeap::from([(Reverse(floor), 0_u32, Reverse(0_usize))]);
        while let Some((Reverse(peak), _, Reverse(at))) = queue.pop() {
            // The search stops at the first order that stays at or below the floor.
            let bound = if peak > floor { peak } else { own_bound };
            if peak >= first.peak || *budget == 0 {
                return Found { bound: bound.min(first.peak), ..first };
            }
            if states[at].done == all {
                let chain =
                    std::iter::successors(Some(at), |&i| Some(states[i].parent)).take_while(|&i| i != 0);
                let chain: Vec<usize> = chain.collect();
                order.truncate(start);
                let did = chain.iter().rev().flat_map(|&i| &states[i].did);
                order.extend(did.map(|&m| self.members[usize::from(m)]));
                return Found { peak, bound, live: states[at].live };
            }
            if least.get(&states[at].done).is_some_and(|&p| p < peak) {
                continue;
            }
            for member in 0..self.members.len() {
                let State { done, live, peak, .. } = states[at];
                if !self.is_ready(member, done) {
                    continue;
                }
                let mut next = State { done, live, peak, parent: at, did: Vec::new() };
                next.run(member, self.effect(member, done));
                if next.peak >= first.peak || tried.get(&next.done).is_some_and(|&p| p <= next.peak) {
                    continue;
                }
                tried.insert(next.done, next.peak);
                self.do_free_steps(&mut next);
                next.peak = next.peak.max(self.bound_from(next.done, &mut scratch));
                if next.peak < first.peak && least.get(&next.done).is_none_or(|&p| next.peak < p) {
                    least.insert(next.done, next.peak);
                    *budget = budget.saturating_sub(1);
                    queue.push((Reverse(next.peak), next.done.count_ones(), Reverse(states.len())));
                    states.push(next);
                }
            }
        }
        // The search is exhausted: no order beats the greedy one.
        Found { bound: first.peak, ..first }
    }

    /// Runs every step that frees at least as much as it allocates and stays within the peak so far.
    fn do_free_steps(&self, state: &mut State) {
        loop {
            let free = (0..self.members.len()).filter(|&m| self.is_ready(m, state.done)).find_map(|member| {
                let effect = self.effect(member, state.done);
                let is_free =
                    effect.after <= effect.freed && state.live.saturating_add(effect.during) <= state.peak;
                is_free.then_some((member, effect))
            });
            let Some((member, effect)) = free else { return };
            state.run(member, effect);
        }
    }

    /// Greedy order: the ready step with the least memory during, then after, its run.
    fn greedy(&self, mut live: u64, bound: u64, order: &mut Vec<usize>) -> Found {
        let mut unread: Vec<usize> = self.plan.readers.iter().map(Vec::len).collect();
        let mut left: Vec<usize> = self.members.to_vec();
        let mut done: BTreeSet<usize> = BTreeSet::new();
        let first = self.members.first().copied().unwrap_or(0);
        // Tensors from before the segment are read by its members only.
        let mut peak = live;
        while !left.is_empty() {
            let best = left
                .iter()
                .enumerate()
                .filter(|(_, m)| {
                    self.plan.steps[**m]
                        .inputs
                        .iter()
                        .all(|i| *i < first || self.plan.steps[*i].is_source || done.contains(i))
                })
                .map(|(place, &m)| {
                    let effect = self.plan.effect(m, |input| unread[input] == 1);
                    let after = i128::from(effect.after) - i128::from(effect.freed);
                    (effect.during, after, place, effect)
                })
                .min_by_key(|&(during, after, place, _)| (during, after, place));
            let (_, _, place, effect) = best.expect("invariant: in a topological order one member is ready");
            let m = left.remove(place);
            peak = peak.max(live.saturating_add(effect.during));
            live = live.saturating_add(effect.after).saturating_sub(effect.freed);
            for &input in &self.plan.steps[m].inputs {
                unread[input] -= 1;
            }
            done.insert(m);
            order.push(m);
        }
        Found { peak, bound, live }
    }
}

#[cfg(test)]
mod tests {
    use tinsmith_foundation::Seed;

    use super::*;

    /// Peak of one order by the definition: after each step, every tensor that is read later or is an output
    /// lives.
    fn peak_by_definition(steps: &[Step], order: &[usize]) -> u64 {
        let sources: Vec<usize> = (0..steps.len()).filter(|&i| steps[i].is_source).collect();
        let all: Vec<usize> = sources.iter().chain(order).copied().collect();
        let reads = |i: usize, input: usize| steps[i].inputs.contains(&input);
        let mut peak: u64 = sources.iter().map(|&i| steps[i].bytes).sum();
        for at in sources.len()..all.len() {
            let now = all[at];
            let is_needed =
                |i: usize, from: usize| steps[i].is_output || all[from..].iter().any(|&k| reads(k, i));
            let before: u64 = all[..at].iter().filter(|&&i| is_needed(i, at)).map(|&i| steps[i].bytes).sum();
            let overwrites = steps[now].in_place
                && steps[now].inputs.iter().any(|&i| {
                    !is_needed(i, at + 1)
                        && steps[i].elements == steps[now].elements
                        && steps[i].bytes >= steps[now].bytes
                });
            let own = if overwrites { 0 } else { steps[now].bytes };
            peak = peak.max(before + own + steps[now].scratch);
        }
        peak
    }

    fn every_order(steps: &[Step], order: &mut Vec<usize>, least: &mut u64) {
        let is_done = |i: usize, order: &[usize]| steps[i].is_source || order.contains(&i);
        let mut is_complete = true;
        for i in 0..steps.len() {
            if is_done(i, order) {
                continue;
            }
            is_complete = false;
            if steps[i].inputs.iter().all(|&k| is_done(k, order)) {
                order.push(i);
                every_order(steps, order, least);
                order.pop();
            }
        }
        if is_complete {
            *least = (*least).min(peak_by_definition(steps, order));
        }
    }

    fn random_steps(seed: u64, nodes: usize) -> Vec<Step> {
        let mut rng = Seed::new(seed).derive("steps", 0).rng();
        let sources = 1 + rng.index(2);
        let in_place_share = rng.uniform();
        let mut steps: Vec<Step> = (0..nodes + sources)
            .map(|i| {
                let is_source = i < sources;
                let elements = 1 + rng.below(12);
                let wanted = if is_source { 0 } else { 1 + rng.index(3) };
                let mut inputs: Vec<usize> = (0..wanted).map(|_| rng.index(i)).collect();
                inputs.sort_unstable();
                inputs.dedup();
                Step {
                    layer: i,
                    elements,
                    bytes: elements * if rng.below(4) == 0 { 2 } else { 1 },
                    scratch: if rng.below(3) == 0 { rng.below(8) } else { 0 },
                    inputs,
                    in_place: rng.uniform() < in_place_share,
                    is_source,
                    is_output: false,
                }
            })
            .collect();
        for i in 0..steps.len() {
            let is_read = steps.iter().any(|s| s.inputs.contains(&i));
            steps[i].is_output = !is_read || rng.below(12) == 0;
            // Equal sizes make writing in place possible.
            if let Some(&first) = steps[i].inputs.first()
                && steps[i].in_place
            {
                steps[i].elements = steps[first].elements;
                steps[i].bytes = steps[first].bytes;
            }
        }
        steps
    }

    #[test]
    fn no_order_of_small_graphs_needs_less() {
        let mut orders_that_matter = 0;
        for seed in 0..300 {
            let steps = random_steps(seed, 2 + seed as usize % 8);
            let mut least = u64::MAX;
            every_order(&steps, &mut Vec::new(), &mut least);
            let found = search(&steps, 0);
            assert_eq!(found.bytes, least, "seed {seed}: {steps:?}");
            assert!(found.is_exact(), "seed {seed}");
            assert_eq!(peak_by_definition(&steps, &found.order), least, "seed {seed}");
            let live: u64 = found.live.iter().map(|t| t.bytes).sum();
            assert_eq!(live + found.scratch, least, "seed {seed}: {found:?}");
            assert_eq!(search(&steps, 7).bytes, least + 7);
            let declared: Vec<usize> = (0..steps.len()).filter(|&i| !steps[i].is_source).collect();
            orders_that_matter += u32::from(peak_by_definition(&steps, &declared) > least);
        }
        assert!(orders_that_matter > 60, "only {orders_that_matter} graphs depend on the order");
    }

    fn step(layer: usize, bytes: u64, inputs: Vec<usize>) -> Step {
        Step {
            layer,
            elements: bytes,
            bytes,
            scratch: 0,
            inputs,
            in_place: false,
            is_source: layer == 0,
            is_output: false,
        }
    }

    /// One source, `branches` chains of a large and a small tensor, one sum.
    fn star(branches: usize) -> Vec<Step> {
        let mut steps = vec![step(0, 1, vec![])];
        let mut ends = Vec::new();
        for b in 0..branches {
            let at = steps.len();
            steps.push(step(at, 100 + 7 * b as u64, vec![0]));
            steps.push(step(at + 1, 1 + (b as u64 * 5) % 11, vec![at]));
            ends.push(at + 1);
        }
        let at = steps.len();
        steps.push(step(at, 1, ends));
        steps[at].is_output = true;
        steps
    }

    #[test]
    fn twenty_open_tensors_are_searched_exactly() {
        let found = search(&star(20), 0);
        assert!(found.is_exact());
        // The largest first, while nothing else lives: 1 + 233 + its small one.
        assert_eq!(found.bytes, 1 + 233 + 1 + (19 * 5) % 11);
    }

    /// `wide` tensors made from one, then mixed by twos in `layers` rounds and summed up: all of them are open.
    fn weave(seed: u64, wide: usize, layers: usize) -> Vec<Step> {
        let mut rng = Seed::new(seed).derive("weave", 0).rng();
        let mut steps = vec![step(0, 1 + rng.below(30), vec![])];
        let mut row: Vec<usize> = vec![0];
        for _ in 0..=layers {
            let mut next = Vec::new();
            for k in 0..wide {
                let mut inputs = vec![row[k % row.len()], row[rng.index(row.len())]];
                inputs.sort_unstable();
                inputs.dedup();
                next.push(steps.len());
                let at = steps.len();
                steps.push(step(at, 1 + rng.below(100), inputs));
                steps[at].in_place = rng.below(2) == 0;
                steps[at].scratch = rng.below(20);
            }
            row = next;
        }
        let at = steps.len();
        steps.push(step(at, 1, row));
        steps[at].is_output = true;
        steps
    }

    #[test]
    fn woven_graphs_are_searched_exactly() {
        for (wide, layers) in [(3, 3), (6, 1), (9, 0)] {
            for seed in 0..4 {
                let found = search(&weave(seed, wide, layers), 0);
                assert!(found.is_exact(), "{wide} {layers} {seed}");
            }
        }
    }

    #[test]
    fn beyond_the_bitset_there_is_a_bound() {
        let found = search(&star(90), 0);
        assert!(found.lower_bound <= found.bytes);
        assert!(found.bytes < 2 * found.lower_bound, "{} {}", found.bytes, found.lower_bound);
        assert_eq!(found.order.len(), 181);
    }
}
