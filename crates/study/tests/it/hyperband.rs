//! Hyperband against Keras Tuner, and under a window.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use tinsmith_foundation::WorkerScope;
use tinsmith_study::{
    Artifact, Decision, Domain, Ended, Evaluate, EvaluateError, Hyperband, HyperbandConfig, Objective,
    Outcome, Params, RandomSearch, Report, Request, Runner, Space, Study, StudyConfig, hyperband_brackets,
};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    max_epochs: u32,
    factor: u32,
    hyperband_iterations: u32,
    brackets: Vec<GoldenBracket>,
    serial_run: Vec<GoldenTrial>,
    total_trials: u64,
    total_new_epochs: u64,
}

#[derive(Deserialize)]
struct GoldenBracket {
    bracket: u32,
    rounds: Vec<GoldenRound>,
}

#[derive(Deserialize)]
struct GoldenRound {
    models: u64,
    epochs: u32,
}

#[derive(Deserialize)]
struct GoldenTrial {
    bracket: u64,
    round: u64,
    initial_epoch: u64,
    epochs: u32,
    parent: Option<String>,
    score: f64,
}

/// Gives trial k the k-th score; leaves behind how many epochs it has trained in all.
struct Scores(Vec<f64>);

impl Evaluate<Params> for Scores {
    fn evaluate(
        &self,
        request: Request<'_, Params>,
        _report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        let initial: u64 =
            request.resume.map_or(0, |artifact| artifact.path.to_string_lossy().parse().unwrap());
        let scores = BTreeMap::from([
            ("accuracy".to_owned(), self.0[request.trial as usize]),
            ("initial".to_owned(), initial as f64),
        ]);
        let path = request.budget.epochs.to_string().into();
        Ok(Outcome { scores, artifact: Some(Artifact { path }) })
    }
}

fn search(config: HyperbandConfig) -> Hyperband<RandomSearch> {
    let space = Space::new([("x", Domain::float(0.0, 1.0))]).unwrap();
    Hyperband::new(RandomSearch::new(space), config).unwrap()
}

#[test]
fn golden_brackets_and_serial_runs() {
    for file in crate::golden("tuner").iter().filter(|f| f.ends_with("hyperband.json")) {
        let golden: Golden = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        assert!(!golden.cases.is_empty());
        for case in &golden.cases {
            check(case);
        }
    }
}

#[track_caller]
fn check(case: &Case) {
    let what = format!("{} epochs by {}", case.max_epochs, case.factor);
    let brackets = hyperband_brackets(case.max_epochs, case.factor);
    let flat = |b: &[(u32, Vec<(u64, u32)>)]| b.to_vec();
    let ours: Vec<_> =
        brackets.iter().map(|b| (b.index, b.rounds.iter().map(|r| (r.models, r.epochs)).collect())).collect();
    let wanted: Vec<_> = case
        .brackets
        .iter()
        .map(|b| (b.bracket, b.rounds.iter().map(|r| (r.models, r.epochs)).collect()))
        .collect();
    assert_eq!(flat(&ours), flat(&wanted), "{what}");

    let hyperband = search(HyperbandConfig {
        max_epochs: case.max_epochs,
        factor: case.factor,
        iterations: case.hyperband_iterations,
        ..HyperbandConfig::default()
    });
    assert_eq!(hyperband.trials(), case.total_trials, "{what}");
    let mut study = Study::new(StudyConfig {
        trials: case.total_trials + 10,
        window: 1,
        objectives: vec![Objective::maximize("accuracy")],
        ..StudyConfig::default()
    })
    .unwrap();
    let evaluate = Scores(case.serial_run.iter().map(|t| t.score).collect());
    assert_eq!(study.run(&Runner::new(&hyperband, &evaluate)).unwrap(), Ended::Exhausted);
    assert_eq!(study.trials().len(), case.serial_run.len(), "{what}");
    let mut epochs = 0;
    for (trial, wanted) in study.trials().iter().zip(&case.serial_run) {
        let place = &trial.proposal.attributes["hyperband"];
        let initial = trial.scores["initial"] as u64;
        let budget = trial.proposal.budget.unwrap().epochs;
        let ours =
            (place["bracket"].as_u64(), place["round"].as_u64(), initial, budget, trial.proposal.resume);
        let parent = wanted.parent.as_ref().map(|p| p.parse().unwrap());
        let wanted = (Some(wanted.bracket), Some(wanted.round), wanted.initial_epoch, wanted.epochs, parent);
        assert_eq!(ours, wanted, "{what}, trial {}", trial.number);
        if let Some(parent) = trial.proposal.resume {
            assert_eq!(trial.candidate(), study.trials()[parent as usize].candidate());
        }
        epochs += u64::from(budget) - initial;
    }
    assert_eq!(epochs, case.total_new_epochs, "{what}");
}

#[test]
fn under_a_window_all_rounds_are_filled_whatever_the_jobs() {
    let hyperband = search(HyperbandConfig { max_epochs: 9, ..HyperbandConfig::default() });
    let evaluate = Scores((0..100).map(|i| f64::from(i * 37 % 101)).collect());
    let run = |jobs| {
        let config =
            StudyConfig { objectives: vec![Objective::maximize("accuracy")], ..StudyConfig::default() };
        let mut study = Study::new(config).unwrap();
        let runner = Runner { scope: WorkerScope::new(jobs), jobs, ..Runner::new(&hyperband, &evaluate) };
        assert_eq!(study.run(&runner).unwrap(), Ended::Exhausted);
        study.trials().to_vec()
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one.len() as u64, hyperband.trials());
    assert_eq!(one.len(), three.len());
    assert!(one.iter().zip(&three).all(|(a, b)| a.is_same_result(b)));
}
