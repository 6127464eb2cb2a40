//! Saves and loads weights: in memory, as safetensors and npz, and in Keras files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use tinsmith_core_tensor::Param;
use tinsmith_core_tensor::io::safetensors;

use super::Model;
use super::weight_names::{is_step_counter, resolve};
use crate::error::{LayersError, Result};

/// Values of all parameters at one moment.
#[derive(Debug, Clone)]
pub struct ModelState {
    values: BTreeMap<String, Tensor>,
}

impl ModelState {
    /// Values by parameter name.
    #[must_use]
    pub const fn values(&self) -> &BTreeMap<String, Tensor> {
        &self.values
    }
}

/// Metadata key of the format that wrote a weight file.
const FORMAT_KEY: &str = "format";
const FORMAT: &str = "tinsmith-layers 1";

impl Model {
    /// Copies all values, one flat copy per parameter.
    ///
    /// # Errors
    /// [`LayersError::Tensor`] if the device fails.
    pub fn state(&self) -> Result<ModelState> {
        Ok(ModelState { values: self.params.snapshot()? })
    }

    /// Restores a copy. The present masks stay and are applied.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] if the copy is of another network.
    pub fn restore(&self, state: &ModelState) -> Result<()> {
        self.set_weights(&state.values, "the state")
    }

    /// Writes all parameters. The extension selects safetensors, `.npz` (with Keras' names, `layer/weight`), `.keras`
    /// or `.h5` (see [`crate::keras::save`]). The write is atomic. The metadata of safetensors hold the format, the
    /// specification's name and JSON, and `metadata`; the other formats cannot store it.
    ///
    /// # Errors
    /// [`LayersError::FileKind`] for other extensions; [`LayersError::Tensor`], [`LayersError::Npz`] and the errors
    /// of [`crate::keras::save`] if the file cannot be written.
    pub fn save_weights(&self, path: &Path, metadata: &BTreeMap<String, String>) -> Result<()> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => {}
            Some("npz") => {
                let named = |p: &Param| {
                    let parts = p.name().rsplit_once('.');
                    let name = parts.map_or_else(|| p.name().to_owned(), |(l, w)| format!("{l}/{w}"));
                    (name, p.tensor().detach())
                };
                return crate::npz::write(path, &self.params.iter().map(named).collect());
            }
            _ => return crate::keras::save(self, path),
        }
        let mut texts = metadata.clone();
        texts.insert(FORMAT_KEY.to_owned(), FORMAT.to_owned());
        texts.insert("model".to_owned(), self.spec.name.clone());
        texts.insert("spec".to_owned(), self.spec.to_json()?);
        let values: BTreeMap<String, Tensor> =
            self.params.iter().map(|p| (p.name().to_owned(), p.tensor().detach())).collect();
        Ok(safetensors::save(path, &values, &texts)?)
    }

    /// Loads all parameters from a `.safetensors`, `.npz`, `.h5` or `.keras` file. Returns the file's metadata, which
    /// only safetensors have. Names are resolved by [`Model::param_called`]. Nothing is changed unless everything
    /// matches.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] with every missing tensor, unknown tensor and wrong shape;
    /// [`LayersError::FileKind`], [`LayersError::Npz`], [`LayersError::Keras`] and [`LayersError::Tensor`] if the
    /// file cannot be read.
    pub fn load_weights(&self, path: &Path) -> Result<BTreeMap<String, String>> {
        let (values, metadata) = match path.extension().and_then(|e| e.to_str()) {
            Some("safetensors") => {
                let contents = safetensors::load(path)?;
                (contents.tensors, contents.metadata)
            }
            Some("npz") => (crate::npz::read(path)?, BTreeMap::new()),
            _ if crate::keras::has_keras_extension(path) => {
                (crate::keras::load_weights(path, &self.spec)?, BTreeMap::new())
            }
            _ => return Err(LayersError::FileKind { path: path.to_owned() }),
        };
        self.set_weights(&values, &path.display().to_string())?;
        Ok(metadata)
    }

    /// Sets all parameters. `origin` names the source of the values in errors. Names are resolved by
    /// [`Model::param_called`]. Nothing is changed unless everything matches.
    ///
    /// # Errors
    /// [`LayersError::Mismatch`] with every missing tensor, unknown tensor and wrong shape.
    pub fn set_weights(&self, values: &BTreeMap<String, Tensor>, origin: &str) -> Result<()> {
        let mut faults = Vec::new();
        let mut found: BTreeMap<&str, &Tensor> = BTreeMap::new();
        for (name, value) in values {
            match self.param_called(name) {
                None if is_step_counter(name, &self.spec, &self.graph) => {}
                None => faults.push(format!("{name:?} is no parameter")),
                Some(param) => {
                    if param.dims() != value.dims() {
                        let (got, want) = (value.dims(), param.dims());
                        faults.push(format!("{name:?} has shape {got:?}, want {want:?}"));
                    }
                    found.insert(param.name(), value);
                }
            }
        }
        let missing = self.params.iter().filter(|p| !found.contains_key(p.name()));
        faults.extend(missing.map(|p| format!("{:?} is missing", p.name())));
        if !faults.is_empty() {
            return Err(LayersError::Mismatch { origin: origin.to_owned(), faults: faults.join("; ") });
        }
        for (name, value) in found {
            self.params.set(name, value)?;
        }
        Ok(())
    }

    /// Resolves a name of a weight file: `layer.weight`, or `layer/weight` as in Keras. `QKeras` stores the weights
    /// of a normalization in the convolution it is folded into; they resolve to the normalization. Keras 3 calls the
    /// kernel of a depthwise convolution `kernel`; that resolves too.
    #[must_use]
    pub fn param_called(&self, name: &str) -> Option<&Param> {
        resolve(name, &self.spec, &self.graph, |own| self.params.find(own))
    }
}
