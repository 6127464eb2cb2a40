//! Scenarios of fleets on clusters: kills, limits, lost nodes, full queues.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Scenario;
use super::cluster::{Cluster, PATIENCE, Site, all_done, epochs, kill, processes, state};

pub(super) const PLAIN: &[Scenario] = &[
    ("arrays, throttle, splitting, collecting", arrays),
    ("failures", failures),
    ("cancelling", cancelling),
    ("time limit", time_limit),
    ("node loss", node_loss),
    ("preemption", preemption),
    ("warning", warning),
    ("chunks and kills", chunks),
    ("stopping before the limit", stopping),
    ("giving back before the limit", giving_back),
];

pub(super) const WITH_ACCOUNTS: &[Scenario] =
    &[("forgotten jobs", forgotten), ("a user's limit of jobs", submit_limit)];

pub(super) const WITH_FEW_JOBS: &[Scenario] = &[("a full queue", full_queue)];

pub(super) const WITH_CGROUPS: &[Scenario] = &[("memory", memory)];

/// A network that does not take the digits.
const UNFIT: &str =
    "layers: [{name: x, input: {shape: [8, 4, 1]}}, {name: f, flatten: {}}, {name: y, dense: {units: 10}}]";
/// Epochs of a training that is always stopped.
const LONG: &[&str] = &["--epochs", "10000000"];
/// Seconds of a training that is long enough to be disturbed.
const SOME: f64 = 4.0;

fn reason(run: &Value) -> &str {
    run["reason"].as_str().unwrap()
}

/// Start and end of the work on a run.
fn interval(site: &Site<'_>, index: u64) -> (String, String, String) {
    let folder = format!("runs/000/{index:06}");
    let claim = site.json(&format!("{folder}/attempt-0001/claim.json"));
    let result = site.json(&format!("{folder}/result.json"));
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let array = text(&claim["job"]).split('_').next().unwrap().to_owned();
    (array, text(&claim["started"]), text(&result["finished"]))
}

fn arrays(cluster: &Cluster) {
    let site = cluster.project("flat.none=25", &[]);
    site.settings("throttle: 2");
    let said = site.ok(&["submit", "project", "--executor", "slurm"]);
    assert_eq!(said.matches("tasks)").count(), 3, "indices end at MaxArraySize - 1 = 10: {said}");
    assert!(
        site.ok(&["submit", "project", "--executor", "slurm"]).contains("no run is open"),
        "nothing is submitted twice"
    );
    site.until("the end of 25 runs", all_done);
    let times: Vec<_> = (0..25).map(|i| interval(&site, i)).collect();
    for (array, start, _) in &times {
        let at_once = times.iter().filter(|(a, s, e)| a == array && s <= start && start < e).count();
        assert!(at_once <= 2, "{at_once} tasks of {array} at {start}");
    }
    site.until_file("summary.json", |text| text.contains("\"done\": 25"));
    assert!(site.project().join("results.csv").is_file());
    assert_eq!(site.weights("project", 25), site.twin("flat.none=25", &[], 25));
}

fn failures(cluster: &Cluster) {
    let site = cluster.project("flat.none=1,classifier.small=2", LONG);
    let spec = site.project().join("plan/0001/specs/flat/none.yaml");
    let good = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, UNFIT).unwrap();
    site.settings("collect: false");
    site.ok(&["submit", "project", "--executor", "slurm", "--runs", "0-1"]);
    site.until("a run and a failure", |runs| {
        state(&runs[1]) == "running" && state(&runs[0]).starts_with("failed")
    });
    assert!(kill(processes(&site.project(), 2).pop().unwrap()));
    let runs = site.until("a killed task", |runs| state(&runs[1]) == "failed (exit)");
    assert_eq!(state(&runs[0]), "failed (exit)");
    assert!(reason(&runs[0]).contains("takes samples of shape [8, 4, 1]"), "{runs:?}");
    assert!(reason(&runs[1]).contains("FAILED"), "{runs:?}");
    assert_eq!((state(&runs[2]), reason(&runs[2])), ("pending", "not submitted"));
    let job = runs[0]["job"].as_str().unwrap();
    let shown = cluster.call("scontrol", &["-o", "show", "job", job]);
    assert!(shown.contains("JobState=FAILED") && shown.contains("ExitCode=1:0"), "{shown}");
    let table = site.ok(&["status", "project"]);
    assert!(table.contains(&format!("logs/{job}.log")) && table.contains("takes samples"), "{table}");

    std::fs::write(&spec, good).unwrap();
    let said = site.ok(&["retry", "project", "--executor", "slurm", "--only", "flat.none", "--dry-run"]);
    assert!(said.contains("--array=0-0"), "{said}");
    site.ok(&["retry", "project", "--executor", "slurm", "--only", "flat.none"]);
    site.until("a second try", |runs| state(&runs[0]) == "running" && state(&runs[1]) == "failed (exit)");
    site.ok(&["cancel", "project"]);
    site.until("its end", |runs| state(&runs[0]) == "failed (cancelled)");
}

fn cancelling(cluster: &Cluster) {
    let site = cluster.project("classifier.small=4", LONG);
    site.settings("throttle: 2\ncollect: false");
    site.ok(&["submit", "project", "--executor", "slurm"]);
    let count = |runs: &[Value], word: &str| runs.iter().filter(|r| state(r) == word).count();
    // Slurm names the reason some time after the first two began.
    let waits = |runs: &[Value]| {
        runs.iter().filter(|r| state(r) == "pending" && reason(r).contains("JobArrayTaskLimit")).count()
    };
    site.until("two at once, and two that wait", |runs| count(runs, "running") == 2 && waits(runs) == 2);
    site.ok(&["cancel", "project"]);
    site.until("four cancelled runs", |runs| count(runs, "failed (cancelled)") == 4);
    std::thread::sleep(Duration::from_secs(2));
    let runs = site.runs();
    assert_eq!(count(&runs, "failed (cancelled)"), 4, "none asked to be requeued: {runs:?}");
}

fn time_limit(cluster: &Cluster) {
    let site = cluster.project("classifier.small=1", LONG);
    site.settings("signal_before_limit_s: 0\ntime_minutes: 1\nrequeue: false\ncollect: false");
    site.ok(&["submit", "project", "--executor", "slurm"]);
    let runs = site.until("the time limit", |runs| state(&runs[0]).starts_with("failed"));
    assert_eq!(state(&runs[0]), "failed (time-out)", "{runs:?}");
    let said = site.ok(&["retry", "project", "--executor", "slurm", "--dry-run"]);
    assert!(said.contains("after time-out: 2 minutes") && said.contains("#SBATCH --time=2"), "{said}");
}

/// Epochs of the first attempt so far.
const METRICS: &str = "runs/000/000000/attempt-0001/metrics.jsonl";

fn some_epochs(text: &str) -> bool {
    text.lines().count() >= 5
}

fn ends_as_undisturbed(site: &Site<'_>) {
    site.until("the end", all_done);
    let result = site.json("runs/000/000000/result.json");
    assert!(result["attempt"].as_u64().unwrap() >= 2, "it was disturbed: {result}");
    let epochs = epochs(SOME);
    assert_eq!(site.weights("project", 1), site.twin("classifier.small=1", &["--epochs", &epochs], 1));
}

fn node_loss(cluster: &Cluster) {
    let site = cluster.project("classifier.small=1", &["--epochs", &epochs(SOME)]);
    site.settings("collect: false\nextra: ['--nodelist=n3']");
    site.ok(&["submit", "project", "--executor", "slurm"]);
    site.until_file(METRICS, some_epochs);
    cluster.call("scontrol", &["update", "nodename=n3", "state=down", "reason=test"]);
    let runs = site.until("a requeued run", |runs| state(&runs[0]) == "pending");
    assert!(reason(&runs[0]) != "not submitted", "{runs:?}");
    cluster.call("scontrol", &["update", "nodename=n3", "state=resume"]);
    ends_as_undisturbed(&site);
}

fn preemption(cluster: &Cluster) {
    let site = cluster.project("classifier.small=1", &["--epochs", &epochs(SOME)]);
    site.settings("collect: false\npartition: scavenge\nextra: ['--nodelist=n4']");
    site.ok(&["submit", "project", "--executor", "slurm"]);
    site.until_file(METRICS, some_epochs);
    let winner =
        ["--parsable", "-p", "main", "-w", "n4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 600"];
    let winner = cluster.call("sbatch", &winner);
    site.until("a preempted run", |runs| state(&runs[0]) == "pending");
    cluster.call("scancel", &[winner.trim()]);
    ends_as_undisturbed(&site);
}

/// Signalled before its time limit, a task stores a checkpoint and requeues itself.
fn warning(cluster: &Cluster) {
    let site = cluster.project("classifier.small=1", &["--epochs", &epochs(SOME)]);
    site.settings("collect: false");
    site.ok(&["submit", "project", "--executor", "slurm"]);
    site.until_file(METRICS, some_epochs);
    let job = site.json("runs/000/000000/attempt-0001/claim.json")["job"].as_str().unwrap().to_owned();
    cluster.call("scancel", &["--signal=USR2", "--batch", &job]);
    ends_as_undisturbed(&site);
    assert_eq!(site.json("runs/000/000000/attempt-0002/claim.json")["restarts"], 1);
}

/// Short runs in tasks of five: tasks are killed continually, and their runs are retried.
fn chunks(cluster: &Cluster) {
    const RUNS: u64 = 20;
    let epochs = epochs(0.5);
    let site = cluster.project("classifier.small=20", &["--epochs", &epochs]);
    site.settings("runs_per_task: 5\ncollect: false");
    let said = site.ok(&["submit", "project", "--executor", "slurm"]);
    assert!(said.contains("(4 tasks)"), "{said}");
    let (mut killed, begin) = (0, Instant::now());
    loop {
        assert!(begin.elapsed() < PATIENCE, "{}", site.ok(&["status", "project", "--all"]));
        let found = processes(&site.project(), RUNS);
        if killed < 6 && found.get(killed * 7 % found.len().max(1)).is_some_and(|&number| kill(number)) {
            killed += 1;
        }
        // The first is killed as soon as there is one.
        std::thread::sleep(Duration::from_millis(if killed == 0 { 20 } else { 300 }));
        let runs = site.runs();
        if all_done(&runs) {
            break;
        }
        if runs.iter().all(|r| state(r) == "done" || state(r).starts_with("failed")) {
            site.ok(&["retry", "project", "--executor", "slurm"]);
        }
    }
    assert!(killed > 0, "something was disturbed");
    let twin = site.twin("classifier.small=20", &["--epochs", &epochs], RUNS);
    assert_eq!(site.weights("project", RUNS), twin);
}

/// A task of four runs with a limit of two minutes that starts no run after a few seconds.
const STOPPING: &str = "runs_per_task: 4\ncollect: false\ntime_minutes: 2\nsignal_before_limit_s: 0";

/// Returns the number of attempts at each of the first runs.
fn attempts(site: &Site<'_>, runs: u64) -> Vec<usize> {
    let of = |i: u64| std::fs::read_dir(site.project().join(format!("runs/000/{i:06}"))).unwrap();
    let is_attempt = |e: &std::fs::DirEntry| e.file_name().to_string_lossy().starts_with("attempt-");
    (0..runs).map(|i| of(i).flatten().filter(is_attempt).count()).collect()
}

/// Near its limit a task starts no run and is requeued; no run is cut off.
fn stopping(cluster: &Cluster) {
    let site = cluster.project("classifier.small=4", &["--epochs", &epochs(3.0)]);
    site.settings(STOPPING);
    site.ok(&["submit", "project", "--executor", "slurm", "--stop-before-limit", "115"]);
    site.until("four runs", all_done);
    assert_eq!(attempts(&site, 4), [1; 4]);
    let restarts = |i: u64| {
        let claim = site.json(&format!("runs/000/{i:06}/attempt-0001/claim.json"));
        claim["restarts"].as_u64().unwrap()
    };
    assert_eq!(restarts(0), 0);
    assert!(restarts(3) > 0, "the last run is of a later start of the task");
}

/// A task that may not be requeued gives back the runs that it did not start, and another submission takes them. Its limit is
/// the partition's default of a minute, which only Slurm knows.
fn giving_back(cluster: &Cluster) {
    let site = cluster.project("classifier.small=4", &["--epochs", &epochs(3.0)]);
    site.settings("runs_per_task: 4\ncollect: false\nsignal_before_limit_s: 0");
    let near = ["--partition", "short", "--stop-before-limit", "55", "--no-requeue"];
    site.ok(&[&["submit", "project", "--executor", "slurm"][..], &near].concat());
    let is_back = |r: &Value| state(r) == "pending" && reason(r).contains("came close to its time limit");
    let runs = site.until("runs that were given back", |runs| runs.iter().any(is_back));
    assert!(runs.iter().all(|r| state(r) == "done" || is_back(r)), "{runs:?}");
    assert!(state(&runs[0]) == "done" && is_back(&runs[3]), "{runs:?}");
    site.ok(&["submit", "project", "--executor", "slurm"]);
    site.until("all runs", all_done);
    assert_eq!(attempts(&site, 4), [1; 4]);
    let claim = site.json("runs/000/000003/attempt-0001/claim.json");
    assert_eq!(claim["submission"], 2, "{claim}");
}

/// Submits until everything is done, however few tasks the cluster accepts at once.
fn submit_until_done(site: &Site<'_>) {
    site.until("the end of all runs", |runs| {
        site.tinsmith(&["submit", "project", "--executor", "slurm"]);
        all_done(runs)
    });
    let expected = vec![1; site.runs().len()];
    assert_eq!(attempts(site, expected.len() as u64), expected, "nothing is trained twice");
}

/// Submits more than the cluster accepts, and returns the output.
#[track_caller]
fn submit_too_many(site: &Site<'_>) -> String {
    let output = site.tinsmith(&["submit", "project", "--executor", "slurm"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Returns the number of runs in the queue, and the number that the cluster did not accept.
fn taken(runs: &[Value]) -> (usize, usize) {
    let count =
        |word: &str| runs.iter().filter(|r| state(r) == "pending" && reason(r).contains(word)).count();
    (count("JobHeldUser"), count("refused it; submit again"))
}

/// A user is limited to five jobs: five are accepted, the others stay open, and a later `submit` continues.
fn submit_limit(cluster: &Cluster) {
    let user =
        String::from_utf8(std::process::Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let user = user.trim();
    for args in [
        &["add", "account", "plenty"][..],
        &["add", "user", user, "account=plenty"],
        &["add", "account", "few"],
        &["add", "user", user, "account=few", "MaxSubmitJobs=5"],
    ] {
        cluster.call("sacctmgr", &[&["-i"], args].concat());
    }
    let site = cluster.project("flat.none=12", &[]);
    let probe = ["--test-only", "-A", "few", "-o", "/dev/null", "--wrap", "true"];
    site.until("an account that the controller knows", |_| {
        cluster.call("sbatch", &probe).contains("to start at")
    });
    site.settings("account: few\ncollect: false\nextra: ['--hold']");
    let said = submit_too_many(&site);
    assert!(said.contains("submission 1: 5 runs in jobs") && said.contains("refused 7 runs"), "{said}");
    assert!(said.contains("job submit limit") && said.contains("submit again later"), "{said}");
    assert_eq!(taken(&site.runs()), (5, 7));
    let said = submit_too_many(&site);
    assert!(!said.contains("submission 2") && said.contains("refused 7 runs"), "{said}");
    assert_eq!(taken(&site.runs()), (5, 7), "nothing was lost");
    let jobs = cluster.call("squeue", &["-h", "-A", "few", "-o", "%F"]);
    for job in jobs.lines() {
        cluster.call("scontrol", &["release", job]);
    }
    site.settings("account: few\ncollect: false\nextra: []");
    submit_until_done(&site);
}

/// A controller holds at most eight jobs, three of them of another user. Plain sbatch would wait two minutes each time.
fn full_queue(cluster: &Cluster) {
    let others: Vec<String> = (0..3)
        .map(|_| cluster.call("sbatch", &["--parsable", "--hold", "-o", "/dev/null", "--wrap", "true"]))
        .collect();
    let site = cluster.project("flat.none=10", &[]);
    site.settings("collect: false\nextra: ['--hold']");
    let begin = Instant::now();
    let said = submit_too_many(&site);
    assert!(begin.elapsed().as_secs() < 100, "it waited for room: {said}");
    assert!(
        said.contains("temporarily unable to accept job") && said.contains("submit again later"),
        "{said}"
    );
    let (waiting, left) = taken(&site.runs());
    assert!(waiting > 0 && left > 0 && waiting + left == 10, "{said}\n{:?}", site.runs());
    assert!(said.contains(&format!("refused {left} runs")), "{said}");
    let jobs = cluster.call("squeue", &["-h", "-o", "%F"]);
    for job in others {
        cluster.call("scancel", &[job.trim()]);
    }
    for job in jobs.lines() {
        cluster.call("scontrol", &["release", job]);
    }
    site.settings("collect: false\nextra: []");
    submit_until_done(&site);
}

/// A run that exceeds its memory is killed, recognized as such, and gets twice as much on each retry.
fn memory(cluster: &Cluster) {
    let site = cluster.project("classifier.large=1", &[]);
    site.settings("memory_mib: 16\ncollect: false\nextra: []");
    site.ok(&["submit", "project", "--executor", "slurm"]);
    let is_over = |runs: &[Value]| state(&runs[0]) == "done" || state(&runs[0]).starts_with("failed");
    let runs = site.until("the end of its memory", is_over);
    assert_eq!(state(&runs[0]), "failed (memory)", "{runs:?}");
    let job = runs[0]["job"].as_str().unwrap();
    let shown = cluster.call("scontrol", &["-o", "show", "job", job]);
    assert!(shown.contains("JobState=OUT_OF_MEMORY"), "{shown}");
    let mut said = site.ok(&["retry", "project", "--executor", "slurm", "--cause", "memory"]);
    assert!(said.contains("after memory: 0 minutes, 32 MiB"), "{said}");
    for tries in 0.. {
        assert!(tries < 10, "{:?}", site.runs());
        if state(&site.until("the end of a try", is_over)[0]) == "done" {
            break;
        }
        said = site.ok(&["retry", "project", "--executor", "slurm", "--cause", "memory"]);
        assert!(said.contains("after memory"), "{said}");
    }
}

/// The controller no longer knows old jobs: their end is read from accounting and from their logs.
fn forgotten(cluster: &Cluster) {
    let site = cluster.project("classifier.small=3", LONG);
    site.settings("collect: false\nextra: []");
    site.ok(&["submit", "project", "--executor", "slurm"]);
    let runs = site.until("three runs", |runs| runs.iter().all(|r| state(r) == "running"));
    let job = |i: usize| runs[i]["job"].as_str().unwrap().to_owned();
    cluster.call("scancel", &[&job(0)]);
    assert!(kill(processes(&site.project(), 2).pop().unwrap()));
    let is_forgotten =
        |job: &str| !cluster.call("squeue", &["-h", "-r", "-t", "all", "-o", "%i"]).lines().any(|l| l == job);
    site.until("forgotten jobs", |_| is_forgotten(&job(0)) && is_forgotten(&job(1)));
    // The controller tells the accounts of an end some time after it, and of one job before the other.
    let runs = site.until("their states, from the accounts", |runs| {
        state(&runs[0]) == "failed (cancelled)"
            && state(&runs[1]) == "failed (exit)"
            && reason(&runs[1]).contains("FAILED")
    });
    assert_eq!(state(&runs[2]), "running");
    let missing: PathBuf = site.project().join("runs/000/000001/result.json");
    assert!(!missing.exists());
    site.ok(&["cancel", "project"]);
    site.until("the end", |runs| state(&runs[2]) == "failed (cancelled)");
}
