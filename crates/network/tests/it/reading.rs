//! Specifications are read, written and refused with a place.

use tinsmith_network::ModelSpec;

const SMALL: &str = "
name: small
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: c1, conv2d: {filters: 8, kernel: 3, padding: same, activation: relu, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)'}}
  - {name: p1, max_pool2d: {}}
  - {name: c2, inputs: [p1], conv2d: {filters: 8, kernel: [3, 1], padding: same}}
  - {name: s, inputs: [c2, p1], add: {}}
  - {name: a, activation: {leaky_relu: {alpha: 0.1}}}
  - {name: f, flatten: {}}
  - {name: d, dense: {units: 10, activation: softmax}}
";

#[test]
fn what_is_written_is_read() {
    let spec = ModelSpec::parse(SMALL, "small.yaml").unwrap();
    let graph = spec.graph().unwrap();
    assert_eq!(graph.shape(4), [4, 4, 8]);
    assert_eq!(graph.shape(7), [10]);
    for text in [spec.to_yaml().unwrap(), spec.to_json().unwrap()] {
        assert_eq!(ModelSpec::parse(&text, "again").unwrap(), spec, "{text}");
    }
}

#[track_caller]
fn refused(from: &str, to: &str, expected: &str) {
    assert!(SMALL.contains(from));
    let error = ModelSpec::parse(&SMALL.replacen(from, to, 1), "m").unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn faults_have_a_place() {
    refused(
        "filters: 8",
        "filters: 0",
        "m:5:34: `layers[1].conv2d.filters` is 0, want at least 1 (layer `c1`)",
    );
    refused("filters: 8", "filter: 8", "m:5:25: ");
    refused("inputs: [p1]", "inputs: [p9]", "m:7:25: `layers[3].inputs[0]` is `p9`, which is no layer");
    refused("quantized_bits(4", "quantized_bots(4", "m:5:");
    refused("name: c2", "name: c1", "m:7:12: `layers[3].name` is `c1`, as layer 1 is called already");
    refused(
        "max_pool2d: {}",
        "max_pool2d: {size: 9}",
        "m:6:35: `layers[2].max_pool2d.size` spans 9 elements",
    );
    refused("inputs: [p1]", "inputs: [d]", "m:7:");
    refused("activation: relu", "activation: rely", "m:5:");
}
