//! Searches keep their limits, improve, and do not depend on the number of workers.

use std::path::Path;

use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::{CancelToken, Seed, Silent, WorkerScope};
use tinsmith_nas::{ArchitectureSearch, Architectures, NasError, SearchConfig};
use tinsmith_network::{ModelSpec, Op};
use tinsmith_study::{
    Breed, Decision, Evaluate, EvaluateError, Outcome, Report, Request, Scores, SearchRun, Study, TrialState,
};

use crate::network;

/// Scores networks by their number of filters, in place of training.
struct Filters;

impl Evaluate<ModelSpec> for Filters {
    fn evaluate(
        &self,
        request: Request<'_, ModelSpec>,
        _: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        let filters: usize = request
            .candidate
            .layers
            .iter()
            .map(|l| match &l.op {
                Op::Conv2d(c) => c.filters,
                Op::SeparableConv2d(c) => c.filters,
                _ => 0,
            })
            .sum();
        let score = 1.0 - 1.0 / (1.0 + filters as f64);
        Ok(Outcome { scores: Scores::from([("val_accuracy".to_owned(), score)]), artifact: None })
    }
}

fn limits() -> Limits {
    Limits { flash: Some(6000), ram: Some(2400), ..Limits::default() }
}

fn search(journal: &Path, cores: usize) -> Study<ModelSpec> {
    let config = SearchConfig { trials: 40, ..SearchConfig::default() };
    let target = Target::load("mcu-int8").unwrap();
    let search = ArchitectureSearch::new(config, vec![network()], limits(), target).unwrap();
    let run = SearchRun {
        journal,
        seed: Seed::new(3),
        evaluate: &Filters,
        scope: WorkerScope::new(cores),
        jobs: cores,
        progress: &Silent,
        cancel: CancelToken::new(),
    };
    search.run(&run).unwrap().0
}

#[test]
fn limits_are_kept_and_scores_rise() {
    let dir = tempfile::tempdir().unwrap();
    let study = search(&dir.path().join("journal.log"), 1);
    let target = Target::load("mcu-int8").unwrap();
    let mut best: f64 = 0.0;
    for trial in study.trials() {
        let violations = limits().check(&Cost::of(trial.candidate(), &target).unwrap());
        assert_eq!(violations.is_empty(), trial.state != TrialState::Refused, "{violations:?}");
        best = best.max(trial.scores.get("val_accuracy").copied().unwrap_or(0.0));
    }
    let start = study.trials()[0].scores["val_accuracy"];
    assert!(best > start, "{best} is not above {start}");
}

#[test]
fn workers_and_interruptions_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let one = search(&dir.path().join("one.log"), 1);
    let two = search(&dir.path().join("two.log"), 2);
    let again = search(&dir.path().join("one.log"), 2);
    for other in [&two, &again] {
        assert_eq!(other.trials().len(), 40);
        assert!(one.trials().iter().zip(other.trials()).all(|(a, b)| a.is_same_result(b)));
    }
}

#[test]
fn an_impossible_budget_names_what_binds() {
    let limits = Limits { flash: Some(100), ..Limits::default() };
    let target = Target::load("mcu-int8").unwrap();
    let error =
        ArchitectureSearch::new(SearchConfig::default(), vec![network()], limits, target).unwrap_err();
    assert!(matches!(error, NasError::NothingFits { given: 1, .. }));
    assert!(error.to_string().contains("flash"), "{error}");
}

/// Joining parents of unlike heads would change the output's shape.
#[test]
fn children_of_two_networks_keep_the_output() {
    let convolutional = ModelSpec::parse(
        "layers:
           - {name: x, input: {shape: [12, 12, 1]}}
           - {name: c, conv2d: {filters: 4, kernel: 3, padding: same, activation: relu}}
           - {name: d, conv2d: {filters: 5, kernel: 3, padding: same, activation: relu}}
           - {name: f, flatten: {}}
           - {name: y, dense: {units: 5}}",
        "convolutional",
    )
    .unwrap();
    let target = Target::load("mcu-int8").unwrap();
    let breed = Architectures::new(vec![network()], 1, Limits::default(), target);
    let mut children = 0;
    for seed in 0..200 {
        let mut rng = Seed::new(seed).rng();
        for (a, b) in [(&network(), &convolutional), (&convolutional, &network())] {
            if let Some(child) = breed.cross(a, b, &mut rng).unwrap() {
                let graph = child.graph().unwrap();
                assert_eq!(graph.shape(graph.outputs[0]), [5], "seed {seed}");
                children += 1;
            }
        }
    }
    assert!(children > 100, "{children}");
}
