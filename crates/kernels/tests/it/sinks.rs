//! Gates and accumulation of kernels other than matrix products: depthwise convolutions, pooling, batch
//! normalization. Checked on every path, with bit-identical results for any number of threads.

use tinsmith_kernels::batch_norm::{
    add_gradient_sums, add_moments, batch_norm_fused, finish_moments, input_gradient_into, join_moments,
    moment_sums, moments, parameter_gradients,
};
use tinsmith_kernels::depthwise::{
    depthwise_fused, depthwise_input_gradient_into, depthwise_parameter_gradients,
};
use tinsmith_kernels::epilogue::{Epilogue, GradientSink, ParameterGradients};
use tinsmith_kernels::gate::{Gate, GateFunction, gate_words};
use tinsmith_kernels::pool::{average_pool_gradient_into, max_pool, max_pool_gradient_into};
use tinsmith_kernels::{Conv2dGeometry, Padding, Pool2dGeometry};

use crate::reference::{
    assert_close, conv, conv_input_gradient, conv_weight_gradient, normal, on_every_path, windows,
};

const LEVELS: Gate = Gate {
    function: GateFunction::Levels { per_unit: 8.0, unit: 0.125, low: -8.0, high: 7.0, bound: f32::INFINITY },
    open: (-1.0, 0.875),
};

fn bit(bits: &[u16], i: usize, channels: usize) -> bool {
    bits[i / channels * channels.div_ceil(16) + i % channels / 16] >> (i % channels % 16) & 1 == 1
}

/// An arbitrary gate over `len` values.
fn gate(len: usize, channels: usize) -> Vec<u16> {
    (0..gate_words(len / channels, channels)).map(|i| ((i * 40503) >> 3) as u16).collect()
}

/// Runs an input gradient with and without gate and accumulation, on every path and for 1 to 3 threads.
#[track_caller]
fn check_sinks(
    what: &str,
    want: &[f64],
    channels: usize,
    kernel: impl Fn(&mut [f32], GradientSink<'_>, usize),
) {
    let (old, bits) = (normal(99, want.len()), gate(want.len(), channels));
    for gate in [&[][..], &bits] {
        for accumulate in [false, true] {
            let want: Vec<f64> = want
                .iter()
                .enumerate()
                .map(|(i, d)| {
                    let sum = if accumulate { d + f64::from(old[i]) } else { *d };
                    if gate.is_empty() || bit(gate, i, channels) { sum } else { 0.0 }
                })
                .collect();
            on_every_path(|set| {
                let run = |threads: usize| {
                    let mut dx = if accumulate { old.clone() } else { vec![f32::NAN; want.len()] };
                    kernel(&mut dx, GradientSink { gate, accumulate }, threads);
                    dx
                };
                let one = run(1);
                assert_close(&format!("{what}, {set:?}"), &one, &want, 1e-4);
                for threads in [2, 3] {
                    assert_eq!(one, run(threads), "{what}: {threads} threads give other bits");
                }
            });
        }
    }
}

/// Checks values and gate bits after the function against the values before it.
#[track_caller]
fn check_gate(what: &str, gate: Gate, before: &[f64], out: &[f32], bits: &[u16], channels: usize) {
    for (i, (&x, &y)) in before.iter().zip(out).enumerate() {
        // Rounding decides for values next to a bound or between two levels.
        let near = |bound: f32| (x - f64::from(bound)).abs() < 1e-4;
        let tie = gate == LEVELS && ((x * 8.0).fract().abs() - 0.5).abs() < 1e-3;
        if tie || near(gate.open.0) || near(gate.open.1) {
            continue;
        }
        assert!(
            (f64::from(y) - f64::from(gate.function.apply(x as f32))).abs() < 1e-3,
            "{what}[{i}]: {y} of {x}"
        );
        let open = x > f64::from(gate.open.0) && x < f64::from(gate.open.1);
        assert_eq!(bit(bits, i, channels), open, "{what}[{i}]: the gate of {x}");
    }
}

#[test]
fn depthwise_convolutions() {
    let g = Conv2dGeometry::default();
    let wide = Padding { before: 4, after: 3 };
    for (x, kernel, multiplier, g) in [
        ([2, 5, 7, 3], (3, 3), 1, g.same((5, 7), (3, 3))),
        ([3, 1, 19, 24], (1, 5), 1, g.same((1, 19), (1, 5))),
        ([2, 6, 4, 16], (2, 3), 2, Conv2dGeometry { stride: (2, 2), ..g }.same((6, 4), (2, 3))),
        ([2, 9, 8, 33], (3, 2), 1, Conv2dGeometry { stride: (1, 3), dilation: (2, 1), ..g }),
        ([40, 25, 5, 64], (3, 3), 1, g.same((25, 5), (3, 3))),
        ([2, 7, 6, 32], (3, 3), 1, Conv2dGeometry { stride: (2, 2), ..g }.same((7, 6), (3, 3))),
        ([2, 5, 1, 48], (3, 3), 1, g.same((5, 1), (3, 3))),
        ([3, 1, 9, 16], (1, 4), 1, g.same((1, 9), (1, 4))),
        // Pixels that no tap reaches.
        ([2, 3, 4, 16], (2, 2), 1, Conv2dGeometry { padding: (wide, wide), dilation: (1, 2), ..g }),
    ] {
        let s = g.resolve_depthwise("test", &x, &[kernel.0, kernel.1, x[3], multiplier]).unwrap();
        let (x, w, bias) = (normal(1, s.input_len()), normal(2, s.kernel_len()), normal(3, s.out_c));
        let dy = normal(4, s.output_len());
        let what = format!("{s:?}");
        let before = conv(&s, &x, &w, Some(&bias));
        for gate in [Gate::RELU, LEVELS] {
            on_every_path(|_| {
                let run = |threads: usize| {
                    let mut out = vec![f32::NAN; s.output_len()];
                    let mut bits = vec![u16::MAX; gate_words(s.output_len() / s.out_c, s.out_c)];
                    let epilogue = Epilogue { bias: Some(&bias), gate, bits: &mut bits };
                    depthwise_fused(&mut out, &x, &w, epilogue, &s, threads);
                    (out, bits)
                };
                let (out, bits) = run(1);
                check_gate(&what, gate, &before, &out, &bits, s.out_c);
                assert_eq!((out, bits), run(3), "{what}: 3 threads give other bits");
            });
        }
        check_sinks(&what, &conv_input_gradient(&s, &dy, &w), s.in_c, |dx, sink, threads| {
            depthwise_input_gradient_into(dx, &dy, &w, sink, &s, threads);
        });
        let mut want_db = vec![0.0; s.out_c];
        dy.iter().enumerate().for_each(|(i, dy)| want_db[i % s.out_c] += f64::from(*dy));
        let want_dw = conv_weight_gradient(&s, &x, &dy);
        on_every_path(|_| {
            let run = |threads: usize| {
                let (mut dw, mut db) = (vec![f32::NAN; s.kernel_len()], vec![f32::NAN; s.out_c]);
                let to = ParameterGradients { kernel: &mut dw, bias: Some(&mut db), accumulate: false };
                depthwise_parameter_gradients(to, &x, &dy, &s, threads);
                (dw, db)
            };
            let (dw, db) = run(1);
            let (mut twice, mut twice_db) = (dw.clone(), db.clone());
            let to = ParameterGradients { kernel: &mut twice, bias: Some(&mut twice_db), accumulate: true };
            depthwise_parameter_gradients(to, &x, &dy, &s, 2);
            let doubled: Vec<f64> = want_dw.iter().chain(&want_db).map(|x| 2.0 * x).collect();
            assert_close(&what, &[twice, twice_db].concat(), &doubled, 1e-5);
            assert_close(&what, &dw, &want_dw, 1e-5);
            assert_close(&what, &db, &want_db, 1e-5);
            assert_eq!((dw, db), run(3), "{what}: 3 threads give other bits");
        });
    }
}

#[test]
fn pooling() {
    let g = Pool2dGeometry::new((2, 2));
    for (x, g) in [
        ([2, 7, 5, 3], g),
        ([2, 6, 8, 17], Pool2dGeometry { stride: (1, 1), ..g }.same((6, 8))),
        ([2, 4, 5, 33], Pool2dGeometry { stride: (3, 3), ..g }.same((4, 5))),
        ([3, 1, 128, 24], Pool2dGeometry::new((1, 2))),
        ([40, 25, 5, 64], Pool2dGeometry::new((25, 5))),
        // Channels in groups of every size.
        ([2, 6, 8, 115], g),
        // Windows with more elements than a byte can count.
        ([2, 20, 15, 5], Pool2dGeometry::new((20, 15))),
        ([2, 23, 17, 5], Pool2dGeometry { window: (19, 15), stride: (3, 1), ..g }),
    ] {
        let s = g.resolve("test", &x).unwrap();
        let (x, dy) = (normal(1, s.input_len()), normal(2, s.output_len()));
        let what = format!("{s:?}");
        let (mut want_max, mut want_mean) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        for (window, &dy) in windows(&s).iter().zip(&dy) {
            let first = window.iter().fold(window[0], |a, &b| if x[b] > x[a] { b } else { a });
            want_max[first] += f64::from(dy);
            window.iter().for_each(|&i| want_mean[i] += f64::from(dy) / window.len() as f64);
        }
        let (mut out, mut taps) = (vec![0.0; dy.len()], vec![0; s.taps_len()]);
        max_pool(&mut out, &mut taps, &x, &s, 2);
        check_sinks(&what, &want_max, s.channels, |dx, sink, threads| {
            max_pool_gradient_into(dx, &dy, &taps, sink, &s, threads);
        });
        check_sinks(&what, &want_mean, s.channels, |dx, sink, threads| {
            average_pool_gradient_into(dx, &dy, sink, &s, threads);
        });
    }
}

#[test]
fn batch_normalization() {
    const EPSILON: f32 = 1e-3;
    for (rows, c) in [(7, 1), (31, 5), (60, 17), (600, 33), (5000, 20), (1300, 300)] {
        let n = rows * c;
        let x: Vec<f32> = normal(1, n).iter().map(|v| v + 100.0).collect();
        let (gamma, beta, dy) = (normal(2, c), normal(3, c), normal(4, n));
        let what = format!("{rows} rows of {c}");
        let (mut mean, mut variance) = (vec![0.0_f64; c], vec![0.0_f64; c]);
        x.iter().enumerate().for_each(|(i, &x)| mean[i % c] += f64::from(x) / rows as f64);
        let centered = |i: usize| f64::from(x[i]) - mean[i % c];
        (0..n).for_each(|i| variance[i % c] += centered(i).powi(2) / rows as f64);
        let inverse: Vec<f64> = variance.iter().map(|v| 1.0 / (v + f64::from(EPSILON)).sqrt()).collect();
        let before: Vec<f64> = (0..n)
            .map(|i| f64::from(gamma[i % c]) * centered(i) * inverse[i % c] + f64::from(beta[i % c]))
            .collect();
        let (mut got_mean, mut got_variance) = (vec![0.0; c], vec![0.0; c]);
        on_every_path(|_| {
            moments(&mut got_mean, &mut got_variance, &x, 1);
            assert_close(&what, &got_mean, &mean, 1e-6);
            assert_close(&what, &got_variance, &variance, 1e-5);
            let (mut other_mean, mut other_variance) = (vec![0.0; c], vec![0.0; c]);
            moments(&mut other_mean, &mut other_variance, &x, 3);
            assert_eq!((&other_mean, &other_variance), (&got_mean, &got_variance), "{what}: 3 threads");
            let mut sums = vec![0.0; moment_sums(c)];
            for half in x.chunks(c * rows.div_ceil(2)) {
                let mut own = vec![0.0; moment_sums(c)];
                half.chunks(c * rows.div_ceil(5)).for_each(|part| add_moments(&mut own, part, 2));
                join_moments(&mut sums, &own);
            }
            finish_moments(&sums, &mut other_mean, &mut other_variance);
            assert_close(&what, &other_mean, &mean, 1e-6);
            assert_close(&what, &other_variance, &variance, 1e-5);
        });
        let mut bits = vec![u16::MAX; gate_words(rows, c)];
        on_every_path(|_| {
            let mut out = vec![f32::NAN; n];
            let epilogue = Epilogue { bias: None, gate: Gate::RELU, bits: &mut bits };
            let moments = (&*got_mean, &*got_variance);
            batch_norm_fused(&mut out, &x, (&gamma, &beta), moments, EPSILON, epilogue, 2);
            check_gate(&what, Gate::RELU, &before, &out, &bits, c);
        });
        let (mut d_beta, mut d_gamma) = (vec![0.0; c], vec![0.0; c]);
        for i in 0..n {
            d_beta[i % c] += f64::from(dy[i]);
            d_gamma[i % c] += f64::from(dy[i]) * centered(i) * inverse[i % c];
        }
        let want: Vec<f64> = (0..n)
            .map(|i| {
                let k = i % c;
                let through = d_beta[k] + centered(i) * inverse[k] * d_gamma[k];
                f64::from(gamma[k]) * inverse[k] * (f64::from(dy[i]) - through / rows as f64)
            })
            .collect();
        check_sinks(&what, &want, c, |dx, sink, threads| {
            let (mut got_gamma, mut got_beta) = (vec![0.0; c], vec![0.0; c]);
            let moments = (&*got_mean, &*got_variance);
            let mut sums = vec![0.0; 2 * c];
            for (dy, x) in dy.chunks(c * rows.div_ceil(2)).zip(x.chunks(c * rows.div_ceil(2))) {
                add_gradient_sums(&mut sums, dy, x, &got_mean, threads);
            }
            parameter_gradients((&mut got_gamma, &mut got_beta), &sums, &got_variance, EPSILON);
            input_gradient_into(dx, &dy, &x, &gamma, moments, (&sums, rows), EPSILON, sink, threads);
            assert_close(&what, &got_gamma, &d_gamma, 1e-4);
            assert_close(&what, &got_beta, &d_beta, 1e-5);
        });
    }
}
