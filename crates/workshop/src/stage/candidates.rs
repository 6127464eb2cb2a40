//! Stage 1: random networks within the limits.

use tinsmith_modelgen::{GeneratorConfig, ModelGenerator, ModelgenError};
use tinsmith_network::ModelSpec;

use crate::bench::Workbench;
use crate::error::{Result, WorkshopError};

/// Flash from which candidates start wider and deeper. Later stages make networks smaller, so there is room to start big.
const LARGE_FLASH: u64 = 32 << 10;

/// Draws random networks within the limits, as the start of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateStage {
    /// Number of networks.
    pub count: usize,
}

impl CandidateStage {
    /// Draws the networks. They depend on the seed, the limits, the target, and the shape of the data.
    ///
    /// # Errors
    /// [`WorkshopError::Budget`] if too few networks keep the limits.
    pub fn run(&self, bench: &Workbench<'_>) -> Result<Vec<ModelSpec>> {
        const STAGE: &str = "generate";
        let count = self.count;
        bench.progress.begin(STAGE, Some(count as u64));
        let train = &bench.data.train;
        let shape = train.sample_shape();
        let broken = |error: ModelgenError| match error {
            ModelgenError::NoFit { .. } | ModelgenError::Unsatisfiable { .. } => {
                WorkshopError::Budget { shape: shape.to_vec(), reason: error.to_string() }
            }
            other => other.into(),
        };
        let family = sized(GeneratorConfig::for_task(shape, train.class_count()), bench.limits.flash);
        let generator = ModelGenerator::new(family).map_err(broken)?;
        let seed = bench.seed.derive(STAGE, 0);
        let candidates = generator.candidates(count, seed, &bench.limits, &bench.target).map_err(broken)?;
        bench.progress.step(STAGE, count as u64, "");
        bench.progress.end(STAGE, format!("{count} networks within the limits"));
        Ok(candidates)
    }
}

fn sized(family: GeneratorConfig, flash: Option<u64>) -> GeneratorConfig {
    if flash.is_none_or(|flash| flash < LARGE_FLASH) {
        return family;
    }
    GeneratorConfig { conv_filters_lb: 8, conv_filters_ub: 64, min_layer_count: 3, ..family }
}
