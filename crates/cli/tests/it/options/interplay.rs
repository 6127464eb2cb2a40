//! Options together: precedence, refused combinations, folders, exit codes, closed pipes.

use std::path::Path;

use super::{Inputs, NETWORK, start};
use crate::{stderr, stdout};

/// Runs a command in a folder, with `@name` for input files.
fn run(dir: &Path, args: &[&str]) -> std::process::Output {
    start(dir, &Inputs::get().filled(args)).output().unwrap()
}

#[track_caller]
fn ok(dir: &Path, args: &[&str]) -> String {
    let output = run(dir, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

#[track_caller]
fn refused(dir: &Path, args: &[&str], code: i32, text: &str) {
    let output = run(dir, args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains(text), "{args:?}: {}", stderr(&output));
}

#[test]
fn an_option_overrides_a_file_and_a_file_overrides_a_default() {
    let dir = tempfile::tempdir().unwrap();
    let epochs = |out: &str| {
        std::fs::read_to_string(dir.path().join(out).join("metrics.jsonl")).unwrap().lines().count()
    };
    // Training files: one epoch in the file, 20 by default.
    ok(dir.path(), &["train", "@net.yaml", "--training", "@training.yaml", "--quiet", "--out", "file"]);
    ok(
        dir.path(),
        &["train", "@net.yaml", "--training", "@training.yaml", "--epochs", "2", "--out", "option"],
    );
    ok(dir.path(), &["train", "@net.yaml", "--quiet", "--out", "default"]);
    assert_eq!((epochs("file"), epochs("option"), epochs("default")), (1, 2, 20));
    let announced =
        run(dir.path(), &["train", "@net.yaml", "--training", "@training.yaml", "--out", "announced"]);
    assert!(stderr(&announced).contains("train: 1 to do"), "{}", stderr(&announced));
    refused(dir.path(), &["train", "@net.yaml", "--learning-rate", "0"], 2, "`optimizer.learning_rate` is 0");

    // Searches train as long as the file says.
    ok(
        dir.path(),
        &["search", "--training", "@training.yaml", "--trials", "1", "--flash", "4KiB", "--quiet"],
    );
    let record = std::fs::read_to_string(dir.path().join("search/work.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(record["settings"]["search"]["budget"]["epochs"], 1);

    // Corpus files keep their family and share the default target.
    let manifest = |args: &[&str], out: &str| -> serde_json::Value {
        ok(
            dir.path(),
            &[&["generate", "--count", "3", "--quiet", "--out", &format!("{out}.jsonl")], args].concat(),
        );
        let text = std::fs::read_to_string(dir.path().join(format!("{out}.manifest.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let plain = manifest(&[], "plain");
    let file = manifest(&["--config", "@corpus.yaml", "--input", "8,8,1"], "file");
    assert_eq!(plain["config"]["target"], file["config"]["target"]);
    assert_eq!(file["config"]["family"]["dense_ub"], 32);
    assert_eq!(file["config"]["family"]["input"], serde_json::json!([8, 8, 1]));
}

#[test]
fn data_are_found_in_the_folder_of_data_sets() {
    let (dir, inputs) = (tempfile::tempdir().unwrap(), Inputs::get());
    let design =
        ["design", "--data", "table.csv", "--trials", "2", "--seeds", "1", "--epochs", "1", "--quiet"];
    std::fs::create_dir_all(dir.path().join("models/c")).unwrap();
    let network =
        NETWORK.replace("[8, 8, 1]", "[2]").replace("  - {name: f, flatten: {}}\n", "").replace("10", "2");
    std::fs::write(dir.path().join("models/c/a.yaml"), network).unwrap();
    let fleet = ["fleet", "generate", "--models", "c.a", "--data", "table.csv", "--output", "project"];
    for args in [&["data", "table.csv"][..], &design, &fleet] {
        refused(dir.path(), args, 2, "no data set `table.csv`");
        let found = start(dir.path(), args).env("TINSMITH_DATA", inputs.dir.path()).output().unwrap();
        assert!(found.status.success(), "{args:?}: {}", stderr(&found));
    }
    // A design remembers the place, so it resumes without the variable.
    ok(dir.path(), &["design", "--resume", "design-table.csv"]);
}

#[test]
fn a_folder_of_other_work_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let weights = "@run/weights.safetensors";
    let quick = ["--epochs", "1", "--quiet"];
    let search = [&["search", "--trials", "2", "--flash", "4KiB"][..], &quick].concat();
    let quantize = [&["quantize", weights, "--trials", "2"][..], &quick].concat();
    let prune = [&["prune", weights][..], &quick].concat();
    let train = [&["train", "@net.yaml"][..], &quick].concat();
    for (command, change, named) in [
        (&search, &["--ram", "1KiB"][..], "`limits.ram` was not set, now 1024"),
        (&search, &["--seed", "3"], "`seed` was 0, now 3"),
        (&search, &["--data", "@table.csv"], "the data were `digits8x8`"),
        (&quantize, &["--bits", "3"], "`quantize.bits` was [2,3,4,6,8], now [3]"),
        (&quantize, &["--learning-rate", "0.1"], "`training.optimizer.learning_rate` was 0.002, now 0.1"),
        (&prune, &["--sparsity", "0.9"], "`prune.candidates` was"),
        (&train, &["--batch-size", "8"], "`batch_size` was 32, now 8"),
        (&train, &["--seed", "8"], "another "),
    ] {
        let first = ok(dir.path(), command);
        let second = ok(dir.path(), command);
        assert!(second.contains("finished already"), "{second}");
        assert!(
            second.ends_with(first.lines().last().unwrap().trim_start()) || second.contains(&first),
            "{second}"
        );
        refused(dir.path(), &[&command[..], change].concat(), 2, named);
    }
    // More trials continue the search.
    let more = ok(dir.path(), &super::with(&search, &["--trials", "3"]));
    assert!(more.contains("3 trials") && !more.contains("finished already"), "{more}");
    // A corpus is never written over another, nor a manifest.
    let generate = ["generate", "--count", "3", "--input", "8,8,1", "--quiet", "--out"];
    ok(dir.path(), &[&generate[..], &["c.jsonl"]].concat());
    assert!(ok(dir.path(), &[&generate[..], &["c.jsonl"]].concat()).contains("already; nothing was written"));
    refused(dir.path(), &[&generate[..], &["c.jsonl", "--seed", "1"]].concat(), 2, "`seed` was 0, now 1");
    refused(
        dir.path(),
        &[&generate[..], &["c.txt"]].concat(),
        2,
        "c.manifest.json exists already and describes c.jsonl",
    );
    // Files of somebody else.
    std::fs::create_dir(dir.path().join("mine")).unwrap();
    std::fs::write(dir.path().join("mine/spec.yaml"), NETWORK).unwrap();
    for command in [&search, &quantize, &prune, &train] {
        refused(dir.path(), &[&command[..], &["--out", "mine"]].concat(), 2, "mine holds spec.yaml");
    }
    assert_eq!(std::fs::read_to_string(dir.path().join("mine/spec.yaml")).unwrap(), NETWORK);
}

#[test]
fn every_kind_of_failure_has_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    for (args, code, text) in [
        (&["prune", "@run/weights.safetensors", "--sparsity", "1"][..], 2, "`sparsity` is 1"),
        (&["prune", "@run/weights.safetensors", "--exclude", "("], 2, "regular expression"),
        (&["prune", "@run/weights.safetensors", "--exclude", ".*"], 2, "no weights to prune"),
        (&["quantize", "@run/weights.safetensors", "--bits", "1"], 2, "`bits[0]` is 1"),
        (&["quantize", "@run/weights.safetensors", "--validation", "1.5"], 2, "`validation` is 1.5"),
        (&["quantize", "@net.yaml"], 2, "is a specification without weights, want weights"),
        (&["train", "@run/weights.safetensors"], 2, "is a weight file, want a network's specification"),
        (&["search", "--trials", "0"], 2, "`trials` is 0"),
        (&["search", "--flash", "0"], 2, "is not a size"),
        (&["train", "@net.yaml", "--folds", "1"], 2, "`splits` is 1"),
        (&["train", "@net.yaml", "--folds", "3", "--validation", "0.3"], 2, "cannot be used with"),
        (&["show", "@net.yaml", "--yaml", "--target", "fpga"], 2, "cannot be used with"),
        (&["data", "none"], 2, "built in: digits8x8"),
        (&["search", "--flash", "16"], 3, "keeps the limits"),
        (&["train", "@none.yaml"], 1, "cannot read"),
    ] {
        refused(dir.path(), args, code, text);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "faults leave nothing behind");
    let help = ok(dir.path(), &["--help"]);
    for text in ["An option overrides a file", "130  interrupted", "3    nothing found"] {
        assert!(help.contains(text), "{help}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_says_so_and_continues() {
    use std::process::Stdio;
    let dir = tempfile::tempdir().unwrap();
    let args = Inputs::get().filled(&["train", "@net.yaml", "--epochs", "400"]);
    let mut child = start(dir.path(), &args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !dir.path().join("run/metrics.jsonl").is_file() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let killed =
        std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("finished work is kept in run"), "{}", stderr(&output));
    assert!(dir.path().join("run/checkpoint.safetensors").is_file());
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_quietly_and_a_full_disk_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let tinsmith = env!("CARGO_BIN_EXE_tinsmith");
    let network = Inputs::get().path("net.yaml");
    let shell = |line: String| {
        let output = std::process::Command::new("/bin/bash")
            .args(["-c", &line])
            .current_dir(dir.path())
            .output()
            .unwrap();
        (output.status.code(), stderr(&output))
    };
    for command in
        [format!("show {network}"), "schema".to_owned(), "fleet --help".to_owned(), "data".to_owned()]
    {
        // The reader is gone before the first byte is written.
        let line = format!("set -o pipefail; (sleep 0.2; {tinsmith} {command}) | true");
        let (code, said) = shell(line);
        assert!(code == Some(0) && said.is_empty(), "{command}: {code:?}: {said}");
    }
    let progress = format!(
        "{tinsmith} train {network} --epochs 2 --out piped 2>&1 >/dev/null | true; test -f piped/result.json"
    );
    for _ in 0..20 {
        if shell(progress.clone()).0 == Some(0) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(dir.path().join("piped/result.json").is_file(), "a closed standard error ends no training");
    if Path::new("/dev/full").exists() {
        let (code, said) = shell(format!("{tinsmith} schema > /dev/full"));
        assert_eq!(code, Some(1));
        assert!(
            said.starts_with("error: cannot write to standard output") && said.lines().count() == 1,
            "{said}"
        );
    }
}
