//! `tinsmith generate` from outside.

use std::fs;

use crate::{stderr, stdout, tinsmith};

#[test]
fn corpora_do_not_depend_on_jobs_and_options_reach_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = tinsmith(dir.path(), &[&["generate", "--quiet", "--seed", "3"], args].concat());
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        stdout(&output)
    };
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    for jobs in ["1", "2"] {
        let out = format!("{jobs}.jsonl");
        let said =
            run(&["--count", "300", "--jobs", jobs, "--files", "2", "--params", "200000", "--out", &out]);
        assert!(said.contains("300 networks written to"), "{said}");
        assert!(said.contains("over the limit of params, 200,000"), "{said}");
    }
    assert_eq!(read("1-000.jsonl"), read("2-000.jsonl"));
    assert_eq!(read("1-001.jsonl"), read("2-001.jsonl"));
    let manifest: serde_json::Value = serde_json::from_slice(&read("1.manifest.json")).unwrap();
    assert_eq!(manifest["config"]["limits"]["params"], 200_000);
    assert_eq!(
        (&manifest["config"]["seed"], &manifest["config"]["target"]["name"]),
        (&3.into(), &"mcu-packed".into())
    );

    fs::write(
        dir.path().join("corpus.yaml"),
        "{count: 20, files: 4, family: {dense_ub: 64}, target: {name: mine}}",
    )
    .unwrap();
    run(&["--config", "corpus.yaml", "--files", "1", "--duplicates", "count", "--out", "c.jsonl.gz"]);
    let manifest: serde_json::Value = serde_json::from_slice(&read("c.manifest.json")).unwrap();
    assert_eq!((&manifest["written"], &manifest["files"][0]["name"]), (&20.into(), &"c.jsonl.gz".into()));
    assert_eq!(manifest["config"]["family"]["dense_ub"], 64);
    assert_eq!(manifest["config"]["duplicates"], "count");
    assert_eq!(manifest["config"]["target"]["name"], "mine");
}

#[test]
fn keras_models_are_written_and_what_keras_lacks_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run =
        |args: &[&str]| tinsmith(dir.path(), &[&["generate", "--quiet", "--count", "4"], args].concat());
    // The default family holds kinds only that Keras and QKeras have.
    let default = run(&["--format", "keras", "--out", "d.txt"]);
    assert!(default.status.success(), "{}", stderr(&default));
    fs::write(dir.path().join("all.yaml"), "default_kinds: all\n").unwrap();
    let refused = run(&["--format", "keras", "--family", "all.yaml"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("lacks QDepthwiseConv1D"), "{}", stderr(&refused));
    fs::write(dir.path().join("family.yaml"), "{default_kinds: all, layers_blacklist: [QDepthwiseConv1D]}\n")
        .unwrap();
    let text = run(&["--format", "keras", "--family", "family.yaml", "--out", "k.txt"]);
    assert!(text.status.success(), "{}", stderr(&text));
    assert_eq!(
        fs::read_to_string(dir.path().join("k.txt")).unwrap().matches("\n--------------\n").count(),
        4
    );
    let batch =
        run(&["--format", "keras-batch", "--input", "28,28,1", "--classes", "7", "--out", "batch.json"]);
    assert!(batch.status.success(), "{}", stderr(&batch));
    let models: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("batch.json")).unwrap()).unwrap();
    assert_eq!(models.as_object().unwrap().len(), 4);
    assert!(models["model_0"].as_str().unwrap().contains("\"class_name\":\"Functional\""));
}

#[test]
fn structured_sets_are_written_with_their_coverage() {
    let dir = tempfile::tempdir().unwrap();
    let text = "structure: {layers: [{size: {lb: 8, ub: 64}}, {size: {lb: 8, ub: 64}}]}\ndesign: {sobol: {points: 8, seed: 1}}\n";
    fs::write(dir.path().join("design.yaml"), text).unwrap();
    let args = ["generate", "--quiet", "--design", "design.yaml", "--out", "d.jsonl"];
    let output = tinsmith(dir.path(), &args);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("8 of 16 networks written to d.jsonl"), "{}", stdout(&output));
    assert!(fs::read_to_string(dir.path().join("d.coverage.svg")).unwrap().starts_with("<svg"));
    assert_eq!(fs::read_to_string(dir.path().join("d.jsonl")).unwrap().lines().count(), 8);
    let both = tinsmith(dir.path(), &[&args[..], &["--count", "3"]].concat());
    assert_eq!(both.status.code(), Some(2), "{}", stderr(&both));
}
