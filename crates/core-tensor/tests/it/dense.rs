//! Dense layers and matrix products.

use tinsmith_core_tensor::kernels::matmul::{
    MatRef, column_sums, dense, dense_input_gradient, dense_weight_gradient, matmul,
};
use tinsmith_core_tensor::{Threads, ops};

use crate::gradient;
use crate::reference::{assert_close, normal, normal_tensor, on_every_path, values};

fn product(a: &[f32], b: &[f32], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
    let cell = |i: usize| (0..k).map(|j| f64::from(a[i / n * k + j]) * f64::from(b[j * n + i % n])).sum();
    (0..m * n).map(cell).collect()
}

fn transpose(a: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols).map(|i| a[i % rows * cols + i / rows]).collect()
}

#[test]
fn every_path_agrees_with_the_naive_loops() {
    for sizes @ (b, i, o) in
        [(1, 1, 1), (7, 5, 3), (33, 16, 64), (128, 31, 17), (3, 300, 129), (260, 131, 137)]
    {
        let (x, w, bias, dy) = (normal(1, b * i), normal(2, i * o), normal(3, o), normal(4, b * o));
        on_every_path(|_| {
            let mut out = vec![f32::NAN; b * o];
            dense(&mut out, &x, &w, None, sizes, 1);
            assert_close("dense", &out, &product(&x, &w, sizes), 1e-5);
            dense(&mut out, &x, &w, Some(&bias), sizes, 1);
            let want: Vec<f64> = product(&x, &w, sizes)
                .into_iter()
                .enumerate()
                .map(|(e, y)| y + f64::from(bias[e % o]))
                .collect();
            assert_close("dense with bias", &out, &want, 1e-5);
            let mut dx = vec![f32::NAN; b * i];
            dense_input_gradient(&mut dx, &dy, &w, sizes, 1);
            assert_close("input gradient", &dx, &product(&dy, &transpose(&w, i, o), (b, o, i)), 1e-5);
            let mut dw = vec![f32::NAN; i * o];
            dense_weight_gradient(&mut dw, &x, &dy, sizes, 1);
            assert_close("weight gradient", &dw, &product(&transpose(&x, b, i), &dy, (i, b, o)), 1e-5);
            let mut sums = vec![f32::NAN; o];
            column_sums(&mut sums, &dy, 1);
            assert_close("bias gradient", &sums, &product(&vec![1.0; b], &dy, (1, b, o)), 1e-5);
        });
    }
}

#[test]
fn overlapping_rows_are_read_in_place() {
    let x = normal(1, 20);
    let windows = MatRef::strided(&x, 18, 3, 1, 1);
    let mut out = vec![1.0; 18];
    matmul(&mut out, 1, windows, MatRef::new(&[1.0, 2.0, 3.0], 3, 1), true, 1);
    let want: Vec<f64> = (0..18).map(|i| 1.0 + f64::from(x[i] + 2.0 * x[i + 1] + 3.0 * x[i + 2])).collect();
    assert_close("windows", &out, &want, 1e-6);
}

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
