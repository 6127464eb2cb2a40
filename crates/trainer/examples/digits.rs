//! Trains two small networks on the built-in digits from several seeds and prints one CSV line each, for comparison
//! with Keras (`scripts/digits_keras.py`).
//!
//! Run with `cargo run -p tinsmith-trainer --example digits -- 5`; the argument is the number of seeds.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use tinsmith_data::{Normalization, Normalizer};
use tinsmith_foundation::{CancelToken, Seed, WorkerScope};
use tinsmith_kernels::Threads;
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;
use tinsmith_trainer::{Context, TrainConfig, Undisturbed, evaluate, fit};

const NETWORKS: [(&str, &str); 2] = [
    (
        "dense",
        "layers:
- {name: x, input: {shape: [8, 8, 1]}}
- {name: f, flatten: {}}
- {name: h, dense: {units: 32, activation: relu}}
- {name: y, dense: {units: 10, activation: softmax}}",
    ),
    (
        "convolution",
        "layers:
- {name: x, input: {shape: [8, 8, 1]}}
- {name: c, conv2d: {filters: 12, kernel: 3, activation: relu}}
- {name: p, max_pool2d: {}}
- {name: f, flatten: {}}
- {name: y, dense: {units: 10, activation: softmax}}",
    ),
];

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let seeds: u64 = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let splits = tinsmith_data::load("digits8x8")?;
    let normalizer = Normalizer::fit(&splits.train, Normalization::Range)?;
    let (train, test) = (normalizer.apply(&splits.train)?, normalizer.apply(&splits.test)?);
    let config = TrainConfig { epochs: 20, batch_size: 32, ..TrainConfig::default() };
    let all = NETWORKS.iter().flat_map(|network| (0..seeds).map(move |seed| (network, seed))).collect();
    let results = WorkerScope::available().map(all, |grant, ((name, text), seed)| {
        let seed = Seed::new(seed);
        let spec = ModelSpec::parse(text, name)?;
        let options = BuildOptions { threads: Threads::new(grant.threads()), ..BuildOptions::default() };
        let mut model = Model::build(&spec, seed.derive("weights", 0), &options)?;
        let context = Context { seed, grant, cancel: &CancelToken::new() };
        fit(&mut model, &train, None, &config, &context, &mut Undisturbed)?;
        let found = evaluate(&model, &test, config.loss, grant)?;
        Ok::<_, Box<dyn Error + Send + Sync>>((*name, seed.value(), found.accuracy().unwrap_or(0.0)))
    });
    println!("program,network,seed,test_accuracy");
    for result in results {
        let (name, seed, accuracy) = result?;
        println!("tinsmith,{name},{seed},{accuracy:.6}");
    }
    Ok(())
}
