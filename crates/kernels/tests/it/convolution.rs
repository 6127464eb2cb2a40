//! Convolutions of all kinds against naive loops.

use tinsmith_kernels::conv::{ConvShape, conv2d, conv2d_input_gradient, conv2d_weight_gradient};
use tinsmith_kernels::depthwise::{depthwise, depthwise_input_gradient, depthwise_weight_gradient};
use tinsmith_kernels::{Conv2dGeometry, Padding};

use crate::reference::{
    assert_close, conv, conv_input_gradient, conv_weight_gradient, normal, on_every_path,
};

/// Input, kernel (height, width), filters, geometry.
type Case = ([usize; 4], (usize, usize), usize, Conv2dGeometry);

/// Sizes that are not multiples of any tile or vector.
fn cases() -> Vec<Case> {
    let g = Conv2dGeometry::default();
    let pad = |before, after| Padding { before, after };
    vec![
        ([1, 1, 1, 1], (1, 1), 1, g),
        ([3, 7, 5, 3], (3, 3), 5, g),
        ([2, 5, 6, 7], (1, 1), 9, g),
        ([2, 5, 6, 7], (1, 1), 9, Conv2dGeometry { stride: (2, 3), ..g }),
        ([2, 7, 9, 1], (3, 2), 17, g.same((7, 9), (3, 2))),
        ([2, 8, 9, 4], (3, 3), 6, Conv2dGeometry { stride: (2, 2), ..g }.same((8, 9), (3, 3))),
        ([1, 9, 11, 2], (3, 4), 3, Conv2dGeometry { dilation: (2, 3), ..g }),
        ([2, 9, 8, 3], (2, 3), 4, Conv2dGeometry { dilation: (2, 2), ..g }.same((9, 8), (2, 3))),
        ([2, 6, 5, 6], (3, 3), 9, Conv2dGeometry { groups: 3, ..g }.same((6, 5), (3, 3))),
        ([2, 6, 5, 4], (1, 1), 6, Conv2dGeometry { groups: 2, ..g }),
        ([2, 4, 5, 3], (3, 3), 2, Conv2dGeometry { padding: (pad(4, 0), pad(1, 3)), ..g }),
        ([2, 2, 2, 5], (4, 4), 3, g.same((2, 2), (4, 4))),
        ([5, 1, 33, 9], (1, 5), 11, Conv2dGeometry { stride: (1, 2), ..g }.same((1, 33), (1, 5))),
        ([1, 70, 67, 3], (5, 5), 8, g.same((70, 67), (5, 5))),
        // Whole vectors of channels and small kernels, for Winograd's algorithms.
        ([3, 7, 10, 16], (3, 3), 48, g.same((7, 10), (3, 3))),
        ([2, 14, 5, 32], (3, 3), 16, g),
        ([1, 2, 9, 16], (3, 3), 16, g.same((2, 9), (3, 3))),
        ([2, 6, 6, 16], (3, 3), 32, Conv2dGeometry { padding: (pad(4, 0), pad(1, 5)), ..g }),
        ([5, 1, 21, 32], (1, 3), 16, g.same((1, 21), (1, 3))),
        ([4, 1, 18, 16], (1, 5), 80, g.same((1, 18), (1, 5))),
        ([4, 3, 18, 16], (1, 5), 16, Conv2dGeometry { padding: (pad(1, 1), pad(4, 0)), ..g }),
    ]
}

fn shapes() -> Vec<ConvShape> {
    let shape = |(x, (kh, kw), f, g): Case| g.resolve("test", &x, &[kh, kw, x[3] / g.groups, f]).unwrap();
    cases().into_iter().map(shape).collect()
}

#[test]
fn every_path_agrees_with_the_naive_loops() {
    for s in shapes() {
        let (x, w, dy) = (normal(1, s.input_len()), normal(2, s.kernel_len()), normal(3, s.output_len()));
        let bias = normal(4, s.out_c);
        let what = format!("{s:?}");
        on_every_path(|_| {
            let mut out = vec![f32::NAN; s.output_len()];
            conv2d(&mut out, &x, &w, Some(&bias), &s, 1);
            assert_close(&what, &out, &conv(&s, &x, &w, Some(&bias)), 1e-5);
            out.fill(f32::NAN);
            conv2d(&mut out, &x, &w, None, &s, 1);
            assert_close(&what, &out, &conv(&s, &x, &w, None), 1e-5);
            let mut dx = vec![f32::NAN; s.input_len()];
            conv2d_input_gradient(&mut dx, &dy, &w, &s, 1);
            assert_close(&what, &dx, &conv_input_gradient(&s, &dy, &w), 1e-5);
            let mut dw = vec![f32::NAN; s.kernel_len()];
            conv2d_weight_gradient(&mut dw, &x, &dy, &s, 1);
            assert_close(&what, &dw, &conv_weight_gradient(&s, &x, &dy), 1e-5);
        });
    }
}

/// Integers from `low` to `high`, in units of `unit`.
fn few_bits(seed: u64, len: usize, (low, high): (f32, f32), unit: f32) -> Vec<f32> {
    let level = |x: &f32| (low + (x.abs() * 0.4).fract() * (high - low + 1.0)).floor().min(high) * unit;
    normal(seed, len).iter().map(level).collect()
}

#[test]
fn exact_passes_of_few_bit_numbers_are_exact_on_every_path() {
    let more = [
        (
            [3, 7, 5, 13],
            (3, 3),
            35,
            Conv2dGeometry { stride: (2, 1), ..Conv2dGeometry::default() }.same((7, 5), (3, 3)),
        ),
        ([2, 5, 6, 7], (1, 1), 9, Conv2dGeometry::default()),
        ([1, 4, 4, 64], (1, 1), 64, Conv2dGeometry::default()),
    ];
    for (x, (kh, kw), f, g) in cases().into_iter().chain(more) {
        let s =
            Conv2dGeometry { exact: true, ..g }.resolve("test", &x, &[kh, kw, x[3] / g.groups, f]).unwrap();
        // Input and kernel ranges: unsigned and signed bytes up to their limits, and values beyond them.
        for (i, (input, kernel)) in [
            ((0.0, 255.0), (-127.0, 127.0)),
            ((-127.0, 127.0), (-7.0, 7.0)),
            ((0.0, 15.0), (-8.0, 7.0)),
            ((0.0, 0.0), (0.0, 1.0)),
            ((0.0, 300.0), (-7.0, 7.0)),
            ((-200.0, 200.0), (-130.0, 130.0)),
        ]
        .into_iter()
        .enumerate()
        {
            let x = few_bits(1, s.input_len(), input, 0.25_f32.powi(i as i32));
            let w = few_bits(2, s.kernel_len(), kernel, 0.125);
            let bias = normal(3, s.out_c);
            // A single rounding, that of adding the bias.
            let sums = conv(&s, &x, &w, None);
            let want: Vec<f32> =
                sums.iter().enumerate().map(|(i, &sum)| sum as f32 + bias[i % s.out_c]).collect();
            on_every_path(|set| {
                for threads in [1, 3] {
                    let mut out = vec![f32::NAN; s.output_len()];
                    conv2d(&mut out, &x, &w, Some(&bias), &s, threads);
                    assert!(out == want, "{s:?} on {set:?}, {threads} threads, {input:?} by {kernel:?}");
                }
            });
        }
    }
}

#[test]
fn winograd_loses_little_precision() {
    let g = Conv2dGeometry::default();
    for (x, kernel) in [
        ([2, 14, 14, 64], (3, 3)),
        ([4, 2, 9, 64], (3, 3)),
        ([8, 1, 40, 64], (1, 3)),
        ([8, 1, 40, 64], (1, 5)),
    ] {
        let g = g.same((x[1], x[2]), kernel);
        let s = g.resolve("test", &x, &[kernel.0, kernel.1, x[3], 32]).unwrap();
        let x: Vec<f32> = normal(1, s.input_len()).into_iter().map(|x| x.max(0.0)).collect();
        let w = normal(2, s.kernel_len());
        let want = conv(&s, &x, &w, None);
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let size = norm(&mut want.iter().copied());
        on_every_path(|set| {
            let [saving, exact] = [false, true].map(|exact| {
                let mut out = vec![f32::NAN; s.output_len()];
                conv2d(&mut out, &x, &w, None, &ConvShape { exact, ..s }, 1);
                norm(&mut out.iter().zip(&want).map(|(y, want)| f64::from(*y) - want)) / size
            });
            assert!(saving < 2e-6 && saving < 8.0 * exact, "{s:?} on {set:?}: {saving:e}, direct {exact:e}");
        });
    }
}

#[test]
fn depthwise_agrees_with_the_naive_loops_on_every_path() {
    for (x, (kh, kw), _, g) in cases() {
        if g.groups != 1 {
            continue;
        }
        for multiplier in [1, 2, 3] {
            let s = g.resolve_depthwise("test", &x, &[kh, kw, x[3], multiplier]).unwrap();
            let (x, w, dy) = (normal(1, s.input_len()), normal(2, s.kernel_len()), normal(3, s.output_len()));
            let bias = normal(4, s.out_c);
            let what = format!("{s:?}");
            let mut first: Option<Vec<f32>> = None;
            on_every_path(|set| {
                let mut out = vec![f32::NAN; s.output_len()];
                depthwise(&mut out, &x, &w, Some(&bias), &s, 1);
                assert_close(&what, &out, &conv(&s, &x, &w, Some(&bias)), 1e-5);
                let mut dx = vec![f32::NAN; s.input_len()];
                depthwise_input_gradient(&mut dx, &dy, &w, &s, 1);
                assert_close(&what, &dx, &conv_input_gradient(&s, &dy, &w), 1e-5);
                let mut dw = vec![f32::NAN; s.kernel_len()];
                depthwise_weight_gradient(&mut dw, &x, &dy, &s, 1);
                assert_close(&what, &dw, &conv_weight_gradient(&s, &x, &dy), 1e-5);
                let all = [out, dx, dw].concat();
                let same = first.get_or_insert_with(|| all.clone());
                assert_eq!(*same, all, "{set:?} gives other bits than the portable path");
            });
        }
    }
}

#[test]
fn padding_follows_keras() {
    assert_eq!(Padding::same(5, 3, 1, 1), Padding { before: 1, after: 1 });
    assert_eq!(Padding::same(5, 2, 1, 1), Padding { before: 0, after: 1 });
    assert_eq!(Padding::same(6, 3, 2, 1), Padding { before: 0, after: 1 });
    assert_eq!(Padding::same(7, 3, 1, 2), Padding { before: 2, after: 2 });
    assert_eq!(Padding::same(4, 2, 3, 1), Padding { before: 0, after: 1 });
    assert_eq!(Padding::same(4, 1, 2, 1), Padding::NONE);
    assert_eq!(Padding::causal(3, 2), Padding { before: 4, after: 0 });
}
