//! Trains many networks in one process, one thread each, on one copy of the data, and prints networks per second with
//! one job and with two.
//!
//! Run with `cargo run --release -p tinsmith-trainer --example side_by_side -- 24`; the argument is the number of networks.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::Instant;

use tinsmith_data::{Normalization, Normalizer};
use tinsmith_foundation::{CancelToken, Seed, WorkerScope};
use tinsmith_layers::{BuildOptions, Model};
use tinsmith_network::ModelSpec;
use tinsmith_trainer::{Context, TrainConfig, Undisturbed, fit};

const NETWORK: &str = "
layers:
- {name: x, input: {shape: [8, 8, 1]}}
- {name: f, flatten: {}}
- {name: h, dense: {units: 64, activation: relu}}
- {name: g, dense: {units: 32, activation: relu}}
- {name: y, dense: {units: 10}}";

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let networks: u64 = std::env::args().nth(1).map_or(Ok(24), |text| text.parse())?;
    let train = tinsmith_data::load("digits8x8")?.train;
    let train = Normalizer::fit(&train, Normalization::Auto)?.apply(&train)?;
    let spec = ModelSpec::parse(NETWORK, "network")?;
    let config = TrainConfig { epochs: 20, batch_size: 32, ..TrainConfig::default() };
    let mut alone = Vec::new();
    for jobs in [1, 2] {
        let start = Instant::now();
        let results = WorkerScope::new(jobs).map((0..networks).collect(), |grant, number| {
            let seed = Seed::new(7).derive("network", number);
            let mut model = Model::build(&spec, seed.derive("weights", 0), &BuildOptions::default())?;
            let context = Context { seed, grant, cancel: &CancelToken::new() };
            let history = fit(&mut model, &train, None, &config, &context, &mut Undisturbed)?;
            Ok::<_, Box<dyn Error + Send + Sync>>(history.epochs.last().map_or(f64::NAN, |e| e.loss))
        });
        let losses = results.into_iter().collect::<Result<Vec<f64>, _>>()?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{jobs} at once: {:.2} networks a second", networks as f64 / seconds);
        if jobs == 1 {
            alone = losses;
        } else if alone != losses {
            return Err("the results depend on how many train side by side".into());
        }
    }
    Ok(())
}
