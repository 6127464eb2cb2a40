//! Properties of every drawn network.

use std::ops::ControlFlow;

use proptest::prelude::{Strategy, any, prop, proptest};
use tinsmith_foundation::Seed;
use tinsmith_modelgen::{
    DefaultKinds, DrawState, Format, Generated, GeneratorConfig, LayerKind, ModelGenerator, Probs, Scope,
    Sink, SizeGrid, SizeLaw, Weights, load_models,
};
use tinsmith_network::{Layer, ModelSpec, Op};

pub(crate) fn is_weight_layer(op: &Op) -> bool {
    matches!(
        op,
        Op::Dense(_)
            | Op::Conv1d(_)
            | Op::SeparableConv1d(_)
            | Op::DepthwiseConv1d(_)
            | Op::Conv2d(_)
            | Op::SeparableConv2d(_)
            | Op::DepthwiseConv2d(_)
    )
}

pub(crate) fn weight_layers(spec: &ModelSpec) -> usize {
    spec.layers.iter().filter(|l| is_weight_layer(&l.op)).count()
}

pub(crate) fn dense_layers(spec: &ModelSpec) -> usize {
    spec.layers.iter().filter(|l| matches!(l.op, Op::Dense(_))).count()
}

#[test]
fn a_callback_that_flattens_after_three_layers_gets_three_convolutions_and_four_dense_layers() {
    let config = GeneratorConfig {
        dense_lb: 32,
        dense_ub: 64,
        conv_filters_ub: 16,
        q_chance: 1.0,
        probs: Probs {
            start_layers: Weights::List(vec![0.0, 0.33, 0.0, 0.33, 0.33]),
            ..GeneratorConfig::default().probs
        },
        flatten_chance: 0.0,
        ..GeneratorConfig::default()
    };
    let generator = ModelGenerator::new(config).unwrap();
    for seed in 0..500 {
        let drawn = generator.gen_network(
            7,
            None,
            Seed::new(seed),
            |state, _| -> ControlFlow<()> {
                if state.layer_depth() > 2 {
                    state.params.flatten_chance = 1.0;
                }
                ControlFlow::Continue(())
            },
            None,
        );
        let spec = drawn.unwrap().into_network().unwrap();
        spec.graph().unwrap();
        assert_eq!((weight_layers(&spec), dense_layers(&spec)), (7, 4), "seed {seed}");
    }
}

#[test]
fn a_callback_ends_the_generation_with_its_value_and_sees_the_layers_so_far() {
    let generator = ModelGenerator::new(GeneratorConfig::default()).unwrap();
    let mut seen = Vec::new();
    let ended = generator.gen_network(
        5,
        None,
        Seed::new(3),
        |state, layers| {
            seen.push((state.layer_depth(), layers.iter().filter(|l| is_weight_layer(&l.op)).count()));
            if state.layer_depth() == 2 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
        },
        None,
    );
    assert_eq!(ended.unwrap(), Generated::Ended("enough"));
    assert_eq!(seen, [(0, 0), (1, 1), (2, 2)]);
}

#[test]
fn a_callback_that_does_nothing_changes_nothing_and_a_reset_takes_changes_back() {
    let generator = ModelGenerator::new(GeneratorConfig::default()).unwrap();
    for seed in 0..50 {
        let plain = generator.draw(6, Seed::new(seed)).unwrap();
        let watched = generator
            .gen_network(
                6,
                None,
                Seed::new(seed),
                |state, _| -> ControlFlow<()> {
                    state.params.bias_rate = 0.0;
                    state.reset_layers();
                    ControlFlow::Continue(())
                },
                None,
            )
            .unwrap();
        assert_eq!(watched.into_network().unwrap(), plain);
    }
}

#[test]
fn parameters_of_one_draw_leave_the_generator_as_it_is() {
    let generator = ModelGenerator::new(GeneratorConfig::default()).unwrap();
    let small = GeneratorConfig { dense_lb: 2, dense_ub: 4, classes: Some(3), ..generator.config().clone() };
    let proceed = |_: &mut DrawState<'_>, _: &[Layer]| ControlFlow::<()>::Continue(());
    for seed in (0..20).map(Seed::new) {
        let drawn =
            generator.gen_network(4, Some(&small), seed, proceed, None).unwrap().into_network().unwrap();
        assert_eq!(drawn, ModelGenerator::new(small.clone()).unwrap().draw(4, seed).unwrap());
        let own = generator.gen_network(4, None, seed, proceed, None).unwrap().into_network().unwrap();
        assert_eq!(own, generator.draw(4, seed).unwrap());
    }
    let wrong = GeneratorConfig { q_chance: -1.0, ..GeneratorConfig::default() };
    let error = generator.gen_network(4, Some(&wrong), Seed::new(0), proceed, None).unwrap_err().to_string();
    assert!(error.contains("`q_chance` is -1"), "{error}");
    // A reset goes back to the parameters of the draw.
    let reset = generator
        .gen_network(
            4,
            Some(&small),
            Seed::new(1),
            |state, _| -> ControlFlow<()> {
                state.params.dense_ub = 1024;
                state.reset_layers();
                assert_eq!(state.params, small);
                ControlFlow::Continue(())
            },
            None,
        )
        .unwrap();
    assert_eq!(
        reset.into_network().unwrap(),
        ModelGenerator::new(small).unwrap().draw(4, Seed::new(1)).unwrap()
    );
}

#[test]
fn a_sink_gets_every_network_that_is_drawn_in_a_form_that_is_read_back() {
    let generator =
        ModelGenerator::new(GeneratorConfig { q_chance: 0.0, ..GeneratorConfig::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Records, Format::Keras, Format::KerasBatch] {
        let mut bytes = Vec::new();
        let mut sink = Sink::new(&mut bytes, format);
        let mut drawn = Vec::new();
        for seed in 0..6 {
            let stop = |state: &mut DrawState<'_>, _: &[Layer]| {
                // What a callback ends is no network, and nothing is written of it.
                if seed == 3 && state.layer_depth() == 1 {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            let found = generator.gen_network(4, None, Seed::new(seed), stop, Some(&mut sink)).unwrap();
            drawn.extend(found.into_network());
        }
        assert_eq!(sink.finish().unwrap(), 5);
        let path = folder.path().join("networks");
        std::fs::write(&path, &bytes).unwrap();
        let read: Vec<_> = load_models(&path).unwrap().map(|r| r.unwrap()).collect();
        assert_eq!(read.iter().map(|r| r.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4], "{format:?}");
        for (record, spec) in read.iter().zip(&drawn) {
            assert_eq!(record.spec.structural_hash().unwrap(), spec.structural_hash().unwrap());
        }
    }
    let mut empty = Vec::new();
    Sink::new(&mut empty, Format::KerasBatch).finish().unwrap();
    assert_eq!(empty, b"{}\n");
}

#[test]
fn a_callback_that_sets_nonsense_is_told() {
    let generator = ModelGenerator::new(GeneratorConfig::default()).unwrap();
    let error = generator
        .gen_network(
            3,
            None,
            Seed::new(0),
            |state, _| -> ControlFlow<()> {
                state.params.bias_rate = 2.0;
                ControlFlow::Continue(())
            },
            None,
        )
        .unwrap_err();
    assert_eq!(error.to_string(), "generator: `bias_rate` is 2, want a probability, 0 to 1");
}

/// Any configuration that is valid: bounds, rates and options of every kind.
fn configurations() -> impl Strategy<Value = GeneratorConfig> {
    let sizes = (1_usize..40, 0_usize..100, 1_usize..30, 0_usize..60, 1_usize..16, 0_usize..40);
    let windows = (1_usize..4, 0_usize..4, 1_usize..6, 0_usize..6, 0_usize..12);
    let rates = prop::collection::vec(0.0_f64..=1.0, 9);
    let input = prop::option::of(prop::collection::vec(1_usize..30, 1..=3));
    let rest = (any::<bool>(), any::<bool>(), any::<bool>(), input, prop::option::of(1_usize..20));
    (sizes, windows, rates, rest).prop_map(|(sizes, windows, rates, (layer, log, steps, input, classes))| {
        // Bounds of at least a factor of two always hold a power of two.
        GeneratorConfig {
            dense_lb: sizes.0,
            dense_ub: 2 * sizes.0 + sizes.1,
            conv_init_size_lb: sizes.2,
            conv_init_size_ub: 2 * sizes.2 + sizes.3,
            time_lb: sizes.2,
            time_ub: 2 * sizes.2 + sizes.3,
            conv_filters_lb: sizes.4,
            conv_filters_ub: 2 * sizes.4 + sizes.5,
            conv_stride_lb: windows.0,
            conv_stride_ub: windows.0 + windows.1,
            conv_kernel_lb: windows.2,
            conv_kernel_ub: windows.2 + windows.3,
            conv_flatten_limit: windows.4,
            q_chance: rates[0],
            q_scope: if layer { Scope::Layer } else { Scope::Network },
            flatten_chance: rates[1] * rates[1],
            pooling_chance: rates[2],
            bias_rate: rates[3],
            batch_norm_chance: rates[4],
            residual_chance: rates[5],
            branch_chance: rates[6],
            global_pooling_chance: rates[7],
            activation_rate: rates[8],
            size_grid: if steps {
                SizeGrid::MultiplesOf(sizes.4.min(sizes.0).min(sizes.2))
            } else {
                SizeGrid::PowersOfTwo
            },
            size_law: if log { SizeLaw::LogUniform } else { SizeLaw::Uniform },
            input,
            classes,
            ..GeneratorConfig::default()
        }
    })
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn every_network_resolves_and_keeps_its_bounds(config in configurations(), seed in any::<u64>()) {
        let generator = ModelGenerator::new(config.clone()).unwrap();
        for total in 1..=10 {
            let spec = generator.draw(total, Seed::new(seed).derive("case", total as u64)).unwrap();
            let graph = spec.graph().unwrap();
            assert_eq!(weight_layers(&spec), total);
            if let Some(classes) = config.classes {
                assert_eq!(graph.shape(graph.outputs[0]), [classes]);
            }
            check_bounds(&spec, &config);
        }
    }
}

fn check_bounds(spec: &ModelSpec, config: &GeneratorConfig) {
    let head = config.classes.map(|_| spec.layers.len() - 1);
    let within = |x: usize, lb: usize, ub: usize| assert!((lb..=ub).contains(&x), "{x} not in {lb}..={ub}");
    let on_grid = |x: usize| {
        let on = match config.size_grid {
            SizeGrid::PowersOfTwo => x.is_power_of_two(),
            SizeGrid::MultiplesOf(unit) => x.is_multiple_of(unit),
        };
        assert!(on, "{x} is not on the grid");
    };
    let window = |kernel: usize, stride: usize| {
        within(kernel, config.conv_kernel_lb, config.conv_kernel_ub);
        within(stride, config.conv_stride_lb, config.conv_stride_ub);
    };
    let filters = |n: usize| {
        within(n, config.conv_filters_lb, config.conv_filters_ub);
        on_grid(n);
    };
    for (i, layer) in spec.layers.iter().enumerate() {
        match &layer.op {
            Op::Dense(d) if head != Some(i) => {
                // A residual or branch block's units lie within the bounds too.
                within(d.units, config.dense_lb, config.dense_ub);
                on_grid(d.units);
            }
            Op::Conv1d(c) => {
                filters(c.filters);
                window(c.kernel, c.stride);
            }
            Op::SeparableConv1d(c) => {
                filters(c.filters);
                window(c.kernel, c.stride);
            }
            Op::DepthwiseConv1d(c) => window(c.kernel, c.stride),
            Op::Conv2d(c) => {
                filters(c.filters);
                window(c.kernel.height, c.stride.height);
            }
            Op::SeparableConv2d(c) => {
                filters(c.filters);
                window(c.kernel.height, c.stride.height);
            }
            Op::DepthwiseConv2d(c) => window(c.kernel.height, c.stride.height),
            Op::Input(input) => match (&config.input, input.shape.as_slice()) {
                (Some(given), shape) => assert_eq!(given, shape),
                (None, [n]) => within(*n, config.dense_lb, config.dense_ub),
                (None, [t, c]) => {
                    within(*t, config.time_lb, config.time_ub);
                    filters(*c);
                }
                (None, [h, w, c]) => {
                    within(*h, config.conv_init_size_lb, config.conv_init_size_ub);
                    within(*w, config.conv_init_size_lb, config.conv_init_size_ub);
                    filters(*c);
                }
                (None, other) => panic!("input of shape {other:?}"),
            },
            _ => {}
        }
    }
}

#[test]
fn without_dense_layers_networks_stay_convolutions_to_the_end() {
    let config = GeneratorConfig {
        layers_blacklist: vec![LayerKind::Dense, LayerKind::QDense],
        ..GeneratorConfig::default()
    };
    let generator = ModelGenerator::new(config).unwrap();
    for seed in 0..100 {
        let spec = generator.draw(5, Seed::new(seed)).unwrap();
        assert_eq!((weight_layers(&spec), dense_layers(&spec)), (5, 0));
    }
}

#[test]
fn kernels_and_biases_of_every_quantized_kind_have_quantizers() {
    let default_kinds = DefaultKinds::All;
    let config =
        GeneratorConfig { q_chance: 1.0, bias_rate: 1.0, default_kinds, ..GeneratorConfig::default() };
    let generator = ModelGenerator::new(config).unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let spec = generator.draw(5, Seed::new(seed)).unwrap();
        let graph = spec.graph().unwrap();
        for (i, layer) in spec.layers.iter().enumerate().filter(|(_, l)| is_weight_layer(&l.op)) {
            kinds.insert(layer.op.name());
            let weights = layer.op.weights(graph.input_shapes(i)[0]);
            assert!(weights.len() >= 2 && weights.iter().all(|w| w.quantizer.is_some()), "{layer:?}");
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

#[test]
fn blacklisted_kinds_never_come_up() {
    let config = GeneratorConfig {
        layers_blacklist: vec![
            LayerKind::QDepthwiseConv2d,
            LayerKind::Conv2d,
            LayerKind::QConv1d,
            LayerKind::Conv1d,
        ],
        ..GeneratorConfig::default()
    };
    let generator = ModelGenerator::new(config).unwrap();
    for seed in 0..300 {
        for layer in generator.draw(5, Seed::new(seed)).unwrap().layers {
            match &layer.op {
                Op::Conv1d(_) => panic!("{layer:?}"),
                Op::Conv2d(c) => assert!(c.kernel_quantizer.is_some()),
                Op::DepthwiseConv2d(c) => assert!(c.depthwise_quantizer.is_none()),
                _ => {}
            }
        }
    }
}

#[test]
fn a_kernel_that_fits_nowhere_is_an_error_that_says_so() {
    let config = GeneratorConfig {
        input: Some(vec![3, 3, 1]),
        conv_kernel_lb: 5,
        q_chance: 0.0,
        probs: Probs {
            padding: Weights::List(vec![0.0, 1.0]),
            start_layers: Weights::of([(LayerKind::Conv2d, 1.0)]),
            ..GeneratorConfig::default().probs
        },
        ..GeneratorConfig::default()
    };
    let error = ModelGenerator::new(config).unwrap().draw(3, Seed::new(0)).unwrap_err().to_string();
    assert!(
        error
            .starts_with("weight layer 1 cannot be drawn: a kernel of at least 5 does not fit an input of 3"),
        "{error}"
    );
    let error = ModelGenerator::new(GeneratorConfig::default()).unwrap().draw(0, Seed::new(0)).unwrap_err();
    assert_eq!(error.to_string(), "total_layers is 0, want at least 1");
}

/// Searches start from these networks, so a seed must keep giving the same ones.
#[test]
fn task_families_are_stable() {
    let generator = ModelGenerator::new(GeneratorConfig::for_task(&[8, 8, 1], 10)).unwrap();
    for (index, hash) in [
        (0, "f79befa9c5a2fcf1d3e7d7bf60b56140"),
        (1, "5e21d380679643b3f44a8526a8bb54fb"),
        (2, "f084def97ab87316e145e6d9800d2c82"),
        (3, "5c80a48cb3dcc489a2c53d22e64baac9"),
        (4, "d8027e8723c4fd81dc2fce7ccab64996"),
        (5, "65b4fd8e3e11fdcd6125bca0212a9c7c"),
        (407, "d2698fd5aac64278f9eb3bda0ef6ca62"),
    ] {
        let spec = generator.draw_any(Seed::new(3).derive("model", index)).unwrap();
        assert_eq!(spec.structural_hash().unwrap().to_string(), hash, "network {index}");
    }
}
