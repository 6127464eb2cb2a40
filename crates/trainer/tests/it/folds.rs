//! Cross-validation, in full and as a proxy.

use std::collections::BTreeMap;

use tinsmith_data::Normalization;
use tinsmith_foundation::{CancelToken, Grant, Seed};
use tinsmith_study::{Budget, Decision, Evaluate, Request};
use tinsmith_trainer::{Context, CrossValidation, KFold, Metric, Plan, Trainer, cross_validate};

use crate::fitting::{config, digits, spec};

fn judge(folds: &KFold, seed: u64) -> CrossValidation {
    let data = tinsmith_data::load("digits8x8").unwrap().train.share(0.3, Seed::new(1)).unwrap();
    let plan = Plan {
        spec: spec(),
        config: config(2),
        seed: Seed::new(seed),
        start: None,
        attributes: BTreeMap::new(),
    };
    let cancel = CancelToken::new();
    let context = Context { seed: Seed::new(0), grant: Grant::ONE, cancel: &cancel };
    cross_validate(&plan, &data, folds, &context).unwrap()
}

#[test]
fn folds_and_restarts_are_trained_and_averaged() {
    let folds = KFold { splits: 3, restarts: 2, normalization: Normalization::Range, ..KFold::default() };
    let found = judge(&folds, 1);
    let places: Vec<(usize, u32)> = found.folds.iter().map(|f| (f.fold, f.restart)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]);
    assert_eq!(found.folds.iter().step_by(2).map(|f| f.evaluation.rows).sum::<usize>(), 431);
    let accuracy = |i: usize| found.folds[i].evaluation.accuracy().unwrap();
    let (mean, deviation) = found.mean_and_deviation(Metric::Accuracy).unwrap();
    let expected = (0..6).map(accuracy).sum::<f64>() / 6.0;
    assert!((mean - expected).abs() < 1e-12 && deviation > 0.0, "{mean}, {expected}");
    assert!(mean > 0.3, "{mean}");
    assert!(found.mean_and_deviation(Metric::R2).is_none());
    assert_ne!(found.folds[0].history, found.folds[1].history);
    assert_eq!(judge(&folds, 1), found);
}

#[test]
fn a_proxy_takes_some_folds_and_some_data() {
    let folds = KFold { splits: 5, take: 2, share: 0.5, ..KFold::default() };
    let found = judge(&folds, 1);
    assert_eq!(found.folds.len(), 2);
    assert!(found.folds[0].fold < found.folds[1].fold);
    let chosen = |seed| judge(&folds, seed).folds.iter().map(|f| f.fold).collect::<Vec<_>>();
    assert!((2..6).any(|seed| chosen(seed) != chosen(1)));
    let error = KFold { take: 6, share: 0.0, ..folds }.validate().unwrap_err().to_string();
    assert!(error.contains("`take` is 6, want at most 5") && error.contains("`share` is 0"), "{error}");
}

#[test]
fn candidates_share_their_folds() {
    let (train, validation) = digits();
    let trainer = Trainer::new(train, validation, config(1)).with_folds(4, Seed::new(3)).unwrap();
    let (spec, cancel) = (spec(), CancelToken::new());
    let score = |trial, folds| {
        let request = Request {
            candidate: &spec,
            trial,
            budget: Budget { epochs: 2, folds, share: 1.0 },
            seed: Seed::new(5),
            grant: Grant::ONE,
            resume: None,
            inherit: None,
            cancel: &cancel,
        };
        trainer.evaluate(request, &mut |_| Decision::Continue).unwrap().scores
    };
    assert_eq!(score(1, 4), score(2, 4));
    assert_ne!(score(1, 1), score(1, 4));
}
