//! `tinsmith generate`: a corpus of random networks, and its manifest.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tinsmith_cost::Target;
use tinsmith_foundation::{Seed, WorkerScope, config};
use tinsmith_modelgen::{
    BatchConfig, DesignedConfig, Duplicates, Format, GeneratorConfig, Manifest, coverage_path, generate,
    generate_designed, manifest_path,
};
use tinsmith_workshop::ByteSize;

use crate::output::{count, line};
use crate::watch::{Watch, cancel_on_signal};

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The file of the networks; compressed where its name ends in .gz
    #[arg(long, default_value = "networks.jsonl", value_name = "FILE")]
    out: PathBuf,
    /// How many networks [default: 1000]
    #[arg(long)]
    count: Option<u64>,
    /// How many files they are spread over, in order [default: 1]
    #[arg(long)]
    files: Option<u64>,
    /// Cores that draw; 0 means all. The files do not depend on it
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// How networks are written [default: records]
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// What becomes of a network with the structure of an earlier one [default: drop]
    #[arg(long, value_enum)]
    duplicates: Option<DuplicatesArg>,
    /// Seed of everything random [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// A YAML file of the whole corpus (see `tinsmith schema corpus`); options given here win
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A YAML file of a structured set (see `tinsmith schema designed`): every combination, a Latin hypercube or Sobol's
    /// sequence over the axes of a chain of layers, with a report of their coverage
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "config", "family", "input", "classes", "count", "files", "duplicates", "seed", "params", "macs", "flash", "ram",
    ])]
    design: Option<PathBuf>,
    /// A YAML file of the networks' family (see `tinsmith schema generator`), instead of the default one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["input", "classes"])]
    family: Option<PathBuf>,
    /// Shape of a sample, channels last, for example 28,28,1: a family of small classifiers for it
    #[arg(long, value_delimiter = ',')]
    input: Option<Vec<usize>>,
    /// Classes that the networks tell apart [default: 10 with --input, else no last layer of their own]
    #[arg(long)]
    classes: Option<usize>,
    /// Weights of a network, at most
    #[arg(long, value_name = "N")]
    params: Option<u64>,
    /// Multiply-accumulates of one inference, at most
    #[arg(long, value_name = "N")]
    macs: Option<u64>,
    /// Flash for weights, for example 64KiB
    #[arg(long, value_name = "SIZE")]
    flash: Option<ByteSize>,
    /// Peak RAM for activations, for example 16KiB
    #[arg(long, value_name = "SIZE")]
    ram: Option<ByteSize>,
    /// mcu-int8, mcu-packed, fpga, float32, or a YAML file [default: mcu-packed]
    #[arg(long)]
    target: Option<String>,
    /// Print the result only
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    /// JSON Lines: specification, structural hash and cost
    Records,
    /// Model JSON of Keras and QKeras, with lines of 14 hyphens between
    Keras,
    /// One JSON object of name to model JSON of Keras and QKeras
    KerasBatch,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DuplicatesArg {
    /// Drop it, count it, draw another
    Drop,
    /// Keep it, count it
    Count,
}

pub(crate) fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    if let Some(path) = &args.design {
        return run_design(args, path);
    }
    let corpus = corpus(args)?;
    let scope = if args.jobs == 0 { WorkerScope::available() } else { WorkerScope::new(args.jobs) };
    let manifest = generate(&corpus, &args.out, scope, &cancel_on_signal()?, &Watch::new(args.quiet))?;
    report(args, &manifest);
    Ok(())
}

fn run_design(args: &GenerateArgs, path: &Path) -> anyhow::Result<()> {
    let mut designed = config::load(path, DesignedConfig::check)?;
    designed.format = args.format.map_or(designed.format, Format::from);
    if let Some(target) = &args.target {
        designed.target = Target::load(target)?;
    }
    let manifest = generate_designed(&designed, &args.out, &cancel_on_signal()?, &Watch::new(args.quiet))?;
    let all = manifest.cardinality.map_or_else(|| "more than 2^64".to_owned(), count);
    line(format!("{} of {all} networks written to {}", count(manifest.written), args.out.display()));
    let joint = &manifest.coverage.joint;
    line(format!("joint fill distance {:.3}, separation {:.3}", joint.fill, joint.separation));
    line(format!("configuration, points and coverage in {}", manifest_path(&args.out).display()));
    line(format!("histograms in {}", coverage_path(&args.out).display()));
    Ok(())
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Records => Self::Records,
            FormatArg::Keras => Self::Keras,
            FormatArg::KerasBatch => Self::KerasBatch,
        }
    }
}

/// The corpus of the file, or the default one, with what was said on the line.
fn corpus(args: &GenerateArgs) -> anyhow::Result<BatchConfig> {
    let mut corpus = match &args.config {
        Some(path) => config::load(path, BatchConfig::check)?,
        None => BatchConfig { target: Target::load("mcu-packed")?, ..BatchConfig::default() },
    };
    if let Some(path) = &args.family {
        corpus.family = config::load(path, GeneratorConfig::check)?;
    }
    if let Some(input) = &args.input {
        corpus.family = GeneratorConfig::for_task(input, args.classes.unwrap_or(10));
    }
    corpus.family.classes = args.classes.or(corpus.family.classes);
    if let Some(target) = &args.target {
        corpus.target = Target::load(target)?;
    }
    corpus.count = args.count.unwrap_or(corpus.count);
    corpus.files = args.files.unwrap_or(corpus.files);
    corpus.seed = args.seed.map_or(corpus.seed, Seed::new);
    corpus.format = args.format.map_or(corpus.format, Format::from);
    corpus.duplicates = match args.duplicates {
        None => corpus.duplicates,
        Some(DuplicatesArg::Drop) => Duplicates::Drop,
        Some(DuplicatesArg::Count) => Duplicates::Count,
    };
    let limits = &mut corpus.limits;
    limits.params = args.params.or(limits.params);
    limits.macs = args.macs.or(limits.macs);
    limits.flash = args.flash.map(|b| b.0).or(limits.flash);
    limits.ram = args.ram.map(|b| b.0).or(limits.ram);
    Ok(corpus)
}

fn report(args: &GenerateArgs, manifest: &Manifest) {
    let tally = &manifest.tally;
    line(format!("{} networks written to {}", count(manifest.written), args.out.display()));
    line(format!(
        "{} draws, {} duplicates, {} that came to no fitting layer",
        count(tally.draws),
        count(tally.duplicates),
        count(tally.no_fit)
    ));
    for (what, over) in &tally.over {
        line(format!("{} over the limit of {what}, {}", count(over.draws), count(over.limit)));
    }
    line(format!("configuration and counts in {}", manifest_path(&args.out).display()));
}
