//! Costs of a search per candidate: parsing, resolving, costing and hashing a specification.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use tinsmith_cost::autoqkeras::bits::{Bits, BitsConfig};
use tinsmith_cost::autoqkeras::energy::{Energy, EnergyConfig};
use tinsmith_cost::autoqkeras::widths::Assignment;
use tinsmith_cost::{Cost, Target};
use tinsmith_network::ModelSpec;

/// Loads a network of the reference data.
fn golden(name: &str) -> ModelSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/keras/tests/golden/models")
        .join(name)
        .join("architecture.json");
    let text = std::fs::read_to_string(&path).expect("the reference data are in the repository");
    tinsmith_keras::read_json(&text, name).expect("the reference data are valid")
}

fn costs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cost");
    let target = Target::builtin("mcu-int8").expect("it is built in");
    for name in ["cnn", "resnet"] {
        let spec = golden(name);
        let graph = spec.graph().expect("the reference data are valid");
        group.bench_function(format!("{name}/resolve"), |b| b.iter(|| black_box(&spec).graph()));
        group.bench_function(format!("{name}/cost"), |b| {
            b.iter(|| Cost::with_graph(black_box(&spec), black_box(&graph), &target));
        });
        group.bench_function(format!("{name}/resolve and cost"), |b| {
            b.iter(|| Cost::of(black_box(&spec), &target));
        });
        let (bits, energy) = (BitsConfig::default(), EnergyConfig::default());
        group.bench_function(format!("{name}/autoqkeras bits"), |b| {
            b.iter(|| Bits::of(black_box(&spec), &graph, &bits));
        });
        group.bench_function(format!("{name}/autoqkeras energy"), |b| {
            b.iter(|| Energy::of(black_box(&spec), &graph, Assignment::default(), &energy));
        });
    }
    group.finish();
}

fn texts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("network");
    for name in ["cnn", "resnet"] {
        let spec = golden(name);
        let yaml = spec.to_yaml().expect("every specification has a YAML form");
        group.bench_function(format!("{name}/parse"), |b| {
            b.iter(|| ModelSpec::parse(black_box(&yaml), name));
        });
        group.bench_function(format!("{name}/hash"), |b| b.iter(|| black_box(&spec).structural_hash()));
    }
    group.finish();
}

criterion_group!(benches, costs, texts);
criterion_main!(benches);
