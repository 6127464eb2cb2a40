//! Forward pass, input gradient and parameter gradients of layers at the sizes of small networks, on one thread.
//! Throughput is in multiply-adds, skipped ones included; FLOP/s are twice that.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tinsmith_foundation::Seed;
use tinsmith_kernels::Conv2dGeometry;
use tinsmith_kernels::conv::{
    ConvShape, conv2d_fused, conv2d_input_gradient_into, conv2d_parameter_gradients,
};
use tinsmith_kernels::dense::{dense_fused, dense_input_gradient_into, dense_parameter_gradients};
use tinsmith_kernels::epilogue::{Epilogue, GradientSink, ParameterGradients};
use tinsmith_kernels::gate::{Gate, gate_words};

fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = Seed::new(seed).rng();
    (0..count).map(|_| rng.normal() as f32).collect()
}

/// Batch, inputs, outputs, and the percentage of nonzero inputs and output gradients, as after a rectifier.
const DENSE: [((usize, usize, usize), u64); 8] = [
    ((1024, 16, 64), 100),
    ((1024, 64, 32), 100),
    ((1024, 32, 5), 100),
    ((128, 3136, 128), 100),
    ((128, 1000, 800), 100),
    ((128, 1000, 800), 50),
    ((128, 1000, 800), 40),
    ((128, 1000, 800), 20),
];

/// Sets random values to zero and keeps `kept` percent.
fn thin_out(values: &mut [f32], kept: u64) {
    let mut rng = Seed::new(5).rng();
    values.iter_mut().filter(|_| rng.below(100) >= kept).for_each(|value| *value = 0.0);
}

fn dense(c: &mut Criterion) {
    let mut group = c.benchmark_group("core-tensor/dense");
    for (sizes @ (batch, inputs, outputs), kept) in DENSE {
        let zeros = if kept < 100 { format!(", {kept} % not 0") } else { String::new() };
        let name = format!("{inputs}-{outputs} batch {batch}{zeros}");
        group.throughput(Throughput::Elements((batch * inputs * outputs) as u64));
        let (mut x, w) = (normal(1, batch * inputs), normal(2, inputs * outputs));
        let (bias, mut dy) = (normal(3, outputs), normal(4, batch * outputs));
        thin_out(&mut x, kept);
        thin_out(&mut dy, kept);
        let mut out = vec![0.0; batch * outputs];
        let mut bits = vec![0; gate_words(batch, outputs)];
        group.bench_function(BenchmarkId::new("forward", &name), |b| {
            b.iter(|| {
                let epilogue = Epilogue { bias: Some(&bias), gate: Gate::RELU, bits: &mut bits };
                dense_fused(black_box(&mut out), &x, &w, epilogue, sizes, 1);
            });
        });
        let mut dx = vec![0.0; batch * inputs];
        group.bench_function(BenchmarkId::new("input gradient", &name), |b| {
            b.iter(|| {
                dense_input_gradient_into(black_box(&mut dx), &dy, &w, GradientSink::default(), sizes, 1);
            });
        });
        let (mut dw, mut db) = (vec![0.0; inputs * outputs], vec![0.0; outputs]);
        group.bench_function(BenchmarkId::new("parameter gradients", &name), |b| {
            b.iter(|| {
                let (kernel, bias) = (black_box(&mut *dw), Some(&mut *db));
                let to = ParameterGradients { kernel, bias, accumulate: false };
                dense_parameter_gradients(to, &x, &dy, sizes, 1);
            });
        });
    }
    group.finish();
}

/// Batch, input (height, width, channels), kernel (height, width), stride, filters; padded to the same size.
type Conv = (usize, (usize, usize, usize), (usize, usize), usize, usize);

const CONV: [Conv; 7] = [
    (128, (28, 28, 1), (3, 3), 1, 32),
    (128, (14, 14, 32), (3, 3), 1, 64),
    (64, (1, 64, 32), (1, 5), 1, 64),
    (32, (32, 32, 16), (3, 3), 1, 16),
    (32, (32, 32, 16), (3, 3), 2, 32),
    (32, (8, 8, 64), (3, 3), 1, 64),
    (100, (25, 5, 64), (1, 1), 1, 64),
];

fn shape((batch, (h, w, channels), kernel, stride, filters): Conv) -> Option<ConvShape> {
    let geometry = Conv2dGeometry { stride: (stride, stride), ..Conv2dGeometry::default() };
    let geometry = geometry.same((h, w), kernel);
    geometry.resolve("bench", &[batch, h, w, channels], &[kernel.0, kernel.1, channels, filters]).ok()
}

fn conv(c: &mut Criterion) {
    let mut group = c.benchmark_group("core-tensor/conv2d");
    group.sample_size(20);
    for s in CONV.into_iter().filter_map(shape) {
        let name = format!(
            "{}x{}x{} {}x{} {} batch {}",
            s.in_h, s.in_w, s.in_c, s.kernel_h, s.kernel_w, s.out_c, s.batch
        );
        group.throughput(Throughput::Elements((s.output_len() / s.out_c * s.kernel_len()) as u64));
        let (x, w) = (normal(1, s.input_len()), normal(2, s.kernel_len()));
        let (bias, dy) = (normal(3, s.out_c), normal(4, s.output_len()));
        let mut out = vec![0.0; s.output_len()];
        let mut bits = vec![0; gate_words(s.output_len() / s.out_c, s.out_c)];
        group.bench_function(BenchmarkId::new("forward", &name), |b| {
            b.iter(|| {
                let epilogue = Epilogue { bias: Some(&bias), gate: Gate::RELU, bits: &mut bits };
                conv2d_fused(black_box(&mut out), &x, &w, epilogue, &s, 1);
            });
        });
        let exact = ConvShape { exact: true, ..s };
        let codes = |x: &[f32], most: f32| -> Vec<f32> {
            x.iter().map(|x| (x * 40.0).round().clamp(-most, most) / 64.0).collect()
        };
        let (coded, coded_w) = (codes(&x, 127.0), codes(&w, 127.0));
        for (what, x, w) in [("forward exact", &x, &w), ("forward exact 8 bits", &coded, &coded_w)] {
            group.bench_function(BenchmarkId::new(what, &name), |b| {
                b.iter(|| {
                    let epilogue = Epilogue { bias: Some(&bias), gate: Gate::RELU, bits: &mut bits };
                    conv2d_fused(black_box(&mut out), x, w, epilogue, &exact, 1);
                });
            });
        }
        let mut dx = vec![0.0; s.input_len()];
        group.bench_function(BenchmarkId::new("input gradient", &name), |b| {
            b.iter(|| {
                conv2d_input_gradient_into(black_box(&mut dx), &dy, &w, GradientSink::default(), &s, 1);
            });
        });
        let (mut dw, mut db) = (vec![0.0; s.kernel_len()], vec![0.0; s.out_c]);
        group.bench_function(BenchmarkId::new("parameter gradients", &name), |b| {
            b.iter(|| {
                let (kernel, bias) = (black_box(&mut *dw), Some(&mut *db));
                let to = ParameterGradients { kernel, bias, accumulate: false };
                conv2d_parameter_gradients(to, &x, &dy, &s, 1);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, dense, conv);
criterion_main!(benches);
