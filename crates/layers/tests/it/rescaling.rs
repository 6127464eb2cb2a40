//! `rescaling`: outputs computed by hand, and the planned executor against candle's graph.

use candle_core::{Device, Tensor};
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_layers::plan::{Plan, PlanOptions};
use tinsmith_layers::{BuildOptions, Mode, Model};
use tinsmith_network::ModelSpec;

use crate::{data, plan};

fn model(layers: &str) -> Model {
    let spec = ModelSpec::parse(&format!("layers:\n{layers}"), "test").expect("a network");
    Model::build(&spec, Seed::new(3), &BuildOptions::default()).expect("a model")
}

#[test]
fn outputs_are_those_computed_by_hand() {
    let model = model(
        "- {name: x, input: {shape: [2, 3]}}
- {name: each, rescaling: {scale: [0.5, 2.0, -1.0], offset: [0.25, 0.0, 1.0]}}
- {name: all, rescaling: {scale: 4.0, offset: -1.0}}
- {name: plain, rescaling: {scale: 0.5}}",
    );
    let x = [1.0_f32, 2.0, 3.0, -4.0, 0.5, 0.0, 8.0, -1.0, 2.0, 0.0, 0.0, -2.0];
    // `each`: x [0.5, 2, -1] + [0.25, 0, 1]; then 4 x - 1, then x / 2. All results are exact in binary.
    let wanted = [1.0_f32, 7.5, -4.5, -4.0, 1.5, 1.5, 8.0, -4.5, -2.5, 0.0, -0.5, 5.5];
    let tensor = Tensor::from_slice(&x, (2, 2, 3), &Device::Cpu).expect("a tensor");
    let output = model.forward(&tensor, Mode::Infer).expect("an output");
    assert_eq!(data::values(&output), wanted);

    let options = PlanOptions { rows: 2, threads: Threads::new(1), ..PlanOptions::default() };
    let mut planned = Plan::of_model(&model, &options).expect("a plan");
    planned.input_mut(0, 2).expect("an input").copy_from_slice(&x);
    planned.forward(2, Mode::Infer).expect("a forward pass");
    assert_eq!(planned.output(0), wanted);
    assert!(model.params().is_empty(), "the constants are no parameters");
}

#[test]
fn plan_and_graph_agree_in_outputs_and_gradients() {
    let model = model(
        "- {name: x, input: {shape: [7, 6, 3]}}
- {name: r0, rescaling: {scale: [0.5, 2.0, -1.0], offset: 0.25}}
- {name: c, conv2d: {filters: 4, kernel: 3, activation: relu}}
- {name: r1, rescaling: {scale: 0.125, offset: [0.5, -0.5, 0.0, 1.0]}}
- {name: f, flatten: {}}
- {name: r2, rescaling: {scale: -1.5}}
- {name: y, dense: {units: 3, activation: softmax}}",
    );
    for threads in [1, 2] {
        plan::compare("rescaling", &model, threads, None, None);
    }
}
