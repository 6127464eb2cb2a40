//! Dense layers and convolutions with epilogues, against naive loops: values, gates, accumulation, any number of
//! threads.

use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use tinsmith_kernels::conv::{
    ConvShape, conv2d_fused, conv2d_input_gradient_into, conv2d_parameter_gradients,
};
use tinsmith_kernels::dense::{dense_fused, dense_input_gradient_into, dense_parameter_gradients};
use tinsmith_kernels::epilogue::{
    Epilogue, GradientSink, ParameterGradients, add_gated, apply_gate, apply_gate_in_place, close_gate,
};
use tinsmith_kernels::gate::{Gate, GateFunction, gate_words};
use tinsmith_kernels::{Conv2dGeometry, Padding};

use crate::reference::{
    assert_close, conv, conv_input_gradient, conv_weight_gradient, normal, on_every_path,
};

const LEVELS: Gate = Gate {
    function: GateFunction::Levels { per_unit: 4.0, unit: 0.25, low: -3.0, high: 6.0, bound: 1.3 },
    open: (-0.9, 1.3),
};

const GATES: [Gate; 4] = [
    Gate::LINEAR,
    Gate::RELU,
    Gate { function: GateFunction::Clip { low: -0.5, high: 0.75 }, open: (-0.5, 0.75) },
    LEVELS,
];

/// Reads the gate bit of an element.
fn bit(bits: &[u16], element: usize, channels: usize) -> bool {
    let (row, channel) = (element / channels, element % channels);
    bits[row * channels.div_ceil(16) + channel / 16] >> (channel % 16) & 1 == 1
}

/// Asserts that `out` and `bits` result from `gate` applied to `want`. Values so close to a bound or between two
/// levels that rounding decides are skipped.
#[track_caller]
fn assert_gated(what: &str, out: &[f32], bits: &[u16], want: &[f64], gate: Gate, channels: usize) {
    let near = 1e-4 * want.iter().fold(1.0_f64, |a, b| a.max(b.abs()));
    assert_eq!(out.len(), want.len());
    for (i, (&y, &x)) in out.iter().zip(want).enumerate() {
        let (low, high) = (f64::from(gate.open.0), f64::from(gate.open.1));
        if (x - low).abs() > near && (x - high).abs() > near {
            assert_eq!(bit(bits, i, channels), x > low && x < high, "{what}: gate of {i}, {x}");
        }
        let apply = |x: f64| f64::from(gate.function.apply(x as f32));
        let (a, b) = (apply(x - near), apply(x + near));
        let y = f64::from(y);
        assert!(y >= a - near && y <= b + near, "{what}[{i}]: {y} for {x}, which gives {a} to {b}");
    }
}

/// All results of a layer for one number of threads.
type Results = (Vec<f32>, Vec<u16>, Vec<f32>, Vec<f32>, Vec<f32>);

/// Reference results: output without bias, and the gradients of input, weights and bias.
type Want = (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>);

/// Computes the gradients of weights and bias on a number of threads.
type Parameters<'a> = dyn Fn(ParameterGradients<'_>, usize) + 'a;

struct Layer<'a> {
    rows: (usize, usize),
    channels: (usize, usize),
    weights: usize,
    gate: Gate,
    forward: &'a dyn Fn(&mut [f32], Epilogue<'_>, usize),
    backward: &'a dyn Fn(&mut [f32], GradientSink<'_>, usize),
    parameters: &'a Parameters<'a>,
    want: Want,
}

impl Layer<'_> {
    fn run(&self, bias: &[f32], closed: &[u16], old: &[f32], threads: usize) -> Results {
        let (rows_in, rows_out) = self.rows;
        let (inputs, outputs) = self.channels;
        let mut out = vec![f32::NAN; rows_out * outputs];
        let mut bits = vec![0xAAAA; gate_words(rows_out, outputs)];
        let epilogue = Epilogue { bias: Some(bias), gate: self.gate, bits: &mut bits };
        (self.forward)(&mut out, epilogue, threads);
        let mut dx = vec![f32::NAN; rows_in * inputs];
        (self.backward)(&mut dx, GradientSink::default(), threads);
        let mut summed = old.to_vec();
        (self.backward)(&mut summed, GradientSink { gate: closed, accumulate: true }, threads);
        let mut parameters = vec![f32::NAN; self.weights + outputs];
        let mut parts = vec![1.0; parameters.len()];
        for (to, accumulate) in [(&mut parameters, false), (&mut parts, true)] {
            let (kernel, bias) = to.split_at_mut(self.weights);
            (self.parameters)(ParameterGradients { kernel, bias: Some(bias), accumulate }, threads);
        }
        parameters.extend(parts);
        (out, bits, dx, summed, parameters)
    }

    #[track_caller]
    fn check(&self, what: &str) {
        let (rows_in, rows_out) = self.rows;
        let (inputs, outputs) = self.channels;
        let bias = normal(11, outputs);
        let old = normal(12, rows_in * inputs);
        let closed: Vec<u16> =
            normal(13, gate_words(rows_in, inputs)).iter().map(|x| (x * 30_000.0) as i32 as u16).collect();
        let biased: Vec<f64> =
            self.want.0.iter().enumerate().map(|(i, y)| y + f64::from(bias[i % outputs])).collect();
        let gated: Vec<f64> = (self.want.1.iter().zip(&old).enumerate())
            .map(|(i, (dx, old))| if bit(&closed, i, inputs) { dx + f64::from(*old) } else { 0.0 })
            .collect();
        on_every_path(|set| {
            let what = format!("{what} on {set:?}");
            let one = self.run(&bias, &closed, &old, 1);
            assert_gated(&what, &one.0, &one.1, &biased, self.gate, outputs);
            for word in one.1.chunks(outputs.div_ceil(16).max(1)) {
                let rest = (outputs % 16) as u32;
                assert!(
                    rest == 0 || word[word.len() - 1] >> rest == 0,
                    "{what}: bits beyond the channels are 0"
                );
            }
            assert_close(&format!("{what}: input gradient"), &one.2, &self.want.1, 2e-5);
            assert_close(&format!("{what}: sum"), &one.3, &gated, 2e-5);
            let (overwritten, added) = one.4.split_at(self.weights + outputs);
            let (dw, db) = overwritten.split_at(self.weights);
            assert_close(&format!("{what}: weight gradient"), dw, &self.want.2, 2e-5);
            assert_close(&format!("{what}: bias gradient"), db, &self.want.3, 2e-5);
            let sums: Vec<f64> = self.want.2.iter().chain(&self.want.3).map(|x| x + 1.0).collect();
            assert_close(&format!("{what}: added to ones"), added, &sums, 2e-5);
            for threads in [2, 3] {
                assert!(
                    one == self.run(&bias, &closed, &old, threads),
                    "{what}: {threads} threads, other bits"
                );
            }
            assert_eq!(rows_out * outputs, one.0.len());
        });
    }
}

#[track_caller]
fn check_dense(sizes: (usize, usize, usize), gate: Gate) {
    check_sparse_dense(sizes, gate, (f32::INFINITY, f32::INFINITY));
}

/// Checks a dense layer with inputs and gradients above these bounds replaced by zeros.
#[track_caller]
fn check_sparse_dense(sizes: (usize, usize, usize), gate: Gate, largest: (f32, f32)) {
    let (batch, inputs, outputs) = sizes;
    let values = |seed: u64, count: usize, largest: f32| -> Vec<f32> {
        normal(seed, count).into_iter().map(|x| if x.abs() > largest { 0.0 } else { x }).collect()
    };
    let (x, dy) = (values(1, batch * inputs, largest.0), values(3, batch * outputs, largest.1));
    let w = normal(2, inputs * outputs);
    let mut want =
        (vec![0.0; batch * outputs], vec![0.0; batch * inputs], vec![0.0; w.len()], vec![0.0; outputs]);
    for b in 0..batch {
        for o in 0..outputs {
            let g = f64::from(dy[b * outputs + o]);
            want.3[o] += g;
            for i in 0..inputs {
                let (x, w) = (f64::from(x[b * inputs + i]), f64::from(w[i * outputs + o]));
                want.0[b * outputs + o] += x * w;
                want.1[b * inputs + i] += g * w;
                want.2[i * outputs + o] += g * x;
            }
        }
    }
    let layer = Layer {
        rows: (batch, batch),
        channels: (inputs, outputs),
        weights: w.len(),
        gate,
        forward: &|out, epilogue, threads| dense_fused(out, &x, &w, epilogue, sizes, threads),
        backward: &|dx, sink, threads| dense_input_gradient_into(dx, &dy, &w, sink, sizes, threads),
        parameters: &|to, threads| dense_parameter_gradients(to, &x, &dy, sizes, threads),
        want,
    };
    layer.check(&format!("dense {sizes:?} {gate:?}"));
}

#[track_caller]
fn check_conv(s: &ConvShape, gate: Gate) {
    let (x, w, dy) = (normal(1, s.input_len()), normal(2, s.kernel_len()), normal(3, s.output_len()));
    let mut db = vec![0.0; s.out_c];
    dy.iter().enumerate().for_each(|(i, g)| db[i % s.out_c] += f64::from(*g));
    let want = (conv(s, &x, &w, None), conv_input_gradient(s, &dy, &w), conv_weight_gradient(s, &x, &dy), db);
    let layer = Layer {
        rows: (s.batch * s.in_h * s.in_w, s.batch * s.out_h * s.out_w),
        channels: (s.in_c, s.out_c),
        weights: w.len(),
        gate,
        forward: &|out, epilogue, threads| conv2d_fused(out, &x, &w, epilogue, s, threads),
        backward: &|dx, sink, threads| conv2d_input_gradient_into(dx, &dy, &w, sink, s, threads),
        parameters: &|to, threads| conv2d_parameter_gradients(to, &x, &dy, s, threads),
        want,
    };
    layer.check(&format!("{s:?} {gate:?}"));
}

#[test]
fn dense_layers_of_odd_sizes_agree_with_the_naive_loops() {
    for (i, sizes) in [
        (1, 1, 1),
        (2, 3, 5),
        (13, 5, 2),
        (15, 17, 33),
        (29, 33, 17),
        (1, 16, 32),
        (300, 13, 15),
        (57, 1, 48),
    ]
    .into_iter()
    .enumerate()
    {
        check_dense(sizes, GATES[i % GATES.len()]);
    }
}

#[test]
fn dense_layers_without_samples_inputs_or_outputs_are_right() {
    for sizes in [(0, 5, 3), (3, 0, 5), (3, 5, 0)] {
        check_dense(sizes, Gate::RELU);
    }
}

#[test]
fn large_dense_layers_agree_with_the_naive_loops() {
    check_dense((131, 190, 180), Gate::RELU);
    check_dense((16, 1030, 35), LEVELS);
    check_dense((3, 35, 1030), Gate::LINEAR);
    check_dense((1100, 64, 33), Gate::RELU);
    // More terms than a panel holds, forward and backward; more samples than a block; a single sample.
    check_dense((9, 2100, 70), LEVELS);
    check_dense((9, 70, 2100), Gate::RELU);
    check_dense((530, 97, 345), Gate::RELU);
    check_dense((1, 300, 200), Gate::RELU);
}

#[test]
fn large_dense_layers_with_many_zeros_agree_with_the_naive_loops() {
    // Sparse inputs, sparse gradients, both; whole and incomplete panels; more terms and samples than a block.
    check_sparse_dense((131, 190, 180), Gate::RELU, (0.5, 9.0));
    check_sparse_dense((64, 288, 192), LEVELS, (9.0, 0.5));
    check_sparse_dense((300, 130, 345), Gate::LINEAR, (0.2, 0.5));
    check_sparse_dense((29, 2100, 33), Gate::RELU, (0.4, 0.4));
    check_sparse_dense((40, 70, 2100), LEVELS, (0.6, 0.3));
    check_sparse_dense((48, 200, 200), Gate::RELU, (0.0, 0.0));
}

#[test]
fn convolutions_of_odd_sizes_agree_with_the_naive_loops() {
    let g = Conv2dGeometry::default();
    let pad = |before, after| Padding { before, after };
    let cases = [
        ([2, 7, 5, 3], (3, 3), 5, g),
        ([3, 5, 6, 17], (1, 1), 13, g),
        ([2, 5, 6, 7], (1, 1), 33, Conv2dGeometry { stride: (2, 3), ..g }),
        ([2, 7, 9, 1], (3, 2), 17, g.same((7, 9), (3, 2))),
        ([2, 8, 9, 5], (3, 3), 15, Conv2dGeometry { stride: (2, 2), ..g }.same((8, 9), (3, 3))),
        ([1, 9, 11, 2], (3, 4), 3, Conv2dGeometry { dilation: (2, 3), ..g }),
        (
            [2, 9, 8, 3],
            (2, 3),
            4,
            Conv2dGeometry { dilation: (2, 2), stride: (3, 2), ..g }.same((9, 8), (2, 3)),
        ),
        ([2, 6, 5, 6], (3, 3), 9, Conv2dGeometry { groups: 3, ..g }.same((6, 5), (3, 3))),
        ([2, 6, 7, 34], (3, 2), 34, Conv2dGeometry { groups: 2, stride: (1, 2), ..g }),
        ([2, 4, 5, 3], (3, 3), 2, Conv2dGeometry { padding: (pad(4, 0), pad(1, 3)), ..g }),
        ([2, 2, 2, 5], (4, 4), 3, g.same((2, 2), (4, 4))),
        ([3, 1, 45, 9], (1, 5), 32, Conv2dGeometry { stride: (1, 2), ..g }.same((1, 45), (1, 5))),
        ([2, 49, 10, 1], (10, 4), 64, Conv2dGeometry { stride: (2, 2), ..g }.same((49, 10), (10, 4))),
        ([17, 14, 14, 16], (3, 3), 33, g.same((14, 14), (3, 3))),
        ([3, 10, 11, 2], (5, 2), 3, Conv2dGeometry { stride: (3, 4), padding: (pad(1, 2), pad(0, 0)), ..g }),
    ];
    // Whole vectors of channels and small kernels, for Winograd's algorithms, with every kind of gate.
    let winograd = [
        ([17, 14, 13, 32], (3, 3), 48, g.same((14, 13), (3, 3))),
        ([2, 2, 5, 16], (3, 3), 16, g.same((2, 5), (3, 3))),
        ([40, 1, 30, 16], (1, 3), 32, g.same((1, 30), (1, 3))),
        ([260, 1, 33, 32], (1, 5), 16, g.same((1, 33), (1, 5))),
    ];
    for (x, (kh, kw), f, g) in winograd {
        for gate in GATES {
            check_conv(&g.resolve("test", &x, &[kh, kw, x[3], f]).unwrap(), gate);
        }
    }
    for (i, (x, (kh, kw), f, g)) in cases.into_iter().enumerate() {
        check_conv(&g.resolve("test", &x, &[kh, kw, x[3] / g.groups, f]).unwrap(), GATES[i % GATES.len()]);
    }
}

/// Shapes of all kinds with windows that fit.
fn shapes() -> impl Strategy<Value = ConvShape> {
    let channels = || proptest::sample::select(vec![1_usize, 2, 3, 5, 13, 15, 16, 17, 33]);
    let pair = |range: std::ops::RangeInclusive<usize>| (range.clone(), range);
    let geometry = (pair(1..=3), pair(1..=3), any::<bool>(), 1..=2_usize);
    ((1..=4_usize, pair(1..=12)), (pair(1..=4), channels(), channels()), geometry).prop_filter_map(
        "the window fits",
        |((batch, (h, w)), ((kh, kw), in_c, out_c), (stride, dilation, same, groups))| {
            let g = Conv2dGeometry { stride, dilation, groups, ..Conv2dGeometry::default() };
            let g = if same { g.same((h, w), (kh, kw)) } else { g };
            let (in_c, out_c) = (in_c * groups, out_c * groups);
            g.resolve("test", &[batch, h, w, in_c], &[kh, kw, in_c / groups, out_c]).ok()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_convolution_agrees_with_the_naive_loops(shape in shapes(), gate in 0..GATES.len()) {
        check_conv(&shape, GATES[gate]);
    }

    #[test]
    fn any_dense_layer_agrees_with_the_naive_loops(
        sizes in (1..70_usize, 1..40_usize, 1..70_usize), gate in 0..GATES.len(),
    ) {
        check_dense(sizes, GATES[gate]);
    }
}

#[test]
fn gates_alone_agree_with_their_definition() {
    for channels in [1, 2, 5, 15, 16, 17, 33, 64] {
        let rows = 70;
        let (a, b) = (normal(1, rows * channels), normal(2, rows * channels));
        let bias = normal(3, channels);
        for gate in GATES {
            let sum: Vec<f64> = (0..a.len())
                .map(|i| f64::from(a[i]) + f64::from(b[i]) + f64::from(bias[i % channels]))
                .collect();
            let with_bias: Vec<f64> =
                (0..a.len()).map(|i| f64::from(a[i]) + f64::from(bias[i % channels])).collect();
            on_every_path(|set| {
                let what = format!("{gate:?} of {channels} channels on {set:?}");
                let mut out = vec![f32::NAN; a.len()];
                let mut bits = vec![0xAAAA; gate_words(rows, channels)];
                let epilogue = Epilogue { bias: Some(&bias), gate, bits: &mut bits };
                apply_gate(&mut out, &a, epilogue, channels, 1);
                assert_gated(&what, &out, &bits, &with_bias, gate, channels);
                let (mut again, mut again_bits) = (a.clone(), vec![0xAAAA; bits.len()]);
                let epilogue = Epilogue { bias: Some(&bias), gate, bits: &mut again_bits };
                apply_gate_in_place(&mut again, epilogue, channels, 2);
                assert_eq!((&out, &bits), (&again, &again_bits), "{what}: in place");
                let epilogue = Epilogue { bias: Some(&bias), gate, bits: &mut bits };
                add_gated(&mut out, &a, &b, epilogue, channels, 1);
                assert_gated(&what, &out, &bits, &sum, gate, channels);
                let mut dy = b.clone();
                close_gate(&mut dy, &bits, channels, 1);
                for (i, (&g, &b)) in dy.iter().zip(&b).enumerate() {
                    assert_eq!(g, if bit(&bits, i, channels) { b } else { 0.0 }, "{what}: closed at {i}");
                }
            });
        }
    }
}

#[test]
fn nan_stays_and_minus_zero_becomes_zero() {
    let x = [f32::NAN, -0.0, -0.1, f32::INFINITY, f32::NEG_INFINITY];
    on_every_path(|_| {
        for gate in GATES {
            let mut out = [1.0; 5];
            apply_gate(&mut out, &x, Epilogue { bias: None, gate, bits: &mut [] }, 5, 1);
            assert!(out[0].is_nan(), "{gate:?}");
        }
        let mut out = [1.0; 5];
        apply_gate(&mut out, &x, Epilogue { bias: None, gate: LEVELS, bits: &mut [] }, 5, 1);
        assert_eq!(
            out[1..].iter().map(|y| y.to_bits()).collect::<Vec<_>>(),
            [0.0_f32, 0.0, 1.3, -0.75].map(f32::to_bits)
        );
        // One row and one input of weight 1, so the product equals the input.
        let mut out = [1.0; 5];
        let epilogue = Epilogue { bias: None, gate: Gate::RELU, bits: &mut [] };
        dense_fused(&mut out, &x, &[1.0], epilogue, (5, 1, 1), 1);
        assert!(out[0].is_nan());
        assert_eq!(out[2..], [0.0, f32::INFINITY, 0.0]);
    });
}
