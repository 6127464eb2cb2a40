//! Tests of `docs/fleets.md`: its commands run, its files are read, its table of keys is complete.

use std::path::Path;
use std::process::{Command, Output};

use tinsmith_fleet::slurm::SlurmConfig;

const PAGE: &str = include_str!("../../../../docs/fleets.md");

/// A folder with the models that the page names, and a `bin` with the command alone, so that Slurm is not found.
fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, units) in [("small", 4), ("large", 8)] {
        let text = format!(
            "layers: [{{name: x, input: {{shape: [8, 8, 1]}}}}, {{name: f, flatten: {{}}}}, \
             {{name: h, dense: {{units: {units}}}}}, {{name: y, dense: {{units: 10}}}}]"
        );
        let folder = dir.path().join("models/classifier");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name).with_extension("yaml"), text).unwrap();
    }
    std::fs::create_dir(dir.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tinsmith"), dir.path().join("bin/tinsmith")).unwrap();
    dir
}

fn shell(dir: &Path, line: &str) -> Output {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir(dir).env("PATH", dir.join("bin"));
    command.output().unwrap()
}

#[track_caller]
fn ok(dir: &Path, line: &str) -> String {
    let output = shell(dir, line);
    assert!(output.status.success(), "{line}:\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    PAGE.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let dir = site();
    let lines: Vec<&str> = blocks("text")[0].lines().collect();
    assert_eq!(lines.len(), 10);
    for line in lines {
        ok(dir.path(), line);
    }
    let shown = ok(dir.path(), "tinsmith fleet show P");
    assert!(shown.contains("10 of 10 runs done") && shown.contains("the third is odd"), "{shown}");

    let table = PAGE.split("## Coming from submitit").nth(1).unwrap();
    let commands: Vec<&str> = table.split('`').filter(|code| code.starts_with("fleet ")).collect();
    assert!(commands.len() >= 20, "{commands:?}");
    for command in commands {
        let word = command.split(' ').nth(1).unwrap();
        let dry = if ["submit", "retry"].contains(&word) && !command.contains("--dry-run") {
            " --dry-run"
        } else {
            ""
        };
        ok(dir.path(), &format!("tinsmith {command}{dry}"));
    }
}

#[test]
fn the_files_of_the_page_are_read() {
    let dir = site();
    let (sweeps, settings): (Vec<&str>, Vec<&str>) =
        blocks("yaml").into_iter().partition(|text| text.starts_with("design:"));
    assert_eq!((sweeps.len(), settings.len()), (4, 1));
    let points = [12, 20, 10, 2];
    for (i, (text, points)) in sweeps.into_iter().zip(points).enumerate() {
        std::fs::write(dir.path().join("sweep.yaml"), text).unwrap();
        ok(
            dir.path(),
            &format!("tinsmith fleet generate --models classifier.small --sweep sweep.yaml --output s{i}"),
        );
        assert_eq!(
            ok(dir.path(), &format!("tinsmith fleet export s{i}")).lines().count(),
            1 + points,
            "{text}"
        );
    }
    std::fs::write(dir.path().join("slurm.yaml"), settings[0]).unwrap();
    ok(dir.path(), "tinsmith fleet generate --models classifier.small --slurm slurm.yaml --output P");
    let script = ok(dir.path(), "tinsmith fleet submit P --dry-run");
    assert!(script.contains("--time=30\n") && script.contains("\nmodule load gcc\n"), "{script}");
}

#[test]
fn every_key_is_explained() {
    let chapter = PAGE.split("## Submission settings").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut explained: Vec<&str> =
        chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    explained.sort_unstable();
    let config = serde_json::to_value(SlurmConfig::default()).unwrap();
    let mut keys: Vec<&String> = config.as_object().unwrap().keys().collect();
    keys.sort_unstable();
    assert_eq!(explained, keys);
}
