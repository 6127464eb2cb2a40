//! Initial weights, in values per second, at the sizes of a bias, a small kernel and a dense layer.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tinsmith_core_tensor::{Fans, Initializer};
use tinsmith_foundation::Seed;

fn initializers(criterion: &mut Criterion) {
    for (name, initializer) in [
        ("uniform", Initializer::GlorotUniform),
        ("normal", Initializer::RandomNormal { mean: 0.0, std: 0.05 }),
        ("truncated normal", Initializer::GlorotNormal),
    ] {
        let mut group = criterion.benchmark_group(format!("initializers/{name}"));
        for count in [64_usize, 2_304, 1_900_000] {
            let mut values = vec![0.0; count];
            let fans = Fans::of_kernel(&[count]);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(count), |b| {
                b.iter(|| initializer.fill(&mut values, fans, &mut Seed::new(1).rng()));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, initializers);
criterion_main!(benches);
