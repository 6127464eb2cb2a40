//! Quantizers are placed as the limits say, with the measured ranges.

use tinsmith_autoq::{AutoqConfig, AutoqError, LayerLimit, Ranges, Slots};
use tinsmith_cost::Cost;
use tinsmith_network::Op;

use crate::network;

fn limit(layers: &str, kernel: u32, activation: u32) -> LayerLimit {
    LayerLimit { layers: layers.to_owned(), kernel, activation, ..LayerLimit::default() }
}

#[test]
fn slots_follow_the_limits() {
    let config = AutoqConfig {
        limits: vec![limit("c.*", 4, 8), limit("dense", 8, 0), limit(".*", 0, 6)],
        ..AutoqConfig::default()
    };
    let slots = Slots::of(&network(), &config, Ranges::new()).unwrap();
    let found: Vec<(&str, &[u32])> =
        slots.slots().iter().map(|s| (s.name.as_str(), s.bits.as_slice())).collect();
    let expected: [(&str, &[u32]); 4] = [
        ("c1.kernel", &[2, 3, 4]),
        ("a1.activation", &[2, 3, 4, 6]),
        ("h.kernel", &[2, 3, 4, 6, 8]),
        ("y.kernel", &[2, 3, 4, 6, 8]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn shared_limits_make_one_choice() {
    let config = AutoqConfig {
        limits: vec![LayerLimit { shared: true, ..limit("[hy]", 8, 0) }],
        ..AutoqConfig::default()
    };
    let slots = Slots::of(&network(), &config, Ranges::new()).unwrap();
    assert_eq!(slots.slots().len(), 1);
    assert_eq!(slots.slots()[0].layers, ["h", "y"]);
}

#[test]
fn quantizers_and_ranges_are_written() {
    let ranges = Ranges::from([("a1".to_owned(), 3.2), ("h".to_owned(), 0.4)]);
    let slots = Slots::of(&network(), &AutoqConfig::default(), ranges).unwrap();
    let spec = slots.apply(&network(), &slots.uniform(4)).unwrap();
    let yaml = spec.to_yaml().unwrap();
    for text in ["quantized_relu(4,2)", "quantized_relu(4,-1)", "quantized_bits(4,0,True,alpha='auto')"] {
        assert!(yaml.contains(text), "{text} is not in\n{yaml}");
    }
    let folded = spec.layers.iter().any(|l| matches!(&l.op, Op::BatchNorm(norm) if norm.fold));
    assert!(folded, "the batch normalization behind a quantized convolution is folded");
    let bits = |spec: &tinsmith_network::ModelSpec| {
        Cost::of(spec, &tinsmith_cost::Target::load("mcu-packed").unwrap()).unwrap().total.weight_bits
    };
    assert!(bits(&spec) < bits(&network()));
}

#[test]
fn nothing_to_quantize_is_an_error() {
    let config = AutoqConfig { limits: vec![limit("nowhere", 8, 8)], ..AutoqConfig::default() };
    let error = Slots::of(&network(), &config, Ranges::new()).unwrap_err();
    assert!(matches!(error, AutoqError::NothingToQuantize { .. }));
    let config = AutoqConfig { limits: vec![limit("(", 8, 8)], bits: vec![], ..AutoqConfig::default() };
    let error = Slots::of(&network(), &config, Ranges::new()).unwrap_err().to_string();
    assert!(error.contains("`bits` is empty") && error.contains("`limits[0].layers`"), "{error}");
}
