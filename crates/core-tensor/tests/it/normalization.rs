//! Batch normalization.

use tinsmith_core_tensor::{Tensor, ops};
use tinsmith_kernels::Threads;

use crate::gradient;
use crate::reference::{assert_close, normal_tensor, on_every_path, values};

const EPSILON: f32 = 1e-3;

fn statistics(x: &[f32], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = x.len() / channels;
    let column = |c: usize| x.iter().skip(c).step_by(channels).map(|&v| f64::from(v));
    let mean: Vec<f64> = (0..channels).map(|c| column(c).sum::<f64>() / rows as f64).collect();
    let variance =
        (0..channels).map(|c| column(c).map(|v| (v - mean[c]).powi(2)).sum::<f64>() / rows as f64).collect();
    (mean, variance)
}

#[test]
fn training_uses_the_moments_of_the_batch_on_every_path() {
    for dims in [vec![1, 3], vec![700, 1], vec![31, 5], vec![3, 4, 5, 17], vec![2, 300, 33]] {
        let c = dims[dims.len() - 1];
        // Far from zero, so that a one-pass variance would lose digits.
        let x = (normal_tensor(1, &dims) + 100.0).unwrap();
        let (gamma, beta) = (normal_tensor(2, &[c]), normal_tensor(3, &[c]));
        let (mean, variance) = statistics(&values(&x), c);
        let (g, b) = (values(&gamma), values(&beta));
        let want: Vec<f64> = values(&x)
            .iter()
            .enumerate()
            .map(|(i, &v)| {
                let i = i % c;
                let normal = (f64::from(v) - mean[i]) / (variance[i] + f64::from(EPSILON)).sqrt();
                normal * f64::from(g[i]) + f64::from(b[i])
            })
            .collect();
        on_every_path(|_| {
            let (y, m, v) = ops::batch_norm_train(&x, &gamma, &beta, EPSILON, Threads::ONE).unwrap();
            assert_close("mean", &values(&m), &mean, 1e-6);
            assert_close("variance", &values(&v), &variance, 1e-5);
            assert_close("y", &values(&y), &want, 3e-4);
            let (m, v) = ops::moments(&x, Threads::ONE).unwrap();
            assert_close("moments: mean", &values(&m), &mean, 1e-6);
            assert_close("moments: variance", &values(&v), &variance, 1e-5);
        });
    }
}

#[test]
fn gradients_agree_with_differences() {
    for dims in [vec![6, 3], vec![2, 3, 4, 5], vec![5, 7, 1]] {
        let c = dims[dims.len() - 1];
        let (x, gamma, beta) = (normal_tensor(1, &dims), normal_tensor(2, &[c]), normal_tensor(3, &[c]));
        let variance = (normal_tensor(4, &[c]).sqr().unwrap() + 0.5).unwrap();
        gradient::check("batch_norm_train", &[x.clone(), gamma.clone(), beta.clone()], 1e-2, |t| {
            Ok(ops::batch_norm_train(&t[0], &t[1], &t[2], EPSILON, Threads::ONE)?.0)
        });
        gradient::check("channel_affine", &[x.clone(), gamma.clone(), beta.clone()], 0.1, |t| {
            ops::channel_affine(&t[0], &t[1], &t[2], Threads::ONE)
        });
        gradient::check("moments", std::slice::from_ref(&x), 1e-2, |t| {
            let (mean, variance) = ops::moments(&t[0], Threads::ONE)?;
            Ok(Tensor::cat(&[&mean, &(variance * 3.0)?], 0)?)
        });
        gradient::check("batch_norm_inference", &[x, gamma, beta.clone(), beta, variance], 1e-2, |t| {
            ops::batch_norm_inference(&t[0], (&t[1], &t[2]), (&t[3], &t[4]), EPSILON, Threads::ONE)
        });
    }
}

#[test]
fn nan_is_not_hidden() {
    let x = Tensor::new(&[[1.0_f32, f32::NAN], [2.0, 3.0]], &tinsmith_core_tensor::Device::Cpu).unwrap();
    let (gamma, beta) = (normal_tensor(2, &[2]), normal_tensor(3, &[2]));
    let (y, mean, _) = ops::batch_norm_train(&x, &gamma, &beta, EPSILON, Threads::ONE).unwrap();
    assert!(values(&mean)[1].is_nan() && values(&y)[3].is_nan() && values(&y)[2].is_finite());
}
