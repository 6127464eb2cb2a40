//! Names and numbers of the weights that a specification claims, known before any of them is allocated.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::Tensor;
use tinsmith_network::{Graph, ModelSpec};

use crate::error::{LayersError, Result};
use crate::layer::param_name;

/// Names that a weight file of a network may use.
pub(crate) struct WeightNames<'a> {
    spec: &'a ModelSpec,
    graph: &'a Graph,
    names: BTreeSet<String>,
}

impl<'a> WeightNames<'a> {
    pub(crate) fn new(spec: &'a ModelSpec, graph: &'a Graph) -> Self {
        let mut names = BTreeSet::new();
        for (i, layer) in spec.layers.iter().enumerate() {
            let Some(&input) = graph.input_shapes(i).first() else { continue };
            names.extend(layer.op.weights(input).into_iter().map(|w| param_name(&layer.name, w.name)));
        }
        Self { spec, graph, names }
    }

    /// Returns true if [`super::Model::set_weights`] accepts a weight of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        resolve(name, self.spec, self.graph, |own| self.names.get(own)).is_some()
            || is_step_counter(name, self.spec, self.graph)
    }
}

/// Resolves a name of a weight file with `find`, which knows the names `layer.weight`; see
/// [`super::Model::param_called`].
pub(super) fn resolve<T>(
    name: &str,
    spec: &ModelSpec,
    graph: &Graph,
    find: impl Fn(&str) -> Option<T>,
) -> Option<T> {
    find(name).or_else(|| {
        let (layer, weight) = name.rsplit_once(['/', '.'])?;
        let own = find(&param_name(layer, weight)).or_else(|| {
            let renamed = (weight == "kernel").then(|| param_name(layer, "depthwise_kernel"))?;
            find(&renamed)
        });
        own.or_else(|| find(&param_name(folded_norm(layer, spec, graph)?, weight)))
    })
}

/// The batch normalization that `layer` is trained folded with.
fn folded_norm<'a>(layer: &str, spec: &'a ModelSpec, graph: &Graph) -> Option<&'a str> {
    let index = spec.layers.iter().position(|l| l.name == layer)?;
    let norm = graph.nodes[index].consumers.iter().map(|&i| &spec.layers[i]);
    norm.into_iter().find(|l| l.op.folded_norm().is_some()).map(|l| l.name.as_str())
}

/// Returns true if `name` is the training step counter that `QKeras` keeps in a layer trained folded.
pub(super) fn is_step_counter(name: &str, spec: &ModelSpec, graph: &Graph) -> bool {
    name.rsplit_once(['/', '.'])
        .is_some_and(|(layer, weight)| weight == "iteration" && folded_norm(layer, spec, graph).is_some())
}

/// Number of weights that `spec` claims.
pub(crate) fn weight_count(spec: &ModelSpec, graph: &Graph) -> u128 {
    let elements = |shape: &[usize]| shape.iter().fold(1_u128, |n, &d| n.saturating_mul(d as u128));
    let layers = spec.layers.iter().enumerate();
    layers
        .filter_map(|(i, layer)| Some(layer.op.weights(graph.input_shapes(i).first()?)))
        .flatten()
        .fold(0, |count, weight| elements(&weight.shape).saturating_add(count))
}

/// Refuses an architecture that claims more weights than `held` has, before memory for them is allocated.
///
/// # Errors
/// [`LayersError::Mismatch`] with both numbers, [`LayersError::Spec`] if the specification is invalid.
pub(crate) fn check_weight_count(
    spec: &ModelSpec,
    held: &BTreeMap<String, Tensor>,
    origin: &str,
) -> Result<()> {
    let claimed = weight_count(spec, &spec.graph()?);
    let held: usize = held.values().map(Tensor::elem_count).sum();
    if claimed > held as u128 {
        let faults = format!("the architecture has {claimed} weights, the file holds {held}");
        return Err(LayersError::Mismatch { origin: origin.to_owned(), faults });
    }
    Ok(())
}
