//! Pooling.

use tinsmith_core_tensor::kernels::epilogue::GradientSink;
use tinsmith_core_tensor::kernels::pool::{
    average_pool, average_pool_gradient_into, max_pool, max_pool_gradient_into,
};
use tinsmith_core_tensor::{Device, Padding, Pool1dGeometry, Pool2dGeometry, Tensor, Threads, Var, ops};

use crate::gradient;
use crate::reference::{assert_close, normal, normal_tensor, on_every_path, values, windows};

fn cases() -> Vec<([usize; 4], Pool2dGeometry)> {
    let g = Pool2dGeometry::new((2, 2));
    vec![
        ([1, 1, 1, 1], Pool2dGeometry::new((1, 1))),
        ([2, 7, 5, 3], g),
        ([2, 7, 5, 3], g.same((7, 5))),
        ([2, 6, 8, 17], Pool2dGeometry { stride: (1, 1), ..g }.same((6, 8))),
        ([3, 9, 7, 5], Pool2dGeometry { window: (3, 2), stride: (2, 3), ..g }.same((9, 7))),
        ([2, 4, 5, 33], Pool2dGeometry { stride: (3, 3), ..g }.same((4, 5))),
        ([1, 5, 5, 2], Pool2dGeometry::new((5, 5))),
        (
            [2, 3, 3, 2],
            Pool2dGeometry {
                window: (3, 3),
                stride: (2, 1),
                padding: (Padding { before: 2, after: 1 }, Padding { before: 0, after: 2 }),
            },
        ),
    ]
}

#[test]
fn every_path_agrees_with_the_naive_loops() {
    for (dims, g) in cases() {
        let s = g.resolve("test", &dims).unwrap();
        // Few distinct values, so that windows hold equal maxima.
        let x: Vec<f32> = normal(1, s.input_len()).into_iter().map(|v| (v * 2.0).round()).collect();
        let dy = normal(2, s.output_len());
        let windows = windows(&s);
        let first = |w: &Vec<usize>| w.iter().fold(w[0], |a, &b| if x[b] > x[a] { b } else { a });
        let maxima: Vec<f64> = windows.iter().map(|w| f64::from(x[first(w)])).collect();
        let means: Vec<f64> = windows
            .iter()
            .map(|w| w.iter().map(|&i| f64::from(x[i])).sum::<f64>() / w.len() as f64)
            .collect();
        let (mut max_dx, mut mean_dx) = (vec![0.0; s.input_len()], vec![0.0; s.input_len()]);
        for (w, dy) in windows.iter().zip(&dy) {
            max_dx[first(w)] += f64::from(*dy);
            w.iter().for_each(|&i| mean_dx[i] += f64::from(*dy) / w.len() as f64);
        }
        on_every_path(|_| {
            let (mut out, mut taps) = (vec![f32::NAN; s.output_len()], vec![u8::MAX; s.taps_len()]);
            max_pool(&mut out, &mut [], &x, &s, 1);
            assert_close("max", &out, &maxima, 0.0);
            max_pool(&mut out, &mut taps, &x, &s, 1);
            assert_close("max with taps", &out, &maxima, 0.0);
            let mut dx = vec![f32::NAN; s.input_len()];
            max_pool_gradient_into(&mut dx, &dy, &taps, GradientSink::default(), &s, 1);
            assert_close("max gradient", &dx, &max_dx, 1e-6);
            average_pool(&mut out, &x, &s, 1);
            assert_close("average", &out, &means, 1e-6);
            average_pool_gradient_into(&mut dx, &dy, GradientSink::default(), &s, 1);
            assert_close("average gradient", &dx, &mean_dx, 1e-6);
        });
    }
}

#[test]
fn gradients_agree_with_differences() {
    for (dims, g) in cases() {
        let x = normal_tensor(1, &dims);
        gradient::check("max_pool2d", std::slice::from_ref(&x), 1e-3, |t| {
            ops::max_pool2d(&t[0], &g, Threads::ONE)
        });
        gradient::check("average_pool2d", &[x], 0.1, |t| ops::average_pool2d(&t[0], &g, Threads::ONE));
    }
    let x = normal_tensor(2, &[2, 9, 3]);
    let g = Pool1dGeometry { window: 3, stride: 2, padding: Padding::same(9, 3, 2, 1) };
    assert_eq!(ops::max_pool1d(&x, &g, Threads::ONE).unwrap().dims(), [2, 5, 3]);
    gradient::check("max_pool1d", std::slice::from_ref(&x), 1e-3, |t| {
        ops::max_pool1d(&t[0], &g, Threads::ONE)
    });
    gradient::check("average_pool1d", std::slice::from_ref(&x), 0.1, |t| {
        ops::average_pool1d(&t[0], &g, Threads::ONE)
    });
    gradient::check("global_max_pool", std::slice::from_ref(&x), 1e-3, |t| {
        ops::global_max_pool(&t[0], Threads::ONE)
    });
    gradient::check("global_average_pool", &[x], 0.1, |t| ops::global_average_pool(&t[0], Threads::ONE));
}

#[test]
fn the_gradient_of_a_maximum_is_one() {
    // candle's own gives 0.25 here.
    let x = Var::new(&[[[[1.0_f32], [2.0]], [[3.0], [4.0]]]], &Device::Cpu).unwrap();
    let y = ops::max_pool2d(x.as_tensor(), &Pool2dGeometry::new((2, 2)), Threads::ONE).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(values(gradients.get(&x).unwrap()), [0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn nan_wins_every_window() {
    let x = Tensor::new(&[[[1.0_f32], [f32::NAN], [f32::INFINITY], [2.0]]], &Device::Cpu).unwrap();
    let g = Pool1dGeometry { window: 2, stride: 1, padding: Padding::NONE };
    let y = values(&ops::max_pool1d(&x, &g, Threads::ONE).unwrap());
    assert!(y[0].is_nan() && y[1].is_nan() && y[2] == f32::INFINITY);
    assert!(values(&ops::global_max_pool(&x, Threads::ONE).unwrap())[0].is_nan());
    let low = Tensor::full(f32::NEG_INFINITY, (1, 4, 1), &Device::Cpu).unwrap();
    let low = Var::from_tensor(&low).unwrap();
    let y = ops::max_pool1d(low.as_tensor(), &g, Threads::ONE).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(values(gradients.get(&low).unwrap()), [1.0, 1.0, 1.0, 0.0]);
}
