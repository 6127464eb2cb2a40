//! Pooling against naive loops.

use tinsmith_kernels::epilogue::GradientSink;
use tinsmith_kernels::pool::{average_pool, average_pool_gradient_into, max_pool, max_pool_gradient_into};
use tinsmith_kernels::{Padding, Pool2dGeometry};

use crate::reference::{assert_close, normal, on_every_path, windows};

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
        // Few distinct values, so that windows have several equal maxima.
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
