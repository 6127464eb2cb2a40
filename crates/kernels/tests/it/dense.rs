//! Dense layers and matrix products against naive loops.

use std::ops::Range;
use std::sync::Mutex;

use tinsmith_kernels::arena::PrefetchHint;
use tinsmith_kernels::dense::{
    GradientConsumer, MAX_HINTS, dense, dense_gradient_in_pieces, dense_input_gradient,
    dense_parameter_gradients, dense_weight_gradient, is_wide,
};
use tinsmith_kernels::dispatch::InstructionSet;
use tinsmith_kernels::epilogue::ParameterGradients;
use tinsmith_kernels::rows::column_sums;

use crate::reference::{assert_close, normal, on_every_path};

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

/// The gradient received so far, and how often each element was received.
struct Collected(Mutex<(Vec<f32>, Vec<u32>)>);

impl GradientConsumer for Collected {
    fn consume(&self, first: usize, gradient: &mut [f32]) {
        let (values, times) = &mut *self.0.lock().unwrap();
        values[first..][..gradient.len()].copy_from_slice(gradient);
        times[first..][..gradient.len()].iter_mut().for_each(|times| *times += 1);
        gradient.fill(f32::NAN);
    }

    fn upcoming_reads(&self, _: Range<usize>) -> [PrefetchHint; MAX_HINTS] {
        [PrefetchHint::NONE; MAX_HINTS]
    }
}

#[test]
fn gradients_in_pieces_equal_the_whole() {
    assert!(!is_wide(784, 10) && !is_wide(16, 128), "few outputs, or few weights");
    for sizes @ (b, i, o) in [(128, 131, 190), (3, 100, 97), (600, 200, 65), (0, 100, 100), (400, 5, 2100)] {
        assert!(is_wide(i, o));
        for (keep_x, keep_dy) in [(9.0, 9.0), (0.4, 9.0), (9.0, 0.4)] {
            let (mut x, mut dy) = (normal(1, b * i), normal(2, b * o));
            remove_larger(&mut x, keep_x);
            remove_larger(&mut dy, keep_dy);
            on_every_path(|set| {
                let mut whole = vec![f32::NAN; i * o];
                dense_weight_gradient(&mut whole, &x, &dy, sizes, 1);
                for threads in [1, 2, 3, 16] {
                    let collected = Collected(Mutex::new((vec![f32::NAN; i * o], vec![0; i * o])));
                    dense_gradient_in_pieces(&collected, &x, &dy, sizes, threads);
                    let (values, times) = collected.0.into_inner().unwrap();
                    assert!(times.iter().all(|&times| times == 1), "{sizes:?}: each element once");
                    assert!(values == whole, "{sizes:?} on {set:?} and {threads} threads: the same bits");
                }
            });
        }
    }
}

/// Zeroes the values with magnitudes above `bound`.
fn remove_larger(x: &mut [f32], bound: f32) {
    x.iter_mut().filter(|x| x.abs() > bound).for_each(|x| *x = 0.0);
}

/// Sums the products in the order of the kernels: blocks of `terms` terms, then the sums of blocks.
fn sum_in_order(set: InstructionSet, terms: usize, products: impl Iterator<Item = (f32, f32)>) -> f32 {
    let products: Vec<_> = products.collect();
    let sums = products.chunks(terms).map(|products| {
        products.iter().fold(0.0_f32, |sum, &(a, b)| {
            if set == InstructionSet::Portable { a * b + sum } else { a.mul_add(b, sum) }
        })
    });
    sums.fold(0.0, |all, sum| sum + all)
}

#[test]
fn sparse_products_change_no_bit() {
    // The reference sums include all zeros. Cases: sparse inputs, sparse gradients, both, all zero.
    for (i, (sizes @ (b, i_, o), keep)) in [
        ((40, 2100, 70), (0.5, 0.5)),
        ((131, 190, 180), (0.6, 3.0)),
        ((300, 97, 345), (3.0, 0.3)),
        ((530, 130, 100), (0.3, 0.4)),
        ((29, 300, 129), (0.4, 0.2)),
        ((64, 250, 200), (0.0, 0.0)),
    ]
    .into_iter()
    .enumerate()
    {
        let seed = 10 * i as u64;
        let (mut x, w, mut dy) = (normal(seed, b * i_), normal(seed + 1, i_ * o), normal(seed + 2, b * o));
        remove_larger(&mut x, keep.0);
        remove_larger(&mut dy, keep.1);
        on_every_path(|set| {
            let cells = |rows: usize, columns: usize, cell: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
                (0..rows * columns).map(|i| cell(i / columns, i % columns)).collect()
            };
            let out =
                cells(b, o, &|r, c| sum_in_order(set, 1920, (0..i_).map(|k| (x[r * i_ + k], w[k * o + c]))));
            let dx =
                cells(b, i_, &|r, c| sum_in_order(set, 1920, (0..o).map(|k| (dy[r * o + k], w[c * o + k]))));
            let dw =
                cells(i_, o, &|r, c| sum_in_order(set, 256, (0..b).map(|k| (x[k * i_ + r], dy[k * o + c]))));
            for threads in [1, 2, 3] {
                let what = format!("{sizes:?} on {set:?} and {threads} threads");
                let mut got = vec![f32::NAN; b * o];
                dense(&mut got, &x, &w, None, sizes, threads);
                assert!(got == out, "{what}: the same output");
                let mut got = vec![f32::NAN; b * i_];
                dense_input_gradient(&mut got, &dy, &w, sizes, threads);
                assert!(got == dx, "{what}: the same gradient of the input");
                let mut got = vec![f32::NAN; i_ * o];
                dense_weight_gradient(&mut got, &x, &dy, sizes, threads);
                assert!(got == dw, "{what}: the same gradient of the weights");
                let twice =
                    ParameterGradients { accumulate: true, ..ParameterGradients::of_kernel(&mut got) };
                dense_parameter_gradients(twice, &x, &dy, sizes, threads);
                assert_close(&what, &got, &dw.iter().map(|x| 2.0 * f64::from(*x)).collect::<Vec<_>>(), 1e-6);
            }
        });
    }
}
