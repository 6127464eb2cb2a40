//! Drawn frequencies match the configured probabilities: chi-square tests at level 0.001 with fixed seeds.

use std::collections::BTreeMap;
use std::fmt::Debug;

use tinsmith_foundation::Seed;
use tinsmith_modelgen::{
    ActivationKind, DefaultKinds, GeneratorConfig, LayerKind, ModelGenerator, PaddingKind, PoolKind, Probs,
    Scope, SizeGrid, SizeLaw, Weights, Widths,
};
use tinsmith_network::{Activation, ModelSpec, Op, Padding, Quantizer};

/// The 0.999 quantiles of chi-square with 1, 2, ... degrees of freedom.
const CRITICAL: [f64; 13] =
    [10.828, 13.816, 16.266, 18.467, 20.515, 22.458, 24.322, 26.124, 27.877, 29.588, 31.264, 32.909, 34.528];

const DRAWS: u64 = 3000;

/// Checks that `found` has the frequencies of `weights`, and nothing of weight 0.
#[track_caller]
fn check<K: Ord + Debug>(found: impl IntoIterator<Item = K>, weights: impl IntoIterator<Item = (K, f64)>) {
    let mut counts: BTreeMap<K, u64> = BTreeMap::new();
    for k in found {
        *counts.entry(k).or_default() += 1;
    }
    let total: u64 = counts.values().sum();
    assert!(total >= 500, "only {total} observations");
    let weights: Vec<(K, f64)> = weights.into_iter().filter(|(_, w)| *w > 0.0).collect();
    let sum: f64 = weights.iter().map(|(_, w)| w).sum();
    let mut chi_square = 0.0;
    for (k, w) in &weights {
        let expected = total as f64 * w / sum;
        let count = counts.remove(k).unwrap_or(0) as f64;
        chi_square += (count - expected).powi(2) / expected;
    }
    assert!(counts.is_empty(), "drawn despite weight 0: {counts:?}");
    let limit = CRITICAL[weights.len() - 2];
    assert!(chi_square < limit, "chi-square {chi_square} of {weights:?}, want below {limit}");
}

#[track_caller]
fn check_chance(found: impl IntoIterator<Item = bool>, p: f64) {
    check(found, [(true, p), (false, 1.0 - p)]);
}

fn uniform<K: Copy>(values: &[K]) -> Vec<(K, f64)> {
    values.iter().map(|&v| (v, 1.0)).collect()
}

fn draws(config: GeneratorConfig, layers: usize) -> Vec<ModelSpec> {
    let generator = ModelGenerator::new(config).unwrap();
    (0..DRAWS).map(|i| generator.draw(layers, Seed::new(11).derive("model", i)).unwrap()).collect()
}

/// A family that starts with `kind` only, on images of 64 by 64 that no layer shrinks below the flatten limit.
fn starting(kind: LayerKind) -> GeneratorConfig {
    GeneratorConfig {
        probs: Probs { start_layers: Weights::of([(kind, 1.0)]), ..GeneratorConfig::default().probs },
        q_chance: if kind.is_quantized() { 1.0 } else { 0.0 },
        conv_init_size_lb: 64,
        conv_init_size_ub: 64,
        conv_flatten_limit: 1,
        ..GeneratorConfig::default()
    }
}

fn first(spec: &ModelSpec) -> &Op {
    &spec.layers[1].op
}

fn has(spec: &ModelSpec, of: impl Fn(&Op) -> bool) -> bool {
    spec.layers.iter().any(|l| of(&l.op))
}

fn units(spec: &ModelSpec) -> usize {
    if let Op::Dense(d) = first(spec) { d.units } else { panic!("{:?}", first(spec)) }
}

fn input(spec: &ModelSpec) -> &[usize] {
    if let Op::Input(input) = &spec.layers[0].op { &input.shape } else { panic!("no input") }
}

#[test]
fn sizes_are_uniform_on_the_admissible_powers_of_two() {
    let specs = draws(starting(LayerKind::Dense), 1);
    let sizes = uniform(&[32, 64, 128, 256, 512, 1024]);
    check(specs.iter().map(units), sizes.clone());
    check(specs.iter().map(|s| input(s)[0]), sizes);

    let config =
        GeneratorConfig { conv_init_size_lb: 32, conv_init_size_ub: 128, ..starting(LayerKind::Conv2d) };
    let specs = draws(config, 1);
    check(specs.iter().map(|s| input(s)[0]), uniform(&[32, 64, 128]));
    check(specs.iter().map(|s| input(s)[1]), uniform(&[32, 64, 128]));
    check(specs.iter().map(|s| input(s)[2]), uniform(&[4, 8, 16, 32, 64]));
    check(
        specs.iter().map(|s| if let Op::Conv2d(c) = first(s) { c.filters } else { 0 }),
        uniform(&[4, 8, 16, 32, 64]),
    );

    let specs = draws(starting(LayerKind::Conv1d), 1);
    check(specs.iter().map(|s| input(s)[0]), uniform(&[32, 64, 128]));
}

#[test]
fn small_sizes_are_more_likely_by_the_other_law_and_other_grids_can_be_had() {
    let config = GeneratorConfig { size_law: SizeLaw::LogUniform, ..starting(LayerKind::Dense) };
    let weights = [32, 64, 128, 256, 512, 1024].map(|n| (n, 1.0 / n as f64));
    check(draws(config, 1).iter().map(units), weights);
    let config = GeneratorConfig {
        size_grid: SizeGrid::MultiplesOf(12),
        dense_lb: 10,
        dense_ub: 50,
        conv_init_size_ub: 72,
        ..starting(LayerKind::Dense)
    };
    check(draws(config, 1).iter().map(units), uniform(&[12, 24, 36, 48]));
}

#[test]
fn kernels_and_strides_are_uniform_within_their_bounds() {
    let specs = draws(starting(LayerKind::Conv2d), 1);
    let window = |s: &ModelSpec| if let Op::Conv2d(c) = first(s) { (c.kernel, c.stride) } else { panic!() };
    check(specs.iter().map(|s| window(s).0.height), uniform(&[1, 2, 3, 4, 5, 6]));
    check(specs.iter().map(|s| window(s).1.height), uniform(&[1, 2, 3]));
    assert!(specs.iter().all(|s| window(s).0.height == window(s).0.width));
    let specs = draws(starting(LayerKind::Conv1d), 1);
    let window = |s: &ModelSpec| if let Op::Conv1d(c) = first(s) { (c.kernel, c.stride) } else { panic!() };
    check(specs.iter().map(|s| window(s).0), uniform(&[1, 2, 3, 4, 5, 6]));
    check(specs.iter().map(|s| window(s).1), uniform(&[1, 2, 3]));
}

fn is_quantized(op: &Op) -> Option<bool> {
    Some(match op {
        Op::Dense(d) => d.kernel_quantizer.is_some(),
        Op::Conv1d(c) => c.kernel_quantizer.is_some(),
        Op::Conv2d(c) => c.kernel_quantizer.is_some(),
        Op::SeparableConv1d(c) => c.depthwise_quantizer.is_some() && c.pointwise_quantizer.is_some(),
        Op::SeparableConv2d(c) => c.depthwise_quantizer.is_some() && c.pointwise_quantizer.is_some(),
        Op::DepthwiseConv1d(c) => c.depthwise_quantizer.is_some(),
        Op::DepthwiseConv2d(c) => c.depthwise_quantizer.is_some(),
        _ => return None,
    })
}

#[test]
fn one_coin_quantizes_a_network_or_each_layer() {
    let config = GeneratorConfig { q_chance: 0.3, ..GeneratorConfig::default() };
    let specs = draws(config.clone(), 3);
    let sides = |s: &ModelSpec| s.layers.iter().filter_map(|l| is_quantized(&l.op)).collect::<Vec<_>>();
    check_chance(specs.iter().map(|s| sides(s)[0]), 0.3);
    assert!(specs.iter().all(|s| sides(s).iter().all(|&q| q == sides(s)[0])));
    let specs = draws(GeneratorConfig { q_scope: Scope::Layer, ..config }, 3);
    let p: f64 = 0.3;
    let weights =
        (0..=3).map(|k| (k, [1.0, 3.0, 3.0, 1.0][k] * p.powi(k as i32) * (1.0 - p).powi(3 - k as i32)));
    check(specs.iter().map(|s| sides(s).iter().filter(|&&q| q).count()), weights);
}

#[test]
fn rates_are_the_shares_of_networks_that_have_it() {
    let rate = 0.3;
    let dense = |change: fn(&mut GeneratorConfig, f64)| {
        let mut config = starting(LayerKind::Dense);
        change(&mut config, rate);
        draws(config, 2)
    };
    check_chance(
        dense(|c, p| c.activation_rate = p)
            .iter()
            .map(|s| matches!(first(s), Op::Dense(d) if !d.activation.is_linear())),
        rate,
    );
    check_chance(
        dense(|c, p| c.bias_rate = p).iter().map(|s| matches!(first(s), Op::Dense(d) if d.use_bias)),
        rate,
    );
    let specs = dense(|c, p| (c.dropout_chance, c.dropout_rate) = (p, 0.25));
    check_chance(specs.iter().map(|s| has(s, |op| matches!(op, Op::Dropout(d) if d.rate == 0.25))), rate);
    let specs = dense(|c, p| c.dropout_chance = p);
    check_chance(specs.iter().map(|s| has(s, |op| matches!(op, Op::Dropout(d) if d.rate == 0.4))), rate);
    assert!(specs.iter().all(|s| !matches!(s.layers.last().map(|l| &l.op), Some(Op::Dropout(_)))));
    check_chance(
        dense(|c, p| c.batch_norm_chance = p).iter().map(|s| has(s, |op| matches!(op, Op::BatchNorm(_)))),
        rate,
    );
}

#[test]
fn blocks_come_with_their_chances() {
    let rate = 0.3;
    let config = GeneratorConfig { branch_chance: rate, ..starting(LayerKind::Dense) };
    check_chance(draws(config, 3).iter().map(|s| has(s, |op| matches!(op, Op::Concat(_)))), rate);
    let config = GeneratorConfig { branch_chance: rate, ..starting(LayerKind::Conv2d) };
    check_chance(draws(config, 3).iter().map(|s| has(s, |op| matches!(op, Op::Concat(_)))), rate);
    let one_size = |kind| GeneratorConfig {
        residual_chance: rate,
        dense_lb: 64,
        dense_ub: 64,
        conv_filters_lb: 16,
        conv_filters_ub: 16,
        ..starting(kind)
    };
    for kind in [LayerKind::Dense, LayerKind::QConv2d, LayerKind::Conv1d, LayerKind::DepthwiseConv2d] {
        let specs = draws(one_size(kind), 1);
        check_chance(specs.iter().map(|s| has(s, |op| matches!(op, Op::Add(_)))), rate);
    }
}

#[test]
fn pooling_and_flattening_come_with_their_chances() {
    let rate = 0.3;
    let is_pool = |op: &Op| matches!(op, Op::MaxPool2d(_) | Op::AveragePool2d(_));
    let config = GeneratorConfig { pooling_chance: rate, ..starting(LayerKind::Conv2d) };
    check_chance(draws(config, 1).iter().map(|s| has(s, is_pool)), rate);
    let is_pool = |op: &Op| matches!(op, Op::MaxPool1d(_) | Op::AveragePool1d(_));
    let config = GeneratorConfig { pooling_chance: rate, ..starting(LayerKind::QConv1d) };
    check_chance(draws(config, 1).iter().map(|s| has(s, is_pool)), rate);
    let config = GeneratorConfig { flatten_chance: rate, ..starting(LayerKind::QConv1d) };
    check_chance(draws(config, 3).iter().map(|s| crate::drawing::dense_layers(s) == 2), rate);
    let config = GeneratorConfig { flatten_chance: rate, ..starting(LayerKind::Conv2d) };
    let two_dense = |s: &ModelSpec| crate::drawing::dense_layers(s) == 2;
    check_chance(draws(config, 3).iter().map(two_dense), rate);
    let config = GeneratorConfig { global_pooling_chance: rate, ..starting(LayerKind::Conv2d) };
    let specs = draws(config, 2);
    check_chance(specs.iter().map(|s| has(s, |op| matches!(op, Op::GlobalAveragePool2d(_)))), rate);
    assert!(specs.iter().all(|s| has(s, |op| matches!(op, Op::Flatten(_) | Op::GlobalAveragePool2d(_)))));
}

#[test]
fn named_choices_follow_their_weights() {
    let mut config = starting(LayerKind::Conv2d);
    config.probs.padding = Weights::of([(PaddingKind::Same, 3.0), (PaddingKind::Valid, 1.0)]);
    config.probs.pooling = Weights::List(vec![1.0, 4.0]);
    config.pooling_chance = 1.0;
    let specs = draws(config.clone(), 1);
    let padding = |s: &ModelSpec| matches!(first(s), Op::Conv2d(c) if c.padding == Padding::Same);
    check(specs.iter().map(padding), [(true, 3.0), (false, 1.0)]);
    let mut series = starting(LayerKind::Conv1d);
    series.probs.padding = Weights::List(vec![1.0, 4.0]);
    let padding = |s: &ModelSpec| matches!(first(s), Op::Conv1d(c) if c.padding == Padding::Same);
    check(draws(series, 1).iter().map(padding), [(true, 1.0), (false, 4.0)]);
    check(specs.iter().map(|s| has(s, |op| matches!(op, Op::MaxPool2d(_)))), [(true, 1.0), (false, 4.0)]);
    config.probs.pooling = Weights::of([(PoolKind::Average, 1.0)]);
    assert!(draws(config, 1).iter().all(|s| !has(s, |op| matches!(op, Op::MaxPool2d(_)))));
}

/// Kinds of the second layer of networks that stay convolutional.
fn second(config: GeneratorConfig) -> Vec<&'static str> {
    let config = GeneratorConfig { flatten_chance: 0.0, ..config };
    draws(config, 3)
        .iter()
        .map(|s| {
            let mut layers = s.layers.iter().filter(|l| crate::drawing::is_weight_layer(&l.op));
            layers.nth(1).map_or("", |l| l.op.name())
        })
        .collect()
}

#[test]
fn kinds_of_layers_follow_their_weights() {
    let start = |config: GeneratorConfig| {
        let kind = |s: &ModelSpec| {
            s.layers.iter().find(|l| crate::drawing::is_weight_layer(&l.op)).map(|l| l.op.name())
        };
        draws(config, 1).iter().filter_map(kind).collect::<Vec<_>>()
    };
    let listed = GeneratorConfig { q_chance: 0.0, ..GeneratorConfig::default() };
    check(start(listed.clone()), uniform(&["conv1d", "conv2d", "dense"]));
    let quantized = GeneratorConfig { q_chance: 1.0, ..listed.clone() };
    let five = ["conv1d", "conv2d", "dense", "separable_conv2d", "depthwise_conv2d"];
    check(start(quantized), uniform(&five));
    let config = GeneratorConfig { default_kinds: DefaultKinds::All, ..listed };
    let all = [
        "conv1d",
        "separable_conv1d",
        "depthwise_conv1d",
        "conv2d",
        "separable_conv2d",
        "depthwise_conv2d",
        "dense",
    ];
    check(start(config.clone()), uniform(&all));
    let mut listed = config.clone();
    listed.probs.start_layers = Weights::List(vec![1.0, 2.0, 3.0]);
    check(start(listed), [("conv1d", 1.0), ("conv2d", 2.0), ("dense", 3.0)]);
    // The kinds that an input of two axes and the blacklist leave are renormalized.
    let mut series = config;
    series.input = Some(vec![32, 4]);
    series.layers_blacklist = vec![LayerKind::SeparableConv1d];
    check(start(series), uniform(&["conv1d", "depthwise_conv1d", "dense"]));

    let mut config = starting(LayerKind::QConv2d);
    config.probs.conv_layers = Weights::List(vec![2.0, 1.0, 1.0]);
    let weights = [("conv2d", 2.0), ("separable_conv2d", 1.0), ("depthwise_conv2d", 1.0)];
    check(second(config), weights);
    let mut config = starting(LayerKind::Conv1d);
    config.probs.time_layers = Weights::of([(LayerKind::Conv1d, 1.0), (LayerKind::DepthwiseConv1d, 5.0)]);
    check(second(config), [("conv1d", 1.0), ("depthwise_conv1d", 5.0)]);
}

#[test]
fn dense_layers_of_no_weight_are_not_followed_by_any() {
    // [Dense, QDense]: only quantized networks are flattened.
    let mut config = GeneratorConfig { q_chance: 0.4, ..GeneratorConfig::default() };
    config.probs.start_layers = Weights::of([(LayerKind::Conv2d, 1.0), (LayerKind::QConv2d, 1.0)]);
    config.probs.dense_layers = Weights::List(vec![0.0, 3.0]);
    let specs = draws(config, 3);
    let is_flat = |s: &ModelSpec| crate::drawing::dense_layers(s) > 0;
    check_chance(specs.iter().map(is_flat), 0.4);
    assert!(specs.iter().all(|s| is_quantized(first(s)) == Some(is_flat(s))));
}

fn activation(spec: &ModelSpec) -> &'static str {
    if let Op::Dense(d) = first(spec) { d.activation.name() } else { panic!() }
}

#[test]
fn activations_follow_their_weights() {
    let with = |kind, weights| {
        let mut config = GeneratorConfig { activation_rate: 1.0, ..starting(kind) };
        config.probs.activations = weights;
        draws(config, 1).iter().map(activation).collect::<Vec<_>>()
    };
    let list = Weights::List(vec![0.3, 0.3, 0.2, 0.2]);
    let float = [("relu", 0.3), ("tanh", 0.3), ("sigmoid", 0.2), ("softmax", 0.2)];
    check(with(LayerKind::Dense, list.clone()), float);
    let quantized = [("quantized_relu", 0.3), ("quantized_tanh", 0.3), ("quantized_sigmoid", 0.2)];
    check(with(LayerKind::QDense, list), quantized);
    let list = Weights::List(vec![0.0, 0.0, 0.5, 0.5, 0.0]);
    check(with(LayerKind::Dense, list), [("tanh", 0.5), ("sigmoid", 0.5)]);
    let map = Weights::of([
        (ActivationKind::NoActivation, 1.0),
        (ActivationKind::Hswish, 2.0),
        (ActivationKind::Elu, 3.0),
    ]);
    check(with(LayerKind::Dense, map.clone()), [("linear", 1.0), ("hswish", 2.0), ("elu", 3.0)]);
    check(with(LayerKind::QDense, map), [("linear", 1.0), ("quantized_hswish", 2.0)]);
}

#[test]
fn widths_are_those_configured_each_as_likely() {
    let config = GeneratorConfig {
        weight_bit_width: Widths(vec![2, 4, 8]),
        weight_int_width: 3,
        bias_bit_width: 16.into(),
        bias_int_width: 5,
        activ_bit_width: Widths(vec![4, 6]),
        activ_int_width: 2,
        activation_rate: 1.0,
        bias_rate: 1.0,
        ..starting(LayerKind::QDense)
    };
    let specs = draws(config, 1);
    let kernel = |s: &ModelSpec| if let Op::Dense(d) = first(s) { d.kernel_quantizer } else { None };
    let expected =
        [Quantizer::fixed(2, 1), Quantizer::fixed(4, 3), Quantizer::fixed(8, 3)].map(|q| q.to_string());
    let weights = expected.each_ref().map(|q| (q.as_str(), 1.0));
    let found: Vec<String> = specs.iter().filter_map(kernel).map(|q| q.to_string()).collect();
    check(found.iter().map(String::as_str), weights);
    let bits = |s: &ModelSpec| match first(s) {
        Op::Dense(d) => d.activation.quantizer().map(Quantizer::bits),
        _ => None,
    };
    check(specs.iter().filter_map(bits), uniform(&[4, 6]));
    let relus = specs.iter().filter_map(|s| match first(s) {
        Op::Dense(d) => Some((d.bias_quantizer, d.activation.clone())),
        _ => None,
    });
    for (bias, activation) in relus {
        assert_eq!(bias, Some(Quantizer::fixed(16, 5)));
        if let Activation::Quantized(Quantizer::QuantizedRelu(relu)) = activation {
            assert_eq!(relu.integer, 2);
        }
    }
}

#[test]
fn depths_are_uniform_between_their_bounds() {
    let config = GeneratorConfig { min_layer_count: 2, max_layer_count: 5, ..GeneratorConfig::default() };
    let generator = ModelGenerator::new(config).unwrap();
    let depths = (0..DRAWS).map(|i| {
        let spec = generator.draw_any(Seed::new(2).derive("model", i)).unwrap();
        crate::drawing::weight_layers(&spec)
    });
    check(depths, uniform(&[2, 3, 4, 5]));
}

#[test]
fn small_images_are_flattened_and_not_made_where_flattening_is_unwanted() {
    let count = |flatten_chance: f64, limit: usize| {
        let config = GeneratorConfig {
            flatten_chance,
            conv_flatten_limit: limit,
            conv_init_size_lb: 32,
            conv_init_size_ub: 32,
            ..starting(LayerKind::Conv2d)
        };
        draws(config, 6)
    };
    // Every image is below a limit of 33, so that only the first layer is a convolution.
    assert!(count(0.001, 33).iter().all(|s| crate::drawing::dense_layers(s) == 5));
    // Where flattening is unwanted no image gets below the limit, so that only the last layer is dense.
    assert!(count(0.0, 8).iter().all(|s| crate::drawing::dense_layers(s) == 1));
    let mut below = 0;
    for spec in count(0.001, 8) {
        below += usize::from(crate::drawing::dense_layers(&spec) > 1);
    }
    assert!(below > 1000, "{below}");
}
