//! Network generation: drawing, costing, hashing, writing and reading.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tinsmith_cost::{Cost, Target};
use tinsmith_foundation::{CancelToken, Seed, Silent, WorkerScope};
use tinsmith_modelgen::{CorpusConfig, GeneratorConfig, ModelGenerator, generate, load_models};
use tinsmith_network::{ModelSpec, StructuralHash};

/// Weight layers of the drawn networks.
const DEPTHS: [usize; 3] = [3, 5, 8];
/// Networks per depth, so that a figure averages over many.
const NETWORKS: u64 = 64;

fn draw_all(generator: &ModelGenerator, depth: usize) -> Vec<ModelSpec> {
    let seeds = (0..NETWORKS).map(|i| Seed::new(1).derive("model", i));
    seeds.filter_map(|seed| generator.draw(depth, seed).ok()).collect()
}

fn single(criterion: &mut Criterion) {
    let Ok(generator) = ModelGenerator::new(GeneratorConfig::default()) else { return };
    let target = Target::default();
    let mut group = criterion.benchmark_group("modelgen");
    group.throughput(Throughput::Elements(NETWORKS));
    for depth in DEPTHS {
        group.bench_function(BenchmarkId::new("draw", depth), |b| {
            b.iter(|| black_box(draw_all(&generator, depth)));
        });
        let specs = draw_all(&generator, depth);
        group.bench_function(BenchmarkId::new("graph", depth), |b| {
            b.iter(|| specs.iter().filter(|spec| black_box(spec.graph()).is_ok()).count());
        });
        let graphs: Vec<_> =
            specs.iter().filter_map(|spec| spec.graph().ok().map(|graph| (spec, graph))).collect();
        group.bench_function(BenchmarkId::new("cost", depth), |b| {
            b.iter(|| {
                graphs
                    .iter()
                    .map(|(spec, graph)| Cost::with_graph(spec, graph, &target).total.params)
                    .sum::<u64>()
            });
        });
        group.bench_function(BenchmarkId::new("hash", depth), |b| {
            b.iter(|| {
                for (spec, graph) in &graphs {
                    black_box(StructuralHash::of(spec, graph));
                }
            });
        });
        group.bench_function(BenchmarkId::new("json", depth), |b| {
            b.iter(|| {
                specs.iter().filter_map(|s| serde_json::to_vec(s).ok()).map(|t| t.len()).sum::<usize>()
            });
        });
        let keras: Vec<String> =
            specs.iter().filter_map(|spec| tinsmith_keras::write_json(spec).ok()).collect();
        group.bench_function(BenchmarkId::new("keras_write", depth), |b| {
            b.iter(|| {
                specs
                    .iter()
                    .filter_map(|s| tinsmith_keras::write_json(s).ok())
                    .map(|t| t.len())
                    .sum::<usize>()
            });
        });
        group.bench_function(BenchmarkId::new("keras_read", depth), |b| {
            b.iter(|| keras.iter().filter(|text| tinsmith_keras::read_json(text, "network").is_ok()).count());
        });
    }
    group.finish();
}

fn corpus(criterion: &mut Criterion) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let mut group = criterion.benchmark_group("modelgen");
    group.sample_size(10);
    for count in [1_000, 4_000, 16_000] {
        let config = CorpusConfig { count, ..CorpusConfig::default() };
        let out = folder.path().join("corpus.jsonl");
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("write", count), |b| {
            b.iter(|| {
                generate(&config, &out, WorkerScope::available(), &CancelToken::new(), &Silent)
                    .map(|manifest| manifest.written)
            });
        });
        group.bench_function(BenchmarkId::new("read", count), |b| {
            b.iter(|| load_models(&out).map(|models| models.filter(Result::is_ok).count()));
        });
    }
    group.finish();
}

criterion_group!(benches, single, corpus);
criterion_main!(benches);
