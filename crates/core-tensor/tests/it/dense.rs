//! The dense layer as an operation.

use tinsmith_core_tensor::ops;
use tinsmith_kernels::Threads;

use crate::gradient;
use crate::reference::{assert_close, normal_tensor, values};

#[test]
fn gradients_agree_with_differences() {
    let (x, w, b) = (normal_tensor(1, &[3, 4, 5]), normal_tensor(2, &[5, 7]), normal_tensor(3, &[7]));
    let y = ops::dense(&x, &w, Some(&b), Threads::ONE).unwrap();
    assert_eq!(y.dims(), [3, 4, 7]);
    let theirs = x.reshape((12, 5)).unwrap().matmul(&w).unwrap().broadcast_add(&b).unwrap();
    let want: Vec<f64> = values(&theirs).into_iter().map(f64::from).collect();
    assert_close("dense against candle", &values(&y), &want, 1e-6);
    gradient::check("dense", &[x, w, b], 0.5, |t| ops::dense(&t[0], &t[1], Some(&t[2]), Threads::ONE));
}
