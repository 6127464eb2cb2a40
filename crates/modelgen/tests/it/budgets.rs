//! Networks within limits.

use tinsmith_cost::{Cost, Limits, Target};
use tinsmith_foundation::Seed;
use tinsmith_modelgen::{GeneratorConfig, ModelGenerator};
use tinsmith_network::{Activation, ModelSpec, Op};

fn target(name: &str) -> Target {
    Target::builtin(name).unwrap()
}

fn limits(flash: u64, ram: u64) -> Limits {
    Limits { flash: Some(flash << 10), ram: Some(ram << 10), ..Limits::default() }
}

#[track_caller]
fn check_task(input: &[usize], classes: usize, limits: Limits, target: &Target) -> Vec<ModelSpec> {
    let generator = ModelGenerator::new(GeneratorConfig::for_task(input, classes)).unwrap();
    let (found, tally) = generator.costed_candidates(60, Seed::new(5), &limits, target).unwrap();
    assert_eq!(found.len(), 60);
    // Rejection must stay cheap.
    assert!(tally.draws < 60 * 60, "{tally:?}");
    let specs: Vec<ModelSpec> = found.into_iter().map(|c| c.spec).collect();
    for (i, spec) in specs.iter().enumerate() {
        let cost = Cost::of(spec, target).unwrap();
        assert!(limits.check(&cost).is_empty());
        let Some(Op::Dense(head)) = spec.layers.last().map(|l| &l.op) else { panic!("no dense head") };
        assert_eq!((head.units, &head.activation, head.use_bias), (classes, &Activation::Linear, true));
        assert!(!specs[..i].contains(spec));
    }
    assert_eq!(generator.candidates(60, Seed::new(5), &limits, target).unwrap(), specs);
    specs
}

#[test]
fn small_classifiers_fit_small_machines() {
    for name in ["mcu-int8", "float32"] {
        let target = target(name);
        check_task(&[8, 8, 1], 10, limits(8, 2), &target);
        check_task(&[28, 28, 1], 10, limits(64, 16), &target);
        check_task(&[128, 6], 6, limits(64, 16), &target);
        check_task(&[16], 5, limits(8, 2), &target);
    }
}

#[test]
fn a_budget_that_nothing_keeps_is_reported_with_the_constraints_that_bind() {
    let config = GeneratorConfig { max_tries: 200, ..GeneratorConfig::default() };
    let generator = ModelGenerator::new(config).unwrap();
    let limits = Limits { macs: Some(1 << 40), params: Some(10), flash: Some(1 << 10), ..Limits::default() };
    let error = generator.candidates(3, Seed::new(1), &limits, &target("fpga")).unwrap_err().to_string();
    assert!(error.starts_with("found 0 of 3 networks, then none: 200 of 200 draws exceed"), "{error}");
    for limit in ["params, 10 (the smallest has", "flash, 1024 (the smallest has"] {
        assert!(error.contains(&format!("200 of 200 draws exceed the limit of {limit}")), "{error}");
    }
    assert!(!error.contains("macs"), "{error}");
    let none = Limits { ram: Some(0), ..Limits::default() };
    assert!(
        generator
            .candidates(1, Seed::new(1), &none, &target("fpga"))
            .unwrap_err()
            .to_string()
            .contains("`ram` is 0")
    );
}

#[test]
fn a_family_of_few_members_is_exhausted_not_searched_forever() {
    let config = GeneratorConfig {
        input: Some(vec![4]),
        classes: Some(2),
        q_chance: 0.0,
        min_layer_count: 2,
        max_layer_count: 2,
        dense_lb: 8,
        dense_ub: 16,
        activation_rate: 0.0,
        dropout_chance: 0.0,
        bias_rate: 1.0,
        max_tries: 50,
        ..GeneratorConfig::default()
    };
    let generator = ModelGenerator::new(config).unwrap();
    let all = generator.candidates(2, Seed::new(1), &Limits::default(), &target("fpga")).unwrap();
    assert_eq!(all.len(), 2);
    let error =
        generator.candidates(3, Seed::new(1), &Limits::default(), &target("fpga")).unwrap_err().to_string();
    assert!(error.contains("found 2 of 3") && error.contains("repeat earlier networks"), "{error}");
}
