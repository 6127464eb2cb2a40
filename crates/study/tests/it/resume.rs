//! Equal trials for any number of workers, and after a kill at any instant.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tinsmith_foundation::{CancelToken, WorkerScope};
use tinsmith_study::journal::Journal;
use tinsmith_study::{
    Check, Decision, Ended, Evaluate, EvaluateError, MedianPruner, Objective, Outcome, Params, Report,
    Request, Runner, Study, StudyConfig, StudyError, Tpe, TpeConfig, Trial, TrialState,
};

use crate::closed_form::{Bowl, mixed_space};

/// Creates a folder in memory if possible: these tests sync thousands of times.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

type Trials = Vec<Arc<Trial<Params>>>;

fn config(trials: u64) -> StudyConfig {
    StudyConfig {
        name: "bowl".to_owned(),
        seed: 11,
        trials,
        window: 4,
        objectives: vec![Objective::minimize("loss"), Objective::maximize("size")],
        constraints: vec!["fits".to_owned()],
        ..StudyConfig::default()
    }
}

/// Runs the missing trials of the study at `path` with `jobs` workers.
fn run(config: StudyConfig, path: &Path, jobs: usize, longest_ms: u64) -> Trials {
    let space = mixed_space().unwrap();
    let proposer = Tpe::new(space.clone(), TpeConfig { startup: 5, ..TpeConfig::default() }).unwrap();
    let check = |params: &Params| {
        let fits = params.f64("rate").unwrap() - 0.05;
        Check { constraints: [("fits".to_owned(), fits)].into(), ..Check::default() }
    };
    let evaluate = Bowl { longest: Duration::from_millis(longest_ms) };
    let mut study = Study::open(config, path).unwrap();
    let runner = Runner {
        check: Some(&check),
        describe: Some(&|params| space.describe(params)),
        pruner: Some(&MedianPruner { trials: 3, warmup: 1 }),
        scope: WorkerScope::new(jobs),
        jobs,
        ..Runner::new(&proposer, &evaluate)
    };
    assert_eq!(study.run(&runner).unwrap(), Ended::Complete);
    study.trials().to_vec()
}

#[track_caller]
fn assert_same(left: &Trials, right: &Trials, what: &str) {
    assert_eq!(left.len(), right.len(), "{what}");
    for (a, b) in left.iter().zip(right) {
        assert!(a.is_same_result(b), "{what}: {a:?} is not {b:?}");
    }
}

#[test]
fn any_number_of_jobs_gives_the_same_trials() {
    let folder = scratch();
    let alone = run(config(40), &folder.path().join("1.log"), 1, 0);
    for state in [TrialState::Complete, TrialState::Pruned, TrialState::Refused, TrialState::Failed] {
        assert!(alone.iter().any(|t| t.state == state), "no trial is {state:?}");
    }
    for jobs in [2, 4] {
        let path = folder.path().join(format!("{jobs}.log"));
        assert_same(&alone, &run(config(40), &path, jobs, 8), &format!("{jobs} jobs"));
        // The journals agree line by line, except for times and the writer's name.
        let (one, other) =
            (Journal::load(&folder.path().join("1.log")).unwrap(), Journal::load(&path).unwrap());
        for (a, b) in one.studies[0].trials.iter().zip(&other.studies[0].trials) {
            assert_eq!((a.number, a.state, &a.params, &a.values), (b.number, b.state, &b.params, &b.values));
        }
        assert!(!folder.path().join(format!("{jobs}.log.ahead")).exists());
    }
}

#[test]
fn a_journal_cut_at_any_byte_resumes_to_the_same_trials() {
    let folder = scratch();
    let path = folder.path().join("whole.log");
    let whole = run(config(4), &path, 1, 0);
    let bytes = fs::read(&path).unwrap();
    for length in 0..=bytes.len() {
        let cut = folder.path().join("cut.log");
        fs::write(&cut, &bytes[..length]).unwrap();
        let resumed = run(config(4), &cut, 1, 0);
        assert_same(&whole, &resumed, &format!("cut at byte {length}"));
        if length % 16 != 0 {
            continue;
        }
        let reread: Study<Params> = Study::open(config(4), &cut).unwrap();
        assert_same(&whole, &reread.trials().to_vec(), &format!("reread after a cut at byte {length}"));
    }
}

/// Counts evaluations; cancels the run in the middle of a given one, and keeps trial `slow` from finishing
/// before that.
struct Interrupted {
    inner: Bowl,
    count: AtomicU64,
    cancel_at: u64,
    slow: u64,
    cancel: CancelToken,
}

impl Evaluate<Params> for Interrupted {
    fn evaluate(
        &self,
        request: Request<'_, Params>,
        report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        if self.count.fetch_add(1, Ordering::SeqCst) + 1 == self.cancel_at {
            self.cancel.cancel();
        }
        while request.trial == self.slow && !request.cancel.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        if request.cancel.is_cancelled() {
            return Err(EvaluateError::Cancelled);
        }
        self.inner.evaluate(request, report)
    }
}

#[test]
fn trials_that_finished_ahead_survive_and_are_not_run_again() {
    let folder = scratch();
    let space = mixed_space().unwrap();
    let proposer = Tpe::new(space.clone(), TpeConfig { startup: 5, ..TpeConfig::default() }).unwrap();
    let describe = |params: &Params| space.describe(params);
    let plain = |cancel_at, slow| {
        let inner = Bowl { longest: Duration::ZERO };
        Interrupted { inner, count: AtomicU64::new(0), cancel_at, slow, cancel: CancelToken::new() }
    };
    let start = |evaluate: &Interrupted, path: &Path, jobs| {
        let mut study = Study::open(config(12), path).unwrap();
        let runner = Runner {
            describe: Some(&describe),
            scope: WorkerScope::new(jobs),
            jobs,
            cancel: evaluate.cancel.clone(),
            ..Runner::new(&proposer, evaluate)
        };
        let ended = study.run(&runner).unwrap();
        (ended, study.trials().to_vec())
    };
    let (ended, whole) = start(&plain(u64::MAX, u64::MAX), &folder.path().join("whole.log"), 1);
    assert_eq!((ended, whole.len()), (Ended::Complete, 12));

    let path = folder.path().join("cut.log");
    // Trial 2 hangs; with a window of 4, trials 3, 4 and 5 finish before the sixth evaluation cancels.
    let first = plain(6, 2);
    let (ended, trials) = start(&first, &path, 2);
    assert_eq!((ended, trials.len()), (Ended::Cancelled, 2));
    let ahead = fs::read_to_string(folder.path().join("cut.log.ahead")).unwrap();
    let is_kept = |number: u64| ahead.contains(&format!("{{\"number\":{number},"));
    assert_eq!([2, 3, 4, 5].map(is_kept), [false, true, true, false], "{ahead}");

    // A kill while writing the second log loses only the torn line.
    let torn = folder.path().join("torn.log");
    fs::copy(&path, &torn).unwrap();
    fs::write(folder.path().join("torn.log.ahead"), &ahead[..ahead.len() - 3]).unwrap();
    for (path, again) in [(&path, 8), (&torn, 9)] {
        let second = plain(u64::MAX, u64::MAX);
        let (ended, trials) = start(&second, path, 2);
        assert_eq!(ended, Ended::Complete);
        assert_same(&whole, &trials, "resumed");
        assert_eq!(second.count.load(Ordering::SeqCst), again, "finished trials are not run again");
    }
}

#[test]
fn another_study_is_refused() {
    let folder = scratch();
    let path = folder.path().join("j.log");
    drop(Study::<Params>::open(config(3), &path).unwrap());
    for (other, word) in [
        (StudyConfig { seed: 12, ..config(3) }, "seed"),
        (StudyConfig { window: 5, ..config(3) }, "window"),
        (StudyConfig { constraints: vec!["other".to_owned()], ..config(3) }, "constraint_names"),
        (StudyConfig { objectives: vec![Objective::minimize("loss")], ..config(3) }, "directions"),
    ] {
        let error = Study::<Params>::open(other, &path).unwrap_err();
        assert!(matches!(error, StudyError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
    // Another name is another study in the same file.
    let second = StudyConfig { name: "second".to_owned(), seed: 5, ..config(4) };
    let trials = run(second.clone(), &path, 1, 0);
    assert_same(&trials, &Study::open(second, &path).unwrap().trials().to_vec(), "second study");
    assert_eq!(Journal::load(&path).unwrap().studies.len(), 2);
}

#[test]
fn a_time_limit_ends_between_trials_and_is_recorded() {
    let folder = scratch();
    let path = folder.path().join("j.log");
    let limited = StudyConfig { time_limit_s: Some(0.05), ..config(10_000) };
    let proposer = tinsmith_study::RandomSearch::new(mixed_space().unwrap());
    let evaluate = Bowl { longest: Duration::from_millis(10) };
    let mut study = Study::open(limited.clone(), &path).unwrap();
    assert_eq!(study.run(&Runner::new(&proposer, &evaluate)).unwrap(), Ended::TimeLimit);
    let count = study.trials().len();
    assert!(count > 0 && count < 10_000);
    let ended = Journal::load(&path).unwrap().studies[0].user_attributes["ended"].clone();
    assert_eq!(ended["trials"], count);
    // Resuming under the same limit adds nothing; a later limit continues.
    let mut again = Study::open(limited, &path).unwrap();
    assert_eq!(again.run(&Runner::new(&proposer, &evaluate)).unwrap(), Ended::TimeLimit);
    assert_eq!(again.trials().len(), count);
    let more = StudyConfig { time_limit_s: None, ..config(count as u64 + 2) };
    let mut more = Study::open(more, &path).unwrap();
    assert_eq!(more.run(&Runner::new(&proposer, &evaluate)).unwrap(), Ended::Complete);
    assert_eq!(more.trials().len(), count + 2);
}

struct Broken;

impl Evaluate<Params> for Broken {
    fn evaluate(
        &self,
        request: Request<'_, Params>,
        _report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        match request.trial {
            0 => Ok(Outcome { scores: [("loss".to_owned(), f64::NAN)].into(), artifact: None }),
            1 => Err(EvaluateError::Failed { reason: "it is odd".to_owned() }),
            _ => Err(EvaluateError::Broken { source: "no disk".into() }),
        }
    }
}

#[test]
fn failed_trials_are_recorded_and_broken_ones_end_the_study() {
    let folder = scratch();
    let path = folder.path().join("j.log");
    let proposer = tinsmith_study::RandomSearch::new(mixed_space().unwrap());
    let mut study = Study::open(config(5), &path).unwrap();
    let error = study.run(&Runner::new(&proposer, &Broken)).unwrap_err();
    assert_eq!(error.to_string(), "trial 2 stopped the study: no disk");
    let states: Vec<_> = study.trials().iter().map(|t| (t.state, t.values.is_some())).collect();
    assert_eq!(states, [(TrialState::Failed, false); 2]);
    assert_eq!(study.trials()[0].reason.as_deref(), Some("the evaluation gave no finite score `loss`"));
    assert_same(
        &study.trials().to_vec(),
        &Study::open(config(5), &path).unwrap().trials().to_vec(),
        "reread",
    );
}

/// Reads the journal from within an evaluation, as another process would; panics in trial `panics`.
struct Nosy<'a> {
    path: &'a Path,
    panics: u64,
}

impl Evaluate<Params> for Nosy<'_> {
    fn evaluate(
        &self,
        request: Request<'_, Params>,
        _report: &mut dyn FnMut(Report) -> Decision,
    ) -> Result<Outcome, EvaluateError> {
        assert_ne!(request.trial, self.panics, "as planned");
        let mut other: Study<Params> = Study::open(config(8), self.path).unwrap();
        let proposer = tinsmith_study::RandomSearch::new(mixed_space().unwrap());
        let error = other.run(&Runner::new(&proposer, self)).unwrap_err();
        assert!(matches!(error, StudyError::Busy { .. }), "{error}");
        // A note added by another program meanwhile neither harms nor is lost.
        let mut file = fs::OpenOptions::new().append(true).open(self.path).unwrap();
        let note = format!("n{}", request.trial);
        let line = serde_json::json!({"op_code": 2, "worker_id": "x", "study_id": 0, "user_attr": {note: 1}});
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
        Ok(Outcome { scores: [("loss".to_owned(), 1.0), ("size".to_owned(), 1.0)].into(), artifact: None })
    }
}

#[test]
fn others_may_read_and_annotate_but_not_run() {
    let folder = scratch();
    let path = folder.path().join("j.log");
    let proposer = tinsmith_study::RandomSearch::new(mixed_space().unwrap());
    let mut study = Study::open(config(8), &path).unwrap();
    study.run(&Runner::new(&proposer, &Nosy { path: &path, panics: u64::MAX })).unwrap();
    let journal = Journal::load(&path).unwrap();
    assert_eq!(journal.studies[0].trials.len(), 8);
    assert!((0..8).all(|i| journal.studies[0].user_attributes.contains_key(&format!("n{i}"))));
    // A study that was opened before continues from the journal's present content.
    let mut early: Study<Params> = Study::open(config(9), &path).unwrap();
    study = Study::open(config(9), &path).unwrap();
    study.run(&Runner::new(&proposer, &Nosy { path: &path, panics: u64::MAX })).unwrap();
    assert_eq!(
        early.run(&Runner::new(&proposer, &Nosy { path: &path, panics: 8 })).unwrap(),
        Ended::Complete
    );
    assert_same(&study.trials().to_vec(), &early.trials().to_vec(), "opened early");
}

#[test]
fn a_panic_reaches_the_caller_and_leaves_the_others_no_wait() {
    let folder = scratch();
    let path = folder.path().join("j.log");
    let proposer = tinsmith_study::RandomSearch::new(mixed_space().unwrap());
    let result = std::panic::catch_unwind(|| {
        let mut study = Study::open(config(30), &path).unwrap();
        let evaluate = Nosy { path: &path, panics: 2 };
        study.run(&Runner { scope: WorkerScope::new(2), jobs: 2, ..Runner::new(&proposer, &evaluate) })
    });
    assert!(result.is_err());
    let reopened: Study<Params> = Study::open(config(30), &path).unwrap();
    assert_eq!(reopened.trials().len(), 2);
}

#[test]
fn lost_and_repeated_lines_are_refused_by_number() {
    let dir = scratch();
    let path = dir.path().join("journal.log");
    run(config(6), &path, 1, 0);
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let first = lines.iter().position(|l| l.contains("\"op_code\":4")).unwrap();
    let open = |lines: &[&str]| {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        Study::<Params>::open(config(6), &path).map(drop)
    };
    open(&lines).unwrap();
    let mut lost = lines.clone();
    lost.remove(first + 2);
    let StudyError::Journal { line, reason, .. } = open(&lost).unwrap_err() else { panic!("want a line") };
    assert_eq!(line, first + 3);
    assert!(reason.starts_with("is trial 3, want trial 2"), "{reason}");
    let mut twice = lines.clone();
    twice.insert(first + 2, lines[first + 1]);
    let StudyError::Journal { line, reason, .. } = open(&twice).unwrap_err() else { panic!("want a line") };
    assert_eq!(line, first + 3);
    assert!(reason.starts_with("is trial 1 again"), "{reason}");
    // Journals from before numbers were recorded are accepted.
    let old: Vec<String> = (0..6)
        .fold(lines.iter().map(|l| (*l).to_owned()).collect(), |lines: Vec<String>, k| {
            lines.iter().map(|l| l.replace(&format!("\"number\":{k},"), "")).collect()
        });
    assert!(!old.concat().contains("\"number\""));
    open(&old.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
}

#[test]
fn a_message_cuts_the_line_that_it_quotes() {
    let line = format!(
        "{{\"op_code\":7,\"trial_id\":0,\"step\":0,\"intermediate_value\":1,\"state\":\"{}\"}}\n",
        "x".repeat(300_000)
    );
    let error = Journal::parse(&line, "j".as_ref()).unwrap_err().to_string();
    assert!(error.starts_with("j:1: ") && error.len() < 1000, "{} bytes", error.len());
}
