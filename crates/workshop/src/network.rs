//! Networks from files, with errors that name a file of the wrong kind.

use std::path::{Path, PathBuf};

use tinsmith_data::Dataset;
use tinsmith_layers::Model;
use tinsmith_network::ModelSpec;
use tinsmith_trainer::TrainError;

use crate::error::{Result, WorkshopError};

const SPECIFICATION: &str = "a network's specification (.yaml, .json, .keras, .h5)";
const WEIGHTS: &str = "weights: a .safetensors file that `tinsmith train` wrote, or a .keras or .h5 model";

/// Reads a trained network: a weight file that Tinsmith wrote, or a model that Keras saved.
///
/// # Errors
/// [`WorkshopError::WrongFile`] if the file is a specification without weights, [`WorkshopError::Train`] and
/// [`WorkshopError::Layers`] if it cannot be read.
pub fn load_network(path: &Path) -> Result<Model> {
    tinsmith_trainer::run::load_model(path).map_err(|error| {
        if path.is_file() && ModelSpec::load(path).is_ok() {
            return wrong_file(path, "a specification without weights", WEIGHTS);
        }
        error.into()
    })
}

/// Reads a specification: YAML, JSON, or a model that Keras saved.
///
/// # Errors
/// [`WorkshopError::WrongFile`] if the file holds weights, [`WorkshopError::Spec`] if it cannot be read.
pub fn load_spec(path: &Path) -> Result<ModelSpec> {
    tinsmith_trainer::run::load_spec(path).map_err(|error| {
        if path.extension().is_some_and(|e| e == "safetensors") && path.is_file() {
            return wrong_file(path, "a weight file", SPECIFICATION);
        }
        error.into()
    })
}

/// Refuses a network that does not take the samples of `data`.
pub(crate) fn require_fit(model: &Model, data: &Dataset) -> Result<()> {
    let graph = model.graph();
    let input = graph.inputs.first().map_or(&[][..], |&i| graph.shape(i));
    if input == data.sample_shape() {
        return Ok(());
    }
    let mismatch = TrainError::Mismatch {
        what: "takes samples of shape",
        network: input.to_vec(),
        data: data.name().to_owned(),
        found: data.sample_shape().to_vec(),
    };
    Err(mismatch.into())
}

fn wrong_file(path: &Path, found: &'static str, wanted: &'static str) -> WorkshopError {
    WorkshopError::WrongFile { path: PathBuf::from(path), found, wanted }
}
