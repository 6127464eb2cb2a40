//! `tinsmith`: a workshop for small neural networks that must fit. A thin command line over the libraries: every
//! subcommand reads its arguments, calls one library function and prints.

#![forbid(unsafe_code)]

mod command;
mod output;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A workshop for small neural networks that must fit: in flash and RAM, in an FPGA, in a power budget.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Design a network that fits: search, quantize, prune, train, report
    Design(command::design::DesignArgs),
    /// Draw random networks
    Generate(command::generate::GenerateArgs),
    /// Search architectures under hard limits
    Search(command::search::SearchArgs),
    /// Search quantizers for a trained network
    Quantize(command::quantize::QuantizeArgs),
    /// Prune and fine-tune a trained network
    Prune(command::prune::PruneArgs),
    /// Train one network
    Train(command::train::TrainArgs),
    /// Train many networks, here or on a cluster, and keep track of them
    Fleet(command::fleet::FleetArgs),
    /// Show a network: layers, shapes, cost
    Show(command::show::ShowArgs),
    /// Describe a data set
    Data(command::data::DataArgs),
    /// Print the JSON schema of a file format
    Schema(command::schema::SchemaArgs),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Design(args) => command::design::run(args),
        Command::Generate(args) => command::generate::run(&args),
        Command::Search(args) => command::search::run(&args),
        Command::Quantize(args) => command::quantize::run(&args),
        Command::Prune(args) => command::prune::run(&args),
        Command::Train(args) => command::train::run(&args),
        Command::Fleet(args) => return status(command::fleet::run(&args)),
        Command::Show(args) => command::show::run(&args),
        Command::Data(args) => command::data::run(&args),
        Command::Schema(args) => command::schema::run(&args),
    };
    status(done.map(|()| ExitCode::SUCCESS))
}

fn status(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            // Wrong arguments and configurations are the user's to mend (2), all else is a failed run (1).
            ExitCode::from(if command::is_usage(&error) { 2 } else { 1 })
        }
    }
}
