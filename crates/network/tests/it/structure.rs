//! The structural hash and the canonical form.

use proptest::prelude::*;
use tinsmith_foundation::{Rng, Seed};
use tinsmith_network::op::{BatchNorm, Concat, Conv2d, Dense, Flatten, Input, Merge, Pool2d, Reshape};
use tinsmith_network::{Activation, Layer, ModelSpec, Op, Padding, Pair, StructuralHash, WeightFacts};

fn hash(yaml: &str) -> StructuralHash {
    ModelSpec::parse(yaml, "m").unwrap().structural_hash().unwrap()
}

/// A random network of image layers that keep the shape, with several outputs.
fn random(rng: &mut Rng) -> ModelSpec {
    let conv = |filters| Op::Conv2d(Conv2d { padding: Padding::Same, ..Conv2d::new(filters, 3) });
    let inputs = 1 + rng.below(2) as usize;
    let mut layers: Vec<Layer> = (0..inputs)
        .map(|i| Layer::new(format!("x{i}"), Op::Input(Input { shape: vec![4, 4, 2], quantizer: None })))
        .collect();
    for i in 0..3 + rng.below(12) as usize {
        let pick = |rng: &mut Rng| rng.below(i as u64 + inputs as u64) as usize;
        let from = (0..2).map(|_| layers[pick(rng)].name.clone()).collect::<Vec<_>>();
        let name = format!("layer{i}");
        let (op, count) = match rng.below(7) {
            0 => (Op::Add(Merge {}), 2),
            1 => (Op::Subtract(Merge {}), 2),
            2 => (Op::Multiply(Merge {}), 2),
            3 => (Op::Activation(Activation::Relu), 1),
            4 => (Op::BatchNorm(BatchNorm::default()), 1),
            _ => (conv(2), 1),
        };
        layers.push(Layer::with_inputs(name, from.into_iter().take(count), op));
    }
    let mut spec = ModelSpec::new("random", layers);
    let used: Vec<String> = spec.layers.iter().flat_map(|l| l.inputs.clone()).collect();
    spec.outputs = spec.layers.iter().map(|l| l.name.clone()).filter(|name| !used.contains(name)).collect();
    spec
}

/// The same network with other names, in another order, summands swapped, with facts.
fn disguised(spec: &ModelSpec, rng: &mut Rng) -> ModelSpec {
    let mut order: Vec<usize> = (0..spec.layers.len()).collect();
    rng.shuffle(&mut order);
    let rename = |name: &String| {
        let i = spec.layers.iter().position(|l| l.name == *name).unwrap();
        format!("n{}", order.iter().position(|&k| k == i).unwrap() * 7 + 3)
    };
    let layers = order.iter().map(|&i| {
        let layer = &spec.layers[i];
        let mut inputs: Vec<String> = layer.inputs.iter().map(rename).collect();
        if matches!(layer.op, Op::Add(_) | Op::Multiply(_)) && rng.below(2) == 0 {
            inputs.reverse();
        }
        let facts = match &layer.op {
            Op::Conv2d(_) => vec![WeightFacts {
                weight: "kernel".to_owned(),
                non_zeros: Some(3),
                storage: tinsmith_network::Storage::Csr,
                total_bits: None,
            }],
            _ => Vec::new(),
        };
        Layer { name: rename(&layer.name), inputs, op: layer.op.clone(), facts }
    });
    let mut other = ModelSpec::new("disguised", layers.collect());
    other.outputs = spec.outputs.iter().map(rename).collect();
    other
}

/// The same network but for one thing; None where the thing that was drawn is not there.
fn mutated(spec: &ModelSpec, rng: &mut Rng) -> Option<ModelSpec> {
    let mut other = spec.clone();
    let i = rng.below(other.layers.len() as u64) as usize;
    let layer = &mut other.layers[i];
    match (rng.below(3), &mut layer.op) {
        (0, Op::Subtract(_)) if layer.inputs[0] != layer.inputs[1] => layer.inputs.reverse(),
        (0 | 1, Op::Conv2d(conv)) => conv.use_bias = false,
        (2, Op::Conv2d(conv)) => conv.dilation = Pair::square(2),
        (_, Op::Activation(activation)) => *activation = Activation::Tanh,
        (_, Op::BatchNorm(norm)) => norm.epsilon *= 2.0,
        (0, Op::Add(_)) => layer.op = Op::Multiply(Merge {}),
        (1, Op::Multiply(_)) => layer.op = Op::Subtract(Merge {}),
        _ => return None,
    }
    Some(other)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn names_and_order_do_not_matter(seed: u64) {
        let mut rng = Seed::new(seed).rng();
        let spec = random(&mut rng);
        let other = disguised(&spec, &mut rng);
        prop_assert_eq!(spec.structural_hash().unwrap(), other.structural_hash().unwrap());
        let canonical = spec.canonical().unwrap();
        prop_assert_eq!(&canonical, &other.canonical().unwrap());
        prop_assert_eq!(&canonical, &canonical.canonical().unwrap());
        prop_assert_eq!(canonical.structural_hash().unwrap(), spec.structural_hash().unwrap());
        // The canonical form computes the same: its layers have the same shapes.
        let shapes = |spec: &ModelSpec| {
            let mut shapes: Vec<Vec<usize>> = spec.graph().unwrap().nodes.into_iter().map(|n| n.shape).collect();
            shapes.sort();
            shapes
        };
        prop_assert_eq!(shapes(&canonical), shapes(&spec));
    }

    #[test]
    fn one_change_changes_it(seed: u64) {
        let mut rng = Seed::new(seed).rng();
        let spec = random(&mut rng);
        if let Some(other) = mutated(&spec, &mut rng) {
            let same = spec.structural_hash().unwrap() == other.structural_hash().unwrap();
            prop_assert_eq!(same, spec.canonical().unwrap() == other.canonical().unwrap());
            // Swapped inputs may be those of another difference: then all else has to be the same too.
            let swapped = spec.layers.iter().zip(&other.layers).all(|(a, b)| a.op == b.op);
            prop_assert!(swapped || !same, "{:?}", spec);
        }
    }
}

const HEAD: &str = "layers:\n- {name: x, input: {shape: [4]}}\n";

#[test]
fn two_layers_are_not_one_used_twice() {
    let two = format!(
        "{HEAD}- {{name: a, inputs: [x], dense: {{units: 4}}}}\n- {{name: b, inputs: [x], dense: {{units: 4}}}}\n- {{name: s, inputs: [a, b], add: {{}}}}\n"
    );
    let one = format!(
        "{HEAD}- {{name: a, inputs: [x], dense: {{units: 4}}}}\n- {{name: s, inputs: [a, a], add: {{}}}}\n"
    );
    assert_ne!(hash(&two), hash(&one));
}

#[test]
fn order_of_inputs_matters_where_it_should() {
    let merged = |inputs: &str, kind: &str| {
        hash(&format!(
            "{HEAD}- {{name: a, inputs: [x], dense: {{units: 4}}}}\n- {{name: m, inputs: [{inputs}], {kind}: {{}}}}\n"
        ))
    };
    for kind in ["add", "multiply"] {
        assert_eq!(merged("a, x", kind), merged("x, a", kind), "{kind}");
    }
    for kind in ["subtract", "concat"] {
        assert_ne!(merged("a, x", kind), merged("x, a", kind), "{kind}");
    }
}

#[test]
fn order_of_outputs_matters() {
    let with = |outputs: &str| {
        hash(&format!(
            "{HEAD}- {{name: a, inputs: [x], dense: {{units: 4}}}}\n- {{name: b, inputs: [x], dense: {{units: 2}}}}\noutputs: [{outputs}]\n"
        ))
    };
    assert_ne!(with("a, b"), with("b, a"));
}

#[test]
fn ways_of_writing_do_not_matter() {
    let image = || Layer::new("x", Op::Input(Input { shape: vec![4, 4, 2], quantizer: None }));
    let of = |op: Op| ModelSpec::new("", vec![image(), Layer::new("l", op)]).structural_hash().unwrap();
    let plain = Pool2d::new(2);
    let said = Pool2d { stride: Some(Pair::square(2)), ..Pool2d::new(2) };
    assert_eq!(of(Op::MaxPool2d(plain)), of(Op::MaxPool2d(said)));
    let free = Reshape { shape: vec![8, -1] };
    let fixed = Reshape { shape: vec![8, 4] };
    assert_eq!(of(Op::Reshape(free)), of(Op::Reshape(fixed)));
    assert_ne!(of(Op::Flatten(Flatten {})), of(Op::Reshape(Reshape { shape: vec![32] })));
    let joined = |axis| {
        let concat = Layer::with_inputs("l", ["x", "x"], Op::Concat(Concat { axis }));
        ModelSpec::new("", vec![image(), concat]).structural_hash().unwrap()
    };
    assert_eq!(joined(-1), joined(3));
    assert_ne!(joined(-1), joined(1));
}

/// Color refinement alone cannot tell a ring of six from two rings of three.
#[test]
fn regular_graphs_are_told_apart() {
    let rings = |pairs: [[usize; 2]; 6]| {
        let mut layers = vec![Layer::new("x", Op::Input(Input { shape: vec![4], quantizer: None }))];
        layers.extend((0..6).map(|i| Layer::with_inputs(format!("d{i}"), ["x"], Op::Dense(Dense::new(4)))));
        layers.extend(pairs.iter().enumerate().map(|(i, pair)| {
            Layer::with_inputs(format!("s{i}"), pair.map(|k| format!("d{k}")), Op::Add(Merge {}))
        }));
        layers.push(Layer::with_inputs("m", (0..6).map(|i| format!("s{i}")), Op::Multiply(Merge {})));
        ModelSpec::new("", layers).structural_hash().unwrap()
    };
    let six = rings([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0]]);
    assert_eq!(six, rings([[3, 1], [5, 0], [2, 5], [4, 3], [1, 2], [0, 4]]));
    assert_ne!(six, rings([[0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3]]));
}

#[test]
fn a_hash_is_stored_as_digits() {
    let found = hash(&format!("{HEAD}- {{name: a, dense: {{units: 4}}}}\n"));
    // Stored results hang on these values: they change only with the format's version.
    assert_eq!(found.to_string(), "3b422bf42879f35742022a8a9dc917ba");
    assert_eq!(found.to_string().parse::<StructuralHash>().unwrap(), found);
    assert_eq!(
        serde_json::from_str::<StructuralHash>(&serde_json::to_string(&found).unwrap()).unwrap(),
        found
    );
    assert_eq!(
        "12".parse::<StructuralHash>().unwrap_err().to_string(),
        "is `12`, want 32 hexadecimal digits"
    );
}
