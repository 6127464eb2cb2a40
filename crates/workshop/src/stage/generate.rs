//! Stage 1: random networks that keep the budget.

use tinsmith_foundation::files;
use tinsmith_modelgen::{GeneratorConfig, ModelGenerator, ModelgenError};
use tinsmith_network::ModelSpec;

use crate::error::{Result, WorkshopError};
use crate::pipeline::Bench;

pub(crate) fn run(bench: &Bench<'_>) -> Result<Vec<ModelSpec>> {
    const STAGE: &str = "generate";
    let count = bench.config.generate.candidates;
    bench.progress.begin(STAGE, Some(count as u64));
    let shape = bench.train.sample_shape();
    let broken =
        |error: ModelgenError| WorkshopError::Budget { shape: shape.to_vec(), reason: error.to_string() };
    let config = sized(GeneratorConfig::for_task(shape, bench.train.class_count()), bench.config.flash.0);
    let generator = ModelGenerator::new(config).map_err(broken)?;
    let seed = bench.seed.derive(STAGE, 0);
    let candidates = generator.candidates(count, seed, &bench.limits, &bench.target).map_err(broken)?;
    let mut lines = String::new();
    for spec in &candidates {
        lines.push_str(&serde_json::to_string(spec).map_err(|e| broken_line(&e))?);
        lines.push('\n');
    }
    files::write_atomic(&bench.folder.candidates(), lines.as_bytes())?;
    bench.progress.step(STAGE, count as u64, "");
    bench.progress.end(STAGE, format!("{count} networks keep the budget"));
    Ok(candidates)
}

/// Where there is room, networks begin wider and deeper: the later stages make them small.
fn sized(config: GeneratorConfig, flash: u64) -> GeneratorConfig {
    if flash < 32 << 10 {
        return config;
    }
    GeneratorConfig { conv_filters_lb: 8, conv_filters_ub: 64, min_layer_count: 3, ..config }
}

fn broken_line(error: &serde_json::Error) -> WorkshopError {
    WorkshopError::NoResult { stage: "generate", reason: error.to_string() }
}
