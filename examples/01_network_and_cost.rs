//! A network as data: parsing, shapes and the cost on several targets, before anything is built.
//!
//! Run with `cargo run --example 01_network_and_cost`.

#![expect(clippy::print_stdout, reason = "examples print their results")]

use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_network::ModelSpec;

/// A layer without `inputs` follows the one above it; `s` adds a shortcut around the second convolution.
const NETWORK: &str = "
name: small
layers:
  - {name: x, input: {shape: [28, 28, 1]}}
  - {name: c1, conv2d: {filters: 8, kernel: 3, stride: 2, padding: same, activation: relu}}
  - {name: c2, conv2d: {filters: 8, kernel: 3, padding: same, activation: relu}}
  - {name: s, inputs: [c1, c2], add: {}}
  - {name: g, global_average_pool2d: {}}
  - {name: y, dense: {units: 10}}
";

fn main() -> anyhow::Result<()> {
    let spec = ModelSpec::parse(NETWORK, "network.yaml")?;
    println!("{}", spec.summary()?);

    // The same network has different costs on different targets.
    for name in Target::BUILTIN {
        let target = Target::load(name)?;
        let cost = Cost::of(&spec, &target)?;
        println!(
            "{name:>11}: {:>6} bytes of flash, {:>6} of RAM",
            cost.total.flash_bytes, cost.peak_ram.bytes
        );
    }

    // A violation names the limit and the excess.
    let target = Target::load("mcu-int8")?;
    let cost: Cost = Cost::of(&spec, &target)?;
    let limits = Limits { flash: Some(64 << 10), ram: Some(2 << 10), ..Limits::default() };
    let broken = limits.check(&cost);
    for violation in &broken {
        println!("does not fit: {violation}");
    }
    assert_eq!(broken.len(), 1, "the RAM is too small, the flash is not");

    // Faults come with line and column.
    let Err(error) = ModelSpec::parse(&NETWORK.replace("kernel: 3, stride: 2", "kernel: 0"), "network.yaml")
    else {
        anyhow::bail!("a kernel of size 0 is refused");
    };
    println!("{error}");
    assert!(error.to_string().starts_with("network.yaml:5:"));
    Ok(())
}
