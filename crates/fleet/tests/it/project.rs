//! Projects through the commands: planned, trained, interrupted, failed, retried, compared.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use tinsmith_fleet::{Exit, Fleet, FleetCommand, FleetError, Outcome, Project, State, Status, Surroundings};
use tinsmith_foundation::Silent;

/// A network that does not fit the digits.
const UNFIT: &str =
    "layers: [{name: x, input: {shape: [8, 4, 1]}}, {name: f, flatten: {}}, {name: y, dense: {units: 10}}]";

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: FleetCommand,
}

/// Runs a command independently of the working directory.
pub(crate) fn fleet(args: &[&str]) -> Result<(Exit, String), FleetError> {
    let all = std::iter::once("fleet").chain(args.iter().copied());
    let parsed = Args::try_parse_from(all).unwrap();
    let mut out = Vec::new();
    let mut surroundings = Surroundings {
        out: &mut out,
        progress: &Silent,
        program: None,
        command: args.iter().map(|a| (*a).to_owned()).collect(),
        data_folder: None,
    };
    let exit = Fleet::TINSMITH.execute(&parsed.command, &mut surroundings)?;
    Ok((exit, String::from_utf8(out).unwrap()))
}

pub(crate) fn ok(args: &[&str]) -> String {
    let (exit, text) = fleet(args).unwrap();
    assert_eq!(exit, Exit::SUCCESS, "{args:?}: {text}");
    text
}

/// A folder with two classes of small networks.
pub(crate) fn models(dir: &Path) -> PathBuf {
    let folder = dir.join("models");
    for (path, units) in [("classifier/small", 6), ("classifier/wide", 12), ("flat/none", 0)] {
        let hidden = if units > 0 {
            format!("  - {{name: h, dense: {{units: {units}, activation: relu}}}}\n")
        } else {
            String::new()
        };
        let text = format!(
            "layers:\n  - {{name: x, input: {{shape: [8, 8, 1]}}}}\n  - {{name: f, flatten: {{}}}}\n{hidden}  - {{name: y, dense: {{units: 10}}}}\n"
        );
        let path = folder.join(path).with_extension("yaml");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn generate(dir: &Path, name: &str, list: &str, more: &[&str]) -> PathBuf {
    let project = dir.join(name);
    let folder = models(dir);
    let args = [
        "generate",
        "--models",
        list,
        "--models-folder",
        text(&folder),
        "--output",
        text(&project),
        "--epochs",
        "1",
    ];
    ok(&[&args[..], more].concat());
    project
}

fn status(project: &Path) -> Status {
    let project = Project::open(project).unwrap();
    Status::of(&project, &project.plan().unwrap()).unwrap()
}

fn outcome(project: &Path, index: u64) -> Outcome {
    let path = project.join(format!("runs/{:03}/{index:06}/result.json", index / 1000));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_project_is_planned_trained_and_compared() {
    let dir = tempfile::tempdir().unwrap();
    let project = generate(
        dir.path(),
        "p",
        "classifier.small=2, wide, flat.none=1",
        &["--array", "2", "--desc", "first try"],
    );
    let plan = Project::open(&project).unwrap().plan().unwrap();
    assert_eq!(plan.runs.len(), 8);
    let seeds: std::collections::BTreeSet<_> = plan.runs.iter().map(|r| r.seed).collect();
    assert_eq!(seeds.len(), 8, "a replicate is not a copy");
    assert_eq!(ok(&["run", text(&project), "--jobs", "2", "--quiet"]).trim(), "8 done");
    assert!(status(&project).runs.iter().all(|r| r.state == State::Done));

    let compared = ok(&["compare", text(&project)]);
    for word in ["classifier.small", "classifier.wide", "flat.none", "mean val_accuracy"] {
        assert!(compared.contains(word), "{compared}");
    }
    assert!(matches!(fleet(&["compare", text(&project), "--by", "nope"]), Err(FleetError::Usage { .. })));
    ok(&["annotate", text(&project), "looks good", "--run", "3"]);
    let shown = ok(&["show", text(dir.path())]);
    for word in ["first try", "8 of 8 runs done", "classifier.small: 4 of 4", "run 3: looks good"] {
        assert!(shown.contains(word), "{shown}");
    }
    assert_eq!(ok(&["show", "-n", text(dir.path())]).trim(), "p");
    let table = ok(&["export", text(&project)]);
    assert_eq!(table.lines().count(), 9);
    assert!(table.lines().next().unwrap().contains("val_accuracy"));
    let lines = ok(&["export", text(&project), "--format", "jsonl"]);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert!(project.join(first["folder"].as_str().unwrap()).join("weights.safetensors").is_file());
    // Finished runs are not trained again.
    let before = outcome(&project, 0);
    ok(&["run", text(&project), "--quiet"]);
    assert_eq!(outcome(&project, 0), before);
}

#[test]
fn a_project_grows_and_the_first_runs_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let project = generate(dir.path(), "p", "classifier.small=2", &[]);
    let before = Project::open(&project).unwrap().plan().unwrap().runs;
    let folder = models(dir.path());
    ok(&[
        "add",
        "--to",
        text(&project),
        "--models",
        "classifier.small=1,flat.none",
        "--models-folder",
        text(&folder),
        "--nb_epoch",
        "1",
    ]);
    let after = Project::open(&project).unwrap().plan().unwrap().runs;
    assert_eq!(after[..2], before[..]);
    assert_eq!(after.iter().map(|r| r.replicate).collect::<Vec<_>>(), [0, 1, 2, 0]);
    assert_ne!(after[2].seed, after[0].seed);
    assert!(matches!(
        fleet(&["generate", "--models", "classifier.small", "--output", text(&project)]),
        Err(FleetError::Occupied { .. })
    ));
    let missing = fleet(&[
        "add",
        "--to",
        text(&project),
        "--models",
        "classifier.deep",
        "--models-folder",
        text(&folder),
    ]);
    assert!(missing.unwrap_err().to_string().contains("there is no classifier/deep.yaml"));
}

#[test]
fn a_killed_process_loses_nothing_and_the_end_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let [whole, broken] =
        ["whole", "broken"].map(|name| generate(dir.path(), name, "classifier.small=3", &[]));
    ok(&["run", text(&whole), "--quiet", "--jobs", "2"]);
    ok(&["run", text(&broken), "--quiet", "--jobs", "1", "--runs", "0-1"]);
    // As after a kill: a claim of a dead process, half-written files, no result.
    let run = broken.join("runs/000/000001");
    fs::remove_file(run.join("result.json")).unwrap();
    let attempt = run.join("attempt-0001");
    fs::remove_file(attempt.join("result.json")).unwrap();
    fs::write(attempt.join("metrics.jsonl"), "{\"epo").unwrap();
    let claim = fs::read_to_string(attempt.join("claim.json")).unwrap();
    let mut claim: serde_json::Value = serde_json::from_str(&claim).unwrap();
    claim["process"]["began"] = 1.into();
    fs::write(attempt.join("claim.json"), claim.to_string()).unwrap();
    let found = status(&broken);
    assert_eq!(found.runs[1].state, State::Pending);
    assert!(found.runs[1].reason.contains("interrupted"), "{}", found.runs[1].reason);
    ok(&["run", text(&broken), "--quiet", "--jobs", "2"]);
    for index in 0..3 {
        assert_eq!(outcome(&whole, index).weights, outcome(&broken, index).weights, "run {index}");
    }
    assert_eq!(outcome(&broken, 1).attempt, 2);
}

#[test]
fn a_failure_has_a_reason_and_waits_for_a_retry() {
    let dir = tempfile::tempdir().unwrap();
    let project = generate(dir.path(), "p", "classifier.small=2", &[]);
    // The second model was planned for other data.
    let spec = project.join("plan/0001/specs/classifier/small.yaml");
    let good = fs::read_to_string(&spec).unwrap();
    fs::write(&spec, UNFIT).unwrap();
    let (exit, text_out) = fleet(&["run", text(&project), "--quiet"]).unwrap();
    assert_eq!((exit, text_out.trim()), (Exit::FAILURE, "0 done, 2 failed"));
    let found = status(&project);
    assert!(matches!(found.runs[0].state, State::Failed(tinsmith_fleet::Cause::Exit)));
    assert!(found.runs[0].reason.contains("takes samples of shape [8, 4, 1]"), "{}", found.runs[0].reason);
    let shown = ok(&["status", text(&project)]);
    assert!(shown.contains("2 failed (exit)") && shown.contains("takes samples"), "{shown}");

    fs::write(&spec, good).unwrap();
    assert_eq!(
        fleet(&["run", text(&project), "--quiet"]).unwrap().0,
        Exit::FAILURE,
        "failures are not tried again by themselves"
    );
    ok(&["retry", text(&project), "--executor", "local", "--quiet", "--runs", "0"]);
    ok(&["retry", text(&project), "--executor", "local", "--quiet", "--new-seed"]);
    let plan = Project::open(&project).unwrap().plan().unwrap();
    let fresh = generate(dir.path(), "q", "classifier.small=2", &[]);
    let planned = Project::open(&fresh).unwrap().plan().unwrap();
    assert_eq!(outcome(&project, 0).seed, planned.runs[0].seed);
    assert_eq!(outcome(&project, 1).seed, plan.runs[1].seed);
    assert_ne!(plan.runs[1].seed, planned.runs[1].seed);
}

#[test]
fn a_sweep_is_planned_and_grouped() {
    let dir = tempfile::tempdir().unwrap();
    let sweep = dir.path().join("sweep.yaml");
    let space = "optimizer.learning_rate: {categorical: {choices: [0.0001, 0.01]}}, model.h.dense.units: {int: {low: 2, high: 4, step: 2}}";
    fs::write(&sweep, format!("{{design: {{grid: {{}}}}, space: {{{space}}}}}")).unwrap();
    let project = generate(dir.path(), "p", "classifier.small", &["--sweep", text(&sweep), "--array", "2"]);
    ok(&["run", text(&project), "--quiet"]);
    let compared = ok(&["compare", text(&project), "--by", "optimizer.learning_rate", "--score", "loss"]);
    let rows: Vec<&str> = compared.lines().filter(|l| l.contains("0.01") || l.contains("0.0001")).collect();
    assert!(
        rows.len() == 2 && rows[0].trim_start().starts_with("0.01 "),
        "the faster rate comes first: {compared}"
    );
    assert_eq!(ok(&["export", text(&project)]).lines().count(), 9);
    fs::write(&sweep, "{design: {random: {points: 2}}, space: {nope: {int: {low: 2, high: 4}}}}").unwrap();
    let folder = models(dir.path());
    let other = dir.path().join("q");
    let error = fleet(&[
        "generate",
        "--models",
        "classifier.small",
        "--models-folder",
        text(&folder),
        "--output",
        text(&other),
        "--sweep",
        text(&sweep),
    ]);
    assert!(error.unwrap_err().to_string().contains("unknown field `nope`"));
    assert!(!other.exists(), "a project is there whole or not at all");
}

#[test]
fn the_index_can_be_lost_and_other_data_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let project = generate(dir.path(), "p", "flat.none=3", &[]);
    ok(&["run", text(&project), "--quiet"]);
    let collected = ok(&["collect", text(&project)]);
    assert_eq!(collected.trim(), "3 done");
    let index = project.join("index/000.jsonl");
    assert_eq!(fs::read_to_string(&index).unwrap().lines().count(), 3);
    fs::remove_dir_all(project.join("index")).unwrap();
    assert!(ok(&["status", text(&project), "--rebuild"]).contains("3 runs: 3 done"));
    assert!(index.is_file() && project.join("results.csv").is_file());

    let manifest = project.join("project.yaml");
    let changed = fs::read_to_string(&manifest).unwrap();
    let checksum = changed.lines().find(|l| l.contains("checksum")).unwrap().to_owned();
    fs::write(&manifest, changed.replace(&checksum, "  checksum: \"0\"")).unwrap();
    assert!(matches!(fleet(&["run", text(&project), "--quiet"]), Err(FleetError::OtherData { .. })));
    assert!(matches!(fleet(&["run", text(dir.path())]), Err(FleetError::NoProject { .. })));
}

#[test]
fn two_processes_share_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let project = generate(dir.path(), "p", "classifier.small=6", &[]);
    let path = text(&project).to_owned();
    std::thread::scope(|s| {
        let one = s.spawn(|| fleet(&["run", &path, "--quiet", "--jobs", "1"]).unwrap());
        let two = s.spawn(|| fleet(&["run", &path, "--quiet", "--jobs", "1"]).unwrap());
        one.join().unwrap();
        two.join().unwrap();
    });
    for index in 0..6 {
        assert_eq!(outcome(&project, index).attempt, 1, "run {index} was trained once");
    }
}

#[test]
fn a_dry_run_shows_the_script() {
    let dir = tempfile::tempdir().unwrap();
    let project = generate(dir.path(), "it's one", "flat.none=30", &["--gpu"]);
    let error = fleet(&["submit", text(&project), "--dry-run"]).unwrap_err();
    assert!(error.to_string().contains("no program"), "{error}");
    let manifest = project.join("project.yaml");
    let program = "program:\n  path: /usr/bin/tinsmith\n  prefix: [fleet]\n  sha256: \"0\"\n";
    fs::write(&manifest, fs::read_to_string(&manifest).unwrap() + program).unwrap();
    fs::write(project.join("slurm.yaml"), "{throttle: 4, max_array_size: 20, partition: gpu, gpus: 1}")
        .unwrap();
    let shown = ok(&["submit", text(&project), "--dry-run", "--time", "1:00:00"]);
    for word in [
        "#SBATCH --partition=gpu",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --time=60",
        "exec /usr/bin/tinsmith fleet task '",
        "--array=0-19%4",
        "--array=0-9%4",
        r"it'\''s one",
    ] {
        assert!(shown.contains(word), "{word} in\n{shown}");
    }
    assert!(!project.join("submissions").exists());
}

#[test]
fn counts_are_bounded_before_anything_is_laid_out() {
    let dir = tempfile::tempdir().unwrap();
    let folder = models(dir.path());
    let refuse = |more: &[&str]| {
        let project = dir.path().join("p");
        let args =
            ["generate", "--models-folder", text(&folder), "--output", text(&project), "--epochs", "1"];
        let error = fleet(&[&args[..], more].concat()).unwrap_err();
        assert!(error.is_usage() && !project.exists(), "{error}");
        error.to_string()
    };
    let error = refuse(&["--models", "classifier.small=18446744073709551615", "--array", "2"]);
    assert!(error.contains("more than the 1000000 runs"), "{error}");
    let error = refuse(&["--models", "classifier.small=1000,wide=1000", "--array", "999"]);
    assert!(error.contains("classifier.wide") && error.contains("999000 runs before"), "{error}");
    let sweep = dir.path().join("sweep.yaml");
    let int = "{int: {low: 1, high: 10000}}";
    for (design, wanted) in [
        ("{grid: {}}", "has 1000000000000 points"),
        ("{grid: {levels: 1000000}}", "levels"),
        ("{random: {points: 1000000000000}}", "design.random.points` is 1000000000000, want 1 to 1000000"),
        ("{latin_hypercube: {points: 18446744073709551615}}", "want 1 to 10000"),
    ] {
        let design =
            format!("design: {design}\nspace: {{batch_size: {int}, epochs: {int}, epoch_samples: {int}}}\n");
        fs::write(&sweep, design).unwrap();
        let error = refuse(&["--models", "classifier.small", "--sweep", text(&sweep)]);
        assert!(error.contains(wanted) && error.contains("sweep.yaml:1:"), "{error}");
    }
}

#[test]
fn submissions_name_runs_of_the_plan_only() {
    let dir = tempfile::tempdir().unwrap();
    let project = generate(dir.path(), "p", "classifier.small=2", &[]);
    let folder = project.join("submissions/0001");
    fs::create_dir_all(folder.join("returned")).unwrap();
    let all = "0-18446744073709551615";
    let settings = fs::read_to_string(project.join("slurm.yaml")).unwrap().replace('\n', "\n  ");
    let write = |runs: &str| {
        let text = format!(
            "number: 1\ncreated: x\nname: n\nretry: false\nruns: {runs}\nruns_per_task: 1\narrays: []\nslurm:\n  {settings}\n"
        );
        fs::write(folder.join("submission.yaml"), text).unwrap();
    };
    let refused = || {
        let opened = Project::open(&project).unwrap();
        Status::of(&opened, &opened.plan().unwrap()).unwrap_err().to_string()
    };
    write(all);
    let error = refused();
    assert!(error.contains("submission.yaml:5:") && error.contains("the plan has 2 runs"), "{error}");
    write("0-1");
    fs::write(folder.join("cancelled.jsonl"), format!("0\n{all}\n")).unwrap();
    let error = refused();
    assert!(error.contains("cancelled.jsonl") && error.contains("line 2"), "{error}");
    fs::remove_file(folder.join("cancelled.jsonl")).unwrap();
    fs::write(folder.join("returned/0"), all).unwrap();
    let error = refused();
    assert!(error.contains("returned/0") && error.contains("the plan has 2 runs"), "{error}");
}

#[test]
fn a_result_of_another_run_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let project = generate(dir.path(), "p", "classifier.small=2", &[]);
    ok(&["run", text(&project), "--quiet"]);
    let path = project.join("runs/000/000001/result.json");
    let own = fs::read_to_string(&path).unwrap();
    let mut changed: serde_json::Value = serde_json::from_str(&own).unwrap();
    changed["scores"]["val_accuracy"] = 7.5.into();
    let other = fs::read_to_string(project.join("runs/000/000000/result.json")).unwrap();
    for (content, wanted) in
        [(other, "it is the result of run 0"), (changed.to_string(), "`val_accuracy` is 7.5")]
    {
        fs::write(&path, content).unwrap();
        let error = fleet(&["collect", text(&project)]).unwrap_err().to_string();
        assert!(error.contains("000001/result.json") && error.contains(wanted), "{error}");
    }
    fs::write(&path, own).unwrap();
    ok(&["collect", text(&project)]);
}

#[test]
fn swept_keys_of_the_model_are_recorded_with_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let sweep = dir.path().join("sweep.yaml");
    fs::write(&sweep, "design: {list: [{model.h.dense.units: 5}]}\n").unwrap();
    let project = generate(dir.path(), "p", "classifier.small", &["--sweep", text(&sweep)]);
    ok(&["run", text(&project), "--quiet"]);
    let run = fs::read_to_string(project.join("runs/000/000000/attempt-0001/run.yaml")).unwrap();
    assert!(run.contains("model.h.dense.units: 5"), "{run}");
}
