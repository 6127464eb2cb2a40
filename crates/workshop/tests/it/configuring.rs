//! Configurations are read with defaults, resolved into plans, and refused with a position.

use std::path::Path;

use tinsmith_workshop::{ByteSize, DesignConfig, DesignPlan, WorkshopError};

fn read(text: &str) -> Result<DesignConfig, Box<WorkshopError>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("design.yaml");
    std::fs::write(&path, text).unwrap();
    Ok(DesignConfig::load(&path)?)
}

#[test]
fn omitted_fields_have_their_defaults() {
    let config = read("flash: 4KiB\nsearch: {mutations: 3}\n").unwrap();
    assert_eq!(config.flash, ByteSize(4096));
    assert_eq!(config.search.mutations, 3);
    let defaults = DesignConfig::default();
    assert_eq!(config.trials, defaults.trials);
    assert_eq!(config.folder(), Path::new("design-digits8x8"));
}

#[test]
fn a_plan_decides_everything_that_depends_on_the_data() {
    let data = tinsmith_data::load("digits8x8").unwrap().train;
    let plan = DesignConfig::default().resolve(&data);
    assert_eq!((plan.epochs, plan.batch_size, plan.refit), (60, 32, true));
    assert_eq!(plan.as_config().resolve(&data), plan, "a resolved configuration stays as it is");
    let text = tinsmith_foundation::config::to_yaml("configuration", &plan).unwrap();
    assert_eq!(read(&text).unwrap(), plan.as_config());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, &text).unwrap();
    assert_eq!(DesignPlan::load(&path).unwrap(), plan);
    // Every line of the top level is required.
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with([' ', '-'])) {
        let rest: Vec<&str> = text.lines().enumerate().filter(|(n, _)| *n != i).map(|(_, l)| l).collect();
        std::fs::write(&path, rest.join("\n")).unwrap();
        assert!(DesignPlan::load(&path).is_err(), "without {line}");
    }
}

#[test]
fn options_of_the_data_are_part_of_configuration_and_plan() {
    let config = read("table: {label: kind, ignore: note, targets: classes}\n").unwrap();
    assert_eq!(
        (config.table.label.as_deref(), config.table.ignore.as_slice()),
        (Some("kind"), &["note".to_owned()][..])
    );
    let data = tinsmith_data::load("digits8x8").unwrap().train;
    let text = |config: DesignConfig| {
        tinsmith_foundation::config::to_yaml("configuration", &config.resolve(&data)).unwrap()
    };
    assert!(text(config.clone()).contains("label: kind"));
    assert!(!text(DesignConfig::default()).contains("table"), "plans without options stay as they are");
    assert_eq!(config.clone().resolve(&data).as_config().table, config.table);
}

#[test]
fn faults_have_a_position() {
    for (text, expected) in [
        ("flash: lots\n", "design.yaml:1:8: "),
        ("search:\n  mutatoins: 3\n", "design.yaml:2:3: "),
        ("table:\n  decimal: x\n", "design.yaml:2:12: `table.decimal` is `x`"),
        ("seeds: 0\nprune: {sparsities: [0.5, 1.0]}\n", "design.yaml:1:8: `seeds` is 0"),
        ("prune: {sparsities: [0.5, 1.0]}\n", "design.yaml:1:27: `prune.sparsities[1]` is 1"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}
