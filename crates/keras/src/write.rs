//! A whole model, as a functional model of Keras 2.15.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tinsmith_foundation::{Faults, config};
use tinsmith_network::{Activation, Graph, ModelSpec, Op};

use crate::error::Result;
use crate::write_layer::{self, Stored};

/// Writes a specification as the JSON of a functional model of Keras 2.15, with layers of QKeras 0.9.0 where it has
/// quantizers. Facts about weights are left out. A folded batch normalization and the convolution before it become
/// one layer with the convolution's name; an activation after them is fused where it is called `<name>_activation`.
///
/// # Errors
/// [`crate::KerasError::Invalid`] where the specification is invalid, and where a layer has no class: it names all of
/// these.
pub fn write_json(spec: &ModelSpec) -> Result<String> {
    Ok(config::to_json("Keras model", &to_value(spec)?)?)
}

/// As [`write_json`], as a value: for compact text, or to stand in a larger document.
///
/// # Errors
/// As [`write_json`].
pub fn to_value(spec: &ModelSpec) -> Result<Value> {
    let graph = spec.graph()?;
    let mut faults = Faults::new();
    let folds = Folds::find(spec, &graph);
    let mut layers = Vec::with_capacity(spec.layers.len());
    for &i in &graph.order {
        let layer = &spec.layers[i];
        let stored = match (folds.of_conv.get(&i), folds.name_of.contains_key(&i)) {
            (Some(fold), _) => fold.write(spec, i),
            (None, true) => continue,
            (None, false) => write_layer::write(&layer.op),
        };
        match stored {
            Ok(stored) => layers.push(entry(&layer.name, stored, &inbound(spec, &graph, &folds, i))),
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
        numbers.iter().map(|&i| json!([folds.name(spec, i), 0, 0])).collect()
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

fn inbound(spec: &ModelSpec, graph: &Graph, folds: &Folds, i: usize) -> Value {
    let inputs = &graph.nodes[i].inputs;
    if inputs.is_empty() {
        return json!([]);
    }
    let tensors: Vec<Value> = inputs.iter().map(|&k| json!([folds.name(spec, k), 0, 0, {}])).collect();
    json!([tensors])
}

/// A convolution with the normalization that is folded into it.
#[derive(Debug)]
struct Fold {
    norm: usize,
    activation: Option<usize>,
}

impl Fold {
    fn write(&self, spec: &ModelSpec, conv: usize) -> Result<Stored, String> {
        let activation = match self.activation.map(|i| &spec.layers[i].op) {
            Some(Op::Activation(activation)) => activation,
            _ => &Activation::Linear,
        };
        match &spec.layers[self.norm].op {
            Op::BatchNorm(norm) => write_layer::write_folded(&spec.layers[conv].op, norm, activation),
            other => Err(format!("is followed by {}, want a batch_norm", other.name())),
        }
    }
}

#[derive(Debug, Default)]
struct Folds {
    /// By the number of the convolution.
    of_conv: BTreeMap<usize, Fold>,
    /// The convolution that stands for a normalization or activation.
    name_of: BTreeMap<usize, usize>,
}

impl Folds {
    fn find(spec: &ModelSpec, graph: &Graph) -> Self {
        let mut folds = Self::default();
        for (i, layer) in spec.layers.iter().enumerate() {
            let is_folded = matches!(&layer.op, Op::BatchNorm(norm) if norm.fold);
            let (true, [conv]) = (is_folded, graph.nodes[i].inputs.as_slice()) else { continue };
            let wanted = format!("{}_activation", spec.layers[*conv].name);
            let activation = match graph.nodes[i].consumers.as_slice() {
                &[next] if !graph.outputs.contains(&i) => {
                    let is_own =
                        matches!(spec.layers[next].op, Op::Activation(_)) && spec.layers[next].name == wanted;
                    is_own.then_some(next)
                }
                _ => None,
            };
            folds.name_of.extend([(i, *conv)].into_iter().chain(activation.map(|a| (a, *conv))));
            folds.of_conv.insert(*conv, Fold { norm: i, activation });
        }
        folds
    }

    /// The name of the layer of the document that has the output of layer `i`.
    fn name<'s>(&self, spec: &'s ModelSpec, i: usize) -> &'s str {
        &spec.layers[self.name_of.get(&i).copied().unwrap_or(i)].name
    }
}
