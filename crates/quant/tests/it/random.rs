//! Random draws in training: equal for equal seeds, and with the right means.

use tinsmith_foundation::Seed;
use tinsmith_quant::{Mode, QuantizerOp};

use crate::codes::{KINDS, op};

/// Means of the elements over `draws` seeds.
fn means(op: &QuantizerOp, xs: &[f32], shape: &[usize], draws: u64) -> Vec<f64> {
    let mut sums = vec![0.0; xs.len()];
    for draw in 0..draws {
        let (ys, _) = op.quantize(xs, shape, Mode::Training(Seed::new(9).derive("draw", draw))).unwrap();
        sums.iter_mut().zip(ys).for_each(|(sum, y)| *sum += f64::from(y));
    }
    sums.iter().map(|sum| sum / draws as f64).collect()
}

#[test]
fn the_seed_decides() {
    let xs: Vec<f32> = (0..60).map(|i| (i as f32 - 30.0) / 20.0).collect();
    for text in KINDS {
        let op = op(text);
        let run = |seed| op.quantize(&xs, &[10, 6], Mode::Training(Seed::new(seed))).unwrap().0;
        assert_eq!(run(1), run(1), "{text}");
        if text.starts_with("stochastic") || text.starts_with("bernoulli") {
            assert_ne!(run(1), run(2), "{text}");
        } else {
            assert_eq!(run(1), op.quantize(&xs, &[10, 6], Mode::Inference).unwrap().0, "{text}");
        }
    }
}

#[test]
fn stochastic_rounding_is_unbiased_within_the_range_and_off_in_inference() {
    let xs = [-0.9, -0.4, -0.05, 0.01, 0.2, 0.3, 0.49, 0.8];
    for (text, low) in [
        ("quantized_bits(4,0,alpha=1.0,use_stochastic_rounding=True)", -1.0),
        ("quantized_relu(4,0,use_stochastic_rounding=True)", 0.0),
        ("quantized_relu(5,0,negative_slope=0.5,use_stochastic_rounding=True)", -1.0),
        ("quantized_tanh(4,use_stochastic_rounding=True)", -1.0),
        ("quantized_po2(4,use_stochastic_rounding=True)", -1.0),
    ] {
        let op = op(text);
        let leaky = text.contains("slope");
        for (mean, &x) in means(&op, &xs, &[8], 6000).iter().zip(&xs) {
            let want = if x < 0.0 && leaky { x * 0.5 } else { x.max(low) };
            // Powers of two have no level below 2^-4.
            if text.contains("po2") && x.abs() < 0.0625 {
                continue;
            }
            assert!((mean - f64::from(want)).abs() < 0.02, "{text} {x}: {mean}, want {want}");
        }
        let plain = text.replace(",use_stochastic_rounding=True", "");
        assert_eq!(
            op.quantize(&xs, &[8], Mode::Inference).unwrap(),
            self::op(&plain).quantize(&xs, &[8], Mode::Inference).unwrap()
        );
    }
}

#[test]
fn stochastic_binary_has_the_probability_of_the_sigmoid() {
    let xs = [-0.6_f32, -0.2, 0.0, 0.1, 0.35];
    let op = op("stochastic_binary(alpha=0.5,temperature=4.0)");
    for (mean, &x) in means(&op, &xs, &[5], 6000).iter().zip(&xs) {
        let upper = 1.0 / (1.0 + (-4.0 * f64::from(x)).exp());
        assert!((mean - 0.5 * (2.0 * upper - 1.0)).abs() < 0.03, "{x}: {mean}");
    }
    // With a fitted scale, values are first divided by the standard deviation of their channel.
    let op = self::op("stochastic_binary(alpha='auto')");
    let column = [-0.6_f32, -0.2, 0.0, 0.1, 0.35, 0.9];
    let mean = column.iter().sum::<f32>() / 6.0;
    let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 6.0).sqrt();
    let (_, scale) = op.quantize(&column, &[6, 1], Mode::Inference).unwrap();
    for (mean, &x) in means(&op, &column, &[6, 1], 6000).iter().zip(&column) {
        let upper = 1.0 / (1.0 + (-6.0 * f64::from(x / deviation)).exp());
        let want = f64::from(scale.values()[0]) * (2.0 * upper - 1.0);
        assert!((mean - want).abs() < 0.03, "{x}: {mean}, want {want}");
    }
}

#[test]
fn stochastic_ternary_is_the_mean_of_two_signs() {
    let op = op("stochastic_ternary(alpha=1.0,threshold=0.5,temperature=5.0)");
    let xs = [-0.8_f32, -0.5, 0.0, 0.3, 0.6];
    let sigmoid = |x: f64| 1.0 / (1.0 + (-5.0 * x).exp());
    for (mean, &x) in means(&op, &xs, &[5], 6000).iter().zip(&xs) {
        let x = f64::from(x);
        let want = sigmoid(x - 0.5) + sigmoid(x + 0.5) - 1.0;
        assert!((mean - want).abs() < 0.04, "{x}: {mean}, want {want}");
    }
}

#[test]
fn binary_and_ternary_with_random_rounding() {
    // Zero has either sign; small values flip now and then, values of an eighth of the range never.
    let binary = op("binary(alpha=1.0,use_stochastic_rounding=True)");
    let means_of_binary = means(&binary, &[0.0, 0.05, 0.5, -1.0], &[4, 1], 4000);
    assert!(means_of_binary[0].abs() < 0.06, "{means_of_binary:?}");
    assert!(means_of_binary[1] > 0.0 && means_of_binary[1] < 0.6, "{means_of_binary:?}");
    assert_eq!(&means_of_binary[2..], &[1.0, -1.0]);
    let ternary = op("ternary(alpha='auto',use_stochastic_rounding=True,number_of_unrolls=1)");
    // The scale before refinement is 2/3, so 1/3 lies half-way: kept if it is rounded up to 2 thirds.
    let xs = [1.0, -1.0, 1.0 / 3.0, 0.1];
    let kept = (0..4000).filter(|draw| {
        let (ys, _) = ternary.quantize(&xs, &[4, 1], Mode::Training(Seed::new(*draw))).unwrap();
        assert!(ys[0] > 0.0 && ys[1] < 0.0 && ys[3] == 0.0);
        ys[2] != 0.0
    });
    let share = kept.count() as f64 / 4000.0;
    assert!((share - 0.5).abs() < 0.04, "{share}");
}
