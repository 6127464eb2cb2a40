//! Classes, values and samples as targets: one way from the options of the data to training, evaluation and prediction.

use std::path::Path;

use crate::{stderr, stdout, tinsmith};

fn network(inputs: &str, hidden: &str, outputs: usize) -> String {
    format!(
        "layers:\n  - {{name: x, input: {{shape: {inputs}}}}}\n{hidden}  - {{name: y, dense: {{units: {outputs}}}}}\n"
    )
}

/// A folder with tables of values and of classes, and networks for them.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let noise = |i: usize| (i * 37 % 101) as f64 / 50.0;
    let line = |i: usize| {
        let (a, b) = (noise(i), noise(i + 13));
        format!("{a};{b};{};{}\n", 3.0 * a - b, if a > b { "up" } else { "down, slow" })
    };
    let rows: String = (0..200).map(line).collect();
    write("t.csv", &format!("a;b;v;kind\n{rows}"));
    write("other.csv", &format!("a;b;v;kind\n{}", rows.replace("down, slow", "flat")));
    write(
        "one.csv",
        "a;b;v;kind\n1;2;3;up\n4;3;2;up\n4.5;3;2;up\n4.5;1;2;down, slow\n1;1.5;2;up\n4;1;1;down, slow\n",
    );
    write("value.yaml", &network("[2]", "", 1));
    write("class.yaml", &network("[2]", "  - {name: h, dense: {units: 8, activation: relu}}\n", 2));
    let code = "  - {name: f, flatten: {}}\n  - {name: h, dense: {units: 8, activation: relu}}\n";
    let decoder = "  - {name: r, reshape: {shape: [8, 8, 1]}}\n";
    write("ae.yaml", &(network("[8, 8, 1]", code, 64) + decoder));
    dir
}

#[track_caller]
fn ok(dir: &Path, line: &str) -> String {
    let output = tinsmith(dir, &line.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{line}: {}", stderr(&output));
    stdout(&output)
}

#[track_caller]
fn refused(dir: &Path, line: &str, text: &str) {
    let output = tinsmith(dir, &line.split(' ').collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(2), "{line}: {}{}", stdout(&output), stderr(&output));
    assert!(stderr(&output).contains(text), "{line}: {}", stderr(&output));
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn values_are_learned_by_their_own_loss() {
    let dir = folder();
    let path = dir.path();
    let train = "train value.yaml --data t.csv --label v --ignore kind --learning-rate 0.05 --quiet";
    let said = ok(path, &format!("{train} --epochs 150"));
    let r2 = said.rsplit("R2 ").next().unwrap().split_whitespace().next().unwrap().parse::<f64>().unwrap();
    assert!(r2 > 0.98 && !said.contains("accuracy"), "{said}");
    assert!(ok(path, &format!("{train} --folds 3 --epochs 2")).contains("r2: "));
    // A recipe without a loss follows the targets; one of another loss is refused, and leaves nothing behind.
    std::fs::write(path.join("short.yaml"), "{epochs: 1}").unwrap();
    std::fs::write(path.join("wrong.yaml"), "{epochs: 1, loss: cross_entropy}").unwrap();
    assert!(ok(path, &format!("{train} --training short.yaml --out short")).contains("R2"));
    let wrong = format!("{train} --training wrong.yaml --out wrong");
    refused(path, &wrong, "want `mean_squared_error: {}`");
    assert!(!path.join("wrong").exists());
    // The folder remembers the options.
    refused(path, &train.replace("label v", "label b"), "`table.label` was \"v\", now \"b\"");
    refused(path, &format!("{train} --delimiter ;"), "`table.delimiter` was not set, now \";\"");

    let shown =
        ok(path, "evaluate run/weights.safetensors --data t.csv --label v --ignore kind --json figures.json");
    assert!(shown.contains("RMSE") && shown.contains("normalized by run/normalizer.yaml"), "{shown}");
    let figures = json(&path.join("figures.json"));
    assert!((figures["r2"].as_f64().unwrap() - r2).abs() < 1e-4, "{figures}");
    assert_eq!((figures["rows"].as_u64(), figures["part"].as_str()), (Some(40), Some("test")));
    assert!(figures.get("accuracy").is_none());
    ok(path, "predict run/weights.safetensors --data t.csv --label v --ignore kind");
    let csv = std::fs::read_to_string(path.join("predictions.csv")).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (201, "row,prediction,target"));
    // All rows of a single table are in the order of the file: v = 3 * 0.74 - 1.7 in row 1.
    let cells: Vec<f32> = lines[2].split(',').map(|cell| cell.parse().unwrap()).collect();
    let wanted = 3.0 * 0.74 - (14.0 * 37.0 % 101.0) / 50.0;
    assert!((cells[2] - wanted as f32).abs() < 1e-5 && (cells[1] - cells[2]).abs() < 0.3, "{cells:?}");
}

#[test]
fn classes_keep_their_names_and_numbers() {
    let dir = folder();
    let path = dir.path();
    let data = "--label kind --ignore v";
    ok(path, &format!("train class.yaml --data t.csv {data} --epochs 30 --quiet"));
    let shown =
        ok(path, &format!("evaluate run/weights.safetensors --data t.csv {data} --part all --json f.json"));
    for text in ["balanced accuracy", "down, slow", "true \\ predicted", "200 rows"] {
        assert!(shown.contains(text), "{shown}");
    }
    let figures = json(&path.join("f.json"));
    assert!(figures["accuracy"].as_f64().unwrap() > 0.9, "{figures}");
    let support: u64 =
        figures["classes"].as_array().unwrap().iter().map(|c| c["support"].as_u64().unwrap()).sum();
    let counted: u64 = figures["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| r.as_array().unwrap())
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!((support, counted), (200, 200));
    ok(path, &format!("predict run/weights.safetensors --data one.csv {data} --out one-predictions.csv"));
    let csv = std::fs::read_to_string(path.join("one-predictions.csv")).unwrap();
    assert!(csv.starts_with("row,prediction,probability,target\n0,"), "{csv}");
    assert!(csv.contains("\"down, slow\"") && csv.lines().count() == 7, "{csv}");
    // Another file of the same name is not overwritten.
    refused(
        path,
        &format!("predict run/weights.safetensors --data t.csv {data} --out one-predictions.csv"),
        "exists already",
    );
    refused(
        path,
        &format!("evaluate run/weights.safetensors --data other.csv {data}"),
        "has the class `flat`",
    );
    refused(
        path,
        "evaluate run/weights.safetensors",
        "takes samples of shape [2], the data set `digits8x8` has [8, 8, 1]",
    );
    // Rows without known targets: every column is a feature.
    std::fs::write(path.join("new.csv"), "a;b\n0.1;1.9\n1.9;0.1\n").unwrap();
    ok(path, "predict run/weights.safetensors --data new.csv --targets samples --out new-predictions.csv");
    let csv = std::fs::read_to_string(path.join("new-predictions.csv")).unwrap();
    assert!(
        csv.starts_with("row,prediction,probability\n0,\"down, slow\",") && csv.contains("\n1,up,"),
        "{csv}"
    );
    // Weights away from their run have no normalization.
    std::fs::copy(path.join("run/weights.safetensors"), path.join("w.safetensors")).unwrap();
    let bare = format!("evaluate w.safetensors --data t.csv {data}");
    let output = tinsmith(path, &bare.split(' ').collect::<Vec<_>>());
    assert!(
        stderr(&output).contains("warning: there is no normalizer.yaml beside w.safetensors"),
        "{}",
        stderr(&output)
    );
    assert!(ok(path, &format!("{bare} --normalizer run/normalizer.yaml")).contains("normalized by run/"));
}

#[test]
fn an_autoencoder_is_trained_and_evaluated() {
    let dir = folder();
    let path = dir.path();
    assert!(ok(path, "train ae.yaml --targets samples --epochs 2 --quiet").contains("R2"));
    assert!(ok(path, "evaluate run/weights.safetensors --targets samples").contains("RMSE"));
    refused(
        path,
        "evaluate run/weights.safetensors",
        "puts out [8, 8, 1], the data set `digits8x8` has 10 classes",
    );
    // Fleets: the loss follows the targets, and a head that cannot give them is refused before anything is planned.
    std::fs::create_dir_all(path.join("models/c")).unwrap();
    std::fs::copy(path.join("ae.yaml"), path.join("models/c/ae.yaml")).unwrap();
    let generate = "fleet generate --models c.ae --epochs 1 --no-copy --output P";
    refused(path, generate, "model c.ae: the network puts out [8, 8, 1]");
    assert!(!path.join("P").exists());
    ok(path, &format!("{generate} --targets samples"));
    assert!(std::fs::read_to_string(path.join("P/project.yaml")).unwrap().contains("targets: samples"));
    ok(path, "fleet run P --quiet");
    let weights = std::process::Command::new("find")
        .args(["P/runs", "-name", "weights.safetensors"])
        .current_dir(path)
        .output()
        .unwrap();
    let weights = stdout(&weights);
    assert!(
        ok(path, &format!("evaluate {} --targets samples", weights.trim())).contains("normalized by P/runs")
    );
}

#[test]
fn all_rows_are_trained_on_without_validation() {
    let dir = folder();
    let path = dir.path();
    let line = "train class.yaml --data t.csv --label kind --ignore v --epochs 2 --quiet --validation";
    let said = ok(path, &format!("{line} 0"));
    assert!(!said.contains("validation:") && said.contains("test: loss"), "{said}");
    assert!(json(&path.join("run/result.json"))["validation"].is_null());
    refused(path, &format!("{line} 1 --out other"), "`validation` is 1");
    refused(path, "search --validation 0 --trials 1", "`validation` is 0");
}

#[test]
fn warnings_are_shown_once_also_with_quiet() {
    let dir = folder();
    let path = dir.path();
    let rows: String = (0..60).map(|i| format!("{},{},{}\n", 100 + i, i * 7 % 11, i % 2)).collect();
    std::fs::write(path.join("warned.csv"), format!("a,b,label\n{rows}")).unwrap();
    for quiet in [true, false] {
        let out = format!("run-{quiet}");
        let mut line = vec!["train", "class.yaml", "--data", "warned.csv", "--epochs", "1", "--out", &out];
        if quiet {
            line.push("--quiet");
        }
        let output = tinsmith(path, &line);
        assert!(output.status.success(), "{}", stderr(&output));
        let said = stderr(&output);
        assert_eq!(said.matches("warning: warned.csv: column `a` counts the rows").count(), 1, "{said}");
    }
}
