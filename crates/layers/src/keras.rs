//! Reads and writes the model and weight files of Keras, architecture and weights in one call.
//!
//! | file | read | written |
//! | --- | --- | --- |
//! | `.keras`: an archive with `config.json` and `model.weights.h5` | Keras 2.12 to 3 | as Keras 2.15 does |
//! | `.h5`, a whole model: attribute `model_config`, group `model_weights` | Keras 2 and 3 | as Keras 2.15 does |
//! | `.h5`, weights alone: `layer_names` and `weight_names` | Keras 2 and 3 | |
//! | `.weights.h5`: `layers/<class>/vars/<number>` | Keras 2.12 to 3 | as Keras 2.15 does |
//!
//! The file kind is detected from the first bytes, not from the name. Architectures are read by
//! [`tinsmith_keras::read_json`]; a setting that would change the result is an error that names the layer.
//! Optimizer state and training settings are ignored, and weights that the architecture lacks are refused before
//! they are read. All arrays together may have 64 times the size of the file, or 16 MiB ([`ExpansionBudget`]), whatever
//! its headers claim. Compressed HDF5 is supported.
//!
//! HDF5 is read and written by `hdf5-pure`, which has no C dependency. Written files follow the layouts of Keras 2.15
//! and `QKeras` 0.9.0 and read back as the same network. `scripts/check_with_keras.py` opens them with the original
//! Keras.
//!
//! ```no_run
//! use tinsmith_layers::{BuildOptions, keras};
//!
//! let model = keras::load("model.keras".as_ref(), &BuildOptions::default())?;
//! print!("{}", model.summary()?);
//! keras::save(&model, "copy.h5".as_ref())?;
//! # Ok::<(), tinsmith_layers::LayersError>(())
//! ```

mod archive;
mod checkpoint;
mod document;
mod hdf5;
mod legacy;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use tinsmith_foundation::{ExpansionBudget, FoundationError, Seed, files};
use tinsmith_network::ModelSpec;

use crate::error::{LayersError, Result};
use crate::model::{BuildOptions, Model, check_weight_count};
use document::Document;
use hdf5::Hdf5;

/// Reads architecture and weights.
///
/// # Errors
/// [`LayersError::Keras`] if the file is damaged or has no architecture, [`LayersError::Architecture`] with every
/// unsupported layer and setting, [`LayersError::Mismatch`] if architecture and weights do not match.
pub fn load(path: &Path, options: &BuildOptions) -> Result<Model> {
    load_bytes(&read(path)?, path, options)
}

/// Like [`load`], from the bytes of a file. `path` is used in messages only.
///
/// # Errors
/// Those of [`load`].
pub fn load_bytes(bytes: &[u8], path: &Path, options: &BuildOptions) -> Result<Model> {
    let contents = Contents::open(bytes).map_err(malformed(path))?;
    let (spec, document) = contents.architecture(path)?;
    let weights = contents.weights(&spec, &document).map_err(malformed(path))?;
    let origin = path.display().to_string();
    check_weight_count(&spec, &weights, &origin)?;
    let model = Model::build(&spec, Seed::new(0), options)?;
    model.set_weights(&weights, &origin)?;
    Ok(model)
}

/// Reads the architecture alone from a file that [`load`] accepts.
///
/// # Errors
/// Those of [`load`].
pub fn load_spec(path: &Path) -> Result<ModelSpec> {
    Ok(Contents::open(&read(path)?).map_err(malformed(path))?.architecture(path)?.0)
}

/// Returns true if the file name has an extension of Keras: `.keras`, `.h5` or `.hdf5`.
#[must_use]
pub fn has_keras_extension(path: &Path) -> bool {
    matches!(path.extension().and_then(|e| e.to_str()), Some("keras" | "h5" | "hdf5"))
}

/// Reads the weights by name, in the form accepted by [`Model::set_weights`]. Files without an architecture must hold
/// the layers that [`tinsmith_keras::write_json`] writes for `spec`.
///
/// # Errors
/// [`LayersError::Keras`] if the file is damaged or holds other layers, [`LayersError::Architecture`] if the
/// specification has layers without a Keras class and the file does not name its own.
pub fn load_weights(path: &Path, spec: &ModelSpec) -> Result<BTreeMap<String, Tensor>> {
    let contents = Contents::open(&read(path)?).map_err(malformed(path))?;
    let document = match &contents.config {
        Some(config) => Document::parse(config).map_err(malformed(path))?,
        None if contents.names_layers() => Document::default(),
        None => Document::write(spec)?,
    };
    contents.weights(spec, &document).map_err(malformed(path))
}

/// Writes architecture and weights: as `.keras`, in the legacy layout for `.h5` and `.hdf5`, or weights alone for
/// `.weights.h5`. The write is atomic. Equal networks give equal bytes.
///
/// # Errors
/// [`LayersError::Architecture`] naming each layer without a class in Keras and `QKeras`, [`LayersError::FileKind`]
/// for other extensions, [`LayersError::File`] if the file cannot be written.
pub fn save(model: &Model, path: &Path) -> Result<()> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let document = Document::write(model.spec())?;
    let bytes = if name.ends_with(".weights.h5") {
        checkpoint::write(model, &document)
    } else if name.ends_with(".keras") {
        checkpoint::write(model, &document).and_then(|weights| archive::write(&document, &weights))
    } else if has_keras_extension(path) {
        legacy::write(model, &document)
    } else {
        return Err(LayersError::FileKind { path: path.to_owned() });
    };
    Ok(files::write_atomic(path, &bytes.map_err(malformed(path))?)?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    Ok(std::fs::read(path).map_err(|source| FoundationError::Read { path: path.to_owned(), source })?)
}

fn malformed(path: &Path) -> impl Fn(String) -> LayersError + '_ {
    move |reason| LayersError::Keras { path: path.to_owned(), reason }
}

/// Contents of a file: the architecture as JSON, if present, and the HDF5 weights.
struct Contents {
    config: Option<String>,
    hdf5: Hdf5,
}

impl Contents {
    fn open(bytes: &[u8]) -> Result<Self, String> {
        let budget = ExpansionBudget::for_compressed(bytes.len() as u64);
        if bytes.starts_with(b"PK") {
            let archive = archive::read(bytes, &budget)?;
            return Ok(Self { config: Some(archive.config), hdf5: Hdf5::open(archive.weights, budget)? });
        }
        let hdf5 = Hdf5::open(bytes.to_vec(), budget)?;
        let config = hdf5.text("model_config")?;
        let version = hdf5.text("keras_version")?;
        let config = config.map(|config| document::with_version(&config, version.as_deref())).transpose()?;
        Ok(Self { config, hdf5 })
    }

    fn architecture(&self, path: &Path) -> Result<(ModelSpec, Document)> {
        let Some(config) = &self.config else {
            let reason = "holds weights without an architecture; load it into a network with `load_weights`"
                .to_owned();
            return Err(malformed(path)(reason));
        };
        let spec = tinsmith_keras::read_json(config, &path.display().to_string())?;
        Ok((spec, Document::parse(config).map_err(malformed(path))?))
    }

    fn weights(&self, spec: &ModelSpec, document: &Document) -> Result<BTreeMap<String, Tensor>, String> {
        match self.hdf5.layout() {
            hdf5::WeightLayout::Legacy(root) => legacy::read(&self.hdf5, &root, spec),
            hdf5::WeightLayout::Checkpoint(root) => checkpoint::read(&self.hdf5, &root, document, spec),
            hdf5::WeightLayout::Unknown => {
                Err("has neither `layer_names` nor a group `layers`, want weights of Keras".to_owned())
            }
        }
    }

    /// True if weights are grouped by layer name.
    fn names_layers(&self) -> bool {
        matches!(self.hdf5.layout(), hdf5::WeightLayout::Legacy(_))
    }
}
