//! State of a training between two steps: progress, weights, masks, optimizer state.

use std::collections::BTreeMap;

use candle_core::Tensor;
use tinsmith_layers::Model;

use crate::error::Result;
use crate::progress::Progress;

/// Tensors by name.
pub(crate) type Tensors = BTreeMap<String, Tensor>;

/// Optimizer state by parameter: [`slots`](crate::Rule::slots) blocks as long as the parameter, one after another.
pub(crate) type Moments = BTreeMap<String, Vec<f32>>;

/// A training between two steps.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) progress: Progress,
    pub(crate) weights: Tensors,
    pub(crate) prune: Tensors,
    pub(crate) update: Tensors,
    pub(crate) moments: Moments,
    /// Weights at the start of the epoch.
    pub(crate) before: Tensors,
    pub(crate) best: Tensors,
    pub(crate) average: Tensors,
}

impl Snapshot {
    /// Checks that every tensor belongs to a parameter of `model` and that complete sets are complete.
    ///
    /// Returns the faulty tensor and the fault.
    pub(crate) fn check(&self, model: &Model) -> Result<(), (String, String)> {
        let Self { progress, .. } = self;
        // Masks exist for some parameters only; the other sets have all of them or, before their first use, none.
        let sets = [
            ("weights", &self.weights, true, true),
            ("before", &self.before, true, progress.has_begun()),
            ("best", &self.best, true, progress.kept() > 0),
            ("average", &self.average, true, progress.averaged() > 0),
            ("prune", &self.prune, false, false),
            ("update", &self.update, false, false),
        ];
        for (kind, values, is_complete, is_needed) in sets {
            for (name, value) in values {
                let Some(param) = model.params().find(name) else {
                    return Err((format!("{kind}/{name}"), "is no parameter of the network".to_owned()));
                };
                if param.dims() != value.dims() {
                    let (got, want) = (value.dims(), param.dims());
                    return Err((format!("{kind}/{name}"), format!("has shape {got:?}, want {want:?}")));
                }
            }
            let missing = model.params().iter().find(|p| !values.contains_key(p.name()));
            if let Some(param) = missing.filter(|_| is_complete && (is_needed || !values.is_empty())) {
                return Err((format!("{kind}/{}", param.name()), "is missing".to_owned()));
            }
        }
        Ok(())
    }
}

/// Returns the prune masks and the update masks of a model.
pub(crate) fn masks(model: &Model) -> (Tensors, Tensors) {
    let named = |name: &str, mask: Option<&Tensor>| Some((name.to_owned(), mask?.clone()));
    let params = model.params();
    (
        params.iter().filter_map(|p| named(p.name(), p.prune_mask())).collect(),
        params.iter().filter_map(|p| named(p.name(), p.update_mask())).collect(),
    )
}

/// Restores the masks that [`masks`] returned and freezes the parameters in `frozen`.
pub(crate) fn set_masks(
    model: &mut Model,
    prune: &Tensors,
    update: &Tensors,
    frozen: &[String],
) -> Result<()> {
    for param in model.params_mut().iter_mut() {
        param.set_frozen(frozen.iter().any(|name| name == param.name()));
        let (prune, update) = (prune.get(param.name()).cloned(), update.get(param.name()).cloned());
        param.set_prune_mask(prune)?;
        param.set_update_mask(update)?;
    }
    Ok(())
}
