//! The tables of `tinsmith fleet`. Two projects are at hand: `open`, in which nothing is trained, and `ended`, in which two runs
//! are done and three failed.

use super::Difference::{Code, File, Special, Stderr, Stdout, Value};
use super::{Inputs, Ran, check, more_threads, row, start, with};

const PART: &str = "P/plan/0001/part.yaml";
const PROJECT: &str = "P/project.yaml";

#[test]
fn generate() {
    let base = [
        "--models",
        "c.a=1",
        "--models-folder",
        "@models",
        "--epochs",
        "1",
        "--no-copy",
        "--executor",
        "local",
        "--output",
        "P",
        "--run",
    ];
    check(
        &["fleet", "generate"],
        &base,
        &[
            row(&["--models", "c.a=2"], Value(PART, "/runs")),
            row(&["--models-folder", "@others"], File("P/plan/0001/specs/c/a.yaml")),
            row(&["--array", "2"], Value(PART, "/runs")),
            row(&["--epochs", "2"], Value(PART, "/models/0/epochs")),
            row(&["--epoch-samples", "100"], Value(PART, "/models/0/epoch_samples")),
            row(&["--intelligent"], Value(PART, "/models/0/intelligent")),
            row(&["--training", "@training.yaml"], Value(PART, "/training/batch_size")),
            row(&["--sweep", "@sweep.yaml"], Value(PART, "/runs")),
            row(&["--desc", "first"], Value(PROJECT, "/description")),
            row(&["--output", "Q"], File("Q/project.yaml")),
            row(
                &["--root"],
                Special(|inputs, base| {
                    let args: Vec<&str> = with(base, &["--root", "projects"]);
                    let args = args.into_iter().filter(|arg| !["--output", "P"].contains(arg));
                    let ran = Ran::of(inputs, &args.collect::<Vec<_>>()).ok();
                    assert_eq!(std::fs::read_dir(ran.path("projects")).unwrap().count(), 1);
                }),
            ),
            row(&["--data", "@table.csv"], Code(2, "takes samples of shape")),
            row(&["--validation", "0.4"], Value(PROJECT, "/data/validation")),
            row(&["--seed", "1"], Value(PROJECT, "/seed")),
            row(&["--gpu"], Value("P/slurm.yaml", "/gpus")),
            row(
                &["--run"],
                Special(|inputs, base| {
                    let result = "P/runs/000/000000/result.json";
                    assert!(Ran::of(inputs, base).ok().file(result).is_some());
                    let planned: Vec<&str> = base.iter().copied().filter(|arg| *arg != "--run").collect();
                    assert!(Ran::of(inputs, &planned).ok().file(result).is_none());
                }),
            ),
            row(&["--slurm", "@slurm.yaml"], Value("P/slurm.yaml", "/partition")),
            row(&["--template", "@batch.sh.j2"], File("P/batch.sh.j2")),
            row(
                &["--no-copy"],
                Special(|inputs, base| {
                    let copies: Vec<&str> = base.iter().copied().filter(|arg| *arg != "--no-copy").collect();
                    assert!(Ran::of(inputs, &copies).ok().path("P/bin").is_dir());
                    assert!(!Ran::of(inputs, base).ok().path("P/bin").is_dir());
                }),
            ),
            row(
                &["--executor"],
                Special(|inputs, base| {
                    // Without Slurm's programs in the path, jobs cannot be submitted.
                    let dir = tempfile::tempdir().unwrap();
                    let args = inputs.filled(&with(base, &["--executor", "slurm"]));
                    let output = start(dir.path(), &args).env("PATH", dir.path()).output().unwrap();
                    assert!(!output.status.success());
                }),
            ),
            row(
                &["--jobs"],
                Special(|inputs, base| {
                    more_threads(
                        inputs,
                        &with(&with(base, &["--models", "c.a=6"]), &["--epochs", "9"]),
                        "--jobs",
                    );
                }),
            ),
            row(&["--quiet"], Stderr),
        ],
    );
}

#[test]
fn add() {
    const ADDED: &str = "open/plan/0003/part.yaml";
    let base = ["--to", "open", "--models", "c.a=1", "--models-folder", "@models", "--epochs", "1"];
    check(
        &["fleet", "add"],
        &base,
        &[
            row(&["--to", "nowhere"], Code(2, "nowhere")),
            row(&["--models", "c.a=2"], Value(ADDED, "/runs")),
            row(&["--models-folder", "@nowhere"], Code(2, "nowhere")),
            row(&["--array", "2"], Value(ADDED, "/runs")),
            row(&["--epochs", "2"], Value(ADDED, "/models/0/epochs")),
            row(&["--epoch-samples", "100"], Value(ADDED, "/models/0/epoch_samples")),
            row(&["--intelligent"], Value(ADDED, "/models/0/intelligent")),
            row(&["--training", "@training.yaml"], Value(ADDED, "/training/batch_size")),
            row(&["--sweep", "@sweep.yaml"], Value(ADDED, "/runs")),
        ],
    );
}

#[test]
fn reading_commands() {
    check(&["fleet", "show"], &["ended"], &[row(&["--names"], Stdout)]);
    check(
        &["fleet", "status"],
        &["ended"],
        &[
            row(
                &["--only", "c.a"],
                Special(|inputs, base| {
                    let base = with(base, &["--all"]);
                    let all = Ran::of(inputs, &base).ok().output.stdout;
                    assert_ne!(Ran::of(inputs, &with(&base, &["--only", "d.a"])).ok().output.stdout, all);
                }),
            ),
            row(
                &["--runs", "0"],
                Special(|inputs, base| {
                    let base = with(base, &["--all"]);
                    let all = Ran::of(inputs, &base).ok().output.stdout;
                    assert_ne!(Ran::of(inputs, &with(&base, &["--runs", "0"])).ok().output.stdout, all);
                }),
            ),
            row(&["--all"], Stdout),
            row(
                &["--rows", "1"],
                Special(|inputs, base| {
                    let base = with(base, &["--all"]);
                    let all = Ran::of(inputs, &base).ok().output.stdout;
                    assert_ne!(Ran::of(inputs, &with(&base, &["--rows", "1"])).ok().output.stdout, all);
                }),
            ),
            row(&["--rebuild"], File("ended/index/000.jsonl")),
            row(
                &["--follow"],
                Special(|inputs, _| {
                    let dir = tempfile::tempdir().unwrap();
                    let open = inputs.path("open");
                    let mut child = start(dir.path(), &["fleet", "status", &open, "--follow", "30"])
                        .stdout(std::process::Stdio::null())
                        .spawn()
                        .unwrap();
                    std::thread::sleep(std::time::Duration::from_secs(1));
                    let is_waiting = child.try_wait().unwrap().is_none();
                    let _ = child.kill();
                    child.wait().unwrap();
                    assert!(is_waiting);
                }),
            ),
        ],
    );
    check(
        &["fleet", "compare"],
        &["ended"],
        &[row(&["--by", "class"], Stdout), row(&["--score", "loss"], Stdout)],
    );
    check(
        &["fleet", "export"],
        &["ended"],
        &[row(&["--format", "jsonl"], Stdout), row(&["--output", "table.csv"], File("table.csv"))],
    );
    check(
        &["fleet", "annotate"],
        &["ended", "odd"],
        &[row(
            &["--run", "1"],
            Special(|inputs, base| {
                let note = |args: &[&str]| {
                    let text = Ran::of(inputs, args).ok().file("ended/notes.jsonl").unwrap();
                    serde_json::from_slice::<serde_json::Value>(&text).unwrap()["run"].clone()
                };
                assert!(note(base).is_null());
                assert_eq!(note(&with(base, &["--run", "1"])), 1);
            }),
        )],
    );
    check(&["fleet", "collect"], &["ended"], &[]);
    check(
        &["fleet", "cancel"],
        &["open"],
        &[row(&["--only", "c.x"], Code(2, "no model c.x")), row(&["--runs", "99"], Code(2, "no run 99"))],
    );
}

#[test]
fn run() {
    const RESULT: &str = "open/runs/000/000002/result.json";
    check(
        &["fleet", "run"],
        &["open", "--runs", "0"],
        &[
            row(
                &["--only", "c.a"],
                Special(|inputs, _| {
                    let ran = Ran::of(inputs, &["fleet", "run", "open", "--only", "c.a", "--quiet"]);
                    assert!(
                        ran.path("open/runs/000/000000/result.json").is_file() && !ran.path(RESULT).is_file()
                    );
                }),
            ),
            row(&["--runs", "0-1"], Stdout),
            row(
                &["--jobs"],
                Special(|inputs, _| {
                    more_threads(inputs, &["fleet", "run", "open", "--runs", "0-1"], "--jobs");
                }),
            ),
            row(&["--quiet"], Stderr),
        ],
    );
}

/// `submit` and `retry` share these; a dry run prints the script.
fn submission(command: &'static str, project: &'static str, own: Vec<super::Row>) {
    let base = [project, "--executor", "slurm", "--dry-run"];
    let mut rows = vec![
        row(&["--only", "c.x"], Code(2, "no model c.x")),
        row(&["--runs", "99"], Code(2, "no run 99")),
        row(&["--partition", "long"], Stdout),
        row(&["--time", "7"], Stdout),
        row(&["--mem", "500M"], Stdout),
        row(&["--cpus", "3"], Stdout),
        row(&["--throttle", "2"], Stdout),
        row(&["--runs-per-task", "2"], Stdout),
        row(&["--no-requeue"], Stdout),
        row(
            &["--executor"],
            Special(|inputs, base| {
                let ran = Ran::of(
                    inputs,
                    &base.iter().copied().filter(|arg| *arg != "--dry-run").collect::<Vec<_>>(),
                );
                // Without Slurm the submission fails; in this process the runs are trained.
                let here: Vec<&str> =
                    with(base, &["--executor", "local"]).into_iter().filter(|a| *a != "--dry-run").collect();
                let local = Ran::of(inputs, &here);
                assert!(crate::stderr(&local.output) != crate::stderr(&ran.output));
            }),
        ),
        row(
            &["--dry-run"],
            Special(|inputs, base| {
                let ran = Ran::of(inputs, base).ok();
                assert!(crate::stdout(&ran.output).contains("# sbatch"));
                assert!(!ran.path(base[2]).join("submissions/0001/jobs.jsonl").exists());
            }),
        ),
    ];
    rows.extend(own);
    check(&["fleet", command], &base, &rows);
}

/// Trains here, and compares the threads or the progress.
fn trained_here(inputs: &Inputs, base: &[&str], option: &str) {
    let here = with(base, &["--executor", "local"]);
    let here: Vec<&str> = here.into_iter().filter(|arg| *arg != "--dry-run").collect();
    if option == "--jobs" {
        return more_threads(inputs, &here, option);
    }
    let loud = Ran::of(inputs, &here);
    let quiet = Ran::of(inputs, &with(&here, &["--quiet"]));
    assert!(loud.output.stderr.len() > quiet.output.stderr.len());
}

#[test]
fn submit() {
    submission(
        "submit",
        "open",
        vec![
            row(&["--jobs"], Special(|inputs, base| trained_here(inputs, base, "--jobs"))),
            row(&["--quiet"], Special(|inputs, base| trained_here(inputs, base, "--quiet"))),
            row(&["--stop-before-limit"], Special(stop_before_limit)),
        ],
    );
}

/// The setting is stored with the submission, whose task reads it.
fn stop_before_limit(inputs: &Inputs, base: &[&str]) {
    let refused = Ran::of(inputs, &with(base, &["--stop-before-limit", "x"]));
    assert_eq!(refused.output.status.code(), Some(2));
    assert!(Ran::of(inputs, &with(base, &["--stop-before-limit", "9"])).output.status.success());
}

#[test]
fn retry() {
    submission(
        "retry",
        "ended",
        vec![
            row(&["--jobs"], Special(|inputs, base| trained_here(inputs, base, "--quiet"))),
            row(&["--quiet"], Special(|inputs, base| trained_here(inputs, base, "--quiet"))),
            row(&["--stop-before-limit"], Special(stop_before_limit)),
            row(&["--cause", "time-out"], Stdout),
            row(
                &["--new-seed"],
                Special(|inputs, _| {
                    let retry = ["fleet", "retry", "ended", "--executor", "local", "--quiet"];
                    assert!(!Ran::of(inputs, &retry).path("ended/seeds.jsonl").exists());
                    assert!(
                        Ran::of(inputs, &with(&retry, &["--new-seed"])).path("ended/seeds.jsonl").is_file()
                    );
                }),
            ),
        ],
    );
}
