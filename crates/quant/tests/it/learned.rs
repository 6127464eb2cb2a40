//! Quantizers with parameters of their own: LSQ, PACT, and int8 with scale and zero point.

use candle_core::{Device, Tensor, Var};
use tinsmith_foundation::Seed;
use tinsmith_network::quantizer::{LearnedQuantizer, Quantizer};
use tinsmith_quant::{Affine, LearnedBits, LearnedStep, Pact, QuantError, ebops, effective_bits};

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
    // Equations 1 to 3 of the paper, in f64, element by element; 8 values share a step size, high is 3.
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

/// As long as no value is rounded to another level, values follow the step size, so the limits' part of the gradient
/// is the true derivative.
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
    // Far too small initially.
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

/// Parses a quantizer that must be `learned_bits`.
fn learned_bits(text: &str) -> LearnedBits {
    match text.parse().unwrap() {
        LearnedQuantizer::LearnedBits(settings) => LearnedBits::new(&settings).unwrap(),
        other => panic!("{other} is another kind"),
    }
}

#[test]
fn learned_quantizers_have_a_textual_form() {
    for (text, printed) in [
        ("learned_bits", "learned_bits()"),
        ("learned_bits( 6 , per = weight )", "learned_bits()"),
        ("learned_bits(2.5,per='tensor')", "learned_bits(2.5,'tensor')"),
        ("learned_bits(per=1)", "learned_bits(per=1)"),
        ("learned_bits(per='channel')", "learned_bits(per=-1)"),
        ("learned_step", "learned_step(4)"),
        ("learned_step(3, False, axis=2)", "learned_step(3,False,2)"),
        ("learned_step(4,axis=-1)", "learned_step(4,axis=-1)"),
        ("pact(5)", "pact(5)"),
        ("pact(5,6)", "pact(5,6.0)"),
    ] {
        let read: LearnedQuantizer = text.parse().unwrap();
        assert_eq!(read.to_string(), printed);
        assert_eq!(printed.parse::<LearnedQuantizer>().unwrap(), read);
        let kind: Quantizer = text.parse().unwrap();
        assert_eq!(kind, Quantizer::Learned(read));
        assert_eq!(kind.to_string(), printed);
    }
    for (text, message) in [
        (
            "learned_bitz(3)",
            "at character 0: no quantizer is called `learned_bitz`; there are learned_step, pact, learned_bits",
        ),
        (
            "learned_bits(3,per=row)",
            "at character 19: per is 'row', want 'tensor', 'channel', 'weight' or the number of an axis",
        ),
        ("learned_bits(3;4)", "at character 14: want `,` or `)`, found `;`"),
        ("pact(4,2,1)", "at character 9: 3 arguments are too many; parameters are bits, upper"),
    ] {
        assert_eq!(text.parse::<LearnedQuantizer>().unwrap_err().to_string(), message);
    }
    let LearnedQuantizer::LearnedStep(step) = "learned_step(3,axis=0)".parse().unwrap() else { panic!() };
    assert_eq!(LearnedStep::try_from(&step).unwrap(), LearnedStep::new(3, true, Some(0)).unwrap());
    let LearnedQuantizer::Pact(pact) = "pact(30)".parse().unwrap() else { panic!() };
    assert!(Pact::try_from(&pact).is_err());
    let LearnedQuantizer::LearnedBits(far) = "learned_bits(24)".parse().unwrap() else { panic!() };
    assert!(LearnedBits::new(&far).unwrap_err().to_string().contains("want -23 to 23"));
}

#[test]
fn learned_bits_round_half_up_at_each_granularity() {
    let (xs, shape) = ([0.3_f32, -0.375, 0.125, 5.0, -1e30, 0.0], [3, 2]);
    let quantize = |text: &str, f: &[f32]| {
        let (bits, mut out) = (learned_bits(text), [9.0; 6]);
        bits.apply_slice(&xs, &shape, f, &mut out).unwrap();
        out
    };
    assert_eq!(quantize("learned_bits(per='tensor')", &[2.0]), [0.25, -0.25, 0.25, 5.0, -1e30, 0.0]);
    assert_eq!(quantize("learned_bits(per=1)", &[1.4, 2.6]), [0.5, -0.375, 0.0, 5.0, -1e30, 0.0]);
    let own = [0.0, 2.0, 3.0, -3.0, 23.0, 1.0];
    assert_eq!(quantize("learned_bits", &own), [0.0, -0.25, 0.125, 8.0, -1e30, 0.0]);
    let bits = learned_bits("learned_bits(5,per=1)");
    assert_eq!(bits.initial(&shape).unwrap(), [5.0, 5.0]);
    assert!(matches!(bits.initial(&[4]), Err(QuantError::Axis { .. })));
    assert!(matches!(bits.apply_slice(&xs, &shape, &[1.0], &mut [0.0; 6]), Err(QuantError::Length { .. })));
}

/// The surrogate is the derivative of the expected error: over many values it agrees, integrated over the interval,
/// with differences of the squared error between neighboring bit widths.
#[test]
fn learned_bits_gradient_agrees_with_differences_of_the_error() {
    let xs = inputs(4096);
    let bits = learned_bits("learned_bits(per='tensor')");
    // The squared error and its surrogate derivative at f.
    let error = |f: f32| {
        let mut out = vec![0.0; xs.len()];
        bits.apply_slice(&xs, &[xs.len()], &[f], &mut out).unwrap();
        let grads: Vec<f32> = out.iter().zip(&xs).map(|(y, x)| 2.0 * (y - x)).collect();
        let slope = bits.pull_back_slice(&xs, &[xs.len()], &[f], &grads).unwrap()[0];
        let sum: f64 = out.iter().zip(&xs).map(|(y, x)| f64::from(y - x).powi(2)).sum();
        (sum, f64::from(slope))
    };
    for f in 1..6 {
        let ((here, slope), (next, _)) = (error(f as f32), error(f as f32 + 1.0));
        // e(f) falls by 4 with each bit; e'(f) = -2 ln 2 e(f) integrates to 3/4 e(f) over one bit.
        assert!((slope / here + 2.0 * std::f64::consts::LN_2).abs() < 1e-4, "{f}");
        let difference = next - here;
        assert!((difference / here + 0.75).abs() < 0.05, "{f}: {}", difference / here);
    }
}

#[test]
fn learned_bits_in_the_graph_have_both_gradients() {
    let (xs, shape, f) = (inputs(12), [3, 4], [1.0_f32, 2.0, 0.0]);
    let bits = learned_bits("learned_bits(per=0)");
    let x = Var::from_slice(&xs, &shape, &Device::Cpu).unwrap();
    let fractional = Var::from_slice(&f, 3, &Device::Cpu).unwrap();
    let w: Vec<f32> = (0..12).map(|i| i as f32 - 5.0).collect();
    let weights = Tensor::from_slice(&w, &shape, &Device::Cpu).unwrap();
    let y = bits.apply(&x, &fractional).unwrap();
    let grads = (&y * &weights).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(values(grads.get(&x).unwrap()), w);
    let got = values(grads.get(&fractional).unwrap());
    for row in 0..3 {
        let want: f64 = (row * 4..row * 4 + 4)
            .map(|i| {
                let unit = f64::from(f[row]).exp2();
                let y = (f64::from(xs[i]) * unit + 0.5).floor() / unit;
                assert_eq!(f64::from(values(&y_of(&bits, &x, &fractional))[i]), y);
                f64::from(w[i]) * std::f64::consts::LN_2 * (f64::from(xs[i]) - y)
            })
            .sum();
        assert!((f64::from(got[row]) - want).abs() < 1e-5, "{got:?}, want {want}");
    }
}

fn y_of(bits: &LearnedBits, x: &Var, fractional: &Var) -> Tensor {
    bits.apply(x.as_tensor(), fractional.as_tensor()).unwrap()
}

#[test]
fn learned_bits_have_codes_widths_and_facts() {
    let (xs, shape) = ([0.3_f32, -0.375, 0.02, 5.0, 7.9999995, -0.01], [3, 2]);
    let bits = learned_bits("learned_bits");
    let f = [2.0, 3.0, 1.0, 0.0, 0.0, -2.0];
    let codes = bits.encode(&xs, &shape, &f).unwrap();
    assert_eq!(codes.values(), [1, -3, 0, 5, 8, 0]);
    let mut out = [9.0; 6];
    bits.apply_slice(&xs, &shape, &f, &mut out).unwrap();
    assert_eq!(codes.decode(), out);
    assert_eq!(codes.format().to_string(), "fixed<5,4>");
    // 0.25 takes the one bit behind the point that is not before it: -1 before and 2 behind.
    assert_eq!(bits.widths(&xs, &shape, &f).unwrap(), [1.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
    // Each stored weight has a sign.
    assert_eq!(bits.total_bits(&xs, &shape, &f).unwrap(), 2 + 3 + 4 + 5);
    let facts = bits.facts("kernel", &xs, &shape, &f).unwrap();
    assert_eq!((facts.non_zeros, facts.total_bits), (Some(4), Some(14)));
    assert!(matches!(bits.widths(&[f32::NAN], &[1], &[0.0]), Err(QuantError::NotANumber { .. })));
    assert!(matches!(bits.encode(&[1e12], &[1], &[0.0]), Err(QuantError::NoCodes { .. })));
    assert_eq!(bits.encode(&[], &[0], &[]).unwrap().values(), [0_i32; 0]);
}

#[test]
fn effective_bit_operations_are_counted_by_hand() {
    for (code, bits) in [(0, 0), (1, 1), (8, 1), (5, 3), (-6, 2), (i32::MIN, 1), (i32::MAX, 31)] {
        assert_eq!(effective_bits(code), bits, "{code}");
    }
    // A convolution of 1 x 2 taps, two channels, one output, at 10 positions.
    let codes = [3, 4, 7, 0];
    assert_eq!(ebops(&codes, &[1, 2, 2, 1], &[4, 6], 10).unwrap(), 10 * ((2 + 3) * 4 + 6));
    assert!(ebops(&codes, &[1, 2, 2, 1], &[4], 10).is_err());
    assert!(ebops(&[1], &[1], &[1], 1).is_err());

    // The bound uses bit widths: the weights of a column share their bits.
    let bits = learned_bits("learned_bits(per=1)");
    let (xs, shape, f) = ([0.5_f32, 0.0, 0.75, 0.0], [2, 2], [2.0, 3.0]);
    let penalty = bits.penalty_slice(&xs, &shape, &f, &[4.0, 6.0], 1).unwrap();
    assert_eq!(bits.widths(&xs, &shape, &f).unwrap(), [2.0, 0.0]);
    assert_eq!(penalty.value, f64::from(2 * 4 + 2 * 6));
    assert_eq!(penalty.fractional, [10.0 / 2.0_f32.sqrt(), 0.0]);
    assert_eq!(penalty.input_bits, [2.0, 2.0]);
    let exact = ebops(bits.encode(&xs, &shape, &f).unwrap().values(), &shape, &[4, 6], 1).unwrap();
    assert_eq!(exact, 4 + 2 * 6);
}

/// A linear map with irrelevant inputs in half of its places: under the penalty those weights lose all their bits,
/// and the others keep enough.
#[test]
fn training_widths_saves_bits_where_they_do_not_matter() {
    let (rows, inputs_, outputs) = (64, 6, 2);
    let x = Tensor::from_vec(inputs(rows * inputs_), (rows, inputs_), &Device::Cpu).unwrap();
    let truth: Vec<f32> = (0..12).map(|i| if i < 6 { 0.4 + 0.1 * i as f32 } else { 0.0 }).collect();
    let target = x.matmul(&Tensor::from_slice(&truth, (inputs_, outputs), &Device::Cpu).unwrap()).unwrap();
    let start: Vec<f32> = inputs(12).iter().map(|v| 0.2 * v).collect();
    let w = Var::from_slice(&start, (inputs_, outputs), &Device::Cpu).unwrap();
    let bits = learned_bits("learned_bits(6)");
    let f = Var::from_slice(&bits.initial(&[inputs_, outputs]).unwrap(), 12, &Device::Cpu).unwrap();
    let input_bits = Tensor::new(&[8.0_f32; 6], &Device::Cpu).unwrap();
    let state = || (values(w.as_tensor()), values(f.as_tensor()));
    let total = || bits.total_bits(&state().0, &[inputs_, outputs], &state().1).unwrap();
    let task = || {
        let y = x.matmul(&bits.apply(w.as_tensor(), f.as_tensor()).unwrap()).unwrap();
        (y - &target).unwrap().sqr().unwrap().mean_all().unwrap()
    };
    let before = total();
    for _ in 0..400 {
        let penalty = bits.penalty(w.as_tensor(), f.as_tensor(), &input_bits, 1).unwrap();
        let grads = (task() + (penalty * 1e-4).unwrap()).unwrap().backward().unwrap();
        for (var, rate) in [(&w, 0.1), (&f, 20.0)] {
            let step = (grads.get(var.as_tensor()).unwrap() * rate).unwrap();
            var.set(&(var.as_tensor().detach() - step).unwrap()).unwrap();
        }
    }
    let loss = task().to_scalar::<f32>().unwrap();
    let widths = bits.widths(&state().0, &[inputs_, outputs], &state().1).unwrap();
    assert!(loss < 0.02, "{loss}");
    assert!(total() * 3 < before * 2, "{before} to {}: {widths:?}", total());
    assert!(widths[6..].iter().all(|&width| width == 0.0), "{widths:?}");
    assert!(widths[..6].iter().all(|&width| width > 0.0), "{widths:?}");
}
