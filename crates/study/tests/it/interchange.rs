//! Journals from and for Optuna.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tinsmith_study::journal::{Journal, JournalState};
use tinsmith_study::{
    Check, MedianPruner, Objective, Params, RandomSearch, Runner, Study, StudyConfig, TrialState,
};

use crate::closed_form::{Bowl, mixed_space};

#[derive(Deserialize)]
struct Expected {
    studies: Vec<ExpectedStudy>,
}

#[derive(Deserialize)]
struct ExpectedStudy {
    name: String,
    directions: Vec<u8>,
    user_attributes: BTreeMap<String, Value>,
    metric_names: Option<Vec<String>>,
    trials: Vec<ExpectedTrial>,
}

#[derive(Deserialize)]
struct ExpectedTrial {
    number: u64,
    state: u8,
    values: Option<Vec<Value>>,
    params: Params,
    user_attributes: BTreeMap<String, Value>,
    constraints: Vec<f64>,
    intermediate_values: BTreeMap<String, Value>,
    start: Option<String>,
}

/// Formats a number as the expectation file does: NaN and infinities as words.
fn plain(x: f64) -> Value {
    match x {
        x if x.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        x => x.into(),
    }
}

#[test]
fn golden_journal_by_optuna() {
    let files = crate::golden("optuna");
    let find = |name: &str| files.iter().find(|f| f.ends_with(name)).unwrap();
    let expected: Expected =
        serde_json::from_str(&fs::read_to_string(find("expected.json")).unwrap()).unwrap();
    let journal = Journal::load(find("journal.log")).unwrap();
    assert_eq!(journal.studies.len(), expected.studies.len());
    let mut states = Vec::new();
    for wanted in &expected.studies {
        let study = journal.study(&wanted.name).unwrap();
        assert_eq!(study.directions, wanted.directions);
        assert_eq!(study.user_attributes, wanted.user_attributes);
        let names = study.system_attributes.get("study:metric_names");
        assert_eq!(names.cloned(), wanted.metric_names.as_ref().map(|n| serde_json::json!(n)));
        assert_eq!(study.trials.len(), wanted.trials.len());
        for (trial, wanted) in study.trials.iter().zip(&wanted.trials) {
            assert_eq!((trial.number, trial.state as u8), (wanted.number, wanted.state));
            states.push(trial.state);
            let values = trial.values.as_ref().map(|v| v.iter().copied().map(plain).collect::<Vec<_>>());
            assert_eq!(values, wanted.values, "trial {}", trial.number);
            assert_eq!(trial.params, wanted.params);
            assert!(trial.params.0.iter().all(|(name, value)| trial.domains[name].contains(value)));
            assert_eq!(trial.user_attributes, wanted.user_attributes);
            assert_eq!(trial.constraints(), wanted.constraints);
            let reports: BTreeMap<String, Value> =
                trial.intermediate_values.iter().map(|(k, &v)| (k.to_string(), plain(v))).collect();
            assert_eq!(reports, wanted.intermediate_values);
            assert_eq!(trial.start.as_deref().map(|s| &s[..26]), wanted.start.as_deref());
        }
    }
    for state in [
        JournalState::Running,
        JournalState::Complete,
        JournalState::Pruned,
        JournalState::Failed,
        JournalState::Waiting,
    ] {
        assert!(states.contains(&state), "{state:?}");
    }
}

/// Folder for the files: kept if `TINSMITH_STUDY_KEEP` names one, for `tests/python/read_back.py`.
fn folder(temporary: &tempfile::TempDir) -> PathBuf {
    std::env::var_os("TINSMITH_STUDY_KEEP").map_or_else(|| temporary.path().to_owned(), PathBuf::from)
}

fn write_study(path: &Path, objectives: Vec<Objective>) -> Study<Params> {
    let space = mixed_space().unwrap();
    let config = StudyConfig {
        name: "bowl".to_owned(),
        trials: 30,
        objectives,
        constraints: vec!["fits".to_owned(), "size_limit".to_owned()],
        ..StudyConfig::default()
    };
    let check = |params: &Params| {
        let (rate, bits) = (params.f64("rate").unwrap(), params.f64("bits").unwrap());
        let constraints = [("fits".to_owned(), rate - 0.1), ("size_limit".to_owned(), bits - 7.5)].into();
        Check { constraints, ..Check::default() }
    };
    let mut study = Study::open(config, path).unwrap();
    let (proposer, evaluate) = (RandomSearch::new(space.clone()), Bowl { longest: Duration::ZERO });
    let runner = Runner {
        check: Some(&check),
        describe: Some(&|params| space.describe(params)),
        pruner: Some(&MedianPruner::default()),
        ..Runner::new(&proposer, &evaluate)
    };
    study.run(&runner).unwrap();
    study
}

#[test]
fn journals_are_written_for_others() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = folder(&temporary);
    let one = vec![Objective::minimize("loss")];
    let two = vec![Objective::minimize("loss"), Objective::maximize("size")];
    for (name, objectives) in [("one.log", one), ("two.log", two)] {
        let path = folder.join(name);
        let study = write_study(&path, objectives);
        let journal = Journal::load(&path).unwrap();
        let stored = journal.study("bowl").unwrap();
        assert_eq!(stored.user_attributes["constraint_names"], serde_json::json!(["fits", "size_limit"]));
        for (ours, stored) in study.trials().iter().zip(&stored.trials) {
            assert_eq!(ours.values, stored.values);
            assert_eq!(ours.candidate(), &stored.params);
            assert_eq!(ours.constraints, stored.constraints());
            let state = match ours.state {
                TrialState::Complete => JournalState::Complete,
                TrialState::Pruned | TrialState::Refused => JournalState::Pruned,
                TrialState::Failed => JournalState::Failed,
            };
            assert_eq!(stored.state, state);
        }
    }
}
