//! What the proposers find.

use std::time::Duration;

use tinsmith_foundation::Rng;
use tinsmith_study::{
    Breed, Check, Decision, Domain, Ended, Evaluate, EvaluateError, Evolution, EvolutionConfig, GridSearch,
    Objective, Outcome, ParamValue, Params, Proposer, RandomSearch, Report, Request, Runner, Sequence, Space,
    Study, StudyConfig, Survival, Tpe, TpeConfig, TrialState,
};

use crate::closed_form::{Bowl, bowl, mixed_space};

fn best_of(proposer: &dyn Proposer<Params>, seed: u64) -> f64 {
    let config = StudyConfig { seed, trials: 80, window: 4, ..StudyConfig::default() };
    let mut study = Study::new(config).unwrap();
    study.run(&Runner::new(proposer, &Bowl { longest: Duration::ZERO })).unwrap();
    bowl(study.best().unwrap().candidate())
}

#[test]
fn tpe_beats_random_search() {
    let space = mixed_space().unwrap();
    let random = RandomSearch::new(space.clone());
    let tpe = Tpe::new(space, TpeConfig::default()).unwrap();
    let seeds = 0..8;
    let mean = |p: &dyn Proposer<Params>| seeds.clone().map(|s| best_of(p, s)).sum::<f64>() / 8.0;
    let (random, tpe) = (mean(&random), mean(&tpe));
    assert!(tpe < 0.4 * random, "tpe {tpe}, random {random}");
}

#[test]
fn a_grid_is_tried_whole_and_once() {
    let space = Space::new([
        ("a", Domain::categorical([ParamValue::Null, ParamValue::Bool(true), ParamValue::Float(2.5)])),
        ("b", Domain::Int(tinsmith_study::IntDomain { low: 1, high: 8, log: false, step: 3 })),
        ("c", Domain::float(0.0, 1.0)),
    ])
    .unwrap();
    let grid = GridSearch::new(space.clone(), 2).unwrap();
    assert_eq!(grid.len(), 3 * 3 * 2);
    let mut study = Study::new(StudyConfig { trials: 100, ..StudyConfig::default() }).unwrap();
    let ended = study.run(&Runner::new(&grid, &Bowl { longest: Duration::ZERO })).unwrap();
    assert_eq!((ended, study.trials().len()), (Ended::Exhausted, 18));
    for (i, trial) in study.trials().iter().enumerate() {
        assert!(space.contains(trial.candidate()), "{:?}", trial.candidate());
        let before = &study.trials()[..i];
        assert!(before.iter().all(|t| t.candidate() != trial.candidate()));
    }
    let last = study.trials()[17].candidate();
    assert_eq!((last.i64("b"), last.f64("c")), (Some(7), Some(1.0)));
}

/// Bit strings: more ones are better, and cost more.
struct Bits;

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl Breed<Vec<bool>> for Bits {
    fn random(&self, rng: &mut Rng) -> Result<Vec<bool>, Fault> {
        Ok((0..40).map(|_| rng.chance(0.5)).collect())
    }

    fn mutate(&self, parent: &Vec<bool>, rng: &mut Rng) -> Result<Vec<bool>, Fault> {
        let mut child = parent.clone();
        let i = rng.index(child.len());
        child[i] = !child[i];
        Ok(child)
    }

    fn cross(&self, a: &Vec<bool>, b: &Vec<bool>, rng: &mut Rng) -> Result<Option<Vec<bool>>, Fault> {
        Ok(Some(a.iter().zip(b).map(|(&x, &y)| if rng.chance(0.5) { x } else { y }).collect()))
    }
}

fn ones(bits: &[bool]) -> f64 {
    bits.iter().filter(|&&b| b).count() as f64
}

impl Evaluate<Vec<bool>> for Bits {
    fn evaluate(
        &self,
        request: Request<'_, Vec<bool>>,
        _report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        Ok(Outcome { scores: [("ones".to_owned(), ones(request.candidate))].into(), artifact: None })
    }
}

#[test]
fn evolution_climbs_within_constraints() {
    for survival in [Survival::Elitist, Survival::Aging] {
        let config = EvolutionConfig { survival, ..EvolutionConfig::default() };
        let evolution = Evolution::new(Bits, config).unwrap();
        let study = StudyConfig {
            trials: 400,
            objectives: vec![Objective::maximize("ones")],
            constraints: vec!["tail".to_owned()],
            ..StudyConfig::default()
        };
        let mut study = Study::new(study).unwrap();
        // The last ten bits must be zero: a random string almost never fits.
        let check = |bits: &Vec<bool>| {
            let constraints = [("tail".to_owned(), ones(&bits[30..]))].into();
            Check { constraints, ..Check::default() }
        };
        study.run(&Runner { check: Some(&check), ..Runner::new(&evolution, &Bits) }).unwrap();
        let best = study.best().unwrap();
        assert!(best.values.as_ref().unwrap()[0] >= 26.0, "{survival:?}: {:?}", best.values);
        assert!(best.candidate()[30..].iter().all(|b| !b));
        assert!(study.trials().iter().any(|t| t.state == TrialState::Refused && t.values.is_none()));
        let inherited =
            study.trials().iter().filter(|t| t.proposal.attributes.contains_key("parents")).count();
        assert!(inherited > 300);
    }
}

#[test]
fn evolution_spreads_over_a_pareto_front() {
    let evolution = Evolution::new(Bits, EvolutionConfig::default()).unwrap();
    let config = StudyConfig {
        trials: 300,
        objectives: vec![Objective::maximize("ones"), Objective::minimize("head")],
        ..StudyConfig::default()
    };
    let mut study = Study::new(config).unwrap();
    let check = |bits: &Vec<bool>| Check {
        measures: [("head".to_owned(), ones(&bits[..10]) + 0.1 * ones(bits))].into(),
        ..Check::default()
    };
    study.run(&Runner { check: Some(&check), ..Runner::new(&evolution, &Bits) }).unwrap();
    let front = study.pareto_front();
    assert!(front.len() >= 4, "{}", front.len());
    for a in &front {
        for b in &front {
            let (a, b) = (a.values.as_ref().unwrap(), b.values.as_ref().unwrap());
            assert!(!(a[0] >= b[0] && a[1] <= b[1]) || (a[0] <= b[0] && a[1] >= b[1]));
        }
    }
}

#[test]
fn a_sequence_is_tried_in_order() {
    let list: Vec<Vec<bool>> = (0..5).map(|i| vec![true; i]).collect();
    let mut study =
        Study::new(StudyConfig { objectives: vec![Objective::maximize("ones")], ..StudyConfig::default() })
            .unwrap();
    assert_eq!(study.run(&Runner::new(&Sequence::new(list), &Bits)).unwrap(), Ended::Exhausted);
    assert_eq!(study.best().unwrap().number, 4);
}
