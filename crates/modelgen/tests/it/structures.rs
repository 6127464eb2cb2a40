//! Structured sets and their coverage.

use std::collections::BTreeSet;

use tinsmith_foundation::{Seed, config};
use tinsmith_modelgen::{
    ActivationKind, Bounds, CostLine, Coverage, Design, Family, GeneratorConfig, LayerAxes, ModelGenerator,
    Structure,
};
use tinsmith_spec::{Op, Target};

fn dense(lb: usize, ub: usize) -> LayerAxes {
    LayerAxes { size: Bounds { lb, ub }, ..LayerAxes::default() }
}

fn quantized() -> Structure {
    Structure {
        input: vec![Bounds { lb: 16, ub: 64 }],
        layers: vec![
            LayerAxes { activations: vec![ActivationKind::Relu, ActivationKind::Tanh], ..dense(8, 32) },
            dense(4, 16),
        ],
        bit_widths: vec![2, 4, 8],
        ..Structure::default()
    }
}

#[test]
fn a_product_has_every_combination_once() {
    let structure = quantized();
    let all = structure.realize(Design::Cartesian {}).unwrap();
    assert_eq!(structure.cardinality(), Some(3 * 3 * 2 * 3 * 3));
    let names: Vec<&str> = all.axes.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["input_1", "layer_1.size", "layer_1.activation", "layer_2.size", "bits"]);
    let networks: BTreeSet<String> = all
        .points
        .iter()
        .map(|point| {
            let spec = structure.network(point).unwrap();
            spec.graph().unwrap();
            spec.to_json().unwrap()
        })
        .collect();
    assert_eq!(networks.len(), 162);
    let coverage = Coverage::of_design(&all);
    assert_eq!((coverage.points, coverage.distinct), (162, 162));
    for axis in &coverage.axes {
        let each = 162 / axis.histogram.len() as u64;
        assert!(axis.histogram.iter().all(|&n| n == each), "{axis:?}");
    }
    assert_eq!(coverage.to_svg().matches("<rect").count(), 3 + 3 + 2 + 3 + 3);
}

#[test]
fn designs_use_each_axis_evenly_and_hang_on_their_seed() {
    let structure = quantized();
    for design in [
        |seed| Design::LatinHypercube { points: 36, swaps: 100, seed: Seed::new(seed) },
        |seed| Design::Sobol { points: 36, seed: Seed::new(seed) },
    ] {
        let found = structure.realize(design(1)).unwrap();
        assert_eq!(found, structure.realize(design(1)).unwrap());
        assert_ne!(found, structure.realize(design(2)).unwrap());
        for axis in Coverage::of_design(&found).axes {
            let each = 36 / axis.histogram.len() as u64;
            let exact = matches!(design(1), Design::LatinHypercube { .. });
            assert!(axis.histogram.iter().all(|n| n.abs_diff(each) <= if exact { 0 } else { 3 }), "{axis:?}");
        }
    }
}

#[test]
fn convolutions_are_flattened_before_dense_layers_and_widths_reach_every_weight() {
    let conv = LayerAxes { kind: Family::SeparableConv2d, kernel: Bounds { lb: 1, ub: 9 }, ..dense(4, 8) };
    let depthwise =
        LayerAxes { kind: Family::DepthwiseConv2d, stride: Bounds { lb: 1, ub: 3 }, ..conv.clone() };
    let structure = Structure {
        input: vec![Bounds::of(6), Bounds::of(5), Bounds::of(3)],
        layers: vec![conv, depthwise, dense(8, 16)],
        bit_widths: vec![3, 5],
        classes: Some(7),
        ..Structure::default()
    };
    for point in structure.realize(Design::Cartesian {}).unwrap().points {
        let spec = structure.network(&point).unwrap();
        let graph = spec.graph().unwrap();
        assert_eq!(graph.shape(graph.outputs[0]), [7]);
        for (i, layer) in spec.layers.iter().enumerate() {
            let input = graph.input_shapes(i);
            for weight in input.first().map(|shape| layer.op.weights(shape)).unwrap_or_default() {
                assert!(
                    weight.quantizer.is_some_and(|q| [3, 5].contains(&q.bits())),
                    "{} {weight:?}",
                    layer.name
                );
            }
        }
        assert_eq!(spec.layers.iter().filter(|l| matches!(l.op, Op::Flatten(_))).count(), 1);
    }
}

#[test]
fn structures_are_read_and_their_faults_named() {
    let read = |text: &str| config::from_str(text, "s.yaml", Structure::check).map_err(|e| e.to_string());
    let text = "{input: [{lb: 16, ub: 16}], layers: [{kind: dense, size: {lb: 8, ub: 8}}], bit_widths: [4]}";
    assert_eq!(read(text).unwrap().cardinality(), Some(1));
    let error = read("{layers: [{kind: conv2d}, {size: {lb: 9, ub: 15}}], bit_widths: [40]}").unwrap_err();
    assert!(error.contains("`layers[0].kind` is conv2d, which wants 3 axes, after features of 1"), "{error}");
    assert!(error.contains("`layers[1].size` is 9..=15, want admissible sizes"), "{error}");
    assert!(error.contains("`bit_widths[0]` is 40"), "{error}");
    let many = Structure { layers: vec![dense(1, 1 << 16); 7], ..Structure::default() };
    assert!(many.realize(Design::Cartesian {}).unwrap_err().to_string().contains("more than 10000000"));
    let point = many.network(&[0, 0]).unwrap_err().to_string();
    assert!(point.contains("has 7 axes, but the point has 2 places"), "{point}");
}

#[test]
fn the_coverage_of_a_random_corpus_is_reported() {
    let generator = ModelGenerator::new(GeneratorConfig::default()).unwrap();
    let target = Target::default();
    let networks: Vec<_> = (0..300)
        .map(|i| {
            let spec = generator.draw_any(Seed::new(i)).unwrap();
            let cost = CostLine::from(&spec.cost(&target).unwrap());
            (spec, cost)
        })
        .collect();
    let coverage = Coverage::of_networks(networks.iter().map(|(spec, cost)| (spec, *cost)));
    assert_eq!(coverage.points, 300);
    assert!((0.0..=1.0).contains(&coverage.joint.fill) && coverage.bottleneck.is_some());
    assert!(coverage.axes.iter().all(|a| a.histogram.iter().sum::<u64>() == 300));
    assert_eq!((coverage.axes[0].axis.low, coverage.axes[0].axis.high), (3.0, 8.0));
}
