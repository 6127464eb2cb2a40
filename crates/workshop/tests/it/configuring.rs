//! Configurations are read with their defaults, written out in full, and refused with a place.

use std::path::Path;

use tinsmith_workshop::{ByteSize, DesignConfig, WorkshopError};

fn read(text: &str) -> Result<DesignConfig, Box<WorkshopError>> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("design.yaml");
    std::fs::write(&path, text).unwrap();
    Ok(DesignConfig::load(&path)?)
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = read("flash: 4KiB\nsearch: {mutations: 3}\n").unwrap();
    assert_eq!(config.flash, ByteSize(4096));
    assert_eq!(config.search.mutations, 3);
    let defaults = DesignConfig::default();
    assert_eq!(config.trials, defaults.trials);
    assert_eq!(config.folder(), Path::new("design-digits8x8"));
}

#[test]
fn what_depends_on_the_data_is_written_out() {
    let data = tinsmith_data::load("digits8x8").unwrap().train;
    let config = DesignConfig::default().resolved(&data);
    assert_eq!((config.epochs, config.batch_size, config.refit), (Some(60), Some(32), Some(true)));
    assert!(config.search.budget.is_some() && config.quantize.trials.is_some() && config.augment.is_some());
    assert_eq!(config.clone().resolved(&data), config, "what is resolved stays");
    let text = tinsmith_foundation::config::to_yaml("configuration", &config).unwrap();
    assert_eq!(read(&text).unwrap(), config);
}

#[test]
fn faults_have_a_place() {
    for (text, expected) in [
        ("flash: lots\n", "design.yaml:1:8: "),
        ("search:\n  mutatoins: 3\n", "design.yaml:2:3: "),
        ("seeds: 0\nprune: {sparsities: [0.5, 1.0]}\n", "design.yaml:1:8: `seeds` is 0"),
        ("prune: {sparsities: [0.5, 1.0]}\n", "design.yaml:1:27: `prune.sparsities[1]` is 1"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}
