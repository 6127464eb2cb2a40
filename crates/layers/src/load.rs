//! Networks from files: specifications alone, or trained networks with their weights.

use std::path::Path;

use tinsmith_foundation::Seed;
use tinsmith_network::ModelSpec;

use crate::error::{LayersError, Result};
use crate::keras;
use crate::model::{BuildOptions, Model, check_weight_count};

/// Reads a specification: YAML, JSON, or a model that Keras saved (`.keras`, `.h5`).
///
/// # Errors
/// [`LayersError::Spec`] or [`LayersError::Keras`] if the file cannot be read.
pub fn load_spec(path: &Path) -> Result<ModelSpec> {
    if keras::has_keras_extension(path) {
        return keras::load_spec(path);
    }
    Ok(ModelSpec::load(path)?)
}

/// Reads a trained network: a weight file of [`Model::save_weights`], whose metadata hold the specification, or a model
/// that Keras saved (`.keras`, `.h5`).
///
/// # Errors
/// [`LayersError::NoSpec`] if the metadata have no specification; [`LayersError::Tensor`], [`LayersError::Keras`] and
/// [`LayersError::Mismatch`] if the file cannot be read or does not fit its specification.
pub fn load_model(path: &Path) -> Result<Model> {
    if keras::has_keras_extension(path) {
        return keras::load(path, &BuildOptions::default());
    }
    let contents = tinsmith_core_tensor::io::safetensors::load(path)?;
    let Some(text) = contents.metadata.get("spec") else {
        return Err(LayersError::NoSpec { path: path.to_owned() });
    };
    let origin = path.display().to_string();
    let spec = ModelSpec::parse(text, &origin)?;
    check_weight_count(&spec, &contents.tensors, &origin)?;
    let model = Model::build(&spec, Seed::new(0), &BuildOptions::default())?;
    model.set_weights(&contents.tensors, &origin)?;
    Ok(model)
}
