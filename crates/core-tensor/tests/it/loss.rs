//! Cross-entropy.

use tinsmith_core_tensor::{Device, Tensor, ops};
use tinsmith_kernels::Threads;

use crate::gradient;
use crate::reference::{normal_tensor, on_every_path, values};

fn naive(logits: &[f32], targets: &[f64], classes: usize, smoothing: f64) -> f64 {
    let rows = logits.len() / classes;
    let row_loss = |r: usize| {
        let z = &logits[r * classes..(r + 1) * classes];
        let log_sum = z.iter().map(|&z| f64::from(z).exp()).sum::<f64>().ln();
        let term = |c: usize| {
            let t = targets[r * classes + c] * (1.0 - smoothing) + smoothing / classes as f64;
            t * (log_sum - f64::from(z[c]))
        };
        (0..classes).map(term).sum::<f64>()
    };
    (0..rows).map(row_loss).sum::<f64>() / rows as f64
}

#[test]
fn agrees_with_the_naive_loops_on_every_path() {
    for (rows, classes) in [(1, 1), (7, 5), (33, 17), (900, 10)] {
        for smoothing in [0.0_f32, 0.1] {
            let logits = (normal_tensor(1, &[rows, classes]) * 3.0).unwrap();
            let labels: Vec<u32> = (0..rows).map(|r| (r * 7 % classes) as u32).collect();
            let mut one_hot = vec![0.0_f64; rows * classes];
            labels.iter().enumerate().for_each(|(r, &l)| one_hot[r * classes + l as usize] = 1.0);
            let want = naive(&values(&logits), &one_hot, classes, f64::from(smoothing));
            let one_hot: Vec<f32> = one_hot.into_iter().map(|t| t as f32).collect();
            let dense = Tensor::from_vec(one_hot, (rows, classes), &Device::Cpu).unwrap();
            let labels = Tensor::from_vec(labels, rows, &Device::Cpu).unwrap();
            on_every_path(|_| {
                for targets in [&labels, &dense] {
                    let loss = ops::softmax_cross_entropy(&logits, targets, smoothing, Threads::ONE).unwrap();
                    let got = f64::from(loss.to_scalar::<f32>().unwrap());
                    assert!((got - want).abs() < 1e-5 * want.max(1.0), "{got} for {want}");
                }
            });
        }
    }
}

#[test]
fn gradients_agree_with_differences() {
    let logits = normal_tensor(1, &[3, 4, 5]);
    let labels = Tensor::from_vec((0..12_i64).map(|i| i % 5).collect(), (3, 4), &Device::Cpu).unwrap();
    let soft = ops::softmax(&normal_tensor(2, &[3, 4, 5]), Threads::ONE).unwrap();
    for (targets, smoothing) in [(&labels, 0.0), (&labels, 0.2), (&soft, 0.1)] {
        gradient::check("softmax_cross_entropy", std::slice::from_ref(&logits), 1e-2, |t| {
            Ok((ops::softmax_cross_entropy(&t[0], targets, smoothing, Threads::ONE)? * 10.0)?)
        });
    }
}

#[test]
fn large_and_infinite_logits_are_survived_and_nan_is_not_hidden() {
    let logits = Tensor::new(&[[f32::NEG_INFINITY, 0.0, 1e30]], &Device::Cpu).unwrap();
    let loss = |logits: &Tensor, label: u32| {
        let label = Tensor::new(&[label], &Device::Cpu).unwrap();
        ops::softmax_cross_entropy(logits, &label, 0.0, Threads::ONE).unwrap().to_scalar::<f32>().unwrap()
    };
    assert_eq!(loss(&logits, 2), 0.0);
    assert_eq!(loss(&logits, 0), f32::INFINITY);
    let broken = Tensor::new(&[[f32::NAN, 0.0, 1.0]], &Device::Cpu).unwrap();
    assert!(loss(&broken, 2).is_nan());
}
