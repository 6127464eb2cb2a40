//! A search with a journal: an interrupted study resumes and ends with the same trials.
//!
//! Run with `cargo run --example 04_search_and_resume`.

#![expect(clippy::print_stdout, reason = "examples print their results")]

use tinsmith_foundation::WorkerScope;
use tinsmith_study::{
    Decision, Domain, Evaluate, EvaluateError, Objective, Outcome, Params, Report, Request, Runner, Scores,
    Space, Study, StudyConfig, Tpe, TpeConfig,
};

/// Objective to minimize; a formula stands in for training.
struct Valley;

impl Evaluate<Params> for Valley {
    fn evaluate(
        &self,
        request: Request<'_, Params>,
        _report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        let x = request.candidate.f64("x").unwrap_or(0.0);
        let y = request.candidate.f64("y").unwrap_or(0.0);
        let loss = (x - 1.0).powi(2) + 10.0 * (y + 0.5).powi(2);
        Ok(Outcome { scores: Scores::from([("loss".to_owned(), loss)]), artifact: None })
    }
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let journal = dir.path().join("journal.log");
    let space =
        Space::new([("x".to_owned(), Domain::float(-3.0, 3.0)), ("y".to_owned(), Domain::float(-3.0, 3.0))])?;
    let config = |trials| StudyConfig {
        name: "valley".to_owned(),
        trials,
        objectives: vec![Objective::minimize("loss")],
        ..StudyConfig::default()
    };
    let proposer = Tpe::new(space.clone(), TpeConfig::default())?;
    let describe = |params: &Params| space.describe(params);

    // Twenty trials, then the program ends. Later, forty more with two workers.
    for (trials, jobs) in [(20, 1), (60, 2)] {
        let mut study = Study::open(config(trials), &journal)?;
        let before = study.trials().len();
        let scope = WorkerScope::new(jobs);
        let runner = Runner { scope, jobs, describe: Some(&describe), ..Runner::new(&proposer, &Valley) };
        study.run(&runner)?;
        let best = study.best().and_then(|t| t.values.clone()).unwrap_or_default();
        println!("{before} trials before, {} now; best loss {best:?}", study.trials().len());
    }

    // An uninterrupted run has the same trials.
    let mut whole = Study::new(config(60))?;
    whole.run(&Runner { describe: Some(&describe), ..Runner::new(&proposer, &Valley) })?;
    let resumed = Study::<Params>::open(config(60), &journal)?;
    assert_eq!(resumed.trials().len(), 60);
    assert!(whole.trials().iter().zip(resumed.trials()).all(|(a, b)| a.is_same_result(b)));
    println!(
        "the journal opens in Optuna: {}",
        std::fs::read_to_string(&journal)?.lines().next().unwrap_or("")
    );
    Ok(())
}
