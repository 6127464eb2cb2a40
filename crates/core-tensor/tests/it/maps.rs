//! Functions with custom gradients, straight-through estimators, dropout.

use tinsmith_core_tensor::{Device, Tensor, Var, ops};
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;

use crate::gradient;
use crate::reference::{normal_tensor, on_every_path, values};

#[test]
fn true_derivatives_agree_with_differences() {
    let x = normal_tensor(1, &[5, 3]);
    on_every_path(|_| {
        gradient::check("map", std::slice::from_ref(&x), 1e-2, |t| {
            ops::map_with_gradient(&t[0], |x| (x * x * x, 3.0 * x * x), Threads::ONE)
        });
        for values in [vec![0.5], vec![0.5, -1.0, 2.0]] {
            gradient::check("map_channels", std::slice::from_ref(&x), 1e-2, |t| {
                let f = |x: f32, v: f32| (v * x * x, 2.0 * v * x);
                ops::map_channels_with_gradient(&t[0], values.clone(), f, Threads::ONE)
            });
        }
        for p in [normal_tensor(2, &[3]), normal_tensor(3, &[1])] {
            gradient::check("map_parameter", &[x.clone(), p], 1e-2, |t| {
                ops::map_parameter_with_gradient(
                    &t[0],
                    &t[1],
                    |x, p| (x * p * p, p * p, 2.0 * x * p),
                    Threads::ONE,
                )
            });
        }
    });
}

#[test]
fn a_shared_parameter_sums_over_many_elements() {
    let x = Tensor::ones((100, 101), tinsmith_core_tensor::DType::F32, &Device::Cpu).unwrap();
    let p = Var::new(2.0_f32, &Device::Cpu).unwrap();
    let y = ops::map_parameter_with_gradient(&x, p.as_tensor(), |x, p| (x * p, p, x), Threads::ONE).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(gradients.get(&p).unwrap().to_scalar::<f32>().unwrap(), 10_100.0);
}

#[test]
fn straight_through_takes_one_value_and_the_other_gradient() {
    let x = Var::new(&[0.5_f32, 1.5, -0.5, -1.2], &Device::Cpu).unwrap();
    let weights = Tensor::new(&[1.0_f32, 2.0, 3.0, 4.0], &Device::Cpu).unwrap();
    let gradient = |y: &Tensor| {
        let gradients = (y * &weights).unwrap().sum_all().unwrap().backward().unwrap();
        values(gradients.get(&x).unwrap())
    };
    let y = ops::ste(x.as_tensor(), &(&weights * 10.0).unwrap()).unwrap();
    assert_eq!(values(&y), [10.0, 20.0, 30.0, 40.0]);
    assert_eq!(gradient(&y), [1.0, 2.0, 3.0, 4.0]);
    let halves = Tensor::full(0.5_f32, 4, &Device::Cpu).unwrap();
    let y = ops::ste_scaled(x.as_tensor(), &weights, &halves, Threads::ONE).unwrap();
    assert_eq!((values(&y), gradient(&y)), (vec![1.0, 2.0, 3.0, 4.0], vec![0.5, 1.0, 1.5, 2.0]));
    let y = ops::round(x.as_tensor(), Threads::ONE).unwrap();
    assert_eq!((values(&y), gradient(&y)), (vec![0.0, 2.0, 0.0, -1.0], vec![1.0, 2.0, 3.0, 4.0]));
    let y = ops::floor(x.as_tensor(), Threads::ONE).unwrap();
    assert_eq!((values(&y), gradient(&y)), (vec![0.0, 1.0, -1.0, -2.0], vec![1.0, 2.0, 3.0, 4.0]));
    let y = ops::sign(x.as_tensor(), Threads::ONE).unwrap();
    assert_eq!((values(&y), gradient(&y)), (vec![1.0, 1.0, -1.0, -1.0], vec![1.0, 2.0, 3.0, 4.0]));
    assert!(!ops::map(x.as_tensor(), |x| x + 1.0, Threads::ONE).unwrap().track_op());
}

#[test]
fn dropout_keeps_the_mean_and_follows_its_seed() {
    let x =
        Var::from_tensor(&Tensor::ones((100, 100), tinsmith_core_tensor::DType::F32, &Device::Cpu).unwrap())
            .unwrap();
    let draw = || ops::dropout(x.as_tensor(), 0.25, &mut Seed::new(3).rng()).unwrap();
    let y = values(&draw());
    assert_eq!(y, values(&draw()));
    let dropped = y.iter().filter(|&&v| v == 0.0).count();
    assert!((2300..2700).contains(&dropped), "{dropped} of 10000 dropped");
    assert!(y.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
    let gradients = draw().sum_all().unwrap().backward().unwrap();
    assert_eq!(values(gradients.get(&x).unwrap()), y);
    assert_eq!(values(&ops::dropout(x.as_tensor(), 0.0, &mut Seed::new(3).rng()).unwrap()), values(&x));
}
