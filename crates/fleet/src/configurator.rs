//! Model configurators: they decide the network, data and training of each run. The built-in one maps a class
//! to a folder and an architecture to a specification in it; users can provide their own.

use std::error::Error;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tinsmith_data::{Dataset, Parts, Targets};
use tinsmith_foundation::Seed;
use tinsmith_network::ModelSpec;
use tinsmith_study::Params;
use tinsmith_trainer::{Loss, OptimizerConfig, TrainConfig};

use crate::models::ModelName;
use crate::sweep;

/// Maximum number of training samples drawn from a generator; every epoch passes over them.
pub const TRAINING_LIMIT: usize = 90_000;
/// Maximum number of validation samples drawn from a generator.
pub const EVALUATION_LIMIT: usize = 10_000;

/// Description of the run that a configurator has to set up.
#[derive(Debug, Clone)]
pub struct ModelRequest<'a> {
    /// The model's group and its structure within the group.
    pub model: &'a ModelName,
    /// Requested epochs.
    pub epochs: u32,
    /// Requested samples per epoch; 0 means all rows.
    pub epoch_samples: u64,
    /// Number of networks of this model per array element.
    pub count: u64,
    /// Allow training to stop early once it stops improving.
    pub intelligent: bool,
    /// Folder for the weights.
    pub weights_path: &'a Path,
    /// Folder for the specification.
    pub architecture_path: &'a Path,
    /// Folder for the metrics.
    pub metrics_path: &'a Path,
    /// Index of the array element that this network belongs to, from 0.
    pub training_run: u64,
    /// Index of this network among all of the same model in the project, from 0.
    pub replicate: u64,
    /// Index of the run in the project, from 0.
    pub index: u64,
    /// The run's seed.
    pub seed: Seed,
    /// The point of the sweep, empty without one.
    pub values: &'a Params,
    /// Training configuration with the values of the sweep applied.
    pub training: &'a TrainConfig,
    /// Folder of the specifications copied when the run was planned.
    pub specs: &'a Path,
    /// The project's data.
    pub data: &'a Parts,
}

/// Samples with their targets.
pub enum Samples {
    /// A data set.
    Data(Dataset),
    /// Pairs of a sample and its target, drawn up to a limit or until there are no more.
    Generator {
        /// Shape of one sample, channels last.
        sample_shape: Vec<usize>,
        /// Shape of one target. With a cross-entropy the targets are one-hot.
        target_shape: Vec<usize>,
        /// The pairs.
        pairs: Box<dyn Iterator<Item = (Vec<f32>, Vec<f32>)>>,
    },
}

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data(data) => f.debug_tuple("Data").field(data).finish(),
            Self::Generator { sample_shape, target_shape, .. } => f
                .debug_struct("Generator")
                .field("sample_shape", sample_shape)
                .field("target_shape", target_shape)
                .finish_non_exhaustive(),
        }
    }
}

impl Samples {
    /// Converts the samples to a data set, drawing at most `limit` pairs.
    ///
    /// # Errors
    /// [`tinsmith_data::DataError`] if a pair does not have the declared shapes.
    pub(crate) fn draw(self, name: &str, limit: usize, loss: Loss) -> tinsmith_data::Result<Dataset> {
        let (sample_shape, target_shape, pairs) = match self {
            Self::Data(data) => return Ok(data),
            Self::Generator { sample_shape, target_shape, pairs } => (sample_shape, target_shape, pairs),
        };
        let (mut samples, mut targets) = (Vec::new(), Vec::new());
        for (sample, target) in pairs.take(limit) {
            samples.extend(sample);
            targets.extend(target);
        }
        let classes = target_shape.iter().product::<usize>();
        if matches!(loss, Loss::CrossEntropy { .. }) && classes > 0 {
            let hottest = |row: &[f32]| {
                let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                best.map_or(0, |(class, _)| class as u32)
            };
            let labels = targets.chunks(classes).map(hottest).collect();
            return Dataset::labelled(name, sample_shape, samples, labels, classes);
        }
        let targets = Targets::Arrays { shape: target_shape, values: targets.into() };
        Dataset::new(name, sample_shape, samples, targets)
    }
}

/// A configurator's answer: everything that a run needs.
#[derive(Debug)]
pub struct ModelSetup {
    /// Name of the network, also of its copies in the three folders below.
    pub name: String,
    /// Epochs to train.
    pub epochs: u32,
    /// Folder for a copy of the specification. The request's own folder means no copy.
    pub architecture_path: PathBuf,
    /// Folder for a copy of the weights.
    pub weights_path: PathBuf,
    /// Folder for a copy of the metrics.
    pub metrics_path: PathBuf,
    /// The network.
    pub model: ModelSpec,
    /// Training samples.
    pub training: Samples,
    /// Validation samples. `None` means that the training loss decides.
    pub evaluation: Option<Samples>,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// The loss to minimize.
    pub loss: Loss,
    /// Rest of the training configuration: batch size, schedule, early stopping, augmentation. Its epochs,
    /// optimizer and loss are replaced by the fields above.
    pub config: TrainConfig,
}

impl ModelRequest<'_> {
    /// Returns a setup that trains `model` as requested, on the project's data, without copies.
    #[must_use]
    pub fn setup(&self, model: ModelSpec) -> ModelSetup {
        ModelSetup {
            name: format!("{}-{}-{:06}", self.model.class, self.model.architecture, self.index),
            epochs: self.training.epochs,
            architecture_path: self.architecture_path.to_owned(),
            weights_path: self.weights_path.to_owned(),
            metrics_path: self.metrics_path.to_owned(),
            model,
            training: Samples::Data(self.data.train.clone()),
            evaluation: (!self.data.validation.is_empty())
                .then(|| Samples::Data(self.data.validation.clone())),
            optimizer: self.training.optimizer.clone(),
            loss: self.training.loss,
            config: self.training.clone(),
        }
    }
}

/// Sets up the runs of a fleet. Equal requests must get equal answers: a resumed run asks again.
pub trait ModelConfigurator: Send + Sync {
    /// Returns the setup for `request`.
    ///
    /// # Errors
    /// Any error that makes the run impossible. It is recorded as the reason of the run's failure.
    fn configure(&self, request: &ModelRequest<'_>) -> Result<ModelSetup, Box<dyn Error + Send + Sync>>;
}

/// Built-in configurator: class `c` and architecture `a` are the specification `c/a.yaml`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct SpecFolder;

impl SpecFolder {
    /// Returns the path of a model's specification below `folder`: `class/architecture.yaml`, `.yml` or
    /// `.json`. `None` if there is none.
    #[must_use]
    pub fn path(folder: &Path, model: &ModelName) -> Option<PathBuf> {
        let stem = folder.join(&model.class).join(&model.architecture);
        ["yaml", "yml", "json"].iter().map(|e| stem.with_extension(e)).find(|path| path.is_file())
    }
}

impl ModelConfigurator for SpecFolder {
    fn configure(&self, request: &ModelRequest<'_>) -> Result<ModelSetup, Box<dyn Error + Send + Sync>> {
        let path = Self::path(request.specs, request.model).ok_or_else(|| {
            format!(
                "there is no {}/{}.yaml in {}",
                request.model.class,
                request.model.architecture,
                request.specs.display()
            )
        })?;
        let spec = ModelSpec::load(&path)?;
        Ok(request.setup(sweep::with_model_values(&spec, request.values)?))
    }
}
