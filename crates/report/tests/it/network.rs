//! Drawings of networks.

use proptest::prelude::*;
use tinsmith_cost::{Cost, Target};
use tinsmith_network::op::Merge;
use tinsmith_network::{Layer, ModelSpec, Op};
use tinsmith_report::{NetworkDrawing, ReportError};

use crate::xml::{elements, number, parse, seen, tooltips};

const RESIDUAL: &str = "
layers:
  - {name: x, input: {shape: [8, 8, 4]}}
  - {name: c1, conv2d: {filters: 4, kernel: 3, padding: same, activation: relu}}
  - {name: c2, conv2d: {filters: 4, kernel: 3, padding: same, use_bias: false}}
  - {name: n2, batch_norm: {}}
  - {name: sum, inputs: [n2, x], add: {}}
  - {name: flat, flatten: {}}
  - {name: classes, dense: {units: 10, activation: softmax}}
";

fn network(text: &str) -> (ModelSpec, Cost) {
    let spec = ModelSpec::parse(text, "test").unwrap();
    let cost = Cost::of(&spec, &Target::builtin("mcu-int8").unwrap()).unwrap();
    (spec, cost)
}

#[test]
fn every_layer_has_a_box_with_its_facts() {
    let (spec, cost) = network(RESIDUAL);
    let svg = NetworkDrawing::new("residual", &spec, &cost).to_svg().unwrap();
    let document = parse(&svg);
    let texts = seen(&document);
    for layer in &spec.layers {
        assert!(texts.contains(&layer.name), "{} is not among {texts:?}", layer.name);
    }
    for want in
        ["conv2d 3×3, relu", "8×8×4 · 8 bit", "148 params · 8.65 bit", "batch_norm, fused", "dense, softmax"]
    {
        assert!(texts.iter().any(|t| t == want), "{want} is not among {texts:?}");
    }
    assert!(tooltips(&document).iter().any(|t| t.contains("classes") && t.contains("parameters: 2570")));
}

#[test]
fn every_connection_ends_in_a_tip_and_no_box_covers_another() {
    let (spec, cost) = network(RESIDUAL);
    let svg = NetworkDrawing::new("residual", &spec, &cost).to_svg().unwrap();
    let document = parse(&svg);
    let count = |class: &str| {
        elements(&document, "path").iter().filter(|n| n.attribute("class") == Some(class)).count()
    };
    assert_eq!((count("edge"), count("tip")), (7, 7));
    let boxes: Vec<[f64; 4]> = elements(&document, "rect")
        .iter()
        .filter(|n| n.attribute("class") == Some("box"))
        .map(|n| ["x", "y", "width", "height"].map(|a| number(n, a)))
        .collect();
    assert_eq!(boxes.len(), 7);
    for (i, a) in boxes.iter().enumerate() {
        for b in &boxes[..i] {
            let is_apart =
                a[0] >= b[0] + b[2] || b[0] >= a[0] + a[2] || a[1] >= b[1] + b[3] || b[1] >= a[1] + a[3];
            assert!(is_apart, "{a:?} covers {b:?}");
        }
    }
    let svg = elements(&document, "svg")[0];
    let (width, height) = (number(&svg, "width"), number(&svg, "height"));
    assert!(boxes.iter().all(|b| b[0] >= 0.0 && b[0] + b[2] <= width && b[1] + b[3] <= height));
}

#[test]
fn branches_stand_side_by_side() {
    let (spec, cost) = network(
        "layers:
  - {name: x, input: {shape: [8, 8, 4]}}
  - {name: a, inputs: [x], conv2d: {filters: 4, kernel: 1}}
  - {name: b, inputs: [x], conv2d: {filters: 4, kernel: 3, padding: same}}
  - {name: both, inputs: [a, b], concat: {}}",
    );
    let svg = NetworkDrawing::new("", &spec, &cost).to_svg().unwrap();
    let document = parse(&svg);
    let rects = elements(&document, "rect");
    let boxes: Vec<_> = rects.iter().filter(|n| n.attribute("class") == Some("box")).collect();
    assert_eq!(number(boxes[1], "y"), number(boxes[2], "y"));
    assert!(number(boxes[1], "x") < number(boxes[2], "x"));
}

#[test]
fn the_cost_of_another_network_is_an_error() {
    let (spec, _) = network(RESIDUAL);
    let (_, other) = network("layers: [{name: x, input: {shape: [3]}}, {name: d, dense: {units: 2}}]");
    let error = NetworkDrawing::new("", &spec, &other).to_svg().unwrap_err();
    assert!(matches!(error, ReportError::OtherCost { index: 1, .. }));
    assert!(error.to_string().starts_with("layer 1 is `c1` in the network and `d` in its cost"), "{error}");
}

#[test]
fn a_network_that_cannot_be_is_an_error() {
    let (mut spec, cost) = network(RESIDUAL);
    spec.layers[4].inputs[1] = "nobody".to_owned();
    let error = NetworkDrawing::new("", &spec, &cost).to_svg().unwrap_err();
    assert!(error.to_string().contains("nobody"), "{error}");
}

#[test]
fn long_and_odd_names_stay_inside() {
    let (mut spec, _) = network(RESIDUAL);
    spec.layers[6].name = "a<b>&\"c\"_which_is_a_very_long_name_for_a_layer_of_classes".to_owned();
    let cost = Cost::of(&spec, &Target::builtin("mcu-int8").unwrap()).unwrap();
    let svg = NetworkDrawing::new("<odd>", &spec, &cost).to_svg().unwrap();
    assert!(seen(&parse(&svg)).iter().any(|t| t.starts_with("a<b>&") && t.ends_with('…')));
}

#[test]
fn a_layer_that_its_predecessor_does_is_called_fused() {
    let (spec, cost) = network(
        "layers:
  - {name: x, input: {shape: [8, 8, 4]}}
  - {name: c, conv2d: {filters: 4, kernel: 3}}
  - {name: n, batch_norm: {}}
  - {name: a, activation: relu}
  - {name: p, max_pool2d: {size: 2}}
  - {name: b, batch_norm: {}}",
    );
    let svg = NetworkDrawing::new("", &spec, &cost).to_svg().unwrap();
    let texts = seen(&parse(&svg));
    let fused: Vec<&String> = texts.iter().filter(|t| t.ends_with(", fused")).collect();
    assert_eq!(fused, ["batch_norm, fused", "relu, fused"], "the second norm follows a pooling");
}

/// Returns a network of sums, each of two earlier layers.
fn sums(pairs: &[(usize, usize)]) -> ModelSpec {
    let input = ModelSpec::parse("layers: [{name: l0, input: {shape: [4]}}]", "test").unwrap().layers;
    let mut spec = ModelSpec::new("sums", input);
    let mut used = vec![false; pairs.len() + 1];
    for (i, &(a, b)) in pairs.iter().enumerate() {
        let (a, b) = (a % (i + 1), b % (i + 1));
        (used[a], used[b]) = (true, true);
        let inputs = [format!("l{a}"), format!("l{b}")];
        spec.layers.push(Layer::with_inputs(format!("l{}", i + 1), inputs, Op::Add(Merge {})));
    }
    spec.outputs = (0..used.len()).filter(|&i| !used[i]).map(|i| format!("l{i}")).collect();
    spec
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_is_drawn_inside_its_picture(pairs in proptest::collection::vec((0_usize..40, 0_usize..40), 1..25)) {
        let spec = sums(&pairs);
        let cost = Cost::of(&spec, &Target::builtin("mcu-int8").unwrap()).unwrap();
        let svg = NetworkDrawing::new("sums", &spec, &cost).to_svg().unwrap();
        let document = parse(&svg);
        let root = elements(&document, "svg")[0];
        let (width, height) = (number(&root, "width"), number(&root, "height"));
        let boxes: Vec<_> = elements(&document, "rect");
        let boxes: Vec<_> = boxes.iter().filter(|n| n.attribute("class") == Some("box")).collect();
        prop_assert_eq!(boxes.len(), pairs.len() + 1);
        for node in boxes {
            let [x, y, w, h] = ["x", "y", "width", "height"].map(|a| number(node, a));
            prop_assert!(x >= 0.0 && y >= 0.0 && x + w <= width && y + h <= height);
        }
        let mut connections: Vec<(usize, usize)> = Vec::new();
        for (i, &(a, b)) in pairs.iter().enumerate() {
            connections.extend([(a % (i + 1), i + 1), (b % (i + 1), i + 1)]);
        }
        connections.sort_unstable();
        connections.dedup();
        let edges = elements(&document, "path");
        let edges = edges.iter().filter(|n| n.attribute("class") == Some("edge")).count();
        prop_assert_eq!(edges, connections.len());
    }
}

#[test]
fn every_layer_joined_to_every_other_is_drawn_in_time_and_bounds() {
    let input = "{name: l0, input: {shape: [2]}}";
    let mut spec = ModelSpec::parse(&format!("layers: [{input}]"), "test").unwrap();
    for i in 1..70 {
        let inputs = (0..i).chain([0]).map(|k| format!("l{k}"));
        spec.layers.push(Layer::with_inputs(format!("l{i}"), inputs, Op::Add(Merge {})));
    }
    let cost = Cost::of(&spec, &Target::builtin("mcu-int8").unwrap()).unwrap();
    let svg = NetworkDrawing::new("", &spec, &cost).to_svg().unwrap();
    let document = parse(&svg);
    assert!(number(&elements(&document, "svg")[0], "width") < 1200.0);
}
