//! `tinsmith generate`: random networks, one JSON specification a line.

use std::path::PathBuf;

use clap::Args;
use tinsmith_foundation::Seed;
use tinsmith_modelgen::{GeneratorConfig, ModelGenerator};

use super::BudgetArgs;
use crate::output::{count, line};

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// How many networks
    #[arg(long, default_value_t = 100)]
    count: usize,
    /// Shape of a sample, channels last, for example 28,28,1
    #[arg(long, value_delimiter = ',', default_values_t = [8, 8, 1])]
    input: Vec<usize>,
    /// Classes that the networks tell apart
    #[arg(long, default_value_t = 10)]
    classes: usize,
    /// A YAML file of the generator's parameters, instead of --input and --classes
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The file of the networks
    #[arg(long, default_value = "networks.jsonl", value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let config = match &args.config {
        Some(path) => tinsmith_foundation::config::load(path, GeneratorConfig::check)?,
        None => GeneratorConfig::for_task(&args.input, args.classes),
    };
    let generator = ModelGenerator::new(config)?;
    let target = args.budget.target()?;
    let specs = generator.candidates(args.count, Seed::new(args.seed), &args.budget.limits(), &target)?;
    let mut lines = String::new();
    for spec in &specs {
        lines.push_str(&serde_json::to_string(spec)?);
        lines.push('\n');
    }
    tinsmith_foundation::files::write_atomic(&args.out, lines.as_bytes())?;
    line(format!("{} networks written to {}", count(specs.len() as u64), args.out.display()));
    Ok(())
}
