//! The folder of a run.

use std::collections::BTreeMap;

use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_tensorboard::read_events;
use tinsmith_trainer::run::load_model;
use tinsmith_trainer::{Context, OptimizerConfig, Plan, Rule, Run, TrainConfig, TrainError, Undisturbed};

use crate::fitting::{config, digits, spec};

fn plan(config: TrainConfig) -> Plan {
    Plan {
        spec: spec(),
        config,
        seed: Seed::new(1),
        start: None,
        attributes: BTreeMap::from([("batch".to_owned(), 7.into())]),
    }
}

#[test]
fn tensorboard_gets_scalars_histograms_and_hyper_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let (train, validation) = digits();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(0), grant: Grant::ONE, cancel: &cancel };
    let run = Run::new(dir.path());
    run.train(&plan(config(2)), &train, Some(&validation), &context, &mut Undisturbed).unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().contains("tfevents"))
        .collect();
    assert_eq!(files.len(), 1);
    let events = read_events(&files[0]).unwrap();
    let values = events.iter().filter_map(|e| e.summary.as_ref()).flat_map(|s| &s.value);
    let mut tags: BTreeMap<(String, String), usize> = BTreeMap::new();
    for value in values {
        let plugin = value.metadata.as_ref().unwrap().plugin_data.as_ref().unwrap().plugin_name.clone();
        *tags.entry((plugin, value.tag.clone())).or_default() += 1;
    }
    let count =
        |plugin: &str, tag: &str| tags.get(&(plugin.to_owned(), tag.to_owned())).copied().unwrap_or(0);
    for tag in ["loss", "val_loss", "val_accuracy", "learning_rate"] {
        assert_eq!(count("scalars", tag), 2, "{tag}: {tags:?}");
    }
    for tag in ["h/kernel", "h/bias", "y/kernel", "y/bias"] {
        assert_eq!(count("histograms", tag), 2, "{tag}: {tags:?}");
    }
    assert_eq!(count("hparams", "_hparams_/session_start_info"), 1);
    assert_eq!(count("hparams", "_hparams_/session_end_info"), 1);
}

#[test]
fn a_loss_beyond_bounds_leaves_a_reason_and_the_last_good_weights() {
    let dir = tempfile::tempdir().unwrap();
    let (train, _) = digits();
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(0), grant: Grant::ONE, cancel: &cancel };
    let rule = Rule::Sgd { momentum: 0.0, nesterov: false };
    let optimizer = OptimizerConfig { rule, learning_rate: 1e30, ..OptimizerConfig::default() };
    let run = Run::new(dir.path());
    let plan = plan(TrainConfig { optimizer, ..config(3) });
    let error = run.train(&plan, &train, None, &context, &mut Undisturbed).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { epoch: 1, .. }), "{error}");
    assert!(run.result().unwrap().is_none());
    let failure = run.failure().unwrap().unwrap();
    assert_eq!((failure.epoch, failure.layer.as_deref()), (1, Some("y")));
    assert!(failure.reason.contains("first in layer `y`; a lower learning rate"), "{}", failure.reason);
    let model = load_model(&dir.path().join("last-good.safetensors")).unwrap();
    assert!(model.params().iter().all(|p| p.values().unwrap().iter().all(|v| v.is_finite())));
}
