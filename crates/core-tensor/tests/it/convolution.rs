//! Convolutions of all kinds.

use tinsmith_core_tensor::kernels::conv::{ConvShape, conv2d, conv2d_input_gradient, conv2d_weight_gradient};
use tinsmith_core_tensor::kernels::depthwise::{
    depthwise, depthwise_input_gradient, depthwise_weight_gradient,
};
use tinsmith_core_tensor::{Conv1dGeometry, Conv2dGeometry, ConvTransposeGeometry, Padding, Threads, ops};

use crate::gradient;
use crate::reference::{
    assert_close, conv, conv_input_gradient, conv_weight_gradient, normal, normal_tensor, on_every_path,
    values,
};

/// Input, kernel (height, width), filters, geometry.
type Case = ([usize; 4], (usize, usize), usize, Conv2dGeometry);

/// Sizes that are a multiple of nothing.
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
        // Whole vectors of channels and small kernels: Winograd's algorithms.
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

/// Whole numbers from `low` to `high` in units of `unit`.
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
        // Input and kernel: unsigned and signed bytes, to their very ends, and numbers that are none.
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
            // One rounding, that of the bias.
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
fn saved_multiplications_cost_little_precision() {
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
fn gradients_agree_with_differences() {
    for (x, (kh, kw), f, g) in cases().into_iter().skip(1).step_by(2) {
        let (x, cg) = (normal_tensor(1, &x), x[3] / g.groups);
        let (w, b) = (normal_tensor(2, &[kh, kw, cg, f]), normal_tensor(3, &[f]));
        gradient::check("conv2d", &[x.clone(), w.clone(), b], 0.5, |t| {
            ops::conv2d(&t[0], &t[1], Some(&t[2]), &g, Threads::ONE)
        });
        gradient::check("conv2d without bias", &[x.clone(), w], 0.5, |t| {
            ops::conv2d(&t[0], &t[1], None, &g, Threads::ONE)
        });
        if g.groups == 1 {
            let c = x.dims()[3];
            let (w, b) = (normal_tensor(4, &[kh, kw, c, 2]), normal_tensor(5, &[2 * c]));
            gradient::check("depthwise_conv2d", &[x, w, b], 0.5, |t| {
                ops::depthwise_conv2d(&t[0], &t[1], Some(&t[2]), &g, Threads::ONE)
            });
        }
    }
}

#[test]
fn one_dimension_is_a_height_of_one() {
    let (x, w, b) = (normal_tensor(1, &[3, 17, 4]), normal_tensor(2, &[5, 4, 6]), normal_tensor(3, &[6]));
    let g = Conv1dGeometry { stride: 2, padding: Padding::causal(5, 1), ..Conv1dGeometry::default() };
    let flat = ops::conv1d(&x, &w, Some(&b), &g, Threads::ONE).unwrap();
    let tall =
        ops::conv2d(&x.unsqueeze(1).unwrap(), &w.unsqueeze(0).unwrap(), Some(&b), &g.into(), Threads::ONE);
    assert_eq!(flat.dims(), [3, 9, 6]);
    assert_eq!(values(&flat), values(&tall.unwrap()));
    gradient::check("conv1d", &[x.clone(), w, b], 0.5, |t| {
        ops::conv1d(&t[0], &t[1], Some(&t[2]), &g, Threads::ONE)
    });
    let (w, b) = (normal_tensor(4, &[5, 4, 2]), normal_tensor(5, &[8]));
    gradient::check("depthwise_conv1d", &[x, w, b], 0.5, |t| {
        ops::depthwise_conv1d(&t[0], &t[1], Some(&t[2]), &g, Threads::ONE)
    });
}

/// The transposed convolution against its definition: every input spreads the kernel over the output.
#[test]
fn transposed_convolution_spreads_its_input() {
    for (same, stride, kernel, dilation) in [
        (false, (2, 2), (3, 3), (1, 1)),
        (true, (2, 3), (3, 2), (1, 1)),
        (false, (3, 3), (2, 1), (1, 1)),
        (true, (1, 1), (3, 3), (2, 2)),
    ] {
        let (n, h, w, c, f) = (2, 3, 4, 3, 2);
        let g = ConvTransposeGeometry { stride, dilation, same };
        let (x, k, b) = (
            normal_tensor(1, &[n, h, w, c]),
            normal_tensor(2, &[kernel.0, kernel.1, f, c]),
            normal_tensor(3, &[f]),
        );
        let y = ops::conv2d_transpose(&x, &k, Some(&b), &g, Threads::ONE).unwrap();
        let span = |k: usize, d: usize| (k - 1) * d + 1;
        let size = |n: usize, k: usize, s: usize, d: usize| {
            if same { n * s } else { n * s + span(k, d).saturating_sub(s) }
        };
        let (oh, ow) = (size(h, kernel.0, stride.0, dilation.0), size(w, kernel.1, stride.1, dilation.1));
        assert_eq!(y.dims(), [n, oh, ow, f]);
        // Keras crops the whole spread by the padding of the convolution that it transposes.
        let crop = |n: usize, out: usize, k: usize, s: usize, d: usize| {
            if same { ((n - 1) * s + span(k, d)).saturating_sub(out) / 2 } else { 0 }
        };
        let (top, left) =
            (crop(h, oh, kernel.0, stride.0, dilation.0), crop(w, ow, kernel.1, stride.1, dilation.1));
        let (xs, ks, bs) = (values(&x), values(&k), values(&b));
        let mut want: Vec<f64> = (0..n * oh * ow * f).map(|i| f64::from(bs[i % f])).collect();
        for (i, &v) in xs.iter().enumerate() {
            let (ci, ix, iy, ni) = (i % c, i / c % w, i / c / w % h, i / c / w / h);
            for ky in 0..kernel.0 {
                for kx in 0..kernel.1 {
                    let oy = (iy * stride.0 + ky * dilation.0).wrapping_sub(top);
                    let ox = (ix * stride.1 + kx * dilation.1).wrapping_sub(left);
                    if oy < oh && ox < ow {
                        for fi in 0..f {
                            let kernel_at = ((ky * kernel.1 + kx) * f + fi) * c + ci;
                            want[((ni * oh + oy) * ow + ox) * f + fi] +=
                                f64::from(v) * f64::from(ks[kernel_at]);
                        }
                    }
                }
            }
        }
        assert_close(&format!("{g:?}"), &values(&y), &want, 1e-5);
        gradient::check("conv2d_transpose", &[x, k, b], 0.5, |t| {
            ops::conv2d_transpose(&t[0], &t[1], Some(&t[2]), &g, Threads::ONE)
        });
    }
}

#[test]
fn candle_agrees_where_it_is_right() {
    let (x, w) = (normal_tensor(1, &[2, 7, 9, 4]), normal_tensor(2, &[3, 3, 4, 5]));
    let g = Conv2dGeometry {
        padding: (Padding { before: 1, after: 1 }, Padding { before: 1, after: 1 }),
        ..Conv2dGeometry::default()
    };
    let ours = ops::conv2d(&x, &w, None, &g, Threads::ONE).unwrap();
    let channels_first = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    let kernel = w.permute((3, 2, 0, 1)).unwrap().contiguous().unwrap();
    let theirs = channels_first.conv2d(&kernel, 1, 1, 1, 1).unwrap().permute((0, 2, 3, 1)).unwrap();
    let want: Vec<f64> = values(&theirs.contiguous().unwrap()).into_iter().map(f64::from).collect();
    assert_close("conv2d", &values(&ours), &want, 1e-5);
}

#[test]
fn other_layouts_are_read_rightly() {
    let x = normal_tensor(1, &[2, 4, 6, 5]);
    let w = normal_tensor(2, &[3, 4, 2, 3]);
    let turned = x.permute((0, 2, 3, 1)).unwrap();
    let kernel = w.transpose(1, 2).unwrap();
    assert!(!turned.is_contiguous() && !kernel.is_contiguous());
    let g = Conv2dGeometry::default();
    let strided = ops::conv2d(&turned, &kernel, None, &g, Threads::ONE).unwrap();
    let copied =
        ops::conv2d(&turned.contiguous().unwrap(), &kernel.contiguous().unwrap(), None, &g, Threads::ONE)
            .unwrap();
    assert_eq!(values(&strided), values(&copied));
    gradient::check("strided conv2d", &[x, w], 0.5, |t| {
        ops::conv2d(&t[0].permute((0, 2, 3, 1))?, &t[1].transpose(1, 2)?, None, &g, Threads::ONE)
    });
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

#[test]
fn an_input_without_gradient_costs_none() {
    let x = normal_tensor(1, &[2, 5, 5, 3]);
    let w = tinsmith_core_tensor::Var::from_tensor(&normal_tensor(2, &[3, 3, 3, 4])).unwrap();
    let y = ops::conv2d(&x, w.as_tensor(), None, &Conv2dGeometry::default(), Threads::ONE).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&w).is_some());
    assert!(gradients.get(&x).is_none());
}
