//! Results are bit-identical for any number of threads. Sizes are large enough for several threads to be used.

use tinsmith_core_tensor::{Result, Tensor, Var, ops};
use tinsmith_kernels::{Activation, Conv2dGeometry, Pool2dGeometry, Threads};

use crate::reference::{normal_tensor, values};

/// Compares value and gradients of `f` for 1, 2, 3 and 8 threads.
#[track_caller]
fn check(what: &str, inputs: &[Tensor], f: impl Fn(&[Tensor], Threads) -> Result<Tensor>) {
    let run = |threads: usize| {
        let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
        let tracked: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let y = f(&tracked, Threads::new(threads)).unwrap();
        let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let mut bits: Vec<u32> = values(&y).iter().map(|v| v.to_bits()).collect();
        for var in &vars {
            bits.extend(values(gradients.get(var).unwrap()).iter().map(|v| v.to_bits()));
        }
        bits
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert!(one == run(threads), "{what}: {threads} threads give other bits than one");
    }
}

#[test]
fn products_are_the_same_for_any_number_of_threads() {
    let b = normal_tensor(3, &[200]);
    let (x, w) = (normal_tensor(1, &[410, 401]), normal_tensor(2, &[401, 200]));
    check("dense", &[x, w, b], |t, n| ops::dense(&t[0], &t[1], Some(&t[2]), n));
    let (x, w) = (normal_tensor(1, &[13, 17, 19, 24]), normal_tensor(2, &[3, 3, 24, 33]));
    let g = Conv2dGeometry::default().same((17, 19), (3, 3));
    check("conv2d", &[x, w, normal_tensor(3, &[33])], |t, n| ops::conv2d(&t[0], &t[1], Some(&t[2]), &g, n));
    let x = normal_tensor(1, &[15, 37, 39, 24]);
    let g = g.same((37, 39), (3, 3));
    check("depthwise", &[x, normal_tensor(2, &[3, 3, 24, 1])], |t, n| {
        ops::depthwise_conv2d(&t[0], &t[1], None, &g, n)
    });
}

#[test]
fn other_operations_are_the_same_for_any_number_of_threads() {
    let x = normal_tensor(1, &[29, 67, 64, 9]);
    let (gamma, beta) = (normal_tensor(2, &[9]), normal_tensor(3, &[9]));
    let g = Pool2dGeometry { stride: (1, 1), ..Pool2dGeometry::new((2, 2)) }.same((67, 64));
    check("batch norm", &[x.clone(), gamma.clone(), beta], |t, n| {
        Ok(ops::batch_norm_train(&t[0], &t[1], &t[2], 1e-3, n)?.0)
    });
    check("max pool", std::slice::from_ref(&x), |t, n| ops::max_pool2d(&t[0], &g, n));
    check("average pool", std::slice::from_ref(&x), |t, n| ops::average_pool2d(&t[0], &g, n));
    check("tanh", std::slice::from_ref(&x), |t, n| ops::activation(&t[0], Activation::Tanh, n));
    check("softmax", std::slice::from_ref(&x), |t, n| ops::softmax(&t[0], n));
    check("map with a parameter", &[x, gamma], |t, n| {
        ops::map_parameter_with_gradient(&t[0], &t[1], |x, p| (x * p, p, x), n)
    });
}
