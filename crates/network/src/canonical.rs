//! Canonical form: one specification for all that differ only in names and in the order of declaration.
//!
//! Layers get colors, at first from what they compute. Passes along the edges, forwards and backwards, mix in the
//! colors of the neighbors until no more layers come apart (color refinement, Weisfeiler and Leman 1968). Layers that
//! still share a color are usually interchangeable; one of them is singled out and the passes are repeated, until every
//! layer has a color of its own. Colors then decide the topological order. Where layers with one color are *not*
//! interchangeable (which takes graphs far more regular than networks are), the choice may hang on the order of
//! declaration: such networks could get two canonical forms, but never one form for two networks.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::error::Result;
use crate::graph::Graph;
use crate::layer::Layer;
use crate::model::ModelSpec;
use crate::op::{Merging, Op};

/// A network with its layers in canonical order.
#[derive(Debug)]
pub(crate) struct Canonical<'s> {
    pub(crate) layers: Vec<CanonicalLayer<'s>>,
    /// Numbers of the outputs, in their order.
    pub(crate) outputs: Vec<usize>,
}

#[derive(Debug)]
pub(crate) struct CanonicalLayer<'s> {
    /// Kind and configuration as compact JSON.
    pub(crate) label: Vec<u8>,
    /// Numbers of the inputs; ascending if their order does not matter.
    pub(crate) inputs: Vec<usize>,
    op: Cow<'s, Op>,
}

impl ModelSpec {
    /// Returns the canonical form. Layers are ordered by the structure alone and named `l0`, `l1`, ...; all inputs and
    /// outputs are named; alternative spellings (a pooling stride equal to its window, the axis of `concat`, a free size of
    /// `reshape`) are unified; facts and the model's name are dropped. Specifications with the same
    /// [structural hash](ModelSpec::structural_hash) have the same canonical form.
    ///
    /// # Errors
    /// [`crate::NetworkError::Invalid`] if the specification is no network.
    pub fn canonical(&self) -> Result<Self> {
        let graph = self.graph()?;
        let canonical = Canonical::of(self, &graph);
        let name = |i: usize| format!("l{i}");
        let layers = canonical.layers.into_iter().enumerate().map(|(i, layer)| Layer {
            name: name(i),
            inputs: layer.inputs.into_iter().map(name).collect(),
            op: layer.op.into_owned(),
            facts: Vec::new(),
        });
        let mut spec = Self::new("", layers.collect());
        spec.outputs = canonical.outputs.into_iter().map(name).collect();
        Ok(spec)
    }
}

impl<'s> Canonical<'s> {
    /// Canonical form of `spec`, resolved as `graph`.
    pub(crate) fn of(spec: &'s ModelSpec, graph: &Graph) -> Self {
        let ops: Vec<Cow<'s, Op>> =
            spec.layers.iter().enumerate().map(|(i, layer)| one_way(&layer.op, graph, i)).collect();
        let mut labels: Vec<Vec<u8>> = ops.iter().map(|op| label(op)).collect();
        let order = Coloring::new(graph, &ops, &labels).order();
        let mut place = vec![0; order.len()];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new;
        }
        let layers = order
            .iter()
            .map(|&old| {
                let mut inputs: Vec<usize> = graph.nodes[old].inputs.iter().map(|&k| place[k]).collect();
                if is_commutative(&ops[old]) {
                    inputs.sort_unstable();
                }
                CanonicalLayer { label: std::mem::take(&mut labels[old]), inputs, op: ops[old].clone() }
            })
            .collect();
        Self { layers, outputs: graph.outputs.iter().map(|&i| place[i]).collect() }
    }
}

fn is_commutative(op: &Op) -> bool {
    matches!(op.merging(), Some(Merging::Sum | Merging::Product))
}

/// The operation with alternative spellings unified.
fn one_way<'s>(op: &'s Op, graph: &Graph, i: usize) -> Cow<'s, Op> {
    let mut op = Cow::Borrowed(op);
    let is_free = matches!(
        *op,
        Op::MaxPool1d(_)
            | Op::AveragePool1d(_)
            | Op::MaxPool2d(_)
            | Op::AveragePool2d(_)
            | Op::Concat(_)
            | Op::Reshape(_)
    );
    if !is_free {
        return op;
    }
    match op.to_mut() {
        Op::MaxPool1d(p) | Op::AveragePool1d(p) => p.stride = p.stride.filter(|&s| s != p.size),
        Op::MaxPool2d(p) | Op::AveragePool2d(p) => p.stride = p.stride.filter(|&s| s != p.size),
        Op::Concat(concat) => {
            let rank = graph.shape(i).len();
            if let Some(axis) = concat.sample_axis(rank) {
                concat.axis = axis as i64 - rank as i64;
            }
        }
        Op::Reshape(reshape) => reshape.shape = graph.shape(i).iter().map(|&d| d as i64).collect(),
        _ => {}
    }
    op
}

/// Kind and configuration as compact JSON.
fn label(op: &Op) -> Vec<u8> {
    struct Kind<'a>(&'a Op);
    impl Serialize for Kind<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(Some(1))?;
            self.0.write(&mut map)?;
            map.end()
        }
    }
    let mut bytes = Vec::with_capacity(128);
    serde_json::to_writer(&mut bytes, &Kind(op))
        .expect("invariant: memory takes JSON, and all keys are texts");
    bytes
}

/// Fast hash of colors. Colors are not stored, but they decide the canonical order: another function would change the
/// structural hashes.
fn mix(state: u64, value: u64) -> u64 {
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
    let mut z = (state ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn mix_bytes(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(bytes.len() as u64, |state, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(state, u64::from_le_bytes(word))
    })
}

#[derive(Debug)]
struct Coloring<'g> {
    graph: &'g Graph,
    commutative: Vec<bool>,
    colors: Vec<u64>,
}

impl<'g> Coloring<'g> {
    fn new(graph: &'g Graph, ops: &[Cow<'_, Op>], labels: &[Vec<u8>]) -> Self {
        let mut colors: Vec<u64> = labels.iter().map(|label| mix_bytes(label)).collect();
        for (place, &output) in graph.outputs.iter().enumerate() {
            colors[output] = mix(colors[output], place as u64 + 1);
        }
        Self { graph, commutative: ops.iter().map(|op| is_commutative(op)).collect(), colors }
    }

    /// The layers in canonical topological order.
    fn order(mut self) -> Vec<usize> {
        let mut classes = self.refine();
        while classes < self.colors.len() {
            let tied = self.first_tie();
            let mut best: Option<(u64, usize, Vec<u64>)> = None;
            for &i in &tied {
                let mut trial = Self {
                    graph: self.graph,
                    commutative: self.commutative.clone(),
                    colors: self.colors.clone(),
                };
                trial.colors[i] = mix(trial.colors[i], 1);
                let found = trial.refine();
                let signature = trial.signature();
                if best.as_ref().is_none_or(|(least, ..)| signature < *least) {
                    best = Some((signature, found, trial.colors));
                }
            }
            let (_, found, colors) = best.expect("invariant: a tied class has members");
            (classes, self.colors) = (found, colors);
        }
        let nodes = &self.graph.nodes;
        let mut missing: Vec<usize> = nodes.iter().map(|node| node.inputs.len()).collect();
        let mut ready: BinaryHeap<Reverse<(u64, usize)>> =
            (0..nodes.len()).filter(|&i| missing[i] == 0).map(|i| Reverse((self.colors[i], i))).collect();
        let mut order = Vec::with_capacity(nodes.len());
        while let Some(Reverse((_, i))) = ready.pop() {
            order.push(i);
            for &to in &nodes[i].consumers {
                missing[to] -= 1;
                if missing[to] == 0 {
                    ready.push(Reverse((self.colors[to], to)));
                }
            }
        }
        order
    }

    /// Repeats passes until no further layers are separated; returns the number of different colors.
    fn refine(&mut self) -> usize {
        let mut classes = 0;
        loop {
            self.pass();
            let found = self.count();
            if found == self.colors.len() || found <= classes {
                return found;
            }
            classes = found;
        }
    }

    fn count(&self) -> usize {
        let mut sorted = self.colors.clone();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len()
    }

    /// One forward and one backward pass over the whole depth.
    fn pass(&mut self) {
        let nodes = &self.graph.nodes;
        let mut around = Vec::new();
        let mut forward = self.colors.clone();
        for &i in &self.graph.order {
            around.clear();
            around.extend(nodes[i].inputs.iter().map(|&k| forward[k]));
            if self.commutative[i] {
                around.sort_unstable();
            }
            forward[i] = around.iter().fold(mix(self.colors[i], 2), |state, &color| mix(state, color));
        }
        let mut backward = self.colors.clone();
        for &i in self.graph.order.iter().rev() {
            around.clear();
            let mut before = usize::MAX;
            for &to in &nodes[i].consumers {
                // A consumer that takes the layer twice is listed twice in a row.
                if to == before {
                    continue;
                }
                before = to;
                for (port, &from) in nodes[to].inputs.iter().enumerate() {
                    if from == i {
                        let port = if self.commutative[to] { 0 } else { port as u64 };
                        around.push(mix(backward[to], port));
                    }
                }
            }
            around.sort_unstable();
            backward[i] = around.iter().fold(mix(self.colors[i], 3), |state, &color| mix(state, color));
        }
        for ((color, forward), backward) in self.colors.iter_mut().zip(forward).zip(backward) {
            *color = mix(forward, backward);
        }
    }

    /// The layers of the smallest color that is shared by several layers.
    fn first_tie(&self) -> Vec<usize> {
        let mut members: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (i, &color) in self.colors.iter().enumerate() {
            members.entry(color).or_default().push(i);
        }
        members.into_values().find(|class| class.len() > 1).expect("invariant: fewer classes than layers")
    }

    /// Digest of the multiset of colors.
    fn signature(&self) -> u64 {
        let mut sorted = self.colors.clone();
        sorted.sort_unstable();
        sorted.into_iter().fold(0, mix)
    }
}
