//! Kernels other than matrix products: depthwise convolutions, pooling, batch normalization, cross-entropy and the
//! optimizers, at the sizes of small networks. Throughput is in elements of the larger operand.

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use tinsmith_foundation::Seed;
use tinsmith_kernels::batch_norm::{batch_norm_fused, batch_norm_gradient, moments};
use tinsmith_kernels::depthwise::{
    depthwise_fused, depthwise_input_gradient_into, depthwise_parameter_gradients,
};
use tinsmith_kernels::epilogue::{Epilogue, GradientSink, ParameterGradients};
use tinsmith_kernels::gate::{Gate, gate_words};
use tinsmith_kernels::optimizer::{Adam, Terms, adam, lion, sgd_momentum};
use tinsmith_kernels::pool::{average_pool, average_pool_gradient_into, max_pool, max_pool_gradient_into};
use tinsmith_kernels::softmax::{Targets, softmax_cross_entropy};
use tinsmith_kernels::{Conv2dGeometry, Pool2dGeometry};

fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Seed::new(seed).rng();
    (0..count).map(|_| rng.normal() as f32).collect()
}

fn group<'a>(criterion: &'a mut Criterion, name: &str, values: usize) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(values as u64));
    group
}

fn depthwise(criterion: &mut Criterion) {
    for (name, x, kernel, stride) in [
        ("100x25x5x64, 3x3", [100, 25, 5, 64], (3, 3), 1),
        ("8x25x5x64, 3x3", [8, 25, 5, 64], (3, 3), 1),
        ("8x48x48x16, 3x3, stride 2", [8, 48, 48, 16], (3, 3), 2),
        ("16x128x32, 5", [16, 1, 128, 32], (1, 5), 1),
        ("64x128x24, 5", [64, 1, 128, 24], (1, 5), 1),
        ("32x16x16x33, 3x3", [32, 16, 16, 33], (3, 3), 1),
    ] {
        let geometry = Conv2dGeometry { stride: (stride, stride), ..Conv2dGeometry::default() };
        let geometry = geometry.same((x[1], x[2]), kernel);
        let shape = geometry.resolve_depthwise("bench", &x, &[kernel.0, kernel.1, x[3], 1]).expect("it fits");
        let c = x[3];
        let (x, w, bias) = (normal(1, shape.input_len()), normal(2, shape.kernel_len()), normal(3, c));
        let dy = normal(4, shape.output_len());
        let (mut out, mut dx, mut dw, mut db) = (dy.clone(), x.clone(), w.clone(), bias.clone());
        let mut bits = vec![0; gate_words(dy.len() / c, c)];
        let gate = vec![0x5a5a; gate_words(x.len() / c, c)];
        let mut group = group(criterion, &format!("depthwise/{name}"), x.len());
        for threads in [1, 2] {
            group.bench_function(format!("forward/{threads}"), |b| {
                b.iter(|| {
                    let epilogue = Epilogue { bias: Some(&bias), gate: Gate::RELU, bits: &mut bits };
                    depthwise_fused(&mut out, &x, &w, epilogue, &shape, threads);
                });
            });
            group.bench_function(format!("input gradient/{threads}"), |b| {
                let sink = GradientSink { gate: &gate, accumulate: false };
                b.iter(|| depthwise_input_gradient_into(&mut dx, &dy, &w, sink, &shape, threads));
            });
            group.bench_function(format!("parameter gradients/{threads}"), |b| {
                b.iter(|| {
                    let to = ParameterGradients { kernel: &mut dw, bias: Some(&mut db), accumulate: false };
                    depthwise_parameter_gradients(to, &x, &dy, &shape, threads);
                });
            });
        }
        group.finish();
    }
}

fn batch_normalization(criterion: &mut Criterion) {
    for (rows, c) in [(12_500, 64), (32_768, 16), (1024, 7)] {
        let (x, dy, gamma, beta) = (normal(1, rows * c), normal(2, rows * c), normal(3, c), normal(4, c));
        let (mut mean, mut variance) = (vec![0.0; c], vec![0.0; c]);
        let (mut out, mut dx, mut d_gamma, mut d_beta) = (x.clone(), x.clone(), gamma.clone(), beta.clone());
        let mut bits = vec![0; gate_words(rows, c)];
        let mut group = group(criterion, &format!("batch_norm/{rows}x{c}"), x.len());
        for threads in [1, 2] {
            group.bench_function(format!("moments/{threads}"), |b| {
                b.iter(|| moments(&mut mean, &mut variance, &x, threads));
            });
            let moments = (&*mean, &*variance);
            group.bench_function(format!("forward/{threads}"), |b| {
                b.iter(|| {
                    let epilogue = Epilogue { bias: None, gate: Gate::RELU, bits: &mut bits };
                    batch_norm_fused(&mut out, &x, (&gamma, &beta), moments, 1e-3, epilogue, threads);
                });
            });
            group.bench_function(format!("gradient/{threads}"), |b| {
                b.iter(|| {
                    let gradients = (&mut *dx, &mut *d_gamma, &mut *d_beta);
                    batch_norm_gradient(gradients, &dy, &x, &gamma, moments, 1e-3, threads);
                });
            });
        }
        group.finish();
    }
}

fn pooling(criterion: &mut Criterion) {
    for (name, x, window) in [
        ("128x26x26x32, 2x2", [128, 26, 26, 32], (2, 2)),
        ("8x28x28x32, 2x2", [8, 28, 28, 32], (2, 2)),
        ("64x128x24, 2", [64, 1, 128, 24], (1, 2)),
        ("100x25x5x64, all", [100, 25, 5, 64], (25, 5)),
    ] {
        let shape = Pool2dGeometry::new(window).resolve("bench", &x).expect("it fits");
        let (x, dy) = (normal(1, shape.input_len()), normal(2, shape.output_len()));
        let (mut out, mut dx, mut taps) = (dy.clone(), x.clone(), vec![0; shape.taps_len()]);
        let c = shape.channels;
        let gate = vec![0x5a5a; gate_words(x.len() / c, c)];
        let sink = GradientSink { gate: &gate, accumulate: false };
        let mut group = group(criterion, &format!("pool/{name}"), x.len());
        group.bench_function("max", |b| b.iter(|| max_pool(&mut out, &mut taps, &x, &shape, 1)));
        group.bench_function("max gradient", |b| {
            b.iter(|| max_pool_gradient_into(&mut dx, &dy, &taps, sink, &shape, 1));
        });
        group.bench_function("average", |b| b.iter(|| average_pool(&mut out, &x, &shape, 1)));
        group.bench_function("average gradient", |b| {
            b.iter(|| average_pool_gradient_into(&mut dx, &dy, sink, &shape, 1));
        });
        group.finish();
    }
}

fn cross_entropy(criterion: &mut Criterion) {
    for (rows, classes) in [(1024, 5), (128, 10), (64, 6)] {
        let logits = normal(1, rows * classes);
        let labels: Vec<u32> = (0..rows).map(|i| (i * 7 % classes) as u32).collect();
        let mut gradient = logits.clone();
        let mut group = group(criterion, "softmax_cross_entropy", logits.len());
        group.bench_function(format!("{rows}x{classes}"), |b| {
            let targets = Targets::Classes(&labels);
            b.iter(|| softmax_cross_entropy(&mut gradient, &logits, targets, 0.0, classes, 1));
        });
        group.finish();
    }
}

fn optimizers(criterion: &mut Criterion) {
    for n in [2000, 60_000, 1_900_000] {
        let (mut w, g) = (normal(1, n), normal(2, n));
        let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
        let terms = Terms::default();
        let constants = Adam { rate: 1e-6, rest_1: 0.1, rest_2: 0.001, epsilon: 1e-7 };
        let mut group = group(criterion, &format!("optimizer/{n}"), n);
        for threads in [1, 2] {
            group.bench_function(format!("momentum/{threads}"), |b| {
                b.iter(|| sgd_momentum(&mut w, &g, &mut m, (1e-6, 0.9, false), &terms, threads));
            });
            group.bench_function(format!("adam/{threads}"), |b| {
                b.iter(|| adam(&mut w, &g, (&mut m, &mut v, &mut []), constants, &terms, threads));
            });
            group.bench_function(format!("lion/{threads}"), |b| {
                b.iter(|| lion(&mut w, &g, &mut m, (1e-6, 0.9, 0.99), &terms, threads));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, depthwise, batch_normalization, pooling, cross_entropy, optimizers);
criterion_main!(benches);
