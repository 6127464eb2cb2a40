//! Export of a whole model, as a functional model of Keras 2.15.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tinsmith_foundation::{Faults, config};
use tinsmith_network::{Activation, Graph, ModelSpec};

use crate::error::Result;
use crate::write_layer::{self, Stored};

/// Writes a specification as the JSON of a functional model of Keras 2.15, with QKeras 0.9.0 classes for quantized
/// layers. Facts about weights are omitted. A folded batch normalization and the preceding convolution become one layer
/// with the convolution's name; an activation after them is fused if it is called `<name>_activation`. An input layer
/// called `input` is written as `input_1`, or the first free name after it: hls4ml reserves `input` and cannot convert a
/// model that uses it.
///
/// # Errors
/// [`crate::KerasError::Invalid`] if the specification is invalid or layers have no class; it lists all of them.
pub fn write_json(spec: &ModelSpec) -> Result<String> {
    Ok(config::to_json("Keras model", &to_value(spec)?)?)
}

/// [`write_json`] as a JSON value, for compact text or a larger document.
///
/// # Errors
/// As [`write_json`].
pub fn to_value(spec: &ModelSpec) -> Result<Value> {
    let graph = spec.graph()?;
    let mut faults = Faults::new();
    let names = DocumentNames::find(spec, &graph);
    let mut layers = Vec::with_capacity(spec.layers.len());
    for &i in &graph.order {
        let layer = &spec.layers[i];
        let stored = match (names.of_conv.get(&i), names.name_of.contains_key(&i)) {
            (Some(fold), _) => fold.write(spec, i),
            (None, true) => continue,
            (None, false) => write_layer::write(&layer.op),
        };
        match stored {
            Ok(stored) => layers.push(entry(names.name(spec, i), stored, &inbound(spec, &graph, &names, i))),
            Err(reason) => {
                faults.add(
                    &format!("layers[{i}].{}", layer.op.name()),
                    format!("{reason} (layer `{}`)", layer.name),
                );
            }
        }
    }
    faults.into_result(if spec.name.is_empty() { "specification" } else { &spec.name })?;
    let name = if spec.name.is_empty() { "model" } else { &spec.name };
    let ends = |numbers: &[usize]| -> Vec<Value> {
        numbers.iter().map(|&i| json!([names.name(spec, i), 0, 0])).collect()
    };
    Ok(json!({
        "class_name": "Functional",
        "config": {
            "name": name,
            "trainable": true,
            "layers": layers,
            "input_layers": ends(&graph.inputs),
            "output_layers": ends(&graph.outputs),
        },
        "keras_version": "2.15.0",
        "backend": "tensorflow",
    }))
}

fn entry(name: &str, stored: Stored, inbound: &Value) -> Value {
    let Stored { class, module, mut config } = stored;
    config.insert("name".to_owned(), Value::from(name));
    config.insert("dtype".to_owned(), Value::from("float32"));
    if class != "InputLayer" {
        config.insert("trainable".to_owned(), Value::from(true));
    }
    let registered = if class.starts_with('Q') { Value::from(class.as_str()) } else { Value::Null };
    json!({
        "module": module, "class_name": class, "config": config, "registered_name": registered, "name": name,
        "inbound_nodes": inbound,
    })
}

fn inbound(spec: &ModelSpec, graph: &Graph, names: &DocumentNames, i: usize) -> Value {
    let inputs = &graph.nodes[i].inputs;
    if inputs.is_empty() {
        return json!([]);
    }
    let tensors: Vec<Value> = inputs.iter().map(|&k| json!([names.name(spec, k), 0, 0, {}])).collect();
    json!([tensors])
}

/// A batch normalization and activation that are folded into a convolution.
#[derive(Debug)]
struct Fold {
    norm: usize,
    activation: Option<usize>,
}

impl Fold {
    fn write(&self, spec: &ModelSpec, conv: usize) -> Result<Stored, String> {
        let activation = self.activation.and_then(|i| spec.layers[i].op.activation());
        let norm = spec.layers[self.norm].op.batch_norm();
        let norm = norm.expect("invariant: a fold has a batch normalization");
        write_layer::write_folded(&spec.layers[conv].op, norm, activation.unwrap_or(&Activation::Linear))
    }
}

/// Layers that share a layer of the document or have another name there.
#[derive(Debug, Default)]
struct DocumentNames {
    /// Folds by the number of their convolution.
    of_conv: BTreeMap<usize, Fold>,
    /// Convolution that represents a normalization or activation in the document.
    name_of: BTreeMap<usize, usize>,
    /// New names of input layers whose name is [`RESERVED`].
    renamed: BTreeMap<usize, String>,
}

/// Name of an input layer that hls4ml keeps for itself.
const RESERVED: &str = "input";

impl DocumentNames {
    fn find(spec: &ModelSpec, graph: &Graph) -> Self {
        let mut names = Self::default();
        for (i, layer) in spec.layers.iter().enumerate() {
            if layer.op.is_input() && layer.name == RESERVED {
                names.renamed.insert(i, free_name(spec));
            }
            let is_folded = layer.op.folded_norm().is_some();
            let (true, [conv]) = (is_folded, graph.nodes[i].inputs.as_slice()) else { continue };
            let wanted = format!("{}_activation", spec.layers[*conv].name);
            let activation = match graph.nodes[i].consumers.as_slice() {
                &[next] if !graph.outputs.contains(&i) => {
                    let is_own = spec.layers[next].op.is_activation() && spec.layers[next].name == wanted;
                    is_own.then_some(next)
                }
                _ => None,
            };
            names.name_of.extend([(i, *conv)].into_iter().chain(activation.map(|a| (a, *conv))));
            names.of_conv.insert(*conv, Fold { norm: i, activation });
        }
        names
    }

    /// Name of the document's layer with the output of layer `i`.
    fn name<'s>(&'s self, spec: &'s ModelSpec, i: usize) -> &'s str {
        let named = self.name_of.get(&i).copied().unwrap_or(i);
        self.renamed.get(&named).unwrap_or(&spec.layers[named].name)
    }
}

/// The first of `input_1`, `input_2`, ... that no layer has.
fn free_name(spec: &ModelSpec) -> String {
    let mut names = (1..).map(|n| format!("{RESERVED}_{n}"));
    let free = names.find(|name| spec.layers.iter().all(|layer| layer.name != *name));
    free.expect("invariant: a network has finitely many layers")
}
