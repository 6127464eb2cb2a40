//! Checks that a plan's steps allocate next to nothing. A binary of its own, since the counting allocator is global.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_kernels::optimizer::{Adam, Terms, adam};
use tinsmith_kernels::softmax::{Targets, softmax_cross_entropy};
use tinsmith_layers::Mode;
use tinsmith_layers::plan::{Plan, PlanOptions};
use tinsmith_network::ModelSpec;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROWS: usize = 24;

const NETWORKS: [(&str, &str); 4] = [
    (
        "a dense layer whose weights change piece by piece",
        "- {name: x, input: {shape: [300]}}
- {name: a, dense: {units: 400, activation: relu}}
- {name: y, dense: {units: 5}}",
    ),
    (
        "dense, quantized",
        "- {name: x, input: {shape: [16]}}
- {name: a, dense: {units: 64, kernel_quantizer: 'quantized_bits(6,0,alpha=1)', bias_quantizer: 'quantized_bits(6,0,alpha=1)'}}
- {name: r, activation: 'quantized_relu(6)'}
- {name: y, dense: {units: 5}}",
    ),
    (
        "convolutions over time",
        "- {name: x, input: {shape: [32, 9]}}
- {name: a, conv1d: {filters: 32, kernel: 5, padding: same, activation: relu}}
- {name: p, max_pool1d: {}}
- {name: f, flatten: {}}
- {name: y, dense: {units: 5}}",
    ),
    (
        "a residual block of normalized convolutions",
        "- {name: x, input: {shape: [12, 12, 3]}}
- {name: a, conv2d: {filters: 16, kernel: 3, padding: same}}
- {name: n, batch_norm: {}}
- {name: r, activation: relu}
- {name: d, depthwise_conv2d: {kernel: 3, padding: same}}
- {name: m, batch_norm: {}}
- {name: s, add: {}, inputs: [m, r]}
- {name: q, activation: relu}
- {name: g, global_average_pool2d: {}}
- {name: y, dense: {units: 5}}",
    ),
];

fn step(plan: &mut Plan, number: u64) {
    let input = plan.input_mut(0, ROWS).expect("an input");
    input.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 17) as f32 / 8.0 - 1.0);
    plan.forward(ROWS, Mode::Train { seed: Seed::new(number) }).expect("a forward pass");
    let (logits, gradient) = plan.output_and_gradient(0);
    let labels = [1_u32; ROWS];
    let loss = softmax_cross_entropy(gradient, logits, Targets::Classes(&labels), 0.0, 5, 1);
    assert!(loss.is_finite());
    let constants = Adam { rate: 1e-3, rest_1: 0.1, rest_2: 0.001, epsilon: 1e-7 };
    plan.backward_by_tiles(&|block| {
        let mut slots = block.slots.into_iter();
        let (m, v) = (slots.next().expect("a slot"), slots.next().expect("a second"));
        adam(block.values, block.gradient, (m, v, &mut []), constants, &Terms::default(), 1);
    })
    .expect("a backward pass");
}

#[test]
fn a_steady_step_allocates_at_most_200_bytes() {
    for ((what, layers), threads) in NETWORKS.into_iter().flat_map(|network| [(network, 1), (network, 2)]) {
        let spec = ModelSpec::parse(&format!("layers:\n{layers}"), what).expect("a specification");
        // Two shards, so that threads process them side by side even in a tiny network.
        let (shards, threads) = (Some(threads), Threads::new(threads));
        let options = PlanOptions { rows: ROWS, threads, shards, ..PlanOptions::default() };
        let mut plan = Plan::compile(&spec, Seed::new(1), &options).expect("a plan");
        plan.set_slots(2);
        (0..10).for_each(|i| step(&mut plan, i));
        // A worker thread allocates its scratch memory at its first task, which can be in any step, once.
        let windows = (0..5).map(|_| {
            let region = Region::new(ALLOCATOR);
            (10..110).for_each(|i| step(&mut plan, i));
            region.change().bytes_allocated / 100
        });
        let bytes = windows.min().unwrap_or_default();
        assert!(bytes <= 200, "{what}, {threads:?}: {bytes} bytes a step");
    }
}
