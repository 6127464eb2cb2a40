//! Trains a quantized feature extractor of this crate together with a linear layer of candle-nn:
//! `cargo run -p tinsmith-layers --example with_candle`
#![expect(clippy::print_stdout, reason = "a command")]

use candle_core::{DType, Device, Tensor};
use candle_nn::{Module, Optimizer, SGD, VarBuilder, VarMap};
use tinsmith_foundation::Seed;
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spec = ModelSpec::parse(
        "
layers:
- {name: x, input: {shape: [2]}}
- {name: hidden, dense: {units: 16, kernel_quantizer: 'quantized_bits(6,1,alpha=1.0)', activation: relu}}
",
        "with_candle",
    )?;
    let features = Model::build(&spec, Seed::new(1), &BuildOptions::default())?;

    // One map for both: the variables of the model are shared with it, those of the head are created in it. candle's
    // CPU generator cannot be seeded, so the head starts from given values.
    let map = VarMap::new();
    features.add_to_var_map(&map, "features");
    let head = candle_nn::linear(16, 1, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu).pp("head"))?;
    let mut start = map.clone();
    start.set_one("head.weight", Tensor::full(0.1_f32, (1, 16), &Device::Cpu)?)?;
    start.set_one("head.bias", Tensor::zeros(1, DType::F32, &Device::Cpu)?)?;

    let inputs = Tensor::new(&[[0.0_f32, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], &Device::Cpu)?;
    let targets = Tensor::new(&[[0.0_f32], [1.0], [1.0], [2.0]], &Device::Cpu)?;
    let mut optimizer = SGD::new(map.all_vars(), 0.05)?;
    let mut losses = Vec::new();
    for step in 0..100 {
        let hidden = features.training(Seed::new(2).derive("step", step)).forward(&inputs)?;
        let loss = candle_nn::loss::mse(&head.forward(&hidden)?, &targets)?;
        losses.push(loss.to_scalar::<f32>()?);
        optimizer.backward_step(&loss)?;
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    println!("mean squared error {first:.4} -> {last:.4}");
    assert!(last < 0.1 * first, "training both parts lowers the loss: {first} to {last}");

    // In inference the model is a module like any other.
    let network = candle_nn::seq().add(features).add(head);
    println!("{}", network.forward(&inputs)?);
    Ok(())
}
