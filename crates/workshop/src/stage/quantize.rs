//! Stage 3: quantizers for the network that the search chose, starting from its weights.

use std::path::PathBuf;

use candle_core::{Device, Tensor};
use tinsmith_autoq::{AutoqConfig, QuantizationSearch, Ranges};
use tinsmith_data::Dataset;
use tinsmith_layers::Model;
use tinsmith_network::ModelSpec;
use tinsmith_study::{Ended, Params, SearchRun, Study};
use tinsmith_trainer::{TrainConfig, Trainer};

use crate::error::{Result, WorkshopError};
use crate::pipeline::Bench;
use crate::stage::search::Found;

/// Rows that activations are measured on.
const CALIBRATION_ROWS: usize = 512;

/// What the search found.
pub(crate) struct Quantized {
    pub(crate) study: Study<Params>,
    pub(crate) ended: Ended,
    pub(crate) spec: ModelSpec,
    pub(crate) weights: PathBuf,
}

/// Training on from good weights: a smaller rate does.
pub(crate) fn fine_tuning(mut config: TrainConfig) -> TrainConfig {
    config.optimizer.learning_rate *= 0.5;
    config
}

pub(crate) fn run(bench: &Bench<'_>, found: &Found) -> Result<Quantized> {
    const STAGE: &str = "quantize";
    let stage = &bench.config.quantize;
    let budget = stage.budget.unwrap_or_default();
    let config = AutoqConfig {
        trials: stage.trials.unwrap_or(bench.config.trials),
        budget,
        time_limit_s: bench.time_limit_s(0.3),
        bits: stage.bits.clone(),
        goal: stage.goal,
        ..AutoqConfig::default()
    };
    let model = tinsmith_layers::load_model(&found.weights)?;
    let ranges = activation_ranges(&model, &bench.train)?;
    let search =
        QuantizationSearch::new(config, found.spec.clone(), ranges, bench.limits, bench.target.clone())?;
    let training = fine_tuning(bench.config.training(budget.epochs));
    let trainer = Trainer::new(bench.train.clone(), bench.validation.clone(), training)
        .starting_from(&found.weights)
        .keeping_weights_in(bench.folder.quantize_weights());
    let (study, ended) = search.run(&SearchRun {
        journal: &bench.folder.quantize_journal(),
        seed: bench.seed.derive(STAGE, 0),
        evaluate: &trainer,
        scope: bench.scope,
        jobs: bench.scope.cores(),
        progress: bench.progress,
        cancel: bench.cancel.clone(),
    })?;
    let ended = bench.ended(ended)?;
    let none = |reason: &str| WorkshopError::NoResult { stage: STAGE, reason: reason.to_owned() };
    let best = search.best(&study).ok_or_else(|| none("no trial kept the budget and came to a score"))?;
    let spec = search.apply(best.candidate())?;
    let weights =
        best.artifact.as_ref().map(|a| a.path.clone()).ok_or_else(|| none("its weights were not kept"))?;
    Ok(Quantized { spec, weights, study, ended })
}

/// The largest magnitude of each layer's output on the first training rows: what quantizers of activations set their
/// range by.
///
/// # Errors
/// [`WorkshopError::Layers`] where the network does not take the samples.
pub fn activation_ranges(model: &Model, train: &Dataset) -> Result<Ranges> {
    let rows: Vec<usize> = (0..train.len().min(CALIBRATION_ROWS)).collect();
    let part = train.subset(&rows)?;
    let mut ranges = Ranges::new();
    let mut batches = part.ordered_batches(CALIBRATION_ROWS)?;
    while let Some(batch) = batches.next_batch() {
        let shape: Vec<usize> =
            std::iter::once(batch.len).chain(part.sample_shape().iter().copied()).collect();
        let samples = Tensor::from_slice(batch.samples, shape, &Device::Cpu)?;
        for (name, values) in model.activations(&samples)?.iter() {
            let values: Vec<f32> = values.flatten_all()?.to_vec1()?;
            let largest = values.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            ranges.insert(name.to_owned(), f64::from(largest));
        }
    }
    Ok(ranges)
}
