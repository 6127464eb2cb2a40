//! What a run trains: asked of a configurator, which is the built-in one (a class is a folder, an architecture a
//! specification in it) or the user's own.

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

/// Of a generator that yields training samples at most this many are drawn; every epoch goes over them.
pub const TRAINING_LIMIT: usize = 90_000;
/// Of a generator that yields samples to decide by at most this many are drawn.
pub const EVALUATION_LIMIT: usize = 10_000;

/// What a configurator is asked.
#[derive(Debug, Clone)]
pub struct ModelRequest<'a> {
    /// The model's group and its structure within the group.
    pub model: &'a ModelName,
    /// Epochs that were asked for.
    pub epochs: u32,
    /// Samples of one epoch that were asked for; 0 means all rows.
    pub epoch_samples: u64,
    /// How many networks one array element trains of this model.
    pub count: u64,
    /// Whether training may end once it no longer gets better.
    pub intelligent: bool,
    /// Folder for the weights.
    pub weights_path: &'a Path,
    /// Folder for the specification.
    pub architecture_path: &'a Path,
    /// Folder for the metrics.
    pub metrics_path: &'a Path,
    /// Which array element this network belongs to, from 0.
    pub training_run: u64,
    /// Which network of this model it is, from 0 and throughout the project.
    pub replicate: u64,
    /// Which run of the project it is, from 0.
    pub index: u64,
    /// The run's seed.
    pub seed: Seed,
    /// The point of the sweep, empty without one.
    pub values: &'a Params,
    /// The training's configuration with the values of the sweep.
    pub training: &'a TrainConfig,
    /// Where the specifications are that were copied when the run was planned.
    pub specs: &'a Path,
    /// The project's data.
    pub data: &'a Parts,
}

/// Samples with what a network is to answer.
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
    /// The samples as a data set.
    ///
    /// # Errors
    /// [`tinsmith_data::DataError`] where a pair does not have the shapes.
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

/// What a configurator answers: everything that a run needs.
#[derive(Debug)]
pub struct ModelSetup {
    /// The network's name, also that of its copies in the three folders below.
    pub name: String,
    /// Epochs to train.
    pub epochs: u32,
    /// Where a copy of the specification goes; the request's folder means that no copy is made.
    pub architecture_path: PathBuf,
    /// Where a copy of the weights goes.
    pub weights_path: PathBuf,
    /// Where a copy of the metrics goes.
    pub metrics_path: PathBuf,
    /// The network.
    pub model: ModelSpec,
    /// What it is trained on.
    pub training: Samples,
    /// What is decided by; none means by the training loss.
    pub evaluation: Option<Samples>,
    /// How weights are changed.
    pub optimizer: OptimizerConfig,
    /// What is minimized.
    pub loss: Loss,
    /// Everything else of the training: batch size, schedule, early stopping, augmentation. Its epochs, optimizer and loss
    /// give way to those above.
    pub config: TrainConfig,
}

impl ModelRequest<'_> {
    /// An answer that trains `model` as it was asked for, on the project's data, and copies nothing anywhere.
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
            evaluation: Some(Samples::Data(self.data.validation.clone())),
            optimizer: self.training.optimizer.clone(),
            loss: self.training.loss,
            config: self.training.clone(),
        }
    }
}

/// Says what a run trains. The same request must be answered alike: a run that is interrupted asks again.
pub trait ModelConfigurator: Send + Sync {
    /// The answer to `request`.
    ///
    /// # Errors
    /// Whatever makes the run impossible; it becomes the reason of its failure.
    fn configure(&self, request: &ModelRequest<'_>) -> Result<ModelSetup, Box<dyn Error + Send + Sync>>;
}

/// The built-in configurator: class `c` and architecture `a` are the specification `c/a.yaml`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct SpecFolder;

impl SpecFolder {
    /// The specification of a model below `folder`: `class/architecture.yaml`, or `.yml`, or `.json`.
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
