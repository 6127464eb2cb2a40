//! Activation functions against double precision.

use tinsmith_kernels::Activation;
use tinsmith_kernels::activation::activate;

use crate::reference::{normal, on_every_path};

/// An activation and its formula in double precision.
type Pair = (Activation, fn(f64) -> f64);

fn all() -> Vec<Pair> {
    vec![
        (Activation::Linear, |x| x),
        (Activation::Relu, |x| x.max(0.0)),
        (Activation::Relu6, |x| x.clamp(0.0, 6.0)),
        (Activation::BoundedRelu { slope: 0.1, max_value: 1.0, threshold: 0.2 }, |x| {
            if x >= 1.0 {
                1.0
            } else if x > 0.2 {
                x
            } else {
                0.1 * (x - 0.2)
            }
        }),
        (Activation::LeakyRelu { slope: 0.3 }, |x| if x > 0.0 { x } else { 0.3 * x }),
        (Activation::Elu { alpha: 0.5 }, |x| if x > 0.0 { x } else { 0.5 * x.exp_m1() }),
        (Activation::Selu, |x| {
            1.050_700_987_355_480_5 * if x > 0.0 { x } else { 1.673_263_242_354_377_2 * x.exp_m1() }
        }),
        (Activation::Tanh, f64::tanh),
        (Activation::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (Activation::HardSigmoid, |x| (0.2 * x + 0.5).clamp(0.0, 1.0)),
        (Activation::HardSwish, |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0),
        (Activation::Swish, |x| x / (1.0 + (-x).exp())),
        (Activation::Softplus, |x| x.exp().ln_1p()),
        (Activation::Softsign, |x| x / (1.0 + x.abs())),
        (Activation::Exponential, f64::exp),
        (Activation::Gelu, |x| {
            // The error function by its Maclaurin series, accurate for |x| < 6.
            let z = x / std::f64::consts::SQRT_2;
            let (mut sum, mut term) = (0.0, z);
            for n in 0..200 {
                sum += term / f64::from(2 * n + 1);
                term *= -z * z / f64::from(n + 1);
            }
            0.5 * x * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
        }),
    ]
}

#[test]
fn values_agree_with_double_precision_on_every_path() {
    let x: Vec<f32> = normal(1, 997).into_iter().map(|v| v * 1.7).collect();
    for (kind, f) in all() {
        let want: Vec<f64> = x.iter().map(|&x| f(f64::from(x))).collect();
        let mut first: Option<Vec<f32>> = None;
        on_every_path(|set| {
            let mut out = vec![f32::NAN; x.len()];
            activate(&mut out, &x, kind, 1, 1);
            for ((got, want), x) in out.iter().zip(&want).zip(&x) {
                assert!(
                    (f64::from(*got) - want).abs() <= 2e-7 + 6e-7 * want.abs(),
                    "{kind:?} at {x}: {got} for {want}"
                );
            }
            let same = first.get_or_insert_with(|| out.clone());
            assert_eq!(*same, out, "{kind:?}: {set:?} gives other bits than the portable path");
        });
    }
}
