//! Random networks within a budget, reproducible by seed.
//!
//! Run with `cargo run --example 02_random_networks`.

#![expect(clippy::print_stdout, reason = "examples print their results")]

use std::collections::BTreeSet;

use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::Seed;
use tinsmith_modelgen::{GeneratorConfig, ModelGenerator};

fn main() -> anyhow::Result<()> {
    let target = Target::load("mcu-int8")?;
    let limits = Limits { flash: Some(16 << 10), ram: Some(8 << 10), ..Limits::default() };

    // Classifiers of series with 128 steps and 6 channels into 7 classes.
    let generator = ModelGenerator::new(GeneratorConfig::for_task(&[128, 6], 7))?;
    let networks = generator.candidates(20, Seed::new(1), &limits, &target)?;

    let mut hashes = BTreeSet::new();
    for spec in &networks {
        let cost = Cost::of(spec, &target)?;
        let kinds: Vec<&str> = spec.layers.iter().map(|layer| layer.op.name()).collect();
        println!("{:>6} flash {:>5} RAM  {}", cost.total.flash_bytes, cost.peak_ram.bytes, kinds.join(" "));
        assert!(limits.check(&cost).is_empty());
        hashes.insert(spec.structural_hash()?);
    }
    assert_eq!(hashes.len(), networks.len(), "all structures differ");

    let again = generator.candidates(20, Seed::new(1), &limits, &target)?;
    assert_eq!(again, networks);
    Ok(())
}
