//! `tinsmith`: a workshop for small neural networks that must fit.
//!
//! A thin command line over the libraries: every subcommand reads its options, calls the workshop, and prints.

#![forbid(unsafe_code)]

mod command;
mod options;
mod output;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tinsmith_fleet::FleetError;
use tinsmith_foundation::{ConfigErrors, FoundationError};
use tinsmith_workshop::{ErrorKind, WorkshopError};

use crate::command::show::OverLimits;
use crate::output::ClosedOutput;

/// Rules that hold for every subcommand.
const AFTER_HELP: &str = "\
Precedence:
  An option overrides a file (--config, --training), a file overrides a default. Options that cannot act
  together are refused.

Folders:
  Results are written into a folder of their own (--out). The same command continues its work there, or says
  that it is finished. A folder that holds other work or other files is refused.

Environment:
  TINSMITH_DATA  folder in which --data NAME is looked up

Exit codes:
  0    done
  1    failed: a damaged file, a full disk, a training that diverged
  2    usage: a wrong option, a wrong value in a file, or a folder of other work; nothing was run
  3    nothing found: no network keeps the limits
  130  interrupted by Ctrl-C or a TERM signal; finished work is kept";

/// Design small neural networks that must fit: in flash and RAM, in an FPGA, in a power budget.
#[derive(Debug, Parser)]
#[command(name = "tinsmith", version, propagate_version = true, max_term_width = 110, after_help = AFTER_HELP)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Design a network that fits: search, quantize, prune, train, report
    Design(command::design::DesignArgs),
    /// Generate a corpus of random networks
    Generate(command::generate::GenerateArgs),
    /// Search architectures under hard limits
    Search(command::search::SearchArgs),
    /// Search bit widths for a trained network
    Quantize(command::quantize::QuantizeArgs),
    /// Prune and fine-tune a trained network
    Prune(command::prune::PruneArgs),
    /// Train one network
    Train(command::train::TrainArgs),
    /// Train many networks, here or on a Slurm cluster
    Fleet(command::fleet::FleetArgs),
    /// Show the layers, shapes and cost of a network
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
        Command::Search(args) => command::search::run(args),
        Command::Quantize(args) => command::quantize::run(args),
        Command::Prune(args) => command::prune::run(args),
        Command::Train(args) => command::train::run(args),
        Command::Fleet(args) => return status(command::fleet::run(&args)),
        Command::Show(args) => command::show::run(&args),
        Command::Data(args) => command::data::run(&args),
        Command::Schema(args) => command::schema::run(&args),
    };
    status(done.map(|()| ExitCode::SUCCESS))
}

/// Prints the error, if any, and returns the exit code that `--help` states.
fn status(done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        Err(error) if error.is::<ClosedOutput>() => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::from(match kind(&error) {
                ErrorKind::Failed => 1,
                ErrorKind::Usage => 2,
                ErrorKind::NothingFound => 3,
                ErrorKind::Interrupted => 130,
            })
        }
    }
}

fn kind(error: &anyhow::Error) -> ErrorKind {
    if let Some(error) = error.downcast_ref::<WorkshopError>() {
        return error.kind();
    }
    if error.is::<OverLimits>() {
        return ErrorKind::NothingFound;
    }
    let is_usage = error.is::<ConfigErrors>()
        || matches!(error.downcast_ref(), Some(FoundationError::Config(_)))
        || error.downcast_ref().is_some_and(FleetError::is_usage);
    if is_usage { ErrorKind::Usage } else { ErrorKind::Failed }
}
