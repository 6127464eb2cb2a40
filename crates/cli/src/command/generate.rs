//! `tinsmith generate`: a corpus of random networks, and its manifest.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tinsmith_cost::Target;
use tinsmith_foundation::{ByteSize, Seed, WorkerScope, config};
use tinsmith_modelgen::{
    CorpusConfig, SpaceFillingConfig, Duplicates, Format, GeneratorConfig, CorpusManifest, coverage_path, manifest_path,
};
use tinsmith_workshop::{CorpusStatus, fit_family, generate_corpus, generate_space_filling_corpus};

use crate::output::{count, line};
use crate::watch::Watch;

/// Arguments of `generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// File of the networks; compressed if its name ends in .gz. Another corpus is never overwritten
    #[arg(long, default_value = "networks.jsonl", value_name = "FILE")]
    out: PathBuf,
    /// Number of networks [default: 1000]
    #[arg(long)]
    count: Option<u64>,
    /// Number of files that the networks are spread over, in order [default: 1]
    #[arg(long)]
    files: Option<u64>,
    /// Number of cores; 0 means all. The files do not depend on it [default: 0]
    #[arg(long)]
    jobs: Option<usize>,
    /// Format of the files [default: records]
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Treatment of a network with the structure of an earlier one [default: drop]
    #[arg(long, value_enum)]
    duplicates: Option<DuplicatesArg>,
    /// Seed of all random choices [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// A YAML file of the whole corpus, see `tinsmith schema corpus`; options override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A YAML file of a structured set, see `tinsmith schema designed`: every combination, a Latin hypercube or a Sobol
    /// sequence over the axes of a chain of layers, with a report of their coverage; --format and --target override it
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "config", "family", "input", "classes", "count", "files", "jobs", "duplicates", "seed", "params", "macs", "flash",
        "ram",
    ])]
    design: Option<PathBuf>,
    /// A YAML file of the family of networks, see `tinsmith schema generator`, instead of that of --config or the default
    #[arg(long, value_name = "FILE")]
    family: Option<PathBuf>,
    /// Shape of a sample, channels last, for example 28,28,1. A described family keeps its other settings; the default one
    /// becomes a family of small classifiers for this shape
    #[arg(long, value_delimiter = ',')]
    input: Option<Vec<usize>>,
    /// Number of classes of the last layer [default: 10 with --input, else no last layer of that kind]
    #[arg(long)]
    classes: Option<usize>,
    /// Limit of weights [default: no limit]
    #[arg(long, value_name = "N")]
    params: Option<u64>,
    /// Limit of multiply-accumulates per inference [default: no limit]
    #[arg(long, value_name = "N")]
    macs: Option<u64>,
    /// Limit of flash for weights, for example 64KiB [default: no limit]
    #[arg(long, value_name = "SIZE")]
    flash: Option<ByteSize>,
    /// Limit of RAM for activations at the peak, for example 16KiB [default: no limit]
    #[arg(long, value_name = "SIZE")]
    ram: Option<ByteSize>,
    /// The hardware: mcu-int8, mcu-packed, fpga, float32, or a YAML file [default: mcu-packed]
    #[arg(long)]
    target: Option<String>,
    /// Hide progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatArg {
    /// JSON Lines: specification, structural hash and cost
    Records,
    /// Model JSON of Keras and QKeras, separated by lines of 14 hyphens
    Keras,
    /// One JSON object that maps names to model JSON of Keras and QKeras
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
    let watch = Watch::new(args.quiet);
    if let Some(path) = &args.design {
        let designed = designed(args, path)?;
        return run_designed(&designed, &args.out, &watch);
    }
    let jobs = args.jobs.unwrap_or(0);
    let scope = if jobs == 0 { WorkerScope::available() } else { WorkerScope::new(jobs) };
    match generate_corpus(&corpus(args)?, &args.out, scope, &watch.session()?)? {
        CorpusStatus::Written(manifest) => report(&manifest, &args.out),
        CorpusStatus::Present { written } => present(written, &args.out),
    }
}

fn run_designed(designed: &SpaceFillingConfig, out: &Path, watch: &Watch) -> anyhow::Result<()> {
    let manifest = match generate_space_filling_corpus(designed, out, &watch.session()?)? {
        CorpusStatus::Written(manifest) => manifest,
        CorpusStatus::Present { written } => return present(written, out),
    };
    let all = manifest.cardinality.map_or_else(|| "more than 2^64".to_owned(), count);
    line(format!("{} of {all} networks written to {}", count(manifest.written), out.display()))?;
    let joint = &manifest.coverage.joint;
    line(format!("joint fill distance {:.3}, separation {:.3}", joint.fill, joint.separation))?;
    line(format!("configuration, points and coverage in {}", manifest_path(out).display()))?;
    line(format!("histograms in {}", coverage_path(out).display()))
}

fn present(written: u64, out: &Path) -> anyhow::Result<()> {
    line(format!(
        "{} holds this corpus of {} networks already; nothing was written",
        out.display(),
        count(written)
    ))
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

fn designed(args: &GenerateArgs, path: &Path) -> anyhow::Result<SpaceFillingConfig> {
    let mut designed = config::load(path, SpaceFillingConfig::check)?;
    designed.format = args.format.map_or(designed.format, Format::from);
    if let Some(target) = &args.target {
        designed.target = Target::load(target)?;
    }
    Ok(designed)
}

/// Returns the corpus of the file, or the default one, overridden by the options.
fn corpus(args: &GenerateArgs) -> anyhow::Result<CorpusConfig> {
    let mut corpus = match &args.config {
        Some(path) => config::load(path, CorpusConfig::check)?,
        None => CorpusConfig::default(),
    };
    if let Some(path) = &args.family {
        corpus.family = config::load(path, GeneratorConfig::check)?;
    }
    corpus.family = fit_family(corpus.family, args.input.as_deref(), args.classes);
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

fn report(manifest: &CorpusManifest, out: &Path) -> anyhow::Result<()> {
    let tally = &manifest.tally;
    line(format!("{} networks written to {}", count(manifest.written), out.display()))?;
    line(format!(
        "{} draws, {} duplicates, {} without a layer that fits",
        count(tally.draws),
        count(tally.duplicates),
        count(tally.no_fit)
    ))?;
    for (limit, over) in &tally.over {
        line(format!("{} over the limit of {limit}, {}", count(over.draws), count(over.limit)))?;
    }
    line(format!("configuration and counts in {}", manifest_path(out).display()))
}
