//! A resolved specification: connections, execution order and shapes.

use std::collections::BTreeMap;

use tinsmith_foundation::Faults;

use crate::activation::Activation;
use crate::model::{ModelSpec, SCHEMA};
use crate::shape;

/// One resolved layer; its number is its index in [`ModelSpec::layers`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Numbers of its input layers, in order.
    pub inputs: Vec<usize>,
    /// Numbers of the layers that take it, ascending; a layer that takes it twice is listed twice.
    pub consumers: Vec<usize>,
    /// Shape of its output for one sample.
    pub shape: Vec<usize>,
}

/// A resolved specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// One node for each layer, in the specification's order.
    pub nodes: Vec<Node>,
    /// Topological order: every layer comes after its inputs. The declared order, if that is topological.
    pub order: Vec<usize>,
    /// The input layers, as declared.
    pub inputs: Vec<usize>,
    /// The output layers, as named.
    pub outputs: Vec<usize>,
}

impl Graph {
    /// Output shape of layer `index`.
    #[must_use]
    pub fn shape(&self, index: usize) -> &[usize] {
        &self.nodes[index].shape
    }

    /// Shapes of the inputs of layer `index`.
    #[must_use]
    pub fn input_shapes(&self, index: usize) -> Vec<&[usize]> {
        self.nodes[index].inputs.iter().map(|&i| self.nodes[i].shape.as_slice()).collect()
    }

    /// Resolves `spec` and adds every fault to `faults`; [`ModelSpec::graph`] returns them as an error instead. The
    /// graph is complete only if no fault was added.
    pub fn resolve(spec: &ModelSpec, faults: &mut Faults) -> Self {
        if spec.schema == 0 || spec.schema > SCHEMA {
            faults.add("schema", format!("is {}, this version reads 1 to {SCHEMA}", spec.schema));
        }
        if spec.layers.is_empty() {
            faults.add("layers", "is empty, want at least an input and one more layer");
        }
        let names = collect_names(spec, faults);
        let mut nodes = connect(spec, &names, faults);
        let outputs = resolve_outputs(spec, &names, faults);
        if !faults.is_empty() {
            return Self { nodes, order: Vec::new(), inputs: Vec::new(), outputs };
        }
        let order = topological_order(spec, &nodes, faults);
        for &i in &order {
            let shapes: Vec<&[usize]> = nodes[i].inputs.iter().map(|&k| nodes[k].shape.as_slice()).collect();
            let layer = &spec.layers[i];
            let shape = shape::infer(i, layer, &shapes, faults);
            let Some(shape) = shape else {
                // Later layers would only repeat this fault.
                return Self { nodes, order: Vec::new(), inputs: Vec::new(), outputs };
            };
            nodes[i].shape = shape;
        }
        check_folds(spec, &nodes, faults);
        check_uses(spec, &nodes, &outputs, faults);
        let inputs = (0..nodes.len()).filter(|&i| spec.layers[i].op.is_input()).collect();
        Self { nodes, order, inputs, outputs }
    }
}

fn collect_names<'a>(spec: &'a ModelSpec, faults: &mut Faults) -> BTreeMap<&'a str, usize> {
    let mut names = BTreeMap::new();
    for (i, layer) in spec.layers.iter().enumerate() {
        let path = || format!("layers[{i}].name");
        if layer.name.is_empty() {
            faults.add(&path(), "is empty, want a name");
        } else if let Some(first) = names.insert(layer.name.as_str(), i) {
            faults.add(&path(), format!("is `{}`, as layer {first} is called already", layer.name));
        }
    }
    names
}

fn connect(spec: &ModelSpec, names: &BTreeMap<&str, usize>, faults: &mut Faults) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::with_capacity(spec.layers.len());
    for (i, layer) in spec.layers.iter().enumerate() {
        let mut inputs = Vec::with_capacity(layer.inputs.len().max(1));
        for (k, name) in layer.inputs.iter().enumerate() {
            match names.get(name.as_str()) {
                Some(&from) => inputs.push(from),
                None => faults.add(&format!("layers[{i}].inputs[{k}]"), unknown(name, names)),
            }
        }
        if layer.inputs.is_empty() && !layer.op.is_input() {
            match i.checked_sub(1) {
                Some(before) => inputs.push(before),
                None => faults.add(
                    &format!("layers[{i}].{}", layer.op.name()),
                    format!(
                        "is the first layer, `{}`, and takes nothing; want an input before it",
                        layer.name
                    ),
                ),
            }
        }
        nodes.push(Node { inputs, consumers: Vec::new(), shape: Vec::new() });
    }
    for i in 0..nodes.len() {
        for k in 0..nodes[i].inputs.len() {
            let from = nodes[i].inputs[k];
            nodes[from].consumers.push(i);
        }
    }
    nodes
}

fn unknown(name: &str, names: &BTreeMap<&str, usize>) -> String {
    let known: Vec<&str> = names.keys().take(20).copied().collect();
    format!("is `{name}`, which is no layer; layers are {}", known.join(", "))
}

fn resolve_outputs(spec: &ModelSpec, names: &BTreeMap<&str, usize>, faults: &mut Faults) -> Vec<usize> {
    if spec.outputs.is_empty() {
        return spec.layers.len().checked_sub(1).into_iter().collect();
    }
    let mut outputs = Vec::new();
    for (k, name) in spec.outputs.iter().enumerate() {
        match names.get(name.as_str()) {
            Some(&i) => outputs.push(i),
            None => faults.add(&format!("outputs[{k}]"), unknown(name, names)),
        }
    }
    outputs
}

/// Kahn's algorithm; takes the first ready layer, which keeps the declared order if possible.
fn topological_order(spec: &ModelSpec, nodes: &[Node], faults: &mut Faults) -> Vec<usize> {
    let mut missing: Vec<usize> = nodes.iter().map(|n| n.inputs.len()).collect();
    let mut ready: std::collections::BTreeSet<usize> =
        (0..nodes.len()).filter(|&i| missing[i] == 0).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(i) = ready.pop_first() {
        order.push(i);
        for &to in &nodes[i].consumers {
            missing[to] -= 1;
            if missing[to] == 0 {
                ready.insert(to);
            }
        }
    }
    if order.len() < nodes.len() {
        let stuck: Vec<&str> =
            (0..nodes.len()).filter(|i| missing[*i] > 0).map(|i| spec.layers[i].name.as_str()).collect();
        let first = missing.iter().position(|&m| m > 0).unwrap_or(0);
        faults.add(
            &format!("layers[{first}].inputs"),
            format!("is part of a cycle among {}", stuck.join(", ")),
        );
    }
    order
}

/// A folded batch norm needs a layer that it can be folded into.
fn check_folds(spec: &ModelSpec, nodes: &[Node], faults: &mut Faults) {
    for (i, layer) in spec.layers.iter().enumerate() {
        if layer.op.folded_norm().is_none() {
            continue;
        }
        let reason = nodes[i].inputs.first().and_then(|&before| {
            let op = &spec.layers[before].op;
            if !op.product().is_some_and(|product| product.can_absorb_scale()) {
                return Some(format!("follows a {}, want a dense, conv or depthwise layer", op.name()));
            }
            let linear = op.activation().is_none_or(Activation::is_linear);
            let name = &spec.layers[before].name;
            if !linear {
                return Some(format!("follows `{name}`, which has an activation of its own; want linear"));
            }
            (nodes[before].consumers.len() > 1)
                .then(|| format!("follows `{name}`, which feeds other layers too"))
        });
        if let Some(reason) = reason {
            faults.add(
                &format!("layers[{i}].batch_norm.fold"),
                format!("cannot be: layer `{}` {reason}", layer.name),
            );
        }
    }
}

/// Every layer must lead to an output; a layer that does not hints at a mistake in its neighbors' inputs.
fn check_uses(spec: &ModelSpec, nodes: &[Node], outputs: &[usize], faults: &mut Faults) {
    for (i, node) in nodes.iter().enumerate() {
        if node.consumers.is_empty() && !outputs.contains(&i) {
            let name = &spec.layers[i].name;
            faults.add(
                &format!("layers[{i}]"),
                format!("is `{name}`, which nothing takes and which is no output"),
            );
        }
    }
}
