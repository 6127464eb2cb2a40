//! Pooling operations.

use tinsmith_core_tensor::{Device, Tensor, Var, ops};
use tinsmith_kernels::{Padding, Pool1dGeometry, Pool2dGeometry, Threads};

use crate::gradient;
use crate::reference::{normal_tensor, values};

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
