//! Convolutions of all kinds as operations.

use tinsmith_core_tensor::{Var, ops};
use tinsmith_kernels::{Conv1dGeometry, Conv2dGeometry, ConvTransposeGeometry, Padding, Threads};

use crate::gradient;
use crate::reference::{assert_close, normal_tensor, values};

/// Input, kernel (height, width), filters, geometry.
type Case = ([usize; 4], (usize, usize), usize, Conv2dGeometry);

/// Strides, dilations, groups, padding, and sizes for which Winograd's algorithms are chosen.
fn cases() -> Vec<Case> {
    let g = Conv2dGeometry::default();
    let pad = |before, after| Padding { before, after };
    vec![
        ([3, 7, 5, 3], (3, 3), 5, g),
        ([2, 5, 6, 7], (1, 1), 9, Conv2dGeometry { stride: (2, 3), ..g }),
        ([2, 8, 9, 4], (3, 3), 6, Conv2dGeometry { stride: (2, 2), ..g }.same((8, 9), (3, 3))),
        ([2, 9, 8, 3], (2, 3), 4, Conv2dGeometry { dilation: (2, 2), ..g }.same((9, 8), (2, 3))),
        ([2, 6, 5, 4], (1, 1), 6, Conv2dGeometry { groups: 2, ..g }),
        ([2, 2, 2, 5], (4, 4), 3, g.same((2, 2), (4, 4))),
        ([1, 70, 67, 3], (5, 5), 8, g.same((70, 67), (5, 5))),
        ([2, 14, 5, 32], (3, 3), 16, g),
        ([2, 6, 6, 16], (3, 3), 32, Conv2dGeometry { padding: (pad(4, 0), pad(1, 5)), ..g }),
        ([4, 1, 18, 16], (1, 5), 80, g.same((1, 18), (1, 5))),
    ]
}

#[test]
fn gradients_agree_with_differences() {
    for (x, (kh, kw), f, g) in cases() {
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

/// Compares the transposed convolution with its definition: every input adds a scaled kernel to the output.
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
        // Keras crops the full output by the padding of the convolution that it transposes.
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
fn candle_agrees() {
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
fn other_memory_layouts_are_supported() {
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
fn an_input_without_gradient_costs_none() {
    let x = normal_tensor(1, &[2, 5, 5, 3]);
    let w = Var::from_tensor(&normal_tensor(2, &[3, 3, 3, 4])).unwrap();
    let y = ops::conv2d(&x, w.as_tensor(), None, &Conv2dGeometry::default(), Threads::ONE).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&w).is_some());
    assert!(gradients.get(&x).is_none());
}
