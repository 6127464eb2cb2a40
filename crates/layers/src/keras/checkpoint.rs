//! Weight layout of Keras 2.12 to 3: one group per layer, named after its class with a counter, holding numbered
//! arrays.

use std::collections::BTreeMap;

use candle_core::Tensor;
use hdf5_pure::{FileBuilder, Group};
use tinsmith_network::ModelSpec;

use super::document::{Document, Layer, SavedWeight};
use super::hdf5::{Hdf5, texts};
use super::legacy::put;
use crate::model::Model;

/// Reads all weights as `layer/weight`. A group is matched to a layer by the name that Keras 3 stores in it, else by
/// class and position among the layers of that class.
pub(super) fn read(
    file: &Hdf5,
    root: &Group,
    document: &Document,
    spec: &ModelSpec,
) -> Result<BTreeMap<String, Tensor>, String> {
    let graph = spec.graph().map_err(|e| e.to_string())?;
    let layers: BTreeMap<String, &Layer> = document.groups().into_iter().collect();
    let by_name: BTreeMap<&str, &Layer> = document.layers().map(|l| (l.name.as_str(), l)).collect();
    let mut weights = BTreeMap::new();
    for child in root.groups().map_err(|e| e.to_string())? {
        let wrong = |reason: String| format!("group `layers/{child}`: {reason}");
        let group = root.group(&child).map_err(|e| wrong(e.to_string()))?;
        let Ok(own) = group.group("vars") else { continue };
        let named = texts(&own, "name").map_err(wrong)?.and_then(|names| names.into_iter().next());
        let named = named.and_then(|name| by_name.get(name.as_str()).copied());
        // Keras 2.12 named some groups after the layer.
        let layer =
            named.or_else(|| layers.get(&child).copied()).or_else(|| by_name.get(child.as_str()).copied());
        let arrays = own.datasets().map_err(|e| wrong(e.to_string()))?;
        let Some(layer) = layer else {
            if arrays.is_empty() {
                continue;
            }
            return Err(wrong("has weights, and the architecture has no such layer".to_owned()));
        };
        let saved = Document::saved_weights(spec, &graph, layer);
        let (inner, outer): (Vec<&SavedWeight>, Vec<&SavedWeight>) =
            saved.iter().partition(|saved_weight| saved_weight.is_inner(&layer.name));
        let mut take = |vars: &Group, saved: Vec<&SavedWeight>| -> Result<(), String> {
            let count = vars.datasets().map_err(|e| wrong(e.to_string()))?.len();
            if count != saved.len() {
                let want = saved.len();
                return Err(wrong(format!("has {count} weights, and layer `{}` has {want}", layer.name)));
            }
            for (number, saved_weight) in saved.into_iter().enumerate() {
                if let SavedWeight::Param { own, weight, .. } = saved_weight {
                    let tensor = file.tensor(vars, &number.to_string()).map_err(wrong)?;
                    weights.insert(format!("{own}/{weight}"), tensor);
                }
            }
            Ok(())
        };
        take(&own, outer)?;
        if !inner.is_empty() {
            let vars = group.group("batchnorm/vars").map_err(|e| wrong(e.to_string()))?;
            take(&vars, inner)?;
        }
    }
    Ok(weights)
}

/// Writes the weights of a network without its architecture.
pub(super) fn write(model: &Model, document: &Document) -> Result<Vec<u8>, String> {
    let mut file = FileBuilder::new();
    let mut root = file.create_group("layers");
    for (name, layer) in document.groups() {
        let saved = Document::saved_weights(model.spec(), model.graph(), layer);
        let (inner, outer): (Vec<&SavedWeight>, Vec<&SavedWeight>) =
            saved.iter().partition(|saved_weight| saved_weight.is_inner(&layer.name));
        let mut group = root.create_group(&name);
        let mut own = group.create_group("vars");
        own.set_attr("name", hdf5_pure::AttrValue::VarLenAsciiString(layer.name.clone()));
        for (number, saved_weight) in outer.into_iter().enumerate() {
            put(&mut own, &number.to_string(), saved_weight, model)?;
        }
        group.add_group(own.finish());
        if !inner.is_empty() {
            let mut norm = group.create_group("batchnorm");
            let mut vars = norm.create_group("vars");
            for (number, saved_weight) in inner.into_iter().enumerate() {
                put(&mut vars, &number.to_string(), saved_weight, model)?;
            }
            norm.add_group(vars.finish());
            group.add_group(norm.finish());
        }
        root.add_group(group.finish());
    }
    file.add_group(root.finish());
    let vars = file.create_group("vars");
    file.add_group(vars.finish());
    file.finish().map_err(|e| e.to_string())
}
