//! The command from outside: output, files, exit codes.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test may panic")]

mod fleets;
mod generate;
mod guide;
mod options;
mod slurm;

use std::path::Path;
use std::process::{Command, Output};

const SPEC: &str = "layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: f, flatten: {}}
  - {name: y, dense: {units: 10}}
";

fn tinsmith(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinsmith")).args(args).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn networks_are_shown_and_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("net.yaml"), SPEC).unwrap();
    let shown = tinsmith(dir.path(), &["show", "net.yaml", "--target", "mcu-int8"]);
    assert!(shown.status.success(), "{}", stderr(&shown));
    for text in ["650", "flash bytes", "peak RAM"] {
        assert!(stdout(&shown).contains(text), "{}", stdout(&shown));
    }
    let over = tinsmith(dir.path(), &["show", "net.yaml", "--flash", "100B"]);
    assert_eq!(over.status.code(), Some(3));
    assert!(stdout(&over).contains("does not fit: flash is"));

    std::fs::write(dir.path().join("bad.yaml"), SPEC.replace("units: 10", "units: 0")).unwrap();
    let bad = tinsmith(dir.path(), &["show", "bad.yaml"]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(stderr(&bad).contains("bad.yaml:4:30: `layers[2].dense.units` is 0"), "{}", stderr(&bad));
}

#[test]
fn wrong_use_says_what_would_be_right() {
    let dir = tempfile::tempdir().unwrap();
    for (args, code, text) in [
        (&["design", "--flash", "8GiX"][..], 2, "want bytes such as 8192"),
        (&["design", "--resume", "none"], 2, "holds no design"),
        (&["design", "--data", "none"], 2, "built in are digits8x8"),
        (&["schema", "nope"], 2, "possible values: model, design"),
        (&["train", "none.yaml"], 1, "cannot read none.yaml"),
    ] {
        let output = tinsmith(dir.path(), args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(text), "{args:?}: {}", stderr(&output));
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn steps_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("net.yaml"), SPEC).unwrap();
    let short = ["--epochs", "2", "--quiet"];
    let run = |args: &[&str]| {
        let output = tinsmith(dir.path(), args);
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    assert!(run(&[&["train", "net.yaml", "--out", "run"][..], &short].concat()).contains("test: loss"));
    let weights = "run/weights.safetensors";
    let quantized = run(&[&["quantize", weights, "--trials", "3", "--bits", "3,8"][..], &short].concat());
    assert!(quantized.contains("best: trial-"), "{quantized}");
    assert!(run(&["prune", weights, "--sparsity", "0.6", "--epochs", "2"]).contains("60.00 %"));
    std::fs::create_dir_all(dir.path().join("models/classifier")).unwrap();
    std::fs::write(dir.path().join("models/classifier/small.yaml"), SPEC).unwrap();
    let fleet = ["--models", "classifier.small=1", "--array", "2", "--epochs", "2", "--output", "project"];
    run(&[&["fleet", "generate"][..], &fleet].concat());
    run(&["fleet", "run", "project", "--quiet"]);
    assert!(run(&["fleet", "status", "project"]).contains("2 done"));
    assert!(run(&["generate", "--count", "5", "--input", "8,8,1", "--flash", "4KiB"]).contains("5 networks"));
    assert_eq!(std::fs::read_to_string(dir.path().join("networks.jsonl")).unwrap().lines().count(), 5);
    let searched =
        run(&[&["search", "--trials", "3", "--flash", "4KiB", "--ram", "2KiB"][..], &short].concat());
    assert!(searched.contains("3 trials"), "{searched}");
    assert!(run(&["data"]).contains("1437"));
    assert!(run(&["schema"]).contains("conv2d"));
    assert!(run(&["schema", "generator"]).contains("QSeparableConv2D"));
    assert!(run(&["schema", "corpus"]).contains("max_layer_count"));
}
