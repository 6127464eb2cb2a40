//! The planned executor against candle's graph: outputs, gradients, moving statistics.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use candle_core::{Device, Tensor};
use tinsmith_core_tensor::ops;
use tinsmith_foundation::Seed;
use tinsmith_kernels::Threads;
use tinsmith_kernels::optimizer::{Adam, Terms, adam};
use tinsmith_layers::plan::{
    Backward, BlockInit, BlockSpec, Forward, LayerOperator, Operator, Plan, PlanOptions, Site, Update,
};
use tinsmith_layers::{BuildOptions, LayersError, Mode, Model};
use tinsmith_network::{ModelSpec, Op};

use crate::data::{self, Score};
use crate::golden_models::load;

const ROWS: usize = 6;

fn train() -> Mode {
    Mode::Train { seed: Seed::new(5).derive("step", 3) }
}

fn spec(layers: &str) -> ModelSpec {
    ModelSpec::parse(&format!("layers:\n{layers}"), "test").unwrap_or_else(|e| panic!("{e}\n{layers}"))
}

/// Inputs drawn from a seed, in the network's input shapes.
fn inputs(model: &Model, rows: usize) -> Vec<Tensor> {
    let mut rng = Seed::new(11).rng();
    let graph = model.graph();
    let tensor = |&i: &usize| {
        let dims: Vec<usize> = std::iter::once(rows).chain(graph.shape(i).iter().copied()).collect();
        let values: Vec<f32> = (0..dims.iter().product()).map(|_| rng.normal() as f32).collect();
        Tensor::from_vec(values, dims, &Device::Cpu).expect("a tensor")
    };
    graph.inputs.iter().map(tensor).collect()
}

/// Runs one training step on both engines, with the square of the outputs as the loss, and compares everything.
pub(crate) fn compare(
    what: &str,
    model: &Model,
    threads: usize,
    chunk_rows: Option<usize>,
    shards: Option<usize>,
) {
    let inputs = inputs(model, ROWS);
    let options = PlanOptions {
        rows: ROWS + 2,
        threads: Threads::new(threads),
        input_gradients: true,
        chunk_rows,
        shards,
        ..PlanOptions::default()
    };
    let mut plan = Plan::of_model(model, &options).unwrap_or_else(|e| panic!("{what}: {e}"));
    let mut score = Score::default();

    let give = |plan: &mut Plan| {
        for (i, x) in inputs.iter().enumerate() {
            plan.input_mut(i, ROWS).expect("an input").copy_from_slice(&data::values(x));
        }
    };
    give(&mut plan);
    plan.forward(ROWS, Mode::Infer).unwrap_or_else(|e| panic!("{what}: {e}"));
    let references: Vec<&Tensor> = inputs.iter().collect();
    let outputs = model.forward_many(&references, Mode::Infer, true).expect("outputs");
    for (i, theirs) in outputs.iter().enumerate() {
        let ours = Tensor::from_slice(plan.output(i), theirs.dims(), &Device::Cpu).expect("a tensor");
        score.compare(&format!("inferred output {i}"), &ours, theirs, 2e-5);
    }

    give(&mut plan);
    plan.forward(ROWS, train()).expect("a forward pass");
    let vars: Vec<candle_core::Var> =
        inputs.iter().map(|x| candle_core::Var::from_tensor(x).expect("a variable")).collect();
    let references: Vec<&Tensor> = vars.iter().map(candle_core::Var::as_tensor).collect();
    let outputs = model.forward_many(&references, train(), true).expect("outputs");
    let mut loss = Tensor::new(0.0_f32, &Device::Cpu).expect("a number");
    for (i, theirs) in outputs.iter().enumerate() {
        let (ours, gradient) = plan.output_and_gradient(i);
        for (g, y) in gradient.iter_mut().zip(ours) {
            *g = 2.0 * y;
        }
        let ours = Tensor::from_slice(ours, theirs.dims(), &Device::Cpu).expect("a tensor");
        score.compare(&format!("output {i}"), &ours, theirs, 2e-5);
        loss = (loss + theirs.sqr().expect("squares").sum_all().expect("a sum")).expect("a sum");
    }
    let theirs = loss.backward().expect("gradients");
    let mut ours: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    plan.backward(&mut |u: Update<'_>| {
        ours.insert(u.name.to_owned(), u.gradient.to_vec());
    })
    .unwrap_or_else(|e| panic!("{what}: {e}"));
    for param in model.params().updatable() {
        let ours =
            ours.get(param.name()).unwrap_or_else(|| panic!("{what}: no gradient of {}", param.name()));
        let ours = Tensor::from_slice(ours, param.dims(), &Device::Cpu).expect("a tensor");
        match theirs.get(param.tensor()) {
            Some(theirs) => score.compare(param.name(), &ours, &param.gate(theirs).expect("gated"), 1e-4),
            None => assert!(data::values(&ours).iter().all(|&g| g == 0.0), "{what}: {}", param.name()),
        }
    }
    for (i, x) in vars.iter().enumerate() {
        if let Some(theirs) = theirs.get(x.as_tensor()) {
            let ours = Tensor::from_slice(plan.input_gradient(i), x.dims(), &Device::Cpu).expect("a tensor");
            score.compare(&format!("input {i}"), &ours, theirs, 1e-4);
        }
    }
    for param in model.params().iter().filter(|p| !p.is_trainable()) {
        let ours = plan.block_values(param.name()).expect("a block");
        let ours = Tensor::from_slice(ours, param.dims(), &Device::Cpu).expect("a tensor");
        score.compare(param.name(), &ours, param.tensor(), 1e-5);
    }
    score.check(what);
}

pub(crate) fn compare_spec(what: &str, layers: &str) {
    let model = Model::build(&spec(layers), Seed::new(3), &BuildOptions::default())
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    let cases = [
        (1, None, None),
        (2, None, None),
        (1, Some(1), None),
        (2, Some(4), None),
        (2, None, Some(2)),
        (3, Some(1), Some(4)),
        (1, None, Some(8)),
    ];
    for (threads, chunk_rows, shards) in cases {
        compare(what, &model, threads, chunk_rows, shards);
    }
}

/// Weights after some steps of a network with every traversal: chunks, gathered chunks, whole batches.
fn trained(threads: &[usize], shards: usize) -> Vec<u32> {
    let spec = spec(
        "- {name: x, input: {shape: [9, 9, 3]}}
- {name: c, conv2d: {filters: 20, kernel: 3, padding: same}}
- {name: n, batch_norm: {}}
- {name: r, activation: relu}
- {name: p, max_pool2d: {}}
- {name: d, dropout: {rate: 0.2}}
- {name: w, depthwise_conv2d: {kernel: 3}}
- {name: m, batch_norm: {}}
- {name: q, activation: 'quantized_bits(6,2,alpha=''auto'')'}
- {name: f, flatten: {}}
- {name: y, dense: {units: 5}}",
    );
    let options = PlanOptions {
        rows: 23,
        threads: Threads::new(threads[0]),
        chunk_rows: Some(3),
        shards: Some(shards),
        ..PlanOptions::default()
    };
    let mut plan = Plan::compile(&spec, Seed::new(1), &options).expect("a plan");
    let mut rng = Seed::new(7).rng();
    for step in 0..6 {
        plan.set_threads(Threads::new(threads[step % threads.len()]));
        let rows = [23, 9, 20][step % 3];
        plan.input_mut(0, rows).expect("an input").fill_with(|| rng.normal() as f32);
        plan.forward(rows, Mode::Train { seed: Seed::new(3).derive("step", step as u64) }).expect("a pass");
        let (outputs, gradient) = plan.output_and_gradient(0);
        gradient.iter_mut().zip(outputs).for_each(|(g, y)| *g = y - 1.0);
        plan.backward(&mut |u: Update<'_>| {
            u.values.iter_mut().zip(&*u.gradient).for_each(|(w, g)| *w -= 1e-3 * g);
        })
        .expect("gradients");
    }
    let blocks = plan.blocks().iter().map(|b| plan.block_values(b.name()).expect("values"));
    blocks.flatten().map(|w| w.to_bits()).collect()
}

#[test]
fn results_do_not_depend_on_threads_for_any_number_of_shards() {
    for shards in [1, 2, 3, 8] {
        let want = trained(&[1], shards);
        assert!(want.iter().all(|&w| f32::from_bits(w).is_finite()));
        for threads in [&[2][..], &[3], &[8], &[1, 4, 2]] {
            assert!(trained(threads, shards) == want, "{shards} shards on {threads:?} threads");
        }
    }
}

#[test]
fn blocks_that_change_piece_by_piece_become_the_same() {
    let spec = spec(
        "- {name: x, input: {shape: [260]}}
- {name: a, dense: {units: 300, activation: relu}}
- {name: b, dense: {units: 270, kernel_quantizer: 'quantized_bits(6,0,alpha=1)'}}
- {name: r, activation: 'quantized_relu(6)'}
- {name: c, dense: {units: 280, kernel_quantizer: 'quantized_bits(4,0,alpha=''auto'')'}}
- {name: y, dense: {units: 5}}",
    );
    let mask = |seed: u64, len: usize| -> Vec<f32> {
        let mut rng = Seed::new(seed).rng();
        (0..len).map(|_| f32::from(rng.normal() > -0.5)).collect()
    };
    let trained = |threads: usize, in_pieces: bool| {
        let options = PlanOptions { rows: 40, threads: Threads::new(threads), ..PlanOptions::default() };
        let mut plan = Plan::compile(&spec, Seed::new(1), &options).expect("a plan");
        plan.set_slots(2);
        plan.set_prune_mask("a.kernel", Some(mask(1, 260 * 300))).expect("a mask");
        plan.set_update_mask("b.kernel", Some(mask(2, 300 * 270))).expect("a mask");
        let mut rng = Seed::new(7).rng();
        let pieces = AtomicUsize::new(0);
        for step in 0..4 {
            plan.input_mut(0, 40).expect("an input").fill_with(|| rng.normal() as f32);
            plan.forward(40, Mode::Train { seed: Seed::new(step) }).expect("a pass");
            let (outputs, gradient) = plan.output_and_gradient(0);
            gradient.iter_mut().zip(outputs).for_each(|(g, y)| *g = y - 1.0);
            let change = |u: Update<'_>| {
                pieces.fetch_add(usize::from(u.first > 0), Relaxed);
                let terms = Terms { prune: u.prune_mask, update: u.update_mask, ..Terms::default() };
                let constants = Adam { rate: 1e-2, rest_1: 0.1, rest_2: 0.001, epsilon: 1e-7 };
                let mut slots = u.slots.into_iter();
                let (m, v) = (slots.next().expect("a slot"), slots.next().expect("a second"));
                adam(u.values, u.gradient, (m, v, &mut []), constants, &terms, u.threads.count());
            };
            if in_pieces {
                plan.backward_by_tiles(&change).expect("gradients");
            } else {
                plan.backward(&mut |u| change(u)).expect("gradients");
            }
        }
        assert_eq!(pieces.into_inner() > 0, in_pieces, "large blocks come in pieces where that is asked for");
        let names = plan.blocks().iter().map(|b| b.name().to_owned());
        let state = names
            .map(|name| [plan.block_values(&name), plan.slots(&name)].map(|v| v.expect("values").to_vec()));
        state.collect::<Vec<_>>()
    };
    let whole = trained(1, false);
    for threads in [1, 2, 3] {
        assert!(trained(threads, true) == whole, "{threads} threads");
    }
}

/// Networks that together hold every layer kind and every way of fusing steps.
const NETWORKS: &[(&str, &str)] = &[
    (
        "dense layers of odd widths",
        "- {name: x, input: {shape: [7]}}
- {name: a, dense: {units: 19, activation: relu}}
- {name: b, dense: {units: 5, activation: tanh, use_bias: false}}
- {name: c, dense: {units: 3, activation: softmax}}",
    ),
    (
        "dense over time, and a rectifier at the end",
        "- {name: x, input: {shape: [4, 6]}}
- {name: a, dense: {units: 9, activation: relu6}}
- {name: b, dense: {units: 4, activation: relu}}",
    ),
    (
        "convolutions whose channels are no multiple of a vector, flattened",
        "- {name: x, input: {shape: [9, 8, 3]}}
- {name: a, conv2d: {filters: 10, kernel: 3, padding: same, activation: relu}}
- {name: p, max_pool2d: {size: 2}}
- {name: b, conv2d: {filters: 6, kernel: [2, 3], stride: [2, 1], activation: relu}}
- {name: f, flatten: {}}
- {name: y, dense: {units: 4}}",
    ),
    (
        "channels that fill vectors, flattened",
        "- {name: x, input: {shape: [6, 6, 2]}}
- {name: a, conv2d: {filters: 16, kernel: 3, activation: relu}}
- {name: f, flatten: {}}
- {name: h, dense: {units: 12, activation: sigmoid}}
- {name: y, dense: {units: 4}}",
    ),
    (
        "over time: dilation, causal padding, groups, depthwise, separable",
        "- {name: x, input: {shape: [14, 4]}}
- {name: a, conv1d: {filters: 8, kernel: 3, dilation: 2, padding: causal, activation: relu}}
- {name: g, conv1d: {filters: 6, kernel: 3, groups: 2, padding: same}}
- {name: d, depthwise_conv1d: {kernel: 3, padding: same, depth_multiplier: 2, activation: relu}}
- {name: s, separable_conv1d: {filters: 7, kernel: 4, activation: relu}}
- {name: p, average_pool1d: {size: 2}}
- {name: q, global_average_pool1d: {}}
- {name: y, dense: {units: 3}}",
    ),
    (
        "separable convolutions, normalizations and rectifiers of their own",
        "- {name: x, input: {shape: [8, 7, 3]}}
- {name: c, conv2d: {filters: 8, kernel: 3, padding: same, use_bias: false}}
- {name: n, batch_norm: {}}
- {name: r, activation: relu}
- {name: d, depthwise_conv2d: {kernel: 3, stride: 2, padding: same}}
- {name: m, batch_norm: {scale: false}}
- {name: k, activation: relu6}
- {name: s, separable_conv2d: {filters: 5, kernel: 3, padding: same, activation: {leaky_relu: {alpha: 0.1}}}}
- {name: o, batch_norm: {center: false}}
- {name: p, global_average_pool2d: {}}
- {name: y, dense: {units: 3}}",
    ),
    (
        "a residual block",
        "- {name: x, input: {shape: [6, 6, 4]}}
- {name: c, conv2d: {filters: 8, kernel: 3, padding: same, activation: relu}}
- {name: a, conv2d: {filters: 8, kernel: 3, padding: same}}
- {name: n, batch_norm: {}}
- {name: s, add: {}, inputs: [n, c]}
- {name: r, activation: relu}
- {name: t, add: {}, inputs: [r, r]}
- {name: f, flatten: {}}
- {name: y, dense: {units: 3}}",
    ),
    (
        "branches, a rectifier that two read, and two outputs",
        "- {name: x, input: {shape: [6, 6, 3]}}
- {name: c, conv2d: {filters: 5, kernel: 3, padding: same, activation: relu}}
- {name: a, conv2d: {filters: 4, kernel: 1, activation: relu}, inputs: [c]}
- {name: b, max_pool2d: {size: 3, stride: 1, padding: same}, inputs: [c]}
- {name: j, concat: {}, inputs: [a, b, c]}
- {name: g, global_max_pool2d: {}}
- {name: y, dense: {units: 3, activation: softmax}}
- {name: z, dense: {units: 2, activation: relu}, inputs: [g]}
outputs: [y, z]",
    ),
    (
        "concatenation along time",
        "- {name: x, input: {shape: [5, 3]}}
- {name: a, conv1d: {filters: 3, kernel: 2, activation: relu}, inputs: [x]}
- {name: j, concat: {axis: 1}, inputs: [x, a]}
- {name: f, flatten: {}}
- {name: y, dense: {units: 2}}",
    ),
    (
        "layers without kernels of their own",
        "- {name: x, input: {shape: [4, 4, 4]}}
- {name: t, conv2d_transpose: {filters: 3, kernel: 3, stride: 2, padding: same}}
- {name: l, layer_norm: {}}
- {name: m, permute: {dims: [2, 1, 3]}}
- {name: z, zero_padding2d: {top: 1, left: 2}}
- {name: k, cropping2d: {bottom: 1}}
- {name: u, up_sampling2d: {size: 2}}
- {name: v, activation: {prelu: {shared_axes: [1, 2]}}}
- {name: w, multiply: {}, inputs: [v, u]}
- {name: s, subtract: {}, inputs: [w, v]}
- {name: q, add: {}, inputs: [s, w, u]}
- {name: g, global_average_pool2d: {keep_dims: true}}
- {name: r, reshape: {shape: [3]}}
- {name: y, dense: {units: 2, activation: {elu: {alpha: 0.7}}}}",
    ),
    (
        "random layers",
        "- {name: x, input: {shape: [10]}}
- {name: a, dense: {units: 16, activation: relu}}
- {name: d, dropout: {rate: 0.4}}
- {name: b, dense: {units: 16}}
- {name: k, drop_connect: {rate: 0.3}}
- {name: s, add: {}, inputs: [k, d]}
- {name: y, dense: {units: 2}}",
    ),
    (
        "fixed point throughout",
        "- {name: x, input: {shape: [6, 6, 2], quantizer: 'quantized_bits(6,2,alpha=1.0)'}}
- {name: c, conv2d: {filters: 6, kernel: 3, kernel_quantizer: 'quantized_bits(4,0,alpha=1.0)', bias_quantizer: 'quantized_bits(4,0)'}}
- {name: a, activation: 'quantized_relu(4,2)'}
- {name: d, depthwise_conv2d: {kernel: 2, depthwise_quantizer: 'quantized_bits(4,0)'}}
- {name: e, activation: 'quantized_bits(5,1)'}
- {name: f, flatten: {}}
- {name: h, dense: {units: 7, activation: 'quantized_tanh(4)', kernel_quantizer: 'ternary()'}}
- {name: y, dense: {units: 3, kernel_quantizer: 'quantized_po2(4)'}}",
    ),
    (
        "random quantizers",
        "- {name: x, input: {shape: [8]}}
- {name: h, dense: {units: 12, kernel_quantizer: 'stochastic_ternary()'}}
- {name: a, activation: 'quantized_relu(4,2,use_stochastic_rounding=True)'}
- {name: b, dense: {units: 9, kernel_quantizer: 'stochastic_binary()'}}
- {name: y, dense: {units: 3, kernel_quantizer: 'bernoulli()'}}",
    ),
    (
        "a normalization with more parameters than layers that take a batch in parts, and a layer like it",
        "- {name: x, input: {shape: [33000]}}
- {name: n, batch_norm: {}}
- {name: a, activation: relu}
- {name: y, dense: {units: 3}}",
    ),
    (
        "normalizations trained folded",
        "- {name: x, input: {shape: [6, 6, 2]}}
- {name: c, conv2d: {filters: 5, kernel: 3, kernel_quantizer: 'quantized_bits(6,1,alpha=1.0)'}}
- {name: n, batch_norm: {fold: true}}
- {name: a, activation: 'quantized_relu(6,2)'}
- {name: f, flatten: {}}
- {name: y, dense: {units: 3}}",
    ),
];

#[test]
fn every_kind_of_layer_computes_what_the_graph_computes() {
    for (what, layers) in NETWORKS {
        compare_spec(what, layers);
    }
}

#[test]
fn golden_models_in_a_plan() {
    for folder in data::models() {
        for (threads, chunk_rows, shards) in [(1, None, None), (1, Some(2), None), (2, Some(1), Some(3))] {
            compare(&folder.display().to_string(), &load(&folder), threads, chunk_rows, shards);
        }
    }
}

fn two_layers() -> ModelSpec {
    spec(
        "- {name: x, input: {shape: [6]}}
- {name: a, dense: {units: 8, activation: relu}}
- {name: b, dense: {units: 8, activation: relu}}
- {name: y, dense: {units: 2}}",
    )
}

fn step(plan: &mut Plan, rows: usize, rate: f32) {
    for (i, x) in plan.input_mut(0, rows).expect("an input").iter_mut().enumerate() {
        *x = ((i * 7 % 11) as f32 - 5.0) / 5.0;
    }
    plan.forward(rows, train()).expect("a forward pass");
    let (outputs, gradient) = plan.output_and_gradient(0);
    gradient.iter_mut().zip(outputs).for_each(|(g, y)| *g = y - 1.0);
    plan.backward(&mut |u| {
        u.values.iter_mut().zip(u.gradient).for_each(|(w, g)| *w -= rate * *g);
    })
    .expect("a backward pass");
}

#[test]
fn frozen_blocks_stay_and_nothing_is_laid_out_below_them() {
    let frozen = ["a.kernel", "a.bias", "b.kernel"].map(str::to_owned).to_vec();
    let options = PlanOptions { rows: 64, ..PlanOptions::default() };
    let mut free = Plan::compile(&two_layers(), Seed::new(1), &options).expect("a plan");
    let mut plan =
        Plan::compile(&two_layers(), Seed::new(1), &PlanOptions { frozen, ..options }).expect("a plan");
    assert!(plan.buffer_bytes() < free.buffer_bytes());
    let before = plan.block_values("b.kernel").expect("a block").to_vec();
    let bias = plan.block_values("b.bias").expect("a block").to_vec();
    step(&mut plan, 5, 0.1);
    step(&mut free, 5, 0.1);
    assert_eq!(plan.block_values("b.kernel").expect("a block"), before);
    assert_ne!(plan.block_values("b.bias").expect("a block"), bias);
    assert_eq!(plan.block_values("b.bias").expect("a block"), free.block_values("b.bias").expect("a block"));
}

#[test]
fn pruned_weights_and_gated_updates_hold() {
    let mut plan = Plan::compile(&two_layers(), Seed::new(1), &PlanOptions::default()).expect("a plan");
    plan.set_slots(1);
    let mask: Vec<f32> = (0..64).map(|i| if i % 3 == 0 { 0.0 } else { 1.0 }).collect();
    plan.set_prune_mask("b.kernel", Some(mask.clone())).expect("a mask");
    plan.set_update_mask("y.kernel", Some(vec![0.0; 16])).expect("a mask");
    let still = plan.block_values("y.kernel").expect("a block").to_vec();
    for _ in 0..3 {
        step(&mut plan, 4, 0.1);
    }
    let values = plan.block_values("b.kernel").expect("a block");
    assert!(values.iter().zip(&mask).all(|(v, m)| (*v == 0.0) == (*m == 0.0)));
    assert_eq!(plan.block_values("y.kernel").expect("a block"), still);
    let fault = plan.set_prune_mask("b.kernel", Some(vec![1.0; 3])).expect_err("another length").to_string();
    assert!(fault.contains("b.kernel") && fault.contains("64"), "{fault}");
    let fault = plan.set_block("nothing", &[]).expect_err("no block").to_string();
    assert!(fault.contains("nothing") && fault.contains("b.kernel"), "{fault}");
}

#[test]
fn values_and_state_carry_over_to_a_changed_network_by_name() {
    let mut old = Plan::compile(&two_layers(), Seed::new(1), &PlanOptions::default()).expect("a plan");
    old.set_slots(2);
    old.set_slots_of("a.kernel", &[0.25; 96]).expect("state");
    let mut wider = two_layers();
    if let Op::Dense(dense) = &mut wider.layers[3].op {
        dense.units = 3;
    }
    let mut new = Plan::compile(&wider, Seed::new(2), &PlanOptions::default()).expect("a plan");
    new.set_slots(2);
    let carried = new.carry_over(&old).expect("carried over");
    assert_eq!(carried, ["a.kernel", "a.bias", "b.kernel", "b.bias"]);
    assert_eq!(new.block_values("a.kernel").expect("values"), old.block_values("a.kernel").expect("values"));
    assert_eq!(new.slots("a.kernel").expect("state"), [0.25; 96]);
}

#[test]
fn a_part_of_a_network_is_a_plan_of_its_own() {
    let spec = two_layers();
    let whole = PlanOptions { to: vec!["a".to_owned(), "y".to_owned()], ..PlanOptions::default() };
    let mut whole = Plan::compile(&spec, Seed::new(1), &whole).expect("a plan");
    whole.input_mut(0, 2).expect("an input").copy_from_slice(&[0.5; 12]);
    whole.forward(2, Mode::Infer).expect("a forward pass");
    let part = PlanOptions { from: vec!["a".to_owned()], ..PlanOptions::default() };
    let mut part = Plan::compile(&spec, Seed::new(1), &part).expect("a plan");
    assert_eq!(
        part.blocks().iter().map(tinsmith_layers::plan::Block::name).collect::<Vec<_>>(),
        ["b.kernel", "b.bias", "y.kernel", "y.bias"]
    );
    part.input_mut(0, 2).expect("an input").copy_from_slice(whole.output(0));
    part.forward(2, Mode::Infer).expect("a forward pass");
    assert_eq!(part.output(0), whole.output(1));

    let from_b =
        PlanOptions { from: vec!["b".to_owned()], to: vec!["a".to_owned()], ..PlanOptions::default() };
    let fault = Plan::compile(&spec, Seed::new(1), &from_b).expect_err("x is missing").to_string();
    assert!(fault.contains("`x`") && fault.contains("(b)"), "{fault}");
    let unknown = PlanOptions { to: vec!["q".to_owned()], ..PlanOptions::default() };
    let fault = Plan::compile(&spec, Seed::new(1), &unknown).expect_err("no such layer").to_string();
    assert!(fault.contains('q') && fault.contains("x, a, b, y"), "{fault}");
}

#[test]
fn wrong_uses_are_refused() {
    let mut plan = Plan::compile(&two_layers(), Seed::new(1), &PlanOptions::default()).expect("a plan");
    assert!(matches!(plan.input_mut(0, 33), Err(LayersError::Rows { rows: 33, most: 32 })));
    assert!(matches!(plan.input_mut(0, 0), Err(LayersError::Rows { .. })));
    assert!(matches!(plan.input_mut(1, 1), Err(LayersError::InputCount { .. })));
    assert!(matches!(plan.backward(&mut |_| ()), Err(LayersError::NoForward)));
    let inference = PlanOptions { training: false, ..PlanOptions::default() };
    let mut plan_of_inference = Plan::compile(&two_layers(), Seed::new(1), &inference).expect("a plan");
    assert!(matches!(plan_of_inference.forward(1, train()), Err(LayersError::NoTraining)));
    let small = PlanOptions { memory_limit: Some(1000), ..PlanOptions::default() };
    let fault = Plan::compile(&two_layers(), Seed::new(1), &small).expect_err("too small").to_string();
    assert!(fault.contains("1000"), "{fault}");
    let names = PlanOptions { frozen: vec!["a.weights".to_owned()], ..PlanOptions::default() };
    let fault = Plan::compile(&two_layers(), Seed::new(1), &names).expect_err("no such block").to_string();
    assert!(fault.contains("a.weights") && fault.contains("a.kernel"), "{fault}");
}

#[test]
fn what_is_not_finite_is_traced_to_its_layer() {
    let mut plan = Plan::compile(&two_layers(), Seed::new(1), &PlanOptions::default()).expect("a plan");
    let mut kernel = plan.block_values("b.kernel").expect("values").to_vec();
    kernel[5] = f32::INFINITY;
    plan.set_block("b.kernel", &kernel).expect("set");
    plan.input_mut(0, 2).expect("an input").fill(1.0);
    assert_eq!(plan.find_non_finite(2, Mode::Infer).expect("run"), Some("b"));
}

/// A dense layer with only some of its weights: a block of its own length, and a custom operator.
#[derive(Debug)]
struct Sparse {
    places: Vec<(usize, usize)>,
    inputs: usize,
    outputs: usize,
}

impl Operator for Sparse {
    fn forward(&self, io: &mut Forward<'_>) -> tinsmith_layers::Result<()> {
        let rows = io.output.chunks_exact_mut(self.outputs).zip(io.inputs[0].chunks_exact(self.inputs));
        for (y, x) in rows {
            y.fill(0.0);
            for (&(i, o), w) in self.places.iter().zip(io.weights[0]) {
                y[o] += x[i] * w;
            }
        }
        Ok(())
    }

    fn backward(&self, io: &mut Backward<'_>) -> tinsmith_layers::Result<()> {
        io.gradients[0].fill(0.0);
        let mut dx = vec![0.0; io.inputs[0].len()];
        for (row, (x, dy)) in
            io.inputs[0].chunks_exact(self.inputs).zip(io.d_output.chunks_exact(self.outputs)).enumerate()
        {
            for (k, &(i, o)) in self.places.iter().enumerate() {
                io.gradients[0][k] += x[i] * dy[o];
                dx[row * self.inputs + i] += dy[o] * io.weights[0][k];
            }
        }
        if let Some(sink) = &mut io.d_inputs[0] {
            sink.put(&dx, io.threads);
        }
        Ok(())
    }
}

#[test]
fn an_operator_from_outside_trains_like_the_dense_layer_it_stands_for() {
    let spec = two_layers();
    let mut dense = Plan::compile(&spec, Seed::new(1), &PlanOptions::default()).expect("a plan");
    dense.set_block("b.bias", &[0.0; 8]).expect("set");
    let mask: Vec<f32> = (0..64).map(|i| if i % 4 == 1 { 1.0 } else { 0.0 }).collect();
    dense.set_prune_mask("b.kernel", Some(mask)).expect("a mask");
    let kept = |values: &[f32]| -> Vec<f32> { (0..64).filter(|i| i % 4 == 1).map(|i| values[i]).collect() };
    let start = kept(dense.block_values("b.kernel").expect("values"));

    let mut customize = |site: &Site<'_>| {
        if site.layer.name != "b" {
            return Ok(None);
        }
        let places = (0..64).filter(|i| i % 4 == 1).map(|i| (i / 8, i % 8)).collect();
        let block = BlockSpec {
            name: "b.kernel".to_owned(),
            dims: vec![start.len()],
            start: BlockInit::Values(start.clone()),
            trainable: true,
            quantizer: None,
        };
        let operator = Sparse { places, inputs: site.inputs[0][0], outputs: site.output[0] };
        Ok(Some(LayerOperator { operator: Box::new(operator), blocks: vec![block] }))
    };
    let mut linear = spec;
    if let Op::Dense(layer) = &mut linear.layers[2].op {
        layer.activation = tinsmith_network::Activation::Linear;
        layer.use_bias = false;
    }
    let mut dense = {
        let mut plan = Plan::compile(&linear, Seed::new(1), &PlanOptions::default()).expect("a plan");
        plan.carry_over(&dense).expect("carried over");
        plan
    };
    let mut sparse =
        Plan::compile_with(&linear, Seed::new(1), &PlanOptions::default(), &mut customize).expect("a plan");
    assert_eq!(sparse.blocks()[2].len(), 16);
    for _ in 0..5 {
        step(&mut dense, 4, 0.05);
        step(&mut sparse, 4, 0.05);
    }
    let (a, b) = (
        kept(dense.block_values("b.kernel").expect("values")),
        sparse.block_values("b.kernel").expect("values"),
    );
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?}\n{b:?}");
    let (a, b) =
        (dense.block_values("a.kernel").expect("values"), sparse.block_values("a.kernel").expect("values"));
    assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5));
}

#[test]
fn the_gradient_of_a_loss_is_that_of_the_graph() {
    let spec = two_layers();
    let model = Model::build(&spec, Seed::new(4), &BuildOptions::default()).expect("a model");
    let x = &inputs(&model, 4)[0];
    let labels = Tensor::new(&[0_u32, 1, 1, 0], &Device::Cpu).expect("labels");
    let loss = ops::softmax_cross_entropy(
        &model.forward_logits(x, train()).expect("logits"),
        &labels,
        0.0,
        Threads::ONE,
    )
    .expect("a loss");
    let theirs = loss.backward().expect("gradients");
    let mut plan = Plan::of_model(&model, &PlanOptions::default()).expect("a plan");
    plan.input_mut(0, 4).expect("an input").copy_from_slice(&data::values(x));
    plan.forward(4, train()).expect("a forward pass");
    let (logits, gradient) = plan.output_and_gradient(0);
    let ours = tinsmith_kernels::softmax::softmax_cross_entropy(
        gradient,
        logits,
        tinsmith_kernels::softmax::Targets::Classes(&[0, 1, 1, 0]),
        0.0,
        2,
        1,
    );
    assert!((ours - loss.to_scalar::<f32>().expect("a number")).abs() < 1e-6);
    plan.backward(&mut |_| ()).expect("a backward pass");
    let mut seen = 0;
    plan.change_all(&mut |u| {
        let param = model.params().get(u.name).expect("a parameter").tensor();
        let theirs = data::values(theirs.get(param).expect("a gradient"));
        assert!(u.gradient.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-6), "{}", u.name);
        seen += 1;
    });
    assert_eq!(seen, 6);
}
