//! Editing of networks: insertion, removal and exchange of layers that keeps the names of inputs consistent.

use tinsmith_network::op::Merge;
use tinsmith_network::{Graph, Layer, ModelSpec, Op, ProductKind};

/// Returns the shapes of a network's outputs.
pub(crate) fn output_shapes(graph: &Graph) -> Vec<Vec<usize>> {
    graph.outputs.iter().map(|&i| graph.shape(i).to_vec()).collect()
}

/// A network whose layers all name their inputs explicitly, so that layers can be moved.
#[derive(Debug, Clone)]
pub(crate) struct NetworkEditor {
    spec: ModelSpec,
}

impl NetworkEditor {
    pub(crate) fn new(spec: &ModelSpec) -> Self {
        let mut spec = spec.clone();
        for i in 1..spec.layers.len() {
            let before = spec.layers[i - 1].name.clone();
            let layer = &mut spec.layers[i];
            if layer.inputs.is_empty() && !layer.op.is_input() {
                layer.inputs.push(before);
            }
            // Facts about the old weights do not hold for new ones.
            layer.facts.clear();
        }
        Self { spec }
    }

    /// Returns the edited network and its graph, or `None` if it is invalid. Inputs that are the layer above are left
    /// implicit.
    pub(crate) fn into_spec(self) -> Option<(ModelSpec, Graph)> {
        let mut spec = self.spec;
        for i in (1..spec.layers.len()).rev() {
            if spec.layers[i].inputs.len() == 1 && spec.layers[i].inputs[0] == spec.layers[i - 1].name {
                spec.layers[i].inputs.clear();
            }
        }
        let graph = spec.graph().ok()?;
        Some((spec, graph))
    }

    pub(crate) fn layers(&self) -> &[Layer] {
        &self.spec.layers
    }

    pub(crate) fn op_mut(&mut self, index: usize) -> &mut Op {
        &mut self.spec.layers[index].op
    }

    /// Returns the layers that may be edited. Inputs are excluded, and so are the last weight layer and its successors,
    /// which compute the task's output.
    pub(crate) fn body(&self) -> std::ops::Range<usize> {
        let is_weighted = |l: &Layer| {
            let kind = l.op.product().map(|product| product.kind);
            matches!(kind, Some(ProductKind::Dense | ProductKind::Convolution))
        };
        let last = self.spec.layers.iter().rposition(is_weighted).unwrap_or(0);
        let first = self.spec.layers.iter().position(|l| !l.op.is_input()).unwrap_or(0);
        first..last.max(first)
    }

    /// Inserts `op` after layer `index` and redirects the consumers of that layer to it. Returns the index of the new
    /// layer.
    pub(crate) fn insert_after(&mut self, index: usize, op: Op) -> usize {
        let name = self.fresh_name(op.name());
        let before = self.spec.layers[index].name.clone();
        for input in self.spec.layers.iter_mut().flat_map(|l| &mut l.inputs) {
            if *input == before {
                input.clone_from(&name);
            }
        }
        self.spec.layers.insert(index + 1, Layer::with_inputs(name, [before], op));
        index + 1
    }

    /// Adds the output of layer `from` to the output of layer `to`.
    pub(crate) fn add_shortcut(&mut self, from: usize, to: usize) {
        let source = self.spec.layers[from].name.clone();
        let at = self.insert_after(to, Op::Add(Merge {}));
        self.spec.layers[at].inputs.push(source);
    }

    /// Removes a layer with one input and redirects its consumers to that input.
    pub(crate) fn remove(&mut self, index: usize) {
        let removed = self.spec.layers.remove(index);
        let Some(before) = removed.inputs.first() else { return };
        for input in self.spec.layers.iter_mut().flat_map(|l| &mut l.inputs) {
            if *input == removed.name {
                input.clone_from(before);
            }
        }
    }

    /// Joins two chains: the layers of this network before `end`, then those of `other` from `start`.
    pub(crate) fn joined(&self, end: usize, other: &Self, start: usize) -> Self {
        let mut child =
            Self { spec: ModelSpec { layers: self.spec.layers[..end].to_vec(), ..self.spec.clone() } };
        child.spec.outputs.clear();
        for layer in &other.spec.layers[start..] {
            let name = child.fresh_name(layer.op.name());
            let before = child.spec.layers.last().map(|l| l.name.clone());
            child.spec.layers.push(Layer::with_inputs(name, before, layer.op.clone()));
        }
        child
    }

    /// Reports if every layer consumes exactly the layer above it.
    pub(crate) fn is_chain(&self) -> bool {
        let layers = &self.spec.layers;
        (1..layers.len()).all(|i| layers[i].inputs.len() == 1 && layers[i].inputs[0] == layers[i - 1].name)
    }

    fn fresh_name(&self, kind: &str) -> String {
        (1..)
            .map(|n| format!("{kind}_{n}"))
            .find(|name| self.spec.layers.iter().all(|l| l.name != *name))
            .expect("invariant: a network has finitely many names")
    }
}
