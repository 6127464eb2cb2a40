//! A search of bit widths: random quantizers of the jet network, each trained and scored, like `peers/search_*.py`.

use anyhow::Result;
use serde_json::{Value, json};
use tinsmith_data::Dataset;
use tinsmith_foundation::{Seed, WorkerScope};
use tinsmith_network::ModelSpec;
use tinsmith_study::{Budget, Objective, Runner, Sequence, Study, StudyConfig};
use tinsmith_trainer::{TrainConfig, Trainer};

use super::clock::Clock;

const ROWS: usize = 50_000;
const HELD_OUT: usize = 10_000;

/// Draws rows of 16 features, labelled by the largest of five random projections.
fn rows() -> Result<(Dataset, Dataset)> {
    let mut rng = Seed::new(0).rng();
    let teacher: Vec<f32> = (0..80).map(|_| rng.normal() as f32).collect();
    let mut part = |name: &str, count: usize| {
        let samples: Vec<f32> = (0..count * 16).map(|_| rng.normal() as f32).collect();
        let label = |x: &[f32]| {
            let score =
                |class: usize| x.iter().enumerate().map(|(i, x)| x * teacher[i * 5 + class]).sum::<f32>();
            (0..5).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or(0) as u32
        };
        let labels = samples.chunks_exact(16).map(label).collect();
        Dataset::labelled(name, vec![16], samples, labels, 5)
    };
    Ok((part("train", ROWS)?, part("held out", HELD_OUT)?))
}

fn network(bits: &mut impl FnMut() -> u64) -> Result<ModelSpec> {
    let mut text = "layers:\n- {name: x, input: {shape: [16]}}\n".to_owned();
    for (i, units) in [64, 32, 32, 5].into_iter().enumerate() {
        let quantizer = format!("'quantized_bits({},0,alpha=1)'", bits());
        text += &format!(
            "- {{name: d{i}, dense: {{units: {units}, kernel_quantizer: {quantizer}, bias_quantizer: {quantizer}}}}}\n"
        );
        if i < 3 {
            text += &format!("- {{name: a{i}, activation: 'quantized_relu({})'}}\n", bits());
        }
    }
    Ok(ModelSpec::parse(&text, "jet")?)
}

pub(crate) fn run(trials: u64, threads: usize, jobs: usize) -> Result<Value> {
    let (train, held_out) = rows()?;
    let config = TrainConfig { batch_size: 1024, ..TrainConfig::default() };
    let clock = Clock::start();
    let trainer = Trainer::new(train, held_out, config);
    let mut rng = Seed::new(1).rng();
    let candidates = (0..trials).map(|_| network(&mut || 2 + rng.below(7))).collect::<Result<Vec<_>>>()?;
    let proposer = Sequence::new(candidates);
    let study_config = StudyConfig {
        name: "jet".to_owned(),
        trials,
        objectives: vec![Objective::maximize("val_accuracy")],
        budget: Budget { epochs: 2, ..Budget::default() },
        ..StudyConfig::default()
    };
    let mut study = Study::new(study_config)?;
    study.run(&Runner {
        scope: WorkerScope::new(threads * jobs),
        jobs,
        ..Runner::new(&proposer, &trainer)
    })?;
    let (wall, cpu) = clock.read();
    let best = study.best().and_then(|t| t.values.clone()).and_then(|v| v.first().copied());
    Ok(json!({
        "workload": "search_jet",
        "framework": "tinsmith",
        "threads": threads,
        "jobs": jobs,
        "trials": trials,
        "total_s": wall,
        "total_cpu_s": cpu,
        "trials_per_hour": trials as f64 / wall * 3600.0,
        "best_accuracy": best,
    }))
}
