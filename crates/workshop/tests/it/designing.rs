//! A design keeps its limits, does not depend on the number of workers, and resumes after any interruption.

use std::path::Path;

use tinsmith_foundation::{CancelToken, Event, Progress, Silent};
use tinsmith_workshop::{
    DesignConfig, DesignFolder, DesignResult, ErrorKind, GenerateOptions, PruneOptions, SearchOptions,
    Session, WorkshopError, design, resume,
};

/// Files that are equal in an interrupted and an uninterrupted design, byte for byte.
const FILES: [&str; 5] = ["spec.yaml", "weights.safetensors", "metrics.jsonl", "result.json", "report.html"];

fn config(out: &Path, jobs: usize) -> DesignConfig {
    DesignConfig {
        flash: "3KiB".parse().unwrap(),
        ram: "1KiB".parse().unwrap(),
        trials: 4,
        seeds: 2,
        epochs: Some(2),
        jobs,
        out: Some(out.to_owned()),
        generate: GenerateOptions { candidates: 6 },
        search: SearchOptions { finalists: 2, ..SearchOptions::default() },
        prune: PruneOptions { sparsities: vec![0.3, 0.6], ..PruneOptions::default() },
        ..DesignConfig::default()
    }
}

fn run(out: &Path, jobs: usize) -> DesignResult {
    design(config(out, jobs), &session()).unwrap()
}

fn session() -> Session<'static> {
    Session::new(&Silent, CancelToken::new())
}

fn bytes(folder: &Path) -> Vec<Vec<u8>> {
    FILES.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

/// Requests a stop after the first step of a stage.
struct StopIn<'a> {
    stage: &'a str,
    cancel: CancelToken,
}

impl Progress for StopIn<'_> {
    fn event(&self, event: &Event) {
        if matches!(event, Event::Step { stage, .. } if stage == self.stage) {
            self.cancel.cancel();
        }
    }
}

#[test]
fn workers_and_interruptions_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let result = run(&whole, 2);
    assert!(result.winner.flash_bytes <= 3 << 10 && result.winner.ram_bytes <= 1 << 10);
    assert!(result.winner.flash_bytes < result.baseline.flash_bytes);
    assert_eq!(result.winner.test_accuracy.len(), 2);
    let expected = bytes(&whole);

    let alone = dir.path().join("alone");
    run(&alone, 1);
    assert_eq!(bytes(&alone), expected, "one worker");

    for stage in ["search", "finalists", "quantize", "prune", "baseline", "winner"] {
        let folder = dir.path().join(stage);
        let cancel = CancelToken::new();
        let watch = StopIn { stage, cancel: cancel.clone() };
        let error = design(config(&folder, 1), &Session::new(&watch, cancel)).unwrap_err();
        assert!(matches!(error, WorkshopError::Cancelled { .. }), "{stage}: {error}");
        let session = session();
        assert_eq!(resume(&folder, Some(2), &session).unwrap(), result, "stopped in {stage}");
        assert_eq!(bytes(&folder), expected, "stopped in {stage}");
    }
}

#[test]
fn a_folder_holds_one_design() {
    let dir = tempfile::tempdir().unwrap();
    let session = session();
    let error = resume(dir.path(), None, &session).unwrap_err();
    assert!(matches!(error, WorkshopError::Nothing { .. }));
    // Limits that no network keeps leave no folder behind.
    let out = dir.path().join("tiny");
    let impossible = DesignConfig { flash: "16".parse().unwrap(), ..config(&out, 1) };
    let error = design(impossible, &session).unwrap_err();
    assert!(matches!(&error, WorkshopError::Budget { reason, .. } if reason.contains("flash")), "{error}");
    assert_eq!(error.kind(), ErrorKind::NothingFound);
    assert!(!out.exists());
    // Files of somebody else stay untouched.
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("config.yaml"), "schema: 1\n").unwrap();
    let error = design(config(&out, 1), &session).unwrap_err();
    assert!(matches!(error, WorkshopError::Occupied { .. }), "{error}");
}

#[test]
fn a_moved_design_resumes_and_a_changed_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let cancel = CancelToken::new();
    let watch = StopIn { stage: "prune", cancel: cancel.clone() };
    design(config(&before, 2), &Session::new(&watch, cancel)).unwrap_err();
    std::fs::rename(&before, &after).unwrap();
    let folder = DesignFolder::new(&after);

    let plan = std::fs::read_to_string(folder.config()).unwrap();
    std::fs::write(folder.config(), "schema: 1\n").unwrap();
    let error = resume(&after, None, &session()).unwrap_err().to_string();
    assert!(error.contains("config.yaml:1:1: missing field `data`"), "{error}");
    for (then, now, named) in [
        ("flash: 3 KiB", "flash: 4 KiB", "`flash` was \"3 KiB\", now \"4 KiB\""),
        ("seed: 0", "seed: 1", "`seed` was 0, now 1"),
        ("data: digits8x8", &format!("data: {}", table(dir.path())), "the data were `digits8x8`"),
    ] {
        assert!(plan.contains(then), "{plan}");
        std::fs::write(folder.config(), plan.replace(then, now)).unwrap();
        let error = resume(&after, None, &session()).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    std::fs::write(folder.config(), &plan).unwrap();
    let result = resume(&after, None, &session()).unwrap();

    // The same command in a finished folder returns the same result, another command is refused.
    assert_eq!(design(config(&after, 1), &session()).unwrap(), result);
    let other = DesignConfig { trials: 5, ..config(&after, 1) };
    let error = design(other, &session()).unwrap_err().to_string();
    assert!(error.contains("`trials` was 4, now 5"), "{error}");
}

/// A table of two classes.
fn table(folder: &Path) -> String {
    let path = folder.join("other.csv");
    let rows: String = (0..40).map(|i| format!("{i}.5,{}.25,{}\n", i * 7 % 11, i % 2)).collect();
    std::fs::write(&path, format!("a,b,label\n{rows}")).unwrap();
    path.display().to_string()
}
