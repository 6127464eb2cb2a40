//! A search finds the layer that needs its bits, for any number of workers.

use tinsmith_autoq::{AutoqConfig, BITS, QuantizationSearch, Ranges};
use tinsmith_cost::{Limits, Target};
use tinsmith_foundation::{CancelToken, Seed, Silent, WorkerScope};
use tinsmith_network::{ModelSpec, Op};
use tinsmith_study::{
    Decision, Evaluate, EvaluateError, Outcome, Params, Report, Request, Scores, SearchRun, Study,
};

use crate::network;

/// Scores the bits of the last layer only, in place of training.
struct LastMatters;

impl Evaluate<ModelSpec> for LastMatters {
    fn evaluate(
        &self,
        request: Request<'_, ModelSpec>,
        _: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        let last = request.candidate.layer("y").map(|l| &l.op);
        let Some(Op::Dense(dense)) = last else {
            return Err(EvaluateError::Failed { reason: "no layer y".to_owned() });
        };
        let bits = dense.kernel_quantizer.map_or(32, |q| q.bits());
        let score = 1.0 - 0.4 / f64::from(bits * bits);
        Ok(Outcome { scores: Scores::from([("val_accuracy".to_owned(), score)]), artifact: None })
    }
}

fn search() -> QuantizationSearch {
    let config = AutoqConfig { trials: 40, ..AutoqConfig::default() };
    let target = Target::load("mcu-packed").unwrap();
    QuantizationSearch::new(config, network(), Ranges::new(), Limits::default(), target).unwrap()
}

fn run(cores: usize) -> Study<Params> {
    let dir = tempfile::tempdir().unwrap();
    let run = SearchRun {
        journal: &dir.path().join("journal.log"),
        seed: Seed::new(1),
        evaluate: &LastMatters,
        scope: WorkerScope::new(cores),
        jobs: cores,
        progress: &Silent,
        cancel: CancelToken::new(),
    };
    search().run(&run).unwrap().0
}

#[test]
fn bits_go_where_they_matter() {
    let study = run(1);
    let best = search().best(&study).unwrap();
    let width = |name: &str| best.candidate().i64(name).unwrap();
    assert!(width("y.kernel") > width("h.kernel"), "{:?}", best.candidate());
    let widest = study.trials()[0].scores[BITS];
    assert!(best.scores[BITS] < 0.7 * widest, "{} of {widest} bits", best.scores[BITS]);
}

#[test]
fn workers_change_nothing() {
    let (one, two) = (run(1), run(2));
    assert_eq!(one.trials().len(), 40);
    assert!(one.trials().iter().zip(two.trials()).all(|(a, b)| a.is_same_result(b)));
}
