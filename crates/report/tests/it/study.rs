//! Charts of a study.

use std::collections::BTreeMap;
use std::sync::Arc;

use tinsmith_report::{Axis, Marks, Scatter, pareto_scatter};
use tinsmith_study::{Direction, Proposal, Trial, TrialState, TrialTimes};

fn trial(state: TrialState, flash: f64, accuracy: f64, violation: f64) -> Arc<Trial<()>> {
    let scores = [("flash".to_owned(), flash), ("accuracy".to_owned(), accuracy)];
    Arc::new(Trial {
        number: 0,
        proposal: Arc::new(Proposal::new(())),
        state,
        values: (state != TrialState::Failed && state != TrialState::Refused).then(|| vec![accuracy]),
        constraints: vec![violation],
        scores: scores.into_iter().filter(|(_, v)| v.is_finite()).collect(),
        reports: BTreeMap::new(),
        artifact: None,
        reason: None,
        times: TrialTimes::default(),
    })
}

fn picture(trials: &[Arc<Trial<()>>], better: Direction) -> Scatter {
    let (x, y) = (("flash", Axis::linear("flash")), ("accuracy", Axis::linear("accuracy")));
    pareto_scatter("study", trials, x, y, better)
}

#[test]
fn trials_are_told_apart_and_only_those_that_count_make_the_front() {
    let trials = [
        trial(TrialState::Complete, 3.0, 0.9, -1.0),
        trial(TrialState::Complete, 1.0, 0.8, -1.0),
        trial(TrialState::Complete, 2.0, 0.7, -1.0),
        trial(TrialState::Pruned, 1.0, 0.99, -1.0),
        trial(TrialState::Complete, 9.0, 0.99, 5.0),
        trial(TrialState::Failed, 1.0, 0.99, -1.0),
        trial(TrialState::Refused, 9.0, f64::NAN, 5.0),
    ];
    let chart = picture(&trials, Direction::Maximize);
    assert_eq!(chart.front, Some(vec![(1.0, 0.8), (3.0, 0.9)]));
    let found: Vec<(&str, usize, Marks)> =
        chart.series.iter().map(|s| (s.name.as_str(), s.points.len(), s.marks)).collect();
    let want = [
        ("trials", 3, Marks::Filled),
        ("stopped early", 1, Marks::Hollow),
        ("over a limit", 1, Marks::Hollow),
    ];
    assert_eq!(found, want);
    let least = picture(&trials, Direction::Minimize);
    assert_eq!(least.front, Some(vec![(1.0, 0.8), (2.0, 0.7)]));
}

#[test]
fn a_study_without_results_is_a_picture_too() {
    let chart = picture(&[], Direction::Maximize);
    assert!(chart.to_svg().unwrap().contains("no data"));
}
