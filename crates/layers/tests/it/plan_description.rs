//! The description of a plan, compared with a committed text.

use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_layers::plan::{Plan, PlanOptions};
use tinsmith_network::ModelSpec;

/// A plan of every traversal: chunks, gathered statistics, and a wide dense layer that takes the whole batch.
const NETWORK: &str = "
layers:
- {name: x, input: {shape: [8, 8, 2]}}
- {name: c, conv2d: {filters: 4, kernel: 3, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)', use_bias: false}}
- {name: n, batch_norm: {}}
- {name: r, activation: relu}
- {name: p, max_pool2d: {size: 2}}
- {name: f, flatten: {}}
- {name: h, dense: {units: 512, activation: tanh}}
- {name: w, dense: {units: 512, activation: relu}}
- {name: y, dense: {units: 3, activation: softmax}}
";

#[test]
fn a_plan_is_described_as_committed() {
    let spec = ModelSpec::parse(NETWORK, "test").expect("a specification");
    // Threads and chunk sizes are fixed, so the text is the same on every machine.
    let options = PlanOptions {
        rows: 8,
        threads: Threads::ONE,
        chunk_rows: Some(2),
        shards: Some(2),
        frozen: vec!["y.bias".to_owned()],
        ..PlanOptions::default()
    };
    let plan = Plan::compile(&spec, Seed::new(1), &options).expect("a plan");
    let described = plan.describe().to_string();
    let committed = include_str!("../snapshots/plan.txt");
    assert_eq!(
        described, committed,
        "if the change is intended, write this to tests/snapshots/plan.txt:\n{described}"
    );
}
