//! The legacy weight layout: `layer_names`, `weight_names`, and arrays named after both.

use std::collections::BTreeMap;

use candle_core::Tensor;
use hdf5_pure::{AttrValue, FileBuilder, Group, GroupBuilder};
use tinsmith_foundation::{QUOTE_LIMIT, quote};
use tinsmith_network::ModelSpec;

use super::document::{Document, SavedWeight};
use super::hdf5::{Hdf5, texts};
use crate::model::{Model, WeightNames};

/// Reads all weights as `layer/weight`. A name that the specification lacks is refused before its values are read.
pub(super) fn read(file: &Hdf5, root: &Group, spec: &ModelSpec) -> Result<BTreeMap<String, Tensor>, String> {
    let graph = spec.graph().map_err(|e| e.to_string())?;
    let known = WeightNames::new(spec, &graph);
    let mut weights = BTreeMap::new();
    for layer in texts(root, "layer_names")?.unwrap_or_default() {
        let group = root.group(&layer).map_err(|e| format!("layer `{layer}`: {e}"))?;
        let names = texts(&group, "weight_names")?
            .ok_or_else(|| format!("layer `{layer}` has no attribute `weight_names`"))?;
        for name in names {
            let last = name.rsplit('/').next().unwrap_or_default();
            let weight = last.split(':').next().unwrap_or_default();
            if !known.contains(&format!("{layer}/{weight}")) {
                let weight = quote(weight, QUOTE_LIMIT);
                return Err(format!("layer `{layer}` has a weight `{weight}` that the architecture lacks"));
            }
            let tensor = file.tensor(&group, &name).map_err(|e| format!("layer `{layer}`: {e}"))?;
            if weights.insert(format!("{layer}/{weight}"), tensor).is_some() {
                return Err(format!("layer `{layer}` has two weights called `{weight}`"));
            }
        }
    }
    Ok(weights)
}

/// Writes the whole model.
pub(super) fn write(model: &Model, document: &Document) -> Result<Vec<u8>, String> {
    let mut file = FileBuilder::new();
    let text = |text: &str| AttrValue::VarLenAsciiString(text.to_owned());
    file.set_attr("backend", text("tensorflow"));
    file.set_attr("keras_version", text(super::document::VERSION));
    file.set_attr("model_config", AttrValue::VarLenString(document.json()));
    let mut root = file.create_group("model_weights");
    root.set_attr("backend", text("tensorflow"));
    root.set_attr("keras_version", text(super::document::VERSION));
    root.set_attr("layer_names", names(document.layers().map(|l| l.name.clone()).collect()));
    for layer in document.layers() {
        let mut group = root.create_group(&layer.name);
        let saved = Document::saved_weights(model.spec(), model.graph(), layer);
        let called = |saved_weight: &SavedWeight| match saved_weight {
            SavedWeight::Param { own, weight, .. } if own == &layer.name => (None, format!("{weight}:0")),
            SavedWeight::Param { weight, .. } => (Some("batch_normalization"), format!("{weight}:0")),
            SavedWeight::StepCounter => (None, "iteration:0".to_owned()),
        };
        // Keras assigns arrays by position, trained ones first.
        let (trained, moved): (Vec<&SavedWeight>, Vec<&SavedWeight>) =
            saved.iter().partition(|saved_weight| saved_weight.is_trained());
        let ordered: Vec<&SavedWeight> = trained.into_iter().chain(moved).collect();
        let full = |saved_weight: &SavedWeight| match called(saved_weight) {
            (Some(inner), name) => format!("{}/{inner}/{name}", layer.name),
            (None, name) => format!("{}/{name}", layer.name),
        };
        group
            .set_attr("weight_names", names(ordered.iter().map(|saved_weight| full(saved_weight)).collect()));
        if !ordered.is_empty() {
            let mut inner = group.create_group(&layer.name);
            let mut norm = inner.create_group("batch_normalization");
            let mut has_norm = false;
            for saved_weight in ordered {
                let (place, name) = called(saved_weight);
                has_norm |= place.is_some();
                put(if place.is_some() { &mut norm } else { &mut inner }, &name, saved_weight, model)?;
            }
            if has_norm {
                inner.add_group(norm.finish());
            }
            group.add_group(inner.finish());
        }
        root.add_group(group.finish());
    }
    file.add_group(root.finish());
    file.finish().map_err(|e| e.to_string())
}

fn names(names: Vec<String>) -> AttrValue {
    if names.is_empty() { AttrValue::F64Array(Vec::new()) } else { AttrValue::VarLenAsciiStringArray(names) }
}

/// Adds the array of one weight.
pub(super) fn put(
    group: &mut GroupBuilder,
    name: &str,
    saved_weight: &SavedWeight,
    model: &Model,
) -> Result<(), String> {
    match saved_weight {
        SavedWeight::Param { own, weight, .. } => {
            let param = model
                .params()
                .find(&crate::layer::param_name(own, weight))
                .ok_or_else(|| format!("layer `{own}` has no weight `{weight}`"))?;
            let values = param.values().map_err(|e| e.to_string())?;
            let shape: Vec<u64> = param.dims().iter().map(|&d| d as u64).collect();
            group.create_dataset(name).with_f32_data(&values).with_shape(&shape);
        }
        // QKeras starts counting at -1.
        SavedWeight::StepCounter => {
            group.create_dataset(name).with_i64_data(&[-1]).with_shape(&[]);
        }
    }
    Ok(())
}
