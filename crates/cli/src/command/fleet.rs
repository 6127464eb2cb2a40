//! `tinsmith fleet`: many networks, here or on a Slurm cluster.

use std::process::ExitCode;

use clap::Args;
use tinsmith_fleet::{Fleet, FleetCommand, Surroundings};

use crate::output::Stdout;
use crate::watch::{Watch, data_folder};

/// Arguments of `fleet`.
#[derive(Debug, Args)]
pub(crate) struct FleetArgs {
    #[command(subcommand)]
    command: FleetCommand,
}

pub(crate) fn run(args: &FleetArgs) -> anyhow::Result<ExitCode> {
    let mut surroundings = Surroundings {
        out: &mut Stdout,
        progress: &Watch::new(false),
        program: std::env::current_exe().ok(),
        command: std::env::args().collect(),
        data_folder: data_folder(),
    };
    Ok(ExitCode::from(Fleet::TINSMITH.execute(&args.command, &mut surroundings)?.0))
}
