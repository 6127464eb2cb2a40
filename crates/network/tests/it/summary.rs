//! The table for people.

use tinsmith_network::ModelSpec;

const SMALL: &str = "
name: small
layers:
  - {name: x, input: {shape: [8, 8, 1]}}
  - {name: c1, conv2d: {filters: 16, kernel: 3, padding: same, use_bias: false}}
  - {name: n1, batch_norm: {}}
  - {name: a1, activation: 'quantized_relu(4,2)'}
  - {name: c2, conv2d: {filters: 16, kernel: 3, padding: same}}
  - {name: sum, inputs: [c2, a1], add: {}}
  - {name: f, flatten: {}}
  - {name: d, dense: {units: 10, activation: softmax}}
";

const WANTED: &str = "\
Model: small
Layer (kind)              Output shape  Params  Connected to
============================================================
x (input)                 [8, 8, 1]          0
c1 (conv2d)               [8, 8, 16]       144  x
n1 (batch_norm)           [8, 8, 16]        64  c1
a1 (quantized_relu(4,2))  [8, 8, 16]         0  n1
c2 (conv2d)               [8, 8, 16]     2,320  a1
sum (add)                 [8, 8, 16]         0  c2, a1
f (flatten)               [1024]             0  sum
d (dense)                 [10]          10,250  f
============================================================
Total params: 12,778
Trainable params: 12,746
Non-trainable params: 32
";

#[test]
fn a_small_network() {
    let summary = ModelSpec::parse(SMALL, "m").unwrap().summary().unwrap();
    assert_eq!(summary.to_string(), WANTED);
    assert_eq!((summary.trainable_params(), summary.non_trainable_params()), (12746, 32));
}

#[test]
fn columns_can_be_added() {
    let summary =
        ModelSpec::parse("layers: [{name: x, input: {shape: [4]}}, {name: d, dense: {units: 2}}]", "m")
            .unwrap()
            .summary()
            .unwrap();
    let wanted = "\
Layer (kind)  Output shape  Params  MACs  Connected to
======================================================
x (input)     [4]                0
d (dense)     [2]               10     8  x
======================================================
Total params: 10
Trainable params: 10
Non-trainable params: 0
";
    assert_eq!(summary.with_column("MACs", ["", "8"]).to_string(), wanted);
}
