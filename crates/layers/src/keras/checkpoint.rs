//! The layout of Keras 2.12 to 3: a group for each layer, called by its class and counted, with numbered arrays.

use std::collections::BTreeMap;

use candle_core::Tensor;
use hdf5_pure::{FileBuilder, Group};
use tinsmith_network::ModelSpec;

use super::document::{Document, Layer, Part};
use super::hdf5::{Hdf5, texts};
use super::legacy::put;
use crate::model::Model;

/// All weights, called `layer/weight`. Which group is which layer: the name that Keras 3 leaves in the group, else the
/// class and the place among the layers of that class.
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
        // Keras 2.12 wrote some groups under the layer's own name.
        let layer =
            named.or_else(|| layers.get(&child).copied()).or_else(|| by_name.get(child.as_str()).copied());
        let arrays = own.datasets().map_err(|e| wrong(e.to_string()))?;
        let Some(layer) = layer else {
            if arrays.is_empty() {
                continue;
            }
            return Err(wrong("has weights, and the architecture has no such layer".to_owned()));
        };
        let parts = Document::parts(spec, &graph, layer);
        let (inner, outer): (Vec<&Part>, Vec<&Part>) =
            parts.iter().partition(|part| part.is_inner(&layer.name));
        let mut take = |vars: &Group, parts: Vec<&Part>| -> Result<(), String> {
            let count = vars.datasets().map_err(|e| wrong(e.to_string()))?.len();
            if count != parts.len() {
                let want = parts.len();
                return Err(wrong(format!("has {count} weights, and layer `{}` has {want}", layer.name)));
            }
            for (number, part) in parts.into_iter().enumerate() {
                if let Part::Weight { own, weight, .. } = part {
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

/// The weights of a network, without its architecture.
pub(super) fn write(model: &Model, document: &Document) -> Result<Vec<u8>, String> {
    let mut file = FileBuilder::new();
    let mut root = file.create_group("layers");
    for (name, layer) in document.groups() {
        let parts = Document::parts(model.spec(), model.graph(), layer);
        let (inner, outer): (Vec<&Part>, Vec<&Part>) =
            parts.iter().partition(|part| part.is_inner(&layer.name));
        let mut group = root.create_group(&name);
        let mut own = group.create_group("vars");
        own.set_attr("name", hdf5_pure::AttrValue::VarLenAsciiString(layer.name.clone()));
        for (number, part) in outer.into_iter().enumerate() {
            put(&mut own, &number.to_string(), part, model)?;
        }
        group.add_group(own.finish());
        if !inner.is_empty() {
            let mut norm = group.create_group("batchnorm");
            let mut vars = norm.create_group("vars");
            for (number, part) in inner.into_iter().enumerate() {
                put(&mut vars, &number.to_string(), part, model)?;
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
