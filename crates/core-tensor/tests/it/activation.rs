//! Activation operations.

use tinsmith_core_tensor::{Device, Tensor, Var, ops};
use tinsmith_kernels::{Activation, Threads};

use crate::gradient;
use crate::reference::{assert_close, normal_tensor, values};

/// Every activation function.
const ALL: [Activation; 16] = [
    Activation::Linear,
    Activation::Relu,
    Activation::Relu6,
    Activation::BoundedRelu { slope: 0.1, max_value: 1.0, threshold: 0.2 },
    Activation::LeakyRelu { slope: 0.3 },
    Activation::Elu { alpha: 0.5 },
    Activation::Selu,
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::HardSigmoid,
    Activation::HardSwish,
    Activation::Swish,
    Activation::Softplus,
    Activation::Softsign,
    Activation::Exponential,
    Activation::Gelu,
];

#[test]
fn gradients_agree_with_differences() {
    let x = (normal_tensor(7, &[5, 4]) * 2.0).unwrap();
    for kind in ALL {
        gradient::check(&format!("{kind:?}"), std::slice::from_ref(&x), 1e-3, |t| {
            ops::activation(&t[0], kind, Threads::ONE)
        });
    }
    gradient::check("softmax", &[x], 1e-2, |t| ops::softmax(&t[0], Threads::ONE));
}

#[test]
fn gradients_at_kinks_follow_keras() {
    let gradient_at = |kind: Activation, x: f32| {
        let x = Var::new(&[x], &Device::Cpu).unwrap();
        let y = ops::activation(x.as_tensor(), kind, Threads::ONE).unwrap();
        values(y.sum_all().unwrap().backward().unwrap().get(&x).unwrap())[0]
    };
    assert_eq!(gradient_at(Activation::Relu, 0.0), 0.0);
    assert_eq!(gradient_at(Activation::Relu6, 6.0), 0.0);
    assert_eq!(gradient_at(Activation::LeakyRelu { slope: 0.5 }, 0.0), 0.5);
    assert_eq!(gradient_at(Activation::HardSigmoid, 2.5), 0.2);
    assert_eq!(gradient_at(Activation::HardSigmoid, 2.6), 0.0);
}

#[test]
fn nan_stays_nan() {
    let x = Tensor::new(&[f32::NAN, 1.0], &Device::Cpu).unwrap();
    for kind in ALL {
        assert!(values(&ops::activation(&x, kind, Threads::ONE).unwrap())[0].is_nan(), "{kind:?}");
    }
    assert!(values(&ops::softmax(&x, Threads::ONE).unwrap()).iter().all(|v| v.is_nan()));
}

#[test]
fn softmax_is_a_distribution_even_of_large_logits() {
    let x = Tensor::new(&[[1000.0_f32, 1001.0, 999.0], [-1e30, 0.0, 1e30]], &Device::Cpu).unwrap();
    let y = values(&ops::softmax(&x, Threads::ONE).unwrap());
    let e = 1.0_f64.exp();
    let sum = 1.0 + e + 1.0 / e;
    assert_close("softmax", &y, &[1.0 / sum, e / sum, 1.0 / e / sum, 0.0, 0.0, 1.0], 1e-6);
}
