//! Quantizers with parameters of their own: LSQ, PACT, and int8 with scale and zero point.

use candle_core::{Device, Tensor, Var};
use tinsmith_foundation::Seed;
use tinsmith_quant::{Affine, LearnedStep, Pact, QuantError};

fn inputs(n: usize) -> Vec<f32> {
    let mut rng = Seed::new(21).rng();
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// The values of a tensor.
fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn learned_step_gradients_are_the_paper_s() {
    let (xs, shape, steps) = (inputs(24), [4, 3, 2], [0.2_f32, 0.35, 0.05]);
    let weights: Vec<f32> = (0..24).map(|i| (i as f32 - 11.0) / 6.0).collect();
    let lsq = LearnedStep::new(3, true, Some(1)).unwrap();
    let x = Var::from_slice(&xs, &shape, &Device::Cpu).unwrap();
    let step = Var::from_slice(&steps, 3, &Device::Cpu).unwrap();
    let y = lsq.apply(&x, &step).unwrap();
    let w = Tensor::from_slice(&weights, &shape, &Device::Cpu).unwrap();
    let grads = (&y * &w).unwrap().sum_all().unwrap().backward().unwrap();
    // Equations 1 to 3 of the paper, in f64, element by element; 8 values share a step, high is 3.
    let mut want_step = [0.0_f64; 3];
    for i in 0..24 {
        let channel = i / 2 % 3;
        let (s, v) = (f64::from(steps[channel]), f64::from(xs[i]) / f64::from(steps[channel]));
        let inside = v > -4.0 && v < 3.0;
        let want = v.clamp(-4.0, 3.0).round_ties_even() * s;
        assert!((f64::from(values(&y)[i]) - want).abs() < 1e-6);
        let want_x = if inside { weights[i] } else { 0.0 };
        assert_eq!(values(grads.get(&x).unwrap())[i], want_x);
        let slope = if inside { v.round_ties_even() - v } else { v.clamp(-4.0, 3.0) };
        want_step[channel] += f64::from(weights[i]) * slope / (8.0 * 3.0_f64).sqrt();
    }
    for (got, want) in values(grads.get(&step).unwrap()).iter().zip(want_step) {
        assert!((f64::from(*got) - want).abs() < 1e-5, "{got}, want {want}");
    }
    let codes = lsq.encode(&xs, &shape, &steps).unwrap();
    assert_eq!(codes.decode(), values(&y).iter().map(|v| v + 0.0).collect::<Vec<_>>());
    assert_eq!(codes.format().to_string(), "fixed<3,2>");
}

/// Where nothing is rounded to another level, values follow the step: the limits' part of the gradient is the true
/// derivative there.
#[test]
fn learned_step_gradient_agrees_with_differences_where_limits_act() {
    let lsq = LearnedStep::new(2, true, None).unwrap();
    let xs = [9.0_f32, -9.0, 7.0];
    let sum = |step: f32| {
        let mut out = [0.0; 3];
        lsq.apply_slice(&xs, &[3], &[step], &mut out).unwrap();
        out.iter().map(|y| f64::from(*y)).sum::<f64>()
    };
    let difference = (sum(0.51) - sum(0.49)) / 0.02;
    let (mut grads, mut step_grad) = ([1.0; 3], [0.0]);
    lsq.pull_back_slice(&xs, &[3], &[0.5], &mut grads, &mut step_grad).unwrap();
    assert_eq!(grads, [0.0; 3]);
    assert!(
        (f64::from(step_grad[0]) * 3.0_f64.sqrt() - difference).abs() < 1e-3,
        "{step_grad:?} {difference}"
    );
}

#[test]
fn training_a_step_reduces_the_error() {
    let xs = inputs(256);
    let lsq = LearnedStep::new(3, true, None).unwrap();
    // Far too small to begin with.
    let mut step = [lsq.initial_steps(&xs, &[256]).unwrap()[0] * 0.2];
    let error = |step: &[f32]| {
        let mut out = vec![0.0; 256];
        lsq.apply_slice(&xs, &[256], step, &mut out).unwrap();
        let grads: Vec<f32> = out.iter().zip(&xs).map(|(y, x)| y - x).collect();
        (grads.iter().map(|e| e * e).sum::<f32>() / 256.0, grads)
    };
    let first = error(&step).0;
    for _ in 0..200 {
        let mut grads = error(&step).1;
        let mut step_grad = [0.0];
        lsq.pull_back_slice(&xs, &[256], &step, &mut grads, &mut step_grad).unwrap();
        step[0] -= 0.01 * step_grad[0];
    }
    let last = error(&step).0;
    assert!(last < 0.2 * first, "{first} to {last}, step {step:?}");
    assert!(LearnedStep::new(1, true, None).is_err());
    assert!(matches!(
        lsq.apply_slice(&xs, &[256], &[0.1, 0.2], &mut [0.0; 256]),
        Err(QuantError::Length { .. })
    ));
}

#[test]
fn pact_clips_where_it_is_told_and_learns_from_what_it_clips() {
    let pact = Pact::new(4).unwrap();
    let xs = [-1.0_f32, 0.0, 0.4, 1.9, 2.0, 5.0];
    let x = Var::from_slice(&xs, (2, 3), &Device::Cpu).unwrap();
    let upper = Var::from_slice(&[2.0_f32], 1, &Device::Cpu).unwrap();
    let y = pact.apply(&x, &upper).unwrap();
    let step = 2.0 / 15.0;
    assert_eq!(values(&y), [0.0, 0.0, 3.0 * step, 14.0 * step, 15.0 * step, 15.0 * step]);
    let w = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3), &Device::Cpu).unwrap();
    let grads = (y * w).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(values(grads.get(&x).unwrap()), [0.0, 0.0, 3.0, 4.0, 0.0, 0.0]);
    assert_eq!(values(grads.get(&upper).unwrap()), [11.0]);
    let codes = pact.encode(&xs, &[6], 2.0).unwrap();
    assert_eq!(codes.values(), [0, 0, 3, 14, 15, 15]);
    let mut out = [0.0; 6];
    pact.apply_slice(&xs, 2.0, &mut out).unwrap();
    assert_eq!(codes.decode(), out);
    assert!(pact.apply_slice(&xs, 0.0, &mut out).is_err());
    assert!(Pact::new(25).is_err());
}

#[test]
fn affine_weights_are_symmetric_per_channel() {
    let weights = [1.27_f32, -0.5, -0.635, 0.25, 0.0, 0.1];
    let affine = Affine::weights(&weights, &[3, 2], Some(1)).unwrap();
    assert_eq!(affine.zero_point(), 0);
    assert_eq!(affine.scale().values(), [1.27 / 127.0, 0.5 / 127.0]);
    let codes = affine.encode(&weights, &[3, 2]).unwrap();
    // -63.5 goes away from zero; so does 63.5.
    assert_eq!(codes, [127, -127, -64, 64, 0, 25]);
    let mut out = [0.0; 6];
    affine.apply_slice(&weights, &[3, 2], &mut out, None).unwrap();
    assert_eq!(affine.decode(&codes, &[3, 2]).unwrap(), out);
    let all_zero = Affine::weights(&[0.0; 4], &[4], None).unwrap();
    assert_eq!(all_zero.encode(&[0.0; 4], &[4]).unwrap(), [0; 4]);
    assert!(Affine::weights(&[f32::NAN], &[1], None).is_err());
    assert!(matches!(Affine::weights(&weights, &[3, 2], Some(2)), Err(QuantError::Axis { .. })));
    assert!(affine.encode(&[0.0; 3], &[3, 1]).is_err());
}

#[test]
fn affine_activations_hold_zero_exactly_and_pass_gradients_within_their_range() {
    for (min, max) in [(-1.0_f32, 3.0_f32), (0.5, 6.0), (-4.0, -1.0), (0.0, 0.0), (-0.1, 100.0)] {
        let affine = Affine::activations(min, max).unwrap();
        assert_eq!(affine.decode(&affine.encode(&[0.0], &[1]).unwrap(), &[1]).unwrap(), [0.0]);
        let step = affine.scale().values()[0];
        for x in [min.min(0.0), max.max(0.0), min * 0.3 + max * 0.7] {
            let mut out = [0.0];
            affine.apply_slice(&[x], &[1], &mut out, None).unwrap();
            assert!((out[0] - x).abs() <= step * 1.001, "{x}: {}", out[0]);
        }
    }
    let affine = Affine::activations(-1.0, 3.0).unwrap();
    let xs = [-2.0_f32, -0.5, 0.0, 2.9, 4.0];
    let x = Var::from_slice(&xs, 5, &Device::Cpu).unwrap();
    let grads = affine.apply(&x).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(values(grads.get(&x).unwrap()), [0.0, 1.0, 1.0, 1.0, 0.0]);
    let (mut out, mut slopes) = ([0.0; 5], [0.0; 5]);
    affine.apply_slice(&xs, &[5], &mut out, Some(&mut slopes)).unwrap();
    assert_eq!(slopes, [0.0, 1.0, 1.0, 1.0, 0.0]);
    assert!(Affine::activations(2.0, 1.0).is_err());
    assert!(Affine::activations(f32::NEG_INFINITY, 1.0).is_err());
}
