//! Throughput of training and inference: the workloads of `benches/peers`, one line of JSON each.
//!
//! `cargo run --release -p tinsmith-benches --example throughput -- --workload jet_mlp --threads 1 [--quantized]`
//!
//! A training step gathers a shuffled batch, runs forward and backward, and updates all weights by Adam, in float32.
//! With `--exchange FILE` rows, labels and initial weights come from a file that `peers/keras_bench.py --exchange`
//! wrote, and the line says the first loss of 200 steps and the mean of the last 20.

#![expect(clippy::print_stdout, reason = "the result is a line of JSON")]

mod clock;
mod search;
mod training;
mod workload;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};

/// Measured operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Complete training steps.
    Train,
    /// Forward passes of a plan without gradients: batches, and single samples.
    Infer,
}

/// Measures one workload and prints one line of JSON.
#[derive(Debug, Parser)]
struct Arguments {
    /// `jet_mlp`, `sparana_mlp`, `mnist_cnn`, `ds_cnn`, `har_cnn1d`, `resnet8`, or `search_jet`.
    #[arg(long)]
    workload: String,
    /// Kernel threads per network.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Use the fixed-point quantizers of the workload.
    #[arg(long)]
    quantized: bool,
    /// Measured operation.
    #[arg(long, value_enum, default_value_t = Mode::Train)]
    mode: Mode,
    /// Networks trained concurrently; samples per second are summed. Default 1; for `search_jet` processors divided by
    /// threads.
    #[arg(long)]
    jobs: Option<usize>,
    /// Trials of `search_jet`.
    #[arg(long, default_value_t = 20)]
    trials: u64,
    /// File with the rows, labels and initial weights of another framework.
    #[arg(long)]
    exchange: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let is_search = arguments.workload == "search_jet";
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let side_by_side = if is_search { processors / arguments.threads.max(1) } else { 1 };
    let jobs = arguments.jobs.unwrap_or(side_by_side).max(1);
    clock::limit_cores(arguments.threads * jobs);
    if is_search {
        println!("{}", search::run(arguments.trials, arguments.threads, jobs)?);
        return Ok(());
    }
    let Some(workload) = workload::find(&arguments.workload) else {
        let names: Vec<&str> = workload::ALL.iter().map(|w| w.name).collect();
        bail!("no workload `{}`, want one of {} or search_jet", arguments.workload, names.join(", "));
    };
    let line = match (&arguments.exchange, arguments.mode) {
        (Some(file), _) => training::losses(&workload, arguments.quantized, arguments.threads, file)?,
        (None, Mode::Train) => training::train(&workload, arguments.quantized, arguments.threads, jobs)?,
        (None, Mode::Infer) => training::infer(&workload, arguments.quantized, arguments.threads)?,
    };
    println!("{line}");
    Ok(())
}
