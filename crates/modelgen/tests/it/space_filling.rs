//! Space-filling corpora and their coverage.

use std::collections::BTreeSet;

use tinsmith_cost::{Cost, Target};
use tinsmith_foundation::{CancelToken, Seed, Silent, config};
use tinsmith_modelgen::{
    ActivationKind, Bounds, ChainSpace, CostLine, Coverage, Family, Format, GeneratorConfig, LayerAxes,
    ModelGenerator, SamplingPlan, SpaceFillingConfig, generate_space_filling, load_models,
};
use tinsmith_network::Op;

fn dense(lb: usize, ub: usize) -> LayerAxes {
    LayerAxes { size: Bounds { lb, ub }, ..LayerAxes::default() }
}

fn quantized() -> ChainSpace {
    ChainSpace {
        input: vec![Bounds { lb: 16, ub: 64 }],
        layers: vec![
            LayerAxes { activations: vec![ActivationKind::Relu, ActivationKind::Tanh], ..dense(8, 32) },
            dense(4, 16),
        ],
        bit_widths: vec![2, 4, 8],
        ..ChainSpace::default()
    }
}

#[test]
fn a_product_has_every_combination_once() {
    let structure = quantized();
    let all = structure.sample(SamplingPlan::Cartesian {}).unwrap();
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
    let coverage = Coverage::of_points(&all);
    assert_eq!((coverage.points, coverage.distinct), (162, 162));
    for axis in &coverage.axes {
        let each = 162 / axis.histogram.len() as u64;
        assert!(axis.histogram.iter().all(|&n| n == each), "{axis:?}");
    }
    assert_eq!(coverage.to_svg().matches("<rect").count(), 3 + 3 + 2 + 3 + 3);
}

#[test]
fn samples_use_each_axis_evenly_and_depend_on_their_seed() {
    let structure = quantized();
    for plan in [
        |seed| SamplingPlan::LatinHypercube { points: 36, swaps: 100, seed: Seed::new(seed) },
        |seed| SamplingPlan::Sobol { points: 36, seed: Seed::new(seed) },
    ] {
        let found = structure.sample(plan(1)).unwrap();
        assert_eq!(found, structure.sample(plan(1)).unwrap());
        assert_ne!(found, structure.sample(plan(2)).unwrap());
        for axis in Coverage::of_points(&found).axes {
            let each = 36 / axis.histogram.len() as u64;
            let exact = matches!(plan(1), SamplingPlan::LatinHypercube { .. });
            assert!(axis.histogram.iter().all(|n| n.abs_diff(each) <= if exact { 0 } else { 3 }), "{axis:?}");
        }
    }
}

#[test]
fn convolutions_are_flattened_before_dense_layers_and_widths_reach_every_weight() {
    let conv = LayerAxes { kind: Family::SeparableConv2d, kernel: Bounds { lb: 1, ub: 9 }, ..dense(4, 8) };
    let depthwise =
        LayerAxes { kind: Family::DepthwiseConv2d, stride: Bounds { lb: 1, ub: 3 }, ..conv.clone() };
    let structure = ChainSpace {
        input: vec![Bounds::of(6), Bounds::of(5), Bounds::of(3)],
        layers: vec![conv, depthwise, dense(8, 16)],
        bit_widths: vec![3, 5],
        classes: Some(7),
        ..ChainSpace::default()
    };
    for point in structure.sample(SamplingPlan::Cartesian {}).unwrap().points {
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
fn spaces_are_read_and_their_faults_named() {
    let read = |text: &str| config::from_str(text, "s.yaml", ChainSpace::check).map_err(|e| e.to_string());
    let text = "{input: [{lb: 16, ub: 16}], layers: [{kind: dense, size: {lb: 8, ub: 8}}], bit_widths: [4]}";
    assert_eq!(read(text).unwrap().cardinality(), Some(1));
    let error = read("{layers: [{kind: conv2d}, {size: {lb: 9, ub: 15}}], bit_widths: [40]}").unwrap_err();
    assert!(
        error.contains("`layers[0].kind` is conv2d, which takes inputs of 3 axes, but the features have 1"),
        "{error}"
    );
    assert!(error.contains("`layers[1].size` is 9..=15, want admissible sizes"), "{error}");
    assert!(error.contains("`bit_widths[0]` is 40"), "{error}");
    let many = ChainSpace { layers: vec![dense(1, 1 << 16); 7], ..ChainSpace::default() };
    assert!(many.sample(SamplingPlan::Cartesian {}).unwrap_err().to_string().contains("more than 10000000"));
    let point = many.network(&[0, 0]).unwrap_err().to_string();
    assert!(point.contains("has 7 axes, but the point has 2"), "{point}");
}

#[test]
fn the_coverage_of_a_random_corpus_is_reported() {
    let generator = ModelGenerator::new(GeneratorConfig::default()).unwrap();
    let target = Target::default();
    let networks: Vec<_> = (0..300)
        .map(|i| {
            let spec = generator.draw_any(Seed::new(i)).unwrap();
            let cost = CostLine::from(&Cost::of(&spec, &target).unwrap());
            (spec, cost)
        })
        .collect();
    let coverage = Coverage::of_networks(networks.iter().map(|(spec, cost)| (spec, *cost)));
    assert_eq!(coverage.points, 300);
    assert!((0.0..=1.0).contains(&coverage.joint.fill) && coverage.bottleneck.is_some());
    assert!(coverage.axes.iter().all(|a| a.histogram.iter().sum::<u64>() == 300));
    assert_eq!((coverage.axes[0].axis.low, coverage.axes[0].axis.high), (3.0, 8.0));
}

fn two_dense_layers() -> SpaceFillingConfig {
    SpaceFillingConfig {
        structure: ChainSpace {
            layers: vec![dense(8, 64), dense(8, 64)],
            bit_widths: vec![3, 5],
            ..ChainSpace::default()
        },
        ..SpaceFillingConfig::default()
    }
}

#[test]
fn corpora_are_written_with_their_coverage() {
    let folder = tempfile::tempdir().unwrap();
    let make = |config: &SpaceFillingConfig, name: &str| {
        generate_space_filling(config, &folder.path().join(name), &CancelToken::new(), &Silent)
    };
    let config = two_dense_layers();
    let manifest = make(&config, "all.jsonl.gz").unwrap();
    assert_eq!((manifest.written, manifest.cardinality), (4 * 4 * 2, Some(4 * 4 * 2)));
    let read: Vec<_> =
        load_models(&folder.path().join("all.jsonl.gz")).unwrap().map(|r| r.unwrap()).collect();
    for (record, point) in read.iter().zip(&manifest.points) {
        assert_eq!(record.spec, config.structure.network(point).unwrap());
        assert_eq!(record.cost.unwrap().params, Cost::of(&record.spec, &config.target).unwrap().total.params);
    }
    let stored = std::fs::read_to_string(folder.path().join("all.manifest.json")).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["axes"][0]["name"], "layer_1.size");
    assert_eq!(stored["coverage"]["axes"][2]["histogram"], serde_json::json!([16, 16]));
    assert!(
        std::fs::read_to_string(folder.path().join("all.coverage.svg")).unwrap().contains("layer_2.size")
    );

    let sobol = SamplingPlan::Sobol { points: 16, seed: Seed::new(4) };
    let keras = SpaceFillingConfig { design: sobol, format: Format::KerasBatch, ..config };
    let manifest = make(&keras, "sobol.json").unwrap();
    let names: Vec<String> =
        load_models(&folder.path().join("sobol.json")).unwrap().map(|r| r.unwrap().spec.name).collect();
    assert_eq!((names.len(), names[15].as_str(), manifest.points.len()), (16, "model_15", 16));

    // A depthwise convolution over time has no quantized class, and nothing is left of the attempt.
    let depthwise = LayerAxes { kind: Family::DepthwiseConv1d, ..dense(8, 8) };
    let structure =
        ChainSpace { input: vec![Bounds::of(8); 2], layers: vec![depthwise], ..keras.structure.clone() };
    let error = make(&SpaceFillingConfig { structure, ..keras }, "none.json").unwrap_err().to_string();
    assert!(error.contains("QKeras has no quantized DepthwiseConv1D"), "{error}");
    assert!(!folder.path().join("none.json").exists() && !folder.path().join("none.manifest.json").exists());
}
