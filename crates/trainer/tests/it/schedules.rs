//! Learning rates against Keras, and the bounds of schedules that Keras does not have.

use tinsmith_trainer::Schedule;

use crate::{floats, golden};

#[test]
fn golden_cosine_is_kerass() {
    let file = golden("init/schedules.json");
    let mut met = 0;
    for case in file["cases"].as_array().unwrap() {
        let given = &case["kwargs"];
        if case["schedule"] != "CosineDecay" {
            continue;
        }
        let number = |key: &str| given[key].as_f64();
        let decay = number("decay_steps").unwrap();
        let rising = number("warmup_steps").unwrap_or(0.0);
        let rate = number("warmup_target").unwrap_or_else(|| number("initial_learning_rate").unwrap());
        let schedule =
            Schedule::Cosine { floor: number("alpha").unwrap_or(0.0), warm_up: rising / (rising + decay) };
        for (step, expected) in floats(&case["steps"]).iter().zip(floats(&case["learning_rate"])) {
            let found = rate * schedule.factor(*step as u64, (rising + decay) as u64, 10);
            assert!((found - expected).abs() < 1e-7, "{case}: step {step}: {found} for {expected}");
        }
        met += 1;
    }
    assert!(met >= 3, "{met} of the file's schedules ran");
}

#[test]
fn factors_have_their_corners() {
    let one_cycle = Schedule::OneCycle { rise: 0.25, start_div: 10.0, end_div: 100.0 };
    assert!((one_cycle.factor(0, 100, 10) - 0.1).abs() < 1e-12);
    assert!((one_cycle.factor(25, 100, 10) - 1.0).abs() < 1e-12);
    assert!((one_cycle.factor(100, 100, 10) - 0.01).abs() < 1e-12);
    let step = Schedule::Step { every: 2.0, factor: 0.5 };
    let found: Vec<f64> = [0, 19, 20, 40].iter().map(|&s| step.factor(s, 100, 10)).collect();
    assert_eq!(found, [1.0, 1.0, 0.5, 0.25]);
}
