//! Learning rates against Keras, and the bounds of schedules that Keras does not have.

use tinsmith_trainer::{Schedule, TrainConfig};

use crate::{floats, golden};

/// Returns the schedule of a case over its whole length, for a learning rate of 1; None if it is not supported.
fn config(case: &serde_json::Value) -> Option<(TrainConfig, f64, f64)> {
    let number = |key: &str| case["kwargs"][key].as_f64();
    let flag = |key: &str| case["kwargs"][key].as_bool().unwrap_or(false);
    let rate = number("initial_learning_rate").unwrap_or(0.0);
    let steps = number("decay_steps").unwrap_or(0.0);
    let config = |schedule, warm_up| TrainConfig { schedule, warm_up, ..TrainConfig::default() };
    match case["schedule"].as_str()? {
        "CosineDecay" => {
            let rising = number("warmup_steps").unwrap_or(0.0);
            let schedule = Schedule::Cosine { floor: number("alpha").unwrap_or(0.0) };
            let warm = config(schedule, rising / (rising + steps));
            Some((warm, number("warmup_target").unwrap_or(rate), rising + steps))
        }
        // One epoch of `decay_steps`.
        "ExponentialDecay" => {
            let factor = number("decay_rate")?;
            let schedule = if flag("staircase") {
                Schedule::Step { every: 1.0, factor }
            } else {
                Schedule::Exponential { every: 1.0, factor }
            };
            Some((config(schedule, 0.0), rate, steps))
        }
        "PolynomialDecay" if !flag("cycle") => {
            let floor = number("end_learning_rate").unwrap_or(1e-4) / rate;
            let power = number("power").unwrap_or(1.0);
            Some((config(Schedule::Polynomial { power, floor }, 0.0), rate, steps))
        }
        _ => None,
    }
}

#[test]
fn golden_learning_rates_are_kerass() {
    let file = golden("init/schedules.json");
    let (mut met, mut not_offered) = (0, Vec::new());
    for case in file["cases"].as_array().unwrap() {
        let Some((config, rate, total)) = config(case) else {
            not_offered.push(case["schedule"].as_str().unwrap());
            continue;
        };
        for (step, expected) in floats(&case["steps"]).iter().zip(floats(&case["learning_rate"])) {
            let found = rate * config.learning_rate_factor(*step as u64, total as u64, total as u64);
            assert!((found - expected).abs() < 1e-7, "{case}: step {step}: {found} for {expected}");
        }
        met += 1;
    }
    println!("{met} schedules met; not offered: {not_offered:?}");
    assert!(met >= 6, "{met} of the file's schedules ran");
}

#[test]
fn factors_have_their_corners() {
    let one_cycle = Schedule::OneCycle { rise: 0.25, start_div: 10.0, end_div: 100.0 };
    assert!((one_cycle.factor(0.0, 100.0, 10) - 0.1).abs() < 1e-12);
    assert!((one_cycle.factor(25.0, 100.0, 10) - 1.0).abs() < 1e-12);
    assert!((one_cycle.factor(100.0, 100.0, 10) - 0.01).abs() < 1e-12);
    let step = Schedule::Step { every: 2.0, factor: 0.5 };
    let found: Vec<f64> = [0.0, 19.0, 20.0, 40.0].iter().map(|&s| step.factor(s, 100.0, 10)).collect();
    assert_eq!(found, [1.0, 1.0, 0.5, 0.25]);
    let warm = TrainConfig { warm_up: 0.1, schedule: step, ..TrainConfig::default() };
    let found: Vec<f64> = [0, 5, 10, 29, 30].iter().map(|&s| warm.learning_rate_factor(s, 100, 10)).collect();
    assert_eq!(found, [0.0, 0.5, 1.0, 1.0, 0.5]);
}
