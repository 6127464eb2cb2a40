//! A trained network on rows of a data set: the shared input of evaluation and prediction.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tinsmith_data::{Dataset, Normalizer, TableOptions, TargetChoice, Targets};
use tinsmith_foundation::{config, files};
use tinsmith_layers::Model;
use tinsmith_trainer::Loss;

use crate::bench::{CLASSES, NORMALIZER, Session};
use crate::error::{Result, WorkshopError};
use crate::network::{load_network, require_fit};
use crate::stage::train::{RUN_RECORD, RecordedRun};

/// Rows of a data set that a network is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataPart {
    /// The test rows.
    #[default]
    Test,
    /// The training rows, those held out for validation included.
    Train,
    /// All rows, in the order of [`tinsmith_data::Splits::joined`].
    All,
}

/// A trained network and the rows it is applied to.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceInput {
    /// The network: a weight file that Tinsmith wrote, or a model that Keras saved.
    pub weights: PathBuf,
    /// Normalization of the samples. Default: `normalizer.yaml` beside the weights.
    pub normalizer: Option<PathBuf>,
    /// Name or path of the data set.
    pub data: String,
    /// Options for its targets and columns.
    pub table: TableOptions,
    /// The rows.
    pub part: DataPart,
}

/// A network and normalized rows that fit it.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) data: Dataset,
    /// Names of the classes in the order of the outputs, if known.
    pub(crate) classes: Option<Vec<String>>,
    /// The loss of the training, or the usual one for the targets.
    pub(crate) loss: Loss,
    pub(crate) normalizer: Option<PathBuf>,
    /// The targets of the data are those that the network was trained for.
    pub(crate) has_targets: bool,
}

impl Loaded {
    /// Returns an error if the targets of the data are not those of the network.
    pub(crate) fn require_targets(&self) -> Result<()> {
        if self.has_targets { Ok(()) } else { Err(other_targets(output_shape(&self.model), &self.data)) }
    }
}

impl InferenceInput {
    /// Loads network and rows. Data without known targets are accepted only if `table` says that the samples are all there
    /// is ([`TargetChoice::Samples`]).
    pub(crate) fn load(&self, session: &Session<'_>) -> Result<Loaded> {
        let model = load_network(&self.weights)?;
        let splits = session.load_data_and_warn(&self.data, &self.table)?;
        let data = match self.part {
            DataPart::Test => splits.test,
            DataPart::Train => splits.train,
            DataPart::All => splits.joined()?,
        };
        require_fit(&model, &data)?;
        let classes = self.classes()?;
        let data = match &classes {
            Some(names) => with_classes(data, names)?,
            None => data,
        };
        let recorded = self.recorded_loss()?;
        let output = output_shape(&model);
        let is_binary = output == [1] && data.class_count() == 2;
        // Without classes in the data a classifier has no targets, even if it puts out as many numbers as it takes.
        let is_unlabelled = classes.is_some() && matches!(data.targets(), Targets::Samples);
        let has_targets = !is_unlabelled && (output == data.target_shape() || is_binary);
        if !has_targets && self.table.targets != TargetChoice::Samples {
            return Err(other_targets(output, &data));
        }
        let usual = match Loss::for_targets(&data) {
            Loss::CrossEntropy { .. } if is_binary => Loss::BinaryCrossEntropy { label_smoothing: 0.0 },
            usual => usual,
        };
        // A recorded cross-entropy says nothing about values.
        let fits = |loss: &Loss| {
            !matches!(loss, Loss::CrossEntropy { .. })
                || matches!(usual, Loss::CrossEntropy { .. })
                || !has_targets
        };
        let loss = recorded.filter(fits).unwrap_or(usual);
        let (data, normalizer) = self.normalized(data, session)?;
        Ok(Loaded { model, data, classes, loss, normalizer, has_targets })
    }

    fn normalized(&self, data: Dataset, session: &Session<'_>) -> Result<(Dataset, Option<PathBuf>)> {
        let Some(path) = self.normalizer.clone().or_else(|| self.beside(NORMALIZER)) else {
            session.progress.warn(format!(
                "there is no {NORMALIZER} beside {}: samples are used as they are; name one by --normalizer",
                self.weights.display()
            ));
            return Ok((data, None));
        };
        let normalizer: Normalizer = config::load(&path, |_, _| {})?;
        Ok((normalizer.apply(&data)?, Some(path)))
    }

    /// Finds a file of the run that wrote the weights: in their folder, or above a folder `weights` of trials.
    fn beside(&self, name: &str) -> Option<PathBuf> {
        let folder = self.weights.parent()?;
        let above = folder.parent().filter(|_| folder.file_name().is_some_and(|folder| folder == "weights"));
        [Some(folder), above]
            .into_iter()
            .flatten()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    }

    fn classes(&self) -> Result<Option<Vec<String>>> {
        let Some(path) = self.beside(CLASSES) else { return Ok(None) };
        Ok(Some(files::read_text(&path)?.lines().map(str::to_owned).collect()))
    }

    fn recorded_loss(&self) -> Result<Option<Loss>> {
        let record = self.beside(RUN_RECORD);
        let folder = record.as_deref().and_then(Path::parent);
        Ok(folder.map(RecordedRun::load).transpose()?.map(|run| run.config.loss))
    }
}

/// Returns the shape of the first output.
fn output_shape(model: &Model) -> &[usize] {
    let graph = model.graph();
    graph.outputs.first().map_or(&[][..], |&i| graph.shape(i))
}

/// Numbers the classes of `data` as the training did: other data may have fewer classes, or another order.
fn with_classes(data: Dataset, names: &[String]) -> Result<Dataset> {
    let Some(labels) = data.labels() else { return Ok(data) };
    if data.class_names() == names {
        return Ok(data);
    }
    let number = |name: &String| names.iter().position(|other| other == name);
    let numbers: Vec<Option<usize>> = data.class_names().iter().map(number).collect();
    let renumbered = labels.iter().map(|&label| {
        numbers[label as usize].and_then(|n| u32::try_from(n).ok()).ok_or_else(|| WorkshopError::OtherClass {
            data: data.name().to_owned(),
            class: data.class_names()[label as usize].clone(),
            known: names.join(", "),
        })
    });
    let labels = renumbered.collect::<Result<Vec<u32>>>()?;
    Ok(data.with_targets(Targets::Labels { labels: labels.into(), names: names.into() })?)
}

fn other_targets(output: &[usize], data: &Dataset) -> WorkshopError {
    let shape = data.target_shape();
    let found = match data.targets() {
        Targets::Labels { .. } => format!("{} classes", data.class_count()),
        Targets::Arrays { .. } => format!("values of shape {shape:?}"),
        Targets::Samples => format!("samples of shape {shape:?} as targets"),
    };
    WorkshopError::OtherTargets { network: format!("{output:?}"), data: data.name().to_owned(), found }
}
