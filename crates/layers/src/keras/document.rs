//! Layers of an architecture as Keras numbers and names them, with the weights that each one saves.

use std::collections::BTreeMap;

use serde_json::Value;
use tinsmith_network::{Graph, ModelSpec, Role};

use crate::error::Result;

/// Keras version whose file layouts are written.
pub(super) const VERSION: &str = "2.15.0";

/// One layer of an architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) class: String,
    pub(super) name: String,
}

/// One weight that a Keras layer saves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SavedWeight {
    /// A parameter of the model.
    Param {
        /// Layer of the specification that owns it. For a layer trained folded this can be the normalization.
        own: String,
        weight: &'static str,
        role: Role,
    },
    /// Training step counter of a layer that `QKeras` trains folded.
    StepCounter,
}

impl SavedWeight {
    /// True if an optimizer updates it.
    pub(super) const fn is_trained(&self) -> bool {
        matches!(self, Self::Param { role, .. } if role.is_trainable())
    }

    /// True if it belongs to the normalization inside the layer called `layer`.
    pub(super) fn is_inner(&self, layer: &str) -> bool {
        matches!(self, Self::Param { own, .. } if own != layer)
    }
}

/// A Keras architecture.
#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    json: Value,
    layers: Vec<Layer>,
}

impl Document {
    /// Parses the layers of a text accepted by [`tinsmith_keras::read_json`], in its order.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let json: Value =
            serde_json::from_str(text).map_err(|e| format!("the architecture is not JSON: {e}"))?;
        let config = &json["config"];
        let list = config.as_array().or_else(|| config["layers"].as_array());
        let layer = |value: &Value| {
            let class = value["class_name"].as_str()?;
            let name = value["config"]["name"].as_str().or_else(|| value["name"].as_str())?;
            // A class registered under a package is written `package>class`.
            let class = class.rsplit('>').next().unwrap_or(class);
            Some(Layer { class: class.to_owned(), name: name.to_owned() })
        };
        let layers: Option<Vec<Layer>> = list.into_iter().flatten().map(layer).collect();
        let layers =
            layers.ok_or_else(|| "a layer of the architecture has no class or no name".to_owned())?;
        Ok(Self { json, layers })
    }

    /// Builds the architecture written for `spec`. Layers are in the order that Keras gives them after reading: by
    /// distance from the outputs.
    pub(super) fn write(spec: &ModelSpec) -> Result<Self> {
        let wrong = |reason: String| crate::LayersError::Keras { path: "architecture".into(), reason };
        let mut document = Self::parse(&tinsmith_keras::write_json(spec)?).map_err(wrong)?;
        let names: Vec<&str> = document.layers.iter().map(|l| l.name.as_str()).collect();
        let number = |name: &Value| names.iter().position(|n| Some(*n) == name.as_str());
        let config = &document.json["config"];
        let list = config["layers"].as_array().cloned().unwrap_or_default();
        let sources: Vec<Vec<usize>> = list
            .iter()
            .map(|l| {
                let tensors = l["inbound_nodes"][0].as_array().into_iter().flatten();
                tensors.filter_map(|tensor| number(&tensor[0])).collect()
            })
            .collect();
        let outputs: Vec<usize> =
            config["output_layers"].as_array().into_iter().flatten().filter_map(|t| number(&t[0])).collect();
        let order = keras_order(&sources, &outputs);
        document.layers = order.iter().map(|&i| document.layers[i].clone()).collect();
        document.json["config"]["layers"] = order.iter().map(|&i| list[i].clone()).collect();
        document.json["module"] = "keras.src.engine.functional".into();
        document.json["registered_name"] = "Functional".into();
        Ok(document)
    }

    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter()
    }

    /// The whole architecture as JSON text.
    pub(super) fn json(&self) -> String {
        self.json.to_string()
    }

    /// Group name of each layer in a checkpoint: its class in snake case, numbered from the second occurrence.
    pub(super) fn groups(&self) -> Vec<(String, &Layer)> {
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        let mut groups = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let class = snake_case(&layer.class);
            let count = used.entry(class.clone()).or_default();
            let name = if *count == 0 { class } else { format!("{class}_{count}") };
            *count += 1;
            groups.push((name, layer));
        }
        groups
    }

    /// Returns the weights saved by `layer` in creation order; empty if the specification has no such layer.
    pub(super) fn saved_weights(spec: &ModelSpec, graph: &Graph, layer: &Layer) -> Vec<SavedWeight> {
        let weights = |i: usize| {
            let shapes = graph.input_shapes(i);
            let weights = shapes.first().map(|input| spec.layers[i].op.weights(input)).unwrap_or_default();
            let own = spec.layers[i].name.clone();
            weights.into_iter().map(move |w| SavedWeight::Param {
                own: own.clone(),
                weight: w.name,
                role: w.role,
            })
        };
        let Some(i) = spec.layers.iter().position(|l| l.name == layer.name) else { return Vec::new() };
        let mut weights_of_layer: Vec<SavedWeight> = weights(i).collect();
        let is_fold = |&&k: &&usize| spec.layers[k].op.folded_norm().is_some();
        if let Some(&norm) = graph.nodes[i].consumers.iter().find(is_fold) {
            weights_of_layer.push(SavedWeight::StepCounter);
            weights_of_layer.extend(weights(norm));
        }
        weights_of_layer
    }
}

/// Adds the Keras version to an architecture text that does not state it.
pub(super) fn with_version(config: &str, version: Option<&str>) -> Result<String, String> {
    let Some(version) = version else { return Ok(config.to_owned()) };
    let mut json: Value =
        serde_json::from_str(config).map_err(|e| format!("the architecture is not JSON: {e}"))?;
    match json.as_object_mut() {
        Some(map) if !map.contains_key("keras_version") => {
            map.insert("keras_version".to_owned(), version.into());
            Ok(json.to_string())
        }
        _ => Ok(config.to_owned()),
    }
}

/// Sorts the layers of a functional model as Keras does: farthest from the outputs first; at equal distance in
/// depth-first order from the outputs to the inputs.
fn keras_order(sources: &[Vec<usize>], outputs: &[usize]) -> Vec<usize> {
    let count = sources.len();
    let mut met: Vec<Option<usize>> = vec![None; count];
    let mut done = Vec::with_capacity(count);
    let mut number = 0;
    for &output in outputs {
        let mut path: Vec<(usize, usize)> = Vec::new();
        let mut next = Some(output);
        loop {
            if let Some(layer) = next.take()
                && met[layer].is_none()
            {
                met[layer] = Some(number);
                number += 1;
                path.push((layer, 0));
            }
            let Some((layer, taken)) = path.last_mut() else { break };
            if let Some(&source) = sources[*layer].get(*taken) {
                *taken += 1;
                next = Some(source);
            } else {
                done.push(*layer);
                path.pop();
            }
        }
    }
    // `done` lists layers after all their sources, so walking it backward sees every reader before its sources and
    // one sweep settles the longest distances.
    let mut depth = vec![0_usize; count];
    for &layer in done.iter().rev() {
        for &source in &sources[layer] {
            depth[source] = depth[source].max(depth[layer] + 1);
        }
    }
    let mut order: Vec<usize> = (0..count).collect();
    // Inputs that feed nothing are not visited; they come first among the last.
    order.sort_by_key(|&i| (std::cmp::Reverse(depth[i]), met[i].map_or(0, |k| k + 1)));
    order
}

/// Converts a class name to snake case as Keras does: `QConv2DBatchnorm` becomes `q_conv2d_batchnorm`.
fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut words = String::new();
    let mut i = 0;
    // First pass: an underscore before a capital that small letters follow. Matches do not overlap.
    while i < letters.len() {
        words.push(letters[i]);
        let small = |k: usize| letters.get(k).is_some_and(char::is_ascii_lowercase);
        if letters.get(i + 1).is_some_and(char::is_ascii_uppercase) && small(i + 2) {
            words.push('_');
            words.push(letters[i + 1]);
            i += 2;
            while small(i) {
                words.push(letters[i]);
                i += 1;
            }
        } else {
            i += 1;
        }
    }
    // Second pass: an underscore between a small letter and a capital.
    let mut out = String::with_capacity(words.len() + 4);
    let mut before = ' ';
    for c in words.chars() {
        if before.is_ascii_lowercase() && c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c);
        before = c;
    }
    out.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_become_groups_as_in_keras() {
        for (class, group) in [
            ("Conv2D", "conv2d"),
            ("QConv2DBatchnorm", "q_conv2d_batchnorm"),
            ("QDepthwiseConv2D", "q_depthwise_conv2d"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("PReLU", "p_re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("ELU", "elu"),
            ("InputLayer", "input_layer"),
            ("BatchNormalization", "batch_normalization"),
        ] {
            assert_eq!(snake_case(class), group);
        }
    }

    #[test]
    fn layers_are_sorted_by_distance_from_the_outputs() {
        // 0 and 1 are inputs, 2 = f(0), 3 = f(2), 4 = f(1), 5 = f(3, 4): 1 and 2 are equally far.
        let sources = [vec![], vec![], vec![0], vec![2], vec![1], vec![3, 4]];
        assert_eq!(keras_order(&sources, &[5]), [0, 2, 1, 3, 4, 5]);
    }
}
