//! Every generated network can be built and run.

use tinsmith_cost::{Limits, Target};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Mode, Model};
use tinsmith_modelgen::{
    ActivationKind, GeneratorConfig, ModelGenerator, NamedChoice, Scope, SizeGrid, Weights, Widths,
};

use crate::build::input;
use crate::data::values;

/// Draws `n` networks of at most a million MACs, builds them, and runs them in inference and in training.
#[track_caller]
fn check(config: GeneratorConfig, n: usize) {
    let generator = ModelGenerator::new(config).unwrap_or_else(|e| panic!("{e}"));
    let limits = Limits { macs: Some(1_000_000), params: Some(200_000), ..Limits::default() };
    let found = generator.candidates(n, Seed::new(21), &limits, &Target::default());
    for (i, spec) in found.unwrap_or_else(|e| panic!("{e}")).iter().enumerate() {
        let text = || spec.to_yaml().unwrap_or_default();
        let graph = spec.graph().unwrap_or_else(|e| panic!("{e}\n{}", text()));
        let model = Model::build(spec, Seed::new(i as u64), &BuildOptions::default());
        let model = model.unwrap_or_else(|e| panic!("{e}\n{}", text()));
        let x = input(&[&[2], graph.shape(graph.inputs[0])].concat());
        let wanted = [&[2], graph.shape(graph.outputs[0])].concat();
        for mode in [Mode::Infer, Mode::Train { seed: Seed::new(1) }] {
            let y = model.forward(&x, mode).unwrap_or_else(|e| panic!("{e}\n{}", text()));
            assert_eq!(y.dims(), wanted, "{}", text());
            assert!(values(&y).iter().all(|v| v.is_finite()), "{}", text());
        }
    }
}

#[test]
fn networks_of_the_default_family_build_and_run() {
    check(GeneratorConfig::default(), 60);
}

#[test]
fn networks_with_every_option_build_and_run() {
    let mut config = GeneratorConfig {
        q_scope: Scope::Layer,
        dense_lb: 4,
        dense_ub: 64,
        conv_init_size_lb: 6,
        conv_init_size_ub: 20,
        conv_filters_ub: 16,
        time_lb: 8,
        time_ub: 40,
        size_grid: SizeGrid::MultiplesOf(2),
        weight_bit_width: Widths(vec![1, 2, 4, 8]),
        activ_bit_width: Widths(vec![2, 3, 8]),
        batch_norm_chance: 0.4,
        residual_chance: 0.4,
        branch_chance: 0.3,
        global_pooling_chance: 0.3,
        ..GeneratorConfig::default()
    };
    config.probs.activations = Weights::Map(ActivationKind::ALL.iter().map(|&k| (k, 1.0)).collect());
    check(config, 80);
}

#[test]
fn classifiers_for_a_task_build_and_run() {
    for shape in [&[8, 8, 1][..], &[128, 6], &[16]] {
        check(GeneratorConfig::for_task(shape, 7), 20);
    }
}
