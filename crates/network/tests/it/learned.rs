//! Quantizers that learn, as a layer of a specification has them.

use tinsmith_network::quantizer::{LearnedStep, Quantizer};
use tinsmith_network::{ModelSpec, Role};

const NETWORK: &str = "
name: learned
layers:
  - {name: x, input: {shape: [8, 8, 3]}}
  - {name: c, conv2d: {filters: 4, kernel: 3, kernel_quantizer: 'learned_step(4,axis=-1)', activation: pact(4)}}
  - {name: d, depthwise_conv2d: {kernel: 3, depthwise_quantizer: learned_bits(6.0), bias_quantizer: learned_step(8)}}
  - {name: s, separable_conv2d: {filters: 5, kernel: 2, depthwise_quantizer: learned_step(3),
      pointwise_quantizer: \"learned_bits(4.0,per='channel')\", activation: 'learned_step(6,signed=False)'}}
  - {name: f, flatten: {}}
  - {name: a, activation: \"learned_bits(5.0,per='tensor')\"}
  - {name: y, dense: {units: 3, kernel_quantizer: 'learned_step(4,axis=-1)', activation: softmax}}
";

fn read(text: &str) -> ModelSpec {
    ModelSpec::parse(text, "network").unwrap()
}

#[test]
fn learned_quantizers_are_read_printed_and_hashed() {
    let spec = read(NETWORK);
    for text in [spec.to_yaml().unwrap(), spec.to_json().unwrap()] {
        let again = read(&text);
        assert_eq!(again, spec);
        assert_eq!(again.structural_hash().unwrap(), spec.structural_hash().unwrap());
    }
    let step = Quantizer::from(tinsmith_network::quantizer::LearnedQuantizer::from(LearnedStep {
        axis: Some(-1),
        ..LearnedStep::default()
    }));
    let tinsmith_network::Op::Dense(dense) = &spec.layer("y").unwrap().op else { panic!() };
    assert_eq!(dense.kernel_quantizer, Some(step));
    let wider = read(&NETWORK.replace("pact(4)", "pact(5)"));
    assert_ne!(wider.structural_hash().unwrap(), spec.structural_hash().unwrap());
    assert!(Quantizer::KINDS.ends_with(&["bernoulli", "learned_step", "pact", "learned_bits"]));
}

#[test]
fn layers_have_what_their_quantizers_learn_as_weights() {
    let spec = read(NETWORK);
    let graph = spec.graph().unwrap();
    let learned: Vec<(String, Vec<usize>)> = (0..spec.layers.len())
        .flat_map(|i| {
            let shapes = graph.input_shapes(i);
            let weights = shapes.first().map(|input| spec.layers[i].op.weights(input)).unwrap_or_default();
            let learned = weights.into_iter().filter(|w| w.role == Role::Quantizer);
            learned.map(|w| (format!("{}.{}", spec.layers[i].name, w.name), w.shape)).collect::<Vec<_>>()
        })
        .collect();
    let expected: [(&str, &[usize]); 9] = [
        ("c.kernel_step", &[4]),
        ("c.activation_upper", &[1]),
        ("d.depthwise_kernel_fractional_bits", &[36]),
        ("d.bias_step", &[1]),
        ("s.depthwise_kernel_step", &[1]),
        ("s.pointwise_kernel_fractional_bits", &[5]),
        ("s.activation_step", &[1]),
        ("a.activation_fractional_bits", &[1]),
        ("y.kernel_step", &[3]),
    ];
    let expected: Vec<_> = expected.iter().map(|(n, s)| ((*n).to_owned(), s.to_vec())).collect();
    assert_eq!(learned, expected);
}

/// A dense layer of four units after an input of six.
fn fault(settings: &str) -> String {
    let text = format!("layers: [{{name: x, input: {{shape: [6]}}}}, {{name: y, {settings}}}]");
    ModelSpec::parse(&text, "network").and_then(|spec| spec.graph().map(|_| ())).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_is_refused_at_its_place() {
    for (settings, expected) in [
        (
            "dense: {units: 4, kernel_quantizer: learned_step(x)}",
            "character 13: bits is 'x', want a whole number",
        ),
        ("dense: {units: 4, activation: 'pact(4;2)'}", "character 6: want `,` or `)`, found `;`"),
        (
            "dense: {units: 4, kernel_quantizer: learned_step(1)}",
            "kernel_quantizer` cannot be: bits is 1, want 2..=24",
        ),
        (
            "dense: {units: 4, activation: 'pact(4,0)'}",
            "activation` cannot be: upper is 0.0, want a number above 0",
        ),
        ("dense: {units: 4, kernel_quantizer: learned_bits(30)}", "fractional is 30.0, want -23 to 23"),
        (
            "dense: {units: 4, kernel_quantizer: pact(4)}",
            "kernel_quantizer` is pact(4), a rectifier; want learned_step or learned_bits for weights",
        ),
        (
            "dense: {units: 4, kernel_quantizer: 'learned_step(4,axis=2)'}",
            "is learned_step(4,axis=2), but the weight has the shape [6, 4], no such axis",
        ),
        (
            "dense: {units: 4, activation: learned_bits()}",
            "activation` is learned_bits(); want one parameter for all values (axis=None, per='tensor') or one for each \
             channel (-1)",
        ),
        (
            "batch_norm: {gamma_quantizer: learned_step(4)}",
            "gamma_quantizer` is learned_step(4), which learns; want one that does not here",
        ),
    ] {
        let message = fault(settings);
        assert!(message.contains(expected), "{settings}: {message}");
    }
    let text =
        "layers: [{name: x, input: {shape: [6], quantizer: learned_step(4)}}, {name: y, dense: {units: 4}}]";
    let error = ModelSpec::parse(text, "network").and_then(|spec| spec.graph().map(|_| ())).unwrap_err();
    assert!(error.to_string().contains("quantizer` is learned_step(4), which learns"), "{error}");
}
