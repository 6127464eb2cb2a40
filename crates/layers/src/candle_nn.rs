//! Interoperation with candle-nn: a [`Model`] as a [`Module`], and its weights in a [`VarMap`] or [`VarBuilder`].

use std::collections::BTreeMap;
use std::sync::PoisonError;

use candle_core::Tensor;
use candle_nn::{Module, VarBuilder, VarMap};
use tinsmith_foundation::Seed;

use crate::error::Result;
use crate::mode::Mode;
use crate::model::Model;

/// Inference, for networks with one input and one output.
impl Module for Model {
    fn forward(&self, xs: &Tensor) -> candle_core::Result<Tensor> {
        Self::forward(self, xs, Mode::Infer).map_err(candle_core::Error::wrap)
    }
}

/// A [`Model`] in training mode as a [`Module`]; returned by [`Model::training`].
#[derive(Debug, Clone, Copy)]
pub struct TrainingModule<'a> {
    model: &'a Model,
    seed: Seed,
}

impl Module for TrainingModule<'_> {
    fn forward(&self, xs: &Tensor) -> candle_core::Result<Tensor> {
        self.model.forward(xs, Mode::Train { seed: self.seed }).map_err(candle_core::Error::wrap)
    }
}

impl Model {
    /// Returns the model as a [`Module`] in training mode: its output is differentiable by the trainable parameters.
    /// Use another seed for each step.
    #[must_use]
    pub const fn training(&self, seed: Seed) -> TrainingModule<'_> {
        TrainingModule { model: self, seed }
    }

    /// Adds all parameters to `map` as `prefix.layer.weight`, or `layer.weight` for an empty prefix. The variables are
    /// shared, not copied: an optimizer of candle-nn over [`VarMap::all_vars`] trains this model. Such an optimizer
    /// knows neither prune masks nor frozen flags; call
    /// [`Params::apply_masks`](tinsmith_core_tensor::Params::apply_masks) after its steps if there are prune masks.
    pub fn add_to_var_map(&self, map: &VarMap, prefix: &str) {
        let mut variables = map.data().lock().unwrap_or_else(PoisonError::into_inner);
        for param in self.params().iter() {
            variables.insert(join(prefix, param.name()), param.var().clone());
        }
    }

    /// Returns a new map of all parameters; see [`add_to_var_map`](Self::add_to_var_map).
    #[must_use]
    pub fn to_var_map(&self) -> VarMap {
        let map = VarMap::new();
        self.add_to_var_map(&map, "");
        map
    }

    /// Copies the values of all parameters from `map`, stored as `prefix.layer.weight`. Other entries of the map are
    /// ignored.
    ///
    /// # Errors
    /// [`crate::LayersError::Mismatch`] with every missing parameter and every wrong shape. Nothing is set then.
    pub fn load_var_map(&self, map: &VarMap, prefix: &str) -> Result<()> {
        let values: BTreeMap<String, Tensor> = {
            let variables = map.data().lock().unwrap_or_else(PoisonError::into_inner);
            let stored = |name: &str| {
                Some((name.to_owned(), variables.get(&join(prefix, name))?.as_detached_tensor()))
            };
            self.params().iter().filter_map(|param| stored(param.name())).collect()
        };
        self.set_weights(&values, "the VarMap")
    }

    /// Copies the values of all parameters from `builder`, which reads `layer.weight` below its present prefix.
    ///
    /// # Errors
    /// [`crate::LayersError::Candle`] if a parameter is missing or has another shape. Nothing is set then.
    pub fn load_var_builder(&self, builder: &VarBuilder<'_>) -> Result<()> {
        let mut values = BTreeMap::new();
        for param in self.params().iter() {
            values.insert(param.name().to_owned(), builder.get(param.dims(), param.name())?);
        }
        self.set_weights(&values, "the VarBuilder")
    }
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}
