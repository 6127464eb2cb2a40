//! Windows of every size, stride, dilation, padding and number of groups.

use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use tinsmith_deploy::{Arithmetic, ExportOptions, IntegerModel, export_c};
use tinsmith_layers::Model;
use tinsmith_network::op::{Conv1d, Conv2d, DepthwiseConv2d, Input, Pool2d};
use tinsmith_network::{Activation, Layer, ModelSpec, Op, Padding, Pair, Quantizer};

use crate::compile::{expected, has_compiler, inputs, run, values};
use crate::networks::with_noise;

fn pair(low: usize, high: usize) -> impl Strategy<Value = Pair> {
    (low..=high, low..=high).prop_map(|(height, width)| Pair::new(height, width))
}

fn padding() -> impl Strategy<Value = Padding> {
    prop_oneof![Just(Padding::Valid), Just(Padding::Same)]
}

fn chain(shape: Vec<usize>, ops: Vec<Op>) -> ModelSpec {
    let input = Op::Input(Input { shape, quantizer: Some(Quantizer::fixed(6, 2)) });
    let ops = std::iter::once(input).chain(ops).enumerate();
    ModelSpec::new("chain", ops.map(|(i, op)| Layer::new(format!("l{i}"), op)).collect())
}

/// Small quantized networks of one convolution, one depthwise convolution and one pooling.
fn images() -> impl Strategy<Value = ModelSpec> {
    let conv = (pair(1, 3), pair(1, 2), pair(1, 2), padding(), 1..=2_usize);
    let depthwise = (pair(1, 2), padding(), 1..=2_usize);
    let pool = (pair(1, 2), pair(1, 3), padding(), proptest::bool::ANY);
    ((6..=8_usize, 6..=8_usize), conv, depthwise, pool).prop_map(|((height, width), c, d, p)| {
        // Keras refuses strides together with dilations.
        let dilation = if c.1 == Pair::ONE { c.2 } else { Pair::ONE };
        let conv = Conv2d {
            stride: c.1,
            dilation,
            padding: c.3,
            groups: c.4,
            kernel_quantizer: Some(Quantizer::fixed(4, 0)),
            bias_quantizer: Some(Quantizer::fixed(6, 1)),
            activation: Activation::Quantized(Quantizer::relu(5, 2)),
            ..Conv2d::new(4, c.0)
        };
        let depthwise = DepthwiseConv2d {
            padding: d.1,
            depth_multiplier: d.2,
            use_bias: false,
            depthwise_quantizer: Some(Quantizer::fixed(3, 0)),
            activation: Activation::Quantized(Quantizer::fixed(6, 2)),
            ..DepthwiseConv2d::new(d.0)
        };
        let pool = Pool2d {
            stride: Some(p.0),
            padding: p.2,
            activation: Activation::Quantized(Quantizer::fixed(5, 1)),
            ..Pool2d::new(p.1)
        };
        let pool = if p.3 { Op::MaxPool2d(pool) } else { Op::AveragePool2d(pool) };
        chain(vec![height, width, 4], vec![Op::Conv2d(conv), Op::DepthwiseConv2d(depthwise), pool])
    })
}

/// Convolutions over time with every padding.
fn times() -> impl Strategy<Value = ModelSpec> {
    let padding = prop_oneof![Just(Padding::Valid), Just(Padding::Same), Just(Padding::Causal)];
    (7..=12_usize, 1..=4_usize, 1..=3_usize, 1..=3_usize, padding).prop_map(
        |(time, kernel, stride, gap, padding)| {
            let conv = Conv1d {
                stride,
                dilation: if stride == 1 && (kernel - 1) * gap < time { gap } else { 1 },
                padding,
                kernel_quantizer: Some(Quantizer::fixed(4, 0)),
                use_bias: false,
                activation: Activation::Quantized(Quantizer::fixed(5, 2)),
                ..Conv1d::new(3, kernel)
            };
            chain(vec![time, 2], vec![Op::Conv1d(conv)])
        },
    )
}

/// Runs `check` on the networks that are valid: some windows do not fit.
fn for_all(cases: u32, networks: impl Strategy<Value = ModelSpec>, check: impl Fn(&Model)) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner
        .run(&networks, |spec| {
            if spec.graph().is_ok() {
                check(&with_noise(&spec));
            }
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn integers_equal_training_for_every_window() {
    let check = |model: &Model| {
        let integer = IntegerModel::new(model).unwrap_or_else(|e| panic!("{e}"));
        assert!(integer.is_exact());
        let x = inputs(model, 4, 17);
        assert_eq!(integer.run(&values(&x)).expect("whole samples"), expected(model, &x));
    };
    for_all(64, images(), check);
    for_all(64, times(), check);
}

#[test]
fn c_equals_training_for_every_window() {
    if !has_compiler() {
        return;
    }
    for arithmetic in [Arithmetic::Float, Arithmetic::Integer] {
        let check = |model: &Model| {
            let options = ExportOptions { arithmetic, ..ExportOptions::default() };
            let sources = export_c(model, &options).unwrap_or_else(|e| panic!("{e}"));
            let x = inputs(model, 4, 19);
            assert_eq!(run(&sources, &values(&x)), expected(model, &x));
        };
        for_all(8, images(), check);
        for_all(8, times(), check);
    }
}
