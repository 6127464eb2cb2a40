//! Values and gradients equal to those of QKeras 0.9.0.

use serde_json::Value;
use tinsmith_foundation::Seed;
use tinsmith_quant::tanh_sigmoid as squash;
use tinsmith_quant::{Mode, QuantizerOp};

use crate::reference::{number, numbers, quantizer, read};

/// A function of one number.
type Function = fn(f32) -> f32;

/// Comparison counts, printed at the end of each test.
#[derive(Default)]
struct Tally {
    cases: usize,
    elements: usize,
    /// Elements that went to the neighboring level.
    ties: usize,
    refused: Vec<String>,
    failures: Vec<String>,
}

impl Tally {
    fn finish(self, what: &str) {
        println!(
            "{what}: {} cases, {} elements, {} off by a level tie, {} cases refused by design",
            self.cases,
            self.elements,
            self.ties,
            self.refused.len()
        );
        for refused in &self.refused {
            println!("  refused: {refused}");
        }
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
        assert!(self.cases > 0, "no cases");
        assert!(self.ties * 10_000 <= self.elements, "{} ties of {}", self.ties, self.elements);
    }

    /// Compares values; a level next to the expected one counts as a tie.
    fn compare(&mut self, what: &str, xs: &[f32], got: &[f32], want: &[f32], levels: &[f32]) {
        if got.len() != want.len() {
            self.failures.push(format!("{what}: {} values, want {}", got.len(), want.len()));
            return;
        }
        for (i, (&y, &w)) in got.iter().zip(want).enumerate() {
            self.elements += 1;
            if is_close(y, w, xs[i]) {
                continue;
            }
            if is_neighbor(y, w, levels) {
                self.ties += 1;
                println!("  level tie: {what}: {:?}: {y:?}, want {w:?}", xs[i]);
            } else {
                self.failures.push(format!("{what}: x[{i}] = {:?}: {y:?}, want {w:?}", xs[i]));
                return;
            }
        }
    }
}

/// 1e-6 relative, plus the rounding loss of the reference's `x + (q - x)`.
fn is_close(y: f32, want: f32, x: f32) -> bool {
    (y.is_nan() && want.is_nan())
        || y == want
        || f64::from(y - want).abs() <= 1e-6 * f64::from(want.abs()) + 1.2e-7 * f64::from(x.abs())
}

fn is_neighbor(y: f32, want: f32, levels: &[f32]) -> bool {
    let place = |v: f32| levels.iter().position(|l| (l - v).abs() <= 1e-6 * v.abs());
    matches!((place(y), place(want)), (Some(a), Some(b)) if a.abs_diff(b) == 1)
}

/// All values that occur, in order.
fn levels_of(ys: &[f32]) -> Vec<f32> {
    let mut levels: Vec<f32> = ys.iter().copied().filter(|y| y.is_finite()).collect();
    levels.sort_by(f32::total_cmp);
    levels.dedup();
    levels
}

/// Compares values and gradients of one case, by both ways of computing a gradient.
fn check_case(tally: &mut Tally, case: &Value, shape: &[usize], xs: &[f32]) {
    let quantizer = quantizer(case);
    let what = format!("case {} {quantizer}", case["id"]);
    let op = match QuantizerOp::new(&quantizer) {
        Ok(op) => op,
        Err(error) => {
            tally.refused.push(format!("case {}: {error}", case["id"]));
            return;
        }
    };
    tally.cases += 1;
    let mut want = numbers(&case["y"]);
    // The exact value is stored separately for elements at which the residual x + (q - x) makes the reference's y
    // inexact.
    for pair in case["xq_where_different"].as_array().into_iter().flatten() {
        want[pair[0].as_u64().unwrap() as usize] = number(&pair[1]);
    }
    let (mut got, mut grad) = (vec![f32::NAN; xs.len()], vec![f32::NAN; xs.len()]);
    let scale = op.apply_slice(xs, shape, &mut got, Some(&mut grad), Mode::Inference).unwrap();
    let levels = levels_of(&want);
    tally.compare(&what, xs, &got, &want, &levels);
    // 1 - tanh(x)^2 and s (1 - s) cancel: their last digits are those of a tanh or sigmoid near 1.
    let cancels = what.contains("ary(") || what.contains("use_real");
    let slack: Vec<f32> = if cancels { xs.to_vec() } else { vec![0.0; xs.len()] };
    tally.compare(&format!("{what} gradient"), &slack, &grad, &numbers(&case["dx"]), &[]);
    let mut pulled = vec![1.0; xs.len()];
    op.pull_back_slice(xs, shape, &mut pulled, Mode::Inference).unwrap();
    assert_eq!(pulled, grad, "{what}: both ways to a gradient");
    assert!(got.iter().all(|y| y.to_bits() != (-0.0_f32).to_bits()), "{what}: -0.0");
    if op.is_gradient_one(Mode::Inference) {
        assert!(grad.iter().all(|g| *g == 1.0), "{what}: is_gradient_one");
    }
    if case["scale"].is_object() {
        let want = numbers(&case["scale"]["data"]);
        let zeros = vec![0.0; want.len()];
        tally.compare(&format!("{what} scale"), &zeros, scale.values(), &want, &[]);
        let shape_wanted: Vec<usize> =
            case["scale"]["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        if !shape_wanted.is_empty() {
            assert_eq!(scale.broadcast_shape(shape), shape_wanted, "{what}: scale's shape");
        }
    }
}

#[test]
fn golden_elementwise() {
    let file = read("elementwise.json");
    let shared = numbers(&file["x"]);
    let mut tally = Tally::default();
    for case in file["cases"].as_array().unwrap() {
        let mut xs = shared.clone();
        xs.extend(numbers(&case["x_extra"]));
        if let Some(function) = case["function"].as_str() {
            let (value, slope): (Function, Function) = match function {
                "hard_sigmoid" => (squash::hard_sigmoid, squash::hard_sigmoid_slope),
                "smooth_sigmoid" => (squash::smooth_sigmoid, squash::smooth_sigmoid_slope),
                "hard_tanh" => (squash::hard_tanh, |x| 2.0 * squash::hard_sigmoid_slope(x)),
                "smooth_tanh" => (squash::smooth_tanh, |x| 2.0 * squash::smooth_sigmoid_slope(x)),
                "binary_sigmoid" => (squash::binary_sigmoid, squash::hard_sigmoid_slope),
                "binary_tanh" => (squash::binary_tanh, |x| 2.0 * squash::hard_sigmoid_slope(x)),
                other => panic!("unknown function {other}"),
            };
            let ys: Vec<f32> = xs.iter().map(|&x| value(x)).collect();
            let slopes: Vec<f32> = xs.iter().map(|&x| slope(x)).collect();
            tally.cases += 1;
            tally.compare(function, &xs, &ys, &numbers(&case["y"]), &[]);
            tally.compare(function, &vec![0.0; xs.len()], &slopes, &numbers(&case["dx"]), &[]);
            continue;
        }
        let n = xs.len();
        check_case(&mut tally, case, &[n], &xs);
    }
    tally.finish("elementwise.json");
}

#[test]
fn golden_tensors() {
    let file = read("tensors.json");
    let mut tally = Tally::default();
    let mut unlike = 0;
    for case in file["cases"].as_array().unwrap() {
        let tensor = &file["tensors"][case["tensor"].as_u64().unwrap() as usize];
        let xs = numbers(&tensor["data"]);
        let shape: Vec<usize> =
            tensor["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        if case["call_error"].is_string() || case["y_shape"].is_array() {
            // The reference fails, or returns a shape other than the input's. Ours is the same as without random
            // rounding.
            let random = QuantizerOp::new(&quantizer(case)).unwrap();
            let mut plain = case.clone();
            plain["kwargs"].as_object_mut().unwrap().remove("use_stochastic_rounding");
            let plain = QuantizerOp::new(&quantizer(&plain)).unwrap();
            assert_eq!(
                random.quantize(&xs, &shape, Mode::Inference).unwrap(),
                plain.quantize(&xs, &shape, Mode::Inference).unwrap()
            );
            unlike += 1;
            continue;
        }
        check_case(&mut tally, case, &shape, &xs);
    }
    println!("tensors.json: {unlike} cases where the reference fails and ours does not");
    tally.finish("tensors.json");
}

#[test]
fn golden_bernoulli() {
    let file = read("bernoulli.json");
    let mut cases = 0;
    for case in file["cases"].as_array().unwrap() {
        let op = QuantizerOp::new(&quantizer(case)).unwrap();
        let xs = numbers(&case["x"]);
        // One channel, as in the reference's run.
        let shape = if case["scale"].is_object() { vec![xs.len(), 1] } else { vec![xs.len()] };
        let want = numbers(&case["empirical_mean"]);
        let reference_draws = case["draws"].as_f64().unwrap();
        let draws = 4000;
        let mut sums = vec![0.0_f64; xs.len()];
        let mut scale = 1.0;
        for draw in 0..draws {
            let mode = Mode::Training(Seed::new(draw));
            let (ys, used) = op.quantize(&xs, &shape, mode).unwrap();
            scale = f64::from(used.values()[0]);
            sums.iter_mut().zip(&ys).for_each(|(sum, y)| *sum += f64::from(*y));
        }
        if case["scale"].is_object() {
            let want = f64::from(numbers(&case["scale"]["data"])[0]);
            assert!((scale - want).abs() <= 1e-6 * want, "scale {scale}, want {want}");
        }
        // Two means of 4000 draws differ by at most 4 times their common deviation in nearly all cases.
        let tolerance = 4.0 * 0.5 * scale * (1.0 / draws as f64 + 1.0 / reference_draws).sqrt() + 1e-5;
        for ((x, sum), want) in xs.iter().zip(&sums).zip(&want) {
            let mean = sum / draws as f64;
            assert!(
                (mean - f64::from(*want)).abs() <= tolerance,
                "case {}: x {x}: {mean}, want {want}",
                case["id"]
            );
        }
        let mut grad = vec![0.0; xs.len()];
        let mut out = vec![0.0; xs.len()];
        op.apply_slice(&xs, &shape, &mut out, Some(&mut grad), Mode::Inference).unwrap();
        assert!(grad.iter().all(|g| *g == 1.0));
        cases += 1;
    }
    println!("bernoulli.json: {cases} cases");
    assert!(cases > 0);
}
