//! Models together with candle-nn: as modules, and their weights in its maps and builders.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Module, Optimizer, SGD, VarBuilder, VarMap};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, LayersError, Mode, Model};

use crate::build::{input, model};
use crate::data::values;

const NET: &str = "{name: net, layers: [{name: x, input: {shape: [3]}}, {name: a, dense: {units: 2}}, {name: n, batch_norm: {}}]}";

fn other() -> Model {
    Model::build(model(NET).spec(), Seed::new(99), &BuildOptions::default()).expect("a model")
}

#[test]
fn a_model_is_a_module() {
    let model = model(NET);
    let x = input(&[5, 3]);
    let expected = values(&model.forward(&x, Mode::Infer).expect("an output"));
    assert_eq!(values(&Module::forward(&model, &x).expect("an output")), expected);
    let head = candle_nn::Linear::new(Tensor::ones((1, 2), DType::F32, &Device::Cpu).expect("ones"), None);
    let sums = candle_nn::seq().add(model).add(head).forward(&x).expect("an output");
    for (sum, row) in values(&sums).iter().zip(expected.chunks(2)) {
        assert!((sum - row.iter().sum::<f32>()).abs() < 1e-5);
    }
    let wrong = Module::forward(&other(), &input(&[5, 4])).expect_err("another shape").to_string();
    assert!(wrong.contains("want (batch, then [3])"), "{wrong}");
}

#[test]
fn weights_go_through_maps_and_builders() {
    let (source, by_map, by_builder) = (model(NET), other(), other());
    let map = VarMap::new();
    source.add_to_var_map(&map, "net");
    by_map.load_var_map(&map, "net").expect("weights");
    by_builder
        .load_var_builder(&VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu).pp("net"))
        .expect("weights");
    let x = input(&[4, 3]);
    let run = |model: &Model| values(&model.forward(&x, Mode::Infer).expect("an output"));
    assert_eq!(run(&by_map), run(&source));
    assert_eq!(run(&by_builder), run(&source));

    let fault = by_map.load_var_map(&map, "elsewhere").expect_err("no such prefix");
    assert!(
        matches!(&fault, LayersError::Mismatch { faults, .. } if faults.contains("\"a.kernel\" is missing")),
        "{fault}"
    );
    let tensors = [("a.kernel".to_owned(), Tensor::zeros((3, 3), DType::F32, &Device::Cpu).expect("zeros"))];
    let builder = VarBuilder::from_tensors(tensors.into(), DType::F32, &Device::Cpu);
    by_builder.load_var_builder(&builder).expect_err("another shape");
    assert_eq!(run(&by_builder), run(&source), "nothing is set unless everything matches");
}

#[test]
fn an_optimizer_of_candle_trains_the_model() {
    let model = model(NET);
    let before = model.params().get("a.kernel").expect("a kernel").values().expect("values");
    let mut optimizer = SGD::new(model.to_var_map().all_vars(), 0.1).expect("an optimizer");
    let out = model.training(Seed::new(1)).forward(&input(&[6, 3])).expect("an output");
    let weights = Tensor::new(&[1.0_f32, -2.0], &Device::Cpu).expect("weights");
    let loss =
        out.sqr().and_then(|o| o.broadcast_mul(&weights)).and_then(|o| o.exp()?.sum_all()).expect("a loss");
    optimizer.backward_step(&loss).expect("a step");
    assert_ne!(model.params().get("a.kernel").expect("a kernel").values().expect("values"), before);
}
