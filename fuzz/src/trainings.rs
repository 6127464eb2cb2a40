//! Configurations and checkpoints of trainings.

use std::path::Path;

use sha2::{Digest, Sha256};
use tinsmith_core_tensor::io::safetensors;
use tinsmith_data::{Dataset, Targets};
use tinsmith_foundation::{CancelToken, Grant, Seed, config};
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;
use tinsmith_trainer::{Checkpoints, Context, History, TrainConfig, TrainError, Undisturbed, fit_resumable};
use tinsmith_workshop::DesignConfig;

use crate::folders::with_file;

const NETWORK: &str =
    "layers: [{name: x, input: {shape: [2]}}, {name: n, batch_norm: {}}, {name: y, dense: {units: 2}}]";

/// Configurations of trainings.
pub(crate) fn training_yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(read) = config::from_str(text, "fuzz", TrainConfig::check) {
        let yaml = config::to_yaml("fuzz", &read).expect("a configuration that was read can be written");
        let again = config::from_str(&yaml, "fuzz", TrainConfig::check);
        assert!(again.is_ok_and(|again| again == read), "{yaml}");
    }
}

/// Configurations of designs.
pub(crate) fn design_yaml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = config::from_str(text, "fuzz", DesignConfig::check);
}

/// Checkpoints. The digest is made to fit, so that changes reach the checks behind it; an accepted checkpoint is
/// trained to the end.
pub(crate) fn checkpoint(data: &[u8]) {
    let _ = resume_from(data);
}

/// Returns the result of the training, or nothing if the input is no checkpoint.
fn resume_from(data: &[u8]) -> Option<Result<History, TrainError>> {
    let mut contents = safetensors::read(Path::new("fuzz"), data).ok()?;
    let text = contents.metadata.get("checkpoint")?;
    let mut hash = Sha256::new();
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
    for (name, tensor) in &contents.tensors {
        let values = tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).ok()?;
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(format!("{:?}", tensor.dims()));
        values.iter().for_each(|value| hash.update(value.to_le_bytes()));
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    contents.metadata.insert("sha256".to_owned(), digest);
    let mut result = None;
    with_file(&[], "checkpoint.safetensors", |path| {
        if safetensors::save(path, &contents.tensors, &contents.metadata).is_ok() {
            result = Some(resume(&Checkpoints::new(path, "fuzz")));
        }
    });
    result
}

/// Trains a network of eight weights for three epochs of three steps.
fn resume(checkpoints: &Checkpoints) -> Result<History, TrainError> {
    let spec = ModelSpec::parse(NETWORK, "fuzz").expect("invariant: the network is valid");
    let options = BuildOptions::default();
    let mut model = Model::build(&spec, Seed::new(1), &options).expect("invariant: the network builds");
    let samples: Vec<f32> = (0..24).map(|i| (i * 7 % 5) as f32).collect();
    let labels: Vec<u32> = (0..12).map(|i| i % 2).collect();
    let targets = Targets::Labels { labels: labels.into(), names: ["a".to_owned(), "b".to_owned()].into() };
    let data = Dataset::new("fuzz", vec![2], samples, targets).expect("invariant: the data are valid");
    let config = TrainConfig { epochs: 3, batch_size: 4, ..TrainConfig::default() };
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(2), grant: Grant::ONE, cancel: &cancel };
    fit_resumable(&mut model, &data, None, &config, &context, &mut Undisturbed, Some(checkpoints))
}

#[cfg(test)]
mod tests {
    use super::resume_from;

    #[test]
    fn the_seeds_are_checkpoints_of_the_training() {
        for (path, data) in crate::seeds("checkpoint").expect("seeds") {
            let history = resume_from(&data).expect("a checkpoint");
            let history = history.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert_eq!(history.epochs.len(), 3, "{}", path.display());
        }
    }
}
