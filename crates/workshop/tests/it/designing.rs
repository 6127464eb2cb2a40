//! A design keeps its budget, does not depend on the number of workers, and goes on after any interruption.

use std::path::Path;

use tinsmith_foundation::{CancelToken, Event, Progress, Silent};
use tinsmith_workshop::{
    DesignConfig, DesignResult, Folder, GenerateStage, PruneStage, SearchStage, Session, WorkshopError,
    design, resume,
};

/// What a design that is not interrupted and one that is must have in common, byte for byte.
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
        generate: GenerateStage { candidates: 6 },
        search: SearchStage { finalists: 2, ..SearchStage::default() },
        prune: PruneStage { sparsities: vec![0.3, 0.6], ..PruneStage::default() },
        ..DesignConfig::default()
    }
}

fn run(out: &Path, jobs: usize) -> DesignResult {
    design(config(out, jobs), &Session { progress: &Silent, cancel: CancelToken::new() }).unwrap()
}

fn bytes(folder: &Path) -> Vec<Vec<u8>> {
    FILES.iter().map(|name| std::fs::read(folder.join(name)).unwrap()).collect()
}

/// Asks for a stop when a stage has done its first step.
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
        let error = design(config(&folder, 1), &Session { progress: &watch, cancel }).unwrap_err();
        assert!(matches!(error, WorkshopError::Cancelled { .. }), "{stage}: {error}");
        let session = Session { progress: &Silent, cancel: CancelToken::new() };
        assert_eq!(resume(&folder, Some(2), &session).unwrap(), result, "stopped in {stage}");
        assert_eq!(bytes(&folder), expected, "stopped in {stage}");
    }
}

#[test]
fn a_folder_is_used_once() {
    let dir = tempfile::tempdir().unwrap();
    let session = Session { progress: &Silent, cancel: CancelToken::new() };
    let error = resume(dir.path(), None, &session).unwrap_err();
    assert!(matches!(error, WorkshopError::Nothing { .. }));
    // A budget that nothing keeps leaves no design behind.
    let impossible = DesignConfig { flash: "16".parse().unwrap(), ..config(dir.path(), 1) };
    let error = design(impossible, &session).unwrap_err();
    assert!(matches!(&error, WorkshopError::Budget { reason, .. } if reason.contains("flash")), "{error}");
    assert!(!Folder::new(dir.path()).config().exists());
    std::fs::write(Folder::new(dir.path()).config(), "schema: 1\n").unwrap();
    let error = design(config(dir.path(), 1), &session).unwrap_err();
    assert!(matches!(error, WorkshopError::Occupied { .. }), "{error}");
}
