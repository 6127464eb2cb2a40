//! Weights inherited between specifications.

use candle_core::Tensor;
use tinsmith_core_tensor::Param;
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Inheritance, Inherited, Mode, Model};
use tinsmith_network::ModelSpec;

use crate::build::{input, model};
use crate::data::values;

/// A network with weights without a pattern, biases, statistics and slopes included.
fn trained(yaml: &str) -> Model {
    let model = model(yaml);
    for (k, param) in model.params().iter().enumerate() {
        let mut rng = Seed::new(k as u64).rng();
        let is_variance = param.name().ends_with("variance");
        let low = if is_variance { 0.5 } else { -0.7 };
        let data: Vec<f32> = (0..param.len()).map(|_| rng.uniform_in(low, 1.5) as f32).collect();
        param.set(&Tensor::from_vec(data, param.dims(), model.device()).expect("a tensor")).expect("a value");
    }
    model
}

/// A network with other initial weights.
fn heir(yaml: &str) -> Model {
    let spec = ModelSpec::parse(yaml, "test").unwrap_or_else(|e| panic!("{e}"));
    Model::build(&spec, Seed::new(71), &BuildOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn what<'a>(report: &'a Inheritance, name: &str) -> &'a Inherited {
    &report.params.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name}")).1
}

/// Checks that the heir computes the network's function and that its repeated units differ.
#[track_caller]
fn preserves(old: &str, new: &str, shape: &[usize]) -> Inheritance {
    let (old, new) = (trained(old), heir(new));
    let report = new.inherit(&old).expect("a report");
    let x = input(&[&[3], shape].concat());
    let (a, b) = (old.forward(&x, Mode::Infer).expect("a run"), new.forward(&x, Mode::Infer).expect("a run"));
    for (a, b) in values(&a).into_iter().zip(values(&b)) {
        assert!((a - b).abs() < 2e-4 * (1.0 + a.abs()), "{a} became {b}: {report:?}");
    }
    report
}

/// A residual network with every layer kind that has channels; widths, kernels and inserted layers are placeholders.
fn residual(a: usize, b: usize, c: usize, kernel: usize, inserted: &str) -> String {
    format!(
        "{{layers: [{{name: x, input: {{shape: [8, 6, 2]}}}},
          {{name: c1, conv2d: {{filters: {a}, kernel: {kernel}, padding: same}}}}, {{name: n1, batch_norm: {{}}}},
          {{name: r1, activation: relu}}, {inserted}
          {{name: dw, depthwise_conv2d: {{kernel: {kernel}, padding: same, stride: 2, depth_multiplier: 2}}}},
          {{name: p, activation: {{prelu: {{shared_axes: [1, 2]}}}}}},
          {{name: c2, conv2d: {{filters: {b}, kernel: 1}}}}, {{name: n2, batch_norm: {{scale: false}}}},
          {{name: s, separable_conv2d: {{filters: {b}, kernel: 3, padding: same, depth_multiplier: 2}}}},
          {{name: sum, inputs: [n2, s], add: {{}}}}, {{name: r2, activation: {{leaky_relu: {{alpha: 0.1}}}}}},
          {{name: t, conv2d_transpose: {{filters: {c}, kernel: 2, stride: 2}}}},
          {{name: pool, max_pool2d: {{size: 2}}}},
          {{name: both, inputs: [pool, r2], concat: {{}}}}, {{name: f, flatten: {{}}}},
          {{name: d, dense: {{units: {c}, activation: relu}}}}, {{name: o, dense: {{units: 3}}}}]}}"
    )
}

#[test]
fn the_same_network_takes_everything() {
    let text = residual(3, 4, 5, 3, "");
    let report = preserves(&text, &text, &[8, 6, 2]);
    assert!(report.params.iter().all(|(_, what)| *what == Inherited::Whole), "{report:?}");
}

#[test]
fn a_wider_network_computes_the_same() {
    let report = preserves(&residual(3, 4, 5, 3, ""), &residual(5, 11, 9, 3, ""), &[8, 6, 2]);
    for name in [
        "c1.kernel",
        "n1.moving_variance",
        "p.alpha",
        "c2.kernel",
        "s.pointwise_kernel",
        "t.bias",
        "o.kernel",
    ] {
        assert_eq!(what(&report, name), &Inherited::Rearranged, "{name}");
    }
    assert_eq!(what(&report, "o.bias"), &Inherited::Whole);
}

#[test]
fn repetitions_are_divided_unevenly() {
    let text = |units| {
        format!(
            "{{layers: [{{name: x, input: {{shape: [2]}}}}, {{name: a, dense: {{units: {units}}}}}, {{name: o, dense: {{units: 1}}}}]}}"
        )
    };
    let (old, new) = (trained(&text(1)), heir(&text(3)));
    new.inherit(&old).expect("a report");
    let get = |m: &Model, name: &str| m.params().get(name).and_then(Param::values).expect("values");
    let (was, is) = (get(&old, "o.kernel"), get(&new, "o.kernel"));
    assert!((is.iter().sum::<f32>() - was[0]).abs() < 1e-6);
    assert!(is[0] != is[1] && is[1] != is[2], "{is:?}");
    let a = get(&new, "a.kernel");
    assert!(a[0] == a[1] && a[1] == a[2]);
}

#[test]
fn larger_kernels_compute_the_same() {
    let report = preserves(&residual(3, 4, 5, 3, ""), &residual(3, 4, 5, 5, ""), &[8, 6, 2]);
    assert_eq!(what(&report, "c1.kernel"), &Inherited::Rearranged);
    assert_eq!(what(&report, "dw.depthwise_kernel"), &Inherited::Rearranged);
    let series = |kernel| {
        format!(
            "{{layers: [{{name: x, input: {{shape: [9, 2]}}}}, {{name: a, conv1d: {{filters: 3, kernel: {kernel}, padding: causal, dilation: 2}}}},
              {{name: b, separable_conv1d: {{filters: 2, kernel: {kernel}, padding: same, stride: 3}}}}]}}"
        )
    };
    preserves(&series(2), &series(4), &[9, 2]);
}

#[test]
fn a_deeper_network_computes_the_same() {
    let inserted = "{name: c3, conv2d: {filters: 3, kernel: [3, 5], padding: same, activation: relu}}, {name: n3, batch_norm: {}},
        {name: w, depthwise_conv2d: {kernel: 3, padding: same}}, {name: n4, batch_norm: {scale: false}},";
    let report = preserves(&residual(3, 4, 5, 3, ""), &residual(3, 4, 5, 3, inserted), &[8, 6, 2]);
    for name in ["c3.kernel", "c3.bias", "n3.gamma", "w.depthwise_kernel", "n4.moving_variance"] {
        assert_eq!(what(&report, name), &Inherited::Identity, "{name}");
    }
    // Deeper and wider at once.
    let wide = inserted.replace("filters: 3", "filters: 5");
    preserves(&residual(3, 4, 5, 3, ""), &residual(5, 4, 6, 3, &wide), &[8, 6, 2]);
    let series = |inserted| {
        format!(
            "{{layers: [{{name: x, input: {{shape: [9, 2]}}}}, {{name: a, conv1d: {{filters: 3, kernel: 3, activation: 'quantized_relu(8,4)'}}}}, {inserted}
              {{name: g, max_pool1d: {{size: 2}}}}, {{name: b, dense: {{units: 2}}}}]}}"
        )
    };
    preserves(
        &series(""),
        &series(
            "{name: i, conv1d: {filters: 3, kernel: 4, padding: causal, activation: 'quantized_relu(8,4)'}},",
        ),
        &[9, 2],
    );
}

#[test]
fn where_no_identity_exists_initial_weights_stay() {
    let text = |inserted: &str| {
        format!(
            "{{layers: [{{name: x, input: {{shape: [3]}}}}, {{name: a, dense: {{units: 3}}}}, {inserted} {{name: o, dense: {{units: 2}}}}]}}"
        )
    };
    for inserted in
        ["dense: {units: 3, activation: relu}", "dense: {units: 4}", "dense: {units: 3, activation: tanh}"]
    {
        let (old, new) = (trained(&text("")), heir(&text(&format!("{{name: n, {inserted}}},"))));
        let own = new.params().get("n.kernel").and_then(Param::values).expect("values");
        let report = new.inherit(&old).expect("a report");
        assert_eq!(what(&report, "n.kernel"), &Inherited::Nothing, "{inserted}");
        assert_eq!(own, new.params().get("n.kernel").and_then(Param::values).expect("values"));
    }
}

#[test]
fn a_narrower_network_keeps_the_largest_units() {
    let text = |units| {
        format!(
            "{{layers: [{{name: x, input: {{shape: [2]}}}}, {{name: a, dense: {{units: {units}}}}}, {{name: o, dense: {{units: 1}}}}]}}"
        )
    };
    let (old, new) = (trained(&text(4)), heir(&text(2)));
    let set = |name: &str, data: &[f32]| {
        let param = old.params().get(name).expect("a parameter");
        param.set(&Tensor::from_slice(data, param.dims(), old.device()).expect("a tensor")).expect("a value");
    };
    set("a.kernel", &[0.1, 5.0, 0.2, 1.0, 0.1, -4.0, 0.2, -3.0]);
    set("a.bias", &[1.0, 2.0, 3.0, 4.0]);
    set("o.kernel", &[10.0, 20.0, 30.0, 40.0]);
    let report = new.inherit(&old).expect("a report");
    assert_eq!(what(&report, "a.kernel"), &Inherited::Rearranged);
    let get = |name: &str| new.params().get(name).and_then(Param::values).expect("values");
    assert_eq!(get("a.kernel"), [5.0, 1.0, -4.0, -3.0]);
    assert_eq!(get("a.bias"), [2.0, 4.0]);
    assert_eq!(get("o.kernel"), [20.0, 40.0]);
    // Narrower throughout: nothing fails, and every parameter inherits.
    let (old, new) = (trained(&residual(5, 7, 6, 5, "")), heir(&residual(2, 3, 4, 3, "")));
    let report = new.inherit(&old).expect("a report");
    assert_eq!(report.taken(), report.params.len(), "{report:?}");
    new.forward(&input(&[1, 8, 6, 2]), Mode::Infer).expect("a run");
}

#[test]
fn what_cannot_be_followed_takes_the_common_part() {
    let text = |units, classes| {
        format!(
            "{{layers: [{{name: x, input: {{shape: [4]}}}}, {{name: a, dense: {{units: {units}}}}}, {{name: r, reshape: {{shape: [2, -1]}}}},
              {{name: b, dense: {{units: 3}}}}, {{name: f, flatten: {{}}}}, {{name: o, dense: {{units: {classes}}}}}]}}"
        )
    };
    let (old, new) = (trained(&text(4, 2)), heir(&text(8, 5)));
    let own = new.params().get("b.kernel").and_then(Param::values).expect("values");
    let report = new.inherit(&old).expect("a report");
    assert_eq!(what(&report, "b.kernel"), &Inherited::Common(vec![2, 3]));
    assert_eq!(what(&report, "o.kernel"), &Inherited::Common(vec![6, 2]));
    assert_eq!(what(&report, "b.bias"), &Inherited::Whole);
    let (now, was) = (
        new.params().get("b.kernel").and_then(Param::values).expect("values"),
        old.params().get("b.kernel").and_then(Param::values).expect("values"),
    );
    assert_eq!(now[..6], was[..]);
    assert_eq!(now[6..], own[6..]);
    // Another kind under the same name: the common region if the number of axes is equal, else nothing.
    let kind = |l: &str| format!("{{layers: [{{name: x, input: {{shape: [4, 4, 2]}}}}, {{name: a, {l}}}]}}");
    let (old, new) = (
        trained(&kind("conv2d: {filters: 2, kernel: 3}")),
        heir(&kind("conv2d_transpose: {filters: 2, kernel: 3}")),
    );
    assert_eq!(what(&new.inherit(&old).expect("a report"), "a.kernel"), &Inherited::Whole);
    let new = heir(&kind("dense: {units: 3}"));
    assert_eq!(what(&new.inherit(&old).expect("a report"), "a.kernel"), &Inherited::Nothing);
}
